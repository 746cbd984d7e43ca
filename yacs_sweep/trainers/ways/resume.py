"""Tells a trainer to resume: the profile's key `resume`, and the words it stands for in a folder that has a checkpoint."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import Any

from ...logs.names import FIELD
from ...records.folder import LAUNCHER_FILES
from ...records.trial_files import Problems, walk
from ...spec.section import Section
from ..styles import check_key
from .placeholders import fill, unknown_placeholder

CHECKPOINT = "checkpoint"  # the placeholder, and the key of its pattern
PLACEHOLDERS = ("output_dir", CHECKPOINT)
RESUME_KEYS = ("words", CHECKPOINT)
_DIGITS = re.compile(r"(\d+)")


@dataclass(frozen=True)
class ResumeRule:
    """Describes how a trainer is made to resume the training in its output folder.

    Attributes:
        itself: True: it resumes without being told; False: it always starts over; None: not said.
        words: options and bare words, which stand right behind the command.
        pairs: trainer keys and their values, which are given as parameters are.
        patterns: of the files or folders that `{checkpoint}` is the newest of.
    """

    itself: bool | None = None
    words: tuple[str, ...] = ()
    pairs: tuple[tuple[str, Any], ...] = ()
    patterns: tuple[str, ...] = ()

    @property
    def is_told(self) -> bool:
        """Whether the trainer needs words to resume."""
        return bool(self.words or self.pairs)

    @property
    def names_checkpoint(self) -> bool:
        """Whether the words name the checkpoint to resume from."""
        texts = [*self.words, *(value for _, value in self.pairs if isinstance(value, str))]
        return any(CHECKPOINT in FIELD.findall(text) for text in texts)

    @property
    def text(self) -> str:
        """Shows the words in a line, placeholders as they stand; empty without any."""
        return " ".join([*self.words, *(f"{key} {value}" for key, value in self.pairs)])

    @property
    def described(self) -> str:
        """Says how the trainer resumes, as the profile has it; empty where it does not say."""
        said = {True: "by itself", False: "never", None: ""}
        return f"told by {self.text}" if self.is_told else said[self.itself]

    def filled(self, output_dir: str, checkpoint: str | None) -> tuple[list[str], dict[str, Any]]:
        """Returns the words and the values by key, placeholders filled in."""
        values: dict[str, str | None] = {"output_dir": output_dir, CHECKPOINT: checkpoint}
        pairs = {key: fill(value, values) if isinstance(value, str) else value for key, value in self.pairs}
        return [fill(word, values) for word in self.words], pairs


def newest_checkpoint(folder: Path, patterns: Sequence[str]) -> Path | None:
    """Finds the newest file or folder that matches one of the patterns; None without any.

    The time of the last change decides. Of those with the same time, the last one by name counts, numbers by their value.
    """
    newest: tuple[tuple[float, list[str | int]], Path] | None = None
    for entry in walk(folder, Problems()):
        if not (entry.is_file or entry.is_folder) or entry.path in LAUNCHER_FILES or entry.name.startswith("."):
            continue
        if not any(PurePath(entry.path).match(pattern) for pattern in patterns):
            continue
        path = folder / entry.path
        try:
            changed = path.stat().st_mtime
        except OSError:
            continue
        key = (changed, _natural(entry.path))
        if newest is None or key > newest[0]:
            newest = (key, path)
    return newest[1] if newest is not None else None


def _natural(name: str) -> list[str | int]:
    """Makes a sort key that puts model_9 before model_10."""
    return [int(part) if place % 2 else part for place, part in enumerate(_DIGITS.split(name))]


def read_resume(section: Section, style: str, checkpoints: Sequence[str]) -> ResumeRule:
    """Reads the key `resume` of a profile: true, false, a word, a list, or a mapping with the checkpoint's pattern.

    Args:
        style: the profile's `overrides`.
        checkpoints: the profile's patterns, which `{checkpoint}` is looked for by where no others are given.
    """
    value, patterns = section.get("resume"), tuple(checkpoints)
    if isinstance(value, dict):
        inner = Section(section.notes, section.at("resume"), value, RESUME_KEYS)
        inner.refuse_unknown(RESUME_KEYS)
        if (given := inner.get(CHECKPOINT)) is not None:
            patterns = tuple(given) if isinstance(given, list) else (given,)
        value = inner.get("words")
        if value is None:
            section.wrong("resume", "has no words; write {words: [--resume, '{checkpoint}'], checkpoint: '*.pth'}")
            return ResumeRule()
        if not all(isinstance(pattern, str) and is_pattern(pattern) for pattern in patterns):
            inner.wrong(CHECKPOINT, f"{given!r} is not a pattern of files in a trial's folder, such as '*.pth'")
            return ResumeRule()
    if value is None or isinstance(value, bool):
        return ResumeRule(itself=value, patterns=patterns)
    words = [value] if isinstance(value, str) else value
    if not isinstance(words, list) or not words or any(isinstance(word, list | dict) or word is None for word in words):
        section.wrong("resume", f"{value!r} is neither true, false, a word such as --resume, nor [KEY, VALUE]")
        return ResumeRule()
    for word in words:
        if isinstance(word, str) and (problem := unknown_placeholder(word, PLACEHOLDERS)):
            section.wrong("resume", problem)
            return ResumeRule()
    rule = _rule(section, style, words, patterns, single=isinstance(value, str))
    if rule.names_checkpoint and not patterns:
        text = "{checkpoint} needs a pattern: `checkpoints: ['*.pth']`, or {words: […], checkpoint: '*.pth'}"
        section.wrong("resume", text)
    return rule


def _rule(section: Section, style: str, words: list[Any], patterns: tuple[str, ...], *, single: bool) -> ResumeRule:
    """Tells options and bare words from pairs of key and value."""
    if single or str(words[0]).startswith("-"):
        texts = tuple(map(str, words))
        if single and " " in texts[0].strip():
            section.wrong("resume", f"{texts[0]!r} is several words; write [{', '.join(texts[0].split())}]")
        return ResumeRule(words=texts, patterns=patterns)
    if len(words) % 2:
        section.wrong("resume", f"{words[-1]!r} has no value; write [KEY, VALUE], or a word alone: `resume: --resume`")
        return ResumeRule()
    try:
        for key in words[::2]:
            check_key(style, str(key))
    except ValueError as error:
        section.wrong("resume", str(error))
        return ResumeRule()
    pairs = tuple((str(key), value) for key, value in zip(words[::2], words[1::2], strict=True))
    return ResumeRule(pairs=pairs, patterns=patterns)


def is_pattern(pattern: str) -> bool:
    """Tells whether a text is a pattern of files in a trial's folder that does not match all of them."""
    return (
        bool(pattern) and not pattern.startswith("/") and ".." not in pattern.split("/") and pattern not in ("*", "**")
    )
