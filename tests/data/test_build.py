from __future__ import annotations

import multiprocessing
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from PIL import Image
from yacs.config import CfgNode

from data import DatasetError
from data.build import build_dataset, build_eval_loader, build_train_loader, read_image

MakeCfg = Callable[..., CfgNode]
Batches = list[tuple[torch.Tensor, torch.Tensor]]


def train_batches(cfg: CfgNode, epoch: int, start_batch: int = 0) -> Batches:
    loader = build_train_loader(cfg, build_dataset(cfg), seed=cfg.SOLVER.SEED)
    loader.batch_sampler.set_epoch(epoch, start_batch)
    return [(images, pids) for images, pids in loader]


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
        assert (
            pids.shape == (4,) and pids.dtype == torch.int64 and 0 <= int(pids.min()) <= int(pids.max()) < 4
        )
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
    assert [pid for _, pids, _, _ in batches for pid in pids.tolist()] == [5, 6, 0, 5, 6]
    assert [camid for _, _, camids, _ in batches for camid in camids.tolist()] == [0, 1, 2, 1, 11]
    assert [path for *_, paths in batches for path in paths] == [
        s.path for s in dataset.query + dataset.gallery
    ]


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


@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize("damage", ["empty", "cut short", "text", "gone"])
def test_an_unreadable_image_is_one_line_that_names_it(make_cfg: MakeCfg, workers: int, damage: str) -> None:
    cfg = make_cfg("DATALOADER.NUM_WORKERS", workers)
    dataset = build_dataset(cfg)
    victim = Path(dataset.train[5].path)
    content = victim.read_bytes()
    if damage == "gone":
        victim.unlink()
    else:
        victim.write_bytes(
            {"empty": b"", "cut short": content[: len(content) - 60], "text": b"hello"}[damage]
        )
    try:  # not pytest.raises, which keeps the loader's frames and with them its workers
        batches = list(build_train_loader(cfg, dataset, seed=0))
    except DatasetError as error:
        text = str(error)
    else:
        pytest.fail(f"{len(batches)} batches, no error")
    assert str(victim) in text and "\n" not in text


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
    assert same([(images, pids) for images, pids in received], whole)
    # The workers stay for the next epoch.
    loader.batch_sampler.set_epoch(2)
    assert same([(images, pids) for images, pids in loader], train_batches(cfg, epoch=2))
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
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stderr) == (3, "")
