"""Vision transformers, side information and the head of shuffled patches, held to second implementations in float64."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from yacs.config import CfgNode

from configs.defaults import _C
from engine.cost import measure_work
from engine.distributed import ProcessGroup
from engine.export import PACKAGES, export_onnx
from engine.inference import load_model
from engine.learner import Learner
from modeling.backbones import OPTIONS, build_backbone
from modeling.backbones.drop_path import DropPath
from modeling.backbones.layers import number_layers
from modeling.backbones.timm_models import TimmBackbone
from modeling.backbones.vit import Architecture, VisionTransformer, resize_positions
from modeling.heads.jpm import JigsawPatches, shuffle_patches
from modeling.model import ReIDModel, build_model
from modeling.pretrained import load_pretrained
from utils.errors import ConfigError, TrainerError

SMALL = Architecture(12, 3, 2)
SIZE = (48, 32)


def config(**settings: object) -> CfgNode:
    cfg = _C.clone()
    cfg.MODEL.update(NAME="deit_tiny", PRETRAIN_CHOICE="none", CHANNELS_LAST=False)
    cfg.INPUT.update(SIZE_TRAIN=SIZE, SIZE_TEST=SIZE)
    for key, value in settings.items():
        next(section for section in (cfg.MODEL, cfg.SOLVER, cfg.INPUT, cfg.TEST) if key in section)[key] = value
    return cfg


def images(number: int, size: tuple[int, int] = SIZE) -> Tensor:
    return torch.randn(number, 3, *size, generator=torch.Generator().manual_seed(number))


def network(**options: Any) -> VisionTransformer:
    torch.manual_seed(0)
    backbone = VisionTransformer(SMALL, SIZE, **options)
    backbone.add_origins(3, 2)
    for parameter in backbone.parameters():  # biases and normalisations that matter
        nn.init.normal_(parameter, std=0.3)
    return backbone.double().eval()


# A second implementation: the equations of the papers, with numpy, token by token.


def normalised(x: Any, weights: dict[str, Any], name: str) -> Any:
    mean, variance = x.mean(-1, keepdims=True), x.var(-1, keepdims=True)
    return (x - mean) / np.sqrt(variance + 1e-6) * weights[f"{name}.weight"] + weights[f"{name}.bias"]


def attended(x: Any, weights: dict[str, Any], heads: int) -> Any:
    """Attention of tokens [N, C]: softmax(Q K^T / sqrt(d)) V of each head, then a linear layer."""
    channels = x.shape[1]
    own, result = channels // heads, np.zeros_like(x)
    qkv = x @ weights["attn.qkv.weight"].T + weights["attn.qkv.bias"]
    for head in range(heads):
        columns = slice(head * own, (head + 1) * own)
        query, key, value = (qkv[:, part * channels : (part + 1) * channels][:, columns] for part in range(3))
        powers = np.exp(query @ key.T / math.sqrt(own))
        result[:, columns] = powers / powers.sum(1, keepdims=True) @ value
    return result @ weights["attn.proj.weight"].T + weights["attn.proj.bias"]


def block(x: Any, weights: dict[str, Any], heads: int) -> Any:
    """Block of a pre-norm transformer (Dosovitskiy et al., ICLR 2021, equations 2 and 3) for tokens [N, C]."""
    x = x + attended(normalised(x, weights, "norm1"), weights, heads)
    hidden = normalised(x, weights, "norm2") @ weights["mlp.fc1.weight"].T + weights["mlp.fc1.bias"]
    hidden = hidden * 0.5 * (1 + np.vectorize(math.erf)(hidden / math.sqrt(2)))
    return x + hidden @ weights["mlp.fc2.weight"].T + weights["mlp.fc2.bias"]


def of(weights: dict[str, Any], prefix: str) -> dict[str, Any]:
    return {name.removeprefix(prefix): value for name, value in weights.items() if name.startswith(prefix)}


def embedded(image: Any, weights: dict[str, Any], stride: tuple[int, int], side: Any) -> Any:
    """Tokens [1 + N, C] of an image [3, H, W] with positions and side information (TransReID, equations 1 and 4)."""
    kernel = weights["patch_embed.proj.weight"]
    kernel = kernel.reshape(len(kernel), -1)
    patches = [
        kernel @ image[:, y : y + 16, x : x + 16].reshape(-1) + weights["patch_embed.proj.bias"]
        for y in range(0, image.shape[1] - 15, stride[0])
        for x in range(0, image.shape[2] - 15, stride[1])
    ]
    return np.stack([weights["cls_token"][0, 0], *patches]) + weights["pos_embed"][0] + side


def as_numpy(module: nn.Module) -> dict[str, Any]:
    return {name: value.detach().numpy() for name, value in module.state_dict().items()}


@pytest.mark.parametrize("stride", [(16, 16), (12, 10)])
def test_features_are_those_of_the_papers_equations(stride: tuple[int, int]) -> None:
    backbone = network(stride=stride, sie_camera=True, sie_view=True, sie_weight=1.7)
    weights, batch = as_numpy(backbone), images(3).double()
    known = torch.tensor([[2, 1], [0, -1], [7, -1]])
    table = weights["sie_embed"].reshape(3, 2, 12)
    sides = [table[2, 1], table[0].mean(0), table.mean((0, 1))]
    found = backbone(batch, known).detach().numpy()
    for image, side, feature in zip(batch.numpy(), sides, found, strict=True):
        tokens = embedded(image, weights, stride, 1.7 * side)
        for number in range(SMALL.depth):
            tokens = block(tokens, of(weights, f"blocks.{number}."), SMALL.heads)
        np.testing.assert_allclose(feature, normalised(tokens, weights, "norm")[0], rtol=1e-9, atol=1e-9)
    everybody = backbone(batch, torch.full((3, 2), -1))
    torch.testing.assert_close(backbone(batch), everybody, rtol=1e-12, atol=1e-12)


def test_side_information_of_one_kind_has_one_embedding_for_each() -> None:
    for camera, view, count in ((True, False, 3), (False, True, 2), (True, True, 6)):
        backbone = network(sie_camera=camera, sie_view=view)
        assert backbone.sie_embed.shape == (count, 1, 12)
        differences = [
            bool((backbone(images(1).double(), torch.tensor([[0, 0]])) != backbone(images(1).double(), other)).any())
            for other in (torch.tensor([[1, 0]]), torch.tensor([[0, 1]]))
        ]
        assert differences == [camera, view]


@pytest.mark.parametrize(
    ("counts", "notes"),
    [
        ((1, 1), ["MODEL.SIE_CAMERA: not used, since all training images are of one camera",
                  "MODEL.SIE_VIEW: not used, since all training images are of one view"]),
        ((2, 0), ["MODEL.SIE_VIEW: not used, since no training image has a view"]),
        ((2, 2), []),
    ],
)  # fmt: skip
def test_side_information_that_tells_nothing_apart_is_not_used(counts: tuple[int, int], notes: list[str]) -> None:
    model = build_model(config(SIE_CAMERA=True, SIE_VIEW=True), 3, *counts)
    assert model.base.notes == notes
    assert model.takes_origins is ("base.sie_embed" in model.state_dict()) is (counts != (1, 1))


def test_the_weights_say_how_many_cameras_there_are() -> None:
    model = build_model(config(SIE_CAMERA=True), 3, 5, 1)
    assert model.state_dict()["base.sie_embed"].shape == (5, 1, 192)
    assert model.state_dict()["origin_counts"].tolist() == [5, 1]


def test_gradients_are_those_of_finite_differences() -> None:
    backbone = network(stride=(12, 10), sie_camera=True)
    batch, origins = images(2).double(), torch.tensor([[1, 0], [-1, 0]])
    direction = torch.randn(2, 12, dtype=torch.float64)
    (backbone(batch, origins) * direction).sum().backward()
    for name, parameter in backbone.named_parameters():
        assert parameter.grad is not None
        place = int(parameter.grad.abs().argmax())
        values, step = parameter.data.view(-1), 1e-5
        ends = []
        for sign in (1, -1):
            values[place] += sign * step
            with torch.no_grad():
                ends.append((backbone(batch, origins) * direction).sum())
            values[place] -= sign * step
        expected = (ends[0] - ends[1]) / (2 * step)
        torch.testing.assert_close(parameter.grad.view(-1)[place], expected, rtol=1e-6, atol=1e-8, msg=name)


# Parameters of the features, in millions: ViT-B/16 without its classifier has 85.8 (Steiner et al., TMLR 2022), DeiT-S 21.7 and
# DeiT-Ti 5.5 (Touvron et al., ICML 2021: 86, 22 and 5 with one of 1000 classes), all for images of 224 x 224.
@pytest.mark.parametrize(("name", "millions"), [("vit_base", 85.80), ("deit_small", 21.67), ("deit_tiny", 5.52)])
def test_parameter_counts_are_the_papers(name: str, millions: float) -> None:
    with torch.device("meta"):
        backbone = build_backbone(config(NAME=name, SIZE_TRAIN=(224, 224), SIZE_TEST=(224, 224)))
    assert sum(parameter.numel() for parameter in backbone.parameters()) / 1e6 == pytest.approx(millions, abs=0.005)


def test_patches_of_a_stride_of_12_are_as_many_as_published() -> None:
    """TransReID: 210 patches of 256 x 128 pixels with a stride of 12, 128 with one of 16."""
    for stride, number in (((16, 16), 16 * 8), ((12, 12), 21 * 10)):
        backbone = VisionTransformer(SMALL, (256, 128), stride=stride)
        assert math.prod(backbone.grid) == number == backbone.pos_embed.shape[1] - 1


def test_equal_to_timms() -> None:
    """Of one size and of another, whose positions timm interpolates otherwise."""
    timm: Any = pytest.importorskip("timm")
    torch.manual_seed(0)
    options = {"embed_dim": 12, "depth": 3, "num_heads": 2, "img_size": SIZE, "num_classes": 0}
    theirs = timm.create_model("vit_base_patch16_224", **options).double().eval()
    for parameter in theirs.parameters():
        nn.init.normal_(parameter, std=0.3)
    ours = VisionTransformer(SMALL, SIZE).double().eval()
    ours.load_state_dict(theirs.state_dict())
    assert ours.state_dict().keys() == theirs.state_dict().keys()
    batch = images(2).double()
    torch.testing.assert_close(ours(batch), theirs(batch), rtol=1e-9, atol=1e-9)
    numbers = TimmBackbone.number_layers.__get__(type("Net", (), {"net": theirs})())()
    assert {f"net.{name}": number for name, number in number_layers(ours).items()} == numbers


def test_drop_path_leaves_out_what_it_says_and_keeps_the_mean() -> None:
    layer = DropPath(0.4).train()
    added = torch.ones(20_000, 2, 3)
    kept = layer(added)
    assert kept.unique().tolist() == pytest.approx([0.0, 1 / 0.6])
    assert (kept == kept[:, :1, :1]).all()  # all of an image, or nothing
    assert float(kept.mean()) == pytest.approx(1, abs=0.02)
    assert layer.eval()(added) is added
    rates = [layer.drop_path.probability for layer in VisionTransformer(SMALL, SIZE, drop_path=0.2).blocks]
    assert rates == pytest.approx([0.0, 0.1, 0.2])


@pytest.mark.parametrize("size", [2, 3])
def test_processes_drop_together_what_one_does(size: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each has every n-th image, and a random state as all others have."""
    layer, added = DropPath(0.5).train(), torch.randn(6 * size, 2, 3)
    torch.manual_seed(3)
    whole = layer(added)
    monkeypatch.setattr(torch.distributed, "is_initialized", lambda: True)
    monkeypatch.setattr(torch.distributed, "get_world_size", lambda: size)
    for rank in range(size):
        monkeypatch.setattr(torch.distributed, "get_rank", lambda rank=rank: rank)
        torch.manual_seed(3)
        assert torch.equal(layer(added[rank::size]), whole[rank::size])
        assert 0 < int((layer(added[rank::size]) == 0).all(2).all(1).sum()) < 6  # a state that goes on


