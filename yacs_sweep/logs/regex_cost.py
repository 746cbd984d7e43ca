"""Measures the cost of a regular expression by its parse tree, and finds the texts that every match contains.

The texts let most lines be skipped without a match; the cost is repetitions that take exponential or high polynomial
time.
"""

from __future__ import annotations

import re
import sys
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

if sys.version_info >= (3, 11):
    from re import _constants as sre
    from re import _parser as sre_parser
else:
    import sre_constants as sre
    import sre_parse as sre_parser
Tree = Any  # sre_parse.SubPattern, the same shape under two module names
_REPEATS = {getattr(sre, n) for n in ("MAX_REPEAT", "MIN_REPEAT", "POSSESSIVE_REPEAT") if hasattr(sre, n)}
_ATOMIC = getattr(sre, "ATOMIC_GROUP", None)
_ZERO_WIDTH = {sre.AT, sre.ASSERT, sre.ASSERT_NOT}
_CHARACTERS = {sre.LITERAL, sre.NOT_LITERAL, sre.ANY, sre.IN}
_WIDE_TIMES = 16  # a repeat of fewer characters cannot skip much
_COPIES = 4  # a bounded repeat counts as this many copies at most
_MAX_POSITIONS = 120
_MANY = 1 << 40  # ways; more need not be counted
_BEYOND = "\u3042"  # stands for every character beyond Latin-1
_ALPHABET = [*map(chr, range(256)), _BEYOND]


def parse(pattern: str) -> Tree:
    """Parses a pattern into its tree.

    Raises:
        re.error: the text is not a regular expression.
    """
    return sre_parser.parse(pattern)


def required_literals(tree: Tree) -> list[str]:
    """Finds texts of which every match contains at least one; empty when there are none, or case is ignored."""
    if tree.state.flags & re.IGNORECASE:
        return []
    return _required(tree)


def _required(items: Iterable[Any]) -> list[str]:
    """Finds the longest texts of which every match of the nodes contains at least one."""
    best: list[str] = []
    run = ""
    for option in [*_options(items), [""]]:
        if isinstance(option, str):
            run += option
            continue
        for candidate in ([run], option):
            if _shortest(candidate) > _shortest(best):
                best = candidate
        run = ""
    return best


def _shortest(texts: list[str]) -> int:
    """Measures the shortest of the texts."""
    return min(map(len, texts), default=0)


def _options(items: Iterable[Any]) -> Iterator[str | list[str]]:
    """Yields a sequence as characters that follow one another (str), and the texts that each part between requires."""
    for op, arg in items:
        if op is sre.LITERAL:
            yield chr(arg)
        elif op is sre.SUBPATTERN and not arg[1] & re.IGNORECASE:
            yield from _options(arg[3])
        elif op is sre.SUBPATTERN:
            yield []
        elif op is _ATOMIC:
            yield from _options(arg)
        elif op is sre.BRANCH:
            branches = [_required(branch) for branch in arg[1]]
            yield [text for branch in branches for text in branch] if all(branches) else []
        elif op in _REPEATS:
            yield _required(arg[2]) if arg[0] > 0 else []
        elif op not in _ZERO_WIDTH:
            yield []


def exponential_part(tree: Tree) -> str | None:
    """Finds a repetition that is exponentially ambiguous, in words; None when there is none.

    A backtracking matcher takes exponential time only if some state of the pattern's automaton can return to itself
    in two ways over the same text (EDA; Weber and Seidl, "On the degree of ambiguity of finite automata", 1991). The
    automaton is the position automaton; two ways between the same two positions count as two. Look-around is ignored
    and a back reference takes any text, so that the answer errs on the side of refusing.
    """
    for repeat in _outer_loops(tree):
        automaton = _Positions(_ignores_case(tree))
        automaton.repeat(*repeat)
        if len(automaton.characters) > _MAX_POSITIONS:
            return "a repeated part is too large to be checked"
        if automaton.idle or automaton.ambiguous():
            return "a repeated part can match the same text in more than one way"
    return None


def run_degree(tree: Tree) -> int:
    """Computes the degree of the polynomial that bounds a failing search in a run of one character, such as `=====`.

    Each repeat that can take over the run from the one before adds one, and so does the search's own start.
    """
    automaton = _Positions(_ignores_case(tree))
    start = automaton.fragment(sre.MAX_REPEAT, (0, sre.MAXREPEAT, [(sre.ANY, None)]))
    body = automaton.sequence(tree)
    if not (len(tree) and tree[0] in ((sre.AT, sre.AT_BEGINNING), (sre.AT, sre.AT_BEGINNING_STRING))):
        automaton.join(start, body)
    loops = [position for position, edges in automaton.follow.items() if position in edges]
    runs = automaton.accepting(loops)
    return max((_most_loops(automaton.follow, run) for run in runs), default=0)


