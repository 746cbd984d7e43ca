"""Builders of data sets and loaders from a YACS tree: the interface that the engine calls."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch

from data.datasets.base import (
    DatasetError,
    DatasetRequest,
    Reader,
    ReIDDataset,
    Sample,
    WantedSplits,
    combine_splits,
    join_datasets,
)
from data.decoding import read_image
from data.images import FileImages, Images, open_cached_images
from data.layouts import LAYOUTS, split_name
from data.loading import EvalImages, Loader, TrainImages
from data.samplers import SAMPLERS
from data.samplers.base import EpochBatchSampler
from data.settings import data_problems, dataset_names, tested_names, transform_names, uses_identity_sampler
from data.transforms import TRANSFORMS
from data.transforms.base import ImageTransform, PairTransform, RandomTransform
from data.transforms.network_input import EvalTransform, TrainTransform
from utils.errors import ConfigError

__all__ = ["build_dataset", "build_eval_loader", "build_test_datasets", "build_train_loader", "read_image"]

_CPU = torch.device("cpu")


def _never_stop() -> None:
    """Never asks to stop: the default of `check_stop`."""


def build_dataset(cfg: Any) -> ReIDDataset:
    """Reads the data sets DATASETS.NAMES below DATASETS.ROOT_DIR; `synthetic` is drawn there when missing.

    The training splits are joined; queries and gallery are those of the first of DATASETS.TEST_NAMES, or of the
    first of NAMES; no other split is read.

    Raises:
        DatasetError: settings that are not allowed, or missing or damaged files; one line.
    """
    if problems := data_problems(cfg):
        raise DatasetError("; ".join(problems))
    names, (test_name, *_) = dataset_names(cfg), tested_names(cfg)
    combine = cfg.DATASETS.COMBINEALL == "yes"
    read = {
        name: _read(cfg, name, train=name in names, test=combine or name == test_name)
        for name in dict.fromkeys((*names, test_name))
    }
    _require_images(read[test_name])
    return join_datasets(
        [combine_splits(read[name]) if combine else read[name] for name in names], test=read[test_name]
    )


def build_test_datasets(cfg: Any) -> list[ReIDDataset]:
    """Reads queries and gallery of DATASETS.TEST_NAMES, or of NAMES where that is empty.

    Raises:
        DatasetError: settings that are not allowed, or missing or damaged files; one line.
    """
    if problems := data_problems(cfg):
        raise DatasetError("; ".join(problems))
    datasets = [_read(cfg, name, train=False, test=True) for name in tested_names(cfg)]
    for dataset in datasets:
        _require_images(dataset)
    return datasets


def _require_images(tested: ReIDDataset) -> None:
    """Raises DatasetError where a set that is tested on is one to train on only."""
    if not (tested.query and tested.gallery):
        raise DatasetError(
            f"data set {tested.name!r}: has no queries and gallery to test on; name another set in DATASETS.TEST_NAMES"
        )


def _read(cfg: Any, name: str, *, train: bool, test: bool) -> ReIDDataset:
    """Reads the wanted splits of one data set, with tracks where the protocol needs them."""
    layout, folder = split_name(name)
    wanted = WantedSplits(
        train=train,
        test=test,
        val=cfg.DATASETS.COMBINEALL != "no",
        tracks=test and cfg.TEST.PROTOCOL == "image_to_track",
    )
    root = Path(cfg.DATASETS.ROOT_DIR).expanduser()
    try:
        read: Reader = LAYOUTS.builder(layout)
        dataset = read(DatasetRequest(name, root, folder, wanted, cfg.DATASETS))
    except ConfigError as error:  # of a reader in the user's own file
        raise DatasetError(f"data set {name!r}: {error}") from None
    except OSError as error:
        raise DatasetError(f"data set {name!r}: cannot read {error.filename} ({error.strerror})") from None
    if train and not dataset.train:
        raise DatasetError(
            f"data set {name!r}: has no images to train on; name it in DATASETS.TEST_NAMES, and another in DATASETS.NAMES"
        )
    return dataset


def build_train_loader(
    cfg: Any,
    dataset: ReIDDataset,
    *,
    seed: int,
    device: torch.device = _CPU,
    check_stop: Callable[[], None] = _never_stop,
) -> Loader:
    """Builds the loader of the training split: `(images float32 [B, 3, H, W] on device, pids [B], origins [B, 2])`.

    `loader.batch_sampler` is an EpochBatchSampler: call its `set_epoch(epoch, start_batch=0)` before every
    epoch; the batches are then a function of `seed`, the epoch and the batch number alone. `len(loader)`
    counts a whole epoch. SAMPLER softmax takes single images, the others P × K batches; SAMPLING says of what.

    Args:
        cfg: the configuration.
        dataset: its training split is loaded.
        seed: of order and augmentation.
        device: gets the batches.
        check_stop: called while an image cache is made; may raise.
    Raises:
        DatasetError: too few images for the sampler, or, also while iterating, more than DATASETS.MAX_UNREADABLE
            images that cannot be read.
    """
    sampler = SAMPLERS.builder(cfg.DATALOADER.SAMPLING)(cfg, dataset, seed)
    if not isinstance(sampler, EpochBatchSampler):
        raise DatasetError(
            f"DATALOADER.SAMPLING: {cfg.DATALOADER.SAMPLING} builds {type(sampler).__name__}, not an EpochBatchSampler"
        )
    transform = TrainTransform(
        cfg.INPUT.SIZE_TRAIN,
        cfg.INPUT.PIXEL_MEAN,
        cfg.INPUT.PIXEL_STD,
        flip_prob=cfg.INPUT.PROB,
        erase_prob=cfg.INPUT.RE_PROB,
        padding=cfg.INPUT.PADDING,
        erase_area=cfg.INPUT.RE_AREA,
        erase_aspect=cfg.INPUT.RE_ASPECT,
        erase_noise=cfg.INPUT.RE_VALUE == "noise",
        more=_random_transforms(cfg),
    )
    limit = cfg.DATASETS.MAX_UNREADABLE
    source = _source_key(cfg, dataset_names(cfg))
    images, notes = _open_images(cfg, dataset.train, cfg.INPUT.SIZE_TRAIN, "train", source, check_stop)
    finish = device.type == "cpu"
    several = uses_identity_sampler(cfg)
    split = TrainImages(dataset.train, images, transform, finish=finish, max_unreadable=limit, several=several)
    return _make_loader(cfg, split, device, notes, batch_sampler=sampler)


def _random_transforms(cfg: Any) -> dict[str, RandomTransform]:
    """Builds INPUT.TRANSFORMS by their names, those of probability 0 left out."""
    built = {name: TRANSFORMS.builder(name)(cfg) for name in transform_names(cfg)}
    for name, transform in built.items():
        if not isinstance(transform, (ImageTransform, PairTransform)):
            raise DatasetError(f"INPUT.TRANSFORMS: {name} builds {type(transform).__name__}, not an ImageTransform")
    # A file's place does not decide what its transform draws.
    return {name.rpartition(":")[2]: transform for name, transform in built.items() if transform.prob > 0}


def build_eval_loader(
    cfg: Any,
    dataset: ReIDDataset,
    *,
    device: torch.device = _CPU,
    rank: int = 0,
    world_size: int = 1,
    check_stop: Callable[[], None] = _never_stop,
) -> tuple[Loader, int]:
    """Builds the loader for evaluation: `(images float32 [B, 3, H, W] on device, pids [B], camids [B], paths, origins)`.

    Origins [B, 2] are camera and view. The queries come first, then the gallery, in order. An image that cannot be read
    has the identity UNREADABLE.

    Args:
        cfg: the configuration.
        dataset: its queries and gallery are loaded.
        device: gets the batches.
        rank: of this process, which loads its shard of the images (`shard_range`), from one cache for all.
        world_size: number of processes.
        check_stop: called while an image cache is made; may raise.
    Returns:
        The loader, and the number of queries of all processes.
    Raises:
        DatasetError: more than DATASETS.MAX_UNREADABLE images cannot be read, also while iterating.
    """
    samples = dataset.query + dataset.gallery
    source = _source_key(cfg, [dataset.tested or dataset.name])
    images, notes = _open_images(cfg, samples, cfg.INPUT.SIZE_TEST, "test", source, check_stop)
    transform = EvalTransform(cfg.INPUT.PIXEL_MEAN, cfg.INPUT.PIXEL_STD)
    split = EvalImages(samples, images, transform, finish=device.type == "cpu")
    own = shard_range(len(samples), rank, world_size)
    loader = _make_loader(cfg, split, device, notes, batch_size=cfg.TEST.IMS_PER_BATCH, sampler=own)
    return loader, len(dataset.query)


def build_plain_loader(
    cfg: Any, dataset: ReIDDataset, train_loader: Loader, *, rank: int = 0, world_size: int = 1
) -> Loader:
    """Builds a loader of the training split's images as they are, each once and in order, in batches as for evaluation.

    Args:
        cfg: the configuration.
        dataset: its training split is loaded.
        train_loader: the loader of that split, whose images, at their size for training, and device are used.
        rank: of this process, which loads its shard of the images (`shard_range`).
        world_size: number of processes.
    """
    device, images = train_loader.device, train_loader.dataset.images  # type: ignore[attr-defined]
    transform = EvalTransform(cfg.INPUT.PIXEL_MEAN, cfg.INPUT.PIXEL_STD)
    split = EvalImages(dataset.train, images, transform, finish=device.type == "cpu")
    own = shard_range(len(dataset.train), rank, world_size)
    return _make_loader(cfg, split, device, [], batch_size=cfg.TEST.IMS_PER_BATCH, sampler=own)


def shard_range(total: int, rank: int, world_size: int) -> range:
    """Computes which of `total` images are in the shard of process `rank` of `world_size`."""
    return range(total * rank // world_size, total * (rank + 1) // world_size)


def build_folder_loader(cfg: Any, paths: Sequence[str], *, device: torch.device = _CPU) -> Loader:
    """Builds the loader for image files outside a data set: batches as for evaluation, identities and cameras 0."""
    samples = [Sample(path, 0, 0) for path in paths]
    transform = EvalTransform(cfg.INPUT.PIXEL_MEAN, cfg.INPUT.PIXEL_STD)
    images = FileImages(paths, cfg.INPUT.SIZE_TEST, cfg.INPUT.INTERPOLATION)
    split = EvalImages(samples, images, transform, finish=device.type == "cpu")
    return _make_loader(cfg, split, device, [], batch_size=cfg.TEST.IMS_PER_BATCH)


def _source_key(cfg: Any, names: Sequence[str]) -> str:
    """Joins the settings that decide which files are read, as the key of their image cache."""
    settings = cfg.DATASETS
    words = [os.path.abspath(os.path.expanduser(settings.ROOT_DIR)), *names]
    words += [settings.COMBINEALL] if settings.COMBINEALL != "no" else []
    words += [f"split {settings.SPLIT}"] if settings.SPLIT else []
    if any(split_name(name)[0] == "folder" for name in names):
        words += [
            settings.FOLDER_TRAIN, settings.FOLDER_QUERY, settings.FOLDER_GALLERY, settings.FOLDER_PATTERN
        ]  # fmt: skip
    return json.dumps(words)


def _open_images(
    cfg: Any, samples: Sequence[Sample], size: Sequence[int], label: str, source: str, check_stop: Callable[[], None]
) -> tuple[Images, list[str]]:
    """Opens the images, from the cache unless DATALOADER.CACHE is off; returns them and lines for the log."""
    paths = [sample.path for sample in samples]
    if not cfg.DATALOADER.CACHE:
        return FileImages(paths, size, cfg.INPUT.INTERPOLATION), []
    notes: list[str] = []
    given = cfg.DATALOADER.CACHE_DIR or Path(cfg.DATASETS.ROOT_DIR) / ".image-cache"
    folder = Path(given).expanduser()
    limit = cfg.DATASETS.MAX_UNREADABLE
    images = open_cached_images(
        paths,
        size,
        folder,
        label,
        notes.append,
        interpolation=cfg.INPUT.INTERPOLATION,
        source=source,
        max_unreadable=limit,
        check_stop=check_stop,
    )
    return images, notes


def loader_workers(wanted: int) -> int:
    """Limits the number of loader processes to the CPU cores this process is bound to, if it is bound to some."""
    if not hasattr(os, "sched_getaffinity"):
        return wanted
    cores = len(os.sched_getaffinity(0))
    return wanted if cores == os.cpu_count() else min(wanted, cores)


def _make_loader(
    cfg: Any, images: TrainImages | EvalImages, device: torch.device, notes: list[str], **batching: Any
) -> Loader:
    """Makes a loader of images with the configuration's workers and limit of unreadable images."""
    workers, limit = loader_workers(cfg.DATALOADER.NUM_WORKERS), cfg.DATASETS.MAX_UNREADABLE
    loader = Loader(images, device, workers=workers, max_unreadable=limit, **batching)
    loader.notes = notes
    return loader
