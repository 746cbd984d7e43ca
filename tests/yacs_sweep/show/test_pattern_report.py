"""Never silent: `--test-patterns`, the verdict on a trial without the metric, the warning while it runs."""

from __future__ import annotations

import random
import subprocess
import sys
from pathlib import Path

import pytest

from tests.patterns import compile_pattern
from tests.sweeping import SWEEP, environment, sweep, write_sweep
from yacs_sweep.cli import main
from yacs_sweep.logs.near_misses import boundaries, explain, longest_prefix, near_names
from yacs_sweep.logs.parser import LogParser
from yacs_sweep.logs.patterns import LogFormat, compile_search
from yacs_sweep.records.folder import TrialPaths
from yacs_sweep.show.pattern_report import show_patterns, suggest
from yacs_sweep.trainers.load import load_profile
from yacs_sweep.trial.output import QUIET_LINES, MetricReader, NoMatchWarning

LOG = """\
2026-01-01 12:00:00,123 reid_baseline.train INFO: Epoch[1] Iteration[20/183] Loss: 10.012, Acc: 0.000, Base Lr: 1.09e-05
\x1b[32mmAP: 4.4\x1b[0m
CMC curve, Rank-1  :11.9%
 50%|#####     | 1/2\rTest accuracy: 93.1% (took 3 s)
Test accuracy: 94.2% (took 4 s)
chatter
"""


def run(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, str(SWEEP), *words],
        cwd=folder,
        env=environment(folder),
        capture_output=True,
        text=True,
        timeout=180,
    )


def test_the_report_on_a_log(tmp_path: Path) -> None:
    (tmp_path / "log.txt").write_text(LOG)
    ran = run(tmp_path, "--test-patterns", "log.txt", "--trainer", "reid_strong_baseline")
    assert ran.returncode == 0, ran.stderr
    lines = ran.stdout.splitlines()
    assert "line 1: metrics[0] {train/loss: 10.012, train/acc: 0, train/lr: 1.09e-05, epoch: 1}" in lines
    assert "    row 1: {train/loss: 10.012, train/acc: 0, train/lr: 1.09e-05, epoch: 1}" in lines
    assert "line 3: metrics[4] {val/cmc_rank_1: 11.9}" in lines
    assert "    row 2: {val/cmc_rank_1: 11.9, epoch: 1}" in lines
    assert "7 lines, 2 matches, 2 rows" in lines
    never = lines[lines.index("patterns that never matched:") :]
    assert "  metrics[3] mAP: (?P<value>{number})%" in never
    assert "    on 'mAP: 4.4' it matched 'mAP: 4.4' and then expected '%'" in never
    assert "  # line 5: Test accuracy: 93.1% (took 3 s)" in never
    assert "  - pattern: 'Test accuracy: (?P<test_accuracy>{number})%'" in never
    assert "    log: {test/accuracy: test_accuracy}" in never
    assert sum("Test accuracy" in line and "#" in line for line in never) == 1  # of lines of one shape the first
    assert not (tmp_path / "log").exists()


def suggested(folder: Path, log: str) -> list[str]:
    """Suggests lines of the log to a profile with one pattern."""
    (folder / "log.txt").write_text(log)
    (folder / "p.yaml").write_text(
        "command: [t]\nmetrics:\n  - {pattern: 'L (?P<l>{number})', log: {l: l}}\ngeneric: off\n"
    )
    said: list[str] = []
    show_patterns(load_profile(folder / "p.yaml", project_root=folder), folder / "log.txt", said.append)
    return [line.partition(": ")[2] for line in said if line.startswith("  # line")]


TREE = "DATA:\n  BATCH: 64\n  SIZE: [224, 224]\nMODEL:\n  DROP: 0.5\n  BIAS: True\nWD: 0.0005\n"


def test_a_printed_tree_is_no_line_with_metrics(tmp_path: Path) -> None:
    assert suggested(tmp_path, f"loss: 1.5\n12:00 config:\n{TREE}12:01 acc: 0.7\n") == ["loss: 1.5", "12:01 acc: 0.7"]
    assert suggested(tmp_path, TREE) == []
    assert suggested(tmp_path, "BATCH: 64\nDROP: 0.5\nf1: 0.8\nWD: 0.0005\n") != []  # may be results