def linear(old: Any, length: int) -> Any:
    """Linear interpolation of rows [n, C] to `length`, pixel centres aligned, ends held: written for this test."""
    count = len(old)
    rows = []
    for place in range(length):
        x = min(max((place + 0.5) * count / length - 0.5, 0), count - 1)
        low = min(int(x), count - 2) if count > 1 else 0
        share = x - low
        rows.append(old[low] * (1 - share) + old[min(low + 1, count - 1)] * share)
    return np.stack(rows)


def test_positions_are_resized_bilinearly_and_the_class_tokens_stays() -> None:
    positions = torch.randn(1, 1 + 4 * 4, 5, dtype=torch.float64)
    found = resize_positions(positions, (4, 4), (7, 3)).numpy()[0]
    grid = positions[0, 1:].reshape(4, 4, 5).numpy()
    down = linear(grid, 7)
    expected = np.stack([linear(row, 3) for row in down]).reshape(21, 5)
    np.testing.assert_allclose(found[1:], expected, rtol=1e-9)
    np.testing.assert_array_equal(found[0], positions[0, 0].numpy())


def test_images_of_any_size_are_taken() -> None:
    backbone = network()
    larger = images(1, (64, 48)).double()
    features = backbone(larger)
    positions = resize_positions(backbone.pos_embed, (3, 2), (4, 3))
    other = VisionTransformer(SMALL, (64, 48)).double().eval()
    other.load_state_dict({**backbone.state_dict(), "pos_embed": positions})
    torch.testing.assert_close(features, other(larger), rtol=1e-12, atol=1e-12)


