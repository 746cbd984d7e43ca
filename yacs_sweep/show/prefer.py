"""Chooses one of a sweep's trials, or points, by what a user prefers (`--prefer "val/mAP >= 80, min ms"`). Pure."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ..base.errors import ConfigError
from ..base.values import finite_number
from ..base.wording import counted, did_you_mean
from ..records.folder import TrialRecord
from ..records.points import Point, group_points, mean_row, noun_of, with_enough_seeds
from ..spec.conditions import ExpressionError
from ..spec.constraints import DURATION, GPU_MEMORY, compile_constraint, names_in
from ..spec.sweep import Metric, SweepSpec
from .left_out import thresholds_missed

EXAMPLE = '"val/mAP >= 80, min ms"'
_PART = re.compile(r"""(?:"(?:\\.|[^"\\])*"|'(?:\\.|[^'\\])*'|`[^`]*`|\([^()]*\)|\[[^\[\]]*\]|[^,])+""")
_BEST = re.compile(r"(?P<way>min|max)\s+(?P<name>`[^`]+`|[^\s`<>=!()]+)", re.IGNORECASE)
_WORD = re.compile(r"`[^`]*`|[\w./-]+")
_GOALS = {"min": "minimize", "max": "maximize"}
_NAMED = 8  # names of metrics in a message


@dataclass(frozen=True)
class Preference:
    """Holds what a user prefers.

    Attributes:
        conditions: what the chosen trial must satisfy, in the language of `metric_constraints`.
        by: which of the trials that do is chosen; None: the best in the sweep's first objective.
    """

    conditions: tuple[str, ...]
    by: Metric | None

    @classmethod
    def read(cls, text: str) -> Preference:
        """Reads conditions and at most one `min NAME` or `max NAME`, between commas.

        Raises:
            ConfigError: the text cannot be read.
        """
        conditions, aims = list[str](), list[Metric]()
        for part in filter(None, (part.strip() for part in _PART.findall(text))):
            if found := _BEST.fullmatch(part):
                aims.append(Metric(found["name"].strip("` "), _GOALS[found["way"].lower()]))
                continue
            if _WORD.fullmatch(part):
                raise ConfigError(f"--prefer: {part} is no condition; write for example {EXAMPLE}")
            try:
                compile_constraint(part)
            except ExpressionError as error:
                raise ConfigError(f"--prefer: {error}; write for example {EXAMPLE}") from None
            conditions.append(part)
        if len(aims) > 1:
            each = ", ".join(f"{_way(aim)} {aim.name}" for aim in aims)
            raise ConfigError(f"--prefer: {each}: one min or max decides; make conditions of the others")
        if not conditions and not aims:
            raise ConfigError(f"--prefer: says nothing; write for example {EXAMPLE}")
        return cls(tuple(conditions), aims[0] if aims else None)

    @property
    def names(self) -> tuple[str, ...]:
        """The metrics and facts that it mentions."""
        return tuple(dict.fromkeys([*names_in(self.conditions), *([self.by.name] if self.by else [])]))


def _way(metric: Metric) -> str:
    """Returns `min` or `max`, as the goal is written in a preference."""
    return "max" if metric.goal == "maximize" else "min"


@dataclass(frozen=True)
class Choice:
    """Holds the chosen trial (of a point: the one nearest to its mean), and a line that says why it was chosen."""

    record: TrialRecord
    why: str


@dataclass(frozen=True)
class _Candidate:
    """Holds a point that has finished, with the mean of what its trials measured."""

    point: Point
    values: Mapping[str, Any]
    missed: tuple[str, ...] | None  # constraints and thresholds of the sweep; None: it is not known to keep them

    @property
    def keeps(self) -> bool:
        """Whether the sweep's constraints and thresholds are kept."""
        return self.missed == ()

    def order(self, by: Metric, objectives: Sequence[Metric]) -> tuple[float, ...]:
        """Returns what candidates are sorted by: the preference, then the sweep's objectives in turn, then the number."""
        values = [(metric, self.values.get(metric.name)) for metric in (by, *objectives)]
        known = [value if finite_number(value) else None for _, value in values]
        signs = [-1.0 if metric.goal == "maximize" else 1.0 for metric, _ in values]
        costs = [math.inf if value is None else sign * value for sign, value in zip(signs, known, strict=True)]
        return (*costs, self.point.number)

    def told(self, names: Iterable[str], noun: str) -> str:
        """Names the point with its values; `noun` is the word for one of its repeats."""
        shown = [f"{name} {_text(self.values.get(name))}" for name in names]
        seeds = [f"means of {counted(len(self.point.finished), noun)}"] if len(self.point.finished) > 1 else []
        return ", ".join([self.point.name, *shown, *seeds])


def _text(value: Any) -> str:
    """Formats what was measured."""
    return "not measured" if value is None else f"{value:.6g}" if finite_number(value) else str(value)


