"""Sends a notification: runs the command of `--notify`, or posts to its URL, for a bounded time.

The command gets the JSON object (`content`) on its stdin and the main things as SWEEP_… in its environment; `{message}` in its
words is the one-line summary. A URL gets the service's own message (`message`). Whatever goes wrong is one line of text.
"""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
import threading
from base64 import b64encode
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

from .content import environment, summary
from .message import body_for
from .target import command_words, is_url, service_of, target_of
from .words import MESSAGE, plain

if TYPE_CHECKING:
    from urllib.request import Request

WAIT = 10.0  # seconds


def run_command(target: str, content: Mapping[str, Any], body: str, wait: float = WAIT) -> str | None:
    """Runs the command for `wait` seconds at most; returns why it failed, or None."""
    variables = {key: value.replace("\0", " ") for key, value in environment(content).items()}
    try:
        process = subprocess.Popen(
            command_words(target, summary(content, plain) if MESSAGE in target else MESSAGE),
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            env={**os.environ, **variables},
            start_new_session=True,
        )
    except (OSError, ValueError) as error:
        return str(error)
    try:
        _, err = process.communicate(body.encode(), wait)
    except subprocess.TimeoutExpired:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        return f"it did not end within {wait:g} s"
    if process.returncode == 0:
        return None
    lines = err.decode(errors="replace").strip().splitlines()
    return f"exit code {process.returncode}" + (f": {hosts_alone(lines[-1])[:200]}" if lines else "")


def hosts_alone(text: str) -> str:
    """Shortens the URLs in a text to their hosts."""
    return re.sub(r"https?://(?:[^\s/@]*@)?([^\s/?#\"']+)[^\s\"']*", r"\1", text)


def make_request(target: str, body: str) -> Request:
    """Makes the request; user name and password of the URL become its Authorization header, for this server alone."""
    from urllib.request import Request

    parts = urlsplit(target)
    headers = {"Content-Type": "application/json; charset=utf-8", "User-Agent": "yacs-sweep"}
    request = Request(parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl(), body.encode(), headers)
    if parts.username is not None:
        pair = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
        request.add_unredirected_header("Authorization", f"Basic {b64encode(pair.encode()).decode()}")
    return request


def post(target: str, body: str, wait: float = WAIT) -> str | None:
    """Posts the body to the URL for `wait` seconds at most, also to a slow server; returns why that failed, or None."""
    from urllib.error import URLError
    from urllib.request import urlopen

    found: list[str | None] = []

    def attempt() -> None:
        try:
            with urlopen(make_request(target, body), timeout=wait) as answer:
                answer.read(1024)
            found.append(None)
        except URLError as error:
            reason = f"HTTP {error.code} {error.reason}" if hasattr(error, "code") else str(error.reason)
            found.append(hosts_alone(reason))
        except OSError as error:
            found.append(hosts_alone(error.strerror or str(error)) or type(error).__name__)
        except Exception as error:  # http.client's: their texts have parts of the URL
            found.append(type(error).__name__)

    thread = threading.Thread(target=attempt, name="notify", daemon=True)
    thread.start()
    thread.join(wait)
    return found[0] if found else f"no answer within {wait:g} s"


def send(given: str, content: Mapping[str, Any], wait: float = WAIT) -> str | None:
    """Runs the command or posts to the URL; returns a warning when that failed, or None.

    Of a URL the warning names the host alone: the rest may be a secret.
    """
    from ...base.values import to_json

    target = target_of(given)
    if is_url(target):
        service, url = service_of(target)
        why, name = post(url, body_for(service, content), wait), urlsplit(url).hostname
    else:
        why, name = run_command(target, content, to_json(content), wait), command_words(target)[0]
    return None if why is None else f"--notify {name}: {why}"
