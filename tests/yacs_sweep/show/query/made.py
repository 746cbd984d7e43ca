"""Makes folders of sweeps that nobody has run, and calls the command line on them."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from tests.sweeping import TOY
from yacs_sweep.cli import main
from yacs_sweep.records.folder import SweepPaths, TrialRecord

SPEC = """name: lr
method: random
metric: {name: val/mAP, goal: maximize}
parameters: {base_lr: {min: 0.0001, max: 0.1}, SOLVER.MARGIN: {values: [0.1, 0.3]}}
"""


def made_sweep(base: Path, sweep_id: str = "abc123", spec: str = SPEC) -> SweepPaths:
    """Makes a sweep without trials whose trainer is the toy trainer."""
    paths = SweepPaths(base, sweep_id)
    paths.agents.mkdir(parents=True)
    paths.launch.write_text(json.dumps({"controller": "local", "target": 4, "trainer": str(TOY / "toy.yaml")}))
    paths.spec.write_text(spec)
    return paths


def made_trial(
    paths: SweepPaths,
    number: int,
    value: float | None,
    params: Mapping[str, Any],
    rows: Sequence[Mapping[str, Any]] = (),
    **fields: Any,
) -> TrialRecord:
    """Makes a trial that took a minute for each of its number plus one."""
    state = fields.pop("state", "finished")
    row = {
        "id": f"t{number}", "name": f"trial-{number:04d}", "number": number, "params": dict(params), "state": state,
        "cause": state, "reason": state, "value": value, "started": "2026-01-01T00:00:00.000Z", "host": "here",
        "ended": None if state == "running" else f"2026-01-01T00:{number + 1:02d}:00.000Z", **fields,
    }  # fmt: skip
    record, place = TrialRecord.from_row(row), paths.trial(f"trial-{number:04d}")
    place.dir.mkdir()
    record.dir = str(place.dir)
    record.save(place)
    place.metrics.write_text("".join(json.dumps({"step": step, **row}) + "\n" for step, row in enumerate(rows)))
    return record


def asked(base: Path, capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, str, str]:
    """Runs the command line on the results folder; returns exit status, output and errors."""
    try:
        code = main([*words, "--results_dir", str(base)])
    except SystemExit as ended:
        code = int(str(ended.code))
    out, err = capsys.readouterr()
    return code, out, err
