"""A grid in shuffled order (`order: shuffled`): the same order in every launch, and with repeats."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tests.sweeping import Ran, sweep, write_sweep
from yacs_sweep.spec.read_sweep import sweep_from_dict

QUIET = ("--wandb-mode", "disabled")
LR = [0.0001, 0.0002, 0.0003, 0.0004, 0.0005, 0.0006]
GRID: dict[str, Any] = {
    "method": "grid",
    "metric": {"name": "val/mAP", "goal": "maximize"},
    "parameters": {"base_lr": {"values": LR}},
}


def rates(ran: Ran) -> list[float]:
    return [trial["params"]["base_lr"] for trial in ran.summary["trials"]]


def test_a_resumed_grid_goes_on_where_the_shuffle_was(tmp_path: Path) -> None:
    spec = sweep_from_dict({**GRID, "order": "shuffled"})
    wanted = [spec.grid_point(index)["base_lr"] for index in range(len(LR))]
    path = write_sweep(tmp_path, GRID)
    ran = sweep(tmp_path, "--sweep-config", path, "--order", "shuffled", "--count", "2", *QUIET)
    assert ran.code == 0 and rates(ran) == wanted[:2] != LR[:2], ran.out + ran.err
    refused = sweep(tmp_path, "--sweep_id", ran.dir.name, "--order", "listed", trainer=None, config=None)
    assert refused.code == 2 and "--order: --sweep_id resumes a sweep, whose search is fixed" in refused.err
    rest = sweep(tmp_path, "--sweep_id", ran.dir.name, "--workers", "2", trainer=None, config=None)
    assert rest.code == 0 and sorted(rates(rest)) == LR, rest.out + rest.err
    assert rates(rest)[:4] == wanted[:4]


def test_repeats_train_each_point_of_the_shuffled_grid(tmp_path: Path) -> None:
    spec = {**GRID, "order": "shuffled", "repeats": 2}
    wanted = [sweep_from_dict(spec).grid_point(index)["base_lr"] for index in range(2)]
    ran = sweep(tmp_path, "--sweep-config", write_sweep(tmp_path, spec), "--count", "4", *QUIET)
    assert ran.code == 0, ran.out + ran.err
    assert [(trial["point"], trial["params"]["base_lr"]) for trial in ran.summary["trials"]] == [
        ("point-0000", wanted[0]),
        ("point-0000", wanted[0]),
        ("point-0001", wanted[1]),
        ("point-0001", wanted[1]),
    ]
