"""Runs launches on a Ray cluster (`--engine ray`), each in a resource bundle."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence
from typing import Any

from ...base.errors import ConfigError
from ...base.shipped import install_command
from ...base.wording import counted
from ...records.folder import SweepPaths

ANSWER = 5.0  # seconds in which an agent that has a bundle says that it stops
KEYS = ("address", "num_cpus", "num_gpus", "cwd")  # and resources.NAME


class Agent:
    """Runs a launch on a node of the cluster. Ray ships this class, so it uses the standard library alone."""

    def __init__(self) -> None:
        self._stopped = False

    def run(self, command: Sequence[str], environment: Mapping[str, str], cwd: str, grace: float) -> int:
        """Runs the launch until it ends or `stop` is called; returns its exit status."""
        import ctypes
        import signal
        import subprocess
        import time

        def end_with_actor() -> None:  # the launch ends its trials when this worker, or its node, is ended
            ctypes.CDLL(None).prctl(1, signal.SIGTERM, 0, 0, 0)

        process = subprocess.Popen(
            list(command),
            env={**os.environ, **environment},
            cwd=cwd,
            stdin=subprocess.DEVNULL,
            preexec_fn=end_with_actor,
        )
        while process.poll() is None and not self._stopped:
            time.sleep(0.2)
        if process.poll() is None:
            process.terminate()
            try:
                process.wait(grace + 20)
            except subprocess.TimeoutExpired:
                process.kill()
        return process.wait()

    def stop(self) -> None:
        """Makes `run`, in another thread, end its launch."""
        self._stopped = True


class Ray:
    """Implements `Engine` with one actor for each launch.

    Args:
        settings: `address` of the cluster (default: auto), a bundle's `num_cpus` (1), `num_gpus` (0) and `resources.NAME`,
            and `cwd`, the trainer's checkout on the nodes (default: this folder).
        grace: seconds that a trial gets to end.
    """

    def __init__(self, settings: Mapping[str, str], grace: float) -> None:
        try:
            import ray
        except ImportError:
            raise ConfigError(f"--engine ray: Ray is not installed: {install_command('ray')}") from None
        unknown = [key for key in settings if key not in KEYS and not key.startswith("resources.")]
        if unknown:
            known = ", ".join((*KEYS, "resources.NAME"))
            raise ConfigError([f"--engine-option {key}: Ray's are {known}" for key in unknown])
        self._ray: Any = ray
        self._grace = grace
        self._address = settings.get("address", "auto")
        self._cwd = settings.get("cwd") or os.getcwd()
        amounts = {key: _amount(key, text) for key, text in settings.items() if key not in ("address", "cwd")}
        self._bundle: dict[str, Any] = {
            "num_cpus": amounts.pop("num_cpus", 1.0),
            "num_gpus": amounts.pop("num_gpus", 0.0),
        }
        self._bundle["resources"] = {key.partition(".")[2]: amount for key, amount in amounts.items()}
        self._actors: list[Any] = []
        self._tasks: list[Any] = []

    def ask(self, agents: int) -> None:
        """Connects to the cluster, which runs the launches when it has room."""
        try:
            self._ray.init(address=self._address, logging_level="ERROR", ignore_reinit_error=True)
        except (ConnectionError, RuntimeError, ValueError) as error:
            raise ConfigError(f"--engine ray: no cluster at {self._address}: {str(error).splitlines()[0]}") from None

    def submit(self, commands: Sequence[Sequence[str]], environment: Mapping[str, str], paths: SweepPaths) -> str:
        """Starts an actor for each launch."""
        # With its text, since the nodes may have no launcher installed, or an older one: only a checkout.
        self._ray.cloudpickle.register_pickle_by_value(sys.modules[__name__])
        # One whose node is lost is started again, on another node, as often as need be. (Cancelling a task would be
        # shorter, but does not reach one that waits for a process.)
        actor = self._ray.remote(Agent).options(
            max_restarts=-1, max_task_retries=-1, max_concurrency=2, scheduling_strategy="SPREAD", **self._bundle
        )
        self._actors = [actor.remote() for _ in commands]
        # As arguments, not as Ray's runtime environment, which its dashboard shows.
        common = (dict(environment), self._cwd, self._grace)
        pairs = zip(self._actors, commands, strict=True)
        self._tasks = [one.run.remote(list(command), *common) for one, command in pairs]
        return f"{counted(len(commands), 'agent')} on the Ray cluster at {self._address}"

    def alive(self) -> int:
        """Counts the launches that have not ended."""
        if not self._tasks:
            return 0
        return len(self._ray.wait(self._tasks, num_returns=len(self._tasks), timeout=0)[1])

    def cancel(self) -> None:
        """Stops the running launches; kills actors that still wait for a bundle."""
        stopping = {one.stop.remote(): one for one in self._actors}
        for waiting in self._ray.wait(list(stopping), num_returns=len(stopping), timeout=ANSWER)[1]:
            self._ray.kill(stopping[waiting])  # it waits for a bundle


def _amount(key: str, text: str) -> float:
    """Reads an amount of a resource."""
    try:
        amount = float(text)
    except ValueError:
        amount = -1.0
    if not 0 <= amount < float("inf"):
        raise ConfigError(f"--engine-option {key}={text}: not a number")
    return amount
