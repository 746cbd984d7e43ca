"""Supervises the agents of a launch: starts and replaces them, grants trials and GPUs, handles signals.

One sweep, or several that share the workers. The supervisor never waits for one agent while others have something to
say: what takes time (an agent that leaves, the pause before the next one) is checked again in the next round.
"""

from __future__ import annotations

import contextlib
import errno
import math
import os
import selectors
import signal
import time
from collections.abc import Callable, Iterable, Mapping, Sequence

from ...base.signals import AWAKE, noted
from ...base.streams import SILENT_WAIT, print_lines
from ...records.alive import clear_leftovers
from ...records.folder import ENDED_WELL, TrialRecord, mark_lost
from ...trial.process import Stop
from .agent_starter import AgentStarter
from .channel import Message
from .gpu_places import Layout, Places
from .grants import Grants
from .resizing import Resizing, Share
from .sleeping import Sleep
from .steering import Steering
from .sweep_state import SweepState
from .worker import Worker

PASSING = (errno.EMFILE, errno.ENFILE, errno.EAGAIN, errno.ENOMEM)  # errors of a start that may pass
START_AGAIN = 60.0  # seconds for which an agent is tried to be started
SILENCE = 120.0  # seconds without a sign of life after which an agent counts as hung and is replaced
HELD_UP = 1.0  # seconds between two rounds of the supervisor from which on it was itself held up
ROUND = 0.2  # seconds between two rounds when nothing happens,
BUSY_ROUND = 0.01  # while an agent is leaving