def choices(tree: Tree) -> int:
    """Counts the ways through the pattern that read the same text, loops left out: `(?:a?){3}aaa` has several.

    Optional parts and alternatives multiply a search's time by this number. The text is found greedily: from every position,
    each next character is the one that most ways can read.
    """
    automaton = _Positions(_ignores_case(tree))
    automaton.sequence(tree)
    # Positions are numbered from left to right, so an edge that goes back, or stays, closes a loop.
    ahead = [{o: n for o, n in automaton.follow[p].items() if o > p} for p in range(len(automaton.characters))]
    accepting = automaton.accepting(range(len(automaton.characters)))
    most = 1
    for start, edges in enumerate(ahead):
        branches = (
            any(len(edges.keys() & positions) > 1 for positions in accepting) or max(edges.values(), default=1) > 1
        )
        alive = {start: 1} if branches else {}
        while alive and most < _MANY:
            after: Counter[int] = Counter()
            for position, ways in alive.items():
                for other, count in ahead[position].items():
                    after[other] += ways * count
            alive = max(
                ({p: after[p] for p in positions & after.keys()} for positions in accepting),
                key=lambda found: sum(found.values()),
                default={},
            )
            most = max(most, sum(alive.values()))
            if sum(alive.values()) == 1:
                break  # what branches later is a start of its own
    return most


def wide_repeats(tree: Tree) -> int:
    """Counts the repeats of a single character that take (almost) anything, on the worst way through the pattern."""
    most = 0
    for op, arg in tree:
        if op is sre.GROUPREF:
            most += 1
        elif op in _REPEATS:
            body = arg[2]
            single = len(body) == 1 and body[0][0] in _CHARACTERS
            if not single:
                most += wide_repeats(body)
            elif arg[1] > _WIDE_TIMES and len(_character_set(*body[0])) > len(_ALPHABET) // 2:
                most += 1
        else:
            most += max(map(wide_repeats, _parts(op, arg)), default=0)
    return most


def _most_loops(follow: Mapping[int, Counter[int]], inside: frozenset[int]) -> int:
    """Counts the repeats on the worst way through the positions `inside`."""
    most: dict[int, int] = {}

    def visit(position: int) -> int:
        if position not in most:
            most[position] = 0  # a way back counts once
            ahead = [visit(other) for other in follow.get(position, ()) if other in inside and other != position]
            most[position] = max(ahead, default=0) + (position in follow.get(position, ()))
        return most[position]

    return max((visit(position) for position in inside), default=0)


def _ignores_case(tree: Tree) -> bool:
    """Tells whether the whole pattern ignores case."""
    return bool(tree.state.flags & re.IGNORECASE)


def _outer_loops(items: Iterable[Any]) -> Iterator[Any]:
    """Yields the outermost unbounded repeats of more than one character: (least, most, body)."""
    for op, arg in items:
        if op in _REPEATS:
            low_high_body = arg
            body = low_high_body[2]
            single = len(body) == 1 and body[0][0] in _CHARACTERS
            if low_high_body[1] > _COPIES and not single:
                yield low_high_body
            else:
                yield from _outer_loops(body)
        else:
            for part in _parts(op, arg):
                yield from _outer_loops(part)


def _parts(op: Any, arg: Any) -> list[Any]:
    """Lists the sub-sequences of a node that is neither a character nor a repeat."""
    if op is sre.SUBPATTERN:
        return [arg[3]]
    if op is sre.BRANCH:
        return list(arg[1])
    if op is _ATOMIC:
        return [arg]
    if op in (sre.ASSERT, sre.ASSERT_NOT):
        return [arg[1]]
    if op is sre.GROUPREF_EXISTS:
        return [part for part in arg[1:] if part is not None]
    return []


# (ways to be empty, first positions, last positions); a position listed twice is reached in two ways
_Fragment = tuple[int, list[int], list[int]]
_EMPTY: _Fragment = (1, [], [])


