"""Weights & Biases for a single training run; a sweep's launcher does its own and disables this one."""

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
    """Takes the rows of a run and does nothing with them."""

    def log(self, row: Mapping[str, float]) -> None:
        """Records one row of metrics."""

    def finish(self, exit_code: int) -> None:
        """Ends the record of the run."""


class WandbRecorder(Recorder):
    """Logs every row to a W&B run as a row of its own."""

    def __init__(self, run: Any) -> None:
        self._run = run

    def log(self, row: Mapping[str, float]) -> None:
        self._run.log(dict(row))

    def finish(self, exit_code: int) -> None:
        self._run.finish(exit_code=exit_code)


def open_recorder(cfg: CfgNode, output_dir: Path) -> tuple[Recorder, str | None]:
    """The recorder WANDB.ENABLE and the environment ask for, and a line to tell the user, if any.

    W&B is imported only when it will be used. A run continued in the same folder continues its W&B run. Whatever
    goes wrong with W&B, training goes on without it.
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
    """Whether W&B's client would find an API key: in the environment or in the netrc file of its host."""
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
    return {key: _plain(value) if isinstance(value, Mapping) else value for key, value in node.items()}
