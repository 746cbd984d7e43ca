"""Trainer profiles: read, checked with every mistake and its place, and turned into a command line."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest

from yacs_sweep.base.errors import ConfigError
from yacs_sweep.spec.sweep import Metric
from yacs_sweep.trainers.load import load_profile, shortest_reference
from yacs_sweep.trainers.profile import TrainerProfile
from yacs_sweep.trial.process import child_environment

ROOT = Path(__file__).resolve().parents[3]


def write(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


def load(tmp_path: Path, text: str) -> TrainerProfile:
    return load_profile(write(tmp_path / "mine.yaml", text), project_root=tmp_path)


def problems(tmp_path: Path, text: str) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        load(tmp_path, text)
    return [problem.replace(str(tmp_path / "mine.yaml"), "FILE") for problem in caught.value.problems]


def test_the_profile_that_ships() -> None:
    profile = load_profile("reid", project_root=ROOT)
    assert profile.name == "reid"
    assert profile.cwd == ROOT
    assert (ROOT / profile.command[1]).parts[-2:] == ("tools", "train.py")
    assert str(profile.schema) == "configs/defaults.py:_C"
    assert profile.output_dir_key == "OUTPUT_DIR"
    assert profile.env == {"WANDB_MODE": "disabled"}
    assert profile.preload[:2] == ("torch", "torchvision")
    names = {"base_lr", "weight_decay", "warmup_factor", "warmup_iters", "margin", "ims_per_batch"}
    assert set(profile.aliases) == {*names, "max_epochs", "seed"}


def test_the_command_of_the_contract(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    words = load_profile("reid", project_root=ROOT).command_line(
        python="/usr/bin/python3", config_file="configs/x.yml", output_dir="log/a", overrides=["SOLVER.BASE_LR", "0.1"]
    )
    assert words == [
        *("/usr/bin/python3", "tools/train.py", "--config_file=configs/x.yml"),
        *("SOLVER.BASE_LR", "0.1", "OUTPUT_DIR", "log/a"),
    ]


def test_a_child_that_runs_elsewhere_gets_absolute_paths(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    words = load_profile("reid", project_root=tmp_path).command_line(config_file="x.yml", output_dir="log")
    assert words[2:] == [f"--config_file={tmp_path}/x.yml", "OUTPUT_DIR", f"{tmp_path}/log"]
    assert words[0] == sys.executable


def test_placeholders_are_filled_once_and_are_never_a_shell(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    profile = load(
        tmp_path,
        "command: [python, -m, t, 'out={output_dir}', '{trial_id}:{gpu_ids}', '{\"json\": 1}', '{config_file}', 3]\n"
        "overrides: argparse",
    )
    words = profile.command_line(
        python="py",
        config_file="{trial_id} $(x); y",
        output_dir="a b",
        trial_id="t1",
        gpu_ids="0,1",
        overrides=["--lr=1"],
    )
    assert words == [
        *("py", "-m", "t", "out=a b", "t1:0,1", '{"json": 1}', "{trial_id} $(x); y", "3", "--lr=1"),
    ]


@pytest.mark.parametrize(
    ("style", "expected"),
    [("yacs", ["OUT", "'a b'"]), ("hydra", ["OUT='a b'"]), ("argparse", ["--OUT=a b"])],
)
def test_the_output_directory_is_told_in_the_style_of_the_overrides(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, style: str, expected: list[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    profile = load(tmp_path, f"command: [t]\noverrides: {style}\noutput_dir_key: OUT")
    assert profile.command_line(output_dir="a b") == ["t", *expected]
    assert profile.command_line() == ["t"]


def test_the_option_before_overrides_is_left_out_where_there_are_none(tmp_path: Path) -> None:
    text = "command: [t, --cfg, '{config_file}', --output, '{output_dir}']\noverrides_option: --opts"
    profile = load(tmp_path, text)
    given = {"config_file": "c.yml", "output_dir": "out"}
    assert profile.command_line(**given)[-2:] == ["--output", f"{Path.cwd()}/out"]
    assert profile.command_line(**given, overrides=["A", "1"])[-3:] == ["--opts", "A", "1"]
    keyed = load(tmp_path, f"{text}\noutput_dir_key: OUT")
    assert keyed.command_line(**given)[-3:] == ["--opts", "OUT", f"{Path.cwd()}/out"]


def test_what_the_command_needs_must_be_given(tmp_path: Path) -> None:
    profile = load(tmp_path, "command: [t, '{config_file}', '{output_dir}']")
    assert profile.needs_config_file
    with pytest.raises(ConfigError) as caught:
        profile.command_line()
    assert [problem.split("needs ")[1] for problem in caught.value.problems] == [
        "{config_file}, and no config_file was given",
        "{output_dir}, and no output_dir was given",
    ]


def test_the_interpreter_is_the_command_lines_then_the_profiles_then_ours(tmp_path: Path) -> None:
    profile = load(tmp_path, "command: [python]\npython: env/bin/python")
    assert profile.interpreter("/x") == "/x"
    assert profile.interpreter() == str(tmp_path / "env/bin/python")
    assert load(tmp_path, "command: [python]\npython: python3.9").interpreter() == "python3.9"
    assert load(tmp_path, "command: [python]").interpreter() == sys.executable


def test_paths_are_relative_to_the_folder_that_holds_the_profiles(tmp_path: Path) -> None:
    text = "command: [t]\ncwd: sub"
    (tmp_path / "sub").mkdir()
    write(tmp_path / "configs/trainers/named.yaml", text)
    assert load_profile("named", project_root=tmp_path).cwd == tmp_path / "sub"
    assert load(tmp_path, text).cwd == tmp_path / "sub"
    assert load(tmp_path, "command: [t]").cwd == tmp_path  # where the launcher was started


def test_a_projects_own_profile_comes_before_ours(tmp_path: Path) -> None:
    write(tmp_path / "configs/trainers/reid.yaml", "command: [mine]")
    assert load_profile("reid", project_root=tmp_path).command == ("mine",)


def test_an_unknown_profile_lists_the_known_ones(tmp_path: Path) -> None:
    write(tmp_path / "configs/trainers/mine.yaml", "command: [t]")
    with pytest.raises(
        ConfigError,
        match=r"--trainer ried: no such profile; did you mean reid\?; there are: .*\bmine, mmengine, pycls, reid, ",
    ):
        load_profile("ried", project_root=tmp_path)
    with pytest.raises(ConfigError, match=r"none\.yaml: no such file"):
        load_profile(tmp_path / "none.yaml", project_root=tmp_path)


def test_a_script_in_place_of_a_profile_is_told_what_to_write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    write(tmp_path / "code/train.py", "print(1)")
    for name in ("code/train.py", str(tmp_path / "code" / "train.py")):
        with pytest.raises(ConfigError, match="is a script, not a profile") as caught:
            load_profile(name, project_root=tmp_path)
        assert f"`--init {name}`" in str(caught.value) and f"`program: {name}`" in str(caught.value)
    with pytest.raises(ConfigError, match="no such profile"):
        load_profile("gone.py", project_root=tmp_path)


def test_every_mistake_is_told_at_once_with_its_line(tmp_path: Path) -> None:
    found = problems(
        tmp_path,
        """\
