"""Every option beside every key of a sweep file: an option changes what it names, and all else stays the file's."""

from __future__ import annotations

from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.sweeping import TOY
from yacs_sweep.base.errors import ConfigError
from yacs_sweep.launch.options.read import parse
from yacs_sweep.launch.options.table import Options
from yacs_sweep.launch.plan.make import make_plan
from yacs_sweep.launch.plan.new import default_metric, read_spec
from yacs_sweep.spec.methods.population import Population
from yacs_sweep.spec.parameter import Parameter
from yacs_sweep.spec.read_sweep import TOP_KEYS
from yacs_sweep.spec.sweep import Metric, Repeats, SweepSpec
from yacs_sweep.spec.sweep_files import load_spec

FILE = """\
method: random
metric: {name: val/mAP, goal: maximize, target: 90, impute: worst, impute_while_running: latest}
name: file
description: of the file
early_terminate: {type: hyperband, min_iter: 3, eta: 2}
run_cap: 50
count: 7
results_dir_base: out
program: train.py
command: ["${program}", "${args}"]
project: p
entity: e
optimize: best
where: [base_lr < 1]
metric_constraints: [ms < 3]
repeats: {n: 2, key: SOLVER.SEED, seeds: fresh}
budget: {for: 8h}
parameters:
  base_lr: {min: 0.001, max: 0.5}
  weight_decay: {values: [0.1, 0.2]}
  margin: {values: [0.3, 0.4]}
"""
# What does not stand beside the keys above.
GRID = """\
method: grid
order: shuffled
parameters: {base_lr: {values: [0.001, 0.5]}}
"""
SEVERAL = """\
method: custom
metrics: [{name: val/mAP, goal: maximize, threshold: 50}, {name: ms, target: 3}]
scheduler: {engine: optuna, source: own.py, optimizer: study, search_space: space}
parameters: {base_lr: {min: 0.001, max: 0.5}}
"""
POPULATION = """\
method: pbt
metric: {name: val/mAP, goal: maximize}
pbt: {population: 6, interval: 2, max_iter: 8}
parameters: {base_lr: {min: 0.001, max: 0.5}}
"""
LR = Parameter("base_lr", "categorical", values=(0.01, 0.02))
WD = Parameter("weight_decay", "categorical", values=(0.5,))
MARGIN = Parameter("margin", "categorical", values=(0.9,))

# What an option says of the search: its word, and the fields that it changes. The other options say nothing of it.
CHANGES: dict[str, tuple[str, dict[str, Any]]] = {
    "method": ("bayes", {"method": "bayes"}),
    "repeats": ("5", {"repeats": Repeats(5, "SOLVER.SEED", seeds="fresh")}),
    "metric": ("val/cmc_rank_1", {"metric": {"name": "val/cmc_rank_1"}}),
    "goal": ("minimize", {"metric": {"goal": "minimize"}}),
    "sweep_name": ("mine", {"name": "mine"}),
    "project": ("q", {"project": "q"}),
    "entity": ("f", {"entity": "f"}),
    "results_dir": ("elsewhere", {"results_dir_base": "elsewhere"}),
    "lr_values": ("0.01,0.02", {"parameters": LR}),
    "wd_values": ("0.5", {"parameters": WD}),
    "custom_params": ('{"margin": [0.9]}', {"parameters": MARGIN}),
}
# Words of options that take neither a number nor `best`.
TAKEN = {
    "until": ["--until=23:59"],
    "run_for": ["--for=3h"],
    "notify_on": ["--notify-on=first-failure"],
    "compare": ["--compare", "a", "b"],
    "diff": ["--diff", "a", "b"],
}
NAMES = [
    name for name, entry in Options.table().items() if name not in ("sweep_config", "order") and not entry.positional
]  # order: a grid's alone


def words(name: str) -> list[str]:
    """The option with a value that it takes."""
    entry = Options.table()[name]
    flag = Options.flag(name)
    if name in CHANGES:
        return [f"{flag}={CHANGES[name][0]}"]
    if isinstance(getattr(Options(), name), bool):
        return [flag]
    if name in TAKEN:
        return TAKEN[name]
    if entry.choices:
        return [f"{flag}={entry.choices[-1]}"]
    for value in ("3", "best"):
        try:
            _ = entry.convert(value) if entry.convert else value
        except Exception:
            continue
        return [f"{flag}={value}"]
    raise AssertionError(name)


