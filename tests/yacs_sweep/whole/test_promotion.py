"""Sweeps whose trials pause at rungs and are resumed, in full: no iteration twice, every promoted trial continued."""

from __future__ import annotations

import json
import re
import shutil
import signal
from pathlib import Path
from typing import Any

import pytest

from tests.chaos.promotion import torment
from tests.sweeping import Ran, start, sweep, write_sweep
from tests.trainers import wait_until
from yacs_sweep.base.values import utc_seconds
from yacs_sweep.records.control.order_file import OrderFile
from yacs_sweep.records.control.orders import Act, Answer, new_order
from yacs_sweep.records.folder import SweepPaths, TrialRecord
from yacs_sweep.records.metrics import Iterations
from yacs_sweep.records.progress import Saved, savings
from yacs_sweep.show.lines import saved_text
from yacs_sweep.trial.process import Exit, Stop
from yacs_sweep.trial.verdict import classify

EPOCHS = 9
TRAINER = ("SOLVER.MAX_EPOCHS", str(EPOCHS), "TOY.RESUMES", "itself", "TOY.ITERATIONS", "2")
ASHA = {"type": "asha", "mode": "promotion", "min_iter": 1, "eta": 3, "max_iter": EPOCHS}
SPEC: dict[str, Any] = {
    "method": "random",
    "metric": {"name": "val/mAP", "goal": "maximize"},
    "early_terminate": ASHA,
    "parameters": {"base_lr": {"distribution": "log_uniform_values", "min": 1e-5, "max": 1e-2}},
}


def records(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(path.read_text()) for path in sorted(folder.glob("trial-*/trial.json"))]


def trained(trial: Path) -> list[str]:
    """The iterations that the trainer has trained, as it has noted them itself."""
    return (trial / "trained").read_text().splitlines()


def rows_of(trial: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (trial / "metrics.jsonl").read_text().splitlines()]


def check(folder: Path, count: int, *, repeated: bool = False) -> list[dict[str, Any]]:
    """Checks what holds of every sweep of this kind that has ended; returns its trials.

    Args:
        repeated: whether processes were killed: a trainer then repeats what its checkpoint lacks.
    """
    found = records(folder)
    assert [record["number"] for record in found] == list(range(count))
    assert {record["state"] for record in found} <= {"finished", "paused"}
    for record in found:
        trial = folder / record["name"]
        done = trained(trial)
        assert repeated or len(done) == len(set(done)), record["name"]
        epochs = {int(line.split()[0]) for line in done}
        assert epochs == set(range(1, max(epochs) + 1)), record["name"]
        rows = rows_of(trial)
        values = [row for row in rows if "val/mAP" in row]
        assert [row["step"] for row in rows] == sorted({row["step"] for row in rows})
        lost = max(row["epoch"] for row in values) - record["iterations"]  # with an agent, before it had read the row
        assert lost in ((0, 1) if repeated else (0,)), record["name"]
        if not repeated:
            assert [row["epoch"] for row in values] == list(range(1, len(values) + 1)), record["name"]
        if record["state"] == "finished":
            assert record["iterations"] == EPOCHS
        else:
            assert record["until"] in (1, 3)
            if record["cause"] == "paused" and not repeated:
                last = values[-1]["val/mAP"]
                assert record["reason"] == f"paused at iteration {record['iterations']}: val/mAP {last:.6g}"
            # It runs on while the storage is asked, which is a moment; on a busy machine epochs so short are, too.
            assert 0 <= record["iterations"] - record["until"] <= (2 if repeated else 1), record["name"]
    finished = [record for record in found if record["state"] == "finished"]
    assert finished
    best = max(found, key=lambda record: -abs(record["params"]["base_lr"] - 0.00035) if record["iterations"] else 0)
    assert best["iterations"] >= 3  # the best at the first rung goes on
    return found


