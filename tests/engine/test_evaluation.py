from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from engine.evaluation import Results, evaluate
from utils.errors import TrainerError


class Pixel(nn.Module):
    """The first pixel's red, and a one: features whose length and direction both differ."""

    def forward(self, images: Tensor) -> Tensor:
        red = images[:, 0, 0, :1]
        return torch.cat([red, torch.ones_like(red)], dim=1)


def batches(values: list[float], pids: list[int], camids: list[int]) -> list[object]:
    images = torch.tensor(values)[:, None, None, None].expand(-1, 3, 2, 2)
    columns = images.split(2), torch.tensor(pids).split(2), torch.tensor(camids).split(2)
    return [(*batch, ["path"] * len(batch[0])) for batch in zip(*columns, strict=True)]


def run(values: list[float], pids: list[int], camids: list[int], num_query: int, normalise: bool = False) -> Results:
    return evaluate(
        Pixel(),
        batches(values, pids, camids),
        num_query,
        epoch=7,
        device=torch.device("cpu"),
        normalise=normalise,
    )


def test_log_lines_are_the_contracts() -> None:
    results = Results(epoch=3, mAP=0.04444, cmc=(0.119, 0.2955, 1.0))
    assert results.lines() == [
        "Validation Results - Epoch: 3",
        "mAP: 4.4%",
        "CMC curve, Rank-1  :11.9%",
        "CMC curve, Rank-5  :29.5%",
        "CMC curve, Rank-10 :100.0%",
    ]
    assert results.row() == {
        "epoch": 3,
        "val/mAP": pytest.approx(4.444),
        "val/cmc_rank_1": pytest.approx(11.9),
        "val/cmc_rank_5": pytest.approx(29.55),
        "val/cmc_rank_10": 100.0,
    }


def test_queries_come_first_and_the_gallery_is_ranked() -> None:
    # Query 0 (at 0.0): its matches are 1st and 3rd. Query 1 (at 5.0): its match is 3rd.
    results = run([0.0, 5.0, 0.1, 3.0, 0.2, 4.9], pids=[1, 2, 1, 1, 2, 9], camids=[0, 0, 1, 1, 1, 1], num_query=2)
    assert results.epoch == 7
    assert results.mAP == pytest.approx(((1 / 1 + 2 / 3) / 2 + 1 / 3) / 2)
    assert results.cmc == (0.5, 1.0, 1.0)


def test_normalising_compares_directions() -> None:
    # Seen from 2.0, 1.0 is nearer than 4.0 by distance and farther by angle.
    values, pids, camids = [2.0, 1.0, 4.0], [1, 2, 1], [0, 1, 1]
    assert run(values, pids, camids, 1).cmc[0] == 0.0
    assert run(values, pids, camids, 1, normalise=True).cmc[0] == 1.0


def test_no_match_anywhere_is_said() -> None:
    with pytest.raises(TrainerError, match="no query has a match"):
        run([0.0, 1.0], pids=[1, 2], camids=[0, 0], num_query=1)


def test_features_that_are_not_finite_are_a_divergence() -> None:
    with pytest.raises(TrainerError, match="diverged: features are not finite after epoch 7"):
        run([0.0, float("nan")], pids=[1, 1], camids=[0, 1], num_query=1)
