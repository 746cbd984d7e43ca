"""Writes the commands that repeat a sweep and its best trial: for a shell, or for Python where the trainer is a function."""

from __future__ import annotations

import contextlib
import os
import shlex
from collections.abc import Sequence
from pathlib import Path

from ...base.command_line import COMMAND
from ...base.errors import SweepError
from ...records.folder import TrialRecord
from ...spec.budget.lifting import without_reached
from ...spec.sweep import DEFAULT_RESULTS_DIR
from ...trainers.choose import DEFAULT_TRAINER, choose_profile
from ...trainers.epochs import fixed_epochs
from ...trainers.function import FUNCTION
from ...trainers.load import shortest_reference
from ...trainers.overrides import Overrides
from ...trainers.own_command import SWEEP_FILE, has_own_command, program_seed
from ...trainers.profile import TrainerProfile
from ...trainers.reproduce import repeat_trial
from .data import Sweep


def commands(sweep: Sweep) -> list[tuple[str, str]]:
    """Lists the commands: what each does, and its text."""
    found = []
    best = sweep.best
    if sweep.launch and sweep.folder:
        found.append(_in_python(sweep) if sweep.launch.get("trainer") == FUNCTION else _again(sweep))
    if (seeds := seeds_command(sweep)) is not None:
        found.append(seeds)
    if best is not None and (line := train_again(sweep, best, trainer_of(sweep))):
        found.append((f"The best trial ({best.name}) as it was run, in a new folder", line))
    return found


def seeds_command(sweep: Sweep) -> tuple[str, str] | None:
    """Writes the command that trains the best with several seeds: what it does, and its text; None where that cannot be."""
    best = sweep.best
    if best is None or not trains_best(sweep):
        return None
    what = "The best configuration with several seeds"
    length = _other_length(sweep, best)
    return f"{what}; {length}" if length else what, _anywhere(sweep, ["--train-best", sweep.id, "--seeds", "3"])


def _other_length(sweep: Sweep, best: TrialRecord) -> str:
    """Says that `--train-best` trains the best longer or shorter than the search has; empty where it does not."""
    profile, spec = trainer_of(sweep), sweep.spec
    if profile is None or spec is None:
        return ""
    with contextlib.suppress(SweepError):
        launched = [str(word) for word in sweep.launch.get("trailing") or ()]
        return fixed_epochs(best, spec, Overrides(profile), launched)
    return ""


def resume_command(sweep: Sweep) -> str | None:
    """Writes the command that resumes a sweep that has ended early; None without its folder."""
    if not sweep.launch or not sweep.folder:
        return None
    if sweep.launch.get("trainer") == FUNCTION:
        return f"from yacs_sweep import Sweep\nSweep.open({sweep.id!r}).run(count={sweep.progress.left})"
    of_file = sweep.spec.budget if sweep.spec is not None else None
    words = without_reached([str(word) for word in sweep.launch.get("words") or ()], [of_file])
    return _anywhere(sweep, ["--sweep_id", sweep.id, *words])


def _anywhere(sweep: Sweep, words: Sequence[str]) -> str:
    """Writes a line of the launcher that runs wherever it is typed: from the sweep's project, its own paths whole."""
    *python, program = COMMAND
    start = [os.path.abspath(word) if os.sep in word else word for word in python]
    start.append(os.path.abspath(program) if python or os.sep in program else program)
    project = str(sweep.launch.get("cwd") or "")
    steps = [["cd", os.path.abspath(project)]] if project else []
    return " && ".join(map(shlex.join, [*steps, [*start, *words]]))


def trainer_of(sweep: Sweep) -> TrainerProfile | None:
    """Reads the profile of a sweep's trainer; None where it is not on this machine, or not any more."""
    cwd = Path(str(sweep.launch.get("cwd") or "."))
    if sweep.folder and sweep.launch.get("trainer"):
        with contextlib.suppress(SweepError, OSError):
            profile = choose_profile(str(sweep.launch["trainer"]), sweep.spec, cwd)
            return profile.starting_in(sweep.launch.get("code"))
    return None


