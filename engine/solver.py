"""Optimizer and learning-rate schedule of a run."""

from __future__ import annotations

import math
import os
from bisect import bisect_right
from collections.abc import Callable, Sequence
from functools import cache
from typing import Any

import torch
from torch import nn
from yacs.config import CfgNode

from configs.keys.solver import OPTIMIZERS, SCHEDULES
from modeling.backbones.layers import number_layers


def warmup(position: float, *, length: float, factor: float, method: str) -> float:
    """Computes the warm-up's factor on the learning rate at `position` of `length`.

    The factor rises linearly from `factor` to 1, or, by the method constant, is `factor` throughout.
    """
    if position >= length:
        return 1.0
    if method == "constant":
        return factor
    progress = position / length
    return factor * (1 - progress) + progress


def multistep(epoch: int, *, steps: Sequence[int], gamma: float) -> float:
    """Computes the multi-step schedule's factor on the learning rate during `epoch`, counted from 1."""
    return float(gamma ** bisect_right(steps, epoch))


def cosine(epoch: int, *, start: int, end: int, minimum: float) -> float:
    """Computes the cosine schedule's factor on the learning rate during `epoch`, counted from 1.

    The factor is 1 up to epoch start + 1, then half a cosine that would reach `minimum` with epoch end + 1, so that a
    minimum of 0 wastes no epoch.

    Source:
        Loshchilov and Hutter, "SGDR: Stochastic Gradient Descent with Warm Restarts", ICLR 2017.
    """
    progress = min(max(epoch - 1 - start, 0) / max(end - start, 1), 1.0)
    return minimum + (1 - minimum) * (1 + math.cos(math.pi * progress)) / 2


def multistep_factor(cfg: CfgNode, epoch: int) -> float:
    """Computes the factor of the schedule multistep."""
    return multistep(epoch, steps=cfg.SOLVER.STEPS, gamma=cfg.SOLVER.GAMMA)


def cosine_factor(cfg: CfgNode, epoch: int) -> float:
    """Computes the factor of the schedule cosine, which falls after the longer of warm-up and DELAY_EPOCHS, as fast-reid's."""
    solver = cfg.SOLVER
    start = max(solver.WARMUP_ITERS if solver.WARMUP_UNIT == "epoch" else 0, solver.DELAY_EPOCHS)
    return cosine(epoch, start=start, end=solver.MAX_EPOCHS, minimum=solver.MIN_LR_FACTOR)


def cosine_whole_factor(cfg: CfgNode, epoch: int) -> float:
    """Computes the factor of the schedule cosine_whole: half a cosine over all epochs, of which warm-up hides the first.

    Source:
        The scheduler of timm that TransReID and SOLIDER-REID use, which reaches the minimum in the last epoch.
    """
    solver = cfg.SOLVER
    if solver.WARMUP_UNIT == "epoch" and epoch < solver.WARMUP_ITERS:
        return 1.0
    return cosine(epoch + 1, start=0, end=solver.MAX_EPOCHS, minimum=solver.MIN_LR_FACTOR)


@cache
def _schedule(name: str, _folder: str) -> Callable[[CfgNode, int], float]:
    """Finds a schedule once: a user's file, relative to the current folder, may be edited while a run goes by it."""
    schedule: Callable[[CfgNode, int], float] = SCHEDULES.builder(name)
    return schedule


def learning_rate(cfg: CfgNode, epoch: int, batch: int = 0, batches: int = 1) -> float:
    """Computes the learning rate for a batch, from the configuration and the batch's position alone.

    Warm-up per epoch and multi-step are as reid-strong-baseline has them, which steps its schedule at the start of
    every epoch: epoch 1 already runs at the second value of the warm-up, and the published results were obtained so.

    Args:
        cfg: the configuration.
        epoch: counted from 1.
        batch: number of the batch in this epoch, from 0.
        batches: batches of an epoch.
    """
    solver = cfg.SOLVER
    by_epoch = solver.WARMUP_UNIT == "epoch"
    factor = warmup(
        epoch if by_epoch else (epoch - 1) * batches + batch,
        length=solver.WARMUP_ITERS,
        factor=solver.WARMUP_FACTOR,
        method=solver.WARMUP_METHOD,
    )
    factor *= _schedule(solver.SCHEDULE, os.getcwd())(cfg, epoch)
    return float(solver.BASE_LR) * factor


