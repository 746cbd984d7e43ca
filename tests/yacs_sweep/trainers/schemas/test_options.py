"""argparse trainers: options, types and choices are read from the parser, and our word is the parser's own."""

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
from yacs_sweep.trainers.schemas.options import OptionSchema
from yacs_sweep.trainers.schemas.read import read_schema
from yacs_sweep.trainers.schemas.schema import Schema

SCRIPT = Path(__file__).resolve().parents[4] / "yacs_sweep" / "trainers" / "inside" / "print_argparse.py"
# A pre-parser for a configuration file in front, as many image classifiers have it.
TRAIN = """\
import argparse
import json

def str2bool(text):
    if text.lower() in ("yes", "true"):
        return True
    if text.lower() in ("no", "false"):
        return False
    raise argparse.ArgumentTypeError("a boolean is due")

first = argparse.ArgumentParser(add_help=False)
first.add_argument("-c", "--config", default="")

def options():
    known, rest = first.parse_known_args()
    parser = argparse.ArgumentParser(parents=[first])
    parser.add_argument("--lr", "--learning-rate", type=float, default=0.1)
    parser.add_argument("-b", "--batch-size", type=int, default=32)
    parser.add_argument("-arch", default="r50", choices=["r18", "r50"])
    parser.add_argument("--layers", type=int, choices=range(1, 5), default=2)
    parser.add_argument("--amp", action="store_true")
    parser.add_argument("--no-aug", dest="aug", action="store_false")
    parser.add_argument("--ema", type=bool, default=True)
    parser.add_argument("--mixup", type=str2bool, default=False)
    parser.add_argument("--steps", nargs="+", type=int, default=[20, 40])
    parser.add_argument("--betas", nargs=2, type=float, default=[0.9, 0.99])
    parser.add_argument("--decay", action=argparse.BooleanOptionalAction, default=True)
    parser.add_argument("--tag", action="append")
    parser.add_argument("-v", "--verbose", action="count", default=0)
    parser.add_argument("--name", default="run")
    parser.add_argument("--extra", type=json.loads, default=None)
    parser.add_argument("--data", default="")
    return parser.parse_args(rest)

if __name__ == "__main__":
    arguments = options()
    print(json.dumps(vars(arguments)))
    open("trained", "w")
"""
CASES: list[tuple[str, Any]] = [
    ("lr", 0.5),
    ("lr", 1),
    ("lr", "1e-3"),
    ("lr", "fast"),
    ("lr", True),
    ("learning-rate", 0.5),
    ("batch-size", 16.0),
    ("batch-size", 16.5),
    ("batch_size", 16),
    ("arch", "r18"),
    ("arch", "r180"),
    ("layers", 3),
    ("layers", 5),
    ("amp", True),
    ("amp", False),
    ("amp", "x"),
    ("no-aug", True),
    ("mixup", True),
    ("mixup", "maybe"),
    ("steps", [1, 2]),
    ("steps", [1.5]),
    ("steps", 3),
    ("steps", []),
    ("betas", [0.5, 0.9]),
    ("betas", [0.5]),
    ("decay", False),
    ("decay", True),
    ("tag", ["a", "b"]),
    ("tag", "a"),
    ("verbose", 2),
    ("name", "x y"),
    ("name", 3),
    ("extra", [1, 2]),
    ("lrr", 1),
    ("epochs", 1),
]


def overrides(folder: Path, text: str = TRAIN, command: str = "python, train.py", more: str = "") -> Overrides:
    (folder / "train.py").write_text(text)
    path = folder / "p.yaml"
    path.write_text(f"command: [{command}]\ncwd: .\noverrides: argparse\nschema: argparse\n{more}")
    profile = load_profile(path, project_root=folder)
    found = Overrides(profile, read_schema(profile))
    assert not (folder / "trained").exists(), "nothing of the training runs"
    return found


def run(folder: Path, words: list[str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "train.py", *words], cwd=folder, capture_output=True, text=True)


@pytest.mark.parametrize(("key", "value"), CASES)
def test_our_word_is_the_parsers_own(tmp_path: Path, key: str, value: Any) -> None:
    checks = overrides(tmp_path)
    problems = checks.check(key, [value])
    if problems:
        plain = Overrides(checks.profile).arguments({key: value})
        assert key == "arch" or run(tmp_path, plain).returncode == 2, "the parser takes what we refuse"
        return
    words = checks.arguments({key: value})
    ran = run(tmp_path, words)
    assert ran.returncode == 0, ran.stderr


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("lrr", 1, "lrr: no such option of train.py; did you mean lr?"),
        ("batch_size", 1, "batch_size: no such option of train.py; did you mean batch-size?"),
        ("lr", "fast", "lr: 'fast' is not a number (the default is 0.1)"),
        ("arch", "r5", "arch: 'r5' is none of r18, r50; did you mean r50?"),
        ("layers", 9, "layers: 9 is none of 1, 2, 3, 4"),
        ("amp", 3, "amp: 3 is not true or false (the default is false)"),
        ("betas", [1], "betas: [1] has 1 value, and --betas takes 2"),
        ("batch-size", None, "batch-size: takes no null (the default is 32)"),
    ],
)
def test_a_mistake_is_told_with_what_is_meant(tmp_path: Path, key: str, value: Any, message: str) -> None:
    assert overrides(tmp_path).check(key, [value]) == [message]