def run(folder: Path, *words: str, spec: dict[str, Any] = SPEC, seconds: float = 0.1, **settings: Any) -> Ran:
    file = write_sweep(folder, spec)
    more = ("--wandb-mode", "disabled", "--seed", "1", *words)
    return sweep(folder, "--sweep-config", file, *more, *TRAINER, "TOY.SECONDS", str(seconds), **settings)


def test_trials_pause_and_the_best_are_resumed(tmp_path: Path) -> None:
    ran = run(tmp_path, "--count", "9", verbose=False)
    assert ran.code == 0, ran.out + ran.err
    found = check(ran.dir, 9)
    total = sum(record["iterations"] for record in found)
    assert total <= 0.45 * 9 * EPOCHS
    assert f"trained {total} of 81 iterations" in ran.out
    resumed = [record for record in found if record["attempts"] > 1]
    assert resumed
    for record in resumed:
        assert f"▶ {record['name']} (resumed at iteration " in ran.out
        assert record["trained"] > 0
    paused = next(record for record in found if record["state"] == "paused")
    assert paused["reason"].startswith(f"paused at iteration {paused['iterations']}: val/mAP ")
    assert f"‖ {paused['name']} paused after" in ran.out
    assert ran.summary["counts"] == {
        state: number
        for state in ("finished", "paused")
        if (number := sum(record["state"] == state for record in found))
    }
    status = sweep(tmp_path, "--status", "--sweep_id", ran.dir.name, trainer=None, config=None)
    assert status.code == 0
    assert "every trial is done" in status.out
    assert f"trained {total} of 81" in status.out

    again = sweep(tmp_path, "--sweep_id", ran.dir.name, trainer=None, config=None)
    assert again.code == 0
    assert "every trial of this sweep is done; --count N adds more" in again.out
    assert records(ran.dir) == found

    more = sweep(tmp_path, "--sweep_id", ran.dir.name, "--count", "6", "--workers", "2", trainer=None, config=None)
    assert more.code == 0, more.out + more.err
    assert len(check(ran.dir, 15)) == 15


@pytest.mark.parametrize("kind", ["asha", "hyperband"])
def test_four_workers(tmp_path: Path, kind: str) -> None:
    spec = {**SPEC, "early_terminate": {**ASHA, "type": kind}}
    ran = run(tmp_path, "--count", "12", "--workers", "4", spec=spec)
    assert ran.code == 0, ran.out + ran.err
    found = check(ran.dir, 12)
    if kind == "hyperband":  # whole rungs: 12, 4 and 1
        assert sorted(record.get("until") or EPOCHS for record in found) == [1] * 8 + [3] * 3 + [9]


def test_hyperbands_brackets(tmp_path: Path) -> None:
    """Nine trials from iteration 1 on, five from iteration 3 on, three that are not paused; of each rung the best third."""
    rule = {"type": "hyperband", "mode": "promotion", "max_iter": EPOCHS, "s": 2, "eta": 3}
    ran = run(tmp_path, "--count", "17", "--workers", "3", spec={**SPEC, "early_terminate": rule}, seconds=0.05)
    assert ran.code == 0, ran.out + ran.err
    reached = [record.get("until") or EPOCHS for record in check(ran.dir, 17)]
    assert sorted(reached[:9]) == [1] * 6 + [3] * 2 + [9]
    assert sorted(reached[9:14]) == [3] * 4 + [9]
    assert reached[14:] == [9] * 3


