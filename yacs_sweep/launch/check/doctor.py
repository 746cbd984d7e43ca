"""Checks everything that a sweep needs, for `--check`. Starts no trial and creates nothing."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ...base.command_line import COMMAND
from ...base.errors import ConfigError, Problems
from ...base.shipped import NAME, version_with_commit
from ...base.streams import is_terminal, output_width, print_lines
from ...base.wording import counted, did_you_mean, without_password
from ...records.inputs import Taken
from ...show.lines import command_text
from ...spec.sweep import SweepSpec
from ...trainers.choose import choose_profile, find_interpreter
from ...trainers.function import FunctionProfile
from ...trainers.init.write import written_by_init
from ...trainers.profile import TrainerProfile
from ...trainers.schemas.schema import Schema
from ...trial.gpu_memory import read_gpus
from ...trial.process import child_environment
from ..options.table import Options
from ..plan.checks import read_layout
from ..plan.make import make_plan
from ..plan.new import default_metric, read_spec, says_search
from ..plan.trainer import choose_trainer
from ..workers.gpu_places import Layout
from .accounts import check_storage, check_wandb
from .data_paths import configured_keys, missing_paths, path_warnings
from .findings import Findings
from .interpreter import check_interpreter
from .places import check_disk, check_gpus, check_shared_memory, gpu_names
from .program import check_program
from .resumes import resume_problem, what_pauses

_OWN = ("--check", "--json")


@dataclass(frozen=True)
class Checked:
    """Holds what has been read and checked without a mistake; what is None could not be."""

    profile: TrainerProfile
    schema: Schema | None
    values: dict[str, Any]  # what the trailing words set
    inputs: tuple[Taken, ...]
    spec: SweepSpec | None = None
    storage: str | None = None
    notes: tuple[str, ...] = ()


def check(options: Options, words: Sequence[str]) -> int:
    """Prints the findings; returns 0 when nothing keeps the sweep from running, else 2.

    Args:
        words: the command line, as it was typed.
    """
    findings = examine(options)
    command = sweep_command(options, words)
    if options.json:
        print_lines(findings.as_json(command))
    else:
        print_lines(findings.as_text(command, output_width() if is_terminal() else None))
    return findings.exit_status


def sweep_command(options: Options, words: Sequence[str]) -> str:
    """Returns the command that starts the sweep which was checked; without a sweep, with a word for one."""
    left = [word for word in words if word not in _OWN]
    more = [] if says_search(options) else ["--sweep-config", "FILE"]
    if "--" in left:
        place = left.index("--")
        return without_password(command_text([*COMMAND, *left[:place], *more, *left[place:]]))
    return without_password(command_text([*COMMAND, *left, *more]))


def examine(options: Options) -> Findings:
    """Looks at everything that the options' sweep needs."""
    findings = Findings()
    findings.ok(
        "launcher",
        f"{NAME} {version_with_commit()}, Python {'.'.join(map(str, sys.version_info[:3]))}, {sys.executable}",
    )
    if defaults := options.project_defaults():
        findings.ok("defaults", ", ".join(f"{name} {value} ({place})" for name, value, place in defaults))
    if options.engine != "local":
        findings.warn(
            "engine",
            f"trials run where {options.engine} starts them; this machine is checked",
            advice="--check there, too",
        )
    layout = _layout(findings, options)
    gpus = read_gpus()
    profile, python = _check_trainer(findings, options, layout, gpus=bool(gpus))
    checked = _read_all(findings, options, profile, python)
    if checked is not None:
        _check_schema(findings, checked)
        _check_metric(findings, checked)
        _check_data(findings, checked)
        _check_ranges(findings, checked, options)
        _check_resume(findings, checked, options)
        warnings = checked.spec.warnings if checked.spec is not None else ()
        warnings += tuple(note.removeprefix("warning: ") for note in checked.notes if note.startswith("warning: "))
        findings.add_warnings("sweep", warnings)
    check_gpus(findings, layout, options.gpus, gpus)
    base = checked.spec.results_dir_base if checked is not None and checked.spec is not None else options.results_dir
    check_disk(findings, Path(base or "log/sweep"))
    check_shared_memory(findings)
    check_wandb(findings, options)
    check_storage(findings, options, checked.storage if checked is not None else None)
    return findings


