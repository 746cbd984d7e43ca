"""Reads the `parameters` of a sweep file: W&B's forms, and bare lists and scalars."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import replace
from typing import Any

from ..base.values import all_finite
from ..base.wording import did_you_mean, show
from ..base.yaml_document import KeyPath, dotted
from . import distributions
from .parameter import Parameter, equality_key
from .section import Notes, Section
from .slips import decimal_commas, meant_key, meant_list, meant_mapping, thousands, without_brackets

_NUMERIC = ("min", "max", "mu", "sigma", "a", "b", "q")
_CONDITION = ("parent", "parent_values")
PARAMETER_KEYS = ("distribution", "value", "values", "probabilities", *_NUMERIC, "parameters", *_CONDITION)
_NAME = re.compile(r"[A-Za-z_+@][\w.\-/+@]*", re.ASCII)
_MAX_DEPTH = 30
# What other tools call a key.
_OTHER_KEYS = {
    "mean": "mu",
    "loc": "mu",
    "std": "sigma",
    "stddev": "sigma",
    "scale": "sigma",
    "low": "min",
    "lower": "min",
    "high": "max",
    "upper": "max",
    "step": "q",
    "choices": "values",
    "options": "values",
    "range": "values",
    "default": "value",
    "probs": "probabilities",
    "weights": "probabilities",
    "type": "distribution",
    "dist": "distribution",
}
# What other tools call a distribution.
_OTHER_NAMES = {
    "choice": "categorical",
    "choices": "categorical",
    "enum": "categorical",
    "int": "int_uniform",
    "integer": "int_uniform",
    "randint": "int_uniform",
    "float": "uniform",
    "loguniform": "log_uniform_values",
    "log": "log_uniform_values",
    "quniform": "q_uniform",
    "qloguniform": "q_log_uniform_values",
    "gaussian": "normal",
    "lognormal": "log_normal",
}


def read_parameters(notes: Notes, path: KeyPath, data: Any) -> tuple[Parameter, ...]:
    """Reads every parameter under `path`, nested ones with dotted names, in the order written."""
    if not isinstance(data, dict) or not data:
        if data is None:
            text = "has nothing under it; are the parameters' lines indented?"
        elif isinstance(data, str) and (meant := meant_key(data)) is not None:
            text = f"a key needs a blank after its `:`; write `{meant}`"
        else:
            text = f"{show(data)} holds no parameter; write `name: {{values: […]}}` lines under it"
        notes.wrong(path, text)
        return ()
    reader = _Reader(notes)
    reader.group(path, data, above=())
    _check_parents(notes, reader.found, reader.paths)
    return tuple(reader.found.values())


class _Reader:
    """Reads groups of parameters, and keeps the path of each parameter."""

    def __init__(self, notes: Notes) -> None:
        self.notes = notes
        self.found: dict[str, Parameter] = {}
        self.paths: dict[str, KeyPath] = {}

    def group(self, path: KeyPath, data: dict[str, Any], above: tuple[str, ...]) -> None:
        """Reads the parameters of a mapping; `above` are the names of the groups around it."""
        stray: str | None = None  # the parameter before, when its lines are not under it
        for key, body in data.items():
            here = (*path, key)
            if stray is not None and key in PARAMETER_KEYS:
                self.notes.wrong(here, f"is beside {stray}, not under it; indent it further")
                continue
            stray = key if body is None else None
            if not _NAME.fullmatch(key):
                if (meant := meant_key(key)) is not None:
                    value = body if isinstance(body, str) else show(body)
                    self.notes.wrong(here, f"a key needs a blank after its `:`; write `{meant}: {value}`")
                    continue
                bare = key.lstrip("-")
                hint = f"; did you mean {bare}? The trainer profile adds the dashes" if bare != key else ""
                self.notes.wrong(here, f"not a parameter name: letters, digits and . _ - / only, a letter first{hint}")
                continue
            self.one(here, (*above, key), body)

    def one(self, path: KeyPath, keys: tuple[str, ...], body: Any) -> None:
        """Reads one parameter, or a group of nested ones, in any of its forms."""
        name = ".".join(keys)
        if body is None:
            text = "has nothing under it; indent its lines further, or write `value: null` for the value null"
            self.notes.wrong(path, text)
        elif (meant := meant_mapping(body, PARAMETER_KEYS)) is not None:
            self.notes.wrong(path, f"a key needs a blank after its `:`; write `{path[-1]}: {meant}`")
        elif isinstance(body, dict):
            section = Section(self.notes, path, body, PARAMETER_KEYS)
            if not self._unknown_keys(section, body):
                return  # nothing of it can be read
            if "parameters" in section:
                self._nested(section, keys)
            else:
                self.add(path, keys, _described(section, name))
        elif isinstance(body, list):
            self.add(path, keys, _listed(self.notes, path, name, body))
        elif not all_finite(body):
            self.notes.wrong(path, f"{show(body)} is not a finite number; quote it if a text is meant")
        else:
            _warn_of_list(self.notes, path, body)
            self.add(path, keys, Parameter(name, "constant", value=body))

    def add(self, path: KeyPath, keys: tuple[str, ...], parameter: Parameter | None) -> None:
        """Keeps a parameter; a name that is defined twice is a mistake."""
        if parameter is None:
            return
        if parameter.name in self.paths:
            earlier = dotted(self.paths[parameter.name])
            self.notes.wrong(path, f"defines {parameter.name} again, already defined by {earlier}")
            return
        self.found[parameter.name] = replace(parameter, path=keys) if len(keys) > 1 else parameter
        self.paths[parameter.name] = path

    def _nested(self, section: Section, keys: tuple[str, ...]) -> None:
        for key in section.values:
            if key != "parameters":
                section.wrong(key, "cannot be combined with `parameters`, which makes a group; remove one of them")
        inner = section.values["parameters"]
        if len(section.path) > 2 * _MAX_DEPTH:
            section.wrong("parameters", f"nested more than {_MAX_DEPTH} deep")
        elif isinstance(inner, dict) and inner:
            self.group(section.at("parameters"), inner, keys)
        else:
            section.wrong("parameters", "has nothing under it; are the parameters' lines indented?")

    def _unknown_keys(self, section: Section, body: dict[str, Any]) -> bool:
        """Notes unknown keys; returns False when no key of the parameter can be read."""
        if not body:
            self.notes.wrong(section.path, "is empty; write `values: […]`, `value: …` or `min: …` and `max: …`")
            return False
        meant = None if section.values else meant_list(body, words=True)
        if section.unknown and meant is None:
            texts = {key: self.notes.document.texts.get((*section.path, key), "") for key in body}
            meant = without_brackets(body, texts)
        if meant is not None:
            text = f"a comma ends a value here; write `{section.path[-1]}: {meant}`"
            self.notes.wrong(section.path, text)
            return False
        for key in section.unknown:
            if not section.values and isinstance(body[key], dict) and not did_you_mean(key, PARAMETER_KEYS):
                text = f"is not a key of a parameter; nested ones go under `parameters:`, {{parameters: {{{key}: …}}}}"
            else:
                text = f"unknown key; allowed: {', '.join(_allowed(section))}{_meant(key)}"
            self.notes.wrong((*section.path, key), text)
        return bool(section.values)


def _allowed(section: Section) -> tuple[str, ...]:
    """Returns the keys of a parameter; with a distribution named, only those of that distribution."""
    named = section.values.get("distribution")
    if isinstance(named, str) and named in distributions.KEYS:
        return ("distribution", *distributions.KEYS[named], *_CONDITION)
    return PARAMETER_KEYS


def _meant(key: str) -> str:
    """Suggests the key that another tool's key, or a misspelt one, stands for."""
    other = _OTHER_KEYS.get(key.lower().replace("_", ""))
    return f"; did you mean {other}?" if other else did_you_mean(key, PARAMETER_KEYS)


