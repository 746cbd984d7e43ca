"""Formats texts for messages: one line, printable, with a suggestion for a misspelt word."""

from __future__ import annotations

import re
import sys
import unicodedata
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from .escapes import without_escapes

SHOWN = 160  # characters of a line in a message
# Joiners, marks and hyphens that take no column, or change how wide the character before them is drawn.
_INVISIBLE = frozenset("\u00ad\u200b\u200c\u200d\u2060\ufe0e\ufe0f\ufeff")


def printable(text: str) -> str:
    """Makes other people's text harmless for a terminal or file: every letter is printable, line ends stay.

    Escape sequences and invisible characters are removed; blanks of other kinds become blanks, and what else could be
    taken as a command (control characters, marks that turn the direction of text) becomes `?`.
    """
    if text.isascii() and text.replace("\n", "").isprintable():
        return text
    text = without_escapes(text)
    return text.translate(
        {ord(each): "" if each in _INVISIBLE else " " if each.isspace() else "?" for each in unprintable(text)}
    )


def unprintable(text: str) -> set[str]:
    """Returns the characters of a text that are not printable or not visible; line ends are allowed."""
    return {letter for letter in set(text) if letter in _INVISIBLE or not (letter.isprintable() or letter == "\n")}


# -- columns of a terminal -------------------------------------------------------------------------------------------
_WORD = re.compile(r"\s*(?:`[^`]*`|\S)+")  # what stands in backticks is to be typed, and stays in one line
_SHELL_WORD = re.compile(r"""\s*(?:'[^']*'|"(?:[^"\\]|\\.)*"|\\.|\S)+""", re.S)


def cells(text: str) -> int:
    """Counts the columns that the text takes."""
    if text.isascii():
        return len(text)
    return sum(map(column_of, text))


def column_of(letter: str) -> int:
    """Counts the columns of one character: 0 for one that joins the letter before it, 2 for wide ones."""
    # Vowels and finals of Korean syllables that are written in parts, as file names on macOS are.
    if "\u1160" <= letter <= "\u11ff" or "\ud7b0" <= letter <= "\ud7fb":
        return 0
    if unicodedata.category(letter) in ("Mn", "Me"):
        return 0
    return 2 if unicodedata.east_asian_width(letter) in "WF" else 1


def cut(text: str, width: int) -> str:
    """Cuts the text to at most `width` columns, with an ellipsis where some is missing."""
    if cells(text) <= width:
        return text
    kept, used = [], 0
    for letter in text:
        used += column_of(letter)
        if used > width - 1:
            break
        kept.append(letter)
    return "".join(kept) + "…" if width > 0 else ""


def wrap(text: str, width: int, *, indent: int = 0, whole: bool = True, shell: bool = False) -> list[str]:
    """Breaks a text between words into lines of at most `width` columns.

    Args:
        indent: blanks before every line but the first.
        whole: whether a longer word, such as a path, stays in one piece, wider than a line; else it is broken, too.
        shell: whether a backslash stands at the end of each line but the last, and words are those of a shell.
    """
    words, end = (_SHELL_WORD.findall(text), " \\") if shell else (_WORD.findall(text), "")
    if shell and cells(text) > width:
        width -= len(end)
    lines, line, free = list[str](), "", width
    for word in words:
        if cells(word) > free and line.strip():
            lines.append(line + end)
            line, free, word = " " * indent, width - indent, word.lstrip()
        while not whole and cells(word) > free:
            piece = cut(word, free + 1)[:-1] or word[0]
            lines.append(line + piece)
            line, free, word = " " * indent, width - indent, word[len(piece) :]
        line, free = line + word, free - cells(word)
    return [*lines, line]


# -- words ------------------------------------------------------------------------------------------------------------
_CREDENTIALS = re.compile(r"(?<=://)[^\s\"'<>]*@")


def without_password(text: str) -> str:
    """Removes user name and password from the addresses in a text: `http://alice:secret@host` is `http://host`."""
    return _CREDENTIALS.sub("", text)


def one_line(error: Exception) -> str:
    """Formats an error's message on one line."""
    return " ".join(str(error).split()) or type(error).__name__


