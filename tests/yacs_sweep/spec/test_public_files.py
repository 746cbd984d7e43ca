"""Sweep files found in public repositories, and the verdict on each.

W&B's own engine runs all of them but one, as PyYAML parses them or with bare exponents read as
numbers; so must this reader. `data/public_sweeps.txt` restates what makes each file special.
"""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from yacs_sweep.base.errors import ConfigError
from yacs_sweep.spec.read_sweep import sweep_from_dict
from yacs_sweep.spec.sweep_files import load_spec

TEXT = (Path(__file__).parent / "data" / "public_sweeps.txt").read_text(encoding="utf-8")
HEADING = re.compile(r"^=== (.+?) \| (\d+) \| (\d+|-) \| (.+)\n", re.MULTILINE)
PARTS = HEADING.split(TEXT)[1:]
FILES = {PARTS[i]: (int(PARTS[i + 1]), PARTS[i + 2], PARTS[i + 3], PARTS[i + 4]) for i in range(0, len(PARTS), 5)}


@pytest.mark.parametrize("name", FILES)
def test_file_the_engine_runs_is_taken_and_gives_five_trials(name: str, tmp_path: Path) -> None:
    parameters, points, warning, body = FILES[name]
    path = tmp_path / "sweep.yaml"
    path.write_text(body, encoding="utf-8")
    spec = load_spec(path)
    assert len(spec.parameters) == parameters
    assert spec.grid_size == (None if points == "-" else int(points))
    assert len(spec.warnings) == (warning != "-")
    assert all(warning in line for line in spec.warnings)
    size = spec.grid_size
    trials = [spec.grid_point(number % size) if size else spec.random_point(0, number) for number in range(5)]
    for trial in trials:
        assert set(trial) == {parameter.name for parameter in spec.parameters}
    json.dumps([spec.to_wandb(), trials], allow_nan=False)
    assert sweep_from_dict(spec.to_dict()) == spec


def test_file_the_engine_refuses_tells_its_author_the_mistake(tmp_path: Path) -> None:
    path = tmp_path / "036.yaml"
    path.write_text(
        "method: grid\nmetric: {name: val_loss, goal: minimize}\nparameters:\n"
        "  lr:\n    max: 0.003\n    min: 0.0005\n    distribution: uniform\n"
        "  back:\n    values: \n      - past: 0\n      - past: [7, 14]\n  f:\n    values: [[], [a]]\n"
    )
    with pytest.raises(ConfigError) as caught:
        load_spec(path)
    assert caught.value.problems == [
        f"{path}:4:3: parameters.lr: method grid cannot list lr (uniform); give it `values: […]` or q_uniform or "
        "int_uniform bounds, or choose method random or bayes"
    ]


def test_all_forty_are_here() -> None:
    assert {int(name[:3]) for name in FILES} | {36} == set(range(1, 41))
