"""Tests how agents carry out a copy: who gets which trial while a checkpoint is copied, and when an agent dies before that."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from optuna.trial import Trial

from yacs_sweep.records.alive import AgentLock
from yacs_sweep.records.folder import SweepPaths, TrialRecord
from yacs_sweep.records.metrics import MetricsFile, read_metrics
from yacs_sweep.search.local import LocalController
from yacs_sweep.spec.read_sweep import sweep_from_dict
from yacs_sweep.trial.contract import Assignment

SPEC: dict[str, Any] = {
    "method": "pbt",
    "metric": {"name": "loss", "goal": "minimize"},
    "pbt": {"population": 2, "interval": 1, "max_iter": 3, "resample": 0},
    "parameters": {"lr": {"distribution": "log_uniform_values", "min": 1e-4, "max": 1.0}},
}


class Agents:
    """Agents of one sweep, each a process of its own in truth."""

    def __init__(self, paths: SweepPaths) -> None:
        self.paths, self.open = paths, list[tuple[AgentLock, LocalController]]()
        paths.agents.mkdir(parents=True)

    def new(self) -> LocalController:
        lock = AgentLock(self.paths.agents, len(self.open), f"token{len(self.open)}")
        found = LocalController(self.paths, sweep_from_dict(SPEC), lock_name=lock.name, seed=1, target=2)
        self.open.append((lock, found))
        return found

    def kill(self, agent: LocalController) -> None:
        """Ends an agent as SIGKILL does: only its lock is released."""
        next(lock for lock, found in self.open if found is agent).release()

    def start(self, agent: LocalController, asked: tuple[Trial, Assignment]) -> Any:
        """Writes the record of a trial, as its runner does once it has the files that it begins from."""
        trial, given = asked
        record = TrialRecord(given.id, given.name, given.number, dict(given.params), until=given.until)
        record.parent_trial, record.begun_at, record.replaces = given.parent, given.begun_at, given.replaces
        before = self.paths.record(given.name)
        record.iterations = before.iterations if before else given.begun_at or None
        record.agent = agent.coordinator.owner()["agent"]
        place = self.paths.trial(given.name)
        place.dir.mkdir(exist_ok=True)
        if given.parent is not None and not place.metrics.exists():
            shutil.copyfile(self.paths.trial(given.parent).metrics, place.metrics)
        record.starts = [row["step"] for row in read_metrics(place.metrics)][-1:]
        record.save(place, durable=False)
        hooks = agent.hooks(trial)
        hooks._until = given.until
        hooks.started(record, place)
        return hooks, record

    def train(self, agent: LocalController, loss: float) -> Assignment:
        """Gets the next trial and trains it for one iteration, after which it pauses."""
        asked = agent.ask()
        assert asked is not None
        hooks, record = self.start(agent, asked)
        rows = MetricsFile(self.paths.trial(record.name).metrics)
        hooks.log({"loss": loss}, rows.append({"loss": loss}))
        rows.close()
        record.state, record.cause, record.iterations = "paused", "paused", (record.iterations or 0) + 1
        record.value = loss
        record.save(self.paths.trial(record.name), durable=False)
        hooks.ended(record)
        return asked[1]


@pytest.fixture
def agents(tmp_path: Path) -> Iterator[Agents]:
    found = Agents(SweepPaths(tmp_path, "s"))
    yield found
    for _, agent in found.open:
        agent.close()


def test_a_trial_rests_while_its_checkpoint_is_copied(agents: Agents) -> None:
    one, two = agents.new(), agents.new()
    better, worse = agents.train(one, 1.0), agents.train(one, 2.0)
    copy = one.ask()
    assert copy is not None
    given = copy[1]
    assert (given.parent, given.begun_at, given.replaces) == (better.name, 1, worse.name)
    assert given.params["lr"] == pytest.approx(better.params["lr"] * 0.8) or given.params["lr"] == pytest.approx(
        better.params["lr"] * 1.2
    )
    two._next.choose()
    assert two._next.pausing is not None
    with two.coordinator.exclusively():
        assert two._next.choose() is None  # the better one's files are being read
    assert agents.paths.record(worse.name).state == "paused"  # type: ignore[union-attr]
    agents.start(one, copy)
    resumed = two.ask()
    assert resumed is not None
    assert resumed[1].name == better.name
    ended = agents.paths.record(worse.name)
    assert ended is not None
    assert (ended.state, ended.cause) == ("stopped", "replaced")
    assert ended.reason == f"replaced by {given.name}, a copy of {better.name} at iteration 1"


def test_a_copy_whose_agent_died_before_it_began_is_made_by_another(agents: Agents) -> None:
    one = agents.new()
    better, worse = agents.train(one, 1.0), agents.train(one, 2.0)
    copy = one.ask()
    assert copy is not None
    agents.paths.trial(copy[1].name).dir.mkdir()  # it had begun to copy
    agents.kill(one)
    two = agents.new()
    again = two.ask()
    assert again is not None
    assert again[1] == copy[1]
    agents.start(two, again)
    assert agents.train(two, 1.5).name == better.name
    assert [record.name for record in agents.paths.records()] == [better.name, worse.name, copy[1].name]
    assert two._next._new_left() == 0


def test_the_storage_may_be_lost_after_a_copy(agents: Agents) -> None:
    one = agents.new()
    better, worse = agents.train(one, 1.0), agents.train(one, 2.0)
    copy = agents.train(one, 1.5)
    assert copy.parent == better.name
    agents.kill(one)
    (agents.paths.dir / "storage.journal").unlink()
    two = agents.new()
    found = agents.train(two, 1.2)
    assert found.name == better.name
    assert found.until == 2
    assert two._next._new_left() == 0
    ended = agents.paths.record(worse.name)
    assert ended is not None
    assert ended.state == "stopped"
