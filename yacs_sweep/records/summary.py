"""Writes ``summary.json``: every trial of a sweep, wherever it runs, and the best of them."""

from __future__ import annotations

import contextlib
import os
import time
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from ..base.files import read_json, write_atomically
from ..base.locks import exclusive
from ..base.values import to_json
from ..spec.sweep import SweepSpec
from .folder import STATES, SweepPaths, TrialRecord, best_of, rank
from .front import front_of_points, front_of_trials
from .known_sweeps import origin_of
from .points import Point, group_points, point_of_seeds
from .progress import Tally, count_retried, count_settled
from .standings import best_by

if TYPE_CHECKING:
    from .control.orders import OrderLog

WRITE_AT_ONCE = 100  # trials up to which summary.json is written whenever one starts or ends
WRITE_SHARE = 20  # with more trials, the pause between two writes, in times that the last one took
_DESCRIBED = ("metrics", "metric_constraints", "repeats")  # keys of the sweep that it has only where they are used
_OF_POINT = ("point", "n", "mean", "sd", "values")  # what the best trial's entry says of its point
SUMMARY_WAIT = 2.0  # seconds to wait for another launcher that writes summary.json


class _Records(dict[str, TrialRecord]):
    """Trials by id, with the ids set since the last look, so that only their rows are formatted again."""

    def __init__(self) -> None:
        super().__init__()
        self.unseen: set[str] = set()

    def __setitem__(self, key: str, record: TrialRecord) -> None:
        super().__setitem__(key, record)
        self.unseen.add(key)


class OtherTrials(Protocol):
    """Reads trials that are not in this folder: those of other machines."""

    @property
    def orders(self) -> OrderLog:
        """The sweep's orders where its machines share a database; no call waits for it."""

    def take_changed(self) -> list[TrialRecord]:
        """Returns the trials that have started or ended since the last call."""

    def has_changed(self) -> bool:
        """Tells whether `take_changed` would return any."""

    def read_last(self) -> bool:
        """Reads once more, for a bounded time; False when there was no answer."""


