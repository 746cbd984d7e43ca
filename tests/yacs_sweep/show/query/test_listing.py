"""`--status` with `--where`, `--sort`, `--columns` and `--json`."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.yacs_sweep.show.query.made import asked, made_sweep, made_trial
from yacs_sweep.base.errors import ConfigError
from yacs_sweep.records.folder import SweepPaths
from yacs_sweep.show.query import values
from yacs_sweep.show.query.listing import Query, list_trials, select
from yacs_sweep.show.query.values import last_logged
from yacs_sweep.show.snapshot import read_snapshot


@pytest.fixture
def paths(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> SweepPaths:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    made = made_sweep(tmp_path)
    for number, value in enumerate((40.0, 55.0, float("nan"), 12.5)):
        rows = [{"train/loss": 5.0 - number}, {"val/mAP": value, "epoch": 2}]
        made_trial(made, number, value, {"base_lr": 10.0**-number, "SOLVER.MARGIN": 0.1}, rows)
    made_trial(
        made, 4, None, {"base_lr": 0.5, "SOLVER.MARGIN": 0.3}, [{"train/loss": 9.0}], state="failed", cause="oom"
    )
    return made


def names(out: str) -> list[str]:
    """The trials of a table, in its order."""
    return [word for line in out.splitlines() for word in line.split()[:1] if word.startswith("trial-")]


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["--where", "val/mAP > 30"], ["trial-0000", "trial-0001"]),
        (["--where", "val/mAP > 30 and base_lr < 0.5"], ["trial-0001"]),
        (["--where", "SOLVER.BASE_LR == 0.5"], ["trial-0004"]),  # the key that the alias stands for
        (["--where", "margin == 0.3"], ["trial-0004"]),  # the alias of a key
        (["--where", "train/loss > 4"], ["trial-0000", "trial-0004"]),  # logged, and no objective
        (["--where", "missing(val/mAP)"], ["trial-0004"]),
        (["--where", "state == 'failed' and cause == 'oom'"], ["trial-0004"]),
        (["--where", "duration > 180 and state != 'failed'"], ["trial-0003"]),
        (["--where", "number in [1, 3]"], ["trial-0001", "trial-0003"]),
        (["--where", "val/mAP > 99"], []),
        (["--sort", "val/mAP"], ["trial-0001", "trial-0000", "trial-0003", "trial-0002", "trial-0004"]),  # its goal
        (["--sort", "+val/mAP"], ["trial-0003", "trial-0000", "trial-0001", "trial-0002", "trial-0004"]),
        (["--sort", "base_lr"], ["trial-0003", "trial-0002", "trial-0001", "trial-0004", "trial-0000"]),
        (["--sort", "-base_lr"], ["trial-0000", "trial-0004", "trial-0001", "trial-0002", "trial-0003"]),
        (["--sort", "SOLVER.MARGIN,-number"], ["trial-0003", "trial-0002", "trial-0001", "trial-0000", "trial-0004"]),
    ],
)
def test_trials_are_selected_and_sorted(
    paths: SweepPaths, capsys: pytest.CaptureFixture[str], words: list[str], expected: list[str]
) -> None:
    code, out, _ = asked(paths.base, capsys, "--status", "--sweep_id", paths.sweep_id, *words)
    assert code == 1  # as --status says of the sweep: a trial has failed
    assert names(out) == expected
    assert out.splitlines()[-1] == f"{len(expected)} of 5 trials"
    assert "\x1b" not in out


def test_columns_are_those_asked_for(paths: SweepPaths, capsys: pytest.CaptureFixture[str]) -> None:
    words = ("--sort", "number", "--columns", "name,SOLVER.BASE_LR,train/loss,`val/mAP`,duration")
    _, out, _ = asked(paths.base, capsys, "--status", "--sweep_id", paths.sweep_id, *words)
    head, _, first, *_, last, _ = out.splitlines()
    assert head.split() == ["trial", "SOLVER.BASE_LR", "train/loss", "val/mAP", "duration"]
    assert first.split() == ["trial-0000", "1.0", "5", "40", "60", "s"]
    assert last.split() == ["trial-0004", "0.5", "9", "5", "min", "00", "s"]


def test_without_an_id_the_trials_of_all_sweeps_are_listed(
    paths: SweepPaths, capsys: pytest.CaptureFixture[str]
) -> None:
    other = made_sweep(paths.base, "def456")
    made_trial(other, 0, 45.0, {"base_lr": 0.3})
    code, out, _ = asked(paths.base, capsys, "--status", "--where", "val/mAP > 42", "--sort", "val/mAP")
    assert code == 0
    rows = [line.split()[:3] for line in out.splitlines()[2:-1]]
    assert rows == [["abc123", "trial-0001", "55"], ["def456", "trial-0000", "45"]]
    assert names(asked(paths.base, capsys, "--status", "--where", "sweep == 'def456'", "--columns", "name")[1]) == [
        "trial-0000"
    ]


def test_trials_of_unlike_sweeps_have_each_its_objective(paths: SweepPaths, capsys: pytest.CaptureFixture[str]) -> None:
    spec = "method: random\nmetric: {name: loss, goal: minimize}\nparameters: {width: {min: 1, max: 9}}\n"
    made_trial(made_sweep(paths.base, "def456", spec), 0, 0.25, {"width": 3}, [{"loss": 0.25}])
    _, out, _ = asked(paths.base, capsys, "--status", "--where", "state == 'finished' and number == 0")
    head, _, *rows, _ = out.splitlines()
    assert head.split() == ["sweep", "trial", "objective", "state", "number"]
    assert sorted(map(str.split, rows)) == [
        ["abc123", "trial-0000", "val/mAP", "40", "finished", "0"],
        ["def456", "trial-0000", "loss", "0.25", "finished", "0"],
    ]
    _, out, _ = asked(paths.base, capsys, "--status", "--columns", "name,duration")
    assert out.split()[:3] == ["sweep", "trial", "duration"]


def test_the_list_of_sweeps_has_the_ids_of_batches_that_are_not_done(
    paths: SweepPaths, capsys: pytest.CaptureFixture[str]
) -> None:
    batch = paths.base / "sweep/batch-xyz/summary.json"
    batch.parent.mkdir()
    batch.write_text(json.dumps({"sweeps": [{"sweep_id": "abc123"}, {"sweep_id": "def456"}]}))
    assert asked(paths.base, capsys, "--status")[1].splitlines()[-1] == "batch-xyz: abc123, def456"


def test_json_has_the_sweep_its_trials_and_what_was_asked(
    paths: SweepPaths, capsys: pytest.CaptureFixture[str]
) -> None:
    code, out, _ = asked(paths.base, capsys, "--status", "--sweep_id", paths.sweep_id, "--json")
    found = json.loads(out)
    assert code == found["exit_status"] == 1
    assert list(found) == [
        "sweep_id", "name", "dir", "controller", "method", "metrics", "running", "launchers", "budget", "order", "done",
        "target", "target_reached", "counts", "best", "exit_status", "trials",
    ]  # fmt: skip
    assert found["counts"] == {"finished": 4, "failed": 1} and found["best"]["name"] == "trial-0001"
    assert [row["name"] for row in found["trials"]][:2] == ["trial-0001", "trial-0000"]  # best first
    assert next(row["value"] for row in found["trials"] if row["number"] == 2) == "NaN"  # as in trial.json
    words = ("--where", "number > 2", "--columns", "train/loss")
    _, out, _ = asked(paths.base, capsys, "--status", "--sweep_id", paths.sweep_id, "--json", *words)
    assert [row["named"] for row in json.loads(out)["trials"]] == [
        {"number": 3, "train/loss": 2.0},
        {"number": 4, "train/loss": 9.0},
    ]
    _, out, _ = asked(paths.base, capsys, "--status", "--json")
    assert [sweep["sweep_id"] for sweep in json.loads(out)["sweeps"]] == ["abc123"]


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--where", "val/map > 3"], "--where: no trial has anything called val/map; did you mean val/mAP?"),
        (["--sort", "durration"], "--sort: no trial has anything called durration; did you mean duration?"),
        (["--columns", "zzzz"], "--columns: no trial has anything called zzzz; there are val/mAP, train/loss, "),
        (["--where", "base_lr < 'a'"], "(base_lr is 1)"),
        (["--where", "state > 3"], "fits no trial: it compares values of different kinds (state is 'finished')"),
        (["--columns=-name"], "--columns: -name has a sign; write it in --sort=-name"),
        (["--sort", "a,,b"], "--sort: ',b' is no name"),
        (["--where", ""], "--where: is empty"),
        (["--json", "--watch"], "--json, --watch: JSON is printed once"),
    ],
)
def test_a_mistake_is_a_line_and_exit_status_2(
    paths: SweepPaths, capsys: pytest.CaptureFixture[str], words: list[str], told: str
) -> None:
    code, out, err = asked(paths.base, capsys, "--status", "--sweep_id", paths.sweep_id, *words)
    assert code == 2 and not out
    assert told in err and err.count("\n") == 1


def test_before_anything_is_logged_a_metric_is_not_misspelt(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    made_trial(made_sweep(tmp_path), 0, None, {"base_lr": 0.1}, state="running")
    code, out, _ = asked(tmp_path, capsys, "--status", "--sweep_id", "abc123", "--where", "val/rank > 3")
    assert code == 1 and out == "0 of 1 trial\n"


def test_the_last_logged_value_is_found_from_the_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "metrics.jsonl"
    path.write_text('{"step": 0, "a": 1.0}\n{"step": 1, "a": 2.0}\n{"step": 2, "note": "\\"a\\": 3", "b": "NaN"}\n{"st')
    for tail in (1 << 16, 8):
        monkeypatch.setattr(values, "TAIL", tail)
        assert last_logged(path, "a") == 2.0
        assert str(last_logged(path, "b")) == "nan"
        assert last_logged(path, "c") is None
    assert last_logged(tmp_path / "none", "a") is None


def test_a_long_table_fits_eighty_columns(paths: SweepPaths, capsys: pytest.CaptureFixture[str]) -> None:
    query = Query.read("number >= 0", None, None)
    assert query is not None
    snapshots = [read_snapshot(paths)]
    assert all(len(line) <= 79 for line in list_trials(select(snapshots, query), snapshots, query, 79))


def test_nothing_asked_is_no_query() -> None:
    assert Query.read(None, None, None) is None
    with pytest.raises(ConfigError):
        Query.read("a >", None, None)
