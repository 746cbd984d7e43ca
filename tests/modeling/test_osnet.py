"""OSNet and OSNet-AIN against the papers: blocks by their equations, numbers of parameters and operations."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from yacs.config import CfgNode

from configs.defaults import _C
from engine.cost import measure_work
from modeling.backbones import build_backbone
from modeling.backbones.osnet import AggregationGate, AINBlock, OSBlock
from modeling.model import ReIDModel, build_model
from modeling.pretrained import load_pretrained

Weights = Mapping[str, Tensor]


def config(name: str, **settings: object) -> CfgNode:
    cfg = _C.clone()
    cfg.MODEL.update(NAME=name, NECK="no", **settings)
    return cfg


def with_random_norms(module: nn.Module) -> nn.Module:
    """Gives each tensor of one dimension random values, so that scales, shifts and biases count."""
    generator = torch.Generator().manual_seed(3)
    for parameter in module.parameters():
        if parameter.ndim == 1:
            nn.init.uniform_(parameter, 0.5, 1.5, generator=generator)
    return module.double()


def pointwise(x: Tensor, kernel: Tensor) -> Tensor:
    return torch.einsum("oc,bchw->bohw", kernel[:, :, 0, 0], x)


def depthwise(x: Tensor, kernel: Tensor) -> Tensor:
    height, width = x.shape[2:]
    padded = F.pad(x, (1, 1, 1, 1))
    shifts = [(row, column) for row in range(3) for column in range(3)]
    parts = [
        kernel[:, 0, row, column, None, None] * padded[:, :, row : row + height, column : column + width]
        for row, column in shifts
    ]
    return torch.stack(parts).sum(0)


def normalised(x: Tensor, weights: Weights, name: str, over: tuple[int, ...] = (0, 2, 3)) -> Tensor:
    """Batch normalisation in training; instance normalisation over the pixels of each image."""
    centred = x - x.mean(over, keepdim=True)
    scaled = centred / (centred.pow(2).mean(over, keepdim=True) + 1e-5).sqrt()
    return scaled * weights[f"{name}.weight"][:, None, None] + weights[f"{name}.bias"][:, None, None]


def lite(x: Tensor, weights: Weights, name: str) -> Tensor:
    """Lite 3x3: relu(norm(depthwise(pointwise(x))))."""
    linear = pointwise(x, weights[f"{name}.conv1.weight"])
    return normalised(depthwise(linear, weights[f"{name}.conv2.weight"]), weights, f"{name}.bn").clamp(min=0)


def gated(x: Tensor, weights: Weights) -> Tensor:
    """Aggregation gate: G(x) * x, with G a perceptron of one hidden layer on the channels' means."""
    hidden = x.mean((2, 3)) @ weights["gate.fc1.weight"][:, :, 0, 0].t() + weights["gate.fc1.bias"]
    gate = hidden.clamp(min=0) @ weights["gate.fc2.weight"][:, :, 0, 0].t() + weights["gate.fc2.bias"]
    return x / (1 + (-gate).exp())[:, :, None, None]


def streams(first: Tensor, weights: Weights, names: list[list[str]]) -> Tensor:
    """Sum over t of G(F^t(x)) * F^t(x), where F^t is t lite convolutions."""
    total = torch.zeros_like(first)
    for stream in names:
        x = first
        for name in stream:
            x = lite(x, weights, name)
        total = total + gated(x, weights)
    return total


# By the kind of a block, the names of the lite convolutions of its streams.
PLAIN = [["conv2a"], *([f"conv2{letter}.{n}" for n in range(t)] for t, letter in ((2, "b"), (3, "c"), (4, "d")))]
AIN = [[f"conv2.{t}.layers.{n}" for n in range(t + 1)] for t in range(4)]


