"""What a program does with W&B's client in a trial: everything as its user expects, nothing sent, every row here."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from tests.wandb_clients import clients, interpreters
from yacs_sweep.logs.wandb_calls import Calls
from yacs_sweep.records.folder import SweepPaths, TrialRecord
from yacs_sweep.trial.wandb_calls import STARTUP, environment, make_folder, remove_folder, take_calls

CONFIG = {"lr": 0.1, "opt": {"wd": 3}}


@dataclass
class Trial:
    """A trial's folders, in which programs are run as the launcher runs them."""

    folder: Path
    notes: list[str] = field(default_factory=list)
    rows: list[dict[str, Any]] = field(default_factory=list)
    steps: list[int | None] = field(default_factory=list)
    out: str = ""
    err: str = ""
    left_out: str = ""
    config: dict[str, Any] = field(default_factory=dict)
    name: str = ""
    code: int = 0

    def run(self, text: str, *words: str, python: str = sys.executable, metric: str | None = None, **env: str) -> Trial:
        """Runs a program to its end and reads what it has logged."""
        script = self.folder / "program.py"
        script.write_text(text)
        sweep = SweepPaths(self.folder, "sw")
        output_dir = self.folder / "out"
        output_dir.mkdir(exist_ok=True)
        calls = Calls(make_folder(sweep, TrialRecord("t1", "trial-0000", 0, {}), CONFIG, output_dir), self.note, metric)
        kept = {key: value for key, value in os.environ.items() if not key.startswith(("WANDB_", "PYTHONPATH"))}
        home = {"HOME": str(self.folder), "WANDB_MODE": "disabled", "OUT": str(output_dir)}
        done = subprocess.run(
            [python, *(words or [str(script)])],
            cwd=self.folder,
            env=take_calls({**kept, **home, **environment(calls.folder), **env}),
            capture_output=True,
            text=True,
            timeout=100,
            check=False,
        )
        found = list(calls.rows(last=True))
        self.rows, self.steps = [dict(row) for row in found], [row.at and row.at[1] for row in found]
        self.out, self.err, self.code = done.stdout, done.stderr, done.returncode
        self.left_out, self.config, self.name = calls.left_out, calls.config, calls.name
        remove_folder(calls.folder)
        return self

    def note(self, text: str) -> None:
        self.notes.append(text)


@pytest.fixture
def trial(tmp_path: Path) -> Trial:
    return Trial(tmp_path)


@pytest.fixture
def nobody() -> Iterator[tuple[str, list[object]]]:
    """A server's address, and the connections somebody has made to it."""
    seen: list[object] = []
    listener = socket.create_server(("127.0.0.1", 0))

    def listen() -> None:
        while True:
            try:
                seen.append(listener.accept())
            except OSError:
                return

    threading.Thread(target=listen, daemon=True).start()
    yield f"http://127.0.0.1:{listener.getsockname()[1]}", seen
    listener.close()


