"""Stands in for heartbeats where `wandb agent` sends them: it has started this launch for one run."""

from __future__ import annotations

from .wandb_heartbeat import Command


class GivenRun:
    """Hands out the one run; the methods are those of `Heartbeat`. The server's stop reaches the launch as a signal."""

    ended: str | None = None
    failed = False

    def __init__(self, run: Command) -> None:
        self._run: Command | None = run

    def next_job(self) -> Command | None:
        """Returns the run, once."""
        run, self._run = self._run, None
        return run

    def take_over(self, run_id: str) -> None:
        """Does nothing: `wandb agent` says what it runs."""

    def stop_reason(self) -> str | None:
        """Returns None: a signal stops the trial."""
        return None

    def trial_ended(self) -> None:
        """Does nothing, as `take_over`."""

    def close(self) -> None:
        """Does nothing: there is no thread."""
