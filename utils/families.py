"""Tables of builders: which function or class builds a backbone, a head, a loss by the name that a setting gives.

Imports nothing that a table names before it is built, so that settings are checked without torch.
"""

from __future__ import annotations

import ast
import difflib
import importlib
import importlib.util
import os
import sys
import zlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from utils.errors import ConfigError
from utils.own_code import remember
from utils.text import not_allowed

Builder = Callable[..., Any]
OWN_FILE = "FILE.py:NAME"  # how messages write the form of a builder in a user's own file


@dataclass(frozen=True)
class Family:
    """Table of builders by name, as `module:function` or `module:Class`.

    A name that ends with a slash stands for all names that begin so. Beside the names, `FILE.py:NAME` is the function
    or class NAME in a file of the user's, relative to the current folder.
    `key` is the setting that gives a name, for messages.
    """

    members: Mapping[str, str]
    key: str = ""

    @property
    def names(self) -> tuple[str, ...]:
        """Lists the names, without those that stand for many."""
        return tuple(name for name in self.members if not name.endswith("/"))

    @property
    def forms(self) -> tuple[str, ...]:
        """Lists what a setting may say, for messages: the names, those that stand for many, and FILE.py:NAME."""
        return (*self.names, *(f"{name}<name>" for name in self.members if name.endswith("/")), OWN_FILE)

    def problem(self, name: str) -> str:
        """Checks a name without importing its builder; returns what is wrong with it, or an empty text."""
        if self._place(name):
            return ""
        file, _, builder = name.rpartition(":")
        if file.endswith(".py"):
            problem = _file_problem(file, builder)
            return problem if Path(file).exists() else f"{problem}; {self._where()}"
        return not_allowed(name, self.forms, self.names)

    def builder(self, name: str) -> Builder:
        """Imports the builder of a name.

        Raises:
            ConfigError: the name is not allowed, or the user's file cannot be imported.
        """
        if problem := self.problem(name):
            raise ConfigError(f"{self.key}: {problem}" if self.key else problem)
        module, _, builder = (self._place(name) or name).rpartition(":")
        if module.endswith(".py"):
            remember(Path(module).resolve(), builder, self.key)
            found = _import_file(module)
        else:
            found = importlib.import_module(module)
        build: Builder = getattr(found, builder)
        return build

    def _where(self) -> str:
        """Says how a file that has moved, or is named from another folder, is found."""
        return (
            f"`{self.key or 'the setting'} {OWN_FILE}` at the end of the command says where it is now, from this folder"
        )

    def _place(self, name: str) -> str:
        """Finds a name's `module:function`; empty where the table has none."""
        if name.endswith("/"):
            return ""
        prefix = next((key for key in self.members if key.endswith("/") and name.startswith(key)), "")
        return self.members.get(name) or self.members.get(prefix, "")


def _file_problem(file: str, builder: str) -> str:
    """Checks that a file is Python and defines a builder; returns the problem or an empty text."""
    try:
        tree = ast.parse(Path(file).read_bytes())
    except OSError as error:
        return f"{file}: cannot be read: {error.strerror}"
    except (SyntaxError, ValueError) as error:
        return f"{file}: is not Python: {str(error).splitlines()[0]}"
    defined = list(_defined_names(tree))
    if builder in defined:
        return ""
    near = difflib.get_close_matches(builder, defined, n=1)
    return f"{file}: defines no {builder or 'name behind the colon'}" + (f"; did you mean {near[0]}?" if near else "")


def _defined_names(tree: ast.Module) -> Iterator[str]:
    """Yields the names that a module's statements define or import."""
    for statement in tree.body:
        if isinstance(statement, (ast.FunctionDef, ast.ClassDef)):
            yield statement.name
        elif isinstance(statement, ast.Assign):
            yield from (target.id for target in statement.targets if isinstance(target, ast.Name))
        elif isinstance(statement, (ast.Import, ast.ImportFrom)):
            yield from ((alias.asname or alias.name) for alias in statement.names)


def _import_file(file: str) -> Any:
    """Imports a user's file once, by its path; ConfigError where its code fails."""
    path = Path(file).resolve()
    name = f"own_file_{path.stem}_{zlib.crc32(os.fsencode(path)):08x}"
    if name in sys.modules:
        return sys.modules[name]
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None and spec.loader is not None  # a path that ends with .py
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # dataclasses look their module up
    try:
        spec.loader.exec_module(module)
    except Exception as error:
        del sys.modules[name]
        reason = (str(error).splitlines() or [""])[0]
        raise ConfigError(f"{file}: cannot be imported: {type(error).__name__}: {reason}") from error
    return module
