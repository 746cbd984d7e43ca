"""Describes a shared sweep to machines that join, and shows a launch the trials of all machines.

Not for agents: imports no Optuna.
"""

from __future__ import annotations

import dataclasses
import os
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from ...base.errors import ConfigError
from ...base.wording import one_line
from ...records.control.orders import Entry
from ...records.folder import TrialRecord
from ...records.launch_file import LaunchFile
from ...spec.read_sweep import sweep_from_dict
from ...spec.sweep import SweepSpec
from ..warm_start import WarmStart
from .database import (
    Database,
    check,
    disconnected,
    first_line,
    lease_wanted,
    make_engine,
    masked,
    outage_wanted,
    url_of,
)
from .order_table import FollowedOrders, OrderTable
from .url import MASK, URL_VARIABLE, shared

READ_PERIOD = (
    1.2  # seconds between two reads of the other machines' trials and of the orders, which are obeyed within 2 s
)
LAST_READ = 10.0  # seconds the last read may take


def storage_of(given: str | None, old: LaunchFile | None = None) -> str | None:
    """Returns the storage's URL: as given, else as the sweep's folder has it, where passwords are masked.

    Raises:
        ConfigError: it cannot be used, or its password is missing.
    """
    url = located(given, Path.cwd()) if given else located(old.storage, Path(old.cwd)) if old and old.storage else None
    if url is None:
        return None
    if MASK in url:
        raise ConfigError(
            f"--storage: the sweep's folder keeps no password ({url}): give --storage URL again, set {URL_VARIABLE}, or "
            "keep the password in ~/.pgpass"
        )
    if shared(url):
        lease_wanted()
        outage_wanted()
    check(url)
    return url


def located(url: str, cwd: Path) -> str:
    """Makes a file in the URL absolute: agents, and a launch that resumes the sweep, may run in other folders."""
    found = url_of(url)
    name = found.database
    if found.get_backend_name() != "sqlite" or not name or name == ":memory:" or name.startswith("file:"):
        return url
    return found.set(database=str((cwd / name).resolve())).render_as_string(hide_password=False)


def _portable(path: str | None, cwd: str) -> str | None:
    """Makes a path relative if it lies below the folder the launcher was started in: other machines have checkouts elsewhere."""
    if path is None:
        return None
    # A profile's reference may have words before its file.
    *head, file = path.split(":")
    inside = Path(file).is_absolute() and Path(file).is_relative_to(cwd)
    return ":".join([*head, os.path.relpath(file, cwd) if inside else file])


