"""Prints as JSON which libraries the trainer's interpreter has, and what its torch can do. Standard library only.

    python describe_python.py [--gpus] PACKAGE …

`packages` maps names to versions (null: not installed), `torch` says for which CUDA it was built and, with --gpus, which
GPUs it sees, or why it cannot be imported; without, torch is not imported. Runs in the trainer's interpreter: Python 3.7
or newer. What libraries print goes to stderr.
"""

from __future__ import annotations

import sys

sys.path[0] = ""  # the launcher's own modules lie beside this file

import importlib.util  # noqa: E402
import json  # noqa: E402
import os  # noqa: E402

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


def installed() -> dict[str, str]:
    """Maps the names of installed packages to versions, by the names of their folders of metadata."""
    found: dict[str, str] = {}
    for folder in sys.path:
        try:
            entries = os.listdir(folder or ".")
        except OSError:
            continue
        for entry in entries:
            stem, _, kind = entry.rpartition(".")
            name, _, version = stem.partition("-")
            if kind in ("dist-info", "egg-info") and version:
                found.setdefault(name.replace("_", "-").lower(), version.partition("-")[0])
    return found


def version_of(name: str, versions: dict[str, str]) -> str | None:
    """Returns a package's version, "?" for one without metadata; None where it is not installed."""
    if name in versions:
        return versions[name]
    try:
        return "?" if importlib.util.find_spec(name) is not None else None
    except (ImportError, ValueError):
        return None


def read_torch() -> dict[str, Any]:
    """Returns what the file torch/version.py says, without importing torch."""
    names: dict[str, Any] = {}
    try:
        spec = importlib.util.find_spec("torch")
        with open(os.path.join(os.path.dirname(spec.origin or ""), "version.py")) as file:  # type: ignore[union-attr]
            exec(file.read(), names)
    except Exception:
        return {}
    return {"cuda": names.get("cuda"), "hip": names.get("hip")}


def describe_torch() -> dict[str, Any]:
    """Imports torch; returns its CUDA version (null: built without), the GPUs it sees, and the kinds it was built for."""
    try:
        import torch

        seen = []
        if torch.cuda.is_available():
            for index in range(torch.cuda.device_count()):
                major, minor = torch.cuda.get_device_capability(index)
                seen.append({"name": torch.cuda.get_device_name(index), "kind": "sm_%d%d" % (major, minor)})
        kinds = torch.cuda.get_arch_list() if hasattr(torch.cuda, "get_arch_list") else []
        return {"cuda": torch.version.cuda, "hip": getattr(torch.version, "hip", None), "gpus": seen, "kinds": kinds}
    except Exception as error:
        return {"error": "%s: %s" % (type(error).__name__, " ".join(str(error).split()))}


def main() -> None:
    """Answers on standard output."""
    out = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    versions = installed()
    packages = {name: version_of(name, versions) for name in sys.argv[1:] if name != "--gpus"}
    answer: dict[str, Any] = {"packages": packages}
    if packages.get("torch"):
        answer["torch"] = describe_torch() if "--gpus" in sys.argv else read_torch()
    json.dump(answer, out)
    out.close()


if __name__ == "__main__":
    main()
