"""Declares the options of `tools/sweep.py`. `Options` is the table from which everything about them is made."""
# ruff: noqa: RUF009 - the calls in the dataclass make its fields

from __future__ import annotations

import argparse
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from ..base.command_line import PROGRAM, Parser, not_negative, positive, whole
from ..base.errors import ConfigError
from ..base.options import Option, add_options, declare, default_of, entries, flag_of

if TYPE_CHECKING:
    from ..trainers.function import FunctionProfile

EPILOG = """\
examples:
  tools/sweep.py --config_file configs/smoke.yml --sweep-config sweep_test
  tools/sweep.py --config_file configs/baseline.yml --sweep-config sweeps/my.yaml --count 30 SOLVER.MAX_EPOCHS 60
  tools/sweep.py --config_file configs/baseline.yml --lr_values 0.0001,0.00035 --wd_values 0.0005,0.005
  tools/sweep.py --config_file configs/baseline.yml --sweep_id k3v9x2ab     (go on with a sweep)

exit status: 0 all trials ended well (stopped early counts); 1 some trial failed; 2 wrong usage, nothing was
created; 130 interrupted
"""


ALL_FAILED = "all"  # of --retry-failed


@dataclass(frozen=True, kw_only=True)
class SweepOption(Option):
    """Describes an option of a sweep, and how the launcher treats it.

    Args:
        keyword: whether `Sweep` takes it as a keyword argument; a text is the argument's type where that is not the field's.
        from_python: makes the field's value of a keyword argument that no word can say; None: the argument is read as words are.
        passed_on: whether the launches that an engine starts are given it.
        per_launch: whether the sweep's launch.json does not keep it, so that the command that resumes the sweep repeats it.
        first_launch: whether it holds for the first launch of a `Sweep` object alone.
        refused_beside: the options that it cannot stand beside.
        with_status: whether it may stand beside `--status`.
        not_empty: whether an empty text is refused, as an unset variable of the shell makes it.
        engine_only: whether it belongs to an engine, and is refused with `--engine local`.
        starts_agents: whether a command line with it may start agents here.
    """

    keyword: str | bool = True
    from_python: Callable[[Any], Any] | None = None
    passed_on: bool = False
    per_launch: bool = False
    first_launch: bool = False
    refused_beside: tuple[str, ...] = ()
    with_status: bool = False
    not_empty: bool = False
    engine_only: bool = False
    starts_agents: bool = True


