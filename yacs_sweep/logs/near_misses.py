"""Explains why a metric was not found: nearest names, lines that look like the metric, patterns that nearly matched.

Pure, except `sample_lines`.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from ..base.escapes import without_escape_bytes
from ..base.files import open_regular
from ..base.wording import SHOWN, clipped
from .guessing import guess_loosely
from .numbers import NUMBER
from .parser import LINE_LIMIT
from .patterns import LogFormat, MetricPattern, Search

SAMPLE = 1 << 18  # bytes of the beginning and of the end of a log that are looked at
NEAR = 0.6  # similarity of names worth telling
_ATOM = re.compile(r"\{number\}|\\.|\[\^?\]?(?:\\.|[^\]\\])*\]|.", re.DOTALL)
_QUANTIFIER = re.compile(r"(?:[*+?]|\{\d*,?\d*\})[?+]?")


@dataclass(frozen=True)
class NearMiss:
    """The part of a pattern that matched: `source[:at]` matched `text` on `line`."""

    line: str
    text: str
    source: str
    at: int

    def __str__(self) -> str:
        return f"on {self.line!r} it matched {self.text!r} and then expected {clipped(self.source[self.at :], 60)!r}"


def sample_lines(log: Path) -> list[str]:
    """Reads the first and the last lines of a log."""
    try:
        with open_regular(log) as file:
            data = file.read(SAMPLE)
            size = os.fstat(file.fileno()).st_size
            if size > SAMPLE:
                file.seek(max(SAMPLE, size - SAMPLE))
                data += b"\n" + file.read(SAMPLE)
    except OSError:
        return []
    text = without_escape_bytes(data).decode("utf-8", "replace")
    return [line for line in re.split(r"[\r\n]+", text) if line.strip()]


def explain(metric: str, seen: Iterable[str], lines: Sequence[str], log_format: LogFormat) -> str:
    """Explains in one line why the sweep's metric was never logged.

    Args:
        seen: the metrics that were logged.
        lines: lines of the trainer's output.
    """
    seen = list(seen)
    parts = [f"never logged the sweep's metric {metric}; metrics it logged: {', '.join(sorted(seen)) or 'none at all'}"]
    if near := near_names(metric, seen):
        parts.append(f"nearest: {', '.join(near)}")
    alike = list(alike_lines(metric, [*near, metric], lines))
    if alike:
        parts.append("lines like it: " + ", ".join(repr(clipped(line)) for line in alike))
    able = [(number, entry) for number, entry in enumerate(log_format.entries) if entry.can_log(metric)]
    for number, entry in able:
        if miss := near_miss(entry, lines):
            parts.append(f"pattern metrics[{number}] nearly matched: {miss}")
            break
    if not able and log_format.entries:
        parts.append("no pattern of the profile logs a metric of that name")
    return "; ".join(parts)


def near_names(metric: str, names: Iterable[str], count: int = 3) -> list[str]:
    """Finds the names most like `metric`, whatever case and separators, best first."""
    scored = sorted(((similarity(metric, name), name) for name in dict.fromkeys(names)), reverse=True)
    return [name for score, name in scored if score >= NEAR][:count]


def similarity(left: str, right: str) -> float:
    """Measures how alike two metric names are, from 0 to 1; an equal last word counts most."""
    ours, theirs = _words(left), _words(right)
    if not ours or not theirs:
        return 0.0
    if ours[-1] == theirs[-1]:  # train/loss and loss, test_accuracy and accuracy
        return 0.9 if len(ours) != len(theirs) or ours != theirs else 1.0
    from difflib import SequenceMatcher  # only a trial without its metric needs it

    return SequenceMatcher(None, "".join(ours), "".join(theirs)).ratio()


def _words(name: str) -> list[str]:
    """Splits a metric's name into words."""
    return re.findall(r"[a-z0-9@]+", name.lower())


def alike_lines(metric: str, names: Iterable[str], lines: Sequence[str], count: int = 3) -> Iterator[str]:
    """Yields lines that print a value under one of the names, or under one like the metric's; the last of each shape."""
    wanted = {tuple(_words(name)) for name in names}
    last = (_words(metric) or [""])[-1]
    shapes: dict[str, str] = {}
    for line in lines:
        if last not in line.lower() and not any(words and words[-1] in line.lower() for words in wanted):
            continue
        if any(
            tuple(_words(item.name)) in wanted or similarity(metric, item.name) >= 0.8 for item in guess_loosely(line)
        ):
            shapes[_shape(line)] = line
    # Nothing reads as its value: then lines that say the word, and a number after it.
    said = re.compile(rf"(?<![a-z0-9]){re.escape(last)}(?![a-z0-9]).*[0-9]")
    if not shapes and last:
        shapes = {_shape(line): line for line in lines if said.search(line.lower())}
    yield from list(shapes.values())[-count:]


def _shape(line: str) -> str:
    """Replaces the numbers of a line by 0; those that are part of a word stay."""
    return re.sub(r"(?<![A-Za-z])[-+]?\d[\d.,e+-]*", "0", line)


def near_miss(entry: MetricPattern, lines: Sequence[str]) -> NearMiss | None:
    """Finds how far the entry's pattern matches on any line; None when all of the pattern matches, or nothing."""
    text = "\n".join(line[: min(entry.limit, 2 * SHOWN)] for line in lines)
    if entry.search.regex.search(text):
        for after in (*entry.outer, *([entry.after] if entry.after else [])):
            if not after.regex.search(text):
                return longest_prefix(after, text)
        return None
    return longest_prefix(entry.search, text)


def longest_prefix(search: Search, text: str) -> NearMiss | None:
    """Finds the longest beginning of the pattern, cut between its parts, that matches in `text`."""
    source = search.source
    for at in reversed(boundaries(source)):
        try:
            regex = re.compile(source[:at].replace("{number}", NUMBER), search.regex.flags)
        except re.error:
            continue
        match = regex.search(text)
        if match and sum(map(str.isalnum, match[0])) >= 3 and "\n" not in match[0]:
            start, end = text.rfind("\n", 0, match.start()) + 1, text.find("\n", match.end())
            line = text[start : end if end >= 0 else len(text)][:LINE_LIMIT]
            return NearMiss(clipped(line), clipped(match[0], 60), source, at)
    return None


def boundaries(source: str) -> list[int]:
    """Lists the positions between a pattern's outermost parts; none when these are alternatives."""
    cuts: list[int] = []
    at = depth = 0
    while at < len(source):
        atom = _ATOM.match(source, at)
        assert atom is not None
        depth += (atom[0] == "(") - (atom[0] == ")")
        if atom[0] == "|" and depth == 0:
            return []
        at = atom.end()
        if depth == 0:
            quantifier = _QUANTIFIER.match(source, at)
            at = quantifier.end() if quantifier and not source.startswith("{number}", at) else at
            cuts.append(at)
    return [cut for cut in cuts if cut < len(source)]
