"""Finds and loads a trainer's profile by name or path, with the profiles it extends."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path

from ..base.errors import ConfigError
from ..base.shipped import INSTALLED, TRAINERS
from ..base.wording import did_you_mean
from ..base.yaml_document import Document, KeyPath, read_yaml_file
from ..spec.section import Notes, Section
from .profile import TrainerProfile
from .read_profile import ProfileReader, profile_key, profile_section

_MERGED = ("aliases", "env")  # mappings of which each key is inherited by itself
_LISTED = ("metrics", "files")  # lists: ones own come first, then the inherited


def overlay(top: Document, base: Document) -> Document:
    """Lays the profile `top` over the one it extends.

    A key of `top` counts, null takes an inherited one away, `aliases` and `env` are merged (null takes one of them away),
    `metrics` and `files` come before those inherited. Places stay those of the files.
    """
    data, places, texts = dict(top.data), dict(top.places), dict(top.texts)
    spelt = {profile_key(key): key for key in top.data}
    inherited: list[tuple[KeyPath, KeyPath]] = []  # paths in `base`, and in the whole
    for key, theirs in base.data.items():
        name = profile_key(key)
        ours = data[spelt[name]] if name in spelt else None
        if name not in spelt:
            data[key] = theirs
            inherited.append(((key,), (key,)))
        elif name in _MERGED and isinstance(ours, dict) and isinstance(theirs, dict):
            gone = {item for item in theirs if item in ours and ours[item] is None}
            data[spelt[name]] = {item: value for item, value in {**theirs, **ours}.items() if item not in gone}
            inherited += [((key, item), (spelt[name], item)) for item in theirs.keys() - ours.keys()]
        elif name in _LISTED and isinstance(ours, list) and isinstance(theirs, list):
            data[spelt[name]] = [*ours, *theirs]
            inherited += [((key, index), (spelt[name], len(ours) + index)) for index in range(len(theirs))]
    for old, new in inherited:
        places.update(_moved(base.places, old, new))
        texts.update(_moved(base.texts, old, new))
    return Document(top.name, data, places, texts, (*top.problems, *base.problems))


def _moved(entries: Mapping[KeyPath, str], old: KeyPath, new: KeyPath) -> dict[KeyPath, str]:
    """Selects the entries at and below the path `old`, and puts them below `new`."""
    size = len(old)
    return {new + path[size:]: text for path, text in entries.items() if path[:size] == old}


def project_root_of(profile: Path) -> Path:
    """Returns the folder that a profile's relative paths are relative to.

    It is the project that has the profile in configs/trainers, else the profile's folder. A profile that was installed
    with the launcher belongs to no project: the folder the launcher was started in.
    """
    if profile.parent == INSTALLED / "trainers":
        return Path.cwd()
    return profile.parents[2] if profile.parent.parts[-2:] == ("configs", "trainers") else profile.parent


PROFILES = Path("configs", "trainers")


def profile_folders(project_root: Path) -> list[Path]:
    """Returns the folders of named profiles, in the order in which they are searched.

    These are configs/trainers/ of the project, of the folders above it, the nearest first, and of the launcher.
    """
    root = project_root.resolve()
    folders = [*(folder / PROFILES for folder in (root, *root.parents)), TRAINERS.resolve()]
    return list(dict.fromkeys(folder.resolve() for folder in folders if os.path.isdir(folder)))


def named_profiles(project_root: Path, besides: Path | None = None) -> dict[str, Path]:
    """Returns the files of all profiles that have a name, by name, sorted; `besides` is a file that does not count."""
    folders = reversed(profile_folders(project_root))
    files = (file for folder in folders for file in folder.glob("*.yaml") if file != besides)
    return dict(sorted({file.stem: file for file in files}.items()))


def _start_of(name: str, path: Path, project_root: Path) -> Path:
    """Returns the folder in which trials start whose profile does not say it.

    This is the launcher's, unless the profile was found by its name in a project that this folder belongs to.
    """
    above = project_root.resolve().parents
    in_project = not _is_path(name) and path.parent != TRAINERS.resolve() and project_root_of(path) in above
    return project_root_of(path) if in_project else project_root


def load_profile(name_or_path: str | os.PathLike[str], *, project_root: str | os.PathLike[str]) -> TrainerProfile:
    """Reads and checks a profile: a name (`reid`), a file, or one in front of another (`torchrun:reid`).

    Raises ConfigError with every mistake in the files (file, line, key), or with the names that exist.
    """
    text = os.fspath(name_or_path)
    chain = _Chain(Path(project_root))
    outer, _, inner = text.partition(":")
    names = [outer, inner] if inner and re.fullmatch(r"[\w-]+", outer) and not Path(text).is_file() else [text]
    documents = [chain.read(name) for name in names]
    document = documents[0] if len(documents) == 1 else overlay(*documents)
    path = chain.paths[names[-1]]
    reader = ProfileReader(document, chain.roots, _start_of(names[-1], path, chain.project_root))
    fields = reader.fields()
    if reader.problems:
        raise ConfigError(list(dict.fromkeys(reader.problems)))
    fields["preload"] = () if fields["wrap"] else fields["preload"]
    reference = ":".join([*names[:-1], str(path)])
    name = ":".join([*names[:-1], path.stem])
    data = {profile_key(key): value for key, value in document.data.items() if value is not None}
    data.pop("extends", None)
    read_from = tuple(dict.fromkeys(chain.files))
    return TrainerProfile(name=name, path=path, reference=reference, data=data, read_from=read_from, **fields)


def shortest_reference(reference: str, project_root: Path) -> str:
    """Returns the shortest text that finds a profile in that project: its name, else its `reference`."""
    outer, colon, file = reference.rpartition(":")
    try:
        named = _find(Path(file).stem, project_root)
    except ConfigError:
        return reference
    return f"{outer}{colon}{named.stem}" if named == Path(file) else reference


class _Chain:
    """Reads profiles and those they extend. `roots` are the folders that the paths under a key are relative to."""

    def __init__(self, project_root: Path) -> None:
        self.project_root = project_root
        self.paths: dict[str, Path] = {}
        self.roots: dict[str, Path] = {}
        self.files: list[Path] = []

    def read(self, name: str) -> Document:
        """Reads the profile of a name or file, with the profiles it extends."""
        self.paths[name] = path = _find(name, self.project_root)
        return self._read(path, ())

    def _read(self, path: Path, below: tuple[Path, ...]) -> Document:
        document = read_yaml_file(str(path))
        self.files.append(path)
        if not isinstance(document.data, dict):
            raise ConfigError(f"{path}: a trainer profile is a mapping with at least `command`")
        section = profile_section(Notes(document))
        for key in ("cwd", "python"):
            if key in section:
                self.roots.setdefault(key, project_root_of(path))
        extends = section.get("extends")
        bases = extends if isinstance(extends, list) else [] if extends is None else [extends]
        for base in bases:
            document = overlay(document, self._base(section, base, path, below))
        return document

    def _base(self, section: Section, base: object, path: Path, below: tuple[Path, ...]) -> Document:
        """Reads a profile that the one at `path` extends; `below` are the profiles that extend that one."""
        document, place = section.notes.document, section.at("extends")
        if not isinstance(base, str) or not base:
            raise ConfigError(document.message(place, f"{base!r} is not the name or file of a profile"))
        beside = path.parent / base
        try:
            found = beside if beside.is_file() else _find(base, self.project_root, besides=path)
        except ConfigError as error:
            raise ConfigError(
                [document.message(place, text.removeprefix("--trainer ")) for text in error.problems]
            ) from None
        if found == path or found in below:
            raise ConfigError(document.message(place, f"{base} extends this profile in turn"))
        return self._read(found, (*below, path))


def _is_path(name: str) -> bool:
    """Tells whether a profile is named by its file."""
    return name.endswith((".yaml", ".yml")) or os.sep in name


def _find(name: str, project_root: Path, besides: Path | None = None) -> Path:
    """Returns the file of a name or path; `besides` is a file that does not count."""
    if name.endswith(".py") and Path(name).expanduser().is_file():
        raise ConfigError(
            f"--trainer {name}: is a script, not a profile; `--init {name}` writes its profile and a first sweep, or name "
            f"the script in the sweep file, `program: {name}`, and leave --trainer out"
        )
    if _is_path(name):
        path = Path(name).expanduser()
        if not path.is_file():
            raise ConfigError(f"--trainer {name}: no such file")
        return path.absolute()
    found = named_profiles(project_root, besides)  # ones own `reid` can extend the one that ships
    if name not in found:
        known = ", ".join(found) or "none"
        hint = did_you_mean(name, found) or f"; write {PROFILES / name}.yaml, or name a file"
        raise ConfigError(f"--trainer {name}: no such profile{hint}; there are: {known}")
    return found[name]
