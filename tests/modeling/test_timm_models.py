"""Networks of timm; what needs timm itself is skipped where it is not installed (it is no requirement)."""

from __future__ import annotations

import importlib.util
import sys
import time
from pathlib import Path

import pytest
import torch

from configs.defaults import _C
from modeling.backbones import build_backbone
from modeling.backbones.timm_models import TimmBackbone
from modeling.model import ReIDModel, build_model
from modeling.pretrained import load_pretrained
from utils.errors import ConfigError, TrainerError

INSTALLED = importlib.util.find_spec("timm") is not None
needs_timm = pytest.mark.skipif(not INSTALLED, reason="timm is not installed")
SIZE = (64, 32)


def network(name: str, path: Path | str = "", size_test: tuple[int, int] = SIZE) -> ReIDModel:
    cfg = _C.clone()
    cfg.MODEL.NAME, cfg.MODEL.PRETRAIN_CHOICE, cfg.MODEL.PRETRAIN_PATH = f"timm/{name}", "imagenet", str(path)
    cfg.INPUT.SIZE_TRAIN, cfg.INPUT.SIZE_TEST = SIZE, size_test
    model = build_model(cfg, 5)
    if path:
        load_pretrained(cfg, model)
    return model


def test_without_timm_the_way_to_get_it_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "timm", None)
    with pytest.raises(ConfigError, match=r"MODEL\.NAME: .*needs timm.*: pip install timm$"):
        network("resnet18")


@needs_timm
@pytest.mark.parametrize(
    ("name", "channels", "pooled"), [("resnet18", 512, False), ("vit_tiny_patch16_224", 192, True)]
)
def test_convolutional_networks_and_transformers_give_features(name: str, channels: int, pooled: bool) -> None:
    model = network(name)
    assert isinstance(model.base, TimmBackbone)
    output = model.base(torch.zeros(2, 3, *SIZE))
    assert output.shape == ((2, channels) if pooled else (2, channels, 2, 1))
    [branch] = model(torch.rand(2, 3, *SIZE))
    assert (branch.scores.shape, branch.features.shape) == ((2, 5), (2, channels))


@needs_timm
@pytest.mark.parametrize("name", ["resnet18", "vit_tiny_patch16_224"])
def test_timms_files_of_weights_are_taken_at_another_image_size(name: str, tmp_path: Path) -> None:
    import timm

    published = timm.create_model(name).state_dict()  # 1000 classes, 224 x 224
    torch.save(published, tmp_path / "weights.pth")
    model = network(name, tmp_path / "weights.pth")
    own = model.base.net.state_dict()
    same = [key for key, value in own.items() if value.shape == published[key].shape]
    assert len(same) >= len(own) - 1  # all but a transformer's position embedding
    assert all(torch.equal(own[key], published[key]) for key in same)


@needs_timm
@pytest.mark.parametrize(("name", "size"), [("coat_tiny", (64, 32)), ("crossvit_tiny_240", (120, 120))])
def test_features_of_several_scales_become_one(name: str, size: tuple[int, int]) -> None:
    backbone = TimmBackbone(name, size)
    assert not backbone.gives_map and backbone.training
    assert backbone(torch.zeros(2, 3, *size)).shape == (2, backbone.out_channels)


@needs_timm
@pytest.mark.parametrize("name", ["vgg11", "crossvit_tiny_240"])
def test_a_size_it_cannot_take_is_one_line(name: str) -> None:
    with pytest.raises(ConfigError, match=rf"^MODEL\.NAME: timm/{name} cannot be built for 8x4 images: [^\n]+$"):
        TimmBackbone(name, (8, 4))


@needs_timm
def test_without_a_network_the_way_out_is_named_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    import huggingface_hub

    class Away:
        def head(self, url: str, timeout: float) -> None:
            raise OSError("no network")

    monkeypatch.setattr(huggingface_hub, "get_session", Away)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path))
    backbone = TimmBackbone("resnet18", SIZE)
    started = time.monotonic()
    with pytest.raises(
        ConfigError, match=r"huggingface\.co does not answer; give MODEL\.PRETRAIN_PATH a file"
    ) as caught:
        backbone.load_imagenet(None)
    assert time.monotonic() - started < 5
    assert "\n" not in str(caught.value) and capfd.readouterr().err == ""
    assert not huggingface_hub.constants.HF_HUB_OFFLINE


@needs_timm
def test_mistakes_are_one_line(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"no network 'resnet19'; did you mean timm/resnet18\?"):
        network("resnet19")
    with pytest.raises(ConfigError, match=r"INPUT\.SIZE_TEST: \[32, 32\] differs from INPUT\.SIZE_TRAIN \[64, 32\]"):
        network("vit_tiny_patch16_224", size_test=(32, 32))
    torch.save({"conv1.weight": torch.zeros(64, 3, 7, 7)}, tmp_path / "part.pth")
    with pytest.raises(TrainerError, match="Missing key") as caught:
        network("resnet18", tmp_path / "part.pth")
    assert "\n" not in str(caught.value)


@needs_timm
def test_the_stride_of_a_feature_map_is_a_setting() -> None:
    own, halved = TimmBackbone("resnet18", SIZE), TimmBackbone("resnet18", SIZE, output_stride=16)
    images = torch.zeros(1, 3, *SIZE)
    assert own.net.forward_features(images).shape[2:] == (2, 1)
    assert halved.eval()(images).shape == (1, 512, 4, 2)
    assert own.state_dict().keys() == halved.state_dict().keys()
    [note] = own.notes
    assert note.startswith("MODEL.LAST_STRIDE is not applied to timm/resnet18, whose feature map has a stride of 32: ")
    assert not halved.notes and not TimmBackbone("vit_tiny_patch16_224", SIZE).notes


@needs_timm
def test_blocks_are_passed_over_in_training() -> None:
    backbone = TimmBackbone("vit_tiny_patch16_224", SIZE, drop_path=0.3)
    rates = [module.drop_prob for module in backbone.net.modules() if hasattr(module, "drop_prob")]
    assert max(rates) == pytest.approx(0.3)
    images = torch.randn(1, 3, *SIZE)
    assert torch.equal(backbone.eval()(images), backbone(images))
    backbone.train()
    assert not torch.equal(backbone(images), backbone(images))


VIT = "timm/vit_tiny_patch16_224"


@pytest.mark.parametrize(
    ("name", "options", "told"),
    [
        pytest.param(VIT, {"OUTPUT_STRIDE": 16}, f"{VIT} does not take 16", marks=needs_timm),
        pytest.param("timm/vgg11", {"OUTPUT_STRIDE": 16}, "timm/vgg11 does not take 16", marks=needs_timm),
        pytest.param("timm/vgg11", {"DROP_PATH": 0.1}, "timm/vgg11 does not take 0.1", marks=needs_timm),
        ("resnet18", {"DROP_PATH": 0.1}, "0.1 is not for resnet18, which does not have it"),
    ],
)
def test_options_that_a_network_does_not_take_are_refused_by_name(
    name: str, options: dict[str, float], told: str
) -> None:
    cfg = _C.clone()
    cfg.MODEL.update(NAME=name, **options)
    cfg.INPUT.SIZE_TRAIN = cfg.INPUT.SIZE_TEST = SIZE
    with pytest.raises(ConfigError, match=rf"^MODEL\.{next(iter(options))}: {told}; give 0"):
        build_backbone(cfg)
