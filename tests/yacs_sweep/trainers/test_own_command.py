"""The trainer a sweep file names by `program` and `command`, with W&B's macros."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest
from wandb.sdk.launch.sweeps.utils import create_sweep_command_args

from tests.sweeping import sweep, write_sweep
from yacs_sweep.base.errors import ConfigError
from yacs_sweep.spec.read_sweep import sweep_from_dict
from yacs_sweep.spec.sweep import SweepSpec
from yacs_sweep.trainers.overrides import Overrides
from yacs_sweep.trainers.own_command import expand_args_macro, own_command_profile

VALUES: dict[str, Any] = {
    "lr": 0.001,
    "debug": True,
    "quiet": False,
    "layers": [1, "x"],
    "name": "True",
    "off": None,
    "opt": {"beta": 0.9},
}
PROGRAM = """\
import json, os, sys
print("ARGV " + json.dumps(sys.argv[1:]))
lr = float(next(word for word in sys.argv if word.startswith("--lr=")).split("=")[1])
print("METRIC " + json.dumps({"epoch": 1, "val/loss": abs(lr - 0.01)}))
"""


def written(prefix: str) -> list[str]:
    texts = ["lr=0.001", "debug=True", "quiet=False", "layers=[1, 'x']", "name=True", "off=None", "opt={'beta': 0.9}"]
    return [f"{prefix}{text}" for text in texts]


@pytest.mark.parametrize(
    ("macro", "expected"),
    [
        ("args", written("--")),
        ("args_no_hyphens", written("")),
        ("args_append_hydra", written("+")),
        ("args_override_hydra", written("++")),
        ("args_no_boolean_flags", ["--lr=0.001", "--debug", *written("--")[3:]]),  # the text "True" is no boolean
        ("args_no_equals", [word for text in written("--") for word in text.split("=")]),
    ],
)
def test_macros_of_arguments_say_what_wandbs_agent_says(macro: str, expected: list[str]) -> None:
    theirs = create_sweep_command_args({"args": {name: {"value": value} for name, value in VALUES.items()}})
    assert expand_args_macro(macro, VALUES) == theirs[macro] == expected


def test_arguments_as_json() -> None:
    (text,) = expand_args_macro("args_json", VALUES)
    assert json.loads(text) == VALUES


def spec(**top: Any) -> SweepSpec:
    return sweep_from_dict({"method": "random", "parameters": {"lr": {"values": [0.1]}}, **top})


def test_command_without_words_is_wandbs_default(tmp_path: Path) -> None:
    (tmp_path / "train.py").touch()
    profile = own_command_profile(spec(program="train.py"), tmp_path)
    given: dict[str, Any] = {"overrides": Overrides(profile).arguments({"lr": 0.1}), "params": {"lr": 0.1}}
    assert profile.command_line(**given) == ["/usr/bin/env", sys.executable, "train.py", "--lr=0.1"]
    assert profile.command_line(python="/opt/python", **given)[1] == "/opt/python"


def test_other_words_and_variables_of_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATA", "/data/x y")
    command = ["python3", "-m", "mine", "--data=${envvar:DATA}", "${args_no_hyphens}", "--last"]
    words = own_command_profile(spec(command=command), tmp_path).command_line(overrides=["--lr=0.1"])
    assert words == ["python3", "-m", "mine", "--data=/data/x y", "lr=0.1", "--last"]


def test_variables_of_the_environment_side_by_side_in_a_word(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ROOT", "/data")
    monkeypatch.setenv("NAME", "x y")
    command = ["python3", "${envvar:ROOT}/${envvar:NAME}", "${envvar:ABSENT}", "--f=${args_json_file}", ""]
    words = own_command_profile(spec(command=command), tmp_path).command_line()
    assert words == ["python3", "/data/x y", "ABSENT", "--f=${args_json_file}", ""]


def test_trailing_words_are_parameters_too_and_what_is_no_pair_stays(tmp_path: Path) -> None:
    profile = own_command_profile(spec(command=["t", "${args_no_boolean_flags}", "${args_json}"]), tmp_path)
    words = ["--seed=007", "--fast=True", "-v", *Overrides(profile).arguments({"lr": 0.1})]
    line = profile.command_line(overrides=words, params={"lr": 0.1})
    assert line[:-1] == ["t", "-v", "--seed=007", "--fast", "--lr=0.1"]
    assert json.loads(line[-1]) == {"seed": "007", "fast": True, "lr": 0.1}


def test_a_group_of_nested_parameters_is_one_argument(tmp_path: Path) -> None:
    parameters: dict[str, Any] = {
        "optimizer": {"parameters": {"lr": [0.1], "nadam": {"parameters": {"beta": [0.9]}}}},
        "net.width": {"values": [4]},
    }
    body = spec(parameters=parameters, command=["t", "${args}", "${args_json}"])
    profile = own_command_profile(sweep_from_dict(body.to_dict()), tmp_path)  # as the agents read it
    params = {"optimizer.lr": 0.1, "optimizer.nadam.beta": 0.9, "net.width": 4}
    line = profile.command_line(overrides=Overrides(profile).arguments(params), params=params)
    assert line[:-1] == ["t", "--optimizer={'lr': 0.1, 'nadam': {'beta': 0.9}}", "--net.width=4"]
    assert json.loads(line[-1]) == {"optimizer": {"lr": 0.1, "nadam": {"beta": 0.9}}, "net.width": 4}


def test_mistakes_are_told(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"program: absent\.py: no such file in"):
        own_command_profile(spec(program="absent.py"), tmp_path)
    with pytest.raises(ConfigError, match=r"program: is missing, and the command says \$\{program\}"):
        own_command_profile(spec(command=["python", "${program}"]), tmp_path)


def test_a_sweep_of_the_files_own_program_runs_and_is_resumed(tmp_path: Path) -> None:
    (tmp_path / "train.py").write_text(PROGRAM)
    body = {
        "program": "train.py",
        "method": "grid",
        "metric": {"name": "val/loss", "goal": "minimize"},
        "parameters": {"lr": {"values": [0.1, 0.02, 0.01]}, "debug": {"value": True}},
        "command": ["${interpreter}", "${program}", "--epochs", "3", "${args_no_boolean_flags}"],
    }
    first = run(tmp_path, "--sweep-config", write_sweep(tmp_path, body), "--count", "2", "--wandb-mode", "disabled")
    assert first.code == 0, first.out + first.err
    assert "the trainer is the sweep file's program train.py" in first.out
    assert 'ARGV ["--epochs", "3", "--lr=0.1", "--debug"]' in first.out
    again = run(tmp_path, "--sweep_id", first.dir.name, "--wandb-mode", "disabled")
    assert again.code == 0, again.out + again.err
    assert again.summary["best"]["params"] == {"lr": 0.01, "debug": True}
    refused = run(tmp_path, "--sweep-config", "y.yaml", "--config_file", "y.yaml")
    assert refused.code == 2
    assert "add --trainer reid" in refused.err
    assert len(refused.sweeps) == 1


@pytest.mark.parametrize(
    "command",
    [
        ["${env}", "PYTHONPATH=lib", "${interpreter}", "-m"],
        pytest.param(["${interpreter}", "-um"], marks=pytest.mark.slow),
    ],
)
def test_a_sweep_of_a_module_runs_and_is_resumed(tmp_path: Path, command: list[str]) -> None:
    package = tmp_path / ("lib" if "${env}" in command else ".") / "pkg"
    package.mkdir(parents=True)
    (package / "train.py").write_text("from . import extra\n" + PROGRAM)
    (package / "extra.py").touch()
    body = {
        "program": "pkg.train",
        "method": "grid",
        "metric": {"name": "val/loss", "goal": "minimize"},
        "parameters": {"lr": {"values": [0.1, 0.01]}},
        "command": [*command, "${program}", "${args}"],
    }
    first = run(tmp_path, "--sweep-config", write_sweep(tmp_path, body), "--count", "1", "--wandb-mode", "disabled")
    assert first.code == 0, first.out + first.err
    assert f"-{command[-1][1:]} pkg.train --lr=0.1" in first.out  # the line to train with
    again = run(tmp_path, "--sweep_id", first.dir.name, "--wandb-mode", "disabled")
    assert again.code == 0, again.out + again.err
    assert again.summary["best"]["params"] == {"lr": 0.01}
    (package / "train.py").unlink()
    gone = run(tmp_path, "--sweep-config", "y.yaml", "--wandb-mode", "disabled")
    assert (gone.code, len(gone.sweeps)) == (2, 1)
    assert gone.err.startswith("error: program: pkg.train: no module pkg")


@pytest.mark.parametrize(
    "place", ["../other/train.py", pytest.param("{outside}/train.py", marks=pytest.mark.slow), "~/../other/train.py"]
)
def test_a_program_outside_the_folder_runs_and_is_watched(tmp_path: Path, place: str) -> None:
    outside, folder = tmp_path / "other", tmp_path / "here"
    outside.mkdir()
    folder.mkdir()
    (outside / "train.py").write_text(PROGRAM)
    body = {
        "program": place.format(outside=outside),
        "method": "grid",
        "metric": {"name": "val/loss", "goal": "minimize"},
        "parameters": {"lr": {"values": [0.1, 0.01]}},
    }
    first = run(folder, "--sweep-config", write_sweep(folder, body), "--count", "1", "--wandb-mode", "disabled")
    assert first.code == 0, first.out + first.err
    assert "../other/train.py" in json.loads((first.dir / "inputs" / "code.json").read_text())["files"]
    again = run(folder, "--sweep_id", first.dir.name, "--wandb-mode", "disabled")
    assert again.code == 0, again.out + again.err
    assert again.summary["best"]["value"] == 0.0


READS_CONFIG = """\
import json, sys
import wandb
run = wandb.init(config={"lr": 7, "optimizer": None, "batch": 32})
told = json.load(open(sys.argv[1]))
assert told == {"lr": wandb.config["lr"], "optimizer": dict(wandb.config["optimizer"])}, (told, wandb.config)
assert wandb.config["batch"] == 32
print("METRIC " + json.dumps({"val/loss": wandb.config["lr"] + wandb.config["optimizer"]["beta"]}))
run.finish()
"""


def test_a_program_finds_its_parameters_in_wandb_config_and_in_a_json_file(tmp_path: Path) -> None:
    """A W&B program without ${args}: `wandb.init` gives it the sweep's values, nested ones nested."""
    (tmp_path / "train.py").write_text(READS_CONFIG)
    body = {
        "program": "train.py",
        "method": "grid",
        "metric": {"name": "val/loss", "goal": "minimize"},
        "parameters": {"lr": {"values": [0.5, 0.25]}, "optimizer": {"parameters": {"beta": {"value": 1.0}}}},
        "command": ["${interpreter}", "${program}", "${args_json_file}"],
    }
    ran = run(tmp_path, "--sweep-config", write_sweep(tmp_path, body), "--wandb-mode", "disabled")
    assert ran.code == 0, ran.out + ran.err
    assert [trial["value"] for trial in ran.summary["trials"]] == [1.5, 1.25]
    best = ran.summary["best"]
    assert best["params"] == {"lr": 0.25, "optimizer.beta": 1.0}
    again = ran.out.rpartition("train.py ")[2].split()[0]  # the command that trains with the best configuration
    assert json.loads((tmp_path / again).read_text()) == {"lr": 0.25, "optimizer": {"beta": 1.0}}


def run(cwd: Path, *words: str | Path) -> Any:
    return sweep(cwd, *words, trainer=None, config=None)
