from __future__ import annotations

import multiprocessing
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterable
from pathlib import Path

import pytest
import torch
from PIL import Image
from yacs.config import CfgNode

from data import DatasetError
from data.build import (
    build_dataset,
    build_eval_loader,
    build_test_datasets,
    build_train_loader,
    loader_workers,
    read_image,
)
from data.loading import UNREADABLE

MakeCfg = Callable[..., CfgNode]
Batches = list[tuple[torch.Tensor, torch.Tensor]]


def train_batches(cfg: CfgNode, epoch: int, start_batch: int = 0) -> Batches:
    loader = build_train_loader(cfg, build_dataset(cfg), seed=cfg.SOLVER.SEED)
    loader.batch_sampler.set_epoch(epoch, start_batch)
    return [(images, pids) for images, pids, _ in loader]


def same(first: Batches, second: Batches) -> bool:
    return len(first) == len(second) and all(
        torch.equal(a, c) and torch.equal(b, d) for (a, b), (c, d) in zip(first, second, strict=True)
    )


@pytest.mark.parametrize("sampler", ["softmax", "triplet", "softmax_triplet"])
def test_training_batches(make_cfg: MakeCfg, sampler: str) -> None:
    cfg = make_cfg("DATALOADER.SAMPLER", sampler)
    batches = train_batches(cfg, epoch=1)
    assert len(batches) == 4
    for images, pids in batches:
        assert images.shape == (4, 3, 32, 16) and images.dtype == torch.float32
        assert pids.shape == (4,) and pids.dtype == torch.int64 and 0 <= int(pids.min()) <= int(pids.max()) < 4
    if sampler != "softmax":
        assert all(len(pids.unique()) == 2 for _, pids in batches)


def test_batches_depend_on_seed_epoch_and_place_alone(make_cfg: MakeCfg) -> None:
    whole = train_batches(make_cfg(), epoch=3)
    torch.manual_seed(99)
    assert same(train_batches(make_cfg(), epoch=3), whole)
    assert same(train_batches(make_cfg("DATALOADER.NUM_WORKERS", 2), epoch=3), whole)
    assert same(train_batches(make_cfg(), epoch=3, start_batch=2), whole[2:])
    assert not same(train_batches(make_cfg(), epoch=4), whole)
    assert not same(train_batches(make_cfg("SOLVER.SEED", 1), epoch=3), whole)


def test_loading_leaves_the_global_random_state_alone(make_cfg: MakeCfg) -> None:
    state = torch.get_rng_state()
    train_batches(make_cfg(), epoch=1)
    assert torch.equal(torch.get_rng_state(), state)


def test_evaluation_gives_queries_then_gallery_in_order(make_cfg: MakeCfg) -> None:
    cfg = make_cfg()
    dataset = build_dataset(cfg)
    loader, num_query = build_eval_loader(cfg, dataset)
    batches = list(loader)
    assert num_query == 2
    assert [images.shape[0] for images, *_ in batches] == [3, 2]
    assert batches[0][0].dtype == torch.float32 and batches[0][1].dtype == batches[0][2].dtype == torch.int64
    assert [pid for _, pids, *_ in batches for pid in pids.tolist()] == [5, 6, 0, 5, 6]
    assert [camid for _, _, camids, *_ in batches for camid in camids.tolist()] == [0, 1, 2, 1, 11]
    assert [path for *_, paths, _ in batches for path in paths] == [s.path for s in dataset.query + dataset.gallery]


def test_a_bare_name_is_one_name(make_cfg: MakeCfg) -> None:
    cfg = make_cfg()
    cfg.DATASETS.NAMES = "market1501"
    assert build_dataset(cfg).num_train_pids == 4


def test_bad_settings_are_one_error(make_cfg: MakeCfg) -> None:
    with pytest.raises(DatasetError, match=r"^DATASETS\.NAMES: 'market' .*; SOLVER\.IMS_PER_BATCH: 7 .*$"):
        build_dataset(make_cfg("DATASETS.NAMES", ("market",), "SOLVER.IMS_PER_BATCH", 7))


@pytest.mark.parametrize("mode", ["L", "P", "RGBA", "1"])
def test_any_kind_of_picture_becomes_rgb(tmp_path: Path, mode: str) -> None:
    path = tmp_path / "picture.png"
    Image.linear_gradient("L").resize((5, 7)).convert(mode).save(path)
    image = read_image(str(path))
    assert image.shape == (3, 7, 5) and image.dtype == torch.uint8
    assert torch.equal(image[0], image[2])
    assert int(image[0, -1, 0]) > int(image[0, 0, 0])


