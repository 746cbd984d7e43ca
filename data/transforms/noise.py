"""Normal noise that is a function of a seed and of each pixel's place alone: the same on every device, but for rounding."""

from __future__ import annotations

import math

import torch
from torch import Tensor

_MASK = 0xFFFFFFFF


def normal_noise(seeds: Tensor, channels: int, rows: Tensor, columns: Tensor) -> Tensor:
    """Computes noise of mean 0 and variance 1, float32 [B, channels, H, W].

    Args:
        seeds: of each image, whole numbers int64 [B].
        channels: number of them.
        rows: numbers of the pixels' rows int64 [H].
        columns: likewise [W].
    """
    channel = torch.arange(channels, device=rows.device)[:, None, None]
    mixed = _mix(_mix(_mix(_mix(seeds[:, None, None, None]) + channel) + rows[:, None]) + columns)
    first, second = (_share(_mix(mixed + number)) for number in (0x3C6EF372, 0x1B873593))
    return (-2 * first.log()).sqrt() * (2 * math.pi * second).cos()  # Box and Muller, 1958


def _mix(numbers: Tensor) -> Tensor:
    """Mixes the lower 32 bits of int64 numbers, so that any change of one changes half of them (MurmurHash3's last steps)."""
    numbers = numbers & _MASK
    for shift, factor in ((16, 0x85EBCA6B), (13, 0xC2B2AE35)):
        numbers = ((numbers ^ (numbers >> shift)) * factor) & _MASK
    return numbers ^ (numbers >> 16)


def _share(numbers: Tensor) -> Tensor:
    """Maps 32 bits to float32 between 0 and 1, neither of them, by the 23 upper ones."""
    return ((numbers >> 9).float() + 0.5) / (1 << 23)
