"""The lines a report gives to repeat a sweep: the launcher understands them, and they say the same again."""

from __future__ import annotations

import dataclasses
import json
import shlex
from pathlib import Path
from typing import Any

import pytest

from tests.report_sweeps import in_memory, spec_of, trial, write_sweep
from yacs_sweep.base.command_line import COMMAND
from yacs_sweep.launch.options.read import parse
from yacs_sweep.launch.options.table import Options
from yacs_sweep.records.folder import SweepPaths
from yacs_sweep.records.launch_file import LaunchFile
from yacs_sweep.show.report import remote, repeat, source
from yacs_sweep.show.report.data import read_local
from yacs_sweep.show.report.repeat import commands
from yacs_sweep.trainers.load import load_profile


def launched(base: Path, **changes: Any) -> SweepPaths:
    """A sweep whose launch.json says so."""
    paths = write_sweep(base, "abcd1234", 3, 20)
    dataclasses.replace(LaunchFile.load(paths), **changes).save(paths)
    return paths


def again(paths: SweepPaths) -> tuple[str, Options]:
    """What the first line does, and the options the launcher takes it for."""
    what, line = commands(read_local(paths))[0]
    words = shlex.split(line)
    assert words[:3] == ["cd", str(LaunchFile.load(paths).cwd), "&&"]
    python, script = words[3:5]
    assert (Path(python).name, Path(script)) == (Path(COMMAND[0]).name, Path(COMMAND[1]).absolute())
    assert Path(python).is_absolute() or python == "python"
    return what, parse(words[5:])


def test_every_line_runs_wherever_it_is_typed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A page is read in another folder than the one that it was made in."""
    project = tmp_path / "project"
    paths = write_sweep(project, "abcd1234", 12, 20)
    dataclasses.replace(LaunchFile.load(paths), cwd=str(project)).save(paths)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(repeat, "COMMAND", ("venv/bin/python", "code/tools/sweep.py"))
    lines = [line for _, line in commands(read_local(SweepPaths(Path("project"), "abcd1234")))]
    assert "--sweep-config" in lines[0] and "--train-best" in lines[1]
    for line in lines[:2]:
        words = shlex.split(line)
        assert words[:5] == ["cd", str(project), "&&", f"{tmp_path}/venv/bin/python", f"{tmp_path}/code/tools/sweep.py"]
    assert f"--sweep-config {project}/sweep/abcd1234/sweep.yaml" in lines[0]


def test_the_line_has_all_that_the_launch_had(tmp_path: Path) -> None:
    trailing = ("SOLVER.MARGIN", "-2", "--lr=0.1", "A.B", "a b")
    paths = launched(
        tmp_path, config_file="/c.yml", trainer="/t.yaml", python="/venv/bin/python", trailing=trailing, keep="best",
        wandb_mode="disabled", words=("--workers", "2"),
    )  # fmt: skip
    what, options = again(paths)
    assert what == "The sweep again"
    assert (options.config_file, options.trainer, options.python) == ("/c.yml", "/t.yaml", "/venv/bin/python")
    assert (options.sweep_config, options.count, options.seed) == ([f"{paths.dir}/sweep.yaml"], 3, 7)
    assert (options.controller, options.keep, options.wandb_mode) == ("local", "best", "disabled")
    assert options.trailing == list(trailing)
    assert (options.workers, options.results_dir) == (2, str(tmp_path))
    there = launched(tmp_path / "project", cwd=str(tmp_path / "project"))
    (there.dir / "sweep.yaml").write_text((there.dir / "sweep.yaml").read_text() + "\nresults_dir_base: .\n")
    assert again(there)[1].results_dir is None


def test_a_trainer_with_a_name_is_called_by_it(tmp_path: Path) -> None:
    own = tmp_path / "configs" / "trainers" / "mine.yaml"
    own.parent.mkdir(parents=True)
    own.write_text("command: [x]\n")
    shipped = {name: load_profile(name, project_root=tmp_path).reference for name in ("reid", "torchrun:reid")}
    for reference, named in {**{value: key for key, value in shipped.items()}, str(own): "mine"}.items():
        paths = launched(tmp_path / named, trainer=reference, cwd=str(tmp_path))
        assert (again(paths)[1].trainer or "reid") == named
    below = launched(tmp_path / "below", trainer=str(own), cwd=str(tmp_path / "log"))
    assert again(below)[1].trainer == "mine"
    paths = launched(tmp_path / "elsewhere", trainer=str(own), cwd=str(tmp_path.parent))
    assert again(paths)[1].trainer == str(own)


def test_what_cannot_be_repeated_is_said(tmp_path: Path) -> None:
    paths = launched(tmp_path, storage="postgresql://user:***@host/x")
    (paths.dir / "warm.json").write_text(json.dumps({"enqueue": [{"lr": 1}], "prior": [{"params": {}, "value": 1}]}))
    what, options = again(paths)
    assert options.storage is None
    for text in ("without the points it was given first", "learned from another sweep", "on this machine alone"):
        assert text in what


def test_a_trainer_the_sweep_file_does_not_mean_is_named(tmp_path: Path) -> None:
    found = read_local(launched(tmp_path))
    assert "--trainer" not in commands(found)[0][1]
    found.spec = spec_of(program="fit.py")
    assert "--trainer reid" in commands(found)[0][1]
    found.launch["trainer"] = "(sweep file)"
    assert "--trainer" not in commands(found)[0][1]
    assert not any("--train-best" in line for _, line in commands(found)), "it has no seeds that are known by name"
    assert not repeat.trains_best(found)
    found.spec = spec_of({"seed": {"value": 1}})
    assert repeat.trains_best(found)


def test_a_function_is_repeated_in_python(tmp_path: Path) -> None:
    lines = [line for _, line in commands(read_local(launched(tmp_path, trainer="(function)")))]
    assert "Sweep.open('abcd1234')" in lines[0]
    compile(lines[0], "lines", "exec")
    assert not any("(function)" in line or "--train-best" in line for line in lines)


def test_what_the_wandb_server_does_not_know_is_read_from_the_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_sweep(tmp_path, "abcd1234", 3, 20)
    there = in_memory([trial(0, {"base_lr": 1e-3, "optimizer": "sgd"}, 3.0)], spec_of({"base_lr": {"value": 1}}))
    monkeypatch.setattr(remote, "read_remote", lambda path, project, entity, known: there)
    found, _ = source.read("abcd1234", results_dir=str(tmp_path), source="wandb")
    momentum = found.declared("momentum")
    assert momentum is not None and momentum.parent == "optimizer"
