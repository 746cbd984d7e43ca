"""What a new sweep is to do, checked in full before anything is created."""

from __future__ import annotations

import argparse
import os
import random
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, TypeVar

from .command import SWEEP_FILE, CommandProfile, remarks, trainer_of
from .controllers.wandb_sweep import RemoteSweep
from .engines import problems as engine_problems
from .errors import ConfigError
from .functions import FunctionProfile
from .gpu import read_gpus
from .launch import LaunchFile, find_sweep, new_sweep_id
from .login import is_logged_in, turned_off
from .metric_files import check as check_files
from .overrides import Overrides
from .places import Layout, Wish, lay_out
from .placing import names_own_trainer, placed_problems, preset_folders
from .results import SweepPaths
from .schema import read_schema
from .spec import SweepSpec, load_spec, spec_from_options
from .spec_model import DEFAULT_RESULTS_DIR
from .texts import is_text, no_text
from .trainer import TrainerProfile
from .warm_start import WarmStart, read_points, read_prior

T = TypeVar("T")


@dataclass(frozen=True)
class Plan:
    """A sweep that can start: everything in it has been checked."""

    spec: SweepSpec
    launch: LaunchFile
    profile: TrainerProfile
    overrides: Overrides
    trailing: dict[str, Any]  # what the trailing KEY VALUE words set, by key
    count: int
    paths: SweepPaths | None = None  # of the sweep to go on with; None: a new one
    remote: RemoteSweep | None = None  # the W&B sweep to go on with
    fall_back: bool = False  # whether the embedded controller will do when W&B cannot be used
    notes: tuple[str, ...] = field(default=())
    warm: WarmStart = field(default=WarmStart())
    storage: str | None = None  # the database, with its password, which `launch` does not have
    resumed: bool = False  # whether the sweep was there before
    layout: Layout = field(default=Layout())

    def trial_command(self, params: dict[str, Any], output_dir: str | Path) -> list[str]:
        """A trial's argv."""
        return self.profile.command_line(
            python=self.launch.python,
            config_file=self.launch.config_file,
            output_dir=str(output_dir),
            trial_id="TRIAL_ID",
            overrides=[*self.launch.trailing, *self.overrides.words(params)],
            params=params,
        )


class Problems:
    """Collects what is wrong, over steps that do not depend on each other."""

    def __init__(self) -> None:
        self.found: list[str] = []

    def attempt(self, step: Callable[[], T]) -> T | None:
        try:
            return step()
        except ConfigError as error:
            self.found += error.problems
            return None

    def end(self) -> None:
        if self.found:
            raise ConfigError(list(dict.fromkeys(self.found)))


def choose_controller(options: argparse.Namespace) -> tuple[str, tuple[str, ...]]:
    """The controller, and a line that says why it is that one and how to choose otherwise."""
    if options.controller != "auto":
        return options.controller, ()
    if options.storage:
        return "local", ("controller: local, because --storage is given (--controller wandb: the W&B server)",)
    if options.enqueue or options.from_sweep:
        option = "--enqueue" if options.enqueue else "--from-sweep"
        return "local", (f"controller: local, because {option} is given",)
    if is_logged_in():
        return "wandb", ("controller: wandb, because you are logged in (--controller local: embedded and offline)",)
    if off := turned_off():
        return "local", (f"controller: local, because {off} (--controller wandb: the W&B server)",)
    return "local", ("controller: local, because there is no W&B login (`wandb login`, or --controller wandb)",)


def read_layout(options: argparse.Namespace) -> Layout:
    """The workers and their GPUs; devices are looked at only where the options ask for that.

    Raises:
        ConfigError: the options contradict each other or the machine.
    """
    whole = (None if value is None else int(value) for value in (options.gpus_per_trial, options.trials_per_gpu))
    wish = Wish(None if options.workers is None else int(options.workers), options.gpus, *whole)
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


def _check_options(options: argparse.Namespace, controller: str) -> list[str]:
    problems = []
    if controller == "wandb":
        if options.storage:
            problems.append("--storage: belongs to the local controller; leave it out or use --controller local")
        for option, value in (("--enqueue", options.enqueue), ("--from-sweep", options.from_sweep)):
            if value:
                problems.append(f"{option}: belongs to the local controller; leave it out or use --controller local")
        if options.wandb_mode in ("offline", "disabled"):
            problems.append(f"--wandb-mode {options.wandb_mode}: a W&B sweep needs its server; use --controller local")
    return problems


def storage_wanted(given: str | None, old: LaunchFile | None = None) -> str | None:
    """The storage's URL, checked; see `joining.storage_of`."""
    if given is None and (old is None or old.storage is None):
        return None
    from .joining import storage_of  # imports SQLAlchemy, which takes a while

    return storage_of(given, old)


def masked(storage: str | None) -> str | None:
    if storage is None:
        return None
    from .controllers.database import masked

    return masked(storage)


