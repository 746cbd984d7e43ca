"""Trials on disk: their folders and records, whose point is tried again, and which of them is the best."""

from __future__ import annotations

import errno
import json
import math
from pathlib import Path
from typing import Any

import pytest

from yacs_sweep.records import folder
from yacs_sweep.records.folder import (
    SweepPaths,
    TrialPaths,
    TrialRecord,
    best_of,
    better,
    folder_name,
    mark_lost,
    move_paths,
    rank,
)


def record(number: int, state: str = "finished", value: float | None = None, **more: Any) -> TrialRecord:
    return TrialRecord(f"s-{number}", f"trial-{number:04d}", number, {"lr": number}, state=state, value=value, **more)


def save(paths: SweepPaths, item: TrialRecord, folder: str | None = None) -> None:
    place = paths.trial(folder or item.name)
    place.dir.mkdir(parents=True, exist_ok=True)
    item.save(place)


@pytest.fixture
def paths(tmp_path: Path) -> SweepPaths:
    return SweepPaths(tmp_path, "s1")


# -- paths --------------------------------------------------------------------------------------------------------------


def test_the_files_of_a_sweep_are_where_the_contract_says(paths: SweepPaths, tmp_path: Path) -> None:
    sweep = tmp_path / "sweep" / "s1"
    assert paths.dir == sweep
    assert (paths.spec, paths.summary, paths.best) == (sweep / "sweep.yaml", sweep / "summary.json", sweep / "best.yml")
    assert (paths.launch, paths.inputs) == (sweep / "launch.json", sweep / "inputs")
    assert (paths.journal, paths.agents, paths.calls) == (sweep / "storage.journal", sweep / "agents", sweep / ".calls")
    trial = paths.trial("trial-0003")
    assert trial == TrialPaths(sweep / "trial-0003")
    assert trial.record == sweep / "trial-0003" / "trial.json"
    assert trial.metrics == sweep / "trial-0003" / "metrics.jsonl"
    assert trial.stdout == sweep / "trial-0003" / "stdout.log"
    assert trial.wandb_run == sweep / "trial-0003" / ".wandb-run.json"


@pytest.mark.parametrize(
    ("name", "folder"),
    [
        ("trial-0000", "trial-0000"),
        ("a.B_c-9", "a.B_c-9"),
        ("x" * 80, "x" * 80),
        ("x" * 81, "x" * 80 + "-id-7"),
        ("a b/c", "a-b-c-id-7"),
        ("../up", "up-id-7"),
        (".hidden", "hidden-id-7"),
        ("-x", "x-id-7"),
        ("best", "best-id-7"),  # a folder of the sweep's own
        ("", "id-7"),
        ("...", "id-7"),
    ],
)
def test_a_folders_name_is_safe_whatever_a_trial_is_called(name: str, folder: str) -> None:
    assert folder_name(name, "id-7") == folder


def test_an_id_that_stands_in_for_a_name_is_cleaned_as_well() -> None:
    assert folder_name("", "a/../b.c") == "a-b-c"
    assert folder_name("", "-" + "x" * 50) == "x" * 40
    assert folder_name("", "///") == "trial"


@pytest.mark.parametrize(
    ("words", "old", "new", "moved"),
    [
        # The project was renamed: what stands above the sweep's folder changes in each word.
        (
            ["t.py", "--out=/a/p/log/t-0", "/a/p/c.yml"],
            "/a/p/log/t-0",
            "/b/q/log/t-0",
            ["t.py", "--out=/b/q/log/t-0", "/b/q/c.yml"],
        ),
        (["/a/p"], "/a/p/t", "/b/t", ["/b"]),
        (["/a/x.yml"], "/a/t", "/b/t", ["/b/x.yml"]),
        (["/a/t/x"], "/a/t", "/t", ["/t/x"]),
        (["/t/x"], "/t", "/a/t", ["/a/t/x"]),
        (["/a/p/t/x"], "/a/p/t", "/c/u", ["/c/u/x"]),
        (["/a/p/t"], "/a/p/t", "/c/u", ["/c/u"]),
        (["/a/pq/c.yml", "x/a/p/c", "/a/p.yml"], "/a/p/t", "/b/t", ["/a/pq/c.yml", "x/a/p/c", "/a/p.yml"]),
        (["/a/p/t"], "/a/p/t", "/a/p/t", ["/a/p/t"]),
        (["log/t/x"], "log/t", "/c/u", ["log/t/x"]),  # a relative folder says nothing of where it was
    ],
)
def test_a_commands_paths_follow_the_folder(words: list[str], old: str, new: str, moved: list[str]) -> None:
    assert move_paths(words, old, new) == moved


