"""Finds the modules that a script imports at its start and that are not there, without executing any of the trainer's code.

    python find_imports.py SCRIPT.py        (or: -m MODULE)

Only imports that are executed whenever the script starts are followed, from file to file of the project: not those in
functions, in branches, and where an ImportError is caught. Answers with a JSON object: `missing` (`name`, `file`,
`line`, and `certain`: no file before it changes sys.path in a way that cannot be read here), `error` (a file with wrong
syntax), `places` of all these imports (FILE:LINE), `options` (a file may parse options), and of the script `parser` (it
parses a command line) and `guard` (its work is below `if __name__ == …`).
Runs in the trainer's interpreter: Python 3.7 or newer, standard library only.
"""

from __future__ import annotations

import ast
import importlib.machinery
import importlib.util
import json
import os
import sys

FILES = 500  # of the project that are read
CAUGHT = {"ImportError", "ModuleNotFoundError", "Exception", "BaseException"}
# Names of libraries that parse a command line.
PARSERS = ("argparse", "click", "hydra", "typer", "absl", "fire", "jsonargparse", "tyro", "docopt", "argument_parser")
# What stands in a file that may take options in other ways, too.
TAKES_OPTIONS = (b"parse", b"cli", b"CLI", b"flags", b"'--", b'"--', b"'='", b'"="', *(n.encode() for n in PARSERS))
PATH_WORDS = ("sys.path", "sys.meta_path", "sys.path_hooks", "site.addsitedir", "sys.modules")

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from importlib.machinery import ModuleSpec
    from typing import Any


def names_main(test: ast.expr) -> bool:
    """Tells whether a condition is `__name__ == "__main__"`."""
    return any(isinstance(node, ast.Name) and node.id == "__name__" for node in ast.walk(test))


def catches(handler: ast.ExceptHandler) -> bool:
    """Tells whether a handler catches an ImportError."""
    kinds = handler.type.elts if isinstance(handler.type, ast.Tuple) else [handler.type]
    names = {getattr(kind, "id", getattr(kind, "attr", None)) for kind in kinds}
    return handler.type is None or bool(names & CAUGHT)


def suppresses(item: ast.withitem) -> bool:
    """Tells whether a context suppresses exceptions: `with suppress(ImportError)`."""
    return any(getattr(node, "id", getattr(node, "attr", "")) == "suppress" for node in ast.walk(item.context_expr))


def executed(body: Iterable[ast.stmt], main: bool) -> Iterator[ast.stmt]:
    """Yields the statements that are executed whenever the module is; `main`: as the program."""
    for node in body:
        yield node
        if isinstance(node, ast.ClassDef) or (isinstance(node, ast.With) and not any(map(suppresses, node.items))):
            yield from executed(node.body, main)
        elif isinstance(node, ast.Try):
            if not any(map(catches, node.handlers)):
                yield from executed(node.body, main)
            yield from executed(node.finalbody, main)
        elif isinstance(node, ast.If) and main and names_main(node.test):
            yield from executed(node.body, main)


