"""Many machines on one PostgreSQL server: every machine here has a host name, a folder and a home of its own."""

from __future__ import annotations

import contextlib
import gc
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from optuna.exceptions import StorageInternalError
from optuna.trial import Trial, TrialState

from tests.postgres import PASSWORD, Postgres, programs
from tests.sweeping import SWEEP, environment, sweep, write_sweep
from tests.trainers import kill_all, living, roles, wait_until, write_trainer
from yacs_sweep.base.errors import ConfigError
from yacs_sweep.records.alive import AgentLock
from yacs_sweep.records.folder import SweepPaths, TrialRecord
from yacs_sweep.records.launch_file import LaunchFile
from yacs_sweep.search.local import LocalController
from yacs_sweep.search.storage import database
from yacs_sweep.search.storage.connections import out_of_connections
from yacs_sweep.search.storage.database import make_engine
from yacs_sweep.search.storage.database_coordinator import DatabaseCoordinator
from yacs_sweep.search.storage.relational import open_shared
from yacs_sweep.search.storage.shared_sweep import DatabaseTrials, SharedSweep
from yacs_sweep.search.storage.url import URL_VARIABLE
from yacs_sweep.search.warm_start import WarmStart
from yacs_sweep.spec.read_sweep import sweep_from_dict
from yacs_sweep.trial.contract import Assignment

SPEC: dict[str, Any] = {
    "method": "random",
    "metric": {"name": "val/mAP", "goal": "maximize"},
    "parameters": {"base_lr": {"min": 0.0, "max": 1.0}},
}
GRID = {**SPEC, "method": "grid", "parameters": {"base_lr": {"values": [0.1, 0.2, 0.3]}}}
LEASE = 1.2
AS_DESCRIBED = ("--trainer", "(sweep file)")  # the yes to what the database says

needs_server = pytest.mark.skipif(
    programs() is None, reason="PostgreSQL is not installed (`make postgres` installs it where it may)"
)


@pytest.fixture(scope="module")
def server() -> Iterator[Postgres]:
    with Postgres(["max_connections=60", "fsync=off"]) as running:
        yield running


@pytest.fixture(autouse=True)
def nothing_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv(database.LEASE_VARIABLE, str(LEASE))
    yield
    for home in (tmp_path, *tmp_path.iterdir()):  # each machine's
        kill_all(home)


# -- URLs ---------------------------------------------------------------------------------------------------------------


def test_a_masked_url_keeps_everything_but_passwords() -> None:
    url = "postgresql://me:p%40ss@db.example:5433/sweeps?sslmode=require&sslpassword=other"
    masked = database.masked(url)
    assert "p%40ss" not in masked and "p@ss" not in masked and "other" not in masked
    assert masked.startswith("postgresql://me:***@db.example:5433/sweeps?sslmode=require")
    assert database.masked("postgresql:///sweeps") == "postgresql:///sweeps"


def test_what_is_no_url_is_told_without_it() -> None:
    with pytest.raises(ConfigError) as caught:
        database.url_of("postgresql//me:secret@host")
    assert "secret" not in str(caught.value) and "--storage" in str(caught.value)


def test_a_missing_driver_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "psycopg", None)
    with pytest.raises(ConfigError, match=r"pip install 'psycopg\[binary\]'"):
        database.make_engine("postgresql://host/x")


