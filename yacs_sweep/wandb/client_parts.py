"""Uses parts of W&B's client that are not public, where the installed client has them; elsewhere what is public.

No other module of the launcher names such a part. `make test-clients` runs sweeps with several clients.
"""

from __future__ import annotations

import contextlib
import importlib
import time
from collections.abc import Callable, Mapping
from typing import Any

from ..recorders.interface import Rows


# -- settings ---------------------------------------------------------------------------------------------------------
def make_settings(required: Mapping[str, Any], **wanted: Any) -> Any:
    """Makes the client's settings of all of `required`, and of those in `wanted` that this client has.

    Raises:
        Exception: the client has none of that name among `required`, which keep something on this machine.
    """
    import wandb

    return wandb.Settings(**required, **{name: value for name, value in wanted.items() if name in _known_settings()})


def _known_settings() -> Mapping[str, Any]:
    """Returns the client's settings by name."""
    import wandb

    return getattr(wandb.Settings, "model_fields", None) or getattr(wandb.Settings, "__fields__", {})


def settings_for_stops(call: Callable[[], None]) -> dict[str, Any]:
    """Returns settings with which `call` is called when the server stops the run, on a thread of the client's.

    Without that the client interrupts the process, which is an agent. One before 0.26 has no such setting: of what it calls
    there is one for all runs.
    """
    if "stop_fn" in _known_settings():
        return {"stop_fn": lambda: call()}  # settings are copied with all in them, which a method's object is
    with contextlib.suppress(ImportError):
        importlib.import_module("wandb.sdk.lib.interrupt").interrupt_main = call  # type: ignore[attr-defined]
    return {}


# -- the service process ----------------------------------------------------------------------------------------------
def service_process() -> Any:
    """Returns the client's service process (a Popen); None where it does not run, or cannot be found."""
    try:
        from wandb.sdk import wandb_setup

        connection = wandb_setup.singleton()._connection
    except (ImportError, AttributeError):
        return None
    owner = getattr(connection, "_proc", None)
    return getattr(owner, "_process", None) or getattr(owner, "_internal_proc", None)


# -- requests ---------------------------------------------------------------------------------------------------------
def send_request(api: Any, url: str, operation: str, variables: Mapping[str, Any], timeout: float) -> Any:
    """Sends a GraphQL request with the login of the client's `api`; returns the answer's data.

    By the client's service process (from 0.29 on), by its own requests (before), else by a request of ours.

    Args:
        url: the server's.
        timeout: seconds for the answer.

    Raises:
        Exception: no answer, or an error; `http_status` tells which.
    """
    execute = getattr(getattr(api, "_service_api", None), "execute_graphql", None)
    if execute is not None:
        return execute(operation, variables=dict(variables), timeout=timeout)
    requests = getattr(api, "client", None)
    if requests is not None:
        gql = importlib.import_module("wandb_gql").gql  # which these clients bring along
        return requests.execute(gql(operation), variable_values=dict(variables))
    return _post(url, str(api.api_key or ""), operation, variables, timeout)


def _post(url: str, key: str, operation: str, variables: Mapping[str, Any], timeout: float) -> Any:
    """Posts a GraphQL request as W&B's documented protocol has it; returns the answer's data."""
    import requests

    content: dict[str, Any] = {"query": operation, "variables": dict(variables)}
    answer = requests.post(f"{url}/graphql", json=content, auth=("api", key), timeout=timeout)
    answer.raise_for_status()
    found = answer.json()
    if found.get("errors"):
        raise RuntimeError(str(found["errors"][0].get("message")))
    return found["data"]


def http_status(error: BaseException) -> int:
    """Returns the HTTP status of the answer behind the client's exception; 0 when there was no answer."""
    response = getattr(getattr(error, "exc", None) or error, "response", None)
    return int(getattr(response, "http_status", None) or getattr(response, "status_code", None) or 0)


# -- rows -------------------------------------------------------------------------------------------------------------
def row_sender(run: Any) -> Callable[[Rows], None]:
    """Returns a function that logs rows to the run, each as ``run.log(row, step=step, commit=True)`` does.

    `run.log` looks at each value for media and at each call for threads and forks, wakes the client's own thread for
    every row and waits for it: many times what the row costs. A client from 0.30 on has an encoding of values by
    itself, with which the same messages are made here and handed over to its service process at once.
    """
    try:
        from wandb.proto import wandb_server_pb2
        from wandb.sdk.interface.history_value import set_history_value

        interface = run._interface
        assign, publish, run_task = interface._assign, interface._client.publish, interface._asyncer.run
        encoding = run.settings.x_history_value_encoding.split(",")
    except (ImportError, AttributeError):
        return lambda rows: _log_one_by_one(run, rows)
    spb: Any = wandb_server_pb2  # its names come from one of several modules, which no type checker follows
    form = {"json_form": "json" in encoding, "typed_form": "typed" in encoding}

    def send(rows: Rows) -> None:
        requests = []
        for step, row in rows:
            request = spb.ServerRequest()
            assign(request.record_publish)
            history = request.record_publish.request.partial_history
            for key, value in ({"_timestamp": time.time()} | dict(row)).items():
                if key != "_step":  # the row's own number, whatever the trainer says
                    item = history.item.add()
                    item.key = key
                    set_history_value(item, value, **form)
            history.step.num = step
            history.action.flush = True
            requests.append(request)

        async def publish_all() -> None:
            for request in requests:
                await publish(request)

        run_task(publish_all)

    return send


def _log_one_by_one(run: Any, rows: Rows) -> None:
    """Logs rows by the public call."""
    for step, row in rows:
        run.log(dict(row), step=step, commit=True)