def test_the_storage_file_may_be_lost(tmp_path: Path) -> None:
    launched = start(
        tmp_path,
        *("--sweep-config", write_sweep(tmp_path, SPEC), "--count", "9", "--wandb-mode", "disabled", "--seed", "1"),
        *(*TRAINER, "TOY.SECONDS", "0.05"),
    )
    assert launched.stdout is not None
    for line in launched.stdout:
        if "(resumed" in line or "trial-0004" in line:
            break
    launched.send_signal(signal.SIGINT)
    launched.communicate(timeout=60)
    assert launched.returncode == 130
    (folder,) = (tmp_path / "log/sweep/sweep").iterdir()
    before = {record["name"]: record["iterations"] for record in records(folder) if record["state"] == "paused"}
    assert {record["state"] for record in records(folder)} <= {"finished", "paused"}
    (folder / "storage.journal").unlink()
    status = sweep(tmp_path, "--status", "--sweep_id", folder.name, trainer=None, config=None)
    assert status.code == 1
    done, waits = (sum(record["state"] == state for record in records(folder)) for state in ("finished", "paused"))
    assert f" trials to start, {waits} paused; resume with" in status.out.replace("1 trial to", "1 trials to")
    assert f" {done}/9" in status.out
    ran = sweep(tmp_path, "--sweep_id", folder.name, trainer=None, config=None)
    assert f"{'1 trial' if done == 1 else f'{done} trials'} done, {9 - done - waits} to go, {waits} paused" in ran.out
    assert f", {waits} paused, results in " in ran.out
    assert ran.code == 0, ran.out + ran.err
    after = {record["name"]: record["iterations"] for record in check(folder, 9)}
    assert all(after[name] >= iterations for name, iterations in before.items() if iterations)


def test_a_smaller_number_of_checkpoints_is_kept(tmp_path: Path) -> None:
    ran = run(tmp_path, "--count", "9", "--keep", "best", "TOY.CHECKPOINT", "10")
    assert ran.code == 0, ran.out + ran.err
    found = records(ran.dir)
    assert {record["state"] for record in found} == {"finished", "stopped"}
    for record in found:
        if record["state"] == "stopped":
            logged = {row["epoch"]: row["val/mAP"] for row in rows_of(ran.dir / record["name"]) if "val/mAP" in row}
            rung = record["until"]
            assert record["reason"] == f"not promoted: val/mAP {logged[rung]:.6g} at iteration {rung}"
            assert not list((ran.dir / record["name"]).glob("*.pth")), record["name"]
    assert ran.summary["counts"]["stopped"] == sum(record["state"] == "stopped" for record in found)


@pytest.mark.parametrize("faults", [12, pytest.param(200, marks=pytest.mark.slow)])
def test_no_rung_is_lost_when_processes_are_killed(faults: int) -> None:
    chaos = torment(faults, points=9, seconds=60 + 3 * faults, workers=2, seed=faults)
    assert not chaos.problems
    assert sum(chaos.faults.values()) >= faults


def test_what_cannot_be_followed_is_refused(tmp_path: Path) -> None:
    def refused(rule: dict[str, Any], *words: str, **more: Any) -> str:
        ran = run(tmp_path, *words, spec={**SPEC, "early_terminate": rule, **more})
        assert ran.code == 2, ran.out
        assert not ran.sweeps
        assert len(ran.err.strip().splitlines()) <= 2, ran.err
        return ran.err

    dry = run(tmp_path, "--dry-run").out
    assert "asha: trials pause at 1, 3 of 9 logged values: the best 1/3 are resumed at each" in dry
    assert (
        "first, three short starts of one point try whether the trainer resumes (--assume-resume leaves this out)"
        in dry
    )
    assert "needs `max_iter`" in refused({"type": "asha", "mode": "promotion"})
    assert "'promote' is not allowed; allowed: promotion" in refused({**ASHA, "mode": "promote"})
    assert "1.5 is less than 2" in refused({**ASHA, "eta": 1.5})
    assert "10 is not less than max_iter 9" in refused({**ASHA, "min_iter": 10})
    assert "type median ends trials for good" in refused({"type": "median", "mode": "promotion"})
    assert "does not stand beside `early_terminate` with mode: promotion" in refused(ASHA, repeats=3)
    assert "use --controller local" in refused(ASHA, "--controller", "wandb")


