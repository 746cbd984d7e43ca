"""Reads the options from the command line and the environment, and checks them against each other."""

from __future__ import annotations

import argparse
import contextlib
import os
import re
from collections.abc import Sequence
from dataclasses import replace

from ...base.errors import ConfigError
from ...base.wording import nearest, no_texts
from ...search.storage.url import URL_VARIABLE
from ..agent_run import given_run
from .control import NAMING, WITH_ID
from .look_checks import alone, look_problems, looks, signed_names
from .table import Options, make_parser

_KEY = re.compile(r"[A-Za-z_]\w*(\.\w+)*\.(?!ya?ml$)\w+|\+{0,2}[A-Za-z_][\w.@/-]*=.*")  # KEY VALUE or key=value
_TRIAL_NAMES = re.compile(r"[\w.]+(-[\w.]+)+(,[\w.-]+)*,?")
_BESIDE_ORDER = ("results_dir", "storage", "entity", "project", "wandb_off", "storage_of_environment")
_WITH_INIT = ("init", "force", "dry_run", "try_run", "python", "trainer", "trailing", "quiet", "verbose")
_LIKE_A_PRESET = 0.75  # how like a preset's name a word is that is a misspelt one, and no key
_BARE_KEY = re.compile(r"[A-Za-z_]\w*")  # may be the name of a preset, too


def parse(argv: Sequence[str]) -> Options:
    """Parses the command line; KEY VALUE words may stand anywhere between options. Exits with status 2 on wrong usage."""
    words = signed_names(argv)
    verbatim = words[words.index("--") + 1 :] if "--" in words else []  # for trainers that take --key=value
    parser = make_parser()
    for action in parser._actions:  # so that the parser returns what is given, even where that is the default
        action.default = argparse.SUPPRESS if action.option_strings else action.default
    parsed = vars(parser.parse_intermixed_args(words[: words.index("--")] if "--" in words else words))
    options = Options(**parsed, given=frozenset(parsed) - {"trailing"})
    files, trailing = options.sweep_config, list(options.trailing)
    # `--sweep-config y.yaml SOLVER.GAMMA 0.5`: argparse cannot know where the list of files ends.
    for place in range(1, len(files or ())):
        assert files is not None
        if _begins_overrides(files[place:]):
            files, trailing = files[:place], [*files[place:], *trailing]
            break
    if (name := _named_apart(words, trailing)) is not None:
        make_parser().error(f"--retry-failed {name}: write --retry-failed={name}")
    return take_environment(replace(options, sweep_config=files, trailing=[*trailing, *verbatim]))


def _begins_overrides(words: Sequence[str]) -> bool:
    """Tells whether words behind a sweep file are KEY VALUE pairs, not further sweep files."""
    word = words[0]
    if os.path.isfile(word):
        return False
    if _KEY.fullmatch(word) and not os.path.exists(word):
        return True
    if not _BARE_KEY.fullmatch(word) or len(words) % 2:
        return False
    from ...spec.sweep_files import preset_folders, presets  # only such a word needs it

    return not nearest(word, presets(preset_folders()), cutoff=_LIKE_A_PRESET)


def _named_apart(words: Sequence[str], trailing: Sequence[str]) -> str | None:
    """Returns the names behind a `--retry-failed` that are written without the `=`; None where there are none."""
    for place, word in enumerate(words[:-1]):
        name = words[place + 1]
        if word.replace("_", "-") != "--retry-failed" or name not in trailing or "=" in name:
            continue
        # No key has a dash in its name, and a pair is never a word alone.
        if _TRIAL_NAMES.fullmatch(name) or len(trailing) % 2:
            return name
    return None


def take_environment(options: Options) -> Options:
    """Adds what the environment says in place of options: `wandb_off`, for resumed sweeps as well, and `storage`.

    Takes the database's URL out of the environment, since trials inherit that: it may hold a password.
    """
    disabled = os.environ.get("WANDB_MODE") == "disabled"
    url = os.environ.pop(URL_VARIABLE, None)
    taken = options.storage is None and bool(url) and options.controller != "wandb"
    if options.agent_run and options.sweep_id is None:
        with contextlib.suppress(ConfigError):  # `contradictions` says it
            options = replace(options, sweep_id=given_run()["sweep"], count=1, controller="wandb")
    return replace(
        options,
        wandb_off=disabled and options.wandb_mode is None and options.controller != "wandb",
        storage=url if taken else options.storage,
        storage_of_environment=taken,
    )


