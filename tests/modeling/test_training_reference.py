"""Networks held against reid-strong-baseline's own outputs; skipped unless REID_REFERENCE names the folder of
reference.npz and reference.json, which hold what that project computes (2 MB and more, so not kept here)."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from modeling.model import ReIDModel
from tests.modeling.test_model import network, weights_by_rule

FOLDER = Path(os.environ.get("REID_REFERENCE", ""))

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not (FOLDER / "reference.npz").is_file(), reason="REID_REFERENCE names no folder of it"),
]

NETWORKS: dict[str, Callable[[], ReIDModel]] = {
    "resnet18_bnneck_after": lambda: network("resnet18"),
    "resnet50_bnneck_after": lambda: network("resnet50"),
    "resnet50_bnneck_before": lambda: network("resnet50", neck_feat="before"),
    "resnet50_no_after": lambda: network("resnet50", neck=False),
    "resnet50_ibn_a_bnneck_after": lambda: network("resnet50_ibn_a"),
    "se_resnext50_bnneck_after": lambda: network("se_resnext50"),
}


@pytest.fixture(params=NETWORKS)
def case(request: pytest.FixtureRequest) -> tuple[str, ReIDModel]:
    """A network with its weights, and the name of what it is to compute."""
    model = NETWORKS[request.param]()
    model.load_state_dict(weights_by_rule(model))
    return request.param, model


def reference(name: str, what: str) -> Tensor:
    with np.load(FOLDER / "reference.npz") as arrays:
        return torch.from_numpy(arrays[f"model/{name}/{what}"])


def distance(ours: Tensor, theirs: Tensor) -> float:
    return float((ours.double() - theirs.double()).norm() / theirs.double().norm())


def test_names_and_shapes(case: tuple[str, ReIDModel]) -> None:
    name, model = case
    expected = json.loads((FOLDER / "reference.json").read_text(encoding="utf-8"))[name]
    # The original's IBN network carries the classifier of ImageNet along, which nothing there or here uses.
    unused = {"base.fc.weight", "base.fc.bias"}
    ours = {key: list(value.shape) for key, value in model.state_dict().items()}
    assert ours == {key: shape for key, shape in expected.items() if key not in unused}


def test_features(case: tuple[str, ReIDModel]) -> None:
    name, model = case
    with torch.no_grad():
        features = model.eval()(reference(name, "input"))
    assert distance(features, reference(name, "feature")) < 1e-4


def test_training_outputs_are_as_exact_as_the_originals(case: tuple[str, ReIDModel]) -> None:
    """Both compute in float32; batch normalisation of two images magnifies rounding, so that scores behind it differ by
    more than 1e-4. Ours may be as far from float64 as the original's are, with a half on top for luck."""
    name, model = case
    state = {key: value.clone() for key, value in model.state_dict().items()}
    images = reference(name, "input")
    with torch.no_grad():
        [ours_now] = model.train()(images)
        model.load_state_dict(state)
        [exact] = model.double()(images.double())
    for what, ours, truth in (
        ("train_score", ours_now.scores, exact.scores),
        ("train_global_feature", ours_now.features, exact.features),
    ):
        theirs = distance(reference(name, what), truth)
        assert theirs < 2e-3  # float64 is indeed what they approximate
        assert distance(ours, truth) <= max(1.5 * theirs, 1e-5), what
