"""Metrics from files: followed while they grow, half lines and restarts included, never counted twice."""

from __future__ import annotations

import json
import math
import struct
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.sweeping import sweep, write_sweep
from yacs_sweep.base.errors import ConfigError
from yacs_sweep.base.values import Number
from yacs_sweep.logs.line_files import CsvLines, JsonLines
from yacs_sweep.logs.metric_files import FileSource, Follower, check_formats
from yacs_sweep.logs.names import Names
from yacs_sweep.logs.sources import Row
from yacs_sweep.records.folder import TrialPaths
from yacs_sweep.trainers.load import load_profile
from yacs_sweep.trial.output import MetricReader

ROOT = Path(__file__).resolve().parents[3]


@contextmanager
def following(folder: Path, *sources: FileSource) -> Iterator[Follower]:
    follower = Follower(sources, folder, {"output_dir": str(folder), "trial_id": "t1"}, "epoch")
    try:
        yield follower
    finally:
        list(follower.close())


def until(follower: Follower, count: int) -> list[Row]:
    """Waits for `count` rows."""
    rows: list[Row] = []
    deadline = time.monotonic() + 120
    while len(rows) < count:
        assert time.monotonic() < deadline, rows
        rows += [row for _, row in follower.rows()]
        time.sleep(0.01)
    return rows


def append(path: Path, text: str) -> None:
    with open(path, "a") as file:
        file.write(text)


def test_rows_arrive_while_the_file_grows(tmp_path: Path) -> None:
    path = tmp_path / "m [1].jsonl"
    append(path, '{"epoch": 0, "old": 1}\n')
    with following(tmp_path, FileSource("{output_dir}/m ?1].jsonl"), FileSource("sub/*.json")) as follower:
        append(path, '{"epoch": 1, "val": {"mAP": 41.2}, "note": "seven", "ok": true}\n{"epo')
        assert until(follower, 1) == [{"epoch": 1, "val/mAP": 41.2}]
        append(path, 'ch": 2, "x": NaN, "y": "Infinity"}\nnot json\n[1]\n')
        (row,) = until(follower, 1)
        assert math.isnan(row["x"]) and row["y"] == math.inf
        (tmp_path / "sub").mkdir()
        append(tmp_path / "sub" / "late.json", '{"a": 1}\n')
        assert until(follower, 1) == [{"a": 1}]
        path.write_text('{"epoch": 1, "again": 1}\n')  # shorter: the trainer has started the file again
        assert until(follower, 1) == [{"epoch": 1, "again": 1}]
        append(path, '{"last": 1}')
        assert [row for _, row in follower.close()] == [{"last": 1}]


def test_a_file_put_aside_started_again_or_written_anew(tmp_path: Path) -> None:
    path = tmp_path / "m.jsonl"
    lines = [json.dumps({"epoch": epoch, "loss": epoch / 2, "note": "x" * 40}) + "\n" for epoch in range(40)]
    path.write_text("".join(lines[:10]))
    reader = JsonLines(str(path), Names(), skip=True)  # an earlier attempt's

    def epochs() -> list[Number]:
        return [row["epoch"] for row in reader.new_rows(last=False)]

    def anew(text: str) -> None:
        (tmp_path / "new").write_text(text)
        (tmp_path / "new").replace(path)

    assert epochs() == []
    anew("".join(lines[:12]))  # a trainer that writes its whole history each time
    assert epochs() == [10, 11]
    anew("".join(lines[:13]))
    append(path, lines[13][:20])
    assert epochs() == [12]
    append(path, lines[13][20:] + lines[14])
    path.rename(tmp_path / "m.jsonl.1")  # rotated: what it got last is still read, then the new one from its start
    path.write_text("".join(lines[15:40]))
    assert epochs() == list(range(13, 40))
    append(path, lines[0])
    path.unlink()
    assert epochs() == [0]
    assert epochs() == []
    path.write_text("".join(lines[1:40]))  # longer than before: only its beginning tells
    assert epochs() == list(range(1, 40))
    path.write_text("".join(lines[3:5]))
    assert epochs() == [3, 4]


