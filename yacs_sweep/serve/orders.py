"""Takes an order that a button of the page gives, checks it, and gives it as the command line would."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, get_args

from ..base.errors import ConfigError, SweepError
from ..base.yaml_document import read_yaml
from ..records.control.orders import Act, Order
from ..records.folder import OVER, SweepPaths

if TYPE_CHECKING:
    from ..launch.control.find import Steered

BY = "page"
KEYS: dict[str, dict[str, type]] = {  # what each order says more
    "pause": {},
    "resume": {},
    "stop": {},
    "cancel": {},
    "stop_trial": {"trial": str},
    "set_workers": {"workers": int, "now": bool},
    "set_gpus": {"gpus": str, "now": bool},
    "set_count": {"count": int},
    "add_points": {"text": str},
}
assert set(KEYS) <= set(get_args(Act))
MOST = 1_000_000  # workers or trials: more is a slip of the finger
LONGEST = {"trial": 300, "gpus": 300, "text": 1 << 16}  # characters


def give_order(paths: SweepPaths, storage: str | None, body: bytes) -> tuple[int, list[str]]:
    """Gives the order that a request's body describes; returns the HTTP status and lines for the user."""
    from ..launch.control.find import find_steered
    from ..launch.control.give import give
    from ..launch.options.table import Options

    try:
        make = order_maker(body)
        options = Options(sweep_id=paths.sweep_id, results_dir=str(paths.base), storage=storage)
        (sweep,) = find_steered(paths.sweep_id, options, "page")
        outcome = give(sweep, make(sweep))
    except ConfigError as error:
        return 422, _ended_meanwhile(paths, body) or error.problems
    except SweepError as error:
        return 409, str(error).splitlines()
    if outcome.taken:
        return 200, list(outcome.lines)
    return 409, _ended_meanwhile(paths, body) or list(outcome.lines)


def _ended_meanwhile(paths: SweepPaths, body: bytes) -> list[str]:
    """Says that a trial that was to be stopped has ended by itself, so that nothing is left to do; empty otherwise."""
    try:
        content = json.loads(body)
    except (ValueError, RecursionError):
        return []
    if not isinstance(content, dict) or content.get("act") != "stop_trial":
        return []
    ended = (record for record in paths.records() if record.name == content.get("trial") and record.state in OVER)
    return [f"{record.name} does not run any more: it has ended, {record.state}" for record in ended]


def order_maker(body: bytes) -> Callable[[Steered], Order]:
    """Returns what makes the order that a JSON object describes.

    Raises:
        ConfigError: it is no order.
    """
    from ..launch.control import given

    try:
        content = json.loads(body)
    except (ValueError, RecursionError):
        content = None
    act = content.pop("act", None) if isinstance(content, dict) else None
    if not isinstance(act, str) or act not in KEYS or not _fits(content, KEYS[act]):
        raise ConfigError("page: no order that is known here")
    if act == "stop_trial":
        return given.stop_trial_order(content["trial"], BY, "stop")
    if act == "set_workers":
        return given.workers_order(content["workers"], BY, now=content["now"], option="workers")
    if act == "set_gpus":
        return given.gpus_order(content["gpus"], BY, now=content["now"], option="GPUs")
    if act == "add_points":
        return given.points_order(read_yaml("points", content["text"]), BY, "points")
    if act == "set_count":
        return given.count_order(content["count"], BY)
    return given.plain_order(act, BY)  # type: ignore[arg-type]  # one of KEYS


def _fits(content: dict[str, Any], keys: dict[str, type]) -> bool:
    """Tells whether an object has these keys alone, with values of these types within their bounds."""
    if set(content) != set(keys) or any(type(content[key]) is not kind for key, kind in keys.items()):
        return False
    numbers = [value for value in content.values() if type(value) is int]
    texts = {key: value for key, value in content.items() if isinstance(value, str)}
    return all(0 < number <= MOST for number in numbers) and all(0 < len(texts[key]) <= LONGEST[key] for key in texts)