def test_a_sweep_files_own_program_is_read_by_its_own_patterns(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "train.py").write_text("")
    (tmp_path / "s.yaml").write_text(
        "program: train.py\nmethod: grid\nmetric: {name: val/loss, goal: minimize}\nparameters: {lr: [0.1, 0.2]}\n"
    )
    (tmp_path / "train.log").write_text("epoch 1: val loss 0.25\n")
    monkeypatch.chdir(tmp_path)
    assert main(["--test-patterns", "train.log", "--sweep-config", "s.yaml"]) == 0
    first, *rest = capsys.readouterr().out.splitlines()
    assert first == "train.log: profile train.py, the generic patterns"
    assert any("val/loss: 0.25" in line for line in rest)


def test_the_status_says_whether_anything_matched(tmp_path: Path) -> None:
    (tmp_path / "log.txt").write_text("nothing\n")
    assert run(tmp_path, "--test_patterns", "log.txt").returncode == 1
    ran = run(tmp_path, "--test-patterns", "none.txt")
    assert (ran.returncode, ran.stderr) == (2, "error: --test-patterns none.txt: No such file or directory\n")
    assert run(tmp_path, "--test-patterns", "log.txt", "--trainer", "ried").returncode == 2


@pytest.mark.parametrize(
    ("line", "values"),
    [
        ("[12:00] Epoch 3 | train loss: 0.5, lr=1.00e+00", {"epoch": 3, "train/loss": 0.5, "lr": 1.0}),
        ("it's (odd) [x] \\ top-1=93.1% $", {"top-1": 93.1}),
        ("loss: 0.5  1.5  loss: 2", {"loss": 0.5}),
        ("ep 1 train loss 0,600; val acc 82,50 %", {"train/loss": 0.6, "val/acc": 82.5}),
        ("=> test_accuracy 0.6402", {"test_accuracy": 0.6402}),
        ("Val  | top1 acc 55.00% | top5 acc 81.00%", {"top1_acc": 55.0, "top5_acc": 81.0}),
        (
            "Epoch: [0][0/10]\tLoss 2.00000 (2.00000)\tAccuracy@1 50.000",
            {"epoch": 0, "Loss": 2.0, "Loss_avg": 2.0, "Accuracy@1": 50.0},
        ),
    ],
)
def test_suggested_patterns_work_when_pasted(tmp_path: Path, line: str, values: dict[str, float]) -> None:
    suggested = suggest(line.encode())
    (tmp_path / "p.yaml").write_text(f"command: [t]\nmetrics:\n{suggested}\n")
    profile = load_profile(tmp_path / "p.yaml", project_root=tmp_path)
    parser = LogParser(profile.metrics)
    rows = parser.feed_chunk(line.encode() + b"\n") + parser.close()
    assert rows == [values]


HOSTILE_LINES = [
    b"\x1b]0;epoch 3\x07val loss: 0.25 \x1b[31mtop5\x1b[0m=81%",
    b"\x1b]8;;http://host:80/x\x1b\\val loss\x1b]8;;\x1b\\: 0.25",
    b"\x1b]0;title without an end, loss: 0.25",
    b"\x1bPq\x1b\\loss\x1b(B: 0.25\x1b[K",
    b"\x1b[2mloss\x1b[22m: \x1b[1m0.25\x1b[0m",
    b"loss\xc2\x9b1m: 0.25",
    b"1/10 [=>...]\x08\x08\x08\x08 loss: 0.25",
    b"\x00loss: 0.25\x07 acc: 1.5\x7f",
    b"caf\xe9 \xff loss: 0.25",
    "\u2028\u00a0loss: 0.25 \u00adacc: 1".encode(),
    b"on: 1 yes: 2 null: 3",
    b"it's loss: 0.25\t\tacc: '1'",
    b"loss: 0.25 " + b"x" * 70_000 + b" acc: 1",
]


@pytest.mark.parametrize("line", HOSTILE_LINES)
def test_a_suggested_pattern_matches_its_own_line(tmp_path: Path, line: bytes) -> None:
    (tmp_path / "log.txt").write_bytes(line + b"\n")
    (tmp_path / "none.yaml").write_text(
        "command: [t]\nmetrics: [{pattern: 'never (?P<v>{number})', log: {never: v}}]\n"
    )
    told: list[str] = []
    show_patterns(load_profile(tmp_path / "none.yaml", project_root=tmp_path), tmp_path / "log.txt", told.append)
    (suggested,) = (text for text in told if text.startswith("  - pattern: "))
    assert all(letter.isprintable() or letter == "\n" for text in told for letter in text)
    (tmp_path / "p.yaml").write_text(f"command: [t]\nmetrics:\n{suggested}\n")
    told.clear()
    profile = load_profile(tmp_path / "p.yaml", project_root=tmp_path)
    assert show_patterns(profile, tmp_path / "log.txt", told.append) == 0
    assert not any("match nothing" in text or "never matched" in text for text in told)


