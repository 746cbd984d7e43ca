"""Gives orders to running sweeps at random moments, then audits the sweeps.

    python -m tests.chaos.control [--seed 0] [--acts 100] [--trials 30] [--workers 4] [--seconds 500]
                                  [--storage embedded|postgresql|wandb]

Sweeps of the toy trainer, whose every trial also leaves a daemon in a session of its own behind, get orders from other
processes, as a user gives them: pause and resume, stop and cancel (then the sweep is launched again), other workers with and
without `--now`, one trial stopped, further points, another number of trials. Ctrl-Z and fg, and SIGKILL to an agent come
between. On the loopback W&B server, half of the orders that the server knows are given on its page instead. What the audit asks,
of files and processes alone:

- lost: a trial that was once seen finished or stopped is still so, with the same value and files; the sweep has as many trials
  as it was ordered to have; every point that was added is one of them; what was killed was tried again;
- duplicated: no trial is tried again twice, and no two trials have the same point;
- orphans: no process that a launcher started is left, daemons included, and none is left stopped;
- unanswered: every order that was given at least 3 s before a launch's last trial ended has an answer;
- sweeps ended: every launch ends with the exit status that its last order means.

Exits with status 1 if anything of it does not hold.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.chaos.chaos import audit_end, fingerprint, role_of, run_sweeps
from tests.chaos.files import quality, record_at
from tests.postgres import Postgres
from tests.sweeping import command, environment, write_sweep
from tests.wandb_server import WandbServer, start_server
from yacs_sweep.base.values import utc_seconds
from yacs_sweep.launch.workers.freezer import is_stopped
from yacs_sweep.records.alive import launchers
from yacs_sweep.records.control.order_file import OrderFile
from yacs_sweep.records.control.words import orders_given
from yacs_sweep.records.folder import SweepPaths
from yacs_sweep.search.storage.order_log import order_log
from yacs_sweep.trial.inside.guard import descendants

ACTS = (
    *("pause", "resume", "stop", "cancel", "stop_trial", "set_workers", "set_workers now"),
    *("add_points", "set_count", "Ctrl-Z and fg", "SIGKILL to an agent"),
)
ON_SERVER = tuple(act for act in ACTS if act not in ("add_points", "set_count"))  # the W&B server chooses its points
PAGE = {"pause": "PAUSED", "resume": "RUNNING", "stop": "FINISHED", "cancel": "CANCELED"}
ROWS = 3  # of a finished toy trial: one epoch of two iterations and its evaluation
ANSWERED = 3.0  # seconds before the end of a launch's last trial until which every order is answered
STANDSTILL = 120.0  # seconds a launch may take for what it was ordered, on a busy machine
CRASH = 40.0  # seconds of silence after which the W&B server takes a run for crashed
OVER = ("finished", "stopped")


@dataclass
class Launch:
    """One run of the launcher, with the times from and until which it takes orders."""

    process: subprocess.Popen[bytes]
    began: float
    ended: float = 0.0


@dataclass
class ControlChaos:
    """Runs sweeps under orders, and keeps count of the acts."""

    home: Path
    random: random.Random
    wanted: int
    trials: int  # of one sweep, at first
    deadline: float
    workers: int = 4
    storage: str | None = None  # address of the database; None: the embedded storage
    server: WandbServer | None = None  # the W&B server; None: the local controller
    acts: Counter[str] = field(default_factory=Counter)
    answers: Counter[str] = field(default_factory=Counter)  # orders by whether they were obeyed
    on_page: int = 0  # of the acts, those on W&B's page
    sweeps: int = 0
    launches: list[Launch] = field(default_factory=list)
    seen: dict[str, tuple[Any, ...]] = field(default_factory=dict)  # trials that are over: what their files said
    added: set[float] = field(default_factory=set)  # points of the running sweep that were added
    count: int = 0  # trials that the running sweep is to have
    problems: list[str] = field(default_factory=list)

    @property
    def quiet(self) -> bool:
        """Whether enough was ordered, or time is running out."""
        return self.acts.total() >= self.wanted or time.monotonic() > self.deadline

    @property
    def environment(self) -> dict[str, str]:
        state = {"XDG_STATE_HOME": str(self.home / "state")}
        if self.server is not None:
            return self.server.env(self.home, **state)
        password = {"YACS_SWEEP_STORAGE": self.storage} if self.storage else {}  # which no folder keeps
        return environment(self.home, **password)

    @property
    def where(self) -> list[str]:
        """Options that say where a sweep is kept."""
        if self.server is not None:
            return ["--project", "p", "--entity", "tester"]
        return ["--wandb-mode", "disabled", *(["--storage", self.storage] if self.storage else [])]

    # -- one sweep --------------------------------------------------------------------------------------------------

    def sweep(self) -> None:
        """Runs a sweep under orders until all its trials are over, then audits it."""
        folder = self.home / f"round{self.sweeps}"
        folder.mkdir()
        self.sweeps, self.launches, self.added, self.count = self.sweeps + 1, [], set(), self.trials
        rates: dict[str, Any] = {"distribution": "log_uniform_values", "min": 1e-5, "max": 1e-2}
        if self.server is not None:
            rates = {"values": [round(1e-5 * 1.07**step, 9) for step in range(self.trials)]}
        spec = {
            "method": "random" if self.server is None else "grid",
            "metric": {"name": "val/mAP", "goal": "maximize"},
            "parameters": {"base_lr": rates},
        }
        count = [] if self.server is not None else ["--count", str(self.trials)]
        words = ["--sweep-config", str(write_sweep(folder, spec)), *count]
        trainer: dict[str, Any] = {}
        place: Path | None = None
        idle = 0  # launches in a row that were let come to their end
        while not self.problems:
            launch = self.launch(folder, words, **trainer)
            while place is None and launch.process.poll() is None:
                place = next((path.parent for path in folder.glob("log/sweep/sweep/*/launch.json")), None)
                time.sleep(0.05)
            if place is None:
                self.problems.append(f"{folder.name}: the first launch ended with {launch.process.wait()}")
                return
            acts = self.acts.total()
            ordered = self.give_orders(folder, place, launch)
            # A stopped sweep may have trials that an earlier cancel has ended. The W&B server refuses the agents of a launch
            # that has just begun when its sweep is cancelled: status 1.
            cancelled = (0, 130) if self.server is None else (0, 1, 130)
            self.wait(launch, {"cancel": cancelled, "stop": (0, 1)}.get(ordered or "", (0,)))
            self.note_over(place)
            if ordered is not None and self.server is not None:  # which starts none of a sweep that was ended
                self.order(folder, "--resume", place.name)
            words, trainer = ["--sweep_id", place.name], {"trainer": None, "config": None}
            idle = idle + 1 if self.acts.total() == acts else 0
            if ordered is None and (idle > 2 or self.is_done(place)):  # an order may have come with the end of a launch
                break
        if place is not None:
            self.audit(folder, place)

    def launch(self, folder: Path, words: list[str], **trainer: Any) -> Launch:
        """Starts a launcher as a shell does a job: Ctrl-Z stops it alone."""
        options = [*self.where, "--workers", str(self.workers), "--retries", "1000", "--grace", "0.5"]
        toy = ["SOLVER.MAX_EPOCHS", "1", "TOY.ITERATIONS", "2", "TOY.MODE", "daemon", "TOY.SECONDS", "0.8"]
        with (folder / "launcher.log").open("ab") as log:
            process = subprocess.Popen(
                command(*words, *options, *([] if trainer else toy), **trainer),
                cwd=folder,
                env=self.environment,
                stdout=log,
                stderr=log,
                process_group=0,
            )
        self.launches.append(Launch(process, time.time()))
        return self.launches[-1]

    def wait(self, launch: Launch, statuses: Sequence[int]) -> None:
        """Waits for the end of a launch, which must have one of these exit statuses."""
        try:
            code = launch.process.wait(STANDSTILL)
            if code not in statuses:
                self.problems.append(f"a launch ended with status {code} in place of {statuses}")
        except subprocess.TimeoutExpired:
            self.problems.append(f"no end of a launch within {STANDSTILL:.0f} s")
            launch.process.kill()
        launch.ended = launch.ended or time.time()

    def give_orders(self, folder: Path, place: Path, launch: Launch) -> str | None:
        """Gives orders until the launch ends; returns the order that ended it, None where all trials were over."""
        paths = SweepPaths(place.parent.parent, place.name)
        while launch.process.poll() is None and launch.process.pid not in {each.pid for each in launchers(paths)}:
            time.sleep(0.05)  # an order that comes before is one to no launch
        launch.began = time.time()
        paused = False
        moved, done = time.monotonic(), -1
        while launch.process.poll() is None and not self.problems:
            time.sleep(self.random.uniform(0.05, 0.5))
            if (count := len(list(place.glob("*/trial.json")))) != done or paused:
                moved, done = time.monotonic(), count
            if time.monotonic() - moved > STANDSTILL:
                self.problems.append(f"no trial has started for {STANDSTILL:.0f} s")
            if self.quiet and not paused:
                continue
            fits = [act for act in (ACTS if self.server is None else ON_SERVER) if act != "pause" or not paused]
            act = "resume" if paused and (self.quiet or self.random.random() < 0.4) else self.random.choice(fits)
            if not self.do(act, folder, place, launch):
                continue
            self.acts[act] += 1
            paused = paused if act not in PAGE else act == "pause"
            if act in ("stop", "cancel"):
                return act
        launch.ended = time.time()
        return None

    # -- acts -------------------------------------------------------------------------------------------------------

    def do(self, act: str, folder: Path, place: Path, launch: Launch) -> bool:
        """Does one act; returns whether it was done."""
        if act == "Ctrl-Z and fg":
            return self.sleep(launch)
        if act == "SIGKILL to an agent":
            return self.kill_agent(launch)
        if act in PAGE:
            if self.server is not None and self.random.random() < 0.5:
                self.server.control.set_sweep_state(place.name, PAGE[act])
                self.on_page += 1
                return True
            return self.order(folder, f"--{act}", place.name)
        named = ["--sweep_id", place.name]
        if act == "stop_trial":
            running = [record_at(path) for path in place.glob("*/trial.json")]
            names = [record["name"] for record in running if record["state"] == "running"]
            return bool(names) and self.order(folder, *named, "--stop-trial", self.random.choice(names))
        if act.startswith("set_workers"):
            now = ["--now"] if act.endswith("now") else []
            return self.order(folder, *named, "--set-workers", str(self.random.randint(1, 6)), *now)
        if act == "set_count":
            started = len(list(place.glob("*/trial.json")))
            wanted = self.random.randint(started + 8, started + 8 + self.trials)
            if ordered := self.order(folder, *named, "--set-count", str(wanted)):
                self.count = wanted
            return ordered
        points = [round(1e-5 * (1.0 + self.random.random()), 12) for _ in range(self.random.randint(1, 3))]
        file = folder / "points.json"
        file.write_text(json.dumps([{"base_lr": point} for point in points]))
        if ordered := self.order(folder, *named, "--add-points", str(file)):
            self.added.update(points)
        return ordered

    def order(self, folder: Path, *words: str) -> bool:
        """Gives an order by a command; returns whether it was taken."""
        project = [] if self.server is None else self.where
        done = subprocess.run(
            command(*words, *project, trainer=None, config=None, verbose=False),
            cwd=folder,
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=STANDSTILL,
            check=False,
        )
        with (folder / "orders.log").open("a") as log:
            log.write(f"{' '.join(words)}: {done.returncode}\n{done.stdout}{done.stderr}")
        # 1: the launch ends, or the trial has ended meanwhile. 2: that trial ended before the command looked.
        gone = done.returncode == 1 or (done.returncode == 2 and "--stop-trial" in words)
        if done.returncode != 0 and not gone:
            self.problems.append(f"{' '.join(words)} ended with {done.returncode}: {done.stdout}{done.stderr}")
        return done.returncode == 0

    def sleep(self, launch: Launch) -> bool:
        """Stops the launch for a moment as Ctrl-Z does; no process of a trial may run then."""
        launch.process.send_signal(signal.SIGTSTP)
        deadline = time.monotonic() + 10
        while launch.process.poll() is None and not is_stopped(launch.process.pid) and time.monotonic() < deadline:
            time.sleep(0.02)
        stopped = is_stopped(launch.process.pid)
        time.sleep(self.random.uniform(0.1, 1.0))
        launch.process.send_signal(signal.SIGCONT)
        return stopped

    def kill_agent(self, launch: Launch) -> bool:
        """Kills one of the launch's agents."""
        agents = [pid for pid in descendants(launch.process.pid) if role_of(pid) == "agent"]
        with contextlib.suppress(ProcessLookupError):
            if agents:
                os.kill(self.random.choice(agents), signal.SIGKILL)
        return bool(agents)

    # -- audit ------------------------------------------------------------------------------------------------------

    def is_done(self, place: Path) -> bool:
        """Whether as many trials are over as were ordered, the added points among them."""
        over = [record for path in place.glob("*/trial.json") if (record := record_at(path))["state"] in OVER]
        return len(over) >= self.count and self.added <= {record["params"]["base_lr"] for record in over}

    def note_over(self, place: Path) -> None:
        """Notes the trials that are over, which must stay as they are."""
        for path in place.glob("*/trial.json"):
            record = record_at(path)
            if record["state"] in OVER and record["id"] not in self.seen:
                self.seen[record["id"]] = fingerprint(path.parent, record, "state", "value")

    def audit(self, folder: Path, place: Path) -> None:
        """Lists everything that must not be in a sweep that has ended."""
        tell = self.problems.append
        records = {path.parent: json.loads(path.read_text()) for path in place.glob("*/trial.json")}
        by_id = {record["id"]: (path, record) for path, record in records.items()}
        if len(by_id) < len(records):
            tell("duplicated: trials have the same id")
        for id, before in self.seen.items():
            if id.startswith(place.name) and (id not in by_id or fingerprint(*by_id[id], "state", "value") != before):
                tell(f"lost: {id} was over once")
        again = Counter(record["retry_of"] for record in records.values() if record.get("retry_of"))
        if twice := [id for id, times in again.items() if times > 1]:
            tell(f"duplicated: {twice} were tried again twice")
        current = {path: record for path, record in records.items() if record["id"] not in again}
        if open_ := [
            f"{record['name']} {record['state']}" for record in current.values() if record["state"] not in OVER
        ]:
            tell(f"lost: {open_} were not tried again")
        points = Counter(record["params"]["base_lr"] for record in current.values())
        if same := [point for point, times in points.items() if times > 1]:
            tell(f"duplicated: {same} are points of several trials")
        if missing := self.added - set(points):
            tell(f"lost: the points {missing} were added, and never tried")
        # Points that were added when the sweep had all its trials come on top of them.
        if not self.count <= len(current) <= self.count + len(self.added):
            tell(f"lost or duplicated: {len(current)} trials of {self.count}")
        for path, record in current.items():
            if record["state"] != "finished":
                continue
            rows = [json.loads(line) for line in (path / "metrics.jsonl").read_text().splitlines()]
            # Rows of an attempt that was ended stay where the trial is tried again in its folder, as on the W&B server.
            steps = [row["step"] for row in rows]
            if steps != list(range(len(steps))) or len(steps) < ROWS:
                tell(f"unreadable: {record['name']} has rows {[row.get('step') for row in rows]}")
            if record["value"] != round(quality(record["params"]["base_lr"]), 1):
                tell(f"{record['name']}: value {record['value']} is not that of its point")
        self.audit_orders(place, [at for record in records.values() if (at := utc_seconds(record["ended"]))])
        if self.server is not None:
            self.audit_server(place, by_id)
        audit_end(self, place, records.values())

    def audit_orders(self, place: Path, ends: Sequence[float]) -> None:
        """Looks for orders that no launch has answered; a launch worked until the last of the trials' `ends` within it."""
        worked = [
            (each.began + 1.0, max((end for end in ends if each.began < end < each.ended), default=0.0) - ANSWERED)
            for each in self.launches
        ]
        paths = SweepPaths(place.parent.parent, place.name)
        log = OrderFile(paths) if self.server is not None else order_log(paths, self.storage)
        for given in orders_given(log.read()):
            at = utc_seconds(given.order.at) or 0.0
            heard = any(since < at < until for since, until in worked)
            if heard and not given.answers:
                self.problems.append(f"unanswered: {given.order}")
            obeyed = any(answer.obeyed for answer in given.answers)
            self.answers["obeyed" if obeyed else "refused" if given.answers else "came with the end of a launch"] += 1

    def audit_server(self, place: Path, by_id: dict[str, tuple[Path, dict[str, Any]]]) -> None:
        """Compares the W&B server's runs with the trials."""
        assert self.server is not None
        with self.server.state.lock:
            runs = {run.name: run.state for run in self.server.state.runs.values()}
        for id, (_, record) in by_id.items():
            if record["state"] == "finished" and runs.get(id) != "finished":
                self.problems.append(f"lost: {record['name']} is {runs.get(id)} on the server")