class Supervisor:
    """Runs the agents of all `sweeps` until their trials are granted, or their controllers have none left."""

    def __init__(
        self,
        sweeps: Sequence[SweepState],
        places: Places | None = None,
        *,
        cores: Sequence[tuple[int, ...]] = (),
        environment: Mapping[str, str] | None = None,
        output: int | None = None,
        starter: AgentStarter | None = None,
        say: Callable[[str], None] = print_lines,
        silence: float = SILENCE,
        signals: list[int] | None = None,
        shown: Iterable[str] = (),
        share: Share | None = None,
        on_workers: Callable[[Layout], object] | None = None,
        on_sleep: Callable[[bool], object] | None = None,
    ) -> None:
        """Makes the supervisor; `run` starts the agents.

        Args:
            places: where trials run; default: one worker's place.
            cores: each worker's; empty: none is kept on any.
            environment: of the agents; default: ours.
            output: the descriptor on which agents show trainers' lines; default: our stdout.
            starter: forks the agents; default: they are executed.
            signals: those received; another thread may append one.
            shown: lines the user has seen; an agent's line for all agents is not shown again.
            share: divides the cores again when the number of workers changes.
            on_workers: called with the layout that was ordered.
            on_sleep: called when Ctrl-Z stops the launch (True), and when it continues.
        """
        self.places = places or Places(Layout())
        self.sweeps, self.silence, self._print = sweeps, silence, say
        self.environment = os.environ if environment is None else environment
        self.output, self.starter = output, starter
        workers = self.places.layout.workers
        self.workers = [Worker(index, cores[index] if cores else ()) for index in range(workers)]
        self._shown = set(shown)
        self.signals: list[int] = [] if signals is None else signals
        self.sleep = Sleep(self.workers, self._read_messages, self.say, self.signals, on_sleep)
        self.grants = Grants(sweeps, self.workers, self.places, self.sleep, self.say)
        self.resizing = Resizing(self.grants, share, on_workers)
        self.steering = Steering(self.grants, self.resizing)
        self._last_round = time.monotonic()
        self.interrupted = False
        self._silent_until = math.inf  # when the user is told that the first agent takes long (monotonic seconds)
        self.selector = selectors.DefaultSelector()

    # -- signals ----------------------------------------------------------------------------------------------------

    def say(self, text: str) -> None:
        """Shows the user a line. When the terminal is gone, further lines go nowhere; results are written all the same."""
        try:
            self._print(text)
        except OSError:
            null = os.open(os.devnull, os.O_WRONLY)
            os.dup2(null, 1)
            os.close(null)

    def _handle_signals(self) -> None:
        """Ends the running trials after a signal; at once after another one."""
        while self.signals:
            name = signal.Signals(self.signals.pop(0)).name
            detail = f"interrupted by {name}"
            if not self.interrupted:
                running = sum(worker.trial is not None for worker in self.workers)
                trials = f"the {running} running trials" if running > 1 else "the running trial"
                self.say(f"{name}: ending {trials} (again: at once)")
                self.interrupted = True
                for sweep in self.sweeps:
                    open_ = self.grants.is_open(sweep)
                    sweep.outcome.interrupted = sweep.outcome.interrupted or open_
                    sweep.outcome.everywhere = sweep.outcome.everywhere or open_
                self._stop_all(detail)
            else:
                self.say(f"{name} again: ending at once")
                self._stop_all(detail, 0.0)

    def _stop_all(self, detail: str, grace: float | None = None) -> None:
        """Ends the running trials of all sweeps; no further one starts."""
        for sweep in self.sweeps:
            self.grants.stop(sweep, Stop("interrupted", detail, grace))

    def _fail(self, message: str) -> None:
        """Ends all sweeps with the message: running trials are ended, no further one starts."""
        for sweep in self.sweeps:
            if sweep.stop_sent is None:
                if self.grants.is_open(sweep):
                    sweep.end(message, everywhere=True)
                self.grants.stop(sweep, Stop("interrupted", message))

    # -- trials and places ------------------------------------------------------------------------------------------

    def _handle_message(self, worker: Worker, message: Message) -> None:
        """Acts on a message of the worker's agent."""
        kind, sweep = message["event"], worker.sweep
        assert sweep is not None
        worker.last_heard, self._silent_until = time.monotonic(), math.inf
        if kind == "request":
            self.grants.request(worker)
        elif kind == "exhausted":
            self.grants.take_back(worker)
            sweep.left = 0
            if message.get("late"):
                self.grants.end_too_long(sweep)
        elif kind == "start":
            worker.trial, worker.since = TrialRecord.from_row(message["content"]), AWAKE.now()
            sweep.add_record(worker.trial)
        elif kind == "fault":
            self.grants.move(worker, message["content"])
        elif kind == "end":
            self._handle_end(worker, sweep, TrialRecord.from_row(message["content"]))
        elif kind == "changed":
            sweep.add_record(TrialRecord.from_row(message["content"]))
        elif kind == "note":
            self._note(**message["content"])
        elif kind == "asleep":
            worker.asleep = True
        elif kind == "fatal" and worker.cut:  # the next agent sees to it
            self.say(message["text"])
        elif kind == "fatal":
            sweep.end(message["text"])
        self.grants.answer()

    def _note(self, text: str, once: bool | str = False) -> None:
        """Shows an agent's line; a line that all agents say is shown `once`, or of all lines of a subject the first."""
        subject = once if isinstance(once, str) else text
        if once and subject in self._shown:
            return
        self._shown.add(subject)
        self.say(text)

    def _handle_end(self, worker: Worker, sweep: SweepState, record: TrialRecord) -> None:
        """Takes in how a trial of the worker ended, and judges the sweep."""
        if worker.place is not None and record.state in ENDED_WELL:
            self.places.clear_faults(worker.place)
        worker.trial, worker.deaths = None, 0
        if record.state in ("killed", "lost"):  # its agent alone was ended, or the trial taken from it: tried again
            self.grants.take_back(worker)
        self.grants.release(worker)
        sweep.outcome.ended.append(record)
        sweep.add_record(record)
        if record.cause == "disk_full":
            self._fail(f"{record.name}: {record.reason}; what was done is kept: make room, then resume the sweep")
        now = AWAKE.now()
        running = [now - other.since for other in self.workers if other.trial is not None and other.sweep is sweep]
        if line := sweep.judge(record, running):
            self.say(line)

    # -- agents -----------------------------------------------------------------------------------------------------

    def _start_agent(self, worker: Worker, sweep: SweepState) -> None:
        """Starts an agent for the worker, later where that fails for want of descriptors, memory or processes; ends
        everything when it fails for long, or otherwise."""
        now = time.monotonic()
        self.resizing.assign_cores(worker)
        try:
            worker.start(sweep, self.environment, self.output, self.starter)
        except OSError as error:
            since = worker.start_fails_since = worker.start_fails_since or now
            if error.errno in PASSING and now - since < START_AGAIN:
                worker.restart_at = now + 1.0
                return
            self._fail(f"cannot start worker {worker.index}: {error.strerror} ({error.filename or worker.log})")
            return
        worker.start_fails_since = None
        self.selector.register(worker.channel, selectors.EVENT_READ, worker)

    def _fill_workers(self) -> None:
        """Starts an agent for each worker without one: of the sweep with the fewest agents and trials left."""
        now = time.monotonic()
        self.resizing.fit()
        for worker in self.workers:
            free = worker.sweep is None and not worker.given_up and now >= worker.restart_at
            if free and (open_ := self.grants.open_sweeps()):
                self._start_agent(worker, min(open_, key=self.grants.agents_of))

    def _handle_closed_channel(self, worker: Worker) -> None:
        """Takes in that an agent's channel has closed: the agent has left, or died."""
        self.selector.unregister(worker.channel)
        worker.channel.close()
        worker.closed_at = time.monotonic()
        self.grants.forget(worker)
        self._clean_up_agent(worker)

    def _clean_up_agent(self, worker: Worker) -> None:
        """Frees a worker once nothing of its last agent runs, and records the trial that was lost with the agent."""
        sweep = worker.sweep
        if sweep is None or worker.closed_at is None or not worker.clean_up():
            return
        if worker.trial is not None:
            self._record_lost_trial(worker, sweep, worker.trial)
        self.grants.take_back(worker)
        worker.sweep, worker.trial = None, None
        if worker.cut:
            self.grants.find_lost_trial(worker, sweep)
        # Left of its own accord although there is more to do: somebody sent it a signal.
        early = worker.status != 0 or (sweep.left > 0 and not worker.dismissed)
        if early and sweep.outcome.message is None and sweep.stop_sent is None:
            worker.count_death()
            if worker.given_up:
                self._give_up_worker(worker, sweep)
        self.grants.answer()

    def _give_up_worker(self, worker: Worker, sweep: SweepState) -> None:
        """Stops using a worker whose agents keep dying; the sweeps end when no other worker is left."""
        text = f"worker {worker.index} died {worker.deaths} times in a row ({worker.exit_text()}): {worker.last_log_line()}"
        if all(other.given_up for other in self.workers):
            for each in self.sweeps:
                if each.left > 0 or each is sweep:
                    each.end(text)
        else:
            self.say(f"{text}; the other workers continue")

    def _record_lost_trial(self, worker: Worker, sweep: SweepState, trial: TrialRecord) -> None:
        """Records a dead agent's trial as lost, unless the agent had written how the trial ended."""
        with contextlib.suppress(OSError, ValueError, TypeError):
            trial = TrialRecord.load(sweep.summary.paths.trial(trial.name).record)
        if trial.state == "running" or trial.cause == "lost":  # another agent may have found the loss first
            if sweep.pauses:
                self.say(f"the agent of {trial.name} died ({worker.exit_text()}); the trial pauses, and is resumed")
            else:
                self.say(f"the agent of {trial.name} died ({worker.exit_text()}); the trial is lost")
        if trial.state != "running":
            deaths = worker.deaths
            self._handle_end(worker, sweep, trial)
            worker.deaths = deaths
            return
        with contextlib.suppress(OSError):
            mark_lost(trial, sweep.summary.paths, resumes=sweep.pauses)
        sweep.add_record(trial)

    def _replace_hung(self) -> None:
        """Kills agents that have given no sign of life for too long; others follow."""
        now = time.monotonic()
        pause, self._last_round = now - self._last_round, now
        for worker in self.workers:
            # The supervisor itself was stopped (Ctrl-Z) or busy: what agents said meanwhile is not read yet.
            if pause > HELD_UP:
                worker.last_heard += pause
            if worker.connected and now - worker.last_heard > self.silence and worker.process.poll() is None:
                name = f"worker {worker.index}"
                self.say(f"{name} sent no heartbeat for {self.silence:g} s; its agent is replaced")
                worker.last_heard = now
                worker.process.kill()

    def _tell_of_wait(self) -> None:
        """Says what the start waits for, when the first agent takes long to report."""
        if time.monotonic() > self._silent_until:
            self._silent_until = math.inf
            self.say("waiting for the first agent: it imports its libraries (optuna or wandb) and opens the sweep")

    def _run_round(self) -> None:
        """Checks signals, agents and workers once, and handles the messages that arrive within a moment."""
        self._handle_signals()
        if self.sleep.obey(ending=all(sweep.stop_sent is not None for sweep in self.sweeps)):
            self.grants.answer()
        self._tell_of_wait()
        self._replace_hung()
        for sweep in self.sweeps:
            sweep.write_if_due()
        self.steering.look()
        self.grants.look_at_time()
        for worker in self.workers:
            if AWAKE.now() > worker.stop_by:
                worker.kill()
            self._clean_up_agent(worker)
        self._fill_workers()
        leaving = any(worker.closed_at is not None and worker.sweep is not None for worker in self.workers)
        self._read_messages(BUSY_ROUND if leaving else ROUND)

    def _read_messages(self, wait: float) -> None:
        """Handles the messages that arrive within a moment, at most `wait` seconds."""
        for key, _ in self.selector.select(wait):
            worker = key.data
            messages = worker.channel.receive()
            if messages is None:
                self._handle_closed_channel(worker)
                continue
            for message in messages:
                self._handle_message(worker, message)

    @property
    def _at_work(self) -> bool:
        """Whether an agent runs, or another one is to start."""
        if any(worker.sweep is not None for worker in self.workers):
            return True
        return any(sweep.left > 0 for sweep in self.sweeps) and not all(worker.given_up for worker in self.workers)

    def run(self) -> None:
        """Runs until every agent has left; how each sweep ended is in its `outcome`."""
        for sweep in self.sweeps:
            clear_leftovers(sweep.summary.paths, self.say)
        with noted(self.signals), self.sleep.heeding(), self.selector:
            self._silent_until = time.monotonic() + SILENT_WAIT
            self.steering.begin()
            self._fill_workers()
            for worker, sweep in zip(self.workers, self.sweeps, strict=False):
                if sweep.left == 0 and worker.sweep is None:
                    self._start_agent(worker, sweep)  # nothing is left to do but to send what W&B does not have yet
            while self._at_work:
                self._run_round()