def counted(number: int, noun: str, plural: str = "") -> str:
    """Formats a number of things: `1 trial`, `4 trials`. `plural`: of a noun that takes no plain s."""
    return f"{number} {noun if number == 1 else plural or f'{noun}s'}"


def sentence(text: str) -> str:
    """Writes a line as a sentence: with a capital, and a full stop."""
    return f"{text[0].upper()}{text[1:]}."


def is_text(value: str) -> bool:
    """Tells whether every byte of an argument or path is text in the environment's encoding.

    Python keeps the other bytes as surrogates.
    """
    return value.isascii() or not any("\ud800" <= letter <= "\udfff" for letter in value)


def no_texts(options: Mapping[str, Any]) -> list[str]:
    """Lists the options, and the current folder, that are no text in the environment's encoding: a message each."""
    given = [(f"--{key}" if key != "trailing" else "KEY VALUE", value) for key, value in options.items()]
    found = [no_text(name, text) for name, value in given for text in _texts(value) if not is_text(text)]
    try:
        here = str(Path.cwd())
    except OSError:  # it has been deleted
        return found
    return found if is_text(here) else [*found, no_text("this folder", here)]


def no_text(name: str, value: str) -> str:
    """Formats the message about a value that is no text."""
    encoding = sys.getfilesystemencoding().upper()
    hint = "rename it, or write it in UTF-8" if encoding == "UTF-8" else "or set a locale of UTF-8: LC_ALL=C.UTF-8"
    return f"{name}: {value!a} is not valid text in {encoding}; {hint}"


def _texts(value: Any) -> Iterator[str]:
    """Yields every text in a value, at any depth."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for key, item in value.items():
            yield from _texts(key)
            yield from _texts(item)
    elif isinstance(value, list | tuple):
        for item in value:
            yield from _texts(item)


def show(value: Any) -> str:
    """Formats a value as the user would write it in YAML, in at most 80 characters."""
    if value is None:
        text = "null"
    elif isinstance(value, bool):
        text = "true" if value else "false"
    elif isinstance(value, str):
        text = f"'{value}'"
    elif isinstance(value, (list, tuple)):
        text = "[" + ", ".join(show(item) for item in list(value)[:8]) + (", …]" if len(value) > 8 else "]")
    elif isinstance(value, dict):
        text = "{" + ", ".join(f"{key}: {show(item)}" for key, item in list(value.items())[:8]) + "}"
    else:
        text = repr(value)
    return text if len(text) <= 80 else text[:77] + "…"


def nearest(word: str, names: Iterable[str], *, count: int = 1, cutoff: float = 0.6) -> list[str]:
    """Finds the names most like `word`, whatever its case and separators, else those that begin with it.

    Args:
        count: names at most.
        cutoff: the least similarity, from 0 to 1 (difflib's ratio).
    """
    import difflib  # only a mistake needs it

    plain = {name: re.sub(r"[-_. ]", "", name).lower() for name in names}
    sought = re.sub(r"[-_. ]", "", word).lower()
    close = difflib.get_close_matches(sought, list(plain.values()), count, cutoff)
    if not close and len(sought) > 2:
        close = [folded for folded in plain.values() if folded.startswith(sought)]
    return [name for match in close for name, folded in plain.items() if folded == match][:count]


def did_you_mean(word: str, names: Iterable[str]) -> str:
    """Formats `; did you mean X?`; empty when no name is near."""
    names = list(names)
    close = nearest(word, names) or _with_part(word, names)
    return f"; did you mean {close[0]}?" if close else ""


def _with_part(word: str, names: Iterable[str]) -> list[str]:
    """Finds the names of which a part begins with `word`, such as `SOLVER.MARGIN` for `marg`; the shortest first."""
    part = re.compile(rf"(?<![^\W_]){re.escape(word)}", re.IGNORECASE)
    return sorted(filter(part.search, names), key=len) if len(word) > 2 else []


def clipped(text: str, size: int = SHOWN) -> str:
    """Shortens a line for a message, and blanks what cannot be printed."""
    text = "".join(character if character.isprintable() else " " for character in text.strip())
    return text if len(text) <= size else text[: size - 1] + "…"
