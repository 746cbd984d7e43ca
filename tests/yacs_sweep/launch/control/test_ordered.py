"""Resuming a sweep of which users have ordered another number of trials, or further points."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.launches import SPEC, sweep_folder
from tests.sweeping import sweep, write_sweep
from tests.trainers import write_trainer
from yacs_sweep.launch.control.find import find_steered
from yacs_sweep.launch.control.given import count_order
from yacs_sweep.launch.control.ordered import counted_launch, waiting_points, with_orders
from yacs_sweep.launch.options.read import parse
from yacs_sweep.launch.options.table import Options
from yacs_sweep.launch.plan.dry_run import describe, next_trials
from yacs_sweep.launch.plan.make import make_plan
from yacs_sweep.launch.plan.plan import Plan
from yacs_sweep.launch.plan.source import Source
from yacs_sweep.records.control.order_file import OrderFile
from yacs_sweep.records.control.orders import Act, Order, new_order
from yacs_sweep.records.folder import SweepPaths, TrialRecord
from yacs_sweep.records.launch_file import LaunchFile
from yacs_sweep.spec.read_sweep import sweep_from_dict

RANDOM = sweep_from_dict(SPEC, "a sweep")


@pytest.fixture
def launch(tmp_path: Path) -> LaunchFile:
    return replace(LaunchFile.load(sweep_folder(tmp_path)), target=10)


def count(number: int) -> Order:
    return new_order("set_count", count=number)


def points(*values: float) -> Order:
    return new_order("add_points", points=[{"lr": value, "optimizer": "adam"} for value in values])


def test_without_an_order_the_largest_number_holds(launch: LaunchFile) -> None:
    other = replace(launch, target=12)
    assert counted_launch([launch, other], [new_order("pause")], RANDOM) == replace(launch, target=12)


@pytest.mark.parametrize("number", [4, 30])
def test_the_last_order_holds_and_what_a_later_launch_has_added(launch: LaunchFile, number: int) -> None:
    entries = [count(7), count(number)]
    found = counted_launch([launch, replace(launch, target=99, counted=entries[0].id)], entries, RANDOM)
    assert (found.target, found.counted) == (number, entries[1].id)
    later = replace(found, target=number + 3)  # --sweep_id ID --count 3
    assert counted_launch([found, later], entries, RANDOM).target == number + 3
    assert counted_launch([later], [*entries, count(5)], RANDOM).target == 5


def test_a_number_beyond_the_grid_or_run_cap_is_cut(launch: LaunchFile) -> None:
    grid = sweep_from_dict({**SPEC, "method": "grid", "parameters": {"lr": {"values": [1, 2, 3]}}})
    assert counted_launch([launch], [count(50)], grid).target == 3
    assert counted_launch([launch], [count(50)], sweep_from_dict({**SPEC, "run_cap": 20})).target == 20


def test_a_number_beyond_the_grid_is_not_ordered(tmp_path: Path) -> None:
    paths = sweep_folder(tmp_path, method="grid", parameters={"lr": {"values": [1, 2, 3]}})
    (sweep,) = find_steered(paths.sweep_id, parse(["--results_dir", str(tmp_path)]), "--sweep_id")
    assert count_order(50, "command")(sweep).given == {"count": 3}
    assert count_order(2, "command")(sweep).given == {"count": 2}


def test_a_search_that_had_no_trial_left_may_have_some_with_a_larger_number(launch: LaunchFile) -> None:
    over = replace(launch, exhausted=True)
    assert not counted_launch([over], [count(11)], RANDOM).exhausted
    assert counted_launch([over], [count(9)], RANDOM).exhausted


def test_points_wait_until_a_trial_has_them_unless_a_later_number_counts_them(launch: LaunchFile) -> None:
    first, second = points(0.01, 0.01, 0.02), points(0.05)
    tried = [TrialRecord("a", "a", 0, {"lr": 0.01, "optimizer": "adam"}, "finished")]
    source = Source(Options(), "local", spec=RANDOM, launch=launch)

    def waiting(*entries: Order) -> tuple[list[float], int]:
        found = with_orders(source, entries, tried)
        assert found.given == waiting_points(entries, tried, RANDOM)
        return [point["lr"] for point in found.given], found.owed

    assert waiting() == ([], 0)
    assert waiting(first, second) == ([0.01, 0.02, 0.05], 3)
    assert waiting(first, count(5), second) == ([0.01, 0.02, 0.05], 1)
    assert waiting(first, second, count(5)) == ([0.01, 0.02, 0.05], 0)


def test_a_sweep_that_is_done_tries_what_users_have_added_since(tmp_path: Path) -> None:
    trainer = write_trainer(tmp_path, "print('mAP: %.6f%%' % float(sys.argv[2].split('=')[1]))")
    body = {"method": "random", "parameters": {"base_lr": {"min": 0.1, "max": 1.0}}}
    words: dict[str, Any] = {"trainer": trainer.name, "config": None}
    quiet = ("--wandb-mode", "disabled")
    ran = sweep(tmp_path, "--sweep-config", write_sweep(tmp_path, body), "--count", "1", *quiet, **words)
    assert ran.code == 0, ran.out + ran.err
    paths = SweepPaths(ran.dir.parent.parent, ran.dir.name)

    words_of = ["--sweep_id", paths.sweep_id, "--results_dir", str(paths.base)]
    (record,) = paths.records()
    replace(record, state="killed", cause="interrupted").save(paths.trial(record.name))
    retried = make_plan(parse([*words_of, "--count", "3"]))
    assert f"(first 1 tried again, then random points of --seed {retried.launch.seed}):" in describe(retried)
    assert "  next trials (tried again):" in describe(make_plan(parse(words_of)))
    record.save(paths.trial(record.name))

    def order(act: Act, **given: Any) -> Plan:
        """Gives an order; returns what the next launch would do."""
        OrderFile(paths).append(new_order(act, **given))
        return make_plan(parse(["--sweep_id", paths.sweep_id, "--results_dir", str(paths.base)]))

    plan = order("add_points", points=[{"base_lr": 0.25}, {"base_lr": 0.5}])
    assert (
        "2 points of --add-points wait, tried with: "
        in sweep(tmp_path, "--status", "--sweep_id", ran.dir.name, trainer=None, config=None).out
    )
    one = make_plan(parse(["--sweep_id", paths.sweep_id, "--results_dir", str(paths.base), "--count", "1"]))
    assert "tried first: 1 of 2 points of --add-points; the others wait for --set-count N" in one.notes
    assert plan.count == 2
    assert [point["base_lr"] for _, point, _ in next_trials(plan)] == [0.25, 0.5]
    rest = sweep(tmp_path, "--sweep_id", ran.dir.name, trainer=None, config=None)
    assert rest.code == 0, rest.out + rest.err
    assert "tried first: 2 points of --add-points" in rest.out
    assert [record.params["base_lr"] for record in paths.records()][1:] == [0.25, 0.5]
    more, fewer = order("set_count", count=5), order("set_count", count=2)
    assert (more.count, more.launch.target) == (2, 5)
    assert (fewer.count, fewer.launch.target) == (0, 3)
    added = order("add_points", points=[{"base_lr": 0.75}])
    assert (added.count, added.launch.target) == (1, 4)
    over = make_plan(parse(["--sweep_id", paths.sweep_id, "--results_dir", str(paths.base), "--count", "4"]))
    assert (over.count, over.launch.target) == (4, 7)
