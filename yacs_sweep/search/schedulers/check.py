"""Tries a scheduler before there is a sweep, in a process of its own: loads the user's file and draws the first points.

The file may hang, crash or print, and Optuna takes a while to import: the launcher has neither in its own process.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ...base.ask_process import NoAnswer, TimedOut, answer_request, ask_process
from ...base.errors import ConfigError, SweepError
from ...base.shipped import IMPORT_ROOT
from ...spec.methods.scheduler import Scheduler
from ...spec.sweep import SweepSpec

FIRST_POINTS = 5  # drawn to be shown, and to know the names of the parameters
_WAIT = 120.0  # seconds; Ax takes ten to import on a busy machine
_SILENT = 5.0  # seconds
_CODE = (
    "import sys; sys.path[:] = [{root!r}, *filter(None, sys.path)]; "
    "from yacs_sweep.search.schedulers.check import main; main()"
)


@dataclass(frozen=True)
class Tried:
    """Says what a scheduler does.

    Attributes:
        points: the first points; of a resumed sweep those that a new one would begin with.
        says: what chooses the points and what ends trials early, in words.
        notes: lines for the user.
    """

    points: tuple[dict[str, Any], ...]
    says: str
    notes: tuple[str, ...] = ()


def try_scheduler(
    spec: SweepSpec, scheduler: Scheduler, *, seed: int, path: Path | None, beside: Path | None, cwd: Path
) -> Tried:
    """Loads the user's functions and draws the first points.

    Args:
        path: the file to load; None: the scheduler has none.
        beside: the folder of the original, whose modules the file may import.

    Raises:
        ConfigError: the engine is not installed, or something is wrong with the functions.
    """
    request = {
        "spec": spec.to_dict(),
        "seed": seed,
        "path": None if path is None else str(path),
        "beside": None if beside is None else str(beside),
    }
    named = scheduler.source or f"engine {scheduler.engine}"
    try:
        answer = ask_process(
            [sys.executable, "-c", _CODE.format(root=str(IMPORT_ROOT))],
            request,
            environment=os.environ,
            timeout=_WAIT,
            cwd=cwd,
            notice=(_SILENT, f"waiting for the scheduler's first points ({named})"),
        )
    except TimedOut:
        raise ConfigError(f"scheduler {named}: has drawn no point within {_WAIT:g} s") from None
    except NoAnswer as error:
        raise ConfigError(f"scheduler {named}: cannot be tried: {error}") from None
    if "problem" in answer:
        raise ConfigError(answer["problem"])
    return Tried(tuple(answer["points"]), answer["says"], tuple(answer["notes"]))


# -- in the process of its own ----------------------------------------------------------------------------------------
def main() -> None:
    """Answers the request on standard input."""
    answer_request(_answer)


def _answer(request: Mapping[str, Any]) -> dict[str, Any]:
    """Draws the first points; returns them, or what is wrong in one line."""
    from ...spec.read_sweep import sweep_from_dict
    from ..space import Space
    from .make import scheduler_engine
    from .source import open_source

    spec = sweep_from_dict(request["spec"])
    assert spec.scheduler is not None
    try:
        file = open_source(spec.scheduler, request["path"], request["beside"])
        engine = scheduler_engine(spec, Space(spec.parameters), request["seed"], file, "SWEEP_ID")
        engine.tell([])
        points: list[dict[str, Any]] = []
        for number in range(FIRST_POINTS):
            suggestion = engine.ask(number)
            if suggestion is None:
                break
            points.append(dict(suggestion.params))
    except SweepError as error:
        return {"problem": str(error)}
    return {"points": points, "says": engine.says(), "notes": engine.notes}
