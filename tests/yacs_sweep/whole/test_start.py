"""What the launcher's processes import to run a sweep: time before the first trial, and memory as long as it runs."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

from tests.sweeping import GRID, command, environment, write_sweep
from tests.trainers import write_trainer

HEAVY = {"sqlalchemy", "alembic", "wandb", "torch", "pandas", "asyncio"}


def imported(text: str) -> set[str]:
    """The modules of Python's own account of its imports (`-X importtime`), and the packages they are in."""
    found: set[str] = set()
    for name in re.findall(r"^import time:.*\| +([\w.]+)$", text, re.MULTILINE):
        found |= {name, name.partition(".")[0]}
    return found


@pytest.fixture
def accounts(tmp_path: Path) -> dict[str, set[str]]:
    """Modules that the supervisor and the agent of a sweep of one trial have imported."""
    trainer, spec = write_trainer(tmp_path, "print('mAP: 1.0%')"), write_sweep(tmp_path, GRID)
    words = ["--sweep-config", spec, "--count", "1", "--wandb-mode", "disabled"]
    done = subprocess.run(
        command(*words, trainer=trainer, config=None),
        cwd=tmp_path,
        env=environment(tmp_path, PYTHONPROFILEIMPORTTIME="1"),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    (log,) = tmp_path.glob("log/sweep/sweep/*/agents/worker-0.log")
    return {"supervisor": imported(done.stderr), "agent": imported(log.read_text())}


def test_a_sweep_without_a_database_imports_nothing_heavy(accounts: dict[str, set[str]]) -> None:
    assert "yacs_sweep.launch.workers.supervisor" in accounts["supervisor"]
    assert not accounts["supervisor"] & (HEAVY | {"optuna", "numpy"})
    assert "yacs_sweep.search.local" in accounts["agent"]
    assert not accounts["agent"] & (HEAVY - {"asyncio"})  # Optuna's progress bar imports it
