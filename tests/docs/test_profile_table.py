"""The tables in docs/profile.md say what schema and profiles say, and what the tests' logs give."""

from __future__ import annotations

import json
from pathlib import Path

from tests.docs.profile_table import DOCUMENT, SCHEMA, keys_tables, profile_table, with_tables
from yacs_sweep.trainers.load import load_profile
from yacs_sweep.trainers.read_profile import KEYS


def test_the_document_has_the_tables() -> None:
    text = DOCUMENT.read_text(encoding="utf-8")
    assert with_tables(text) == text, "out of date: python -m tests.docs.profile_table"


def test_all_is_read_and_nothing_is_wrong() -> None:
    lines = profile_table().splitlines()[2:]
    assert len(lines) >= 21
    for line in lines:
        read, wrong, *_ = line.split(" | ")[3].split(", ")
        found, of = read.split(" of ")
        assert (found, wrong) == (of, "0"), line
        assert int(of) >= 10


def test_every_key_has_a_row_with_its_kind() -> None:
    keys, entry, file = keys_tables().split("**Each of ")
    rows = [line.split(" | ") for line in keys.splitlines()[2:] if line]
    assert {row[0].strip("| `") for row in rows} == set(KEYS)
    assert all(row[1] and row[3].strip(" |") for row in rows)
    assert "| `pattern` | text |  |" in entry
    assert "| `format` | `jsonl`, `csv`, `tensorboard` | `jsonl` |" in file


def test_defaults_are_those_of_a_profile_that_says_nothing(tmp_path: Path) -> None:
    properties = json.loads(SCHEMA.read_text(encoding="utf-8"))["properties"]
    defaults = {key: form["default"] for key, form in properties.items() if "default" in form}
    (tmp_path / "p.yaml").write_text("command: [t]\n")
    profile = load_profile(tmp_path / "p.yaml", project_root=tmp_path)
    assert defaults == {
        "overrides": profile.overrides,
        "new_keys": profile.new_keys,
        "lenient": profile.lenient,
        "axis": profile.metrics.axis,
        "axis_printed": "after" if profile.metrics.axis_after else "before",
    }
