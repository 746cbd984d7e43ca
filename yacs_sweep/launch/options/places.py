"""Declares the options that say where trials run and are recorded."""
# ruff: noqa: RUF009 - the calls in the dataclass make its fields

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ...base.command_line import positive
from ...search.storage.url import URL_VARIABLE
from ..notify.events import read_events
from .entry import EACH_LAUNCH, OF_LAUNCH, PATH, ProjectDefault, group

if TYPE_CHECKING:
    from ...trainers.function import FunctionProfile

_place = group("where trials run and are recorded")


@dataclass(frozen=True, kw_only=True)
class PlaceOptions:
    """Holds where trials run and are recorded."""

    controller: str = _place(
        "what chooses the points: the W&B server or this machine (default: auto, wandb if logged in)",
        choices=("auto", "wandb", "local"),
        default="auto",
        passed_on=True,
        in_project=ProjectDefault(),
    )
    project: str | None = _place(
        "W&B project", "NAME", in_project=ProjectDefault(file_keys=("project",), variable="WANDB_PROJECT")
    )
    entity: str | None = _place(
        "W&B user or team", "NAME", in_project=ProjectDefault(file_keys=("entity",), variable="WANDB_ENTITY")
    )
    wandb_mode: str | None = _place(
        "W&B mode of trials with the local controller (default: offline)",
        choices=("online", "offline", "disabled"),
        passed_on=True,
        in_project=ProjectDefault(unless=("controller",), variable="WANDB_MODE"),
    )
    record: str | None = _place(
        "where trials are recorded: wandb, tensorboard, mlflow=URI, joined by commas (default: wandb)",
        "NAME,…",
        keyword="Sequence[str] | str",
        not_empty=True,
        in_project=ProjectDefault(),
    )
    storage: str | None = _place(
        "database of the local controller, shared by many machines: postgresql://…",
        "URL",
        with_status=True,
        in_project=ProjectDefault(unless=("controller",), variable=URL_VARIABLE),
    )
    results_dir: str | None = _place(
        "results folder (default: the sweep file's results_dir_base, else ./log/sweep)",
        "DIR",
        flags=("results_dir",),
        keyword=PATH,
        with_status=True,
        in_project=ProjectDefault(path=True, file_keys=("results_dir_base",)),
    )
    trainer: str | FunctionProfile | None = _place(
        "trainer profile, a name or a file; `list` shows the names, `list:NAME` what one says "
        "(default: the sweep file's program, else reid)",
        "PROFILE|FILE",
        keyword=PATH,
        passed_on=True,
        in_project=ProjectDefault(path=True, name=True, file_keys=("program", "command")),
    )
    python: str | None = _place(
        "the trainer's interpreter (default: this one)",
        "PATH",
        keyword=PATH,
        passed_on=True,
        in_project=ProjectDefault(path=True, name=True),
    )
    workers: int | None = _place(
        "number of trials at the same time (default: 1; with GPU options: as many as fit)",
        "N",
        positive(int),
        **OF_LAUNCH,
        **EACH_LAUNCH,
    )
    gpus: str | None = _place(
        "GPUs to use, as in CUDA_VISIBLE_DEVICES; indices, UUIDs, MIG (default: all)",
        "0,1,…",
        keyword="Sequence[int | str] | str",
        **OF_LAUNCH,
        **EACH_LAUNCH,
    )
    gpus_per_trial: int | None = _place(
        "number of GPUs of each trial (default: 1 with several workers)", "K", positive(int), **OF_LAUNCH, **EACH_LAUNCH
    )
    trials_per_gpu: int | None = _place(
        "number of trials that share a GPU (default: 1)", "K", positive(int), **OF_LAUNCH, **EACH_LAUNCH
    )
    parallel_sweeps: bool = _place(
        "run several sweeps at the same time, sharing the workers", default=False, keyword=False
    )
    agent_run: bool = _place(
        "run the one trial for which `wandb agent` has started this command",
        default=False,
        keyword=False,
        refused_beside=("train_best", "status"),
    )
    verbose: bool = _place(
        "also show what trainers print (always kept in each trial's stdout.log)",
        default=False,
        passed_on=True,
        with_status=True,
    )
    quiet: bool = _place(
        "show only the start and end of trials, and messages",
        default=False,
        passed_on=True,
        with_status=True,
    )
    notify: str | None = _place(
        "command to run, or URL to post to, when the sweep has ended or failed; '$NAME' reads it from a variable",
        "COMMAND|URL",
        **OF_LAUNCH,
    )
    notify_on: str | None = _place(
        "what --notify tells of, between commas: end, first-failure, new-best (at most every 10 min) (default: end)",
        "EVENTS",
        read_events,
        **OF_LAUNCH,
    )
    engine: str = _place(
        "scheduler that starts the agents (default: local)",
        choices=("local", "ray", "slurm"),
        default="local",
        **OF_LAUNCH,
        starts_agents=False,
    )
    agents: int | None = _place(
        "number of agents of the engine: array tasks, resource bundles (default: 1)",
        "N",
        positive(int),
        engine_only=True,
        **OF_LAUNCH,
    )
    engine_option: list[str] | None = _place(
        "option of sbatch (partition, gres, time, …) or Ray; repeatable",
        "KEY=VALUE",
        repeatable=True,
        keyword="Mapping[str, Any]",
        engine_only=True,
        **OF_LAUNCH,
    )
    no_preload: bool = _place(
        "start every trial as a fresh process, without preloaded libraries",
        default=False,
        passed_on=True,
        **OF_LAUNCH,
    )
    no_project_defaults: bool = _place(
        "leave out the defaults in yacs-sweep.toml or pyproject.toml", default=False, keyword=False, with_status=True
    )
