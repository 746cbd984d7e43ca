"""Files of weights that hold other things beside them: read without running code, or even importing it."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch
from yacs.config import CfgNode

from modeling.weights.files import read_settings, read_state_dict
from utils.errors import ConfigError

WEIGHTS = {"a.weight": torch.arange(3.0)}


@contextmanager
def other_class(name: str, parents: tuple[type, ...]) -> Iterator[type]:
    """A class under a name of somebody's library, which is not there again afterwards."""
    module, _, qualified = name.rpartition(".")
    made = type(qualified, parents, {"__module__": module})
    parts = module.split(".")
    modules = {".".join(parts[: number + 1]): ModuleType(".".join(parts[: number + 1])) for number in range(len(parts))}
    setattr(modules[module], qualified, made)
    before = {key: sys.modules.get(key) for key in modules}
    sys.modules.update(modules)
    try:
        yield made
    finally:
        for key, value in before.items():
            if value is None:
                del sys.modules[key]
            else:
                sys.modules[key] = value


def settings() -> CfgNode:
    node = CfgNode({"MODEL": CfgNode({"NAME": "resnet50", "STEPS": (40, 70)}), "EMPTY": CfgNode()})
    node.freeze()
    return node


HARMLESS = {
    "NumPy's numbers": np.float64(0.9),
    "NumPy's truth": np.bool_(True),
    "an array": np.arange(3.0),
    "words of a command": argparse.Namespace(lr=0.1, out=np.int64(3), folder=PurePosixPath("x").name),
    "a configuration": settings(),
    "nested": {"best": [np.float32(0.5), settings()]},
}


@pytest.mark.parametrize("what", HARMLESS)
@pytest.mark.parametrize("old", [False, True], ids=["archive", "before 1.6"])
def test_harmless_things_beside_the_weights_do_not_matter(tmp_path: Path, what: str, old: bool) -> None:
    path = tmp_path / "weights.pth"
    content = {"state_dict": WEIGHTS, "beside": HARMLESS[what]}
    torch.save(content, path, _use_new_zipfile_serialization=not old)
    found = read_state_dict(str(path))
    assert found.keys() == WEIGHTS.keys()
    assert torch.equal(found["a.weight"], WEIGHTS["a.weight"])
    assert read_settings(str(path)) is None


@pytest.mark.parametrize(
    ("name", "parents"),
    [
        ("fastreid.config.config.CfgNode", (CfgNode,)),
        ("pytorch_lightning.utilities.parsing.AttributeDict", (dict,)),
        ("pytorch_lightning.callbacks.model_checkpoint.ModelCheckpoint", ()),
    ],
)
def test_classes_of_others_libraries_are_not_needed(tmp_path: Path, name: str, parents: tuple[type, ...]) -> None:
    """As in Lightning's checkpoints: hyperparameters, and callbacks by their class."""
    path = tmp_path / "weights.ckpt"
    with other_class(name, parents) as other:
        made: Any = other({"SOLVER": settings()}) if parents else other()
        content = {"state_dict": WEIGHTS, "hyper_parameters": made, "callbacks": {other: {"best": torch.zeros(1)}}}
        torch.save(content, path)
    assert torch.equal(read_state_dict(str(path))["a.weight"], WEIGHTS["a.weight"])
    assert name.partition(".")[0] not in sys.modules


def test_what_is_not_known_as_harmless_stays_closed(tmp_path: Path) -> None:
    path = tmp_path / "weights.pth"
    with other_class("lightning_like.Danger", (dict,)) as other:
        torch.save({"state_dict": WEIGHTS, "beside": other()}, path)
    with pytest.raises(ConfigError, match=r"holds Python objects \(lightning_like\.Danger\)"):
        read_state_dict(str(path))


def test_a_dictionary_within_itself_ends(tmp_path: Path) -> None:
    circle: dict[str, Any] = {}
    circle["model"] = circle
    torch.save(circle, tmp_path / "weights.pth")
    with pytest.raises(ConfigError, match="holds no state dict"):
        read_state_dict(str(tmp_path / "weights.pth"))
