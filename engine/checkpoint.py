"""Checkpoints: save and load everything that a run needs to resume as if it had never stopped.

A checkpoint is a dictionary written by `torch.save` and read with `weights_only=True`, so that opening one runs
no code: format (int); model, optimizer, ema, scaler and center (`engine.learner`); rng; progress and means
(`engine.trainer`); num_classes; config (YAML text). The learning rate is a function of the configuration and the
place in the run, and needs no state.
"""

from __future__ import annotations

import random
import re
import zipfile
from collections.abc import Iterable
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

# Settings that may change when a run is resumed: they decide where and how long, not what is computed.
_CHANGEABLE = frozenset(
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
        "SOLVER.RESUME_CHANGED",
        "TEST.IMS_PER_BATCH",
    }
)
# Settings that count from the checkpoint on, where SOLVER.RESUME_CHANGED allows it: they fit every state of the run.
_FROM_THERE_ON = frozenset(
    {
        "MODEL.IF_LABELSMOOTH",
        "INPUT.PROB",
        *(f"INPUT.{name}" for name in ("RE_PROB", "RE_AREA", "RE_ASPECT")),
        "INPUT.PADDING",
        "DATALOADER.NUM_INSTANCE",
        *(f"SOLVER.{name}" for name in ("MAX_EPOCHS", "BASE_LR", "BIAS_LR_FACTOR", "HEADS_LR_FACTOR", "MOMENTUM")),
        *(f"SOLVER.{name}" for name in ("MARGIN", "COSINE_MARGIN", "COSINE_SCALE", "CIRCLE_MARGIN", "CIRCLE_SCALE")),
        *(f"SOLVER.{name}" for name in ("CENTER_LR", "CENTER_LOSS_WEIGHT", "CLIP_NORM", "IMS_PER_BATCH", "ACCUMULATE")),
        *(f"SOLVER.{name}" for name in ("WEIGHT_DECAY", "WEIGHT_DECAY_BIAS", "WEIGHT_DECAY_NORM_FACTOR")),
        *(f"SOLVER.{name}" for name in ("SCHEDULE", "MIN_LR_FACTOR", "DELAY_EPOCHS", "GAMMA", "STEPS")),
        *(f"SOLVER.{name}" for name in ("LAYER_DECAY", "BETAS")),
        *(f"SOLVER.{name}" for name in ("WARMUP_FACTOR", "WARMUP_ITERS", "WARMUP_UNIT", "WARMUP_METHOD")),
    }
)
# Those among them that decide how many batches an epoch has.
_EPOCH_LENGTH = frozenset({"DATALOADER.NUM_INSTANCE", "SOLVER.IMS_PER_BATCH"})

State = dict[str, Any]


def checkpoint_name(epoch: int, iteration: int) -> str:
    """Names the checkpoint after `iteration` batches of `epoch`; epoch N + 1, iteration 0 is "after epoch N"."""
    if iteration == 0:
        return f"checkpoint_epoch_{epoch - 1}.pth"
    return f"checkpoint_epoch_{epoch}_iteration_{iteration}.pth"


def list_checkpoints(folder: Path) -> list[Path]:
    """Lists the checkpoints of a run, the latest first."""
    found = []
    for path in folder.iterdir() if folder.is_dir() else ():
        if match := _NAME.fullmatch(path.name):
            epoch, iteration = int(match[1]), match[2]
            found.append(((epoch, 0) if iteration is None else (epoch - 1, int(iteration)), path))
    return [path for _position, path in sorted(found, reverse=True)]


def save_checkpoint(folder: Path, state: State) -> Path:
    """Writes a checkpoint, then removes all others but the one before it.

    Returns:
        The path of the checkpoint.
    Raises:
        TrainerError: the file could not be written; the earlier checkpoints are untouched.
    """
    path = folder / checkpoint_name(state["progress"]["epoch"], state["progress"]["iteration"])
    try:
        write_atomically(path, lambda stream: torch.save({"format": FORMAT, **state}, stream))
    except (OSError, RuntimeError) as error:  # torch wraps a full disk in a RuntimeError
        cause = error if isinstance(error, OSError) else error.__context__ or error
        reason = getattr(cause, "strerror", None) or str(cause).splitlines()[0]
        raise TrainerError(f"cannot write the checkpoint {path}: {reason}") from None
    _remove_older(folder, path)
    return path


def _remove_older(folder: Path, newest: Path) -> None:
    """Removes all checkpoints but `newest` and the one before it, and unfinished files."""
    paths = list_checkpoints(folder)
    place = paths.index(newest)
    # A later one than the newest could not be read, or the run would have resumed from it.
    for path in (*paths[:place], *paths[place + 2 :], *folder.glob(f"checkpoint_*.pth{TEMPORARY_SUFFIX}")):
        path.unlink(missing_ok=True)


def load_newest(folder: Path, warnings: list[str]) -> tuple[Path, State] | None:
    """Loads the newest readable checkpoint into host memory; None where there is no readable checkpoint.

    Args:
        folder: the run's OUTPUT_DIR.
        warnings: gets one line about each checkpoint that cannot be read.
    Returns:
        The path of the checkpoint and its state.
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
    """Returns the state of every global random number generator, in types that a weights-only load reads."""
    _kind, keys, *rest = np.random.get_state(legacy=True)
    return {
        "python": random.getstate(),
        "numpy": (np.asarray(keys).tolist(), *rest),
        "torch": torch.get_rng_state(),
        "cuda": torch.cuda.get_rng_state_all() if torch.cuda.is_available() else [],
    }


def set_rng_state(state: State) -> None:
    """Restores the generators' state from `rng_state`; CUDA's only where the number of GPUs is unchanged."""
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


def saved_config(saved: str) -> CfgNode:
    """Reads a checkpoint's configuration (YAML); a key added since has its default, one that has gone is left out."""
    config, known = _C.clone(), flatten(_C)
    for key, value in flatten(yaml.safe_load(saved)).items():
        if key in known:
            *path, name = key.split(".")
            node = config
            for part in path:
                node = node[part]
            setattr(node, name, tuple(value) if isinstance(value, list) else value)
    return config


def changed_settings(cfg: CfgNode, saved: str) -> dict[str, str]:
    """Finds the settings that decide results and differ between a checkpoint's configuration (YAML) and `cfg`.

    Returns:
        What each was and is, by key.
    """
    ours, theirs = flatten(cfg), flatten(saved_config(saved))
    # How long to train decides the rate of every epoch there.
    changeable = _CHANGEABLE - {"SOLVER.MAX_EPOCHS"} if cfg.SOLVER.SCHEDULE == "cosine" else _CHANGEABLE
    return {
        key: f"{key} was {theirs[key]!r}, is {value!r}"
        for key, value in ours.items()
        if theirs[key] != value and key not in changeable and not key.startswith("WANDB.")
    }


def fixed_settings(changed: Iterable[str], cfg: CfgNode, saved: str, *, within_epoch: bool) -> list[str]:
    """Lists those of the changed settings with which a run cannot be resumed.

    Args:
        changed: keys of settings.
        cfg: the configuration.
        saved: the checkpoint's (YAML).
        within_epoch: whether the checkpoint is within an epoch, whose number of batches cannot change.
    """
    both_average = bool(cfg.SOLVER.EMA_DECAY and saved_config(saved).SOLVER.EMA_DECAY)
    allowed = _FROM_THERE_ON | ({"SOLVER.EMA_DECAY"} if both_average else set())
    allowed = allowed - _EPOCH_LENGTH if within_epoch else allowed
    return [key for key in changed if not cfg.SOLVER.RESUME_CHANGED or key not in allowed]
