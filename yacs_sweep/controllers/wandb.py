"""Trials from W&B's sweep server.

The agent is `wandb.agent(…, function=…)` without its traps: it registers, sends heartbeats and reads commands as that one
does (facts of the protocol: docs/wandb.md), but a stop command sets a flag instead of raising a bare exception inside the
trial's thread, heartbeats ask for work only when a trial may start, and no failure of a trial or of the network ends it.
"""

from __future__ import annotations

import json
import socket
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ..errors import SweepError
from ..recorder import OUTAGE, Recorder, Run, RunIdentity, first_line
from ..results import SweepPaths, TrialPaths, TrialRecord
from ..spec_model import SweepSpec
from ..trial import Assignment
from .base import Turn

IDLE_BEAT = 1.0  # seconds between two heartbeats that ask for work: at most one a second
BUSY_BEAT = 2.5  # seconds between two heartbeats while a trial runs: a stop must have ended it within 5 s
NAME_WAIT = 5.0  # seconds a trial waits for the name its run has on the server; its id does as well
FINISH_WAIT = OUTAGE + 30.0  # seconds for a run to be finished on the server before the next trial

CREATE_AGENT = """
mutation CreateAgent($host: String!, $projectName: String, $entityName: String, $sweep: String!) {
    createAgent(input: {host: $host, projectName: $projectName, entityName: $entityName, sweep: $sweep}) { agent { id } }
}"""
HEARTBEAT = """
mutation Heartbeat($id: ID!, $metrics: JSONString, $runState: JSONString) {
    agentHeartbeat(input: {id: $id, metrics: $metrics, runState: $runState}) { agent { id } commands }
}"""


@dataclass(frozen=True)
class Command:
    """One command of the server: run, resume, stop or exit."""

    type: str
    run_id: str = ""
    args: Mapping[str, Any] | None = None


class Refused(SweepError):
    """The server answered, and the answer is final."""


class SweepServer:
    """The two operations of an agent. For one thread."""

    def __init__(self, sweep_id: str, project: str | None, entity: str | None) -> None:
        self._sweep = {"sweep": sweep_id, "projectName": project, "entityName": entity}
        self._api: Any = None
        self._agent: str | None = None

    def _execute(self, operation: str, variables: dict[str, Any]) -> Any:
        """Raises Refused for an answer that repeating cannot change, anything else for an outage."""
        import wandb
        from wandb.sdk.lib.service.service_connection import WandbApiFailedError

        if self._api is None:
            self._api = wandb.Api()
        try:
            return self._api._service_api.execute_graphql(operation, variables=variables, timeout=30)
        except WandbApiFailedError as error:
            status = error.response.http_status if error.response is not None else 0
            if status in (400, 401, 403, 404):
                raise Refused(f"{first_line(error)} (HTTP {status})") from error
            raise

    def connect(self) -> None:
        """Makes this process an agent of the sweep, once."""
        if self._agent is not None:
            return
        answer = self._execute(CREATE_AGENT, {"host": socket.gethostname(), **self._sweep})
        self._agent = answer["createAgent"]["agent"]["id"]

    def heartbeat(self, running: str | None) -> list[Command]:
        """Tells the server what runs; its commands."""
        state = json.dumps({running: True} if running else {})
        answer = self._execute(HEARTBEAT, {"id": self._agent, "metrics": "{}", "runState": state})
        commands = json.loads(answer["agentHeartbeat"]["commands"] or "[]")
        return [Command(c.get("type", ""), c.get("run_id", ""), c.get("args")) for c in commands]


