"""From a YACS tree to data sets and loaders: what the engine calls."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch

from data.datasets.base import DatasetError, ReIDDataset, Sample, WantedSplits, joined
from data.datasets.folder import FolderLayout
from data.datasets.veri import with_tracks
from data.images import CachedImages, FileImages, Images, cached, read_image
from data.layouts import LAYOUTS, split_name
from data.loading import EvalImages, Loader, TrainImages, too_many
from data.sampler import EpochBatchSampler, RandomIdentitySampler, ShuffleSampler
from data.settings import data_problems, dataset_names, tested_names, uses_identity_sampler
from data.transforms import EvalTransform, TrainTransform

__all__ = ["build_dataset", "build_eval_loader", "build_test_datasets", "build_train_loader", "read_image"]

_CPU = torch.device("cpu")


def _go_on() -> None:
    """Nobody asks to stop."""


def build_dataset(cfg: Any) -> ReIDDataset:
    """Reads the data sets DATASETS.NAMES below DATASETS.ROOT_DIR; `synthetic` is drawn there when missing.

    The training splits are joined; queries and gallery are those of the first of DATASETS.TEST_NAMES, or of the
    first of NAMES; no other split is read. Raises DatasetError, one line, for settings that are not allowed and for
    what is wrong on the disk.
    """
    if problems := data_problems(cfg):
        raise DatasetError("; ".join(problems))
    names, (test_name, *_) = dataset_names(cfg), tested_names(cfg)
    read = {
        name: _read(cfg, name, WantedSplits(train=name in names, test=name == test_name))
        for name in dict.fromkeys((*names, test_name))
    }
    return joined([read[name] for name in names], test=read[test_name])


def build_test_datasets(cfg: Any) -> list[ReIDDataset]:
    """Reads queries and gallery of DATASETS.TEST_NAMES, or of NAMES where that is empty; errors as above."""
    if problems := data_problems(cfg):
        raise DatasetError("; ".join(problems))
    return [_read(cfg, name, WantedSplits(train=False)) for name in tested_names(cfg)]


def _read(cfg: Any, name: str, wanted: WantedSplits) -> ReIDDataset:
    layout, folder = split_name(name)
    root = Path(cfg.DATASETS.ROOT_DIR).expanduser()
    settings = cfg.DATASETS
    generic = FolderLayout(
        settings.FOLDER_TRAIN, settings.FOLDER_QUERY, settings.FOLDER_GALLERY, settings.FOLDER_PATTERN
    )
    dataset = LAYOUTS[layout](name, root, folder, generic, wanted)
    tracks = wanted.test and layout == "veri" and cfg.TEST.PROTOCOL == "image_to_track"
    return with_tracks(dataset) if tracks else dataset


def build_train_loader(
    cfg: Any,
    dataset: ReIDDataset,
    *,
    seed: int,
    device: torch.device = _CPU,
    check_stop: Callable[[], None] = _go_on,
) -> Loader:
    """Batches `(images float32 [B, 3, H, W] on device, pids int64 [B])` of the training split.

    `loader.batch_sampler` is an EpochBatchSampler: call its `set_epoch(epoch, start_batch=0)` before every
    epoch; what follows is then a function of `seed`, the epoch and the batch number alone. `len(loader)`
    counts a whole epoch. SAMPLER softmax shuffles, the others draw P × K batches. `check_stop` is called while
    an image cache is made, and may raise. While iterating, more images that cannot be read than
    DATASETS.MAX_UNREADABLE raise DatasetError.
    """
    batch_size = cfg.SOLVER.IMS_PER_BATCH
    sampler: EpochBatchSampler
    if uses_identity_sampler(cfg):
        pids = [sample.pid for sample in dataset.train]
        sampler = RandomIdentitySampler(pids, batch_size, cfg.DATALOADER.NUM_INSTANCE, seed=seed)
    else:
        sampler = ShuffleSampler(len(dataset.train), batch_size, seed=seed)
    transform = TrainTransform(
        cfg.INPUT.SIZE_TRAIN,
        cfg.INPUT.PIXEL_MEAN,
        cfg.INPUT.PIXEL_STD,
        flip_prob=cfg.INPUT.PROB,
        erase_prob=cfg.INPUT.RE_PROB,
        padding=cfg.INPUT.PADDING,
    )
    limit = cfg.DATASETS.MAX_UNREADABLE
    owner = _owner(cfg, dataset_names(cfg))
    images, notes = _images(cfg, dataset.train, cfg.INPUT.SIZE_TRAIN, "train", owner, check_stop)
    finish = device.type == "cpu"
    split = TrainImages(dataset.train, images, transform, finish=finish, max_unreadable=limit)
    return _loader(cfg, split, device, notes, batch_sampler=sampler)


def build_eval_loader(
    cfg: Any,
    dataset: ReIDDataset,
    *,
    device: torch.device = _CPU,
    rank: int = 0,
    world_size: int = 1,
    check_stop: Callable[[], None] = _go_on,
) -> tuple[Loader, int]:
    """Batches `(images float32 [B, 3, H, W] on device, pids int64 [B], camids int64 [B], paths)` for testing.

    The queries come first, then the gallery, in order; how many queries there are is returned too. Process `rank` of
    `world_size` is given its shard of them (`shard_range`), out of one cache for all. An image that cannot be read has
    the identity UNREADABLE, and more of them than DATASETS.MAX_UNREADABLE raise DatasetError while iterating.
    """
    samples = dataset.query + dataset.gallery
    owner = _owner(cfg, [dataset.tested or dataset.name])
    images, notes = _images(cfg, samples, cfg.INPUT.SIZE_TEST, "test", owner, check_stop)
    transform = EvalTransform(cfg.INPUT.PIXEL_MEAN, cfg.INPUT.PIXEL_STD)
    split = EvalImages(samples, images, transform, finish=device.type == "cpu")
    own = shard_range(len(samples), rank, world_size)
    loader = _loader(cfg, split, device, notes, batch_size=cfg.TEST.IMS_PER_BATCH, sampler=own)
    return loader, len(dataset.query)


def shard_range(total: int, rank: int, world_size: int) -> range:
    """Gives the numbers, of `total` images, in the shard of process `rank` of `world_size`."""
    return range(total * rank // world_size, total * (rank + 1) // world_size)


def build_folder_loader(cfg: Any, paths: Sequence[str], *, device: torch.device = _CPU) -> Loader:
    """Batches as for testing, of image files that belong to no data set; identities and cameras are 0."""
    samples = [Sample(path, 0, 0) for path in paths]
    transform = EvalTransform(cfg.INPUT.PIXEL_MEAN, cfg.INPUT.PIXEL_STD)
    split = EvalImages(samples, FileImages(paths, cfg.INPUT.SIZE_TEST), transform, finish=device.type == "cpu")
    return _loader(cfg, split, device, [], batch_size=cfg.TEST.IMS_PER_BATCH)


def _owner(cfg: Any, names: Sequence[str]) -> str:
    """What decides which files are read; when they differ, something has changed on the disk."""
    settings = cfg.DATASETS
    words = [os.path.abspath(os.path.expanduser(settings.ROOT_DIR)), *names]
    if any(split_name(name)[0] == "folder" for name in names):
        words += [
            settings.FOLDER_TRAIN, settings.FOLDER_QUERY, settings.FOLDER_GALLERY, settings.FOLDER_PATTERN
        ]  # fmt: skip
    return json.dumps(words)


def _images(
    cfg: Any, samples: Sequence[Sample], size: Sequence[int], label: str, owner: str, check_stop: Callable[[], None]
) -> tuple[Images, list[str]]:
    """The images, cached unless that is switched off; and lines for the log."""
    paths = [sample.path for sample in samples]
    if not cfg.DATALOADER.CACHE:
        return FileImages(paths, size), []
    notes: list[str] = []
    given = cfg.DATALOADER.CACHE_DIR or Path(cfg.DATASETS.ROOT_DIR) / ".image-cache"
    folder = Path(given).expanduser()
    images = cached(paths, size, folder, label, notes.append, owner=owner, check_stop=check_stop)
    limit = cfg.DATASETS.MAX_UNREADABLE
    if isinstance(images, CachedImages) and len(images.problems) > limit:
        problems = list(images.problems.values())
        raise DatasetError(too_many(set(problems), limit, latest=problems[0]))
    return images, notes


def loader_workers(wanted: int) -> int:
    """Loader processes: as many as wanted, but where we are kept on some of the machine's cores, no more than these."""
    if not hasattr(os, "sched_getaffinity"):
        return wanted
    cores = len(os.sched_getaffinity(0))
    return wanted if cores == os.cpu_count() else min(wanted, cores)


def _loader(
    cfg: Any, images: TrainImages | EvalImages, device: torch.device, notes: list[str], **batching: Any
) -> Loader:
    workers, limit = loader_workers(cfg.DATALOADER.NUM_WORKERS), cfg.DATASETS.MAX_UNREADABLE
    loader = Loader(images, device, workers=workers, max_unreadable=limit, **batching)
    loader.notes = notes
    return loader
