"""Chooses points by the sampler of an Optuna study that the user's function makes (`engine: optuna`).

The sampler works on a study in memory, which is made of the sweep's trials whenever it is asked. So trials live in the
sweep's own storage, and agents on several machines, or a resumed sweep, let the sampler see the same trials.
"""

from __future__ import annotations

import contextlib
import copy
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import optuna
from optuna.pruners import BasePruner, NopPruner
from optuna.samplers import BaseSampler, BruteForceSampler
from optuna.study import Study
from optuna.trial import FixedTrial, FrozenTrial, Trial, TrialState

from ...base.wording import counted
from ...spec.sweep import SweepSpec
from ..sampling import model_seed
from ..space import Space, direction_of
from ..stored import FIXED
from .engine import Suggestion
from .own import point_of
from .source import SourceError, SweepInfo, UserFile, result_and_end

_STOPPED = "`Study.stop`"  # in Optuna's error where a sampler has nothing left to try
_STUDY = "study"  # system attribute of a trial: what the sampler noted in the study as it chose the trial's point
_DRAWS = 50  # of the sampler for one trial, while its points break the sweep's conditions
_ALL_DRAWS = 100_000  # the same, of a sampler that tries all of a finite space
_DEPTH = 4  # levels of objects inside a sampler that are searched for random numbers


class UserStudy:
    """Holds what the user's `optimizer` function gives: sampler, pruner, results, points to try first, an end."""

    def __init__(self, spec: SweepSpec, file: UserFile | None, info: SweepInfo) -> None:
        """Calls the function; without one, the sampler is Optuna's default.

        Raises:
            SourceError: it returns something else, or its study has other objectives than the sweep.
        """
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        scheduler = spec.scheduler
        assert scheduler is not None
        self.directions = [direction_of(metric.goal) for metric in spec.objectives]
        self.sampler: BaseSampler
        self.pruner: BasePruner = NopPruner()
        self.end: Callable[[Study], Any] | None = None
        self.results: list[FrozenTrial] = []
        self.first: list[dict[str, Any]] = []
        self.own_storage = False
        if file is None or scheduler.optimizer is None:
            self.sampler = optuna.create_study(directions=self.directions).sampler
            return
        function = file.function("optimizer", scheduler.optimizer)
        study, self.end = result_and_end(
            file.call(function, info),
            f"scheduler optimizer: {file.line(function)}",
            Study,
            named="an optuna.Study",
            what="study",
            line="return optuna.create_study(…)",
        )
        problem = _difference(study, spec)
        if problem:
            raise SourceError(f"scheduler optimizer: {file.line(function)}: {problem}")
        self.sampler, self.pruner = study.sampler, study.pruner
        self.own_storage = not isinstance(study._storage, optuna.storages.InMemoryStorage)
        with file.errors():
            for trial in study.get_trials():
                if trial.state == TrialState.WAITING:
                    self.first.append(dict(trial.system_attrs.get(FIXED, {})))
                elif trial.state.is_finished():
                    self.results.append(trial)


def _difference(study: Study, spec: SweepSpec) -> str:
    """Says how the study's objectives differ from the sweep's; empty where they do not."""
    wanted = [metric.goal for metric in spec.objectives]
    have = [direction.name.lower() for direction in study.directions]
    if have != wanted:
        meant = f"direction='{wanted[0]}'" if len(wanted) == 1 else f"directions={wanted}"
        goals = ", ".join(f"{metric.goal} {metric.name}" for metric in spec.objectives)
        return f"the study has {have}, but the sweep's objectives are {goals}; write optuna.create_study({meant})"
    names = getattr(study, "metric_names", None)
    if names and list(names) != [metric.name for metric in spec.objectives]:
        return f"the study's metric names are {list(names)}, the sweep's {[metric.name for metric in spec.objectives]}"
    return ""


