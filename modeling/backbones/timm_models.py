"""Networks of timm as backbones: convolutional ones give their feature map, others their own pooled feature.

Only this module imports timm, and only when such a network is built.
"""

from __future__ import annotations

import difflib
import importlib
import logging
import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from yacs.config import CfgNode

from modeling.backbones.layers import number_parts
from utils.errors import ConfigError

PREFIX = "timm/"
_SERVER_TIMEOUT = 10  # seconds
_KEYS = {"output_stride": "MODEL.OUTPUT_STRIDE", "drop_path_rate": "MODEL.DROP_PATH"}  # by timm's options


class TimmBackbone(nn.Module):
    """Backbone from images [B, 3, H, W] to a feature map [B, out_channels, h, w] or pooled features [B, out_channels].

    Networks whose features are no map, such as transformers, give pooled features.

    Args:
        name: timm's, without the prefix.
        size: height and width of the images in pixels; networks made for one size are made for this one.
        output_stride: pixels of the image for one of the feature map's; 0: the network's own.
        drop_path: largest probability with which a block is passed over in training.
    Raises:
        ConfigError: timm is not installed, has no such network, or cannot build it for this size.
    """

    options = ("OUTPUT_STRIDE", "DROP_PATH")
    trains_every_parameter = False  # of some networks the features need not every part

    def __init__(self, name: str, size: Sequence[int], output_stride: int = 0, drop_path: float = 0.0) -> None:
        super().__init__()
        self.name, self.size = name, tuple(size)
        self.notes: list[str] = []
        self._options: dict[str, Any] = {"output_stride": output_stride} if output_stride else {}
        self._options |= {"drop_path_rate": drop_path} if drop_path else {}
        self.net = self._create()
        self.gives_map = False
        try:
            output = self._probe_output()
        except Exception as error:
            raise _cannot_be_built(name, self.size, error) from None
        self.out_channels: int = output.shape[1]
        self._check_options(output)

    def _create(self, **more: Any) -> Any:
        """Creates timm's network with this one's options; ConfigError names the key of one that it does not take."""
        try:
            return _create(self.name, self.size, **more, **self._options)
        except ConfigError:
            for option in self._options:
                others = {key: value for key, value in self._options.items() if key != option}
                try:
                    _create(self.name, self.size, **others)
                except ConfigError:
                    continue
                raise self._refusal(option) from None
            raise

    def _check_options(self, output: Tensor) -> None:
        """Checks that options have an effect, and notes a stride that MODEL.LAST_STRIDE does not change."""
        if "drop_path_rate" in self._options and not any(getattr(m, "drop_prob", 0) for m in self.net.modules()):
            raise self._refusal("drop_path_rate")
        stride = 2 ** round(math.log2(self.size[0] / output.shape[2])) if self.gives_map else 0
        wanted = self._options.get("output_stride")
        if wanted and stride != wanted:
            raise self._refusal("output_stride")
        if not wanted and stride > 16:
            self.notes.append(
                f"MODEL.LAST_STRIDE is not applied to timm/{self.name}, whose feature map has a stride of {stride}:"
                " MODEL.OUTPUT_STRIDE 16 doubles its height and width, where the network takes that"
            )

    def _refusal(self, option: str) -> ConfigError:
        """Makes the error for an option that timm's network does not take."""
        return ConfigError(f"{_KEYS[option]}: timm/{self.name} does not take {self._options[option]}; give 0")

    @property
    def fixed_size(self) -> bool:
        """Tells whether the network takes images of `size` only."""
        return _has_fixed_size(self.name)

    @torch.no_grad()
    def _probe_output(self) -> Tensor:
        """Computes the output for one image and finds out whether it is a feature map."""
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

    def number_layers(self) -> dict[str, int]:
        """Numbers the layer of each parameter as timm does, block by block; see `layers.number_layers`."""
        names = [name for name, _parameter in self.net.named_parameters()]
        if hasattr(self.net, "group_matcher"):
            models: Any = importlib.import_module("timm.models")
            numbers = models.group_parameters(self.net, self.net.group_matcher(coarse=False), reverse=True)
        else:
            numbers = number_parts(names)
        return {f"net.{name}": numbers[name] for name in names}

    def load_imagenet(self, weights: Mapping[str, Tensor] | None) -> None:
        """Loads ImageNet weights; position embeddings are resized to the image size.

        Args:
            weights: in timm's names; None: timm's download.
        Raises:
            ConfigError: the weights cannot be downloaded or do not fit.
        """
        source: dict[str, Any] = {}
        if weights is not None:
            names = _timm().get_pretrained_cfg(self.name).classifier or ()
            heads = tuple(f"{name}." for name in ([names] if isinstance(names, str) else names))
            rest = {key: value for key, value in weights.items() if not key.startswith(heads)}
            source = {"state_dict": rest, "num_classes": 0}  # as many classes as the network: timm is strict then
        with _offline_without_server(download=weights is None) as unreachable:
            try:
                filled = self._create(pretrained=True, pretrained_cfg_overlay=source)
            except ConfigError as error:
                raise ConfigError(
                    f"ImageNet weights of timm/{self.name}: {unreachable or error}; give MODEL.PRETRAIN_PATH a file of"
                    " them, or MODEL.PRETRAIN_CHOICE none"
                ) from None
        self.net.load_state_dict(filled.state_dict())


