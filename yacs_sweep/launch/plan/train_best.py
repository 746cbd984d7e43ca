"""`--train-best`: the best configuration of a sweep, trained with several seeds.

The seeds are a small sweep of their own, a grid over the seed in the folder `{sweep id}-best`: so they are guarded, read,
stopped and gone on with as every trial is.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from ...base.errors import ConfigError, SweepError
from ...records.folder import SweepPaths, TrialRecord, best_of
from ...records.known_sweeps import find
from ...records.launch_file import LaunchFile, load_spec_of
from ...records.summary import known_records
from ...search.storage.url import shared
from ...spec.read_sweep import sweep_from_dict
from ...spec.sweep import SweepSpec
from ...trainers.function import FUNCTION
from ...trainers.overrides import Overrides, check_parameters
from ...trainers.profile import TrainerProfile
from ...wandb.login import is_logged_in, no_login
from ..options import Options
from .checks import keep_problems, read_layout, storage_wanted
from .plan import Plan
from .resume import known_sweep, plan_elsewhere, resumed_trainer, storage_given

SEEDS = 3  # unless --seeds says otherwise
EPOCHS, SEED = "max_epochs", "seed"  # aliases of a trainer profile that are known here by their meaning


def train_best_plan(options: Options) -> Plan:
    """The small sweep that trains the best configuration.

    Raises:
        ConfigError: with every mistake found.
    """
    if clash := options.refused_beside("train_best"):
        raise ConfigError(f"{', '.join(clash)}: --train-best trains what a sweep has found; leave it out")
    paths, old, spec = _sweep(options)
    if old.trainer == FUNCTION:
        raise ConfigError(
            f"--train-best {options.train_best}: its trainer is a Python function; call that with the best parameters"
        )
    if spec.metric is None:
        raise ConfigError(
            f"--train-best {options.train_best}: the sweep has no metric, so none of its trials is the best"
        )
    records, read = _records(options, paths, old)
    best = best_of(records, spec.metric.goal)
    if best is None:
        raise ConfigError(f"--train-best {options.train_best}: no trial of it has finished with a value")
    trainer, config, python = resumed_trainer(options, old, spec)
    profile, overrides, _, given = trainer
    _, before = overrides.trailing(list(old.trailing))
    given = given if options.trailing else {}
    if profile.overrides != "yacs":
        before, given = _foreign(old.trailing), _foreign(list(options.trailing))
    words, fixed, notes = _configuration(best, spec, profile, overrides, before, given)
    seeds = _seeds(int(options.seeds or SEEDS), records, profile, overrides, {**before, **given})
    parameters: dict[str, Any] = {name: {"value": value} for name, value in fixed.items()}
    if seeds:
        parameters[SEED] = {"values": seeds}
    if not parameters:
        raise ConfigError(
            f"--train-best {options.train_best}: the sweep has no parameter; train the configuration itself"
        )
    metric = {"name": spec.metric.name, "goal": spec.metric.goal}
    described = {"name": f"{spec.name}-best", "method": "grid", "metric": metric, "parameters": parameters}
    kept = {key: value for key, value in spec.to_dict().items() if key in ("optimize", "program", "command")}
    small = sweep_from_dict({**described, **kept, "results_dir_base": str(paths.base)}, "--train-best")
    mode = options.wandb_mode or ("online" if old.controller == "wandb" else old.wandb_mode)
    launch = replace(
        old,
        controller="local",
        storage=None,
        config_file=config,
        python=python,
        trailing=tuple(words),
        wandb_mode=mode,
        target=max(1, len(seeds)),
        keep=options.keep or "all",
        search=small.fingerprint,
    )
    if problems := keep_problems(launch.keep, profile):
        raise ConfigError(problems)
    where = _folder(paths, small, launch)
    done = sum(record.settled for record in where.records()) if where.launch.is_file() else 0
    notes = (f"best of sweep {paths.sweep_id}: {best.name}, {spec.metric.name} {best.value:.6g}", *read, *notes)
    if seeds:
        notes += (f"seeds {', '.join(map(str, seeds))}: none the search has used",)
    layout, values = read_layout(options), overrides.trailing(words)[1]
    check = check_parameters(small, overrides)
    if check:
        raise ConfigError(check)
    plan = Plan(small, launch, profile, overrides, values, launch.target - done, paths=where, notes=notes)
    return replace(plan, layout=layout, resumed=where.launch.is_file())


def _sweep(options: Options) -> tuple[SweepPaths, LaunchFile, SweepSpec]:
    """The sweep: its folder, which need not be on this machine, how it was launched, and what it searches.

    Raises:
        ConfigError: there is none, or none that can be trained here.
    """
    assert options.train_best is not None
    paths = find(options.train_best, options.results_dir, "--train-best")
    if paths is not None:
        return paths, *known_sweep(paths)
    # The words given are for the best alone: what every trial was given is asked for as the sweep has it.
    plan = plan_elsewhere(options.train_best, replace(options, trailing=[]), "--train-best", ended_too=True)
    assert plan.paths is not None
    return plan.paths, plan.launch, plan.spec


def _records(options: Options, paths: SweepPaths, old: LaunchFile) -> tuple[list[TrialRecord], tuple[str, ...]]:
    """The sweep's trials, on whichever machine they ran, and a line where some may be missing."""
    here = known_records(paths)
    try:
        given = storage_given(options, old)
        if shared(given or old.storage):
            there = _in_database(given, old, paths.sweep_id)
        elif old.controller == "wandb":
            there = _on_server(options, old, paths.sweep_id)
        else:
            return here, ()
    except SweepError as error:
        if not paths.launch.is_file():
            raise
        return here, (f"{error}: trials that other machines ran may be missing",)
    own = paths.records()  # of those that ran here their files say more
    return list({record.id: record for record in (*here, *there, *own)}.values()), ()


