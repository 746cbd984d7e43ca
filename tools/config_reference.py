"""Writes the reference of all settings in docs/trainer-settings.md, from the comments and defaults in configs/keys.

python tools/config_reference.py            # write
python tools/config_reference.py --check    # exit status 1 where the document is out of date
"""

from __future__ import annotations

import argparse
import re
import sys
from math import inf
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from configs.defaults import _C, ABOVE, ANY_LENGTH, BOUNDS, CHOICES, FAMILIES
from engine.config import flatten

DOCUMENT = ROOT / "docs/trainer-settings.md"
SOURCES = (ROOT / "configs/defaults.py", *sorted((ROOT / "configs/keys").glob("*.py")))
BEGIN, END = "<!-- settings: written by tools/config_reference.py -->", "<!-- end of settings -->"
_ASSIGNMENT = re.compile(r"(?:_C\.)?([A-Z][A-Z0-9_.]*) = (?!CN\(\))")


def comments(source: str) -> dict[str, str]:
    """Reads the comment above each key."""
    said: dict[str, str] = {}
    block: list[str] = []
    for line in source.splitlines():
        if match := _ASSIGNMENT.match(line):
            said[match[1]] = " ".join(block)
        block = [*block, line.lstrip("# ")] if line.startswith("#") else []
    return said


def reference() -> str:
    """Writes the tables in Markdown, one a section."""
    said: dict[str, str] = {}
    for source in SOURCES:
        said.update(comments(source.read_text(encoding="utf-8")))
    sections: dict[str, list[str]] = {}
    for key, default in flatten(_C).items():
        section = key.rpartition(".")[0] or "OUTPUT_DIR"
        row = f"| `{key}` | `{_literal(default)}` | {_cell(_accepts(key, default))} | {_cell(said[key])} |"
        sections.setdefault(section, []).append(row)
    head = "| key | default | accepts | meaning |\n|---|---|---|---|\n"
    return "\n\n".join(f"## {name}\n\n{head}" + "\n".join(rows) for name, rows in sections.items())


def _literal(value: Any) -> str:
    if isinstance(value, tuple):
        return "[" + ", ".join(_literal(element) for element in value) + "]"
    return '""' if value == "" else _cell(str(value))


def _accepts(key: str, default: Any) -> str:
    """Describes the values that a key accepts."""
    if key in FAMILIES:
        return ", ".join(f"`{form}`" for form in FAMILIES[key].forms)
    if key in CHOICES:
        return ", ".join(f"`{choice}`" for choice in CHOICES[key])
    one = default[0] if isinstance(default, tuple) else default
    kind = {bool: "`True`, `False`", int: "whole number", float: "number", str: "text"}[type(one)]
    if isinstance(default, tuple):
        kind = f"list of {kind}s" if kind != "text" else "list of texts"
        kind += "" if key in ANY_LENGTH else f", {len(default)} of them"
    low, high = BOUNDS.get(key, (-inf, inf))
    if high < inf:
        kind += f", {low:g} to {high:g}"
    elif low > -inf:
        kind += f", {'more than' if key in ABOVE else 'at least'} {low:g}"
    return kind


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


def make_parser() -> argparse.ArgumentParser:
    """Makes the parser of the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="only say whether the document is up to date")
    return parser


def main(argv: list[str] | None = None) -> int:
    """Runs the command line `argv`; returns the exit status."""
    options = make_parser().parse_args(argv)
    before = DOCUMENT.read_text(encoding="utf-8")
    head, rest = before.split(BEGIN)
    after = f"{head}{BEGIN}\n\n{reference()}\n\n{END}{rest.split(END)[1]}"
    if options.check:
        if after != before:
            print(f"{DOCUMENT} is out of date; run tools/config_reference.py", file=sys.stderr)
        return int(after != before)
    DOCUMENT.write_text(after, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
