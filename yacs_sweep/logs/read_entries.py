"""Reads `metrics` and `files` of a trainer profile: what of a trainer's output is a metric."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, TypeVar

from ..base.errors import ConfigError
from ..base.wording import did_you_mean
from ..base.yaml_document import Document, KeyPath
from .metric_files import FORMATS, FileSource
from .names import FIELD, FRACTION, Names, Rule, Unit
from .patterns import MetricPattern, Search, Table, compile_search, group_problems

ENTRY_KEYS = ("pattern", "log", "row", "units", "names", "pairs", "literal", "table", "after", "until")
FILE_KEYS = ("path", "format", "names", "units", "step")
TABLE_KEYS = ("separator", "values")
UNITS = {"percent": None, "fraction": FRACTION}
FILE_FIELDS = ("output_dir", "trial_id")
PIPE_ROW = r"[|+](?P<cells>.*)[|+]"
T = TypeVar("T")


class EntryReader:
    """Takes the entries one by one; every mistake is noted with its place."""

    def __init__(self, document: Document) -> None:
        self.document = document
        self.problems: list[str] = []

    def metrics(self) -> tuple[MetricPattern, ...]:
        return self._each("metrics", "is not a list of patterns; write `- pattern: …` and `log: …`", self._entry)

    def files(self) -> tuple[FileSource, ...]:
        return self._each("files", "is not a list of files; write `- path: '{output_dir}/…'`", self._file)

    def _each(self, key: str, problem: str, read: Callable[[Any, KeyPath], T | None]) -> tuple[T, ...]:
        entries = self.document.data.get(key)
        if not isinstance(entries, list):
            if entries is not None:
                self._wrong((key,), problem)
            return ()
        found = [read(entry, (key, index)) for index, entry in enumerate(entries)]
        return tuple(entry for entry in found if entry is not None)

    def _wrong(self, place: KeyPath, text: str) -> None:
        self.problems.append(self.document.message(place, text))

    def _known(self, mapping: Mapping[str, Any], keys: Sequence[str], place: KeyPath) -> None:
        for key in mapping:
            if key not in keys:
                hint = did_you_mean(str(key), keys)
                self._wrong((*place, key), f"no such key{hint}; allowed: {', '.join(keys)}")

    def _entry(self, entry: Any, place: KeyPath) -> MetricPattern | None:
        if not isinstance(entry, dict):
            self._wrong(place, f"{entry!r} is not an entry; write `pattern: …` and `log: …`")
            return None
        before = len(self.problems)
        self._known(entry, ENTRY_KEYS, place)
        kinds = [key for key in ("pairs", "literal", "table") if entry.get(key) is not None]
        if len(kinds) > 1:
            self._wrong((*place, kinds[1]), f"an entry has one of {' and '.join(kinds)}; write two entries")
        missing = "missing or not a text; write a regular expression in single quotes"
        search = self._search(entry, "pattern", place, missing)
        after, until = self._search(entry, "after", place), self._search(entry, "until", place)
        if entry.get("until") is not None and entry.get("after") is None:
            self._wrong((*place, "until"), "ends what `after` begins; write `after: …` too")
        usable = tuple(after.regex.groupindex) if after else ()
        log = self._log(entry, place, search, usable, needed=not kinds)
        groups = tuple(search.regex.groupindex) if search else ()
        names = self._names(entry, place, (*usable, *groups, *(["row"] if "table" in kinds else [])))
        if entry.get("names") is not None and not kinds:
            self._wrong((*place, "names"), "belongs to `pairs`, `literal` or `table`; `log` names groups")
        pairs = self._search(entry, "pairs", place)
        self._groups(pairs, ("name", "value"), (*place, "pairs"))
        literal = self._text(entry, "literal", place)
        if search and literal is not None and literal not in search.regex.groupindex:
            self._wrong((*place, "literal"), f"no group named {literal!r} in the pattern")
        table = self._table(entry.get("table"), (*place, "table"))
        row = self._text(entry, "row", place)
        units = self._units(entry, place, [*log, *(rule.template for rule in names.rules if rule.template)])
        if search is None or len(self.problems) > before:
            return None
        return MetricPattern(
            search, tuple(log.items()), row, units, _in_units(names, units), pairs, literal, table, after, until
        )

    def _search(self, mapping: Mapping[str, Any], key: str, place: KeyPath, needed: str = "") -> Search | None:
        source = mapping.get(key)
        if source is None and not needed:
            return None
        if not isinstance(source, str):
            self._wrong((*place, key), needed or f"{source!r} is not a regular expression; write it in single quotes")
            return None
        try:
            return compile_search(source)
        except ConfigError as error:
            for text in error.problems:
                self._wrong((*place, key), text)
            return None

    def _text(self, mapping: Mapping[str, Any], key: str, place: KeyPath) -> str | None:
        value = mapping.get(key)
        if value is None or (isinstance(value, str) and value):
            return value
        self._wrong((*place, key), f"{value!r} is not {'the name of a row' if key == 'row' else 'a text'}")
        return None

    def _groups(self, search: Search | None, groups: Iterable[str], place: KeyPath) -> None:
        for group in groups:
            if search and group not in search.regex.groupindex:
                self._wrong(place, f"needs a group named {group}: (?P<{group}>…)")

    def _log(
        self, entry: Mapping[str, Any], place: KeyPath, search: Search | None, more: Iterable[str], *, needed: bool
    ) -> dict[str, str]:
        log = entry.get("log")
        if log is None and not needed:
            return {}
        if not isinstance(log, dict) or not log or not all(isinstance(t, str) for pair in log.items() for t in pair):
            self._wrong((*place, "log"), "missing or not {metric name: group of the pattern}")
            return {}
        for text in group_problems(search, log, more) if search else ():
            self._wrong((*place, "pattern"), text)
        return log

    def _names(self, entry: Mapping[str, Any], place: KeyPath, usable: Sequence[str]) -> Names:
        names = entry.get("names")
        if not isinstance(names, dict):
            if names is not None:
                self._wrong((*place, "names"), "is not {regular expression for the trainer's name: metric name}")
            return Names()
        rules = []
        for source, template in names.items():
            here = (*place, "names")
            search = self._search({source: source}, source, here)
            if template is not None and not (isinstance(template, str) and template):
                self._wrong((*here, source), f"{template!r} is not a metric's name, nor null to leave the value out")
            elif search is not None:
                known = ("name", *search.regex.groupindex, *usable)
                for field in FIELD.findall(template or ""):
                    if field not in known:
                        text = f"the name uses {{{field}}}, which is no group here; there are: {', '.join(known)}"
                        self._wrong((*here, source), text)
                rules.append(Rule(search.regex, template))
        return Names(tuple(rules))

    def _table(self, table: Any, place: KeyPath) -> Table | None:
        if table is None:
            return None
        if isinstance(table, str):
            table = {"separator": table}
        if not isinstance(table, dict):
            self._wrong(place, f"{table!r} is not a separator such as '|', nor {{separator: …, values: …}}")
            return None
        self._known(table, TABLE_KEYS, place)
        separator = table.get("separator", "|")
        if not isinstance(separator, str) or not separator:
            self._wrong((*place, "separator"), f"{separator!r} is not a text that stands between cells")
            return None
        if separator != "|" and "values" not in table:
            self._wrong(place, "values: is missing; write the pattern of a row, with its cells as (?P<cells>…)")
            return None
        values = self._search({"values": table.get("values", PIPE_ROW)}, "values", place)
        self._groups(values, ("cells",), (*place, "values"))
        return Table(separator, values) if values else None

    def _units(self, entry: Mapping[str, Any], place: KeyPath, names: Sequence[str]) -> dict[str, Unit]:
        units = entry.get("units")
        if not isinstance(units, dict):
            if units is not None:
                self._wrong((*place, "units"), "is not {metric name: percent, fraction or a factor}")
            return {}
        found = {}
        for name, value in units.items():
            here = (*place, "units", name)
            number = isinstance(value, int | float) and not isinstance(value, bool)
            if name not in names:
                hint = did_you_mean(name, names)
                self._wrong(here, f"the entry logs no such metric{hint}; it logs: {', '.join(names)}")
            elif number and math.isfinite(value):
                found[name] = Unit(factor=value)
            elif value not in UNITS:
                self._wrong(here, f"{value!r} is no unit; write percent (as printed), fraction (of 1) or a factor")
            elif unit := UNITS[value]:
                found[name] = unit
        return found

    def _file(self, entry: Any, place: KeyPath) -> FileSource | None:
        if not isinstance(entry, dict):
            self._wrong(place, f"{entry!r} is not a file; write `path: …`")
            return None
        before = len(self.problems)
        self._known(entry, FILE_KEYS, place)
        path = self._text(entry, "path", place)
        if path is None:
            self._wrong((*place, "path"), "missing; write where the file is, such as '{output_dir}/metrics.json'")
        for field in FIELD.findall(path or ""):
            if field not in FILE_FIELDS:
                known = ", ".join(f"{{{name}}}" for name in FILE_FIELDS)
                self._wrong((*place, "path"), f"unknown placeholder {{{field}}}; allowed: {known}")
        kind = self._text(entry, "format", place) or "jsonl"
        if kind not in FORMATS:
            hint = did_you_mean(kind, FORMATS)
            self._wrong((*place, "format"), f"{kind!r} is no format{hint}; allowed: {', '.join(FORMATS)}")
        step = self._text(entry, "step", place)
        if step is not None and kind == "jsonl":
            self._wrong((*place, "step"), "names the step of TensorBoard events; in JSON lines it has its name already")
        names = self._names(entry, place, ())
        units = self._units(entry, place, [rule.template for rule in names.rules if rule.template])
        if len(self.problems) > before or path is None:
            return None
        return FileSource(path, kind, _in_units(names, units), step)


def _in_units(names: Names, units: Mapping[str, Unit]) -> Names:
    rules = (Rule(rule.regex, rule.template, units.get(rule.template or "")) for rule in names.rules)
    return Names(tuple(rules)) if units else names
