"""The layout that docs/house.md promises: who imports whom, how large folders and modules are, where tests stand."""

from __future__ import annotations

import ast
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.docs.documents import ROOT

ROOMS = {"yacs_sweep", "tools", "engine", "modeling", "data", "utils", "configs", "tests", "benchmarks"}
MAY = {
    "yacs_sweep": set(),
    "utils": set(),
    "data": {"utils"},
    "modeling": {"utils"},
    "configs": {"data", "modeling", "utils"},  # what a key accepts follows from the tables of builders
    "engine": {"configs", "data", "modeling", "utils"},
    "tools": {"configs", "data", "engine", "modeling", "utils", "yacs_sweep"},
}
_RECORDS = {"base", "spec"}
_SHOW = {"base", "logs", "records", "spec", "trainers", "wandb"}
_LAUNCH = {*_SHOW, "trial", "search", "show", "recorders"}
# The wings of the launcher, and which wings each may import.
WINGS = {
    "base": set(),
    "spec": {"base"},
    "logs": {"base"},
    "records": _RECORDS,
    "recorders": {*_RECORDS, "records"},
    "wandb": {*_RECORDS, "recorders", "records"},
    "trainers": {*_RECORDS, "logs", "records"},
    "trial": {"base", "logs", "records", "trainers"},
    "show": _SHOW,
    "search": {"base", "records", "spec", "trial", "wandb"},
    "launch": _LAUNCH,
    "serve": {*_LAUNCH, "launch"},
    "api": {*_LAUNCH, "launch"},
    "cli": {*_LAUNCH, "launch", "api"},
    "__init__": {*_LAUNCH, "launch", "api"},
}
PACKAGE = ROOT / "yacs_sweep"
MAX_LINES, MAX_MODULES, MAX_TOP = 450, 15, 6

Module = tuple[str, ...]


def imported(path: Path) -> set[str]:
    """Returns the first names of all modules that a file imports absolutely, at its start or later."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            names.add(node.module.partition(".")[0])
    return names


def modules(package: Path) -> dict[Module, Path]:
    """Maps the dotted name of each module, below the package, to its file."""
    return {path.relative_to(package).with_suffix("").parts: path for path in sorted(package.rglob("*.py"))}


def arrows(package: Path) -> Iterator[tuple[Module, Module]]:
    """Yields importer and imported module for every relative import: in functions and for types only as well."""
    known = modules(package)
    for module, path in known.items():
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if not isinstance(node, ast.ImportFrom) or not node.level:
                continue
            base = (*module[: len(module) - node.level], *(node.module.split(".") if node.module else ()))
            for alias in node.names:
                tried = ((*base, alias.name), (*base, alias.name, "__init__"), base, (*base, "__init__"))
                found = next((name for name in tried if name in known), None)
                if found is not None and found != module:
                    yield module, found


def circles(edges: set[tuple[Module, Module]]) -> list[Module]:
    """Returns the modules that reach themselves through imports."""
    targets: dict[Module, set[Module]] = {}
    for source, target in edges:
        targets.setdefault(source, set()).add(target)

    def reaches_itself(start: Module) -> bool:
        seen: set[Module] = set()
        open_ = list(targets.get(start, ()))
        while open_:
            module = open_.pop()
            if module == start:
                return True
            if module not in seen:
                seen.add(module)
                open_ += targets.get(module, ())
        return False

    return sorted(module for module in targets if reaches_itself(module))


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


def test_every_module_of_the_launcher_belongs_to_a_wing() -> None:
    assert {module[0] for module in modules(PACKAGE)} == set(WINGS)


@pytest.mark.parametrize("wing", WINGS)
def test_a_wing_imports_only_the_wings_below_it(wing: str) -> None:
    wrong = {
        (".".join(source), ".".join(target))
        for source, target in arrows(PACKAGE)
        if source[0] == wing and target[0] not in {*WINGS[wing], wing}
    }
    assert not wrong


def test_the_launcher_imports_itself_relatively_so_that_every_arrow_is_seen() -> None:
    absolute = [str(path) for path in modules(PACKAGE).values() if "yacs_sweep" in imported(path)]
    assert not absolute


def test_no_import_circle() -> None:
    assert not circles(set(arrows(PACKAGE)))


def test_a_circle_and_an_import_upwards_are_noticed(tmp_path: Path) -> None:
    for name, text in {
        "base/__init__": "",
        "base/a": "from ..trial import b\n",
        "trial/__init__": "",
        "trial/b": "def f():\n    from ..base.a import x\n",
        "trial/c": "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from .b import f\n",
    }.items():
        path = tmp_path / f"{name}.py"
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
    found = set(arrows(tmp_path))
    assert found == {
        (("base", "a"), ("trial", "b")),
        (("trial", "b"), ("base", "a")),
        (("trial", "c"), ("trial", "b")),
    }
    assert circles(found) == [("base", "a"), ("trial", "b")]


@pytest.mark.parametrize("room", ["yacs_sweep", "engine", "modeling", "data", "utils"])
def test_no_module_and_no_folder_is_too_large(room: str) -> None:
    files = [path for path in (ROOT / room).rglob("*.py") if "__pycache__" not in path.parts]
    scripts = [*(ROOT / room).rglob("*.js"), *(ROOT / room).rglob("*.css")]
    long = {str(path.relative_to(ROOT)): lines for path in (*files, *scripts) if (lines := _lines(path)) > MAX_LINES}
    assert not long
    counts = Counter(path.parent for path in files if path.name != "__init__.py")
    assert not {folder: count for folder, count in counts.items() if count > MAX_MODULES}


def test_every_folder_of_the_launcher_is_installed() -> None:
    listed = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    folders = {".".join(path.parent.relative_to(ROOT).parts) for path in PACKAGE.rglob("__init__.py")}
    assert not {name for name in folders if f'"{name}"' not in listed}


def test_the_top_of_the_package_holds_the_public_names_only() -> None:
    assert len(list(PACKAGE.glob("*.py"))) <= MAX_TOP


def test_tests_mirror_the_wings() -> None:
    folders = {path.parent.relative_to(ROOT / "tests" / "yacs_sweep") for path in _tests()}
    known = {path.parent.relative_to(PACKAGE) for path in PACKAGE.rglob("*.py")}
    assert not {folder for folder in folders if folder not in known and folder != Path("whole")}


def test_every_module_that_the_house_names_is_there() -> None:
    import re

    text = (ROOT / "docs" / "house.md").read_text(encoding="utf-8")
    names = set(re.findall(r"\b([\w/]+\.py)\b", text))
    places = [ROOT, ROOT / "yacs_sweep", ROOT / "tools"]
    assert not [name for name in names if not any((place / name).is_file() for place in places)]


def _lines(path: Path) -> int:
    return len(path.read_text(encoding="utf-8").splitlines())


def _tests() -> list[Path]:
    return list((ROOT / "tests" / "yacs_sweep").rglob("test_*.py"))
