"""A project's defaults: which file says them, what wins over them, what is refused, and whom they come from."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.sweeping import ROOT, TOY, write_sweep
from yacs_sweep import cli
from yacs_sweep.base.errors import ConfigError
from yacs_sweep.launch.options.read import parse
from yacs_sweep.launch.options.table import Options
from yacs_sweep.launch.project import find
from yacs_sweep.launch.project.defaults import placed, with_project_defaults
from yacs_sweep.launch.project.toml_section import TomlSection
from yacs_sweep.search.storage.url import URL_VARIABLE

GRID = {"method": "grid", "metric": {"name": "val/mAP", "goal": "maximize"}, "parameters": {"base_lr": [1e-4, 1e-3]}}


@pytest.fixture(autouse=True)
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The project's folder, a git repository, in which commands are typed."""
    for name in (URL_VARIABLE, "WANDB_PROJECT", "WANDB_ENTITY", "WANDB_MODE"):
        monkeypatch.delenv(name, raising=False)
    folder = tmp_path / "project"
    (folder / ".git").mkdir(parents=True)
    monkeypatch.chdir(folder)
    return folder


def write(text: str, name: str = "yacs-sweep.toml") -> None:
    Path(name).parent.mkdir(exist_ok=True)
    Path(name).write_text(text)


def read(words: str = "--sweep-config x") -> Options:
    return with_project_defaults(parse(words.split()))


def refused(words: str = "--sweep-config x") -> list[str]:
    with pytest.raises(ConfigError) as caught:
        read(words)
    return caught.value.problems


# -- where they stand -------------------------------------------------------------------------------------------------


def test_values_and_places() -> None:
    write(
        "# of the project\nworkers = 4\nstall-timeout = 60\n\ngpus = [0, 1]\nno_preload = true\n"
        "engine = 'slurm'\n[engine_option]\npartition = 'gpu'\ntime = '8:00'\n"
    )
    options = read()
    assert (options.workers, options.stall_timeout, options.gpus, options.no_preload) == (4, 60.0, "0,1", True)
    assert options.engine_option == ["partition=gpu", "time=8:00"]
    assert options.project_defaults() == [
        ("workers", "4", "yacs-sweep.toml:2"),
        ("stall_timeout", "60.0", "yacs-sweep.toml:3"),
        ("gpus", "0,1", "yacs-sweep.toml:5"),
        ("no_preload", "true", "yacs-sweep.toml:6"),
        ("engine", "slurm", "yacs-sweep.toml:7"),
        ("engine_option", "partition=gpu, time=8:00", "yacs-sweep.toml:8"),
    ]


def test_the_own_file_wins_over_pyproject_key_by_key() -> None:
    write("[project]\nname = 'x'\n[tool.yacs-sweep]\nworkers = 2\ngrace = 5\n", "pyproject.toml")
    write("workers = 4\n")
    assert read().project_defaults() == [
        ("workers", "4", "yacs-sweep.toml:1"),
        ("grace", "5.0", "pyproject.toml:5"),
    ]


@pytest.mark.parametrize(
    "text",
    ["[tool]\nyacs-sweep = {workers = 3}\n", "tool.yacs-sweep.workers = 3\n", '[tool."yacs-sweep"]\nworkers = 3\n'],
)
def test_other_ways_to_write_the_section(text: str) -> None:
    write(text, "pyproject.toml")
    assert read().workers == 3


def test_a_pyproject_without_the_section_is_none_of_ours() -> None:
    write("[project]\nname = 'yacs-sweep'\nworkers = 3\n", "pyproject.toml")
    assert read().project_defaults() == []
    write("yacs-sweep = = no TOML", "pyproject.toml")
    assert read().project_defaults() == []


