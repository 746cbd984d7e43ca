"""Exponential moving average of a network's weights, which often ranks better than the weights themselves."""

from __future__ import annotations

import copy
from typing import Any

import torch
from torch import Tensor, nn


class WeightAverage:
    """A copy of `model` whose weights follow it (Polyak averaging, with tf.train.ExponentialMovingAverage's start).

    After n updates the decay is min(decay, (1 + n) / (10 + n)), so that the random start is soon forgotten. Running
    statistics of normalisation are averaged too; whole numbers are copied.
    """

    def __init__(self, model: nn.Module, decay: float) -> None:
        self.model = copy.deepcopy(model).eval().requires_grad_(False)
        self.decay = decay
        self.updates = 0

    @torch.no_grad()
    def update(self, model: nn.Module) -> None:
        """Moves the average towards the weights of `model`."""
        self.updates += 1
        decay = min(self.decay, (1 + self.updates) / (10 + self.updates))
        averages: list[Tensor] = []
        weights: list[Tensor] = []
        for average, weight in zip(self.model.state_dict().values(), model.state_dict().values(), strict=True):
            if average.is_floating_point():
                averages.append(average)
                weights.append(weight)
            else:
                average.copy_(weight)
        torch._foreach_lerp_(averages, weights, 1 - decay)

    def state(self) -> dict[str, Any]:
        """Everything, as tensors and plain numbers."""
        return {"weights": self.model.state_dict(), "updates": self.updates}

    def load(self, state: dict[str, Any]) -> None:
        """The inverse of `state`."""
        self.model.load_state_dict(state["weights"])
        self.updates = state["updates"]
