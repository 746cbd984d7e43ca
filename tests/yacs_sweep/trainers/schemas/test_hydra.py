"""Hydra trainers: keys, types and groups are checked, and our word is Hydra's own."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from yacs_sweep.base.errors import ConfigError
from yacs_sweep.trainers.load import load_profile
from yacs_sweep.trainers.overrides import Overrides
from yacs_sweep.trainers.schemas.hydra import HydraSchema
from yacs_sweep.trainers.schemas.read import read_schema
from yacs_sweep.trainers.schemas.schema import Schema

pytest.importorskip("hydra", reason="Hydra is not installed (requirements-dev.txt)")
SCRIPT = Path(__file__).resolve().parents[4] / "yacs_sweep" / "trainers" / "inside" / "print_hydra.py"
APP = """\
import hydra
from dataclasses import dataclass, field
from enum import Enum
from typing import Dict, List, Optional
from omegaconf import MISSING, OmegaConf
from hydra.core.config_store import ConfigStore

class Colour(Enum):
    RED = 1
    BLUE = 2

@dataclass
class Optimizer:
    lr: float = 0.1
    betas: List[float] = field(default_factory=lambda: [0.9, 0.99])
    colour: Colour = Colour.RED
    warmup: Optional[int] = None
    steps: int = 3
    extra: Dict[str, int] = field(default_factory=dict)
    name: str = MISSING

@dataclass
class Settings:
    optimizer: Optimizer = field(default_factory=Optimizer)
    epochs: int = 3
    flag: bool = False

ConfigStore.instance().store(name="settings", node=Settings)
OmegaConf.register_new_resolver("double", lambda number: 2 * number)

@hydra.main(version_base=None, config_path="conf", config_name="config")
def main(config):
    open("trained", "w")

if __name__ == "__main__":
    main()
"""
FILES = {
    "train.py": APP,
    "conf/config.yaml": (
        "defaults: [{model: resnet}, _self_]\nlr: 0.1\nepochs: 10\nname: run\nroot: ???\ncopy: ${lr}\n"
        "twice: ${double:${lr}}\nsteps: [1, 2]\nnone: null\nflag: false\nfree: {}\n"
    ),
    "conf/typed.yaml": "defaults: [settings, _self_]\nepochs: 5\n",
    "conf/model/resnet.yaml": "depth: 18\nwidth: 1.0\n",
    "conf/model/vit.yaml": "depth: 12\nheads: 8\n",
    "conf/db/mysql.yaml": "host: a\n",
}


@pytest.fixture
def app(tmp_path: Path) -> Path:
    for name, text in FILES.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    return tmp_path


def overrides(app: Path, path: str = "conf", name: str = "config", more: str = "") -> Overrides:
    profile = app / "p.yaml"
    profile.write_text(
        f"command: [python, train.py]\ncwd: .\noverrides: hydra\noutput_dir_key: hydra.run.dir\n"
        f"schema: {{config_path: {path}, config_name: {name}}}\n{more}"
    )
    loaded = load_profile(profile, project_root=app)
    return Overrides(loaded, read_schema(loaded))


def verdicts(app: Path, name: str, words: list[str], path: str = "conf") -> list[bool]:
    """Hydra's own: whether it composes the configuration with each word."""
    program = (
        "import sys, hydra, train\n"
        "name, path, *words = sys.argv[1:]\n"
        "for word in words:\n"
        "    try:\n"
        "        with hydra.initialize_config_dir(path, version_base=None):\n"
        "            hydra.compose(name, [word])\n"
        "        print(1)\n"
        "    except Exception:\n"
        "        print(0)\n"
    )
    command = [sys.executable, "-c", program, name, str(app / path), *words]
    ran = subprocess.run(command, cwd=app, capture_output=True, text=True, check=True)
    return [line == "1" for line in ran.stdout.split()]


