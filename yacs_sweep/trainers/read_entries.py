"""Reads `metrics` and `files` of a trainer's profile: which parts of the trainer's output are metrics."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, TypeVar

from ..base.errors import ConfigError
from ..base.wording import did_you_mean
from ..base.yaml_document import KeyPath
from ..logs.metric_files import FORMATS, FileSource
from ..logs.names import FIELD, FRACTION, Names, Rule, Unit
from ..logs.patterns import MetricPattern, Search, Table, compile_search, group_problems
from ..spec.section import Section
from .ways.placeholders import PLACEHOLDERS, unknown_placeholder

ENTRY_KEYS = ("pattern", "log", "row", "units", "names", "pairs", "literal", "table", "after", "until")
WANDB = "wandb"  # in the place of an entry
FILE_KEYS = ("path", "format", "names", "units", "step")
TABLE_KEYS = ("separator", "values")
NO_SUCH_KEY = "no such key{hint}; allowed: {allowed}"
UNITS = {"percent": None, "fraction": FRACTION}
FILE_FIELDS = tuple(name for name in PLACEHOLDERS if not name.startswith("params_"))
PIPE_ROW = r"[|+](?P<cells>.*)[|+]"
_PATTERN_MISSING = "missing or not a text; write a regular expression in single quotes"
T = TypeVar("T")


class EntryReader:
    """Reads the entries one by one; notes every mistake with its place."""

    def __init__(self, profile: Section) -> None:
        self.profile = profile
        self.notes = profile.notes

    def metrics(self) -> tuple[MetricPattern, ...]:
        """Reads `metrics`: patterns of the output's lines. The word wandb among them is no pattern, see `takes_calls`."""
        return self._each("metrics", "is not a list of patterns; write `- pattern: …` and `log: …`", self._entry)

    def takes_calls(self) -> bool:
        """Tells whether `metrics` has the word wandb in it: what is logged through W&B's client."""
        entries = self.profile.get("metrics")
        return isinstance(entries, list) and WANDB in entries

    def files(self) -> tuple[FileSource, ...]:
        """Reads `files`: the trainer's own files of metrics."""
        return self._each("files", "is not a list of files; write `- path: '{output_dir}/…'`", self._file)

    def _each(self, key: str, problem: str, read: Callable[[Any, KeyPath], T | None]) -> tuple[T, ...]:
        """Reads every item of a list with `read`; `problem` is the message for anything but a list."""
        entries = self.profile.get(key)
        if not isinstance(entries, list):
            if entries is not None:
                self.profile.wrong(key, problem)
            return ()
        found = [read(entry, self.profile.at(key, index)) for index, entry in enumerate(entries)]
        return tuple(entry for entry in found if entry is not None)

    def _section(self, mapping: Mapping[str, Any], place: KeyPath, keys: Sequence[str]) -> Section:
        """Opens a mapping, and notes its unknown keys."""
        section = Section(self.notes, place, mapping, keys, guess=False)
        section.refuse_unknown(keys, text=NO_SUCH_KEY)
        section.drop_nulls()
        return section

    def _entry(self, mapping: Any, place: KeyPath) -> MetricPattern | None:
        """Reads an item of `metrics`."""
        if mapping == WANDB:
            return None
        if not isinstance(mapping, dict):
            self.notes.wrong(place, f"{mapping!r} is not an entry; write `pattern: …` and `log: …`, or the word wandb")
            return None
        before = len(self.notes.problems)
        entry = self._section(mapping, place, ENTRY_KEYS)
        kinds = [key for key in ("pairs", "literal", "table") if key in entry]
        if len(kinds) > 1:
            entry.wrong(kinds[1], f"an entry has one of {' and '.join(kinds)}; write two entries")
        search = self._search(entry, "pattern")
        if "pattern" not in entry:
            entry.wrong("pattern", _PATTERN_MISSING)
        (*outer, after), until = self._after(entry), self._search(entry, "until")
        if "until" in entry and "after" not in entry:
            entry.wrong("until", "ends what `after` begins; write `after: …` too")
        usable = tuple(name for search in (*outer, after) if search for name in search.regex.groupindex)
        log = self._log(entry, search, usable, needed=not kinds)
        groups = tuple(search.regex.groupindex) if search else ()
        names = self._names(entry, (*usable, *groups, *(["row"] if "table" in kinds else [])))
        if "names" in entry and not kinds:
            entry.wrong("names", "belongs to `pairs`, `literal` or `table`; `log` names groups")
        pairs = self._search(entry, "pairs")
        self._need_groups(pairs, ("name", "value"), entry.at("pairs"))
        literal = self._text(entry, "literal")
        if search and literal is not None and literal not in search.regex.groupindex:
            entry.wrong("literal", f"no group named {literal!r} in the pattern")
        table = self._table(entry)
        row = self._text(entry, "row")
        units = self._units(entry, [*log, *(rule.template for rule in names.rules if rule.template)])
        if search is None or len(self.notes.problems) > before:
            return None
        return MetricPattern(
            search,
            tuple(log.items()),
            row,
            units,
            _in_units(names, units),
            pairs,
            literal,
            table,
            after,
            until,
            tuple(search for search in outer if search is not None),
        )

    def _after(self, entry: Section) -> list[Search | None]:
        """Reads `after`: a regular expression, or several, of which the outermost is the first."""
        sources = entry.get("after")
        if not isinstance(sources, list) or not sources:
            return [self._search(entry, "after")]
        found = []
        for place, source in enumerate(sources):
            if isinstance(source, str):
                found.append(self._compile(source, (*entry.at("after"), place)))
            else:
                entry.wrong("after", f"{source!r} is not a regular expression; write it in single quotes")
        return found or [None]

    def _search(self, section: Section, key: str) -> Search | None:
        """Reads a regular expression."""
        source = section.get(key)
        if source is None:
            return None
        if not isinstance(source, str):
            text = f"{source!r} is not a regular expression; write it in single quotes"
            section.wrong(key, _PATTERN_MISSING if key == "pattern" else text)
            return None
        return self._compile(source, section.at(key))

    def _compile(self, source: str, place: KeyPath) -> Search | None:
        try:
            return compile_search(source)
        except ConfigError as error:
            for text in error.problems:
                self.notes.wrong(place, text)
            return None

    def _text(self, section: Section, key: str) -> str | None:
        value = section.get(key)
        if value is None or (isinstance(value, str) and value):
            return value
        section.wrong(key, f"{value!r} is not {'the name of a row' if key == 'row' else 'a text'}")
        return None

    def _need_groups(self, search: Search | None, groups: Iterable[str], place: KeyPath) -> None:
        for group in groups:
            if search and group not in search.regex.groupindex:
                self.notes.wrong(place, f"needs a group named {group}: (?P<{group}>…)")

    def _log(self, entry: Section, search: Search | None, more: Iterable[str], *, needed: bool) -> dict[str, str]:
        """Reads `log`; `more` are groups of other patterns."""
        log = entry.get("log")
        if log is None and not needed:
            return {}
        if not isinstance(log, dict) or not log or not all(isinstance(t, str) for pair in log.items() for t in pair):
            entry.wrong("log", "missing or not {metric name: group of the pattern}")
            return {}
        for text in group_problems(search, log, more) if search else ():
            entry.wrong("pattern", text)
        return log

    def _names(self, section: Section, usable: Sequence[str]) -> Names:
        """Reads `names`; `usable` are the groups that a metric's name may use."""
        names = section.get("names")
        if not isinstance(names, dict):
            if names is not None:
                section.wrong("names", "is not {regular expression for the trainer's name: metric name}")
            return Names()
        rules = []
        for source, template in names.items():
            here = section.at("names", source)
            search = self._compile(source, here)
            if template is not None and not (isinstance(template, str) and template):
                self.notes.wrong(here, f"{template!r} is not a metric's name, nor null to leave the value out")
            elif search is not None:
                known = ("name", *search.regex.groupindex, *usable)
                for field in FIELD.findall(template or ""):
                    if field not in known:
                        text = f"the name uses {{{field}}}, which is not a group here; there are: {', '.join(known)}"
                        self.notes.wrong(here, text)
                rules.append(Rule(search.regex, template))
        return Names(tuple(rules))

    def _table(self, entry: Section) -> Table | None:
        table, place = entry.get("table"), entry.at("table")
        if table is None:
            return None
        if isinstance(table, str):
            table = {"separator": table}
        if not isinstance(table, dict):
            self.notes.wrong(place, f"{table!r} is not a separator such as '|', nor {{separator: …, values: …}}")
            return None
        section = self._section(table, place, TABLE_KEYS)
        separator = section.values.get("separator", "|")
        if not isinstance(separator, str) or not separator:
            section.wrong("separator", f"{separator!r} is not a text that stands between cells")
            return None
        if separator != "|" and "values" not in section:
            self.notes.wrong(place, "values: is missing; write the pattern of a row, with its cells as (?P<cells>…)")
            return None
        section.values.setdefault("values", PIPE_ROW)
        values = self._search(section, "values")
        self._need_groups(values, ("cells",), section.at("values"))
        return Table(separator, values) if values else None

    def _units(self, section: Section, names: Sequence[str]) -> dict[str, Unit]:
        units = section.get("units")
        if not isinstance(units, dict):
            if units is not None:
                section.wrong("units", "is not {metric name: percent, fraction or a factor}")
            return {}
        found = {}
        for name, value in units.items():
            here = section.at("units", name)
            number = isinstance(value, int | float) and not isinstance(value, bool)
            if name not in names:
                hint = did_you_mean(name, names)
                self.notes.wrong(here, f"the entry logs no such metric{hint}; it logs: {', '.join(names)}")
            elif number and math.isfinite(value):
                found[name] = Unit(factor=value)
            elif not isinstance(value, str) or value not in UNITS:
                self.notes.wrong(
                    here, f"{value!r} is not a unit; write percent (as printed), fraction (of 1) or a factor"
                )
            elif unit := UNITS[value]:
                found[name] = unit
        return found

    def _file(self, mapping: Any, place: KeyPath) -> FileSource | None:
        """Reads an item of `files`."""
        if not isinstance(mapping, dict):
            self.notes.wrong(place, f"{mapping!r} is not a file; write `path: …`")
            return None
        before = len(self.notes.problems)
        entry = self._section(mapping, place, FILE_KEYS)
        path = self._text(entry, "path")
        if path is None:
            entry.wrong("path", "missing; write where the file is, such as '{output_dir}/metrics.json'")
        if problem := unknown_placeholder(path or "", FILE_FIELDS):
            entry.wrong("path", problem)
        kind = self._text(entry, "format") or "jsonl"
        if kind not in FORMATS:
            hint = did_you_mean(kind, FORMATS)
            entry.wrong("format", f"{kind!r} is not a format{hint}; allowed: {', '.join(FORMATS)}")
        step = self._text(entry, "step")
        if step is not None and kind != "tensorboard":
            entry.wrong("step", "names the step of TensorBoard events; in other files it has its name already")
        names = self._names(entry, ())
        units = self._units(entry, [rule.template for rule in names.rules if rule.template])
        if len(self.notes.problems) > before or path is None:
            return None
        return FileSource(path, kind, _in_units(names, units), step)


def _in_units(names: Names, units: Mapping[str, Unit]) -> Names:
    """Adds the units to the rules whose names they are of."""
    rules = (Rule(rule.regex, rule.template, units.get(rule.template or "")) for rule in names.rules)
    return Names(tuple(rules)) if units else names
