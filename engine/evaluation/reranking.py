"""k-reciprocal re-ranking, in blocks: no whole distance or weight matrix is ever held.

Re-ranking is that of Zhong et al., "Re-ranking Person Re-identification with k-reciprocal Encoding", CVPR 2017:
squared Euclidean distances, each row divided by its largest; weights over an image's k-reciprocal neighbours and
their neighbours; the average of these over the k2 nearest images; Jaccard distance. An image has some dozens of
weights, so they are kept as sparse rows.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from engine.evaluation.distances import rows_at_once

IntArray = npt.NDArray[np.int64]
FloatArray = npt.NDArray[np.float32]

_BLOCK = 4096  # images a side of a block of distances
_SETS_AT_ONCE = 256  # images whose neighbour sets are compared at once
_ROUNDING = 8 * torch.finfo(torch.float32).eps  # of the squared length of a feature
_PAIRS_AT_ONCE = 64  # pairs of features gathered at once, small enough for the processor's cache


@dataclass(frozen=True)
class Reranking:
    """Parameters of re-ranking, by the paper's names."""

    k1: int = 20  # neighbours that must be mutual
    k2: int = 6  # nearest images whose weights are averaged
    lambda_value: float = 0.3  # weight of the original distance


@dataclass(frozen=True)
class _Neighbours:
    """Nearest images of each image, itself among them: their numbers and ascending distances [N, k].

    `divisor` [N] is what an image's distances are divided by (`_divisors`).
    """

    index: IntArray
    distance: FloatArray
    divisor: FloatArray


@dataclass(frozen=True)
class _SparseRows:
    """Sparse matrix by rows.

    Row i holds `values[start[i] : start[i + 1]]` in the ascending columns `columns[start[i] : start[i + 1]]`.
    """

    start: IntArray
    columns: IntArray
    values: FloatArray


@torch.inference_mode()
def reranked_distances(
    query: Tensor, gallery: Tensor, parameters: Reranking = Reranking()
) -> Iterator[tuple[int, FloatArray]]:
    """Yields re-ranked distances of finite features, as (first query, rows [n, G]) chunks in order.

    Images at equal distance count as near in the order queries, then gallery.

    Args:
        query: features [Q, D].
        gallery: features [G, D].
        parameters: of re-ranking.
    """
    features = torch.cat([query, gallery]).float()
    squares = torch.einsum("nd,nd->n", features, features)
    near = _nearest(features, squares, max(parameters.k1 + 1, parameters.k2))
    weights = _encode(features, squares, near, parameters.k1)
    if parameters.k2 > 1:
        weights = _average_rows(weights, near.index[:, : parameters.k2])
    by_column = _transpose(weights, first_row=len(query))
    rows = rows_at_once(2 * len(gallery))  # the sums are float64
    for first in range(0, len(query), rows):
        last = min(first + rows, len(query))
        original = torch.addmm(squares[len(query) :], features[first:last], features[len(query) :].t(), alpha=-2)
        original += squares[first:last, None]
        distances = original.cpu().numpy()
        distances *= parameters.lambda_value / near.divisor[first:last, None]
        shared = _shared_weight(weights, by_column, first, last, len(gallery))
        # Weights of an image sum to 1, so the larger ones sum to 2 - shared.
        distances += (1 - parameters.lambda_value) * (1 - shared / (2 - shared))
        yield first, distances


def _nearest(features: Tensor, squares: Tensor, k: int) -> _Neighbours:
    """Finds the k nearest images of each image; a block of distances serves its rows and, by symmetry, its columns."""
    number = len(features)
    k = min(k, number)
    found: list[list[tuple[Tensor, Tensor]]] = [[] for _ in range(0, number, _BLOCK)]
    largest = torch.full((number,), -torch.inf, device=features.device)
    spans = [slice(start, min(start + _BLOCK, number)) for start in range(0, number, _BLOCK)]
    for i, rows in enumerate(spans):
        for j, columns in enumerate(spans[: i + 1]):
            block = torch.addmm(squares[columns], features[rows], features[columns].t(), alpha=-2)
            block += squares[rows, None]
            found[i].append(_smallest(block, k, columns.start))
            largest[rows] = torch.maximum(largest[rows], block.amax(1))
            if i != j:
                found[j].append(_smallest(block.t().contiguous(), k, rows.start))
                largest[columns] = torch.maximum(largest[columns], block.amax(0))
    # Candidates come by ascending block, and within a block by value, then index: a stable sort by value suffices.
    index, distance = [], []
    for candidates in found:
        values, order = torch.cat([values for values, _ in candidates], dim=1).sort(dim=1, stable=True)
        distance.append(values[:, :k])
        index.append(torch.cat([index for _, index in candidates], dim=1).gather(1, order[:, :k]))
    divisor = _divisors(largest, squares)
    return _Neighbours(torch.cat(index).cpu().numpy(), torch.cat(distance).cpu().numpy(), divisor.cpu().numpy())