UNTYPED: list[tuple[str, Any]] = [
    ("lr", 0.5),
    ("lr", 1),
    ("+lr", 1),
    ("++lr", 1),
    ("new", 1),
    ("+new", 1),
    ("model", "vit"),
    ("model", "x"),
    ("model", 3),
    ("+model", "vit"),
    ("++model", "vit"),
    ("db", "mysql"),
    ("+db", "mysql"),
    ("+db", "other"),
    ("++db", "mysql"),
    ("+model.heads", 3),
    ("steps", [3]),
    ("steps.0", 3),
    ("epochs", None),
    ("copy", 3),
    ("root", "/data"),
    ("free.x", 3),
    ("+free.x", 3),
    ("lr.x", 3),
    ("name", 3),
    ("hydra.job.name", "x"),
]
TYPED: list[tuple[str, Any]] = [
    ("optimizer.lr", 1),
    ("optimizer.lr", "fast"),
    ("optimizer.lr", True),
    ("optimizer.steps", 2),
    ("optimizer.steps", 1.5),
    ("optimizer.steps", None),
    ("optimizer.warmup", None),
    ("optimizer.colour", "BLUE"),
    ("optimizer.colour", "GREEN"),
    ("optimizer.colour", "red"),
    ("optimizer.extra.a", 1),
    ("+optimizer.extra.a", 1),
    ("optimizer.betas", [0.5, 1]),
    ("optimizer.betas", ["a"]),
    ("optimizer.betas", None),
    ("optimizer.name", "x"),
    ("optimizer.name", ["x"]),
    ("optimizer.name", None),
    ("flag", True),
    ("flag", "x"),
    ("flag", None),
    ("epochs", "3"),
    ("lr", 0.1),
    ("+anything", 1),
]


@pytest.mark.parametrize(("name", "cases"), [("config", UNTYPED), ("typed", TYPED)])
def test_our_word_is_hydras_own(app: Path, name: str, cases: list[tuple[str, Any]]) -> None:
    checks = overrides(app, name=name)
    bare = Overrides(checks.profile)
    words = [bare.arguments({key: value})[0] for key, value in cases]
    ours = [not checks.check(key, [value]) for key, value in cases]
    theirs = verdicts(app, name, words)
    assert dict(zip(words, ours, strict=True)) == dict(zip(words, theirs, strict=True))


@pytest.mark.parametrize(("name", "cases"), [("config", UNTYPED), ("typed", TYPED)])
def test_what_we_pass_is_taken(app: Path, name: str, cases: list[tuple[str, Any]]) -> None:
    checks = overrides(app, name=name)
    words = [checks.arguments({key: value})[0] for key, value in cases if not checks.check(key, [value])]
    assert len(words) > 8 and all(verdicts(app, name, words))


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("lrr", 1, "lrr: no such key in conf:config; did you mean lr?; +lrr adds it"),
        ("model.dept", 1, "model.dept: no such key in conf:config; did you mean model.depth?; +model.dept adds it"),
        ("model", "vitt", "model: 'vitt' is not in the group; did you mean vit?; there is resnet, vit"),
        ("+lr", 1, "+lr: is in the configuration already; write lr"),
        ("db", "mysql", "db: is a group that is not in the defaults list; +db adds it"),
        ("free", 1, "free: is a section"),
        ("lr", "fast", "lr: 'fast' is not a number (the default is 0.1)"),
        ("flag", 3, "flag: 3 is not true or false (the default is false)"),
        ("steps", 3, "steps: 3 is not a list (the default is [1, 2])"),
    ],
)
def test_a_mistake_is_told_with_what_is_meant(app: Path, key: str, value: Any, message: str) -> None:
    (problem,) = overrides(app).check(key, [value])
    assert problem.startswith(message)


def test_values_get_the_declared_type(app: Path) -> None:
    typed, untyped = overrides(app, name="typed"), overrides(app)
    assert repr(typed.convert("optimizer.lr", 1)) == "1.0"
    assert repr(typed.convert("optimizer.steps", 2.0)) == "2"
    assert repr(untyped.convert("lr", "1e-3")) == "0.001"  # a text of a sweep file, which YAML takes for no number
    assert repr(untyped.convert("epochs", 1.5)) == "1.5"  # no type is declared


def test_a_lenient_trainer_takes_any_type_where_none_is_declared(app: Path) -> None:
    checks = overrides(app, more="lenient: true\n")
    assert checks.convert("epochs", "auto") == "auto"


def test_keys_of_another_choice_are_known(app: Path) -> None:
    checks = overrides(app)
    assert checks.check("model.heads", [4]) == []
    assert checks.check("db.host", ["b"]) == []
    assert checks.check("model.heads", ["many"]) == ["model.heads: 'many' is not a number (the default is 8)"]


def test_words_of_the_command_count(app: Path) -> None:
    path = app / "q.yaml"
    path.write_text(
        "command: [python, train.py, model=vit]\ncwd: .\noverrides: hydra\n"
        "schema: {config_path: conf, config_name: config.yaml}\n"
    )
    schema = read_schema(load_profile(path, project_root=app))
    assert schema is not None and schema.values["model.depth"] == 12