def _listed(notes: Notes, path: KeyPath, name: str, values: Any) -> Parameter | None:
    """Reads a list of values, bare or after `values:`."""
    if not isinstance(values, list):
        meant = meant_list(values, words=True)
        hint = meant or f"[{show(values)}], or `value:` for a single value"
        notes.wrong(path, f"{show(values)} is not a list; write {hint}")
    elif not values:
        notes.wrong(path, "the list is empty; give at least one value")
    elif not all_finite(values):
        notes.wrong(path, "holds nan or inf, which no trainer key can be set to; quote them if texts are meant")
    elif (found := _split_number(notes, path, len(values))) and found[2]:
        notes.wrong(path, f"a comma separates values, and {found[0]} are two; write {found[1]}")
    else:
        if found:
            text = f"{found[0]} is read as two values; write {found[1]} if one number is meant, else a blank after each comma"
            notes.warn(path, text)
        for place, value in enumerate(values):
            _warn_of_list(notes, (*path, place), value)
        return Parameter(name, "categorical", values=tuple(values))
    return None


def _split_number(notes: Notes, path: KeyPath, count: int) -> tuple[str, str, bool] | None:
    """Finds a number that a decimal comma has split in a list, by the blanks after its commas; see `decimal_commas`."""
    document = notes.document
    items = [(*path, place) for place in range(count)]
    texts = ["" if item in document.quoted else document.texts.get(item, "") for item in items]
    places = [document.places.get(item, "").rsplit(":", 2) for item in items]
    if any(len(place) < 3 for place in places):
        return None  # of a list that is not in a file
    touching = [
        before[:2] == after[:2] and int(after[2]) - int(before[2]) == len(text) + 1
        for text, before, after in zip(texts, places, places[1:], strict=False)
    ]
    return decimal_commas(texts, touching)


