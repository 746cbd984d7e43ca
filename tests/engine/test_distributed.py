"""Training in two and three processes on the CPU, with the environment torchrun gives them, against one."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
import torch
from yacs.config import CfgNode

import engine
from configs.defaults import _C
from data import ReIDDataset, Sample
from data.build import build_dataset, build_train_loader, shard_range
from data.samplers.base import Draw
from data.samplers.identity import RandomIdentitySampler
from data.samplers.shuffle import ShuffleSampler
from engine.checkpoint import load_newest
from engine.config import load_config
from engine.distributed import ProcessGroup, open_process_group, report_lost_process
from engine.evaluation.features import EvalShard
from engine.learner import Learner
from engine.run import _check_split
from modeling.model import build_model
from tests.engine.processes import in_all
from tests.engine.small_run import write_config
from tests.engine.test_trainer import messages, results, signal_at
from tests.modeling.test_heads import HEAD
from utils.errors import ConfigError, TrainerError

ROOT = Path(__file__).parents[2]
# Rounding differs between one process and two, and grows with every step; a low rate keeps it small.
# So small a rate that float32 noise is not amplified from step to step; exactness is shown in float64 below.
FIXED = ["SOLVER.BASE_LR", "0.00001", "INPUT.RE_PROB", "0.0"]
# More of what differs between processes: centers, an average, a step of two batches.
MORE = ["MODEL.IF_WITH_CENTER", "yes", "SOLVER.EMA_DECAY", "0.5", "SOLVER.ACCUMULATE", "2"]
# Random transforms, of which one takes pixels of images that another process may have.
MORE += ["INPUT.RPT_PROB", "0.5", "INPUT.AUTOAUG_PROB", "0.5", "INPUT.AFFINE_PROB", "0.5"]


def train(config: Path, output: Path, *overrides: str) -> int:
    return engine.train(load_config(str(config), [*FIXED, *overrides, "OUTPUT_DIR", str(output)]))


def train_part(config: Path, output: Path, overrides: Sequence[str], stop_at: str) -> int:
    """Trains in one of two processes; the first gets a signal when it logs `stop_at`."""
    rank = os.environ["RANK"]
    if stop_at and rank == "0":
        signal_at(stop_at)
    try:
        return train(config, output, *overrides)
    except ConfigError as error:
        (output.parent / f"error_{rank}.txt").write_text(str(error), encoding="utf-8")
        return 2


def train_both(config: Path, output: Path, *overrides: str, stop_at: str = "") -> list[int | None]:
    return in_all(2, train_part, config, output, overrides, stop_at)


def learn_exactly(settings: dict[str, Any], path: Path, images_in_batch: int = 8) -> int:
    """Three steps in float64 on the process's part of each batch; the first process writes the weights."""
    cfg = _C.clone()
    cfg.MODEL.NAME, cfg.MODEL.CHANNELS_LAST = "resnet18", False
    cfg.SOLVER.OPTIMIZER_NAME, cfg.SOLVER.WEIGHT_DECAY = "SGD", 0.0
    cfg.merge_from_other_cfg(CfgNode(settings))
    generator = torch.Generator().manual_seed(1)
    pids = torch.tensor([0, 0, 1, 1, 3, 3, 2, 2])[:images_in_batch]
    with open_process_group(torch.device("cpu")) as group:
        torch.manual_seed(0)
        learner = Learner(cfg, build_model(cfg, 4).double(), torch.device("cpu"), group)
        for epoch in (1, 2, 3):
            images = torch.randn(len(pids), 3, 32, 16, generator=generator, dtype=torch.float64)
            learner.start_epoch(epoch)
            mine = slice(group.rank, None, group.size)
            loss, scores, _pids = learner.train_batch(images[mine], pids[mine], rate=0.05, last=True)
            assert len(scores) == len(pids)
        if group.is_first:
            torch.save({**learner.state()["model"], "loss": loss}, path)
    return 0


def newest(output: Path) -> tuple[str, dict[str, Any]]:
    found = load_newest(output, [])
    assert found
    return found[0].name, found[1]


def assert_close(ours: dict[str, Any], theirs: dict[str, Any]) -> None:
    for key, value in ours.items():
        torch.testing.assert_close(value, theirs[key], rtol=1e-3, atol=1e-3, msg=lambda text, key=key: f"{key}: {text}")


ALL_LOSSES = {
    "MODEL": {"IF_WITH_CENTER": "yes", "ID_LOSS_TYPE": "cosface"},
    "SOLVER": {"CENTER_LOSS_WEIGHT": 0.01, "FREEZE_EPOCHS": 1},
}
SEVERAL_BRANCHES = {
    "MODEL": {"HEAD": HEAD, "ALSO_LOSSES": ("center",), "BRANCH_WEIGHTS": (1.0, 0.5, 0.25), "METRIC_FEAT": "after"},
    "SOLVER": {"FREEZE_ITERS": 1},
}


