"""Starts a trainer's program as far as its imports: with `--help`, or without the work below its `if __name__` guard."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from ...base.ask_process import NoAnswer, try_process
from ...base.streams import SILENT_WAIT
from ..profile import PYTHON, TrainerProfile
from .interpreter import python_problem
from .missing_modules import Imports, Missing, Program, find_missing, missing_lines, program_of

WAIT = 90.0  # seconds for a program to import its libraries and print its help
_FRAME = re.compile(r'^  File "([^"]+)", line (\d+), in .+$', re.M)
_NO_MODULE = re.compile(r"^ModuleNotFoundError: No module named '([\w.]+)'", re.M)
# Imports what the program imports, without the work below `if __name__ == "__main__":`.
_IMPORT = (
    "import sys; import os, runpy; sys.argv[:] = [sys.argv[1]]; sys.path[0] = os.path.dirname(os.path.abspath(sys.argv[0]));"
    " runpy.run_path(sys.argv[0], run_name='trainer_without_main')"
)
_IMPORT_MODULE = "import sys; import runpy; runpy.run_module(sys.argv[1], run_name='trainer_without_main')"


_tried: set[tuple[str, Path]] = set()  # starts of this process: that one is waited for is said once


@dataclass(frozen=True)
class Started:
    """Tells how a start ended: the exit status, and the end of what was printed. `what` names the start in a message."""

    what: str
    status: int
    text: str

    def missing(self, cwd: Path) -> Missing | None:
        """Returns the module for want of which the program ended; None where it ended otherwise."""
        names = _NO_MODULE.findall(self.text)
        if self.status == 0 or not names:
            return None
        # A script's own path is as it was given; <frozen …> is none.
        found = [(cwd / path, line) for path, line in _FRAME.findall(self.text) if not path.startswith("<")]
        frames = [
            (path, line) for path, line in found if path.is_relative_to(cwd) and "site-packages" not in path.parts
        ]
        place = f"{frames[-1][0].relative_to(cwd)}:{frames[-1][1]}" if frames else ""
        return Missing(names[-1], place, certain=True)


def describe_start(program: Program, imports: Imports) -> tuple[str, list[str]]:
    """Returns how a program can be started without its work, in words and as a command; an empty command: it cannot."""
    if imports.parser:
        return f"{program.name} --help", [*program.words, *program.arguments(), "--help"]
    if imports.guard:
        code = _IMPORT_MODULE if program.module else _IMPORT
        return f"the import of {program.name}", [*program.words, "-c", code, program.name]
    return "", []


def try_start(program: Program, imports: Imports, cwd: Path, environment: Mapping[str, str]) -> Started | None:
    """Starts a program without its work; returns how that ended, None where it cannot be started so.

    Args:
        cwd: the trainer's folder.
        environment: a trial's.

    Raises:
        TimedOut: it has not ended in time.
        NoAnswer: it cannot be started.
    """
    what, words = describe_start(program, imports)
    if not words:
        return None
    told = (what, cwd) in _tried
    _tried.add((what, cwd))
    notice = (0.0, "") if told else (SILENT_WAIT, f"waiting for {what}, {WAIT:g} s at most")
    return Started(what, *try_process(words, environment=environment, timeout=WAIT, cwd=cwd, notice=notice))


def lacking(imports: Imports, started: Started | None, cwd: Path) -> list[Missing]:
    """Lists the modules that a program lacks: the one for want of which its start ended, and what its files say beside.

    Of a start that ended otherwise, or was not made, the files alone tell.
    """
    first = started.missing(cwd) if started is not None else None
    if first is None:
        return list(imports.missing)
    known = {item.name: item for item in imports.missing}
    return [
        Missing(first.name, known[first.name].place, certain=True) if first.name in known else first,
        *(item for item in imports.missing if item.name != first.name),
    ]


def start_problems(
    profile: TrainerProfile, python: str | None, environment: Mapping[str, str]
) -> tuple[list[str], list[str]]:
    """Finds out, before a sweep exists, whether the trainer's modules are there.

    Its files are read first. Only where one imports what is not there the program is started as far as its imports: what is
    a problem then has been seen to happen.

    Args:
        environment: a trial's.

    Returns:
        What keeps trials from starting, and what may keep them, a line each.
    """
    program = program_of(profile, python)
    if program is None or (profile.wrap and profile.wrap[0] != PYTHON):
        return [], []  # another program starts the interpreter, perhaps elsewhere
    interpreter = profile.interpreter(python)
    try:
        imports = find_missing(program, profile.cwd, environment)
    except NoAnswer:
        why = python_problem(interpreter, environment)
        return ([f"trainer {profile.name}: {why}"] if why else []), []
    if imports.error:
        return [f"trainer {profile.name}: {imports.error}"], []
    certain = [item for item in imports.missing if item.certain]
    if not certain:
        return [], []
    try:
        started = try_start(program, imports, profile.cwd, environment)
    except NoAnswer:
        started = None
    if started is not None and started.missing(profile.cwd) is None:
        return [], []
    missing = [item for item in lacking(imports, started, profile.cwd) if item.certain]
    told = [f"trainer {profile.name}: {'; '.join(line)}" for line in missing_lines(missing, interpreter, profile.cwd)]
    return (told, []) if started is not None else ([], told)


def fails_at_every_start(
    text: str, profile: TrainerProfile, python: str | None, environment: Mapping[str, str]
) -> bool:
    """Tells whether a trial that missed a module did so at an import that every start executes, whatever its parameters.

    Args:
        text: the end of the trial's output, with the traceback.
        environment: a trial's.
    """
    program = program_of(profile, python)
    if program is None:
        return False
    try:
        imports = find_missing(program, profile.cwd, environment)
    except NoAnswer:
        return False
    missed = Started("", 1, text).missing(profile.cwd)
    return missed is not None and (
        missed.place in imports.places or missed.name in {item.name for item in imports.missing}
    )
