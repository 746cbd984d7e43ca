"""The best weights of a run, in a file of their own."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest
import torch
from torch import Tensor
from yacs.config import CfgNode

from configs.defaults import _C
from engine import inference
from engine.checkpoint import list_checkpoints
from engine.config import load_config
from engine.evaluation.best import BestWeights
from engine.evaluation.evaluate import Results
from modeling.weights.files import read_state_dict
from tests.engine.test_trainer import messages, train
from utils.errors import ConfigError


def config(folder: Path, **solver: object) -> CfgNode:
    cfg = _C.clone()
    cfg.OUTPUT_DIR = str(folder)
    cfg.SOLVER.update(solver)
    return cfg


def results(mAP: float, epoch: int = 1) -> Results:
    return Results(epoch, mAP, (mAP, mAP, mAP), mAP)


def weights(value: float) -> dict[str, Tensor]:
    return {"weight": torch.full((2,), value)}


def content(folder: Path) -> float:
    return float(read_state_dict(str(folder / "best.pth"))["weight"][0])


def test_a_higher_map_replaces_the_file_and_an_equal_one_does_not(tmp_path: Path) -> None:
    best = BestWeights(config(tmp_path), resumed=False)
    told = [best.offer(results(mAP, epoch), weights(epoch), 5) for epoch, mAP in enumerate((0.0, 0.3, 0.3, 0.2, 0.4))]
    line = f"Best weights so far: {tmp_path / 'best.pth'}"
    assert told == [line, line, None, None, line] and best.notes == []
    assert content(tmp_path) == 4.0
    assert os.listdir(tmp_path) == ["best.pth"] and list_checkpoints(tmp_path) == []


@pytest.mark.parametrize("resumed", [True, False])
def test_another_process_goes_by_the_map_in_the_file(tmp_path: Path, resumed: bool) -> None:
    BestWeights(config(tmp_path), resumed=False).offer(results(0.3), weights(1), 5)
    again = BestWeights(config(tmp_path, MAX_EPOCHS=200), resumed=resumed)
    assert again.notes == [] and again.offer(results(0.3), weights(2), 5) is None and content(tmp_path) == 1.0
    assert again.offer(results(0.31), weights(3), 5) and content(tmp_path) == 3.0


def test_a_map_of_another_evaluation_is_not_compared(tmp_path: Path) -> None:
    BestWeights(config(tmp_path), resumed=False).offer(results(0.9), weights(1), 5)
    cfg = config(tmp_path)
    cfg.TEST.RE_RANKING = "yes"
    again = BestWeights(cfg, resumed=True)
    assert again.notes == [
        f"The best weights {tmp_path / 'best.pth'} are of other settings (TEST.RE_RANKING was 'no', is 'yes'): the next"
        " evaluation replaces them"
    ]
    assert content(tmp_path) == 1.0  # until then
    assert again.offer(results(0.1), weights(2), 5) and content(tmp_path) == 2.0


def test_other_training_settings_are_of_the_run_where_it_resumes(tmp_path: Path) -> None:
    BestWeights(config(tmp_path), resumed=False).offer(results(0.9), weights(1), 5)
    changed = config(tmp_path, BASE_LR=0.5)
    assert BestWeights(changed, resumed=True).offer(results(0.1), weights(2), 5) is None
    fresh = BestWeights(changed, resumed=False)
    assert "SOLVER.BASE_LR was 0.00035, is 0.5" in fresh.notes[0] and fresh.offer(results(0.1), weights(2), 5)


def test_a_damaged_file_is_replaced(tmp_path: Path) -> None:
    BestWeights(config(tmp_path), resumed=False).offer(results(0.9), weights(1), 5)
    path = tmp_path / "best.pth"
    path.write_bytes(path.read_bytes()[:-200])
    again = BestWeights(config(tmp_path), resumed=True)
    assert len(again.notes) == 1 and "best.pth are damaged (" in again.notes[0]
    assert again.offer(results(0.1), weights(2), 5) and content(tmp_path) == 2.0


@pytest.mark.parametrize("how", ["gone", "EIO", "of another program", "another format"])
def test_a_file_that_cannot_be_read_now_stays_and_ends_nothing(tmp_path: Path, how: str) -> None:
    path = tmp_path / "best.pth"
    if how == "of another program":
        path.write_text("version https://git-lfs.github.com/spec/v1\n")
    elif how == "another format":
        torch.save({"format": 99}, path)
    else:
        path.symlink_to({"gone": "nowhere", "EIO": "/proc/self/mem"}[how])
    before = os.lstat(path)
    best = BestWeights(config(tmp_path), resumed=True)
    assert len(best.notes) == 1 and "cannot be read (" in best.notes[0] and "the file stays" in best.notes[0]
    assert best.offer(results(0.9), weights(1), 5) is None
    assert os.lstat(path) == before


def test_a_full_disk_is_one_line_and_tried_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(path: Path, write: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    best = BestWeights(config(tmp_path), resumed=False)
    with monkeypatch.context() as patched:
        patched.setattr("engine.checkpoint.write_atomically", full)
        assert best.offer(results(0.9), weights(1), 5) == (
            f"cannot write the best weights {tmp_path / 'best.pth'}: No space left on device; training continues without"
            " them"
        )
    assert best.offer(results(0.8), weights(1), 5)


def test_the_key_switches_it_off(tmp_path: Path) -> None:
    best = BestWeights(config(tmp_path, KEEP_BEST=False), resumed=False)
    assert best.offer(results(0.9), weights(1), 5) is None and os.listdir(tmp_path) == []


def test_without_the_file_best_is_a_mistake(tmp_path: Path) -> None:
    cfg = config(tmp_path)
    with pytest.raises(ConfigError, match=r"no best weights: .*best.pth does not exist"):
        inference.find_weights(cfg, "best")
    (tmp_path / "best.pth").touch()
    assert inference.find_weights(cfg, "best") == str(tmp_path / "best.pth")
    assert inference.find_weights(cfg, "./best") == "./best"


def test_what_a_run_keeps_has_the_map_that_was_logged(small_config: Path, tmp_path: Path) -> None:
    """Averaged weights of the best epoch of three; the run is stopped between, and resumed."""
    words = ["SOLVER.EMA_DECAY", "0.5", "SOLVER.BASE_LR", "0.1"]
    assert train(small_config, tmp_path, *words, "SOLVER.MAX_EPOCHS", "1") == 0
    assert train(small_config, tmp_path, *words, "SOLVER.MAX_EPOCHS", "3") == 0
    lines = messages(tmp_path)
    logged = [line for line in lines if line.startswith("mAP: ")]
    kept = [line for line in lines if line.startswith("Best weights so far: ")]
    assert len(logged) == 3 and len(kept) == len({max(logged[: n + 1], key=percent) for n in range(3)})
    said: list[str] = []
    cfg = load_config(str(small_config), [*words, "OUTPUT_DIR", str(tmp_path)], for_training=False)
    inference.test_run(cfg, "best", 0, tmp_path, said.append)
    assert max(logged, key=percent) in said
    state = torch.load(tmp_path / "best.pth", weights_only=True)
    assert f"mAP: {state['results']['mAP']:.1%}" in said
    assert state["results"]["epoch"] == 1 + logged.index(max(logged, key=percent))
    assert sorted(path.name for path in tmp_path.glob("*.pth")) == [
        "best.pth", "checkpoint_epoch_2.pth", "checkpoint_epoch_3.pth"
    ]  # fmt: skip
    assert (tmp_path / "best.pth").stat().st_size < (tmp_path / "checkpoint_epoch_3.pth").stat().st_size / 2


def percent(line: str) -> float:
    return float(line.removeprefix("mAP: ").removesuffix("%"))