def interpreter(given: str | None) -> str | None:
    """The trainer's interpreter as an absolute path; links are kept, a virtual environment's python is one."""
    if given is None:
        return None
    found = shutil.which(given)
    if found is None:
        raise ConfigError(f"--python {given}: no such interpreter")
    return os.path.abspath(found)


def _read_spec(options: argparse.Namespace) -> SweepSpec:
    """The sweep the options describe, with or without a file."""
    base = None
    given = options.lr_values or options.wd_values or options.custom_params
    if options.sweep_config:
        top = {"method": options.method} if options.method else {}
        if options.metric:
            top["metric"] = {"name": options.metric, **({"goal": options.goal} if options.goal else {})}
        base = load_spec(options.sweep_config[0], search_dirs=preset_folders(), overrides=top or None)
    elif not given:
        raise ConfigError(
            "nothing to search: give --sweep-config FILE|PRESET, --lr_values, --wd_values, --custom_params, --sweep_id"
        )
    spec = spec_from_options(
        base,
        lr_values=options.lr_values,
        wd_values=options.wd_values,
        custom_params=options.custom_params,
        method=options.method,
        metric=options.metric or (None if base else "val/mAP"),
        goal=options.goal or (None if base or options.metric else "maximize"),
        name=options.sweep_name,
        project=options.project,
        entity=options.entity,
    )
    if options.optimize:
        spec = replace(spec, optimize=options.optimize)
    if options.results_dir:
        spec = replace(spec, results_dir_base=options.results_dir)
    if spec.name is None:
        source = options.sweep_config[0] if options.sweep_config else "sweep"
        stem = "sweep" if isinstance(source, Mapping) else Path(source).stem
        spec = replace(spec, name=stem)
    return spec


def config_file(options: argparse.Namespace, profile: TrainerProfile | None) -> str | None:
    if isinstance(profile, FunctionProfile) and options.config_file is not None:
        raise ConfigError("config_file: the trainer is a function, which takes none; let the function read it")
    if isinstance(profile, CommandProfile) and options.config_file is not None:
        raise ConfigError(
            f"--config_file {options.config_file}: the trainer is the sweep file's program, which takes none; "
            "add --trainer reid (or another profile), or leave --config_file out"
        )
    if options.config_file is None:
        if profile is not None and profile.needs_config_file:
            raise ConfigError(f"--config_file is missing: the trainer {profile.name} needs one")
        return None
    path = Path(options.config_file)
    if path.is_dir():
        raise ConfigError(f"--config_file {path}: is a folder, not a configuration file")
    if not path.is_file():
        raise ConfigError(f"--config_file {path}: no such file")
    try:
        path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"--config_file {path}: cannot be read: {error}") from None
    return str(path.resolve())


def trainer_wanted(
    problems: Problems,
    load: Callable[[], TrainerProfile],
    python: str | None,
    config: str | None,
    words: list[str],
    *,
    here: bool,
) -> tuple[TrainerProfile, Overrides, list[str], dict[str, Any]] | None:
    """The trainer, its overrides, the trailing words and what they set. `here`: whether this machine starts it."""
    profile = problems.attempt(load)
    if profile is None:
        return None
    problems.attempt(lambda: check_files(profile.files, str(profile.path)))
    if cannot := profile.start_problems(python, here=here):
        problems.found += cannot
        return None
    schema = problems.attempt(lambda: read_schema(profile, python=python, config_file=config))
    if schema is None and profile.schema is not None:
        return None
    overrides = Overrides(profile, schema)
    checked = problems.attempt(lambda: overrides.trailing(words))
    return None if checked is None else (profile, overrides, *checked)


def make_plan(options: argparse.Namespace) -> Plan:
    """A new sweep from the command line.

    Raises:
        ConfigError: with every mistake found.
    """
    controller, notes = choose_controller(options)
    return checked_plan(options, None, controller, notes)


