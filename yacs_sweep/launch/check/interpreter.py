"""Finds out what the trainer's interpreter is: its version, its virtual environment, its libraries, the GPUs its torch sees."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ...base.ask_process import NoAnswer, ask_process
from ...base.streams import SILENT_WAIT
from ...base.wording import counted
from ...trainers.start.interpreter import ask_python, python_problem, version_text
from .findings import Findings

PACKAGES = ("torch", "yacs", "wandb")
_TORCH_WAIT = 120.0  # seconds for it to import torch
_SCRIPT = Path(__file__).parents[2] / "trainers" / "inside" / "describe_python.py"


def check_interpreter(
    findings: Findings, interpreter: str, environment: Mapping[str, str], *, gpus: bool, wanted: bool
) -> bool:
    """Adds what the trainer's interpreter and its libraries are; returns whether it can be used.

    Args:
        environment: a trial's.
        gpus: whether this machine has NVIDIA GPUs,
        wanted: and the user asks for them.
    """
    if why := python_problem(interpreter, environment):
        findings.problem("interpreter", why)
        return False
    answer = ask_python(interpreter, environment)
    base = answer["prefix"] == answer["base"] and os.environ.get("CONDA_PREFIX") != answer["prefix"]
    where = "no virtual environment" if base else f"environment {answer['prefix']}"
    findings.ok("interpreter", f"{interpreter}: Python {version_text(answer)}, {where}")
    words = [interpreter, str(_SCRIPT), *(["--gpus"] if gpus or wanted else []), *PACKAGES]
    waits = f"waiting for {interpreter} to import torch, {_TORCH_WAIT:g} s at most"
    try:
        told = ask_process(words, environment=environment, timeout=_TORCH_WAIT, notice=(SILENT_WAIT, waits))
    except NoAnswer as error:
        findings.warn("libraries", f"{interpreter} does not say which libraries it has: {error}")
        return True
    versions = {name: "not installed" if version is None else version for name, version in told["packages"].items()}
    findings.ok("libraries", ", ".join(f"{name} {version}" for name, version in versions.items()))
    if told.get("torch"):
        _check_torch(findings, told["torch"], gpus=gpus, wanted=wanted)
    return True


def _check_torch(findings: Findings, torch: Mapping[str, Any], *, gpus: bool, wanted: bool) -> None:
    """Adds what the interpreter's torch can do with GPUs."""
    if "error" in torch:
        findings.problem(
            "torch", f"cannot be imported: {torch['error']}", advice="install it again for this interpreter"
        )
        return
    built = f"CUDA {torch['cuda']}" if torch["cuda"] else f"ROCm {torch['hip']}" if torch["hip"] else ""
    add = findings.problem if wanted else findings.warn if gpus else findings.ok
    if not built:
        advice = "install the build for your driver: https://pytorch.org/get-started"
        add("torch", "built without CUDA: trials run on the CPU", advice=advice if gpus or wanted else "")
        return
    if "gpus" not in torch:  # there are none to be seen
        findings.ok("torch", f"built for {built}")
        return
    if not torch["gpus"]:
        advice = "look at nvidia-smi and CUDA_VISIBLE_DEVICES; a driver older than the build's CUDA shows no GPU"
        add("torch", f"built for {built}, sees no GPU: trials run on the CPU", advice=advice)
        return
    kinds = set(torch["kinds"])
    strange = sorted({gpu["kind"] for gpu in torch["gpus"]} - kinds) if torch["cuda"] and kinds else []
    newer = [kind for kind in strange if not _runs(kind, kinds)]
    names = ", ".join(dict.fromkeys(gpu["name"] for gpu in torch["gpus"]))
    said = f"built for {built}, sees {counted(len(torch['gpus']), 'GPU')} ({names})"
    if newer:
        findings.problem(
            "torch",
            f"{said}, but has no code for {', '.join(newer)}",
            advice="install a newer build of torch for these GPUs",
        )
    else:
        findings.ok("torch", said)


def _runs(kind: str, kinds: set[str]) -> bool:
    """Tells whether a GPU of the kind `sm_89` runs code for others: of the same major number, or compiled when it starts."""
    number = int(kind[3:])
    same = any(
        each.startswith("sm_")
        and each[3:].isdigit()
        and int(each[3:]) <= number
        and int(each[3:]) // 10 == number // 10
        for each in kinds
    )
    return same or any(each.startswith("compute_") and each[8:].isdigit() and int(each[8:]) <= number for each in kinds)
