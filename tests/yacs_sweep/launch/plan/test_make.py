"""One maker for all plans: what it checks, it checks wherever the sweep comes from."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from tests.sweeping import GRID, TOY, write_sweep
from yacs_sweep.base.errors import ConfigError
from yacs_sweep.launch.plan.checks import controller_problems
from yacs_sweep.launch.plan.make import make_plan
from yacs_sweep.launch.plan.plan import Plan, new_paths
from yacs_sweep.launch.read_options import parse
from yacs_sweep.launch.run import create_folder
from yacs_sweep.records.folder import SweepPaths, TrialRecord
from yacs_sweep.search.storage.url import URL_VARIABLE

TRAINER = ("--trainer", str(TOY / "toy.yaml"), "--config_file", str(TOY / "toy.yml"), "--controller", "local")


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))


def begun(folder: Path) -> tuple[Plan, SweepPaths]:
    """A sweep of which one trial has finished."""
    plan = make_plan(parse([*TRAINER, "--sweep-config", str(write_sweep(folder, GRID)), "--seed", "3"]))
    paths = new_paths(plan.spec, "abcd1234")
    create_folder(plan, paths)
    trial = paths.trial("trial-0000")
    trial.dir.mkdir()
    point = plan.spec.grid_point(0)
    TrialRecord("abcd1234-0", "trial-0000", 0, point, "finished", value=1.0, dir=str(trial.dir)).save(trial)
    return plan, paths


def test_a_resumed_sweep_is_what_it_was(tmp_path: Path) -> None:
    plan, paths = begun(tmp_path)
    again = make_plan(parse(["--sweep_id", "abcd1234"]))
    inputs = paths.dir / "inputs"
    kept = replace(
        plan.launch, config_file=str(inputs / "config" / "toy.yml"), trainer=str(inputs / "trainer" / "toy.yaml")
    )
    assert again.launch == kept and again.spec == plan.spec
    assert (again.count, again.paths, again.resumed) == (plan.count - 1, paths, True)
    assert again.notes[0] == "resuming sweep abcd1234: 1 trial done, 2 to go"
    changed = make_plan(
        parse(["--sweep_id", "abcd1234", "--optimize", "best", "--wandb-mode", "disabled", "TOY.NOISE", "1.0"])
    )
    assert changed.spec == replace(plan.spec, optimize="best")
    assert changed.launch == replace(kept, wandb_mode="disabled", trailing=("TOY.NOISE", "1.0"))


def test_seeds_of_the_best_are_a_sweep_of_the_same_trainer(tmp_path: Path) -> None:
    _, paths = begun(tmp_path)
    best = make_plan(parse(["--train-best", "abcd1234", "--seeds", "2"]))
    assert (best.count, best.paths, best.resumed) == (2, SweepPaths(paths.base, "abcd1234-best"), False)
    inputs = paths.dir / "inputs"
    assert best.launch.trainer == str(inputs / "trainer" / "toy.yaml")
    assert best.launch.config_file == str(inputs / "config" / "toy.yml")
    assert best.spec.grid_size == 2


@pytest.mark.parametrize("which", ["new", "resumed", "best"])
def test_every_mistake_is_told_at_once(tmp_path: Path, which: str) -> None:
    _, paths = begun(tmp_path)
    words = {
        "new": [*TRAINER, "--sweep-config", "y.yaml"],
        "resumed": ["--sweep_id", paths.sweep_id],
        "best": ["--train-best", paths.sweep_id],
    }[which]
    with pytest.raises(ConfigError) as caught:
        make_plan(parse([*words, "--gpus", "x", "--agents", "2", "--python", "nowhere", "--log-model"]))
    told = sorted(problem.partition(":")[0] for problem in caught.value.problems)
    expected = ["--agents", "--gpus x", "--python nowhere"]
    assert told == (expected if which == "new" else ["--gpus x"])  # before a sweep is looked for
    with pytest.raises(ConfigError) as caught:
        make_plan(parse([*words, "--agents", "2", "--engine-option", "a=b", "--from-sweep", "x"]))
    told = [problem.partition(":")[0] for problem in caught.value.problems]
    assert told == ["--agents", "--engine-option", "--from-sweep"]


def test_a_storage_of_the_environment_is_not_the_users_mistake(monkeypatch: pytest.MonkeyPatch) -> None:
    assert [line.partition(":")[0] for line in controller_problems(parse(["--storage", "x"]), "wandb")] == ["--storage"]
    monkeypatch.setenv(URL_VARIABLE, "sqlite:///x.db")
    assert controller_problems(parse([]), "wandb") == []
