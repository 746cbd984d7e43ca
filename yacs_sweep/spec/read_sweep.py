"""Reads a sweep file's data into a SweepSpec; reports all its mistakes at once."""

from __future__ import annotations

import random
import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from ..base.errors import ConfigError
from ..base.wording import did_you_mean, show
from ..base.yaml_document import Document, KeyPath
from . import hyperband
from .budget.budget import read_budget
from .command import read_command
from .conditions import ExpressionError, compile_expression
from .grid import LISTED, MAX_LISTED, ORDERS, Grid
from .methods.population import read_population
from .parameter import GRID, Parameter
from .read_objectives import (
    check_objectives,
    has_own_space,
    is_launchs,
    read_constraints,
    read_metric,
    read_metrics,
    read_repeats,
    read_scheduler,
    slipped,
)
from .read_parameters import read_parameters
from .section import Notes, Section
from .sweep import DEFAULT_CHANCE, DEFAULT_RESULTS_DIR, EarlyTerminate, SweepSpec

METHODS = ("grid", "random", "bayes", "custom", "pbt")
_OURS = ("count", "results_dir_base", "optimize", "where", "metric_constraints", "repeats", "pbt", "order", "budget")
_READ = (
    *("name", "description", "method", "metric", "metrics", "parameters", "early_terminate", "scheduler", "run_cap"),
    *("program", "command", "project", "entity", "controller"),
    *_OURS,
)
_NOT_EMPTY = (
    "method",
    "metric",
    "metrics",
    "parameters",
    "program",
)  # with nothing after it, one of these is a mistake
_LAUNCH = ("job", "image_uri", "queue", "resource", "resource_args", "num_workers")  # W&B Launch's
TOP_KEYS = (*_READ, *_LAUNCH, "apiVersion", "kind")
_EXTENSION = "x-"  # keys that begin so are the author's own, as in Compose files
WRAPPERS = ("sweep", "config", "sweep_config")
_STOP_KEYS = {
    "hyperband": ("min_iter", "max_iter", "s", "eta", "strict", "metric"),
    "median": ("min_iter", "min_trials", "metric"),
    "asha": ("min_iter", "eta", "metric"),
    "curve": ("chance", "min_iter", "min_trials", "metric"),
    "patience": ("patience", "min_delta", "min_iter", "metric"),
    "divergence": ("metric", "factor"),
}
_FIRST_KEYS = {
    "hyperband": {"min_iter": 3},
    "asha": {"min_iter": 1},
    "patience": {"patience": 5},
}  # to write beside the type
_PROMOTION = "promotion"
_PROMOTION_KEYS = {  # of `mode: promotion`, by type
    "hyperband": ("mode", "min_iter", "max_iter", "s", "eta", "metric"),
    "asha": ("mode", "min_iter", "max_iter", "eta", "metric"),
}
_STOP_DEFAULTS: dict[str, dict[str, Any]] = {
    "hyperband": {"eta": hyperband.DEFAULT_ETA, "strict": True},
    "median": {"min_iter": 1, "min_trials": 5},
    "asha": {"min_iter": 1, "eta": hyperband.DEFAULT_ETA},
    "curve": {"chance": DEFAULT_CHANCE, "min_iter": 1, "min_trials": 5},
    "patience": {"min_delta": 0.0, "min_iter": 1},
    "divergence": {"factor": 100.0},
}
_TRIES = 200  # draws made to see whether `where` can be satisfied at all


def parse_spec(document: Document) -> SweepSpec:
    """Reads the sweep that a document describes. Raises ConfigError with every mistake found."""
    notes = Notes(document)
    data = document.data
    if not isinstance(data, dict) or not data:
        what = "is empty" if not data else f"holds {show(data)}, not `key: value` lines"
        raise ConfigError([*notes.problems, document.message((), f"{what}; a sweep needs method and parameters")])
    repeated = document.repeated
    notes.problems = [line for line in notes.problems if line not in repeated]
    document = _unwrapped(notes)
    notes.document = document
    section = Section(notes, (), document.data, TOP_KEYS)
    section.drop_nulls(_NOT_EMPTY)
    _unknown_top(section, document.data)
    spec = _read(section)
    _check(section, spec)
    if notes.problems:
        raise ConfigError(sorted([*notes.problems, *repeated], key=_line_of))
    notes.warnings += [f"{line}; the last counts, as on W&B" for line in repeated]
    return replace(spec, warnings=tuple(sorted(notes.warnings, key=_line_of)))


