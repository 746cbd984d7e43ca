from __future__ import annotations

from itertools import product
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

import engine.evaluation.distances
import engine.evaluation.metrics
from engine.evaluation.metrics import Ranking, RankingMeter, RowBuffers
from tests.engine.evaluation.rank_features import rank_features

Ids = NDArray[np.int64]


def rank(distances: Any, *ids: Any, max_rank: int = 50, protocol: str = "cross_camera") -> Ranking:
    ids = tuple(np.asarray(values) for values in ids)
    clothes = np.zeros(len(ids[0])), np.ones(len(ids[2]))  # no two images in the same
    meter = RankingMeter(*ids, max_rank=max_rank, protocol=protocol, clothes=clothes)
    meter.add(0, np.asarray(distances, dtype=np.float32))
    return meter.result()


def by_the_book(
    distances: NDArray[Any], query_pids: Ids, query_camids: Ids, gallery_pids: Ids, gallery_camids: Ids
) -> tuple[NDArray[np.float64], float, float]:
    """The Market-1501 protocol in its plainest form: a stable argsort of a query's whole row."""
    cmcs, precisions, inverse_penalties = [], [], []
    for row, pid, camid in zip(distances, query_pids, query_camids, strict=True):
        order = np.argsort(row, kind="stable")
        order = order[~((gallery_pids[order] == pid) & (gallery_camids[order] == camid))]
        hits = gallery_pids[order] == pid
        if not hits.any():
            continue
        places = np.flatnonzero(hits)
        precisions.append(np.mean([(i + 1) / (place + 1) for i, place in enumerate(places)]))
        cmcs.append(np.arange(50) >= places[0])
        inverse_penalties.append(len(places) / (places[-1] + 1))
    return np.mean(cmcs, axis=0), float(np.mean(precisions)), float(np.mean(inverse_penalties))


def random_ids(rng: np.random.Generator, queries: int, gallery: int) -> list[Ids]:
    sizes = (queries, 12), (queries, 3), (gallery, 10), (gallery, 3)
    return [rng.integers(0, high, size) for size, high in sizes]


@pytest.mark.parametrize("good", [False, True], ids=["any network", "a good network"])
@pytest.mark.parametrize("levels", [3, 40, 10**9], ids=["mostly ties", "some ties", "no ties"])
def test_equals_the_protocol_by_the_book(levels: int, good: bool) -> None:
    rng = np.random.default_rng(levels)
    ids = random_ids(rng, 60, 200)  # identities 10 and 11 are in the query only: no match
    distances = rng.integers(0, levels, (60, 200)).astype(np.float32)
    if good:  # matches among the nearest, so that most of the gallery lies behind the last
        distances[ids[0][:, None] == ids[2]] //= 5
    ours = rank(distances, *ids)
    cmc, mAP, mINP = by_the_book(distances, *ids)
    np.testing.assert_allclose(ours.cmc, cmc, rtol=1e-12)
    assert ours.mAP == pytest.approx(mAP, rel=1e-12)
    assert ours.mINP == pytest.approx(mINP, rel=1e-12)
    assert 0 < ours.num_queries < 60
    assert np.isnan(ours.average_precision).sum() == 60 - ours.num_queries
    assert np.nanmean(ours.inverse_penalty) == pytest.approx(mINP, rel=1e-12)
    first = ours.first_match[ours.first_match > 0]
    assert len(first) == ours.num_queries
    np.testing.assert_allclose((first[:, None] <= np.arange(1, 51)).mean(0), cmc, rtol=1e-12)
    assert float(np.nanmean(ours.average_precision)) == pytest.approx(mAP, rel=1e-12)