def damage(path: str, how: str) -> None:
    file = Path(path)
    content = file.read_bytes()
    if how == "gone":
        file.unlink()
    else:
        file.write_bytes({"empty": b"", "cut short": content[: len(content) - 60], "text": b"hello"}[how])


def failure(loader: Iterable[object]) -> str:
    """The DatasetError a loader ends with; not pytest.raises, which keeps its frames and with them its workers."""
    try:
        batches = list(loader)
    except DatasetError as error:
        return str(error)
    return pytest.fail(f"{len(batches)} batches, no error")


@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize("how", ["empty", "cut short", "text", "gone"])
def test_one_unreadable_image_more_than_allowed_is_one_line_that_names_it(
    make_cfg: MakeCfg, workers: int, how: str
) -> None:
    cfg = make_cfg("DATALOADER.NUM_WORKERS", workers, "DATASETS.MAX_UNREADABLE", 0, "DATALOADER.CACHE", False)
    dataset = build_dataset(cfg)
    damage(dataset.train[5].path, how)
    text = failure(build_train_loader(cfg, dataset, seed=0))
    assert dataset.train[5].path in text and "\n" not in text


@pytest.mark.parametrize("cache", [False, True])
def test_too_many_unreadable_images_end_the_epoch(make_cfg: MakeCfg, cache: bool) -> None:
    cfg = make_cfg("DATASETS.MAX_UNREADABLE", 2, "DATALOADER.CACHE", cache)
    dataset = build_dataset(cfg)
    for sample in dataset.train[4:7]:
        damage(sample.path, "text")
    if cache:
        with pytest.raises(DatasetError, match=r"3 images cannot be read, DATASETS.MAX_UNREADABLE allows 2"):
            build_train_loader(cfg, dataset, seed=0)
    else:
        assert "3 images cannot be read" in failure(build_train_loader(cfg, dataset, seed=0))


@pytest.mark.parametrize("cache", [False, True])
@pytest.mark.parametrize("workers", [0, 2])
def test_unreadable_images_are_named_once_and_replaced_by_their_identitys(
    make_cfg: MakeCfg, caplog: pytest.LogCaptureFixture, cache: bool, workers: int
) -> None:
    cfg = make_cfg("DATALOADER.CACHE", cache, "DATALOADER.NUM_WORKERS", workers)
    dataset = build_dataset(cfg)
    victims = [dataset.train[5], dataset.train[6]]  # of one identity, one after the other
    for sample in victims:
        damage(sample.path, "cut short")
    caplog.set_level("INFO", logger="reid_baseline.train")
    loader = build_train_loader(cfg, dataset, seed=0)
    epochs = []
    for epoch in (1, 2):
        loader.batch_sampler.set_epoch(epoch)
        epochs.append([(images, pids) for images, pids, _ in loader])
    lines = [message for message in caplog.messages if message.startswith("Skipping: ")]
    assert len(lines) == 2
    assert all(any(sample.path in line for line in lines) for sample in victims)
    assert all(len(pids.unique()) == 2 and len(pids) == 4 for _, pids in epochs[0])
    assert same(train_batches(cfg, epoch=2), epochs[1])


@pytest.mark.parametrize("cache", [False, True])
def test_of_two_identities_in_a_batch_one_may_be_unreadable(make_cfg: MakeCfg, cache: bool) -> None:
    cfg = make_cfg("DATALOADER.CACHE", cache)
    dataset = build_dataset(cfg)
    for sample in dataset.train[:4]:
        damage(sample.path, "empty")
    assert {sample.pid for sample in dataset.train[:4]} == {0}
    for epoch in (1, 2):
        assert all(len(pids.unique()) == 2 and 0 not in pids for _, pids in train_batches(cfg, epoch))


def test_a_training_split_that_cannot_be_read_at_all_is_an_error(make_cfg: MakeCfg) -> None:
    cfg = make_cfg("DATALOADER.CACHE", False, "DATASETS.MAX_UNREADABLE", 100)
    dataset = build_dataset(cfg)
    for sample in dataset.train:
        damage(sample.path, "empty")
    assert "16 images cannot be read" in failure(build_train_loader(cfg, dataset, seed=0))


