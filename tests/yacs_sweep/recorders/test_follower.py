"""What a recorder that fails, hangs or is killed costs: no row, no trial, and the user one line."""

from __future__ import annotations

import json
import os
import socket
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from tests.yacs_sweep.recorders.cases import sweep_in
from yacs_sweep.recorders import process
from yacs_sweep.recorders.follower import Follower
from yacs_sweep.recorders.interface import RecordedSweep, Rows
from yacs_sweep.recorders.process import Ending, recording
from yacs_sweep.recorders.targets import Target
from yacs_sweep.records.folder import TrialRecord
from yacs_sweep.records.launch_file import save_spec
from yacs_sweep.records.metrics import MetricsFile, Objective

TARGET = Target("mlflow", "http://alice:secret@host:5000")


@dataclass
class Server:
    """Keeps what fake recorders write, and fails as it is told."""

    rows: dict[str, list[int]] = field(default_factory=dict)
    ends: dict[str, str] = field(default_factory=dict)
    down: str = ""  # why every request fails
    bad: str = ""  # the trial that is refused
    cut: int = -1  # rows after which a request fails, half done
    sweeps: list[tuple[str | None, bool]] = field(default_factory=list)

    def check(self, trial: str = "") -> None:
        if self.down or (self.bad and trial == self.bad):
            raise RuntimeError(self.down or f"{trial} is refused")


class FakeTrial:
    def __init__(self, server: Server, name: str) -> None:
        server.check(name)
        self.server, self.name = server, name
        self.rows = server.rows.setdefault(name, [])

    def log(self, rows: Rows) -> None:
        for step, _ in rows:
            self.server.check(self.name)
            if self.server.cut == 0:
                self.server.cut = -1
                raise RuntimeError("cut off")
            if not self.rows or step > self.rows[-1]:
                self.rows.append(step)
                self.server.cut -= self.server.cut > 0

    def finish(self, record: TrialRecord, objective: Objective) -> None:
        self.server.check(self.name)
        self.server.ends[self.name] = record.state


class FakeRecorder:
    def __init__(self, server: Server) -> None:
        server.check()
        self.server = server

    def open(self, record: TrialRecord) -> FakeTrial:
        return FakeTrial(self.server, record.name)

    def end(self, best: TrialRecord | None, *, interrupted: bool) -> None:
        self.server.sweeps.append((best.name if best else None, interrupted))

    def add_files(self, record: TrialRecord, folder: Path) -> None: ...

    def close(self) -> None: ...


class Folder:
    """A sweep's folder, and followers of it."""

    def __init__(self, path: Path) -> None:
        self.sweep: RecordedSweep = sweep_in(path)
        self.server, self.notes = Server(), list[str]()

    def follower(self) -> Follower:
        found = Follower(self.sweep, TARGET, lambda sweep: FakeRecorder(self.server), self.notes.append)
        assert found.take_lock()
        return found

    def write(self, name: str, state: str = "running", rows: int = 0, **more: Any) -> None:
        """Appends rows to a trial, and sets its state."""
        paths = self.sweep.paths.trial(name)
        paths.dir.mkdir(exist_ok=True)
        file = MetricsFile(paths.metrics)
        for _ in range(rows):
            file.append({"val/mAP": 1.0})
        file.close()
        record = TrialRecord(f"id-{name}", name, int(name[-1]), {}, state=state, **more)
        record.ended = None if state == "running" else "2026-01-01T00:00:00.000Z"
        record.save(paths)

    def end(self, follower: Follower, seconds: float = 0.0, **order: Any) -> bool:
        try:
            return follower.end(order, time.monotonic() + seconds)
        finally:
            if follower._lock is not None:
                os.close(follower._lock)


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    return Folder(tmp_path)


def test_rows_are_recorded_while_a_trial_runs_and_once_only(folder: Folder) -> None:
    follower = folder.follower()
    folder.write("trial-0", rows=2)
    assert follower.look()
    assert folder.server.rows == {"trial-0": [0, 1]}
    folder.write("trial-0", rows=1)
    follower.look()
    follower.look()
    folder.write("trial-0", "finished", rows=1)
    assert folder.end(follower, best="trial-0")
    assert folder.server.rows == {"trial-0": [0, 1, 2, 3]}
    assert folder.server.ends == {"trial-0": "finished"}
    assert folder.server.sweeps == [("trial-0", False)]
    assert folder.notes == []
    later = folder.follower()
    folder.server.down = "a server that is asked for nothing does not fail"
    assert folder.end(later)


def test_a_server_that_is_down_is_told_once_and_gets_everything_from_a_later_launch(folder: Folder) -> None:
    folder.server.down = "no route to http://alice:secret@host:5000"
    follower = folder.follower()
    folder.write("trial-0", rows=3)
    for _ in range(3):
        assert not follower.look()
    folder.write("trial-0", "failed", rows=1)
    folder.write("trial-1", "finished", rows=2)
    assert not folder.end(follower)
    assert len(folder.notes) == 2
    assert folder.notes[0].startswith("mlflow does not take rows: no route to http://alice:***@host:5000; ")
    assert folder.notes[1].startswith("mlflow does not have all of 2 trials (no route to ")
    assert "secret" not in "".join(folder.notes)
    folder.server.down = ""
    assert folder.end(folder.follower())
    assert folder.server.rows == {"trial-0": [0, 1, 2, 3], "trial-1": [0, 1]}
    assert folder.server.ends == {"trial-0": "failed", "trial-1": "finished"}


