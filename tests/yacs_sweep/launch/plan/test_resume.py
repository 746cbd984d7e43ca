"""Resuming a sweep after what it stood on has changed: its storage, its folder, its files."""

from __future__ import annotations

import json
import shutil
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.sweeping import GRID, Ran, environment, sweep, write_sweep
from tests.trainers import kill_all, write_trainer
from yacs_sweep.launch.options.read import parse
from yacs_sweep.launch.plan.make import make_plan
from yacs_sweep.records.alive import AgentLock
from yacs_sweep.records.folder import SweepPaths, TrialRecord
from yacs_sweep.search.local import LocalController
from yacs_sweep.search.storage.url import URL_VARIABLE
from yacs_sweep.search.warm_start import WarmStart
from yacs_sweep.spec.read_sweep import sweep_from_dict

QUIET = ("--wandb-mode", "disabled")
CODE = "print('mAP: %.6f%%' % float(sys.argv[2].split('=')[1]))"
VALUES = GRID["parameters"]["base_lr"]["values"]


@pytest.fixture(autouse=True)
def nothing_stays(tmp_path: Path) -> Iterator[None]:
    yield
    kill_all(tmp_path)


def begun(folder: Path, *words: str | Path, **changes: Any) -> Ran:
    """A sweep of three points, of which two have been tried."""
    folder.mkdir(exist_ok=True)
    trainer, spec = write_trainer(folder, CODE), write_sweep(folder, {**GRID, **changes})
    ran = sweep(folder, "--sweep-config", spec, "--count", "2", *QUIET, *words, trainer=trainer.name, config=None)
    assert ran.code == 0, ran.out + ran.err
    return ran


def again(folder: Path, ran: Ran, *words: str, **more: Any) -> Ran:
    return sweep(folder, "--sweep_id", ran.dir.name, *words, trainer=None, config=None, **more)


def tried(ran: Ran) -> list[float]:
    return [record.params["base_lr"] for record in SweepPaths(ran.dir.parent.parent, ran.dir.name).records()]


@pytest.mark.parametrize("damage", ["deleted", "cut off"])
def test_a_storage_that_is_lost_is_told_what_the_folders_say(tmp_path: Path, damage: str) -> None:
    ran = begun(tmp_path)
    before = (ran.dir / "trial-0000" / "trial.json").read_bytes()
    journal = ran.dir / "storage.journal"
    if damage == "deleted":
        journal.unlink()
    else:
        journal.write_bytes(b"".join(journal.read_bytes().splitlines(keepends=True)[:4]))
    rest = again(tmp_path, ran)
    assert rest.code == 0, rest.out + rest.err
    assert "2 trials done, 1 to go" in rest.out
    assert tried(ran) == VALUES
    assert (ran.dir / "trial-0000" / "trial.json").read_bytes() == before


def test_a_database_named_from_another_folder_is_the_same_file(tmp_path: Path) -> None:
    ran, other = begun(tmp_path, "--storage", "sqlite:///trials.db"), tmp_path / "other"
    other.mkdir()
    rest = again(other, ran, env=environment(tmp_path))
    assert rest.code == 0, rest.out + rest.err
    assert tried(ran) == VALUES
    assert not list(other.iterdir())


def test_another_database_of_this_machine_is_told(tmp_path: Path) -> None:
    ran = begun(tmp_path)
    rest = again(tmp_path, ran, "--storage", f"sqlite:///{tmp_path}/trials.db")
    assert rest.code == 0, rest.out + rest.err
    assert tried(ran) == VALUES


def test_a_database_that_does_not_have_the_sweep_is_refused(tmp_path: Path) -> None:
    ran, url = begun(tmp_path), "postgresql://127.0.0.1:1/x"
    refused = again(tmp_path, ran, "--storage", url)
    assert refused.code == 2
    assert f"--storage: sweep {ran.dir.name} is kept in {ran.dir}/storage.journal; leave it out" in refused.err
    # One that the environment names is meant for others.
    rest = again(tmp_path, ran, env=environment(tmp_path, **{URL_VARIABLE: url}))
    assert rest.code == 0, rest.out + rest.err
    assert tried(ran) == VALUES


def test_of_what_was_asked_for_nothing_is_forgotten(tmp_path: Path) -> None:
    ran = begun(tmp_path, method="random", count=5, parameters={"base_lr": {"min": 0.1, "max": 1.0}})
    launch = json.loads((ran.dir / "launch.json").read_text())
    (ran.dir / "launch.json").write_text(json.dumps({**launch, "target": 5}))  # another launcher is still at it
    assert again(tmp_path, ran, "--count", "1").summary["counts"] == {"finished": 3}
    rest = again(tmp_path, ran)
    assert "3 trials done, 2 to go" in rest.out and rest.summary["counts"] == {"finished": 5}


