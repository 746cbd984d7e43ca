"""Finds metrics in log lines without any pattern of a profile: `name: number`, `name=number`, `loss 0.5 (0.4)`."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import lru_cache

from ..base.values import Number
from .numbers import (
    COUNTERS,
    DECIMALS,
    GROUPED,
    NUMBER,
    OF_TOTAL,
    SHOWN_HINTS,
    grouped,
    is_counter,
    progress,
    to_number,
)

# Words that name metrics, or their ends.
_WORDS = ("oss", "cc", "rr", "lr", "LR", "AP", "auc", "oU", "F1", "rec", "mae", "mse", "ppl")
_BLANK_VALUE = re.compile(rb"[\w@./-]{0,20}[ \t]{1,4}[-+]?[.0-9nNiI]")


class _WordHint:
    """Finds a word that may name a metric, with blanks and a number behind it; faster than a regular expression of all words."""

    def __init__(self, word: str) -> None:
        self._word = word.encode()

    def search(self, block: bytes, start: int = 0) -> re.Match[bytes] | None:
        """Finds the first place from `start` on."""
        at = block.find(self._word, start)
        while at >= 0:
            if match := _BLANK_VALUE.match(block, at + len(self._word)):
                return match
            at = block.find(self._word, at + 1)
        return None


# Where in a block of output a metric may be: a separator between something other than digits and the start of a number.
# Clock times (12:00:00) and prefixes (INFO: text) are passed over; a name may end in a digit or two (top1: 0.5).
HINTS: tuple[_WordHint | re.Pattern[bytes], ...] = (
    re.compile(
        rb"[:=](?:(?<=[^0-9][:=])|(?<=[@A-SU-Za-z_-][0-9][:=])|(?<=[@A-SU-Za-z_-][0-9][0-9][:=]))"
        rb"""["' \t]{0,4}(?:[-+.0-9]|[nN][aA][nN]|[iI][nN][fF])"""
    ),
    re.compile("：[ \t]{0,4}[-+.0-9nNiI]".encode()),
    re.compile(rb"poch(?:\((?:train|val|test)\))?\W{0,4}[0-9]"),
    re.compile(rb"POCH\W{0,4}[0-9]"),
    *SHOWN_HINTS,
    *(_WordHint(word) for word in _WORDS),
)
LIMIT = 1 << 12  # characters of a line that are looked at
_SPLIT_WORD = r"(?P<split>train(?:ing)?|val(?:id(?:ation)?)?|test(?:ing)?|eval(?:uation)?)"
_APART = r"[ ](?:(?:set|mean|average|avg|total|overall|running)[ ])?"  # val total loss
_SPLIT = rf"(?:{_SPLIT_WORD}(?:[_/-]|{_APART}))?"
_SPLIT_BEFORE = re.compile(rf"(?<![\w./@%-]){_SPLIT_WORD}{_APART}$", re.IGNORECASE)
_SPLIT_ROOM = 32  # characters that hold such words
_NAMED = rf"(?<![\w./@%-]){_SPLIT}(?P<name>[^\W\d][\w./@%()-]{{0,60}})[\"']?[ \t]{{0,4}}[:=：][\"' \t]{{0,4}}"
_WHOLE = r"%?(?![\w:/%]|[-+.,]\d|(?<=%)\|)"  # behind a number that is not a part of something else
_VALUE = rf"{NUMBER}(?:(?<=\d)(?:{DECIMALS}|(?:_\d{{3}})+(?:\.\d+)?))?"
_PAIR = re.compile(rf"{_NAMED}(?P<value>{_VALUE}){_WHOLE}", re.IGNORECASE)
_UNREAD = rf"(?P<value>{GROUPED}|{NUMBER}{OF_TOTAL}|[-+]?\.?\d[^\s;|\]}}\"']{{0,20}}?)(?=,?(?:[\s;|\]}}\"')]|$))"
# Without one of these no value of a line is left out: a unit or a name directly behind a digit, thousands, a total.
_ODD = re.compile(r"\d(?:(?![eE][-+]?\d)[^\W\d]|[(,'’]|[ \t]?/[ \t]?[.\d]|[ \u00a0\u202f]\d{3}(?!\d))")
_PAIR_UNREAD = re.compile(rf"{_NAMED}{_UNREAD}", re.IGNORECASE)
_BARE_UNREAD = re.compile(rf"(?<![\w./@%=:-])(?P<name>[A-Za-z_\d][\w@./-]{{1,60}})[ \t]{{1,4}}{_UNREAD}")
# Namespace(lr=0.1, seed=0), Linear(in_features=8, …), CfgNode({…}): settings, not metrics.
_OBJECT = re.compile(r"(?<![\w./])[A-Z]\w*\(")
_BRACKET = re.compile(r"[()]")
_SOURCE_FILES = (".py", ".cc", ".cpp", ".cu")  # [meters.py: 153] is a place in the trainer
_COUNT = r"[1-9]\d{0,2}(?:,\d{3})+|\d+(?:\.\d+)?"
_EPOCH = re.compile(
    rf"(?<!per )\b(?:cur(?:rent)?_)?epoch(?:\((?:train|val|test)\))?\W{{0,4}}(?P<value>{_COUNT})(?![.,]?\d)"
    r"|\bepoch/iter: (?P<both>\d+)(?=/(?P<iter>\d+)\b)"
    r"|\btrain(?:ing)?: \[(?P<first>\d+)/\d+\]\[\d+/\d+\]",
    re.IGNORECASE,
)
_SPLITS = {"tr": "train", "va": "val", "te": "test", "ev": "eval"}
# With nothing but blanks between name and value only words that name metrics are believed.
_LOOSE = re.compile(
    r"(?<![\w./@%-])(?P<name>[a-z_@\d./-]{0,40}(?:loss|acc|err|lr|auc|iou|map|f1|bleu|rouge|precision|recall|rmse|mae|psnr|ssim"
    rf"|ppl|perplexity|top|rank|score|dice)[\w.@/-]{{0,40}})[ \t]{{1,4}}(?P<value>{_VALUE}){_WHOLE}",
    re.IGNORECASE,
)


