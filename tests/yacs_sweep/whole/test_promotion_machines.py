"""Trials that pause, with PostgreSQL: agents of one folder, and machines that see only folders of their own."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

import pytest

from tests.postgres import Postgres
from tests.sweeping import environment, start, sweep, write_sweep
from tests.trainers import roles, wait_until
from tests.yacs_sweep.whole import test_postgres
from tests.yacs_sweep.whole.test_postgres import AS_DESCRIBED, LEASE, Machine, needs_server
from tests.yacs_sweep.whole.test_promotion import EPOCHS, SPEC, TRAINER, check, records, trained
from yacs_sweep.search.storage.database import LEASE_VARIABLE
from yacs_sweep.search.storage.url import URL_VARIABLE

CODE = """import json, os, signal, sys, time
words = dict(word[2:].split('=', 1) for word in sys.argv[1:])
folder, rate = words['out'], float(words['base_lr'])
state = os.path.join(folder, 'state.json')
epoch = json.load(open(state)) if os.path.exists(state) else 1
signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
while os.path.exists(HOLD):
    time.sleep(0.05)
while epoch <= 9:
    time.sleep(0.1)
    with open(os.path.join(folder, 'trained'), 'a') as file:
        file.write('%d 1\\n' % epoch)
    epoch += 1
    with open(state + '.tmp', 'w') as file:
        json.dump(epoch, file)
    os.replace(state + '.tmp', state)
    print('epoch %d mAP: %.6f%%' % (epoch - 1, rate * (epoch - 1)), flush=True)
"""


server, nothing_stays = test_postgres.server, test_postgres.nothing_stays


@needs_server
def test_trials_are_resumed_when_their_agents_die(tmp_path: Path, server: Postgres) -> None:
    env = environment(tmp_path, **{URL_VARIABLE: server.url, LEASE_VARIABLE: str(LEASE)})
    words = ("--count", "9", "--wandb-mode", "disabled", "--seed", "1", "--workers", "3", "--assume-resume")
    file = write_sweep(tmp_path, SPEC)
    launched = start(tmp_path, "--sweep-config", file, *words, *TRAINER, "TOY.SECONDS", "0.15", env=env)
    assert launched.stdout is not None
    for line in launched.stdout:
        if "paused after" in line:
            break
    wait_until(lambda: len(roles(tmp_path)["agent"]) == 3, 30)
    wait_until(lambda: len(roles(tmp_path).get("child", [])) == 3, 30)
    for pid in roles(tmp_path)["agent"]:
        os.kill(pid, signal.SIGKILL)
    out, _ = launched.communicate(timeout=120)
    assert launched.returncode == 0, out
    (folder,) = (tmp_path / "log/sweep/sweep").iterdir()
    check(folder, 9, repeated=True)
    assert "; the trial pauses, and is resumed" in out
    again = sweep(
        tmp_path, "--sweep_id", folder.name, "--count", "3", "--workers", "2", env=env, trainer=None, config=None
    )
    assert again.code == 0, again.out + again.err
    check(folder, 12, repeated=True)


@pytest.mark.slow
@needs_server
def test_rungs_are_kept_while_the_storage_is_away(tmp_path: Path) -> None:
    """A trial that comes to its rung meanwhile runs on: nobody can say that it is to pause."""
    with Postgres(["fsync=off"]) as server:
        env = environment(tmp_path, **{URL_VARIABLE: server.url, LEASE_VARIABLE: str(LEASE)})
        words = ("--count", "9", "--wandb-mode", "disabled", "--seed", "1", "--workers", "2", "--assume-resume")
        file = write_sweep(tmp_path, SPEC)
        launched = start(tmp_path, "--sweep-config", file, *words, *TRAINER, "TOY.SECONDS", "0.1", env=env)
        assert launched.stdout is not None
        said = []
        for line in launched.stdout:
            said.append(line)
            if "paused after" in line:
                break
        server.stop()
        time.sleep(3.0)
        server.start()
        out, _ = launched.communicate(timeout=150)
        text = "".join(said) + out
        assert launched.returncode == 0, text
        assert "the storage answers again" in text
        (folder,) = (tmp_path / "log/sweep/sweep").iterdir()
        found = records(folder)
        assert [record["number"] for record in found] == list(range(9)), text
        assert {record["state"] for record in found} == {"finished", "paused"}, text
        for record in found:
            done = trained(folder / record["name"])
            assert len(done) == len(set(done)), text
            assert record["iterations"] >= (record.get("until") or EPOCHS), text


PROFILE = """command: [python, train.py, "--out={output_dir}"]
overrides: argparse
resume: true
metrics:
  - pattern: 'epoch (?P<epoch>\\d+) mAP: (?P<value>{number})%'
    log: {val/mAP: value, epoch: epoch}
"""


@needs_server
def test_machines_resume_what_they_see(tmp_path: Path, server: Postgres) -> None:
    trainer = tmp_path / "trainer.yaml"
    trainer.write_text(PROFILE)
    hold = tmp_path / "hold"  # until both machines have begun
    hold.touch()
    (tmp_path / "train.py").write_text(CODE.replace("HOLD", repr(str(hold))))
    spec = write_sweep(tmp_path, {**SPEC, "count": 12, "parameters": {"base_lr": {"min": 0.0, "max": 1.0}}})
    start_words = ("--trainer", "trainer.yaml", "--sweep-config", spec, "--assume-resume")
    first = Machine(tmp_path, "alpha", trainer, *start_words, url=server.url)
    wait_until(lambda: "trial-0000" in first.text, 120)
    join = ("--sweep_id", first.folder().name, *AS_DESCRIBED)
    second = Machine(tmp_path, "beta", trainer, *join, "--assume-resume", url=server.url)
    wait_until(lambda: "▶ trial-0001" in second.text, 120)
    hold.unlink()
    for machine in (first, second):
        machine.process.wait(150)
    text = first.text + second.text
    assert [machine.process.returncode for machine in (first, second)] == [0, 0], text
    time.sleep(0.1)
    folders = [machine.folder() for machine in (first, second)]
    found = [(folder, record) for folder in folders for record in records(folder)]
    assert sorted(record["number"] for _, record in found) == list(range(12)), text  # each has one folder
    assert {record["host"] for _, record in found} == {"alpha", "beta"} or os.geteuid() != 0
    for folder, record in found:
        done = trained(folder / record["name"])
        assert len(done) == len(set(done)), text
    assert any(record["iterations"] == EPOCHS for _, record in found), text
    counts = max((machine.summary()["counts"] for machine in (first, second)), key=lambda each: each["finished"])
    assert set(counts) == {"finished", "paused"}, text
