"""Holds every controller to the same behaviour: Optuna on each storage, and W&B's server.

Trainers are not started here: an agent "runs" a trial by writing its trial.json and calling the controller's hooks, as
`trial.runner` does. W&B's server is the loopback server's model, without its HTTP and without the client.
"""

from __future__ import annotations

import re
import threading
import time
import uuid
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.postgres import Postgres, programs
from tests.wandb_server.model import ApiError, State
from tests.wandb_server.operations import OPERATIONS
from tests.yacs_sweep.search.sweeps import STORAGES, describe, storage_url
from yacs_sweep.base.errors import SweepError
from yacs_sweep.records.alive import AgentLock
from yacs_sweep.records.folder import SweepPaths, TrialPaths, TrialRecord
from yacs_sweep.search import wandb, wandb_heartbeat
from yacs_sweep.search.controller import Controller
from yacs_sweep.search.local import LocalController
from yacs_sweep.search.stored import ASSIGNED, VOID
from yacs_sweep.search.wandb import WandbController
from yacs_sweep.spec.read_sweep import sweep_from_dict
from yacs_sweep.spec.sweep import SweepSpec
from yacs_sweep.trial.contract import Assignment, Hooks
from yacs_sweep.wandb.client import Refused
from yacs_sweep.wandb.recorder import UNSENT, RunIdentity

CONTROLLERS = (*STORAGES, "wandb")
GRID: dict[str, Any] = {
    "method": "grid",
    "metric": {"name": "v", "goal": "maximize"},
    "parameters": {"a": {"values": [1, 2, 3]}, "b": {"values": ["x", "y"]}},
}
# Values that are equal to Python (1 and true), or that are no scalars.
VALUES: dict[str, Any] = {
    **GRID,
    "parameters": {"a": {"values": [1, True, 1.5, [1, 2], {"k": 1}, None, "x"]}, "b": {"min": 1, "max": 3}},
}
RANDOM = {**GRID, "method": "random", "parameters": {"a": {"min": 0.0, "max": 1.0}}}
End = tuple[str, float | None]  # a trial's state and value


class Died(BaseException):
    """Ends an agent's process in the middle of a trial."""


def finished(params: Mapping[str, Any]) -> End:
    return "finished", 1.0


# -- W&B's server, without HTTP -----------------------------------------------------------------------------------------


class DirectTransport:
    """Asks the model of the server itself, as `wandb.client.Transport` asks a server."""

    def __init__(self, state: State) -> None:
        self._state = state

    def execute(self, operation: str, variables: dict[str, Any]) -> Any:
        (name,) = re.findall(r"\b(?:query|mutation)\s+(\w+)", operation)
        try:
            with self._state.lock:
                return OPERATIONS[name](self._state, variables)
        except ApiError as error:
            raise Refused(f"{error} (HTTP {error.status})") from None


class DirectRun:
    """Opens and finishes a run in the model of the server itself, as `wandb.recorder.Run` does on a server."""

    first_step, error, folders = 0, None, ()

    def __init__(self, identity: RunIdentity, state: State) -> None:
        self.identity, self._state = identity, state
        self.delivered = False
        self._unsent: Path | None = None
        variables = {"name": identity.id, "entity": identity.entity, "project": identity.project}
        DirectTransport(state).execute("mutation UpsertBucket", {**variables, "sweep": identity.sweep_id})

    @property
    def name(self) -> str:
        found = self._state.run(self.identity.id, self.identity.entity, self.identity.project)
        assert found is not None
        return found.title

    def wait_until_open(self, timeout: float) -> bool:
        return True

    def follow(self, paths: TrialPaths) -> None:
        self._unsent = paths.dir / UNSENT
        self._unsent.touch()

    def end(self, record: TrialRecord) -> None:
        found = self._state.run(self.identity.id, self.identity.entity, self.identity.project)
        assert found is not None
        with self._state.lock:
            found.finish({"finished": 0, "killed": 255}.get(record.state, 1))
        if self._unsent is not None:
            self._unsent.unlink()
        self.delivered = True

    def wait(self, timeout: float) -> bool:
        return True


class DirectRecorder:
    def __init__(self, state: State) -> None:
        self._state = state

    def begin(self, identity: RunIdentity, preempted: Callable[[], bool]) -> DirectRun:
        return DirectRun(identity, self._state)

    def close(self, seconds: float) -> None:
        pass


# -- agents -------------------------------------------------------------------------------------------------------------


