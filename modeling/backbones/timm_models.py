"""Any network of timm as a backbone: convolutional ones give their feature map, the others their own pooled feature.

timm is imported here only, and only when such a network is asked for.
"""

from __future__ import annotations

import difflib
import importlib
import logging
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from utils.errors import ConfigError

PREFIX = "timm/"
_ANSWER_WITHIN = 10  # seconds


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
        self.gives_map = False
        try:
            output = self._try()
        except Exception as error:
            raise _cannot_be_built(name, self.size, error) from None
        self.out_channels: int = output.shape[1]

    @property
    def one_size(self) -> bool:
        """Whether the network takes images of `size` only."""
        return _is_of_one_size(self.name)

    @torch.no_grad()
    def _try(self) -> Tensor:
        """The output for one image; finds out what form it has."""
        training = self.net.training
        self.net.eval()
        features = self.net.forward_features(torch.zeros(1, 3, *self.size))
        # Some networks hand on the features of several scales.
        is_map = isinstance(features, Tensor) and features.ndim == 4
        self.gives_map = is_map and features.shape[1] == self.net.num_features
        output: Tensor = features if self.gives_map else self.net.forward_head(features, pre_logits=True)
        self.net.train(training)
        if output.ndim != (4 if self.gives_map else 2):
            raise ValueError(f"its features have the shape {list(output.shape)}")
        return output

    def forward(self, images: Tensor) -> Tensor:
        features = self.net.forward_features(images)
        output: Tensor = features if self.gives_map else self.net.forward_head(features, pre_logits=True)
        return output

    def load_imagenet(self, weights: Mapping[str, Tensor] | None) -> None:
        """Takes timm's published weights: `weights` in timm's names, or its download for None. Position embeddings
        are resized to the image size.

        Raises:
            ConfigError: they cannot be had or do not fit.
        """
        source: dict[str, Any] = {}
        if weights is not None:
            names = _timm().get_pretrained_cfg(self.name).classifier or ()
            heads = tuple(f"{name}." for name in ([names] if isinstance(names, str) else names))
            rest = {key: value for key, value in weights.items() if not key.startswith(heads)}
            source = {"state_dict": rest, "num_classes": 0}  # as many classes as the network: timm is strict then
        with _patience(download=weights is None) as unreachable:
            try:
                filled = _create(self.name, self.size, pretrained=True, pretrained_cfg_overlay=source)
            except ConfigError as error:
                raise ConfigError(
                    f"ImageNet weights of timm/{self.name}: {unreachable or error}; give MODEL.PRETRAIN_PATH a file of"
                    " them, or MODEL.PRETRAIN_CHOICE none"
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
        raise _cannot_be_built(name, size, error) from None


def _cannot_be_built(name: str, size: tuple[int, ...], error: Exception) -> ConfigError:
    reason = " ".join(str(error).split())[:300] or type(error).__name__
    return ConfigError(f"MODEL.NAME: {PREFIX}{name} cannot be built for {size[0]}x{size[1]} images: {reason}")


@contextmanager
def _patience(*, download: bool) -> Iterator[str]:
    """Within it Hugging Face's library, which without a network tries again for a minute and warns each time, is quiet
    and looks in its cache only where its server does not answer; that is then said by the text it yields."""
    try:
        hub: Any = importlib.import_module("huggingface_hub") if download else None
    except ImportError:
        hub = None
    if hub is None:
        yield ""
        return
    constants, logger = hub.constants, logging.getLogger("huggingface_hub")
    level, offline = logger.level, constants.HF_HUB_OFFLINE
    logger.setLevel(logging.ERROR)
    unreachable = ""
    try:
        hub.get_session().head(constants.ENDPOINT, timeout=_ANSWER_WITHIN)
    except Exception:  # of one of two HTTP libraries, by its version
        constants.HF_HUB_OFFLINE = True
        unreachable = f"{constants.ENDPOINT} does not answer"
    try:
        yield unreachable
    finally:
        constants.HF_HUB_OFFLINE = offline
        logger.setLevel(level)
