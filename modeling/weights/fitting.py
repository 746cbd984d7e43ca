"""Reading of a state dict in other people's names: the table of names whose result fits a network best."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace

from torch import Tensor, nn

from modeling.model import ORIGIN_COUNTS, ReIDModel, is_of_classifier
from modeling.weights.rules import Format
from modeling.weights.tables import FORMATS

# May be missing: counters, which files from before PyTorch 0.4.1 have not, numbers that only this trainer notes, and features
# of sentences, which CLIP-ReID's files have as the sentences and their encoder.
_NOTES = ("num_batches_tracked", ORIGIN_COUNTS, "classifier_text.weight")


@dataclass(frozen=True)
class Reading:
    """Tensors of a file in this trainer's names, as a table of names gives them.

    Attributes:
        format: the table.
        tensors: by names of the network's state dict; those that fit, and those of another shape.
        misshapen: names of those of another shape.
        unknown: names in the file that no rule leads to the network, or leaves out.
        resized: names of those that were resized to fit, as position embeddings are.
        fitting: number of tensors that fit; classifiers of other identities do.
    """

    format: Format
    tensors: dict[str, Tensor] = field(default_factory=dict)
    misshapen: list[str] = field(default_factory=list)
    unknown: list[str] = field(default_factory=list)
    resized: list[str] = field(default_factory=list)
    fitting: int = 0

    @property
    def how(self) -> str:
        """Says how the file was read: whose names it has, and which is which."""
        return f"{self.format.owner} ({self.format.mapping})"

    @property
    def resizing(self) -> str:
        """Says which tensors were resized to fit, for the end of a line; empty where none was."""
        others = f" and {len(self.resized) - 1} more" if self.resized[1:] else ""
        return f"; resized: {self.resized[0]}{others}" if self.resized else ""

    def knows_all(self, wanted: Callable[[str], bool]) -> bool:
        """Tells whether no tensor of the file is unknown, of those whose names would matter."""
        return not any(wanted(self.format.intended(name)) for name in self.unknown)

    def misfits(self, expected: Mapping[str, Tensor], wanted: Callable[[str], bool]) -> str:
        """Says how many tensors do not fit, and names the first of each kind; empty where all do.

        Where some do not, the line names what the file has in their place, of a part that does not matter too: under a
        prefix nobody knows, no name is told to be of any part.

        Args:
            expected: the network's state dict.
            wanted: tells which names of this trainer's matter.
        """
        missing = [name for name in expected if name not in self.tensors and not is_note(name)]
        kinds = {
            "missing": [name for name in missing if wanted(name)],
            "unknown": [name for name in self.unknown if wanted(self.format.intended(name))],
            "of another shape": [name for name in self.misshapen if wanted(name)],
        }
        if any(kinds.values()):
            kinds["unknown"] = kinds["unknown"] or self.unknown
        parts = []
        for kind, names in kinds.items():
            if names:
                first = min(names)
                shapes = f", {_shape(self.tensors[first])} for {_shape(expected[first])}" if "shape" in kind else ""
                parts.append(f"{len(names)} {kind} (first: {first}{shapes})")
        return ", ".join(parts)


def is_note(name: str) -> bool:
    """Tells whether a tensor of this name says something about the weights, and files may lack it."""
    return name.endswith(_NOTES)


def read_names(weights: Mapping[str, Tensor], model: ReIDModel, formats: Sequence[Format] = FORMATS) -> Reading:
    """Reads a state dict by the table of names that fits a network best.

    That is the one with the most tensors that fit; of several, the one with the fewest that do not, then the first.

    Args:
        weights: the state dict, in anyone's names.
        model: the network, for whose backbone tensors are changed that must be.
        formats: the tables.
    """
    expected = model.state_dict()
    readings = [_read_by(format, weights, expected, model.base) for format in formats]
    if any(model.plain_name(name) != name for name in expected):
        readings += _read_unbranched(weights, expected, model, formats)
    return max(readings, key=lambda reading: (reading.fitting, -len(reading.unknown) - len(reading.misshapen)))


def _read_by(
    format: Format, weights: Mapping[str, Tensor], expected: Mapping[str, Tensor], backbone: nn.Module
) -> Reading:
    """Reads a state dict by one table of names."""
    reading, fitting = Reading(format), 0
    for name, value in weights.items():
        found = format.to_ours(name, expected)
        if found is None:
            if not format.leaves_out(name):
                reading.unknown.append(name)
            continue
        ours, rule = found
        if ours in reading.tensors:
            reading.unknown.append(name)  # two for one place
            continue
        wanted = expected[ours]
        if rule.change is not None:
            before = value.numel()
            with suppress(ValueError):  # its shape tells
                value = rule.change.read(value, wanted, backbone)
            if value.numel() != before:
                reading.resized.append(ours)
        reading.tensors[ours] = value
        if value.shape != wanted.shape:
            reading.misshapen.append(ours)
        fitting += value.shape == wanted.shape or _is_of_other_identities(ours, value, wanted)
    return replace(reading, fitting=fitting)


def _read_unbranched(
    weights: Mapping[str, Tensor], expected: Mapping[str, Tensor], model: ReIDModel, formats: Sequence[Format]
) -> list[Reading]:
    """Reads a state dict of a network without branches, by each table; all branches of this one get its tensors."""
    places: dict[str, list[str]] = {}
    for name in expected:
        places.setdefault(model.plain_name(name), []).append(name)
    unbranched = {plain: expected[names[0]] for plain, names in places.items()}
    found = []
    for reading in (_read_by(format, weights, unbranched, model.base) for format in formats):
        tensors = {name: value for plain, value in reading.tensors.items() for name in places[plain]}
        misshapen = [name for plain in reading.misshapen for name in places[plain]]
        found.append(replace(reading, tensors=tensors, misshapen=misshapen))
    return found


def _is_of_other_identities(name: str, value: Tensor, wanted: Tensor) -> bool:
    """Tells whether a tensor is a classifier's that is as the network's but for the number of identities."""
    return is_of_classifier(name) and value.ndim == wanted.ndim and value.shape[1:] == wanted.shape[1:]


def _shape(value: Tensor) -> str:
    """Writes a shape as in messages."""
    return str(list(value.shape))
