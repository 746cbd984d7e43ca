"""Orders to a running sweep: a launch obeys them, answers, and says what it does."""

from __future__ import annotations

import json
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.sweeping import start, sweep, write_sweep
from tests.trainers import kill_all, living, roles, wait_until, write_trainer
from yacs_sweep.records.control.order_file import OrderFile
from yacs_sweep.records.control.orders import Act, Answer, new_order
from yacs_sweep.records.folder import SweepPaths, TrialRecord

GRID = {
    "method": "grid",
    "metric": {"name": "val/mAP", "goal": "maximize"},
    "parameters": {"base_lr": {"values": [0.001, 0.002, 0.003, 0.004]}},
}
# Ends once a file with its name, or `all`, is beside its folder.
WAITS = """
import time
while not any((out.parent / name).exists() for name in (f"go-{out.name}", "go-all")):
    time.sleep(0.02)
print("mAP: 1.5%")
"""
OFFLINE = ("--wandb-mode", "disabled")


@pytest.fixture(autouse=True)
def nothing_stays(tmp_path: Path) -> Iterator[None]:
    yield
    kill_all(tmp_path)


class Running:
    """A launch whose trials end when they may."""

    def __init__(self, home: Path, *words: str, spec: dict[str, Any] | None = None, code: str = WAITS) -> None:
        self.home = home
        trainer = write_trainer(home, code)
        file = write_sweep(home, GRID if spec is None else spec)
        self.words = (*OFFLINE, *words)
        self.trainer = trainer
        self.process = self.start("--sweep-config", str(file))
        wait_until(lambda: list(home.glob("log/sweep/sweep/*/sweep.yaml")), 120)
        (self.dir,) = (path.parent for path in home.glob("log/sweep/sweep/*/sweep.yaml"))
        self.paths = SweepPaths(home / "log" / "sweep", self.dir.name)
        self.orders = OrderFile(self.paths)

    def start(self, *words: str) -> subprocess.Popen[str]:
        """Starts a launch."""
        return start(self.home, *words, *self.words, trainer=self.trainer, config=None)

    def trials(self) -> dict[str, TrialRecord]:
        """The trials so far, by name."""
        return {record.name: record for record in self.paths.records()}

    def running(self) -> list[str]:
        return sorted(name for name, record in self.trials().items() if record.state == "running")

    def go(self, name: str) -> None:
        """Lets a trial end, or `all`."""
        (self.dir / f"go-{name}").touch()

    def order(self, act: Act, **given: Any) -> Answer:
        """Gives an order; returns its answer, which must come within 2 s (on a machine that does little else)."""
        order = new_order(act, **given)
        self.orders.append(order)
        found: list[Answer] = []

        def answered() -> bool:
            found.extend(e for e in self.orders.read() if isinstance(e, Answer) and e.order == order.id)
            return bool(found)

        wait_until(answered, 60)
        return found[0]

    def end(self) -> tuple[int, str]:
        """Waits for the launch's end; returns its exit status and output."""
        out, _ = self.process.communicate(timeout=60)
        return self.process.returncode, out


def await_running(launch: Running, count: int) -> None:
    wait_until(lambda: len(launch.running()) == count, 120)


def who(launch: Running) -> str:
    """The user and host of the last order."""
    rows = [json.loads(line) for line in launch.paths.control.read_text().splitlines()]
    order = [row["order"] for row in rows if "order" in row][-1]
    return f"{order['user']}@{order['host']}"


def test_a_paused_sweep_starts_nothing_until_it_is_resumed(tmp_path: Path) -> None:
    launch = Running(tmp_path, "--workers", "2")
    await_running(launch, 2)
    answer = launch.order("pause")
    assert answer.text == f"paused by {who(launch)}: the 2 running trials go on, no further one starts"
    assert answer.obeyed and answer.pid == launch.process.pid
    assert launch.order("pause").text == f"paused already by {who(launch)}"
    launch.go("all")
    wait_until(lambda: not launch.running(), 20)
    time.sleep(1.0)
    assert len(launch.trials()) == 2
    assert launch.process.poll() is None
    assert len(roles(tmp_path)["agent"]) == 2  # which wait
    answer = launch.order("resume")
    assert answer.text == f"resumed by {who(launch)}: trials start again"
    code, out = launch.end()
    assert code == 0, out
    assert "4 finished; results in" in out
    assert f"[sweep] paused by {who(launch)}: the 2 running trials go on" in out


