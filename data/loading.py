"""Loaders of image batches for training and evaluation, made by worker processes.

Workers return uint8 images where an accelerator augments them, and augmented float32 images where the processor does.
An image that cannot be read is named in the log and skipped: in training another image of its identity takes its
place, in evaluation it counts as UNREADABLE. More such images than allowed end the run.
"""

from __future__ import annotations

import logging
import os
import signal
import sys
import threading
from collections.abc import Iterator, Sequence
from functools import partial
from multiprocessing.connection import wait
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from data.datasets.base import DatasetError, Sample
from data.decoding import too_many_unreadable
from data.images import Images
from data.samplers.base import Draw
from data.transforms.network_input import EvalTransform, TrainTransform
from utils.errors import TrainerError
from utils.logger import NAME

UNREADABLE = -2  # identity that stands for an evaluation image that cannot be read; no data set has it


class TrainBatch(NamedTuple):
    """Training batch from a worker: images uint8, to be augmented by `choices`, or float32 and augmented.

    Origins [B, 2] are the numbers of each image's camera and view.
    """

    images: Tensor
    pids: Tensor
    origins: Tensor
    choices: Tensor
    problems: tuple[str, ...]


class EvalBatch(NamedTuple):
    """Evaluation batch from a worker: images uint8, or float32 and normalised; identities, cameras, paths, origins."""

    images: Tensor
    pids: Tensor
    camids: Tensor
    paths: list[str]
    origins: Tensor
    problems: tuple[str, ...]


class TrainImages(Dataset[Any]):
    """Training split as a torch data set that is read by whole batches of Draws.

    Another image of its identity takes the place of one that cannot be read. Where all of an identity cannot be read,
    an identity that is not in the batch takes its place.

    Args:
        samples: the training split.
        images: the samples' pixels.
        transform: augments them.
        finish: whether images are augmented here, and not on an accelerator.
        max_unreadable: images that may be unreadable.
        several: whether a batch needs images of at least two identities.
    """

    def __init__(
        self,
        samples: Sequence[Sample],
        images: Images,
        transform: TrainTransform,
        *,
        finish: bool,
        max_unreadable: int,
        several: bool = False,
    ) -> None:
        self.images = images
        self.transform = transform
        self.finish = finish
        self.max_unreadable = max_unreadable
        self.several = several
        self.pids = np.array([sample.pid for sample in samples], dtype=np.int64)
        self.origins = np.array([(sample.camid, sample.view) for sample in samples], dtype=np.int64)

    def __len__(self) -> int:
        return len(self.pids)

    def __getitems__(self, draws: list[Draw]) -> TrainBatch | DatasetError:
        drawn = tuple(draw.image for draw in draws)
        numbers = list(drawn)
        pixels, problems = self.images.read(numbers)
        try:
            for place in problems:
                numbers[place], pixels[place] = self._substitute(draws[place].image, draws[place].batch or drawn)
            choices = self.transform.draw([draw.seed for draw in draws])
            others_problems: list[str] = []
            read = partial(self._read_places, problems=others_problems)
            images = self.transform.add_others(torch.from_numpy(pixels), choices, read)
        except DatasetError as error:
            return error  # raised in a worker process it would arrive wrapped in a traceback
        if self.finish:
            images = self.transform.augment(images, choices)
        pids, origins = torch.from_numpy(self.pids[numbers]), torch.from_numpy(self.origins[numbers])
        return TrainBatch(images, pids, origins, choices, (*problems.values(), *others_problems))

    def _read_places(self, places: Tensor, problems: list[str]) -> Tensor:
        """Reads images by their places among all, 0 to 1; adds the errors of unreadable ones, which are substituted."""
        numbers = (places * len(self.pids)).long().clamp(max=len(self.pids) - 1).tolist()
        pixels, found = self.images.read(numbers)
        for place in found:
            _, pixels[place] = self._substitute(numbers[place], (numbers[place],))
        problems.extend(found.values())
        return torch.from_numpy(pixels)

    def _substitute(self, image: int, batch: tuple[int, ...]) -> tuple[int, NDArray[np.uint8]]:
        """Substitutes an unreadable image of a batch by a readable one; returns its number and pixels.

        Raises:
            DatasetError: too many images cannot be read, or those of all identities but one.
        """
        found = set[str]()
        in_batch, own = np.unique(self.pids[[*batch]]), int(self.pids[image])
        for pid in (own, *self._outside(own, in_batch, batch), *in_batch.tolist()):
            if self.several and pid != own and pid in in_batch and len(self._readable(in_batch, found)) == 1:
                raise DatasetError(
                    "the training split has 1 identity with images that can be read, batches of several identities need"
                    " two; DATALOADER.SAMPLER softmax takes any images"
                )
            if (substitute := self._first_readable(pid, image, found)) is not None:
                return substitute
        raise DatasetError(too_many_unreadable(found, self.max_unreadable, latest=sorted(found)[-1]))

    def _outside(self, own: int, in_batch: NDArray[np.int64], batch: tuple[int, ...]) -> list[int]:
        """Lists the identities that are not in a batch, in the order in which they take the place of identity `own`.

        The order is a function of the whole batch. Each identity in the batch begins with others, so that two of which
        no image can be read are not replaced by the same.
        """
        outside = np.setdiff1d(self.pids, in_batch)
        outside = np.roll(outside, -(sum(batch) % max(1, len(outside))))
        first = np.arange(len(outside)) % len(in_batch) == np.searchsorted(in_batch, own)
        order: list[int] = [*outside[first].tolist(), *outside[~first][::-1].tolist()]
        return order

    def _first_readable(self, pid: int, image: int, found: set[str]) -> tuple[int, NDArray[np.uint8]] | None:
        """Finds the first readable image of an identity, and adds the errors of others to `found`.

        The search begins at an image's place among those of its own identity, so that different images are substituted
        by different ones.

        Raises:
            DatasetError: too many images cannot be read.
        """
        images = np.flatnonzero(self.pids == pid)
        place = int(np.searchsorted(np.flatnonzero(self.pids == self.pids[image]), image)) % len(images)
        for other in np.roll(images, -place).tolist():
            pixels, problems = self.images.read([other])
            if not problems:
                return other, pixels[0]
            found.add(problems[0])
            if len(found) > self.max_unreadable:
                raise DatasetError(too_many_unreadable(found, self.max_unreadable, latest=problems[0]))
        return None

    def _readable(self, pids: NDArray[np.int64], found: set[str]) -> list[int]:
        """Lists the identities of which an image can be read; DatasetError where too many images cannot."""
        return [pid for pid in pids.tolist() if self._first_readable(pid, int(np.argmax(self.pids == pid)), found)]


