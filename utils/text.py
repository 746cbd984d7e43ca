"""Texts that any file or terminal takes, from names of files that may be any bytes; words that several messages share."""

from __future__ import annotations

import difflib
import unicodedata
from collections.abc import Sequence


def printable(text: str) -> str:
    r"""Writes the bytes of a file's name that are no UTF-8, which Python keeps as surrogates, as `\xff`."""
    return text.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")


def one_line(text: str) -> str:
    r"""Escapes what cannot be shown on one line, as in a file's name.

    A byte that is not UTF-8, which Python holds as a lone surrogate, becomes `\xff`; a control character `\n` or `\x1b`.
    """
    return text if text.isprintable() else "".join(map(_escape, text))


def not_allowed(value: object, choices: Sequence[object], names: Sequence[str] | None = None) -> str:
    """Writes the error for a value that is none of the choices, with the one that resembles it as a suggestion.

    Args:
        value: what was given.
        choices: what is allowed.
        names: those that may be suggested; None: all.
    """
    *first, last = told = [str(choice) for choice in choices]
    near = difflib.get_close_matches(str(value), told if names is None else names, n=1)
    hint = f"; did you mean {near[0]}?" if near else ""
    return f"{value!r} is not allowed; choose {', '.join(first)} or {last}{hint}"


def _escape(character: str) -> str:
    if character.isprintable() or unicodedata.category(character) == "Zs":  # blanks other than the usual one
        return character
    if "\udc80" <= character <= "\udcff":
        return f"\\x{ord(character) - 0xDC00:02x}"
    return character.encode("unicode_escape").decode()
