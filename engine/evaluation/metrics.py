"""Exact ranking metrics of re-identification: CMC, mAP and mINP.

Protocols:

- `cross_camera` (Market-1501: Zheng et al., ICCV 2015; also DukeMTMC-reID, MSMT17, VeRi-776, Occluded-Duke and the
  new protocol of CUHK03): gallery images of the query's identity from the query's camera are left out.
- `clothes_changing` (LTCC: Qian et al., ACCV 2020): besides, images of the query's identity in the query's clothes are
  left out.
- `single_gallery_shot` (CUHK03: Li et al., CVPR 2014): as `cross_camera`, and for the CMC each gallery identity is
  represented by one image drawn at random. What others average over some draws is computed here as the expectation over
  all of them.
- `image_to_track` (VeRi-776: Liu et al., "PROVID", TMM 2018): as `cross_camera`, and for the CMC tracks are ranked instead
  of images, each by its nearest image. A track is what one camera saw of an identity at a time.
- `random_gallery` (VehicleID: Liu et al., CVPR 2016): one random image of each identity is the gallery, all others are
  queries, averaged over some draws. `engine.evaluation.evaluate` draws; what is ranked here is one draw, without cameras.

Equal distances keep the gallery's order. Queries without a match are not counted.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from engine.evaluation.distances import FloatArray, IntArray

PROTOCOLS = ("cross_camera", "clothes_changing", "single_gallery_shot", "image_to_track", "random_gallery")
# Up to this many matches, places are counted match by match; from there on, sorting the row is faster.
COUNTED = 64
# Queries whose matches are looked up together: few enough for the memory where most of a gallery is one identity.
QUERIES_AT_ONCE = 128


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
        clothes: tuple[IntArray, IntArray] | None = None,
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
            clothes: numbers of the clothes in the queries [Q] and in the gallery's images [G], for clothes_changing.
        Raises:
            ValueError: an unknown protocol, a track of more than one identity or camera, or unknown clothes.
        """
        if protocol not in PROTOCOLS:
            raise ValueError(f"protocol {protocol!r} is not one of {', '.join(PROTOCOLS)}")
        if protocol == "clothes_changing" and clothes is None:
            raise ValueError("clothes are not known, which the protocol clothes_changing needs")
        self._clothes = clothes if protocol == "clothes_changing" else None
        self._query_camids = query_camids
        self._gallery_camids = gallery_camids
        self._by_pid = np.argsort(gallery_pids, kind="stable")
        ordered = gallery_pids[self._by_pid]
        self._start = np.searchsorted(ordered, query_pids, side="left")
        self._end = np.searchsorted(ordered, query_pids, side="right")
        self._cmc_sum = np.zeros(max_rank)
        self._precision = np.full(len(query_pids), np.nan)
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
        buffers = RowBuffers.for_rows_of(distances)
        for start in range(0, len(distances), QUERIES_AT_ONCE):
            self._add(first_query + start, distances[start : start + QUERIES_AT_ONCE], buffers)

    def _add(self, first_query: int, distances: FloatArray, buffers: RowBuffers) -> None:
        """Adds the distances of a few queries."""
        if distances.size and np.isnan(distances.max()):  # max is NaN as soon as one is, and is the cheapest test
            raise ValueError("distances are not numbers (NaN): the features are too large to be compared")
        found = self.find_matches(first_query, distances, buffers)
        ends = np.cumsum(found.counts)
        begins = ends - found.counts
        places = np.arange(1, len(found.ranks) + 1) - np.repeat(begins, found.counts)
        counted = np.flatnonzero(found.counts)
        begins, ends, counts = begins[counted], ends[counted], found.counts[counted]
        if counted.size == 0:
            return
        precision = np.add.reduceat(places / (found.ranks + 1), begins) / counts
        self._precision[first_query + counted] = precision
        self._inverse_penalty[first_query + counted] = counts / (found.ranks[ends - 1] + 1)
        first = found.ranks[begins]
        self._first_match[first_query + counted] = first + 1
        if self._single_shot:
            for query, begin, end in zip(counted, begins, ends, strict=True):
                matches = found.columns[begin:end]
                self._cmc_sum += self._single_shot.expected(first_query + query, distances[query], matches)
            return
        if self._tracks:
            junk = np.split(found.junk, np.cumsum(found.junk_counts)[:-1])
            for i, (query, begin, end) in enumerate(zip(counted, begins, ends, strict=True)):
                first[i] = self._tracks.first_match(distances[query], found.columns[begin:end], junk[query])
        max_rank = len(self._cmc_sum)
        self._cmc_sum += np.bincount(np.minimum(first, max_rank), minlength=max_rank + 1)[:-1].cumsum()

    def find_matches(self, first_query: int, distances: FloatArray, buffers: RowBuffers) -> Matches:
        """Finds and ranks the matches of the queries first_query ..., by their `distances` [N, gallery]."""
        number = len(distances)
        queries = slice(first_query, first_query + number)
        start = self._start[queries]
        sizes = self._end[queries] - start
        first = np.cumsum(sizes) - sizes
        # All images of the queries' identities, query by query: the smallest type of the row makes sorting fast.
        rows = np.repeat(np.arange(number, dtype=np.min_scalar_type(number)), sizes)
        columns = self._by_pid[np.arange(len(rows)) + np.repeat(start - first, sizes)]
        values = distances[rows, columns]
        order = np.lexsort((values, rows))  # which is stable, and `columns` ascend
        rows, columns, values = rows[order], columns[order], values[order]
        junk = self._gallery_camids[columns] == self._query_camids[queries][rows]
        if self._clothes:
            worn, seen = self._clothes
            junk |= seen[columns] == worn[queries][rows]
        before = np.concatenate(([0], np.cumsum(junk)))
        junk_before = (before[:-1] - before[first][rows])[~junk]
        matches, values = columns[~junk], values[~junk]
        counts, junk_counts = (np.bincount(rows[chosen], minlength=number) for chosen in (~junk, junk))
        places = np.empty(len(matches), np.int64)
        end = 0
        for row, count in zip(distances, counts.tolist(), strict=True):
            begin, end = end, end + count
            if count:
                places[begin:end] = stable_places(row, values[begin:end], matches[begin:end], buffers)
        return Matches(counts, matches, places - junk_before, junk_counts, columns[junk])

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
class Matches:
    """Matches of N queries, query by query, a query's from the nearest to the farthest; `junk` are images left out."""

    counts: IntArray  # [N]: how many matches a query has
    columns: IntArray  # [all matches]: their places in the gallery
    ranks: IntArray  # [all matches]: their places, from 0, among the images that count
    junk_counts: IntArray  # [N]
    junk: IntArray  # [all junk]: places in the gallery