def _layout(findings: Findings, options: Options) -> Layout | None:
    """Returns the workers and their GPUs; None where the options about them are wrong."""
    try:
        return read_layout(options)
    except ConfigError as error:
        findings.add_error("GPUs", error)
        return None


def _check_trainer(
    findings: Findings, options: Options, layout: Layout | None, *, gpus: bool
) -> tuple[TrainerProfile | None, str | None]:
    """Adds what the trainer is, and whether its interpreter and program can be used; returns profile and interpreter."""
    problems = Problems()
    spec = None
    if says_search(options) and options.trainer is None:  # the sweep file may name the trainer
        try:
            spec = read_spec(options, default_metric(options, Path.cwd()))
        except ConfigError:
            return None, None  # whoever reads the sweep reports it
    profile = problems.attempt(lambda: choose_profile(options.trainer, spec, Path.cwd()))
    python = problems.attempt(lambda: find_interpreter(options.python))
    findings.add_problems("trainer", problems.found)
    if profile is None or isinstance(profile, FunctionProfile) or problems.found:
        return profile, python
    findings.ok("trainer", f"{profile.name} ({profile.path}), started in {profile.cwd}")
    if profile.start_problems(python, here=options.engine == "local"):
        return profile, python  # whoever chooses the trainer reports it
    wanted = options.gpus is not None or options.gpus_per_trial is not None
    interpreter = profile.leading_interpreter(python)
    environment = child_environment(profile.fixed_env, os.environ, gpu_names(layout), interpreter=interpreter)
    if check_interpreter(findings, profile.interpreter(python), environment, gpus=gpus, wanted=wanted):
        check_program(findings, profile, python, environment)
    return profile, python


def _read_all(
    findings: Findings, options: Options, profile: TrainerProfile | None, python: str | None
) -> Checked | None:
    """Reads sweep, configuration and schema as a launch does; returns what is right, None where something is not."""
    problems = Problems()
    if not says_search(options):
        trainer = choose_trainer(problems, options, None, None, Path.cwd())
        findings.add_problems("trainer", problems.found)
        if trainer is None:
            return None
        findings.warn("sweep", "none is given, so no parameter is checked", advice="add --sweep-config FILE|PRESET")
        notes = tuple(f"warning: {line}" for line in trainer.doubts)
        return Checked(trainer.profile, trainer.overrides.schema, trainer.values, trainer.config_inputs, notes=notes)
    files = options.sweep_config or [None]
    plan = None
    for file in reversed(files):
        single = replace(options, sweep_config=None if file is None else [file], check=False, json=False)
        plan = problems.attempt(lambda single=single: make_plan(single))  # type: ignore[misc]
    findings.add_problems("sweep", problems.found)
    if plan is None:
        return None
    spec = plan.spec
    grid = f" of {counted(spec.grid_size, 'point')}" if spec.grid_size is not None else ""
    searched = counted(len(spec.parameters), "parameter")
    findings.ok("sweep", f"{spec.name}: {spec.method} search{grid}, {searched}, {counted(plan.count, 'trial')}")
    return Checked(
        plan.profile,
        plan.overrides.schema,
        plan.trailing,
        plan.inputs,
        spec=spec,
        storage=plan.storage,
        notes=plan.notes,
    )


def _check_schema(findings: Findings, checked: Checked) -> None:
    """Adds whether keys and types are checked."""
    schema = checked.schema
    if schema is not None:
        findings.ok("schema", f"{counted(len(schema.values), 'key')} of {schema.source}: keys and types are checked")
    else:
        findings.warn(
            "schema",
            "keys are not checked: no schema in the profile",
            advice="`schema: FILE.py:NAME` names the trainer's tree",
        )


