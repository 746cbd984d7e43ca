"""Computes how much each parameter of a sweep matters, and whether that is more than chance. Pure.

A parameter's importance is the share of the differences between trials, in their scores, that the parameter alone explains:
an analysis of variance on ranks, corrected for what any parameter explains by chance. Parameters are taken one after the
other, the strongest first, each on what those before it leave. What chance reaches is measured by permutation: the same
trials, their scores shuffled.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from .columns import LISTED, Column, column
from .data import Sweep
from .scores import Sample
from .statistics import CONFIDENCE, association, correlation_interval, count_text, ranks, t_quantile

if TYPE_CHECKING:
    import numpy as np

    Array = np.ndarray[Any, Any]

ENOUGH_PER_PARAMETER = 10  # trials for each parameter, from which on the size of an importance is not called rough
FEWEST = 6  # trials below which no importance is computed
LEVEL = 0.01  # probability that chance alone makes any parameter of a sweep pass
SHUFFLES = 1999
A_LEVEL = 3  # trials for each value from which on a number with few values is taken value by value
BENDS = 30  # trials from which on a number's curve may bend twice
BLOCK = 8  # trials in a row that are shuffled among themselves where the search learns from earlier trials
GROUPS = 20  # parts of the sample, each left out once, to tell two importances apart
ROUNDING = 1e-9
AT_ONCE = 8  # permutations


@dataclass(frozen=True)
class Effect:
    """The effect of one parameter on the metric."""

    name: str
    importance: float  # share of the differences between trials that it explains, 0 to 1
    chance: float  # what shuffled scores reach, on the same scale
    correlation: float | None  # Spearman's, with the score; of a category: of its strongest level against the others
    interval: tuple[float, float] | None  # of the correlation, 95 %
    level: str  # that level; empty for numbers
    trials: int  # that have the parameter
    rank: int | None = None  # 1 for what matters most; equal for those not told apart; None where it may be chance

    @property
    def clear(self) -> bool:
        """Whether the importance is beyond chance."""
        return self.importance > self.chance


@dataclass(frozen=True)
class _Basis:
    """The shapes by which a parameter may act on the score: orthonormal columns over the trials that have it."""

    item: Column
    present: Array  # places of the trials
    shapes: Array  # trials × degrees of freedom, each column with mean 0

    @property
    def spare(self) -> int:
        """Degrees of freedom that are left for the trials' own differences."""
        return len(self.present) - 1 - int(self.shapes.shape[1])


def effects(sweep: Sweep, used: Sample) -> list[Effect]:
    """Computes the effect of each searched parameter, the most important first.

    Returns:
        Effects of the parameters with two values or more among the trials; none with fewer than `FEWEST` trials.
    """
    import numpy as np

    columns = [column(sweep, name, used.trials) for name in sweep.searched()]
    columns = [item for item in columns if len(set(item.present)) > 1]
    if len(used.trials) < FEWEST or not columns:
        return []
    scores = np.array(used.scores)
    bases = [_basis(item) for item in columns]
    found = []
    for basis, importance, chance in _in_order(scores, bases, _order_blocks(sweep, used)):
        item = basis.item
        correlation, level, count = association(item, used.scores)
        choices = len(item.levels) if len(item.levels) > 2 else 1  # two mirror each other
        interval = None if correlation is None else correlation_interval(correlation, count, choices)
        found.append(Effect(item.name, importance, chance, correlation, interval, level, len(basis.present)))
    named = {basis.item.name: basis for basis in bases}
    return _ranked(found, scores, named)


def caveat(sweep: Sweep, used: Sample, found: Sequence[Effect]) -> str:
    """Says what the importances do not tell, and why; empty when they tell the order."""
    if sweep.metric is None:
        return "The sweep has no metric, so there is nothing to compare its trials by."
    number = len(used.trials)
    if not found:
        if number >= FEWEST:
            return "No parameter has two values among the trials with a value."
        return f"{count_text(number, sweep.noun)} with a value: too few to say anything about importance ({FEWEST} at least)."
    if len(set(used.scores)) == 1:
        return "All trials are equally good: no parameter makes a difference."
    said = []
    if any(record.parent_trial is not None for record in sweep.records):
        said.append("Trials that continued from another's checkpoint have its training in their values too.")
    first = leading(found)
    if not first:
        of = "the only parameter" if len(found) == 1 else f"any of {len(found)} parameters"
        said.append(f"Cannot tell what matters: the effect of {of} may be chance.")
    elif len(first) > 1:
        names = f"{', '.join(first[:-1])} and {first[-1]}"
        said.append(f"Cannot tell which of {names} matters most: each is beyond chance, their difference is not.")
    wanted = ENOUGH_PER_PARAMETER * len(found)
    if number < wanted:
        parameters = count_text(len(found), "parameter")
        said.append(f"{number} {sweep.noun}s for {parameters} are few: from about {wanted} on, importances settle.")
    return " ".join(said)