def checked_plan(options: argparse.Namespace, known: SweepSpec | None, controller: str, notes: tuple[str, ...]) -> Plan:
    """A plan for the sweep the options describe, or for a `known` one."""
    problems = Problems()
    problems.found += [*_check_options(options, controller), *engine_problems(options, controller, options.storage)]
    storage = problems.attempt(lambda: storage_wanted(options.storage)) if controller == "local" else None
    layout = problems.attempt(lambda: read_layout(options))
    spec = known or problems.attempt(lambda: _read_spec(options))
    first = None
    if spec is not None or options.trainer is not None or not names_own_trainer(options):
        first = problems.attempt(lambda: trainer_of(options.trainer, spec, Path.cwd()))
    before = len(problems.found)
    config = problems.attempt(lambda: config_file(options, first))
    python = problems.attempt(lambda: interpreter(options.python))
    trainer = None
    if first is not None and len(problems.found) == before:
        here = options.engine == "local"
        trainer = trainer_wanted(problems, lambda: first, python, config, options.trailing, here=here)
    if trainer is not None:
        problems.found += placed_problems(options, trainer[1], spec) + keep_problems(options.keep, trainer[0])
    seed = random.SystemRandom().getrandbits(31) if options.seed is None else options.seed
    warm, learned = WarmStart(), tuple[str, ...]()
    if trainer is not None and spec is not None and controller == "local":
        warm, learned = read_warm_start(problems, options, spec, trainer[1], seed)
    problems.found += results_problems(spec) if spec is not None else []
    problems.end()
    assert spec is not None and trainer is not None and layout is not None
    profile, overrides, words, values = trainer
    if isinstance(profile, CommandProfile):
        notes += remarks(spec)
    launch = LaunchFile(
        controller=controller,
        config_file=config,
        trainer=SWEEP_FILE if isinstance(profile, CommandProfile) else profile.reference,
        python=python,
        trailing=tuple(words),
        seed=seed,
        storage=masked(storage),
        wandb_mode=options.wandb_mode or ("disabled" if options.wandb_off else "offline"),
        project=spec.project or os.environ.get("WANDB_PROJECT") or _from_config(overrides, "WANDB.PROJECT"),
        entity=spec.entity or os.environ.get("WANDB_ENTITY") or _from_config(overrides, "WANDB.ENTITY"),
        cwd=str(Path.cwd()),
        target=capped(int(options.count) if options.count else spec.default_count, spec.run_cap),
        keep=options.keep or "all",
        search=spec.fingerprint,
    )
    fall_back = options.controller == "auto"
    notes += (*learned, *cap_note(spec, options.count, 0), *layout_notes(layout))
    plan = Plan(spec, launch, profile, overrides, values, launch.target, notes=notes, fall_back=fall_back)
    return replace(plan, warm=warm, storage=storage, layout=layout)


def capped(count: int, run_cap: int | None, settled: int = 0) -> int:
    """Trials of one launch: `run_cap` limits those of the sweep's whole life, of which `settled` are done."""
    return count if run_cap is None else max(0, min(count, run_cap - settled))


def cap_note(spec: SweepSpec, wanted: float | None, settled: int) -> tuple[str, ...]:
    if spec.run_cap is None or wanted is None or settled + int(wanted) <= spec.run_cap:
        return ()
    left = capped(int(wanted), spec.run_cap, settled)
    return (f"--count {int(wanted)}: the sweep's run_cap allows {left} more trials",)


def read_warm_start(
    problems: Problems, options: argparse.Namespace, spec: SweepSpec, overrides: Overrides, seed: int
) -> tuple[WarmStart, tuple[str, ...]]:
    """What --enqueue and --from-sweep give the search, and lines for the user."""
    notes: tuple[str, ...] = ()
    points: tuple[dict[str, Any], ...] | None = ()
    if options.enqueue and spec.method == "grid":
        problems.found.append("--enqueue: a grid search tries every point; use it with method random or bayes")
    elif options.enqueue:
        points = problems.attempt(lambda: read_points(options.enqueue, spec, overrides.key_for, seed))
        source = f" of {options.enqueue}" if isinstance(options.enqueue, str) else ""
        notes += (f"{len(points or ())} points{source} are tried first",)
    prior = None
    if options.from_sweep and spec.method != "bayes":
        problems.found.append(f"--from-sweep: only bayes search learns, this one is {spec.method}; add --method bayes")
    elif options.from_sweep:
        project, entity = spec.project or os.environ.get("WANDB_PROJECT"), spec.entity or os.environ.get("WANDB_ENTITY")
        find = lambda name: find_sweep(name, result_bases(options), "--from-sweep")  # noqa: E731
        prior = problems.attempt(lambda: read_prior(options.from_sweep, spec, find, (project, entity)))
    if prior is not None:
        notes += (prior[1],)
    return WarmStart(points or (), prior[0] if prior else ()), notes


def _from_config(overrides: Overrides, key: str) -> str | None:
    """A text of the trainer's configuration, where its tree is known and has it."""
    value = overrides.schema.values.get(key) if overrides.schema else None
    return value if isinstance(value, str) and value else None


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


def new_paths(plan: Plan, sweep_id: str | None = None) -> SweepPaths:
    """The folder a new sweep will have."""
    return SweepPaths(Path(plan.spec.results_dir_base).expanduser().resolve(), sweep_id or new_sweep_id())


def result_bases(options: argparse.Namespace) -> list[Path]:
    """Folders in which an existing sweep is looked for: the one the user names, else the usual one."""
    return [Path(options.results_dir or DEFAULT_RESULTS_DIR).expanduser().resolve()]


def find(sweep_id: str, options: argparse.Namespace, option: str = "--sweep_id") -> SweepPaths | None:
    """An existing sweep's folder: below the one the user names, else wherever it is. Raises ConfigError: no sweep's id."""
    return find_sweep(sweep_id, result_bases(options), option, remembered=not options.results_dir)


def log_model_problems(options: argparse.Namespace, launch: LaunchFile) -> list[str]:
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
