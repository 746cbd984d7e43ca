"""What the trainer makes of a sweep file's parameters, told with its place in the file."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from ...base.errors import ConfigError, Problems
from ...base.wording import is_text, no_text
from ...base.yaml_document import Document
from ...records.known_sweeps import find_sweep, result_bases
from ...records.launch_file import LaunchFile
from ...search.warm_start import WarmStart, read_points, read_prior
from ...spec.read_parameters import PARAMETER_KEYS
from ...spec.read_sweep import parameter_path, unwrapped
from ...spec.sweep import SweepSpec
from ...spec.sweep_files import preset_folders, read_sweep_document
from ...trainers.overrides import Overrides
from ...trainers.profile import TrainerProfile
from ...trial.gpu_memory import read_gpus
from ..options import Options
from ..workers.gpu_places import Layout, Wish, lay_out


def read_layout(options: Options) -> Layout:
    """The workers and their GPUs; devices are looked at only where the options ask for that.

    Raises:
        ConfigError: the options contradict each other or the machine.
    """
    whole = (None if value is None else int(value) for value in (options.gpus_per_trial, options.trials_per_gpu))
    wish = Wish(None if options.workers is None else options.workers, options.gpus, *whole)
    if options.engine != "local" or (not wish.of_gpus and wish.workers in (None, 1)):
        return Layout()  # of an engine's machines nothing is known here
    return lay_out(wish, read_gpus(), os.environ.get("CUDA_VISIBLE_DEVICES"))


def layout_notes(layout: Layout) -> tuple[str, ...]:
    if layout == Layout():
        return ()
    gpus = " | ".join(",".join(place) for place in layout.places if place)
    each = f", GPUs {gpus}" + (f", {layout.per_place} trials on each" if layout.shared else "") if gpus else ""
    left = f"; left over: {','.join(layout.left_over)}" if layout.left_over else ""
    return (f"{layout.workers} worker{'s' * (layout.workers > 1)}{each}{left}",)


def storage_wanted(given: str | None, old: LaunchFile | None = None) -> str | None:
    """The storage's URL, checked; see `joining.storage_of`."""
    if given is None and (old is None or old.storage is None):
        return None
    from ...search.storage.shared_sweep import storage_of  # imports SQLAlchemy, which takes a while

    return storage_of(given, old)


def masked(storage: str | None) -> str | None:
    if storage is None:
        return None
    from ...search.storage.database import masked

    return masked(storage)


def capped(count: int, run_cap: int | None, settled: int = 0) -> int:
    """Trials of one launch: `run_cap` limits those of the sweep's whole life, of which `settled` are done."""
    return count if run_cap is None else max(0, min(count, run_cap - settled))


def cap_note(spec: SweepSpec, wanted: float | None, settled: int) -> tuple[str, ...]:
    if spec.run_cap is None or wanted is None or settled + int(wanted) <= spec.run_cap:
        return ()
    left = capped(int(wanted), spec.run_cap, settled)
    return (f"--count {int(wanted)}: the sweep's run_cap allows {left} more trials",)


def read_warm_start(
    problems: Problems, options: Options, spec: SweepSpec, overrides: Overrides, seed: int
) -> tuple[WarmStart, tuple[str, ...]]:
    """What --enqueue and --from-sweep give the search, and lines for the user."""
    notes: tuple[str, ...] = ()
    points: tuple[dict[str, Any], ...] | None = ()
    enqueue, prior_sweep = options.enqueue, options.from_sweep
    if enqueue and spec.method == "grid":
        problems.found.append("--enqueue: a grid search tries every point; use it with method random or bayes")
    elif enqueue:
        points = problems.attempt(lambda: read_points(enqueue, spec, overrides.key_for, seed))
        source = f" of {enqueue}" if isinstance(enqueue, str) else ""
        notes += (f"{len(points or ())} points{source} are tried first",)
    prior = None
    if prior_sweep and spec.method != "bayes":
        problems.found.append(f"--from-sweep: only bayes search learns, this one is {spec.method}; add --method bayes")
    elif prior_sweep:
        project, entity = spec.project or os.environ.get("WANDB_PROJECT"), spec.entity or os.environ.get("WANDB_ENTITY")
        find = lambda name: find_sweep(name, result_bases(options.results_dir), "--from-sweep")  # noqa: E731
        prior = problems.attempt(lambda: read_prior(prior_sweep, spec, find, (project, entity)))
    if prior is not None:
        notes += (prior[1],)
    return WarmStart(points or (), prior[0] if prior else ()), notes


def results_problems(spec: SweepSpec) -> list[str]:
    """Why results cannot be written where they belong, as far as can be told without writing."""
    base = Path(spec.results_dir_base).expanduser().resolve()
    if not is_text(str(base)):
        return [no_text("results folder", str(base))]
    there = next(path for path in (base, *base.parents) if path.exists())
    if not there.is_dir():
        return [f"results folder {base}: {there} is a file; --results_dir DIR"]
    if not os.access(there, os.W_OK | os.X_OK):
        return [f"results folder {base}: {there} cannot be written to; --results_dir DIR"]
    return []


def log_model_problems(options: Options, launch: LaunchFile) -> list[str]:
    """Why the best cannot be logged as `--log-model` says."""
    if not options.log_model or launch.controller == "wandb":
        return []
    if options.wandb_off:
        return ["--log-model: WANDB_MODE=disabled is set; unset it, or give --wandb-mode offline or online"]
    if launch.wandb_mode == "disabled":
        return ["--log-model: W&B is disabled for this sweep; give --wandb-mode offline or online"]
    return []


def keep_problems(keep: str | None, profile: TrainerProfile) -> list[str]:
    """Why checkpoints cannot be kept as `--keep` says."""
    if keep in (None, "all") or profile.checkpoints:
        return []
    return [f"--keep {keep}: the trainer {profile.name} has no `checkpoints:` in its profile, such as ['*.pth']"]


def sweep_document(options: Options) -> Document | None:
    """The sweep as it is written; None without one, or when it cannot be read."""
    if not options.sweep_config:
        return None
    try:
        return unwrapped(read_sweep_document(options.sweep_config[0], preset_folders()))
    except ConfigError:
        return None


def names_own_trainer(options: Options) -> bool:
    """Whether a sweep file that is wrong otherwise says what to start."""
    document = sweep_document(options)
    return (
        document is not None and isinstance(document.data, dict) and bool({"program", "command"} & set(document.data))
    )


def placed_problems(options: Options, overrides: Overrides, spec: SweepSpec | None) -> list[str]:
    """`check_parameters`, with the place in the sweep file; of a file that is wrong in other ways, its names alone."""
    document = sweep_document(options)
    if document is None and options.sweep_config:
        return []  # told already
    data = document.data if document is not None and isinstance(document.data, dict) else {}
    top = next((key for key in data if key.lower() == "parameters"), "parameters")
    written = data[top] if isinstance(data.get(top), dict) else {}
    if spec is None:
        plain = {name for name, body in written.items() if not isinstance(body, dict) or "parameters" not in body}
        values: dict[str, tuple[Any, ...]] = {str(name): () for name in written if name in plain - {*PARAMETER_KEYS}}
    else:
        values = {item.name: item.extremes() for item in spec.parameters}
    problems = []
    for name, extremes in values.items():
        for problem in overrides.check(name, extremes):
            path = parameter_path(document, name, (top,)) if document else ()
            problems.append(document.message(path, problem) if document and path in document.places else problem)
    return problems + overrides.collisions(values)
