"""Shows how two trials differ (`--diff`): parameters, command, what they read, how they ran, what they measured."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from ...base.files import read_json
from ...base.streams import output_width, print_lines
from ...base.values import finite_number
from ...records.environment import DIRTY
from ...records.environment import FILE as ENVIRONMENT
from ...records.folder import SweepPaths, TrialRecord
from ...records.metrics import readable_metrics
from ..cells import clean
from ..lines import Contrast, command_text, duration_text
from ..table import text_table
from .as_json import print_json
from .sweeps import find_trial_of

_RUN = ("sweep", "point", "seed", "state", "reason", "duration", "attempts", "retry_of", "host", "gpus")
_KEY = re.compile(r"-{0,2}[A-Za-z_][\w.-]*")  # a word that names the value behind it
_GIVEN = ("command", "overrides", "config_file", "env")


@dataclass(frozen=True)
class Side:
    """Holds one of the two trials, and what it has logged: by metric the last value, the least and the largest."""

    paths: SweepPaths
    record: TrialRecord
    metrics: Mapping[str, Mapping[str, Any]]

    @classmethod
    def read(cls, paths: SweepPaths, record: TrialRecord) -> Side:
        """Reads the trial's rows."""
        return cls(paths, record, measured(readable_metrics(paths.trial(record.name).metrics)))

    @property
    def run(self) -> dict[str, Any]:
        """How the trial ran, by the names that `--where` has for it."""
        record = self.record
        named = {name: getattr(record, name) for name in _RUN if hasattr(record, name)}
        more = {"sweep": self.paths.sweep_id, "duration": record.seconds, "gpus": ",".join(record.gpu_ids)}
        return {name: {**named, **more}[name] for name in _RUN}

    @property
    def given(self) -> dict[str, Any]:
        """Returns what the trainer was given: its words, and the parts of the start that are not words.

        The trial's own folder is `{dir}` in it, the sweep's `{sweep}`, its name and id `{trial}`.
        """
        record = self.record
        folders = {record.dir: "{dir}", str(self.paths.trial(record.name).dir): "{dir}"}
        folders |= {os.path.dirname(record.dir): "{sweep}", str(self.paths.dir): "{sweep}"}

        def shared(value: Any) -> Any:
            """Puts a placeholder for what differs between any two trials."""
            if isinstance(value, str):
                for folder, stand_in in folders.items():
                    value = value.replace(folder, stand_in) if folder else value
                return "{trial}" if value in (record.id, record.name) else value
            if isinstance(value, Mapping):
                return {name: shared(item) for name, item in value.items()}
            return [shared(item) for item in value] if isinstance(value, list | tuple) else value

        return {"command": shared(record.command), **shared(record.given)}

    @property
    def environment(self) -> dict[str, Any]:
        """Interpreter, packages and machine of the trial's sweep."""
        found = read_json(self.paths.dir / ENVIRONMENT)
        packages = found.pop("packages", None)
        return {**found, **(packages if isinstance(packages, dict) else {})}

    @property
    def code(self) -> dict[str, Any]:
        """Which code the trial ran: the commit, and the files that had changed since the sweep began."""
        return {"commit": self.record.git_commit, "changed": list(self.record.changed)}


def measured(rows: Sequence[Mapping[str, Any]]) -> dict[str, dict[str, Any]]:
    """Summarises rows: for each metric its last value, and the least and the largest finite one (None without any)."""
    found: dict[str, dict[str, Any]] = {}
    for row in rows:
        for name, value in row.items():
            if name == "step":
                continue
            item = found.setdefault(name, {"last": None, "min": None, "max": None})
            item["last"] = value
            if finite_number(value):
                item["min"] = value if item["min"] is None else min(item["min"], value)
                item["max"] = value if item["max"] is None else max(item["max"], value)
    return found


def differences(one: Mapping[str, Any], other: Mapping[str, Any]) -> dict[str, list[Any]]:
    """Returns the names whose values differ, with both; a name that one side lacks has None there."""
    names = dict.fromkeys([*one, *other])
    return {name: [one.get(name), other.get(name)] for name in names if not _same(one.get(name), other.get(name))}


def _same(one: Any, other: Any) -> bool:
    """Tells whether two values are the same to a trainer: 1 and 1.0 are not, nan and nan are."""
    return repr(one) == repr(other)


def diff_object(one: Side, other: Side) -> dict[str, Any]:
    """Describes the differences for programs; every pair is in the order of the trials."""
    names = dict.fromkeys([*one.metrics, *other.metrics])
    none = {"last": None, "min": None, "max": None}
    return {
        "trials": [{"sweep_id": side.paths.sweep_id, "name": side.record.name} for side in (one, other)],
        "params": differences(one.record.params, other.record.params),
        "params_same": sorted(
            name
            for name, value in one.record.params.items()
            if name in other.record.params and _same(value, other.record.params[name])
        ),
        "run": {name: [value, other.run[name]] for name, value in one.run.items()},
        "given": differences(one.given, other.given),
        "code": differences(one.code, other.code),
        "environment": differences(one.environment, other.environment),
        "metrics": {name: [dict(side.metrics.get(name, none)) for side in (one, other)] for name in names},
    }


