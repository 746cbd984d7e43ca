"""Checkpoints: everything a run needs to go on as if it had never stopped.

A checkpoint is a dictionary written by `torch.save` and read with `weights_only=True`, so that opening one runs
no code: format (int); model, optimizer, ema, scaler and center (`engine.learner`); rng; progress and means
(`engine.trainer`); num_classes; config (YAML text). The learning rate is a function of the configuration and the
place in the run, and needs no state.
"""

from __future__ import annotations

import random
import re
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import torch
import yaml
from yacs.config import CfgNode

from configs.defaults import _C
from engine.config import flatten
from utils.errors import TrainerError
from utils.files import TEMPORARY_SUFFIX, write_atomically

FORMAT = 2
_KEYS = {
    *("format", "model", "optimizer", "ema", "scaler", "center"),
    *("rng", "progress", "means", "num_classes", "config"),
}
_NAME = re.compile(r"checkpoint_epoch_(\d+)(?:_iteration_(\d+))?\.pth")

# Settings that may change when a run is continued: they decide where and how long, not what is computed.
_FREE = frozenset(
    {
        "OUTPUT_DIR",
        "MODEL.COMPILE",
        "MODEL.DEVICE",
        "DATASETS.ROOT_DIR",
        "DATALOADER.NUM_WORKERS",
        "DATALOADER.CACHE",
        "DATALOADER.CACHE_DIR",
        "TEST.WEIGHT",
        "SOLVER.MAX_EPOCHS",
        "SOLVER.CHECKPOINT_PERIOD",
        "SOLVER.LOG_PERIOD",
        "SOLVER.EVAL_PERIOD",
        "TEST.IMS_PER_BATCH",
    }
)

State = dict[str, Any]


def checkpoint_name(epoch: int, iteration: int) -> str:
    """Name of the checkpoint after `iteration` batches of `epoch`; epoch N + 1, iteration 0 is "after epoch N"."""
    if iteration == 0:
        return f"checkpoint_epoch_{epoch - 1}.pth"
    return f"checkpoint_epoch_{epoch}_iteration_{iteration}.pth"


def list_checkpoints(folder: Path) -> list[Path]:
    """The checkpoints of a run, the one furthest on first."""
    found = []
    for path in folder.iterdir() if folder.is_dir() else ():
        if match := _NAME.fullmatch(path.name):
            epoch, iteration = int(match[1]), match[2]
            found.append(((epoch, 0) if iteration is None else (epoch - 1, int(iteration)), path))
    return [path for _position, path in sorted(found, reverse=True)]


def save_checkpoint(folder: Path, state: State) -> Path:
    """Writes `state`, then removes all but it and the one before it.

    Raises:
        TrainerError: the file could not be written; what was there before still is.
    """
    path = folder / checkpoint_name(state["progress"]["epoch"], state["progress"]["iteration"])
    try:
        write_atomically(path, lambda stream: torch.save({"format": FORMAT, **state}, stream))
    except (OSError, RuntimeError) as error:  # torch wraps a full disk in a RuntimeError
        cause = error if isinstance(error, OSError) else error.__context__ or error
        reason = getattr(cause, "strerror", None) or str(cause).splitlines()[0]
        raise TrainerError(f"cannot write the checkpoint {path}: {reason}") from None
    _remove_others(folder, path)
    return path


def _remove_others(folder: Path, newest: Path) -> None:
    paths = list_checkpoints(folder)
    place = paths.index(newest)
    # One further on than the newest could not be read, or the run would have continued from it.
    for path in (*paths[:place], *paths[place + 2 :], *folder.glob(f"checkpoint_*.pth{TEMPORARY_SUFFIX}")):
        path.unlink(missing_ok=True)


def load_newest(folder: Path, warnings: list[str]) -> tuple[Path, State] | None:
    """The newest checkpoint that can be read, in host memory; None when there is none.

    One line about each that cannot be read is added to `warnings`.
    """
    for path in list_checkpoints(folder):
        try:
            with zipfile.ZipFile(path) as archive:  # torch writes checksums and does not look at them
                if damaged := archive.testzip():
                    raise ValueError(f"the checksum of {damaged} is wrong")
            state: State = torch.load(path, map_location="cpu", weights_only=True)
            if state["format"] != FORMAT or state.keys() != _KEYS:
                raise ValueError(f"its format is {state['format']}, this version reads {FORMAT}")
        except Exception as error:  # a damaged file fails in as many ways as there are bytes
            reason = (str(error).splitlines() or [""])[0]
            warnings.append(f"Skipping the checkpoint {path}, which cannot be read: {type(error).__name__}: {reason}")
            continue
        return path, state
    return None


def rng_state() -> State:
    """The state of every global random number generator, in types a weights-only load reads."""
    _kind, keys, *rest = np.random.get_state(legacy=True)
    return {
        "python": random.getstate(),
        "numpy": (np.asarray(keys).tolist(), *rest),
        "torch": torch.get_rng_state(),
        "cuda": torch.cuda.get_rng_state_all() if torch.cuda.is_available() else [],
    }


def set_rng_state(state: State) -> None:
    """Restores what `rng_state` returned, CUDA's only on as many GPUs as there were."""
    version, internal, gauss = state["python"]
    random.setstate((version, tuple(internal), gauss))
    keys, position, has_gauss, cached = state["numpy"]
    np.random.set_state(("MT19937", np.array(keys, dtype=np.uint32), position, has_gauss, cached))
    torch.set_rng_state(state["torch"])
    if torch.cuda.is_available() and len(state["cuda"]) == torch.cuda.device_count():
        torch.cuda.set_rng_state_all(state["cuda"])


def seed_everything(seed: int) -> None:
    """Seeds Python's, numpy's and torch's global generators, on all devices."""
    random.seed(seed)
    np.random.seed(seed)
    torch.manual_seed(seed)


def changed_settings(cfg: CfgNode, saved: str) -> list[str]:
    """What differs between the configuration of a checkpoint (YAML) and `cfg`, of all that decides the results."""
    defaults, ours, theirs = flatten(_C), flatten(cfg), flatten(yaml.safe_load(saved))
    # How long to train decides the rate of every epoch there.
    free = _FREE - {"SOLVER.MAX_EPOCHS"} if cfg.SOLVER.SCHEDULE == "cosine" else _FREE
    changed = []
    for key, value in ours.items():
        was = theirs.get(key, defaults[key])
        was = tuple(was) if isinstance(was, list) else was
        if was != value and key not in free and not key.startswith("WANDB."):
            changed.append(f"{key} was {was!r}, is {value!r}")
    return changed
