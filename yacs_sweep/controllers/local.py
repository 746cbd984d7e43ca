"""The embedded controller: no account and no server. Optuna asks and tells over a storage that all agents share."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

import optuna
from optuna.distributions import BaseDistribution
from optuna.samplers import BaseSampler
from optuna.study import Study, StudyDirection
from optuna.trial import FrozenTrial, Trial, TrialState, create_trial

from ..errors import SweepError
from ..locks import agent_lives, exclusive
from ..recorder import Recorder, Run, RunIdentity
from ..results import SweepPaths, TrialPaths, TrialRecord, mark_lost
from ..spec_model import SweepSpec
from ..trial import Assignment, finite
from ..warm_start import WarmStart
from .base import Turn
from .sampling import END, MAX_DRAWS, Chooser
from .space import Space
from .stopping import StoppingRule, make_rule
from .storage import Embedded, open_storage

# What of a trial the storage keeps beside Optuna's own fields.
ATTRIBUTE = "trial"
AGAIN = "again"  # the trial whose point this one tries again
RETRY_OF = "retry_of"  # the same, of trials that ran: there is something to go on from
SETTLED = "settled"  # whether the trial's point counts as evaluated (`TrialRecord.settled`)
LOST = "lost"  # how often that point has been lost with an agent
VOID = "void"  # not a trial: its number was given out twice, or its point breaks a condition
RECORDER_GRACE = 60.0  # seconds W&B gets, when the agent leaves, to take what it has not taken yet
TAKING = 60.0  # seconds another machine may need to take a point from the queue
ENQUEUED = "enqueued"  # of the study: how many of the user's points it was given


class _Completer(BaseSampler):
    """Gives what a waiting trial leaves open: the values random search has for its number."""

    def __init__(self, chooser: Chooser, space: Space) -> None:
        self._chooser, self._space = chooser, space

    def infer_relative_search_space(self, study: Study, trial: FrozenTrial) -> dict[str, BaseDistribution]:
        return self._space.distributions

    def sample_relative(
        self, study: Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        return self._chooser.random(trial.number)

    def sample_independent(
        self, study: Study, trial: FrozenTrial, param_name: str, param_distribution: BaseDistribution
    ) -> Any:
        return self._space.dimensions[param_name].at(0.5)


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
        self.many_machines = storage_url is not None
        self._patience: Callable[[], float] = lambda: RECORDER_GRACE
        self.lost_limit = max(1, retries)
        self.space = Space(spec.parameters, listed=spec.method == "grid")
        self.goal = spec.metric.goal if spec.metric else "minimize"
        self._known: list[FrozenTrial] = []  # by number
        self._open: set[int] = set()  # those that may still change
        self._done = 0  # settled ones
        warm = WarmStart.load(paths)
        self.chooser = Chooser(spec, self.space, seed, warm.prior)
        with exclusive(paths.agents / "ask.lock"):
            self.study = optuna.create_study(
                storage=open_storage(paths.journal, storage_url),
                study_name=paths.sweep_id,
                direction=StudyDirection.MAXIMIZE if self.goal == "maximize" else StudyDirection.MINIMIZE,
                load_if_exists=True,
                sampler=_Completer(self.chooser, self.space),
                pruner=optuna.pruners.NopPruner(),
            )
            self._enqueue(warm.enqueue)
            self.rule: StoppingRule | None = make_rule(self.study, spec)
            self.lost = self.recover()

    # -- choosing ---------------------------------------------------------------------------------------------------

    def _enqueue(self, points: Sequence[Mapping[str, Any]]) -> None:
        """Puts the user's points that are not there yet in front of the search's own."""
        there = self.study.user_attrs.get(ENQUEUED, 0)
        for place, point in enumerate(points[there:], start=there + 1):
            self.study.enqueue_trial(self.space.inner(point))
            self.study.set_user_attr(ENQUEUED, place)

    def ask(self) -> tuple[Trial, Assignment] | None:
        """The next trial, recorded as running; None when the grid is exhausted, or the sweep has all its trials."""
        with exclusive(self.paths.agents / "ask.lock"):
            if self.target is not None and self._given_out() >= self.target:
                return None
            created: tuple[Trial, dict[str, Any] | None] | None
            for _ in range(MAX_DRAWS):
                trials = self._trials()
                if any(trials[number].state == TrialState.WAITING for number in self._open):
                    created = self._ask_waiting()
                else:
                    created = self._create(len(trials), trials)
                    if created is None:
                        return None
                trial, params = created
                # Two machines that do not see each other's lock may have given out one number; the second one is void.
                if params is not None and self.spec.allows(params):
                    return trial, self._assignment(trial, params)
                self._void(trial)
        raise SweepError(f"no point in {MAX_DRAWS} satisfies where: {' and '.join(self.spec.where)}")

    def _ask_waiting(self) -> tuple[Trial, dict[str, Any]]:
        """A point of the user's, or one that is tried again."""
        trial = self.study.ask()
        params = self.space.suggest(trial)
        trial.set_user_attr(ATTRIBUTE, self._about(trial.number, params))
        return trial, params

    def _create(self, number: int, trials: Sequence[FrozenTrial]) -> tuple[Trial, dict[str, Any] | None] | None:
        """The search's next point as a running trial, in one write; without parameters if its number was taken."""
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
        trial = Trial(self.study, storage.create_new_trial(self.study._study_id, template))
        return trial, params if trial.number == number else None

    def _about(self, number: int, params: Mapping[str, Any]) -> dict[str, Any]:
        name = f"trial-{number:04d}"
        return {"name": name, "params": params, "agent": self.agent, "host": socket.gethostname()}

    def _assignment(self, trial: Trial, params: Mapping[str, Any]) -> Assignment:
        return Assignment(
            id=f"{self.paths.sweep_id}-{trial.number}",
            name=f"trial-{trial.number:04d}",
            number=trial.number,
            params=params,
            retry_of=trial.user_attrs.get(RETRY_OF),
        )

    def _given_out(self) -> int:
        """Trials that are settled or being run, whoever runs them."""
        trials = self._trials()
        running = [trials[number] for number in self._open if trials[number].state == TrialState.RUNNING]
        return self._done + sum(self._in_hands(trial, trial.user_attrs.get(ATTRIBUTE, {})) for trial in running)

    def _trials(self) -> list[FrozenTrial]:
        """All trials as they are now. Only what may have changed is read, so that the thousandth trial costs no more than
        the first."""
        storage, study = self.study._storage, self.study._study_id
        for number in sorted(self._open):
            self._note(number, storage.get_trial(self._known[number]._trial_id))
        there = len(self._known)
        if isinstance(storage, Embedded):
            newer = storage.trials_from(study, there)
        else:
            newer = self.study.get_trials(deepcopy=False)[there:]
        for number, trial in enumerate(newer, start=there):
            self._known.append(trial)
            self._open.add(number)
            self._note(number, trial)
        return self._known

    def _note(self, number: int, trial: FrozenTrial) -> None:
        self._known[number] = trial
        if trial.state.is_finished():
            self._open.discard(number)
            about = trial.user_attrs.get(ATTRIBUTE, {})
            self._done += not about.get(VOID) and self._settled(trial, about)

    def _void(self, trial: Trial) -> None:
        trial.set_user_attr(ATTRIBUTE, {VOID: True})
        self.study.tell(trial, state=TrialState.FAIL)

    def tell(self, trial: Trial | FrozenTrial, record: TrialRecord) -> None:
        """How the trial ended. Only a finished one counts as a result; a stopped one as pruned."""
        number = trial.number
        with contextlib.suppress(optuna.exceptions.UpdateFinishedTrialError):
            self.study._storage.set_trial_user_attr(trial._trial_id, SETTLED, record.settled)
        if record.state == "finished" and finite(record.value):
            self.study.tell(number, record.value, skip_if_finished=True)
        else:
            storage = self.study._storage
            if record.state in ("finished", "failed", "stopped") and not storage.get_trial(trial._trial_id).state.is_finished():
                # Unlike a lost one's, its point has been tried: the search is to avoid it.
                value = record.value if finite(record.value) else None
                storage.set_trial_user_attr(trial._trial_id, END, {"state": record.state, "value": value})
            state = TrialState.PRUNED if record.state == "stopped" else TrialState.FAIL
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
            if running and self._in_hands(trial, about):
                continue
            record = self._record(about)
            if running and record is not None and record.state == "running":
                mark_lost(record, self.paths)
                lost.append(record)
            # Enqueued before it is told: should we be killed in between, `again` says so next time.
            if not self._settled(trial, about, record) and self._id(trial) not in again:
                self._requeue(trial, about, record)
            if running:
                self._settle(trial, record)
        return lost

    def _in_hands(self, trial: FrozenTrial, about: Mapping[str, Any]) -> bool:
        """Whether a living agent has the running trial."""
        if "agent" not in about:  # being taken from the queue; not on this machine, whose lock we hold
            age = (datetime.now() - trial.datetime_start).total_seconds() if trial.datetime_start else 0.0
            return self.many_machines and age < TAKING
        elsewhere = about.get("host") != socket.gethostname() and not (self.paths.agents / about["agent"]).exists()
        return elsewhere or agent_lives(self.paths.agents, about["agent"])

    def _settled(self, trial: FrozenTrial, about: Mapping[str, Any], record: TrialRecord | None = None) -> bool:
        if trial.state in (TrialState.COMPLETE, TrialState.PRUNED):
            return True
        if (told := trial.user_attrs.get(SETTLED)) is not None:
            return bool(told)
        record = record or self._record(about)
        return record is not None and record.settled

    def _settle(self, trial: FrozenTrial, record: TrialRecord | None) -> None:
        if record is None:  # its agent died between asking and writing trial.json
            self.study.tell(trial.number, state=TrialState.FAIL, skip_if_finished=True)
        else:
            self.tell(trial, record)

    def _requeue(self, trial: FrozenTrial, about: Mapping[str, Any], record: TrialRecord | None) -> None:
        attributes = {AGAIN: self._id(trial), LOST: trial.user_attrs.get(LOST, 0)}
        if record is not None:
            attributes[RETRY_OF] = record.id
            attributes[LOST] += record.state == "lost"
        elif RETRY_OF in trial.user_attrs:  # it never ran: what it was to go on from is still to be gone on from
            attributes[RETRY_OF] = trial.user_attrs[RETRY_OF]
        # Without `about` it was asked for from the queue, and its agent died before it had all its values.
        point = trial.params if about else trial.system_attrs.get("fixed_params")
        if point is not None and attributes[LOST] <= self.lost_limit:
            self.study.enqueue_trial(point, user_attrs=attributes)

    def _id(self, trial: Trial | FrozenTrial) -> str:
        return f"{self.paths.sweep_id}-{trial.number}"

    def _record(self, about: Mapping[str, Any]) -> TrialRecord | None:
        with contextlib.suppress(OSError, ValueError, TypeError, KeyError):
            return TrialRecord.load(self.paths.trial(about["name"]).record)
        return None

    # -- the loop ---------------------------------------------------------------------------------------------------

    def work(self, turn: Turn) -> None:
        self._patience = lambda: turn.patience() if turn.stopping() else RECORDER_GRACE
        for record in self.lost:
            turn.note(f"{record.name} was lost with its agent; its point is tried again")
        while turn.may_start():
            asked = self.ask()
            if asked is None:
                turn.give_back()
                return
            trial, assignment = asked
            while self.chooser.notes:
                turn.note(self.chooser.notes.pop(0))
            hooks = _LocalHooks(self, trial)
            record = turn.run(assignment, hooks)
            self.tell(trial, record)
            if hooks.run is not None:
                hooks.run.end(record)

    def close(self) -> None:
        self.chooser.close()
        if self.recorder is not None:
            self.recorder.close(self._patience())


