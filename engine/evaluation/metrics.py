"""Exact ranking metrics of re-identification: CMC, mAP and mINP.

Three protocols, which differ in the CMC only:

- `cross_camera` (Market-1501: Zheng et al., ICCV 2015; also DukeMTMC-reID, MSMT17, VeRi-776, Occluded-Duke and the
  new protocol of CUHK03): gallery images of the query's identity from the query's camera are left out.
- `single_gallery_shot` (CUHK03: Li et al., CVPR 2014): besides, each gallery identity is represented by one image
  drawn at random. What others average over some draws is computed here as the expectation over all of them.
- `image_to_track` (VeRi-776: Liu et al., "PROVID", TMM 2018): besides, tracks are ranked instead of images, each by its
  nearest image. A track is what one camera saw of an identity at a time.

Equal distances keep the gallery's order. Queries without a match are not counted.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from engine.evaluation.distances import FloatArray, IntArray

PROTOCOLS = ("cross_camera", "single_gallery_shot", "image_to_track")
# Up to this many matches, ranks are counted match by match; from there on, sorting the row is faster.
COUNTED = 64


@dataclass(frozen=True)
class Ranking:
    """Ranking metrics of all queries; `cmc[r]` is the share of queries with a match among their first r + 1 places.

    `average_precision` [Q] holds each query's, NaN where there is no match. `mINP` is the mean inverse negative
    penalty: matches of a query over the place of its last one (Ye et al., TPAMI 2021); `inverse_penalty` [Q] holds each
    query's. `first_match` [Q] is the place, from 1, of a query's first match among the images; 0 where there is none.
    """

    cmc: npt.NDArray[np.float64]
    mAP: float
    mINP: float
    num_queries: int  # those with a match to be found
    average_precision: npt.NDArray[np.float64]
    inverse_penalty: npt.NDArray[np.float64]
    first_match: npt.NDArray[np.int64]


class RankingMeter:
    """Meter of ranking metrics, fed with the distances of a few queries at a time."""

    def __init__(
        self,
        query_pids: IntArray,
        query_camids: IntArray,
        gallery_pids: IntArray,
        gallery_camids: IntArray,
        max_rank: int = 50,
        protocol: str = "cross_camera",
        gallery_tracks: IntArray | None = None,
    ) -> None:
        """Prepares for the queries and the gallery, whose arrays hold one element an image.

        Args:
            query_pids: identities of the queries [Q].
            query_camids: cameras of the queries [Q].
            gallery_pids: identities of the gallery [G].
            gallery_camids: cameras of the gallery [G].
            max_rank: length of the CMC curve.
            protocol: one of PROTOCOLS; see the module.
            gallery_tracks: any number for each image's track [G]; None: all images of an identity by a camera are one.
        Raises:
            ValueError: an unknown protocol, or a track of more than one identity or camera.
        """
        if protocol not in PROTOCOLS:
            raise ValueError(f"protocol {protocol!r} is not one of {', '.join(PROTOCOLS)}")
        self._query_camids = query_camids
        self._gallery_camids = gallery_camids
        self._by_pid = np.argsort(gallery_pids, kind="stable")
        ordered = gallery_pids[self._by_pid]
        self._start = np.searchsorted(ordered, query_pids, side="left")
        self._end = np.searchsorted(ordered, query_pids, side="right")
        self._cmc_sum = np.zeros(max_rank)
        self._precision = np.full(len(query_pids), np.nan)
        self._places = np.arange(1.0, len(gallery_pids) + 1)
        self._inverse_penalty = np.full(len(query_pids), np.nan)
        self._first_match = np.zeros(len(query_pids), np.int64)
        self._single_shot: SingleShotCurve | None = None
        if protocol == "single_gallery_shot":
            self._single_shot = SingleShotCurve(query_pids, gallery_pids, max_rank)
        self._tracks: Tracks | None = None
        if protocol == "image_to_track":
            self._tracks = Tracks(gallery_pids, gallery_camids, gallery_tracks)

    def add(self, first_query: int, distances: FloatArray) -> None:
        """Adds the distances [N, gallery] of the queries first_query ... first_query + N - 1.

        Raises:
            ValueError: a distance is NaN. No distance compares as smaller than NaN, so the query would rank best.
        """
        if distances.size and np.isnan(distances.max()):  # max is NaN as soon as one is, and is the cheapest test
            raise ValueError("distances are not numbers (NaN): the features are too large to be compared")
        buffers = RowBuffers.for_rows_of(distances)
        for query, row in enumerate(distances, start=first_query):
            same = self._by_pid[self._start[query] : self._end[query]]
            in_camera = self._gallery_camids[same] == self._query_camids[query]
            matches, junk = same[~in_camera], same[in_camera]
            if matches.size == 0:
                continue
            ranks = match_ranks(row, matches, junk, buffers)
            self._precision[query] = (self._places[: ranks.size] / (ranks + 1)).sum() / ranks.size
            self._inverse_penalty[query] = ranks.size / float(ranks[-1] + 1)
            self._first_match[query] = ranks[0] + 1
            if self._tracks:
                self._cmc_sum[self._tracks.first_match(row, matches, junk) :] += 1
            elif self._single_shot:
                self._cmc_sum += self._single_shot.expected(query, row, matches)
            else:
                self._cmc_sum[ranks[0] :] += 1

    def result(self) -> Ranking:
        """Computes the metrics over all queries that have a match.

        Raises:
            ValueError: no query has a match.
        """
        counted = ~np.isnan(self._precision)
        count = int(counted.sum())
        if count == 0:
            raise ValueError("no query has a match in the gallery from another camera, so nothing can be ranked")
        return Ranking(
            cmc=self._cmc_sum / count,
            mAP=float(self._precision[counted].mean()),
            mINP=float(self._inverse_penalty[counted].mean()),
            num_queries=count,
            average_precision=self._precision.copy(),
            inverse_penalty=self._inverse_penalty.copy(),
            first_match=self._first_match.copy(),
        )


@dataclass(frozen=True)
class RowBuffers:
    """Buffers for one row at a time, kept because allocating them for every query would double the time."""

    values: FloatArray  # [gallery]
    near: npt.NDArray[np.bool_]  # [gallery]
    compared: npt.NDArray[np.bool_]  # [COUNTED * gallery]

    @classmethod
    def for_rows_of(cls, distances: FloatArray) -> RowBuffers:
        """Allocates buffers for the rows of `distances` [N, gallery]."""
        size = distances.shape[1]
        return cls(np.empty(size, distances.dtype), np.empty(size, bool), np.empty(COUNTED * size, bool))


def match_ranks(row: FloatArray, matches: IntArray, junk: IntArray, buffers: RowBuffers) -> IntArray:
    """Ranks `matches`: their ascending places, from 0, when `row` is sorted stably without `junk`.

    A match's place is the number of smaller distances, and only ties need the order of the gallery.
    """
    values = row[matches]
    # Images farther than the last match do not matter.
    near = np.less_equal(row, values.max(), out=buffers.near)
    count = np.count_nonzero(near)
    rest = np.compress(near, row, out=buffers.values[:count]) if 4 * count < row.size else row
    if matches.size <= COUNTED:
        compared = buffers.compared[: matches.size * rest.size].reshape(matches.size, rest.size)
        np.less(rest, values[:, None], out=compared)
        ranks = np.fromiter(map(np.count_nonzero, compared), np.int64, matches.size)
        np.equal(rest, values[:, None], out=compared)
        ties = np.count_nonzero(compared) > matches.size
        tied = np.count_nonzero(compared, axis=1) > 1 if ties else None
    else:
        ordered = buffers.values[: rest.size]
        ordered[:] = rest
        ordered.sort()
        ranks = np.searchsorted(ordered, values, side="left")
        tied = np.searchsorted(ordered, values, side="right") - ranks > 1
    for i in np.flatnonzero(tied) if tied is not None else ():
        ranks[i] += np.count_nonzero(row[: matches[i]] == values[i])
    if junk.size:
        junk_values = row[junk]
        before = junk_values < values[:, None]
        before |= (junk_values == values[:, None]) & (junk < matches[:, None])
        ranks -= before.sum(axis=1)
    ranks.sort()
    return ranks


class SingleShotCurve:
    """CMC curve expected when each gallery identity is represented by one image, drawn uniformly.

    Given the drawn match, the images before it are those of a sum of independent yes-or-no draws, one an
    identity: the image drawn of identity p lies before it with probability (p's images before it) / (p's images).
    """

    def __init__(self, query_pids: IntArray, gallery_pids: IntArray, max_rank: int) -> None:
        pids, self._label, self._images = np.unique(gallery_pids, return_inverse=True, return_counts=True)
        self._query_label = np.searchsorted(pids, query_pids)
        self._max_rank = max_rank

    def expected(self, query: int, row: FloatArray, matches: IntArray) -> npt.NDArray[np.float64]:
        """Computes a query's curve [max_rank] from its distances `row` [G] and the numbers of its `matches`."""
        order = np.argsort(row, kind="stable")
        place = np.empty_like(order)
        place[order] = np.arange(len(order))
        labels = self._label[order]
        others = self._images.copy()
        others[self._query_label[query]] = 0
        before = np.stack([np.bincount(labels[:end], minlength=len(others)) for end in place[matches]])
        undecided = (before > 0).any(axis=0) & (others > 0)
        chances = before[:, undecided] / others[undecided]
        # probability[m, k]: exactly k identities lie before match m; more than max_rank never matters.
        probability = np.zeros((len(matches), self._max_rank))
        probability[:, 0] = 1.0
        for chance in chances.T[:, :, None]:
            moved = probability * chance
            probability -= moved
            probability[:, 1:] += moved[:, :-1]
        curve: npt.NDArray[np.float64] = probability.cumsum(axis=1).mean(axis=0)
        return curve


