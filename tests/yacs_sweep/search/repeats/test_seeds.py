"""Trains the points of a sweep with several seeds, on each of the storages: which trial comes next, and how points count.

Trainers are not started; the agents are those of the controllers' common tests.
"""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from optuna.trial import create_trial

from tests.postgres import Postgres, programs
from tests.yacs_sweep.search.sweeps import STORAGES
from tests.yacs_sweep.search.test_controllers import Agent, Died, End, Sweep, work_together
from yacs_sweep.records.folder import TrialRecord
from yacs_sweep.records.points import group_points, point_name
from yacs_sweep.search.local import LocalController
from yacs_sweep.search.repeats.points import SeededPoints
from yacs_sweep.search.stored import CONSTRAINTS, PLACE, POINT
from yacs_sweep.search.warm_start import WarmStart
from yacs_sweep.spec.read_sweep import sweep_from_dict

GRID: dict[str, Any] = {
    "method": "grid",
    "metric": {"name": "v", "goal": "maximize"},
    "parameters": {"a": {"values": [1, 2, 3, 4]}},
    "repeats": 3,
}
RANDOM: dict[str, Any] = {**GRID, "method": "random", "parameters": {"a": {"min": 0.0, "max": 1.0}}}
Make = Callable[[Mapping[str, Any]], Sweep]


@pytest.fixture(scope="module")
def server() -> Iterator[Postgres | None]:
    if programs() is None:
        yield None
        return
    with Postgres(["max_connections=60", "fsync=off"]) as running:
        yield running


@pytest.fixture(params=STORAGES)
def make(request: pytest.FixtureRequest, server: Postgres | None, tmp_path: Path) -> Iterator[Make]:
    """Makes a sweep on each storage."""
    if request.param == "postgresql" and server is None:
        pytest.skip("PostgreSQL is not installed (`make postgres` installs it where it may)")
    made: list[Sweep] = []

    def make(body: Mapping[str, Any]) -> Sweep:
        made.append(Sweep(request.param, tmp_path, server, body))
        return made[-1]

    yield make
    for sweep in made:
        sweep.close()


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[Make]:
    """Makes a sweep on the journal file, for what does not depend on the storage."""
    made: list[Sweep] = []

    def make(body: Mapping[str, Any]) -> Sweep:
        made.append(Sweep("journal", tmp_path, None, body))
        return made[-1]

    yield make
    for sweep in made:
        sweep.close()


def leave(agent: Agent) -> None:
    """Ends an agent as the end of a launch does."""
    agent.controller.close()
    agent.lock.release()


def tried(records: list[TrialRecord]) -> list[tuple[str | None, Any, Any]]:
    """Lists point, parameter and seed of trials in order of their numbers."""
    return [(r.point, r.params["a"], r.seed) for r in sorted(records, key=lambda record: record.number)]


def value(params: Mapping[str, Any]) -> End:
    """Returns a trial's end: `a`, and a part that has a mean of 0 over the seeds 1, 2 and 3."""
    return "finished", float(params["a"]) + 0.25 * (params["seed"] - 2)


@pytest.mark.parametrize("agents", [1, 4])
def test_each_point_of_a_grid_is_trained_once_with_each_seed(make: Make, agents: int) -> None:
    sweep = make(GRID)
    working = [sweep.agent(value, target=12) for _ in range(agents)]
    work_together(working)
    wanted = [(point_name(p), p + 1, seed) for p in range(4) for seed in (1, 2, 3)]
    assert tried([record for agent in working for record in agent.ran]) == wanted
    assert [record.number for record in sweep.records()] == list(range(12))
    points = group_points(sweep.records())
    assert [(p.name, p.estimate.n, p.estimate.mean) for p in points] == [(point_name(p), 3, p + 1) for p in range(4)]


def test_fresh_seeds_are_used_once_and_folds_are_given_as_written(journal: Make) -> None:
    fresh = journal({**GRID, "repeats": {"n": 3, "seeds": "fresh"}})
    agent = fresh.agent()
    agent.work()
    assert len({record.seed for record in agent.ran}) == 12
    assert [record.seed for record in agent.ran[:6]] == [1, 2, 3, 1001, 1002, 1003]
    folds = journal({**GRID, "repeats": {"key": "FOLD", "values": ["x", "y"]}})
    agent = folds.agent()
    agent.work()
    assert [(record.params["a"], record.seed) for record in agent.ran] == [
        (a, fold) for a in (1, 2, 3, 4) for fold in ("x", "y")
    ]


