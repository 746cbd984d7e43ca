"""Finds modules that a trainer's interpreter lacks, without starting the trainer, and says how to get them."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ...base.ask_process import NoAnswer, ask_process
from ..find_program import behind_env
from ..profile import TrainerProfile

_SCRIPT = Path(__file__).parent.parent / "inside" / "find_imports.py"
_WAIT = 20.0  # seconds to read a project's files
_FLAG = re.compile(r"-[A-Za-ln-z]+")  # of an interpreter: -u; those that take a value are not known here
_NO_MODULE = re.compile(r"ModuleNotFoundError: No module named '([\w.]+)'")
_DEEP, _WIDE = 3, 200  # folders of a project in which a module is looked for
# What pip calls packages that are imported by another name.
PIP = {
    "cv2": "opencv-python",
    "PIL": "pillow",
    "yaml": "pyyaml",
    "sklearn": "scikit-learn",
    "skimage": "scikit-image",
    "ignite": "pytorch-ignite",
    "faiss": "faiss-cpu",
    "hydra": "hydra-core",
    "pytorch_lightning": "pytorch-lightning",
    "mpl_toolkits": "matplotlib",
}


@dataclass(frozen=True)
class Program:
    """Names what an interpreter executes: a file, or a module behind `-m`. `words` are the command up to it."""

    words: tuple[str, ...]
    module: bool
    name: str

    def arguments(self) -> list[str]:
        """Returns the program as arguments of an interpreter, and of find_imports.py."""
        return ["-m", self.name] if self.module else [self.name]


@dataclass(frozen=True)
class Missing:
    """Names a module that is not there, the file and line that import it, and whether that is certain."""

    name: str
    place: str
    certain: bool


@dataclass(frozen=True)
class Imports:
    """Holds what a program imports at its start and lacks; `error` is a mistake in a file's syntax.

    `parser`: the program parses a command line. `guard`: importing it does not start its work.
    """

    missing: tuple[Missing, ...]
    error: str
    parser: bool
    guard: bool
    places: frozenset[str] = frozenset()  # FILE:LINE of every import that is executed whenever the program starts
    options: bool = True  # whether its files may parse options


def program_of(profile: TrainerProfile, python: str | None) -> Program | None:
    """Returns the program that the trainer's interpreter executes in a trial; None where another program is executed."""
    interpreter = profile.interpreter(python)
    words = list(behind_env(replace(profile, wrap=()).executed_commands(interpreter)[-1]))
    if words[:1] != [interpreter]:
        return None
    place = 1
    while place < len(words) and _FLAG.fullmatch(words[place]):
        place += 1
    rest = words[place:]
    if rest[:1] == ["-m"] and len(rest) > 1:
        return Program(tuple(words[:place]), True, rest[1])
    if rest and rest[0].endswith(".py"):
        return Program(tuple(words[:place]), False, rest[0])
    return None


def find_missing(program: Program, cwd: Path, environment: Mapping[str, str]) -> Imports:
    """Asks the trainer's interpreter which modules it lacks. Raises NoAnswer.

    Args:
        cwd: the trainer's folder.
        environment: a trial's.
    """
    words = [*program.words, str(_SCRIPT), *program.arguments()]
    answer: dict[str, Any] = ask_process(words, environment=environment, cwd=cwd, timeout=_WAIT)
    if "missing" not in answer:
        raise NoAnswer("it does not answer as Python does")
    missing = [Missing(item["name"], f"{item['file']}:{item['line']}", item["certain"]) for item in answer["missing"]]
    return Imports(
        tuple(missing),
        answer["error"],
        answer["parser"],
        answer["guard"],
        frozenset(answer["places"]),
        answer["options"],
    )


def missing_lines(missing: Sequence[Missing], interpreter: str, cwd: Path) -> list[tuple[str, str]]:
    """Returns, for missing modules of one kind each, what is wrong and what to do about it."""
    kinds: dict[str, list[Missing]] = {}
    for item in missing:
        kinds.setdefault(how_to_get([item.name], interpreter, cwd)[0], []).append(item)
    lines = []
    for wrong, items in kinds.items():
        names = ", ".join(f"{item.name} ({item.place})" if item.place else item.name for item in items)
        advice = how_to_get([item.name for item in items], interpreter, cwd)[1]
        lines.append((f"{wrong} {names}", advice))
    return lines


def how_to_get(names: Sequence[str], interpreter: str, cwd: Path) -> tuple[str, str]:
    """Returns what is wrong with modules of one kind, before their names, and what to do.

    A module is one of the project that Python does not look for where it is, a part that its package does not have, or
    not installed.
    """
    tops = list(dict.fromkeys(name.partition(".")[0] for name in names))
    folder, part = project_folder(tops[0], cwd), "." in names[0]
    if folder is not None and part:
        return f"the package in {folder} has no", "build or install the project as its README says"
    if folder is not None:
        shown = os.path.relpath(folder, cwd)
        advice = f"write `env: {{PYTHONPATH: {shown}}}` in the profile, or `cwd: {shown}` for a command with -m"
        return f"Python does not look in {folder} for", advice
    packages = " ".join(PIP.get(top, top) for top in tops)
    if part:
        return f"the package that {interpreter} has contains no", f"install another version of {packages}"
    return (
        f"{interpreter} lacks",
        f"{interpreter} -m pip install {packages}, or --python PATH names the interpreter that has it",
    )


def project_folder(name: str, cwd: Path) -> Path | None:
    """Returns the folder at or below `cwd` that holds the module or package; None without one."""
    for folder in _folders(cwd):
        package = folder / name
        if (folder / f"{name}.py").is_file() or (package.is_dir() and any(package.glob("*.py"))):
            return folder
    return None


def _folders(root: Path) -> Iterator[Path]:
    """Yields a folder, and the visible ones below it, the nearest first."""
    level, seen = [root], 0
    for _ in range(_DEEP):
        below = []
        for folder in level:
            yield folder
            try:
                inside = sorted(each for each in folder.iterdir() if each.is_dir() and not each.name.startswith("."))
            except OSError:
                continue
            below += [each for each in inside if not (each / "pyvenv.cfg").exists()][: max(0, _WIDE - seen)]
            seen += len(inside)
        level = below


def module_in(reason: str) -> str | None:
    """Returns the module for want of which a trial has failed, by the trial's reason; None for other reasons."""
    found = _NO_MODULE.search(reason)
    return found[1] if found else None


def reason_advice(reason: str, profile: TrainerProfile, python: str | None) -> str:
    """Returns what to do about a trial that ended at an import, behind a semicolon; empty for other reasons."""
    name = module_in(reason)
    if name is None or program_of(profile, python) is None:
        return ""
    return f"; {how_to_get([name], profile.interpreter(python), profile.cwd)[1]}"