comand: [x]
overrides: yaks
command: [python, '{config_fil}']
cwd: nowhere
aliases:
  lr: --LR
schema: defaults.py
env:
  A-B: x
  C: yes
preload: [torch, 'a b']
metrics:
  - pattern: 'loss (?P<v>{number}'
    log: {train/loss: v}
  - log: {x: y}
  - pattern: 'x (?P<v>\\d+)'
    log: {x: w}
    rwo: a
""",
    )
    expected = [
        (1, "comand: no such key; did you mean command?"),
        (2, "overrides: 'yaks' is not an override style; did you mean yacs?"),
        (3, "command[1]: unknown placeholder {config_fil}; did you mean config_file?"),
        (4, "cwd: no such folder"),
        (6, "aliases.lr: '--LR'"),
        (7, "schema: 'defaults.py' is not FILE.py:NAME"),
        (9, "env.A-B: is not the name of an environment variable"),
        (10, "env.C: True is not a text"),
        (11, "preload[1]: 'a b' is not the name of a module"),
        (13, "metrics[0].pattern: not a regular expression: missing ), unterminated subpattern at position 5"),
        (15, "metrics[1].pattern: missing"),
        (16, "metrics[2].pattern: x: no group named 'w'"),
        (18, "metrics[2].rwo: no such key; did you mean row?"),
    ]
    for line, text in expected:
        assert any(p.startswith(f"FILE:{line}:") and f": {text}" in p for p in found), (line, text, found)
    assert len(found) == len(expected)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", "a trainer profile is a mapping"),
        ("[a]", "a trainer profile is a mapping"),
        ("command: []", "command: missing"),
        ("command: python train.py", "is not a list of words"),
        ("command: [t\n", "FILE:2:1: not valid YAML"),
        ("command: [t]\ncommand: [u]", "given twice"),
        ("command: [t]\nmetrics: {a: b}", "is not a list of patterns"),
        ("command: [t]\nmetrics: [a]", "is not an entry"),
        ("command: [t]\nmetrics: [{pattern: '(a+)+b', log: {x: y}}]", "exponential time"),
        ("command: [t]\naliases: [a]", "is not a mapping"),
        ("command: [t]\noverrides: hydra\nschema: a.py:b", "a schema is a YACS tree"),
    ],
)
def test_single_mistakes(tmp_path: Path, text: str, expected: str) -> None:
    assert expected in "\n".join(problems(tmp_path, text))


def test_keys_are_taken_in_any_case_and_with_dashes(tmp_path: Path) -> None:
    profile = load(
        tmp_path,
        """\
