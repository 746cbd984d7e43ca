"""A dry run says where keys are not checked, with what to write, and which keys of Hydra's must be given."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from yacs_sweep.base.errors import ConfigError
from yacs_sweep.launch.options.read import parse
from yacs_sweep.launch.plan.dry_run import describe
from yacs_sweep.launch.plan.make import make_plan

NOTE = "keys are not checked: no schema; "
SWEEP = {"method": "grid", "parameters": {"lr": {"values": [0.1, 0.2]}}}


def plan(folder: Path, profile: str | None, *words: str, **keys: object) -> str:
    (folder / "train.py").write_text("TREE = {'lr': 0.1}\n")
    (folder / "sweep.yaml").write_text(yaml.safe_dump({**SWEEP, **keys}))
    trainer = []
    if profile is not None:
        command = "" if "command" in profile else "command: [python, train.py]\n"
        (folder / "mine.yaml").write_text(f"{command}cwd: .\n{profile}")
        trainer = ["--trainer", "mine.yaml"]
    options = parse([*trainer, "--sweep-config", "sweep.yaml", "--controller", "local", *words])
    made = make_plan(options)
    return "\n".join([*made.notes, describe(made)])


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))


@pytest.mark.parametrize(
    ("style", "wanted"),
    [
        ("yacs", "schema: FILE.py:NAME"),
        ("hydra", "schema: {config_path: conf, config_name: config}"),
        ("argparse", "schema: argparse"),
    ],
)
def test_without_a_schema_it_is_said_with_what_to_write(tmp_path: Path, style: str, wanted: str) -> None:
    text = plan(tmp_path, f"overrides: {style}\n")
    assert (
        text.count(f"{NOTE}with `{wanted}` in {tmp_path / 'mine.yaml'} names and types are checked") == 2
    )  # start and dry run


def test_a_sweep_files_own_program_needs_a_profile_for_it(tmp_path: Path) -> None:
    note = f"{NOTE}with `overrides: argparse and schema: argparse` in a profile for the program names and types"
    assert note in plan(tmp_path, None, program="train.py")


def test_a_profile_that_ships_is_extended_for_it(tmp_path: Path) -> None:
    note = f"{NOTE}with `schema: argparse` in a profile that extends argparse names and types are checked"
    assert note in plan(tmp_path, None, "--trainer", "argparse")


def test_with_a_schema_nothing_is_said(tmp_path: Path) -> None:
    assert NOTE not in plan(tmp_path, "schema: train.py:TREE\n")


PARSER = """\
import argparse
parser = argparse.ArgumentParser()
parser.add_argument("--lr", type=float, choices=[0.1, 0.2])
parser.add_argument("--data", required=True)
parser.parse_args()
open("trained", "w")
"""


def test_options_are_checked_before_anything_is_created(tmp_path: Path) -> None:
    (tmp_path / "fit.py").write_text(PARSER)
    profile = "command: [python, fit.py]\noverrides: argparse\nschema: argparse\n"
    before = sorted(tmp_path.rglob("*"))
    parameters = {"lr": {"values": [0.1, 0.3]}, "lrr": {"values": [0.1]}}
    with pytest.raises(ConfigError) as caught:
        plan(tmp_path, profile, parameters=parameters)
    wrong, unknown = caught.value.problems
    assert "sweep.yaml:" in wrong and wrong.endswith("parameters.lr: 0.3 is none of 0.1, 0.2")
    assert unknown.endswith("parameters.lrr: no such option of fit.py; did you mean lr?")
    written = {tmp_path / name for name in ("train.py", "sweep.yaml", "mine.yaml")}
    assert set(tmp_path.rglob("*")) - set(before) == written
    text = plan(tmp_path, profile)
    assert "warning: --data must be given (fit.py requires it), and nothing sets it" in text
    assert "--data must" not in plan(tmp_path, profile, "--", "--data=/data")
    assert "warning: lr 0.2 has no effect: the sweep searches lr" in plan(tmp_path, profile, "--", "--lr", "0.2")
    with pytest.raises(ConfigError, match="--dataa: no such option of fit"):
        plan(tmp_path, profile, "--", "--dataa=/data", "--lr=0.1")


def test_a_key_of_hydras_that_must_be_given_is_named(tmp_path: Path) -> None:
    pytest.importorskip("hydra", reason="Hydra is not installed (requirements-dev.txt)")
    (tmp_path / "conf").mkdir()
    (tmp_path / "conf" / "config.yaml").write_text("lr: 0.1\nroot: ???\n")
    profile = "overrides: hydra\nschema: {config_path: conf, config_name: config}\n"
    warning = "warning: root must be given (??? in conf:config), and nothing sets it; add its value"
    text = plan(tmp_path, profile)
    assert warning in text and NOTE not in text
    assert warning not in plan(tmp_path, profile, "root=/data")
