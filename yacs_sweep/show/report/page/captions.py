"""Writes what each picture shows as one sentence with numbers: its caption, and its text for who does not see it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ....base.values import finite_number
from ....records.folder import better
from ...lines import duration_text
from ..data import Sweep, Trial, is_finished
from ..findings import Findings
from ..importance import Effect
from ..scores import is_diverged

MOST = 5  # names in a sentence


def captions(findings: Findings, data: Mapping[str, Any]) -> dict[str, str]:
    """Writes the sentences of all pictures, by the picture's name.

    Args:
        data: what `figures.figures` has computed.
    """
    sweep = findings.sweep
    drawn = [trial for trial in findings.used.trials if not is_diverged(trial)]
    found: dict[str, str | None] = {
        "history": _history(sweep),
        "parallel": _parallel(sweep, data, len(drawn)),
        "importance": _effects(findings.effects, _importance),
        "correlation": _effects(findings.effects, _correlation),
        **{f"slice{place}": _slice(sweep, drawn, data["columns"][at]) for place, at in enumerate(data["slices"])},
        "surface": _surface(data, len(drawn)),
        "curves": _curves(sweep, data),
        "timeline": _timeline(data["timeline"], findings.whole),
        "descent": _descent(data["descent"]),
        "rungs": _rungs(findings.whole, data["rungs"]),
        "family": _family(sweep) if data["family"] else None,
        **{
            f"front{place}": _front(data["front"], pair)
            for place, pair in enumerate((data["front"] or {}).get("pairs", ()))
        },
    }
    return {name: text for name, text in found.items() if text}


def shown(value: Any) -> str:
    """Formats a number with four digits."""
    return f"{value:.4g}".replace("-", "−") if finite_number(value) else "no value"


def listed(names: Sequence[str]) -> str:
    """Joins the first names with commas, and counts the rest."""
    rest = len(names) - MOST
    return ", ".join(names[:MOST]) + (f" and {rest} more" if rest > 0 else "")


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def _names(data: Mapping[str, Any], places: Sequence[int]) -> list[str]:
    """Returns the names of parameters by their columns' places."""
    return [data["columns"][place]["name"] for place in places]


def _history(sweep: Sweep) -> str | None:
    """Describes values over trials: their range, and how the best came about."""
    valued = [trial.record for trial in sweep.trials if finite_number(trial.record.value)]
    if not valued:
        return None
    values = [record.value for record in valued if record.value is not None]
    text = f"{sweep.metric} of {_count(len(valued), sweep.noun)}: from {shown(min(values))} to {shown(max(values))}"
    best, raised = None, 0
    for trial in sorted(filter(is_finished, sweep.trials), key=lambda trial: trial.record.number):
        value = trial.record.value
        if value is not None and (best is None or better(sweep.goal, value, best)):
            best, raised = value, raised + 1
    if (record := sweep.best) is not None:
        text += f"; the best, {shown(record.value)}, is {record.name}"
        text += f", after {_count(raised - 1, 'improvement')} on the first" if raised > 1 else ""
    return text + "."


def _parallel(sweep: Sweep, data: Mapping[str, Any], lines: int) -> str | None:
    """Describes the parallel coordinates: how many lines and which axes."""
    if not data["columns"]:
        return None
    names = _names(data, range(data["dimensions"]))
    return f"{_count(lines, 'line')} over {len(names) + 1} axes: {listed(names)}, and {sweep.metric}."


def _importance(effects: Sequence[Effect]) -> str:
    """Describes the importance of the parameters: first those that chance does not reach."""
    sure = [f"{effect.name} {100 * effect.importance:.0f} %" for effect in effects if effect.clear]
    rest = [effect.name for effect in effects if not effect.clear]
    first = listed(sure) or "none more than chance reaches"
    return f"{first}; no more than chance reaches: {listed(rest)}" if sure and rest else first


def _correlation(effects: Sequence[Effect]) -> str:
    """Describes the correlation of the first parameters."""
    return listed([_correlation_of(effect) for effect in effects])


def _correlation_of(effect: Effect) -> str:
    """Formats a parameter's correlation with its interval."""
    which = f"{effect.name} = {effect.level}" if effect.level else effect.name
    ends = f" ({effect.interval[0]:.2f} to {effect.interval[1]:.2f})" if effect.interval else ""
    value = "none" if effect.correlation is None else f"{effect.correlation:.2f}"
    return f"{which} {value}{ends}".replace("-", "−")


def _effects(effects: Sequence[Effect], say: Callable[[Sequence[Effect]], str]) -> str | None:
    """Describes the importance or the correlation of the parameters."""
    what = "Rank correlation of each parameter taken alone, whatever the others explain, with 95 % intervals"
    if say is _importance:
        what = "Share of the differences explained, beyond what the parameters above explain"
    return f"{what}: {say(effects)}." if effects else None


