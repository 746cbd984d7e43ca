"""Beside a profile's patterns, lines that look like metrics are read for what no pattern names."""

from __future__ import annotations

from pathlib import Path

import pytest

from yacs_sweep.logs.parser import LogParser
from yacs_sweep.logs.patterns import LogFormat
from yacs_sweep.logs.sources import Row
from yacs_sweep.records.folder import TrialPaths
from yacs_sweep.trainers.load import load_profile
from yacs_sweep.trial.output import MetricReader

ROOT = Path(__file__).resolve().parents[3]
PATTERNS = """
metrics:
  - pattern: '^Epoch (?P<epoch>\\d+)'
    log: {epoch: epoch}
  - pattern: 'mAP = (?P<v>{number})%'
    log: {val/mAP: v}
  - pattern: 'Rank-(?P<rank>\\d+) = (?P<v>{number})%'
    log: {'val/rank_{rank}': v}
"""


def load(folder: Path, text: str) -> LogFormat:
    (folder / "p.yaml").write_text(f"command: [t]\n{text}")
    return load_profile(folder / "p.yaml", project_root=folder).metrics


def parse(log_format: LogFormat, log: str) -> list[Row]:
    parser = LogParser(log_format)
    return parser.feed_chunk(log.encode()) + parser.close()


def test_what_no_pattern_names_is_read_beside_them(tmp_path: Path) -> None:
    log = "Epoch 1 loss: 0.5\nmAP = 44.1%\nval_loss: 0.4\nEpoch 2 loss: 0.3 acc: 0.9\n"
    assert parse(load(tmp_path, PATTERNS), log) == [
        {"loss": 0.5, "epoch": 1},
        {"val/mAP": 44.1, "epoch": 1},
        {"val_loss": 0.4, "epoch": 1},
        {"loss": 0.3, "acc": 0.9, "epoch": 2},
    ]
    assert parse(load(tmp_path, PATTERNS + "generic: off\n"), log) == [{"val/mAP": 44.1, "epoch": 1}]


def test_what_patterns_name_is_theirs_from_the_start(tmp_path: Path) -> None:
    log = "val/mAP: 0.1\nval/rank_1=7 extra: 5\nsaved, next epoch: 9\nEpoch 3\nmAP = 44.1%\n"
    assert parse(load(tmp_path, PATTERNS), log) == [{"extra": 5}, {"val/mAP": 44.1, "epoch": 3}]


def test_names_of_the_trainers_own_go_over_to_the_patterns(tmp_path: Path) -> None:
    log_format = load(tmp_path, "metrics: [{pattern: '(?P<d>\\{.*\\})', literal: d}]\n")
    assert parse(log_format, "loss: 9\n{'loss': 0.5}\nloss: 8\nacc: 1\n") == [{"loss": 9}, {"loss": 0.5}, {"acc": 1}]


def test_rows_of_patterns_stay_whole(tmp_path: Path) -> None:
    log = "Epoch 1\nmAP = 44.1%\ntime: 0.5\nRank-1 = 61%\nmemory: 5\n"
    rows = [{"val/mAP": 44.1, "val/rank_1": 61, "epoch": 1}, {"time": 0.5, "epoch": 1}, {"memory": 5, "epoch": 1}]
    assert parse(load(tmp_path, PATTERNS), log) == rows
    after = "\n".join(["mAP = 44.1%", "time: 0.5", "Rank-1 = 61%", "Epoch 1", ""])
    assert parse(load(tmp_path, PATTERNS + "axis_printed: after\n"), after) == rows[:2]


def test_lines_that_a_pattern_leaves_out_outside_its_block_are_left_out(tmp_path: Path) -> None:
    text = "metrics: [{pattern: '^top(?P<k>\\d): (?P<v>{number})', log: {'val/top{k}': v}, after: '^CMC$', until: '^end$'}]\n"
    log = "top1: 0.5\nCMC\ntop1: 0.6\nend\ntop1: 0.7\nother: 0.8\n"
    assert parse(load(tmp_path, text), log) == [{"val/top1": 0.6}, {"other": 0.8}]


@pytest.mark.parametrize(
    ("text", "generic"),
    [
        ("", True),
        (PATTERNS, True),
        (PATTERNS + "generic: on\n", True),
        (PATTERNS + "Generic: Off\n", False),
        (PATTERNS + "  - wandb\n", False),  # a better source, so lines are read only on request
        (PATTERNS + "files: [{path: x}]\n", False),
        (PATTERNS + "files: [{path: x}]\ngeneric: true\n", True),
        ("metrics: []\n", False),
        ("generic: off\n", True),
        ("extends: reid\nmetrics: null\n", True),
        ("extends: reid\n", False),
    ],
)
def test_when_lines_are_read(tmp_path: Path, text: str, generic: bool) -> None:
    (tmp_path / "p.yaml").write_text(text if "extends" in text else f"command: [t]\n{text}")
    assert load_profile(tmp_path / "p.yaml", project_root=ROOT).metrics.generic is generic


def test_what_lines_look_like_does_not_hide_that_no_pattern_has_matched(tmp_path: Path) -> None:
    load(tmp_path, "metrics: [{pattern: 'acc = (?P<v>{number})', log: {val/acc: v}}]\n")
    notes: list[str] = []
    profile = load_profile(tmp_path / "p.yaml", project_root=tmp_path)
    reader = MetricReader(profile, TrialPaths(tmp_path), "t", notes.append)
    assert reader.feed_chunk(b"Epoch 1 acc: 0.5\n") == [{"acc": 0.5, "epoch": 1}]
    assert reader.feed_chunk(b"Epoch 2 acc: 0.6\n") + reader.close() == [{"acc": 0.6, "epoch": 2}]
    assert len(notes) == 1 and "no pattern has matched in 2 lines" in notes[0]


def test_progress_is_read_wherever_a_count_is_named(tmp_path: Path) -> None:  # F10
    text = r"""
metrics:
  - pattern: 'json_stats: (?P<values>\{.*\})'
    literal: values
    names: {cur_epoch: epoch, cur_iter: iter, 'top1_(?P<n>\w+)': 'val/{n}'}
  - pattern: 'at (?P<epoch>\S+): (?P<v>{number})'
    log: {epoch: epoch, loss: v}
"""
    log = 'json_stats: {"cur_epoch": "3/100", "cur_iter": "2/4", "top1_acc": "41.2"}\nat 4/100: 0.5\n'
    assert parse(load(tmp_path, text), log) == [{"iter": 2, "val/acc": 41.2, "epoch": 3}, {"loss": 0.5, "epoch": 4}]
