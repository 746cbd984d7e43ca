"""Settings of a checkpoint compared with those of a run; imports no torch."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import Any

import yaml
from yacs.config import CfgNode

from configs.defaults import _C
from configs.kinds import Kind, kind_of
from engine.config import flatten

# What decides how a run is trained on from a checkpoint.
_DECIDING = frozenset({Kind.NETWORK, Kind.STEP, Kind.TRAINING})
# What a user of a trained network decides anew.
_OF_USER = frozenset({Kind.PLACE, Kind.MACHINE, Kind.COURSE, Kind.TESTED})
# Those of the kind STEP that decide how many batches an epoch has.
_EPOCH_LENGTH = frozenset({"DATALOADER.NUM_INSTANCE", "SOLVER.IMS_PER_BATCH"})


def saved_config(saved: str) -> CfgNode:
    """Reads a checkpoint's configuration (YAML); a key added since has its default, one that has gone is left out."""
    config, known, found = _C.clone(), flatten(_C), flatten(yaml.safe_load(saved))
    for key, value in found.items():
        if key in known:
            _set(config, key, tuple(value) if isinstance(value, list) else value)
    if config.SOLVER.MARGIN == 0 and "MODEL.NO_MARGIN" not in found:  # which once chose the soft margin
        config.MODEL.NO_MARGIN = True
    # Before sets had protocols of their own, cross_camera was everybody's.
    if config.TEST.PROTOCOL == "cross_camera" and "TEST.GALLERY_DRAWS" not in found:
        config.TEST.PROTOCOL = "auto"
    return config


def changed_settings(cfg: CfgNode, saved: str) -> dict[str, str]:
    """Finds the settings that decide the training and differ between a checkpoint's configuration (YAML) and `cfg`.

    Returns:
        What each was and is, by key.
    """
    # How long to train decides the rate of every epoch of a cosine schedule, and may in one of the user's.
    by_length = cfg.SOLVER.SCHEDULE != "multistep"
    differences = _differences(cfg, saved)
    return {
        key: text
        for key, text in differences.items()
        if kind_of(key) in _DECIDING or (by_length and key == "SOLVER.MAX_EPOCHS")
    }


def changed_evaluation(cfg: CfgNode, saved: str) -> dict[str, str]:
    """Finds the settings that decide what an evaluation measures and differ, as `changed_settings` does."""
    kinds = (Kind.EVALUATION, Kind.TESTED)
    return {key: text for key, text in _differences(cfg, saved).items() if kind_of(key) in kinds}


def _differences(cfg: CfgNode, saved: str) -> dict[str, str]:
    """Finds all settings that differ; what each was and is, by key."""
    ours, theirs = flatten(cfg), flatten(saved_config(saved))
    unused = {"SOLVER.MARGIN"} if ours["MODEL.NO_MARGIN"] and theirs["MODEL.NO_MARGIN"] else set()
    return {
        key: f"{key} was {theirs[key]!r}, is {value!r}"
        for key, value in ours.items()
        if theirs[key] != value and key not in unused
    }


def settings_for_use(cfg: CfgNode, saved: str, given: Collection[str]) -> tuple[CfgNode, list[str]]:
    """Combines a configuration with a checkpoint's (YAML), to use the network that was trained with the latter.

    The checkpoint says what the network is and how images are evaluated, the configuration where data sets and files
    lie and what computes. What was given on the command line wins.

    Args:
        cfg: the configuration.
        saved: the checkpoint's.
        given: keys that were given on the command line.
    Returns:
        The frozen combination, and a line for each setting in which the two differ and which decides results.
    """
    combined, lines = saved_config(saved), []
    ours, theirs = flatten(cfg), flatten(combined)
    for key, value in ours.items():
        kind = kind_of(key)
        decides = kind in (Kind.NETWORK, Kind.EVALUATION)
        if key in given or kind in _OF_USER or key.startswith("DATASETS."):
            _set(combined, key, value)
            if decides and value != theirs[key]:
                lines.append(f"{key}: {value!r} of the command line counts, not {theirs[key]!r} of the checkpoint")
        elif decides and value != theirs[key]:
            lines.append(
                f"{key}: {theirs[key]!r} of the checkpoint counts, not {value!r} of the configuration; KEY VALUE words win"
            )
    combined.freeze()
    return combined, lines


def _set(config: CfgNode, key: str, value: Any) -> None:
    """Sets a value in a configuration by its dotted key."""
    *path, name = key.split(".")
    for part in path:
        config = config[part]
    setattr(config, name, value)


def fixed_settings(changed: Iterable[str], cfg: CfgNode, saved: str, *, within_epoch: bool) -> list[str]:
    """Lists those of the changed settings with which a run cannot be resumed.

    Args:
        changed: keys of settings.
        cfg: the configuration.
        saved: the checkpoint's (YAML).
        within_epoch: whether the checkpoint is within an epoch, whose number of batches cannot change.
    """
    return (
        unfit_settings(changed, cfg, saved, within_epoch=within_epoch) if cfg.SOLVER.RESUME_CHANGED else list(changed)
    )


def unfit_settings(changed: Iterable[str], cfg: CfgNode, saved: str, *, within_epoch: bool) -> list[str]:
    """Lists those of the changed settings that SOLVER.RESUME_CHANGED allows no resumed run. Arguments: `fixed_settings`."""
    both_average = bool(cfg.SOLVER.EMA_DECAY and saved_config(saved).SOLVER.EMA_DECAY)

    def may_change(key: str) -> bool:
        if key == "SOLVER.EMA_DECAY":
            return both_average
        if key in _EPOCH_LENGTH and within_epoch:
            return False
        return kind_of(key) in (Kind.STEP, Kind.COURSE)

    return [key for key in changed if not may_change(key)]
