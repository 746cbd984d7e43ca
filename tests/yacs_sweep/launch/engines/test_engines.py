"""Engines without a cluster: what is refused, and the words of the commands."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.sweeping import GRID, ROOT, environment, sweep, write_sweep
from yacs_sweep.base.errors import ConfigError, SweepError
from yacs_sweep.launch.engines import divide_trials, engine_problems, engine_settings, launch_command
from yacs_sweep.launch.engines.slurm import Slurm, _command
from yacs_sweep.launch.options.read import parse
from yacs_sweep.records.folder import SweepPaths
from yacs_sweep.records.launch_file import LaunchFile
from yacs_sweep.trainers.own_command import SWEEP_FILE


def test_settings_are_keys_and_values() -> None:
    assert engine_settings(["gres=gpu:a100:4", "exclusive", "comment=a=b"]) == {
        "gres": "gpu:a100:4",
        "exclusive": "",
        "comment": "a=b",
    }
    with pytest.raises(ConfigError, match="--gres=gpu"):
        engine_settings(["--gres=gpu"])


def test_a_missing_engine_is_said_before_anything_is_created(tmp_path: Path) -> None:
    spec = write_sweep(tmp_path, GRID)
    ran = sweep(tmp_path, "--sweep-config", spec, "--engine", "slurm", env={"PATH": "/nowhere", "HOME": str(tmp_path)})
    assert ran.code == 2
    assert "sbatch" in ran.err and len(ran.err.splitlines()) == 1
    assert not ran.sweeps


# What Slurm's client says of a question, and of a job.
SBATCH = """#!/bin/sh
case "$*" in *--test-only*) {question};; *) {job};; esac
"""


def fake_slurm(folder: Path, question: str, job: str = "echo 7") -> str:
    """A folder of Slurm's commands for PATH."""
    for name in ("sbatch", "squeue", "scancel", "scontrol"):
        program = folder / "bin" / name
        program.parent.mkdir(exist_ok=True)
        program.write_text(SBATCH.format(question=question, job=job))
        program.chmod(0o755)
    return f"{folder / 'bin'}:{os.environ['PATH']}"


def test_a_cluster_that_does_not_answer_leaves_no_sweep(tmp_path: Path) -> None:
    path = fake_slurm(tmp_path, "echo 'sbatch: error: Unable to contact slurm controller' >&2; exit 1")
    words = ("--sweep-config", write_sweep(tmp_path, GRID), "--engine", "slurm", "--controller", "local")
    ran = sweep(tmp_path, *words, env=environment(tmp_path, PATH=path))
    assert ran.code == 2 and not ran.sweeps
    (line,) = ran.err.splitlines()
    assert line == "error: --engine slurm: sbatch refused the job: sbatch: error: Unable to contact slurm controller"


def test_a_job_that_has_to_wait_for_its_nodes_is_submitted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    down = "echo 'allocation failure: Requested node configuration is not available' >&2; exit 1"
    monkeypatch.setenv("PATH", fake_slurm(tmp_path, down))
    engine = Slurm({}, 15.0)
    engine.ask(2)
    assert "Slurm job 7 (1 tasks" in engine.submit([["true"]], {}, SweepPaths(tmp_path, "abc"))
    monkeypatch.setenv("PATH", fake_slurm(tmp_path, down, "echo 'invalid partition' >&2; exit 1"))
    with pytest.raises(SweepError, match="sbatch: invalid partition"):
        engine.submit([["true"]], {}, SweepPaths(tmp_path, "abc"))


def test_a_notice_is_a_number_of_seconds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", fake_slurm(tmp_path, "true"))
    with pytest.raises(ConfigError, match="notice"):
        Slurm({"notice": "soon"}, 15.0)


def test_several_machines_need_a_database() -> None:
    options = parse(["--engine", "slurm", "--agents", "4"])
    assert "postgresql" in engine_problems(options, "local", None)[0]
    assert engine_problems(options, "local", "postgresql://host/x") == []
    assert engine_problems(options, "wandb", None) == []
    assert engine_problems(parse(["--engine", "slurm"]), "local", None) == []
    assert "--engine" in engine_problems(parse(["--agents", "4"]), "local", None)[0]


def test_the_engines_launchers_are_told_what_this_one_was() -> None:
    words = ["--engine", "ray", "--count", "9", "--timeout", "60", "--no-preload", "--config_file", "c.yml", "A.B", "1"]
    command = launch_command(parse(words), SweepPaths(Path("/r"), "abc"), launch("local", "/p.yaml"))
    assert command[0] == sys.executable
    assert command[2:] == [
        *("--sweep_id", "abc", "--results_dir", "/r", "--no-project-defaults", "--config-file", "c.yml"),
        *("--trainer", SWEEP_FILE, "--no-preload", "--timeout", "60.0"),
    ]
    parse(command[2:])


def launch(controller: str, trainer: str) -> LaunchFile:
    return LaunchFile(controller, None, trainer, None, (), 1, None, "offline", None, None, "/", 3)


@pytest.mark.parametrize(
    ("controller", "kept", "given", "told"),
    [
        ("local", "/p.yaml", None, SWEEP_FILE),  # what this launch has written into the database
        ("local", "/p.yaml", "p.yaml", SWEEP_FILE),
        ("local", SWEEP_FILE, None, SWEEP_FILE),
        ("wandb", "/p.yaml", "p.yaml", "p.yaml"),  # W&B's server knows no profile
        ("wandb", "/reid.yaml", None, None),
        ("wandb", SWEEP_FILE, None, SWEEP_FILE),
    ],
)
def test_the_engines_launchers_need_not_ask_who_says_what_starts(
    controller: str, kept: str, given: str | None, told: str | None
) -> None:
    options = parse(["--engine", "ray", *(["--trainer", given] if given else [])])
    command = launch_command(options, SweepPaths(Path("/r"), "abc"), launch(controller, kept))
    assert parse(command[2:]).trainer == told


def test_a_count_is_divided_among_launchers_that_do_not_see_each_other() -> None:
    assert divide_trials(10, 4) == [3, 3, 2, 2]
    assert divide_trials(2, 3) == [1, 1, 0]


def test_tasks_of_different_words_know_their_own() -> None:
    assert _command([["a", "b c"], ["a", "b c"]]) == "a 'b c'"
    assert "1) set -- a 2;;" in _command([["a", "1"], ["a", "2"]])


def test_a_launch_without_a_database_does_not_import_sqlalchemy() -> None:
    code = "import sys, yacs_sweep.launch.run, yacs_sweep.launch.plan.make; sys.exit('sqlalchemy' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False).returncode == 0
