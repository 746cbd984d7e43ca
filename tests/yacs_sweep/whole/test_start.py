"""What the launcher's processes import to run a sweep: time before the first trial, and memory as long as it runs."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

from tests.sweeping import GRID, ROOT, TOY, command, environment, write_sweep
from tests.sweeping import sweep as run_sweep
from tests.trainers import write_trainer
from tests.wandb_server import start_server
from tests.wandb_server.launching import grid, new_sweep, sweep

HEAVY = {"sqlalchemy", "alembic", "wandb", "torch", "pandas", "asyncio", "ssl", "email", "importlib.metadata"}


def imported(text: str) -> set[str]:
    """The modules of Python's own account of its imports (`-X importtime`), and the packages they are in."""
    found: set[str] = set()
    for name in re.findall(r"^import time:.*\| +([\w.]+)$", text, re.MULTILINE):
        found |= {name, name.partition(".")[0]}
    return found


def agents_imports(folder: Path) -> set[str]:
    """What the only agent has imported since it was started."""
    (log,) = folder.glob("log/sweep/sweep/*/agents/worker-0.log")
    found = imported(log.read_text())
    assert "encodings" in found  # of a file that is read: the account is there
    return found - {"encodings", "encodings.utf_8_sig"}


def test_the_supervisor_imports_nothing_heavy_and_an_agent_nothing_once_it_is_forked(tmp_path: Path) -> None:
    trainer, spec = write_trainer(tmp_path, "print('mAP: 1.0%')"), write_sweep(tmp_path, GRID)
    words = ["--sweep-config", spec, "--count", "1", "--wandb-mode", "disabled"]
    done = subprocess.run(
        command(*words, trainer=trainer, config=None),
        cwd=tmp_path,
        env=environment(tmp_path, PYTHONPROFILEIMPORTTIME="1"),
        capture_output=True,
        text=True,
        timeout=180,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    supervisor = imported(done.stderr)
    assert "yacs_sweep.launch.workers.supervisor" in supervisor
    assert not supervisor & (HEAVY | {"optuna", "numpy"})
    assert not agents_imports(tmp_path)


def test_what_agents_of_the_embedded_controller_are_forked_from_is_not_heavy() -> None:
    code = "import yacs_sweep.launch.workers.agent_server, yacs_sweep.search.local"
    done = subprocess.run(
        [sys.executable, "-X", "importtime", "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    modules = imported(done.stderr)
    assert {"yacs_sweep.launch.workers.agent", "yacs_sweep.search.local", "optuna"} <= modules
    assert not modules & HEAVY


def test_with_the_wandb_controller_its_client_is_imported_once(tmp_path: Path) -> None:
    with start_server() as server:
        words = new_sweep(tmp_path, grid(0.001), "SOLVER.MAX_EPOCHS", "1")
        ran = sweep(server, tmp_path, *words, env={"PYTHONPROFILEIMPORTTIME": "1"})
    assert ran.code == 0, ran.out + ran.err
    assert not imported(ran.err) & (HEAVY | {"optuna", "numpy"})  # the sweep was created by a fork of the server
    late = agents_imports(tmp_path)
    assert all(name == "wandb" or name.startswith(("wandb.sdk", "yacs_sweep")) for name in late)
    assert len(late) < 20


def test_the_trainers_tree_is_read_once_for_all_agents(tmp_path: Path) -> None:
    trainer = tmp_path / "trainer"
    shutil.copytree(TOY, trainer)
    with (trainer / "defaults.py").open("a") as file:
        file.write(
            f"\nif 'print_schema' in __import__('sys').argv[0]:\n    open({str(tmp_path / 'reads')!r}, 'a').write('x')\n"
        )
    words = ["--sweep-config", write_sweep(tmp_path, GRID), "--wandb-mode", "disabled", "--workers", "2"]
    ran = run_sweep(
        tmp_path, *words, "SOLVER.MAX_EPOCHS", "1", trainer=trainer / "toy.yaml", config=trainer / "toy.yml"
    )
    assert ran.code == 0, ran.out + ran.err
    assert (tmp_path / "reads").read_text() == "x"
