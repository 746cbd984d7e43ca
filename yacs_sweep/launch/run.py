"""Runs planned sweeps: creates or reopens them, supervises their agents, shows how long it took."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..base.errors import ConfigError, SweepError
from ..base.signals import AWAKE
from ..base.streams import waiting_for
from ..base.wording import counted
from ..records import environment
from ..records.alive import (
    LAUNCHER_PATTERN,
    Announcement,
    Launcher,
    announced,
    clear_leftovers,
    launches_text,
    other_launchers,
    refuse_foreign_agents,
)
from ..records.code.snapshot import take_snapshot
from ..records.code.watched import CODE_FILE, save_code
from ..records.control.late import LateOrders
from ..records.folder import SweepPaths
from ..records.inputs import CONFIG, Inputs, save_inputs
from ..records.known_sweeps import remember
from ..records.launch_file import read_launch, save_spec
from ..records.points import target_reached
from ..records.progress import count_paused
from ..records.summary import Summary
from ..search.storage.url import shared
from ..search.warm_start import write_warm
from ..show.lines import duration_text
from ..show.live.terminal import say
from ..show.live.view import View, opened
from ..spec.budget.budget import Budget
from ..trainers.function import FUNCTION
from ..trainers.own_command import has_own_command
from ..wandb.ask_client import WandbUnavailable
from ..wandb.recorder import lacks_rows
from ..wandb.sweeps import create_sweep
from .agent_run import agent_command, given_run
from .machine import Machine
from .options.table import Options
from .plan.checks import budget_of, opens_runs
from .plan.inputs import scheduler_modules
from .plan.plan import Plan, new_paths, trials_text
from .plan.portable import portable_inputs
from .resuming import Resuming
from .sweep_run import Results
from .workers.agent_starter import AgentStarter
from .workers.channel import Job
from .workers.sweep_state import FailureLimit, Outcome, SweepState

if TYPE_CHECKING:
    from ..records.control.orders import OrderLog
    from .workers.gpu_places import Layout
    from .workers.time_limits import TimeLimits


def create_folder(plan: Plan, paths: SweepPaths) -> Plan:
    """Writes the sweep's folder: what it searches, how it is launched, its inputs. Returns the plan that uses the copies."""
    joining = plan.resumed and not paths.launch.is_file()
    try:
        paths.agents.mkdir(parents=True, exist_ok=True)
        save_spec(paths, plan.spec)
        # Of a checkout git is asked, which the first trial need not wait for.
        threading.Thread(target=environment.save, args=(paths,), name="environment").start()
        plan = copy_inputs(plan, paths)
        environment.save_defaults(paths, plan.overrides.defaults(item.name for item in plan.spec.parameters))
        plan.launch.save(paths)
        if plan.storage is not None and shared(plan.storage):
            from ..search.storage.shared_sweep import SharedSweep

            sweep = SharedSweep(plan.storage, paths.sweep_id)
            launch, inputs = portable_inputs(plan, paths)
            write_warm(paths, sweep.describe(plan.spec, launch, plan.warm, inputs, joining=joining))
        elif plan.warm:
            plan.warm.save(paths)
    except OSError as error:
        kind = ConfigError if plan.remote is None else SweepError  # nothing has been created
        raise kind(f"cannot write results to {paths.dir}: {error.strerror}") from error
    remember(paths)
    return plan


def copy_inputs(plan: Plan, paths: SweepPaths) -> Plan:
    """Copies the inputs into the sweep's folder; returns the plan that uses the copies. Raises OSError."""
    project = Path(plan.launch.cwd)
    inputs = save_inputs(paths, project, plan.inputs) if plan.inputs else Inputs.load(paths, project)
    config = inputs.file(CONFIG) if plan.launch.config_file else None
    launch = replace(plan.launch, trainer=plan.profile.install(paths.dir))
    if config is not None:
        launch = replace(launch, config_file=str(config))
    if plan.snapshot and launch.code is None:
        with waiting_for("the copy of the trainer's code (--snapshot)"):
            snapshot = take_snapshot(paths, plan.profile.cwd)
        launch = replace(launch, code=str(snapshot.project))
        for line in snapshot.lines():
            say(line)
    elif launch.code is None and not (paths.inputs / CODE_FILE).exists():
        threading.Thread(target=_watch_code, args=(plan, paths), name="code", daemon=True).start()
    return replace(plan, launch=launch, profile=plan.profile.starting_in(launch.code))


def _watch_code(plan: Plan, paths: SweepPaths) -> None:
    """Notes what the trainer's code is, while the first trials start. Without it, changes are not seen."""
    with contextlib.suppress(OSError):
        cwd = Path(plan.launch.cwd)
        save_code(paths, cwd, [*plan.profile.scripts, *scheduler_modules(plan.spec, cwd)])
        environment.save_uncommitted(paths, plan.profile.cwd)


