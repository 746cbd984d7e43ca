"""Lists the trials that `--where` selects, in the order of `--sort`, with the columns of `--columns`."""

from __future__ import annotations

import math
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ...base.errors import ConfigError
from ...base.wording import counted
from ...records.folder import TrialRecord
from ...spec.conditions import ExpressionError
from ..lines import Contrast, duration_text, params_line, reason_shown, short_value
from ..snapshot import Snapshot
from ..table import text_table
from .filter import Filter
from .values import SWEEP, SweepValues, values_of

PARAMETERS = "parameters"  # the column of all parameters
OBJECTIVE = "objective"  # the column of the value that each of several sweeps optimises, with its name
_NAME = re.compile(r"\s*([-+]?)\s*(?:`([^`]+)`|([^`,]+?))\s*(?:,|$)")
_LEAST = 20  # columns that a wide cell keeps on a narrow terminal
_RIGHT = ("number", "duration", "attempts", "exit_code")  # fields that are numbers


@dataclass(frozen=True)
class Query:
    """Holds what a user asks of a sweep's trials.

    Attributes:
        where: which trials; None: all.
        sort: by which names, each with its direction: `-` the largest first, `+` the smallest; empty: an objective's best
            first, of another name the smallest.
        columns: what is shown of them; empty: the usual.
    """

    where: Filter | None = None
    sort: tuple[tuple[str, str], ...] = ()
    columns: tuple[str, ...] = ()
    texts: tuple[tuple[str, str], ...] = ()  # as they were given, by the option

    @classmethod
    def read(cls, where: str | None, sort: str | None, columns: str | None) -> Query | None:
        """Reads the options; None where none is given.

        Raises:
            ConfigError: one cannot be read.
        """
        texts = {"--where": where, "--sort": sort, "--columns": columns}
        given = tuple((option, text) for option, text in texts.items() if text is not None)
        if not given:
            return None
        signed = _names("--columns", columns)
        if wrong := next((f"{sign}{name}" for sign, name in signed if sign), None):
            raise ConfigError(f"--columns: {wrong} has a sign; write it in --sort={wrong}")
        return cls(
            None if where is None else Filter(where),
            _names("--sort", sort),
            tuple(dict.fromkeys(name for _, name in signed)),
            given,
        )

    @property
    def names(self) -> tuple[str, ...]:
        """The names whose values are needed, each once."""
        wanted = [*(self.where.names if self.where else ()), *(name for _, name in self.sort), *self.columns]
        return tuple(dict.fromkeys(name for name in wanted if name != PARAMETERS))


@dataclass(frozen=True)
class Row:
    """Holds a trial of a list, and the values of the names that were asked for."""

    snapshot: Snapshot
    record: TrialRecord
    values: Mapping[str, Any]


def _names(option: str, text: str | None) -> tuple[tuple[str, str], ...]:
    """Splits names at commas: sign and name of each. Raises ConfigError where something else stands."""
    found, place = [], 0
    text = (text or "").strip()
    while place < len(text):
        match = _NAME.match(text, place)
        if match is None:
            raise ConfigError(
                f"{option}: '{text[place:].strip()}' is no name; write names between commas, each with letters "
                "other than a metric's usual ones between backquotes"
            )
        found.append((match[1], (match[2] or match[3]).strip()))
        place = match.end()
    return tuple(found)


def select(snapshots: Sequence[Snapshot], query: Query) -> list[Row]:
    """Selects and sorts the trials of some sweeps.

    Raises:
        ConfigError: a name that nothing has, or an expression that fits no trial's types.
    """
    sweeps = [SweepValues(snapshot) for snapshot in snapshots]
    of_trial = [snapshot for snapshot in snapshots for _ in snapshot.records]
    found = values_of(sweeps, query.names, dict(query.texts))
    rows = [Row(snapshot, record, values) for snapshot, (record, values) in zip(of_trial, found, strict=True)]
    if query.where is not None:
        rows = _holding(rows, query.where)
    for sign, name in reversed(query.sort):  # sorting is stable: the first name counts most
        goals = [metric.goal for snapshot in snapshots for metric in snapshot.objectives if metric.name == name]
        down = sign == "-" or (not sign and "maximize" in goals)
        known = [row for row in rows if _rank(row.values.get(name)) is not None]
        rest = [row for row in rows if _rank(row.values.get(name)) is None]
        rows = [*sorted(known, key=lambda row: _rank(row.values[name]) or (0, 0, ""), reverse=down), *rest]
    return rows


