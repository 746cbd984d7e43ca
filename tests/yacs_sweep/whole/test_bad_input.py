"""A user's mistake: every mistake in one clear line, exit status 2, nothing created, no traceback."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.sweeping import GRID, environment, sweep, write_sweep

BROKEN = "method: grid\nparameters:\n  base_lr: [1, 2\n"
WRONG = """\
method: grid
metric: {name: val/mAP, goal: maximize}
parameters:
  base_lrr: {values: [0.1]}
  max_epochs: {values: [1, 2.5]}
  SOLVER.MARGN: {values: [0.3]}
  weight_decay: {values: [abc]}
"""
TWICE_WRONG = """\
method: bayesian
parameters:
  base_lrr: {values: [0.1]}
  margin: {min: 0.5, max: 0.1}
"""
FILES = {
    "broken.yaml": BROKEN,
    "wrong.yaml": WRONG,
    "twice.yaml": TWICE_WRONG,
    "none.yaml": "method: grid\nparameters: {}\n",
}

CASES = [
    (
        ["--sweep-config", "nofile.yaml"],
        ["nofile.yaml: no such sweep file or preset; presets: ablation, accuracy_and_cost, base"],
    ),
    (["--sweep-config", "sweep_tset"], ["did you mean sweep_test?"]),
    (["--sweep-config", "broken.yaml"], ["broken.yaml:4:1: not valid YAML"]),
    (
        ["--sweep-config", "wrong.yaml"],
        [
            "wrong.yaml:4:3: parameters.base_lrr: no such key in defaults.py:_C; did you mean base_lr?",
            "wrong.yaml:5:3: parameters.max_epochs: max_epochs (SOLVER.MAX_EPOCHS): 2.5 is not a whole number",
            "wrong.yaml:6:3: parameters.SOLVER.MARGN: no such key",
            "did you mean SOLVER.MARGIN?",
            "weight_decay (SOLVER.WEIGHT_DECAY): 'abc' is not a number",
        ],
    ),
    (
        ["--sweep-config", "twice.yaml"],
        [
            "twice.yaml:1:1: method: 'bayesian' is not allowed; allowed: grid, random, bayes, custom, pbt; did you mean bayes?",
            "twice.yaml:3:3: parameters.base_lrr: no such key",
            "min: 0.5 is greater than max 0.1",
        ],
    ),
    (["--sweep-config", "none.yaml"], ["holds no parameter"]),
    (["--sweep-config", "sweep_test", "--count", "0"], ["--count: '0' is not a positive whole number"]),
    (["--sweep_id", "nosuch"], ["--sweep_id nosuch: no such sweep"]),
    (
        ["--sweep-config", "sweep_test", "--results_dir", "none.yaml"],
        ["none.yaml is a file; choose another folder with --results_dir DIR"],
    ),
    (["--sweep_id", "../../etc"], ["not a sweep id"]),
    (["--sweep_id", "x", "--method", "grid"], ["--method: --sweep_id resumes a sweep, whose search is fixed"]),
    ([], ["nothing to search"]),
    (["--metric"], ["--metric: needs a value"]),
    (["--sweep-config", "sweep_test", "--worker", "2"], ["no such option: --worker; did you mean --workers?"]),
    (
        ["--sweep-config", "sweep_test", "--gamma=2"],
        ["no such option: --gamma=2; an option of the trainer", "-- --gamma=2"],
    ),
    (["--lr_values", "1,x"], ["--lr_values: 'x' is not a number"]),
    (["--custom_params", "{"], ["--custom_params: not JSON"]),
    (["--lr_values", "1", "SOLVER.BASE_LRR", "2"], ["SOLVER.BASE_LRR: no such key", "did you mean SOLVER.BASE_LR?"]),
    (["--lr_values", "1", "SOLVER.MARGIN"], ["'SOLVER.MARGIN' has no value"]),
    (["--lr_values", "1", "SOLVER.MAX_EPOCHS", "many"], ["SOLVER.MAX_EPOCHS", "not a whole number"]),
    (["--lr_values", "1", "--sweep-confg", "x"], ["did you mean --sweep-config?"]),
    (["--lr_values", "1", "--storage", "nodb://x"], ["--storage: cannot use that database"]),
    (["--lr_values", "1", "--python", "nopython"], ["--python nopython: no such interpreter"]),
    (["--lr_values", "1", "--gpus", "x"], ["--gpus x: "]),
    (["--lr_values", "1", "--engine", "borg"], ["--engine: 'borg' is not allowed; allowed: local, ray, slurm"]),
    (["--lr_values", "1", "--timeout", "-1"], ["--timeout: '-1' is not a positive number"]),
]


@pytest.mark.parametrize(("words", "expected"), CASES, ids=[" ".join(words) or "nothing" for words, _ in CASES])
def test_mistake(tmp_path: Path, words: list[str], expected: list[str]) -> None:
    for name, text in FILES.items():
        write_sweep(tmp_path, text, name)
    before = sorted(tmp_path.rglob("*"))
    ran = sweep(tmp_path, *words, env=environment(tmp_path))
    assert ran.code == 2, ran.out + ran.err
    for text in expected:
        assert text in ran.err
    assert "Traceback" not in ran.err
    assert all(line.startswith("error: ") for line in ran.err.splitlines())
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (None, "--config_file base.yml: no such file"),
        ("A: [1", "base.yml:2:1: not valid YAML"),
        ("SOLVER: {BASE_LRX: 1}", "SOLVER.BASE_LRX: no such key"),
        ("SOLVER: {MAX_EPOCHS: abc}", "SOLVER.MAX_EPOCHS: 'abc' is not a whole number"),
    ],
)
def test_mistake_in_the_configuration_file(tmp_path: Path, text: str | None, expected: str) -> None:
    if text is not None:
        (tmp_path / "base.yml").write_text(text)
    path = write_sweep(tmp_path, {**GRID, "parameters": {"base_lrr": {"values": [1]}}})
    ran = sweep(tmp_path, "--sweep-config", path, config=Path("base.yml"))
    assert ran.code == 2
    assert expected in ran.err
    assert not ran.sweeps


NOT_LISTED = """\
program: train.py
method: grid
parameters:
  lr: {distribution: uniform, min: 0.0005, max: 0.003}
