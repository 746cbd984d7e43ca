"""Lists options of other sweep tools with what is written here: for messages about unknown options, and docs/coming-from.md.

Sources, read in November 2026: `wandb sweep --help` and `wandb agent --help` (0.31), `optuna --help` and `Study.optimize`
(5.0), Ray Tune's `TuneConfig`, `RunConfig` and `FailureConfig`, `guild run --help` (guildai/guildai), and runner scripts in
public repositories.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass


@dataclass(frozen=True)
class Foreign:
    """Describes an option of another tool.

    Args:
        names: as its users write it: `--n-trials`, `-m`, or `n_trials=` in Python.
        here: what is written here; empty: nothing has to be.
        note: what differs.
    """

    names: tuple[str, ...]
    here: str
    note: str = ""


def _row(names: str, here: str, note: str = "") -> Foreign:
    return Foreign(tuple(names.split()), here, note)


SAME = "the same"  # of an option that has its name and its meaning here
TOOLS: dict[str, tuple[Foreign, ...]] = {
    "W&B": (
        _row("--count", SAME, "number of trials of this launch, over all its workers"),
        _row("--project -p", "--project NAME"),
        _row("--entity -e", "--entity NAME"),
        _row("--name", "--sweep_name NAME"),
        _row("--program", "`program:` in the sweep file", "or a profile, `--trainer FILE`"),
        _row("--controller", "--controller local", "chooses the points on this machine, without the server"),
        _row("--prior_run -R", "--from-sweep ID", "learns from all trials of an earlier sweep"),
        _row("--update", "--set-count N", "the search of a sweep stays; its number of trials may change"),
        _row("--stop --cancel --pause --resume", SAME, "each takes the sweep's id"),
        _row("--forward-signals -f", "", "signals always reach all processes of a trial"),
        _row("--term-timeout -t", "--grace SECONDS"),
        _row("--max-consecutive-failed-runs", "--max-failures N"),
    ),
    "Optuna": (
        _row("n_trials= --n-trials", "--count N"),
        _row("timeout=", "--for DURATION", "of the whole sweep, such as `8h`; `--timeout` is the limit of one trial"),
        _row("n_jobs= --n-jobs", "--workers N", "processes, each on a GPU of its own with `--gpus`"),
        _row("study_name= --study-name", "--sweep_name NAME", "the sweep's id is drawn, and printed"),
        _row("load_if_exists= --skip-if-exists", "--sweep_id ID"),
        _row("storage= --storage", SAME, "a database for many machines; without it, a file in the sweep's folder"),
        _row("direction= --direction", "--metric NAME --goal maximize"),
        _row("directions= --directions", "`metrics:` in the sweep file"),
        _row("sampler= --sampler", "--method bayes", "or `scheduler:` in the sweep file, for a sampler of your own"),
        _row("pruner= --pruner", "`early_terminate:` in the sweep file", "pruned trials are `stopped`"),
        _row("enqueue_trial", "--enqueue FILE"),
        _row("seed=", "--seed N"),
        _row("catch= --catch", "", "a trial that fails never ends the sweep; `--max-failures N` does"),
        _row("gc_after_trial= --gc-after-trial", "", "each trial is a process, which gives its memory back"),
        _row("show_progress_bar= --show-progress-bar", "", "progress is always shown, less with `--quiet`"),
    ),
    "Ray Tune": (
        _row("num_samples= --num-samples", "--count N", "of a grid, Ray's is the number of repeats: `--repeats N`"),
        _row("max_concurrent_trials= --max-concurrent-trials", "--workers N"),
        _row("metric=", "--metric NAME"),
        _row("mode= --mode", "--metric NAME --goal maximize", "`min` or `max` there"),
        _row("search_alg= --search-alg", "--method bayes"),
        _row("scheduler= --scheduler", "`early_terminate:` in the sweep file", "`method: pbt` for populations"),
        _row(
            "stop=",
            "`metric: {target: X}` in the sweep file",
            "epochs are the trainer's parameter; `--stop ID` ends a running sweep",
        ),
        _row("time_budget_s= --time-budget-s", "--for DURATION"),
        _row("resources_per_trial= with_resources", "--gpus-per-trial K", "a part of a GPU: `--trials-per-gpu K`"),
        _row("name=", "--sweep_name NAME"),
        _row("storage_path= --storage-path local_dir= --local-dir", "--results_dir DIR"),
        _row("max_failures=", "--retries N", "`--max-failures N` ends the sweep after that many failures in a row"),
        _row("fail_fast= --fail-fast", "--max-failures 1"),
        _row("Tuner.restore", "--sweep_id ID"),
        _row("--address", "--engine ray --engine-option address=ADDRESS"),
    ),
    "Guild": (
        _row("--max-trials --trials -m", "--count N"),
        _row("--optimizer -o", "--method bayes", "or `random`; a list of values alone is a grid"),
        _row("--optimize -O", "--method bayes", "`--optimize` says here which of a trial's values counts"),
        _row("--minimize -N", "--metric NAME --goal minimize"),
        _row("--maximize -X", "--metric NAME --goal maximize"),
        _row("--opt-flag -Fo", "`early_terminate:`, `method:` and others in the sweep file"),
        _row("--random-seed", "--seed N"),
        _row("--label -l --batch-label -bl", "--sweep_name NAME"),
        _row("--run-dir -d", "--results_dir DIR", "the folder of all sweeps, not of one trial"),
        _row("--start --restart", "--sweep_id ID --retry-failed"),
        _row("--gpus", SAME, "each worker takes one of them"),
        _row("--stage-trials --print-trials --print-cmd", "--dry-run"),
        _row("--stop-after", "--timeout SECONDS", "minutes there"),
        _row("--fail-on-trial-error", "--max-failures 1"),
        _row("--needed", "", "a sweep tries each point once"),
        _row("--remote -r", "--engine slurm", "or `--engine ray`"),
        _row("--test-output-scalars", "--test-patterns LOGFILE"),
    ),
    "runner scripts": (
        _row("--base-config --base_config", "--config_file FILE"),
        _row("--cfg", SAME, "another spelling of `--config_file`"),
        _row("--sweep-config --sweep_config", SAME, "a path, or the name of a file in `sweeps/`"),
        _row("--count --project --method --sweep_name --metric --custom_params", SAME),
        _row("--num-workers", "--workers N"),
        _row("--runs-per-worker", "--count N", "of all workers together: runs per worker times workers"),
        _row("--single-parallel", "--sweep-config FILE"),
        _row("--multiple-serial", "--sweep-config FILE FILE", "several files are one batch, with one summary"),
        _row("--runs-per-sweep", "--count N"),
        _row("--output-dir", "--results_dir DIR"),
        _row("--log-level", "--verbose", "or `--quiet`"),
    ),
}


def _plain(name: str) -> str:
    """Returns an option without dashes in front and `=` behind; case counts in options of one letter."""
    bare = name.partition("=")[0].lstrip("-").replace("_", "-")
    return bare if len(bare) < 3 else bare.lower()


def _found(name: str) -> Iterator[tuple[str, str, Foreign]]:
    """Yields tool, spelling and entry of each option of that name."""
    for tool, entries in TOOLS.items():
        for entry in entries:
            same = [each for each in entry.names if _plain(each) == _plain(name)]
            spelled = name if name in same else next(iter(same), None)
            if spelled is not None and entry.here != SAME:
                yield tool, spelled, entry


def answer(name: str) -> str:
    """Returns what is written here for another tool's option, to follow a message; empty for a name that no tool has."""
    owners: dict[str, list[str]] = {}
    for tool, spelled, entry in _found(name):
        owners.setdefault(entry.here, []).append(f"{spelled} of {tool}")
        if not entry.here:
            return f"; {spelled} of {tool} is not needed: {entry.note}"
    return "".join(f"; for {' and '.join(names)} write {here}" for here, names in owners.items())


def table(tool: str) -> str:
    """Returns the table of a tool's options in Markdown."""
    rows = [f"| {tool} | here | what differs |", "|---|---|---|"]
    for entry in TOOLS[tool]:
        here = re.sub(r"(?:(?<=^)|(?<= ))--.*", lambda words: f"`{words[0]}`", entry.here) or "not needed"
        rows.append(f"| {', '.join(f'`{name}`' for name in entry.names)} | {here} | {entry.note} |")
    return "\n".join(rows) + "\n"
