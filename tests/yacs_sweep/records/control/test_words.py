"""What is said of orders."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from yacs_sweep.base.values import utc_seconds
from yacs_sweep.records.control.orders import Act, answer_to, new_order, standing_order
from yacs_sweep.records.control.words import ago, order_rows, order_text, orders_given, standing_text


@pytest.mark.parametrize(
    ("act", "given", "text"),
    [
        ("pause", {}, "pause"),
        ("stop_trial", {"trial": "a-1"}, "stop trial a-1"),
        ("set_workers", {"workers": 1, "now": False, "host": "box"}, "1 worker on box"),
        ("set_workers", {"workers": 4, "now": True}, "4 workers, at once"),
        ("set_gpus", {"gpus": ["0", "1"]}, "GPUs 0,1"),
        ("add_points", {"points": [{}, {}]}, "2 further points"),
        ("set_count", {"count": 30}, "30 trials in all"),
        ("set_count", {}, "None trials in all"),  # damaged
    ],
)
def test_what_is_ordered(act: Act, given: dict[str, Any], text: str) -> None:
    assert order_text(new_order(act, **given)) == text


def test_the_order_that_stands() -> None:
    pause, resume, stop = new_order("pause"), new_order("resume"), new_order("stop")
    assert standing_order([]) is None
    assert standing_order([pause, new_order("set_count", count=3)]) is pause
    assert standing_order([pause, resume]) is None
    assert standing_order([pause, stop]) is stop
    assert standing_order([stop, resume]) is None


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(5, "just now"), (720, "12 min ago"), (10_800, "3 h ago"), (400_000, "4 days ago"), (-10, "just now")],
)
def test_how_long_ago(seconds: float, text: str) -> None:
    at = "2026-11-30T12:00:00+00:00"
    assert ago(at, (utc_seconds(at) or 0) + seconds) == text


def test_a_moment_that_is_none_or_to_come_is_said_as_it_is() -> None:
    assert ago("soon", 0.0) == "at soon"
    assert ago("2026-11-30T12:00:00+00:00", 0.0) == "at 2026-11-30T12:00:00+00:00"


def test_the_table_of_orders() -> None:
    order = replace(new_order("pause"), user="alice", host="box", at="2026-11-30T12:00:05+00:00")
    page = replace(new_order("resume", by="wandb"), at="2026-11-30T12:10:00+00:00")
    answer = replace(answer_to(order, "paused by alice@box"), host="box", pid=7)
    assert order_rows(orders_given([order, page, answer])) == [
        ["2026-11-30 12:00:05 UTC", "alice@box", "pause", "paused by alice@box (box, process 7)"],
        ["2026-11-30 12:10:00 UTC", "W&B", "resume", "none"],
    ]
    assert standing_text(order, (utc_seconds(order.at) or 0) + 720) == "paused by alice@box 12 min ago"
