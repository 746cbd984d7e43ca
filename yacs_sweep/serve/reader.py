"""Follows a sweep's folder while the sweep runs: asks for sizes and times first, and reads only what has grown or changed."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from yaml import YAMLError

from ..base.errors import SweepError
from ..base.values import finite_number, to_json
from ..records.alive import launchers
from ..records.control.order_file import OrderFile
from ..records.control.orders import Entry
from ..records.control.words import order_text, orders_given
from ..records.folder import OVER, SweepPaths, TrialRecord
from ..records.launch_file import load_spec_of, read_launch
from ..records.metrics import new_rows
from ..search.storage.url import shared
from ..show.query.as_json import sweep_object
from ..show.report.data import META
from ..show.snapshot import Snapshot, read_snapshot
from ..show.status import exit_status
from .points import PointRows

PERIOD = 0.4  # seconds between two polls: a row is on the page within a second after it was printed
ALIVE_PERIOD = 1.0  # seconds between two looks at who works on the sweep
OTHERS_PERIOD = 10.0  # and at what other machines have done, which only summary.json tells here
REST_PERIOD = 3.0  # and at trials that are paused or were cut, any of which another launch may resume
QUIET = 10.0  # seconds without anybody at work after which a sweep is over
ROW_BYTES = 48_000  # of rows in one poll, at most: with `PERIOD` 120 kB/s
ROWS = 80  # of one trial in one poll, at most, evenly thinned

Seen = tuple[int, int, int]  # of a file: inode, size, time of its last change


class SweepReader:
    """`Source` of the page of one sweep."""

    def __init__(self, paths: SweepPaths) -> None:
        self.paths = paths
        self._records: dict[str, TrialRecord] = {}
        self._seen: dict[str, Seen | None] = {}  # by a trial's name, of its trial.json
        self._files: dict[str, Seen | None] = {}  # of the sweep's own files
        self._places: dict[str, int] = {}  # by a trial's name, how much of its metrics.jsonl has been read, in bytes
        self._last: dict[
            str, dict[str, dict[str, Any]]
        ] = {}  # by a trial's name and metric, its last value with its epoch
        self._orders = OrderFile(paths)
        self._entries: list[Entry] = []
        self._snapshot: Snapshot | None = None
        self._state: dict[str, Any] = {}
        self._points: PointRows | None = None  # of a sweep with repeats
        self._alive_at = self._rest_at = self._others_at = self._quiet_since = 0.0
        self._over = False

    @property
    def over(self) -> bool:
        """Whether nobody has worked on the sweep for a while."""
        return self._over

    def poll(self) -> dict[str, Any] | None:
        """Returns what has changed: `state`, `trials`, `rows` (new ones by trial, thinned), `orders`; None: nothing.

        With repeats also `points`, whose trials have changed.
        """
        now = time.monotonic()
        if self._snapshot is None:
            self._begin(now)
            return self.whole()
        changed = self._changed_trials(now)
        orders = self._orders.read()
        self._entries += orders
        found: dict[str, Any] = {}
        if changed:
            found["trials"] = [trial_object(record) for record in changed]
        if orders:
            found["orders"] = order_objects(self._entries)
        if rows := self._rows(changed):
            found["rows"] = rows
        if self._points is not None:
            with contextlib.suppress(SweepError):  # sweep.yaml cannot be read for a moment
                if points := self._points.poll(self.records(), [record.name for record in changed]):
                    found["points"] = points
        alive = self._look_who_lives(now)
        if changed or orders or alive or self._file_changed("launch.json"):
            state = self._describe()
            if state != self._state:
                found["state"] = self._state = state
        return found or None

    def whole(self) -> dict[str, Any]:
        """Returns the state, the trials that run, with the last value of each metric, and all orders."""
        if self._snapshot is None:
            self.poll()
        running = [record for record in list(self._records.values()) if record.state == "running"]
        return {
            "state": self._state,
            "trials": [trial_object(record) for record in running],
            "rows": {record.name: last for record in running if (last := self._last_rows(record.name))},
            "orders": order_objects(list(self._entries)),
        }

    def records(self) -> list[TrialRecord]:
        """Lists the trials as they were at the last poll, in the order of their numbers."""
        return sorted(self._records.values(), key=lambda record: (record.number, record.started))

    # -- what is read ---------------------------------------------------------------------------------------------------
    def _begin(self, now: float) -> None:
        """Reads everything once."""
        for name in ("summary.json", "launch.json", ""):
            self._file_changed(name)
        self._snapshot = read_snapshot(self.paths)
        self._records = {record.name: record for record in self._snapshot.records}
        for name, record in self._records.items():
            if record.state not in OVER:
                self._seen[name] = _seen(self.paths.trial(name).record)
                self._read_rows(record)
        with contextlib.suppress(OSError, SweepError, YAMLError):  # the page says what is wrong with it
            if load_spec_of(self.paths).repeats is not None:
                self._points = PointRows(self.paths)
                self._points.begin(self.records())
        self._entries = self._orders.read()
        self._alive_at = self._rest_at = self._others_at = now
        self._quiet_since = now
        self._state = self._describe()

    def _changed_trials(self, now: float) -> list[TrialRecord]:
        """Reads the records that have changed, or are new."""
        names = {name for name, record in self._records.items() if record.state == "running"}
        if now - self._rest_at >= REST_PERIOD:
            self._rest_at = now
            names |= {name for name, record in self._records.items() if record.state not in OVER}
        if self._file_changed(""):
            with os.scandir(self.paths.dir) as entries:
                names |= {entry.name for entry in entries if not entry.name.startswith(".")} - set(self._records)
        changed = [record for name in sorted(names) if (record := self._read_record(name)) is not None]
        if now - self._others_at >= OTHERS_PERIOD and self._has_others() and self._file_changed("summary.json"):
            self._others_at = now
            for record in read_snapshot(self.paths).records:
                if self._records.get(record.name) != record and record not in changed:
                    self._records[record.name] = record
                    changed.append(record)
        return changed

    def _read_record(self, name: str) -> TrialRecord | None:
        """Reads a trial's record; None where it is as it was, or there is none."""
        seen = _seen(self.paths.trial(name).record)
        if seen is None or seen == self._seen.get(name):
            return None
        record = self.paths.record(name)
        if record is None or record == self._records.get(name):
            return None
        self._seen[name] = seen
        self._records[name] = record
        return record

    def _has_others(self) -> bool:
        """Whether trials of the sweep may run on machines that do not share its folder."""
        launch = self._snapshot.launch if self._snapshot is not None else {}
        return launch.get("controller") == "wandb" or shared(launch.get("storage"))

    def _rows(self, changed: Iterable[TrialRecord]) -> dict[str, list[dict[str, Any]]]:
        """Reads the new rows of the trials that run, and of those that have just ended."""
        wanted = {record.name: record for record in changed}
        wanted |= {record.name: record for record in self._records.values() if record.state == "running"}
        found = {name: rows for name, record in wanted.items() if (rows := self._read_rows(record))}
        return fit_rows(found)

    def _read_rows(self, record: TrialRecord) -> list[dict[str, Any]]:
        """Reads the rows that a trial has gained."""
        path, place = self.paths.trial(record.name).metrics, self._places.get(record.name, 0)
        seen = _seen(path)
        if seen is None or seen[1] == place:
            return []
        rows, self._places[record.name] = new_rows(path, place)
        rows = [numbers_of(row) for row in rows]
        last = self._last.setdefault(record.name, {})
        for row in rows:
            logged_at = {key: row[key] for key in META if key in row}
            for key in row:
                last.pop(key, None)  # so that the latest one is the last
                last[key] = {**logged_at, key: row[key]}
        return [row for row in rows if row]

    def _last_rows(self, name: str) -> list[dict[str, Any]]:
        """Returns the last value of each metric of a trial, in rows with the step and epoch that it was logged at."""
        rows: dict[tuple[Any, ...], dict[str, Any]] = {}
        for part in list(self._last.get(name, {}).values()):
            rows.setdefault(tuple(part.get(key) for key in META), {}).update(part)
        return list(rows.values())

    def _look_who_lives(self, now: float) -> bool:
        """Looks who works on the sweep; returns whether that has changed."""
        assert self._snapshot is not None
        if now - self._alive_at < ALIVE_PERIOD:
            return False
        self._alive_at = now
        found = launchers(self.paths)
        if found:
            self._quiet_since = now
        self._over = not found and now - self._quiet_since > QUIET
        changed = found != self._snapshot.launchers
        self._snapshot = replace(self._snapshot, launchers=found, agents=0)
        return changed

    def _describe(self) -> dict[str, Any]:
        """Describes the sweep as `--status --json` does, and what its page needs on top."""
        assert self._snapshot is not None
        self._snapshot = replace(self._snapshot, records=self.records(), launch=read_launch(self.paths))
        found = sweep_object(self._snapshot, exit_status(self._snapshot))
        found["workers"] = sum(launcher.workers for launcher in self._snapshot.launchers)
        return found

    def _file_changed(self, name: str) -> bool:
        """Whether a file of the sweep's folder, or the folder itself, is not as it was at the last call."""
        seen = _seen(self.paths.dir / name)
        changed = seen != self._files.get(name)
        self._files[name] = seen
        return changed