def file_of_weights(path: Path, distilled: bool) -> dict[str, Tensor]:
    """Writes ImageNet weights of deit_tiny for 224 x 224 pixels, in DeiT's form."""
    torch.manual_seed(5)
    weights = VisionTransformer(Architecture(192, 12, 3), (224, 224)).state_dict()
    weights |= {"head.weight": torch.zeros(1000, 192), "head.bias": torch.zeros(1000)}
    if distilled:
        positions = weights["pos_embed"]
        weights |= {
            "dist_token": torch.ones(1, 1, 192),
            "head_dist.weight": torch.zeros(1000, 192),
            "head_dist.bias": torch.zeros(1000),
            "pos_embed": torch.cat((positions[:, :1], torch.full((1, 1, 192), 9.0), positions[:, 1:]), 1),
        }
        torch.save({"model": weights}, path)
        return {**weights, "pos_embed": positions}
    torch.save(weights, path)
    return weights


@pytest.mark.parametrize("head", ["baseline", "jpm"])
@pytest.mark.parametrize("distilled", [False, True])
def test_imagenet_weights_of_another_size_are_the_start(tmp_path: Path, head: str, distilled: bool) -> None:
    weights = file_of_weights(tmp_path / "deit.pth", distilled)
    cfg = config(PRETRAIN_CHOICE="imagenet", PRETRAIN_PATH=str(tmp_path / "deit.pth"), HEAD=head, SIE_CAMERA=True)
    model = build_model(cfg, 3, 4)
    side = model.base.sie_embed.clone()  # type: ignore[union-attr, operator]
    assert load_pretrained(cfg, model).startswith("Starting from ImageNet weights of")
    loaded = model.state_dict()
    ends = ("base.blocks.11.", "base.norm.") if head == "baseline" else ("b1.0.", "b1.1.", "b2.0.", "b2.1.")
    for place in ends:
        original = "norm." if place.endswith(("norm.", "1.1.", "2.1.")) else "blocks.11."
        for name, value in of(weights, original).items():
            assert torch.equal(loaded[place + name], value)
    assert torch.equal(loaded["base.blocks.3.attn.qkv.weight"], weights["blocks.3.attn.qkv.weight"])
    assert torch.equal(loaded["base.sie_embed"], side)
    expected = resize_positions(weights["pos_embed"], (14, 14), (3, 2))
    assert torch.equal(loaded["base.pos_embed"], expected)


