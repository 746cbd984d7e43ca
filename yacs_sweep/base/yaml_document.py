"""Reads YAML files as people write them, and keeps the place of every key for error messages.

Scalars follow YAML 1.2 for numbers (`1e-5`, `1.e-5`, `0o17`; `1_000` as well) and YAML 1.1 for
booleans (`yes`, `on`), because W&B's own reader takes those as booleans. Dates stay text.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar, TypeAlias

import yaml

from .errors import ConfigError

KeyPath: TypeAlias = "tuple[str | int, ...]"
_TAG = "tag:yaml.org,2002:"
_MAX_NODES = 200_000  # a file whose aliases expand to more than this is an accident or an attack
_BOOLEANS = {"yes": True, "no": False, "true": True, "false": False, "on": True, "off": False}
_INT = re.compile(r"[-+]?(?:0b[01_]+|0o[0-7_]+|0x[0-9a-fA-F_]+|[0-9][0-9_]*)$")
_FLOAT = re.compile(
    r"[-+]?(?:[0-9][0-9_]*\.[0-9_]*(?:[eE][-+]?[0-9]+)?|\.[0-9][0-9_]*(?:[eE][-+]?[0-9]+)?"
    r"|[0-9][0-9_]*[eE][-+]?[0-9]+|\.(?:inf|Inf|INF))$|\.(?:nan|NaN|NAN)$"
)


_LEADING_ZERO = re.compile(r"[-+]?0[0-9_]*[0-9]")
_SEXAGESIMAL = re.compile(r"[-+]?(?:[1-9][0-9_]*(?::[0-5]?[0-9])+|[0-9][0-9_]*(?::[0-5]?[0-9])+\.[0-9_]*)")
_NO_BLANK = re.compile(r"""'[^']*'|"[^"]*"|#.*|(?<![\w./:-])([A-Za-z_][\w.-]*):(?=[^\s:/\\])""")  # in quotes: as it is
_NEEDS_BLANK = "a key needs a blank after its `:`"
_NO_DASH = re.compile(r"^(\s*)-(?=[^\s-])")
# Exponents without a point or a sign, which PyYAML reads as texts and writes without quotes.
_BARE = re.compile(r"[-+]?(?:[0-9]+[eE][-+]?[0-9]+|(?:[0-9]+\.[0-9]*|\.[0-9]+)[eE][0-9]+)")


def bare_number(value: Any) -> float | None:
    """Returns the number that a text such as 1e-5 is in a YAML file, though PyYAML reads it as a text; else None."""
    return float(value) if isinstance(value, str) and _BARE.fullmatch(value) else None


class _Loader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # type: ignore[misc]
    """PyYAML's safe loader with the scalars of the module's docstring."""

    yaml_implicit_resolvers: ClassVar[dict[str, Any]] = {}


_Loader.add_implicit_resolver(
    _TAG + "bool",
    re.compile(r"(?:yes|Yes|YES|no|No|NO|true|True|TRUE|false|False|FALSE|on|On|ON|off|Off|OFF)$"),
    list("yYnNtTfFoO"),
)
_Loader.add_implicit_resolver(_TAG + "int", _INT, list("-+0123456789"))
_Loader.add_implicit_resolver(_TAG + "float", _FLOAT, list("-+0123456789."))
_Loader.add_implicit_resolver(_TAG + "merge", re.compile(r"<<$"), ["<"])
_Loader.add_implicit_resolver(_TAG + "null", re.compile(r"(?:~|null|Null|NULL|)$"), ["~", "n", "N", ""])