def _holding(rows: Sequence[Row], where: Filter) -> list[Row]:
    """Returns the rows that satisfy the expression. Raises ConfigError where it fits no trial's types."""
    found, wrong = list[Row](), None
    for row in rows:
        try:
            if where.holds(row.values) is True:
                found.append(row)
        except ExpressionError:
            wrong = wrong or row
    if wrong and not found:
        text, values = where.text, wrong.values
        shown = ", ".join(f"{name} is {_literal(values[name])}" for name in where.names if name in values)
        raise ConfigError(f"{where.option}: '{text}' fits no trial: it compares values of different kinds ({shown})")
    return found


def _literal(value: Any) -> str:
    """Formats a value as one writes it in an expression: a text in quotes, a number without."""
    return repr(short_value(value)) if isinstance(value, str) else short_value(value)


def _rank(value: Any) -> tuple[int, float, str] | None:
    """Returns what values are sorted by, numbers before texts; None for one that comes last in either direction."""
    if isinstance(value, bool | int | float):
        return None if isinstance(value, float) and math.isnan(value) else (0, value, "")
    return None if value is None else (1, 0.0, str(value))


# -- as a table -------------------------------------------------------------------------------------------------------
def columns_of(rows: Sequence[Row], sweeps: Collection[SweepValues], query: Query) -> tuple[str, ...]:
    """Returns the columns: those asked for, else the objectives, the main fields, what the query names, the parameters.

    Of several sweeps the sweep stands first, unless the query names it, and other parameters are left out.
    """
    several = len(sweeps) > 1
    snapshots = [values.snapshot for values in sweeps]
    if query.columns:
        found = len({id(row.snapshot) for row in rows})
        asked = several and SWEEP not in query.columns and (found > 1 or SWEEP not in query.names)
        return (*([SWEEP] if asked else []), *query.columns)
    if several:
        aims = {tuple(metric.name for metric in snapshot.objectives) for snapshot in snapshots}
        (metrics,) = aims if len(aims) == 1 else ((OBJECTIVE,),)
        return tuple(dict.fromkeys([SWEEP, "name", *metrics, "state", *query.names]))
    metrics = tuple(metric.name for snapshot in snapshots for metric in snapshot.objectives)
    named = [name for name in query.names if not any(values.parameter(name) for values in sweeps)]
    usual = ["name", *metrics, "state", "duration", *named, PARAMETERS]
    return tuple(dict.fromkeys([*usual, *(["reason"] if "reason" in named else [])]))


def list_trials(rows: Sequence[Row], snapshots: Sequence[Snapshot], query: Query, width: int) -> list[str]:
    """Formats the trials as a table of `width` columns, and below it how many of how many they are."""
    sweeps = {id(snapshot): SweepValues(snapshot) for snapshot in snapshots}
    columns = columns_of(rows, sweeps.values(), query)
    more = [name for name in columns if name not in (*query.names, PARAMETERS, OBJECTIVE)]
    getters = {key: {name: found.getter(name) for name in more} for key, found in sweeps.items()}
    params = {name for name in columns if any(found.parameter(name) for found in sweeps.values())}
    contrast = Contrast.of_trials([row.record for row in rows])
    cells = [["trial" if name == "name" else name for name in columns]]
    for row in rows:
        more_values = {name: get(row.record) for name, get in getters[id(row.snapshot)].items()}
        known = {name: value for name, value in {**more_values, **row.values}.items() if value is not None}
        cells.append(
            [
                contrast.text(name, known[name])
                if name in params and name in known
                else _cell(name, row, known.get(name), contrast)
                for name in columns
            ]
        )
    total = sum(len(snapshot.records) for snapshot in snapshots)
    places = {name: place for place, name in enumerate(columns)}
    first = [name for name in (PARAMETERS, "reason") if name in places]
    last = [name for name in (SWEEP, "name") if name in places]  # what names a trial is cut last
    order = [*first, *(name for name in reversed(columns) if name not in (*first, *last))]
    shrink = [(places[name], least) for least in (_LEAST, 8, 5) for name in order]
    shrink += [(places[name], least) for least in (_LEAST, 8, 5) for name in last]
    right = [place for name, place in places.items() if name in _RIGHT]
    lines = text_table(cells, right=right, width=width, shrink=shrink) if rows else []
    return [*lines, f"{len(rows)} of {counted(total, 'trial')}"]


def _cell(name: str, row: Row, value: Any, contrast: Contrast) -> str:
    """Formats one value of a trial."""
    if name == PARAMETERS:
        return params_line(row.record.params, contrast)
    if name == OBJECTIVE and value is None:
        aim, found = row.snapshot.metric, row.record.value
        return f"{aim} {found:.6g}" if aim and found is not None else ""
    if value is None:
        return ""
    if name == "duration":
        return duration_text(value)
    if name == "reason":
        return reason_shown(row.record, row.snapshot.objectives)
    return f"{value:.6g}" if isinstance(value, float) else str(value)
