"""Distances from queries to the gallery, computed in chunks of rows so that memory stays small."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

IntArray = npt.NDArray[np.int64]
FloatArray = npt.NDArray[np.floating]

# Bytes of distances held at once when ranking features. More than 32 MiB: glibc then takes them from the system and
# gives them back, while smaller pieces, with others between, leave holes that add up to hundreds of megabytes.
CHUNK_BYTES = 40 * 2**20


def distance_rows(query: Tensor, gallery: Tensor) -> Iterator[tuple[int, FloatArray]]:
    """Yields squared distances less the query's own square, as (first query, rows [n, G]) chunks in order.

    |q|^2 is the same for all of a query's distances and does not change its ranking.
    """
    squares = torch.einsum("gd,gd->g", gallery, gallery)  # which takes no room for all the squares
    rows = rows_at_once(len(gallery))
    for start in range(0, len(query), rows):
        yield start, torch.addmm(squares, query[start : start + rows], gallery.t(), alpha=-2).cpu().numpy()


def rows_at_once(columns: int) -> int:
    """Counts the rows of `columns` float32 distances that fit into CHUNK_BYTES, at least one."""
    return max(1, CHUNK_BYTES // (4 * max(1, columns)))
