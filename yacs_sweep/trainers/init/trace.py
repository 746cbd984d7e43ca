"""Follows values through a script's functions, back to the words, options and keys that they come from."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

from .project import Module, Place, dotted

_DEPTH = 6  # assignments and calls that are followed
Function = ast.FunctionDef | ast.AsyncFunctionDef


@dataclass(frozen=True, eq=False)
class Scope:
    """Holds a function, or the statements of a file outside functions; `called` is the name it is called by."""

    module: Module
    node: ast.AST
    called: str | None = None

    @cached_property
    def nodes(self) -> list[ast.AST]:
        """All nodes of the scope, less those of the functions in it, the outer ones first."""
        found = [self.node]
        for node in found:
            found += [child for child in ast.iter_child_nodes(node) if not isinstance(child, Function)]
        return found


class Tracer:
    """Follows values among the places that a script reaches."""

    def __init__(self, places: list[Place]) -> None:
        self.scopes: list[Scope] = []
        seen: set[int] = set()
        for place in places:
            self._add(Scope(place.module, place.node, getattr(place.node, "name", None)), seen)

    def _add(self, scope: Scope, seen: set[int]) -> None:
        """Adds a scope and the functions in it; a class is called where its `__init__` is."""
        if id(scope.node) in seen:
            return
        seen.add(id(scope.node))
        self.scopes.append(scope)
        for node in scope.nodes:
            for child in ast.iter_child_nodes(node):
                if isinstance(child, Function):
                    owner = node.name if isinstance(node, ast.ClassDef) and child.name == "__init__" else child.name
                    self._add(Scope(scope.module, child, owner), seen)

    def sources(self, scope: Scope, value: ast.AST, depth: int = 0) -> Iterator[ast.AST]:
        """Yields the expressions that a value is made of, the outer ones first, then those behind names in it."""
        inner = list(ast.walk(value))
        yield from inner
        if depth >= _DEPTH:
            return
        for node in inner:
            for where, source in self._behind(scope, node):
                yield from self.sources(where, source, depth + 1)

    def _behind(self, scope: Scope, node: ast.AST) -> Iterator[tuple[Scope, ast.AST]]:
        """Yields what a name, or `self.name`, was given: by assignments, by `with … as`, by the callers."""
        parts = dotted(node)
        if not isinstance(node, ast.Name) and not (parts and parts[0] == "self" and len(parts) == 2):
            return
        for where in [scope] if isinstance(node, ast.Name) else [s for s in self.scopes if s.module is scope.module]:
            for statement in where.nodes:
                if isinstance(statement, ast.Assign) and any(dotted(item) == parts for item in statement.targets):
                    yield where, statement.value
                elif isinstance(statement, ast.withitem) and dotted(statement.optional_vars or statement) == parts:
                    yield where, statement.context_expr
        if isinstance(node, ast.Name):
            yield from self._given(scope, node.id)

    def _given(self, scope: Scope, name: str) -> Iterator[tuple[Scope, ast.AST]]:
        """Yields what callers give for a parameter of the function."""
        names = [item.arg for item in scope.node.args.args] if isinstance(scope.node, Function) else []
        if name not in names:
            return
        index = names.index(name) - (names[0] == "self")
        for caller in self.scopes:
            for node in caller.nodes:
                called = dotted(node.func) if isinstance(node, ast.Call) else None
                if not isinstance(node, ast.Call) or not called or called[-1] != scope.called or caller is scope:
                    continue
                given = next((item.value for item in node.keywords if item.arg == name), None)
                if given is None and 0 <= index < len(node.args):
                    given = node.args[index]
                if given is not None:
                    yield caller, given


def key_path(node: ast.AST) -> list[str]:
    """Returns `cfg.A.B`, `cfg["A"]["B"]` and `cfg.get("A")` as a list; [] for any other expression."""
    if isinstance(node, ast.Name):
        return [node.id]
    above: ast.AST
    last: object
    if isinstance(node, ast.Attribute):
        above, last = node.value, node.attr
    elif isinstance(node, ast.Subscript) and isinstance(node.slice, ast.Constant):
        above, last = node.value, node.slice.value
    elif isinstance(node, ast.Call) and getattr(node.func, "attr", "") == "get" and node.args:
        assert isinstance(node.func, ast.Attribute)
        above, last = node.func.value, getattr(node.args[0], "value", None)
    else:
        return []
    parts = key_path(above)
    return [*parts, last] if parts and isinstance(last, str) else []
