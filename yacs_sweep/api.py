"""Defines `Sweep`, a search as a Python object. The command line is this object, made from its options and run once."""

from __future__ import annotations

import os
import signal
import threading
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from .base.command_line import COMMAND
from .base.errors import ConfigError, Problems
from .base.wording import no_texts, without_password
from .launch.check.resumes import remark, with_answer
from .launch.control.methods import Controlled
from .launch.engines import Engine, make_engine
from .launch.follow import run_on_engine
from .launch.keyword_types import Keywords, PathLike
from .launch.keywords import described_by, from_keywords
from .launch.machine import shared_machine
from .launch.notify.events import END
from .launch.notify.moments import Ending, notifying
from .launch.options.table import Options
from .launch.plan.controller import agent_modules
from .launch.plan.make import make_plan
from .launch.plan.plan import Plan
from .launch.run import open_sweep, run_sweeps
from .launch.sweep_run import Results
from .launch.workers.agent_starter import AgentStarter, agent_starter
from .records.folder import ENDED_WELL, STATES, SweepPaths, TrialRecord
from .records.front import front_records
from .records.known_sweeps import find
from .records.launch_file import load_spec_of
from .records.metrics import read_metrics
from .records.progress import Tally, retried_trials
from .records.standings import best_record
from .records.summary import known_records
from .show.best import Best
from .show.lines import command_text, params_line, short_value
from .show.live.terminal import say
from .show.runs import Run
from .show.trials import Trials
from .spec.sweep import SweepSpec
from .trainers.function import function_profile
from .wandb.recorder import lacks_rows

if TYPE_CHECKING:
    from typing_extensions import Unpack

Train: TypeAlias = Callable[..., Any]
Overrides: TypeAlias = Mapping[str, Any] | Sequence[str]
INTERRUPTED = 130


