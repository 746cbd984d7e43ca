"""Keeps the results of one sweep in a launch: best.yml, the final table, the exit status."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from ..base.command_line import COMMAND, REPORT
from ..base.errors import ConfigError, SweepError
from ..base.files import write_atomically
from ..base.streams import output_width, print_lines
from ..base.wording import counted
from ..records.checkpoints import MODELS, Keep, Keeper, left_model
from ..records.folder import SweepPaths, TrialRecord
from ..records.known_sweeps import origin_of
from ..records.launch_file import LaunchFile
from ..records.points import (
    group_points,
    is_plain,
    mean_of,
    noun_of,
    reaches,
    target_reached,
    why_none_is_best,
)
from ..records.population.lineage import write_schedule
from ..records.progress import Progress, never_logged, savings, unretried
from ..records.standings import rank_points, rivals
from ..records.summary import Summary
from ..show.left_out import cannot_be, left_out_text
from ..show.lines import (
    MOST_SHOWN,
    Contrast,
    command_text,
    named_text,
    params_line,
    saved_text,
    trial_ended_line,
    trial_started_line,
    trial_table,
    values_text,
)
from ..show.live.board import Sweep
from ..show.live.terminal import say
from ..show.point_table import means_text, point_table, points_text
from ..show.same_seeds import SeedsWatch
from ..show.same_value import same_value_text
from ..trainers.reproduce import best_config, repeat_trial
from ..trainers.ways.files import JSON, dump
from ..trial.process import child_environment
from .accessories import Accessories
from .next_steps import Step, rename_steps, resume_steps, retry_steps, work_left
from .plan.plan import Plan
from .resuming import Resuming
from .workers.sweep_state import Outcome


class Results:
    """Holds one sweep of a launch: keeps best.yml up to date, shows the results at the end."""

    def __init__(self, plan: Plan, paths: SweepPaths, summary: Summary, resuming: Resuming) -> None:
        """Reads what the sweep's folder has."""
        self.plan, self.paths, self.summary, self.resuming = plan, paths, summary, resuming
        self.metric_place = "`metric.name`"  # where the user has named the metric,
        self.new_line = ""  # and what starts such a sweep once more, as one would type it; empty: not known
        self.outcome: Outcome | None = None  # once it has ended
        self.orders: dict[str, Any] = {}  # `orders` and `paused` of the sweep's SweepState
        self.log_model = False  # whether the best goes to W&B as an artifact, at the end
        self._fronts: dict[str, str] = {}  # what the files in pareto/ say, by their names
        self.best_id: str | None = None  # what best.yml says (`_told_of`),
        self.best_file: str | None = None  # and the id of the trial that it holds
        self.same_value_told = False  # whether the user knows that all trials end with one value
        self.seeds = SeedsWatch(plan.spec, paths)
        self.no_best_file = False  # whether the user knows that there will be no best.yml
        self.accessories = Accessories()
        self.listeners: list[Callable[[TrialRecord], None]] = []  # hear of each trial's end
        self.metric = plan.spec.metric.name if plan.spec.metric else None
        about = {"sweep_id": paths.sweep_id, "metric": self.metric, "goal": summary.goal}
        keep = Keep.parse(plan.launch.keep)
        self.keeper = Keeper(paths, plan.profile.checkpoints, keep, summary.goal, about, say)

    def on_trial(self, record: TrialRecord) -> None:
        """Updates best.yml and the checkpoints after the end of a trial."""
        if record.state != "running":
            self.update_best()
            if record.state == "finished":
                self.accessories.attempt("trials' values are not compared", partial(self._tell_same, record))
        for listener in self.listeners:
            self.accessories.attempt("nobody is notified of a trial", partial(listener, record))

    def _tell_same(self, record: TrialRecord) -> None:
        """Says once each that all trials end with one value, and that all seeds of a point do, and why that may be."""
        records = self.summary.records.values()
        if text := self.seeds.after(self.summary.point_of(record), records):
            say(f"warning: {text}")
        told = self.same_value_told or origin_of(self.paths.sweep_id)
        if not told and (text := same_value_text(records, self.metric, self.paths)):
            self.same_value_told = True
            say(f"warning: {text}")

    def show_trial(self, record: TrialRecord) -> None:
        """Shows the start or end of a trial in a line, and updates best.yml."""
        earlier, noun = self.summary.records.get(record.retry_of or ""), noun_of(self.plan.spec)
        ended = trial_ended_line(record, self.metric, self.plan.spec.objectives, noun=noun)
        contrast = Contrast.of_search(self.plan.spec.parameters)
        started = trial_started_line(record, earlier, noun=noun, contrast=contrast)
        say(started if record.state == "running" else ended)
        self.on_trial(record)

    def shown_sweep(self) -> Sweep:
        """Returns the sweep as the live view shows it."""
        plan, summary = self.plan, self.summary
        tally = summary.tally(owed=False)
        return Sweep(
            self.paths.sweep_id,
            plan.spec.name or self.paths.sweep_id,
            plan.spec.method,
            plan.launch.controller,
            (plan.remote and plan.remote.url) or os.path.relpath(self.paths.dir),
            self.metric,
            summary.goal,
            total=summary.settled + plan.count,
            left=plan.count,
            pauses=plan.spec.pauses,
            counts=tally.counts,
            again=tally.again,
            best=summary.best(),
            contrast=Contrast.of_search(plan.spec.parameters),
            aims=None if is_plain(plan.spec) else plan.spec,
            seed=plan.spec.several_values if origin_of(self.paths.sweep_id) else None,
            trials=[record for record in summary.records.values() if record.state != "running"],
        )

    def target_line(self, record: TrialRecord) -> str | None:
        """Returns a line when this trial has reached the metric's target; None otherwise."""
        spec, point = self.plan.spec, self.summary.point_of(record)
        if record.state != "finished" or not reaches(spec, point):
            return None
        reached = [
            f"{metric.name} {value:.6g} (target {metric.target:g})"
            for metric in spec.objectives
            if metric.target is not None and (value := mean_of(point, metric.name, spec)) is not None
        ]
        seeds = f" (means of {counted(point.estimate.n, spec.repeats.noun)})" if spec.repeats else ""
        if len(reached) == 1:
            return f"{point.name} reached the target: {reached[0]}{seeds}"
        return f"{point.name} reached the targets: {', '.join(reached)}{seeds}"

    def hopeless(self, record: TrialRecord) -> str | None:
        """Returns a message when every start of the trainer needs the module that this trial has missed."""
        from ..trainers.start.missing_modules import module_in  # few sweeps need it
        from ..trainers.start.try_start import fails_at_every_start

        plan, module = self.plan, module_in(record.reason)
        interpreter = plan.profile.leading_interpreter(plan.launch.python)
        environment = child_environment(plan.profile.fixed_env, os.environ, interpreter=interpreter)
        text = "\n".join(record.last_lines)
        if module is None or not fails_at_every_start(text, plan.profile, plan.launch.python, environment):
            return None
        return (
            f"ended after {record.name}, since every start of the trainer needs {module} (--max-failures N starts more). "
            f"{record.name}: {record.reason}"
        )

    @property
    def complete(self) -> bool:
        """Whether every trial is done that the sweep was asked for, however the launch has ended."""
        records = self.summary.records.values()
        reached = target_reached(self.plan.spec, records)
        progress = Progress(self.summary.settled, self.plan.launch.target, reached)
        return not progress.left and not self.may_resume and all(record.state != "running" for record in records)

    @property
    def may_resume(self) -> bool:
        """Whether there are paused trials that may be resumed."""
        return self.plan.may_resume and any(record.state == "paused" for record in self.summary.records.values())

    @property
    def nothing_left(self) -> str:
        """Says that no trial is left, and what the user can do."""
        size, spec = self.plan.spec.grid_trials, self.plan.spec
        if size is not None and self.summary.settled >= size:
            return f"every point of the grid is done ({spec.grid_size})"
        if size is not None and spec.repeats and not spec.run_cap:
            return "no point of the grid gets further seeds: those that lack some are out of the race, or were stopped"
        return "every trial of this sweep is done; --count N adds more"

    def update_best(self) -> None:
        """Rewrites best.yml, best/ and pareto/ when other trials are the best; deletes checkpoints that are not to be kept."""
        best = self.summary.best()
        if best is not None and self._told_of(best) != self.best_id:
            self.best_file = None
            if self.accessories.attempt("best.yml is not written", partial(self._write_best, best)):
                self.best_id = self._told_of(best)
            if self.plan.spec.pbt is not None:
                axis, trials = self.plan.profile.metrics.axis, self.summary.records.values()
                write = partial(write_schedule, self.paths, self.plan.spec, best, trials, axis)
                self.accessories.attempt("best_schedule.yml is not written", write)
        if self.summary.objectives and not self.no_best_file:
            self.accessories.attempt("pareto/ is not up to date", self._write_front)
        keep = partial(self.keeper.update, best, self.summary.records.values())
        self.accessories.attempt("best/ is not up to date, and no checkpoints are deleted", keep)

    def _told_of(self, record: TrialRecord) -> str:
        """Returns a text that changes with what a file about the trial, or about its point, would say."""
        return f"{record.id}: {self._value_text(record)}"

    def _value_text(self, record: TrialRecord) -> str:
        """Says how good a trial is, and with repeats its point."""
        spec, point = self.plan.spec, self.summary.point_of(record)
        means = [f"{item.name} {mean_of(point, item.name, spec)}" for item in spec.objectives]
        if not spec.repeats:
            return f"{record.name}, {', '.join(means)}"
        of = f"mean of {counted(point.estimate.n, spec.repeats.noun)}; this is {record.name}, {spec.repeats.name} {record.seed}"
        return f"{point.name}, {', '.join(means)} ({of})"

    def _write_best(self, best: TrialRecord) -> None:
        """Writes best.yml. No file is better than a wrong one."""
        try:
            what = f"Best of sweep {self.paths.sweep_id}"
            if self.summary.seeds_point() is not None:
                what = f"Best of sweep {self.paths.sweep_id} (of its seeds the one nearest to their mean)"
            if self.plan.spec.pbt is not None:
                what = f"Best of sweep {self.paths.sweep_id} (its last parameters; {self.paths.schedule.name} has all)"
            self._write_config(self.paths.best, best, what)
        except (ConfigError, OSError) as error:
            with contextlib.suppress(OSError):
                self.paths.best.unlink(missing_ok=True)
            if self.no_best_file and isinstance(error, ConfigError):
                return
            raise
        self.best_file = best.id

    def _write_front(self) -> None:
        """Writes pareto/NAME.yml for each trial or point on the front, and deletes those of others."""
        front = {record.point or record.name: record for record in self.summary.front()}
        told = {name: self._told_of(record) for name, record in front.items()}
        if told == self._fronts:
            return
        if front:
            self.paths.pareto.mkdir(exist_ok=True)
        for name, record in front.items():
            if self._fronts.get(name) != told[name]:
                self._write_config(
                    self.paths.front_file(name),
                    record,
                    f"On the Pareto front of sweep {self.paths.sweep_id}",
                )
        for path in self.paths.pareto.glob(f"*{self.paths.best.suffix}"):
            if path.stem not in front:
                path.unlink()
        self._fronts = told

    def _write_config(self, path: Path, record: TrialRecord, what: str) -> None:
        """Writes a trial's configuration merged with its overrides. Raises ConfigError, OSError."""
        config = best_config(self._started_here(record), self.plan.overrides, self.paths.dir, path.parent)
        json = self.plan.profile.overrides == "file" and str(self.plan.launch.config_file).endswith(JSON)
        head = f"# {what}: {self._value_text(record)}\n"
        write_atomically(path, dump(config, JSON) if json else head + dump(config, path.suffix))

    def _started_here(self, record: TrialRecord) -> TrialRecord:
        """Returns a trial with its command; one that ran on another machine with the command it would have here."""
        if record.command:
            return record
        params = self.plan.spec.searched(record.params)
        folder = self.paths.trial(record.name).dir
        start = self.plan.trial_start(params, self.plan.profile.output_dir(folder), record.seed)
        return replace(record, params=params, command=start.words, given=start.given, dir=str(folder))

    def announce_best(self) -> None:
        """Says before the first trial why there will be no best.yml, if that is known."""
        if not self.plan.profile.needs_config_file:
            return
        folder = self.paths.trial("trial").dir
        start = self.plan.trial_start({}, self.plan.profile.output_dir(folder))
        record = TrialRecord("", "trial", 0, {}, command=start.words, given=start.given, dir=str(folder))
        try:
            best_config(record, self.plan.overrides, self.paths.dir)
        except ConfigError as error:
            self.no_best_file = True
            say(f"there will be no best.yml: {error}; the line `train with it` has the overrides as words instead")

    def finish(self) -> int:
        """Writes the final results, shows the trials, best first, and what to do next; returns the exit status."""
        outcome = self.outcome = self.outcome or Outcome()
        attempt = self.accessories.attempt
        attempt("not all trials are in the summary", self._read_last)
        attempt("summary.json is not written", partial(self.summary.write, final=True))
        attempt("launch.json does not say that no trial is left", self._note_exhausted)
        self.update_best()
        attempt("the table of trials is not shown", self._show_table)
        if outcome.message:
            say(outcome.message)
        say(f"{self.summary.tally().text or 'no trials'}; results in {self.paths.dir}")
        attempt("what was saved is not shown", self._show_saved)
        attempt("the best trial is not shown", self._show_best)
        attempt("models are not looked for", self._tell_no_model)
        attempt("the report is not named", self._name_report)
        attempt("what to do next is not said", partial(self._tell_next, outcome))
        if self.log_model and not outcome.interrupted:
            attempt("the best trial is not logged", self._log_model)
        return self.status(outcome)

    @property
    def work_left(self) -> tuple[int, int]:
        """The number of trials to be started of what was asked for, and of those that run in other launches."""
        return work_left(self.summary.settled, self.plan, self.summary.records.values())

    def _tell_next(self, outcome: Outcome) -> None:
        """Says what is left of the sweep, and the command to type next."""
        records, resuming, steps = self.summary.records.values(), self.resuming, list[Step]()
        misnamed = not outcome.interrupted and never_logged(records)
        if outcome.cut_short and not (misnamed and outcome.message):
            steps += resume_steps(outcome, resuming, self.paths, *self.work_left, complete=self.complete)
        if misnamed:
            steps += rename_steps(self.metric, self.metric_place, self.new_line, resuming)
        else:
            steps += retry_steps(outcome, resuming, self.plan, records)
        for text, command in steps:
            say(text, command)

    def _note_exhausted(self) -> None:
        """Records in launch.json that the search gives out no further trial, though it was asked for more."""
        if self._is_exhausted():
            replace(LaunchFile.load(self.paths), exhausted=True).save(self.paths)

    def _is_exhausted(self) -> bool:
        """Tells whether the search has no further trial.

        With repeats a grid has fewer trials than points times seeds: points that are out of a race, or were stopped, get no
        further seed.
        """
        outcome = self.outcome or Outcome()
        if self.plan.spec.pauses:
            running = any(record.state == "running" for record in self.summary.records.values())
            return bool(self.outcome and not running and not outcome.cut_short)
        cut_short = outcome.cut_short or len(outcome.ended) >= self.plan.count
        if self.plan.spec.repeats is None or cut_short or self.complete:
            return False
        return all(record.settled for record in unretried(self.summary.records.values()))

    def _read_last(self) -> None:
        """Reads the trials once more, here and on other machines."""
        for record in self.paths.records():
            if self.summary.others is None or record.id not in self.summary.records:  # the database knows better
                self.summary.records[record.id] = record
        if self.summary.others is not None and not self.summary.others.read_last():
            say("warning: the storage does not answer; other machines' trials may be missing from the summary")

    def _show_table(self) -> None:
        """Shows all trials, best first."""
        summary, spec, file = self.summary, self.plan.spec, self.paths.summary
        front, width = summary.front_names(), output_width()
        if spec.repeats:
            ranked = rank_points(spec, summary.points())
            table = point_table(ranked, spec, width, most=MOST_SHOWN, file=file, front=front)
        else:
            trials = summary.ranked()
            if summary.seeds_point() is not None:  # of which none is the best
                trials.sort(key=lambda record: record.number)
            table = trial_table(
                trials, self.metric, width, most=MOST_SHOWN, file=file, front=front, objectives=spec.objectives
            )
        print_lines(f"\n{table}\n")

    def _show_saved(self) -> None:
        """Says what ending or pausing trials early has saved."""
        if saved := savings(self.summary.records.values()):
            say(saved_text(saved))

    def _show_best(self) -> None:
        """Shows the best trial, and the line that trains with its parameters."""
        best = self.summary.best()
        if self.summary.seeds_point() is not None:  # of one configuration: their mean is shown (launch/seeds.py)
            if text := self.seeds.text(self.summary.records.values()):
                say(f"warning: {text}")
            return
        if best is None:
            if why := why_none_is_best(self.plan.spec, group_points(self.summary.records.values())):
                say(f"there is no best trial: {why}")
            return
        contrast = Contrast.of_trials(self.summary.records.values())
        params, point = params_line(best.params, contrast), self.summary.point_of(best)
        if self.plan.spec.repeats:
            say(f"best: {point.name}, {means_text(point, self.plan.spec)} with {params}")
        elif self.summary.objectives:
            say(f"best: {best.name}, {values_text(best, self.metric)} with {params}")
        else:
            say(f"best: {best.name}, {self.metric} {best.value:.6g} with {params}")
        if self.plan.spec.pbt is not None and best.parent_trial is not None:
            say(f"its parameters changed on the way; which led to it, by iteration: {self.paths.schedule}")
        if alike := rivals(self.plan.spec, self.summary.points()):
            say(f"not to be told apart from the best: {points_text(alike, contrast)}")
        if front := self.summary.front_names():
            where = f"; configurations in {self.paths.pareto}" if self._fronts else ""
            say(f"on the Pareto front: {len(front)}: {named_text(front)}{where}")
        if others := left_out_text(self.plan.spec, group_points(self.summary.records.values())):
            say(f"{cannot_be(self.plan.spec)}: {others}")
        if text := self.seeds.text(self.summary.records.values()):
            say(f"warning: {text}")
        plan, written = self.plan, best.id == self.best_file and self.plan.profile.needs_config_file
        best_file = self.paths.best if written else None
        repeat = repeat_trial(self._started_here(best), plan.profile, self.paths.dir, best=best_file)
        if repeat is not None:
            say("train with it", repeat.line(Path.cwd()))

    def _tell_no_model(self) -> None:
        """Warns that the best trial has left no model, where the trainer knows the trial's folder."""
        best, profile = self.summary.best(), self.plan.profile
        told = profile.output_dir_key is not None or (profile.command_has_output_dir and not profile.reads_folder)
        if best is None or not (told or profile.checkpoints):
            return
        patterns = profile.checkpoints or MODELS
        if not left_model(self.paths, best, patterns):
            looked = ", ".join(profile.checkpoints) or "*.pth, *.ckpt, …"
            where = "in its folder (`checkpoints` in its profile names others)"
            say(f"no model of the best trial: {best.name} has left no {looked} {where}")

    def _name_report(self) -> None:
        """Names what comes after a sweep: the report, and the training of the best with several seeds."""
        from .plan.train_best import SEEDS
        from .seeds import can_train_best

        ended = [record for record in self.summary.records.values() if record.state != "running"]
        if ended:
            say("report", command_text([*REPORT, "--sweep_id", origin_of(self.paths.sweep_id) or self.paths.sweep_id]))
        if len(ended) > 1 and self.summary.best() is not None and can_train_best(self.plan, self.paths):
            say(f"train the best with {SEEDS} seeds", command_text([*COMMAND, "--train-best", self.paths.sweep_id]))

    def _log_model(self) -> None:
        """Logs the best trial as a W&B artifact."""
        from ..wandb.artifact import log_best

        try:
            say(log_best(self.paths, self.plan.launch, self.plan.spec.name or self.paths.sweep_id))
        except SweepError as error:
            say(f"warning: {error}")

    def status(self, outcome: Outcome) -> int:
        """Returns the exit status: 130 interrupted, 1 a trial failed or a message ended the sweep, else 0."""
        if outcome.interrupted:
            return 130
        # One that runs is another launcher's.
        well = all(trial.state == "running" or trial.ended_well for trial in unretried(self.summary.records.values()))
        return 0 if well and outcome.message is None else 1
