"""Makes faults of processes and files at random moments of hundreds of short trials, then audits the sweeps.

    python -m tests.chaos.chaos [--seed 0] [--faults 320] [--points 60] [--seconds 460] [--workers 1] [--repeats 1]

Sweeps of the toy trainer on the local controller, whose every trial also leaves a daemon in a session of its own
behind, are launched and launched again with ``--sweep_id`` (now and then two launchers at once) until every point is
finished. Processes are killed, stopped and signalled; files are torn; trainers leave odd files and put things in the place of
the launcher's (each kind once a launch counts as a fault, however many trials leave it); inputs are edited, deleted and half
saved; permissions are taken away, and processes can open no more files for a while (`files.py`).
What the audit asks, of files and processes alone:

- lost: a trial that was once seen finished is still finished, with the same value and the same files;
- duplicated: every point has exactly one finished trial, with repeats one for each seed, and one name. A trial that was
  running when its agent was killed is no result: it is marked lost and its point tried again by another trial, which is
  what resuming means;
- orphans: no process that a launcher started is left, daemons included;
- unreadable: every JSON file parses, every row too, every finished trial has all its rows and lines;
- sweeps ended: no launch says that it cannot go on, or that its agents die of an error, and no agent dies of one, but of a
  want of descriptors while it starts; every value is that of the configuration the sweep began with.

Exits with status 1 if anything of it does not hold.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from tests.chaos.files import UNPRIVILEGED, Files, Inputs, quality, record_at
from tests.sweeping import command, environment
from tests.toy_trainer.odd import BESIDE, INSTEAD
from yacs_sweep.base.files import read_regular
from yacs_sweep.trial.inside.guard import descendants

ROLES = ("supervisor", "agent server", "agent", "guard", "child")
KINDS = (
    *[("SIGKILL", role) for role in ROLES],
    *[("SIGSTOP+SIGCONT", role) for role in ROLES],
    *[("SIGTERM", role) for role in ROLES],
    ("SIGINT", "supervisor"),
    ("SIGINT twice", "supervisor"),
    ("SIGHUP", "supervisor"),
    ("SIGKILL", "supervisor, agent and guard at once"),
)
ENDS = re.compile(
    r"^.*(?:cannot write results|cannot start worker|died \d+ times in a row \(exit code|no space left).*$", re.M
)
TRAINED_ROWS = 3  # of a finished toy trial: one epoch of two iterations and its evaluation
STANDSTILL = 180.0  # seconds without progress after which a launcher counts as hung: it starts slowly on a busy machine


def role_of(pid: int) -> str | None:
    """Returns a process's role in the launch, one of `ROLES`; None for other processes."""
    try:
        words = Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return None
    if b"yacs_sweep.launch.workers.agent" in words:
        return words.split(b"\0")[-2].decode().strip()  # agent server, agent, guard
    if b"trainers/inside/" in words:  # looks at the trainer's files before any trial
        return None
    if b"train.py" in words:
        return "child"
    if b"guard.py" in words or b"preload.py" in words:
        return "guard"
    return None


def living(home: Path) -> list[int]:
    """Lists the processes with this HOME, without zombies: all that a launcher has started, directly or not."""
    found = []
    wanted = f"HOME={home}".encode()
    for entry in Path("/proc").glob("[0-9]*/environ"):
        try:
            mine = wanted in entry.read_bytes().split(b"\0")
        except OSError:
            continue
        if mine and int(entry.parent.name) != os.getpid():
            found.append(int(entry.parent.name))
    return found


class UnderFaults(Protocol):
    """Sweeps under faults, or under orders, and what was found to be wrong."""

    home: Path
    problems: list[str]

    @property
    def quiet(self) -> bool:
        """Whether enough was done to the sweeps, or time is running out."""

    def sweep(self) -> None:
        """Runs one sweep, and audits it."""


