"""Sweeps of a population, in full: the worst continue from checkpoints of the best, and no iteration is trained twice."""

from __future__ import annotations

import csv
import io
import json
import signal
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.chaos.population import PopulationChaos
from tests.chaos.promotion import torment
from tests.sweeping import Ran, start, sweep, write_sweep
from yacs_sweep.records.folder import SweepPaths, TrialPaths, TrialRecord
from yacs_sweep.records.population.lineage import lineage
from yacs_sweep.records.progress import count_settled, savings
from yacs_sweep.records.trial_files import inherit_files
from yacs_sweep.show.report.data import read_local
from yacs_sweep.show.report.findings import Findings
from yacs_sweep.show.report.page.figures import figures
from yacs_sweep.show.report.page.html import page
from yacs_sweep.show.report.text import as_csv, as_markdown

EPOCHS, MEMBERS = 9, 6
TRAINER = ("SOLVER.MAX_EPOCHS", str(EPOCHS), "TOY.RESUMES", "itself", "TOY.ITERATIONS", "2")
PBT = {"population": MEMBERS, "interval": 3, "max_iter": EPOCHS}
SPEC: dict[str, Any] = {
    "method": "pbt",
    "metric": {"name": "val/mAP", "goal": "maximize"},
    "pbt": PBT,
    "parameters": {"base_lr": {"distribution": "log_uniform_values", "min": 1e-5, "max": 1e-2}},
}


def run(folder: Path, *words: str, spec: dict[str, Any] = SPEC, **settings: Any) -> Ran:
    folder.mkdir(exist_ok=True)
    file = write_sweep(folder, spec)
    more = ("--wandb-mode", "disabled", "--seed", "1", *words)
    return sweep(folder, "--sweep-config", file, *more, *TRAINER, "TOY.SECONDS", "0.05", **settings)


def records(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(path.read_text()) for path in sorted(folder.glob("trial-*/trial.json"))]


def trained(trial: Path) -> list[str]:
    """The iterations of a line of descent, as the trainer has noted them itself beside its checkpoint."""
    return (trial / "trained").read_text().splitlines()


def check(folder: Path, *, repeated: bool = False) -> list[dict[str, Any]]:
    """Checks what holds of every sweep of this kind that has ended; returns its trials.

    Args:
        repeated: whether processes were killed: a trainer then evaluates again what it had not kept.
    """
    found = records(folder)
    by_name = {record["name"]: record for record in found}
    heirs = [record for record in found if "parent_trial" in record]
    assert [record["state"] for record in found].count("finished") == MEMBERS
    assert len(found) == MEMBERS + len(heirs)
    replaced = [record for record in found if record["state"] == "stopped"]
    assert sorted(record["replaces"] for record in heirs) == [record["name"] for record in replaced]
    for record in found:
        folder_of = folder / record["name"]
        rows = [json.loads(line) for line in (folder_of / "metrics.jsonl").read_text().splitlines()]
        epochs = [row["epoch"] for row in rows if "val/mAP" in row]
        expected = list(range(1, record["iterations"] + 1))
        if repeated:
            # What a trainer prints to an agent that has just died is lost, where its checkpoint is saved all the same.
            assert set(epochs) <= set(expected)
            assert len(expected) - len(set(epochs)) < max(2, record["attempts"])
        else:
            assert epochs == expected
        assert [row["step"] for row in rows] == list(range(len(rows)))
        done = trained(folder_of)
        assert len(done) == len(set(done)), record["name"]  # once for each line of descent
        if record["state"] == "finished":
            assert record["iterations"] == EPOCHS
            whole = [f"{epoch} {place}" for epoch in range(1, EPOCHS + 1) for place in (1, 2)]
            assert done == whole or (repeated and set(done) <= set(whole))
    for heir in heirs:
        parent = by_name[heir["parent_trial"]]
        assert heir["begun_at"] - by_name[heir["replaces"]]["until"] in (0, 1)  # a parent may pause an epoch later
        reason = f"replaced by {heir['name']}, a copy of {parent['name']} at iteration {heir['begun_at']}"
        assert by_name[heir["replaces"]]["reason"] == reason
        assert heir["params"] != parent["params"]
        rates = [float(line) for line in (folder / heir["name"] / "ran").read_text().splitlines()]
        assert heir["params"]["base_lr"] in rates
        assert parent["params"]["base_lr"] in rates  # the file came with the checkpoint
    return found


