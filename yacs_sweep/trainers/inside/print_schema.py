"""Prints a trainer's YACS tree as JSON. Run inside the trainer's interpreter: Python 3.7, standard library only.

    python print_schema.py FILE.py:NAME [CONFIG_FILE]

The tree is loaded from FILE.py and the configuration file is merged by the tree's own method, so what counts is what
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
import json  # noqa: E402
import os  # noqa: E402
import traceback  # noqa: E402

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


def load(path: str, name: str) -> Any:
    """Loads the object `name` of the file `path`; as part of its package only where it imports relatively."""
    spec = importlib.util.spec_from_file_location("trainer_schema", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    try:
        spec.loader.exec_module(module)
    except ImportError as error:
        if "relative import" not in str(error):
            raise
        parts = os.path.splitext(os.path.relpath(path))[0].split(os.sep)
        module = importlib.import_module(".".join(parts))
    tree = getattr(module, name)
    if not isinstance(tree, dict):
        raise TypeError("%s is a %s, not a YACS tree" % (name, type(tree).__name__))
    return tree


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
        if isinstance(value, dict) and "other" in value and hasattr(tree, "merge_from_list"):
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
    path, _, name = schema.rpartition(":")
    stage = "load"
    answer: dict[str, Any] = {}
    try:
        tree = copy.deepcopy(load(path, name))
        if hasattr(tree, "defrost"):
            tree.defrost()
        answer["defaults"] = leaves(tree)
        answer["sections"] = [key for key, _, section in walk(tree) if section]
        renamed = dict(registered(tree, "__renamed_keys__"))
        answer["renamed"] = {key: new[0] if isinstance(new, tuple) else new for key, new in renamed.items()}
        answer["deprecated"] = sorted(registered(tree, "__deprecated_keys__"))
        answer["open"] = [
            key for key in [""] + answer["sections"] if takes(tree, (key + "." if key else "") + PROBE, "1")
        ]
        answer["loose"] = loose(tree)
        if config_file:
            stage = "config"
            tree.merge_from_file(config_file)
        answer["values"] = leaves(tree)
    except (Exception, SystemExit) as error:
        answer["error"] = {"stage": stage, "text": explain(error)}
    return answer


def main() -> None:
    """Answers on standard output."""
    out = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # the trainer's code may print; stdout is for the answer alone
    json.dump(read(sys.argv[1], sys.argv[2] if len(sys.argv) > 2 else ""), out)
    out.close()


if __name__ == "__main__":
    main()