def test_no_suggestion_fails_on_lines_put_together_at_random(tmp_path: Path) -> None:
    source = random.Random(14)
    bits = [b"loss: 0.5", b" acc=1e-3", b"\x1b]0;t=1\x07", b"\x1b]", b"\x1b[", b"\x1b(", b"1m", b"\x07", b"\x1b\\", b"\t",
            b"top1 9", b"\xff", b"'", b"{x}", b"top1 8", b" ", b"%", b"\xc2\x9b", b"epoch 3", b"|"]  # fmt: skip
    suggested = 0
    for _ in range(300):
        line = b"".join(source.choices(bits, k=8))
        if (entry := suggest(line)) is None:
            continue
        suggested += 1
        (tmp_path / "p.yaml").write_text(f"command: [t]\nmetrics:\n{entry}\n")
        parser = LogParser(load_profile(tmp_path / "p.yaml", project_root=tmp_path).metrics)
        assert parser.feed(line) + parser.close() or "epoch" in entry, (line, entry)  # the axis alone makes no row
    assert suggested > 100


def test_nothing_is_suggested_for_chatter() -> None:
    assert suggest(b"12:00:00 step took 0.1 s") is None


def test_patterns_are_cut_between_their_parts() -> None:
    source = r"a[^]x)]+(?P<v>{number})\s*b{2,3}?c"
    assert [source[:at] for at in boundaries(source)] == [
        "a",
        "a[^]x)]+",
        r"a[^]x)]+(?P<v>{number})",
        r"a[^]x)]+(?P<v>{number})\s*",
        r"a[^]x)]+(?P<v>{number})\s*b{2,3}?",
    ]
    assert boundaries("a|b") == []
    assert longest_prefix(compile_search("xyz: (?P<v>1)"), "nothing\n") is None


def test_names_are_near_whatever_their_case_and_separators() -> None:
    names = ["val/mAP", "train/loss", "val/cmc_rank_1", "test_accuracy"]
    assert near_names("mAP", names) == ["val/mAP"]
    assert near_names("eval_map", names) == ["val/mAP"]
    assert near_names("accuracy", names) == ["test_accuracy"]
    assert near_names("bleu", names) == []


def test_the_reason_names_what_was_nearly_right() -> None:
    log_format = LogFormat((compile_pattern("mAP: (?P<v>{number})%", {"val/mAP": "v"}),))
    reason = explain("val/mAP", ["train/loss"], ["loss: 5", "mAP: 4.4 percent"], log_format)
    assert "never logged the sweep's metric val/mAP; metrics it logged: train/loss" in reason
    assert "lines like it: 'mAP: 4.4 percent'" in reason
    assert (
        "pattern metrics[0] nearly matched: on 'mAP: 4.4 percent' it matched 'mAP: 4.4' and then expected '%'" in reason
    )
    assert "no pattern of the profile logs" in explain("val/top1", [], [], log_format)


def test_a_line_that_says_the_metric_is_shown_even_if_its_value_is_not_found() -> None:
    lines = ["stop1 9", "top1 of all", "Val  | top1 acc 55.00% | top5 acc 81.00%"]
    reason = explain("val/top1", ["lr"], lines, LogFormat((), generic=True))
    assert reason.endswith("lines like it: 'Val  | top1 acc 55.00% | top5 acc 81.00%'")


def test_a_trial_without_the_metric_failed_and_says_why(tmp_path: Path) -> None:
    spec = {
        "method": "grid",
        "metric": {"name": "val/map", "goal": "maximize"},
        "parameters": {"base_lr": {"values": [0.001]}},
    }
    ran = sweep(tmp_path, "--sweep-config", write_sweep(tmp_path, spec), "--wandb-mode", "disabled")
    assert ran.code == 1
    (trial,) = ran.summary["trials"]
    assert (trial["state"], trial["cause"]) == ("failed", "no_metric")
    assert "nearest: val/mAP" in trial["reason"]
    assert "INFO: mAP: " in trial["reason"]


