"""Logs the best trial's `best/` as a W&B artifact, for `--log-model`, in a process of its own.

A run of its own, `{sweep id}-best`, because the trial's is finished: opening that one again would change when and how
it ended. Offline, the client keeps run and files; `wandb sync` uploads them with the trials.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from ..base.ask_process import NoAnswer, TimedOut
from ..base.errors import SweepError
from ..base.files import read_json
from ..records.checkpoints import BEST, ELSEWHERE, RECORD
from ..records.folder import SweepPaths
from ..records.launch_file import LaunchFile
from .ask_client import ClientError, ask_client
from .client_parts import make_settings
from .recorder import PATIENCE, SETTINGS

TIMEOUT = 1800.0  # seconds for everything; checkpoints may be large and the line slow


def log_best(paths: SweepPaths, launch: LaunchFile, name: str) -> str:
    """Logs `best/`; returns a line that says where it is.

    Raises:
        SweepError: there is no `best/` here, or W&B does not take it; a folder that W&B does not take stays on disk.
    """
    folder = paths.dir / BEST
    if (folder / ELSEWHERE).is_file():
        host = read_json(folder / ELSEWHERE).get("host")
        raise SweepError(
            f"--log-model: the best trial ran on {host or 'another machine'}: log it there, with --sweep_id"
        )
    if not (folder / RECORD).is_file():
        raise SweepError("--log-model: there is no best trial to log")
    online = launch.controller == "wandb" or launch.wandb_mode == "online"
    request = {
        "folder": str(folder),
        "dir": str(paths.dir),
        "mode": "online" if online else "offline",
        "project": launch.project,
        "entity": launch.entity,
        "group": f"{name}-{paths.sweep_id}",
        "id": f"{paths.sweep_id}-best",
        "best": read_json(folder / RECORD),
    }
    try:
        return ask_client(_log, {"request": request}, timeout=TIMEOUT)
    except TimedOut:
        raise SweepError(
            f"--log-model: W&B did not take {folder} within {TIMEOUT / 60:.0f} min; the folder is kept"
        ) from None
    except NoAnswer as error:
        raise SweepError(f"--log-model: W&B's client failed: {error}; {folder} is kept") from None
    except ClientError as error:
        raise SweepError(f"--log-model: {error}; {folder} is kept") from None


# -- in the process of its own ----------------------------------------------------------------------------------------
def _log(request: dict[str, Any]) -> str:
    """Logs the folder in a run of its own; returns the line for the user."""
    import wandb

    best, online = request["best"], request["mode"] == "online"
    run: Any = wandb.init(
        mode=request["mode"],
        dir=request["dir"],
        project=request["project"],
        entity=request["entity"],
        group=request["group"],
        id=request["id"],
        name=request["id"],
        job_type="best",
        config=best["params"],
        resume="allow" if online else None,
        settings=make_settings(SETTINGS, **{**PATIENCE, "x_graphql_retry_max": 5, "x_file_transfer_retry_max": 5}),
    )
    name = re.sub(r"[^A-Za-z0-9_.-]+", "-", str(request["id"]))[:120]
    metadata = {key: best.get(key) for key in ("sweep_id", "trial", "id", "metric", "value", "params", "git_commit")}
    artifact = wandb.Artifact(
        name, type="model", description=f"best trial of sweep {best.get('sweep_id')}", metadata=metadata
    )
    artifact.add_dir(request["folder"])
    logged = run.log_artifact(artifact)
    if online:
        logged.wait(timeout=int(TIMEOUT) - 60)
    numbers = {key: value for key, value in best["metrics"].items() if isinstance(value, int | float)}
    run.summary.update({**numbers, "sweep/best_trial": best["trial"]})
    run.finish()
    if online:
        return f"logged to W&B: {logged.qualified_name}"
    return f"saved for `wandb sync`: {Path(run.settings.sync_dir)}"
