from __future__ import annotations

import shlex

import pytest

from yacs_sweep.launch.options import contradictions, parse


def test_both_spellings_of_every_option_of_the_contract() -> None:
    names = ("config_file", "sweep_config", "sweep_id", "lr_values", "sweep_name", "trials_per_gpu")
    underscores = [word for name in names for word in (f"--{name}", "1")]
    assert parse([word.replace("_", "-") for word in underscores]) == parse(underscores)
    assert parse(["--cfg", "f"]).config_file == "f"


def test_key_value_words_anywhere() -> None:
    options = parse(
        shlex.split("SOLVER.A 1 --sweep-config y.yaml SOLVER.GAMMA 0.5 --count 3 SOLVER.B -2 SOLVER.C 1e-5")
    )
    assert options.sweep_config == ["y.yaml"]
    assert options.count == 3
    words = options.trailing
    assert {tuple(words[i : i + 2]) for i in range(0, len(words), 2)} == {
        ("SOLVER.A", "1"),
        ("SOLVER.GAMMA", "0.5"),
        ("SOLVER.B", "-2"),
        ("SOLVER.C", "1e-5"),
    }


@pytest.mark.parametrize(
    "words", ["--count 0", "--count x", "--timeout 0", "--timeout nan", "--grace -1", "--retries 1.5"]
)
def test_numbers_out_of_range(words: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        parse(words.split())
    assert caught.value.code == 2
    assert capsys.readouterr().err.startswith(f"error: argument {words.split()[0]}")


def test_options_are_not_abbreviated() -> None:
    with pytest.raises(SystemExit):
        parse(["--sweep-conf", "x"])


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ("--status k3v9x2ab", "--status k3v9x2ab: write --status --sweep_id k3v9x2ab"),
        ("--status a b", "--status a b: takes no words"),
        ("--status --count 3 --sweep-config x", "--sweep-config, --count: --status starts nothing"),
        ("--seeds 5 --sweep-config x", "--seeds: goes with --train-best"),
        ("--sweep_id ''", "--sweep_id: is empty"),
        ("--train-best '' --seeds 5", "--train-best: is empty"),
        ("--sweep-config ''", "--sweep-config: is empty"),
        ("--sweep-config x --trainer '(function)'", "--trainer (function): is a Python function's"),
    ],
)
def test_options_that_would_go_unheard_are_told_in_a_line(words: str, told: str) -> None:
    (line,) = contradictions(parse(shlex.split(words)))
    assert line.startswith(told)


@pytest.mark.parametrize(
    "words",
    [
        "--status",
        "--status --sweep_id x --watch --results_dir y",
        "--train-best x --seeds 5",
        "--sweep-config x --count 3",
    ],
)
def test_options_that_go_together_do(words: str) -> None:
    assert contradictions(parse(words.split())) == []
