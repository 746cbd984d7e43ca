"""Files a crash can never leave half: written whole, appended whole, repaired when they are opened again."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from tests.sweeping import ROOT
from yacs_sweep.base.files import PART_AGE, remove_parts, write_atomically
from yacs_sweep.base.values import to_json
from yacs_sweep.records.folder import SweepPaths, TrialRecord, best_of, mark_lost
from yacs_sweep.records.metrics import MetricsFile, read_metrics
from yacs_sweep.records.summary import Summary


def test_a_write_that_fails_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "trial.json"
    write_atomically(path, "old")
    with pytest.raises(UnicodeEncodeError):
        write_atomically(path, "new \ud800")
    assert path.read_text() == "old"
    assert os.listdir(tmp_path) == ["trial.json"]


WRITER = """
import sys; sys.path.insert(0, {root!r})
from pathlib import Path
from yacs_sweep.base.files import write_atomically
from yacs_sweep.records.metrics import MetricsFile
folder = Path({folder!r})
file = MetricsFile(folder / "metrics.jsonl")
print("up", flush=True)
while True:
    step = file.append({{"value": "x" * 5000}})
    write_atomically(folder / "trial.json", '{{"step": %d, "filler": "%s"}}' % (step, "y" * 20000), durable=False)
"""


def test_files_of_a_writer_killed_at_any_moment_are_whole(tmp_path: Path) -> None:
    steps = -1
    for _ in range(8):
        writer = subprocess.Popen(
            [sys.executable, "-c", WRITER.format(root=str(ROOT), folder=str(tmp_path))], stdout=subprocess.PIPE
        )
        assert writer.stdout is not None
        assert writer.stdout.readline() == b"up\n"
        deadline = time.monotonic() + 0.02  # at a moment of its own each time, as far as the scheduler has any
        while time.monotonic() < deadline:
            pass
        writer.kill()
        writer.wait()
        writer.stdout.close()
        rows = read_metrics(tmp_path / "metrics.jsonl")
        assert [row["step"] for row in rows] == list(range(len(rows)))
        assert len(rows) - 1 >= steps
        steps = len(rows) - 1
        if (tmp_path / "trial.json").exists():
            assert steps - 1 <= json.loads((tmp_path / "trial.json").read_text())["step"] <= steps
    assert steps > 8


@pytest.mark.parametrize(
    ("content", "kept"),
    [
        (b"", 0),
        (b'{"step": 0}', 0),
        (b'{"step": 0}\n{"ste', 1),
        (b'{"step": 0}\n{"step": 1}\n', 2),
        (b'{"step": 0}\n{"step": 1}\n\x00\x00\x00\n', 2),
        (b'{"step": 0}\nnull\n{"st\n', 1),
    ],
)
def test_a_torn_end_is_cut_off_and_steps_go_on(tmp_path: Path, content: bytes, kept: int) -> None:
    path = tmp_path / "metrics.jsonl"
    path.write_bytes(content)
    file = MetricsFile(path)
    assert file.append({"a": float("nan")}) == kept
    file.close()
    lines = path.read_text().splitlines()
    assert [json.loads(line)["step"] for line in lines] == list(range(kept + 1))
    assert json.loads(lines[-1])["a"] == "NaN"


def test_reading_leaves_out_what_is_no_row(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    path.write_bytes(b'{"step": 0, "x": "Infinity"}\n{"st\n{"step": 2, "x": 1%s}\n{"step": 3' % (b"0" * 400))
    assert read_metrics(path) == [{"step": 0, "x": float("inf")}, {"step": 2, "x": float("inf")}]


@pytest.mark.skipif(sys.platform != "linux", reason="needs a file-size limit that write(2) reports")
def test_a_row_that_does_not_fit_is_taken_back(tmp_path: Path) -> None:
    # A file-size limit ends a write in the middle just as a full disk does.
    code = (
        f"import resource, signal, sys; sys.path.insert(0, {str(ROOT)!r})\n"
        "from pathlib import Path\n"
        "from yacs_sweep.records.metrics import MetricsFile\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN); resource.setrlimit(resource.RLIMIT_FSIZE, (2500, 2500))\n"
        f"file = MetricsFile(Path({str(tmp_path / 'metrics.jsonl')!r}))\n"
        "try:\n    while True: file.append({'text': 'x' * 980})\n"
        "except OSError as error: print(error.errno)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "27\n"
    assert (tmp_path / "metrics.jsonl").read_bytes().endswith(b'"}\n')
    assert [row["step"] for row in read_metrics(tmp_path / "metrics.jsonl")] == [0, 1]


def test_only_old_leftovers_of_writers_are_removed(tmp_path: Path) -> None:
    (tmp_path / "trial-0000").mkdir()
    old = [tmp_path / ".summary.json.x.part", tmp_path / "trial-0000" / ".trial.json.y.part"]
    for path in old:
        path.write_text("{")
        os.utime(path, (time.time() - 2 * PART_AGE,) * 2)
    fresh = tmp_path / ".summary.json.z.part"
    fresh.write_text("{")
    remove_parts(tmp_path)
    assert list(tmp_path.rglob("*.part")) == [fresh]


def record(number: int, state: str = "finished", value: float | None = None, **more: str) -> TrialRecord:
    return TrialRecord(f"s-{number}", f"trial-{number:04d}", number, {"lr": number}, state=state, value=value, **more)


def save(paths: SweepPaths, item: TrialRecord) -> None:
    paths.trial(item.name).dir.mkdir(parents=True, exist_ok=True)
    item.save(paths.trial(item.name))


def summary(paths: SweepPaths) -> Summary:
    return Summary(paths, name="n", controller="local", method="grid", metric="m", goal="maximize")


def test_two_launchers_summaries_have_all_trials_whoever_writes_last(tmp_path: Path) -> None:
    paths = SweepPaths(tmp_path, "s")
    paths.agents.mkdir(parents=True)
    first, second = summary(paths), summary(paths)
    other = record(0, "running")
    save(paths, other)
    second.records[other.id] = other
    second.own.add(other.id)
    second.write()
    first.write()  # has seen it running
    other.state, other.value = "finished", 3.0
    save(paths, other)
    second.write()
    mine = record(1, value=2.0)
    save(paths, mine)
    first.records[mine.id] = mine
    first.own.add(mine.id)
    first.write()
    content = json.loads(paths.summary.read_text())
    assert content["counts"] == {"finished": 2}
    assert content["best"]["name"] == "trial-0000"


def test_a_stopped_holder_of_the_summarys_lock_does_not_hold_up_others(tmp_path: Path) -> None:
    paths = SweepPaths(tmp_path, "s")
    paths.agents.mkdir(parents=True)
    code = (
        f"import sys; sys.path.insert(0, {str(ROOT)!r})\n"
        "from pathlib import Path\nfrom yacs_sweep.base.locks import exclusive\n"
        f"with exclusive(Path({str(paths.agents / 'summary.lock')!r})): print('held', flush=True); sys.stdin.read()"
    )
    with subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"held\n"
        summary(paths).write()
        assert holder.poll() is None
        holder.kill()
    assert json.loads(paths.summary.read_text())["trials"] == []


def test_only_a_finished_trial_with_a_number_is_the_best() -> None:
    trials = [record(0, "stopped", 9.0), record(1, "failed", 8.0), record(2, value=float("nan")), record(3, value=1.0)]
    best = best_of(trials, "maximize")
    assert best is not None and best.number == 3
    assert best_of(trials[:3], "maximize") is None


def test_a_lost_trial_says_so_in_its_file(tmp_path: Path) -> None:
    paths = SweepPaths(tmp_path, "s")
    running = record(0, "running")
    save(paths, running)
    mark_lost(running, paths)
    written = TrialRecord.load(paths.trial("trial-0000").record)
    assert (written.state, written.pid) == ("lost", None)
    assert written.ended


def test_json_has_no_number_json_does_not_have() -> None:
    assert json.loads(to_json({"a": [float("nan"), float("-inf"), 1.5]})) == {"a": ["NaN", "-Infinity", 1.5]}


@pytest.mark.parametrize(
    ("printed", "steps"),
    [
        ([None, None], [0, 1]),
        ([10, 20, None, 30], [10, 20, 21, 30]),
        ([10, 10, 10, 20], [10, 11, 12, 20]),  # several rows of one step
        ([100, 90, 80, 200], [100, 101, 102, 200]),  # steps of the file only grow
        ([-5, 3], [0, 8]),
        (["7", 1.5, True, [1], 1 << 60], [0, 1, 2, 3, 4]),  # no steps
    ],
)
def test_a_step_that_the_trainer_prints_is_the_rows_as_far_as_steps_grow(
    tmp_path: Path, printed: list[Any], steps: list[int]
) -> None:
    rows = [{"loss": 1.0, **({} if step is None else {"step": step})} for step in printed]
    file = MetricsFile(tmp_path / "metrics.jsonl")
    assert [file.append(row) for row in rows] == steps
    file.close()
    assert [row["step"] for row in read_metrics(tmp_path / "metrics.jsonl")] == steps
    again = MetricsFile(tmp_path / "metrics.jsonl")  # another attempt, which begins where it did
    more = [again.append(row) for row in rows]
    again.close()
    assert more == sorted(set(more)) and more[0] > steps[-1]
