"""Weights of vision transformers with other people's names, whose position embeddings are resized."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor
from yacs.config import CfgNode

from configs.defaults import _C
from engine.inference import load_model
from modeling.backbones.vit import Architecture, VisionTransformer
from modeling.model import ReIDModel, build_model
from modeling.pretrained import load_pretrained
from modeling.weights.changes import grid_of

CHANNELS, CLASSES = 8, 3
Names = dict[str, Tensor]


def build(cfg: CfgNode) -> VisionTransformer:
    """A transformer of 12 narrow blocks for images of 64x32, a grid of 4x2 patches."""
    model = cfg.MODEL
    return VisionTransformer(Architecture(CHANNELS, 12, 2), (64, 32), sie_camera=model.SIE_CAMERA)


def config(path: Path | str = "", choice: str = "imagenet", head: str = "baseline", sie: bool = False) -> CfgNode:
    cfg = _C.clone()
    cfg.MODEL.NAME, cfg.MODEL.HEAD, cfg.MODEL.DEVICE = f"{__file__}:build", head, "cpu"
    cfg.MODEL.PRETRAIN_CHOICE, cfg.MODEL.PRETRAIN_PATH = choice, str(path)
    cfg.MODEL.SIE_CAMERA = sie
    cfg.INPUT.SIZE_TRAIN = cfg.INPUT.SIZE_TEST = (64, 32)
    return cfg


def transformer(positions: int, seed: int = 0) -> Names:
    """Names and shapes of damo-cv/TransReID's vit_pytorch.py, which are timm's, for so many positions."""
    shapes: dict[str, tuple[int, ...]] = {
        "cls_token": (1, 1, CHANNELS),
        "pos_embed": (1, positions, CHANNELS),
        "patch_embed.proj.weight": (CHANNELS, 3, 16, 16),
        "patch_embed.proj.bias": (CHANNELS,),
        "norm.weight": (CHANNELS,),
        "norm.bias": (CHANNELS,),
    }
    for block in range(12):
        for layer, rows, columns in (
            *(("attn.qkv", 3 * CHANNELS, CHANNELS), ("attn.proj", CHANNELS, CHANNELS)),
            *(("mlp.fc1", 4 * CHANNELS, CHANNELS), ("mlp.fc2", CHANNELS, 4 * CHANNELS)),
        ):
            shapes[f"blocks.{block}.{layer}.weight"] = (rows, columns)
            shapes[f"blocks.{block}.{layer}.bias"] = (rows,)
        for norm in ("norm1", "norm2"):
            shapes[f"blocks.{block}.{norm}.weight"] = shapes[f"blocks.{block}.{norm}.bias"] = (CHANNELS,)
    generator = torch.Generator().manual_seed(seed)
    return {name: torch.rand(shape, generator=generator) / 4 for name, shape in shapes.items()}


def under(prefix: str, values: Names) -> Names:
    return {f"{prefix}{name}": value for name, value in values.items()}


def save(value: object, folder: Path) -> Path:
    path = folder / "theirs.pth"
    torch.save(value, path)
    return path


def means(positions: Tensor, grid: tuple[int, int], *, tokens: int = 1) -> Tensor:
    """The first class token, and the means over what becomes one patch of 4x2: bilinear resizing by whole halves."""
    patches = positions[:, tokens:].reshape(1, *grid, CHANNELS)
    down, across = grid[0] // 4, grid[1] // 2
    blocks = patches.reshape(1, 4, down, 2, across, CHANNELS).mean((2, 4))
    return torch.cat((positions[:, :1], blocks.reshape(1, 8, CHANNELS)), 1)


def same(model: ReIDModel, expected: Names) -> None:
    found = model.state_dict()
    for name, value in expected.items():
        torch.testing.assert_close(found[name], value, msg=name)


def without(values: Names, *names: str) -> Names:
    return {name: value for name, value in values.items() if not name.startswith(names)}


def test_positions_of_a_square_image_become_the_grids(tmp_path: Path) -> None:
    """As of ImageNet's files; DeiT's distilled ones have a second class token; old ones wrote the convolution as a matrix."""
    plain = {**transformer(1 + 16), "head.weight": torch.zeros(1000, CHANNELS), "head.bias": torch.zeros(1000)}
    plain["patch_embed.proj.weight"] = plain["patch_embed.proj.weight"].flatten(1)
    distilled = {**transformer(2 + 16), "dist_token": torch.ones(1, 1, CHANNELS), "head_dist.bias": torch.zeros(1000)}
    for theirs, tokens in ((plain, 1), (distilled, 2)):
        cfg = config(save({"model": theirs}, tmp_path))
        model = build_model(cfg, CLASSES)
        assert load_pretrained(cfg, model).endswith("theirs.pth; resized: base.pos_embed")
        rest = without(theirs, "head", "dist_token", "pos_embed", "patch_embed.proj.weight")
        same(model, under("base.", rest))
        same(model, {"base.pos_embed": means(theirs["pos_embed"], (4, 4), tokens=tokens)})
        kernels = transformer(1)["patch_embed.proj.weight"].shape
        same(model, {"base.patch_embed.proj.weight": theirs["patch_embed.proj.weight"].reshape(kernels)})


@pytest.mark.parametrize("choice", ["imagenet", "self"])
def test_a_dino_teacher_of_high_images_is_read(tmp_path: Path, choice: str) -> None:
    """As TransReID-SSL's, trained on images twice as high as wide."""
    theirs = transformer(1 + 32)
    content = {
        "student": {},
        "teacher": under("module.backbone.", theirs) | {"module.head.mlp.0.weight": torch.zeros(2)},
    }
    cfg = config(save(content, tmp_path), choice)
    model = build_model(cfg, CLASSES)
    line = load_pretrained(cfg, model)
    assert "read as DINO's (backbone.* → base.*)" in line
    assert "; resized: base.pos_embed" in line
    same(model, under("base.", without(theirs, "pos_embed")))
    same(model, {"base.pos_embed": means(theirs["pos_embed"], (8, 4))})


