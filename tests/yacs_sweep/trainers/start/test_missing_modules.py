"""Modules that a trainer lacks are found in its files, in the order in which they are imported, without starting it."""

from __future__ import annotations

import os
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from yacs_sweep.trainers.load import load_profile
from yacs_sweep.trainers.start.missing_modules import (
    Imports,
    Missing,
    find_missing,
    how_to_get,
    missing_lines,
    program_of,
    reason_advice,
)


def found(folder: Path, files: dict[str, str], command: str = "[python, train.py]") -> Imports:
    """What a trainer of these files lacks."""
    for name, text in {"train.py": "", **files}.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    (folder / "p.yaml").write_text(f"command: {command}\ncwd: .\n")
    program = program_of(load_profile(folder / "p.yaml", project_root=folder), None)
    assert program is not None
    return find_missing(program, folder, os.environ)


@pytest.mark.parametrize(
    "code",
    [
        "import no_such_module",
        "from no_such_module.config import CfgNode",
        "import os\nif __name__ == '__main__':\n    import no_such_module",
        "with open('x') as f:\n    import no_such_module",
        "try:\n    import no_such_module\nexcept ValueError:\n    pass",
        "class A:\n    import no_such_module",
    ],
)
def test_what_a_start_imports(code: str, tmp_path: Path) -> None:
    (item,) = found(tmp_path, {"train.py": code}).missing
    line = 1 + [("no_such_module" in text) for text in code.splitlines()].index(True)
    assert item == Missing("no_such_module", f"train.py:{line}", True)


@pytest.mark.parametrize(
    "code",
    [
        "try:\n    import no_such_module\nexcept ImportError:\n    no_such_module = None",
        "try:\n    import no_such_module\nexcept:\n    pass",
        "def f():\n    import no_such_module",
        "import sys\nif sys.version_info < (3,):\n    import no_such_module",
        "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import no_such_module",
        "import os.path, json, importlib.util, xml.etree.ElementTree",
        "import own\nfrom own import part, name\nfrom own.part import x\nimport own.part",
    ],
)
def test_what_it_need_not_import(code: str, tmp_path: Path) -> None:
    files = {"own/__init__.py": "from . import part\nname = 1\n", "own/part.py": "from .. import own\nx = 1\n"}
    assert found(tmp_path, {"train.py": code, **files}).missing == ()


def test_imports_are_followed_through_the_project(tmp_path: Path) -> None:
    files = {
        "train.py": "from engine import build\nimport other_one",
        "engine/__init__.py": "from .build import build",
        "engine/build.py": "from .deep.layer import Layer",
        "engine/deep/__init__.py": "",
        "engine/deep/layer.py": "\nimport deep_one\nfrom ..lost import x",
    }
    assert found(tmp_path, files).missing == (
        Missing("deep_one", "engine/deep/layer.py:2", True),
        Missing("engine.lost", "engine/deep/layer.py:3", True),
        Missing("other_one", "train.py:2", True),
    )


def test_a_script_in_a_folder_does_not_find_the_project(tmp_path: Path) -> None:
    files = {"tools/train.py": "import mine", "mine/__init__.py": "import absent"}
    assert found(tmp_path, files, "[python, tools/train.py]").missing == (Missing("mine", "tools/train.py:1", True),)
    files["tools/train.py"] = "import sys\nsys.path.append('.')\nimport mine"
    assert found(tmp_path, files, "[python, tools/train.py]").missing == (
        Missing("absent", "mine/__init__.py:1", True),
    )
    assert found(tmp_path, files, "[python, -m, tools.train]").missing == (
        Missing("absent", "mine/__init__.py:1", True),
    )


def test_a_changed_search_path_makes_it_uncertain(tmp_path: Path) -> None:
    """As in HRNet: tools/_init_paths.py puts lib/ on the path."""
    files = {
        "tools/train.py": "import first\nimport _init_paths\nfrom core import loop",
        "tools/_init_paths.py": "import os, sys\nlib = os.path.join(os.path.dirname(__file__), '..', 'lib')\n"
        "sys.path.insert(0, lib)",
        "lib/core/loop.py": "import second",
    }
    assert found(tmp_path, files, "[python, tools/train.py]").missing == (
        Missing("first", "tools/train.py:1", True),
        Missing("second", "lib/core/loop.py:1", False),
    )


def test_a_files_wrong_syntax(tmp_path: Path) -> None:
    told = found(tmp_path, {"train.py": "import part", "part.py": "x = 1\nprint 'x'"}).error
    assert told.startswith("part.py:2: SyntaxError: ")


@pytest.mark.parametrize(
    ("code", "parser", "guard"),
    [
        ("import argparse", True, False),
        ("import json", False, False),
        ("def main(): pass\nif __name__ == '__main__':\n    main()", False, True),
    ],
)
def test_what_a_start_would_do(code: str, parser: bool, guard: bool, tmp_path: Path) -> None:
    imports = found(tmp_path, {"train.py": code})
    assert (imports.parser, imports.guard) == (parser, guard)


@pytest.mark.parametrize(
    ("command", "arguments"),
    [
        ("[python, -u, train.py, --x]", ["train.py"]),
        ("[python, -um, pkg.train]", None),
        ("[python, -m, pkg.train]", ["-m", "pkg.train"]),
        ("[env, A=1, python, train.py]", None),  # another python than the trainer's
        ("[sh, run.sh]", None),
        ("[python, '{config_file}']", None),
    ],
)
def test_the_program_of_a_command(command: str, arguments: list[str] | None, tmp_path: Path) -> None:
    (tmp_path / "p.yaml").write_text(f"command: {command}\ncwd: .\n")
    program = program_of(load_profile(tmp_path / "p.yaml", project_root=tmp_path), None)
    assert (program and program.arguments()) == arguments
    assert program is None or program.words[0] == sys.executable


def test_what_to_do_differs(tmp_path: Path) -> None:
    (tmp_path / "lib" / "mine").mkdir(parents=True)
    (tmp_path / "lib" / "mine" / "x.py").touch()
    items = [Missing(name, "t.py:1", True) for name in ("yacs", "mine", "cv2", "mine.ext", "torch._six")]
    assert missing_lines(items, "/v/python", tmp_path) == [
        (
            "/v/python lacks yacs (t.py:1), cv2 (t.py:1)",
            "/v/python -m pip install yacs opencv-python, or --python PATH names the interpreter that has it",
        ),
        (
            f"Python does not look in {tmp_path}/lib for mine (t.py:1)",
            "write `env: {PYTHONPATH: lib}` in the profile, or `cwd: lib` for a command with -m",
        ),
        (
            f"the package in {tmp_path}/lib has no mine.ext (t.py:1)",
            "build or install the project as its README says",
        ),
        ("the package that /v/python has contains no torch._six (t.py:1)", "install another version of torch"),
    ]


def test_the_reason_of_a_trial_gets_the_same_advice(tmp_path: Path) -> None:
    reason = "import error: ModuleNotFoundError: No module named 'yacs.config'"
    (tmp_path / "p.yaml").write_text("command: [python, t.py]\ncwd: .\n")
    profile = load_profile(tmp_path / "p.yaml", project_root=tmp_path)
    advice = how_to_get(["yacs.config"], "/v/python", tmp_path)[1]
    assert reason_advice(reason, profile, "/v/python") == f"; {advice}"
    assert reason_advice("exit code 1: ValueError: x", profile, "/v/python") == ""
    assert reason_advice(reason, replace(profile, command=("sh", "t.sh")), "/v/python") == ""
