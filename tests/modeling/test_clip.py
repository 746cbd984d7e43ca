"""CLIP's encoders and CLIP-ReID's losses against implementations in float64 NumPy, written from the papers."""

from __future__ import annotations

import math
import pickle
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from configs.defaults import _C
from configs.keys.prompts import CHOICES
from engine.export import export_onnx
from modeling.backbones.clip_resnet import AttentionPooling, Bottleneck, ClipResNet
from modeling.backbones.clip_vit import ClipViT
from modeling.clip.prompts import PromptStage, contrastive_loss
from modeling.clip.text import BEFORE, BEHIND, LEARNT, LENGTH, NOUNS, TextShape
from modeling.heads.clip import ClipReID
from modeling.losses.criterion import build_criterion
from modeling.model import build_model, is_of_classifier
from modeling.pretrained import load_pretrained, load_reid_weights
from modeling.weights.files import read_state_dict
from tests.modeling.tiny_clip import FEATURES, LAYERS, NAME, TEXT, WIDTH, clip_weights
from utils.errors import ConfigError

Array = NDArray[np.float64]
Weights = dict[str, Array]


def settings(**model: object) -> Any:
    cfg = _C.clone()
    cfg.MODEL.update(NAME=NAME, HEAD="clip_reid", PRETRAIN_CHOICE="none", CHANNELS_LAST=False)
    cfg.INPUT.SIZE_TRAIN = cfg.INPUT.SIZE_TEST = (48, 32)
    cfg.MODEL.update(**model)
    return cfg


def normalised(x: Array, weights: Weights, name: str) -> Array:
    centred = x - x.mean(-1, keepdims=True)
    variance = (centred**2).mean(-1, keepdims=True)
    return centred / np.sqrt(variance + 1e-5) * weights[f"{name}.weight"] + weights[f"{name}.bias"]


def softmax(x: Array) -> Array:
    powers = np.exp(x - x.max(-1, keepdims=True))
    return powers / powers.sum(-1, keepdims=True)


def linear(x: Array, weights: Weights, name: str) -> Array:
    return x @ weights[f"{name}.weight"].T + weights[f"{name}.bias"]


def block(x: Array, weights: Weights, prefix: str, heads: int, *, causal: bool) -> Array:
    """One residual block, token by token and head by head: x [N, C] of one image or sentence."""
    tokens, width = x.shape
    joined = normalised(x, weights, f"{prefix}ln_1") @ weights[f"{prefix}attn.in_proj_weight"].T
    query, key, value = np.split(joined + weights[f"{prefix}attn.in_proj_bias"], 3, axis=1)
    size = width // heads
    mixed = np.zeros_like(x)
    for head in range(heads):
        part = slice(head * size, (head + 1) * size)
        for token in range(tokens):
            seen = token + 1 if causal else tokens
            shares = softmax(key[:seen, part] @ query[token, part] / math.sqrt(size))
            mixed[token, part] = shares @ value[:seen, part]
    x = x + linear(mixed, weights, f"{prefix}attn.out_proj")
    inner = linear(normalised(x, weights, f"{prefix}ln_2"), weights, f"{prefix}mlp.c_fc")
    return x + linear(inner / (1 + np.exp(-1.702 * inner)), weights, f"{prefix}mlp.c_proj")


