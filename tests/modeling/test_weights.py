"""Weights with other people's names: which file is recognised as whose, and where each tensor goes."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest
import torch
import torchvision
from torch import Tensor, nn
from yacs.config import CfgNode

from configs.defaults import _C
from engine.inference import load_model
from modeling.model import ReIDModel, build_model
from modeling.pretrained import load_pretrained, load_reid_weights
from modeling.weights.files import read_state_dict
from modeling.weights.rules import Rule
from utils.errors import ConfigError

CLASSES, CHANNELS = 4, 8
Names = dict[str, Tensor]


class Tiny(nn.Module):
    """A backbone with the names of torchvision's ResNets, and few of their layers."""

    stem_relu, out_channels = False, CHANNELS

    def __init__(self) -> None:
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(3, 4, 3, bias=False), nn.BatchNorm2d(4)
        self.layer1, self.layer2 = nn.Sequential(Block(4, 6)), nn.Sequential(Block(6, CHANNELS))

    def forward(self, images: Tensor) -> Tensor:
        x = self.bn1(self.conv1(images))
        return self.layer2(self.layer1(x.relu() if self.stem_relu else x))  # type: ignore[no-any-return]


class Block(nn.Module):
    """A block of it."""

    def __init__(self, before: int, after: int) -> None:
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(before, after, 3, padding=1, bias=False), nn.BatchNorm2d(after)
        self.downsample = nn.Sequential(nn.Conv2d(before, after, 1, bias=False), nn.BatchNorm2d(after))

    def forward(self, x: Tensor) -> Tensor:
        return (self.bn1(self.conv1(x)) + self.downsample(x)).relu()  # type: ignore[no-any-return]


def build(cfg: CfgNode) -> Tiny:
    tiny = Tiny()
    tiny.stem_relu = cfg.MODEL.STEM_RELU
    return tiny


def config(path: Path | str = "", choice: str = "self", **settings: object) -> CfgNode:
    cfg = _C.clone()
    cfg.MODEL.NAME = f"{__file__}:build"
    cfg.MODEL.PRETRAIN_CHOICE, cfg.MODEL.PRETRAIN_PATH = choice, str(path)
    cfg.MODEL.DEVICE = "cpu"
    for key, value in settings.items():
        cfg.MODEL[key] = value
    return cfg


def random_values(shapes: Mapping[str, Tensor], seed: int) -> Names:
    """Values that differ between tensors; variances are positive."""
    generator = torch.Generator().manual_seed(seed)
    return {
        name: torch.rand(value.shape, generator=generator) / 10 + (0.5 if "var" in name or "weight" in name else 0)
        if value.is_floating_point()
        else torch.tensor(seed)
        for name, value in shapes.items()
    }


def convolutions() -> Names:
    return random_values(Tiny().state_dict(), 1)


def backbone() -> Names:
    """As published after training on ImageNet, with a classifier."""
    return {**convolutions(), "fc.weight": torch.zeros(1000, CHANNELS), "fc.bias": torch.zeros(1000)}


def neck() -> Names:
    return random_values(nn.BatchNorm1d(CHANNELS).state_dict(), 2)


def classifier(classes: int = CLASSES) -> Tensor:
    return torch.rand(classes, CHANNELS, generator=torch.Generator().manual_seed(3))


def under(prefix: str, values: Names) -> Names:
    return {f"{prefix}{name}": value for name, value in values.items()}


def fast_reid(*, before_1_0: bool = False) -> Names:
    """Names of JDAI-CV/fast-reid: fastreid/modeling/meta_arch/baseline.py and heads/embedding_head.py."""
    head = "heads.classifier.weight" if before_1_0 else "heads.weight"
    buffers = {"pixel_mean": torch.zeros(1, 3, 1, 1), "pixel_std": torch.ones(1, 3, 1, 1)} if before_1_0 else {}
    return {
        **under("backbone.", convolutions()),
        **under("heads.bottleneck.0.", neck()),
        head: classifier(),
        **buffers,
    }


def centroids() -> Names:
    """Names of mikwieczorek/centroids-reid: modelling/bases.py."""
    return {
        **under("backbone.base.", convolutions()),
        **under("bn.", neck()),
        "fc_query.weight": classifier(),
        "center_loss.centers": torch.zeros(CLASSES, CHANNELS),
    }


