"""Finds out whether the trainer's program can be started: its imports, and one `--help`."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

from ...base.ask_process import NoAnswer, TimedOut, try_process
from ...base.streams import SILENT_WAIT
from ...base.wording import clipped
from ...trainers.missing_modules import Imports, Missing, Program, find_missing, missing_lines, program_of
from ...trainers.profile import TrainerProfile
from ...trial.process import Exit
from ...trial.verdict import classify
from .findings import Findings

WAIT = 90.0  # seconds for a program to import its libraries and print its help
_FRAME = re.compile(r'^  File "([^"]+)", line (\d+), in <module>$', re.M)
_NO_MODULE = re.compile(r"^ModuleNotFoundError: No module named '([\w.]+)'", re.M)
# Imports what the program imports, without the work below `if __name__ == "__main__":`.
_IMPORT = (
    "import sys; import os, runpy; sys.argv[:] = [sys.argv[1]]; sys.path[0] = os.path.dirname(os.path.abspath(sys.argv[0]));"
    " runpy.run_path(sys.argv[0], run_name='trainer_without_main')"
)
_IMPORT_MODULE = "import sys; import runpy; runpy.run_module(sys.argv[1], run_name='trainer_without_main')"


def check_program(
    findings: Findings, profile: TrainerProfile, python: str | None, environment: Mapping[str, str]
) -> None:
    """Adds which modules the trainer's program lacks; starts it with `--help` where it parses a command line.

    Args:
        environment: a trial's.
    """
    interpreter = profile.interpreter(python)
    program = program_of(profile, python)
    if program is None:
        findings.ok(
            "program", f"{' '.join(profile.command)}: found; it is not a file of Python, so its imports are not checked"
        )
        return
    try:
        imports = find_missing(program, profile.cwd, environment)
    except NoAnswer as error:
        findings.warn("program", f"the imports of {program.name} cannot be read: {error}")
        imports = Imports((), "", False, False)
    if imports.error:
        advice = "correct the file, or name an interpreter that knows its syntax: --python PATH"
        findings.problem("program", imports.error, advice=advice)
        return
    certain = [item for item in imports.missing if item.certain]
    for line, advice in missing_lines(certain, interpreter, profile.cwd):
        findings.problem("program", line, advice=advice)
    if certain:
        return
    started = _start(findings, program, imports, profile, interpreter, environment)
    if not started:
        for line, advice in missing_lines(imports.missing, interpreter, profile.cwd):
            findings.warn("program", line, advice=advice)


def _start(
    findings: Findings,
    program: Program,
    imports: Imports,
    profile: TrainerProfile,
    interpreter: str,
    environment: Mapping[str, str],
) -> bool:
    """Starts the program with `--help`, or imports it without its work; returns whether that has told something."""
    if imports.parser:
        words, what = [*program.words, *program.arguments(), "--help"], f"{program.name} --help"
    elif imports.guard:
        words = [*program.words, "-c", _IMPORT_MODULE if program.module else _IMPORT, program.name]
        what = f"the import of {program.name}"
    else:
        findings.ok("program", f"{program.name}: found; not started, since it has no --help and no `if __name__` guard")
        return False
    waits = f"waiting for {what}, {WAIT:g} s at most"
    try:
        status, text = try_process(
            words, environment=environment, timeout=WAIT, cwd=profile.cwd, notice=(SILENT_WAIT, waits)
        )
    except TimedOut:
        findings.warn("program", f"{what} has not ended within {WAIT:g} s, and was ended")
        return False
    except NoAnswer as error:
        findings.problem("program", f"{what} cannot be started: {error}")
        return True
    if status == 0:
        findings.ok("program", f"{what} works")
        return True
    missing = _NO_MODULE.findall(text)
    if missing:
        frames = [(path, line) for path, line in _FRAME.findall(text) if Path(path).is_relative_to(profile.cwd)]
        place = _shown(*frames[-1], profile.cwd) if frames else ""
        ((line, advice),) = missing_lines([Missing(missing[-1], place, True)], interpreter, profile.cwd)
        findings.problem("program", line, advice=advice)
        return True
    reason = clipped(_reason(status, text))
    if "Traceback" in text:
        findings.problem(
            "program", f"{what}: {reason}", advice="start it by hand in the trainer's folder to see all of it"
        )
    else:
        findings.warn("program", f"{what}: {reason}")
    return True


def _shown(path: str, line: str, cwd: Path) -> str:
    """Formats a place in a file of the project."""
    return f"{Path(path).relative_to(cwd)}:{line}"


def _reason(status: int, text: str) -> str:
    """Says why the program ended, as for a trial."""
    return classify(Exit(status, None), text, metric=None, metric_seen=False, last_values={}).reason