@dataclass(frozen=True)
class Document:
    """A parsed file: plain Python objects, and the place of each in the file.

    `places` maps a key path to `file:line:column` (or to the option that set it); `texts` maps
    the path of a scalar to the characters in the file. `templates` are the paths of keys whose values, or
    parts of them, stand under another key beside them as well, by an alias (`*name`). `repeated` are those of
    `problems` that name a key given twice, with different values; the last counts. `quoted` are the paths of texts in
    quotes.
    """

    name: str
    data: Any
    places: Mapping[KeyPath, str] = field(default_factory=dict)
    texts: Mapping[KeyPath, str] = field(default_factory=dict)
    problems: tuple[str, ...] = ()
    templates: frozenset[KeyPath] = frozenset()
    warnings: tuple[str, ...] = ()
    repeated: tuple[str, ...] = ()
    quoted: frozenset[KeyPath] = frozenset()

    def place(self, path: KeyPath) -> str:
        """Finds where the value at `path` was written, else the nearest value around it."""
        for length in range(len(path), -1, -1):
            found = self.places.get(path[:length])
            if found is not None:
                return found
        return self.name

    def message(self, path: KeyPath, text: str) -> str:
        """Formats a mistake as one line: place, key path, `text`."""
        return _line(self.place(path), path, text)

    def plain_texts(self, path: KeyPath) -> dict[str, str]:
        """Maps the `repr` of each value without quotes under `path` to its characters in the file: `True` to `yes`."""
        below = {place: text for place, text in self.texts.items() if place[: len(path)] == path}
        values = {text: self.value_at(place) for place, text in below.items() if place not in self.quoted}
        return {repr(value): text for text, value in values.items() if not isinstance(value, str)}

    def value_at(self, path: KeyPath) -> Any:
        """Returns the value at a path; None where a key that was given again has replaced it."""
        value = self.data
        for part in path:
            try:
                value = value[part]
            except (LookupError, TypeError):
                return None
        return value

    def inside(self, key: str) -> Document:
        """Returns the value of one top-level key as a document."""
        return Document(
            self.name,
            self.data[key],
            {path[1:]: place for path, place in self.places.items() if path[:1] == (key,)},
            {path[1:]: text for path, text in self.texts.items() if path[:1] == (key,)},
            self.problems,
            frozenset(path[1:] for path in self.templates if path[:1] == (key,) and len(path) > 1),
            self.warnings,
            self.repeated,
            frozenset(path[1:] for path in self.quoted if path[:1] == (key,)),
        )

    def replaced(self, top: Mapping[str, Any], place: str) -> Document:
        """Returns the document with the top-level keys `top` set; `place` says by what, such as an option."""
        places = {path: at for path, at in self.places.items() if not path or path[0] not in top}
        texts = {path: text for path, text in self.texts.items() if path[0] not in top}
        for path, at in self.places.items():  # what stays of a mapping keeps its place
            inner = top.get(str(path[0])) if len(path) > 1 else None
            if isinstance(inner, Mapping) and path[1] in inner and inner[path[1]] is self.data[path[0]].get(path[1]):
                places[path] = at
                texts |= {path: self.texts[path]} if path in self.texts else {}
        places.update({(key,): place for key in top})
        return replace(self, data={**self.data, **top}, places=places, texts=texts)


def dotted(path: KeyPath) -> str:
    """Formats the key path `("parameters", "lr", "values", 2)` as `parameters.lr.values[2]`."""
    text = ""
    for part in path:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else str(part)
    return text


def _line(place: str, path: KeyPath, text: str) -> str:
    """Formats a mistake as one line of printable characters."""
    keys = dotted(path)
    line = f"{place}: {keys}: {text}" if keys else f"{place}: {text}"
    return "".join(character if character.isprintable() else repr(character)[1:-1] for character in line)


def read_yaml(name: str, content: bytes | str) -> Document:
    """Parses YAML text. Duplicate keys, unknown tags and the like are left in `problems`, to be shown with all others.

    Args:
        name: the file as the user gave it.

    Raises:
        ConfigError: the text is no YAML.
    """
    text = _decode(name, content) if isinstance(content, bytes) else content
    loader = None
    try:
        loader = _Loader(text)
        node = loader.get_single_node()
    except yaml.MarkedYAMLError as error:
        raise ConfigError(_syntax_problem(name, error, text)) from None
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        character = f"U+{error.character:04X}" if isinstance(error.character, int) else "a byte"
        raise ConfigError(f"{name}:{line}: {character} is not allowed in YAML") from None
    except RecursionError:
        raise ConfigError(f"{name}: nested too deeply") from None
    finally:
        if loader is not None:
            loader.dispose()
    if node is None:
        return Document(name, None, {(): f"{name}:1:1"})
    return _Builder(name).document(node)


def read_yaml_file(path: str, name: str | None = None) -> Document:
    """Parses a YAML file as `read_yaml` does.

    Args:
        name: the file as messages show it; by default `path`.

    Raises:
        ConfigError: the file cannot be read, or is no YAML.
    """
    try:
        with open(path, "rb") as file:
            content = file.read()
    except OSError as error:
        raise ConfigError(f"{name or path}: cannot be read: {error.strerror}") from None
    return read_yaml(name or path, content)


def _decode(name: str, content: bytes) -> str:
    """Decodes UTF-8, with or without a byte order mark; ConfigError names the line that is none."""
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise ConfigError(
            f"{name}:{line}: not UTF-8 (byte 0x{content[error.start]:02x}); save the file as UTF-8"
        ) from None