def test_an_engine_does_what_this_launch_asks_for(tmp_path: Path) -> None:
    ran = begun(tmp_path, method="random", parameters={"base_lr": {"min": 0.1, "max": 1.0}})  # a grid has no 9 points
    launch = json.loads((ran.dir / "launch.json").read_text())
    (ran.dir / "launch.json").write_text(json.dumps({**launch, "target": 9}))
    words = ["--sweep_id", ran.dir.name, "--results_dir", str(ran.dir.parent.parent), "--count", "1"]
    assert make_plan(parse(words)).launch.target == 9
    # Its launchers are told by the target what they are to do.
    assert make_plan(parse([*words, "--engine", "slurm"])).launch.target == 3


def test_from_another_folder(tmp_path: Path) -> None:
    """The trainer is looked for where the sweep was started, not where it is gone on with."""
    ran = begun(tmp_path / "project")
    other = tmp_path / "other"
    other.mkdir()
    env = environment(tmp_path / "project")
    rest = again(other, ran, env=env)
    assert rest.code == 0, rest.out + rest.err
    assert tried(ran) == VALUES
    best = sweep(other, "--train-best", ran.dir.name, "--seeds", "1", trainer=None, config=None, env=env)
    assert best.code == 0, best.out + best.err


def test_a_trainer_without_a_folder_starts_where_the_sweep_was_started(tmp_path: Path) -> None:
    project, other = tmp_path / "project", tmp_path / "other"
    for folder, value in ((project, 1), (other, 7)):
        folder.mkdir()
        (folder / "train.py").write_text(f"print('mAP: {value}.0%')\n")
    profile = "command: [python, train.py]\noverrides: argparse\nmetrics:\n"
    profile += "  - {pattern: 'mAP: (?P<value>{number})%', log: {val/mAP: value}}\n"
    (project / "p.yaml").write_text(profile)
    ran = sweep(
        project, "--sweep-config", write_sweep(project, GRID), "--count", "1", *QUIET, trainer="p.yaml", config=None
    )
    assert ran.code == 0, ran.out + ran.err
    words = ("--sweep_id", ran.dir.name, "--results_dir", str(project / "log" / "sweep"))
    rest = sweep(other, *words, trainer=None, config=None)
    assert rest.code == 0, rest.out + rest.err
    assert [trial["value"] for trial in ran.summary["trials"]] == [1.0, 1.0, 1.0]


def test_a_project_that_was_moved(tmp_path: Path) -> None:
    begun(tmp_path / "old", results_dir_base=str(tmp_path / "results"))
    shutil.move(tmp_path / "old", tmp_path / "new")
    folder = next((tmp_path / "results" / "sweep").iterdir())
    launch = json.loads((folder / "launch.json").read_text())
    launch["trainer"] = str(tmp_path / "new" / Path(launch["trainer"]).name)
    (folder / "launch.json").write_text(json.dumps(launch))
    words = ("--sweep_id", folder.name, "--results_dir", str(tmp_path / "results"))
    rest = sweep(tmp_path / "new", *words, trainer=None, config=None)
    assert rest.code == 0, rest.out + rest.err
    assert len(list(folder.glob("trial-*"))) == 3
    # A configuration file has a place of its own.
    (folder / "launch.json").write_text(json.dumps({**launch, "config_file": str(tmp_path / "old" / "c.yml")}))
    refused = sweep(tmp_path / "new", *words, trainer=None, config=None)
    assert refused.code == 2
    assert f"--config_file: the sweep's is {tmp_path}/old/c.yml, which is not there" in refused.err


def test_a_search_that_was_changed_is_refused(tmp_path: Path) -> None:
    ran = begun(tmp_path)
    text = (ran.dir / "sweep.yaml").read_text()
    (ran.dir / "sweep.yaml").write_text(text.replace(f"- {VALUES[0]}", f"- 5.0e-05\n    - {VALUES[0]}"))
    refused = again(tmp_path, ran)
    assert refused.code == 2
    assert "its method, parameters or conditions were changed after the first trials" in refused.err
    (ran.dir / "sweep.yaml").write_text(text + "description: what else it says may change\n")
    assert again(tmp_path, ran).code == 0


def test_a_damaged_trial_is_named(tmp_path: Path) -> None:
    ran = begun(tmp_path)
    (ran.dir / "trial-0000" / "trial.json").write_text("{")
    rest = again(tmp_path, ran, "--count", "1")
    assert f"{ran.dir}/trial-0000/trial.json: cannot be read; its trial is missing" in rest.out


# -- what a storage is told -----------------------------------------------------------------------------


def agent(paths: SweepPaths, spec: dict[str, Any]) -> LocalController:
    lock = AgentLock(paths.agents, 0, "token")
    return LocalController(paths, sweep_from_dict(spec, "spec"), lock_name=lock.name, seed=1)


