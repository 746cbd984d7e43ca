"""The supervisor: starts agents, replaces those that die, gives out trials and GPUs, owns the signals and the screen.

It serves one sweep or several that share its workers. Nothing in it waits for one agent while others have something to
say: what takes time (an agent that leaves, the pause before the next one) is looked at again in the next round.
"""

from __future__ import annotations

import contextlib
import os
import selectors
import signal
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ...base.files import remove_parts
from ...base.signals import noted
from ...records.alive import clear_dead_agents
from ...records.folder import TrialRecord, mark_lost
from .agent_starter import AgentStarter
from .channel import Message
from .gpu_places import Layout, Places
from .sweep_state import Search
from .worker import AGENT_EXIT_GRACE, Worker

SILENCE = 120.0  # seconds without a sign of life after which an agent counts as hung and is replaced
LATE = 1.0  # seconds between two rounds of the supervisor from which on it was itself held up
ROUND = 0.2  # seconds between two rounds when nothing happens,
BUSY_ROUND = 0.01  # while an agent is leaving


class Supervisor:
    """Runs the agents of all `searches` until their trials have been given out or their controllers have none left."""

    def __init__(
        self,
        searches: Sequence[Search],
        places: Places | None = None,
        *,
        cores: Sequence[tuple[int, ...]] = (),
        environment: Mapping[str, str] | None = None,
        output: int | None = None,
        starter: AgentStarter | None = None,
        say: Callable[[str], None] = print,
        silence: float = SILENCE,
        signals: list[int] | None = None,
    ) -> None:
        """
        Args:
            places: where trials run; default: one worker's place.
            cores: each worker's; empty: none is kept on any.
            environment: of the agents; default: ours.
            output: the descriptor on which agents show trainers' lines; default: our stdout.
            starter: forks the agents; default: they are executed.
            signals: those received; another thread may append one.
        """
        self.places = places or Places(Layout())
        self.searches, self.silence, self._print = searches, silence, say
        self.environment = os.environ if environment is None else environment
        self.output, self.starter = output, starter
        workers = self.places.layout.workers
        self.workers = [Worker(index, cores[index] if cores else ()) for index in range(workers)]
        self._wanting: list[Worker] = []  # their agents wait for a trial,
        self._moving: list[tuple[Worker, str]] = []  # or for another place for the trial (its id) they have
        self._looked = time.monotonic()
        self.grace = max(search.job.grace for search in searches)
        self.stop_sent: dict[str, Any] | None = None
        self.stop_deadline = float("inf")
        self.signals: list[int] = [] if signals is None else signals
        self.interrupted = False
        self.selector = selectors.DefaultSelector()

    # -- signals ----------------------------------------------------------------------------------------------------

    def say(self, text: str) -> None:
        """Shows the user a line. A terminal that is gone is replaced by nothing: results are written all the same."""
        try:
            self._print(text)
        except OSError:
            null = os.open(os.devnull, os.O_WRONLY)
            os.dup2(null, 1)
            os.close(null)

    def _handle_signals(self) -> None:
        while self.signals:
            name = signal.Signals(self.signals.pop(0)).name
            detail = f"interrupted by {name}"
            if not self.interrupted:
                running = sum(worker.trial is not None for worker in self.workers)
                trials = f"the {running} running trials" if running > 1 else "the running trial"
                self.say(f"{name}: ending {trials} (again: at once)")
                self.interrupted = True
                for search in self.searches:
                    search.outcome.interrupted = search.left > 0 or any(w.search is search for w in self.workers)
                self.stop({"cause": "interrupted", "detail": detail, "grace": None})
            else:
                self.say(f"{name} again: ending at once")
                self.stop({"cause": "interrupted", "detail": detail, "grace": 0.0})

    def stop(self, request: dict[str, Any]) -> None:
        """Ends the running trials; nothing new starts."""
        for search in self.searches:
            search.left = 0
        self.stop_sent = request
        grace = self.grace if request["grace"] is None else request["grace"]
        self.stop_deadline = time.monotonic() + grace + AGENT_EXIT_GRACE
        for worker in self.workers:
            if worker.answers:
                worker.channel.send(stop=request)

    def _fail(self, message: str) -> None:
        """Ends everything: nothing new starts, what runs is ended."""
        if self.stop_sent is None:
            for search in self.searches:
                if search.left > 0 or any(worker.search is search for worker in self.workers):
                    search.end(message, everywhere=True)
            self.stop({"cause": "interrupted", "detail": message, "grace": None})

    # -- trials and places ------------------------------------------------------------------------------------------

    def _message(self, worker: Worker, message: Message) -> None:
        kind, search = message["event"], worker.search
        assert search is not None
        worker.heard = time.monotonic()
        if kind == "want":
            self._wanting.append(worker)
        elif kind == "none":
            self._take_back(worker)
            search.left = 0
        elif kind == "start":
            worker.trial, worker.since = TrialRecord.from_row(message["content"]), time.monotonic()
            self._record(search, worker.trial)
        elif kind == "fault":
            self._fault(worker, message["content"])
        elif kind == "end":
            self._ended(worker, search, TrialRecord.from_row(message["content"]))
        elif kind == "note":
            self.say(message["content"]["text"])
        elif kind == "fatal":
            search.end(message["text"])
        self._serve()

    def _serve(self) -> None:
        """Answers the agents that wait, as far as there are trials and places; those who move come first."""
        for worker, trial in list(self._moving):
            place = None if self.stop_sent else self.places.take(trial)
            if place is None and self.stop_sent is None and self.places.open_to(trial):
                continue  # there is one, and it is in use
            self._moving.remove((worker, trial))
            worker.place = place
            worker.channel.send(go=place is not None, gpus=place or ())
        while self._wanting:
            worker = self._wanting[0]
            place = None
            if worker.search is not None and worker.search.left > 0 and self.places.healthy:
                place = self.places.take()
                if place is None:
                    break
                worker.search.left -= 1
                worker.ticket, worker.place = True, place
            self._wanting.pop(0)
            worker.channel.send(go=place is not None, gpus=place or ())

    def _take_back(self, worker: Worker) -> None:
        """What the worker's agent was given: its trial did not come to its end."""
        if worker.ticket and worker.search is not None and self.stop_sent is None:
            worker.search.give_back()
        self._leave_place(worker)

    def _leave_place(self, worker: Worker) -> None:
        if worker.place is not None:
            self.places.give_back(worker.place)
        worker.ticket, worker.place = False, None

    def _fault(self, worker: Worker, content: Mapping[str, Any]) -> None:
        """The machine ended the worker's trial; its agent asks for another place."""
        place = worker.place or ()
        before = self.places.healthy
        moves = self.places.fault(place, content["id"], content["cause"])
        if place in before and place not in self.places.healthy:
            why = f"{self.places.why(place)}; the last: {content['reason']}"
            self.say(f"GPU {','.join(place)}: no further trial is started there, the machine ended several ({why})")
        if not self.places.healthy:
            why = "no GPU is left on which trials run: see the messages above, and the machine's log"
            for search in self.searches:
                if search.left > 0 or search is worker.search:
                    search.end(why, everywhere=True)
        if not moves:
            worker.channel.send(go=False, stay=True)
            return
        self.places.give_back(place)  # two that move may each want the other's
        worker.place = None
        self._moving.append((worker, content["id"]))

    def _record(self, search: Search, record: TrialRecord) -> None:
        try:
            search.record(record)
        except OSError as error:
            self._fail(f"cannot write results: {error.strerror} ({error.filename or search.summary.path})")

    def _write_summaries(self) -> None:
        """Writes what `Summary.write` has put off."""
        for search in self.searches:
            try:
                search.summary.write_if_due()
            except OSError as error:
                self._fail(f"cannot write results: {error.strerror} ({error.filename or search.summary.path})")

    def _ended(self, worker: Worker, search: Search, record: TrialRecord) -> None:
        if worker.place is not None and record.state in ("finished", "stopped"):
            self.places.well(worker.place)
        worker.trial, worker.deaths = None, 0
        if record.state in ("killed", "lost"):  # its agent alone was ended, or the trial taken from it: tried again
            self._take_back(worker)
        self._leave_place(worker)
        search.outcome.ended.append(record)
        self._record(search, record)
        if record.cause == "disk_full":
            self._fail(f"{record.name}: {record.reason}; what was done is kept: make room, then go on with the sweep")
        now = time.monotonic()
        running = [now - other.since for other in self.workers if other.trial is not None and other.search is search]
        if line := search.ended(record, running):
            self.say(line)

    # -- agents -----------------------------------------------------------------------------------------------------

    def _launch(self, worker: Worker, search: Search) -> None:
        try:
            worker.start(search, self.environment, self.output, self.starter)
        except OSError as error:
            self._fail(f"cannot start worker {worker.index}: {error.strerror} ({error.filename or worker.log})")
            return
        self.selector.register(worker.channel, selectors.EVENT_READ, worker)

    def _employ(self) -> None:
        """Gives workers without an agent one, of the sweep that has the fewest for what is left of it."""
        now = time.monotonic()
        for worker in self.workers:
            if worker.search is None and not worker.given_up and now >= worker.again_at:
                busy = {id(search): 0 for search in self.searches}
                for other in self.workers:
                    if other.answers and not other.ticket:  # it takes the next trial
                        busy[id(other.search)] += 1
                open_ = [search for search in self.searches if search.left > busy[id(search)]]
                if open_ and self.stop_sent is None:
                    agents = [sum(other.search is search for other in self.workers) for search in open_]
                    self._launch(worker, open_[agents.index(min(agents))])

    def _closed(self, worker: Worker) -> None:
        """An agent's channel has closed: it has left, or died."""
        self.selector.unregister(worker.channel)
        worker.channel.close()
        worker.gone_at = time.monotonic()
        self._wanting = [waiting for waiting in self._wanting if waiting is not worker]
        self._moving = [(waiting, trial) for waiting, trial in self._moving if waiting is not worker]
        self._bury(worker)

    def _bury(self, worker: Worker) -> None:
        search = worker.search
        if search is None or worker.gone_at is None or not worker.bury():
            return
        if worker.trial is not None:
            self._lose(worker, search, worker.trial)
        self._take_back(worker)
        worker.search, worker.trial = None, None
        # Left of its own accord although there is more to do: somebody sent it a signal.
        if (worker.status != 0 or search.left > 0) and search.outcome.message is None and self.stop_sent is None:
            worker.died()
            if worker.given_up:
                self._give_up(worker, search)
        self._serve()

    def _give_up(self, worker: Worker, search: Search) -> None:
        """The worker's agents keep dying. The others go on; without any, that is the end."""
        text = f"worker {worker.index} died {worker.deaths} times in a row ({worker.how()}): {worker.last_words()}"
        if all(other.given_up for other in self.workers):
            for each in self.searches:
                if each.left > 0 or each is search:
                    each.end(text)
        else:
            self.say(f"{text}; the other workers go on")

    def _lose(self, worker: Worker, search: Search, trial: TrialRecord) -> None:
        """The trial of a dead agent; the agent may have written its end before it could tell."""
        with contextlib.suppress(OSError, ValueError, TypeError):
            trial = TrialRecord.load(search.summary.paths.trial(trial.name).record)
        if trial.state != "running":
            deaths = worker.deaths
            self._ended(worker, search, trial)
            worker.deaths = deaths
            return
        self.say(f"the agent of {trial.name} died ({worker.how()}); the trial is lost")
        with contextlib.suppress(OSError):
            mark_lost(trial, search.summary.paths)
        self._record(search, trial)

    def _replace_hung(self) -> None:
        now = time.monotonic()
        pause, self._looked = now - self._looked, now
        for worker in self.workers:
            if pause > LATE:  # it is we who were stopped (Ctrl-Z) or busy: what agents said meanwhile is not read yet
                worker.heard += pause
            if worker.answers and now - worker.heard > self.silence and worker.process.poll() is None:
                name = f"worker {worker.index}"
                self.say(f"{name} gave no sign of life for {self.silence:g} s; its agent is replaced")
                worker.heard = now
                worker.process.kill()

    def _round(self) -> None:
        self._handle_signals()
        self._replace_hung()
        self._write_summaries()
        if time.monotonic() > self.stop_deadline:
            for worker in self.workers:
                worker.kill()
        for worker in self.workers:
            self._bury(worker)
        self._employ()
        leaving = any(worker.gone_at is not None and worker.search is not None for worker in self.workers)
        for key, _ in self.selector.select(BUSY_ROUND if leaving else ROUND):
            worker = key.data
            messages = worker.channel.receive()
            if messages is None:
                self._closed(worker)
                continue
            for message in messages:
                self._message(worker, message)

    @property
    def _at_work(self) -> bool:
        """Whether an agent is there, or another one is to come."""
        if any(worker.search is not None for worker in self.workers):
            return True
        left = any(search.left > 0 for search in self.searches)
        return left and self.stop_sent is None and not all(worker.given_up for worker in self.workers)

    def run(self) -> None:
        """Returns when every agent has left; how each sweep ended is in its `outcome`."""
        for search in self.searches:
            paths = search.summary.paths
            if left := clear_dead_agents(paths.agents):
                self.say(f"{left} processes were left over from agents that had been killed; they have been ended")
            remove_parts(paths.dir)
        with noted(self.signals), self.selector:
            self._employ()
            for worker, search in zip(self.workers, self.searches, strict=False):
                if search.left == 0 and worker.search is None:
                    self._launch(worker, search)  # nothing is left to do but to send what W&B does not have yet
            while self._at_work:
                self._round()
