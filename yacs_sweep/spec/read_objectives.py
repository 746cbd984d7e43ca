"""Reads the keys that say what a sweep optimises, and how surely: metrics, constraints, repeats and the scheduler."""

from __future__ import annotations

import re
from collections.abc import Collection
from typing import Any

from ..base.values import finite_number
from ..base.wording import show
from ..base.yaml_document import KeyPath
from .conditions import ExpressionError
from .constraints import compile_constraint
from .methods.scheduler import Scheduler
from .parameter import equality_key
from .section import Section
from .slips import meant_mapping
from .sweep import GOALS, MOST_REPEATS, Metric, Repeats, SweepSpec

ENGINES = ("optuna", "ax", "wandb")  # of `scheduler`, as W&B has them
_METRIC = ("name", "goal", "target", "impute", "impute_while_running")
_SEVERAL = (*_METRIC, "threshold")  # keys of one of `metrics`
_REPEATS = ("n", "key", "values", "race", "seeds")
_SCHEDULER = ("engine", "source", "optimizer", "search_space")
_HIGHER_IS_BETTER = re.compile(
    r"(?<![a-z])(m?ap|map50|acc|accuracy|auc|auroc|f1|recall|precision|rank|cmc|m?iou|dice|reward|score|psnr|ssim"
    r"|bleu|rouge|pearson|r2|mrr|return)(?![a-z])"
)
_LOWER_IS_BETTER = re.compile(r"loss|err|cost|regret|perplexity")


def slipped(section: Section, key: str, body: Any, allowed: tuple[str, ...]) -> bool:
    """Tells whether the body of a key is no mapping because blanks are missing after colons, and notes that."""
    meant = meant_mapping(body, allowed)
    if meant is not None:
        section.wrong(key, f"a key needs a blank after its `:`; write `{key}: {meant}`")
    return meant is not None


# -- metrics ----------------------------------------------------------------------------------------------------------
def read_metric(section: Section, top: Collection[str]) -> Metric | None:
    """Reads `metric`; `top` are the keys of the file's top level."""
    body = section.values.get("metric")
    if body is None or slipped(section, "metric", body, _METRIC):
        return None
    return _metric(section, section.at("metric"), body, _METRIC, top)


def read_metrics(section: Section, top: Collection[str]) -> tuple[Metric, ...]:
    """Reads `metrics`, two or more."""
    body = section.values.get("metrics")
    if body is None:
        return ()
    if not isinstance(body, list):
        text = f"{show(body)} is not a list; write [{{name: val/mAP, goal: maximize}}, {{name: ms, goal: minimize}}]"
        section.wrong("metrics", text)
        return ()
    if len(body) < 2:
        section.wrong("metrics", "needs two metrics or more; a single one stands under `metric`")
    found: list[Metric] = []
    for place, item in enumerate(body):
        path = section.at("metrics", place)
        metric = _metric(section, path, item, _SEVERAL, top)
        if metric is None:
            continue
        if metric.name in [other.name for other in found]:
            section.notes.wrong(path, f"{metric.name} is given twice; keep one")
        found.append(metric)
    return tuple(found)


def _metric(
    section: Section, path: KeyPath, body: Any, allowed: tuple[str, ...], top: Collection[str]
) -> Metric | None:
    """Reads one metric: a mapping, or its name."""
    if isinstance(body, str) and body.strip():
        body = {"name": body}
    if not isinstance(body, dict):
        section.notes.wrong(path, f"{show(body)} is not a metric; write {{name: val/loss, goal: minimize}}")
        return None
    inner = Section(section.notes, path, body, allowed)
    inner.refuse_unknown(allowed, top)
    name = inner.text("name")
    if "name" not in inner:
        section.notes.wrong(path, "`name` is missing: which logged value is optimised?")
    goal = inner.word("goal", GOALS)
    target, threshold = inner.number("target"), inner.number("threshold")
    impute = inner.word("impute", ("worst", "best", "latest"))
    if isinstance(inner.values.get("impute_while_running"), bool):
        inner.values["impute_while_running"] = str(inner.values["impute_while_running"]).lower()
    running = inner.word("impute_while_running", ("worst", "best", "latest", "false"))
    if name is None:
        return None
    if "goal" not in inner and higher_is_better(name):
        text = f"no goal is given, and W&B's default is minimize, but {name} looks like more is better"
        section.notes.warn(path, f"{text}; did you mean `goal: maximize`?")
    return Metric(
        name,
        goal or "minimize",
        None if target is None else float(target),
        impute,
        running,
        None if threshold is None else float(threshold),
    )


def higher_is_better(metric: str) -> bool:
    """Tells by a metric's name whether more is better (accuracy, mAP, reward, …)."""
    name = re.sub(r"([a-z])([A-Z][a-z])", r"\1 \2", metric).lower()
    return bool(_HIGHER_IS_BETTER.search(name)) and not lower_is_better(metric)


