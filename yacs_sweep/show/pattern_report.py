"""Reports for `--test-patterns LOGFILE` what a profile's patterns find in a log and what they miss, and suggests patterns."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterator, KeysView, Mapping
from dataclasses import replace
from pathlib import Path

from ..base.errors import ConfigError
from ..base.streams import print_lines
from ..base.wording import clipped, counted
from ..base.yaml_document import read_yaml
from ..logs.guessed_blocks import PrintedSettings
from ..logs.guessing import Guess, guess_loosely
from ..logs.near_misses import near_miss
from ..logs.parser import LINE_LIMIT, LogParser, line_text
from ..logs.patterns import LogFormat, MetricPattern
from ..logs.sources import COMMA, Row
from ..spec.section import Notes
from ..trainers.profile import TrainerProfile
from ..trainers.read_entries import EntryReader
from ..trainers.read_profile import profile_section

SUGGESTIONS = 8
KEPT_LINES = 2000  # for near misses
_YAML_WORDS = ("yes", "no", "true", "false", "on", "off", "null")  # need quotes to be texts
_PART = re.compile(  # of a line, as its pattern treats it
    r"(?P<number>\d+(?:\.\d+)?)|(?P<blanks>[ \t]+)|(?P<special>[.^$*+?{}\[\]\\|()])|(?P<other>.)", re.DOTALL
)


def show_patterns(profile: TrainerProfile, log: Path, say: Callable[[str], None] = print_lines) -> int:
    """Shows the report; returns 0 when there is anything to log, else 1.

    Raises:
        ConfigError: the log cannot be read.
    """
    entries = profile.metrics.entries
    count = counted(len(entries), "pattern") if entries or not profile.metrics.generic else "the generic patterns"
    if entries and profile.metrics.generic:
        count += ", and what looks like metrics beside them"
    say(f"{log}: profile {profile.name}, {count}")
    report = _Report(profile, say)
    try:
        with open(log, "rb") as file:
            for number, line in enumerate(_lines(file), start=1):
                report.line(number, line)
    except OSError as error:
        raise ConfigError(f"--test-patterns {log}: {error.strerror}") from None
    report.rows(report.parser.close())
    report.end()
    return 0 if report.row_count else 1


def _lines(file: Iterator[bytes]) -> Iterator[bytes]:
    r"""Yields the lines of a log as the parser splits them: at \n and at \r, cut to the parser's limit."""
    for line in file:
        for part in line.rstrip(b"\r\n").split(b"\r"):
            yield part[:LINE_LIMIT]


class _Report:
    """Parses the lines, and prints every match, every row, and at the end what is missing."""

    def __init__(self, profile: TrainerProfile, say: Callable[[str], None]) -> None:
        self.entries = profile.metrics.entries
        self.say = say
        self.parser = LogParser(profile.metrics, trace=self._matched)
        self.matches: Counter[str] = Counter()
        self.values: dict[str, list[float]] = {}
        self.count = self.row_count = self.number = 0
        self._hit = False
        self._unmatched: dict[str, tuple[int, bytes]] = {}  # by shape: the first line of it
        self._settings = PrintedSettings()
        self._block: dict[str, tuple[int, bytes]] = {}  # the same, of lines that may turn out to be settings
        self._kept: list[str] = []

    def line(self, number: int, line: bytes) -> None:
        """Takes in one line."""
        self.number, self.count, self._hit = number, number, False
        self.rows(self.parser.feed(line))
        text = line_text(line)
        if len(self._kept) < KEPT_LINES and text.strip():
            self._kept.append(text)
        self._look_at_settings(line)
        if not self._hit and any(item.name != "epoch" for item in guess_loosely(text)):
            self._block.setdefault(re.sub(r"[-+]?\d[\d.,:e+-]*", "0", text), (number, line))

    def _look_at_settings(self, line: bytes) -> None:
        """Ends the block of lines before this one where this one does not continue its printed configuration."""
        chunk = line + b"\n"
        known = self._in_settings
        self._settings.next_chunk(chunk)
        self._settings.inside(chunk, 0)
        if self._settings.began or not self._settings.goes_on:
            self._keep_unmatched(settings=known)

    @property
    def _in_settings(self) -> bool:
        """Whether the line looked at last belongs to a printed configuration."""
        return self._settings.found and self._settings.goes_on

    def _keep_unmatched(self, *, settings: bool) -> None:
        """Takes the lines of the block that ends for lines with metrics, unless they are settings."""
        block, self._block = self._block, {}
        for shape, found in () if settings else block.items():
            self._unmatched.setdefault(shape, found)

    def rows(self, rows: list[Row]) -> None:
        """Takes in and prints the rows that a line completed."""
        for row in rows:
            self.row_count += 1
            self.say(f"    row {self.row_count}: {show(row)}")
            for name, value in row.items():
                self.values.setdefault(name, []).append(value)

    def _matched(self, entry: MetricPattern | str, metrics: Mapping[str, float]) -> None:
        """Prints a match of the current line; the parser calls this."""
        guessed = entry == "generic" and self.entries
        self._hit = self._hit or (not guessed and metrics.keys() != {"epoch"})
        name = entry if isinstance(entry, str) else f"metrics[{self._index(entry)}]"
        self.matches[name] += 1
        self.say(f"line {self.number}: {name} {show(metrics)}")

    def _index(self, entry: MetricPattern) -> int:
        return next(number for number, other in enumerate(self.entries) if other is entry)

    def end(self) -> None:
        """Prints the totals, the patterns that never matched, and patterns for lines that none matched."""
        say = self.say
        self._keep_unmatched(settings=self._in_settings)
        matches = counted(sum(self.matches.values()), "match", "matches")
        say(f"\n{counted(self.count, 'line')}, {matches}, {counted(self.row_count, 'row')}")
        for name, values in sorted(self.values.items()):
            say(f"  {name}: {counted(len(values), 'value')}, first {values[0]:g}, last {values[-1]:g}")
        if self.parser.unreadable:
            say(f"\na METRIC line that is not JSON on one line is not read: {clipped(self.parser.unreadable)!r}")
        if left_out := self.parser.left_out:
            say(f"\n{left_out}")
        if name := self.parser.sources.misread:
            say(f"\n{COMMA.format(name=name)}")
        silent = [number for number in range(len(self.entries)) if not self.matches[f"metrics[{number}]"]]
        if silent:
            say("\npatterns that never matched:")
        for number in silent:
            entry = self.entries[number]
            say(f"  metrics[{number}] {entry.source}")
            if miss := near_miss(entry, self._kept):
                say(f"    {miss}")
        suggested = [(number, line, pattern) for number, line in self._unmatched.values() if (pattern := suggest(line))]
        if suggested:
            say("\nlines that look like metrics and match nothing; patterns for them:")
        for number, line, pattern in suggested[:SUGGESTIONS]:
            say(f"  # line {number}: {clipped(line_text(line))}")
            say(pattern)
        if len(suggested) > SUGGESTIONS:
            say(f"  # and {len(suggested) - SUGGESTIONS} more kinds of lines")


