"""Forms of sweep files that W&B's users write and W&B takes: read the same way, with a word where it is needed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from yacs_sweep.base.errors import ConfigError
from yacs_sweep.spec.read_sweep import sweep_from_dict
from yacs_sweep.spec.sweep import SweepSpec
from yacs_sweep.spec.sweep_files import load_spec, with_numbers

LR = "parameters: {lr: {values: [1, 2]}}\n"


def read(tmp_path: Path, text: str) -> SweepSpec:
    path = tmp_path / "s.yaml"
    path.write_text(text, encoding="utf-8")
    return load_spec(path)


def told(tmp_path: Path, text: str) -> list[str]:
    return [line.removeprefix(f"{tmp_path}/") for line in read(tmp_path, text).warnings]


def refused(tmp_path: Path, text: str) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        read(tmp_path, text)
    return [line.removeprefix(f"{tmp_path}/") for line in caught.value.problems]


def test_bands_of_min_iter_and_max_iter_start_at_min_iter(tmp_path: Path) -> None:
    text = "method: random\nmetric: {name: loss}\nearly_terminate: {type: hyperband, min_iter: 3, max_iter: 27}\n" + LR
    spec = read(tmp_path, text)
    rule = spec.early_terminate
    assert rule is not None and rule.bands[:3] == (3, 9, 27)
    assert told(tmp_path, text) == [
        "s.yaml:3:49: early_terminate.max_iter: has no effect without s: the bands are 3, 9, 27, 81, 243, …, from min_iter"
    ]
    stop = spec.to_wandb()["early_terminate"]  # W&B's engine fails on max_iter without s
    assert stop["min_iter"] == 3 and "max_iter" not in stop
    assert sweep_from_dict(spec.to_dict()) == spec


@pytest.mark.parametrize(
    "text",
    [
        "method: grid\nmethod: grid\n" + LR,
        "method: grid\nparameters:\n  lr:\n    values: [1, 2]\n    values: [1, 2]\n",
        "method: grid\nparameters:\n  lr: {values: [1, 2]}\n  lr:\n    values: [1, 2]\n",
    ],
)
def test_a_key_twice_with_one_value_is_given_once(tmp_path: Path, text: str) -> None:
    spec = read(tmp_path, text)
    assert (spec.grid_size, spec.warnings) == (2, ())


@pytest.mark.parametrize("values", ["[1, 2.0]", "[true, 2]", "[1]", "['1', 2]"])
def test_of_a_key_twice_with_different_values_the_last_counts(tmp_path: Path, values: str) -> None:
    text = f"method: grid\nparameters:\n  lr: {{values: [1, 2]}}\n  lr: {{values: {values}}}\n"
    line = "s.yaml:4:3: parameters.lr: given twice, first on line 3; keep one"
    assert told(tmp_path, text) == [f"{line}; the last counts, as on W&B"]
    assert list(read(tmp_path, text).parameters[0].values) == yaml.safe_load(values)
    assert refused(tmp_path, text + "count: 0\n") == [line, "s.yaml:5:1: count: 0 is not a whole number of 1 or more"]


@pytest.mark.parametrize(
    "text",
    [
        "x-common: &c {min: 0.1, max: 0.9}\nmethod: random\nparameters: {lr: *c, wd: *c}\n",
        "bounds: &c {min: 0.1, max: 0.9}\nmethod: random\nparameters: {lr: *c, wd: {<<: *c}}\n",
        "common: &c {min: 0.1, max: 0.9}\nmethod: random\nparameters: {lr: *c, wd: {<<: *c}}\n",  # not `command`
        "names: &c {min: 0.1, max: 0.9}\nmethod: random\nparameters: {lr: *c, wd: *c}\n",
        "_metric: {lr: &c {min: 0.1, max: 0.9}}\nmethod: random\nparameters: {lr: *c, wd: *c}\n",
        "config:\n  common: &c {min: 0.1, max: 0.9}\n  method: random\n  parameters: {lr: *c, wd: *c}\n",
        "anchors:\n  - &c {min: 0.1, max: 0.9}\nmethod: random\nparameters: {lr: *c, wd: {<<: [*c]}}\n",
        "sweep:\n  bounds: &c {min: 0.1, max: 0.9}\n  method: random\n  parameters: {lr: *c, wd: *c}\n",
        "bounds: &c {min: 0.1, max: 0.9}\nsweep:\n  method: random\n  parameters: {lr: *c, wd: *c}\n",
        "x-unused: 3\nmethod: random\nparameters: {lr: &c {min: 0.1, max: 0.9}, wd: *c}\n",
    ],
)
def test_a_template_at_the_top_is_no_parameter(tmp_path: Path, text: str) -> None:
    spec = read(tmp_path, text)
    assert [(item.name, item.min, item.max) for item in spec.parameters] == [("lr", 0.1, 0.9), ("wd", 0.1, 0.9)]
    assert spec.warnings == ()


def test_a_parameter_at_the_top_is_no_template_because_it_uses_one(tmp_path: Path) -> None:
    text = "method: random\nparameters: {lr: &c {min: 0.1, max: 0.9}}\nwd: *c\n"
    assert refused(tmp_path, text) == ["s.yaml:3:1: wd: looks like a parameter; indent it under `parameters:`"]


def test_a_misspelt_key_that_no_alias_uses_is_a_mistake(tmp_path: Path) -> None:
    for key, meant in (("common", "command"), ("names", "name")):
        lines = refused(tmp_path, f"{key}: &c {{a: 1}}\nmethod: grid\n" + LR)
        assert any(line.startswith(f"s.yaml:1:1: {key}: ") and line.endswith(f"{meant}?") for line in lines), lines


def test_a_key_that_no_sweep_file_has_is_told_and_not_used(tmp_path: Path) -> None:
    text = "method: grid\nauthor: me\nreport_to: [a, b]\nmode: online\n" + LR
    assert told(tmp_path, text) == [
        f"s.yaml:{place}: is not a key of a sweep file: not used, as on W&B"
        for place in ("2:1: author", "3:1: report_to", "4:1: mode")
    ]


@pytest.mark.parametrize(("key", "meant"), [("runcap", "run_cap"), ("early_early_terminate", "early_terminate")])
def test_a_key_that_resembles_one_of_a_sweep_file_is_a_mistake(tmp_path: Path, key: str, meant: str) -> None:
    line = refused(tmp_path, f"method: grid\n{key}: {{}}\n" + LR)[0]
    assert line.startswith(f"s.yaml:2:1: {key}: unknown key; allowed: ") and line.endswith(f"did you mean {meant}?")


def test_keys_of_launch_are_told_and_not_used(tmp_path: Path) -> None:
    text = "method: grid\njob: a/b:v1\nresource: local\nscheduler: {num_workers: 2, resource: local}\n" + LR
    assert told(tmp_path, text) == [
        f"s.yaml:{line}:1: {key}: is for W&B Launch and not used: trials run here"
        for line, key in ((2, "job"), (3, "resource"), (4, "scheduler"))
    ]
    assert set(read(tmp_path, text).to_wandb()) == {"method", "parameters"}


@pytest.mark.parametrize(
    ("word", "kept", "warning"),
    [
        ("'${envvar:A}/${envvar:B}'", "${envvar:A}/${envvar:B}", None),
        ("'${args_json_file}'", "${args_json_file}", None),
        ("''", "", None),
        ("", "None", "has nothing after it: it is the word None, as on W&B"),
        ("--file=${args_json_file}", "--file=${args_json_file}", "${args_json_file} stays as it is"),
        ("${program}${envvar:A}", "${program}${envvar:A}", "${program} stays as it is"),
        ("${learning_rate}", None, "${learning_rate} is not a macro: the word is left out, as on W&B"),
        ("${env_vars:A=1}", None, "${env_vars:A=1} is not a macro"),
        (
            "${interpereter}",
            None,
            "${interpereter} is not a macro: the word is left out, as on W&B; did you mean ${interp",
        ),
        ("${program}/${args}", None, "${program}/${args} is not a macro"),
    ],
)
def test_words_of_a_command_are_those_of_wandbs_agent(
    tmp_path: Path, word: str, kept: str | None, warning: str | None
) -> None:
    text = f"method: grid\ncommand:\n  - python\n  - {word}\n  - --last\n" + LR
    assert read(tmp_path, text).command == ("python", *(() if kept is None else (kept,)), "--last")
    lines = told(tmp_path, text)
    assert len(lines) == (warning is not None)
    if warning is not None:
        assert lines[0].startswith(f"s.yaml:4:{5 if word else 4}: command[1]: {warning}")


@pytest.mark.parametrize("word", ["${Program}", "${ARGS}", "${arg}", "${args_jsn}", "${envvar:}", "${env_var:HOME}"])
def test_a_misspelt_macro_that_the_trial_needs_is_a_mistake(tmp_path: Path, word: str) -> None:
    (line,) = refused(tmp_path, f"method: grid\ncommand: [python, '{word}']\n" + LR)
    assert f"command[1]: {word} is not a macro; allowed: ${{env}}" in line


def test_an_empty_command_is_the_default(tmp_path: Path) -> None:
    assert read(tmp_path, "method: grid\nprogram: train.py\ncommand: []\n" + LR).command == ()


EXPONENTS = """\
method: random
name: 1e5
metric: {name: loss, target: 1e-3}
parameters:
  lr: {distribution: log_uniform_values, min: 1e-6, max: 1.e-3}
  wd: {values: [1e-4, 5.0e-4, .5e3, "0.1", 1e-4x]}
  inner: {parameters: {eps: {value: 1e-8}}}
