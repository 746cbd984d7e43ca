"""The parameter `config_file`: each trial is given a configuration file of its own."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.sweeping import TOY, write_sweep
from yacs_sweep.base.errors import ConfigError
from yacs_sweep.launch.options.read import parse
from yacs_sweep.launch.plan.make import make_plan
from yacs_sweep.launch.plan.plan import Plan, new_paths
from yacs_sweep.launch.run import create_folder
from yacs_sweep.records.code.watched import InputWatch

SWEEP = {"method": "grid", "metric": {"name": "val/mAP", "goal": "maximize"}}


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    Path("one.yml").write_text("SOLVER: {BASE_LR: 0.01}\n")
    Path("two.yml").write_text("SOLVER: {BASE_LR: 0.02}\n")


def plan_of(*words: str, trainer: Path = TOY / "toy.yaml", **parameters: object) -> Plan:
    searched = {name: {"values": values} for name, values in parameters.items()}
    file = write_sweep(Path(), {**SWEEP, "parameters": searched})
    return make_plan(parse(["--trainer", str(trainer), "--sweep-config", str(file), "--controller", "local", *words]))


def problems(*words: str, **parameters: object) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        plan_of(*words, **parameters)
    return caught.value.problems


def test_each_trial_is_started_with_its_file(tmp_path: Path) -> None:
    plan = plan_of(config_file=["one.yml", "two.yml"], margin=[0.1, 0.2])
    starts = [plan.trial_start(plan.spec.grid_point(number), tmp_path / "t") for number in range(4)]
    assert [start.words[2] for start in starts] == [
        f"--config_file={tmp_path}/{name}.yml" for name in ("one", "one", "two", "two")
    ]
    assert [start.words[3:] for start in starts] == [
        ["SOLVER.MARGIN", margin, "OUTPUT_DIR", str(tmp_path / "t")] for margin in ("0.1", "0.2") * 2
    ]
    assert plan.count == 4


def test_a_trainer_of_files_alone_merges_the_trials_own(tmp_path: Path) -> None:
    profile = tmp_path / "mine.yaml"
    profile.write_text(
        "command: [python, t.py, '{config_file}']\noverrides: file\noutput_dir_key: OUT\nnew_keys: true\n"
    )
    (tmp_path / "t.py").write_text("")
    plan = plan_of(trainer=profile, **{"config_file": ["one.yml", "two.yml"], "SOLVER.BASE_LR": [1.5]})
    start = plan.trial_start(plan.spec.grid_point(1), tmp_path / "t")
    assert start.given["config_file"] == str(tmp_path / "two.yml")
    assert start.given["overrides"] == ["SOLVER.BASE_LR", "1.5"]


def test_mistakes_are_told_before_anything_starts() -> None:
    Path("three.yml").write_text("SOLVER: {BASE_LRR: 0.02}\n")
    (missing,) = problems(config_file=["one.yml", "none.yml"])
    assert missing == "config_file none.yml: no such file"
    (wrong,) = problems(config_file=["one.yml", "three.yml"])
    assert "three.yml:1:10: SOLVER.BASE_LRR: no such key" in wrong
    (number,) = problems(config_file=["one.yml", 3])
    assert number == "config_file: 3 is not the name of a file"
    (both,) = problems("--config_file", "one.yml", config_file=["one.yml", "two.yml"])
    assert both.startswith("--config_file one.yml: the parameter config_file gives each trial its own; ")
    assert not Path("log").exists()


def test_edits_of_the_files_reach_later_trials_and_are_told() -> None:
    Path("mine.yaml").write_text("command: [python, t.py, '{config_file}']\noverrides: file\nnew_keys: true\n")
    Path("t.py").write_text("")
    Path("base.yml").write_text("SOLVER: {BASE_LR: 0.01}\n")
    Path("two.yml").write_text("_BASE_: base.yml\n")
    plan = plan_of(trainer=Path("mine.yaml"), config_file=["two.yml", "one.yml"])
    paths = new_paths(plan.spec, "abcd1234")
    plan = create_folder(plan, paths)
    assert plan.launch.config_file == str(Path("two.yml").resolve())
    assert not (paths.inputs / "config").exists()
    for name in ("one.yml", "base.yml"):
        Path(name).write_text("SOLVER: {BASE_LR: 0.5}\n")
    watch = InputWatch(paths, Path.cwd())
    assert watch.changed() == ["one.yml", "base.yml"]
    assert watch.look()[1][0].startswith("warning: one.yml, base.yml changed since the sweep began; later trials run")