def leading(found: Sequence[Effect]) -> list[str]:
    """Names the parameters that matter most: several where their order is not certain; none where all may be chance."""
    return [effect.name for effect in found if effect.rank == 1]


# -- shapes -----------------------------------------------------------------------------------------------------------
def _basis(item: Column) -> _Basis:
    """Makes the shapes of a parameter: a level for each value where there are few, else a curve over the value's rank."""
    import numpy as np

    present = np.array([place for place, value in enumerate(item.values) if value is not None])
    given = np.array(item.present)
    values = np.unique(given)
    few = len(values) <= LISTED and len(given) >= A_LEVEL * len(values)
    if item.kind == "category" or few:
        raw = (given[:, None] == values[None, :]).astype(float)
    else:
        at = 2 * (np.array(ranks(item.present)) - 0.5) / len(given) - 1  # a scale's logarithm changes nothing
        raw = np.stack([at**power for power in range(1, 4 if len(given) >= BENDS else 3)], axis=1)
    raw = raw - raw.mean(axis=0)
    left, sizes, _ = np.linalg.svd(raw, full_matrices=False)
    return _Basis(item, present, left[:, sizes > 1e-8 * max(1.0, float(sizes[0]))])


def _explained(basis: _Basis, scores: Array) -> float:
    """Computes the sum of squares that a parameter explains of the scores of the trials that have it."""
    centred = scores - scores.mean()
    return float(_less_chance(basis, ((centred @ basis.shapes) ** 2).sum(), float((centred**2).sum())))


def _explained_shuffled(bases: Sequence[_Basis], scores: Array, drawn: Array) -> list[Array]:
    """Computes what each of some parameters explains of shuffled scores.

    Args:
        bases: parameters that the same trials have.
        scores: scores of these trials.
        drawn: permutations of their places.

    Returns:
        For each parameter a sum of squares by permutation.
    """
    import numpy as np

    centred = scores - scores.mean()
    shapes = np.concatenate([basis.shapes for basis in bases], axis=1)
    # A few permutations at a time stay in the processor's cache.
    blocks = [centred[drawn[first : first + AT_ONCE]] @ shapes for first in range(0, len(drawn), AT_ONCE)]
    fitted = np.concatenate(blocks) ** 2
    ends = np.cumsum([basis.shapes.shape[1] for basis in bases])[:-1]
    whole = float((centred**2).sum())
    parts = np.split(fitted, ends, axis=1)
    return [_less_chance(basis, part.sum(axis=1), whole) for basis, part in zip(bases, parts, strict=True)]


def _less_chance(basis: _Basis, fitted: Array, whole: float) -> Array:
    """Takes what chance explains on average from sums of squares that a parameter explains of a whole sum."""
    import numpy as np

    if basis.spare < 1:
        return np.zeros_like(fitted)
    result: Array = np.maximum(0.0, fitted - basis.shapes.shape[1] * (whole - fitted) / basis.spare)
    return result


def _without(basis: _Basis, scores: Array) -> Array:
    """Removes a parameter's effect from the scores of the trials that have it."""
    own = scores[basis.present]
    result: Array = scores.copy()
    result[basis.present] = own - basis.shapes @ (basis.shapes.T @ (own - own.mean()))
    return result


