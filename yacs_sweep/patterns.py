"""Metric patterns of a trainer profile: compiled once, checked when they are loaded, applied to single lines.

A pattern is a Python regular expression in which `{number}` stands for a printed number; its named groups become
metrics. What a pattern may cost is decided here, before anything starts: exponential time is refused.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from . import regex_tree
from .errors import ConfigError

Number = int | float

# Sign, thousands, decimals, exponent, nan and inf in any case; the guards keep 1234,567 and "nanoseconds" whole.
NUMBER = (
    r"(?:[-+]?(?:(?:[0-9]{1,3}(?:,[0-9]{3})+(?![0-9])|[0-9]+)(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][-+]?[0-9]+)?"
    r"|[-+]?(?:[nN][aA][nN]|[iI][nN][fF](?:[iI][nN][iI][tT][yY])?)\b)"
)
_NUMBER_FIELD = "{number}"
_FIELD = re.compile(r"\{([A-Za-z_]\w*)\}")
_PATTERN_FIELD = re.compile(r"(?<!\\)\{([A-Za-z_]\w*)\}")
_LIMITS = {0: 1 << 16, 1: 1 << 16, 2: 1 << 12, 3: 1 << 9}  # characters of a line, by the degree of a search's time
_EXACT_INT = 15  # digits; beyond, a float says the same


@dataclass(frozen=True)
class MetricPattern:
    """One entry of a profile's `metrics`.

    `names` pairs a metric name, which may hold `{group}`, with the group its value comes from. `row` names the row that
    the entry's metrics gather into; None leaves it to the parser. `literals` are texts (UTF-8) of which a matching line
    contains at least one; empty when the pattern promises none. `limit` is how many characters of a line are looked at,
    so that a search takes about a second at the very worst.
    """

    source: str
    regex: re.Pattern[str]
    names: tuple[tuple[str, str], ...]
    row: str | None
    literals: tuple[bytes, ...]
    templated: bool
    limit: int

    def find(self, line: str) -> dict[str, Number]:
        """Metrics in one line. With names made from groups every match counts, otherwise the first one."""
        line = line[: self.limit]
        if self.templated:
            found: dict[str, Number] = {}
            for match in self.regex.finditer(line):
                for name, value in self._values(match).items():
                    found.setdefault(name, value)
            return found
        first = self.regex.search(line)
        return self._values(first) if first else {}

    def _values(self, match: re.Match[str]) -> dict[str, Number]:
        values = {}
        for template, group in self.names:
            text = match[group]
            value = None if text is None else to_number(text)
            if value is not None:
                name = _FIELD.sub(lambda field: match[field[1]] or "", template) if self.templated else template
                values[name] = value
        return values


def to_number(text: str) -> Number | None:
    """The number a log line prints: an int when it is written as one; None when it is no number."""
    try:
        value = float(text)
    except ValueError:
        text = text.replace(",", "")
        try:
            value = float(text)
        except ValueError:
            return None
    if len(text) <= _EXACT_INT and value.is_integer() and text.lstrip("+-").isdecimal():
        return int(text)
    return value


def compile_pattern(source: str, log: Mapping[str, str], row: str | None = None) -> MetricPattern:
    """Compile one entry: `log` maps metric names to groups of `source`.

    Raises ConfigError with every problem: a pattern that does not compile (with the position in `source`), one that
    matches nothing or could take exponential time, groups that do not exist.
    """
    fields = [field for field in _PATTERN_FIELD.findall(source) if field != "number"]
    if fields:
        raise ConfigError(
            [f"unknown placeholder {{{f}}}; {{number}} is the only one (the text itself: \\{{{f}\\}})" for f in fields]
        )
    expanded = source.replace(_NUMBER_FIELD, NUMBER)
    try:
        regex = re.compile(expanded)
        tree = regex_tree.parse(expanded)
    except (re.error, RecursionError, OverflowError) as error:
        raise ConfigError(_syntax_problem(source, error)) from None
    problems = _group_problems(regex, log)
    if regex.match(""):
        problems.append("the pattern matches empty text, so it would match everywhere")
    slow = regex_tree.exponential_part(tree)
    if slow:
        problems.append(f"could take exponential time: {slow}; end what repeats with something that it cannot contain")
    degree = regex_tree.run_degree(tree)
    if degree > max(_LIMITS):
        problems.append("too slow: repeats that follow one another can take the same text; put something between them")
    if problems:
        raise ConfigError(problems)
    literals = tuple(text.encode("utf-8", "surrogateescape") for text in regex_tree.required_literals(tree))
    templated = any(_FIELD.search(name) for name in log)
    return MetricPattern(source, regex, tuple(log.items()), row, literals, templated, _LIMITS[degree])


def _group_problems(regex: re.Pattern[str], log: Mapping[str, str]) -> list[str]:
    known = ", ".join(regex.groupindex) or "none"
    problems = []
    for name, group in log.items():
        if group not in regex.groupindex:
            problems.append(f"{name}: no group named {group!r} in the pattern; its named groups: {known}")
        problems += [
            f"{name}: the name uses {{{field}}}, which is no group of the pattern; its named groups: {known}"
            for field in _FIELD.findall(name)
            if field not in regex.groupindex
        ]
    return problems


def _syntax_problem(source: str, error: Exception) -> str:
    if not isinstance(error, re.error) or error.pos is None:
        return f"not a usable regular expression: {error}"
    return f"not a regular expression: {error.msg} at position {_position_in_source(source, error.pos)} of {source!r}"


def _position_in_source(source: str, position: int) -> int:
    """Where `position` of the expanded pattern lies in the pattern as written."""
    start = source.find(_NUMBER_FIELD)
    while 0 <= start < position:
        grown = len(NUMBER) - len(_NUMBER_FIELD)
        position = max(start, position - grown)
        start = source.find(_NUMBER_FIELD, start + len(_NUMBER_FIELD))
    return position