class Project:
    """Follows the imports of a program through the files below the current folder."""

    def __init__(self) -> None:
        self.root = os.path.realpath(os.getcwd())
        self.missing: list[dict[str, Any]] = []
        self.certain = True
        self.error = ""
        self.options = False  # whether a file may parse options
        self.seen: set[str] = set()
        self.inside: list[str] | None = None
        self.places: set[str] = set()  # of the imports that every start executes: FILE:LINE

    def add(self, path: str | None, package: str, *, main: bool = False) -> None:
        """Follows the imports of a file of the project, once, as they are executed: in the middle of the importing file.

        Args:
            package: what relative imports start from.
            main: whether the file is the program.
        """
        path = os.path.realpath(path) if path else ""
        ours = path.startswith(self.root + os.sep) and path.endswith(".py") and "site-packages" not in path
        if not ours or path in self.seen or len(self.seen) >= FILES:
            return
        self.seen.add(path)
        try:
            with open(path, "rb") as file:
                source = file.read()
            tree = ast.parse(source, path)
        except (OSError, SyntaxError, ValueError) as error:
            if isinstance(error, SyntaxError) and not self.error:
                self.error = "%s:%s: SyntaxError: %s" % (os.path.relpath(path), error.lineno, error.msg)
            return
        self.options = self.options or any(word in source for word in TAKES_OPTIONS)
        if any(word.encode() in source for word in PATH_WORDS):
            self.read_paths(tree)
        for node in executed(tree.body, main):
            for name, parts in self.imported(node, package):
                self.places.add("%s:%d" % (os.path.relpath(path), node.lineno))
                self.find(name, parts, path, node.lineno)

    def read_paths(self, tree: ast.Module) -> None:
        """Adds the folders of `sys.path.append("lib")` to the search; others make the search uncertain."""
        for node in ast.walk(tree):
            if not (isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name)):
                continue
            if node.value.id + "." + node.attr not in PATH_WORDS:
                continue
            folders = []
            for call in ast.walk(tree):
                if isinstance(call, ast.Call) and isinstance(call.func, ast.Attribute) and call.func.value is node:
                    folders += call.args[-1:] if call.func.attr in ("append", "insert") else []
            texts = [getattr(folder, "value", getattr(folder, "s", None)) for folder in folders]
            if texts and all(isinstance(text, str) for text in texts):
                sys.path += [text for text in map(os.path.abspath, texts) if text not in sys.path]
            else:
                self.certain = False

    def imported(self, node: ast.stmt, package: str) -> Iterator[tuple[str, list[str]]]:
        """Yields the modules that a statement imports, each with the names that may be modules in it."""
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield alias.name, []
        elif isinstance(node, ast.ImportFrom):
            name = node.module or ""
            if node.level:
                above = package.split(".")[: len(package.split(".")) - node.level + 1] if package else []
                name = ".".join(above + ([name] if name else []))
            if name:
                yield name, [alias.name for alias in node.names]

    def find(self, name: str, parts: list[str], path: str, line: int) -> None:
        """Finds a module by its dotted name and adds its files, or notes that it is missing."""
        top, *below = name.split(".")
        known, spec = top, spec_of(top)
        if spec is None and not self.certain:
            spec = next(filter(None, (find_in(top, [folder]) for folder in self.folders())), None)
        if spec is None:
            return self.miss(top, path, line)
        for part in [*below, None]:
            places = spec.submodule_search_locations
            origin = spec.origin if spec.has_location else None
            self.add(origin, known if places is not None else known.rpartition(".")[0])
            if part is None:
                break
            if places is None or not self.owns(places):
                return None  # an installed package knows what is in it
            known += "." + part
            found = find_in(known, places)
            if found is None:
                return self.miss(known, path, line) if origin is None or self.is_plain(origin) else None
            spec = found
        if spec.submodule_search_locations is not None and self.owns(spec.submodule_search_locations):
            for part in parts:
                found = find_in(known + "." + part, spec.submodule_search_locations)
                if found is not None:
                    inside = found.submodule_search_locations is not None
                    self.add(found.origin, known + "." + part if inside else known)
        return None

    def folders(self) -> list[str]:
        """Lists the folders of the project, two below each other, in which a changed sys.path may look."""
        if self.inside is None:
            self.inside = [self.root]
            for folder in self.inside[:]:
                self.inside += subfolders(folder)
            for folder in self.inside[1:]:
                self.inside += subfolders(folder)
        return self.inside

    def owns(self, places: Iterable[str]) -> bool:
        """Tells whether a package lies in the project."""
        return any((os.path.realpath(place) + os.sep).startswith(self.root + os.sep) for place in places)

    def is_plain(self, path: str) -> bool:
        """Tells whether a package's file leaves its search path as it is."""
        try:
            with open(path, "rb") as file:
                return b"__path__" not in file.read()
        except OSError:
            return False

    def miss(self, name: str, path: str, line: int) -> None:
        """Notes that a module is not there."""
        if all(item["name"] != name for item in self.missing):
            place = {"file": os.path.relpath(path), "line": line}
            self.missing.append(dict(place, name=name, certain=self.certain))


def subfolders(folder: str) -> list[str]:
    """Lists at most 100 folders in a folder that are not hidden."""
    try:
        found = [entry.path for entry in os.scandir(folder) if entry.is_dir() and not entry.name.startswith(".")]
    except OSError:
        return []
    return sorted(found)[:100]


def find_in(name: str, places: Iterable[str]) -> ModuleSpec | None:
    """Finds a module by its full name in folders; None: it is in none of them, or is a folder without any code."""
    found = importlib.machinery.PathFinder.find_spec(name, list(places))
    if found is not None and found.origin is None and found.submodule_search_locations is not None:
        files = [file for place in found.submodule_search_locations for file in os.listdir(place)]
        return found if any(file.endswith(".py") for file in files) else None
    return found


def spec_of(name: str) -> ModuleSpec | None:
    """Finds a module or package that has no dot in its name, as an import does."""
    try:
        return importlib.util.find_spec(name)
    except (ImportError, ValueError, AttributeError):  # __main__ has no spec
        known = name in sys.modules
        return importlib.machinery.ModuleSpec(name, None) if known else importlib.machinery.PathFinder.find_spec(name)


def file_of(module: str) -> str | None:
    """Returns the file that `python -m MODULE` executes, if that is one of this folder."""
    path = os.path.join(*module.split("."))
    return next((file for file in (path + ".py", os.path.join(path, "__main__.py")) if os.path.isfile(file)), None)


def read_program(path: str) -> dict[str, Any]:
    """Tells whether the script parses a command line, and whether its work is below a guard."""
    try:
        with open(path, "rb") as file:
            source = file.read()
        body = ast.parse(source, path).body
    except (OSError, SyntaxError, ValueError):
        return {"parser": False, "guard": False}
    return {
        "parser": any(name.encode() in source for name in PARSERS),
        "guard": any(isinstance(node, ast.If) and names_main(node.test) for node in body),
    }


def main() -> None:
    """Answers on standard output."""
    project = Project()
    path: str | None = sys.argv[1]
    package = ""
    if path == "-m":
        module = sys.argv[2]
        path, package, sys.path[0] = file_of(module), module.rpartition(".")[0], os.getcwd()
    else:
        sys.path[0] = os.path.dirname(os.path.abspath(sys.argv[1]))
    sys.setrecursionlimit(20 * FILES)
    project.add(path, package, main=True)
    answer = {"missing": project.missing, "error": project.error, "places": sorted(project.places)}
    print(json.dumps(dict(answer, options=project.options, **read_program(path or ""))))


if __name__ == "__main__":
    main()