def test_weights_that_do_not_fit_are_told(tmp_path: Path) -> None:
    file_of_weights(tmp_path / "deit.pth", False)
    for name, path, told in (
        ("deit_small", str(tmp_path / "deit.pth"), "(?s)fit this network.*first"),
        ("deit_tiny", "", "^there is no download of starting weights for deit_tiny; set MODEL.PRETRAIN_PATH"),
    ):
        cfg = config(NAME=name, PRETRAIN_CHOICE="imagenet", PRETRAIN_PATH=path)
        with pytest.raises(TrainerError, match=told):
            load_pretrained(cfg, build_model(cfg, 3))


# The head of shuffled patches.


def jigsaw(**settings: object) -> JigsawPatches:
    torch.manual_seed(1)
    cfg = config(HEAD="jpm", **{"SIZE_TRAIN": (80, 48), "SHIFT_NUM": 3, **settings})
    model = JigsawPatches(cfg, VisionTransformer(SMALL, cfg.INPUT.SIZE_TRAIN), 4)
    for parameter in model.parameters():
        nn.init.normal_(parameter, std=0.3)
    for name, buffer in model.named_buffers():
        if name.endswith(("mean", "var")):
            buffer.uniform_(0.5, 1.5)
    return model.double()


def dealt(tokens: list[Any], shift: int, groups: int) -> list[Any]:
    """Shift and shuffle of TransReID's section 3.2 for a list of patches, as its code counts them."""
    shifted = tokens[shift - 1 :] + tokens[: shift - 1]
    while len(shifted) % groups:
        shifted.append(shifted[-2])
    length = len(shifted) // groups
    return [shifted[group * length + place] for place in range(length) for group in range(groups)]


