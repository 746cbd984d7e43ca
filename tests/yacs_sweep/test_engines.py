"""Engines without a cluster: what is refused, and the words of the commands."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.sweeping import GRID, ROOT, sweep, write_sweep
from yacs_sweep.engines import engine_settings, launcher_words, problems, shares
from yacs_sweep.engines.ray import Ray
from yacs_sweep.engines.slurm import Slurm, _command
from yacs_sweep.errors import ConfigError
from yacs_sweep.options import parse
from yacs_sweep.results import SweepPaths


def test_settings_are_keys_and_values() -> None:
    assert engine_settings(["gres=gpu:a100:4", "exclusive", "comment=a=b"]) == {
        "gres": "gpu:a100:4",
        "exclusive": "",
        "comment": "a=b",
    }
    with pytest.raises(ConfigError, match="--gres=gpu"):
        engine_settings(["--gres=gpu"])


def test_a_missing_engine_is_said_before_anything_is_created(tmp_path: Path) -> None:
    spec = write_sweep(tmp_path, GRID)
    ran = sweep(tmp_path, "--sweep-config", spec, "--engine", "slurm", env={"PATH": "/nowhere", "HOME": str(tmp_path)})
    assert ran.code == 2
    assert "sbatch" in ran.err and len(ran.err.splitlines()) == 1
    assert not ran.sweeps


def test_a_missing_ray_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(ConfigError, match=r"yacs-sweep\[ray\]"):
        Ray({}, 15.0)


def test_a_missing_slurm_names_its_commands(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(ConfigError, match="sbatch"):
        Slurm({}, 15.0)


def test_several_machines_need_a_database() -> None:
    options = parse(["--engine", "slurm", "--agents", "4"])
    assert "postgresql" in problems(options, "local", None)[0]
    assert problems(options, "local", "postgresql://host/x") == []
    assert problems(options, "wandb", None) == []
    assert problems(parse(["--engine", "slurm"]), "local", None) == []
    assert "--engine" in problems(parse(["--agents", "4"]), "local", None)[0]


def test_the_engines_launchers_are_told_what_this_one_was() -> None:
    defaults = parse([])
    words = ["--engine", "ray", "--count", "9", "--timeout", "60", "--no-preload", "--config_file", "c.yml", "A.B", "1"]
    command = launcher_words(parse(words), defaults, SweepPaths(Path("/r"), "abc"))
    assert command[0] == sys.executable
    assert command[2:] == [
        *("--sweep_id", "abc", "--results_dir", "/r", "--config-file", "c.yml"),
        *("--no-preload", "--timeout", "60.0"),
    ]
    parse(command[2:])


def test_a_count_is_divided_among_launchers_that_do_not_see_each_other() -> None:
    assert shares(10, 4) == [3, 3, 2, 2]
    assert shares(2, 3) == [1, 1, 0]


def test_tasks_of_different_words_know_their_own() -> None:
    assert _command([["a", "b c"], ["a", "b c"]]) == "a 'b c'"
    assert "1) set -- a 2;;" in _command([["a", "1"], ["a", "2"]])


def test_a_launch_without_a_database_does_not_import_sqlalchemy() -> None:
    code = "import sys, yacs_sweep.run, yacs_sweep.plan; sys.exit('sqlalchemy' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False).returncode == 0