def strong_baseline() -> Names:
    """Names of michuanhaohao/reid-strong-baseline and damo-cv/TransReID: make_model.py."""
    return {**under("base.", backbone()), **under("bottleneck.", neck()), "classifier.weight": classifier()}


def survey() -> Names:
    """Names of mangye16/ReID-Survey with generalised-mean pooling: modeling/baseline.py."""
    return {**strong_baseline(), "global_pool.p": torch.tensor([3.5])}


def moco() -> Names:
    """Names of LUPerson's and Facebook's MoCo: lup_moco/libs/moco_builder.py, in a DistributedDataParallel."""
    mlp = random_values(nn.Sequential(nn.Linear(8, 8), nn.ReLU(), nn.Linear(8, 2)).state_dict(), 4)
    others = {"module.queue": torch.zeros(128, 16), "module.queue_ptr": torch.zeros(1, dtype=torch.long)}
    query = {**convolutions(), **under("fc.", mlp)}
    key = random_values(query, 5)
    return {**under("module.encoder_q.", query), **under("module.encoder_k.", key), **others}


def dino() -> Names:
    """Names of a DINO teacher: main_dino.py of TransReID-SSL, a MultiCropWrapper of backbone and head."""
    head = random_values(nn.Sequential(nn.Linear(8, 4), nn.GELU()).state_dict(), 6)
    return {**under("module.backbone.", convolutions()), **under("module.head.mlp.", head)}


def save(value: object, folder: Path) -> Path:
    path = folder / "theirs.pth"
    torch.save(value, path)
    return path


def same(model: ReIDModel, expected: Names) -> None:
    found = model.state_dict()
    assert expected.keys() <= found.keys()
    for name, value in expected.items():
        assert torch.equal(found[name], value), name


def ours() -> Names:
    """The same tensors in this trainer's names."""
    return {**under("base.", convolutions()), **under("bottleneck.", neck()), "classifier.weight": classifier()}


WHOLE = {
    "fast-reid": (fast_reid, "fast-reid's"),
    "fast-reid before 1.0": (lambda: fast_reid(before_1_0=True), "fast-reid's"),
    "centroids-reid": (centroids, "centroids-reid's"),
    "strong-baseline": (strong_baseline, ""),
}


@pytest.mark.parametrize("kind", WHOLE)
def test_a_whole_network_of_others_is_read_to_the_last_tensor(tmp_path: Path, kind: str) -> None:
    make, owner = WHOLE[kind]
    cfg = config(save({"model": make(), "epoch": 3}, tmp_path), STEM_RELU=True)
    model = build_model(cfg, CLASSES)
    line = load_pretrained(cfg, model)
    same(model, ours())
    assert owner in line
    assert "network has" not in line


def test_features_of_fast_reids_weights_are_those_of_its_equations(tmp_path: Path) -> None:
    """ResNet-18 with its own stem, average pooling and batch normalisation, computed in float64 from torchvision's."""
    torch.manual_seed(0)
    network = torchvision.models.resnet18(weights=None)
    network.maxpool = nn.MaxPool2d(3, 2, ceil_mode=True)
    network.fc = nn.Identity()
    norm = nn.BatchNorm1d(512)
    norm.load_state_dict(random_values(norm.state_dict(), 2))
    weights = {**under("backbone.", network.state_dict()), **under("heads.bottleneck.0.", norm.state_dict())}
    path = str(save({"model": {**weights, "heads.weight": torch.zeros(3, 512)}}, tmp_path))
    cfg = config(NAME="resnet18", STEM_RELU=True, STEM_POOLING="ceil", LAST_STRIDE=2)
    model, _device = load_model(cfg, path)
    images = torch.rand(2, 3, 64, 32)
    with torch.no_grad():
        expected = norm.double().eval()(network.double().eval()(images.double()))
        torch.testing.assert_close(model(images).double(), expected, rtol=1e-4, atol=1e-4)
    other = load_reid_weights(build_model(config(NAME="resnet18"), 3), read_state_dict(path), "x")
    assert other.endswith(
        "; fast-reid's network has MODEL.STEM_RELU True and MODEL.STEM_POOLING ceil, this one does not"
    )