class Agent:
    """Runs the trials of one controller, as `search.controller.Agent`, and keeps their records."""

    def __init__(self, paths: SweepPaths, lock: AgentLock, how: Callable[[Mapping[str, Any]], End], most: int) -> None:
        self.paths, self.lock, self.how, self.most = paths, lock, how, most
        self.ran: list[TrialRecord] = []
        self.notes: list[str] = []
        self.given_back = 0
        self.alive_told = 0
        self.leaves = False
        self.paused = False
        self.dies_unbegun = False  # before the trial has a folder
        self.dies_untold = False  # between trial.json and the storage
        self.controller: Controller

    def may_start(self) -> bool:
        self.most -= 1
        return self.most >= 0 and not self.leaves

    def fitting(self) -> int | None:
        return None

    def give_back(self, *, late: bool = False) -> None:
        self.given_back += 1

    def run(self, assignment: Assignment, hooks: Hooks, refused: str | None = None) -> TrialRecord:
        if self.dies_unbegun:
            raise Died
        record = TrialRecord(
            assignment.id,
            assignment.name,
            assignment.number,
            dict(assignment.params),
            retry_of=assignment.retry_of,
            point=assignment.point,
            seed=assignment.seed,
            agent=self.lock.name,
            host="here",
        )
        paths = self.paths.trial(record.name)
        if paths.record.exists():
            record.attempts = TrialRecord.load(paths.record).attempts + 1
        paths.dir.mkdir(parents=True, exist_ok=True)
        record.save(paths)
        if self.dies_untold:
            raise Died
        hooks.started(record, paths)
        if refused is None:
            seed = {} if assignment.seed is None else {"seed": assignment.seed}
            record.state, record.value = self.how({**assignment.params, **seed})
            hooks.log({"v": record.value}, 0)
        else:
            record.state, record.reason = "failed", refused
        record.save(paths)
        hooks.ended(record)
        record.save(paths)
        self.ran.append(record)
        return record

    def stopping(self) -> bool:
        return self.leaves

    def leaving(self) -> bool:
        return self.leaves

    def held(self) -> bool:
        return self.paused

    def preempted(self) -> bool:
        return False

    def patience(self) -> float:
        return 0.5

    def alive(self) -> None:
        self.alive_told += 1

    def note(self, text: str) -> None:
        self.notes.append(text)

    def work(self) -> None:
        self.controller.work(self)

    def die(self) -> None:
        """Leaves the state that SIGKILL leaves: a running trial, a free lock file, and a lease without heartbeats."""
        lease = getattr(getattr(self.controller, "coordinator", None), "lease", None)
        if lease is not None:
            lease.close()
        content = self.lock.path.read_text()
        self.lock.release()
        self.lock.path.write_text(content)


class Sweep:
    """Makes a sweep of one kind of controller, and its agents."""

    def __init__(self, kind: str, home: Path, server: Postgres | None, body: Mapping[str, Any]) -> None:
        self.kind, self.spec = kind, sweep_from_dict(dict(body))
        self.state = State()
        sweep_id = f"s{uuid.uuid4().hex[:8]}"
        if kind == "wandb":
            sweep_id = self.state.create_sweep("", self.spec.to_wandb(), "tester", "p").name
        self.paths = SweepPaths(home, sweep_id)
        self.paths.agents.mkdir(parents=True)
        self.url = None if kind == "wandb" else storage_url(kind, home, server)
        describe(self.paths, self.spec, self.url)
        self.agents: list[Agent] = []

    def agent(
        self,
        how: Callable[[Mapping[str, Any]], End] = finished,
        *,
        most: int = 1000,
        target: int | None = None,
        retry: Collection[str] = (),
    ) -> Agent:
        """Adds an agent that ends its trials as `how` says, starts at most so many, and tries those of `retry` again."""
        lock = AgentLock(self.paths.agents, len(self.agents), "token")
        agent = Agent(self.paths, lock, how, most)
        agent.controller = self._controller(self.spec, lock.name, target, retry)
        self.agents.append(agent)
        return agent

    def _controller(self, spec: SweepSpec, lock_name: str, target: int | None, retry: Collection[str]) -> Controller:
        common: dict[str, Any] = {"lock_name": lock_name, "retries": 1, "retry": retry}
        if self.kind != "wandb":
            return LocalController(self.paths, spec, seed=1, storage_url=self.url, target=target, **common)
        recorder: Any = DirectRecorder(self.state)
        return WandbController(self.paths, spec, recorder=recorder, project="p", entity="tester", **common)

    def records(self) -> list[TrialRecord]:
        return list(self.paths.records())

    def close(self) -> None:
        for agent in self.agents:
            agent.controller.close()


