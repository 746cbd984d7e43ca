"""`Sweep`: a search as a Python object, of a function and of a command."""

from __future__ import annotations

import argparse
import math
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy
import pytest
import yaml

from tests.sweeping import GRID, ROOT, TOY, environment, processes_with, sweep, write_sweep
from tests.trainers import wait_until
from yacs_sweep import ConfigError, Sweep, SweepError
from yacs_sweep.launch.keyword_types import Keywords
from yacs_sweep.launch.options.control import NAMING, WITH_ID
from yacs_sweep.launch.options.table import make_parser
from yacs_sweep.records.folder import TrialRecord
from yacs_sweep.show.trials import Trials

PARABOLA: dict[str, Any] = {
    "method": "random",
    "metric": {"name": "loss", "goal": "minimize"},
    "parameters": {"x": {"min": -1.0, "max": 1.0}},
}
QUICK: dict[str, Any] = {"controller": "local", "wandb_mode": "disabled"}


@pytest.fixture(autouse=True)
def user(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A user without a login, in an empty folder."""
    for name in [name for name in os.environ if name.startswith(("WANDB_", "XDG_"))]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)


def script(folder: Path, text: str) -> list[str]:
    """The command of a user's script."""
    path = folder / "script.py"
    path.write_text(f"import sys\nsys.path.insert(0, {str(ROOT)!r})\n{text}")
    return [sys.executable, str(path)]


# -- what it costs, and what it takes ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("line", "none_of"),
    [("import yacs_sweep", "argparse yaml yacs_sweep.launch.plan.make"), ("from yacs_sweep import Sweep", "")],
)
def test_importing_it_imports_no_library(line: str, none_of: str) -> None:
    heavy = f"optuna wandb torch numpy pandas cloudpickle sqlalchemy {none_of}".split()
    code = f"{line}\nimport sys; print(*[name for name in {heavy} if name in sys.modules])"
    ran = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == ""


def test_keywords_are_the_options_of_the_command_line() -> None:
    # The others are the search itself, what a process of one's own is for (such as one that `wandb agent` starts), and
    # what methods do.
    others = {
        "help",
        "train_best",
        "seeds",
        "prefer",
        "sweep_config",
        "sweep_id",
        "trailing",
        "parallel_sweeps",
        "test_patterns",
        "dry_run",
        "check",
        "force",
        "try_run",
        "init",
        "json",
        "status",
        "watch",
        *("where", "sort", "columns", "compare", "diff", "logs", "follow"),
        "agent_run",
        *NAMING,
        *WITH_ID,
        "now",
        "no_project_defaults",  # which a program does not read
        argparse.SUPPRESS,  # --version, --print-completion
    }
    assert set(Keywords.__annotations__) == {action.dest for action in make_parser()._actions} - others


