"""Chooses the controller of a new sweep. Imports little: the command line asks before it reads the sweep."""

from __future__ import annotations

from ...search.storage.url import shared
from ...wandb.login import is_logged_in, why_turned_off
from ..options.table import Options


def choose_controller(options: Options) -> tuple[str, tuple[str, ...]]:
    """Returns the controller, and a line that says why that one was chosen and how to choose another."""
    if options.controller != "auto":
        return options.controller, ()
    if options.storage:
        return "local", ("controller: local, because --storage is given (--controller wandb: the W&B server)",)
    if options.enqueue or options.from_sweep:
        option = "--enqueue" if options.enqueue else "--from-sweep"
        return "local", (f"controller: local, because {option} is given",)
    if is_logged_in():
        return "wandb", ("controller: wandb, because you are logged in (--controller local: embedded and offline)",)
    if off := why_turned_off():
        return "local", (f"controller: local, because {off} (--controller wandb: the W&B server)",)
    return "local", ("controller: local, because there is no W&B login (`wandb login`, or --controller wandb)",)


def agent_modules(controller: str, storage: str | None) -> list[str]:
    """Lists the modules that the agents of a controller need beside those of all agents."""
    if controller == "wandb":
        return ["yacs_sweep.search.wandb", "wandb", "wandb.apis.public", "requests"]
    more = ["yacs_sweep.search.storage.database_coordinator"] if shared(storage) else []
    return ["yacs_sweep.search.local", *more]
