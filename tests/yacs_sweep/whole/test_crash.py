"""A sweep killed anywhere goes on: nothing finished is lost or run twice, what was running is tried again."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from optuna.trial import Trial, TrialState

from tests.sweeping import start, sweep, write_sweep
from tests.trainers import kill_all, living, write_trainer
from yacs_sweep.records.alive import AgentLock
from yacs_sweep.records.folder import SweepPaths, TrialRecord
from yacs_sweep.search.local import LocalController
from yacs_sweep.search.stored import POINT_OF
from yacs_sweep.spec.read_sweep import sweep_from_dict
from yacs_sweep.trial.contract import Assignment

GRID = {
    "method": "grid",
    "metric": {"name": "val/mAP", "goal": "maximize"},
    "parameters": {"base_lr": {"values": [0.1, 0.2, 0.3]}},
}
RANDOM = {**GRID, "method": "random", "parameters": {"base_lr": {"min": 0.0, "max": 1.0}}}
QUIET = ("--wandb-mode", "disabled")


@pytest.fixture(autouse=True)
def nothing_stays(tmp_path: Path) -> Iterator[None]:
    yield
    kill_all(tmp_path)


# -- the moments in which an agent can die --------------------------------------------------------------


class Sweep:
    """A sweep and the agents that come and go, each a controller with a lock of its own."""

    def __init__(self, folder: Path, spec: dict[str, Any]) -> None:
        self.paths = SweepPaths(folder, "s")
        self.spec = sweep_from_dict(spec, "spec")
        self.locks: list[AgentLock] = []

    def agent(self, **settings: Any) -> LocalController:
        """A new agent, which recovers what dead ones have left."""
        self.locks.append(AgentLock(self.paths.agents, 0, "token"))
        return LocalController(self.paths, self.spec, lock_name=self.locks[-1].name, seed=1, **settings)

    def die(self) -> None:
        """The last agent is killed: the kernel unlocks its file."""
        os.close(self.locks.pop()._descriptor)

    def record(self, asked: tuple[Trial, Assignment], state: str, value: float | None = None) -> TrialRecord:
        """Its trial.json."""
        _, given = asked
        record = TrialRecord(given.id, given.name, given.number, dict(given.params), state, value=value)
        paths = self.paths.trial(given.name)
        paths.dir.mkdir(parents=True, exist_ok=True)
        record.save(paths)
        return record


@pytest.fixture(params=[GRID, RANDOM], ids=["grid", "random"])
def crashed(request: pytest.FixtureRequest, tmp_path: Path) -> Sweep:
    return Sweep(tmp_path, request.param)


def ask(agent: LocalController) -> tuple[Trial, Assignment]:
    asked = agent.ask()
    assert asked is not None
    return asked


def test_between_asking_and_trial_json(crashed: Sweep) -> None:
    _, first = ask(crashed.agent())
    for _ in range(3):  # it never ran: that is no loss, however often it happens
        crashed.die()
        _, again = ask(crashed.agent())
        assert again.params == first.params
        assert again.retry_of is None
    _, other = ask(crashed.agent())
    assert other.params != first.params


def test_while_a_point_is_taken_from_the_queue(crashed: Sweep) -> None:
    agent = crashed.agent()
    asked = ask(agent)
    agent.tell(asked[0], crashed.record(asked, "killed"))
    crashed.die()
    crashed.agent().study.ask()  # has taken the point, not yet its values
    crashed.die()
    _, again = ask(crashed.agent())
    assert again.params == asked[1].params
    assert again.retry_of == asked[1].id


def test_while_the_trial_runs(crashed: Sweep) -> None:
    asked = ask(crashed.agent())
    crashed.record(asked, "running")
    crashed.die()
    agent = crashed.agent()
    assert [record.name for record in agent.lost] == [asked[1].name]
    assert TrialRecord.load(crashed.paths.trial(asked[1].name).record).state == "lost"
    again = ask(agent)
    assert (again[1].params, again[1].retry_of) == (asked[1].params, asked[1].id)
    crashed.record(again, "running")
    crashed.die()
    agent = crashed.agent()
    assert len(agent.lost) == 1
    assert ask(agent)[1].params != asked[1].params  # once more, and no more


def test_retries_bound_how_often_a_lost_point_is_tried(crashed: Sweep) -> None:
    points = []
    for _ in range(5):
        asked = ask(crashed.agent(retries=3))
        points.append(asked[1].params["base_lr"])
        crashed.record(asked, "running")
        crashed.die()
    assert Counter(points).most_common()[0] == (points[0], 4)


@pytest.mark.parametrize(("state", "value"), [("finished", 5.0), ("failed", None), ("stopped", 1.0)])
def test_between_trial_json_and_telling(crashed: Sweep, state: str, value: float | None) -> None:
    asked = ask(crashed.agent())
    crashed.record(asked, state, value)
    crashed.die()
    agent = crashed.agent()
    assert agent.lost == []
    told = agent.study.get_trials()[0]
    expected = {"finished": TrialState.COMPLETE, "failed": TrialState.FAIL, "stopped": TrialState.PRUNED}
    assert told.state == expected[state]
    assert told.value == value or state != "finished"
    assert ask(agent)[1].params != asked[1].params


def test_in_the_middle_of_recovering(crashed: Sweep) -> None:
    asked = ask(crashed.agent())
    crashed.record(asked, "lost")
    crashed.die()
    dying = crashed.agent()  # has put the point back, and told; now as if it had died before telling
    waiting = [trial for trial in dying.study.get_trials() if trial.state == TrialState.WAITING]
    assert [trial.user_attrs[POINT_OF] for trial in waiting] == [asked[1].id]
    crashed.die()
    for _ in range(3):
        agent = crashed.agent()
        assert sum(trial.state == TrialState.WAITING for trial in agent.study.get_trials()) == 1


def test_a_living_agents_trial_is_nobody_elses(crashed: Sweep) -> None:
    asked = ask(crashed.agent())
    crashed.record(asked, "running")
    other = crashed.agent()
    assert other.lost == []
    assert ask(other)[1].params != asked[1].params
    assert TrialRecord.load(crashed.paths.trial(asked[1].name).record).state == "running"


def test_a_trial_on_another_machine_is_not_judged_here(crashed: Sweep, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socket, "gethostname", lambda: "elsewhere")
    asked = ask(crashed.agent())
    crashed.record(asked, "running")
    lock = crashed.locks[-1]
    monkeypatch.undo()
    lock.path.rename(crashed.paths.dir / "hidden")  # its lock file is on a disk of its own
    assert crashed.agent().lost == []


def test_results_folders_that_are_gone_are_not_run_again(crashed: Sweep) -> None:
    agent = crashed.agent()
    for state, value in (("finished", 1.0), ("failed", None)):
        asked = ask(agent)
        agent.tell(asked[0], crashed.record(asked, state, value))
        shutil.rmtree(crashed.paths.trial(asked[1].name).dir)
    crashed.die()
    agent = crashed.agent()
    assert not any(trial.state == TrialState.WAITING for trial in agent.study.get_trials())


def test_the_target_counts_what_all_launchers_have_given_out(tmp_path: Path) -> None:
    crashed = Sweep(tmp_path, RANDOM)
    first, second = crashed.agent(target=3), crashed.agent(target=3)
    asked = ask(first)
    first.tell(asked[0], crashed.record(asked, "finished", 1.0))
    running = ask(second)
    crashed.record(running, "running")
    lost = ask(first)
    crashed.record(lost, "running")
    assert first.ask() is None and second.ask() is None
    second.tell(running[0], crashed.record(running, "killed"))  # counts no more: it is tried again
    assert second.ask() is not None
    assert second.ask() is None


# -- whole launchers ------------------------------------------------------------------------------------


def folder_of(cwd: Path) -> Path:
    (found,) = (cwd / "log" / "sweep" / "sweep").iterdir()
    return found


@pytest.mark.parametrize(
    ("spec", "trials"),
    [
        ({**GRID, "parameters": {"base_lr": {"values": [round(0.1 * i, 1) for i in range(1, 13)]}}}, 12),
        ({**RANDOM, "count": 9}, 9),
    ],
    ids=["grid", "random"],
)
def test_two_launchers_share_a_sweep(tmp_path: Path, spec: dict[str, Any], trials: int) -> None:
    # The first trial waits for the second, which is the other launcher's: each has one worker.
    code = """
