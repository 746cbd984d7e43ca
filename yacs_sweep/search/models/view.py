"""Shows Optuna's samplers the trials as they are to count, without a storage."""

from __future__ import annotations

import copy
from collections.abc import Container, Sequence
from typing import Any

import optuna
from optuna.storages import InMemoryStorage
from optuna.study import Study, StudyDirection
from optuna.trial import FrozenTrial, TrialState

from ..stored import CONSTRAINTS


class _SilentStorage(InMemoryStorage):
    """Ignores what samplers write to a trial, which does not exist yet."""

    def __init__(self) -> None:
        super().__init__()
        self.attributes: dict[int, dict[str, Any]] = {}  # of the shown trials, by Optuna's ids

    def set_trial_system_attr(self, trial_id: int, key: str, value: Any) -> None:
        """Ignores the attribute."""

    def get_trial_system_attrs(self, trial_id: int) -> dict[str, Any]:
        """Returns those of a shown trial, which Optuna 4 asks the storage for."""
        return self.attributes.get(trial_id, {})


class View(Study):
    """Shows samplers the trials: those without a result with the value they count with."""

    def __init__(self, directions: Sequence[StudyDirection]) -> None:
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        self._silent = _SilentStorage()
        self._silent.create_new_study(list(directions), "view")
        super().__init__("view", self._silent)
        self._shown: list[FrozenTrial] = []

    @property
    def shown(self) -> list[FrozenTrial]:
        """The trials that samplers see."""
        return self._shown

    @shown.setter
    def shown(self, trials: list[FrozenTrial]) -> None:
        self._shown = trials
        self._silent.attributes = {trial._trial_id: trial.system_attrs for trial in trials}

    def get_trials(self, deepcopy: bool = True, states: Container[TrialState] | None = None) -> list[FrozenTrial]:
        """Returns the shown trials."""
        return self._get_trials(deepcopy, states)

    def _get_trials(
        self, deepcopy: bool = True, states: Container[TrialState] | None = None, use_cache: bool = False
    ) -> list[FrozenTrial]:
        found = [trial for trial in self._shown if states is None or trial.state in states]
        return copy.deepcopy(found) if deepcopy else found


def blank(number: int) -> FrozenTrial:
    """Makes the trial that a point is drawn for."""
    return FrozenTrial(number, TrialState.RUNNING, None, None, None, {}, {}, {}, {}, {}, number)


def constraints_option(constrained: bool) -> dict[str, Any]:
    """Returns the option that makes a sampler of Optuna 4 look at constraints; later ones look by themselves."""
    if not constrained or int(optuna.__version__.partition(".")[0]) >= 5:
        return {}
    return {"constraints_func": lambda trial: trial.system_attrs.get(CONSTRAINTS, ())}
