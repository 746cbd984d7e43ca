"""Creates and looks up W&B sweeps.

The client retries for minutes, and an answer that is late or lost makes it create a second sweep: each question has a
process of its own with a bounded time, and a tag in the sweep's description tells which sweeps came of one request.
"""

from __future__ import annotations

import os
import re
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from ..base.ask_process import NoAnswer, StartChild, TimedOut
from ..base.errors import ConfigError
from ..base.streams import SILENT_WAIT, print_error
from ..base.wording import without_password
from ..spec.sweep import SweepSpec
from .ask_client import ClientError, WandbUnavailable, ask_client
from .client import FINAL, reason_of
from .client_parts import http_status
from .judged_here import judged_text
from .login import base_url

REQUEST_TIMEOUT = 60.0  # seconds one answer may take; a client that gives up earlier creates a second sweep
PREFLIGHT_TIMEOUT = 12.0  # seconds for the first answer: is there a server, is the key right
CALL_TIMEOUT = 150.0  # seconds for everything, then the process is killed
MAYBE = "; it may have created the sweep all the same: look at the project's page"
RETRY_FROM = 2.0  # the client's first retry comes no earlier: a faster creation made one sweep
OVER = ("FINISHED", "CANCELED", "CANCELLED", "STOPPED", "CRASHED", "FAILED")
_ID = re.compile(r"\w[\w.-]{0,127}")


@dataclass(frozen=True)
class RemoteSweep:
    """Describes a sweep on the W&B server."""

    id: str
    project: str
    entity: str
    url: str
    state: str
    config: dict[str, Any]
    note: str = ""  # what the user must know about its creation
    reopens: bool = False  # whether it has ended and is to run again, since users had stopped or cancelled it

    @property
    def over(self) -> bool:
        """Whether the sweep takes no further trials."""
        return self.state.upper() in OVER and not self.reopens


def create_sweep(
    spec: SweepSpec, project: str | None, entity: str | None, start: StartChild | None = None, **own: Any
) -> RemoteSweep:
    """Creates the sweep on the server, in a process that `start` starts; default: by exec.

    Args:
        own: further keys of its description.

    Raises:
        WandbUnavailable: no server, or no access. Nothing was created, unless the text says otherwise.
        ConfigError: the server refuses the sweep.
    """
    config = {**spec.to_wandb(), **own}
    words = {"config": config, "project": project, "entity": entity, "judged": judged_text(spec)}
    return _ask(_create, words, MAYBE, start)


def look_up(path: str, project: str | None, entity: str | None, option: str = "--sweep_id") -> RemoteSweep:
    """Finds an existing sweep: `ID`, `PROJECT/ID` or `ENTITY/PROJECT/ID`, as the user gave it to `option`.

    Raises:
        WandbUnavailable: no server, or no access.
        ConfigError: malformed, or unknown to the server.
    """
    label = f"{option} {path}"
    return _ask(_look_up, {"names": split_path(path, label), "project": project, "entity": entity, "label": label})


def split_path(path: str, label: str) -> list[str]:
    """Splits `ENTITY/PROJECT/ID` or its last parts into names; `label` begins the message of a malformed one.

    Raises:
        ConfigError: malformed.
    """
    names = path.split("/")
    if len(names) > 3 or not all(names):
        raise ConfigError(f"{label}: write ID, PROJECT/ID or ENTITY/PROJECT/ID")
    return names


def _ask(
    function: Callable[..., dict[str, Any]],
    arguments: Mapping[str, Any],
    caveat: str = "",
    start: StartChild | None = None,
) -> RemoteSweep:
    """Calls a function of this module in a process of its own; `caveat` ends the message of an unknown outcome."""
    environment = {"WANDB_HTTP_TIMEOUT": f"{REQUEST_TIMEOUT:.0f}"}
    answer = ask_bounded(function, arguments, CALL_TIMEOUT, caveat, environment=environment, start=start)
    sweep = RemoteSweep(**answer)
    if not _ID.fullmatch(sweep.id):  # it becomes the name of a folder
        raise ConfigError(f"the W&B server gave a sweep id that cannot be used: {sweep.id[:80]!r}")
    return sweep


def ask_bounded(
    function: Callable[..., dict[str, Any]], arguments: Mapping[str, Any], timeout: float, caveat: str = "", **more: Any
) -> dict[str, Any]:
    """Calls a function that uses the client in a process of its own; returns its answer.

    Args:
        timeout: seconds for everything.
        caveat: ends the message of an unknown outcome.
        more: as `ask_client`.

    Raises:
        WandbUnavailable: no answer, or no access.
        ConfigError: what the server refuses.
    """
    notice = (SILENT_WAIT, f"waiting for W&B, for {timeout:.0f} s at most")
    try:
        return ask_client(function, arguments, timeout=timeout, notice=notice, **more)
    except TimedOut:
        raise WandbUnavailable(f"W&B did not answer within {timeout:.0f} s{caveat}") from None
    except NoAnswer as error:
        raise WandbUnavailable(f"W&B's client failed: {error}{caveat}") from None
    except ClientError as error:
        raise ConfigError(str(error)) from None
    except KeyboardInterrupt:
        print_error(f"interrupted while W&B was asked{caveat}")
        raise