def test_the_worst_continue_from_the_best(tmp_path: Path) -> None:
    ran = run(tmp_path, "--workers", "2", verbose=False)
    assert ran.code == 0, ran.out + ran.err
    assert "the trainer resumes: its second start began at epoch 4, the first at 1" in ran.out
    found = check(ran.dir)
    heirs = [record for record in found if "parent_trial" in record]
    assert len(heirs) == 4  # two of six, at two comparisons
    assert sum(record["iterations"] - record.get("begun_at", 0) for record in found) in range(54, 62)
    for heir in heirs:
        assert f"▶ {heir['name']} (from {heir['parent_trial']} at iteration {heir['begun_at']}): base_lr=" in ran.out
    best = max(found, key=lambda record: (record["state"] == "finished", record["value"]))
    schedule = yaml.safe_load((ran.dir / "best_schedule.yml").read_text())
    assert (schedule["trial"], schedule["value"]) == (best["name"], best["value"])
    stretches = schedule["schedule"]
    assert [stretch["iterations"] for stretch in stretches] == [stretch["epoch"] for stretch in stretches]
    assert [stretches[0]["iterations"][0], stretches[-1]["iterations"][1]] == [1, EPOCHS]
    assert stretches[-1]["params"] == best["params"]
    by_name = {record["name"]: record for record in found}
    assert all(stretch["params"] == by_name[stretch["trial"]]["params"] for stretch in stretches)
    assert f"by iteration: {ran.dir / 'best_schedule.yml'}" in ran.out
    assert "(its last parameters; best_schedule.yml has all)" in (ran.dir / "best.yml").read_text()
    assert ran.summary["counts"] == {"finished": MEMBERS, "stopped": 4}
    assert "less than without ending trials" not in ran.out  # a copied trial has saved nothing

    again = sweep(tmp_path, "--sweep_id", ran.dir.name, trainer=None, config=None)
    assert again.code == 0
    assert "every trial of this sweep is done; --count N adds more" in again.out
    status = sweep(tmp_path, "--status", "--sweep_id", ran.dir.name, trainer=None, config=None)
    assert "every trial is done" in status.out
    assert records(ran.dir) == found


@pytest.mark.slow
def test_one_worker_reproduces_a_sweep(tmp_path: Path) -> None:
    def outcome(ran: Ran) -> list[tuple[Any, ...]]:
        assert ran.code == 0, ran.out + ran.err
        found = check(ran.dir)
        return [(record["params"], record.get("parent_trial"), record.get("replaces")) for record in found]

    words = ("--assume-resume",)
    assert outcome(run(tmp_path / "a", *words)) == outcome(run(tmp_path / "b", *words))


def test_a_sweep_that_was_killed_is_resumed_from_its_folders(tmp_path: Path) -> None:
    words = ("--count", str(MEMBERS), "--wandb-mode", "disabled", "--seed", "1", "--assume-resume", "--workers", "2")
    file = write_sweep(tmp_path, SPEC)
    launched = start(tmp_path, "--sweep-config", file, *words, *TRAINER, "TOY.SECONDS", "0.1")
    assert launched.stdout is not None
    for line in launched.stdout:
        if "(from trial-" in line:
            break
    launched.send_signal(signal.SIGKILL)
    launched.communicate(timeout=60)
    (folder,) = (tmp_path / "log/sweep/sweep").iterdir()
    (folder / "storage.journal").unlink()
    ran = sweep(tmp_path, "--sweep_id", folder.name, "--workers", "3", trainer=None, config=None)
    assert ran.code == 0, ran.out + ran.err
    check(folder, repeated=True)


@pytest.mark.parametrize("faults", [12, pytest.param(200, marks=pytest.mark.slow)])
def test_no_member_is_lost_when_processes_are_killed(faults: int) -> None:
    chaos = torment(faults, points=6, seconds=60 + 3 * faults, workers=2, seed=faults, kind=PopulationChaos)
    assert not chaos.problems
    assert sum(chaos.faults.values()) >= faults


def test_a_copied_trial_is_one_offline_run(tmp_path: Path) -> None:
    file = write_sweep(tmp_path, {**SPEC, "pbt": {**PBT, "population": 4}})
    ran = sweep(tmp_path, "--sweep-config", file, "--seed", "1", "--assume-resume", *TRAINER, "TOY.SECONDS", "0.02")
    assert ran.code == 0, ran.out + ran.err
    folders = sorted("-".join(path.name.split("-")[3:5]) for path in (ran.dir / "wandb").glob("offline-run-*"))
    assert folders == sorted(record["id"] for record in records(ran.dir))