@contextlib.contextmanager
def kept(storage: str) -> Iterator[dict[str, Any]]:
    """Runs what keeps the sweeps; yields what `ControlChaos` is told of it."""
    if storage == "postgresql":
        with Postgres() as database:
            yield {"storage": database.url}
    elif storage == "wandb":
        with start_server(crash_after=CRASH) as server:
            yield {"server": server}
    else:
        yield {}


def torment(
    acts: int, trials: int, *, storage: str = "embedded", workers: int = 4, seed: int = 0, seconds: float = 500
) -> ControlChaos:
    """Runs sweeps under orders, in a folder that is deleted unless something is wrong."""
    home = Path(tempfile.mkdtemp(prefix="chaos-"))
    with kept(storage) as where:
        until = time.monotonic() + seconds
        chaos = ControlChaos(home, random.Random(seed), acts, trials, until, workers, **where)
        run_sweeps(chaos)
    return chaos


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--acts", type=int, default=100)
    parser.add_argument("--trials", type=int, default=30, help="of one sweep, until it is ordered to have others")
    parser.add_argument("--workers", type=int, default=4, help="of each launch, at its start")
    parser.add_argument("--seconds", type=float, default=500, help="after which there are no further acts")
    parser.add_argument("--storage", choices=("embedded", "postgresql", "wandb"), default="embedded")
    options = parser.parse_args()
    began = time.monotonic()
    more = {name: getattr(options, name) for name in ("storage", "workers", "seed", "seconds")}
    chaos = torment(options.acts, options.trials, **more)
    for act, count in sorted(chaos.acts.items()):
        print(f"{count:5d}  {act}")
    done = chaos.acts.total()
    print(f"{done} acts, {chaos.sweeps} sweeps, {len(chaos.seen)} trials, {time.monotonic() - began:.0f} s")
    if chaos.server is not None:
        print(f"{chaos.on_page} of them on W&B's page")
    print("orders: " + ", ".join(f"{count} {what}" for what, count in sorted(chaos.answers.items())))
    for problem in chaos.problems:
        print(f"PROBLEM {problem}")
    print("audit failed" if chaos.problems else "audit: 0 lost, 0 duplicated, 0 orphans, 0 unanswered, 0 sweeps ended")
    if chaos.problems:
        print(f"the files are in {chaos.home}")
    return 1 if chaos.problems or done < options.acts else 0


if __name__ == "__main__":
    sys.exit(main())
