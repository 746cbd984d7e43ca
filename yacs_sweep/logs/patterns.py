"""Compiles and checks the metric patterns of a trainer profile, its log format, and applies them to single lines.

A pattern is a Python regular expression in which `{number}` stands for a printed number; its named groups become
metrics. What a pattern may cost is decided here, before anything starts: exponential time is refused.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property

from ..base.errors import ConfigError
from ..base.values import Number
from . import regex_cost
from .names import FIELD, Names, Unit, Unread, fill, literal_pairs
from .numbers import NUMBER, grouped, progress, to_number, whole

_NUMBER_FIELD = "{number}"
_PATTERN_FIELD = re.compile(r"(?<!\\)\{([A-Za-z_]\w*)\}")
_LIMITS = {0: 1 << 16, 1: 1 << 16, 2: 1 << 12, 3: 1 << 9}  # characters of a line, by the degree of a search's time
# Characters of a line by the number of repeats that take (almost) any character: on a line that repeats the texts between them
# hundreds of times, the ways to place them multiply.
_WIDE_LIMITS = (1 << 16, 1 << 16, 1 << 12, 1 << 10, 400, 256)
_FEW_WAYS = 64  # through optional parts and alternatives; more shorten what is looked at,
_STEPS = 2e7  # so that a search tries no more ways at no more places than this,
_LEAST = 64  # and a pattern for which so few characters are left is refused
NO_CONTEXT: Mapping[str, str] = {}
_SEPARATOR_ROW = re.compile(r"[\s|:+=-]*")


@dataclass(frozen=True)
class Search:
    """A regular expression whose cost has been checked.

    `literals` are texts (UTF-8) of which a matching line contains at least one; empty when the pattern promises none.
    `limit` is how many characters of a line are looked at, so that a search takes about a second at the very worst.
    """

    source: str
    regex: re.Pattern[str]
    literals: tuple[bytes, ...]
    limit: int

    def __call__(self, line: str) -> re.Match[str] | None:
        return self.regex.search(line if len(line) <= self.limit else line[: self.limit])


@dataclass(frozen=True)
class Table:
    """The rows below a header line. `values` matches a row, and its group `cells` the text to split at `separator`."""

    separator: str
    values: Search


@dataclass(frozen=True)
class MetricPattern:
    """An entry of a profile's `metrics`.

    `log` pairs a metric name, which may hold `{group}`, with the group its value comes from. Values that bring their
    own names come from one of `pairs` (found in the group `pairs`, else in the whole line), `literal` (the group that
    holds a Python or JSON dictionary) and `table` (the group `cells` of the header, else the whole match, names the
    columns); `names` makes metric names of them. `row` names the row that the entry's metrics gather into; None
    leaves it to the parser. `after` and `until` are lines between which alone the entry counts; `outer` are lines that
    must have been before `after`, the outermost first. The groups of `after` and `outer` can be used in names.
    """

    search: Search
    log: tuple[tuple[str, str], ...] = ()
    row: str | None = None
    units: Mapping[str, Unit] = field(default_factory=dict)
    names: Names = field(default_factory=Names)
    pairs: Search | None = None
    literal: str | None = None
    table: Table | None = None
    after: Search | None = None
    until: Search | None = None
    outer: tuple[Search, ...] = ()

    @property
    def source(self) -> str:
        return self.search.source

    @property
    def regex(self) -> re.Pattern[str]:
        return self.search.regex

    @property
    def literals(self) -> tuple[bytes, ...]:
        return self.search.literals

    @property
    def limit(self) -> int:
        return self.search.limit

    @cached_property
    def _templated(self) -> bool:
        return any(FIELD.search(name) for name, _ in self.log)

    @cached_property
    def _brings_names(self) -> bool:
        return self.pairs is not None or self.literal is not None

    @cached_property
    def _loggable(self) -> list[re.Pattern[str]]:
        """Regular expressions of the metrics' names, in which fields take any text."""
        templates = [name for name, _ in self.log] + [rule.template or "" for rule in self.names.rules]
        parts = (re.split(FIELD, template)[::2] for template in templates if template)
        return [re.compile(".+".join(map(re.escape, texts))) for texts in parts]

    def names_metric(self, metric: str) -> bool:
        """Tells whether the entry says that a metric is called so; of names that are all the trainer's own it says none."""
        return any(name.fullmatch(metric) for name in self._loggable)

    def can_log(self, metric: str) -> bool:
        """Tells whether the entry could log a metric of this name."""
        own_names = self._brings_names or self.table is not None
        return self.names_metric(metric) or (own_names and not self.names.rules)

    def find(
        self, line: str, context: Mapping[str, str] = NO_CONTEXT, unread: Unread | None = None
    ) -> dict[str, Number]:
        """Finds metrics in one line; with names made from groups every match counts, otherwise the first.

        Args:
            context: the groups of the block's `after` line.
            unread: gets name and text of each value that is no number.
        """
        if self._templated and not self._brings_names:
            found: dict[str, Number] = {}
            for match in self.regex.finditer(line[: self.limit]):
                for name, value in self._values(match, context, unread).items():
                    found.setdefault(name, value)
            return found
        first = self.search(line)
        if not first:
            return {}
        values = self._values(first, context, unread) if self.log else {}
        if self._brings_names:
            for name, value in self._named(first, context, unread).items():
                values.setdefault(name, value)
        return values

    def open_table(self, line: str, context: Mapping[str, str] = NO_CONTEXT) -> OpenTable | None:
        """Opens a table if `line` is its header."""
        match = self.search(line)
        if self.table is None or match is None:
            return None
        cells = match["cells"] if "cells" in self.regex.groupindex else match[0]
        groups = {**context, **{name: text for name, text in match.groupdict("").items() if name != "cells"}}
        return OpenTable(self, _split(cells, self.table.separator), groups)

    def _values(
        self, match: re.Match[str], context: Mapping[str, str], unread: Unread | None = None
    ) -> dict[str, Number]:
        values = {}
        for template, group in self.log:
            text = match[group]
            if text is None:
                continue
            if match.end(group) == match.end() and "(?=" not in self.source:
                printed = (
                    f"(?P<{group}>{_NUMBER_FIELD})" in self.source
                )  # a number, and not digits that the pattern chose
                more = grouped(template, match.string, match.start(group), match.end()) if printed else ""
                text = more or whole(text, match.string, match.end())
            value = to_number(text)
            if value is None:
                value = progress(template, text)
            if value is None:
                if unread:
                    unread(template, text)
                continue
            name = fill(template, {**context, **match.groupdict("")}) if self._templated else template
            unit = self.units.get(template) if self.units else None
            values[name] = value if unit is None else unit(value)
        return values

    def _named(self, match: re.Match[str], context: Mapping[str, str], unread: Unread | None) -> dict[str, Number]:
        pairs: Iterable[tuple[str, str | Number]]
        if self.literal is not None:
            pairs = literal_pairs(match[self.literal] or "")
        else:
            assert self.pairs is not None
            inside = (match["pairs"] or "") if "pairs" in self.regex.groupindex else match.string
            name, value = (self.pairs.regex.groupindex[group] - 1 for group in ("name", "value"))
            found = self.pairs.regex.finditer(inside[: self.pairs.limit])
            pairs = [(groups[name], groups[value]) for groups in (match.groups("") for match in found)]
        if self.names.uses_context:
            context = {**context, **match.groupdict("")}
        return self.names.metrics(pairs, context, unread)


