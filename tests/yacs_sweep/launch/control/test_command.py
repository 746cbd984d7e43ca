"""Orders to a running sweep, from the command line."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

from tests.launches import FakeLaunch, sweep_folder
from tests.sweeping import ROOT
from yacs_sweep.cli import main
from yacs_sweep.launch.control.give import _in_all
from yacs_sweep.launch.options.read import contradictions, parse
from yacs_sweep.records.control.order_file import OrderFile
from yacs_sweep.records.control.orders import Order, answer_to, new_order
from yacs_sweep.records.folder import SweepPaths

ID = "k3v9x2ab"


@pytest.fixture(autouse=True)
def _home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    for name in ("WANDB_API_KEY", "WANDB_MODE", "NETRC"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def paths(tmp_path: Path) -> SweepPaths:
    return sweep_folder(tmp_path / "log/sweep")


def order(paths: SweepPaths) -> Order:
    (found,) = [entry for entry in OrderFile(paths).read() if isinstance(entry, Order)]
    return found


def run(*words: str) -> int:
    try:
        return main(list(words))
    except SystemExit as ended:  # of the parser
        return int(ended.code or 0)


@pytest.mark.parametrize(
    ("words", "act", "given"),
    [
        ([f"--pause={ID}"], "pause", {}),
        ([f"--resume={ID}"], "resume", {}),
        ([f"--stop={ID}"], "stop", {}),
        ([f"--cancel={ID}"], "cancel", {}),
        (["--sweep_id", ID, "--stop-trial", "calm-heron-2"], "stop_trial", {"trial": "calm-heron-2"}),
        (["--sweep_id", ID, "--set_workers", "3"], "set_workers", {"workers": 3, "now": False}),
        (["--sweep_id", ID, "--set-gpus", "0, 1", "--now"], "set_gpus", {"gpus": ["0", "1"], "now": True}),
        (["--sweep_id", ID, "--set-count", "30"], "set_count", {"count": 30}),
    ],
)
def test_an_order_is_given_and_the_answer_is_shown(
    paths: SweepPaths, words: list[str], act: str, given: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    with FakeLaunch(paths) as launch:
        assert run(*words) == 0
    assert capsys.readouterr().out == f"{act} taken ({socket.gethostname()}, process {launch.process.pid})\n"
    found = order(paths)
    host = {"host": socket.gethostname()} if act in ("set_workers", "set_gpus") else {}
    assert (found.act, found.given, found.by) == (act, {**given, **host}, "command")


@pytest.mark.parametrize("name", ["1", "calm", "2"])
def test_a_trial_is_named_as_for_its_log(paths: SweepPaths, name: str) -> None:
    with FakeLaunch(paths):
        assert run("--sweep_id", ID, "--stop-trial", name) == 0
    assert order(paths).given == {"trial": "calm-heron-2"}


@pytest.mark.parametrize(
    ("words", "status", "said"),
    [
        ((f"--stop={ID}",), 0, "no launch runs, there is nothing to end"),
        (("--sweep_id", ID, "--stop-trial", "calm-heron-2"), 1, "no launch runs that could end the trial"),
        (("--sweep_id", ID, "--set-workers", "2"), 1, "no launch runs that could do it; start one with: "),
    ],
)
def test_a_launch_that_ends_during_the_wait(
    paths: SweepPaths,
    words: tuple[str, ...],
    status: int,
    said: str,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("yacs_sweep.launch.control.give.ANSWER_WAIT", 0.3)
    with FakeLaunch(paths, answers=False) as launch:
        timer = threading.Timer(0.1, launch.process.kill)
        timer.start()
        assert run(*words) == status
        timer.join()
    out = capsys.readouterr().out
    assert said in out and "obeyed when it is read" not in out


def test_a_number_of_trials_that_the_sweep_cannot_have(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    paths = sweep_folder(tmp_path / "log/sweep", method="grid", parameters={"lr": {"values": [0.1, 0.2, 0.3, 0.4]}})
    assert run("--sweep_id", ID, "--set-count", "10") == 0
    assert order(paths).given == {"count": 4}
    assert "--set-count 10: the grid has 4, so the sweep has 4 trials in all\n" in capsys.readouterr().out


def test_a_number_of_trials_that_are_done_already(paths: SweepPaths, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("--sweep_id", ID, "--set-count", "1") == 0
    assert capsys.readouterr().out.startswith("1 trial is done already, so no further one starts\n")


def test_every_launch_answers(paths: SweepPaths, capsys: pytest.CaptureFixture[str]) -> None:
    with FakeLaunch(paths), FakeLaunch(paths, obeyed=False):
        assert run("--pause", ID) == 0
    assert len(capsys.readouterr().out.splitlines()) == 2


def test_an_order_that_no_launch_can_obey_is_no_success(paths: SweepPaths) -> None:
    with FakeLaunch(paths, obeyed=False):
        assert run("--sweep_id", ID, "--set-gpus", "7") == 1


def test_a_launch_that_is_silent_is_told_of(
    paths: SweepPaths, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("yacs_sweep.launch.control.give.ANSWER_WAIT", 0.3)
    with FakeLaunch(paths, answers=False) as launch:
        assert run("--pause", ID) == 0
        assert order(paths).act == "pause"
    assert (
        f"process {launch.process.pid}: has not answered yet; the order (pause) is written down"
        in capsys.readouterr().out
    )


@pytest.mark.parametrize(
    ("words", "status", "said", "written"),
    [
        (["--pause", ID], 0, "no launch runs; the next one starts no trial until: ", True),
        (["--resume", ID], 0, "is not paused, and no launch runs; start one with: ", True),
        (["--stop", ID], 0, "no launch runs, there is nothing to end; resume the sweep with: ", True),
        (["--cancel", ID], 0, "no launch runs, there is nothing to end; resume the sweep with: ", True),
        (["--sweep_id", ID, "--set-count", "30"], 0, "30 trials in all is written down for the next launch", True),
        (["--sweep_id", ID, "--set-workers", "3"], 1, f"--sweep_id {ID} --workers 3", False),
        (["--sweep_id", ID, "--set-gpus", "0,1"], 1, f"--sweep_id {ID} --gpus 0,1", False),
        (["--sweep_id", ID, "--stop-trial", "calm-heron-2"], 1, "no launch runs that could end the trial", False),
    ],
)
def test_a_sweep_that_nobody_works_on(
    paths: SweepPaths, words: list[str], status: int, said: str, written: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(*words) == status
    assert said in capsys.readouterr().out
    assert bool(OrderFile(paths).read()) == written


def test_resume_of_a_paused_sweep_that_nobody_works_on(paths: SweepPaths, capsys: pytest.CaptureFixture[str]) -> None:
    OrderFile(paths).append(new_order("pause"))
    assert run("--resume", ID) == 0
    assert f"{ID}: is not paused any more; no launch runs, start one with: " in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--pause", "nothere1"], "error: --pause nothere1: no such sweep (looked in "),
        (["--pause", "../x"], "error: --pause ../x: not a sweep id"),
        (["--pause", "batch-nothere"], "error: --pause batch-nothere: no such sweep"),
        (["--sweep_id", "nothere1", "--set-workers", "2"], "error: --sweep_id nothere1: no such sweep"),
        (["--sweep_id", ID, "--set-workers", "0"], "error: --set-workers: 0 workers would run nothing; --pause ID"),
        (["--sweep_id", ID, "--set-workers", "-1"], "error: --set-workers: '-1' is not a positive whole number"),
        (["--sweep_id", ID, "--set-count", "0"], "error: --set-count: '0' is not a positive whole number"),
        (["--sweep_id", ID, "--set-gpus", "0,,1"], "error: --set-gpus 0,,1: names no GPU between"),
        (["--sweep_id", ID, "--set-gpus", "1,1"], "error: --set-gpus 1,1: names GPU 1 twice"),
        (
            ["--sweep_id", ID, "--stop-trial", "calm-hern-2"],
            "error: --stop-trial calm-hern-2: no such trial; did you mean calm-heron-2?",
        ),
        (["--sweep_id", ID, "--stop-trial", "77"], "error: --stop-trial 77: no such trial; they are listed by: "),
        (
            ["--sweep_id", ID, "--stop-trial", "0"],
            "error: --stop-trial 0: brisk-otter-1 does not run, it is finished",
        ),
        (
            ["--sweep_id", ID, "--stop-trial", "brisk-otter-1"],
            "error: --stop-trial brisk-otter-1: does not run, it is finished",
        ),
        (["--sweep_id", ID, "--add-points", "gone.yaml"], "error: --add-points gone.yaml: no such file"),
    ],
)
def test_a_wrong_word(paths: SweepPaths, words: list[str], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(*words) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(said)
    assert not paths.control.exists()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("--now", "--now: needs --set-workers or --set-gpus"),
        ("--pause x --now", "--now: needs --set-workers or --set-gpus"),
        ("--set-workers 2", "--set-workers: needs --sweep_id ID, the sweep that it is for"),
        ("--pause x --sweep_id x", "--sweep_id: --pause names the sweep itself; leave it out"),
        ("--pause x --stop x", "--pause, --stop: are several orders; give one after the other"),
        (
            "--pause x --count 3 --workers 2",
            "--count, --workers: --pause starts nothing; leave out all but the sweep, ",
        ),
        ("--pause x y z", "--pause: takes no further words, and y z is given"),
        ("--notify-on end", "--notify-on: needs --notify, which says whom to tell"),
        ("--pause=", "--pause: is empty; is a variable of the shell not set?"),
    ],
)
def test_contradictions(words: str, said: str) -> None:
    assert any(line.startswith(said) for line in contradictions(parse(words.split())))


@pytest.mark.parametrize(
    "words",
    [
        "--compare a b --where x>1",
        "--logs t --sweep_id x --json",
        "--status --pause x",
        "--status --follow",
        "--status --now",
        "--pause x --where y>1",
        "--pause x --now",
    ],
)
def test_one_mistake_is_one_line(words: str) -> None:
    assert len(contradictions(parse(words.split()))) == 1


def test_what_may_stand_beside_an_order() -> None:
    words = "--results_dir d --storage postgresql://h/d --entity e --project p"
    assert contradictions(parse(f"--cancel x {words}".split())) == []
    assert contradictions(parse(f"--sweep_id x --set-workers 2 --now {words}".split())) == []


# -- points -----------------------------------------------------------------------------------------------------------
def test_points_are_completed_and_kept(paths: SweepPaths, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "points.csv"
    file.write_text("lr,optimizer\n0.05,adam\n0.002,\n")
    assert run("--sweep_id", ID, "--add-points", str(file)) == 0
    assert f"{ID}: 2 further points is written down" in capsys.readouterr().out
    first, second = order(paths).given["points"]
    assert first == {"lr": 0.05, "optimizer": "adam"}
    assert second["lr"] == 0.002
    assert second["optimizer"] in ("sgd", "adam")


def test_points_that_are_known_are_told_of_and_taken(
    paths: SweepPaths, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "p.yaml").write_text("- {lr: 0.01, optimizer: sgd}\n- {lr: 0.02, optimizer: sgd}\n")
    assert run("--sweep_id", ID, "--add-points", "p.yaml") == 0  # a trial has the first one
    warning, written = capsys.readouterr().out.splitlines()
    assert warning == "warning: 1 of 2 points is known already, tried or waiting; each is tried once more"
    assert written.startswith(f"{ID}: 2 further points is written down")
    assert run("--sweep_id", ID, "--add-points", "p.yaml") == 0
    assert capsys.readouterr().out.startswith("warning: 2 of 2 points are known already")


def test_points_that_do_not_fit_are_said_line_by_line(
    paths: SweepPaths, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "points.json"
    file.write_text(json.dumps([{"lr": 5.0}, {"optimiser": "sgd"}, {"lr": 0.01, "optimizer": "lamb"}]))
    assert run("--sweep_id", ID, "--add-points", str(file)) == 2
    label = f"error: --add-points {file}: point"
    first, second, third = capsys.readouterr().err.splitlines()
    assert first.startswith(f"{label} 1: lr: ")
    assert second.startswith(f"{label} 2: optimiser: is not searched by this sweep; did you mean optimizer?")
    assert third.startswith(f"{label} 3: optimizer: ")
    assert not paths.control.exists()


@pytest.mark.parametrize(
    ("controller", "spec", "said"),
    [
        ("wandb", {}, "the W&B server chooses the points"),
        (
            "local",
            {"method": "grid", "parameters": {"lr": {"values": [0.1, 0.2]}}},
            "is a grid search, which tries every point",
        ),
    ],
)
def test_sweeps_that_take_no_points(
    tmp_path: Path, controller: str, spec: dict[str, Any], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    sweep_folder(tmp_path / "log/sweep", controller=controller, **spec)
    (tmp_path / "p.yaml").write_text("- {lr: 0.1}\n")
    assert run("--sweep_id", ID, "--add-points", "p.yaml") == 2
    assert said in capsys.readouterr().err


# -- several sweeps, other users --------------------------------------------------------------------------------------
def test_an_order_to_a_batch_is_given_to_all_its_sweeps(tmp_path: Path) -> None:
    base = tmp_path / "log/sweep"
    each = [sweep_folder(base, name) for name in ("aaaaaaa1", "bbbbbbb2")]
    batch = SweepPaths(base, "batch-1")
    batch.dir.mkdir()
    rows = [{"sweep_id": paths.sweep_id, "base": str(base)} for paths in each]
    batch.summary.write_text(json.dumps({"sweeps": rows}))
    assert run("--pause", "batch-1") == 0
    assert [order(paths).act for paths in each] == ["pause", "pause"]


def test_an_order_costs_little_time() -> None:
    """No heavy import: its modules load neither Optuna nor SQLAlchemy, wandb or torch."""
    code = (
        "import sys; from yacs_sweep.cli import main; import yacs_sweep.launch.control.command; "
        "print([name for name in ('optuna', 'sqlalchemy', 'wandb', 'torch', 'numpy', 'ray') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


def test_workers_are_those_of_each_launch_and_the_answer_says_how_many_trials_that_makes() -> None:
    order = new_order("set_workers", workers=2)
    answers = [answer_to(order, "2 workers by a@b", obeyed=True), answer_to(order, "2 workers by a@b", obeyed=True)]
    assert _in_all(order, answers) == [
        "the order holds for each launch: 2 launches with 2 each, 4 trials in all",
    ]
    assert _in_all(order, answers[:1]) == [] and _in_all(new_order("pause"), answers) == []
