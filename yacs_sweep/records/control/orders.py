"""Defines the orders that a user gives to a running sweep: pause, stop, other workers, more points.

The orders of a sweep are one list that only grows: `control.jsonl` in its folder (`order_file`), or a table of its database.
A command appends an order; every launch of the sweep reads the list, obeys, and appends an answer. So the list is also the
log of who did what, and when.
"""

from __future__ import annotations

import dataclasses
import getpass
import os
import socket
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol, TypeAlias, get_args

from ...base.values import of_field_types, utc_now

Act = Literal[
    "pause",  # no further trial starts, running ones go on
    "resume",  # trials start again
    "stop",  # no further trial starts, and the launches end with the last running one
    "cancel",  # the running trials are ended, and the launches with them
    "stop_trial",  # {"trial": name}: one trial is ended, and counts as stopped
    "set_workers",  # {"workers": n, "now": bool}: so many trials run at the same time; `now` ends those that are too many
    "set_gpus",  # {"gpus": ["0", …], "now": bool}: trials run on these GPUs
    "add_points",  # {"points": [{parameter: value}, …]}: tried before any other
    "set_count",  # {"count": n}: trials of the whole sweep
]
ACTS: tuple[str, ...] = get_args(Act)


@dataclass(frozen=True)
class Order:
    """Holds what a user wants of a sweep."""

    id: str  # random
    act: str  # one of ACTS
    user: str
    host: str
    at: str  # UTC, ISO 8601
    given: dict[str, Any] = field(default_factory=dict)  # as `Act` says
    by: str = "command"  # how it was given: command, python, page, wandb (on W&B's page)

    @property
    def who(self) -> str:
        """Returns who gave it, for messages: `user@host`, or W&B."""
        return "W&B" if self.by == "wandb" else f"{self.user}@{self.host}"

    @property
    def origin(self) -> str:
        """Returns where it came from, to follow a verb: `by user@host`, or `on W&B`."""
        return "on W&B" if self.by == "wandb" else f"by {self.who}"


@dataclass(frozen=True)
class Answer:
    """Holds what a launch did about an order."""

    order: str  # its id
    host: str
    pid: int  # the launch's supervisor
    at: str  # UTC, ISO 8601
    text: str  # one line for the user
    obeyed: bool = True  # False: it cannot be, as the text says


Entry: TypeAlias = Order | Answer


class OrderLog(Protocol):
    """Keeps the orders of one sweep. Methods may be called from any thread."""

    def append(self, entry: Entry) -> None:
        """Adds an order or an answer.

        Raises:
            OSError: it cannot be written.
            SweepError: the database does not answer.
        """

    def read(self) -> list[Entry]:
        """Reads the entries added since the last call of this object, in order; all of them at the first call.

        Costs nothing much when there are none.
        """


def new_order(act: Act, by: str = "command", **given: Any) -> Order:
    """Makes an order of this user, now."""
    return Order(os.urandom(6).hex(), act, user_name(), socket.gethostname(), utc_now(), given, by)


def answer_to(order: Order, text: str, *, obeyed: bool = True) -> Answer:
    """Makes this process's answer to an order."""
    return Answer(order.id, socket.gethostname(), os.getpid(), utc_now(), text, obeyed)


def user_name() -> str:
    """Returns the user's login name; the number of one without a name."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container's user without an entry in /etc/passwd
        return str(os.getuid())


def entry_row(entry: Entry) -> dict[str, Any]:
    """Converts an entry to the JSON object that the log keeps."""
    return {"order" if isinstance(entry, Order) else "answer": dataclasses.asdict(entry)}


def entry_from_row(row: Any) -> Entry | None:
    """Converts the log's JSON object to an entry; None for one that is none, or of an act of a later version."""
    try:
        if "answer" in row:
            return Answer(**of_field_types(Answer, row["answer"]))
        order = Order(**of_field_types(Order, row["order"]))
    except (TypeError, KeyError, AttributeError, ValueError):
        return None
    return order if order.act in ACTS else None


# -- what follows from the orders -------------------------------------------------------------------------------------
def standing_order(entries: Iterable[Entry]) -> Order | None:
    """Returns the pause, stop or cancel that was given last; None where the sweep was resumed after it."""
    last = None
    for entry in entries:
        if isinstance(entry, Order) and entry.act in ("pause", "resume", "stop", "cancel"):
            last = None if entry.act == "resume" else entry
    return last


def paused_by(entries: Iterable[Entry]) -> Order | None:
    """Returns the order that has paused the sweep; None if the sweep is not paused."""
    order = standing_order(entries)
    return order if order is not None and order.act == "pause" else None


def last_count(entries: Iterable[Entry]) -> Order | None:
    """Returns the last order of a number of trials of the whole sweep; None without such an order."""
    counts = [entry for entry in entries if isinstance(entry, Order) and entry.act == "set_count"]
    given = ((order, order.given.get("count")) for order in reversed(counts))
    return next((order for order, count in given if type(count) is int and count > 0), None)


def count_wanted(launch: Mapping[str, Any], entries: Iterable[Entry]) -> int:
    """Returns the number of trials that a sweep is to have: as a user has ordered, else as the last launch was asked for.

    0 where the search has said that no trial is left.

    Args:
        launch: the content of launch.json.
    """
    last = last_count(entries)
    if last is not None and last.id != launch.get("counted"):
        return int(last.given["count"])
    return 0 if launch.get("exhausted") else int(launch.get("target") or 0)


def points_added(entries: Iterable[Entry]) -> dict[str, Sequence[Mapping[str, Any]]]:
    """Returns the points that users have added, by the id of the order."""
    found: dict[str, Sequence[Mapping[str, Any]]] = {}
    for entry in entries:
        if isinstance(entry, Order) and entry.act == "add_points":
            points = entry.given.get("points")
            found[entry.id] = [point for point in points if isinstance(point, dict)] if isinstance(points, list) else []
    return found
