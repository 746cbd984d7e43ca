"""Trains the points of W&B's server with several seeds: against the loopback server's model, and in whole sweeps."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.yacs_sweep.search.test_controllers import (
    Died,
    DirectRecorder,
    DirectTransport,
    End,
    Sweep,
    work_together,
)
from yacs_sweep.records.folder import TrialRecord
from yacs_sweep.records.metrics import read_metrics
from yacs_sweep.records.points import group_points
from yacs_sweep.search import wandb, wandb_heartbeat
from yacs_sweep.search.controller import Controller
from yacs_sweep.search.repeats.server_points import RepeatingController

GRID: dict[str, Any] = {
    "method": "grid",
    "metric": {"name": "v", "goal": "maximize"},
    "parameters": {"a": {"values": [1, 2, 3]}},
    "repeats": 3,
}


class ServerSweep(Sweep):
    """A sweep with repeats on the model of the server."""

    def _controller(self, spec: Any, lock_name: str, target: int | None, retry: Any) -> Controller:
        recorder: Any = DirectRecorder(self.state)
        return RepeatingController(
            self.paths,
            spec,
            lock_name=lock_name,
            retries=1,
            retry=retry,
            recorder=recorder,
            seeds=recorder,
            project="p",
            entity="tester",
        )


Make = Callable[[Mapping[str, Any]], ServerSweep]


@pytest.fixture
def make(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Make]:
    made: list[ServerSweep] = []

    def make(body: Mapping[str, Any]) -> ServerSweep:
        made.append(ServerSweep("wandb", tmp_path, None, body))
        state = made[-1].state
        for module in (wandb, wandb_heartbeat):
            monkeypatch.setattr(module, "Transport", lambda: DirectTransport(state))
        monkeypatch.setattr(wandb_heartbeat, "IDLE_PERIOD", 0.02)
        monkeypatch.setattr(wandb_heartbeat, "BUSY_PERIOD", 0.02)
        return made[-1]

    yield make
    for sweep in made:
        sweep.close()


def value(params: Mapping[str, Any]) -> End:
    return "finished", float(params["a"]) + 0.25 * (params["seed"] - 2)


def tried(records: list[TrialRecord]) -> list[tuple[Any, Any]]:
    """Lists parameter and seed of the trials that have finished."""
    return sorted((record.params["a"], record.seed) for record in records if record.state == "finished")


ALL = [(a, seed) for a in (1, 2, 3) for seed in (1, 2, 3)]


def runs_of(sweep: ServerSweep, *, of_sweep: bool) -> list[Any]:
    return [run for run in sweep.state.runs.values() if (run.sweep == sweep.paths.sweep_id) == of_sweep]


@pytest.mark.parametrize("agents", [1, 3])
def test_each_run_of_the_server_is_a_point_of_several_trials(make: Make, agents: int) -> None:
    sweep = make(GRID)
    working = [sweep.agent(value) for _ in range(agents)]
    work_together(working)
    records = sweep.records()
    assert tried(records) == ALL
    assert len({record.id for record in records}) == len({record.name for record in records}) == 9
    points = group_points(records)
    assert sorted((point.name, point.estimate.n) for point in points) == [(f"point-000{p}", 3) for p in range(3)]
    # The server's own runs are the points; the trials are runs outside its sweep.
    assert len(runs_of(sweep, of_sweep=True)) == 3
    assert {run.name for run in runs_of(sweep, of_sweep=False)} == {record.id for record in records}
    for point in points:
        rows = read_metrics(sweep.paths.trial(point.name).metrics)
        assert [row["seeds"] for row in rows] == [1, 2, 3]
        assert rows[-1]["v"] == point.params["a"] and rows[-1]["v_sd"] == 0.25
        assert "v_sd" not in rows[0]


def test_a_point_goes_on_where_a_launch_has_ended(make: Make) -> None:
    sweep = make(GRID)
    first = sweep.agent(value, most=4)
    first.work()
    first.controller.close()
    first.lock.release()
    assert tried(sweep.records()) == ALL[:4]
    second = sweep.agent(value)

    def interrupted(params: Mapping[str, Any]) -> End:
        if (params["a"], params["seed"]) == (2, 3):
            second.leaves = True
            return "killed", None
        return value(params)

    second.how = interrupted
    second.work()
    second.controller.close()
    second.lock.release()
    last = sweep.agent(value)
    last.work()
    assert tried(sweep.records()) == ALL
    assert len(sweep.records()) == 9  # what is run again is the same trial
    assert len(runs_of(sweep, of_sweep=True)) == 3
    rows = read_metrics(sweep.paths.trial("point-0001").metrics)
    assert (rows[-1]["seeds"], rows[-1]["v"]) == (3, 2.0)


def test_a_seed_that_was_lost_with_its_agent_is_run_again(make: Make) -> None:
    sweep = make(GRID)

    def die(params: Mapping[str, Any]) -> End:
        if (params["a"], params["seed"]) == (2, 2):
            raise Died
        return value(params)

    first = sweep.agent(die)
    with pytest.raises(Died):
        first.work()
    first.die()
    second = sweep.agent(value)
    second.work()
    assert tried(sweep.records()) == ALL
    (again,) = [record for record in sweep.records() if record.attempts == 2]
    assert (again.params["a"], again.seed) == (2, 2)


def test_a_failed_seed_is_tried_again_on_wish_and_the_mean_is_logged_anew(make: Make) -> None:
    sweep = make(GRID)
    first = sweep.agent(lambda params: ("failed", None) if (params["a"], params["seed"]) == (2, 1) else value(params))
    first.work()
    first.controller.close()
    first.lock.release()
    (failed,) = [record for record in sweep.records() if record.state == "failed"]
    assert len(sweep.records()) == 9
    later = sweep.agent(value, retry=[failed.id])
    later.work()
    (again,) = later.ran
    assert (again.seed, again.point, again.retry_of) == (1, failed.point, failed.id)
    rows = read_metrics(sweep.paths.trial(str(failed.point)).metrics)
    assert (rows[-1]["seeds"], rows[-1]["v"]) == (3, 2.0)
    last = sweep.agent(value, retry=[failed.id])
    last.work()
    assert last.ran == []


def test_a_stop_ends_the_point(make: Make) -> None:
    sweep = make(GRID)
    agent = sweep.agent(lambda params: ("stopped", 1.0) if (params["a"], params["seed"]) == (2, 2) else value(params))
    agent.work()
    assert [(record.params["a"], record.seed) for record in agent.ran] == [
        (1, 1),
        (1, 2),
        (1, 3),
        (2, 1),
        (2, 2),
        (3, 1),
        (3, 2),
        (3, 3),
    ]


def test_a_point_that_is_out_of_the_race_gets_no_further_seed(make: Make) -> None:
    body = {**GRID, "parameters": {"a": {"values": [9, 8, 1, 2, 3]}}, "repeats": {"n": 5, "race": True}}
    sweep = make(body)
    agent = sweep.agent(value)
    agent.work()
    seeds = {a: sum(record.params["a"] == a for record in agent.ran) for a in (9, 8, 1, 2, 3)}
    assert seeds[9] == 5
    assert all(1 <= seeds[a] < 5 for a in (1, 2, 3))


def test_a_point_that_is_not_on_the_front_gets_no_further_seed(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    costs = {9: 1.0, 8: 5.0, 3: 0.5}  # 8 is worse than 9 in both
    body = {key: item for key, item in GRID.items() if key != "metric"}
    body |= {"metrics": [{"name": "v", "goal": "maximize"}, {"name": "w"}], "repeats": {"n": 4, "race": True}}
    sweep = make({**body, "parameters": {"a": {"values": list(costs)}}})
    agent = sweep.agent(value)
    run = agent.run

    def with_costs(*words: Any, **named: Any) -> TrialRecord:
        record = run(*words, **named)
        record.values = {"v": record.value, "w": costs[record.params["a"]]}
        record.save(sweep.paths.trial(record.name))
        return record

    monkeypatch.setattr(agent, "run", with_costs)
    agent.work()
    assert {a: sum(record.params["a"] == a for record in agent.ran) for a in costs} == {9: 4, 8: 1, 3: 4}
    logged = list(_last_rows(sweep))
    assert [row["w"] for row in logged] == [1.0, 0.5] and all(row["w_sd"] == 0 < row["v_sd"] for row in logged)


def _last_rows(sweep: ServerSweep) -> Iterator[dict[str, Any]]:
    """Yields the last row that the run of each point with several seeds has logged."""
    for path in sorted(sweep.paths.dir.glob("point-*/metrics.jsonl")):
        rows = read_metrics(path)
        if len(rows) > 1:
            yield rows[-1]
