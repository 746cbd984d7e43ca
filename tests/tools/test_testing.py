"""tools/test.py and tools/extract.py, as a user runs them."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from engine.config import load_config
from modeling.model import build_model
from tests.engine.small_run import write_config

ROOT = Path(__file__).parents[2]
ENVIRONMENT = {**os.environ, "OMP_NUM_THREADS": "1"}


def run(tool: str, folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(ROOT / "tools" / tool), *arguments]
    return subprocess.run(
        command, cwd=folder, env=ENVIRONMENT, capture_output=True, text=True, timeout=120, check=False
    )


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Holds small.yml, its images and weights.pth, drawn at random."""
    place = tmp_path_factory.mktemp("testing")
    cfg = load_config(str(write_config(place)))
    torch.manual_seed(0)
    torch.save(build_model(cfg, 5).state_dict(), place / "weights.pth")
    return place


def test_results_lists_and_page(folder: Path) -> None:
    done = run(
        "test.py", folder, "--cfg", "small.yml", "--weights", "weights.pth", "--visualize", "2", "--out", "lists",
        "TEST.FLIP", "True",
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
    lines = done.stdout.splitlines()
    assert lines[0] == (
        "market1501: 3 queries, 3 with a match, 12 gallery images; protocol cross_camera, mirrored features averaged"
    )
    patterns = [r"mAP: [\d.]+%", r"CMC curve, Rank-1  :[\d.]+%", r"CMC curve, Rank-5  :", r"CMC curve, Rank-10 :",
                r"mINP: [\d.]+%", r"Ranked lists: lists/market1501.png", r"Ranked lists: lists/market1501.html"]  # fmt: skip
    assert len(lines) == 8 and all(re.match(p, line) for p, line in zip(patterns, lines[1:], strict=True))
    with Image.open(folder / "lists/market1501.png") as picture:
        assert picture.height > 2 * 128 and picture.width > 10 * 64
        colours = {colour for _, colour in picture.getcolors(10**6)}
    assert {(26, 150, 65), (215, 25, 28)} <= colours  # right and wrong
    text = (folder / "lists/market1501.html").read_text(encoding="utf-8")
    assert text.count('<td class="query">') == 2 and text.count("data:image/jpeg;base64,") == 2 * (1 + 10)
    assert lines[1] in text


def test_the_newest_checkpoint_is_tested_where_no_weights_are_named(folder: Path) -> None:
    assert run("test.py", folder, "--cfg", "small.yml").returncode == 2
    place = folder / "log/small"
    place.mkdir(parents=True)
    (place / "checkpoint_epoch_3.pth").write_bytes((folder / "weights.pth").read_bytes())
    by_checkpoint = run("test.py", folder, "--cfg", "small.yml", "TEST.RE_RANKING", "yes")
    assert by_checkpoint.returncode == 0 and "re-ranked with k1=20, k2=6" in by_checkpoint.stdout
    by_name = run("test.py", folder, "--cfg", "small.yml", "TEST.RE_RANKING", "yes", "TEST.WEIGHT", "weights.pth")
    assert by_name.stdout == by_checkpoint.stdout
    plain = run("test.py", folder, "--cfg", "small.yml")
    assert plain.stdout.splitlines()[1:] != by_name.stdout.splitlines()[1:]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--weights", "nowhere.pth"], ["nowhere.pth"]),
        (["--weights", "weights.pth", "MODEL.NAME", "resnet34"], ["weights.pth", "does not fit"]),
        (["--weights", "weights.pth", "DATASETS.TEST_NAMES", "veri"], ["veri", "image_train"]),
        (["--weights", "weights.pth", "TEST.PROTOCOL", "market"], ["TEST.PROTOCOL", "cross_camera"]),
    ],
)
def test_a_mistake_is_one_line(folder: Path, arguments: list[str], words: list[str]) -> None:
    done = run("test.py", folder, "--cfg", "small.yml", *arguments)
    assert done.returncode in (1, 2) and done.stdout == ""
    (line,) = done.stderr.splitlines()
    assert line.startswith("test.py: ") and all(word in line for word in words)


def test_features_of_a_folder(folder: Path, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    for name in ("b.png", "sub/a.jpg", "sub/c.png"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        Image.fromarray(rng.integers(0, 256, (40, 20, 3), dtype=np.uint8)).save(tmp_path / name)
    (tmp_path / "sub/broken.jpg").write_bytes(b"no picture")
    (tmp_path / "notes.txt").write_text("x")
    arguments = ["--cfg", "small.yml", "--weights", "weights.pth", "--images", str(tmp_path), "--out", "features.npz"]
    done = run("extract.py", folder, *arguments)
    assert done.returncode == 0
    assert done.stdout == "features.npz: 3 features of length 512\n"
    assert str(tmp_path / "sub/broken.jpg") in done.stderr and "Traceback" not in done.stderr
    with np.load(folder / "features.npz") as content:
        assert content["paths"].tolist() == ["b.png", "sub/a.jpg", "sub/c.png"]
        assert content["features"].shape == (3, 512) and content["features"].dtype == np.float32
        np.testing.assert_allclose(np.linalg.norm(content["features"], axis=1), 1, rtol=1e-5)
        first = content["features"]
    assert run("extract.py", folder, *arguments, "TEST.FEAT_NORM", "no", "TEST.FLIP", "True").returncode == 0
    with np.load(folder / "features.npz") as content:
        other = content["features"]
    assert not np.allclose(other, first) and (np.sum(other * first, axis=1) > 0.9 * np.linalg.norm(other, axis=1)).all()


def test_nothing_to_extract_writes_nothing(folder: Path, tmp_path: Path) -> None:
    for images in (tmp_path, tmp_path / "nowhere"):
        done = run(
            "extract.py", folder, "--cfg", "small.yml", "--weights", "weights.pth", "--images", str(images),
            "--out", str(tmp_path / "out.npz"),
        )  # fmt: skip
        assert done.returncode == 2 and str(images) in done.stderr and len(done.stderr.splitlines()) == 1
    assert not (tmp_path / "out.npz").exists()


@pytest.mark.parametrize("tool", ["test.py", "extract.py"])
def test_help_needs_no_torch(tool: str) -> None:
    code = f"import runpy, sys, json; runpy.run_path({str(ROOT / 'tools' / tool)!r}, run_name='tool')"
    code += "; print(json.dumps('torch' in sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert json.loads(done.stdout) is False
