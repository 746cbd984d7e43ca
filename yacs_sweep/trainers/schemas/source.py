"""Says where a trainer's keys are read from: the `schema` of a profile."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

TREE, HYDRA, ARGPARSE = "tree", "hydra", "argparse"
_PLACE = re.compile(r"(.+\.py|[A-Za-z_]\w*(?:\.[A-Za-z_]\w*)*):[A-Za-z_]\w*(?:\.[A-Za-z_]\w*)*")
_HYDRA_KEYS = ("config_path", "config_name")
_PER_STYLE = {  # what to write for it
    "hydra": "a schema is a YACS tree, and overrides is 'hydra'; write schema: {config_path: conf, config_name: config}",
    "argparse": "a schema is a YACS tree, and overrides is 'argparse'; write schema: argparse",
}


@dataclass(frozen=True)
class SchemaSource:
    """Names what a trainer's keys and their types are read from, in the trainer's own interpreter.

    Attributes:
        kind: `tree`; `hydra`: the trainer's Hydra configuration; `argparse`: the parser of the trainer's command.
        trees: `FILE.py:NAME` or `module:NAME` of a tree, class or function; further ones are functions that add to it.
        config_path: the folder of Hydra's configurations; empty: there is none, all are in Hydra's ConfigStore.
        config_name: Hydra's configuration.
    """

    kind: str
    trees: tuple[str, ...] = ()
    config_path: str = ""
    config_name: str = ""

    def __str__(self) -> str:
        if self.kind == HYDRA:
            return f"{self.config_path or 'ConfigStore'}:{self.config_name}"
        return ", ".join(self.trees) or self.kind

    @property
    def files(self) -> list[str]:
        """Lists the files that are named, as they are named."""
        return [tree.rpartition(":")[0] for tree in self.trees if ".py:" in tree]

    def request(self, command: Sequence[str]) -> str:
        """Writes the request that `inside/print_schema.py` takes.

        Args:
            command: the trainer's words.
        """
        if self.kind == TREE:
            return self.trees[0] if len(self.trees) == 1 else json.dumps(self.trees)
        place = {"config_path": self.config_path, "config_name": self.config_name} if self.kind == HYDRA else {}
        return json.dumps({"kind": self.kind, "command": list(command), **place})


def read_source(value: Any, style: str, wrong: Callable[[str], None]) -> SchemaSource | None:
    """Reads the `schema` of a profile whose overrides have the style `style`.

    Args:
        wrong: is told what is wrong with the value.

    Returns:
        None where there is none, or it is wrong.
    """
    if value is None:
        return None
    if isinstance(value, Mapping):
        return _read_hydra(value, style, wrong)
    if value == ARGPARSE and style == "argparse":
        return SchemaSource(ARGPARSE)
    trees = value if isinstance(value, list) else [value]
    if style in _PER_STYLE:
        wrong(_PER_STYLE[style])
    elif not trees:
        wrong("names no tree; write FILE.py:NAME, such as configs/defaults.py:_C")
    for tree in trees:
        if not isinstance(tree, str) or not _PLACE.fullmatch(tree):
            wrong(
                f"{tree!r} is not FILE.py:NAME, such as configs/defaults.py:_C, nor module:NAME, "
                "such as detectron2.config:get_cfg"
            )
            return None
    return SchemaSource(TREE, tuple(trees))


def _read_hydra(value: Mapping[Any, Any], style: str, wrong: Callable[[str], None]) -> SchemaSource | None:
    """Reads `{config_path: FOLDER, config_name: NAME}`."""
    if style != "hydra":
        wrong(f"a mapping is for a trainer of Hydra's, and overrides is {style!r}; write FILE.py:NAME")
    elif unknown := [key for key in value if key not in _HYDRA_KEYS]:
        wrong(f"{unknown[0]!r} is not known here; write {{config_path: conf, config_name: config}}")
    elif not all(item is None or isinstance(item, str) for item in value.values()) or not value.get("config_name"):
        wrong("names no configuration; write {config_path: conf, config_name: config}")
    else:
        return SchemaSource(HYDRA, (), value.get("config_path") or "", str(value["config_name"]).removesuffix(".yaml"))
    return None