def contradictions(options: Options) -> list[str]:
    """Lists, a line each, what options say against each other, and mistakes in those that nothing else checks."""
    table = Options.table()
    empty = [name for name, entry in table.items() if entry.not_empty and getattr(options, name) in ("", [""])]
    problems = [f"{Options.flag(name)}: is empty; is a variable of the shell not set?" for name in empty]
    if options.verbose and options.quiet:
        problems.append("--verbose, --quiet: contradict each other; leave one out")
    if options.agent_run:
        problems += _no_agent_run(options)
    if options.init is None:
        problems += [f"{Options.flag(name)}: needs --init" for name in ("force", "try_run") if options.is_given(name)]
    if options.init is not None:
        problems += _beside_init(options)
    problems += look_problems(options)
    if options.check and (options.sweep_id or options.train_best):
        problems.append("--check: is for a new sweep; leave out --sweep_id and --train-best")
    if options.seeds and options.train_best is None:
        problems.append("--seeds: needs --train-best; --seed is the seed of the search")
    if options.prefer and options.train_best is None:
        problems.append("--prefer: needs --train-best, which trains the trial that is chosen")
    if options.trainer is not None:
        from ...trainers.function import FUNCTION

        if options.trainer == FUNCTION:
            problems.append(
                f"--trainer {FUNCTION}: is a Python function's, which is started from Python, or by its --sweep_id"
            )
    problems += _beside_order(options)
    problems += [] if options.status else no_texts(vars(options))
    if options.notify is not None:
        from ..notify.target import notify_problems  # `--help` stays fast

        problems += notify_problems(options.notify)
    elif options.is_given("notify_on"):
        problems.append("--notify-on: needs --notify, which says whom to tell")
    return problems


def _no_agent_run(options: Options) -> list[str]:
    """Lists why there is no run of `wandb agent` here, and what cannot stand beside one."""
    try:
        given = given_run()
    except ConfigError as error:
        return [str(error)]
    clash = options.sweep_id != given["sweep"] or (options.workers or 1) > 1 or options.engine != "local"
    return ["--agent-run: takes sweep, trial and place from `wandb agent`; leave out what says them"] if clash else []


def _beside_init(options: Options) -> list[str]:
    """Lists what `--init` has no use for; words behind other options are taken for files."""
    given = options.given_beside(_WITH_INIT)
    problems = (
        [f"{', '.join(given)}: --init starts no sweep; leave out all but files and its own options"] if given else []
    )
    if options.try_run and options.dry_run:
        problems.append("--try-run, --dry-run: contradict each other; leave one out")
    return problems


def order_of(options: Options) -> str | None:
    """Returns the field of the order that the options give a running sweep; None where they give none."""
    return next(iter(_orders(options)), None)


def _orders(options: Options) -> list[str]:
    """Lists the fields of all orders to a running sweep that the options give."""
    return [name for name in (*NAMING, *WITH_ID) if options.is_given(name)]


def _beside_order(options: Options) -> list[str]:
    """Lists what an order to a running sweep lacks, and what it has no use for."""
    given = _orders(options)
    problems: list[str] = []
    if not given:
        return problems
    order = Options.flag(given[0])
    if len(given) > 1:
        problems.append(f"{', '.join(map(Options.flag, given))}: are several orders; give one after the other")
    if given[0] in NAMING and options.sweep_id is not None:
        problems.append(f"--sweep_id: {order} names the sweep itself; leave it out")
    elif given[0] in WITH_ID and options.sweep_id is None:
        problems.append(f"{order}: needs --sweep_id ID, the sweep that it is for")
    if options.trailing:
        problems.append(f"{order}: takes no further words, and {' '.join(options.trailing)} is given")
    others = options.given_beside((*given, *_BESIDE_ORDER, *alone(options), "now", "sweep_id", "trailing"))
    if others and not looks(options):
        problems.append(
            f"{', '.join(others)}: {order} starts nothing; leave out all but the sweep, --results_dir, --storage, "
            "--entity and --project"
        )
    return problems
