"""Reads what a search starts with: points to try first (`--enqueue`), results to learn from (`--from-sweep`).

Both are checked before anything starts and kept beside the sweep as ``warm.json``, where its agents read them.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from ..base.errors import ConfigError
from ..base.files import write_atomically
from ..base.values import finite_number, to_json
from ..base.wording import did_you_mean
from ..base.yaml_document import Document, read_yaml_file
from ..records.folder import WARM_FILE, SweepPaths, TrialRecord
from ..records.metrics import readable_metrics
from ..records.points import group_points
from ..spec.conditions import ExpressionError
from ..spec.constraints import excesses, names_in
from ..spec.parameter import equality_key
from ..spec.sweep import SweepSpec
from ..wandb.read_runs import read_results

SHOWN = 10  # problems of one file that are listed


@dataclass(frozen=True)
class Observation:
    """One result of another sweep: a point and its value.

    Attributes:
        value: of the first objective.
        values: of each objective, where there are several.
        excesses: by how much it misses each of this sweep's constraints.
    """

    params: dict[str, Any]
    value: float
    values: Sequence[float] = ()
    excesses: Sequence[float] = ()


@dataclass(frozen=True)
class WarmStart:
    """Points to try before the search's own, in order, and results to learn from that are no trials of the sweep."""

    enqueue: tuple[dict[str, Any], ...] = ()
    prior: tuple[Observation, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.enqueue or self.prior)

    def __add__(self, more: WarmStart) -> WarmStart:
        """Returns the points and results of both, this one's first."""
        return WarmStart((*self.enqueue, *more.enqueue), (*self.prior, *more.prior))

    def save(self, paths: SweepPaths) -> None:
        """Adds these points and results to those in the sweep's folder."""
        write_warm(paths, WarmStart.load(paths) + self)

    @classmethod
    def from_dict(cls, content: Mapping[str, Any]) -> WarmStart:
        """Reads what `dataclasses.asdict` made of a warm start."""
        return cls(tuple(content["enqueue"]), tuple(Observation(**item) for item in content["prior"]))

    @classmethod
    def load(cls, paths: SweepPaths) -> WarmStart:
        """Reads the sweep's file; empty when there is none."""
        try:
            content = json.loads(_file(paths).read_text(encoding="utf-8"))
        except FileNotFoundError:
            return cls()
        return cls.from_dict(content)


def write_warm(paths: SweepPaths, warm: WarmStart) -> None:
    """Replaces the sweep's file; an empty warm start needs none."""
    if warm:
        write_atomically(_file(paths), to_json(dataclasses.asdict(warm), indent=1) + "\n")


def _file(paths: SweepPaths) -> Path:
    return paths.dir / WARM_FILE


# -- points to try first ----------------------------------------------------------------------------------------------
def read_points(
    source: str | Document | Sequence[Mapping[str, Any]],
    spec: SweepSpec,
    key_of: Callable[[str], str],
    seed: int,
    option: str = "--enqueue",
) -> tuple[dict[str, Any], ...]:
    """Reads the points of `--enqueue FILE`: a YAML or JSON list of mappings, or a CSV with a header; in Python, the list.
    `-` is standard input, as YAML. A document is YAML that was typed.

    A name may be a parameter's or its trainer key. Parameters that a point leaves out are drawn at random.

    Args:
        key_of: returns the trainer key of a parameter.
        seed: of the parameters that are drawn.
        option: what named the file, for messages.

    Raises:
        ConfigError: with every mistake: names the sweep does not search, values a parameter cannot have, conditions.
    """
    file = f"{option} {source}" if isinstance(source, str) else option.lstrip("-").replace("-", "_")
    fits = Fit(spec)
    rows = _rows_of(source, option, fits.example)
    if not rows:
        raise ConfigError(f"{file}: has no points; write `- {fits.example}` lines")
    by_key = {key_of(item.name): item.name for item in spec.parameters}
    problems: list[str] = []
    points = []
    for place, row in enumerate(rows):
        label = f"{file}: point {place + 1}"
        named: dict[str, Any] = {}
        if not isinstance(row, dict):
            problems.append(f"{label}: {row!r} is not a point; write `- {fits.example}`")
            continue
        for name, value in row.items():
            own = name if name in fits.names else by_key.get(name)
            if own is None:
                problems.append(f"{label}: {name}: is not searched by this sweep{did_you_mean(name, fits.names)}")
            else:
                named[own] = value
        found = fits.problems(named)
        problems += [f"{label}: {text}" for text in found]
        if not found:
            point = fits.completed(named, seed, place)
            if point is None:
                problems.append(f"{label}: breaks {' and '.join(spec.where) or 'the conditions of its parameters'}")
            else:
                points.append(point)
    if problems:
        more = [f"{file}: and {len(problems) - SHOWN} more"] if len(problems) > SHOWN else []
        raise ConfigError(problems[:SHOWN] + more)
    return tuple(points)


