"""Lets another library's search answer a benchmark, which runs it in an environment of its own, by lines of JSON.

The benchmark writes what is searched: `parameters` as in a sweep file, the number of `trials`, a `seed`, whether values are
without noise (`deterministic`), and for several objectives their number and whether there is a constraint. The search then
writes points, each with the processor's seconds that it took, and reads each one's value. All is minimised.
"""

from __future__ import annotations

import json
import sys
import time
import warnings
from typing import Any

_OUT = sys.stdout
_spent = 0.0  # seconds of the processor when the last value was read


def request() -> dict[str, Any]:
    """Reads what is searched; from then on, what the library prints goes to standard error."""
    warnings.simplefilter("ignore")
    sys.stdout = sys.stderr
    asked: dict[str, Any] = json.loads(sys.stdin.readline())
    _start_clock()
    return asked


def _start_clock() -> None:
    global _spent
    _spent = time.process_time()


def write(message: dict[str, Any]) -> None:
    """Writes a line."""
    print(json.dumps(message), file=_OUT, flush=True)


def evaluate(point: dict[str, Any], **more: Any) -> Any:
    """Returns a point's value; of several objectives, a list of values and by how much the constraint is missed."""
    seconds = time.process_time() - _spent
    write({"point": {name: plain(value) for name, value in point.items()}, "seconds": seconds, **more})
    value = json.loads(sys.stdin.readline())
    _start_clock()
    return value


def plain(value: Any) -> Any:
    """Converts numpy's numbers and strings to JSON's."""
    return value.item() if hasattr(value, "item") else value


def is_log(described: dict[str, Any]) -> bool:
    """Tells whether a parameter is searched on a logarithmic scale."""
    return described.get("distribution") == "log_uniform_values"


def is_whole(described: dict[str, Any]) -> bool:
    """Tells whether a parameter with limits has integers only."""
    return isinstance(described["min"], int) and isinstance(described["max"], int)
