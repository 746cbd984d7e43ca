"""Calls a function that uses W&B's client in a process of its own, as if it were called here.

The client retries for minutes, and a process can be ended. No password of the server's address comes back from it.
"""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from ..base.ask_process import StartChild, answer_request, ask_process
from ..base.errors import ConfigError, SweepError
from ..base.shipped import IMPORT_ROOT
from .client import client_environment, reason_of
from .client_version import client_version, why_unusable
from .login import credentials

T = TypeVar("T")
# Without the current folder on the path: a trainer's own `wandb` folder or module is not the client.
CODE = "import sys; sys.path[:] = [{root!r}, *filter(None, sys.path)]; from yacs_sweep.wandb.ask_client import main; main()"


class ClientError(SweepError):
    """Reports an exception of W&B's client; the text is its reason in one line."""


class WandbUnavailable(ConfigError):
    """Reports that W&B cannot be used now: no answer, or a key it does not take."""


_ERRORS: dict[str, type[SweepError]] = {error.__name__: error for error in (ConfigError, WandbUnavailable)}


def ask_client(
    function: Callable[..., T],
    arguments: Mapping[str, Any],
    *,
    timeout: float,
    environment: Mapping[str, str] | None = None,
    notice: tuple[float, str] | None = None,
    start: StartChild | None = None,
) -> T:
    """Calls `function(**arguments)` in a process of its own, where `import wandb` is safe; returns its result.

    Args:
        function: one that a module of this package holds; arguments and result are plain JSON.
        timeout: seconds for everything.
        environment: variables of the client's, beside the usual ones.
        notice: seconds of silence, and the line that standard error gets after them.
        start: starts the process where `main` of this module answers; default: by exec.

    Raises:
        ConfigError, WandbUnavailable: raised by the function; the second also where there is no client that can be used.
        ClientError: another exception in the function, of W&B's client as a rule.
        NoAnswer, TimedOut: no answer came (`base.ask_process`).
    """
    if why := why_unusable(client_version()):
        raise WandbUnavailable(why)
    answer = ask_process(
        [sys.executable, "-c", CODE.format(root=str(IMPORT_ROOT))],
        {"module": function.__module__, "function": function.__name__, "arguments": dict(arguments)},
        environment={**client_environment(os.environ), **(environment or {})},
        timeout=timeout,
        notice=notice,
        start=start,
    )
    if secret := credentials():
        answer = _without(answer, f"{secret}@")
    if "error" in answer:
        raise _ERRORS.get(answer["kind"], ClientError)(answer["error"])
    result: T = answer["result"]
    return result


def _without(value: Any, secret: str) -> Any:
    """Removes a text from every text in a JSON value."""
    if isinstance(value, str):
        return value.replace(secret, "")
    if isinstance(value, list):
        return [_without(item, secret) for item in value]
    if isinstance(value, dict):
        return {_without(key, secret): _without(item, secret) for key, item in value.items()}
    return value


# -- in the process of its own ----------------------------------------------------------------------------------------
def main() -> None:
    """Calls the function that the request names, and answers with its result or its error."""
    answer_request(_call)


def _call(request: Mapping[str, Any]) -> dict[str, Any]:
    """Calls the function; returns its result, or the text and kind of its error."""
    function = getattr(importlib.import_module(request["module"]), request["function"])
    try:
        return {"result": function(**request["arguments"])}
    except Exception as error:  # the client raises errors of many libraries
        own = isinstance(error, SweepError)
        return {"error": str(error) if own else reason_of(error), "kind": type(error).__name__}