def changed(spec: SweepSpec, changes: dict[str, Any]) -> SweepSpec:
    """The file's search with the fields of an option."""
    for key, value in changes.items():
        if key == "metric":
            assert isinstance(spec.metric, Metric)
            value = replace(spec.metric, **value)
        elif key == "parameters":
            value = (*(item for item in spec.parameters if item.name != value.name), value)
        spec = replace(spec, **{key: value})
    return spec


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "s.yaml"
    path.write_text(FILE)
    return path


def test_the_file_has_every_key(file: Path) -> None:
    spec = load_spec(file)
    plain = SweepSpec("grid", ())
    same = [item.name for item in fields(SweepSpec) if getattr(spec, item.name) == getattr(plain, item.name)]
    assert same == ["order", "more_metrics", "scheduler", "pbt", "warnings"]  # the first four: below
    assert spec.metric is not None
    assert [item.name for item in fields(Metric) if getattr(spec.metric, item.name) is None] == ["threshold"]
    left = set(TOP_KEYS) - {item.name for item in fields(SweepSpec)}
    assert left == {  # of which nothing is kept, or under another name
        *("controller", "apiVersion", "kind", "metrics", "metric_constraints"),
        *("job", "image_uri", "queue", "resource", "resource_args", "num_workers"),
    }


@pytest.mark.parametrize("name", NAMES)
def test_an_option_beside_every_key(file: Path, name: str) -> None:
    found = read_spec(parse(["--sweep-config", str(file), *words(name)]))
    expected = changed(load_spec(file), CHANGES.get(name, ("", {}))[1])
    given = {item.name: item for item in found.parameters}
    assert given == {item.name: item for item in expected.parameters}
    assert replace(found, parameters=()) == replace(expected, parameters=())
    assert found.warnings == load_spec(file).warnings


@pytest.mark.parametrize(("given", "order"), [((), "shuffled"), (("--order", "listed"), "listed")])
def test_the_order_of_a_grid(tmp_path: Path, given: tuple[str, ...], order: str) -> None:
    path = tmp_path / "s.yaml"
    path.write_text(GRID)
    assert read_spec(parse(["--sweep-config", str(path), *given])).order == order


@pytest.mark.parametrize("name", sorted(set(NAMES) - {"metric", "goal", "method"}))
def test_an_option_beside_several_metrics_and_a_scheduler(tmp_path: Path, name: str) -> None:
    path = tmp_path / "s.yaml"
    path.write_text(SEVERAL)
    found = read_spec(parse(["--sweep-config", str(path), *words(name)]))
    plain = read_spec(parse(["--sweep-config", str(path)]))
    assert plain.more_metrics and plain.scheduler is not None
    kept = ("method", "metric", "more_metrics", "scheduler", "constraints")
    assert {key: getattr(found, key) for key in kept} == {key: getattr(plain, key) for key in kept}


@pytest.mark.parametrize("name", sorted(set(NAMES) - {"method", "repeats"}))
def test_an_option_beside_a_population(tmp_path: Path, name: str) -> None:
    path = tmp_path / "s.yaml"
    path.write_text(POPULATION)
    found = read_spec(parse(["--sweep-config", str(path), *words(name)]))
    assert (found.method, found.pbt) == ("pbt", Population(2, 8, 6))


@pytest.mark.parametrize(("given", "count"), [((), 6), (("--count", "4"), 4)])
def test_the_number_of_members(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, given: tuple[str, ...], count: int
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "s.yaml").write_text(POPULATION)
    trainer = ("--trainer", str(TOY / "toy.yaml"), "--config_file", str(TOY / "toy.yml"), "--controller", "local")
    plan = make_plan(parse([*trainer, "--sweep-config", "s.yaml", "--wandb-mode", "disabled", *given]))
    assert plan.count == count


def test_a_profiles_metric_is_for_sweeps_that_name_none(tmp_path: Path) -> None:
    path = tmp_path / "s.yaml"
    path.write_text(SEVERAL)
    assert default_metric(parse(["--sweep-config", str(path), "--trainer", "reid"]), Path.cwd()) is None