def test_a_csv_file_grows(tmp_path: Path) -> None:
    path = tmp_path / "results.csv"
    append(path, " epoch, box/loss ,mAP50\n0,1.5,0.1\n")  # an earlier attempt's row
    with following(tmp_path, FileSource("{output_dir}/results.csv", "csv")) as follower:
        append(path, "1,0.5,0.25\r\n\n2,nan,\n3,wor")
        assert until(follower, 2)[0] == {"epoch": 1, "box/loss": 0.5, "mAP50": 0.25}
        append(path, "ds,0.5")
        rows = [row for _, row in follower.close()]
    assert rows == [{"epoch": 3, "mAP50": 0.5}]


def csv_rows(reader: CsvLines, path: Path, text: str) -> list[Row]:
    path.write_text(text)
    return list(reader.new_rows(last=False))


def test_a_csv_file_with_a_new_column_keeps_its_rows(tmp_path: Path) -> None:
    path = tmp_path / "metrics.csv"
    reader = CsvLines(str(path), Names(), skip=False)
    assert csv_rows(reader, path, "epoch,loss\n0,1.5\n0,1.25\n") == [
        {"epoch": 0, "loss": 1.5},
        {"epoch": 0, "loss": 1.25},
    ]
    wider = "epoch,loss,val_loss\n0,1.5,\n0,1.25,\n0,,2.5\n"
    assert csv_rows(reader, path, wider) == [{"epoch": 0, "val_loss": 2.5}]
    assert csv_rows(reader, path, f"{wider}1,1.0,\n") == [{"epoch": 1, "loss": 1.0}]
    assert csv_rows(reader, path, "epoch,loss,val_loss\n0,9.5,\n") == [{"epoch": 0, "loss": 9.5}]  # another file
    assert csv_rows(reader, path, "epoch,acc\n0,0.5\n") == [{"epoch": 0, "acc": 0.5}]
    later = CsvLines(str(path), Names(), skip=True)  # of an earlier attempt
    assert csv_rows(later, path, "epoch,acc,val_acc\n0,0.5,\n0,,0.75\n") == [{"epoch": 0, "val_acc": 0.75}]


def test_a_line_of_ten_megabytes_is_passed_over(tmp_path: Path) -> None:
    path = tmp_path / "m.jsonl"
    with following(tmp_path, FileSource("m.jsonl")) as follower:
        append(path, '{"a": "' + "x" * 10_000_000 + '"}\n{"b": 1}\n')
        assert until(follower, 1) == [{"b": 1}]


