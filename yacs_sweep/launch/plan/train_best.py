"""Describes the training of a sweep's best configuration with several seeds (`--train-best`).

The seeds are a small sweep of their own, a grid over the seed in the folder `{sweep id}-best`: so they are guarded, read,
stopped and resumed as every trial is.
"""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from ...base.errors import ConfigError, Problems
from ...base.wording import counted
from ...records.folder import SweepPaths, TrialRecord
from ...records.front import front_records
from ...records.known_sweeps import BEST_SEEDS, find, origin_of
from ...records.launch_file import LaunchFile, load_spec_of
from ...records.metrics import last_values
from ...records.points import Point, group_points, noun_of, why_none_is_best
from ...records.progress import count_settled
from ...records.standings import best_by
from ...show.prefer import EXAMPLE, Preference, choose
from ...spec.parameter import nest_values
from ...spec.read_sweep import sweep_from_dict
from ...spec.sweep import SweepSpec
from ...trainers.epochs import EPOCHS, Word, fixed_epochs_text, searched_keys, words_beside, words_told_apart
from ...trainers.function import FUNCTION
from ...trainers.own_command import CommandProfile
from ...trainers.profile import TrainerProfile
from ..options.table import Options
from .elsewhere import elsewhere_source
from .resume import known_sweep, trials_everywhere
from .source import Source, describe_launch
from .trainer import Trainer, choose_trainer

SEEDS = 3  # unless --seeds says otherwise
SEED = "seed"  # the alias of a trainer profile that is known here by its meaning


def best_source(options: Options, problems: Problems) -> Source:
    """Returns the source of the small sweep that trains the best configuration.

    Raises:
        ConfigError: with every mistake found.
    """
    if clash := options.refused_beside("train_best"):
        problems.found.append(f"{', '.join(clash)}: --train-best trains what a sweep has found; leave it out")
    problems.end()
    name = options.train_best
    found = _searched(options)
    options, spec, paths = found.options, found.spec, found.paths
    assert spec is not None and paths is not None
    if found.launch is not None and found.launch.trainer == FUNCTION:
        raise ConfigError(f"--train-best {name}: its trainer is a Python function; call that with the best parameters")
    if spec.metric is None:
        raise ConfigError(f"--train-best {name}: the sweep has no metric, so none of its trials is the best")
    records, missing = trials_everywhere(found, paths)
    best, why = _chosen(options, records, spec, paths)
    foreign = sorted(set(best.params) - set(spec.searched(best.params)))
    best, *records = (replace(record, params=spec.searched(record.params)) for record in (best, *records))
    trainer = found.trainer or choose_trainer(problems, options, spec, found.launch, found.cwd)
    problems.end()
    assert trainer is not None
    before, given = _words(options, found, trainer, best)
    words, fixed, notes = _configuration(best, spec, trainer, before, given)
    count = options.seeds or SEEDS
    key = trainer.profile.seed_key
    if options.seeds is None and key is None:
        count = 1
        why_one = "no parameter of the sweep is the program's seed (`seed`, `…_seed`, `….seed`)"
        if not isinstance(trainer.profile, CommandProfile):
            why_one = f"the trainer {trainer.profile.name} has no alias `seed`; `aliases: {{seed: KEY}}` in its profile adds it"
        notes = (*notes, f"one training: {why_one}")
    seeds = _seeds(
        count,
        key,
        [*_used(records, spec, trainer, key)],
        trainer,
        {**_launched_seed(found, trainer), **{word.key: word.value for word in (*before, *given)}},
    )
    parameters: dict[str, Any] = {key: {"value": value} for key, value in fixed.items()}
    if seeds:
        parameters[seed_name(trainer.profile, spec)] = {"values": seeds}
    if not parameters:
        raise ConfigError(f"--train-best {name}: the sweep has no parameter; train the configuration itself")
    small = _small_sweep(spec, parameters, paths.base)
    launch = _small_launch(found, trainer, small, words)
    where = _folder(paths, small, launch)
    begun = where.launch.is_file()
    if foreign:
        notes = (f"ignored, as the sweep does not search them: {', '.join(foreign)[:200]}", *notes)
    notes = (*found.notes, *notes)
    point = next((each for each in group_points(records) if each.name == best.point), None)
    folds = _are_folds(spec, trainer)
    notes = (*why, *missing, *notes)
    notes += (_no_comparison(spec, trainer, point),) if folds else ()
    if seeds:
        notes += (f"seeds {', '.join(map(str, seeds))}: not used in the search",)
        notes += () if begun else _trained_already(paths, small, launch, seed_name(trainer.profile, spec), seeds)
        notes += _not_again(best, records, spec, trainer, before, given)
    return Source(
        replace(options, trailing=[], count=None, optimize=None),  # the words are among the launch's
        "local",
        spec=small,
        launch=launch,
        paths=where,
        trainer=replace(trainer, words=words, values=trainer.overrides.parse_trailing(words)[1]),
        settled=count_settled(list(where.records()), launch.retry) if begun else 0,
        resumed=begun,
        notes=notes,
        searched=_as_searched(best, point, folds=folds),
        cwd=found.cwd,
    )


