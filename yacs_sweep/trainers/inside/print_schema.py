"""Prints a trainer's YACS tree as JSON. Run inside the trainer's interpreter: Python 3.7, standard library only.

    python print_schema.py FILE.py:NAME|module:NAME|JSON_LIST [CONFIG_FILE]
    python print_schema.py '{"kind": "hydra", …}'

The tree is loaded, or made by a function, and the configuration file is merged by the tree's own method, so what counts is what
the trainer's library does. One JSON object goes to stdout; whatever the trainer's code prints goes to stderr. Its keys:
`defaults` and `values` (leaves by dotted key, before and after merging), `sections`, `renamed`, `deprecated`, `open`
(sections that take new keys from KEY VALUE words; "" is the root), `loose` (values of another type are taken), and on a
failure `error` with `stage` (load, config) and `text`.
"""

from __future__ import annotations

import sys

# The launcher's own modules lie beside this file and must not be found by the trainer's imports.
sys.path[0] = ""

import copy  # noqa: E402
import importlib  # noqa: E402
import importlib.util  # noqa: E402
import inspect  # noqa: E402
import json  # noqa: E402
import os  # noqa: E402
import traceback  # noqa: E402
from collections.abc import Mapping  # noqa: E402

# A word of each type that an override may have.
WORDS = {
    "NoneType": "None",
    "bool": "True",
    "int": "1",
    "float": "0.5",
    "str": "'x'",
    "list": "[1]",
    "tuple": "(1,)",
}
PROBE = "YACS_SWEEP_PROBE"  # a key no tree has

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any


def load(place: str) -> Any:
    """Loads the object that `FILE.py:NAME` or `module:NAME` names; NAME may be dotted."""
    path, _, name = place.rpartition(":")
    found = load_file(path) if path.endswith(".py") else importlib.import_module(path)
    for part in name.split("."):
        if not hasattr(found, part):
            raise AttributeError("%s has no attribute '%s'%s" % (path, name, suggestion(found)))
        found = getattr(found, part)
    return found


