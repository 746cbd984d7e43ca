"""Evaluation of extracted features: ranks the gallery for each query and reports mAP, CMC and mINP."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from yacs.config import CfgNode

from data.loading import UNREADABLE
from engine.evaluation.distances import FloatArray, IntArray, distance_rows
from engine.evaluation.features import Features
from engine.evaluation.metrics import Ranking, RankingMeter
from engine.evaluation.protocols import Labels, draw_gallery, mean_ranking, protocol_of
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
    draws: int = 10  # of the gallery, in the protocol random_gallery
    expansion_k: int = 0  # gallery images each query is expanded by
    expansion_alpha: float = 3.0
    reranking: Reranking | None = None

    @classmethod
    def from_cfg(cls, cfg: CfgNode, labels: Labels = Labels()) -> EvaluationMethod:  # noqa: B008  immutable
        """Reads the settings from the section TEST, for a data set of which `labels` are known."""
        test = cfg.TEST
        reranking = Reranking(test.RE_RANKING_K1, test.RE_RANKING_K2, test.RE_RANKING_LAMBDA)
        return cls(
            normalise=test.FEAT_NORM == "yes",
            flip=test.FLIP,
            protocol=protocol_of(cfg, labels),
            draws=test.GALLERY_DRAWS,
            expansion_k=test.QUERY_EXPANSION_K,
            expansion_alpha=test.QUERY_EXPANSION_ALPHA,
            reranking=reranking if test.RE_RANKING == "yes" else None,
        )

    def describe(self) -> str:
        """Describes how features are compared, in a line's words: the protocol first."""
        drawn = f" (mean of {self.draws} draws)" if self.protocol == "random_gallery" else ""
        parts = [f"protocol {self.protocol}{drawn}"]
        parts += ["mirrored features averaged"] if self.flip else []
        parts += [f"queries expanded by {self.expansion_k}"] if self.expansion_k else []
        if self.reranking:
            parts.append(f"re-ranked with k1={self.reranking.k1}, k2={self.reranking.k2}")
        return ", ".join(parts)


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
    extracted: Features,
    num_query: int,
    *,
    epoch: int,
    method: EvaluationMethod,
    labels: Labels = Labels(),  # noqa: B008  immutable
) -> Results:
    """Ranks the gallery for each query by the distance of features.

    Args:
        extracted: features, identities and cameras, the `num_query` queries first.
        num_query: how many of them are queries.
        epoch: the epoch after which the features were extracted.
        method: how features are compared.
        labels: see `Retrieval`.
    Raises:
        Diverged: features are not finite or too large to be compared.
        TrainerError: no query has a match.
    """
    if not torch.isfinite(extracted[0]).all():
        raise Diverged(f"diverged: features are not finite after epoch {epoch}")
    return Results.from_ranking(rank_all(extracted, num_query, method, labels).ranking, epoch)


def count_unreadable(pids: IntArray, num_query: int) -> tuple[int, int]:
    """Counts the queries and the gallery images that could not be read, by the extracted identities, queries first."""
    unreadable = pids == UNREADABLE
    return int(unreadable[:num_query].sum()), int(unreadable[num_query:].sum())


class Retrieval:
    """Retrieval of gallery images for queries, from finite features; images that could not be read are left out.

    `queries` and `gallery` hold the numbers of the images compared.
    """

    def __init__(
        self,
        extracted: Features,
        num_query: int,
        method: EvaluationMethod,
        labels: Labels = Labels(),  # noqa: B008  immutable
        draw: int = 0,
    ) -> None:
        """Prepares features for comparison.

        Args:
            extracted: features, identities and cameras, the `num_query` queries first.
            num_query: how many of them are queries.
            method: how features are compared.
            labels: of the data set, for protocols that need more than identities and cameras. Without tracks all images of
                an identity by a camera are one.
            draw: number of the draw of the gallery, for the protocol random_gallery: cameras do not count then.
        Raises:
            ConfigError: no query, or no gallery image, could be read.
        """
        features, pids, camids = extracted
        if method.normalise:
            features = F.normalize(features)
        readable, is_query = pids != UNREADABLE, np.arange(len(pids)) < num_query
        if method.protocol == "random_gallery":
            is_query = ~draw_gallery(pids, draw)
            camids = np.where(is_query, 0, 1)
        self.queries, self.gallery = np.flatnonzero(readable & is_query), np.flatnonzero(readable & ~is_query)
        for kind, compared, total in (
            ("queries", self.queries, is_query.sum()), ("gallery images", self.gallery, (~is_query).sum())
        ):  # fmt: skip
            if not len(compared):
                raise ConfigError(f"none of the {total} {kind} can be read, so nothing can be ranked")
        self.pids, self.camids, self.method = pids, camids, method
        tracks = labels.tracks if method.protocol == "image_to_track" else ()
        self._tracks = np.array(tracks, dtype=np.int64)[self.gallery - num_query] if tracks else None
        clothes = labels.clothes if method.protocol == "clothes_changing" else ()
        self._clothes = np.array(clothes, dtype=np.int64) if clothes else None
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
        clothes = None if self._clothes is None else (self._clothes[q], self._clothes[g])
        meter = RankingMeter(*ids, protocol=protocol, gallery_tracks=self._tracks, clothes=clothes)
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

        Images that the protocol leaves out of the metrics are left out here too.
        """
        found = {}
        for first, rows in self.distances():
            for query, row in zip(self.queries[first : first + len(rows)].tolist(), rows, strict=True):
                if query in chosen:
                    order = self.gallery[np.argsort(row, kind="stable")]
                    left_out = self.camids[order] == self.camids[query]
                    if self._clothes is not None:
                        left_out |= self._clothes[order] == self._clothes[query]
                    junk = (self.pids[order] == self.pids[query]) & left_out
                    found[query] = order[~junk][:number]
        return found


@dataclass(frozen=True)
class Ranked:
    """Results of ranking a data set.

    `ranking` is over the images `queries`, by their numbers. With the protocol random_gallery it is the mean over all draws;
    `retrieval` and its ranking `shown` are those of the first.
    """

    ranking: Ranking
    queries: IntArray
    retrieval: Retrieval
    shown: Ranking


def rank_all(
    extracted: Features,
    num_query: int,
    method: EvaluationMethod,
    labels: Labels = Labels(),  # noqa: B008  immutable
) -> Ranked:
    """Ranks the gallery for every query, once or, where the protocol draws it, `method.draws` times.

    Args, Raises: see `Retrieval` and its `ranking`.
    """
    retrieval = Retrieval(extracted, num_query, method, labels)
    shown = retrieval.ranking()
    if method.protocol != "random_gallery":
        return Ranked(shown, retrieval.queries, retrieval, shown)
    rankings, queries = [shown], [retrieval.queries]
    for draw in range(1, method.draws):
        again = Retrieval(extracted, num_query, method, labels, draw)
        rankings.append(again.ranking())
        queries.append(again.queries)
    return Ranked(*mean_ranking(rankings, queries), retrieval, shown)
