"""Reads the Python files of a project as syntax trees: what they define, what they import, what a script reaches."""

from __future__ import annotations

import ast
import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

FILE_LIMIT = 3000  # Python files of a project that are looked at
SIZE_LIMIT = 1_000_000  # bytes of a file
REACH_LIMIT = 1500  # definitions that a script reaches
_SKIPPED = {
    "node_modules",
    "site-packages",
    "build",
    "dist",
    "wandb",
    "log",
    "logs",
    "outputs",
    "output",
    "__pycache__",
}
_SOURCES = ("", "lib", "src")  # folders of a project from which its modules are imported

Definition = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef | ast.Assign | ast.AnnAssign


@dataclass(frozen=True)
class Import:
    """Describes an imported name: `module` as written, `level` of a relative import, `name` in it (None: the module)."""

    module: str
    level: int = 0
    name: str | None = None


@dataclass(eq=False)
class Module:
    """Holds a file's syntax tree. `path` is relative to the project."""

    path: Path
    tree: ast.Module
    imports: dict[str, Import] = field(default_factory=dict)
    stars: list[Import] = field(default_factory=list)
    definitions: dict[str, Definition] = field(default_factory=dict)

    @cached_property
    def nodes(self) -> list[ast.AST]:
        """All nodes of the file."""
        return list(ast.walk(self.tree))

    def read(self) -> Module:
        """Collects imports, wherever they stand, and the definitions of the file itself."""
        for node in self.nodes:
            if isinstance(node, ast.Import):
                for item in node.names:
                    root = item.name.partition(".")[0]
                    self.imports[item.asname or root] = Import(item.name if item.asname else root)
            elif isinstance(node, ast.ImportFrom):
                for item in node.names:
                    found = Import(node.module or "", node.level, item.name)
                    if item.name == "*":
                        self.stars.append(found)
                    else:
                        self.imports[item.asname or item.name] = found
        for statement in statements(self.tree.body):
            if isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
                self.definitions.setdefault(statement.name, statement)
            elif isinstance(statement, ast.Assign | ast.AnnAssign):
                for name in assigned(statement):
                    self.definitions.setdefault(name, statement)
        return self


@dataclass(frozen=True, eq=False)
class Place:
    """Points at a definition in a file; `name` is None for the file as a whole."""

    module: Module
    node: ast.AST
    name: str | None = None


def statements(body: list[ast.stmt]) -> Iterator[ast.stmt]:
    """Yields the statements of a block and of those in it that always may run: if, try, with, for."""
    for statement in body:
        yield statement
        if isinstance(statement, ast.If | ast.Try | ast.With | ast.For | ast.While):
            for part in ("body", "orelse", "finalbody"):
                yield from statements(getattr(statement, part, []))


def assigned(statement: ast.Assign | ast.AnnAssign) -> list[str]:
    """Lists the plain names that a statement assigns."""
    targets = statement.targets if isinstance(statement, ast.Assign) else [statement.target]
    return [target.id for target in targets if isinstance(target, ast.Name)]


def dotted(node: ast.AST) -> list[str] | None:
    """Returns `a.b.c` as a list; None for any other expression."""
    parts: list[str] = []
    while isinstance(node, ast.Attribute):
        parts.append(node.attr)
        node = node.value
    return [node.id, *reversed(parts)] if isinstance(node, ast.Name) else None


