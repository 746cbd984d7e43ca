from __future__ import annotations

import logging
import multiprocessing
import os
import re
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

import engine
from data import DatasetError
from engine.checkpoint import load_newest
from engine.config import load_config
from tests.engine.small_run import write_config
from utils.errors import ConfigError
from utils.logger import NAME

PREFIX = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,\d{3} reid_baseline\.train INFO: ")
ONE_CAMERA = [
    *("DATASETS.NAMES", "folder:market1501", "DATASETS.FOLDER_PATTERN", r"(?P<pid>\d+)_c\ds(?P<camid>1)"),
    *("DATASETS.FOLDER_TRAIN", "bounding_box_train", "DATASETS.FOLDER_GALLERY", "bounding_box_test"),
]
RESULT = re.compile(r"Epoch\[|Validation|mAP|CMC|mINP")


@pytest.fixture(autouse=True)
def quiet() -> Iterator[None]:
    yield
    for log_filter in list(logging.getLogger(NAME).filters):
        logging.getLogger(NAME).removeFilter(log_filter)


def train(config: Path, output: Path, *overrides: str) -> int:
    return engine.train(load_config(str(config), [*overrides, "OUTPUT_DIR", str(output)]))


def messages(output: Path) -> list[str]:
    return [PREFIX.sub("", line) for line in (output / "log.txt").read_text(encoding="utf-8").splitlines()]


def results(output: Path) -> list[str]:
    return [line for line in messages(output) if RESULT.match(line)]


def signal_at(text: str, signum: int = signal.SIGTERM) -> None:
    """Sends this process a real signal as soon as a line with `text` is logged, once."""

    def send(record: logging.LogRecord) -> bool:
        if text in record.getMessage():
            logging.getLogger(NAME).removeFilter(send)
            os.kill(os.getpid(), signum)
        return True

    logging.getLogger(NAME).addFilter(send)


