"""What earlier versions promise by name is still there: options, keys of files, profiles, presets, names in Python."""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator, Mapping
from typing import Any

import pytest

import yacs_sweep
from configs.defaults import _C
from tests.old_sweeps.old import VERSIONS, contracts
from tests.sweeping import ROOT
from tools.cli_reference import parsers
from yacs_sweep.launch.keyword_types import Keywords
from yacs_sweep.spec.read_sweep import TOP_KEYS, sweep_from_dict

EVERY = pytest.mark.parametrize("version", VERSIONS)


def option_problems(promised: dict[str, Any], parser: argparse.ArgumentParser) -> Iterator[str]:
    """Says which of a tool's options are gone, take a value now or none, or have lost a choice."""
    actions = {name: action for action in parser._actions for name in action.option_strings}
    for kind in ("flags", "values", "choices"):
        for name in promised[kind]:
            if name not in actions:
                yield f"{name} is gone"
                continue
            action = actions[name]
            if kind == "flags" and action.nargs not in (0, "?"):
                yield f"{name} needs a value now"
            if kind != "flags" and action.nargs == 0:
                yield f"{name} takes no value any more"
            lost = set(promised["choices"].get(name, ())) - set(action.choices or promised["choices"].get(name, ()))
            if lost:
                yield f"{name} does not take {sorted(lost)} any more"


@EVERY
def test_options(version: str) -> None:
    now = parsers()
    for tool, promised in contracts(version)["options"].items():
        assert list(option_problems(promised, now[f"tools/{tool}"])) == [], tool


def test_a_lost_option_is_noticed() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--kept", choices=["a"])
    parser.add_argument("--quiet")
    parser.add_argument("--count", action="store_true")
    promised = {"flags": ["--quiet"], "values": ["--count", "--lost"], "choices": {"--kept": ["a", "b"]}}
    assert list(option_problems(promised, parser)) == [
        "--quiet needs a value now",
        "--count takes no value any more",
        "--lost is gone",
        "--kept does not take ['b'] any more",
    ]


@EVERY
def test_keys_of_files(version: str) -> None:
    promised = contracts(version)
    assert set(promised["sweep file"]) <= set(TOP_KEYS)
    schema = json.loads((ROOT / "configs/trainers/schema.json").read_text(encoding="utf-8"))
    assert set(promised["profile"]) <= set(schema["properties"])
    assert set(promised["trainer"]) <= set(leaves(_C))


def leaves(tree: Mapping[str, Any], above: str = "") -> Iterator[str]:
    """Yields the dotted names of a YACS tree's settings."""
    for name, value in tree.items():
        if isinstance(value, Mapping):
            yield from leaves(value, f"{above}{name}.")
        else:
            yield f"{above}{name}"


@EVERY
def test_rules_that_end_trials_have_their_keys(version: str) -> None:
    values = {"strict": True, "metric": "loss", "min_delta": 0.1, "s": 2, "eta": 3, "max_iter": 27, "factor": 3}
    for kind, keys in contracts(version)["early_terminate"].items():
        given = {key: values.get(key, 5) for key in keys}
        if "min_iter" in given:  # beside max_iter, hyperband takes either s or min_iter
            given.pop("max_iter", None), given.pop("s", None)
        rule = {"type": kind, **given}
        spec = {"method": "random", "metric": {"name": "loss", "goal": "minimize"}, "early_terminate": rule}
        read = sweep_from_dict({**spec, "parameters": {"lr": {"min": 0.1, "max": 1.0}}}, "a sweep")
        assert read.early_terminate is not None and read.early_terminate.type == kind


@EVERY
def test_profiles_and_presets(version: str) -> None:
    promised = contracts(version)
    assert set(promised["profiles"]) <= {path.stem for path in (ROOT / "configs/trainers").glob("*.yaml")}
    assert set(promised["presets"]) <= {path.stem for path in (ROOT / "sweeps").glob("*.yaml")}


@EVERY
def test_names_in_python(version: str) -> None:
    promised = contracts(version)
    assert set(promised["keywords"]) <= set(Keywords.__annotations__)
    for name, members in promised["python"].items():
        kind = getattr(yacs_sweep, name)
        have = {*dir(kind), *getattr(kind, "__annotations__", ())}
        assert set(members) <= have, name