@pytest.mark.parametrize("choice", ["imagenet", "self"])
@pytest.mark.parametrize("prefix", ["", "base.", "backbone.", "encoder_q."])
def test_a_transformer_alone_starts_both_ends_of_transreids_head(tmp_path: Path, prefix: str, choice: str) -> None:
    """In timm's names, this trainer's, DINO's and MoCo's."""
    theirs = transformer(1 + 8)
    path = save(under(prefix, theirs), tmp_path)
    cfg = config(path, choice, head="jpm")
    model = build_model(cfg, CLASSES)
    line = load_pretrained(cfg, model)
    assert ("the head is new" in line) == (choice == "self")
    tested, _device = load_model(cfg, str(path))  # whose head does nothing that must be learnt
    assert all(
        torch.equal(value, tested.state_dict()[name])
        for name, value in model.state_dict().items()
        if "class" not in name
    )
    block, norm = (
        {n.removeprefix(p): v for n, v in theirs.items() if n.startswith(p)} for p in ("blocks.11.", "norm.")
    )
    same(model, under("base.", without(theirs, "blocks.11.", "norm.")))
    for end in ("b1", "b2"):
        same(model, {**under(f"{end}.0.", block), **under(f"{end}.1.", norm)})


def transreid(cameras: int) -> Names:
    """Names of damo-cv/TransReID with JPM and SIE: model/make_model.py, build_transformer_local."""
    ends = (("blocks.11.", 0), ("norm.", 1))
    found = under("base.", transformer(1 + 8)) | {"base.fc.weight": torch.zeros(1000, CHANNELS)}
    for seed, end in enumerate(("b1", "b2"), start=1):
        for name, value in transformer(1, seed).items():
            for prefix, place in ends:
                if name.startswith(prefix):
                    found[f"{end}.{place}.{name.removeprefix(prefix)}"] = value
    for number in ("", "_1", "_2", "_3", "_4"):
        norm = torch.nn.BatchNorm1d(CHANNELS).state_dict()
        found |= under(f"bottleneck{number}.", {**norm, "running_mean": torch.rand(CHANNELS)})
        found[f"classifier{number}.weight"] = torch.rand(CLASSES, CHANNELS)
    return found | {"base.sie_embed": torch.rand(cameras, 1, CHANNELS)}


def test_transreids_network_is_read_with_its_cameras(tmp_path: Path) -> None:
    theirs = transreid(6)
    path = save(under("module.", theirs), tmp_path)
    model, _device = load_model(config(head="jpm", sie=True), str(path))
    same(model, without(theirs, "base.fc.", "base.blocks.11.", "base.norm.", "classifier"))
    cfg = config(path, "self", "jpm", sie=True)
    for cameras, new in ((6, ""), (8, "; new: 1 tensors (first: base.sie_embed)")):
        model = build_model(cfg, CLASSES, cameras)
        assert load_pretrained(cfg, model).endswith(f"read as TransReID's (* → *){new}")
        same(model, without(theirs, "base.fc.", "base.blocks.11.", "base.norm.", "base.sie_embed"))


def test_a_transformer_of_high_images_starts_transreids_head(tmp_path: Path) -> None:
    theirs = transformer(1 + 32)
    cfg = config(save(theirs, tmp_path), head="jpm")
    model = build_model(cfg, CLASSES)
    assert load_pretrained(cfg, model).endswith("; resized: base.pos_embed")
    same(model, {"base.pos_embed": means(theirs["pos_embed"], (8, 4))})


def test_the_backbone_of_transreids_network_has_an_end_for_each_branch(tmp_path: Path) -> None:
    theirs = transreid(1)
    cfg = config(save(theirs, tmp_path), head="jpm")
    model = build_model(cfg, CLASSES)
    before = model.state_dict()["bottleneck.running_mean"].clone()
    assert load_pretrained(cfg, model).endswith("; MODEL.PRETRAIN_CHOICE self takes its head, too")
    same(model, {name: value for name, value in theirs.items() if name.startswith(("b1.", "b2."))})
    same(model, {"bottleneck.running_mean": before})


def test_grids_of_images_of_people() -> None:
    grids = {(ratio * side, side) for ratio in (1, 2, 3) for side in range(1, 40)}
    assert {grid_of(down * across) for down, across in grids} == grids
    assert grid_of(21 * 10) is None
