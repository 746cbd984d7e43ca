"""Entries beyond plain groups: names, units, tables, dictionaries, blocks, inheritance; and the mistakes in them."""

from __future__ import annotations

import math
import time
from pathlib import Path

import pytest

from tests.patterns import compile_pattern
from yacs_sweep.base.errors import ConfigError
from yacs_sweep.logs.guessing import HINTS, guessed_row
from yacs_sweep.logs.names import literal_pairs
from yacs_sweep.logs.parser import LogParser
from yacs_sweep.logs.sources import Row
from yacs_sweep.trainers.load import load_profile
from yacs_sweep.trainers.profile import TrainerProfile


def load(folder: Path, metrics: str, name: str = "mine.yaml") -> TrainerProfile:
    (folder / name).write_text(f"command: [t]\n{metrics}", encoding="utf-8")
    return load_profile(folder / name, project_root=folder)


def parse(folder: Path, metrics: str, log: str) -> list[Row]:
    parser = LogParser(load(folder, metrics).metrics)
    return parser.feed_chunk(log.encode()) + parser.close()


def mistakes(folder: Path, metrics: str) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        load(folder, metrics)
    return [problem.replace(str(folder / "mine.yaml"), "FILE") for problem in caught.value.problems]


def test_units(tmp_path: Path) -> None:
    metrics = r"""
metrics:
  - pattern: 'mAP: (?P<m>{number})% top1: (?P<t>{number})% time: (?P<ms>{number})ms'
    log: {val/mAP: m, val/top1: t, val/seconds: ms}
    units: {val/mAP: fraction, val/top1: percent, val/seconds: 0.001}
  - pattern: 'all (?P<pairs>.*)'
    pairs: '(?P<name>\w+)=(?P<value>{number}%?)'
    names: {'(?P<n>m\w*)': 'x/{n}', '(?P<n>\w+)': '{n}'}
    units: {'x/{n}': fraction}
"""
    assert parse(tmp_path, metrics, "mAP: 41.2% top1: 88.7% time: 250ms\nall mAP=41.2% other=5\n") == [
        {"val/mAP": 0.412, "val/top1": 88.7, "val/seconds": 0.25},
        {"x/mAP": 0.412, "other": 5},
    ]


def test_the_x_axis_is_a_choice(tmp_path: Path) -> None:
    metrics = r"""
axis: iter
metrics:
  - pattern: 'iter (?P<i>\d+) epoch (?P<e>\d+) loss (?P<l>{number})'
    log: {iter: i, epoch: e, loss: l}
  - pattern: 'AP (?P<v>{number})'
    log: {val/AP: v}
"""
    log = "iter 10 epoch 1 loss 5\nAP 1\niter 20 epoch 1 loss 4\nAP 2\n"
    assert [(row["iter"], row.get("val/AP")) for row in parse(tmp_path, metrics, log)] == [
        (10, None),
        (10, 1),
        (20, None),
        (20, 2),
    ]


def test_blocks_of_several_lines_become_one_row(tmp_path: Path) -> None:
    metrics = r"""
metrics:
  - pattern: '^  (?P<k>\w+): (?P<v>{number})'
    log: {'{split}/{k}': v}
    row: report
    after: '^== (?P<split>\w+) report, epoch \d+'
    until: '^== end'
  - pattern: '^== \w+ report, epoch (?P<e>\d+)'
    log: {epoch: e}
"""
    log = """  loss: 9
== train report, epoch 1
  loss: 1.5
  acc: 2
== end
  loss: 9
== val report, epoch 1
  loss: 2.5
  nothing: here
  acc: nan
== end
"""
    rows = parse(tmp_path, metrics, log)
    assert rows[0] == {"train/loss": 1.5, "train/acc": 2, "epoch": 1}
    assert rows[1]["val/loss"] == 2.5 and math.isnan(rows[1]["val/acc"]) and len(rows) == 2


