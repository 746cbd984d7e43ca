"""A sweep of several objectives, with constraints and folds, that two machines run over a PostgreSQL storage."""

from __future__ import annotations

from pathlib import Path
from statistics import fmean
from typing import Any

import pytest

from tests.postgres import Postgres, programs
from tests.sweeping import Ran, sweep, write_sweep

BODY: dict[str, Any] = {
    "method": "grid",
    "metrics": [{"name": "val/mAP", "goal": "maximize"}, {"name": "train/loss", "goal": "minimize"}],
    "metric_constraints": ["train/lr < 0.05", "duration < 600"],
    "parameters": {"base_lr": {"values": [0.001, 0.02, 0.1]}},
    "repeats": {"key": "TOY.ITERATIONS", "values": [1, 2]},
}
QUIET = ("--wandb-mode", "disabled", "--controller", "local", "SOLVER.MAX_EPOCHS", "2", "TOY.NOISE", "5.0")


@pytest.mark.skipif(programs() is None, reason="PostgreSQL is not installed (`make postgres` installs it where it may)")
def test_two_machines_share_points_folds_and_the_front(tmp_path: Path) -> None:
    places = [tmp_path / name for name in ("one", "two", "three")]
    for place in places:
        place.mkdir()
    with Postgres(["fsync=off"]) as server:
        storage = ("--storage", server.url)
        one = sweep(places[0], "--sweep-config", write_sweep(places[0], BODY), *storage, "--count", "3", *QUIET)
        assert one.code == 0, one.out + one.err
        name = one.dir.name
        two = sweep(places[1], "--sweep_id", name, *storage, "--count", "3", *QUIET)
        assert two.code == 0, two.out + two.err
        check(two)
        words = ("--train-best", name, *storage, "--prefer", "min train/loss", "--seeds", "1", "--dry-run")
        best = sweep(places[2], *words)
        assert best.code == 0, best.out + best.err
        kept = {item["point"]: item["values"]["train/loss"] for item in two.summary["points"][:2]}
        assert f"chosen of sweep {name} by --prefer: {min(kept, key=lambda point: kept[point])}, " in best.out
        assert "means of 2 repeats" in best.out


def check(ran: Ran) -> None:
    """Compares what the second machine has written with what the trials of both say."""
    summary = ran.summary
    rows: list[dict[str, Any]] = summary["trials"]
    assert [(row["point"], row["seed"], row["state"]) for row in rows] == [
        (f"point-000{point}", fold, "finished") for point in range(3) for fold in (1, 2)
    ]
    assert [row["feasible"] for row in rows] == [True] * 4 + [
        False
    ] * 2  # the last learning rate is above the constraint
    for item in summary["points"]:
        own = [row for row in rows if row["point"] == item["point"]]
        for metric in ("val/mAP", "train/loss"):
            assert item["values"][metric] == pytest.approx(fmean(row["values"][metric] for row in own))
    means = {item["point"]: item["values"] for item in summary["points"][:2]}
    front = [
        point
        for point, own in means.items()
        if not any(
            other["val/mAP"] >= own["val/mAP"] and other["train/loss"] <= own["train/loss"] and other != own
            for other in means.values()
        )
    ]
    assert sorted(summary["pareto"]) == front
    assert summary["best"]["point"] == max(means, key=lambda point: means[point]["val/mAP"])
    assert "cannot be on the front: 1 violating a constraint" in ran.out and "2 repeats" in ran.out