def sweep_from_dict(data: Mapping[str, Any], name: str = "sweep") -> SweepSpec:
    """Reads a sweep described by a mapping; `name` stands for the file.

    Raises ConfigError with every mistake found.
    """
    return parse_spec(Document(name, data))


def _line_of(text: str) -> tuple[int, ...]:
    """Returns line and column of a problem, so that problems can be sorted in the order of the file."""
    place = re.search(r":(\d+):(\d+): ", text)
    return (int(place[1]), int(place[2])) if place else ()


def _unwrapped(notes: Notes) -> Document:
    """Returns the sweep when the file holds it under `sweep:` or `config:`, known keys beside it kept."""
    document = notes.document
    data = document.data
    lowered = {key.lower() for key in data}
    for key, inner in data.items():
        if key.lower() not in WRAPPERS or not isinstance(inner, dict) or {"method", "parameters"} & lowered:
            continue
        if not {"method", "parameters"} & {name.lower() for name in inner}:
            continue
        for other in data:
            if other != key and other not in TOP_KEYS and (other,) not in document.templates:
                notes.warn((other,), f"is not read: the sweep is under `{key}:`{did_you_mean(other, _OURS)}")
        inside = document.inside(key)
        beside = {name: value for name, value in data.items() if name in TOP_KEYS and name not in inner}
        places = {path: place for path, place in document.places.items() if path and path[0] in beside}
        merged = {**beside, **inner}
        return replace(inside, data=merged, places={**places, **inside.places}, problems=(), warnings=(), repeated=())
    return document


def _unknown_top(section: Section, data: dict[str, Any]) -> None:
    """Notes unknown keys of the top level, and known ones that cannot be used."""
    notes = section.notes
    for key in list(section.unknown):
        body = data[key]
        if key.startswith(_EXTENSION) or (key,) in notes.document.templates:
            section.unknown.remove(key)
        elif isinstance(body, dict) and {"values", "value", "min", "max", "distribution"} & set(body):
            section.unknown.remove(key)
            notes.wrong((key,), "looks like a parameter; indent it under `parameters:`")
    section.leave_out_unknown()
    section.refuse_unknown(_READ)
    for key in (*_LAUNCH, *(("scheduler",) if is_launchs(section) else ())):
        if key in section:
            notes.warn(section.at(key), "is for W&B Launch and not used: trials run here")
    if "controller" in section:
        body = section.values["controller"]
        inner = Section(notes, section.at("controller"), body if isinstance(body, dict) else {}, ("type",))
        if inner.word("type", ("local", "cloud")) is None and "type" not in inner:
            section.wrong("controller", f"{show(body)} is not allowed; write {{type: local}} or {{type: cloud}}")


def _read(section: Section) -> SweepSpec:
    """Builds the spec from the keys that are right each by itself; a missing key has been noted."""
    method = section.word("method", METHODS)
    if "method" not in section:
        section.notes.wrong((), f"`method` is missing; allowed: {', '.join(METHODS)}")
    parameters: tuple[Parameter, ...] = ()
    if "parameters" in section:
        parameters = read_parameters(section.notes, section.at("parameters"), section.values["parameters"])
    elif not has_own_space(section):
        section.notes.wrong((), "`parameters` is missing; a sweep needs at least one parameter")
    metrics = read_metrics(section, TOP_KEYS)
    metric = read_metric(section, TOP_KEYS) or (metrics[0] if metrics else None)
    return SweepSpec(
        method=method or "random",  # which asks least of the others
        parameters=parameters,
        metric=metric,
        more_metrics=metrics[1:],
        constraints=read_constraints(section, metrics or ((metric,) if metric else ())),
        repeats=read_repeats(section, TOP_KEYS),
        scheduler=read_scheduler(section, TOP_KEYS),
        pbt=read_population(section, TOP_KEYS),
        name=section.text("name"),
        description=section.text("description"),
        early_terminate=_early_terminate(section),
        run_cap=section.integer("run_cap", 1),
        count=section.integer("count", 1),
        budget=read_budget(section, TOP_KEYS),
        results_dir_base=section.text("results_dir_base") or DEFAULT_RESULTS_DIR,
        program=section.text("program"),
        command=read_command(section),
        project=section.text("project"),
        entity=section.text("entity"),
        optimize=section.word("optimize", ("last", "best")) or "last",
        where=_where(section),
        order=_order(section, method),
    )