def lower_is_better(metric: str) -> bool:
    """Tells by a metric's name whether less is better (loss, error, cost, …)."""
    return bool(_LOWER_IS_BETTER.search(metric.lower()))


# -- constraints ------------------------------------------------------------------------------------------------------
def read_constraints(section: Section, metrics: Collection[Metric]) -> tuple[str, ...]:
    """Reads `metric_constraints`, one text or a list; `metrics` are the sweep's objectives."""
    body = section.values.get("metric_constraints")
    if body is None:
        return ()
    found = []
    for place, text in enumerate(body if isinstance(body, list) else [body]):
        path = section.at("metric_constraints", *((place,) if isinstance(body, list) else ()))
        if not isinstance(text, str):
            section.notes.wrong(path, f'{show(text)} is not a constraint; write it in quotes, such as "params_m <= 30"')
            continue
        try:
            names = compile_constraint(text).names
        except ExpressionError as error:
            section.notes.wrong(path, str(error))
            continue
        for name in [item.name for item in metrics if item.name in text]:
            if not any(name in other for other in names):
                text_of = f"{name} is not read as one name in '{text}'; write `{name}` between backquotes"
                section.notes.wrong(path, text_of)
        found.append(text)
    return tuple(found)


# -- repeats ----------------------------------------------------------------------------------------------------------
def read_repeats(section: Section, top: Collection[str]) -> Repeats | None:
    """Reads `repeats`: a number of seeds, or a mapping. One seed for each point is no repeat."""
    body = section.values.get("repeats")
    if body is None or slipped(section, "repeats", body, _REPEATS):
        return None
    if not isinstance(body, dict):
        if isinstance(body, list | bool | str):
            meant = f"{{values: {show(body)}}}" if isinstance(body, list) else "3 or {n: 3, key: KEY}"
            section.wrong("repeats", f"{show(body)} is not a number of seeds; write {meant}")
            return None
        inner: Section = _Alone(section, {"n": body})
    else:
        inner = Section(section.notes, section.at("repeats"), body, _REPEATS)
    inner.refuse_unknown(_REPEATS, top)
    before = len(section.notes.problems)
    n, key = inner.integer("n", 1), inner.text("key")
    values = _seed_values(inner)
    race, seeds = inner.flag("race") or False, inner.word("seeds", ("common", "fresh"))
    if "n" not in inner and "values" not in inner:
        section.wrong("repeats", "`n` is missing: with how many seeds is each point trained?")
    if n is not None and n > MOST_REPEATS:
        inner.wrong("n", f"{n} seeds are more than {MOST_REPEATS}")
    if n is not None and values and n > len(values):
        inner.wrong("n", f"{n} is more than the {len(values)} `values`")
    if n == 1 and race:
        inner.wrong("race", "needs two seeds or more for a point; write for example `n: 5`")
    if values and seeds == "fresh":
        inner.wrong("seeds", "fresh does not go with `values`, which every point is trained with")
    n = n or len(values)
    if len(section.notes.problems) > before or n < 2:
        return None
    return Repeats(n, key, values, race, seeds or "common")


class _Alone(Section):
    """Reads a number that stands for a mapping of one key: mistakes are noted at the key above."""

    def __init__(self, section: Section, body: dict[str, Any]) -> None:
        super().__init__(section.notes, section.at("repeats"), body, tuple(body))

    def at(self, key: str, *below: str | int) -> KeyPath:
        """Returns the path of the key above."""
        return self.path


def _seed_values(inner: Section) -> tuple[Any, ...]:
    """Reads the seeds that are given one by one."""
    body = inner.values.get("values")
    if "values" not in inner:
        return ()
    if not isinstance(body, list) or len(body) < 2:
        inner.wrong("values", f"{show(body)} is not a list of two seeds or more; write for example [0, 1, 2]")
        return ()
    seen = set()
    for place, value in enumerate(body):
        path = inner.at("values", place)
        if not isinstance(value, str) and not finite_number(value):
            inner.notes.wrong(path, f"{show(value)} is not a seed; allowed are numbers and texts")
        elif equality_key(value) in seen:
            inner.notes.wrong(path, f"{show(value)} is given twice; keep one")
        else:
            seen.add(equality_key(value))
    return tuple(body)


# -- the scheduler ----------------------------------------------------------------------------------------------------
def is_launchs(section: Section) -> bool:
    """Tells whether `scheduler` is W&B Launch's, which says where agents run and names no engine."""
    body = section.values.get("scheduler")
    return isinstance(body, dict) and not {str(key).lower() for key in body} & set(_SCHEDULER)