@pytest.mark.parametrize("one", CHANGES)
@pytest.mark.parametrize("other", CHANGES)
def test_two_options_beside_every_key(file: Path, one: str, other: str) -> None:
    if one == other:
        return
    found = read_spec(parse(["--sweep-config", str(file), *words(one), *words(other)]))
    expected = changed(changed(load_spec(file), CHANGES[one][1]), CHANGES[other][1])
    assert {item.name: item for item in found.parameters} == {item.name: item for item in expected.parameters}
    assert replace(found, parameters=()) == replace(expected, parameters=())


@pytest.mark.parametrize(
    ("given", "count", "optimize"),
    [
        ((), 7, "best"),
        (("--count", "3"), 3, "best"),
        (("--optimize", "last"), 7, "last"),
        (("--count", "60"), 50, "best"),
    ],
)
def test_the_number_of_trials_and_what_counts(
    file: Path, monkeypatch: pytest.MonkeyPatch, given: tuple[str, ...], count: int, optimize: str
) -> None:
    monkeypatch.chdir(file.parent)
    trainer = ("--trainer", str(TOY / "toy.yaml"), "--config_file", str(TOY / "toy.yml"), "--controller", "local")
    plan = make_plan(parse([*trainer, "--sweep-config", str(file), "--wandb-mode", "disabled", *given]))
    assert (plan.count, plan.spec.optimize, plan.spec.run_cap) == (count, optimize, 50)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("method: random\nparameters: {base_lr: {value: 0.1}, margin: [0.3]}\n", True),
        ("method: grid\nparameters: {base_lr: {value: 0.1}}\n", True),
        ("method: random\nparameters: {base_lr: [0.1, 0.1]}\n", True),
        ("method: random\nparameters: {base_lr: [0.1, 0.2], margin: 0.3}\n", False),
        ("method: random\nparameters: {base_lr: {min: 0.1, max: 0.2}}\n", False),
        ("method: random\nparameters: {base_lr: {distribution: q_uniform, min: 0, max: 1, q: 1}}\n", False),
    ],
)
def test_a_sweep_in_which_nothing_varies_is_told(
    file: Path, monkeypatch: pytest.MonkeyPatch, text: str, told: bool
) -> None:
    monkeypatch.chdir(file.parent)
    file.write_text(text)
    trainer = ("--trainer", str(TOY / "toy.yaml"), "--config_file", str(TOY / "toy.yml"), "--controller", "local")
    plan = make_plan(parse([*trainer, "--sweep-config", str(file), "--wandb-mode", "disabled", "--count", "5"]))
    line = (
        "warning: nothing varies: every parameter has one value, so all trials are equal; write "
        "`base_lr: {values: [0.1, …]}`"
    )
    assert (line in plan.notes) == told
    # What an option adds varies.
    more = make_plan(
        parse([*trainer, "--sweep-config", str(file), "--wandb-mode", "disabled", "--wd_values", "0.1,0.2"])
    )
    assert not any("nothing varies" in note for note in more.notes)


@pytest.mark.parametrize(
    ("given", "files", "trailing"),
    [
        ("--sweep-config s.yaml SEED 3", ["s.yaml"], ["SEED", "3"]),
        ("--sweep-config s.yaml t.yaml SEED 3 lr 0.1 --count 2", ["s.yaml", "t.yaml"], ["SEED", "3", "lr", "0.1"]),
        ("--sweep-config sweep_test seed -1", ["sweep_test"], ["seed", "-1"]),
        ("SEED 3 --sweep-config s.yaml", ["s.yaml"], ["SEED", "3"]),
        ("--sweep-config s.yaml --count 2 SEED 3", ["s.yaml"], ["SEED", "3"]),
        ("--sweep-config s.yaml CFG t.yaml", ["s.yaml"], ["CFG", "t.yaml"]),
        ("--sweep-config s.yaml out 3", ["s.yaml"], ["out", "3"]),  # a folder is no sweep file
        ("--sweep-config s.yaml SEED 3 MODEL.NAME x", ["s.yaml"], ["SEED", "3", "MODEL.NAME", "x"]),
        ("--sweep-config s.yaml sweep_lr", ["s.yaml", "sweep_lr"], []),
        ("--sweep-config sweep_lr sweep_tset sweep_full", ["sweep_lr", "sweep_tset", "sweep_full"], []),
        ("--sweep-config s.yaml none.yaml t.yaml", ["s.yaml", "none.yaml", "t.yaml"], []),
        ("--sweep-config s.yaml other", ["s.yaml", "other"], []),
    ],
)
def test_a_key_without_a_dot_ends_the_list_of_sweep_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, given: str, files: list[str], trailing: list[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "out").mkdir()
    for name in ("s.yaml", "t.yaml"):
        (tmp_path / name).write_text(FILE)
    options = parse(given.split())
    assert (options.sweep_config, options.trailing) == (files, trailing)


