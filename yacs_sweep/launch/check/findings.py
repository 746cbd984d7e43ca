"""Collects the findings of `--check`, and writes them as lines or as JSON."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass

from ...base.errors import ConfigError
from ...base.wording import counted, wrap

OK, WARNING, PROBLEM = "ok", "warning", "problem"
_INDENT = 9  # columns of a level and the blank behind it


@dataclass(frozen=True)
class Finding:
    """Holds one finding: what was looked at, how it is, and what to do about it (empty: nothing)."""

    level: str  # OK, WARNING or PROBLEM
    subject: str  # one word or two: interpreter, GPUs
    text: str
    advice: str = ""


class Findings:
    """Collects findings in the order in which they are shown."""

    def __init__(self) -> None:
        self.found: list[Finding] = []

    def add(self, level: str, subject: str, text: str, *, advice: str = "") -> None:
        """Adds a finding of a level."""
        self.found.append(Finding(level, subject, text, advice))

    def ok(self, subject: str, text: str, *, advice: str = "") -> None:
        """Adds a finding that is as it should be."""
        self.add(OK, subject, text, advice=advice)

    def warn(self, subject: str, text: str, *, advice: str = "") -> None:
        """Adds a finding with which a sweep runs, but perhaps not as the user means."""
        self.add(WARNING, subject, text, advice=advice)

    def problem(self, subject: str, text: str, *, advice: str = "") -> None:
        """Adds a finding that keeps the sweep from running."""
        self.add(PROBLEM, subject, text, advice=advice)

    def add_problems(self, subject: str, problems: Iterable[str]) -> None:
        """Adds the lines of a ConfigError, each once; a line that another subject has already shown is left out."""
        for line in dict.fromkeys(problems):
            if not self._is_told(line):
                self.problem(subject, line)

    def add_warnings(self, subject: str, warnings: Iterable[str]) -> None:
        """Adds the warnings of a launch, without those that another subject has already."""
        for line in dict.fromkeys(warnings):
            if not self._is_told(line):
                self.warn(subject, line)

    def _is_told(self, line: str) -> bool:
        """Tells whether a finding says what the line says, perhaps behind the trainer's name."""
        told = [item for item in self.found if item.level != OK]
        return line.endswith(tuple(text for item in told for text in (item.text, f"{item.text}; {item.advice}")))

    def add_error(self, subject: str, error: ConfigError) -> None:
        """Adds every mistake of an error."""
        self.add_problems(subject, error.problems)

    def count(self, level: str) -> int:
        """Counts the findings of a level."""
        return sum(item.level == level for item in self.found)

    @property
    def exit_status(self) -> int:
        """Returns 2 when something keeps the sweep from running, else 0."""
        return 2 if self.count(PROBLEM) else 0

    def conclusion(self, command: str) -> tuple[str, str]:
        """Returns the last line: how many problems there are, or that the sweep can start; and the command it names."""
        problems, warnings = self.count(PROBLEM), self.count(WARNING)
        if problems:
            beside = f" and {counted(warnings, 'warning')}" if warnings else ""
            return f"{counted(problems, 'problem')}{beside}: mend what the lines say, then check once more", ""
        return f"ready, with {counted(warnings, 'warning')}" if warnings else "ready", command

    def as_text(self, command: str, width: int | None = None) -> str:
        """Formats the findings, a line each, advice below it, and the conclusion.

        Args:
            command: starts the sweep, or says how such a command looks.
            width: columns of a line; None: lines are not broken.
        """
        lines: list[str] = []
        for item in self.found:
            lines += _broken(f"{item.level:<{_INDENT}}{item.subject}: {item.text}", width, _INDENT)
            if item.advice:
                lines += _broken(f"{'':{_INDENT}}→ {item.advice}", width, _INDENT + 2)
        said, command = self.conclusion(command)
        if not command:
            return "\n".join([*lines, "", *_broken(said, width, 0)])
        if width is None or len(said) + 2 + len(command) <= width:
            return "\n".join([*lines, "", f"{said}: {command}"])
        return "\n".join([*lines, "", f"{said}:", *wrap(f"  {command}", width, indent=4, shell=True)])

    def as_json(self, command: str) -> str:
        """Formats the findings as a JSON object; the keys of a finding are those of `Finding`."""
        problems, warnings = self.count(PROBLEM), self.count(WARNING)
        content = {
            "findings": [asdict(item) for item in self.found],
            "problems": problems,
            "warnings": warnings,
            "ready": not problems,
            "command": command,
        }
        return json.dumps(content, indent=1, ensure_ascii=False)


def _broken(line: str, width: int | None, indent: int) -> Sequence[str]:
    """Breaks a line between words."""
    return [line] if width is None else wrap(line, width, indent=indent)