def test_a_paused_sweep_is_paused_for_launches_to_come_and_ctrl_c_ends_them(tmp_path: Path) -> None:
    launch = Running(tmp_path)
    await_running(launch, 1)
    launch.order("pause")
    launch.process.terminate()
    code, out = launch.end()
    assert code == 130, out
    launch.process = launch.start("--sweep_id", launch.dir.name)
    assert launch.process.stdout is not None
    lines: list[str] = []
    for line in launch.process.stdout:
        lines.append(line)
        if "no trial starts until it is resumed" in line:
            break
    assert f"paused by {who(launch)}" in lines[-1] and f"--resume {launch.dir.name}" in lines[-1]
    time.sleep(1.0)
    assert launch.running() == []
    launch.process.terminate()
    code, out = launch.end()
    assert code == 130, out
    assert "resume with" in out
    assert not living(tmp_path)


def test_stop_lets_running_trials_end_and_another_launch_does_the_rest(tmp_path: Path) -> None:
    launch = Running(tmp_path, "--workers", "2")
    await_running(launch, 2)
    answer = launch.order("stop")
    assert answer.text == f"stopped by {who(launch)}: the 2 running trials go on, no further one starts"
    again = launch.order("stop")
    assert not again.obeyed and again.text.startswith("the sweep ends already here: stopped by ")
    assert len(launch.running()) == 2
    launch.go("all")
    code, out = launch.end()
    assert code == 0, out
    assert "2 finished; results in" in out and "resume with" in out
    assert not living(tmp_path)
    rest = sweep(tmp_path, "--sweep_id", launch.dir.name, *OFFLINE, trainer=launch.trainer, config=None)
    assert rest.code == 0 and rest.summary["counts"] == {"finished": 4}, rest.out


def test_cancel_ends_running_trials_and_they_are_tried_again_later(tmp_path: Path) -> None:
    launch = Running(tmp_path, "--workers", "2")
    await_running(launch, 2)
    answer = launch.order("cancel")
    assert answer.text == f"cancelled by {who(launch)}: ending the 2 running trials"
    code, out = launch.end()
    assert code == 130, out
    for record in launch.trials().values():
        assert (record.state, record.cause) == ("killed", "interrupted")
        assert record.reason == f"cancelled by {who(launch)}"
    assert not living(tmp_path)
    launch.go("all")
    rest = sweep(tmp_path, "--sweep_id", launch.dir.name, *OFFLINE, trainer=launch.trainer, config=None)
    assert rest.code == 0 and rest.summary["counts"]["finished"] == 4, rest.out


def test_each_sweep_of_a_batch_has_its_own_orders(tmp_path: Path) -> None:
    trainer = write_trainer(tmp_path, WAITS)
    files = [str(write_sweep(tmp_path, {**GRID, "name": name}, f"{name}.yaml")) for name in ("one", "two")]
    words = ["--sweep-config", *files, "--parallel-sweeps", "--workers", "2", *OFFLINE]
    process = start(tmp_path, *words, trainer=trainer, config=None)

    def found() -> dict[str, SweepPaths]:
        folders = [path.parent for path in tmp_path.glob("log/sweep/sweep/*/sweep.yaml")]
        paths = [SweepPaths(tmp_path / "log" / "sweep", folder.name) for folder in folders]
        return {"one" if "name: one" in each.spec.read_text() else "two": each for each in paths}

    wait_until(lambda: len(found()) == 2, 120)
    sweeps = found()

    def states(name: str) -> list[str]:
        return [record.state for record in sweeps[name].records()]

    wait_until(lambda: states("one") == states("two") == ["running"], 120)
    OrderFile(sweeps["one"]).append(new_order("pause"))
    time.sleep(1.5)
    for paths in sweeps.values():
        (paths.dir / "go-trial-0000").touch()
    # Both workers serve the other sweep.
    wait_until(lambda: states("two").count("running") == 2, 120)
    assert states("one") == ["finished"]
    OrderFile(sweeps["one"]).append(new_order("resume"))
    time.sleep(1.5)
    (sweeps["two"].dir / "go-all").touch()
    wait_until(lambda: states("one").count("running") >= 1, 120)
    OrderFile(sweeps["one"]).append(new_order("cancel"))
    out, _ = process.communicate(timeout=60)
    assert process.returncode == 130, out
    assert states("two") == ["finished"] * 4
    assert "killed" in states("one") and "running" not in states("one")
    batch = next(tmp_path.glob("log/sweep/sweep/batch-*/summary.json"))
    rows = {row["name"]: row for row in json.loads(batch.read_text())["sweeps"]}
    assert rows["two"]["state"] == "done" and rows["one"]["state"] == "interrupted"


