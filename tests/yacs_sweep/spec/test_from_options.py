"""A sweep from command-line options, alone and on top of a file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from yacs_sweep.base.errors import ConfigError
from yacs_sweep.spec.from_options import spec_from_options
from yacs_sweep.spec.read_sweep import sweep_from_dict
from yacs_sweep.spec.sweep import Metric
from yacs_sweep.spec.sweep_files import load_spec


def test_lists_alone_make_a_grid() -> None:
    found = spec_from_options(
        lr_values="0.0001, 3.5e-4", wd_values="5e-4 0", metric="val/mAP", goal="maximize", name="n"
    )
    assert (found.method, found.default_count, found.name) == ("grid", 4, "n")
    assert found.metric == Metric("val/mAP", "maximize")
    assert found.grid_point(1) == {"base_lr": 0.0001, "weight_decay": 0}
    assert found.warnings == ()


def test_range_makes_it_random() -> None:
    found = spec_from_options(custom_params='{"SOLVER.GAMMA": {"min": 0.1, "max": 0.5}, "max_epochs": 2}')
    assert found.method == "random"
    assert set(found.random_point(0, 0)) == {"SOLVER.GAMMA", "max_epochs"}


def test_options_replace_what_the_file_says(tmp_path: Path) -> None:
    path = tmp_path / "s.yaml"
    path.write_text(
        "name: old\nmethod: random\nmetric: {name: val/mAP, goal: maximize, target: 90}\ncount: 5\n"
        "parameters:\n  base_lr: {distribution: log_uniform, min: 0.001, max: 0.1}\n  margin: {value: [1, 2]}\n"
    )
    base = load_spec(path)
    assert len(base.warnings) == 2
    found = spec_from_options(base, lr_values="0.1", name="new", method="random", goal="minimize", project="p")
    assert [parameter.name for parameter in found.parameters] == ["base_lr", "margin"]
    assert found.parameters[0].values == (0.1,)
    assert found.metric == Metric("val/mAP", "minimize", target=90.0)
    assert (found.name, found.count, found.project) == ("new", 5, "p")
    # The replaced parameter's warning is gone; the other keeps its line; the goal that was given is believed.
    assert [line.removeprefix(f"{path}:").split(":")[0] for line in found.warnings] == ["7"]
    assert spec_from_options(base) == base
    assert spec_from_options(base).warnings == base.warnings


def test_file_may_lack_what_an_option_gives(tmp_path: Path) -> None:
    path = tmp_path / "s.yaml"
    path.write_text("metric: {nmae: x}\nparameters: {a: [1, 2]}\n")
    found = load_spec(path, overrides={"method": "grid", "metric": {"name": "loss"}})
    assert (found.method, found.metric) == ("grid", Metric("loss"))
    with pytest.raises(ConfigError, match=r"^command line: method: 'gird' is not allowed"):
        load_spec(path, overrides={"method": "gird", "metric": {"name": "loss"}})


FILE = "method: grid\nmetric: {name: val/mAP, goal: maximize, target: 90}\nparameters: {a: [1, 2]}\n"


@pytest.mark.parametrize(
    "text", [FILE, FILE.replace("metric", "Metric"), f"sweep:\n  {FILE.replace(chr(10), chr(10) + '  ')}"]
)
@pytest.mark.parametrize(
    ("given", "metric", "doubt"),
    [
        ({"name": "val/mAP"}, Metric("val/mAP", "maximize", 90.0), None),
        ({"name": "val/cmc_rank_1"}, Metric("val/cmc_rank_1", "maximize", 90.0), None),
        ({"name": "x"}, Metric("x", "maximize", 90.0), None),
        ({"name": "val/loss"}, Metric("val/loss", "maximize", 90.0), "did you mean --goal minimize?"),
        ({"name": "val/loss", "goal": "minimize"}, Metric("val/loss", "minimize", 90.0), None),
        ({"goal": "minimize"}, Metric("val/mAP", "minimize", 90.0), None),
    ],
)
def test_an_option_changes_the_part_of_the_metric_that_it_names(
    tmp_path: Path, text: str, given: dict[str, str], metric: Metric, doubt: str | None
) -> None:
    path = tmp_path / "s.yaml"
    path.write_text(text)
    found = load_spec(path, overrides={"metric": given})
    again = spec_from_options(load_spec(path), metric=given.get("name"), goal=given.get("goal"))
    assert found.metric == again.metric == metric
    for spec in (found, again):
        assert len(spec.warnings) == (doubt is not None)
        assert all(str(doubt) in line for line in spec.warnings)


@pytest.mark.parametrize("text", ["", "metric: null\n"])
def test_a_metric_of_the_command_line_alone_has_the_goal_of_its_name(tmp_path: Path, text: str) -> None:
    path = tmp_path / "s.yaml"
    path.write_text(f"method: bayes\n{text}parameters: {{a: [1, 2]}}\n")
    found = load_spec(path, overrides={"metric": {"name": "val/mAP"}})
    assert found.metric == Metric("val/mAP", "maximize")
    assert found.warnings == ("--metric: val/mAP is maximised, judging by its name; --goal minimize would minimise it",)


def test_the_files_metric_may_be_a_name(tmp_path: Path) -> None:
    path = tmp_path / "s.yaml"
    path.write_text("method: grid\nmetric: val/loss\nparameters: {a: [1, 2]}\n")
    assert load_spec(path, overrides={"metric": {"goal": "maximize"}}).metric == Metric("val/loss", "maximize")


def test_goal_not_given_is_told_from_the_name_and_said() -> None:
    found = spec_from_options(lr_values=[0.1], metric="val/mAP")
    assert found.metric == Metric("val/mAP", "maximize")
    assert found.warnings == ("--metric: val/mAP is maximised, judging by its name; --goal minimize would minimise it",)
    assert spec_from_options(lr_values=[0.1], metric="val/loss").metric == Metric("val/loss", "minimize")


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ({}, "no parameters: give --sweep-config, --lr_values, --wd_values or --custom_params"),
        ({"lr_values": "0.1,x"}, "--lr_values: 'x' is not a number"),
        ({"lr_values": "0,0001"}, "--lr_values: 0,0001 looks like decimal commas; write 0.0001"),
        ({"wd_values": "0,0001,0,0005"}, "--wd_values: 0,0001,0,0005 looks like decimal commas; write 0.0001,0.0005"),
        ({"lr_values": "1,5; 2,5"}, "--lr_values: 1,5; 2,5 looks like decimal commas; write 1.5,2.5"),
        ({"lr_values": "0,5 1,5"}, "--lr_values: 0,5 1,5 looks like decimal commas; write 0.5,1.5"),
        ({"lr_values": "nan"}, "--lr_values: parameters.base_lr: holds nan or inf"),
        ({"wd_values": " , "}, "--wd_values: is empty"),
        ({"custom_params": "{'a': 1}"}, "--custom_params: not JSON: Expecting property name"),
        ({"custom_params": "[1]"}, "--custom_params: [1] is not an object"),
        ({"custom_params": '{"a": {"valeus": [1]}}'}, "--custom_params: parameters.a.valeus: unknown key"),
        (
            {"custom_params": "{'A': [None, True, (1, 2)], 'B': 'x'}"},
            """write for example '{"A": [null, true, "(1, 2)"], "B": "x"}'""",
        ),
        (
            {"custom_params": "{SOLVER.GAMMA: [0.1, a/b, None], FLAG: [true]}"},
            """write for example '{"SOLVER.GAMMA": [0.1, "a/b", null], "FLAG": [true]}'""",
        ),
        ({"custom_params": '{"base_lr": 1}', "lr_values": "1"}, "base_lr is given by --lr_values already"),
        ({"lr_values": "1", "method": "gird"}, "--method: method: 'gird' is not allowed"),
        ({"lr_values": "1", "metric": "x", "goal": "up"}, "--goal: metric.goal: 'up' is not allowed"),
        ({"lr_values": "1", "goal": "maximize"}, "--goal: there is no metric to apply it to"),
    ],
)
def test_mistake_names_the_option(options: dict[str, Any], problem: str) -> None:
    with pytest.raises(ConfigError) as caught:
        spec_from_options(**options)
    assert any(problem in line for line in caught.value.problems), caught.value.problems


def test_mistakes_in_several_options_come_together() -> None:
    base = sweep_from_dict({"method": "grid", "parameters": {"a": [1]}})
    with pytest.raises(ConfigError) as caught:
        spec_from_options(base, lr_values="x", custom_params="{", method="gird")
    assert len(caught.value.problems) == 3


def test_an_option_replaces_a_nested_parameter() -> None:
    group = {"optimizer": {"parameters": {"lr": [0.1, 0.2], "beta": [0.9]}}}
    base = sweep_from_dict({"method": "grid", "parameters": group})
    spec = spec_from_options(base, custom_params='{"optimizer.lr": [0.5]}')
    assert {item.name: item.values for item in spec.parameters} == {"optimizer.beta": (0.9,), "optimizer.lr": (0.5,)}
    assert sweep_from_dict(spec.to_dict()) == spec


def test_order_shuffles_the_grid_that_lists_make() -> None:
    found = spec_from_options(lr_values="0.1,0.2,0.3,0.4", wd_values="0,1,2,3", order="shuffled")
    assert (found.method, found.order) == ("grid", "shuffled")
    with pytest.raises(
        ConfigError, match=r"--order: order: is the order of a grid's points, and method random has none"
    ):
        spec_from_options(custom_params='{"SOLVER.GAMMA": {"min": 0.1, "max": 0.5}}', order="shuffled")
