"""Reads from a script's source what decides how it is driven: GPUs, option and key, checkpoints, lines that it prints."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from ...logs.guessing import guess
from .arguments import Argument, literal
from .names import looks_usual
from .project import Module, Place, dotted
from .trace import Tracer, key_path

_FILE = re.compile(
    r"[\w.{}*\[\]%/ -]*?\.(?P<ext>pth\.tar|pth|pt|ckpt|pyth|pkl|safetensors|h5|npz)(?P<more>[-\w{}%.]*)$"
)
_SAVES = re.compile(r"save|checkpoint|ckpt|snapshot|make_dirs?", re.IGNORECASE)
_LOADS = re.compile(r"load|resume|convert|restore|pretrain", re.IGNORECASE)
_LIBRARIES = {  # what a library's checkpoints are called, by the class that writes them
    "ModelCheckpoint": {"ignite": ("*.pt", "*.pth"), "lightning": ("*.ckpt",), "pytorch_lightning": ("*.ckpt",)},
}
_COUNTERS = ("epoch", "step", "iter", "iteration", "global_step", "batch")
_GPUS = "CUDA_VISIBLE_DEVICES"
_SPEC = re.compile(r"\{[^{}]*?(?P<colon>:(?P<spec>[^{}]*))?\}")
_PERCENT = re.compile(r"%[-+ #0]*\d*(?:\.\d+)?([sdifeEgGr%])")
_STARTERS = ("spawn", "start_processes", "Process", "AutoExecutor")
LINES = 3000  # format strings that are looked at


def reached_modules(places: Iterable[Place]) -> list[Module]:
    """Lists the files of what a script reaches."""
    return list(dict.fromkeys(place.module for place in places))


def gpu_settings(places: list[Place]) -> list[tuple[Place, list[list[str]]]]:
    """Lists where the code sets CUDA_VISIBLE_DEVICES, each with the names behind its value: `cfg.A.B` as a list."""
    tracer, found = Tracer(places), []
    for scope in tracer.scopes:
        for node in scope.nodes:
            if (value := _gpus_set(node)) is not None:
                paths = [path for source in tracer.sources(scope, value) if len(path := key_path(source)) > 1]
                found.append((Place(scope.module, node), paths))
    return found


def _gpus_set(node: ast.AST) -> ast.AST | None:
    """Returns the value that a statement sets CUDA_VISIBLE_DEVICES to, whatever was there; None for any other."""
    if isinstance(node, ast.Assign) and isinstance(target := node.targets[0], ast.Subscript):
        return node.value if getattr(target.slice, "value", None) == _GPUS else None
    if not isinstance(node, ast.Call):
        return None
    name = (dotted(node.func) or [""])[-1]
    if name == "putenv" and len(node.args) > 1 and getattr(node.args[0], "value", None) == _GPUS:
        return node.args[1]
    if name != "update":
        return None
    for item in node.keywords:
        if item.arg == _GPUS:
            return item.value
    for given in node.args:
        if isinstance(given, ast.Dict):
            for key, value in zip(given.keys, given.values, strict=True):
                if getattr(key, "value", None) == _GPUS:
                    return value
    return None


def keys_of_options(
    places: Iterable[Place], arguments: Mapping[str, Argument], leaves: Iterable[str]
) -> dict[str, str]:
    """Returns the option of each key that the script overwrites with it: `cfg.OUTPUT = args.output`."""
    known, found = set(leaves), {}
    for place in places:
        for node in ast.walk(place.node):
            if not isinstance(node, ast.Assign):
                continue
            target, value = dotted(node.targets[0]), dotted(node.value)
            if target and value and len(value) == 2 and value[1] in arguments and ".".join(target[1:]) in known:
                found[".".join(target[1:])] = value[1]
    return found


def environment_needed(places: list[Place]) -> list[str]:
    """Lists the variables of a distributed launch without which the script does not start.

    There are none where the code starts its processes itself.
    """
    found: list[str] = []
    if any((dotted(node) or [""])[-1] in _STARTERS for place in places for node in ast.walk(place.node)):
        return found
    for place in places:
        text = ast.dump(place.node)
        for node in ast.walk(place.node):
            if isinstance(node, ast.Subscript) and dotted(node.value) == ["os", "environ"]:
                name = getattr(node.slice, "value", None)
                guarded = f"Compare(left=Constant(value='{name}')" in text
                if name in ("LOCAL_RANK", "RANK", "WORLD_SIZE") and isinstance(node.ctx, ast.Load) and not guarded:
                    found.append(name)
    return list(dict.fromkeys(found))


def checkpoint_patterns(modules: Iterable[Module]) -> list[str]:
    """Returns patterns of the files that the code saves models in, by the names in calls and functions that save."""
    found: dict[str, None] = {}
    for module in modules:
        if any(item.module == "fvcore.common.checkpoint" for item in module.imports.values()):
            found["*.pth"] = None  # whatever name it is given
        for node in module.nodes:
            if isinstance(node, ast.FunctionDef) and _SAVES.search(node.name) and not _LOADS.search(node.name):
                inside: Iterable[ast.AST] = ast.walk(node)
            elif isinstance(node, ast.Call) and _writes(node):
                if _called(node) == "save_pretrained":
                    found |= {"*.safetensors": None, "*.bin": None}
                if _LOADS.search(_called(node)):
                    continue
                inside = ast.walk(node)
                found |= dict.fromkeys(_of_library(module, (dotted(node.func) or [""])))
            elif isinstance(node, ast.Assign) and _SAVES.search(" ".join(dotted(node.targets[0]) or [])):
                inside = ast.walk(node)
            elif isinstance(node, ast.BinOp) and isinstance(node.op, ast.Div) and _is_model(node.right):
                inside = [node.right]  # path / "best.pt"
            else:
                continue
            for text in _texts(inside):
                if match := _FILE.fullmatch(text):
                    found[f"*.{match['ext']}{'*' if match['more'] else ''}"] = None
    return [pattern for pattern in found if f"{pattern}*" not in found]


def _called(node: ast.Call) -> str:
    """Returns the last name of what is called: `save` of `(path / "x").save()`."""
    return node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")


def _writes(node: ast.Call) -> bool:
    """Tells whether a call saves: by its name, or as it opens a file to write bytes."""
    name = _called(node)
    if name == "open":
        modes = [item.value for item in node.keywords if item.arg == "mode"] + node.args[1:2]
        return any({"w", "b"} <= set(str(getattr(mode, "value", ""))) for mode in modes)
    return name == "write_bytes" or bool(_SAVES.search(name))


def _is_model(node: ast.AST) -> bool:
    """Tells whether a text ends as files of models do, and those alone."""
    match = next((match for text in _texts([node]) if (match := _FILE.fullmatch(text))), None)
    return match is not None and match["ext"] not in ("pkl", "h5", "npz")


def _texts(nodes: Iterable[ast.AST]) -> Iterator[str]:
    """Yields texts, those with values put in as well."""
    for node in nodes:
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and len(node.value) < 200:
            yield node.value
        elif isinstance(node, ast.JoinedStr):
            yield "".join(str(part.value) if isinstance(part, ast.Constant) else "{}" for part in node.values)


def _of_library(module: Module, called: list[str]) -> tuple[str, ...]:
    """Returns the names of the files that a library's class writes."""
    item = module.imports.get(called[0])
    package = item.module.partition(".")[0] if item else ""
    return _LIBRARIES.get(called[-1], {}).get(package, ())


