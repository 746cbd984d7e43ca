"""Mistakes in a sweep file: all of them at once, each with its place and what to write instead."""

from __future__ import annotations

from pathlib import Path

import pytest

from yacs_sweep.base.errors import ConfigError
from yacs_sweep.spec.sweep_files import load_spec


def problems(tmp_path: Path, text: str) -> list[str]:
    path = tmp_path / "s.yaml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(ConfigError) as caught:
        load_spec(path)
    return [line.removeprefix(f"{tmp_path}/") for line in caught.value.problems]


def test_all_mistakes_at_once_with_their_places(tmp_path: Path) -> None:
    text = """\
method: gird
metric:
  nmae: val/mAP
  goal: up
paramters:
  a: [1]
parameters:
  lr:
    distribution: uniform
    min: 1.0
    max: 0.1
  lr2: {valeus: [1, 2]}
  empty:
  lr:
    value: 3
early_terminate: {type: hyperban}
count: 0
"""
    parameter_keys = "distribution, value, values, probabilities, min, max, mu, sigma, a, b, q, parameters, parent"
    assert problems(tmp_path, text) == [
        "s.yaml:1:1: method: 'gird' is not allowed; allowed: grid, random, bayes, custom, pbt; did you mean grid?",
        "s.yaml:3:3: metric.nmae: unknown key; allowed: name, goal, target, impute, impute_while_running; "
        "did you mean name?",
        "s.yaml:4:3: metric.goal: 'up' is not allowed; allowed: minimize, maximize",
        "s.yaml:5:1: paramters: unknown key; allowed: name, description, method, metric, metrics, parameters, "
        "early_terminate, scheduler, run_cap, program, command, project, entity, controller, count, results_dir_base, "
        "optimize, where, metric_constraints, repeats, pbt, order, budget; "
        "did you mean parameters?",
        f"s.yaml:12:9: parameters.lr2.valeus: unknown key; allowed: {parameter_keys}, parent_values; "
        "did you mean values?",
        "s.yaml:13:3: parameters.empty: has nothing under it; indent its lines further, "
        "or write `value: null` for the value null",
        "s.yaml:14:3: parameters.lr: given twice, first on line 8; keep one",
        "s.yaml:16:19: early_terminate.type: 'hyperban' is not allowed; allowed: hyperband, median, asha, curve, "
        "patience, divergence; did you mean hyperband?",
        "s.yaml:17:1: count: 0 is not a whole number of 1 or more",
    ]


def test_what_stands_under_a_misspelt_key_is_read_too(tmp_path: Path) -> None:
    text = """\
method: bayes
metirc:
  name: val/loss
  goal: min
paramters:
  lr: {distrbution: normal, mean: 1, sigma: -1}
  epochs: {mini: 3, max: 1}
early_termination: {type: hyperband, min_itr: 0}
"""
    found = problems(tmp_path, text)
    assert [line.split(": ")[1] for line in found] == [
        "metirc",
        "metirc.goal",
        "paramters",
        "paramters.lr.distrbution",
        "paramters.lr.mean",
        "paramters.lr.sigma",
        "paramters.epochs.mini",
        "paramters.epochs.mini",
        "early_termination",
        "early_termination.min_itr",
        "early_termination.min_itr",
    ]
    assert found[1].endswith("did you mean minimize?")
    assert found[3].endswith("allowed: distribution, mu, sigma, parent, parent_values; did you mean distribution?")
    assert found[4].endswith("did you mean mu?")
    assert found[7].endswith("3 is greater than max 1; are they swapped?")


def test_lines_that_stand_beside_their_parameter_are_told(tmp_path: Path) -> None:
    found = problems(tmp_path, "method: random\nparameters:\n  lr:\n  min: 1\n  max: 2\n  batch: [1]\n")
    assert found == [
        "s.yaml:3:3: parameters.lr: has nothing under it; indent its lines further, or write `value: null` for the "
        "value null",
        "s.yaml:4:3: parameters.min: is beside lr, not under it; indent it further",
        "s.yaml:5:3: parameters.max: is beside lr, not under it; indent it further",
    ]


def test_conditions_are_checked_although_other_things_are_wrong(tmp_path: Path) -> None:
    text = "method: grd\nparameters: {lr: [1], b: {values: 3}}\nwhere: [lr < 3, b > 1, lrr > 2, 'b <']\n"
    assert [line.split(": ", 2)[1] for line in problems(tmp_path, text)] == [
        "method",
        "parameters.b.values",
        "where",
        "where[3]",
    ]