def read_scheduler(section: Section, top: Collection[str]) -> Scheduler | None:
    """Reads `scheduler`. W&B's own engine (`engine: wandb`) is the search's own here: None."""
    body = section.values.get("scheduler")
    if body is None or is_launchs(section) or slipped(section, "scheduler", body, _SCHEDULER):
        return None
    if not isinstance(body, dict):
        section.wrong("scheduler", f"{show(body)} is not a scheduler; write {{engine: optuna, source: FILE.py}}")
        return None
    inner = Section(section.notes, section.at("scheduler"), body, _SCHEDULER)
    inner.refuse_unknown(_SCHEDULER, top)
    before = len(section.notes.problems)
    engine = inner.word("engine", ENGINES)
    if "engine" not in inner:
        section.wrong("scheduler", f"`engine` is missing; allowed: {', '.join(ENGINES)}")
    source, optimizer, space = (inner.text(key) for key in _SCHEDULER[1:])
    if engine == "wandb":
        for key in _SCHEDULER[1:]:
            if key in inner:
                section.notes.warn(inner.at(key), "has no effect with engine wandb: the search is the launcher's own")
        return None
    for key in ("optimizer", "search_space"):
        if key in inner and "source" not in inner:
            inner.wrong(key, "needs `source`, the Python file with this function")
    if engine is None or len(section.notes.problems) > before:
        return None
    if engine == "ax" and space is not None:
        text = "has no effect with engine ax: the client of `optimizer`, else the sweep file, has the parameters"
        section.notes.warn(inner.at("search_space"), text)
        space = None
    return Scheduler(engine, source, optimizer, space)


def has_own_space(section: Section) -> bool:
    """Tells whether the scheduler defines the parameters itself, so that the file may have none."""
    body = section.values.get("scheduler")
    if not isinstance(body, dict):
        return False
    return bool(body.get("optimizer" if str(body.get("engine")).lower() == "ax" else "search_space"))


# -- keys that depend on each other -----------------------------------------------------------------------------------
def check_objectives(section: Section, spec: SweepSpec) -> None:
    """Checks `method`, metrics, repeats and scheduler beside each other, as W&B's schema does."""
    if "metric" in section and "metrics" in section:
        section.wrong(
            "metrics", "does not stand beside `metric`; put all objectives under `metrics`, the first one first"
        )
    body = section.values.get("scheduler")
    engine = str(body.get("engine")).lower() if isinstance(body, dict) else None
    custom = spec.method == "custom"
    if engine in ("optuna", "ax"):
        if not custom and "method" in section:
            section.wrong("method", f"{spec.method}: a scheduler with engine {engine} needs `method: custom`")
        if "early_terminate" in section:
            text = "does not stand beside a `scheduler`, which ends trials early itself"
            section.wrong("early_terminate", text)
    elif engine == "wandb" and custom:
        section.wrong("method", "custom: engine wandb needs method grid, random or bayes")
    elif custom and "metrics" not in section and "scheduler" not in section:
        section.wrong("method", "custom needs `metrics`, two or more, or a `scheduler`; for one metric write bayes")
    rule, names = spec.early_terminate, [metric.name for metric in spec.objectives]
    if (
        rule is not None
        and rule.metric is not None
        and rule.type != "divergence"
        and rule.metric not in names
        and names
    ):
        text = f"{rule.metric} is not an objective of this sweep; allowed: {', '.join(names)}"
        section.notes.wrong(section.at("early_terminate", "metric"), text)
    repeats = spec.repeats
    _check_population(section, spec)
    if repeats is not None and spec.pauses and spec.pbt is None:
        text = (
            "does not stand beside `early_terminate` with mode: promotion, which compares single trials; leave one out"
        )
        section.wrong("repeats", text)
    if spec.more_metrics and spec.pauses and spec.pbt is None:
        text = "do not stand beside `early_terminate` with mode: promotion, which knows one metric; write `metric`"
        section.wrong("metrics", text)
    same = next((item for item in spec.parameters if repeats is not None and item.name == repeats.name), None)
    if same is not None:
        verb = "set" if same.distribution == "constant" else "searched"
        section.wrong("repeats", f"{same.name} is {verb} under `parameters`; leave it out there, or name another key")
    if repeats is not None and repeats.race and not spec.objectives and not {"metric", "metrics"} & set(section.values):
        section.wrong("repeats", "race needs a `metric`: points are compared by it")


def _check_population(section: Section, spec: SweepSpec) -> None:
    """Checks what stands beside `method: pbt`."""
    if spec.method != "pbt":
        return
    for key in ("early_terminate", "repeats", "metrics", "scheduler"):
        if section.get(key) is not None:
            section.wrong(
                key, "does not stand beside method pbt, which compares and replaces trials itself by one `metric`"
            )
    members = spec.pbt.population if spec.pbt else None
    if members is not None and spec.count is not None and spec.count != members:
        section.wrong("count", f"{spec.count}: the population has {members} members; keep one of the two")