def _early_terminate(section: Section) -> EarlyTerminate | None:
    body = section.values.get("early_terminate")
    if body is None:
        return None
    path = section.at("early_terminate")
    every = ("type", "mode", *dict.fromkeys(key for keys in _STOP_KEYS.values() for key in keys))
    if slipped(section, "early_terminate", body, every):
        return None
    if not isinstance(body, dict):
        named = body.strip().lower() if isinstance(body, str) and body.strip().lower() in _STOP_KEYS else "hyperband"
        example = ", ".join(f"{key}: {value}" for key, value in {"type": named, **_FIRST_KEYS.get(named, {})}.items())
        section.wrong("early_terminate", f"{show(body)} is not allowed; write {{{example}}}")
        return None
    inner = Section(section.notes, path, body, every)
    kind = inner.word("type", tuple(_STOP_KEYS))
    keys = _PROMOTION_KEYS if inner.values.get("mode") == _PROMOTION else _STOP_KEYS
    if "type" not in inner:
        section.notes.wrong(path, f"`type` is missing; allowed: {', '.join(keys)}")
    inner.refuse_unknown(("type", *keys.get(kind or "", every[1:])), TOP_KEYS)
    if kind is None:
        return None
    if "mode" in inner and inner.word("mode", (_PROMOTION,)) is None:
        return None
    if "mode" in inner:
        return _read_promotion(inner, kind)
    for key in inner.values:
        if key not in ("type", *_STOP_KEYS[kind]):
            more = " (max_iter: with mode: promotion)" if (kind, key) == ("asha", "max_iter") else ""
            inner.wrong(key, f"does not belong to type {kind}, which takes {', '.join(_STOP_KEYS[kind])}{more}")
    before = len(section.notes.problems)
    found = {**_STOP_DEFAULTS[kind], **_stop_values(inner)}
    if kind == "patience" and "patience" not in inner:
        section.notes.wrong(path, "`patience` is missing: after how many values without improvement?")
    if kind == "hyperband" and len(section.notes.problems) == before:
        _check_bands(inner, found)
    if len(section.notes.problems) > before:
        return None
    return EarlyTerminate(kind, **{key: value for key, value in found.items() if key in _STOP_KEYS[kind]})


def _read_promotion(inner: Section, kind: str) -> EarlyTerminate | None:
    """Reads a rule that pauses trials and resumes the best."""
    notes, before = inner.notes, len(inner.notes.problems)
    if kind not in _PROMOTION_KEYS:
        inner.wrong("mode", f"promotion: type {kind} ends trials for good; allowed: {', '.join(_PROMOTION_KEYS)}")
        return None
    keys = _PROMOTION_KEYS[kind]
    for key in inner.values:
        if key not in ("type", *keys):
            inner.wrong(key, f"does not belong to {kind} with mode: promotion, which takes {', '.join(keys)}")
    found = {"mode": _PROMOTION, "eta": hyperband.DEFAULT_ETA, **_stop_values(inner, eta_above=None)}
    most, least, eta, depth = (found.get(key) for key in ("max_iter", "min_iter", "eta", "s"))
    if "max_iter" not in inner:
        notes.wrong(inner.path, "mode: promotion needs `max_iter`, the iterations of a full training")
    if eta is not None and eta < 2:
        inner.wrong("eta", f"{eta:g} is less than 2: mode: promotion resumes the best 1/eta of the trials at a rung")
    if len(notes.problems) == before and most is not None:
        if depth is not None and least is not None:
            inner.wrong("min_iter", "does not stand beside `s`, which says where the rungs begin; keep one")
        elif least is not None and least >= most:
            inner.wrong("min_iter", f"{least} is not less than max_iter {most}: no trial would pause")
        elif depth is not None and not hyperband.bands(max_iter=most, s=depth, eta=eta or hyperband.DEFAULT_ETA):
            inner.wrong("s", f"leaves no rung: max_iter {most} divided by eta {eta:g} is less than 1")
        elif depth is None and most < 2:
            inner.wrong("max_iter", f"{most} leaves no rung below it: no trial would pause")
    if len(notes.problems) > before:
        return None
    if least is None and depth is None:
        found["min_iter"] = 1
    return EarlyTerminate(kind, **{key: value for key, value in found.items() if key in keys})


