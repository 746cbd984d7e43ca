"""Notifies somebody that a launch has ended (`--notify`), however it has: runs a command, or posts to a URL.

Both get one JSON object (`describe_ending`): the command on its stdin, the URL as the body. The command has the main things as
SWEEP_… in its environment as well, and `{message}` in its words is the one-line summary. Webhooks of chat services show
the object's `text`. Whatever goes wrong is a warning; it never takes longer than `WAIT` seconds.

A URL is often a secret: no file and no message has more of it than its host, and `$NAME` takes it from the environment.
"""

from __future__ import annotations

import contextlib
import os
import re
import shlex
import shutil
import signal
import subprocess
import threading
from base64 import b64encode
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

from ..base.wording import counted
from ..records.points import noun_of
from ..records.progress import Tally
from ..show.lines import best_value
from .accessories import Accessories
from .notify_words import MESSAGE, code_problem, plain

if TYPE_CHECKING:
    from urllib.request import Request

    from .sweep_run import Results

WAIT = 10.0  # seconds
_VARIABLE = re.compile(r"\$(?:(\w+)|\{(\w+)\})", re.ASCII)
HOW = {0: "all trials ended well", 1: "not every trial ended well", 130: "interrupted"}


def is_url(target: str) -> bool:
    """Whether the target is posted to, not run."""
    return target.lower().startswith(("http://", "https://"))


def command_words(target: str, message: str = MESSAGE) -> list[str]:
    """Splits the command into argv, with the message in it. Raises ValueError when quotes do not match."""
    return [word.replace(MESSAGE, message) for word in shlex.split(target)]


def variable_of(given: str) -> str | None:
    """Returns the variable that a target is to be taken from: `$NAME` or `${NAME}`; None for any other target."""
    found = _VARIABLE.fullmatch(given.strip())
    return None if found is None else found[1] or found[2]


def target_of(given: str) -> str:
    """Returns the command or URL: as it is given, or as its variable holds it (empty when that is not set)."""
    name = variable_of(given)
    return given if name is None else os.environ.get(name, "")


def notify_problems(given: str) -> list[str]:
    """Lists mistakes in the option; checked before anything is created. None shows what may be a secret."""
    name = variable_of(given)
    if name is not None and not os.environ.get(name):
        return [f"--notify ${name}: the environment variable is not set; export {name}=https://… first"]
    target = target_of(given)
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
        return [] if ok else ["--notify: not a valid URL; write https://HOST/PATH"]
    if "://" in target.split(" ")[0]:
        return ["--notify: only http:// and https:// URLs work; write one, or a command"]
    try:
        words = command_words(target)
    except ValueError as error:
        return [f"--notify: {error}; quote it as in a shell"]
    if not words or not words[0]:
        return ["--notify: is empty; write --notify 'notify-send {message}', or https://…"]
    if shutil.which(words[0]) is None:
        return [f"--notify: command {_shown(words[0])} not found; give a command, or a URL that begins with https://"]
    problem = code_problem(words)
    return [] if problem is None else [problem]


def _shown(program: str) -> str:
    """Returns a program's name for a message: of what may be a URL without its https://, the host alone."""
    host, slash, _ = program.partition("/")
    return f"{host}/…" if slash and "." in host.strip(".") else program


_OF_POINT = ("point", "n", "mean", "sd", "values")  # keys of the best where the sweep has repeats or several objectives


def describe_ending(sweeps: Sequence[Results], status: int, error: str | None) -> dict[str, Any]:
    """Returns the JSON object that says how the launch has ended."""
    each = []
    for results in sweeps:
        best, outcome = results.summary.result()["best"], results.outcome
        keys = ("name", "value", "params", *_OF_POINT)
        each.append(
            {
                "sweep_id": results.paths.sweep_id,
                "name": results.plan.spec.name or results.paths.sweep_id,
                "controller": results.plan.launch.controller,
                "counts": results.summary.counts(),
                "retried": results.summary.retried(),
                "metric": results.metric,
                "best": best and {key: best[key] for key in keys if key in best},
                **({"repeat": noun_of(results.plan.spec)} if results.plan.spec.repeats else {}),
                **({"pareto": results.summary.front_names()} if results.summary.objectives else {}),
                "message": outcome.message if outcome is not None else None,
                "dir": str(results.paths.dir),
            }
        )
    content: dict[str, Any] = {"text": "", "exit_status": status, "error": error, "sweeps": each}
    content["text"] = summary(content)
    return content