class SharedSweep:
    """Gives a launcher access to a sweep in a database."""

    def __init__(self, url: str, sweep_id: str) -> None:
        self.url, self.sweep_id = url, sweep_id
        self.database = Database(make_engine(url), sweep_id)

    def describe(
        self,
        spec: SweepSpec,
        launch: LaunchFile,
        warm: WarmStart,
        inputs: Mapping[str, Any] | None = None,
        *,
        joining: bool = False,
    ) -> WarmStart:
        """Writes the sweep's description, or adds points and trials to it; returns the whole warm start.

        Args:
            inputs: the files that the sweep is described by, as `launch.plan.portable` writes them.
            joining: whether the description stays as it is, since this machine may run the sweep's trials otherwise.
        """
        described: dict[str, Any] = {
            "spec": yaml.safe_dump(spec.to_dict(), sort_keys=False, allow_unicode=True),
            "launch": {
                **dataclasses.asdict(launch),
                "config_file": _portable(launch.config_file, launch.cwd),
                "trainer": _portable(launch.trainer, launch.cwd),
                "storage": None,
                "python": None,
                "cwd": "",
            },
            "inputs": inputs,
        }

        def change(old: Mapping[str, Any] | None) -> Mapping[str, Any]:
            both = (WarmStart.from_dict(old["warm"]) if old else WarmStart()) + warm
            content = {**(old if joining and old is not None else described), "warm": dataclasses.asdict(both)}
            if old is not None:
                same = old["launch"].get("counted") == launch.counted
                target = max(old["launch"]["target"], launch.target) if same else launch.target
                retry = [*dict.fromkeys((*old["launch"].get("retry", ()), *launch.retry))]
                content["launch"] = {**content["launch"], "target": target, "counted": launch.counted, "retry": retry}
            return content

        with self.database.creating():
            pass
        return WarmStart.from_dict(self.database.describe(change, lease_wanted()).content["warm"])

    def join(self, option: str) -> tuple[SweepSpec, LaunchFile, Mapping[str, Any] | None]:
        """Reads the description of the sweep: what is searched, how it is launched, its inputs.

        Paths in it are relative to the current folder.

        Args:
            option: the option that names the sweep, for messages.

        Raises:
            ConfigError: the database does not know the sweep, or what is written there is no description of one.
        """
        try:
            found = self.database.description() if self.database.exists() else None
            if found is None:
                raise ConfigError(f"{option} {self.sweep_id}: no such sweep in {masked(self.url)}")
            WarmStart.from_dict(found.content["warm"])
            launch, described = LaunchFile.from_row(found.content["launch"]), yaml.safe_load(found.content["spec"])
        except (ValueError, TypeError, KeyError, AttributeError, yaml.YAMLError) as error:
            raise ConfigError(
                f"{option} {self.sweep_id}: its description in {masked(self.url)} cannot be read: {one_line(error)[:200]}"
            ) from None
        return sweep_from_dict(described, f"sweep {self.sweep_id}"), launch, found.content.get("inputs")

    def records(self) -> list[TrialRecord]:
        """Reads the trials of all machines."""
        return self.database.records() if self.database.exists("yacs_sweep_trials") else []

    def orders(self) -> list[Entry]:
        """Reads the sweep's list of orders."""
        return OrderTable(self.database).read()


class DatabaseTrials:
    """Reads the trials of all machines and the sweep's orders, on a thread of its own, as a database may be slow."""

    def __init__(self, url: str, sweep_id: str) -> None:
        self._database = Database(make_engine(url), sweep_id)
        self._due = threading.Event()  # whether the thread is to read now
        self.orders = FollowedOrders(OrderTable(self._database), self._due.set)
        self._found: dict[int, TrialRecord] = {}
        self._final: set[int] = set()
        self._new: list[TrialRecord] = []
        self._lock = threading.Lock()
        self._asked, self._answered = threading.Event(), threading.Event()
        self._closed = False
        self.problem: str | None = None
        threading.Thread(target=self._run, name="database trials", daemon=True).start()

    def _run(self) -> None:
        """Reads until the last read was asked for and answered."""
        while not self._closed:
            self._due.clear()
            last = self._asked.is_set()
            try:
                self.orders.exchange()
                self._read()
                self.problem = None
            except Exception as error:
                if not disconnected(error):
                    raise
                self.problem = first_line(error)
            if last and self.problem is None:
                self._answered.set()
                return
            self._database.engine.dispose()  # a connection that is idle here is one that an agent may lack
            self._due.wait(READ_PERIOD) if not last else time.sleep(0.2)

    def _read(self) -> None:
        """Reads the trials that are new or were not final at the last read."""
        there = max(self._found, default=-1)
        # A number without a row belongs to a trial that has not begun.
        missing = [number for number in range(there + 1) if number not in self._final]
        for record in self._database.records(there, missing):
            old = self._found.get(record.number)
            if old is None or (old.state, old.started) != (record.state, record.started):
                self._found[record.number] = record
                with self._lock:
                    self._new.append(record)
            if record.state not in ("running", "paused"):
                self._final.add(record.number)

    def take_changed(self) -> list[TrialRecord]:
        """Returns the trials that have started or ended since the last call."""
        with self._lock:
            taken, self._new = self._new, []
        return taken

    def has_changed(self) -> bool:
        """Returns whether `take_changed` would return any."""
        return bool(self._new)

    def read_last(self) -> bool:
        """Reads once more, for a bounded time; returns False if the database did not answer."""
        self._asked.set()
        self._due.set()
        deadline = time.monotonic() + LAST_READ
        answered = self._answered.wait(max(0.0, deadline - time.monotonic()))
        self._closed = True
        return answered