def test_blocks_that_were_added_to_a_backbone_start_anew_where_the_file_has_none(tmp_path: Path) -> None:
    torch.manual_seed(0)
    network = torchvision.models.resnet18(weights=None)
    cfg = config(save(network.state_dict(), tmp_path), "imagenet", NAME="resnet18", NON_LOCAL=(0, 1, 1, 0))
    model = build_model(cfg, CLASSES)
    load_pretrained(cfg, model)
    same(model, under("base.", {n: v for n, v in network.state_dict().items() if not n.startswith("fc.")}))
    whole = random_values(
        model.base.state_dict(), 1
    )  # as in AGW's checkpoints: the blocks are read where they are there
    del whole["NL_2.0.g.bias"]
    with pytest.raises(ConfigError, match=r"1 missing \(first: base\.NL_2\.0\.g\.bias\)"):
        load_reid_weights(model, under("backbone.", whole), "x")


def test_pooling_of_others_is_read(tmp_path: Path) -> None:
    exponent = {"gap.p": torch.tensor([3.5])}
    fast = {**fast_reid(), "heads.pool_layer.p": torch.tensor([3.5])}
    for weights, owner in ((fast, "fast-reid's"), (survey(), "ReID-Survey's")):
        cfg = config(save(weights, tmp_path), POOLING="gem")
        model = build_model(cfg, CLASSES)
        assert owner in load_pretrained(cfg, model)
        same(model, {**ours(), **exponent})
    with pytest.raises(ConfigError, match=r"tensors 1 unknown \(first: heads\.pool_layer\.p\)$"):
        load_reid_weights(build_model(config(), CLASSES), fast, "x")


BARE = {
    "torchvision": (backbone, ""),
    "MoCo": (lambda: {"arch": "resnet50", "state_dict": moco()}, "MoCo's"),
    "DINO": (lambda: {"student": random_values(dino(), 9), "teacher": dino(), "epoch": 1}, "DINO's"),
}


@pytest.mark.parametrize("kind", BARE)
@pytest.mark.parametrize("choice", ["imagenet", "self"])
def test_a_backbone_alone_starts_a_network_with_a_new_head(tmp_path: Path, kind: str, choice: str) -> None:
    make, owner = BARE[kind]
    cfg = config(save(make(), tmp_path), choice)
    model = build_model(cfg, CLASSES)
    head = {name: value.clone() for name, value in model.state_dict().items() if not name.startswith("base.")}
    line = load_pretrained(cfg, model)
    same(model, {**under("base.", convolutions()), **head})
    assert owner in line
    assert ("the head is new" in line) == (choice == "self")


@pytest.mark.parametrize("kind", WHOLE)
def test_a_whole_network_gives_its_backbone_where_that_alone_is_asked_for(tmp_path: Path, kind: str) -> None:
    make, _owner = WHOLE[kind]
    cfg = config(save(make(), tmp_path), "imagenet")
    model = build_model(cfg, CLASSES)
    assert load_pretrained(cfg, model).endswith("; MODEL.PRETRAIN_CHOICE self takes its head, too")
    same(model, under("base.", convolutions()))
    assert not torch.equal(model.classifier.weight, classifier())  # type: ignore[union-attr, arg-type]


def test_classifiers_of_other_identities_are_left_out(tmp_path: Path) -> None:
    for make in (fast_reid, centroids):
        cfg = config(save(make(), tmp_path))
        model = build_model(cfg, CLASSES + 3)
        fresh = model.classifier.weight.clone()  # type: ignore[union-attr, operator]
        assert "with a new classifier for 7 identities" in load_pretrained(cfg, model)
        same(model, {name: value for name, value in ours().items() if name != "classifier.weight"})
        assert torch.equal(model.classifier.weight, fresh)  # type: ignore[union-attr, arg-type]


def torchreid() -> Names:
    """Names of torchreid's ResNets: torchreid/models/resnet.py, no neck, a classifier with bias."""
    return {**convolutions(), "classifier.weight": classifier(), "classifier.bias": torch.rand(CLASSES)}