import time
print('mAP: 1.0%\\nup', flush=True)
(out / 'up').touch()
for _ in range(400):
    if len(list(out.parent.glob('*/up'))) > 1:
        break
    time.sleep(0.1)
"""
    trainer = write_trainer(tmp_path, code)
    settings: dict[str, Any] = {"trainer": trainer, "config": None}
    first = start(tmp_path, "--sweep-config", write_sweep(tmp_path, spec), *QUIET, **settings)
    assert first.stdout is not None
    assert any(line == "up\n" for line in first.stdout)
    second = start(tmp_path, "--sweep_id", folder_of(tmp_path).name, *QUIET, **settings)
    outputs = [launcher.communicate(timeout=180)[0] for launcher in (first, second)]
    assert [first.returncode, second.returncode] == [0, 0], outputs
    summary = json.loads((folder_of(tmp_path) / "summary.json").read_text())
    assert summary["counts"] == {"finished": trials}
    assert len({trial["params"]["base_lr"] for trial in summary["trials"]}) == trials
    assert all("▶" in output for output in outputs)  # both had some
    assert not living(tmp_path)


def test_torn_files_and_stale_locks_do_not_keep_a_sweep_from_going_on(tmp_path: Path) -> None:
    trainer = write_trainer(tmp_path, "print('mAP: 1.0%')")
    settings: dict[str, Any] = {"trainer": trainer, "config": None}
    ran = sweep(tmp_path, "--sweep-config", write_sweep(tmp_path, GRID), "--count", "1", *QUIET, **settings)
    with (ran.dir / "storage.journal").open("ab") as file:
        file.write(b'{"op_code": 4, "stu')
    (ran.dir / "summary.json").write_text('{"sweep_id": ')
    (ran.dir / "agents" / "0-123.lock").write_text("torn")
    (ran.dir / "trial-0099").mkdir()
    (ran.dir / "trial-0099" / "trial.json").write_text("")
    again = sweep(tmp_path, "--sweep_id", ran.dir.name, *QUIET, **settings)
    assert again.code == 0, again.out + again.err
    assert again.summary["counts"] == {"finished": 3}


# -- a full disk ----------------------------------------------------------------------------------------


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 300 KiB."""
    disk = tmp_path / "disk"
    disk.mkdir()
    if sys.platform != "linux" or os.geteuid() != 0:
        pytest.skip("mounting a small file system needs Linux and root")
    done = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=300k", "tmpfs", disk], capture_output=True, text=True, check=False
    )
    if done.returncode:
        pytest.skip(f"a small file system cannot be mounted here: {done.stderr.strip()}")
    yield disk
    kill_all(tmp_path)
    subprocess.run(["umount", disk], check=True)


