"""Keeps in the sweep's folder what its agents on one machine know of each other."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from optuna.trial import FrozenTrial, TrialState

from ...base.locks import exclusive
from ...records.alive import agent_lives
from ...records.folder import SweepPaths, TrialRecord, mark_lost
from .journal import open_storage
from .ledger import T, Waiting, Written, record_on_disk


class Folder:
    """For the agents of one machine. `url`: another database than the embedded file, as good as one."""

    resumes = False

    def __init__(self, paths: SweepPaths, agent: str, url: str | None) -> None:
        self.paths, self.agent, self._url = paths, agent, url
        with self.exclusively():
            self.storage = open_storage(paths.journal, url)

    def attach(self, turn: Waiting) -> None:
        pass

    def patiently(self, step: Callable[[], T]) -> T:
        return step()

    @contextlib.contextmanager
    def exclusively(self) -> Iterator[None]:
        with exclusive(self.paths.agents / "ask.lock"):
            yield

    def opening(self) -> contextlib.AbstractContextManager[None]:
        return self.exclusively()

    def together(self) -> contextlib.AbstractContextManager[None]:
        return contextlib.nullcontext()

    def about(self) -> dict[str, Any]:
        return {"agent": self.agent, "host": socket.gethostname()}

    def lives(self, about: Mapping[str, Any]) -> bool:
        if "agent" not in about:  # died while it took a point from the queue: we hold the lock it held
            return False
        elsewhere = about.get("host") != socket.gethostname() and not (self.paths.agents / about["agent"]).exists()
        return elsewhere or agent_lives(self.paths.agents, about["agent"])

    def lost(self) -> bool:
        return False

    def seen_to(self) -> None:
        pass

    def look_around(self) -> None:
        pass

    def record(self, number: int, name: str | None) -> TrialRecord | None:
        return record_on_disk(self.paths, name)

    def started(self, record: TrialRecord) -> None:
        pass

    def ended(self, record: TrialRecord) -> Written:
        return "now"  # trial.json says it

    def lose(self, record: TrialRecord) -> bool:
        mark_lost(record, self.paths)
        return True

    def wait_for_others(self) -> bool:
        return False

    def taken(self) -> str | None:
        return None

    def renew(self) -> None:
        pass

    def disconnected(self, error: BaseException) -> bool:
        if self._url is None:
            return False
        from .database import disconnected  # a journal needs no SQLAlchemy, which takes a while to import

        return disconnected(error)

    def changed_trials(
        self, study_id: int, open_ones: Mapping[int, TrialState], newest: int
    ) -> list[FrozenTrial] | None:
        return None

    def close(self) -> None:
        pass
