"""Ranked lists drawn for viewing: as a picture, and as an HTML page with the images inside."""

from __future__ import annotations

import base64
import html
import io
import logging
from collections.abc import Sequence
from dataclasses import dataclass

from PIL import Image, ImageDraw

from data.decoding import ImageError, read_pixels
from utils.logger import NAME
from utils.text import one_line

_RIGHT, _WRONG, _QUERY = "#1a9641", "#d7191c", "#404040"
_HEIGHT, _BORDER, _GAP = 128, 4, 6
_CAPTION = 14

_PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>{title}</title><style>
body {{ font: 14px/1.4 sans-serif; margin: 1.5em; }}
table {{ border-collapse: collapse; }}
td {{ padding: 3px; vertical-align: top; text-align: center; font-size: 11px; }}
td:first-child {{ padding-right: 14px; }}
img {{ height: {height}px; border: {border}px solid; display: block; }}
.right img {{ border-color: {right}; }} .wrong img {{ border-color: {wrong}; }} .query img {{ border-color: {query}; }}
</style></head><body>
<h1>{title}</h1>
<p>{summary}</p>
<p>Each row is a query and the gallery images ranked first: <b style="color: {right}">right</b> and
<b style="color: {wrong}">wrong</b> identities. Worst queries first.</p>
<table>
{rows}
</table></body></html>
"""


@dataclass(frozen=True)
class ListedImage:
    """Image of a ranked list, with its identity, and the data set's names of identity and camera (empty: unknown)."""

    path: str
    pid: int
    person: str
    camera: str


@dataclass(frozen=True)
class RankedList:
    """Ranked list of a query: the gallery images ranked first, and the average precision, NaN without a match."""

    query: ListedImage
    ranked: Sequence[ListedImage]
    average_precision: float

    def is_right(self, shown: ListedImage) -> bool:
        """Tells whether a gallery image is of the query's identity."""
        return shown.pid == self.query.pid


def draw_lists(lists: Sequence[RankedList]) -> Image.Image:
    """Draws each list as a row: the query, a gap, the ranked images with a green or red border, identity and camera."""
    rows = [
        [(one.query, _QUERY)] + [(shown, _RIGHT if one.is_right(shown) else _WRONG) for shown in one.ranked]
        for one in lists
    ]
    pictures = [[_thumbnail(shown.path) for shown, _ in row] for row in rows]
    column = max(picture.width for row in pictures for picture in row) + 2 * _BORDER + _GAP
    line = _HEIGHT + 2 * _BORDER + _CAPTION + _GAP
    width = column * max(map(len, rows)) + 2 * _GAP
    canvas = Image.new("RGB", (width, line * len(rows) + _GAP), "white")
    pen = ImageDraw.Draw(canvas)
    for y, (row, images) in enumerate(zip(rows, pictures, strict=True)):
        for x, ((shown, colour), image) in enumerate(zip(row, images, strict=True)):
            left, top = _GAP + x * column + (_GAP if x else 0), _GAP + y * line
            pen.rectangle((left, top, left + image.width + 2 * _BORDER - 1, top + _HEIGHT + 2 * _BORDER - 1), colour)
            canvas.paste(image, (left + _BORDER, top + _BORDER))
            # Pillow's font without FreeType knows Latin letters only.
            caption = _caption(shown).encode("latin-1", "replace").decode("latin-1")
            pen.text((left, top + _HEIGHT + 2 * _BORDER), caption, fill=colour)
    return canvas


def html_page(lists: Sequence[RankedList], title: str, summary: str) -> str:
    """Writes an HTML page of the lists, the worst average precision first, with the images inside."""
    ordered = sorted(lists, key=lambda one: (one.average_precision != one.average_precision, one.average_precision))
    rows = []
    for one in ordered:
        precision = "no match" if one.average_precision != one.average_precision else f"{one.average_precision:.1%}"
        cells = [_cell(one.query, "query", f"query {_caption(one.query)}, AP {precision}")]
        for place, shown in enumerate(one.ranked, start=1):
            kind = "right" if one.is_right(shown) else "wrong"
            cells.append(_cell(shown, kind, f"{place}: {_caption(shown)}"))
        rows.append(f"<tr>{''.join(cells)}</tr>")
    return _PAGE.format(
        title=html.escape(one_line(title)), summary=html.escape(one_line(summary)),
        rows="\n".join(rows), height=_HEIGHT, border=_BORDER,
        right=_RIGHT, wrong=_WRONG, query=_QUERY,
    )  # fmt: skip


def _cell(shown: ListedImage, kind: str, caption: str) -> str:
    """Writes a table cell with an image and its caption."""
    stream = io.BytesIO()
    _thumbnail(shown.path).save(stream, "JPEG", quality=85)
    source = "data:image/jpeg;base64," + base64.b64encode(stream.getvalue()).decode()
    path = html.escape(one_line(shown.path), quote=True)
    return f'<td class="{kind}"><img src="{source}" alt="{path}" title="{path}">{html.escape(caption)}</td>'


def _caption(shown: ListedImage) -> str:
    return f"{one_line(shown.person)} c{one_line(shown.camera)}" if shown.camera else one_line(shown.person)


def _thumbnail(path: str) -> Image.Image:
    """Reads an image at the height of a list; one that cannot be read any more is drawn as a grey box."""
    try:
        picture = Image.fromarray(read_pixels(path))
    except ImageError as error:
        logging.getLogger(NAME).warning("Drawn grey: %s", error)
        return Image.new("RGB", (_HEIGHT // 2, _HEIGHT), _QUERY)
    return picture.resize((max(1, round(picture.width * _HEIGHT / picture.height)), _HEIGHT))