def test_a_package_of_the_repository_without_settings_does_not_hide_them(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write("workers = 4\n")
    write("[tool]\nother = 'yacs-sweep'\n", "a/pyproject.toml")
    monkeypatch.chdir(project / "a")
    assert read().workers == 4
    write("", "yacs-sweep.toml")  # which has none, and says so
    assert read().workers is None


def test_the_nearest_folder_of_the_repository_counts(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write("workers = 4\n")
    write("grace = 1\n", "../yacs-sweep.toml")
    (project / "a" / "b").mkdir(parents=True)
    monkeypatch.chdir(project / "a" / "b")
    assert read().project_defaults() == [("workers", "4", "../../yacs-sweep.toml:1")]
    write("retries = 1\n", "../yacs-sweep.toml")
    assert [name for name, _, _ in read().project_defaults()] == ["retries"]


def test_what_lies_above_the_repository_is_not_taken(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write("notify = 'echo'\n", "../yacs-sweep.toml")
    assert read().notify is None
    (project / ".git").rmdir()  # no repository at all: nothing further up is the project's
    assert read().notify is None
    monkeypatch.chdir(project.parent)
    assert read().notify == "echo"


def test_a_strangers_file_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    write("notify = 'echo'\n")
    owner = os.stat("yacs-sweep.toml").st_uid
    real = os.stat

    def of_a_stranger(path: Path, **keywords: bool) -> os.stat_result:
        found = list(real(path, **keywords))
        found[4] = 4321 if path.name == "yacs-sweep.toml" else found[4]
        return os.stat_result(found)

    monkeypatch.setattr(find.Path, "stat", of_a_stranger)
    (line,) = refused()
    assert line.startswith("yacs-sweep.toml: belongs to user 4321, and its settings start commands")
    assert read("--sweep-config x --no-project-defaults").notify is None
    monkeypatch.setattr(find.os, "geteuid", lambda: 4321)
    assert read().notify == "echo"
    assert owner != 4321


# -- what wins --------------------------------------------------------------------------------------------------------


def test_the_command_line_wins_even_with_the_usual_value() -> None:
    write("grace = 60\nworkers = 4\ncontroller = 'local'\nstorage = 'postgresql://db'\nwandb_mode = 'disabled'\n")
    options = read("--sweep-config x --grace 15 --workers=1")
    assert (options.grace, options.workers) == (15.0, 1)
    assert read("--sweep-config x --controller wandb").project_defaults() == [
        ("grace", "60.0", "yacs-sweep.toml:1"),
        ("workers", "4", "yacs-sweep.toml:2"),
    ]
    assert read("--sweep-config x --no-project-defaults").project_defaults() == []


def test_the_environment_wins(monkeypatch: pytest.MonkeyPatch) -> None:
    write("storage = 'postgresql://ours'\nproject = 'ours'\nentity = 'ours'\nwandb_mode = 'online'\n")
    assert [name for name, _, _ in read().project_defaults()] == ["storage", "project", "entity", "wandb_mode"]
    for name in (URL_VARIABLE, "WANDB_PROJECT", "WANDB_MODE"):
        monkeypatch.setenv(name, "disabled" if name == "WANDB_MODE" else "postgresql://theirs")
    options = read()
    assert options.project_defaults() == [("entity", "ours", "yacs-sweep.toml:3")]
    assert options.storage == "postgresql://theirs" and options.wandb_off


def test_the_sweep_file_wins(project: Path) -> None:
    write("trainer = 'reid'\nconfig_file = 'a.yml'\nproject = 'ours'\nresults_dir = 'out'\nworkers = 2\n")
    write_sweep(project, {**GRID, "program": "fit.py", "Project": "theirs", "results-dir-base": "there"})
    assert [name for name, _, _ in read("--sweep-config y.yaml").project_defaults()] == ["results_dir", "workers"]
    options = read("--sweep-config y.yaml")
    assert (options.trainer, options.config_file, options.project) == (None, None, None)
    write_sweep(project, {**GRID, "parameters": {"config_file": ["b.yml", "c.yml"]}, "results_dir_base": "there"})
    assert [name for name, _, _ in read("--sweep-config y.yaml").project_defaults()] == [
        "trainer",
        "project",
        "workers",
    ]


def test_another_trainer_has_another_configuration() -> None:
    write("trainer = 'reid'\nconfig_file = 'a.yml'\n")
    options = read("--sweep-config x --trainer toy.yaml")
    assert (options.trainer, options.config_file) == ("toy.yaml", None)


def test_options_of_an_engine_hold_with_an_engine() -> None:
    write("engine = 'slurm'\nagents = 3\n")
    assert read().agents == 3
    assert read("--sweep-config x --engine local").agents is None


# -- which commands ---------------------------------------------------------------------------------------------------


def test_a_resumed_sweep_has_those_that_no_sweep_keeps() -> None:
    write("trainer = 'reid'\nkeep = 'best'\nworkers = 2\nnotify = 'echo'\ncontroller = 'local'\n")
    for words in ("--sweep_id k3v9x2ab", "--train-best k3v9x2ab"):
        assert [name for name, _, _ in read(words).project_defaults()] == ["workers", "notify"]


@pytest.mark.parametrize(
    "words",
    ["--status", "--sweep_id x --logs 1", "--cancel x", "--sweep_id x --set-count 3", "--init", "--trainer list"],
)
def test_commands_that_start_nothing_do_not_read_them(words: str) -> None:
    write("not TOML")
    assert read(words) == parse(words.split())


def test_patterns_are_those_of_the_projects_trainer() -> None:
    write("trainer = 'my.yaml'\nworkers = 2\n")
    assert read("--test-patterns train.log").project_defaults() == [("trainer", "my.yaml", "yacs-sweep.toml:1")]


def test_a_sweep_keeps_what_only_its_own_launch_was_given() -> None:
    """What no sweep keeps, by the options' table, is what resumed sweeps are given; no two lists differ."""
    for name, entry in Options.table().items():
        if entry.in_project is not None and entry.per_launch:
            assert entry.in_project.each_launch, name


# -- paths ------------------------------------------------------------------------------------------------------------


def test_paths_begin_in_the_files_folder(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(
        "config_file = 'configs/a.yml'\nresults_dir = 'out'\ntrainer = 'my.yaml'\npython = './bin/python'\n"
        "storage = 'sqlite:///x.db'\n"
    )
    for name in ("my.yaml", "a/x"):
        write("", name)
    assert (read().config_file, read().results_dir) == ("configs/a.yml", "out")
    monkeypatch.chdir(project / "a")
    options = read()
    assert (options.config_file, options.results_dir) == ("../configs/a.yml", "../out")
    assert (options.trainer, options.python) == ("../my.yaml", "../bin/python")
    assert options.storage == "sqlite:///x.db"


def test_names_and_absolute_paths_stay() -> None:
    write("trainer = 'reid'\npython = 'python3.12'\nconfig_file = '/data/a.yml'\nresults_dir = '~/out'\n")
    options = read()
    assert (options.trainer, options.python) == ("reid", "python3.12")
    assert (options.config_file, options.results_dir) == ("/data/a.yml", "~/out")


def test_a_program_beside_the_file_is_no_name() -> None:
    write("", "python3.12")
    write("python = 'python3.12'\n")
    assert read().python == "./python3.12"


# -- mistakes ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("wokers = 4", "yacs-sweep.toml:2: wokers: no such setting; did you mean workers?"),
        ("count = 4", "yacs-sweep.toml:2: count: belongs to the command line or the sweep file"),
        ("workers = '4'", "yacs-sweep.toml:2: workers: '4' is not a whole number"),
        ("workers = true", "yacs-sweep.toml:2: workers: true is not a whole number"),
        ("workers = 0", "yacs-sweep.toml:2: workers: '0' is not a positive whole number"),
        ("no_preload = 1", "yacs-sweep.toml:2: no_preload: 1 is not true or false"),
        ("trainer = ['a']", "yacs-sweep.toml:2: trainer: ['a'] is not a text in quotes"),
        (
            "on_oom = 'retri'",
            "yacs-sweep.toml:2: on_oom: 'retri' is not allowed; allowed: skip, retry; did you mean retry?",
        ),
        ("gpu_wait = 1\ngpu-wait = 2", "yacs-sweep.toml:3: gpu-wait: the same setting as gpu_wait; keep one"),
        ("[tool.yacs-sweep]\nworkers = 1", "yacs-sweep.toml:2: tool: settings stand at the top of yacs-sweep.toml"),
        ("workers = 4 4", "yacs-sweep.toml:2: not TOML: "),
    ],
)
def test_a_mistake_is_one_line_with_its_place(text: str, told: str) -> None:
    write(f"# first\n{text}\n")
    (line,) = refused()
    assert line.startswith(told) and "\n" not in line


def test_all_mistakes_are_told_at_once() -> None:
    write("wokers = 4\n")
    write("[tool.yacs-sweep]\ngrace = -1\nretries = 'x'\n", "pyproject.toml")
    assert [line.split(": ")[0] for line in refused()] == ["yacs-sweep.toml:1", "pyproject.toml:2", "pyproject.toml:3"]


def test_a_section_that_is_no_table() -> None:
    write("tool.yacs-sweep = 3\n", "pyproject.toml")
    assert refused() == ["pyproject.toml: [tool.yacs-sweep] is not a table of settings"]


def test_a_file_that_cannot_be_read() -> None:
    Path("yacs-sweep.toml").write_bytes(b"workers = '\xff'\n")
    (line,) = refused()
    assert line.startswith("yacs-sweep.toml: cannot be read: ")


def test_a_problem_found_later_says_where_the_value_stands() -> None:
    options = Options(from_project={"python": "yacs-sweep.toml:3"})
    problems = ["--python x: no such interpreter", "--config_file y: no such file", "--python-like: x"]
    assert placed(problems, options) == [f"yacs-sweep.toml:3: {problems[0]}", *problems[1:]]


def test_lines_of_keys(tmp_path: Path) -> None:
    file = tmp_path / "pyproject.toml"
    file.write_text(
        '[tool.other]\nworkers = 1\n[tool.yacs-sweep]  # ours\n"workers" = 2\n[tool.yacs-sweep.engine_option]\na = "b"\n'
    )
    section = TomlSection.read(file)
    assert section.lines == {"workers": 4, "engine_option": 5}
    assert section.values == {"workers": 2, "engine_option": {"a": "b"}}


def test_secrets_are_not_shown() -> None:
    write("storage = 'postgresql://me:secret@db/x'\nnotify = 'https://hooks.slack.com/services/secret'\n")
    shown = {name: value for name, value, _ in read().project_defaults()}
    assert shown == {"storage": "postgresql://db/x", "notify": "https://hooks.slack.com/…"}


# -- whole commands ---------------------------------------------------------------------------------------------------


def test_a_dry_run_shows_them(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(f"trainer = '{TOY / 'toy.yaml'}'\nconfig_file = '{TOY / 'toy.yml'}'\nworkers = 2\ncontroller = 'local'\n")
    write_sweep(project, GRID)
    assert cli.main(["--sweep-config", "y.yaml", "--dry-run"]) == 0
    shown = capsys.readouterr().out
    assert "defaults of the project (--no-project-defaults: without):" in shown
    assert ["workers", "2", "yacs-sweep.toml:3"] in [line.split() for line in shown.splitlines()]
    assert "  2 workers" in shown.splitlines()


def test_a_wrong_default_ends_the_command_and_says_its_place(capsys: pytest.CaptureFixture[str]) -> None:
    write("notify = 'nosuchprogram'\n")
    assert cli.main(["--lr_values", "1"]) == 2
    assert capsys.readouterr().err.startswith("error: yacs-sweep.toml:1: --notify: command nosuchprogram not found")
    write("wokers = 1\n")
    assert cli.main(["--lr_values", "1"]) == 2
    assert capsys.readouterr().err == "error: yacs-sweep.toml:1: wokers: no such setting; did you mean workers?\n"


def test_a_sweep_runs_with_them(project: Path) -> None:
    write(
        f"trainer = '{TOY / 'toy.yaml'}'\nconfig_file = '{TOY / 'toy.yml'}'\nworkers = 2\ncontroller = 'local'\n"
        "wandb_mode = 'disabled'\nresults_dir = 'out'\nretries = 1\n"
    )
    write_sweep(project, GRID)
    (project / "sub").mkdir()
    command = [sys.executable, str(ROOT / "tools" / "sweep.py"), "--sweep-config", "../y.yaml", "--quiet"]
    ran = subprocess.run(command, cwd=project / "sub", capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr
    assert "defaults of ../yacs-sweep.toml: trainer " in ran.stderr + ran.stdout
    (launch,) = (project / "out" / "sweep").glob("*/launch.json")
    assert json.loads(launch.read_text())["words"] == ["--workers", "2", "--retries", "1"]
