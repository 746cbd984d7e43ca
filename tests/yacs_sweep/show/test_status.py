"""`--status`: what a sweep's folder says, also while it is written, and whether anybody works on it."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml

from tests.sweeping import GRID, SWEEP, environment, start, sweep, write_sweep
from yacs_sweep.base.command_line import COMMAND
from yacs_sweep.base.values import utc_now
from yacs_sweep.records.alive import LAUNCHER_PATTERN, announced, launchers
from yacs_sweep.records.control.order_file import OrderFile
from yacs_sweep.records.control.orders import new_order
from yacs_sweep.records.folder import SweepPaths, TrialRecord
from yacs_sweep.records.launch_file import load_spec_of
from yacs_sweep.records.metrics import MOST, new_rows
from yacs_sweep.records.summary import Summary
from yacs_sweep.show import snapshot, status
from yacs_sweep.show.cells import plain
from yacs_sweep.show.lines import command_text
from yacs_sweep.show.query.as_json import sweep_object
from yacs_sweep.show.snapshot import read_snapshot, summary_head
from yacs_sweep.show.status import board_time, to_board
from yacs_sweep.spec.sweep import SweepSpec

OFFLINE = ("--wandb-mode", "disabled", "--controller", "local")


def record(
    paths: SweepPaths, number: int, state: str = "finished", *, age: float = 1000, **fields: object
) -> TrialRecord:
    name = f"trial-{number:04d}"
    row = {
        "id": f"t{number}", "name": name, "number": number, "params": {"lr": 0.1 * number}, "state": state,
        "cause": "exit" if state == "failed" else state, "started": utc_now(),
        "ended": None if state == "running" else utc_now(), "value": float(number) if state == "finished" else None, **fields,
    }  # fmt: skip
    made, place = TrialRecord.from_row(row), paths.trial(name)
    place.dir.mkdir(parents=True, exist_ok=True)
    made.save(place)
    os.utime(place.record, (time.time() - age,) * 2)
    return made


@pytest.fixture
def paths(tmp_path: Path) -> SweepPaths:
    made = SweepPaths(tmp_path, "abc123")
    made.agents.mkdir(parents=True)
    made.launch.write_text(json.dumps({"controller": "local", "target": 4}))
    made.spec.write_text("name: lr\nmethod: random\nmetric: {name: val/mAP, goal: maximize}\n")
    return made


def write_summary(paths: SweepPaths) -> Summary:
    summary = Summary(paths, name="lr", controller="local", method="random", metric="val/mAP", goal="maximize")
    summary.write(final=True)
    return summary


def shown(paths: SweepPaths) -> tuple[str, int]:
    lines, code, _ = status._of_sweep(paths, 120, 1000)
    return "\n".join(map(plain, lines)), code


def test_summary_json_stands_for_trials_that_have_not_changed_since(paths: SweepPaths) -> None:
    for number in range(3):
        record(paths, number)
    write_summary(paths)
    paths.trial("trial-0000").record.write_text("not looked at")
    os.utime(paths.trial("trial-0000").record, (1, 1))
    assert read_snapshot(paths).counts == {"finished": 3}


def test_what_is_newer_than_summary_json_counts(paths: SweepPaths) -> None:
    record(paths, 0)
    record(paths, 1, "running")
    write_summary(paths)
    record(paths, 0, "finished", age=0, value=77.0)  # it was run again
    record(paths, 1, "failed", age=5000)  # had not ended
    record(paths, 2, "running", age=5000)  # is not in it
    snapshot = read_snapshot(paths)
    assert [(each.name, each.state, each.value) for each in snapshot.records] == [
        ("trial-0000", "finished", 77.0),
        ("trial-0001", "failed", None),
        ("trial-0002", "running", None),
    ]


@pytest.mark.parametrize("text", [None, "", '{"sweep_id": "abc123", "trials": [{"na', "[]", '{"trials": [1]}'])
def test_without_a_whole_summary_json_the_trials_tell(paths: SweepPaths, text: str | None) -> None:
    record(paths, 0)
    if text is not None:
        paths.summary.write_text(text)
    paths.trial("half").dir.mkdir()
    paths.trial("half").record.write_text('{"id": "x", "na')
    snapshot = read_snapshot(paths)
    assert (snapshot.name, snapshot.method, snapshot.metric, snapshot.counts) == (
        "lr",
        "random",
        "val/mAP",
        {"finished": 1},
    )


def test_the_line_that_resumes_has_the_last_launchs_workers_and_limits(paths: SweepPaths) -> None:
    record(paths, 0)
    write_summary(paths)
    launch = json.loads(paths.launch.read_text())
    paths.launch.write_text(json.dumps({**launch, "words": ["--workers", "2", "--timeout", "60"]}))
    text, _ = shown(paths)
    assert f"; resume with: {command_text(COMMAND)} --sweep_id abc123 --workers 2 --timeout 60" in text


def test_who_works_on_it_is_told_by_locks(paths: SweepPaths) -> None:
    record(paths, 0)
    record(paths, 1, "running")
    write_summary(paths)
    text, code = shown(paths)
    assert code == 1
    assert (
        f"no launcher is running  3 trials to go, 1 cut off; resume with: {command_text(COMMAND)} --sweep_id abc123"
        in text
    )
    with announced(paths, workers=2):
        text, code = shown(paths)
        assert code == 0
        assert f"process {os.getpid()}, 2 workers" in text and "1 running  2 to go" in text
        assert "trial-0001" in text
    assert not list(paths.agents.glob(LAUNCHER_PATTERN))


def test_a_running_sweep_shows_its_budget(paths: SweepPaths) -> None:
    record(paths, 0)
    write_summary(paths)
    content = json.loads(paths.launch.read_text()) if paths.launch.exists() else {}
    paths.launch.write_text(json.dumps({**content, "words": ["--for", "8h", "--max-gpu-hours", "100"]}))
    assert "budget  " not in shown(paths)[0]
    with announced(paths, workers=1):
        text, _ = shown(paths)
        assert re.search(r"budget  ran .+ of 8h  GPU hours \S+ of 100", text), text
        described = sweep_object(read_snapshot(paths), 0)["budget"]
        assert (described["for"], described["gpu_hours"], described["until"]) == (28800, 100, None)


def test_while_ctrl_z_has_stopped_the_launch_its_clock_stands_still_and_nobody_knows_the_end(paths: SweepPaths) -> None:
    for number in range(3):
        record(paths, number)
    record(paths, 3, "running")
    write_summary(paths)
    with announced(paths, workers=2) as announcement:
        announcement.set_workers(10)
        announcement.set_workers(1)
        announcement.set_asleep(True)
        (found,) = launchers(paths)
        assert found.workers == 1 and found.asleep is not None
        snapshot = read_snapshot(paths)
        assert board_time(snapshot) == snapshot.asleep == pytest.approx(time.time(), abs=5)
        assert to_board(snapshot).seconds_left(time.time()) is None
        text, code = shown(paths)
        assert code == 0 and "asleep  " in text and "runs  " not in text
        assert f"process {os.getpid()}, 1 worker, stopped by Ctrl-Z just now; `fg` in its terminal continues it" in text
        announcement.set_asleep(False)
        assert launchers(paths)[0].asleep is None and "runs  " in shown(paths)[0]
        assert to_board(read_snapshot(paths)).seconds_left(time.time()) is not None
        OrderFile(paths).append(new_order("pause"))
        assert to_board(read_snapshot(paths)).seconds_left(time.time()) is None


def test_a_launcher_that_was_killed_is_gone_and_its_file_is_cleared_away(paths: SweepPaths) -> None:
    code = f"""