class OpenTable:
    """A table whose header has been read."""

    def __init__(self, entry: MetricPattern, columns: list[str], context: Mapping[str, str]) -> None:
        self.entry, self.columns, self.context = entry, columns, context

    def read(self, line: str, unread: Unread | None = None) -> dict[str, Number] | None:
        """Reads the metrics of a line: none where it only draws; None when the table has ended."""
        table = self.entry.table
        assert table is not None
        match = table.values(line)
        if match is None:
            return None
        if _SEPARATOR_ROW.fullmatch(match["cells"]):
            return {}
        cells = _split(match["cells"], table.separator)
        if len(cells) != len(self.columns):
            return None
        context = {**self.context, "row": cells[0]}
        return self.entry.names.metrics(zip(self.columns, cells, strict=True), context, unread)


def _split(cells: str, separator: str) -> list[str]:
    """Splits a row into its cells' texts; a row may begin and end with the separator."""
    text = cells.strip()
    if separator.strip():
        text = text.removeprefix(separator).removesuffix(separator)
    return [cell.strip() for cell in (text.split(separator) if separator.strip() else text.split())]


def compile_search(source: str) -> Search:
    """Compiles a regular expression of a profile.

    Raises:
        ConfigError: every problem: no regular expression (with the position in `source`), matches empty text, or could
            take exponential time.
    """
    fields = [field for field in _PATTERN_FIELD.findall(source) if field != "number"]
    if fields:
        raise ConfigError(
            [f"unknown placeholder {{{f}}}; {{number}} is the only one (the text itself: \\{{{f}\\}})" for f in fields]
        )
    expanded = source.replace(_NUMBER_FIELD, NUMBER)
    try:
        regex = re.compile(expanded)
        tree = regex_cost.parse(expanded)
    except (re.error, RecursionError, OverflowError) as error:
        raise ConfigError(_syntax_problem(source, error)) from None
    problems = []
    if regex.match(""):
        problems.append("the pattern matches empty text, so it would match everywhere")
    slow = regex_cost.exponential_part(tree)
    if slow:
        problems.append(f"could take exponential time: {slow}; end what repeats with something that it cannot contain")
    degree = regex_cost.run_degree(tree)
    if degree > max(_LIMITS):
        problems.append("too slow: repeats that follow one another can take the same text; put something between them")
    limit = _LIMITS[min(degree, max(_LIMITS))]
    ways = regex_cost.choices(tree)
    if ways > _FEW_WAYS:
        limit = min(limit, int((_STEPS / ways) ** (1 / max(degree, 1))))
    if limit < _LEAST:
        problems.append("too slow: its optional parts can take the same text; put something between them")
    if problems:
        raise ConfigError(problems)
    literals = tuple(text.encode("utf-8", "surrogateescape") for text in regex_cost.required_literals(tree))
    wide = regex_cost.wide_repeats(tree) + regex_cost.wide_repeats(tree[:1])  # a search starts anywhere in the first
    wide = min(wide, len(_WIDE_LIMITS) - 1)
    return Search(source, regex, literals, min(limit, _WIDE_LIMITS[wide]))


