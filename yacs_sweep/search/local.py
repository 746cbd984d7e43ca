"""Chooses points by Optuna, without an account or a server, over a storage that all agents of the sweep share."""

from __future__ import annotations

import contextlib
import math
import time
from collections.abc import Collection
from enum import Enum

import optuna
from optuna.trial import FrozenTrial, Trial, TrialState

from ..records.folder import REPLACED, SweepPaths, TrialRecord
from ..records.metrics import Iterations, readable_metrics
from ..spec.sweep import SweepSpec
from ..trial.contract import Assignment
from ..wandb.recorder import Recorder, RunIdentity
from .controller import Agent
from .local_hooks import LocalHooks
from .models.results import directions_of, end_with_values, missed, values_of
from .next_trial import NextTrial
from .promotion.pausing import is_paused
from .sampling import Chooser
from .schedulers.make import make_engine
from .schedulers.pruner import scheduler_rule
from .space import EnqueuedSampler, Space
from .stopping import StoppingRule, make_rule
from .storage.coordinator import Coordinator, LeaseExpired
from .storage.folder_coordinator import FolderCoordinator
from .storage.given_points import GivenPoints
from .storage.restoring import Restorer
from .storage.url import shared
from .stored import (
    BEGUN_AT,
    END,
    FIXED,
    FORK,
    LOST_COUNT,
    PARENT,
    PAUSED,
    PLACE,
    POINT,
    POINT_OF,
    RETRY_OF,
    SETTLED,
    UNTIL,
    VOID,
    AlreadyEnded,
    state_of,
    stored_value,
    trial_name,
)
from .study_trials import assigned, is_settled, record_of
from .warm_start import WarmStart

RECORDER_GRACE = 60.0  # seconds W&B gets, when the agent leaves, to take what it has not taken yet
ASK_AGAIN = 1.0  # seconds until an agent that waits for other agents' trials asks the database again,
ASK_SOON = 0.2  # and the sweep's folder


class NoTrial(Enum):
    """Says why an agent gets no trial."""

    WAIT = "other agents' trials may still be lost, and their points tried again here"
    DONE = "the grid is exhausted, or the sweep has all its trials"


