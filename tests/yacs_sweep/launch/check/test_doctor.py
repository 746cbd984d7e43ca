"""`--check` says what keeps a sweep from running, with what to do, and leaves nothing behind."""

from __future__ import annotations

import json
import os
import shlex
import sys
from pathlib import Path

import pytest

from tests.sweeping import GRID, Ran, sweep, write_sweep
from yacs_sweep.launch.check import program
from yacs_sweep.launch.check.accounts import connection_problem
from yacs_sweep.launch.check.doctor import sweep_command
from yacs_sweep.launch.check.findings import Findings
from yacs_sweep.launch.options.read import contradictions, parse
from yacs_sweep.trainers.load import load_profile
from yacs_sweep.trainers.start import try_start

PROFILE = "command: [python, train.py, --config, '{config_file}']\ncwd: .\noverrides: yacs\n"
TRAINER = "import argparse\nparser = argparse.ArgumentParser()\nparser.add_argument('--config')\nparser.parse_args()\n"


def checked(folder: Path, *words: str | Path, code: str = TRAINER, profile: str = PROFILE, config: str = "A: 1") -> Ran:
    """A check of a trainer of one file, with and without a sweep."""
    (folder / "train.py").write_text(code)
    (folder / "p.yaml").write_text(profile)
    (folder / "c.yml").write_text(config)
    before = sorted(folder.rglob("*"))
    ran = sweep(folder, "--check", *words, trainer=folder / "p.yaml", config=folder / "c.yml", verbose=False)
    assert [path for path in sorted(folder.rglob("*")) if "__pycache__" not in path.parts] == before, "creates nothing"
    return ran


def lines(ran: Ran, level: str) -> list[str]:
    return [line for line in ran.out.splitlines() if line.startswith(f"{level} ")]


def test_a_sweep_that_can_start(tmp_path: Path) -> None:
    path = write_sweep(tmp_path, GRID)
    before = sorted(tmp_path.iterdir())
    ran = sweep(tmp_path, "--check", "--sweep-config", path, "--controller", "local", verbose=False)
    assert ran.code == 0, ran.out + ran.err
    assert lines(ran, "problem") == []
    subjects = [line[9:].split(": ")[0] for line in ran.out.splitlines() if line.startswith(("ok ", "warning "))]
    wanted = ["launcher", "trainer", "interpreter", "libraries", "program", "sweep", "schema", "metrics", "disk", "W&B"]
    assert [subject for subject in subjects if subject in wanted] == wanted
    last = ran.out.splitlines()[-1]
    assert last.startswith("ready") and last.endswith("--controller local")
    assert "--check" not in last and str(path) in last
    assert sorted(tmp_path.iterdir()) == before


def test_a_missing_module_is_named_with_its_place_and_what_to_do(tmp_path: Path) -> None:
    ran = checked(tmp_path, "--lr_values", "0.1", code=f"import no_such_module\n{TRAINER}")
    assert ran.code == 2
    (line,) = lines(ran, "problem")
    assert line == f"problem  program: {sys.executable} lacks no_such_module (train.py:1)"
    assert f"→ {sys.executable} -m pip install no_such_module, or --python PATH names the interpreter" in ran.out
    assert ran.out.splitlines()[-1].startswith("1 problem")


def test_a_module_that_only_the_start_shows_to_be_missing(tmp_path: Path) -> None:
    code = f"__import__('importlib').import_module('no_such_module')\n{TRAINER}"
    (line,) = lines(checked(tmp_path, "--lr_values", "0.1", code=code), "problem")
    assert line == f"problem  program: {sys.executable} lacks no_such_module (train.py:1)"


def test_another_error_at_the_start(tmp_path: Path) -> None:
    (line,) = lines(checked(tmp_path, code=f"{TRAINER}\n".replace("parser.parse", "1 / 0; parser.parse")), "problem")
    assert line.startswith("problem  program: train.py --help: exit code 1: ZeroDivisionError")


