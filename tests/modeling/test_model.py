from __future__ import annotations

import zlib
from typing import Any

import numpy as np
import pytest
import torch

from configs.defaults import _C, CHOICES
from modeling.backbones import NAMES, build_backbone
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


def network(name: str = "resnet18", neck: bool = True, neck_feat: str = "after", stem_relu: bool = False) -> ReIDModel:
    backbone, channels = build_backbone(name, last_stride=1, stem_relu=stem_relu)
    return ReIDModel(backbone, channels, 13, neck=neck, neck_feat=neck_feat)


# Computed with this network once it agreed with reid-strong-baseline 3da7e6f on that project's own outputs.
@pytest.mark.parametrize(
    ("name", "neck", "neck_feat", "first", "norm"),
    [
        ("resnet18", True, "after", [0.0553383, 0.025088, 0.0522723], 2.62856),
        ("resnet18", True, "before", [0.155307, 0.00119113, 0.0636787], 5.01184),
        ("resnet18", False, "after", [0.155307, 0.00119113, 0.0636787], 5.01184),
        ("resnet50", True, "after", [-0.000681508, 0.0974595, 0.0257701], 3.67938),
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
    backbone, found = build_backbone(name, last_stride=last_stride, stem_relu=False)
    with torch.no_grad():
        assert backbone(images()).shape == (2, channels, *size)
    assert found == channels


def test_in_training_the_loss_sees_scores_and_features_before_the_neck() -> None:
    model = network()
    scores, features = model(images())
    assert scores.shape == (2, 13)
    expected = model.classifier(torch.nn.functional.batch_norm(features, None, None, training=True))
    torch.testing.assert_close(scores, expected, rtol=1e-4, atol=1e-5)


def test_the_necks_bias_is_frozen() -> None:
    model = network()
    assert {name for name, p in model.named_parameters() if not p.requires_grad} == {"bottleneck.bias"}


def test_every_name_that_is_allowed_is_built() -> None:
    assert CHOICES["MODEL.NAME"] == NAMES
    cfg = _C.clone()
    depths = {}
    for cfg.MODEL.NAME in NAMES:
        with torch.device("meta"):
            model = build_model(cfg, 3)
        depths[cfg.MODEL.NAME] = 1 + sum(
            isinstance(m, torch.nn.Conv2d) for key, m in model.base.named_modules() if "downsample" not in key
        )
    assert depths == {name: int(name.removeprefix("resnet")) for name in NAMES}


def test_auto_takes_the_best_device_there_is() -> None:
    best = "cuda" if torch.cuda.is_available() else "mps" if torch.backends.mps.is_available() else "cpu"
    assert resolve_device("auto").type == best
    assert resolve_device("cpu").type == "cpu"


def test_a_device_that_is_not_there_is_told() -> None:
    with pytest.raises(ValueError, match=r"cuda:99 is not"):
        resolve_device("cuda:99")