class OptunaEngine:
    """`Engine` over a sampler of Optuna's, with the user's search space or the sweep file's parameters."""

    def __init__(self, spec: SweepSpec, space: Space, seed: int, file: UserFile | None, info: SweepInfo) -> None:
        """Loads the user's functions.

        Args:
            seed: of the sampler's random numbers, unless the user's function seeds them.

        Raises:
            SourceError: something is wrong with the functions.
        """
        scheduler = spec.scheduler
        assert scheduler is not None
        self.spec, self.space, self._file, self._name = spec, space, file, info.id
        self.notes: list[str] = []
        self.user = UserStudy(spec, file, info)
        self._search_space: Callable[[Any], Any] | None = None
        if file is not None and scheduler.search_space is not None:
            self._search_space = file.function("search_space", scheduler.search_space)
        self._states = list(_random_states(self.user.sampler))
        self._seed = seed
        grid = getattr(self.user.sampler, "_all_grids", None)
        if isinstance(grid, list):
            grid.sort(key=repr)  # shuffled anew in each process, but trials name points by their place in it
            self._keep_conditions(grid)
        elif self._states and getattr(self._states[0], "_rng", 0) is not None:  # seeded by the user
            self._seed = int(self._states[0].rng.randint(2**31))
        self._ended: set[int] = set()  # numbers of trials whose end the sampler has been told
        self._exhausted = False
        self._study = self._new_study()
        if self.user.results:
            self.notes.append(f"the scheduler's study has {counted(len(self.user.results), 'result')} to learn from")
        if self.user.own_storage:
            self.notes.append("the storage of the scheduler's study is not written to: trials live in the sweep's own")

    def _keep_conditions(self, grid: list[Sequence[Any]]) -> None:
        """Takes the points that break the sweep's conditions out of a grid. Raises SourceError where no point is left."""
        names = getattr(self.user.sampler, "_param_names", ())
        if not self.spec.where:
            return
        with contextlib.suppress(ValueError):  # the grid lacks a parameter: its sampler will say so
            grid[:] = [
                values
                for values in grid
                if self.spec.allows(self.fill(FixedTrial(dict(zip(names, values, strict=True)))))
            ]
            if not grid:
                raise SourceError(f"scheduler: no point of the grid satisfies where: {' and '.join(self.spec.where)}")
            self.user.sampler._n_min_trials = len(grid)  # type: ignore[attr-defined]

    @property
    def pruner(self) -> BasePruner:
        """The user's rule for ending trials early."""
        return self.user.pruner

    # -- the study that the sampler sees ------------------------------------------------------------------------------

    def _new_study(self) -> Study:
        """Makes a study in memory that holds the results the user's study had."""
        study = optuna.create_study(
            study_name=self._name,  # by which Optuna's hyperband assigns trials to brackets
            directions=self.user.directions,
            sampler=self.user.sampler,
            pruner=self.user.pruner,
        )
        study.add_trials(self.user.results)
        return study

    def tell(self, trials: Sequence[FrozenTrial]) -> None:
        """Takes in all trials, as they are now."""
        self._study = self._new_study()
        # Samplers that try all of a space take a trial without parameters for all of it.
        self._study.add_trials([_shown(trial) for trial in trials if trial.params])
        for trial in trials:
            for name, value in trial.system_attrs.get(_STUDY, {}).items():
                self._study._storage.set_study_system_attr(self._study._study_id, name, value)
        told = self._study.get_trials(deepcopy=False)[len(self.user.results) :]
        for trial in told:
            if trial.state.is_finished() and trial.number not in self._ended:
                self._ended.add(trial.number)
                self._after(trial)

    def _after(self, trial: FrozenTrial) -> None:
        """Lets the sampler know of a trial's end, as a study does; it may say that nothing is left to try."""
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                self.user.sampler.after_trial(self._study, copy.deepcopy(trial), trial.state, trial.values)
        except RuntimeError as error:
            if _STOPPED not in str(error):
                raise
            self._exhausted = True

    def seen(self) -> int:
        """Counts the finished trials, and the results of the user's study."""
        return len(self._study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,)))

    # -- choosing -----------------------------------------------------------------------------------------------------

    def ask(self, number: int) -> Suggestion | None:
        """Lets the sampler choose; None when it has nothing left to try, or the user's function ends the search."""
        if self._exhausted or self._is_spent() or self._user_ends():
            return None
        for place, state in enumerate(self._states):
            state.rng.seed((model_seed(self._seed, number) + place) % 2**32)
        if number < len(self.user.first):
            self._study.enqueue_trial(self.user.first[number])
        for draw in range(_ALL_DRAWS if isinstance(self.user.sampler, BruteForceSampler) else _DRAWS):
            noted = self._notes_of_study()
            trial, params = self._drawn()
            if self.spec.allows(params):
                return self._suggestion(trial, params, noted)
            if not draw and number < len(self.user.first):
                self.notes.append(f"the scheduler's study has a point to try first that breaks `where`: {params}")
            self._reject(trial)
            if self._exhausted or self._is_spent():
                return None
        return self._random(number)

    def _drawn(self) -> tuple[Trial, dict[str, Any]]:
        """Lets the sampler choose a point. Raises SourceError where the sampler, or the user's space, fails."""
        try:
            trial = self._study.ask()
            return trial, self.fill(trial)
        except SourceError:
            raise
        except Exception as error:  # samplers may be anybody's
            text = " ".join(str(error).split())
            raise SourceError(
                f"scheduler: {type(self.user.sampler).__name__}: {type(error).__name__}: {text}"
            ) from None

    def _suggestion(self, trial: Trial, params: dict[str, Any], noted: Mapping[str, Any]) -> Suggestion:
        """Describes a point that the sampler has chosen. `noted`: what samplers had noted in the study before."""
        drawn = self._study._storage.get_trial(trial._trial_id)
        kept = {name: value for name, value in drawn.system_attrs.items() if name != FIXED}
        if new := {name: value for name, value in self._notes_of_study().items() if noted.get(name) != value}:
            kept[_STUDY] = new
        return Suggestion(params, dict(drawn.params), dict(drawn.distributions), kept=kept)

    def _reject(self, trial: Trial) -> None:
        """Ends a trial whose point breaks the sweep's conditions, so that the sampler chooses another one.

        With one objective it counts as pruned, which makes samplers avoid its neighbourhood.
        """
        state = TrialState.FAIL if self.spec.more_metrics else TrialState.PRUNED
        self._study._storage.set_trial_state_values(trial._trial_id, state)
        self._after(self._study._storage.get_trial(trial._trial_id))

    def _random(self, number: int) -> Suggestion:
        """Draws a point that the sweep's conditions allow at random, where the sampler finds none.

        Raises:
            SweepError: there is none, or the search space is the user's.
        """
        if self._search_space is not None:
            where = " and ".join(self.spec.where)
            raise SourceError(f"scheduler search_space: no point in {_DRAWS} draws satisfies where: {where}")
        units, values = self.spec.draw(self._seed, number)
        return point_of(self.space, {name: value for name, value in self.space.at(units).items() if name in values})

    def _notes_of_study(self) -> dict[str, Any]:
        """Copies what samplers have noted in the study: in the storage, each trial keeps what its choice added."""
        return copy.deepcopy(self._study._storage.get_study_system_attrs(self._study._study_id))

    def fill(self, trial: Trial | FixedTrial) -> dict[str, Any]:
        """Lets the user's search space, or the sweep's parameters, draw a trial's values."""
        if self._file is None or self._search_space is None:
            return self.space.suggest(trial)
        return self._file.params(self._search_space, trial)

    def recall(self, params: Mapping[str, Any]) -> Suggestion:
        """Lets the search space draw a point again.

        Where it does not draw under the names that it returns, the values are not known: the sampler does not learn from
        the trial.
        """
        if self._file is None or self._search_space is None:
            return point_of(self.space, self.space.to_optuna(params))
        trial = FixedTrial(dict(params))
        with contextlib.suppress(SourceError):
            if self._file.params(self._search_space, trial) == dict(params):
                return Suggestion(params, dict(trial.params), dict(trial.distributions))
        return Suggestion(params, {}, {})

    def _is_spent(self) -> bool:
        """Tells whether the sampler has a finite space and has tried all of it."""
        spent = getattr(self.user.sampler, "is_exhausted", None)
        return callable(spent) and bool(spent(self._study))

    def _user_ends(self) -> bool:
        """Asks the function beside the user's study whether the search is over."""
        if self.user.end is None or self._file is None:
            return False
        return bool(self._file.call(self.user.end, self._study))

    def says(self) -> str:
        """Names the sampler and the pruner."""
        stops = ""
        if not isinstance(self.pruner, NopPruner) and not self.spec.more_metrics:
            stops = f", its {type(self.pruner).__name__} ends trials early"
        return f"Optuna's {type(self.user.sampler).__name__} chooses the points{stops}"

    def close(self) -> None:
        """Releases nothing: the study is in memory."""


def _shown(trial: FrozenTrial) -> FrozenTrial:
    """Returns a trial as the sampler is to see it."""
    shown = copy.copy(trial)
    shown.user_attrs = {}
    return shown


def _random_states(found: Any, depth: int = 0, known: set[int] | None = None) -> Iterator[Any]:
    """Yields the sources of random numbers inside a sampler, in the order of its attributes."""
    known = set() if known is None else known
    if id(found) in known or depth > _DEPTH or not hasattr(found, "__dict__"):
        return
    known.add(id(found))
    if type(found).__name__ == "LazyRandomState":
        yield found
        return
    for value in vars(found).values():
        if isinstance(value, BaseSampler) or type(value).__module__.startswith("optuna."):
            yield from _random_states(value, depth + 1, known)
