"""Runs one trial of a function: ``python call_function.py TRIAL_DIR …``.

Standard library only, and cloudpickle through pickle. Arguments after the folder show the parameters to whoever lists
processes; they are read from the folder, with their types. The function is in the folder above, which is the sweep's.
"""

from __future__ import annotations

import inspect
import json
import os
import pickle
import sys
import traceback
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

FUNCTION_FILE = "function.pkl"
PARAMS_FILE = "params.json"
VALUE = "value"  # the name of what is returned where the sweep has no metric


def count_arguments(train: Callable[..., Any]) -> int:
    """Counts the arguments to call the function with: 1 (the parameters), 2 (and `Report`), or none.

    One that needs none is called as W&B's agent calls it, `main()`: its parameters are in `wandb.config`. An argument that
    it could be given is its own (`config=None`), unless its name is `params`.

    Raises:
        TypeError: it cannot be called in any of these ways.
    """
    try:
        signature = inspect.signature(train)
    except ValueError:  # some that are written in C have none
        return 1
    first = next(iter(signature.parameters.values()), None)
    if first is None or (first.default is not first.empty and first.name != "params"):
        try:
            signature.bind()
            return 0
        except TypeError:
            pass
    try:
        signature.bind({})
    except TypeError:
        try:
            signature.bind({}, None)
        except TypeError:
            raise TypeError(f"cannot be called with the parameters alone, its arguments are {signature}") from None
        return 2
    positional = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    wanted = [item.name for item in signature.parameters.values() if item.kind in positional]
    return 2 if wanted[1:2] == ["report"] else 1


def to_number(value: Any) -> Any:
    """Converts to a number as JSON writes it; scalars of numpy and torch by their `item()`."""
    item = getattr(value, "item", None)
    value = item() if callable(item) else value
    return int(value) if isinstance(value, bool) else value


class Report:
    """Reports metrics from a function: `report(loss=0.5, epoch=1)`, or `report({"val/loss": 0.5})`."""

    def __init__(self, folder: Path, metric: str | None) -> None:
        self.dir = folder  # the trial's own: for checkpoints
        self._metric = metric

    @property
    def name(self) -> str:
        """The trial's name."""
        return self.dir.name

    def __call__(self, metrics: Mapping[str, Any] | float | None = None, **more: Any) -> None:
        """Logs one row; a number alone is the sweep's metric. Raises TypeError for a value that is no number."""
        if metrics is not None and not isinstance(metrics, Mapping):
            metrics = {self._metric or VALUE: metrics}
        row = {str(name): to_number(value) for name, value in {**(metrics or {}), **more}.items()}
        for name, value in row.items():
            if not isinstance(value, (int, float)):
                raise TypeError(f"metric {name} is {value!r}, a {type(value).__name__}; report numbers")
        sys.stdout.flush()
        sys.stderr.flush()
        line = b"METRIC " + json.dumps(row).encode() + b"\n"
        while line:
            line = line[os.write(1, line) :]

    def result(self, value: Any) -> None:
        """Logs a returned or yielded value; None (the function has reported by itself) logs nothing."""
        if value is not None:
            self(value)


def call(train: Callable[..., Any], takes: int, params: dict[str, Any], report: Report) -> None:
    """Calls the function and reports its values."""
    outcome = train(*(params, report)[:takes])
    if isinstance(outcome, Iterator):
        for value in outcome:
            report.result(value)
    else:
        report.result(outcome)


def main(folder: Path) -> None:
    """Runs the trial of a folder; a function that fails ends the process with its traceback and status 1."""
    given = json.loads((folder / PARAMS_FILE).read_text(encoding="utf-8"))
    pickled = pickle.loads((folder.parent / FUNCTION_FILE).read_bytes())
    sys.path[:] = pickled["path"]
    sys.argv = [str(folder)]
    try:
        train = pickle.loads(pickled["function"])
        call(train, pickled["arguments"], given["params"], Report(folder, given["metric"]))
    except Exception as error:
        # Without the frames of this file, as if the function were the program.
        trace = error.__traceback__
        while trace is not None and trace.tb_frame.f_code.co_filename == __file__:
            trace = trace.tb_next
        sys.stdout.flush()
        traceback.print_exception(type(error), error, trace)
        sys.exit(1)


if __name__ == "__main__":
    main(Path(os.path.abspath(sys.argv[1])))
