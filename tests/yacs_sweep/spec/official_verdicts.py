"""Prints what W&B's package `sweeps` says of sweep files: `python official_verdicts.py FILE …`, a line each.

Needs an environment with `sweeps` 0.3.0 of its own (`pip install sweeps==0.3.0 pyyaml`); nothing of this project.
A line has the file's sha256, the schema's verdict on the file as PyYAML reads it (ok, violated), and the engine's on the file
as W&B's server most likely reads what the client sends (exponents are numbers, the schema is not looked at): runs, or fails, also
when its hyperband does. A file that is no YAML has `-` for both.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import logging
import re
import sys
import warnings
from pathlib import Path
from typing import Any

import yaml


class ServerLoader(yaml.SafeLoader):
    """PyYAML's safe loader with the numbers of YAML 1.2."""

    yaml_implicit_resolvers = {key: list(found) for key, found in yaml.SafeLoader.yaml_implicit_resolvers.items()}  # noqa: RUF012


ServerLoader.add_implicit_resolver(
    "tag:yaml.org,2002:float", re.compile(r"[-+]?(?:\d+(?:\.\d*)?|\.\d+)[eE][-+]?\d+$"), list("-+0123456789.")
)


def schema_verdict(sweep: Any) -> str:
    """Asks the schema."""
    from sweeps.config import schema_violations_from_proposed_config

    try:
        return "violated" if schema_violations_from_proposed_config(sweep) else "ok"
    except Exception:  # it raises for a parameter that is no mapping
        return "violated"


def engine_verdict(sweep: Any) -> str:
    """Asks the engine for a first point, and hyperband for a decision."""
    from sweeps.hyperband_stopping import hyperband_stop_runs
    from sweeps.run import SweepRun

    import sweeps

    try:
        with contextlib.redirect_stderr(io.StringIO()):
            sweeps.next_run(sweep, [], validate=False)
            if isinstance(sweep.get("early_terminate"), dict):
                run = SweepRun(name="a", state="running", history=[{"m": 1}])
                hyperband_stop_runs([run], sweep, validate=False)
    except Exception:
        return "fails"
    return "runs"


def verdicts(content: bytes) -> tuple[str, str]:
    """Returns the schema's and the engine's verdict on a file."""
    try:
        sweep = yaml.safe_load(content)
    except yaml.YAMLError:
        return "-", "-"
    sent = yaml.load(yaml.dump(sweep), Loader=ServerLoader)
    return schema_verdict(sweep), engine_verdict(sent)


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    logging.disable(logging.CRITICAL)
    for name in sys.argv[1:]:
        data = Path(name).read_bytes()
        print(hashlib.sha256(data).hexdigest(), *verdicts(data), name)
