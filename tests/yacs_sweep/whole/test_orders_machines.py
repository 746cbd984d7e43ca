"""Points and a number of trials ordered from a machine that shares the database alone, while two machines run the sweep."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.postgres import Postgres, programs
from tests.sweeping import SWEEP, environment, write_sweep
from tests.trainers import kill_all, wait_until, write_trainer
from tests.yacs_sweep.whole.test_postgres import AS_DESCRIBED, SPEC, Machine
from yacs_sweep.records.control.orders import Answer
from yacs_sweep.search.storage.shared_sweep import SharedSweep
from yacs_sweep.search.storage.url import URL_VARIABLE


@pytest.mark.skipif(programs() is None, reason="PostgreSQL is not installed")
def test_two_machines_obey_a_third_that_shares_the_database_alone(tmp_path: Path) -> None:
    with Postgres(["fsync=off"]) as server:
        hold = tmp_path / "hold"
        hold.touch()
        code = f"""import time
while os.path.exists({str(hold)!r}): time.sleep(0.05)
print('mAP: %.6f%%' % float(sys.argv[2].split('=')[1]))"""
        trainer, spec = write_trainer(tmp_path, code), write_sweep(tmp_path, {**SPEC, "count": 3})
        words = ("--trainer", "trainer.yaml", "--sweep-config", spec)
        one = Machine(tmp_path, "one", trainer, *words, url=server.url)
        wait_until(lambda: "trial-0000" in one.text, 60)
        sweep_id = one.folder().name
        two = Machine(tmp_path, "two", trainer, "--sweep_id", sweep_id, *AS_DESCRIBED, url=server.url)
        wait_until(lambda: "trial-0001" in two.text, 60)
        third = tmp_path / "third"
        third.mkdir()
        (third / "points.yaml").write_text("- {base_lr: 0.25}\n- {base_lr: 0.5}\n")

        def order(*given: str) -> str:
            done = subprocess.run(
                [sys.executable, str(SWEEP), "--sweep_id", sweep_id, *given],
                cwd=third,
                env=environment(third, **{URL_VARIABLE: server.url}),
                capture_output=True,
                text=True,
                timeout=60,
                check=False,
            )
            assert done.returncode == 0, done.stdout + done.stderr
            return done.stdout

        try:
            assert "2 points added by" in order("--add-points", "points.yaml")
            assert "7 trials in all by" in order("--set-count", "7")
            hold.unlink()
            assert one.process.wait(60) == two.process.wait(60) == 0, one.text + two.text
        finally:
            for machine in (one, two):
                kill_all(machine.home)
        sweep = SharedSweep(server.url, sweep_id)
        tried = [record.params["base_lr"] for record in sweep.records()]
        answers = [entry for entry in sweep.orders() if isinstance(entry, Answer)]
        sweep.database.engine.dispose()
        assert len(tried) == len(set(tried)) == 7
        assert tried[2:4] == [0.25, 0.5]
        assert len(answers) == len({(answer.order, answer.pid) for answer in answers}) == 4
        assert "every trial of this sweep is done" not in one.text + two.text
