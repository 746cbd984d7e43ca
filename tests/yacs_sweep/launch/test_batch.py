"""Several sweeps of one command line."""

from __future__ import annotations

import json
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.sweeping import GRID, Ran, environment, start, sweep, write_sweep
from tests.trainers import kill_all, living, roles, wait_until, write_trainer
from yacs_sweep import Sweep
from yacs_sweep.base.errors import ConfigError
from yacs_sweep.records.folder import SweepPaths
from yacs_sweep.records.known_sweeps import find_sweep

OFFLINE = ("--wandb-mode", "disabled", "--controller", "local", "--quiet")
QUICK = "import time\ntime.sleep(0.1)\nprint('mAP: 1.5%')"


@pytest.fixture(autouse=True)
def nothing_stays(tmp_path: Path) -> Iterator[None]:
    yield
    kill_all(tmp_path)


def files(folder: Path, *names: str) -> list[Path]:
    return [write_sweep(folder, {**GRID, "name": name}, f"{name}.yaml") for name in names]


def batch(ran: Ran) -> dict[str, Any]:
    (path,) = ran.cwd.glob("log/sweep/sweep/batch-*/summary.json")
    content: dict[str, Any] = json.loads(path.read_text())
    return content


def times(ran: Ran) -> list[tuple[str, str]]:
    """When the first trial of each sweep began and its last one ended, in the order the sweeps were given."""
    found = []
    for row in batch(ran)["sweeps"]:
        trials = json.loads((Path(row["dir"]) / "summary.json").read_text())["trials"]
        found.append((min(trial["started"] for trial in trials), max(trial["ended"] for trial in trials)))
    return found


def test_one_after_another(tmp_path: Path) -> None:
    trainer, given = write_trainer(tmp_path, QUICK), files(tmp_path, "a", "b", "c")
    words = (*OFFLINE, "--workers", "2", "--count", "2")
    ran = sweep(tmp_path, "--sweep-config", *given, *words, trainer=trainer, config=None)
    assert ran.code == 0, ran.out + ran.err
    content = batch(ran)
    assert (content["exit_status"], content["counts"]) == (0, {"finished": 6})
    assert [row["name"] for row in content["sweeps"]] == ["a", "b", "c"]
    for row in content["sweeps"]:
        own = json.loads((Path(row["dir"]) / "summary.json").read_text())
        assert (row["state"], row["counts"], row["best"]) == ("done", own["counts"], own["best"])
    (first, second, third) = times(ran)
    assert first[1] <= second[0] and second[1] <= third[0]
    again = sweep(tmp_path, "--sweep_id", content["batch_id"], *OFFLINE, trainer=trainer, config=None)
    done = f"[sweep] every sweep of {content['batch_id']} is done; --count N adds more to each\n"
    assert (again.code, again.out) == (0, done)
    more = ("--sweep_id", content["batch_id"], *OFFLINE, "--count", "1")
    again = sweep(tmp_path, *more, trainer=trainer, config=None)
    assert again.code == 0, again.out + again.err
    assert [row["counts"] for row in batch(again)["sweeps"]] == [{"finished": 3}] * 3


def test_at_the_same_time_they_share_the_workers(tmp_path: Path) -> None:
    # The second has one trial only: its worker goes on with the first.
    trainer = write_trainer(tmp_path, "import time\ntime.sleep(0.6)\nprint('mAP: 1.5%')")
    many = {"base_lr": {"values": [n / 100 for n in range(1, 13)]}}
    long = write_sweep(tmp_path, {**GRID, "parameters": many}, "long.yaml")
    short = write_sweep(tmp_path, {**GRID, "parameters": {"base_lr": {"values": [0.5]}}}, "short.yaml")
    words = (*OFFLINE, "--workers", "2", "--parallel-sweeps")
    ran = sweep(tmp_path, "--sweep-config", long, short, *words, trainer=trainer, config=None)
    assert ran.code == 0, ran.out + ran.err
    assert batch(ran)["counts"] == {"finished": 13}
    (first, second) = times(ran)
    assert second[0] < first[1]
    folder = Path(batch(ran)["sweeps"][0]["dir"])
    trials = json.loads((folder / "summary.json").read_text())["trials"]
    assert {trial["agent"].split("-")[0] for trial in trials} == {"0", "1"}


def test_one_that_fails_does_not_keep_the_others_from_running(tmp_path: Path) -> None:
    code = "if 'b' in sys.argv[-1]: sys.exit(3)\nprint('mAP: 1.5%')"
    trainer = write_trainer(tmp_path, code)
    given = [
        write_sweep(tmp_path, {**GRID, "parameters": {"kind": {"values": values}}}, f"{values[0]}.yaml")
        for values in (["a1"], ["b1", "b2", "b3", "b4"], ["c1"])
    ]
    ran = sweep(tmp_path, "--sweep-config", *given, *OFFLINE, trainer=trainer, config=None)
    assert ran.code == 1, ran.out + ran.err
    content = batch(ran)
    assert [row["state"] for row in content["sweeps"]] == ["done", "ended", "done"]
    assert "3 failed trials in a row" in content["sweeps"][1]["message"]
    assert (content["exit_status"], content["counts"]) == (1, {"finished": 2, "failed": 3})
    assert f"--sweep_id {content['batch_id']}" in ran.out


