"""Describes a plan as text: the search and the first trials' commands (`--dry-run`). Creates nothing."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from ...base.streams import is_terminal, output_width
from ...base.wording import counted, wrap
from ...records.folder import TrialRecord
from ...records.points import group_points
from ...records.progress import unretried
from ...search.promotion.rungs import rungs_of
from ...search.racing import final_trials
from ...search.stored import trial_name
from ...show.lines import command_text, short_value
from ...show.table import text_table
from ...spec.methods.population import Population
from ...spec.parameter import Parameter, equality_key
from ...spec.sweep import EarlyTerminate, SweepSpec
from ...trainers.overrides import Overrides
from ...trainers.ways.start import environment_words, given_file
from .plan import Plan, new_paths, trials_text

SHOWN_BANDS = 8
SHOWN = 5  # first trials whose command lines are shown


def _range(parameter: Parameter, overrides: Overrides) -> str:
    """Describes a parameter's values, as they are passed, or its range."""
    if parameter.distribution == "constant":
        return f"always {overrides.convert(parameter.name, parameter.value)!r}"
    if parameter.values:
        return " | ".join(repr(overrides.convert(parameter.name, value)) for value in parameter.values)
    return ", ".join(f"{key} {short_value(value)}" for key, value in parameter.numbers().items())


def _space(plan: Plan) -> Iterator[str]:
    """Yields the lines of a table of all parameters."""
    schema = plan.overrides.schema
    rows = [["parameter", "key", "default", "distribution", "values"]]
    for parameter in plan.spec.parameters:
        key = plan.overrides.key_for(parameter.name)
        default: Any = schema.values.get(key, "") if schema else ""
        rows.append(
            [
                parameter.name,
                key,
                repr(default) if schema else "",
                parameter.distribution,
                _range(parameter, plan.overrides),
            ]
        )
    width = output_width() - 2 if is_terminal() else None
    yield from (f"  {line}" for line in text_table(rows, rule=False, width=width, shrink=[(4, 24), (2, 8), (4, 12)]))


def _is_owed(record: TrialRecord) -> bool:
    """Tells whether a resumed sweep tries the trial's point again by itself."""
    return not record.settled and record.state != "running"


def _owed(plan: Plan, records: Sequence[TrialRecord]) -> list[TrialRecord]:
    """Lists the trials whose points a resumed sweep tries again first."""
    return [record for record in unretried(records) if record.id in plan.launch.retry or _is_owed(record)]


def next_trials(plan: Plan) -> Iterator[tuple[int, dict[str, Any], Any]]:
    """Yields number, point and seed of the next trials, at most `SHOWN`; bayes begins at random.

    Points that are tried again come first, then those of --add-points and --enqueue, then the search's own, with repeats each
    with its first seed. A scheduler shows the points that it begins with; of a resumed sweep, none.
    """
    records = sorted(plan.paths.records(), key=lambda record: record.number) if plan.paths is not None else []
    number = 1 + max((record.number for record in records), default=-1)
    place = 1 + max((point.number for point in group_points(records)), default=-1)  # of the next new point
    owed = _owed(plan, records)
    spec, grid, shown = plan.spec, iter(range(plan.spec.grid_size or 0)), min(SHOWN, plan.count)
    for record in owed[:shown]:
        yield number, record.params, record.seed
        number += 1
    count, step = plan.count - len(owed[:shown]), spec.seeds_each
    left = math.ceil(count / step)
    if spec.repeats and spec.repeats.race:  # every point has one seed at first
        left, step = count - final_trials(count, spec.repeats.n), 1
    given, scheduled = list(map(dict, (*plan.given, *plan.warm.enqueue))), iter(plan.scheduled)
    tried = {equality_key(point) for point in (*given, *(record.params for record in records))}
    for _ in range(min(shown - len(owed[:shown]), left)):
        if given:
            point = given.pop(0)
        elif spec.scheduler is not None:
            found = next(scheduled, None)
            if found is None:
                return
            point = found
        elif spec.method == "grid":
            new = (spec.grid_point(index) for index in grid)
            found = next((point for point in new if equality_key(point) not in tried), None)
            if found is None:
                return
            point = found
        else:
            point = spec.random_point(plan.launch.seed, place if spec.repeats else number, tried)
        tried.add(equality_key(point))
        yield number, point, spec.repeats.seed_at(place, 0) if spec.repeats else None
        number, place = number + step, place + 1