"""


@pytest.mark.parametrize("wrapped", [False, True])
def test_a_wrong_file_that_names_its_program_is_not_told_of_another_trainer(tmp_path: Path, wrapped: bool) -> None:
    text = "sweep:\n" + "".join(f"  {line}\n" for line in NOT_LISTED.splitlines()) if wrapped else NOT_LISTED
    ran = sweep(tmp_path, "--sweep-config", write_sweep(tmp_path, text), trainer=None, config=None)
    assert (ran.code, ran.sweeps) == (2, [])
    (line,) = ran.err.splitlines()
    assert "parameters.lr: method grid cannot list lr (uniform)" in line


def test_a_nested_parameter_the_trainer_does_not_know_is_told_with_its_place(tmp_path: Path) -> None:
    text = "method: grid\nparameters:\n  SOLVER:\n    parameters:\n      BASE_LRR: [0.1]\n"
    ran = sweep(tmp_path, "--sweep-config", write_sweep(tmp_path, text, "nested.yaml"))
    assert ran.code == 2
    assert "nested.yaml:5:7: parameters.SOLVER.parameters.BASE_LRR: SOLVER.BASE_LRR: no such key" in ran.err


def test_a_wrapped_file_in_capitals_has_its_places_told(tmp_path: Path) -> None:
    text = "config:\r\n  Method: GRID\r\n  Parameters:\r\n    solver.margin: [0.1]\r\n"
    (tmp_path / "c.yaml").write_bytes(text.encode())
    ran = sweep(tmp_path, "--sweep-config", "c.yaml")
    assert ran.code == 2
    (line,) = ran.err.splitlines()
    assert "c.yaml:4:5: Parameters.solver.margin: no such key" in line
    assert line.endswith("did you mean SOLVER.MARGIN?")


def test_with_nothing_to_search_there_is_one_line(tmp_path: Path) -> None:
    ran = sweep(tmp_path, config=None, trainer=None)
    assert ran.code == 2 and ran.err.startswith("error: nothing to search: ") and len(ran.err.splitlines()) == 1


def test_missing_configuration_file_option(tmp_path: Path) -> None:
    ran = sweep(tmp_path, "--lr_values", "1", config=None)
    assert (ran.code, ran.sweeps) == (2, [])
    assert "--config_file is missing: the trainer toy needs one" in ran.err


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("method: grid\nprogram: train.py\nparameters: {lr: [0.1}\n", "s.yaml:3:22: not valid YAML"),
        ("- method\n- program\n", "s.yaml:1:1: holds ['method', 'program'], not `key: value` lines"),
        (
            "Method: grid\nProgram: train.py\nparameters: {lr: {vals: [1]}}\n",
            "s.yaml:3:19: parameters.lr.vals: unknown",
        ),
        (None, "s.yaml: no such sweep file or preset"),
    ],
)
def test_a_sweep_file_that_cannot_be_read_is_one_error(tmp_path: Path, text: str | None, problem: str) -> None:
    if text is not None:
        (tmp_path / "s.yaml").write_text(text)
    ran = sweep(tmp_path, "--sweep-config", "s.yaml", config=None, trainer=None)
    assert (ran.code, ran.sweeps) == (2, [])
    assert len(ran.err.splitlines()) == 1 and problem in ran.err, ran.err


def test_unknown_trainer_lists_the_profiles(tmp_path: Path) -> None:
    ran = sweep(tmp_path, "--lr_values", "1", trainer=Path("nope"))
    assert ran.code == 2
    assert "reid" in ran.err