def _syntax_problem(name: str, error: yaml.MarkedYAMLError, text: str) -> str:
    """Formats PyYAML's error as one line, with a hint at the usual mistake behind it."""
    what = error.problem or error.context or "cannot be read"
    mark = error.problem_mark
    if "expected ':'" in what or mark is None:  # the mark is at what follows; the mistake is before it
        mark = error.context_mark or mark
    if mark is None:
        return _line(name, (), f"not valid YAML: {what}")
    lines = text.splitlines()
    line = lines[mark.line] if mark.line < len(lines) else ""
    for number in (mark.line, mark.line - 1):
        if 0 <= number < len(lines) and (mended := _spaced(lines, number)) is not None:
            place = f"{name}:{number + 1}"
            need = "a list item needs a blank after its `-`" if mended.startswith("- ") else _NEEDS_BLANK
            return _line(place, (), f"not valid YAML: {what}; {need}; write `{mended}`")
    begun = error.context_mark
    hint = f" (begun on line {begun.line + 1})" if begun and begun.line < mark.line else ""
    if "expected ':'" in what:
        hint = "; a key needs `:` and a blank after it"
    elif "another document" in what:
        hint = "; a sweep file is one document, without `---` inside"
    elif "cannot start any token" in what:
        character = line[mark.column : mark.column + 1]
        hint = f"; quote a text that begins with {character}"
        if character == "\t":
            hint = "; it is a tab, YAML is indented with blanks only"
    elif any(part in what for part in ("mapping values", "expected key", "'-' indicator", "<block end>")):
        hint += "; is the line indented like its neighbours? A text with `: ` in it needs quotes"
    return _line(f"{name}:{mark.line + 1}:{mark.column + 1}", (), f"not valid YAML: {what}{hint}")


def _spaced(lines: list[str], number: int) -> str | None:
    """Returns the line with blanks after its colons, or after the dash it begins with, if YAML can be read further then."""
    line = lines[number]
    keys = _NO_BLANK.sub(lambda found: found[0] if found[1] is None else f"{found[1]}: ", line)
    for mended in (keys, _NO_DASH.sub(r"\1- ", line)):
        if mended != line:
            try:
                list(yaml.parse("\n".join((*lines[:number], mended, *lines[number + 1 :])), _Loader))
            except yaml.MarkedYAMLError as error:
                if error.problem_mark is None or error.problem_mark.line <= number:
                    continue
            except yaml.YAMLError:
                continue
            return mended.strip()
    return None