@pytest.mark.parametrize(
    ("settings", "size"),
    [
        pytest.param(ALL_LOSSES, 2, marks=pytest.mark.slow),
        (ALL_LOSSES, 3),
        pytest.param(
            {"DATALOADER": {"SAMPLER": "triplet"}, "MODEL": {"NECK": "no", "METRIC_LOSS_TYPE": "circle"}},
            2,
            marks=pytest.mark.slow,
        ),
        (SEVERAL_BRANCHES, 2),
    ],
    ids=["all losses", "all losses in three", "no identity loss", "several branches"],
)
def test_several_processes_learn_exactly_what_one_does(tmp_path: Path, settings: dict[str, Any], size: int) -> None:
    images = 8 if size == 2 else 6
    assert learn_exactly(settings, tmp_path / "one.pth", images) == 0
    assert in_all(size, learn_exactly, settings, tmp_path / "several.pth", images) == [0] * size
    one, several = (torch.load(tmp_path / f"{name}.pth", weights_only=True) for name in ("one", "several"))
    for key, value in one.items():
        tolerance = 1e-6 if value.dtype == torch.float32 else 1e-9
        torch.testing.assert_close(
            several[key], value, rtol=tolerance, atol=tolerance, msg=lambda t, k=key: f"{k}: {t}"
        )


def test_two_processes_run_as_one_does(small_config: Path, tmp_path: Path) -> None:
    assert train(small_config, tmp_path / "one", *MORE) == 0
    assert train_both(small_config, tmp_path / "two", *MORE) == [0, 0]
    lines = [results(tmp_path / name) for name in ("one", "two")]
    losses = [[float(word) for word in re.findall(r"Loss: (\S+),", " ".join(found))] for found in lines]
    assert len(lines[0]) == len(lines[1]) == 16
    assert len(losses[0]) >= 2  # accuracies and ranks of an untrained network hang on near ties
    assert losses[1] == pytest.approx(losses[0], abs=0.02)
    (_name, ours), (_name, theirs) = newest(tmp_path / "two"), newest(tmp_path / "one")
    assert_close(ours["model"], theirs["model"])
    assert_close(ours["ema"]["weights"], theirs["ema"]["weights"])
    assert_close(ours["center"]["loss"], theirs["center"]["loss"])
    # What the network costs, and the best weights, once whatever the number of processes.
    costs = [line for line in messages(tmp_path / "two") if line.startswith(("Model: ", "Forward pass: "))]
    assert [line.split(" ")[0] for line in costs] == ["Model:", "Forward"]
    kept = torch.load(tmp_path / "two/best.pth", weights_only=True)
    assert f"mAP: {kept['results']['mAP']:.1%}" in lines[1]


def test_a_signal_to_one_stops_both_and_one_process_may_go_on(small_config: Path, tmp_path: Path) -> None:
    statuses = train_both(small_config, tmp_path / "two", stop_at="Epoch[2] Iteration[2/4]")
    assert statuses == [143, 143]
    assert newest(tmp_path / "two")[0] == "checkpoint_epoch_2_iteration_2.pth"
    assert train(small_config, tmp_path / "two") == 0
    assert train(small_config, tmp_path / "one") == 0
    assert_close(newest(tmp_path / "two")[1]["model"], newest(tmp_path / "one")[1]["model"])
    assert [line for line in messages(tmp_path / "two") if "on cpu in 2 processes with" in line]


def image_of_the_second(cfg: CfgNode) -> str:
    """An image of the third batch that the second of two processes is given."""
    dataset = build_dataset(cfg)
    sampler: Any = build_train_loader(cfg, dataset, seed=cfg.SOLVER.SEED).batch_sampler
    sampler.shard(1, 2)
    sampler.set_epoch(1)
    return dataset.train[list(sampler)[2][0].image].path


@pytest.mark.parametrize("training", [True, False], ids=["in training", "in evaluation"])
def test_what_one_process_finds_ends_both_and_is_in_the_log(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], training: bool
) -> None:
    config = write_config(tmp_path)
    overrides = ["DATASETS.MAX_UNREADABLE", "0", "DATALOADER.CACHE", "False"]
    cfg = load_config(str(config), overrides)
    image = image_of_the_second(cfg) if training else max((tmp_path / "market1501/bounding_box_test").iterdir())
    Path(image).write_bytes(b"no picture")
    assert train_both(config, tmp_path / "out", *overrides) == [2, 2]
    assert f"cannot read the image {image}" in messages(tmp_path / "out")[-1]
    iteration = 2 if training else 4
    assert newest(tmp_path / "out")[0] == f"checkpoint_epoch_1_iteration_{iteration}.pth"
    assert "Traceback" not in capfd.readouterr().err


def wait_for_the_other(path: Path) -> int:
    """One of two processes, of which the second leaves without a word."""
    with open_process_group(torch.device("cpu")) as group:
        group.all_reduce_max(0)  # both are connected
        if not group.is_first:
            return 3
        try:
            with report_lost_process(group):
                group.all_reduce_max(0)
        except TrainerError as error:
            path.write_text(str(error), encoding="utf-8")
    return 0


