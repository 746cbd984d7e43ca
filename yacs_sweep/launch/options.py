"""Declares the options of `tools/sweep.py`. `Options` is the table from which everything about them is made."""
# ruff: noqa: RUF009 - the calls in the dataclass make its fields

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from ..base.command_line import PROGRAM, Parser, not_negative, positive, whole
from ..base.options import add_options, default_of, entries, flag_of
from .option_entry import ALL_FAILED, SweepOption, as_failed, as_mapping, as_points, group, keep_policy

if TYPE_CHECKING:
    from ..trainers.function import FunctionProfile

_CHECKOUT = """\
  tools/sweep.py --config_file configs/smoke.yml --sweep-config sweep_test
  tools/sweep.py --config_file configs/baseline.yml \\
      --sweep-config sweeps/my.yaml --count 30 SOLVER.MAX_EPOCHS 60
  tools/sweep.py --config_file configs/baseline.yml \\
      --lr_values 0.0001,0.00035 --wd_values 0.0005,0.005
  tools/sweep.py --sweep_id k3v9x2ab     (resume a sweep)
"""
_INSTALLED = """\
  yacs-sweep --sweep-config sweep.yaml --count 30     (the file has a program)
  yacs-sweep --trainer trainer.yaml --config_file base.yml \\
      --sweep-config sweep.yaml SOLVER.MAX_EPOCHS 60
  yacs-sweep --sweep_id k3v9x2ab     (resume a sweep)
"""
EPILOG = f"""\
examples:
{_INSTALLED if PROGRAM == "yacs-sweep" else _CHECKOUT}
exit status: 0 all trials ended well (stopped early counts); 1 some trial
failed; 2 invalid input, nothing was created; 130 interrupted
"""