class Sweep(Controlled):
    """Searches the hyperparameters of a trainer.

        sweep = Sweep("sweep_lr", config_file="configs/baseline.yml", count=5)    # a preset, or a file
        sweep = Sweep({"method": "random", "parameters": {"lr": [0.1, 0.2]}}, train=fn)
        sweep.run()
        sweep.best.params

    Everything is checked when the object is made; nothing is created before `create` or `run`.
    """

    def __init__(
        self,
        search: PathLike | Mapping[str, Any] | None = None,
        *,
        train: Train | None = None,
        overrides: Overrides = (),
        parameters: Mapping[str, Any] | None = None,
        metrics: Sequence[Mapping[str, Any]] | None = None,
        metric_constraints: str | Sequence[str] | None = None,
        scheduler: Mapping[str, Any] | None = None,
        pbt: Mapping[str, Any] | None = None,
        early_terminate: Mapping[str, Any] | None = None,
        run_cap: int | None = None,
        budget: Mapping[str, Any] | None = None,
        name: str | None = None,
        description: str | None = None,
        program: PathLike | None = None,
        command: Sequence[str] | None = None,
        where: str | Sequence[str] | None = None,
        results_dir_base: PathLike | None = None,
        **options: Unpack[Keywords],
    ) -> None:
        """Checks everything; creates nothing.

        Args:
            search: a sweep's description as its file would have it, the path of such a file, or a preset's name; none
                when `parameters`, `lr_values`, `wd_values` or `custom_params` say what to search.
            train: called in place of a trainer's command, in a process of its own for every trial: ``train(params)``,
                ``train(params, report)``, or ``train()``, which finds its parameters in ``wandb.config``. Its metrics are
                what it returns or yields (a number is the sweep's metric; or a dict), what it reports
                (``report(loss=0.5)``) and what it logs by ``wandb.log``. An exception is a failed trial.
            parameters: this and the following, with `method`, `metric`, `repeats` and `order` among the options, are the
                description, key by key, each as in a sweep file.
            overrides: given to every trial's command: a dict of keys, or words as on the command line.
            options: those of the command line (`keyword_types.Keywords`).

        Raises:
            ConfigError: with every mistake found.
        """
        keys = {
            "parameters": parameters,
            "metrics": None if metrics is None else list(metrics),
            "metric_constraints": list(metric_constraints)
            if isinstance(metric_constraints, tuple)
            else metric_constraints,
            "scheduler": scheduler,
            "pbt": pbt,
            "early_terminate": early_terminate,
            "run_cap": run_cap,
            "budget": budget,
            "name": name,
            "description": description,
            "program": os.fspath(program) if isinstance(program, os.PathLike) else program,
            "command": list(command) if isinstance(command, tuple) else command,
            "where": list(where) if isinstance(where, tuple) else where,
            "results_dir_base": os.fspath(results_dir_base)
            if isinstance(results_dir_base, os.PathLike)
            else results_dir_base,
        }
        self._start_with(_gather(search, train, overrides, options, keys), python=True)
        for line in self.plan.spec.warnings:
            warnings.warn(line, stacklevel=2)

    def _start_with(self, options: Options, *, python: bool, starter: AgentStarter | None = None) -> None:
        """Sets the options, and the state of a sweep that has not run."""
        self._options, self._python, self._starter = options, python, starter
        self._plan: Plan | None = None
        self._launched: Results | None = None  # since `create`, until it has run
        self._paths: SweepPaths | None = None
        self._signals: list[int] = []
        self._words: tuple[str, ...] = ()  # of the command line
        self._stopped = self._elsewhere = False  # whether it is known by its id, and has not run here
        self.exit_status: int | None = None  # of the last run, as the command line's: 0, 1 or 130
        self.message: str | None = None  # why the last run ended before its count

    @classmethod
    def from_options(cls, options: Options, starter: AgentStarter | None = None, words: Sequence[str] = ()) -> Sweep:
        """Makes the sweep of a command line, which is checked when `plan` is first read.

        Args:
            starter: forks its agents; default: one is started when they are needed.
            words: the command line, as it was typed.
        """
        sweep = cls.__new__(cls)
        sweep._start_with(options, python=False, starter=starter)
        sweep._words = tuple(words)
        return sweep

    @classmethod
    def open(
        cls, sweep_id: str, *, train: Train | None = None, overrides: Overrides = (), **options: Unpack[Keywords]
    ) -> Sweep:
        """Opens an existing sweep, to read its results or to resume it. `train` replaces the function it was made with.

        Raises:
            ConfigError: there is no such sweep, or an option is wrong. What only running needs is checked then.
        """
        if not isinstance(sweep_id, str):
            raise ConfigError(f"sweep_id: {sweep_id!r} is not a sweep's id, such as 'k3v9x2ab'")
        sweep = cls.__new__(cls)
        given = replace(_gather(None, train, overrides, options), sweep_id=sweep_id)
        sweep._start_with(given, python=True)
        sweep._paths, sweep._elsewhere = find(sweep_id, given.results_dir), True
        if sweep._paths is None:
            sweep._plan = make_plan(given)  # on the W&B server, or in a database
        return sweep

    # -- the sweep --------------------------------------------------------------------------------------------------

    @property
    def plan(self) -> Plan:
        """Returns the checked plan of the next run. Raises ConfigError."""
        if self._plan is None:
            self._plan = make_plan(self._options)
        return self._plan

    @property
    def spec(self) -> SweepSpec:
        """Returns the normalised description of the sweep."""
        return load_spec_of(self._paths) if self._paths and self._paths.spec.is_file() else self.plan.spec

    @property
    def id(self) -> str | None:
        """Returns the sweep's id; None before the sweep is created."""
        return self._paths.sweep_id if self._paths else None

    @property
    def dir(self) -> Path | None:
        """Returns the sweep's folder; None before the sweep is created."""
        return self._paths.dir if self._paths else None

    def describe(self) -> str:
        """Describes the search as `--dry-run` does: the space, the first trials' commands. Creates nothing."""
        from .launch.plan.dry_run import describe

        return describe(self.plan, seeded=self._options.seed is not None, remark=remark(self.plan, self._options))

    # -- runs -------------------------------------------------------------------------------------------------------

    def create(self) -> str:
        """Makes the sweep's folder, and the sweep on the W&B server where that is the controller; returns the id.

        `run` does so by itself.
        """
        return self._create(self._starter)

    def _create(self, starter: AgentStarter | None) -> str:
        if self._launched is None:
            self._plan = with_answer(self.plan, self._options)
            self._launched = open_sweep(self._plan, self._options, starter=starter)
            self._paths = self._launched.paths
            if self._python:
                self._launched.resuming.in_python = True
            elif self._words and not self._launched.plan.resumed:
                self._launched.new_line = without_password(command_text([*COMMAND, *self._words]))
        return self._launched.paths.sweep_id

    def run(self, count: int | None = None, *, retry_failed: bool | Sequence[str] | str = False) -> Trials:
        """Runs trials to the end of the sweep, shows progress in lines, returns all trials, best first.

        A failed trial is a row, not an exception; what ended the sweep before its count is in `message`. Another run
        resumes the sweep: with `count` further trials, or with those that the first run did not reach; with
        `retry_failed` the points of failed trials, all or those of the given names, are tried again.

        Raises:
            KeyboardInterrupt: the run was interrupted; its trials have been ended and its results written.
            SweepError: the sweep cannot continue.
        """
        if count is not None or retry_failed:
            checked = from_keywords({"count": count, "retry_failed": retry_failed or None})
            if self._launched is not None:
                self._resume_next()
            self._plan = None
            self._options = replace(self._options, count=checked.count or self._options.count)
            self._options = replace(self._options, retry_failed=checked.retry_failed or self._options.retry_failed)
        status = self.launch()
        stopped, self._stopped = self._stopped, False
        if status == INTERRUPTED and not stopped:
            raise KeyboardInterrupt(f"sweep {self.id} was interrupted; Sweep.open({self.id!r}).run() resumes it")
        return self.results()

    def launch(self) -> int:
        """Runs the sweep as the command line does; returns the exit status."""
        options = self._options
        self._elsewhere, self._running_in = False, threading.get_ident()
        # What an engine lacks is said before anything is created.
        engine = None if options.engine == "local" else make_engine(options)
        starting = agent_starter(self._starter, wanted=engine is None)
        try:
            with notifying(options.notify, (options.notify_on or END).split(","), say) as ending, starting as starter:
                self.exit_status = ending.status = self._run(engine, ending, starter)
        finally:
            self._running_in = None
        self._signals.clear()
        self._resume_next()
        return self.exit_status

    def _run(self, engine: Engine | None, ending: Ending, starter: AgentStarter | None) -> int:
        """Creates the sweep, runs its trials here or on the engine, and shows the results; returns the exit status."""
        options = self._options
        if starter is not None:
            modules = agent_modules(self.plan.launch.controller, self.plan.storage)
            starter.prepare(modules, single=self.plan.layout.workers == 1)
        self._create(starter)
        results = self._launched
        assert results is not None
        ending.sweeps = [results]
        plan = results.plan
        if engine is not None and not (plan.count == 0 and not lacks_rows(results.paths)):
            run_on_engine(engine, results, options, self._signals)
        else:
            preload, signals = not options.no_preload, self._signals
            with shared_machine(plan.layout, preload=preload, say=say, signals=signals, starter=starter) as machine:
                run_sweeps([results], machine, options)
        status = results.finish()
        self.message = results.outcome.message if results.outcome else None
        if options.train_best:
            from .launch.seeds import report_seeds

            report = partial(report_seeds, results.plan, results.accessories, options.prefer)
            results.accessories.attempt("the spread over the seeds is not shown", report)
        return status

    def _resume_next(self) -> None:
        """Makes the next run resume the sweep, which exists now."""
        assert self._paths is not None
        self._options = replace(
            self._options.after_launch(),
            controller="auto",
            sweep_id=self._paths.sweep_id,
            results_dir=str(self._paths.base),
        )
        self._plan = self._launched = None

    def stop(self, *, finish: bool = False) -> list[str]:
        """Ends the sweep; a line for each launch that has answered an order.

        A run of this object is ended from another thread as an interrupt would, at once by a second call; `run` then returns.
        With `finish` its running trials finish, as those of a sweep that was opened by its id and runs elsewhere.
        """
        if finish or self._elsewhere:
            return self._plain("stop")
        self._stopped = True
        self._signals.append(signal.SIGINT)
        return []

    # -- results ----------------------------------------------------------------------------------------------------

    def _records(self) -> list[TrialRecord]:
        """Reads the records of all trials."""
        return known_records(self._paths) if self._paths else []

    def results(self) -> Trials:
        """Returns all trials, best first; also while the sweep runs."""
        spec, metric = self.spec, self.spec.metric
        name, goal = (metric.name, metric.goal) if metric else (None, "minimize")
        return Trials(self._records(), name, goal, self.id, spec)

    def metrics(self, trial: str) -> list[dict[str, Any]]:
        """Returns the rows that the trial of that name has logged, each with a `step`; empty without any."""
        return read_metrics(self._paths.trial(trial).metrics) if self._paths else []

    @property
    def best(self) -> Best | None:
        """Returns the best finished trial; None while no trial has finished with a value."""
        records = self._records()
        found = best_record(self.spec, records)
        if found is None or found.value is None or self._paths is None:
            return None
        return Best.of(found, self._paths.best, records)

    @property
    def front(self) -> list[Best]:
        """Returns the trials on the Pareto front of several objectives, best in the first one first; with repeats of means."""
        records, paths = self._records(), self._paths
        if len(self.spec.objectives) < 2 or paths is None:
            return []
        found = front_records(self.spec, records)
        return [Best.of(each, paths.front_file(each.point or each.name), records) for each in found]

    def status(self) -> dict[str, Any]:
        """Returns `id`, `name`, `dir`, `counts` by state, and `best` (name, value, params; None without one)."""
        records, spec = self._records(), self.spec
        states = [record.state for record in records]
        best = best_record(spec, records)
        return {
            "id": self.id,
            "name": spec.name,
            "dir": self.dir,
            "counts": {state: states.count(state) for state in STATES if state in states},
            "best": best and {"name": best.name, "value": best.value, "params": dict(best.params)},
        }

    @property
    def runs(self) -> list[Run]:
        """All trials in the order they were started, with the names that W&B's runs have; also while it runs."""
        paths, spec = self._paths, self.spec
        records = sorted(self._records(), key=lambda record: record.number)
        return [Run.of(record, paths, spec) for record in records] if paths else []

    def best_run(self) -> Run | None:
        """Returns the best finished trial, as one of `runs`; None while there is none with a value."""
        best = self.best
        return next((run for run in self.runs if best is not None and run.name == best.name), None)

    @property
    def ended_well(self) -> bool:
        """Whether every trial, or the one that tried its point again, finished or was stopped early, and there is one."""
        records = self._records()
        retried = retried_trials(records)
        return bool(records) and all(record.state in ENDED_WELL for record in records if record.id not in retried)

    def __repr__(self) -> str:
        found = self.status()
        counts = Tally.of(self._records()).text or "no trials"
        best = found["best"]
        reached = f"; best {short_value(best['value'])} with {params_line(best['params'])}" if best else ""
        return f"<Sweep {found['id'] or 'not created'} ({found['name']}): {counts}{reached}>"


