"""Describes a plan as text: the search and the first trials' commands (`--dry-run`). Creates nothing."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from ...base.streams import is_terminal, output_width
from ...base.wording import counted, wrap
from ...records.folder import TrialRecord
from ...records.progress import unretried
from ...search.stored import trial_name
from ...show.lines import command_text, short_value
from ...show.table import text_table
from ...spec.parameter import Parameter, equality_key
from ...spec.sweep import EarlyTerminate
from ...trainers.overrides import Overrides
from ...trainers.ways.start import environment_words, given_file
from .plan import Plan, new_paths

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


def _next_trials(plan: Plan) -> Iterator[tuple[int, dict[str, Any]]]:
    """Yields number and point of the next trials, at most `SHOWN`; bayes begins at random.

    Points that are tried again come first, then those of --enqueue, then the search's own.
    """
    records = sorted(plan.paths.records(), key=lambda record: record.number) if plan.paths is not None else []
    first = 1 + max((record.number for record in records), default=-1)
    owed = [record for record in unretried(records) if record.id in plan.launch.retry or _is_owed(record)]
    points = [*(record.params for record in owed), *map(dict, plan.warm.enqueue)]
    tried = {equality_key(point) for point in (*points, *(record.params for record in records))}
    spec, grid = plan.spec, iter(range(plan.spec.grid_size or 0))
    for number in range(first, first + min(SHOWN, plan.count)):
        if number - first < len(points):
            point = points[number - first]
        elif spec.method == "grid":
            new = (spec.grid_point(index) for index in grid)
            found = next((point for point in new if equality_key(point) not in tried), None)
            if found is None:
                return
            point = found
        else:
            point = spec.random_point(plan.launch.seed, number, tried)
        tried.add(equality_key(point))
        yield number, point


def _remark(plan: Plan, seeded: bool) -> str:
    """Says whether the first points are those that will be tried."""
    if plan.spec.method == "grid":
        return ""
    if plan.warm.prior:
        return " (examples: the search learns from --from-sweep first)"
    start = ", which bayes search begins with" if plan.spec.method == "bayes" else ""
    drawn = f"points of --seed {plan.launch.seed}" if seeded else "examples: --seed N makes them the real ones"
    if len(plan.warm.enqueue) >= min(SHOWN, plan.count):
        return " (given by --enqueue)"
    return f" ({'after those of --enqueue, ' if plan.warm.enqueue else ''}random {drawn}{start})"


def _early_termination(rule: EarlyTerminate) -> str:
    """Describes the early-termination rule; an iteration is a logged value of the metric."""
    settings = {key: value for key, value in rule.to_dict().items() if key != "type"}
    text = f"  early termination: {rule.type}"
    if rule.type == "hyperband":
        more = ", …" if len(rule.bands) > SHOWN_BANDS else ""
        keeps = f"the best 1/{settings.get('eta', 3):g} continue"
        return f"{text}, bands at {', '.join(map(str, rule.bands[:SHOWN_BANDS]))}{more} logged values: {keeps} at each"
    return text + "".join(f", {key} {short_value(value)}" for key, value in settings.items())


def describe(plan: Plan, *, seeded: bool = False) -> str:
    """Describes the normalised search space, the grid's size, the first trials' commands and the early-termination bands."""
    spec = plan.spec
    metric = f"{spec.metric.goal} {spec.metric.name} (its {spec.optimize} value)" if spec.metric else "no metric"
    size = f", {counted(spec.grid_size, 'grid point')}" if spec.grid_size is not None else ""
    what = f"{spec.method} search{size}, {counted(plan.count, 'trial')}, {metric}"
    lines = [f"{spec.name}: {what}, controller {plan.launch.controller}"]
    lines += [f"  {note}" for note in plan.notes]
    lines += ["", *_space(plan)]
    lines += [f"  where {condition}" for condition in spec.where]
    if spec.metric is not None and spec.metric.target is not None:
        lines += ["", f"  the sweep ends when a trial reaches {spec.metric.name} {spec.metric.target:g}"]
    if spec.early_terminate is not None:
        lines += ["", _early_termination(spec.early_terminate)]
    if plan.warm.prior:
        lines += ["", f"  learns first from {counted(len(plan.warm.prior), 'result')} of --from-sweep"]
    lines += ["", f"  {'next' if plan.resumed else 'first'} trials{_remark(plan, seeded)}:"]
    folder = (plan.paths or new_paths(plan.spec, "SWEEP_ID")).dir
    lines = [piece for line in lines for piece in _fitting(line)]
    for number, params in _next_trials(plan):
        trial = folder / trial_name(number)
        start = plan.trial_start(params, trial)
        lines += _fitting(f"  {command_text(environment_words(start.variables, start.words))}", shell=True)
        if file := given_file(plan.overrides, start, plan.layout.places[0], str(trial)):
            lines += _fitting(f"    {file}")
    return "\n".join([*lines, "", "dry run: nothing was created"])


def _fitting(line: str, *, shell: bool = False) -> list[str]:
    """Breaks a line between words where there is a terminal; a command (`shell`) so that it can be pasted."""
    return wrap(line, output_width(), indent=4, shell=shell) if is_terminal() else [line]