def train_again(sweep: Sweep, record: TrialRecord, profile: TrainerProfile | None) -> str | None:
    """Writes the line that trains again what a trial has trained; None when its command is not known.

    Args:
        profile: the sweep's trainer (`trainer_of`).
    """
    folder = Path(sweep.folder) if sweep.folder else Path(record.dir or ".").parent
    repeat = repeat_trial(record, profile, folder)
    return repeat.line() if repeat is not None else None


def trains_best(sweep: Sweep) -> bool:
    """Tells whether `--train-best` can use several seeds; a sweep file's own trainer needs a parameter for the seed."""
    trainer = sweep.launch.get("trainer")
    if trainer == SWEEP_FILE:
        return bool(sweep.folder) and sweep.spec is not None and program_seed(sweep.spec) is not None
    return bool(sweep.folder) and trainer not in (None, FUNCTION)


def _in_python(sweep: Sweep) -> tuple[str, str]:
    """Writes the lines that run as many trials again in Python."""
    count = int(sweep.launch.get("target") or len(sweep.trials))
    lines = [
        "from yacs_sweep import Sweep",
        f"sweep = Sweep.open({sweep.id!r})",
        f"sweep.run(count={count})",
        "sweep.best.params",
    ]
    return "As many trials more, in Python: its trainer is a function", "\n".join(lines)


def _again(sweep: Sweep) -> tuple[str, str]:
    """Writes the command that runs the sweep again."""
    launch = sweep.launch
    budget = sweep.spec.budget if sweep.spec is not None else None
    words = without_reached([str(word) for word in launch.get("words") or ()], [budget])
    own = sweep.spec is not None and has_own_command(sweep.spec)
    trainer = shortest_reference(str(launch.get("trainer") or DEFAULT_TRAINER), Path(str(launch.get("cwd") or ".")))
    if trainer != SWEEP_FILE and (own or trainer != DEFAULT_TRAINER):
        words += ["--trainer", trainer]
    for key in ("config_file", "python"):
        if launch.get(key):
            words += [f"--{key}", str(launch[key])]
    words += [
        "--sweep-config",
        f"{os.path.abspath(sweep.folder)}/sweep.yaml",
        "--count",
        str(launch.get("target") or len(sweep.trials)),
    ]
    base, cwd = Path(os.path.abspath(sweep.folder)).parent.parent, Path(str(launch.get("cwd") or "."))
    of_file = sweep.spec.results_dir_base if sweep.spec is not None else DEFAULT_RESULTS_DIR
    if Path(os.path.abspath(cwd / of_file)) != base:
        words += ["--results_dir", str(base)]
    controller = str(launch.get("controller") or "local")
    words += ["--seed", str(launch.get("seed", 0)), "--controller", controller]
    if controller == "wandb":
        words += [word for key in ("project", "entity") if launch.get(key) for word in (f"--{key}", str(launch[key]))]
    elif launch.get("wandb_mode", "offline") != "offline":
        words += ["--wandb-mode", str(launch["wandb_mode"])]
    if launch.get("keep", "all") != "all":
        words += ["--keep", str(launch["keep"])]
    trailing = [str(word) for word in launch.get("trailing") or ()]
    if any(word.startswith("-") for word in trailing):
        words.append("--")
    return f"The sweep again{_missing(sweep)}", _anywhere(sweep, [*words, *trailing])


def _missing(sweep: Sweep) -> str:
    """Says which parts of the sweep the command does not repeat."""
    lacks = []
    if sweep.warm.get("enqueue"):
        lacks.append("the points it was given first")
    if sweep.warm.get("prior"):
        lacks.append("what it had learned from another sweep")
    without = f", without {' and '.join(lacks)} (warm.json in its folder has them)" if lacks else ""
    if sweep.launch.get("storage"):
        without += "; on this machine alone, --storage adds the others"
    return without
