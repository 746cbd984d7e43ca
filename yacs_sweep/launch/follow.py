"""The machine from which an engine was told to run a sweep: hands it over, follows its trials, sums them up."""

from __future__ import annotations

import signal
import subprocess
import time
from collections.abc import Callable

from ..base.errors import SweepError
from ..base.signals import noted
from ..records.folder import SweepPaths, TrialRecord
from ..records.summary import Summary
from .engines import Engine, environment, launcher_words, shares
from .options import Options
from .plan.plan import Plan
from .workers.sweep_state import Outcome

PERIOD = 1.0  # seconds between two looks at the trials
ASK = 5.0  # seconds between two questions to the engine
SILENCE = 600.0
END = 90.0  # seconds, beyond the grace period, that cancelled agents get


class Follower:
    """Follows the trials of a sweep that others run."""

    def __init__(
        self,
        engine: Engine,
        summary: Summary,
        *,
        target: int | None,
        grace: float,
        on_trial: Callable[[TrialRecord], None],
        say: Callable[[str], None],
        signals: list[int] | None = None,
    ) -> None:
        """
        Args:
            target: trials after which agents that still wait for a machine are not needed; None: they end by themselves.
            signals: those received; another thread may append one.
        """
        self.engine, self.summary, self.target, self.grace = engine, summary, target, grace
        self.on_trial, self.say = on_trial, say
        self._told: dict[str, str] = {record.id: record.state for record in summary.records.values()}
        self._signals: list[int] = [] if signals is None else signals
        self._silent: float | None = None  # since when the engine has not answered (monotonic seconds)
        self.outcome = Outcome()

    def look(self) -> None:
        """Takes in what has happened, and shows it."""
        self.summary.write()
        for record in sorted(self.summary.records.values(), key=lambda item: item.number):
            before = self._told.get(record.id)
            if before == record.state:
                continue
            self._told[record.id] = record.state
            if before is None and record.state != "running":
                self.on_trial(TrialRecord.from_row({**record.row(), "state": "running"}))
            self.on_trial(record)
            if record.state != "running":
                self.outcome.ended.append(record)

    def _done(self) -> bool:
        records = self.summary.records.values()
        running = any(record.state == "running" for record in records)
        return self.target is not None and not running and sum(record.settled for record in records) >= self.target

    def _alive(self, before: int) -> int:
        """How many agents there are. An engine that does not answer is asked again, `SILENCE` seconds long."""
        try:
            alive = self.engine.alive()
        except (SweepError, OSError, subprocess.TimeoutExpired) as error:
            if self._silent is None:
                self._silent = time.monotonic()
                self.say(f"the engine does not answer ({error}); asking again, {SILENCE:.0f} s at most")
            if time.monotonic() - self._silent < SILENCE:
                return before
            self.outcome.message = f"the engine does not answer ({error}); its agents go on without this launcher"
            return 0
        self._silent = None
        return alive

    def run(self) -> Outcome:
        """Returns when the engine has no agent left."""
        with noted(self._signals):
            cancelled: float | None = None
            asked, alive = 0.0, 1
            while alive:
                time.sleep(PERIOD)
                self.look()
                now = time.monotonic()
                if self._signals and not self.outcome.interrupted:
                    self.outcome.interrupted = True
                    self.say(f"{signal.Signals(self._signals[0]).name}: ending the engine's agents")
                if cancelled is None and (self.outcome.interrupted or self._done()):
                    cancelled = now
                    self.engine.cancel()
                if cancelled is not None and now - cancelled > self.grace + END:
                    self.outcome.message = (
                        f"{alive} of the engine's agents have not ended within {self.grace + END:.0f} s"
                    )
                    break
                if now - asked > ASK or cancelled is not None:
                    asked, alive = now, self._alive(alive)
            self.summary.write(final=True)
            self.look()
        if self.target is not None and not self.outcome.interrupted and not self._done() and not self.outcome.message:
            self.outcome.message = (
                f"the engine's agents have ended before the sweep; what they said is in {self.summary.paths.agents}"
            )
        return self.outcome


def hand_over(
    engine: Engine,
    plan: Plan,
    options: Options,
    paths: SweepPaths,
    summary: Summary,
    on_trial: Callable[[TrialRecord], None],
    say: Callable[[str], None],
    signals: list[int],
) -> Outcome:
    """Runs the plan on the engine."""
    agents = options.agents or 1
    command = launcher_words(options, paths)
    local = plan.launch.controller == "local"
    # The W&B server counts no trials: each launcher is given its part.
    counts: list[list[str]] = (
        [[]] * agents if local else [["--count", str(part)] for part in shares(plan.count, agents) if part]
    )
    commands = [[*command, *count] for count in counts]
    try:
        say(engine.submit(commands, environment(plan.storage), paths))
    except SweepError as error:
        raise SweepError(f"{error}; its sweep is there: --sweep_id {paths.sweep_id} goes on with it") from error
    target = plan.launch.target if local else None
    follower = Follower(
        engine, summary, target=target, grace=options.grace, on_trial=on_trial, say=say, signals=signals
    )
    return follower.run()
