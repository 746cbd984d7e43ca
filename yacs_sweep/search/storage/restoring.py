"""Tells a storage what it has lost: it was deleted or cut off, or another one is used from now on.

A trial's folder is the truth (trial.json). Without this, an empty storage would give out the sweep's first numbers again,
and their trials would overwrite finished ones.
"""

from __future__ import annotations

import re
from collections.abc import Hashable, Iterator, Mapping, Sequence
from itertools import takewhile
from typing import Any

from optuna.study import Study
from optuna.trial import FrozenTrial, TrialState, create_trial

from ...records.folder import TrialRecord, mark_lost
from ...records.metrics import metric_value, read_metrics
from ...spec.parameter import equality_key
from ...spec.sweep import SweepSpec
from ..space import Space
from ..stored import AGAIN, ATTRIBUTE, END, ENQUEUED, INDEX, LOST, RETRY_OF, SETTLED, VOID, end_of, state_of, trial_name
from .folder_ledger import Folder

MAX_LOOKED = 100_000  # grid points among which those of trials are looked for
_FOLDER = re.compile(r"trial-(\d{4,})")


class Restorer:
    """Compares a study with the folder of its sweep. Only while no agent asks: an agent's trial is in the study before it
    has a folder."""

    def __init__(self, study: Study, ledger: Folder, space: Space, spec: SweepSpec) -> None:
        self.study, self.paths, self.space, self.spec = study, ledger.paths, space, spec
        self._ledger = ledger

    def restore(self, enqueued: Sequence[Mapping[str, Any]]) -> list[TrialRecord]:
        """Tells the study of trials that it does not know, or takes for waiting. `enqueued`: the user's points.

        Returns those that ran when their agents died.
        """
        known = self.study.get_trials(deepcopy=False)
        waiting = [trial for trial in known if trial.state == TrialState.WAITING]
        numbers = {int(match[1]) for path in self.paths.dir.glob("trial-*") if (match := _FOLDER.fullmatch(path.name))}
        if max(numbers, default=-1) < len(known) and not numbers.intersection(trial.number for trial in waiting):
            return []
        records = self._records()
        for trial in waiting:
            if trial.number in records:
                self._evaluate(trial, records[trial.number])
        # Of a folder without a record, a number is believed that so many trials can have come to.
        unread = {number for number in numbers if number < len(known) + len(numbers)}
        missing = [record for number, record in sorted(records.items()) if number >= len(known)]
        lost = [record for record in missing if record.state == "running" and not self._ledger.lives(_about(record))]
        for record in lost:
            mark_lost(record, self.paths)
        indices = self._indices(missing)
        for number in range(len(known), 1 + max(unread | records.keys(), default=-1)):
            found = self._as_trial(records[number], indices) if number in records else None
            self.study.add_trial(found or create_trial(state=TrialState.FAIL, user_attrs={ATTRIBUTE: {VOID: True}}))
        self._fill_grid()
        self._skip(enqueued, records)
        return lost

    def _records(self) -> dict[int, TrialRecord]:
        """By number; not those of copies of a trial's folder."""
        return {
            record.number: record
            for path, record in self.paths.scan()
            if record is not None and path.parent.name == record.name == trial_name(record.number)
        }

    def _indices(self, records: Sequence[TrialRecord]) -> dict[int, int]:
        """The place in the grid of each of the trials, by their numbers."""
        wanted: dict[Hashable, list[int]] = {}
        for record in records:
            wanted.setdefault(equality_key(record.params), []).append(record.number)
        found: dict[int, int] = {}
        for index in range(min(self.spec.grid_size or 0, MAX_LOOKED)):
            for number in wanted.pop(equality_key(self.spec.grid_point(index)), ()):
                found[number] = index
            if not wanted:
                break
        return found

    def _fill_grid(self) -> None:
        """Gives out once more the grid's points that were given out to trials of which nothing is left."""
        trials = self.study.get_trials(deepcopy=False)
        used = {int(trial.user_attrs[INDEX]) for trial in trials if INDEX in trial.user_attrs}
        for index in sorted(set(range(max(used, default=0))) - used):
            self.study.enqueue_trial(self.space.inner(self.spec.grid_point(index)), user_attrs={INDEX: index})

    def _skip(self, enqueued: Sequence[Mapping[str, Any]], records: Mapping[int, TrialRecord]) -> None:
        """The user's points are tried in their order: those that were are not enqueued again."""
        tried = {equality_key(record.params) for record in records.values()}
        given = takewhile(lambda point: equality_key(self.space.outer(self.space.inner(point))) in tried, enqueued)
        self.study.set_user_attr(ENQUEUED, max(self.study.user_attrs.get(ENQUEUED, 0), len(list(given))))

    def _as_trial(self, record: TrialRecord, indices: Mapping[int, int]) -> FrozenTrial | None:
        """The trial as the storage would have it; None where the sweep has no such point."""
        try:
            params = self.space.inner(record.params)
        except ValueError:
            return None
        metric = self.spec.metric.name if self.spec.metric else None
        rows = read_metrics(self.paths.trial(record.name).metrics) if metric is not None else []
        values = [value for row in rows if (value := metric_value(row, metric)) is not None]
        return create_trial(
            state=state_of(record),
            value=record.value if state_of(record) == TrialState.COMPLETE else None,
            params=params,
            distributions={name: self.space.distributions[name] for name in params},
            user_attrs=dict(_attributes(record, indices.get(record.number))),
            intermediate_values=dict(enumerate(values, start=1)),
        )

    def _evaluate(self, trial: FrozenTrial, record: TrialRecord) -> None:
        """A trial that waits has been evaluated."""
        found = self._as_trial(record, {})
        if found is None:
            return
        storage, trial_id = self.study._storage, trial._trial_id
        storage.set_trial_state_values(trial_id, TrialState.RUNNING)
        for name, value in found.params.items():
            distribution = self.space.distributions[name]
            storage.set_trial_param(trial_id, name, distribution.to_internal_repr(value), distribution)
        for step, value in found.intermediate_values.items():
            storage.set_trial_intermediate_value(trial_id, step, value)
        for name, value in found.user_attrs.items():
            storage.set_trial_user_attr(trial_id, name, value)
        storage.set_trial_state_values(trial_id, found.state, found.values)


def _about(record: TrialRecord) -> dict[str, Any]:
    """As `Ledger.about`, with what `ATTRIBUTE` has besides."""
    return {"name": record.name, "params": record.params, "agent": record.agent, "host": record.host}


def _attributes(record: TrialRecord, index: int | None) -> Iterator[tuple[str, Any]]:
    yield ATTRIBUTE, _about(record)
    if record.settled:
        yield SETTLED, True
        if state_of(record) != TrialState.COMPLETE:
            yield END, end_of(record)
    if record.retry_of is not None:
        yield RETRY_OF, record.retry_of
        yield AGAIN, record.retry_of
        yield LOST, 1
    if index is not None:
        yield INDEX, index
