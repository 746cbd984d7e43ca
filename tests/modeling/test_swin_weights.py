"""Swin Transformers from other people's files: names, and the order in which four patches are merged."""

from __future__ import annotations

import importlib.util
import math
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn
from torchvision.models.swin_transformer import SwinTransformer
from yacs.config import CfgNode

from configs.defaults import _C
from modeling.backbones.swin import Architecture, SwinBackbone
from modeling.model import ReIDModel, build_model
from modeling.pretrained import load_pretrained
from modeling.weights.tables.swin import SOLIDER, SOLIDER_REID, SWIN, SWIN_TIMM
from tests.modeling.test_swin import attention, linear, norm
from utils.errors import ConfigError, TrainerError

needs_timm = pytest.mark.skipif(importlib.util.find_spec("timm") is None, reason="timm is not installed")

SMALL = Architecture(4, (2, 1, 1, 2), (1, 2, 1, 2))
Weights = dict[str, Tensor]


def build(cfg: CfgNode) -> SwinBackbone:
    return SwinBackbone(SMALL, semantic_weight=cfg.MODEL.SEMANTIC_WEIGHT)


def started(
    content: object, folder: Path, choice: str = "imagenet", semantic_weight: float = -1.0
) -> tuple[ReIDModel, str]:
    """Starts a network from a file; returns it, in float64, and the line for the log."""
    torch.save(content, folder / "theirs.pth")
    cfg = _C.clone()
    cfg.MODEL.update(NAME=f"{__file__}:build", PRETRAIN_CHOICE=choice, PRETRAIN_PATH=str(folder / "theirs.pth"))
    cfg.MODEL.SEMANTIC_WEIGHT = semantic_weight
    model = build_model(cfg, 3)
    line = load_pretrained(cfg, model)
    return model.double().eval(), line


def solider() -> Weights:
    """Makes weights with the names and shapes of tinyvision/SOLIDER, swin_transformer.py, in a MultiCropCondWrapper."""
    shapes: dict[str, tuple[int, ...]] = {"patch_embed.projection.weight": (4, 3, 4, 4)}
    shapes |= {f"patch_embed.{name}": (4,) for name in ("projection.bias", "norm.weight", "norm.bias")}
    for stage, (depth, heads) in enumerate(zip(SMALL.depths, SMALL.heads, strict=True)):
        width = 4 * 2**stage
        for block in range(depth):
            name = f"stages.{stage}.blocks.{block}"
            for number in (1, 2):
                shapes |= {f"{name}.norm{number}.weight": (width,), f"{name}.norm{number}.bias": (width,)}
            shapes |= {f"{name}.attn.w_msa.relative_position_bias_table": (169, heads)}
            layers = {
                "attn.w_msa.qkv": (3, 1),
                "attn.w_msa.proj": (1, 1),
                "ffn.layers.0.0": (4, 1),
                "ffn.layers.1": (1, 4),
            }
            for layer, (after, before) in layers.items():
                shapes |= {
                    f"{name}.{layer}.weight": (after * width, before * width),
                    f"{name}.{layer}.bias": (after * width,),
                }
        if stage < 3:
            name = f"stages.{stage}.downsample"
            shapes |= {f"{name}.norm.weight": (4 * width,), f"{name}.norm.bias": (4 * width,)}
            shapes |= {f"{name}.reduction.weight": (2 * width, 4 * width)}
        shapes |= {f"norm{stage}.weight": (width,), f"norm{stage}.bias": (width,)}
        for part in ("w", "b"):
            behind = min(2 * width, 32)
            shapes |= {
                f"semantic_embed_{part}.{stage}.weight": (behind, 2),
                f"semantic_embed_{part}.{stage}.bias": (behind,),
            }
    torch.manual_seed(0)
    weights = {name: torch.randn(shape) / 2 for name, shape in shapes.items()}
    index = torch.zeros(49, 49, dtype=torch.long)
    weights |= {
        f"stages.{stage}.blocks.{block}.attn.w_msa.relative_position_index": index
        for stage, depth in enumerate(SMALL.depths)
        for block in range(depth)
    }
    return weights


