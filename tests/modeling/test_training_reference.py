"""Scores in training mode, held against reid-strong-baseline's own; skipped unless REID_REFERENCE names the folder of
reference.npz, which holds what that project computes (2 MB and more, so not kept here)."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from tests.modeling.test_model import network, weights_by_rule

FOLDER = Path(os.environ.get("REID_REFERENCE", ""))

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not (FOLDER / "reference.npz").is_file(), reason="REID_REFERENCE names no folder of it"),
]


def training_scores(name: str, images: Tensor) -> Tensor:
    """Scores [N, 13] in the type of `images`."""
    model = network(name)
    model.load_state_dict(weights_by_rule(model))
    model.to(images.dtype).train()
    with torch.no_grad():
        return model(images)[0].double()


@pytest.mark.parametrize("name", ["resnet18", "resnet50", "resnet50_ibn_a"])
def test_training_scores_are_as_exact_as_the_originals(name: str) -> None:
    """Both compute in float32; batch normalisation of two images magnifies rounding, so that they differ by more than
    1e-4. Ours may be as far from float64 as the original's are, with a half on top for luck."""
    with np.load(FOLDER / "reference.npz") as reference:
        images = torch.from_numpy(reference[f"model/{name}_bnneck_after/input"])
        original = torch.from_numpy(reference[f"model/{name}_bnneck_after/train_score"]).double()
    exact = training_scores(name, images.double())
    theirs, ours = ((scores - exact).norm() / exact.norm() for scores in (original, training_scores(name, images)))
    assert float(theirs) < 2e-3  # float64 is indeed what they approximate
    assert float(ours) <= max(1.5 * float(theirs), 1e-5)