_search = group("search")
_result = group("results")
_place = group("where trials run and are recorded")
_end = group("how trials end")
_word = group(None)

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
        "base configuration of every trial",
        "FILE",
        flags=("config_file", "cfg"),
        keyword=_PATH,
        passed_on=True,
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
        "which value of the metric is a trial's result (default: last, as on W&B)", choices=("last", "best")
    )
    seed: int | None = _search(
        "random seed of random and bayes search", "N", int, refused_beside=("sweep_id",), first_launch=True
    )
    enqueue: str | list[dict[str, Any]] | None = _search(
        "points to try first: a YAML or JSON list, or CSV (local controller)",
        "FILE",
        keyword=f"{_PATH} | Sequence[Mapping[str, Any]]",
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
    log_model: bool = _result("log the best trial's best/ as a W&B artifact (offline: for `wandb sync`)", default=False)
    keep: str | None = _result("trials whose checkpoints are kept (default: all)", "best|top-N|all|none", keep_policy)

    snapshot: bool = _result(
        "freeze the trainer's code: trials run in a copy of the files tracked by git", default=False
    )

    controller: str = _place(
        "what chooses the points: the W&B server or this machine (default: auto, wandb if logged in)",
        choices=("auto", "wandb", "local"),
        default="auto",
        passed_on=True,
    )
    project: str | None = _place("W&B project", "NAME")
    entity: str | None = _place("W&B user or team", "NAME")
    wandb_mode: str | None = _place(
        "W&B mode of trials with the local controller (default: offline)",
        choices=("online", "offline", "disabled"),
        passed_on=True,
    )
    storage: str | None = _place(
        "database of the local controller, shared by many machines: postgresql://…", "URL", with_status=True
    )
    results_dir: str | None = _place(
        "results folder (default: the sweep file's results_dir_base, else ./log/sweep)",
        "DIR",
        flags=("results_dir",),
        keyword=_PATH,
        with_status=True,
    )
    trainer: str | FunctionProfile | None = _place(
        "trainer profile, a name or a file; `list` shows the names, `list:NAME` what one says "
        "(default: the sweep file's program, else reid)",
        "PROFILE|FILE",
        keyword=_PATH,
        passed_on=True,
    )
    python: str | None = _place("the trainer's interpreter (default: this one)", "PATH", keyword=_PATH, passed_on=True)
    workers: int | None = _place(
        "number of trials at the same time (default: 1; with GPU options: as many as fit)",
        "N",
        positive(int),
        **_EACH_LAUNCH,
    )
    gpus: str | None = _place(
        "GPUs to use, as in CUDA_VISIBLE_DEVICES; indices, UUIDs, MIG (default: all)",
        "0,1,…",
        keyword="Sequence[int | str] | str",
        **_EACH_LAUNCH,
    )
    gpus_per_trial: int | None = _place(
        "number of GPUs of each trial (default: 1 with several workers)", "K", positive(int), **_EACH_LAUNCH
    )
    trials_per_gpu: int | None = _place(
        "number of trials that share a GPU (default: 1)", "K", positive(int), **_EACH_LAUNCH
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
    )
    status: bool = _place(
        "show the progress of --sweep_id, or of all recent sweeps; start nothing",
        default=False,
        with_status=True,
        keyword=False,
        starts_agents=False,
    )
    watch: bool = _place(
        "with --status: repeat until the sweep has ended", default=False, with_status=True, keyword=False
    )
    engine: str = _place(
        "scheduler that starts the agents (default: local)",
        choices=("local", "ray", "slurm"),
        default="local",
        starts_agents=False,
    )
    agents: int | None = _place(
        "number of agents of the engine: array tasks, resource bundles (default: 1)",
        "N",
        positive(int),
        engine_only=True,
    )
    engine_option: list[str] | None = _place(
        "option of sbatch (partition, gres, time, …) or Ray; repeatable",
        "KEY=VALUE",
        repeatable=True,
        keyword="Mapping[str, Any]",
        engine_only=True,
    )
    no_preload: bool = _place(
        "start every trial as a fresh process, without preloaded libraries", default=False, passed_on=True
    )

    timeout: float | None = _end("time limit of a trial", "SECONDS", positive(float), **_EACH_LAUNCH)
    stall_timeout: float | None = _end(
        "end a trial that prints nothing for this long", "SECONDS", positive(float), **_EACH_LAUNCH
    )
    grace: float = _end(
        "time between SIGTERM and SIGKILL (default: 15)", "SECONDS", not_negative, default=15.0, **_EACH_LAUNCH
    )
    max_failures: int | None = _end("end the sweep after N failures in a row", "N", positive(int), **_EACH_LAUNCH)
    retries: int = _end(
        "attempts more for a trial that failed because of the machine (default: 0)",
        "N",
        whole,
        default=0,
        **_EACH_LAUNCH,
    )
    on_oom: str = _end(
        "whether --retries also applies to running out of memory (default: skip)",
        choices=("skip", "retry"),
        default="skip",
        **_EACH_LAUNCH,
    )
    gpu_wait: float = _end(
        "time to wait for a trial's GPU memory to be free (default: 30)",
        "SECONDS",
        not_negative,
        default=30.0,
        **_EACH_LAUNCH,
    )
    assume_resume: bool = _end(
        "do not try whether the trainer resumes, before a sweep that pauses trials: it does", default=False
    )
    test_patterns: str | None = _end(
        "show what the trainer's patterns find in a log file; start nothing",
        "LOGFILE",
        not_empty=True,
        keyword=False,
        starts_agents=False,
    )
    init: list[str] | None = _end(
        "write a profile and a sweep file for the trainer in this folder, from what its code and logs say; run nothing",
        "SCRIPT|CONFIG|LOG",
        nargs="*",
        keyword=False,
        starts_agents=False,
    )
    force: bool = _end("with --init: replace files that exist", default=False, keyword=False)
    try_run: float | None = _end(
        "with --init: run the trainer for at most this long, to see what it prints",
        "SECONDS",
        positive(float),
        keyword=False,
    )
    check: bool = _end(
        "check interpreter, trainer, GPUs, disk and W&B, and say what to mend; start and create nothing",
        default=False,
        keyword=False,
        starts_agents=False,
    )
    json: bool = _end("with --check: print the findings as JSON", default=False, keyword=False)
    dry_run: bool = _end(
        "show the search and the commands of the first trials; create nothing",
        default=False,
        keyword=False,
        starts_agents=False,
    )

    trailing: list[str] | dict[str, Any] = _word(  # a dict is Python's
        "settings for every trial; put words that begin with a dash after --",
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
        """Returns the given options that cannot be combined with `other`, as one types them."""
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

    def launch_words(self) -> list[str]:
        """Returns the words of the options that hold for one launch: workers, GPUs, limits of a trial."""
        return [word.removesuffix(".0") for word in self.words(lambda entry: entry.per_launch)]

    def after_launch(self) -> Options:
        """Returns the options of a `Sweep` object's next launch: less what described the sweep, or held once."""
        once = {name: default_of(type(self), name) for name, entry in self.table().items() if entry.first_launch}
        return replace(self, **once)


def make_parser(kind: type[Parser] = Parser) -> Parser:
    """Makes the parser of the whole command line; `kind` says what it does about a mistake."""
    parser = kind(
        prog=PROGRAM,
        description="Search hyperparameters of a YACS trainer: on the W&B server when logged in, else on this machine.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.unknown_hint = "; an option of the trainer is written behind the others: -- {word}"
    add_options(parser, Options)
    return parser
