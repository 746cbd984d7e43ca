"""Checks the options that show sweeps (`--status`, `--compare`, …) against all others: they start no trial, and need few."""

from __future__ import annotations

from collections.abc import Sequence

from .table import Options

# What a look needs or takes; --status takes what its entries say (`with_status`).
_TAKES = {
    "compare": ("results_dir", "json"),
    "diff": ("sweep_id", "results_dir", "json"),
    "logs": ("sweep_id", "results_dir", "follow"),
}
_ALWAYS = ("storage",)  # the environment's, too, which no look needs
_NEEDS = {
    "watch": ("status",),
    "where": ("status",),
    "sort": ("status",),
    "columns": ("status",),
    "follow": ("logs",),
    "json": ("status", "compare", "diff", "check"),
    "now": ("set_workers", "set_gpus"),
}


def signed_names(argv: Sequence[str]) -> list[str]:
    """Joins `--sort` and a name behind it that begins with a dash, which argparse would take for an option."""
    words: list[str] = []
    for word in argv:
        if words and words[-1] == "--sort" and word.startswith("-") and not word.startswith("--"):
            words[-1] = f"--sort={word}"
        else:
            words.append(word)
    return words


def look_problems(options: Options) -> list[str]:
    """Lists the options that do not fit beside one that shows sweeps, and those that need one which is not given."""
    problems = [f"{Options.flag(name)}: needs {_flags_text(_NEEDS[name], 'or')}" for name in alone(options)]
    if options.status:
        problems += _beside_status(options)
        if options.json and options.watch:
            problems.append("--json, --watch: JSON is printed once; leave one out")
    for look, taken in _TAKES.items():
        if options.is_given(look):
            problems += _beside_look(options, look, taken)
            break
    return problems


def alone(options: Options) -> list[str]:
    """Lists the fields of options that are given without any of those that they belong to."""
    return [name for name, looks in _NEEDS.items() if options.is_given(name) and not any(map(options.is_given, looks))]


def looks(options: Options) -> bool:
    """Whether an option that shows sweeps is given; `look_problems` then lists what does not fit beside it."""
    return options.status or any(map(options.is_given, _TAKES))


def _beside_look(options: Options, look: str, taken: Sequence[str]) -> list[str]:
    """Lists the options and words that a look has no use for."""
    others = options.given_beside((look, *taken, *_ALWAYS, *alone(options), "trailing"))
    others += [str(word) for word in options.trailing]
    starts_nothing = f"{Options.flag(look)} starts nothing; leave out all but {_flags_text(taken, 'and')}"
    return [f"{', '.join(others)}: {starts_nothing}"] if others else []


def _flags_text(names: Sequence[str], last: str) -> str:
    """Lists options as one types them, with the word `last` before the last of them."""
    flags = [Options.flag(name) for name in names]
    return f" {last} ".join(filter(None, [", ".join(flags[:-1]), flags[-1]]))


def _beside_status(options: Options) -> list[str]:
    """Lists the options that `--status` has no use for."""
    words, problems = list(options.trailing), []
    if len(words) == 1:
        problems.append(f"--status {words[0]}: write --status --sweep_id {words[0]}")
    elif words:
        problems.append(f"--status {' '.join(words)}: takes no words; --sweep_id names the sweep")
    fitting = [name for name, entry in Options.table().items() if entry.with_status]
    if others := options.given_beside((*fitting, *alone(options))):
        problems.append(
            f"{', '.join(others)}: --status starts nothing; leave out all but --sweep_id, --results_dir, --storage and --watch"
        )
    return problems