# The same where only such names are believed: not in the middle of words, and with a value that has decimals or an average.
_BARE = re.compile(rf"(?<![\w./@%=:-])(?P<name>[A-Za-z_\d][\w@./-]{{1,60}})[ \t]{{1,4}}(?P<value>{_VALUE}){_WHOLE}")
_METRIC_NAME = re.compile(
    r"(?:(?:[a-z\d][\w./@-]*)?[_./@-]|top\d)?(?:loss|acc(?:uracy)?|err(?:or)?|lr|auc|auroc|m?iou|map|minp|f1|bleu|rouge|prec(?:ision)?"
    r"|recall|[rm]?mse|mae|psnr|ssim|ppl|perplexity|dice)(?:e?s)?(?:@?\d{1,3}|[_./@-][\w./@-]*)?",
    re.IGNORECASE,
)
_DECIMAL = re.compile(r"[^\d]")
# A part between tabs: `time 0.25 (0.3)`, now and on average.
_IN_BRACKETS = rf"{NUMBER}(?:(?<=\d),\d+)?"
_CELL = re.compile(
    rf"[ ]*(?P<name>[A-Za-z][\w@./-]{{0,60}})[ ]{{1,4}}(?P<value>{_VALUE})%?(?: \({_IN_BRACKETS}%?\))?[ ]*"
)
_AVERAGE = re.compile(rf"%?[ ]\((?P<value>{_IN_BRACKETS})%?\)")
_TAG = re.compile(
    r"[\[(](?P<bracket>val(?:id(?:ation)?)?|test(?:ing)?|eval(?:uation)?)[\])]"
    r"|(?<![\w./-])(?P<word>val(?:id(?:ation)?)?|test(?:ing)?|eval(?:uation)?)[ ]?:(?=\s)",
    re.IGNORECASE,
)
_HELD_OUT = re.compile(r"(?:val|test|eval)", re.IGNORECASE)
_TYPE = re.compile(r"""["'](?P<key>_type|split|mode|phase)["']: ["'](?P<type>\w+)["']""")
_SETTINGS_TYPES = ("cfg", "config", "args")
_TEXT_COUNT = re.compile(r"""["'](?P<name>\w+)["']: ["'](?P<value>\d+/\d+)["']""")
_LITERAL = re.compile(r":\s(?:null|true|false|None|True|False)\b")
_RESULT = re.compile(rf"(?:loss|acc|err|map)\w*[\"']:\s{NUMBER}", re.IGNORECASE)
# Parts of sentences: `Rank of current process: 0`, `on the 50000 images: 1.6%`.
_NO_METRICS = frozenset(
    ["epoch", "epochs", "eta", "images", "process", "rank", "samples", "seed", "size", "version", "workers"]
)
_BEST = re.compile(r"(?<![\w-])(?P<which>max|min|best) $", re.IGNORECASE)
_ALWAYS = (*COUNTERS, "lr")  # the same in training and validation
# Of a JSON row: what it counts, and its times. They belong to the row, and not to its data's split.
_OF_ROW = re.compile(
    r"(?:(?:global|total|cur(?:rent)?|num|n)_?)?(?:epoch|iter|iteration|step|batch|round)(?:s|_?(?:num|idx|index|id))?"
    r"|(?:wall|elapsed|unix|iter|step|batch|epoch|data)?_?(?:time|timestamp|elapsed|seconds)(?:_?(?:s|sec|secs|ms|seconds))?",
    re.IGNORECASE,
)
_SAYS_ITS_OWN = re.compile(r"train|val|test|eval|best|min|max|lr\b", re.IGNORECASE)
_DETAIL = re.compile(r"@\[[^\]]*\]")  # COCO's Average Precision (AP) @[ IoU=0.50 | area=all | maxDets=100 ]


