"""Options of other sweep tools, typed here: each is answered with what is written here, which exists."""

from __future__ import annotations

import re

import pytest

from yacs_sweep.base.errors import ConfigError
from yacs_sweep.launch.keywords import from_keywords
from yacs_sweep.launch.options.foreign import SAME, TOOLS, Foreign
from yacs_sweep.launch.options.read import parse
from yacs_sweep.launch.options.table import make_parser
from yacs_sweep.spec.read_sweep import TOP_KEYS

EVERY = [entry for entries in TOOLS.values() for entry in entries]
OURS = {name for action in make_parser()._actions for name in action.option_strings}


def refused(words: str, capsys: pytest.CaptureFixture[str]) -> list[str]:
    with pytest.raises(SystemExit) as caught:
        parse(words.split())
    assert caught.value.code == 2
    return capsys.readouterr().err.splitlines()


@pytest.mark.parametrize("entry", EVERY, ids=lambda entry: entry.names[0])
def test_what_is_written_here_exists(entry: Foreign) -> None:
    text = f"{entry.here} {entry.note}"
    assert set(re.findall(r"--[a-z][\w-]*", text)) <= OURS
    assert set(re.findall(r"`(\w+):", text)) <= {*TOP_KEYS}
    assert entry.here or entry.note


@pytest.mark.parametrize("entry", EVERY, ids=lambda entry: entry.names[0])
def test_a_name_that_is_an_option_here_means_the_same_or_is_told_apart(entry: Foreign) -> None:
    taken = [name for name in entry.names if f"--{name.strip('-=').replace('_', '-')}" in OURS and len(name) > 2]
    told = re.findall(r"--[a-z][\w-]*", f"{entry.here} {entry.note}")
    for name in taken:
        assert entry.here == SAME or f"--{name.strip('-=').replace('_', '-')}" in [
            word.replace("_", "-") for word in told
        ]
    if entry.here == SAME:
        assert taken


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ("--base-config a.yml", "--base-config; for --base-config of runner scripts write --config_file FILE"),
        ("--num_workers 4", "--num_workers; for --num-workers of runner scripts write --workers N"),
        ("--runs-per-worker=3", "--runs-per-worker=3; for --runs-per-worker of runner scripts write --count N"),
        (
            "--multiple-serial a b",
            "--multiple-serial; for --multiple-serial of runner scripts write --sweep-config FILE",
        ),
        ("--n-trials 20", "--n-trials; for --n-trials of Optuna write --count N"),
        ("--study-name s", "--study-name; for --study-name of Optuna write --sweep_name NAME"),
        ("-p reid", "-p; for -p of W&B write --project NAME"),
        ("--needed", "--needed; --needed of Guild is not needed: a sweep tries each point once"),
    ],
)
def test_an_option_of_another_tool_is_answered(words: str, told: str, capsys: pytest.CaptureFixture[str]) -> None:
    (line,) = refused(f"--sweep-config x {words}", capsys)
    assert line.startswith(f"error: no such option: {told}")
    assert f"an option of the trainer is written behind the others: -- {words.split()[0]}" in line


def test_names_of_several_tools_are_told_together(capsys: pytest.CaptureFixture[str]) -> None:
    (line,) = refused("--sweep-config x --name y", capsys)
    assert "for --name of W&B and name= of Ray Tune write --sweep_name NAME" in line


def test_each_unknown_option_has_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    lines = refused("--base-config a --sweep-config x --num-workers 4 --worker 2", capsys)
    assert [line.split()[4].rstrip(";") for line in lines] == ["--base-config", "--num-workers", "--worker"]
    assert "did you mean --workers?" in lines[2]


def test_the_trainers_words_are_not_taken_for_options() -> None:
    words = ["--num-workers=8", "--n-trials", "3", "-p", "--base-config=x"]
    assert parse(["--sweep-config", "x", "--", *words]).trailing == words
    assert parse(["--sweep-config", "x.yaml", "num_workers=8"]).trailing == ["num_workers=8"]


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"num_workers": 4}, "num_workers: is not an option; for --num-workers of runner scripts write workers="),
        ({"optimizer": "gp"}, "optimizer: is not an option; for --optimizer of Guild write method='bayes'"),
        ({"time_budget_s": 9}, "time_budget_s: is not an option; for time_budget_s= of Ray Tune write run_for="),
        ({"woorkers": 4}, "woorkers: is not an option; did you mean workers?"),
    ],
)
def test_keywords_of_other_tools_are_answered_with_keywords(given: dict[str, object], told: str) -> None:
    with pytest.raises(ConfigError) as caught:
        from_keywords(given)
    assert str(caught.value) == told