class _Positions:
    """The position (Glushkov) automaton of a part of a pattern, with edges counted."""

    def __init__(self, ignore_case: bool) -> None:
        self._ignore_case = ignore_case
        self.characters: list[frozenset[str]] = []
        self.follow: defaultdict[int, Counter[int]] = defaultdict(Counter)
        self.idle = False  # whether a counted repeat has turns that take no text, which can be any of them

    def sequence(self, items: Iterable[Any]) -> _Fragment:
        """Adds nodes that follow one another."""
        whole = _EMPTY
        for op, arg in items:
            whole = self.join(whole, self.fragment(op, arg))
        return whole

    def loop(self, body: _Fragment) -> _Fragment:
        """Links the end of a fragment to its beginning."""
        self._link(body[2], body[1])
        return body

    def fragment(self, op: Any, arg: Any) -> _Fragment:
        """Adds one node."""
        if op in _CHARACTERS:
            characters = _character_set(op, arg)
            if self._ignore_case:
                characters |= {other for c in characters for other in (c.lower(), c.upper())}
            self.characters.append(characters)
            position = len(self.characters) - 1
            return (0, [position], [position])
        if op in _REPEATS:
            return self.repeat(*arg)
        if op is sre.GROUPREF:
            return self.repeat(0, sre.MAXREPEAT, [(sre.ANY, None)])
        if op in _ZERO_WIDTH:
            return _EMPTY
        if op is sre.SUBPATTERN and arg[1] & re.IGNORECASE:
            self._ignore_case = True  # from here on, which errs on the side of refusing
        parts = [self.sequence(part) for part in _parts(op, arg)]
        if not parts:
            return _EMPTY
        if op is sre.GROUPREF_EXISTS and len(parts) == 1:
            parts.append(_EMPTY)
        return (
            min(sum(part[0] for part in parts), 2),
            [position for part in parts for position in part[1]],
            [position for part in parts for position in part[2]],
        )

    def repeat(self, low: int, high: int, body: Any) -> _Fragment:
        """Adds a repeat: a loop, or as many copies as `high` says where these are few."""
        if high > _COPIES:
            once = self.loop(self.sequence(body))
            self.idle = self.idle or (once[0] > 0 and (high < sre.MAXREPEAT or low > _COPIES))
            return (min(once[0] + (low == 0), 2), once[1], once[2])
        whole = _EMPTY
        copies = [self.sequence(body) for _ in range(high)]
        for copy in reversed(range(high)):  # x{1,3} is x(x(x)?)?
            whole = self.join(copies[copy], whole)
            if copy >= low:
                whole = (min(whole[0] + 1, 2), whole[1], whole[2])
        return whole

    def join(self, left: _Fragment, right: _Fragment) -> _Fragment:
        """Links two fragments, one after the other."""
        self._link(left[2], right[1])
        return (min(left[0] * right[0], 2), left[1] + right[1] * left[0], right[2] + left[2] * right[0])

    def _link(self, lasts: list[int], firsts: list[int]) -> None:
        for last in lasts:
            self.follow[last].update(firsts)

    def accepting(self, positions: Iterable[int]) -> set[frozenset[int]]:
        """Groups all positions by the characters that one of `positions` takes: the sets of positions, each once."""
        return {
            frozenset(position for position, taken in enumerate(self.characters) if character in taken)
            for character in set().union(*(self.characters[position] for position in positions))
        }

    def ambiguous(self) -> bool:
        """Tells whether some position returns to itself in two ways over one text; all positions lie on one loop."""
        if any(count > 1 for edges in self.follow.values() for count in edges.values()):
            return True
        forward: dict[tuple[int, int], list[tuple[int, int]]] = {}
        backward: defaultdict[tuple[int, int], list[tuple[int, int]]] = defaultdict(list)
        starts = [(position, position) for position in range(len(self.characters))]
        waiting = list(starts)
        while waiting:
            pair = waiting.pop()
            if pair in forward:
                continue
            forward[pair] = [
                (left, right)
                for left in self.follow[pair[0]]
                for right in self.follow[pair[1]]
                if self.characters[left] & self.characters[right]
            ]
            for successor in forward[pair]:
                backward[successor].append(pair)
            waiting += forward[pair]
        return any(
            left != right for start in starts for left, right in _reached(start, forward) & _reached(start, backward)
        )


def _reached(start: tuple[int, int], edges: Any) -> set[tuple[int, int]]:
    """Collects the pairs of positions that can be reached from `start`."""
    seen = {start}
    waiting = [start]
    while waiting:
        for successor in edges.get(waiting.pop(), ()):
            if successor not in seen:
                seen.add(successor)
                waiting.append(successor)
    return seen


def _character_set(op: Any, arg: Any) -> frozenset[str]:
    """Collects the characters that a node takes, out of `_ALPHABET`."""
    if op is sre.ANY:
        return frozenset(_ALPHABET)
    if op is sre.LITERAL:
        return frozenset((_stand_in(arg),))
    if op is sre.NOT_LITERAL:
        return frozenset(_ALPHABET) - {chr(arg)}
    negated = arg[0][0] is sre.NEGATE
    inside: set[str] = set()
    for kind, value in arg[1:] if negated else arg:
        if kind is sre.LITERAL:
            inside.add(_stand_in(value))
        elif kind is sre.RANGE:
            inside.update(_stand_in(code) for code in range(value[0], min(value[1], 256) + 1))
            inside.add(_stand_in(value[1]))
        else:
            inside.update(c for c in _ALPHABET if _CATEGORIES[value].match(c))
    return frozenset(_ALPHABET) - inside if negated else frozenset(inside)


def _stand_in(code: int) -> str:
    """Returns the character, or the one that stands for all beyond Latin-1."""
    return chr(code) if code < 256 else _BEYOND


_CATEGORIES = {
    sre.CATEGORY_DIGIT: re.compile(r"\d"),
    sre.CATEGORY_NOT_DIGIT: re.compile(r"\D"),
    sre.CATEGORY_WORD: re.compile(r"\w"),
    sre.CATEGORY_NOT_WORD: re.compile(r"\W"),
    sre.CATEGORY_SPACE: re.compile(r"\s"),
    sre.CATEGORY_NOT_SPACE: re.compile(r"\S"),
}
