"""The trainer a sweep file names by `program` and `command`, with W&B's macros."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.sweeping import sweep, write_sweep
from yacs_sweep.command import arguments, sweep_profile
from yacs_sweep.errors import ConfigError
from yacs_sweep.overrides import Overrides
from yacs_sweep.spec_model import SweepSpec

WORDS = ["--lr=0.001", "--debug=True", "--quiet=False", "--layers=[1, 2]", "--name=adam", "extra"]
PROGRAM = """\
import json, os, sys
print("ARGV " + json.dumps(sys.argv[1:]))
lr = float(next(word for word in sys.argv if word.startswith("--lr=")).split("=")[1])
print("METRIC " + json.dumps({"epoch": 1, "val/loss": abs(lr - 0.01)}))
"""


@pytest.mark.parametrize(
    ("macro", "expected"),
    [
        ("args", WORDS),
        ("args_no_hyphens", ["lr=0.001", "debug=True", "quiet=False", "layers=[1, 2]", "name=adam", "extra"]),
        ("args_no_boolean_flags", ["--lr=0.001", "--debug", "--layers=[1, 2]", "--name=adam", "extra"]),
        ("args_append_hydra", ["+lr=0.001", "+debug=True", "+quiet=False", "+layers=[1, 2]", "+name=adam", "extra"]),
        (
            "args_override_hydra",
            ["++lr=0.001", "++debug=True", "++quiet=False", "++layers=[1, 2]", "++name=adam", "extra"],
        ),
        (
            "args_no_equals",
            ["--lr", "0.001", "--debug", "True", "--quiet", "False", "--layers", "[1, 2]", "--name", "adam", "extra"],
        ),
    ],
)
def test_macros_of_arguments(macro: str, expected: list[str]) -> None:
    assert arguments(macro, WORDS) == expected


def test_arguments_as_json() -> None:
    (text,) = arguments("args_json", WORDS)
    assert json.loads(text) == {"lr": 0.001, "debug": True, "quiet": False, "layers": [1, 2], "name": "adam"}


def spec(**top: Any) -> SweepSpec:
    return SweepSpec.from_dict({"method": "random", "parameters": {"lr": {"values": [0.1]}}, **top})


def test_command_without_words_is_wandbs_default(tmp_path: Path) -> None:
    (tmp_path / "train.py").touch()
    profile = sweep_profile(spec(program="train.py"), tmp_path)
    words = Overrides(profile).words({"lr": 0.1})
    assert profile.command_line(overrides=words) == ["/usr/bin/env", sys.executable, "train.py", "--lr=0.1"]
    assert profile.command_line(python="/opt/python", overrides=words)[1] == "/opt/python"


def test_other_words_and_variables_of_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATA", "/data/x y")
    command = ["python3", "-m", "mine", "--data=${envvar:DATA}", "${args_no_hyphens}", "--last"]
    words = sweep_profile(spec(command=command), tmp_path).command_line(overrides=["--lr=0.1"])
    assert words == ["python3", "-m", "mine", "--data=/data/x y", "lr=0.1", "--last"]


def test_mistakes_are_told(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"program: absent\.py: no such file in"):
        sweep_profile(spec(program="absent.py"), tmp_path)
    with pytest.raises(ConfigError) as caught:
        sweep_profile(spec(command=["python", "${program}", "${args_json_file}"]), tmp_path)
    assert len(caught.value.problems) == 2


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


def run(cwd: Path, *words: str | Path) -> Any:
    return sweep(cwd, *words, trainer=None, config=None)