def show(row: Mapping[str, float]) -> str:
    """Formats metrics as `{train/loss: 0.5, epoch: 1}`."""
    return "{" + ", ".join(f"{name}: {value:g}" for name, value in row.items()) + "}"


# -- suggestions ------------------------------------------------------------------------------------------------------
def suggest(line: bytes) -> str | None:
    """Writes an entry for a profile's `metrics` that finds in `line` what looks like metrics.

    Returns:
        Two lines of YAML, which have been read back and match the line; None when nothing looks like metrics, or no
        pattern for the line is allowed.
    """
    text = line_text(line)
    log: dict[str, str] = {}
    source = ""
    at = None
    for item in _told_apart(text, sorted(guess_loosely(text), key=lambda item: item.number)):
        start, end = item.number
        if (at is not None and start < at) or item.name in log:
            continue
        group = re.sub(r"\W", "_", item.name).strip("_") or "value"
        group = f"v_{group}" if group[0].isdigit() or group in log.values() else group
        number = r"[-+\d.,]+" if "," in text[start:end] else "{number}"  # which takes no decimal comma
        source += _escaped(text[item.start if at is None else at : start]) + f"(?P<{group}>{number})"
        log[item.name] = group
        at = end
    if at is None:
        return None
    source += "%" if text[at : at + 1] == "%" else ""
    pattern = source.replace("'", "''")
    names = ", ".join(f"{_quoted(name)}: {_quoted(group)}" for name, group in log.items())
    entry = f"  - pattern: '{pattern}'\n    log: {{{names}}}"
    return entry if _finds(entry, line, log.keys()) else None


def _told_apart(line: str, items: list[Guess]) -> list[Guess]:
    """Puts the word before it into a name that the line has several times (top1 acc 55.0 top5 acc 81.0)."""
    names = Counter(item.name for item in items)
    before = [re.search(r"([A-Za-z][\w@-]*) $", line[: item.start]) for item in items]
    longer = [f"{word[1]}_{item.name}" if word else item.name for item, word in zip(items, before, strict=True)]
    return [
        replace(item, name=name, start=word.start())
        if word and names[item.name] > 1 and longer.count(name) == 1
        else item
        for item, name, word in zip(items, longer, before, strict=True)
    ]


def _escaped(text: str) -> str:
    """Writes a pattern for the text, with any other numbers and blanks in their places.

    A character that cannot be printed, or was no UTF-8, becomes a dot: YAML and terminals do not take it.
    """

    def part(match: re.Match[str]) -> str:
        if match["number"]:
            return r"[\d.]+"
        if match["blanks"]:
            return " " if match[0] == " " else r"\s+"
        if match["special"]:
            return f"\\{match[0]}"
        return match[0] if match[0].isprintable() and match[0] != "\ufffd" else "."

    return _PART.sub(part, text)


def _quoted(name: str) -> str:
    """Writes a name for a YAML mapping in braces."""
    plain = re.fullmatch(r"[A-Za-z_][\w./-]*", name) and name.lower() not in _YAML_WORDS
    return name if plain else "'" + name.replace("'", "''") + "'"


def _finds(entry: str, line: bytes, names: KeysView[str]) -> bool:
    """Reads the entry as a profile's and tells whether the parser finds these metrics in the line with it."""
    profile = profile_section(Notes(read_yaml("suggestion", f"metrics:\n{entry}\n")))
    try:
        entries = EntryReader(profile).metrics()
    except ConfigError:
        return False
    if profile.notes.problems or not entries:
        return False
    parser = LogParser(LogFormat(entries, axis=""))
    return any(names <= row.keys() for row in [*parser.feed(line), *parser.flush()])
