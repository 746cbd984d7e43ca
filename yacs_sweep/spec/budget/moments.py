"""Reads durations such as `1h30m`, and moments such as `Mon 08:00`, and writes them."""

from __future__ import annotations

import re
from datetime import date, datetime, time, timedelta

DURATIONS = "8h, 90m, 1h30m or 2d"
MOMENTS = "08:00, tomorrow 08:00, Mon 08:00 or 2027-01-31 08:00"
_UNITS = {"d": 86400, "h": 3600, "m": 60, "s": 1}
_DAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
_DURATION = re.compile("".join(rf"(?:(\d+(?:\.\d+)?)\s*{unit}\s*)?" for unit in _UNITS), re.IGNORECASE)
_CLOCK = re.compile(r"(?:([A-Za-z]+)\s+)?(\d{1,2}):(\d{2})")


def read_duration(text: str) -> float:
    """Parses a duration into seconds.

    Raises:
        ValueError: with what may be written.
    """
    found = _DURATION.fullmatch(text.strip())
    numbers = found.groups() if found else ()
    seconds = sum(float(number or 0) * factor for number, factor in zip(numbers, _UNITS.values(), strict=False))
    if not seconds:
        raise ValueError(f"{text!r} is not a duration; write {DURATIONS}")
    return seconds


def duration_words(seconds: float) -> str:
    """Writes a duration as `read_duration` reads it: `1h30m`."""
    left, words = seconds, ""
    for unit, factor in _UNITS.items():
        count = left / factor if factor == 1 else left // factor
        left -= count * factor
        words += f"{count:g}{unit}" if count else ""
    return words


def read_moment(text: str, now: datetime) -> datetime:
    """Parses a moment, which is in the local time zone where the text names none.

    A time of day is the next one, and so is that of a day of the week. Days are those of the calendar: where clocks are
    changed meanwhile, the moment is when the clock on the wall shows that time.

    Args:
        now: the present time.

    Returns:
        The moment, with its zone; one that is written with a date may have passed.

    Raises:
        ValueError: with what may be written.
    """
    found = _CLOCK.fullmatch(text.strip())
    try:
        if found is None:
            written = datetime.fromisoformat(re.sub("Z$", "+00:00", text.strip()) if ":" in text else "")
            return written if written.tzinfo else written.astimezone()
        today, clock = now.astimezone().date(), time(int(found[2]), int(found[3]))
        ahead, period = _days_ahead((found[1] or "").lower(), today)
    except ValueError:
        raise ValueError(f"{text!r} is not a moment; write {MOMENTS}") from None
    moment = _local(today + timedelta(ahead), clock)
    return moment if moment > now else _local(today + timedelta(ahead + period), clock)


def _days_ahead(word: str, today: date) -> tuple[int, int]:
    """Returns how many days ahead the day is that a word names, and after how many days the next such day follows.

    Raises:
        ValueError: for another word.
    """
    if word in ("", "today"):
        return 0, 0 if word else 1
    if word == "tomorrow":
        return 1, 0
    days = [place for place, day in enumerate(_DAYS) if len(word) > 2 and day.startswith(word)]
    if not days:
        raise ValueError
    return (days[0] - today.weekday()) % 7, 7


def _local(day: date, clock: time) -> datetime:
    """Returns the moment at which clocks on the wall show a time of a day."""
    return datetime.combine(day, clock).astimezone()


def moment_text(moment: datetime) -> str:
    """Formats a moment for the user, in the local time zone: `Mon 30 Nov 2026 08:00 CET`."""
    local = moment.astimezone()
    return f"{local:%a %d %b %Y %H:%M{':%S' if local.second else ''} %Z}".rstrip()
