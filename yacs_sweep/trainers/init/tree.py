"""Finds a script's YACS tree in its source: where it is defined, and its keys with their defaults."""

from __future__ import annotations

import ast
from dataclasses import dataclass, field
from typing import Any

from .arguments import UNKNOWN, literal
from .project import Definition, Module, Place, Project, assigned, dotted, statements

_MERGES = ("merge_from_file", "merge_from_list", "merge_from_other_cfg", "load_cfg")
_NODES = ("CN", "CfgNode", "ConfigDict", "ConfigNode", "Config")


@dataclass
class Tree:
    """Holds a tree as its source has it. `schema` is FILE:NAME; `leaves` are the defaults by dotted key."""

    schema: str
    leaves: dict[str, Any] = field(default_factory=dict)
    module: Module | None = None  # None: of a package that is not part of the project


def merged_arguments(places: list[Place]) -> list[str]:
    """Names the arguments that `merge_from_list(args.NAME)` takes."""
    found = []
    for place in places:
        for node in ast.walk(place.node):
            if isinstance(node, ast.Call) and getattr(node.func, "attr", "") == "merge_from_list" and node.args:
                parts = dotted(node.args[0])
                if parts and len(parts) == 2:
                    found.append(parts[1])
    return list(dict.fromkeys(found))


def merges(places: list[Place], method: str) -> bool:
    """Tells whether what a script reaches calls the tree's method."""
    nodes = (node for place in places for node in ast.walk(place.node))
    return any(isinstance(node, ast.Call) and getattr(node.func, "attr", "") == method for node in nodes)


def find_tree(project: Project, places: list[Place]) -> Tree | None:
    """Finds the tree that the script merges its configuration file into; None for a script without one."""
    finder = _Finder(project, places)
    for place in places:
        for node in ast.walk(place.node):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in _MERGES:
                parts = dotted(node.func.value)
                if parts and parts[0] not in ("self", "super") and (tree := finder.follow(place, parts)):
                    return tree
    return finder.largest()


class _Finder:
    """Follows a name to the tree it stands for."""

    def __init__(self, project: Project, places: list[Place]) -> None:
        self.project, self.places = project, places

    def follow(self, place: Place, parts: list[str], depth: int = 0) -> Tree | None:
        """Follows a name in a function, or `module.name`: parameters to their callers, results to what returns them."""
        if depth > 8:
            return None
        if len(parts) > 1:
            found = self.project.resolve_path(place.module, parts)
            return self._defined(found, depth) if found and found.name else None
        name = parts[0]
        if isinstance(place.node, ast.FunctionDef | ast.AsyncFunctionDef):
            arguments = [item.arg for item in place.node.args.args]
            if name in arguments:
                return self._of_callers(place, name, arguments.index(name), depth)
        if place.name is not None or name not in place.module.definitions:
            for node in ast.walk(place.node):
                if isinstance(node, ast.Assign) and name in assigned(node):
                    return self._value(place, node, name, depth)
        found = self.project.resolve(place.module, name)
        if found is not None:
            return self._defined(found, depth)
        return self._foreign(place.module, name)

    def _of_callers(self, place: Place, name: str, index: int, depth: int) -> Tree | None:
        """Follows a parameter to what the function's callers give."""
        assert place.name is not None
        for caller in self.places:
            for node in ast.walk(caller.node):
                called = dotted(node.func) if isinstance(node, ast.Call) else None
                if not isinstance(node, ast.Call) or not called or called[-1] != place.name:
                    continue
                words = {item.arg: item.value for item in node.keywords}
                given = words.get(name) or (node.args[index] if index < len(node.args) else None)
                parts = dotted(given) if given is not None else None
                if parts and (caller.node is not place.node) and (tree := self.follow(caller, parts, depth + 1)):
                    return tree
        return None

    def _defined(self, found: Place, depth: int) -> Tree | None:
        """Returns the tree of a definition: a variable, or a function that returns one."""
        if isinstance(found.node, ast.Assign | ast.AnnAssign) and found.name:
            return self._value(found, found.node, found.name, depth)
        if isinstance(found.node, ast.FunctionDef) and found.name:
            return self._returned(found, depth)
        return None

    def _value(self, place: Place, node: ast.Assign | ast.AnnAssign, name: str, depth: int) -> Tree | None:
        """Returns the tree behind `NAME = …`."""
        value = node.value
        if isinstance(value, ast.Call):
            parts = dotted(value.func)
            if parts and parts[-1] in ("clone", "copy", "deepcopy") and len(parts) > 1:
                source = parts[:-1] if parts[0] != "copy" else dotted(value.args[0]) if value.args else None
                return self.follow(place, source, depth + 1) if source else None
            if is_node(place.module, value):
                return self._tree(place.module, name)
            if parts:
                found = self.project.resolve_path(place.module, parts)
                if found is not None:
                    return self._defined(found, depth + 1)
                return self._foreign(place.module, parts[0]) if len(parts) == 1 else None
        if isinstance(value, ast.Name | ast.Attribute) and (parts := dotted(value)) and parts != [name]:
            return self.follow(place, parts, depth + 1)
        return None

    def _returned(self, place: Place, depth: int) -> Tree | None:
        """Returns the tree that a function returns: a variable of its file, or one that the function builds."""
        assert isinstance(place.node, ast.FunctionDef)
        for node in ast.walk(place.node):
            if not isinstance(node, ast.Return) or node.value is None:
                continue
            values = node.value.elts if isinstance(node.value, ast.Tuple) else [node.value]
            for value in values:
                parts = dotted(value.func) if isinstance(value, ast.Call) else dotted(value)
                if not parts:
                    continue
                if parts[-1] == "clone":
                    parts = parts[:-1]
                if any(
                    isinstance(item, ast.Assign) and parts[0] in assigned(item) and is_node(place.module, item.value)
                    for item in ast.walk(place.node)
                ):
                    values_of = read_block(self.project, place.module, statements(place.node.body))
                    return Tree(f"{place.module.path.as_posix()}:{place.name}", flat(values_of[parts[0]]), place.module)
                if tree := self.follow(place, parts, depth + 1):
                    return tree
        return None

    def _tree(self, module: Module, name: str) -> Tree:
        values = read_block(self.project, module, statements(module.tree.body))
        return Tree(f"{module.path.as_posix()}:{name}", flat(values.get(name, {})), module)

    def _foreign(self, module: Module, name: str) -> Tree | None:
        """Returns the tree of a package that is not part of the project, of which only the name is known."""
        item = module.imports.get(name)
        if item is None or item.name is None or item.level or item.module.partition(".")[0] == "yacs":
            return None
        return Tree(f"{item.module}:{item.name}")

    def largest(self) -> Tree | None:
        """Returns the tree with the most keys in the files that the script reaches."""
        trees = [
            tree
            for module in dict.fromkeys(place.module for place in self.places)
            for name, node in module.definitions.items()
            if isinstance(node, ast.Assign)
            and is_node(module, node.value)
            and (tree := self._tree(module, name)).leaves
        ]
        return max(trees, key=lambda tree: len(tree.leaves), default=None)


