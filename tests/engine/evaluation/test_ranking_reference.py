"""Ranking and re-ranking against what reid-strong-baseline (commit 3da7e6f) computes.

`data/bag_of_tricks_ranking.npz` holds features of 25 queries and 220 gallery images, their identities and cameras,
and that code's CMC, mAP and re-ranked distances, which it computes in float16.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from engine.evaluation.metrics import RankingMeter
from engine.evaluation.reranking import reranked_distances
from tests.engine.evaluation.rank_features import rank_features


@pytest.fixture(scope="module")
def reference() -> dict[str, Any]:
    with np.load(Path(__file__).parent / "data" / "bag_of_tricks_ranking.npz") as arrays:
        return {name: value.astype(np.int64) if value.dtype == np.int16 else value for name, value in arrays.items()}


def ids(reference: dict[str, Any]) -> list[Any]:
    return [reference[name] for name in ("query_pids", "query_camids", "gallery_pids", "gallery_camids")]


def test_cmc_and_map(reference: dict[str, Any]) -> None:
    query, gallery = (torch.from_numpy(reference[name]) for name in ("query", "gallery"))
    pids, camids, gallery_pids, gallery_camids = ids(reference)
    ranking = rank_features(query, pids, camids, gallery, gallery_pids, gallery_camids)
    assert ranking.mAP == pytest.approx(float(reference["mAP"]), rel=1e-6)
    np.testing.assert_allclose(ranking.cmc, reference["cmc"], rtol=1e-6)


def test_reranking(reference: dict[str, Any]) -> None:
    query, gallery = (F.normalize(torch.from_numpy(reference[name])) for name in ("query", "gallery"))
    meter = RankingMeter(*ids(reference))
    for first, distances in reranked_distances(query, gallery):
        expected = reference["reranked_distance"][first : first + len(distances)]
        np.testing.assert_allclose(distances, expected, atol=1e-2)
        meter.add(first, distances)
    ranking = meter.result()
    assert ranking.mAP == pytest.approx(float(reference["reranked_mAP"]), abs=2e-3)
    assert ranking.mAP > 1.02 * float(reference["mAP"])
    np.testing.assert_allclose(ranking.cmc, reference["reranked_cmc"], atol=1 / 24 + 1e-6)