@pytest.mark.parametrize("before", [64, 24])
@pytest.mark.parametrize("kind", ["plain", "behind", "ain", "inside"])
def test_a_block_is_the_papers(kind: str, before: int) -> None:
    torch.manual_seed(0)
    made: dict[str, Callable[[], nn.Module]] = {
        "plain": lambda: OSBlock(before, 64),
        "behind": lambda: OSBlock(before, 64, norm_behind=True),
        "ain": lambda: AINBlock(before, 64, norm_inside=False),
        "inside": lambda: AINBlock(before, 64, norm_inside=True),
    }
    block = with_random_norms(made[kind]())
    weights = dict(block.named_parameters())
    x = torch.randn(3, before, 5, 4, dtype=torch.float64)
    first = normalised(pointwise(x, weights["conv1.conv.weight"]), weights, "conv1.bn").clamp(min=0)
    names = PLAIN if kind in ("plain", "behind") else AIN
    residual = pointwise(streams(first, weights, names), weights["conv3.conv.weight"])
    norm, over = ("IN", (2, 3)) if kind == "inside" else ("conv3.bn", (0, 2, 3))
    residual = normalised(residual, weights, norm, over)
    shortcut = x
    if before != 64:
        shortcut = normalised(pointwise(x, weights["downsample.conv.weight"]), weights, "downsample.bn")
    total = residual + shortcut
    if kind == "behind":
        total = normalised(total, weights, "IN", over=(2, 3))
    torch.testing.assert_close(block(x), total.clamp(min=0), rtol=1e-10, atol=1e-10)


def test_gradients_are_the_finite_differences() -> None:
    torch.manual_seed(0)
    gate = with_random_norms(AggregationGate(16))
    inputs = [torch.randn(2, 16, 2, 2, dtype=torch.float64, requires_grad=True) for _ in range(2)]
    assert torch.autograd.gradcheck(lambda *values: gate(values), inputs, fast_mode=True)
    for block in (OSBlock(4, 64, norm_behind=True), AINBlock(4, 64, norm_inside=True)):
        double = with_random_norms(block)
        x = torch.randn(2, 4, 3, 2, dtype=torch.float64, requires_grad=True)
        assert torch.autograd.gradcheck(double, (x,), fast_mode=True)


# Millions of parameters and of multiply-accumulate operations at 256 x 128 (Zhou et al., ICCV 2019, widths of OSNet).
@pytest.mark.parametrize(
    ("name", "parameters", "operations"),
    [
        ("osnet_x1_0", 2.2, 978.9),
        ("osnet_x0_75", 1.3, 571.8),
        ("osnet_x0_5", 0.6, 272.9),
        ("osnet_x0_25", 0.2, 82.3),
        ("osnet_ibn_x1_0", 2.2, 978.9),
        ("osnet_ain_x1_0", 2.2, 978.9),
    ],
)
def test_sizes_are_the_papers(name: str, parameters: float, operations: float) -> None:
    with torch.device("meta"):
        model = build_model(config(name), 3)
    found = measure_work(model, (256, 128)).metrics
    assert round(found["model/params_m"], 1) == parameters
    assert round(1000 * found["model/gmacs"], 1) == operations


@pytest.mark.parametrize("name", ["osnet_x0_25", "osnet_ain_x0_25"])
def test_features_are_pooled_and_the_stride_is_fixed(name: str) -> None:
    backbone = build_backbone(config(name, LAST_STRIDE=2))
    assert backbone(torch.rand(2, 3, 64, 32)).shape == (2, 512)
    assert backbone.out_channels == 512
    assert backbone.feature_map(torch.rand(2, 3, 64, 32)).shape == (2, 128, 4, 2)  # type: ignore[operator]
    assert backbone.notes == [
        f"MODEL.LAST_STRIDE is not applied to {name}, whose feature map has a stride of 16 always"
    ]
    assert not build_backbone(config(name)).notes