def test_curve_names_an_iteration_once(tmp_path: Path) -> None:
    """A trainer that is killed repeats the epoch that its checkpoint lacks, and the epoch counts once."""
    ran = run(tmp_path, "--count", "3", spec={**SPEC, "early_terminate": {**ASHA, "min_iter": 3}})
    assert ran.code == 0, ran.out + ran.err
    trial = next(ran.dir / record["name"] for record in records(ran.dir) if record["state"] == "paused")
    shutil.copyfile(trial / "state.pth", trial / "kept.pth")
    (trial / "state.pth").write_text("[3, 0]")  # as if the third epoch's checkpoint had not been written
    storage = ran.dir / "launch.json"
    storage.write_text(re.sub(r'"exhausted": true', '"exhausted": false', storage.read_text()))
    record = json.loads((trial / "trial.json").read_text())
    record["until"] = 5  # it was cut short on its way there
    (trial / "trial.json").write_text(json.dumps(record))
    (ran.dir / "storage.journal").unlink()
    again = sweep(tmp_path, "--sweep_id", ran.dir.name, trainer=None, config=None)
    assert again.code == 0, again.out + again.err
    record = json.loads((trial / "trial.json").read_text())
    rows = rows_of(trial)
    assert [row["epoch"] for row in rows if "val/mAP" in row] == [1, 2, 3, 3, 4, 5]
    assert (record["state"], record["iterations"]) == ("paused", 5)
    assert record["reason"] == f"paused at iteration 5: val/mAP {record['value']:g}"


def test_a_paused_trial_is_one_offline_run(tmp_path: Path) -> None:
    file = write_sweep(tmp_path, SPEC)
    words = ("--sweep-config", file, "--seed", "1", "--count", "6", "--assume-resume")
    ran = sweep(tmp_path, *words, *TRAINER, "TOY.SECONDS", "0.05")
    assert ran.code == 0, ran.out + ran.err
    resumed = [record["id"] for record in records(ran.dir) if record["attempts"] > 1]
    assert resumed
    folders = sorted("-".join(path.name.split("-")[3:5]) for path in (ran.dir / "wandb").glob("offline-run-*"))
    assert folders == sorted(record["id"] for record in records(ran.dir))
    assert "W&B does not have" not in ran.out


def test_a_trainer_that_had_ended_when_its_agent_was_killed_has_its_last_value(tmp_path: Path) -> None:
    """Its last row was printed, and is in metrics.jsonl when the trial is resumed, though it is not printed again."""
    ran = run(tmp_path, "--count", "3", "--assume-resume")
    assert ran.code == 0, ran.out + ran.err
    trial = next(ran.dir / record["name"] for record in records(ran.dir) if record["state"] == "finished")
    lines = (trial / "metrics.jsonl").read_text().splitlines(keepends=True)
    (trial / "metrics.jsonl").write_text("".join(lines[:-1]))
    record = json.loads((trial / "trial.json").read_text())
    (trial / "trial.json").write_text(json.dumps({**record, "state": "running", "value": None, "ended": None}))
    launch = ran.dir / "launch.json"
    launch.write_text(launch.read_text().replace('"exhausted": true', '"exhausted": false'))
    (ran.dir / "storage.journal").unlink()
    again = sweep(tmp_path, "--sweep_id", ran.dir.name, trainer=None, config=None)
    assert again.code == 0, again.out + again.err
    after = json.loads((trial / "trial.json").read_text())
    assert (after["state"], after["value"], after["iterations"]) == ("finished", record["value"], EPOCHS)
    assert [row.get("val/mAP") for row in rows_of(trial)] == [json.loads(line).get("val/mAP") for line in lines]


