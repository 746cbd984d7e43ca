"""Agreement of the processes of a distributed training, before it begins, on what they train with."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from typing import Any

from yacs.config import CfgNode

from configs.kinds import Kind, kind_of
from data import ReIDDataset
from engine.config import flatten
from engine.distributed import ProcessGroup
from utils.errors import ConfigError

_OWN = (Kind.PLACE, Kind.MACHINE)  # what each machine may have for itself


def require_same_settings(cfg: CfgNode, group: ProcessGroup) -> None:
    """Raises ConfigError in all processes where one was started with other settings than rank 0."""
    own = {key: value for key, value in flatten(cfg).items() if kind_of(key) not in _OWN}
    first, *others = group.all_gather_objects(own)
    for rank, settings in enumerate(others, start=1):
        different = [
            f"{key} is {settings.get(key)!r}, in process 0 {first.get(key)!r}"
            for key in sorted(first.keys() | settings.keys())
            if first.get(key) != settings.get(key)
        ]
        if different:
            raise ConfigError(
                f"process {rank} has other settings than process 0 ({'; '.join(different)}): start all with the same"
            )


def require_same_dataset(dataset: ReIDDataset, group: ProcessGroup) -> None:
    """Raises ConfigError in all processes where one has found other images than rank 0, on another machine."""
    first, *others = group.all_gather_objects(_describe(dataset))
    for rank, found in enumerate(others, start=1):
        if found != first:
            counts, known = found[0], first[0]
            difference = f"{counts}, process 0 {known}" if counts != known else f"{counts} of other names"
            raise ConfigError(
                f"the data set {dataset.name} differs: process {rank} has found {difference}; copy it completely to"
                " each machine (DATASETS.ROOT_DIR)"
            )


def _describe(dataset: ReIDDataset) -> tuple[str, Any]:
    """Counts the images of a data set in words, and digests their names, identities, cameras and views."""
    splits: Sequence[Any] = (dataset.train, dataset.query, dataset.gallery)
    digest = hashlib.sha256()
    for split in splits:
        digest.update(repr([(os.path.basename(path), *origin) for path, *origin in split]).encode("utf-8", "replace"))
    train, query, gallery = map(len, splits)
    counts = (
        f"{train} training images of {dataset.num_train_pids} identities, {query} queries, {gallery} gallery images"
    )
    return counts, digest.hexdigest()
