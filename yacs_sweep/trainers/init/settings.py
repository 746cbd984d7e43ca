"""Reads the YAML files of a Hydra or plain-YAML trainer as dotted keys, and finds which word names such a file."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from .arguments import Argument, literal
from .project import Module, Place, Project, dotted
from .trace import Scope, Tracer, key_path
from .tree import flat

_TOP_KEY = re.compile(r"^([A-Za-z_]\w*)\s*:", re.MULTILINE)
_OTHER = re.compile(
    r"^(configs/trainers|sweeps)/|compose|environment|pre-commit|mkdocs|demo|test|infer|eval|deploy|example|\.github"
)
BASES = ("_BASE_", "BASE")  # keys of files that a configuration is based on
_NO_TRAINING = re.compile(r"--?(eval|test|throughput|resume|inference)\b|\bTEST\.EVALUATE|evaluate\b|eval[-_]only")
_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_PACKAGE = re.compile(r"#\s*@package\s+(\S+)")


@dataclass(frozen=True)
class HydraMain:
    """Holds what `@hydra.main(config_path=…, config_name=…)` says; `folder` is the path, relative to the project."""

    folder: Path
    name: str
    path: str | None = None


def hydra_main(module: Module) -> HydraMain | None:
    """Returns the script's Hydra decorator; None where there is none."""
    for node in module.nodes:
        for decorator in getattr(node, "decorator_list", []):
            if isinstance(decorator, ast.Call) and (dotted(decorator.func) or [""])[-2:] == ["hydra", "main"]:
                words = {item.arg: literal(item.value) for item in decorator.keywords}
                names = ("version_base", "config_path", "config_name")  # order of positional ones in older releases
                words |= dict(zip(names[1:], map(literal, decorator.args), strict=False))
                folder, name = words.get("config_path"), words.get("config_name")
                place = module.path.parent / (folder if isinstance(folder, str) else ".")
                stem = re.sub(r"\.ya?ml$", "", name) if isinstance(name, str) else "config"
                return HydraMain(_normal(place), stem, folder if isinstance(folder, str) else None)
    return None


def _normal(path: Path) -> Path:
    """Takes `..` out of a relative path."""
    parts: list[str] = []
    for part in path.parts:
        if part == ".." and parts:
            parts.pop()
        else:
            parts.append(part)
    return Path(*parts)


def hydra_leaves(project: Project, main: HydraMain) -> dict[str, Any]:
    """Composes the configuration as Hydra does by default: the defaults list, then the file's own keys."""
    return {key: number(value) for key, value in flat(_composed(project, main.folder, main.name, 0)).items()}


def _composed(project: Project, folder: Path, name: str, depth: int) -> dict[str, Any]:
    path = folder / f"{name}.yaml"
    data = read_settings(project, path)
    below: dict[str, Any] = {}
    for item in data.pop("defaults", None) or []:
        if depth > 5:
            break
        if isinstance(item, str) and item != "_self_":
            _merge(below, _composed(project, folder, item.lstrip("/"), depth + 1))
        elif isinstance(item, dict):
            for group, choice in item.items():
                group = re.sub(r"^(optional|override)\s+|@.*$", "", str(group)).lstrip("/")
                if isinstance(choice, str) and not group.startswith("hydra"):
                    inner = _composed(project, folder / group, choice, depth + 1)
                    package = _PACKAGE.search(project.text(folder / group / f"{choice}.yaml"))
                    _merge(below, inner if package and package[1] == "_global_" else {group.split("/")[-1]: inner})
    _merge(below, data)
    return below


def _merge(into: dict[str, Any], data: dict[str, Any]) -> None:
    for key, value in data.items():
        if isinstance(value, dict) and isinstance(into.get(key), dict):
            _merge(into[key], value)
        else:
            into[key] = value


def read_settings(project: Project, path: Path, depth: int = 0) -> dict[str, Any]:
    """Reads a YAML file as a mapping, with the files it is based on; {} where there is none."""
    try:
        data = yaml.load(project.text(path), Loader=_LOADER)
    except yaml.YAMLError:
        return {}
    if not isinstance(data, dict):
        return {}
    below: dict[str, Any] = {}
    for name in BASES:
        given = data.get(name)
        for base in given if isinstance(given, list) else [given]:
            if isinstance(base, str) and base and depth < 5:
                _merge(below, read_settings(project, _normal(path.parent / base), depth + 1))
    _merge(below, data)
    return below


def number(value: Any) -> Any:
    """Returns the number that a text such as `1e-4` is, which YAML's readers take for a text."""
    if isinstance(value, str):
        try:
            return float(value)
        except ValueError:
            return value
    return value


