"""Keys of TransReID's files (damo-cv/TransReID, config/defaults.py) that mean here what other keys, or other values, say."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

# MODEL.TRANSFORMER_TYPE beside MODEL.NAME transformer.
_TRANSFORMERS = {f"{name}_patch16_224_TransReID": name for name in ("vit_base", "vit_small", "deit_base", "deit_small")}
_SETS = {"occ_duke": "occluded_duke", "VehicleID": "vehicleid"}
# Its keys that are not ours, with the values that are understood. Switches that are off in all of its files are without
# effect at these values, and not offered at others.
_VALUES = {
    "MODEL.TRANSFORMER_TYPE": tuple(_TRANSFORMERS),
    "MODEL.JPM": ("True", "False"),
    "MODEL.COS_LAYER": ("False",),
    "MODEL.DROP_OUT": ("0",),
    "MODEL.ATT_DROP_RATE": ("0",),
    "SOLVER.LARGE_FC_LR": ("False",),
    "TEST.EVAL": ("True", "False"),
    "MODEL.DIST_TRAIN": ("True", "False"),  # torchrun says that here
}

Pairs = list[tuple[str, Any]]


def in_our_keys(pairs: Iterable[tuple[str, Any]]) -> tuple[Pairs, list[str], list[str]]:
    """Translates (key, raw value) pairs of one file, or of the command line.

    Returns:
        The pairs in keys of `configs/defaults.py`; what is neither of these nor of TransReID's stays. How each was read that
        was translated, in words. And a line for each of TransReID's keys with a value that is not understood.
    """
    given = list(pairs)
    typed = any(key == "MODEL.TRANSFORMER_TYPE" for key, _raw in given)
    result: Pairs = []
    read: list[str] = []
    problems: list[str] = []
    for key, raw in given:
        # A text in brackets is one in Python's notation; 0.0 is 0.
        text = str(raw).strip("()'\" ").removesuffix(".0")
        if text not in _VALUES.get(key, (text,)):
            problems.append(f"TransReID's {key}: {raw} is not offered, only {' or '.join(_VALUES[key])}")
            continue
        ours = _translated(key, raw, text, typed=typed)
        result += [(key, raw)] if ours is None else ours
        if ours:
            read.append(f"{key} {raw} as " + " and ".join(f"{name} {value}" for name, value in ours))
    return result, read, problems


def _translated(key: str, raw: Any, text: str, *, typed: bool) -> Pairs | None:
    """Translates one pair, whose value is `text` without brackets; None: it stays as it is."""
    if key == "MODEL.TRANSFORMER_TYPE":
        return [("MODEL.NAME", _TRANSFORMERS[text])]
    if key == "MODEL.JPM":
        on = text == "True"
        # The weights of its loss: half for the whole image, half for the four groups of patches.
        weights = [0.5, 0.125, 0.125, 0.125, 0.125] if on else [1.0]
        return [("MODEL.HEAD", "jpm" if on else "baseline"), ("MODEL.BRANCH_WEIGHTS", weights)]
    if key == "SOLVER.WARMUP_EPOCHS":
        return [("SOLVER.WARMUP_ITERS", raw)]
    if key == "DATASETS.NAMES" and text in _SETS:
        return [(key, _SETS[text])]
    if (key == "MODEL.NAME" and text == "transformer" and typed) or key in _VALUES:
        return []
    return None