def test_torchreids_network_has_no_neck(tmp_path: Path) -> None:
    theirs = torchreid()
    path = save({"state_dict": under("module.", theirs), "epoch": 60, "rank1": 0.9}, tmp_path)
    cfg = config(path, NECK="no", STEM_RELU=True)
    model = build_model(cfg, CLASSES)
    assert load_pretrained(cfg, model).endswith("read as torchreid's (* → base.*)")
    same(model, {**under("base.", convolutions()), **{n: v for n, v in theirs.items() if n.startswith("classifier")}})
    line = load_pretrained(config(path), build_model(config(path), CLASSES))
    assert "the head is new; torchreid's network has MODEL.STEM_RELU True and MODEL.NECK no, this one does not" in line


@pytest.mark.parametrize("prefix", ["module.", "_orig_mod.", "module._orig_mod.", "model.", "net.", "model.module."])
@pytest.mark.parametrize("key", ["", "state_dict", "model", "model_state_dict", "net"])
def test_wrappers_around_dictionaries_and_names_are_taken_off(tmp_path: Path, key: str, prefix: str) -> None:
    weights = under(prefix, fast_reid())
    cfg = config(save({key: weights, "optimizer": {"state": {0: {}}}} if key else weights, tmp_path))
    model = build_model(cfg, CLASSES)
    load_pretrained(cfg, model)
    same(model, ours())


def test_what_does_not_fit_is_one_line_with_the_names_that_were_tried(tmp_path: Path) -> None:
    weights = fast_reid()
    del weights["backbone.layer2.0.conv1.weight"], weights["heads.bottleneck.0.bias"]
    weights["heads.extra.weight"] = torch.zeros(2)
    weights["backbone.conv1.weight"] = torch.zeros(4, 3, 1, 1)
    path = save(weights, tmp_path)
    with pytest.raises(ConfigError) as caught:
        load_pretrained(config(path), build_model(config(path), CLASSES))
    assert str(caught.value) == (
        f"{path}: does not fit this network: read as fast-reid's (backbone.* → base.*, heads.* → bottleneck, classifier),"
        " tensors 2 missing (first: base.layer2.0.conv1.weight), 1 unknown (first: heads.extra.weight),"
        " 1 of another shape (first: base.conv1.weight, [4, 3, 1, 1] for [4, 3, 3, 3])"
    )


def test_names_under_an_unknown_prefix_are_told_beside_those_that_are_missing(tmp_path: Path) -> None:
    theirs = under("a.", backbone())
    path = save(theirs, tmp_path)
    cfg = config(path)
    cfg.MODEL.PRETRAIN_CHOICE = "imagenet"
    with pytest.raises(
        ConfigError, match=rf"missing \(first: base\..*\), {len(theirs)} unknown \(first: {min(theirs)}\)$"
    ):
        load_pretrained(cfg, build_model(cfg, CLASSES))


def test_a_backbone_alone_is_compared_where_the_new_head_does_no_harm(tmp_path: Path) -> None:
    path = str(save(backbone(), tmp_path))
    assert load_model(config(), path)[0] is not None
    cfg = config()
    cfg.MODEL.HEAD = f"{__file__}:Reduced"
    with pytest.raises(
        ConfigError, match="holds a backbone alone, and the head of this network needs weights of its own"
    ):
        load_model(cfg, path)


class Reduced(ReIDModel):
    """A head that is random before it is trained."""

    def __init__(self, cfg: CfgNode, backbone: nn.Module, num_classes: int) -> None:
        super().__init__(cfg, backbone, num_classes)
        self.reduce = nn.Linear(CHANNELS, 8)


def test_a_rule_goes_both_ways() -> None:
    rule = Rule("stages.#.blocks.#.attn.w_msa.*", "base.layers.#.blocks.#.attn.*")
    theirs, name = "stages.0.blocks.12.attn.w_msa.qkv.weight", "base.layers.0.blocks.12.attn.qkv.weight"
    assert rule.to_ours(theirs) == name
    assert rule.to_theirs(name) == theirs
    assert rule.to_ours("stages.x.blocks.1.attn.w_msa.qkv") is None
    with pytest.raises(ValueError, match="wildcards"):
        Rule("a.*", "b.#")
