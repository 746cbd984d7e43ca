"""Makes the plan of a launch, whatever its sweep comes from, and collects all that is wrong with it."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import replace

from ...base.errors import Problems
from ...base.wording import counted
from ...recorders.targets import WANDB, Target, targets_of
from ...records.alive import launches_text, other_launchers
from ...records.launch_file import LaunchFile
from ...search.warm_start import WarmStart
from ...spec.sweep import SweepSpec
from ...trainers.own_command import CommandProfile, own_command_notes, unused_command_notes
from ..engines import engine_problems
from ..options.table import Options
from ..workers.gpu_places import Layout
from .checks import (
    budget_notes,
    budget_problems,
    cap_note,
    capped,
    client_notes,
    client_problems,
    controller_problems,
    given_gpus_win,
    grid_limit,
    keep_problems,
    layout_notes,
    log_model_problems,
    names_own_trainer,
    nothing_varies,
    placed_problems,
    read_layout,
    read_warm_start,
    repeats_problems,
    results_problems,
    words_without_effect,
)
from .inputs import (
    collect_inputs,
    difference_notes,
    scheduler_inputs,
    scheduler_notes,
    scheduler_problems,
    try_scheduler_of,
)
from .new import able_source, default_metric, metric_notes, new_source, preset_problems, read_spec, says_search
from .plan import Plan
from .resume import resumed_source
from .source import Source, describe_launch
from .train_best import best_source
from .trainer import Trainer, choose_trainer, data_notes, schema_notes


def make_plan(options: Options) -> Plan:
    """Makes the plan that the options ask for: a new sweep, a resumed or joined one, or the seeds of a best trial.

    Raises:
        ConfigError: with every mistake found.
    """
    problems = Problems()
    if options.retry_failed and not options.sweep_id:
        problems.found.append("--retry-failed: needs --sweep_id ID, the sweep whose failed trials to run again")
    layout = problems.attempt(lambda: read_layout(options))
    find = best_source if options.train_best else resumed_source if options.sweep_id else new_source
    return _checked(find(options, problems), layout, problems)


def _checked(source: Source, layout: Layout | None, problems: Problems) -> Plan:
    """Checks everything that the options and the source say, and makes the plan of it."""
    options, last = source.options, source.launch
    metric = default_metric(options, source.cwd) if source.spec is None else None
    spec = source.spec or problems.attempt(lambda: read_spec(options, metric))
    if spec is not None:
        source = able_source(source, spec)
    storage = options.storage if last is None else source.storage
    problems.found += controller_problems(options, source.controller, spec)
    problems.found += engine_problems(options, source.controller, storage)
    problems.found += budget_problems(options, spec, layout) if spec is not None else []
    trainer = source.trainer
    known = options.trainer is not None or (says_search(options) and not names_own_trainer(options))
    if trainer is None and (spec is not None or known):
        trainer = choose_trainer(problems, options, spec, last, source.cwd)
    if trainer is not None:
        unfit = preset_problems(options, trainer.overrides, spec)
        problems.found += unfit or placed_problems(options, trainer.overrides, spec)
        problems.found += keep_problems(options.keep, trainer.profile)
        problems.found += repeats_problems(spec, trainer.overrides) if spec is not None and not unfit else []
        problems.found += trainer.overrides.gpu_problems(layout.places[0]) if layout is not None else []
    if spec is not None and not source.has_folder:
        problems.found += results_problems(spec)
    seed = last.seed if last is not None else options.seed
    seed = random.SystemRandom().getrandbits(31) if seed is None else seed
    warm, learned = WarmStart(), tuple[str, ...]()
    scheduled = None
    if trainer is not None and spec is not None and spec.scheduler is not None and source.controller == "local":
        problems.found += scheduler_problems(options, spec)
        overrides, described = trainer.overrides, spec
        scheduled = problems.attempt(lambda: try_scheduler_of(described, source, overrides, seed))
    elif trainer is not None and spec is not None and source.controller == "local":
        warm, learned = read_warm_start(problems, options, spec, trainer.overrides, seed)
    targets = problems.attempt(
        lambda: targets_of(
            options.record,
            None if last is None else last.record,
            controller=source.controller,
            engine=options.engine,
            wandb_mode=options.wandb_mode,
            wandb_off=options.wandb_off,
        )
    )
    problems.end()
    assert spec is not None and trainer is not None and layout is not None
    if options.optimize:
        spec = replace(spec, optimize=options.optimize)
    count = _count(source, spec)
    launch = describe_launch(source, spec, trainer, seed=seed, target=_target(source, spec, count))
    if options.record is not None and targets is not None:
        launch = _recorded(launch, targets, options)
    if not count and source.launch is not None:
        launch = replace(launch, exhausted=source.launch.exhausted)
    problems.found += log_model_problems(options, launch) or client_problems(options, launch)
    inputs = problems.attempt(
        lambda: (*collect_inputs(options, trainer, source.paths), *scheduler_inputs(spec, source.paths, source.cwd))
    )
    problems.end()
    return Plan(
        spec=spec,
        launch=launch,
        profile=trainer.profile,
        overrides=trainer.overrides,
        trailing=trainer.values,
        count=count,
        paths=source.paths,
        remote=source.remote,
        fall_back=source.fall_back,
        notes=(
            *_first_notes(source, spec, trainer, count),
            *metric_notes(metric, spec, trainer.profile),
            *client_notes(options, launch),
            *learned,
            *scheduler_notes(spec, scheduled),
            *given_gpus_win(trainer.values, trainer.overrides, layout),
            *_last_notes(source, spec, layout),
        ),
        defaults=tuple(options.project_defaults()),
        warm=warm,
        given=source.given,
        storage=source.storage,
        targets=targets or (),
        resumed=source.resumed,
        layout=layout,
        inputs=inputs or (),
        snapshot=options.snapshot,
        searched=source.searched,
        scheduled=scheduled.points if scheduled is not None and not source.resumed else (),
    )


def _recorded(launch: LaunchFile, targets: Sequence[Target], options: Options) -> LaunchFile:
    """Describes a launch with the recorders of `--record`: without W&B's there are no runs."""
    mode = launch.wandb_mode
    if all(target.name != WANDB for target in targets):
        mode = "disabled"
    elif mode == "disabled":
        mode = options.wandb_mode or "offline"
    return replace(launch, record=tuple(target.text for target in targets), wandb_mode=mode)


