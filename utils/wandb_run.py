"""Weights & Biases recorder of a single training run; a sweep's launcher has its own and disables this one."""

from __future__ import annotations

import netrc
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from yacs.config import CfgNode


class Recorder:
    """Recorder of metric rows that discards them."""

    def log(self, row: Mapping[str, float]) -> None:
        """Records one row of metrics."""

    def finish(self, exit_code: int) -> None:
        """Ends the recording of the run."""


class WandbRecorder(Recorder):
    """Recorder that logs every row to a W&B run."""

    def __init__(self, run: Any) -> None:
        self._run = run

    def log(self, row: Mapping[str, float]) -> None:
        self._run.log(dict(row))

    def finish(self, exit_code: int) -> None:
        self._run.finish(exit_code=exit_code)


def open_recorder(cfg: CfgNode, output_dir: Path) -> tuple[Recorder, str | None]:
    """Opens the recorder that WANDB.ENABLE and the environment ask for.

    W&B is imported only where it is used. A run that resumes in its folder resumes its W&B run. Any failure of W&B
    leaves a recorder that discards rows.

    Returns:
        The recorder, and a line for the log, if any.
    """
    mode = os.environ.get("WANDB_MODE", "online")
    if not cfg.WANDB.ENABLE or mode == "disabled":
        return Recorder(), None
    if mode != "offline" and not logged_in():
        return Recorder(), (
            "WANDB.ENABLE is set, but there is no W&B login: not logging to it (`wandb login`, WANDB_API_KEY, or"
            " WANDB_MODE=offline)"
        )
    id_file = output_dir / "wandb_run_id.txt"
    try:
        import wandb

        run = wandb.init(
            project=os.environ.get("WANDB_PROJECT") or cfg.WANDB.PROJECT or None,
            entity=os.environ.get("WANDB_ENTITY") or cfg.WANDB.ENTITY or None,
            name=cfg.WANDB.NAME or output_dir.name,
            id=id_file.read_text(encoding="utf-8").strip() if id_file.exists() else None,
            resume="allow",
            dir=str(output_dir),
            config=_plain(cfg),
            settings=wandb.Settings(init_timeout=30),
        )
        id_file.write_text(f"{run.id}\n", encoding="utf-8")
    except Exception as error:  # the client raises errors of many libraries
        return Recorder(), without_password(
            f"Not logging to W&B, which failed to start: {' '.join(str(error).split())}"
        )
    return WandbRecorder(run), without_password(f"Logging to W&B: {run.url or run.dir}")


def without_password(text: str) -> str:
    """Removes user name and password from the addresses in a text."""
    return re.sub(r"(?<=://)[^\s\"'<>]*@", "", text)


def logged_in() -> bool:
    """Tells whether W&B's client finds an API key, in the environment or in the netrc file of its host."""
    if os.environ.get("WANDB_API_KEY"):
        return True
    host = urlsplit(os.environ.get("WANDB_BASE_URL", "https://api.wandb.ai")).hostname or ""
    paths = [os.environ["NETRC"]] if os.environ.get("NETRC") else ["~/.netrc", "~/_netrc"]
    for path in paths:
        try:
            if netrc.netrc(os.path.expanduser(path)).authenticators(host):
                return True
        except (OSError, netrc.NetrcParseError):
            continue
    return False


def _plain(node: Mapping[str, Any]) -> dict[str, Any]:
    """Converts a YACS tree to plain dictionaries."""
    return {key: _plain(value) if isinstance(value, Mapping) else value for key, value in node.items()}
