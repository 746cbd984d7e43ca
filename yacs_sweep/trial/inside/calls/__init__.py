"""Takes the calls of W&B's client in a trial: what a trainer logs reaches the launcher, nothing is sent.

Standard library only and Python 3.7 syntax: this runs in the trainer's interpreter, once `wandb` is imported there
(`../startup/sitecustomize.py`). The real client is imported as ever; then its functions that open, log to and end a
run are replaced, and those that log in. The rest of it (media, tables, plots, errors, integrations) stays.

The variable YACS_SWEEP_CALLS names a folder of the launcher's: the trial's settings are in it, each run adds its rows
(`rows.py`). Without the variable every function does what it does in the real client: the preload server has none.
"""

from __future__ import annotations

import functools
import inspect
import json
import os
import sys

from . import stand_in
from .config import Config, as_dict, warn
from .rows import Rows, rank
from .run import Nothing, TrialRun
from .tensorboard import watch_scalars

TYPE_CHECKING = False
if TYPE_CHECKING:
    import types
    from importlib.machinery import ModuleSpec
    from typing import Any, Callable

FOLDER = "YACS_SWEEP_CALLS"  # the environment variable
SETTINGS = "settings.json"  # in that folder
TRUE = ("1", "true", "yes", "on")
SEARCH = ("sweep", "agent")  # what a program calls that searches by itself
PARAMETERS = ("group", "job_type", "notes", "tags", "project", "entity")  # of `wandb.init` that a run shows again


def in_trial() -> bool:
    """Tells whether a launcher that can be reached takes this process's calls."""
    return bool(os.environ.get(FOLDER)) and os.path.isfile(os.path.join(os.environ[FOLDER], SETTINGS))


def find_spec(finder: object, target: Any = None) -> ModuleSpec | None:
    """Returns what the other finders find for `wandb`, prepared; where there is no client, perhaps the stand-in."""
    for other in sys.meta_path:
        find = None if other is finder else getattr(other, "find_spec", None)
        spec: ModuleSpec | None = find("wandb", None, target) if find else None
        if spec is not None and spec.loader is not None and spec.origin not in (None, "namespace"):
            _call_after_import(spec)
            return spec
    # At most a folder `wandb` without code: the client's own runs.
    return stand_in.spec(_fill) if in_trial() else None


def _call_after_import(spec: ModuleSpec) -> None:
    loader: Any = spec.loader
    execute = loader.exec_module

    def exec_module(module: types.ModuleType) -> None:
        del loader.exec_module
        execute(module)
        replace(module)

    try:
        loader.exec_module = exec_module
    except AttributeError:  # a loader that is written in C
        pass


def replace(module: types.ModuleType) -> None:
    """Replaces the client's functions. A module that is no W&B client (a project's own `wandb.py`) stays."""
    if all(hasattr(module, name) for name in ("init", "log", "finish", "sdk", "Error")):
        Client(module).install()


def _fill(module: types.ModuleType) -> None:
    """Gives the stand-in its functions."""
    Client(module).install()


def _blend(ours: type, theirs: type | None) -> type:
    """Returns a class that is `ours`, passes for `theirs`, and runs nothing of what only `theirs` has."""
    if theirs is None:
        return ours
    own = set(dir(ours))
    body: dict[str, Any] = {"__module__": theirs.__module__, "__doc__": theirs.__doc__}
    for base in theirs.__mro__[:-1]:
        for name, member in vars(base).items():
            if name in own or name in body or (name.startswith("__") and name.endswith("__")):
                continue
            if callable(member) or isinstance(member, (classmethod, staticmethod)):
                body[name] = _nothing
            elif inspect.isdatadescriptor(member):
                body[name] = None
    try:
        return type(theirs.__name__, (ours, theirs), body)
    except TypeError:  # a class that cannot be a base
        return ours


def _waits_for_init(value: Any) -> bool:
    """Tells whether an attribute of the client is there only to say that there is no run yet."""
    # Functions tell it by their own name. Lazy modules are not to be touched: that imports them.
    kind = value.__qualname__ if inspect.isfunction(value) else type(value).__name__
    return kind.startswith("PreInit")


def _nothing(*args: Any, **kwargs: Any) -> Nothing:
    return Nothing()


