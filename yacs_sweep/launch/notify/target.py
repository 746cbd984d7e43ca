"""Reads the target of `--notify`: a command, a URL, the variable that holds one, the service behind it.

A URL is often a secret: no file and no message has more of it than its host, and `$NAME` takes it from the environment.
"""

from __future__ import annotations

import os
import re
import shlex
import shutil
from urllib.parse import urlsplit

from .words import MESSAGE, code_problem

SLACK, DISCORD, OTHER = "slack", "discord", "other"  # services by the message that they take
_URL = re.compile(r"(?:(slack|discord)\+)?(https?://.*)", re.IGNORECASE | re.DOTALL)
_SLACK_HOSTS = ("hooks.slack.com", "hooks.slack-gov.com")
_DISCORD_HOSTS = ("discord.com", "discordapp.com")
_VARIABLE = re.compile(r"\$(?:(\w+)|\{(\w+)\})", re.ASCII)


def is_url(target: str) -> bool:
    """Whether the target is posted to, not run."""
    return _URL.match(target) is not None


def service_of(target: str) -> tuple[str, str]:
    """Returns the service that a URL belongs to, by its host or by `slack+` or `discord+` before it, and the bare URL."""
    found = _URL.match(target)
    assert found is not None  # it is a URL
    named, url = (found[1] or "").lower(), found[2]
    place = urlsplit(url)
    host = place.hostname or ""
    if named == SLACK or host in _SLACK_HOSTS:
        return SLACK, url
    discord = host in _DISCORD_HOSTS or host.endswith(tuple(f".{each}" for each in _DISCORD_HOSTS))
    if named == DISCORD or discord:
        return (SLACK if place.path.rstrip("/").endswith("/slack") else DISCORD), url  # which Discord takes there
    return OTHER, url


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
            place = urlsplit(service_of(target)[1])
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