@pytest.mark.parametrize("value", ["soon", "0", "-1", "61", "nan"])
def test_a_lease_is_a_number_of_seconds(monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    monkeypatch.setenv(database.LEASE_VARIABLE, value)
    with pytest.raises(ConfigError, match=database.LEASE_VARIABLE):
        database.lease_wanted()


# -- controllers --------------------------------------------------------------------------------------------------------


class Machines:
    """A sweep and its agents, each with a folder that no other sees."""

    def __init__(self, home: Path, url: str, sweep: str, spec: dict[str, Any]) -> None:
        self.home, self.url, self.sweep, self.spec = home, url, sweep, sweep_from_dict(spec, "spec")
        self.agents: list[LocalController] = []
        launch = LaunchFile("local", None, "toy", None, (), 1, None, "disabled", None, None, str(home), 3)
        SharedSweep(url, sweep).describe(self.spec, launch, WarmStart())

    def agent(self, **settings: Any) -> LocalController:
        paths = SweepPaths(self.home / str(len(self.agents)), self.sweep)
        lock = AgentLock(paths.agents, 0, "token")
        self.agents.append(
            LocalController(paths, self.spec, lock_name=lock.name, seed=1, storage_url=self.url, **settings)
        )
        return self.agents[-1]

    @staticmethod
    def silence(agent: LocalController) -> Callable[[], None]:
        """The agent is stopped, as far as others see; what is returned lets it go on."""
        assert isinstance(agent.coordinator, DatabaseCoordinator)
        renew = agent.coordinator.database.renew_lease
        agent.coordinator.lease._heartbeat = lambda: True  # type: ignore[method-assign]

        def wake() -> None:
            assert isinstance(agent.coordinator, DatabaseCoordinator)
            del agent.coordinator.lease._heartbeat
            agent.coordinator.lease.expired |= not renew(agent.coordinator.lease.name)

        return wake

    def close(self) -> None:
        for agent in self.agents:
            agent.close()


@pytest.fixture
def machines(request: pytest.FixtureRequest, tmp_path: Path, server: Postgres) -> Iterator[Machines]:
    made = Machines(tmp_path, server.url, f"s{time.monotonic_ns()}", getattr(request, "param", SPEC))
    yield made
    made.close()


Asked = tuple[Trial, Assignment]


def ask(agent: LocalController) -> Asked:
    asked = agent.ask()
    assert asked is not None
    return asked


def record_of(agent: LocalController, asked: Asked, state: str = "running", value: float | None = None) -> TrialRecord:
    given = asked[1]
    record = TrialRecord(
        given.id, given.name, given.number, dict(given.params), state, value=value, host=str(id(agent))
    )
    if state == "running":
        agent.coordinator.trial_started(record)
    return record


@needs_server
def test_a_silent_agents_point_is_tried_again_and_its_late_result_does_not_count(machines: Machines) -> None:
    one, two = machines.agent(target=1), machines.agent(target=1)
    first = ask(one)
    record_of(one, first)
    wake = machines.silence(one)
    started = time.monotonic()
    again = ask(two)  # waits: the only trial there is to be is another agent's
    assert 0.5 * LEASE < time.monotonic() - started < 2 * LEASE + 2
    assert (again[1].params, again[1].retry_of) == (first[1].params, first[1].id)
    record_of(two, again)
    assert not one.end_trial(first[0], record_of(one, first, "finished", 99.0))
    wake()
    assert "sent no heartbeat" in (one.coordinator.expired() or "")
    assert two.end_trial(again[0], record_of(two, again, "finished", 5.0))
    one.coordinator.renew_lease()
    assert one.ask() is None and two.ask() is None
    states = [(trial.state, trial.value) for trial in two.study.get_trials()]
    assert states == [(TrialState.FAIL, None), (TrialState.COMPLETE, 5.0)]
    rows = SharedSweep(machines.url, machines.sweep).database.records()
    assert [row.state for row in rows] == ["lost", "finished"]


@needs_server
def test_a_result_that_comes_before_its_point_is_given_to_another_counts(machines: Machines) -> None:
    one, two = machines.agent(target=1), machines.agent(target=1)
    first = ask(one)
    record_of(one, first)
    wake = machines.silence(one)
    time.sleep(1.6 * LEASE)  # nobody asks meanwhile
    wake()
    assert one.coordinator.expired()
    assert one.end_trial(first[0], record_of(one, first, "finished", 7.0))
    assert two.ask() is None
    assert [trial.value for trial in two.study.get_trials()] == [7.0]


@needs_server
def test_a_result_that_comes_while_its_point_is_given_to_another_counts_once(machines: Machines) -> None:
    one, two = machines.agent(target=1), machines.agent(target=1)
    first = ask(one)
    record_of(one, first)
    machines.silence(one)
    assert isinstance(two.coordinator, DatabaseCoordinator)
    lose = two.coordinator.mark_lost

    def late(record: TrialRecord) -> bool:
        assert one.end_trial(first[0], record_of(one, first, "finished", 7.0))  # between reading the row and writing it
        return lose(record)

    two.coordinator.mark_lost = late  # type: ignore[method-assign]
    assert two.ask() is None
    assert [(trial.state, trial.value) for trial in one.study.get_trials()] == [(TrialState.COMPLETE, 7.0)]


@needs_server
def test_a_trial_whose_lease_was_taken_before_it_began_leaves_no_row(machines: Machines) -> None:
    one, two = machines.agent(target=1), machines.agent(target=1)
    first = ask(one)
    machines.silence(one)
    again = ask(two)
    assert (again[1].params, again[1].retry_of) == (first[1].params, None)
    record = record_of(one, first)  # begins, late
    assert one.coordinator.expired()
    record.state, record.value = "finished", 9.0
    assert not one.end_trial(first[0], record)
    assert SharedSweep(machines.url, machines.sweep).database.records() == []


@needs_server
@pytest.mark.parametrize("machines", [GRID], indirect=True)
def test_an_interrupted_trials_point_goes_to_another_machine_at_once(machines: Machines) -> None:
    one, two = machines.agent(), machines.agent()
    first = ask(one)
    record_of(one, first)
    assert one.end_trial(first[0], record_of(one, first, "killed"))
    again = ask(two)
    assert (again[1].params, again[1].retry_of) == (first[1].params, first[1].id)


@needs_server
def test_what_was_written_before_the_connection_broke_is_not_written_again(machines: Machines) -> None:
    agent = machines.agent(target=2)
    assert isinstance(agent.coordinator, DatabaseCoordinator)
    engine = agent.coordinator.database.engine
    turn, broken = agent.coordinator.database.exclusive, []

    @contextlib.contextmanager
    def breaking(lease: float) -> Iterator[Any]:
        with turn(lease) as connection:
            yield connection
        if not broken:  # committed; the answer is lost
            broken.append(True)
            raise database.sa.exc.OperationalError("COMMIT", None, Exception("gone"), connection_invalidated=True)

    agent.coordinator.database.exclusive = breaking  # type: ignore[method-assign]
    first = ask(agent)
    assert broken
    record_of(agent, first)
    end = record_of(agent, first, "finished", 1.0)
    assert agent.end_trial(first[0], end)
    assert agent.end_trial(first[0], end)  # as after a lost answer
    second = ask(agent)
    assert [first[1].number, second[1].number] == [0, 1]
    assert len(agent.study.get_trials()) == 2
    wait_until(lambda: engine.pool.checkedout() == 0, 5)  # type: ignore[attr-defined]


@needs_server
def test_who_stops_while_it_is_its_turn_is_thrown_out(machines: Machines, server: Postgres) -> None:
    agent = machines.agent()
    assert isinstance(agent.coordinator, DatabaseCoordinator)
    with (
        pytest.raises((database.sa.exc.SQLAlchemyError, StorageInternalError)) as caught,
        agent.coordinator.exclusively(),
    ):
        time.sleep(6.5)  # 5 s is what such a short lease gives
        agent.study.set_user_attr("late", True)
    assert database.disconnected(caught.value)
    assert ask(machines.agent())[1].number == 0  # nothing of it was written, and the others have their turn


# -- whole machines -----------------------------------------------------------------------------------------------------


class Machine:
    """A launcher with a host name of its own, where the kernel lets us give it one."""

    def __init__(self, home: Path, name: str, trainer: Path, *words: str | Path, url: str) -> None:
        self.home, self.name = home / name, name
        self.home.mkdir(exist_ok=True)
        checkout = self.home / "checkout"
        if not checkout.exists():
            checkout.mkdir()
            for file in (trainer, trainer.with_name("train.py")):
                shutil.copy(file, checkout / file.name)
        command = [
            sys.executable,
            str(SWEEP),
            *map(str, words),
            "--verbose",
            "--wandb-mode",
            "disabled",
            "--grace",
            "2",
        ]
        if os.geteuid() == 0 and sys.platform == "linux":
            command = ["unshare", "--uts", "sh", "-c", 'hostname "$0" && exec "$@"', name, *command]
        env = environment(self.home, **{URL_VARIABLE: url, database.LEASE_VARIABLE: str(LEASE)})
        self.output = (self.home / "output").open("ab")
        self.process = subprocess.Popen(command, cwd=checkout, env=env, stdout=self.output, stderr=subprocess.STDOUT)

    @property
    def text(self) -> str:
        return (self.home / "output").read_text()

    def folder(self) -> Path:
        (found,) = (self.home / "checkout" / "log" / "sweep" / "sweep").iterdir()
        return found

    def summary(self) -> dict[str, Any]:
        content: dict[str, Any] = json.loads((self.folder() / "summary.json").read_text())
        return content

    def agent(self) -> int:
        (pid,) = roles(self.home)["agent"]
        return pid


@needs_server
def test_three_machines_faults_and_an_outage(tmp_path: Path) -> None:
    """An agent killed, one stopped for longer than its lease, and the server restarted: exactly the trials asked for."""
    wanted = 20
    with Postgres(["fsync=off"]) as server:
        holds = [tmp_path / name for name in ("outage", "kill")]  # a trial that finds one of them says so and waits
        code = f"""import time
for hold in {[str(hold) for hold in holds]!r}:
    if os.path.exists(hold):
        print('held for the ' + os.path.basename(hold), flush=True)
    while os.path.exists(hold): time.sleep(0.05)
time.sleep(0.6)
print('mAP: %.6f%%' % float(sys.argv[2].split('=')[1]))"""
        outage, kill = holds
        outage.touch()
        trainer = write_trainer(tmp_path, code)
        spec = write_sweep(tmp_path, {**SPEC, "count": wanted})
        start = ("--trainer", "trainer.yaml", "--sweep-config", spec)
        first = Machine(tmp_path, "alpha", trainer, *start, url=server.url)
        wait_until(lambda: "trial-0000" in first.text, 120)
        sweep_id = first.folder().name
        others = [
            Machine(tmp_path, name, trainer, "--sweep_id", sweep_id, *AS_DESCRIBED, url=server.url)
            for name in ("beta", "gamma")
        ]
        beta, gamma = others
        for machine in others:
            wait_until(lambda machine=machine: "held for the outage" in machine.text, 120)
        outage.unlink()
        time.sleep(0.5)
        server.stop()
        time.sleep(4.0)
        server.start()
        kill.touch()
        for machine in others:  # an agent between two trials would lose none
            wait_until(lambda machine=machine: "held for the kill" in machine.text, 120)
        stopped = gamma.agent()
        os.kill(stopped, signal.SIGSTOP)
        os.kill(beta.agent(), signal.SIGKILL)
        kill.unlink()
        time.sleep(3 * LEASE)
        os.kill(stopped, signal.SIGCONT)
        machines = [first, *others]
        for machine in machines:
            machine.process.wait(150)
        outputs = "\n\n".join(f"== {machine.name}\n{machine.text}" for machine in machines)
        assert [machine.process.returncode for machine in machines] == [0, 0, 0], outputs
        for machine in machines:  # each knows all trials as they were when it left, whose folders they are in or not
            summary = machine.summary()
            states = Counter(trial["state"] for trial in summary["trials"])
            assert states["finished"] + states["running"] == wanted, outputs
            assert states["lost"] == 2, outputs
            finished = [trial for trial in summary["trials"] if trial["state"] == "finished"]
            best = max(finished, key=lambda trial: trial["value"])
            assert (summary["best"]["name"], summary["best"]["host"]) == (best["name"], best["host"])
        summary = max((machine.summary() for machine in machines), key=lambda found: found["counts"]["finished"])
        assert summary["counts"] == {"finished": wanted, "lost": 2}, outputs  # the last one to leave has seen all
        finished = [trial for trial in summary["trials"] if trial["state"] == "finished"]
        assert len({trial["params"]["base_lr"] for trial in finished}) == wanted
        assert [trial["number"] for trial in summary["trials"]] == list(range(wanted + 2))  # no number is void
        retried = {trial["retry_of"] for trial in finished}
        assert all(trial["id"] in retried for trial in summary["trials"] if trial["state"] == "lost")
        if os.geteuid() == 0:
            assert {trial["host"] for trial in finished} == {"alpha", "beta", "gamma"}
        (taken,) = [row for row in gamma.summary()["trials"] if row["host"] == "gamma" and row["state"] == "lost"]
        here = json.loads((gamma.folder() / taken["name"] / "trial.json").read_text())
        assert here["state"] == "lost", outputs
        # By its supervisor, or first by another machine, which sees the lease end.
        assert "sent no heartbeat" in gamma.text or "its agent was taken for dead" in gamma.text, outputs
        assert "the storage answers again" in outputs
        for path in tmp_path.rglob("*"):
            assert not path.is_file() or PASSWORD.encode() not in path.read_bytes(), path
        assert not any(living(machine.home) for machine in machines)


@needs_server
def test_joining_says_what_is_missing(tmp_path: Path, server: Postgres) -> None:
    trainer = write_trainer(tmp_path, "print('mAP: 1.0%')")
    nobody = Machine(tmp_path, "one", trainer, "--sweep_id", "nosuchid", url=server.url)
    assert nobody.process.wait(60) == 2
    assert "nosuchid: no such sweep in postgresql://sweeper:***@" in nobody.text
    assert len(nobody.text.splitlines()) == 1


@needs_server
def test_what_one_machine_wants_again_is_owed_on_all(tmp_path: Path, server: Postgres) -> None:
    code = "print('mAP: %.6f%%' % float(sys.argv[2].split('=')[1])) if os.path.isdir('data') else sys.exit('no data')"
    trainer, spec = write_trainer(tmp_path, code), write_sweep(tmp_path, GRID)
    words = ("--trainer", "trainer.yaml", "--sweep-config", spec, "--max-failures", "9")
    one = Machine(tmp_path, "one", trainer, *words, url=server.url)
    assert one.process.wait(60) == 1, one.text
    name = one.folder().name
    for machine in ("one", "two"):
        (tmp_path / machine / "checkout" / "data").mkdir(parents=True)
    for file in (trainer, trainer.with_name("train.py")):
        shutil.copy(file, tmp_path / "two" / "checkout" / file.name)
    words = ("--sweep_id", name, "--retry-failed", "--count", "2", *AS_DESCRIBED)
    two = Machine(tmp_path, "two", trainer, *words, url=server.url)
    assert two.process.wait(60) == 1, two.text
    rest = Machine(tmp_path, "one", trainer, "--sweep_id", name, url=server.url)
    assert rest.process.wait(60) == 0, rest.text
    assert "2 trials done, 1 to go" in rest.text
    trials = rest.summary()["trials"]
    assert [trial["state"] for trial in trials] == ["failed"] * 3 + ["finished"] * 3
    assert [trial["retry_of"] for trial in trials[3:]] == [trial["id"] for trial in trials[:3]]
    assert rest.summary()["settled"] == 3


@needs_server
def test_the_best_is_trained_where_only_the_database_knows_the_sweep(tmp_path: Path, server: Postgres) -> None:
    trainer = write_trainer(tmp_path, "print('mAP: %.6f%%' % float(sys.argv[2].split('=')[1]))")
    spec = write_sweep(tmp_path, {**SPEC, "count": 3})
    one = Machine(tmp_path, "one", trainer, "--trainer", "trainer.yaml", "--sweep-config", spec, url=server.url)
    assert one.process.wait(60) == 0, one.text
    found = one.summary()["best"]
    two = Machine(
        tmp_path, "two", trainer, "--train-best", one.folder().name, "--seeds", "1", *AS_DESCRIBED, url=server.url
    )
    assert two.process.wait(60) == 0, two.text
    assert two.folder().name == f"{one.folder().name}-best"
    (trained,) = two.summary()["trials"]
    assert trained["params"] == found["params"], two.text


@needs_server
def test_a_machine_that_joins_reads_the_same_configuration_and_profile(tmp_path: Path, server: Postgres) -> None:
    """As they were when the sweep began, whatever its own checkout holds; its own where the user gives one."""
    code = "print('mAP: %s%%' % (out.read_text() + (out.parent / 'b.yml').read_text()).count('x'))"
    trainer = write_trainer(tmp_path, code)
    trainer.write_text(trainer.read_text().replace("{output_dir}", "{config_file}") + "output_dir_key: OUT\n")

    def checkout(machine: str, config: str, extended: str) -> None:
        folder = tmp_path / machine / "checkout"
        folder.mkdir(parents=True)
        for file in (trainer, trainer.with_name("train.py")):
            shutil.copy(file, folder)
        for name, text in (
            ("c.yml", f"_BASE_: b.yml\nA: {config}\n"),
            ("b.yml", "B: x\n"),
            ("own.yml", "_BASE_: b.yml\nA: xxx\n"),
        ):
            (folder / name).write_text(text)
        (folder / "mine.yaml").write_text(f"extends: ./trainer.yaml\nenv: {{KIND: {extended}}}\n")

    checkout("one", "xx", "first")
    checkout("two", "xxxxxxxx", "other")
    words = ("--trainer", "mine.yaml", "--config_file", "c.yml", "--sweep-config", write_sweep(tmp_path, SPEC))
    one = Machine(tmp_path, "one", trainer, *words, "--count", "1", url=server.url)
    assert one.process.wait(60) == 0, one.text
    joined = ("--sweep_id", one.folder().name, *AS_DESCRIBED, "--count", "1")
    two = Machine(tmp_path, "two", trainer, *joined, url=server.url)
    assert two.process.wait(60) == 0, two.text
    assert "trainer mine.yaml {command: [python, train.py" in two.text and "env: {KIND: first}" in two.text
    kept = two.folder() / "inputs"
    assert (kept / "config" / "c.yml").read_text() == "_BASE_: b.yml\nA: xx\n"
    assert "KIND: first" in (kept / "trainer" / "mine.yaml").read_text()
    assert [trial["value"] for trial in two.summary()["trials"]] == [3.0, 3.0], two.text
    again = Machine(tmp_path, "two", trainer, "--sweep_id", one.folder().name, "--count", "1", url=server.url)
    assert again.process.wait(60) == 0, again.text
    assert [trial["value"] for trial in again.summary()["trials"]] == [3.0] * 3, again.text
    checkout("three", "xxxxxxxx", "other")
    three = Machine(tmp_path, "three", trainer, *joined, "--config_file", "own.yml", url=server.url)
    assert three.process.wait(60) == 0, three.text
    assert [trial["value"] for trial in three.summary()["trials"]] == [3.0] * 3 + [4.0], three.text


@needs_server
def test_trials_elsewhere_are_read_once_each(machines: Machines) -> None:
    agent = machines.agent(target=3)
    first, second = ask(agent), None
    record_of(agent, first)
    seen = DatabaseTrials(machines.url, machines.sweep)
    wait_until(seen.has_changed, 10)
    assert [row.state for row in seen.take_changed()] == ["running"]
    agent.end_trial(first[0], record_of(agent, first, "finished", 1.0))
    second = ask(agent)
    record_of(agent, second)
    assert seen.read_last()
    assert [(row.number, row.state) for row in seen.take_changed()] == [(0, "finished"), (1, "running")]


@needs_server
def test_a_storage_that_cannot_be_opened_keeps_no_connection() -> None:
    """Of two connections one is the launcher's, so that Optuna's second is refused."""
    with Postgres(["fsync=off"]) as server:
        engine = make_engine(server.url)
        with engine.begin() as connection:
            connection.execute(sa.text(f"CREATE ROLE ordinary LOGIN PASSWORD '{PASSWORD}' CONNECTION LIMIT 2"))
            connection.execute(sa.text("GRANT ALL ON SCHEMA public TO ordinary"))
        query = sa.text("SELECT count(*) FROM pg_stat_activity WHERE usename = 'ordinary'")

        def left() -> int:
            with engine.connect() as connection:
                return int(connection.execute(query).scalar_one())

        gc.disable()
        try:
            with pytest.raises(StorageInternalError) as caught:
                open_shared(server.url.replace("sweeper:", "ordinary:"))
            assert out_of_connections(caught.value)
            wait_until(lambda: left() == 0, 10)
        finally:
            gc.enable()


@needs_server
def test_six_workers_share_eight_connections(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Three of the eight are kept for superusers, so five are left for six agents and their launch."""
    monkeypatch.setenv(database.LEASE_VARIABLE, "30")  # heartbeats wait for a connection, too
    with Postgres(["fsync=off", "max_connections=8"]) as server:
        url = server.url.replace("sweeper:", "ordinary:")
        with make_engine(server.url).begin() as connection:
            connection.execute(sa.text(f"CREATE ROLE ordinary LOGIN PASSWORD '{PASSWORD}'"))
            connection.execute(sa.text("GRANT ALL ON SCHEMA public TO ordinary"))
        spec = write_sweep(tmp_path, {**SPEC, "count": 18})
        words = ("--sweep-config", spec, "--storage", url, "--workers", "6", "--wandb-mode", "disabled")
        ran = sweep(tmp_path, *words, timeout=200)
        assert [trial["state"] for trial in ran.summary["trials"]] == ["finished"] * 18, ran.out
        assert ran.code == 0, ran.out
