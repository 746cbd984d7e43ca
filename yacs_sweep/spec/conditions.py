"""Evaluates conditions between parameters, such as `SOLVER.WARMUP_ITERS < SOLVER.MAX_EPOCHS`.

A small evaluator over Python's syntax tree: names are parameter names (dots included), and only
comparisons, and/or/not, arithmetic, lists and abs/min/max/len exist. Nothing is executed.
"""

from __future__ import annotations

import ast
import operator
from collections.abc import Callable, Iterator, Mapping
from functools import lru_cache
from typing import Any

from ..base.errors import SweepError

_COMPARE: dict[type[ast.cmpop], Callable[[Any, Any], bool]] = {
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
    ast.In: lambda left, right: left in right,
    ast.NotIn: lambda left, right: left not in right,
}
_SIGNS: dict[type[ast.cmpop], int] = {ast.Lt: 1, ast.LtE: 1, ast.Gt: -1, ast.GtE: -1}
_LEAST = 1e-12  # excess of a strict comparison of equal numbers
_MAX_BITS = 4096  # of a power of whole numbers, which could take all memory


def _power(base: Any, exponent: Any) -> Any:
    """Raises to a power. Raises ArithmeticError for a result that is no real number, or too large to compute."""
    whole = isinstance(base, int) and isinstance(exponent, int)
    if whole and abs(base) > 1 and base.bit_length() * exponent > _MAX_BITS:
        raise OverflowError("a power is too large")
    power = base**exponent
    if isinstance(power, complex):
        raise ArithmeticError("a root of a negative number")
    return power


_ARITHMETIC: dict[type[ast.operator], Callable[[Any, Any], Any]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.FloorDiv: operator.floordiv,
    ast.Mod: operator.mod,
    ast.Pow: _power,
}
_FUNCTIONS: dict[str, Callable[..., Any]] = {"abs": abs, "min": min, "max": max, "len": len}
_WORDS = {"true": True, "false": False, "null": None}  # YAML's spellings
_UNKNOWN = object()
_MAX_LENGTH = 2000
_MAX_DEPTH = 200
_ALLOWED = "allowed are comparisons, and, or, not, in, + - * / // % **, abs, min, max, len, lists and parameter names"


class ExpressionError(SweepError):
    """Reports an expression that cannot be read or evaluated; the text says why.

    Attributes:
        place: characters before the mistake; None where that is not known.
    """

    def __init__(self, text: str, place: int | None = None) -> None:
        super().__init__(text)
        self.place = place


