"""Registers an agent at the W&B server, sends its heartbeats and keeps the server's commands."""

from __future__ import annotations

import json
import socket
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from ..records.control.orders import Order
from ..trial.process import Stop
from ..wandb.client import OUTAGE, Refused, Transport
from ..wandb.recorder import STOPPED
from .controller import Agent

IDLE_PERIOD = 1.0  # seconds between two heartbeats that ask for work: at most one a second
BUSY_PERIOD = 2.0  # seconds between two heartbeats while a trial runs: a stop must have ended it within 5 s
LATE = 0.5  # seconds a heartbeat may be late without delaying the next ones
SUPERVISOR_FIRST = 1.5  # seconds in which the supervisor ends the trials of a cancelled sweep, and says so
ORDER_WAIT = 5.0  # seconds for the supervisor to obey an order that has ended the sweep on the server
IDLE_NOTE = 30.0  # seconds without a trial after which the user is told that we wait
REFUSALS = 2  # in a row, until the agent believes that the server does not know it: one may come from a proxy
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
    """One command of the W&B server: run, resume, stop or exit."""

    type: str
    run_id: str = ""
    args: Mapping[str, Any] | None = None

    @classmethod
    def parse(cls, text: str | None) -> list[Command]:
        """Reads the commands of a heartbeat's answer; anything else in it is left out."""
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