@pytest.fixture(scope="session")
def uninterrupted(small_config: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    output = tmp_path_factory.mktemp("uninterrupted")
    assert train(small_config, output) == 0
    return output


def assert_same(a: object, b: object, place: str) -> None:
    if isinstance(a, dict):
        assert isinstance(b, dict) and a.keys() == b.keys(), place
        for key in a:
            assert_same(a[key], b[key], f"{place}.{key}")
    elif isinstance(a, torch.Tensor):
        assert isinstance(b, torch.Tensor) and torch.equal(a, b), place
    else:
        assert a == b, place


def assert_same_run(ours: Path, theirs: Path) -> None:
    assert results(ours) == results(theirs)
    a, b = load_newest(ours, []), load_newest(theirs, [])
    assert a
    assert b
    assert a[0].name == b[0].name == "checkpoint_epoch_2.pth"
    assert a[1].keys() == b[1].keys()
    for part in ("model", "optimizer", "ema", "scaler", "center"):
        assert_same(a[1][part], b[1][part], part)
    assert a[1]["progress"] == b[1]["progress"]
    assert torch.equal(a[1]["rng"]["torch"], b[1]["rng"]["torch"])


def test_log_lines_are_the_contracts(uninterrupted: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert all(PREFIX.match(line) for line in (uninterrupted / "log.txt").read_text(encoding="utf-8").splitlines())
    number = r"\d+\.\d{3}"
    shapes = [
        *[rf"Epoch\[1\] Iteration\[{i}/4\] Loss: {number}, Acc: {number}, Base Lr: 1\.00e-02" for i in (2, 4)],
        r"Validation Results - Epoch: 1",
        r"mAP: \d+\.\d%",
        *[rf"CMC curve, Rank-{rank:<3}:\d+\.\d%" for rank in (1, 5, 10)],
        r"mINP: \d+\.\d%",
    ]
    first_epoch = results(uninterrupted)[: len(shapes)]
    assert len(results(uninterrupted)) == 2 * len(shapes)
    for line, shape in zip(first_epoch, shapes, strict=True):
        assert re.fullmatch(shape, line), line
    assert any(
        re.fullmatch(rf"Epoch 1 done\. Time per batch: {number}\[s\] Speed: \d+\.\d\[samples/s\]", line)
        for line in messages(uninterrupted)
    )


def test_stdout_has_the_same_lines_as_the_log(
    small_config: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    overrides = ["SOLVER.MAX_EPOCHS", "1", "SOLVER.LOG_PERIOD", "100", "DATALOADER.CACHE_DIR", str(tmp_path / "cache")]
    assert train(small_config, tmp_path, *overrides) == 0
    assert capsys.readouterr().out == (tmp_path / "log.txt").read_text(encoding="utf-8")
    assert messages(tmp_path)[:2] == [f"Making the image cache: {images} images" for images in (32, 15)]
    # Shorter than LOG_PERIOD: the epoch still prints a line.
    assert [line for line in messages(tmp_path) if line.startswith("Epoch[1] Iteration[4/4] ")]


def test_a_stop_while_the_image_cache_is_made_leaves_nothing(
    small_config: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    signal_at("Making the image cache: 15")
    cache = tmp_path / "cache"
    assert train(small_config, tmp_path / "log", "DATALOADER.CACHE_DIR", str(cache)) == 128 + signal.SIGTERM
    lines = [PREFIX.sub("", line) for line in capsys.readouterr().out.splitlines()]
    assert lines[1:] == [
        "Making the image cache: 15 images",
        "Stopped by SIGTERM; the same command continues from here",
    ]
    assert not (tmp_path / "log").exists()
    (kept,) = [path.name for path in cache.iterdir() if path.is_dir()]
    assert kept.startswith("train-")
    assert logging.getLogger(NAME).handlers == []


def test_the_seed_decides_the_run(small_config: Path, uninterrupted: Path, tmp_path: Path) -> None:
    assert train(small_config, tmp_path, "SOLVER.SEED", "1", "SOLVER.MAX_EPOCHS", "1") == 0
    assert results(tmp_path)[0] != results(uninterrupted)[0]


@pytest.mark.parametrize(
    ("at", "checkpoint"),
    [
        ("Epoch[1] Iteration[2/4]", "checkpoint_epoch_1_iteration_2.pth"),  # within an epoch
        ("Epoch 2 done", "checkpoint_epoch_2_iteration_4.pth"),  # while evaluating
        ("checkpoint_epoch_1.pth", "checkpoint_epoch_1.pth"),  # between epochs
    ],
)
def test_sigterm_then_resume_equals_an_uninterrupted_run(
    small_config: Path, uninterrupted: Path, tmp_path: Path, at: str, checkpoint: str
) -> None:
    signal_at(at)
    assert train(small_config, tmp_path) == 143
    found = load_newest(tmp_path, [])
    assert found
    assert found[0].name == checkpoint
    assert train(small_config, tmp_path) == 0
    assert_same_run(tmp_path, uninterrupted)


@pytest.mark.parametrize("work", ["extract_features", "evaluate"])
def test_a_signal_within_an_evaluation_does_not_wait_for_its_end(
    small_config: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, work: str
) -> None:
    def endless(*_arguments: object, **_more: object) -> None:
        threading.Timer(0.2, os.kill, (os.getpid(), signal.SIGTERM)).start()
        time.sleep(60)

    monkeypatch.setattr(f"engine.trainer.{work}", endless)
    started = time.monotonic()
    assert train(small_config, tmp_path, "SOLVER.MAX_EPOCHS", "1") == 143
    assert time.monotonic() - started < 50  # seconds, mostly of training
    assert [path.name for path in tmp_path.glob("*.pth")] == ["checkpoint_epoch_1_iteration_4.pth"]
    assert messages(tmp_path)[-1] == "Stopped by SIGTERM; the same command continues from here"


def test_adam_resumes_exactly_too(small_config: Path, tmp_path: Path) -> None:
    adam = ["SOLVER.OPTIMIZER_NAME", "Adam", "SOLVER.BASE_LR", "0.001", "SOLVER.BETAS", "[0.8,0.99]"]
    adam += ["SOLVER.LAYER_DECAY", "0.7"]
    assert train(small_config, tmp_path / "whole", *adam) == 0
    signal_at("Epoch[2] Iteration[2/4]", signal.SIGINT)
    assert train(small_config, tmp_path / "cut", *adam) == 130
    assert train(small_config, tmp_path / "cut", *adam) == 0
    assert_same_run(tmp_path / "cut", tmp_path / "whole")


def test_everything_else_that_learns_resumes_exactly_too(small_config: Path, tmp_path: Path) -> None:
    everything = [
        *("SOLVER.EMA_DECAY", "0.9", "SOLVER.ACCUMULATE", "2", "SOLVER.CLIP_NORM", "1", "SOLVER.FREEZE_EPOCHS", "1"),
        *("SOLVER.WARMUP_UNIT", "iteration", "SOLVER.WARMUP_ITERS", "6", "SOLVER.SCHEDULE", "cosine"),
        *("MODEL.IF_WITH_CENTER", "yes", "MODEL.POOLING", "gem", "MODEL.ID_LOSS_TYPE", "cosface"),
        *("MODEL.PRECISION", "fp16", "SOLVER.LOG_PERIOD", "1", "SOLVER.DELAY_EPOCHS", "1", "SOLVER.LAYER_DECAY", "0.8"),
        *("INPUT.RPT_PROB", "0.5", "INPUT.CJ_PROB", "0.5", "INPUT.AUGMIX_PROB", "0.5"),
        *("INPUT.INTERPOLATION", "bicubic", "DATALOADER.SAMPLING", "identities"),
    ]
    assert train(small_config, tmp_path / "whole", *everything) == 0
    signal_at("Epoch[2] Iteration[1/4]")  # between two batches of one step, which is done first
    assert train(small_config, tmp_path / "cut", *everything) == 143
    found = load_newest(tmp_path / "cut", [])
    assert found
    assert found[0].name == "checkpoint_epoch_2_iteration_2.pth"
    assert found[1]["ema"] and found[1]["scaler"] and found[1]["center"]
    assert train(small_config, tmp_path / "cut", *everything) == 0
    assert_same_run(tmp_path / "cut", tmp_path / "whole")
    rates = [line.split(" ")[-1] for line in results(tmp_path / "whole") if line.startswith("Epoch[")]
    assert rates[:4] == ["1.00e-04", "1.75e-03", "3.40e-03", "5.05e-03"]  # warming up by iteration


CHANGED = [
    *(
        "SOLVER.BASE_LR",
        "0.005",
        "SOLVER.WEIGHT_DECAY",
        "0.01",
        "SOLVER.BIAS_LR_FACTOR",
        "2.0",
        "SOLVER.MOMENTUM",
        "0.5",
    ),
    *("SOLVER.MARGIN", "0.5", "SOLVER.RESUME_CHANGED", "True"),
]


def test_resume_with_other_settings_takes_them_and_keeps_momenta(small_config: Path, tmp_path: Path) -> None:
    signal_at("checkpoint_epoch_1.pth")
    assert train(small_config, tmp_path) == 143
    before = load_newest(tmp_path, [])
    signal_at("Continuing from")  # before the first batch
    cfg = load_config(str(small_config), [*CHANGED, "OUTPUT_DIR", str(tmp_path)])
    assert engine.train(cfg) == 143
    told = next(line for line in messages(tmp_path) if line.startswith("Momenta and counters are kept"))
    assert "SOLVER.BASE_LR was 0.01, is 0.005; " in told and "SOLVER.MARGIN was 0.3, is 0.5" in told
    assert engine.train(cfg) == 0
    rates = [line.split(" ")[-1] for line in results(tmp_path) if line.startswith("Epoch[")]
    assert rates == ["1.00e-02", "1.00e-02", "5.00e-03", "5.00e-03"]
    after = load_newest(tmp_path, [])
    assert before and after
    groups = after[1]["optimizer"]["param_groups"]
    assert {(group["weight_decay"], group["lr_factor"], group["momentum"]) for group in groups} == {
        (0.01, 1.0, 0.5),
        (0.0005, 2.0, 0.5),
    }
    assert len(before[1]["optimizer"]["param_groups"]) == 1  # the places of parameters are others now


def test_other_settings_are_refused_without_the_key_or_where_nothing_fits(small_config: Path, tmp_path: Path) -> None:
    signal_at("Epoch[1] Iteration[2/4]")
    assert train(small_config, tmp_path) == 143
    with pytest.raises(
        ConfigError,
        match=r"of a run with other settings \(SOLVER.BASE_LR was 0.01, is 0.5\): SOLVER.RESUME_CHANGED True"
        r" resumes with the new ones; else give another",
    ):
        train(small_config, tmp_path, "SOLVER.BASE_LR", "0.5")
    with pytest.raises(ConfigError, match=r"SOLVER.BASE_LR was .*; SOLVER.SEED was 0, is 7\): give another"):
        train(small_config, tmp_path, "SOLVER.BASE_LR", "0.5", "SOLVER.SEED", "7")
    allowed = ["SOLVER.RESUME_CHANGED", "True", "SOLVER.BASE_LR", "0.5"]
    with pytest.raises(ConfigError, match=r"settings \(MODEL.NECK was 'bnneck', is 'no'\): give another"):
        train(small_config, tmp_path, *allowed, "MODEL.NECK", "no")
    with pytest.raises(ConfigError, match=r"settings \(SOLVER.IMS_PER_BATCH was 8, is 4\)"):  # within an epoch
        train(small_config, tmp_path, *allowed, "SOLVER.IMS_PER_BATCH", "4")
    with pytest.raises(ConfigError, match=r"settings \(SOLVER.EMA_DECAY was 0.0, is 0.9\)"):  # there is no average yet
        train(small_config, tmp_path, *allowed, "SOLVER.EMA_DECAY", "0.9")


def test_a_smaller_batch_from_the_end_of_an_epoch_on(small_config: Path, tmp_path: Path) -> None:
    signal_at("checkpoint_epoch_1.pth")
    assert train(small_config, tmp_path) == 143
    assert train(small_config, tmp_path, "SOLVER.IMS_PER_BATCH", "4", "SOLVER.RESUME_CHANGED", "True") == 0
    places = [line.split(" ")[1] for line in results(tmp_path) if line.startswith("Epoch[2]")]
    assert places == [f"Iteration[{number}/8]" for number in (2, 4, 6, 8)]


def test_the_key_alone_changes_no_bit(small_config: Path, uninterrupted: Path, tmp_path: Path) -> None:
    signal_at("Epoch[2] Iteration[2/4]")
    assert train(small_config, tmp_path) == 143
    assert train(small_config, tmp_path, "SOLVER.RESUME_CHANGED", "True") == 0
    assert_same_run(tmp_path, uninterrupted)


def test_resume_with_workers_and_from_a_damaged_checkpoint(
    small_config: Path, uninterrupted: Path, tmp_path: Path
) -> None:
    signal_at("Epoch[2] Iteration[2/4]")
    assert train(small_config, tmp_path) == 143
    damaged = tmp_path / "checkpoint_epoch_2_iteration_2.pth"
    damaged.write_bytes(damaged.read_bytes()[:1000])
    assert train(small_config, tmp_path, "DATALOADER.NUM_WORKERS", "2") == 0
    lines = messages(tmp_path)
    assert [line for line in lines if line.startswith(f"Skipping the checkpoint {damaged}")]
    repeated = [line for line in results(tmp_path) if line.startswith("Epoch[2] Iteration[2/4]")]
    assert len(repeated) == 2
    assert repeated[0] == repeated[1]
    assert results(tmp_path)[-6:] == results(uninterrupted)[-6:]


def test_a_complete_run_repeats_its_results_and_does_nothing(
    small_config: Path, uninterrupted: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    checkpoints = {path: path.stat().st_mtime_ns for path in uninterrupted.glob("*.pth")}
    before = results(uninterrupted)
    # No data are there any more: nothing but the checkpoint is needed.
    assert train(small_config, uninterrupted, "DATASETS.ROOT_DIR", str(tmp_path)) == 0
    out = capsys.readouterr().out.splitlines()
    assert "Already trained to the end" in out[0]
    assert [PREFIX.sub("", line) for line in out[1:]] == before[-6:]
    assert {path: path.stat().st_mtime_ns for path in uninterrupted.glob("*.pth")} == checkpoints
    # The log is appended to; put it back for the other tests.
    log = uninterrupted / "log.txt"
    lines = log.read_text(encoding="utf-8").splitlines(keepends=True)
    assert len(results(uninterrupted)) == len(before) + 6
    log.write_text("".join(lines[: -len(out)]), encoding="utf-8")


def test_more_epochs_continue_a_complete_run(small_config: Path, uninterrupted: Path, tmp_path: Path) -> None:
    assert train(small_config, tmp_path, "SOLVER.MAX_EPOCHS", "1", "SOLVER.EVAL_PERIOD", "5") == 0
    assert train(small_config, tmp_path) == 0
    assert_same_run(tmp_path, uninterrupted)


def test_a_complete_run_is_evaluated_again_where_the_evaluation_has_changed(small_config: Path, tmp_path: Path) -> None:
    once = ["SOLVER.MAX_EPOCHS", "1"]
    assert train(small_config, tmp_path, *once) == 0
    other = [*once, "TEST.NECK_FEAT", "before", "SOLVER.LOG_PERIOD", "1", "DATASETS.MAX_UNREADABLE", "5"]
    assert train(small_config, tmp_path, *other) == 0
    lines = messages(tmp_path)
    assert "Results differ from earlier ones by the settings, too: TEST.NECK_FEAT was 'after', is 'before'" in lines
    assert len([line for line in lines if line.startswith("mAP")]) == 2
    assert train(small_config, tmp_path, *other) == 0  # the results of that evaluation are kept
    assert any(line.startswith("Already trained to the end") for line in messages(tmp_path)[len(lines) :])


def test_fewer_epochs_evaluate_the_one_reached(small_config: Path, uninterrupted: Path, tmp_path: Path) -> None:
    assert train(small_config, tmp_path, "SOLVER.EVAL_PERIOD", "5") == 0
    (tmp_path / "checkpoint_epoch_2.pth").unlink()
    assert train(small_config, tmp_path, "SOLVER.MAX_EPOCHS", "1") == 0
    assert results(tmp_path)[-6:] == results(uninterrupted)[2:8]


def test_evaluation_and_checkpoints_keep_their_periods(small_config: Path, tmp_path: Path) -> None:
    periods = ["SOLVER.MAX_EPOCHS", "3", "SOLVER.EVAL_PERIOD", "2", "SOLVER.CHECKPOINT_PERIOD", "2"]
    assert train(small_config, tmp_path, *periods) == 0
    assert [line[-1] for line in messages(tmp_path) if line.startswith("Validation")] == ["2", "3"]
    assert sorted(path.name for path in tmp_path.glob("*.pth")) == [
        *("best.pth", "checkpoint_epoch_2.pth", "checkpoint_epoch_3.pth")
    ]


def test_another_configuration_in_the_same_folder_is_refused(small_config: Path, uninterrupted: Path) -> None:
    before = sorted(uninterrupted.iterdir())
    with pytest.raises(ConfigError, match=r"MODEL\.NAME was 'resnet18', is 'resnet34'.*another OUTPUT_DIR"):
        train(small_config, uninterrupted, "MODEL.NAME", "resnet34")
    assert sorted(uninterrupted.iterdir()) == before


@pytest.mark.parametrize("log_period", ["1", "100"])
def test_a_diverged_run_logs_the_loss_it_had_and_stops(
    small_config: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], log_period: str
) -> None:
    assert train(small_config, tmp_path, "SOLVER.BASE_LR", "1e30", "SOLVER.LOG_PERIOD", log_period) == 1
    row, last = capsys.readouterr().out.splitlines()[-2:]
    assert re.search(r"Loss: (nan|inf), Acc: ", row)
    assert re.search(r" ERROR: diverged: loss is (nan|inf) at epoch 1, iteration \d$", last)


@pytest.mark.parametrize("cache", ["True", "False"])
def test_too_many_images_that_cannot_be_read_are_a_mistake_whenever_found(tmp_path: Path, cache: str) -> None:
    config = write_config(tmp_path)
    next((tmp_path / "market1501/query").iterdir()).write_bytes(b"no picture")
    overrides = ["DATASETS.MAX_UNREADABLE", "0", "DATALOADER.CACHE", cache, "SOLVER.MAX_EPOCHS", "1"]
    if cache == "True":
        with pytest.raises(DatasetError, match="cannot read the image"):
            train(config, tmp_path / "out", *overrides)
    else:
        assert train(config, tmp_path / "out", *overrides) == 2
        assert "cannot read the image" in messages(tmp_path / "out")[-1]
        assert train(config, tmp_path / "out", "DATASETS.MAX_UNREADABLE", "1", *overrides[2:]) == 0
        left_out = "Left out, since they cannot be read: 1 of 3 queries, 0 of 12 gallery images"
        assert left_out in messages(tmp_path / "out")


def test_an_evaluation_that_failed_is_made_up_for_without_training_again(uninterrupted: Path, tmp_path: Path) -> None:
    config = write_config(tmp_path)
    query = next((tmp_path / "market1501/query").iterdir())
    content = query.read_bytes()
    query.write_bytes(b"no picture")
    overrides = ["DATASETS.MAX_UNREADABLE", "0", "DATALOADER.CACHE", "False", "SOLVER.CHECKPOINT_PERIOD", "2"]
    assert train(config, tmp_path / "out", *overrides) == 2
    found = load_newest(tmp_path / "out", [])
    assert found
    assert found[0].name == "checkpoint_epoch_1_iteration_4.pth"
    query.write_bytes(content)
    assert train(config, tmp_path / "out", *overrides) == 0
    assert_same_run(tmp_path / "out", uninterrupted)


def kill_a_worker_at(text: str) -> None:
    """As the kernel does when memory runs out, as soon as a line with `text` is logged."""

    def kill(record: logging.LogRecord) -> bool:
        if text in record.getMessage():
            logging.getLogger(NAME).removeFilter(kill)
            for worker in multiprocessing.active_children():
                worker.kill()
        return True

    logging.getLogger(NAME).addFilter(kill)


def test_a_killed_worker_leaves_a_checkpoint(
    small_config: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    looks = torch.utils.data.dataloader._MultiProcessingDataLoaderIter._try_get_data
    monkeypatch.setattr(looks, "__defaults__", (0.1,))  # instead of after 5 s
    overrides = ["DATALOADER.NUM_WORKERS", "1", "SOLVER.IMS_PER_BATCH", "4", "SOLVER.LOG_PERIOD", "1"]
    kill_a_worker_at("Epoch[1] Iteration[1/8]")
    assert train(small_config, tmp_path, *overrides) == 1
    last = messages(tmp_path)[-1]
    assert re.search(r"ERROR: DataLoader worker \(pid \d+\) ended by SIGKILL: killed for memory, mostly, or ", last)
    assert last.endswith("no room in /dev/shm; fewer DATALOADER.NUM_WORKERS (1) need less of both")
    found = load_newest(tmp_path, [])
    assert found
    assert 1 <= found[1]["progress"]["iteration"] <= 4  # those that were there


def test_workers_killed_while_they_wait_are_told_of(small_config: Path, tmp_path: Path) -> None:
    kill_a_worker_at("CMC curve, Rank-10")
    overrides = ["DATALOADER.NUM_WORKERS", "1", "SOLVER.MAX_EPOCHS", "2", "SOLVER.EVAL_PERIOD", "1"]
    assert train(small_config, tmp_path, *overrides) == 1
    assert "ended by SIGKILL: killed for memory, mostly, or " in messages(tmp_path)[-1]


def test_nothing_is_gone_on_from_that_has_diverged(small_config: Path, tmp_path: Path) -> None:
    overrides = [
        "SOLVER.BASE_LR",
        "1e30",
        "SOLVER.LOG_PERIOD",
        "100",
        "SOLVER.EVAL_PERIOD",
        "1",
        "SOLVER.MAX_EPOCHS",
        "2",
    ]
    assert train(small_config, tmp_path, *overrides, "DATALOADER.SAMPLER", "softmax") == 1
    assert "ERROR: diverged: " in messages(tmp_path)[-1]
    assert not list(tmp_path.glob("*.pth"))


def test_notes_are_logged(small_config: Path, tmp_path: Path) -> None:
    notes: list[str] = []
    overrides = ["SOLVER.RANGE_K", "2", "SOLVER.MAX_EPOCHS", "1", "OUTPUT_DIR", str(tmp_path)]
    assert engine.train(load_config(str(small_config), overrides, note=notes.append), notes) == 0
    assert messages(tmp_path)[0] == notes[0] == "ignored, since nothing here reads them: SOLVER.RANGE_K"


def test_softmax_trains_on_images_in_any_order(small_config: Path, tmp_path: Path) -> None:
    overrides = ["DATALOADER.SAMPLER", "softmax", "SOLVER.MAX_EPOCHS", "3", "SOLVER.LOG_PERIOD", "100"]
    assert train(small_config, tmp_path, *overrides) == 0
    losses = [float(match[1]) for line in results(tmp_path) if (match := re.search(r"Loss: ([\d.]+)", line))]
    assert len(losses) == 3
    assert losses[-1] < losses[0]


@pytest.mark.parametrize(
    ("overrides", "expected"),
    [
        (["MODEL.DEVICE", "cuda:99"], "MODEL.DEVICE: cuda:99 is not"),
        (["DATASETS.ROOT_DIR", "nowhere"], "nowhere"),
        (["SOLVER.IMS_PER_BATCH", "64"], "identities"),
        (ONE_CAMERA, "no query has a match in the gallery from another camera"),
    ],
)
def test_a_mistake_creates_nothing(small_config: Path, tmp_path: Path, overrides: list[str], expected: str) -> None:
    with pytest.raises((ConfigError, ValueError), match=expected):
        train(small_config, tmp_path / "out", *overrides)
    assert not (tmp_path / "out").exists()
