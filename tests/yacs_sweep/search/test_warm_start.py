"""Reads points to try first and results to learn from; mistakes are shown before anything starts."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from yacs_sweep.base.errors import ConfigError
from yacs_sweep.records.folder import SweepPaths, TrialRecord
from yacs_sweep.records.launch_file import save_spec
from yacs_sweep.search.space import Space
from yacs_sweep.search.warm_start import read_points, read_prior
from yacs_sweep.spec.parameter import equality_key
from yacs_sweep.spec.read_sweep import sweep_from_dict
from yacs_sweep.spec.sweep import SweepSpec

PARAMETERS: dict[str, Any] = {
    "lr": {"distribution": "log_uniform_values", "min": 1e-5, "max": 1e-1},
    "batch": {"distribution": "q_uniform", "min": 16, "max": 128, "q": 16},
    "epochs": {"min": 1, "max": 20},
    "optimizer": {"values": ["sgd", "adam"]},
    "momentum": {"min": 0.5, "max": 0.99, "parent": "optimizer", "parent_values": ["sgd"]},
    "size": {"value": 256},
}


def spec(**top: Any) -> SweepSpec:
    body = {"method": "bayes", "metric": {"name": "v", "goal": "maximize"}, "parameters": PARAMETERS, **top}
    return sweep_from_dict(body)


def key_of(name: str) -> str:
    return {"lr": "SOLVER.BASE_LR"}.get(name, name)


def points(folder: Path, name: str, text: str, **top: Any) -> tuple[dict[str, Any], ...]:
    (folder / name).write_text(text)
    return read_points(str(folder / name), spec(**top), key_of, seed=5)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("p.yaml", "- {lr: 1e-3, batch: 32, epochs: 5, optimizer: adam}\n"),
        ("p.json", json.dumps([{"lr": 1e-3, "batch": 32, "epochs": 5, "optimizer": "adam"}])),
        ("p.csv", "SOLVER.BASE_LR,batch,epochs,optimizer\n1e-3,32,5,adam\n"),
    ],
)
def test_points_are_read_from_yaml_json_and_csv(tmp_path: Path, name: str, text: str) -> None:
    (point,) = points(tmp_path, name, text)
    assert point == {"lr": 0.001, "batch": 32, "epochs": 5, "optimizer": "adam", "size": 256}


def test_what_a_point_leaves_out_is_drawn(tmp_path: Path) -> None:
    one, other = points(tmp_path, "p.csv", "lr,optimizer\n1e-3,sgd\n1e-4,\n", where="epochs > 10")
    assert (one["lr"], one["optimizer"], other["lr"]) == (0.001, "sgd", 0.0001)
    assert 0.5 <= one["momentum"] <= 0.99
    assert one["epochs"] > 10
    assert other["epochs"] > 10


def test_every_mistake_is_told_with_the_point(tmp_path: Path) -> None:
    text = """
