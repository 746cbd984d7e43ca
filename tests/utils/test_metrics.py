from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

import utils.metrics
from utils.metrics import Ranking, RankingMeter, rank_features

Ids = NDArray[np.int64]


def rank(distances: Any, *ids: Any, max_rank: int = 50) -> Ranking:
    meter = RankingMeter(*[np.asarray(values) for values in ids], max_rank=max_rank)
    meter.add(0, np.asarray(distances, dtype=np.float32))
    return meter.result()


def by_the_book(
    distances: NDArray[Any], query_pids: Ids, query_camids: Ids, gallery_pids: Ids, gallery_camids: Ids
) -> tuple[NDArray[np.float64], float]:
    """The Market-1501 protocol in its plainest form: a stable argsort of a query's whole row."""
    cmcs, precisions = [], []
    for row, pid, camid in zip(distances, query_pids, query_camids, strict=True):
        order = np.argsort(row, kind="stable")
        order = order[~((gallery_pids[order] == pid) & (gallery_camids[order] == camid))]
        hits = gallery_pids[order] == pid
        if not hits.any():
            continue
        places = np.flatnonzero(hits)
        precisions.append(np.mean([(i + 1) / (place + 1) for i, place in enumerate(places)]))
        cmcs.append(np.arange(50) >= places[0])
    return np.mean(cmcs, axis=0), float(np.mean(precisions))


def random_ids(rng: np.random.Generator, queries: int, gallery: int) -> list[Ids]:
    sizes = (queries, 12), (queries, 3), (gallery, 10), (gallery, 3)
    return [rng.integers(0, high, size) for size, high in sizes]


@pytest.mark.parametrize("levels", [3, 40, 10**9], ids=["mostly ties", "some ties", "no ties"])
def test_equals_the_protocol_by_the_book(levels: int) -> None:
    rng = np.random.default_rng(levels)
    ids = random_ids(rng, 60, 200)  # identities 10 and 11 are in the query only: no match
    distances = rng.integers(0, levels, (60, 200)).astype(np.float32)
    ours = rank(distances, *ids)
    cmc, mAP = by_the_book(distances, *ids)
    np.testing.assert_allclose(ours.cmc, cmc, rtol=1e-12)
    assert ours.mAP == pytest.approx(mAP, rel=1e-12)
    assert 0 < ours.num_queries < 60


def test_a_worked_example() -> None:
    # Gallery by distance: own camera (left out), wrong, match, distractor 0, match.
    ranking = rank([[1, 2, 3, 4, 5]], [7], [0], [7, 8, 7, 0, 7], [0, 1, 1, 1, 2])
    assert ranking.mAP == pytest.approx((1 / 2 + 2 / 4) / 2)
    assert list(ranking.cmc[:3]) == [0.0, 1.0, 1.0]


@pytest.mark.parametrize(("gallery_pids", "place"), [([7, 8, 9], 0), ([8, 7, 9], 1), ([8, 9, 7], 2)])
def test_equal_distances_keep_the_gallerys_order(gallery_pids: list[int], place: int) -> None:
    ranking = rank([[1, 1, 1]], [7], [0], gallery_pids, [1, 1, 1])
    assert int(np.flatnonzero(ranking.cmc)[0]) == place


def test_a_gallery_smaller_than_max_rank_gives_a_full_curve() -> None:
    ranking = rank([[2, 1]], [7], [0], [7, 8], [1, 1], max_rank=50)
    assert ranking.cmc.shape == (50,)
    assert list(ranking.cmc[:3]) == [0.0, 1.0, 1.0]
    assert ranking.cmc[-1] == 1.0


def test_queries_without_a_match_do_not_count() -> None:
    ranking = rank([[1, 2], [1, 2]], [7, 9], [0, 0], [7, 8], [1, 1])
    assert (ranking.num_queries, ranking.mAP) == (1, 1.0)


def test_no_query_with_a_match_is_an_error() -> None:
    with pytest.raises(ValueError, match="no query has a match"):
        rank([[1.0]], [7], [0], [7], [0])  # the only match is in the query's own camera


def test_features_are_ranked_in_chunks_without_changing_the_result(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    query_pids, query_camids, gallery_pids, gallery_camids = ids = random_ids(rng, 23, 90)
    query, gallery = (torch.from_numpy(rng.standard_normal((n, 8)).astype(np.float32)) for n in (23, 90))
    monkeypatch.setattr(utils.metrics, "CHUNK_BYTES", 4 * 90 * 5)  # five queries at once, three in the last chunk
    ours = rank_features(query, query_pids, query_camids, gallery, gallery_pids, gallery_camids)
    cmc, mAP = by_the_book(torch.cdist(query.double(), gallery.double()).numpy(), *ids)
    np.testing.assert_allclose(ours.cmc, cmc, rtol=1e-12)
    assert ours.mAP == pytest.approx(mAP, rel=1e-12)
