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
from optuna.samplers import BaseSampler
from optuna.study import Study
from optuna.trial import FixedTrial, FrozenTrial, Trial, TrialState

from ...base.wording import counted
from ...spec.sweep import SweepSpec
from ..sampling import model_seed
from ..space import Space, direction_of
from .engine import Suggestion
from .own import point_of
from .source import SourceError, SweepInfo, UserFile

_STOPPED = "`Study.stop`"  # in Optuna's error where a sampler has nothing left to try
_STUDY = "study"  # system attribute of a trial: what the sampler noted in the study as it chose the trial's point
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
        study, self.end = _parts(file.call(function, info), f"scheduler optimizer: {file.line(function)}")
        problem = _difference(study, spec)
        if problem:
            raise SourceError(f"scheduler optimizer: {file.line(function)}: {problem}")
        self.sampler, self.pruner = study.sampler, study.pruner
        self.own_storage = not isinstance(study._storage, optuna.storages.InMemoryStorage)
        with file.errors():
            for trial in study.get_trials():
                if trial.state == TrialState.WAITING:
                    self.first.append(dict(trial.system_attrs.get("fixed_params", {})))
                elif trial.state.is_finished():
                    self.results.append(trial)


def _parts(found: Any, place: str) -> tuple[Study, Callable[[Study], Any] | None]:
    """Returns the study and the function that ends the search, of what the user's function returned."""
    study, end = found if isinstance(found, tuple) and len(found) == 2 else (found, None)
    if not isinstance(study, Study):
        kind = type(study).__name__
        raise SourceError(f"{place}: returns {kind}, not an optuna.Study; end it with `return optuna.create_study(…)`")
    if end is not None and not callable(end):
        raise SourceError(
            f"{place}: returns {type(end).__name__} beside the study, not a function that ends the search"
        )
    return study, end


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
        elif self._states and getattr(self._states[0], "_rng", 0) is not None:  # seeded by the user
            self._seed = int(self._states[0].rng.randint(2**31))
        self._ended: set[int] = set()  # numbers of trials whose end the sampler has been told
        self._exhausted = False
        self._study = self._new_study()
        if self.user.results:
            self.notes.append(f"the scheduler's study has {counted(len(self.user.results), 'result')} to learn from")
        if self.user.own_storage:
            self.notes.append("the storage of the scheduler's study is not written to: trials live in the sweep's own")

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
        noted = self._notes_of_study()
        try:
            trial = self._study.ask()
            params = self.fill(trial)
        except SourceError:
            raise
        except Exception as error:  # samplers may be anybody's
            text = " ".join(str(error).split())
            raise SourceError(
                f"scheduler: {type(self.user.sampler).__name__}: {type(error).__name__}: {text}"
            ) from None
        drawn = self._study._storage.get_trial(trial._trial_id)
        kept = {name: value for name, value in drawn.system_attrs.items() if name != "fixed_params"}
        if new := {name: value for name, value in self._notes_of_study().items() if noted.get(name) != value}:
            kept[_STUDY] = new
        return Suggestion(params, dict(drawn.params), dict(drawn.distributions), kept=kept)

    def _notes_of_study(self) -> dict[str, Any]:
        """Copies what samplers have noted in the study: in the storage, each trial keeps what its choice added."""
        return copy.deepcopy(self._study._storage.get_study_system_attrs(self._study._study_id))

    def fill(self, trial: Trial) -> dict[str, Any]:
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
