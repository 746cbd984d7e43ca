"""A population with PostgreSQL: agents of one folder that die, and machines that see only folders of their own."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from tests.postgres import Postgres
from tests.sweeping import environment, start, write_sweep
from tests.trainers import roles, wait_until
from tests.yacs_sweep.whole import test_postgres
from tests.yacs_sweep.whole.test_population import EPOCHS, SPEC, TRAINER, check, records, trained
from tests.yacs_sweep.whole.test_postgres import AS_DESCRIBED, LEASE, Machine, needs_server
from tests.yacs_sweep.whole.test_promotion_machines import CODE, PROFILE
from yacs_sweep.search.storage.database import LEASE_VARIABLE
from yacs_sweep.search.storage.url import URL_VARIABLE

server, nothing_stays = test_postgres.server, test_postgres.nothing_stays


@pytest.mark.slow
@needs_server
def test_members_are_resumed_when_their_agents_die(tmp_path: Path, server: Postgres) -> None:
    env = environment(tmp_path, **{URL_VARIABLE: server.url, LEASE_VARIABLE: str(LEASE)})
    words = ("--wandb-mode", "disabled", "--seed", "1", "--workers", "2", "--assume-resume")
    file = write_sweep(tmp_path, SPEC)
    launched = start(tmp_path, "--sweep-config", file, *words, *TRAINER, "TOY.SECONDS", "0.15", env=env)
    assert launched.stdout is not None
    said = []
    for line in launched.stdout:
        said.append(line)
        if "(from trial-" in line:
            break
    wait_until(lambda: len(roles(tmp_path)["agent"]) == 2, 30)
    for pid in roles(tmp_path)["agent"]:
        os.kill(pid, signal.SIGKILL)
    out, _ = launched.communicate(timeout=150)
    assert launched.returncode == 0, "".join(said) + out
    (folder,) = (tmp_path / "log/sweep/sweep").iterdir()
    assert any("parent_trial" in record for record in check(folder, repeated=True))


@needs_server
def test_machines_copy_what_they_see(tmp_path: Path, server: Postgres) -> None:
    trainer = tmp_path / "trainer.yaml"
    trainer.write_text(PROFILE)
    hold = tmp_path / "hold"  # until both machines have begun
    hold.touch()
    (tmp_path / "train.py").write_text(CODE.replace("HOLD", repr(str(hold))))
    spec = write_sweep(
        tmp_path, {**SPEC, "pbt": {**SPEC["pbt"], "population": 8}, "parameters": {"base_lr": {"min": 0.0, "max": 1.0}}}
    )
    words = ("--trainer", "trainer.yaml", "--sweep-config", spec, "--assume-resume")
    first = Machine(tmp_path, "alpha", trainer, *words, url=server.url)
    wait_until(lambda: "trial-0000" in first.text, 120)
    join = ("--sweep_id", first.folder().name, *AS_DESCRIBED)
    second = Machine(tmp_path, "beta", trainer, *join, "--assume-resume", url=server.url)
    wait_until(lambda: "▶ trial-0001" in second.text, 120)
    hold.unlink()
    for machine in (first, second):
        machine.process.wait(150)
    text = first.text + second.text
    assert [machine.process.returncode for machine in (first, second)] == [0, 0], text
    folders = [machine.folder() for machine in (first, second)]
    found = [(folder, record) for folder in folders for record in records(folder)]
    assert sorted(record["number"] for _, record in found) == list(range(len(found))), text  # each has one folder
    # A trainer that is paused between its checkpoint and its line has trained an epoch that no row tells of.
    lacking = [EPOCHS - record["iterations"] for _, record in found if record["state"] == "finished"]
    unseen = [len(record["starts"]) for _, record in found if record["state"] == "finished"]
    assert len(lacking) == 8 and all(0 <= n <= most for n, most in zip(lacking, unseen, strict=True)), text
    heirs = [(folder, record) for folder, record in found if "parent_trial" in record]
    assert heirs, text
    for folder, heir in heirs:
        assert (folder / heir["parent_trial"] / "trial.json").is_file()
        assert (folder / heir["replaces"] / "trial.json").is_file()
    for folder, record in found:
        done = trained(folder / record["name"])
        assert len(done) == len(set(done)), text