@pytest.fixture(scope="module")
def server() -> Iterator[Postgres | None]:
    if programs() is None:
        yield None
        return
    with Postgres(["max_connections=60", "fsync=off"]) as running:
        yield running


Make = Callable[[Mapping[str, Any]], Sweep]


@pytest.fixture(params=CONTROLLERS)
def make(
    request: pytest.FixtureRequest, server: Postgres | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Make]:
    """Makes a sweep of each kind of controller."""
    kind = request.param
    if kind == "postgresql" and server is None:
        pytest.skip("PostgreSQL is not installed (`make postgres` installs it where it may)")
    made: list[Sweep] = []

    def make(body: Mapping[str, Any]) -> Sweep:
        made.append(Sweep(kind, tmp_path, server, body))
        if kind == "wandb":
            state = made[-1].state
            for module in (wandb, wandb_heartbeat):
                monkeypatch.setattr(module, "Transport", lambda: DirectTransport(state))
            monkeypatch.setattr(wandb_heartbeat, "IDLE_PERIOD", 0.02)
            monkeypatch.setattr(wandb_heartbeat, "BUSY_PERIOD", 0.02)
        return made[-1]

    yield make
    for sweep in made:
        sweep.close()


def point(params: Mapping[str, Any]) -> tuple[Any, ...]:
    return tuple(params[name] for name in sorted(params))


def points_of(body: Mapping[str, Any]) -> set[tuple[Any, ...]]:
    spec = sweep_from_dict(dict(body))
    return {point(spec.grid_point(index)) for index in range(spec.grid_size or 0)}


def work_together(agents: list[Agent], seconds: float = 180) -> None:
    failures: list[BaseException] = []

    def work(agent: Agent) -> None:
        try:
            agent.work()
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=work, args=(agent,)) for agent in agents]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(seconds)
    assert not any(thread.is_alive() for thread in threads)
    assert not failures


# -- what holds for all of them -----------------------------------------------------------------------------------------


