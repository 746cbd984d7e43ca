"""Trees that are made by functions, lie in modules, are merged of several, or are no YACS nodes."""

from __future__ import annotations

from pathlib import Path

import pytest

from yacs_sweep.base.errors import ConfigError
from yacs_sweep.trainers.load import load_profile
from yacs_sweep.trainers.schemas.read import read_schema
from yacs_sweep.trainers.schemas.schema import Schema
from yacs_sweep.trainers.schemas.source import SchemaSource

PACKAGE = """\
from yacs.config import CfgNode as CN
_C = CN()
_C.SOLVER = CN()
_C.SOLVER.BASE_LR = 0.1
_C.SOLVER.STEPS = (20, 40)
_C.OUTPUT_DIR = ""

def get_cfg():
    return _C.clone()

def broken_cfg():
    raise RuntimeError("no data root")

class Holder:
    cfg = _C
"""
EXTENSION = """\
from yacs.config import CfgNode as CN

def add_head_config(cfg):
    cfg.MODEL = CN(new_allowed=True)
    cfg.MODEL.NUM_CLASSES = 80

def add_nothing(cfg):
    return None
"""
PLAIN = """\
import argparse
from dataclasses import dataclass, field

class Config:
    lr = 0.1
    class_names = ["a"]
    _hidden = 1
    def method(self):
        return 1

class Child(Config):
    epochs = 10

@dataclass
class Optimizer:
    lr: float = 0.1
    betas: tuple = (0.9, 0.999)

@dataclass
class Settings:
    optimizer: Optimizer = field(default_factory=Optimizer)
    epochs: int = 10

def namespace():
    return argparse.Namespace(lr=0.1, epochs=10)

def nothing():
    return None

TREE = {"train": {"lr": 0.1}, "name": "net"}
"""
LIKE_MMENGINE = """\
import json

class ConfigDict(dict):
    pass

class Config:  # keys of a file, any attribute, new keys are taken
    def __init__(self, data):
        object.__setattr__(self, "_cfg_dict", nodes(data))

    @staticmethod
    def fromfile(filename, use_variables=True):
        with open(filename) as file:
            return Config(json.load(file))

    def __getattr__(self, name):
        return getattr(self._cfg_dict, name)

    def merge_from_dict(self, options):
        raise NotImplementedError

def nodes(data):
    return ConfigDict({k: nodes(v) if isinstance(v, dict) else v for k, v in data.items()})
"""


def read(folder: Path, schema: str, config: Path | None = None) -> Schema:
    (folder / "detector").mkdir(exist_ok=True)
    (folder / "detector" / "__init__.py").write_text("")
    for name, text in (
        ("detector/config.py", PACKAGE),
        ("extension.py", EXTENSION),
        ("plain.py", PLAIN),
        ("like.py", LIKE_MMENGINE),
    ):
        (folder / name).write_text(text)
    path = folder / "p.yaml"
    path.write_text(f"command: [python, t.py]\ncwd: .\nschema: {schema}\n")
    found = read_schema(load_profile(path, project_root=folder), config_file=config)
    assert found is not None
    return found


def refusal(folder: Path, schema: str, config: Path | None = None) -> str:
    with pytest.raises(ConfigError) as caught:
        read(folder, schema, config)
    (problem,) = caught.value.problems
    return problem.replace(f"{folder}/", "")


@pytest.mark.parametrize(
    "schema",
    [
        "detector/config.py:_C",
        "detector/config.py:get_cfg",
        "detector.config:_C",
        "detector.config:get_cfg",
        "detector.config:Holder.cfg",
        "[detector.config:get_cfg, extension.py:add_nothing]",
    ],
)
def test_a_tree_is_found_in_a_file_or_module_and_functions_are_called(tmp_path: Path, schema: str) -> None:
    found = read(tmp_path, schema)
    assert dict(found.values) == {"SOLVER.BASE_LR": 0.1, "SOLVER.STEPS": (20, 40), "OUTPUT_DIR": ""}
    assert (found.key_problem("SOLVER.BASELR") or "").endswith("; did you mean SOLVER.BASE_LR?")


def test_the_configuration_file_is_merged_into_what_a_function_makes(tmp_path: Path) -> None:
    config = tmp_path / "c.yaml"
    config.write_text("SOLVER: {BASE_LR: 0.5}\n")
    assert read(tmp_path, "detector.config:get_cfg", config).values["SOLVER.BASE_LR"] == 0.5