@pytest.mark.parametrize("cache", [False, True])
def test_in_evaluation_an_unreadable_image_has_no_identity(make_cfg: MakeCfg, cache: bool) -> None:
    cfg = make_cfg("DATALOADER.CACHE", cache)
    dataset = build_dataset(cfg)
    damage(dataset.gallery[1].path, "text")
    loader, num_query = build_eval_loader(cfg, dataset)
    assert num_query == 2
    assert [pid for _, pids, *_ in loader for pid in pids.tolist()] == [5, 6, 0, UNREADABLE, 6]


@pytest.mark.parametrize("sampler", ["softmax", "softmax_triplet"])
def test_the_cache_changes_nothing(make_cfg: MakeCfg, sampler: str) -> None:
    with_cache, without = (
        make_cfg("DATALOADER.CACHE", cache, "DATALOADER.SAMPLER", sampler) for cache in (True, False)
    )
    assert same(train_batches(with_cache, epoch=2), train_batches(without, epoch=2))
    first, second = (build_eval_loader(cfg, build_dataset(cfg))[0] for cfg in (with_cache, without))
    for ours, theirs in zip(first, second, strict=True):
        assert torch.equal(ours[0], theirs[0]) and ours[3] == theirs[3]


@pytest.mark.parametrize("workers", [0, 2])
def test_batches_finished_by_the_trainer_are_those_of_its_workers(make_cfg: MakeCfg, workers: int) -> None:
    """As where there is an accelerator, but on the processor."""
    cfg = make_cfg("DATALOADER.NUM_WORKERS", workers)
    dataset = build_dataset(cfg)
    loader = build_train_loader(cfg, dataset, seed=0)
    loader.dataset.finish = False
    loader.batch_sampler.set_epoch(3)
    assert same([(images, pids) for images, pids, _ in loader], train_batches(cfg, epoch=3))
    ours, _ = build_eval_loader(cfg, dataset)
    ours.dataset.finish = False
    theirs, _ = build_eval_loader(cfg, dataset)
    for (images, *_), (expected, *_) in zip(ours, theirs, strict=True):
        assert torch.equal(images, expected)


