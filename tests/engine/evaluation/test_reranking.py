from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

import engine.evaluation.distances
import engine.evaluation.reranking
from engine.evaluation.query_expansion import expand_queries
from engine.evaluation.reranking import Reranking, reranked_distances

Floats = NDArray[np.float64]


def rerank(query: torch.Tensor, gallery: torch.Tensor, parameters: Reranking | None = None) -> NDArray[np.float32]:
    chunks = list(reranked_distances(query, gallery, parameters or Reranking()))
    assert [first for first, _ in chunks] == list(np.cumsum([0] + [len(rows) for _, rows in chunks[:-1]]))
    return np.concatenate([rows for _, rows in chunks])


def by_the_book(query: torch.Tensor, gallery: torch.Tensor, k1: int, k2: int, lambda_value: float) -> Floats:
    """The paper's definitions with sets and dense matrices, in float64."""
    features = torch.cat([query, gallery]).double().numpy()
    distance = ((features[:, None] - features[None]) ** 2).sum(2)
    distance /= distance.max(axis=1, keepdims=True)
    order = np.argsort(distance, axis=1, kind="stable")

    def reciprocal(i: int, k: int) -> set[int]:
        return {int(j) for j in order[i, : k + 1] if i in order[j, : k + 1]}

    weights = np.zeros_like(distance)
    for i in range(len(features)):
        expanded = reciprocal(i, k1)
        for j in tuple(reciprocal(i, k1)):
            others = reciprocal(j, round(k1 / 2))
            if len(others & reciprocal(i, k1)) > 2 / 3 * len(others):
                expanded |= others
        members = sorted(expanded)
        weights[i, members] = np.exp(-distance[i, members])
    with np.errstate(invalid="ignore"):
        weights /= weights.sum(axis=1, keepdims=True)
    if k2 > 1:
        weights = np.stack([weights[order[i, :k2]].mean(axis=0) for i in range(len(features))])
    q = len(query)
    shared = np.minimum(weights[:q, None], weights[None, q:]).sum(2)
    jaccard = 1 - shared / np.maximum(weights[:q, None], weights[None, q:]).sum(2)
    return lambda_value * distance[:q, q:] + (1 - lambda_value) * jaccard


def clusters(seed: int, people: int, queries: int, gallery: int, dimensions: int = 6) -> list[torch.Tensor]:
    rng = np.random.default_rng(seed)
    centres = rng.standard_normal((people, dimensions))
    return [
        torch.from_numpy(centres[rng.integers(0, people, n)] + 0.5 * rng.standard_normal((n, dimensions))).float()
        for n in (queries, gallery)
    ]


@pytest.mark.parametrize(
    ("parameters", "sizes"),
    [
        ((20, 6, 0.3), (30, 170)),
        ((7, 1, 0.0), (12, 60)),
        ((20, 6, 0.3), (3, 9)),
        ((3, 4, 0.9), (40, 41)),
        ((4, 11, 0.3), (30, 90)),
    ],
    ids=["defaults", "no averaging", "fewer images than k1", "odd k1", "averaging over more than k1"],
)
def test_equals_the_paper_by_the_book(parameters: tuple[int, int, float], sizes: tuple[int, int]) -> None:
    query, gallery = clusters(sum(sizes), 12, *sizes)
    ours = rerank(query, gallery, Reranking(*parameters))
    assert ours.dtype == np.float32
    np.testing.assert_allclose(ours, by_the_book(query, gallery, *parameters), atol=2e-5)


def test_blocks_and_chunks_do_not_change_the_result(monkeypatch: pytest.MonkeyPatch) -> None:
    query, gallery = clusters(5, 9, 31, 144)
    whole = rerank(query, gallery)
    monkeypatch.setattr(engine.evaluation.reranking, "_BLOCK", 37)
    monkeypatch.setattr(engine.evaluation.reranking, "_SETS_AT_ONCE", 11)
    monkeypatch.setattr(engine.evaluation.reranking, "_PAIRS_AT_ONCE", 5)
    monkeypatch.setattr(engine.evaluation.distances, "CHUNK_BYTES", 8 * 144 * 4)
    assert len(list(reranked_distances(query, gallery))) == 8
    np.testing.assert_allclose(rerank(query, gallery), whole, atol=1e-6)


def test_images_that_occur_twice_are_taken_in_order() -> None:
    # Whole numbers: distances are exact, and all are tied with another; 25 copies are more than k1 + 1.
    query, gallery = clusters(2, 20, 10, 50)
    query, gallery = query.round(), torch.cat([gallery.round(), gallery.round(), query.round()[:1].expand(25, -1)])
    ours = rerank(query, gallery, Reranking(k1=6, k2=3))
    expected = by_the_book(query, gallery, 6, 3, 0.3)
    # A copy that is not among its own k1 nearest has no weights by the book: query 0 is, being the first.
    whole = np.isfinite(expected)
    assert whole[0].any() and whole.mean() > 0.6
    assert np.isfinite(ours).all()
    np.testing.assert_allclose(ours[0, whole[0]][:50], expected[0, whole[0]][:50], atol=2e-5)


@pytest.mark.parametrize("length", [0.0, 1e-3, 1.0, 1e4, 1e8])
@pytest.mark.parametrize("noise", [0.0, 1e-8], ids=["equal", "equal up to rounding"])
def test_images_that_are_all_alike_are_all_as_near(length: float, noise: float) -> None:
    rng = np.random.default_rng(3)
    features = length * (rng.standard_normal(64) / 8 + noise * rng.standard_normal((60, 64)))
    query, gallery = torch.from_numpy(features).float().split([20, 40])
    ours = rerank(query, gallery)
    assert np.isfinite(ours).all()
    if length == 0:
        assert np.ptp(ours) == 0


def test_a_feature_of_zeros_is_as_far_as_it_is() -> None:
    query, gallery = (1e-3 * features for features in clusters(4, 9, 12, 60))
    gallery[7] = 0
    np.testing.assert_allclose(rerank(query, gallery), by_the_book(query, gallery, 20, 6, 0.3), atol=2e-5)


def test_query_expansion_moves_towards_the_nearest() -> None:
    query = torch.tensor([[1.0, 0.0, 0.0]])
    gallery = torch.tensor([[0.8, 0.6, 0.0], [0.6, 0.0, 0.8], [-1.0, 0.0, 0.0]])
    expected = torch.tensor([[1.0, 0.0, 0.0]]) + 0.8**2 * gallery[:1]
    torch.testing.assert_close(expand_queries(query, gallery, 1, 2.0), expected / expected.norm())
    # One that lies opposite weighs nothing, whatever alpha.
    expected = torch.tensor([[1.0, 0.0, 0.0]]) + 0.8**2 * gallery[:1] + 0.6**2 * gallery[1:2]
    for k in (2, 3, 9):
        torch.testing.assert_close(expand_queries(3 * query, 5 * gallery, k, 2.0), expected / expected.norm())


def test_query_expansion_in_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    query, gallery = clusters(8, 9, 20, 60)
    whole: Any = expand_queries(query, gallery, 4, 3.0)
    monkeypatch.setattr(engine.evaluation.distances, "CHUNK_BYTES", 4 * 60 * 3)
    torch.testing.assert_close(expand_queries(query, gallery, 4, 3.0), whole)
