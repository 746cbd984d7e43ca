"""Declares the options that say what is searched, and what is done with the results."""
# ruff: noqa: RUF009 - the calls in the dataclass make its fields

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ...base.command_line import positive
from .entry import ALL_FAILED, OF_LAUNCH, PATH, ProjectDefault, as_failed, as_mapping, as_points, group, keep_policy

_search = group("search")
_result = group("results")

# An option that says what to search is refused beside one that names a sweep which has been described.
_DESCRIBES: dict[str, Any] = {"refused_beside": ("sweep_id", "train_best"), "first_launch": True}


@dataclass(frozen=True, kw_only=True)
class SearchOptions:
    """Holds what is searched, and what is done with the results."""

    config_file: str | None = _search(
        "base configuration of every trial",
        "FILE",
        flags=("config_file", "cfg"),
        keyword=PATH,
        passed_on=True,
        in_project=ProjectDefault(
            path=True, file_keys=("program", "command", "parameters.config_file"), unless=("trainer",)
        ),
    )
    sweep_config: list[Any] | None = _search(  # files, presets; in Python descriptions
        "sweep file, or the name of one in sweeps/; several run one after the other",
        "FILE|PRESET",
        nargs="+",
        not_empty=True,
        **_DESCRIBES,
        keyword=False,
    )
    sweep_id: str | None = _search(
        "resume this sweep: ID, PROJECT/ID or ENTITY/PROJECT/ID",
        "ID",
        flags=("sweep_id",),
        refused_beside=("train_best",),
        with_status=True,
        not_empty=True,
        keyword=False,
    )
    count: int | None = _search(
        "number of trials of this launch (default: the sweep file's count, else all of a grid, else its run_cap, else 10 points)",
        "N",
        positive(int),
        first_launch=True,
    )
    retry_failed: str | None = _search(  # names, or ALL_FAILED
        "run failed trials of --sweep_id again: all, or --retry-failed=NAME,…",
        "NAME,…",
        bare=ALL_FAILED,
        first_launch=True,
        refused_beside=("train_best",),
        not_empty=True,
        keyword="bool | Sequence[str] | str",
        from_python=as_failed,
    )
    method: str | None = _search(
        "search method (default: the sweep file's)",
        convert=str.lower,
        choices=("grid", "random", "bayes", "custom"),
        **_DESCRIBES,
    )
    order: str | None = _search(
        "order of a grid's points (default: the sweep file's, else listed); shuffled: for a grid that may not be finished",
        convert=str.lower,
        choices=("listed", "shuffled"),
        **_DESCRIBES,
    )
    repeats: int | None = _search(
        "train each point with N seeds, and compare points by their means (default: the sweep file's repeats, else 1)",
        "N",
        positive(int),
        **_DESCRIBES,
        keyword="int | Mapping[str, Any]",
    )
    lr_values: str | None = _search(
        "learning rates (SOLVER.BASE_LR) to try; needs no sweep file",
        "A,B,…",
        flags=("lr_values",),
        keyword="Sequence[float] | str",
        **_DESCRIBES,
    )
    wd_values: str | None = _search(
        "weight decays (SOLVER.WEIGHT_DECAY) to try; needs no sweep file",
        "A,B,…",
        flags=("wd_values",),
        keyword="Sequence[float] | str",
        **_DESCRIBES,
    )
    custom_params: str | Mapping[str, Any] | None = _search(
        """more parameters: '{"SOLVER.GAMMA": [0.1, 0.5]}'""",
        "JSON",
        flags=("custom_params",),
        keyword="Mapping[str, Any] | str",
        from_python=as_mapping,
        **_DESCRIBES,
    )
    sweep_name: str | None = _search(
        "name of the sweep (default: the sweep file's)",
        "NAME",
        flags=("sweep_name",),
        refused_beside=("sweep_id",),
        first_launch=True,
    )
    metric: str | None = _search(
        "metric to optimise (default: the sweep file's; without a file val/mAP); bayes search and early stopping need one",
        "NAME",
        **_DESCRIBES,
        keyword="str | Mapping[str, Any]",
    )
    goal: str | None = _search(
        "direction of the metric (default: the sweep file's, else by the metric's name)",
        convert=str.lower,
        choices=("maximize", "minimize"),
        **_DESCRIBES,
    )
    optimize: str | None = _search(
        "which value of the metric is a trial's result (default: last, as on W&B)",
        choices=("last", "best"),
        in_project=ProjectDefault(file_keys=("optimize",)),
    )
    seed: int | None = _search(
        "random seed of random and bayes search", "N", int, refused_beside=("sweep_id",), first_launch=True
    )
    enqueue: str | list[dict[str, Any]] | None = _search(
        "points to try first: a YAML or JSON list, or CSV; - is standard input (local controller)",
        "FILE",
        keyword=f"{PATH} | Sequence[Mapping[str, Any]]",
        from_python=as_points,
        refused_beside=("train_best",),
        first_launch=True,
        not_empty=True,
    )
    from_sweep: str | None = _search(
        "let bayes search learn from the results of this sweep first, local or on W&B",
        "ID",
        first_launch=True,
        not_empty=True,
    )
    train_best: str | None = _result(
        "train the best configuration of this sweep with several seeds, for all epochs",
        "ID",
        first_launch=True,
        not_empty=True,
        keyword=False,
    )
    seeds: int | None = _result("number of seeds of --train-best (default: 3)", "N", positive(int), keyword=False)
    prefer: str | None = _result(
        "which trial --train-best trains, by objectives, metrics and `duration`: 'val/mAP >= 80, min ms'",
        "CONDITIONS",
        not_empty=True,
        keyword=False,
    )
    log_model: bool = _result(
        "log the best trial's best/ as an artifact of W&B (offline: for `wandb sync`), and of MLflow",
        default=False,
        **OF_LAUNCH,
    )
    keep: str | None = _result(
        "trials whose checkpoints are kept (default: all)",
        "best|top-N|all|none",
        keep_policy,
        in_project=ProjectDefault(),
    )
    snapshot: bool = _result(
        "freeze the trainer's code: trials run in a copy of the files tracked by git",
        default=False,
        in_project=ProjectDefault(),
    )