def test_all_mistakes_of_all_files_are_told_before_anything_starts(tmp_path: Path) -> None:
    (good,) = files(tmp_path, "good")
    worse = [
        write_sweep(tmp_path, {**GRID, "method": "magic"}, "one.yaml"),
        write_sweep(tmp_path, {**GRID, "parameters": {"base_lrr": {"values": [1]}}}, "two.yaml"),
    ]
    ran = sweep(tmp_path, "--sweep-config", good, *worse, "missing.yaml", "--sweep_name", "x")
    assert ran.code == 2
    told = ran.err.splitlines()
    assert all(line.startswith("error: ") for line in told)
    for text in ("one.yaml", "two.yaml", "missing.yaml", "--sweep_name x: names one sweep"):
        assert sum(text in line for line in told) == 1, ran.err
    assert not (tmp_path / "log").exists()


@pytest.mark.parametrize("parallel", [False, True])
def test_an_interrupt_ends_the_whole_batch_which_goes_on_by_its_id(tmp_path: Path, parallel: bool) -> None:
    trainer, given = write_trainer(tmp_path, "import time\ntime.sleep(1000)"), files(tmp_path, "a", "b")
    words = (*OFFLINE, "--workers", "2", *(["--parallel-sweeps"] if parallel else []))
    launcher = start(tmp_path, "--sweep-config", *given, *words, trainer=trainer, config=None)
    wait_until(lambda: len(roles(tmp_path).get("child", [])) == 2, 30)
    launcher.send_signal(signal.SIGINT)
    rest, _ = launcher.communicate(timeout=180)
    assert launcher.returncode == 130, rest
    assert not living(tmp_path)
    content = batch(Ran(0, "", "", tmp_path))
    states = ["interrupted", "interrupted"] if parallel else ["interrupted", "waiting"]
    assert [row["state"] for row in content["sweeps"]] == states
    assert content["exit_status"] == 130
    resume = next(line for line in reversed(rest.splitlines()) if "resume with" in line)
    assert f"--sweep_id {content['batch_id']} --workers 2" in resume
    write_trainer(tmp_path, QUICK)
    words = ("--sweep_id", content["batch_id"], *OFFLINE, "--workers", "2")
    again = sweep(tmp_path, *words, trainer=trainer, config=None, env=environment(tmp_path))
    assert again.code == 0, again.out + again.err
    content = batch(again)
    assert [row["state"] for row in content["sweeps"]] == ["done", "done"]
    assert content["counts"] == {"finished": 6, "killed": 2}


def test_an_interrupt_leaves_a_sweep_done_that_has_nothing_left(tmp_path: Path) -> None:
    # The first ends while the second's trial runs, which is then interrupted.
    code = "import time\ntime.sleep(1000 if 'slow' in sys.argv[-1] else 0)\nprint('mAP: 1.5%')"
    trainer = write_trainer(tmp_path, code)
    given = [
        write_sweep(tmp_path, {**GRID, "parameters": {"kind": {"values": [value]}}}, f"{value}.yaml")
        for value in ("quick", "slow")
    ]
    words = (*OFFLINE, "--workers", "2", "--parallel-sweeps")
    launcher = start(tmp_path, "--sweep-config", *given, *words, trainer=trainer, config=None)
    assert launcher.stdout is not None
    said = []
    for line in launcher.stdout:
        said.append(line)
        if "finished" in line:
            break
    wait_until(lambda: len(roles(tmp_path).get("child", [])) == 1, 30)
    launcher.send_signal(signal.SIGINT)
    rest, _ = launcher.communicate(timeout=180)
    assert launcher.returncode == 130, rest
    content = batch(Ran(0, "", "", tmp_path))
    quick, slow = content["sweeps"]
    assert (quick["state"], slow["state"]) == ("done", "interrupted")
    resume = [line for line in rest.splitlines() if "resume with" in line]
    assert not any(quick["sweep_id"] in line for line in resume) and any(slow["sweep_id"] in line for line in resume)
    assert any(content["batch_id"] in line for line in resume)


def test_what_takes_one_sweep_names_those_of_a_batch(tmp_path: Path) -> None:
    paths = SweepPaths(tmp_path, "batch-abc")
    paths.dir.mkdir(parents=True)
    paths.summary.write_text(json.dumps({"sweeps": [{"sweep_id": "one1"}, {"sweep_id": "two2"}]}))
    for option in ("--sweep_id", "--train-best", "--from-sweep"):
        with pytest.raises(ConfigError, match=f"{option} batch-abc: is a batch; name one of its sweeps: one1, two2"):
            find_sweep("batch-abc", [tmp_path], option)
        with pytest.raises(ConfigError, match=f"{option} some/long/path/x: not a sweep id"):
            find_sweep("some/long/path/x", [tmp_path], option)
    with pytest.raises(ConfigError, match="is a batch"):
        Sweep.open("batch-abc", results_dir=tmp_path)


def test_an_unknown_batch(tmp_path: Path) -> None:
    ran = sweep(tmp_path, "--sweep_id", "batch-nosuch")
    assert ran.code == 2
    assert "error: --sweep_id batch-nosuch: no such batch (looked in " in ran.err
