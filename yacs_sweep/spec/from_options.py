"""Builds a sweep from command-line options: `--lr_values`, `--custom_params`, `--method` and so on."""

from __future__ import annotations

import json
import re
from ast import literal_eval
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from ..base.errors import ConfigError
from ..base.yaml_document import Document, KeyPath, dotted
from .parameter import GRID
from .read_sweep import parse_spec
from .slips import with_points
from .sweep import SweepSpec
from .sweep_files import merged_metric


def spec_from_options(
    base: SweepSpec | None = None,
    *,
    lr_values: str | Sequence[float] | None = None,
    wd_values: str | Sequence[float] | None = None,
    custom_params: str | Mapping[str, Any] | None = None,
    method: str | None = None,
    repeats: int | None = None,
    order: str | None = None,
    metric: str | None = None,
    goal: str | None = None,
    name: str | None = None,
    project: str | None = None,
    entity: str | None = None,
) -> SweepSpec:
    """Builds a sweep from command-line options, alone or on top of one from a file.

    `lr_values` and `wd_values` are numbers with commas between them, for base_lr and
    weight_decay; `custom_params` is JSON: parameter name → list, value, or W&B's description. A
    parameter given here replaces the file's. Without a base the method is grid when every
    parameter can be listed, else random; a goal not given is guessed from the metric's name, with
    a warning. Raises ConfigError; problems name the option.
    """
    options = _Options()
    options.numbers("--lr_values", "base_lr", lr_values)
    options.numbers("--wd_values", "weight_decay", wd_values)
    options.custom("--custom_params", custom_params)
    options.metric(base, metric, goal)
    options.repeats(base, repeats)
    for option, value in (
        ("sweep_name", name),
        ("project", project),
        ("entity", entity),
        ("method", method),
        ("order", order),
    ):
        if value is not None:
            options.put((option.removeprefix("sweep_"),), f"--{option}", value)
    kept = [item for item in base.parameters if not item.path or item.name not in options.parameters] if base else []
    data: dict[str, Any] = replace(base, parameters=tuple(kept)).to_dict() if base else {}
    parameters = {**data.get("parameters", {}), **options.parameters}
    if not parameters and "scheduler" not in data:
        raise ConfigError(
            options.problems or "no parameters: give --sweep-config, --lr_values, --wd_values or --custom_params"
        )
    data.update(options.top, **({"parameters": parameters} if parameters else {}))
    if "method" not in data:
        unordered = {key: value for key, value in data.items() if key != "order"}
        spec = parse_spec(options.document({**unordered, "method": "random"}))
        listed = all(parameter.distribution in GRID for parameter in spec.parameters)
        data["method"] = "grid" if listed else "random"
    return options.finished(parse_spec(options.document(data)), base)


def _as_json(text: str) -> str | None:
    """Writes a Python dictionary as JSON, a tuple as the text that YACS reads as one; None for any other text."""
    try:
        found = literal_eval(text)
        return json.dumps(_tuples_as_texts(found)) if isinstance(found, dict) else None
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
        return None


