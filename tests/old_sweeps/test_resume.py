"""Sweeps of earlier versions, in a project that was moved: shown, resumed, retried, and their best trained again."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.old_sweeps.old import VERSIONS, copy_project, sweeps
from tests.sweeping import ROOT, SWEEP, environment

REPORT = ROOT / "tools" / "report.py"
BEFORE = {"random": "trial-0001", "grid": "trial-0002"}  # the best when the sweep was left
OPEN = {"random": 2, "grid": 2}  # points that are to be tried yet: the interrupted one and another
EVERY = pytest.mark.parametrize("version", VERSIONS)


def run(project: Path, *words: str, tool: Path = SWEEP, code: int = 0) -> str:
    """Runs a tool in the project as its user does, and returns what it prints."""
    env = environment(project.parent, PYTHONDONTWRITEBYTECODE="1")
    command = [sys.executable, str(tool), *words]
    done = subprocess.run(command, cwd=project, env=env, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == code, done.stdout + done.stderr
    return done.stdout


def summary(project: Path, sweep_id: str) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((project / f"log/sweep/sweep/{sweep_id}/summary.json").read_text())
    return content


@EVERY
@pytest.mark.parametrize("name", ["random", "grid"])
def test_an_old_sweep_is_shown_resumed_retried_and_trained_again(tmp_path: Path, version: str, name: str) -> None:
    project, sweep_id = copy_project(version, tmp_path / "moved"), sweeps(version)[name]
    before = summary(project, sweep_id)
    assert f"best  {BEFORE[name]}" in run(project, "--status", "--sweep_id", sweep_id, code=1)
    report = run(project, "--sweep_id", sweep_id, "--format", "json", tool=REPORT)
    assert json.loads(report)["best"]["trial"] == BEFORE[name]

    told = run(project, "--sweep_id", sweep_id, code=1)
    assert f"{OPEN[name]} to go" in told and "1 trial has failed; --retry-failed" in told, told
    after = summary(project, sweep_id)
    assert after["counts"]["finished"] == before["counts"]["finished"] + OPEN[name] and after["counts"]["failed"] == 1
    assert_same_form(before, after)
    line = re.search(r"train with it: (.*)", told)
    assert line is not None  # in today's interpreter: the trial's was another machine's
    again = subprocess.run(line[1], shell=True, cwd=project, capture_output=True, text=True, timeout=60, check=False)
    assert again.returncode == 0 and "Validation: accuracy" in again.stdout, again.stderr

    (project / "warmup.txt").touch()  # the cause of the failure is mended
    run(project, "--sweep_id", sweep_id, "--retry-failed")
    if name == "random":  # a grid has no further points
        run(project, "--sweep_id", sweep_id, "--count", "1")
    finished = summary(project, sweep_id)["counts"]["finished"]
    assert finished == after["counts"]["finished"] + (2 if name == "random" else 1)
    points = [json.dumps(row["params"]) for row in summary(project, sweep_id)["trials"] if row["state"] == "finished"]
    assert len(set(points)) == finished, "a point was trained twice"

    assert "with 2 seeds; the search's best trial" in run(project, "--train-best", sweep_id, "--seeds", "2")
    assert str(project) in (project / f"log/sweep/sweep/{sweep_id}-best/trial-0000/trial.json").read_text()
    launch = (project / f"log/sweep/sweep/{sweep_id}/launch.json").read_text()
    assert "/srv/project" not in launch  # from now on the project may be moved as any other


def assert_same_form(old: Any, new: Any, place: str = "summary.json") -> None:
    """Asserts that each key of old JSON is in the new one, with a value of the same type where both have one."""
    if isinstance(old, dict):
        assert isinstance(new, dict), place
        for key, value in old.items():
            if place.endswith(("params", "counts")):
                continue  # names of the search; states that occur
            assert key in new, f"{place}: {key} is gone"
            assert_same_form(value, new[key], f"{place}: {key}")
    elif isinstance(old, list) and old and new:
        assert_same_form(old[0], new[0], f"{place}[0]")
    elif old is not None and new is not None:
        assert isinstance(new, type(old)) or {type(old), type(new)} == {int, float}, f"{place}: {old!r} is now {new!r}"


@EVERY
def test_the_best_of_a_moved_sweep_is_trained_without_resuming_it(tmp_path: Path, version: str) -> None:
    project, sweep_id = copy_project(version, tmp_path / "moved"), sweeps(version)["grid"]
    dry = run(project, "--train-best", sweep_id, "--seeds", "2", "--dry-run")
    assert str(project) in dry and "/srv/project" not in dry


@EVERY
def test_a_copy_leaves_the_original_alone(tmp_path: Path, version: str) -> None:
    """Where both are there, each sweep goes on in its own project."""
    original, sweep_id = copy_project(version, tmp_path / "original"), sweeps(version)["grid"]
    launch = original / f"log/sweep/sweep/{sweep_id}/launch.json"
    launch.write_text(launch.read_text().replace("/srv/project", str(original)))
    copied = copy_project(version, tmp_path / "copy")
    (copied / f"log/sweep/sweep/{sweep_id}/launch.json").write_text(launch.read_text())
    here = run(copied, "--sweep_id", sweep_id, "--dry-run")
    assert f"OUTPUT_DIR {copied}/" in here and f"--config_file={copied}/" in here and str(original) not in here
    there = run(original, "--sweep_id", sweep_id, "--dry-run")
    assert f"--config_file={original}/" in there and str(copied) not in there


@EVERY
def test_results_in_a_linked_folder_are_no_moved_project(tmp_path: Path, version: str) -> None:
    project, sweep_id = copy_project(version, tmp_path / "project"), sweeps(version)["random"]
    launch = project / f"log/sweep/sweep/{sweep_id}/launch.json"
    launch.write_text(launch.read_text().replace("/srv/project", str(project)))
    (tmp_path / "disk").mkdir()
    (project / "log").rename(tmp_path / "disk/log")
    (project / "log").symlink_to(tmp_path / "disk/log")
    assert f"--config_file={project}/" in run(project, "--sweep_id", sweep_id, "--dry-run")
