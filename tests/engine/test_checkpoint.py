from __future__ import annotations

import os
import random
import resource
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from configs.defaults import _C
from configs.kinds import KEYS
from engine.checkpoint import load_newest, rng_state, save_checkpoint, set_rng_state
from engine.config import flatten, load_config
from engine.output_dir import checkpoint_name, list_checkpoints
from engine.saved_settings import changed_evaluation, changed_settings, fixed_settings
from utils.errors import ConfigError, TrainerError


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
    for name in ("checkpoint_epoch_1.pth.tmp", "best.pth.tmp"):
        (tmp_path / name).write_bytes(b"of a killed process")
    for position in [(2, 0), (3, 0), (3, 5), (4, 0)]:
        save_checkpoint(tmp_path, state(*position))
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "checkpoint_epoch_3.pth",
        "checkpoint_epoch_3_iteration_5.pth",
    ]


def test_nothing_there_is_no_checkpoint(tmp_path: Path) -> None:
    assert newest(tmp_path) == ("", [])
    assert newest(tmp_path / "missing") == ("", [])


@pytest.mark.parametrize("damage", ["truncated", "empty", "zeros", "flipped"])
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
    elif damage == "zeros":  # as a file system leaves a file after a power cut
        content = bytearray(len(content))
    path.write_bytes(content)
    name, warnings = newest(tmp_path)
    assert name == "checkpoint_epoch_1.pth"
    assert len(warnings) == 1
    assert str(path) in warnings[0]
    assert "\n" not in warnings[0]
    # The run goes on from the one before; the damaged one must not outlive it.
    save_checkpoint(tmp_path, state(2, 7))
    assert newest(tmp_path) == ("checkpoint_epoch_2_iteration_7.pth", [])


def make_unreadable(path: Path, how: str) -> None:
    """Makes a checkpoint one that cannot be read now, though it is not torn."""
    if how == "format 1":
        torch.save({**state(3), "format": 1}, path)
    elif how == "no parts":
        torch.save({"format": 2}, path)
    elif how == "an object":
        torch.save(Path("an object, not data"), path)
    elif how == "old torch":
        torch.save(state(3), path, _use_new_zipfile_serialization=False)
    elif how == "a pointer":  # of Git LFS
        path.write_text("version https://git-lfs.github.com/spec/v1\n")
    else:
        path.unlink()
        # A process's own memory begins with a page that cannot be read: EIO.
        path.symlink_to({"a loop": path.name, "EIO": "/proc/self/mem", "a folder": ".", "gone": "nowhere"}[how])


@pytest.mark.parametrize(
    ("how", "reason"),
    [
        ("format 1", "its format is 1, this version reads 2"),
        ("no parts", "its parts differ: center, config"),
        ("an object", "Weights only load failed"),
        ("old torch", "it does not begin as this trainer begins one"),
        ("a pointer", "it does not begin as this trainer begins one"),
        ("a loop", "Too many levels of symbolic links"),
        ("EIO", "Input/output error"),
        ("a folder", "Is a directory"),
        ("gone", "No such file or directory"),
    ],
)
def test_a_checkpoint_that_cannot_be_read_now_ends_the_run_with_nothing_deleted(
    tmp_path: Path, how: str, reason: str
) -> None:
    save_checkpoint(tmp_path, state(2))
    path = save_checkpoint(tmp_path, state(3))
    make_unreadable(path, how)
    with pytest.raises(ConfigError) as caught:
        newest(tmp_path)
    (told,) = str(caught.value).splitlines()
    assert told.startswith(f"cannot resume from the checkpoint {path}: {reason}")
    assert "Nothing was changed: make it readable or move it away" in told
    assert sorted(os.listdir(tmp_path)) == ["checkpoint_epoch_1.pth", "checkpoint_epoch_2.pth"]
    # A run that resumes from another one leaves it alone, too, whether it is later or earlier.
    save_checkpoint(tmp_path, state(2, 7))
    for epoch in (4, 5, 6):
        save_checkpoint(tmp_path, state(epoch))
    assert sorted(os.listdir(tmp_path)) == [f"checkpoint_epoch_{epoch}.pth" for epoch in (2, 4, 5)]


def test_too_little_memory_is_no_damage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = save_checkpoint(tmp_path, state(2))

    def fail(*_arguments: object, **_more: object) -> None:
        raise RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes.")

    monkeypatch.setattr(torch, "load", fail)
    with pytest.raises(ConfigError, match="can't allocate memory"):
        newest(tmp_path)
    assert path.exists()


