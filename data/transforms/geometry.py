"""Geometric operations on images, uint8 [n, 3, H, W]: each gives output pixels the values of other places.

A matrix (a, b, c, d, e, f) says that the output at (x, y) is the input at (a x + b y + c, d x + e y + f), as in Pillow's
Image.transform: in pixels, where the middle of the first pixel is (0.5, 0.5).
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn.functional import grid_sample

from data.transforms.base import to_device_of

Matrix = tuple[float, float, float, float, float, float]


def warp(images: Tensor, matrices: Sequence[Matrix], fill: int) -> Tensor:
    """Moves the pixels of images by a matrix for each, interpolating linearly.

    Places outside the image get the value `fill`; beyond the middles of the outermost pixels, these count.
    """
    height, width = images.shape[2:]
    a, b, c, d, e, f = to_device_of(images, torch.tensor(matrices, dtype=torch.float32)).T[:, :, None, None]
    x = torch.arange(width, device=images.device, dtype=torch.float32) + 0.5
    y = torch.arange(height, device=images.device, dtype=torch.float32)[:, None] + 0.5
    from_x, from_y = a * x + (b * y + c), d * x + (e * y + f)
    inside = (from_x >= 0) & (from_x < width) & (from_y >= 0) & (from_y < height)
    seen = inside[:, None].float()
    grid = torch.stack([from_x * (2 / width) - 1, from_y * (2 / height) - 1], dim=3)
    moved = grid_sample(images.float(), grid, padding_mode="border", align_corners=False)
    return moved.mul_(seen).add_(0.5 + fill * (1 - seen)).to(torch.uint8)


def affine_matrix(
    size: Sequence[int], degrees: float, shift: Sequence[float] = (0, 0), scale: float = 1, shear: float = 0
) -> Matrix:
    """Computes the matrix that shears and scales an image, turns it clockwise about its middle, and shifts it.

    Args:
        size: height and width in pixels.
        degrees: of the turn.
        shift: to the right and down, in pixels.
        scale: of the image's content; 2 shows everything twice as large.
        shear: in degrees, along the rows.
    """
    middle_x, middle_y = size[1] / 2, size[0] / 2
    cos, sin, tan = math.cos(math.radians(degrees)), math.sin(math.radians(degrees)), math.tan(math.radians(shear))
    a, b = (cos - tan * sin) / scale, (sin + tan * cos) / scale
    d, e = -sin / scale, cos / scale
    x, y = middle_x + shift[0], middle_y + shift[1]
    return a, b, middle_x - a * x - b * y, d, e, middle_y - d * x - e * y