def test_without_a_place_for_the_cache_the_log_says_so_once(
    make_cfg: MakeCfg, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").write_text("")
    caplog.set_level("INFO", logger="reid_baseline.train")
    cfg = make_cfg("DATALOADER.CACHE_DIR", str(tmp_path / "file" / "cache"))
    loader, _ = build_eval_loader(cfg, build_dataset(cfg))
    assert caplog.messages == []
    list(loader)
    list(loader)
    assert [message.split(":")[0] for message in caplog.messages] == ["No image cache"]


def test_the_processes_of_an_evaluation_share_its_images_in_order(make_cfg: MakeCfg) -> None:
    cfg = make_cfg()
    dataset = build_dataset(cfg)
    parts = [
        [path for *_, batch, _ in build_eval_loader(cfg, dataset, rank=rank, world_size=3)[0] for path in batch]
        for rank in range(3)
    ]
    assert all(parts)
    assert [path for part in parts for path in part] == [s.path for s in dataset.query + dataset.gallery]
    assert len(list((Path(cfg.DATASETS.ROOT_DIR) / ".image-cache").glob("test-*"))) == 1


def test_a_cache_is_replaced_when_its_set_changes_and_not_by_another_sets(
    make_cfg: MakeCfg, market_root: Path, tmp_path: Path
) -> None:
    shutil.copytree(market_root / "market1501", market_root / "other")
    shutil.copytree(market_root / "market1501", tmp_path / "elsewhere" / "market1501")
    cache = tmp_path / "cache"

    def caches(*overrides: object) -> set[str]:
        cfg = make_cfg("DATALOADER.CACHE_DIR", str(cache), *overrides)
        dataset = build_dataset(cfg)
        build_train_loader(cfg, dataset, seed=0)
        build_eval_loader(cfg, dataset)
        return {path.name for path in cache.glob("t*")}

    sets: list[tuple[object, ...]] = [
        (), ("DATASETS.NAMES", ("market1501", "market1501:other")), ("DATASETS.NAMES", ("market1501:other",)),
        ("DATASETS.ROOT_DIR", str(tmp_path / "elsewhere")),
    ]  # fmt: skip
    # The first two are tested on the same images.
    assert [len(caches(*overrides)) for overrides in sets] == [2, 3, 5, 7]
    before = caches()
    Image.new("RGB", (16, 32)).save(market_root / "market1501" / "bounding_box_train" / "0002_c1s1_000009_00.jpg")
    (market_root / "market1501" / "query" / "0006_c2s1_000002_00.jpg").unlink()
    after = caches()
    assert len(after) == 7 and len(before - after) == 2


def test_data_sets_are_joined_for_training_and_tested_apart(make_cfg: MakeCfg, market_root: Path) -> None:
    shutil.copytree(market_root / "market1501", market_root / "other")
    names = ("market1501", "market1501:other")
    cfg = make_cfg("DATASETS.NAMES", names, "DATASETS.TEST_NAMES", ("market1501:other", "market1501"))
    dataset = build_dataset(cfg)
    assert dataset.name == "market1501+market1501:other"
    assert dataset.num_train_pids == 8 and len(dataset.train) == 32
    assert {sample.pid for sample in dataset.train if "/other/" in sample.path} == {4, 5, 6, 7}
    assert {sample.camid for sample in dataset.train if "/other/" in sample.path} == {2, 3}
    assert all("/other/" in sample.path for sample in dataset.query + dataset.gallery)
    tested = build_test_datasets(cfg)
    assert [part.name for part in tested] == ["market1501:other", "market1501"]
    assert tested[0].query == dataset.query


def test_queries_and_gallery_may_be_trained_on_where_other_sets_are_tested_on(
    make_cfg: MakeCfg, market_root: Path
) -> None:
    shutil.copytree(market_root / "market1501", market_root / "other")
    cfg = make_cfg("DATASETS.COMBINEALL", "yes")
    with pytest.raises(DatasetError, match=r"^DATASETS\.COMBINEALL: yes trains on .* of market1501, .* or choose val$"):
        build_dataset(cfg)
    cfg = make_cfg("DATASETS.COMBINEALL", "yes", "DATASETS.TEST_NAMES", ("market1501:other",))
    dataset, usual = build_dataset(cfg), build_dataset(make_cfg())
    added = dataset.train[len(usual.train) :]
    assert dataset.train[: len(usual.train)] == usual.train and dataset.num_train_pids == 6
    # Junk and distractors (0) are nobody.
    tested = [sample for sample in usual.query + usual.gallery if sample.pid]
    assert added == tuple(sample._replace(pid={5: 4, 6: 5}[sample.pid]) for sample in tested) and len(added) == 4
    assert dataset.query == build_test_datasets(cfg)[0].query
    assert dataset.notes[1] == "data set 'market1501': 4 images of queries and gallery are trained on"
    assert len(build_train_loader(cfg, dataset, seed=0).dataset) == len(dataset.train)


def test_training_on_one_set_and_testing_on_another(make_cfg: MakeCfg, market_root: Path) -> None:
    shutil.copytree(market_root / "market1501", market_root / "other")
    shutil.rmtree(market_root / "other" / "bounding_box_train")
    shutil.rmtree(market_root / "market1501" / "query")
    cfg = make_cfg("DATASETS.TEST_NAMES", ("market1501:other",))
    dataset = build_dataset(cfg)
    assert build_test_datasets(cfg)[0].query == dataset.query
    assert dataset.name == "market1501, tested on market1501:other"
    assert dataset.num_train_pids == 4
    assert all("/other/" in sample.path for sample in dataset.query)


@pytest.mark.skipif(sys.platform != "linux", reason="the sender of a signal is not told")
def test_signals_to_the_process_group_leave_the_workers_to_the_trainer(make_cfg: MakeCfg) -> None:
    cfg = make_cfg("DATALOADER.NUM_WORKERS", 2)
    whole = train_batches(cfg, epoch=1)
    loader = build_train_loader(cfg, build_dataset(cfg), seed=0)
    loader.batch_sampler.set_epoch(1)
    before = set(multiprocessing.active_children())
    batches = iter(loader)
    received = [next(batches), next(batches)]  # one of each worker: both have started
    workers = set(multiprocessing.active_children()) - before
    assert len(workers) == 2
    pids = [str(worker.pid) for worker in workers]
    for name in ("-INT", "-TERM"):
        subprocess.run(["kill", name, *pids], check=True)  # from another process: the parent may end them
    received += batches
    assert all(worker.is_alive() for worker in workers)
    assert same([(images, pids) for images, pids, _ in received], whole)
    # The workers stay for the next epoch.
    loader.batch_sampler.set_epoch(2)
    assert same([(images, pids) for images, pids, _ in loader], train_batches(cfg, epoch=2))
    assert workers <= set(multiprocessing.active_children())


LEAVES_WITH_WORKERS = """
import sys
from yacs.config import CfgNode
from data.build import build_dataset, build_eval_loader
cfg = CfgNode.load_cfg(sys.argv[1])
batches = iter(build_eval_loader(cfg, build_dataset(cfg))[0])
next(batches)
sys.modules["alive until the end"] = batches
sys.exit(3)
"""


def test_a_trainer_that_exits_while_loading_does_not_wait_for_its_workers(make_cfg: MakeCfg) -> None:
    command = [sys.executable, "-c", LEAVES_WITH_WORKERS, make_cfg("DATALOADER.NUM_WORKERS", 2).dump()]
    done = subprocess.run(command, capture_output=True, text=True, timeout=180, check=False)
    assert (done.returncode, done.stderr) == (3, "")


def test_a_trial_kept_on_some_cores_starts_no_more_loader_processes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "cpu_count", lambda: 16)
    for cores, workers in ((16, 8), (6, 6), (1, 1)):
        monkeypatch.setattr(os, "sched_getaffinity", lambda pid, cores=cores: set(range(cores)))
        assert loader_workers(8) == workers
        assert loader_workers(0) == 0


