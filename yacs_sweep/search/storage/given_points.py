"""Enqueues the points that users give: with a launch (`--enqueue`), or to a running sweep (`--add-points`).

Each is enqueued once, whoever is killed meanwhile: an enqueued trial carries in `GIVEN` which point it is, in one write.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from optuna.study import Study
from optuna.trial import FrozenTrial

from ...records.control.orders import Entry, last_count, points_added
from ...records.folder import TrialRecord
from ...spec.parameter import equality_key
from ..space import Space
from ..stored import ENQUEUED, GIVEN

Place = tuple[str, int]  # of a given point: id of the order, and which of its points
LAUNCH = ""  # in place of an order's id: points of --enqueue


class GivenPoints:
    """Knows the given points of one sweep, and which of them are in the study. For one agent."""

    def __init__(self, space: Space, first: Sequence[Mapping[str, Any]], counted: str | None = None) -> None:
        """Begins with the points of --enqueue.

        Args:
            counted: id of the last order of a number of trials that this agent's launch knew when it was planned.
        """
        self._space, self._counted = space, counted
        self._first = len(first)
        self.missing: dict[Place, Mapping[str, Any]] = {(LAUNCH, place): point for place, point in enumerate(first)}
        self.count: int | None = None  # trials of the whole sweep, by an order that came later than the launch

    def take_in(self, entries: Sequence[Entry]) -> None:
        """Takes in new orders: further points, another number of trials."""
        for order, points in points_added(entries).items():
            self.missing |= {(order, place): point for place, point in enumerate(points)}
        last = last_count(entries)
        if last is not None and last.id != self._counted:
            self.count = last.given["count"]

    def enqueue(self, study: Study, trials: Iterable[FrozenTrial]) -> None:
        """Enqueues the points that are not in the study. Only within `exclusively`.

        Args:
            trials: all trials of the study, as they are now.
        """
        known = {_place(trial) for trial in trials if GIVEN in trial.user_attrs}
        before = study.user_attrs.get(ENQUEUED, 0) if self._first else 0
        # What this transaction enqueues stays among the missing ones until it is read: the transaction may fail.
        self.missing = {
            (order, place): point
            for (order, place), point in self.missing.items()
            if (order, place) not in known and not (order == LAUNCH and place < before)
        }
        for (order, place), point in self.missing.items():
            if (values := self._values(point)) is not None:
                study.enqueue_trial(values, user_attrs={GIVEN: [order, place]})

    def _values(self, point: Mapping[str, Any]) -> dict[str, Any] | None:
        """Converts a point to Optuna's values; None for one that the space does not have."""
        try:
            return self._space.to_optuna(point)
        except (ValueError, TypeError):  # whoever may write to the list may write anything
            return None

    def places_of(self, records: Iterable[TrialRecord], trials: Iterable[FrozenTrial]) -> dict[int, Place]:
        """Finds which given points the trials of a lost storage have tried, by their numbers.

        Args:
            records: the trials that the storage does not know.
            trials: those that it knows.
        """
        known = {_place(trial) for trial in trials if GIVEN in trial.user_attrs}
        numbers: dict[Any, list[int]] = {}
        for record in records:
            if record.retry_of is None:
                numbers.setdefault(equality_key(record.params), []).append(record.number)
        found = {}
        for place, point in self.missing.items():
            values = self._values(point) if place not in known else None
            same = [] if values is None else numbers.get(equality_key(self._space.from_optuna(values)), [])
            if same:
                found[same.pop(0)] = place
        return found


def _place(trial: FrozenTrial) -> Place:
    """Returns which given point a trial has."""
    order, place = trial.user_attrs[GIVEN]
    return order, place
