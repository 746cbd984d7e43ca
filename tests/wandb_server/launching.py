"""The launcher on the toy trainer against the loopback server, as a logged-in user runs it."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests import sweeping
from tests.sweeping import Ran, write_sweep
from tests.wandb_server.model import Run
from tests.wandb_server.server import WandbServer
from yacs_sweep.records.control.order_file import OrderFile
from yacs_sweep.records.control.orders import Order
from yacs_sweep.records.folder import SweepPaths

POINTS = [0.0001, 0.00035, 0.001]
PATH = ("--project", "p", "--entity", "tester")


def grid(*values: float, **more: Any) -> dict[str, Any]:
    """A sweep over learning rates."""
    return {
        "method": "grid",
        "metric": {"name": "val/mAP", "goal": "maximize"},
        "parameters": {"base_lr": {"values": list(values or POINTS)}},
        **more,
    }


def environment(server: WandbServer, folder: Path, **more: str) -> dict[str, str]:
    """A logged-in user's environment; state is kept below `folder`."""
    home = folder / "home"
    home.mkdir(exist_ok=True)
    return server.env(home, XDG_STATE_HOME=str(home / "state"), **more)


def new_sweep(folder: Path, definition: dict[str, Any], *words: str | Path) -> tuple[str | Path, ...]:
    """Words that start a new sweep."""
    return ("--sweep-config", write_sweep(folder, definition), *PATH, *words)


def sweep(
    server: WandbServer, folder: Path, *words: str | Path, env: Mapping[str, str] | None = None, **settings: Any
) -> Ran:
    """Runs the launcher to its end; `env` is added to its environment."""
    return sweeping.sweep(folder, *words, env=environment(server, folder, **(env or {})), **settings)


@contextmanager
def started(
    server: WandbServer, folder: Path, *words: str | Path, env: Mapping[str, str] | None = None
) -> Iterator[subprocess.Popen[str]]:
    """The launcher while it runs, its output in a pipe; killed at the end of the block if it still does."""
    process = sweeping.start(folder, *words, env=environment(server, folder, **(env or {})))
    try:
        yield process
    finally:
        process.kill()
        process.wait()
        if process.stdout is not None:
            process.stdout.close()


def until(condition: Callable[[], Any], timeout: float = 180) -> None:
    """Waits for the condition; fails after `timeout` seconds."""
    deadline = time.monotonic() + timeout
    while not condition():
        assert time.monotonic() < deadline, "timed out"
        time.sleep(0.02)


def read_until(process: subprocess.Popen[str], text: str) -> str:
    """The launcher's output up to and with the first line that contains `text`."""
    assert process.stdout is not None
    lines = []
    for line in process.stdout:
        lines.append(line)
        if text in line:
            return "".join(lines)
    raise AssertionError(f"never printed {text!r}:\n{''.join(lines)}")


def end_of(process: subprocess.Popen[str], timeout: float = 180) -> tuple[int, str]:
    """Exit status and the rest of the output."""
    out, _ = process.communicate(timeout=timeout)
    return process.returncode, out


def runs(server: WandbServer) -> list[Run]:
    """Every run the server knows, in the order they were created."""
    with server.state.lock:
        return list(server.state.runs.values())


def steps(run: Run) -> list[int]:
    return [row["_step"] for row in run.history()]


def orders(folder: Path) -> list[tuple[str, str]]:
    """Act and way of each order to the only sweep below `folder`."""
    (sweep,) = (folder / "log" / "sweep" / "sweep").iterdir()
    return orders_of(SweepPaths(sweep.parent.parent, sweep.name))


def orders_of(paths: SweepPaths) -> list[tuple[str, str]]:
    """Act and way of each order to a sweep."""
    return [(entry.act, entry.by) for entry in OrderFile(paths).read() if isinstance(entry, Order)]
