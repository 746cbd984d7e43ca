"""The command line of `tools/sweep.py`: every option of the contract, in both spellings."""

from __future__ import annotations

import argparse
import os
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ..base.command_line import PROGRAM, Parser, not_negative, positive, whole
from ..base.wording import no_texts
from ..search.storage.url import URL_VARIABLE

EPILOG = """\
examples:
  tools/sweep.py --config_file configs/smoke.yml --sweep-config sweep_test
  tools/sweep.py --config_file configs/baseline.yml --sweep-config sweeps/my.yaml --count 30 SOLVER.MAX_EPOCHS 60
  tools/sweep.py --config_file configs/baseline.yml --lr_values 0.0001,0.00035 --wd_values 0.0005,0.005
  tools/sweep.py --config_file configs/baseline.yml --sweep_id k3v9x2ab     (go on with a sweep)

exit status: 0 all trials ended well (stopped early counts); 1 some trial failed; 2 wrong usage, nothing was
created; 130 interrupted
"""
_KEY = re.compile(r"[A-Za-z_]\w*(\.\w+)*\.(?!ya?ml$)\w+|\+{0,2}[A-Za-z_][\w.@/-]*=.*")  # KEY VALUE or key=value


def keep(text: str) -> str:
    """An argparse type: a policy of `checkpoints.Keep`."""
    from ..records.checkpoints import Keep

    try:
        Keep.parse(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None
    return text


def make_parser(kind: type[Parser] = Parser) -> Parser:
    """The parser of the whole command line; `kind` says what it does about a mistake."""
    parser = kind(
        prog=PROGRAM,
        description="Search hyperparameters of a YACS trainer: on the W&B server when logged in, else embedded.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    what = parser.add_argument_group("what to search")
    add = _adder(parser, what)
    add("config_file", "cfg", metavar="FILE", help="the trainer's configuration, the base of every trial")
    add(
        "sweep-config",
        nargs="+",
        metavar="FILE|PRESET",
        help="sweep YAML, or the name of one in sweeps/; several: in turn",
    )
    add("sweep_id", metavar="ID", help="go on with this sweep: ID, PROJECT/ID or ENTITY/PROJECT/ID")
    add("count", type=positive(int), metavar="N", help="trials of this launch (default: the YAML's, the grid's, 10)")
    add(
        "method",
        choices=["grid", "random", "bayes"],
        type=str.lower,
        help="how points are chosen (default: the YAML's)",
    )
    add("lr_values", metavar="A,B,…", help="learning rates (SOLVER.BASE_LR) to try; needs no YAML")
    add("wd_values", metavar="A,B,…", help="weight decays (SOLVER.WEIGHT_DECAY) to try; needs no YAML")
    add("custom_params", metavar="JSON", help="""more parameters: '{"SOLVER.GAMMA": [0.1, 0.5]}'""")
    add("sweep_name", metavar="NAME", help="what the sweep is called (default: the YAML's)")
    add("metric", metavar="NAME", help="the metric to optimise, e.g. val/mAP")
    add("goal", choices=["maximize", "minimize"], type=str.lower, help="of the metric (default: the YAML's)")
    add("optimize", choices=["last", "best"], help="which value of a trial's metric counts (default: last, as on W&B)")
    add("seed", type=int, metavar="N", help="of random and bayes search")
    add("enqueue", metavar="FILE", help="points to try first: YAML or JSON list, or CSV (local controller)")
    add("from-sweep", metavar="ID", help="bayes learns from this sweep's results first: a local one's, or W&B's")

    found = parser.add_argument_group("what comes of it")
    add = _adder(parser, found)
    add("train-best", metavar="ID", help="train the best configuration of that sweep with several seeds, full epochs")
    add("seeds", type=positive(int), metavar="N", help="of --train-best (default: 3)")
    add(
        "log-model",
        action="store_true",
        help="log the best trial's best/ as a W&B artifact (offline: for `wandb sync`)",
    )
    add("keep", type=keep, metavar="best|top-N|all|none", help="whose checkpoints stay on disk (default: all)")

    where = parser.add_argument_group("where it runs and is recorded")
    add = _adder(parser, where)
    add("controller", choices=["auto", "wandb", "local"], default="auto", help="who chooses (auto: wandb if logged in)")
    add("project", metavar="NAME", help="W&B project")
    add("entity", metavar="NAME", help="W&B user or team")
    add("wandb-mode", choices=["online", "offline", "disabled"], help="runs of the local controller (default: offline)")
    add("storage", metavar="URL", help="database of the local controller, for many machines: postgresql://…")
    add("results_dir", metavar="DIR", help="results folder (default: the YAML's results_dir_base, ./log/sweep)")
    add("trainer", metavar="PROFILE|FILE", help="profile in configs/trainers/ (default: the YAML's program, else reid)")
    add("python", metavar="PATH", help="the trainer's interpreter (default: this one)")
    add(
        "workers",
        type=positive(int),
        metavar="N",
        help="trials at the same time (default: 1; with GPU options: all fit)",
    )
    add("gpus", metavar="0,1,…", help="GPUs to use, as in CUDA_VISIBLE_DEVICES; indices, UUIDs, MIG (default: all)")
    add("gpus-per-trial", type=positive(int), metavar="K", help="GPUs of each trial (default: 1 with several workers)")
    add("trials-per-gpu", type=positive(int), metavar="K", help="trials that share a GPU (default: 1)")
    add("parallel-sweeps", action="store_true", help="several sweeps at the same time, sharing the workers")
    add("verbose", action="store_true", help="show what trainers print, too; it is in each trial's stdout.log anyway")
    add("quiet", action="store_true", help="no live screen and no evaluations: trials' starts and ends, and messages")
    add(
        "notify",
        metavar="COMMAND|URL",
        help="told at the end, however it ended: JSON on stdin, or posted; {message} in words",
    )
    add("status", action="store_true", help="how sweeps are doing: --sweep_id's, or all recent ones; starts nothing")
    add("watch", action="store_true", help="with --status: again and again, until it has ended")
    add("engine", choices=["local", "ray", "slurm"], default="local", help="what starts the launchers (default: local)")
    add(
        "agents",
        type=positive(int),
        metavar="N",
        help="launchers of the engine: array tasks, resource bundles (default: 1)",
    )
    add(
        "engine-option",
        action="append",
        metavar="KEY=VALUE",
        help="of sbatch (partition, gres, time, …) or Ray; repeatable",
    )
    add("no-preload", action="store_true", help="start every trial as a fresh process")

    trials = parser.add_argument_group("how trials end")
    add = _adder(parser, trials)
    add("timeout", type=positive(float), metavar="SECONDS", help="per trial")
    add("stall-timeout", type=positive(float), metavar="SECONDS", help="end a trial that prints nothing for so long")
    add("grace", type=not_negative, default=15.0, metavar="SECONDS", help="between SIGTERM and SIGKILL (default: 15)")
    add("max-failures", type=positive(int), metavar="N", help="end the sweep after N failures in a row")
    add("retries", type=whole, default=0, metavar="N", help="of a trial that the machine ended, not the trainer")
    add("on-oom", choices=["skip", "retry"], default="skip", help="whether running out of memory is retried too")
    add("gpu-wait", type=not_negative, default=30.0, metavar="SECONDS", help="for a trial's GPU memory to be free")
    add("test-patterns", metavar="LOGFILE", help="show what the trainer's patterns find in a log; start nothing")
    add("dry-run", action="store_true", help="show what would be searched and started; create nothing")
    parser.add_argument(
        "trailing", nargs="*", metavar="KEY VALUE", help="given to every trial; words with dashes after --"
    )
    return parser


def _adder(parser: Parser, group: Any) -> Callable[..., None]:
    def add(*names: str, **settings: Any) -> None:
        Parser.add(group, *names, **settings)

    return add


def parse(argv: Sequence[str]) -> argparse.Namespace:
    """The options; KEY VALUE words may stand anywhere between them. Exits with status 2 on wrong usage."""
    words = list(argv)
    verbatim = words[words.index("--") + 1 :] if "--" in words else []  # for trainers that take --key=value
    options = make_parser().parse_intermixed_args(words[: words.index("--")] if "--" in words else words)
    # `--sweep-config y.yaml SOLVER.GAMMA 0.5`: argparse cannot know where the list of files ends.
    files = options.sweep_config or []
    for place, word in enumerate(files[1:], start=1):
        if _KEY.fullmatch(word) and not os.path.exists(word):
            options.sweep_config, options.trailing = files[:place], [*files[place:], *options.trailing]
            break
    options.trailing = [*options.trailing, *verbatim]
    take_environment(options)
    return options


def take_environment(options: argparse.Namespace) -> None:
    """What the environment says in place of options: `wandb_off`, whatever a sweep that is there was told, and `storage`. The
    database's URL is taken out of it, since trials inherit that: it may hold a password."""
    disabled = os.environ.get("WANDB_MODE") == "disabled"
    options.wandb_off = disabled and options.wandb_mode is None and options.controller != "wandb"
    url = os.environ.pop(URL_VARIABLE, None)
    options.storage_of_environment = options.storage is None and bool(url) and options.controller != "wandb"
    if options.storage_of_environment:
        options.storage = url


# What must not be empty, as a variable of the shell that is not set makes it.
NAMING = ("sweep_id", "train_best", "from_sweep", "enqueue", "test_patterns", "sweep_config")
OF_STATUS = ("status", "watch", "sweep_id", "results_dir", "quiet", "verbose", "storage", "trailing")


def contradictions(options: argparse.Namespace) -> list[str]:
    """What options say against each other, and what is wrong with those that nothing else looks at; a line each."""
    names = {action.dest: next(iter(action.option_strings), "") for action in make_parser()._actions}
    empty = [names[name] for name in NAMING if getattr(options, name) in ("", [""])]
    problems = [f"{name}: is empty; is a variable of the shell not set?" for name in empty]
    if options.verbose and options.quiet:
        problems.append("--verbose, --quiet: say the opposite of each other; leave one out")
    if options.watch and not options.status:
        problems.append("--watch: goes with --status")
    if options.seeds and options.train_best is None:
        problems.append("--seeds: goes with --train-best; the search's own is --seed")
    if options.trainer is not None:
        from ..trainers.function import FUNCTION

        if options.trainer == FUNCTION:
            problems.append(
                f"--trainer {FUNCTION}: is a Python function's, which is started from Python, or by its --sweep_id"
            )
    if options.status:
        problems += _beside_status(options, names)
    else:
        problems += no_texts(vars(options))
    if options.notify is not None:
        from . import notify  # `--help` stays fast

        problems += notify.problems(options.notify)
    return problems


def _beside_status(options: argparse.Namespace, names: Mapping[str, str]) -> list[str]:
    """What `--status` has no use for."""
    words, problems = options.trailing, []
    if len(words) == 1:
        problems.append(f"--status {words[0]}: write --status --sweep_id {words[0]}")
    elif words:
        problems.append(f"--status {' '.join(words)}: takes no words; --sweep_id names the sweep")
    usual = vars(make_parser().parse_args([]))
    others = [names[key] for key in usual if key not in OF_STATUS and getattr(options, key) != usual[key]]
    if others:
        problems.append(
            f"{', '.join(others)}: --status starts nothing; it goes with --sweep_id, --results_dir and --watch"
        )
    return problems
