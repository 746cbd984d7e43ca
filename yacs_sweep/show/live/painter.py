"""Makes the characters that keep a frame at the bottom of a terminal, below messages that scroll by. No I/O.

The cursor is neither hidden nor moved above the frame for longer than one write, no mode of the terminal is changed and
the other screen is not used: whatever becomes of us, the terminal is as it was, and its history has the messages.
"""

from __future__ import annotations

import io
from collections.abc import Sequence

from ...base.wording import printable
from ..cells import Line, clean, width_of

BEGIN, END = "\x1b[?2026h", "\x1b[?2026l"  # drawn in one step where the terminal can; the others do not mind
STYLES = (("✓", "green"), ("■", "yellow"), ("✗", "red"), ("warning:", "yellow"))  # of messages, by how they begin


class Painter:
    """Knows the frame on the terminal, and makes the characters that replace it."""

    def __init__(self) -> None:
        from rich.console import Console  # only where there is a terminal

        self._file = io.StringIO()
        # It decides by TERM, COLORTERM and NO_COLOR how colours are written.
        self._console = Console(
            file=self._file, force_terminal=True, highlight=False, markup=False, emoji=False, width=1000
        )
        self._drawn: list[Line] = []
        self._shape = (0, 0)

    def _styled(self, line: Line) -> str:
        """Formats a line with its colours."""
        from rich.text import Text

        self._file.seek(0)
        self._file.truncate()
        self._console.print(Text.assemble(*((clean(text), style) for text, style in line)), soft_wrap=True, end="")
        return self._file.getvalue()

    def message(self, text: str) -> str:
        """Formats a message, of one line or more, with the colour of its mark."""
        text = printable(text)
        behind = text.removeprefix("[sweep] ")
        for words in (text, behind, behind.partition(" ")[2]):  # of several sweeps the id stands first
            for mark, style in STYLES:
                if words.startswith(mark):
                    return "\n".join(self._styled([(line, style)]) for line in text.split("\n"))
        return text

    def forget(self) -> None:
        """Forgets the frame, as the terminal has been written to: the next one starts at the cursor."""
        self._drawn = []

    def draw(self, messages: Sequence[str], frame: Sequence[Line], columns: int, rows: int) -> str:
        """Makes the characters that replace the last frame by the messages and the new frame; none without a change."""
        shape = (columns, rows)
        if not messages and list(frame) == self._drawn and shape == self._shape:
            return ""
        parts = [BEGIN, self._up(columns, rows)]
        if messages or shape != self._shape:
            parts.append("\x1b[J")
            parts += [f"{self.message(text)}\n" for text in messages]
        # A line is written anew, then what is left of the old one removed: nothing flickers.
        parts += [f"{self._styled(line)}\x1b[K\n" for line in frame]
        parts += ["\x1b[J", END]
        self._drawn, self._shape = list(frame), shape
        return "".join(parts)

    def _up(self, columns: int, rows: int) -> str:
        """Moves the cursor to the frame's first line; on a terminal that is narrower now the lines have been wrapped."""
        height = sum(max(1, -(-width_of(line) // max(1, columns))) for line in self._drawn)
        height = min(height, max(0, rows - 1))
        return f"\x1b[{height}A\r" if height else "\r"