@pytest.mark.parametrize("method", ["random", "bayes"])
def test_points_are_those_of_a_search_that_is_told_the_means(journal: Make, method: str) -> None:
    body = {**RANDOM, "method": method}
    plain = journal({key: part for key, part in body.items() if key != "repeats"})
    alone = plain.agent(
        lambda params: ("finished", math.fsum(value({**params, "seed": seed})[1] or 0.0 for seed in (1, 2, 3)) / 3),
        most=16,
    )
    alone.work()
    sweep = journal(body)
    agent = sweep.agent(value, most=48)
    agent.work()
    points = [record.params["a"] for record in agent.ran[::3]]
    assert points == [record.params["a"] for record in alone.ran]
    assert [record.params["a"] for record in agent.ran] == [a for a in points for _ in range(3)]
    if method == "bayes":
        assert isinstance(agent.controller, LocalController) and agent.controller.chooser.used == "GP"


@pytest.mark.parametrize("race", [False, True])
def test_an_interrupted_sweep_has_the_points_and_seeds_of_one_that_was_not(make: Make, race: bool) -> None:
    body = {**RANDOM, "repeats": {"n": 3, "race": race}}
    whole = make(body).agent(value, target=20)
    whole.work()
    sweep = make(body)
    cut = sweep.agent(value, most=7, target=20)
    cut.work()
    leave(cut)
    last = sweep.agent(value, target=20)
    last.work()
    assert len(whole.ran) == 20
    assert tried([*cut.ran, *last.ran]) == tried(whole.ran)


def test_a_failed_seed_does_not_spoil_its_point_and_is_tried_again_on_wish(make: Make) -> None:
    sweep = make(GRID)
    agent = sweep.agent(lambda params: ("failed", None) if (params["a"], params["seed"]) == (2, 1) else value(params))
    agent.work()
    assert len(agent.ran) == 12
    (failed,) = [record for record in agent.ran if record.state == "failed"]
    points = {point.name: point for point in group_points(sweep.records())}
    assert points["point-0001"].estimate.mean == 2.125  # of the seeds 2 and 3
    leave(agent)
    later = sweep.agent(value, target=12, retry=[failed.id])
    later.work()
    (again,) = later.ran
    assert (again.point, again.seed, again.params, again.retry_of) == ("point-0001", 1, {"a": 2}, failed.id)
    points = {point.name: point for point in group_points(sweep.records())}
    assert (points["point-0001"].estimate.n, points["point-0001"].estimate.mean) == (3, 2.0)


def test_a_lost_or_interrupted_seed_is_tried_again_and_none_twice(make: Make) -> None:
    sweep = make(GRID)

    def die(params: Mapping[str, Any]) -> End:
        if (params["a"], params["seed"]) == (2, 2):
            raise Died
        return value(params)

    first = sweep.agent(die, target=12)
    with pytest.raises(Died):
        first.work()
    first.die()
    second = sweep.agent(target=12)

    def interrupted(params: Mapping[str, Any]) -> End:
        if (params["a"], params["seed"]) == (3, 3):
            second.leaves = True
            return "killed", None
        return value(params)

    second.how = interrupted
    second.work()
    leave(second)
    last = sweep.agent(value, target=12)
    last.work()
    done = Counter((r.point, r.params["a"], r.seed) for r in sweep.records() if r.state == "finished")
    assert done == Counter((point_name(p), p + 1, seed) for p in range(4) for seed in (1, 2, 3))
    assert Counter(record.state for record in sweep.records()) == {"finished": 12, "lost": 1, "killed": 1}
    again = {record.retry_of: record.seed for record in sweep.records() if record.retry_of}
    assert again == {r.id: r.seed for r in sweep.records() if r.state in ("lost", "killed")}