def _stop_values(inner: Section, eta_above: float | None = 1.0) -> dict[str, Any]:
    found: dict[str, Any] = {
        key: inner.integer(key, 1) for key in ("min_iter", "max_iter", "s", "min_trials", "patience")
    }
    found["eta"] = inner.number("eta", above=eta_above)
    found["factor"] = inner.number("factor", above=1.0)
    found["chance"] = inner.number("chance", above=0.0)
    if (found["chance"] or 0.0) >= 0.5:
        inner.wrong(
            "chance",
            f"{found['chance']:g} is too much: a trial that may well become the best would be ended; write 0.05",
        )
    found["min_delta"] = inner.number("min_delta")
    found["strict"] = inner.flag("strict")
    found["metric"] = inner.text("metric")
    return {key: value for key, value in found.items() if value is not None}


def _check_bands(inner: Section, found: dict[str, Any]) -> None:
    """Checks hyperband's traps; `found` are its settings, each right by itself."""
    notes, path = inner.notes, inner.path
    if "max_iter" in found and "s" not in found and "min_iter" in found:
        del found["max_iter"]
    if "max_iter" in found and "s" not in found:
        text = "needs `s`, the number of bands: W&B's engine fails without it; or use min_iter instead"
        notes.wrong(inner.at("max_iter"), text)
        return
    if "max_iter" not in found and "min_iter" not in found:
        notes.wrong(path, "hyperband needs `min_iter`, or `max_iter` and `s`")
        return
    settings = {key: found[key] for key in ("min_iter", "max_iter", "s", "eta") if key in found}
    bands = hyperband.bands(**settings)
    if not bands:
        reach = f"max_iter {found['max_iter']} divided by eta {found['eta']:g} is less than 1"
        notes.wrong(inner.at("max_iter"), f"leaves no band: {reach}; raise max_iter or lower eta")
        return
    shown = ", ".join(map(str, bands[:5])) + (", …" if len(bands) > 5 else "")
    if "max_iter" in inner and "max_iter" not in found:
        notes.warn(inner.at("max_iter"), f"has no effect without s: the bands are {shown}, from min_iter")
    if "max_iter" in found and "min_iter" in found:
        notes.warn(inner.at("min_iter"), f"has no effect beside max_iter: the bands are {shown}, as on W&B")
    if "s" in found and "max_iter" not in found:
        notes.warn(inner.at("s"), f"has no effect without max_iter: the bands are {shown}, as on W&B")
    if bands[0] == 1:
        notes.warn(path, f"the bands are {shown}: a trial can be ended at the first value it logs")


def _order(section: Section, method: str | None) -> str:
    """Reads in which order the points of a grid are tried."""
    if "order" in section and method not in ("grid", None):
        section.wrong("order", f"is the order of a grid's points, and method {method} has none; leave it out")
        return LISTED
    return section.word("order", ORDERS) or LISTED


def _where(section: Section) -> tuple[str, ...]:
    body = section.values.get("where")
    if body is None:
        return ()
    found = []
    for position, text in enumerate(body if isinstance(body, list) else [body]):
        path = (*section.at("where"), position) if isinstance(body, list) else section.at("where")
        if not isinstance(text, str):
            section.notes.wrong(path, f'{show(text)} is not a condition; write it in quotes, such as "a < b"')
            continue
        try:
            compile_expression(text)
        except ExpressionError as error:
            section.notes.wrong(path, str(error))
        else:
            found.append(text)
    return tuple(found)