# -- chance -----------------------------------------------------------------------------------------------------------
def _order_blocks(sweep: Sweep, used: Sample) -> Array:
    """Numbers the blocks of trials that are shuffled among themselves.

    A search that learns tries better values of all parameters later, so that a parameter without effect goes along with the
    score. Among trials that were chosen at about the same time it does not.
    """
    import numpy as np

    if sweep.method in ("grid", "random"):
        return np.zeros(len(used.trials), dtype=int)
    order = sorted(range(len(used.trials)), key=lambda place: used.trials[place].record.number)
    blocks = np.empty(len(order), dtype=int)
    count = max(1, len(order) // BLOCK)
    for place, trial in enumerate(order):
        blocks[trial] = min(count - 1, place // BLOCK)
    return blocks


def _shuffles(blocks: Array, count: int) -> Array:
    """Draws permutations of places, each within its block: rows of indices. The same trials give the same ones."""
    import numpy as np

    source = np.random.default_rng(0)
    drawn = np.empty((count, len(blocks)), dtype=np.int32)
    for block in np.unique(blocks):
        places = np.flatnonzero(blocks == block).astype(np.int32)
        drawn[:, places] = source.permuted(np.tile(places, (count, 1)), axis=1)
    return drawn


def _in_order(scores: Array, bases: list[_Basis], blocks: Array) -> list[tuple[_Basis, float, float]]:
    """Takes the parameters one after the other, as long as one is beyond chance.

    At each step the strongest of those that pass is taken and its effect removed; the level is shared among those that are
    left (Bonferroni), so that no parameter of the sweep passes by chance with a probability of more than `LEVEL`.

    Returns:
        Parameter, importance and what chance reaches, in order.
    """
    import numpy as np

    centred = scores - scores.mean()
    whole = float((centred**2).sum())
    if whole <= ROUNDING:
        return [(basis, 0.0, 0.0) for basis in bases]
    count = max(SHUFFLES, math.ceil(len(bases) / LEVEL) * 2 - 1)
    drawn: dict[bytes, Array] = {}  # permutations, by the trials that are shuffled
    for basis in bases:
        if basis.present.tobytes() not in drawn:
            drawn[basis.present.tobytes()] = _shuffles(blocks[basis.present], count)
    left, rest = list(bases), centred
    taken: list[tuple[_Basis, float, float]] = []
    while left:
        allowed = math.floor(LEVEL / len(left) * (count + 1))
        found = {}
        for trials, permutations in drawn.items():
            group = [basis for basis in left if basis.present.tobytes() == trials]
            if not group:
                continue
            own = rest[group[0].present]
            for basis, reached in zip(group, _explained_shuffled(group, own, permutations), strict=True):
                chance = float(np.partition(reached, len(reached) - allowed)[len(reached) - allowed])
                found[basis.item.name] = basis, _explained(basis, own) / whole, chance * (1 + ROUNDING) / whole
        step = [found[basis.item.name] for basis in left]
        step.sort(key=lambda found: (found[1] <= found[2], -found[1]))
        basis, importance, chance = step[0]
        if importance <= chance:
            return taken + step
        taken.append(step[0])
        left.remove(basis)
        rest = _without(basis, rest)
    return taken


# -- order ------------------------------------------------------------------------------------------------------------
def _ranked(found: list[Effect], scores: Array, bases: dict[str, _Basis]) -> list[Effect]:
    """Ranks the effects that are beyond chance; those whose order is not certain share a rank."""
    clear = sorted((effect for effect in found if effect.clear), key=lambda effect: -effect.importance)
    others = [effect for effect in found if not effect.clear]
    result: list[Effect] = []
    head = 0
    for place, effect in enumerate(clear):
        if place and _apart(bases[clear[head].name], bases[effect.name], scores):
            head = place
        result.append(replace(effect, rank=head + 1))
    return result + others


def _apart(first: _Basis, second: _Basis, scores: Array) -> bool:
    """Tells whether one parameter explains more than another, whichever trials were drawn: a grouped jackknife, 95 %."""
    import numpy as np

    groups = min(GROUPS, len(scores))
    part = np.arange(len(scores)) % groups
    found = np.array([_difference(first, second, scores, part != left) for left in range(groups)])
    deviation = math.sqrt((groups - 1) / groups * float(((found - found.mean()) ** 2).sum()))
    whole = _difference(first, second, scores, part >= 0)
    return whole > t_quantile(CONFIDENCE, groups - 1) * deviation


def _difference(first: _Basis, second: _Basis, scores: Array, kept: Array) -> float:
    """Computes by how much one parameter explains more than another among the kept trials, as a share."""
    import numpy as np

    whole = float(((scores[kept] - scores[kept].mean()) ** 2).sum())
    shares = []
    for basis in (first, second):
        own = kept[basis.present]
        shapes = basis.shapes[own] - basis.shapes[own].mean(axis=0)
        left, sizes, _ = np.linalg.svd(shapes, full_matrices=False)
        part = _Basis(basis.item, basis.present[own], left[:, sizes > 1e-8])
        shares.append(_explained(part, scores[part.present]))
    return (shares[0] - shares[1]) / whole if whole > ROUNDING else 0.0