@pytest.mark.parametrize(
    ("key", "value", "words"),
    [
        ("amp", True, ["--amp"]),
        ("amp", False, []),
        ("no-aug", True, ["--no-aug"]),
        ("decay", False, ["--no-decay"]),
        ("ema", False, ["--ema="]),
        ("ema", True, ["--ema=True"]),
        ("steps", [1, 2], ["--steps", "1", "2"]),
        ("steps", 3, ["--steps=3"]),
        ("tag", ["a", "b"], ["--tag=a", "--tag=b"]),
        ("verbose", 2, ["--verbose", "--verbose"]),
        ("arch", "r18", ["-arch=r18"]),
        ("batch-size", 16.0, ["--batch-size=16"]),
    ],
)
def test_a_value_is_written_as_its_option_takes_it(tmp_path: Path, key: str, value: Any, words: list[str]) -> None:
    assert overrides(tmp_path).arguments({key: value}) == words


def test_a_false_that_is_any_text_is_false(tmp_path: Path) -> None:
    ran = run(tmp_path, overrides(tmp_path).arguments({"ema": False, "amp": False, "steps": [7]}))
    assert '"ema": false' in ran.stdout and '"amp": false' in ran.stdout and '"steps": [7]' in ran.stdout


SUBCOMMANDS = """\
import argparse
parser = argparse.ArgumentParser()
parser.add_argument("--seed", type=int)
commands = parser.add_subparsers()
train = commands.add_parser("train")
train.add_argument("--lr", type=float, required=True)
commands.add_parser("test").add_argument("--weights")
parser.parse_args()
open("trained", "w")
"""


def test_the_subcommand_of_the_command_counts(tmp_path: Path) -> None:
    checks = overrides(tmp_path, SUBCOMMANDS, "python, -u, train.py, train")
    assert checks.check("lr", [0.1]) == checks.check("seed", [1]) == []
    assert checks.check("weights", ["x"]) == ["weights: no such option of train.py"]


def test_a_required_option_that_nothing_sets_is_found(tmp_path: Path) -> None:
    schema = overrides(tmp_path, SUBCOMMANDS, "python, train.py, train").schema
    assert isinstance(schema, OptionSchema)
    assert list(schema.unset([], [])) == [("--lr", "train.py requires it")]
    assert list(schema.unset(["--lr=1"], [])) == list(schema.unset([], ["lr"])) == []


def test_the_default_of_an_option_without_a_value_is_that_it_is_not_given(tmp_path: Path) -> None:
    schema = overrides(tmp_path).schema
    assert isinstance(schema, OptionSchema)
    assert (schema.values["no-aug"], schema.values["amp"], schema.values["decay"]) == (False, False, True)


SUBCLASS = """\
import argparse, sys

class DataParser(argparse.ArgumentParser):  # as transformers' HfArgumentParser
    def parse_into_dataclasses(self, args=None):
        namespace, rest = self.parse_known_args(args)
        return namespace

parser = DataParser()
parser.add_argument("--per_device_batch", type=int, default=8)
try:
    parser.parse_into_dataclasses()
except Exception:
    pass
open("trained", "w")
"""


def test_a_parser_of_a_subclass_and_parse_known_args(tmp_path: Path) -> None:
    assert overrides(tmp_path, SUBCLASS).check("per_device_batchs", [1])[0].endswith("did you mean per_device_batch?")


def test_a_module_is_run_as_one(tmp_path: Path) -> None:
    (tmp_path / "pack").mkdir()
    (tmp_path / "pack" / "__init__.py").write_text("")
    (tmp_path / "pack" / "fit.py").write_text("from . import __name__ as above\n" + SUBCLASS)
    assert overrides(tmp_path, command="python, -m, pack.fit").check("per_device_batch", [1]) == []


CLICK = """\
import click

@click.command()
@click.option("--lr", type=float, default=0.1, help="LEARNING rate")
@click.option("--opt", type=click.Choice(["adam", "sgd"]))
@click.option("-b", "--batch-size", type=int, default=3)
@click.option("--amp/--no-amp")
@click.option("--fast", is_flag=True)
def main(**options):
    open("trained", "w")

main()
"""
ABSL = """\
from absl import app, flags
flags.DEFINE_float("lr", 0.1, "rate")
flags.DEFINE_boolean("amp", False, "mixed precision")
flags.DEFINE_enum("opt", "sgd", ["sgd", "adam"], "which")

def main(_):
    open("trained", "w")

app.run(main)
"""


