"""Holds every storage to the same behaviour: as Optuna's storage, and for the coordination of agents.

Run over each of them: the journal file, SQLite, PostgreSQL.
"""

from __future__ import annotations

import contextlib
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import optuna
import pytest
import sqlalchemy as sa
from optuna.distributions import FloatDistribution
from optuna.storages import BaseStorage, get_storage
from optuna.testing.pytest_storages import StorageTestCase
from optuna.trial import TrialState, create_trial

from tests.postgres import Postgres, programs
from tests.sweeping import ROOT
from tests.yacs_sweep.search.sweeps import AGENT_PROCESS, STORAGES, describe, make_coordinator, storage_url
from yacs_sweep.records.alive import AgentLock
from yacs_sweep.records.folder import SweepPaths, TrialRecord
from yacs_sweep.search.local import LocalController
from yacs_sweep.search.storage.coordinator import Coordinator
from yacs_sweep.search.storage.journal import open_storage
from yacs_sweep.spec.read_sweep import sweep_from_dict

SPEC: dict[str, Any] = {
    "method": "random",
    "metric": {"name": "v", "goal": "minimize"},
    "parameters": {"x": {"min": 0.0, "max": 1.0}},
}


@pytest.fixture(scope="module")
def server() -> Iterator[Postgres | None]:
    if programs() is None:
        yield None
        return
    with Postgres(["max_connections=60", "fsync=off"]) as running:
        yield running


@pytest.fixture(params=STORAGES)
def url(request: pytest.FixtureRequest, server: Postgres | None, tmp_path: Path) -> Iterator[str | None]:
    """Returns the URL of an empty storage; None for the journal file."""
    if request.param != "postgresql":
        yield storage_url(request.param, tmp_path, server)
        return
    if server is None:
        pytest.skip("PostgreSQL is not installed (`make postgres` installs it where it may)")
    name = f"t{uuid.uuid4().hex[:12]}"
    admin = sa.create_engine(server.url.replace("postgresql:", "postgresql+psycopg:"), isolation_level="AUTOCOMMIT")
    with admin.connect() as connection:
        connection.exec_driver_sql(f"CREATE DATABASE {name}")
    yield f"{server.url.rpartition('/')[0]}/{name}"
    with admin.connect() as connection:
        connection.exec_driver_sql(f"DROP DATABASE {name} WITH (FORCE)")
    admin.dispose()


# -- Optuna's storage ---------------------------------------------------------------------------------------------------


@pytest.fixture
def storage(url: str | None, tmp_path: Path) -> Iterator[BaseStorage]:
    found = get_storage(open_storage(tmp_path / "storage.journal", url))
    yield found
    found.remove_session()


class TestOptunaStorage(StorageTestCase):
    """Runs Optuna's own tests on the storages as the launcher opens them."""


def test_what_one_process_writes_another_reads(url: str | None, tmp_path: Path) -> None:
    journal = tmp_path / "storage.journal"
    study = optuna.create_study(storage=open_storage(journal, url), study_name="s", direction="maximize")
    trial = study.ask()
    trial.suggest_float("lr", 1e-5, 1e-2, log=True)
    trial.report(0.5, 1)
    study.tell(trial, 1.0)
    (found,) = optuna.load_study(storage=open_storage(journal, url), study_name="s").get_trials()
    assert (found.state, found.value, found.intermediate_values) == (TrialState.COMPLETE, 1.0, {1: 0.5})
    assert found.params == trial.params and found.distributions == trial.distributions