class Heartbeat:
    """Sends heartbeats on a thread of its own, and keeps the server's commands for the agent."""

    def __init__(
        self,
        sweep_id: str,
        project: str | None,
        entity: str | None,
        agent: Agent,
        *,
        may_have_ended: bool = False,
        why_ended: Callable[[Transport], Order | None] = lambda transport: None,
        taken: Callable[[Command], None] = lambda run: None,
    ) -> None:
        """Starts the heartbeats.

        Args:
            may_have_ended: it is no error that the sweep takes no agent any more; failed points are run again all the same.
            why_ended: asks by which order the server stops a run or ends the sweep; None: by none, or not known.
            taken: is called with each run that the server gives, before anything else is done with it.
        """
        self._taken = taken
        self._may_have_ended, self._why_ended = may_have_ended, why_ended
        self._sweep = {"sweep": sweep_id, "projectName": project, "entityName": entity}
        self._agent = agent
        self._transport = Transport()
        self._agent_id: str | None = None  # at the server
        self._changed = threading.Condition()
        self._running: str | None = None
        self._asking = False
        self._closed = False
        self._job: Command | None = None
        self._stop: str | Stop | None = None
        self._stop_at = 0.0  # when the trial is ended (monotonic seconds)
        self._ordered = False  # whether somebody has ended the sweep on the server
        self.ended: str | None = None  # why there will be no further trial
        self.failed = False  # whether that is an error
        self._due = float("-inf")  # when the last heartbeat was due (monotonic seconds)
        self._failing_since: float | None = None
        self._refusals = 0
        self._thread = threading.Thread(target=self._work, name="heartbeat", daemon=True)
        self._thread.start()

    # -- for the agent's thread ---------------------------------------------------------------------------------------

    def next_job(self) -> Command | None:
        """Asks the server for a run; None when there will be none. Waits while the sweep is paused."""
        noted, since = False, time.monotonic()
        with self._changed:
            while self._job is None and self.ended is None and not self._agent.leaving():
                if self._asking == self._agent.held():
                    self._asking = not self._asking
                    self._changed.notify_all()  # the thread sleeps without end while nothing is asked for
                self._changed.wait(0.1)
                self._agent.alive()
                quiet = noted or self._failing_since is not None or self._agent.held()
                if not quiet and time.monotonic() > since + IDLE_NOTE:
                    noted = True
                    self._agent.note(
                        "W&B gives no trial now: the sweep is paused, or others run its last ones; waiting"
                    )
            self._asking = False
            job, self._job = self._job, None
        if job is None and self._ordered:
            self._await_supervisor()
        return job

    def _await_supervisor(self) -> None:
        """Waits until the supervisor has obeyed the order that has ended the sweep: it knows how the launch is to end."""
        deadline = time.monotonic() + ORDER_WAIT
        while not self._agent.leaving() and time.monotonic() < deadline:
            self._agent.alive()
            time.sleep(0.05)

    def take_over(self, run_id: str) -> None:
        """Says from now on that this agent runs a run, which the server did not hand out to it."""
        with self._changed:
            self._running, self._stop = run_id, None
            self._changed.notify_all()

    def stop_reason(self) -> str | Stop | None:
        """Returns why the server wants the running trial stopped, or how it is to be ended else; None while it may continue."""
        return self._stop if time.monotonic() >= self._stop_at else None

    def trial_ended(self) -> None:
        """Says from now on that this agent runs nothing."""
        with self._changed:
            self._running = None

    def close(self) -> None:
        """Ends the heartbeats."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    # -- on the heartbeats' thread ------------------------------------------------------------------------------------

    def _work(self) -> None:
        """Sends heartbeats until the sweep has ended, or the server refuses or is gone for too long."""
        while self._wait_until_due():
            try:
                commands = self._send()
            except Refused as error:
                self._refusals += 1
                if self._may_have_ended and self._agent_id is None and "HTTP 400" in str(error):
                    self._end("the sweep has ended on the W&B server", failed=False)
                    return
                if self._refusals >= REFUSALS or "HTTP 400" in str(error):
                    self._end(self._refusal(error), failed=True)
                    return
            except Exception as error:  # no answer, or none of W&B's; this thread is never to end without a word
                if not self._try_again(error):
                    return
            else:
                if self._failing_since is not None:
                    self._agent.note("W&B answers again")
                self._failing_since, self._refusals = None, 0
                for command in commands:
                    self._handle(command)

    def _send(self) -> list[Command]:
        """Sends a heartbeat, after registering the agent; returns the commands of the answer."""
        if self._agent_id is None:
            answer = self._transport.execute(CREATE_AGENT, {"host": socket.gethostname(), **self._sweep})
            self._agent_id = str(answer["createAgent"]["agent"]["id"])
            self._due = time.monotonic()  # registering takes a while, the first time
        with self._changed:
            running, asking = self._running, self._asking
        if not running and not asking:
            return []
        state = json.dumps({running: True} if running else {})
        answer = self._transport.execute(HEARTBEAT, {"id": self._agent_id, "metrics": "{}", "runState": state})
        return Command.parse(answer["agentHeartbeat"]["commands"])

    def _wait_until_due(self) -> bool:
        """Waits for the next heartbeat's time, on a schedule that does not drift; returns False when there will be none."""
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
        """Returns the seconds between two heartbeats; None while nothing runs and no run is asked for."""
        if self._running is None and not self._asking:
            return None
        idle = self._failing_since is None and self._refusals == 0 and self._running is None
        return IDLE_PERIOD if idle else BUSY_PERIOD

    def _handle(self, command: Command) -> None:
        """Keeps a command for the agent."""
        if command.type == "stop" and (self._stop is not None or command.run_id != self._running):
            return
        order = self._why_ended(self._transport) if command.type in ("stop", "exit") else None
        # Not a stop, which settles the trial: whoever resumes the sweep runs it again, as after Ctrl-C.
        cancelled = f"cancelled {order.origin}" if order is not None and order.act == "cancel" else ""
        if command.type in ("run", "resume"):
            self._taken(command)
        with self._changed:
            self._ordered = self._ordered or order is not None
            self._stop_at = time.monotonic() + SUPERVISOR_FIRST if cancelled else 0.0
            if command.type in ("run", "resume"):
                # Running from now on: a heartbeat that said otherwise would ask for another run.
                self._job, self._running, self._stop = command, command.run_id, None
            elif command.type == "stop":
                self._stop = Stop("interrupted", cancelled) if cancelled else STOPPED
            elif command.type == "exit":
                self.ended = cancelled or "the sweep has ended on the W&B server"
                if self._running is not None:
                    ended = "the sweep was ended on the W&B server"
                    self._stop = Stop("interrupted", cancelled) if cancelled else ended
            self._changed.notify_all()

    def _refusal(self, error: Refused) -> str:
        """Says for the user why the server refuses the agent."""
        if "HTTP 404" in str(error):
            return "the sweep does not exist on the W&B server any more"
        return f"W&B refuses this agent: {error}"

    def _end(self, why: str, *, failed: bool) -> None:
        """Says that there will be no further trial."""
        with self._changed:
            self.ended, self.failed = why, failed
            self._changed.notify_all()

    def _try_again(self, error: Exception) -> bool:
        """Returns whether to try again after an error: always while a trial runs, else for `OUTAGE` seconds."""
        now = time.monotonic()
        if self._failing_since is None:
            self._failing_since = now
            self._agent.note(f"W&B does not answer ({error}); trials continue; retrying for {OUTAGE:.0f} s")
        if self._running is None and now - self._failing_since > OUTAGE:
            self._end(f"W&B did not answer for {OUTAGE:.0f} s ({error})", failed=True)
            return False
        return True
