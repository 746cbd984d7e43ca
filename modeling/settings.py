"""Checks of the settings of the losses, without importing torch."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from utils.errors import ConfigError


def loss_problems(cfg: Any, for_training: bool) -> Iterator[str]:
    """Yields one line for each combination of the losses' settings that is not allowed.

    Args:
        cfg: the configuration; types and ranges are checked elsewhere.
        for_training: whether the losses will be computed.
    """
    model, sampler = cfg.MODEL, cfg.DATALOADER.SAMPLER
    metric = model.METRIC_LOSS_TYPE
    if metric in ("center", "triplet_center") and model.IF_WITH_CENTER == "no":
        yield f"MODEL.METRIC_LOSS_TYPE: {metric} needs MODEL.IF_WITH_CENTER yes"
    if metric == "center" and sampler == "triplet":
        yield "MODEL.METRIC_LOSS_TYPE: center alone cannot train; choose DATALOADER.SAMPLER softmax_triplet or softmax"
    if for_training and cfg.SOLVER.MARGIN == 0 and not model.NO_MARGIN:
        yield "SOLVER.MARGIN: 0 is not allowed; MODEL.NO_MARGIN True chooses the soft margin, which 0 once did"
    names, weights = [name for name in model.ALSO_LOSSES if name], model.ALSO_LOSS_WEIGHTS
    if names and len(weights) not in (1, len(names)):
        yield (
            f"MODEL.ALSO_LOSS_WEIGHTS: {list(weights)} has {len(weights)} numbers; give one, or one for each of the"
            f" {len(names)} losses of MODEL.ALSO_LOSSES"
        )
    used = [model.ID_LOSS_WEIGHT] if "softmax" in sampler else []
    used += [model.TRIPLET_LOSS_WEIGHT] if "triplet" in sampler and metric != "center" else []
    if not any(used) and not names and metric != "center":
        yield (
            f"MODEL.ID_LOSS_WEIGHT: {model.ID_LOSS_WEIGHT:g} with MODEL.TRIPLET_LOSS_WEIGHT"
            f" {model.TRIPLET_LOSS_WEIGHT:g} and DATALOADER.SAMPLER {sampler} leaves no loss to train with"
        )
    if not any(model.BRANCH_WEIGHTS):
        yield f"MODEL.BRANCH_WEIGHTS: {list(model.BRANCH_WEIGHTS)} leaves no loss to train with"


def branch_weights(cfg: Any, branches: int) -> list[float]:
    """Lists the weight of each of a head's branches.

    Raises:
        ConfigError: MODEL.BRANCH_WEIGHTS has another number of them.
    """
    weights = list(cfg.MODEL.BRANCH_WEIGHTS)
    if len(weights) not in (1, branches):
        raise ConfigError(
            f"MODEL.BRANCH_WEIGHTS: {weights} has {len(weights)} numbers; give one, or one for each of the {branches}"
            f" branches of MODEL.HEAD {cfg.MODEL.HEAD}"
        )
    return weights * branches if len(weights) == 1 else weights
