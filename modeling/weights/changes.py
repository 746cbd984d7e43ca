"""Changes of tensors between other people's files and this trainer's networks, beside those of names."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from modeling.backbones.vit import resize_positions
from modeling.weights.rules import Change

_MOST = 3  # times as high as wide: a grid of patches of images of people


def grid_of(patches: int) -> tuple[int, int] | None:
    """Finds the grid of so many patches, down and across: a square, or two or three times as high as wide.

    No number is of two such grids: the roots of 2, 3 and 2 / 3 are irrational. None: it is of another form.
    """
    for ratio in range(1, _MOST + 1):
        across = math.isqrt(patches // ratio)
        if ratio * across * across == patches:
            return ratio * across, across
    return None


def _read_positions(value: Tensor, expected: Tensor, backbone: nn.Module) -> Tensor:
    """Fits position embeddings [1, T + N, C] or [T + N, C] of T class tokens and N patches to a network's grid of patches.

    They are resized bilinearly, as TransReID and CLIP-ReID do. Of two class tokens, as distilled networks have, the first
    stays. Those of as many patches as the network has stay, whatever the grid.

    Raises:
        ValueError: the network has no grid, or the file's is of another form than `grid_of` finds.
    """
    wanted = getattr(backbone, "grid", None)
    if value.shape == expected.shape or wanted is None:
        return value
    positions = (value if value.ndim == 3 else value[None]).float()
    tokens = next((count for count in (1, 2) if grid_of(positions.shape[1] - count)), 0)
    grid = grid_of(positions.shape[1] - tokens)
    if not tokens or grid is None:
        raise ValueError(f"{positions.shape[1]} positions")
    positions = torch.cat((positions[:, :1], positions[:, tokens:]), 1)
    if tuple(grid) != tuple(wanted):
        positions = resize_positions(positions, grid, wanted)
    return positions.reshape(positions.shape[-value.ndim :])


def _read_shape(value: Tensor, expected: Tensor, _backbone: nn.Module) -> Tensor:
    """Gives a tensor the network's shape, where it has as many numbers: a convolution that was written as a matrix."""
    return value.reshape(expected.shape) if value.numel() == expected.numel() else value


POSITIONS = Change(_read_positions)
SHAPE = Change(_read_shape)
