from __future__ import annotations

import re
import zlib
from typing import Any

import numpy as np
import pytest
import torch
from yacs.config import CfgNode

from configs.defaults import _C, CHOICES
from modeling.backbones import BACKBONES, build_backbone
from modeling.heads.layers import GeM
from modeling.model import ReIDModel, build_model, resolve_device


def weights_by_rule(model: torch.nn.Module) -> dict[str, torch.Tensor]:
    """Weights that are a function of their names."""
    weights = {}
    for name, tensor in model.state_dict().items():
        rng = np.random.default_rng(zlib.crc32(name.encode()))
        shape = tuple(tensor.shape)
        values: Any
        if name.endswith("num_batches_tracked"):
            values = np.zeros(shape)
        elif name.endswith("running_var"):
            values = 1 + 0.1 * rng.random(shape)
        elif name.endswith("running_mean"):
            values = 0.05 * rng.standard_normal(shape)
        elif len(shape) == 4:
            values = rng.standard_normal(shape) * np.sqrt(2 / np.prod(shape[1:]))
        elif len(shape) == 1 and name.endswith("weight"):
            values = 0.5 + 0.05 * rng.standard_normal(shape)
        else:
            values = (0.01 if len(shape) == 2 else 0.02) * rng.standard_normal(shape)
        weights[name] = torch.from_numpy(np.asarray(values)).to(tensor.dtype)
    return weights


def images() -> torch.Tensor:
    return torch.from_numpy(np.random.default_rng(7).standard_normal((2, 3, 64, 32)).astype(np.float32))


def config(name: str, **settings: object) -> CfgNode:
    """Defaults with a network's name and further settings of MODEL."""
    cfg = _C.clone()
    cfg.MODEL.update(NAME=name, **settings)
    return cfg


def network(name: str = "resnet18", neck: bool = True, neck_feat: str = "after", stem_relu: bool = False) -> ReIDModel:
    cfg = config(name, STEM_RELU=stem_relu, NECK="bnneck" if neck else "no", CHANNELS_LAST=False)
    cfg.TEST.NECK_FEAT = neck_feat
    return build_model(cfg, 13)


# Computed with this network once it agreed with reid-strong-baseline 3da7e6f on that project's own outputs.
@pytest.mark.parametrize(
    ("name", "neck", "neck_feat", "first", "norm"),
    [
        ("resnet18", True, "after", [0.0553383, 0.025088, 0.0522723], 2.62856),
        ("resnet18", True, "before", [0.155307, 0.00119113, 0.0636787], 5.01184),
        ("resnet18", False, "after", [0.155307, 0.00119113, 0.0636787], 5.01184),
        ("resnet50", True, "after", [-0.000681508, 0.0974595, 0.0257701], 3.67938),
        ("resnet50_ibn_a", True, "after", [0.036999, 0.115196, 0.0257701], 4.18606),
        ("se_resnext50", True, "after", [0.00580807, 0.0495293, 0.026204], 3.10705),
    ],
)
def test_features_are_the_originals(name: str, neck: bool, neck_feat: str, first: list[float], norm: float) -> None:
    model = network(name, neck, neck_feat)
    model.load_state_dict(weights_by_rule(model))
    model.eval()
    with torch.no_grad():
        features = model(images())
    torch.testing.assert_close(features[0, :3], torch.tensor(first), rtol=1e-4, atol=1e-5)
    assert float(features.norm()) == pytest.approx(norm, rel=1e-4)


# Computed with these networks once they gave the same bits as timm's legacy_seresnet50 and legacy_senet154, and as
# torchvision's mobilenet_v2, with last_stride 2.
@pytest.mark.parametrize(
    ("name", "first", "norm"),
    [
        ("se_resnet50", [-0.0057276, 0.0751404, 0.0257701], 3.09681),
        ("mobilenet_v2", [-0.027244, 0.0245318, 0.0301955], 1.73071),
        pytest.param("senet154", [-0.0380423, 0.0504282, 0.0257701], 2.50865, marks=pytest.mark.slow),
    ],
)
def test_features_are_the_published_networks(name: str, first: list[float], norm: float) -> None:
    test_features_are_the_originals(name, True, "after", first, norm)


def test_the_stems_relu_is_a_switch() -> None:
    features = []
    for stem_relu in (False, True):
        model = network(stem_relu=stem_relu)
        model.load_state_dict(weights_by_rule(model))
        model.eval()
        with torch.no_grad():
            features.append(model(images()))
    assert not torch.allclose(features[0], features[1], rtol=1e-2)


def test_state_dict_names_are_the_originals() -> None:
    names = list(network().state_dict())
    assert names[:2] == ["base.conv1.weight", "base.bn1.weight"]
    assert "base.layer2.0.downsample.1.running_var" in names
    assert names[-6:] == [
        "bottleneck.weight",
        "bottleneck.bias",
        "bottleneck.running_mean",
        "bottleneck.running_var",
        "bottleneck.num_batches_tracked",
        "classifier.weight",
    ]
    assert len(names) == 126
    assert list(network(neck=False).state_dict())[-2:] == ["classifier.weight", "classifier.bias"]


