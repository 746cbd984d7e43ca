"""Reads printed numbers, each whole or not at all."""

from __future__ import annotations

import math
import re
from typing import NamedTuple

from ..base.values import Number
from ..base.wording import clipped

# Sign, thousands, decimals, exponent, nan and inf in any case; the guards keep 1234,567 and "nanoseconds" whole. A decimal
# comma is no part of it (see `whole`): there are patterns for `1,2`, two numbers.
NUMBER = (
    r"(?:[-+]?(?:(?:[1-9][0-9]{0,2}(?:,[0-9]{3})+(?!,?[0-9])|[0-9]+)(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][-+]?[0-9]+)?"
    r"|[-+]?(?:[nN][aA][nN]|[iI][nN][fF](?:[iI][nN][iI][tT][yY])?)\b)"
)
DECIMALS = r",\d+(?:[eE][-+]?\d+)?(?![.,]?\d|\s?[)\]}])"  # after a comma; not of a list: 1,2,3 or [1,2]
# What no number is, though its first part would be one: thousands apart (1 000, 1'000), a part of a total (5 / 10).
GROUPED = r"[-+]?[1-9]\d{0,2}(?:[ \u00a0\u202f'’]\d{3})+(?:[.,]\d+)?(?![\w'’]|[.,]\d)"
OF_TOTAL = r"[ \t]?/[ \t]?(?:\d+(?:\.\d*)?|\.\d+)(?!\w)"
_GROUPED = re.compile(GROUPED)
_OF_TOTAL = re.compile(OF_TOTAL)
_DECIMALS = re.compile(DECIMALS)
_ATTACHED = re.compile(
    r"[A-Za-zµ]{1,3}(?:/[A-Za-z]{1,5})?(?!\w)|\.?\d[\w.]*|_\d[\w.]*"
)  # a unit, more of a version, 1_000.5
_INTEGER = re.compile(r"[-+]?\d+")
_EUROPEAN = re.compile(r"[-+]?[1-9]\d{0,2}(?:\.\d{3})+")  # 1.234,5
_EXACT_INT = 15  # digits; a longer whole number is read as a float
_THOUSANDS = re.compile(r"[-+]?[1-9]\d{0,2}(?:,\d{3})+(?:\.\d*)?(?:[eE][-+]?\d+)?")
_DECIMAL_COMMA = re.compile(r"[-+]?\d+,\d+(?:[eE][-+]?\d+)?")
_EITHER = re.compile(r"[-+]?[1-9]\d{0,2},\d{3}(?:[eE][-+]?\d+)?")
# Numbers as numpy, torch, JAX and TensorFlow show them: np.float64(0.5), tensor(0.25, device='cuda:0'). Repeats are bounded, so
# that a long line takes no longer for it.
_GAP = r"\s{0,4}"
_TYPE = (
    r"(?:\b[A-Za-z_]\w{0,30}\.){0,4}\b(?:[tT]ensor|Parameter|float(?:16|32|64|128)?_?|int(?:8|16|32|64)|double|longdouble"
    r"|[aA]rray|DeviceArray|Decimal)"
)
_SHOWN = re.compile(
    rf"{_TYPE}\({_GAP}(?P<open>['\"\[])?{_GAP}(?P<call>{NUMBER}){_GAP}(?(open)['\"\]]){_GAP}(?:,(?:[^()]|\([^()]*\))*)?\)"
    rf"|<tf\.Tensor:[^<>]*\bnumpy=(?P<tf>{NUMBER})>",
    re.ASCII,
)
SHOWN_HINTS = (  # quicker than the names: any call with a number in it
    re.compile(rb"\((?<=[a-z0-9_]\()\s{0,4}['\"\[]?[-+.0-9nNiI]"),
    re.compile(rb"numpy=[-+.0-9nNiI]"),
)
# What a person takes for a number with something attached: 12.5ms, 1.2k, 3/100, 1e-3 (avg), 1.234,56.
_LIKE_NUMBER = re.compile(
    r"[-+]?(?:\d+(?:[.,]\d+)?|\.\d+|\d{1,3}(?:\.\d{3})+,\d+)(?:[eE][-+]?\d+)?\s?(?:[A-Za-zµ%]{1,3}(?:/[A-Za-z]{1,5})?|/\s?(?:\d+(?:\.\d*)?|\.\d+)|\(.*\))?"
    rf"|{GROUPED}"
)
_LAST_WORD = re.compile(r".*[/_]", re.DOTALL)
_PROGRESS = re.compile(r"\s*(\d+)\s*/\s*\d+\s*")
COUNTERS = ("epoch", "iter", "iteration", "step", "batch", "round")  # metrics whose "3/100" is 3 of 100