def test_a_folder_that_cannot_be_listed_is_not_taken_for_an_empty_one(tmp_path: Path) -> None:
    (tmp_path / "loop").symlink_to("loop")
    with pytest.raises(ConfigError, match=r"OUTPUT_DIR: cannot list the folder .*loop: Too many levels of symbolic"):
        newest(tmp_path / "loop")


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


def test_every_setting_has_one_kind() -> None:
    keys = [key for keys in KEYS.values() for key in keys]
    assert len(keys) == len(set(keys))
    known = flatten(_C)
    sections = tuple(key.removesuffix("*") for key in keys if key.endswith(".*"))
    assert not [key for key in keys if key not in known and not key.endswith(".*")]
    assert not [key for key in known if key not in keys and not key.startswith(sections)], "give these a kind"


@pytest.mark.parametrize(
    ("key", "value"),
    [
        *(("DATASETS.MAX_UNREADABLE", "99"), ("DATALOADER.NUM_WORKERS", "3"), ("DATALOADER.CACHE", "False")),
        *(("SOLVER.LOG_PERIOD", "7"), ("SOLVER.EVAL_PERIOD", "7"), ("SOLVER.CHECKPOINT_PERIOD", "7")),
        *(("TEST.FLIP", "True"), ("TEST.RE_RANKING", "yes"), ("TEST.NECK_FEAT", "before"), ("TEST.FEAT_NORM", "no")),
        *(("INPUT.SIZE_TEST", "[16,16]"), ("DATASETS.TEST_NAMES", "veri"), ("DATASETS.FOLDER_QUERY", "q")),
        *(("SOLVER.DETERMINISTIC", "True"), ("MODEL.CHANNELS_LAST", "False"), ("MODEL.DEVICE", "cuda")),
        *(("WANDB.PROJECT", "p"), ("MODEL.PRETRAIN_PATH", "w.pth"), ("TEST.IMS_PER_BATCH", "3")),
    ],
)
def test_settings_that_do_not_change_the_training_may_change(small_config: Path, key: str, value: str) -> None:
    saved = load_config(str(small_config)).dump()
    changed = load_config(str(small_config), [key, value])
    assert changed_settings(changed, saved) == {}
    measured = key.startswith(("TEST.", "INPUT.", "DATASETS.TEST", "DATASETS.FOLDER")) and key != "TEST.IMS_PER_BATCH"
    assert list(changed_evaluation(changed, saved)) == ([key] if measured else [])


@pytest.mark.parametrize(
    ("key", "value"),
    [
        *(("MODEL.LAST_STRIDE", "2"), ("INPUT.PIXEL_MEAN", "[0.1,0.1,0.1]"), ("MODEL.SYNC_BN", "False")),
        *(("SOLVER.SEED", "3"), ("DATASETS.FOLDER_TRAIN", "t"), ("INPUT.SIZE_TRAIN", "[16,16]")),
    ],
)
def test_settings_that_are_trained_with_never_change(small_config: Path, key: str, value: str) -> None:
    saved = load_config(str(small_config)).dump()
    cfg = load_config(str(small_config), [key, value, "SOLVER.RESUME_CHANGED", "True"])
    assert fixed_settings(changed_settings(cfg, saved), cfg, saved, within_epoch=False) == [key]


def test_the_length_of_a_cosine_schedule_decides_results(small_config: Path) -> None:
    saved = load_config(str(small_config), ["SOLVER.SCHEDULE", "cosine"]).dump()
    longer = load_config(str(small_config), ["SOLVER.SCHEDULE", "cosine", "SOLVER.MAX_EPOCHS", "9"])
    assert list(changed_settings(longer, saved).values()) == ["SOLVER.MAX_EPOCHS was 2, is 9"]


def test_a_key_added_since_counts_as_its_default(small_config: Path) -> None:
    saved = load_config(str(small_config)).dump().replace("  GAMMA: 0.1\n", "")
    assert "GAMMA" not in saved
    assert changed_settings(load_config(str(small_config)), saved) == {}
    assert changed_settings(load_config(str(small_config), ["SOLVER.GAMMA", "0.5"]), saved) != {}


def test_a_margin_of_0_is_the_soft_margin_of_older_checkpoints(small_config: Path) -> None:
    saved = load_config(str(small_config)).dump().replace("  NO_MARGIN: false\n", "")
    assert "NO_MARGIN" not in saved and "  MARGIN: 0.3\n" in saved
    saved = saved.replace("  MARGIN: 0.3\n", "  MARGIN: 0.0\n")
    soft, hinge = load_config(str(small_config), ["MODEL.NO_MARGIN", "True"]), load_config(str(small_config))
    assert changed_settings(soft, saved) == {}
    assert changed_settings(hinge, saved).keys() == {"SOLVER.MARGIN", "MODEL.NO_MARGIN"}