@pytest.mark.parametrize(("number", "shift", "groups"), [(12, 5, 2), (15, 5, 2), (15, 1, 3), (8, 8, 4)])
def test_patches_are_shifted_and_dealt_out(number: int, shift: int, groups: int) -> None:
    patches = torch.arange(number)[None, :, None] + torch.zeros(2, 1, 3)
    found = shuffle_patches(patches, shift, groups)
    assert found[:, :, 1].tolist() == [dealt(list(range(number)), shift, groups)] * 2


@pytest.mark.parametrize("rearrange", [True, False])
@pytest.mark.parametrize("neck", ["after", "before"])
def test_the_head_is_that_of_the_paper(rearrange: bool, neck: str) -> None:
    model = jigsaw(RE_ARRANGE=rearrange, NECK_FEAT=neck).eval()
    weights, batch = as_numpy(model), images(2, (80, 48)).double()
    found = model(batch).detach().numpy()  # type: ignore[union-attr]
    assert found.shape == (2, 5 * 12) and model.channels == 60
    assert not any(name.startswith(("base.blocks.2", "base.norm")) for name in weights)
    for image, feature in zip(batch.numpy(), found, strict=True):
        tokens = embedded(image, of(weights, "base."), (16, 16), 0)
        for number in range(SMALL.depth - 1):
            tokens = block(tokens, of(weights, f"base.blocks.{number}."), SMALL.heads)
        inputs, patches = [tokens], list(tokens[1:])
        length = len(patches) // 4
        patches = dealt(patches, 3, 2) if rearrange else patches
        inputs += [np.stack([tokens[0], *patches[n * length : (n + 1) * length]]) for n in range(4)]
        expected = []
        for number, part in enumerate(inputs):
            end = "b2" if number else "b1"
            value = normalised(block(part, of(weights, f"{end}.0."), SMALL.heads), of(weights, f"{end}."), "1")[0]
            if neck == "after":
                layer = of(weights, f"bottleneck{f'_{number}' if number else ''}.")
                value = (value - layer["running_mean"]) / np.sqrt(layer["running_var"] + 1e-5) * layer["weight"]
                value = value + layer["bias"]
            expected.append(value / 4 if number else value)
        np.testing.assert_allclose(feature, np.concatenate(expected), rtol=1e-9, atol=1e-9)