CALLS = """
import argparse, copy, os, pickle
import wandb

def refused(call, kind=wandb.Error):
    try:
        call()
    except kind as error:
        return str(error)
    raise SystemExit("not refused")

assert "wandb.log" in refused(lambda: wandb.log({"a": 1})) and wandb.run is None
assert wandb.login(key="x" * 40) is True
wandb.setup()
with wandb.init(project="p", config={"lr": 0.5, "deep": {"a": {"b": 2}}, "x": 1}, mode="online", notes="n") as run:
    assert run is wandb.run and isinstance(run, wandb.sdk.wandb_run.Run)
    assert isinstance(wandb.config, wandb.sdk.wandb_config.Config)
    assert wandb.config.lr == wandb.config["lr"] == run.config.get("lr") == 0.1, "the sweep's"
    assert wandb.config["opt"]["wd"] == 3 and wandb.config["deep"]["a"]["b"] == 2
    assert dict(wandb.config) == dict(**wandb.config) == {**dict(wandb.config.items())}
    assert list(wandb.config.keys()) == ["lr", "deep", "x", "opt"] and "lr" in wandb.config
    wandb.config.y = 5
    wandb.config.update({"z": 6})
    assert "allow_val_change" in refused(lambda: wandb.config.update({"z": 7}))
    wandb.config.update({"z": 7, "lr": 9}, allow_val_change=True)
    wandb.config.update(argparse.Namespace(named=1))
    wandb.config.setdefaults({"z": 8, "w": 9})
    assert (wandb.config.z, wandb.config.lr, wandb.config.named, wandb.config.w) == (7, 0.1, 1, 9)
    refused(lambda: wandb.config.nope, AttributeError)
    assert wandb.config.get("nope", 4) == 4
    assert copy.deepcopy(wandb.config).lr == 0.1 and pickle.loads(pickle.dumps(wandb.config)).z == 7
    assert (run.id, run.name, run.sweep_id, run.project, run.notes) == ("t1", "trial-0000", "sw", "p", "n")
    assert os.path.isdir(run.dir) and run.dir.startswith(os.environ["OUT"])
    assert not run.disabled and not run.resumed and run.url is None and run.path.endswith("/p/t1")

    wandb.define_metric("epoch")
    wandb.define_metric("val/*", step_metric="epoch")
    run.define_metric("val/acc", summary="max", step_metric="epoch")
    wandb.log({"epoch": 0, "loss": 1.5, "val/acc": 0.5, "image": object(), "text": "t", "flag": True, "none": None})
    run.log({"loss": 1.0}, commit=False)
    wandb.log({"val/acc": 0.9, "deep": {"a": {"b": 1}}})
    wandb.log({"val/acc": 0.7}, step=10)
    wandb.log({"loss": 0.4}, step=10)
    wandb.log({"loss": 0.3}, step=11, commit=True)
    wandb.log({"loss": 99}, step=3)
    wandb.log({"loss": 0.2})
    refused(lambda: wandb.log([1]), TypeError)
    assert wandb.summary["loss"] == run.summary.loss == 0.2 and run.summary["val/acc"] == {"max": 0.9}
    wandb.run.summary["best_loss"] = 0.2
    wandb.summary.update({"loss": 0.2, "t": "x"})

    run.alert(title="T", text="body")
    wandb.watch(object()); wandb.save("x"); run.log_code("."); run.mark_preempting(); run._label(code="x")
    run.log_artifact("x").wait()
    assert "wandb artifact get data:latest" in refused(wandb.use_artifact("data:latest").download, RuntimeError)
    run.tags, run.notes, run.name = ("a",), "m", "mine"
    assert run.name == "mine" and run.config_static.lr == 0.1
    assert copy.deepcopy(run) is run
    pickle.loads(pickle.dumps(run)).log({"of_a_process": 1}, step=50)
assert wandb.run is None
refused(lambda: wandb.log({"a": 1}))
second = wandb.init()
second.log({"loss": 3})
assert second.id == "t1-2" and wandb.init() is second and second.dir != run.dir
third = wandb.init(reinit=True)
assert third is not second and third.id == "t1-3" and wandb.run is third
wandb.finish(quiet=True)
wandb.join()
wandb.teardown()
off = wandb.init(mode="disabled")
off.log({"loss": -1})
off.finish()
"""


@pytest.mark.parametrize("python", clients())
def test_every_call_does_what_its_user_expects(trial: Trial, python: str, nobody: tuple[str, list[object]]) -> None:
    address, seen = nobody
    trial.run(CALLS, python=python, metric="val/acc.max", WANDB_BASE_URL=address)
    assert trial.code == 0, trial.err
    assert trial.rows == [
        {"epoch": 0, "loss": 1.5, "val/acc": 0.5, "flag": 1, "val/acc.max": 0.5},
        {"loss": 1.0, "val/acc": 0.9, "deep.a.b": 1, "epoch": 0, "val/acc.max": 0.9},
        {"val/acc": 0.7, "loss": 0.4, "epoch": 0, "val/acc.max": 0.9},
        {"loss": 0.3},
        {"loss": 0.2},
        {"of_a_process": 1},
        {"best_loss": 0.2},
        {"loss": 3},
    ]
    assert trial.steps == [0, 1, 10, 11, 12, 50, None, 0]
    assert trial.notes == ["alert: T: body"] and trial.left_out == "image (object, once), text (str, once)"
    assert trial.config == {"deep": {"a": {"b": 2}}, "x": 1, "y": 5, "z": 7, "named": 1, "w": 9}
    assert trial.name == "mine"
    assert trial.err.count("locked by 'sweep'") == 1 and trial.err.count("less than the current step") == 1
    assert not seen and not (trial.folder / "wandb").exists()


VALUES = """
import fractions, decimal
import wandb
class Tensor:
    def __init__(self, value): self.value = value
    def item(self):
        if isinstance(self.value, list): raise RuntimeError("more than one")
        return self.value
class Eager:
    def numpy(self): return Tensor(0.25)
wandb.init()
wandb.log({"a": Tensor(0.5), "b": Tensor(True), "c": Tensor([1, 2]), "d": Eager(), "e": fractions.Fraction(1, 4),
           "f": decimal.Decimal("0.5"), "g": float("inf"), "h": 2 ** 70, "i": 1j, "j": [1], "k": {"l": {}}, 7: 1})
"""