def _rows_of(source: str | Document | Sequence[Mapping[str, Any]], option: str, example: str) -> list[Any]:
    """Reads the rows of a file or a document, or copies those of a list; of YAML they may be anything.

    Args:
        example: a point of the sweep, for messages.
    """
    if isinstance(source, Document):
        return _yaml_rows(source, option, example)
    if not isinstance(source, str):
        return [dict(row) for row in source]
    path = Path("/dev/stdin" if source == "-" else source)
    label = f"{option} {source}"
    if path.is_file():
        document = None if path.suffix.lower() == ".csv" else read_yaml_file(str(path), label)
        return _csv_rows(path, label) if document is None else _yaml_rows(document, label, example)
    if not path.exists() or path.is_dir():
        raise ConfigError(f"{label}: {'is a folder' if path.is_dir() else 'no such file'}")
    return _yaml_rows(_read_pipe(path, label), label, example)


@cache
def _read_pipe(path: Path, label: str) -> Document:
    """Reads a pipe or a terminal. It can be read only once, and an order to a batch asks for its points once a sweep."""
    return read_yaml_file(str(path), label)


def _yaml_rows(document: Document, label: str, example: str) -> list[Any]:
    if document.problems:
        raise ConfigError(list(document.problems))
    data = document.data
    rows = [data] if isinstance(data, dict) else [] if data is None else data
    if not isinstance(rows, list):
        raise ConfigError(f"{label}: is not a list of points; write `- {example}` lines")
    return [{str(name): value for name, value in row.items()} if isinstance(row, dict) else row for row in rows]


def _csv_rows(path: Path, label: str) -> list[dict[str, Any]]:
    import csv  # few points come so

    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.DictReader(file, strict=True)
            lines = list(reader)
    except (csv.Error, UnicodeDecodeError) as error:
        raise ConfigError(f"{label}: is not a CSV file: {error}") from None
    for number, line in enumerate(lines, start=2):
        if None in line or None in line.values():
            raise ConfigError(f"{label}:{number}: has not as many fields as the header")
    return [{name.strip(): _cell(text) for name, text in line.items() if text.strip()} for line in lines]


def _cell(text: str) -> Any:
    """Reads a CSV cell as YAML does; numbers with a bare exponent (1e-4) are numbers."""
    try:
        return float(text) if "e" in text.lower() else yaml.safe_load(text)
    except (ValueError, yaml.YAMLError):
        return text


def _yaml(value: Any) -> str:
    """Writes a value as in a YAML list."""
    return f"{value:.3g}" if isinstance(value, float) else str(value)


class Fit:
    """Checks whether points fit a sweep's space."""

    def __init__(self, spec: SweepSpec) -> None:
        from .space import Space  # Optuna takes half a second to import

        self.spec = spec
        self.names = [item.name for item in spec.parameters]
        self._declared = {item.name: item for item in spec.parameters}
        self._space = Space(spec.parameters)

    @property
    def example(self) -> str:
        """A point with some of the sweep's own parameters, as one writes it in YAML."""
        searched = [item for item in self.spec.parameters if item.distribution != "constant"][:2]
        return f"{{{', '.join(f'{item.name}: {_yaml(item.quantile(0.5))}' for item in searched)}}}"

    def problems(self, point: Mapping[str, Any]) -> list[str]:
        """Lists what is wrong with the values of a point, which may leave out parameters."""
        found = []
        for name, value in point.items():
            item = self._declared[name]
            if item.parent is not None and item.parent in point:
                wanted = {equality_key(value) for value in item.parent_values}
                if equality_key(point[item.parent]) not in wanted:
                    allowed = " or ".join(map(repr, item.parent_values))
                    found.append(f"{name}: applies only where {item.parent} is {allowed}")
                    continue
            if item.distribution == "constant":
                if value != item.value:
                    found.append(f"{name}: {value!r} is not its constant value {item.value!r}")
                continue
            try:
                self._space.dimensions[name].to_optuna(value)
            except ValueError as error:
                allowed = f" ({', '.join(map(repr, item.values))})" if item.values else ""
                found.append(f"{name}: {error}{allowed}")
        return found

    def completed(self, point: Mapping[str, Any], seed: int, place: int) -> dict[str, Any] | None:
        """Completes a point at random; None when it cannot satisfy the conditions."""
        for attempt in range(200):
            values = {**self.spec.random_point(seed, -1 - place - 100_000 * attempt), **point}
            values = self.spec.active({name: self._default(name, values) for name in self.names})
            try:
                if set(point) <= set(values) and self.spec.allows(values):
                    return values
            except ExpressionError:
                return None
        return None

    def _default(self, name: str, values: Mapping[str, Any]) -> Any:
        return values[name] if name in values else self._declared[name].quantile(0.5)


