"""Finds paths of data and weights in a trainer's configuration that do not exist. Reads nothing but the configuration."""

from __future__ import annotations

import os
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from ...base.yaml_document import read_yaml
from ...records.inputs import CONFIG, INCLUDE, Taken

# The last part of a key, in words: what it must, and must not, name.
_FOLDER = re.compile(r"(?:^|_)(?:ROOT|DIR|PATH|FOLDER)S?$")
_WEIGHTS = re.compile(
    r"(?:^|_)(?:WEIGHTS?|PRETRAIN(?:ED)?|CHECKPOINT|CKPT|INIT)(?:_(?:FILE|PATH|MODEL))?$|^PRETRAIN\w*PATH$"
)
_WRITTEN = re.compile(
    r"(?:^|_)(?:OUT|OUTPUT|LOG|LOGS|SAVE|SAVED|WORK|CACHE|RESULTS?|TMP|TEMP|RUN|RUNS|SNAPSHOT|EXP)(?:_|$)"
)
_TOP = re.compile(r"DATA|ROOT|DATA_?ROOT")  # options of parsers, mostly
_DATA = re.compile(r"DATA|DATASETS?")
_NO_PATH = re.compile(r"://|[{}$*]|^\s*$")  # addresses, templates, and what a trainer reads as "none"


def configured_keys(inputs: Sequence[Taken]) -> dict[str, Any]:
    """Returns the values of the configuration file and of those it includes, by dotted key; the file's own count most."""
    values: dict[str, Any] = {}
    kinds = {CONFIG: 1, INCLUDE: 0}
    for taken in sorted((item for item in inputs if item.kind in kinds), key=lambda item: kinds[item.kind]):
        data = read_yaml(str(taken.original), taken.content.decode("utf-8", "replace")).data
        if taken.original.suffix != ".py" and isinstance(data, dict):
            values.update(_flat(data))
    return values


def _flat(mapping: Mapping[Any, Any], above: str = "") -> Iterator[tuple[str, Any]]:
    """Yields the leaves of nested mappings by dotted key."""
    for key, value in mapping.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{above}{key}.")
        else:
            yield f"{above}{key}", value


def missing_paths(
    values: Mapping[str, Any], cwd: Path, *, given: Collection[str] | None = None, written: Collection[str] = ()
) -> list[tuple[str, str]]:
    """Lists keys whose value is a path of data or weights that does not exist, with the path.

    Args:
        values: the configuration by dotted key.
        cwd: the trainer's folder, which relative paths start from.
        given: keys that the user's files and words set; of others, a tree's defaults, only folders of data are looked at.
            None: all are given.
        written: keys of what the trainer writes.
    """
    found = []
    for key, value in values.items():
        by_default = given is not None and key not in given
        if key in written or not _names_input(key, by_default):
            continue
        for text in value if isinstance(value, list | tuple) else [value]:
            if isinstance(text, str) and not _NO_PATH.search(text) and _is_path(key, text) and not _exists(text, cwd):
                found.append((key, text))
    return found


def _names_input(key: str, by_default: bool) -> bool:
    """Tells whether a key names data or weights that the training reads."""
    section, _, last = key.replace("-", "_").upper().rpartition(".")
    if _WRITTEN.search(last) or section.rpartition(".")[2] == "TEST":
        return False
    if not section and _TOP.fullmatch(last):
        return True
    if by_default:
        return bool(_FOLDER.search(last) and _DATA.search(f"{section}_{last}"))
    return bool(_FOLDER.search(last) or _WEIGHTS.search(last))


def _is_path(key: str, text: str) -> bool:
    """Tells whether a text is a path: anything, of a key for folders; else one with a slash, as weights may be a name."""
    last = key.replace("-", "_").upper().rpartition(".")[2]
    return "/" in text or (_FOLDER.search(last) is not None and text.lower() != "none")


def _exists(text: str, cwd: Path) -> bool:
    """Tells whether a path is there, as it stands or as a shell reads `~`."""
    return any((cwd / path).exists() for path in (text, os.path.expanduser(text)))


def path_warnings(missing: Sequence[tuple[str, str]], cwd: Path) -> list[str]:
    """Formats missing paths, a line each."""
    where = f" in {cwd}"
    return [
        f"{key}: there is no {path}{'' if os.path.isabs(path) or path.startswith('~') else where}"
        for key, path in missing
    ]
