"""Finds that all seeds of a configuration end alike: the seed does not reach the trainer, or nothing in it is random."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from ..base.values import finite_number
from ..base.wording import counted
from ..records.folder import SweepPaths, TrialRecord
from ..records.known_sweeps import origin_of
from ..records.metrics import readable_metrics
from ..records.points import Aims, Point, group_points, point_of_seeds
from ..spec.sweep import SweepSpec
from ..trainers.ways.start import OVERRIDES
from .same_value import is_of_the_run, values_by_metric

POINTS, ALONE = 2, 3  # points with several seeds that tell it; seeds of a point that is alone
READ = 3  # points whose rows are read
_PLACES = ("epoch", "iteration")  # say how far a trial is
NAMED = 5  # seeds named
_OF_REPEATS, _OF_PROFILE = "`repeats: {key: KEY}`", "`aliases: {seed: KEY}`"  # what names the trainer's key
ReadRows = Callable[[TrialRecord], Sequence[Mapping[str, Any]]]


class SeedsWatch:
    """Says once while a sweep runs, and at its end, that the seeds of its points change nothing."""

    def __init__(self, spec: SweepSpec, paths: SweepPaths) -> None:
        """Watches a sweep with repeats, or one that trains the best of another with several seeds."""
        self.spec, self.paths = spec, paths
        self.told = False  # whether the user knows
        self._differ = False  # whether one point has shown that they change something

    def after(self, point: Point, records: Iterable[TrialRecord]) -> str | None:
        """Returns what to say after the end of a trial; None mostly.

        All points are looked at only while those that have ended show no difference between their seeds.

        Args:
            point: the trial's.
            records: all trials.
        """
        self._differ |= self.spec.repeats is not None and seeds_differ(self.spec, point)
        text = None if self.told or self._differ else self.text(records)
        self.told |= text is not None
        return text

    def text(self, records: Iterable[TrialRecord]) -> str | None:
        """Says that the seeds of each point, or those that the best of a sweep is trained with, change nothing."""
        says = same_best_text if origin_of(self.paths.sweep_id) else same_seeds_text
        return says(self.spec, records, self.paths)


def same_seeds_text(aims: Aims, records: Iterable[TrialRecord], paths: SweepPaths) -> str | None:
    """Says that the seeds of a sweep with repeats change nothing, and what to do; None where they do, or little is known."""
    return same_seeds_of(aims, records, rows_in(paths))


def same_seeds_of(aims: Aims, records: Iterable[TrialRecord], rows_of: ReadRows) -> str | None:
    """Says the same as `same_seeds_text` of trials whose rows `rows_of` reads."""
    repeats = aims.repeats
    if repeats is None:
        return None
    metrics = [metric.name for metric in aims.objectives]
    keys = [_OF_REPEATS] if repeats.values else [_OF_REPEATS, _OF_PROFILE]
    what = repeats.name if repeats.values else "the seed"
    return _text(what, f"{repeats.noun}s", group_points(records), metrics, rows_of, keys)


def seeds_differ(aims: Aims, point: Point) -> bool:
    """Tells whether a point alone shows that the seeds change something, so that no other needs to be looked at."""
    return len(point.finished) > 1 and not _ended_alike(point, [metric.name for metric in aims.objectives])


def same_best_text(spec: SweepSpec, records: Iterable[TrialRecord], paths: SweepPaths) -> str | None:
    """Says that the seeds with which the best configuration is trained change nothing (`--train-best`), and what to do."""
    seed = spec.several_values
    point = None if seed is None else point_of_seeds(records, seed)
    if point is None:
        return None
    metrics = [metric.name for metric in spec.objectives]
    return _text("the seed", "seeds", [replace(point, name="the best")], metrics, rows_in(paths), [_OF_PROFILE])


def rows_in(paths: SweepPaths) -> ReadRows:
    """Returns a function that reads a trial's rows from the sweep's folder."""
    return lambda record: readable_metrics(paths.trial(record.name).metrics)


def _text(
    what: str, seeds: str, points: Iterable[Point], metrics: Sequence[str], rows_of: ReadRows, keys: Sequence[str]
) -> str | None:
    """Says that all seeds of each point logged the same values to the last digit, and what to do.

    Metrics of the run itself (times, memory) do not count.

    Args:
        what: changes nothing: the seed, or a key.
        seeds: the word for what each trial of a point has of its own.
        points: one needs three seeds, several need two each.
        metrics: the sweep's objectives.
        rows_of: reads the rows of a trial; none where these are on another machine.
        keys: name the key that takes the seed.

    Returns:
        None where seeds differ, where too few have finished or can be read, and where all that was logged are whole
        numbers that never change: a trainer that always logs 0 or 100 says nothing of its seeds.
    """
    several = [point for point in points if len({repr(record.seed) for record in point.finished}) > 1]
    if not _are_enough(several) or not all(_ended_alike(point, metrics) for point in several):
        return None
    logged = [[values_by_metric(rows_of(record)) for record in point.finished] for point in several[:READ]]
    known = [(point, rows) for point, rows in zip(several, logged, strict=False) if all(rows)]
    if not _are_enough([point for point, _ in known]):
        return None
    if any(repr(each) != repr(rows[0]) for _, rows in known for each in rows) or not _tells(logged):
        return None
    who = counted(len(several), "point") if len(several) > 1 else several[0].name
    return (
        f"{what} changes nothing: {who} logged the same values to the last digit with all {seeds}{_given(several[0].finished)}, "
        f"so nothing is known of chance; if the trainer has another key for it, {' or '.join(keys)} names that; else the "
        "trainer does not use it, or draws nothing at random"
    )


def _are_enough(points: Sequence[Point]) -> bool:
    """Tells whether these points with several seeds say something of the seeds."""
    return len(points) >= POINTS or any(len(point.finished) >= ALONE for point in points)


def _ended_alike(point: Point, metrics: Sequence[str]) -> bool:
    """Tells whether all seeds of a point have the same values of the objectives; those that measure time do not count."""
    compared = [name for name in metrics if not is_of_the_run(name)]
    ends = [[_value(record, name, metrics) for name in compared] for record in point.finished]
    return all(repr(end) == repr(ends[0]) for end in ends) and all(finite_number(value) for value in ends[0])


def _value(record: TrialRecord, name: str, metrics: Sequence[str]) -> Any:
    """Returns an objective of a trial."""
    return record.value if len(metrics) == 1 else (record.values or {}).get(name)


def _tells(logged: Sequence[Sequence[Mapping[str, Sequence[Any]]]]) -> bool:
    """Tells whether something that was logged changes in the course of a trial or between points, or is no whole number."""
    numbers: dict[str, set[float]] = {}
    for rows in logged:
        for name, values in rows[0].items():
            if name not in _PLACES:
                numbers.setdefault(name, set()).update(float(value) for value in values if finite_number(value))
    return any(len(found) > 1 or any(not value.is_integer() for value in found) for found in numbers.values())


def _given(records: Sequence[TrialRecord]) -> str:
    """Says which seeds the trainer was given and how: ` (SOLVER.SEED 1, 2, 3) `; the seeds alone where no command is known."""
    seeds = [str(record.seed) for record in records]
    shown = ", ".join(seeds[:NAMED]) + (", …" if len(seeds) > NAMED else "")
    given = [[*record.command, *record.given.get(OVERRIDES, [])] for record in records]
    if len({len(words) for words in given}) != 1:
        return f" ({shown})"
    for place, words in enumerate(zip(*given, strict=True)):
        names = {word.removesuffix(f"={seed}") for word, seed in zip(words, seeds, strict=True)}
        if list(words) == seeds and place:
            return f" ({given[0][place - 1]} {shown})"
        if len(names) == 1 and not names & set(words):
            return f" ({names.pop()}={shown})"
    return f" ({shown})"
