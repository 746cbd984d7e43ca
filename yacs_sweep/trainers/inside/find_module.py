"""Looks for the module in the first argument as `python -m` does, without importing it; prints a JSON object.

Runs in the trainer's interpreter: standard library only, Python 3.7 or newer.
"""

import importlib.machinery
import importlib.util
import json
import sys
from typing import Optional


def why_not(name: str) -> Optional[str]:
    """Explains why `python -m NAME` would find nothing to execute; None when it would."""
    path, *parts = name.split(".")
    try:
        found = importlib.util.find_spec(path)
    except (ImportError, ValueError):
        found = None
    for part in parts:
        if found is None or found.submodule_search_locations is None:
            break
        path += "." + part
        found = importlib.machinery.PathFinder.find_spec(path, found.submodule_search_locations)
    if found is None:
        return "no module " + path
    if path != name:
        return path + " is a module, not a package"
    inside = found.submodule_search_locations
    if inside is not None and importlib.machinery.PathFinder.find_spec(path + ".__main__", inside) is None:
        return path + " is a package without a __main__.py"
    return None


print(json.dumps({"why": why_not(sys.argv[1])}))
