from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from configs.defaults import _C
from data.loading import UNREADABLE
from engine.evaluation.evaluate import EvaluationMethod, Results, Retrieval, evaluate
from engine.evaluation.features import Features, extract_features
from engine.evaluation.metrics import Ranking
from engine.evaluation.protocols import Labels
from engine.evaluation.reranking import Reranking
from utils.errors import ConfigError, TrainerError


class Pixel(nn.Module):
    """The first pixel's red, and a one: features whose length and direction both differ."""

    def forward(self, images: Tensor) -> Tensor:
        red = images[:, 0, 0, :1]
        return torch.cat([red, torch.ones_like(red)], dim=1)


def batches(values: list[float], pids: list[int], camids: list[int]) -> list[object]:
    images = torch.tensor(values)[:, None, None, None].expand(-1, 3, 2, 2)
    columns = images.split(2), torch.tensor(pids).split(2), torch.tensor(camids).split(2)
    return [(*batch, ["path"] * len(batch[0]), torch.zeros(len(batch[0]), 2)) for batch in zip(*columns, strict=True)]


DISTANCES = EvaluationMethod(normalise=False)


def run(
    values: list[float], pids: list[int], camids: list[int], num_query: int, method: EvaluationMethod = DISTANCES
) -> Results:
    extracted = extract_features(Pixel(), batches(values, pids, camids), device=torch.device("cpu"))
    return evaluate(extracted, num_query, epoch=7, method=method)


def rank(extracted: Features, num_query: int, method: EvaluationMethod, tracks: tuple[int, ...] = ()) -> Ranking:
    return Retrieval(extracted, num_query, method, Labels(tracks=tracks)).ranking()


@pytest.mark.parametrize(
    "method", [DISTANCES, EvaluationMethod(expansion_k=2), EvaluationMethod(reranking=Reranking())]
)
@pytest.mark.parametrize(
    ("pids", "kind"),
    [([UNREADABLE, UNREADABLE, 1, 2], "2 queries"), ([1, 2, UNREADABLE, UNREADABLE], "2 gallery images")],
)
def test_nothing_to_rank_is_one_line(method: EvaluationMethod, pids: list[int], kind: str) -> None:
    with pytest.raises(ConfigError, match=f"^none of the {kind} can be read, so nothing can be ranked$"):
        run([0.0, 0.1, 0.2, 0.3], pids, [0, 0, 1, 1], num_query=2, method=method)


def test_log_lines_are_the_contracts() -> None:
    results = Results(epoch=3, mAP=0.04444, cmc=(0.119, 0.2955, 1.0), mINP=0.01234)
    assert results.lines() == [
        "Validation Results - Epoch: 3",
        "mAP: 4.4%",
        "CMC curve, Rank-1  :11.9%",
        "CMC curve, Rank-5  :29.5%",
        "CMC curve, Rank-10 :100.0%",
        "mINP: 1.2%",
    ]
    assert results.row() == {
        "epoch": 3,
        "val/mAP": pytest.approx(4.444),
        "val/cmc_rank_1": pytest.approx(11.9),
        "val/cmc_rank_5": pytest.approx(29.55),
        "val/cmc_rank_10": 100.0,
        "val/mINP": pytest.approx(1.234),
    }
    before = Results(epoch=3, mAP=0.04444, cmc=(0.119, 0.2955, 1.0))  # from a checkpoint without mINP
    assert before.lines() == results.lines()[:-1] and "val/mINP" not in before.row()


def test_queries_come_first_and_the_gallery_is_ranked() -> None:
    # Query 0 (at 0.0): its matches are 1st and 3rd. Query 1 (at 5.0): its match is 3rd.
    results = run([0.0, 5.0, 0.1, 3.0, 0.2, 4.9], pids=[1, 2, 1, 1, 2, 9], camids=[0, 0, 1, 1, 1, 1], num_query=2)
    assert results.epoch == 7
    assert results.mAP == pytest.approx(((1 / 1 + 2 / 3) / 2 + 1 / 3) / 2)
    assert results.cmc == (0.5, 1.0, 1.0)
    assert results.mINP == pytest.approx((2 / 3 + 1 / 3) / 2)


def test_normalising_compares_directions() -> None:
    # Seen from 2.0, 1.0 is nearer than 4.0 by distance and farther by angle.
    values, pids, camids = [2.0, 1.0, 4.0], [1, 2, 1], [0, 1, 1]
    assert run(values, pids, camids, 1).cmc[0] == 0.0
    assert run(values, pids, camids, 1, EvaluationMethod()).cmc[0] == 1.0


def test_no_match_anywhere_is_said() -> None:
    with pytest.raises(TrainerError, match="no query has a match"):
        run([0.0, 1.0], pids=[1, 2], camids=[0, 0], num_query=1)


def test_features_that_are_not_finite_are_a_divergence() -> None:
    with pytest.raises(TrainerError, match="diverged: features are not finite after epoch 7"):
        run([0.0, float("nan")], pids=[1, 1], camids=[0, 1], num_query=1)


