"""Formats what the launcher prints about sweeps and trials: values, durations, one-line messages, tables. Pure."""

from __future__ import annotations

import shlex
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ..base.wording import cells, counted, cut, wrap
from ..records.folder import TrialRecord
from ..records.points import point_number
from ..records.progress import Saved, Tally, retried_trials
from ..spec.parameter import Parameter
from ..spec.sweep import Metric
from .cells import clean, cut_apart, cut_middle
from .left_out import threshold_text
from .table import GAP, column_widths, text_table

LEAST = 20  # columns that the parameters in the trials' table keep
NAMED = 4  # trials named with a reason below the table
WIDEST = 24  # columns of a value


def short_value(value: Any) -> str:
    """Formats a parameter's or a metric's value in at most `WIDEST` columns."""
    if isinstance(value, float):
        return f"{value:.4g}"
    return cut_middle(clean(str(value)), WIDEST)


def parameter_text(value: Any) -> str:
    """Formats a parameter's value as the trainer is given it, in `WIDEST` columns: 68.0 is not 68; long numbers are rounded."""
    if isinstance(value, float):
        short = short_value(value)
        return repr(value) if float(short) == value or (value.is_integer() and len(repr(value)) <= WIDEST) else short
    return short_value(value)


@dataclass
class Contrast:
    """Holds what tells the parameters of several trials apart: which differ, and short forms of long values that do."""

    varied: set[str] = field(default_factory=set)  # names of parameters that differ between the trials
    short: Mapping[str, Mapping[str, str]] = field(
        default_factory=dict
    )  # by a parameter's name and a value's whole text

    @classmethod
    def of_trials(cls, records: Collection[TrialRecord]) -> Contrast:
        """Compares the parameters of trials."""
        return cls.of_values(
            {name: [each.params[name] for each in records if name in each.params] for name in varied_names(records)}
        )

    @classmethod
    def of_search(cls, parameters: Iterable[Parameter]) -> Contrast:
        """Compares the values that a search may choose."""
        return cls.of_values({item.name: item.values for item in parameters if item.distribution != "constant"})

    @classmethod
    def of_values(cls, values: Mapping[str, Iterable[Any]]) -> Contrast:
        """Compares the values of each parameter that differs."""
        texts = {
            name: [clean(str(each)) for each in found if not isinstance(each, float)] for name, found in values.items()
        }
        return cls(set(values), {name: cut_apart(found, WIDEST) for name, found in texts.items()})

    def text(self, name: str, value: Any) -> str:
        """Formats a parameter's value: as `parameter_text` does, or wider where it would be like another value."""
        if isinstance(value, float):
            return parameter_text(value)
        return self.short.get(name, {}).get(clean(str(value)), parameter_text(value))


def params_line(params: Mapping[str, Any], contrast: Contrast | None = None) -> str:
    """Formats parameters as `base_lr=0.00035 margin=0.3`; those that differ between trials come before the others."""
    contrast = contrast or Contrast()
    names = sorted(params, key=lambda name: name not in contrast.varied)
    return " ".join(f"{clean(name)}={contrast.text(name, params[name])}" for name in names)


def command_text(words: Sequence[str]) -> str:
    """Formats a command's words so that they can be pasted into a shell."""
    return shlex.join(words)


# -- durations --------------------------------------------------------------------------------------------------------
def duration_text(seconds: float | None) -> str:
    """Formats a duration as `42 s`, `3 min 20 s` or `2 h 05 min`; None is empty."""
    if seconds is None:
        return ""
    if seconds < 100:
        return f"{seconds:.0f} s" if seconds >= 10 else f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest:02d} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60:02d} min"


def clock(seconds: float) -> str:
    """Formats a duration as a running clock: `0:42`, `12:05`, `3:20:00`."""
    minutes, rest = divmod(max(0, int(seconds)), 60)
    return f"{minutes}:{rest:02d}" if minutes < 60 else f"{minutes // 60}:{minutes % 60:02d}:{rest:02d}"


