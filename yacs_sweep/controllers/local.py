"""The embedded controller: no account and no server. Optuna asks and tells over one storage that any number of agents share."""

from __future__ import annotations

import contextlib
import random
import socket
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import optuna
from optuna.distributions import BaseDistribution
from optuna.samplers import BaseSampler, TPESampler
from optuna.study import Study, StudyDirection
from optuna.trial import FrozenTrial, Trial, TrialState

from ..agents import agent_lives
from ..errors import SweepError
from ..recorder import Recorder, Run, RunIdentity
from ..results import SweepPaths, TrialPaths, TrialRecord, mark_lost
from ..spec_model import SweepSpec
from ..trial import Assignment, finite
from .base import Turn
from .space import Space
from .stopping import StoppingRule, make_rule
from .storage import exclusive, open_storage

# What of a trial the storage keeps beside Optuna's own fields.
ATTRIBUTE = "trial"
RETRY_OF = "retry_of"  # the trial whose point this one tries again
LOST = "lost"  # how often that point has been lost with an agent
VOID = "void"  # not a trial: the grid was exhausted already, or its point breaks a condition
RECORDER_GRACE = 60.0  # seconds W&B gets, when the agent leaves, to take what it has not taken yet
MAX_DRAWS = 1000  # of one point, until the conditions are taken to be impossible


