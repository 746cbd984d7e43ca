"""What takes the place of training images that cannot be read."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Sequence
from itertools import zip_longest

import numpy as np
import pytest
from numpy.typing import NDArray

from data import DatasetError, Sample
from data.loading import TrainImages
from data.samplers.base import Draw
from data.samplers.identity import RandomIdentitySampler
from data.transforms.network_input import TrainTransform


class MadeUp:
    """Images of one pixel, which hold their number; those of `dead` cannot be read."""

    def __init__(self, dead: Collection[int]) -> None:
        self.dead = set(dead)

    def read(self, numbers: Sequence[int]) -> tuple[NDArray[np.uint8], dict[int, str]]:
        pixels = np.zeros((len(numbers), 3, 1, 1), dtype=np.uint8) + np.array(numbers, np.uint8)[:, None, None, None]
        return pixels, {place: f"cannot read {n}" for place, n in enumerate(numbers) if n in self.dead}


def split(pids: Sequence[int], dead_pids: Collection[int], *, several: bool = True, limit: int = 1000) -> TrainImages:
    samples = [Sample(str(number), pid, 0) for number, pid in enumerate(pids)]
    dead = [number for number, pid in enumerate(pids) if pid in dead_pids]
    transform = TrainTransform([1, 1], [0] * 3, [1] * 3, flip_prob=0, erase_prob=0, padding=0)
    return TrainImages(samples, MadeUp(dead), transform, finish=False, max_unreadable=limit, several=several)


def read(images: TrainImages, draws: list[Draw]) -> list[int]:
    """The numbers of the images in a batch, whose identities are those of the images."""
    batch = images.__getitems__(draws)
    if isinstance(batch, DatasetError):
        raise batch
    numbers: list[int] = batch.images[:, 0, 0, 0].tolist()
    assert batch.pids.tolist() == images.pids[numbers].tolist()
    return numbers


def batches(pids: Sequence[int], size: int, instances: int, rank: int = 0, processes: int = 1) -> list[list[Draw]]:
    sampler = RandomIdentitySampler(pids, size, instances, seed=3)
    sampler.shard(rank, processes)
    return list(sampler)


@pytest.mark.parametrize("dead", [[0], [1], [0, 2], [1, 2, 3]])
@pytest.mark.parametrize("places", [2, 3])
def test_an_identity_that_cannot_be_read_is_replaced_by_one_that_is_not_in_the_batch(
    places: int, dead: list[int]
) -> None:
    pids = np.repeat(np.arange(5), [4, 3, 4, 5, 4]).tolist()
    images = split(pids, dead)
    seen = set()
    for draws in batches(pids, 2 * places, 2):
        numbers = read(images, draws)
        seen |= set(numbers)
        identities = Counter(pids[number] for number in numbers)
        readable = 5 - len(dead)
        assert len(identities) == min(places, readable) and not set(identities) & set(dead)
        if readable >= places:
            assert set(identities.values()) == {2} and len(set(numbers)) == 2 * places
    assert seen == {number for number, pid in enumerate(pids) if pid not in dead}


def test_two_identities_stay_in_a_batch_wherever_two_can_be_read() -> None:
    rng = np.random.default_rng(0)
    for _ in range(60):
        people = int(rng.integers(2, 9))
        pids = np.repeat(np.arange(people), rng.integers(1, 5, people)).tolist()
        dead = rng.permutation(people)[2:]
        places = int(rng.integers(2, people + 1))
        for draws in batches(pids, 2 * places, 2):
            assert len({pids[number] for number in read(split(pids, dead), draws)}) == 2


@pytest.mark.parametrize(("instances", "processes"), [(2, 2), (2, 4), (4, 4), (2, 8)])
def test_processes_replace_as_one_would(instances: int, processes: int) -> None:
    pids = np.repeat(np.arange(9), 4).tolist()
    images = split(pids, [1, 4, 5])
    shards = [batches(pids, 4 * instances, instances, rank, processes) for rank in range(processes)]
    for place, whole in enumerate(batches(pids, 4 * instances, instances)):
        parts = [read(images, shard[place]) if shard[place] else [] for shard in shards]
        together = [number for group in zip_longest(*parts) for number in group if number is not None]
        assert together == read(images, whole)


def test_one_identity_that_can_be_read_is_one_line() -> None:
    pids = [0, 0, 1, 1, 2, 2]
    for size in (4, 6):
        with pytest.raises(DatasetError, match=r"^the training split has 1 identity with images that can be read"):
            for draws in batches(pids, size, 2):
                read(split(pids, [0, 2]), draws)
    with pytest.raises(DatasetError, match=r"; 6 images cannot be read, "):
        read(split(pids, [0, 1, 2]), batches(pids, 4, 2)[0])
    numbers = read(split(pids, [0, 2], several=False), [Draw(0, 0), Draw(5, 0), Draw(2, 0)])
    assert numbers == [2, 3, 2]


def test_more_unreadable_images_than_allowed_are_one_line() -> None:
    pids = [0, 0, 0, 1, 1, 1, 2]
    draws = [Draw(0, 0), Draw(3, 0)]
    assert read(split(pids, [0], limit=3), draws) == [6, 3]
    with pytest.raises(DatasetError, match=r"^cannot read \d; 3 images cannot be read, .* allows 2$"):
        read(split(pids, [0], limit=2), draws)
