"""Formats what the parts of the page share: numbers, states, tables."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape
from typing import Any

from ....base.values import finite_number
from ..data import text_of


def value(number: Any) -> str:
    """Formats a number as HTML, with a real minus sign."""
    if not finite_number(number):
        return "–" if number is None else escape(text_of(number))
    return escape(f"{number:.4g}".replace("-", "−"))


def state(name: str) -> str:
    """Formats a trial's state as a coloured label."""
    known = name if name in ("finished", "stopped", "paused", "failed", "killed", "lost", "running") else ""
    return f'<span class="state {known}">{escape(name)}</span>'


def table(heads: Sequence[tuple[str, str]], rows: Iterable[Sequence[str]], classes: Sequence[str] = ()) -> str:
    """Formats a table; heads are (class, text), cells are HTML, `classes` are attributes of rows."""
    cells = "".join(f'<th class="{kind}">{escape(text)}</th>' for kind, text in heads)
    head = f"<thead><tr>{cells}</tr></thead>" if any(text for _, text in heads) else ""
    body = []
    for place, row in enumerate(rows):
        cells = "".join(f'<td class="{kind}">{cell}</td>' for (kind, _), cell in zip(heads, row, strict=True))
        body.append(f"<tr {classes[place] if classes else ''}>{cells}</tr>")
    return f'<div class="scroll"><table>{head}<tbody>{"".join(body)}</tbody></table></div>'