class _Builder:
    """Converts PyYAML's nodes to plain objects and keeps their places."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.places: dict[KeyPath, str] = {}
        self.texts: dict[KeyPath, str] = {}
        self.problems: list[str] = []
        self.repeated: list[str] = []
        self.nodes = 0
        self.open: set[int] = set()
        self.first: dict[int, KeyPath] = {}  # where each node stands in the file
        self.templates: set[KeyPath] = set()
        self.quoted: set[KeyPath] = set()
        self.warnings: dict[int, str] = {}  # by node, so that an alias repeats none

    def document(self, root: yaml.Node) -> Document:
        """Converts a whole document."""
        self.places[()] = self._at(root)
        data = self.value(root, ())
        return Document(
            self.name,
            data,
            self.places,
            self.texts,
            tuple(self.problems),
            frozenset(self.templates),
            tuple(self.warnings.values()),
            tuple(self.repeated),
            frozenset(self.quoted),
        )

    def value(self, node: yaml.Node, path: KeyPath) -> Any:
        """Converts the node that stands at `path`."""
        self.nodes += 1
        if self.nodes > _MAX_NODES:
            raise ConfigError(f"{self.name}: more than {_MAX_NODES} values after expanding aliases")
        self.places.setdefault(path, self._at(node))
        self._note_alias(node, path)
        if isinstance(node, yaml.ScalarNode):
            self.texts[path] = node.value
            if node.style in ("'", '"', "|", ">"):
                self.quoted.add(path)
            elif (doubt := _number_doubt(node.value)) is not None:
                self.warnings.setdefault(id(node), _line(self._at(node), path, doubt))
            return self._scalar(node, path)
        if id(node) in self.open:
            self._problem(node, path, "refers to itself")
            return None
        self.open.add(id(node))
        try:
            if isinstance(node, yaml.SequenceNode):
                self._known_tag(node, path, "seq")
                return [self.value(item, (*path, index)) for index, item in enumerate(node.value)]
            self._known_tag(node, path, "map")
            return self._mapping(node, path)
        finally:
            self.open.discard(id(node))

    def _mapping(self, node: yaml.Node, path: KeyPath) -> dict[str, Any]:
        result: dict[str, Any] = {}
        merged: dict[str, Any] = {}
        first: dict[str, yaml.Node] = {}
        for key_node, value_node in node.value:
            if key_node.tag == _TAG + "merge":
                for source in self._merge_sources(value_node, path):
                    self._note_alias(source, path)
                    for key, value in self._mapping(source, path).items():
                        merged.setdefault(key, value)
                continue
            if not isinstance(key_node, yaml.ScalarNode):
                self._problem(key_node, path, "a key must be a plain word")
                continue
            key = key_node.value
            here = (*path, key)
            self.places[here] = self._at(key_node)
            value = self.value(value_node, here)
            if key in first and not _identical(result[key], value):
                earlier = first[key].start_mark.line + 1
                self._problem(key_node, here, f"given twice, first on line {earlier}; keep one")
                self.repeated.append(self.problems[-1])
            first[key] = key_node
            result[key] = value
        return {**merged, **result} if merged else result

    def _note_alias(self, node: yaml.Node, path: KeyPath) -> None:
        """Notes the key whose value, or a part of it, an alias puts under another key as well."""
        owner = self.first.setdefault(id(node), path)
        if owner is not path:
            shared = next((i for i, (one, other) in enumerate(zip(owner, path, strict=False)) if one != other), None)
            if shared is not None:
                self.templates.add(owner[: shared + 1])

    def _merge_sources(self, node: yaml.Node, path: KeyPath) -> list[yaml.Node]:
        sources = node.value if isinstance(node, yaml.SequenceNode) else [node]
        if all(isinstance(source, yaml.MappingNode) and id(source) not in self.open for source in sources):
            return list(sources)
        self._problem(node, path, "`<<` takes another mapping (an alias such as *base)")
        return []

    def _scalar(self, node: yaml.ScalarNode, path: KeyPath) -> Any:
        text = node.value
        kind = node.tag.removeprefix(_TAG)
        try:
            if kind == "null":
                return None
            if kind == "bool":
                return _BOOLEANS[text.lower()]
            if kind == "int":
                return _integer(text)
            if kind == "float":
                return _float(text)
        except (KeyError, ValueError):
            self._problem(node, path, f"'{text}' is not a {kind}")
            return text
        if kind not in ("str", "merge"):
            self._problem(node, path, f"the tag {node.tag} is not supported; write the value plainly")
        return text

    def _known_tag(self, node: yaml.Node, path: KeyPath, kind: str) -> None:
        if node.tag != _TAG + kind:
            self._problem(node, path, f"the tag {node.tag} is not supported; write the value plainly")

    def _at(self, node: yaml.Node) -> str:
        return f"{self.name}:{node.start_mark.line + 1}:{node.start_mark.column + 1}"

    def _problem(self, node: yaml.Node, path: KeyPath, text: str) -> None:
        self.problems.append(_line(self._at(node), path, text))


def _identical(one: Any, other: Any) -> bool:
    """Tells whether two values are equal, with their types and the order of their keys (1, 1.0 and true differ)."""
    return repr(one) == repr(other)


def _number_doubt(text: str) -> str | None:
    """Explains a plain scalar that readers of YAML 1.1, such as W&B's, take for something else; None for others."""
    if _LEADING_ZERO.fullmatch(text):
        digits = text.replace("_", "")
        octal = None if re.search("[89]", digits) else int(digits, 8)
        number = _integer(text)
        other = "a text" if octal is None else f"the number {octal}"
        if octal == number:
            return f"{text} is read as the number {number}; write {number}, or '{text}' if a text is meant"
        return f"{text} is read as the number {number}, by W&B's own reader as {other}; write {number}, or '{text}' as a text"
    if (number_meant := sexagesimal(text)) is not None:
        other = f"{number_meant:g}"
        return f"{text} is read as a text, by W&B's own reader as the number {other}; write {other}, or '{text}'"
    return None


def sexagesimal(text: str) -> float | None:
    """Returns the number that readers of YAML 1.1 take a text such as 1:30 for, 90; None for any other text."""
    if not _SEXAGESIMAL.fullmatch(text):
        return None
    parts = text.replace("_", "").lstrip("+-").split(":")
    number = sum(float(part) * 60**place for place, part in enumerate(reversed(parts)))
    return -float(number) if text.startswith("-") else float(number)


def _integer(text: str) -> int:
    digits = text.replace("_", "").lower()
    sign = -1 if digits.startswith("-") else 1
    digits = digits.lstrip("+-")
    base = {"0b": 2, "0o": 8, "0x": 16}.get(digits[:2], 10)
    return sign * int(digits[2:] if base != 10 else digits, base)


def _float(text: str) -> float:
    digits = text.replace("_", "").lower()
    if digits.lstrip("+-") in (".inf", ".nan"):
        digits = digits.replace(".", "")
    return float(digits)
