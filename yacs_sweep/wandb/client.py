"""Uses the W&B client in this process: its environment, requests with clear reasons, a time limit on every call.

The client talks to a service process of its own (wandb-core). When that one is killed or stops answering, calls of the
client fail at once or never return; here it is ended then, and the next call starts another one.
"""

from __future__ import annotations

import contextlib
import os
import re
import threading
from collections.abc import Iterator, Mapping
from typing import Any

from ..base.errors import SweepError
from ..base.processes import set_environment
from ..base.wording import without_password
from .client_parts import http_status, send_request, service_process
from .login import base_url

OUTAGE_VARIABLE = "YACS_SWEEP_WANDB_OUTAGE"
# Seconds without W&B that cost nothing: so long requests are repeated, and an ended trial's run is waited for.
OUTAGE = float(os.environ.get(OUTAGE_VARIABLE) or 600.0)
REQUEST_TIMEOUT = 10.0  # seconds for one answer; the client asks twice
CALL_TIMEOUT = 45.0  # seconds for a call; longer than the client takes to give up by itself
SERVICE_EXIT = 3.0  # seconds the service process gets to end by itself
# Of the launcher's surroundings: another run, sweep or service than ours.
OTHERS = ("RUN_ID", "SWEEP_ID", "SWEEP_PARAM_PATH", "SERVICE", "MODE", "RESUME", "NAME")
ENVIRONMENT = {
    "WANDB_SILENT": "true",
    "WANDB_HTTP_TIMEOUT": f"{REQUEST_TIMEOUT:.0f}",
    "WANDB_X_GRAPHQL_RETRY_MAX": "1",  # of a request; a run's own are set where it is opened
    "WANDB_X_GRAPHQL_RETRY_WAIT_MAX_SECONDS": "3",
}
# What the client would send of the machine, unless the user's environment asks for it: the list of installed packages of
# every run (requirements.txt), and its own errors and figures.
NOT_SENT = {"WANDB_X_SAVE_REQUIREMENTS": "false", "WANDB_ERROR_REPORTING": "false"}
FINAL = (400, 404)  # statuses of answers that asking again does not change
SERVICE_DIED = "MailboxClosedError"  # the exception without a text that the client raises when its service process dies
NO_ANSWER = "did not respond in time"  # what the client says of a service process that does not answer it
_ATTEMPTS = re.compile(r'^.*?while retrying: |^.*giving up after \d+ attempt\(s\):? ?|(Get|Post|Put) "[^"]*": ')


class Refused(SweepError):
    """Reports a final answer of the server: it knows no such thing, or takes no more."""


class Unavailable(SweepError):
    """Reports no answer, an answer that may be another one later, or a key that is not taken."""


def client_environment(environment: Mapping[str, str]) -> dict[str, str]:
    """Returns the environment without variables of another run, sweep or service, and with the client's settings."""
    foreign = {f"WANDB_{name}" for name in OTHERS}
    return NOT_SENT | {name: value for name, value in environment.items() if name not in foreign} | ENVIRONMENT


def prepare() -> None:
    """Prepares this process's environment for the client; before its first import."""
    set_environment(client_environment(os.environ))


def open_client() -> None:
    """Starts the client's service process before somebody needs it; what goes wrong is said when somebody does."""
    with contextlib.suppress(Exception):
        Transport().open()


class Transport:
    """Sends GraphQL requests through the client. For one thread."""

    def __init__(self) -> None:
        self._api: Any = None

    def open(self) -> Any:
        """Returns the client's API, made on the first call; its service process runs then."""
        import wandb

        if self._api is None:
            self._api = wandb.Api(timeout=int(REQUEST_TIMEOUT))
        return self._api

    def execute(self, operation: str, variables: dict[str, Any], timeout: float = CALL_TIMEOUT - 10) -> Any:
        """Sends a request; returns the answer's data.

        Args:
            timeout: seconds for the answer, with clients from 0.29 on.

        Raises:
            Refused: the answer is final.
            Unavailable: another answer may come later.
        """
        try:
            with end_service_after(CALL_TIMEOUT):
                return send_request(self.open(), base_url(), operation, variables, timeout)
        except Exception as error:
            status = http_status(error)
            if status in FINAL:
                raise Refused(f"{reason_of(error)} (HTTP {status})") from None
            if getattr(error, "response", None) is None:  # not the server's word: the service may be dead, or deaf
                self._api = None
                end_broken_service(error)
            raise Unavailable(f"{reason_of(error)}{f' (HTTP {status})' if status else ''}") from None


def reason_of(error: BaseException) -> str:
    """Returns the reason of the client's exception in one line, without passwords and its account of attempts."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    if not lines:
        name = type(error).__name__
        return "the client's service process died" if name == SERVICE_DIED else name
    if NO_ANSWER in str(error):
        return "no answer in time"
    if "validation error" in lines[0]:  # of a setting: its name and what is wrong with it follow
        lines[0] = ": ".join(lines[1:3])
    last = lines[-1] if "giving up after" in str(error) else lines[0]
    return without_password(_ATTEMPTS.sub("", last))[:300]


def end_broken_service(error: BaseException) -> None:
    """Ends the service process if it is dead, or does not answer as `error` says; the next call starts another one."""
    process = service_process()
    if process is not None and (process.poll() is not None or NO_ANSWER in str(error)):
        end_service()


@contextlib.contextmanager
def end_service_after(seconds: float) -> Iterator[None]:
    """Ends the service process when the block takes longer: calls that wait for it then raise."""
    timer = threading.Timer(seconds, end_service)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


def end_service(grace: float = 0.0) -> None:
    """Ends the client's service process; the client starts another one when needed.

    Args:
        grace: seconds the process gets to end by itself.
    """
    import wandb

    process = service_process()

    def teardown() -> None:
        with contextlib.suppress(BaseException):  # the client raises what the dead service's socket says
            wandb.teardown()

    closing = threading.Thread(target=teardown, daemon=True)
    if grace:
        closing.start()
        closing.join(grace)
    if process is not None:
        process.kill()
    if not grace:
        closing.start()
    closing.join(SERVICE_EXIT)