@dataclass(frozen=True)
class Guess:
    """A metric in a line: name, value, and where both stand."""

    name: str
    value: Number
    start: int  # of the name
    number: tuple[int, int]  # of the value
    split: str = ""  # that a word of its own before the name says: train, val, test or eval


def guess(line: str) -> Iterator[Guess]:
    """Yields what looks like metrics in one line; `Epoch 3`, `Epoch[3]` and `epoch: 3/10` are the metric `epoch`.

    What a line with `Val:`, `[Validation]:` or `Test:` before it prints is `val/loss`, `test/loss`: another metric than the
    training's. So are the values of JSON with `"_type": "test_epoch"`, and `val loss 0.5` with the metrics behind it.
    A row with `"split": "val"` counts in the same steps and seconds as one of the training: these keep their names.
    """
    line = line[:LIMIT]
    braces = '{"' in line or "{'" in line
    typed = _TYPE.search(line) if braces else None
    kind = typed["type"].strip("_") if typed else ""
    if kind in _SETTINGS_TYPES or (braces and not typed and _prints_settings(line)):
        return
    if ("poch" in line or "POCH" in line or "rain" in line) and (epoch := _EPOCH.search(line)):
        group = next(name for name in ("value", "both", "first") if epoch[name])
        if (value := to_number(epoch[group])) is not None:
            yield Guess("epoch", value, epoch.start(), epoch.span(group))
        if epoch["iter"]:
            yield Guess("iter", int(epoch["iter"]), epoch.start("iter"), epoch.span("iter"))
    found = _with_averages(line, sorted(_pairs(line, braces), key=lambda item: item.number))
    tag = _TAG.search(line) if found and not typed else None
    if tag and tag.end() <= found[0].start:
        kind = _SPLITS[(tag["bracket"] or tag["word"])[:2].lower()]
    row_of_split = typed is not None and typed["key"] != "_type"
    for item in found if kind else _with_splits(found):
        keeps_name = (
            not kind
            or (tag and (item.name in _ALWAYS or _HELD_OUT.match(item.name)))
            or (row_of_split and _OF_ROW.fullmatch(item.name))
        )
        yield item if keeps_name else replace(item, name=f"{kind}/{item.name}")