class PointSampler(BaseSampler):
    """Grid and random search: a point is a function of the trial's place in the sweep alone, so that agents who share a
    storage never draw the same one, and a resumed sweep goes on where it was."""

    def __init__(self, point: Callable[[Study, FrozenTrial], dict[str, Any]], space: Space) -> None:
        self._point, self._space = point, space

    def infer_relative_search_space(self, study: Study, trial: FrozenTrial) -> dict[str, BaseDistribution]:
        return self._space.distributions

    def sample_relative(
        self, study: Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        return self._point(study, trial)

    def sample_independent(
        self, study: Study, trial: FrozenTrial, param_name: str, param_distribution: BaseDistribution
    ) -> Any:
        raise RuntimeError(f"{param_name} has no value in this point")  # every dimension is in the relative space


class Exhausted(Exception):
    """Every point of the grid has been given out."""


class _GridCounter:
    """How many grid points were given out before a trial: the trials created before it that were not enqueued."""

    def __init__(self) -> None:
        self._seen, self._counted = 0, 0

    def before(self, number: int, trials: Sequence[FrozenTrial]) -> int:
        if number < self._seen:
            self._seen = self._counted = 0
        self._counted += sum("fixed_params" not in trial.system_attrs for trial in trials[self._seen : number])
        self._seen = number
        return self._counted


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
        recorder: Recorder | None = None,
        runs: RunIdentity | None = None,
    ) -> None:
        """
        Args:
            agent: name of this agent's lock file.
            seed: of the search; the same for all agents of the sweep.
            retries: how often a point is tried again whose trial was lost with its agent; at least once.
            recorder: writes every trial as a W&B run; None: no runs.
            runs: what these runs have in common.
        """
        self.paths, self.spec, self.agent, self.seed, self.recorder = paths, spec, agent, seed, recorder
        self.runs = runs
        self.lost_limit = max(1, retries)
        self.space = Space(spec.parameters, listed=spec.method == "grid")
        self.goal = spec.metric.goal if spec.metric else "minimize"
        self._grid = _GridCounter()
        with exclusive(paths.agents / "ask.lock"):
            self.study = optuna.create_study(
                storage=open_storage(paths.journal, storage_url),
                study_name=paths.sweep_id,
                direction=StudyDirection.MAXIMIZE if self.goal == "maximize" else StudyDirection.MINIMIZE,
                load_if_exists=True,
                pruner=optuna.pruners.NopPruner(),
            )
            self.rule: StoppingRule | None = make_rule(self.study, spec)
            self.lost = self.recover()

    # -- choosing ---------------------------------------------------------------------------------------------------

    def _sampler(self) -> BaseSampler:
        """A sampler for one suggestion. Seeded by the number of trials there are, so that a resumed sweep does not draw its
        first points again."""
        if self.spec.method == "bayes":
            count = len(self.study.get_trials(deepcopy=False))
            return TPESampler(seed=random.Random(f"{self.seed}:{count}").getrandbits(32))
        return PointSampler(self._grid_point if self.spec.method == "grid" else self._random_point, self.space)

    def _grid_point(self, study: Study, trial: FrozenTrial) -> dict[str, Any]:
        index = self._grid.before(trial.number, study.get_trials(deepcopy=False))
        if index >= (self.spec.grid_size or 0):
            raise Exhausted
        return self.space.inner(self.spec.grid_point(index))

    def _random_point(self, study: Study, trial: FrozenTrial) -> dict[str, Any]:
        source = random.Random(f"{self.seed}:{trial.number}")
        names = sorted(parameter.name for parameter in self.spec.parameters)
        for _ in range(MAX_DRAWS):
            units = {name: source.random() for name in names}
            if self.spec.allows(self.spec.point_at(units)):
                return self.space.at(units)
        raise SweepError(f"no point in {MAX_DRAWS} draws satisfies where: {' and '.join(self.spec.where)}")

    def ask(self) -> tuple[Trial, Assignment] | None:
        """The next trial, recorded as running; None when the grid is exhausted."""
        with exclusive(self.paths.agents / "ask.lock"):
            for _ in range(MAX_DRAWS):
                self.study.sampler = self._sampler()
                trial = self.study.ask()
                try:
                    params = self.space.suggest(trial)
                except Exhausted:
                    self._void(trial)
                    return None
                if self.spec.allows(params):
                    break
                self._void(trial)
            else:
                raise SweepError(f"no point in {MAX_DRAWS} satisfies where: {' and '.join(self.spec.where)}")
            assignment = Assignment(
                id=f"{self.paths.sweep_id}-{trial.number}",
                name=f"trial-{trial.number:04d}",
                number=trial.number,
                params=params,
                retry_of=trial.user_attrs.get(RETRY_OF),
            )
            trial.set_user_attr(
                ATTRIBUTE,
                {"name": assignment.name, "params": params, "agent": self.agent, "host": socket.gethostname()},
            )
        return trial, assignment

    def _void(self, trial: Trial) -> None:
        trial.set_user_attr(ATTRIBUTE, {VOID: True})
        self.study.tell(trial, state=TrialState.FAIL)

    def tell(self, trial: Trial | FrozenTrial, record: TrialRecord) -> None:
        """How the trial ended. Only a finished one counts as a result; a stopped one as pruned."""
        number = trial.number
        if record.state == "finished" and finite(record.value):
            self.study.tell(number, record.value, skip_if_finished=True)
        else:
            state = TrialState.PRUNED if record.state == "stopped" else TrialState.FAIL
            self.study.tell(number, state=state, skip_if_finished=True)

    # -- recovery ---------------------------------------------------------------------------------------------------

    def recover(self) -> list[TrialRecord]:
        """Puts in order what dead agents left behind: their finished trials are told, their running ones marked lost; points
        that were lost, or that an interrupt kept from being evaluated, are tried again."""
        lost = []
        trials = self.study.get_trials(deepcopy=False)
        retried = {trial.user_attrs.get(RETRY_OF) for trial in trials}
        for trial in trials:
            about = trial.user_attrs.get(ATTRIBUTE, {})
            if about.get(VOID) or trial.state == TrialState.WAITING:
                continue
            record = self._record(trial, about)
            if trial.state == TrialState.RUNNING:
                owner = about.get("agent", "")
                if owner and agent_lives(self.paths.agents, owner):
                    continue
                if record is not None and record.state == "running":
                    mark_lost(record, self.paths)
                    lost.append(record)
                self._settle(trial, record)
            self._requeue(trial, record, retried)
        return lost

    def _settle(self, trial: FrozenTrial, record: TrialRecord | None) -> None:
        if record is None:  # its agent died between asking and writing trial.json
            self.study.tell(trial.number, state=TrialState.FAIL, skip_if_finished=True)
        else:
            self.tell(trial, record)

    def _requeue(self, trial: FrozenTrial, record: TrialRecord | None, retried: set[str | None]) -> None:
        name = f"{self.paths.sweep_id}-{trial.number}"
        if name in retried or (record is not None and record.state not in ("lost", "killed")):
            return
        if set(trial.params) != set(self.space.distributions) and not any(p.parent for p in self.spec.parameters):
            return  # its agent died while the point was being drawn: nobody knows it
        lost = trial.user_attrs.get(LOST, 0) + (record is None or record.state == "lost")
        if lost <= self.lost_limit:
            self.study.enqueue_trial(trial.params, user_attrs={RETRY_OF: name, LOST: lost})

    def _record(self, trial: FrozenTrial, about: Mapping[str, Any]) -> TrialRecord | None:
        with contextlib.suppress(OSError, ValueError, TypeError, KeyError):
            return TrialRecord.load(self.paths.trial(about["name"]).record)
        return None

    # -- the loop ---------------------------------------------------------------------------------------------------

    def work(self, turn: Turn) -> None:
        for record in self.lost:
            turn.note(f"{record.name} was lost with its agent; its point is tried again")
        while turn.may_start():
            asked = self.ask()
            if asked is None:
                turn.give_back()
                return
            trial, assignment = asked
            hooks = _LocalHooks(self, trial)
            record = turn.run(assignment, hooks)
            self.tell(trial, record)
            if hooks.run is not None:
                hooks.run.end(record)

    def close(self) -> None:
        if self.recorder is not None:
            self.recorder.close(RECORDER_GRACE)


class _LocalHooks:
    """`trial.Hooks`: rows go to the W&B run; the metric's values to the storage, where early termination reads them."""

    def __init__(self, controller: LocalController, trial: Trial) -> None:
        self.controller, self.trial = controller, trial
        self.metric = controller.spec.metric.name if controller.spec.metric else None
        self.reported = 0
        self.run: Run | None = None
        self.why: str | None = None

    def started(self, record: TrialRecord, paths: TrialPaths) -> None:
        recorder, runs = self.controller.recorder, self.controller.runs
        if recorder is not None and runs is not None:
            self.run = recorder.begin(replace(runs, id=record.id, name=record.name, config=record.params))
            self.run.follow(paths)

    def log(self, row: Mapping[str, Any], step: int) -> None:
        if self.run is not None:
            self.run.notify()
        value = row.get(self.metric) if self.metric is not None else None
        if isinstance(value, int | float):
            self.reported += 1
            self.trial.report(float(value), self.reported)
        rule = self.controller.rule
        if rule is not None and self.why is None:
            self.why = rule.judge(self.trial, row)

    def should_stop(self) -> str | None:
        return self.why
