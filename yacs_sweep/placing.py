"""What the trainer makes of a sweep file's parameters, told with its place in the file."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from .errors import ConfigError
from .overrides import Overrides
from .parameter_reader import PARAMETER_KEYS
from .shared_files import SWEEPS
from .spec import SweepSpec
from .spec import sweep_document as read_document
from .spec_reader import parameter_path, unwrapped
from .yaml_reader import Document


def preset_folders() -> list[Path]:
    """Where `--sweep-config NAME` looks: the current folder's sweeps/, then those that come with the launcher."""
    return [Path("sweeps"), SWEEPS]


def check_parameters(spec: SweepSpec, overrides: Overrides) -> list[str]:
    """Problems of the parameters as the trainer sees them: keys, types of every value they can take."""
    return overrides.check_all({item.name: item.extremes() for item in spec.parameters})


def sweep_document(options: argparse.Namespace) -> Document | None:
    """The sweep as it is written; None without one, or when it cannot be read."""
    if not options.sweep_config:
        return None
    try:
        return unwrapped(read_document(options.sweep_config[0], preset_folders()))
    except ConfigError:
        return None


def names_own_trainer(options: argparse.Namespace) -> bool:
    """Whether a sweep file that is wrong otherwise says what to start."""
    document = sweep_document(options)
    return (
        document is not None and isinstance(document.data, dict) and bool({"program", "command"} & set(document.data))
    )


def placed_problems(options: argparse.Namespace, overrides: Overrides, spec: SweepSpec | None) -> list[str]:
    """`check_parameters`, with the place in the sweep file; of a file that is wrong in other ways, its names alone."""
    document = sweep_document(options)
    if document is None and options.sweep_config:
        return []  # told already
    data = document.data if document is not None and isinstance(document.data, dict) else {}
    top = next((key for key in data if key.lower() == "parameters"), "parameters")
    written = data[top] if isinstance(data.get(top), dict) else {}
    if spec is None:
        plain = {name for name, body in written.items() if not isinstance(body, dict) or "parameters" not in body}
        values: dict[str, tuple[Any, ...]] = {str(name): () for name in written if name in plain - {*PARAMETER_KEYS}}
    else:
        values = {item.name: item.extremes() for item in spec.parameters}
    problems = []
    for name, extremes in values.items():
        for problem in overrides.check(name, extremes):
            path = parameter_path(document, name, (top,)) if document else ()
            problems.append(document.message(path, problem) if document and path in document.places else problem)
    return problems + overrides.collisions(values)