def test_numbers_of_every_kind_are_taken(trial: Trial) -> None:
    (row,) = trial.run(VALUES).rows
    assert row == {"a": 0.5, "b": 1, "d": 0.25, "e": 0.25, "f": 0.5, "g": float("inf"), "h": 2.0**70, "7": 1}
    assert "c (Tensor, once)" in trial.left_out and "i (complex, once)" in trial.left_out


def test_what_was_logged_survives_a_kill(trial: Trial) -> None:
    trial.run(
        "import os, wandb\nrun = wandb.init()\nfor i in range(500): run.log({'i': i}, step=i)\nos.kill(os.getpid(), 9)"
    )
    assert trial.code == -9 and trial.steps == list(range(500))


FOLDS = """
import os, multiprocessing, wandb
def fold(number):
    for name in [name for name in os.environ if name.startswith("WANDB_")]:
        del os.environ[name]
    with wandb.init(group="folds", reinit=True) as run:
        run.log({"acc": number})
if __name__ == "__main__":
    whole = wandb.init()
    for number in range(3):
        process = multiprocessing.get_context("spawn").Process(target=fold, args=(number,))
        process.start()
        process.join()
    whole.log({"acc": 1.5})
"""


def test_runs_that_a_program_takes_out_of_the_sweep_are_not_the_trials(trial: Trial) -> None:
    trial.run(FOLDS)
    assert trial.rows == [{"acc": 1.5}], trial.err


RANKS = """
import os, subprocess, sys
if "RANK" not in os.environ:
    for rank in "210":
        subprocess.run([sys.executable, *sys.argv], env={**os.environ, "RANK": rank, "WORLD_SIZE": "3"}, check=True)
else:
    import wandb
    run = wandb.init(mode=os.environ.get("OTHERS", "online") if os.environ["RANK"] != "2" else "online")
    for step in range(2):
        run.log({"rank": int(os.environ["RANK"])})
"""


def test_of_a_distributed_program_one_rank_is_the_trial(trial: Trial) -> None:
    assert trial.run(RANKS).rows == [{"rank": 0}] * 2  # read at its end, when all have opened their run
    assert trial.run(RANKS, OTHERS="disabled").rows == [{"rank": 2}] * 2  # some programs log on the last one


def test_the_users_own_startup_code_runs(trial: Trial) -> None:
    """A sitecustomize of the user's, or of the system's; sys.path is what it would be, children have the hook too."""
    site = trial.folder / "site"
    site.mkdir()
    (site / "sitecustomize.py").write_text("import sys\nsys.from_site = True\n")
    trial.run(
        "import sys, os, subprocess, sitecustomize\n"
        "print(sys.from_site, sitecustomize.__file__, sys.path)\n"
        "code = 'import wandb; wandb.init().log({\"child\": 1})'\n"
        "subprocess.run([sys.executable, '-c', code], check=True)",
        PYTHONPATH=str(site),
    )
    assert trial.code == 0, trial.err
    assert trial.out.startswith(f"True {site / 'sitecustomize.py'}") and str(STARTUP) not in trial.out
    assert trial.rows == [{"child": 1}]
    broken = trial.run("print('runs')", PYTHONPATH=str(site)).out
    assert broken == "runs\n"
    (site / "sitecustomize.py").write_text("raise ValueError('of the user')")
    trial.run("import wandb\nwandb.init().log({'a': 1})", PYTHONPATH=str(site))
    assert "of the user" in trial.err and trial.rows == [{"a": 1}]


def test_python_starts_in_every_way(trial: Trial) -> None:
    text = "import wandb\nif __name__ == '__main__': wandb.init().log({'a': 1})"
    assert trial.run(text, "-m", "program").rows == [{"a": 1}]
    assert trial.run(text, "-c", "import runpy; runpy.run_module('program', run_name='__main__')").rows == [{"a": 1}]
    assert trial.run(text, "-X", "dev", "program.py").rows == [{"a": 1}]
    assert trial.run(text, "-s", "program.py").rows == [{"a": 1}]
    assert trial.run(text, "-E", "program.py").rows == []  # the interpreter reads no PYTHONPATH


def test_a_module_of_the_projects_own_by_that_name_stays_as_it_is(trial: Trial) -> None:
    (trial.folder / "wandb.py").write_text("def init(): return 'mine'\nlog = print\n")
    trial.run("import wandb\nassert wandb.init() == 'mine'\nwandb.log(1)")
    assert (trial.code, trial.out, trial.rows) == (0, "1\n", [])


