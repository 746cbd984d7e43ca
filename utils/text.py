"""Texts that any file or terminal takes, from names of files that may be any bytes."""

from __future__ import annotations


def printable(text: str) -> str:
    r"""Writes the bytes of a file's name that are no UTF-8, which Python keeps as surrogates, as `\xff`."""
    return text.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
