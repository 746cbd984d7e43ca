"""A sweep's deadline and budget, on trials of known length: what is started, what is stopped, and what resumes."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.sweeping import Ran, environment, start, sweep, write_sweep
from tests.trainers import kill_all, living, write_trainer
from yacs_sweep import ConfigError, Sweep
from yacs_sweep.base.values import utc_seconds
from yacs_sweep.records.budget.spent import covered

QUIET = ("--wandb-mode", "disabled")
GRID: dict[str, Any] = {
    "method": "grid",
    "metric": {"name": "val/mAP", "goal": "maximize"},
    "parameters": {"base_lr": {"values": [0.1, 0.2, 0.3, 0.4, 0.5, 0.6]}},
}
# A training of SECONDS in steps of a tenth, which writes its place when it is told to end, and resumes there.
KNOWN = """
import signal, time
place = out / "place"
done = int(place.read_text()) if place.exists() else 0
(out / "began").write_text(str(done))
ends = []
signal.signal(signal.SIGTERM, lambda *_: ends.append(1))
for step in range(done, int(SECONDS * 10)):
    time.sleep(0.1)
    place.write_text(str(step + 1))
    if ends:
        sys.exit(143)
print("mAP: 1.0%")
"""
DEAF = """
import signal, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
print("mAP: 1.0%", flush=True)
time.sleep(1000)
"""


@pytest.fixture(autouse=True)
def nothing_stays(tmp_path: Path) -> Iterator[None]:
    yield
    kill_all(tmp_path)


def known(
    folder: Path, seconds: float, *words: str, code: str = KNOWN, spec: dict[str, Any] = GRID, **more: Any
) -> Ran:
    trainer = write_trainer(folder, code.replace("SECONDS", str(seconds)))
    path = write_sweep(folder, spec)
    return sweep(folder, "--sweep-config", path, *QUIET, *words, trainer=trainer, config=None, verbose=False, **more)


def resumed(folder: Path, ran: Ran, *words: str) -> Ran:
    return sweep(folder, "--sweep_id", ran.dir.name, *words, trainer=None, config=None, verbose=False)


def ends(ran: Ran) -> list[float]:
    found = [utc_seconds(trial["ended"]) for trial in ran.summary["trials"]]
    assert None not in found
    return [end for end in found if end is not None]


def in_seconds(seconds: float) -> datetime:
    return datetime.now().astimezone() + timedelta(seconds=seconds)


def test_a_deadline_stops_what_runs_and_the_next_launch_resumes_it(tmp_path: Path) -> None:
    until = in_seconds(12)
    ran = known(tmp_path, 30, "--until", until.isoformat(), "--grace", "5", "--workers", "2")
    assert ran.code == 0, ran.out + ran.err
    assert f"budget of the whole sweep: until {until:%a %d %b %Y %H:%M:%S}" in ran.out
    assert f"the deadline has come, {until:%a %d %b %Y %H:%M:%S}" in ran.out
    assert ": ending 2 running trials, resumed with the sweep\n" in ran.out
    assert ": 6 trials to be done of what was asked for\n" in ran.out
    assert ran.summary["counts"] == {"killed": 2}
    for trial in ran.summary["trials"]:
        assert (trial["cause"], trial["exit_code"]) == ("deadline", 143)
        assert trial["reason"].startswith("the deadline has come, ")
    assert min(ends(ran)) - until.timestamp() >= 0 and max(ends(ran)) - until.timestamp() < 5
    (line,) = [line for line in ran.out.splitlines() if "resume with: " in line]
    assert line.endswith(f" --sweep_id {ran.dir.name} --workers 2 --grace 5")
    status = sweep(tmp_path, "--status", "--sweep_id", ran.dir.name, trainer=None, config=None, verbose=False)
    assert f"6 trials to go; resume with: {line.partition('resume with: ')[2]}" in " ".join(status.out.split())
    # A later deadline: the two are resumed first, from where they were.
    later = resumed(tmp_path, ran, "--for", "16s", "--count", "2", "--workers", "2")
    again = [trial for trial in later.summary["trials"] if trial["retry_of"]]
    assert len(again) == 2
    assert all(int((ran.dir / trial["name"] / "began").read_text()) > 5 for trial in again)
    assert not living(tmp_path)


@pytest.mark.slow  # it needs a machine that is not busy: trials must take the time that they say
def test_no_trial_starts_that_would_end_after_the_deadline(tmp_path: Path) -> None:
    until = in_seconds(9)
    ran = known(tmp_path, 2, "--until", until.isoformat())
    assert ran.code == 0, ran.out + ran.err
    assert set(ran.summary["counts"]) == {"finished"} and 1 <= len(ran.summary["trials"]) < 6
    assert "no further trial is started: the next is expected to take 2." in ran.out
    assert "the time left is too short for a further trial (" in ran.out
    idle = until.timestamp() - max(ends(ran))
    assert 0 < idle < 3.5  # less than another trial


@pytest.mark.slow  # it needs a machine that is not busy: trials must take the time that they say
def test_time_of_the_whole_sweep_is_that_of_all_its_launches(tmp_path: Path) -> None:
    spec = {**GRID, "budget": {"for": "8s"}}
    ran = known(tmp_path, 2, "--count", "1", spec=spec)
    assert ran.code == 0 and ran.summary["counts"] == {"finished": 1}, ran.out + ran.err
    rest = resumed(tmp_path, ran)
    assert rest.code == 0, rest.out + rest.err
    assert "no further trial is started: the next is expected to take 2." in rest.out
    spans = [(utc_seconds(trial["started"]) or 0, utc_seconds(trial["ended"]) or 0) for trial in rest.summary["trials"]]
    assert set(rest.summary["counts"]) == {"finished"} and len(spans) in (2, 3)  # each takes 2 s, and its start
    assert covered(spans) < 8
    assert f"--sweep_id {ran.dir.name} --for none" in rest.out
    more = resumed(tmp_path, ran, "--for", "none", "--count", "1")
    assert more.code == 0 and more.summary["counts"] == {"finished": len(spans) + 1}, more.out


def test_a_deaf_trial_ends_with_the_grace_period(tmp_path: Path) -> None:
    until = in_seconds(10)
    ran = known(tmp_path, 0, "--until", until.isoformat(), "--grace", "1", "--count", "1", code=DEAF)
    assert ran.code == 0 and ran.summary["counts"] == {"killed": 1}, ran.out + ran.err
    assert 1 <= max(ends(ran)) - until.timestamp() < 6
    assert not living(tmp_path)


def test_gpu_hours_stop_a_trial(tmp_path: Path) -> None:
    env = environment(tmp_path, CUDA_VISIBLE_DEVICES="0")
    words = ("--gpus-per-trial", "1", "--max-gpu-hours", f"{3 / 3600:.6f}", "--count", "2")
    ran = known(tmp_path, 30, *words, env=env)
    assert ran.code == 0 and ran.summary["counts"] == {"killed": 1}, ran.out + ran.err
    assert "the sweep has used its 0.000833 GPU hours: ending 1 running trial" in ran.out
    (trial,) = ran.summary["trials"]
    assert 3 <= (utc_seconds(trial["ended"]) or 0) - (utc_seconds(trial["started"]) or 0) < 8


def test_a_rung_that_would_be_reached_too_late_is_not_begun(tmp_path: Path) -> None:
    rule = {"type": "asha", "mode": "promotion", "min_iter": 1, "eta": 2, "max_iter": 50}
    spec = {**GRID, "method": "random", "early_terminate": rule, "count": 8}
    toy = ("SOLVER.MAX_EPOCHS", "50", "TOY.RESUMES", "itself", "TOY.ITERATIONS", "2", "TOY.SECONDS", "0.2")
    ran = sweep(
        tmp_path,
        "--sweep-config",
        write_sweep(tmp_path, spec),
        *QUIET,
        "--assume-resume",
        "--for",
        "6s",
        *toy,
        verbose=False,
    )
    assert ran.code == 0, ran.out + ran.err
    assert "no further trial is started: the next is expected to take " in ran.out
    assert {trial["cause"] for trial in ran.summary["trials"]} <= {"paused", "deadline", "finished"}
    spans = [(utc_seconds(trial["started"]) or 0, utc_seconds(trial["ended"]) or 0) for trial in ran.summary["trials"]]
    assert covered(spans) < 6 + 5
    assert json.loads((ran.dir / "launch.json").read_text())["exhausted"] is False


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"until": "2020-01-01 08:00"}, "until: Wed 01 Jan 2020 08:00"),
        ({"until": "soon"}, "until: 'soon' is not a moment; write 08:00, tomorrow 08:00, Mon 08:00"),
        ({"run_for": "8"}, "run_for: '8' is not a duration; write 8h, 90m, 1h30m or 2d"),
        ({"max_gpu_hours": 0}, "max_gpu_hours: '0' is not a positive number"),
        ({"max_gpu_hours": 3}, "--max-gpu-hours: counts the GPUs that the launcher gives to trials"),
        ({"budget": {"until": "2020-01-01 08:00"}}, "budget: until Wed 01 Jan 2020 08:00"),
    ],
)
def test_mistakes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, given: dict[str, Any], said: str) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigError, match=re.escape(said)):
        Sweep(**given, method="grid", parameters={"lr": [0.1, 0.2]}, train=lambda params: 1.0, controller="local")
    assert not (tmp_path / "log").exists()


def test_a_limit_of_the_file_may_be_taken_away(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    passed = {"until": "2020-01-01 08:00", "for": "1h"}
    found = Sweep(
        budget=passed,
        until="none",
        method="grid",
        parameters={"lr": [0.1]},
        train=lambda params: 1.0,
        controller="local",
    )
    assert "budget of the whole sweep: 1h of running" in found.plan.notes


@pytest.mark.slow  # it needs a machine that is not busy: trials must take the time that they say
def test_two_launches_at_once_keep_the_deadline(tmp_path: Path) -> None:
    until = in_seconds(12)
    trainer = write_trainer(tmp_path, KNOWN.replace("SECONDS", "1.5"))
    spec = write_sweep(tmp_path, {**GRID, "parameters": {"base_lr": {"values": [0.01 * i for i in range(1, 31)]}}})
    words = ("--sweep-config", spec, *QUIET, "--until", until.isoformat())
    first = start(tmp_path, *words, trainer=trainer, config=None, verbose=False)
    while not (found := list(tmp_path.glob("log/sweep/sweep/*/launch.json"))):
        time.sleep(0.1)
    joined = ("--sweep_id", found[0].parent.name, "--until", until.isoformat())
    second = start(tmp_path, *joined, trainer=None, config=None, verbose=False)
    out = first.communicate(timeout=120)[0] + second.communicate(timeout=120)[0]
    assert (first.returncode, second.returncode) == (0, 0), out
    trials = [json.loads(path.read_text()) for path in found[0].parent.glob("trial-*/trial.json")]
    last = max(utc_seconds(trial["ended"]) or 0 for trial in trials) - until.timestamp()
    assert -3 < last < 5, out  # less than a trial idle, none later than the grace period
    assert {trial["cause"] for trial in trials} <= {"finished", "deadline"} and len(trials) < 30
