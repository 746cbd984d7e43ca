"""Network that several processes train on shards of each batch, by DistributedDataParallel."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from engine.distributed import ProcessGroup
from engine.steps.graphs import GraphedModel
from modeling.branch import Branch
from modeling.model import ReIDModel


class ShardedModel:
    """Model that turns this process's shard of images into the branches of the whole batch.

    Args:
        model: on `device`.
        device: computes.
        group: the processes; in a group of one the model is used as it is.
        all_trained: whether every parameter gets a gradient in every step; else each step looks for those without.
        graphed: computes in place of the model, in a group of one.
    """

    def __init__(
        self,
        model: ReIDModel,
        device: torch.device,
        group: ProcessGroup,
        *,
        all_trained: bool,
        graphed: GraphedModel | None = None,
    ) -> None:
        self.model, self.device, self.group, self.all_trained = model, device, group, all_trained
        self._wrapped: nn.Module | GraphedModel = graphed or model
        self.wrap()

    def wrap(self) -> None:
        """Wraps the model so that its gradients are averaged over all processes; again where a parameter was frozen."""
        if self.group.size > 1:
            self._wrapped = DistributedDataParallel(
                self.model,
                device_ids=[self.device] if self.device.type == "cuda" else None,
                find_unused_parameters=not self.all_trained,
            )

    def averaging(self, step: bool) -> AbstractContextManager[Any]:
        """Makes the context of a forward and backward pass; gradients are averaged only where a step follows."""
        wrapped = self._wrapped
        return wrapped.no_sync() if isinstance(wrapped, DistributedDataParallel) and not step else nullcontext()

    def __call__(self, images: Tensor, *others: Tensor) -> list[Branch]:
        """Computes the branches of the whole batch from this process's shard of images [b, 3, H, W]."""
        branches: list[Branch] = self._wrapped(images, *others)
        return [self._gathered(branch) for branch in branches]

    def _gathered(self, branch: Branch) -> Branch:
        """All-gathers what the losses see of a branch."""
        gather = self.group.all_gather_batch
        scores = None if branch.scores is None else gather(branch.scores)
        return Branch(gather(branch.features), branch.necked, scores, branch.for_pairs)


def trains_every_parameter(model: ReIDModel, uses_scores: bool) -> bool:
    """Tells whether each step gives every parameter a gradient.

    Args:
        model: its head and its backbone say whether they have other parameters.
        uses_scores: whether a loss sees the class scores; classifiers get no gradient else.
    """
    backbone: bool = getattr(model.base, "trains_every_parameter", True)
    return uses_scores and model.trains_every_parameter and backbone
