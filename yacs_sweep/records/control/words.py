"""Says in words what a user has ordered, and when, for commands, `--status` and the report."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ...base.values import utc_seconds
from ...base.wording import counted
from .orders import Answer, Entry, Order

_PAST = {"pause": "paused", "stop": "stopped", "cancel": "cancelled"}


@dataclass(frozen=True)
class Given:
    """Holds an order that was given to a sweep, and the launches' answers."""

    order: Order
    answers: Sequence[Answer]


def orders_given(entries: Sequence[Entry]) -> list[Given]:
    """Lists the orders, in the order in which they were given; an entry that stands twice counts once."""
    orders: dict[str, Order] = {}
    answers: dict[str, list[Answer]] = {}
    for entry in entries:
        if isinstance(entry, Order):
            orders.setdefault(entry.id, entry)
        elif entry not in answers.setdefault(entry.order, []):
            answers[entry.order].append(entry)
    return [Given(order, answers.get(order.id, [])) for order in orders.values()]


def order_rows(given: Sequence[Given]) -> list[list[str]]:
    """Formats the orders as rows of a table: when, who, what, and what each launch answered."""
    rows = []
    for each in given:
        answers = "; ".join(map(answer_text, each.answers))
        at = each.order.at[:19].replace("T", " ")
        rows.append([f"{at} UTC", each.order.who, order_text(each.order), answers or "none"])
    return rows


def answer_text(answer: Answer) -> str:
    """Says what a launch has answered, and which one it is: `paused by alice@box (box, process 4711)`."""
    return f"{answer.text} ({answer.host}, process {answer.pid})"


def order_text(order: Order) -> str:
    """Says what is ordered: `pause`, `4 workers, at once`, `stop trial brisk-otter-3`."""
    given = order.given
    now = ", at once" if given.get("now") else ""
    host = f" on {given['host']}" if given.get("host") else ""
    if order.act == "stop_trial":
        return f"stop trial {given.get('trial')}"
    if order.act == "set_workers":
        return f"{_counted(given.get('workers'), 'worker')}{host}{now}"
    if order.act == "set_gpus":
        return f"GPUs {','.join(map(str, given.get('gpus') or ()))}{host}{now}"
    if order.act == "add_points":
        return f"{_counted(len(given.get('points') or ()), 'further point')}"
    if order.act == "set_count":
        return f"{_counted(given.get('count'), 'trial')} in all"
    return order.act


def _counted(number: object, noun: str) -> str:
    """Formats a number with its noun, whatever a damaged entry has in place of the number."""
    return counted(number, noun) if isinstance(number, int) else f"{number} {noun}s"


def standing_text(order: Order, now: float) -> str:
    """Says who has paused, stopped or cancelled a sweep, and how long ago; `now` is seconds since 1970."""
    return f"{_PAST[order.act]} {order.origin} {ago(order.at, now)}".rstrip()


def ago(at: str, now: float) -> str:
    """Formats how long ago a moment was: `12 min ago`; the moment itself where the clocks contradict each other."""
    seconds = utc_seconds(at)
    if seconds is None or seconds > now + 60:
        return f"at {at}"
    minutes = int(max(0.0, now - seconds) // 60)
    if minutes < 1:
        return "just now"
    if minutes < 120:
        return f"{minutes} min ago"
    return f"{minutes // 60} h ago" if minutes < 48 * 60 else f"{minutes // 1440} days ago"
