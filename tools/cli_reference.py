"""Writes docs/cli.md, the reference of all command lines, from their parsers, and what follows from the same tables.

That is the types of `Sweep`'s keywords, the tables of other tools' options in docs/coming-from.md, and the table of settings in
docs/project-defaults.md.

python tools/cli_reference.py            # write
python tools/cli_reference.py --check    # exit status 1 where the document is out of date
"""

from __future__ import annotations

import argparse
import runpy
import sys
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from yacs_sweep.launch.options import foreign
from yacs_sweep.launch.options.table import Options
from yacs_sweep.launch.options.table import make_parser as sweep_parser
from yacs_sweep.show.report.cli import make_parser as report_parser

DOCUMENT = ROOT / "docs/cli.md"
COMING_FROM = ROOT / "docs/coming-from.md"
PROJECT = ROOT / "docs/project-defaults.md"
KEYWORDS = ROOT / "yacs_sweep/launch/keyword_types.py"
TRAINER_TOOLS = (
    "train",
    "test",
    "extract",
    "export",
    "convert",
    "make_synthetic",
    "config_reference",
    "readability",
)  # have make_parser()

HEAD = """\
# Command lines

Written by `python tools/cli_reference.py` from the programs' parsers; a test compares the two.

Options of `sweep.py` and `report.py` are understood with dashes and with underscores (`--sweep-config`,
`--sweep_config`). `KEY VALUE` stands for any number of pairs.

| `sweep.py` ends with | when |
|---|---|
| 0 | every trial ended well; so did one that was stopped early, or that an order or the deadline ended |
| 1 | some trial failed, or the failure limit ended the sweep |
| 2 | invalid input: one line for each error, and nothing was created |
| 130 | it was interrupted; `--sweep_id` resumes it |
"""

KEYWORDS_HEAD = '''\
"""Types the keyword arguments of `Sweep`. Written by `python tools/cli_reference.py` from `Options`; a test compares them."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias, TypedDict

PathLike: TypeAlias = "str | os.PathLike[str]"


class Keywords(TypedDict, total=False):
    """Lists the options that `Sweep` takes; `sweep.py --help` explains them. Times are in seconds."""

'''


def keyword_types() -> str:
    """Returns the module that types the keyword arguments: the options' own types, or those that Python can give."""
    types = {field.name: str(field.type).removesuffix(" | None") for field in fields(Options)}
    found = {name: entry.keyword for name, entry in Options.table().items() if entry.keyword}
    lines = [f"    {name}: {kind if isinstance(kind, str) else types[name]}\n" for name, kind in found.items()]
    return KEYWORDS_HEAD + "".join(lines)


def coming_from() -> str:
    """Returns docs/coming-from.md with the table of each tool's options in its place."""
    text = COMING_FROM.read_text(encoding="utf-8")
    for tool in foreign.TOOLS:
        text = _with_table(text, f"options of {tool}", foreign.table(tool))
    return text


def project_defaults() -> str:
    """Returns docs/project-defaults.md with the table of all settings in its place."""
    rows = ["| setting | value | what wins besides the command line | resumed sweeps |", "|---|---|---|---|"]
    types = {field.name: str(field.type) for field in fields(Options)}
    for name, entry in Options.table().items():
        if (found := entry.in_project) is None:
            continue
        value = ", ".join(entry.choices or ()) or entry.metavar or "true"
        if types[name].startswith(("str", "list")):
            value = f'"{value}"' if entry.choices is None else ", ".join(f'"{choice}"' for choice in entry.choices)
        wins = [f"`{key}` in the sweep file" for key in found.file_keys if "." not in key]
        wins += [f"the parameter `{key.partition('.')[2]}`" for key in found.file_keys if "." in key]
        wins += [f"`{Options.flag(other)}`" for other in found.unless]
        wins += [f"${found.variable}"] if found.variable else []
        kept = "yes" if found.each_launch else "no: the sweep keeps its own"
        rows.append(f"| `{name}` | `{_cell(value)}` | {', '.join(wins)} | {kept} |")
    return _with_table(PROJECT.read_text(encoding="utf-8"), "settings", "\n".join(rows) + "\n")


