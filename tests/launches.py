"""Stands in for a launch of a sweep: announces itself, reads the sweep's orders, answers them."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from tests.sweeping import ROOT
from yacs_sweep.records.folder import SweepPaths, TrialRecord
from yacs_sweep.records.launch_file import LaunchFile, save_spec
from yacs_sweep.spec.read_sweep import sweep_from_dict

SPEC = {
    "method": "random",
    "metric": {"name": "loss", "goal": "minimize"},
    "parameters": {"lr": {"min": 0.001, "max": 0.1}, "optimizer": {"values": ["sgd", "adam"]}},
}
LAUNCH = """\
import sys, time
sys.path.insert(0, {root!r})
from pathlib import Path
from yacs_sweep.records.alive import announced
from yacs_sweep.records.control.order_file import OrderFile
from yacs_sweep.records.control.orders import Order, answer_to
from yacs_sweep.records.folder import SweepPaths
paths = SweepPaths(Path({base!r}), {sweep!r})
log = OrderFile(paths)
log.read()
with announced(paths, 2):
    print("ready", flush=True)
    while True:
        for entry in log.read():
            if isinstance(entry, Order) and {answers!r}:
                log.append(answer_to(entry, f"{{entry.act}} taken", obeyed={obeyed!r}))
        time.sleep(0.05)
"""


def sweep_folder(base: Path, sweep: str = "k3v9x2ab", controller: str = "local", **spec: object) -> SweepPaths:
    """Makes the folder of a sweep with one running and one finished trial."""
    paths = SweepPaths(base, sweep)
    paths.agents.mkdir(parents=True)
    save_spec(paths, sweep_from_dict({**SPEC, **spec}, "a sweep"))
    launch = LaunchFile(controller, None, "reid", None, (), 0, None, "disabled", None, None, str(base), 10)
    launch.save(paths)
    for number, (name, state) in enumerate([("brisk-otter-1", "finished"), ("calm-heron-2", "running")]):
        record = TrialRecord(name, name, number, {"lr": 0.01, "optimizer": "sgd"}, state)
        paths.trial(name).dir.mkdir()
        record.save(paths.trial(name))
    return paths


def seeds_folder(base: Path, sweep: str = "repeats1") -> SweepPaths:
    """Makes the folder of a sweep with repeats: of its two points the second has a seed that runs."""
    paths = sweep_folder(base, sweep, repeats={"n": 2})
    seeds = [("brisk-otter-1", 3.0), ("calm-heron-2", 2.5), ("dry-owl-3", 2.0), ("early-fox-4", None)]
    for number, (name, value) in enumerate(seeds):
        point, seed = divmod(number, 2)
        state = "running" if value is None else "finished"
        record = TrialRecord(name, name, number, {"lr": 0.01 * (point + 1), "optimizer": "sgd"}, state, value=value)
        record.point, record.seed = f"point-{point:04d}", seed + 1
        write_seed(paths, record, [] if value is None else [9.0, value])
    return paths


def write_seed(paths: SweepPaths, record: TrialRecord, losses: Sequence[float]) -> None:
    """Writes a trial's record and, where there are any, its rows."""
    paths.trial(record.name).dir.mkdir(exist_ok=True)
    rows = [{"step": step, "loss": loss, "acc": 1 / loss} for step, loss in enumerate(losses)]
    paths.trial(record.name).metrics.write_text("".join(json.dumps(row) + "\n" for row in rows))
    record.save(paths.trial(record.name))


class FakeLaunch:
    """Runs a process that answers the orders of a sweep as a launch does, during a `with` block."""

    def __init__(self, paths: SweepPaths, *, answers: bool = True, obeyed: bool = True) -> None:
        code = LAUNCH.format(root=str(ROOT), base=str(paths.base), sweep=paths.sweep_id, answers=answers, obeyed=obeyed)
        self.process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)

    def __enter__(self) -> FakeLaunch:
        assert self.process.stdout is not None
        assert self.process.stdout.readline() == "ready\n"
        return self

    def __exit__(self, *_: object) -> None:
        self.process.kill()
        self.process.communicate()


def wait_for(condition: object, seconds: float = 10.0) -> None:
    """Waits until a function returns something true."""
    deadline = time.monotonic() + seconds
    while not condition():  # type: ignore[operator]
        assert time.monotonic() < deadline
        time.sleep(0.05)
