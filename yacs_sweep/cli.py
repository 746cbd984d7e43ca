"""Runs `tools/sweep.py`: from the command line to a finished sweep."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

from .base.errors import ConfigError, exit_status
from .base.streams import print_error, print_lines, protect_streams
from .launch.workers.agent_starter import AgentStarter, agent_starter

if TYPE_CHECKING:
    from .launch.options.table import Options

# Options whose entry says `starts_agents=False` (a test compares): the server that forks agents would be for nothing.
NO_AGENTS = {
    *("-h", "--help", "--version", "--print-completion", "--status", "--compare", "--diff", "--logs"),
    *("--test-patterns", "--init", "--check", "--dry-run", "--engine"),
    *("--pause", "--resume", "--stop", "--cancel"),
    *("--stop-trial", "--set-workers", "--set-gpus", "--add-points", "--set-count"),
}


LIST = "list"  # of `--trainer`: shows the profiles instead of a sweep


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command line; returns the exit status."""
    protect_streams()
    words = sys.argv[1:] if argv is None else argv
    given = {word.partition("=")[0].replace("_", "-") for word in words}
    # First of all: it imports what agents need while the options and the sweep are read and checked here.
    with agent_starter(wanted=not given & NO_AGENTS and not _lists(words)) as starter:
        from .launch.options.read import parse

        options = parse(words)
        return exit_status(lambda: _run_with_defaults(options, starter, words))


def _run_with_defaults(options: Options, starter: AgentStarter | None, words: Sequence[str]) -> int:
    """Runs the command line with the project's defaults; returns the exit status. A problem with one says where it stands."""
    from .launch.project.defaults import placed, with_project_defaults

    options = with_project_defaults(options)
    if starter is not None and not options.sweep_id:  # of which the sweep's folder says what it needs
        from .launch.plan.controller import agent_modules, choose_controller

        with contextlib.suppress(ConfigError):  # `run` meets it again, and says it
            controller = "local" if options.train_best else choose_controller(options)[0]
            starter.prepare(agent_modules(controller, options.storage))
    try:
        return run(options, starter, words)
    except ConfigError as error:
        raise ConfigError(placed(error.problems, options)) from error


def _lists(words: Sequence[str]) -> bool:
    """Tells whether a command line asks for the profiles."""
    given = [after for word, after in pairwise(words) if word == "--trainer"]
    given += [word.removeprefix("--trainer=") for word in words if word.startswith("--trainer=")]
    return any(name.partition(":")[0] == LIST for name in given)


def _look(options: Options) -> int:
    """Shows sweeps, trials, or what a trial printed; returns the exit status.

    Raises:
        ConfigError: no such sweep or trial, or an expression that cannot be read.
    """
    folder = options.results_dir
    if options.compare:
        from .show.query.compare import show_comparison

        return show_comparison(options.compare, folder, as_json=options.json)
    if options.diff:
        from .show.query.diff import show_diff

        return show_diff(options.diff, options.sweep_id, folder, as_json=options.json)
    if options.logs:
        from .show.query.logs import show_log

        return show_log(options.logs, options.sweep_id, folder, follow=options.follow)
    from .show.query.listing import Query
    from .show.status import show

    query = Query.read(options.where, options.sort, options.columns)
    return show(options.sweep_id, folder, watch=options.watch, query=query, as_json=options.json)


def run(options: Options, starter: AgentStarter | None = None, words: Sequence[str] = ()) -> int:
    """Runs the command that the options ask for; returns the exit status.

    Args:
        starter: forks the agents; default: one is started when they are needed.
        words: the command line, as it was typed.

    Raises:
        SweepError: a mistake in the options, or the sweep cannot continue.
    """
    from .launch.options.read import contradictions, order_of

    if wrong := contradictions(options):
        raise ConfigError(wrong)
    if order_of(options) is not None:
        from .launch.control.command import give_order

        return give_order(options)
    if options.status or options.compare or options.diff or options.logs:
        return _look(options)
    if options.init is not None:
        from .trainers.choose import find_interpreter
        from .trainers.init.run import init

        assert isinstance(options.trailing, list)
        python = find_interpreter(options.python)
        return init(
            [*options.init, *options.trailing],
            dry_run=options.dry_run,
            force=options.force,
            try_for=options.try_run,
            python=python,
            name=None if options.trainer is None else str(options.trainer),
        )
    if isinstance(options.trainer, str) and options.trainer.partition(":")[0] == LIST:
        from .show.profiles import show_profiles

        return show_profiles(options.trainer.partition(":")[2], Path.cwd())
    if options.test_patterns:
        from .show.pattern_report import show_patterns
        from .spec.sweep_files import load_spec, preset_folders
        from .trainers.choose import choose_profile

        file = next(iter(options.sweep_config or ()), None)
        spec = None if file is None else load_spec(file, search_dirs=preset_folders())
        profile = choose_profile(options.trainer, spec, Path.cwd())
        return show_patterns(profile, Path(options.test_patterns))
    if options.check:
        from .launch.check.doctor import check

        return check(options, words)
    from .launch.batch import is_batch, run_batch  # after the options: `--help` stays fast

    if is_batch(options.sweep_id) or len(options.sweep_config or ()) > 1:
        return run_batch(options, starter)
    from .api import Sweep

    sweep = Sweep.from_options(options, starter, words)
    for warning in sweep.plan.spec.warnings:
        print_error(f"warning: {warning}")
    if options.dry_run:
        print_lines(sweep.describe())
        return 0
    return sweep.launch()
