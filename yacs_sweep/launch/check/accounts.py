"""Looks at what a sweep is recorded with: W&B's client, login and server, and the storage."""

from __future__ import annotations

import os
import socket
from collections.abc import Mapping
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

from ...base.errors import ConfigError
from ...base.wording import without_password
from ...wandb.client_version import client_version, why_untried, why_unusable
from ...wandb.login import base_url, is_logged_in, why_turned_off
from ..options.table import Options
from ..plan.controller import choose_controller
from .findings import Findings

_WAIT = 5.0  # seconds for the server's machine to take a connection


def check_wandb(findings: Findings, options: Options) -> None:
    """Adds what chooses the points, the login, and whether W&B's server can be reached where a sweep needs it.

    The server is sent nothing: a connection is opened and closed.
    """
    try:
        controller, _ = choose_controller(options)
        address = without_password(base_url())
        logged_in = is_logged_in()
    except ConfigError as error:
        findings.add_error("W&B", error)
        return
    version = client_version()
    why = why_unusable(version)
    if controller == "local":
        off = why_turned_off()
        login = off or ("logged in" if logged_in else "not logged in")
        recorded = f"trials are not recorded as W&B runs: {why}" if why else f"wandb {version}"
        findings.ok("W&B", f"local controller, no server needed; {login}; {recorded}")
        return
    if why:
        findings.problem("W&B", why, advice="or --controller local, which needs no account")
        return
    if version and (untried := why_untried(version)):
        findings.warn("W&B", untried)
    if not logged_in:
        off = why_turned_off()
        mend = "unset it" if off else "wandb login"
        findings.problem("W&B", off or f"not logged in to {address}", advice=f"{mend}, or --controller local")
        return
    if failed := connection_problem(address):
        add = findings.warn if options.controller == "auto" else findings.problem
        add("W&B", f"{address} cannot be reached: {failed}", advice="--controller local needs no server")
        return
    findings.ok("W&B", f"controller wandb, logged in to {address}, which can be reached; wandb {version}")


def connection_problem(address: str, environment: Mapping[str, str] = os.environ) -> str:
    """Opens a connection to a server, or to the proxy that stands before it, and closes it.

    Returns:
        Why that failed; empty when it did not.
    """
    url = urlsplit(address)
    proxy = None if proxy_bypass(url.hostname or "") else getproxies().get(url.scheme)
    if proxy:
        url = urlsplit(proxy if "://" in proxy else f"http://{proxy}")
    port = url.port or (443 if url.scheme == "https" else 80)
    try:
        socket.create_connection((url.hostname or "", port), timeout=_WAIT).close()
    except OSError as error:
        return error.strerror or str(error) or type(error).__name__
    return ""


def check_storage(findings: Findings, options: Options, storage: str | None) -> None:
    """Adds which storage holds the trials; that a database answers has been found out where it is given.

    Args:
        storage: the checked URL; None: a file in the sweep's folder, or a mistake that is said elsewhere.
    """
    if storage is not None:
        findings.ok("storage", f"{masked_url(storage)}: can be used")
    elif options.storage is None and choose_controller(options)[0] == "local":
        findings.ok("storage", "a file in the sweep's folder")


def masked_url(storage: str) -> str:
    """Returns the storage's URL without its password."""
    from ..plan.checks import masked

    return masked(storage) or ""
