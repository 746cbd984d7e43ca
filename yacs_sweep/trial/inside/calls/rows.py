"""Writes what a trainer logs through W&B's client to a file, one JSON object a line, as soon as it is logged.

The launcher's end is `yacs_sweep/logs/wandb_calls.py`. One file a run. Its lines:

    {"run": {"rank": 0, "counts": true, "own": true}}   first line: the process's rank; whether W&B would record the
                                                        run; whether it is the sweep's own
    {"s": 3, "v": {"loss": 0.5}, "c": 1}                logged at step 3; with "c" the row is complete; "o": values that
                                                        are no numbers, {name: type}
    {"define": {"name": "acc", "summary": ["max"]}}     define_metric; also "goal"
    {"summary": {"acc": 0.9}}                           written to run.summary
    {"config": {"epochs": 3}}                           what the program adds to wandb.config
    {"name": "lr=0.1"}                                  the name that it gives the run
    {"alert": ["title", "text"]}
    {"end": 0}                                          the run is finished
"""

from __future__ import annotations

import json
import numbers
import os
import sys
import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Mapping

_encode = json.JSONEncoder(separators=(",", ":"), check_circular=False, default=str).encode
_RANKS = ("RANK", "OMPI_COMM_WORLD_RANK", "PMI_RANK", "SLURM_PROCID", "LOCAL_RANK")


def rank() -> int:
    """Returns the rank of this process in a distributed program, 0 in any other."""
    distributed = sys.modules.get("torch.distributed")
    try:
        if distributed is not None and distributed.is_available() and distributed.is_initialized():
            return int(distributed.get_rank())
        return int(next((os.environ[name] for name in _RANKS if os.environ.get(name)), 0))
    except Exception:
        return 0


def number(value: Any) -> int | float | None:
    """Returns the number that a value is, or holds: of numpy, torch, TensorFlow, JAX; None for anything else."""
    try:
        if not isinstance(value, numbers.Number):
            if not hasattr(value, "item") and callable(getattr(value, "numpy", None)):
                value = value.numpy()
            value = value.item()
        if isinstance(value, numbers.Integral):
            return int(value)
        return float(value) if isinstance(value, numbers.Real) or hasattr(value, "as_tuple") else None
    except Exception:
        return None


def split(data: Mapping[str, Any], found: dict[str, int | float], others: dict[str, Any], above: str = "") -> None:
    """Sorts logged values into numbers and others; of a dictionary in it under `name.name`, as W&B names them."""
    for key, value in data.items():
        kind = type(value)
        name = above + str(key)
        if kind is float or kind is int:
            found[name] = value
        elif value is None:
            continue
        elif isinstance(value, dict):
            split(value, found, others, name + ".")
        else:
            plain = number(value)
            if plain is None:
                others[name] = value
            else:
                found[name] = plain


class Rows:
    """A run's file. What cannot be written is lost: that never ends a training."""

    def __init__(self, folder: str, *, counts: bool, **header: Any) -> None:
        """Makes the file in the folder and writes its first line; further ones only of a run that counts."""
        name = "%017.6f-%d-%s.jsonl" % (time.time(), os.getpid(), os.urandom(4).hex())  # sorted by time
        self.path = os.path.join(folder, name)
        self._open()
        self.write({"run": {"counts": counts, **header}})
        if not counts and self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    _descriptor = -1

    def _open(self) -> None:
        try:
            self._descriptor = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o666)
        except OSError as error:
            self._give_up(error)

    def _give_up(self, error: OSError) -> None:
        self._descriptor = -1
        sys.stderr.write("wandb calls do not reach the sweep launcher: %s: %s\n" % (self.path, error.strerror))

    def write(self, message: dict[str, Any]) -> None:
        """Appends one line."""
        if self._descriptor < 0:
            return
        data = _encode(message).encode() + b"\n"
        try:
            written = os.write(self._descriptor, data)
            if written < len(data):  # a disk that is nearly full
                os.write(self._descriptor, data[written:])
        except OSError as error:
            self._give_up(error)

    def __getstate__(self) -> str:
        """Returns the file's path: in another process it is opened again."""
        return self.path

    def __setstate__(self, path: str) -> None:
        self.path = path
        self._open()
