"""Sweeps of every kind, written as the launcher writes them, for the tests and the benchmark of the report."""

from __future__ import annotations

import json
import math
import random
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

from yacs_sweep.base.values import to_json
from yacs_sweep.records.folder import SweepPaths, TrialPaths, TrialRecord
from yacs_sweep.records.launch_file import LaunchFile, save_spec
from yacs_sweep.show.report.data import Curve, Sweep, Trial, read_local
from yacs_sweep.spec.constraints import judge
from yacs_sweep.spec.read_sweep import sweep_from_dict
from yacs_sweep.spec.sweep import SweepSpec

START = datetime(2026, 11, 20, 18, tzinfo=timezone.utc)
METRIC = "val/mAP"
PARAMETERS: dict[str, Any] = {
    "base_lr": {"distribution": "log_uniform_values", "min": 1e-5, "max": 1e-2},
    "SOLVER.WEIGHT_DECAY": {"values": [0.0, 0.0005, 0.005]},
    "optimizer": {"values": ["sgd", "adam", "adamw"]},
    "momentum": {"min": 0.5, "max": 0.99, "parent": "optimizer", "parent_values": ["sgd"]},
    "MODEL.STEPS": {"values": [[20, 40], [30, 60]]},
    "margin": {"min": 0.1, "max": 0.6},
    "max_epochs": {"value": 20},
}
HOSTILE = (
    "</script><script>alert(1)</script><img src=x onerror=alert(2)> <!--<script> & \"' <b>bold</b> %{x} $$ \u2028 "
    "[a](javascript:x) \x1b[31m"
)


def spec_of(parameters: Mapping[str, Any] = PARAMETERS, **more: Any) -> SweepSpec:
    """A random search for a large val/mAP."""
    described = {"method": "random", "metric": {"name": METRIC, "goal": "maximize"}, "parameters": dict(parameters)}
    return sweep_from_dict({"name": "toy", **described, **more})


def stamp(seconds: float) -> str:
    return (START + timedelta(seconds=seconds)).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def trial(number: int, params: Mapping[str, Any], value: float | None, **more: Any) -> Trial:
    """A finished trial without curves; `more` are fields of its record."""
    record = TrialRecord(id=f"t-{number}", name=f"trial-{number:04d}", number=number, params=dict(params), value=value)
    record.state, record.started, record.ended = "finished", stamp(100 * number), stamp(100 * number + 90)
    for name, item in more.items():
        setattr(record, name, item)
    return Trial(record)


def in_memory(trials: list[Trial], spec: SweepSpec | None = None, **more: Any) -> Sweep:
    """A sweep that is nowhere on disk."""
    given: dict[str, Any] = {
        "source": "nowhere",
        "controller": "local",
        "method": "random",
        "metric": METRIC,
        "goal": "maximize",
    }
    return Sweep(id="abcd1234", name="toy", trials=trials, spec=spec, **{**given, **more})


def quality(params: Mapping[str, Any]) -> float:
    """mAP that depends on the learning rate, a little on the optimizer, on nothing else."""
    return 80 * math.exp(-abs(math.log10(params["base_lr"] / 3.5e-4))) + 4 * (params["optimizer"] == "adam")