def _with_table(text: str, title: str, table: str) -> str:
    """Returns a document with a table between the comments that stand for its place."""
    begin = f"<!-- {title}: written by tools/cli_reference.py -->\n"
    before, _, rest = text.partition(begin)
    _, end, after = rest.partition("<!-- end -->")
    return f"{before}{begin}\n{table}\n{end}{after}"


def parsers() -> dict[str, argparse.ArgumentParser]:
    """Returns the parser of every tool, by its file."""
    found: dict[str, argparse.ArgumentParser] = {"sweep": sweep_parser(), "report": report_parser()}
    for name in TRAINER_TOOLS:
        found[name] = runpy.run_path(str(ROOT / "tools" / f"{name}.py"))["make_parser"]()
    found["cli_reference"] = make_parser()
    return {f"tools/{name}.py": parser for name, parser in found.items()}


def reference() -> str:
    """Returns the document in Markdown, made from the parsers' actions: argparse's own help differs between Pythons."""
    parts = [HEAD]
    for path, parser in parsers().items():
        described = (parser.description or "").strip().partition("\n\n")[0]
        parts.append(f"## {path}\n\n{_cell(' '.join(described.split()))}\n")
        parts += [f"{title}| option | value | meaning |\n|---|---|---|\n{rows}\n" for title, rows in _tables(parser)]
    return "\n".join(parts)


def _tables(parser: argparse.ArgumentParser) -> Iterator[tuple[str, str]]:
    """Yields title and rows of each group of options that is not empty; argparse's own two are one without title."""
    own = parser._action_groups[:2]
    groups = [("", own[1]._group_actions + own[0]._group_actions)]
    groups += [
        (f"**{(group.title or '').capitalize()}**\n\n", group._group_actions) for group in parser._action_groups[2:]
    ]
    for title, actions in groups:
        rows = [_row(action) for action in actions if not isinstance(action, argparse._HelpAction)]
        if rows:
            yield title, "\n".join(rows)


def _row(action: argparse.Action) -> str:
    """Returns the line of an option in its table."""
    spellings = list({name.replace("_", "-"): f"`{name}`" for name in reversed(action.option_strings)}.values())[::-1]
    value = (
        "" if action.nargs == 0 else action.metavar or (action.dest.upper() if action.option_strings else action.dest)
    )
    if isinstance(value, tuple):
        value = " ".join(value)
    if action.choices is not None:
        value = ", ".join(map(str, action.choices))
    meaning = " ".join((action.help or "").split()).replace("%%", "%")
    if action.default and action.default is not argparse.SUPPRESS and "default" not in meaning and action.nargs != 0:
        meaning += f" (default: {action.default})"
    value += " …" if action.nargs in ("+", "*", argparse.REMAINDER) else ""
    meaning += "; required" if action.required and action.option_strings else ""
    name = ", ".join(spellings)
    return f"| {name or f'`{_cell(value)}`'} | {f'`{_cell(value)}`' if value and name else ''} | {_cell(meaning)} |"


def _cell(text: str) -> str:
    """Escapes a text for a cell of a table."""
    return text.replace("|", "\\|")


def make_parser() -> argparse.ArgumentParser:
    """Makes the parser of the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="only say whether the document is up to date")
    return parser


def main(argv: list[str] | None = None) -> int:
    """Runs the command line `argv`; returns the exit status."""
    options = make_parser().parse_args(argv)
    written = {
        DOCUMENT: reference(),
        KEYWORDS: keyword_types(),
        COMING_FROM: coming_from(),
        PROJECT: project_defaults(),
    }
    if not options.check:
        for path, text in written.items():
            path.write_text(text, encoding="utf-8")
        return 0
    old = [path for path, text in written.items() if not path.is_file() or path.read_text(encoding="utf-8") != text]
    for path in old:
        print(f"{path} is out of date; run tools/cli_reference.py", file=sys.stderr)
    return int(bool(old))


if __name__ == "__main__":
    sys.exit(main())
