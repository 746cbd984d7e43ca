"""Optimizer and learning-rate schedule."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from typing import Any

import torch
from torch import nn
from yacs.config import CfgNode


def learning_rate_factor(
    epoch: int, *, steps: Sequence[int], gamma: float, warmup_factor: float, warmup_iters: int, warmup_method: str
) -> float:
    """Factor on the base learning rate in force during `epoch`, counted from 1.

    Warm-up and multi-step as reid-strong-baseline steps them, at the start of every epoch: epoch 1 already runs
    at the second value of the warm-up, and the published results were obtained so.
    """
    warmup = 1.0
    if epoch < warmup_iters:
        if warmup_method == "constant":
            warmup = warmup_factor
        else:
            progress = epoch / warmup_iters
            warmup = warmup_factor * (1 - progress) + progress
    return warmup * gamma ** bisect_right(steps, epoch)


def learning_rate(cfg: CfgNode, epoch: int) -> float:
    """The learning rate during `epoch`, counted from 1: a function of the configuration alone."""
    solver = cfg.SOLVER
    return float(solver.BASE_LR) * learning_rate_factor(
        epoch,
        steps=solver.STEPS,
        gamma=solver.GAMMA,
        warmup_factor=solver.WARMUP_FACTOR,
        warmup_iters=solver.WARMUP_ITERS,
        warmup_method=solver.WARMUP_METHOD,
    )


def build_optimizer(cfg: CfgNode, model: nn.Module) -> torch.optim.Optimizer:
    """The optimizer over two groups: parameters without and with "bias" in their name, the former first.

    reid-strong-baseline gives each parameter a group of its own with the same values, which takes
    several times as long a step.
    """
    solver = cfg.SOLVER
    trained = [(name, parameter) for name, parameter in model.named_parameters() if parameter.requires_grad]
    groups = [
        {
            "params": [parameter for name, parameter in trained if ("bias" in name) is bias],
            "lr_factor": solver.BIAS_LR_FACTOR if bias else 1.0,
            "weight_decay": solver.WEIGHT_DECAY_BIAS if bias else solver.WEIGHT_DECAY,
        }
        for bias in (False, True)
    ]
    options: dict[str, Any] = {"lr": solver.BASE_LR, "fused": True}
    if solver.OPTIMIZER_NAME == "SGD":
        return torch.optim.SGD(groups, momentum=solver.MOMENTUM, **options)
    kind = torch.optim.AdamW if solver.OPTIMIZER_NAME == "AdamW" else torch.optim.Adam
    return kind(groups, **options)


def set_learning_rate(optimizer: torch.optim.Optimizer, rate: float) -> None:
    """Sets each group's learning rate to `rate` times its factor."""
    for group in optimizer.param_groups:
        group["lr"] = rate * group["lr_factor"]