@pytest.mark.parametrize(
    ("given", "name"),
    [
        ("--sweep_id x --retry-failed trial-0002", "trial-0002"),
        ("--sweep_id x --retry_failed trial-0002,trial-0005 SEED 3", "trial-0002,trial-0005"),
        ("--sweep_id x SEED 3 --retry-failed lemon", "lemon"),
        ("--sweep_id x --retry-failed glad-sweep-3 --count 2", "glad-sweep-3"),
    ],
)
def test_names_behind_retry_failed_want_an_equals_sign(
    given: str, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        parse(given.split())
    assert ended.value.code == 2
    line = f"error: --retry-failed {name}: write --retry-failed={name} (--help lists the options)\n"
    assert capsys.readouterr().err == line


@pytest.mark.parametrize(
    ("given", "trailing"),
    [
        ("--sweep_id x --retry-failed SEED 3", ["SEED", "3"]),
        ("--sweep_id x --retry-failed=trial-0002 SEED 3", ["SEED", "3"]),
        ("--sweep_id x --retry-failed seed=3", ["seed=3"]),
        ("--sweep_id x --retry-failed --count 3", []),
    ],
)
def test_what_follows_retry_failed_may_be_for_the_trainer(given: str, trailing: list[str]) -> None:
    assert parse(given.split()).trailing == trailing


def refused(file: Path, monkeypatch: pytest.MonkeyPatch, text: str, *more: str) -> list[str]:
    """What is wrong with a launch of the toy trainer."""
    monkeypatch.chdir(file.parent)
    file.write_text(text)
    trainer = ("--trainer", str(TOY / "toy.yaml"), "--config_file", str(TOY / "toy.yml"), "--controller", "local")
    with pytest.raises(ConfigError) as caught:
        make_plan(parse([*trainer, "--sweep-config", str(file), "--wandb-mode", "disabled", *more]))
    return [problem.removeprefix(f"{file}:") for problem in caught.value.problems]


@pytest.mark.parametrize(
    ("value", "told"),
    [
        ("[1e5, a]", "100000.0 is not a text (the default is 'train'); write '1e5' in quotes"),
        ("1.50", "1.5 is not a text (the default is 'train'); write '1.50' in quotes"),
        ("{values: [yes, a]}", "true is not a text (the default is 'train'); write 'yes' in quotes"),
        ("{min: 0.1, max: 1e1}", "0.1 is not a text (the default is 'train'); write '0.1' in quotes"),
    ],
)
def test_a_text_is_advised_as_the_file_has_it(
    file: Path, monkeypatch: pytest.MonkeyPatch, value: str, told: str
) -> None:
    found = refused(file, monkeypatch, f"method: random\nparameters:\n  TOY.MODE: {value}\n  margin: [0.1, 0.2]\n")
    assert found[0] == f"3:3: parameters.TOY.MODE: {told}"


def test_a_key_given_twice_is_a_warning_whatever_stood_below_it(tmp_path: Path) -> None:
    path = tmp_path / "s.yaml"
    path.write_text("method: random\nparameters:\n  a: {value: yes}\n  a: [1, 2]\n")
    (warning,) = load_spec(path).warnings
    assert "parameters.a: given twice, first on line 3; keep one" in warning


def profile_with_alias(folder: Path, alias: str) -> str:
    """A copy of the toy trainer's profile with one alias."""
    data = yaml.safe_load((TOY / "toy.yaml").read_text())
    data.update(aliases={alias: "SOLVER.BASE_LR"}, cwd=str(TOY))
    path = folder / "mine.yaml"
    path.write_text(yaml.safe_dump(data))
    return str(path)


def test_an_option_whose_key_the_profile_lacks_names_the_alias(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    config = ("--config_file", str(TOY / "toy.yml"), "--controller", "local", "--wandb-mode", "disabled")
    words = [*config, "--lr_values", "0.1,0.2", "--trainer"]
    with pytest.raises(ConfigError) as caught:
        make_plan(parse([*words, profile_with_alias(tmp_path, "lr")]))
    (line,) = caught.value.problems
    assert line.startswith("--lr_values: base_lr: no such key in defaults.py:_C")
    assert line.endswith(
        f"; --lr_values needs the alias `base_lr: KEY` in {tmp_path}/mine.yaml, "
        """or write --custom_params '{"KEY": […]}'"""
    )
    assert make_plan(parse([*words, profile_with_alias(tmp_path, "base_lr")])).count == 2


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ('{"SOLVER.LRR": [1]}', "--custom_params: SOLVER.LRR: no such key"),
        ('{"TOY.MODE": [true]}', "--custom_params: TOY.MODE: true is not a text"),
    ],
)
def test_a_problem_names_the_option_that_gives_the_parameter(
    file: Path, monkeypatch: pytest.MonkeyPatch, given: str, told: str
) -> None:
    text = "method: random\nparameters: {base_lr: [0.1], margin: [0.3, 0.4]}\n"
    (line,) = refused(file, monkeypatch, text, "--custom_params", given)
    assert line.startswith(told)