def _pairs(line: str, braces: bool) -> Iterator[Guess]:
    """Yields the names with values of a line, but not the epoch."""
    printed = list(_objects(line)) if "(" in line else []
    if "@[" in line:
        printed += [match.span() for match in _DETAIL.finditer(line)]
    taken: list[tuple[int, int]] = []
    for match in _PAIR.finditer(line):
        if any(start < match.start("value") < end for start, end in printed):
            continue
        name = match["name"]
        value = to_number(match["value"])
        if value is None or name.lower() in _NO_METRICS or name.endswith(_SOURCE_FILES):
            continue
        if grouped(name, line, *match.span("value")):
            continue
        if line.endswith("per ", 0, match.start()):
            continue
        taken.append(match.span("value"))
        yield _named(line, match, value)
    for match in _TEXT_COUNT.finditer(line) if braces else ():
        if (count := progress(match["name"], match["value"])) is not None and not match["name"].endswith("epoch"):
            yield Guess(match["name"], count, match.start(), match.span("value"))
    cells = _cells(line) if line.count("\t") > 1 else iter(())
    for match in (*cells, *_BARE.finditer(line)):
        inside = any(start <= match.start("value") < end for start, end in (*printed, *taken))
        value = to_number(match["value"])
        if inside or value is None or match["name"].lower() in _NO_METRICS:
            continue
        if match.re is _BARE and not _names_metric(match["name"]):
            continue
        if grouped(match["name"], line, *match.span("value")):
            continue
        whole_number = not _DECIMAL.search(match["value"]) and line[match.end("value") : match.end("value") + 1] != "%"
        if match.re is _BARE and whole_number and not _AVERAGE.match(line, match.end("value")):
            continue  # top 5, rank 0
        taken.append(match.span("value"))
        yield _bare(line, match, value)


def _named(line: str, match: re.Match[str], value: Number) -> Guess:
    """Makes a metric of a name and a value with a separator between, and the words before the name."""
    name, split = match["name"], match["split"] or ""
    # "Test accuracy: 0.9" is test/accuracy; "test_accuracy: 0.9" is a name as it stands.
    if split and line[match.end("split")] == " ":
        split = _SPLITS[split[:2].lower()]
        name = f"{split}/{name}"
    elif split:
        name, split = line[match.start("split") : match.end("name")], ""
    return Guess(_best_so_far(line, match.start()) + name, value, match.start(), match.span("value"), split)


def _bare(line: str, match: re.Match[str], value: Number) -> Guess:
    """Makes a metric of a name and a value with nothing but blanks between; words before the name are as before a colon."""
    name, start, split = match["name"], match.start("name"), ""
    if _word_before(line, start) and (before := _SPLIT_BEFORE.search(line, max(0, start - _SPLIT_ROOM), start)):
        split, start = _SPLITS[before["split"][:2].lower()], before.start()
        name = f"{split}/{name}"
    return Guess(_best_so_far(line, start) + name, value, start, match.span("value"), split)


def _word_before(line: str, start: int) -> bool:
    """Tells whether a letter and a blank stand before `start`; quicker than a regular expression."""
    return line[start - 1 : start] == " " and line[start - 2 : start - 1].isalpha()


def _best_so_far(line: str, start: int) -> str:
    """Returns what a name begins with if the word before `start` says that the value is the best so far: another metric."""
    best = _BEST.search(line, max(0, start - 5), start) if _word_before(line, start) else None
    return f"{best['which'].lower()}_" if best else ""