def _slice(sweep: Sweep, drawn: Sequence[Trial], column: Mapping[str, Any]) -> str | None:
    """Describes the values over one parameter: its range, and where the best lies."""
    name = column["name"]
    given = [trial.record for trial in drawn if name in trial.record.params]
    if not given:
        return None
    numbers = [value for record in given if finite_number(value := record.params[name])]
    text = f"{sweep.metric} of {_count(len(given), sweep.noun)} over {name}"
    if len(numbers) == len(given):
        text += f", from {shown(min(numbers))} to {shown(max(numbers))}"
    best = sweep.best
    if best is not None and name in best.params:
        own = best.params[name]
        text += f"; the best has {shown(own) if finite_number(own) else str(own)[:60]}"
    apart = (
        " Points of one value are spread sideways, so that none covers another." if column["kind"] == "category" else ""
    )
    return f"{text}.{apart}"


def _surface(data: Mapping[str, Any], trials: int) -> str | None:
    """Describes the picture of two parameters."""
    if not data["surface"]:
        return None
    first, second = _names(data, (data["surface"]["x"], data["surface"]["y"]))
    what = "the share of trials beaten" if data["surface"]["score"] else data["metric"]
    return f"{_count(trials, data['noun'])} by {first} (across) and {second} (upwards), coloured by {what}."


def _curves(sweep: Sweep, data: Mapping[str, Any]) -> str | None:
    """Describes the learning curves: how many, and where the best ends."""
    if not data["curves"]["metrics"]:
        return None
    name = data["curves"]["metrics"][0]
    own = [trial for trial in sweep.trials if name in trial.curves and trial.curves[name].x]
    text = f"{name} over the {sweep.axis} of {_count(len(own), sweep.noun)}"
    best = sweep.best_trial
    if best is not None and (curve := best.curves.get(name)) is not None and curve.x:
        first, last = (f"{shown(curve.y[place])} at {shown(curve.x[place])}" for place in (0, -1))
        text += f"; the best, {best.record.name}, goes from {first} to {last}"
    return text + "."


def _timeline(data: Mapping[str, Any], whole: Sweep) -> str | None:
    """Describes when trials ran: lanes, the whole time, and how much of the lanes' time had a trial."""
    bars = data["bars"]
    if not bars:
        return None
    span = max(begin + length for _, begin, length, _ in bars)
    share = sum(length for _, _, length, _ in bars) / (span * len(data["lanes"])) if span else 0.0
    busy = f"; a trial ran in {100 * min(1.0, share):.0f} % of it" if span else ""
    trials, workers = _count(len(whole.trials), "trial"), _count(len(data["lanes"]), "worker")
    return f"{trials} on {workers} in {duration_text(span) or '0 s'}{busy}."


def _descent(data: Mapping[str, Any] | None) -> str | None:
    """Describes the parameters along the best trial's line of descent."""
    if not data:
        return None
    names, trials = listed([column["name"] for column in data["columns"]]), _count(len(data["trials"]), "trial")
    return f"{names} over {data['spans'][-1][1]} iterations, through {trials}: {listed(data['trials'])}."


def _rungs(sweep: Sweep, data: Mapping[str, Any] | None) -> str | None:
    """Describes how far trials came: how many reached each rung, and how many were resumed."""
    if not data:
        return None
    states = Counter(trial.record.state for trial in sweep.trials)
    levels = [f"{count} reached {level}" for level, count in zip(data["levels"], data["reached"], strict=True)]
    resumed = f"; {data['resumed']} paused and were resumed" if data["resumed"] else ""
    ends = ", ".join(f"{number} {state}" for state, number in states.items())
    return f"Iterations of {_count(len(sweep.trials), 'trial')} ({ends}): {listed(levels) or 'no rungs'}{resumed}."


def _family(sweep: Sweep) -> str:
    """Describes who copied whose checkpoint."""
    copies = [trial.record for trial in sweep.trials if trial.record.parent_trial]
    parents = Counter(record.parent_trial for record in copies)
    name, number = parents.most_common(1)[0]
    text = f"{_count(len(copies), 'trial')} of {len(sweep.trials)} began from the checkpoint of another"
    return f"{text}; most often, {_count(number, 'time')}, from {name}."


def _front(data: Mapping[str, Any], pair: Sequence[int]) -> str:
    """Describes two of several objectives: how many are on the front, and from where to where it goes."""
    second, first = pair
    on = [row for row, kind in zip(data["values"], data["kind"], strict=True) if kind == "front"]
    names = [data["objectives"][place]["name"] for place in (first, second)]
    text = f"{names[1]} (upwards) against {names[0]} (across): {len(on)} of {len(data['kind'])} on the front"
    ends = [sorted(row[place] for row in on if row[place] is not None) for place in (first, second)]
    if on and all(ends):
        text += "".join(
            f", {name} from {shown(own[0])} to {shown(own[-1])}" for name, own in zip(names, ends, strict=True)
        )
    return text + "."
