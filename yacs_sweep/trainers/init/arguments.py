"""Finds the options of a script's argparse parser in its source, without running it."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from .project import Module, Place

UNKNOWN = object()  # a default that only the running program knows
_CONFIG = re.compile(r"(cfg|conf|config|yaml)([-_]?(file|path|files|yaml))?|(exp|experiment)[-_](config|cfg|file)")
_OVERRIDES = ("opts", "overrides", "override", "options", "cfg_options", "modify_config")


@dataclass(frozen=True)
class Argument:
    """Describes an argument of a parser as its call has it; `flag` is its longest spelling, "" for a positional."""

    dest: str
    flag: str
    default: Any = None
    required: bool = False
    choices: tuple[Any, ...] = ()
    nargs: str | None = None
    kind: str | None = None  # the type's name
    switch: bool = False

    @property
    def is_rest(self) -> bool:
        """Whether it takes any number of words."""
        return self.nargs in ("REMAINDER", "...", "*", "+")


def literal(node: ast.AST | None) -> Any:
    """Evaluates a literal, `dict(a=1)`, and simple arithmetic on numbers; `UNKNOWN` for any other expression."""
    if node is None:
        return None
    try:
        return ast.literal_eval(node)
    except (ValueError, TypeError, SyntaxError, MemoryError, RecursionError):
        pass
    if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "dict" and not node.args:
        return {item.arg: literal(item.value) for item in node.keywords if item.arg}
    if isinstance(node, ast.BinOp):
        left, right = literal(node.left), literal(node.right)
        if isinstance(left, int | float) and isinstance(right, int | float):
            if isinstance(node.op, ast.Mult):
                return left * right
            if isinstance(node.op, ast.Div) and right:
                return left / right
    return UNKNOWN


def find_arguments(places: Iterable[Place]) -> dict[str, Argument]:
    """Collects the `add_argument` calls of what a script reaches, by `dest`; the first of a name counts."""
    found: dict[str, Argument] = {}
    for place in places:
        local = _texts(place.node)
        for node in ast.walk(place.node):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "add_argument":
                argument = _argument(node, local)
                if argument is not None:
                    found.setdefault(argument.dest, argument)
    return found


def _texts(node: ast.AST) -> dict[str, Any]:
    """Returns literals that are assigned to names there, also several at once."""
    found: dict[str, Any] = {}
    for item in ast.walk(node):
        if isinstance(item, ast.Assign) and len(item.targets) == 1:
            target, value = item.targets[0], literal(item.value)
            if isinstance(target, ast.Name) and value is not UNKNOWN:
                found[target.id] = value
            elif isinstance(target, ast.Tuple) and isinstance(value, tuple) and len(value) == len(target.elts):
                found |= {t.id: v for t, v in zip(target.elts, value, strict=True) if isinstance(t, ast.Name)}
    return found


def _argument(call: ast.Call, local: dict[str, Any]) -> Argument | None:
    flags = [flag for flag in map(literal, call.args) if isinstance(flag, str)]
    if not flags:
        return None
    words = {item.arg: item.value for item in call.keywords if item.arg}

    def value(name: str) -> Any:
        node = words.get(name)
        return local.get(node.id, UNKNOWN) if isinstance(node, ast.Name) else literal(node)

    long = max((flag for flag in flags if flag.startswith("-")), key=len, default="")
    named = value("dest")
    dest = named if isinstance(named, str) else (long or flags[0]).lstrip("-").replace("-", "_")
    nargs = words.get("nargs")
    rest = nargs.attr if isinstance(nargs, ast.Attribute) else value("nargs")
    action, choices, kind = value("action"), value("choices"), words.get("type")
    default = value("default")
    return Argument(
        dest,
        long,
        default,
        required=value("required") is True,
        choices=tuple(choices) if isinstance(choices, list | tuple) else (),
        nargs=None if rest is None or rest is UNKNOWN else str(rest),
        kind=kind.id if isinstance(kind, ast.Name) else None,
        switch=isinstance(action, str) and action.startswith(("store_", "count")) and action != "store",
    )


def config_argument(arguments: dict[str, Argument]) -> Argument | None:
    """Returns the argument that names the configuration file."""
    for argument in arguments.values():
        names = (argument.dest, argument.flag.lstrip("-"))
        if not argument.switch and any(_CONFIG.fullmatch(name.lower()) for name in names):
            return argument
    return None


def written_config(module: Module) -> Argument | None:
    """Returns the option of the configuration file that a script without a parser compares its words with."""
    for node in module.nodes:
        text = node.value if isinstance(node, ast.Constant) else None
        if isinstance(text, str) and text.startswith("--") and _CONFIG.fullmatch(text[2:].rstrip("=").lower()):
            return Argument(text.strip("-=").replace("-", "_"), text)
    return None


def override_argument(arguments: dict[str, Argument], merged: Iterable[str]) -> Argument | None:
    """Returns the argument whose words override the configuration: one that is merged, else one of a usual name."""
    for name in (*merged, *_OVERRIDES):
        if name in arguments and (arguments[name].is_rest or name in merged):
            return arguments[name]
    return None
