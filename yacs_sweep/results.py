"""What a sweep leaves on disk: ``trial.json``, ``metrics.jsonl``, ``stdout.log``, ``summary.json``, ``best.yml``.

``trial.json`` is the truth about a trial and is written by its agent alone; ``summary.json`` and ``best.yml`` are
derived from it and written by the supervisor alone. Files appear whole or not at all (`write_atomically`); the two that
grow (``metrics.jsonl``, ``stdout.log``) are appended line by line and need no closing.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import math
import os
import re
import shutil
import tempfile
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from .growing import GrowingFile
from .naming import NOT_FINITE, bounded

PART_AGE = 60.0  # seconds after which a half-written file belongs to nobody any more
LINK_FROM = 1 << 20  # bytes from which on a retried trial's files are linked, not copied
STATES = ("running", "finished", "stopped", "failed", "killed", "lost")
RESERVED = ("agents", "best", "wandb")  # folders of the sweep's own, beside its trials
ENDED_WELL = ("finished", "stopped")
OVER = ("finished", "stopped", "failed")  # ended by themselves: their trial.json does not change any more


def utc_now() -> str:
    """The time as trial.json has it: UTC, ISO 8601, milliseconds."""
    return datetime.now(timezone.utc).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def write_atomically(path: Path, text: str, *, durable: bool = True) -> None:
    """Replaces `path` by `text` in one step; `durable` also survives a power cut (fsync)."""
    descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".part")
    try:
        with open(descriptor, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            if durable:
                os.fsync(file.fileno())
        os.chmod(temporary, 0o644)
        os.replace(temporary, path)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(temporary)
        raise


def remove_parts(folder: Path) -> None:
    """Removes what writers that were killed half-way have left in `folder` and the folders in it."""
    for pattern in (".*.part", "*/.*.part"):
        for path in folder.glob(pattern):
            with contextlib.suppress(OSError):
                if time.time() - path.stat().st_mtime > PART_AGE:
                    path.unlink()


def append(descriptor: int, data: bytes) -> None:
    """Appends all of `data`, or nothing when the disk is full."""
    size = os.fstat(descriptor).st_size
    view = memoryview(data)
    try:
        while view:
            view = view[os.write(descriptor, view) :]
    except OSError:
        os.ftruncate(descriptor, size)
        raise


def to_json(value: Any, *, indent: int | None = None) -> str:
    """Strict JSON: nan and infinities, which JSON cannot hold, become the strings "NaN", "Infinity", "-Infinity"."""
    return json.dumps(_strict(value), indent=indent, ensure_ascii=False, allow_nan=False, default=str)


def _strict(value: Any) -> Any:
    if isinstance(value, float) and not math.isfinite(value):
        return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
    if isinstance(value, Mapping):
        return {str(key): _strict(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_strict(item) for item in value]
    return value


def number(value: Any) -> Any:
    """Undoes what `to_json` did to a non-finite number; what others wrote is bounded."""
    if isinstance(value, int):
        return bounded(value)
    return float(value) if value in NOT_FINITE else value


def folder_name(name: str, fallback: str) -> str:
    """`name` if it can be a folder of its own inside the sweep's; else a cleaned one that ends in `fallback`.

    Names come from a server other people can write to: no separators, no leading dot or dash, at most 80 characters.
    """
    clean = re.sub(r"[^A-Za-z0-9._-]+", "-", name).lstrip(".-")[:80]
    if clean == name and clean and clean not in RESERVED:
        return name
    tail = re.sub(r"[^A-Za-z0-9_-]+", "-", fallback).strip("-")[:40] or "trial"
    return f"{clean}-{tail}" if clean else tail


@dataclass(frozen=True)
class TrialPaths:
    """Every path of one trial."""

    dir: Path

    @property
    def record(self) -> Path:
        return self.dir / "trial.json"

    @property
    def metrics(self) -> Path:
        return self.dir / "metrics.jsonl"

    @property
    def stdout(self) -> Path:
        return self.dir / "stdout.log"


def inherit_files(old: TrialPaths, new: TrialPaths) -> None:
    """Gives a trial the files another one left, but for the launcher's own. Large ones as hard links where the file
    system has them: checkpoints are replaced rather than written to. What grows (log files) is copied."""
    ours = {old.record.name, old.metrics.name, old.stdout.name}
    for source in sorted(old.dir.rglob("*")):
        target = new.dir / source.relative_to(old.dir)
        if source.is_dir():
            target.mkdir(exist_ok=True)
        elif source.name not in ours and not source.name.startswith("."):
            try:
                if source.suffix in (".txt", ".log", ".json", ".jsonl") or source.stat().st_size < LINK_FROM:
                    raise OSError
                os.link(source, target)
            except OSError:
                shutil.copy2(source, target)


@dataclass(frozen=True)
class SweepPaths:
    """Every path of one sweep, below ``{base}/sweep/{sweep_id}``."""

    base: Path
    sweep_id: str

    @property
    def dir(self) -> Path:
        return self.base / "sweep" / self.sweep_id

    @property
    def spec(self) -> Path:
        return self.dir / "sweep.yaml"

    @property
    def launch(self) -> Path:
        """How the sweep was launched: what resuming by the id alone needs."""
        return self.dir / "launch.json"

    @property
    def summary(self) -> Path:
        return self.dir / "summary.json"

    @property
    def best(self) -> Path:
        return self.dir / "best.yml"

    @property
    def journal(self) -> Path:
        """The embedded storage."""
        return self.dir / "storage.journal"

    @property
    def agents(self) -> Path:
        """Lock files of the agents; a locked one belongs to an agent that lives."""
        return self.dir / "agents"

    def trial(self, name: str) -> TrialPaths:
        return TrialPaths(self.dir / name)

    def records(self) -> Iterator[TrialRecord]:
        """Every readable trial.json, in order of the trials' numbers."""
        found = [record for _, record in self.scan() if record is not None]
        return iter(sorted(found, key=lambda record: (record.number, record.started)))

    def scan(self) -> Iterator[tuple[Path, TrialRecord | None]]:
        """Every trial.json, and what is in it unless it is damaged."""
        for path in self.dir.glob("*/trial.json"):
            record = None
            with contextlib.suppress(OSError, ValueError, TypeError):
                record = TrialRecord.load(path)
            yield path, record