def _remark(plan: Plan, seeded: bool) -> str:
    """Says whether the first points are those that will be tried."""
    if plan.spec.method == "grid":
        return ""
    if plan.spec.scheduler is not None:
        return " (drawn without any result)" if plan.scheduled else " (the scheduler draws them while the sweep runs)"
    if plan.warm.prior:
        return " (examples: the search learns from --from-sweep first)"
    owed = len(_owed(plan, list(plan.paths.records()))) if plan.paths is not None else 0
    if owed >= min(SHOWN, plan.count):
        return " (tried again)"
    if plan.resumed and plan.spec.method == "bayes":
        return f" ({_again_first(owed)}examples: the search learns from the results so far)"
    start = ", which bayes search begins with" if plan.spec.method == "bayes" else ""
    real = seeded or plan.resumed  # a sweep keeps its seed
    drawn = f"points of --seed {plan.launch.seed}" if real else "examples: --seed N makes them the real ones"
    options = [option for option, points in _given_by(plan).items() if points]
    given = " and ".join(options)
    if owed + sum(map(len, _given_by(plan).values())) >= min(SHOWN, plan.count):
        return f" ({_again_first(owed)}given by {given})"
    return f" ({_again_first(owed)}{f'after those of {given}, ' if given else ''}random {drawn}{start})"


def _again_first(owed: int) -> str:
    """Says how many points are tried again first; empty where there are none."""
    return f"first {owed} tried again, then " if owed else ""


def _given_by(plan: Plan) -> dict[str, Sequence[Mapping[str, Any]]]:
    """Returns the points that are tried before the search's own, by the option that has given them."""
    return {"--add-points": plan.given, "--enqueue": plan.warm.enqueue}


def _some(iterations: Sequence[int]) -> str:
    """Lists the first of some iterations."""
    return ", ".join(map(str, iterations[:SHOWN_BANDS])) + (", …" if len(iterations) > SHOWN_BANDS else "")


def _population(rule: Population) -> str:
    """Describes when members of a population are compared, and what becomes of them."""
    shown = _some(range(rule.interval, rule.max_iter, rule.interval))
    return (
        f"  pbt: trials are compared at {shown} of {rule.max_iter} logged values: the worst {rule.quantile:.0%} continue "
        "from checkpoints of the best, with perturbed parameters"
    )


def _early_termination(rule: EarlyTerminate) -> str:
    """Describes the early-termination rule; an iteration is a logged value of the metric."""
    settings = {key: value for key, value in rule.to_dict().items() if key != "type"}
    if rule.mode is not None:
        best = f"the best 1/{settings.get('eta', 3):g} are resumed"
        return (
            f"  {rule.type}: trials pause at {_some(rungs_of(rule))} of {rule.max_iter} logged values: {best} at each"
        )
    text = f"  early termination: {rule.type}"
    if rule.type == "hyperband":
        keeps = f"the best 1/{settings.get('eta', 3):g} continue"
        return f"{text}, bands at {_some(rule.bands)} logged values: {keeps} at each"
    return text + "".join(f", {key} {short_value(value)}" for key, value in settings.items())


def _objectives(spec: SweepSpec) -> str:
    """Describes what the search optimises."""
    if spec.metric is None:
        return "no metric"
    named = ", ".join(f"{metric.goal} {metric.name}" for metric in spec.objectives)
    return (
        f"{named} ({'their' if spec.more_metrics else 'its'} {spec.optimize} value{'s' if spec.more_metrics else ''})"
    )