@pytest.mark.parametrize("version", ["[2, 7, 18]", "[3, 6, 9]", "no Python"])
def test_a_wrong_interpreter(version: str, tmp_path: Path) -> None:
    wrong = tmp_path / "python2"
    answer = f'{{"version": {version}, "prefix": "/", "base": "/", "path": "/"}}' if "[" in version else version
    wrong.write_text(f"#!/bin/sh\necho '{answer}'\n")
    wrong.chmod(0o755)
    ran = checked(tmp_path, "--python", wrong, "--lr_values", "0.1")
    (line,) = lines(ran, "problem")
    number = version.strip("[]").replace(", ", ".")
    said = (
        f"is Python {number}, and a trainer's is 3.7 or newer" if "[" in version else "does not answer as Python does"
    )
    assert line.startswith(f"problem  interpreter: {wrong} {said}")
    assert "; --python PATH names the trainer's interpreter" in line


def test_a_program_without_a_parser_is_imported_and_its_work_not_done(tmp_path: Path) -> None:
    code = "import json\nif __name__ == '__main__':\n    open('trained', 'w')\n"
    assert "ok       program: the import of train.py works" in checked(tmp_path, code=code).out


def test_a_program_whose_import_is_its_work_is_not_started(tmp_path: Path) -> None:
    assert "train.py: found; not started" in checked(tmp_path, code="open('trained', 'w')\n").out


def test_a_program_that_takes_too_long_is_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(try_start, "WAIT", 0.5)
    (tmp_path / "train.py").write_text("import argparse, time\ntime.sleep(60)\n")
    (tmp_path / "p.yaml").write_text(PROFILE)
    findings = Findings()
    profile = load_profile(tmp_path / "p.yaml", project_root=tmp_path)
    program.check_program(findings, profile, None, os.environ)
    assert [(item.level, item.text) for item in findings.found] == [
        ("warning", "train.py --help has not ended within 0.5 s, and was ended")
    ]


def test_paths_metric_and_schema_are_warnings(tmp_path: Path) -> None:
    profile = f"{PROFILE}generic: off\nmetrics: [{{pattern: 'mAP: (?P<v>{{number}})', log: {{val/mAP: v}}}}]\n"
    config = "DATASETS: {ROOT_DIR: ../no-data}\nMODEL: {PRETRAINED: none}"
    ran = checked(tmp_path, "--custom_params", '{"A": [1, 2]}', "--metric", "val/mAPP", profile=profile, config=config)
    assert ran.code == 0
    said = lines(ran, "warning")
    assert f"warning  data: DATASETS.ROOT_DIR: there is no ../no-data in {tmp_path}" in said
    assert "warning  metrics: 1 pattern, and none logs the sweep's metric val/mAPP; did you mean val/mAP?" in said
    assert any(line.startswith("warning  schema: keys are not checked: no schema") for line in said)


def test_mistakes_of_the_sweep_are_those_of_a_dry_run(tmp_path: Path) -> None:
    path = write_sweep(tmp_path, {**GRID, "parameters": {"LR": {"valuez": [1]}}})
    ran = sweep(tmp_path, "--check", "--sweep-config", path, verbose=False)
    dry = sweep(tmp_path, "--dry-run", "--sweep-config", path, verbose=False)
    assert ran.code == dry.code == 2
    said = [line.removeprefix("error: ") for line in dry.err.splitlines()]
    assert said and [line.removeprefix("problem  sweep: ") for line in lines(ran, "problem")] == said


def test_json(tmp_path: Path) -> None:
    told = json.loads(checked(tmp_path, "--json", code=f"import no_such_module\n{TRAINER}").out)
    assert (told["ready"], told["problems"]) == (False, 1)
    assert {item["subject"] for item in told["findings"] if item["level"] == "problem"} == {"program"}


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ("--json", "--json: needs --status, --compare, --diff or --check"),
        ("--check --sweep_id x", "--check: is for a new sweep; leave out --sweep_id and --train-best"),
        ("--check --train-best x", "--check: is for a new sweep; leave out --sweep_id and --train-best"),
    ],
)
def test_options_that_do_not_go_together(words: str, told: str) -> None:
    assert contradictions(parse(shlex.split(words))) == [told]


@pytest.mark.parametrize(
    ("words", "end"),
    [
        ("--check --sweep-config s.yaml", " --sweep-config s.yaml"),
        ("--trainer t --check --json", " --trainer t --sweep-config FILE"),
        ("--check --trainer t -- --epochs=3", " --trainer t --sweep-config FILE -- --epochs=3"),
    ],
)
def test_the_command_that_starts_the_sweep(words: str, end: str) -> None:
    assert sweep_command(parse(words.split()), words.split()).endswith(f"sweep.py{end}")