class _LocalHooks:
    """`trial.Hooks`: rows go to the W&B run; the metric's values to the storage, where early termination reads them."""

    def __init__(self, controller: LocalController, trial: Trial) -> None:
        self.controller, self.trial = controller, trial
        self.metric = controller.spec.metric.name if controller.spec.metric else None
        # A write to the storage each, so only where somebody reads them.
        imputes = controller.spec.metric is not None and controller.spec.metric.imputes_logged
        self.reports = imputes or bool(controller.rule and controller.rule.compares)
        self.reported = 0
        self.run: Run | None = None
        self.why: str | None = None

    def started(self, record: TrialRecord, paths: TrialPaths) -> None:
        recorder, runs = self.controller.recorder, self.controller.runs
        if recorder is not None and runs is not None:
            self.run = recorder.begin(replace(runs, id=record.id, name=record.name, config=record.params))
            self.run.follow(paths)

    def log(self, row: Mapping[str, Any], step: int) -> None:
        value = row.get(self.metric) if self.metric is not None else None
        if self.reports and isinstance(value, int | float):
            self.reported += 1
            self.trial.report(float(value), self.reported)
        rule = self.controller.rule
        if rule is not None and self.why is None:
            self.why = rule.judge(self.trial, row)

    def should_stop(self) -> str | None:
        return self.why