def _with_splits(found: list[Guess]) -> list[Guess]:
    """Names the metrics behind `val loss 0.5` as validation's, too: in `val loss 0.5 acc 0.9` both are."""
    if not any(item.split for item in found):
        return found
    names = {item.name for item in found}
    named, split = [], ""
    for item in found:
        split = item.split or split
        name = f"{split}/{item.name}"
        alone = not item.split and "/" not in item.name and not _SAYS_ITS_OWN.match(item.name)
        if alone and split not in ("", "train") and name not in names and _names_metric(item.name):
            item = replace(item, name=name)
        named.append(item)
    return named


@lru_cache(maxsize=1024)
def _names_metric(name: str) -> bool:
    """Tells whether a name with nothing but blanks before its value is a metric's."""
    return _METRIC_NAME.fullmatch(name) is not None


def _cells(line: str) -> Iterator[re.Match[str]]:
    """Yields the parts of a line between tabs that are a name and a value."""
    start = 0
    while start <= len(line):
        end = line.find("\t", start)
        end = len(line) if end < 0 else end
        if match := _CELL.fullmatch(line, start, end):
            yield match
        start = end + 1


def _with_averages(line: str, found: list[Guess]) -> list[Guess]:
    """Adds the averages in brackets of a line with several values: `loss 0.5 (0.4)  lr: 0.1`.

    One value alone may have its best or a deviation in brackets, and what stands behind a counter is its total.
    """
    if len(found) < 2:
        return found
    averages = [
        (item, match) for item in found if not is_counter(item.name) and (match := _AVERAGE.match(line, item.number[1]))
    ]
    for item, match in averages:
        if (value := to_number(match["value"])) is not None:
            found.append(Guess(f"{item.name}_avg", value, match.start(), match.span("value")))
    return sorted(found, key=lambda item: item.number)


def _objects(line: str) -> Iterator[tuple[int, int]]:
    """Yields where objects are printed, `Name(…)`; one that does not close goes up to the end."""
    end = 0
    for match in _OBJECT.finditer(line):
        if match.start() < end:
            continue
        depth, end = 0, len(line)
        for bracket in _BRACKET.finditer(line, match.end() - 1):
            depth += 1 if bracket[0] == "(" else -1
            if not depth:
                end = bracket.end()
                break
        yield match.start(), end


def _prints_settings(line: str) -> bool:
    """Tells whether a printed dictionary holds settings: several switches, and no result."""
    return len(_LITERAL.findall(line)) > 1 and not _RESULT.search(line)


def guess_loosely(line: str) -> list[Guess]:
    """Finds what `guess` does, and pairs with only blanks between name and value (`Loss 0.5`): good enough for a hint."""
    found = list(guess(line))
    for match in _LOOSE.finditer(line[:LIMIT]):
        value = to_number(match["value"])
        if value is not None and all(match.span("value") != item.number for item in found):
            found.append(_bare(line, match, value))
    return found


def guess_unread(line: str) -> Iterator[tuple[str, str]]:
    """Yields name and text of what begins as a metric's value does and is no number, such as `12.5ms` and `1 000`."""
    line = line[:LIMIT]
    if not _ODD.search(line):
        return
    for match in (*_PAIR_UNREAD.finditer(line), *_BARE_UNREAD.finditer(line)):
        name, text = match["name"], match["value"]
        if match.re is _BARE_UNREAD and not _names_metric(name):
            continue
        if to_number(text) is None and progress(name, text) is None and not (" " in text and is_counter(name)):
            yield (_bare if match.re is _BARE_UNREAD else _named)(line, match, 0).name, text


def guessed_row(line: str) -> dict[str, Number]:
    """Returns what `guess` finds as a row; of equal names the first counts."""
    found: dict[str, Number] = {}
    for item in guess(line):
        found.setdefault(item.name, item.value)
    return found