def choose(
    preference: Preference,
    records: Iterable[TrialRecord],
    spec: SweepSpec,
    last_values: Callable[[TrialRecord], Mapping[str, Any]],
) -> Choice:
    """Chooses the trial, or point, that fits best, among those that keep the sweep's constraints and thresholds.

    Where none that fits keeps them, one that does not is chosen, and that is said. Equal ones are told apart by the sweep's
    first objective, then by the second and so on.

    Args:
        spec: of the sweep.
        last_values: reads the last value of each metric that a trial has logged.

    Raises:
        ConfigError: a name that no trial has measured, or no trial fits; the message names the nearest.
    """
    candidates = list(_candidates(preference, records, spec, last_values))
    if not candidates:
        raise ConfigError("--prefer: no trial has finished with a value")
    _check_names(preference, candidates, last_values)
    by = preference.by or spec.objectives[0]
    fitting = [each for each in candidates if _fits(preference, by, each)]
    if not fitting:
        raise ConfigError(f"--prefer: no trial fits; {_nearest(preference, by, candidates, noun_of(spec))}")
    kept = [each for each in fitting if each.keeps]
    ranked = sorted(kept or fitting, key=lambda each: each.order(by, spec.objectives))
    first = ranked[0]
    names = dict.fromkeys([*(metric.name for metric in spec.objectives), *preference.names])
    one = "the only one that fits" if len(ranked) == 1 else f"{_way(by)} {by.name} of {len(ranked)} that fit"
    why = f"{first.told(names, noun_of(spec))}; {one}"
    if len(ranked) > 1:
        why += f", next {ranked[1].told([by.name], noun_of(spec))}"
    if not first.keeps:
        broken = " and ".join(first.missed or spec.constraints)
        why += f"; none that fits keeps the sweep's constraints: it misses {broken}"
    record = first.point.typical
    assert record is not None  # a candidate has a value
    return Choice(record, why)


def _candidates(
    preference: Preference,
    records: Iterable[TrialRecord],
    spec: SweepSpec,
    last_values: Callable[[TrialRecord], Mapping[str, Any]],
) -> Iterator[_Candidate]:
    """Yields the points with a finished trial, those with enough seeds where there are any."""
    points = [point for point in group_points(records) if point.typical is not None]
    for point in with_enough_seeds(points, spec.seeds_enough):
        rows = [_measured(record, spec, preference.names, last_values) for record in point.finished]
        keeps, violated = point.judge(spec.constraints)
        values = mean_row(rows)
        thresholds = (f"the threshold {text}" for text in thresholds_missed(values, spec.objectives))
        missed = (*violated, *thresholds)
        yield _Candidate(point, values, None if keeps is None and not missed else missed)


def _measured(
    record: TrialRecord,
    spec: SweepSpec,
    names: Sequence[str],
    last_values: Callable[[TrialRecord], Mapping[str, Any]],
) -> dict[str, Any]:
    """Returns what a trial has measured; its rows are read only for names that its record does not have."""
    known: dict[str, Any] = {DURATION: record.seconds, **(record.facts or {}), **(record.values or {})}
    if spec.objectives:
        known[spec.objectives[0].name] = record.value
    return known if known.keys() >= set(names) else {**last_values(record), **known}


def _check_names(
    preference: Preference,
    candidates: Sequence[_Candidate],
    last_values: Callable[[TrialRecord], Mapping[str, Any]],
) -> None:
    """Raises ConfigError for a name that no trial has measured."""
    missing = [name for name in preference.names if all(name not in each.values for each in candidates)]
    if not missing:
        return
    known = dict.fromkeys(name for each in candidates for name in each.values)
    known.update(dict.fromkeys(name for each in candidates[:1] for name in last_values(each.point.finished[0])))
    name = missing[0]
    if name == GPU_MEMORY:
        raise ConfigError(
            f"--prefer: no trial has measured {name}; it is read where the sweep's metric_constraints name it"
        )
    names = list(known)
    shown = ", ".join(names[:_NAMED]) + (", …" if len(names) > _NAMED else "")
    hint = did_you_mean(name, names) or f"; measured are {shown}"
    raise ConfigError(f"--prefer: no trial has measured {name}{hint}")


def _excess(condition: str, candidate: _Candidate) -> float | None:
    """Computes by how much a point misses a condition: 0 or less where it does not, None where that is not known."""
    return compile_constraint(condition).excess(candidate.values)


def _fits(preference: Preference, by: Metric, candidate: _Candidate) -> bool:
    """Tells whether a point satisfies all conditions and has a value to choose by."""
    holds = all(compile_constraint(text).holds(candidate.values) is True for text in preference.conditions)
    return holds and finite_number(candidate.values.get(by.name))


def _nearest(preference: Preference, by: Metric, candidates: Sequence[_Candidate], noun: str) -> str:
    """Names the point that misses the conditions by least, each measured by how much the points differ in it."""
    table = {text: [_excess(text, each) for each in candidates] for text in preference.conditions}
    spans = {
        text: (max(known) - min(known) or 1.0) if (known := [each for each in found if each is not None]) else 1.0
        for text, found in table.items()
    }

    def miss(place: int) -> float:
        each = [table[text][place] for text in preference.conditions]
        scaled = [math.inf if one is None else one / span for one, span in zip(each, spans.values(), strict=True)]
        lacks = math.inf if not finite_number(candidates[place].values.get(by.name)) else 0.0
        return max([*scaled, lacks])

    place = min(range(len(candidates)), key=lambda place: (miss(place), not candidates[place].keeps, place))
    nearest = candidates[place]
    missed = []
    for text in preference.conditions:
        excess = table[text][place]
        if excess is None:
            missed.append(text)
        elif excess > 0:
            missed.append(text if len(names_in([text])) > 1 else f"{text} by {excess:.3g}")
    if not finite_number(nearest.values.get(by.name)):
        missed.append(f"a value of {by.name}")
    return f"the nearest is {nearest.told(preference.names, noun)}, which misses {' and '.join(missed)}"
