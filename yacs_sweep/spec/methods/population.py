"""Describes and reads the population of `method: pbt` (population-based training)."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

from ...base.wording import show
from ..section import Section
from ..slips import meant_mapping

MEMBERS = 8
KEYS = ("population", "interval", "max_iter", "quantile", "perturb", "resample")


@dataclass(frozen=True)
class Population:
    """Says how members of a population are compared and replaced. Iterations are logged values of the metric.

    Attributes:
        interval: iterations between comparisons.
        max_iter: iterations of a full training.
        population: members; None: `--count`, or 8.
        quantile: share of the members that is replaced each time.
        perturb: factors, of which one is drawn for each parameter.
        resample: chance that a parameter is drawn from its distribution instead.
    """

    interval: int
    max_iter: int
    population: int | None = None
    quantile: float = 0.25
    perturb: tuple[float, ...] = (0.8, 1.2)
    resample: float = 0.25

    def to_dict(self) -> dict[str, Any]:
        """Returns the population as it stands in a sweep file."""
        found = {**vars(self), "perturb": list(self.perturb)}
        return {key: value for key, value in found.items() if value is not None}


def read_population(section: Section, top: Collection[str]) -> Population | None:
    """Reads `pbt`; None where it is absent or wrong.

    Args:
        top: keys of the top level of a sweep file.
    """
    notes = section.notes
    if section.get("method") != "pbt":
        if "pbt" in section:
            section.wrong("pbt", "belongs to `method: pbt`; write that, or leave pbt out")
        return None
    body = section.get("pbt")
    if meant := meant_mapping(body, KEYS):
        section.wrong("pbt", f"a key needs a blank after its `:`; write `pbt: {meant}`")
        return None
    if not isinstance(body, dict):
        if "pbt" in section:
            section.wrong("pbt", f"{show(body)} is not allowed; write {{interval: 3, max_iter: 60}}")
        else:
            notes.wrong((), "`pbt` is missing; method pbt needs {interval: …, max_iter: …}")
        return None
    before = len(notes.problems)
    inner = Section(notes, section.at("pbt"), body, KEYS)
    inner.refuse_unknown(KEYS, top)
    numbers = {key: inner.integer(key, 1) for key in ("interval", "max_iter")}
    if "interval" not in inner:
        notes.wrong(inner.path, "method pbt needs `interval`, the logged values of the metric between comparisons")
    if "max_iter" not in inner:
        notes.wrong(inner.path, "method pbt needs `max_iter`, the logged values of the metric in a full training")
    interval, most = numbers["interval"], numbers["max_iter"]
    if interval is not None and most is not None and interval >= most:
        inner.wrong("interval", f"{interval} is not less than max_iter {most}: members would never be compared")
    found: dict[str, Any] = {"population": inner.integer("population", 2), "perturb": _factors(inner)}
    for key, high in (("quantile", 0.5), ("resample", 1.0)):
        found[key] = inner.number(key)
        if (found[key] is not None and not 0 <= found[key] <= high) or (key == "quantile" and found[key] == 0):
            inner.wrong(key, f"{show(inner.get(key))} is not a share between 0 and {high:g}")
    if len(notes.problems) > before or interval is None or most is None:
        return None
    return Population(interval, most, **{key: value for key, value in found.items() if value is not None})


def _factors(inner: Section) -> tuple[float, ...] | None:
    """Reads the factors by which parameters are perturbed."""
    if "perturb" not in inner:
        return None
    body = inner.get("perturb")
    numbers = (
        [item for item in body if isinstance(item, int | float) and not isinstance(item, bool)]
        if isinstance(body, list)
        else []
    )
    if (
        not isinstance(body, list)
        or len(numbers) != len(body)
        or not numbers
        or not all(0 < item < 10 for item in numbers)
    ):
        inner.wrong("perturb", f"{show(body)} is not a list of factors; write [0.8, 1.2]")
        return None
    return tuple(numbers)
