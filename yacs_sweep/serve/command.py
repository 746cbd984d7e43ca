"""Runs the report's command line with `--serve`: `tools/report.py`, installed as `yacs-sweep-report`."""

from __future__ import annotations

import importlib.util
import secrets
import socket
from collections.abc import Sequence

from ..base.errors import ConfigError
from ..base.shipped import install_command
from ..base.streams import print_lines
from ..show.report.cli import ReportOptions
from ..show.report.cli import main as report_main

HOST = "127.0.0.1"  # no other machine reaches it; `ssh -L` does, with the user's own key
PORTS = range(8780, 8800)  # of which the first free one is taken where --port names none
PACKAGES = ("starlette", "uvicorn")


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command line; returns the exit status, which is 0 where the user ends the server with Ctrl-C."""
    return report_main(argv, serve)


def serve(options: ReportOptions) -> int:
    """Serves the page of a sweep, or of all known sweeps, until Ctrl-C; prints the one address that opens it.

    Raises:
        ConfigError: a package is missing, there is no such sweep here, or the port is taken.
    """
    missing = [name for name in PACKAGES if importlib.util.find_spec(name) is None]
    if missing:
        raise ConfigError(
            f"--serve: {' and '.join(missing)} {'is' if len(missing) == 1 else 'are'} not installed: "
            f"{install_command('web')}"
        )
    from ..show.query.sweeps import find_sweeps
    from .app import Settings, run  # after the check: it imports the packages

    one = None
    if options.sweep_id is not None:
        found = find_sweeps(options.sweep_id, options.results_dir)
        one = found.sweeps if found.one or found.batch else None
    else:
        find_sweeps(None, options.results_dir, "--serve")
    with _listen(options.port) as listening:
        port = listening.getsockname()[1]
        token = secrets.token_urlsafe(32)
        settings = Settings(token, port, one, options.results_dir, options.storage, options.read_only)
        print_lines(f"http://{HOST}:{port}/?token={token}")
        print_lines(f"Ctrl-C ends it; from another machine: ssh -L {port}:{HOST}:{port} {socket.gethostname()}")
        run(settings, listening)
    return 0


def _listen(port: int | None) -> socket.socket:
    """Opens the port that the user names, else the first free one of `PORTS`, on this machine's own address alone."""
    for tried in PORTS if port is None else (port,):
        listening = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listening.bind((HOST, tried))
            listening.listen(64)
            return listening
        except (OSError, OverflowError) as error:
            listening.close()
            reason = getattr(error, "strerror", None) or "larger than 65535"
    if port is None:
        raise ConfigError(f"--serve: no port from {PORTS[0]} to {PORTS[-1]} is free; --port names another")
    raise ConfigError(f"--port {port}: {reason}; without --port a free one is taken")
