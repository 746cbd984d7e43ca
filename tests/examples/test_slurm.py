"""The example for a cluster, on a Slurm cluster of one machine: `make test-slurm`."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.examples.running import Example, readme_commands
from tests.slurm import Slurm, missing

pytestmark = pytest.mark.slurm


@pytest.fixture
def cluster() -> Iterator[Slurm]:
    assert not missing(), "make test-slurm installs Slurm"
    slurm = Slurm()
    try:
        slurm.start()
        yield slurm
    finally:
        slurm.close()


def test_the_command_runs_its_trials_as_one_job(cluster: Slurm, tmp_path: Path) -> None:
    example = Example.copy("slurm", tmp_path, **cluster.environment)
    (command,) = readme_commands("slurm")
    output = example.run(command, timeout=500)
    summary = example.summary
    assert summary["counts"] == {"finished": 12}, output
    assert summary["best"]["value"] == min(trial["value"] for trial in summary["trials"]) < 0.5
    assert "Slurm job" in output and list(example.sweep_dir.glob("agents/slurm-*.out"))
