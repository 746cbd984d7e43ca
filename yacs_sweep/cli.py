"""`tools/sweep.py`: from the command line to a finished sweep."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from .base.errors import ConfigError, exit_status
from .base.streams import protect_streams
from .base.wording import printable
from .launch.options import Options
from .launch.read_options import contradictions, parse

if TYPE_CHECKING:
    from .launch.workers.agent_starter import AgentStarter


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command line; returns the exit status."""
    protect_streams()
    options = parse(sys.argv[1:] if argv is None else argv)
    return exit_status(lambda: run(options))


def run(options: Options) -> int:
    """What the options ask for; raises SweepError."""
    if wrong := contradictions(options):
        raise ConfigError(wrong)
    if options.status:
        from .show.status import show

        return show(options.sweep_id, options.results_dir, watch=options.watch)
    if options.test_patterns:
        from .show.pattern_report import show_patterns
        from .trainers.function import FunctionProfile
        from .trainers.load import load_profile

        assert not isinstance(options.trainer, FunctionProfile)  # which only Python gives
        profile = load_profile(options.trainer or "reid", project_root=Path.cwd())
        return show_patterns(profile, Path(options.test_patterns))
    from .launch.workers.agent_starter import agent_starter

    # It imports what agents need while the sweep is read and checked here.
    with agent_starter(wanted=options.engine == "local" and not options.dry_run) as starter:
        return _sweep(options, starter)


def _sweep(options: Options, starter: AgentStarter | None) -> int:
    from .launch.batch import is_batch, run_batch  # after the options: `--help` stays fast

    if is_batch(options.sweep_id) or len(options.sweep_config or ()) > 1:
        return run_batch(options, starter)
    from .api import Sweep

    sweep = Sweep.from_options(options, starter)
    for warning in sweep.plan.spec.warnings:
        print(f"warning: {printable(warning)}", file=sys.stderr)
    if options.dry_run:
        print(sweep.describe())
        return 0
    return sweep.launch()
