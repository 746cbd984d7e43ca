"""Stands for a W&B run in a trial: what is logged goes to the launcher, nothing to W&B."""

from __future__ import annotations

import os
import time
import types

from .config import Config, Summary, warn
from .rows import Rows, split

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Callable, Mapping


class Nothing:
    """Stands for what a trial has not got (artifacts, tables on a server): takes every call and attribute."""

    def __init__(self, what: str = "") -> None:
        self.__dict__["_what"] = what

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return self

    def __setattr__(self, name: str, value: Any) -> None:
        pass

    def __call__(self, *args: Any, **kwargs: Any) -> Nothing:
        return self

    def __bool__(self) -> bool:
        return False

    def __enter__(self) -> Nothing:
        return self

    def __exit__(self, *error: Any) -> None:
        pass


class UnreadArtifact(Nothing):
    """Stands for an artifact of W&B's that a trial asks for."""

    def download(self, *args: Any, **kwargs: Any) -> Any:
        """Raises RuntimeError: there is no W&B to download it from."""
        raise RuntimeError(
            "the artifact %s cannot be downloaded: this trial opens no W&B run. Download it once, with "
            "`wandb artifact get %s`, and read the files" % (self.__dict__["_what"], self.__dict__["_what"])
        )

    get_path = get = file = download


class Metric:
    """Keeps what `define_metric` said of one name, or of all names with a prefix (`val/*`)."""

    def __init__(self, name: str, step: str | None, sync: bool, kinds: tuple[str, ...], goal: str | None) -> None:
        self.name, self.step, self.sync, self.kinds, self.goal = name, step, sync, kinds, goal

    def fits(self, name: str) -> bool:
        """Tells whether it is said of this name."""
        return name == self.name or (self.name.endswith("*") and name.startswith(self.name[:-1]))


def combined(kind: str, goal: str | None, before: float | None, value: float, count: int) -> float:
    """Returns a metric's summary of one kind (min, max, mean, first, best, last) with one more value."""
    if before is None or kind in ("last", "copy"):
        return value
    if kind == "first":
        return before
    if kind == "mean":
        return before + (value - before) / count
    best = max if kind == "max" or (kind == "best" and goal == "maximize") else min
    return best(before, value)