def test_every_branch_is_trained_with_its_share(tmp_path: Path) -> None:
    cfg = config(HEAD="jpm", SHIFT_NUM=3, BRANCH_WEIGHTS=(0.5, 0.125, 0.125, 0.125, 0.125), SIE_CAMERA=True)
    cfg.SOLVER.update(OPTIMIZER_NAME="SGD", BASE_LR=0.05)
    cfg.MODEL.update(NO_MARGIN=True, IF_LABELSMOOTH="off", DROP_PATH=0.1)
    torch.manual_seed(0)
    ours = Learner(cfg, build_model(cfg, 3, 2), torch.device("cpu"), ProcessGroup())
    assert ours.sharded.all_trained
    pids, origins = torch.tensor([0, 0, 1, 1, 2, 2]), torch.tensor([[0, 0], [1, 0]] * 3)
    ours.start_epoch(1)
    batch = images(6)
    branches: Any = ours.model(batch, origins)
    assert [branch.scores.shape for branch in branches] == [(6, 3)] * 5
    terms = []
    for branch in (branch.features.detach() for branch in branches):
        distances = torch.cdist(branch, branch)
        same = pids[:, None] == pids
        hardest = torch.where(same, distances, -math.inf).amax(1) - torch.where(same, math.inf, distances).amin(1)
        terms.append(torch.log1p(hardest.exp()).mean())
    entropies = [-branch.scores.detach().log_softmax(1)[torch.arange(6), pids].mean() for branch in branches]
    parts = [entropy + triplet for entropy, triplet in zip(entropies, terms, strict=True)]
    expected = 0.5 * parts[0] + 0.5 * sum(parts[1:]) / 4  # of TransReID's code
    torch.testing.assert_close(ours.criterion(branches, pids).detach(), expected, rtol=1e-4, atol=1e-4)
    losses = [float(ours.train_batch(batch, pids, origins, rate=0.05, last=True)[0]) for _ in range(8)]
    assert min(losses[-2:]) < losses[0]
    assert all(parameter.grad is not None for parameter in ours.model.parameters() if parameter.requires_grad)
    assert measure_work(ours.model, SIZE).metrics["model/gmacs"] > 0


def test_a_head_for_tokens_tells_what_it_needs() -> None:
    for settings, told in (
        (
            {"NAME": "resnet18"},
            r"MODEL\.HEAD: jpm needs a network of tokens such as vit_base, not MODEL\.NAME resnet18",
        ),
        ({"DEVIDE_LENGTH": 7}, r"jpm has 6 patches of an image of INPUT\.SIZE_TRAIN \[48, 32\], too few"),
        ({"SHIFT_NUM": 7}, r"too few for MODEL\.DEVIDE_LENGTH 4 and MODEL\.SHIFT_NUM 7"),
    ):
        with pytest.raises(ConfigError, match=told):
            build_model(config(HEAD="jpm", **settings), 3)


def test_options_of_transformers_are_not_for_others() -> None:
    for key, value in (("STRIDE_SIZE", (12, 12)), ("SIE_CAMERA", True), ("SIE_VIEW", True)):
        with pytest.raises(ConfigError, match=rf"^MODEL\.{key}: .* is not for resnet18, which does not have it; give"):
            build_backbone(config(NAME="resnet18", **{key: value}))
    assert all(_C.MODEL[key] == unset for key, (unset, _having) in OPTIONS.items())
    with pytest.raises(ConfigError, match=r"^INPUT\.SIZE_TEST: \[15, 32\] is smaller than a patch of 16x16$"):
        build_backbone(config(SIZE_TEST=(15, 32)))


def test_only_the_head_knows_the_last_block(tmp_path: Path) -> None:
    plain, whole = build_model(config(SHIFT_NUM=3), 3), build_model(config(HEAD="jpm", SHIFT_NUM=3), 3)
    count = [sum(p.numel() for p in model.base.parameters()) for model in (plain, whole)]
    last = sum(p.numel() for p in plain.base.blocks[-1].parameters()) + 2 * 192  # type: ignore[union-attr, index]
    assert count[0] - count[1] == last
    assert isinstance(whole, ReIDModel) and torch.equal(
        whole.state_dict()["b1.0.attn.qkv.weight"], whole.state_dict()["b2.0.attn.qkv.weight"]
    )