def _gather(
    search: PathLike | Mapping[str, Any] | None,
    train: Train | None,
    overrides: Overrides,
    options: Keywords,
    keys: Mapping[str, Any] | None = None,
) -> Options:
    """Makes the options of a command line that would say the same. `keys` are those of a description."""
    problems = Problems()
    words: dict[str, Any] = dict(options)
    described = {key: value for key, value in (keys or {}).items() if value is not None}
    described |= {key: words.pop(key) for key in ("metric", "repeats") if isinstance(words.get(key), Mapping)}
    if described and search is not None:
        problems.found.append(f"{', '.join(described)}: belong to a description, and one is given; write them in it")
    elif described:
        search = {**{key: words.pop(key) for key in ("method",) if key in words}, **described}
    sweep_config = problems.attempt(lambda: described_by(search))
    given = problems.attempt(lambda: from_keywords(words))
    profile = None
    if train is not None:
        taken = [name for name in ("trainer", "config_file", "python") if dict(options).get(name) is not None]
        if taken:
            problems.found.append(
                f"{', '.join(taken)}: belong to a command, and train is given; leave out one or other"
            )
        if overrides:
            problems.found.append("overrides: belong to a command; give train its constants as parameters")
        profile = problems.attempt(lambda: function_profile(train, Path.cwd()))
    if isinstance(overrides, str):
        problems.found.append(f"overrides: {overrides!r} is one text; write a dict, or a list of words")
    problems.end()
    assert given is not None
    given = replace(
        given,
        sweep_config=sweep_config,
        trainer=profile or given.trainer,
        trailing=dict(overrides) if isinstance(overrides, Mapping) else list(map(str, overrides)),
    )
    if wrong := no_texts(vars(given)):
        raise ConfigError(wrong)
    return given


__all__ = ["Best", "ConfigError", "Run", "Sweep"]