def image_features(image: Array, weights: Weights, stride: int) -> tuple[Array, Array, Array]:
    """The three features of an image [3, H, W], from the weights of an image encoder."""
    patches = [
        np.einsum("ocij,cij->o", weights["conv1.weight"], image[:, top : top + 16, left : left + 16])
        for top in range(0, image.shape[1] - 15, stride)
        for left in range(0, image.shape[2] - 15, stride)
    ]
    x = np.stack([weights["class_embedding"], *patches]) + weights["positional_embedding"]
    x = normalised(x, weights, "ln_pre")
    for number in range(LAYERS):
        earlier, x = x[0], block(x, weights, f"transformer.resblocks.{number}.", WIDTH // 64, causal=False)
    last = normalised(x[0], weights, "ln_post")
    return earlier, last, last @ weights["proj"]


def in_float64(module: nn.Module) -> Weights:
    return {name: value.double().numpy() for name, value in module.state_dict().items()}


@pytest.mark.parametrize("stride", [16, 12])
def test_the_image_encoder_is_the_papers(stride: int) -> None:
    torch.manual_seed(0)
    network = ClipViT((48, 40), (stride, stride), width=WIDTH, layers=LAYERS, features=FEATURES, text=TEXT).double()
    network.gives_all = True
    images = torch.randn(2, 3, 48, 40, dtype=torch.float64)
    found = network(images)
    for number, image in enumerate(images.numpy()):
        for ours, expected in zip(found, image_features(image, in_float64(network), stride), strict=True):
            np.testing.assert_allclose(ours[number].detach().numpy(), expected, rtol=1e-9, atol=1e-11)
    network.gives_all = False
    torch.testing.assert_close(network(images), found.last, rtol=0, atol=0)


def test_vit_b16_has_the_parameters_of_the_paper() -> None:
    """Sizes of Radford et al., table 20: 12 layers of width 768, features of 512; images of 224 pixels."""
    with torch.device("meta"):
        network = ClipViT((224, 224))
    per_block = 12 * 768**2 + 13 * 768  # weights of attention (4) and perceptron (8), their biases (9), two norms (4)
    embedding = 768 * 3 * 16 * 16 + 768 + 197 * 768
    assert sum(p.numel() for p in network.parameters()) == embedding + 12 * per_block + 2 * 2 * 768 + 768 * 512
    assert network.number_layers()["proj"] == 12
    assert network.number_layers()["positional_embedding"] == network.number_layers()["ln_pre.bias"] == 0


def convolved(x: Array, weight: Array) -> Array:
    """Convolution of a map [C, h, w] by weights [O, C, k, k], padded so that its size stays."""
    reach = weight.shape[-1] // 2
    padded = np.pad(x, ((0, 0), (reach, reach), (reach, reach)))
    places = [(i, j) for i in range(weight.shape[-1]) for j in range(weight.shape[-1])]
    shifted = [(weight[:, :, i, j], padded[:, i : i + x.shape[1], j : j + x.shape[2]]) for i, j in places]
    return sum((np.einsum("oc,chw->ohw", taps, part) for taps, part in shifted), np.zeros(1))


def averaged(x: Array) -> Array:
    """Means of squares of 2 x 2."""
    return (x[:, 0::2, 0::2] + x[:, 1::2, 0::2] + x[:, 0::2, 1::2] + x[:, 1::2, 1::2]) / 4


def scaled(x: Array, weights: Weights, name: str) -> Array:
    """Batch normalisation in evaluation."""
    factor = weights[f"{name}.weight"] / np.sqrt(weights[f"{name}.running_var"] + 1e-5)
    shift = weights[f"{name}.bias"] - factor * weights[f"{name}.running_mean"]
    return factor[:, None, None] * x + shift[:, None, None]


def test_a_block_of_clips_resnet_averages_where_others_have_a_stride() -> None:
    torch.manual_seed(0)
    layer = Bottleneck(8, 3, 2).double().eval()
    for tensor in (*layer.parameters(), *layer.buffers()):
        if tensor.is_floating_point():
            nn.init.uniform_(tensor, 0.5, 1.5)
    x, w = torch.randn(1, 8, 6, 4, dtype=torch.float64), in_float64(layer)
    inner = np.maximum(scaled(convolved(x[0].numpy(), w["conv1.weight"]), w, "bn1"), 0)
    inner = averaged(np.maximum(scaled(convolved(inner, w["conv2.weight"]), w, "bn2"), 0))
    inner = scaled(convolved(inner, w["conv3.weight"]), w, "bn3")
    beside = scaled(convolved(averaged(x[0].numpy()), w["downsample.0.weight"]), w, "downsample.1")
    np.testing.assert_allclose(layer(x)[0].detach().numpy(), np.maximum(inner + beside, 0), rtol=1e-10)


def test_attention_pooling_asks_with_the_mean_of_all_places() -> None:
    torch.manual_seed(0)
    pooling = AttentionPooling((3, 2), 128, 5).double()
    x, w = torch.randn(1, 128, 3, 2, dtype=torch.float64), in_float64(pooling)
    places = x[0].flatten(1).t().numpy()
    tokens = np.concatenate([places.mean(0, keepdims=True), places]) + w["positional_embedding"]
    query = linear(tokens[0], w, "q_proj")
    key, value = linear(tokens, w, "k_proj"), linear(tokens, w, "v_proj")
    parts = [slice(0, 64), slice(64, 128)]
    mixed = np.concatenate([softmax(key[:, part] @ query[part] / 8) @ value[:, part] for part in parts])
    np.testing.assert_allclose(pooling(x)[0].detach().numpy(), linear(mixed, w, "c_proj"), rtol=1e-9)


def test_rn50_has_the_features_and_parameters_of_the_paper() -> None:
    """ResNet-50's blocks (He et al., CVPR 2016), a stem of three convolutions, attention of width 2048, features of 1024."""
    with torch.device("meta"):
        network = ClipResNet((256, 128))
    expected = 3 * 9 * 32 + 9 * 32 * 32 + 9 * 32 * 64 + 2 * (32 + 32 + 64)
    channels = 64
    for inner, blocks in ((64, 3), (128, 4), (256, 6), (512, 3)):
        for number in range(blocks):
            expected += channels * inner + 9 * inner**2 + 4 * inner**2 + 2 * (2 * inner + 4 * inner)
            expected += channels * 4 * inner + 8 * inner if number == 0 else 0
            channels = 4 * inner
    expected += (16 * 8 + 1) * 2048 + 3 * (2048**2 + 2048) + 2048 * 1024 + 1024
    assert sum(p.numel() for p in network.parameters()) == expected
    assert network.widths == [1024, 2048, 1024]
    assert network.text == TextShape(512, 12, 1024)
    assert network.grid == (16, 8)


def test_clips_resnet_gives_a_map_or_three_features() -> None:
    torch.manual_seed(0)
    network = ClipResNet((64, 32), width=8, blocks=(1, 1, 1, 1), features=6, text=TEXT).eval()
    images = torch.randn(2, 3, 64, 32)
    feature_map = network(images)
    assert feature_map.shape == (2, 256, 4, 2)
    assert ClipResNet((64, 32), 2, width=8, blocks=(1, 1, 1, 1), text=TEXT).eval()(images).shape == (2, 256, 2, 1)
    network.gives_all = True
    found = network(images)
    assert [list(feature.shape) for feature in found] == [[2, 128], [2, 256], [2, 6]]
    torch.testing.assert_close(found.last, feature_map.mean((2, 3)))
    torch.testing.assert_close(found.projected, network.attnpool(feature_map))


def sentence_feature(stage: PromptStage, weights: dict[str, Tensor], pid: int) -> Array:
    """A sentence's feature as CLIP computes it: 77 tokens, of which those behind the end are 0, and the causal mask."""
    full = {name: value.double().numpy() for name, value in weights.items()}
    ids = [*BEFORE, *[0] * LEARNT, NOUNS["vehicle"], *BEHIND]
    x = full["token_embedding.weight"][ids + [0] * (77 - len(ids))]
    x[len(BEFORE) : len(BEFORE) + LEARNT] = stage.prompt_learner.cls_ctx[pid].detach().numpy()
    x = x + full["positional_embedding"]
    for number in range(TEXT.layers):
        x = block(x, full, f"transformer.resblocks.{number}.", TEXT.width // 64, causal=True)
    return normalised(x, full, "ln_final")[ids.index(49407)] @ full["text_projection"]


def stage_with_weights(path: Path) -> PromptStage:
    torch.save(clip_weights(), path)
    stage = PromptStage(settings(), 5, TEXT)
    stage.load_clip(str(path), "vehicle")
    return stage.double()


def test_a_sentences_feature_is_clips_of_77_tokens(tmp_path: Path) -> None:
    stage = stage_with_weights(tmp_path / "clip.pt")
    pids = torch.tensor([3, 0, 3])
    found = stage.text_features(pids)
    for ours, pid in zip(found, pids.tolist(), strict=True):
        np.testing.assert_allclose(
            ours.detach().numpy(), sentence_feature(stage, clip_weights(), pid), rtol=1e-8, atol=1e-10
        )


def test_token_ids_follow_from_the_layout_of_the_table() -> None:
    """256 bytes, beginning with "!", then the same at the end of a word, then 48,894 merges, start and end."""
    a, stop = (256 + ord(letter) - ord("!") for letter in "a.")
    merges = range(512, 512 + 48_894)
    start, *words = BEFORE
    assert (start, [words[0], words[3]]) == (merges.stop, [a, a])
    assert all(word in merges for word in (*words[1:3], *NOUNS.values()))  # photo, of and the nouns
    assert list(BEHIND) == [stop, merges.stop + 1]
    sentence = ["", "a", "photo", "of", "a", "x", "x", "x", "x", "person", ".", ""]
    assert (sentence.count("x"), len(sentence)) == (LEARNT, LENGTH)
    assert tuple(NOUNS) == CHOICES["MODEL.PROMPT_NOUN"]


def test_only_the_learnt_tokens_of_the_batchs_identities_get_gradients(tmp_path: Path) -> None:
    stage = stage_with_weights(tmp_path / "clip.pt")
    assert [name for name, p in stage.named_parameters() if p.requires_grad] == ["prompt_learner.cls_ctx"]
    pids = torch.tensor([1, 4, 1])
    images = torch.randn(3, FEATURES, dtype=torch.float64)
    stage.loss(images, pids).backward()
    gradient = stage.prompt_learner.cls_ctx.grad
    assert gradient is not None
    assert [pid for pid in range(5) if gradient[pid].any()] == [1, 4]
    ours, step = stage.prompt_learner.cls_ctx.detach(), 1e-5
    for place in ((1, 0, 3), (4, 2, 60), (1, 3, 17)):  # by central differences
        values = []
        for sign in (1, -1):
            moved = ours.clone()
            moved[place] += sign * step
            stage.prompt_learner.cls_ctx.data = moved
            values.append(float(stage.loss(images, pids).detach()))
        assert (values[0] - values[1]) / (2 * step) == pytest.approx(float(gradient[place]), rel=1e-4, abs=1e-8)


def test_contrastive_losses_are_the_papers() -> None:
    rng = np.random.default_rng(0)
    images, texts, pids = rng.normal(size=(6, 8)), rng.normal(size=(6, 8)), [2, 0, 2, 1, 2, 0]
    texts = texts[pids]  # images of an identity have the same text
    to_texts, to_images = [], []
    for i in range(6):
        to_texts.append(-np.log(softmax(images[i] @ texts.T)[i]))
        positives = [p for p in range(6) if pids[p] == pids[i]]
        to_images.append(-np.mean(np.log(softmax(texts[i] @ images.T)[positives])))
    same = torch.tensor(pids)[:, None] == torch.tensor(pids)
    pair = torch.from_numpy(images), torch.from_numpy(texts)
    assert float(contrastive_loss(pair[0], pair[1], same)) == pytest.approx(np.mean(to_texts), rel=1e-12)
    assert float(contrastive_loss(pair[1], pair[0], same)) == pytest.approx(np.mean(to_images), rel=1e-12)


def prepared(cfg: Any, num_classes: int = 4) -> ClipReID:
    torch.manual_seed(1)
    model = build_model(cfg, num_classes)
    assert isinstance(model, ClipReID)
    model.classifier_text.weight.copy_(torch.randn(num_classes, FEATURES))  # type: ignore[operator]
    return model.double()


def test_the_second_stages_loss_is_the_papers() -> None:
    """L = w_id (L_id of two scores) + L_tri of three features + w_i2t L_i2t, all but the triplets smoothed by 0.1."""
    cfg = settings(ID_LOSS_WEIGHT=0.25, I2T_LOSS_WEIGHT=0.7)
    model = prepared(cfg)
    pids = [0, 0, 1, 1, 3, 3]
    branches = model(torch.randn(6, 3, 48, 32, dtype=torch.float64))
    criterion = build_criterion(cfg, 4, model.widths, model.own_terms(cfg))
    loss = float(criterion(branches, torch.tensor(pids)).detach())

    def smoothed(scores: Array) -> float:
        target = np.full((6, 4), 0.1 / 4)
        target[np.arange(6), pids] += 0.9
        return float(-(target * np.log(softmax(scores))).sum(1).mean())

    def triplet(features: Array) -> float:
        distances = np.sqrt(((features[:, None] - features[None]) ** 2).sum(2))
        same = np.array(pids)[:, None] == np.array(pids)
        farthest, nearest = np.where(same, distances, -1).max(1), np.where(same, np.inf, distances).min(1)
        return float(np.maximum(farthest - nearest + 0.3, 0).mean())

    earlier, last, projected = (branch.features.detach().numpy() for branch in branches[:3])
    texts = model.classifier_text.weight.numpy()  # type: ignore[union-attr,operator]
    scores = [branch.scores.detach().numpy() for branch in branches[1:3] if branch.scores is not None]
    expected = 0.25 * sum(map(smoothed, scores)) + sum(map(triplet, (earlier, last, projected)))
    assert loss == pytest.approx(expected + 0.7 * smoothed(projected @ texts.T), rel=1e-6)


def test_two_features_are_compared_before_or_after_their_necks() -> None:
    for place in ("before", "after"):
        cfg = settings()
        cfg.TEST.NECK_FEAT = place
        model = prepared(cfg).eval()
        for neck in (model.bottleneck, model.bottleneck_proj):
            nn.init.uniform_(neck.running_mean)  # type: ignore[union-attr,arg-type]
        images = torch.randn(2, 3, 48, 32, dtype=torch.float64)
        _earlier, last, projected = model.base(images)
        if place == "after":
            last, projected = model.bottleneck(last), model.bottleneck_proj(projected)  # type: ignore[misc]
        torch.testing.assert_close(model(images), torch.cat([last, projected], 1))
        assert model.channels == WIDTH + FEATURES


def test_sentences_are_part_of_a_classifier_which_other_identities_do_not_need() -> None:
    assert is_of_classifier("classifier_text.weight")
    assert build_model(settings(HEAD="clip"), 3).own_terms(settings()) == []


@pytest.mark.parametrize("half", [False, True])
@pytest.mark.parametrize("archive", ["state dict", "TorchScript"])
def test_clips_file_is_read_with_resized_positions(tmp_path: Path, archive: str, half: bool) -> None:
    weights, path = clip_weights(), tmp_path / "ViT-B-16.pt"
    if half:
        weights = {name: value.half() if value.is_floating_point() else value for name, value in weights.items()}
    if archive == "TorchScript":
        torch.jit.script(module_of(weights)).save(str(path))
    else:
        torch.save(weights, path)
    cfg = settings(PRETRAIN_CHOICE="imagenet", PRETRAIN_PATH=str(path))
    model = build_model(cfg, 3)
    line = load_pretrained(cfg, model)
    assert line.endswith("ViT-B-16.pt, read as CLIP's (visual.* → base.*); resized: base.positional_embedding")
    stage = model.preparation(cfg, load=True)
    assert stage is not None
    own = model.base.state_dict()
    for name, value in own.items():
        if name != "positional_embedding":
            assert torch.equal(value, weights[f"visual.{name}"].float()), name
    texts = stage.text_encoder.state_dict()  # type: ignore[union-attr,operator]
    assert torch.equal(texts["text_projection"], weights["text_projection"].float())
    # 4 x 4 positions become 3 x 2: two of them across are the means of pairs, down each is at (i + 1/2) 4/3 - 1/2.
    square = weights["visual.positional_embedding"][1:].double().reshape(4, 4, WIDTH).numpy()
    across = (square[:, 0::2] + square[:, 1::2]) / 2
    down = [
        across[0] + (across[1] - across[0]) / 6,
        (across[1] + across[2]) / 2,
        across[3] - (across[3] - across[2]) / 6,
    ]
    expected = np.concatenate(down)
    np.testing.assert_allclose(own["positional_embedding"][1:].numpy(), expected, rtol=1e-4, atol=1e-6)
    assert torch.equal(own["positional_embedding"][0], weights["visual.positional_embedding"][0].float())


def module_of(weights: dict[str, Tensor]) -> nn.Module:
    """A module whose state dict these weights are, to write an archive of."""
    root = nn.Module()
    for name, value in weights.items():
        *path, leaf = name.split(".")
        module = root
        for part in path:
            if not hasattr(module, part):
                module.add_module(part, nn.Module())
            module = getattr(module, part)
        module.register_buffer(leaf, value)
    return root


def test_an_archive_that_holds_anything_else_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "archive.pt"

    class Command:
        def __reduce__(self) -> tuple[Any, ...]:
            return print, ("run",)

    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("archive/constants.pkl", pickle.dumps((), protocol=2))
        archive.writestr("archive/data.pkl", pickle.dumps(Command(), protocol=2))
    with pytest.raises(ConfigError, match="is damaged or not a file of weights"):
        read_state_dict(str(path))


def test_side_information_is_added_to_the_class_token_alone(tmp_path: Path) -> None:
    torch.save(clip_weights(), tmp_path / "clip.pt")
    start = {"PRETRAIN_CHOICE": "imagenet", "PRETRAIN_PATH": str(tmp_path / "clip.pt")}
    cfg = settings(SIE_CAMERA=True, SIE_VIEW=True, SIE_COE=2.0, **start)
    torch.manual_seed(0)
    model = build_model(cfg, 3, 2, 3).double().eval()
    load_pretrained(cfg, model)
    base, images = model.base, torch.randn(2, 3, 48, 32, dtype=torch.float64)
    assert isinstance(base, ClipViT)
    plain = build_model(settings(), 3).double().eval().base
    weights = {name: value for name, value in base.state_dict().items() if name != "sie_embed"}
    for camera, view in ((1, 2), (0, 1)):  # the pair's embedding is at camera * 3 + view
        side = 2.0 * base.sie_embed[camera * 3 + view, 0]
        plain.load_state_dict({**weights, "class_embedding": weights["class_embedding"] + side})
        found = base(images, torch.tensor([[camera, view]] * 2))
        torch.testing.assert_close(found, plain(images))
        assert not torch.allclose(found.projected, base.project(images))
    plain.load_state_dict(weights)
    stage = model.preparation(cfg, load=True)
    assert stage is not None  # learns from features without side information
    torch.testing.assert_close(stage.encode(model, images), plain.project(images))  # type: ignore[operator]


@pytest.mark.parametrize("sides", [False, True])
def test_a_network_of_clip_reids_is_read_but_for_its_texts(tmp_path: Path, sides: bool) -> None:
    cfg = settings(SIE_CAMERA=sides)
    model = build_model(cfg, 3, 4).eval()
    nn.init.normal_(model.bottleneck_proj.running_mean)  # type: ignore[union-attr,arg-type]
    theirs = {
        name.replace("base.sie_embed", "cv_embed").replace("base.", "image_encoder."): value.clone()
        for name, value in model.state_dict().items()
        if name not in ("classifier_text.weight", "origin_counts")
    }
    if sides:
        theirs["cv_embed"] = theirs["cv_embed"][:, 0]
    theirs |= {"prompt_learner.cls_ctx": torch.zeros(3, 4, 64), "text_encoder.ln_final.weight": torch.ones(64)}
    torch.save(theirs, tmp_path / "clip_reid.pth")
    other = build_model(cfg, 3, 4).eval()
    line = load_reid_weights(other, read_state_dict(str(tmp_path / "clip_reid.pth")), "clip_reid.pth")
    assert "read as CLIP-ReID's" in line
    images = torch.randn(2, 3, 48, 32)
    torch.testing.assert_close(other(images), model(images), rtol=0, atol=0)


def test_images_of_another_size_get_resized_positions() -> None:
    torch.manual_seed(0)
    networks = [ClipViT(size, width=64, layers=1, features=6, text=TEXT) for size in ((64, 64), (64, 32))]
    images = torch.randn(2, 3, 64, 32)
    weights = networks[0].state_dict()
    square = weights["positional_embedding"][1:].reshape(4, 4, 64)
    narrow = torch.cat([weights["positional_embedding"][:1], ((square[:, 0::2] + square[:, 1::2]) / 2).flatten(0, 1)])
    networks[1].load_state_dict({**weights, "positional_embedding": narrow})
    torch.testing.assert_close(networks[0](images), networks[1](images))
    pooling = AttentionPooling((2, 2), 64, 5)
    assert pooling(torch.randn(3, 64, 4, 1)).shape == (3, 5)


@pytest.mark.slow
@pytest.mark.parametrize("network", ["resnet", "vit", "vit with sides"])
def test_the_image_part_alone_is_exported(tmp_path: Path, network: str) -> None:
    sizes = "width=8, blocks=(1, 1, 1, 1), features=6"
    (tmp_path / "resnet.py").write_text(
        "from modeling.backbones.clip_resnet import ClipResNet\n\n\n"
        f"def build(cfg):\n    return ClipResNet(cfg.INPUT.SIZE_TRAIN, {sizes})\n"
    )
    name = f"{tmp_path / 'resnet.py'}:build" if network == "resnet" else NAME
    cfg = settings(NAME=name, SIE_CAMERA=network == "vit with sides", DEVICE="cpu")
    torch.save(build_model(cfg, 4, 3).state_dict(), tmp_path / "weights.pth")
    done = export_onnx(cfg, str(tmp_path / "weights.pth"), tmp_path / "model.onnx")  # compares with onnxruntime
    assert done.channels == (256 + 6 if network == "resnet" else WIDTH + FEATURES)


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"HEAD": "clip_reid", "NAME": "resnet18"}, "MODEL.HEAD: clip_reid is for CLIP's image encoders"),
        ({"PRETRAIN_CHOICE": "imagenet", "PRETRAIN_PATH": ""}, "MODEL.PRETRAIN_PATH: is empty; CLIP's weights"),
        ({"PRETRAIN_CHOICE": "imagenet", "PRETRAIN_PATH": "no text"}, "holds no text encoder of CLIP's"),
        ({"PRETRAIN_CHOICE": "imagenet", "PRETRAIN_PATH": "other text"}, "does not fit this network's"),
        ({"PRETRAIN_CHOICE": "imagenet", "PRETRAIN_PATH": "no image"}, "holds no image encoder of CLIP's"),
        (
            {"PRETRAIN_CHOICE": "imagenet", "PRETRAIN_PATH": "other image"},
            "another image encoder than ViT-B-16.pt, whose",
        ),
        ({"PRETRAIN_CHOICE": "self", "PRETRAIN_PATH": "ours"}, "has no sentences of these 3 identities"),
    ],
)
def test_mistakes_are_one_line(tmp_path: Path, change: dict[str, str], expected: str) -> None:
    weights = clip_weights()
    files = {
        "no text": {name: value for name, value in weights.items() if name.startswith("visual.")},
        "no image": {name: value for name, value in weights.items() if not name.startswith("visual.")},
        "other image": {**weights, "visual.proj": torch.zeros(WIDTH, 8)},
        "other text": {**weights, "text_projection": torch.zeros(64, 8)},
        "ours": build_model(settings(), 5).state_dict(),
    }
    path = change.get("PRETRAIN_PATH", "")
    if path:
        torch.save(files[path], tmp_path / "weights.pt")
        change = {**change, "PRETRAIN_PATH": str(tmp_path / "weights.pt")}
    cfg = settings(**change)
    with pytest.raises(ConfigError, match=expected) as caught:
        model = build_model(cfg, 3)
        load_pretrained(cfg, model)
        model.preparation(cfg, load=True)
    assert "\n" not in str(caught.value)


def test_sizes_of_the_text_encoder_are_those_of_vit_b16() -> None:
    with torch.device("meta"):
        network = ClipViT((256, 128))
    assert network.text == TextShape(512, 12, 512)
    assert network.grid == (16, 8)
    assert network.widths == [768, 768, 512]