def test_a_stopped_trial_ends_its_point_unless_its_rule_judges_trials_one_by_one(journal: Make) -> None:
    def stopped(params: Mapping[str, Any]) -> End:
        return ("stopped", 1.0) if (params["a"], params["seed"]) == (2, 2) else value(params)

    for rule, left in (({"type": "hyperband", "min_iter": 3}, 11), ({"type": "patience", "patience": 3}, 12)):
        agent = journal({**GRID, "early_terminate": rule}).agent(stopped)
        agent.work()
        assert len(agent.ran) == left
        assert [record.seed for record in agent.ran if record.params["a"] == 2] == [1, 2, 3][: left - 9]


def test_a_race_drops_bad_points_and_ends_a_grid_early(make: Make) -> None:
    body = {**GRID, "parameters": {"a": {"values": list(range(1, 13))}}, "repeats": {"n": 5, "race": True}}
    sweep = make(body)
    agents = [sweep.agent(value, target=60) for _ in range(3)]
    work_together(agents)
    seeds = defaultdict(list)
    for record in sweep.records():
        seeds[record.params["a"]].append(record.seed)
    assert sorted(seeds[12]) == [1, 2, 3, 4, 5]  # the best
    assert all(len(found) == len(set(found)) >= 1 for found in seeds.values()) and len(seeds) == 12
    assert sum(map(len, seeds.values())) < 40


def test_given_points_are_tried_first_with_all_their_seeds(journal: Make) -> None:
    sweep = journal(RANDOM)
    WarmStart(enqueue=({"a": 0.25}, {"a": 0.75})).save(sweep.paths)
    agent = sweep.agent(value, target=9)
    agent.work()
    ran = [(record.point, record.params["a"], record.seed) for record in agent.ran]
    assert ran[:6] == [(point_name(p), a, s) for p, a in ((0, 0.25), (1, 0.75)) for s in (1, 2, 3)]
    assert {record.point for record in agent.ran[6:]} == {"point-0002"}


def test_the_target_is_reached_by_the_mean_of_all_seeds(make: Make) -> None:
    # A single seed of the second point has 2.25; the third has a mean of 3.
    sweep = make({**GRID, "metric": {"name": "v", "goal": "maximize", "target": 2.2}})
    agent = sweep.agent(value, target=12)
    agent.work()
    assert len(agent.ran) == 9


@pytest.mark.parametrize("race", [False, True])
def test_a_storage_that_is_gone_is_restored_with_points_and_seeds(journal: Make, race: bool) -> None:
    sweep = journal({**GRID, "repeats": {"n": 3, "race": race}})
    first = sweep.agent(value, most=5, target=12)
    first.work()
    leave(first)
    sweep.paths.journal.unlink()
    last = sweep.agent(value, target=12)
    last.work()
    whole = journal({**GRID, "repeats": {"n": 3, "race": race}}).agent(value, target=12)
    whole.work()
    assert tried([*first.ran, *last.ran]) == tried(whole.ran)


def test_a_race_of_several_objectives_confirms_the_points_on_the_front() -> None:
    body = {
        "method": "random",
        "metrics": [{"name": "v", "goal": "maximize"}, {"name": "ms", "goal": "minimize", "threshold": 9}],
        "metric_constraints": ["size < 5"],
        "parameters": {"a": {"min": 0.0, "max": 1.0}},
        "repeats": {"n": 3, "race": True},
    }
    points = SeededPoints(sweep_from_dict(body))
    # Best in v but too slow; too large; on the front; dominated; on the front.
    rows = [((9.0, 10.0), 0.0), ((8.0, 1.0), 1.0), ((7.0, 5.0), 0.0), ((6.0, 6.0), 0.0), ((5.0, 2.0), 0.0)]
    got = []
    for number in range(9):
        turn = (number, 0) if number < 5 else points.next_seed(9 - number, new_points=False)
        if turn is None:
            break
        values, excess = rows[turn[0]]
        trial = create_trial(values=values, system_attrs={CONSTRAINTS: [excess]}, params={}, distributions={})
        trial.number, trial.user_attrs = number, {POINT: turn[0], PLACE: turn[1]}
        points.update(trial)
        got.append(turn)
    assert got[5:] == [(2, 1), (4, 1), (2, 2), (4, 2)]
    assert points.next_seed(1, new_points=False) is None
