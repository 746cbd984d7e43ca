"""Features of the query and gallery images, and how well they rank."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from yacs.config import CfgNode

from data import DatasetError, ReIDDataset
from data.loading import UNREADABLE
from utils.errors import Diverged, TrainerError
from utils.metrics import FloatArray, IntArray, Ranking, RankingMeter, distance_rows
from utils.rerank import Reranking, expand_queries, reranked_distances

RANKS = (1, 5, 10)

# Features [N, D], identities [N], cameras [N].
Features = tuple[Tensor, np.ndarray[Any, np.dtype[np.int64]], np.ndarray[Any, np.dtype[np.int64]]]


@dataclass(frozen=True)
class Method:
    """How features are made and compared."""

    normalise: bool = True  # scale to unit length
    flip: bool = False  # average over the image and its mirror image
    protocol: str = "cross_camera"  # of utils.metrics
    expansion_k: int = 0  # gallery images each query is expanded by
    expansion_alpha: float = 3.0
    reranking: Reranking | None = None

    @classmethod
    def from_cfg(cls, cfg: CfgNode) -> Method:
        """What the section TEST asks for."""
        test = cfg.TEST
        reranking = Reranking(test.RE_RANKING_K1, test.RE_RANKING_K2, test.RE_RANKING_LAMBDA)
        return cls(
            normalise=test.FEAT_NORM == "yes",
            flip=test.FLIP,
            protocol=test.PROTOCOL,
            expansion_k=test.QUERY_EXPANSION_K,
            expansion_alpha=test.QUERY_EXPANSION_ALPHA,
            reranking=reranking if test.RE_RANKING == "yes" else None,
        )


@dataclass(frozen=True)
class Results:
    """mAP, CMC (by RANKS) and mINP as shares 0..1, and the epoch after which they were measured."""

    epoch: int
    mAP: float
    cmc: tuple[float, ...]
    mINP: float | None = None  # None: of a run before it was measured

    @classmethod
    def of(cls, ranking: Ranking, epoch: int) -> Results:
        """The part of a ranking that is reported."""
        return cls(epoch, ranking.mAP, tuple(float(ranking.cmc[rank - 1]) for rank in RANKS), ranking.mINP)

    def lines(self) -> list[str]:
        """The log lines of reid-strong-baseline."""
        return [f"Validation Results - Epoch: {self.epoch}", *self.metric_lines()]

    def metric_lines(self) -> list[str]:
        """Those of `lines` that hold the metrics."""
        ranks = [f"CMC curve, Rank-{rank:<3}:{share:.1%}" for rank, share in zip(RANKS, self.cmc, strict=True)]
        return [f"mAP: {self.mAP:.1%}", *ranks]

    def row(self) -> dict[str, float]:
        """Metric names and values in percent."""
        row: dict[str, float] = {"epoch": self.epoch, "val/mAP": 100 * self.mAP}
        row |= {f"val/cmc_rank_{rank}": 100 * share for rank, share in zip(RANKS, self.cmc, strict=True)}
        return row if self.mINP is None else {**row, "val/mINP": 100 * self.mINP}


def evaluate(
    model: nn.Module,
    loader: Iterable[Any],
    num_query: int,
    *,
    epoch: int,
    device: torch.device,
    method: Method = Method(),
) -> Results:
    """Ranks the gallery for each query by Euclidean distance of features.

    Args:
        model: gives features [B, D] in evaluation mode.
        loader: batches (images, pids, camids, paths), the `num_query` queries first.
    Raises:
        TrainerError: no query has a match, or features are not finite or too large to be compared.
    """
    return judge(
        extract_features(model, loader, device=device, flip=method.flip), num_query, epoch=epoch, method=method
    )


def judge(extracted: Features, num_query: int, *, epoch: int, method: Method, tracks: Sequence[int] = ()) -> Results:
    """As `evaluate`, of features that are there; `tracks` as in Comparison."""
    if not torch.isfinite(extracted[0]).all():
        raise Diverged(f"diverged: features are not finite after epoch {epoch}")
    return Results.of(rank(extracted, num_query, method, tracks), epoch)


def require_matches(dataset: ReIDDataset) -> None:
    """Raises DatasetError where nothing could be ranked, whatever the features: no query has a match to be found."""
    cameras: dict[int, set[int]] = {}
    for sample in dataset.gallery:
        cameras.setdefault(sample.pid, set()).add(sample.camid)
    if not any(cameras.get(query.pid, set()) - {query.camid} for query in dataset.query):
        raise DatasetError(
            f"data set {dataset.name!r}: no query has a match in the gallery from another camera, so nothing can be"
            " ranked; where cameras are not known, DATASETS.FOLDER_PATTERN has no group camid"
        )


def rank(extracted: Features, num_query: int, method: Method, tracks: Sequence[int] = ()) -> Ranking:
    """Ranks finite features, those of the queries first; images that could not be read are left out.

    Raises:
        TrainerError: no query has a match, or features are too large to be compared.
    """
    return Comparison(extracted, num_query, method, tracks).ranking()


class Comparison:
    """Queries and gallery, ready to be ranked; `queries` and `gallery` are the numbers of the images compared.

    `tracks` has a number for each gallery image's track, for the protocol image_to_track; empty: all images of an
    identity by a camera are one.
    """

    def __init__(self, extracted: Features, num_query: int, method: Method, tracks: Sequence[int] = ()) -> None:
        features, pids, camids = extracted
        if method.normalise:
            features = F.normalize(features)
        readable, is_query = pids != UNREADABLE, np.arange(len(pids)) < num_query
        self.queries, self.gallery = np.flatnonzero(readable & is_query), np.flatnonzero(readable & ~is_query)
        self.pids, self.camids, self.method = pids, camids, method
        self._tracks = np.array(tracks, dtype=np.int64)[self.gallery - num_query] if tracks else None
        query, gallery = features[torch.from_numpy(self.queries)], features[torch.from_numpy(self.gallery)]
        if method.expansion_k:
            query = expand_queries(query, gallery, method.expansion_k, method.expansion_alpha)
            gallery = F.normalize(gallery)
        self._features = query, gallery

    def distances(self) -> Iterator[tuple[int, FloatArray]]:
        """What the gallery is ranked by, as (first query, rows [n, gallery]) chunks in order."""
        if self.method.reranking is None:
            return distance_rows(*self._features)
        return reranked_distances(*self._features, self.method.reranking)

    def ranking(self) -> Ranking:
        """Raises TrainerError when no query has a match, or features are too large to be compared."""
        q, g, protocol = self.queries, self.gallery, self.method.protocol
        ids = self.pids[q], self.camids[q], self.pids[g], self.camids[g]
        meter = RankingMeter(*ids, protocol=protocol, gallery_tracks=self._tracks)
        try:
            for first, distances in self.distances():
                try:
                    meter.add(first, distances)
                except ValueError as error:
                    raise Diverged(f"diverged: {error}") from None
            return meter.result()
        except ValueError as error:
            raise TrainerError(str(error)) from None

    def best(self, chosen: Collection[int], number: int) -> dict[int, IntArray]:
        """Of each query in `chosen`, the `number` gallery images ranked first; all are numbers of images.

        Images of its identity from its camera are left out, as in the metrics.
        """
        found = {}
        for first, rows in self.distances():
            for query, row in zip(self.queries[first : first + len(rows)].tolist(), rows, strict=True):
                if query in chosen:
                    order = self.gallery[np.argsort(row, kind="stable")]
                    junk = (self.pids[order] == self.pids[query]) & (self.camids[order] == self.camids[query])
                    found[query] = order[~junk][:number]
        return found


@torch.inference_mode()
def extract_features(
    model: nn.Module,
    loader: Iterable[Any],
    *,
    device: torch.device,
    flip: bool = False,
    check_stop: Callable[[], None] = lambda: None,
) -> Features:
    """Features [N, D] float32 in host memory, identities [N] and cameras [N] of a loader's images.

    With `flip`, the mean of the features of an image and of its mirror image.
    """
    model.eval()
    features, pids, camids = [], [], []
    for images, batch_pids, batch_camids, _paths in loader:
        images = images.to(device, non_blocking=True)
        feature = model(images).float()
        if flip:
            feature = (feature + model(images.flip(3)).float()) / 2
        features.append(feature.cpu())
        pids.append(batch_pids)
        camids.append(batch_camids)
        check_stop()
    return torch.cat(features), torch.cat(pids).numpy(), torch.cat(camids).numpy()