def is_node(module: Module, value: ast.AST | None) -> bool:
    """Tells whether an expression makes a node of a tree."""
    if not isinstance(value, ast.Call) or not (parts := dotted(value.func)):
        return False
    item = module.imports.get(parts[0])
    return parts[-1] in _NODES or (item is not None and item.name in _NODES)


def read_block(project: Project, module: Module, block: Any) -> dict[str, Any]:
    """Reads assignments such as `_C.SOLVER.BASE_LR = 0.1`; returns each variable's nested keys."""
    variables: dict[str, Any] = {}
    for statement in block:
        if not isinstance(statement, ast.Assign):
            continue
        value = _read_value(project, module, statement.value, variables)
        for target in statement.targets:
            parts = dotted(target)
            if not parts or (len(parts) > 1 and not isinstance(variables.get(parts[0]), dict)):
                continue
            if len(parts) == 1:
                variables[parts[0]] = value
                continue
            node = variables[parts[0]]
            for part in parts[1:-1]:
                node = node.setdefault(part, {})
                if not isinstance(node, dict):
                    break
            else:
                node[parts[-1]] = value
    return variables


def _read_value(project: Project, module: Module, node: ast.expr, variables: dict[str, Any]) -> Any:
    """Evaluates the value of a key: a literal, a node, a variable that was read before."""
    if is_node(module, node):
        assert isinstance(node, ast.Call)
        given = literal(node.args[0]) if node.args else {}
        return given if isinstance(given, dict) else {}
    parts = dotted(node.func) if isinstance(node, ast.Call) else dotted(node)
    if parts and parts[-1] == "clone":
        parts = parts[:-1]
    if parts and len(parts) == 1 and parts[0] in variables:
        return variables[parts[0]]
    if parts and len(parts) == 1 and (found := project.resolve(module, parts[0])) and found.module is not module:
        definition: Definition | ast.AST = found.node
        if found.name and isinstance(definition, ast.Assign) and is_node(found.module, definition.value):
            return read_block(project, found.module, statements(found.module.tree.body)).get(found.name, {})
    return literal(node)


def flat(tree: Any, above: str = "") -> dict[str, Any]:
    """Returns nested keys as dotted ones; an empty node has none."""
    if not isinstance(tree, dict):
        return {above: tree} if above else {}
    found: dict[str, Any] = {}
    for name, value in tree.items():
        found |= flat(value, f"{above}.{name}" if above else str(name))
    return found


__all__ = ["UNKNOWN", "Tree", "find_tree", "flat", "merged_arguments", "merges"]