def locate(plan: Plan, options: Options, starter: AgentStarter | None = None) -> tuple[Plan, SweepPaths]:
    """Returns the plan and the sweep's folder; the W&B server names a new sweep of its own, which is created first."""
    if plan.launch.controller != "wandb":
        return plan, plan.paths or new_paths(plan.spec)
    remote = plan.remote
    if remote is None:
        try:
            start = starter.fork_request if starter is not None else None
            own = {} if has_own_command(plan.spec) else agent_command(options)
            remote = create_sweep(plan.spec, plan.launch.project, plan.launch.entity, start, **own)
        except WandbUnavailable as error:
            if not plan.fall_back:
                raise
            say(f"warning: {error}; using the local controller instead (--controller wandb makes this an error)")
            return locate(replace(plan, launch=replace(plan.launch, controller="local"), notes=()), options)
    say(f"sweep on the W&B server: {remote.url or remote.id}")
    if remote.note:
        say(f"warning: {remote.note}")
    for line in plan.spec.wandb_limits():
        say(f"warning: {line}")
    if remote.reopens and plan.count:
        from ..records.control.orders import new_order
        from ..wandb.sweep_states import change_state

        place = f"{remote.entity}/{remote.project}/{remote.id}"
        say(change_state(place, new_order("resume"), plan.paths))
        remote = replace(remote, state="RUNNING", reopens=False)
    plan = replace(plan, remote=remote, launch=replace(plan.launch, project=remote.project, entity=remote.entity))
    return plan, plan.paths or new_paths(plan.spec, remote.id)


def _shared_target(results: Results, options: Options) -> int | None:
    """Returns what several launches of one sweep have to do together.

    None: each does its own number, as with --count, and where points are tried again after the metric's target.
    """
    plan, spec = results.plan, results.plan.spec
    if spec.pauses:  # the controller alone knows what is left
        return plan.launch.target
    reached = target_reached(spec, results.summary.records.values())
    return None if plan.resumed and (options.count or reached) else plan.launch.target


def make_job(results: Results, options: Options, preload: int | None, label: str | None) -> Job:
    """Makes the job of this launch's agents: the sweep, limits, and what they share.

    Args:
        preload: descriptor of the preload server; None without one.
        label: stands before the trial's name in each line of its trainer; None: lines as they are.
    """
    plan, paths = results.plan, results.paths
    return Job(
        sweep_dir_base=str(paths.base),
        sweep_id=paths.sweep_id,
        echo=options.verbose,
        label=label,
        shared=plan.layout.shared,
        timeout=options.timeout,
        stall_timeout=options.stall_timeout,
        grace=options.grace,
        retries=options.retries,
        on_oom=options.on_oom,
        gpu_wait=options.gpu_wait,
        schema=plan.overrides.schema.packed() if plan.overrides.schema else None,
        preload=preload,
        wandb_off=options.wandb_off,
        target=_shared_target(results, options),
        counted=plan.launch.counted,
        storage=plan.storage,
        given=given_run() if options.agent_run else None,
    )


def _default_notes(plan: Plan) -> list[str]:
    """Says in a line which options are the project's defaults."""
    if not plan.defaults:
        return []
    files = dict.fromkeys(place.rpartition(":")[0] or place for _, _, place in plan.defaults)
    values = ", ".join(f"{name} {value}" for name, value, _ in plan.defaults)
    return [f"defaults of {' and '.join(files)}: {values}"]