STAND_IN = """
import importlib.util
assert importlib.util.find_spec("wandb") is not None
import wandb
import library
assert not library.has_wandb
run = wandb.init(project="x", config={"lr": 3, "b": 1}, settings=wandb.Settings(console="off"))
wandb.define_metric("*", step_metric="epoch")
assert (wandb.config.lr, wandb.config.b) == (0.1, 1)
wandb.log({"epoch": 1, "loss": 0.5, "image": wandb.Image("x.png"), "t": wandb.Table(columns=["a"])})
wandb.log({"loss": 0.25})
wandb.summary["s"] = 1
wandb.finish()
try:
    wandb.log({"a": 1})
except wandb.Error as error:
    assert "wandb.init()" in str(error)
else:
    raise SystemExit("not refused")
"""


@pytest.mark.parametrize("python", interpreters())
def test_without_a_client_the_program_has_a_stand_in(trial: Trial, python: str) -> None:
    """The program itself; a library that looks for W&B does not find it."""
    library = trial.folder / "lib" / "site-packages"
    library.mkdir(parents=True)
    (library / "library.py").write_text(
        "import importlib.util, sys\n"
        "kept = sys.modules.pop('wandb')\n"
        "has_wandb = importlib.util.find_spec('wandb') is not None\n"
        "sys.modules['wandb'] = kept\n"
    )
    trial.run(STAND_IN, python=python, PYTHONPATH=str(library))
    assert trial.code == 0, trial.err
    assert trial.rows == [{"epoch": 1, "loss": 0.5}, {"epoch": 1, "loss": 0.25}, {"s": 1}]
    assert "image (Media, once)" in trial.left_out


@pytest.mark.parametrize("python", interpreters()[:1])
def test_a_folder_of_runs_is_no_client(trial: Trial, python: str) -> None:
    (trial.folder / "wandb").mkdir()
    assert trial.run("import wandb\nwandb.init().log({'a': 1})", python=python).rows == [{"a": 1}]


def test_outside_of_a_trial_the_client_is_as_it_was(trial: Trial) -> None:
    """As in the preload server; and in a container that does not see the launcher's folder."""
    text = "import wandb\nrun = wandb.init()\nrun.log({'a': 1})\nprint(run.name, run.summary['a'])"
    for folder in ("", "/nowhere"):
        trial.run(text, YACS_SWEEP_CALLS=folder)
        assert trial.code == 0 and trial.out.startswith("dummy-"), trial.err
        assert trial.rows == []


TENSORBOARD = """
import sys, types
module = types.ModuleType("tensorboardX.event_file_writer")
class EventFileWriter:
    def add_event(self, event, step=None): print("written")
module.EventFileWriter = EventFileWriter
sys.modules["tensorboardX"], sys.modules[module.__name__] = types.ModuleType("tensorboardX"), module
class Value:
    def __init__(self, tag, value): self.tag, self.simple_value = tag, value
    def HasField(self, name): return self.simple_value is not None
def write(step, **values):
    summary = types.SimpleNamespace(value=[Value(tag, value) for tag, value in values.items()])
    EventFileWriter().add_event(types.SimpleNamespace(step=step, summary=summary))
import wandb
wandb.init(sync_tensorboard=True)
for step in (1, 5):
    write(step, loss=1 / step)
    write(step, acc=0.5, histogram=None)
EventFileWriter().add_event(types.SimpleNamespace(step=6, file_version="x"))
"""


def test_scalars_for_tensorboard_are_logged_where_the_program_asks_for_it(trial: Trial) -> None:
    trial.run(TENSORBOARD)
    assert trial.code == 0 and trial.out.count("written") == 5, trial.err
    assert trial.rows == [{"loss": 1.0, "global_step": 1, "acc": 0.5}, {"loss": 0.2, "global_step": 5, "acc": 0.5}]
    assert trial.steps == [1, 5]


QUICKSTART = """
import wandb

def main():
    run = wandb.init(project="demo")
    wandb.log({"lr_seen": wandb.config.lr})

wandb.login()
found = wandb.sweep({"method": "random", "parameters": {"lr": {"values": [7]}}}, project="demo")
print("SWEEP", found)
wandb.agent(found, main, count=10)
"""


def test_a_program_that_searches_by_itself_is_one_trial(trial: Trial) -> None:
    trial.run(QUICKSTART)
    assert trial.code == 0, trial.err
    assert [row["lr_seen"] for row in trial.rows] == [0.1], "once, with the trial's value"
    assert "SWEEP sw" in trial.out and "call Sweep(config, train=main)" in trial.err
    trial.run("import wandb\nwandb.agent('abc')\n")
    assert trial.code == 1 and "wandb.agent needs a function in a trial" in trial.err.splitlines()[-1]
