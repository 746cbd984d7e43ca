"""Creating and looking up W&B sweeps, each in a process of its own with a bound on its time.

The client retries for minutes, and an answer that is late or lost makes it create a second sweep; a process of its own
can be ended, and a tag in the sweep's description tells afterwards which sweeps came of one request.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from ..base.errors import ConfigError
from ..base.shipped import IMPORT_ROOT
from ..spec.sweep import SweepSpec
from .client import FINAL, client_environment, http_status, reason_of, without_password
from .login import base_url

REQUEST_TIMEOUT = 60.0  # seconds one answer may take; a client that gives up earlier creates a second sweep
PREFLIGHT_TIMEOUT = 12.0  # seconds for the first answer: is there a server, is the key right
CALL_TIMEOUT = 150.0  # seconds for everything, then the process is killed
SILENT_WAIT = 8.0  # seconds after which the user is told what is waited for
MAYBE = "; it may have created a sweep nevertheless: look at the project's page"
RETRY_FROM = 2.0  # the client's first retry comes no earlier: a faster creation made one sweep
_ID = re.compile(r"\w[\w.-]{0,127}")
OVER = ("FINISHED", "CANCELED", "CANCELLED", "STOPPED", "CRASHED", "FAILED")
CODE = "import sys; sys.path.insert(0, {root!r}); from yacs_sweep.wandb.sweeps import main; main()"


class WandbUnavailable(ConfigError):
    """W&B cannot be used now: no answer, or a key it does not take. Nothing was created."""


@dataclass(frozen=True)
class RemoteSweep:
    """A sweep on the W&B server."""

    id: str
    project: str
    entity: str
    url: str
    state: str
    config: dict[str, Any]
    note: str = ""  # what the user must know about its creation

    @property
    def over(self) -> bool:
        """Whether it takes no further trials."""
        return self.state.upper() in OVER


def create_sweep(spec: SweepSpec, project: str | None, entity: str | None) -> RemoteSweep:
    """Creates the sweep on the server.

    Raises:
        WandbUnavailable: no server, or no access.
        ConfigError: the server refuses the sweep.
    """
    return _call({"op": "create", "config": spec.to_wandb(), "project": project, "entity": entity})


def look_up(path: str, project: str | None, entity: str | None, option: str = "--sweep_id") -> RemoteSweep:
    """An existing sweep: `ID`, `PROJECT/ID` or `ENTITY/PROJECT/ID`, as the user gave it to `option`.

    Raises:
        WandbUnavailable: no server, or no access.
        ConfigError: malformed, or unknown to the server.
    """
    parts = path.split("/")
    if len(parts) > 3 or not all(parts):
        raise ConfigError(f"{option} {path}: write ID, PROJECT/ID or ENTITY/PROJECT/ID")
    names = dict(zip(("id", "project", "entity"), reversed(parts), strict=False))
    return _call({"op": "look_up", "project": project, "entity": entity, "path": path, "option": option, **names})


def _call(request: dict[str, Any]) -> RemoteSweep:
    root = str(IMPORT_ROOT)
    child = subprocess.Popen(
        [sys.executable, "-c", CODE.format(root=root)],
        env={**client_environment(os.environ), "WANDB_HTTP_TIMEOUT": f"{REQUEST_TIMEOUT:.0f}"},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    made = MAYBE if request["op"] == "create" else ""
    try:
        with _sigterm_interrupts():
            out, err = _communicate(child, json.dumps(request))
    except subprocess.TimeoutExpired:
        raise WandbUnavailable(f"W&B did not answer within {CALL_TIMEOUT:.0f} s{made}") from None
    except KeyboardInterrupt:
        print(f"interrupted while W&B was asked{made}", file=sys.stderr, flush=True)
        raise
    finally:
        child.kill()
        child.wait()
    try:
        answer = json.loads(out.splitlines()[-1])
    except (ValueError, IndexError):
        lines = err.strip().splitlines() or [f"exit status {child.returncode}"]
        raise WandbUnavailable(f"W&B's client failed: {lines[-1]}") from None
    if "unavailable" in answer:
        raise WandbUnavailable(answer["unavailable"])
    if "error" in answer:
        raise ConfigError(answer["error"])
    sweep = RemoteSweep(**answer["sweep"])
    if not _ID.fullmatch(sweep.id):  # it becomes the name of a folder
        raise ConfigError(f"the W&B server gave a sweep id that cannot be used: {sweep.id[:80]!r}")
    return sweep


@contextlib.contextmanager
def _sigterm_interrupts() -> Iterator[None]:
    """SIGTERM ends the block as Ctrl-C does: what was started in it must not go on alone."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    previous = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, previous)


