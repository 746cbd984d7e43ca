"""Protocols of single data sets, against plain computations from the papers' texts."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from configs.defaults import _C
from data import DatasetError, ReIDDataset
from data.datasets.base import Sample
from data.loading import UNREADABLE
from engine.evaluation.evaluate import EvaluationMethod, evaluate, rank_all
from engine.evaluation.metrics import RankingMeter
from engine.evaluation.protocols import Labels, draw_gallery, protocol_notes, protocol_of, require_matches
from engine.evaluation.reranking import Reranking
from engine.saved_settings import saved_config
from utils.errors import ConfigError

RANDOM = EvaluationMethod(normalise=False, protocol="random_gallery", draws=4)


def made(seed: int, images: int, people: int) -> tuple[torch.Tensor, NDArray[np.int64]]:
    """Features around a point of each person's own, and the people; some have one image."""
    rng = np.random.default_rng(seed)
    pids = np.concatenate([rng.integers(0, people, images - 3), [people, people + 1, people + 2]])
    features = rng.standard_normal((people + 3, 4))[pids] + 0.8 * rng.standard_normal((images, 4))
    return torch.from_numpy(features).float(), pids


def one_draw(features: NDArray[Any], pids: NDArray[np.int64], gallery: NDArray[np.bool_]) -> list[tuple[int, int]]:
    """VehicleID's protocol for a draw: each query's number, and the place from 1 of its vehicle's one image; no cameras."""
    places = []
    numbers = np.flatnonzero(gallery)
    for query in np.flatnonzero(~gallery):
        distances = ((features[numbers] - features[query]) ** 2).sum(axis=1)
        order = numbers[np.argsort(distances, kind="stable")]
        right = np.flatnonzero(pids[order] == pids[query])
        if len(right):
            places.append((int(query), int(right[0]) + 1))
    return places


def test_a_draw_takes_one_readable_image_of_each_identity_and_is_its_numbers_own() -> None:
    pids = np.array([5, 5, 5, 9, UNREADABLE, 7, 7, UNREADABLE])
    taken = [draw_gallery(pids, draw) for draw in range(200)]
    for gallery in taken:
        assert sorted(pids[gallery]) == [5, 7, 9]
    assert (draw_gallery(pids, 3) == taken[3]).all()
    shares = np.mean(taken, axis=0)
    np.testing.assert_allclose(
        shares, [1 / 3, 1 / 3, 1 / 3, 1, 0, 1 / 2, 1 / 2, 0], atol=0.11
    )  # three standard deviations


@pytest.mark.parametrize("lost", [False, True], ids=["all read", "some unreadable"])
def test_random_gallery_is_the_mean_over_draws(lost: bool) -> None:
    features, pids = made(0, 80, 12)
    if lost:
        pids[[3, 20, 21]] = UNREADABLE
    camids = np.zeros(80, np.int64)  # all of one camera, which does not count
    ranked = rank_all((features, pids, camids), 50, RANDOM)
    draws = [one_draw(features.double().numpy(), np.where(pids == UNREADABLE, -1 - np.arange(80), pids), draw_gallery(pids, draw))
             for draw in range(4)]  # fmt: skip
    first_places = [np.array([place for _, place in draw]) for draw in draws]
    curves = [[(places <= rank).mean() for rank in range(1, 51)] for places in first_places]
    np.testing.assert_allclose(ranked.ranking.cmc, np.mean(curves, axis=0), rtol=1e-12)
    expected = np.mean([(1 / places).mean() for places in first_places])
    assert ranked.ranking.mAP == pytest.approx(expected, rel=1e-12)
    assert ranked.ranking.mINP == pytest.approx(expected, rel=1e-12)
    # Of each image: over the draws in which it is a query.
    of_image: dict[int, list[int]] = {}
    for draw in draws:
        for query, place in draw:
            of_image.setdefault(query, []).append(place)
    readable = np.flatnonzero(pids != UNREADABLE)
    never = [i for i in ranked.queries if i not in of_image]
    assert set(ranked.queries) <= set(readable) and set(of_image) <= set(ranked.queries)
    for place, number in enumerate(ranked.queries):
        if number in never:
            assert np.isnan(ranked.ranking.average_precision[place]) and ranked.ranking.first_match[place] == 0
        else:
            assert ranked.ranking.average_precision[place] == pytest.approx(np.mean(1 / np.array(of_image[number])))
            assert ranked.ranking.first_match[place] == of_image[number][0]
    assert ranked.ranking.num_queries == len(of_image)
    assert evaluate((features, pids, camids), 50, epoch=3, method=RANDOM).mAP == ranked.ranking.mAP