@pytest.mark.parametrize(
    ("status", "said", "expected"),
    [
        (143, "", "paused"),
        (0, "", "paused"),
        (1, "", "paused"),  # a trainer may end so on SIGTERM
        (1, "KeyboardInterrupt", "paused"),
        (1, "ValueError: loss is nan", "failed"),
        (1, "RuntimeError: CUDA error: device-side assert triggered", "failed"),
        (1, "RuntimeError: DataLoader worker (pid 7) is killed by signal: Terminated.", "paused"),
    ],
)
def test_a_trainer_that_fails_when_it_is_to_pause_has_failed(status: int, said: str, expected: str) -> None:
    output = f"Traceback (most recent call last):\n  File 'train.py', line 3, in <module>\n{said}\n" if said else ""
    end = Exit(status, Stop("paused", "paused at iteration 3: val/mAP 35.2"))
    verdict = classify(end, output, metric="val/mAP", metric_seen=True, value=35.2, last_values={})
    assert verdict.state == expected
    assert expected == "failed" or verdict.reason == "paused at iteration 3: val/mAP 35.2"


def test_a_trainer_that_came_to_its_end_when_it_was_to_pause_has_finished() -> None:
    end = Exit(0, Stop("paused", "paused at iteration 3: val/mAP 35.2"))
    verdict = classify(end, "", metric="val/mAP", metric_seen=True, value=35.2, last_values={}, unheeded=True)
    assert (verdict.state, verdict.reason) == ("finished", "finished")


def test_iterations_are_counted_once() -> None:
    starts: list[int] = []
    counter = Iterations("mAP", "epoch", starts)
    seen = [counter.see({"mAP": 1.0, "epoch": epoch}, step) for step, epoch in enumerate((1, 2, 3))]
    assert seen == [1, 2, 3]
    starts.append(2)
    assert counter.see({"loss": 1.0, "epoch": 3}, 3) is None
    assert counter.see({"mAP": 1.0, "epoch": 3}, 4) == 3  # its checkpoint was older
    assert counter.see({"mAP": 1.0, "epoch": 3}, 5) == 4  # evaluated twice in an epoch
    starts.append(5)
    assert counter.see({"mAP": 1.0, "epoch": 1}, 6) == 1  # it has started over
    assert counter.see({"mAP": 1.0, "epoch": 2}, 7) == 2
    starts.append(7)
    assert counter.see({"mAP": 1.0, "epoch": 5}, 8) == 5  # rows were lost with an agent
    without = Iterations("mAP", "epoch", [0])
    assert without.values([{"step": 0, "mAP": 1.0}, {"step": 1, "mAP": 2.0}]) == {1: 1.0, 2: 2.0}


def test_what_was_saved() -> None:
    def record(state: str, iterations: int, seconds: int, gpus: int = 0) -> TrialRecord:
        times = {"started": "2026-11-30T00:00:00Z", "ended": f"2026-11-30T00:{seconds // 60:02d}:{seconds % 60:02d}Z"}
        found = TrialRecord(f"s-{iterations}-{state}", "t", 0, {}, state, iterations=iterations, **times)
        found.gpu_ids = [str(gpu) for gpu in range(gpus)]
        return found

    assert savings([record("finished", 9, 90)]) is None
    assert savings([record("paused", 3, 30)]) is None
    assert savings([record("finished", 9, 90), record("paused", 3, 30), record("stopped", 1, 10)]) == Saved(
        13, 27, 140.0
    )
    gpus = savings([record("finished", 9, 90, 2), record("paused", 3, 30, 2), record("failed", 2, 20, 2)])
    assert gpus == Saved(14, 20, 60.0, 60 * 2 / 3600)
    twice = record("paused", 3, 30)
    twice.repeated = 2
    assert savings([record("finished", 9, 90), twice]) == Saved(14, 18, 40.0, again=2)
    assert Saved(14, 18, 40.0).percent == pytest.approx(100 * 4 / 18) and Saved(27, 20, 0.0).percent == 0
    twice.repeated = 6
    assert saved_text(savings([record("finished", 9, 90), twice])) == (
        "trained 18 of 18 iterations: ending trials early has saved nothing; 6 iterations were trained again"
    )


