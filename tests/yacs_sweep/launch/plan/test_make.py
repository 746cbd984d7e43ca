"""One maker for all plans: what it checks, it checks wherever the sweep comes from."""

from __future__ import annotations

import os
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from tests.sweeping import GRID, TOY, write_sweep
from tests.users import as_user
from yacs_sweep.base.errors import ConfigError
from yacs_sweep.launch.options.read import parse
from yacs_sweep.launch.plan.checks import controller_problems
from yacs_sweep.launch.plan.dry_run import describe
from yacs_sweep.launch.plan.make import make_plan
from yacs_sweep.launch.plan.plan import Plan, new_paths
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


def commands(plan: Plan) -> list[str]:
    """The command lines that a dry run shows."""
    return [line for line in describe(plan).splitlines() if " train.py " in line]


def test_a_dry_run_of_a_resumed_sweep_shows_its_next_trials(tmp_path: Path) -> None:
    plan, paths = begun(tmp_path)
    points = [plan.spec.grid_point(index)["base_lr"] for index in range(3)]
    shown = describe(make_plan(parse(["--sweep_id", "abcd1234", "--dry-run"])))
    assert "  next trials:" in shown.splitlines()
    for line, number in zip(commands(make_plan(parse(["--sweep_id", "abcd1234"]))), (1, 2), strict=True):
        assert f"SOLVER.BASE_LR {points[number]} " in line and line.endswith(
            f"OUTPUT_DIR {paths.dir}/trial-{number:04d}"
        )
    trial = paths.trial("trial-0001")
    trial.dir.mkdir()
    TrialRecord("abcd1234-1", "trial-0001", 1, {"base_lr": points[1]}, "failed", cause="exit").save(trial)
    retried = commands(make_plan(parse(["--sweep_id", "abcd1234", "--retry-failed"])))
    for line, (number, point) in zip(retried, ((2, 1), (3, 2)), strict=True):  # the failed point comes first
        assert f"SOLVER.BASE_LR {points[point]} " in line and line.endswith(
            f"OUTPUT_DIR {paths.dir}/trial-{number:04d}"
        )


def test_a_dry_run_of_a_new_sweep_names_no_folder_that_is_there(tmp_path: Path) -> None:
    write_sweep(tmp_path, GRID)
    plan = make_plan(parse([*TRAINER, "--sweep-config", str(tmp_path / "y.yaml")]))
    assert [line.rpartition("/")[2] for line in commands(plan)] == ["trial-0000", "trial-0001", "trial-0002"]
    assert all("/SWEEP_ID/" in line for line in commands(plan))


def test_copied_and_renamed_folders_are_told_in_one_line(tmp_path: Path) -> None:
    _, paths = begun(tmp_path)
    shutil.copytree(paths.dir / "trial-0000", paths.dir / "bak-0")
    (line,) = (note for note in make_plan(parse(["--sweep_id", "abcd1234"])).notes if "copy" in note)
    assert line == f"{paths.dir}/bak-0: is a copy of trial-0000, or trial-0000 renamed; it does not count"
    for number in range(1, 9):
        shutil.copytree(paths.dir / "trial-0000", paths.dir / f"bak-{number}")
    (line,) = (note for note in make_plan(parse(["--sweep_id", "abcd1234"])).notes if "copies" in note)
    assert line == (
        f"{paths.dir}: 9 folders are copies of trials, or renamed ones, and do not count: "
        "bak-0, bak-1, bak-2, bak-3, bak-4, …"
    )


@pytest.mark.skipif(os.getuid() != 0, reason="needs root, to become another user")
@pytest.mark.parametrize("closed", ["", "agents", "storage.journal"])
def test_a_folder_that_another_user_may_not_write_to_is_one_line(tmp_path: Path, closed: str) -> None:
    _, paths = begun(tmp_path)
    paths.journal.touch()
    make_plan(parse(["--sweep_id", "abcd1234"]))  # what it imports, the other user may not read
    for place in (paths.dir, *paths.dir.rglob("*")):
        place.chmod(0o777 if place.is_dir() else 0o666)
    place = paths.dir / closed
    place.chmod(0o755 if place.is_dir() else 0o644)
    told = f"{place}: cannot be written to; its owner, root, can let the group in: chmod -R g+rwX {paths.dir}"

    def joined() -> None:
        with pytest.raises(ConfigError) as caught:
            make_plan(parse(["--sweep_id", "abcd1234"]))
        assert caught.value.problems == [told]

    as_user(tmp_path, joined)


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
