"""A sweep as its folder shows it, for whoever looks from outside: quickly, also while it is being written.

The truth about a trial is its trial.json. With ten thousand of them reading each takes seconds, so summary.json, which
has them all in one file, is taken for those that have not changed since it was written: trial.json files younger than
it (by `SLACK`, as it is composed before it is written), those that it lacks, and those of trials that had not ended, are
read themselves.
"""

from __future__ import annotations

import contextlib
import json
import os
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from ..base.files import read_json
from .alive import Launcher, count_agents, launchers
from .folder import OVER, SweepPaths, TrialRecord

SLACK = 60.0  # seconds
HEAD = 1 << 16  # bytes of a summary.json in which all but its trials stands


@dataclass(frozen=True)
class Snapshot:
    """What is known."""

    paths: SweepPaths
    name: str
    method: str
    controller: str
    metric: str | None
    goal: str
    launch: dict[str, Any]  # launch.json
    records: list[TrialRecord]  # in order of their numbers
    launchers: list[Launcher]
    agents: int

    @property
    def counts(self) -> dict[str, int]:
        return dict(Counter(record.state for record in self.records))

    @property
    def settled(self) -> int:
        return sum(record.settled for record in self.records)

    @property
    def target(self) -> int:
        return max(int(self.launch.get("target") or 0), self.settled)

    @property
    def at_work(self) -> bool:
        return bool(self.launchers or self.agents)


def head_of(path: Path) -> dict[str, Any]:
    """All of a summary.json but its trials, which are most of it; empty where there is none."""
    try:
        with path.open("rb") as file:
            text = file.read(HEAD).decode("utf-8", "ignore")
        head, found, _ = text.partition(',\n "trials": [')
        content = json.loads(head + "}" if found else path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}


def _from_summary(paths: SweepPaths) -> tuple[dict[str, Any], dict[str, TrialRecord], float]:
    """What it says of the sweep, its trials by their folders' names, and when it was written (seconds)."""
    try:
        with paths.summary.open("rb") as file:
            written = os.fstat(file.fileno()).st_mtime
            content = json.load(file)
        return content, {row["name"]: TrialRecord.from_row(row) for row in content["trials"]}, written
    except (OSError, ValueError, KeyError, TypeError):
        return {}, {}, 0.0


def _records(paths: SweepPaths, known: dict[str, TrialRecord], written: float) -> list[TrialRecord]:
    found = dict(known)
    with os.scandir(paths.dir) as entries:
        names = [entry.name for entry in entries if not entry.name.startswith(".")]
    for name in names:
        record, path = known.get(name), f"{paths.dir}/{name}/trial.json"
        if record is not None and record.state in OVER:
            try:
                if os.stat(path).st_mtime < written - SLACK:
                    continue
            except OSError:  # of another machine: only the summary has it
                continue
        with contextlib.suppress(OSError, ValueError, TypeError):
            found[name] = TrialRecord.load(Path(path))
    return sorted(found.values(), key=lambda record: (record.number, record.started))


def look(paths: SweepPaths) -> Snapshot:
    """Reads the sweep's folder.

    Raises:
        OSError: it cannot be read.
    """
    content, known, written = _from_summary(paths)
    described = content or _described(paths)
    metric = described.get("metric") or {}
    return Snapshot(
        paths,
        str(described.get("name") or paths.sweep_id),
        str(described.get("method", "")),
        str(described.get("controller") or read_json(paths.launch).get("controller", "")),
        str(metric["name"]) if metric.get("name") else None,
        str(metric.get("goal") or "minimize"),
        read_json(paths.launch),
        _records(paths, known, written),
        launchers(paths),
        count_agents(paths),
    )


def _described(paths: SweepPaths) -> dict[str, Any]:
    """The sweep before its first summary.json."""
    try:
        content = yaml.safe_load(paths.spec.read_text(encoding="utf-8"))
    except (OSError, ValueError, yaml.YAMLError):
        return {}
    return content if isinstance(content, dict) else {}


def last_change(paths: SweepPaths) -> float:
    """When something was last written to the sweep (seconds), as far as that is told by few files."""
    times = [0.0]
    for path in (paths.summary, paths.launch, paths.journal):
        with contextlib.suppress(OSError):
            times.append(path.stat().st_mtime)
    return min(max(times), time.time())
