"""Protocols of data sets: what they look at besides identities and cameras, which one counts, and draws of galleries."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from yacs.config import CfgNode

from data import DatasetError, ReIDDataset
from data.loading import UNREADABLE
from engine.evaluation.distances import IntArray
from engine.evaluation.metrics import Ranking

AUTO = "auto"


@dataclass(frozen=True)
class Labels:
    """Labels of a data set that protocols use besides identities and cameras.

    `protocol` is the set's own; `tracks` has the number of each gallery image's track, `clothes` those of the clothes of each
    query, then of each gallery image. Both are empty where they are unknown or not needed.
    """

    protocol: str = "cross_camera"
    tracks: tuple[int, ...] = ()
    clothes: tuple[int, ...] = ()

    @classmethod
    def of(cls, dataset: ReIDDataset) -> Labels:
        """Takes them from a data set."""
        return cls(dataset.protocol, dataset.gallery_tracks, dataset.clothes)


def protocol_of(cfg: CfgNode, labels: Labels) -> str:
    """Returns the protocol that counts for a data set: TEST.PROTOCOL, or for `auto` the set's own."""
    protocol: str = cfg.TEST.PROTOCOL
    return labels.protocol if protocol == AUTO else protocol


def protocol_notes(cfg: CfgNode, dataset: ReIDDataset) -> list[str]:
    """Writes the line that says that another protocol counts than the data set's own."""
    protocol = protocol_of(cfg, Labels.of(dataset))
    if protocol == dataset.protocol:
        return []
    return [
        f"data set {dataset.tested or dataset.name!r}: TEST.PROTOCOL {protocol} counts, where the set's own protocol is"
        f" {dataset.protocol}; choose auto for that"
    ]


def require_matches(dataset: ReIDDataset, protocol: str = "cross_camera") -> None:
    """Raises DatasetError where the protocol leaves no query a match in the gallery, so that nothing could be ranked."""
    name = dataset.tested or dataset.name
    if protocol == "random_gallery":
        pids = [sample.pid for sample in (*dataset.query, *dataset.gallery)]
        if len(set(pids)) == len(pids):
            raise DatasetError(
                f"data set {name!r}: no identity has two images, so that no query has a match in the gallery"
            )
        return
    if protocol == "clothes_changing" and not dataset.clothes:
        raise DatasetError(
            f"data set {name!r}: its clothes are not known, which TEST.PROTOCOL clothes_changing needs; choose auto"
        )
    worn = dataset.clothes if protocol == "clothes_changing" else range(len(dataset.query) + len(dataset.gallery))
    number = len(dataset.query)
    seen: dict[int, set[tuple[int, int]]] = {}
    for sample, clothes in zip(dataset.gallery, worn[number:], strict=True):
        seen.setdefault(sample.pid, set()).add((sample.camid, clothes))
    for sample, clothes in zip(dataset.query, worn[:number], strict=True):
        if any(camid != sample.camid and other != clothes for camid, other in seen.get(sample.pid, ())):
            return
    also = " in other clothes" if protocol == "clothes_changing" else ""
    raise DatasetError(
        f"data set {name!r}: no query has a match in the gallery from another camera{also}, so nothing can be"
        " ranked; where cameras are not known, DATASETS.FOLDER_PATTERN has no group camid"
    )


def draw_gallery(pids: IntArray, draw: int) -> npt.NDArray[np.bool_]:
    """Draws one image of each identity for the gallery, at random; those that could not be read are left out.

    Source:
        VehicleID's protocol (Liu et al., "Deep Relative Distance Learning", CVPR 2016).

    Args:
        pids: identities of all images [N].
        draw: number of the draw, which alone decides it: it is the same for every network.
    Returns:
        Whether an image is in the gallery [N].
    """
    # RandomState's stream is the same in every version of numpy, which that of a Generator need not be.
    order = np.random.RandomState(draw).random_sample(len(pids)).argsort(kind="stable")
    drawn, first = np.unique(pids[order], return_index=True)
    chosen = np.zeros(len(pids), bool)
    chosen[order[first[drawn != UNREADABLE]]] = True
    return chosen


def mean_ranking(rankings: Sequence[Ranking], queries: Sequence[IntArray]) -> tuple[Ranking, IntArray]:
    """Averages the rankings of several draws.

    A query's average precision and inverse penalty are means over the draws in which it is a query and has a match, its first
    match is that of the first of them.

    Args:
        rankings: one a draw.
        queries: the numbers of each draw's queries [Q].
    Returns:
        The mean, and the numbers of the images that are queries in any draw, ascending.
    """
    asked = np.unique(np.concatenate(queries))
    totals, counts, first = np.zeros((2, len(asked))), np.zeros(len(asked)), np.zeros(len(asked), np.int64)
    for ranking, numbers in zip(rankings, queries, strict=True):
        matched = ranking.first_match > 0
        places = np.searchsorted(asked, numbers[matched])
        totals[:, places] += np.stack([ranking.average_precision, ranking.inverse_penalty])[:, matched]
        counts[places] += 1
        first[places] = np.where(first[places] > 0, first[places], ranking.first_match[matched])
    means = np.divide(totals, counts, out=np.full_like(totals, np.nan), where=counts > 0)
    mean = Ranking(
        cmc=np.mean([ranking.cmc for ranking in rankings], axis=0),
        mAP=float(np.mean([ranking.mAP for ranking in rankings])),
        mINP=float(np.mean([ranking.mINP for ranking in rankings])),
        num_queries=int(np.count_nonzero(counts)),
        average_precision=means[0],
        inverse_penalty=means[1],
        first_match=first,
    )
    return mean, asked