def _as_searched(best: TrialRecord, point: Point | None, *, folds: bool) -> TrialRecord:
    """Returns what the search says of the best: its trial; with repeats that with the means of its point.

    The mean over the folds of a cross-validation is no value that one training can be compared with: then it has none.
    """
    if point is None:
        return best
    return replace(best, value=None if folds else point.estimate.mean, values=None if folds else point.values or None)


def _chosen(
    options: Options, records: Sequence[TrialRecord], spec: SweepSpec, paths: SweepPaths
) -> tuple[TrialRecord, tuple[str, ...]]:
    """Returns the trial whose configuration is trained, and lines that say why that one.

    Raises:
        ConfigError: no trial has finished with a value, or none is as `--prefer` wants it.
    """
    if options.prefer:
        preference = Preference.read(options.prefer)
        choice = choose(preference, records, spec, lambda record: last_values(paths.trial(record.name)))
        return choice.record, (f"chosen of sweep {paths.sweep_id} by --prefer: {choice.why}",)
    assert spec.metric is not None
    point = best_by(spec, group_points(records))
    best = point.typical if point is not None else None
    if point is None or best is None:
        if why := why_none_is_best(spec, group_points(records)):
            raise ConfigError(f"--train-best {options.train_best}: it has no best trial: {why}")
        raise ConfigError(f"--train-best {options.train_best}: no trial of it has finished with a value")
    of = f" (mean of {counted(point.estimate.n, noun_of(spec))})" if spec.repeats else ""
    lines = [f"best of sweep {paths.sweep_id}: {point.name}, {spec.metric.name} {point.estimate.mean:.6g}{of}"]
    front = [record.point or record.name for record in front_records(spec, records)] if spec.more_metrics else []
    others = [name for name in front if name != point.name]
    if others:
        lines.append(f"{_listed(others)} on the front, too: --prefer {EXAMPLE} chooses by what you need")
    return best, tuple(lines)


def _listed(names: Sequence[str], most: int = 6) -> str:
    """Lists names with their verb: `a is`, `a and b are`, `a, b and 3 more are`."""
    shown = list(names) if len(names) <= most else [*names[:most], f"{len(names) - most} more"]
    return f"{shown[0]} is" if len(shown) == 1 else f"{', '.join(shown[:-1])} and {shown[-1]} are"


def _small_launch(found: Source, trainer: Trainer, small: SweepSpec, words: Sequence[str]) -> LaunchFile:
    """Describes the launch of the seeds: that of the search, on the embedded controller and with these words."""
    last, options = found.launch, found.options
    mode = options.wandb_mode or ("online" if found.controller == "wandb" else None)
    target = max(1, small.grid_size or 0)
    launch = describe_launch(found, small, trainer, seed=last.seed if last is not None else 0, target=target)
    return replace(
        launch,
        controller="local",
        storage=None,
        trailing=tuple(words),
        wandb_mode=mode or launch.wandb_mode,
        keep=options.keep or "all",
        search=small.fingerprint,
    )


def _searched(options: Options) -> Source:
    """Returns the source of the sweep that found the best; its folder need not be on this machine.

    Raises:
        ConfigError: there is none, or none that can be trained here.
    """
    assert options.train_best is not None
    paths = find(options.train_best, options.results_dir, "--train-best")
    if paths is None:
        return elsewhere_source(options.train_best, options, "--train-best", ended_too=True)
    if origin := origin_of(paths.sweep_id):
        raise ConfigError(
            f"--train-best {options.train_best}: it has the seeds with which the best of sweep {origin} was trained; write "
            f"--train-best {origin}, or --sweep_id {paths.sweep_id} to resume them"
        )
    last, spec = known_sweep(paths)
    return Source(options, last.controller, spec=spec, launch=last, paths=paths, cwd=Path(last.cwd))