def test_a_server_that_nobody_listens_for() -> None:
    assert connection_problem("http://127.0.0.1:9")


def test_a_configuration_file_that_the_command_does_not_hold_is_told(tmp_path: Path) -> None:
    ran = checked(tmp_path, profile=PROFILE.replace(", --config, '{config_file}'", ""))
    (line,) = [line for line in lines(ran, "warning") if "--config_file" in line]
    assert "has no effect: {config_file} is not in the `command` of" in line
    assert not [line for line in lines(checked(tmp_path), "warning") if "--config_file" in line]


def test_options_that_the_program_does_not_parse_are_told(tmp_path: Path) -> None:
    profile = "command: [python, train.py, '{config_file}']\ncwd: .\noverrides: argparse\n"
    code = "import sys\nif __name__ == '__main__':\n    print(open(sys.argv[1]).read())\n"
    warning = "train.py and its modules parse no options, so --key=value words may change nothing"
    assert warning in checked(tmp_path, profile=profile, code=code).out
    assert warning not in checked(tmp_path, profile=profile).out
    assert warning not in checked(tmp_path, profile=profile.replace("argparse", "file"), code=code).out


INIT = "# A first sweep for the trainer profile p, written by --init.\nmethod: random\nmetric: {name: acc, goal: maximize}\n"


def test_a_range_that_init_has_made_for_another_configuration_is_told(tmp_path: Path) -> None:
    path = tmp_path / "s.yaml"
    words = "parameters: {A: {distribution: uniform, min: 2.0, max: 5.0}}\ncount: 2\n"
    path.write_text(INIT + words)
    told = "A: 1 in "
    assert told in checked(tmp_path, "--sweep-config", path).out
    assert told not in checked(tmp_path, "--sweep-config", path, config="A: 3").out
    path.write_text("\n" + INIT.partition("\n")[2] + words)  # somebody's own ranges
    assert told not in checked(tmp_path, "--sweep-config", path).out


def test_a_sweep_without_a_metric_is_told(tmp_path: Path) -> None:
    path = tmp_path / "s.yaml"
    path.write_text("method: random\nparameters: {A: {values: [1, 2]}}\ncount: 2\n")
    told = "and the sweep names no metric, so no trial is the best"
    assert told in checked(tmp_path, "--sweep-config", path).out
    assert told not in checked(tmp_path, "--sweep-config", path, "--metric", "acc").out


def test_folders_of_data_among_a_parsers_defaults_and_the_words_are_told(tmp_path: Path) -> None:
    code = (
        "import argparse\nparser = argparse.ArgumentParser()\nparser.add_argument('--config')\n"
        "parser.add_argument('--lr', type=float)\nparser.add_argument('--data-dir', '--images', default='birds')\n"
        "parser.add_argument('--root')\nparser.parse_args()\n"
    )
    profile = PROFILE.replace("yacs", "argparse") + "schema: argparse\n"
    words = ("--custom_params", '{"lr": [0.1]}', "--metric", "loss", "--", "--root=gone")
    ran = checked(tmp_path, *words, code=code, profile=profile)
    assert [line for line in lines(ran, "warning") if ": there is no" in line] == [
        f"warning  data: data-dir: there is no birds in {tmp_path}",
        f"warning  data: root: there is no gone in {tmp_path}",
    ]
    ran = checked(tmp_path, *words, "--images", ".", code=code, profile=profile)
    assert [line for line in lines(ran, "warning") if "birds" in line] == []


@pytest.mark.parametrize(
    ("default", "told"), [("0.1", ["lr: the default, 0.1, is outside the range 0.001 to 0.01"]), ("0.005", [])]
)
def test_a_range_without_the_default_is_told(tmp_path: Path, default: str, told: list[str]) -> None:
    code = TRAINER.replace("parser.parse", f"parser.add_argument('--lr', type=float, default={default})\nparser.parse")
    profile = PROFILE.replace("yacs", "argparse") + "schema: argparse\n"
    words = ("--custom_params", '{"lr": {"min": 0.001, "max": 0.01}}', "--metric", "loss")
    ran = checked(tmp_path, *words, code=code, profile=profile)
    assert [line.partition("sweep: ")[2] for line in lines(ran, "warning") if "outside" in line] == told