def show_diff(names: Sequence[str], sweep_id: str | None, results_dir: str | None, *, as_json: bool) -> int:
    """Prints how two trials differ; returns the exit status.

    Args:
        names: of the trials, each as `find_trial_of` has it.

    Raises:
        ConfigError: no such trial.
    """
    one, other = (Side.read(*find_trial_of(name, sweep_id, results_dir, "--diff")) for name in names)
    found = diff_object(one, other)
    if as_json:
        print_json(found)
    else:
        print_lines("\n".join(diff_lines(found, output_width())))
    return 0


# -- as text ----------------------------------------------------------------------------------------------------------
def diff_lines(found: Mapping[str, Any], width: int) -> list[str]:
    """Formats the differences as tables of `width` columns, one for each kind; a kind without any is one line."""
    heads = [_head(found["trials"], place) for place in (0, 1)]
    same = len(found["params_same"])
    lines = _section("parameters", heads, _parameters(found["params"]), width)
    lines += [f"{same} more with the same value"] if same else []
    run = {name: pair for name, pair in found["run"].items() if not _same(*pair)}
    if "duration" in run:
        run["duration"] = [duration_text(value) for value in run["duration"]]
    lines += ["", *_section("run", heads, _cells(run, str), width)]
    lines += ["", *_section("given to the trainer", heads, _words(found["given"]), width)]
    lines += ["", *_code(found["code"], heads, width)]
    if found["environment"]:
        lines += ["", *_section("environment", heads, _cells(found["environment"], str), width)]
    metrics = []
    for name, (left, right) in sorted(found["metrics"].items()):
        for kind in ("last", "min", "max"):
            if kind == "last" or left[kind] != left["last"] or right[kind] != right["last"]:
                metrics.append([f"{name} {kind}", *map(_number, (left[kind], right[kind])), _less(left, right, kind)])
    return [*lines, "", *_section("metrics", [*heads, "difference"], metrics, width)]


def _head(trials: Sequence[Mapping[str, str]], place: int) -> str:
    """Names a trial: with its sweep where there are two."""
    trial = trials[place]
    return trial["name"] if trials[0]["sweep_id"] == trials[1]["sweep_id"] else f"{trial['sweep_id']}/{trial['name']}"


def _section(title: str, heads: Sequence[str], rows: Sequence[Sequence[str]], width: int) -> list[str]:
    """Formats one table, or says that nothing differs."""
    if not rows:
        return [f"{title}: {'none' if title == 'metrics' else 'no difference'}"]
    places = len(heads) + 1
    shrink = [(place, least) for least in (24, 12, 5) for place in (*range(1, places), 0)]
    return text_table([[title, *heads], *rows], width=width, shrink=shrink)


def _cells(pairs: Mapping[str, Sequence[Any]], text: Any) -> list[list[str]]:
    """Makes a row of each pair; nothing stands where a side has no value."""
    return [[name, *("" if value in (None, "") else text(value) for value in pair)] for name, pair in pairs.items()]


def _parameters(pairs: Mapping[str, Sequence[Any]]) -> list[list[str]]:
    """Makes a row of each parameter's pair, whose long values stay different."""
    contrast = Contrast.of_values(pairs)
    return [row for name, pair in pairs.items() for row in _cells({name: pair}, partial(contrast.text, name))]


def _words(given: Mapping[str, Sequence[Any]]) -> list[list[str]]:
    """Makes rows of what the trainer was given: of lists of words those that only one side has, of variables each."""
    rows = []
    for name in dict.fromkeys([*_GIVEN, *given]):
        if name not in given:
            continue
        one, other = given[name]
        if isinstance(one, Mapping) or isinstance(other, Mapping):
            rows += _cells({f"{name} {key}": pair for key, pair in differences(one or {}, other or {}).items()}, str)
        elif isinstance(one, list) or isinstance(other, list):
            sides = [[str(word) for word in side or ()] for side in (one, other)]
            rows += _words_apart(name, *sides)
        else:
            rows += _cells({name: (one, other)}, str)
    return rows


def _words_apart(name: str, one: Sequence[str], other: Sequence[str]) -> list[list[str]]:
    """Makes rows of the words that differ: of commands of one length a row each, with the key before the value."""
    if len(one) != len(other):
        alone = [word for word in one if word not in other], [word for word in other if word not in one]
        return [[name, *map(command_text, alone)]]
    rows = []
    for place, (left, right) in enumerate(zip(one, other, strict=True)):
        if left != right:
            before = one[place - 1] if place and one[place - 1] == other[place - 1] else ""
            rows.append([f"{name} {before}" if _KEY.fullmatch(before) else name, left, right])
    return rows


def _code(code: Mapping[str, Sequence[Any]], heads: Sequence[str], width: int) -> list[str]:
    """Formats which code the trials ran, and how to see what changed between two commits."""
    rows = {name: [", ".join(value) if isinstance(value, list) else value for value in code[name]] for name in code}
    lines = _section("code", heads, _cells(rows, str), width)
    commits = [str(value).removesuffix(DIRTY) for value in code.get("commit", ()) if value]
    if len(set(commits)) == 2:
        lines.append(f"see it with: git diff {' '.join(map(clean, commits))}")
    return lines


def _number(value: Any) -> str:
    """Formats a metric's value."""
    return "" if value is None else f"{value:.6g}" if isinstance(value, float) else str(value)


def _less(left: Mapping[str, Any], right: Mapping[str, Any], kind: str) -> str:
    """Formats by how much the second value is larger than the first; empty where one is no number."""
    one, other = left[kind], right[kind]
    return f"{other - one:+.4g}" if finite_number(one) and finite_number(other) and one != other else ""
