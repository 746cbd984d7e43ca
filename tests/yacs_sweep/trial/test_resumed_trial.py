"""A trial that is started again in its folder: its trainer is told to resume, and trial.json keeps the plain command."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from tests.single_trials import Hooks
from tests.sweeping import TOY
from yacs_sweep.records.folder import SweepPaths
from yacs_sweep.trainers.load import load_profile
from yacs_sweep.trainers.overrides import Overrides
from yacs_sweep.trainers.schemas.read import read_schema
from yacs_sweep.trial.contract import Assignment, Launch
from yacs_sweep.trial.runner import TrialRunner

TRIAL = Assignment("t1", "trial-0000", 0, {"SOLVER.MAX_EPOCHS": 3})


def launch_of(folder: Path, how: str, resume: str) -> Launch:
    """Launches the toy trainer, which resumes as `how` says, by a profile with this `resume`."""
    profile = folder / "p.yaml"
    profile.write_text(f"extends: {TOY / 'toy.yaml'}\ncwd: {TOY}\n{resume}\n")
    loaded = load_profile(profile, project_root=folder)
    words = ("TOY.RESUMES", how, "TOY.SECONDS", "0.05")
    overrides = Overrides(loaded, read_schema(loaded))
    config = str(TOY / "toy.yml")
    return Launch(SweepPaths(folder, "s"), loaded, overrides, sys.executable, config, words, metric="val/mAP")


def run_twice(launch: Launch) -> tuple[list[str], list[list[str]]]:
    """Stops the trial at its first row, and runs it to its end; returns what was trained, and the words of both starts."""
    runner = TrialRunner(launch)
    try:
        stopped = runner.run(TRIAL, Hooks("enough"))
        assert stopped.state == "stopped"
        ended = runner.run(TRIAL, Hooks())
    finally:
        runner.close()
    assert (ended.state, ended.attempts, ended.command) == ("finished", 2, stopped.command)
    folder = launch.paths.trial("trial-0000").dir
    told = [[word.replace(str(folder), "F") for word in record.resumed_with] for record in (stopped, ended)]
    return (folder / "trained").read_text().split("\n")[:-1], told


ONCE = [f"{epoch} {iteration}" for epoch in (1, 2, 3) for iteration in (1, 2, 3)]


@pytest.mark.parametrize(
    ("how", "resume", "told"),
    [
        ("itself", "", []),
        ("told", "resume: --resume", ["--resume"]),
        ("told", "resume: [TOY.FROM, '{checkpoint}']", ["TOY.FROM", "F/state.pth"]),
    ],
)
def test_a_trainer_that_resumes_trains_nothing_twice(tmp_path: Path, how: str, resume: str, told: list[str]) -> None:
    trained, words = run_twice(launch_of(tmp_path, how, resume))
    assert trained == ONCE
    assert words == [[], told]


def test_a_trainer_that_is_not_told_starts_over(tmp_path: Path) -> None:
    trained, _ = run_twice(launch_of(tmp_path, "told", ""))
    assert trained[-9:] == ONCE and len(trained) > 9
