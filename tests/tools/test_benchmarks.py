"""Benchmarks run by hand: what they import must be there, since no other test would tell."""

from __future__ import annotations

import ast
import importlib
import importlib.util
from pathlib import Path

import pytest

SCRIPTS = sorted((Path(__file__).parents[2] / "benchmarks").glob("*.py"))
OURS = {"benchmarks", "configs", "data", "engine", "modeling", "tests", "tools", "utils", "yacs_sweep"}


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.name)
def test_what_it_imports_is_there(script: Path) -> None:
    missing = []
    for node in ast.walk(ast.parse(script.read_text(encoding="utf-8"))):
        if not isinstance(node, ast.ImportFrom) or not node.module or node.module.partition(".")[0] not in OURS:
            continue
        module = importlib.import_module(node.module)
        for name in (f"{node.module}.{alias.name}" for alias in node.names):
            inside = hasattr(module, "__path__") and importlib.util.find_spec(name) is not None
            if not inside and not hasattr(module, name.rpartition(".")[2]):
                missing.append(name)
    assert not missing
