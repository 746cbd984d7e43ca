"""Lays out rows of texts as a table for a terminal. Pure."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from ..base.wording import cells
from .cells import clean, fit

GAP = "  "


def column_widths(
    rows: Sequence[Sequence[str]], width: int | None = None, shrink: Sequence[tuple[int, int]] = ()
) -> list[int]:
    """Computes each column's width: that of its longest cell, unless the table has to fit `width` columns.

    Args:
        shrink: the columns that give way, in this order, each with the width that it keeps.
    """
    widths = [max(map(cells, column)) for column in zip(*rows, strict=True)]
    over = sum(widths) + len(GAP) * (len(widths) - 1) - width if width is not None else 0
    for column, least in shrink:
        given = min(max(0, over), max(0, widths[column] - least))
        widths[column] -= given
        over -= given
    return widths


def text_table(
    rows: Sequence[Sequence[str]],
    *,
    right: Collection[int] = (),
    rule: bool = True,
    width: int | None = None,
    shrink: Sequence[tuple[int, int]] = (),
) -> list[str]:
    """Formats the rows as lines, the first row as the heads; cells may be other people's text.

    Args:
        right: columns that are aligned to the right.
        rule: whether a line is drawn below the heads.
        width, shrink: as for `column_widths`.
    """
    rows = [[clean(text) for text in row] for row in rows]
    widths = column_widths(rows, width, shrink)
    lines = []
    for row in rows:
        texts = [
            fit(text, size, right=place in right) for place, (text, size) in enumerate(zip(row, widths, strict=True))
        ]
        lines.append(GAP.join(texts).rstrip())
    return [lines[0], *([GAP.join("─" * size for size in widths)] if rule else []), *lines[1:]]
