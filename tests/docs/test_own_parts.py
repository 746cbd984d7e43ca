"""The loss and the head that docs/trainer-parts.md shows are trained with as a user would do it."""

from __future__ import annotations

import os
import re
import sys
from pathlib import Path

import pytest
import torch

import engine
from engine.config import load_config
from engine.inference import load_model
from modeling.branch import Branch
from modeling.losses.criterion import build_criterion
from tests.docs.documents import ROOT
from tests.engine.small_run import write_config
from utils import own_code
from utils.errors import ConfigError
from utils.own_code import explain
from yacs_sweep.logs.parser import LogParser
from yacs_sweep.trainers.load import load_profile


def parts() -> dict[str, tuple[str, list[str]]]:
    """The code of each file that the document shows, and the settings of the command below it."""
    text = (ROOT / "docs/trainer-parts.md").read_text(encoding="utf-8")
    found = re.findall(r"`(my_\w+\.py)`:\n\n```python\n(.*?)```\n\n```bash\n(.*?)\n```", text, re.DOTALL)
    return {
        file: (code, command.partition(".yml ")[2].replace("'", "").replace(", ", ",").split())
        for file, code, command in found
    }


def test_the_loss_is_20_lines_at_most() -> None:
    assert parts().keys() == {"my_loss.py", "my_solver.py", "my_head.py"}
    assert len(parts()["my_loss.py"][0].splitlines()) <= 20


def test_what_the_document_shows_is_trained_with(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(own_code, "_NAMES", {})  # as in a new process, whatever other tests have left of its hook
    monkeypatch.setattr(sys, "excepthook", sys.__excepthook__)
    config = write_config(tmp_path)
    monkeypatch.chdir(tmp_path)
    overrides = ["SOLVER.MAX_EPOCHS", "1", "OUTPUT_DIR", "out"]
    for file, (code, settings) in parts().items():
        Path(file).write_text(code, encoding="utf-8")
        overrides += settings
    cfg = load_config(str(config), overrides)
    assert cfg.MODEL.ALSO_LOSS_WEIGHTS == (0.1,) and cfg.MODEL.BRANCH_WEIGHTS == (1.0, 0.5)
    assert engine.train(cfg) == 0
    model, _device = load_model(cfg, "")
    assert type(model).__name__ == "AverageAndMaximum"
    assert model.channels == 2 * model.base.out_channels
    assert "mAP" in Path("out/log.txt").read_text(encoding="utf-8")
    profile = load_profile("reid", project_root=ROOT)
    parser = LogParser(profile.metrics)
    found = [*parser.feed_chunk(Path("out/log.txt").read_bytes()), *parser.close()]
    rows = [row for row in found if any(name.startswith("train/") for name in row)]
    assert len(rows) == 4  # two after every second of four batches: the line of the loss is a row at once
    for whole, parts_of_it in zip(rows[::2], rows[1::2], strict=True):
        shares = [parts_of_it[f"train/loss_{name}"] for name in ("softmax", "triplet", "Compact")]
        assert 0 < shares[2] < shares[0]  # what the document shows does not drown the identity loss
        assert abs(sum(shares) - whole["train/loss"]) < 0.003 and whole["epoch"] == parts_of_it["epoch"] == 1
    assert os.getcwd() == str(tmp_path)

    capsys.readouterr()
    criterion = build_criterion(cfg, 8, model.widths)
    features = torch.zeros(3, model.widths[0])
    branch = Branch(features, features, torch.zeros(3, 8))
    with pytest.raises(ValueError) as failed:
        criterion([branch, branch], torch.zeros(2, dtype=torch.int64))
    assert not explain(failed.value)  # the identity loss fails first, which is not the user's
    loss = next(term.loss for term in criterion.terms if term.label == "Compact")
    with pytest.raises(RuntimeError) as failed:
        loss(branch.scores, features, torch.zeros(2, dtype=torch.int64))
    sys.excepthook(failed.type, failed.value, failed.tb)
    above, below = capsys.readouterr().err.split("\n", 1)
    shapes = f"scores [3, 8], features [3, {model.widths[0]}], pids [2]"
    assert above.startswith(f"MODEL.ALSO_LOSSES my_loss.py:Compact failed with {shapes}: RuntimeError: ")
    assert below.startswith("Traceback")

    monkeypatch.chdir(tmp_path / "out")  # where the checkpoint's head is not
    with pytest.raises(ConfigError, match=r"^MODEL\.HEAD: my_head\.py: .*; `MODEL\.HEAD FILE\.py:NAME` at the end"):
        load_model(cfg, "best.pth")