class Heart:
    """Sends heartbeats on a thread of its own, and keeps what the server answers until it is asked for."""

    def __init__(self, server: SweepServer, turn: Turn) -> None:
        self._server, self._turn = server, turn
        self._changed = threading.Condition()
        self._running: str | None = None
        self._asking = False
        self._closed = False
        self._job: Command | None = None
        self._stop: str | None = None
        self.ended: str | None = None  # why there will be no further trial
        self.trouble = False  # whether that is a failure
        self._last_beat = float("-inf")
        self._failing_since: float | None = None
        self._thread = threading.Thread(target=self._work, name="heartbeat", daemon=True)
        self._thread.start()

    def next_job(self) -> Command | None:
        """Asks the server for a run; None when there will be none. Waits while the sweep is paused."""
        with self._changed:
            self._asking = True
            self._changed.notify_all()
            while self._job is None and self.ended is None and not self._turn.stopping():
                self._changed.wait(0.1)
                self._turn.alive()
            self._asking = False
            job, self._job = self._job, None
            return job

    def stop_wanted(self) -> str | None:
        """Why the server wants the running trial ended."""
        return self._stop

    def trial_over(self) -> None:
        """The run is finished on the server: this agent is free."""
        with self._changed:
            self._running = None

    def close(self) -> None:
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    def _work(self) -> None:
        while True:
            with self._changed:
                while not self._closed and (wait := self._until_due()) > 0:
                    self._changed.wait(wait)
                if self._closed:
                    return
            try:
                self._server.connect()
                with self._changed:
                    running, asking = self._running, self._asking
                self._last_beat = time.monotonic()
                commands = self._server.heartbeat(running) if running or asking else []
            except Refused as error:
                self._end(self._refusal(error), trouble=True)
                return
            except Exception as error:
                if not self._outage(error):
                    return
                continue
            if self._failing_since is not None:
                self._turn.note("W&B answers again")
                self._failing_since = None
            for command in commands:
                self._obey(command)

    def _until_due(self) -> float:
        if self._failing_since is None and self._asking and self._running is None:
            period = IDLE_BEAT
        elif self._running is not None or self._asking:
            period = BUSY_BEAT
        else:
            return 3600.0  # nothing runs and nothing is wanted: not before something changes
        return self._last_beat + period - time.monotonic()

    def _obey(self, command: Command) -> None:
        with self._changed:
            if command.type in ("run", "resume"):
                # Running from here on: a heartbeat that said otherwise would ask for another run.
                self._job, self._running, self._stop = command, command.run_id, None
            elif command.type == "stop" and command.run_id == self._running:
                self._stop = "stopped by the W&B server"
            elif command.type == "exit":
                self.ended = "the sweep has ended on the W&B server"
                if self._running is not None:
                    self._stop = "the sweep was ended on the W&B server"
            self._changed.notify_all()

    def _refusal(self, error: Refused) -> str:
        if "HTTP 404" in str(error):
            return "the sweep does not exist on the W&B server any more"
        return f"W&B refuses this agent: {error}"

    def _end(self, why: str, *, trouble: bool) -> None:
        with self._changed:
            self.ended, self.trouble = why, trouble
            self._changed.notify_all()

    def _outage(self, error: Exception) -> bool:
        """Whether to go on trying."""
        now = time.monotonic()
        if self._failing_since is None:
            self._failing_since = now
            self._turn.note(f"W&B does not answer ({first_line(error)}); trials go on, it is tried again for 10 min")
        if now - self._failing_since > OUTAGE:
            self._end(f"W&B did not answer for {OUTAGE / 60:.0f} min ({first_line(error)})", trouble=True)
            return False
        return True


class WandbController:
    """`base.Controller` for a sweep on the W&B server."""

    def __init__(
        self, paths: SweepPaths, spec: SweepSpec, *, recorder: Recorder, project: str | None, entity: str | None
    ) -> None:
        self.paths, self.spec, self.recorder = paths, spec, recorder
        self.project, self.entity = project, entity
        self.defined = {parameter.name for parameter in spec.parameters}

    def work(self, turn: Turn) -> None:
        heart = Heart(SweepServer(self.paths.sweep_id, self.project, self.entity), turn)
        try:
            while turn.may_start():
                job = heart.next_job()
                if job is None:
                    turn.give_back()
                    if heart.ended:
                        self._explain(turn, heart)
                    return
                self._trial(turn, heart, job)
                heart.trial_over()
        finally:
            heart.close()

    def _explain(self, turn: Turn, heart: Heart) -> None:
        assert heart.ended is not None
        if heart.trouble:
            raise SweepError(f"{heart.ended}; {self.recorder.where()}")
        turn.note(heart.ended)

    def _trial(self, turn: Turn, heart: Heart, job: Command) -> None:
        values = {name: item.get("value") for name, item in (job.args or {}).items() if isinstance(item, Mapping)}
        params = self.spec.active({name: value for name, value in values.items() if name in self.defined})
        unknown = sorted(set(values) - self.defined)
        run = self.recorder.begin(
            RunIdentity(
                job.run_id,
                "online",
                config=params,
                sweep_id=self.paths.sweep_id,
                project=self.project,
                entity=self.entity,
            )
        )
        assignment = Assignment(
            id=job.run_id,
            name=run.wait_for_name(NAME_WAIT) or job.run_id,
            number=sum(1 for _ in self.paths.records()),
            params=params,
        )
        refused = f"the server gave parameters the sweep does not define: {', '.join(unknown)}" if unknown else None
        if refused is None and not self.spec.allows(params):
            refused = f"the point breaks a condition of the sweep: {' and '.join(self.spec.where)}"
        record = turn.run(assignment, _Hooks(run, heart), refused=refused)
        run.end(record, preempted=turn.preempted() and record.state == "killed")
        deadline = time.monotonic() + FINISH_WAIT
        while not run.wait(0.2) and time.monotonic() < deadline and not turn.stopping():
            turn.alive()
        run.wait(turn.patience())

    def close(self) -> None:
        self.recorder.close(5.0)


class _Hooks:
    """`trial.Hooks`: rows go to the W&B run, stop commands come from its server."""

    def __init__(self, run: Run, heart: Heart) -> None:
        self._run, self._heart = run, heart

    def started(self, record: TrialRecord, paths: TrialPaths) -> None:
        self._run.follow(paths)

    def log(self, row: Mapping[str, Any], step: int) -> None:
        self._run.notify()

    def should_stop(self) -> str | None:
        return self._heart.stop_wanted()