Command: [t]
override-style: Argparse
OUTPUT-DIR-KEY: out
AXIS: 7
Aliases: {LR: base-lr}
Checkpoints: ['*.pth']
Metrics:
  - Pattern: 'Loss (?P<v>{number})'
    LOG: {Train/Loss: v}
    Units: {Train/Loss: fraction}
  - pattern: 'row (?P<t>.*)'
    Table: {Separator: ',', VALUES: '(?P<cells>.+)'}
Files:
  - {PATH: '{output_dir}/x', Names: {'(?P<n>A.*)': '{n}'}}
""",
    )
    assert (profile.command, profile.overrides, profile.output_dir_key) == (("t",), "argparse", "out")
    assert (profile.aliases, profile.checkpoints) == ({"LR": "base-lr"}, ("*.pth",))  # what is no key stays as it is
    assert profile.metrics.axis == "7" and not profile.metrics.generic
    first, second = profile.metrics.entries
    assert first.log == (("Train/Loss", "v"),) and "Train/Loss" in first.units
    assert second.table is not None and second.table.separator == ","
    assert profile.files[0].path == "{output_dir}/x"


def test_a_profile_may_extend_one_that_is_spelt_otherwise(tmp_path: Path) -> None:
    write(
        tmp_path / "base.yaml",
        "Command: [t]\nCWD: sub\nAliases: {lr: A, wd: B}\nEnv: {X: 1}\nFiles: [{path: base}]\nOutput-Dir-Key: OUT\n",
    )
    (tmp_path / "sub").mkdir()
    profile = load(
        tmp_path, "Extends: base.yaml\naliases: {lr: C}\nENV: {Y: 2}\nfiles: [{path: own}]\noutput_dir_key: null\n"
    )
    assert (profile.command, profile.cwd) == (("t",), tmp_path / "sub")
    assert (profile.aliases, profile.env) == ({"lr": "C", "wd": "B"}, {"X": "1", "Y": "2"})
    assert [source.path for source in profile.files] == ["own", "base"]
    assert profile.output_dir_key is None
    write(tmp_path / "base.yaml", "Command: [t]\nFiles: [{Path: 1.50}]\nAXIS: [1.50]\n")
    with pytest.raises(ConfigError) as caught:
        load(tmp_path, "extends: base.yaml\nfiles: [{path: own}]\nComand: x\n")
    found = [problem.replace(str(tmp_path), "") for problem in caught.value.problems]
    assert [text.partition(" ")[0] for text in found] == [
        *("/mine.yaml:3:1:", "/base.yaml:2:10:", "/base.yaml:2:10:", "/base.yaml:3:1:"),
    ]
    assert "files[1].Path: 1.5 is not a text" in found[1] and "AXIS: [1.5] is not a text" in found[3]


def test_mistakes_name_a_key_as_it_is_spelt(tmp_path: Path) -> None:
    found = problems(
        tmp_path,
        """\
