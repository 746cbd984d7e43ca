"""Keeps a worker: a slot for one agent process at a time. Agents come and go; the worker stays."""

from __future__ import annotations

import math
import os
import socket
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from ...base.processes import MARKER, how_ended, kill_marked, marked_processes, padded
from ...base.shipped import IMPORT_ROOT
from ...records.folder import TrialRecord
from .agent_starter import UNKNOWN_STATUS, AgentProcess, AgentStarter
from .channel import Channel
from .gpu_places import Place
from .sweep_state import SweepState

MAX_RESTARTS = 3  # deaths of one worker's agents in a row without a trial ended in between
AGENT_EXIT_GRACE = 20.0  # seconds an agent gets, beyond its trial's grace period, to leave when asked
GUARD_EXIT_GRACE = 4.0  # seconds for the guard of a dead agent to end its trial, before we do
LOOK = 0.05  # seconds between two looks for processes of an agent that is gone
AGENT_CODE = (
    "import sys; sys.path[:] = [{root!r}, *filter(None, sys.path)]; "
    "from yacs_sweep.launch.workers.agent import main; main()"
)


class Worker:
    """Holds one agent process, its trial and its place, and counts how often the agent had to be replaced."""

    def __init__(self, index: int, cores: tuple[int, ...] = ()) -> None:
        self.index, self.cores = index, cores
        self.sweep: SweepState | None = None  # the sweep its agent works on; None: it has no agent
        self.deaths = 0  # in a row, without a trial ended in between
        self.restart_at = 0.0  # when the next agent may start (monotonic seconds)
        self.start_fails_since: float | None = None  # monotonic seconds
        self.token = ""
        self.last_heard = 0.0  # when the agent last said something (monotonic seconds)
        self.closed_at: float | None = None  # when its channel closed
        self.exit_at = 0.0  # when its process had ended
        self.searched_at = 0.0  # when it was last looked for what it has left behind
        self.status: int | None = None  # of the process, once it has ended
        self.granted = False  # whether its agent has been granted a trial
        self.place: Place | None = None
        self.trial: TrialRecord | None = None
        self.since = 0.0  # when that started (seconds of `AWAKE`)
        self.asleep = False  # whether its agent has stopped its trial for as long as the launch sleeps
        self.stopped_trial = ""  # id of the trial that it was told to end for good
        self.dismissed = False  # whether its agent leaves because it was told to, though there is more to do
        # Whether its next agent is to follow after the trial: it has other cores, or finds a lost trial.
        self.renew = False
        self.cut = False  # whether its trial was ended to be tried again elsewhere
        self.surplus = False  # whether it is given up once its agent has left
        self.stop_by = math.inf  # when its agent is killed, which was told to end its trial (seconds of `AWAKE`)
        self.log: Path
        self.channel: Channel
        self.process: AgentProcess

    def start(
        self,
        sweep: SweepState,
        environment: Mapping[str, str],
        output: int | None = None,
        starter: AgentStarter | None = None,
    ) -> None:
        """Starts an agent: with the starter where there is one, else by exec. May raise OSError.

        Args:
            output: the descriptor on which it shows trainers' lines; default: our stdout.
        """
        job = replace(sweep.job, index=self.index, cores=self.cores)
        ours, theirs = socket.socketpair()
        self.token = os.urandom(16).hex()
        self.log = job.paths.agents / f"worker-{self.index}.log"
        first: dict[str, Any] = {"job": asdict(job)}
        # The log: tracebacks and the W&B client's messages; the trainer's stderr goes with its stdout.
        with theirs, self.log.open("ab") as log:
            descriptors = (theirs.fileno(), log.fileno(), 1 if output is None else output)
            forked = starter.start(self.token, *descriptors) if starter is not None else None
            if forked is not None:
                self.process, first["environment"] = forked, dict(environment)
            else:
                self.process = self._execute(environment, *descriptors)
        self.sweep = sweep
        self.channel = Channel(ours)
        self.last_heard = time.monotonic()
        self.closed_at = self.status = None
        self.granted, self.trial, self.place = False, None, None
        self.dismissed = self.renew = self.cut = False
        self.stop_by = math.inf
        self.channel.send(*([] if job.preload is None else [job.preload]), **first)

    def _execute(self, environment: Mapping[str, str], channel: int, log: int, output: int) -> subprocess.Popen[bytes]:
        """Executes an agent, where none can be forked."""
        return subprocess.Popen(
            [sys.executable, "-c", AGENT_CODE.format(root=str(IMPORT_ROOT)), str(channel), padded("agent")],
            pass_fds=[channel],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=log,
            start_new_session=True,  # Ctrl-C reaches the supervisor alone, which ends things in order
            env={**environment, MARKER: self.token},
        )

    @property
    def given_up(self) -> bool:
        """Whether its agents have died too often."""
        return self.deaths > MAX_RESTARTS

    @property
    def connected(self) -> bool:
        """Whether its agent's channel is open."""
        return self.sweep is not None and self.closed_at is None

    @property
    def is_ending(self) -> bool:
        """Whether its trial is being ended: alone, or together with the agent."""
        return self.stop_by < math.inf or (self.trial is not None and self.trial.id == self.stopped_trial)

    def kill(self) -> None:
        """Kills its agent's process."""
        if self.sweep is not None and self.status is None:
            self.process.kill()

    def clean_up(self) -> bool:
        """Ends what is left of an agent whose channel has closed, without waiting; True once nothing of it runs."""
        assert self.closed_at is not None
        now = time.monotonic()
        if self.status is None:
            self.status = self.process.poll()
            self.exit_at = now
            if self.status is None:
                if now > self.closed_at + AGENT_EXIT_GRACE:
                    self.process.kill()
                return False
        # The guard of a dead agent ends the trial within its own grace period.
        if now < self.searched_at + LOOK:
            return False
        self.searched_at = now
        try:
            left = marked_processes(self.token)
        except OSError:  # looked for again
            return False
        if left:
            if now < self.exit_at + GUARD_EXIT_GRACE:
                return False
            kill_marked(self.token)
        return True

    def count_death(self) -> None:
        """Counts an agent that died; the next one starts a little later each time."""
        self.deaths += 1
        self.restart_at = time.monotonic() + min(5.0, 0.2 * 2 ** (self.deaths - 1))

    def last_log_line(self) -> str:
        """Returns the last line of the agent's log, where a traceback ends."""
        lines = [line for line in self.log.read_text(errors="replace").splitlines() if line.strip()]
        return f"{lines[-1].strip()} (see {self.log})" if lines else f"see {self.log}"

    def exit_text(self) -> str:
        """Says in words how its agent's process ended."""
        if self.status == UNKNOWN_STATUS:
            return "exit code unknown"
        return how_ended(self.status or 0)
