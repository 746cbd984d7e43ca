"""Times are written one way, and read from whatever wrote them; numbers that cannot be compared are found."""

from __future__ import annotations

import math
import re

import pytest

from yacs_sweep.base.values import all_finite, finite_number, utc_now, utc_seconds, utc_text


@pytest.mark.parametrize(
    "text",
    [
        "2026-01-01T00:00:00Z",
        "2026-01-01T00:00:00.000Z",
        "2026-01-01T01:00:00+01:00",
        "2026-01-01T00:00:00",  # W&B's older servers say no zone and mean UTC
    ],
)
def test_times_are_read(text: str) -> None:
    assert utc_seconds(text) == 1767225600.0


@pytest.mark.parametrize("text", ["", "yesterday", None, 5, ["2026-01-01"], "2026-13-01T00:00:00Z"])
def test_what_is_no_time_is_none(text: object) -> None:
    assert utc_seconds(text) is None


def test_times_are_written() -> None:
    assert utc_text(1767225600.25) == "2026-01-01T00:00:00.250Z"
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", utc_now())
    assert utc_seconds(utc_text(1767225600.25)) == 1767225600.25


@pytest.mark.parametrize(
    ("value", "usable", "whole"),
    [
        (1, True, True),
        (0.5, True, True),
        (True, False, True),
        ("1", False, True),
        (None, False, True),
        (math.nan, False, False),
        (-math.inf, False, False),
        (10**400, False, True),
        ([1, {"a": (2.0, math.inf)}], False, False),
        ({"a": [1.0, "inf"]}, False, True),
    ],
)
def test_numbers_that_can_be_compared_and_values_without_any_that_cannot(
    value: object, usable: bool, whole: bool
) -> None:
    assert finite_number(value) is usable
    assert all_finite(value) is whole
