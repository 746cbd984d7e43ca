"""`--engine ray` on a cluster of two local nodes: `make test-ray`, in an environment of its own."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.postgres import Postgres, programs
from tests.sweeping import SWEEP, environment, processes_with, write_sweep
from tests.trainers import kill_all, wait_until, write_trainer
from yacs_sweep.search.storage.database import LEASE_VARIABLE
from yacs_sweep.search.storage.url import URL_VARIABLE

SPEC: dict[str, Any] = {
    "method": "random",
    "metric": {"name": "val/mAP", "goal": "maximize"},
    "parameters": {"base_lr": {"min": 0.0, "max": 1.0}},
}

pytestmark = pytest.mark.ray


@pytest.fixture(scope="module")
def server() -> Iterator[Postgres]:
    assert programs() is not None, "make test-ray installs PostgreSQL"
    with Postgres(["fsync=off"]) as running:
        yield running


@pytest.fixture
def cluster() -> Iterator[Any]:
    """A head without room for agents, and two nodes with room for one each."""
    from ray.cluster_utils import Cluster

    made = Cluster(initialize_head=True, head_node_args={"num_cpus": 0})
    try:
        for _ in range(2):
            made.add_node(num_cpus=1)
        made.wait_for_nodes()
        yield made
    finally:
        made.shutdown()


@pytest.fixture(autouse=True)
def nothing_stays(tmp_path: Path) -> Iterator[None]:
    yield
    kill_all(tmp_path)


def submit(cluster: Any, server: Postgres, home: Path, code: str, count: int) -> tuple[subprocess.Popen[str], Path]:
    trainer, spec = write_trainer(home, code), write_sweep(home, {**SPEC, "count": count})
    words = ["--trainer", trainer, "--sweep-config", spec, "--engine", "ray", "--agents", "2", "--grace", "3"]
    words += ["--engine-option", f"address={cluster.address}", "--wandb-mode", "disabled"]
    env = environment(home, **{URL_VARIABLE: server.url, LEASE_VARIABLE: "5"})
    with (home / "output").open("w") as output:
        command = [sys.executable, str(SWEEP), *map(str, words)]
        launcher = subprocess.Popen(command, cwd=home, env=env, stdout=output, stderr=subprocess.STDOUT, text=True)
    wait_until(lambda: "on the Ray cluster" in text(home) or launcher.poll() is not None, 90)
    assert "on the Ray cluster" in text(home), text(home)
    (folder,) = (home / "log" / "sweep" / "sweep").iterdir()
    return launcher, folder


def text(home: Path) -> str:
    return (home / "output").read_text()


def trials(folder: Path) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = json.loads((folder / "summary.json").read_text())["trials"]
    return rows


def test_agents_in_bundles_outlive_the_loss_of_a_node(cluster: Any, server: Postgres, tmp_path: Path) -> None:
    launcher, folder = submit(cluster, server, tmp_path, "import time; time.sleep(1.5); print('mAP: 1.5%')", 30)
    wait_until(lambda: text(tmp_path).count("▶") >= 4, 120)
    agents = {row["agent"] for row in trials(folder)}
    assert len(agents) == 2  # one in each bundle
    node = cluster.list_all_nodes()[-1]
    cluster.remove_node(node, allow_graceful=False)
    time.sleep(2)
    cluster.add_node(num_cpus=1)
    assert launcher.wait(240) == 0, text(tmp_path)
    finished = [row for row in trials(folder) if row["state"] == "finished"]
    assert len({row["params"]["base_lr"] for row in finished}) == len(finished) == 30
    assert len({row["agent"] for row in trials(folder)}) > 2  # the lost node's was started again, elsewhere


def test_an_interrupt_ends_every_trainer(cluster: Any, server: Postgres, tmp_path: Path) -> None:
    launcher, folder = submit(cluster, server, tmp_path, "import time; time.sleep(1000)", 4)
    trial = f"{folder}/trial-"
    wait_until(lambda: len(processes_with(trial)) >= 2, 120)
    os.kill(launcher.pid, signal.SIGINT)
    wait_until(lambda: not processes_with(trial), 40)
    assert launcher.wait(120) == 130, text(tmp_path)
    assert {row["state"] for row in trials(folder)} == {"killed"}