def _running_elsewhere(source: Source) -> str:
    """Says which of the trials to go run already, in which other launches; empty without any."""
    others = other_launchers(source.paths) if source.paths is not None else []
    if source.paths is None or not others:
        return ""
    running = sum(record.state == "running" for record in source.paths.records())
    which = "another launch" if len(others) == 1 else "other launches"
    return f", {running} of them run in {which} ({launches_text(others)})" if running else ""


def _first_notes(source: Source, spec: SweepSpec, trainer: Trainer, count: int) -> list[str]:
    """Returns the lines that say which sweep this is and what its trainer is."""
    notes = [*source.notes, *_given_notes(source, count), *(difference_notes(source) if source.has_folder else ())]
    if source.progress is not None:
        done = counted(source.settled - source.paused, "trial")
        line = f"{source.progress}: {done} done, {count} to go"
        notes.insert(0, line + (f", {source.paused} paused" if source.paused else "") + _running_elsewhere(source))
    notes += [f"warning: {line}" for line in trainer.doubts]
    if source.launch is None:
        notes += nothing_varies(spec)
        notes += data_notes(trainer) if source.options.engine == "local" else []
    if source.options.trailing:
        words = {**trainer.overrides.settings_of(source.options.trailing), **trainer.values}
        notes += words_without_effect(words, spec, trainer.overrides)
    if source.options.trainer is not None and source.trainer is None:
        notes += unused_command_notes(trainer.profile, spec)
    if isinstance(trainer.profile, CommandProfile) and source.trainer is None and not source.has_folder:
        notes += own_command_notes(spec)
    return [*notes, *schema_notes(trainer, spec)]


def _given_notes(source: Source, count: int) -> list[str]:
    """Returns a line about the points of --add-points: how many are tried first, and how many must wait."""
    if not source.given:
        return []
    number = len(source.given)
    tried = min(number, max(0, count - source.again))
    if tried == number:
        return [f"tried first: {counted(number, 'point')} of --add-points"]
    return [f"tried first: {tried} of {counted(number, 'point')} of --add-points; the others wait for --set-count N"]


def _last_notes(source: Source, spec: SweepSpec, layout: Layout) -> list[str]:
    """Returns the lines that say how much is run at a time, and why it may be less than asked for."""
    return [
        *cap_note(spec, source.controller, source.options.count, source.settled),
        *layout_notes(layout),
        *budget_notes(source.options, spec),
    ]


def remaining(target: int, settled: int, grid: int | None) -> int:
    """Counts the trials left when a sweep is resumed without --count: what its last launch was asked for and did not reach.

    When it has reached everything, the rest of the grid is left.
    """
    wanted = target if settled < target or grid is None else grid
    return max(0, wanted - settled)


def _count(source: Source, spec: SweepSpec) -> int:
    """Counts the trials of this launch."""
    wanted, last = source.options.count, source.launch
    if source.options.agent_run:  # one run of the server's, which is a point
        wanted = spec.seeds_each
    if source.over:
        wanted = max(source.again, source.owed)
    elif wanted is None and last is None:
        wanted = spec.default_count
    elif wanted is None:
        assert last is not None
        if last.exhausted:
            return max(source.again, source.owed)
        # Who retries trials, or has said how many the sweep is to have, asks for no new points.
        grid = None if source.again or last.counted else spec.grid_trials
        wanted = remaining(last.target, source.settled + source.again, grid) + source.again
        wanted = max(wanted, source.owed)
    wanted = capped(wanted, spec.run_cap, source.settled)
    limit = grid_limit(spec, source.controller)
    return wanted if limit is None else max(0, min(wanted, limit - source.settled))


def _target(source: Source, spec: SweepSpec, count: int) -> int:
    """Counts the trials that the sweep has when this launch has done its part."""
    # Of what was asked for, nothing is forgotten; but the engine's launches learn from it what they are to do.
    asked = source.launch.target if source.launch is not None and source.options.engine == "local" else 0
    limit = grid_limit(spec, source.controller)
    return max(asked if limit is None else min(asked, limit), source.settled + count)
