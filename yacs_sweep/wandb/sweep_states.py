"""Reads and changes the state of a sweep on the W&B server, as `wandb sweep --pause`, `--resume`, `--stop`, `--cancel` do.

The server's state and the sweep's log of orders (`records.control`) say the same: a command of ours writes its order into
the log before it changes the server, and what somebody has changed on W&B is added to the log by an agent that sees it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..base.errors import ConfigError
from ..base.locks import exclusive
from ..base.wording import counted
from ..records.control.order_file import OrderFile
from ..records.control.orders import Act, Entry, Order, entry_from_row, entry_row, new_order, paused_by
from ..records.folder import SweepPaths
from .ask_client import WandbUnavailable
from .client import reason_of
from .client_parts import send_request
from .login import base_url
from .sweeps import OVER, ask_bounded, connect, find_remote, split_path

CHANGE_TIMEOUT = 45.0  # seconds for everything
REQUEST_TIMEOUT = 10.0  # seconds for one answer
AFTER: dict[str, str] = {"pause": "PAUSED", "resume": "RUNNING", "stop": "FINISHED", "cancel": "CANCELED"}
SWEEP_STATE = """
query GetSweepState($entity: String, $project: String, $sweep: String!) {
    project(name: $project, entityName: $entity) {
        sweep(sweepName: $sweep) { id state runCount runCountExpected }
    }
}"""
SET_STATE = """
mutation UpsertSweep($id: ID, $state: String, $entityName: String, $projectName: String) {
    upsertSweep(input: {id: $id, state: $state, entityName: $entityName, projectName: $projectName}) {
        sweep { name }
    }
}"""


@dataclass(frozen=True)
class ServerState:
    """Holds how a sweep stands on the server.

    Attributes:
        state: RUNNING, PAUSED, FINISHED, CANCELED, PENDING or another word of the server's, in capitals.
        id: with which the server's sweep is changed.
        complete: whether it has given out all the runs that it was made for, so that it finished by itself.
    """

    state: str
    id: str = ""
    complete: bool = False

    @property
    def act(self) -> Act | None:
        """The order that leads to this state; None for a state that users do not set, or that came by itself."""
        if self.state.startswith("CANCEL"):
            return "cancel"
        if self.state in ("FINISHED", "STOPPED"):
            return None if self.complete else "stop"
        return "pause" if self.state == "PAUSED" else "resume" if self.state == "RUNNING" else None


def read_state(ask: Callable[[str, dict[str, Any]], Any], sweep: Mapping[str, str | None]) -> ServerState | None:
    """Asks for a sweep's state; None for a sweep that the server does not know.

    Args:
        ask: sends an operation with its variables, and returns the answer's data; its exceptions are raised here.
        sweep: the operation's variables: entity, project, sweep.
    """
    project = ask(SWEEP_STATE, dict(sweep)).get("project") or {}
    found = project.get("sweep")
    if not found:
        return None
    expected, given = found.get("runCountExpected"), found.get("runCount")
    complete = isinstance(expected, int) and isinstance(given, int) and given >= expected
    return ServerState(str(found.get("state") or "").upper(), str(found.get("id") or ""), complete)


# -- by a command of ours ---------------------------------------------------------------------------------------------
def change_state(
    path: str,
    order: Order,
    paths: SweepPaths | None = None,
    *,
    project: str | None = None,
    entity: str | None = None,
    option: str = "--sweep_id",
) -> str:
    """Pauses, resumes, stops or cancels a sweep on the W&B server; returns a line that says how it stands there now.

    Args:
        path: `ID`, `PROJECT/ID` or `ENTITY/PROJECT/ID`, as the user gave it to `option`.
        order: one of pause, resume, stop, cancel.
        paths: of the sweep's folder, whose log gets the order once the server is known to take it, and before it does; None
            where the sweep has no folder here.
        project: the sweep's, where the path does not say.
        entity: likewise.

    Raises:
        WandbUnavailable: no server, no access, no answer.
        ConfigError: malformed, unknown to the server, or in a state that allows no such change.
    """
    label = f"{option} {path}"
    words = {
        "names": split_path(path, label),
        "project": project,
        "entity": entity,
        "label": label,
        "row": entry_row(order),
        "folder": None if paths is None else [str(paths.base), paths.sweep_id],
    }
    return str(ask_bounded(_change, words, CHANGE_TIMEOUT, "; the sweep may have been changed all the same")["line"])


def count_limit(run_cap: int | None, count: int) -> str | None:
    """Explains why a sweep on the W&B server does not reach that many trials; None where it may.

    `run_cap` is part of a sweep's configuration there, which W&B's own client changes before a sweep has begun alone.
    """
    if run_cap is None or count <= run_cap:
        return None
    return f"the W&B server gives out {counted(run_cap, 'trial')} of this sweep (run_cap), so it does not reach {count}"


def _change(
    names: list[str], project: str | None, entity: str | None, label: str, row: dict[str, Any], folder: list[str] | None
) -> dict[str, Any]:
    """Changes the state, in the process of its own; returns the line that tells of it."""
    order = entry_from_row(row)
    assert isinstance(order, Order)
    sweep = find_remote(names, project, entity, label)
    api, _ = connect()
    variables = {"entity": sweep.entity, "project": sweep.project, "sweep": sweep.id}

    def ask(operation: str, values: Mapping[str, Any]) -> Any:
        try:
            return send_request(api, base_url(), operation, values, REQUEST_TIMEOUT)
        except Exception as error:
            raise WandbUnavailable(f"W&B does not {order.act} the sweep: {reason_of(error)}") from None

    found = read_state(ask, variables)
    if found is None:
        raise ConfigError(f"{label}: no sweep {variables['sweep']} on the W&B server")
    before, after = found.state, AFTER[order.act]
    shown, place = before.lower(), "/".join((sweep.entity, sweep.project, sweep.id))
    if order.act == "pause" and before in OVER:
        raise ConfigError(f"{label}: the sweep is {shown} on the W&B server, so it cannot be paused")
    if folder is not None:
        OrderFile(SweepPaths(Path(folder[0]), folder[1])).append(order)
    if before == after:
        return {"line": f"{place} is {shown} on the W&B server already"}
    if order.act != "resume" and before in OVER:  # which W&B's own client refuses to change
        return {"line": f"{place} is {shown} on the W&B server, and stays so there"}
    change = {"id": found.id, "state": after, "entityName": sweep.entity, "projectName": sweep.project}
    ask(SET_STATE, change)
    return {"line": f"{place} is {after.lower()} on the W&B server now (it was {shown})"}


# -- by somebody on W&B -----------------------------------------------------------------------------------------------
class StateLog:
    """Adds to a sweep's log of orders what somebody has changed on the W&B server. For any thread, and many processes."""

    def __init__(self, paths: SweepPaths) -> None:
        """Reads the log: a sweep that was stopped before may run again, so an earlier stop or cancel does not count."""
        self._orders, self._lock = OrderFile(paths), paths.agents / "wandb-order.lock"
        self._entries: list[Entry] = self._orders.read()
        self._before = len(self._entries)

    def note(self, found: ServerState) -> Order | None:
        """Returns the order that has led to a state, which is added if the log lacks it; None where no order has.

        Raises:
            OSError: the log cannot be written.
        """
        act = found.act
        if act is None or (act == "resume" and self.paused() is None):
            return None
        with exclusive(self._lock):
            order = self._last(act)
            if act == "resume" and self.paused() is None:
                return None  # another process has written it meanwhile
            if order is None:
                order = new_order(act, by="wandb")
                self._orders.append(order)
        return order

    def paused(self) -> Order | None:
        """Returns the order that has paused the sweep; None if the log does not say that it is paused."""
        self._entries += self._orders.read()
        return paused_by(self._entries)

    def _last(self, act: Act) -> Order | None:
        """Returns the order of the log that says the same; None without one."""
        pause = self.paused()
        if act in ("pause", "resume"):
            return pause if act == "pause" else None
        since = self._entries[self._before :]
        orders = [entry for entry in since if isinstance(entry, Order)]
        return next((order for order in reversed(orders) if order.act == act), None)
