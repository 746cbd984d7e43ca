"""Writes into a sweep's description on W&B what its server has no key for, and reads that back for a report."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import yaml

from ..spec.sweep import SweepSpec

HEAD = "Judged by the launcher, as W&B's server has no key for it:"
KEYS = ("metrics", "metric_constraints", "repeats")


def judged_text(spec: SweepSpec) -> str:
    """Writes objectives, constraints and repeats as they stand in a sweep file; empty for a sweep without any."""
    body = spec.to_dict()
    used = {key: body[key] for key in KEYS if key in body}
    if not used:
        return ""
    text = yaml.safe_dump(used, default_flow_style=None, sort_keys=False, allow_unicode=True, width=1000)
    return f"{HEAD}\n{text}".rstrip()


def read_judged(description: Any) -> dict[str, Any]:
    """Reads the keys of `judged_text` from a description; empty where somebody has edited it to something else."""
    _, found, text = str(description or "").partition(HEAD)
    try:
        body = yaml.safe_load(text) if found else None
    except yaml.YAMLError:
        return {}
    return {key: body[key] for key in KEYS if key in body} if isinstance(body, dict) else {}


def with_judged(config: Mapping[str, Any]) -> dict[str, Any]:
    """Returns a sweep's configuration on the server as a sweep file: with what its description says, and without that."""
    judged = read_judged(config.get("description"))
    dropped = {"description", *(["metric"] if "metrics" in judged else [])}
    return {**{key: value for key, value in config.items() if key not in dropped}, **judged}