"""


def test_exponents_are_the_same_numbers_in_a_file_and_through_pyyaml(tmp_path: Path) -> None:
    (tmp_path / "s.yaml").write_text(EXPONENTS)
    file, mapping = load_spec(tmp_path / "s.yaml"), load_spec(yaml.safe_load(EXPONENTS))
    assert file.warnings == ()
    assert mapping.warnings == (
        "sweep: metric.target: '1e-3', and 4 more: PyYAML's text is read as the number, as W&B's server most "
        "likely does",
    )
    assert mapping == file and mapping.name == "1e5"
    assert mapping.parameters[0].min == 1e-6 and mapping.metric is not None and mapping.metric.target == 1e-3
    assert mapping.parameters[1].values == (1e-4, 5e-4, 500.0, "0.1", "1e-4x")
    assert load_spec({"sweep": yaml.safe_load(EXPONENTS)}) == file


def test_a_description_from_the_server_has_the_numbers_that_the_file_had() -> None:
    described = yaml.safe_load(EXPONENTS)
    assert sweep_from_dict(with_numbers(described)) == load_spec(described)
    assert described["parameters"]["lr"]["min"] == "1e-6"  # the server's own is not changed


@pytest.mark.parametrize(("text", "problem"), [("0.1", "write 0.1 without quotes"), ("1e999", "not a finite number")])
def test_a_bound_that_pyyaml_reads_as_a_text_for_another_reason_is_a_mistake(text: str, problem: str) -> None:
    parameters: dict[str, Any] = {"lr": {"min": text, "max": 1.0}}
    with pytest.raises(ConfigError, match=problem):
        load_spec({"method": "random", "parameters": parameters})


def test_quotes_in_a_file_are_kept(tmp_path: Path) -> None:
    spec = read(tmp_path, "method: grid\nparameters: {lr: {values: ['1e-5']}}\n")
    assert spec.parameters[0].values == ("1e-5",)
    assert sweep_from_dict(yaml.safe_load(yaml.safe_dump(spec.to_dict()))) == spec  # as sweep.yaml has it


def test_a_key_with_nothing_after_it_is_an_absent_one(tmp_path: Path) -> None:
    keys = ("name", "description", "project", "entity", "early_terminate", "run_cap", "command", "controller", "job")
    ours = ("count", "results_dir_base", "optimize", "where")
    text = "method: grid\n" + LR
    spec = read(tmp_path, text + "".join(f"{key}:\n" for key in (*keys, *ours)))
    assert spec == read(tmp_path, text) and spec.warnings == ()
    assert "program: has nothing after it" in refused(tmp_path, text + "program:\n")[0]