@dataclass
class Chaos:
    """Runs sweeps under faults, and keeps count of the faults."""

    home: Path
    random: random.Random
    wanted: int
    points: int
    deadline: float
    workers: int = 1
    repeats: int = 1  # seeds of each point
    faults: Counter[str] = field(default_factory=Counter)
    launches: int = 0
    seen: dict[str, tuple[Any, ...]] = field(default_factory=dict)  # finished trials: what their files said
    problems: list[str] = field(default_factory=list)
    deaths: Counter[str] = field(default_factory=Counter)  # of agents, by exception

    @property
    def quiet(self) -> bool:
        """Returns whether enough faults were made, or time is running out."""
        return sum(self.faults.values()) >= self.wanted or time.monotonic() > self.deadline

    @property
    def trials(self) -> int:
        """Returns the number of trials that a sweep is to have finished: its points times their seeds."""
        return self.points * self.repeats

    # -- one sweep --------------------------------------------------------------------------------------------------

    def sweep(self) -> None:
        """Runs a sweep under faults until all its points are finished, then audits it."""
        values = [round(1e-5 * 1.07**step, 9) for step in range(self.points)]
        spec = {
            "method": "grid",
            "metric": {"name": "val/mAP", "goal": "maximize"},
            "parameters": {"base_lr": {"values": values}},
            **({"repeats": self.repeats} if self.repeats > 1 else {}),
        }
        folder = self.home / f"round{self.launches}"
        folder.mkdir()
        inputs = Inputs(folder, spec)
        words = inputs.words
        place: Path | None = None
        idle = done = 0
        while True:
            launchers = [self.launch(folder, words)]
            if place is not None and not self.quiet and self.random.random() < 0.2:
                launchers.append(self.launch(folder, words))
            self.torment(launchers, Files(place.parent, inputs) if place is not None else None)
            self.note_ends(launchers)
            place = next(iter(folder.glob("log/sweep/sweep/*/sweep.yaml")), place)
            if place is None or not (place.parent / "launch.json").exists():
                continue  # killed before the sweep was there
            records = [record_at(path) for path in place.parent.glob("trial-[0-9][0-9][0-9][0-9]/trial.json")]
            retried = {record.get("retry_of") for record in records}
            failed = any(record["state"] == "failed" and record["id"] not in retried for record in records)
            words = ["--sweep_id", place.parent.name, *(["--retry-failed"] if failed else [])]
            self.note_finished(place.parent)
            if len({id for id in self.seen if id.startswith(place.parent.name)}) >= self.trials:
                break
            idle = 0 if not self.quiet or len(self.seen) > done else idle + 1
            done = len(self.seen)
            if idle > 5 or self.launches > 60 + 3 * self.wanted:
                self.problems.append(f"{place.parent.name}: no end after {self.launches} launches")
                break
            if not self.quiet:
                self.tear(place.parent)
        # What killed launchers have left runs until somebody goes on with the sweep.
        self.torment([self.launch(folder, [*words, "--count", "1"])], harmless=True)
        self.note_log(folder)
        self.audit(place.parent)

    def launch(self, folder: Path, words: list[str]) -> subprocess.Popen[bytes]:
        self.launches += 1
        options = ["--wandb-mode", "disabled", "--retries", "1000", "--max-failures", "1000", "--grace", "0.5"]
        options += ["--workers", str(self.workers)]
        trainer = self.trainer_words()
        with (folder / "launcher.log").open("ab") as log:
            return subprocess.Popen(
                [*UNPRIVILEGED, *command(*words, *options, *trainer, trainer=None, config=None)],
                cwd=folder,
                env=environment(self.home),
                stdout=log,
                stderr=log,
            )

    def trainer_words(self) -> list[str]:
        """Returns what every trial of a launch is given."""
        trainer = ["SOLVER.MAX_EPOCHS", "1", "TOY.ITERATIONS", "2", "TOY.MODE", "daemon", "TOY.SECONDS", "0.25"]
        return [*trainer, "TOY.ODD", ",".join(self.odd_files())]

    def odd_files(self) -> list[str]:
        """Chooses what the trainers of a launch leave in their folders."""
        if self.quiet:
            return []
        kinds = self.random.sample(sorted(BESIDE), self.random.randint(0, 3))
        if self.random.random() < 0.5:
            kinds.append(self.random.choice(sorted(INSTEAD)))
        self.faults.update(f"left by trainers: {kind}" for kind in kinds)
        return kinds

    def note_ends(self, launchers: Sequence[subprocess.Popen[bytes]]) -> None:
        """Notes a launch that was not interrupted and says that it could not go on."""
        for launcher in launchers:
            if launcher.returncode not in (0, 1, 130, *(-number for number in (9, 15, 1, 2))):
                self.problems.append(f"a launch ended with status {launcher.returncode}")

    def note_log(self, folder: Path) -> None:
        """Notes what ended a sweep, and agents that died of an exception."""
        log = (folder / "launcher.log").read_text(errors="replace")
        for line in sorted(set(ENDS.findall(log))):
            self.problems.append(f"a sweep was ended: {line}")
        for place in folder.glob("log/sweep/sweep/*/agents/worker-*.log"):
            for death in re.findall(r"^\w*(?:Error|Exception)\b.*$", place.read_text(errors="replace"), re.M):
                self.deaths[death[:100]] += 1
                if "[Errno 24]" not in death:
                    self.problems.append(f"an agent died of {death[:200]}")

    def torment(
        self, launchers: list[subprocess.Popen[bytes]], files: Files | None = None, *, harmless: bool = False
    ) -> None:
        """Makes faults at random moments until all launchers have ended."""
        moved, done = time.monotonic(), -1
        starting = self.random.random() < 0.7  # else they are hurt while they start, too
        while any(launcher.poll() is None for launcher in launchers):
            if (count := self.progress()) != done:
                moved, done = time.monotonic(), count
            if time.monotonic() - moved > STANDSTILL:
                self.problems.append(f"no launcher has moved a trial on, or left, for {STANDSTILL:.0f} s")
                for launcher in launchers:
                    launcher.kill()
            running = next((launcher for launcher in launchers if launcher.poll() is None), launchers[0])
            starting = starting and not any(role_of(pid) == "child" for pid in descendants(running.pid))
            try:
                running.wait(0.05 if starting else self.random.uniform(0.05, 1.2))
            except subprocess.TimeoutExpired:
                if not (harmless or starting or self.quiet):
                    launcher = self.random.choice(launchers)
                    if files is not None and self.random.random() < 0.4:
                        if fault := files.hurt(
                            self.random, launcher.pid, [p for p in descendants(launcher.pid) if role_of(p) == "agent"]
                        ):
                            self.faults[fault] += 1
                    else:
                        self.hurt(launcher)

    def progress(self) -> int:
        """Returns a number that grows while launchers work: of trials that were started."""
        return sum(1 for _ in self.home.glob("*/log/sweep/sweep/*/*/trial.json"))

    # -- faults -----------------------------------------------------------------------------------------------------

    def hurt(self, launcher: subprocess.Popen[bytes]) -> None:
        """Makes one fault, of a kind that fits the running processes."""
        if launcher.poll() is not None:
            return
        below = descendants(launcher.pid)
        there = {"supervisor", *filter(None, map(role_of, below))}
        if {"agent", "guard"} <= there:
            there.add("supervisor, agent and guard at once")
        # A child lives for moments only: where there is one, it is often the one.
        chosen = "child" if "child" in there and self.random.random() < 0.4 else self.random.choice(sorted(there))
        kind, role = self.random.choice([kind for kind in KINDS if kind[1] == chosen])
        if role == "supervisor, agent and guard at once":
            targets = [launcher.pid, *(pid for pid in below if role_of(pid) in ("agent", "guard"))]
        elif role == "supervisor":
            targets = [launcher.pid]
        else:
            those = [pid for pid in below if role_of(pid) == role]
            targets = [self.random.choice(those)] if those else []
        for number in kind.removesuffix(" twice").split("+"):
            for pid in targets:
                try:
                    os.kill(pid, getattr(signal, number))
                except ProcessLookupError:
                    pass
            if number == "SIGSTOP":
                time.sleep(self.random.uniform(0.05, 0.8))
        if kind.endswith("twice"):
            time.sleep(self.random.uniform(0.0, 0.2))
            if launcher.poll() is None:
                launcher.send_signal(signal.SIGINT)
        self.faults[f"{kind} to {role}"] += 1

    def tear(self, sweep: Path) -> None:
        """Tears a file as a crash in the middle of a write does. Only while no process is running."""
        if self.random.random() < 0.5:
            return
        what = self.random.choice(["journal", "metrics", "part", "lock", "summary"])
        if what == "journal":
            with (sweep / "storage.journal").open("ab") as file:
                file.write(b'{"op_code": 4, "worker_id": "x", "stu')
        elif what == "metrics":
            states = {path.parent: record_at(path)["state"] for path in sweep.glob("*/trial.json")}
            for lost in [folder for folder, state in states.items() if state == "lost"][-1:]:
                with (lost / "metrics.jsonl").open("ab") as file:
                    file.write(b'{"step": 7, "train/lo')
        elif what == "part":
            (sweep / ".summary.json.0.part").write_text('{"sweep_id": ')
        elif what == "lock":
            lock = sweep / "agents" / f"0-{self.random.getrandbits(32):x}.lock"
            lock.write_text(f"{socket.gethostname()} 1 none\n")
        else:
            (sweep / "summary.json").write_text('{"sweep_id": ')  # derived: written anew
        self.faults[f"torn file: {what}"] += 1

    # -- audit ------------------------------------------------------------------------------------------------------

    def note_finished(self, sweep: Path) -> None:
        for path in sweep.glob("trial-[0-9][0-9][0-9][0-9]/trial.json"):
            record = record_at(path)
            if record["state"] == "finished" and record["id"] not in self.seen:
                self.seen[record["id"]] = fingerprint(path.parent, record, "value", "ended")

    def audit(self, sweep: Path) -> None:
        """Lists everything that must not be in a sweep that has ended."""
        tell = self.problems.append
        finished: Counter[tuple[float, Any]] = Counter()  # by parameter and seed
        names: dict[float, set[Any]] = {}  # of points, by parameter
        records = {}
        for path in [*sweep.glob("*.json"), *sweep.glob("trial-[0-9][0-9][0-9][0-9]/trial.json")]:
            try:
                content = json.loads(read_regular(path))
            except (OSError, ValueError) as error:
                tell(f"unreadable: {path}: {error}")
                continue
            if path.name == "trial.json":
                records[content["id"]] = (path.parent, content)
        for id, (folder, record) in records.items():
            try:
                rows = [json.loads(line) for line in read_regular(folder / "metrics.jsonl").splitlines()]
            except FileNotFoundError:
                rows = []
            except ValueError as error:
                if record["state"] == "finished":
                    tell(f"unreadable: {folder / 'metrics.jsonl'}: {error}")
                continue
            if record["state"] == "running":
                tell(f"{id} is still running")
            if record["state"] != "finished":
                continue
            finished[record["params"]["base_lr"], record.get("seed")] += 1
            names.setdefault(record["params"]["base_lr"], set()).add(record.get("point"))
            if [row["step"] for row in rows] != list(range(len(rows))) or len(rows) < TRAINED_ROWS:
                tell(f"unreadable: {folder}: rows {[row.get('step') for row in rows]}")
            if rows[-1].get("val/mAP") != record["value"]:
                tell(f"{id}: value {record['value']} is not its last row's")
            if record["value"] != round(quality(record["params"]["base_lr"]), 1):
                tell(f"{id}: value {record['value']} is not that of the configuration the sweep began with")
        for id, before in self.seen.items():
            if id.startswith(sweep.name) and (
                id not in records
                or records[id][1]["state"] != "finished"
                or fingerprint(*records[id], "value", "ended") != before
            ):
                tell(f"lost: {id} was finished once")
        for point, count in finished.items():
            if count > 1:
                tell(f"duplicated: {point} is finished {count} times")
        if len(finished) != self.trials:
            tell(f"lost: {self.trials - len(finished)} seeds of points were never finished")
        if apart := [rate for rate, points in names.items() if len(points) > 1]:
            tell(f"duplicated: {apart} are several points")
        audit_end(self, sweep, (record for _, record in records.values()))


