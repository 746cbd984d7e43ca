"""Whether what a sweep is given is text: it goes into files, to servers and to other processes, which take UTF-8 alone."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any


def is_text(value: str) -> bool:
    """Whether it has no bytes that the environment's encoding has no letter for; Python keeps them as surrogates."""
    return value.isascii() or not any("\ud800" <= letter <= "\udfff" for letter in value)


def no_texts(options: argparse.Namespace) -> list[str]:
    """What is wrong with the options and with the folder in which the sweep is started; a line each."""
    given = [(f"--{key}" if key != "trailing" else "KEY VALUE", value) for key, value in vars(options).items()]
    found = [no_text(name, text) for name, value in given for text in _texts(value) if not is_text(text)]
    try:
        here = str(Path.cwd())
    except OSError:  # it has been deleted
        return found
    return found if is_text(here) else [*found, no_text("this folder", here)]


def no_text(name: str, value: str) -> str:
    """One line."""
    encoding = sys.getfilesystemencoding().upper()
    hint = "rename it, or write it in UTF-8" if encoding == "UTF-8" else "a locale of UTF-8 knows more (LC_ALL=C.UTF-8)"
    return f"{name}: {value!a} is no text in {encoding}; {hint}"


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for key, item in value.items():
            yield from _texts(key)
            yield from _texts(item)
    elif isinstance(value, list | tuple):
        for item in value:
            yield from _texts(item)
