"""Swin Transformer and SOLIDER's semantic controller against the papers: a second implementation, sizes, gradients."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor
from torchvision.models.swin_transformer import ShiftedWindowAttention, SwinTransformer
from yacs.config import CfgNode

from configs.defaults import _C
from engine.cost import measure_work
from engine.solver import build_optimizer, group_parameters, layer_depths
from modeling.backbones.swin import Architecture, SwinBackbone, WindowAttention
from modeling.model import ReIDModel, build_model
from utils.errors import ConfigError

SMALL = Architecture(6, (2, 2), (1, 3))


def config(name: str, **settings: object) -> CfgNode:
    cfg = _C.clone()
    cfg.MODEL.update(NAME=name, PRETRAIN_CHOICE="none", **settings)
    cfg.INPUT.SIZE_TRAIN = cfg.INPUT.SIZE_TEST = (64, 32)
    return cfg


def random_network(semantic_weight: float) -> SwinBackbone:
    """Builds a small network whose every weight matters, in float64."""
    torch.manual_seed(0)
    network = SwinBackbone(SMALL, semantic_weight=semantic_weight).double().eval()
    for parameter in network.parameters():
        parameter.data.normal_(std=0.5)
    return network


# A second implementation, from the papers' definitions: windows are told by the positions of patches, and nothing is shifted
# or cut out. Weights come by torchvision's names.
Weights = dict[str, Tensor]


def norm(x: Tensor, weights: Weights, name: str) -> Tensor:
    centred = x - x.mean(-1, keepdim=True)
    scaled = centred / (centred.pow(2).mean(-1, keepdim=True) + 1e-5).sqrt()
    return scaled * weights[f"{name}.weight"] + weights[f"{name}.bias"]


def linear(x: Tensor, weights: Weights, name: str) -> Tensor:
    product = torch.einsum("...i,oi->...o", x, weights[f"{name}.weight"])
    return product + weights[f"{name}.bias"] if f"{name}.bias" in weights else product


def attention(x: Tensor, weights: Weights, name: str, heads: int, shift: tuple[int, int]) -> Tensor:
    """Computes, patch by patch, attention among the patches of a window of a grid that begins at `shift` (Swin, section 3.2)."""
    height, width, channels = x.shape
    places = [(r, c) for r in range(-(-height // 7) * 7) for c in range(-(-width // 7) * 7)]
    filled = torch.zeros(len(places), channels, dtype=x.dtype)
    for number, (r, c) in enumerate(places):
        if r < height and c < width:
            filled[number] = x[r, c]
    window = [((r - shift[0]) // 7, (c - shift[1]) // 7) for r, c in places]
    query, key, value = linear(filled, weights, f"{name}.qkv").view(-1, 3, heads, channels // heads).unbind(1)
    table = weights[f"{name}.relative_position_bias_table"].view(13, 13, heads)
    output = torch.zeros_like(x)
    for number, (r, c) in enumerate(places):
        if r < height and c < width:
            others = [other for other in range(len(places)) if window[other] == window[number]]
            biases = torch.stack([table[r - places[o][0] + 6, c - places[o][1] + 6] for o in others])
            scores = torch.einsum("hd,nhd->nh", query[number], key[others]) / math.sqrt(channels // heads) + biases
            output[r, c] = torch.einsum("nh,nhd->hd", scores.softmax(0), value[others]).flatten()
    return linear(output, weights, f"{name}.proj")


def block(x: Tensor, weights: Weights, name: str, heads: int, shift: tuple[int, int]) -> Tensor:
    x = x + attention(norm(x, weights, f"{name}.norm1"), weights, f"{name}.attn", heads, shift)
    hidden = linear(norm(x, weights, f"{name}.norm2"), weights, f"{name}.mlp.0")
    return x + linear(hidden * (1 + torch.erf(hidden / math.sqrt(2))) / 2, weights, f"{name}.mlp.3")


def merged(x: Tensor, weights: Weights, name: str) -> Tensor:
    """Joins the patches of 2 x 2, column by column, and halves the channels; what is missing is 0."""
    height, width, channels = x.shape
    rows = []
    for r in range(0, height, 2):
        for c in range(0, width, 2):
            four = [(r, c), (r + 1, c), (r, c + 1), (r + 1, c + 1)]
            zero = torch.zeros(channels, dtype=x.dtype)
            rows.append(torch.cat([x[i, j] if i < height and j < width else zero for i, j in four]))
    joined = torch.stack(rows).view(-(-height // 2), -(-width // 2), 4 * channels)
    return linear(norm(joined, weights, f"{name}.norm"), weights, f"{name}.reduction")


def feature_map(image: Tensor, weights: Weights, semantic_weight: float | None) -> Tensor:
    """Computes the feature map [h, w, C] of an image [3, H, W]; with a semantic weight, of SOLIDER's network."""
    rows, columns = -(-image.shape[1] // 4), -(-image.shape[2] // 4)
    padded = torch.zeros(3, rows * 4, columns * 4, dtype=image.dtype)
    padded[:, : image.shape[1], : image.shape[2]] = image
    kernel, bias = weights["features.0.0.weight"], weights["features.0.0.bias"]
    patches = padded.view(3, rows, 4, columns, 4)
    x = norm(torch.einsum("irpcq,oipq->rco", patches, kernel) + bias, weights, "features.0.2")
    for stage, (depth, heads) in enumerate(zip(SMALL.depths, SMALL.heads, strict=True)):
        if stage:
            x = merged(x, weights, f"features.{2 * stage}")
        if stage and semantic_weight is not None:
            shares = torch.tensor([semantic_weight, 1 - semantic_weight], dtype=x.dtype)
            scale = torch.log1p(linear(shares, weights, f"semantic_embed_w.{stage - 1}").exp())
            x = x * scale + linear(shares, weights, f"semantic_embed_b.{stage - 1}")
        # SOLIDER shifts always, Swin along sides that are longer than a window.
        shift = tuple(3 if semantic_weight is not None or side > 7 else 0 for side in x.shape[:2])
        for number in range(depth):
            x = block(x, weights, f"features.{2 * stage + 1}.{number}", heads, shift if number % 2 else (0, 0))
    return norm(x, weights, "norm")


@pytest.mark.parametrize("semantic_weight", [None, 0.2, 1.0])
@pytest.mark.parametrize("size", [(57, 30), (28, 36)])
def test_features_are_those_of_the_papers_definitions(size: tuple[int, int], semantic_weight: float | None) -> None:
    network = random_network(-1.0 if semantic_weight is None else semantic_weight)
    image = torch.randn(3, *size, dtype=torch.float64)
    with torch.no_grad():
        found = network(image[None])[0].permute(1, 2, 0)
    torch.testing.assert_close(found, feature_map(image, network.state_dict(), semantic_weight), rtol=1e-9, atol=1e-9)


def test_without_the_controller_features_are_torchvisions() -> None:
    network = random_network(-1.0)
    theirs = SwinTransformer([4, 4], SMALL.channels, list(SMALL.depths), list(SMALL.heads), [7, 7], num_classes=1)
    theirs.double().eval().load_state_dict(network.state_dict(), strict=False)
    for size in ((96, 64), (28, 28), (64, 36)):
        images = torch.randn(2, 3, *size, dtype=torch.float64)
        with torch.no_grad():
            torch.testing.assert_close(network(images), theirs.permute(theirs.norm(theirs.features(images))))


@pytest.mark.parametrize("always", [False, True])
def test_gradients_of_the_attention_are_its_slopes(always: bool) -> None:
    torch.manual_seed(0)
    part = WindowAttention(2, [3, 3], [1, 1], 1, shifts_single_windows=always).double()
    weights = {name: value.detach().requires_grad_() for name, value in part.named_parameters()}
    patches = torch.randn(1, 4, 3, 2, dtype=torch.float64, requires_grad=True)

    def attended(x: Tensor, *values: Tensor) -> Tensor:
        return torch.func.functional_call(part, dict(zip(weights, values, strict=True)), (x,))

    assert torch.autograd.gradcheck(attended, (patches, *weights.values()))


def test_a_learnt_bias_moves_as_torchvisions_does() -> None:
    ours = WindowAttention(6, [7, 7], [3, 3], 3, shifts_single_windows=False).double()
    theirs = ShiftedWindowAttention(6, [7, 7], [3, 3], 3).double()
    theirs.load_state_dict(ours.state_dict(), strict=False)
    patches = torch.randn(2, 16, 9, 6, dtype=torch.float64)
    for part in (ours, theirs):
        part(patches).pow(2).sum().backward()
    for (name, mine), other in zip(ours.named_parameters(), theirs.parameters(), strict=True):
        torch.testing.assert_close(mine.grad, other.grad, msg=name)


# Parameters by the paper's definitions. Multiply-accumulate operations are the paper's Table 1, for 224 x 224.
@pytest.mark.parametrize(
    ("name", "channels", "depths", "heads", "millions", "billions"),
    [
        ("swin_tiny", 96, (2, 2, 6, 2), (3, 6, 12, 24), 29, 4.5),
        ("swin_small", 96, (2, 2, 18, 2), (3, 6, 12, 24), 50, 8.7),
        ("swin_base", 128, (2, 2, 18, 2), (4, 8, 16, 32), 88, 15.4),
    ],
)
def test_sizes_are_the_papers(
    name: str, channels: int, depths: tuple[int, ...], heads: tuple[int, ...], millions: float, billions: float
) -> None:
    count, controller = (3 * 16 + 1) * channels + 2 * channels, 0
    for stage, (depth, head_count) in enumerate(zip(depths, heads, strict=True)):
        width = channels * 2**stage
        per_block = 2 * 2 * width + (width + 1) * 3 * width + (width + 1) * width + 13 * 13 * head_count
        per_block += (width + 1) * 4 * width + (4 * width + 1) * width
        count += depth * per_block
        if stage < 3:
            count += 2 * 4 * width + 4 * width * 2 * width
            controller += 2 * (2 + 1) * 2 * width
    count += 2 * 8 * channels
    classifier = (8 * channels + 1) * 1000
    assert abs((count + classifier) / 1e6 - millions) < 0.8  # the paper's figure has two digits
    with torch.device("meta"):
        model = build_model(config(name, SEMANTIC_WEIGHT=0.2, CHANNELS_LAST=False), 3)
    assert sum(parameter.numel() for parameter in model.base.parameters()) == count + controller
    cost = measure_work(model, (224, 224))
    assert cost.metrics["model/gmacs"] == pytest.approx(billions, abs=0.06)


def test_the_controller_is_not_trained() -> None:
    torch.manual_seed(0)
    model = build_model(config("swin_tiny", SEMANTIC_WEIGHT=0.2), 3)
    trained = {name for names in group_parameters(config("swin_tiny"), model).values() for name in names}
    still = {name for name in dict(model.named_parameters()) if "semantic_embed" in name}
    assert len(still) == 12 and not still & trained
    before = {name: value.clone() for name, value in model.state_dict().items()}
    optimizer = build_optimizer(config("swin_tiny", OPTIMIZER_NAME="SGD"), model)
    [branch] = model(torch.randn(2, 3, 64, 32))
    branch.scores.sum().backward()
    assert all(value.grad is not None for name, value in model.named_parameters() if name in trained)
    optimizer.step()
    moved = {name for name, value in model.named_parameters() if not torch.equal(value, before[name])}
    assert moved <= trained and len(moved) > len(trained) / 2


def test_layers_are_blocks_and_a_merging_goes_with_the_block_before_it() -> None:
    cfg = config("swin_tiny", SEMANTIC_WEIGHT=0.2)
    cfg.SOLVER.LAYER_DECAY = 0.9
    with torch.device("meta"):
        depths = layer_depths(cfg, build_model(cfg, 3))
    assert {depths[f"base.features.7.{block}.mlp.0.weight"] for block in (1, 0)} == {1, 2}
    assert depths["base.norm.weight"] == 1
    assert [depths[f"base.features.{part}.norm.weight"] for part in (6, 4, 2)] == [3, 9, 11]
    assert depths["base.features.1.0.attn.qkv.weight"] == 12
    assert depths["base.features.0.0.weight"] == depths["base.features.0.2.bias"] == 13


def test_blocks_are_passed_over_in_training_more_often_the_higher_they_are() -> None:
    network = SwinBackbone(SMALL, drop_path=0.3)
    rates = [part.probability for name, part in network.named_modules() if name.endswith("stochastic_depth")]
    assert rates == pytest.approx([0, 0.1, 0.2, 0.3])
    images = torch.randn(1, 3, 64, 32)
    assert not all(torch.equal(network(images), network(images)) for _ in range(8))
    network.eval()
    assert torch.equal(network(images), network(images))


def test_the_semantic_weight_is_for_networks_that_have_the_controller() -> None:
    with pytest.raises(
        ConfigError, match=r"^MODEL\.SEMANTIC_WEIGHT: 0\.2 is not for resnet18, .*; give -1, or a network"
    ):
        build_model(config("resnet18", SEMANTIC_WEIGHT=0.2), 3)


def test_mixed_precision_changes_features_little() -> None:
    torch.manual_seed(0)
    model: ReIDModel = build_model(config("swin_tiny", SEMANTIC_WEIGHT=0.2), 3).eval()
    images = torch.randn(2, 3, 64, 32)
    with torch.no_grad():
        exact = model(images)
        model.autocast = torch.bfloat16
        rounded = model(images)
    assert rounded.dtype == torch.float32
    assert 0 < float((rounded - exact).norm() / exact.norm()) < 0.05
