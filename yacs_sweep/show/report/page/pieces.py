"""Formats what the parts of the page share: numbers, states, tables."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from html import escape
from typing import Any

from ....base.values import finite_number
from ..data import text_of

EXPONENT = re.compile(r"(?<=\de)-(?=\d)")

BREAKS = re.compile(r"([._/])")
NARROW = 12  # letters of a name that stays in one line
LONG = re.compile(r" \([^()]{40,}\)")


def without_long(text: str) -> str:
    """Leaves out the long brackets of a verdict, which have the numbers behind it."""
    return LONG.sub("", text)


def value(number: Any) -> str:
    """Formats a number as HTML, with a real minus sign."""
    if not finite_number(number):
        return "–" if number is None else escape(text_of(number))
    return escape(f"{number:.4g}".replace("-", "−"))


def numbers(text: str) -> str:
    """Formats a text with numbers as HTML, whose exponents have a real minus sign, at which no line breaks."""
    return EXPONENT.sub("−", escape(text))


def breakable(name: str) -> str:
    """Formats a name as HTML; a long one may break after its dots, underscores and slashes."""
    return BREAKS.sub(r"\1<wbr>", escape(name)) if len(name) > NARROW else escape(name)


def command(line: str) -> str:
    """Formats a command as HTML: lines break between its words alone, and a script adds a button that copies it."""
    return f'<pre class="command">{" ".join(f"<span>{escape(word)}</span>" for word in line.split(" "))}</pre>'


def state(name: str) -> str:
    """Formats a trial's state as a coloured label."""
    known = name if name in ("finished", "stopped", "paused", "failed", "killed", "lost", "running") else ""
    return f'<span class="state {known}">{escape(name)}</span>'


def table(
    heads: Sequence[tuple[str, str]], rows: Iterable[Sequence[str]], classes: Sequence[str] = (), caption: str = ""
) -> str:
    """Formats a table; heads are (class, text), cells are HTML, `classes` are attributes of rows.

    `caption` is read out by a screen reader; on the screen the text above the table says it.
    """
    cells = "".join(f'<th scope="col" class="{kind}">{escape(text)}</th>' for kind, text in heads)
    head = f"<thead><tr>{cells}</tr></thead>" if any(text for _, text in heads) else ""
    body = []
    for place, row in enumerate(rows):
        cells = "".join(_cell(kind, cell) for (kind, _), cell in zip(heads, row, strict=True))
        body.append(f"<tr {classes[place] if classes else ''}>{cells}</tr>")
    named = f'<caption class="unseen">{escape(caption)}</caption>' if caption else ""
    return f'<div class="scroll"><table>{named}{head}<tbody>{"".join(body)}</tbody></table></div>'


def _cell(kind: str, cell: str) -> str:
    """Formats a cell; what names the row is a header of its row."""
    return f'<th scope="row" class="name">{cell}</th>' if kind == "name" else f'<td class="{kind}">{cell}</td>'
