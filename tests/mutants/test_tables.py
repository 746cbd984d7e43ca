"""The tables of `make mutants` name modules and tests that there are."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

HERE = Path(__file__).parent
ROOT = HERE.parents[1]


def table(name: str) -> list[dict[str, Any]]:
    """Reads one of the tables; each has one list."""
    (entries,) = tomllib.loads((HERE / name).read_text(encoding="utf-8")).values()
    return list(entries)


@pytest.mark.parametrize("module", table("modules.toml"), ids=lambda module: module["path"])
def test_a_module_and_its_tests_are_there(module: dict[str, Any]) -> None:
    assert module["tests"]
    for path in (module["path"], *module["tests"]):
        assert (ROOT / path).is_file(), path


def test_a_change_that_changes_nothing_is_of_a_listed_module_and_has_a_reason() -> None:
    paths = {module["path"] for module in table("modules.toml")}
    for entry in table("equivalent.toml"):
        assert entry["line"] and len(entry["why"]) > 5, entry
        assert "module" not in entry or entry["module"] in paths, entry
