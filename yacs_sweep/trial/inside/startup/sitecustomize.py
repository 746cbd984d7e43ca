"""Prepares each Python interpreter of a trial for `import wandb`, before the trainer's own code runs.

The launcher puts this folder, and nothing else of its own, in front of PYTHONPATH. Python imports the first
`sitecustomize` it finds: this one takes its folder off `sys.path` again, adds a finder for `wandb` (`../calls`), and
imports the user's own sitecustomize. Until `wandb` is imported, no further code of the launcher's is loaded.
"""

import os
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from importlib.machinery import ModuleSpec
    from typing import Any

FOLDER = os.path.dirname(os.path.abspath(__file__))
CALLS = "_yacs_sweep_calls"  # the name under which `../calls` is imported: no trainer has one like it


class Finder:
    """Finds `wandb` as the other finders do, and has its calls wrapped once it is imported."""

    def find_spec(self, name: str, path: "Any" = None, target: "Any" = None) -> "ModuleSpec | None":
        """Returns the module's spec; None for all modules but two."""
        if name == "wandb":
            import _yacs_sweep_calls  # type: ignore[import-not-found]  # by this finder, below

            found: "ModuleSpec | None" = _yacs_sweep_calls.find_spec(self, target)
            return found
        if name == CALLS:
            from importlib.util import spec_from_file_location

            package = os.path.join(os.path.dirname(FOLDER), "calls")
            file = os.path.join(package, "__init__.py")
            return spec_from_file_location(name, file, submodule_search_locations=[package])
        return None


def start() -> None:
    """Adds the finder, then runs the sitecustomize that Python would have found without this one."""
    sys.path[:] = [folder for folder in sys.path if os.path.abspath(folder) != FOLDER]
    if sys.version_info >= (3, 7):
        sys.meta_path.insert(0, Finder())
    ours = sys.modules.pop("sitecustomize", None)
    try:
        import sitecustomize  # type: ignore[import-not-found]  # noqa: F401  # the user's own, or the system's
    except ImportError as error:
        if error.name != "sitecustomize":
            raise
        if ours is not None:
            sys.modules["sitecustomize"] = ours


if __name__ == "sitecustomize":
    start()