def test_state_dict_names_are_torchreids() -> None:
    plain, ibn, ain = (
        {key: tuple(value.shape) for key, value in build_backbone(config(name)).state_dict().items()}
        for name in ("osnet_x1_0", "osnet_ibn_x1_0", "osnet_ain_x1_0")
    )
    # Read in deep-person-reid f8cd150, torchreid/models/osnet.py and osnet_ain.py.
    both = {
        "conv1.conv.weight": (64, 3, 7, 7),
        "conv2.0.conv1.bn.running_var": (64,),
        "conv2.0.gate.fc1.bias": (4,),
        "conv2.0.gate.fc2.weight": (64, 4, 1, 1),
        "conv3.0.downsample.conv.weight": (384, 256, 1, 1),
        "conv5.bn.weight": (512,),
        "fc.0.weight": (512, 512),
        "fc.1.running_mean": (512,),
    }
    of_plain = {
        "conv2.0.conv2a.conv1.weight": (64, 64, 1, 1),
        "conv2.1.conv2b.1.conv2.weight": (64, 1, 3, 3),
        "conv4.1.conv2d.3.bn.running_mean": (128,),
        "conv2.2.0.conv.weight": (256, 256, 1, 1),
        "conv3.2.0.bn.bias": (384,),
    }
    of_ain = {
        "conv2.0.conv2.0.layers.0.conv1.weight": (64, 64, 1, 1),
        "conv4.1.conv2.3.layers.3.bn.running_mean": (128,),
        "conv2.0.IN.weight": (256,),
        "conv3.1.IN.bias": (384,),
        "pool2.0.conv.weight": (256, 256, 1, 1),
        "pool3.0.bn.bias": (384,),
    }
    assert (both | of_plain).items() <= plain.items()
    assert (both | of_ain).items() <= ain.items()
    assert ibn.keys() - plain.keys() == {f"conv2.{n}.IN.{kind}" for n in (0, 1) for kind in ("weight", "bias")}
    norms_by_instance = {key.rpartition(".IN.")[0] for key in ain if ".IN." in key}
    assert norms_by_instance == {"conv2.0", "conv2.1", "conv3.1", "conv4.0"}
    assert not any(f"{block}.conv3.bn.weight" in ain for block in norms_by_instance)
    assert "conv1.bn.running_mean" in plain and not {"conv1.bn.running_mean"} & (ibn.keys() | ain.keys())


def published(name: str, classes: int) -> dict[str, Tensor]:
    """A file of torchreid's, with another classifier."""
    torch.manual_seed(1)
    features = build_backbone(config(name))
    classifier = nn.Linear(512, classes)
    return {**features.state_dict(), **{f"classifier.{key}": value for key, value in classifier.state_dict().items()}}


def test_torchreids_file_of_starting_weights_is_taken_with_its_layer_of_features(tmp_path: Path) -> None:
    weights = published("osnet_x0_25", 1000)
    torch.save(weights, tmp_path / "weights.pth")
    cfg = config("osnet_x0_25", PRETRAIN_CHOICE="imagenet", PRETRAIN_PATH=str(tmp_path / "weights.pth"))
    model: ReIDModel = build_model(cfg, 5)
    load_pretrained(cfg, model)
    own = model.base.state_dict()
    assert all(torch.equal(own[key], weights[key]) for key in own)
    assert model.classifier.weight.shape == (5, 512)  # type: ignore[union-attr]


@pytest.mark.slow
@pytest.mark.parametrize("name", ["osnet_ibn_x1_0", "osnet_ain_x0_5"])
def test_it_is_exported(name: str, tmp_path: Path) -> None:
    pytest.importorskip("onnxruntime")
    from engine.export import export_onnx

    cfg = config(name, PRETRAIN_CHOICE="none")
    cfg.INPUT.SIZE_TEST = (64, 32)
    torch.save(build_model(cfg, 3).state_dict(), tmp_path / "weights.pth")
    assert export_onnx(cfg, str(tmp_path / "weights.pth"), tmp_path / "network.onnx").channels == 512