def test_lines_count_after_several_others(tmp_path: Path) -> None:
    metrics = r"""
metrics:
  - pattern: '^loss: (?P<v>{number})'
    log: {'{data}/{task}/loss': v}
    after: ['^data: (?P<data>\w+)', '^task: (?P<task>\w+)']
    until: '^end'
"""
    log = "task: a\nloss: 1\ndata: x\nloss: 2\ntask: b\nloss: 3\nend\nloss: 4\ndata: y\ntask: a\nloss: 5\n"
    # The task that came before its data counts, too: only the lines must have been.
    assert parse(tmp_path, metrics, log) == [{"x/a/loss": 2, "x/b/loss": 3}, {"y/a/loss": 5}]


def test_tables_cut_anywhere(tmp_path: Path) -> None:
    metrics = r"""
metrics:
  - pattern: '\| class \|'
    table: '|'
    names: {class: null, '(?P<n>.+)': 'val/{row}/{n}'}
    row: val
"""
    # Without a group `cells` the whole match names the columns.
    metrics = metrics.replace(r"'\| class \|'", r"'\| class .*\|'")
    log = "noise\n| class | IoU | Acc |\n+-------+-----+-----+\n| road | 97.1 | 98% |\n| sky | nan | - |\nnoise | 1 |\n"
    for cut in (1, 7, 1000):
        parser = LogParser(load(tmp_path, metrics).metrics)
        rows = [row for at in range(0, len(log), cut) for row in parser.feed_chunk(log[at : at + cut].encode())]
        (row,) = rows + parser.close()
        assert list(row) == ["val/road/IoU", "val/road/Acc", "val/sky/IoU"]
        assert (row["val/road/IoU"], row["val/road/Acc"]) == (97.1, 98)


def test_a_table_ends_where_rows_do(tmp_path: Path) -> None:
    metrics = "metrics:\n  - {pattern: '(?P<cells>AP,AR)', table: {separator: ',', values: '(?P<cells>[\\d.,]+)$'}}\n"
    assert parse(tmp_path, metrics, "AP,AR\n1.5,2.5\nover\n3.5,4.5\nAP,AR\n1,2,3\n") == [{"AP": 1.5, "AR": 2.5}]


@pytest.mark.parametrize(
    ("text", "pairs"),
    [
        ("{'loss': 0.5, 'n': nan, 'i': -inf, 'lr': 2e-05}", {"loss": 0.5, "n": math.nan, "i": -math.inf, "lr": 2e-05}),
        ('{"loss": 0.5, "ok": true, "none": null, "n": NaN}', {"loss": 0.5, "none": math.nan, "n": math.nan}),
        ("{'loss': 0.5, 'none': None}", {"loss": 0.5}),
        ("{'a': tensor(0.25, device='cuda:0'), 'b': np.float64(1.5), 'c': {'d': 1}}", {"a": 0.25, "b": 1.5, "c/d": 1}),
        ("{'a': __import__('os').system('false')}", {"a": "false"}),
        ("{'a': 1", {}),
        ("{'a': " * 2000 + "1" + "}" * 2000, {}),
        ("[1, 2]", {}),
    ],
)
def test_dictionaries_are_read_and_never_evaluated(text: str, pairs: dict[str, object]) -> None:
    assert repr(dict(literal_pairs(text))) == repr(pairs)