# -- in the process of its own ---------------------------------------------------------------------------------------
def connect() -> tuple[Any, str]:
    """Opens the client's API once the server has answered; returns it and the user's default entity.

    Raises:
        WandbUnavailable: no server, or a key it does not take.
    """
    import wandb

    try:
        api = wandb.Api(timeout=int(PREFLIGHT_TIMEOUT))
        default_entity = api.default_entity
    except Exception as error:
        raise _unavailable(error) from None
    if not default_entity:
        server = without_password(base_url())
        raise WandbUnavailable(f"W&B at {server} does not know your key; run `wandb login --relogin`")
    return api, default_entity


def _unavailable(error: BaseException, caveat: str = "") -> WandbUnavailable:
    """Makes the error of a server that cannot be used."""
    return WandbUnavailable(f"W&B at {without_password(base_url())} cannot be used: {reason_of(error)}{caveat}")


def find_remote(names: list[str], project: str | None, entity: str | None, label: str) -> Any:
    """Finds the client's object of a sweep; `names` are those of `split_path`, defaults fill them up.

    Raises:
        WandbUnavailable: no server, no access, no answer.
        ConfigError: unknown to the server.
    """
    import wandb

    api, default_entity = connect()
    defaults = (entity or default_entity, project or "uncategorized")
    place = "/".join([*defaults[: 3 - len(names)], *names])
    try:
        return api.sweep(place)
    except (wandb.errors.CommError, ValueError) as error:
        reason = reason_of(error)
        if http_status(error) not in FINAL and "Could not find" not in reason:
            raise _unavailable(error) from None
        why = "" if "Could not find" in reason else f" ({reason})"
        hint = "" if len(names) == 3 else "; of another project or entity: write ENTITY/PROJECT/ID"
        raise ConfigError(f"{label}: no sweep {place} on the W&B server{why}{hint}") from None


def _look_up(names: list[str], project: str | None, entity: str | None, label: str) -> dict[str, Any]:
    """Finds a sweep; returns the fields of `RemoteSweep`."""
    return _describe(find_remote(names, project, entity, label))


def _describe(sweep: Any, note: str = "") -> dict[str, Any]:
    """Collects the fields of `RemoteSweep` from the client's object."""
    return {
        "id": sweep.id,
        "project": sweep.project,
        "entity": sweep.entity,
        "url": sweep.url or "",
        "state": sweep.state,
        "config": sweep.config,
        "note": note,
    }


def _create(config: dict[str, Any], project: str | None, entity: str | None, judged: str) -> dict[str, Any]:
    """Creates a sweep, and finds those that the server has created beside it; returns the fields of `RemoteSweep`.

    Args:
        judged: what its description says of keys that the server does not have (`judged_text`).
    """
    import wandb

    api, default_entity = connect()
    entity, project = entity or default_entity, project or "uncategorized"
    tag = f"launch {os.urandom(6).hex()}"
    description = f"{config['description']} ({tag})" if config.get("description") else tag
    description += f"\n\n{judged}" if judged else ""
    started = time.monotonic()
    try:
        sweep_id = wandb.sweep({**config, "description": description}, entity=entity, project=project)
    except Exception as error:
        twins = _list_tagged(api, entity, project, tag)
        if not twins and http_status(error) in FINAL:
            raise ConfigError(f"W&B refuses the sweep: {reason_of(error)}") from None
        if not twins:
            raise _unavailable(error, MAYBE if twins is None else "") from None
        sweep_id = twins[0]  # its answer was lost, the sweep exists
    note = ""
    if time.monotonic() - started >= RETRY_FROM:
        twins = [twin for twin in _list_tagged(api, entity, project, tag) or [] if twin != sweep_id]
        if twins:
            note = (
                f"the server was slow to answer and has created {', '.join(twins)} as well; "
                f"{sweep_id} is used, delete the other{'s' if len(twins) > 1 else ''}"
            )
    return _describe(api.sweep(f"{entity}/{project}/{sweep_id}"), note)


def _list_tagged(api: Any, entity: str, project: str, tag: str) -> list[str] | None:
    """Lists the ids of the project's sweeps whose description carries the tag; None if they cannot be listed."""
    try:
        sweeps = list(api.project(project, entity).sweeps())
        return [sweep.id for sweep in sweeps if tag in str(sweep.config.get("description", ""))]
    except ValueError:  # no such project
        return []
    except Exception:
        return None
