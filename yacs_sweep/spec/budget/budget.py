"""Describes how long a sweep may run and what it may use: `budget` of a sweep file, and the options that replace its parts."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, TypeVar

from ...base.wording import show
from ..section import Section
from ..slips import meant_mapping
from .moments import duration_words, read_duration, read_moment

KEYS = ("for", "until", "gpu_hours")
NONE = "none"  # the word that takes a limit away which the sweep file sets
_Value = TypeVar("_Value")


@dataclass(frozen=True)
class Budget:
    """Holds the limits of a whole sweep, over all its launches; None: without that limit.

    Attributes:
        seconds: for which it may run (`for`).
        until: when it has to have ended.
        gpu_hours: hours times GPUs of its trials.
    """

    seconds: float | None = None
    until: datetime | None = None
    gpu_hours: float | None = None

    def to_dict(self) -> dict[str, Any]:
        """Returns the budget as it stands in a sweep file; the moment as a date, so that the sweep's id keeps it."""
        found = {
            "for": self.seconds and duration_words(self.seconds),
            "until": self.until and self.until.isoformat(),
            "gpu_hours": self.gpu_hours,
        }
        return {key: value for key, value in found.items() if value is not None}

    def with_options(self, run_for: str | None, until: str | None, gpu_hours: str | None) -> Budget:
        """Returns the budget of one launch, whose options replace the file's limits. `none` takes a limit away."""
        found = self
        if run_for is not None:
            found = replace(found, seconds=None if run_for == NONE else read_duration(run_for))
        if until is not None:
            found = replace(found, until=None if until == NONE else datetime.fromisoformat(until))
        if gpu_hours is not None:
            found = replace(found, gpu_hours=None if gpu_hours == NONE else float(gpu_hours))
        return found


def read_budget(section: Section, top: Collection[str]) -> Budget | None:
    """Reads `budget`; None where it is absent or wrong.

    Args:
        top: keys of the top level of a sweep file.
    """
    body = section.get("budget")
    if "budget" not in section:
        return None
    if meant := meant_mapping(body, KEYS):
        section.wrong("budget", f"a key needs a blank after its `:`; write `budget: {meant}`")
        return None
    if not isinstance(body, dict) or not body:
        section.wrong(
            "budget", f"{show(body)} is not allowed; write {{for: 8h}}, {{until: 'Mon 08:00'}} or {{gpu_hours: 100}}"
        )
        return None
    before = len(section.notes.problems)
    inner = Section(section.notes, section.at("budget"), body, KEYS)
    inner.refuse_unknown(KEYS, top)
    seconds = _read(inner, "for", read_duration)
    until = _read(inner, "until", lambda text: read_moment(text, datetime.now().astimezone()))
    gpu_hours = inner.number("gpu_hours", above=0)
    if len(section.notes.problems) > before:
        return None
    return Budget(seconds, until, gpu_hours)


def _read(inner: Section, key: str, convert: Callable[[str], _Value]) -> _Value | None:
    """Reads a text by a function that raises ValueError."""
    text = inner.text(key)
    try:
        return None if text is None else convert(text)
    except ValueError as error:
        inner.wrong(key, str(error))
        return None