class EvalImages(Dataset[Any]):
    """Evaluation images as a torch data set that is read by whole batches of numbers."""

    def __init__(self, samples: Sequence[Sample], images: Images, transform: EvalTransform, *, finish: bool) -> None:
        self.samples = samples
        self.images = images
        self.transform = transform
        self.finish = finish

    def __len__(self) -> int:
        return len(self.samples)

    def __getitems__(self, numbers: list[int]) -> EvalBatch:
        pixels, problems = self.images.read(numbers)
        images = torch.from_numpy(pixels)
        samples = [self.samples[number] for number in numbers]
        pids = [UNREADABLE if place in problems else sample.pid for place, sample in enumerate(samples)]
        return EvalBatch(
            self.transform(images) if self.finish else images,
            torch.tensor(pids),
            torch.tensor([sample.camid for sample in samples]),
            [sample.path for sample in samples],
            torch.tensor([(sample.camid, sample.view) for sample in samples]),
            tuple(problems.values()),
        )


class Loader(DataLoader[Any]):
    """Loader of batches: (images, pids, origins) in training, (images, pids, camids, paths, origins) in evaluation.

    Images are on `device`; origins int64 [B, 2] are camera and view. On a GPU, batches are copied and augmented on a
    stream of their own while the one before is computed on. `notes` are logged when iteration begins.

    Raises:
        DatasetError: while iterating, more than `max_unreadable` different images could not be read.
        TrainerError: while iterating, a worker has died.
    """

    def __init__(
        self, images: TrainImages | EvalImages, device: torch.device, *, workers: int, max_unreadable: int, **more: Any
    ) -> None:
        super().__init__(
            images,
            num_workers=workers,
            persistent_workers=workers > 0,
            collate_fn=_unchanged,
            worker_init_fn=_ignore_group_signals,
            pin_memory=device.type == "cuda",
            generator=torch.Generator(),  # its own: an iterator must not advance the trainer's random state
            **more,
        )
        self.device = device
        self.max_unreadable = max_unreadable
        self.notes: list[str] = []
        self._unreadable: set[str] = set()
        self._stream: Any = None

    def __iter__(self) -> Iterator[Any]:  # type: ignore[override]
        logger = logging.getLogger(NAME)
        for note in self.notes:
            logger.info("%s", note)
        self.notes.clear()
        for batch in self._worker_batches():
            if isinstance(batch, DatasetError):
                # A new one: an error and a frame that refer to each other would keep the workers alive.
                raise DatasetError(str(batch))
            for problem in batch.problems:
                self._count_unreadable(problem, logger)
            yield self._finish_on_side_stream(batch) if self.device.type == "cuda" else self._finish(batch)

    def _worker_batches(self) -> Iterator[Any]:
        """Yields what the workers return: batches, or a DatasetError; raises TrainerError where one has died."""
        batches = None
        while True:
            try:
                batches = batches or self._start_workers()
                batch = next(batches)
            except StopIteration:
                return
            except (OSError, EOFError, RuntimeError):  # a dead worker's connection breaks at any place
                if not (dead := _dead_worker(batches or self._iterator)):
                    raise
                raise TrainerError(
                    f"{dead}: killed for memory, mostly, or there is no room in /dev/shm; fewer DATALOADER.NUM_WORKERS"
                    f" ({self.num_workers}) need less of both"
                ) from None
            yield batch

    def _start_workers(self) -> Iterator[Any]:
        """Starts torch's iterator without its SIGCHLD handler, which would raise within a training step.

        Without the handler torch looks for a dead worker after waiting 5 s for a batch.
        """
        handler = signal.getsignal(signal.SIGCHLD)
        batches = super().__iter__()
        if handler is not None and threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGCHLD, handler)
        return batches

    def _finish_on_side_stream(self, batch: TrainBatch | EvalBatch) -> Any:
        """Finishes a batch on a CUDA stream of its own, while the GPU still computes on the one before."""
        self._stream = self._stream or torch.cuda.Stream(self.device)  # type: ignore[no-untyped-call]
        computing = torch.cuda.current_stream(self.device)
        with torch.cuda.stream(self._stream):
            images, *rest = self._finish(batch)
        computing.wait_stream(self._stream)
        images.record_stream(computing)  # keeps the memory until the computing stream has used it
        return images, *rest

    def _finish(self, batch: TrainBatch | EvalBatch) -> Any:
        """Moves a batch to the device and augments or normalises it there, where the worker has not."""
        images: Any = self.dataset
        if isinstance(batch, TrainBatch):
            pixels = batch.images
            if not images.finish:
                pixels = images.transform.augment(pixels.to(self.device, non_blocking=True), batch.choices)
            return pixels, batch.pids, batch.origins
        pixels = batch.images
        if not images.finish:
            pixels = images.transform(pixels.to(self.device, non_blocking=True))
        return pixels, batch.pids, batch.camids, batch.paths, batch.origins

    def _count_unreadable(self, problem: str, logger: logging.Logger) -> None:
        """Counts an unreadable image, once each, and warns of it; DatasetError where they are too many."""
        if problem in self._unreadable:
            return
        self._unreadable.add(problem)
        if len(self._unreadable) > self.max_unreadable:
            raise DatasetError(too_many_unreadable(self._unreadable, self.max_unreadable, latest=problem))
        logger.warning("Skipping: %s (%d of at most %d)", problem, len(self._unreadable), self.max_unreadable)