def _tuples_as_texts(value: Any) -> Any:
    """Replaces the tuples in lists and dictionaries by their texts."""
    if isinstance(value, dict):
        return {key: _tuples_as_texts(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_tuples_as_texts(item) for item in value]
    return repr(value) if isinstance(value, tuple) else value


def _with_quotes(text: str) -> str | None:
    """Puts quotes where a shell has taken them away from JSON, as in {SOLVER.GAMMA: [0.1, a]}; None where that is not all."""
    if "'" in text or '"' in text:
        return None
    mended = re.sub(r"(?<![\w.+-])[A-Za-z_][\w./-]*", lambda match: _word(match[0]), text)
    try:
        json.loads(mended)
    except ValueError:
        return None
    return mended


def _word(text: str) -> str:
    """Writes a bare word as JSON."""
    known = {"true": "true", "false": "false", "null": "null", "none": "null"}
    return known.get(text.lower(), json.dumps(text))


class _Options:
    """Collects the options in the form of a sweep file; the place of each key is the option that gives it."""

    def __init__(self) -> None:
        self.top: dict[str, Any] = {}
        self.parameters: dict[str, Any] = {}
        self.places: dict[KeyPath, str] = {}
        self.problems: list[str] = []
        self.notes: list[str] = []

    def put(self, path: KeyPath, option: str, value: Any) -> None:
        """Sets a key at the top level, or a parameter."""
        target = self.top if len(path) == 1 else self.parameters
        target[str(path[-1])] = value
        self.places[path] = option

    def numbers(self, option: str, key: str, given: str | Sequence[float] | None) -> None:
        """Reads the numbers of `--lr_values` or `--wd_values`."""
        if given is None:
            return
        values: list[Any] = [] if isinstance(given, str) else list(given)
        if isinstance(given, str) and (mended := with_points(given)):
            self.problems.append(f"{option}: {given} looks like decimal commas; write {','.join(mended)}")
            return
        for word in given.replace(",", " ").split() if isinstance(given, str) else ():
            try:
                values.append(int(word) if word.lstrip("+-").isdigit() else float(word))
            except ValueError:
                self.problems.append(f"{option}: '{word}' is not a number; write for example 0.0001,0.00035")
                return
        if values:
            self.put(("parameters", key), option, values)
        else:
            self.problems.append(f"{option}: is empty; write for example 0.0001,0.00035")

    def custom(self, option: str, given: str | Mapping[str, Any] | None) -> None:
        """Reads the JSON object of `--custom_params`."""
        example = '{"SOLVER.GAMMA": [0.1, 0.5]}'
        if given is None:
            return
        try:
            found = json.loads(given) if isinstance(given, str) else given
        except ValueError as error:
            example = _as_json(str(given)) or _with_quotes(str(given)) or example
            self.problems.append(f"{option}: not JSON: {error}; write for example '{example}'")
            return
        if not isinstance(found, Mapping):
            self.problems.append(f"{option}: {given} is not an object; write for example '{example}'")
            return
        for key, body in found.items():
            if key in self.parameters:
                self.problems.append(f"{option}: {key} is given by {self.places['parameters', key]} already; keep one")
            else:
                self.put(("parameters", key), option, body)

    def metric(self, base: SweepSpec | None, name: str | None, goal: str | None) -> None:
        """Merges `--metric` and `--goal` with the metric of the file."""
        if name is None and goal is None:
            return
        if base and base.more_metrics:
            option, given = ("--metric", name) if name is not None else ("--goal", goal)
            names = ", ".join(item.name for item in base.objectives)
            self.problems.append(f"{option} {given}: the sweep has several metrics ({names}); change them in its file")
            return
        earlier = base.metric.to_dict() if base and base.metric else None
        if name is None and earlier is None:
            self.problems.append("--goal: there is no metric to apply it to; give --metric as well")
            return
        body, notes = merged_metric(
            earlier, {key: value for key, value in (("name", name), ("goal", goal)) if value is not None}
        )
        if body == earlier:
            return  # the file's warnings on it hold
        self.notes += notes
        self.put(("metric",), "--metric", body)
        self.places["metric", "goal"] = "--goal"

    def repeats(self, base: SweepSpec | None, n: int | None) -> None:
        """Merges `--repeats` with the repeats of the file, whose key and seeds stay."""
        if n is None:
            return
        earlier = base.repeats.to_dict() if base and base.repeats and n != 1 else {}
        self.put(("repeats",), "--repeats", {**earlier, "n": n})
        self.places["repeats", "n"] = "--repeats"

    def document(self, data: Mapping[str, Any]) -> Document:
        """Returns the collected options over `data`, as a document to be read."""
        return Document("command line", dict(data), self.places, {}, tuple(self.problems))

    def finished(self, spec: SweepSpec, base: SweepSpec | None) -> SweepSpec:
        """Returns the spec with the file's warnings, without those on values that the options replace."""
        replaced = [f": {dotted(path)}:" for path in self.places]
        kept = [line for line in (base.warnings if base else ()) if not any(key in line for key in replaced)]
        own = [line for line in spec.warnings if base is None or not line.startswith("command line:")]
        return replace(spec, warnings=tuple(dict.fromkeys((*kept, *own, *self.notes))))