def test_the_epochs_of_a_killed_trial_count_as_trained() -> None:
    times = {"started": "2026-11-30T00:00:00Z", "ended": "2026-11-30T00:00:09Z"}
    killed, stopped = (
        TrialRecord(name, name, 0, {}, state, iterations=number, **times)
        for name, state, number in (("a", "lost", 4), ("b", "stopped", 2))
    )
    later = TrialRecord("c", "c", 2, {}, "finished", iterations=9, retry_of="a", **times)
    assert savings([killed, stopped, later]) == Saved(15, 18, 3.0, again=4)
    stopped.until = 3  # where trials pause, the later one has the rows of the earlier one
    assert savings([killed, stopped, later]) == Saved(11, 18, 7.0)


def test_a_trainer_that_starts_over_trains_epochs_again(tmp_path: Path) -> None:
    over = ("TOY.RESUMES", "no", "TOY.ITERATIONS", "2", "SOLVER.MAX_EPOCHS", str(EPOCHS), "TOY.SECONDS", "0.1")
    file = write_sweep(tmp_path, SPEC)
    words = ("--sweep-config", file, "--wandb-mode", "disabled", "--seed", "1", "--count", "6", "--assume-resume")
    ran = sweep(tmp_path, *words, *over)
    assert ran.code == 0, ran.out + ran.err
    found = records(ran.dir)
    logged = sum("val/mAP" in row for record in found for row in rows_of(ran.dir / record["name"]))
    once = sum(record["iterations"] for record in found)
    assert logged > once
    assert f"trained {logged} of 54 iterations: " in ran.out
    assert f"; {logged - once} iterations were trained again" in ran.out
    assert ran.out.count("warning: it was resumed, but began at epoch 1 again; iterations trained again: ") == 1


def order(folder: Path, act: Act, **given: Any) -> Answer:
    """Gives an order to the launch of the sweep in a folder; returns its answer."""
    orders, wanted = OrderFile(SweepPaths(folder.parent.parent, folder.name)), new_order(act, **given)
    orders.append(wanted)
    found: list[Answer] = []

    def answered() -> bool:
        found.extend(each for each in orders.read() if isinstance(each, Answer) and each.order == wanted.id)
        return bool(found)

    wait_until(answered, 10)
    return found[0]


def test_a_stopped_sweep_promotes_nothing_more_and_is_resumed(tmp_path: Path) -> None:
    """Agents that wait for others' rungs have been granted a trial: they leave without one."""
    spec = write_sweep(tmp_path, SPEC)
    slow = ("TOY.SECONDS", "0.2")
    words = ("--sweep-config", spec, "--wandb-mode", "disabled", "--count", "9", "--workers", "3", *TRAINER, *slow)
    launch = start(tmp_path, *words)
    wait_until(lambda: any(each["state"] == "paused" for folder in folders(tmp_path) for each in records(folder)), 30)
    (folder,) = folders(tmp_path)
    while True:  # it may pause before the order is read
        stopped = next((each["name"] for each in records(folder) if each["state"] == "running"), "")
        if order(folder, "stop_trial", trial=stopped).obeyed:
            break
    wait_until(lambda: any(each["state"] == "stopped" for each in records(folder)), 30)
    answer = order(folder, "stop")
    assert "no further one starts" in answer.text
    out, _ = launch.communicate(timeout=60)
    assert launch.returncode == 0, out
    assert {each["state"] for each in records(folder)} <= {"finished", "paused", "stopped"}
    last = max(utc_seconds(each["started"]) or 0.0 for each in records(folder))  # of each trial's last attempt
    assert last < (utc_seconds(answer.at) or 0.0) + 1.0, "one may just have been chosen"
    assert "resume with" in out
    rest = sweep(tmp_path, "--sweep_id", folder.name, "--wandb-mode", "disabled", *TRAINER)
    assert rest.code == 0, rest.out
    found = records(folder)
    assert len(found) == 9
    assert [each["name"] for each in found if each["state"] == "stopped"] == [stopped]
    assert any(each["iterations"] == EPOCHS for each in found)


def folders(home: Path) -> list[Path]:
    """The folders of all sweeps."""
    return [path.parent for path in home.glob("log/sweep/sweep/*/sweep.yaml")]