def test_a_process_that_lost_another_says_so(tmp_path: Path) -> None:
    assert in_all(2, wait_for_the_other, tmp_path / "told") == [0, 3]
    told = (tmp_path / "told").read_text(encoding="utf-8")
    assert told.startswith("another of the 2 processes has ended; its output on standard error says why (")


def test_a_batch_that_cannot_be_split_is_told(small_config: Path, tmp_path: Path) -> None:
    overrides = ["DATALOADER.SAMPLER", "softmax", "SOLVER.IMS_PER_BATCH", "9"]
    assert train_both(small_config, tmp_path / "out", *overrides) == [2, 2]
    for rank in (0, 1):
        told = (tmp_path / f"error_{rank}.txt").read_text(encoding="utf-8")
        assert told.startswith("SOLVER.IMS_PER_BATCH: 9 cannot be split among 2 processes")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("softmax", [True, False])
def test_the_parts_of_a_batch_are_the_batch_augmentation_too(softmax: bool) -> None:
    def batches(rank: int, world_size: int) -> list[list[Draw]]:
        pids = [number // 5 for number in range(51)]
        sampler = ShuffleSampler(51, 8, seed=3) if softmax else RandomIdentitySampler(pids, 8, 4, seed=3)
        sampler.shard(rank, world_size)
        sampler.set_epoch(2, start_batch=1)
        found = list(sampler)
        assert len(found) == len(sampler) - 1
        return found

    whole, parts = batches(0, 1), [batches(rank, 2) for rank in (0, 1)]
    if softmax:
        left_out = whole[-1].pop().image  # by which two processes cannot share the epoch
        others = [tuple(image for image in draw.batch if image != left_out) for draw in whole[-1]]
        whole[-1] = [draw._replace(batch=batch) for draw, batch in zip(whole[-1], others, strict=True)]
    for batch, *shares in zip(whole, *parts, strict=True):
        assert len(shares[0]) == len(shares[1])
        assert sorted(batch) == sorted(shares[0] + shares[1])


def test_who_normalises_alone_is_left_two_images_of_the_last_batch() -> None:
    sampler = ShuffleSampler(51, 8, seed=3)  # 50 for two processes: six batches of 8 and 2 more
    assert [len(part) for part in _sharded(sampler, own_statistics=False)] == [4] * 6 + [1]
    assert [len(part) for part in _sharded(sampler, own_statistics=True)] == [4] * 5 + [5]


def _sharded(sampler: ShuffleSampler, *, own_statistics: bool) -> list[list[Draw]]:
    sampler.shard(1, 2, own_statistics=own_statistics)
    return list(sampler)


def test_one_image_a_process_is_no_batch_to_normalise_alone() -> None:
    cfg = _C.clone()
    cfg.merge_from_list(["DATALOADER.SAMPLER", "softmax", "SOLVER.IMS_PER_BATCH", 2])
    _check_split(cfg, ProcessGroup(0, 2))
    cfg.MODEL.SYNC_BN = False
    _check_split(cfg, ProcessGroup())
    with pytest.raises(
        ConfigError, match=r"2 leaves each of 2 processes one image.*at least 4, or MODEL\.SYNC_BN True"
    ):
        _check_split(cfg, ProcessGroup(0, 2))


class Recording(ProcessGroup):
    """Notes the sizes of parts instead of exchanging them."""

    counts: ClassVar[list[list[int]]] = []

    def all_gather_rows(self, rows: torch.Tensor, counts: list[int]) -> torch.Tensor:
        assert len(rows) == counts[self.rank]
        self.counts.append(counts)
        return rows


def test_each_process_evaluates_its_shard() -> None:
    samples = tuple(Sample(str(number), number, 0) for number in range(13))
    dataset = ReIDDataset("x", (), samples[:5], samples[5:])
    shards = [shard_range(13, rank, 3) for rank in range(3)]
    assert [image for part in shards for image in part] == list(range(13))
    for rank, part in enumerate(shards):
        own = torch.zeros(len(part), 2), np.array(part), np.array(part)
        EvalShard(dataset, Recording(rank, 3)).all_gather(own)
    assert Recording.counts == [[len(part) for part in shards]] * 9


@pytest.mark.slow
def test_torchrun_starts_them(small_config: Path, tmp_path: Path) -> None:
    command = [
        *(sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"),
        *(str(ROOT / "tools/train.py"), "--cfg", str(small_config), "OUTPUT_DIR", str(tmp_path / "out")),
    ]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    ended = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=200, check=False)
    assert ended.returncode == 0, ended.stderr
    assert ended.stdout == (tmp_path / "out/log.txt").read_text(encoding="utf-8")  # one process prints
    assert "in 2 processes" in ended.stdout