def transreids(model: ReIDModel) -> dict[str, Tensor]:
    """The state dict of damo-cv/TransReID for a network of ours: model/make_model.py, whose backbone keeps a classifier of
    ImageNet and, with the head jpm, a last block and normalisation of its own, all unused."""
    weights = {f"module.{name}": value for name, value in model.state_dict().items() if name != "origin_counts"}
    weights |= {"module.base.fc.weight": torch.zeros(1000, 192), "module.base.fc.bias": torch.zeros(1000)}
    for name, value in model.state_dict().items():
        if name.startswith("b1."):
            place = "norm" if name.startswith("b1.1.") else "blocks.11"
            weights[f"module.base.{place}.{name[5:]}"] = torch.full_like(value, 9.0)
    return weights


@pytest.mark.parametrize("head", ["baseline", "jpm"])
def test_weights_of_transreid_are_used_as_they_are(tmp_path: Path, head: str) -> None:
    cfg = config(HEAD=head, SIE_CAMERA=True, SHIFT_NUM=3)
    torch.manual_seed(3)
    theirs = build_model(cfg, 7, 6).eval()
    path = str(tmp_path / "transformer_120.pth")
    torch.save(transreids(theirs), path)
    ours, _device = load_model(cfg, path)
    origins = torch.tensor([[5, 0], [2, 0]])
    assert torch.equal(ours(images(2), origins), theirs(images(2), origins))  # type: ignore[arg-type]
    # As the start on a set of other cameras, whose embeddings are new.
    cfg.MODEL.update(PRETRAIN_CHOICE="self", PRETRAIN_PATH=path)
    fresh = build_model(cfg, 7, 15)
    before = fresh.state_dict()["base.sie_embed"].clone()
    assert load_pretrained(cfg, fresh).endswith("; new: 1 tensors (first: base.sie_embed)")
    state = fresh.state_dict()
    assert torch.equal(state["base.sie_embed"], before) and state["origin_counts"].tolist() == [15, 1]
    assert torch.equal(state["base.pos_embed"], theirs.state_dict()["base.pos_embed"])


def test_cameras_and_views_together_need_a_note_of_how_many_there_are(tmp_path: Path) -> None:
    cfg = config(SIE_CAMERA=True, SIE_VIEW=True)
    theirs = build_model(cfg, 7, 4, 3)
    weights = transreids(theirs)
    torch.save(weights, tmp_path / "theirs.pth")
    with pytest.raises(ConfigError, match=r"hold 12 embeddings of cameras and views together, .* add origin_counts"):
        load_model(cfg, str(tmp_path / "theirs.pth"))
    torch.save({**weights, "origin_counts": torch.tensor([4, 3])}, tmp_path / "noted.pth")
    assert torch.equal(load_model(cfg, str(tmp_path / "noted.pth"))[0].state_dict()["base.sie_embed"],
                       weights["module.base.sie_embed"])  # fmt: skip
    cfg = config(SIE_VIEW=True)
    torch.save(transreids(build_model(cfg, 7, 4, 3)), tmp_path / "views.pth")
    assert load_model(cfg, str(tmp_path / "views.pth"))[0].state_dict()["origin_counts"].tolist() == [1, 3]


@pytest.mark.slow
def test_the_exported_network_takes_origins_of_any_number_of_images(tmp_path: Path) -> None:
    for package in PACKAGES:
        pytest.importorskip(package)
    cfg = config(HEAD="jpm", SHIFT_NUM=3, SIE_CAMERA=True)
    model = build_model(cfg, 3, 4)
    torch.save(model.state_dict(), tmp_path / "weights.pth")
    # Raises where onnxruntime's features of one image, and of three, are not PyTorch's.
    summary = export_onnx(cfg, str(tmp_path / "weights.pth"), tmp_path / "model.onnx")
    assert summary.size == SIZE and summary.channels == 5 * 192