def _small_sweep(spec: SweepSpec, parameters: Mapping[str, Any], base: Path) -> SweepSpec:
    """Returns the sweep of the seeds, which optimises what the search did."""
    assert spec.metric is not None
    metric = {"name": spec.metric.name, "goal": spec.metric.goal}
    nested = nest_values(spec.parameters, parameters, below="parameters")
    described = {"name": f"{spec.name}-best", "method": "grid", "metric": metric, "parameters": nested}
    kept = {key: value for key, value in spec.to_dict().items() if key in ("optimize", "program", "command")}
    spec = sweep_from_dict({**described, **kept, "results_dir_base": str(base)}, "--train-best")
    return replace(spec, warnings=())  # they are about what nobody has written


def _words(options: Options, found: Source, trainer: Trainer, best: TrialRecord) -> tuple[list[Word], list[Word]]:
    """Returns what the best trial got beside its parameters, and what this command line's words set on top."""
    launched = list(found.launch.trailing) if found.launch is not None else []
    given = words_told_apart(trainer.overrides, list(options.trailing))
    return words_beside(best, trainer.overrides, launched), given


def _configuration(
    best: TrialRecord, spec: SweepSpec, trainer: Trainer, before: Sequence[Word], given: Sequence[Word]
) -> tuple[list[str], dict[str, Any], tuple[str, ...]]:
    """Returns what sets the best configuration apart from the base one: words for every trial, parameters.

    The third part is lines that say what was done about the epochs.

    Epochs the search fixed (a constant, or a word given to every trial) are those of a cheap search: the base
    configuration's count. Epochs that were searched belong to what was found.
    """
    overrides, aliases = trainer.overrides, trainer.profile.aliases
    seed, epochs = trainer.profile.seed_key, aliases.get(EPOCHS)
    repeated = overrides.key_for(spec.repeats.name) if spec.repeats else None
    searched = searched_keys(best, spec, overrides)
    notes: tuple[str, ...] = ()
    set_here = {word.key for word in given}

    def kept(name: str, key: str, value: Any) -> bool:
        nonlocal notes
        if key in set_here or key == seed:
            return False
        if key == repeated:
            notes += (f"{name}: as in the configuration, not {value} as in one trial of the point",)
            return False
        if key == epochs and key not in searched:
            notes += (fixed_epochs_text(name, key, value),)
            return False
        if key == epochs:
            notes += (f"{name}: {value} was searched, and is kept ({key} N sets another)",)
        return True

    words = [word for item in before if not item.key or kept(item.key, item.key, item.value) for word in item.words]
    params = {name: value for name, value in best.params.items() if kept(name, overrides.key_for(name), value)}
    return [*words, *(word for item in given for word in item.words)], params, notes


def _used(records: Sequence[TrialRecord], spec: SweepSpec, trainer: Trainer, key: str | None) -> Iterator[Any]:
    """Yields the seeds of the search's trials: parameters that set this key, and those of `repeats`."""
    repeated = spec.repeats is not None and trainer.overrides.key_for(spec.repeats.name) == key
    for record in records:
        yield from (value for name, value in record.params.items() if trainer.overrides.key_for(name) == key)
        if repeated:
            yield record.seed


def _seeds(count: int, key: str | None, used: Sequence[Any], trainer: Trainer, words: Mapping[str, Any]) -> list[int]:
    """Returns seeds that the search has not used: a configuration chosen on a seed looks better on it than it is.

    Args:
        key: the trainer's key that takes them; None: there is none.
    """
    profile, overrides = trainer.profile, trainer.overrides
    if key is None:
        if count > 1:
            if isinstance(profile, CommandProfile):
                raise ConfigError(
                    f"--seeds {count}: how the sweep file's program takes a seed is not known; give --seeds 1"
                )
            raise ConfigError(
                f"--seeds {count}: the trainer {profile.name} has no alias `seed`; add `aliases: {{seed: KEY}}` to its "
                "profile, or --seeds 1"
            )
        return []
    base = words.get(key, overrides.schema.values.get(key, 0) if overrides.schema else 0)
    first = max([int(value) for value in (base, *used) if isinstance(value, int)], default=0) + 1
    return list(range(first, first + count))


def _are_folds(spec: SweepSpec, trainer: Trainer) -> bool:
    """Tells whether the values of `repeats` are no seeds: the folds of a cross-validation, or another key's values."""
    repeats = spec.repeats
    if repeats is None or not repeats.values:
        return False
    return trainer.overrides.key_for(repeats.name) != trainer.profile.seed_key


