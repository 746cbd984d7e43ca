"""Conversion of weights between this trainer's names and other people's, and tools/convert.py."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from modeling.model import build_model
from modeling.weights.conversion import NAMES as TABLES
from tests.modeling import test_weights as other
from tests.modeling.test_weights import CLASSES, Names, save
from tools.convert import NAMES, main

YAML = f"MODEL: {{NAME: '{other.__file__}:build', PRETRAIN_CHOICE: none, DEVICE: cpu, STEM_RELU: True}}\n"


@pytest.fixture
def config(tmp_path: Path) -> str:
    path = tmp_path / "tiny.yml"
    path.write_text(YAML, encoding="utf-8")
    return str(path)


def convert(*words: str) -> Names:
    """Converts, and reads what was written."""
    assert main(list(words)) == 0
    return torch.load(words[1], weights_only=True)  # type: ignore[no-any-return]


def equal(found: Names, expected: Names) -> None:
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        assert torch.equal(found[name], value), name


def test_the_command_line_offers_every_table() -> None:
    assert tuple(TABLES) == NAMES


# What the projects' own code calls the tensors, and where in a dictionary it looks for them.
THEIRS = {
    "plain": (other.ours, ""),
    "fast-reid": (other.fast_reid, "model"),
    "centroids-reid": (other.centroids, "state_dict"),
    "strong-baseline": (other.strong_baseline, ""),
    "transreid": (other.strong_baseline, ""),
}
NOT_OURS = ("base.fc.", "center_loss.")


@pytest.mark.parametrize("to", THEIRS)
def test_ours_become_theirs_and_theirs_ours(tmp_path: Path, config: str, to: str) -> None:
    make, key = THEIRS[to]
    theirs = {name: value for name, value in make().items() if not name.startswith(NOT_OURS)}
    plain, named, back = (str(tmp_path / name) for name in ("plain.pth", "named.pth", "back.pth"))
    torch.save(other.ours(), plain)
    written = convert(plain, named, "--to", to, "--config_file", config)
    equal(written[key] if key else written, theirs)  # type: ignore[arg-type]
    equal(convert(named, back, "--config_file", config), other.ours())


@pytest.mark.parametrize("to", ["backbone", "moco", "dino", "torchreid"])
def test_a_backbone_goes_out_and_comes_back(tmp_path: Path, config: str, to: str) -> None:
    bare, named, back = (str(tmp_path / name) for name in ("bare.pth", "named.pth", "back.pth"))
    torch.save(other.backbone(), bare)
    convert(bare, named, "--to", to, "--config_file", config)
    equal(convert(named, back, "--config_file", config), other.under("base.", other.convolutions()))
    if to == "backbone":
        equal(torch.load(named, weights_only=True), other.convolutions())


def test_the_line_says_what_was_done(tmp_path: Path, config: str, capsys: pytest.CaptureFixture[str]) -> None:
    source, out = save({"model": other.fast_reid()}, tmp_path), tmp_path / "out.pth"
    words = [str(source), str(out), "--to", "torchreid", "--config_file", config, "MODEL.STEM_RELU", "False"]
    assert main(words) == 0
    count = len(other.convolutions()) + 1
    assert capsys.readouterr().out == (
        f"{out}: {count} tensors with torchreid's names, of {source}, read as fast-reid's (backbone.* → base.*, heads.*"
        " → bottleneck, classifier); left out, since there is no name for them: 5 (first: bottleneck.bias); torchreid's"
        " network has MODEL.STEM_RELU True and MODEL.NECK no, this one does not\n"
    )


def test_a_checkpoint_says_itself_what_its_network_is(tmp_path: Path, config: str) -> None:
    cfg = other.config(POOLING="gem")
    content = {"format": 2, "config": cfg.dump(), "model": build_model(cfg, CLASSES).state_dict()}
    found = convert(str(save(content, tmp_path)), str(tmp_path / "out.pth"), "--to", "fast-reid", "--cfg", config)
    assert "heads.pool_layer.p" in found["model"]


@pytest.mark.parametrize(
    ("make", "words", "told"),
    [
        (lambda: {"x": torch.zeros(1)}, [], "does not fit this network: read as"),
        (other.ours, ["--to", "clip", "MODEL.NO_SUCH", "1"], "MODEL.NO_SUCH"),
    ],
)
def test_mistakes_are_one_line_and_leave_no_file(
    tmp_path: Path, config: str, capsys: pytest.CaptureFixture[str], make: object, words: list[str], told: str
) -> None:
    source, out = save(make(), tmp_path), tmp_path / "out.pth"  # type: ignore[operator]
    assert main([str(source), str(out), "--config_file", config, *words]) == 2
    error = capsys.readouterr().err
    assert error.startswith("convert.py: ")
    assert told in error
    assert error.count("\n") == 1
    assert not out.exists()


def test_names_that_resemble_what_was_asked_for_are_suggested(config: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(["in.pth", "out.pth", "--to", "fastreid", "--config_file", config])
    assert caught.value.code == 2
    [line] = [line for line in capsys.readouterr().err.splitlines() if "error: " in line]
    assert "--to: 'fastreid' is not allowed; choose plain, " in line
    assert line.endswith("; did you mean fast-reid?")
