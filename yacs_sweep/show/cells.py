"""Measures, cuts and pads text for terminals in columns, and removes the terminal commands from other people's text. Pure."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

from ..base.wording import cells, cut, printable

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


def cut_front(text: str, width: int) -> str:
    """Cuts the text at its beginning, as fits a path, whose last folders say most."""
    if cells(text) <= width:
        return text
    return cut(text[::-1], width)[::-1]


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
