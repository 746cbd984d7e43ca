"""Reads the options of a trainer's parser for `print_schema.py`, in the trainer's interpreter: Python 3.7 or newer.

The script is run as with `--help`, up to where it parses its arguments: an argparse parser, whatever makes it
(transformers' HfArgumentParser, jsonargparse, configargparse, simple-parsing), is caught there with all that it knows, and
the run ends. What another library (click, typer, absl, tyro) prints for `--help` is parsed.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import os
import re
import runpy
import shutil
import subprocess
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Callable

MANY = 1000  # choices of an option that are looked at
# Names of conversion functions that are tried with words; others may make folders or open files.
_HARMLESS = re.compile(r"bool|int|float|num|positive|fraction|prob|ratio|percent")
_WORDS = ("True", "1", "0.5", "x")
_OPTION = re.compile(
    r"^\W{0,6}(?:-\w(?:\s[^\s,]+)?[,/|\s]\s*)?--(?P<no>\[no-?\])?(?P<name>[A-Za-z][\w.-]*)"
    r"(?P<more>(?:(?:\s*[,/|]\s*|\s{2,})--?[\w.-]+)*)(?P<rest>.*)"
)
# Behind an option: its value as click, typer, tyro and argparse print it.
_VALUE = re.compile(r"[ =]+(<\S+>|\[\S+?\|\S+?\]|\{\S+?\}|[A-Z][A-Z_0-9]*(?=[\s.,]|$))")
_METAVARS = {"INTEGER": "int", "INT": "int", "FLOAT": "float", "NUMBER": "float"}


class ParserFound(BaseException):
    """Ends the script where it parses its arguments; no `except Exception` stops it."""


def read(request: dict[str, Any], load_file: Callable[[str], Any], encode: Callable[[Any], Any]) -> dict[str, Any]:
    """Runs the trainer's command up to its parser.

    Args:
        request: `command`, the trainer's words.
        load_file: not used.
        encode: writes a value as JSON.

    Returns:
        `options`, a mapping for each.
    """
    words = list(request["command"])
    module, script, rest = program_of(words)
    parsers: list[argparse.ArgumentParser] = []
    text = io.StringIO()
    os.environ.update(COLUMNS="200", NO_COLOR="1", TERM="dumb")  # of the help
    fixed = [word for word in rest if "{" not in word]
    first = next((place for place, word in enumerate(rest) if word.startswith("-") or "{" in word), len(rest))
    arguments = [*rest[:first], "--help"]  # with its subcommands
    if module or script:
        run(module, script, arguments, parsers, text)
    else:
        path = shutil.which(words[0])
        if path is None:
            raise FileNotFoundError("there is no program %s" % words[0])
        done = subprocess.run(
            [path, *arguments], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL
        )
        text.write(done.stdout.decode(errors="replace"))
    options = [option for parser in parsers for option in options_of(parser, fixed, encode)]
    if not parsers:
        options = parse_help(text.getvalue())
    if not options:
        raise LookupError(
            "%s has no options: it has no argparse parser, and its --help names none" % (module or script or words[0])
        )
    return {"options": options}


def program_of(words: list[str]) -> tuple[str, str, list[str]]:
    """Returns the module (`python -m`), else the file, that the words execute, and the words behind it."""
    if os.path.basename(words[0]).startswith("python"):
        for place, word in enumerate(words[1:], start=1):
            if word == "-m":
                return words[place + 1], "", words[place + 2 :]
            if not word.startswith("-"):
                return "", word, words[place + 1 :]
    if words[0].endswith(".py"):
        return "", words[0], words[1:]
    return "", "", words[1:]


def run(
    module: str, script: str, arguments: list[str], parsers: list[argparse.ArgumentParser], text: io.StringIO
) -> None:
    """Runs the script until it parses its arguments, or has printed its help; collects parsers and text."""
    original = argparse.ArgumentParser._parse_known_args

    def parse(self: argparse.ArgumentParser, *args: Any, **options: Any) -> Any:
        parsers.append(self)
        if self.add_help:  # any other is asked before the real one, for a configuration file
            raise ParserFound
        return original(self, *args, **options)

    argparse.ArgumentParser._parse_known_args = parse  # type: ignore[method-assign]
    sys.argv = [script or module, *arguments]
    sys.path.insert(0, os.path.dirname(os.path.abspath(script)) if script else os.getcwd())
    try:
        with contextlib.redirect_stdout(text):
            if script:
                runpy.run_path(script, run_name="__main__")
            else:
                runpy.run_module(module, run_name="__main__", alter_sys=True)
    except ParserFound:
        pass
    except SystemExit as error:
        if not parsers and error.code not in (None, 0) and not parse_help(text.getvalue()):  # absl's help ends with 1
            raise
    finally:
        argparse.ArgumentParser._parse_known_args = original  # type: ignore[method-assign]


def options_of(parser: argparse.ArgumentParser, words: list[str], encode: Callable[[Any], Any]) -> list[dict[str, Any]]:
    """Describes the options of a parser, and of the subcommand that is among the command's words."""
    found = []
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for word in words:
                if word in action.choices:
                    found += options_of(action.choices[word], words, encode)
        elif action.option_strings and not isinstance(action, (argparse._HelpAction, argparse._VersionAction)):
            found.append(describe(action, parser, encode))
    return found


