"""Ranks plain features without a configuration, for the tests of the metrics and the benchmarks."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from engine.evaluation.distances import distance_rows
from engine.evaluation.metrics import Ranking, RankingMeter


def rank_features(
    query: Tensor, query_pids: Any, query_camids: Any, gallery: Tensor, gallery_pids: Any, gallery_camids: Any
) -> Ranking:
    """CMC, mAP and mINP of features [Q, D] and [G, D] under Euclidean distance, chunk by chunk."""
    meter = RankingMeter(query_pids, query_camids, gallery_pids, gallery_camids)
    for first, distances in distance_rows(query, gallery):
        meter.add(first, distances)
    return meter.result()