@pytest.mark.parametrize(
    ("body", "problem"),
    [
        ("{min: 1.0, max: 0.1}", "p.min: 1.0 is greater than max 0.1; are they swapped?"),
        ("{min: 3, max: 3}", "p.min: 3 equals max; write `value: 3` for a fixed value"),
        ("{min: '1e-5', max: 1e-1}", "p.min: '1e-5' is a text; write 1e-5 without quotes"),
        ("{min: yes, max: 2}", "p.min: true is not a number"),
        ("{min: 0, max: .inf}", "p.max: inf is not a finite number"),
        ("{min: 0, max: 1" + "0" * 320 + "}", "0… is not a finite number"),
        ("{min: -1.0e+308, max: 1.0e+308}", "p.max: 1e+308 is further from min -1e+308 than a float can represent"),
        ("{min: 1}", "p: `max` is missing; uniform needs min and max"),
        ("{distribution: int_uniform, min: 1.5, max: 3}", "p.min: 1.5 is not a whole number"),
        ("{distribution: log_uniform_values, min: 0, max: 3}", "p.min: 0 is not greater than 0"),
        ("{distribution: log_uniform, min: 16, max: 1024}", "p.max: log_uniform takes exponents of e, and e^1024"),
        ("{distribution: loguniform, min: 1, max: 3}", "did you mean log_uniform_values?"),
        ("{distribution: choice, values: [1]}", "did you mean categorical?"),
        ("{distribution: 3, min: 1, max: 3}", "p.distribution: 3 is not a distribution"),
        ("{distribution: normal, mu: 1, sigma: 0}", "p.sigma: 0 is not greater than 0"),
        ("{distribution: q_normal, q: -1}", "p.q: -1 is not greater than 0"),
        ("{distribution: normal, min: 1}", "p.min: does not belong to distribution normal, which takes mu, sigma"),
        ("{mu: 1, sigma: 2}", "`distribution` is missing; with these keys write normal, log_normal"),
        ("{min: 1, max: 3, q: 1}", "p.q: needs a `distribution:` it belongs to"),
        ("{values: [1], min: 0}", "p.min: cannot be combined with `values`; keep one of them"),
        ("{values: 3}", "p.values: 3 is not a list; write [3], or `value:`"),
        ("{values: []}", "p.values: the list is empty"),
        ("[]", "p: the list is empty"),
        ("[1, .nan]", "p: holds nan or inf"),
        (".inf", "p: inf is not a finite number"),
        ("{value: {a: [.nan]}}", "p.value: holds nan or inf"),
        ("{}", "p: is empty; write `values: […]`"),
        ("{values: [1, 2], probabilities: [1]}", "p.probabilities: 1 probabilities for 2 values"),
        ("{values: [1, 2], probabilities: [0.5, 0.4]}", "p.probabilities: sum to 0.9, not 1"),
        ("{values: [1, 2], probabilities: [1.5, -0.5]}", "is not a list of numbers of 0 or more"),
        ("{lr: {values: [1]}}", "p.lr: is not a key of a parameter; nested ones go under `parameters:`"),
        ("{parameters: {}}", "p.parameters: has nothing under it"),
        ("{parameters: {a: [1]}, value: 3}", "p.value: cannot be combined with `parameters`"),
        ("{parent: o, values: [1]}", "p.parent: needs `parent_values` beside it"),
        ("{parent: oo, parent_values: [1], values: [1]}", "p.parent: oo is not a parameter here; did you mean o?"),
        ("{parent: o, parent_values: [sdg], values: [1]}", "'sdg' is not a value of o; its values: ['sgd', 'adam']"),
        ("{parent: p, parent_values: [1], values: [1]}", "p.parent: p depends on itself"),
        (
            "{parent: x, parent_values: [1], values: [1]}",
            "p.parent: x is uniform; a parent needs `values: […]` or int_uniform",
        ),
    ],
)
def test_parameter(tmp_path: Path, body: str, problem: str) -> None:
    text = f"method: random\nparameters:\n  o: [sgd, adam]\n  x: {{min: 0.0, max: 1.0}}\n  p: {body}\n"
    found = problems(tmp_path, text)
    assert len(found) == 1
    assert found[0].startswith("s.yaml:5:")
    assert problem in found[0]


STOPS = "method: random\nmetric: {name: m}\nparameters: {a: [1, 2]}\nearly_terminate: "
PAUSES = STOPS + "{type: asha, mode: promotion, max_iter: 9, "


