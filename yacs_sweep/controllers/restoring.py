"""Tells a storage what it has lost: it was deleted or cut off, or another one is used from now on.

A trial's folder is the truth (trial.json). Without this, an empty storage would give out the sweep's first numbers again,
and their trials would overwrite finished ones.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from itertools import takewhile
from typing import Any

from optuna.study import Study
from optuna.trial import FrozenTrial, TrialState, create_trial

from ..objective import finite
from ..parameter import identity
from ..results import SweepPaths, TrialRecord
from ..spec_model import SweepSpec
from .attributes import AGAIN, ATTRIBUTE, END, ENQUEUED, INDEX, LOST, RETRY_OF, SETTLED, VOID
from .space import Space

MAX_LOOKED = 100_000  # grid points among which those of trials are looked for
_FOLDER = re.compile(r"trial-(\d{4,})")


def restore(
    study: Study, paths: SweepPaths, space: Space, spec: SweepSpec, enqueued: Sequence[Mapping[str, Any]]
) -> None:
    """Adds to the study the trials that have folders and that it does not know. `enqueued`: the user's points.

    Only while no agent asks: an agent's trial is in the study before it has a folder.
    """
    there = len(study.get_trials(deepcopy=False))
    numbers = [int(match[1]) for path in paths.dir.glob("trial-*") if (match := _FOLDER.fullmatch(path.name))]
    if max(numbers, default=-1) < there:
        return
    records = {record.number: record for record in paths.records()}
    missing = [records[number] for number in sorted(records) if number >= there]
    indices = _indices(spec, missing)
    for number in range(there, max(numbers) + 1):
        record = records.get(number)
        found = _as_trial(record, space, indices.get(number)) if record is not None else None
        study.add_trial(found or create_trial(state=TrialState.FAIL, user_attrs={ATTRIBUTE: {VOID: True}}))
    tried = {identity(record.params) for record in records.values()}
    given = takewhile(lambda point: identity(space.outer(space.inner(point))) in tried, enqueued)
    study.set_user_attr(ENQUEUED, max(study.user_attrs.get(ENQUEUED, 0), len(list(given))))


def _indices(spec: SweepSpec, records: Sequence[TrialRecord]) -> dict[int, int]:
    """The place in the grid of each of the trials, by their numbers."""
    wanted: dict[Any, list[int]] = {}
    for record in records:
        wanted.setdefault(identity(record.params), []).append(record.number)
    found: dict[int, int] = {}
    for index in range(min(spec.grid_size or 0, MAX_LOOKED)):
        for number in wanted.pop(identity(spec.grid_point(index)), ()):
            found[number] = index
        if not wanted:
            break
    return found


def _as_trial(record: TrialRecord, space: Space, index: int | None) -> FrozenTrial | None:
    """The trial as the storage would have it; None where the sweep has no such point."""
    try:
        params = space.inner(record.params)
    except ValueError:
        return None
    return create_trial(
        state=_state(record),
        value=record.value if _state(record) == TrialState.COMPLETE else None,
        params=params,
        distributions={name: space.distributions[name] for name in params},
        user_attrs=dict(_attributes(record, index)),
    )


def _state(record: TrialRecord) -> TrialState:
    if record.state == "finished" and finite(record.value):
        return TrialState.COMPLETE
    return TrialState.PRUNED if record.state == "stopped" else TrialState.FAIL


def _attributes(record: TrialRecord, index: int | None) -> Iterator[tuple[str, Any]]:
    yield ATTRIBUTE, {"name": record.name, "params": record.params, "agent": record.agent, "host": record.host}
    if record.settled:
        yield SETTLED, True
        if _state(record) != TrialState.COMPLETE:
            yield END, {"state": record.state, "value": record.value if finite(record.value) else None}
    if record.retry_of is not None:
        yield RETRY_OF, record.retry_of
        yield AGAIN, record.retry_of
        yield LOST, 1
    if index is not None:
        yield INDEX, index
