"""`--engine ray`: one launcher in each of so many resource bundles of a Ray cluster."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any

from ..errors import ConfigError, SweepError
from ..results import SweepPaths

KEYS = ("address", "num_cpus", "num_gpus", "cwd")  # and resources.NAME


def agent(command: Sequence[str], environment: Mapping[str, str], cwd: str, grace: float) -> int:
    """Runs a launcher on a node of the cluster; its exit status. Ray ships this function: it uses the standard library."""
    import ctypes
    import signal
    import subprocess
    import time

    def with_us() -> None:  # the launcher ends its trials when this worker, or its node, is ended
        ctypes.CDLL(None).prctl(1, signal.SIGTERM, 0, 0, 0)

    process = subprocess.Popen(
        list(command), env={**os.environ, **environment}, cwd=cwd, stdin=subprocess.DEVNULL, preexec_fn=with_us
    )
    try:
        while process.poll() is None:  # Ray's cancelling is noticed between two calls, not within one
            time.sleep(0.2)
        return process.returncode
    except BaseException:  # cancelled
        process.terminate()
        try:
            process.wait(grace + 20)
        except subprocess.TimeoutExpired:
            process.kill()
        raise


class Ray:
    """See the package. `settings`: `address` of the cluster (default: auto), a bundle's `num_cpus` (1), `num_gpus` (0) and
    `resources.NAME`, and `cwd`, the trainer's checkout on the nodes (default: this folder)."""

    def __init__(self, settings: Mapping[str, str], grace: float) -> None:
        try:
            import ray
        except ImportError:
            raise ConfigError("--engine ray: Ray is not installed: pip install 'yacs-sweep[ray]'") from None
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
        self._tasks: list[Any] = []

    def submit(self, commands: Sequence[Sequence[str]], environment: Mapping[str, str], paths: SweepPaths) -> str:
        try:
            self._ray.init(address=self._address, logging_level="ERROR", ignore_reinit_error=True)
        except (ConnectionError, RuntimeError, ValueError) as error:
            raise SweepError(f"--engine ray: no cluster at {self._address}: {str(error).splitlines()[0]}") from None
        # A task whose node is lost is started again, on another node, as often as need be.
        task = self._ray.remote(agent).options(
            max_retries=-1, scheduling_strategy="SPREAD", name="yacs-sweep", **self._bundle
        )
        # As arguments, not as Ray's runtime environment, which its dashboard shows.
        self._tasks = [task.remote(list(command), dict(environment), self._cwd, self._grace) for command in commands]
        return f"{len(commands)} agents on the Ray cluster at {self._address}"

    def alive(self) -> int:
        if not self._tasks:
            return 0
        return len(self._ray.wait(self._tasks, num_returns=len(self._tasks), timeout=0)[1])

    def cancel(self) -> None:
        for task in self._tasks:
            self._ray.cancel(task, force=False)


def _amount(key: str, text: str) -> float:
    try:
        amount = float(text)
    except ValueError:
        amount = -1.0
    if not 0 <= amount < float("inf"):
        raise ConfigError(f"--engine-option {key}={text}: not an amount")
    return amount
