"""From a YACS tree to data set and loaders: what the engine calls."""

from __future__ import annotations

import os
import random
import signal
import sys
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, default_collate

from data.datasets import READERS
from data.datasets.base import DatasetError, ReIDDataset, Sample
from data.sampler import Draw, EpochBatchSampler, RandomIdentitySampler, ShuffleSampler
from data.settings import data_problems, dataset_names, uses_identity_sampler
from data.transforms import EvalTransform, TrainTransform

TrainItem = tuple[Tensor, int]
EvalItem = tuple[Tensor, int, int, str]


def build_dataset(cfg: Any) -> ReIDDataset:
    """Reads the data set DATASETS.NAMES below DATASETS.ROOT_DIR; `synthetic` is drawn there when missing.

    Raises DatasetError, one line, for settings that are not allowed and for what is wrong on the disk.
    """
    if problems := data_problems(cfg):
        raise DatasetError("; ".join(problems))
    (name,) = dataset_names(cfg)
    return READERS[name](Path(cfg.DATASETS.ROOT_DIR).expanduser())


def build_train_loader(cfg: Any, dataset: ReIDDataset, *, seed: int) -> DataLoader[Any]:
    """Batches `(images float32 [B, 3, H, W], pids int64 [B])` of the training split.

    `loader.batch_sampler` is an EpochBatchSampler: call its `set_epoch(epoch, start_batch=0)` before every
    epoch; what follows is then a function of `seed`, the epoch and the batch number alone. `len(loader)`
    counts a whole epoch. SAMPLER softmax shuffles, the others draw P × K batches. While iterating, an image
    that cannot be read raises DatasetError.
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
    return _loader(cfg, TrainImages(dataset.train, transform), batch_sampler=sampler)


def build_eval_loader(cfg: Any, dataset: ReIDDataset) -> tuple[DataLoader[Any], int]:
    """Batches `(images float32 [B, 3, H, W], pids int64 [B], camids int64 [B], paths)` for testing.

    The queries come first, then the gallery, in order; how many queries there are is returned too. While
    iterating, an image that cannot be read raises DatasetError.
    """
    transform = EvalTransform(cfg.INPUT.SIZE_TEST, cfg.INPUT.PIXEL_MEAN, cfg.INPUT.PIXEL_STD)
    images = EvalImages(dataset.query + dataset.gallery, transform)
    return _loader(cfg, images, batch_size=cfg.TEST.IMS_PER_BATCH), len(dataset.query)


class TrainImages(Dataset[TrainItem | DatasetError]):
    """The training split; asked with a Draw it gives the augmented image and its identity."""

    def __init__(self, samples: Sequence[Sample], transform: TrainTransform) -> None:
        self.samples = samples
        self.transform = transform

    def __len__(self) -> int:
        return len(self.samples)

    def __getitem__(self, draw: Draw) -> TrainItem | DatasetError:
        sample = self.samples[draw.image]
        try:
            image = read_image(sample.path)
        except DatasetError as error:
            return error
        return self.transform(image, random.Random(draw.seed)), sample.pid


class EvalImages(Dataset[EvalItem | DatasetError]):
    """Images in order: image, identity, camera, path."""

    def __init__(self, samples: Sequence[Sample], transform: EvalTransform) -> None:
        self.samples = samples
        self.transform = transform

    def __len__(self) -> int:
        return len(self.samples)

    def __getitem__(self, index: int) -> EvalItem | DatasetError:
        sample = self.samples[index]
        try:
            image = read_image(sample.path)
        except DatasetError as error:
            return error
        return self.transform(image), sample.pid, sample.camid, sample.path


def read_image(path: str) -> Tensor:
    """Decodes an image file, grey and palette too, to RGB, uint8 [3, H, W]. DatasetError names the file."""
    try:
        with Image.open(path) as image:
            pixels = np.array(image.convert("RGB"))
    except Exception as error:  # Pillow's decoders raise nearly every built-in type on damaged data
        reason = " ".join(str(error).split()) or type(error).__name__
        raise DatasetError(f"cannot read the image {path}: {reason}") from None
    return torch.from_numpy(pixels).permute(2, 0, 1)


class _Loader(DataLoader[Any]):
    """Raises the DatasetError that took an image's place.

    Raised where it occurs, in a worker process, it would arrive wrapped in a traceback. A new error is raised
    because an error and a frame that refer to each other would keep the workers until garbage collection.
    """

    def __iter__(self) -> Iterator[Any]:  # type: ignore[override]
        for batch in super().__iter__():
            if isinstance(batch, DatasetError):
                raise DatasetError(str(batch))
            yield batch


def _loader(cfg: Any, images: Dataset[Any], **batching: Any) -> DataLoader[Any]:
    workers = cfg.DATALOADER.NUM_WORKERS
    return _Loader(
        images,
        num_workers=workers,
        persistent_workers=workers > 0,
        collate_fn=_collate,
        worker_init_fn=_leave_signals_to_the_trainer,
        pin_memory=torch.cuda.is_available(),
        generator=torch.Generator(),  # its own: an iterator must not advance the trainer's random state
        **batching,
    )


def _collate(items: list[Any]) -> Any:
    for item in items:
        if isinstance(item, DatasetError):
            return item
    return default_collate(items)


def _leave_signals_to_the_trainer(_worker: int) -> None:
    """Makes a worker outlive a signal to the process group: the trainer needs another batch to checkpoint.

    Only the trainer's own SIGTERM ends it; who sent one can be told on Linux, not on macOS, where any does.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if sys.platform == "linux":
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
        threading.Thread(target=_exit_when_the_trainer_says, daemon=True).start()


def _exit_when_the_trainer_says() -> None:
    assert sys.platform != "darwin"  # which has no sigwaitinfo
    while signal.sigwaitinfo({signal.SIGTERM}).si_pid != os.getppid():
        pass
    os._exit(0)
