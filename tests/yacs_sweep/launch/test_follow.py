"""Following the trials that an engine's launches run."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from yacs_sweep.base.errors import SweepError
from yacs_sweep.launch import follow as follow_module
from yacs_sweep.launch.follow import Follower
from yacs_sweep.launch.workers.sweep_state import Outcome
from yacs_sweep.launch.workers.time_limits import TimeLimits
from yacs_sweep.records.control.order_file import OrderFile
from yacs_sweep.records.control.orders import Order, new_order
from yacs_sweep.records.folder import SweepPaths, TrialRecord
from yacs_sweep.records.summary import Summary
from yacs_sweep.spec.budget.budget import Budget


class Fake:
    """An engine whose agents do nothing; it answers what it is told to."""

    def __init__(self, *answers: int | Exception) -> None:
        self.answers, self.cancelled = list(answers), 0

    def submit(self, commands: object, environment: object, paths: object) -> str:
        return "fake"

    def alive(self) -> int:
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    def cancel(self) -> None:
        self.cancelled += 1


def follow(
    tmp_path: Path,
    engine: Fake,
    monkeypatch: pytest.MonkeyPatch,
    *states: str,
    orders: Sequence[Order] = (),
    budget: Budget | None = None,
) -> tuple[Outcome, list[str]]:
    """Follows a sweep of two trials whose folder has trials of these states; users give orders meanwhile."""
    for name in ("PERIOD", "ASK"):
        monkeypatch.setattr(follow_module, name, 0.0)
    paths = SweepPaths(tmp_path, "abc")
    for number, state in enumerate(states):
        trial = paths.trial(f"trial-000{number}")
        trial.dir.mkdir(parents=True)
        TrialRecord(f"abc-{number}", trial.dir.name, number, {"x": number}, state, value=1.0).save(trial)
    paths.dir.mkdir(parents=True, exist_ok=True)
    summary = Summary(paths, name="s", controller="local", method="random", metric="m", goal="minimize")
    summary.records.clear()  # nothing was there when the sweep was handed over
    said: list[str] = []
    log = OrderFile(paths)
    follower = Follower(
        engine,
        summary,
        target=2,
        grace=1.0,
        on_trial=lambda record: said.append(record.state),
        say=said.append,
        orders=log,
        limits=None if budget is None else TimeLimits(budget, summary),
    )
    for order in orders:
        OrderFile(paths).append(order)
    return follower.run(), said


def test_trials_elsewhere_are_shown_and_agents_that_are_not_needed_cancelled(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = Fake(3, 1, 0)
    outcome, said = follow(tmp_path, engine, monkeypatch, "finished", "failed")
    assert outcome.message is None and engine.cancelled == 1
    assert said == ["running", "finished", "running", "failed"]


def test_agents_that_end_too_early_are_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    engine = Fake(2, SweepError("squeue: timed out"), 1, 0)  # an engine may be deaf for a while
    outcome, said = follow(tmp_path, engine, monkeypatch, "finished", "killed")
    assert outcome.message is not None and "before the sweep" in outcome.message
    assert engine.cancelled == 0
    assert any("squeue: timed out" in line for line in said)


@pytest.mark.parametrize(("count", "early", "cancelled"), [(1, False, 1), (2, False, 1), (3, True, 0)])
def test_the_number_of_trials_that_a_user_orders_is_followed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, count: int, early: bool, cancelled: int
) -> None:
    engine = Fake(3, 1, 0)
    order = new_order("set_count", count=count)
    outcome, _ = follow(tmp_path, engine, monkeypatch, "finished", "finished", orders=[order])
    assert (outcome.message is not None, engine.cancelled) == (early, cancelled)


def test_a_sweep_that_is_stopped_or_cancelled_needs_no_further_agents(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine, order = Fake(3, 1, 0), new_order("stop")
    outcome, said = follow(tmp_path / "a", engine, monkeypatch, "finished", orders=[order])
    assert (outcome.message, outcome.interrupted, engine.cancelled) == (None, False, 1)
    assert outcome.ended_by == f"stopped by {order.who}" and any(outcome.ended_by in line for line in said)
    engine = Fake(3, 1, 0)
    outcome, _ = follow(tmp_path / "b", engine, monkeypatch, "running", orders=[new_order("cancel")])
    assert (outcome.message, outcome.interrupted, engine.cancelled) == (None, True, 1)


@pytest.mark.parametrize(("hours", "ended_by"), [(-1, "the deadline has come, "), (1, None)])
def test_agents_that_end_at_the_deadline_have_not_ended_too_early(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, hours: int, ended_by: str | None
) -> None:
    budget = Budget(until=datetime.now().astimezone() + timedelta(hours=hours))
    outcome, _ = follow(tmp_path, Fake(2, 0), monkeypatch, "killed", budget=budget)
    assert (outcome.message is None) == (ended_by is not None)
    assert str(outcome.ended_by).startswith(str(ended_by))