def test_the_ranked_lists_of_random_gallery_are_of_the_first_draw() -> None:
    features, pids = made(1, 40, 6)
    ranked = rank_all((features, pids, np.zeros(40, np.int64)), 10, RANDOM)
    gallery = draw_gallery(pids, 0)
    assert ranked.retrieval.gallery.tolist() == np.flatnonzero(gallery).tolist()
    query = int(ranked.retrieval.queries[0])
    nearest = ranked.retrieval.nearest({query}, 40)[query]
    assert sorted(nearest) == np.flatnonzero(gallery).tolist()  # also images of the query's camera
    again = rank_all(
        (features, pids, np.zeros(40, np.int64)), 10, EvaluationMethod(False, protocol="random_gallery", draws=1)
    )
    np.testing.assert_array_equal(again.ranking.cmc, ranked.shown.cmc)


def test_every_draw_is_re_ranked_for_itself() -> None:
    features, pids = made(2, 60, 8)
    method = EvaluationMethod(protocol="random_gallery", draws=2, reranking=Reranking(5, 2, 0.3))
    ranked = rank_all((features, pids, np.zeros(60, np.int64)), 20, method)
    means = []
    for draw in range(2):
        gallery = draw_gallery(pids, draw)
        order = np.concatenate([np.flatnonzero(~gallery), np.flatnonzero(gallery)])
        count = int((~gallery).sum())
        camids = np.where(np.arange(60) < count, 0, 1)
        plain = EvaluationMethod(reranking=method.reranking)
        means.append(rank_all((features[order], pids[order], camids), count, plain).ranking.mAP)
    assert ranked.ranking.mAP == pytest.approx(np.mean(means), rel=1e-12)


@pytest.mark.parametrize("levels", [4, 10**6], ids=["ties", "no ties"])
def test_clothes_changing_leaves_out_the_same_camera_and_the_same_clothes(levels: int) -> None:
    rng = np.random.default_rng(levels)
    query, gallery = (np.stack([rng.integers(0, high, size) for high in (9, 3, 3)]) for size in (50, 300))
    distances = rng.integers(0, levels, (50, 300)).astype(np.float32)
    precisions, firsts = [], []
    for row, (pid, camid, worn) in zip(distances, query.T, strict=True):
        ranked = []  # right or not, in order
        for column in sorted(range(300), key=lambda column, row=row: (row[column], column)):
            own = gallery[0][column] == pid
            if not (own and (gallery[1][column] == camid or gallery[2][column] == worn)):
                ranked.append(own)
        found = [place for place, own in enumerate(ranked, start=1) if own]
        if found:
            precisions.append(np.mean([number / place for number, place in enumerate(found, start=1)]))
            firsts.append(found[0])
    ids = query[0], query[1], gallery[0], gallery[1]
    # Clothes are numbered so that two identities never wear the same.
    clothes = query[0] * 3 + query[2], gallery[0] * 3 + gallery[2]
    meter = RankingMeter(*ids, protocol="clothes_changing", clothes=clothes)
    meter.add(0, distances)
    ranking = meter.result()
    assert ranking.mAP == pytest.approx(np.mean(precisions), rel=1e-12)
    np.testing.assert_allclose(
        ranking.cmc[:20], [np.mean(np.array(firsts) <= rank) for rank in range(1, 21)], rtol=1e-12
    )
    plain = RankingMeter(*ids, clothes=clothes)
    plain.add(0, distances)
    assert plain.result().mAP != ranking.mAP
    with pytest.raises(ValueError, match="clothes are not known"):
        RankingMeter(*ids, protocol="clothes_changing")


