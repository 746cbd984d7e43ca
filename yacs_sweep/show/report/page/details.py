"""Collects what a trial's own page shows beside the table's columns: command, output, code, machine, files, related trials."""

from __future__ import annotations

import contextlib
import json
import os
import zlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from ....base.files import open_regular
from ....base.values import finite_number
from ....records.environment import UNCOMMITTED, read_defaults
from ....records.folder import LAUNCHER_FILES, TrialRecord
from ....trainers.profile import TrainerProfile
from ....trainers.ways.start import ENV, OVERRIDES
from ...cells import clean, output_lines
from ...lines import command_text
from ..data import Sweep, Trial, text_of
from ..findings import Findings
from ..repeat import train_again, trainer_of

PACKED = 1_500_000  # bytes of all details together, compressed: what keeps a page of 1,000 trials below 8 MB
MOST = 2000  # trials with details: what is read of more takes too long
LINES, WIDEST = 40, 400  # lines of a log's tail, and characters of a line
TAIL = 1 << 13  # bytes of a log that are read for it
FILES = 12  # files of a trial's folder that are named
DIFF = 40_000  # characters of the uncommitted changes
BEST = 20  # trials whose tails come first


def details(findings: Findings, most: int = PACKED) -> dict[str, dict[str, Any]]:
    """Collects the details of the trials that fit, the tails of logs last; the most interesting trials come first.

    Args:
        most: bytes of all details together, compressed.

    Returns:
        By the trial's name what `detail` has of it; `log` is missing where it does not fit, and trials of which nothing fits.
    """
    whole = findings.whole
    ordered = _by_interest(findings)[:MOST]
    own_of, room = _reader(whole), _Room(most)
    found: dict[str, dict[str, Any]] = {}
    for trial in ordered:
        own = own_of(trial)
        if not room.takes(own):
            break
        found[trial.record.name] = own
    for trial in ordered:
        if trial.record.name not in found:
            break
        lines, whole_log = _tail(whole, trial.record)
        if not room.takes(lines):
            break
        found[trial.record.name] |= {"log": lines, "cut": not whole_log}
    return found


def details_of(sweep: Sweep, trial: Trial) -> dict[str, Any]:
    """Collects the details of one trial, as `details` does of many.

    Args:
        sweep: with every trial, whose curves are not needed.
        trial: with its curves.
    """
    lines, whole_log = _tail(sweep, trial.record)
    return {**_reader(sweep)(trial), "log": lines, "cut": not whole_log}


def _reader(whole: Sweep) -> Callable[[Trial], dict[str, Any]]:
    """Returns the function that collects the details of a trial of this sweep, without the tail of its log."""
    profile, retried = trainer_of(whole), whole.retried
    earlier = {retried[record.id].id: record.name for record in whole.records if record.id in retried}
    folded = whole.spec is not None and whole.spec.repeats is not None

    def read(trial: Trial) -> dict[str, Any]:
        record = trial.record
        own = detail(whole, record, profile, later=retried.get(record.id), earlier=earlier.get(record.id), log=False)
        return {**own, "own": _of_seed(trial)} if folded else own

    return read


class _Room:
    """Measures how much of the page's size is left."""

    def __init__(self, most: int) -> None:
        self._left, self._packer = most, zlib.compressobj(6)

    def takes(self, content: Any) -> bool:
        """Tells whether the content still fits; it counts if so."""
        packed = self._packer.compress(json.dumps(content).encode()) + self._packer.flush(zlib.Z_SYNC_FLUSH)
        self._left -= len(packed)
        return self._left > 0


def _by_interest(findings: Findings) -> list[Trial]:
    """Sorts all trials: the best, those at work, those that failed, the others by their value."""
    names = [name for trial in findings.sweep.ranked() for name in _members(trial)]
    place = {name: number for number, name in enumerate(names)}

    def interest(trial: Trial) -> tuple[int, int]:
        """Returns what trials are sorted by."""
        rank, state = place.get(trial.record.name, len(place)), trial.record.state
        if rank < BEST:
            return 0, rank
        return 1 if state == "running" else 2 if state in ("failed", "lost", "killed") else 3, rank

    return sorted(findings.whole.trials, key=interest)


def _members(trial: Trial) -> list[str]:
    """Names the trials of a point; without repeats the trial."""
    return [record.name for record in trial.point.trials] if trial.point is not None else [trial.record.name]