def schedule_notes(cfg: CfgNode, batches: int) -> list[str]:
    """Warns, in lines for the log, of a rate that never leaves warm-up, or never falls, in a run of `batches` an epoch.

    Raises:
        ConfigError: SOLVER.SCHEDULE is a user's file that cannot be imported.
    """
    solver, notes = cfg.SOLVER, []
    _schedule(solver.SCHEDULE, os.getcwd())
    total = solver.MAX_EPOCHS * (1 if solver.WARMUP_UNIT == "epoch" else batches)
    if total <= solver.WARMUP_ITERS and solver.WARMUP_FACTOR != 1:
        notes.append(
            f"The warm-up takes the whole run of {total} {solver.WARMUP_UNIT}s: with a smaller SOLVER.WARMUP_ITERS than"
            f" {solver.WARMUP_ITERS} the learning rate reaches SOLVER.BASE_LR earlier, and falls"
        )
    if solver.SCHEDULE == "cosine" and solver.DELAY_EPOCHS > 0 and solver.MAX_EPOCHS <= solver.DELAY_EPOCHS + 1:
        notes.append(
            f"The learning rate never falls: SOLVER.DELAY_EPOCHS {solver.DELAY_EPOCHS} leaves the cosine nothing of"
            f" SOLVER.MAX_EPOCHS {solver.MAX_EPOCHS}"
        )
    return notes


def parameter_rule(name: str, *, norm: bool, cfg: CfgNode, depth: int = 0) -> tuple[float, float]:
    """Gives a parameter's factor on the learning rate and its weight decay.

    Args:
        name: in the model.
        norm: whether the parameter is of a normalisation layer.
        cfg: the configuration.
        depth: layers from the top of the network, 0 behind the backbone, for SOLVER.LAYER_DECAY.
    """
    solver = cfg.SOLVER
    factor = (1.0 if name.startswith("base.") else solver.HEADS_LR_FACTOR) * solver.LAYER_DECAY**depth
    if "bias" in name:
        return factor * solver.BIAS_LR_FACTOR, solver.WEIGHT_DECAY_BIAS
    return factor, solver.WEIGHT_DECAY * (solver.WEIGHT_DECAY_NORM_FACTOR if norm else 1.0)


def layer_depths(cfg: CfgNode, model: nn.Module) -> dict[str, int]:
    """Computes how many layers below the top each parameter of the backbone is, by name; empty without LAYER_DECAY.

    Source:
        Bao et al., "BEiT: BERT Pre-Training of Image Transformers", ICLR 2022: the last block is 1 below the top.
    """
    if cfg.SOLVER.LAYER_DECAY == 1:
        return {}
    assert isinstance(model.base, nn.Module)
    numbers = number_layers(model.base)
    return {f"base.{name}": max(numbers.values()) + 1 - number for name, number in numbers.items()}


Rule = tuple[float, float, bool]  # factor on the learning rate, weight decay, whether it may be frozen


def group_parameters(cfg: CfgNode, model: nn.Module) -> dict[Rule, list[str]]:
    """Groups the names of the trainable parameters, with one group for each `parameter_rule`.

    reid-strong-baseline gives each parameter a group of its own, which takes several times as long a step.
    """
    norms = (nn.modules.batchnorm._NormBase, nn.LayerNorm, nn.GroupNorm)
    of_norms = {id(parameter) for m in model.modules() if isinstance(m, norms) for parameter in m.parameters()}
    # The fused SGD cannot start some of a group's momenta later than others.
    separate_backbone = cfg.SOLVER.FREEZE_EPOCHS > 0 or cfg.SOLVER.FREEZE_ITERS > 0
    depths = layer_depths(cfg, model)
    groups: dict[Rule, list[str]] = {}
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            rule = parameter_rule(name, norm=id(parameter) in of_norms, cfg=cfg, depth=depths.get(name, 0))
            groups.setdefault((*rule, separate_backbone and name.startswith("base.")), []).append(name)
    return groups


