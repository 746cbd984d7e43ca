"""Changes the modules that decide, one place at a time, and asks whether their own tests notice.

    make mutants
    .venv-mutants/bin/python -m tests.mutants.mutants [--module PATH …] [--sites 80 | --all] [--seed 0] [--seconds 1140]

A mutant is a module with one change: another operator, another number, a condition turned round, a decorator or a loop left
out. cosmic-ray makes them. A mutant is killed when the module's own tests (`modules.toml`) fail or take far longer than
without it; a mutant that survives shows a line about which no test says anything. Some changes change nothing that can be
seen: those stand in `equivalent.toml` with the reason and are taken off.

Of each module, places are drawn at random and one mutant is tried at each; with --all, every mutant of every place. Nothing
is changed in the checkout: mutants live in a copy. Tests run in `.venv`, where cosmic-ray is not: its requirements are
nobody else's.

Exits with status 1 if fewer than 90 % of a module's mutants are killed, or if its tests fail without one.
"""

from __future__ import annotations

import argparse
import ast
import json
import os
import random
import re
import shutil
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import cosmic_ray.ast
import cosmic_ray.mutating
import cosmic_ray.plugins

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

ROOT = Path(__file__).resolve().parents[2]
HERE = Path(__file__).resolve().parent
ANYTHING = "…"  # in a changed line of equivalent.toml
KILLED = 0.9  # of the mutants of a module, at least

Position = tuple[int, int]


@dataclass(frozen=True)
class Mutant:
    """One change of a module: the `occurrence`-th place at which an operator of cosmic-ray applies."""

    operator: str
    occurrence: int
    start: Position

    def apply(self, source: str) -> str:
        """Returns the changed source."""
        operator = cosmic_ray.plugins.get_operator(self.operator)()
        changed = cosmic_ray.mutating.mutate_code(source, operator, self.occurrence)
        assert changed is not None, self
        return str(changed)


@dataclass
class Tally:
    """Counts a module's mutants."""

    path: str
    places: int = 0
    tried: int = 0
    killed: int = 0
    timed_out: int = 0
    equivalent: int = 0
    seconds: float = 0.0
    survivors: list[str] = field(default_factory=list)
    problem: str = ""

    @property
    def passed(self) -> bool:
        """Whether enough of the mutants were killed."""
        return not self.problem and self.tried > 0 and self.killed >= KILLED * self.tried


def annotations(source: str) -> list[tuple[Position, Position]]:
    """Returns where the annotations stand: `from __future__ import annotations` keeps them from being evaluated."""
    found: list[ast.expr | None] = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, (ast.AnnAssign, ast.arg)):
            found.append(node.annotation)
        elif isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            found.append(node.returns)
    return [
        ((node.lineno, node.col_offset), (node.end_lineno or 0, node.end_col_offset or 0))
        for node in found
        if node is not None
    ]


def mutants(source: str) -> Iterator[Mutant]:
    """Yields every mutant of a module but those of annotations."""
    tree = cosmic_ray.ast.get_ast(source)
    void = annotations(source)
    for name in cosmic_ray.plugins.operator_names():
        operator = cosmic_ray.plugins.get_operator(name)
        if operator.arguments():  # needs to be told which variables
            continue
        positions = (
            (tuple(start), node)
            for node in cosmic_ray.ast.ast_nodes(tree)
            for start, _end in operator().mutation_positions(node)
        )
        for occurrence, (start, node) in enumerate(positions):
            marker = node.type == "operator" and node.parent.type == "parameters"  # `*` before keyword-only parameters
            if not marker and not any(low <= start < high for low, high in void):
                yield Mutant(name, occurrence, start)


def compiles(source: str) -> bool:
    """Tells whether Python reads a module without a warning: of `is` with a text or number it warns, as ruff does."""
    with warnings.catch_warnings():
        warnings.simplefilter("error", SyntaxWarning)
        try:
            compile(source, "mutant", "exec", dont_inherit=True)
        except (SyntaxError, ValueError):
            return False
    return True


