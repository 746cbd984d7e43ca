"""Runs another library's search for a benchmark: a program of an environment of its own, by lines of JSON (`lines.py`)."""

from __future__ import annotations

import json
import shlex
import subprocess
from collections.abc import Callable, Mapping
from typing import Any


def run_peer(
    command: str, about: Mapping[str, Any], evaluate: Callable[[dict[str, Any]], Any]
) -> tuple[dict[str, Any], float]:
    """Lets a program search.

    Args:
        command: starts the program, for example `PYTHON benchmarks/peers/search_ax.py`.
        about: what is searched: `parameters`, `trials`, `seed` and more.
        evaluate: gives the value of what the program writes for each trial: its `point`, and with noise a `seed`.

    Returns:
        The last thing written, which with noise is the point it holds for the best; and the processor's seconds for all
        suggestions.

    Raises:
        RuntimeError: the program ended early, or with an error.
    """
    process = subprocess.Popen(shlex.split(command), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdin is not None and process.stdout is not None
    done, seconds, last = 0, 0.0, {}
    with process:
        print(json.dumps(about), file=process.stdin, flush=True)
        for line in process.stdout:
            if not line.startswith("{"):  # a library greets when it is imported
                continue
            last = json.loads(line)
            if done < about["trials"]:
                seconds += last["seconds"]
                done += 1
                print(json.dumps(evaluate(last)), file=process.stdin, flush=True)
    if process.returncode or done < about["trials"]:
        raise RuntimeError(f"{command}: ended with {process.returncode} after {done} trials")
    return last, seconds