import sys, time; sys.path.insert(0, {str(SWEEP.parent.parent)!r})
from pathlib import Path
from yacs_sweep.records.alive import announced
from yacs_sweep.records.folder import SweepPaths
with announced(SweepPaths(Path({str(paths.base)!r}), "abc123"), 3):
    print("up", flush=True); time.sleep(100)
"""
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE) as other:
        assert other.stdout is not None and other.stdout.readline() == b"up\n"
        assert [(found.pid, found.workers) for found in launchers(paths)] == [(other.pid, 3)]
        other.kill()
    assert launchers(paths) == [] and len(list(paths.agents.glob(LAUNCHER_PATTERN))) == 1
    with announced(paths, 1):
        assert [found.pid for found in launchers(paths)] == [os.getpid()]
        assert len(list(paths.agents.glob(LAUNCHER_PATTERN))) == 1


def test_a_launcher_on_another_machine_is_known_by_its_agents_signs_of_life(paths: SweepPaths) -> None:
    (paths.agents / "launcher-1.json").write_text(
        json.dumps({"host": "far", "pid": 5, "started": utc_now(), "workers": 1})
    )
    assert launchers(paths) == []
    lock = paths.agents / "0-abc.lock"
    lock.write_text("far 77 token\n")
    assert [found.host for found in launchers(paths)] == ["far"]
    os.utime(lock, (time.time() - 3600,) * 2)
    assert launchers(paths) == []


@pytest.mark.parametrize(
    ("states", "code", "text"),
    [
        (["finished", "stopped", "finished", "finished"], 0, "ended  every trial is done"),
        (["finished", "failed", "finished", "finished"], 1, "not ended well  1 × exit"),
        (["finished", "stopped"], 1, "no launcher is running  2 trials to go"),
    ],
)
def test_the_exit_status_tells_how_it_is(paths: SweepPaths, states: list[str], code: int, text: str) -> None:
    for number, state in enumerate(states):
        record(paths, number, state)
    write_summary(paths)
    told, found = shown(paths)
    assert found == code and text in told


def test_the_description_of_a_sweep_is_read_once(paths: SweepPaths, monkeypatch: pytest.MonkeyPatch) -> None:
    small = SweepPaths(paths.base, f"{paths.sweep_id}-best")
    small.dir.mkdir(parents=True)
    body = {
        "method": "grid",
        "metric": {"name": "val/mAP", "goal": "maximize"},
        "parameters": {"seed": {"values": [1, 2]}},
    }
    small.spec.write_text(yaml.safe_dump(body))
    small.launch.write_text('{"controller": "local", "target": 2}')
    for number in (1, 2):
        record(small, number, params={"seed": number})
    asked = list[SweepPaths]()

    def load(found: SweepPaths) -> SweepSpec:
        asked.append(found)
        return load_spec_of(found)

    monkeypatch.setattr(snapshot, "load_spec_of", load)
    text, _ = shown(small)
    assert "mean" in text and asked == [small]


def test_the_head_of_a_summary_is_read_without_its_trials(paths: SweepPaths) -> None:
    for number in range(200):
        record(paths, number, command=["x" * 1000])
    summary = write_summary(paths)
    assert paths.summary.stat().st_size > 3 << 16
    head = summary_head(paths.summary)
    assert head["counts"] == {"finished": 200} and head["best"]["name"] == "trial-0199" and "trials" not in head
    assert json.loads(summary.content())["counts"] == head["counts"]


def test_rows_are_followed_and_of_many_the_last_are_read(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    assert new_rows(path) == ([], 0)
    path.write_text('{"step": 0, "loss": "NaN"}\n{"step": 1}\n{"st')
    rows, offset = new_rows(path)
    assert [row["step"] for row in rows] == [0, 1] and rows[0]["loss"] != rows[0]["loss"]
    assert new_rows(path, offset) == ([], offset)
    with path.open("a") as file:
        file.write('ep": 2}\nno row\n[1]\n')
    rows, offset = new_rows(path, offset)
    assert rows == [{"step": 2}] and offset == path.stat().st_size
    with path.open("a") as file:
        file.write("".join(json.dumps({"step": step}) + "\n" for step in range(50_000)))
    rows, offset = new_rows(path, offset)
    assert 1000 < len(rows) < MOST / 10 and rows[-1] == {"step": 49_999} and offset == path.stat().st_size
    path.write_text('{"step": 7}\n')  # anew
    assert new_rows(path, offset) == ([{"step": 7}], 12)


def run(folder: Path, *words: str, home: Path | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, str(SWEEP), "--status", *words],
        cwd=folder, env=environment(home or folder), capture_output=True, text=True, timeout=180, check=False,
    )  # fmt: skip


def test_a_sweep_is_watched_to_its_end_from_another_terminal(tmp_path: Path) -> None:
    assert (none := run(tmp_path)).returncode == 2 and "no sweep in" in none.stderr
    slow = ("TOY.SECONDS", "0.5", "TOY.ITERATIONS", "4")
    launcher = start(
        tmp_path, "--sweep-config", write_sweep(tmp_path, {**GRID, "name": "lr"}), *OFFLINE, *slow, verbose=False
    )
    assert launcher.stdout is not None
    assert any("▶ trial-0000" in line for line in launcher.stdout)
    listed = run(tmp_path)
    assert listed.returncode == 0
    _, row = listed.stdout.splitlines()
    assert row.startswith("runs") and "/3 " in row
    sweep_id = row.split()[1]
    watched = run(tmp_path, "--sweep_id", sweep_id, "--watch")
    launcher.communicate(timeout=180)
    assert launcher.returncode == watched.returncode == 0, watched.stderr
    assert "1 running" in watched.stdout
    assert watched.stdout.count("\n\n") >= 2
    assert "ended  every trial is done" in watched.stdout
    assert "\x1b" not in watched.stdout
    assert run(tmp_path).stdout.splitlines()[1].startswith("done")
    (elsewhere := tmp_path / "elsewhere").mkdir()  # it is remembered where its results are
    found = run(elsewhere, "--sweep_id", f"team/project/{sweep_id}", home=tmp_path)
    assert found.returncode == 0 and "3 finished" in found.stdout


def test_batches_and_mistakes(tmp_path: Path) -> None:
    files = [write_sweep(tmp_path, {**GRID, "name": name}, f"{name}.yaml") for name in ("one", "two")]
    ran = sweep(tmp_path, "--sweep-config", *files, *OFFLINE, "--count", "1")
    assert ran.code == 0
    batch = next(
        path.name for path in (tmp_path / "log" / "sweep" / "sweep").iterdir() if path.name.startswith("batch-")
    )
    told = run(tmp_path, "--sweep_id", batch).stdout.splitlines()
    assert len(told) == 3 and {line.split()[2] for line in told[1:]} == {"one", "two"}
    unknown = run(tmp_path, "--sweep_id", "nosuch12")
    assert unknown.returncode == 2 and "no such sweep (looked in" in unknown.stderr
    assert run(tmp_path, "--sweep_id", "../x").returncode == 2
    for words, text in (
        (("--quiet", "--verbose"), "--verbose, --quiet"),
        (("--watch",), "--watch: needs --status"),
    ):
        wrong = sweep(tmp_path, "--sweep-config", files[0], *OFFLINE, *words)
        assert wrong.code == 2 and text in wrong.err


def test_watching_ends_when_nobody_reads_any_more(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(status, "output_error", lambda: BrokenPipeError())
    assert status._as_text(lambda columns, rows: ([[("runs", "")]], 1, True), watch=True) == 1
    assert capsys.readouterr().out == "runs\n\n"
