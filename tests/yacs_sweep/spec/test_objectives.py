"""Several metrics, constraints, repeats and schedulers: what is read, what is refused, and what W&B is sent."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from yacs_sweep.base.errors import ConfigError
from yacs_sweep.spec.from_options import spec_from_options
from yacs_sweep.spec.methods.scheduler import Scheduler
from yacs_sweep.spec.read_sweep import sweep_from_dict
from yacs_sweep.spec.sweep import Metric, Repeats, SweepSpec
from yacs_sweep.spec.sweep_files import load_spec

SEVERAL = [{"name": "val/mAP", "goal": "maximize", "threshold": 50}, {"name": "ms", "target": 3}]
OPTUNA = {"engine": "optuna", "source": "own.py", "optimizer": "study", "search_space": "space"}


def spec(**others: Any) -> SweepSpec:
    return sweep_from_dict({"method": "random", "parameters": {"a": {"min": 0.0, "max": 1.0}}, **others})


def problems(text: str, tmp_path: Path) -> list[str]:
    path = tmp_path / "s.yaml"
    path.write_text(text)
    with pytest.raises(ConfigError) as caught:
        load_spec(path)
    return [line.removeprefix(f"{tmp_path}/") for line in caught.value.problems]


@pytest.mark.parametrize("method", ["custom", "bayes", "random"])
def test_several_metrics(method: str) -> None:
    found = spec(method=method, metrics=SEVERAL)
    first, second = Metric("val/mAP", "maximize", threshold=50.0), Metric("ms", "minimize", 3.0)
    assert found.metric == first
    assert found.objectives == (first, second)
    assert found.warnings == ()


def test_one_metric_is_the_only_objective() -> None:
    assert spec(metric={"name": "loss"}).objectives == (Metric("loss"),)
    assert spec().objectives == ()


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (3, Repeats(3)),
        ({"n": 5, "key": "SOLVER.SEED", "race": True}, Repeats(5, "SOLVER.SEED", race=True)),
        ({"key": "FOLD", "values": [0, 1, "x"]}, Repeats(3, "FOLD", (0, 1, "x"))),
        ({"n": 2, "key": "FOLD", "values": [0, 1, 2]}, Repeats(2, "FOLD", (0, 1, 2))),
        ({"n": 2, "seeds": "fresh"}, Repeats(2, seeds="fresh")),
        ({"N": 2, "Seeds": "Common"}, Repeats(2)),
        (1, None),
        ({"n": 1, "key": "x"}, None),
        (None, None),
    ],
)
def test_repeats(given: Any, expected: Repeats | None) -> None:
    assert spec(repeats=given, metric="loss").repeats == expected


def test_seeds_of_points() -> None:
    common, fresh, folds = Repeats(3), Repeats(3, seeds="fresh"), Repeats(2, "FOLD", ("a", "b"))
    assert [common.seed_at(7, place) for place in range(3)] == [common.seed_at(0, place) for place in range(3)]
    assert len({common.seed_at(0, place) for place in range(3)}) == 3
    assert len({fresh.seed_at(point, place) for point in range(50) for place in range(3)}) == 150
    assert [folds.seed_at(4, place) for place in range(2)] == ["a", "b"]
    # A larger number of seeds changes none of those that were used.
    assert [Repeats(9, seeds="fresh").seed_at(4, place) for place in range(3)] == [
        fresh.seed_at(4, place) for place in range(3)
    ]


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (OPTUNA, Scheduler("optuna", "own.py", "study", "space")),
        ({"engine": "optuna"}, Scheduler("optuna")),
        ({"engine": "AX", "source": "own.py"}, Scheduler("ax", "own.py")),
    ],
)
def test_scheduler(given: Any, expected: Scheduler) -> None:
    found = spec(method="custom", metric={"name": "loss"}, scheduler=given)
    assert found.scheduler == expected
    assert found.warnings == ()


def test_wandbs_own_engine_is_our_own_search() -> None:
    found = spec(method="bayes", metric={"name": "loss"}, scheduler={"engine": "wandb"})
    assert found == spec(method="bayes", metric={"name": "loss"})
    assert found.warnings == ()
    more = spec(method="bayes", metric={"name": "loss"}, scheduler={"engine": "wandb", "source": "x.py"})
    assert more.scheduler is None
    assert any("source: has no effect with engine wandb" in line for line in more.warnings)


def test_a_scheduler_with_a_search_space_needs_no_parameters() -> None:
    found = sweep_from_dict({"method": "custom", "metric": {"name": "loss"}, "scheduler": OPTUNA})
    assert found.parameters == ()
    assert sweep_from_dict(found.to_dict()) == found
    assert spec_from_options(found, repeats=2).repeats == Repeats(2)


EVERYTHING: dict[str, Any] = {
    "method": "custom",
    "metrics": SEVERAL,
    "metric_constraints": ["params_m <= 30", "duration < 3600 and `val-loss` < 1"],
    "repeats": {"n": 3, "key": "SOLVER.SEED", "race": True, "seeds": "fresh"},
}


@pytest.mark.parametrize(
    "others",
    [
        EVERYTHING,
        {**EVERYTHING, "scheduler": OPTUNA},
        {"metric_constraints": "ms < 3", "repeats": {"values": [1, "b"], "key": "FOLD"}},
        {"repeats": 2},
    ],
)
def test_normalised_form_reads_back_equal_also_through_yaml(tmp_path: Path, others: dict[str, Any]) -> None:
    found = spec(**others)
    assert sweep_from_dict(found.to_dict()) == found
    path = tmp_path / "s.yaml"
    path.write_text(yaml.safe_dump(found.to_dict(), sort_keys=False))
    assert load_spec(path) == found
    assert ("metrics" in found.to_dict()) == ("metrics" in others)


def test_without_these_keys_nothing_changes() -> None:
    found = spec(metric={"name": "loss", "target": 1}, where="a < 1")
    assert set(found.to_dict()) == {"method", "metric", "parameters", "where", "optimize", "results_dir_base"}
    assert found.to_dict()["metric"] == {"name": "loss", "goal": "minimize", "target": 1.0}
    assert found.fingerprint == "06fa4d59ae5805d1"  # of sweeps that were begun before these keys


def test_wandb_is_sent_the_first_metric_and_keys_that_it_knows() -> None:
    found = spec(**{**EVERYTHING, "method": "random"})
    sent = found.to_wandb()
    assert sent["metric"] == {"name": "val/mAP", "goal": "maximize"}
    assert set(sent) == {"method", "metric", "parameters"}
    limits = found.wandb_limits()
    assert limits == (
        "W&B is sent the first of `metrics`, val/mAP: its search knows no other; judged here: ms",
        "W&B knows no `metric_constraints`: trials are judged by them here, its search is not",
        "W&B knows no `repeats`: each of its runs is a point with the mean of 3 seeds, which are runs of a group",
        "with `race` a point on W&B gets its seeds one after the other until it is out of the race; no last trials "
        "confirm the best",
    )


def test_the_runs_of_wandbs_server_are_points() -> None:
    found = spec(repeats=3, run_cap=10, metric={"name": "loss"}, early_terminate={"type": "hyperband", "min_iter": 3})
    assert found.to_wandb()["run_cap"] == 4
    raced = spec(repeats={"n": 3, "race": True}, run_cap=10, metric={"name": "loss"})
    assert raced.to_wandb()["run_cap"] == 10  # all points but the best may have one seed
    assert any(line.startswith("with `race` a point on W&B gets its seeds one after") for line in raced.wandb_limits())
    assert [line for line in found.wandb_limits() if "counts seeds, not epochs" in line]
    assert spec(run_cap=10).to_wandb()["run_cap"] == 10


@pytest.mark.parametrize(
    ("others", "count"),
    [
        ({"repeats": 3}, 30),
        ({"repeats": 3, "run_cap": 12}, 12),
        ({"repeats": 3, "count": 7}, 7),
        ({"repeats": 3, "method": "grid", "parameters": {"a": [1, 2]}}, 6),
        ({"repeats": 3, "method": "grid", "parameters": {"a": [1, 2]}, "run_cap": 4}, 4),
        ({"metrics": SEVERAL}, 10),
    ],
)
def test_default_count_counts_trials(others: dict[str, Any], count: int) -> None:
    assert spec(**others).default_count == count


def test_fingerprint_changes_with_points_and_the_kind_of_seeds_but_not_with_their_number() -> None:
    plain = spec(metric="loss")
    assert spec(metric="loss", repeats=3).fingerprint == spec(metric="loss", repeats=5).fingerprint
    several = spec(metrics=SEVERAL)
    found = [
        plain,
        spec(metric="loss", repeats=3),
        spec(metric="loss", repeats={"n": 3, "key": "x"}),
        spec(metric="loss", repeats={"n": 3, "seeds": "fresh"}),
        several,
        spec(metrics=SEVERAL[::-1]),
        spec(method="custom", metric="loss", scheduler={"engine": "optuna"}),
    ]
    assert len({item.fingerprint for item in found}) == len(found)
    assert spec(metric="loss", metric_constraints=["ms < 3"]).fingerprint == plain.fingerprint


def test_repeats_of_the_command_line_keep_the_files_key() -> None:
    base = spec(metric="loss", repeats={"n": 3, "key": "FOLD", "values": [0, 1, 2]})
    assert spec_from_options(base, repeats=2).repeats == Repeats(2, "FOLD", (0, 1, 2))
    assert spec_from_options(spec(metric="loss"), repeats=4).repeats == Repeats(4)
    assert spec_from_options(base, repeats=1).repeats is None
    with pytest.raises(ConfigError, match=r"--repeats: repeats\.n: 5 is more than the 3 `values`"):
        spec_from_options(base, repeats=5)


@pytest.mark.parametrize("option", [{"metric": "ms"}, {"goal": "maximize"}])
def test_an_option_changes_none_of_several_metrics(tmp_path: Path, option: dict[str, str]) -> None:
    path = tmp_path / "s.yaml"
    path.write_text(yaml.safe_dump(spec(metrics=SEVERAL).to_dict()))
    base = load_spec(path, overrides={"metric": {("name" if "metric" in option else "goal"): "x"}})
    with pytest.raises(ConfigError, match=r"the sweep has several metrics \(val/mAP, ms\); change them in its file"):
        spec_from_options(base, **option)  # type: ignore[arg-type]


A = "parameters: {a: [1, 2]}\n"
RANDOM = "method: random\nmetric: {name: loss}\n"
TWO = "metrics: [{name: loss}, {name: ms}]\n"


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        # metrics
        (
            "method: custom\nmetrics: [{name: loss}]\n" + A,
            "metrics: needs two metrics or more; a single one stands under",
        ),
        ("method: custom\nmetrics: []\n" + A, "metrics: needs two metrics or more"),
        ("method: custom\nmetrics: {name: loss}\n" + A, "metrics: {name: 'loss'} is not a list; write [{name: val/mAP"),
        ("method: custom\nmetrics: loss\n" + A, "metrics: 'loss' is not a list"),
        ("method: custom\nmetrics: [{name: loss}, 3]\n" + A, "metrics[1]: 3 is not a metric"),
        ("method: custom\nmetrics: [{name: loss}, {goal: minimize}]\n" + A, "metrics[1]: `name` is missing"),
        ("method: custom\nmetrics: [loss, {name: loss}]\n" + A, "metrics[1]: loss is given twice; keep one"),
        ("method: custom\nmetrics: [{name: loss}, {name: b, goal: up}]\n" + A, "metrics[1].goal: 'up' is not allowed"),
        ("method: custom\nmetrics: [{name: loss}, {name: b, treshold: 3}]\n" + A, "did you mean threshold?"),
        ("method: custom\nmetrics: [loss, {name: b, threshold: x}]\n" + A, "metrics[1].threshold: 'x' is not a number"),
        (RANDOM + TWO + A, "metrics: does not stand beside `metric`; put all objectives under `metrics`"),
        ("method: random\nmetric: {name: a, threshold: 3}\n" + A, "metric.threshold: unknown key; allowed: name"),
        # method custom
        ("method: custom\n" + A, "`metric` is missing; method custom needs"),
        ("method: custom\nmetric: {name: loss}\n" + A, "custom needs `metrics`, two or more, or a `scheduler`"),
        (
            "method: random\n" + TWO + "scheduler: {engine: optuna}\n" + A,
            "random: a scheduler with engine optuna needs",
        ),
        (
            "method: custom\n" + TWO + "scheduler: {engine: wandb}\n" + A,
            "custom: engine wandb needs method grid, random",
        ),
        # scheduler
        ("method: custom\n" + TWO + "scheduler: optuna\n" + A, "scheduler: 'optuna' is not a scheduler; write {engine"),
        (
            "method: custom\n" + TWO + "scheduler: {source: x.py}\n" + A,
            "`engine` is missing; allowed: optuna, ax, wandb",
        ),
        (
            "method: custom\n" + TWO + "scheduler: {engine: hyperopt}\n" + A,
            "scheduler.engine: 'hyperopt' is not allowed",
        ),
        (
            "method: custom\n" + TWO + "scheduler: {engine: optuna, optimizer: f}\n" + A,
            "scheduler.optimizer: needs `source`, the Python file with this function",
        ),
        (
            "method: custom\n" + TWO + "scheduler: {engine: ax, search_space: f}\n",
            "scheduler.search_space: needs `source`",
        ),
        (
            "method: custom\n" + TWO + "scheduler: {engine: ax, src: f}\n" + A,
            "scheduler.src: unknown key; allowed: engine",
        ),
        ("method: custom\n" + TWO + "scheduler: {engine: ax, source: f.py}\n", "`parameters` is missing"),
        (
            "method: custom\n" + TWO + "scheduler: {engine: ax}\nearly_terminate: {type: median}\n" + A,
            "early_terminate: does not stand beside a `scheduler`, which ends trials early itself",
        ),
        # constraints
        (RANDOM + "metric_constraints: [ms <]\n" + A, "metric_constraints[0]: cannot be read: 'ms <'"),
        (RANDOM + "metric_constraints: [3]\n" + A, "metric_constraints[0]: 3 is not a constraint; write it in quotes"),
        (RANDOM + "metric_constraints: {ms: 3}\n" + A, "metric_constraints: {ms: 3} is not a constraint"),
        (RANDOM + "metric_constraints: 2 < 3\n" + A, "metric_constraints: names no metric: '2 < 3'"),
        (
            "method: random\nmetric: {name: val-loss}\nmetric_constraints: val-loss < 3\n" + A,
            "metric_constraints: val-loss is not read as one name in 'val-loss < 3'; write `val-loss` between backquotes",
        ),
        # repeats
        (RANDOM + "repeats: 0\n" + A, "s.yaml:3:1: repeats: 0 is not a whole number of 1 or more"),
        (RANDOM + "repeats: 2.5\n" + A, "repeats: 2.5 is not a whole number"),
        (RANDOM + "repeats: true\n" + A, "repeats: true is not a number of seeds; write 3 or {n: 3, key: KEY}"),
        (RANDOM + "repeats: three\n" + A, "repeats: 'three' is not a number of seeds"),
        (RANDOM + "repeats: [1, 2]\n" + A, "repeats: [1, 2] is not a number of seeds; write {values: [1, 2]}"),
        (RANDOM + "repeats: 1001\n" + A, "repeats: 1001 seeds are more than 1000"),
        (RANDOM + "repeats: {key: SEED}\n" + A, "repeats: `n` is missing: with how many seeds is each point trained?"),
        (
            RANDOM + "repeats: {n: 3, keys: SEED}\n" + A,
            "repeats.keys: unknown key; allowed: n, key, values, race, seeds",
        ),
        (RANDOM + "repeats: {n: 3, seeds: same}\n" + A, "repeats.seeds: 'same' is not allowed; allowed: common, fresh"),
        (RANDOM + "repeats: {n: 3, race: 1}\n" + A, "repeats.race: 1 is not allowed; allowed: true, false"),
        (RANDOM + "repeats: {values: [1]}\n" + A, "repeats.values: [1] is not a list of two seeds or more"),
        (RANDOM + "repeats: {values: 3}\n" + A, "repeats.values: 3 is not a list of two seeds or more"),
        (RANDOM + "repeats: {values: [1, 1.0]}\n" + A, "repeats.values[1]: 1.0 is given twice; keep one"),
        (RANDOM + "repeats: {values: [1, true]}\n" + A, "repeats.values[1]: true is not a seed; allowed are numbers"),
        (RANDOM + "repeats: {values: [1, .nan]}\n" + A, "repeats.values[1]: nan is not a seed"),
        (RANDOM + "repeats: {n: 4, values: [1, 2]}\n" + A, "repeats.n: 4 is more than the 2 `values`"),
        (RANDOM + "repeats: {values: [1, 2], seeds: fresh}\n" + A, "repeats.seeds: fresh does not go with `values`"),
        (RANDOM + "repeats: {n: 3, key: a}\n" + A, "repeats: a is searched under `parameters`; leave it out there"),
        (
            RANDOM + "repeats: 3\nparameters: {a: [1, 2], seed: 7}\n",
            "repeats: seed is set under `parameters`; leave it out there",
        ),
        (RANDOM + "repeats: {n: 1, race: true}\n" + A, "repeats.race: needs two seeds or more for a point; write for"),
        (
            "method: random\nrepeats: {n: 3, race: true}\n" + A,
            "repeats: race needs a `metric`: points are compared by it",
        ),
        (RANDOM + "repeats: {n:3}\n" + A, "a key needs a blank after its `:`; write `repeats: {n: 3}`"),
    ],
)
def test_refused(tmp_path: Path, text: str, problem: str) -> None:
    found = problems(text, tmp_path)
    assert any(problem in line for line in found), found
    assert all(line.startswith("s.yaml:") and line.isprintable() for line in found)


# Verdicts of W&B's schema (`sweeps` 0.3.0, `config.schema_violations_from_proposed_config`): the keys, and whether it takes them.
P = {"parameters": {"a": {"min": 0.0, "max": 1.0}}}
M = {"metrics": [{"name": "a", "goal": "maximize"}, {"name": "b"}]}
BANDS = {"early_terminate": {"type": "hyperband", "min_iter": 3}}
OWN = {"engine": "optuna", "source": "x.py"}
SCHEMA: dict[str, tuple[dict[str, Any], bool]] = {
    "metrics": ({"method": "custom", **M, **P}, True),
    "metrics, random": ({"method": "random", **M, **P}, False),
    "one of metrics": ({"method": "custom", "metrics": [{"name": "a"}], **P}, False),
    "metrics and metric": ({"method": "custom", "metric": {"name": "a"}, **M, **P}, False),
    "metrics and bands": ({"method": "custom", **M, **BANDS, **P}, True),
    "a metric twice": ({"method": "custom", "metrics": [{"name": "a"}, {"name": "a"}], **P}, True),
    "a threshold": ({"method": "custom", "metrics": [{"name": "a", "threshold": 3}, {"name": "b"}], **P}, False),
    "custom with one metric": ({"method": "custom", "metric": {"name": "a"}, **P}, True),
    "custom alone": ({"method": "custom", **P}, True),
    "engine wandb": ({"method": "bayes", "metric": {"name": "a"}, "scheduler": {"engine": "wandb"}, **P}, True),
    "engine wandb, custom": ({"method": "custom", **M, "scheduler": {"engine": "wandb"}, **P}, False),
    "engine wandb and bands": (
        {"method": "bayes", "metric": {"name": "a"}, "scheduler": {"engine": "wandb"}, **BANDS, **P},
        False,
    ),
    "engine wandb with a source": ({"method": "random", "scheduler": {"engine": "wandb", "source": "x.py"}, **P}, True),
    "optuna": ({"method": "custom", **M, "scheduler": {"engine": "optuna"}, **P}, True),
    "optuna, random": ({"method": "random", "metric": {"name": "a"}, "scheduler": {"engine": "optuna"}, **P}, False),
    "optuna without a metric": ({"method": "custom", "scheduler": {"engine": "optuna"}, **P}, True),
    "its own space": ({"method": "custom", **M, "scheduler": {**OWN, "search_space": "g"}}, True),
    "its own space and parameters": ({"method": "custom", **M, "scheduler": {**OWN, "search_space": "g"}, **P}, True),
    "neither": ({"method": "custom", **M, "scheduler": OWN}, False),
    "optimizer without source": (
        {"method": "custom", **M, "scheduler": {"engine": "ax", "optimizer": "f"}, **P},
        False,
    ),
    "space without source": ({"method": "custom", **M, "scheduler": {"engine": "ax", "search_space": "f"}}, False),
    "no engine": ({"method": "custom", **M, "scheduler": {"source": "x.py"}, **P}, False),
    "another engine": ({"method": "custom", **M, "scheduler": {"engine": "nevergrad"}, **P}, False),
    "optuna and bands": ({"method": "custom", **M, "scheduler": {"engine": "optuna"}, **BANDS, **P}, False),
    "controller local": (
        {"method": "custom", **M, "controller": {"type": "local"}, "scheduler": {"engine": "optuna"}, **P},
        False,
    ),
}
# What is taken all the same, and what is refused although the schema takes it (docs/sweep-keys.md).
TAKEN = {"metrics, random", "a threshold", "engine wandb and bands", "controller local"}
REFUSED = {"a metric twice", "custom with one metric", "custom alone", "optuna without a metric"}


@pytest.mark.parametrize("case", SCHEMA)
def test_what_stands_beside_what_is_as_in_wandbs_schema(case: str) -> None:
    described, schema = SCHEMA[case]
    assert (case in TAKEN and not schema) or (case in REFUSED and schema) or case not in TAKEN | REFUSED
    try:
        sweep_from_dict(described)
    except ConfigError:
        assert case in REFUSED or not schema
        assert case not in TAKEN
    else:
        assert case in TAKEN or schema
        assert case not in REFUSED


def test_the_client_of_ax_has_the_parameters_in_place_of_a_search_space() -> None:
    named = {"engine": "ax", "source": "x.py", "search_space": "g"}
    body = {"method": "custom", "metric": {"name": "a"}}
    spec = sweep_from_dict({**body, "scheduler": {**named, "optimizer": "f"}})
    assert spec.scheduler is not None and not spec.parameters
    assert (spec.scheduler.own_space, spec.scheduler.search_space) == ("optimizer", None)
    with pytest.raises(ConfigError, match="`parameters` is missing"):
        sweep_from_dict({**body, "scheduler": named})