def uses(places: Iterable[Place], *names: str) -> bool:
    """Tells whether what a script reaches calls one of these, in the script itself or its own modules."""
    for place in places:
        for node in ast.walk(place.node):
            if isinstance(node, ast.Call) and (dotted(node.func) or [""])[-1] in names:
                return True
            if isinstance(node, ast.Name) and node.id in names:
                return True
    return False


def wandb_settings(places: Iterable[Place]) -> dict[str, Any] | None:
    """Returns the configuration that a script gives to `wandb.init`, as far as it stands in the source.

    None where it does not call that. A value that only the running program knows is `UNKNOWN`.
    """
    for place in places:
        for node in ast.walk(place.node):
            if isinstance(node, ast.Call) and dotted(node.func) == ["wandb", "init"]:
                given = next((item.value for item in node.keywords if item.arg == "config"), None)
                return _mapping(given, place)
    return None


def _mapping(node: ast.AST | None, place: Place) -> dict[str, Any]:
    """Reads a mapping that is written there, or assigned to a name in the same function or file."""
    if isinstance(node, ast.Name):
        nodes = [*ast.walk(place.node), *place.module.nodes]
        assigned = (item for item in nodes if isinstance(item, ast.Assign) and dotted(item.targets[0]) == [node.id])
        node = next((item.value for item in assigned), None)
    if isinstance(node, ast.Dict):
        pairs = [(literal(key), value) for key, value in zip(node.keys, node.values, strict=True) if key is not None]
    elif isinstance(node, ast.Call) and dotted(node.func) == ["dict"]:
        pairs = [(item.arg, item.value) for item in node.keywords]
    else:
        return {}
    return {key: literal(value) for key, value in pairs if isinstance(key, str)}


