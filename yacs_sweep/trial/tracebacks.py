"""Finds the exception in a trainer's output that ended the trainer. Pure."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

SURVIVED = 10  # lines outside of tracebacks; a program that prints more of them has survived the exception before
# How Python ends a traceback, whatever the exception is called; PyTorch puts a worker's into the message.
TRACEBACK = re.compile(
    r"^Traceback \(most recent call last\):\n(?:[ \t].*\n)+([A-Za-z_][\w.]*(?::.*)?)$"
    r"(?:\nOriginal Traceback \(most recent call last\):\n(?:[ \t].*\n)+.*)?",
    re.M,
)
CHAINED = ("another exception occurred:", "direct cause of the following exception:")  # what joins two tracebacks
# A traceback of an exception after the program's end.
_IGNORED = re.compile(
    r"^(?:Exception ignored |Error in atexit).*\nTraceback \(most recent call last\):\n(?:[ \t].*\n)+.*$", re.M
)
# Stands above the traceback of a thread or child process, which has not ended the program.
_OF_PART = re.compile(r"^(?:Exception in thread .*|Process .+):\n\Z", re.M)
_OF_CHILD = re.compile(r"(?:subprocess\.)?CalledProcessError\b")  # says that another program has failed, not why
_TRACE_LINE = re.compile(r"\s|frame #|$")  # lines of a traceback, or of a stack that C++ prints
# PyTorch marks uncaught exceptions of distributed processes so. torchrun marks lines as well, exits with 1 whatever ended a
# process, and says what did, below a traceback of its own.
_UNCAUGHT = re.compile(r"^\[rank\d+\]: ?Traceback ", re.M)
_RANK = re.compile(r"^\[(?:rank|default)\d+\]: ?", re.M)
_ROOT_CAUSE = re.compile(r"^Root Cause \(first observed failure\):\n(?:.*\n){1,6}? *exitcode *: (-?\d+)", re.M)


@dataclass(frozen=True)
class Traceback:
    """Locates an exception with its traceback in the output, together with those it was raised from.

    Attributes:
        start: of the first traceback, or of the line above it that names a thread or process.
        first: start of the first exception's own line.
        end: of the last exception's line.
        of_part: whether it ended a thread or child process, or another program, not the program itself.
    """

    start: int
    first: int
    end: int
    of_part: bool


@dataclass(frozen=True)
class TrainerError:
    """The parts of a trainer's output that say why the trainer ended.

    Attributes:
        status: exit status of the process that failed first.
        output: of that process, as far as that is known; without tracebacks of its threads and child processes.
        errors: the output from the last exception on, or from the first one it was raised from: the program survived
            what was printed before. All of the output where there is no traceback.
        final: the last exception's own message, or every rank's; the last line where there is no exception, or where the
            program has continued after it.
        earlier: exceptions with a traceback shortly before or beside that one, the last first.
    """

    status: int | None
    output: str
    errors: str
    final: str
    earlier: tuple[str, ...]


def find_error(status: int | None, output: str) -> TrainerError:
    """Finds the error of the process that failed first. `status`: of the process that was started."""
    uncaught = _UNCAUGHT.search(output)
    start = uncaught.start() if uncaught else 0
    before = _plain(output[:start])
    output = before + _plain(output[start:])
    if root := _ROOT_CAUSE.search(output, len(before)):
        own = output.rfind("Traceback (most recent call last):", 0, root.start())
        status, output = int(root[1]), output[: own if own >= 0 else root.start()]
    found = _tracebacks(output)
    main = next((one for one in reversed(found) if not one.of_part), found[-1] if found else None)
    if uncaught:
        earlier = _earlier(output, [one for one in found if one.start < len(before)], len(before))
        ends = [output[one.first : one.end] for one in found if one.start >= len(before)]
        output = output[len(before) :]
        return TrainerError(status, output, output, "\n".join(ends), earlier)
    if main is None:
        return TrainerError(status, output, output, _last_line(output), ())
    earlier = _earlier(output, [one for one in found if one is not main], main.start)
    of_parts = [one for one in found if one.of_part and one is not main]
    after = [one for one in of_parts if one.start > main.start]
    final = last_of_chain(output[main.first : main.end])
    if count_lines(_without(output, after, main.end)) > SURVIVED:
        final = _last_line(output)
    return TrainerError(status, _without(output, of_parts), _without(output, after, main.first), final, earlier)


def without_children(output: str) -> str:
    """Removes the tracebacks that only say that another program has failed, unless there is nothing else."""
    rest = TRACEBACK.sub(lambda found: "" if _OF_CHILD.match(found[1]) else found[0], output)
    return rest if rest.strip() else output


def last_of_chain(errors: str) -> str:
    """Returns the last exception, without those it was raised from."""
    return errors[max(errors.rfind(words) for words in CHAINED) + 1 :]


def _plain(output: str) -> str:
    """Removes marks of ranks, and exceptions after the program's end."""
    return _IGNORED.sub("", _RANK.sub("", output))


def _tracebacks(output: str) -> list[Traceback]:
    """Finds all tracebacks; one of a chained exception is part of the one before."""
    found: list[Traceback] = []
    part: re.Match[str] | None = None
    for match in TRACEBACK.finditer(output):
        above = output[max(0, match.start() - 200) : match.start()]
        of_child = _OF_CHILD.match(match[1]) is not None
        if found and above.rstrip().endswith(CHAINED):
            found[-1] = replace(found[-1], end=match.end(), of_part=part is not None or of_child)
            continue
        part = _OF_PART.search(above)
        start = match.start() - (len(part[0]) if part else 0)
        found.append(Traceback(start, match.start(1), match.end(), part is not None or of_child))
    return found


def _earlier(output: str, others: Sequence[Traceback], until: int) -> tuple[str, ...]:
    """Returns those of the `others` that the program did not survive until a place in the output.

    An exception that a program logs and survives differs from an uncaught one only in the output that follows.
    """
    texts, lines = [], 0
    for one in reversed(others):
        lines += count_lines(output[one.end : until])
        until = min(until, one.start)
        if lines > SURVIVED:
            break
        texts.append(output[one.first : one.end])
    return tuple(texts)


def _without(output: str, parts: Sequence[Traceback], start: int = 0) -> str:
    """Returns the output from `start` on, without some tracebacks."""
    kept = []
    for part in parts:
        kept.append(output[start : part.start])
        start = part.end
    return "".join([*kept, output[start:]])


def count_lines(text: str) -> int:
    """Counts the lines that belong to no traceback."""
    return sum(_TRACE_LINE.match(line) is None for line in text.split("\n"))


def _last_line(text: str) -> str:
    """Returns the last line that is not empty."""
    return text.rstrip().rpartition("\n")[2]
