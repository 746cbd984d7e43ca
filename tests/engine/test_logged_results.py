"""What a distributed training logs is what tools/test.py measures with its checkpoint, whatever the processes share."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from itertools import product
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import engine
from engine.config import load_config
from engine.inference import test_run as run_test
from tests.engine.processes import free_port, in_all
from tests.engine.small_run import write_config
from tests.engine.test_trainer import messages

SHARED = ("MODEL.SYNC_BN", "SOLVER.EMA_DECAY", "SOLVER.ACCUMULATE")
# Twelve images can be split among two and three processes.
FIXED = ["SOLVER.MAX_EPOCHS", "1", "SOLVER.IMS_PER_BATCH", "12", "SOLVER.LOG_PERIOD", "1"]
ALL = list(product(("True", "False"), ("0.0", "0.5"), ("1", "2")))

Settings = Mapping[str, Sequence[str]]


def words_of(values: Sequence[str]) -> list[str]:
    return [word for key, value in zip(SHARED, values, strict=True) for word in (key, value)]


def train_each(config: Path, folder: Path, settings: Settings, ports: Sequence[int]) -> int:
    """Trains with each of the settings in turn, in this process and the others."""
    for (name, words), port in zip(settings.items(), ports, strict=True):
        os.environ["MASTER_PORT"] = str(port)
        if engine.train(load_config(str(config), [*FIXED, *words, "OUTPUT_DIR", str(folder / name)])):
            return 1
    return 0


def assert_logged_is_measured(config: Path, folder: Path, size: int, settings: Settings) -> None:
    ports = [free_port() for _ in settings]
    assert in_all(size, train_each, config, folder, settings, ports) == [0] * size
    for name in settings:
        said: list[str] = []
        run_test(load_config(str(config), ["OUTPUT_DIR", str(folder / name)]), "", 0, folder, said.append)
        measured = [line for line in said if line.startswith(("mAP", "CMC", "mINP"))]
        logged = [line for line in messages(folder / name) if line.startswith(("mAP", "CMC", "mINP"))]
        assert len(logged) == 5
        assert logged == measured, name


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small run evaluated on noise, which any change of the running statistics ranks in another order."""
    folder = tmp_path_factory.mktemp("noise")
    path = write_config(folder)
    rng = np.random.default_rng(5)
    for split, camera in (("query", 1), ("bounding_box_test", 2)):
        for file in (folder / "market1501" / split).iterdir():
            file.unlink()
        for pid, number in product(range(11, 31), range(2)):
            pixels = rng.integers(0, 256, (32, 16, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(folder / "market1501" / split / f"{pid:04d}_c{camera}s1_{number:06d}_00.png")
    return path


def test_what_two_processes_log_is_what_their_checkpoint_gives(config: Path, tmp_path: Path) -> None:
    """The settings in which processes share least, and those in which they share nothing but the gradient."""
    chosen = [("False", "0.5", "2"), ("False", "0.0", "1")]
    assert_logged_is_measured(config, tmp_path, 2, {"-".join(values): words_of(values) for values in chosen})


@pytest.mark.slow
@pytest.mark.parametrize("size", [2, 3])
def test_what_processes_log_is_what_their_checkpoint_gives(config: Path, tmp_path: Path, size: int) -> None:
    assert_logged_is_measured(config, tmp_path, size, {"-".join(values): words_of(values) for values in ALL})
