"""Durations and moments as users write them."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import datetime, timedelta, timezone

import pytest

from yacs_sweep.spec.budget.moments import duration_words, moment_text, read_duration, read_moment


@pytest.fixture
def berlin(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Clocks go forward on 28 March 2027 at 02:00, and back on 31 October 2027 at 03:00."""
    monkeypatch.setenv("TZ", "CET-1CEST,M3.5.0,M10.5.0/3")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


@pytest.mark.parametrize(
    ("text", "seconds", "words"),
    [
        ("8h", 8 * 3600, "8h"),
        ("90m", 5400, "1h30m"),
        ("1h30m", 5400, "1h30m"),
        ("1h 30m", 5400, "1h30m"),
        ("2d", 172800, "2d"),
        ("1.5H", 5400, "1h30m"),
        ("45s", 45, "45s"),
        ("0.5s", 0.5, "0.5s"),
    ],
)
def test_a_duration(text: str, seconds: float, words: str) -> None:
    assert read_duration(text) == seconds
    assert duration_words(seconds) == words
    assert read_duration(words) == seconds


@pytest.mark.parametrize("text", ["8", "", "0h", "h", "30m1h", "-8h", "8 hours", "none at all"])
def test_what_is_no_duration(text: str) -> None:
    with pytest.raises(ValueError, match="is not a duration; write 8h, 90m, 1h30m or 2d"):
        read_duration(text)


# 3 March 2027 is a Wednesday.
@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("13:00", "2027-03-03T13:00:00+01:00"),
        ("8:00", "2027-03-04T08:00:00+01:00"),  # today it has passed
        ("12:00", "2027-03-04T12:00:00+01:00"),  # it is 12:00 now
        ("today 18:30", "2027-03-03T18:30:00+01:00"),
        ("today 08:00", "2027-03-03T08:00:00+01:00"),  # which the caller says
        ("tomorrow 8:00", "2027-03-04T08:00:00+01:00"),
        ("Wed 13:00", "2027-03-03T13:00:00+01:00"),
        ("wed 08:00", "2027-03-10T08:00:00+01:00"),
        ("Monday 08:00", "2027-03-08T08:00:00+01:00"),
        ("Tues 08:00", "2027-03-09T08:00:00+01:00"),
        ("2027-01-31 08:00", "2027-01-31T08:00:00+01:00"),
        ("2027-07-01T08:00", "2027-07-01T08:00:00+02:00"),  # summer time
        ("2027-07-01T08:00:30Z", "2027-07-01T08:00:30+00:00"),
        ("2027-07-01 08:00-05:00", "2027-07-01T08:00:00-05:00"),
    ],
)
def test_a_moment(berlin: None, text: str, expected: str) -> None:
    now = datetime(2027, 3, 3, 12, 0).astimezone()
    assert read_moment(text, now).isoformat() == expected


def test_a_moment_beyond_a_change_of_the_clocks_is_by_the_clock_on_the_wall(berlin: None) -> None:
    evening = datetime(2027, 3, 27, 20, 0).astimezone()
    morning = read_moment("8:00", evening)
    assert (morning - evening.astimezone(timezone.utc)) == timedelta(hours=11)
    skipped = read_moment("2:30", evening)  # a time that no clock shows: an hour before or after, as Python has it
    assert skipped.astimezone(timezone.utc).isoformat() in ("2027-03-28T00:30:00+00:00", "2027-03-28T01:30:00+00:00")
    autumn = datetime(2027, 10, 30, 20, 0).astimezone()
    assert read_moment("Sun 08:00", autumn) - autumn.astimezone(timezone.utc) == timedelta(hours=13)
    assert moment_text(morning) == "Sun 28 Mar 2027 08:00 CEST"


@pytest.mark.parametrize(
    "text", ["", "8", "25:00", "Mon", "Funday 08:00", "8am", "2027-01-31", "31.1.2027 08:00", "mo 8:00"]
)
def test_what_is_no_moment(text: str) -> None:
    with pytest.raises(ValueError, match="is not a moment; write 08:00, tomorrow 08:00, Mon 08:00 or 2027-01-31 08:00"):
        read_moment(text, datetime.now().astimezone())