def test_a_damaged_list_of_orders_ends_no_launch(tmp_path: Path) -> None:
    launch = Running(tmp_path)
    await_running(launch, 1)
    with launch.paths.control.open("a") as file:
        file.write(
            '{"order": 3}\nnonsense\n{"order": {"id": "x", "act": "dance", "user": "u", "host": "h", "at": "t"}}\n{'
        )
    assert launch.order("pause").obeyed
    assert launch.order("resume").obeyed
    launch.go("all")
    code, out = launch.end()
    assert code == 0, out


def test_one_trial_is_stopped_for_good_and_the_others_go_on(tmp_path: Path) -> None:
    launch = Running(tmp_path, "--workers", "2")
    await_running(launch, 2)
    answer = launch.order("stop_trial", trial="trial-0001")
    assert answer.obeyed and answer.text == f"trial-0001 is being ended, stopped by {who(launch)}"
    wait_until(lambda: launch.running() == ["trial-0000", "trial-0002"], 20)
    stopped = launch.trials()["trial-0001"]
    assert (stopped.state, stopped.cause) == ("stopped", "stopped")
    assert stopped.reason == f"stopped early: stopped by {who(launch)}"
    for name, why in [
        ("trial-0001", "trial-0001 does not run here: it is stopped"),
        ("x", "the sweep has no trial x"),
        ("../x", "the sweep has no trial ../x"),
    ]:
        answer = launch.order("stop_trial", trial=name)
        assert (answer.obeyed, answer.text) == (False, why)
    launch.go("all")
    code, out = launch.end()
    assert code == 0, out
    assert "3 finished, 1 stopped; results in" in out


def test_the_number_of_trials_grows_and_shrinks(tmp_path: Path) -> None:
    spec = {**GRID, "method": "random", "parameters": {"base_lr": {"min": 0.001, "max": 0.1}}}
    launch = Running(tmp_path, "--count", "2", spec=spec)
    await_running(launch, 1)
    assert launch.order("set_count", count=4).text == f"4 trials in all by {who(launch)}: 3 to go"
    launch.go("trial-0000")
    launch.go("trial-0001")
    wait_until(lambda: launch.running() == ["trial-0002"], 120)
    assert launch.order("set_count", count=2).text == f"2 trials in all by {who(launch)}: 0 to go"
    assert launch.order("set_count", count=5).text == f"5 trials in all by {who(launch)}: 2 to go"
    assert launch.order("set_count", count=4).text == f"4 trials in all by {who(launch)}: 1 to go"
    assert not launch.order("set_count", count=0).obeyed
    launch.go("all")
    code, out = launch.end()
    assert code == 0, out
    assert "4 finished; results in" in out and "resume with" not in out


def test_a_grid_has_no_more_trials_than_points(tmp_path: Path) -> None:
    launch = Running(tmp_path)
    await_running(launch, 1)
    assert launch.order("set_count", count=9).text == f"4 trials in all by {who(launch)}: 3 to go"
    assert launch.order("set_count", count=2).text == f"2 trials in all by {who(launch)}: 1 to go"
    launch.go("all")
    code, out = launch.end()
    assert code == 0, out
    assert "2 finished; results in" in out


def test_what_an_order_has_ended_is_no_failure_and_the_next_launch_has_the_ordered_workers(tmp_path: Path) -> None:
    launch = Running(tmp_path, "--workers", "2", "--grace", "5")
    await_running(launch, 2)
    assert launch.order("set_workers", workers=1, now=True).obeyed
    wait_until(lambda: len(launch.running()) == 1, 20)
    launch.order("stop")
    launch.go("all")
    code, out = launch.end()
    assert {record.state for record in launch.trials().values()} == {"finished", "killed"}
    assert code == 0, out
    (line,) = [line for line in out.splitlines() if "resume with: " in line]
    assert line.endswith(f" --sweep_id {launch.dir.name} --workers 1 --grace 5")
    words = json.loads(launch.paths.launch.read_text())["words"]
    assert words[:2] == ["--workers", "1"]


def test_a_launch_that_leaves_the_rest_to_another_one_names_it_and_resumes_nothing(tmp_path: Path) -> None:
    launch = Running(tmp_path, "--workers", "4")
    await_running(launch, 4)
    where = f"{socket.gethostname()}, process {launch.process.pid}"
    second = sweep(tmp_path, "--sweep_id", launch.dir.name, "--for", "0.01s", trainer=None, config=None, verbose=False)
    assert second.code == 0, second.out + second.err
    assert (
        f"resuming sweep {launch.dir.name}: 0 trials done, 4 to go, 4 of them run in another launch ({where})"
        in second.out
    )
    assert f"4 run in another launch ({where})\n" in second.out.splitlines(keepends=True)[-1]
    assert "to be done" not in second.out and "resume with" not in second.out
    launch.go("all")
    assert launch.end()[0] == 0
