"""ResNets: instance-batch normalisation, non-local blocks and the stem's pooling, against their papers."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from yacs.config import CfgNode

from configs.defaults import _C
from modeling.backbones import build_backbone
from modeling.backbones.layers import number_layers
from modeling.backbones.non_local import NonLocal
from modeling.backbones.resnet import IBN
from modeling.model import build_model
from modeling.pretrained import load_pretrained
from utils.errors import ConfigError


def config(name: str, **settings: object) -> CfgNode:
    cfg = _C.clone()
    cfg.MODEL.update(NAME=name, CHANNELS_LAST=False, **settings)
    return cfg


# Of the whole networks with 1,000 classes, as torchvision documents them. IBN-a has as many: a scale and a shift for each
# channel, whichever way it is normalised (Pan et al., ECCV 2018, table 1).
PUBLISHED = {"resnet18": 11_689_512, "resnet34": 21_797_672, "resnet50": 25_557_032, "resnet101": 44_549_160}


@pytest.mark.parametrize("name", [*PUBLISHED, *(f"{name}_ibn_a" for name in PUBLISHED)])
def test_networks_have_as_many_parameters_as_published(name: str) -> None:
    with torch.device("meta"):
        backbone = build_backbone(config(name))
    classifier = 1000 * (int(backbone.out_channels) + 1)  # type: ignore[arg-type]
    published = PUBLISHED[name.removesuffix("_ibn_a")]
    assert sum(parameter.numel() for parameter in backbone.parameters()) + classifier == published


@pytest.mark.parametrize("name", ["resnet18_ibn_a", "resnet50_ibn_a"])
def test_ibn_is_the_first_normalisation_of_each_block_of_three_stages(name: str) -> None:
    with torch.device("meta"):
        backbone = build_backbone(config(name))
    found = {key for key, module in backbone.named_modules() if isinstance(module, IBN)}
    counts = (2, 2, 2) if "18" in name else (3, 4, 6)
    assert found == {f"layer{s}.{b}.bn1" for s, count in enumerate(counts, start=1) for b in range(count)}
    state = backbone.state_dict()
    assert "layer1.0.bn1.IN.weight" in state and "layer1.0.bn1.BN.running_mean" in state  # IBN-Net's names
    assert "layer1.0.bn1.IN.running_mean" not in state


def test_ibn_normalises_half_by_image_and_half_by_batch() -> None:
    maps = torch.from_numpy(np.random.default_rng(0).standard_normal((3, 6, 4, 2)))
    layer = IBN(6).double()
    by_image = (maps - maps.mean((2, 3), keepdim=True)) / (maps.var((2, 3), unbiased=False, keepdim=True) + 1e-5).sqrt()
    dims = (0, 2, 3)
    by_batch = (maps - maps.mean(dims, keepdim=True)) / (maps.var(dims, unbiased=False, keepdim=True) + 1e-5).sqrt()
    torch.testing.assert_close(layer(maps), torch.cat([by_image[:, :3], by_batch[:, 3:]], 1))


def non_local_by_the_book(block: NonLocal, x: Tensor) -> Tensor:
    """Equation 1 of Wang et al. (CVPR 2018) with f(x_i, x_j) = theta(x_i) . phi(x_j) and C(x) = N, one pair at a time."""

    def embed(conv: nn.Module, place: Tensor) -> Tensor:
        assert isinstance(conv, nn.Conv2d) and conv.bias is not None
        return conv.weight[:, :, 0, 0] @ place + conv.bias

    out = torch.empty_like(x)
    norm = block.W[1]
    places = [(row, column) for row in range(x.shape[2]) for column in range(x.shape[3])]
    for image in range(len(x)):
        for row, column in places:
            theta = embed(block.theta, x[image, :, row, column])
            y = torch.zeros_like(theta)
            for r, c in places:
                other = x[image, :, r, c]
                y = y + (theta @ embed(block.phi, other)) * embed(block.g, other) / len(places)
            w = embed(block.W[0], y)
            assert isinstance(norm, nn.BatchNorm2d) and norm.running_mean is not None and norm.running_var is not None
            w = (w - norm.running_mean) / (norm.running_var + norm.eps).sqrt() * norm.weight + norm.bias
            out[image, :, row, column] = x[image, :, row, column] + w
    return out


@pytest.mark.parametrize("embedding", [1, 2])
def test_a_non_local_block_and_its_gradient_are_by_the_book(embedding: int) -> None:
    torch.manual_seed(0)
    block = NonLocal(4, embedding).double().eval()
    for tensor in (block.W[1].weight, block.W[1].bias, block.W[1].running_mean):
        nn.init.normal_(tensor)  # type: ignore[arg-type]
    x = torch.randn(2, 4, 3, 2, dtype=torch.float64, requires_grad=True)
    torch.testing.assert_close(block(x), non_local_by_the_book(block, x))
    assert torch.autograd.gradcheck(block, (x,))


def test_an_untrained_non_local_block_changes_nothing_and_learns() -> None:
    torch.manual_seed(0)
    block, x = NonLocal(4).train(), torch.randn(2, 4, 3, 2)
    assert torch.equal(block(x), x)
    torch.autograd.backward((block(x) * torch.randn(2, 4, 3, 2)).sum())
    assert float(block.W[1].weight.grad.abs().sum()) > 0  # type: ignore[union-attr, operator]


def test_a_non_local_block_is_exported_for_batches_of_any_size() -> None:
    block, batch = NonLocal(4).eval(), torch.export.Dim("batch")
    exported = torch.export.export(block, (torch.randn(2, 4, 3, 2),), dynamic_shapes={"x": {0: batch}}).module()
    x = torch.randn(5, 4, 3, 2)
    torch.testing.assert_close(exported(x), block(x))


# In AGW's code (mangye16/ReID-Survey, modeling/backbones/resnet_nl.py) and fast-reid's: behind the last blocks of a stage.
@pytest.mark.parametrize(
    ("name", "counts", "behind"),
    [
        ("resnet50", (0, 2, 3, 0), {"NL_2": ["layer2.2", "layer2.3"], "NL_3": ["layer3.3", "layer3.4", "layer3.5"]}),
        ("resnet101", (0, 2, 9, 0), {"NL_2": ["layer2.2", "layer2.3"], "NL_3": [f"layer3.{n}" for n in range(14, 23)]}),
        ("resnet18", (1, 0, 0, 2), {"NL_1": ["layer1.1"], "NL_4": ["layer4.0", "layer4.1"]}),
    ],
)
def test_non_local_blocks_stand_behind_the_last_blocks_of_a_stage(
    name: str, counts: tuple[int, ...], behind: dict[str, list[str]]
) -> None:
    with torch.device("meta"):
        backbone = build_backbone(config(name, NON_LOCAL=counts))
    order: list[str] = []
    for key, module in backbone.named_modules():
        if key.count(".") == 1 and not key.endswith((".conv1", ".bn1")):
            module.register_forward_hook(lambda *_, key=key: order.append(key))
    backbone(torch.empty(1, 3, 64, 32, device="meta"))
    found = {key: order[place - 1] for place, key in enumerate(order) if key.startswith("NL_")}
    assert found == {f"{key}.{number}": block for key, blocks in behind.items() for number, block in enumerate(blocks)}
    numbers = number_layers(backbone)
    for key, block in found.items():
        assert numbers[f"{key}.g.weight"] == numbers[f"{block}.conv1.weight"]
    plain = number_layers(build_backbone(config("resnet18"))) if name == "resnet18" else {}
    assert {key: value for key, value in numbers.items() if key in plain} == plain
    embedding, channels = 1, {"NL_1": 64, "NL_4": 512} if name == "resnet18" else {"NL_2": 512, "NL_3": 1024}
    for key, blocks in behind.items():
        count = sum(p.numel() for n, p in backbone.named_parameters() if n.startswith(f"{key}."))
        each = 3 * (channels[key] + 1) * embedding + channels[key] * (embedding + 1) + 2 * channels[key]
        assert count == len(blocks) * each


def test_imagenet_weights_fit_a_network_with_non_local_blocks(tmp_path: Path) -> None:
    torch.manual_seed(5)
    source = build_model(config("resnet18"), 3).base.state_dict()
    torch.save(source, tmp_path / "resnet18.pth")
    cfg = config("resnet18", NON_LOCAL=(0, 1, 0, 0), PRETRAIN_PATH=str(tmp_path / "resnet18.pth"))
    model = build_model(cfg, 3)
    before = model.base.state_dict()["NL_2.0.g.weight"].clone()
    load_pretrained(cfg, model)
    after = model.base.state_dict()
    assert all(torch.equal(after[name], value) for name, value in source.items())
    assert torch.equal(after["NL_2.0.g.weight"], before)
    own = model.state_dict()
    torch.save({name: value for name, value in own.items() if "NL_2" not in name}, tmp_path / "own.pth")
    cfg.MODEL.PRETRAIN_CHOICE, cfg.MODEL.PRETRAIN_PATH = "self", str(tmp_path / "own.pth")
    line = load_pretrained(cfg, model)
    assert "new: " in line and "NL_2" in line  # also of a whole network: new blocks change nothing


@pytest.mark.parametrize(
    ("name", "counts", "expected"),
    [
        ("resnet18", (0, 3, 0, 0), "MODEL.NON_LOCAL: 3 in stage 2, which has 2 blocks in resnet18"),
        (
            "mobilenet_v2",
            (0, 1, 0, 0),
            "(0, 1, 0, 0) is not for mobilenet_v2, .* give [0,0,0,0], or a network that does, of resnet",
        ),
    ],
)
def test_non_local_blocks_that_cannot_be_are_told(name: str, counts: tuple[int, ...], expected: str) -> None:
    pattern = expected.replace("(", r"\(").replace(")", r"\)").replace("[", r"\[").replace("]", r"\]")
    with pytest.raises(ConfigError, match=pattern):
        build_backbone(config(name, NON_LOCAL=counts))


@pytest.mark.parametrize(("kind", "first"), [("padded", -1), ("ceil", 0)])
def test_the_stems_pooling_begins_at_the_border_or_beside_it(kind: str, first: int) -> None:
    pool = build_backbone(config("resnet18", STEM_POOLING=kind)).maxpool
    x = torch.randn(1, 1, 8, 6)
    expected = torch.tensor(
        [
            [
                float(x[0, 0, max(r + first, 0) : r + first + 3, max(c + first, 0) : c + first + 3].max())
                for c in range(0, 6, 2)
            ]
            for r in range(0, 8, 2)
        ]
    )
    assert torch.equal(pool(x)[0, 0], expected)  # type: ignore[operator]