class Expression:
    """Holds one condition. `names` are the parameters it mentions, in order of appearance."""

    def __init__(self, text: str) -> None:
        """Parses the text. Raises ExpressionError for anything outside the language."""
        self.text = text
        if len(text) > _MAX_LENGTH:
            raise ExpressionError(f"longer than {_MAX_LENGTH} characters")
        try:
            self._tree = ast.parse(text.strip(), mode="eval").body
        except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
            before = len(text) - len(text.lstrip())
            place = None
            if isinstance(error, SyntaxError):  # 0: at its end
                place = before + error.offset - 1 if error.offset else len(text)
            raise ExpressionError(f"cannot be read: '{text}'; {_ALLOWED}", place) from None
        names: list[str] = []
        for node in self._checked(self._tree):
            name = _name(node)
            if name is not None and name not in names and name.lower() not in _WORDS:
                names.append(name)
        self.names: tuple[str, ...] = tuple(names)

    def holds(self, values: Mapping[str, Any]) -> bool:
        """Tells whether the values satisfy the condition.

        A comparison with an inactive (absent) parameter excludes nothing. Raises ExpressionError as `truth` does.
        """
        return self.truth(values) is not False

    def truth(self, values: Mapping[str, Any]) -> bool | None:
        """Tells whether the values satisfy the condition; None where that depends on names without a value.

        Arithmetic without a result (a division by zero, an overflow) does not satisfy the condition. Raises
        ExpressionError for types that do not fit (text < number).
        """
        try:
            result = self._evaluate(self._tree, values)
        except ArithmeticError:
            return False
        except (TypeError, ValueError) as error:
            shown = ", ".join(f"{name} = {values[name]!r}" for name in self.names if name in values)
            raise ExpressionError(f"'{self.text}' cannot be evaluated with {shown}: {error}") from None
        return None if result is _UNKNOWN else bool(result)

    def excess(self, values: Mapping[str, Any]) -> float | None:
        """Computes by how much the values miss the condition; 0 or less where they satisfy it.

        Of `a <= b` it is a - b; of `and` the largest part, of `or` the smallest. A condition of another kind counts 1 or
        -1. None where `truth` is None. Raises ExpressionError as `truth` does.
        """
        if self.truth(values) is None:
            return None
        try:
            return self._excess(self._tree, values)
        except ArithmeticError:
            return 1.0

    def _excess(self, node: ast.AST, values: Mapping[str, Any]) -> float:
        """Computes `excess` of a node; parts that are not known are left out."""
        if isinstance(node, ast.BoolOp):
            known = [part for part in node.values if self._evaluate(part, values) is not _UNKNOWN]
            parts = [self._excess(part, values) for part in known]
            return max(parts) if isinstance(node.op, ast.And) else min(parts)
        if isinstance(node, ast.Compare) and all(type(op) in _SIGNS for op in node.ops):
            sides = [self._evaluate(side, values) for side in _operands(node)]
            if all(isinstance(side, (int, float)) for side in sides):
                steps = zip(node.ops, sides, sides[1:], strict=False)
                found = [float(_SIGNS[type(op)] * (left - right)) for op, left, right in steps]
                broken = not self._evaluate(node, values)
                return max(max(found), _LEAST) if broken else min(max(found), 0.0)
        return -1.0 if self._evaluate(node, values) else 1.0

    def _checked(self, node: ast.AST, depth: int = 0) -> Iterator[ast.AST]:
        """Yields every node that has a value, parents first. Raises ExpressionError for a forbidden one."""
        if depth > _MAX_DEPTH:
            raise ExpressionError(f"nested too deeply: '{self.text}'")
        if _name(node) is not None:
            yield node
            return
        if not _allowed(node):
            raise ExpressionError(f"'{ast.unparse(node)}' is not allowed in '{self.text}'; {_ALLOWED}")
        yield node
        for child in _operands(node):
            yield from self._checked(child, depth + 1)

    def _evaluate(self, node: ast.AST, values: Mapping[str, Any]) -> Any:
        """Computes the value of a node; _UNKNOWN when it depends on an inactive parameter (Kleene's logic)."""
        name = _name(node)
        if name is not None:
            return values[name] if name in values else _WORDS.get(name.lower(), _UNKNOWN)
        if isinstance(node, ast.Constant):
            return node.value
        if isinstance(node, ast.BoolOp):
            return self._connect(node, values)
        parts = [self._evaluate(part, values) for part in _operands(node)]
        if any(part is _UNKNOWN for part in parts):
            return _UNKNOWN
        if isinstance(node, ast.UnaryOp):
            if isinstance(node.op, ast.Not):
                return not parts[0]
            return -_number(parts[0]) if isinstance(node.op, ast.USub) else +_number(parts[0])
        if isinstance(node, ast.BinOp):
            return _ARITHMETIC[type(node.op)](_number(parts[0]), _number(parts[1]))
        if isinstance(node, ast.Compare):
            steps = zip(node.ops, parts, parts[1:], strict=False)
            return all(_COMPARE[type(op)](left, right) for op, left, right in steps)
        if isinstance(node, ast.Call):
            return _FUNCTIONS[str(_name(node.func))](*parts)
        return parts

    def _connect(self, node: ast.BoolOp, values: Mapping[str, Any]) -> Any:
        """Computes `and` and `or` over values that may be _UNKNOWN."""
        decisive = isinstance(node.op, ast.Or)
        unknown = False
        for part in node.values:
            value = self._evaluate(part, values)
            if value is _UNKNOWN:
                unknown = True
            elif bool(value) is decisive:
                return decisive
        return _UNKNOWN if unknown else not decisive


@lru_cache(maxsize=256)
def compile_expression(text: str) -> Expression:
    """Parses an expression, once for each text."""
    return Expression(text)


def allows(where: tuple[str, ...], values: Mapping[str, Any]) -> bool:
    """Tells whether the values satisfy every condition."""
    return all(compile_expression(text).holds(values) for text in where)


def _allowed(node: ast.AST) -> bool:
    """Tells whether a node belongs to the language, whatever its operands are."""
    if isinstance(node, ast.UnaryOp):
        return isinstance(node.op, (ast.Not, ast.USub, ast.UAdd))
    if isinstance(node, ast.BinOp):
        return type(node.op) in _ARITHMETIC
    if isinstance(node, ast.Compare):
        return all(type(op) in _COMPARE for op in node.ops)
    if isinstance(node, ast.Call):
        return not node.keywords and _name(node.func) in _FUNCTIONS
    if isinstance(node, ast.Constant):
        return isinstance(node.value, (bool, int, float, str, type(None)))
    return isinstance(node, (ast.BoolOp, ast.List, ast.Tuple))


def _operands(node: ast.AST) -> list[ast.expr]:
    """Returns the operands of an allowed node, left to right."""
    if isinstance(node, ast.BoolOp):
        return node.values
    if isinstance(node, ast.UnaryOp):
        return [node.operand]
    if isinstance(node, ast.BinOp):
        return [node.left, node.right]
    if isinstance(node, ast.Compare):
        return [node.left, *node.comparators]
    if isinstance(node, ast.Call):
        return node.args
    return node.elts if isinstance(node, (ast.List, ast.Tuple)) else []


def _name(node: ast.AST) -> str | None:
    """Returns the parameter name that a node spells, such as `SOLVER.BASE_LR`; None for any other node."""
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.Attribute):
        parent = _name(node.value)
        return None if parent is None else f"{parent}.{node.attr}"
    return None


def _number(value: Any) -> Any:
    """Returns a number for arithmetic. Raises TypeError for any other value."""
    if not isinstance(value, (int, float)):  # true and false count as 1 and 0
        raise TypeError(f"{value!r} is not a number")
    return value