@pytest.mark.parametrize(
    ("line", "metrics"),
    [
        ("Epoch 3 loss: 0.5 acc=93.1%", {"epoch": 3, "loss": 0.5, "acc": 93.1}),
        ("[Epoch 2/10] train_loss=1.00e+00, val_loss=-inf", {"epoch": 2, "train_loss": 1.0, "val_loss": -math.inf}),
        ("Test accuracy: 0.9  Validation loss = 1,234.5", {"test/accuracy": 0.9, "val/loss": 1234.5}),
        ("mAP@0.5: 0.31 Rank-1  :94.4%", {"mAP@0.5": 0.31, "Rank-1": 94.4}),
        ("2026-01-01 12:00:00,123 INFO: eta: 0:12:33 mem: 10240MB step: 3/10 time 12:30", {}),
        ("50%|####| 5/10 [00:01<00:01, 4.9it/s, loss=0.25]", {"loss": 0.25}),
        ("training:  50%|#####     | 1/2", {}),
        ("https://host:8080/x?y=1a", {}),
        ("轮次 3 损失: 0.5 准确率＝1 précision=93.1% 损失2：1e-3", {"损失": 0.5, "précision": 93.1, "损失2": 0.001}),
        ("Namespace(lr=0.1, betas=(0.9, 0.99), seed=0)", {}),
        ("Namespace(lr=0.1, seed=0", {}),
        ("  (fc): Linear(in_features=8, out_features=2, bias=True)", {}),
        ("step 3 (loss=0.5, acc=0.9) Meter(n=3) lr=0.1", {"loss": 0.5, "acc": 0.9, "lr": 0.1}),
    ],
)
def test_lines_that_look_like_metrics(line: str, metrics: dict[str, float]) -> None:
    assert guessed_row(line) == metrics
    found = any(hint.search(line.encode()) for hint in HINTS)
    assert found or not metrics


def test_without_patterns_the_generic_ones_are_used(tmp_path: Path) -> None:
    assert load(tmp_path, "").metrics.generic
    assert not load(tmp_path, "metrics: []").metrics.generic
    assert not load(tmp_path, "files: [{path: x}]").metrics.generic
    assert parse(tmp_path, "", "Epoch 1\nloss: 0.5\nacc: 0.1\n") == [{"loss": 0.5, "acc": 0.1, "epoch": 1}]


def test_a_metric_that_comes_in_two_ways_counts_once(tmp_path: Path) -> None:
    metrics = "metrics: [{pattern: 'mAP: (?P<v>{number})', log: {val/mAP: v}}]"
    log = 'mAP: 1\nMETRIC {"epoch": 1, "val/mAP": 1, "val/top1": 5}\nmAP: 2\nMETRIC {"epoch": 2, "val/mAP": 2}\n'
    assert parse(tmp_path, metrics, log) == [{"val/mAP": 1}, {"val/top1": 5, "epoch": 1}, {"val/mAP": 2, "epoch": 1}]


def test_extending_a_profile(tmp_path: Path) -> None:
    base = r"""
aliases: {lr: A.LR, wd: A.WD}
env: {X: a, Y: b}
output_dir_key: OUT
metrics:
  - {pattern: 'a: (?P<v>{number})', log: {a: v}}
"""
    load(tmp_path, base, "base.yaml")
    child = tmp_path / "child.yaml"
    child.write_text(
        "extends: base.yaml\naliases: {lr: B.LR}\nenv: {Z: c}\noutput_dir_key: null\n"
        "metrics: [{pattern: 'b: (?P<v>{number})', log: {b: v}}]\n"
    )
    profile = load_profile(child, project_root=tmp_path)
    assert profile.command == ("t",)
    assert profile.aliases == {"lr": "B.LR", "wd": "A.WD"}
    assert profile.env == {"X": "a", "Y": "b", "Z": "c"}
    assert profile.output_dir_key is None
    assert [entry.source[0] for entry in profile.metrics.entries] == ["b", "a"]


def test_ones_own_profile_can_extend_the_one_of_its_name(tmp_path: Path) -> None:
    folder = tmp_path / "configs" / "trainers"
    folder.mkdir(parents=True)
    (folder / "fast_reid.yaml").write_text("extends: fast_reid\ncommand: [mine]\n")
    profile = load_profile("fast_reid", project_root=tmp_path)
    assert profile.command == ("mine",) and len(profile.metrics.entries) == 3