@pytest.mark.parametrize(
    ("lines", "problem"),
    [
        ("parameters: {a: [1]}", "s.yaml:1:1: `method` is missing; allowed: grid, random, bayes"),
        ("method: grid", "s.yaml:1:1: `parameters` is missing"),
        ("method: grid\nparameters:\na: [1]", "s.yaml:2:1: parameters: has nothing under it; are the"),
        ("method: grid\nparameters: 3", "s.yaml:2:1: parameters: 3 holds no parameter"),
        (STOPS + "asha", "early_terminate: 'asha' is not allowed; write {type: asha, min_iter: 1}"),
        (STOPS + "{mode: promotion, max_iter: 9}", "early_terminate: `type` is missing; allowed: hyperband, asha"),
        (PAUSES + "bands: [3, 9]}", "bands: unknown key; allowed: type, mode, min_iter, max_iter, eta, metric"),
        (PAUSES + "eta: 1}", "eta: 1 is less than 2: mode: promotion resumes"),
        (PAUSES + "eta: 1.5}", "eta: 1.5 is less than 2: mode: promotion resumes"),
        ("method: grid\nparameters: {b: [1]}\nlr: {values: [1]}", "s.yaml:3:1: lr: looks like a parameter; indent it"),
        ("method: bayesian\nparameters: {a: [1]}", "did you mean bayes?"),
        ("method: bayes\nparameters: {a: [1]}", "`metric` is missing; method bayes needs"),
        ("method: grid\nparameters: {--lr: [1]}", "did you mean lr? The trainer profile adds the dashes"),
        ("method: grid\nparameters: {a b: [1]}", "parameters.a b: not a parameter name"),
        ("method: grid\nparameters: {a.b: [1], a: {parameters: {b: [2]}}}", "defines a.b again, already defined by"),
        ("method: grid\nparameters: {a: {min: 0.1, max: 1}}", "method grid cannot list a (uniform); give it `values"),
        (
            "method: grid\nparameters: {g: {parameters: {a: {min: 0.1, max: 1}}}}",
            "2:31: parameters.g.parameters.a: method",
        ),
        ("metric: 3\nmethod: grid\nparameters: {a: [1]}", "s.yaml:1:1: metric: 3 is not a metric"),
        ("metric: {name: x, parameters: {}}\nmethod: grid\nparameters: {a: [1]}", "belongs at the top level"),
        ("metric: {name: x, target: high}\nmethod: grid\nparameters: {a: [1]}", "'high' is not a number"),
        ("command: python x.py\nmethod: grid\nparameters: {a: [1]}", "is not a list of words"),
        ("command: ['${arg}']\nmethod: grid\nparameters: {a: [1]}", "command[0]: ${arg} is not a macro"),
        ("program:\nmethod: grid\nparameters: {a: [1]}", "program: has nothing after it"),
        ("controller: local\nmethod: grid\nparameters: {a: [1]}", "controller: 'local' is not allowed; write {type"),
        (
            "scheduler: {engine: optuna}\nmethod: grid\nparameters: {a: [1]}",
            "grid: a scheduler with engine optuna needs",
        ),
        ("optimize: first\nmethod: grid\nparameters: {a: [1]}", "allowed: last, best"),
        ("run_cap: 2.5\nmethod: grid\nparameters: {a: [1]}", "run_cap: 2.5 is not a whole number"),
        ("where: b < 3\nmethod: grid\nparameters: {a: [1]}", "s.yaml:1:1: where: b in 'b < 3' is not a parameter"),
        ("where: a <\nmethod: grid\nparameters: {a: [1]}", "s.yaml:1:1: where: cannot be read: 'a <'"),
        ("where: [true]\nmethod: grid\nparameters: {a: [1]}", "s.yaml:1:9: where[0]: true is not a condition"),
        ("where: a < 3\nmethod: grid\nparameters: {a: [x]}", "cannot be evaluated with a = 'x'"),
        ("where: a > 3\nmethod: random\nparameters: {a: [1]}", "no point of the search satisfies a > 3"),
        ("", "s.yaml:1:1: is empty; a sweep needs method and parameters"),
        ("- a\n- b", "s.yaml:1:1: holds ['a', 'b'], not `key: value` lines"),
    ],
)
def test_file(tmp_path: Path, lines: str, problem: str) -> None:
    found = problems(tmp_path, lines + "\n")
    assert any(problem in line for line in found), found
    assert all(line.startswith("s.yaml:") and line.isprintable() for line in found)


def test_control_characters_never_reach_the_terminal(tmp_path: Path) -> None:
    found = problems(tmp_path, 'method: "\\e[31m\\n"\nparameters: {a: [1]}\n')
    assert found[0].startswith("s.yaml:1:1: method: '\\x1b[31m\\n' is not allowed")