def write_sweep(
    base: Path,
    sweep_id: str,
    count: int,
    rows: int = 200,
    *,
    change: Callable[[TrialRecord], None] = lambda record: None,
) -> SweepPaths:
    """`count` trials of `PARAMETERS` on four GPUs, `rows` logged rows each: most finished, some stopped or failed.

    `change` may change a record before it is written.
    """
    paths = SweepPaths(base, sweep_id)
    paths.agents.mkdir(parents=True)
    spec = spec_of(count=max(1, count), early_terminate={"type": "hyperband", "min_iter": 3})
    save_spec(paths, spec)
    LaunchFile("local", None, "reid", None, (), 7, None, "offline", None, None, str(base), count).save(paths)
    source, free = random.Random(sweep_id), [0.0] * 4
    for number in range(count):
        params = spec.random_point(5, number)
        value = quality(params) + source.gauss(0, 1)
        luck, epochs, state, cause, reason = source.random(), 20, "finished", "finished", ""
        if luck < 0.06:
            epochs, state, cause, reason = 2, "failed", "cuda_oom", "CUDA out of memory. Tried to allocate 20.00 MiB"
        elif luck < 0.75 and value < 45:
            epochs, state, cause, reason = (
                source.choice([3, 9]),
                "stopped",
                "stopped",
                "hyperband: not among the best third",
            )
        lane = free.index(min(free))
        began = free[lane] + 1
        free[lane] = began + 30 * epochs + 60 * source.random()
        record = TrialRecord(
            f"{sweep_id}-{number}", f"trial-{number:04d}", number, params, state, cause=cause, reason=reason
        )
        record.started, record.ended, record.host, record.gpu_ids = stamp(began), stamp(free[lane]), "node", [str(lane)]
        record.command, record.git_commit = ["python", "train.py"], "4f2c1d9e0b7a8c6d5e4f3a2b1c0d9e8f7a6b5c4d"
        record.last_lines = ["Traceback (most recent call last):", reason] if state == "failed" else []
        lines = []
        each = max(1, rows // 20)
        for epoch in range(1, epochs + 1):
            for part in range(each - 1):
                loss = 7 * math.exp(-(epoch + part / each) / 6) + 0.4 * source.random()
                lines.append(
                    {"epoch": epoch, "train/loss": round(loss, 4), "train/acc": round(1 - math.exp(-epoch / 5), 4)}
                )
            record.value = round(value * (1 - math.exp(-epoch / 4)) + source.gauss(0, 0.5), 2)
            lines.append({"epoch": epoch, METRIC: record.value, "val/cmc_rank_1": round(record.value + 8, 2)})
        record.rows = len(lines)
        change(record)
        folder = paths.trial(record.name)
        folder.dir.mkdir()
        folder.record.write_text(to_json(record.row()))
        write_rows(folder, lines)
    return paths


def write_rows(trial: TrialPaths, rows: Sequence[Mapping[str, Any]]) -> None:
    """Writes a trial's metrics.jsonl, and its folder where there is none."""
    trial.dir.mkdir(parents=True, exist_ok=True)
    trial.metrics.write_text("".join(json.dumps({"step": step, **row}) + "\n" for step, row in enumerate(rows)))


def sweep_of_several(
    count: int = 60, repeats: int = 0, more: int = 1, constraints: tuple[str, ...] = ("params_m <= 32", "ms < 9.5")
) -> Sweep:
    """A search for accuracy and cost in memory, each point trained `repeats` times if that is given, with curves."""
    metrics = [
        {"name": METRIC, "goal": "maximize", "threshold": 55},
        {"name": "ms", "goal": "minimize"},
        {"name": "model/gmacs", "goal": "minimize"},
    ]
    parameters = {
        "width": {"distribution": "log_uniform_values", "min": 0.25, "max": 4.0},
        "base_lr": {"distribution": "log_uniform_values", "min": 1e-4, "max": 1e-1},
        "optimizer": {"values": ["sgd", "adam"]},
    }
    described: dict[str, Any] = {
        "method": "custom" if more else "bayes",
        "parameters": parameters,
        "name": "accuracy and cost",
    }
    described.update(
        {"metrics": metrics[: 1 + more]} if more else {"metric": {key: metrics[0][key] for key in ("name", "goal")}}
    )
    if constraints:
        described["metric_constraints"] = list(constraints)
    if repeats:
        described["repeats"] = {"n": repeats}
    spec, trials = sweep_from_dict(described), []
    for point in range(count):
        params = spec.random_point(3, point)
        source, width = random.Random(point), params["width"]
        lucky = 84 * (1 - math.exp(-2.2 * width**0.6)) * math.exp(-0.15 * math.log10(params["base_lr"] / 3e-3) ** 2)
        for seed in range(max(1, repeats)):
            number = point * max(1, repeats) + seed
            value = round(lucky + source.gauss(0, 0.8), 2)
            found = {METRIC: value, "ms": round(2.5 * width + 0.4 + abs(source.gauss(0, 0.1)), 3)}
            found["model/gmacs"] = round(3 * width**2, 3)
            each = trial(number, params, value)
            record = each.record
            if more:
                record.values = {metric["name"]: found[str(metric["name"])] for metric in metrics[: 1 + more]}  # type: ignore[misc]
            if constraints:
                record.facts = {"params_m": round(9 * width, 2), "ms": found["ms"]}
                record.feasible, record.violated = judge(constraints, record.facts)
            if repeats:
                record.point, record.seed = f"point-{point:04d}", seed + 1
            if number % 17 == 5:
                record.state, record.cause, record.reason, record.value = (
                    "failed",
                    "exit",
                    "exit code 1: ValueError",
                    None,
                )
                record.values = record.facts = record.feasible = None
                record.violated = []
            epochs = list(range(1, 13))
            heights = [value * (1 - math.exp(-epoch / 3)) + source.gauss(0, 0.6) for epoch in epochs[:-1]]
            each.curves = {METRIC: Curve([float(epoch) for epoch in epochs], [*heights, value])}
            each.epochs = True
            trials.append(each)
    return in_memory(trials, spec, method=spec.method)


def odd_sweeps(folder: Path) -> dict[str, Sweep]:
    """One sweep of every kind that a report must make sense of."""
    lr = {"base_lr": {"values": [0.1, 0.01]}}
    single = spec_of(lr, method="grid")
    failed = {
        "state": "failed",
        "cause": "exit",
        "reason": "exit code 1: ValueError",
        "last_lines": ["boom", "ValueError"],
    }
    conditional = {"optimizer": "sgd", "momentum": 0.9}, {"optimizer": "adam"}
    hostile = trial(
        0, {HOSTILE: HOSTILE, "b": 1}, 3.0, name=HOSTILE, reason=HOSTILE, host=HOSTILE, command=["x", HOSTILE]
    )
    hostile.url = f"https://wandb.example/{HOSTILE}"
    script = trial(1, {HOSTILE: "other", "b": 2}, 2.0)
    script.url = "javascript:alert(3)"
    return {
        "empty": in_memory([], single),
        "one": in_memory([trial(0, {"base_lr": 0.1}, 3.0)], single),
        "three": in_memory([trial(n, {"base_lr": 10.0**-n}, float(n)) for n in range(3)], single),
        "grid_of_one_parameter": in_memory([trial(n, {"base_lr": 10.0**-n}, float(n)) for n in range(8)], single),
        "failures_only": in_memory([trial(n, {"base_lr": 0.1}, None, **failed) for n in range(4)], single),
        "running": in_memory([trial(0, {"base_lr": 0.1}, None, state="running", ended=None)], single),
        "nan": in_memory([trial(n, {"base_lr": 0.1 * n, "x": n}, [1.0, math.nan, math.inf][n % 3]) for n in range(9)]),
        "conditional": in_memory([trial(n, conditional[n % 2], float(n)) for n in range(12)]),
        "lists": in_memory(
            [trial(n, {"steps": [n % 2, 4], "d": {"a": n % 3}, "flag": n % 2 == 0}, float(n)) for n in range(12)]
        ),
        "same_values": in_memory([trial(n, {"a": n, "b": n % 3}, 1.0) for n in range(12)]),
        "no_metric": in_memory([trial(n, {"a": n}, None) for n in range(3)], metric=None),
        "minimized": in_memory([trial(n, {"a": n, "b": n % 4}, abs(n - 7.0)) for n in range(20)], goal="minimize"),
        "huge_numbers": in_memory([trial(n, {"a": 10**400 if n else 1, "b": 1e300 * n}, 1e300 * n) for n in range(8)]),
        "hostile": in_memory(
            [hostile, script], notes=[HOSTILE], source=HOSTILE, environment={HOSTILE: {HOSTILE: HOSTILE}}
        ),
        "several": sweep_of_several(),
        "three_objectives": sweep_of_several(40, more=2, constraints=()),
        "repeats": sweep_of_several(24, repeats=3, more=0, constraints=()),
        "repeats_of_several": sweep_of_several(24, repeats=3),
        "one_point": sweep_of_several(1, repeats=2),
        "usual": read_local(write_sweep(folder, "usual", 40, 60)),
    }