FILLING = {
    "by the trainer's output": "sys.stdout.write(('x' * 99 + '\\n') * 10000)",
    "by rows": "for i in range(20000): print('mAP: %d.0%%' % i)",
    "by somebody else": "open(out.parent / 'big', 'wb', 0).write(b'x' * 500000); print('mAP: 1.0%')",
}


@pytest.mark.parametrize("how", FILLING)
def test_a_full_disk_stops_the_sweep_and_leaves_what_was_done(tmp_path: Path, small_disk: Path, how: str) -> None:
    code = f"if not (out.parent / 'flag').exists() or os.path.exists({str(tmp_path / 'room')!r}):\n"
    code += "    (out.parent / 'flag').touch(); print('mAP: 1.0%'); sys.exit()\n"
    trainer = write_trainer(tmp_path, code + FILLING[how])
    spec = write_sweep(tmp_path, {**GRID, "results_dir_base": str(small_disk)})
    ran = sweep(tmp_path, "--sweep-config", spec, *QUIET, trainer=trainer, config=None)
    assert ran.code == 1, ran.out + ran.err
    assert "make room, then resume the sweep" in ran.out
    assert "Traceback" not in ran.out + ran.err
    assert not living(tmp_path)
    (folder,) = (small_disk / "sweep").iterdir()
    done = json.loads((folder / "trial-0000" / "trial.json").read_text())
    assert (done["state"], done["value"]) == ("finished", 1.0)
    for path in folder.glob("*/metrics.jsonl"):
        assert all(json.loads(line) for line in path.read_text().splitlines())
    for path in [folder / "summary.json", *folder.glob("*/trial.json")]:
        json.loads(path.read_text())
    (tmp_path / "room").touch()
    subprocess.run(["mount", "-o", "remount,size=64m", small_disk], check=True)
    again = sweep(tmp_path, "--sweep_id", folder.name, *QUIET, trainer=trainer, config=None)
    assert again.code == 0, again.out + again.err
    counts = json.loads((folder / "summary.json").read_text())["counts"]
    assert counts["finished"] == 3, counts
