"""`--engine slurm` on a cluster of one machine: `make test-slurm` installs and runs it."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.postgres import Postgres, programs
from tests.slurm import Slurm, missing
from tests.sweeping import SWEEP, environment, processes_with, write_sweep
from tests.trainers import kill_all, living, wait_until, write_trainer
from yacs_sweep.search.storage.url import URL_VARIABLE

SPEC: dict[str, Any] = {
    "method": "random",
    "metric": {"name": "val/mAP", "goal": "maximize"},
    "parameters": {"base_lr": {"min": 0.0, "max": 1.0}},
}

pytestmark = pytest.mark.slurm

# Goes on from its checkpoint, which it writes when it is asked to end.
RESUMING = """
import signal, time
state = out / "checkpoint"
done = int(state.read_text()) if state.exists() else 0
print("from", done, flush=True)
def save(*_):
    state.write_text(str(done)); sys.exit(143)
signal.signal(signal.SIGTERM, save)
while done < 150:
    time.sleep(0.5); done += 1
print("mAP: 1.5%")
"""


@pytest.fixture(scope="module")
def cluster() -> Iterator[tuple[Slurm, Postgres]]:
    assert not missing() and programs() is not None, "make test-slurm installs Slurm and PostgreSQL"
    slurm, server = Slurm(), Postgres(["fsync=off"])
    try:
        server.start()
        slurm.start()
        yield slurm, server
    finally:
        slurm.close()
        server.close()


@pytest.fixture(autouse=True)
def nothing_stays(tmp_path: Path) -> Iterator[None]:
    yield
    kill_all(tmp_path)


def submit(
    cluster: tuple[Slurm, Postgres], home: Path, code: str, count: int, *words: str
) -> tuple[subprocess.Popen[str], Path]:
    """The launcher that hands a sweep over, and its folder once the job is there."""
    slurm, server = cluster
    trainer = write_trainer(home, code)
    spec = write_sweep(home, {**SPEC, "count": count})
    command = [sys.executable, str(SWEEP), "--trainer", str(trainer), "--sweep-config", str(spec), "--engine", "slurm"]
    command += ["--verbose", "--wandb-mode", "disabled", "--grace", "5", *words]
    env = environment(home, **slurm.environment, **{URL_VARIABLE: server.url})
    with (home / "output").open("w") as output:
        launcher = subprocess.Popen(command, cwd=home, env=env, stdout=output, stderr=subprocess.STDOUT, text=True)
    wait_until(lambda: "Slurm job" in (home / "output").read_text() or launcher.poll() is not None, 60)
    assert "Slurm job" in text(home), text(home)
    (folder,) = (home / "log" / "sweep" / "sweep").iterdir()
    return launcher, folder


def text(home: Path) -> str:
    return (home / "output").read_text()


def everything(home: Path, folder: Path) -> str:
    return text(home) + "".join(f"\n== {path}\n{path.read_text()}" for path in sorted(folder.glob("agents/*.out")))


def test_an_array_job_of_agents_does_the_trials_that_were_asked_for(
    cluster: tuple[Slurm, Postgres], tmp_path: Path
) -> None:
    code = "import time; time.sleep(1); print('mAP: 1.5%')"
    launcher, folder = submit(cluster, tmp_path, code, 7, "--agents", "2", "--engine-option", "partition=work")
    assert launcher.wait(180) == 0, everything(tmp_path, folder)
    summary = json.loads((folder / "summary.json").read_text())
    assert summary["counts"] == {"finished": 7}
    assert len({trial["params"]["base_lr"] for trial in summary["trials"]}) == 7
    assert text(tmp_path).count("✓") == 7
    outputs = [path.read_text() for path in folder.glob("agents/slurm-*.out")]
    assert len(outputs) == 2 and all("▶" in output for output in outputs)
    assert cluster[1].url not in "".join(path.read_text() for path in folder.rglob("*.*") if path.is_file())
    assert not living(tmp_path)


def test_before_its_time_limit_a_task_writes_a_checkpoint_and_is_put_back(
    cluster: tuple[Slurm, Postgres], tmp_path: Path
) -> None:
    # Slurm sends the signal up to a minute early.
    limits = ("--engine-option", "time=2", "--engine-option", "notice=30")
    launcher, folder = submit(cluster, tmp_path, RESUMING, 1, *limits)
    assert launcher.wait(500) == 0, everything(tmp_path, folder)
    trials = json.loads((folder / "summary.json").read_text())["trials"]
    assert [trial["state"] for trial in trials] == ["killed"] * (len(trials) - 1) + ["finished"]
    assert len(trials) > 1, everything(tmp_path, folder)
    starts = [int(line.split()[1]) for trial in trials for line in _lines(folder, trial) if line.startswith("from")]
    assert starts == sorted(starts) and len(set(starts)) == len(trials)  # each goes on where the last one was
    assert "goes back into the queue" in everything(tmp_path, folder)


def _lines(folder: Path, trial: dict[str, Any]) -> list[str]:
    return (folder / trial["name"] / "stdout.log").read_text().splitlines()


@pytest.mark.parametrize("how", ["scancel", "SIGINT"])
def test_scancel_and_an_interrupt_end_every_trainer(cluster: tuple[Slurm, Postgres], tmp_path: Path, how: str) -> None:
    code = "import subprocess\nsubprocess.Popen(['sleep', '1234'], start_new_session=True)\nprint('up', flush=True)\n"
    code += "import time; time.sleep(1000)"
    launcher, folder = submit(cluster, tmp_path, code, 4, "--agents", "2")
    try:
        wait_until(lambda: sum("up" in path.read_text() for path in folder.glob("agents/slurm-*.out")) == 2, 120)
    except AssertionError:
        raise AssertionError(everything(tmp_path, folder) + cluster[0].logs()) from None
    job = re.search(r"Slurm job (\d+)", text(tmp_path))
    assert job is not None
    if how == "scancel":
        cluster[0].run("scancel", job[1])
    else:
        os.kill(launcher.pid, signal.SIGINT)
    wait_until(lambda: not processes_with(f"{folder}/trial-"), 40)
    status = launcher.wait(120)
    assert status == (1 if how == "scancel" else 130), everything(tmp_path, folder)
    assert not processes_with("sleep\x001234")
    wait_until(lambda: job[1] not in cluster[0].run("squeue", "-h", "--array", "-o", "%A"), 30)
    states = {trial["state"] for trial in json.loads((folder / "summary.json").read_text())["trials"]}
    assert "running" not in states, everything(tmp_path, folder)
