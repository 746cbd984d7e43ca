"""Evaluation of extracted features: ranks the gallery for each query and reports mAP, CMC and mINP."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from yacs.config import CfgNode

from data import DatasetError, ReIDDataset
from data.loading import UNREADABLE
from engine.evaluation.distances import FloatArray, IntArray, distance_rows
from engine.evaluation.features import Features
from engine.evaluation.metrics import Ranking, RankingMeter
from engine.evaluation.query_expansion import expand_queries
from engine.evaluation.reranking import Reranking, reranked_distances
from utils.errors import ConfigError, Diverged, TrainerError

RANKS = (1, 5, 10)


@dataclass(frozen=True)
class EvaluationMethod:
    """Settings of how features are made and compared."""

    normalise: bool = True  # scale to unit length
    flip: bool = False  # average over the image and its mirror image
    protocol: str = "cross_camera"  # of engine.evaluation.metrics
    expansion_k: int = 0  # gallery images each query is expanded by
    expansion_alpha: float = 3.0
    reranking: Reranking | None = None

    @classmethod
    def from_cfg(cls, cfg: CfgNode) -> EvaluationMethod:
        """Reads the settings from the section TEST."""
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
    """Metrics of an evaluation: mAP, CMC (by RANKS) and mINP as shares 0..1, and the epoch they were measured after."""

    epoch: int
    mAP: float
    cmc: tuple[float, ...]
    mINP: float | None = None  # None: of a run before it was measured

    @classmethod
    def from_ranking(cls, ranking: Ranking, epoch: int) -> Results:
        """Takes the reported part of a ranking."""
        return cls(epoch, ranking.mAP, tuple(float(ranking.cmc[rank - 1]) for rank in RANKS), ranking.mINP)

    def lines(self) -> list[str]:
        """Writes the log lines of an evaluation: reid-strong-baseline's heading, then `metric_lines`."""
        return [f"Validation Results - Epoch: {self.epoch}", *self.metric_lines()]

    def metric_lines(self) -> list[str]:
        """Writes the log lines of the metrics: mAP and CMC as reid-strong-baseline has them, then mINP in their form."""
        ranks = [f"CMC curve, Rank-{rank:<3}:{share:.1%}" for rank, share in zip(RANKS, self.cmc, strict=True)]
        return [f"mAP: {self.mAP:.1%}", *ranks, *([] if self.mINP is None else [f"mINP: {self.mINP:.1%}"])]

    def row(self) -> dict[str, float]:
        """Gives metric names and values in percent, as one row for the recorder."""
        row: dict[str, float] = {"epoch": self.epoch, "val/mAP": 100 * self.mAP}
        row |= {f"val/cmc_rank_{rank}": 100 * share for rank, share in zip(RANKS, self.cmc, strict=True)}
        return row if self.mINP is None else {**row, "val/mINP": 100 * self.mINP}


def evaluate(
    extracted: Features, num_query: int, *, epoch: int, method: EvaluationMethod, tracks: Sequence[int] = ()
) -> Results:
    """Ranks the gallery for each query by the distance of features.

    Args:
        extracted: features, identities and cameras, the `num_query` queries first.
        num_query: how many of them are queries.
        epoch: the epoch after which the features were extracted.
        method: how features are compared.
        tracks: see `Retrieval`.
    Raises:
        Diverged: features are not finite or too large to be compared.
        TrainerError: no query has a match.
    """
    if not torch.isfinite(extracted[0]).all():
        raise Diverged(f"diverged: features are not finite after epoch {epoch}")
    return Results.from_ranking(Retrieval(extracted, num_query, method, tracks).ranking(), epoch)


def require_matches(dataset: ReIDDataset) -> None:
    """Raises DatasetError where no query has a match in the gallery, so that nothing could be ranked."""
    cameras: dict[int, set[int]] = {}
    for sample in dataset.gallery:
        cameras.setdefault(sample.pid, set()).add(sample.camid)
    if not any(cameras.get(query.pid, set()) - {query.camid} for query in dataset.query):
        raise DatasetError(
            f"data set {dataset.name!r}: no query has a match in the gallery from another camera, so nothing can be"
            " ranked; where cameras are not known, DATASETS.FOLDER_PATTERN has no group camid"
        )


def count_unreadable(pids: IntArray, num_query: int) -> tuple[int, int]:
    """Counts the queries and the gallery images that could not be read, by the extracted identities, queries first."""
    unreadable = pids == UNREADABLE
    return int(unreadable[:num_query].sum()), int(unreadable[num_query:].sum())


class Retrieval:
    """Retrieval of gallery images for queries, from finite features; images that could not be read are left out.

    `queries` and `gallery` hold the numbers of the images compared.
    """

    def __init__(
        self, extracted: Features, num_query: int, method: EvaluationMethod, tracks: Sequence[int] = ()
    ) -> None:
        """Prepares features for comparison.

        Args:
            extracted: features, identities and cameras, the `num_query` queries first.
            num_query: how many of them are queries.
            method: how features are compared.
            tracks: a number for each gallery image's track, for the protocol image_to_track; empty: all images of an
                identity by a camera are one track.
        Raises:
            ConfigError: no query, or no gallery image, could be read.
        """
        features, pids, camids = extracted
        if method.normalise:
            features = F.normalize(features)
        readable, is_query = pids != UNREADABLE, np.arange(len(pids)) < num_query
        self.queries, self.gallery = np.flatnonzero(readable & is_query), np.flatnonzero(readable & ~is_query)
        for kind, compared, total in (
            ("queries", self.queries, num_query), ("gallery images", self.gallery, len(pids) - num_query)
        ):  # fmt: skip
            if not len(compared):
                raise ConfigError(f"none of the {total} {kind} can be read, so nothing can be ranked")
        self.pids, self.camids, self.method = pids, camids, method
        self._tracks = np.array(tracks, dtype=np.int64)[self.gallery - num_query] if tracks else None
        query, gallery = features[torch.from_numpy(self.queries)], features[torch.from_numpy(self.gallery)]
        if method.expansion_k:
            query = expand_queries(query, gallery, method.expansion_k, method.expansion_alpha)
            gallery = F.normalize(gallery)
        self._features = query, gallery

    def distances(self) -> Iterator[tuple[int, FloatArray]]:
        """Yields the distances that the gallery is ranked by, as (first query, rows [n, gallery]) chunks in order."""
        if self.method.reranking is None:
            return distance_rows(*self._features)
        return reranked_distances(*self._features, self.method.reranking)

    def ranking(self) -> Ranking:
        """Ranks the gallery for every query.

        Raises:
            Diverged: features are too large to be compared.
            TrainerError: no query has a match.
        """
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

    def nearest(self, chosen: Collection[int], number: int) -> dict[int, IntArray]:
        """Finds, for each query in `chosen`, the `number` gallery images ranked first; all are numbers of images.

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
