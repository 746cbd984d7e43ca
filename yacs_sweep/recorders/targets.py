"""Reads `--record`: which recorders a sweep has, and where they write."""

from __future__ import annotations

import importlib.util
import os
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote, urlsplit, urlunsplit

from ..base.errors import ConfigError
from ..base.shipped import EXTRAS, install_command
from ..base.wording import did_you_mean
from ..records.folder import SweepPaths

WANDB, TENSORBOARD, MLFLOW = "wandb", "tensorboard", "mlflow"
NAMES = (WANDB, TENSORBOARD, MLFLOW)
URI_VARIABLE = "MLFLOW_TRACKING_URI"  # the address of the server where --record has none
MASK = "***"  # in place of a password, wherever an address is kept or shown
SCHEMES = ("http", "https", "sqlite", "postgresql", "mysql", "mssql", "file", "databricks")
_COMMA = re.compile(rf",(?=\s*(?:{'|'.join(NAMES)})(?:=|,|\s*$))")
UPLOADS = "uploads"  # the line with which a recorder's process says that it uploads files
_SECRET = re.compile(r"((?:^|&)[^=&]*(?:pass|pwd|token|secret|key)[^=&]*=)([^&]+)", re.IGNORECASE)  # in a query
RECORDED = "recorded.json"  # what a recorder has of a trial, in `{sweep}/{recorder}/{trial}`


@dataclass(frozen=True)
class Target:
    """Names a recorder, and for MLflow the address of its server or database, with its password."""

    name: str
    uri: str | None = None

    @property
    def text(self) -> str:
        """The target as `--record` has it, without a password: what the sweep keeps."""
        return self.name if self.uri is None else f"{self.name}={masked(self.uri)}"

    @property
    def place(self) -> str | None:
        """Where MLflow's runs are, without user, password and settings; None for the others."""
        if self.uri is None:
            return None
        parts = urlsplit(self.uri)
        return urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, "", ""))


def targets_of(
    given: str | None,
    kept: Sequence[str] | None,
    *,
    controller: str,
    engine: str,
    wandb_mode: str | None,
    wandb_off: bool,
) -> tuple[Target, ...] | None:
    """Returns the sweep's recorders; None where `--record` was never given.

    Args:
        given: the option's value.
        kept: what the sweep's last launch has kept of it.
        wandb_mode: the value of `--wandb-mode`.
        wandb_off: whether the environment disables W&B.

    Raises:
        ConfigError: with every mistake in it, a package that is missing, or a contradiction.
    """
    if given is None:
        if kept is None:
            return None
        targets = read_targets(",".join(kept), kept=True)
    else:
        targets = read_targets(given)
    problems = missing_packages(targets)
    recorded = WANDB in (target.name for target in targets)
    if given is not None and controller == "wandb" and not recorded:
        problems.append("--record: the W&B controller needs its runs; add wandb, or use --controller local")
    elif given is not None and wandb_mode is not None and recorded == (wandb_mode == "disabled"):
        word = "with" if recorded else "without"
        problems.append(f"--record {word} wandb, --wandb-mode {wandb_mode}: contradict each other; change one of them")
    elif given is not None and recorded and wandb_off:
        problems.append("--record wandb: WANDB_MODE=disabled is set; unset it, or give --wandb-mode offline or online")
    for target in targets:
        if engine != "local" and target.uri is not None and masked(target.uri) != target.uri:
            problems.append(
                f"--record: with --engine {engine} the password of {masked(target.uri)} does not reach the other machines; "
                "leave it out, and set MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD"
            )
    if problems:
        raise ConfigError(problems)
    return targets


def read_targets(text: str, cwd: Path | None = None, *, kept: bool = False) -> tuple[Target, ...]:
    """Reads the value of `--record`, as `tensorboard,mlflow=sqlite:///runs.db`.

    Args:
        cwd: the folder of relative paths; None: the current one.
        kept: whether a sweep has kept the text, without passwords.

    Raises:
        ConfigError: with every mistake in it.
    """
    found: list[Target] = []
    problems: list[str] = []
    for part in _COMMA.split(text):
        name, given, uri = part.strip().partition("=")
        if name not in NAMES:
            hint = did_you_mean(name, NAMES) or f"; write {', '.join(NAMES)} or {MLFLOW}=URI, joined by commas"
            problems.append(f"--record: {masked(name)!r} is no recorder{hint}")
        elif name in (target.name for target in found):
            problems.append(f"--record: {name} stands there twice; leave one out")
        elif name != MLFLOW and given:
            problems.append(f"--record: {name} takes no address; write {name} alone")
        else:
            try:
                found.append(Target(name, _address(uri, cwd or Path.cwd(), kept) if name == MLFLOW else None))
            except ConfigError as error:
                problems += error.problems
    if problems:
        raise ConfigError(problems)
    return tuple(found)


