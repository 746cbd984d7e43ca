"""Base class of the backbones that are CLIP's image encoders."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from torch import Tensor, nn

from modeling.clip.text import TextShape
from utils.errors import ConfigError


class ClipFeatures(NamedTuple):
    """Features of images that CLIP-ReID's losses see: of the layer before the last [B, C'], the last [B, C], projected [B, D]."""

    earlier: Tensor
    last: Tensor
    projected: Tensor


class ClipEncoder(nn.Module):
    """Image encoder of CLIP as a backbone; subclasses compute.

    Attributes:
        grid: places down and across that position embeddings are learnt for; for images of another size they are resized.
        text: of the text encoder that CLIP trained together with this network.
        widths: length of each of the `ClipFeatures`.
        gives_all: whether the output is all `ClipFeatures`; for the heads that take them.
        file: CLIP's file of weights.
    """

    trains_every_parameter = False  # the projection is for `ClipFeatures`
    file = ""

    def __init__(self, grid: Sequence[int], widths: Sequence[int], text: TextShape) -> None:
        super().__init__()
        self.grid, self.text, self.widths, self.gives_all = tuple(grid), text, list(widths), False
        self.out_channels = self.widths[1]

    def project(self, images: Tensor) -> Tensor:
        """Computes the projected features [B, D] of images, which CLIP compares with texts, without side information."""
        raise NotImplementedError

    def load_imagenet(self, weights: Mapping[str, Tensor] | None) -> None:
        """Says what is wrong with CLIP's weights; those that fit are loaded by the table of CLIP's names.

        Args:
            weights: those of the image encoder that a file has, which do not fit; None: there is no file.
        Raises:
            ConfigError: always.
        """
        if weights is None:
            raise ConfigError(
                f"MODEL.PRETRAIN_PATH: is empty; CLIP's weights are not downloaded here: give the file {self.file} of"
                " openai/CLIP, or MODEL.PRETRAIN_CHOICE none"
            )
        own = {name: value for name, value in self.state_dict().items() if name != "sie_embed"}
        if missing := [name for name in own if name not in weights]:
            raise ConfigError(
                f"MODEL.PRETRAIN_PATH: holds no image encoder of CLIP's: {len(missing)} of {len(own)} tensors are"
                f" missing (first: {missing[0]})"
            )
        wrong = next(name for name in weights if name not in own or weights[name].shape != own[name].shape)
        raise ConfigError(
            f"MODEL.PRETRAIN_PATH: holds another image encoder than {self.file}, whose tensor {wrong} differs"
        )