Command: python t.py
command: [t]
Override-Style: yaks
overrides: yacs
Pre-Load: 3
axes: [1]
Metrics:
  - Patern: x
    Log: 3
    log: {a: b}
    units: {a: [1]}
""",
    )
    expected = [
        "FILE:2:1: command: the same key as Command; keep one",
        "FILE:4:1: overrides: the same key as Override-Style; keep one",
        "FILE:5:1: Pre-Load: no such key; did you mean preload?; allowed: extends, command, cwd, overrides,",
        "FILE:6:1: axes: no such key; did you mean axis?; allowed: extends, command,",
        "FILE:3:1: Override-Style: 'yaks' is not an override style; did you mean yacs?; allowed: yacs, hydra, argparse",
        "FILE:1:1: Command: 'python t.py' is not a list of words; write [a, b, c]",
        "FILE:5:1: Pre-Load: 3 is not a list of words; write [a, b, c]",  # a misspelt key's own mistakes
        "FILE:10:5: Metrics[0].log: the same key as Log; keep one",
        "FILE:8:5: Metrics[0].Patern: no such key; did you mean pattern?; allowed: pattern, log, row,",
        "FILE:8:5: Metrics[0].pattern: missing or not a text",
        "FILE:9:5: Metrics[0].Log: missing or not {metric name: group of the pattern}",
        "FILE:11:13: Metrics[0].units.a: the entry logs no such metric",
        "FILE:6:1: axes: [1] is not a text",
    ]
    assert len(found) == len(expected), found
    assert all(problem.startswith(start) for problem, start in zip(found, expected, strict=True)), found


def test_a_unit_that_is_no_text_is_told(tmp_path: Path) -> None:
    (found,) = problems(
        tmp_path, "command: [t]\nmetrics: [{pattern: 'a (?P<v>1)', log: {a: v}, units: {a: [percent]}}]\n"
    )
    assert found.startswith("FILE:2:56: metrics[0].units.a: ['percent'] is not a unit; write percent")


def test_environment_of_a_trial() -> None:
    given = {"PATH": "/bin", "WANDB_API_KEY": "secret", "WANDB_MODE": "online"}
    trial = child_environment({"EXTRA": "1"}, given)
    assert trial == {
        "PATH": "/bin", "EXTRA": "1", "WANDB_MODE": "disabled", "PYTHONUNBUFFERED": "1", "OMP_WAIT_POLICY": "passive",
    }  # fmt: skip
    assert child_environment({}, {"OMP_WAIT_POLICY": "active"})["OMP_WAIT_POLICY"] == "active"
    assert child_environment({"OMP_WAIT_POLICY": "active"}, {})["OMP_WAIT_POLICY"] == "active"


def test_a_project_that_cannot_be_looked_into_has_no_profiles(tmp_path: Path) -> None:
    known = load_profile("reid", project_root=tmp_path).reference
    assert shortest_reference(known, tmp_path / ("x" * 300)) == "reid"


def test_the_metric_of_sweeps_that_name_none(tmp_path: Path) -> None:
    text = "command: [t]\nmetric: {name: val/acc, goal: Maximize}"
    assert load(tmp_path, text).default_metric == Metric("val/acc", "maximize")
    assert load(tmp_path, "command: [t]").default_metric is None
    for wrong, message in (
        ("val/acc", "'val/acc' is not a metric; write"),
        ("{name: val/acc}", "has a name and a goal; write"),
        ("{goal: maximize}", "has a name and a goal; write"),
        ("{name: a, goal: up}", "'up' is not allowed; allowed: minimize, maximize"),
        ("{name: a, goal: maximize, impute: worst}", "no such key; allowed: name, goal"),
    ):
        with pytest.raises(ConfigError, match=re.escape(message)):
            load(tmp_path, f"command: [t]\nmetric: {wrong}")