def fingerprint(folder: Path, record: Mapping[str, Any], *names: str) -> tuple[Any, ...]:
    """Returns what must not change of a trial that is over: its point, the fields `names` of its record, and its files."""
    files = ((folder / name).read_bytes() for name in ("metrics.jsonl", "stdout.log"))
    return (record["params"]["base_lr"], *(record[name] for name in names), *files)


def audit_end(chaos: UnderFaults, sweep: Path, records: Iterable[Mapping[str, Any]]) -> None:
    """Looks at what is derived from the trials, and at what still runs."""
    told = {row["id"]: row["state"] for row in json.loads((sweep / "summary.json").read_text())["trials"]}
    if told != {record["id"]: record["state"] for record in records}:
        chaos.problems.append("summary.json is not what the trial.json files say")
    time.sleep(0.5)
    if orphans := living(chaos.home):
        chaos.problems.append(f"orphans: {[(pid, Path(f'/proc/{pid}/cmdline').read_bytes()[:80]) for pid in orphans]}")


def run_sweeps(chaos: UnderFaults, *, keep: bool = False) -> None:
    """Runs sweeps until there were enough faults or something is wrong; ends every process, and deletes a sound run's folder."""
    try:
        while not chaos.quiet and not chaos.problems:
            chaos.sweep()
    finally:
        for pid in living(chaos.home):
            os.kill(pid, signal.SIGKILL)
        if not keep and not chaos.problems:
            shutil.rmtree(chaos.home)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--faults", type=int, default=320)
    parser.add_argument("--points", type=int, default=60, help="of the grid of one sweep")
    parser.add_argument("--seconds", type=float, default=460, help="after which there are no further faults")
    parser.add_argument("--workers", type=int, default=1, help="of each launcher")
    parser.add_argument("--repeats", type=int, default=1, help="seeds of each point")
    parser.add_argument("--keep", action="store_true", help="leave the results for a look")
    options = parser.parse_args()
    home = Path(tempfile.mkdtemp(prefix="chaos-"))
    started = time.monotonic()
    source, until = random.Random(options.seed), started + options.seconds
    chaos = Chaos(home, source, options.faults, options.points, until, options.workers, options.repeats)
    run_sweeps(chaos, keep=options.keep)
    for kind, count in sorted(chaos.faults.items()):
        print(f"{count:5d}  {kind}")
    print(
        f"{sum(chaos.faults.values())} faults, {chaos.launches} launches, {len(chaos.seen)} finished trials,"
        f" {time.monotonic() - started:.0f} s, seed {options.seed}"
    )
    for death, count in chaos.deaths.most_common():
        print(f"{count:5d}  agents died of {death}")
    for problem in chaos.problems:
        print(f"PROBLEM {problem}")
    print("audit failed" if chaos.problems else "audit: 0 lost, 0 duplicated, 0 orphans, 0 unreadable, 0 sweeps ended")
    if sum(chaos.faults.values()) < options.faults:
        print(f"only {sum(chaos.faults.values())} of {options.faults} faults in the time given")
        return 1
    return 1 if chaos.problems else 0


if __name__ == "__main__":
    sys.exit(main())
