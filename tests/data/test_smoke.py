"""The synthetic set under configs/smoke.yml: learnable, and hard enough that the learning rate matters."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


def final_map(tmp_path: Path, learning_rate: str) -> float:
    """mAP in percent after training with configs/smoke.yml."""
    command = [
        sys.executable, "tools/train.py", "--config_file=configs/smoke.yml", "SOLVER.BASE_LR", learning_rate,
        "DATASETS.ROOT_DIR", str(tmp_path / "datasets"), "OUTPUT_DIR", str(tmp_path / learning_rate),
    ]  # fmt: skip
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    return float(re.findall(r"mAP: ([\d.]+)%", done.stdout)[-1])


@pytest.mark.slow
def test_a_sane_learning_rate_triples_an_untrained_network_and_a_hundredfold_one_ruins_it(
    tmp_path: Path,
) -> None:
    untrained, sane, excessive = (final_map(tmp_path, rate) for rate in ("0.0", "0.001", "0.1"))
    assert sane >= 3 * untrained
    assert excessive < sane / 2