def test_mistakes_of_an_inherited_profile_name_its_file_and_line(tmp_path: Path) -> None:
    (tmp_path / "base.yaml").write_text("command: [t]\nmetrics:\n  - {pattern: '(', log: {a: v}}\n")
    child = tmp_path / "child.yaml"
    child.write_text("extends: base.yaml\nmetrics:\n  - {pattern: 'x (?P<v>1)', log: {a: w}}\n")
    with pytest.raises(ConfigError) as caught:
        load_profile(child, project_root=tmp_path)
    assert [problem.split(": ")[0].rsplit(":", 1)[0] for problem in caught.value.problems] == [
        f"{child}:3",
        f"{tmp_path / 'base.yaml'}:3",
    ]
    for text, expected in (
        ("extends: nobody", "no such profile"),
        ("extends: child.yaml", "in turn"),
        ("extends: 3", "3"),
    ):
        child.write_text(text)
        with pytest.raises(ConfigError, match=rf"child\.yaml:1:\d+: extends: .*{expected}"):
            load_profile(child, project_root=tmp_path)


def test_every_mistake_in_entries_is_told(tmp_path: Path) -> None:
    found = mistakes(
        tmp_path,
        r"""metrics:
  - {pattern: 'a', pairs: '(?P<name>\w+)', names: {'(': x, 'b': '{nope}', 'c': 3}}
  - {pattern: '(?P<d>.+)', literal: e, table: '|'}
  - {pattern: 'f', table: {separator: ',', valus: x}}
  - {pattern: 'g', table: {separator: ',', values: 'x'}}
  - {pattern: 'h (?P<v>1)', log: {a: v}, names: {x: y}, until: z, units: {b: percent}}
  - {pattern: 'i (?P<v>1)', log: {a: v}, units: {a: percents}, after: '(a+)+b'}
  - {pattern: 'j'}
  - {pattern: 'k (?P<v>1)', log: {'{b}/a': v}, after: [3, '(a+)+b', 'x(?P<b>y)']}
files:
  - {pth: x, format: json}
  - {path: '{outputdir}/x', step: iter}
""",
    )
    expected = [
        (3, "metrics[0].names.(: not a regular expression"),
        (3, "metrics[0].names.b: the name uses {nope}"),
        (3, "metrics[0].names.c: 3 is not a metric's name"),
        (3, "metrics[0].pairs: needs a group named value"),
        (4, "metrics[1].table: an entry has one of literal and table"),
        (4, "metrics[1].literal: no group named 'e'"),
        (5, "metrics[2].table.valus: no such key; did you mean values?"),
        (5, "metrics[2].table: values: is missing"),
        (6, "metrics[3].table.values: needs a group named cells"),
        (7, "metrics[4].until: ends what `after` begins"),
        (7, "metrics[4].names: belongs to"),
        (7, "metrics[4].units.b: the entry logs no such metric"),
        (8, "metrics[5].units.a: 'percents' is not a unit"),
        (8, "metrics[5].after: could take exponential time"),
        (9, "metrics[6].log: missing"),
        (10, "metrics[7].after: 3 is not a regular expression"),
        (10, "metrics[7].after[1]: could take exponential time"),
        (12, "files[0].pth: no such key; did you mean path?"),
        (12, "files[0].path: missing"),
        (12, "files[0].format: 'json' is not a format; did you mean jsonl?"),
        (13, "files[1].path: unknown placeholder {outputdir}"),
        (13, "files[1].step: names the step of TensorBoard events"),
    ]
    for line, text in expected:
        assert any(p.startswith(f"FILE:{line}:") and f": {text}" in p for p in found), (line, text, found)
    assert len(found) == len(expected), found


@pytest.mark.parametrize("source", ["a.*b.*c.*d.*e", r"loss.*acc.*lr (?P<v>{number})", r"\S+:.*=.*,.*;"])
def test_several_wide_repeats_do_not_stall(source: str) -> None:
    pattern = compile_pattern(source, {})
    for text in ("abcd", "loss acc ", ":=,"):
        start = time.process_time()
        pattern.find(text * 20_000)
        assert time.process_time() - start < 3