def open_sweep(
    plan: Plan, options: Options, shown: set[str] | None = None, starter: AgentStarter | None = None
) -> Results:
    """Creates the sweep, or opens it again, and shows the plan's notes.

    Args:
        shown: notes that are not shown again; those of this plan are added.
        starter: has imported the W&B client, which creates the sweep on its server.
    """
    plan, paths = locate(plan, options, starter)  # a sweep on the W&B server says first where it is
    shown = set() if shown is None else shown
    notes = (*_default_notes(plan), *plan.notes)
    for note in notes:
        if note not in shown:
            say(note)
    shown.update(notes)
    plan = create_folder(plan, paths)
    spec = plan.spec
    many = counted(plan.count, "trial")
    if spec.repeats is not None:
        many = trials_text(spec, plan.count, resumed=plan.resumed)
    elif spec.grid_size is not None:
        many = f"{plan.count} of {counted(spec.grid_size, 'point')}"
    summary = Summary(
        paths,
        name=spec.name or paths.sweep_id,
        controller=plan.launch.controller,
        method=spec.method,
        metric=spec.metric.name if spec.metric else "",
        goal=spec.metric.goal if spec.metric else "minimize",
        target=spec.metric.target if spec.metric else None,
        retry=plan.launch.retry,
        spec=spec,
    )
    if plan.may_resume and (paused := count_paused(summary.records.values(), plan.launch.retry)):
        many += f", {paused} paused"
    say(f"sweep {paths.sweep_id} ({spec.name}): {spec.method}, {many}, results in {paths.dir}")
    if plan.storage is not None and shared(plan.storage):
        from ..search.storage.shared_sweep import DatabaseTrials

        summary.others = DatabaseTrials(plan.storage, paths.sweep_id)
    elif plan.launch.controller == "local" and plan.paths is not None:
        refuse_foreign_agents(paths.agents, socket.gethostname())
    results = Results(plan, paths, summary, Resuming(paths.sweep_id, options, [spec.budget]))
    results.log_model = bool(options.log_model) and opens_runs(options, plan.launch)
    if (files := options.sweep_config) and isinstance(files[0], str) and not options.metric:
        results.metric_place = f"`metric.name` in {files[0]}"
    elif options.metric:
        results.metric_place = "--metric"
    results.accessories.attempt("orders to the sweep are not read", partial(_open_orders, results))
    results.accessories.attempt("best.yml cannot be tried before the first trial", results.announce_best)
    return results


def _open_orders(results: Results) -> None:
    """Reads the orders given to the sweep up to now; a pause among them holds for this launch."""
    log: OrderLog = LateOrders(results.paths)
    if results.summary.others is not None:
        from ..records.control.mirror import MirroredOrders
        from ..records.control.order_file import OrderFile

        log = MirroredOrders(results.summary.others.orders, OrderFile(results.paths))
    results.orders = {"orders": log}
    if before := log.read():
        from ..records.control.orders import paused_by  # few launches need it

        results.orders["paused"] = paused_by(before)


def set_count(results: Results, count: int) -> None:
    """Takes in how many trials the whole sweep is to have from now on."""
    plan = results.plan
    more = count - plan.launch.target
    launch = replace(plan.launch, target=count, exhausted=plan.launch.exhausted and more <= 0)
    results.plan = replace(plan, launch=launch, count=max(0, plan.count + more))


def find_twin(paths: SweepPaths) -> tuple[str, Launcher] | None:
    """Finds another sweep beside this one that somebody runs, and that was launched with the same files and words.

    Returns:
        Its id, and who works on it; None without one.
    """
    ours = _launched_with(paths)
    for file in paths.agents.parent.parent.glob(f"*/{paths.agents.name}/{LAUNCHER_PATTERN}"):
        other = SweepPaths(paths.base, file.parent.parent.name)
        if other.sweep_id == paths.sweep_id or _launched_with(other) != ours:
            continue
        for launcher in other_launchers(other):  # not this process: a batch may have the same file twice
            return other.sweep_id, launcher
    return None


def _launched_with(paths: SweepPaths) -> tuple[Any, ...]:
    """Returns what makes two launches the same: the search, the words for every trial, and the files' contents."""
    launch = read_launch(paths)
    files = sorted((entry.kind, entry.sha256) for entry in Inputs.load(paths, Path()).entries)
    return launch.get("search"), launch.get("trailing"), launch.get("controller"), files


def tell_of_twin(results: Results, options: Options) -> None:
    """Says that the same sweep is being run already, as a sweep of its own, and how to join that."""
    tell = partial(_tell_of_twin, results, options)
    results.accessories.attempt("other launches of the same sweep are not looked for", tell)


def _tell_of_twin(results: Results, options: Options) -> None:
    """Looks for the other sweep and says the line."""
    # Of a Python function nothing tells whether it is the same.
    untold = results.plan.resumed or results.plan.launch.trainer == FUNCTION
    twin = None if untold else find_twin(results.paths)
    if twin is not None:
        sweep_id, launcher = twin
        say(
            f"warning: the same sweep runs already as {sweep_id} ({launches_text([launcher])}), and this is "
            "another; to work on that one instead, stop this one and join it with",
            Resuming(sweep_id, options, [results.plan.spec.budget]).line,
        )