def test_dataclasses_of_the_config_store_need_no_folder(app: Path) -> None:
    checks = overrides(app, path="null", name="settings")
    assert checks.check("optimizer.lr", [0.5]) == []
    assert checks.check("optimizer.lrr", [0.5])[0].startswith("optimizer.lrr: no such key in ConfigStore:settings")
    assert not (app / "trained").exists(), "the script is imported, not executed"


def test_a_script_that_calls_its_function_when_imported_does_not_train(app: Path) -> None:
    (app / "train.py").write_text(APP.replace('if __name__ == "__main__":\n    main()', "main()"))
    assert overrides(app, path="null", name="settings").check("epochs", [2]) == []
    assert not (app / "trained").exists()


def test_the_folder_is_found_beside_the_script_first(app: Path) -> None:
    (app / "tools").mkdir()
    (app / "tools" / "train.py").write_text(APP)
    (app / "tools" / "conf").mkdir()
    (app / "tools" / "conf" / "config.yaml").write_text("mine: 1\n")
    path = app / "q.yaml"
    text = "command: [python, tools/train.py]\ncwd: .\noverrides: hydra\n"
    for folder, key in (("conf", "mine"), ("../conf", "lr")):
        path.write_text(f"{text}schema: {{config_path: {folder}, config_name: config}}\n")
        schema = read_schema(load_profile(path, project_root=app))
        assert schema is not None and key in schema.values


def test_a_schema_goes_to_agents_whole(app: Path) -> None:
    schema = overrides(app).schema
    assert isinstance(schema, HydraSchema)
    again = Schema.unpack(schema.packed())
    assert again == schema and again.key_problem("lrr") is not None


def test_a_key_that_must_be_given_is_found(app: Path) -> None:
    schema = overrides(app).schema
    assert isinstance(schema, HydraSchema)
    assert list(schema.unset([], [])) == [("root", "??? in conf:config")]
    assert list(schema.unset(["root=/data"], [])) == list(schema.unset([], ["root"])) == []


@pytest.mark.parametrize(
    ("path", "name", "message"),
    [
        ("conf", "other", "MissingConfigException: Cannot find primary config 'other'"),
        ("cnf", "config", "FileNotFoundError: there is no folder "),
        ("conf", "broken", "broken.yaml"),
    ],
)
def test_a_configuration_that_cannot_be_composed_is_one_line(app: Path, path: str, name: str, message: str) -> None:
    (app / "conf" / "broken.yaml").write_text("a: [1\n")
    with pytest.raises(ConfigError) as caught:
        overrides(app, path, name)
    (problem,) = caught.value.problems
    assert message in problem and "\n" not in problem


@pytest.mark.parametrize(
    "schema",
    ["{config_path: conf}", "{config_name: [a]}", "{config_name: a, config: b}", "train.py:Settings", "argparse"],
)
def test_a_schema_that_is_none_of_hydras_is_refused(app: Path, schema: str) -> None:
    path = app / "q.yaml"
    path.write_text(f"command: [python, train.py]\ncwd: .\noverrides: hydra\nschema: {schema}\n")
    with pytest.raises(
        ConfigError, match=r"q.yaml:4:\d+: schema: .*write .*\{config_path: conf, config_name: config\}"
    ):
        load_profile(path, project_root=app)


def test_the_reader_runs_on_python_3_7() -> None:
    ast.parse(SCRIPT.read_text(), feature_version=(3, 7))


def test_words_for_every_trial_are_checked(app: Path) -> None:
    checks = overrides(app)
    fine = ["lr=1e-3", "+new=x", "~db", "steps=[3]", "name=${lr}", "--multirun", "model=vit", "hydra.job.name=x"]
    assert checks.parse_trailing(fine) == (
        fine,
        {"lr": 0.001, "+new": "x", "model": "vit", "hydra.job.name": "x"},
    )
    with pytest.raises(ConfigError) as error:
        checks.parse_trailing(["lrr=1", "lr=many", "model=nowhere", "flag=true"])
    unknown, kind, choice = error.value.problems
    assert unknown.startswith("lrr: no such key in") and "did you mean lr" in unknown
    assert kind.startswith("lr: 'many' is not a number")
    assert choice.startswith("model: 'nowhere' is not in the group")