# -- records ------------------------------------------------------------------------------------------------------------


def test_a_record_comes_back_as_it_was_written(paths: SweepPaths) -> None:
    whole = record(3, "failed", -math.inf, exit_code=-9, reason="r", cause="signal", gpu_ids=["0"], retry_of="s-1")
    save(paths, whole)
    assert TrialRecord.load(paths.trial("trial-0003").record) == whole
    assert paths.trial("trial-0003").record.read_text().startswith('{\n  "id": "s-3",\n  "name": "trial-0003",\n')
    assert paths.record("trial-0003") == whole


def test_a_trial_begins_running_with_its_first_attempt_and_no_row() -> None:
    new = TrialRecord("id", "name", 0, {})
    assert (new.state, new.rows, new.attempts, new.value, new.exit_code, new.ended) == (
        "running",
        0,
        1,
        None,
        None,
        None,
    )


def test_keys_of_another_version_are_left_out_and_wrong_types_refused() -> None:
    row = record(1, value=2.0).row()
    assert TrialRecord.from_row({**row, "unknown": 1}) == record(1, value=2.0)
    with pytest.raises(TypeError):
        TrialRecord.from_row({**row, "number": "1"})
    del row["params"]
    with pytest.raises(TypeError):
        TrialRecord.from_row(row)


@pytest.mark.parametrize("place", ["/0", "/zz"])
def test_a_record_in_a_folder_that_was_moved_names_the_folder_it_is_in(paths: SweepPaths, place: str) -> None:
    old = f"{place}/sweep/s1/trial-0001"
    save(paths, record(1, dir=old, command=["python", f"{old}/x"]))
    here = paths.trial("trial-0001").dir
    found = paths.record("trial-0001")
    assert found is not None
    assert (found.dir, found.command) == (str(here), ["python", f"{here}/x"])
    save(paths, record(2, command=["x"]))  # says of no folder where it was
    found = paths.record("trial-0002")
    assert found is not None and (found.dir, found.command) == ("", ["x"])


def test_records_come_in_the_order_of_their_numbers_without_damaged_ones_and_copies(paths: SweepPaths) -> None:
    for number in (2, 0, 10, 1):
        save(paths, record(number))
    save(paths, record(1, started="2026"), folder="trial-0001_bak")
    (paths.trial("trial-0003").dir).mkdir()
    paths.trial("trial-0003").record.write_text("{")
    assert [item.number for item in paths.records()] == [0, 1, 2, 10]
    scanned = {path.parent.name: item and item.number for path, item in paths.scan()}
    assert scanned == {"trial-0000": 0, "trial-0001": 1, "trial-0002": 2, "trial-0010": 10, "trial-0003": None}
    assert paths.copies() == {"trial-0001_bak": "trial-0001"}
    assert paths.record("trial-0001_bak") is paths.record("trial-0003") is paths.record("trial-0009") is None


def test_of_equal_numbers_the_one_started_first_comes_first(paths: SweepPaths) -> None:
    for name, started in (("b", "2026-01-02"), ("a", "2026-01-03"), ("c", "2026-01-01")):
        save(paths, TrialRecord(name, name, 0, {}, started=started))
    assert [item.name for item in paths.records()] == ["c", "b", "a"]


def test_the_sweeps_own_folders_are_no_copies_of_trials(paths: SweepPaths) -> None:
    for name in ("best", "inputs", "agents", "wandb"):
        save(paths, record(1), folder=name)
    assert paths.copies() == {}


def test_a_lost_trial_says_so_and_since_when(paths: SweepPaths) -> None:
    item = record(1, "running", pid=77)
    paths.trial(item.name).dir.mkdir(parents=True)
    mark_lost(item, paths)
    found = paths.record(item.name)
    assert found is not None
    assert (found.state, found.cause, found.reason, found.pid) == ("lost", "lost", "its agent died", None)
    assert found.ended is not None and found.ended.endswith("Z")