def describe(action: argparse.Action, parser: argparse.ArgumentParser, encode: Callable[[Any], Any]) -> dict[str, Any]:
    """Describes an option."""
    flags = [flag for flag in action.option_strings if flag.startswith("--")] or list(action.option_strings)
    kind = type(action).__name__
    negatives = [flag for flag in flags if re.sub("^--no-?", "--", flag) in flags and flag.startswith("--no")]
    negatives = negatives if "BooleanOptional" in kind or kind == "ActionYesNo" else []
    flags = [flag for flag in flags if flag not in negatives]
    if negatives:
        how = "toggle"
    elif kind == "_CountAction":
        how = "count"
    elif action.nargs == 0:
        how = "flag"
    else:
        how = "append" if kind in ("_AppendAction", "_ExtendAction") and action.nargs is None else "store"
    choices = []
    if action.choices is not None:
        for choice in action.choices:
            choices.append(encode(choice))
            if len(choices) > MANY:
                choices = []
                break
    default = None if action.default is argparse.SUPPRESS else action.default
    return {
        "flags": flags,
        "negative": negatives[0] if negatives else "",
        "how": how,
        "type": type_name(declared_type(action, parser)),
        "nargs": action.nargs,
        "choices": choices,
        "default": encode(default),
        "required": bool(action.required),
    }


def declared_type(action: argparse.Action, parser: argparse.ArgumentParser) -> Any:
    """Returns what converts the texts of an option; a class of its own keeps it elsewhere (jsonargparse)."""
    if action.type is None and type(action).__module__.split(".")[0] not in ("argparse", "__main__"):
        hint = getattr(action, "_typehint", None)
        return (
            {int: int, float: float, str: str, bool: yes_or_no_bool}.get(hint, any) if isinstance(hint, type) else any
        )
    return parser._registry_get("type", action.type, action.type)


def yes_or_no_bool(text: str) -> bool:
    """Reads true or false."""
    return {"True": True, "true": True, "False": False, "false": False}[text]


def type_name(kind: Any) -> str:
    """Names what a conversion function takes: int, float, str, bool, `truth` for `bool` itself, or any."""
    if kind in (int, float):
        return str(kind.__name__)
    if kind is any:
        return "any"
    if kind is bool:
        return "truth"  # any text but the empty one is True
    if kind is str:
        return "str"
    if kind is None or not callable(kind):
        return "str"
    name = getattr(kind, "__name__", "").lower()
    if name == "identity":  # argparse's own, where no type is given
        return "str"
    if not _HARMLESS.search(name):
        return "any"
    takes = []
    for word in _WORDS:
        try:
            kind(word)
            takes.append(word)
        except (Exception, SystemExit):
            pass
    return {("True",): "bool", ("True", "1"): "bool", ("1",): "int", ("1", "0.5"): "float", ("0.5",): "float"}.get(
        tuple(takes), "any"
    )


def parse_help(text: str) -> list[dict[str, Any]]:
    """Reads options from what `--help` prints: names, choices, and the types that click's metavars name."""
    found = {}
    for line in text.splitlines():
        match = _OPTION.match(line.replace("│", " "))
        if match is None or match["name"] in (
            "help",
            "version",
            "helpfull",
            "helpshort",
            "helpxml",
            "install-completion",
        ):
            continue
        value = _VALUE.match(match["rest"].lstrip(":"))
        shown = value[1] if value else ""
        listed = re.fullmatch(r"[\[{<](\S+?[|,]\S+?)[\]}>]", shown)
        switch = match["no"] or "--no-" in match["more"]
        alone = not shown and re.match(r"\s{2}|\s*$", match["rest"])
        negative = "--no" + match["name"] if match["no"] == "[no]" else "--no-" + match["name"]
        found[match["name"]] = {
            "flags": ["--" + match["name"]],
            "negative": negative,
            "how": "toggle" if switch else "flag" if alone else "store",
            "type": _METAVARS.get(shown.strip("<>").upper(), "any"),
            "nargs": None,
            "choices": re.split(r"[|,]", listed[1]) if listed else [],
            "default": None,
            "required": False,
        }
    return list(found.values())