- {lr: 1, epochs: 2.5, optimizer: adagrad}
- {lrr: 0.1, size: 3}
- {batch: 33}
- {epochs: 5, optimizer: adam}
- {optimizer: adam, momentum: 0.9}
- {lr: fast}
"""
    with pytest.raises(ConfigError) as caught:
        points(tmp_path, "p.yaml", text, where="epochs > 10")
    found = [problem.split("p.yaml: ")[1] for problem in caught.value.problems]
    assert found == [
        "point 1: lr: 1 is not in 1e-05 … 0.1",
        "point 1: epochs: 2.5 is not a whole number",
        "point 1: optimizer: 'adagrad' is not one of its values ('sgd', 'adam')",
        "point 2: lrr: is not searched by this sweep; did you mean lr?",
        "point 2: size: 3 is not its constant value 256",
        "point 3: batch: 33 is not a value it can take; the nearest is 32",
        "point 4: breaks epochs > 10",
        "point 5: momentum: applies only where optimizer is 'sgd'",
        "point 6: lr: 'fast' is not a number",
    ]


@pytest.mark.parametrize(
    ("name", "text", "says"),
    [
        ("p.yaml", "just text\n", "is not a list of points; write `- {lr: 0.001, batch: 64}` lines"),
        ("p.yaml", "- 3\n- {lr: 1e-3}\n", "point 1: 3 is not a point; write `- {lr: 0.001, batch: 64}`"),
        ("p.yaml", "- 3\n- {lrr: 1e-3}\n", "point 2: lrr: is not searched by this sweep; did you mean lr?"),
        ("p.yaml", "", "has no points; write `- {lr: 0.001, batch: 64}` lines"),
        ("p.yaml", "[]\n", "has no points"),
        ("p.csv", "lr,batch\n1e-3\n", "p.csv:2: has not as many fields as the header"),
        ("p.yaml", "- {lr: [\n", "p.yaml"),
    ],
)
def test_a_file_that_holds_no_points_is_told(tmp_path: Path, name: str, text: str, says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        points(tmp_path, name, text)
    with pytest.raises(ConfigError, match="no such file"):
        read_points(str(tmp_path / "absent.csv"), spec(), key_of, seed=5)


def test_a_pipe_is_read_once_for_all_who_ask() -> None:
    reading, writing = os.pipe()
    with os.fdopen(writing, "w") as pipe:
        pipe.write("- {lr: 1e-3, batch: 32}\n")
    try:
        first, second = (read_points(f"/dev/fd/{reading}", spec(), key_of, seed=5) for _ in range(2))
    finally:
        os.close(reading)
    assert first == second
    assert [(point["lr"], point["batch"]) for point in first] == [(1e-3, 32)]


def test_a_folder_is_no_file_of_points(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="is a folder"):
        read_points(str(tmp_path), spec(), key_of, seed=5)


def test_results_that_fit_are_taken_from_a_local_sweep(tmp_path: Path) -> None:
    paths = SweepPaths(tmp_path, "old")
    paths.dir.mkdir(parents=True)
    save_spec(paths, spec())
    good = {"lr": 1e-3, "batch": 32, "epochs": 5, "optimizer": "adam", "size": 256}
    rows: list[tuple[dict[str, Any], str, float | None]] = [
        (good, "finished", 1.5),
        ({**good, "lr": 0.5}, "finished", 2.0),  # outside
        ({**good, "optimizer": "sgd"}, "finished", 2.0),  # without its momentum
        ({**good, "extra": 1, "size": 512}, "finished", 3.0),  # what is not searched does not matter
        (good, "failed", 9.0),
        (good, "finished", float("nan")),
    ]
    for number, (params, state, value) in enumerate(rows):
        record = TrialRecord(f"old-{number}", f"trial-{number:04d}", number, params, state, value=value)
        paths.trial(record.name).dir.mkdir()
        record.save(paths.trial(record.name))
    prior, line = read_prior("old", spec(), lambda name: paths, (None, None))
    assert [(item.params["lr"], item.value) for item in prior] == [(1e-3, 1.5), (1e-3, 3.0)]
    assert line == "learning from 2 of 5 finished trials of sweep old"
    with pytest.raises(ConfigError, match=r"maximizes v; this one minimizes v"):
        read_prior("old", spec(metric={"name": "v", "goal": "minimize"}), lambda name: paths, (None, None))


def test_a_sweep_with_repeats_teaches_the_means_of_its_points(tmp_path: Path) -> None:
    paths = SweepPaths(tmp_path, "old")
    paths.dir.mkdir(parents=True)
    save_spec(paths, spec(repeats=2))
    params = {"lr": 1e-3, "batch": 32, "epochs": 5, "optimizer": "adam", "size": 256}
    rows = [(0, 1, "finished", 1.0), (0, 2, "finished", 4.0), (1, 1, "failed", None), (1, 2, "finished", 7.0)]
    for number, (point, seed, state, value) in enumerate([*rows, (2, 1, "failed", None)]):
        record = TrialRecord(f"old-{number}", f"trial-{number:04d}", number, params, state, value=value)
        record.point, record.seed = f"point-{point:04d}", seed
        paths.trial(record.name).dir.mkdir()
        record.save(paths.trial(record.name))
    prior, line = read_prior("old", spec(), lambda name: paths, (None, None))
    assert [item.value for item in prior] == [2.5, 7.0]
    assert line == "learning from the means of 2 of 2 points of sweep old"


@pytest.mark.parametrize(
    "parameter",
    [
        {"distribution": "q_log_uniform_values", "min": 1, "max": 1000, "q": 5},
        {"distribution": "normal", "mu": 1.0, "sigma": 2.0},
        {"distribution": "q_normal", "mu": 10.0, "sigma": 5.0, "q": 1},
        {"distribution": "beta", "a": 2, "b": 5},
        {"distribution": "inv_log_uniform", "min": 1, "max": 3},
        {"distribution": "log_normal", "mu": 0.0, "sigma": 1.0},
        {"values": [1, True, 1.5, "1", [1, 2], {"a": 1}, None]},
        {"min": 3, "max": 9},
    ],
)
def test_values_survive_the_way_to_optuna_and_back(parameter: dict[str, Any]) -> None:
    one = sweep_from_dict({"method": "random", "parameters": {"p": parameter}})
    space = Space(one.parameters)
    for number in range(40):
        point = one.random_point(0, number)
        back = space.from_optuna(space.to_optuna(point))
        if isinstance(point["p"], float):
            assert back["p"] == pytest.approx(point["p"], rel=1e-5)
        else:
            assert equality_key(back) == equality_key(point)