@dataclass
class TrialRecord:
    """The content of trial.json."""

    id: str
    name: str
    number: int
    params: dict[str, Any]
    state: str = "running"
    command: list[str] = field(default_factory=list)
    exit_code: int | None = None  # negative: the signal that ended it
    reason: str = ""  # why it ended, in words
    cause: str = ""  # the same as one term: finished, stopped, timeout, stalled, exit, signal, oom, cuda_oom, …
    started: str = ""
    ended: str | None = None
    value: float | None = None  # of the sweep's metric: its last or its best, as the sweep's `optimize` says
    rows: int = 0
    attempts: int = 1
    retry_of: str | None = None
    git_commit: str | None = None
    host: str = ""
    gpu_ids: list[str] = field(default_factory=list)
    pid: int | None = None
    agent: str = ""  # the lock file of the agent that owns it
    last_lines: list[str] = field(default_factory=list)
    dir: str = ""

    @property
    def settled(self) -> bool:
        """Whether its point has been evaluated; otherwise it is tried again when the sweep goes on."""
        return self.state in ("finished", "stopped", "failed") and self.cause not in ("disk_full", "gpu_fault")

    def lose(self, reason: str = "its agent died") -> None:
        """The trial is no longer its agent's."""
        self.state, self.cause, self.reason = "lost", "lost", reason
        self.ended, self.pid = utc_now(), None

    def save(self, paths: TrialPaths, *, durable: bool = True) -> None:
        """Writes trial.json; `durable` as `write_atomically` has it."""
        write_atomically(paths.record, to_json(self.row(), indent=2) + "\n", durable=durable)

    def row(self) -> dict[str, Any]:
        return dataclasses.asdict(self)

    @classmethod
    def from_row(cls, row: Mapping[str, Any]) -> TrialRecord:
        known = cls.__dataclass_fields__
        values = {key: value for key, value in row.items() if key in known}
        values["value"] = number(values.get("value"))
        return cls(**values)

    @classmethod
    def load(cls, path: Path) -> TrialRecord:
        return cls.from_row(json.loads(path.read_text(encoding="utf-8")))


def mark_lost(record: TrialRecord, paths: SweepPaths) -> None:
    """The trial's agent died while it ran."""
    record.lose()
    record.save(paths.trial(record.name))


def better(goal: str, left: float, right: float) -> bool:
    """Whether `left` is a better value of the metric than `right`; nan is worse than anything."""
    if math.isnan(left) or math.isnan(right):
        return math.isnan(right) and not math.isnan(left)
    return left > right if goal == "maximize" else left < right


def rank(records: Iterable[TrialRecord], goal: str) -> list[TrialRecord]:
    """Finished trials with a value first, best first; then the others with a value; then the rest, by number."""

    def key(record: TrialRecord) -> tuple[int, float, int]:
        if record.value is None or math.isnan(record.value):
            return (2, 0.0, record.number)
        value = -record.value if goal == "maximize" else record.value
        return (0 if record.state == "finished" else 1, value, record.number)

    return sorted(records, key=key)


def best_of(records: Iterable[TrialRecord], goal: str) -> TrialRecord | None:
    """The best finished trial. One that was stopped early or failed never is, whatever it reached."""
    ranked = rank((record for record in records if record.state == "finished"), goal)
    if ranked and ranked[0].value is not None and not math.isnan(ranked[0].value):
        return ranked[0]
    return None


class MetricsFile:
    """metrics.jsonl: one JSON object a row with a step that only grows; readable up to the last line at any moment."""

    def __init__(self, path: Path, first_step: int = 0) -> None:
        """`first_step` is the first row's step in a new file."""
        step = _repair(path) if path.exists() else -1
        self.step = first_step - 1 if step < 0 else step
        self.file = GrowingFile(path)

    def append(self, row: Mapping[str, Any]) -> int:
        """Writes the row; returns its step."""
        self.step += 1
        append(self.file.descriptor, (to_json({"step": self.step, **row}) + "\n").encode())
        return self.step

    def close(self) -> None:
        self.file.close()


def _repair(path: Path) -> int:
    """Cuts off what follows the last whole row; returns that row's step, -1 if there is none."""
    data = path.read_bytes()
    end = len(data)
    while end:
        end = data.rfind(b"\n", 0, end) + 1
        start = data.rfind(b"\n", 0, max(0, end - 1)) + 1
        with contextlib.suppress(ValueError, TypeError, KeyError):
            step = int(json.loads(data[start:end])["step"])
            break
        end = start
    else:
        step = -1
    if end != len(data):
        os.truncate(path, end)
    return step


def read_metrics(path: Path) -> list[dict[str, Any]]:
    """The rows of a metrics.jsonl, lines that are none left out."""
    rows = []
    with contextlib.suppress(FileNotFoundError):
        for line in path.read_bytes().split(b"\n")[:-1]:
            with contextlib.suppress(ValueError, AttributeError):
                rows.append({key: number(value) for key, value in json.loads(line).items()})
    return rows
