"""Writes the files that give a trial its parameters: its configuration (`overrides: file`), its JSON (`{params_file}`)."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from ...base.errors import ConfigError
from ...base.files import write_atomically
from ...base.yaml_document import read_yaml_file
from ...records.inputs import INCLUDES
from ..styles import parse_literal

PARAMS_FILE = "args.json"  # in a trial's output folder: that of {params_file}, and of W&B's macro args_json_file
JSON = ".json"
SUFFIXES = (".yml", ".yaml", JSON)


def config_name(base: str | os.PathLike[str]) -> str:
    """Names a trial's merged configuration, in its output folder; trainers that dump theirs have other names."""
    return f"trial-config{Path(base).suffix.lower()}"


def read_base(path: str | os.PathLike[str]) -> dict[str, Any]:
    """Reads a configuration file that is a YAML or JSON mapping.

    Raises:
        ConfigError: the file is another kind, cannot be read, or is no mapping.
    """
    if Path(path).suffix.lower() == JSON:
        try:
            content = json.loads(Path(path).read_text(encoding="utf-8-sig"))
        except (OSError, ValueError) as error:
            raise ConfigError(f"{path}: is no JSON file: {error}") from None
    else:
        read_yaml_file(os.fspath(path))  # tells a mistake's place better than what follows
        with open(path, encoding="utf-8-sig") as file:
            content = yaml.safe_load(file)
    if not isinstance(content, dict | None):
        raise ConfigError(f"{path}: a configuration file is a mapping")
    return content or {}


def dump(config: Mapping[str, Any], suffix: str) -> str:
    """Writes a configuration as the text of a file with that suffix."""
    if suffix.lower() == JSON:
        return json.dumps(config, indent=2, ensure_ascii=False) + "\n"
    # Long texts stay on one line: the line "train with it" replaces paths in the file.
    return yaml.safe_dump(config, sort_keys=False, allow_unicode=True, width=math.inf)


def set_key(config: dict[str, Any], key: str, value: Any, source: object = "the configuration") -> None:
    """Sets a dotted key; a number in it is a place in a list (`model.layers.0.size`), and missing sections are made.

    Raises:
        ConfigError: something on the way is no section.
    """
    *sections, leaf = key.split(".")
    node: Any = config
    for depth, name in enumerate([*sections, leaf], start=1):
        if not isinstance(node, dict | list):
            raise ConfigError(f"{source}: {'.'.join(sections[: depth - 1])}: is not a section")
        place: Any = name
        if isinstance(node, list):
            if not name.isdecimal() or int(name) >= len(node):
                raise ConfigError(f"{source}: {'.'.join(sections[: depth - 1])}: has no place {name}")
            place = int(name)
        if depth > len(sections):
            node[place] = value
        else:
            if isinstance(node, dict) and node.get(place) is None:
                node[place] = {}
            node = node[place]


def nested(values: Mapping[str, Any]) -> dict[str, Any]:
    """Nests values by the dots in their keys: `optim.lr` is `{"optim": {"lr": …}}`."""
    found: dict[str, Any] = {}
    for key, value in values.items():
        set_key(found, key, value, "the parameters")
    return found


def pair_values(words: Sequence[str]) -> dict[str, Any]:
    """Reads KEY VALUE words, as they are kept of a trainer that takes no words; a key's last value counts."""
    return {key: parse_literal(text) for key, text in zip(words[::2], words[1::2], strict=True)}


def leaves(config: Mapping[str, Any] | Sequence[Any], above: str = "") -> dict[str, Any]:
    """Lists the values of a configuration by dotted key; mappings in a list have their place in the key."""
    found: dict[str, Any] = {}
    items = config.items() if isinstance(config, Mapping) else enumerate(config)
    for name, value in items:
        key = f"{above}{name}"
        listed = isinstance(value, list) and any(isinstance(item, Mapping) for item in value)
        if listed or (isinstance(value, Mapping) and value):
            found |= leaves(value, f"{key}.")
        else:
            found[key] = value
    return found


def with_moved_includes(config: dict[str, Any], old: Path, new: Path, root: Path) -> dict[str, Any]:
    """Rewrites includes of a configuration that moves from one folder to another, so that they name the same files.

    Args:
        root: the sweep's folder; a file inside is named relative to the new folder, since both move together.
    """
    moved = dict(config)
    for key in INCLUDES:
        value = moved.get(key)
        if isinstance(value, str):
            moved[key] = _moved(value, old, new, root)
        elif isinstance(value, list):
            moved[key] = [_moved(item, old, new, root) for item in value]
    return moved


def _moved(name: Any, old: Path, new: Path, root: Path) -> Any:
    """Names an included file from another folder; what is no relative path to a file stays."""
    if not isinstance(name, str) or not name or Path(name).expanduser().is_absolute() or not (old / name).is_file():
        return name
    target = os.path.normpath(old / name)
    return os.path.relpath(target, new) if Path(target).is_relative_to(root) else target


def write_params(folder: Path, values: Mapping[str, Any]) -> None:
    """Writes parameters as one JSON object into the trial's output folder."""
    write_atomically(folder / PARAMS_FILE, json.dumps(values, ensure_ascii=False) + "\n")
