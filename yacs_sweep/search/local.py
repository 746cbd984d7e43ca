"""The embedded controller: no account and no server. Optuna asks and tells over a storage that all agents share."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any

import optuna
from optuna.trial import FrozenTrial, Trial, TrialState, create_trial

from ..base.errors import SweepError
from ..records.folder import SweepPaths, TrialRecord
from ..spec.sweep import SweepSpec
from ..trial.contract import Assignment
from ..wandb.recorder import Recorder, RunIdentity
from .controller import Turn
from .local_hooks import LocalHooks
from .sampling import MAX_DRAWS, Chooser
from .space import Completer, Space, direction_of
from .stopping import StoppingRule, make_rule
from .storage.folder_ledger import Folder
from .storage.journal import Embedded
from .storage.ledger import LeaseTaken, Ledger
from .storage.restoring import Restorer
from .storage.url import shared
from .stored import AGAIN, ATTRIBUTE, END, ENQUEUED, LOST, RETRY_OF, SETTLED, VOID, end_of, state_of, trial_name
from .warm_start import WarmStart

RECORDER_GRACE = 60.0  # seconds W&B gets, when the agent leaves, to take what it has not taken yet
LOOK = 1.0  # seconds between two looks at trials of other agents, when there is nothing else to do


class NoTrial(Enum):
    """Why no trial could be given out."""

    WAIT = "other agents' trials may still be lost, and their points tried again here"
    DONE = "the grid is exhausted, or the sweep has all its trials"


@dataclass(frozen=True)
class Created:
    """A trial that was added to the storage as running.

    Attributes:
        trial_id: Optuna's id.
        number_taken: another machine was given the number as well; the trial counts for nothing.
    """

    trial_id: int
    number: int
    params: Mapping[str, Any]
    retry_of: str | None = None
    number_taken: bool = False


class LocalController:
    """`base.Controller` over an Optuna study; every agent of the sweep has one, all on the same storage."""

    def __init__(
        self,
        paths: SweepPaths,
        spec: SweepSpec,
        *,
        agent: str,
        seed: int,
        storage_url: str | None = None,
        retries: int = 0,
        target: int | None = None,
        recorder: Recorder | None = None,
        runs: RunIdentity | None = None,
    ) -> None:
        """
        Args:
            agent: name of this agent's lock file.
            seed: of the search; the same for all agents of the sweep.
            retries: how often a point is tried again whose trial was lost with its agent; at least once.
            target: trials in the whole sweep, of all launchers; None: only tickets count.
            recorder: writes every trial as a W&B run; None: no runs.
            runs: what these runs have in common.
        """
        self.paths, self.spec, self.agent, self.seed, self.recorder = paths, spec, agent, seed, recorder
        self.runs, self.target = runs, target
        self._turn: Turn | None = None
        self.imputes = spec.metric is not None and spec.metric.imputes_logged  # what running trials have logged counts
        self.lost_limit = max(1, retries)
        self.space = Space(spec.parameters, listed=spec.method == "grid")
        self.goal = spec.metric.goal if spec.metric else "minimize"
        warm = WarmStart.load(paths)
        self.chooser = Chooser(spec, self.space, seed, warm.prior)
        self.ledger = _open_ledger(paths, agent, storage_url)
        self.lost: list[TrialRecord] = self.ledger.patiently(lambda: self._open_study(warm.enqueue))

    def _open_study(self, points: Sequence[Mapping[str, Any]]) -> list[TrialRecord]:
        with self.ledger.opening():
            self.study = optuna.create_study(
                storage=self.ledger.storage,
                study_name=self.paths.sweep_id,
                direction=direction_of(self.goal),
                load_if_exists=True,
                sampler=Completer(self.space, self.chooser.random),
                pruner=optuna.pruners.NopPruner(),
            )
        self._forget()
        self.rule: StoppingRule | None = make_rule(self.study, self.spec)
        with self.ledger.exclusively():
            lost: list[TrialRecord] = []
            if isinstance(self.ledger, Folder):
                lost = Restorer(self.study, self.ledger, self.space, self.spec).restore(points)
            self._enqueue(points)
            self.ledger.look_around()
            return lost + self.recover()

    def _forget(self) -> None:
        """What was read may never have been written: a transaction has failed."""
        self.study._storage = optuna.storages.get_storage(self.ledger.storage)
        self._known: list[FrozenTrial] = []  # by number
        self._open: set[int] = set()  # those that may still change
        self._done = 0  # settled ones
        self._reached = False  # whether one has reached the metric's target

    # -- choosing ---------------------------------------------------------------------------------------------------

    def _enqueue(self, points: Sequence[Mapping[str, Any]]) -> None:
        """Puts the user's points that are not there yet in front of the search's own."""
        there = self.study.user_attrs.get(ENQUEUED, 0)
        for place, point in enumerate(points[there:], start=there + 1):
            self.study.enqueue_trial(self.space.inner(point))
            self.study.set_user_attr(ENQUEUED, place)

    def ask(self) -> tuple[Trial, Assignment] | None:
        """The next trial, recorded as running; None when the grid is exhausted, or the sweep has all its trials. Waits
        while other machines' trials might still be lost, if no other agent does."""
        while True:
            try:
                found = self.ledger.patiently(self._choose)
            except LeaseTaken:
                self.ledger.renew()
                continue
            if not isinstance(found, NoTrial):
                return found
            if found is NoTrial.DONE or (self._turn is not None and self._turn.stopping()):
                return None
            if self._turn is not None:
                self._turn.alive()
            time.sleep(LOOK)

    def _choose(self) -> tuple[Trial, Assignment] | NoTrial:
        """Chooses the next trial and records it as running."""
        try:
            with self.ledger.exclusively():
                if self.ledger.lost():
                    self.lost += self.recover()
                found = self._next()
                if found is None:
                    waits = self._in_other_hands() and self.ledger.wait_for_others()
                    return NoTrial.WAIT if waits else NoTrial.DONE
            return Trial(self.study, found[0]), found[1]  # reads the trial, which needs no lock
        except BaseException:
            self._forget()
            raise

    def _next(self) -> tuple[int, Assignment] | None:
        """Optuna's id of the next trial, and what the agent is to know of it."""
        created: Created | None
        looked = False  # for points that agents who died meanwhile have not evaluated
        for _ in range(MAX_DRAWS):
            trials = self._trials()
            if (mine := self._begun(trials)) is not None:
                return mine
            if self.target is not None and (self._reached or self._given_out() >= self.target):
                return None
            if any(trials[number].state == TrialState.WAITING for number in self._open):
                created = self._ask_waiting()
            else:
                created = self._create(len(trials), trials)
                if created is None and not looked:
                    looked = True
                    self.ledger.look_around()
                    self.lost += self.recover()
                    continue
                if created is None:
                    return None
            if not created.number_taken and self.spec.allows(created.params):
                return created.trial_id, self._assignment(created.number, created.params, created.retry_of)
            self._void(created.trial_id)
        raise SweepError(f"no point in {MAX_DRAWS} draws satisfies where: {' and '.join(self.spec.where)}")

    def _begun(self, trials: Sequence[FrozenTrial]) -> tuple[int, Assignment] | None:
        """The trial this agent was given without learning of it: the connection broke when it was written."""
        me = self.ledger.about()["agent"] if self.ledger.resumes else None
        for number in self._open if me else ():
            trial, attributes = trials[number], trials[number].user_attrs
            about = attributes.get(ATTRIBUTE, {})
            if trial.state == TrialState.RUNNING and about.get("agent") == me:
                return trial._trial_id, self._assignment(number, about["params"], attributes.get(RETRY_OF))
        return None

    def _in_other_hands(self) -> bool:
        return any(self._known[number].state == TrialState.RUNNING for number in self._open)

    def _ask_waiting(self) -> Created:
        """A point of the user's, or one that is tried again."""
        trial = self.study.ask()
        params = self.space.suggest(trial)
        trial.set_user_attr(ATTRIBUTE, self._about(trial.number, params))
        return Created(trial._trial_id, trial.number, params, trial.user_attrs.get(RETRY_OF))

    def _create(self, number: int, trials: Sequence[FrozenTrial]) -> Created | None:
        """Adds the search's next point as a running trial, in one write; None when the grid is exhausted."""
        chosen = self.chooser.next(number, trials)
        if chosen is None:
            return None
        inner, attributes = chosen
        params = self.space.outer(inner)
        template = create_trial(
            state=TrialState.RUNNING,
            params=inner,
            distributions={name: self.space.distributions[name] for name in inner},
            user_attrs={**attributes, ATTRIBUTE: self._about(number, params)},
        )
        storage = self.study._storage
        trial_id = storage.create_new_trial(self.study._study_id, template)
        # On a file system whose locks other machines do not see, two may give out one number; the second one is void.
        taken = not self.ledger.resumes and storage.get_trial(trial_id).number != number
        return Created(trial_id, number, params, number_taken=taken)

    def _about(self, number: int, params: Mapping[str, Any]) -> dict[str, Any]:
        return {"name": trial_name(number), "params": params, **self.ledger.about()}

    def _assignment(self, number: int, params: Mapping[str, Any], retry_of: str | None) -> Assignment:
        return Assignment(self._id(number), trial_name(number), number, params, retry_of=retry_of)

    def _given_out(self) -> int:
        """Trials that are settled or being run, whoever runs them."""
        known = self._known
        running = [known[number] for number in self._open if known[number].state == TrialState.RUNNING]
        return self._done + sum(self.ledger.lives(trial.user_attrs.get(ATTRIBUTE, {})) for trial in running)

    def _trials(self) -> list[FrozenTrial]:
        """All trials as they are now. Only what may have changed is read, so that the thousandth trial costs no more than
        the first."""
        storage, study = self.study._storage, self.study._study_id
        there = len(self._known)
        if isinstance(storage, Embedded):
            for number in sorted(self._open):
                self._note(number, storage.get_trial(self._known[number]._trial_id))
            newer = storage.trials_from(study, there)
        elif not self.imputes and (found := self._changed_trials(study)) is not None:
            for trial in found:
                if trial.number < there:
                    self._note(trial.number, trial)
            newer = [trial for trial in found if trial.number >= there]
        else:
            trials = self.study.get_trials(deepcopy=False)
            for number in sorted(self._open):
                self._note(number, trials[number])
            newer = trials[there:]
        for number, trial in enumerate(newer, start=there):
            self._known.append(trial)
            self._open.add(number)
            self._note(number, trial)
        return self._known

    def _changed_trials(self, study: int) -> list[FrozenTrial] | None:
        """Reads from the storage what has changed in it since the last time; None where it cannot say what has."""
        open_ones = {self._known[number]._trial_id: self._known[number].state for number in self._open}
        newest = self._known[-1]._trial_id if self._known else -1
        return self.ledger.changed_trials(study, open_ones, newest)

    def _note(self, number: int, trial: FrozenTrial) -> None:
        self._known[number] = trial
        if trial.state.is_finished():
            self._open.discard(number)
            about = trial.user_attrs.get(ATTRIBUTE, {})
            self._done += not about.get(VOID) and self._settled(trial, about)
            metric = self.spec.metric
            self._reached |= trial.value is not None and metric is not None and metric.reached(trial.value)

    def _void(self, trial_id: int) -> None:
        storage = self.study._storage
        storage.set_trial_user_attr(trial_id, ATTRIBUTE, {VOID: True})
        storage.set_trial_state_values(trial_id, TrialState.FAIL)

    def ended(self, trial: Trial, record: TrialRecord) -> bool:
        """The agent's trial has ended so; False when it was no longer its own, and somebody else's record stands."""

        def step() -> bool:
            # A point that another agent is to try again goes back in the same step.
            again = self.ledger.resumes and not record.settled
            with self.ledger.exclusively() if again else self.ledger.together():
                written = self.ledger.ended(record)
                if written == "now":
                    if again:
                        self._requeue(trial, self.ledger.about(), record)
                    self.tell(trial, record)
                return written != "refused"

        try:
            return self.ledger.patiently(step)
        except LeaseTaken:
            return False

    def tell(self, trial: Trial | FrozenTrial, record: TrialRecord) -> None:
        """How the trial ended. Only a finished one counts as a result; a stopped one as pruned."""
        number = trial.number
        with contextlib.suppress(optuna.exceptions.UpdateFinishedTrialError):
            self.study._storage.set_trial_user_attr(trial._trial_id, SETTLED, record.settled)
        state = state_of(record)
        if state == TrialState.COMPLETE:
            self.study.tell(number, record.value, skip_if_finished=True)
        else:
            storage = self.study._storage
            if (
                record.state in ("finished", "failed", "stopped")
                and not storage.get_trial(trial._trial_id).state.is_finished()
            ):
                # Unlike a lost one's, its point has been tried: the search is to avoid it.
                storage.set_trial_user_attr(trial._trial_id, END, end_of(record))
            self.study.tell(number, state=state, skip_if_finished=True)

    # -- recovery ---------------------------------------------------------------------------------------------------

    def recover(self) -> list[TrialRecord]:
        """Puts in order what dead agents left behind: their finished trials are told, their running ones marked lost;
        points that were lost, or that an interrupt kept from being evaluated, are tried again."""
        lost = []
        trials = self.study.get_trials(deepcopy=False)
        again = {trial.user_attrs.get(AGAIN) for trial in trials}
        for trial in trials:
            about = trial.user_attrs.get(ATTRIBUTE, {})
            if trial.state == TrialState.WAITING or about.get(VOID):
                continue
            running = trial.state == TrialState.RUNNING
            told = trial.state in (TrialState.COMPLETE, TrialState.PRUNED) or trial.user_attrs.get(SETTLED)
            if told or (running and self.ledger.lives(about)):
                continue
            record = self._record(trial, about)
            if running and record is not None and record.state == "running":
                if not self.ledger.lose(record):
                    continue  # its agent lives after all: it has told how the trial ended, this very moment
                lost.append(record)
            # Enqueued before it is told: should we be killed in between, `again` says so next time.
            if not self._settled(trial, about, record) and self._id(trial.number) not in again:
                self._requeue(trial, about, record)
            if running:
                self._settle(trial, record)
        self.ledger.seen_to()
        return lost

    def _settled(self, trial: FrozenTrial, about: Mapping[str, Any], record: TrialRecord | None = None) -> bool:
        if trial.state in (TrialState.COMPLETE, TrialState.PRUNED):
            return True
        if (told := trial.user_attrs.get(SETTLED)) is not None:
            return bool(told)
        record = record or self._record(trial, about)
        return record is not None and record.settled

    def _settle(self, trial: FrozenTrial, record: TrialRecord | None) -> None:
        if record is None:  # its agent died between asking and writing trial.json
            self.study.tell(trial.number, state=TrialState.FAIL, skip_if_finished=True)
        else:
            self.tell(trial, record)

    def _requeue(self, trial: Trial | FrozenTrial, about: Mapping[str, Any], record: TrialRecord | None) -> None:
        attributes = {AGAIN: self._id(trial.number), LOST: trial.user_attrs.get(LOST, 0)}
        if record is not None:
            attributes[RETRY_OF] = record.id
            attributes[LOST] += record.state == "lost"
        elif RETRY_OF in trial.user_attrs:  # it never ran: what it was to go on from is still to be gone on from
            attributes[RETRY_OF] = trial.user_attrs[RETRY_OF]
        # Without `about` it was asked for from the queue, and its agent died before it had all its values.
        fixed = None if isinstance(trial, Trial) else trial.system_attrs.get("fixed_params")
        point = trial.params if about else fixed
        if point is not None and attributes[LOST] <= self.lost_limit:
            self.study.enqueue_trial(point, user_attrs=attributes)

    def _id(self, number: int) -> str:
        return f"{self.paths.sweep_id}-{number}"

    def _record(self, trial: FrozenTrial, about: Mapping[str, Any]) -> TrialRecord | None:
        return self.ledger.record(trial.number, about.get("name"))

    # -- the loop ---------------------------------------------------------------------------------------------------

    def work(self, turn: Turn) -> None:
        self._turn = turn
        self.ledger.attach(turn)
        while turn.may_start():
            asked = self.ask()
            while self.lost:
                turn.note(f"{self.lost.pop(0).name} was lost with its agent; its point is tried again")
            if asked is None:
                turn.give_back()
                return
            trial, assignment = asked
            while self.chooser.notes:
                turn.note(self.chooser.notes.pop(0))
            self.hooks(trial).work(turn, assignment)
            if why := self.ledger.taken():
                turn.note(f"this agent {why}; it goes on as another one")
                self.ledger.renew()

    def hooks(self, trial: Trial) -> LocalHooks:
        """Returns the hooks that connect a running trial with the storage and its W&B run."""
        return LocalHooks(
            trial,
            self.ledger,
            metric=self.spec.metric.name if self.spec.metric else None,
            rule=self.rule,
            imputes=self.imputes,
            recorder=self.recorder,
            runs=self.runs,
            end=self.ended,
        )

    def close(self) -> None:
        turn = self._turn
        self.chooser.close()
        self.ledger.close()
        if self.recorder is not None:
            self.recorder.close(turn.patience() if turn is not None and turn.stopping() else RECORDER_GRACE)


def _open_ledger(paths: SweepPaths, agent: str, url: str | None) -> Ledger:
    if url is None or not shared(url):
        return Folder(paths, agent, url)
    from .storage.shared_ledger import Shared  # SQLAlchemy takes a while to import

    return Shared(paths, agent, url)
