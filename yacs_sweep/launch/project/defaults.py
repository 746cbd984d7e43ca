"""Takes a project's defaults into the options of a command line: what neither that nor the environment says."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ...base.errors import ConfigError, Problems
from ...base.options import default_of
from ...base.wording import did_you_mean, show
from ..options.entry import ProjectDefault
from ..options.look_checks import looks
from ..options.read import order_of
from ..options.table import Options
from .find import OWN, SECTION, candidates, refuse_strangers

if TYPE_CHECKING:
    from .toml_section import TomlSection

_KINDS = {"bool": bool, "int": int, "float": float, "str": str, "PathLike": str, "Sequence": list, "Mapping": dict}
_NAMES = {
    bool: "true or false",
    int: "a whole number",
    float: "a number",
    str: "a text in quotes",
    list: "a list",
    dict: "a table",
}


def with_project_defaults(options: Options) -> Options:
    """Returns the options of a command line with the project's defaults, and where each stands in `from_project`.

    A new sweep has all of them. A sweep that is resumed, or whose best is trained, knows the others: it has those that no
    sweep keeps. `--test-patterns` has the trainer alone, other commands that start nothing have none.

    Raises:
        ConfigError: with every mistake in the files.
    """
    if options.no_project_defaults or _starts_nothing(options):
        return options
    values, places = _read_project(Path.cwd())
    if not values:
        return options
    resumed = options.sweep_id is not None or options.train_best is not None
    taken = {name: value for name, value in values.items() if _counts(name, options, resumed=resumed)}
    merged = replace(options, **taken)
    if merged.engine == "local":
        taken = {name: value for name, value in taken.items() if not Options.table()[name].engine_only}
    return sweep_file_wins(replace(options, **taken, from_project={name: places[name] for name in taken}))


def sweep_file_wins(options: Options) -> Options:
    """Returns the options without those defaults of the project that their one sweep file says itself."""
    if not options.from_project or len(options.sweep_config or ()) != 1:
        return options
    from ..plan.checks import sweep_document  # where there are no defaults, nothing of the sweep is needed yet

    document = sweep_document(options)
    said = set(_keys(document.data)) if document is not None else set()
    own = [name for name in options.from_project if said & {*_entry(name).file_keys}]
    return replace(
        options,
        **{name: default_of(Options, name) for name in own},
        from_project={name: place for name, place in options.from_project.items() if name not in own},
    )


def placed(problems: Sequence[str], options: Options) -> list[str]:
    """Puts before each problem that names an option of the project's file where the option stands."""
    begins = {Options.flag(name): place for name, place in options.from_project.items()}
    found = []
    for problem in problems:
        flag = re.match(r"--[\w-]+", problem)
        place = begins.get(flag[0]) if flag else None
        found.append(f"{place}: {problem}" if place else problem)
    return found


def _entry(name: str) -> ProjectDefault:
    found = Options.table()[name].in_project
    assert found is not None  # it was read from a project's file
    return found


def _starts_nothing(options: Options) -> bool:
    """Tells whether a command line shows something or gives an order; one of `wandb agent` says all itself."""
    listed = isinstance(options.trainer, str) and options.trainer.partition(":")[0] == "list"
    shown = looks(options) or order_of(options) is not None or options.init is not None
    return shown or listed or options.agent_run


def _counts(name: str, options: Options, *, resumed: bool) -> bool:
    """Tells whether the project's value of an option counts beside what the user and the environment say."""
    entry = _entry(name)
    if options.test_patterns is not None and name != "trainer":
        return False
    if name in options.given or options.is_given(name) or (resumed and not entry.each_launch):
        return False
    return not options.given.intersection(entry.unless) and not (entry.variable and os.environ.get(entry.variable))


def _keys(data: Any) -> Iterator[str]:
    """Yields the keys of a sweep file, and those of its parameters with `parameters.` before them."""
    for key, value in data.items() if isinstance(data, dict) else ():
        name = str(key).lower()
        yield name
        if name == "parameters" and isinstance(value, dict):
            yield from (f"parameters.{parameter}" for parameter in value)


def _read_project(here: Path) -> tuple[dict[str, Any], dict[str, str]]:
    """Reads the files of the nearest folder that has settings; returns values and places by the options' fields.

    Raises:
        ConfigError: with every mistake in them.
    """
    problems, values, places = Problems(), dict[str, Any](), dict[str, str]()
    for files in candidates(here):
        from .toml_section import TomlSection  # only a project that has such a file needs it

        read = [problems.attempt(lambda file=file: TomlSection.read(file)) for file in files]  # type: ignore[misc]
        sections = [section for section in read if section is not None]
        for section in sections:
            refuse_strangers(section.file, here)
            _read_section(section, problems, values, places)
        problems.end()
        if sections:
            break
    return values, places


def _read_section(section: TomlSection, problems: Problems, values: dict[str, Any], places: dict[str, str]) -> None:
    """Adds the settings of a section to those of files that win, and its mistakes to the problems."""
    from ..keywords import read_value

    seen: dict[str, str] = {}
    for key, value in section.values.items():
        place, name = section.place(key), key.replace("-", "_")
        wrong = _key_problem(key, section.file) or _value_problem(name, value)
        if wrong is None and name in seen:
            wrong = f"the same setting as {seen[name]}; keep one"
        seen[name] = key
        if wrong is not None:
            problems.found.append(f"{place}: {key}: {wrong}")
            continue
        try:
            read = read_value(name, _from_folder(name, value, section.file.parent))
        except ConfigError as error:
            problems.found += [f"{place}: {key}: {problem}" for problem in error.problems]
        else:
            values.setdefault(name, read)
            places.setdefault(name, place)


def _key_problem(key: str, file: Path) -> str | None:
    """Says why a key is no setting of a project; None for one that is."""
    table = Options.table()
    allowed = [name for name, entry in table.items() if entry.in_project is not None]
    name = key.replace("-", "_")
    if name in allowed:
        return None
    if file.name == OWN and key == "tool":
        return f"settings stand at the top of {OWN}, without [tool.{SECTION}]"
    if name in table:
        return "belongs to the command line or the sweep file, and is no setting of a project"
    return f"no such setting{did_you_mean(key, allowed)}"


def _value_problem(name: str, value: Any) -> str | None:
    """Says what kind of value an option takes; None where this is one."""
    declared = {item.name: str(item.type) for item in fields(Options)}[name]
    keyword = Options.table()[name].keyword
    words = re.findall(r"\w+", f"{declared} {keyword if isinstance(keyword, str) else ''}")
    kinds = dict.fromkeys(_KINDS[word] for word in words if word in _KINDS)
    if type(value) in kinds or (type(value) is int and float in kinds):
        return None
    return f"{show(value)} is not {' or '.join(_NAMES[kind] for kind in kinds)}"


def _from_folder(name: str, value: Any, folder: Path) -> Any:
    """Returns a path as it is written from the current folder; in the file it begins in the file's."""
    entry = _entry(name)
    if not entry.path or not isinstance(value, str) or os.path.isabs(value) or value.startswith("~"):
        return value
    if entry.name and os.sep not in value and not (folder / value).is_file():
        return value  # a name: of a profile, of a program on PATH
    path = os.path.relpath(folder / value)
    return path if os.sep in path or not entry.name else os.path.join(".", path)