def test_detectron2s_metrics_file_with_names_and_axis(tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text(
        "extends: detectron2\nmetrics: null\nfiles: [{path: '{output_dir}/metrics.json', "
        "names: {iteration: iter, '(?P<n>.+/.+)': 'val/{n}', '(?P<n>.+)': 'train/{n}'}}]\n"
    )
    profile = load_profile(tmp_path / "mine.yaml", project_root=ROOT)
    reader = MetricReader(profile, TrialPaths(tmp_path), "t1", lambda text: None)
    append(tmp_path / "metrics.json", json.dumps({"iteration": 19, "lr": 0.1, "bbox/AP": 37.9}) + "\n")
    assert reader.close() == [{"iter": 19, "train/lr": 0.1, "val/bbox/AP": 37.9}]


def test_output_and_file_say_the_same_once(tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text(
        "command: [t]\nmetrics: [{pattern: 'mAP: (?P<v>{number})', log: {val/mAP: v}}]\nfiles: [{path: '{output_dir}/m.jsonl'}]"
    )
    profile = load_profile(tmp_path / "mine.yaml", project_root=tmp_path)
    reader = MetricReader(profile, TrialPaths(tmp_path), "t1", lambda text: None)
    rows = reader.feed_chunk(b"mAP: 1\n") + reader.flush()
    append(tmp_path / "m.jsonl", '{"epoch": 1, "val/mAP": 1, "val/top1": 2}\n{"epoch": 2, "val/mAP": 2}\n')
    assert rows + reader.close() == [{"val/mAP": 1}, {"epoch": 1, "val/top1": 2}]


def test_reading_a_large_file_does_not_hold_up_the_output(tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text("command: [t]\nmetrics: []\nfiles: [{path: '{output_dir}/m.jsonl'}]")
    profile = load_profile(tmp_path / "mine.yaml", project_root=tmp_path)
    reader = MetricReader(profile, TrialPaths(tmp_path), "t1", lambda text: None)
    append(tmp_path / "m.jsonl", '{"epoch": 1, "x": 1}\n' * 30_000)
    longest, rows = 0.0, 0
    deadline = time.monotonic() + 120
    while rows < 30_000:
        assert time.monotonic() < deadline
        start = time.perf_counter()
        reader.feed_chunk(b'METRIC {"y": 1}\n')
        longest = max(longest, time.perf_counter() - start)
        rows += len(reader.read_files())
        time.sleep(0.001)
    assert longest < 0.5
    reader.close()


def test_without_the_tensorboard_package_the_message_is_clear(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "tensorboard", None)
    with pytest.raises(ConfigError, match=r"p\.yaml: files: .*pip install tensorboard"):
        check_formats((FileSource("x", "tensorboard"),), "p.yaml")
    check_formats((FileSource("x"),), "p.yaml")


def event(step: int, tag: str, value: float) -> bytes:
    """One record of an event file: a TFRecord of an Event (step = 2, summary = 5) with one simple_value."""

    def field(number: int, kind: int, content: bytes) -> bytes:
        return bytes([number << 3 | kind]) + (bytes([len(content)]) if kind == 2 else b"") + content

    scalar = field(1, 2, tag.encode()) + field(2, 5, struct.pack("<f", value))
    return record(field(2, 0, bytes([step])) + field(5, 2, field(1, 2, scalar)))


def record(content: bytes) -> bytes:
    head = struct.pack("<Q", len(content))
    return head + struct.pack("<I", masked(head)) + content + struct.pack("<I", masked(content))


def masked(data: bytes) -> int:
    """TFRecord's checksum: CRC-32C, rotated and offset."""
    crc = 0xFFFFFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0x82F63B78 if crc & 1 else 0)
    crc ^= 0xFFFFFFFF
    return ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF


def test_tensorboard_events(tmp_path: Path) -> None:
    pytest.importorskip("tensorboard")
    check_formats((FileSource("x", "tensorboard"),), "p.yaml")
    logs = tmp_path / "runs" / "a"
    logs.mkdir(parents=True)
    path = logs / "events.out.tfevents.1.host"
    path.write_bytes(event(1, "old", 1))
    with following(tmp_path, FileSource("{output_dir}/runs", "tensorboard", Names(), "iter")) as follower:
        with open(path, "ab") as file:
            file.write(event(2, "train/loss", 0.5) + event(2, "val/mAP", 41.5) + event(3, "train/loss", math.nan)[:-3])
        assert until_rows(lambda: [row for _, row in follower.rows()], 0) == []
        with open(path, "ab") as file:
            file.write(event(3, "train/loss", math.nan)[-3:])
        first = until(follower, 1)
        assert first == [{"iter": 2, "train/loss": 0.5, "val/mAP": 41.5}]
        ((_, last),) = follower.close()
        assert last["iter"] == 3 and math.isnan(last["train/loss"])


def until_rows(rows: Callable[[], list[Row]], count: int) -> list[Row]:
    found = rows()
    assert len(found) == count
    return found


def test_a_sweep_optimises_a_metric_of_a_file(tmp_path: Path) -> None:
    (tmp_path / "t.py").write_text(
        "import sys, json\n"
        "lr = float(dict(w[2:].split('=') for w in sys.argv[1:])['lr'])\n"
        "for e in range(3): open('m-%s.jsonl' % lr, 'a').write(json.dumps({'epoch': e, 'score': lr * e}) + '\\n')\n"
    )
    profile = tmp_path / "p.yaml"
    profile.write_text("command: [python, t.py]\ncwd: .\noverrides: argparse\nfiles: [{path: 'm-*.jsonl'}]\n")
    search = {
        "method": "grid",
        "metric": {"name": "score", "goal": "maximize"},
        "parameters": {"lr": {"values": [1, 2]}},
    }
    words = ("--sweep-config", write_sweep(tmp_path, search), "--wandb-mode", "disabled")
    ran = sweep(tmp_path, *words, trainer=profile, config=None)
    assert ran.code == 0, ran.out + ran.err
    assert [trial["value"] for trial in ran.summary["trials"]] == [2, 4]
    assert [row["score"] for row in ran.rows(ran.summary["trials"][1]["name"])] == [0, 2, 4]
