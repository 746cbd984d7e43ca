"""Grants trials and places to the workers' agents, and ends their trials."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from ...base.signals import AWAKE
from ...base.wording import counted
from ...records.folder import DEADLINE, TrialRecord
from ...trial.process import Stop
from .gpu_places import Places
from .sleeping import Sleep
from .sweep_state import SweepState
from .worker import AGENT_EXIT_GRACE, Worker

if TYPE_CHECKING:
    from .time_limits import TimeLimits


class Grants:
    """Holds the workers of a launch, and answers their agents, which wait for a trial or for another place."""

    def __init__(
        self,
        sweeps: Sequence[SweepState],
        workers: list[Worker],
        places: Places,
        sleep: Sleep,
        say: Callable[[str], None],
    ) -> None:
        self.sweeps, self.workers, self.places, self.sleep, self.say = sweeps, workers, places, sleep, say
        self._requests: list[Worker] = []  # their agents wait for a trial,
        self._moves: list[tuple[Worker, str]] = []  # or for another place for the trial (its id) they have

    def say_of(self, sweep: SweepState, text: str) -> None:
        """Shows the user a line about a sweep."""
        self.say(f"{sweep.name}: {text}" if len(self.sweeps) > 1 else text)

    def request(self, worker: Worker) -> None:
        """Notes that the worker's agent waits for a trial."""
        self._requests.append(worker)

    def forget(self, worker: Worker) -> None:
        """Forgets what the worker's agent has asked for: it is gone."""
        self._requests = [waiting for waiting in self._requests if waiting is not worker]
        self._moves = [(waiting, trial) for waiting, trial in self._moves if waiting is not worker]

    def answer(self) -> None:
        """Answers the waiting agents while there are trials and places; those that move a trial come first."""
        if self.sleep.asleep:
            return
        for worker, trial in list(self._moves):
            stopped = worker.sweep is None or worker.sweep.stop_sent is not None
            place = None if stopped else self.places.take(trial)
            if place is None and not stopped and self.places.usable_by(trial):
                continue  # there is one, and it is in use
            self._moves.remove((worker, trial))
            worker.place = place
            worker.channel.send(granted=place is not None, gpus=place or ())
        for worker in list(self._requests):
            sweep, place, iterations = worker.sweep, None, None
            if sweep is not None and sweep.limits is not None and sweep.left > 0 and not sweep.paused:
                self._end_if_late(sweep, sweep.limits)
            if self._leaves(worker):
                worker.dismissed = True
            elif sweep is not None and sweep.left > 0 and self.places.healthy:
                place = None if sweep.paused else self.places.take()
                if place is None:
                    continue
                sweep.grant_trial()
                worker.granted, worker.place = True, place
                iterations = sweep.limits.fitting(self._trials(sweep)) if sweep.limits is not None else None
            self._requests.remove(worker)
            worker.channel.send(granted=place is not None, gpus=place or (), iterations=iterations)

    def open_sweeps(self) -> list[SweepState]:
        """Lists the sweeps for which another agent may be started; paused ones only if all are paused."""
        busy = {id(sweep): 0 for sweep in self.sweeps}
        for worker in self.workers:
            if worker.connected and not worker.granted:  # it takes the next trial
                busy[id(worker.sweep)] += 1
        found = [sweep for sweep in self.sweeps if sweep.left > (0 if sweep.pauses else busy[id(sweep)])]
        return [sweep for sweep in found if not sweep.paused] or found

    def is_open(self, sweep: SweepState) -> bool:
        """Tells whether the sweep has trials left to start, or agents at work."""
        return sweep.left > 0 or self.agents_of(sweep) > 0

    def agents_of(self, sweep: SweepState) -> int:
        """Counts the workers whose agents work on the sweep."""
        return sum(worker.sweep is sweep for worker in self.workers)

    def running(self, sweep: SweepState) -> list[Worker]:
        """Lists the workers that run a trial of the sweep."""
        return [worker for worker in self.workers if worker.sweep is sweep and worker.trial is not None]

    def kept(self) -> int:
        """Counts the workers that stay: neither too many, nor at places of an earlier layout."""
        return sum(map(self.stays, self.workers))

    def stays(self, worker: Worker) -> bool:
        """Tells whether a worker counts among those of the present layout."""
        return not worker.surplus and not self.is_moving(worker)

    def is_moving(self, worker: Worker) -> bool:
        """Tells whether a worker's trial runs at a place of an earlier layout."""
        return self.places.is_left(worker.place)

    def dismiss(self, worker: Worker) -> None:
        """Lets a worker's agent leave; its trial comes to its end before."""
        worker.dismissed = True
        if worker.connected:
            worker.channel.send(leave=True)

    def _leaves(self, worker: Worker) -> bool:
        """Tells whether a waiting worker's agent is to leave, though there may be trials."""
        if not worker.surplus and self.kept() > self.places.layout.workers:
            worker.surplus = True
        return worker.surplus or worker.renew or self._is_needed_elsewhere(worker)

    def find_lost_trial(self, cut: Worker, sweep: SweepState) -> None:
        """Replaces the sweep's other agents after their trials: a new agent finds the trial that was ended at this worker."""
        if not cut.surplus:  # its own next agent does
            return
        for worker in self.workers:
            if worker.sweep is sweep and worker is not cut:
                worker.renew = True
                if worker.granted and worker.trial is None:
                    self.dismiss(worker)

    def _is_needed_elsewhere(self, worker: Worker) -> bool:
        """Tells whether a waiting worker serves another sweep better: its own is paused, or has two agents more."""
        own = worker.sweep
        if len(self.sweeps) == 1 or own is None or own.left <= 0:
            return False
        others = [sweep for sweep in self.open_sweeps() if sweep is not own and not sweep.paused]
        fewest = min(map(self.agents_of, others), default=None)
        return fewest is not None and (own.paused is not None or fewest + 1 < self.agents_of(own))

    def take_back(self, worker: Worker) -> None:
        """Takes back the trial granted to the worker's agent, since it did not come to its end."""
        if worker.granted and worker.sweep is not None and worker.sweep.stop_sent is None:
            worker.sweep.return_trial()
        self.release(worker)

    def release(self, worker: Worker) -> None:
        """Ends the worker's trial: its place is free again."""
        if worker.place is not None:
            self.places.release(worker.place)
        worker.granted, worker.place = False, None

    def move(self, worker: Worker, content: Mapping[str, Any]) -> None:
        """Finds another place for the worker's trial, which the machine has ended."""
        place = worker.place or ()
        before = self.places.healthy
        moves = self.places.add_fault(place, content["id"], content["cause"])
        if place in before and place not in self.places.healthy:
            why = f"{self.places.fault_text(place)}; the last: {content['reason']}"
            self.say(f"GPU {','.join(place)}: no more trials are started on it: the machine ended several ({why})")
        if not self.places.healthy:
            why = "no usable GPU is left: see the messages above, and the machine's log"
            for sweep in self.sweeps:
                if sweep.left > 0 or sweep is worker.sweep:
                    sweep.end(why, everywhere=True)
        if not moves:
            worker.channel.send(granted=False, same_gpus=True)
            return
        self.places.release(place)  # two that move may each want the other's
        worker.place = None
        self._moves.append((worker, content["id"]))

    # -- time that is up ----------------------------------------------------------------------------------------------

    def look_at_time(self) -> None:
        """Ends the sweeps whose time is up, and their trials."""
        for sweep in self.sweeps:
            if sweep.limits is None or sweep.stop_sent is not None or not (sweep.left > 0 or self.running(sweep)):
                continue
            if (why := sweep.limits.over(self._trials(sweep))) is not None:
                running = len(self.running(sweep))
                ending = f": ending {counted(running, 'running trial')}, resumed with the sweep" if running else ""
                self._end_in_time(sweep, why, f"{why}{ending}")
                if running:
                    self.stop(sweep, Stop(DEADLINE, why))

    def end_too_long(self, sweep: SweepState) -> None:
        """Ends a sweep whose next trial takes more iterations than an agent was given."""
        if sweep.limits is not None and sweep.outcome.ended_by is None:
            self._end_in_time(sweep, *sweep.limits.too_long(self._trials(sweep)))

    def _end_if_late(self, sweep: SweepState, limits: TimeLimits) -> None:
        """Ends a sweep whose next trial is not expected to end in time."""
        if (late := limits.too_late(self._trials(sweep))) is not None:
            self._end_in_time(sweep, *late)

    def _end_in_time(self, sweep: SweepState, why: str, text: str) -> None:
        """Ends the search of a sweep that has no time for a further trial. `text` is for the user."""
        self.say_of(sweep, text)
        self.end_search(sweep, why)

    def _trials(self, sweep: SweepState) -> list[tuple[TrialRecord, float]]:
        """Lists the sweep's trials that run here, and since when, by `AWAKE`."""
        return [(worker.trial, worker.since) for worker in self.running(sweep) if worker.trial is not None]

    # -- what ends trials, and holds agents back ----------------------------------------------------------------------

    def hold(self, sweep: SweepState) -> None:
        """Tells the sweep's agents whether the sweep is paused: one may have a trial granted, and no point yet."""
        for worker in self.workers:
            if worker.connected and worker.sweep is sweep:
                worker.channel.send(held=sweep.paused is not None)

    def end_search(self, sweep: SweepState, why: str) -> None:
        """Starts no further trial of the sweep, and lets its agents leave; running trials come to their end before."""
        sweep.paused, sweep.left, sweep.outcome.ended_by = None, 0, why
        for worker in self.workers:
            if worker.connected and worker.sweep is sweep:
                self.dismiss(worker)

    def stop(self, sweep: SweepState, stop: Stop) -> None:
        """Ends the sweep's running trials; no further one starts."""
        sweep.left, sweep.stop_sent = 0, stop
        for worker in self.workers:
            if worker.connected and worker.sweep is sweep:
                self.stop_agent(worker, sweep, stop)

    def stop_trial(self, worker: Worker, trial: TrialRecord, why: str) -> None:
        """Ends the worker's trial for good; its agent stays."""
        worker.stopped_trial = trial.id
        worker.channel.send(stop_trial=trial.id, why=why)

    def stop_agent(self, worker: Worker, sweep: SweepState, stop: Stop) -> None:
        """Ends the worker's trial, and its agent; kills an agent that has not left in time."""
        grace = sweep.job.grace if stop.grace is None else stop.grace
        worker.stop_by = AWAKE.now() + grace + AGENT_EXIT_GRACE
        worker.channel.send(stop=asdict(stop))
