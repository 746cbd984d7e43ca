"""Writes the tables of docs/profile.md: a profile's keys, from its JSON schema; the profiles that ship, from themselves and the
logs they are tested on.

python -m tests.docs.profile_table            # write
"""

from __future__ import annotations

import json
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tests.docs.documents import ROOT
from tests.yacs_sweep.logs.trainer_logs import FILES, LOGS, Number
from yacs_sweep.logs.metric_files import Follower
from yacs_sweep.logs.parser import LogParser
from yacs_sweep.trainers.load import load_profile
from yacs_sweep.trainers.profile import TrainerProfile
from yacs_sweep.trainers.styles import override_arguments

DOCUMENT = ROOT / "docs" / "profile.md"
SCHEMA = ROOT / "configs" / "trainers" / "schema.json"
PARTS = (("metrics", "entry"), ("files", "file"))  # keys whose list holds mappings, by their name in the schema
PLACES = ("keys", "profiles")  # each written between two comments of the document
WRAPS = ("torchrun",)  # no trainer by itself
EPOCHS = 8
HEAD = ("profile", "tree", "words", "log: read, wrong", "x-axis", "seed", "GPUs", "checkpoints", "resumes")
KEYS_HEAD = ("key", "value", "default", "meaning")
KINDS = {
    "string": "text",
    "integer": "whole number",
    "number": "number",
    "boolean": "true, false",
    "object": "mapping",
    "array": "list",
    "null": "",
}
Row = Mapping[str, Number]


def profile_table() -> str:
    """Returns the table in Markdown."""
    names = sorted(path.stem for path in (ROOT / "configs" / "trainers").glob("*.yaml") if path.stem not in WRAPS)
    return _table([HEAD, *(_row(name) for name in names)])


def keys_tables() -> str:
    """Returns a table of a profile's keys, and one each of the keys of an entry of `metrics` and of `files`."""
    schema = json.loads(SCHEMA.read_text(encoding="utf-8"))
    parts = [("", schema), *((f"`{name}`", schema["$defs"][part]) for name, part in PARTS)]
    return "\n".join(
        (f"**Each of {title}:**\n\n" if title else "") + _table(_key_rows(part["properties"], schema["$defs"]))
        for title, part in parts
    )


def with_tables(text: str) -> str:
    """Returns the document with the tables in their places."""
    for place, table in zip(PLACES, (keys_tables(), profile_table()), strict=True):
        begin = f"<!-- {place}: written by tests/docs/profile_table.py -->\n"
        start, end = text.index(begin) + len(begin), text.index(f"<!-- end of {place} -->")
        text = f"{text[:start]}\n{table}\n{text[end:]}"
    return text


def _table(rows: Sequence[tuple[str, ...]]) -> str:
    return "".join(f"| {' | '.join(row)} |\n" for row in (rows[0], tuple("---" for _ in rows[0]), *rows[1:]))


def _key_rows(properties: Mapping[str, Any], definitions: Mapping[str, Any]) -> list[tuple[str, ...]]:
    rows = [KEYS_HEAD]
    for key, form in properties.items():
        whole = {**definitions[form["$ref"].rpartition("/")[2]], **form} if "$ref" in form else form
        meaning, _, default = whole["description"].partition("; default: ")
        default = _code(_yaml(whole["default"])) if "default" in whole else default
        cells = (_code(key), ", ".join(_kinds(whole, definitions)), default, meaning)
        rows.append(tuple(cell.replace("|", "\\|") for cell in cells))
    return rows


def _kinds(form: Mapping[str, Any], definitions: Mapping[str, Any]) -> list[str]:
    """Says which values the schema allows, each kind once."""
    if "$ref" in form:
        return _kinds(definitions[form["$ref"].rpartition("/")[2]], definitions)
    if "enum" in form:
        return [_code(_yaml(value)) for value in form["enum"] if value is not None]
    if "const" in form:
        return [_code(_yaml(form["const"]))]
    if choices := form.get("anyOf") or form.get("oneOf"):
        return list(dict.fromkeys(kind for choice in choices for kind in _kinds(choice, definitions)))
    named = form["type"] if isinstance(form["type"], list) else [form["type"]]
    kinds = [KINDS[name] for name in named]
    if form.get("properties"):
        kinds = [kind.replace("mapping", f"mapping of {', '.join(map(_code, form['properties']))}") for kind in kinds]
    return list(filter(None, kinds))


def _yaml(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def _row(name: str) -> tuple[str, ...]:
    profile = load_profile(name, project_root=ROOT)
    words = [profile.overrides_option] if profile.overrides_option else []
    words += override_arguments(profile.overrides, "KEY", "VALUE")
    axis = f"{profile.metrics.axis}{', printed after its metrics' * profile.metrics.axis_after}"
    return (
        _code(name),
        ", ".join(map(_code, profile.schema.trees or (str(profile.schema),))) if profile.schema else "not checked",
        _code(" ".join(words)),
        _log(name, profile),
        axis,
        _code(profile.aliases.get("seed", "")),
        _code(profile.gpu_key.key) if profile.gpu_key else "as visible",
        ", ".join(map(_code, profile.checkpoints)),
        _code(profile.resume.text) or {True: "by itself", False: "no", None: ""}[profile.resume.itself],
    )


def _code(text: str) -> str:
    return f"`{text}`" if text else ""


def _log(name: str, profile: TrainerProfile) -> str:
    """Counts, on the log of the tests, the values that are read, of how many, and those that are wrong."""
    if name in LOGS:
        log = LOGS[name](EPOCHS, True)
        parser = LogParser(profile.metrics)
        found, expected, place = [*parser.feed_chunk(log.text.encode()), *parser.close()], log.rows, ""
    else:
        file = FILES[name]
        found, expected, place = (
            _rows_of(profile, file.path, file.text),
            file.rows,
            f", of {_code(Path(file.path).name)}",
        )
    read, wanted = _values(found), _values(expected)
    wrong = sum(count - min(count, wanted.count(value)) for value in set(read) for count in [read.count(value)])
    return f"{len(read) - wrong} of {len(wanted)}, {wrong}{place}"


def _rows_of(profile: TrainerProfile, file: str, text: str) -> list[Row]:
    with tempfile.TemporaryDirectory() as folder:
        values = {"output_dir": folder, "trial_id": "t"}
        follower = Follower(profile.files, Path(folder), values, profile.metrics.axis)
        path = Path(folder, file)
        path.parent.mkdir(parents=True)
        path.write_text(text)
        return [row for _, row in follower.close()]


def _values(rows: Sequence[Row]) -> list[tuple[int, str, str]]:
    """Lists the values with the row they are in; nan equals nan here."""
    return [(place, name, repr(float(value))) for place, row in enumerate(rows) for name, value in row.items()]


def main() -> int:
    """Writes the document."""
    DOCUMENT.write_text(with_tables(DOCUMENT.read_text(encoding="utf-8")), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