def _no_comparison(spec: SweepSpec, trainer: Trainer, point: Point | None) -> str:
    """Says after a cross-validation that one training is nothing to compare with the mean over the folds.

    Args:
        point: the best one; None: its trials are not known here.
    """
    assert spec.repeats is not None
    key = trainer.overrides.key_for(spec.repeats.name)
    folds = ", ".join(str(record.seed) for record in point.finished) if point is not None else ""
    return (
        f"the search's values are means over {key} {folds}; what is trained now has the {key} of the configuration (or of this "
        "line's words), so its values are no comparison with them"
    )


def _not_again(
    best: TrialRecord,
    records: Sequence[TrialRecord],
    spec: SweepSpec,
    trainer: Trainer,
    before: Sequence[Word],
    given: Sequence[Word],
) -> tuple[str, ...]:
    """Tells which trainings of the sweep are the same but for their seed, so that they are not done again.

    There are none where this command line adds words, or the search was a cheap one, of fewer epochs.

    Args:
        before: what the best trial got beside its parameters, and
        given: what this command line adds.
    """
    repeats, epochs = spec.repeats, trainer.profile.aliases.get(EPOCHS)
    point = next((each for each in group_points(records) if each.name == best.point), None)
    fixed = {trainer.overrides.key_for(item.name) for item in spec.parameters if item.distribution == "constant"}
    if repeats is None or repeats.values or point is None or given or epochs in {*fixed, *(w.key for w in before)}:
        return ()
    found = point.estimate
    seeds = ", ".join(str(record.seed) for record in point.finished)
    sd = "" if found.sd is None else f", sd {found.sd:.2g}"
    return (
        f"{point.name} has been trained with seeds {seeds} (mean {found.mean:.6g}{sd}): not again, but with others",
    )


def _launched_seed(found: Source, trainer: Trainer) -> dict[str, Any]:
    """Returns the seed that --seed gave to the trials of the search, for a trainer that has it from {seed} alone."""
    last = found.launch
    known = last is not None and last.trainer_seed is not None and trainer.profile.fills(SEED)
    return {SEED: last.trainer_seed} if last is not None and known else {}


def seed_name(profile: TrainerProfile, spec: SweepSpec) -> str:
    """Returns the parameter that holds a trial's seed: the profile's alias; a program knows its parameters by name alone.

    Args:
        spec: the sweep that was searched; its `repeats` may name the seed of a program.
    """
    if not isinstance(profile, CommandProfile):
        return SEED
    repeats = spec.repeats
    return profile.aliases.get(SEED, repeats.name if repeats and not repeats.values else SEED)


def _folder(paths: SweepPaths, spec: SweepSpec, launch: LaunchFile) -> SweepPaths:
    """Returns the folder of these seeds: one that was begun with the same configuration, else the next free one."""
    return next(
        found
        for found in _folders(paths)
        if not found.launch.is_file()
        or (_same_words(found, launch) and load_spec_of(found).to_dict() == spec.to_dict())
    )


def _folders(paths: SweepPaths) -> Iterator[SweepPaths]:
    """Yields the folders that seeds of the sweep may be in: ID-best, ID-best-2, …"""
    for number in itertools.count(1):
        yield SweepPaths(paths.base, f"{paths.sweep_id}{BEST_SEEDS}{'' if number == 1 else f'-{number}'}")


def _same_words(found: SweepPaths, launch: LaunchFile) -> bool:
    """Tells whether the seeds in a folder were given the same words and configuration file."""
    before = LaunchFile.load(found)
    return (before.trailing, before.config_file) == (launch.trailing, launch.config_file)


def _trained_already(
    paths: SweepPaths, spec: SweepSpec, launch: LaunchFile, name: str, seeds: Sequence[int]
) -> tuple[str, ...]:
    """Says which of these seeds have a folder already in which the same configuration was trained with other seeds, too.

    Args:
        name: the parameter that holds a trial's seed.
    """
    told = list[str]()
    for found in itertools.takewhile(lambda found: found.launch.is_file(), _folders(paths)):
        before = load_spec_of(found)
        there = [value for item in before.parameters if item.name == name for value in item.values]
        both = [str(seed) for seed in seeds if seed in there]
        if both and _same_words(found, launch) and _without(name, before) == _without(name, spec):
            told.append(
                f"seeds {', '.join(both)}: already in {os.path.relpath(found.dir)}; trained again, as all seeds of one mean "
                f"share a folder"
            )
    return tuple(told)


def _without(name: str, spec: SweepSpec) -> dict[str, Any]:
    """Returns a sweep as a mapping without one of its parameters."""
    return replace(spec, parameters=tuple(item for item in spec.parameters if item.name != name)).to_dict()