Groups = list[dict[str, Any]]


def build_optimizer(cfg: CfgNode, model: nn.Module) -> torch.optim.Optimizer:
    """Builds the optimizer over the trainable parameters, in the groups of `group_parameters`.

    Raises:
        ConfigError: SOLVER.OPTIMIZER_NAME is a user's file that cannot be imported.
    """
    parameters = dict(model.named_parameters())
    groups: Groups = [
        {"params": [parameters[name] for name in names], "lr_factor": factor, "weight_decay": decay}
        for (factor, decay, _frozen), names in group_parameters(cfg, model).items()
    ]
    optimizer: torch.optim.Optimizer = OPTIMIZERS.builder(cfg.SOLVER.OPTIMIZER_NAME)(groups, cfg)
    return optimizer


def build_adam(groups: Groups, cfg: CfgNode) -> torch.optim.Optimizer:
    """Builds Adam with SOLVER.BASE_LR and SOLVER.BETAS."""
    return torch.optim.Adam(groups, lr=cfg.SOLVER.BASE_LR, betas=tuple(cfg.SOLVER.BETAS), fused=True)


def build_adamw(groups: Groups, cfg: CfgNode) -> torch.optim.Optimizer:
    """Builds AdamW with SOLVER.BASE_LR and SOLVER.BETAS."""
    return torch.optim.AdamW(groups, lr=cfg.SOLVER.BASE_LR, betas=tuple(cfg.SOLVER.BETAS), fused=True)


def build_amsgrad(groups: Groups, cfg: CfgNode) -> torch.optim.Optimizer:
    """Builds Adam in its variant AMSGrad (Reddi et al., ICLR 2018), which torchreid's recipes train OSNet with."""
    return torch.optim.Adam(groups, lr=cfg.SOLVER.BASE_LR, betas=tuple(cfg.SOLVER.BETAS), amsgrad=True, fused=True)


def build_sgd(groups: Groups, cfg: CfgNode) -> torch.optim.Optimizer:
    """Builds SGD with momentum."""
    # Loss scaling passes over the first steps, which leaves the fused SGD's momenta uninitialised (torch 2.15).
    fused = cfg.MODEL.PRECISION != "fp16"
    return torch.optim.SGD(groups, lr=cfg.SOLVER.BASE_LR, momentum=cfg.SOLVER.MOMENTUM, fused=fused)


def set_learning_rate(optimizer: torch.optim.Optimizer, rate: float) -> None:
    """Sets each group's learning rate to `rate` times its factor."""
    for group in optimizer.param_groups:
        group["lr"] = rate * group["lr_factor"]


def load_optimizer(
    optimizer: torch.optim.Optimizer, state: dict[str, Any], *, saved: CfgNode, cfg: CfgNode, model: nn.Module
) -> None:
    """Restores the momenta and counters of each parameter; rates, factors and weight decays stay those of `cfg`.

    Args:
        optimizer: made by `build_optimizer` for `cfg`.
        state: of the optimizer that `build_optimizer` made for `saved`, whose groups may be others.
        saved: the configuration that the state was saved with.
        cfg: the configuration now.
        model: both are over its parameters.
    """
    was = [name for names in group_parameters(saved, model).values() for name in names]
    now = {
        name: place for place, name in enumerate(n for names in group_parameters(cfg, model).values() for n in names)
    }
    kept = {now[name]: state["state"][place] for place, name in enumerate(was) if place in state["state"]}
    optimizer.load_state_dict({"state": kept, "param_groups": optimizer.state_dict()["param_groups"]})