def rough_duration(seconds: float) -> str:
    """Formats an estimated duration, rounded to whole, 5 or 30 minutes: `25 min`, `2 h 30 min`."""
    step = 60 if seconds < 1200 else 300 if seconds < 10800 else 1800
    hours, minutes = divmod(max(step, round(seconds / step) * step) // 60, 60)
    return " ".join([*([f"{hours} h"] if hours else []), *([f"{minutes} min"] if minutes or not hours else [])])


# -- trials and batches -----------------------------------------------------------------------------------------------
def trial_started_line(
    record: TrialRecord,
    earlier: TrialRecord | None = None,
    *,
    noun: str = "seed",
    contrast: Contrast | None = None,
) -> str:
    """Formats the line at a trial's start.

    Args:
        earlier: the trial that it tries again, if that is known.
        noun: what the repeats of a point are called (`Repeats.noun`).
        contrast: of the sweep's trials, for long values.
    """
    name = earlier.name if earlier is not None else record.retry_of
    again = f" (again, after {name})" if record.retry_of else ""
    if record.attempts > 1:
        again = f" (resumed{f' at iteration {record.iterations}' if record.iterations else ''})"
    elif record.parent_trial is not None:
        again = f" (from {clean(record.parent_trial)} at iteration {record.begun_at})"
    return f"▶ {record.name}{again}{_seed_text(record, noun)}: {params_line(record.params, contrast)}"


def _seed_text(record: TrialRecord, noun: str) -> str:
    """Names the point and the seed of a repeat; empty for other trials."""
    return "" if record.point is None else f" ({clean(record.point)}, {noun} {short_value(record.seed)})"


def values_text(record: TrialRecord, metric: str | None) -> str:
    """Formats the values of the objectives: `val/mAP 82.1, ms 3.2`; empty without any."""
    values = {str(metric): record.value} if record.values is None else record.values
    return ", ".join(f"{clean(name)} {short_value(value)}" for name, value in values.items() if value is not None)


def reason_shown(record: TrialRecord, objectives: Sequence[Metric] = ()) -> str:
    """Returns why a trial ended, without the words of its state, which stands beside it, or what it misses.

    Args:
        objectives: of the sweep, where it has several: their thresholds count, as its constraints do.
    """
    if record.state == "finished" and not record.keeps_constraints:
        return f"violates {', '.join(record.violated)}" if record.violated else "its constraints could not be judged"
    if record.state == "finished" and (missed := threshold_text(record.values or {}, objectives)):
        return missed
    if record.state == "paused" and record.cause == "paused":
        where = record.reason.removeprefix("paused ")
        stands_beside = record.value is not None and where.endswith(
            f" {record.value:.6g}"
        )  # else its best stands there
        return where.partition(":")[0] if stands_beside else where
    said = {"finished": "finished", "stopped": "stopped early"}.get(record.state)
    return "" if record.reason == said else record.reason.removeprefix(f"{said}: ")


def trial_ended_line(
    record: TrialRecord, metric: str | None, objectives: Sequence[Metric] = (), *, noun: str = "seed"
) -> str:
    """Formats the line at a trial's end: state, duration, value, and the reason of one that did not finish.

    Args:
        objectives: of the sweep, for the thresholds that the trial may miss.
        noun: what the repeats of a point are called (`Repeats.noun`).
    """
    value = f", {text}" if (text := values_text(record, metric)) else ""
    why = f": {reason}" if (reason := reason_shown(record, objectives)) else ""
    mark = {"finished": "✓", "stopped": "■", "paused": "‖"}.get(record.state, "✗")
    name = record.name + _seed_text(record, noun)
    return f"{mark} {name} {record.state} after {duration_text(record.seconds)}{value}{why}"


def saved_text(saved: Saved) -> str:
    """Says what ending or pausing trials early has saved."""
    again = f"; {counted(saved.again, 'iteration')} were trained again" if saved.again else ""
    if saved.trained >= saved.full:
        return f"trained {saved.trained} of {counted(saved.full, 'iteration')}: ending trials early has saved nothing{again}"
    more = f" ({saved.gpu_hours:.1f} GPU hours)" if saved.gpu_hours is not None else ""
    more += again
    return (
        f"trained {saved.trained} of {counted(saved.full, 'iteration')}: {saved.percent:.0f} % less than without ending trials "
        f"early, about {duration_text(saved.seconds)} of training{more}"
    )


def epochs_apart(seeds: Mapping[str, Any]) -> str:
    """Says that no seed of `--train-best` trained as long as the search's best trial, by their last epochs; empty otherwise.

    Args:
        seeds: the content of seeds.json.
    """
    found: Mapping[str, Any] = seeds.get("epochs") or {}
    search, ends = found.get("search"), found.get("seeds") or []
    if search is None or not ends or search in ends:
        return ""
    reached = f"{min(ends):g}" if min(ends) == max(ends) else f"{min(ends):g} to {max(ends):g}"
    return f"the last epoch is {reached} with the seeds, and {search:g} in the search: the values are not of equal trainings"


def in_search(seeds: Mapping[str, Any]) -> dict[str, float]:
    """Returns the values in the search, by metric, that the seeds of `--train-best` compare with; empty without any.

    Args:
        seeds: the content of seeds.json.
    """
    search: Mapping[str, Any] = seeds.get("search") or {}
    if search.get("value") is None:
        return {}
    found = {**(search.get("values") or {}), str(seeds.get("metric")): search["value"]}
    return {name: value for name, value in found.items() if value is not None}


def named_in_search(search: Mapping[str, Any]) -> str:
    """Names the trial, or point, whose configuration `--train-best` trains: the search's best, or the one preferred.

    Args:
        search: of seeds.json.
    """
    noun = "trial" if point_number(search["name"]) is None else "point"
    if prefer := search.get("prefer"):
        return f"the {noun} preferred by '{clean(prefer)}', {search['name']}"
    return f"the search's best {noun}, {search['name']}"


def trained_again(seeds: Mapping[str, Any]) -> str:
    """Says what `--train-best` has trained, how often and with which seeds.

    Args:
        seeds: the content of seeds.json.
    """
    search, trials = seeds.get("search"), len(seeds.get("trials") or ())
    what = f"the configuration of {named_in_search(search)}," if search else "the best configuration"
    return f"{what} trained {'once' if trials == 1 else f'{trials} times'} with seeds that the search has not used"


def over_folds(seeds: Mapping[str, Any]) -> str:
    """Says after a cross-validation that the search's mean over folds is no comparison with the seeds; empty otherwise.

    Args:
        seeds: the content of seeds.json.
    """
    search = seeds.get("search")
    if not search or search.get("value") is not None:
        return ""
    return f"no comparison with {named_in_search(search)}, whose mean is over the folds"


MOST_SHOWN = 20  # trials of a table on the terminal


def varied_names(records: Collection[TrialRecord]) -> set[str]:
    """Returns the parameters that differ between the trials, also by being inactive in some."""
    varied, first, seen = set[str](), dict[str, Any](), Counter[str]()
    for record in records:
        seen.update(record.params.keys())
        varied.update(name for name, value in record.params.items() if first.setdefault(name, value) != value)
    return varied | {name for name in seen if seen[name] < len(records)}


def trial_table(
    records: Sequence[TrialRecord],
    metric: str | None,
    width: int,
    *,
    most: int | None = None,
    file: object = "",
    beside: Collection[TrialRecord] = (),
    front: Collection[str] = (),
    objectives: Sequence[Metric] = (),
) -> str:
    """Formats trials, in the order given, as a table of `width` columns. Each of several objectives has a column.

    Parameters that have one value in all trials come last, and are cut first. Reasons have a column where it takes all of
    them whole, and none twice; else they stand below the table, each once, with its trials.

    Args:
        most: rows at most; a line below says how many are left out. None: all.
        file: where all of them are.
        beside: trials that are not listed, and tell as well which parameters have one value in all.
        front: names of the trials on the front of several objectives, which are marked.
        objectives: of the sweep, for the thresholds that trials may miss.
    """
    again, contrast, shown = retried_trials(records), Contrast.of_trials([*records, *beside]), records[:most]
    columns = {
        "trial": [record.name for record in shown],
        "value": ["" if record.value is None else f"{record.value:.6g}" for record in shown],
        **_further_values(shown, metric),
        **({"front": ["●" if record.name in front else "" for record in shown]} if front else {}),
        "state": [record.state for record in shown],
        "time": [duration_text(record.seconds) for record in shown],
        "parameters": [params_line(record.params, contrast) for record in shown],
    }
    if metric is None and not any(columns["value"]):
        del columns["value"]  # the sweep optimises nothing
    reasons = [
        f"tried again as {again[each.id].name}" if each.id in again else reason_shown(each, objectives)
        for each in shown
    ]
    heads = [metric if name == "value" and metric else name for name in columns]
    rows = [heads, *map(list, zip(*columns.values(), strict=True))]
    wide = [[*row, reason] for row, reason in zip(rows, ["reason", *map(clean, reasons)], strict=True)]
    told = [reason for reason in reasons if reason]
    fits = sum(column_widths(wide)) + len(GAP) * len(columns) <= width
    beside_rows = fits and len(set(told)) == len(told)
    lines = (
        text_table(wide if told else rows) if beside_rows else text_table(rows, width=width, shrink=_shrinking(columns))
    )
    left_out = len(records) - len(shown)
    lines += [f"+{left_out} more; {file} has all"] if left_out else []
    if told and not beside_rows:
        lines += ["", *_reasons(columns["trial"], [clean(reason) for reason in reasons], width)]
    return "\n".join(lines)


def _further_values(records: Sequence[TrialRecord], metric: str | None) -> dict[str, list[str]]:
    """Makes the columns of the objectives after the first, by their names."""
    names = dict.fromkeys(name for record in records for name in record.values or {} if name != metric)
    found: dict[str, list[str]] = {}
    for name in names:
        values = [(record.values or {}).get(name) for record in records]
        found[name] = ["" if value is None else f"{value:.6g}" for value in values]
    return found


def _shrinking(columns: Mapping[str, Sequence[str]]) -> list[tuple[int, int]]:
    """Returns how a table of trials becomes narrower: the columns that give way in turn, with the width they keep.

    A long metric's name gives way first, then the parameters; on a very narrow terminal everything does.
    """
    numbers = max([4, *map(cells, columns.get("value", ()))])
    order = [("value", max(12, numbers)), ("parameters", LEAST), ("value", numbers), ("parameters", 8), ("trial", 8)]
    order += [("time", 4), ("value", 4), ("state", 4), ("parameters", 5), ("trial", 5)]
    places = {name: place for place, name in enumerate(columns)}
    return [(places[name], least) for name, least in order if name in places]


def _reasons(names: Sequence[str], reasons: Sequence[str], width: int) -> Iterator[str]:
    """Yields the lines that give each reason once, behind the names of its trials."""
    for reason in dict.fromkeys(filter(None, reasons)):
        of = [name for name, its in zip(names, reasons, strict=True) if its == reason]
        more = f", +{len(of) - NAMED} more" if len(of) > NAMED else ""
        text = f"{clean(', '.join(of[:NAMED]))}{more}: {reason}"
        yield from wrap(cut(text, 3 * (width - 4)), width, indent=4, whole=False)


def named_text(names: Sequence[str]) -> str:
    """Lists the first of some names, and says how many more there are."""
    return ", ".join(names[:NAMED]) + (f", +{len(names) - NAMED} more" if len(names) > NAMED else "")


def best_value(best: Mapping[str, Any]) -> float | None:
    """Returns how good the best of a summary.json is: with repeats its point's mean, else its trial's value."""
    value = best.get("mean", best.get("value"))
    return None if value is None else float(value)


def batch_table(rows: Sequence[Mapping[str, Any]], width: int) -> str:
    """Formats the sweeps of a batch's summary.json as a table of `width` columns; below it, why any has ended early."""
    table = [["sweep", "name", "state", "best", "in trial", "trials"]]
    for row in rows:
        value = best_value(row["best"]) if row["best"] else None
        best = "" if value is None else f"{row['metric']['name']} {value:.6g}"
        counts = Tally.without(row["counts"], row.get("retried") or {}).text
        of = row["best"]["name"] if row["best"] else ""
        table.append([row["sweep_id"], str(row["name"]), row["state"], best, of, counts])
    if sum(column_widths(table)) + len(GAP) * 5 > width:
        table = [[*line[:4], *line[5:]] for line in table]
    lines = text_table(table, width=width, shrink=[(1, 10), (4, LEAST), (3, LEAST), (1, 8), (4, 8), (3, 8)])
    for row in rows:
        if row["message"]:
            lines += wrap(clean(f"{row['sweep_id']}: {row['message']}"), width, indent=4)
    return "\n".join(lines)
