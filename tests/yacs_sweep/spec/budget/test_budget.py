"""`budget` of a sweep file, and the options that replace its limits."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
import yaml

from yacs_sweep.base.errors import ConfigError
from yacs_sweep.spec.budget.budget import Budget
from yacs_sweep.spec.read_sweep import sweep_from_dict
from yacs_sweep.spec.sweep import SweepSpec
from yacs_sweep.spec.sweep_files import load_spec


def spec(**others: Any) -> SweepSpec:
    return sweep_from_dict({"method": "random", "parameters": {"a": [1, 2]}, **others})


def test_a_budget_reads_back_equal_and_is_not_sent_to_wandb(tmp_path: Path) -> None:
    path = tmp_path / "s.yaml"
    # Without quotes YAML takes 08:00 for 480, and a date for a date.
    path.write_text(
        "method: random\nparameters: {a: [1, 2]}\nbudget: {for: 8h, gpu_hours: 100, until: 2040-01-31 08:00}\n"
    )
    found = load_spec(path)
    assert found.budget == Budget(8 * 3600, datetime(2040, 1, 31, 8).astimezone(), 100)
    assert sweep_from_dict(yaml.safe_load(yaml.safe_dump(found.to_dict()))) == found
    assert "budget" not in found.to_wandb()
    assert found.fingerprint == spec().fingerprint
    assert spec().budget is None and "budget" not in spec().to_dict()


def test_a_time_of_day_is_a_date_from_the_first_launch_on(tmp_path: Path) -> None:
    path = tmp_path / "s.yaml"
    path.write_text("method: random\nparameters: {a: [1, 2]}\nbudget:\n  until: 08:00\n")
    budget = load_spec(path).budget
    assert budget is not None and budget.until is not None
    assert (budget.until.hour, budget.until.minute) == (8, 0) and budget.until > datetime.now().astimezone()
    again = sweep_from_dict(load_spec(path).to_dict()).budget
    assert again == budget


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ("8h", r"budget: '8h' is not allowed; write \{for: 8h\}"),
        ({"for": "8 hours"}, r"budget.for: '8 hours' is not a duration; write 8h"),
        ({"for": 8}, r"budget.for: '8' is not a duration"),
        ({"until": "Mon"}, r"budget.until: 'Mon' is not a moment; write 08:00"),
        ({"gpu_hours": 0}, r"budget.gpu_hours: 0 is not greater than 0"),
        ({"gpu_hour": 3}, r"unknown key; allowed: for, until, gpu_hours; did you mean gpu_hours"),
        ({"for:8h": None}, r"a key needs a blank after its `:`; write `budget: \{for: 8h\}`"),
        ({}, r"budget: \{\} is not allowed"),
    ],
)
def test_mistakes(body: Any, words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        spec(budget=body)


def test_options_replace_limits_of_the_file() -> None:
    moment = datetime(2040, 1, 31, 8).astimezone()
    file = Budget(3600, moment, 10)
    assert file.with_options(None, None, None) == file
    assert file.with_options("2h", "none", "none") == Budget(7200, None, None)
    assert Budget().with_options(None, moment.isoformat(), "1.5") == Budget(None, moment, 1.5)