def _divisors(largest: Tensor, squares: Tensor) -> Tensor:
    """Computes the divisor of each image's distances: its largest distance, or a bound on rounding where that is more.

    An image that equals all others up to rounding has distances of 0 or of rounding errors only. Divided by their
    largest, which may be 0 or negative, they would become arbitrary numbers.
    """
    divisors = torch.maximum(largest, _ROUNDING * squares)
    return torch.where(divisors > 0, divisors, 1.0)


def _smallest(block: Tensor, k: int, offset: int) -> tuple[Tensor, Tensor]:
    """Finds the k smallest values of each row and their columns + `offset`, ordered by value, then column."""
    if block.shape[1] <= k:
        ordered = block.sort(dim=1, stable=True)
        return ordered.values, ordered.indices + offset
    values, index = block.topk(k + 1, dim=1, largest=False, sorted=True)
    # topk takes any of equal values, so rows with equal values are sorted instead.
    tied = (values[:, 1:] == values[:, :-1]).any(dim=1).nonzero().flatten()
    if len(tied):
        ordered = block[tied].sort(dim=1, stable=True)
        values[tied], index[tied] = ordered.values[:, : k + 1], ordered.indices[:, : k + 1]
    return values[:, :k], index[:, :k] + offset


def _encode(features: Tensor, squares: Tensor, near: _Neighbours, k1: int) -> _SparseRows:
    """Encodes each image as weights exp(-distance) over its expanded k-reciprocal neighbours, of sum 1 in each row."""
    number = len(near.index)
    index = near.index[:, : k1 + 1]
    mutual = _mutual(index)
    half = index[:, : int(np.around(k1 / 2)) + 1]
    mutual_half = _mutual(half)
    keys = [
        _expanded_sets(index, mutual, half, mutual_half, slice(start, start + _SETS_AT_ONCE))
        for start in range(0, number, _SETS_AT_ONCE)
    ]
    pairs = np.concatenate(keys)
    rows, columns = np.divmod(pairs, number)
    values = np.exp(-_pair_distances(features, squares, near, pairs) / near.divisor[rows])
    start = _row_starts(rows, number)
    values /= np.add.reduceat(values, start[:-1])[rows]  # no row is empty: an image is its own neighbour
    return _SparseRows(start, columns, values)


def _mutual(index: IntArray) -> npt.NDArray[np.bool_]:
    """Tells for each neighbour index[i, j] whether image i is among its neighbours too; boolean [N, k]."""
    mutual = np.empty(index.shape, dtype=bool)
    for start in range(0, len(index), _SETS_AT_ONCE):
        rows = slice(start, start + _SETS_AT_ONCE)
        own = np.arange(start, start + len(index[rows]))[:, None, None]
        mutual[rows] = (index[index[rows]] == own).any(axis=2)
    return mutual


def _expanded_sets(
    index: IntArray,
    mutual: npt.NDArray[np.bool_],
    half: IntArray,
    mutual_half: npt.NDArray[np.bool_],
    rows: slice,
) -> IntArray:
    """Finds the expanded neighbours j of the images i in `rows`, as ascending keys i * N + j.

    They are the k-reciprocal neighbours of i, and the k/2-reciprocal neighbours of each of these where more than two
    thirds of them are among those of i. An image whose nearest images are all copies of it may lack itself; it is
    added, so that it has a weight.
    """
    number = len(index)
    own = np.where(mutual[rows], index[rows], -1)  # [n, k]
    candidates = index[rows]
    others, others_mutual = half[candidates], mutual_half[candidates]  # [n, k, h]
    shared = np.zeros(others.shape, dtype=bool)
    for column in own.T[:, :, None, None]:
        shared |= others == column
    accepted = 3 * (shared & others_mutual).sum(axis=2) > 2 * others_mutual.sum(axis=2)
    accepted &= mutual[rows]
    first = np.arange(rows.start, rows.start + len(own))
    keys = first[:, None] * number + candidates
    expanded = first[:, None, None] * number + others
    chosen = keys[mutual[rows]], expanded[accepted[:, :, None] & others_mutual], first * number + first
    return np.unique(np.concatenate(chosen))