def _check(section: Section, spec: SweepSpec) -> None:
    """Checks keys of the file that depend on each other."""
    notes = section.notes
    if not any(section.values.get(key) is not None for key in ("metric", "metrics")):
        searched = f"method {spec.method}" if spec.method in ("bayes", "custom", "pbt") else None
        reason = searched or ("early_terminate" if spec.early_terminate else None)
        if reason:
            notes.wrong((), f"`metric` is missing; {reason} needs {{name: …, goal: minimize or maximize}}")
    check_objectives(section, spec)
    _check_words(section)
    if spec.method == "grid":
        _check_grid(section, spec)
    names = [parameter.name for parameter in spec.parameters]
    for text in spec.where:
        for name in compile_expression(text).names:
            if name not in names and parameter_path(notes.document, name) not in notes.document.places:
                hint = did_you_mean(name, names)
                notes.wrong(section.at("where"), f"{name} in '{text}' is not a parameter of this sweep{hint}")
    if spec.where and not notes.problems:
        _check_satisfiable(section, spec)


def _check_grid(section: Section, spec: SweepSpec) -> None:
    for parameter in spec.parameters:
        if parameter.distribution not in GRID:
            text = f"method grid cannot list {parameter.name} ({parameter.distribution}); "
            text += "give it `values: […]` or q_uniform or int_uniform bounds, or choose method random or bayes"
            section.notes.wrong(_path_of(section, parameter.name), text)
        elif parameter.distribution == "q_uniform" and (parameter.choice_count() or 0) > MAX_LISTED:
            text = f"{parameter.choice_count()} steps of q; a grid takes {MAX_LISTED} at most"
            section.notes.wrong(_path_of(section, parameter.name), text)
    conditional = spec.where or any(parameter.parent for parameter in spec.parameters)
    if not section.notes.problems and conditional:
        combinations = Grid(spec.parameters).combinations
        if combinations > MAX_LISTED:
            text = f"{combinations} combinations; a grid with parent or where may have {MAX_LISTED} at most"
            section.notes.wrong(section.at("parameters"), text)


def _check_words(section: Section) -> None:
    """Warns of yes, no, on, off: they are booleans to W&B, and a trainer's key may want the word."""
    texts = section.notes.document.texts
    for path, text in texts.items():
        if path[:1] == section.at("parameters") and text.lower() in ("yes", "no", "on", "off"):
            value = section.notes.document.value_at(path)
            if isinstance(value, bool):
                word = "true" if value else "false"
                section.notes.warn(path, f"{text} is read as the boolean {word}, as W&B does; quote it for the word")


def _check_satisfiable(section: Section, spec: SweepSpec) -> None:
    """Checks that some point satisfies `where`, and that it can be evaluated for all those tried."""
    try:
        if spec.method == "grid":
            possible = spec.grid_size or 0
        else:
            source = random.Random(0)
            names = [parameter.name for parameter in spec.parameters]
            points = (spec.point_at({name: source.random() for name in names}) for _ in range(_TRIES))
            possible = sum(spec.allows(point) for point in points)
    except ExpressionError as error:
        section.wrong("where", str(error))
        return
    if not possible:
        section.wrong("where", f"no point of the search satisfies {' and '.join(spec.where)}")


def _path_of(section: Section, name: str) -> KeyPath:
    return parameter_path(section.notes.document, name, section.at("parameters"))


def parameter_path(document: Document, name: str, top: KeyPath = ("parameters",)) -> KeyPath:
    """Returns the key path of a parameter, nested or not."""
    for path in document.places:
        if path[: len(top)] == top and ".".join(str(part) for part in path[len(top) :] if part != "parameters") == name:
            return path
    return (*top, name)


def unwrapped(document: Document) -> Document:
    """Returns the sweep when the file holds it under another key; any other document stays."""
    if not isinstance(document.data, dict):
        return document
    notes = Notes(document)
    found = _unwrapped(notes)
    return replace(found, problems=document.problems, warnings=tuple(notes.warnings), repeated=document.repeated)