def unfolded(x: Tensor, weights: Weights, name: str) -> Tensor:
    """Merges patches [H, W, C] as mmdetection and SOLIDER do: taken apart by nn.Unfold, normalised, reduced."""
    height, width, _channels = x.shape
    padded = nn.functional.pad(x.permute(2, 0, 1)[None], (0, width % 2, 0, height % 2))
    joined = nn.Unfold(2, stride=2)(padded)[0].T.view(-(-height // 2), -(-width // 2), -1)
    return linear(norm(joined, weights, f"{name}.norm"), weights, f"{name}.reduction")


def solider_feature(image: Tensor, weights: Weights, semantic_weight: float) -> Tensor:
    """Computes SOLIDER's feature [C] of an image [3, H, W], whose sides are multiples of 4, from weights in its names."""
    kernel, bias = weights["patch_embed.projection.weight"], weights["patch_embed.projection.bias"]
    patches = nn.functional.conv2d(image[None], kernel, bias, stride=4)[0].permute(1, 2, 0)
    x = norm(patches, weights, "patch_embed.norm")
    for stage, (depth, heads) in enumerate(zip(SMALL.depths, SMALL.heads, strict=True)):
        for block in range(depth):
            name, shift = f"stages.{stage}.blocks.{block}", (3, 3) if block % 2 else (0, 0)
            x = x + attention(norm(x, weights, f"{name}.norm1"), weights, f"{name}.attn.w_msa", heads, shift)
            hidden = nn.functional.gelu(linear(norm(x, weights, f"{name}.norm2"), weights, f"{name}.ffn.layers.0.0"))
            x = x + linear(hidden, weights, f"{name}.ffn.layers.1")
        if stage < 3:
            x = unfolded(x, weights, f"stages.{stage}.downsample")
            shares = torch.tensor([semantic_weight, 1 - semantic_weight], dtype=x.dtype)
            scale = nn.functional.softplus(linear(shares, weights, f"semantic_embed_w.{stage}"))
            x = x * scale + linear(shares, weights, f"semantic_embed_b.{stage}")
    return norm(x, weights, "norm3").mean((0, 1))


def under(prefix: str, values: Weights) -> Weights:
    return {f"{prefix}{name}": value for name, value in values.items()}


def doubles(values: Weights) -> Weights:
    return {name: value.double() if value.is_floating_point() else value for name, value in values.items()}


HEAD = {
    "head.mlp.0.weight": torch.zeros(8, 32),
    "head.mlp.0.bias": torch.zeros(8),
    "head.last_layer.weight_g": torch.zeros(9, 1),
}


@pytest.mark.parametrize("whole", [True, False])
def test_soliders_file_gives_its_features(whole: bool, tmp_path: Path) -> None:
    """The file that its training writes, and what its convert_model.py makes of it."""
    teacher = {**under("backbone.", solider()), **HEAD}
    student = under("module.", {name: torch.zeros_like(value) for name, value in teacher.items()})
    content = {"student": student, "teacher": teacher, "optimizer": {"state": {}}, "epoch": 9} if whole else teacher
    model, line = started(content, tmp_path, semantic_weight=0.2)
    assert line.endswith("read as SOLIDER's (backbone.stages.* → base.features.*)")
    image = torch.randn(3, 64, 48, dtype=torch.float64)
    with torch.no_grad():
        found = model.base(image[None]).mean((2, 3))[0]
    torch.testing.assert_close(found, solider_feature(image, doubles(solider()), 0.2), rtol=1e-9, atol=1e-9)


def test_solider_reids_checkpoint_gives_its_features_and_its_head(tmp_path: Path) -> None:
    neck = {
        "weight": torch.rand(32),
        "bias": torch.zeros(32),
        "running_mean": torch.rand(32),
        "running_var": torch.rand(32),
    }
    head = {**under("bottleneck.", neck), "classifier.weight": torch.rand(3, 32)}
    model, line = started({**under("base.", solider()), **head}, tmp_path, "self", semantic_weight=0.2)
    assert line.endswith("read as SOLIDER-REID's (base.stages.* → base.features.*)")
    image = torch.randn(3, 64, 48, dtype=torch.float64)
    feature = solider_feature(image, doubles(solider()), 0.2)
    scaled = (feature - neck["running_mean"]) / (neck["running_var"].double() + 1e-5).sqrt() * neck["weight"]
    with torch.no_grad():
        torch.testing.assert_close(model(image[None])[0], scaled, rtol=1e-9, atol=1e-9)
    assert torch.equal(model.classifier.weight, head["classifier.weight"].double())
    _model, line = started({**under("base.", solider()), **head}, tmp_path, "self", semantic_weight=0.5)
    assert line.endswith("SOLIDER-REID's network has MODEL.SEMANTIC_WEIGHT 0.2, this one does not")


def test_the_controller_is_in_the_weights_and_in_the_network_or_in_neither(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"tensors 12 unknown \(first: backbone\.semantic_embed_b\.0\.bias\)"):
        started({**under("backbone.", solider()), **HEAD}, tmp_path)
    plain = {name: value for name, value in solider().items() if "semantic" not in name}
    with pytest.raises(ConfigError, match=r"tensors 12 missing \(first: base\.semantic_embed_b\.0\.bias\)"):
        started({**under("backbone.", plain), **HEAD}, tmp_path, semantic_weight=0.2)


def test_torchvisions_file_is_taken(tmp_path: Path) -> None:
    theirs = SwinTransformer([4, 4], SMALL.channels, list(SMALL.depths), list(SMALL.heads), [7, 7])
    model, line = started(theirs.state_dict(), tmp_path)
    assert line.startswith("Starting from ImageNet weights of")
    theirs.double().eval()
    images = torch.randn(1, 3, 224, 224, dtype=torch.float64)
    with torch.no_grad():
        expected = theirs.permute(theirs.norm(theirs.features(images)))
        torch.testing.assert_close(model.base(images), expected)


@needs_timm
@pytest.mark.parametrize("microsoft", [False, True])
def test_timms_and_microsofts_files_give_their_features(microsoft: bool, tmp_path: Path) -> None:
    from timm.models.swin_transformer import SwinTransformer as Timm

    torch.manual_seed(0)
    theirs = Timm(img_size=224, embed_dim=SMALL.channels, depths=SMALL.depths, num_heads=SMALL.heads, num_classes=7)
    for parameter in theirs.parameters():
        nn.init.normal_(parameter, std=0.5)
    content: object = theirs.state_dict()
    if microsoft:  # models/swin_transformer.py there: a merging ends a stage, and there are constants
        names = {f"layers.{stage}.downsample.": f"layers.{stage - 1}.downsample." for stage in (1, 2, 3)}
        moved = {}
        for name, value in theirs.state_dict().items():
            old = next((old for old in names if name.startswith(old)), None)
            moved[names[old] + name.removeprefix(old) if old else name.replace("head.fc.", "head.")] = value
        constants = {
            "layers.0.blocks.1.attn_mask": torch.zeros(64, 49, 49),
            "layers.0.blocks.1.attn.relative_position_index": torch.zeros(49, 49, dtype=torch.long),
        }
        content = {"model": {**moved, **constants}, "epoch": 300}
    model, line = started(content, tmp_path)
    assert f"read as {'Microsoft' if microsoft else 'timm'}'s" in line
    images = torch.randn(1, 3, 224, 224, dtype=torch.float64)
    with torch.no_grad():
        expected = theirs.double().eval().forward_features(images).permute(0, 3, 1, 2)
        torch.testing.assert_close(model.base(images), expected)


def test_biases_of_larger_windows_are_resized(tmp_path: Path) -> None:
    """Bicubic interpolation (Keys, 1981, with a = -0.75), here as a product with matrices."""
    wide, narrow = 23, 13
    weights = under("backbone.", solider())
    name = "backbone.stages.0.blocks.0.attn.w_msa.relative_position_bias_table"
    table = weights[name] = torch.randn(wide * wide, 1)
    model, _line = started({**weights, **HEAD}, tmp_path, semantic_weight=0.2)
    taps = torch.zeros(narrow, wide, dtype=torch.float64)
    for place in range(narrow):
        centre = (place + 0.5) * wide / narrow - 0.5
        for tap in range(math.floor(centre) - 1, math.floor(centre) + 3):
            x = abs(centre - tap)
            weight = 1.25 * x**3 - 2.25 * x**2 + 1 if x <= 1 else -0.75 * (x**3 - 5 * x**2 + 8 * x - 4)
            taps[place, min(max(tap, 0), wide - 1)] += weight
    found = model.base.features[1][0].attn.relative_position_bias_table.view(narrow, narrow)
    torch.testing.assert_close(found, taps @ table.double().view(wide, wide) @ taps.T, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("format", [SWIN, SWIN_TIMM, SOLIDER, SOLIDER_REID], ids=lambda format: format.name)
def test_names_and_values_come_back(format: object) -> None:
    torch.manual_seed(0)
    backbone = SwinBackbone(SMALL, semantic_weight=0.2 if "solider" in format.name else -1.0)
    expected = under("base.", backbone.state_dict())
    for ours, value in expected.items():
        theirs, rule = format.to_theirs(ours)
        written = rule.change.write(value) if rule.change and rule.change.write else value
        back, again = format.to_ours(theirs, expected)
        assert back == ours
        read = again.change.read(written, value, backbone) if again.change else written
        assert torch.equal(read, value)


def test_what_torchvision_does_not_have_is_not_downloaded(tmp_path: Path) -> None:
    cfg = _C.clone()
    cfg.MODEL.update(NAME=f"{__file__}:build", PRETRAIN_CHOICE="imagenet", SEMANTIC_WEIGHT=0.2)
    with pytest.raises(
        TrainerError, match=r"^there is no download of starting weights for a network with SOLIDER's controller; "
    ):
        load_pretrained(cfg, build_model(cfg, 3))
