"""Names of the checkpoints and of the best weights in a training's output folder; imports no torch."""

from __future__ import annotations

import os
import re
from pathlib import Path

from utils.errors import ConfigError

BEST_NAME = "best.pth"  # weights with the highest mAP so far; no checkpoint to resume from
_NAME = re.compile(r"checkpoint_epoch_(\d+)(?:_iteration_(\d+))?\.pth")


def checkpoint_name(epoch: int, iteration: int) -> str:
    """Names the checkpoint after `iteration` batches of `epoch`; epoch N + 1, iteration 0 is "after epoch N"."""
    if iteration == 0:
        return f"checkpoint_epoch_{epoch - 1}.pth"
    return f"checkpoint_epoch_{epoch}_iteration_{iteration}.pth"


def list_checkpoints(folder: Path) -> list[Path]:
    """Lists the checkpoints of a run, the latest first.

    Raises:
        ConfigError: the folder is there and cannot be listed, so that nobody knows which checkpoints it holds.
    """
    try:
        names = os.listdir(folder)
    except (FileNotFoundError, NotADirectoryError):
        return []
    except OSError as error:
        raise ConfigError(f"OUTPUT_DIR: cannot list the folder {folder}: {error.strerror}") from None
    found = []
    for name in names:
        if match := _NAME.fullmatch(name):
            epoch, iteration = int(match[1]), match[2]
            found.append(((epoch, 0) if iteration is None else (epoch - 1, int(iteration)), folder / name))
    return [path for _position, path in sorted(found, reverse=True)]
