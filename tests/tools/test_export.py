"""ONNX export; what needs the ONNX packages is skipped where they are missing (they are no requirement)."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

import pytest
import torch

from engine.checkpoint import FORMAT
from engine.config import load_config
from engine.export import PACKAGES
from modeling.model import build_model
from tests.engine.small_run import write_config
from tools.export import main

MISSING = [name for name in PACKAGES if importlib.util.find_spec(name) is None]


@pytest.fixture
def config(tmp_path: Path) -> str:
    path = write_config(tmp_path)
    cfg = load_config(str(path), ["OUTPUT_DIR", str(tmp_path)])
    torch.manual_seed(0)
    model = build_model(cfg, 7)
    model.bottleneck.running_mean.uniform_(-1, 1)  # type: ignore[union-attr, operator]
    torch.save({"model": model.state_dict()}, tmp_path / "weights.pth")
    return str(path)


def test_missing_packages_are_named(
    config: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in PACKAGES[1:]:
        monkeypatch.setitem(sys.modules, name, None)
    assert main(["--cfg", config, "--weights", str(tmp_path / "weights.pth")]) == 2
    told = capsys.readouterr().err
    assert told.startswith("export.py: ONNX export needs ")
    missing = [name for name in PACKAGES if name in {*MISSING, *PACKAGES[1:]}]
    assert told.endswith(f": pip install {' '.join(missing)}\n")


def test_without_weights_the_mistake_is_told(config: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--cfg", config, "OUTPUT_DIR", str(tmp_path / "empty")]) == 2
    told = MISSING or [f"{tmp_path / 'empty'} holds no checkpoint"]
    assert told[0] in capsys.readouterr().err


@pytest.mark.skipif(bool(MISSING), reason=f"not installed: {', '.join(MISSING)}")
def test_a_place_that_cannot_be_written_is_told_before_the_work(
    config: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output = tmp_path / "weights.pth" / "model.onnx"
    assert main(["--cfg", config, "--weights", "nowhere.pth", "--output", str(output)]) == 2
    assert capsys.readouterr().err == f"export.py: cannot write {output}: Not a directory\n"


def test_ctrl_c_is_no_traceback(
    config: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupt(*words: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("engine.export.export_onnx", interrupt)
    assert main(["--cfg", config]) == 130
    assert capsys.readouterr() == ("", "")


@pytest.mark.skipif(bool(MISSING), reason=f"not installed: {', '.join(MISSING)}")
def test_the_file_computes_what_pytorch_computes(
    config: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output = tmp_path / "out/model.onnx"
    assert main(["--cfg", config, "--weights", str(tmp_path / "weights.pth"), "--output", str(output)]) == 0
    assert "images [batch, 3, 32, 16] to features [batch, 512]" in capsys.readouterr().out
    assert [path.name for path in output.parent.iterdir()] == ["model.onnx"]
    runtime = importlib.import_module("onnxruntime")
    session = runtime.InferenceSession(str(output), providers=["CPUExecutionProvider"])
    images = torch.randn(5, 3, 32, 16)  # a batch of another size than it was exported with
    (found,) = session.run(None, {"images": images.numpy()})
    model = build_model(load_config(config), 7).eval()
    model.load_state_dict(torch.load(tmp_path / "weights.pth", weights_only=True)["model"])
    with torch.no_grad():
        torch.testing.assert_close(torch.from_numpy(found), model(images), rtol=1e-3, atol=1e-4)


@pytest.mark.skipif(bool(MISSING), reason=f"not installed: {', '.join(MISSING)}")
def test_the_settings_of_a_checkpoint_count(config: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    content = torch.load(tmp_path / "weights.pth", weights_only=True)
    trained = load_config(config, ["INPUT.SIZE_TEST", "[64,32]"])
    torch.save({**content, "format": FORMAT, "config": trained.dump()}, tmp_path / "weights.pth")
    output = tmp_path / "model.onnx"
    assert main(["--cfg", config, "--weights", str(tmp_path / "weights.pth"), "--output", str(output)]) == 0
    told = capsys.readouterr()
    assert "images [batch, 3, 64, 32] to features [batch, 512]" in told.out
    assert told.err.startswith("export.py: INPUT.SIZE_TEST: (64, 32) of the checkpoint counts, not (32, 16)")


@pytest.mark.skipif(bool(MISSING), reason=f"not installed: {', '.join(MISSING)}")
def test_weights_of_another_network_write_nothing(
    config: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["--cfg", config, "--weights", str(tmp_path / "weights.pth"), "--output", str(tmp_path / "model.onnx")]
    assert main([*words, "MODEL.NAME", "resnet34"]) == 2
    assert "does not fit this network" in capsys.readouterr().err
    assert not list(tmp_path.glob("model.onnx*"))
