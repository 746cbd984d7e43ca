"""Multiple Granularity Network against the paper: its feature maps, its head by the equations, its losses."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from yacs.config import CfgNode

from configs.defaults import _C
from modeling.backbones import build_backbone
from modeling.backbones.layers import number_layers
from modeling.heads.mgn import MGN, Granularity, stripe
from modeling.losses.criterion import build_criterion
from modeling.model import build_model
from modeling.pretrained import load_pretrained
from utils.errors import ConfigError

HEADS = ["b1_head", "b2_head", "b21_head", "b22_head", "b3_head", "b31_head", "b32_head", "b33_head"]
GLOBAL = [0, 1, 4]  # places of the global features in that order


def config(name: str = "resnet18", **settings: object) -> CfgNode:
    """The paper's network: maximum pooling, no neck, half the size in the global branch."""
    cfg = _C.clone()
    cfg.MODEL.update(NAME=name, HEAD="mgn", PRETRAIN_CHOICE="none", NECK="no", POOLING="max", LAST_STRIDE=2)
    cfg.MODEL.update(settings)
    return cfg


def images() -> Tensor:
    return torch.randn(4, 3, 96, 32, generator=torch.Generator().manual_seed(1))


@pytest.fixture(scope="module")
def network() -> MGN:
    torch.manual_seed(0)
    model = build_model(config(), 5)
    assert isinstance(model, MGN)
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.weight, 0.5, 1.5)
            nn.init.uniform_(module.bias, -0.5, 0.5)
    return model


def test_each_branch_begins_as_the_plain_network_and_stripes_keep_the_size() -> None:
    torch.manual_seed(0)
    plain = {stride: build_backbone(config(LAST_STRIDE=stride)).eval() for stride in (2, 1)}
    plain[1].load_state_dict(plain[2].state_dict())
    torch.manual_seed(0)
    maps = build_model(config(), 5).eval().base(images())
    assert [tuple(found.shape) for found in maps] == [(4, 512, 3, 1), (4, 512, 6, 2), (4, 512, 6, 2)]
    for found, stride in zip(maps, (2, 1, 1), strict=True):
        torch.testing.assert_close(found, plain[stride](images()))
    with_stride_1 = build_model(config(LAST_STRIDE=1), 5).base(images())
    assert {tuple(found.shape) for found in with_stride_1} == {(4, 512, 6, 2)}


def head(maps: list[Tensor], model: MGN) -> list[tuple[Tensor, Tensor]]:
    """The paper's head in training: reduced features f and scores of each granularity.

    z is the maximum over the whole map or a stripe, f = relu(norm(W z)); scores are U z of global features, else U f.
    """
    weights = {name: value for name, value in model.named_parameters() if "_head" in name}
    rows = [slice(0, 3), *(slice(*part) for part in ((0, 6), (0, 3), (3, 6), (0, 6), (0, 2), (2, 4), (4, 6)))]
    found = []
    for place, (name, part) in enumerate(zip(HEADS, rows, strict=True)):
        z = maps[int(name[1]) - 1][:, :, part].flatten(2).max(2).values
        reduced = z @ weights[f"{name}.reduction.0.weight"][:, :, 0, 0].t()
        scaled = (reduced - reduced.mean(0)) / (reduced.var(0, unbiased=False) + 1e-5).sqrt()
        f = scaled * weights[f"{name}.reduction.1.weight"] + weights[f"{name}.reduction.1.bias"]
        f = f.clamp(min=0)
        found.append((f, (z if place in GLOBAL else f) @ weights[f"{name}.classifier.weight"].t()))
    return found


def test_the_head_is_the_papers(network: MGN) -> None:
    model = copy.deepcopy(network).double().train()
    maps = model.base(images().double())
    branches: Any = model.branches(maps)
    for branch, (features, scores) in zip(branches, head(maps, model), strict=True):
        torch.testing.assert_close(branch.features, features, rtol=1e-9, atol=1e-9)
        torch.testing.assert_close(branch.scores, scores, rtol=1e-9, atol=1e-9)
        assert branch.necked is branch.features
    assert [place for place, branch in enumerate(branches) if branch.for_pairs] == GLOBAL
    assert not any(name.endswith("classifier.bias") for name in model.state_dict())
    model.eval()
    joined = model(images().double())
    assert joined.shape == (4, 8 * 256) == (4, model.channels)
    torch.testing.assert_close(joined[:, 512:768], model.branches(model.base(images().double()))[2].features)