def test_further_functions_add_to_the_tree(tmp_path: Path) -> None:
    found = read(tmp_path, "[detector.config:get_cfg, extension.py:add_head_config]")
    assert (found.values["MODEL.NUM_CLASSES"], found.values["SOLVER.BASE_LR"]) == (80, 0.1)
    assert "MODEL.NUM_CLASSES" not in read(tmp_path, "detector.config:get_cfg").values
    config = tmp_path / "c.yaml"
    config.write_text("MODEL: {NEW: 1}\n")  # where the tree allows new keys
    found = read(tmp_path, "[detector.config:get_cfg, extension.py:add_head_config]", config)
    assert found.values["MODEL.NEW"] == 1


@pytest.mark.parametrize(
    ("schema", "values"),
    [
        ("plain.py:TREE", {"train.lr": 0.1, "name": "net"}),
        ("plain.py:Config", {"lr": 0.1, "class_names": ["a"]}),
        ("plain:Child", {"lr": 0.1, "class_names": ["a"], "epochs": 10}),
        ("plain.py:Settings", {"optimizer.lr": 0.1, "optimizer.betas": (0.9, 0.999), "epochs": 10}),
        ("plain.py:namespace", {"lr": 0.1, "epochs": 10}),
    ],
)
def test_trees_of_other_kinds(tmp_path: Path, schema: str, values: dict[str, object]) -> None:
    found = read(tmp_path, schema)
    assert dict(found.values) == values
    assert found.open == frozenset()
    with pytest.raises(ValueError, match="is not a number"):
        found.convert(next(key for key in values if key.endswith("lr")), "fast")


def test_a_tree_of_omegaconfs(tmp_path: Path) -> None:
    pytest.importorskip("omegaconf", reason="OmegaConf is not installed (requirements-dev.txt)")
    text = "from omegaconf import OmegaConf\ntree = OmegaConf.create({'a': {'lr': 0.1, 'root': '???'}, 'same': '${a.lr}'})\n"
    (tmp_path / "omega.py").write_text(text)
    assert dict(read(tmp_path, "omega.py:tree").values) == {"a.lr": 0.1, "a.root": "???", "same": "${a.lr}"}


def test_a_function_that_needs_the_configuration_file_is_given_it(tmp_path: Path) -> None:
    config = tmp_path / "c.json"
    config.write_text('{"optim": {"lr": 0.1, "steps": [1, 2]}, "epochs": 10}')
    found = read(tmp_path, "like:Config.fromfile", config)
    assert dict(found.values) == {"optim.lr": 0.1, "optim.steps": [1, 2], "epochs": 10}
    assert found.key_problem("optim.momentum") is None and found.key_problem("optim.lr.x") is not None
    assert "like:Config.fromfile needs the configuration file; give --config_file" in refusal(
        tmp_path, "like:Config.fromfile"
    )


@pytest.mark.parametrize(
    ("schema", "message"),
    [
        ("detector.config:_D", "AttributeError: detector.config has no attribute '_D'; there is _C and get_cfg"),
        ("detector.config:Holder.cgf", "AttributeError: detector.config has no attribute 'Holder.cgf'"),
        ("detector/config.py:broken_cfg", "RuntimeError: no data root (detector/config.py:12)"),
        ("detector.configs:_C", "ModuleNotFoundError: No module named 'detector.configs'; --python PATH names"),
        ("detector/configs.py:_C", "FileNotFoundError: there is no file detector/configs.py in "),
        ("plain.py:nothing", "TypeError: nothing is a NoneType, not a YACS tree"),
        ("'[detector.config:get_cfg]'", "is not FILE.py:NAME, such as configs/defaults.py:_C, nor module:NAME"),
        ("[]", "names no tree; write FILE.py:NAME"),
        ("[detector.config:get_cfg, 3]", "3 is not FILE.py:NAME"),
        ("argparse", "'argparse' is not FILE.py:NAME"),
        ("{config_path: conf, config_name: config}", "a mapping is for a trainer of Hydra's, and overrides is 'yacs'"),
    ],
)
def test_a_tree_that_cannot_be_had_is_one_line(tmp_path: Path, schema: str, message: str) -> None:
    problem = refusal(tmp_path, schema)
    assert "\n" not in problem and message in problem


def test_a_source_is_shown_as_it_is_written() -> None:
    assert str(SchemaSource("tree", ("a.py:_C",))) == "a.py:_C"
    assert SchemaSource("tree", ("a.py:_C", "m:add")).files == ["a.py"]