def _check_metric(findings: Findings, checked: Checked) -> None:
    """Adds what is read of the trainer's output, and whether the sweep's metric can come of it."""
    profile = checked.profile
    read = [counted(len(profile.metrics.entries), "pattern")] if profile.metrics.entries else []
    read += [counted(len(profile.files), "metric file")] if profile.files else []
    read += ["wandb.log"] if profile.metrics.wandb else []
    read += ["lines that look like metrics"] if profile.metrics.generic else []
    said = " and ".join(read) or "METRIC lines only"
    metric = checked.spec.metric.name if checked.spec is not None and checked.spec.metric is not None else None
    if metric is None and checked.spec is not None:
        findings.warn(
            "metrics",
            f"{said}, and the sweep names no metric, so no trial is the best",
            advice="`metric: {name: val/acc, goal: maximize}` in the sweep file, or --metric NAME; a log shows the names: "
            "--test-patterns LOGFILE",
        )
        return
    open_ended = profile.metrics.generic or profile.metrics.wandb or profile.files
    entries = profile.metrics.entries
    if metric is None or open_ended or not entries or any(entry.can_log(metric) for entry in entries):
        findings.ok("metrics", f"{said}" + (f"; the sweep's metric is {metric}" if metric else ""))
        return
    names = [name for entry in entries for name, _ in entry.log]
    findings.warn(
        "metrics",
        f"{said}, and none logs the sweep's metric {metric}{did_you_mean(metric, names)}",
        advice=f'--test-patterns LOGFILE shows what is found; a line METRIC {{"{metric}": 0.5}} works without a pattern',
    )


_BOUNDED = ("uniform", "log_uniform_values", "int_uniform", "q_uniform")


def _check_ranges(findings: Findings, checked: Checked, options: Options) -> None:
    """Adds ranges that the default is not in: of presets made for another trainer, or by `--init` for another configuration."""
    if checked.spec is None:
        return
    by_init = any(map(written_by_init, options.sweep_config or []))
    configured = configured_keys(checked.inputs)
    known = configured if by_init or checked.schema is None else checked.schema.values
    for item in checked.spec.parameters:
        default = known.get(checked.profile.aliases.get(item.name, item.name))
        if item.distribution not in _BOUNDED or item.min is None or item.max is None or isinstance(default, bool):
            continue
        try:
            value = float(str(default))
        except ValueError:
            continue
        if item.min <= value <= item.max:
            continue
        if not by_init:
            findings.warn(
                "sweep",
                f"{item.name}: the default, {value:g}, is outside the range {item.min:g} to {item.max:g}",
                advice="write a range around it in a sweep file of your own, unless that is meant",
            )
        else:
            findings.warn(
                "sweep",
                f"{item.name}: {value:g} in {options.config_file} is not in the range {item.min:g} to {item.max:g}, which "
                "--init has made for another configuration",
                advice="--init CONFIG.yaml --force makes the ranges anew, or change them in the sweep file",
            )


def _check_resume(findings: Findings, checked: Checked, options: Options) -> None:
    """Adds how the trainer resumes in a trial's folder, as its profile says, and whether the sweep needs that."""
    rule, why = checked.profile.resume, what_pauses(checked.spec) if checked.spec is not None else None
    if why is not None and (problem := resume_problem(checked.profile, why)):
        findings.problem("resume", problem)
    elif why is not None and not options.assume_resume:
        said = rule.described or "not said"
        findings.ok("resume", f"{said} (the profile); {why} needs it, so three short starts try it before the sweep")
    elif rule.described:
        findings.ok("resume", f"{rule.described} (the profile)")


def _check_data(findings: Findings, checked: Checked) -> None:
    """Adds paths of data and weights in the configuration that do not exist."""
    configured = configured_keys(checked.inputs)
    given = {**configured, **checked.values}
    schema = checked.schema
    known = schema.values if schema else configured
    values = {key: value for key, value in known.items() if schema is None or schema.main_name(key) == key}
    values.update(checked.values)
    profile = checked.profile
    written = [profile.output_dir_key] if profile.output_dir_key else []
    missing = missing_paths(values, profile.cwd, given=given, written=written)
    for line in path_warnings(missing, profile.cwd):
        findings.warn("data", line, advice="correct the path or put the files there, unless the trainer makes it")
    if values and not missing:
        findings.ok("data", "the paths of data and weights in the configuration exist")