class LeftOut(NamedTuple):
    """A metric's value that looks like a number and is none, such as `12.5ms`, with its line."""

    name: str
    text: str
    line: str

    def __str__(self) -> str:
        return f"{self.name}: {self.text!r} is not a plain number, and is left out: {clipped(self.line)!r}"


class Commas(float):
    """A number with one comma, of which the metric's other values say how to read it.

    It is worth its likelier reading; `decimal` is the other one, in which the comma comes before the decimals. Without
    another reading `decimal` is the value itself.
    """

    decimal: float

    def __new__(cls, value: float, decimal: float) -> Commas:
        """Makes the number with both readings."""
        number = super().__new__(cls, value)
        number.decimal = decimal
        return number

    @property
    def certain(self) -> bool:
        """Whether the comma can only come before decimals."""
        return float(self) == self.decimal


class Null(float):
    """JSON's null: what some programs write for nan, and others where a row has no value."""


NULL = Null(math.nan)


def to_number(text: str) -> Number | None:
    """Parses a number as a log prints it: `1,234`, `0,512`, `93.1%`, `1e-5`, `nan`, `np.float64(0.5)`; None for others.

    A number written as a whole one becomes an int; one whose comma may be a decimal comma becomes `Commas`.
    """
    try:
        return _typed(float(text), text)
    except ValueError:
        text = text.strip().rstrip(",").removesuffix("%").rstrip()
    if "(" in text or "<" in text:
        shown = _SHOWN.fullmatch(text)
        return to_number(shown["call"] or shown["tf"]) if shown else None
    if "," in text:
        return _with_commas(text)
    try:
        return _typed(float(text), text)
    except ValueError:
        return None


def _typed(value: float, text: str) -> Number:
    """Returns a value as an int if its text is a whole number's."""
    if len(text) <= _EXACT_INT and value.is_integer() and text.lstrip("+-").isdecimal():
        return int(text)
    return value


def _with_commas(text: str) -> Number | None:
    """Parses a number with thousands separators or a decimal comma; None for a list."""
    if _THOUSANDS.fullmatch(text):
        plain = text.replace(",", "")
        if _EITHER.fullmatch(text):
            return Commas(float(plain), float(text.replace(",", ".")))
        return _typed(float(plain), plain)
    if _DECIMAL_COMMA.fullmatch(text):
        value = float(text.replace(",", "."))
        return Commas(value, value)
    return None


def settled(value: Commas, *, decimal: bool) -> Number:
    """Returns the number that is meant, with or without a decimal comma."""
    if decimal:
        return value.decimal
    return int(value) if value.is_integer() else float(value)


def progress(name: str, text: str) -> int | None:
    """Returns 3 for an epoch, iteration or step that is printed as "3/100"; None for anything else.

    Args:
        name: of the value, such as `epoch`, `train/iter` or `cur_epoch`.
    """
    if is_counter(name) and (match := _PROGRESS.fullmatch(text)):
        return int(match[1])
    return None


def is_counter(name: str) -> bool:
    """Tells whether a metric counts epochs, iterations or steps, behind which another number may stand: `iter 10 200`."""
    return _LAST_WORD.sub("", name).lower() in COUNTERS


def grouped(name: str, line: str, start: int, end: int) -> str:
    """Returns the text of a number with grouped digits or a total (`1 000`, `1'000`, `5 / 10`); "" for any other number.

    Args:
        name: of the value; counters have other numbers beside them, and may be one of a total.
        start: where the number begins in the line, and `end` where its first part ends.
    """
    if not (line[end + 1 : end + 2].isdecimal() or "/" in line[end : end + 2]) or not line[end - 1 : end].isdecimal():
        return ""
    if match := _OF_TOTAL.match(line, end):
        text = line[start : match.end()]
        return "" if progress(name, text) is not None else text
    match = None if is_counter(name) else _GROUPED.match(line, start)
    return match[0] if match and match.end() > end else ""


def whole(text: str, line: str, end: int) -> str:
    """Returns a number's text with what stands directly behind it and belongs to it: `0,512` for its `0`, `1.2k` for `1.2`.

    Args:
        end: where the text ends in the line.
    """
    found = _ATTACHED.match(line, end)
    if not found and (_INTEGER.fullmatch(text) or _EUROPEAN.fullmatch(text)):
        found = _DECIMALS.match(line, end)
    return text + found[0] if found and text[-1:] in "0123456789." else text


def unwrapped(line: str) -> str:
    """Replaces numbers as numpy, torch, JAX and TensorFlow show them by the plain numbers."""
    return _SHOWN.sub(lambda match: match["call"] or match["tf"], line) if "(" in line else line


def like_number(text: str) -> bool:
    """Tells whether a text that is no number looks like one, with a unit or the like: `12.5ms`, `3/100`."""
    return len(text) <= 40 and _LIKE_NUMBER.fullmatch(text.strip()) is not None