def run_sweeps(sweeps: Sequence[Results], machine: Machine, options: Options, title: str = "") -> None:
    """Runs the sweeps, at the same time, to their end; how each ended is in its `outcome`.

    Args:
        title: stands above all of them on the screen.
    """
    with contextlib.ExitStack() as stack:
        changed: list[Callable[[Layout], object]] = []
        asleep: list[Callable[[bool], object]] = []
        for results in sweeps:
            announcement = stack.enter_context(announced(results.paths, machine.layout.workers))
            asleep.append(announcement.set_asleep)
            changed.append(partial(_resize, results, announcement))
            stack.enter_context(_recording(results, options))
            tell_of_twin(results, options)
        view = opened(machine.layout.workers, title, quiet=options.quiet, verbose=options.verbose)
        shown = stack.enter_context(view)
        changed.append(lambda layout: shown.board.set_workers(layout.workers))
        _supervise(
            sweeps,
            machine,
            options,
            shown,
            on_workers=lambda layout: [tell(layout) for tell in changed],
            on_sleep=lambda sleeps: [tell(sleeps) for tell in asleep],
        )


def _recording(results: Results, options: Options) -> contextlib.AbstractContextManager[None]:
    """Returns what records the sweep beside W&B while its trials run; without `--record` nothing is started."""
    plan, paths = results.plan, results.paths
    if not plan.targets:
        return contextlib.nullcontext()
    from ..recorders.process import Ending, recording

    def ending() -> Ending:
        best = results.summary.best()
        interrupted = results.outcome is not None and results.outcome.interrupted
        return Ending(interrupted, best.name if best else None, bool(options.log_model) and not interrupted)

    return recording(paths, plan.targets, plan.launch.project, say=say, ending=ending)


def time_limits_of(results: Results, options: Options) -> TimeLimits | None:
    """Returns what keeps a sweep within its budget; None without a budget."""
    plan = results.plan
    budget = budget_of(options, plan.spec)
    if budget == Budget():
        return None
    from ..search.promotion.rungs import shortest_step
    from .workers.time_limits import TimeLimits  # few sweeps have a budget

    gpus = len(plan.layout.places[0]) or options.gpus_per_trial or 1
    return TimeLimits(budget, results.summary, gpus=gpus, shortest=shortest_step(plan.spec))


def lift_limit(results: Results, limits: TimeLimits | None) -> None:
    """Leaves a limit that was reached out of the command that resumes the sweep."""
    if limits is not None and limits.reached is not None:
        results.resuming.reached.add(limits.reached)
        results.resuming.save(results.paths)


def _resize(results: Results, announcement: Announcement, layout: Layout) -> None:
    """Takes the ordered workers and GPUs into the command that resumes the sweep, and shows them to others."""
    announcement.set_workers(layout.workers)
    results.resuming.resize(layout)
    results.accessories.attempt("launch.json has the earlier workers", partial(results.resuming.save, results.paths))


def _supervise(
    sweeps: Sequence[Results],
    machine: Machine,
    options: Options,
    view: View,
    *,
    on_workers: Callable[[Layout], object],
    on_sleep: Callable[[bool], object],
) -> None:
    """Supervises the sweeps that have trials left, or rows that W&B lacks; says how long it took.

    Args:
        on_workers: called when other workers, or GPUs, are ordered.
        on_sleep: called when Ctrl-Z stops the launch (True), and when it continues.
    """
    limit = FailureLimit(options.max_failures, machine.layout.workers)
    started, states, endings = AWAKE.now(), [], []
    for results in sweeps:
        plan, paths = results.plan, results.paths
        if plan.count == 0 and not results.may_resume and not lacks_rows(paths):
            say(results.nothing_left)
            clear_leftovers(paths, say)  # of a launch that was killed when its last trial had ended
            continue
        label = f"{paths.sweep_id}/" if len(sweeps) > 1 else "" if machine.layout.workers > 1 else None
        job = make_job(results, options, machine.preload(plan, paths.agents / "preload.log"), label)
        results.outcome = Outcome()
        state = SweepState(
            job,
            max(plan.count, int(results.may_resume)),
            results.summary,
            limit,
            listeners=[results.on_trial],
            target_line=results.target_line,
            hopeless=results.hopeless,
            outcome=results.outcome,
            accessories=results.accessories,
            pauses=plan.spec.pauses,
            count=results.summary.settled + plan.count,
            at_most=plan.spec.at_most,
            on_count=partial(set_count, results),
            **results.orders,
            limits=time_limits_of(results, options),
        )
        view.follow(results.shown_sweep(), state, f"{paths.sweep_id} " if len(sweeps) > 1 else "")
        states.append(state)
        lift = partial(lift_limit, results, state.limits)
        endings.append(partial(results.accessories.attempt, "the reached limit is not left out when resuming", lift))
    if states:
        shown = [note for results in sweeps for note in results.plan.notes]
        machine.supervise(states, output=view.output, shown=shown, on_workers=on_workers, on_sleep=on_sleep)
        for ending in endings:
            ending()
        ended = sum(len({record.id for record in state.outcome.ended}) for state in states)
        say(f"{counted(ended, 'trial')} in {duration_text(AWAKE.now() - started)}")
