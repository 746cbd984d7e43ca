"""Measures, cuts and pads text for terminals in columns, and removes the terminal commands from other people's text. Pure."""

from __future__ import annotations

import math
import re
import unicodedata
from collections.abc import Iterable, Sequence

from ..base.wording import printable

Span = tuple[str, str]  # text, and a style as rich writes it; empty for none
Line = list[Span]
BARS = "▁▂▃▄▅▆▇█"


def clean(text: str) -> str:
    """Makes other people's text one line of printable characters, without escape sequences."""
    return printable(text).replace("\n", " ")


def output_lines(data: bytes) -> list[str]:
    """Splits a program's output into clean lines; of a progress bar that overwrites itself the last state stays."""
    lines = []
    for raw in data.decode(errors="replace").split("\n"):
        parts = [part for part in raw.expandtabs().split("\r") if part.strip()]
        lines.append(clean(parts[-1]) if parts else "")
    return lines


def cells(text: str) -> int:
    """Counts the columns that the text takes."""
    if text.isascii():
        return len(text)
    return sum(map(_cell, text))


def _cell(letter: str) -> int:
    """Counts the columns of one character: 0 for one that joins the letter before it, 2 for wide ones."""
    # Vowels and finals of Korean syllables that are written in parts, as file names on macOS are.
    if "\u1160" <= letter <= "\u11ff" or "\ud7b0" <= letter <= "\ud7fb":
        return 0
    if unicodedata.category(letter) in ("Mn", "Me"):
        return 0
    return 2 if unicodedata.east_asian_width(letter) in "WF" else 1


def cut(text: str, width: int) -> str:
    """Cuts the text to at most `width` columns, with an ellipsis where some is missing."""
    if cells(text) <= width:
        return text
    kept, used = [], 0
    for letter in text:
        used += _cell(letter)
        if used > width - 1:
            break
        kept.append(letter)
    return "".join(kept) + "…" if width > 0 else ""


def cut_front(text: str, width: int) -> str:
    """Cuts the text at its beginning, as fits a path, whose last folders say most."""
    if cells(text) <= width:
        return text
    return cut(text[::-1], width)[::-1]


def wrap(text: str, width: int, *, indent: int = 0, whole: bool = True) -> list[str]:
    """Breaks a text between words into lines of at most `width` columns.

    Args:
        indent: blanks before every line but the first.
        whole: whether a longer word, such as a path, stays in one piece, wider than a line; else it is broken, too.
    """
    lines, line, free = list[str](), "", width
    for word in re.findall(r"\s*\S+", text):
        if cells(word) > free and line.strip():
            lines.append(line)
            line, free, word = " " * indent, width - indent, word.lstrip()
        while not whole and cells(word) > free:
            piece = cut(word, free + 1)[:-1] or word[0]
            lines.append(line + piece)
            line, free, word = " " * indent, width - indent, word[len(piece) :]
        line, free = line + word, free - cells(word)
    return [*lines, line]


def fit(text: str, width: int, *, right: bool = False) -> str:
    """Cuts or pads the text to exactly `width` columns."""
    text = cut(text, width)
    space = " " * (width - cells(text))
    return space + text if right else text + space


def width_of(line: Iterable[Span]) -> int:
    """Counts the columns of a line of spans."""
    return sum(cells(text) for text, _ in line)


def clip(line: Line, width: int) -> Line:
    """Cuts a line of spans to at most `width` columns, and removes blanks at its end."""
    kept: Line = []
    for text, style in line:
        kept.append((cut(text, width), style))
        width -= cells(text)
        if width <= 0:
            break
    while kept and not kept[-1][0].rstrip():
        kept.pop()
    if kept:
        kept[-1] = (kept[-1][0].rstrip(), kept[-1][1])
    return kept


def plain(line: Iterable[Span]) -> str:
    """Joins the texts of a line of spans."""
    return "".join(text for text, _ in line)


def sparkline(values: Sequence[float], width: int) -> str:
    """Draws the course of the values in at most `width` columns; nan and infinities leave gaps."""
    if len(values) > width:
        groups = [values[len(values) * place // width : len(values) * (place + 1) // width] for place in range(width)]
        values = [_mean(group) for group in groups]
    finite = [value for value in values if math.isfinite(value)]
    if len(finite) < 2:
        return ""
    low, high = min(finite), max(finite)
    scale = (len(BARS) - 1) / (high - low) if high > low and math.isfinite(high - low) else 0.0
    return "".join(
        BARS[round((value - low) * scale) if scale else 3] if math.isfinite(value) else " " for value in values
    )


def _mean(values: Sequence[float]) -> float:
    """Averages the finite values; nan when there are none."""
    finite = [value for value in values if math.isfinite(value)]
    return sum(finite) / len(finite) if finite else math.nan