def logged_metrics(modules: Iterable[Module]) -> list[str]:
    """Returns what is logged by name, counters left out: `wandb.log({"loss": …})`, `self.log("loss", …)`."""
    found: dict[str, None] = {}
    for module in modules:
        for node in module.nodes:
            if (
                not isinstance(node, ast.Call)
                or not node.args
                or _called(node) not in ("log", "log_dict", "log_metrics")
            ):
                continue
            first, several = node.args[0], len(node.args) > 1
            keys = first.keys if isinstance(first, ast.Dict) else [first] if several else []
            found |= {name: None for name in map(literal, filter(None, keys)) if isinstance(name, str)}
    return [name for name in found if " " not in name and name not in _COUNTERS]


def used_names(modules: Iterable[Module]) -> set[str]:
    """Returns the attributes that the code reads; the definition of a tree's key is no reading."""
    nodes = (node for module in modules for node in module.nodes)
    return {node.attr for node in nodes if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Load)}


# -- lines that the code prints -------------------------------------------------------------------------------------
def printed_lines(modules: Iterable[Module]) -> list[str]:
    """Returns lines as the code would print them, with numbers in the places of values."""
    found: dict[str, None] = {}
    for module in modules:
        for node in module.nodes:
            text = _rendered(node)
            for line in (text or "").splitlines():
                if 3 < len(line) < 1000 and re.search(r"\d", line):
                    found[line] = None
            if len(found) > LINES:
                return list(found)
    return list(found)


def printed_metrics(lines: Iterable[str]) -> list[str]:
    """Returns the usual metrics that such lines hold, under the names that the launcher gives them."""
    found: dict[str, None] = {}
    for line in lines:
        for item in guess(line):
            if looks_usual(item.name) and re.fullmatch(r"[\w@/. -]{1,40}", item.name):
                found[item.name] = None
    return list(found)


def _rendered(node: ast.AST) -> str | None:
    """Renders a format string or what is printed: `f"…"`, `"…".format(…)`, `"…" % …`, `info("…", …)`, `print("…", x)`."""
    if isinstance(node, ast.JoinedStr):
        return "".join(
            str(part.value) if isinstance(part, ast.Constant) else _number(_spec(getattr(part, "format_spec", None)))
            for part in node.values
        )
    if isinstance(node, ast.Call):
        if isinstance(node.func, ast.Attribute) and node.func.attr == "format":
            text = _joined(node.func.value)
            return None if text is None else _SPEC.sub(lambda match: _number(match["spec"] or ""), text)
        name = (dotted(node.func) or [""])[-1]
        if name == "print" and len(node.args) > 1:
            texts = [_joined(part) or _rendered(part) or "0.5" for part in node.args]
            return " ".join(texts)
        if name in ("info", "warning", "debug", "log") and len(node.args) > 1 and (text := _joined(node.args[0])):
            return _PERCENT.sub(lambda match: "%" if match[1] == "%" else _number(match[1]), text)
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Mod) and (text := _joined(node.left)) is not None:
        return _PERCENT.sub(lambda match: "%" if match[1] == "%" else _number(match[1]), text)
    return None


def _joined(node: ast.AST) -> str | None:
    """Returns a text that may be put together with `+`."""
    if isinstance(node, ast.Constant):
        return node.value if isinstance(node.value, str) else None
    if isinstance(node, ast.Call) and getattr(node.func, "attr", "") == "join" and node.args:
        parts = node.args[0].elts if isinstance(node.args[0], ast.List | ast.Tuple) else []
        texts = [part for part in map(_joined, parts) if part is not None]
        return "  ".join(texts) if texts else None
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add):
        left, right = _joined(node.left), _joined(node.right)
        return None if left is None and right is None else (left or "") + (right or "")
    return None


def _spec(node: Any) -> str:
    """Returns a format's specification."""
    values = node.values if isinstance(node, ast.JoinedStr) else []
    return "".join(str(part.value) for part in values if isinstance(part, ast.Constant))


def _number(spec: str) -> str:
    """Returns a number as that format prints it."""
    if "%" in spec:
        return "50.0%"
    return "0.5" if re.search(r"\.\d|[feg]", spec, re.IGNORECASE) else "1"