def test_what_stands_in_the_records_place_gives_way(paths: SweepPaths) -> None:
    place = paths.trial("trial-0001")
    place.record.mkdir(parents=True)
    record(1, value=1.0).save(place)
    assert json.loads(place.record.read_text())["value"] == 1.0


@pytest.mark.parametrize("error", [errno.ENOSPC, errno.EDQUOT])
def test_on_a_full_disk_nothing_gives_way(paths: SweepPaths, monkeypatch: pytest.MonkeyPatch, error: int) -> None:
    tried = []

    def fail(path: Path, content: str, *, durable: bool) -> None:
        tried.append(durable)
        raise OSError(error, "full", str(path))

    monkeypatch.setattr(folder, "write_atomically", fail)
    monkeypatch.setattr(folder, "make_way", lambda path: pytest.fail("puts something aside"))
    with pytest.raises(OSError):
        record(1).save(paths.trial("trial-0001"), durable=False)
    assert tried == [False]


def test_a_record_is_durable_unless_told_otherwise(paths: SweepPaths, monkeypatch: pytest.MonkeyPatch) -> None:
    seen = []

    def note(path: Path, content: str, *, durable: bool) -> None:
        seen.append(durable)
        if len(seen) in (1, 3):
            raise OSError(errno.EISDIR, "a folder", str(path))

    monkeypatch.setattr(folder, "write_atomically", note)
    monkeypatch.setattr(folder, "make_way", lambda path: None)
    record(1).save(paths.trial("trial-0001"))
    record(1).save(paths.trial("trial-0001"), durable=False)
    assert seen == [True, True, False, False]


@pytest.mark.parametrize(
    ("state", "cause", "settled"),
    [
        ("finished", "finished", True),
        ("stopped", "stopped", True),
        ("failed", "exit", True),
        ("failed", "disk_full", False),
        ("failed", "gpu_fault", False),
        ("killed", "interrupted", False),
        ("lost", "lost", False),
        ("running", "", False),
    ],
)
def test_which_trials_points_are_tried_again(state: str, cause: str, settled: bool) -> None:
    assert record(0, state, cause=cause).settled is settled


# -- ranking ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("goal", "left", "right", "wins"),
    [
        ("maximize", 2.0, 1.0, True),
        ("maximize", 1.0, 2.0, False),
        ("maximize", 1.0, 1.0, False),
        ("minimize", 1.0, 2.0, True),
        ("minimize", 2.0, 1.0, False),
        ("minimize", 1.0, 1.0, False),
        ("maximize", -1.0, -2.0, True),
        ("maximize", -9.0, math.inf, True),
        ("minimize", 9.0, -math.inf, True),
        ("maximize", math.inf, -9.0, False),
        ("minimize", math.nan, math.nan, False),
    ],
)
def test_which_value_is_better(goal: str, left: float, right: float, wins: bool) -> None:
    assert better(goal, left, right) is wins


def test_finished_trials_come_first_best_first_then_others_with_a_value_then_the_rest() -> None:
    trials = [
        record(0, "failed"),
        record(1, "stopped", 9.0),
        record(2, "finished", 1.0),
        record(3, "finished", math.nan),
        record(4, "finished", 3.0),
        record(5, "failed", 10.0),
        record(6, "finished", 3.0),
        record(7, "running"),
        record(8, "finished", -2.0),
    ]
    assert [item.number for item in rank(trials, "maximize")] == [4, 6, 2, 8, 5, 1, 0, 3, 7]
    assert [item.number for item in rank(trials, "minimize")] == [8, 2, 4, 6, 1, 5, 0, 3, 7]
    best, worst = best_of(trials, "maximize"), best_of(trials, "minimize")
    assert best is not None and best.number == 4
    assert worst is not None and worst.number == 8


def test_there_is_no_best_without_a_finished_trial_that_has_a_value() -> None:
    assert best_of([], "maximize") is None
    assert best_of([record(0, "stopped", 1.0), record(1, "failed", 2.0), record(2, "running", 3.0)], "maximize") is None
    assert best_of([record(0, "finished", math.inf), record(1, "finished")], "maximize") is None