class Summary:
    """Collects the records of a sweep's trials and rewrites summary.json.

    With thousands of trials a rewrite takes a while, so rewrites take a twentieth of the time at most: one soon after
    another is put off. The supervisor calls `write_if_due` now and then, and `write(final=True)` at the end.
    """

    def __init__(
        self,
        paths: SweepPaths,
        *,
        name: str,
        controller: str,
        method: str,
        metric: str,
        goal: str,
        target: float | None = None,
        retry: Sequence[str] = (),
        spec: SweepSpec | None = None,
    ) -> None:
        """Starts without trials.

        Args:
            metric, goal, target: of the sweep's first objective.
            retry: ids of the trials whose points are to be tried again.
            spec: of a sweep that may have several objectives, constraints or repeats.
        """
        self.paths, self.retry = paths, retry
        self._head = {"sweep_id": paths.sweep_id, "name": name, "controller": controller, "method": method}
        self._metric = {"name": metric, "goal": goal, **({} if target is None else {"target": target})}
        self.objectives = spec.objectives if spec is not None and spec.more_metrics else ()  # where there are several
        self._constraints = spec.constraints if spec is not None else ()
        self._described = {key: spec.to_dict().get(key) for key in _DESCRIBED} if spec is not None else {}
        self._aims = spec
        self.repeats = spec.repeats if spec is not None else None
        self._seed = spec.several_values if spec is not None and origin_of(paths.sweep_id) else None  # of --train-best
        self._enough = spec.seeds_enough if spec is not None else 1
        self._members: dict[str, dict[str, TrialRecord]] = {}  # trials by id, by the name of their point
        self._points: dict[str, Point] = {}  # by name; of a sweep with repeats
        self._front: list[TrialRecord] = []
        self.records = _Records()
        for record in paths.records():
            self.records[record.id] = record
        self.own: set[str] = set()  # ids of this launcher's trials; their agents report them
        self.others: OtherTrials | None = None  # trials of machines with another folder
        self._rows: dict[str, str] = {}  # lines of summary.json, by id
        self._best: TrialRecord | None = None
        self._pending = False
        self._next_write = 0.0  # monotonic seconds

    @property
    def path(self) -> Path:
        """The path of summary.json."""
        return self.paths.summary

    @property
    def goal(self) -> str:
        """The metric's goal: minimize or maximize."""
        return str(self._metric["goal"])

    @property
    def settled(self) -> int:
        """Returns the number of points that have been evaluated."""
        return count_settled(self.records.values(), self.retry)

    def counts(self) -> dict[str, int]:
        """Counts the trials by state, without states that no trial has."""
        counted = Counter(record.state for record in self.records.values())
        return {state: counted[state] for state in STATES if counted[state]}

    def retried(self) -> dict[str, int]:
        """Counts the trials that were tried again, by state; `counts` has them too."""
        return count_retried(self.records.values())

    def tally(self, *, owed: bool = True) -> Tally:
        """Counts each point by its last trial; `owed`: also those that are yet to be tried again."""
        return Tally.of(self.records.values(), () if owed else self.retry)

    def best(self) -> TrialRecord | None:
        """Returns the best finished trial; with repeats the one that is nearest to the mean of the best point.

        Of the seeds with which `--train-best` trains one configuration none is the best: the one nearest to their mean stands
        for them.
        """
        self._look()
        if self.repeats is not None:
            point = self.best_point()
            return None if point is None else point.typical
        typical = point.typical if (point := self.seeds_point()) is not None else None
        return self._best if typical is None else self.records[typical.id]

    def points(self) -> list[Point]:
        """Returns the points of a sweep with repeats, by number; without repeats none."""
        self._look()
        return sorted(self._points.values(), key=lambda point: point.number)

    def point_of(self, record: TrialRecord) -> Point:
        """Returns the point that a trial belongs to; without repeats the trial alone."""
        self._look()
        return self._points.get(record.point or "") or group_points([record])[0]

    def best_point(self) -> Point | None:
        """Returns the point with the best mean of those that were trained with enough seeds; None without repeats."""
        return best_by(self._aims, self.points()) if self._aims is not None and self.repeats is not None else None

    def seeds_point(self) -> Point | None:
        """Returns the seeds with which `--train-best` trains one configuration, as a point; None for another sweep."""
        return None if self._seed is None else point_of_seeds(self.records.values(), self._seed)

    def front(self) -> list[TrialRecord]:
        """Returns the trials on the front of several objectives, best in the first one first.

        With repeats it is the front of the points' means, and each stands for its point (`Point.typical`).
        """
        self._look()
        if self.repeats is None or not self.objectives:
            return self._front
        points = front_of_points(self.points(), self.objectives, self._constraints, enough=self._enough)
        return [typical for point in points if (typical := point.typical) is not None]

    def _look(self) -> None:
        """Formats the rows of changed trials, and compares them with the best."""
        unseen, self.records.unseen = self.records.unseen, set()
        changed = [self.records[key] for key in unseen]
        self._rows.update((record.id, to_json(record.row())) for record in changed)
        if self.repeats is not None:
            self._group(changed)
            return
        if self._best is not None and self._best.id in unseen:
            self._best = best_of(self.records.values(), self.goal)
        elif changed:
            self._best = best_of([*([self._best] if self._best else []), *changed], self.goal)
        if self.objectives and changed:
            again = any(record.id in unseen for record in self._front)
            among = self.records.values() if again else [*self._front, *changed]
            self._front = front_of_trials(among, self.objectives)

    def _group(self, changed: Iterable[TrialRecord]) -> None:
        """Updates the points of changed trials."""
        touched = set()
        for record in changed:
            name = record.point or record.name
            self._members.setdefault(name, {})[record.id] = record
            touched.add(name)
        for name in touched:
            self._points.update((point.name, point) for point in group_points(self._members[name].values()))

    def ranked(self) -> list[TrialRecord]:
        """Returns all trials, best first."""
        return rank(self.records.values(), self.goal)

    def read_others(self) -> None:
        """Reads the trials of other launchers that work on the same sweep."""
        for found in self.others.take_changed() if self.others else ():
            old = self.records.get(found.id)
            if old is None or _is_newer(found, old):
                if old is not None:  # a database has neither
                    found = replace(found, last_lines=old.last_lines, command=old.command)
                self.records[found.id] = found
        known = {record.name: record for record in self.records.values()}
        with os.scandir(self.paths.dir) as entries:
            names = [entry.name for entry in entries]
        for name in names:
            record = known.get(name)
            paused = record is not None and record.state == "paused"  # another launch may resume it
            may_change = record is None or paused or (record.state == "running" and record.id not in self.own)
            if may_change and (read := self.paths.record(name)) is not None and read != record:
                self.records[read.id] = read
                if paused and read.state == "running":
                    self.own.discard(read.id)

    def result(self) -> dict[str, Any]:
        """Returns the metric and the best trial, as summary.json has them."""
        best, point = self.best(), self.best_point() if self.repeats is not None else self.seeds_point()
        found: dict[str, Any] | None = None
        if best is not None:
            found = {key: getattr(best, key) for key in ("name", "value", "params", "dir", "host")}
            if best.values is not None:
                found["values"] = best.values
            if point is not None:
                found.update({key: value for key, value in point.row().items() if key in self._of_point()})
        return {"metric": self._metric, "best": found}

    def _of_point(self) -> tuple[str, ...]:
        """Returns the keys of its point that the best trial's entry has; seeds of `--train-best` are a point without a name."""
        return _OF_POINT if self.repeats is not None else _OF_POINT[1:]

    def content(self) -> str:
        """Formats the file's text, a trial on each line."""
        result = self.result()
        counts = {"counts": self.counts(), "retried": self.retried(), "settled": self.settled}
        several = {key: value for key, value in self._described.items() if value is not None}
        front = {"pareto": self.front_names()} if self.objectives else {}
        head = {**self._head, "metric": result["metric"], **several, **counts, "best": result["best"], **front}
        ordered = sorted(self.records.values(), key=lambda record: (record.number, record.started))
        rows = ",\n  ".join(self._rows[record.id] for record in ordered)
        text = to_json(head, indent=1)[:-2] + f',\n "trials": [\n  {rows}\n ]'
        if self.repeats is not None:  # after the trials: the part before them is read alone, and is to be short
            points = ",\n  ".join(to_json(point.row()) for point in self.points())
            text += f',\n "points": [\n  {points}\n ]'
        return f"{text}\n}}\n"

    def front_names(self) -> list[str]:
        """Names what is on the front: trials, or with repeats points."""
        return [record.point or record.name for record in self.front()]

    def write(self, *, final: bool = False) -> None:
        """Rewrites the file, at once or a little later; `final`: at once."""
        self._pending = True
        if final:
            self._next_write = 0.0
        self.write_if_due()

    def write_if_due(self) -> None:
        """Rewrites the file if a rewrite was put off and its time has come."""
        self._pending |= self.others is not None and self.others.has_changed()
        if not self._pending or time.monotonic() < self._next_write:
            return
        started = time.monotonic()
        self.paths.agents.mkdir(parents=True, exist_ok=True)
        # Locked from reading to writing, so that of two launchers the last to write has seen what the other did.
        with exclusive(self.paths.agents / "summary.lock", SUMMARY_WAIT):
            self.read_others()
            write_atomically(self.paths.summary, self.content(), durable=False)
        now = time.monotonic()
        pause = WRITE_SHARE * (now - started) if len(self.records) > WRITE_AT_ONCE else 0.0
        self._pending, self._next_write = False, now + pause


def _is_newer(found: TrialRecord, old: TrialRecord) -> bool:
    """Tells whether what is read of a trial is newer than what is known: the trial has ended, paused or been resumed."""
    if old.state == "paused":
        return found.attempts > old.attempts or (found.state != "running" and found.attempts == old.attempts)
    return old.state == "running" or found.state != "running"


def known_records(paths: SweepPaths) -> list[TrialRecord]:
    """Reads a sweep's trials: those with a folder here from trial.json, those of other machines from summary.json."""
    found: dict[str, TrialRecord] = {}
    with contextlib.suppress(ValueError, TypeError, KeyError):
        found = {row["id"]: TrialRecord.from_row(row) for row in read_json(paths.summary)["trials"]}
    return list({**found, **{record.id: record for record in paths.records()}}.values())