def test_a_request_that_fails_half_done_repeats_no_row(folder: Folder) -> None:
    folder.server.cut = 2
    follower = folder.follower()
    folder.write("trial-0", "finished", rows=5)
    assert not follower.look()
    assert folder.server.rows == {"trial-0": [0, 1]}
    assert follower.look()
    assert folder.server.rows == {"trial-0": [0, 1, 2, 3, 4]}


def test_a_trial_that_is_refused_does_not_keep_others_waiting(folder: Folder) -> None:
    folder.server.bad = "trial-0"
    follower = folder.follower()
    for number in range(4):
        folder.write(f"trial-{number}", "finished", rows=1)
    follower.look()
    follower.look()
    assert folder.server.ends == {f"trial-{number}": "finished" for number in (1, 2, 3)}
    assert not folder.end(follower)
    assert "mlflow does not have all of 1 trial" in folder.notes[-1]


def test_a_trial_that_is_resumed_is_recorded_again(folder: Folder) -> None:
    follower = folder.follower()
    folder.write("trial-0", "paused", rows=2)
    follower.look()
    assert folder.server.ends == {"trial-0": "paused"}
    folder.write("trial-0", rows=1)
    follower.look()
    folder.write("trial-0", "lost", rows=1, attempts=2)
    follower.look()
    assert folder.server.ends == {"trial-0": "lost"}
    folder.write("trial-0", "finished", rows=1, attempts=3)
    assert folder.end(follower)
    assert folder.server.rows == {"trial-0": [0, 1, 2, 3, 4]}
    assert folder.server.ends == {"trial-0": "finished"}


def test_what_a_killed_agent_wrote_half_is_not_recorded(folder: Folder) -> None:
    follower = folder.follower()
    folder.write("trial-0", rows=2)
    metrics = folder.sweep.paths.trial("trial-0").metrics
    with metrics.open("ab") as file:
        file.write(b'{"step": 2, "val/')
    follower.look()
    folder.write("trial-0", "finished", rows=2)  # cuts it off
    assert folder.end(follower)
    assert folder.server.rows == {"trial-0": [0, 1, 2, 3]}


def test_of_two_launches_one_records_and_the_other_sees_that_everything_is(folder: Folder) -> None:
    first = folder.follower()
    second = Follower(folder.sweep, TARGET, lambda sweep: FakeRecorder(folder.server), folder.notes.append)
    assert not second.take_lock()
    folder.write("trial-0", "finished", rows=2)
    assert not folder.end(second)  # the first has not recorded it yet
    first.look()
    assert folder.end(second)
    assert folder.end(first)
    assert folder.server.rows == {"trial-0": [0, 1]}


def test_who_waits_knows_that_files_are_uploaded(folder: Folder) -> None:
    follower = folder.follower()
    folder.write("trial-0", "finished", rows=1)
    best = folder.sweep.paths.dir / "best"
    best.mkdir()
    (best / "best.json").write_text("{}")
    assert folder.end(follower, best="trial-0", files=True)
    assert folder.notes == ["uploads"]


@pytest.fixture
def silent() -> Iterator[int]:
    """The port of a server that takes requests and never answers."""
    listener = socket.create_server(("127.0.0.1", 0))
    held = []

    def accept() -> None:
        while True:
            try:
                held.append(listener.accept()[0])
            except OSError:
                return

    threading.Thread(target=accept, daemon=True).start()
    yield listener.getsockname()[1]
    listener.close()
    for connection in held:
        connection.close()


def test_a_server_that_never_answers_holds_nothing_up(
    tmp_path: Path, silent: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, notes = Folder(tmp_path), list[str]()
    save_spec(folder.sweep.paths, folder.sweep.spec)
    folder.write("trial-0", "finished", rows=1)
    monkeypatch.setattr(process, "PATIENCE", 1.0)
    monkeypatch.setattr(process, "LATE", 0.5)
    targets = [Target("wandb"), Target("tensorboard"), Target("mlflow", f"http://u:secret@127.0.0.1:{silent}")]
    began = time.monotonic()
    with recording(
        folder.sweep.paths, targets, None, say=notes.append, ending=lambda: Ending(False, "trial-0", files=True)
    ):
        done = tmp_path / "sweep/abcd1234/tensorboard/trial-0/recorded.json"
        while not done.exists():
            assert time.monotonic() < began + 60, notes
            time.sleep(0.05)
        ended = time.monotonic()
    assert time.monotonic() < ended + 10
    assert json.loads(done.read_text())["state"] == "finished"
    assert "warning: mlflow has not taken everything in time; resuming the sweep records the rest" in notes
    assert not any("tensorboard" in note or "secret" in note for note in notes)