# -- results to learn from --------------------------------------------------------------------------------------------
def read_prior(
    sweep: str, spec: SweepSpec, find: Callable[[str], SweepPaths | None], default: tuple[str | None, str | None]
) -> tuple[tuple[Observation, ...], str]:
    """Reads the results of `--from-sweep ID` that fit this sweep, and a line that says how many.

    Args:
        find: finds the folder of a local sweep.
        default: W&B project and entity, for an id that is no local sweep.

    Raises:
        ConfigError: no such sweep, or nothing in it can be used.
    """
    assert spec.metric is not None
    repeated = False
    paths = find(sweep)
    if paths is not None:
        rows, repeated = _local_results(sweep, paths, spec)
    else:
        wanted = [*(metric.name for metric in spec.objectives), *names_in(spec.constraints)]
        results = read_results(sweep, *default, wanted)
        rows = [Result(row["params"], row["values"]) for row in results if row["state"] == "finished"]
    fits = Fit(spec)
    prior = []
    for row in rows:
        params = row.params
        found = [row.measured.get(metric.name) for metric in spec.objectives]
        values = [float(value) for value in found if finite_number(value)]
        if len(values) < len(found):
            continue
        known = {name: params[name] for name in fits.names if name in params}
        active = spec.active({name: known.get(name, fits._declared[name].value) for name in fits.names})
        if all(name in known or fits._declared[name].distribution == "constant" for name in active):
            usable = {name: value for name, value in active.items() if fits._declared[name].distribution != "constant"}
            if not fits.problems(usable):
                several = values if spec.more_metrics else []
                excess = excesses(spec.constraints, row.measured)
                prior.append(Observation(usable, values[0], several, excess))
    if not prior:
        names = ", ".join(metric.name for metric in spec.objectives)
        raise ConfigError(
            f"--from-sweep {sweep}: none of its {len(rows)} finished trials has {names} and parameters that fit here"
        )
    if repeated:
        return tuple(prior), f"learning from the means of {len(prior)} of {len(rows)} points of sweep {sweep}"
    return tuple(prior), f"learning from {len(prior)} of {len(rows)} finished trials of sweep {sweep}"


@dataclass(frozen=True)
class Result:
    """Holds a point of another sweep, and what was measured there, by name."""

    params: Mapping[str, Any]
    measured: Mapping[str, Any]


def _local_results(sweep: str, paths: SweepPaths, spec: SweepSpec) -> tuple[list[Result], bool]:
    """Reads the results of a local sweep's finished trials; with repeats, which it tells, the means of its points.

    Raises:
        ConfigError: the sweep does not optimise what this one does.
    """
    from ..records.launch_file import load_spec_of

    other = load_spec_of(paths)
    theirs = {metric.name: metric.goal for metric in other.objectives}
    if other.metric is None or any(theirs.get(metric.name) != metric.goal for metric in spec.objectives):
        both = [_aims(other), _aims(spec)]
        raise ConfigError(f"--from-sweep {sweep}: {both[0]}; this one {both[1]}")
    results = []
    for point in group_points(paths.records() if other.repeats else _finished(paths)):
        if point.finished:
            logged = _last_values(paths, point.finished[-1].name, spec.constraints)
            measured = {other.metric.name: point.estimate.mean, **point.values}
            results.append(Result(point.params, {**logged, **point.facts, **measured}))
    return results, other.repeats is not None


def _finished(paths: SweepPaths) -> list[TrialRecord]:
    """Reads a sweep's finished trials."""
    return [record for record in paths.records() if record.state == "finished"]


def _last_values(paths: SweepPaths, name: str, constraints: Sequence[str]) -> dict[str, Any]:
    """Reads the last value that a trial has logged of each metric in the constraints."""
    wanted = names_in(constraints)
    rows = readable_metrics(paths.trial(name).metrics) if wanted else []
    return {key: row[key] for row in rows for key in wanted if key in row}


def _aims(spec: SweepSpec) -> str:
    """Says what a sweep optimises: minimizes a and maximizes b."""
    return " and ".join(f"{metric.goal}s {metric.name}" for metric in spec.objectives) or "optimises nothing"
