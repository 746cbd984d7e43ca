"""`--notify`: tells somebody that a launch has ended, however it has: a command is run, or a URL is posted to.

Both get one JSON object (`content`): the command on its stdin, the URL as the body. The command has the main things as
SWEEP_… in its environment as well, and `{message}` in its words is the one-line summary. Webhooks of chat services show
the object's `text`. Whatever goes wrong is a warning; it never takes longer than `WAIT` seconds.
"""

from __future__ import annotations

import contextlib
import os
import shlex
import shutil
import signal
import subprocess
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from .sweep_run import Results

WAIT = 10.0  # seconds
MESSAGE = "{message}"
HOW = {0: "all trials ended well", 1: "not every trial ended well", 130: "interrupted"}


def is_url(target: str) -> bool:
    return target.lower().startswith(("http://", "https://"))


def words_of(target: str, message: str = MESSAGE) -> list[str]:
    """The command's argv. Raises ValueError: the quotes do not match."""
    return [word.replace(MESSAGE, message) for word in shlex.split(target)]


def problems(target: str) -> list[str]:
    """What is wrong with the option, a line each; looked at before anything is created."""
    if is_url(target):
        try:
            place = urlsplit(target)
            ok = (
                bool(place.hostname)
                and (place.port is None or place.port > 0)
                and target.isprintable()
                and " " not in target
            )
        except ValueError:
            ok = False
        return [] if ok else ["--notify: that is no URL one can post to; write https://HOST/PATH"]
    if "://" in target.split(" ")[0]:
        return ["--notify: only http:// and https:// are posted to; write one of them, or a command"]
    try:
        words = words_of(target)
    except ValueError as error:
        return [f"--notify {target}: {error}; quote it as in a shell"]
    if not words or not words[0]:
        return ["--notify: names no command and no URL; write --notify 'notify-send {message}', or https://…"]
    if shutil.which(words[0]) is None:
        return [f"--notify {target}: there is no command {words[0]} here; give one, or an http(s) URL"]
    return []


def content(sweeps: Sequence[Results], status: int, error: str | None) -> dict[str, Any]:
    """The JSON object."""
    each = []
    for results in sweeps:
        best, outcome = results.summary.best(), results.outcome
        each.append(
            {
                "sweep_id": results.paths.sweep_id,
                "name": results.plan.spec.name or results.paths.sweep_id,
                "controller": results.plan.launch.controller,
                "counts": results.summary.counts(),
                "metric": results.metric,
                "best": None if best is None else {"name": best.name, "value": best.value, "params": best.params},
                "message": outcome.message if outcome is not None else None,
                "dir": str(results.paths.dir),
            }
        )
    told: dict[str, Any] = {"text": "", "exit_status": status, "error": error, "sweeps": each}
    told["text"] = summary(told)
    return told


def summary(told: Mapping[str, Any]) -> str:
    """One line."""
    how = told["error"] or HOW.get(told["exit_status"], f"exit status {told['exit_status']}")
    parts = []
    for sweep in told["sweeps"]:
        counts = ", ".join(f"{count} {state}" for state, count in sweep["counts"].items()) or "no trials"
        best = sweep["best"]
        value = f"; best {sweep['metric']} {best['value']:.6g} ({best['name']})" if best else ""
        parts.append(f"{sweep['name']} ({sweep['sweep_id']}): {counts}{value}")
    text = f"sweep ended, {how}. {'; '.join(parts)}"
    return "".join(letter if letter.isprintable() else " " for letter in text)


def environment(told: Mapping[str, Any]) -> dict[str, str]:
    """What the command finds in its environment; of several sweeps the ids are joined by commas."""
    sweeps = told["sweeps"]
    best = sweeps[0]["best"] if len(sweeps) == 1 else None
    return {
        "SWEEP_MESSAGE": told["text"],
        "SWEEP_EXIT_STATUS": str(told["exit_status"]),
        "SWEEP_ID": ",".join(sweep["sweep_id"] for sweep in sweeps),
        "SWEEP_NAME": ",".join(sweep["name"] for sweep in sweeps),
        "SWEEP_DIR": ",".join(sweep["dir"] for sweep in sweeps),
        "SWEEP_BEST_TRIAL": best["name"] if best else "",
        "SWEEP_BEST_VALUE": f"{best['value']:.6g}" if best else "",
    }


def run_command(target: str, told: Mapping[str, Any], body: str, wait: float = WAIT) -> str | None:
    """Runs it, bounded; why it did not do, or None."""
    variables = {key: value.replace("\0", " ") for key, value in environment(told).items()}
    try:
        process = subprocess.Popen(
            words_of(target, told["text"]),
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
    return f"exit code {process.returncode}" + (f": {lines[-1][:200]}" if lines else "")


def post(target: str, body: str, wait: float = WAIT) -> str | None:
    """Posts it, bounded also when the server is slow; why that did not do, or None."""
    from urllib.error import URLError
    from urllib.request import Request, urlopen

    found: list[str | None] = []

    def attempt() -> None:
        headers = {"Content-Type": "application/json; charset=utf-8", "User-Agent": "yacs-sweep"}
        try:
            with urlopen(Request(target, body.encode(), headers), timeout=wait) as answer:
                answer.read(1024)
            found.append(None)
        except URLError as error:
            found.append(str(error.reason) if not hasattr(error, "code") else f"HTTP {error.code} {error.reason}")
        except Exception as error:  # http.client's and the socket's many
            found.append(str(error) or type(error).__name__)

    thread = threading.Thread(target=attempt, name="notify", daemon=True)
    thread.start()
    thread.join(wait)
    return found[0] if found else f"no answer within {wait:g} s"


def tell(target: str, told: Mapping[str, Any], wait: float = WAIT) -> str | None:
    """Tells it; a warning when that did not do. What a URL has beside its host may be a secret and is not shown."""
    from ..base.values import to_json

    body = to_json(told)
    if is_url(target):
        why, name = post(target, body, wait), urlsplit(target).hostname
    else:
        why, name = run_command(target, told, body, wait), words_of(target)[0]
    return None if why is None else f"--notify {name}: {why}"


class Ending:
    """How a launch ends; filled in while it does."""

    def __init__(self) -> None:
        self.sweeps: Sequence[Results] = ()
        self.status = 1


@contextlib.contextmanager
def at_end(target: str | None, say: Callable[[str], None]) -> Iterator[Ending]:
    """Tells `target` how what is done in it has ended, also when that is by an error; says a warning if it cannot."""
    ending, error = Ending(), None
    try:
        yield ending
    except BaseException as problem:
        error = "" if isinstance(problem, KeyboardInterrupt | SystemExit) else str(problem) or type(problem).__name__
        ending.status = 130 if isinstance(problem, KeyboardInterrupt) else 1
        raise
    finally:
        if target is not None and (why := tell(target, content(ending.sweeps, ending.status, error or None))):
            say(f"warning: {why}")