def test_no_trial_starts_once_a_stop_was_asked_for(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    sweep = make(GRID)
    if sweep.kind == "wandb":
        pytest.skip("the server gives a run out, which is then to be ended")
    cut = sweep.agent()
    local = cut.controller
    assert isinstance(local, LocalController)
    ask = local.ask

    def ask_long() -> Any:
        found = ask()
        cut.leaves = True  # Ctrl-C while the trial was chosen
        return found

    monkeypatch.setattr(local, "ask", ask_long)
    work_together([cut])
    assert not cut.ran and not sweep.records()
    local.close()
    cut.lock.release()
    rest = sweep.agent()
    work_together([rest])
    assert Counter(point(record.params) for record in rest.ran) == Counter(points_of(GRID))


@pytest.mark.parametrize("agents", [1, 3])
def test_every_point_of_a_grid_is_tried_once(make: Make, agents: int) -> None:
    sweep = make(VALUES)
    working = [sweep.agent() for _ in range(agents)]
    work_together(working)
    ran = sorted((record for agent in working for record in agent.ran), key=lambda record: record.number)
    wanted = [sweep.spec.grid_point(index) for index in range(sweep.spec.grid_size or 0)]
    if sweep.kind == "wandb" and agents > 1:  # numbers are the launcher's, and given out by themselves
        ran.sort(key=lambda record: str(record.params))
        wanted.sort(key=str)
    assert [str(record.params) for record in ran] == [str(point) for point in wanted]
    assert {record.state for record in ran} == {"finished"}
    assert sorted(record.number for record in ran) == list(range(21))
    assert len({record.id for record in ran}) == len({record.name for record in ran}) == 21
    assert [agent.given_back for agent in working] == [1] * agents


def test_points_are_distinct_and_counted_exactly_with_agents_that_ask_at_once(make: Make) -> None:
    sweep = make({**RANDOM, "run_cap": 30})
    agents = [sweep.agent(target=30) for _ in range(6)]
    work_together(agents)
    ran = [record for agent in agents for record in agent.ran]
    assert len(ran) == len({record.params["a"] for record in ran}) == 30
    assert sorted(record.number for record in ran) == list(range(30))
    if isinstance(agents[0].controller, LocalController):
        trials = agents[0].controller.study.get_trials()
        assert [trial.number for trial in trials] == list(range(30))
        assert not any(trial.user_attrs[ASSIGNED].get(VOID) for trial in trials)


def test_no_trial_is_started_without_leave(make: Make) -> None:
    sweep = make(RANDOM)
    agent = sweep.agent(most=3)
    agent.work()
    assert len(agent.ran) == 3
    assert agent.given_back == 0
    assert all(0.0 <= record.params["a"] <= 1.0 for record in agent.ran)
    assert len({record.params["a"] for record in agent.ran}) == 3


def test_an_agent_that_waited_for_a_trial_while_the_sweep_was_paused_starts_it_afterwards(make: Make) -> None:
    sweep = make(GRID)
    agent = sweep.agent()
    agent.paused = True
    working = threading.Thread(target=work_together, args=([agent],))
    working.start()
    time.sleep(0.3)  # until everything of it sleeps
    assert not agent.ran
    agent.paused = False
    working.join(30)
    assert not working.is_alive()
    assert Counter(point(record.params) for record in agent.ran) == Counter(points_of(GRID))


def test_inactive_parameters_are_left_out(make: Make) -> None:
    parameters = {"a": {"values": [1, 2]}, "b": {"values": [3, 4], "parent": "a", "parent_values": [2]}}
    sweep = make({**GRID, "method": "random", "parameters": parameters})
    agent = sweep.agent(most=8)
    agent.work()
    assert {1, 2} == {record.params["a"] for record in agent.ran}
    assert all(("b" in record.params) == (record.params["a"] == 2) for record in agent.ran)


def test_a_sweep_that_is_done_gives_out_no_trial(make: Make) -> None:
    sweep = make(GRID)
    sweep.agent().work()
    later = sweep.agent()
    try:
        later.work()
    except SweepError as error:  # W&B's server takes no agent any more
        assert "is not running" in str(error)
    else:
        assert later.given_back == 1
    assert later.ran == []


def test_failed_points_are_not_tried_again(make: Make) -> None:
    sweep = make(GRID)
    agent = sweep.agent(lambda params: ("failed", None) if params["a"] == 2 else ("finished", 1.0))
    agent.work()
    assert Counter(record.state for record in agent.ran) == {"failed": 2, "finished": 4}
    assert Counter(point(record.params) for record in agent.ran) == Counter(points_of(GRID))


def failing(params: Mapping[str, Any]) -> End:
    return ("failed", None) if params["a"] == 2 else ("finished", 1.0)


@pytest.mark.parametrize("agents", [1, 3])
def test_points_of_failed_trials_are_tried_again_once_where_the_user_wants_them(make: Make, agents: int) -> None:
    sweep = make(GRID)
    first = sweep.agent(failing)
    first.work()
    first.controller.close()
    first.lock.release()
    failed = {record.id: record.params for record in first.ran if record.state == "failed"}
    later = [sweep.agent(target=6, retry=failed) for _ in range(agents)]
    work_together(later)
    again = [record for agent in later for record in agent.ran]
    assert {str(record.retry_of): record.params for record in again} == failed and len(again) == 2
    assert {record.state for record in again} == {"finished"}
    assert len({record.id for record in sweep.records()}) == len({record.name for record in sweep.records()}) == 8
    # Whoever comes later has the same list, and nothing to do.
    last = sweep.agent(target=6, retry=failed)
    last.work()
    assert last.ran == []
    if sweep.kind == "wandb":
        found = [sweep.state.run(record.id, "tester", "p") for record in again]
        assert [run and run.sweep for run in found] == [sweep.paths.sweep_id] * 2


def test_a_point_that_is_tried_again_and_cut_off_stays_owed(make: Make) -> None:
    sweep = make(GRID)
    first = sweep.agent(failing)
    first.work()
    first.controller.close()
    first.lock.release()
    failed = {record.id: record.params for record in first.ran if record.state == "failed"}
    cut = sweep.agent(target=6, retry=failed)

    def interrupted(params: Mapping[str, Any]) -> End:
        cut.leaves = True
        return "killed", None

    cut.how = interrupted
    cut.work()
    cut.controller.close()
    cut.lock.release()
    last = sweep.agent(target=6, retry=failed)
    last.work()
    done = Counter(point(record.params) for record in sweep.records() if record.state == "finished")
    assert done == Counter(points_of(GRID))


def test_a_stopped_point_is_not_tried_again(make: Make) -> None:
    sweep = make(GRID)
    agent = sweep.agent(lambda params: ("stopped", 0.5) if params["a"] == 2 else ("finished", 1.0))
    agent.work()
    assert Counter(record.state for record in agent.ran) == {"stopped": 2, "finished": 4}
    assert Counter(point(record.params) for record in agent.ran) == Counter(points_of(GRID))


def test_an_interrupted_point_is_tried_again_by_the_next_agent(make: Make) -> None:
    sweep = make(GRID)
    first = sweep.agent()

    def interrupted(params: Mapping[str, Any]) -> End:
        if len(first.ran) < 2:
            return "finished", 1.0
        first.leaves = True
        return "killed", None

    first.how = interrupted
    first.work()
    assert [record.state for record in first.ran] == ["finished", "finished", "killed"]
    first.controller.close()
    first.lock.release()
    second = sweep.agent()
    second.work()
    done = [record for record in [*first.ran, *second.ran] if record.state == "finished"]
    assert Counter(point(record.params) for record in done) == Counter(points_of(GRID))
    (again,) = [record for record in second.ran if record.params == first.ran[-1].params]
    assert first.ran[-1].id in (again.id, again.retry_of)


def test_a_point_that_was_lost_with_its_agent_is_tried_again(make: Make) -> None:
    sweep = make(GRID)

    def die(params: Mapping[str, Any]) -> End:
        raise Died

    first = sweep.agent(die)
    with pytest.raises(Died):
        first.work()
    first.die()
    (lost,) = sweep.records()
    assert lost.state == "running"
    second = sweep.agent()
    second.work()
    assert Counter(point(record.params) for record in second.ran) == Counter(points_of(GRID))
    assert any(lost.name in note and "lost" in note for note in second.notes)
    (again,) = [record for record in second.ran if record.params == lost.params]
    assert lost.id in (again.id, again.retry_of)


def test_a_point_is_tried_again_whose_agent_died_before_the_storage_knew_that_it_had_begun(make: Make) -> None:
    sweep = make(GRID)
    first = sweep.agent()
    first.dies_untold = True
    with pytest.raises(Died):
        first.work()
    first.die()
    (lost,) = sweep.records()
    second = sweep.agent()
    second.work()
    assert Counter(point(record.params) for record in second.ran) == Counter(points_of(GRID))
    (again,) = [record for record in second.ran if record.params == lost.params]
    assert lost.id in (again.id, again.retry_of)


def test_a_point_is_tried_whose_agent_died_before_it_began(make: Make) -> None:
    sweep = make(GRID)
    for _ in range(2):  # the second one dies of the same point, or of another
        agent = sweep.agent()
        agent.dies_unbegun = True
        with pytest.raises(Died):
            agent.work()
        agent.die()
    assert not sweep.records()
    last = sweep.agent()
    last.work()
    assert Counter(point(record.params) for record in last.ran) == Counter(points_of(GRID))


def test_a_point_that_kills_its_agents_is_given_up(make: Make) -> None:
    sweep = make(GRID)

    def die(params: Mapping[str, Any]) -> End:
        if params == {"a": 2, "b": "x"}:
            raise Died
        return "finished", 1.0

    deaths = 0
    for _ in range(5):
        agent = sweep.agent(die)
        try:
            agent.work()
        except Died:
            deaths += 1
            agent.die()
        else:
            break
    assert deaths == 2  # once, and as often again as `retries` says
    done = [record for agent in sweep.agents for record in agent.ran]
    assert Counter(point(record.params) for record in done) == Counter(points_of(GRID) - {(2, "x")})


def test_an_agent_that_waits_leaves_when_it_is_to(make: Make) -> None:
    sweep = make({**GRID, "parameters": {"a": {"values": [1]}}})
    holds = threading.Event()

    def hold(params: Mapping[str, Any]) -> End:
        holds.wait(30)
        return "finished", 1.0

    busy = sweep.agent(hold)
    holder = threading.Thread(target=busy.work)
    holder.start()
    try:
        deadline = time.monotonic() + 120
        while not sweep.records() and time.monotonic() < deadline:
            time.sleep(0.01)
        assert sweep.records()
        idle = sweep.agent()
        threading.Timer(0.3, setattr, (idle, "leaves", True)).start()
        started = time.monotonic()
        idle.work()
        assert time.monotonic() - started < 5
        assert idle.ran == []
    finally:
        holds.set()
        holder.join(30)
    assert [record.state for record in busy.ran] == ["finished"]


def test_an_error_of_the_agents_ends_its_work_and_nothing_else(make: Make) -> None:
    sweep = make(GRID)

    def fail(params: Mapping[str, Any]) -> End:
        raise OSError("no space left on device")

    agent = sweep.agent(fail)
    with pytest.raises(OSError, match="no space left"):
        agent.work()
    started = time.monotonic()
    agent.controller.close()
    assert time.monotonic() - started < 5
    other = sweep.agent(most=2)
    other.work()
    assert len(other.ran) == 2


def test_one_that_never_worked_can_be_closed(make: Make) -> None:
    agent = make(GRID).agent()
    started = time.monotonic()
    agent.controller.close()
    assert time.monotonic() - started < 5