def test_all_features_are_classified_and_global_ones_compared(network: MGN) -> None:
    cfg = config(IF_LABELSMOOTH="off")
    cfg.SOLVER.MARGIN = 1.2
    model = copy.deepcopy(network).double().train()
    pids = torch.tensor([0, 0, 3, 3])
    branches: Any = model(images().double())
    expected = torch.zeros((), dtype=torch.float64)
    for branch in branches:
        expected += (branch.scores.logsumexp(1) - branch.scores[range(4), pids]).mean()
    for place in GLOBAL:
        f = branches[place].features.detach()
        distance = [[float((a - b).norm()) for b in f] for a in f]
        hinges = [
            max(max(row[a], row[b]) - min(row[c], row[d]) + 1.2, 0.0)
            for row, (a, b, c, d) in zip(
                distance, [(0, 1, 2, 3), (0, 1, 2, 3), (2, 3, 0, 1), (2, 3, 0, 1)], strict=True
            )
        ]
        expected += sum(hinges) / 4
    found = build_criterion(cfg, 5, model.widths)(branches, pids)
    torch.testing.assert_close(found, expected, rtol=1e-6, atol=1e-6)


def test_with_a_neck_it_takes_the_place_of_the_reductions_normalisation() -> None:
    layers = Granularity(config(NECK="bnneck"), 8, 5, is_global=True).train()
    x = torch.rand(4, 8, 3, 2)
    branch = layers(x)
    linear = x.amax((2, 3)) @ layers.reduction[0].weight[:, :, 0, 0].t()
    torch.testing.assert_close(branch.features, linear)
    necked = F.batch_norm(linear, None, None, training=True)
    torch.testing.assert_close(branch.necked, necked, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(branch.scores, necked @ layers.classifier.weight.t(), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("neck", ["no", "bnneck"])
def test_gradients_are_the_finite_differences(neck: str) -> None:
    torch.manual_seed(0)
    layers = Granularity(config(NECK=neck), 4, 3, is_global=True).double().train()
    x = torch.randn(3, 4, 2, 2, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda value: layers(value)[:3], (x,), fast_mode=True)


@pytest.mark.parametrize("height", [2, 5, 6, 16])
def test_stripes_cover_any_height(height: int) -> None:
    feature_map = torch.rand(2, 3, height, 2)
    found = torch.stack([stripe(feature_map, number, 3).amax((2, 3)) for number in range(3)], 2)
    assert torch.equal(found, F.adaptive_max_pool2d(feature_map, (3, 1))[..., 0])


# Parameters of the paper's backbone, ResNet-50 (He et al., CVPR 2016), in torchvision: all but the classifier, stage 4,
# stage 3, and the first block of stage 3.
ALL, FOURTH, THIRD, FIRST_OF_THIRD = 23_508_032, 14_964_736, 7_098_368, 1_512_448


def test_parameters_are_three_tails_and_eight_reductions() -> None:
    with torch.device("meta"):
        model = build_model(config("resnet50"), 751)
    base = sum(parameter.numel() for parameter in model.base.parameters())
    assert base == ALL + 2 * (FOURTH + THIRD - FIRST_OF_THIRD)
    whole = sum(parameter.numel() for parameter in model.parameters())
    assert whole - base == 8 * (2048 * 256 + 2 * 256) + 751 * (3 * 2048 + 5 * 256)


def test_layers_are_numbered_as_in_the_plain_network(network: MGN) -> None:
    plain = number_layers(build_backbone(config()))
    found = number_layers(network.base)
    assert found.keys() == dict(network.base.named_parameters()).keys()
    assert found["trunk.conv1.weight"] == plain["conv1.weight"]
    assert found["trunk.layer3.0.conv1.weight"] == plain["layer3.0.conv1.weight"]
    for branch in ("b1", "b2", "b3"):
        assert found[f"{branch}.0.0.bn2.bias"] == plain["layer3.1.bn2.bias"]
        assert found[f"{branch}.1.1.conv2.weight"] == plain["layer4.1.conv2.weight"] == max(plain.values())


@pytest.mark.parametrize("prefix", ["", "module.encoder_q."])
def test_weights_of_the_plain_network_are_those_of_every_branch(prefix: str, tmp_path: Path) -> None:
    from torchvision.models import resnet18

    weights = resnet18().state_dict()
    torch.save({f"{prefix}{name}": value for name, value in weights.items()}, tmp_path / "weights.pth")
    cfg = config(PRETRAIN_CHOICE="imagenet", PRETRAIN_PATH=str(tmp_path / "weights.pth"))
    model = build_model(cfg, 5)
    load_pretrained(cfg, model)
    own = model.base.state_dict()
    assert torch.equal(own["trunk.layer3.0.conv1.weight"], weights["layer3.0.conv1.weight"])
    for branch in ("b1", "b2", "b3"):
        assert torch.equal(own[f"{branch}.0.0.conv1.weight"], weights["layer3.1.conv1.weight"])
        assert torch.equal(own[f"{branch}.1.0.downsample.1.running_var"], weights["layer4.0.downsample.1.running_var"])
    del weights["layer4.1.conv1.weight"]
    torch.save(weights, tmp_path / "weights.pth")
    with pytest.raises(ConfigError, match=r"tensors 3 missing \(first: base\.b1\.1\.1\.conv1\.weight\)"):
        load_pretrained(cfg, model)


def test_fast_reids_mgn_is_read(tmp_path: Path) -> None:
    cfg = config(NECK="bnneck", POOLING="gem", LAST_STRIDE=1, STEM_RELU=True, STEM_POOLING="ceil")
    ours = build_model(cfg, 5)
    # Read in fast-reid c9bc3ce, fastreid/modeling/meta_arch/mgn.py and heads/embedding_head.py.
    trunk = {"conv1": "0", "bn1": "1", "layer1": "4", "layer2": "5", "layer3.0": "6"}
    theirs: dict[str, Tensor] = {"pixel_mean": torch.zeros(1, 3, 1, 1)}
    for name, value in ours.state_dict().items():
        value = torch.rand_like(value, dtype=torch.float32).to(value.dtype)
        if name.startswith("base.trunk."):
            part = next(part for part in trunk if name.startswith(f"base.trunk.{part}."))
            theirs[f"backbone.{trunk[part]}.{name.removeprefix(f'base.trunk.{part}.')}"] = value
        elif name.startswith("base."):
            theirs[name.removeprefix("base.")] = value
        else:
            head, _, rest = name.partition(".")
            renamed = {
                "reduction.0.weight": "bottleneck.0.weight",
                "gap.p": "pool_layer.p",
                "classifier.weight": "weight",
            }
            theirs[f"{head}.{renamed.get(rest, rest.replace('bottleneck.', 'bottleneck.1.'))}"] = value
    torch.save({"model": theirs}, tmp_path / "weights.pth")
    cfg.MODEL.update(PRETRAIN_CHOICE="self", PRETRAIN_PATH=str(tmp_path / "weights.pth"))
    line = load_pretrained(cfg, ours)
    assert "read as fast-reid's MGN's" in line and "this one does not" not in line
    own = ours.state_dict()
    assert torch.equal(own["base.trunk.layer3.0.conv1.weight"], theirs["backbone.6.conv1.weight"])
    assert torch.equal(own["base.b3.1.0.downsample.1.bias"], theirs["b3.1.0.downsample.1.bias"])
    assert torch.equal(own["b31_head.reduction.0.weight"], theirs["b31_head.bottleneck.0.weight"])
    assert torch.equal(own["b22_head.bottleneck.running_mean"], theirs["b22_head.bottleneck.1.running_mean"])
    assert torch.equal(own["b1_head.classifier.weight"], theirs["b1_head.weight"])


@pytest.mark.parametrize("name", ["mobilenet_v2", "osnet_x0_25"])
def test_a_backbone_without_stages_is_refused_in_a_line(name: str) -> None:
    with pytest.raises(
        ConfigError, match=rf"^MODEL\.HEAD: mgn needs a backbone of four stages, .* which {name} has not$"
    ):
        build_model(config(name), 5)


@pytest.mark.slow
@pytest.mark.parametrize("neck", ["no", "bnneck"])
def test_it_is_exported(neck: str, tmp_path: Path) -> None:
    pytest.importorskip("onnxruntime")
    from engine.export import export_onnx

    cfg = config(NECK=neck, POOLING="max" if neck == "no" else "gem")
    cfg.INPUT.SIZE_TEST = (96, 32)
    torch.save(build_model(cfg, 3).state_dict(), tmp_path / "weights.pth")
    assert export_onnx(cfg, str(tmp_path / "weights.pth"), tmp_path / "network.onnx").channels == 2048
