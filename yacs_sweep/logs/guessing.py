"""Finds metrics in log lines without any pattern of a profile: `name: number`, `name=number`."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from ..base.values import Number
from .numbers import DECIMALS, NUMBER, SHOWN_HINT, progress, to_number

# Where in a block of output a metric may be: a separator between something other than digits and the start of a number.
# Clock times (12:00:00) and prefixes (INFO: text) are passed over.
HINTS = (
    re.compile(rb"""[:=](?<=[^0-9][:=])["' \t]{0,4}(?:[-+.0-9]|[nN][aA][nN]|[iI][nN][fF])"""),
    re.compile("：[ \t]{0,4}[-+.0-9nNiI]".encode()),
    re.compile(rb"poch\W{0,3}[0-9]"),
    SHOWN_HINT,
)
LIMIT = 1 << 12  # characters of a line that are looked at
_SPLIT = r"(?:(?P<split>train(?:ing)?|val(?:id(?:ation)?)?|test(?:ing)?|eval(?:uation)?)[ _/-])?"
_NAMED = rf"(?<![\w./@%-]){_SPLIT}(?P<name>[^\W\d][\w./@%()-]{{0,60}})[\"']?[ \t]{{0,4}}[:=：][\"' \t]{{0,4}}"
_WHOLE = r"%?(?![\w:/%]|[-+.,]\d|(?<=%)\|)"  # behind a number that is not a part of something else
_PAIR = re.compile(rf"{_NAMED}(?P<value>{NUMBER}(?:(?<=\d){DECIMALS})?){_WHOLE}", re.IGNORECASE)
_PAIR_UNREAD = re.compile(
    rf"{_NAMED}(?P<value>[-+]?\.?\d[^\s;|\]}}\"']{{0,20}}?)(?=,?(?:[\s;|\]}}\"']|$))", re.IGNORECASE
)
# Namespace(lr=0.1, seed=0), Linear(in_features=8, …): settings, not metrics. Up to the end where it does not close.
_OBJECT = re.compile(r"(?<![\w./])[A-Z]\w*\((?:[^()]|\([^()]*\))*")
_SOURCE_FILES = (".py", ".cc", ".cpp", ".cu")  # [meters.py: 153] is a place in the trainer
_EPOCH = re.compile(r"\bepoch\W{0,3}(?P<value>[1-9]\d{0,2}(?:,\d{3})+|\d+(?:\.\d+)?)(?![.,]?\d)", re.IGNORECASE)
_SPLITS = {"tr": "train", "va": "val", "te": "test", "ev": "eval"}
# With nothing but blanks between name and value only words that name metrics are believed.
_LOOSE = re.compile(
    r"(?<![\w./@%-])(?P<name>[a-z_@\d./-]{0,40}(?:loss|acc|err|lr|auc|iou|map|f1|bleu|rouge|precision|recall|rmse|mae|psnr|ssim"
    rf"|ppl|perplexity|top|rank|score|dice)[\w.@/-]{{0,40}})[ \t]{{1,4}}(?P<value>{NUMBER}){_WHOLE}",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class Guess:
    """A metric in a line: name, value, and where both stand."""

    name: str
    value: Number
    start: int  # of the name
    number: tuple[int, int]  # of the value


def guess(line: str) -> Iterator[Guess]:
    """Yields what looks like metrics in one line; `Epoch 3`, `Epoch[3]` and `epoch: 3/10` are the metric `epoch`."""
    line = line[:LIMIT]
    epoch = _EPOCH.search(line)
    if epoch and (value := to_number(epoch["value"])) is not None:
        yield Guess("epoch", value, epoch.start(), epoch.span("value"))
    printed = [match.span() for match in _OBJECT.finditer(line)] if "(" in line else []
    for match in _PAIR.finditer(line):
        if any(start < match.start("value") < end for start, end in printed):
            continue
        name, split = match["name"], match["split"]
        value = to_number(match["value"])
        if value is None or name.lower() == "epoch" or name.endswith(_SOURCE_FILES):
            continue
        # "Test accuracy: 0.9" is test/accuracy; "test_accuracy: 0.9" is a name as it stands.
        if split and line[match.end("split")] == " ":
            name = f"{_SPLITS[split[:2].lower()]}/{name}"
        elif split:
            name = f"{split}{line[match.end('split')]}{name}"
        yield Guess(name, value, match.start(), match.span("value"))


def guess_loosely(line: str) -> list[Guess]:
    """Finds what `guess` does, and pairs with only blanks between name and value (`Loss 0.5`): good enough for a hint."""
    found = list(guess(line))
    for match in _LOOSE.finditer(line[:LIMIT]):
        value = to_number(match["value"])
        if value is not None and all(match.span("value") != item.number for item in found):
            found.append(Guess(match["name"], value, match.start(), match.span("value")))
    return found


def guess_unread(line: str) -> Iterator[tuple[str, str]]:
    """Yields name and text of what begins as a metric's value does and is no number, such as `12.5ms`."""
    for match in _PAIR_UNREAD.finditer(line[:LIMIT]):
        if to_number(match["value"]) is None and progress(match["name"], match["value"]) is None:
            yield match["name"], match["value"]


def guessed_row(line: str) -> dict[str, Number]:
    """Returns what `guess` finds as a row; of equal names the first counts."""
    found: dict[str, Number] = {}
    for item in guess(line):
        found.setdefault(item.name, item.value)
    return found