def detail(
    sweep: Sweep,
    record: TrialRecord,
    profile: TrainerProfile | None = None,
    *,
    later: TrialRecord | None = None,
    earlier: str | None = None,
    log: bool = True,
) -> dict[str, Any]:
    """Collects the details of one trial.

    Args:
        sweep: with every trial, not with points.
        profile: the trial's trainer; None: unknown.
        later: the trial that tried its point again.
        earlier: the name of the trial whose point it tried again.
        log: whether the tail of its log is read.

    Returns:
        `command` as it was started, `again` (the line that trains it again), `commit`, `changed` files, `files` of its folder
        (name and bytes), `starts` (the step at which each further start of its trainer began), and `log` with `cut`.
        What a trial does not have is left out.
    """
    variables = record.given.get(ENV)
    again = train_again(sweep, record, profile) if sweep.folder else None
    found: dict[str, Any] = {
        "command": command_text(record.command),
        "again": again,
        "env": {str(key): str(text) for key, text in variables.items()} if isinstance(variables, dict) else None,
        "words": [str(word) for word in record.given.get(OVERRIDES, ())],
        "commit": record.git_commit,
        "changed": [clean(name) for name in record.changed],
        "resumed_with": command_text(record.resumed_with),
        "starts": record.starts,
        "later": later.name if later is not None else None,
        "earlier": earlier,
        "pid": record.pid if record.state == "running" else None,
        "dir": record.dir,
        **_files(sweep, record),
    }
    found = {name: item for name, item in found.items() if item not in (None, "", [], {})}
    if log:
        lines, whole = _tail(sweep, record)
        found |= {"log": lines, "cut": not whole}
    return found


def _of_seed(trial: Trial) -> dict[str, Any]:
    """Collects the fields of a trial that has no row of its own, since the table's rows are points."""
    record = trial.record
    value = record.value if finite_number(record.value) else None if record.value is None else text_of(record.value)
    last = {name: curve.y[-1] for name, curve in trial.curves.items() if curve.y and finite_number(curve.y[-1])}
    found = {
        "state": record.state,
        "reason": record.reason,
        "value": value,
        "values": last,
        "seed": record.seed,
        "point": record.point,
        "duration": trial.seconds,
        "started": record.started,
        "ended": record.ended,
        "host": record.host,
        "gpus": ",".join(record.gpu_ids),
    }
    return {name: item for name, item in found.items() if item not in (None, "", {})}


def _files(sweep: Sweep, record: TrialRecord) -> dict[str, Any]:
    """Lists the files that a trial has left in its folder, the largest first."""
    if not sweep.folder:
        return {}
    found: list[tuple[str, int]] = []
    with contextlib.suppress(OSError), os.scandir(Path(sweep.folder) / record.name) as entries:
        for entry in entries:
            if entry.name not in LAUNCHER_FILES and not entry.name.startswith("."):
                size = entry.stat(follow_symlinks=False).st_size if entry.is_file(follow_symlinks=False) else -1
                found.append((clean(entry.name), size))
    found.sort(key=lambda pair: (-pair[1], pair[0]))
    return {"files": found[:FILES], "more_files": max(0, len(found) - FILES) or None}


def _tail(sweep: Sweep, record: TrialRecord) -> tuple[list[str], bool]:
    """Reads the last lines that a trial's trainer printed, and tells whether these are all of them."""
    if sweep.folder:
        with contextlib.suppress(OSError), open_regular(Path(sweep.folder) / record.name / "stdout.log") as file:
            size = file.seek(0, 2)
            file.seek(max(0, size - TAIL))
            lines = output_lines(file.read())
            if size > TAIL:
                lines = lines[1:]  # its beginning is not known
            while lines and not lines[-1]:
                lines.pop()
            return _shown(lines[-LINES:]), size <= TAIL and len(lines) <= LINES
    return _shown([clean(line) for line in record.last_lines]), False


def _shown(lines: Iterable[str]) -> list[str]:
    """Cuts lines that are very long."""
    return [line if len(line) <= WIDEST else line[: WIDEST - 1] + "…" for line in lines]


# -- what all trials of a sweep share ---------------------------------------------------------------------------------
def background(sweep: Sweep, found: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """Collects what the pages of all trials share: the trainer's defaults, packages and machine, uncommitted changes.

    Args:
        found: the details that the page has, to say how many these are.
    """
    rows: dict[str, str] = {}
    for key, item in sweep.environment.items():
        if isinstance(item, Mapping):
            rows |= {clean(str(name)): clean(text_of(version)) for name, version in item.items()}
        else:
            rows[clean(str(key))] = clean(text_of(item))
    folder = Path(sweep.folder) if sweep.folder else None
    diff, cut = _uncommitted(folder)
    return {
        "defaults": read_defaults(folder) if folder is not None else {},
        "environment": rows,
        "diff": diff,
        "diff_cut": cut,
        "with_details": len(found),
        "with_log": sum("log" in item for item in found.values()),
        "total": len(sweep.trials),
    }


def _uncommitted(folder: Path | None) -> tuple[str, bool]:
    """Reads the changes that were not committed when the sweep began, and tells whether more of them are left out."""
    if folder is None:
        return "", False
    with contextlib.suppress(OSError), open_regular(folder / "inputs" / UNCOMMITTED) as file:
        text = "\n".join(_lines_of(file.read(DIFF + 1)))
        return text[:DIFF], len(text) > DIFF or bool(file.read(1))
    return "", False


def _lines_of(data: bytes) -> Sequence[str]:
    """Splits a patch into clean lines; their blanks stay."""
    return [clean(line.expandtabs(4)) for line in data.decode(errors="replace").split("\n")]
