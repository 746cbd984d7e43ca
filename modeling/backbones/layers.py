"""Helpers of backbones: numbers of layers, for layer-wise learning-rate decay, and a check of image sizes."""

from __future__ import annotations

import re
from collections.abc import Iterable

from torch import nn
from yacs.config import CfgNode

from utils.errors import ConfigError

_NUMBERED = re.compile(r"(?:[^.\d][^.]*\.)+?\d+(?=\.)")  # as layer1.0 in layer1.0.conv1.weight


def number_layers(backbone: nn.Module) -> dict[str, int]:
    """Numbers the layer of each of a backbone's parameters, by name, from 0 for the layer next to the images.

    A backbone may have a method `number_layers` that returns its own numbers; of all others layers are the numbered parts.
    """
    own = getattr(backbone, "number_layers", None)
    names = [name for name, _parameter in backbone.named_parameters()]
    numbers: dict[str, int] = own() if own is not None else number_parts(names)
    return numbers


def number_parts(names: Iterable[str]) -> dict[str, int]:
    """Numbers the layers of parameters by their names, in forward order.

    A layer is a numbered part, as `layer1.0`. What stands before the first, as a stem, is layer 0; what stands between
    two, or behind the last, belongs to the one before.
    """
    numbers: dict[str, int] = {}
    layers: dict[str, int] = {}
    for name in names:
        match = _NUMBERED.match(name)
        if match is not None and match[0] not in layers:
            layers[match[0]] = max(numbers.values(), default=-1) + 1
        numbers[name] = layers[match[0]] if match is not None else max(numbers.values(), default=0)
    return numbers


def require_size(cfg: CfgNode, least: int) -> None:
    """Raises ConfigError where images for training or evaluation are smaller than a patch of `least` pixels a side."""
    for key in ("SIZE_TRAIN", "SIZE_TEST"):
        if min(cfg.INPUT[key]) < least:
            raise ConfigError(f"INPUT.{key}: {list(cfg.INPUT[key])} is smaller than a patch of {least}x{least}")