@pytest.mark.parametrize("counted", [0, 64], ids=["sorted", "counted"])
@pytest.mark.parametrize("levels", [3, 300, 10**9], ids=["mostly ties", "some ties", "no ties"])
def test_sorting_and_counting_find_the_same_places(levels: int, counted: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine.evaluation.metrics, "COUNTED", counted)
    rng = np.random.default_rng(levels)
    for _ in range(50):
        distances = rng.integers(-levels, levels, (1, 400)).astype(np.float32)
        found = rng.permutation(400)[: rng.integers(1, 60)]
        matches, junk = np.sort(found[len(found) // 4 :]), np.sort(found[: len(found) // 4])
        order = np.argsort(distances[0], kind="stable")
        expected = np.flatnonzero(np.isin(order[~np.isin(order, junk)], matches))
        pids, camids = np.zeros(400, int), np.ones(400, int)
        pids[found], camids[junk] = 1, 0
        meter = RankingMeter(np.array([1]), np.array([0]), pids, camids)
        ranked = meter.find_matches(0, distances, RowBuffers.for_rows_of(distances))
        np.testing.assert_array_equal(ranked.ranks, expected)
        np.testing.assert_array_equal(np.sort(ranked.columns), matches)
        np.testing.assert_array_equal(np.sort(ranked.junk), junk)


@pytest.mark.parametrize("protocol", engine.evaluation.metrics.PROTOCOLS)
@pytest.mark.parametrize("place", [0, 1, 2], ids=["a match", "another image", "own camera"])
def test_a_distance_that_is_no_number_is_no_good_rank(place: int, protocol: str) -> None:
    distances = [[0.3, 0.2, 0.1, 0.4]]
    ids = [1], [0], [1, 2, 1, 3], [1, 1, 0, 1]
    rank(distances, *ids, protocol=protocol)
    distances[0][place] = float("nan")
    with pytest.raises(ValueError, match="not numbers"):
        rank(distances, *ids, protocol=protocol)


def test_a_worked_example() -> None:
    # Gallery by distance: own camera (left out), wrong, match, distractor 0, match.
    ranking = rank([[1, 2, 3, 4, 5]], [7], [0], [7, 8, 7, 0, 7], [0, 1, 1, 1, 2])
    assert ranking.mAP == pytest.approx((1 / 2 + 2 / 4) / 2)
    assert ranking.mINP == pytest.approx(2 / 4)
    assert (ranking.inverse_penalty.tolist(), ranking.first_match.tolist()) == ([ranking.mINP], [2])
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


def test_a_gallery_of_matches_only() -> None:
    ranking = rank([[2, 1]], [7], [0], [7, 7], [1, 1])
    assert (ranking.mAP, ranking.mINP, ranking.cmc[0]) == (1.0, 1.0, 1.0)


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
    monkeypatch.setattr(
        engine.evaluation.distances, "CHUNK_BYTES", 4 * 90 * 5
    )  # five queries at once, three in the last chunk
    ours = rank_features(query, query_pids, query_camids, gallery, gallery_pids, gallery_camids)
    cmc, mAP, _ = by_the_book(torch.cdist(query.double(), gallery.double()).numpy(), *ids)
    np.testing.assert_allclose(ours.cmc, cmc, rtol=1e-12)
    assert ours.mAP == pytest.approx(mAP, rel=1e-12)


def one_shot_by_enumeration(row: NDArray[Any], pid: int, pids: Ids, junk: NDArray[np.bool_]) -> NDArray[np.float64]:
    """A query's CMC over every way to draw one gallery image an identity."""
    choices = [np.flatnonzero((pids == other) & ~junk) for other in np.unique(pids[~junk])]
    curves = []
    for drawn in product(*choices):
        chosen = np.sort(drawn)
        order = chosen[np.argsort(row[chosen], kind="stable")]
        curves.append(np.arange(8) >= np.flatnonzero(pids[order] == pid)[0])
    return np.mean(curves, axis=0)


@pytest.mark.parametrize("levels", [2, 10**9], ids=["ties", "no ties"])
def test_the_single_shot_curve_is_the_mean_over_all_draws(levels: int) -> None:
    rng = np.random.default_rng(levels)
    gallery_pids = rng.permutation([1, 1, 1, 2, 2, 3, 3, 3, 4, 5, 5, 5])
    gallery_camids = rng.integers(0, 2, 12)
    query_pids, query_camids = np.array([1, 3, 5, 2]), np.array([0, 1, 0, 2])
    distances = rng.integers(0, levels, (4, 12)).astype(np.float32)
    expected = []
    for row, pid, camid in zip(distances, query_pids, query_camids, strict=True):
        junk = (gallery_pids == pid) & (gallery_camids == camid)
        if (gallery_pids[~junk] == pid).any():
            expected.append(one_shot_by_enumeration(row, pid, gallery_pids, junk))
    ids = query_pids, query_camids, gallery_pids, gallery_camids
    ours = rank(distances, *ids, max_rank=8, protocol="single_gallery_shot")
    np.testing.assert_allclose(ours.cmc, np.mean(expected, axis=0), atol=1e-12)
    plain = rank(distances, *ids, max_rank=8)
    assert (ours.mAP, ours.mINP) == (plain.mAP, plain.mINP)  # over all images, as torchreid has it
    assert not np.allclose(ours.cmc, plain.cmc)


def test_a_single_shot_curve_longer_than_the_gallery_and_shorter() -> None:
    for max_rank in (2, 50):
        ranking = rank([[3, 1, 2]], [7], [0], [7, 8, 9], [1, 1, 1], max_rank=max_rank, protocol="single_gallery_shot")
        np.testing.assert_allclose(ranking.cmc, np.arange(max_rank) >= 2)


def test_an_unknown_protocol_is_an_error() -> None:
    with pytest.raises(ValueError, match="cross_camera, clothes_changing, single_gallery_shot"):
        rank([[1.0]], [7], [0], [7], [1], protocol="cuhk")


@pytest.mark.parametrize("levels", [3, 10**6], ids=["ties", "no ties"])
def test_image_to_track_ranks_tracks_by_their_nearest_images(levels: int) -> None:
    rng = np.random.default_rng(levels)
    query_pids, query_camids, gallery_pids, gallery_camids = ids = random_ids(rng, 60, 200)
    takes = rng.integers(0, 2, 200)  # a camera saw an identity twice
    tracks = (gallery_pids * 3 + gallery_camids) * 2 + takes
    distances = rng.integers(0, levels, (60, 200)).astype(np.float32)
    meter = RankingMeter(*ids, protocol="image_to_track", gallery_tracks=tracks)
    meter.add(0, distances)
    curves = []
    for row, pid, camid in zip(distances, query_pids, query_camids, strict=True):
        ranked = []  # (distance, first image, right)
        for track in np.unique(tracks):
            images = np.flatnonzero(tracks == track)
            own = gallery_pids[images[0]] == pid
            if not (own and gallery_camids[images[0]] == camid):
                ranked.append((row[images].min(), images[0], own))
        found = [place for place, (_, _, own) in enumerate(sorted(ranked)) if own]
        if found:
            curves.append(np.arange(50) >= found[0])
    ours, plain = meter.result(), rank(distances, *ids)
    np.testing.assert_allclose(ours.cmc, np.mean(curves, axis=0), rtol=1e-12)
    assert (ours.mAP, ours.mINP) == (plain.mAP, plain.mINP)
    assert ours.cmc.sum() > plain.cmc.sum()
    if levels > 3:
        assert ours.cmc[0] == plain.cmc[0]
    by_camera = rank(distances, *ids, protocol="image_to_track")
    assert by_camera.cmc[9] >= ours.cmc[9]  # fewer, longer tracks


def test_a_track_of_two_identities_is_refused() -> None:
    ids = np.array([0]), np.array([0]), np.array([0, 1]), np.array([1, 1])
    with pytest.raises(ValueError, match="more than one identity"):
        RankingMeter(*ids, protocol="image_to_track", gallery_tracks=np.array([4, 4]))
