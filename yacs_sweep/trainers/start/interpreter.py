"""Asks a trainer's interpreter which Python it is."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ...base.ask_process import NoAnswer, ask_process

OLDEST = (3, 7)  # Python of a trainer: what is run inside it needs no more
_WAIT = 20.0  # seconds for an interpreter to say its version
_CODE = (  # also understood by Python 2
    "import sys; import json; json.dump({'version': list(sys.version_info[:3]), 'prefix': sys.prefix, 'path': sys.executable,"
    " 'base': getattr(sys, 'base_prefix', sys.prefix)}, sys.stdout)"
)


def ask_python(interpreter: str, environment: Mapping[str, str]) -> dict[str, Any]:
    """Asks an interpreter for `version` (three numbers), `path`, `prefix`, and `base`: the prefix outside of environments.

    Raises:
        NoAnswer: it does not answer as Python does.
    """
    return ask_process([interpreter, "-c", _CODE], environment=environment, timeout=_WAIT)


def version_text(answer: Mapping[str, Any]) -> str:
    """Formats an interpreter's version: `3.11.2`."""
    return ".".join(map(str, answer["version"]))


def python_problem(interpreter: str, environment: Mapping[str, str]) -> str:
    """Explains why an interpreter is of no use to a trainer; empty when nothing speaks against it."""
    hint = "--python PATH names the trainer's interpreter, such as VENV/bin/python"
    try:
        answer = ask_python(interpreter, environment)
        version = tuple(answer["version"])
    except (NoAnswer, KeyError, TypeError) as error:
        return f"{interpreter} does not answer as Python does ({error}); {hint}"
    if version < OLDEST:
        return f"{interpreter} is Python {version_text(answer)}, and a trainer's is 3.7 or newer; {hint}"
    return ""