def test_several_objectives_and_their_constraints_are_kept(url: str | None, tmp_path: Path) -> None:
    paths = SweepPaths(tmp_path, "s")
    paths.agents.mkdir(parents=True)
    metrics = [{"name": "acc", "goal": "maximize", "target": 80}, {"name": "ms", "goal": "minimize"}]
    rule = {"type": "median", "min_trials": 1, "metric": "ms"}
    body = {**SPEC, "metrics": metrics, "metric_constraints": "mb <= 2", "early_terminate": rule}
    del body["metric"]
    spec = sweep_from_dict(body)
    describe(paths, spec, url)
    lock = AgentLock(paths.agents, 0, "token")
    sweep = LocalController(paths, spec, lock_name=lock.name, seed=1, storage_url=url, target=3)
    for acc, mb in ((90.0, 3.0), (80.0, 1.0)):
        asked = sweep.ask()
        assert asked is not None
        trial, given = asked
        hooks = sweep.hooks(trial)
        record = TrialRecord(given.id, given.name, given.number, dict(given.params), agent=lock.name)
        hooks.started(record, paths.trial(record.name))
        hooks.log({"acc": acc, "ms": acc / 10}, 0)
        record.state, record.value, record.values, record.facts = "finished", acc, {"ms": 5.0, "acc": acc}, {"mb": mb}
        hooks.ended(record)
        assert record.state == "finished"
    assert sweep.ask() is None  # the second one has reached the target; the first misses the constraint
    found = optuna.load_study(storage=open_storage(paths.journal, url), study_name="s").get_trials()
    assert [trial.values for trial in found] == [[90.0, 5.0], [80.0, 5.0]]
    assert [trial.system_attrs["constraints"] for trial in found] == [[1.0], [-1.0]]
    assert [trial.intermediate_values for trial in found] == [{1: 9.0}, {1: 8.0}]
    sweep.close()
    lock.release()


# -- what agents know of each other -------------------------------------------------------------------------------------


class Agents:
    """Makes the agents of one sweep, each with its lock file and its coordinator."""

    def __init__(self, home: Path, url: str | None) -> None:
        self.paths, self.url = SweepPaths(home, "s"), url
        self.paths.agents.mkdir(parents=True, exist_ok=True)
        describe(self.paths, sweep_from_dict(SPEC), url)
        self.locks: list[AgentLock] = []
        self.coordinators: list[Coordinator] = []

    def add(self) -> Coordinator:
        self.locks.append(AgentLock(self.paths.agents, len(self.locks), "token"))
        self.coordinators.append(make_coordinator(self.paths, self.locks[-1].name, self.url))
        return self.coordinators[-1]

    def kill(self, coordinator: Coordinator) -> None:
        """Leaves the state that SIGKILL leaves: a free lock file, and a lease without heartbeats."""
        index = self.coordinators.index(coordinator)
        lease = getattr(coordinator, "lease", None)
        if lease is not None:
            lease.close()  # its heartbeats stop; nobody is told
        lock = self.locks[index]
        content = lock.path.read_text()
        lock.release()
        lock.path.write_text(content)

    def close(self) -> None:
        for coordinator in self.coordinators:
            coordinator.close()


@pytest.fixture
def agents(url: str | None, tmp_path: Path) -> Iterator[Agents]:
    made = Agents(tmp_path, url)
    yield made
    made.close()


def running(agents: Agents, coordinator: Coordinator, number: int = 0) -> TrialRecord:
    """Records a running trial of the agent's, in its folder and in the storage."""
    name = f"trial-{number:04d}"
    about = coordinator.owner()
    paths = agents.paths.trial(name)
    record = TrialRecord(
        f"s-{number}", name, number, {"x": 0.5}, agent=about["agent"], host=about["host"], dir=str(paths.dir)
    )
    paths.dir.mkdir(exist_ok=True)
    record.save(paths)
    coordinator.trial_started(record)
    return record


def known(coordinator: Coordinator, number: int = 0) -> TrialRecord | None:
    with coordinator.exclusively():
        return coordinator.record(number, f"trial-{number:04d}")