def test_silence_is_told_after_an_epochs_worth_and_once(tmp_path: Path) -> None:
    watch = NoMatchWarning(tmp_path / "stdout.log", "mine.yaml")
    assert watch.feed(b"Epoch 1\nstep loss 1\nscore: 5\n") is None
    warning = watch.feed(b"Epoch 2\n")
    assert warning is not None
    assert "'score: 5'" in warning and "--test-patterns" in warning and "--trainer mine.yaml" in warning
    watch = NoMatchWarning(tmp_path / "stdout.log", "mine.yaml")
    assert watch.feed(b"x\n" * (QUIET_LINES - 1)) is None
    assert watch.feed(b"x\n")


@pytest.mark.parametrize(
    "dump",
    [
        "train:\n  fixbase_epoch: 5\n  max_epoch: 60\n  start_epoch: 0\n",  # F9
        "  warmup: {epoch: 5}\n  stages: {epoch: 40}\n  warmup: {epoch: 5}\n",
        "--epoch 3\nresume epoch 7\nEPOCHS: 300\nEPOCH_ITERS: 301\n",
        "Epoch: 60\nEpoch: 5\nEpoch: 5\n",
    ],
)
def test_a_configuration_that_names_epochs_is_no_silence(tmp_path: Path, dump: str) -> None:
    watch = NoMatchWarning(tmp_path / "stdout.log", "mine.yaml")
    assert watch.feed(dump.encode()) is None
    assert watch.feed(b"2026-01-01 12:00:00 epoch: [1/60][20/183]\t") is None
    assert watch.feed(b"time 0.2\n") is None
    assert watch.feed(b"2026-01-01 12:09:11 epoch: [2/60][20/183]\ttime 0.2\n") is not None


def test_rows_that_wait_for_their_axis_are_no_silence(tmp_path: Path) -> None:
    (tmp_path / "p.yaml").write_text(
        "command: [t]\naxis_printed: after\nmetrics: [{pattern: 'acc: (?P<v>{number})', log: {acc: v}}]\n"
    )
    notes: list[str] = []
    reader = MetricReader(
        load_profile(tmp_path / "p.yaml", project_root=tmp_path), TrialPaths(tmp_path), "t", notes.append
    )
    assert reader.feed_chunk(b"acc: 5\n" + b"x\n" * QUIET_LINES) == [] and reader.flush() == []
    assert reader.close() == [{"acc": 5}]
    assert notes == []


def test_epochs_that_are_named_now_and_then_are_silence_by_the_third(tmp_path: Path) -> None:
    watch = NoMatchWarning(tmp_path / "stdout.log", "mine.yaml")
    assert watch.feed(b"Results of Epoch: 10\nResults of Epoch: 20\n") is None
    assert watch.feed(b"Results of Epoch: 30\n") is not None


def test_a_metric_line_that_is_no_json_is_told_once(tmp_path: Path) -> None:
    (tmp_path / "p.yaml").write_text("command: [t]\nmetrics: []\n")
    profile = load_profile(tmp_path / "p.yaml", project_root=tmp_path)
    notes: list[str] = []
    reader = MetricReader(profile, TrialPaths(tmp_path), "t1", notes.append)
    reader.feed_chunk(b"METRIC {'a': 1}\n" * 3)
    reader.close()
    assert notes == ["a METRIC line is not JSON on one line, and is not read: \"METRIC {'a': 1}\""]
    (tmp_path / "log.txt").write_text("METRIC {'a': 1}\n")
    assert "not read: \"METRIC {'a': 1}\"" in run(tmp_path, "--test-patterns", "log.txt").stdout


def test_the_warning_comes_while_the_trial_runs(tmp_path: Path) -> None:
    (tmp_path / "t.py").write_text("for e in range(5): print('Epoch', e, 'score:', e, flush=True)\n")
    profile = tmp_path / "p.yaml"
    profile.write_text(
        "command: [python, t.py]\ncwd: .\noverrides: argparse\nmetrics: [{pattern: 'acc: (?P<v>{number})', log: {acc: v}}]\n"
    )
    search = {"method": "grid", "metric": {"name": "acc", "goal": "maximize"}, "parameters": {"lr": {"values": [1]}}}
    words = ("--sweep-config", write_sweep(tmp_path, search), "--wandb-mode", "disabled")
    ran = sweep(tmp_path, *words, trainer=profile, config=None)
    assert ran.code == 1
    warnings = [line for line in ran.out.splitlines() if "no pattern has matched" in line]
    assert len(warnings) == 1 and "'Epoch 0 score: 0'" in warnings[0]
