"""What is tried again in a launch, with the same parameters in the same folder, and what never is."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.engine.small_run import write_config
from tests.sweeping import ROOT, Ran, environment, start, sweep, write_sweep
from tests.trainers import kill_all, living, write_trainer

ONE = {
    "method": "grid",
    "metric": {"name": "val/mAP", "goal": "maximize"},
    "parameters": {"base_lr": {"values": [0.001]}},
}
QUIET = ("--wandb-mode", "disabled", "--grace", "2")
# Writes a checkpoint an epoch and ends as `end` says the first time it gets to epoch 3.
CONTINUING = """
checkpoint = out / "checkpoint"
epoch = int(checkpoint.read_text()) if checkpoint.exists() else 0
with (out / "starts").open("a") as file: file.write(" ".join(sys.argv[2:]) + "\\n")
while epoch < 5:
    epoch += 1
    print("mAP: %d.0%%" % epoch, flush=True)
    checkpoint.write_text(str(epoch))
    if epoch == 3: {end}
"""


@pytest.fixture(autouse=True)
def nothing_stays(tmp_path: Path) -> Iterator[None]:
    yield
    kill_all(tmp_path)


def run(folder: Path, end: str, *options: str) -> Ran:
    trainer = write_trainer(folder, CONTINUING.format(end=end))
    spec = write_sweep(folder, ONE)
    return sweep(folder, "--sweep-config", spec, *QUIET, *options, trainer=trainer, config=None)


def test_a_killed_trial_goes_on_from_its_checkpoint_with_the_same_parameters(tmp_path: Path) -> None:
    ran = run(tmp_path, "os.kill(os.getpid(), 9)", "--retries", "2")
    assert ran.code == 0, ran.out
    trial = ran.trial("trial-0000")
    assert (trial["state"], trial["attempts"], trial["value"]) == ("finished", 2, 5.0)
    rows = ran.rows("trial-0000")
    assert [row["val/mAP"] for row in rows] == [1, 2, 3, 4, 5]
    assert [row["step"] for row in rows] == [0, 1, 2, 3, 4]
    starts = (ran.dir / "trial-0000" / "starts").read_text().splitlines()
    assert starts == ["--base_lr=0.001"] * 2
    assert "SIGKILL, not sent by the launcher; attempt 2 of 3" in ran.out


@pytest.mark.parametrize(
    ("end", "options", "attempts", "cause"),
    [
        ("os.kill(os.getpid(), 9)", (), 1, "signal"),  # nobody asked for retries
        ("checkpoint.write_text('2'); os.kill(os.getpid(), 9)", ("--retries", "2"), 3, "signal"),  # bounded
        ("raise ValueError('bug')", ("--retries", "2"), 1, "exit"),
        ("sys.exit('diverged: loss is nan')", ("--retries", "2"), 1, "diverged"),
        ("import no_such_module", ("--retries", "2"), 1, "import_error"),
        ("sys.exit('CUDA out of memory')", ("--retries", "2"), 1, "cuda_oom"),
    ],
)
def test_a_failure_is_tried_as_often_as_it_is_worth(
    tmp_path: Path, end: str, options: tuple[str, ...], attempts: int, cause: str
) -> None:
    ran = run(tmp_path, end, *options)
    assert ran.code == 1
    trial = ran.trial("trial-0000")
    assert (trial["state"], trial["cause"], trial["attempts"]) == ("failed", cause, attempts)
    assert "mAP: 3.0%" in trial["last_lines"]


def test_out_of_memory_is_tried_again_on_request(tmp_path: Path) -> None:
    ran = run(tmp_path, "sys.exit('CUDA out of memory')", "--on-oom", "retry")
    assert ran.code == 0, ran.out
    assert ran.trial("trial-0000")["attempts"] == 2


def test_an_interrupt_in_a_retry_ends_it_and_the_point_goes_on_later(tmp_path: Path) -> None:
    hang = "import time; os.kill(os.getpid(), 9) if len(open(out / 'starts').readlines()) == 1 else time.sleep(1000)"
    trainer = write_trainer(tmp_path, CONTINUING.format(end="checkpoint.write_text('2'); " + hang))
    spec = write_sweep(tmp_path, ONE)
    launcher = start(tmp_path, "--sweep-config", spec, *QUIET, "--retries", "3", trainer=trainer, config=None)
    assert launcher.stdout is not None
    seen = 0
    for line in launcher.stdout:
        seen += line.startswith("mAP: 3")
        if seen == 2:  # the second attempt has come so far, too
            launcher.send_signal(signal.SIGINT)
            break
    rest, _ = launcher.communicate(timeout=180)
    assert launcher.returncode == 130, rest
    (place,) = (tmp_path / "log" / "sweep" / "sweep").iterdir()
    trial = json.loads((place / "trial-0000" / "trial.json").read_text())
    assert (trial["state"], trial["attempts"]) == ("killed", 2)
    assert not living(tmp_path)
    (tmp_path / "train.py").write_text((tmp_path / "train.py").read_text().replace("epoch == 3", "epoch == 99"))
    ran = sweep(tmp_path, "--sweep_id", place.name, *QUIET, trainer=trainer, config=None)
    assert ran.code == 0, ran.out
    assert [row["val/mAP"] for row in ran.rows("trial-0001")] == [3, 4, 5]  # from the first one's checkpoint


@pytest.mark.slow
@pytest.mark.parametrize("how", ["SIGKILL", "launcher"])
def test_the_real_trainer_goes_on_exactly(tmp_path: Path, how: str) -> None:
    """Losses and results of a trial that was ended in its third epoch are those of one that was not."""
    config = write_config(tmp_path)
    options = ["SOLVER.MAX_EPOCHS", "6", "SOLVER.CHECKPOINT_PERIOD", "1", "DATALOADER.NUM_WORKERS", "0"]
    env = environment(tmp_path, OMP_NUM_THREADS="1")
    whole = subprocess.run(
        [sys.executable, str(ROOT / "tools" / "train.py"), "--cfg", config.name, *options, "OUTPUT_DIR", "whole"],
        cwd=tmp_path,
        env={**env, "WANDB_MODE": "disabled"},
        capture_output=True,
        text=True,
        check=True,
    )
    spec = write_sweep(tmp_path, {**ONE, "parameters": {"base_lr": {"values": [0.01]}}})
    settings: dict[str, Any] = {"trainer": Path("reid"), "config": config, "env": env}
    words = ["--sweep-config", spec, *QUIET, "--grace", "30", "--retries", "1", "--no-preload", *options]
    launcher = start(tmp_path, *words, **settings)
    assert launcher.stdout is not None
    for line in launcher.stdout:
        if "Epoch[3] Iteration[2/" in line:
            if how == "SIGKILL":
                (trainer,) = [pid for pid in living(tmp_path) if _is_trainer(pid)]
                subprocess.run(["kill", "-9", str(trainer)], check=True)
            else:
                launcher.send_signal(signal.SIGINT)
            break
    rest, _ = launcher.communicate(timeout=120)
    (place,) = (tmp_path / "log" / "sweep" / "sweep").iterdir()
    if how == "launcher":
        assert launcher.returncode == 130, rest
        ran = sweep(tmp_path, "--sweep_id", place.name, *QUIET, **settings)
        assert ran.code == 0, ran.out
    else:
        assert launcher.returncode == 0, rest
    printed = "".join(path.read_text() for path in sorted(place.glob("trial-*/stdout.log")))
    assert _measured(whole.stdout) and _measured(printed) == _measured(whole.stdout)


def _is_trainer(pid: int) -> bool:
    return b"tools/train.py" in Path(f"/proc/{pid}/cmdline").read_bytes()


def _measured(output: str) -> list[str]:
    """The lines with numbers that training determines, each once: after a kill the last epoch is trained again."""
    told = [line for line in output.splitlines() if any(word in line for word in ("Loss: ", "mAP: ", "CMC"))]
    return list(dict.fromkeys(line.split(": ", 1)[1] for line in told))
