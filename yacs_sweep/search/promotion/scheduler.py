"""Describes what a scheduler of paused trials sees and decides.

A scheduler is pure: what it decides depends on its settings and on the trials alone. The controller carries it out, and the
tests' simulator does, on a virtual clock.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol


@dataclass(frozen=True)
class TrialView:
    """Shows a scheduler one trial.

    Attributes:
        number: of the trial.
        values: of the compared metric that the trial has logged itself, oldest first; one value is one iteration.
        state: `running`, `paused` (at `until`, it can resume) or `ended` (by itself, stopped, failed or lost for good).
        until: iteration at which it pauses next, or has paused, kept after its end; None: it runs to its end.
        params: its point.
        parent: number of the trial whose checkpoint it began from.
        begun_at: iterations that the parent had made by then.
        failed: whether it ended without a result.
    """

    number: int
    values: tuple[float, ...]
    state: Literal["running", "paused", "ended"]
    until: int | None = None
    params: Mapping[str, Any] = field(default_factory=dict)
    parent: int | None = None
    begun_at: int = 0
    failed: bool = False

    @property
    def iterations(self) -> int:
        """Iterations the trial has made, those of its parent's checkpoint included."""
        return self.begun_at + len(self.values)

    def value_at(self, iteration: int) -> float | None:
        """Returns the value that the trial logged at an iteration; None before it, and for what its parent logged."""
        place = iteration - self.begun_at - 1
        return self.values[place] if 0 <= place < len(self.values) else None


@dataclass(frozen=True)
class New:
    """Starts the search's next point, which pauses at iteration `until`; None: it runs to its end."""

    until: int | None


@dataclass(frozen=True)
class Resume:
    """Resumes a paused trial in its folder until iteration `until`; None: to its end."""

    number: int
    until: int | None


@dataclass(frozen=True)
class Fork:
    """Starts a new trial from the checkpoint of a paused or ended one.

    Attributes:
        source: number of the trial whose checkpoint is copied.
        replaces: number of the paused trial that ends for it.
        params: point of the new trial.
        until: iteration at which it pauses; None: it runs to its end.
    """

    source: int
    replaces: int
    params: Mapping[str, Any]
    until: int | None


@dataclass(frozen=True)
class Wait:
    """Starts nothing now: what is next depends on trials that run."""


Action = New | Resume | Fork | Wait


class Scheduler(Protocol):
    """Decides which trial trains next, and until when."""

    def next(self, trials: Sequence[TrialView], new_left: int | None) -> Action | None:
        """Returns what a free worker does; None: nothing is left to do.

        Args:
            trials: all trials, by number.
            new_left: new points that may still be started; None: without limit.
        """

    def runs_on(self, number: int, trials: Sequence[TrialView]) -> int | None:
        """Returns until which iteration a running trial that has reached its `until` continues at once.

        Returns:
            The iteration; the trial's own `until` where it is to pause.
        """

    def dropped(self, trials: Sequence[TrialView], new_left: int | None) -> set[int]:
        """Returns the paused trials that will never continue: their checkpoints may be deleted."""
