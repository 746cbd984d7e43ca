"""Steps of the optimizers: accumulation of gradients, loss scaling, clipping."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor, nn
from yacs.config import CfgNode

from engine.solver import build_optimizer, load_optimizer, set_learning_rate
from modeling.losses.criterion import Criterion

State = dict[str, Any]


class Accumulation:
    """Count of the batches whose gradients are summed for the next step, of `every` batches."""

    def __init__(self, every: int) -> None:
        self.every = every
        self.batches = 0

    def add(self, *, last: bool) -> bool:
        """Counts a batch; tells whether a step is due after it, which the last batch of an epoch always has."""
        self.batches += 1
        return last or self.batches == self.every

    def end_step(self) -> float:
        """Ends a step; returns the factor that makes a sum of gradients, each divided by `every`, their mean."""
        factor = self.every / self.batches  # an epoch's last step may be of fewer batches
        self.batches = 0
        return factor


def clip_gradients(parameters: Iterable[nn.Parameter], limit: float) -> None:
    """Shortens the gradient of all parameters together to the norm `limit`; 0 is no limit."""
    if limit:
        nn.utils.clip_grad_norm_(parameters, limit)


class Optimizers:
    """Optimizer of the network and those of the losses with parameters, with the loss scaling that fp16 needs.

    A loss's parameters learn as if its weight were 1, as in reid-strong-baseline: the weight is for the network only.
    """

    def __init__(self, cfg: CfgNode, model: nn.Module, criterion: Criterion, device: torch.device) -> None:
        self.cfg, self.model, self.criterion = cfg, model, criterion
        self.of_network = build_optimizer(cfg, model)
        self.of_losses: dict[str, torch.optim.Optimizer] = {}
        self._weights: dict[str, float] = {}
        for name, weight, optimizer in criterion.optimizers():
            self.of_losses[name], self._weights[name] = optimizer, weight
        self.scaler = torch.amp.GradScaler(device.type, enabled=cfg.MODEL.PRECISION == "fp16")

    def begin_step(self) -> None:
        """Clears the gradients, before the first batch of a step."""
        for optimizer in (self.of_network, *self.of_losses.values()):
            optimizer.zero_grad(set_to_none=True)

    def backward(self, loss: Tensor) -> None:
        """Adds the gradients of a loss, scaled where the precision needs that."""
        torch.autograd.backward(self.scaler.scale(loss))

    def step(self, rate: float, factor: float) -> None:
        """Steps with the gradients, multiplied by `factor`, at the learning rate `rate`."""
        set_learning_rate(self.of_network, rate)
        limit = self.cfg.SOLVER.CLIP_NORM
        self._prepare(self.of_network, factor, unscale=bool(limit))
        clip_gradients(self.model.parameters(), limit)
        self.scaler.step(self.of_network)
        for name, optimizer in self.of_losses.items():
            # A loss that sees no features of its branch has no gradients, which loss scaling cannot step with.
            if _gradients(optimizer):
                self._prepare(optimizer, factor / self._weights[name], unscale=bool(limit))
                self.scaler.step(optimizer)
        self.scaler.update()

    def _prepare(self, optimizer: torch.optim.Optimizer, factor: float, *, unscale: bool) -> None:
        """Multiplies an optimizer's gradients by `factor`, after taking the loss's scale off where they are changed."""
        if factor != 1 or unscale:
            self.scaler.unscale_(optimizer)
        if factor != 1:
            torch._foreach_mul_(_gradients(optimizer), factor)

    def state(self) -> State:
        """Returns the state for a checkpoint: of the network's optimizer, of the losses and theirs, of the scaling."""
        losses = {}
        if self.of_losses:
            optimizers = {name: optimizer.state_dict() for name, optimizer in self.of_losses.items()}
            losses = {"loss": self.criterion.state_dict(), "optimizers": optimizers}
        return {"optimizer": self.of_network.state_dict(), "scaler": self.scaler.state_dict(), "center": losses}

    def load(self, state: State, saved: CfgNode) -> None:
        """Restores what `state` returned, with this run's learning rates; see `Learner.load`."""
        load_optimizer(self.of_network, state["optimizer"], saved=saved, cfg=self.cfg, model=self.model)
        self.scaler.load_state_dict(state["scaler"])
        if not self.of_losses:
            return
        losses = state["center"]
        if "optimizer" in losses:  # written when center loss was the only one with parameters
            losses = {
                "loss": {"losses.center_0.centers": losses["loss"]["centers"]},
                "optimizers": {"center_0": losses["optimizer"]},
            }
        self.criterion.load_state_dict(losses["loss"])
        for name, saved_state in losses["optimizers"].items():
            groups = self.of_losses[name].state_dict()["param_groups"]
            self.of_losses[name].load_state_dict({**saved_state, "param_groups": groups})


def _gradients(optimizer: torch.optim.Optimizer) -> list[Tensor]:
    """Lists the gradients of an optimizer's parameters."""
    return [p.grad for group in optimizer.param_groups for p in group["params"] if p.grad is not None]
