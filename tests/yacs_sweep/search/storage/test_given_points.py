"""Points and numbers of trials that users give to a running sweep: on each storage, from any machine, whoever is killed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import optuna
import pytest

from tests.postgres import Postgres, programs
from tests.yacs_sweep.search.sweeps import STORAGES
from tests.yacs_sweep.search.test_controllers import GRID, RANDOM, Agent, Died, End, Sweep, finished, work_together
from yacs_sweep.records.control.orders import Act, Order, new_order
from yacs_sweep.search.local import LocalController
from yacs_sweep.search.storage.order_log import order_log
from yacs_sweep.search.stored import ENQUEUED, GIVEN
from yacs_sweep.search.warm_start import WarmStart

REPEATS = {**RANDOM, "metric": {"name": "v", "goal": "minimize"}, "repeats": 2}
PROMOTION = {
    **RANDOM,
    "early_terminate": {"type": "asha", "min_iter": 1, "max_iter": 4, "eta": 2, "mode": "promotion"},
}
BAYES = {**RANDOM, "method": "bayes"}
PBT = {
    **RANDOM,
    "method": "pbt",
    "pbt": {"interval": 1, "max_iter": 2, "population": 6},
}


@pytest.fixture(scope="module")
def server() -> Iterator[Postgres | None]:
    if programs() is None:
        yield None
        return
    with Postgres(["max_connections=60", "fsync=off"]) as running:
        yield running


@pytest.fixture(params=("journal", "postgresql"))
def kind(request: pytest.FixtureRequest, server: Postgres | None) -> str:
    if request.param == "postgresql" and server is None:
        pytest.skip("PostgreSQL is not installed (`make postgres` installs it where it may)")
    return str(request.param)


class Given(Sweep):
    """A sweep to which users give orders."""

    def order(self, act: Act, machine: str | None = None, **given: Any) -> Order:
        """Gives an order, from this machine or from another one, which shares the database alone."""
        paths = self.paths if machine is None else type(self.paths)(self.paths.base / machine, self.paths.sweep_id)
        order = new_order(act, **given)
        order_log(paths, self.url).append(order)
        return order

    def add(self, *values: float, machine: str | None = None) -> Order:
        """Adds points."""
        return self.order("add_points", machine, points=[{"a": value} for value in values])

    def run(self, count: int, how: Any = finished, **words: Any) -> list[float]:
        """Runs trials with one more agent; returns their points."""
        agent = self.agent(how, most=count, **words)
        work_together([agent])
        close(agent)
        return [record.params["a"] for record in agent.ran]


def close(agent: Agent) -> None:
    agent.controller.close()
    agent.lock.release()


@pytest.fixture
def sweep(kind: str, server: Postgres | None, tmp_path: Path) -> Iterator[Given]:
    made = Given(kind, tmp_path, server, RANDOM)
    yield made
    made.close()


def test_points_come_next_in_their_order_and_once(sweep: Given) -> None:
    assert len(sweep.run(2)) == 2
    sweep.add(0.25, 0.5)
    agent = sweep.agent(most=5)
    sweep.add(0.75, machine="other" if sweep.kind == "postgresql" else None)  # while the agent is there
    work_together([agent])
    own = [record.params["a"] for record in agent.ran]
    assert own[:3] == [0.25, 0.5, 0.75]
    close(agent)
    assert not {0.25, 0.5, 0.75} & set(own[3:] + sweep.run(3))


@pytest.mark.parametrize("kind", STORAGES, indirect=True)
def test_agents_that_ask_at_once_share_the_points(sweep: Given) -> None:
    agents = [sweep.agent(target=24) for _ in range(4)]
    points = [number / 64 for number in range(1, 16)]
    sweep.add(*points[:8])
    sweep.add(*points[8:])
    work_together(agents)
    ran = sorted((record for agent in agents for record in agent.ran), key=lambda record: record.number)
    assert [record.params["a"] for record in ran[:15]] == points
    assert len(ran) == len({record.params["a"] for record in ran}) == 24


def test_points_count_among_the_trials_of_the_sweep(sweep: Given) -> None:
    sweep.add(*[number / 64 for number in range(1, 6)])
    assert sweep.run(10, target=3) == [1 / 64, 2 / 64, 3 / 64]
    assert sweep.run(10, target=4) == [4 / 64]


@pytest.mark.parametrize("kind", STORAGES, indirect=True)
@pytest.mark.parametrize("written", [1, 2])
def test_an_agent_killed_while_it_enqueues_neither_loses_nor_doubles_a_point(
    sweep: Given, written: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    killed = sweep.agent()
    sweep.add(0.25, 0.5)
    enqueue, calls = optuna.Study.enqueue_trial, [0]

    def dying(study: optuna.Study, *words: Any, **more: Any) -> None:
        calls[0] += 1
        if calls[0] > written:
            raise Died
        enqueue(study, *words, **more)

    monkeypatch.setattr(optuna.Study, "enqueue_trial", dying)
    if written < 2:
        with pytest.raises(Died):
            killed.work()
    else:
        monkeypatch.setattr(killed, "run", raise_died)
        with pytest.raises(Died):
            killed.work()
    killed.die()
    monkeypatch.setattr(optuna.Study, "enqueue_trial", enqueue)
    own = sweep.run(5)
    assert sorted(value for value in own if value in (0.25, 0.5)) == [0.25, 0.5]


@pytest.mark.parametrize("kind", ["journal"], indirect=True)  # a database waits for the lease of who has died
def test_a_point_that_an_agent_has_left_is_tried_again_before_new_ones(
    sweep: Given, monkeypatch: pytest.MonkeyPatch
) -> None:
    sweep.order("set_count", count=3)
    killed, other = sweep.agent(), sweep.agent(most=10)  # `other` opens the sweep before the death
    sweep.add(0.25)
    monkeypatch.setattr(killed, "run", raise_died)
    with pytest.raises(Died):
        killed.work()
    killed.die()
    work_together([other])
    assert other.ran[0].params["a"] == 0.25
    assert len(other.ran) == 3
    close(other)


def raise_died(*_: object) -> None:
    raise Died


def test_an_interrupted_point_is_tried_again_and_no_other_is(sweep: Given) -> None:
    def interrupted(params: Mapping[str, Any]) -> End:
        return "killed", None

    sweep.add(0.25, 0.5)
    assert sweep.run(1, interrupted) == [0.25]
    own = sweep.run(4)
    assert sorted(own[:2]) == [0.25, 0.5]
    assert not {0.25, 0.5} & set(own[2:])


def test_what_anybody_may_have_written_ends_no_agent(sweep: Given) -> None:
    for points in ([{"a": "x"}, {"a": [1]}, {"a": 7.0}, 3, {"a": 0.5}], None, "x"):
        sweep.order("add_points", points=points)
    for count in (None, "x", True, 2.5):
        sweep.order("set_count", count=count)
    assert sweep.run(2, target=2)[0] == 0.5


@pytest.mark.parametrize("body", [BAYES, REPEATS, PROMOTION, PBT])
def test_other_methods_try_added_points_before_their_own(body: dict[str, Any], tmp_path: Path) -> None:
    sweep = Given("journal", tmp_path, None, body)
    first = sweep.run(2, target=8)
    sweep.add(0.25, 0.5)
    new = [value for value in dict.fromkeys(sweep.run(4, target=8)) if value not in first]
    assert new[:2] == [0.25, 0.5]
    sweep.close()


def test_a_storage_that_was_lost_does_not_give_points_out_again(tmp_path: Path) -> None:
    sweep = Given("journal", tmp_path, None, RANDOM)
    WarmStart(({"a": 0.125}, {"a": 0.375}), ()).save(sweep.paths)
    sweep.add(0.25, 0.5, 0.25)
    assert sweep.run(3) == [0.125, 0.375, 0.25]
    sweep.paths.journal.unlink()
    own = sweep.run(4)
    assert own[:2] == [0.5, 0.25]
    assert not {0.125, 0.375, 0.25, 0.5} & set(own[2:])


def test_a_study_of_the_last_version_keeps_what_it_has_enqueued(tmp_path: Path) -> None:
    sweep = Given("journal", tmp_path, None, RANDOM)
    WarmStart(({"a": 0.125}, {"a": 0.375}), ()).save(sweep.paths)
    assert sweep.run(1) == [0.125]
    controller = sweep.agent().controller
    assert isinstance(controller, LocalController)
    trial = controller.study.get_trials()[1]
    assert trial.user_attrs[GIVEN] == ["", 1]
    controller.study._storage.set_trial_user_attr(trial._trial_id, GIVEN, ["other", 1])
    controller.study.set_user_attr(ENQUEUED, 2)
    sweep.add(0.5)
    own = sweep.run(4)
    assert own[:2] == [0.375, 0.5]
    assert not {0.125, 0.375, 0.5} & set(own[2:])


# -- how many -----------------------------------------------------------------------------------------------------------


def test_agents_follow_the_number_of_trials_up_and_down(sweep: Given) -> None:
    agents = [sweep.agent(target=4) for _ in range(3)]
    sweep.order("set_count", machine="other" if sweep.kind == "postgresql" else None, count=9)
    work_together(agents)
    assert len(sweep.records()) == 9
    for agent in agents:
        close(agent)
    sweep.order("set_count", count=5)  # fewer than are done
    assert sweep.run(10, target=20) == []
    sweep.order("set_count", count=10)
    assert len(sweep.run(10, target=9)) == 1


def test_a_launch_that_has_taken_the_order_in_counts_by_its_own_number(sweep: Given) -> None:
    order = sweep.order("set_count", count=2)
    counted = {"target": 5, "counted": order.id}
    agent = sweep.agent(most=20)
    agent.controller.close()
    agent.controller = LocalController(
        sweep.paths, sweep.spec, lock_name=agent.lock.name, seed=1, storage_url=sweep.url, **counted
    )
    work_together([agent])
    assert len(agent.ran) == 5
    close(agent)
    sweep.order("set_count", count=6)
    assert len(sweep.run(10, target=5)) == 1


def test_a_grid_has_never_more_trials_than_points(tmp_path: Path) -> None:
    sweep = Given("journal", tmp_path, None, GRID)
    sweep.order("set_count", count=1000)
    assert sorted(sweep.run(100, target=2)) == [1, 1, 2, 2, 3, 3]
    assert sweep.spec.at_most(1000) == 6
    capped = Given("journal", tmp_path, None, {**RANDOM, "run_cap": 3})
    capped.order("set_count", count=1000)
    assert len(capped.run(100, target=2)) == 3