def test_clothes_follow_the_images_that_could_be_read() -> None:
    # Distances to the query 0.1, 0.2, 0.3: in the query's clothes, somebody else, in others.
    angles = torch.tensor([0.0, 0.0, 0.1, 0.2, 0.3])
    features = torch.stack([angles.cos(), angles.sin()], dim=1)
    extracted = features, np.array([1, UNREADABLE, 1, 2, 1]), np.array([0, 0, 1, 1, 1])
    method = EvaluationMethod(protocol="clothes_changing")
    labels = Labels(clothes=(5, 9, 5, 7, 6))
    ranked = rank_all(extracted, 1, method, labels)
    assert ranked.ranking.cmc[:2].tolist() == [0, 1]
    assert ranked.retrieval.nearest({0}, 5)[0].tolist() == [3, 4]
    assert rank_all(extracted, 1, EvaluationMethod(), labels).ranking.cmc[0] == 1


def dataset(protocol: str = "cross_camera", **parts: Any) -> ReIDDataset:
    query, gallery = (Sample("q", 1, 0),), (Sample("a", 1, 1), Sample("b", 2, 1))
    return ReIDDataset("mine", (), **{"query": query, "gallery": gallery, "protocol": protocol, **parts})


def test_auto_is_the_sets_own_protocol_and_another_is_a_line_of_the_log() -> None:
    cfg = _C.clone()
    own = dataset("random_gallery")
    assert protocol_of(cfg, Labels.of(own)) == "random_gallery"
    assert protocol_of(cfg, Labels()) == "cross_camera"
    assert protocol_notes(cfg, own) == protocol_notes(cfg, dataset()) == []
    cfg.TEST.PROTOCOL = "cross_camera"
    assert protocol_notes(cfg, dataset()) == []
    assert protocol_notes(cfg, own) == [
        "data set 'mine': TEST.PROTOCOL cross_camera counts, where the set's own protocol is random_gallery; choose auto for that"
    ]
    cfg.TEST.GALLERY_DRAWS = 3
    method = EvaluationMethod.from_cfg(cfg, Labels.of(own))
    assert (method.protocol, method.draws) == ("cross_camera", 3)


def test_a_checkpoint_from_before_means_the_sets_own_protocol() -> None:
    # When cross_camera was the default, it was the only protocol that a data set could have.
    assert saved_config("TEST:\n  PROTOCOL: cross_camera\n").TEST.PROTOCOL == "auto"
    assert saved_config("TEST:\n  PROTOCOL: image_to_track\n").TEST.PROTOCOL == "image_to_track"
    assert saved_config("TEST:\n  PROTOCOL: cross_camera\n  GALLERY_DRAWS: 10\n").TEST.PROTOCOL == "cross_camera"


def test_a_set_without_a_match_is_one_line() -> None:
    require_matches(dataset())
    require_matches(dataset(clothes=(1, 2, 3)), "clothes_changing")
    require_matches(dataset(gallery=(Sample("a", 1, 0),)), "random_gallery")
    for clothes, protocol, words in (
        ((1, 1, 3), "clothes_changing", "no query has a match in the gallery from another camera in other clothes"),
        ((), "clothes_changing", "its clothes are not known, which TEST.PROTOCOL clothes_changing needs; choose auto"),
    ):
        with pytest.raises(DatasetError, match=f"^data set 'mine': {words}"):
            require_matches(dataset(clothes=clothes), protocol)
    with pytest.raises(
        DatasetError, match=r"^data set 'mine': no query has a match in the gallery from another camera, so"
    ):
        require_matches(dataset(query=(Sample("q", 1, 1),)))
    with pytest.raises(DatasetError, match=r"^data set 'mine': no identity has two images"):
        require_matches(dataset(gallery=(Sample("a", 2, 0),)), "random_gallery")


def test_nothing_that_can_be_read_is_one_line_in_a_draw_too() -> None:
    pids = np.array([1, UNREADABLE, UNREADABLE])
    with pytest.raises(ConfigError, match="can be read, so nothing can be ranked"):
        rank_all((torch.ones(3, 2), pids, np.zeros(3, np.int64)), 1, RANDOM)