def _warn_of_list(notes: Notes, path: KeyPath, value: Any) -> None:
    """Warns of a text without quotes in which numbers stand, as a list without its brackets is read.

    `70,80,90` and `(0.5, 0.5)` are usual words of command lines, and are believed.
    """
    if not isinstance(value, str) or path not in notes.document.texts or path in notes.document.quoted:
        return
    if (number := thousands(value)) is not None:
        notes.warn(path, f"{show(value)} is read as a text; write {number}, or quote it if a text is meant")
    elif value[:1] not in "([{" and re.search(r"[\s;]", value) and (meant := meant_list(value)) is not None:
        notes.warn(path, f"{show(value)} is one text, not a list; write {meant}, or quote it if a text is meant")


def _described(section: Section, name: str) -> Parameter | None:
    """Reads a parameter that is described by keys; None when a key is wrong or missing."""
    before = len(section.notes.problems)
    distribution = _distribution(section)
    parent, parent_values = _condition(section)
    if distribution is None:
        return None
    for key in section.values:
        if key not in ("distribution", *_CONDITION, *distributions.KEYS[distribution]):
            section.wrong(key, _stray(key, distribution, section))
    fields: dict[str, Any] = {}
    incomplete = False
    for key in distributions.KEYS[distribution]:
        if key not in section and key in distributions.DEFAULTS:
            fields[key] = distributions.DEFAULTS[key]
        elif key not in section:
            if not section.unknown:  # else it is perhaps what an unknown key means
                section.notes.wrong(section.path, f"`{key}` is missing; {distribution} needs {_needs(distribution)}")
            incomplete = True
        else:
            fields[key] = _field(section, key, name)
    if len(section.notes.problems) == before and not incomplete:
        if distribution == "int_uniform":
            _whole_bounds(section, fields)
        _check(section, distribution, fields)
    if len(section.notes.problems) > before or incomplete:
        return None
    return Parameter(name, distribution, **fields, parent=parent, parent_values=parent_values)


