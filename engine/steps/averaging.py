"""Exponential moving average of a network's weights, whose features often rank better than the network's own."""

from __future__ import annotations

import copy
from typing import Any

import torch
from torch import nn


class WeightAverage:
    """Averaged copy of a model: Polyak averaging, with the start of tf.train.ExponentialMovingAverage.

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
        pairs = list(zip(self.model.state_dict().values(), model.state_dict().values(), strict=True))
        for kind in (True, False):  # all of a kind in one operation
            chosen = [pair for pair in pairs if pair[0].is_floating_point() == kind]
            if not chosen:
                continue
            averages, weights = map(list, zip(*chosen, strict=True))
            if kind:
                torch._foreach_lerp_(averages, weights, 1 - decay)
            else:
                torch._foreach_copy_(averages, weights)

    def state(self) -> dict[str, Any]:
        """Returns the averaged weights and the number of updates, for a checkpoint."""
        return {"weights": self.model.state_dict(), "updates": self.updates}

    def load(self, state: dict[str, Any]) -> None:
        """Restores what `state` returned."""
        self.model.load_state_dict(state["weights"])
        self.updates = state["updates"]