def test_points_are_given_out_by_one_agent_at_a_time(agents: Agents) -> None:
    inside, overlaps, turns = threading.Semaphore(1), [], []

    def work(coordinator: Coordinator) -> None:
        for _ in range(5):
            with coordinator.exclusively():
                overlaps.append(not inside.acquire(blocking=False))
                turns.append(coordinator)
                time.sleep(0.005)
                inside.release()

    threads = [threading.Thread(target=work, args=(agents.add(),)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert not any(overlaps)
    assert len(turns) == 20


def test_one_that_is_killed_while_it_gives_out_a_point_holds_nobody_up(agents: Agents) -> None:
    coordinator = agents.add()
    words = [sys.executable, "-c", AGENT_PROCESS, str(agents.paths.base), agents.url or ""]
    with subprocess.Popen(words, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"held\n"
        holder.kill()
    started = time.monotonic()
    with coordinator.exclusively():
        pass
    assert time.monotonic() - started < 5.0


def test_two_agents_that_create_the_study_at_once_share_it(agents: Agents) -> None:
    found: list[int] = []

    def create(coordinator: Coordinator) -> None:
        with coordinator.creating_study():
            study = optuna.create_study(storage=coordinator.storage, study_name="s", load_if_exists=True)
            found.append(study._study_id)

    threads = [threading.Thread(target=create, args=(agents.add(),)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert len(found) == 4 and len(set(found)) == 1


def test_a_trial_is_known_from_its_start_to_its_end(agents: Agents) -> None:
    one, two = agents.add(), agents.add()
    assert known(two) is None
    record = running(agents, one)
    assert known(two) == record
    record.state, record.value = "finished", 1.5
    record.save(agents.paths.trial(record.name))
    with one.transaction():
        assert one.trial_ended(record) == "now"
    assert known(two) == record


def test_an_agent_lives_until_it_is_killed(agents: Agents) -> None:
    one, two = agents.add(), agents.add()
    first, second = one.owner(), two.owner()
    with two.exclusively():
        two.find_dead_agents()
        assert two.owner_lives(first) and two.owner_lives(second)
        assert not two.owner_lives({})  # died before it said who it is
    agents.kill(one)
    with two.exclusively():
        two.find_dead_agents()
        assert not two.owner_lives(first)
        assert two.owner_lives(second)


def test_the_trial_of_a_killed_agent_is_marked_lost(agents: Agents) -> None:
    one, two = agents.add(), agents.add()
    record = running(agents, one)
    agents.kill(one)
    with two.exclusively():
        two.find_dead_agents()
        found = two.record(0, record.name)
        assert found is not None and found.state == "running"
        assert two.mark_lost(found)
        two.forget_lost_agents()
    lost = known(two)
    assert lost is not None and (lost.state, lost.reason) == ("lost", "its agent died")
    assert TrialRecord.load(agents.paths.trial(record.name).record).state == "lost"


def test_an_agent_whose_trial_runs_keeps_it(agents: Agents) -> None:
    one = agents.add()
    record = running(agents, one)
    assert one.expired() is None
    record.state = "failed"
    record.save(agents.paths.trial(record.name))
    with one.transaction():
        assert one.trial_ended(record) != "refused"


def test_what_has_changed_is_what_is_not_known_yet(agents: Agents) -> None:
    one, two = agents.add(), agents.add()
    with one.creating_study():
        study = optuna.create_study(storage=one.storage, study_name="s", load_if_exists=True)
    space = {"x": FloatDistribution(0.0, 1.0)}
    for number in range(4):
        study.add_trial(create_trial(state=TrialState.RUNNING, params={"x": number / 4}, distributions=space))
    there = {trial._trial_id: trial.state for trial in study.get_trials(deepcopy=False)}
    study.tell(2, 1.0)
    study.add_trial(create_trial(state=TrialState.RUNNING, params={"x": 0.9}, distributions=space))
    changed = two.changed_trials(study._study_id, there, max(there))
    if changed is None:  # this one reads all
        changed = optuna.load_study(storage=two.storage, study_name="s").get_trials(deepcopy=False)
        changed = [trial for trial in changed if there.get(trial._trial_id) != trial.state]
    assert [(trial.number, trial.state) for trial in changed] == [(2, TrialState.COMPLETE), (4, TrialState.RUNNING)]


def test_one_that_leaves_disturbs_nobody(agents: Agents) -> None:
    one, two = agents.add(), agents.add()
    record = running(agents, two)
    one.close()
    with contextlib.suppress(Exception):
        one.close()
    with two.exclusively():
        two.find_dead_agents()
        assert two.owner_lives(two.owner())
    assert known(two) == record
