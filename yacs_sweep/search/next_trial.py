"""Chooses the next trial of a study and writes it as running: a point that is tried again, a further seed, a new point."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from optuna.study import Study
from optuna.trial import FrozenTrial, Trial, TrialState, create_trial

from ..base.errors import SweepError
from ..records.points import point_name
from ..spec.sweep import SweepSpec
from ..trial.contract import Assignment
from .promotion.pausing import Pausing, view_of
from .promotion.scheduler import Action, Fork, New, Resume, Wait
from .sampling import MAX_DRAWS
from .schedulers.engine import Engine, Suggestion
from .storage.coordinator import Coordinator
from .stored import (
    ASSIGNED,
    BEGUN_AT,
    FORK,
    GRID_INDEX,
    PARENT,
    PLACE,
    POINT,
    POINT_OF,
    REPLACES,
    RETRY_OF,
    UNTIL,
    VOID,
    trial_name,
)
from .study_trials import StudyTrials, assigned


@dataclass(frozen=True)
class Created:
    """Names a trial that was added to the storage as running.

    Attributes:
        trial_id: Optuna's id.
        attributes: those of `stored`, for the trial's point and seed.
        until: iteration at which the trial pauses; None: it runs to its end.
        number_taken: another machine was given the number as well; the trial counts for nothing.
    """

    trial_id: int
    number: int
    params: Mapping[str, Any]
    attributes: Mapping[str, Any]
    until: int | None = None
    number_taken: bool = False


class NextTrial:
    """Hands out the trials of one study to one agent. Only within the coordinator's `exclusively`."""

    def __init__(
        self,
        study: Study,
        coordinator: Coordinator,
        spec: SweepSpec,
        engine: Engine,
        *,
        target: int | None,
        recover: Callable[[], None],
        seed: int = 0,
        beyond: bool = False,
    ) -> None:
        """Prepares to read the study.

        Args:
            engine: chooses new points.
            target: trials in the whole sweep; None: not known here.
            recover: looks for agents that have died meanwhile, and enqueues the points they leave.
            seed: of the search.
            beyond: whether trials start although the metric's target has been reached.
        """
        self.study, self.coordinator, self.spec = study, coordinator, spec
        self.engine, self.recover, self._seed, self._beyond = engine, recover, seed, beyond
        self.trials = StudyTrials(study, coordinator, spec)
        self.set_target(target)
        self._waits = False  # whether the scheduler waits for trials that run
        self.fitting: int | None = None  # iterations that the next start may take; None: no deadline is near
        self.late = False  # whether what the scheduler wants next takes more

    def set_target(self, target: int | None) -> None:
        """Sets how many trials the whole sweep is to have; None: not known here."""
        self.target = target
        study, coordinator, spec = self.study, self.coordinator, self.spec
        self.pausing = Pausing(study, coordinator, spec, target, self._seed) if spec.pauses else None

    def choose(self) -> tuple[int, Assignment] | None:
        """Returns Optuna's id of the next trial, and its assignment; None when no trial is left.

        Raises:
            SweepError: no draw satisfies the conditions of the sweep.
        """
        recovered, self._waits, self.late = False, False, False
        for _ in range(MAX_DRAWS):
            trials = self.trials.read()
            if (own := self._own_running()) is not None:
                return own
            if not self._beyond and self.trials.target_reached:
                return None
            if not recovered and self.trials.any_left_behind():  # a point that was begun comes before new ones
                recovered = True
                self.recover()
                continue
            if self.pausing is not None:
                created = self._follow(self.pausing, trials)
            elif self.target is not None and self.trials.handed_out() >= self.target:
                return None
            else:
                created = self._create(trials)
            if created is None and not recovered:  # agents that died meanwhile may have left points
                recovered = True
                self.recover()
                continue
            if created is None:
                return None
            if not created.number_taken and self.spec.allows(created.params):
                return created.trial_id, self._assignment(
                    created.number, created.params, created.attributes, created.until
                )
            self._void_trial(created.trial_id)
        raise SweepError(f"no point in {MAX_DRAWS} draws satisfies where: {' and '.join(self.spec.where)}")

    def _own_running(self) -> tuple[int, Assignment] | None:
        """Returns a trial that was written for this agent by a transaction whose answer was lost."""
        if not self.coordinator.resumes_at_once:
            return None
        trial = self.trials.running_of(self.coordinator.owner()["agent"])
        if trial is None:
            return None
        until = assigned(trial).get(UNTIL)
        return trial._trial_id, self._assignment(trial.number, assigned(trial)["params"], trial.user_attrs, until)

    # -- trials that pause --------------------------------------------------------------------------------------------

    def _follow(self, pausing: Pausing, trials: Sequence[FrozenTrial]) -> Created | None:
        """Carries out what the scheduler decides next; None when there is nothing to do, or it waits."""
        for left in (self._new_left(), 0):  # 0: the grid is exhausted
            action = pausing.next(trials, left)
            self._waits = isinstance(action, Wait)
            if action is None or isinstance(action, Wait):
                return None
            self.late = not self._fits(action, pausing, trials)
            if self.late:
                return None
            created = self._carry_out(action, pausing, trials)
            if created is not None:
                return created
        return None

    def _fits(self, action: New | Resume | Fork, pausing: Pausing, trials: Sequence[FrozenTrial]) -> bool:
        """Tells whether an action's training, up to the next pause, takes no more iterations than are `fitting`."""
        number = action.number if isinstance(action, Resume) else action.source if isinstance(action, Fork) else None
        full = self.spec.full_training
        end = full if action.until is None else action.until
        if self.fitting is None or end is None:
            return True
        made = next((view.iterations for view in pausing.views(trials) if view.number == number), 0)
        return end - made <= self.fitting

    def _carry_out(self, action: Action, pausing: Pausing, trials: Sequence[FrozenTrial]) -> Created | None:
        """Carries out an action of the scheduler's; None where no trial starts by it."""
        if isinstance(action, New):
            return self._create(trials, action.until)
        if isinstance(action, Resume):
            trial = trials[action.number]
            given = pausing.take(trial, action.until)
            return Created(trial._trial_id, trial.number, given["params"], trial.user_attrs, action.until)
        assert isinstance(action, Fork)
        return self._fork(action, trials)

    def _fork(self, action: Fork, trials: Sequence[FrozenTrial]) -> Created:
        """Adds a trial that begins from another's checkpoint, as running. The trial that it replaces is over by that."""
        source = view_of(trials[action.source])
        assert source is not None
        fork = {PARENT: source.number, BEGUN_AT: source.iterations, REPLACES: action.replaces}
        point = self.engine.recall(action.params)
        return self._add(len(trials), replace(point, params=action.params, attributes={FORK: fork}), action.until)

    def end_dropped(self, ended: Callable[[FrozenTrial], None]) -> None:
        """Calls a function with each paused trial that will never continue; each member of a population does, or is replaced."""
        if self.pausing is None or self.pausing.copies:
            return
        for trial in self.pausing.dropped(self.trials.read(), self._new_left()):
            ended(trial)

    def end_replaced(self, ended: Callable[[FrozenTrial, FrozenTrial], None]) -> None:
        """Calls a function with each paused trial that another has replaced, and with that one."""
        if self.pausing is None or not self.pausing.copies:
            return
        for trial, heir in self.pausing.replaced(self.trials.read()):
            ended(trial, heir)

    def _new_left(self) -> int | None:
        """Counts the trials that may still be started; None: without limit."""
        return None if self.target is None else max(0, self.target - self.trials.handed_out())

    # -- which --------------------------------------------------------------------------------------------------------

    def _create(self, trials: Sequence[FrozenTrial], until: int | None = None) -> Created | None:
        """Adds the next trial as running, until an iteration; None when there is none."""
        waiting = self.trials.waiting()
        if self.trials.points is None:
            if waiting:
                return self._take_enqueued(waiting[0], until)
            return self._create_trial(len(trials), len(trials), trials, until)
        again = next((trial for trial in waiting if POINT_OF in trial.user_attrs), None)
        if again is not None:
            return self._take_enqueued(again)
        left = None if self.target is None else self.target - self.trials.handed_out()
        if (seed := self.trials.points.next_seed(left, new_points=True)) is not None:
            return self._create_seed(len(trials), *seed)
        if waiting:
            return self._take_enqueued(waiting[0])
        created = self._create_trial(len(trials), self.trials.points.next_number, self.trials.points.as_trials())
        if created is None and (seed := self.trials.points.next_seed(left, new_points=False)) is not None:
            return self._create_seed(len(trials), *seed)
        return created

    def _take_enqueued(self, waiting: FrozenTrial, until: int | None = None) -> Created:
        """Takes an enqueued point: the user's, or one that is tried again."""
        # Optuna writes parameters only of trials that it has read itself; of another machine's it may have read none.
        self.study.get_trials(deepcopy=False, states=(TrialState.WAITING,))
        self.study._storage.set_trial_state_values(waiting._trial_id, TrialState.RUNNING)
        trial = Trial(self.study, waiting._trial_id)
        attributes: dict[str, Any] = dict(waiting.user_attrs)
        if self.trials.points is not None and POINT not in attributes:
            place = {POINT: self.trials.points.next_number, PLACE: 0}
            attributes.update(place)
            for name, value in place.items():
                trial.set_user_attr(name, value)
        params = self.engine.fill(trial)
        trial.set_user_attr(ASSIGNED, self._assigned(trial.number, params, attributes, until))
        return Created(trial._trial_id, trial.number, params, attributes, until)

    def _create_trial(
        self, number: int, point: int, trials: Sequence[FrozenTrial], until: int | None = None
    ) -> Created | None:
        """Adds the search's next point as a running trial; None when the grid is exhausted.

        Args:
            number: of the trial.
            point: number of the point, by which it is drawn.
            trials: what the search knows, one trial for each point.
            until: iteration at which it pauses; None: it runs to its end.
        """
        self.engine.tell(trials)
        chosen = self.engine.ask(point)
        if chosen is None:
            return None
        place = {} if self.trials.points is None else {POINT: point, PLACE: 0}
        return self._add(number, replace(chosen, attributes={**chosen.attributes, **place}), until)

    def _create_seed(self, number: int, point: int, place: int) -> Created:
        """Adds a further seed of a point as a running trial."""
        assert self.trials.points is not None
        first = self.trials.points.like(point)
        index = {GRID_INDEX: first.user_attrs[GRID_INDEX]} if GRID_INDEX in first.user_attrs else {}
        attributes = {**index, POINT: point, PLACE: place}
        params = assigned(first).get("params", first.params)
        return self._add(number, Suggestion(params, first.params, first.distributions, attributes))

    # -- how ----------------------------------------------------------------------------------------------------------

    def _add(self, number: int, chosen: Suggestion, until: int | None = None) -> Created:
        """Adds a running trial, in one write."""
        params, attributes = chosen.params, chosen.attributes
        template = create_trial(
            state=TrialState.RUNNING,
            params=dict(chosen.values),
            distributions=dict(chosen.distributions),
            user_attrs={**attributes, ASSIGNED: self._assigned(number, params, attributes, until)},
            system_attrs=dict(chosen.kept),
        )
        storage = self.study._storage
        trial_id = storage.create_new_trial(self.study._study_id, template)
        # On a file system whose locks other machines do not see, two may be given one number; the second one is void.
        taken = not self.coordinator.resumes_at_once and storage.get_trial(trial_id).number != number
        return Created(trial_id, number, params, attributes, until, number_taken=taken)

    def _assigned(
        self, number: int, params: Mapping[str, Any], attributes: Mapping[str, Any], until: int | None
    ) -> dict[str, Any]:
        """Returns the attribute `ASSIGNED` of a trial that this agent is given."""
        return {
            "name": trial_name(number),
            "params": params,
            **self._repeat(attributes),
            **({} if self.pausing is None else {UNTIL: until}),
            **self.coordinator.owner(),
        }

    def _assignment(
        self, number: int, params: Mapping[str, Any], attributes: Mapping[str, Any], until: int | None
    ) -> Assignment:
        """Describes a trial for the agent that runs it."""
        return Assignment(
            self.trial_id(number),
            trial_name(number),
            number,
            params,
            retry_of=attributes.get(RETRY_OF),
            pauses=self.pausing is not None,
            until=until,
            **self._repeat(attributes),
            **self._parent(attributes),
        )

    def _parent(self, attributes: Mapping[str, Any]) -> dict[str, Any]:
        """Returns what an assignment says of the trial whose checkpoint a trial begins from; empty for other trials."""
        fork = attributes.get(FORK)
        if fork is None:
            return {}
        return {
            "parent": trial_name(fork[PARENT]),
            "begun_at": fork[BEGUN_AT],
            "replaces": trial_name(fork[REPLACES]),
        }

    def _repeat(self, attributes: Mapping[str, Any]) -> dict[str, Any]:
        """Returns the name of a trial's point and the trial's seed; empty without repeats."""
        if self.trials.points is None or POINT not in attributes:
            return {}
        point = attributes[POINT]
        return {"point": point_name(point), "seed": self.trials.points.seed(point, attributes[PLACE])}

    def trial_id(self, number: int) -> str:
        """Returns the id of the trial with that number."""
        return f"{self.coordinator.paths.sweep_id}-{number}"

    def _void_trial(self, trial_id: int) -> None:
        """Makes a trial count for nothing."""
        storage = self.study._storage
        storage.set_trial_user_attr(trial_id, ASSIGNED, {VOID: True})
        storage.set_trial_state_values(trial_id, TrialState.FAIL)

    def is_waited_for(self) -> bool:
        """Tells whether this agent is to wait for other agents' trials, which may be lost and their points tried again."""
        if self.late:
            return False
        return self._waits or (self.trials.any_running and self.coordinator.claim_waiting())
