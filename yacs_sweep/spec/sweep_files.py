"""Finds sweep files and presets, and reads them into one validated description of a search."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from ..base.errors import ConfigError
from ..base.shipped import SWEEPS
from ..base.values import to_builtin
from ..base.wording import did_you_mean, nearest
from ..base.yaml_document import Document, bare_number, read_yaml_file
from .read_objectives import higher_is_better, lower_is_better
from .read_sweep import WRAPPERS, parse_spec, unwrapped
from .section import MEANT, known_key
from .sweep import SweepSpec


def preset_folders() -> list[Path]:
    """Returns the folders of `--sweep-config NAME`, in the order in which they are searched.

    These are sweeps/ of the current folder, of the folders above it, the nearest first, and of the launcher.
    """
    above = [folder / "sweeps" for folder in Path.cwd().parents]
    return [Path("sweeps"), *(folder for folder in above if folder.is_dir() and folder.resolve() != SWEEPS), SWEEPS]


_SUFFIXES = (".yaml", ".yml")


def load_spec(
    source: str | Path | Mapping[str, Any],
    *,
    search_dirs: Iterable[str | Path] = (),
    overrides: Mapping[str, Any] | None = None,
) -> SweepSpec:
    """Reads the sweep in a file, in the preset of that name in one of `search_dirs`, or in a mapping.

    `overrides` are top-level keys of the command line; a mapping replaces the keys it names, the file's others stay.
    They count before anything is checked, since a file may lack what the command line gives.

    Raises:
        ConfigError: with every mistake, each with file, line and column.
    """
    document = read_sweep_document(source, search_dirs)
    if overrides and isinstance(document.data, dict) and document.data:
        document = _overridden(unwrapped(document), overrides)
    return parse_spec(document)


def _overridden(document: Document, overrides: Mapping[str, Any]) -> Document:
    """Returns the document with the command line's keys, in whatever way the file spells them."""
    top: dict[str, Any] = {}
    for key, value in overrides.items():
        spelt = next((name for name in document.data if known_key(name, (key,)) == key), key)
        if key == "metric":
            if any(known_key(name, ("metrics",)) == "metrics" for name in document.data):
                continue  # of several, an option does not say which it means: `spec_from_options` says so
            if "name" not in value and not document.data.get(spelt):
                continue  # `--goal` alone, which has no metric to apply to
            value, notes = merged_metric(document.data.get(spelt), value)
            document = replace(document, warnings=(*document.warnings, *notes))
        top[spelt] = value
    return document.replaced(top, "command line")


def merged_metric(earlier: Any, given: Mapping[str, Any]) -> tuple[dict[str, Any], list[str]]:
    """Changes the part of a metric that `--metric` and `--goal` name; returns the metric, and lines for the user.

    The goal of a metric that stands on the command line alone is taken from its name.

    Args:
        earlier: the metric of the file, a mapping or a name; None where there is none.
        given: `name`, `goal` or both.
    """
    body = {"name": earlier} if isinstance(earlier, str) else earlier if isinstance(earlier, Mapping) else {}
    # A key that is misspelt in the file is given its value by the option, too.
    kept = {key: value for key, value in body.items() if not nearest(key, given, cutoff=MEANT)}
    merged, name = {**kept, **given}, given.get("name")
    if name is None or "goal" in given:
        return merged, []
    if not body:
        if not higher_is_better(name):
            return merged, []
        guess = f"--metric: {name} is maximised, judging by its name; --goal minimize would minimise it"
        return {**merged, "goal": "maximize"}, [guess]
    goal = str(kept.get("goal")).strip().lower()
    other = {"maximize": lower_is_better, "minimize": higher_is_better}.get(goal)
    if other is None or body.get("name") == name or not other(name):
        return merged, []
    less, meant = ("less", "minimize") if goal == "maximize" else ("more", "maximize")
    return merged, [
        f"--metric: the file's goal, {goal}, stays, but {name} looks like {less} is better; did you mean --goal {meant}?"
    ]


