"""Conversion of weights between this trainer's names and other people's."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from yacs.config import CfgNode

from modeling.model import build_model, origin_counts
from modeling.pretrained import class_count, load_reid_weights
from modeling.weights.files import read_state_dict
from modeling.weights.fitting import read_names
from modeling.weights.tables import FORMATS
from utils.errors import ConfigError
from utils.files import cannot_write, require_writable, write_atomically

NAMES = {format.name: format for format in FORMATS}


def convert_weights(cfg: CfgNode, source: str, out: Path, to: str) -> str:
    """Writes the weights of a file with other names: the network's own tensors, in its order, with its classifier.

    Args:
        cfg: the configuration of the network.
        source: file of weights, in anyone's names.
        out: file to write.
        to: of `NAMES`; whose names the tensors get, and the dictionary around them.
    Returns:
        A line that says what was done.
    Raises:
        ConfigError: the weights do not fit the network, none has a name there, or the file cannot be written.
    """
    require_writable(out)
    weights, target = read_state_dict(source), NAMES[to]
    model = build_model(cfg, class_count(weights) or 1, *origin_counts(cfg, weights))
    load_reid_weights(model, weights, source)  # refuses what does not fit
    reading = read_names(weights, model)
    named, nameless = {}, []
    for ours in model.state_dict():
        if ours not in reading.tensors:
            continue
        if found := target.to_theirs(ours):
            theirs, rule = found
            value = reading.tensors[ours]
            named[theirs] = value if rule.change is None or rule.change.write is None else rule.change.write(value)
        else:
            nameless.append(ours)
    if not named:
        raise ConfigError(f"{source}: none of its tensors has a name among {target.owner}")
    content: Any = {target.saved_as: named} if target.saved_as else named
    try:
        write_atomically(out, lambda stream: torch.save(content, stream))
    except OSError as error:
        raise cannot_write(out, error) from None
    line = f"{out}: {len(named)} tensors with {target.owner} names, of {source}, read as {reading.how}"
    if nameless:
        line += f"; left out, since there is no name for them: {len(nameless)} (first: {min(nameless)})"
    return line + target.other_settings(model)