def load_file(path: str) -> Any:
    """Loads a file as a module; as part of its package only where it imports relatively."""
    if not os.path.isfile(path):
        raise FileNotFoundError("there is no file %s in %s" % (path, os.getcwd()))
    spec = importlib.util.spec_from_file_location("trainer_schema", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    folder = os.path.dirname(os.path.abspath(path))
    if folder not in sys.path:
        sys.path.append(folder)  # last: modules beside the file, as for a script, hide no others
    try:
        spec.loader.exec_module(module)
    except ImportError as error:
        if "relative import" not in str(error):
            raise
        parts = os.path.splitext(os.path.relpath(path))[0].split(os.sep)
        module = importlib.import_module(".".join(parts))
    return module


def suggestion(module: Any) -> str:
    """Suggests what of a module may be a tree: mappings, and functions whose names speak of a configuration."""
    names = [
        name
        for name, value in vars(module).items()
        if (isinstance(value, dict) and not name.startswith("__") and type(value) is not dict)
        or (callable(value) and ("cfg" in name.lower() or "config" in name.lower()) and not isinstance(value, type))
    ]
    return "; there is %s" % " and ".join(names[:4]) if names else ""


def make_tree(places: list[str], config_file: str) -> tuple[Any, bool, bool]:
    """Loads and calls what makes the tree.

    Returns the tree, whether it holds the configuration file already, and whether it takes any new key (mmengine's
    `merge_from_dict` does).

    The first place is a tree, a class, or a function, which is called: with the configuration file where it needs one
    argument. Each further one is a function that adds to the tree (`add_x_config(cfg)`), or a tree that is merged.
    """
    tree, taken = load(places[0]), False
    if callable(tree) and not isinstance(tree, dict):
        taken = needs_argument(tree)
        if taken and not config_file:
            raise TypeError("%s needs the configuration file; give --config_file" % places[0])
        tree = instance_of(tree) if isinstance(tree, type) and not taken else tree(*([config_file] if taken else []))
    for place in places[1:]:
        more = load(place)
        if callable(more) and not isinstance(more, dict):
            made = more(tree)
            tree = tree if made is None else made
        else:
            tree.update(more)
    return as_tree(tree, places[0]), taken, bool(method(tree, "merge_from_dict"))


def needs_argument(function: Any) -> bool:
    """Tells whether a function cannot be called without an argument."""
    try:
        parameters = inspect.signature(function).parameters.values()
    except (TypeError, ValueError):
        return False
    positional = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    return len([item for item in parameters if item.kind in positional and item.default is item.empty]) == 1


def instance_of(kind: type) -> Any:
    """Makes an instance of a class; the attributes of a plain one (`class Config: lr = 0.1`) are its tree."""
    return kind if kind.__init__ is object.__init__ else kind()  # type: ignore[misc]


def as_tree(made: Any, place: str) -> dict[Any, Any]:
    """Returns a tree as nested dictionaries: a YACS node as it is, other objects by their keys or attributes."""
    made = getattr(made, "_cfg_dict", made)  # mmcv's and mmengine's Config
    if method(made, "_get_node"):  # OmegaConf's
        made = importlib.import_module("omegaconf").OmegaConf.to_container(made, resolve=False)
    if isinstance(made, dict):
        return made
    if not isinstance(made, type) and (isinstance(made, Mapping) or method(made, "items")):
        content = dict(made.items())
    else:  # by attributes: a dataclass, a Namespace, a class
        above = reversed(made.__mro__) if isinstance(made, type) else [made]
        content = {name: value for one in above for name, value in getattr(one, "__dict__", {}).items()}
        content = {k: v for k, v in content.items() if not k.startswith("_") and not callable(v) and not is_code(v)}
    if not content:
        raise TypeError("%s is a %s, not a YACS tree" % (place.rpartition(":")[2], type(made).__name__))
    return {key: as_tree(value, place) if is_section(value) else value for key, value in content.items()}


def is_code(value: Any) -> bool:
    """Tells whether an attribute is a method or property of a class, which is no key."""
    return isinstance(value, (property, classmethod, staticmethod))


def is_section(value: Any) -> bool:
    """Tells whether a value is a section of a tree: another mapping, or an instance of a dataclass, with content."""
    if isinstance(value, type):
        return False
    fields = hasattr(value, "__dataclass_fields__")
    mapping = isinstance(value, Mapping) or (method(value, "items") is not None and method(value, "keys") is not None)
    return bool(fields and vars(value)) or bool(mapping and len(value))


def method(tree: Any, name: str) -> Any:
    """Returns a method of a tree; None where its class has none (nodes make keys of any attribute)."""
    found = getattr(type(tree), name, None)
    return getattr(tree, name) if callable(found) else None


def walk(node: dict[Any, Any], above: str = "") -> Iterator[tuple[str, Any, bool]]:
    """Yields (dotted key, value, whether it is a section)."""
    for key, value in node.items():
        dotted = above + str(key)
        section = isinstance(value, dict)
        yield dotted, value, section
        if section:
            yield from walk(value, dotted + ".")


def encode(value: Any) -> Any:
    """Writes a value as JSON that keeps tuples apart from lists."""
    kind = type(value)
    if value is None or kind in (str, int, float, bool):
        return value
    if kind is list:
        return [encode(item) for item in value]
    if kind is tuple:
        return {"tuple": [encode(item) for item in value]}
    return {"other": kind.__name__}


def leaves(tree: Any) -> dict[str, Any]:
    """Maps the dotted keys of the tree's leaves to their values; of types that JSON lacks, with what may replace them."""
    found = {key: encode(value) for key, value, section in walk(tree) if not section}
    for key, value in found.items():
        if isinstance(value, dict) and "other" in value and method(tree, "merge_from_list"):
            value["takes"] = sorted(kind for kind, word in WORDS.items() if takes(tree, key, word))
    return found


def registered(tree: Any, name: str) -> Any:
    """Returns a tree's renamed or deprecated keys: YACS keeps them beside the items."""
    return getattr(tree, "__dict__", {}).get(name) or {}


def takes(tree: Any, key: str, word: str) -> bool:
    """Tells whether the tree itself takes KEY VALUE; tried on a copy."""
    try:
        copy.deepcopy(tree).merge_from_list([key, word])
    except Exception:
        return False
    return True


def loose(tree: Any) -> bool:
    """Tells whether values of another type than the default's are taken: a text for a number, a list for a text."""
    strange = {int: "'x'", float: "'x'", str: "[1]"}
    words = {type(value): (key, strange[type(value)]) for key, value, _ in walk(tree) if type(value) in strange}
    return bool(words) and all(takes(tree, key, word) for key, word in words.values())


def explain(error: BaseException) -> str:
    """Describes an error in one line, with its place in the trainer's code."""
    text = str(error.args[0]) if isinstance(error, KeyError) and error.args else str(error)
    text = " ".join(text.split()) or "no message"
    if isinstance(error, SyntaxError):
        return "SyntaxError: " + text
    here = os.getcwd() + os.sep
    files = [(os.path.abspath(frame.filename), frame.lineno) for frame in traceback.extract_tb(error.__traceback__)]
    own = ("site-packages", "<frozen", os.path.abspath(__file__))
    theirs = [(path, line) for path, line in files if path.startswith(here) and not any(part in path for part in own)]
    place = " (%s:%s)" % (os.path.relpath(theirs[-1][0]), theirs[-1][1]) if theirs else ""
    return "%s: %s%s" % (type(error).__name__, text, place)


def read(schema: str, config_file: str) -> dict[str, Any]:
    """Loads the tree and merges the configuration file; returns the answer."""
    places = json.loads(schema) if schema.startswith("[") else [schema]
    stage = "load"
    answer: dict[str, Any] = {}
    try:
        tree, merged, any_key = make_tree(places, config_file)
        tree = copy.deepcopy(tree)
        if method(tree, "defrost"):
            tree.defrost()
        answer["defaults"] = leaves(tree)
        answer["sections"] = [key for key, _, section in walk(tree) if section]
        renamed = dict(registered(tree, "__renamed_keys__"))
        answer["renamed"] = {key: new[0] if isinstance(new, tuple) else new for key, new in renamed.items()}
        answer["deprecated"] = sorted(registered(tree, "__deprecated_keys__"))
        answer["open"] = [
            key for key in [""] + answer["sections"] if any_key or takes(tree, (key + "." if key else "") + PROBE, "1")
        ]
        answer["loose"] = loose(tree)
        if config_file and not merged:
            stage = "config"
            if not method(tree, "merge_from_file"):
                raise TypeError("a %s has no merge_from_file" % type(tree).__name__)
            tree.merge_from_file(config_file)
        answer["values"] = leaves(tree)
    except (Exception, SystemExit) as error:
        answer["error"] = {"stage": stage, "text": explain(error)}
    return answer


def beside(name: str) -> Any:
    """Loads a script of this folder under a private name: a trainer may have a module of its name."""
    path = os.path.join(os.path.dirname(os.path.abspath(__file__)), name + ".py")
    spec = importlib.util.spec_from_file_location("_yacs_sweep_" + name, path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def read_other(request: dict[str, Any]) -> dict[str, Any]:
    """Reads what is no tree: the configuration of a Hydra trainer, the options of a parser."""
    try:
        answer: dict[str, Any] = beside("print_" + request["kind"]).read(request, load_file, encode)
    except (Exception, SystemExit) as error:
        answer = {"error": {"stage": "load", "text": explain(error)}}
    return answer


def main() -> None:
    """Answers on standard output."""
    out = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # the trainer's code may print; stdout is for the answer alone
    if sys.argv[1].startswith("{"):
        answer = read_other(json.loads(sys.argv[1]))
    else:
        answer = read(sys.argv[1], sys.argv[2] if len(sys.argv) > 2 else "")
    json.dump(answer, out)
    out.close()
    os._exit(0)  # whatever the trainer's code has started or registered


if __name__ == "__main__":
    main()