def test_a_network_that_sees_all_images_alike_is_not_the_best() -> None:
    pids, camids = [3, 4, 1, 2, 3, 4, 1, 2], [0, 0, 1, 1, 1, 1, 1, 1]
    for method in (
        EvaluationMethod(),
        EvaluationMethod(reranking=Reranking()),
        EvaluationMethod(normalise=False, reranking=Reranking()),
    ):
        results = run([0.0] * 8, pids, camids, 2, method)
        assert results.mAP == pytest.approx((1 / 3 + 1 / 4) / 2)  # the gallery's order
        assert results.cmc == (0.0, 1.0, 1.0)


@pytest.mark.parametrize("reranking", [None, Reranking()], ids=["plain", "re-ranked"])
@pytest.mark.filterwarnings("error")
def test_features_too_large_to_be_compared_are_an_error(reranking: Reranking | None) -> None:
    method = EvaluationMethod(normalise=False, reranking=reranking)
    with pytest.raises(TrainerError, match="too large to be compared"):
        run([3e38, 2e38, 1e38], pids=[1, 2, 1], camids=[0, 1, 1], num_query=1, method=method)


class Side(nn.Module):
    """The red of the picture's left and right edge."""

    def forward(self, images: Tensor) -> Tensor:
        return images[:, 0, 0, [0, -1]]


def test_mirrored_features_are_averaged() -> None:
    images = torch.zeros(2, 3, 2, 2)
    images[:, 0, 0] = torch.tensor([[1.0, 3.0], [5.0, 9.0]])
    loader = [(images, torch.tensor([1, 1]), torch.tensor([0, 1]), ["a", "b"], torch.zeros(2, 2))]
    cpu = torch.device("cpu")
    assert extract_features(Side(), loader, device=cpu)[0].tolist() == [[1, 3], [5, 9]]
    assert extract_features(Side(), loader, device=cpu, flip=True)[0].tolist() == [[2, 2], [7, 7]]


def test_images_that_could_not_be_read_are_left_out() -> None:
    # Features [1, 0.5]: the query that is nothing and the gallery image that would come first.
    plain = run([0.0, 0.1, 0.2], pids=[1, 2, 1], camids=[0, 1, 1], num_query=1)
    unreadable = run([0.0, 0.0, 0.1, 0.0, 0.2], [1, UNREADABLE, 2, UNREADABLE, 1], [0, 0, 1, 1, 1], num_query=2)
    assert unreadable == plain
    assert plain.mAP == pytest.approx(1 / 2)


def features(seed: int) -> tuple[Tensor, Any, Any]:
    rng = np.random.default_rng(seed)
    pids = rng.integers(0, 15, 300)
    made = torch.from_numpy(rng.standard_normal((15, 8)))[pids] + 0.9 * torch.from_numpy(rng.standard_normal((300, 8)))
    return made.float(), pids, rng.integers(0, 4, 300)


def test_each_method_ranks_otherwise_and_better_than_none() -> None:
    plain = rank(features(0), 60, EvaluationMethod())
    expanded = rank(features(0), 60, EvaluationMethod(expansion_k=4))
    reranked = rank(features(0), 60, EvaluationMethod(reranking=Reranking()))
    single_shot = rank(features(0), 60, EvaluationMethod(protocol="single_gallery_shot"))
    assert expanded.mAP > plain.mAP + 0.01
    assert reranked.mAP > plain.mAP + 0.05
    assert single_shot.mAP == plain.mAP and single_shot.cmc[0] < plain.cmc[0]


def test_tracks_are_those_of_the_images_that_could_be_read() -> None:
    # Distances to the query 0.1, 0.2, 0.3: two images of one wrong track, then the match.
    angles = torch.tensor([0.0, 0.0, 0.1, 0.2, 0.3])
    made = torch.stack([angles.cos(), angles.sin()], dim=1)
    extracted = made, np.array([1, UNREADABLE, 2, 2, 1]), np.array([0, 1, 1, 1, 1])
    method = EvaluationMethod(protocol="image_to_track")
    assert rank(extracted, 1, method, tracks=(9, 8, 8, 3)).cmc[:3].tolist() == [0, 1, 1]
    assert rank(extracted, 1, method, tracks=(9, 8, 7, 3)).cmc[:3].tolist() == [0, 0, 1]
    assert rank(extracted, 1, method).cmc[:3].tolist() == [0, 1, 1]


def test_the_method_is_the_configurations() -> None:
    cfg = _C.clone()
    assert EvaluationMethod.from_cfg(cfg) == EvaluationMethod()
    cfg.merge_from_list(
        ["TEST.FEAT_NORM", "no", "TEST.FLIP", True, "TEST.PROTOCOL", "single_gallery_shot", "TEST.RE_RANKING", "yes",
         "TEST.RE_RANKING_K1", 5, "TEST.RE_RANKING_K2", 2, "TEST.RE_RANKING_LAMBDA", 0.5,
         "TEST.QUERY_EXPANSION_K", 7, "TEST.QUERY_EXPANSION_ALPHA", 1.0]
    )  # fmt: skip
    assert EvaluationMethod.from_cfg(cfg) == EvaluationMethod(
        False, True, "single_gallery_shot", 10, 7, 1.0, Reranking(5, 2, 0.5)
    )