def change(source: str, changed: str, number: int) -> tuple[str, str]:
    """Returns line `number` before and after a change, without indentation; an empty line where it was removed."""
    old, new = source.splitlines(), changed.splitlines()
    return old[number - 1].strip(), new[number - 1].strip() if len(old) == len(new) else ""


def draw(source: str, seed: str, sites: int | None) -> list[Mutant]:
    """Draws one mutant at each of `sites` places, in random order; all mutants for None."""
    places: dict[tuple[Position, str], list[Mutant]] = {}
    for mutant in mutants(source):
        kind = mutant.operator.partition("_")[0]
        places.setdefault((mutant.start, kind), []).append(mutant)
    if sites is None:
        return [mutant for found in places.values() for mutant in found]
    chance = random.Random(seed)
    return [chance.choice(places[place]) for place in chance.sample(sorted(places), len(places))]


class Copy:
    """A copy of the checkout's files, in which mutants are made and tests run."""

    def __init__(self, folder: Path, python: Path) -> None:
        """Copies what git knows, as it is in the working tree, and compiles it."""
        self.folder = folder
        self._python = python
        self._environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONDONTWRITEBYTECODE": "1"}
        self._server: subprocess.Popen[str] | None = None
        self._libraries: list[str] = []
        command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
        listed = subprocess.run(command, cwd=ROOT, capture_output=True, check=True)
        for name in filter(None, listed.stdout.decode().split("\0")):
            if (ROOT / name).is_file():
                (folder / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(ROOT / name, folder / name)
        subprocess.run([python, "-m", "compileall", "-q", folder], env=self._environment, check=False)

    def serve(self, libraries: list[str]) -> None:
        """Starts the process that runs tests, with libraries that it imports once."""
        if self._server is not None and libraries == self._libraries:
            return
        self.close()
        self._libraries = libraries
        self._server = subprocess.Popen(
            [self._python, HERE / "serve_tests.py", *libraries],
            cwd=self.folder,
            env=self._environment,
            text=True,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )

    def run(self, tests: list[str], seconds: float) -> dict[str, Any]:
        """Runs tests; see `serve_tests`."""
        server = self._server
        assert server is not None and server.stdin is not None and server.stdout is not None
        print(json.dumps({"tests": tests, "seconds": seconds}), file=server.stdin, flush=True)
        answer: dict[str, Any] = json.loads(server.stdout.readline())
        return answer

    def write(self, path: str, source: str) -> None:
        """Replaces a module, and removes its compiled file: a change may leave the module's size and time as they were."""
        file = self.folder / path
        for compiled in file.parent.glob(f"__pycache__/{file.stem}.*.pyc"):
            compiled.unlink()
        file.write_text(source, encoding="utf-8")

    def close(self) -> None:
        """Ends the process that runs tests."""
        if self._server is not None:
            self._server.communicate()


def squeeze(line: str) -> str:
    """Removes white space: cosmic-ray adds some."""
    return "".join(line.split())


def equivalents(path: str) -> list[re.Pattern[str]]:
    """Reads which changes of lines change nothing in a module: patterns of the line, a tab and the changed line."""
    entries = tomllib.loads((HERE / "equivalent.toml").read_text(encoding="utf-8"))["mutant"]
    return [
        re.compile(re.escape(squeeze(entry["line"])) + "\t" + re.escape(squeeze(after)).replace(ANYTHING, ".*"))
        for entry in entries
        if entry.get("module", path) == path
        for after in (entry["after"] if isinstance(entry["after"], list) else [entry["after"]])
    ]


def gone(path: str, source: str) -> list[str]:
    """Lists the lines of `equivalent.toml` that stand in the module no more."""
    entries = tomllib.loads((HERE / "equivalent.toml").read_text(encoding="utf-8"))["mutant"]
    lines = {squeeze(line) for line in source.splitlines()}
    return [e["line"] for e in entries if e.get("module") == path and squeeze(e["line"]) not in lines]


def try_module(copy: Copy, module: dict[str, Any], seed: int, sites: int | None, end: float) -> Tally:
    """Tries a module's mutants until `end` on the monotonic clock."""
    path, tests = module["path"], module["tests"]
    tally, start, known = Tally(path), time.monotonic(), equivalents(path)
    source = (copy.folder / path).read_text(encoding="utf-8")
    for line in gone(path, source):
        print(f"{path}: equivalent.toml has a line that is not there any more: {line}", flush=True)
    copy.serve(module.get("libraries", []))
    plain = copy.run(tests, 300)
    if plain["status"] != 0:
        tally.problem = f"its tests fail without a mutant:\n{plain['tail']}"
        return tally
    limit = 2 + 3 * plain["seconds"]
    drawn = draw(source, f"{seed} {path}", sites)
    tally.places = len(drawn)
    for mutant in drawn:
        if time.monotonic() > end or tally.tried == sites:
            break
        changed = mutant.apply(source)
        if not compiles(changed):
            continue
        number = mutant.start[0]
        before, after = change(source, changed, number)
        if any(pattern.fullmatch(f"{squeeze(before)}\t{squeeze(after)}") for pattern in known):
            tally.equivalent += 1
            continue
        copy.write(path, changed)
        answer = copy.run(tests, limit)
        tally.tried += 1
        tally.killed += answer["status"] != 0
        tally.timed_out += answer["status"] is None
        if answer["status"] == 0:
            tally.survivors.append(f"{path}:{number} ({mutant.operator.partition('/')[2]})\n  - {before}\n  + {after}")
            print(tally.survivors[-1], flush=True)
    copy.write(path, source)
    tally.seconds = time.monotonic() - start
    return tally


def table(tallies: list[Tally]) -> str:
    """Writes the figures of each module."""
    lines = [
        f"{'module':42} {'places':>6} {'tried':>6} {'killed':>6} {'late':>5} {'equivalent':>10} {'share':>6} {'time':>6}"
    ]
    for tally in tallies:
        share = f"{100 * tally.killed / tally.tried:.0f} %" if tally.tried else "-"
        lines.append(
            f"{tally.path:42} {tally.places:6} {tally.tried:6} {tally.killed:6} {tally.timed_out:5} {tally.equivalent:10}"
            f" {share:>6} {tally.seconds:4.0f} s" + ("" if tally.passed else "  too few")
        )
    return "\n".join(lines)


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--module", action="append", default=[], help="only modules with this in their path")
    parser.add_argument("--sites", type=int, default=80, help="places of a module that are tried (default 80)")
    parser.add_argument("--all", action="store_true", help="every mutant at every place")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--seconds", type=float, default=1140.0, help="time for all modules (default 1140)")
    parser.add_argument("--python", type=Path, default=ROOT / ".venv/bin/python", help="interpreter of the tests")
    options = parser.parse_args()
    modules = tomllib.loads((HERE / "modules.toml").read_text(encoding="utf-8"))["module"]
    modules = [m for m in modules if not options.module or any(word in m["path"] for word in options.module)]
    end, tallies = time.monotonic() + options.seconds, []
    with tempfile.TemporaryDirectory(prefix="mutants-") as folder:
        copy = Copy(Path(folder), options.python)
        try:
            for done, module in enumerate(modules):
                share = (end - time.monotonic()) / (len(modules) - done)  # what a module leaves, the next ones have
                sites = None if options.all else options.sites
                tally = try_module(copy, module, options.seed, sites, time.monotonic() + share)
                tallies.append(tally)
                if tally.problem:
                    print(f"{tally.path}: {tally.problem}", flush=True)
        finally:
            copy.close()
    print(table(tallies))
    return 0 if all(tally.passed for tally in tallies) else 1


if __name__ == "__main__":
    sys.exit(main())
