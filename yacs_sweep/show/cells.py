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


def cut_middle(text: str, width: int) -> str:
    """Cuts the text in its middle to at most `width` columns, with an ellipsis where some is missing."""
    if cells(text) <= width or width < 3:
        return cut(text, width)
    end = width // 2  # the ellipsis takes a column of the first half
    return cut(text, width - end) + cut_front(text, end + 1).removeprefix("…")


def cut_apart(texts: Iterable[str], width: int) -> dict[str, str]:
    """Cuts those of the texts that are wider than `width` columns so that different texts stay different.

    What all long ones begin and end with gives way first, in whole folders of a path; then the middle of each. Where that
    makes two of them alike, all are cut to one column more, and so on.

    Returns:
        The short text of each text.
    """
    whole = {text: text for text in texts}
    long = [text for text in whole if cells(text) > width]
    bodies = _without_common(long)
    for size in range(width, 1 + max(map(cells, whole), default=width)):
        short = whole | {text: cut_middle(body, size) for text, body in bodies.items()}
        if len(set(short.values())) == len(whole):
            return short
    return whole


def _without_common(paths: Sequence[str]) -> dict[str, str]:
    """Replaces the folders that all paths begin with, and those that they end with, by ellipses; a part of each stays."""
    if len(paths) < 2:
        return {path: path for path in paths}
    parts = [path.split("/") for path in paths]
    most = min(map(len, parts)) - 1
    begin = _common(parts, most)
    end = _common([each[::-1] for each in parts], most - begin)
    kept = [["…"] * (begin > 0) + each[begin : len(each) - end] + ["…"] * (end > 0) for each in parts]
    return {path: "/".join(each) for path, each in zip(paths, kept, strict=True)}


def _common(parts: Sequence[Sequence[str]], most: int) -> int:
    """Counts how many parts, of the first `most`, are the same in all."""
    return next((place for place in range(most) if len({each[place] for each in parts}) > 1), most)


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
