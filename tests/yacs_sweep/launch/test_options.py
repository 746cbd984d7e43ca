from __future__ import annotations

import shlex
import subprocess
import sys
from dataclasses import fields, replace
from pathlib import Path

import pytest

from tests.sweeping import ROOT
from yacs_sweep.cli import NO_AGENTS
from yacs_sweep.launch.options.read import contradictions, parse
from yacs_sweep.launch.options.table import Options


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
    assert capsys.readouterr().err.startswith(f"error: {words.split()[0]}: ")


def test_a_negative_duration_is_judged_by_its_option(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        parse(["--for", "-3h"])
    assert "-3h" in capsys.readouterr().err
    assert parse(["--notify-on", "end"]).notify_on == "end"


def test_options_are_not_abbreviated() -> None:
    with pytest.raises(SystemExit):
        parse(["--sweep-conf", "x"])


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ("--status k3v9x2ab", "--status k3v9x2ab: write --status --sweep_id k3v9x2ab"),
        ("--status a b", "--status a b: takes no words"),
        ("--status --count 3 --sweep-config x", "--sweep-config, --count: --status starts nothing"),
        ("--seeds 5 --sweep-config x", "--seeds: needs --train-best"),
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


def test_an_option_is_named_as_its_field_in_both_spellings() -> None:
    for name, entry in Options.table().items():
        spelled = {flag.replace("-", "_") for flag in entry.flags}
        assert not spelled or name in spelled, name
        assert entry.help


def test_a_command_line_made_of_options_gives_the_same_options() -> None:
    line = (
        "--workers 2 --gpus 0,1 --timeout 60 --stall-timeout 1234567.5 --grace 0 --retries 3 --on-oom retry --verbose "
        "--no-preload --config_file a.yml --controller local"
    )
    options = parse(line.split())
    assert parse(options.words(lambda entry: True)) == options
    each = parse(options.words(lambda entry: entry.per_launch))
    assert each == replace(options, verbose=False, no_preload=False, config_file=None, controller="auto")
    assert Options().words(lambda entry: True) == []


def test_the_next_launch_of_an_object_is_not_told_what_the_sweep_searches() -> None:
    line = "--sweep-config x --lr_values 1 --method grid --seed 3 --count 5 --enqueue p.csv --workers 2 --project a"
    assert parse(line.split()).after_launch() == Options(workers=2, project="a")


def test_options_that_describe_a_sweep_are_refused_beside_its_id() -> None:
    options = parse(["--sweep_id", "x", "--lr_values", "1", "--sweep_name", "n", "--seed", "0", "--count", "3"])
    assert options.refused_beside("sweep_id") == ["--lr_values", "--sweep_name", "--seed"]
    assert options.refused_beside("train_best") == ["--sweep_id", "--lr_values"]


MISSPELT = """
from yacs_sweep.cli import NO_AGENTS
from yacs_sweep.launch.options.table import Options
def limit(options: Options) -> int | None:
    return options.max_failuers
"""


def test_a_misspelt_option_is_a_type_error(tmp_path: Path) -> None:
    path = tmp_path / "misspelt.py"
    path.write_text(MISSPELT)
    command = [sys.executable, "-m", "mypy", "--config-file", "pyproject.toml", str(path)]
    ran = subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT)
    assert '"Options" has no attribute "max_failuers"; maybe "max_failures"?' in ran.stdout


def test_the_command_line_knows_the_options_that_start_no_agent() -> None:
    flags = {Options.flag(name) for name, entry in Options.table().items() if not entry.starts_agents}
    assert flags | {"-h", "--help", "--version", "--print-completion"} == NO_AGENTS


def test_every_field_is_an_option_or_says_where_values_come_from() -> None:
    assert {item.name for item in fields(Options)} - set(Options.table()) == {
        *("wandb_off", "storage_of_environment"),
        *("given", "from_project"),  # how the values came about
    }


@pytest.mark.parametrize("started", ["sweep.py", "yacs-sweep"])
def test_the_examples_are_those_of_the_started_command(started: str, tmp_path: Path) -> None:
    text = (
        f"import sys; sys.argv[0] = {str(tmp_path / started)!r}\n"
        "from yacs_sweep.launch.options import table; print(table.EPILOG)"
    )
    done = subprocess.run([sys.executable, "-c", text], capture_output=True, text=True, check=True, cwd=ROOT)
    lines = done.stdout.splitlines()
    assert max(map(len, lines)) <= 80
    commands = {line.split()[0] for line in lines if line.startswith("  ") and not line.startswith("   ")}
    assert commands == {"tools/sweep.py" if started == "sweep.py" else started}
    assert ("configs/" in done.stdout) == (started == "sweep.py")


@pytest.mark.parametrize(("started", "name"), [("report.py", "tools/report.py"), ("yacs-sweep-report",) * 2])
def test_so_are_the_reports(started: str, name: str, tmp_path: Path) -> None:
    text = (
        f"import sys; sys.argv[0] = {str(tmp_path / started)!r}\n"
        "from yacs_sweep.show.report import cli; print(cli.EPILOG)"
    )
    done = subprocess.run([sys.executable, "-c", text], capture_output=True, text=True, check=True, cwd=ROOT)
    lines = done.stdout.splitlines()
    assert max(map(len, lines)) <= 80
    assert {line.split()[0] for line in lines if "--sweep_id" in line} == {name}