def _address(uri: str, cwd: Path, kept: bool) -> str:
    """Returns MLflow's address, paths in it absolute; the environment's where none is given."""
    uri = uri.strip() or os.environ.get(URI_VARIABLE, "").strip()
    example = f"{MLFLOW}=http://HOST:5000 or {MLFLOW}=sqlite:///runs.db"
    if not uri:
        raise ConfigError(f"--record: {MLFLOW} needs the address of its server; write {example}, or set {URI_VARIABLE}")
    scheme, colon, rest = uri.partition(":")
    if not colon:
        if uri == "databricks":
            return uri
        return (cwd / uri).resolve().as_uri()
    kind = scheme.partition("+")[0].lower()
    if kind not in SCHEMES:
        raise ConfigError(f"--record: MLflow has no addresses that begin with {scheme[:40]!r}; write {example}")
    if kept and MASK in uri and kind in ("http", "https"):  # MLflow's own variables may have the password
        return Target(MLFLOW, uri).place or uri
    if MASK in uri:
        raise ConfigError(
            f"--record: the password of {masked(uri)} is not kept with the sweep; give --record again with it"
        )
    if kind == "file":
        path = unquote(re.sub(r"^//(?=/|$)", "", rest))
        return (cwd / path).resolve().as_uri()
    if kind == "sqlite" and rest.startswith("///") and not rest.startswith("////"):
        return f"{scheme}:///{(cwd / rest[3:]).resolve()}"
    if kind in ("http", "https") and not _host(uri):
        raise ConfigError(f"--record: {masked(uri)} names no host; write {example}")
    return uri


def _host(uri: str) -> str | None:
    """Returns the host of an address; None where it has none, or is no address."""
    try:
        parts = urlsplit(uri)
        _ = parts.port
        return parts.hostname
    except ValueError:
        return None


def masked(uri: str) -> str:
    """Returns an address without its password, for files and messages."""
    try:
        parts = urlsplit(uri)
    except ValueError:
        return MASK
    place = parts.netloc
    if "@" in place:
        user, _, host = place.rpartition("@")
        name, colon, _ = user.partition(":")
        if colon:
            place = f"{name}:{MASK}@{host}"
        elif parts.scheme in ("http", "https"):  # a token stands alone
            place = f"{MASK}@{host}"
    query = _SECRET.sub(rf"\1{MASK}", parts.query)
    if not parts.scheme or (place == parts.netloc and query == parts.query):
        return uri
    return urlunsplit((parts.scheme, place, parts.path, query, ""))


def scrubbed(text: str, target: Target) -> str:
    """Removes the target's password from a text that a library has written, and puts it on one line."""
    line = " ".join(text.split())
    if target.uri is None:
        return line
    line = line.replace(target.uri, masked(target.uri))
    try:
        parts = urlsplit(target.uri)
        secrets = [parts.password, *(found[1] for found in _SECRET.findall(parts.query))]
        secrets += [parts.username] if parts.scheme in ("http", "https") and not parts.password else []
    except ValueError:
        secrets = []
    for secret in filter(None, secrets):
        for spelled in {secret, unquote(secret)}:
            line = line.replace(spelled, MASK)
    return line


def missing_packages(targets: Sequence[Target]) -> list[str]:
    """Lists, a line each, the packages that the recorders lack, with the command that installs them."""
    return [
        f"--record {target.name}: needs the package {' '.join(EXTRAS[target.name])}; "
        f"install it with: {install_command(target.name)}"
        for target in targets
        if target.name in EXTRAS and importlib.util.find_spec(target.name) is None
    ]


def lacks_records(paths: SweepPaths, texts: Iterable[str]) -> bool:
    """Tells whether one of the recorders, W&B's left out, lacks a trial."""
    names = [text.strip().partition("=")[0] for text in texts]
    trials = [record.name for record in paths.records() if record.state != "running"]
    return any(
        not (paths.dir / name / trial / RECORDED).is_file()
        for name in names
        if name in (TENSORBOARD, MLFLOW)
        for trial in trials
    )


def takes_files(texts: Iterable[str]) -> bool:
    """Tells whether one of the recorders takes the best trial's files; W&B's is asked elsewhere."""
    return any(text.partition("=")[0] == MLFLOW for text in texts)
