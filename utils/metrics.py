"""Ranking metrics of re-identification: CMC and mAP under the Market-1501 protocol, exact."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

IntArray = npt.NDArray[np.int64]
FloatArray = npt.NDArray[np.floating]

# Bytes of distances held at once when ranking features.
CHUNK_BYTES = 32 * 2**20


@dataclass(frozen=True)
class Ranking:
    """Result of an evaluation; `cmc[r]` is the share of queries with a match among their first r + 1 places."""

    cmc: npt.NDArray[np.float64]
    mAP: float
    num_queries: int  # those with a match to be found


class RankingMeter:
    """Ranks the gallery for one query after another (Zheng et al., ICCV 2015).

    Gallery images of the query's identity from the query's camera are left out. Equal distances keep the
    gallery's order. Queries without a match are not counted.
    """

    def __init__(
        self,
        query_pids: IntArray,
        query_camids: IntArray,
        gallery_pids: IntArray,
        gallery_camids: IntArray,
        max_rank: int = 50,
    ) -> None:
        self._query_pids = query_pids
        self._query_camids = query_camids
        self._gallery_camids = gallery_camids
        self._by_pid = np.argsort(gallery_pids, kind="stable")
        ordered = gallery_pids[self._by_pid]
        self._start = np.searchsorted(ordered, query_pids, side="left")
        self._end = np.searchsorted(ordered, query_pids, side="right")
        self._first_match = np.zeros(max_rank, dtype=np.int64)
        self._precision_sum = 0.0
        self._count = 0

    def add(self, first_query: int, distances: FloatArray) -> None:
        """Takes the distances [N, gallery] of the queries first_query ... first_query + N - 1."""
        for offset, row in enumerate(distances):
            ranks = self._ranks(first_query + offset, row)
            if ranks.size == 0:
                continue
            self._count += 1
            self._precision_sum += float(np.mean(np.arange(1, ranks.size + 1) / (ranks + 1)))
            if ranks[0] < self._first_match.size:
                self._first_match[ranks[0]] += 1

    def result(self) -> Ranking:
        """Raises ValueError when no query has a match."""
        if self._count == 0:
            raise ValueError("no query has a match in the gallery from another camera, so nothing can be ranked")
        cmc = np.cumsum(self._first_match) / self._count
        return Ranking(cmc=cmc, mAP=self._precision_sum / self._count, num_queries=self._count)

    def _ranks(self, query: int, row: FloatArray) -> IntArray:
        """Places, ascending and from 0, of the query's matches in its ranked list."""
        same = self._by_pid[self._start[query] : self._end[query]]
        in_camera = self._gallery_camids[same] == self._query_camids[query]
        matches, junk = same[~in_camera], same[in_camera]
        if matches.size == 0:
            return np.empty(0, dtype=np.int64)
        values = row[matches]
        # A match's place is the number of smaller distances: sorting values alone is several times faster than
        # an argsort, and only ties need the order of the gallery.
        ordered = np.sort(row)
        ranks = np.searchsorted(ordered, values, side="left")
        tied = np.searchsorted(ordered, values, side="right") - ranks > 1
        for i in np.flatnonzero(tied):
            ranks[i] += np.count_nonzero(row[: matches[i]] == values[i])
        if junk.size:
            junk_values = row[junk]
            before = junk_values[None, :] < values[:, None]
            before |= (junk_values[None, :] == values[:, None]) & (junk[None, :] < matches[:, None])
            ranks -= before.sum(axis=1)
        return np.sort(ranks).astype(np.int64)


def rank_features(
    query: Tensor,
    query_pids: IntArray,
    query_camids: IntArray,
    gallery: Tensor,
    gallery_pids: IntArray,
    gallery_camids: IntArray,
    max_rank: int = 50,
) -> Ranking:
    """CMC and mAP of finite features [Q, D] and [G, D] under Euclidean distance, never holding all distances.

    Raises:
        ValueError: no query has a match.
    """
    meter = RankingMeter(query_pids, query_camids, gallery_pids, gallery_camids, max_rank)
    # |q|^2 is the same for all of a query's distances and does not change its ranking.
    squares = gallery.pow(2).sum(1)
    rows = max(1, CHUNK_BYTES // (4 * max(1, len(gallery))))
    for start in range(0, len(query), rows):
        distances = torch.addmm(squares, query[start : start + rows], gallery.t(), alpha=-2)
        meter.add(start, distances.numpy())
    return meter.result()
