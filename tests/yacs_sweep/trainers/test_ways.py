"""Trainers that take parameters otherwise than as words: a merged file, variables, JSON; and a profile's placeholders."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from yacs.config import CfgNode

from yacs_sweep.base.errors import ConfigError
from yacs_sweep.trainers.load import load_profile
from yacs_sweep.trainers.overrides import Overrides
from yacs_sweep.trainers.schemas.read import read_schema
from yacs_sweep.trainers.ways.start import Start, describe_start, given_file, write_given

FILE = 'command: [t, "{config_file}"]\noverrides: file\noutput_dir_key: OUT\naliases: {lr: optim.lr}\n'
BASE = "optim: {lr: 1, eps: 1e-8}\nname: x\nlayers: [{size: 1}, {size: 2}]\nnothing:\n"


def of(folder: Path, profile: str, base: str = BASE, name: str = "base.yml") -> Overrides:
    (folder / "p.yaml").write_text(profile)
    (folder / name).write_text(base)
    found = load_profile(folder / "p.yaml", project_root=folder)
    return Overrides(found, read_schema(found, config_file=folder / name))


def start(overrides: Overrides, folder: Path, params: dict[str, Any], **more: Any) -> Start:
    settings: dict[str, Any] = {"config_file": str(folder / "base.yml"), "gpu_ids": (), "trailing": (), "seed": None}
    trial = folder / "sweep" / "trial"
    trial.mkdir(parents=True, exist_ok=True)
    settings |= {"python": "py", "output_dir": str(trial), "trial_id": "T", **more}
    return describe_start(overrides, params=params, **settings)


def written(overrides: Overrides, folder: Path, made: Start, gpus: tuple[str, ...] = ()) -> Path:
    trial = folder / "sweep" / "trial"
    write_given(overrides, made.given, gpus, trial, folder / "sweep")
    (path,) = trial.iterdir()
    return path


def mistakes(folder: Path, profile: str) -> list[str]:
    (folder / "p.yaml").write_text(profile)
    with pytest.raises(ConfigError) as caught:
        load_profile(folder / "p.yaml", project_root=folder)
    return [problem.replace(str(folder / "p.yaml"), "FILE") for problem in caught.value.problems]


def test_a_trial_gets_a_file_of_its_own(tmp_path: Path) -> None:
    overrides = of(tmp_path, FILE)
    made = start(overrides, tmp_path, {"lr": 0.1, "layers.1.size": 5, "nothing": [1, 2]}, trailing=["name", "'1'"])
    path = written(overrides, tmp_path, made)
    assert made.words == ["t", str(path)]
    assert yaml.safe_load(path.read_text()) == {
        "optim": {"lr": 0.1, "eps": "1e-8"},
        "name": "1",
        "layers": [{"size": 1}, {"size": 5}],
        "nothing": [1, 2],
        "OUT": str(path.parent),
    }


def test_json_stays_json(tmp_path: Path) -> None:
    overrides = of(tmp_path, FILE, '{\n\t"optim": {"lr": 0.5}}', "base.json")
    made = start(overrides, tmp_path, {"lr": 1}, config_file=str(tmp_path / "base.json"))
    path = written(overrides, tmp_path, made)
    assert path.suffix == ".json"
    content = json.loads(path.read_text())
    assert repr(content["optim"]["lr"]) == "1.0"  # of the type the file has


def test_a_yacs_trainer_reads_the_file_as_it_reads_words(tmp_path: Path) -> None:
    tree = "from yacs.config import CfgNode as C\n_C = C({'NAME': 'x', 'STEPS': (1, 2), 'LR': 0.1, 'OUT': ''})\n"
    (tmp_path / "tree.py").write_text(tree)
    profile = FILE.replace("{lr: optim.lr}", "{lr: LR}") + "schema: tree.py:_C\n"
    overrides = of(tmp_path, profile, "NAME: y\n")
    path = written(overrides, tmp_path, start(overrides, tmp_path, {"lr": 1, "NAME": "'10'", "STEPS": [3]}))
    node = CfgNode({"NAME": "x", "STEPS": (1, 2), "LR": 0.1, "OUT": ""})
    node.merge_from_file(str(path))
    assert (node.NAME, node.STEPS, repr(node.LR), node.OUT) == ("10", (3,), "1.0", str(path.parent))


@pytest.mark.parametrize(
    ("name", "problem"),
    [
        ("optim.lrr", "did you mean optim.lr?"),
        ("optim", "is a section; name one of its keys: optim.lr, optim.eps"),
        ("OUT", "is set by the launcher itself"),
        ("layers.2.size", "no such key"),
    ],
)
def test_keys_are_those_of_the_file(tmp_path: Path, name: str, problem: str) -> None:
    (found,) = of(tmp_path, FILE).check(name, [1])
    assert problem in found


@pytest.mark.parametrize(
    ("name", "value", "problem"),
    [
        ("lr", "high", "'high' is not a number (the file has 1)"),
        ("layers.0.size", [1], "[1] is not a number (the file has 1)"),
        ("amp", "maybe", "'maybe' is not true or false (the file has true)"),
        ("steps", 3, "3 is not a list (the file has [20, 40])"),
    ],
)
def test_values_have_the_kind_of_the_files(tmp_path: Path, name: str, value: Any, problem: str) -> None:
    base = BASE + "amp: true\nsteps: [20, 40]\n"
    (found,) = of(tmp_path, FILE, base).check(name, [value])
    assert found.endswith(problem)
    assert of(tmp_path, FILE + "lenient: true\n", base).check(name, [value]) == []


@pytest.mark.parametrize(
    ("name", "value", "taken"),
    [
        ("lr", 0.5, 0.5),  # 1 in the file may stand for a number of either kind
        ("lr", "0.5", 0.5),
        ("amp", "off", False),
        ("amp", None, None),
        ("steps", "[1, 2]", [1, 2]),
        ("name", 3.5, 3.5),
        ("nothing", "any", "any"),
    ],
)
def test_values_that_the_files_kind_can_hold_are_taken(tmp_path: Path, name: str, value: Any, taken: Any) -> None:
    overrides = of(tmp_path, FILE, BASE + "amp: true\nsteps: [20, 40]\n")
    found = overrides.convert(name, value)
    assert (found, type(found)) == (taken, type(taken))


def test_new_keys_are_added_where_the_trainer_takes_them(tmp_path: Path) -> None:
    assert "`new_keys: true`" in of(tmp_path, FILE).check("optim.beta", [1])[0]
    overrides = of(tmp_path, FILE + "new_keys: true\n")
    assert overrides.check("optim.beta.first", [1]) == []
    assert "is a section" in overrides.check("optim", [1])[0]
    path = written(overrides, tmp_path, start(overrides, tmp_path, {"optim.beta.first": 1}))
    assert yaml.safe_load(path.read_text())["optim"]["beta"] == {"first": 1}


def test_included_keys_are_known_and_found_from_the_trials_folder(tmp_path: Path) -> None:
    (tmp_path / "more").mkdir()
    (tmp_path / "more" / "b.yml").write_text("optim: {wd: 0.1}\n")
    overrides = of(tmp_path, FILE, "_BASE_: more/b.yml\noptim: {lr: 1.0}\n")
    assert overrides.check("optim.wd", [0.5]) == []
    path = written(overrides, tmp_path, start(overrides, tmp_path, {"optim.wd": 0.5}))
    assert (path.parent / yaml.safe_load(path.read_text())["_BASE_"]).samefile(tmp_path / "more" / "b.yml")


def test_a_configuration_that_cannot_be_merged_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="merges YAML and JSON files"):
        of(tmp_path, FILE, "a = 1", "base.py")
    with pytest.raises(ConfigError, match="is no JSON file"):
        of(tmp_path, FILE, "{", "base.json")


def test_gpus_are_in_the_file_and_not_kept(tmp_path: Path) -> None:
    overrides = of(tmp_path, FILE + "gpu_key: gpus\n")
    made = start(overrides, tmp_path, {"lr": 0.1}, gpu_ids=("4", "5"))
    assert made.given["overrides"] == ["optim.lr", "0.1"]
    path = written(overrides, tmp_path, made, ("4", "5"))
    assert yaml.safe_load(path.read_text())["gpus"] == "4,5"
    shown = given_file(overrides, made, ("4", "5"), "/o")
    assert shown is not None and shown.endswith("base.yml with optim.lr 0.1, gpus '4,5', OUT '/o'")


def test_variables_have_a_prefix_or_a_name_in_the_profile(tmp_path: Path) -> None:
    profile = "command: [t]\noverrides: env\noutput_dir_key: OUT\naliases: {lr: LEARNING_RATE}\n"
    overrides = of(tmp_path, profile)
    assert "add `aliases: {LD_PRELOAD: VARIABLE}` or `env_prefix: HP_`" in overrides.check("LD_PRELOAD", ["x.so"])[0]
    overrides = of(tmp_path, profile + "env_prefix: HP_\n")
    params = {"lr": 1e-05, "steps": [1, 2], "amp": True, "name": "a b", "none": None, "text": "10"}
    made = start(overrides, tmp_path, params, trailing=["HP_mode", "fast"])
    assert made.words == ["t"]
    assert made.variables == {
        "HP_mode": "fast",
        "LEARNING_RATE": "1e-05",
        "HP_steps": "[1, 2]",
        "HP_amp": "True",
        "HP_name": "a b",
        "HP_none": "None",
        "HP_text": "10",
        "OUT": str(tmp_path / "sweep" / "trial"),
    }
    assert overrides.parse_trailing(["mode", "fast", "lr", "1"])[0] == ["HP_mode", "fast", "LEARNING_RATE", "1"]
    for name in ("WANDB_MODE", "CUDA_VISIBLE_DEVICES"):
        with pytest.raises(ConfigError, match="not a parameter name"):
            of(tmp_path, f"command: [t]\noverrides: env\naliases: {{x: {name}}}\n")


def test_json_is_a_word_or_a_file(tmp_path: Path) -> None:
    profile = 'command: [t, "{params_json}", "{params_file}"]\noverrides: json\noutput_dir_key: run.out\n'
    overrides = of(tmp_path, profile)
    params = {"optim.lr": 0.1, "optim.steps": [1, "1"], "text": "10", "none": None, "nested": {"a": [True]}}
    made = start(overrides, tmp_path, params)
    path = written(overrides, tmp_path, made)
    expected = {
        "optim": {"lr": 0.1, "steps": [1, "1"]},
        "text": "10",
        "none": None,
        "nested": {"a": [True]},
        "run": {"out": str(path.parent)},
    }
    assert made.words[0] == "t" and made.words[2] == str(path)
    assert json.loads(made.words[1]) == json.loads(path.read_text()) == expected


def test_what_a_way_needs_is_said_with_its_line(tmp_path: Path) -> None:
    assert (
        "FILE:2:1: overrides: file needs {config_file} in the command"
        in mistakes(tmp_path, "command: [t]\noverrides: file\n")[0]
    )
    found = mistakes(tmp_path, "command: [t, '{params_file}']\noverrides: env\nnew_keys: true\noverrides_option: --x\n")
    assert [line.split(":")[1] for line in found] == ["3", "1", "4"]
    found = mistakes(tmp_path, "command: [t]\noverrides: json\nenv_prefix: HP_\nenv: {A: '{sed}'}\n")
    assert "unknown placeholder {sed}; did you mean seed?; allowed: {config_file}, {output_dir}, " in "".join(found)
    assert len(found) == 3


def test_placeholders_are_valid_where_nothing_is_given(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    profile = "command: [t, 'gpus={gpu_ids}', 'seed={seed}']\nenv: {WHERE: '{output_dir}/{trial_id}', FIXED: x}\n"
    overrides = of(tmp_path, profile)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    made = start(overrides, tmp_path, {})
    assert made.words == ["t", "gpus=0", "seed=0"]
    assert made.variables == {"WHERE": f"{tmp_path}/sweep/trial/T"}
    assert overrides.profile.fixed_env == {"FIXED": "x"}
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "2,3")
    assert start(overrides, tmp_path, {}, seed=7).words == ["t", "gpus=2,3", "seed=7"]
    assert start(overrides, tmp_path, {}, gpu_ids=("1",)).words[1] == "gpus=1"


def test_the_seed_is_the_points_then_the_words_then_the_launchs(tmp_path: Path) -> None:
    command = "command: [t, '{seed}']\n"
    yacs = of(tmp_path, command + "aliases: {seed: SEED}\n")
    assert start(yacs, tmp_path, {"seed": 5}, trailing=["SEED", "3"], seed=1).words[1] == "5"
    assert start(yacs, tmp_path, {"SEED": 5}, seed=1).words[1] == "5"
    assert start(yacs, tmp_path, {}, trailing=["A", "9", "SEED", "3"], seed=1).words[1] == "3"
    hydra = of(tmp_path, command + "overrides: hydra\naliases: {seed: run.seed}\n")
    assert start(hydra, tmp_path, {}, trailing=["+run.seed=3"], seed=1).words == ["t", "3", "+run.seed=3"]
    alone = of(tmp_path, command)
    assert start(alone, tmp_path, {"seed": 5, "LR": 1}).words == ["t", "5", "LR", "1"]
    assert alone.profile.seed_key == "seed" and of(tmp_path, "command: [t]").profile.seed_key is None
    with pytest.raises(ConfigError, match="--seed sets it for all trials"):
        alone.parse_trailing(["seed", "3"])