def notes(file: Path, monkeypatch: pytest.MonkeyPatch, text: str, *more: str) -> tuple[str, ...]:
    """The lines that a launch of the toy trainer begins with."""
    monkeypatch.chdir(file.parent)
    file.write_text(text)
    trainer = ("--trainer", str(TOY / "toy.yaml"), "--config_file", str(TOY / "toy.yml"), "--controller", "local")
    return make_plan(parse([*trainer, "--sweep-config", str(file), "--wandb-mode", "disabled", *more])).notes


@pytest.mark.parametrize("name", ["base_lr", "SOLVER.BASE_LR"])
def test_a_word_for_a_key_that_is_searched_is_told(file: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    text = "method: random\nparameters: {base_lr: [0.1, 0.2]}\n"
    found = notes(file, monkeypatch, text, name, "0.5", "SOLVER.MARGIN", "0.4")
    assert [line for line in found if "no effect" in line] == [
        "warning: SOLVER.BASE_LR 0.5 has no effect: the sweep searches SOLVER.BASE_LR; leave one of the two out"
    ]


def test_a_program_that_is_not_used_is_told(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = "method: random\nprogram: arg.py\nparameters: {base_lr: [0.1, 0.2]}\n"
    line = "warning: --trainer toy: the sweep file's program arg.py is not used; leave --trainer out to start it"
    assert line in notes(file, monkeypatch, text)
    assert not any("is not used" in note for note in notes(file, monkeypatch, text.replace("program: arg.py\n", "")))


@pytest.mark.parametrize(
    ("program", "more", "hint"),
    [
        ("program: arg.py\n", ("--trainer", "argparse"), "leave --trainer out to start the sweep file's own program"),
        ("", ("--trainer", "argparse"), "--trainer NAME|FILE names your trainer's profile"),
    ],
)
def test_a_profile_whose_program_is_not_there_is_told_what_to_do(
    file: Path, monkeypatch: pytest.MonkeyPatch, program: str, more: tuple[str, ...], hint: str
) -> None:
    monkeypatch.chdir(file.parent)
    file.write_text(f"method: random\n{program}parameters: {{base_lr: [0.1, 0.2]}}\n")
    with pytest.raises(ConfigError) as caught:
        make_plan(parse(["--sweep-config", str(file), "--wandb-mode", "disabled", "--controller", "local", *more]))
    (line,) = caught.value.problems
    assert line.startswith(f"trainer argparse: no file train.py in {file.parent}; ") and line.endswith(hint)