def test_every_mistake_is_told_at_once_and_nothing_exits(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        Sweep("sweep_lr", workers=0, method="gird", worker=2, quiet="yes", overrides="A 1")  # type: ignore[call-arg,arg-type]
    assert caught.value.problems == [
        "workers: '0' is not a positive whole number",
        "method: 'gird' is not allowed; allowed: grid, random, bayes, custom; did you mean grid?",
        "worker: is not an option; did you mean workers?",
        "quiet: 'yes' is not True or False",
        "overrides: 'A 1' is one text; write a dict, or a list of words",
    ]
    with pytest.raises(ConfigError) as caught:
        Sweep(
            {"method": "grid", "parameters": {"x": {"min": 0.0, "max": 1.0}}, "metrc": "loss"}, train=lambda params: 1.0
        )
    assert [line.partition(":")[0] for line in caught.value.problems] == ["sweep"] * 2
    assert "metrc" in str(caught.value) and "method grid cannot list x" in str(caught.value)
    assert not list(tmp_path.iterdir())


def test_functions_that_cannot_be_trained_with_are_refused() -> None:
    lock = threading.Lock()

    async def later(params: dict[str, Any]) -> float:
        return 0.0

    def locked(params: dict[str, Any]) -> float:
        with lock:
            return 0.0

    for train, why in (
        (3, "3 is not a function"),
        (later, "is async"),
        (lambda a, b, c: 0.0, "cannot be called with the parameters alone, its arguments are (a, b, c)"),
        (locked, "cannot pickle '_thread.lock' object"),
    ):
        with pytest.raises(ConfigError, match=re.escape(why)):
            Sweep(PARABOLA, train=train, **QUICK)  # type: ignore[arg-type]
    with pytest.raises(ConfigError) as caught:
        Sweep(PARABOLA, train=lambda params: 0.0, config_file="x.yml", overrides={"A": 1})
    assert len(caught.value.problems) == 2


def test_python_values_are_read_as_a_file_would_say_them() -> None:
    description = {
        **PARABOLA,
        "parameters": {"x": numpy.linspace(0, 1, 3), "n": range(2), "t": ("a", "b"), "c": numpy.float64(2)},
    }
    found = {
        item.name: item.values or item.value for item in Sweep(description, train=lambda params: 0.0).spec.parameters
    }
    assert {name: list(values) if isinstance(values, tuple) else values for name, values in found.items()} == {
        "x": [0.0, 0.5, 1.0],
        "n": [0, 1],
        "t": ["a", "b"],
        "c": 2.0,
    }


def test_a_preset_with_custom_parameters(tmp_path: Path) -> None:
    made = Sweep(
        "sweep_lr",
        config_file=ROOT / "configs/baseline.yml",
        custom_params={"SOLVER.GAMMA": [0.1, 0.5]},
        overrides={"max_epochs": 2},
    )
    assert "SOLVER.GAMMA" in {item.name for item in made.spec.parameters}
    assert made.plan.launch.trailing == ("SOLVER.MAX_EPOCHS", "2")
    assert "SOLVER.MAX_EPOCHS 2" in made.describe()
    assert made.id is None and made.best is None and list(made.results()) == []
    assert not list(tmp_path.iterdir())


# -- a function --------------------------------------------------------------------------------------------------------


class Unlucky(Exception):
    """Not called an error."""


def test_all_ways_to_log_and_to_fail(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def train(params: dict[str, Any], report: Any) -> Any:
        how = params["how"]
        print("trying", how, params["group"], flush=True)
        if how == "number":
            return 3
        if how == "dict":
            return {"loss": numpy.float32(2.5), "accuracy": 0.5}
        if how == "report":
            (report.dir / "checkpoint.bin").write_bytes(b"x")
            report({"val/x": 1, "loss": 9.0})
            report(2.0)
            report(loss=1.0, epoch=3)
            return None
        if how == "nan":
            return math.nan
        if how == "nothing":
            return None
        if how == "text":
            return "0.5"
        if how == "unlucky":
            raise Unlucky("bad\nday")
        return yields()

    def yields() -> Iterator[float]:
        yield 8.0
        yield 4.0

    ways = ["number", "dict", "report", "yields", "nan", "nothing", "text", "unlucky"]
    description = {
        "method": "grid",
        "metric": {"name": "loss", "goal": "minimize"},
        "parameters": {"how": ways, "group": {"parameters": {"a": {"value": 1}}}},
    }
    made = Sweep(description, train=train, workers=2, **QUICK)
    assert made.plan.profile.preload == ("numpy",)
    trials = made.run()
    by_way = {row["params"]["how"]: row for row in trials}
    values = {how: row["value"] for how, row in by_way.items()}
    assert values.pop("nan") != values.get("nan", 0.0)
    assert values == {
        "number": 3,
        "dict": 2.5,
        "report": 1.0,
        "yields": 4.0,
        "nothing": None,
        "text": None,
        "unlucky": None,
    }
    assert {how: row["state"] for how, row in by_way.items() if row["state"] != "finished"} == {
        "nan": "failed",
        "nothing": "failed",
        "text": "failed",
        "unlucky": "failed",
    }
    assert by_way["nan"]["cause"] == "diverged"
    assert by_way["unlucky"]["reason"] == "exit code 1: tests.yacs_sweep.whole.test_api.Unlucky: bad"
    assert "metric loss is '0.5', a str; report numbers" in by_way["text"]["reason"]
    assert "never logged the sweep's metric loss" in by_way["nothing"]["reason"]
    rows = made.metrics(by_way["report"]["name"])
    assert [{key: row[key] for key in row if key != "step"} for row in rows] == [
        {"val/x": 1, "loss": 9.0},
        {"loss": 2.0},
        {"loss": 1.0, "epoch": 3},
    ]
    folder = Path(by_way["report"]["dir"])
    assert (folder / "checkpoint.bin").is_file()
    assert (folder / "stdout.log").read_text().startswith("trying report {'a': 1}\n")
    log = (Path(by_way["unlucky"]["dir"]) / "stdout.log").read_text()
    assert "Traceback" in log and "child.py" not in log
    best = made.best
    assert best is not None and (best.name, best.value) == (by_way["report"]["name"], 1.0)
    assert best.config == {"how": "report", "group": {"a": 1}} == yaml.safe_load(best.path.read_text())
    assert made.exit_status == 1 and not made.ended_well and made.message is None
    assert made.status()["counts"] == {"finished": 4, "failed": 4}
    out = capsys.readouterr().out
    assert "trying" not in out and out.count("▶") == 8  # the functions' own lines are not shown
    assert "fresh process" not in out  # trials are forks of one that has imported numpy


def test_a_function_may_leave_no_file(capsys: pytest.CaptureFixture[str]) -> None:
    trials = Sweep(PARABOLA, train=lambda params: params["x"] ** 2, count=1, **QUICK).run()
    assert [trial["state"] for trial in trials] == ["finished"]
    said = capsys.readouterr().out
    assert "1 finished" in said and "left no" not in said


def test_one_goes_on_in_python_and_on_the_command_line(tmp_path: Path) -> None:
    made = Sweep(PARABOLA, train=lambda params: params["x"] ** 2, seed=3, **QUICK)
    sweep_id = made.create()
    assert made.dir is not None and (made.dir / "function.pkl").is_file() and not made.results()
    assert len(made.run(count=1)) == 1
    assert len(made.run(count=1)) == 2
    ran = sweep(tmp_path, "--sweep_id", sweep_id, "--count", "1", trainer=None, config=None)
    assert ran.code == 0, ran.out + ran.err
    again = Sweep.open(sweep_id, train=lambda params: 100 + params["x"])
    trials = again.run(count=1)
    assert len(trials) == 4 and max(row["value"] for row in trials) > 99
    assert len({row["params"]["x"] for row in trials}) == 4
    assert all(row["value"] in (row["params"]["x"] ** 2, 100 + row["params"]["x"]) for row in trials)
    (made.dir / "function.pkl").unlink()
    with pytest.raises(ConfigError, match="train=fn"):
        Sweep.open(sweep_id).run(count=1)
    with pytest.raises(ConfigError, match="no such sweep"):
        Sweep.open("zzzzzzzz", controller="local")
    for mistake in (None, 7, tmp_path):
        with pytest.raises(ConfigError, match=r"^sweep_id: .* is not a sweep's id, such as 'k3v9x2ab'$"):
            Sweep.open(mistake)  # type: ignore[arg-type]


def test_trials_of_a_function_are_ended_as_those_of_a_command_are() -> None:
    def train(params: dict[str, Any]) -> Iterator[float]:
        for epoch in range(1, 200):
            yield params["x"] * epoch
            time.sleep(0.05 if params["x"] < 2 else 100)

    description = {
        "method": "grid",
        "metric": {"name": "loss", "goal": "minimize"},
        "parameters": {"x": [1, 2]},
        "early_terminate": {"type": "divergence", "factor": 3},
    }
    rows = {row["params"]["x"]: row for row in Sweep(description, train=train, timeout=10, grace=1, **QUICK).run()}
    assert rows[1]["state"] == "stopped" and "stopped early" in rows[1]["reason"]
    assert (rows[2]["state"], rows[2]["cause"]) == ("failed", "timeout")


def test_points_to_try_first_are_given_as_a_list() -> None:
    made = Sweep(PARABOLA, train=lambda params: params["x"], enqueue=[{"x": 0.25}], count=2, **QUICK)
    assert made.plan.warm.enqueue == ({"x": 0.25},)
    with pytest.raises(ConfigError, match="enqueue: point 1: y: is not searched"):
        Sweep(PARABOLA, train=lambda params: params["x"], enqueue=[{"y": 1}], **QUICK)


# -- a command ---------------------------------------------------------------------------------------------------------


def test_the_command_line_and_python_do_the_same(tmp_path: Path) -> None:
    spec = {**GRID, "method": "random", "parameters": {"base_lr": {"min": 0.0001, "max": 0.001}}}
    words = ["--sweep-config", write_sweep(tmp_path, spec), "--seed", "5", "--count", "2", "--wandb-mode", "disabled"]
    ran = sweep(tmp_path, *words, "TOY.ITERATIONS", "1")
    assert ran.code == 0, ran.out + ran.err
    made = Sweep(
        spec,
        trainer=TOY / "toy.yaml",
        config_file=TOY / "toy.yml",
        seed=5,
        count=2,
        results_dir=tmp_path / "python",
        overrides={"TOY.ITERATIONS": 1},
        **QUICK,
    )
    made.run()
    assert made.exit_status == 0 and made.ended_well
    keys = ("name", "params", "value", "state", "rows")
    mine, theirs = (
        [{key: trial[key] for key in keys} for trial in found] for found in (summary(made), ran.summary["trials"])
    )
    assert mine == theirs
    best = made.best
    assert best is not None and best.config["TOY"]["ITERATIONS"] == 1
    assert best.config["SOLVER"]["BASE_LR"] == best.params["base_lr"]
    opened = Sweep.open(ran.dir.name)
    assert [row["value"] for row in opened.results()] == [row["value"] for row in made.results()]


def summary(made: Sweep) -> list[dict[str, Any]]:
    """The trials of summary.json."""
    assert made.dir is not None
    trials: list[dict[str, Any]] = yaml.safe_load((made.dir / "summary.json").read_text())["trials"]
    return trials


# -- interrupts --------------------------------------------------------------------------------------------------------

SLOW = """
from yacs_sweep import Sweep

def train(params, report):
    import time
    report(loss=1.0)
    time.sleep(600)

if __name__ == "__main__":
    sweep = Sweep({spec!r}, train=train, results_dir="results", **{quick!r})
    try:
        sweep.run()
    finally:
        print("after", sweep.exit_status, sweep.results()[0]["state"], flush=True)
"""


def test_an_interrupt_ends_the_trials_and_is_raised(tmp_path: Path) -> None:
    words = script(tmp_path, SLOW.format(spec=PARABOLA, quick=QUICK))
    running = subprocess.Popen(
        words, cwd=tmp_path, env=environment(tmp_path), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    try:
        wait_until(lambda: any(path.stat().st_size for path in tmp_path.glob("results/sweep/*/*/metrics.jsonl")), 60)
        running.send_signal(signal.SIGINT)
        out, _ = running.communicate(timeout=180)
    finally:
        running.kill()
    assert "after 130 killed" in out
    assert "KeyboardInterrupt: sweep " in out and "Sweep.open(" in out
    assert running.returncode == -signal.SIGINT
    assert not processes_with(str(tmp_path / "results"))


def test_in_a_thread_it_takes_no_signal_and_is_stopped_by_a_call(tmp_path: Path) -> None:
    def train(params: dict[str, Any], report: Any) -> None:
        report(loss=1.0)
        time.sleep(600)

    before = signal.getsignal(signal.SIGINT)
    made = Sweep(PARABOLA, train=train, **QUICK)
    done: list[Trials] = []
    thread = threading.Thread(target=lambda: done.append(made.run()))
    thread.start()
    wait_until(lambda: any(path.stat().st_size for path in tmp_path.glob("log/sweep/sweep/*/*/metrics.jsonl")), 60)
    assert signal.getsignal(signal.SIGINT) is before
    assert made.status()["counts"] == {"running": 1}
    made.stop()
    thread.join(60)
    assert not thread.is_alive()
    assert [row["state"] for row in done[0]] == ["killed"]


# -- rows --------------------------------------------------------------------------------------------------------------


def records() -> list[TrialRecord]:
    """Two trials, the second the better one, of a hostile server."""
    first = TrialRecord("a", "<b>one</b>", 0, {"x<y": 1}, state="failed", reason="<script>alert(1)</script>")
    return [first, TrialRecord("b", "two", 1, {"x<y": "&amp;", "z": 0.5}, state="finished", value=1.0)]


def test_rows_are_best_first_and_their_html_is_escaped() -> None:
    trials = Trials(records(), "<loss>")
    assert [row["name"] for row in trials] == ["two", "<b>one</b>"]
    html = trials._repr_html_()
    assert not re.findall(r"<(?!/?(?:table|tr|th|td|p)>)", html)
    assert "&lt;script&gt;" in html and "&amp;amp;" in html and "<th>x&lt;y</th>" in html
    assert Trials()._repr_html_() == "<p>no trials</p>"


def test_a_frame_needs_pandas_and_says_so() -> None:
    try:
        import pandas  # noqa: F401
    except ImportError:
        with pytest.raises(SweepError, match="pip install pandas"):
            Trials(records()).frame()
    else:
        frame = Trials(records()).frame()
        assert frame["params.z"][0] == 0.5 and list(frame["name"]) == ["two", "<b>one</b>"]


# -- the guide ---------------------------------------------------------------------------------------------------------


def test_the_guide_runs_as_it_stands(tmp_path: Path) -> None:
    for name in ("configs", "sweeps"):
        (tmp_path / name).symlink_to(ROOT / name)
    blocks = re.findall(r"^```python\n(.*?)^```$", (ROOT / "docs" / "python.md").read_text(), re.M | re.S)
    assert len(blocks) == 6
    ran = subprocess.run(
        script(tmp_path, "\n".join(blocks)),
        cwd=tmp_path,
        env=environment(tmp_path),
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert "no_such_file.yml: no such file" in ran.stdout and "did you mean parameters?" in ran.stdout
    assert ran.stdout.rstrip().endswith("6")
