"""Types the keyword arguments of `Sweep`. Written by `python tools/cli_reference.py` from `Options`; a test compares them."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias, TypedDict

PathLike: TypeAlias = "str | os.PathLike[str]"


class Keywords(TypedDict, total=False):
    """Lists the options that `Sweep` takes; `sweep.py --help` explains them. Times are in seconds."""

    config_file: PathLike
    count: int
    retry_failed: bool | Sequence[str] | str
    method: str
    order: str
    repeats: int | Mapping[str, Any]
    lr_values: Sequence[float] | str
    wd_values: Sequence[float] | str
    custom_params: Mapping[str, Any] | str
    sweep_name: str
    metric: str | Mapping[str, Any]
    goal: str
    optimize: str
    seed: int
    enqueue: PathLike | Sequence[Mapping[str, Any]]
    from_sweep: str
    log_model: bool
    keep: str
    snapshot: bool
    controller: str
    project: str
    entity: str
    wandb_mode: str
    record: Sequence[str] | str
    storage: str
    results_dir: PathLike
    trainer: PathLike
    python: PathLike
    workers: int
    gpus: Sequence[int | str] | str
    gpus_per_trial: int
    trials_per_gpu: int
    verbose: bool
    quiet: bool
    notify: str
    notify_on: str
    engine: str
    agents: int
    engine_option: Mapping[str, Any]
    no_preload: bool
    timeout: float
    stall_timeout: float
    until: str
    run_for: str
    max_gpu_hours: float | str
    grace: float
    max_failures: int
    retries: int
    on_oom: str
    gpu_wait: float
    assume_resume: bool