class Tracks:
    """Ranks tracks by their nearest images; tracks at equal distance keep the order of their first images."""

    def __init__(self, pids: IntArray, camids: IntArray, tracks: IntArray | None) -> None:
        """Groups the gallery's images by track; None: all images of an identity by a camera are one track.

        Raises:
            ValueError: a track has more than one identity or camera.
        """
        keys = [pids, camids] if tracks is None else [tracks]
        _, first, inverse = np.unique(np.stack(keys), axis=1, return_index=True, return_inverse=True)
        self._track = inverse.ravel()
        if ((pids[first][self._track] != pids) | (camids[first][self._track] != camids)).any():
            raise ValueError("a track has images of more than one identity or camera")
        self._by_track = np.argsort(self._track, kind="stable")
        self._start = np.searchsorted(self._track[self._by_track], np.arange(len(first)))
        self._first = first

    def first_match(self, row: FloatArray, matches: IntArray, junk: IntArray) -> int:
        """Finds the place, from 0, of the nearest track with an image in `matches`, by distances `row` [G] without `junk`."""
        nearest = np.minimum.reduceat(row[self._by_track], self._start)
        nearest[self._track[junk]] = np.inf
        right = self._track[matches]
        best = nearest[right].min()
        first = self._first[right[nearest[right] == best]].min()
        return int(np.count_nonzero((nearest < best) | ((nearest == best) & (self._first < first))))