def summary(content: Mapping[str, Any], clean: Callable[[str], str] = str) -> str:
    """Says in one line how the launch has ended; `clean` is for the texts that others may have chosen."""
    how = clean(content["error"] or "") or HOW.get(content["exit_status"], f"exit status {content['exit_status']}")
    parts = []
    for sweep in content["sweeps"]:
        counts = Tally.without(sweep["counts"], sweep.get("retried") or {}).text or "no trials"
        best = sweep["best"]
        value = (
            f"; best {clean(sweep['metric'])} {_best_text(best, sweep.get('repeat', 'seed'), clean)}" if best else ""
        )
        front = f"; {len(sweep['pareto'])} on the front" if sweep.get("pareto") else ""
        parts.append(f"{clean(sweep['name'])} ({sweep['sweep_id']}): {counts}{value}{front}")
    text = f"sweep ended, {how}. {'; '.join(parts)}"
    return "".join(letter if letter.isprintable() else " " for letter in text)


def _best_text(best: Mapping[str, Any], noun: str, clean: Callable[[str], str]) -> str:
    """Says how good the best trial is, or with repeats, of which one is called `noun`, the best point on average."""
    seeds = f", mean of {counted(best['n'], noun)}" if "n" in best else ""
    return f"{best_value(best):.6g} ({clean(best.get('point', best['name']))}{seeds})"


def environment(content: Mapping[str, Any]) -> dict[str, str]:
    """Returns the variables that the command gets; ids of several sweeps are joined by commas."""
    sweeps = content["sweeps"]
    best = sweeps[0]["best"] if len(sweeps) == 1 else None
    return {
        "SWEEP_MESSAGE": content["text"],
        "SWEEP_EXIT_STATUS": str(content["exit_status"]),
        "SWEEP_ID": ",".join(sweep["sweep_id"] for sweep in sweeps),
        "SWEEP_NAME": ",".join(sweep["name"] for sweep in sweeps),
        "SWEEP_DIR": ",".join(sweep["dir"] for sweep in sweeps),
        "SWEEP_BEST_TRIAL": best["name"] if best else "",
        "SWEEP_BEST_VALUE": f"{best_value(best):.6g}" if best else "",
    }


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
    from ..base.values import to_json

    body, target = to_json(content), target_of(given)
    if is_url(target):
        why, name = post(target, body, wait), urlsplit(target).hostname
    else:
        why, name = run_command(target, content, body, wait), command_words(target)[0]
    return None if why is None else f"--notify {name}: {why}"


class Ending:
    """Holds how a launch ends; filled in while it runs."""

    def __init__(self) -> None:
        self.sweeps: Sequence[Results] = ()
        self.status = 1


@contextlib.contextmanager
def notifying(target: str | None, say: Callable[[str], None]) -> Iterator[Ending]:
    """Notifies `target` when the block has ended, also by an error; shows a warning when that fails."""
    ending, error = Ending(), None
    accessories = Accessories(say)

    def notify() -> None:
        if target is not None and (why := send(target, describe_ending(ending.sweeps, ending.status, error or None))):
            say(f"warning: {why}")

    try:
        yield ending
    except BaseException as problem:
        error = "" if isinstance(problem, KeyboardInterrupt | SystemExit) else str(problem) or type(problem).__name__
        ending.status = 130 if isinstance(problem, KeyboardInterrupt) else 1
        raise
    finally:
        accessories.attempt("--notify: the notification was not sent", notify)
