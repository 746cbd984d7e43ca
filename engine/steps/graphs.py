"""Replay of the network's forward and backward pass as CUDA graphs, which spares the host the launch of each kernel."""

from __future__ import annotations

import logging
from typing import Any

import torch
from torch import Tensor, nn
from yacs.config import CfgNode

from engine.distributed import ProcessGroup
from modeling.branch import Branch
from modeling.model import ReIDModel
from utils.logger import NAME


def obstacle_to_graphs(cfg: CfgNode, device: torch.device, group: ProcessGroup) -> str:
    """Says what keeps the network from being captured; empty: nothing."""
    if device.type != "cuda":
        return f"the device is {device.type}"
    if group.size > 1:
        return f"{group.size} processes train together"
    if cfg.MODEL.COMPILE:
        return "MODEL.COMPILE is True"
    if cfg.SOLVER.ACCUMULATE > 1:  # a replay writes its gradients over those of the batch before
        return f"SOLVER.ACCUMULATE is {cfg.SOLVER.ACCUMULATE}"
    return ""


class GraphedModel:
    """Network in training whose passes are replayed as CUDA graphs, for batches of the first one's shape.

    The capture happens with the first batch that the whole backbone is trained on. Batches of another shape, such as an
    epoch's last, and those of a frozen backbone are computed as usual, and so is everything after a capture that fails,
    with one line in the log.

    Args:
        model: on a GPU, with the weights it starts from.
    """

    def __init__(self, model: ReIDModel) -> None:
        self.model = model
        self._backbone = [parameter for parameter in model.base.parameters() if parameter.requires_grad]
        self._graphed: _Tensors | None = None
        self._shape: tuple[int, ...] = ()
        self._failed = False

    def __call__(self, images: Tensor, *others: Tensor) -> list[Branch]:
        """Computes the branches of images [B, 3, H, W], and of what the network takes beside them."""
        if not self._failed and all(parameter.requires_grad for parameter in self._backbone):
            if self._graphed is None:
                self._capture(images, *others)
            if self._graphed is not None and images.shape == self._shape:
                return self._graphed.branches(self._graphed(images, *others))
        branches: list[Branch] = self.model(images, *others)
        return branches

    def _capture(self, images: Tensor, *others: Tensor) -> None:
        """Captures the passes for batches like `images`; running statistics and random numbers are left as they were."""
        buffers = [(buffer, buffer.clone()) for buffer in self.model.buffers()]
        adapter = _Tensors(self.model).train()
        try:
            with torch.random.fork_rng([images.device] if images.is_cuda else []):
                # Runs the network a few times. Classifiers that no loss sees get no gradient.
                samples = (torch.zeros_like(images), *(torch.zeros_like(other) for other in others))
                torch.cuda.make_graphed_callables(adapter, samples, allow_unused_input=True)
        except (RuntimeError, TypeError, ValueError) as error:  # whatever a network does that no graph can hold
            self._failed = True
            reason = str(error).partition("\n")[0]
            logging.getLogger(NAME).info(
                "MODEL.CUDA_GRAPHS: not used, since the network cannot be captured: %s", reason
            )
        else:
            self._graphed, self._shape = adapter, tuple(images.shape)
        with torch.no_grad():
            for buffer, before in buffers:
                buffer.copy_(before)


class _Tensors(nn.Module):
    """Network whose branches are one tuple of tensors, as a capture needs them."""

    def __init__(self, model: ReIDModel) -> None:
        super().__init__()
        self.model = model
        self._layout: list[tuple[bool, bool]] = []  # of each branch, whether it has scores, and `for_pairs`

    def forward(self, images: Tensor, *others: Tensor) -> tuple[Tensor, ...]:
        branches: list[Branch] = self.model(images, *others)
        self._layout = [(branch.scores is not None, branch.for_pairs) for branch in branches]
        return tuple(value for branch in branches for value in branch[:3] if value is not None)

    def branches(self, tensors: tuple[Tensor, ...]) -> list[Branch]:
        """Puts the tensors of a pass back into branches."""
        values: Any = iter(tensors)
        return [
            Branch(next(values), next(values), next(values) if has_scores else None, for_pairs)
            for has_scores, for_pairs in self._layout
        ]