def _details(spec: SweepSpec, count: int) -> Iterator[str]:
    """Yields the lines about thresholds, targets, seeds and the scheduler."""
    for metric in spec.objectives:
        if metric.threshold is not None:
            side = "at least" if metric.goal == "maximize" else "at most"
            yield f"  of interest: {metric.name} {side} {metric.threshold:g}"
    targets = [f"{metric.name} {metric.target:g}" for metric in spec.objectives if metric.target is not None]
    if targets:
        who = "the mean of a point" if spec.repeats else "a trial"
        yield from ["", f"  the sweep ends when {who} reaches {' and '.join(targets)}"]
    if repeats := spec.repeats:
        seeds = ", ".join(short_value(repeats.seed_at(0, place)) for place in range(min(repeats.n, SHOWN_BANDS)))
        more = ", …" if repeats.n > SHOWN_BANDS else ""
        fresh = " for the first point, others for each further one" if repeats.seeds == "fresh" else ""
        yield from ["", f"  repeats: {repeats.name} = {seeds}{more}{fresh}"]
        if repeats.race:
            if spec.method != "grid" and (last := final_trials(count, repeats.n)):
                yield f"  race: points have one {repeats.noun} at first; the last {counted(last, 'trial')} confirm the best ones"
            yield f"  race: a point that is unlikely to become the best gets no further {repeats.noun}"
    if found := spec.scheduler:
        parts = [found.engine, *(f"{key} {text}" for key, text in found.to_dict().items() if key != "engine")]
        yield from ["", f"  points are chosen by {', '.join(parts)}"]


def describe(plan: Plan, *, seeded: bool = False, remark: str | None = None) -> str:
    """Describes the normalised search space, the grid's size, the first trials' commands and the early-termination bands.

    Args:
        seeded: whether the user has given a seed.
        remark: what is done before the first trial.
    """
    spec = plan.spec
    size = f", {counted(spec.grid_size, 'grid point')}" if spec.grid_size is not None else ""
    what = f"{spec.method} search{size}, {trials_text(spec, plan.count, resumed=plan.resumed)}, {_objectives(spec)}"
    lines = [f"{spec.name}: {what}, controller {plan.launch.controller}"]
    lines += [f"  {note}" for note in plan.notes]
    if plan.defaults:
        lines += ["", "  defaults of the project (--no-project-defaults: without):"]
        lines += [f"    {line}" for line in text_table([list(row) for row in plan.defaults], rule=False)]
    lines += ["", *_space(plan)] if spec.parameters else []
    lines += [f"  where {condition}" for condition in spec.where]
    lines += [f"  constraint {condition}" for condition in spec.constraints]
    lines += list(_details(spec, plan.count))
    if spec.early_terminate is not None:
        lines += ["", _early_termination(spec.early_terminate)]
    if spec.pbt is not None:
        lines += ["", _population(spec.pbt)]
    if remark is not None:
        lines.append(f"  {remark}")
    if plan.warm.prior:
        lines += ["", f"  learns first from {counted(len(plan.warm.prior), 'result')} of --from-sweep"]
    seeds = f", each with its first {spec.repeats.noun}" if spec.repeats else ""
    lines += ["", f"  {'next' if plan.resumed else 'first'} trials{seeds}{_remark(plan, seeded)}:"]
    folder = (plan.paths or new_paths(plan.spec, "SWEEP_ID")).dir
    lines = [piece for line in lines for piece in _fitting(line)]
    for number, params, seed in next_trials(plan):
        trial = folder / trial_name(number)
        start = plan.trial_start(params, trial, seed)
        lines += _fitting(f"  {command_text(environment_words(start.variables, start.words))}", shell=True)
        if file := given_file(plan.overrides, start, plan.layout.places[0], str(trial)):
            lines += _fitting(f"    {file}")
    return "\n".join([*lines, "", "dry run: nothing was created"])


def _fitting(line: str, *, shell: bool = False) -> list[str]:
    """Breaks a line between words where there is a terminal; a command (`shell`) so that it can be pasted."""
    return wrap(line, output_width(), indent=4, shell=shell) if is_terminal() else [line]