def _pair_distances(features: Tensor, squares: Tensor, near: _Neighbours, pairs: IntArray) -> FloatArray:
    """Computes squared distances of the image pairs with keys i * N + j; most are known from the neighbour search."""
    number = len(features)
    keys = (np.arange(number)[:, None] * number + near.index).ravel()
    order = np.argsort(keys)
    place = order[np.minimum(np.searchsorted(keys, pairs, sorter=order), len(keys) - 1)]
    distances: FloatArray = near.distance.ravel()[place]
    unknown = np.flatnonzero(keys[place] != pairs)
    # In numpy, on one thread: these are many small operations.
    vectors, lengths = features.cpu().numpy(), squares.cpu().numpy()
    for part in np.split(unknown, range(_PAIRS_AT_ONCE, len(unknown), _PAIRS_AT_ONCE)):
        i, j = np.divmod(pairs[part], number)
        distances[part] = lengths[i] + lengths[j] - 2 * np.einsum("pd,pd->p", vectors[i], vectors[j])
    return distances


def _average_rows(weights: _SparseRows, index: IntArray) -> _SparseRows:
    """Averages rows: row i of the result is the mean of the rows index[i]."""
    number, k = index.shape
    lengths = np.diff(weights.start)
    parts = []
    for start in range(0, number, _BLOCK):
        sources = index[start : start + _BLOCK]
        places = _ranges(weights.start[sources.ravel()], lengths[sources.ravel()])
        targets = np.repeat(np.arange(start, start + len(sources)), lengths[sources].sum(axis=1))
        keys, inverse = np.unique(targets * number + weights.columns[places], return_inverse=True)
        parts.append((keys, np.bincount(inverse, weights.values[places]).astype(np.float32) / k))
    rows, columns = np.divmod(np.concatenate([keys for keys, _ in parts]), number)
    return _SparseRows(_row_starts(rows, number), columns, np.concatenate([values for _, values in parts]))


def _transpose(weights: _SparseRows, first_row: int) -> _SparseRows:
    """Transposes the rows from `first_row` on, which then count from 0."""
    number = len(weights.start) - 1
    begin = weights.start[first_row]
    rows = np.repeat(np.arange(number - first_row), np.diff(weights.start[first_row:]))
    columns, values = weights.columns[begin:], weights.values[begin:]
    order = np.argsort(columns, kind="stable")
    return _SparseRows(_row_starts(columns[order], number), rows[order], values[order])


def _shared_weight(
    weights: _SparseRows, by_column: _SparseRows, first: int, last: int, width: int
) -> npt.NDArray[np.float64]:
    """Sums the smaller weight over columns, for each of the rows first ... last - 1 and each of the `width` others."""
    span = slice(weights.start[first], weights.start[last])
    columns, values = weights.columns[span], weights.values[span]
    lengths = np.diff(by_column.start)[columns]
    places = _ranges(by_column.start[columns], lengths)
    smaller = np.minimum(np.repeat(values, lengths), by_column.values[places])
    rows = np.repeat(np.arange(last - first), np.diff(weights.start[first : last + 1]))
    cells = np.repeat(rows * width, lengths) + by_column.columns[places]
    sums = np.bincount(cells, smaller, minlength=(last - first) * width)
    return sums.astype(np.float64, copy=False).reshape(last - first, width)


def _row_starts(rows: IntArray, number: int) -> IntArray:
    """Finds where each of `number` rows begins in the ascending `rows`, and where the last one ends."""
    return np.searchsorted(rows, np.arange(number + 1)).astype(np.int64)


def _ranges(starts: IntArray, lengths: IntArray) -> IntArray:
    """Concatenates the ranges start, start + 1, … start + length - 1 of all pairs."""
    ends = np.cumsum(lengths)
    places: IntArray = np.arange(lengths.sum()) + np.repeat(starts - (ends - lengths), lengths)
    return places
