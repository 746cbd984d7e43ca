from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
import pytest

from data import DatasetError
from data.samplers.base import Draw, EpochBatchSampler
from data.samplers.identity import RandomIdentitySampler
from data.samplers.shuffle import ShuffleSampler


def epoch(sampler: EpochBatchSampler, number: int, start_batch: int = 0) -> list[list[Draw]]:
    sampler.set_epoch(number, start_batch)
    return list(sampler)


def ragged(seed: int) -> list[int]:
    """Identities of 5 to 40 people with 1 to 30 images each, in random order."""
    rng = np.random.default_rng(seed)
    people = int(rng.integers(5, 41))
    pids = np.repeat(np.arange(people) * 3 + 1, rng.integers(1, 31, people))
    return [int(pid) for pid in rng.permutation(pids)]


@pytest.mark.parametrize("seed", range(12))
@pytest.mark.parametrize("instances", [1, 3, 4])
def test_batches_are_full_p_by_k_and_show_every_image(seed: int, instances: int) -> None:
    pids = ragged(seed)
    sampler = RandomIdentitySampler(pids, 5 * instances, instances, seed=seed)
    batches = epoch(sampler, 1)
    for batch in batches:
        assert list(Counter(pids[draw.image] for draw in batch).values()) == [instances] * 5
    assert {draw.image for batch in batches for draw in batch} == set(range(len(pids)))
    assert len(sampler) == len(batches)
    # No arrangement needs fewer batches.
    groups = [-(-images // instances) for images in Counter(pids).values()]
    assert len(batches) == max(-(-sum(groups) // 5), max(groups))


def test_one_identity_with_most_images_loses_none() -> None:
    pids = [0] * 40 + [1, 1, 2, 2, 3]
    batches = epoch(RandomIdentitySampler(pids, 4, 2, seed=0), 1)
    assert len(batches) == 20
    assert all(sum(pids[draw.image] == 0 for draw in batch) == 2 for batch in batches)
    assert {draw.image for batch in batches for draw in batch} == set(range(45))


def test_images_repeat_within_a_group_only_where_there_are_too_few() -> None:
    pids = [0] * 6 + [1] * 3 + [2] * 5
    for batch in epoch(RandomIdentitySampler(pids, 8, 4, seed=1), 1):
        for pid in {pids[draw.image] for draw in batch}:
            images = Counter(draw.image for draw in batch if pids[draw.image] == pid)
            assert len(images) == (3 if pid == 1 else 4)


@pytest.mark.parametrize("kind", ["identity", "shuffle"])
def test_an_epoch_is_a_function_of_seed_and_epoch(kind: str) -> None:
    def make(seed: int) -> EpochBatchSampler:
        if kind == "identity":
            return RandomIdentitySampler(ragged(3), 10, 2, seed=seed)
        return ShuffleSampler(103, 10, seed=seed)

    first = make(0)
    whole = epoch(first, 4)
    epoch(first, 5)
    assert epoch(first, 4) == whole == epoch(make(0), 4)
    for other in (epoch(first, 5), epoch(make(1), 4)):
        assert [[d.image for d in b] for b in other] != [[d.image for d in b] for b in whole]
        assert {d.seed for b in other for d in b}.isdisjoint({d.seed for b in whole for d in b})
    for start in (1, len(whole) - 1, len(whole)):
        assert epoch(make(0), 4, start) == whole[start:]
        assert len(first) == len(whole)


def test_places_of_an_epoch_have_seeds_of_their_own() -> None:
    draws = [draw for batch in epoch(ShuffleSampler(500, 10, seed=0), 1) for draw in batch]
    assert len({draw.seed for draw in draws}) == 500


@pytest.mark.parametrize(
    ("images", "size", "sizes"),
    [(10, 4, [4, 4, 2]), (9, 4, [4, 5]), (8, 4, [4, 4]), (3, 4, [3]), (2, 4, [2]), (3, 1, [1, 1, 1])],
)
def test_shuffling_shows_every_image_once(images: int, size: int, sizes: list[int]) -> None:
    sampler = ShuffleSampler(images, size, seed=0)
    batches = epoch(sampler, 1)
    assert [len(batch) for batch in batches] == sizes
    assert len(sampler) == len(sizes)
    assert sorted(draw.image for batch in batches for draw in batch) == list(range(images))


@pytest.mark.parametrize(
    ("batch_size", "instances", "words"),
    [
        (8, 0, ["DATALOADER.NUM_INSTANCE", "0"]),
        (8, 3, ["SOLVER.IMS_PER_BATCH", "8", "multiple", "3"]),
        (4, 4, ["SOLVER.IMS_PER_BATCH", "4", "at least 8"]),
        (16, 4, ["needs 4 identities", "has 3", "at most 12"]),
    ],
)
def test_impossible_batches_are_refused(batch_size: int, instances: int, words: list[str]) -> None:
    with pytest.raises(DatasetError) as caught:
        RandomIdentitySampler([0, 0, 1, 1, 2, 2], batch_size, instances, seed=0)
    assert all(word in str(caught.value) for word in words)
    assert "\n" not in str(caught.value)


def test_too_few_images_or_identities_are_refused() -> None:
    with pytest.raises(DatasetError, match=r"1 identity, batches of several identities need two; .*SAMPLER softmax"):
        RandomIdentitySampler([3, 3, 3, 3], 16, 4, seed=0)
    with pytest.raises(DatasetError, match=r"has 1 image\(s\), a step needs 2"):
        ShuffleSampler(1, 16, seed=0)
    sampler = ShuffleSampler(7, 16, seed=0)
    sampler.shard(0, 4)
    with pytest.raises(DatasetError, match=r"has 7 image\(s\), a step needs 8"):
        sampler.shard(0, 4, own_statistics=True)


def test_identities_are_drawn_by_the_groups_they_have_left() -> None:
    sampler = RandomIdentitySampler([0] * 3 + [1] * 2 + [2, 3], 2, 1, seed=0)
    firsts = Counter(frozenset(next(sampler._schedule(np.random.default_rng(seed)))) for seed in range(4000))
    for pair, share in (({0, 1}, 3 / 7 * 2 / 4 + 2 / 7 * 3 / 5), ({2, 3}, 2 * 1 / 7 * 1 / 6)):
        assert firsts[frozenset(pair)] / 4000 == pytest.approx(share, abs=0.03)


class Counting:
    """A generator that counts the random numbers it was asked for."""

    def __init__(self) -> None:
        self.rng, self.asked = np.random.default_rng(0), 0

    def random(self, number: int) -> np.ndarray[Any, Any]:
        self.asked += number
        return self.rng.random(number)


@pytest.mark.parametrize("ragged_last", [[], [900, 899, 898]])
def test_the_work_of_an_epoch_grows_with_its_images_not_with_batches_times_identities(ragged_last: list[int]) -> None:
    sizes = [3] * 2000 + ragged_last
    sampler = RandomIdentitySampler(np.repeat(np.arange(len(sizes)), sizes).tolist(), 8, 1, seed=0)
    rng: Any = Counting()
    taken = Counter(identity for batch in sampler._schedule(rng) for identity in batch)
    assert all(taken[identity] >= number for identity, number in enumerate(sizes))
    assert rng.asked < 10 * sum(sizes)