def build(cfg: CfgNode) -> TimmBackbone:
    """Builds timm's network MODEL.NAME for images of INPUT.SIZE_TRAIN.

    Raises:
        ConfigError: timm cannot, or the network takes images of one size and INPUT.SIZE_TEST is another.
    """
    backbone = TimmBackbone(
        cfg.MODEL.NAME.removeprefix(PREFIX),
        cfg.INPUT.SIZE_TRAIN,
        output_stride=cfg.MODEL.OUTPUT_STRIDE,
        drop_path=cfg.MODEL.DROP_PATH,
    )
    if backbone.fixed_size and backbone.size != tuple(cfg.INPUT.SIZE_TEST):
        raise ConfigError(
            f"INPUT.SIZE_TEST: {list(cfg.INPUT.SIZE_TEST)} differs from INPUT.SIZE_TRAIN {list(backbone.size)};"
            f" {cfg.MODEL.NAME} takes images of one size"
        )
    return backbone


def _timm() -> Any:
    """Imports timm; ConfigError where it is not installed."""
    try:
        return importlib.import_module("timm")
    except ImportError:
        raise ConfigError(f"MODEL.NAME: {PREFIX}... needs timm, which is not installed: pip install timm") from None


def _has_fixed_size(name: str) -> bool:
    """Tells whether timm's network takes images of one size only."""
    published = _timm().get_pretrained_cfg(name)
    return bool(published and published.fixed_input_size)


def _create(name: str, size: tuple[int, ...], **options: Any) -> Any:
    """Creates timm's network without its classifier; ConfigError where timm cannot."""
    timm = _timm()
    if not timm.is_model(name):
        near = difflib.get_close_matches(name, timm.list_models(), n=1)
        hint = f"; did you mean {PREFIX}{near[0]}?" if near else ""
        raise ConfigError(f"MODEL.NAME: timm {timm.__version__} has no network {name!r}{hint}")
    if _has_fixed_size(name):
        options["img_size"] = size
    try:
        return timm.create_model(name, num_classes=0, **options)
    except Exception as error:  # timm's networks raise many types
        raise _cannot_be_built(name, size, error) from None


def _cannot_be_built(name: str, size: tuple[int, ...], error: Exception) -> ConfigError:
    """Makes the error for a network that timm cannot build."""
    reason = " ".join(str(error).split())[:300] or type(error).__name__
    return ConfigError(f"MODEL.NAME: {PREFIX}{name} cannot be built for {size[0]}x{size[1]} images: {reason}")


@contextmanager
def _offline_without_server(*, download: bool) -> Iterator[str]:
    """Makes Hugging Face's library use its cache alone, and silently, where its server does not answer in time.

    Without a network connection the library would retry for a minute and warn each time.

    Yields:
        A line that says that the server does not answer; empty where it does.
    """
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
        hub.get_session().head(constants.ENDPOINT, timeout=_SERVER_TIMEOUT)
    except Exception:  # of one of two HTTP libraries, by its version
        constants.HF_HUB_OFFLINE = True
        unreachable = f"{constants.ENDPOINT} does not answer"
    try:
        yield unreachable
    finally:
        constants.HF_HUB_OFFLINE = offline
        logger.setLevel(level)