def _dead_worker(batches: Any) -> str:
    """Describes which of torch's workers has ended and how, waiting up to 1 s for its end; empty where none has."""
    workers = getattr(batches, "_workers", [])
    ended = wait([worker.sentinel for worker in workers], timeout=1) if workers else []
    for worker in workers:
        if worker.sentinel in ended:
            worker.join(timeout=1)  # which is over a moment after its end is seen
            code = worker.exitcode or 0
            how = f"by {signal.Signals(-code).name}" if code < 0 else f"with exit status {code}"
            return f"DataLoader worker (pid {worker.pid}) ended {how}"
    return ""


def _unchanged(batch: Any) -> Any:
    return batch


def _ignore_group_signals(_worker: int) -> None:
    """Makes a worker ignore signals to the process group: the trainer needs another batch before its checkpoint.

    Only the trainer's own SIGTERM ends the worker. Linux tells who sent a signal; on macOS any SIGTERM ends it.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if sys.platform == "linux":
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
        threading.Thread(target=_exit_on_parent_sigterm, daemon=True).start()


def _exit_on_parent_sigterm() -> None:
    """Waits for SIGTERM from the parent process, the trainer, and exits."""
    assert sys.platform != "darwin"  # which has no sigwaitinfo
    while signal.sigwaitinfo({signal.SIGTERM}).si_pid != os.getppid():
        pass
    os._exit(0)
