"""Looks up what a name in `--where`, `--sort` and `--columns` means for a trial: a parameter, a field, or a metric."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

from ...base.errors import ConfigError, SweepError
from ...base.files import open_regular
from ...base.values import to_json, utc_seconds
from ...records.folder import TrialRecord
from ...records.metrics import last_values, row_of
from ..snapshot import Snapshot
from .filter import misspelt

TAIL = 1 << 16  # bytes of a metrics.jsonl in which a metric is looked for first
SAMPLE = 20  # trials whose metrics are named in a message
_NAMED = 8  # names in a message
FIELDS: dict[str, Callable[[TrialRecord], Any]] = {
    "name": lambda record: record.name,
    "number": lambda record: record.number,
    "id": lambda record: record.id,
    "state": lambda record: record.state,
    "reason": lambda record: record.reason or None,
    "cause": lambda record: record.cause or None,
    "duration": lambda record: _duration(record),
    "value": lambda record: record.value,
    "point": lambda record: record.point,
    "seed": lambda record: record.seed,
    "started": lambda record: record.started or None,
    "ended": lambda record: record.ended,
    "attempts": lambda record: record.attempts,
    "exit_code": lambda record: record.exit_code,
    "gpus": lambda record: ",".join(record.gpu_ids) or None,
    "host": lambda record: record.host or None,
    "retry_of": lambda record: record.retry_of,
}
SWEEP = "sweep"  # the field that holds the sweep's id


def _duration(record: TrialRecord) -> float | None:
    """Returns the seconds that a trial took, of a running one those until now."""
    if record.state != "running":
        return record.seconds
    started = utc_seconds(record.started)
    return None if started is None else round(max(0.0, time.time() - started) + record.trained, 3)


def aliases_of(launch: Mapping[str, Any]) -> dict[str, str]:
    """Finds the aliases of a sweep's profile, in both directions; none where the profile cannot be read.

    Args:
        launch: the content of launch.json.
    """
    from ...trainers.load import load_profile  # few names are an alias

    with contextlib.suppress(SweepError, OSError):
        profile = load_profile(str(launch.get("trainer") or ""), project_root=Path(launch.get("cwd") or "."))
        return {**{key: alias for alias, key in profile.aliases.items()}, **profile.aliases}
    return {}


class SweepValues:
    """Finds the values of names in the trials of one sweep.

    A parameter goes before a field of the same name, and a field before a metric. A parameter may be named by its alias in
    the trainer's profile, or by the key that the alias stands for.
    """

    def __init__(self, snapshot: Snapshot) -> None:
        self.snapshot = snapshot
        names = (name for record in snapshot.records for name in record.params)
        self.params = dict.fromkeys(names)

    @cached_property
    def aliases(self) -> Mapping[str, str]:
        """The profile's aliases in both directions; empty where it cannot be read."""
        return aliases_of(self.snapshot.launch)

    def parameter(self, name: str) -> str | None:
        """Returns the parameter that a name or alias stands for; None for another name."""
        if name in self.params:
            return name
        if name in FIELDS or name == SWEEP:
            return None
        return next((other for other in [self.aliases.get(name, "")] if other in self.params), None)

    def getter(self, name: str) -> Callable[[TrialRecord], Any]:
        """Returns the function that finds the name's value in a trial; None where the trial has none."""
        if (parameter := self.parameter(name)) is not None:
            return lambda record: record.params.get(parameter)
        if name == SWEEP:
            return lambda record: self.snapshot.paths.sweep_id
        return FIELDS.get(name) or (lambda record: self._metric(record, name))

    def _metric(self, record: TrialRecord, name: str) -> Any:
        """Returns a metric's value: what the record holds of an objective or a constraint, else what was logged last."""
        found = record.value if name == self.snapshot.metric else (record.values or {}).get(name)
        if found is None:
            found = (record.facts or {}).get(name)
        return last_logged(self.snapshot.paths.trial(record.name).metrics, name) if found is None else found

    @cached_property
    def logged(self) -> list[str]:
        """The metrics that some of the last trials have logged."""
        rows = (last_values(self.snapshot.paths.trial(record.name)) for record in self.snapshot.records[-SAMPLE:])
        return list(dict.fromkeys(name for row in rows for name in row))

    @property
    def known(self) -> list[str]:
        """The names that there are: metrics, parameters, their aliases, and fields."""
        aliases = [name for name, other in self.aliases.items() if other in self.params]
        metrics = [metric.name for metric in self.snapshot.objectives]
        return list(dict.fromkeys([*metrics, *self.logged, *self.params, *aliases, *FIELDS, SWEEP]))


def last_logged(path: Path, name: str) -> Any:
    """Returns the last value of a metric in a metrics.jsonl; None where there is none."""
    key = to_json(name).encode() + b":"
    with contextlib.suppress(OSError), open_regular(path) as file:
        size = file.seek(0, 2)
        for start in dict.fromkeys([max(0, size - TAIL), 0]):
            file.seek(start)
            data = file.read()
            end = len(data)
            while (found := data.rfind(key, 0, end)) >= 0:
                begin = data.rfind(b"\n", 0, found) + 1
                stop = data.find(b"\n", found)
                row = row_of(data[begin : stop if stop >= 0 else len(data)])
                if row is not None and name in row:
                    return row[name]
                end = begin
    return None


def values_of(
    sweeps: Iterable[SweepValues], names: Sequence[str], texts: Mapping[str, str]
) -> list[tuple[TrialRecord, dict[str, Any]]]:
    """Finds the values of names in all trials of some sweeps; a trial's values leave out the names without one.

    Args:
        names: each once.
        texts: where each name was written, by the option (`--where`), for messages.

    Raises:
        ConfigError: a name that no trial has a value of, though trials have logged metrics.
    """
    found, missing = list[tuple[TrialRecord, dict[str, Any]]](), set(names)
    sweeps = list(sweeps)
    for values in sweeps:
        getters = {name: values.getter(name) for name in names}
        for record in values.snapshot.records:
            row = {name: value for name, get in getters.items() if (value := get(record)) is not None}
            missing -= row.keys()
            found.append((record, row))
    _check(sweeps, [name for name in names if name in missing], texts)
    return found


def _check(sweeps: Sequence[SweepValues], missing: Sequence[str], texts: Mapping[str, str]) -> None:
    """Raises ConfigError for a name that is known of no sweep; before any metric is logged, it may be one."""
    if not missing or not any(values.logged for values in sweeps):
        return
    known = list(dict.fromkeys(name for values in sweeps for name in values.known))
    for name in missing:
        if name in known:
            continue
        option, text = next(((option, text) for option, text in texts.items() if name in text), ("--where", name))
        hint = misspelt(name, text, known)
        if not hint:
            hint = f"; there are {', '.join(known[:_NAMED])}{', …' if len(known) > _NAMED else ''}"
        raise ConfigError(f"{option}: no trial has anything called {name}{hint}")
