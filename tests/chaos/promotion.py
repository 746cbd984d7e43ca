"""Makes faults of processes at random moments of sweeps whose trials pause and resume, then audits the sweeps.

    python -m tests.chaos.promotion [--seed 0] [--faults 200] [--points 9] [--seconds 460] [--workers 2]

The toy trainer keeps its place; sweeps are launched and resumed until the scheduler has nothing left to do. Processes are
killed, stopped and signalled, inputs are edited, files are torn between launches, and now and then the storage is deleted.
What the audit asks, of files and processes alone:

- lost: no trial ever has fewer iterations than it once had, and every trial that was started and has not failed is finished
  or paused at the end;
- duplicated: every trial has one number and one folder, every value is that of its epoch, and nothing that a checkpoint
  holds is trained again;
- orphans and unreadable files: as in `chaos.py`;
- sweeps ended: every sweep comes to its end, with a trial that was trained fully.

Exits with status 1 if anything of it does not hold.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.chaos.chaos import Chaos, audit_end, living, run_sweeps
from tests.chaos.files import Files, Inputs, quality, record_at
from yacs_sweep.records.metrics import size_of

EPOCHS = 9
ITERATIONS = 2  # of an epoch


class _Inputs(Files):
    """The inputs of a sweep alone are hurt."""

    def hurt(self, source: random.Random, supervisor: int, agents: Any) -> str | None:
        return self.inputs.spoil(source)


@dataclass
class PromotionChaos(Chaos):
    """Runs sweeps whose trials pause under faults."""

    reached: dict[str, int] = field(default_factory=dict)  # iterations that each trial was once seen with
    trained: int = 0  # epochs

    def trainer_words(self) -> list[str]:
        return [
            *("SOLVER.MAX_EPOCHS", str(EPOCHS), "TOY.ITERATIONS", str(ITERATIONS), "TOY.SECONDS", "0.04"),
            *("TOY.MODE", "daemon", "TOY.RESUMES", "itself"),
        ]

    def described(self) -> dict[str, Any]:
        """Describes the search of the next sweep."""
        rule = self.random.choice(["asha", "hyperband"])
        stops = {"type": rule, "mode": "promotion", "min_iter": 1, "max_iter": EPOCHS}
        return {"method": "random", "early_terminate": stops}

    def sweep(self) -> None:
        """Runs a sweep under faults until nothing is left to promote, then audits it."""
        spec = {
            **self.described(),
            "metric": {"name": "val/mAP", "goal": "maximize"},
            "parameters": {"base_lr": {"distribution": "log_uniform_values", "min": 1e-5, "max": 1e-2}},
            "count": self.points,
        }
        folder = self.home / f"round{self.launches}"
        folder.mkdir()
        inputs = Inputs(folder, spec)
        words = [*inputs.words, "--assume-resume"]
        place: Path | None = None
        for _ in range(40 + self.wanted):
            launchers = [self.launch(folder, words)]
            if place is not None and not self.quiet and self.random.random() < 0.2:
                launchers.append(self.launch(folder, words))
            self.torment(launchers, _Inputs(place.parent, inputs) if place is not None else None)
            self.note_ends(launchers)
            place = next(iter(folder.glob("log/sweep/sweep/*/sweep.yaml")), place)
            if place is None or not (place.parent / "launch.json").exists():
                continue
            self.note_reached(place.parent)
            records = [record_at(path) for path in place.parent.glob("trial-[0-9][0-9][0-9][0-9]/trial.json")]
            retried = {record.get("retry_of") for record in records}
            failed = any(record["state"] == "failed" and record["id"] not in retried for record in records)
            words = ["--sweep_id", place.parent.name, *(["--retry-failed"] if failed else [])]
            if any(launcher.returncode == 0 for launcher in launchers):
                break
            if not self.quiet:
                self.tear(place.parent)
        else:
            self.problems.append(f"{folder.name}: no end after {self.launches} launches")
            return
        # What killed launchers have left runs until somebody goes on with the sweep.
        self.torment([self.launch(folder, words)], harmless=True)
        self.note_log(folder)
        self.audit(place.parent)

    def progress(self) -> int:
        """Returns a number that grows while launchers work: of bytes that tell what was trained."""
        return sum(size_of(path) for path in self.home.glob("*/log/sweep/sweep/*/*/trained"))

    def tear(self, sweep: Path) -> None:
        """Deletes the storage now and then, or tears a file."""
        if self.random.random() < 0.25 and not living(self.home):
            (sweep / "storage.journal").unlink(missing_ok=True)
            self.faults["deleted file: journal"] += 1
        else:
            super().tear(sweep)

    def note_reached(self, sweep: Path) -> None:
        """Notes how far each trial is, and that none was further before."""
        for path in sweep.glob("trial-[0-9][0-9][0-9][0-9]/trial.json"):
            record = record_at(path)
            if record["state"] not in ("finished", "paused"):
                continue
            iterations = record.get("iterations") or 0
            before = self.reached.get(record["id"], 0)
            if iterations < before:
                self.problems.append(f"lost: {record['id']} has {iterations} iterations, and had {before}")
            self.reached[record["id"]] = max(before, iterations)

    def audit(self, sweep: Path) -> None:
        """Lists everything that must not be in a sweep that has ended."""
        self.note_reached(sweep)
        tell, records = self.problems.append, {}
        for path in sweep.glob("trial-[0-9][0-9][0-9][0-9]/trial.json"):
            record = json.loads(path.read_text())
            if record["name"] != path.parent.name or record["id"] in records:
                tell(f"duplicated: {path}")
            records[record["id"]] = (path.parent, record)
        retried = {record.get("retry_of") for _, record in records.values()}
        current = [record for _, record in records.values() if record["id"] not in retried]
        if odd := [
            f"{record['name']} {record['state']}" for record in current if record["state"] not in ("finished", "paused")
        ]:
            tell(f"lost: {odd}")
        if len(current) != self.points:
            tell(f"lost: {len(current)} trials of {self.points}")
        if not any(record["state"] == "finished" for record in current):
            tell("sweeps ended: no trial was trained fully")
        for folder, record in records.values():
            if record["state"] not in ("finished", "paused"):
                continue
            rows = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
            values = {row["epoch"]: row["val/mAP"] for row in rows if "val/mAP" in row}
            for epoch, value in values.items():
                if value != round(quality(record["params"]["base_lr"]) * epoch / EPOCHS, 1):
                    tell(f"{record['id']}: value {value} is not that of epoch {epoch}")
            # The trainer keeps its place first, and then notes what it has trained: nothing is noted twice.
            trained = Counter((folder / "trained").read_text().splitlines())
            if twice := [line for line, times in trained.items() if times > 1]:
                tell(f"duplicated: {record['id']} has trained {twice} again")
            self.trained += len(values)
            wanted = record.get("until") or EPOCHS
            reached = max(record.get("iterations") or 0, max(values, default=0))
            # What a killed agent had not read from its pipe is gone with it; the trainer resumes behind that, once a start.
            unread = len(record.get("starts") or ()) if f"{wanted} {ITERATIONS}" in trained else 0
            if reached + unread < wanted:
                tell(f"lost: {record['id']} has {record.get('iterations')} of {wanted} iterations")
        audit_end(self, sweep, (record for _, record in records.values()))


def torment(
    faults: int, points: int, seconds: float, workers: int, seed: int, kind: type[PromotionChaos] = PromotionChaos
) -> PromotionChaos:
    """Runs sweeps under faults, in a folder that is deleted unless something is wrong."""
    home = Path(tempfile.mkdtemp(prefix="chaos-"))
    chaos = kind(home, random.Random(seed), faults, points, time.monotonic() + seconds, workers)
    run_sweeps(chaos)
    return chaos


def main(kind: type[PromotionChaos] = PromotionChaos) -> int:
    about = sys.modules[kind.__module__].__doc__
    parser = argparse.ArgumentParser(description=about, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--faults", type=int, default=200)
    parser.add_argument("--points", type=int, default=9, help="trials of one sweep")
    parser.add_argument("--seconds", type=float, default=460, help="after which there are no further faults")
    parser.add_argument("--workers", type=int, default=2, help="of each launcher")
    options = parser.parse_args()
    chaos = torment(options.faults, options.points, options.seconds, options.workers, options.seed, kind)
    for fault, count in sorted(chaos.faults.items()):
        print(f"{count:5d}  {fault}")
    print(
        f"{sum(chaos.faults.values())} faults, {chaos.launches} launches, {len(chaos.reached)} trials, "
        f"{chaos.trained} epochs"
    )
    for problem in chaos.problems:
        print(f"PROBLEM {problem}")
    print(
        "audit failed"
        if chaos.problems
        else "audit: 0 rungs lost, 0 duplicated, 0 orphans, 0 unreadable, 0 sweeps ended"
    )
    return 1 if chaos.problems or sum(chaos.faults.values()) < options.faults else 0


if __name__ == "__main__":
    sys.exit(main())