@pytest.mark.parametrize(("last_stride", "size"), [(1, (4, 2)), (2, (2, 1))])
@pytest.mark.parametrize(("name", "channels"), [("resnet18", 512), ("resnet50", 2048)])
def test_last_stride_sets_the_feature_maps_size(
    name: str, channels: int, last_stride: int, size: tuple[int, int]
) -> None:
    backbone = build_backbone(config(name, LAST_STRIDE=last_stride))
    with torch.no_grad():
        assert backbone(images()).shape == (2, channels, *size)
    assert backbone.out_channels == channels


def test_in_training_the_loss_sees_scores_and_features_before_the_neck() -> None:
    model = network()
    [branch] = model(images())
    scores, features = branch.scores, branch.features
    assert scores.shape == (2, 13)
    expected = model.classifier(torch.nn.functional.batch_norm(features, None, None, training=True))
    torch.testing.assert_close(scores, expected, rtol=1e-4, atol=1e-5)


def test_the_necks_bias_is_frozen() -> None:
    model = network()
    assert {name for name, p in model.named_parameters() if not p.requires_grad} == {"bottleneck.bias"}


def test_every_name_that_is_allowed_is_built() -> None:
    assert CHOICES["MODEL.NAME"] == BACKBONES.names
    cfg = _C.clone()
    depths = {}
    for cfg.MODEL.NAME in BACKBONES.names:
        with torch.device("meta"):
            model = build_model(cfg, 3)
        depths[cfg.MODEL.NAME] = 1 + sum(
            isinstance(m, torch.nn.Conv2d) and not re.search("downsample|se_module", key)
            for key, m in model.base.named_modules()
        )
    named_by_depth = [name for name in BACKBONES.names if re.match("resnet|se_|senet", name)]
    expected = {name: int(re.search(r"\d+", name)[0]) for name in named_by_depth}  # type: ignore[index]
    assert expected | {"mobilenet_v2": 53} == {name: depths[name] for name in (*named_by_depth, "mobilenet_v2")}


def test_mobilenets_last_stride_sets_the_feature_maps_size() -> None:
    for last_stride, size in ((1, (4, 2)), (2, (2, 1))):
        backbone = build_backbone(config("mobilenet_v2", LAST_STRIDE=last_stride))
        with torch.no_grad():
            assert backbone(images()).shape == (2, backbone.out_channels, *size)


def test_gem_is_the_generalised_mean_and_learns_its_exponent() -> None:
    pool = GeM()
    maps = torch.rand(2, 3, 4, 2, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(pool(maps)[:, :, 0, 0], maps.pow(3).mean((2, 3)).pow(1 / 3))
    torch.autograd.backward(pool(maps).sum())
    assert float(pool.p.grad) > 0  # towards the maximum
    cfg = _C.clone()
    cfg.MODEL.NAME, cfg.MODEL.POOLING = "resnet18", "gem"
    assert "gap.p" in build_model(cfg, 3).state_dict()


@pytest.mark.parametrize("kind", ["cosface", "arcface", "circle"])
def test_margin_losses_see_cosines(kind: str) -> None:
    cfg = _C.clone()
    cfg.MODEL.NAME, cfg.MODEL.ID_LOSS_TYPE = "resnet18", kind
    model = build_model(cfg, 3)
    cosines = model.classifier(1000 * torch.cat([model.classifier.weight, -model.classifier.weight]))
    torch.testing.assert_close(cosines.diagonal(), torch.ones(3))
    torch.testing.assert_close(cosines[3:].diagonal(), -torch.ones(3))


@pytest.mark.parametrize(("precision", "tolerance"), [("bf16", 0.05), ("fp16", 0.01)])
def test_lower_precision_gives_nearly_the_same_float32_features(precision: str, tolerance: float) -> None:
    features = {}
    for cfg_precision in ("fp32", precision):
        cfg = _C.clone()
        cfg.MODEL.NAME, cfg.MODEL.PRECISION = "resnet18", cfg_precision
        model = build_model(cfg, 3)
        model.load_state_dict(weights_by_rule(model))
        model.eval()
        with torch.no_grad():
            features[cfg_precision] = model(images())
    full, lower = features["fp32"], features[precision]
    assert lower.dtype == torch.float32
    assert 1e-6 < float((lower - full).norm() / full.norm()) < tolerance


def test_auto_takes_the_best_device_there_is() -> None:
    best = "cuda" if torch.cuda.is_available() else "mps" if torch.backends.mps.is_available() else "cpu"
    assert resolve_device("auto").type == best
    assert resolve_device("cpu").type == "cpu"


def test_a_device_that_is_not_there_is_told() -> None:
    with pytest.raises(ValueError, match=r"cuda:99 is not"):
        resolve_device("cuda:99")
