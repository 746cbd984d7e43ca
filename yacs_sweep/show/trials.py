"""Gives the trials of a sweep to Python programs: a list of dicts, a DataFrame, a table in a notebook."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from ..base.errors import SweepError
from ..records.folder import TrialRecord, rank
from ..records.points import Aims, group_points, is_plain
from .left_out import left_out, words_of
from .lines import Contrast, duration_text, reason_shown, trial_table

if TYPE_CHECKING:
    import pandas

SHOWN = 100  # rows of the table in a notebook
WIDTH = 120  # characters of the table as text
_USED = ("values", "feasible", "facts", "point", "seed")  # in a row where they are set


class Trials(list[dict[str, Any]]):
    """A list of a sweep's trials, best first, each a dict: `number`, `name`, `id`, `state`, `value` (of the sweep's metric),
    `params`, `seconds`, `reason`, `cause`, `started`, `ended` (UTC, ISO 8601), `attempts`, `exit_code`, `gpu_ids`, `host`, `dir`;
    where the sweep has them: `values` (of each objective), `feasible` and `facts` (of constraints), `point` and `seed`, and
    `left_out`: why the trial, or its point, cannot be the best or on the front (empty where it can).
    """

    def __init__(
        self,
        records: Iterable[TrialRecord] = (),
        metric: str | None = None,
        goal: str = "minimize",
        sweep_id: str | None = None,
        aims: Aims | None = None,
    ) -> None:
        """Takes the records, and the name of the metric that `value` is of.

        Args:
            aims: objectives, constraints and repeats of the sweep.
        """
        self.metric, self.goal, self.sweep_id = metric, goal, sweep_id
        self._records = rank(records, goal)
        self._objectives = aims.objectives if aims is not None else ()
        out = None if aims is None or is_plain(aims) else left_out(aims, group_points(self._records))
        super().__init__(_row(record, _why(record, out, aims)) for record in self._records)

    def frame(self) -> pandas.DataFrame:
        """Returns the rows as a DataFrame; a parameter `lr` is the column `params.lr`.

        Raises:
            SweepError: pandas is not installed.
        """
        try:
            import pandas
        except ImportError:
            raise SweepError("a DataFrame needs pandas: pip install pandas; without it the rows are a list") from None
        flat = []
        for row in self:
            params = {f"params.{name}": value for name, value in row["params"].items()}
            flat.append({**{key: value for key, value in row.items() if key != "params"}, **params})
        return pandas.DataFrame(flat)

    def __str__(self) -> str:
        return trial_table(self._records, self.metric, WIDTH, objectives=self._objectives)

    def _repr_html_(self) -> str:
        """Formats the table for a notebook; names and reasons come from servers and trainers, so all text is escaped."""
        names = list(dict.fromkeys(name for record in self._records[:SHOWN] for name in record.params))
        head = ["trial", self.metric or "value", "state", "time", *names, "reason"]
        from html import escape  # few ask for it

        contrast = Contrast.of_trials(self._records)
        lines = ["".join(f"<th>{escape(text)}</th>" for text in head)]
        for record in self._records[:SHOWN]:
            value = "" if record.value is None else f"{record.value:.6g}"
            params = [contrast.text(name, record.params[name]) if name in record.params else "" for name in names]
            reason = reason_shown(record, self._objectives)
            cells = [record.name, value, record.state, duration_text(record.seconds), *params, reason]
            lines.append("".join(f"<td>{escape(cell)}</td>" for cell in cells))
        more = len(self._records) - SHOWN
        note = f"<p>… and {more} more</p>" if more > 0 else ""
        rows = "\n".join(f"<tr>{line}</tr>" for line in lines)
        return f"<table>\n{rows}\n</table>{note}" if self._records else "<p>no trials</p>"


def _why(record: TrialRecord, out: Mapping[str, str] | None, aims: Aims | None) -> str | None:
    """Says why a trial cannot be the best or on the front; None where the sweep has nothing that tells.

    Args:
        out: kinds of reasons, by trial or point (`left_out`).
    """
    return None if out is None else words_of(aims).get(out.get(record.point or record.name, ""), "")


def _row(record: TrialRecord, why: str | None) -> dict[str, Any]:
    """Converts a record to a row of `Trials`; `why` is its `left_out`."""
    names = ("number", "name", "id", "state", "value", "params")
    more = ("reason", "cause", "started", "ended", "attempts", "exit_code", "gpu_ids", "host", "dir")
    row = {name: getattr(record, name) for name in names}
    used = {name: value for name in _USED if (value := getattr(record, name)) is not None}
    told = {} if why is None else {"left_out": why}
    return {**row, "seconds": record.seconds, **{name: getattr(record, name) for name in more}, **used, **told}
