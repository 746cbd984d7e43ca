"""Any network of timm as a backbone: convolutional ones give their feature map, the others their own pooled feature.

timm is imported here only, and only when such a network is asked for.
"""

from __future__ import annotations

import difflib
import importlib
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from utils.errors import ConfigError, TrainerError

PREFIX = "timm/"


class TimmBackbone(nn.Module):
    """Images [B, 3, H, W] to a feature map [B, out_channels, h, w] or, where timm's network has another form inside
    (transformers), to pooled features [B, out_channels].

    Args:
        name: timm's, without the prefix.
        size: height and width of the images in pixels; networks made for one size are made for this one.
    Raises:
        ConfigError: timm is not installed, has no such network, or cannot build it for this size.
    """

    def __init__(self, name: str, size: Sequence[int]) -> None:
        super().__init__()
        self.name, self.size = name, tuple(size)
        self.net = _create(name, self.size)
        training = self.net.training
        self.net.eval()
        with torch.no_grad():
            features = self.net.forward_features(torch.zeros(1, 3, *self.size))
            self.gives_map = features.ndim == 4 and features.shape[1] == self.net.num_features
            output = features if self.gives_map else self.net.forward_head(features, pre_logits=True)
        self.net.train(training)
        self.out_channels: int = output.shape[1]

    @property
    def one_size(self) -> bool:
        """Whether the network takes images of `size` only."""
        return _is_of_one_size(self.name)

    def forward(self, images: Tensor) -> Tensor:
        features: Tensor = self.net.forward_features(images)
        return features if self.gives_map else self.net.forward_head(features, pre_logits=True)

    def load_imagenet(self, weights: Mapping[str, Tensor] | None) -> None:
        """Takes timm's published weights: `weights` in timm's names, or its download for None. Position embeddings
        are resized to the image size.

        Raises:
            TrainerError: they cannot be had or do not fit.
        """
        source: dict[str, Any] = {}
        if weights is not None:
            names = _timm().get_pretrained_cfg(self.name).classifier or ()
            heads = tuple(f"{name}." for name in ([names] if isinstance(names, str) else names))
            rest = {key: value for key, value in weights.items() if not key.startswith(heads)}
            source = {"state_dict": rest, "num_classes": 0}  # as many classes as the network: timm is strict then
        try:
            filled = _create(self.name, self.size, pretrained=True, pretrained_cfg_overlay=source)
        except ConfigError as error:
            raise TrainerError(
                f"ImageNet weights of timm/{self.name}: {error}; give MODEL.PRETRAIN_PATH a file of them, or"
                " MODEL.PRETRAIN_CHOICE none"
            ) from None
        self.net.load_state_dict(filled.state_dict())


def _timm() -> Any:
    try:
        return importlib.import_module("timm")
    except ImportError:
        raise ConfigError(f"MODEL.NAME: {PREFIX}... needs timm, which is not installed: pip install timm") from None


def _is_of_one_size(name: str) -> bool:
    published = _timm().get_pretrained_cfg(name)
    return bool(published and published.fixed_input_size)


def _create(name: str, size: tuple[int, ...], **options: Any) -> Any:
    timm = _timm()
    if not timm.is_model(name):
        near = difflib.get_close_matches(name, timm.list_models(), n=1)
        hint = f"; did you mean {PREFIX}{near[0]}?" if near else ""
        raise ConfigError(f"MODEL.NAME: timm {timm.__version__} has no network {name!r}{hint}")
    if _is_of_one_size(name):
        options["img_size"] = size
    try:
        return timm.create_model(name, num_classes=0, **options)
    except Exception as error:  # as many types as timm has authors
        reason = " ".join(str(error).split())[:300] or type(error).__name__
        what = f"{PREFIX}{name} cannot be built for {size[0]}x{size[1]} images"
        raise ConfigError(f"MODEL.NAME: {what}: {reason}") from None
