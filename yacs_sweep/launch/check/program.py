"""Finds out whether the trainer's program can be started: its imports, and one `--help`."""

from __future__ import annotations

from collections.abc import Mapping

from ...base.ask_process import NoAnswer, TimedOut
from ...base.wording import clipped
from ...trainers.profile import TrainerProfile
from ...trainers.start import try_start as starting
from ...trainers.start.missing_modules import Imports, find_missing, missing_lines, program_of
from ...trial.process import Exit
from ...trial.verdict import classify
from .findings import PROBLEM, WARNING, Findings


def check_program(
    findings: Findings, profile: TrainerProfile, python: str | None, environment: Mapping[str, str]
) -> None:
    """Adds which modules the trainer's program lacks; starts it with `--help` where it parses a command line.

    Args:
        environment: a trial's.
    """
    program = program_of(profile, python)
    if program is None:
        command = " ".join(profile.command)
        findings.ok("program", f"{command}: found; it is no file of Python, so its imports are not checked")
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
    if profile.overrides in ("argparse", "lightning") and not imports.options:
        findings.warn(
            "program",
            f"{program.name} and its modules parse no options, so --key=value words may change nothing",
            advice="`overrides: file`, with {config_file} in `command`, is for a trainer that reads a file alone",
        )
    what, _ = starting.describe_start(program, imports)
    try:
        started = starting.try_start(program, imports, profile.cwd, environment)
    except TimedOut:
        findings.warn("program", f"{what} has not ended within {starting.WAIT:g} s, and was ended")
        started = None
    except NoAnswer as error:
        findings.problem("program", f"{what} cannot be started: {error}")
        return
    if started is not None and started.status == 0:
        findings.ok("program", f"{what} works")
        return
    lacks = starting.lacking(imports, started, profile.cwd)
    for level, items in (
        (PROBLEM, [item for item in lacks if item.certain]),
        (WARNING, [item for item in lacks if not item.certain]),
    ):
        for line, advice in missing_lines(items, profile.interpreter(python), profile.cwd):
            findings.add(level, "program", line, advice=advice)
    if started is not None and started.missing(profile.cwd) is None:
        _tell_failure(findings, started)
    elif started is None and not what and not lacks:
        findings.ok("program", f"{program.name}: found; not started, since it has no --help and no `if __name__` guard")


def _tell_failure(findings: Findings, started: starting.Started) -> None:
    """Adds why a start has failed, as a trial's reason says it; without an exception that is no problem."""
    text = started.text
    reason = classify(Exit(started.status, None), text, metric=None, metric_seen=False, last_values={}).reason
    if "Traceback" in text:
        advice = "start it by hand in the trainer's folder to see all of it"
        findings.problem("program", f"{started.what}: {clipped(reason)}", advice=advice)
    else:
        findings.warn("program", f"{started.what}: {clipped(reason)}")
