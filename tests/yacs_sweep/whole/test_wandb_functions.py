"""Functions as W&B's users write them: `main()` with `wandb.config` filled, descriptions by keywords, rows as runs."""

from __future__ import annotations

import inspect
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.sweeping import ROOT
from yacs_sweep import ConfigError, Sweep
from yacs_sweep.launch.keyword_types import Keywords
from yacs_sweep.spec.read_sweep import _READ
from yacs_sweep.trainers.inside.call_function import count_arguments

QUICK: dict[str, Any] = {"controller": "local", "wandb_mode": "disabled"}
PARAMETERS = {"lr": {"values": [0.1, 0.3]}, "optimizer": {"parameters": {"name": {"value": "adam"}}}}


@pytest.fixture(autouse=True)
def user(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A user without a login, in an empty folder."""
    for name in [name for name in os.environ if name.startswith(("WANDB_", "XDG_"))]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)


def test_a_function_without_arguments_finds_its_parameters_in_wandb_config() -> None:
    import wandb

    def main() -> None:
        with wandb.init(project="x", config={"lr": 7.0, "epochs": 2}) as run:
            assert run.config["optimizer"]["name"] == "adam"
            for epoch in range(run.config.epochs):
                wandb.log({"epoch": epoch, "loss": wandb.config.lr / (epoch + 1)})
            run.summary["note"] = 1

    sweep = Sweep(
        method="grid", metric={"name": "loss", "goal": "minimize"}, parameters=PARAMETERS, train=main, **QUICK
    )
    trials = sweep.run()
    assert sweep.exit_status == 0 and len(trials) == 2
    best = sweep.best_run()
    assert best is not None and best.config == {"lr": 0.1, "optimizer": {"name": "adam"}}
    assert best.summary == {"epoch": 1, "loss": 0.05, "note": 1} and best.state == "finished"
    assert [row.get("loss") for row in best.history()] == [0.1, 0.05, None]
    assert [run.config["lr"] for run in sweep.runs] == [0.1, 0.3]
    assert [run.id for run in Sweep.open(sweep.id or "").runs] == [run.id for run in sweep.runs]


def test_every_key_of_a_sweep_file_is_a_keyword(tmp_path: Path) -> None:
    taken = {*inspect.signature(Sweep.__init__).parameters, *Keywords.__annotations__}
    assert set(_READ) <= taken
    program = tmp_path / "train_c.py"
    program.write_text("")
    about: dict[str, Any] = {"method": "grid", "parameters": {"lr": {"values": [1, 2, 3]}}, "where": ("lr < 3",)}
    made = Sweep(program=program, name="n", description="d", results_dir_base=tmp_path / "r", **about, **QUICK)
    spec = made.spec
    assert (spec.program, spec.name, spec.description, spec.where) == (str(program), "n", "d", ("lr < 3",))
    assert spec.results_dir_base == str(tmp_path / "r") and made.plan.count == 2
    words = ("python", str(program), "${args}")
    assert Sweep(command=words, **about, **QUICK).spec.command == words
    with pytest.raises(ConfigError, match=r"program: \[.x.\] is not a text"):
        Sweep(**{"program": ["x"], **about, **QUICK})


def test_without_anything_to_train_python_says_what_to_give() -> None:
    with pytest.raises(ConfigError, match="`program` in the sweep file, by --trainer, or in Python by `train=`"):
        Sweep({"method": "grid", "parameters": {"lr": {"values": [1]}}}, **QUICK)


def test_a_function_of_a_config_is_called_without_one(tmp_path: Path) -> None:
    """As in W&B's own examples, from a script."""
    script = tmp_path / "script.py"
    script.write_text(
        f"import sys\nsys.path.insert(0, {str(ROOT)!r})\n"
        "import wandb\nfrom yacs_sweep import Sweep\n"
        "def train(config=None):\n"
        "    with wandb.init(config=config):\n"
        "        config = wandb.config\n"
        "        wandb.log({'loss': config.lr * 2})\n"
        "if __name__ == '__main__':\n"
        "    config = {'method': 'grid', 'metric': {'name': 'loss', 'goal': 'minimize'}}\n"
        "    config['parameters'] = {'lr': {'values': [0.5, 0.25]}}\n"
        "    sweep = Sweep(config, train=train, controller='local', wandb_mode='disabled')\n"
        "    sweep.run()\n"
        "    print('BEST', sweep.best.value, sweep.best.params, sweep.best_run().config)\n"
    )
    done = subprocess.run([sys.executable, str(script)], capture_output=True, text=True, check=False, cwd=tmp_path)
    assert "BEST 0.5 {'lr': 0.25} {'lr': 0.25}" in done.stdout, done.stdout + done.stderr


@pytest.mark.parametrize(
    ("train", "takes"),
    [
        (lambda: 0, 0),
        (lambda config=None: 0, 0),
        (lambda argv=None, verbose=False: 0, 0),
        (lambda params: 0, 1),
        (lambda params=None: 0, 1),
        (lambda values: 0, 1),
        (lambda *args: 0, 1),
        (lambda params, report: 0, 2),
        (lambda params, report=None: 0, 2),
        (lambda params, other=None: 0, 1),
        (dict, 1),
    ],
)
def test_how_a_function_is_called_follows_from_its_arguments(train: Any, takes: int) -> None:
    assert count_arguments(train) == takes


def test_a_description_may_be_given_by_keywords() -> None:
    rule = {"type": "hyperband", "min_iter": 3}
    sweep = Sweep(
        method="bayes",
        sweep_name="mine",
        metric="val_acc",
        goal="maximize",
        parameters={"lr": {"min": 0.0001, "max": 0.1, "distribution": "log_uniform_values"}},
        early_terminate=rule,
        run_cap=7,
        train=lambda: 0,
        **QUICK,
    )
    spec = sweep.spec
    assert (spec.method, spec.name, spec.run_cap, sweep.plan.count) == ("bayes", "mine", 7, 7)
    assert spec.metric is not None and (spec.metric.name, spec.metric.goal) == ("val_acc", "maximize")
    assert spec.early_terminate is not None and spec.early_terminate.min_iter == 3
    assert sweep.runs == [] and sweep.best_run() is None


def test_a_description_is_given_in_one_way() -> None:
    with pytest.raises(ConfigError, match="parameters, metric: belong to a description, and one is given"):
        Sweep({"method": "grid"}, parameters=PARAMETERS, metric={"name": "loss"}, train=lambda: 0)
    with pytest.raises(ConfigError) as caught:
        Sweep(method="grid", parameters={"lr": {"valus": [1]}}, metric={"nme": "loss"}, train=lambda: 0)
    assert "valus" in str(caught.value) and "nme" in str(caught.value)
