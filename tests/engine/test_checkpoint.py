from __future__ import annotations

import random
import resource
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from engine.checkpoint import (
    changed_settings,
    checkpoint_name,
    list_checkpoints,
    load_newest,
    rng_state,
    save_checkpoint,
    set_rng_state,
)
from engine.config import load_config
from utils.errors import TrainerError


def state(epoch: int, iteration: int = 0, size: int = 8) -> dict[str, Any]:
    return {
        "model": {"weight": torch.full((size,), float(epoch))},
        "optimizer": {},
        "ema": {},
        "scaler": {},
        "center": {},
        "rng": rng_state(),
        "progress": {"epoch": epoch, "iteration": iteration, "results": None},
        "means": {},
        "num_classes": 3,
        "config": "",
    }


def newest(folder: Path) -> tuple[str, list[str]]:
    warnings: list[str] = []
    found = load_newest(folder, warnings)
    return found[0].name if found else "", warnings


def test_names_sort_by_progress(tmp_path: Path) -> None:
    positions = [(2, 0), (3, 4), (3, 11), (4, 0), (11, 0)]  # after epoch 1, within 3, after 3, after 10
    for position in positions:
        (tmp_path / checkpoint_name(*position)).touch()
    (tmp_path / "checkpoint_epoch_99.pth.tmp").touch()
    assert [path.name for path in list_checkpoints(tmp_path)] == [checkpoint_name(*p) for p in reversed(positions)]
    assert checkpoint_name(4, 0) == "checkpoint_epoch_3.pth"


def test_the_newest_and_the_one_before_are_kept(tmp_path: Path) -> None:
    (tmp_path / "checkpoint_epoch_1.pth.tmp").write_bytes(b"of a killed process")
    for position in [(2, 0), (3, 0), (3, 5), (4, 0)]:
        save_checkpoint(tmp_path, state(*position))
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "checkpoint_epoch_3.pth",
        "checkpoint_epoch_3_iteration_5.pth",
    ]


def test_nothing_there_is_no_checkpoint(tmp_path: Path) -> None:
    assert newest(tmp_path) == ("", [])
    assert newest(tmp_path / "missing") == ("", [])


@pytest.mark.parametrize("damage", ["truncated", "empty", "flipped", "foreign", "pickle"])
def test_a_damaged_checkpoint_is_skipped_for_the_one_before(tmp_path: Path, damage: str) -> None:
    save_checkpoint(tmp_path, state(2))
    path = save_checkpoint(tmp_path, state(3, size=4096))
    content = bytearray(path.read_bytes())
    if damage == "truncated":
        content = content[: len(content) // 2]
    elif damage == "empty":
        content.clear()
    elif damage == "flipped":
        place = content.index(np.float32(3).tobytes() * 100) + 200
        content[place] ^= 1
    if damage == "foreign":
        torch.save({"format": 1}, path)
    elif damage == "pickle":
        torch.save(Path("an object, not data"), path)
    else:
        path.write_bytes(content)
    name, warnings = newest(tmp_path)
    assert name == "checkpoint_epoch_1.pth"
    assert len(warnings) == 1
    assert str(path) in warnings[0]
    assert "\n" not in warnings[0]
    # The run goes on from the one before; the damaged one must not outlive it.
    save_checkpoint(tmp_path, state(2, 7))
    assert newest(tmp_path) == ("checkpoint_epoch_2_iteration_7.pth", [])


def test_a_full_disk_leaves_the_last_checkpoint(tmp_path: Path) -> None:
    save_checkpoint(tmp_path, state(2))
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, hard))
    try:
        with pytest.raises(TrainerError, match=r"cannot write the checkpoint .*epoch_2\.pth: File too large"):
            save_checkpoint(tmp_path, state(3, size=100_000))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert [path.name for path in tmp_path.iterdir()] == ["checkpoint_epoch_1.pth"]


def test_random_state_survives_a_checkpoint(tmp_path: Path) -> None:
    def draw() -> list[float]:
        return [random.gauss(0, 1), float(np.random.standard_normal()), float(torch.randn(()))]

    draw()  # leaves half a pair of Gaussians cached in Python's and numpy's generators
    save_checkpoint(tmp_path, state(2))
    expected = [draw(), draw()]
    found = load_newest(tmp_path, [])
    assert found
    set_rng_state(found[1]["rng"])
    assert [draw(), draw()] == expected


def test_settings_that_decide_results_may_not_change(small_config: Path) -> None:
    saved = load_config(str(small_config)).dump()
    free = ["OUTPUT_DIR", "y", "SOLVER.MAX_EPOCHS", "9", "WANDB.ENABLE", "True", "DATALOADER.NUM_WORKERS", "1"]
    assert changed_settings(load_config(str(small_config), free), saved) == {}
    changed = changed_settings(load_config(str(small_config), ["SOLVER.BASE_LR", "0.5"]), saved)
    assert list(changed.values()) == ["SOLVER.BASE_LR was 0.01, is 0.5"]


def test_the_length_of_a_cosine_schedule_decides_results(small_config: Path) -> None:
    saved = load_config(str(small_config), ["SOLVER.SCHEDULE", "cosine"]).dump()
    longer = load_config(str(small_config), ["SOLVER.SCHEDULE", "cosine", "SOLVER.MAX_EPOCHS", "9"])
    assert list(changed_settings(longer, saved).values()) == ["SOLVER.MAX_EPOCHS was 2, is 9"]


def test_a_key_added_since_counts_as_its_default(small_config: Path) -> None:
    saved = load_config(str(small_config)).dump().replace("  GAMMA: 0.1\n", "")
    assert "GAMMA" not in saved
    assert changed_settings(load_config(str(small_config)), saved) == {}
    assert changed_settings(load_config(str(small_config), ["SOLVER.GAMMA", "0.5"]), saved) != {}
