"""Which of the exceptions in a trainer's output ended it. Pure."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

GONE_ON = 10  # lines outside of tracebacks; a program that prints more of them has survived the one before
# How Python ends a traceback, whatever the exception is called; PyTorch puts a worker's into the message.
TRACEBACK = re.compile(
    r"^Traceback \(most recent call last\):\n(?:[ \t].*\n)+([A-Za-z_][\w.]*(?::.*)?)$"
    r"(?:\nOriginal Traceback \(most recent call last\):\n(?:[ \t].*\n)+.*)?",
    re.M,
)
CHAINED = ("another exception occurred:", "direct cause of the following exception:")  # what joins two tracebacks
# A traceback of what failed when the program had ended already.
_IGNORED = re.compile(
    r"^(?:Exception ignored |Error in atexit).*\nTraceback \(most recent call last\):\n(?:[ \t].*\n)+.*$", re.M
)
# Stands above a traceback that has ended a thread or a process of the program's, not the program.
_OF_PART = re.compile(r"^(?:Exception in thread .*|Process .+):\n\Z", re.M)
_OF_CHILD = re.compile(r"(?:subprocess\.)?CalledProcessError\b")  # tells that another program has failed, not why
_NO_WORDS = re.compile(r"\s|frame #|$")  # lines of a traceback, or of a stack that C++ prints
# PyTorch prints those so that are not caught in the processes it distributes over. A torchrun in front of the trainer
# marks lines, too, exits with 1 whatever ended a process, and then says what did, below a traceback of its own.
_UNCAUGHT = re.compile(r"^\[rank\d+\]: ?Traceback ", re.M)
_RANK = re.compile(r"^\[(?:rank|default)\d+\]: ?", re.M)
_ROOT_CAUSE = re.compile(r"^Root Cause \(first observed failure\):\n(?:.*\n){1,6}? *exitcode *: (-?\d+)", re.M)


@dataclass(frozen=True)
class Raised:
    """Where an exception stands that is told with its traceback, and those it was raised from."""

    start: int  # of the first traceback, or of the line above it
    first: int  # of the first exception's own line
    end: int  # of the last exception's
    beside: bool  # whether it tells of a part of the program, or of another one


@dataclass(frozen=True)
class Words:
    """What a trainer's output says of its end.

    Attributes:
        status: exit status of the process that failed first.
        output: that process's, as far as that is known; without tracebacks of its parts.
        errors: the output from the last exception on, or from the first it was raised from: what was printed before it
            has been survived. All of the output where there is no traceback.
        final: the last exception's own words, or those of every rank; the last line where there are none, or where the
            program has gone on.
        earlier: exceptions told with a traceback shortly before or beside that one, the last first.
    """

    status: int | None
    output: str
    errors: str
    final: str
    earlier: tuple[str, ...]


def read(status: int | None, output: str) -> Words:
    """The words of the process that failed first. `status`: of the one that was started."""
    uncaught = _UNCAUGHT.search(output)
    start = uncaught.start() if uncaught else 0
    before = _plain(output[:start])
    output = before + _plain(output[start:])
    if root := _ROOT_CAUSE.search(output, len(before)):
        own = output.rfind("Traceback (most recent call last):", 0, root.start())
        status, output = int(root[1]), output[: own if own >= 0 else root.start()]
    found = _raised(output)
    main = next((one for one in reversed(found) if not one.beside), found[-1] if found else None)
    if uncaught:
        earlier = _earlier(output, [one for one in found if one.start < len(before)], len(before))
        ends = [output[one.first : one.end] for one in found if one.start >= len(before)]
        output = output[len(before) :]
        return Words(status, output, output, "\n".join(ends), earlier)
    if main is None:
        return Words(status, output, output, _last_line(output), ())
    earlier = _earlier(output, [one for one in found if one is not main], main.start)
    beside = [one for one in found if one.beside and one is not main]
    after = [one for one in beside if one.start > main.start]
    final = last_of_chain(output[main.first : main.end])
    if _lines(_without(output, after, main.end)) > GONE_ON:
        final = _last_line(output)
    return Words(status, _without(output, beside), _without(output, after, main.first), final, earlier)


def last_of_chain(errors: str) -> str:
    """What follows the exceptions that the last one was raised from."""
    return errors[max(errors.rfind(words) for words in CHAINED) + 1 :]


def _plain(output: str) -> str:
    return _IGNORED.sub("", _RANK.sub("", output))


def _raised(output: str) -> list[Raised]:
    found: list[Raised] = []
    part: re.Match[str] | None = None
    for match in TRACEBACK.finditer(output):
        above = output[max(0, match.start() - 200) : match.start()]
        of_child = _OF_CHILD.match(match[1]) is not None
        if found and above.rstrip().endswith(CHAINED):
            found[-1] = replace(found[-1], end=match.end(), beside=part is not None or of_child)
            continue
        part = _OF_PART.search(above)
        start = match.start() - (len(part[0]) if part else 0)
        found.append(Raised(start, match.start(1), match.end(), part is not None or of_child))
    return found


def _earlier(output: str, others: Sequence[Raised], until: int) -> tuple[str, ...]:
    """Those of the `others` after which the program has not gone on until that place. Uncaught exceptions look like those
    that a program logs and survives, but for what comes next."""
    texts, lines = [], 0
    for one in reversed(others):
        lines += _lines(output[one.end : until])
        until = min(until, one.start)
        if lines > GONE_ON:
            break
        texts.append(output[one.first : one.end])
    return tuple(texts)


def _without(output: str, parts: Sequence[Raised], start: int = 0) -> str:
    kept = []
    for part in parts:
        kept.append(output[start : part.start])
        start = part.end
    return "".join([*kept, output[start:]])


def _lines(text: str) -> int:
    """How many lines a program has printed there that are no traceback's."""
    return sum(_NO_WORDS.match(line) is None for line in text.split("\n"))


def _last_line(text: str) -> str:
    return text.rstrip().rpartition("\n")[2]
