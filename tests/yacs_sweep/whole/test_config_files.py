"""A sweep that chooses among configuration files: each trial has its own, and the best one's is kept whole."""

from __future__ import annotations

from pathlib import Path

import yaml

from tests.sweeping import sweep, write_sweep

QUIET = ("--controller", "local", "--wandb-mode", "disabled")


def test_the_best_file_is_found_and_trained_again(tmp_path: Path) -> None:
    (tmp_path / "recipes").mkdir()
    for name, text in {
        "near": "SOLVER: {BASE_LR: 0.0004}\n",
        "far": "SOLVER: {BASE_LR: 0.1, MARGIN: 0.9}\n",
    }.items():
        (tmp_path / "recipes" / f"{name}.yml").write_text(text)
    write_sweep(
        tmp_path,
        {
            "method": "grid",
            "metric": {"name": "val/mAP", "goal": "maximize"},
            "repeats": 2,
            "parameters": {
                "config_file": {"values": ["recipes/far.yml", "recipes/near.yml"]},
                "ims_per_batch": {"value": 4},
            },
        },
    )
    ran = sweep(tmp_path, "--sweep-config", "y.yaml", *QUIET, "TOY.ITERATIONS", "1", config=None)
    assert ran.code == 0, ran.out + ran.err
    assert [trial["params"]["config_file"] for trial in ran.summary["trials"]].count("recipes/near.yml") == 2
    found = ran.dir
    rates = [(path / "ran").read_text() for path in sorted(found.glob("trial-*"))]
    assert rates == ["0.1\n", "0.1\n", "0.0004\n", "0.0004\n"]
    assert ran.summary["best"]["params"]["config_file"] == "recipes/near.yml"
    best = yaml.safe_load((found / "best.yml").read_text())
    assert best["SOLVER"]["BASE_LR"] == 0.0004 and best["SOLVER"]["IMS_PER_BATCH"] == 4
    assert "MARGIN" not in best["SOLVER"] and "config_file" not in best

    again = sweep(tmp_path, "--train-best", found.name, "--seeds", "1", *QUIET[2:], trainer=None, config=None)
    assert again.code == 0, again.out + again.err
    (trained,) = found.with_name(f"{found.name}-best").glob("trial-*")
    assert (trained / "ran").read_text() == "0.0004\n"