@pytest.mark.parametrize(("library", "text"), [("click", CLICK), ("absl", ABSL)])
def test_the_help_of_other_libraries_is_read(tmp_path: Path, library: str, text: str) -> None:
    pytest.importorskip(library)
    checks = overrides(tmp_path, text)
    cases: list[tuple[str, Any]] = [("lr", 0.5), ("opt", "adam"), ("amp", False), ("amp", True)]
    cases += [("batch-size", 4), ("fast", True), ("fast", False)] if library == "click" else []
    for key, value in cases:
        assert checks.check(key, [value]) == []
        ran = run(tmp_path, checks.arguments({key: value}))
        assert ran.returncode == 0, ran.stderr
    assert checks.check("lrr", [1]) == ["lrr: no such option of train.py; did you mean lr?"]
    assert checks.check("opt", ["adm"]) == [
        f"opt: 'adm' is none of {'adam, sgd' if library == 'click' else 'sgd, adam'}; did you mean adam?"
    ]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("print('no options')\n", "LookupError: train.py has no options: it has no argparse parser"),
        (
            "import missing_package\n",
            "ModuleNotFoundError: No module named 'missing_package' (train.py:1); --python PATH",
        ),
        ("import argparse\n1 / 0\n", "ZeroDivisionError: division by zero (train.py:2)"),
        ("import sys\nsys.exit(3)\n", "SystemExit: 3 (train.py:2)"),
    ],
)
def test_a_parser_that_cannot_be_had_is_one_line(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        overrides(tmp_path, text)
    (problem,) = caught.value.problems
    assert message in problem and "\n" not in problem


def test_a_script_that_never_asks_is_ended(tmp_path: Path) -> None:
    (tmp_path / "train.py").write_text("import time\ntime.sleep(60)\n")
    path = tmp_path / "p.yaml"
    path.write_text("command: [python, train.py]\ncwd: .\noverrides: argparse\nschema: argparse\n")
    with pytest.raises(ConfigError, match="within 1 s; leave `schema` out"):
        read_schema(load_profile(path, project_root=tmp_path), timeout=1)


def test_a_schema_goes_to_agents_whole(tmp_path: Path) -> None:
    schema = overrides(tmp_path).schema
    assert schema is not None and Schema.unpack(schema.packed()) == schema


def test_the_reader_runs_on_python_3_7() -> None:
    ast.parse(SCRIPT.read_text(), feature_version=(3, 7))


@pytest.mark.parametrize(
    ("words", "values"),
    [
        ("--lr 0.5 --epo=3 --amp", {"lr": 0.5, "epochs": 3}),
        ("--steps 1 2 --betas 0.5 0.25 --no-decay", {"steps": [1, 2], "betas": [0.5, 0.25], "decay": False}),
        ("--name=x --tag a --tag b --mixup yes --data /x", {"name": "x", "mixup": "yes", "data": "/x"}),
        ("--learning-rate=0.5", {"lr": 0.5}),
        ("-b 64 --nonsense", {}),  # the schema knows the long form
        ("--lr -1 rest --nonsense", {"lr": -1.0}),
    ],
)
def test_words_for_every_trial_set_options(tmp_path: Path, words: str, values: dict[str, Any]) -> None:
    text = TRAIN.replace("--verbose", "--epochs")
    assert overrides(tmp_path, text.replace('action="count", default=0', "type=int")).parse_trailing(words.split()) == (
        words.split(),
        values,
    )


@pytest.mark.parametrize(
    ("words", "problem"),
    [
        ("--dta=/x --lr 1", "--dta: no such option of train.py; did you mean data?"),
        ("--lr many", "--lr: 'many' is not a number (the default is 0.1)"),
        ("--layers=9", "--layers: 9 is none of 1, 2, 3, 4"),
        ("-arch r51", "-arch: 'r51' is none of r18, r50; did you mean r50?"),
        ("--amp=1", "--amp: takes no value, and is given '1'"),
        ("--lr", "--lr: needs a value"),
        ("--betas 1", "--betas: ['1'] has 1 value, and --betas takes 2"),
    ],
)
def test_wrong_words_for_every_trial_are_refused(tmp_path: Path, words: str, problem: str) -> None:
    with pytest.raises(ConfigError) as error:
        overrides(tmp_path).parse_trailing(words.split())
    assert error.value.problems == [problem]


def test_options_of_a_parser_in_front_are_known(tmp_path: Path) -> None:
    apart = overrides(tmp_path, TRAIN.replace("parents=[first]", ""))
    assert apart.parse_trailing(["--config", "x.yaml", "--lr=1"])[0] == ["--config", "x.yaml", "--lr=1"]