@pytest.mark.slow
def test_the_report_tells_the_line_of_descent(tmp_path: Path) -> None:
    ran = run(tmp_path, "--assume-resume")
    assert ran.code == 0, ran.out + ran.err
    schedule = yaml.safe_load((ran.dir / "best_schedule.yml").read_text())["schedule"]
    assert len(schedule) > 1
    findings = Findings.of(read_local(SweepPaths(tmp_path / "log/sweep", ran.dir.name)))
    drawn = figures(findings.sweep, findings.effects, findings.used)["descent"]
    assert drawn["spans"] == [stretch["iterations"] for stretch in schedule]
    (rate,) = drawn["columns"]
    assert rate["values"] == [pytest.approx(stretch["params"]["base_lr"], rel=1e-5) for stretch in schedule]
    assert f"continued from checkpoints of {schedule[0]['trial']}" in page(findings)
    assert f"| 1 to {schedule[0]['iterations'][1]} | {schedule[0]['trial']} |" in as_markdown(findings)
    rows = {row["trial"]: row for row in csv.DictReader(io.StringIO(as_csv(findings)))}
    for record in records(ran.dir):
        parent, begun = rows[record["name"]]["parent_trial"], rows[record["name"]]["begun_at"]
        assert (parent, begun) == (record.get("parent_trial", ""), str(record.get("begun_at", 0)))


def test_what_cannot_be_followed_is_refused(tmp_path: Path) -> None:
    def refused(body: Any, *words: str, **more: Any) -> str:
        ran = run(tmp_path, *words, spec={**SPEC, "pbt": body, **more})
        assert ran.code == 2, ran.out
        assert not ran.sweeps
        assert len(ran.err.strip().splitlines()) <= 3, ran.err
        return ran.err

    dry = run(tmp_path, "--dry-run").out
    assert "pbt: trials are compared at 3, 6 of 9 logged values: the worst 25% continue from checkpoints" in dry
    assert "`pbt` is missing; method pbt needs {interval" in refused(None)
    assert "method pbt needs `interval`, the logged values" in refused({"max_iter": 9})
    assert "method pbt needs `max_iter`, the logged values" in refused({"interval": 3})
    assert "9 is not less than max_iter 9: members would never be compared" in refused({"interval": 9, "max_iter": 9})
    assert "0.7 is not a share between 0 and 0.5" in refused({**PBT, "quantile": 0.7})
    assert "is not a list of factors; write [0.8, 1.2]" in refused({**PBT, "perturb": [0.8, "x"]})
    assert "allowed: population, interval" in refused({**PBT, "intervall": 3, "interval": 3})
    for key, value in (("early_terminate", {"type": "median"}), ("repeats", 3)):
        text = f"{key}: does not stand beside method pbt, which compares and replaces trials itself"
        assert text in refused(PBT, **{key: value}).replace("`", "")
    assert "12: the population has 6 members; keep one of the two" in refused(PBT, count=12)
    assert "belongs to `method: pbt`" in refused(PBT, method="random")
    assert "method pbt: W&B's server cannot pause a run and copy it" in refused(PBT, "--controller", "wandb")


def test_a_trainer_that_starts_over_is_refused(tmp_path: Path) -> None:
    file, over = write_sweep(tmp_path, SPEC), ("SOLVER.MAX_EPOCHS", "3")
    ran = sweep(tmp_path, "--sweep-config", file, "--wandb-mode", "disabled", *over)
    assert ran.code == 2, ran.out
    assert "`method: pbt` resumes trials, and the trainer toy starts over" in ran.err
    assert not ran.sweeps


def test_copies_share_no_file(tmp_path: Path) -> None:
    """Both trials go on, and a trainer may write its checkpoint into the file that is there."""
    old, new = TrialPaths(tmp_path / "old"), TrialPaths(tmp_path / "new")
    for paths in (old, new):
        paths.dir.mkdir()
    (old.dir / "model.pth").write_bytes(b"0" * (2 << 20))
    assert not inherit_files(old, new, links=False)
    with open(old.dir / "model.pth", "r+b") as file:
        file.write(b"1")
    assert (new.dir / "model.pth").read_bytes() == b"0" * (2 << 20)


def test_lineage_and_counts() -> None:
    def record(number: int, state: str, iterations: int, **more: Any) -> TrialRecord:
        return TrialRecord(
            f"s-{number}", f"trial-{number:04d}", number, {"x": number}, state, iterations=iterations, **more
        )

    first, second = record(0, "finished", 9), record(1, "stopped", 3, cause="replaced")
    heir = record(2, "finished", 9, parent_trial="trial-0000", begun_at=3, replaces="trial-0001")
    last = record(3, "paused", 6, parent_trial="trial-0002", begun_at=6, replaces="trial-0000")
    found = [(stretch.trial, stretch.first, stretch.last) for stretch in lineage(last, [first, second, heir, last])]
    assert found == [("trial-0000", 1, 3), ("trial-0002", 4, 6)]
    assert count_settled([first, second, heir]) == 2
    second.state, second.cause = "paused", "paused"  # its end is not recorded yet
    assert count_settled([first, second, heir]) == 2
    assert savings([first, second, heir]) is None
    assert lineage(heir, [heir])[0].first == 4