AUGMENTED = [
    *("INPUT.RPT_PROB", 0.5, "INPUT.AUTOAUG_PROB", 0.5, "INPUT.CJ_PROB", 0.5, "INPUT.AFFINE_PROB", 0.5),
    *("INPUT.AUGMIX_PROB", 0.5, "DATALOADER.SAMPLER", "softmax"),
]


def test_augmented_batches_depend_on_seed_epoch_and_place_alone(make_cfg: MakeCfg) -> None:
    cfg = make_cfg(*AUGMENTED)
    whole = train_batches(cfg, epoch=2)
    assert same(train_batches(make_cfg(*AUGMENTED, "DATALOADER.NUM_WORKERS", 2), epoch=2), whole)
    assert same(train_batches(make_cfg(*AUGMENTED, "DATALOADER.CACHE", False), epoch=2, start_batch=2), whole[2:])
    plain = train_batches(make_cfg("DATALOADER.SAMPLER", "softmax"), epoch=2)
    assert not same(plain, whole) and [p.tolist() for _, p in plain] == [p.tolist() for _, p in whole]
    for rank in range(2):
        loader = build_train_loader(cfg, build_dataset(cfg), seed=cfg.SOLVER.SEED)
        loader.batch_sampler.shard(rank, 2)
        loader.batch_sampler.set_epoch(2)
        own = [(images, pids) for images, pids, _ in loader]
        assert same(own, [(images[rank::2], pids[rank::2]) for images, pids in whole])


def test_what_ones_own_file_builds_is_checked(make_cfg: MakeCfg, tmp_path: Path) -> None:
    (tmp_path / "own.py").write_text("def nothing(cfg, *more):\n    return None\n")
    own = f"{tmp_path / 'own.py'}:nothing"
    for key, value, needed in (
        ("INPUT.TRANSFORMS", (own,), "NoneType, not an ImageTransform"),
        ("DATALOADER.SAMPLING", own, "NoneType, not an EpochBatchSampler"),
    ):
        with pytest.raises(DatasetError, match=f"^{key}: .*nothing builds {needed}$"):
            train_batches(make_cfg(key, value), epoch=1)


def test_the_documented_transform_of_ones_own_is_applied(make_cfg: MakeCfg, tmp_path: Path) -> None:
    text = (Path(__file__).parents[2] / "docs" / "trainer-parts.md").read_text(encoding="utf-8")
    section = text.partition("## A transform of your own")[2]
    code = section.partition("```python\n")[2].partition("```")[0].replace("prob=0.2", "prob=1")
    (tmp_path / "fade.py").write_text(code)
    settings = ["INPUT.TRANSFORMS", (f"color_jitter,{tmp_path / 'fade.py'}:fade",)]
    batches = train_batches(make_cfg(*settings, "DATALOADER.NUM_WORKERS", 1), epoch=1)
    assert same(batches, train_batches(make_cfg(*settings), epoch=1))
    assert not same(batches, train_batches(make_cfg(), epoch=1))
