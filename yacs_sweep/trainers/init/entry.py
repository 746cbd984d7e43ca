"""Finds the script of a project that trains."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable
from pathlib import Path

from .project import Module, Project, dotted

_NAMES = (  # the usual ones first
    r"train",
    r"train_?net|run_?net|train_?model|run_?train(ing)?|main_?train",
    r"main",
    r"run",
    r"train_.+|.+_train|trainer|finetune|fit",
    r"main_.+|run_.+",
)
_OTHER = re.compile(r"test|eval|demo|infer|predict|export|convert|deploy|visuali[sz]e|benchmark|setup|download|plot")
_FOLDERS = {"tests", "test", "docs", "demo", "demos", "projects", "dev", "examples", "third_party", "notebooks"}
_STARTS = ("ArgumentParser", "parse_args", "merge_from_file", "hydra", "LightningCLI", "HfArgumentParser", "Fire")


def find_entry(project: Project) -> tuple[Path | None, list[Path]]:
    """Returns the script that trains, and others that may be meant; None where there is none."""
    found = []
    for path in project.files:
        if len(path.parts) > 3 or set(path.parts[:-1]) & _FOLDERS or _OTHER.search(path.stem.lower()):
            continue
        rank = _rank(path.stem.lower())
        if rank is None:
            continue
        module = project.module(path)
        if module is not None and _is_script(module):
            takes_words = any(word in project.text(path) for word in _STARTS)
            found.append((not takes_words, len(path.parts) > 2, rank, len(path.parts), path))
    paths = [path for *_, path in sorted(found)]
    return (paths[0], paths[1:]) if paths else (None, [])


def _rank(stem: str) -> int | None:
    """Returns how usual a script's name is for training; None for another name."""
    return next((place for place, name in enumerate(_NAMES) if re.fullmatch(name, stem)), None)


def _is_script(module: Module) -> bool:
    """Tells whether a file is started: by `if __name__ == "__main__"`, or as it parses arguments or opens a run when read."""
    for statement in module.tree.body:
        if isinstance(statement, ast.If) and "__name__" in ast.dump(statement.test):
            return True
    return any(
        isinstance(node, ast.Attribute) and (node.attr == "parse_args" or dotted(node) == ["wandb", "init"])
        for statement in module.tree.body
        if not isinstance(statement, ast.FunctionDef | ast.ClassDef)
        for node in ast.walk(statement)
    )


def shown(paths: Iterable[Path]) -> str:
    """Writes the first of several paths for a message."""
    found = [path.as_posix() for path in paths]
    return ", ".join(found[:5]) + (f" and {len(found) - 5} more" if len(found) > 5 else "")
