"""Keeps what only adds to a sweep's results (best.yml, summary.json, notify, artifacts) from deciding how the sweep ends."""

from __future__ import annotations

from collections.abc import Callable

from ..base.errors import SweepError
from ..base.wording import one_line
from ..show.live.terminal import say


class Accessories:
    """Runs the steps that a sweep can do without. A step that fails is one warning, and changes no exit status."""

    def __init__(self, say: Callable[[str], None] = say) -> None:
        self._say = say
        self._told: set[str] = set()

    def attempt(self, what: str, step: Callable[[], object]) -> bool:
        """Runs a step; tells whether it went well.

        Args:
            what: says what is missing when the step fails.
        """
        try:
            step()
        except Exception as error:  # whatever it is: the trials are what counts
            if what not in self._told:
                self._told.add(what)
                self._say(f"warning: {what}: {describe_failure(error)}")
            return False
        return True


def describe_failure(error: Exception) -> str:
    """Says in one line why a step failed."""
    if isinstance(error, OSError) and error.strerror:
        return f"{error.strerror} ({error.filename})" if error.filename else error.strerror
    return one_line(error) if isinstance(error, SweepError) else f"{type(error).__name__}: {one_line(error)}"