def _seen(path: os.PathLike[str]) -> Seen | None:
    """Returns a file's inode, size and time of its last change; None: there is no file."""
    try:
        found = os.stat(path)
    except OSError:
        return None
    return found.st_ino, found.st_size, found.st_mtime_ns


def trial_object(record: TrialRecord) -> dict[str, Any]:
    """Describes a trial for the page."""
    return {
        "name": record.name,
        "number": record.number,
        "state": record.state,
        "cause": record.cause,
        "reason": record.reason,
        "params": record.params,
        "value": record.value,
        "values": record.values,
        "started": record.started,
        "ended": record.ended,
        "seconds": record.seconds,
        "point": record.point,
        "seed": record.seed,
        "parent": record.parent_trial,
        "until": record.until,
        "retry_of": record.retry_of,
        "violated": record.violated,
        "attempts": record.attempts,
        "exit_code": record.exit_code,
        "begun_at": record.begun_at,
        "replaces": record.replaces,
        "host": record.host,
        "gpus": record.gpu_ids,
    }


def order_objects(entries: Sequence[Entry]) -> list[dict[str, Any]]:
    """Describes the last orders, and what launches have answered."""
    return [
        {
            "at": each.order.at,
            "who": each.order.who,
            "text": order_text(each.order),
            "answers": [{"text": answer.text, "host": answer.host, "pid": answer.pid} for answer in each.answers],
        }
        for each in orders_given(entries)[-20:]
    ]


def numbers_of(row: Mapping[str, Any]) -> dict[str, Any]:
    """Picks the numbers of a row; what else a trainer logs is not drawn."""
    return {name: value for name, value in row.items() if finite_number(value) or isinstance(value, float)}


def fit_rows(rows: Mapping[str, list[dict[str, Any]]]) -> dict[str, list[dict[str, Any]]]:
    """Thins the new rows of each trial evenly, so that all together stay below `ROW_BYTES`; the last one stays."""
    most = ROWS
    while True:
        found = {name: _thin(each, most) for name, each in rows.items()}
        if most == 1 or len(to_json(found)) <= ROW_BYTES:
            return found
        most = max(1, most // 2)


def _thin(rows: list[dict[str, Any]], most: int) -> list[dict[str, Any]]:
    """Picks at most so many rows, evenly, with the last one. What the rows left out have alone goes to the next one kept."""
    if len(rows) <= most:
        return rows
    found, place = [], 0
    for number in range(most):
        end = round((number + 1) * len(rows) / most)
        merged: dict[str, Any] = {}
        for row in rows[place:end]:
            merged |= row
        found.append(merged)
        place = end
    return found
