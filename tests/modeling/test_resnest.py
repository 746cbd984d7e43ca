"""ResNeSt against the paper: a block by its equations, numbers of parameters; and against timm's network at stride 32."""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from yacs.config import CfgNode

from configs.defaults import _C
from modeling.backbones import build_backbone
from modeling.backbones.resnest import SplitAttention, SplitAttentionBottleneck
from modeling.model import build_model
from modeling.pretrained import load_pretrained

Weights = Mapping[str, Tensor]


def config(name: str = "resnest50", **settings: object) -> CfgNode:
    cfg = _C.clone()
    cfg.MODEL.update(NAME=name, **settings)
    return cfg


def with_random_norms(module: nn.Module) -> nn.Module:
    """Gives each tensor of one dimension random values, running statistics too."""
    generator = torch.Generator().manual_seed(3)
    for tensor in module.state_dict().values():
        if tensor.ndim == 1:
            tensor.uniform_(0.5, 1.5, generator=generator)
    return module


def normalised(x: Tensor, weights: Weights, name: str) -> Tensor:
    """Batch normalisation in training."""
    centred = x - x.mean((0, 2, 3), keepdim=True)
    scaled = centred / (centred.pow(2).mean((0, 2, 3), keepdim=True) + 1e-5).sqrt()
    return scaled * weights[f"{name}.weight"][:, None, None] + weights[f"{name}.bias"][:, None, None]


def attended(x: Tensor, weights: Weights, dilation: int) -> Tensor:
    """Split attention with cardinality 1: V_c = a_1c U_1c + a_2c U_2c, where a is a softmax over the two splits U.

    Its scores are a perceptron's of the mean of U_1 + U_2. Each split is a convolution of one half of the channels.
    """
    kernels = weights["conv.weight"].chunk(2)
    halves = [F.conv2d(h, k, padding=dilation, dilation=dilation) for h, k in zip(x.chunk(2, 1), kernels, strict=True)]
    first, second = normalised(torch.cat(halves, 1), weights, "bn0").clamp(min=0).chunk(2, 1)
    means = (first + second).mean((2, 3), keepdim=True)
    hidden = (
        torch.einsum("oc,bcij->boij", weights["fc1.weight"][:, :, 0, 0], means) + weights["fc1.bias"][:, None, None]
    )
    hidden = normalised(hidden, weights, "bn1").clamp(min=0)
    scores = (
        torch.einsum("oc,bcij->boij", weights["fc2.weight"][:, :, 0, 0], hidden) + weights["fc2.bias"][:, None, None]
    )
    one, two = scores.chunk(2, 1)
    return first / (1 + (two - one).exp()) + second / (1 + (one - two).exp())


@pytest.mark.parametrize("dilation", [1, 2])
def test_split_attention_is_the_papers(dilation: int) -> None:
    torch.manual_seed(0)
    layer = with_random_norms(SplitAttention(8, dilation)).double()
    x = torch.randn(3, 8, 6, 5, dtype=torch.float64)
    expected = attended(x, dict(layer.named_parameters()), dilation)
    torch.testing.assert_close(layer(x), expected, rtol=1e-9, atol=1e-9)


def test_gradients_are_the_finite_differences() -> None:
    torch.manual_seed(0)
    shortcut = nn.Sequential(nn.AvgPool2d(2), nn.Conv2d(4, 16, 1))
    block = SplitAttentionBottleneck(4, 4, stride=2, dilation=1, shortcut=shortcut, pools=True)
    x = torch.randn(3, 4, 4, 2, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(with_random_norms(block).double(), (x,), fast_mode=True)


# Millions of parameters with the classifier of ImageNet (Zhang et al., CVPRW 2022).
@pytest.mark.parametrize(
    ("name", "millions"), [("resnest50", 27.5), ("resnest101", 48.3), ("resnest200", 70.2), ("resnest269", 110.9)]
)
def test_parameters_are_the_papers(name: str, millions: float) -> None:
    with torch.device("meta"):
        backbone = build_backbone(config(name))
    classifier = 2048 * 1000 + 1000
    assert round((sum(p.numel() for p in backbone.parameters()) + classifier) / 1e6, 1) == millions


@pytest.mark.skipif(importlib.util.find_spec("timm") is None, reason="timm is not installed")
def test_at_stride_32_it_is_timms_network_with_the_same_names(tmp_path: Path) -> None:
    import timm

    published = with_random_norms(timm.create_model("resnest50d", num_classes=7)).eval()
    torch.save(published.state_dict(), tmp_path / "weights.pth")
    cfg = config(LAST_STRIDE=2, PRETRAIN_CHOICE="imagenet", PRETRAIN_PATH=str(tmp_path / "weights.pth"))
    model = build_model(cfg, 3).eval()
    load_pretrained(cfg, model)
    images = torch.randn(2, 3, 96, 48, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        torch.testing.assert_close(model.base(images), published.forward_features(images), rtol=1e-4, atol=1e-4)  # type: ignore[operator]


def test_the_last_stage_without_a_stride_is_dilated_behind_its_first_block() -> None:
    backbone = build_backbone(config())
    with torch.no_grad():
        assert backbone(torch.zeros(2, 3, 64, 32)).shape == (2, 2048, 4, 2)
    convolutions = {name: m for name, m in backbone.named_modules() if isinstance(m, nn.Conv2d)}
    dilated = {name for name, m in convolutions.items() if m.dilation != (1, 1)}
    assert dilated == {"layer4.1.conv2.conv", "layer4.2.conv2.conv"}
    strided = {name for name, m in convolutions.items() if m.stride != (1, 1)}
    assert strided == {"conv1.0"}
    pooled = {name: m.stride for name, m in backbone.named_modules() if isinstance(m, nn.AvgPool2d) and "avd" in name}
    assert pooled == {"layer2.0.avd_layer": 2, "layer3.0.avd_layer": 2, "layer4.0.avd_layer": 1}


@pytest.mark.slow
def test_it_is_exported(tmp_path: Path) -> None:
    pytest.importorskip("onnxruntime")
    from engine.export import export_onnx

    cfg = config(PRETRAIN_CHOICE="none")
    cfg.INPUT.SIZE_TEST = (64, 32)
    torch.save(build_model(cfg, 3).state_dict(), tmp_path / "weights.pth")
    assert export_onnx(cfg, str(tmp_path / "weights.pth"), tmp_path / "network.onnx").channels == 2048