class Client:
    """One imported `wandb`, the real one or the stand-in, whose calls are taken."""

    def __init__(self, module: types.ModuleType) -> None:
        self.module = module
        self.sdk = getattr(module, "sdk", None)
        self.runs: list[TrialRun] = []  # those that are not finished
        self.opened = 0
        self.run_class = _blend(TrialRun, self._class("wandb_run", "Run"))
        self.config_class = _blend(Config, self._class("wandb_config", "Config"))
        self.before: dict[str, Any] = {}  # the module's attributes while there is no run

    def _class(self, module: str, name: str) -> type | None:
        found = getattr(getattr(self.sdk, module, None), name, None)
        return found if isinstance(found, type) else None

    def install(self) -> None:
        """Puts the functions in place."""
        for name in ("init", "finish", "login", "setup", "teardown", "attach", "_attach", "watch", "unwatch", *SEARCH):
            original = getattr(self.module, name, None)
            ours = getattr(self, name.lstrip("_"))
            if original is not None and not _waits_for_init(original):  # in older clients watch does not
                self._set(name, self._instead(ours, original))
        self._set("join", self.module.finish)

    def _set(self, name: str, function: Callable[..., Any]) -> None:
        for place in (self.module, self.sdk):
            if place is not None and (place is self.module or hasattr(place, name)):
                setattr(place, name, function)

    def _instead(self, ours: Callable[..., Any], original: Callable[..., Any]) -> Callable[..., Any]:
        """Returns a function that calls ours in a trial, and the original elsewhere."""

        @functools.wraps(original)
        def call(*args: Any, **kwargs: Any) -> Any:
            if not in_trial():
                return original(*args, **kwargs)
            if args:
                try:
                    bound = inspect.signature(original).bind_partial(*args)
                except (TypeError, ValueError):
                    bound = None
                if bound is not None and not set(bound.arguments) & {"args", "kwargs"}:
                    args, kwargs = (), {**bound.arguments, **kwargs}
            return ours(*args, **kwargs)

        return call

    # -- the functions ----------------------------------------------------------------------------------------------

    def init(self, **given: Any) -> TrialRun:
        """Opens a run of the trial."""
        again = given.get("reinit")
        if self.runs and again not in (True, "finish_previous", "create_new"):
            return self.runs[-1]
        if again != "create_new":
            self.teardown()
        folder = os.environ[FOLDER]
        with open(os.path.join(folder, SETTINGS), encoding="utf-8") as file:
            trial = json.load(file)
        # A program that has deleted W&B's variables wants a run apart from the sweep's.
        rows = Rows(folder, rank=rank(), counts=not self._disabled(given), own="WANDB_MODE" in os.environ)
        self.opened += 1
        suffix = "" if self.opened == 1 else "-%d" % self.opened
        run: TrialRun = self.run_class(
            rows,
            self._config(trial["config"], given, lambda values: rows.write({"config": values})),
            id=trial["id"] + suffix,
            name=given.get("name") or trial["name"] + suffix,
            folder=os.path.join(trial["dir"], "files" + suffix),
            on_finish=self._finished,
            sweep_id=trial["sweep_id"],
            **{name: given[name] for name in PARAMETERS if given.get(name) is not None},
        )
        if given.get("name"):
            rows.write({"name": str(given["name"])})
        self.runs.append(run)
        if again != "create_new" or len(self.runs) == 1:
            self._publish(run)
        if given.get("sync_tensorboard") or given.get("tensorboard"):
            watch_scalars(lambda tag, value, step: run._tensorboard(tag, value, step))
        return run

    def _disabled(self, given: dict[str, Any]) -> bool:
        """Whether the program itself asks for a run that records nothing."""
        settings = given.get("settings")
        mode = settings.get("mode") if isinstance(settings, dict) else None
        if "mode" in getattr(settings, "model_fields_set", ()):
            mode = getattr(settings, "mode", None)
        disabled = os.environ.get("WANDB_DISABLED", "").lower() in TRUE
        return disabled or "disabled" in (given.get("mode"), mode)

    def _config(
        self, parameters: dict[str, Any], given: dict[str, Any], tell: Callable[[dict[str, Any]], None]
    ) -> Config:
        """Makes the run's config; the trial's parameters come before what the program says."""
        helper = getattr(getattr(self.module, "helper", None), "parse_config", None)

        def read(values: Any) -> dict[str, Any]:
            if isinstance(values, str) or (helper is not None and hasattr(values, "__flags")):
                return dict(helper(values)) if helper is not None else {}
            module = type(values).__module__
            return dict(helper(values)) if helper is not None and module.startswith("absl.") else as_dict(values)

        errors = getattr(getattr(self.sdk, "lib", None), "config_util", None)
        error = getattr(errors, "ConfigError", None) or getattr(self.module, "Error", ValueError)
        config: Config = self.config_class(read, error)
        values = read(given.get("config"))
        included, excluded = given.get("config_include_keys"), given.get("config_exclude_keys")
        values = {
            key: value
            for key, value in values.items()
            if (not included or key in included) and key not in (excluded or ())
        }
        config.update(values, allow_val_change=True)
        config._lock(parameters, tell)
        return config

    def _publish(self, run: TrialRun) -> None:
        """Makes the run the one that the module's own functions are of."""
        if not self.before:
            for name, value in list(vars(self.module).items()):
                if _waits_for_init(value):
                    self.before[name] = value
            self.before["run"] = None
        for name in self.before:
            setattr(self.module, name, run if name == "run" else getattr(run, name))

    def _finished(self, run: TrialRun) -> None:
        if run in self.runs:
            self.runs.remove(run)
        if getattr(self.module, "run", None) is run:
            for name, value in self.before.items():
                setattr(self.module, name, value)

    def finish(self, exit_code: int | None = None, quiet: bool | None = None) -> None:
        """Ends the run that was opened last."""
        if self.runs:
            self.runs[-1].finish(exit_code)

    def login(self, *args: Any, **kwargs: Any) -> bool:
        """Does nothing: no login is needed."""
        return True

    def sweep(self, *args: Any, **kwargs: Any) -> str:
        """Returns the id of the trial's sweep: a trial makes no other one."""
        warn("wandb.sweep makes no sweep in a trial; to search with its parameters, call Sweep(config, train=main)")
        with open(os.path.join(os.environ[FOLDER], SETTINGS), encoding="utf-8") as file:
            return str(json.load(file)["sweep_id"])

    def agent(self, sweep_id: Any = None, function: Callable[[], Any] | None = None, *args: Any, **kwargs: Any) -> None:
        """Calls the function once, with the trial's parameters."""
        if function is None:
            raise getattr(self.module, "Error", RuntimeError)(
                "wandb.agent needs a function in a trial; to search, call Sweep(config, train=main)"
            )
        function()

    def setup(self, *args: Any, **kwargs: Any) -> Nothing:
        """Does nothing: there is no service to start."""
        return Nothing()

    watch = unwatch = setup

    def teardown(self, exit_code: int | None = None) -> None:
        """Ends every run."""
        for run in list(self.runs):
            run.finish(exit_code)

    def attach(self, *args: Any, **kwargs: Any) -> TrialRun:
        """Returns the run that is open, or opens one."""
        return self.runs[-1] if self.runs else self.init()
