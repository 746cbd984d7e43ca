"""Imports go one way, as docs/house.md says."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from tests.docs.documents import ROOT

ROOMS = {"yacs_sweep", "tools", "engine", "modeling", "data", "utils", "configs", "tests", "benchmarks"}
MAY = {
    "yacs_sweep": set(),
    "configs": set(),
    "utils": {"configs"},
    "data": {"configs", "utils"},
    "modeling": {"configs", "utils"},
    "engine": {"configs", "data", "modeling", "utils"},
    "tools": {"configs", "data", "engine", "modeling", "utils", "yacs_sweep"},
}


def imported(path: Path) -> set[str]:
    """The first names of all modules that a file imports absolutely, at its start or later."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            names.add(node.module.partition(".")[0])
    return names


@pytest.mark.parametrize("room", MAY)
def test_a_room_imports_only_what_lies_below_it(room: str) -> None:
    wrong = {
        str(path.relative_to(ROOT)): sorted(extra)
        for path in (ROOT / room).rglob("*.py")
        if (extra := imported(path) & ROOMS - MAY[room] - {room})
    }
    assert not wrong


def test_an_import_is_noticed(tmp_path: Path) -> None:
    path = tmp_path / "x.py"
    path.write_text(
        "import os\nfrom . import data\ndef f():\n    from engine.config import y\n    import utils.files as z\n"
    )
    assert imported(path) == {"os", "engine", "utils"}


def test_every_module_that_the_house_names_is_there() -> None:
    import re

    text = (ROOT / "docs" / "house.md").read_text(encoding="utf-8")
    names = set(re.findall(r"\b([\w/]+\.py)\b", text))
    places = [ROOT, ROOT / "yacs_sweep", ROOT / "tools"]
    assert not [name for name in names if not any((place / name).is_file() for place in places)]