class LocalController:
    """`Controller` over an Optuna study; every agent of the sweep has one, all on the same storage."""

    def __init__(
        self,
        paths: SweepPaths,
        spec: SweepSpec,
        *,
        lock_name: str,
        seed: int,
        storage_url: str | None = None,
        retries: int = 0,
        retry: Collection[str] = (),
        target: int | None = None,
        counted: str | None = None,
        drops: bool = False,
        axis: str = "epoch",
        recorder: Recorder | None = None,
        runs: RunIdentity | None = None,
    ) -> None:
        """Opens the storage and recovers trials of dead agents.

        Args:
            lock_name: name of this agent's lock file.
            seed: of the search; the same for all agents of the sweep.
            retries: how often a point is tried again whose trial was lost with its agent; at least once.
            retry: ids of failed trials whose points are to be tried again, once.
            target: trials in the whole sweep, of all launches; None: the supervisor alone counts.
            counted: id of the last order of such a number that `target` has taken in (`LaunchFile.counted`).
            drops: whether a paused trial ends that will never be resumed, so that its checkpoints may be deleted.
            axis: the metric that is the x-axis, by which an iteration is known that a resumed trainer repeats.
            recorder: writes every trial as a W&B run; None: no runs.
            runs: what these runs have in common.
        """
        self.paths, self.spec, self.seed, self.recorder = paths, spec, seed, recorder
        self.runs, self.target, self.retry = runs, target, frozenset(retry)
        self.drops, self.axis, self._beyond = drops, axis, target is None
        self._agent: Agent | None = None
        self.lost_limit = max(1, retries)
        self._dropped: list[TrialRecord] = []  # trials that this agent has ended, of which the supervisor knows nothing
        self.space = Space(spec.parameters, listed=spec.method == "grid")
        warm = WarmStart.load(paths)
        self.chooser = Chooser(spec, self.space, seed, warm.prior)
        self.engine = make_engine(spec, self.space, seed, self.chooser, paths)
        self.coordinator = _make_coordinator(paths, lock_name, storage_url)
        self.given = GivenPoints(self.space, warm.enqueue, counted)
        self.lost: list[TrialRecord] = self.coordinator.retrying(self._open_study)

    def _open_study(self) -> list[TrialRecord]:
        """Opens the study, or creates it, and recovers trials of dead agents; returns those that were lost."""
        with self.coordinator.creating_study():
            self.study = optuna.create_study(
                storage=self.coordinator.storage,
                study_name=self.paths.sweep_id,
                directions=directions_of(self.spec),
                load_if_exists=True,
                sampler=EnqueuedSampler(self.space, self.chooser.random),  # completes points that wait
                pruner=optuna.pruners.NopPruner(),
            )
        self._reset()
        self.rule: StoppingRule | None = make_rule(self.study, self.spec) or scheduler_rule(
            self.study, self.spec, self.engine
        )
        with self.coordinator.exclusively():
            lost: list[TrialRecord] = []
            self.given.take_in(self.coordinator.new_orders())  # before: trials may have tried these points
            if isinstance(self.coordinator, FolderCoordinator):
                restorer = Restorer(self.study, self.coordinator, self.space, self.spec, self.engine, self.axis)
                lost = restorer.restore(self.given)
            self._take_orders()
            self.coordinator.find_dead_agents()
            return lost + self.recover()

    def _reset(self) -> None:
        """Forgets what was read: after a transaction that failed, the storage may never have had it."""
        self.study._storage = optuna.storages.get_storage(self.coordinator.storage)
        self._next = NextTrial(
            self.study,
            self.coordinator,
            self.spec,
            self.engine,
            target=self.target,
            recover=self._recover_more,
            seed=self.seed,
            beyond=self._beyond,
        )

    def _recover_more(self) -> None:
        """Recovers trials of agents that have died since the last look."""
        self.coordinator.find_dead_agents()
        self.lost += self.recover()

    # -- choosing ---------------------------------------------------------------------------------------------------

    def _take_orders(self) -> None:
        """Enqueues the points that users have given; takes in how many trials they want by now."""
        self.given.take_in(self.coordinator.new_orders())
        if self.given.missing:
            self.given.enqueue(self.study, self._next.trials.read())
        if self.given.count is not None and (target := self.spec.at_most(self.given.count)) != self.target:
            self.target = target
            self._next.set_target(target)

    def ask(self) -> tuple[Trial, Assignment] | None:
        """Chooses the next trial and records it as running; None when the sweep has all its trials.

        Waits while other machines' trials might still be lost, if no other agent does.
        """
        while True:
            while self._agent is not None and self._agent.held() and not self._agent.leaving():
                self._agent.alive()
                time.sleep(ASK_SOON)
            try:
                found = self.coordinator.retrying(self._ask_once)
            except LeaseExpired:
                self.coordinator.renew_lease()
                continue
            if not isinstance(found, NoTrial):
                return found
            if found is NoTrial.DONE or (self._agent is not None and self._agent.leaving()):
                return None
            if self._agent is not None:
                self._agent.alive()
            time.sleep(ASK_AGAIN if self.coordinator.resumes_at_once else ASK_SOON)

    def _ask_once(self) -> tuple[Trial, Assignment] | NoTrial:
        """Chooses the next trial and records it as running, in one transaction."""
        try:
            with self.coordinator.exclusively():
                if self.coordinator.has_lost_agents():
                    self.lost += self.recover()
                self._take_orders()
                self._next.fitting = None if self._agent is None else self._agent.fitting()
                found = self._next.choose()
                self._next.end_replaced(self._end_replaced)
                if self.drops:
                    self._next.end_dropped(self._drop)
                if found is None:
                    return NoTrial.WAIT if self._next.is_waited_for() else NoTrial.DONE
            return Trial(self.study, found[0]), found[1]  # reads the trial, which needs no lock
        except BaseException:
            self._reset()
            raise

    # -- ends of trials ---------------------------------------------------------------------------------------------

    def end_trial(self, trial: Trial, record: TrialRecord) -> bool:
        """Records the end of this agent's trial; returns False if the trial has another end, since the lease expired."""

        def step() -> bool:
            # A point that another agent is to try again goes back in the same transaction.
            paused = record.state == "paused" and self._next.pausing is not None
            again = self.coordinator.resumes_at_once and not record.settled and not paused
            with self.coordinator.exclusively() if again else self.coordinator.transaction():
                written = self.coordinator.trial_ended(record)
                if written == "now" and paused:
                    self._put_back(trial, record)
                elif written == "now":
                    if again:
                        self._enqueue_again(trial, record, had_params=True)
                    self.tell(trial, record)
                return written != "refused"

        try:
            return self.coordinator.retrying(step)
        except LeaseExpired:
            return False

    def _put_back(self, trial: Trial | FrozenTrial, record: TrialRecord) -> None:
        """Records that a trial has paused: any agent may resume it."""
        assert self._next.pausing is not None
        self._next.pausing.put_back(trial, record)

    def runs_on(self, trial: Trial) -> int | None:
        """Returns until which iteration a trial that has reached its `until` runs; the same one: it is to pause."""
        with self.coordinator.exclusively():
            assert self._next.pausing is not None
            return self._next.pausing.runs_on(trial.number, self._next.trials.read())

    def _drop(self, trial: FrozenTrial) -> None:
        """Ends a paused trial that will never be resumed."""
        record, metric = record_of(trial, self.coordinator), self.spec.compared
        if record is None or metric is None:
            return
        logged = trial.intermediate_values
        rung = assigned(trial).get(UNTIL)
        at = (
            rung if rung in logged else max(logged, default=0)
        )  # it was compared at its rung, and may have come further
        self._end_paused(
            trial,
            record,
            "not_promoted",
            f"not promoted: {metric.name} {logged.get(at, math.nan):.6g} at iteration {at}",
        )

    def _end_replaced(self, trial: FrozenTrial, heir: FrozenTrial) -> None:
        """Ends a paused trial that another has replaced."""
        record = record_of(trial, self.coordinator)
        if record is not None:
            fork = heir.user_attrs[FORK]
            parent, name = trial_name(fork[PARENT]), trial_name(heir.number)
            reason = f"replaced by {name}, a copy of {parent} at iteration {fork[BEGUN_AT]}"
            self._end_paused(trial, record, REPLACED, reason)

    def _end_paused(self, trial: FrozenTrial, record: TrialRecord, cause: str, reason: str) -> None:
        """Ends a paused trial for good."""
        record.state, record.cause, record.reason = "stopped", cause, reason
        if self.coordinator.save_record(record):
            self.tell(trial, record)
            self._dropped.append(record)

    def tell(self, trial: Trial | FrozenTrial, record: TrialRecord) -> None:
        """Tells Optuna how a trial ended: only a finished one is a result, a stopped one counts as pruned."""
        number = trial.number
        with contextlib.suppress(AlreadyEnded):
            self.study._storage.set_trial_user_attr(trial._trial_id, SETTLED, record.settled)
        state = state_of(record)
        if record.state in ("finished", "failed", "stopped"):
            with contextlib.suppress(AlreadyEnded):
                for name, excess in missed(record, self.spec).items():
                    self.study._storage.set_trial_system_attr(trial._trial_id, name, excess)
        if state == TrialState.COMPLETE:
            self.study.tell(number, values_of(record, self.spec), skip_if_finished=True)
        else:
            storage = self.study._storage
            if (
                record.state in ("finished", "failed", "stopped")
                and not storage.get_trial(trial._trial_id).state.is_finished()
            ):
                # Unlike a lost one's, its point has been tried: the search is to avoid it.
                storage.set_trial_user_attr(trial._trial_id, END, end_with_values(record, self.spec, self.paths))
            self.study.tell(number, state=state, skip_if_finished=True)

    def recover(self) -> list[TrialRecord]:
        """Recovers the trials of dead agents; returns those that were running, and are lost.

        Tells Optuna the ends that it does not know. Points that were lost or interrupted are enqueued again, and those
        of failed trials that the user wants again.
        """
        lost = []
        trials = self.study.get_trials(deepcopy=False)
        enqueued_again = {trial.user_attrs.get(POINT_OF) for trial in trials}
        for trial in trials:
            owner = assigned(trial)
            if trial.state == TrialState.WAITING or owner.get(VOID) or is_paused(trial):
                continue
            running = trial.state == TrialState.RUNNING
            wanted = self._next.trial_id(trial.number) in self.retry
            settled = trial.state in (TrialState.COMPLETE, TrialState.PRUNED) or trial.user_attrs.get(SETTLED)
            if (settled and not wanted) or (running and self.coordinator.owner_lives(owner)):
                continue
            record = record_of(trial, self.coordinator)
            if running and record is None and FORK in trial.user_attrs and self._next.pausing is not None:
                self._next.pausing.put_back(trial, None)  # its agent died before the checkpoint was copied
                continue
            if running and record is not None and self._next.pausing is not None:
                if self._resumes(trial, record):
                    continue
            elif running and record is not None and record.state == "running":
                if not self.coordinator.mark_lost(record):
                    continue  # its agent lives after all, and has recorded the trial's end this very moment
                lost.append(record)
            # Enqueued before Optuna is told: if we are killed in between, POINT_OF shows that it was.
            owed = wanted or not is_settled(trial, self.coordinator, record)
            if owed and self._next.trial_id(trial.number) not in enqueued_again:
                self._enqueue_again(trial, record, had_params=bool(owner), wanted=wanted)
            if running and record is None:  # its agent died between asking and writing trial.json
                self.study.tell(trial.number, state=TrialState.FAIL, skip_if_finished=True)
            elif running and record is not None:
                self.tell(trial, record)
        self.coordinator.forget_lost_agents()
        return lost

    def _resumes(self, trial: FrozenTrial, record: TrialRecord) -> bool:
        """Puts back a trial whose agent has died, to be resumed; returns False for one that has ended, or is given up."""
        if record.state not in ("running", "lost", "paused"):
            return False
        if record.state != "paused":
            record.pause()
        self._report_missing(trial, record)
        record.until = assigned(trial).get(UNTIL)
        if record.cause == "lost" and not self.coordinator.save_record(record):
            return True  # its agent lives after all, and has recorded the trial's end this very moment
        if record.cause == "lost" and assigned(trial).get(PAUSED, 0) >= self.lost_limit:
            self.coordinator.mark_lost(record)
            return False
        self._put_back(trial, record)
        return True

    def _report_missing(self, trial: FrozenTrial, record: TrialRecord) -> None:
        """Writes what a trial has logged and its agent could not write any more: to the storage, and to its record."""
        metric = self.spec.compared
        rows = readable_metrics(self.paths.trial(record.name).metrics)
        counter = Iterations(metric.name if metric else None, self.axis, record.starts)
        found = counter.values(rows)
        for iteration, value in found.items():
            if iteration not in trial.intermediate_values:
                self.study._storage.set_trial_intermediate_value(trial._trial_id, iteration, stored_value(value))
        if found:
            record.iterations, record.repeated, record.rows = max(found), counter.repeated, len(rows)

    def _enqueue_again(
        self, trial: Trial | FrozenTrial, record: TrialRecord | None, *, had_params: bool, wanted: bool = False
    ) -> None:
        """Enqueues the point of a trial again, unless it was lost too often.

        Args:
            had_params: whether all parameters of the trial were written; an agent may die while it takes an enqueued point.
            wanted: whether the user wants the point again, however often it was lost.
        """
        attributes = {POINT_OF: self._next.trial_id(trial.number), LOST_COUNT: trial.user_attrs.get(LOST_COUNT, 0)}
        attributes.update({name: trial.user_attrs[name] for name in (POINT, PLACE) if name in trial.user_attrs})
        if record is not None:
            attributes[RETRY_OF] = record.id
            attributes[LOST_COUNT] = 0 if wanted else attributes[LOST_COUNT] + (record.state == "lost")
        elif RETRY_OF in trial.user_attrs:  # it never ran: the next one resumes from the same files
            attributes[RETRY_OF] = trial.user_attrs[RETRY_OF]
        fixed = None if isinstance(trial, Trial) else trial.system_attrs.get(FIXED)
        point = trial.params if had_params else fixed
        if point is not None and attributes[LOST_COUNT] <= self.lost_limit:
            self.study.enqueue_trial(point, user_attrs=attributes)

    # -- the loop ---------------------------------------------------------------------------------------------------

    def work(self, agent: Agent) -> None:
        """Runs trials until the supervisor grants none, or the sweep has all its trials."""
        self._agent = agent
        self.coordinator.attach(agent)
        while agent.may_start():
            asked = self.ask()
            while self._dropped:
                agent.changed(self._dropped.pop(0))
            while self.lost:
                agent.note(f"{self.lost.pop(0).name} was lost with its agent; its point is tried again")
            if asked is None:
                if not agent.leaving():  # else somebody has ended this agent, and the search goes on
                    agent.give_back(late=self._next.late)
                return
            trial, assignment = asked
            if agent.stopping():  # asked for while the trial was chosen, which `recover` gives out again
                return
            while self.engine.notes:
                agent.note(self.engine.notes.pop(0))
            self.hooks(trial).run(agent, assignment)
            if why := self.coordinator.expired():
                agent.note(f"this agent {why}; it continues under a new agent id")
                self.coordinator.renew_lease()

    def hooks(self, trial: Trial) -> LocalHooks:
        """Makes the hooks that connect a running trial with the storage and its W&B run."""
        return LocalHooks(
            trial,
            self.coordinator,
            metric=self.spec.compared,
            axis=self.axis,
            runs_on=self.runs_on if self.spec.pauses else None,
            rule=self.rule,
            recorder=self.recorder,
            runs=self.runs,
            end=self.end_trial,
            seed_name=self.spec.repeats.name if self.spec.repeats else "",
        )

    def close(self) -> None:
        """Closes the storage, and waits a while until W&B has all rows."""
        agent = self._agent
        self.engine.close()
        self.coordinator.close()
        if self.recorder is not None:
            self.recorder.close(agent.patience() if agent is not None and agent.stopping() else RECORDER_GRACE)


def _make_coordinator(paths: SweepPaths, lock_name: str, url: str | None) -> Coordinator:
    """Makes the coordinator that the storage at `url` needs."""
    if url is None or not shared(url):
        return FolderCoordinator(paths, lock_name, url)
    from .storage.database_coordinator import DatabaseCoordinator  # SQLAlchemy takes a while to import

    return DatabaseCoordinator(paths, lock_name, url)
