"""Removes the escape sequences with which programs colour and move text on a terminal (ECMA-48)."""

from __future__ import annotations

import re

# A sequence never reaches beyond its line: what an unfinished one leaves behind is text.
_ESCAPE = (
    r"(?:\x1b\[|\x9b)[0-?]*[ -/]*[@-~]?"  # CSI: colours, cursor, erasing
    r"|\x1b[\]PX^_][^\x07\x1b\r\n]*(?:\x07|\x1b\\)"  # OSC and other strings: titles, links
    r"|\x1b[ -/]+[0-~]?"  # character sets
    r"|\x1b[0-~]?"  # the other sequences of two characters
)
_IN_TEXT = re.compile(_ESCAPE)
_IN_BYTES = re.compile(_ESCAPE.replace(r"\x9b", r"\xc2\x9b").encode("ascii"))  # as UTF-8


def without_escapes(text: str) -> str:
    """Removes every escape sequence from `text`, which may hold several lines."""
    return _IN_TEXT.sub("", text) if "\x1b" in text or "\x9b" in text else text


def without_escape_bytes(data: bytes) -> bytes:
    """Removes every escape sequence from output in UTF-8, as `without_escapes` does from text."""
    return _IN_BYTES.sub(b"", data) if has_escape_bytes(data) else data


def has_escape_bytes(data: bytes) -> bool:
    """Tells whether output in UTF-8 holds the beginning of an escape sequence."""
    return b"\x1b" in data or b"\xc2\x9b" in data