class Project:
    """Finds and reads the Python files below a folder; each is parsed once, when it is needed."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._modules: dict[Path, Module | None] = {}

    @cached_property
    def files(self) -> list[Path]:
        """The Python files below the folder, relative to it, less virtual environments and the like."""
        return [path for path in self.all_files if path.suffix == ".py"]

    @cached_property
    def all_files(self) -> list[Path]:
        """The Python and YAML files below the folder, relative to it, those nearest to it first."""
        found: list[Path] = []
        for folder, names, files in os.walk(self.root):
            here = Path(folder)
            names[:] = sorted(n for n in names if n[:1] != "." and n not in _SKIPPED and not self._is_foreign(here / n))
            found += [(here / n).relative_to(self.root) for n in sorted(files) if n.endswith((".py", ".yaml", ".yml"))]
            if len(found) > FILE_LIMIT:
                break
        return sorted(found, key=lambda path: (len(path.parts), path.as_posix()))[:FILE_LIMIT]

    @staticmethod
    def _is_foreign(folder: Path) -> bool:
        """Tells whether a folder is a virtual environment."""
        return (folder / "pyvenv.cfg").exists() or (folder / "conda-meta").exists()

    def text(self, path: Path) -> str:
        """Reads a file; "" where that is not possible."""
        full = self.root / path
        try:
            return full.read_text(encoding="utf-8", errors="replace") if full.stat().st_size < SIZE_LIMIT else ""
        except OSError:
            return ""

    def module(self, path: Path) -> Module | None:
        """Reads a file's syntax tree; None for one that is no Python 3."""
        if path not in self._modules:
            try:
                self._modules[path] = Module(path, ast.parse(self.text(path))).read()
            except (SyntaxError, ValueError, RecursionError):
                self._modules[path] = None
        return self._modules[path]

    # -- imports ------------------------------------------------------------------------------------------------------
    def imported_file(self, importer: Path, item: Import, name: str | None = None) -> Path | None:
        """Returns the project's file behind an import, with `name` as a module in it; None for another package."""
        parts = [part for part in item.module.split(".") if part] + ([name] if name else [])
        if item.level:
            base = importer.parent
            for _ in range(item.level - 1):
                base = base.parent
            folders = [base]
        else:
            folders = [importer.parent, *(Path(folder) for folder in _SOURCES)]
        for folder in folders:
            path = folder.joinpath(*parts)
            for file in (path / "__init__.py", path.with_suffix(".py") if parts else None):
                if file is not None and (self.root / file).is_file():
                    return file
        return None

    def import_root(self, script: Module) -> str | None:
        """Returns the folder from which a script imports the project's modules that Python does not look into.

        None where the modules lie beside the script, or it changes sys.path.
        """
        beside = [file for item in script.imports.values() if (file := self.imported_file(script.path, item))]
        if any("sys.path" in self.text(path) for path in (script.path, *beside)):
            return None
        for item in (*script.imports.values(), *script.stars):
            file = None if item.level else self.imported_file(script.path, Import(item.module.partition(".")[0]))
            if file is None or file.is_relative_to(script.path.parent):
                continue
            return next((folder for folder in _SOURCES[1:] if file.parts[0] == folder), ".")
        return None

    def resolve(self, module: Module, name: str, seen: frozenset[tuple[Path, str]] = frozenset()) -> Place | None:
        """Finds the definition behind a name of a file, through the project's imports."""
        if (module.path, name) in seen or len(seen) > 12:
            return None
        seen |= {(module.path, name)}
        if name in module.definitions:
            return Place(module, module.definitions[name], name)
        item = module.imports.get(name)
        for found in [item] if item is not None else module.stars:
            if found.name is None:
                file = self.imported_file(module.path, found)
                inner = self.module(file) if file else None
                return Place(inner, inner.tree) if inner else None
            wanted = found.name if found.name != "*" else name
            file = self.imported_file(module.path, found)
            inner = self.module(file) if file else None
            place = self.resolve(inner, wanted, seen) if inner and inner is not module else None
            if place is None and found.name != "*" and (file := self.imported_file(module.path, found, wanted)):
                inner = self.module(file)
                place = Place(inner, inner.tree) if inner else None
            if place is not None:
                return place
        return None

    def resolve_path(self, module: Module, parts: list[str]) -> Place | None:
        """Finds the definition behind `a.b.c`, where the first are modules."""
        place = self.resolve(module, parts[0])
        for part in parts[1:]:
            if place is None or place.name is not None:
                break  # an attribute of an object
            inner = place.module
            found = self.resolve(inner, part)
            if found is None and inner.path.name == "__init__.py":
                file = self.imported_file(inner.path, Import("", 1), part)
                submodule = self.module(file) if file else None
                found = Place(submodule, submodule.tree) if submodule else None
            place = found
        return place

    def reach(self, start: Module) -> list[Place]:
        """Lists what a script's code can reach, the script first: functions and classes it names, and those they name."""
        places, seen = [Place(start, start.tree)], {id(start.tree)}
        for place in places:
            for node in ast.walk(place.node):
                parts = dotted(node) if isinstance(node, ast.Name | ast.Attribute) else None
                found = self.resolve_path(place.module, parts) if parts else None
                if found is None or found.name is None or id(found.node) in seen:
                    continue
                seen.add(id(found.node))
                if not isinstance(found.node, ast.Assign | ast.AnnAssign):
                    places.append(found)
            if len(places) > REACH_LIMIT:
                break
        return places