def read_sweep_document(source: str | Path | Mapping[str, Any], search_dirs: Iterable[str | Path] = ()) -> Document:
    """Reads a sweep as it is written, in a file or in Python. Raises ConfigError when it cannot be read."""
    if isinstance(source, Mapping):
        return _from_python(source)
    path = find_sweep_file(source, search_dirs)
    return read_yaml_file(str(path), str(path))


def _from_python(source: Mapping[str, Any]) -> Document:
    """Makes a document of a description in Python, perhaps of a file that PyYAML has read."""
    found: dict[str, str] = {}
    data = with_numbers(as_yaml(source), found)
    if not found:
        return Document("sweep", data)
    name, text = next(iter(found.items()))
    more = f", and {len(found) - 1} more" if len(found) > 1 else ""
    line = f"sweep: {name}: '{text}'{more}: PyYAML's text is read as the number, as W&B's server most likely does"
    return Document("sweep", data, warnings=(line,))


_WITH_NUMBERS = ("parameters", "metric", "metrics", "early_terminate", "repeats")
_TEXTS = ("name", "goal")  # of a metric


def with_numbers(data: Any, found: dict[str, str] | None = None) -> Any:
    """Converts the texts that PyYAML reads where a sweep file has numbers such as 1e-5 to these.

    W&B's client sends them without quotes, as it sends numbers. `found` is given them, by the keys they stand under.
    """
    if not isinstance(data, dict):
        return data
    found, result = {} if found is None else found, {}
    for key, body in data.items():
        folded = str(key).lower()
        if folded in _WITH_NUMBERS:
            result[key] = _numbers(body, key, found)
        else:
            result[key] = with_numbers(body, found) if folded in WRAPPERS else body
    return result


def _numbers(value: Any, path: str, found: dict[str, str]) -> Any:
    """Converts the texts in a value at any depth that `bare_number` knows."""
    if isinstance(value, dict):
        texts = _TEXTS if path.lower().startswith("metric") else ()
        return {key: item if key in texts else _numbers(item, f"{path}.{key}", found) for key, item in value.items()}
    if isinstance(value, list):
        return [_numbers(item, f"{path}[{place}]", found) for place, item in enumerate(value)]
    number = bare_number(value)
    if number is None:
        return value
    found[path] = value
    return number


def as_yaml(value: Any) -> Any:
    """Converts Python values to those of YAML's reader: mappings to dicts; tuples, ranges, numpy's arrays to lists."""
    if isinstance(value, Mapping):
        return {key if isinstance(key, str) else str(key): as_yaml(item) for key, item in value.items()}
    if hasattr(value, "tolist"):  # numpy's arrays and scalars
        return as_yaml(value.tolist())
    if isinstance(value, list | tuple | range | set | frozenset):
        return [as_yaml(item) for item in value]
    return os.fspath(value) if isinstance(value, os.PathLike) else to_builtin(value)


def find_sweep_file(source: str | Path, search_dirs: Iterable[str | Path] = ()) -> Path:
    """Finds the file a user means by a path or a preset's name.

    Raises ConfigError, which lists the presets.
    """
    path = Path(source)
    if path.is_file():
        return path
    directories = [Path(directory) for directory in search_dirs]
    if path.name == str(source):
        for directory in directories:
            for suffix in ("", *_SUFFIXES):
                candidate = directory / f"{path.name}{suffix}"
                if candidate.is_file():
                    return candidate
    if path.is_dir():
        raise ConfigError(f"{source}: is a folder, not a sweep file")
    names = presets(directories)
    known = f"; presets: {', '.join(names)}{did_you_mean(path.stem, names)}" if names else ""
    raise ConfigError(f"{source}: no such sweep file or preset{known}")


def presets(search_dirs: Iterable[str | Path]) -> list[str]:
    """Lists the names of the sweep files in some folders, sorted."""
    found = (path for directory in search_dirs for path in Path(directory).glob("*.y*ml"))
    return sorted({path.stem for path in found if path.suffix in _SUFFIXES})