def group_problems(search: Search, log: Mapping[str, str], more: Iterable[str] = ()) -> list[str]:
    """Lists the mistakes of `log`: groups that the pattern does not have.

    Args:
        log: metric names, and the group of each one's value.
        more: further groups that metric names may use.
    """
    groups = search.regex.groupindex
    known = ", ".join(groups) or "none"
    problems = []
    for name, group in log.items():
        if group not in groups:
            problems.append(f"{name}: no group named {group!r} in the pattern; its named groups: {known}")
        problems += [
            f"{name}: the name uses {{{field}}}, which is not a group of the pattern; its named groups: {known}"
            for field in FIELD.findall(name)
            if field not in groups and field not in more
        ]
    return problems


def _syntax_problem(source: str, error: Exception) -> str:
    """Formats the error of a pattern that does not compile."""
    if not isinstance(error, re.error) or error.pos is None:
        return f"not a usable regular expression: {error}"
    return f"not a regular expression: {error.msg} at position {_position_in_source(source, error.pos)} of {source!r}"


def _position_in_source(source: str, position: int) -> int:
    """Converts a position in the expanded pattern to one in the pattern as written."""
    start = source.find(_NUMBER_FIELD)
    while 0 <= start < position:
        grown = len(NUMBER) - len(_NUMBER_FIELD)
        position = max(start, position - grown)
        start = source.find(_NUMBER_FIELD, start + len(_NUMBER_FIELD))
    return position


@dataclass(frozen=True)
class LogFormat:
    """The metric patterns of a profile, and the name of the metric that is the x-axis.

    `axis_after`: rows that do not print the axis belong to the next one printed, not to the last.
    `generic`: lines that look like metrics are taken where no entry matches or one finds but the axis (see `guessing`), for
        metrics that no entry names.
    `wandb`: what the trainer logs through W&B's client is taken too (see `wandb_calls`).
    """

    entries: tuple[MetricPattern, ...]
    axis: str = "epoch"
    axis_after: bool = False
    generic: bool = False
    wandb: bool = False
