"""Writes ``summary.json``: every trial of a sweep, wherever it runs, and the best of them."""

from __future__ import annotations

import contextlib
import os
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Protocol

from ..base.files import read_json, write_atomically
from ..base.locks import exclusive
from ..base.values import to_json
from .folder import STATES, SweepPaths, TrialRecord, best_of, rank
from .progress import Tally, count_retried, count_settled

WRITE_AT_ONCE = 100  # trials up to which summary.json is written whenever one starts or ends
WRITE_SHARE = 20  # with more trials, the pause between two writes, in times that the last one took
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
    ) -> None:
        """Starts without trials.

        Args:
            metric, goal, target: of the sweep's objective.
            retry: ids of the trials whose points are to be tried again.
        """
        self.paths, self.retry = paths, retry
        self._head = {"sweep_id": paths.sweep_id, "name": name, "controller": controller, "method": method}
        self._metric = {"name": metric, "goal": goal, **({} if target is None else {"target": target})}
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
        """Returns the best finished trial."""
        self._look()
        return self._best

    def _look(self) -> None:
        """Formats the rows of changed trials, and compares them with the best."""
        unseen, self.records.unseen = self.records.unseen, set()
        changed = [self.records[key] for key in unseen]
        self._rows.update((record.id, to_json(record.row())) for record in changed)
        if self._best is not None and self._best.id in unseen:
            self._best = best_of(self.records.values(), self.goal)
        elif changed:
            self._best = best_of([*([self._best] if self._best else []), *changed], self.goal)

    def ranked(self) -> list[TrialRecord]:
        """Returns all trials, best first."""
        return rank(self.records.values(), self.goal)

    def read_others(self) -> None:
        """Reads the trials of other launchers that work on the same sweep."""
        for found in self.others.take_changed() if self.others else ():
            old = self.records.get(found.id)
            if old is None or old.state == "running" or found.state != "running":
                if old is not None:  # a database has neither
                    found = replace(found, last_lines=old.last_lines, command=old.command)
                self.records[found.id] = found
        known = {record.name: record for record in self.records.values()}
        with os.scandir(self.paths.dir) as entries:
            names = [entry.name for entry in entries]
        for name in names:
            record = known.get(name)
            may_change = record is None or (record.state == "running" and record.id not in self.own)
            if may_change and (read := self.paths.record(name)) is not None:
                self.records[read.id] = read

    def result(self) -> dict[str, Any]:
        """Returns the metric and the best trial, as summary.json has them."""
        best = self.best()
        keys = ("name", "value", "params", "dir", "host")
        return {"metric": self._metric, "best": best and {key: getattr(best, key) for key in keys}}

    def content(self) -> str:
        """Formats the file's text, a trial on each line."""
        result = self.result()
        counts = {"counts": self.counts(), "retried": self.retried(), "settled": self.settled}
        head = {**self._head, "metric": result["metric"], **counts, "best": result["best"]}
        ordered = sorted(self.records.values(), key=lambda record: (record.number, record.started))
        rows = ",\n  ".join(self._rows[record.id] for record in ordered)
        return to_json(head, indent=1)[:-2] + f',\n "trials": [\n  {rows}\n ]\n}}\n'

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


def known_records(paths: SweepPaths) -> list[TrialRecord]:
    """Reads a sweep's trials: those with a folder here from trial.json, those of other machines from summary.json."""
    found: dict[str, TrialRecord] = {}
    with contextlib.suppress(ValueError, TypeError, KeyError):
        found = {row["id"]: TrialRecord.from_row(row) for row in read_json(paths.summary)["trials"]}
    return list({**found, **{record.id: record for record in paths.records()}}.values())
