"""Precision of the network's arithmetic: autocast where it is safe, float32 where it is not."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from torch import Tensor

PRECISIONS: dict[str, torch.dtype | None] = {"fp32": None, "bf16": torch.bfloat16, "fp16": torch.float16}


def autocast(values: Tensor, precision: torch.dtype | None) -> AbstractContextManager[Any]:
    """Makes the context in which operations on the device of `values` compute in `precision` where that is safe."""
    return nullcontext() if precision is None else torch.autocast(values.device.type, dtype=precision)


def no_autocast(values: Tensor) -> AbstractContextManager[Any]:
    """Makes the context in which operations compute in the precision of their inputs."""
    on_meta = values.device.type == "meta"  # has no autocast
    return nullcontext() if on_meta else torch.autocast(values.device.type, enabled=False)


def full_precision(values: Tensor) -> Tensor:
    """Converts values of 16 bits to float32; others stay."""
    return values.float() if values.dtype in (torch.bfloat16, torch.float16) else values