def _keep(text: str) -> str:
    """Checks a policy of `checkpoints.Keep`; an argparse type."""
    from ..records.checkpoints import Keep

    try:
        Keep.parse(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None
    return text


def _mapping(value: Any) -> dict[str, Any] | None:
    """Returns a mapping as YAML has it; None for another value."""
    from ..spec.sweep_files import as_yaml

    return as_yaml(value) if isinstance(value, Mapping) else None


def _points(value: Any) -> list[dict[str, Any]] | None:
    """Returns a list of points as YAML has it; None for a file's name."""
    from ..spec.sweep_files import as_yaml

    if isinstance(value, str | os.PathLike):
        return None
    points = as_yaml(value)
    if not isinstance(points, list) or not all(isinstance(point, dict) for point in points):
        raise ConfigError(f"{value!r} is not a list of points; write [{{'lr': 0.1}}, …], or name a file")
    return points


def _failed(value: Any) -> str | None:
    """Returns what True means for --retry-failed; None for names."""
    return ALL_FAILED if value is True else None


def _group(title: str | None) -> Callable[..., Any]:
    """Returns a function that declares an option under that heading."""

    def declared(
        help: str,
        metavar: str | None = None,
        convert: Callable[[str], Any] | None = None,
        *,
        default: Any = None,
        **settings: Any,
    ) -> Any:
        return declare(SweepOption(help=help, metavar=metavar, convert=convert, group=title, **settings), default)

    return declared


_search = _group("what to search")
_result = _group("what comes of it")
_place = _group("where it runs and is recorded")
_end = _group("how trials end")
_word = _group(None)

# An option that says what to search is refused beside one that names a sweep which has been described.
_DESCRIBES: dict[str, Any] = {"refused_beside": ("sweep_id", "train_best"), "first_launch": True}
_EACH_LAUNCH: dict[str, Any] = {"passed_on": True, "per_launch": True}
_PATH = "PathLike"


@dataclass(frozen=True, kw_only=True)
class Options:
    """Holds the options of one launch: what the command line, or a keyword of `Sweep`, has given.

    A new option is one entry here: the parser, the keywords, the documents and every list of options (kept, passed on,
    refused beside each other) follow from it.
    """

    config_file: str | None = _search(
        "the trainer's configuration, the base of every trial",
        "FILE",
        flags=("config_file", "cfg"),
        keyword=_PATH,
        passed_on=True,
    )
    sweep_config: list[Any] | None = _search(  # files, presets; in Python descriptions
        "sweep YAML, or the name of one in sweeps/; several: in turn",
        "FILE|PRESET",
        nargs="+",
        not_empty=True,
        **_DESCRIBES,
        keyword=False,
    )
    sweep_id: str | None = _search(
        "go on with this sweep: ID, PROJECT/ID or ENTITY/PROJECT/ID",
        "ID",
        flags=("sweep_id",),
        refused_beside=("train_best",),
        with_status=True,
        not_empty=True,
        keyword=False,
    )
    count: int | None = _search(
        "trials of this launch (default: the YAML's, the grid's, 10)", "N", positive(int), first_launch=True
    )
    retry_failed: str | None = _search(  # names, or ALL_FAILED
        "try failed trials again: all, or those named (with --sweep_id)",
        "NAME,…",
        bare=ALL_FAILED,
        first_launch=True,
        refused_beside=("train_best",),
        not_empty=True,
        keyword="bool | Sequence[str] | str",
        from_python=_failed,
    )
    method: str | None = _search(
        "how points are chosen (default: the YAML's)",
        convert=str.lower,
        choices=("grid", "random", "bayes"),
        **_DESCRIBES,
    )
    lr_values: str | None = _search(
        "learning rates (SOLVER.BASE_LR) to try; needs no YAML",
        "A,B,…",
        flags=("lr_values",),
        keyword="Sequence[float] | str",
        **_DESCRIBES,
    )
    wd_values: str | None = _search(
        "weight decays (SOLVER.WEIGHT_DECAY) to try; needs no YAML",
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
        from_python=_mapping,
        **_DESCRIBES,
    )
    sweep_name: str | None = _search(
        "what the sweep is called (default: the YAML's)",
        "NAME",
        flags=("sweep_name",),
        refused_beside=("sweep_id",),
        first_launch=True,
    )
    metric: str | None = _search(
        "the metric to optimise, e.g. val/mAP", "NAME", **_DESCRIBES, keyword="str | Mapping[str, Any]"
    )
    goal: str | None = _search(
        "of the metric (default: the YAML's)", convert=str.lower, choices=("maximize", "minimize"), **_DESCRIBES
    )
    optimize: str | None = _search(
        "which value of a trial's metric counts (default: last, as on W&B)", choices=("last", "best")
    )
    seed: int | None = _search("of random and bayes search", "N", int, refused_beside=("sweep_id",), first_launch=True)
    enqueue: str | list[dict[str, Any]] | None = _search(
        "points to try first: YAML or JSON list, or CSV (local controller)",
        "FILE",
        keyword=f"{_PATH} | Sequence[Mapping[str, Any]]",
        from_python=_points,
        refused_beside=("train_best",),
        first_launch=True,
        not_empty=True,
    )
    from_sweep: str | None = _search(
        "bayes learns from this sweep's results first: a local one's, or W&B's", "ID", first_launch=True, not_empty=True
    )

    train_best: str | None = _result(
        "train the best configuration of that sweep with several seeds, full epochs",
        "ID",
        first_launch=True,
        not_empty=True,
        keyword=False,
    )
    seeds: int | None = _result("of --train-best (default: 3)", "N", positive(int), keyword=False)
    log_model: bool = _result("log the best trial's best/ as a W&B artifact (offline: for `wandb sync`)", default=False)
    keep: str | None = _result("whose checkpoints stay on disk (default: all)", "best|top-N|all|none", _keep)

    snapshot: bool = _result("freeze the trainer's code: trials run in a copy of what git knows", default=False)

    controller: str = _place(
        "who chooses (auto: wandb if logged in)", choices=("auto", "wandb", "local"), default="auto", passed_on=True
    )
    project: str | None = _place("W&B project", "NAME")
    entity: str | None = _place("W&B user or team", "NAME")
    wandb_mode: str | None = _place(
        "runs of the local controller (default: offline)", choices=("online", "offline", "disabled"), passed_on=True
    )
    storage: str | None = _place(
        "database of the local controller, for many machines: postgresql://…", "URL", with_status=True
    )
    results_dir: str | None = _place(
        "results folder (default: the YAML's results_dir_base, ./log/sweep)",
        "DIR",
        flags=("results_dir",),
        keyword=_PATH,
        with_status=True,
    )
    trainer: str | FunctionProfile | None = _place(
        "profile in configs/trainers/ (default: the YAML's program, else reid)",
        "PROFILE|FILE",
        keyword=_PATH,
        passed_on=True,
    )
    python: str | None = _place("the trainer's interpreter (default: this one)", "PATH", keyword=_PATH, passed_on=True)
    workers: int | None = _place(
        "trials at the same time (default: 1; with GPU options: all fit)", "N", positive(int), **_EACH_LAUNCH
    )
    gpus: str | None = _place(
        "GPUs to use, as in CUDA_VISIBLE_DEVICES; indices, UUIDs, MIG (default: all)",
        "0,1,…",
        keyword="Sequence[int | str] | str",
        **_EACH_LAUNCH,
    )
    gpus_per_trial: int | None = _place(
        "GPUs of each trial (default: 1 with several workers)", "K", positive(int), **_EACH_LAUNCH
    )
    trials_per_gpu: int | None = _place("trials that share a GPU (default: 1)", "K", positive(int), **_EACH_LAUNCH)
    parallel_sweeps: bool = _place("several sweeps at the same time, sharing the workers", default=False, keyword=False)
    verbose: bool = _place(
        "show what trainers print, too; it is in each trial's stdout.log anyway",
        default=False,
        passed_on=True,
        with_status=True,
    )
    quiet: bool = _place(
        "no live screen and no evaluations: trials' starts and ends, and messages",
        default=False,
        passed_on=True,
        with_status=True,
    )
    notify: str | None = _place(
        "told at the end, however it ended: JSON on stdin, or posted; '$NAME': the variable has it", "COMMAND|URL"
    )
    status: bool = _place(
        "how sweeps are doing: --sweep_id's, or all recent ones; starts nothing",
        default=False,
        with_status=True,
        keyword=False,
        starts_agents=False,
    )
    watch: bool = _place(
        "with --status: again and again, until it has ended", default=False, with_status=True, keyword=False
    )
    engine: str = _place(
        "what starts the launchers (default: local)",
        choices=("local", "ray", "slurm"),
        default="local",
        starts_agents=False,
    )
    agents: int | None = _place(
        "launchers of the engine: array tasks, resource bundles (default: 1)", "N", positive(int), engine_only=True
    )
    engine_option: list[str] | None = _place(
        "of sbatch (partition, gres, time, …) or Ray; repeatable",
        "KEY=VALUE",
        repeatable=True,
        keyword="Mapping[str, Any]",
        engine_only=True,
    )
    no_preload: bool = _place("start every trial as a fresh process", default=False, passed_on=True)

    timeout: float | None = _end("per trial", "SECONDS", positive(float), **_EACH_LAUNCH)
    stall_timeout: float | None = _end(
        "end a trial that prints nothing for so long", "SECONDS", positive(float), **_EACH_LAUNCH
    )
    grace: float = _end(
        "between SIGTERM and SIGKILL (default: 15)", "SECONDS", not_negative, default=15.0, **_EACH_LAUNCH
    )
    max_failures: int | None = _end("end the sweep after N failures in a row", "N", positive(int), **_EACH_LAUNCH)
    retries: int = _end("of a trial that the machine ended, not the trainer", "N", whole, default=0, **_EACH_LAUNCH)
    on_oom: str = _end(
        "whether running out of memory is retried too", choices=("skip", "retry"), default="skip", **_EACH_LAUNCH
    )
    gpu_wait: float = _end("for a trial's GPU memory to be free", "SECONDS", not_negative, default=30.0, **_EACH_LAUNCH)
    test_patterns: str | None = _end(
        "show what the trainer's patterns find in a log; start nothing",
        "LOGFILE",
        not_empty=True,
        keyword=False,
        starts_agents=False,
    )
    dry_run: bool = _end(
        "show what would be searched and started; create nothing", default=False, keyword=False, starts_agents=False
    )

    trailing: list[str] | dict[str, Any] = _word(  # a dict is Python's
        "given to every trial; words with dashes after --",
        "KEY VALUE",
        nargs="*",
        positional=True,
        default=[],
        with_status=True,
        keyword=False,
    )

    # What the environment says (`read_options.take_environment`); no options.
    wandb_off: bool = False  # WANDB_MODE=disabled
    storage_of_environment: bool = False  # whether `storage` is the environment's

    # -- questions about the table ----------------------------------------------------------------------------------

    @classmethod
    def table(cls) -> dict[str, SweepOption]:
        """Returns all options by their field's name."""
        return entries(cls)

    @classmethod
    def flag(cls, name: str) -> str:
        """Returns an option as one types it: `--sweep-config`."""
        return flag_of(cls, name)

    def is_given(self, name: str) -> bool:
        """Whether the option has a value other than its default."""
        return bool(getattr(self, name) != default_of(type(self), name))

    def refused_beside(self, other: str) -> list[str]:
        """Returns the given options that cannot stand beside `other`, as one types them."""
        return [
            self.flag(name)
            for name, entry in self.table().items()
            if other in entry.refused_beside and self.is_given(name)
        ]

    def words(self, wanted: Callable[[SweepOption], bool]) -> list[str]:
        """Returns the words of a command line that gives the `wanted` options the same values; default values need none."""
        found = []
        for name, entry in self.table().items():
            if wanted(entry) and self.is_given(name):
                value = getattr(self, name)
                found += [self.flag(name).replace("_", "-"), *([] if value is True else [str(value)])]
        return found

    def after_launch(self) -> Options:
        """Returns the options of a `Sweep` object's next launch: less what described the sweep, or held once."""
        once = {name: default_of(type(self), name) for name, entry in self.table().items() if entry.first_launch}
        return replace(self, **once)


def make_parser(kind: type[Parser] = Parser) -> Parser:
    """Makes the parser of the whole command line; `kind` says what it does about a mistake."""
    parser = kind(
        prog=PROGRAM,
        description="Search hyperparameters of a YACS trainer: on the W&B server when logged in, else embedded.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    add_options(parser, Options)
    return parser