def _in_database(given: str | None, old: LaunchFile, sweep_id: str) -> list[TrialRecord]:
    from ...search.storage.shared_sweep import SharedSweep

    storage = storage_wanted(given, old)
    assert storage is not None
    return SharedSweep(storage, sweep_id).records()


def _on_server(options: Options, old: LaunchFile, sweep_id: str) -> list[TrialRecord]:
    from ...show.report.remote import read_remote

    if not is_logged_in():
        raise SweepError(no_login())
    return read_remote(sweep_id, options.project or old.project, options.entity or old.entity).records


def _configuration(
    best: TrialRecord,
    spec: SweepSpec,
    profile: TrainerProfile,
    overrides: Overrides,
    before: Mapping[str, Any],
    given: Mapping[str, Any],
) -> tuple[list[str], dict[str, Any], tuple[str, ...]]:
    """What sets the best configuration apart from the base one: words for every trial, parameters; and lines that say
    what was done about the epochs.

    Epochs the search fixed (a constant, or a word given to every trial) are those of a cheap search: the base
    configuration's count. Epochs that were searched belong to what was found.
    """
    seed, epochs = profile.aliases.get(SEED), profile.aliases.get(EPOCHS)
    searched = {overrides.key_for(item.name) for item in spec.parameters if item.distribution != "constant"}
    notes: tuple[str, ...] = ()
    words: dict[str, Any] = {}
    params: dict[str, Any] = {}
    for target, source in ((words, before), (params, best.params)):
        for name, value in source.items():
            key = overrides.key_for(name)
            if key in given or key == seed:
                continue
            if key == epochs and key not in searched:
                notes += (f"{name}: the configuration's own, not the {value} of the search ({key} N sets another)",)
                continue
            if key == epochs:
                notes += (f"{name}: {value} was searched, and is kept ({key} N sets another)",)
            target[name] = value
    return overrides.words({**words, **given}), params, notes


def _foreign(words: Sequence[str]) -> dict[str, str]:
    """What key=value and --key=value words set, by key: of trainers that take no KEY VALUE pairs."""
    pairs = (word.lstrip("-+").partition("=") for word in words)
    return {key: value for key, equals, value in pairs if equals}


def _seeds(
    count: int,
    records: Sequence[TrialRecord],
    profile: TrainerProfile,
    overrides: Overrides,
    trailing: Mapping[str, Any],
) -> list[int]:
    """Seeds behind the one the search used: what was chosen on a seed looks better on it than it is."""
    key = profile.aliases.get(SEED)
    if key is None:
        if count > 1:
            raise ConfigError(
                f"--seeds {count}: the trainer {profile.name} has no alias `seed`; add `aliases: {{seed: KEY}}` to its "
                "profile, or --seeds 1"
            )
        return []
    base = trailing.get(key, overrides.schema.values.get(key, 0) if overrides.schema else 0)
    used = {value for record in records for name, value in record.params.items() if overrides.key_for(name) == key}
    first = max([int(value) for value in (base, *used) if isinstance(value, int)], default=0) + 1
    return list(range(first, first + count))


def _folder(paths: SweepPaths, spec: SweepSpec, launch: LaunchFile) -> SweepPaths:
    """The folder of these seeds: one that was begun with the same configuration, else the next free one."""
    number = 1
    while True:
        found = SweepPaths(paths.base, f"{paths.sweep_id}-best{'' if number == 1 else f'-{number}'}")
        if not found.launch.is_file():
            return found
        before = LaunchFile.load(found)
        same = (before.trailing, before.config_file) == (launch.trailing, launch.config_file)
        if same and load_spec_of(found).to_dict() == spec.to_dict():
            return found
        number += 1
