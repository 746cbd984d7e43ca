from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.engine.small_run import write_config

ROOT = Path(__file__).parents[2]
ENVIRONMENT = {**os.environ, "OMP_NUM_THREADS": "1", "WANDB_MODE": "disabled"}


def train(folder: Path, *arguments: str, flags: tuple[str, ...] = ()) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, *flags, str(ROOT / "tools/train.py"), *arguments]
    return subprocess.run(
        command, cwd=folder, env=ENVIRONMENT, capture_output=True, text=True, timeout=120, check=False
    )


@pytest.mark.parametrize("option", ["--config_file=x.yml", "--config-file=x.yml", "--cfg=x.yml"])
def test_a_mistake_is_told_before_torch_is_imported(tmp_path: Path, option: str) -> None:
    (tmp_path / "x.yml").write_text("MODEL: {PRETRAIN_CHOICE: none, NAMEE: resnet18}\n", encoding="utf-8")
    ended = train(tmp_path, option, "SOLVER.BASE_LR", "fast", flags=("-X", "importtime"))
    assert ended.returncode == 2
    assert not re.search(r"\| +(torch|torchvision|wandb)$", ended.stderr, re.MULTILINE)
    told = [line for line in ended.stderr.splitlines() if not line.startswith("import time:")]
    assert told == [
        "train.py: x.yml: MODEL.NAMEE: unknown key; did you mean MODEL.NAME?",
        "train.py: command line: SOLVER.BASE_LR: 'fast' does not fit; needs a number, as in 0.00035",
    ]
    assert ended.stdout == ""
    assert [path.name for path in tmp_path.iterdir()] == ["x.yml"]


def test_missing_data_are_one_line_and_create_nothing(tmp_path: Path) -> None:
    (tmp_path / "x.yml").write_text("MODEL: {PRETRAIN_CHOICE: none}\n", encoding="utf-8")
    ended = train(tmp_path, "--cfg", "x.yml", "DATASETS.ROOT_DIR", "nowhere")
    assert ended.returncode == 2
    assert len(ended.stderr.splitlines()) == 1
    assert ended.stderr.startswith("train.py: ")
    assert "nowhere" in ended.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["x.yml"]


@pytest.mark.slow
def test_sigterm_to_the_whole_group_then_the_same_command_ends_the_run(tmp_path: Path) -> None:
    config = write_config(tmp_path)
    arguments = ["--cfg", config.name, "DATALOADER.NUM_WORKERS", "2", "SOLVER.MAX_EPOCHS"]
    command = [sys.executable, str(ROOT / "tools/train.py"), *arguments, "1000"]
    lines = []
    with subprocess.Popen(
        command, cwd=tmp_path, env=ENVIRONMENT, stdout=subprocess.PIPE, text=True, start_new_session=True
    ) as child:
        assert child.stdout is not None
        for line in child.stdout:
            lines.append(line)
            if "Epoch[2] Iteration[2/4]" in line:
                os.killpg(child.pid, signal.SIGTERM)
    assert child.returncode == 143
    assert lines[-1].endswith("Stopped by SIGTERM; the same command continues from here\n")
    with pytest.raises(ProcessLookupError):
        os.killpg(child.pid, 0)  # no worker outlives the trainer
    written = re.search(r"Checkpoint: (\S+/checkpoint_epoch_(\d+)\S*)", lines[-2])
    assert written

    ended = train(tmp_path, *arguments, str(int(written[2]) + 1))
    assert (ended.returncode, ended.stderr) == (0, "")
    first = ended.stdout.splitlines()[0]
    assert f"Continuing from {written[1]}, after " in first and first.endswith(f"epoch {written[2]}")
    assert "mAP: " in ended.stdout
    log = (tmp_path / "log/small/log.txt").read_text(encoding="utf-8")
    assert log == "".join(lines) + ended.stdout
