"""Samplers that draw identities, or sets, in other shares than their images have."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from fractions import Fraction

import numpy as np
import pytest
from yacs.config import CfgNode

from data import DatasetError, ReIDDataset, Sample
from data.samplers import SAMPLERS
from data.samplers.balanced import BalancedIdentitySampler, BalancedShuffleSampler
from data.samplers.base import EpochBatchSampler
from data.samplers.rounds import DistinctRounds, draw_in_rounds
from data.samplers.sets import SetIdentitySampler, SetShuffleSampler, divide_places, exact_shares

MakeCfg = Callable[..., CfgNode]
IMAGES = [30, 1, 2, 7, 3, 12, 1, 20]  # of each of 8 identities
PIDS = [pid for pid, number in enumerate(IMAGES) for _ in range(number)]
SETS = [sum(IMAGES[:5]), sum(IMAGES[5:])]


def epoch(sampler: EpochBatchSampler, number: int, start_batch: int = 0) -> list[list[int]]:
    sampler.set_epoch(number, start_batch)
    return [[draw.image for draw in batch] for batch in sampler]


def made(kind: str, seed: int = 0, weights: tuple[float, ...] = (1, 3)) -> EpochBatchSampler:
    return {
        "balanced": lambda: BalancedShuffleSampler(PIDS, 10, seed=seed),
        "balanced P x K": lambda: BalancedIdentitySampler(PIDS, 12, 3, seed=seed),
        "sets": lambda: SetShuffleSampler(SETS, 10, weights, seed=seed),
        "sets P x K": lambda: SetIdentitySampler(PIDS, SETS, 12, 3, weights, ["a", "b"], seed=seed),
    }[kind]()


KINDS = ["balanced", "balanced P x K", "sets", "sets P x K"]


@pytest.mark.parametrize("kind", KINDS)
def test_an_epoch_is_a_function_of_seed_and_epoch_and_divides_among_processes(kind: str) -> None:
    sampler = made(kind)
    whole = epoch(sampler, 3)
    assert epoch(sampler, 4) != whole == epoch(made(kind), 3) != epoch(made(kind, seed=1), 3)
    assert epoch(made(kind), 3, start_batch=2) == whole[2:] and len(sampler) == len(whole)
    assert all(0 <= image < len(PIDS) for batch in whole for image in batch)
    if kind.endswith("K"):  # every batch is full: the shards of any number of processes that divide it are the batch
        for rank in range(2):
            part = made(kind)
            part.shard(rank, 2)
            assert epoch(part, 3) == [batch[rank::2] for batch in whole]
    else:
        shards = [made(kind) for _ in range(2)]
        for rank, part in enumerate(shards):
            part.shard(rank, 2)
        sizes = [[len(batch) for batch in epoch(part, 3)] for part in shards]
        assert sizes[0] == sizes[1] and sum(sizes[0]) == len(PIDS) // 2


@pytest.mark.parametrize("kind", ["balanced", "balanced P x K"])
def test_every_identity_comes_equally_often(kind: str) -> None:
    shown = Counter(PIDS[image] for number in range(40) for batch in epoch(made(kind), number) for image in batch)
    total = sum(shown.values())
    assert all(number / total == pytest.approx(1 / 8, abs=0.01) for number in shown.values()) and len(shown) == 8
    images = Counter(image for number in range(40) for batch in epoch(made(kind), number) for image in batch)
    assert len(images) == len(PIDS)  # each image has its turn
    assert max(images[i] for i in range(30)) <= 3 * min(images[i] for i in range(30))


def test_balanced_batches_hold_p_identities_of_k_images() -> None:
    batches = epoch(made("balanced P x K"), 1)
    assert all(list(Counter(PIDS[image] for image in batch).values()) == [3] * 4 for batch in batches)
    # As many batches as hold all images once, in groups of three.
    assert len(batches) == -(-sum(-(-number // 3) for number in IMAGES) // 4)


@pytest.mark.parametrize("kind", ["sets", "sets P x K"])
@pytest.mark.parametrize("weights", [(1.0, 3.0), (0.2, 0.4), (0.0, 1.0)])
def test_sets_have_their_share_of_every_batch(kind: str, weights: tuple[float, ...]) -> None:
    if kind == "sets P x K" and weights[0] == 0.0:
        with pytest.raises(
            DatasetError, match=r"a batch needs up to 4 identities of b, which has 3; give it a smaller"
        ):
            made(kind, weights=weights)
        return
    share, shares = weights[1] / sum(weights), []
    for number in range(60):
        for batch in epoch(made(kind, weights=weights), number):
            places = len(batch) // 3 if kind.endswith("K") else len(batch)
            of_second = sum(image >= SETS[0] for image in batch) // (3 if kind.endswith("K") else 1)
            assert int(share * places) <= of_second <= -int(-share * places // 1)
            shares.append((of_second, places))
    assert sum(of for of, _ in shares) / sum(places for _, places in shares) == pytest.approx(share, abs=0.01)
    if kind.endswith("K"):
        assert all(set(Counter(PIDS[image] for image in batch).values()) == {3} for batch in epoch(made(kind), 1))


def test_images_of_a_set_come_in_rounds() -> None:
    shown = Counter(image for batch in epoch(made("sets"), 1) for image in batch)
    second = [shown[image] for image in range(SETS[0], sum(SETS))]
    assert max(second) - min(second) <= 1


def test_places_are_divided_by_exact_shares() -> None:
    rng = np.random.default_rng(0)
    shares = exact_shares([0.1, 0.2, 0.7])
    assert shares == [Fraction(1, 10), Fraction(2, 10), Fraction(7, 10)]
    assert all(divide_places(10, shares, rng) == [1, 2, 7] for _ in range(1000))
    divided = np.array([divide_places(4, shares, rng) for _ in range(4000)])
    assert np.all(divided.sum(1) == 4) and np.allclose(divided.mean(0), [0.4, 0.8, 2.8], atol=0.03)
    assert np.all(divided.min(0) == [0, 0, 2]) and np.all(divided.max(0) == [1, 1, 3])


def test_rounds() -> None:
    rng = np.random.default_rng(0)
    drawn = draw_in_rounds(np.arange(5, 9), 11, rng).tolist()
    assert sorted(drawn[:4]) == sorted(drawn[4:8]) == [5, 6, 7, 8] and len(set(drawn[8:])) == 3
    rounds = DistinctRounds([1, 2, 2, 2, 3, 4], rng)
    groups = [list(rounds.draw(3)) for _ in range(400)]
    assert all(len(set(group)) == 3 for group in groups)
    shown = Counter(number for group in groups for number in group)
    assert max(shown[n] for n in (1, 3, 4)) - min(shown[n] for n in (1, 3, 4)) <= 1
    assert 360 < shown[2] <= 400  # it is given for every second place, and has at most every third


@pytest.mark.parametrize("losses", ["softmax", "softmax_triplet"])
@pytest.mark.parametrize("sampling", SAMPLERS.names)
def test_the_table_builds_each(make_cfg: MakeCfg, sampling: str, losses: str) -> None:
    samples = tuple(Sample(str(number), pid, 0) for number, pid in enumerate(PIDS))
    dataset = ReIDDataset("a+b", samples, (), (), train_sets=tuple(SETS))
    cfg = make_cfg("DATALOADER.SAMPLING", sampling, "DATALOADER.SAMPLER", losses, "DATASETS.NAMES", ("a", "b"))
    sampler = SAMPLERS.builder(sampling)(cfg, dataset, 0)
    batches = epoch(sampler, 1)
    shares = [np.mean(np.array(batch) >= SETS[0]) for batch in batches if len(batch) == 4]
    assert len(shares) >= 18 and (sampling != "sets" or set(shares) == {0.5})