def written(paths: SweepPaths, number: int, lr: float, state: str, **more: Any) -> None:
    record = TrialRecord(f"s-{number}", f"trial-{number:04d}", number, {"base_lr": lr}, state, **more)
    paths.trial(record.name).dir.mkdir(parents=True)
    record.save(paths.trial(record.name))


def test_points_that_were_not_evaluated_are_tried_again_once(tmp_path: Path) -> None:
    paths, (first, second, third) = SweepPaths(tmp_path, "s"), VALUES
    written(paths, 0, second, "killed", cause="interrupted")
    written(paths, 1, first, "killed", cause="interrupted")
    written(paths, 3, first, "failed", retry_of="s-1")  # of 2 there is nothing
    controller = agent(paths, GRID)
    asked = [controller.ask() for _ in range(3)]
    points = [(given.number, given.params["base_lr"], given.retry_of) for _, given in filter(None, asked)]
    assert points == [(4, second, "s-0"), (5, third, None)]


def test_points_of_the_user_are_not_given_twice(tmp_path: Path) -> None:
    paths = SweepPaths(tmp_path, "s")
    spec = {**GRID, "method": "random", "parameters": {"base_lr": {"min": 0.0, "max": 1.0}}}
    written(paths, 0, 0.5, "finished", value=1.0)
    WarmStart(({"base_lr": 0.5}, {"base_lr": 0.25})).save(paths)
    controller = agent(paths, spec)
    (_, given), trials = controller.ask(), controller.study.get_trials()  # type: ignore[misc]
    assert given.params == {"base_lr": 0.25} and [trial.value for trial in trials[:1]] == [1.0]


def test_a_trial_that_ran_when_everything_died_is_lost(tmp_path: Path) -> None:
    paths = SweepPaths(tmp_path, "s")
    written(paths, 0, VALUES[0], "running", agent="0-gone", host=socket.gethostname())
    controller = agent(paths, GRID)
    assert [record.name for record in controller.lost] == ["trial-0000"]
    assert TrialRecord.load(paths.trial("trial-0000").record).state == "lost"
    _, given = controller.ask()  # type: ignore[misc]
    assert (given.number, given.params["base_lr"], given.retry_of) == (1, VALUES[0], "s-0")


def test_copies_and_other_folders_are_not_the_sweeps_trials(tmp_path: Path) -> None:
    paths = SweepPaths(tmp_path, "s")
    written(paths, 0, VALUES[0], "finished", value=1.0)
    shutil.copytree(paths.trial("trial-0000").dir, paths.dir / "trial-20261126")
    (paths.dir / "trial-99999999").mkdir()
    controller = agent(paths, GRID)
    assert [trial.value for trial in controller.study.get_trials()] == [1.0]
    assert controller.ask()[1].name == "trial-0001"  # type: ignore[index]


def test_a_grid_has_no_hole_where_nothing_is_left_of_a_trial(tmp_path: Path) -> None:
    paths = SweepPaths(tmp_path, "s")
    for number in (0, 2):
        written(paths, number, VALUES[number], "finished", value=1.0)
    controller = agent(paths, GRID)
    asked = [controller.ask() for _ in range(2)]
    assert [given.params["base_lr"] for _, given in filter(None, asked)] == [VALUES[1]]


def test_trials_that_wait_in_the_storage_and_are_evaluated(tmp_path: Path) -> None:
    paths = SweepPaths(tmp_path, "s")
    paths.dir.mkdir(parents=True)
    WarmStart(({"base_lr": 0.5}, {"base_lr": 0.25})).save(paths)
    spec = {**GRID, "method": "random", "parameters": {"base_lr": {"min": 0.0, "max": 1.0}}}
    agent(paths, spec)  # both wait now
    written(paths, 0, 0.5, "finished", value=1.0)
    written(paths, 1, 0.25, "stopped")
    controller = agent(paths, spec)
    found = controller.study.get_trials()
    assert [(trial.state.name, trial.value, trial.params) for trial in found] == [
        ("COMPLETE", 1.0, {"base_lr": 0.5}),
        ("PRUNED", None, {"base_lr": 0.25}),
    ]
    assert controller.ask()[1].name == "trial-0002"  # type: ignore[index]


def test_what_trials_logged_is_known_to_early_termination(tmp_path: Path) -> None:
    paths = SweepPaths(tmp_path, "s")
    written(paths, 0, VALUES[0], "finished", value=2.0)
    lines = [{"step": 0, "train/loss": 3.0}, {"step": 1, "val/mAP": 1.0}, {"step": 2, "val/mAP": 2.0}]
    paths.trial("trial-0000").metrics.write_text("".join(json.dumps(line) + "\n" for line in lines))
    (trial,) = agent(paths, GRID).study.get_trials()
    assert trial.intermediate_values == {1: 1.0, 2: 2.0}