@dataclass(frozen=True)
class RowBuffers:
    """Buffers for one row at a time, kept because allocating them for every query would double the time."""

    values: FloatArray  # [gallery, padded]
    near: npt.NDArray[np.bool_]  # [gallery]
    compared: npt.NDArray[np.bool_]  # [COUNTED * gallery, padded]

    @classmethod
    def for_rows_of(cls, distances: FloatArray) -> RowBuffers:
        """Allocates buffers for the rows of `distances` [N, gallery]."""
        size = distances.shape[1]
        padded = _padded(size)
        return cls(np.empty(padded, distances.dtype), np.empty(size, bool), np.empty(COUNTED * padded, bool))


def stable_places(row: FloatArray, values: FloatArray, columns: IntArray, buffers: RowBuffers) -> IntArray:
    """Finds the places, from 0, that row[columns] get when `row` is sorted stably.

    A place is the number of images before: those nearer, and those as near that stand earlier in the gallery.

    Args:
        row: distances [G].
        values: row[columns], ascending.
        columns: numbers of images [n]; of equal values, ascending.
        buffers: for rows of this length.
    Returns:
        Places [n], ascending.
    """
    places = np.arange(len(columns))
    near, left = buffers.near, len(columns)
    # From the farthest on over the whole row, until most of it lies behind and matters no more.
    while left > 0:
        left -= 1
        value, column = values[left], columns[left]
        np.less_equal(row[:column], value, out=near[:column])
        np.less(row[column:], value, out=near[column:])
        places[left] = count = np.count_nonzero(near)
        if 3 * count < row.size or len(columns) - left >= COUNTED:
            break
    if left:
        near[columns[:left]] = False  # their own number is in `places`
        others = near.nonzero()[0]
        places[:left] += _count_before(row, others, values[:left], columns[:left], buffers)
    return places


def _count_before(
    row: FloatArray, others: IntArray, values: FloatArray, columns: IntArray, buffers: RowBuffers
) -> IntArray:
    """Counts, for each of `columns`, the images among `others` before; arguments as of `stable_places`."""
    number, size = len(values), _padded(len(others))
    rest = buffers.values[:size]
    row.take(others, out=rest[: len(others)], mode="clip")  # any mode but "raise", which would copy
    rest[len(others) :] = np.inf
    if number > COUNTED:
        ordered = np.sort(rest)
        counts = np.searchsorted(ordered, values, side="left")
        tied: IntArray | tuple[()] = np.flatnonzero(np.searchsorted(ordered, values, side="right") > counts)
    else:
        compared = buffers.compared[: number * size].reshape(number, size)
        np.less(rest, values[:, None], out=compared)
        bits = np.packbits(compared).view(np.uint64)
        counts = np.bitwise_count(bits).reshape(number, -1).sum(axis=1, dtype=np.int64)
        np.equal(rest, values[:, None], out=compared)
        tied = np.flatnonzero(compared.any(axis=1)) if compared.any() else ()
    for i in tied:
        counts[i] += np.count_nonzero(others[rest[: len(others)] == values[i]] < columns[i])
    return counts


def _padded(size: int) -> int:
    """Rounds up to a multiple of 64, so that a row of truth values is whole 64-bit words when packed, and never empty."""
    return (size // 64 + 1) * 64


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