def _distribution(section: Section) -> str | None:
    """Returns the distribution, named or inferred as W&B does."""
    values = section.values
    if "distribution" in section:
        named = values["distribution"]
        word = named.strip().lower().replace("-", "_").replace(" ", "_") if isinstance(named, str) else ""
        if word == "categorical" and "probabilities" in section:
            return "categorical_w_probabilities"
        if word in distributions.KEYS:
            return word
        other = _OTHER_NAMES.get(word.replace("_", ""))
        hint = f"; did you mean {other}?" if other else did_you_mean(word, distributions.KEYS)
        section.wrong(
            "distribution", f"{show(named)} is not a distribution; allowed: {', '.join(distributions.KEYS)}{hint}"
        )
        return None
    if "value" in section:
        return "constant"
    if "values" in section:
        return "categorical_w_probabilities" if "probabilities" in section else "categorical"
    if "min" in section or "max" in section:
        bounds = [values.get("min"), values.get("max")]
        return "int_uniform" if all(type(bound) is int for bound in bounds) else "uniform"
    if any(key in section for key in ("mu", "sigma", "a", "b")):
        family = "normal, log_normal" if "mu" in section or "sigma" in section else "beta"
        section.notes.wrong(section.path, f"`distribution` is missing; with these keys write {family} or its q_ form")
    elif not section.unknown:
        section.notes.wrong(section.path, "has no values; write `values: […]`, `value: …` or `min: …` and `max: …`")
    return None


def _field(section: Section, key: str, name: str) -> Any:
    """Reads the value of one key of the distribution."""
    value = section.values[key]
    if key in _NUMERIC:
        return section.number(key, above=0.0 if key in ("sigma", "a", "b", "q") else None)
    if key == "values":
        listed = _listed(section.notes, section.at(key), name, value)
        return listed.values if listed else ()
    if key == "probabilities":
        return _probabilities(section)
    if not all_finite(value):
        section.wrong(key, "holds nan or inf, which no trainer key can be set to; quote it if a text is meant")
    elif isinstance(value, list) and len(value) > 1 and not any(isinstance(item, (list, dict)) for item in value):
        text = f"the list {show(value)} is one single value here; `values:` would try each of its items"
        section.notes.warn(section.at(key), text)
    return value


def _probabilities(section: Section) -> tuple[float, ...]:
    given, values = section.values["probabilities"], section.values.get("values")
    if not isinstance(given, list) or any(
        isinstance(item, bool) or not isinstance(item, (int, float)) or not item >= 0 for item in given
    ):
        section.wrong("probabilities", f"{show(given)} is not a list of numbers of 0 or more")
        return ()
    if isinstance(values, list) and len(given) != len(values):
        section.wrong("probabilities", f"{len(given)} probabilities for {len(values)} values; give one for each")
    elif abs(sum(given) - 1.0) > 1e-6:
        section.wrong("probabilities", f"sum to {sum(given):g}, not 1")
    return tuple(given)


def _needs(distribution: str) -> str:
    """Lists the keys that a distribution cannot do without."""
    return " and ".join(key for key in distributions.KEYS[distribution] if key not in distributions.DEFAULTS)


def _stray(key: str, distribution: str, section: Section) -> str:
    """Explains why a key does not belong to the distribution."""
    if "distribution" in section:
        allowed = ", ".join(distributions.KEYS[distribution])
        return f"does not belong to distribution {distribution}, which takes {allowed}"
    if key in ("value", "values", "min", "max"):
        used = distributions.KEYS[distribution][0]
        return f"cannot be combined with `{used}`; keep one of them"
    return f"needs a `distribution:` it belongs to; without one this parameter is {distribution}"


def _whole_bounds(section: Section, fields: dict[str, Any]) -> None:
    """Makes the bounds of int_uniform integers."""
    for key in ("min", "max"):
        if fields[key] != int(fields[key]):
            section.wrong(key, f"{show(fields[key])} is not a whole number, as int_uniform needs; uniform takes any")
        else:
            fields[key] = int(fields[key])


def _check(section: Section, distribution: str, fields: dict[str, Any]) -> None:
    """Checks keys that depend on each other: order of the bounds, logarithms, exponents."""
    if "min" not in fields:
        return
    low, high = fields["min"], fields["max"]
    if low == high:
        section.wrong("min", f"{show(low)} equals max; write `value: {show(low)}` for a fixed value")
    elif low > high:
        section.wrong("min", f"{show(low)} is greater than max {show(high)}; are they swapped?")
    elif distribution.endswith("_values") and low <= 0:
        section.wrong("min", f"{show(low)} is not greater than 0, which {distribution} needs")
    elif distribution.endswith("uniform") and not all_finite(float(high) - float(low)):
        section.wrong("max", f"{show(high)} is further from min {show(low)} than a float can represent")
    elif distribution in distributions.EXPONENTS:
        _check_exponents(section, distribution, low, high)


