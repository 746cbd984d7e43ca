"""Grid points: W&B's order, and points of conditional and constrained grids."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from yacs_sweep.base.errors import ConfigError
from yacs_sweep.spec.read_sweep import sweep_from_dict
from yacs_sweep.spec.sweep import SweepSpec

ENGINE = json.loads((Path(__file__).parent / "data" / "wandb_engine.json").read_text(encoding="utf-8"))


def grid(parameters: dict[str, Any], **others: Any) -> SweepSpec:
    return sweep_from_dict({"method": "grid", "parameters": parameters, **others})


def points(spec: SweepSpec) -> list[dict[str, Any]]:
    assert spec.grid_size is not None
    return [spec.grid_point(index) for index in range(spec.grid_size)]


@pytest.mark.parametrize("case", ENGINE["grids"], ids=lambda case: case["id"])
def test_as_the_engine(case: dict[str, Any]) -> None:
    if "order" not in case:
        with pytest.raises(ConfigError, match="method grid cannot list a "):
            grid(case["parameters"])
        return
    found = points(grid(case["parameters"]))
    # As JSON, because 1 == 1.0 == true in Python.
    assert json.dumps(found, sort_keys=True) == json.dumps(case["order"], sort_keys=True)


def test_points_list_their_parameters_as_declared() -> None:
    assert list(grid({"z": [1, 2], "a": [3]}).grid_point(1)) == ["z", "a"]


def test_large_grid_is_not_gone_through() -> None:
    spec = grid({f"p{number:02}": {"min": 0, "max": 999_999} for number in range(10)})
    assert spec.grid_size == 10**60
    assert spec.grid_point(10**60 - 1)["p00"] == 999_999
    assert spec.grid_point(1) == {**dict.fromkeys([f"p{n:02}" for n in range(9)], 0), "p09": 1}


def test_points_end() -> None:
    spec = grid({"a": [1, 2]})
    for index in (-1, 2, 3):
        with pytest.raises(IndexError):
            spec.grid_point(index)


def test_inactive_parameters_make_no_points_of_their_own() -> None:
    spec = grid(
        {
            "momentum": {"values": [0.8, 0.9], "parent": "optimizer", "parent_values": ["sgd"]},
            "nesterov": {"values": [True, False], "parent": "momentum", "parent_values": 0.9},
            "optimizer": ["adam", "sgd"],
        }
    )
    assert points(spec) == [
        {"optimizer": "adam"},
        {"momentum": 0.8, "optimizer": "sgd"},
        {"momentum": 0.9, "nesterov": True, "optimizer": "sgd"},
        {"momentum": 0.9, "nesterov": False, "optimizer": "sgd"},
    ]


def test_conditions_leave_points_out() -> None:
    spec = grid({"warmup": [0, 10, 20], "epochs": [10, 20]}, where="warmup < epochs")
    assert points(spec) == [
        {"warmup": 0, "epochs": 10},
        {"warmup": 0, "epochs": 20},
        {"warmup": 10, "epochs": 20},
    ]
    assert spec.default_count == 3


def test_parent_value_tells_booleans_from_numbers() -> None:
    spec = grid({"a": [1, True], "b": {"values": [5, 6], "parent": "a", "parent_values": [True]}})
    assert points(spec) == [{"a": 1}, {"a": True, "b": 5}, {"a": True, "b": 6}]


@pytest.mark.parametrize(
    ("parameters", "others", "problem"),
    [
        ({"a": {"min": 1, "max": 10**6}}, {"where": "a > 3"}, "1000000 combinations; a grid with parent or where"),
        ({"a": {"distribution": "q_uniform", "min": 0, "max": 1, "q": 1e-9}}, {}, "1000000000 steps of q"),
        ({"a": [1, 2]}, {"where": "a > 3"}, "no point of the search satisfies a > 3"),
    ],
)
def test_grids_that_cannot_be_run(parameters: dict[str, Any], others: dict[str, Any], problem: str) -> None:
    with pytest.raises(ConfigError, match=problem):
        grid(parameters, **others)


def test_a_conditional_grid_may_have_a_hundred_thousand_combinations() -> None:
    inner = {"values": [5], "parent": "a", "parent_values": [1]}
    grid({"a": {"min": 1, "max": 100_000}, "b": inner})
    with pytest.raises(ConfigError, match="100001 combinations; a grid with parent or where may have 100000 at most"):
        grid({"a": {"min": 0, "max": 100_000}, "b": inner})


@pytest.mark.parametrize("size", [1, 2, 3, 5, 64, 1000])
def test_shuffled_grid_has_each_point_once_in_an_order_of_its_own(size: int) -> None:
    parameters = {"a": list(range(size)), "b": [0]}
    listed, shuffled = points(grid(parameters)), points(grid(parameters, order="shuffled"))
    assert sorted(shuffled, key=lambda point: int(point["a"])) == listed
    assert shuffled == points(grid(parameters, order="shuffled"))
    if size > 3:
        assert shuffled != listed
    if size == 1000:  # a tenth of the grid is spread over all of it
        tenths = {int(point["a"]) // 100 for point in shuffled[:100]}
        assert tenths == set(range(10))


def test_shuffle_of_a_large_grid_makes_no_list() -> None:
    spec = grid({f"p{number:02}": {"min": 0, "max": 999_999} for number in range(400)}, order="shuffled")
    first = [spec.grid_point(index) for index in range(3)]
    assert len({tuple(point.values()) for point in first}) == 3
    assert all(point["p00"] for point in first)  # 0 without the shuffle


def test_order_keeps_conditions_and_makes_a_search_of_its_own() -> None:
    parameters = {"a": [1, 2, 3, 4], "b": [1, 2, 3, 4]}
    shuffled = grid(parameters, where="a < b", order="shuffled")
    listed = grid(parameters, where="a < b")
    assert shuffled.grid_size == listed.grid_size == 6
    assert {tuple(point.values()) for point in points(shuffled)} == {tuple(point.values()) for point in points(listed)}
    assert shuffled.fingerprint != listed.fingerprint
    assert sweep_from_dict(shuffled.to_dict()) == shuffled
    assert "order" not in shuffled.to_wandb()


def test_order_is_a_grids() -> None:
    with pytest.raises(ConfigError, match=r"order: is the order of a grid's points, and method random has none"):
        sweep_from_dict({"method": "random", "parameters": {"a": [1, 2]}, "order": "shuffled"})
    with pytest.raises(ConfigError, match=r"order: 'shufled' is not allowed.*did you mean.*shuffled"):
        grid({"a": [1, 2]}, order="shufled")