def example_configs(project: Project, script: Path, leaves: Mapping[str, Any]) -> list[Path]:
    """Lists configuration files of the project that fit such a tree, the best first; without `leaves` any one may.

    Those are first with which a document or a shell script trains, in that order, then the others, those nearest to the
    project's folder first. All of several are returned only where documents name them.
    """
    sections = {key.partition(".")[0] for key in leaves}
    said = _instructions(project)
    beside = [line for line in said.splitlines() if script.name in line and not _NO_TRAINING.search(line)]
    ranked = []
    for place, path in enumerate([path for path in project.all_files if path.suffix != ".py"][:500]):
        names = {name for name in _TOP_KEY.findall(project.text(path)) if name not in BASES}
        named = next((n for n, line in enumerate(beside) if path.as_posix() in line), len(beside))
        fits = not leaves or len(names & sections) > 0.7 * len(names)
        if not fits or (_OTHER.search(path.as_posix().lower()) and named == len(beside)):
            continue
        said_of = path.as_posix() not in said
        ranked.append((named, said_of, -min(len(names & sections), 3), place, path))
    ranked.sort()
    named_ones = [path for named, *_, path in ranked if named < len(beside)]
    for *_, path in ranked[:20]:
        settings = read_settings(project, path)
        if None not in settings.values() and all(
            key in leaves or not leaves or key.startswith("_") for key in flat(settings)
        ):
            return [path, *(other for other in named_ones if other != path)]
    return [ranked[0][-1]] if ranked else []


def _instructions(project: Project) -> str:
    """Returns what the project's documents and shell scripts say, README first, with broken command lines put together."""
    files = [
        path
        for pattern in ("README*", "*.md", "*.rst", "docs/*.md", "docs/*.rst", "*.sh", "*/*.sh")
        for path in sorted(project.root.glob(pattern))[:12]
    ]
    text = "\n".join(project.text(path.relative_to(project.root)) for path in dict.fromkeys(files))
    return re.sub(r"\\[ \t]*\r?\n", " ", text)


# -- which word names the file ----------------------------------------------------------------------------------------
_LOADS = ("safe_load", "full_load", "unsafe_load", "load", "loads")
_READERS = ("yaml", "YAML", "OmegaConf", "json", "toml", "tomllib", "ruamel")


@dataclass(frozen=True)
class Word:
    """Describes a word of `sys.argv`, by the variable that it is read into; `default` is for want of one."""

    place: int
    name: str
    names_file: bool
    default: Any = None


def read_words(places: list[Place]) -> list[Word]:
    """Lists the words that a script without a parser takes from `sys.argv`, and tells which one names its settings."""
    tracer = Tracer(places)
    files = {number for scope, call in _reading(tracer) for number in _numbers(tracer.sources(scope, call))}
    found: dict[int, Word] = {}
    for scope in tracer.scopes:
        for node in scope.nodes:
            named = node.targets[0].id if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name) else ""
            value = node.value if isinstance(node, ast.Assign) else node
            default = literal(value.orelse) if isinstance(value, ast.IfExp) else None
            for number in _numbers(ast.walk(value) if named else [value]):
                found.setdefault(number, Word(number, named or f"word {number}", number in files, default))
    return [found[number] for number in sorted(found)]


def read_arguments(places: list[Place], arguments: Mapping[str, Argument]) -> list[Argument]:
    """Lists the positional arguments that name a file of settings which the script reads."""
    tracer = Tracer(places)
    names = {
        path[-1]
        for scope, call in _reading(tracer)
        for source in tracer.sources(scope, call)
        if len(path := key_path(source)) == 2
    }
    return [item for item in arguments.values() if item.dest in names and not item.flag and not item.is_rest]


def _reading(tracer: Tracer) -> Iterable[tuple[Scope, ast.Call]]:
    """Yields the calls that read YAML, JSON or TOML."""
    for scope in tracer.scopes:
        for node in scope.nodes:
            parts = dotted(node.func) if isinstance(node, ast.Call) else None
            if not isinstance(node, ast.Call) or not parts or parts[-1] not in _LOADS:
                continue
            item = scope.module.imports.get(parts[0])
            package = item.module.partition(".")[0] if item else parts[0]
            if {package, item.name if item else None, parts[0]} & set(_READERS):
                yield scope, node


def _numbers(nodes: Iterable[ast.AST]) -> Iterable[int]:
    """Yields N of each `sys.argv[N]`, but the script's own name."""
    for node in nodes:
        if isinstance(node, ast.Subscript) and dotted(node.value) in (["sys", "argv"], ["argv"]):
            number = literal(node.slice)
            if isinstance(number, int) and number > 0:
                yield number
