"""What every engine does, over all engines: those of the launcher, and the shortest one there can be."""

from __future__ import annotations

import json
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.trainers import kill_all, wait_until
from tests.yacs_sweep.launch.engines.cases import CASES, GRACE, Case
from yacs_sweep.base.errors import ConfigError
from yacs_sweep.launch import follow
from yacs_sweep.launch.engines import Engine
from yacs_sweep.launch.follow import Follower
from yacs_sweep.records.folder import SweepPaths
from yacs_sweep.records.summary import Summary

SECRET = "postgresql://user:pa55word@host/x"

# Stands for a launch: says what it was given, runs until it is told to end, and takes a moment for that.
LAUNCH = """
import json, os, pathlib, signal, sys, time
folder, words = pathlib.Path(sys.argv[1]), sys.argv[2:]
def end(*_):
    time.sleep(0.5)
    (folder / f"ended-{words[0]}").touch()
    os._exit(130)
signal.signal(signal.SIGTERM, end)
told = {"words": words, "secret": os.environ.get("YACS_SWEEP_STORAGE"), "cwd": os.getcwd(), "pid": os.getpid()}
part = folder / f"{words[0]}.part"
part.write_text(json.dumps(told))
part.rename(folder / f"{words[0]}.json")
while folder.exists() and not (folder / "leave").exists():
    time.sleep(0.05)
"""


class Launches:
    """Commands for an engine, and what they say when they run."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.program = folder / "launch.py"
        self.program.write_text(LAUNCH)

    def commands(self, count: int) -> list[list[str]]:
        start = [sys.executable, str(self.program), str(self.folder)]
        return [[*start, str(number), f"it's {number}; $HOME"] for number in range(count)]

    def started(self) -> dict[int, dict[str, Any]]:
        return {int(path.stem): json.loads(path.read_text()) for path in self.folder.glob("*.json")}

    def ended_in_order(self) -> int:
        return len(list(self.folder.glob("ended-*")))

    def leave(self) -> None:
        (self.folder / "leave").touch()


@pytest.fixture(params=CASES)
def case(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Case]:
    kind: type[Case] = request.param
    found = kind(tmp_path, monkeypatch)
    monkeypatch.chdir(tmp_path)
    with found.cluster():
        try:
            yield found
        finally:
            (tmp_path / "launches" / "leave").touch()
            kill_all(tmp_path)


@pytest.fixture
def launches(tmp_path: Path) -> Launches:
    (tmp_path / "launches").mkdir(exist_ok=True)
    return Launches(tmp_path / "launches")


def submitted(case: Case, launches: Launches, count: int) -> tuple[Engine, str]:
    """The engine once its launches run, and how it calls them."""
    engine = case.engine()
    engine.ask(count)
    paths = SweepPaths(case.folder, "abcd1234")
    paths.agents.mkdir(parents=True)
    name = engine.submit(launches.commands(count), {"YACS_SWEEP_STORAGE": SECRET}, paths)
    wait_until(lambda: len(launches.started()) == count, 60)
    return engine, name


def test_each_command_runs_once_with_its_own_words_the_secret_and_this_folder(case: Case, launches: Launches) -> None:
    engine, name = submitted(case, launches, 2)
    started = launches.started()
    assert [started[number]["words"] for number in range(2)] == [
        [str(number), f"it's {number}; $HOME"] for number in range(2)
    ]
    assert {told["secret"] for told in started.values()} == {SECRET}
    assert {told["cwd"] for told in started.values()} == {str(case.folder)}
    assert len({told["pid"] for told in started.values()}) == 2
    assert "2" in name
    assert SECRET not in name + case.public()
    assert engine.alive() == 2


def test_launches_are_counted_until_they_have_ended(case: Case, launches: Launches) -> None:
    engine, _ = submitted(case, launches, 2)
    assert engine.alive() == 2
    launches.leave()
    wait_until(lambda: engine.alive() == 0, 60)
    engine.cancel()  # nothing is left to end
    assert launches.ended_in_order() == 0


def test_cancelled_launches_end_in_order(case: Case, launches: Launches) -> None:
    engine, _ = submitted(case, launches, 2)
    engine.cancel()
    wait_until(lambda: engine.alive() == 0, 60)
    assert launches.ended_in_order() == 2


def test_a_setting_that_is_not_the_engines_is_refused(case: Case, launches: Launches) -> None:
    with pytest.raises(ConfigError) as caught:
        case.engine({case.refused: "1"})
    (line,) = caught.value.problems
    assert line.startswith(f"--engine-option {case.refused}: ")


def test_an_engine_that_is_not_installed_says_what_is_missing(case: Case, launches: Launches) -> None:
    wanted = case.uninstall()
    with pytest.raises(ConfigError) as caught:
        case.engine()
    (line,) = caught.value.problems
    assert line.startswith("--engine ") and wanted in line


def test_a_cluster_that_does_not_answer_refuses_before_there_is_a_sweep(case: Case, launches: Launches) -> None:
    engine = case.engine()
    case.unplug()
    with pytest.raises(ConfigError) as caught:
        engine.ask(2)
    (line,) = caught.value.problems
    assert line.startswith("--engine ") and "\n" not in line
    assert not launches.started()


def test_an_interrupt_here_ends_the_launches_there(
    case: Case, launches: Launches, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine, _ = submitted(case, launches, 2)
    for name in ("PERIOD", "ASK"):
        monkeypatch.setattr(follow, name, 0.1)
    said: list[str] = []
    summary = Summary(
        SweepPaths(case.folder, "abcd1234"), name="s", controller="local", method="random", metric="m", goal="minimize"
    )
    follower = Follower(
        engine, summary, target=5, grace=GRACE, on_trial=print, say=said.append, signals=[signal.SIGINT]
    )
    outcome = follower.run()
    assert outcome.interrupted and outcome.message is None
    assert said == ["SIGINT: ending the engine's agents"]
    assert launches.ended_in_order() == 2 and engine.alive() == 0