class TrialRun:
    """The methods of `wandb.Run`. Attributes that only a server could give are None."""

    url = project_url = sweep_url = notes = job_type = group = None
    resumed = disabled = False
    offline = True
    starting_step = 0
    step = 0
    tags: tuple[str, ...] = ()
    settings: Any = Nothing()
    _attach_id = None

    def __init__(
        self,
        rows: Rows,
        config: Config,
        *,
        id: str,
        name: str,
        folder: str,
        on_finish: Callable[[TrialRun], None],
        **known: Any,
    ) -> None:
        """Makes a run without rows.

        Args:
            folder: for files of the run's own; made when it is first asked for.
            known: other attributes, as the program gave them to `wandb.init`.
        """
        self.id, self.name, self.config, self.start_time = id, name, config, time.time()
        self.__dict__.update(known)
        self.summary = Summary(lambda values: self._tell({"summary": values}))
        self._rows, self._folder, self._on_finish = rows, folder, on_finish
        self._metrics: list[Metric] = []
        self._known: dict[str, Metric | None] = {}  # by name: what was defined for it
        self._counts: dict[str, int] = {}
        self._finished = self._late = False

    def _tell(self, message: dict[str, Any]) -> None:
        """Writes a message whose values are numbers, as far as they are."""
        for key, values in message.items():
            found: dict[str, int | float] = {}
            split(values, found, {})
            if found:
                self._rows.write({key: found})

    # -- metrics ----------------------------------------------------------------------------------------------------

    def log(
        self,
        data: Mapping[str, Any],
        step: int | None = None,
        commit: bool | None = None,
        sync: bool | None = None,
    ) -> None:
        """Logs values at a step; a row is complete when it is committed, or when a later step begins."""
        if not hasattr(data, "keys"):
            raise TypeError("wandb.log must be passed a dictionary")
        if self._finished:
            return warn("run %s is finished; what it logs from now on is ignored" % self.id)
        if commit is None:
            commit = step is None
        if step is not None and not self._move_to(step):
            return None
        found: dict[str, int | float] = {}
        others: dict[str, Any] = {}
        split(data, found, others)
        if self._metrics:
            self._add_steps(found)
        message: dict[str, Any] = {"s": self.step, "v": found}
        if commit:
            message["c"] = 1
            self.step += 1
        if others:
            message["o"] = {name: type(value).__name__ for name, value in others.items()}
        self._rows.write(message)
        if self._metrics:
            found = self._summarised(found)
        dict.update(self.summary, found)
        if others:
            texts = {name: value for name, value in others.items() if isinstance(value, str)}
            dict.update(self.summary, texts)
        return None

    def _move_to(self, step: Any) -> bool:
        """Begins a step; returns False for one that is over."""
        try:
            step = int(step)
        except (TypeError, ValueError):
            warn("step %r is not a whole number" % (step,))
            return True
        if step >= self.step:
            self.step = step
            return True
        if not self._late:
            self._late = True
            warn("step %d is less than the current step %d: what is logged there is ignored" % (step, self.step))
        return False

    def define_metric(
        self,
        name: str,
        step_metric: Any = None,
        step_sync: bool | None = None,
        hidden: bool | None = None,
        summary: str | None = None,
        goal: str | None = None,
        overwrite: bool | None = None,
        **others: Any,
    ) -> Metric:
        """Says what is a metric's x-axis, and which of its values is its summary."""
        step = getattr(step_metric, "name", step_metric)
        kinds = tuple(kind.strip().lower() for kind in (summary or "").split(",") if kind.strip())
        metric = Metric(name, step, step_sync is not False, kinds, goal)
        self._metrics.insert(0 if not name.endswith("*") else len(self._metrics), metric)
        self._known.clear()
        self._rows.write({"define": {"name": name, "summary": kinds, "goal": goal}})
        return metric

    def _definition(self, name: str) -> Metric | None:
        if name not in self._known:
            fitting = [metric for metric in self._metrics if metric.fits(name)]
            self._known[name] = fitting[0] if fitting else None
        return self._known[name]

    def _add_steps(self, found: dict[str, int | float]) -> None:
        """Adds the last value of each metric that is the x-axis of one in the row, and is not in it itself."""
        for name in list(found):
            metric = self._definition(name)
            if metric and metric.step and metric.sync and metric.step != name and metric.step not in found:
                last = self.summary.get(metric.step)
                if isinstance(last, (int, float)):
                    found[metric.step] = last

    def _summarised(self, found: dict[str, int | float]) -> dict[str, Any]:
        """Returns what the summary holds of the values: of those with a `summary` in their definition a dict."""
        shown: dict[str, Any] = dict(found)
        for name, value in found.items():
            metric = self._definition(name)
            if metric is None or not metric.kinds:
                continue
            self._counts[name] = count = self._counts.get(name, 0) + 1
            before = self.summary.get(name)
            before = before if isinstance(before, dict) else {}
            if "none" in metric.kinds:
                del shown[name]
                continue
            shown[name] = {kind: combined(kind, metric.goal, before.get(kind), value, count) for kind in metric.kinds}
        return shown

    def _tensorboard(self, tag: str, value: float, step: int) -> None:
        """Logs a scalar that was written for TensorBoard; scalars of one step are one row."""
        self.log({tag: value, "global_step": step}, step=max(step, self.step), commit=False)

    # -- the rest of a run ------------------------------------------------------------------------------------------

    @property
    def dir(self) -> str:
        """A folder in the trial's, for files of the program's own."""
        os.makedirs(self._folder, exist_ok=True)
        return self._folder

    @property
    def path(self) -> str:
        """The run's name on W&B, had it one."""
        return "/".join((self.entity or "entity", self.project or "project", self.id))

    @property
    def config_static(self) -> Any:
        """The config as an object whose attributes are the parameters."""
        return types.SimpleNamespace(**self.config.as_dict())

    entity: str | None = None
    project: str | None = None
    sweep_id: str | None = None

    def project_name(self) -> str | None:
        """Returns the project the program named."""
        return self.project

    def alert(self, title: str, text: str = "", level: Any = None, wait_duration: Any = None) -> None:
        """Shows the user a line in the launcher's output."""
        self._rows.write({"alert": [str(title), str(text)]})

    def finish(self, exit_code: int | None = None, quiet: bool | None = None) -> None:
        """Ends the run."""
        if not self._finished:
            self._finished = True
            self._rows.write({"end": exit_code or 0})
            self._on_finish(self)

    join = finish

    def save(self, *args: Any, **kwargs: Any) -> bool:
        """Does nothing: files stay where they are."""
        return True

    def use_artifact(self, artifact_or_name: Any, *args: Any, **kwargs: Any) -> Any:
        """Returns an artifact that was made here; of one on a server something that cannot be downloaded."""
        return UnreadArtifact(artifact_or_name) if isinstance(artifact_or_name, str) else artifact_or_name

    def log_artifact(self, *args: Any, **kwargs: Any) -> Nothing:
        """Does nothing: a trial logs no artifacts."""
        return Nothing()

    def __enter__(self) -> TrialRun:
        return self

    def __exit__(self, kind: Any, error: Any, trace: Any) -> None:
        self.finish(exit_code=0 if kind is None else 1)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__") or name in ("_rows", "summary", "config"):
            raise AttributeError(name)
        return Nothing()

    def __setattr__(self, name: str, value: Any) -> None:
        self.__dict__[name] = value
        if name == "name" and "_rows" in self.__dict__:
            self._rows.write({"name": str(value)})

    def __copy__(self) -> TrialRun:
        return self

    def __deepcopy__(self, memo: Any) -> TrialRun:
        return self

    def __reduce__(self) -> Any:
        known = {"group": self.group, "sweep_id": self.sweep_id, "project": self.project, "entity": self.entity}
        return attached, (self._rows, self.config, self.id, self.name, self._folder, self.step, known)

    def __repr__(self) -> str:
        return "<wandb run %s of a sweep's trial>" % self.name

    _repr_html_ = None


def attached(rows: Rows, config: Config, id: str, name: str, folder: str, step: int, known: dict[str, Any]) -> TrialRun:
    """Makes a run that logs to another's file, in a process that was given that run."""
    run = TrialRun(rows, config, id=id, name=name, folder=folder, on_finish=lambda run: None, **known)
    run.step = step
    return run
