"""Keeps the runs that the W&B server has given out: the one of `wandb agent`, and those that have not begun yet."""

from __future__ import annotations

import contextlib
import re
from typing import Any

from ..base.files import read_json, write_atomically
from ..base.locks import exclusive
from ..base.values import to_json
from ..records.alive import agent_lives
from ..records.folder import SweepPaths
from .wandb_heartbeat import Command

_RUN_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}")


def is_run_id(text: str) -> bool:
    """Tells whether a trial's folder could have this text of the server's as its name."""
    return _RUN_ID.fullmatch(text) is not None


class GivenRun:
    """Stands in for heartbeats where `wandb agent` sends them: it has started this launch for one run.

    The methods are those of `Heartbeat`. The server's stop reaches the launch as a signal.
    """

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


class TakenRuns:
    """Remembers, in the sweep's folder, which runs agents have taken from the server and not begun yet.

    The server gives a point out once. Until the trial has its folder, this file alone says that there is one: the next
    agent runs what an agent had taken that died, or had to leave, before the trial began.
    """

    def __init__(self, paths: SweepPaths, owner: str) -> None:
        """`owner`: name of this agent's lock file."""
        self._paths, self._owner = paths, owner
        self._path = paths.agents / "taken.json"

    def add(self, run: Command) -> None:
        """Remembers a run of this agent's. On a full disk it is not remembered, and begins all the same."""
        if not is_run_id(run.run_id):
            return
        with contextlib.suppress(OSError), exclusive(self._paths.agents / "claim.lock"):
            self._write({**read_json(self._path), run.run_id: {"agent": self._owner, "args": dict(run.args or {})}})

    def drop(self, run_id: str) -> None:
        """Forgets a run that has begun."""
        with contextlib.suppress(OSError), exclusive(self._paths.agents / "claim.lock"):
            self._write({id: entry for id, entry in read_json(self._path).items() if id != run_id})

    def any_left(self) -> bool:
        """Tells whether an agent has left a run behind that has not begun."""
        return bool(self._left(read_json(self._path)))

    def claim(self) -> Command | None:
        """Makes a run this agent's that an agent has left behind; returns None where there is none."""
        if not self.any_left():
            return None
        with exclusive(self._paths.agents / "claim.lock"):
            entries = read_json(self._path)
            found = next(iter(self._left(entries)), None)
            if found is None:
                return None
            args = entries[found]["args"]
            self._write({**entries, found: {"agent": self._owner, "args": args}})
            return Command("run", found, args)

    def _left(self, entries: dict[str, Any]) -> list[str]:
        """Lists the runs of dead agents that have no trial."""
        left = [id for id, entry in entries.items() if not agent_lives(self._paths.agents, entry["agent"])]
        begun = {record.id for record in self._paths.records()} if left else set()
        return [id for id in left if id not in begun]

    def _write(self, entries: dict[str, Any]) -> None:
        write_atomically(self._path, to_json(entries) + "\n", durable=False)