def _communicate(child: subprocess.Popen[str], request: str) -> tuple[str, str]:
    try:
        return child.communicate(request, timeout=SILENT_WAIT)
    except subprocess.TimeoutExpired:
        print(f"waiting for W&B, for {CALL_TIMEOUT:.0f} s at most", file=sys.stderr, flush=True)
        return child.communicate(timeout=CALL_TIMEOUT - SILENT_WAIT)


# -- in the process of its own ---------------------------------------------------------------------------------------
def main() -> None:
    """Answers one request (JSON on stdin) with one line of JSON on stdout."""
    answer_to = os.dup(1)
    os.dup2(2, 1)  # what the client prints is not the answer
    request = json.loads(sys.stdin.read())
    try:
        answer = _answer(request)
    except Exception as error:
        answer = {"error": reason_of(error)}
    os.write(answer_to, json.dumps(answer, default=str).encode() + b"\n")
    os._exit(0)  # the client's own exit can wait for a server that does not answer


def _answer(request: dict[str, Any]) -> dict[str, Any]:
    import wandb

    try:
        api = wandb.Api(timeout=int(PREFLIGHT_TIMEOUT))
        default_entity = api.default_entity
    except Exception as error:
        return _unavailable(error)
    if not default_entity:
        return {
            "unavailable": f"W&B at {without_password(base_url())} does not know your key; run `wandb login --relogin`"
        }
    entity = request["entity"] or default_entity
    project = request["project"] or "uncategorized"
    if request["op"] == "look_up":
        return _look_up(api, entity, project, request["id"], request["path"], request["option"])
    return _create(api, entity, project, request["config"])


def _unavailable(error: BaseException, more: str = "") -> dict[str, Any]:
    return {"unavailable": f"W&B at {without_password(base_url())} cannot be used: {reason_of(error)}{more}"}


def _look_up(api: Any, entity: str, project: str, sweep_id: str, given: str, option: str) -> dict[str, Any]:
    import wandb

    try:
        return {"sweep": _sweep(api.sweep(f"{entity}/{project}/{sweep_id}"))}
    except (wandb.errors.CommError, ValueError) as error:
        reason = reason_of(error)
        if http_status(error) not in FINAL and "Could not find" not in reason:
            return _unavailable(error)
        why = "" if "Could not find" in reason else f" ({reason})"
        hint = "" if given.count("/") == 2 else "; of another project or entity: write ENTITY/PROJECT/ID"
        return {"error": f"{option} {given}: no sweep {entity}/{project}/{sweep_id} on the W&B server{why}{hint}"}


def _sweep(sweep: Any, note: str = "") -> dict[str, Any]:
    return {
        "id": sweep.id,
        "project": sweep.project,
        "entity": sweep.entity,
        "url": sweep.url or "",
        "state": sweep.state,
        "config": sweep.config,
        "note": note,
    }


def _create(api: Any, entity: str, project: str, config: dict[str, Any]) -> dict[str, Any]:
    import wandb

    tag = f"launch {uuid.uuid4().hex[:12]}"
    description = f"{config['description']} ({tag})" if config.get("description") else tag
    started = time.monotonic()
    try:
        sweep_id = wandb.sweep({**config, "description": description}, entity=entity, project=project)
    except Exception as error:
        twins = _with_tag(api, entity, project, tag)
        if not twins and http_status(error) in FINAL:
            return {"error": f"W&B refuses the sweep: {reason_of(error)}"}
        if not twins:
            return _unavailable(error, MAYBE if twins is None else "")
        sweep_id = twins[0]  # its answer was lost, the sweep is there
    note = ""
    if time.monotonic() - started >= RETRY_FROM:
        twins = [twin for twin in _with_tag(api, entity, project, tag) or [] if twin != sweep_id]
        if twins:
            note = (
                f"the server was slow to answer and has created {', '.join(twins)} as well; "
                f"{sweep_id} is used, delete the other{'s' if len(twins) > 1 else ''}"
            )
    return {"sweep": _sweep(api.sweep(f"{entity}/{project}/{sweep_id}"), note)}


def _with_tag(api: Any, entity: str, project: str, tag: str) -> list[str] | None:
    """Sweeps of the project whose description carries the tag; None if they cannot be listed."""
    try:
        sweeps = list(api.project(project, entity).sweeps())
        return [sweep.id for sweep in sweeps if tag in str(sweep.config.get("description", ""))]
    except ValueError:  # there is no such project
        return []
    except Exception:
        return None
