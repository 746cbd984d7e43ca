"""An agent as the W&B server sees it: registration, heartbeats, commands."""

from __future__ import annotations

import json
import socket
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ..wandb.client import OUTAGE, Refused, Transport
from .controller import Turn

IDLE_BEAT = 1.0  # seconds between two heartbeats that ask for work: at most one a second
BUSY_BEAT = 2.0  # seconds between two heartbeats while a trial runs: a stop must have ended it within 5 s
LATE = 0.5  # seconds a heartbeat may be late without the ones behind it being put off
IDLE_NOTE = 30.0  # seconds without a trial after which the user is told that we wait
GONE = 2  # times in a row the server must say that it does not know us: one may be a proxy's word
CREATE_AGENT = """
mutation CreateAgent($host: String!, $projectName: String, $entityName: String, $sweep: String!) {
    createAgent(input: {host: $host, projectName: $projectName, entityName: $entityName, sweep: $sweep}) {
        agent { id }
    }
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

    @classmethod
    def parse(cls, text: str | None) -> list[Command]:
        """The commands of a heartbeat's answer; what is not a command is left out."""
        found = json.loads(text or "[]")
        items = [item for item in found if isinstance(item, dict)] if isinstance(found, list) else []
        return [
            cls(
                str(item.get("type", "")),
                str(item.get("run_id", "")),
                args if isinstance(args := item.get("args"), dict) else None,
            )
            for item in items
        ]


class Heart:
    """Sends heartbeats on a thread of its own, and keeps what the server answers until it is asked for."""

    def __init__(self, sweep_id: str, project: str | None, entity: str | None, turn: Turn) -> None:
        self._sweep = {"sweep": sweep_id, "projectName": project, "entityName": entity}
        self._turn = turn
        self._transport = Transport()
        self._agent: str | None = None
        self._changed = threading.Condition()
        self._running: str | None = None
        self._asking = False
        self._closed = False
        self._job: Command | None = None
        self._stop: str | None = None
        self.ended: str | None = None  # why there will be no further trial
        self.trouble = False  # whether that is a failure
        self._due = float("-inf")  # when the last heartbeat was due, monotonic seconds
        self._failing_since: float | None = None
        self._refusals = 0
        self._thread = threading.Thread(target=self._work, name="heartbeat", daemon=True)
        self._thread.start()

    # -- for the agent's thread ---------------------------------------------------------------------------------------

    def next_job(self) -> Command | None:
        """Asks the server for a run; None when there will be none. Waits while the sweep is paused."""
        told, since = False, time.monotonic()
        with self._changed:
            self._asking = True
            self._changed.notify_all()
            while self._job is None and self.ended is None and not self._turn.stopping():
                self._changed.wait(0.1)
                self._turn.alive()
                if not told and self._failing_since is None and time.monotonic() > since + IDLE_NOTE:
                    told = True
                    self._turn.note("W&B gives no trial now: the sweep is paused, or others run its last ones; waiting")
            self._asking = False
            job, self._job = self._job, None
            return job

    def adopt(self, run_id: str) -> None:
        """This agent runs that run, which the server did not give it."""
        with self._changed:
            self._running, self._stop = run_id, None
            self._changed.notify_all()

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

    # -- on the heartbeats' thread ------------------------------------------------------------------------------------

    def _work(self) -> None:
        while self._wait_until_due():
            try:
                commands = self._beat()
            except Refused as error:
                self._refusals += 1
                if self._refusals >= GONE or "HTTP 400" in str(error):
                    self._end(self._refusal(error), trouble=True)
                    return
            except Exception as error:  # no answer, or none of W&B's; this thread is never to end without a word
                if not self._go_on(error):
                    return
            else:
                if self._failing_since is not None:
                    self._turn.note("W&B answers again")
                self._failing_since, self._refusals = None, 0
                for command in commands:
                    self._obey(command)

    def _beat(self) -> list[Command]:
        if self._agent is None:
            answer = self._transport.execute(CREATE_AGENT, {"host": socket.gethostname(), **self._sweep})
            self._agent = str(answer["createAgent"]["agent"]["id"])
            self._due = time.monotonic()  # registering takes a while, the first time
        with self._changed:
            running, asking = self._running, self._asking
        if not running and not asking:
            return []
        state = json.dumps({running: True} if running else {})
        answer = self._transport.execute(HEARTBEAT, {"id": self._agent, "metrics": "{}", "runState": state})
        return Command.parse(answer["agentHeartbeat"]["commands"])

    def _wait_until_due(self) -> bool:
        """Waits for the next heartbeat's time, on a schedule that does not drift; False when there will be none."""
        with self._changed:
            while not self._closed:
                period = self._period()
                if period is None:
                    self._changed.wait()
                    continue
                now, due = time.monotonic(), self._due + period
                if now >= due:
                    self._due = due if now < due + min(LATE, period) else now
                    return True
                self._changed.wait(due - now)
            return False

    def _period(self) -> float | None:
        """Seconds between two heartbeats; None while there is nothing to ask, and before the first trial."""
        if self._running is None and not self._asking:
            return None
        idle = self._failing_since is None and self._refusals == 0 and self._running is None
        return IDLE_BEAT if idle else BUSY_BEAT

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

    def _go_on(self, error: Exception) -> bool:
        """Whether to go on trying: through any outage while a trial runs, else as long as one is to cost nothing."""
        now = time.monotonic()
        if self._failing_since is None:
            self._failing_since = now
            self._turn.note(f"W&B does not answer ({error}); trials go on, it is asked again for {OUTAGE:.0f} s")
        if self._running is None and now - self._failing_since > OUTAGE:
            self._end(f"W&B did not answer for {OUTAGE:.0f} s ({error})", trouble=True)
            return False
        return True