def _check_exponents(section: Section, distribution: str, low: float, high: float) -> None:
    """Checks bounds that are exponents.

    W&B's log_uniform takes exponents of e; bounds that were meant as values are the classic mistake.
    """
    sign = -1.0 if distribution.startswith("inv_") else 1.0
    edges = sorted(sign * bound for bound in (low, high))
    if max(abs(low), abs(high)) > distributions.MAX_EXPONENT:
        text = f"{distribution} takes exponents of e, and e^{max(abs(low), abs(high)):g} is beyond any float"
        section.wrong("max", f"{text}; did you mean {distribution}_values?")
    elif low >= 0 and (high < 1 or high > 25):
        first, last = (distributions.quantile("log_uniform", {"min": edges[0], "max": edges[1]}, u) for u in (0, 1))
        meant = f"`distribution: {distribution}_values` samples {low:g} to {high:g}"
        if low == 0:
            meant += " (its min must be greater than 0)"
        text = f"{distribution} takes exponents of e: this samples values from {first:.6g} to {last:.6g}"
        section.notes.warn(section.path, f"{text}; {meant}")


def _condition(section: Section) -> tuple[str | None, tuple[Any, ...]]:
    """Reads `parent` and `parent_values`; a single value needs no list."""
    if "parent" not in section and "parent_values" not in section:
        return None, ()
    for key, other in (_CONDITION, reversed(_CONDITION)):
        if key not in section:
            section.wrong(other, f"needs `{key}` beside it")
            return None, ()
    parent, values = section.text("parent"), section.values["parent_values"]
    listed = tuple(values) if isinstance(values, list) else (values,)
    if not listed:
        section.wrong("parent_values", "the list is empty; give the parent's values for which this one is used")
    return parent, listed


def _check_parents(notes: Notes, found: dict[str, Parameter], paths: dict[str, KeyPath]) -> None:
    for name, parameter in found.items():
        if parameter.parent is None:
            continue
        path = (*paths[name], "parent")
        parent = found.get(parameter.parent)
        if parent is None:
            notes.wrong(path, f"{parameter.parent} is not a parameter here{did_you_mean(parameter.parent, found)}")
        elif name in _ancestors(name, found):
            notes.wrong(path, f"{name} depends on itself by way of {parameter.parent}")
        else:
            _check_parent_values(notes, paths[name], parameter, parent)


def _check_parent_values(notes: Notes, path: KeyPath, parameter: Parameter, parent: Parameter) -> None:
    choices = None if parent.distribution == "q_uniform" else parent.choices()
    if choices is None:
        text = f"{parent.name} is {parent.distribution}; a parent needs `values: […]` or int_uniform"
        notes.wrong((*path, "parent"), text)
        return
    # Not `equality_key` of every choice of a range: it may be long.
    known = choices if isinstance(choices, range) else {equality_key(choice) for choice in choices}
    for value in parameter.parent_values:
        if (value if isinstance(choices, range) else equality_key(value)) not in known:
            text = f"{show(value)} is not a value of {parent.name}; its values: {show(list(choices[:8]))}"
            names = [choice for choice in choices[:1000] if isinstance(choice, str)]
            hint = did_you_mean(value, names) if isinstance(value, str) else ""
            notes.wrong((*path, "parent_values"), text + hint)


def _ancestors(name: str, found: dict[str, Parameter]) -> Iterable[str]:
    """Lists the parents, their parents and so on; stops at a circle."""
    seen: list[str] = []
    parent = found[name].parent
    while parent is not None and parent in found and parent not in seen:
        seen.append(parent)
        parent = found[parent].parent
    return seen
