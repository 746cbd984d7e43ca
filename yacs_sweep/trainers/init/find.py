"""Puts together what is known of a project's trainer: how it is started, its keys, its metrics, and what is not sure."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ...base.errors import ConfigError
from ..profile import TrainerProfile
from ..styles import parse_literal
from .arguments import UNKNOWN, Argument, config_argument, find_arguments, override_argument, written_config
from .entry import find_entry, shown
from .names import Choice, choose_aliases, choose_objective, choose_output, choose_seed, idle_aliases, is_setting
from .project import Module, Place, Project
from .read_log import LogMetrics, read_log, written_metrics, written_models
from .settings import (
    HydraMain,
    Word,
    example_configs,
    hydra_leaves,
    hydra_main,
    number,
    read_arguments,
    read_settings,
    read_words,
)
from .shipped import fitting_profile
from .source import (
    checkpoint_patterns,
    environment_needed,
    gpu_settings,
    keys_of_options,
    logged_metrics,
    printed_lines,
    printed_metrics,
    reached_modules,
    used_names,
    uses,
    wandb_settings,
)
from .tree import Tree, find_tree, flat, merged_arguments, merges

_VAGUE = ("error", "err", "losses", "loss_dict")  # in texts of other things, too
FILL_IN = "FILL_IN"  # stands in a command for what only the user knows


@dataclass
class Found:
    """Holds what was found of a trainer.

    `leaves` are its keys with their defaults, a configuration file's values among them; `unsure` are sentences for the
    user, each with what to do.
    """

    root: Path
    script: Path
    command: list[str] = field(default_factory=list)
    style: str = "yacs"
    tree: Tree | None = None
    leaves: dict[str, Any] = field(default_factory=dict)
    overrides_option: str | None = None
    hydra: HydraMain | None = None
    output_key: str | None = None
    aliases: dict[str, Choice] = field(default_factory=dict)
    seed: str | None = None
    gpu_key: str | None = None
    gpu_form: str | None = None
    checkpoints: list[str] = field(default_factory=list)
    metrics: LogMetrics = field(default_factory=lambda: LogMetrics({}))
    suggested: list[str] = field(default_factory=list)  # metrics of lines in the source, which no log has shown
    objective: tuple[str, str] | None = None
    extends: TrainerProfile | None = None
    base: str | None = None  # a profile of a kind (huggingface), which is extended whatever the log
    needs_config: bool = False
    config: Path | None = None
    distributed: bool = False
    import_root: str | None = None  # a folder that PYTHONPATH has to name
    idle: dict[str, str] = field(
        default_factory=dict
    )  # aliases that do nothing, with the key and value because of which
    files: list[tuple[str, str]] = field(default_factory=list)  # that the trainer writes metrics to, with their formats
    unsure: list[str] = field(default_factory=list)
    is_program: bool = False  # a script for W&B without options: a sweep file names it, and no profile is needed


def find_trainer(
    root: Path, script: Path | None, config: Path | None, logs: list[Path], written: Path | None = None
) -> Found:
    """Finds out about the trainer of a project.

    Args:
        script: the script that trains, relative to the project; None: it is looked for.
        config: a configuration file of the user's.
        written: the output folder of a run of the trainer.

    Raises:
        ConfigError: there is no such script, or it cannot be read.
    """
    project = Project(root)
    others: list[Path] = []
    if script is None:
        script, others = find_entry(project)
    if script is None:
        raise ConfigError(f"--init: no script that trains was found in {root}; name it: --init train.py")
    module = project.module(script)
    if module is None:
        raise ConfigError(f"--init {script}: cannot be read as Python 3")
    found = Found(root, script, ["python", script.as_posix()], config=config)
    if others:
        found.unsure.append(
            f"The script that trains is taken to be {script}; there are also {shown(others)}. Another one: --init SCRIPT"
        )
    places = project.reach(module)
    arguments = find_arguments(places)
    _find_way(found, project, module, places, arguments)
    _read_config(found, project)
    _choose_keys(found, places, arguments)
    found.import_root = project.import_root(module)
    _find_rest(found, project, places, logs, written)
    found.idle = idle_aliases(found.aliases, found.leaves)
    return found


# -- how the trainer takes parameters ---------------------------------------------------------------------------------
def _find_way(
    found: Found, project: Project, module: Module, places: list[Place], arguments: dict[str, Argument]
) -> None:
    """Finds out how the trainer is given parameters, and its keys."""
    config = config_argument(arguments)
    if main := hydra_main(module):
        found.style, found.leaves, found.hydra = "hydra", hydra_leaves(project, main), main
        found.output_key = "hydra.run.dir"
        if not found.leaves:
            found.unsure.append(
                f"Hydra's configuration {main.folder / main.name}.yaml was not found: parameters are guesses."
            )
        return
    if uses(places, "HfArgumentParser", "TrainingArguments", "Seq2SeqTrainingArguments"):
        found.style, found.base, found.output_key = "argparse", "huggingface", "output_dir"
        found.leaves = {"learning_rate": 5e-5, "weight_decay": 0.0, "warmup_ratio": 0.0, "seed": 42}
        return
    if not arguments:
        config = written_config(module)
    found.tree = find_tree(project, places)
    if found.tree is not None:
        _yacs(found, places, arguments, config)
    elif uses(places, "LightningCLI"):
        found.style, found.base, found.output_key = "lightning", None, "trainer.default_root_dir"
        found.unsure.append("Write the keys of your model under `aliases`, such as `base_lr: model.lr`.")
        return
    elif any(argument.dest == "cfg_options" for argument in arguments.values()):
        found.style = "mmengine"
        _add_config_words(found, config)
    elif uses(places, "from_cli", "from_dotlist"):
        found.style = "hydra"
        _add_config_words(found, config)
    else:
        config = _plain(found, places, arguments, config)
    _fill_required(found, arguments, config)


def _yacs(found: Found, places: list[Place], arguments: dict[str, Argument], config: Argument | None) -> None:
    """Describes a trainer with a YACS tree."""
    assert found.tree is not None
    found.leaves = dict(found.tree.leaves)
    _add_config_words(found, config)
    rest = override_argument(arguments, merged_arguments(places))
    if rest is None and not merges(places, "merge_from_list"):
        found.style = "file"
        found.unsure.append("The trainer takes no KEY VALUE words, so each trial gets a configuration file of its own.")
    if not found.leaves:
        found.unsure.append(
            f"The tree {found.tree.schema} is in a package that is not part of this folder: its keys were not read. "
            "Write the trainer's keys under `aliases` and in the sweep file."
        )


def _plain(
    found: Found, places: list[Place], arguments: dict[str, Argument], config: Argument | None
) -> Argument | None:
    """Describes a trainer that takes options, or a configuration file alone; returns the argument that names the file."""
    if not arguments and config is None and (words := read_words(places)):
        _take_words(found, words)
        return None
    if config is None:
        config = next(iter(read_arguments(places, arguments)), None)
    options = {
        argument.flag.lstrip("-"): argument.default
        for argument in arguments.values()
        if argument.flag and not argument.switch and argument is not config
    }
    learns = choose_aliases(options).keys() & {"base_lr", "max_epochs", "weight_decay"}
    found.style, found.leaves = "argparse", options
    if config is not None and not learns:
        found.style, found.leaves = "file", {}
        _add_config_words(found, config)
    elif config is not None and config.required:
        _add_config_words(found, config)
    if not arguments and (settings := wandb_settings(places)) is not None:
        found.is_program, found.leaves = True, settings
    elif not arguments:
        found.unsure.append("The script takes no options that could be found, so parameters do not reach it.")
    return config


def _take_words(found: Found, words: list[Word]) -> None:
    """Describes a trainer that reads words by their places: the file of its settings, and others to fill in."""
    config = next((word for word in words if word.names_file), None)
    found.style = "argparse" if config is None else "file"
    if config is None:
        found.unsure.append(
            "The script reads words of sys.argv, and none names a file of settings: say in `command` and `overrides` how "
            "it takes parameters (docs/trainers.md)."
        )
    for word in words:
        if word is config:
            _add_config_words(found, Argument(word.name, "", word.default))
        elif choose_output({word.name: ""}):
            found.command.append("{output_dir}")
        else:
            found.command.append(FILL_IN)
            found.unsure.append(f"The script reads {word.name} from sys.argv[{word.place}]; write it for {FILL_IN}.")


def _add_config_words(found: Found, config: Argument | None) -> None:
    """Adds the words that name the configuration file."""
    if config is None:
        return
    if config.flag.endswith("="):
        found.command.append(config.flag + "{config_file}")
    else:
        found.command += [config.flag, "{config_file}"] if config.flag else ["{config_file}"]
    found.needs_config = True
    default = config.default[0] if isinstance(config.default, list) and config.default else config.default
    if found.config is None and isinstance(default, str) and (found.root / default).is_file():
        found.config = Path(default)


def _fill_required(found: Found, arguments: dict[str, Argument], config: Argument | None) -> None:
    """Adds options without which the parser refuses to start: train mode where there is a choice, else a blank to fill in."""
    for argument in arguments.values():
        positional = not argument.flag and not argument.is_rest and argument.nargs != "?"
        if argument is config or argument.switch or not (argument.required or positional):
            continue
        if argument.dest.lower() in ("local_rank", "rank"):
            continue  # given by torchrun
        word = "train" if "train" in argument.choices else FILL_IN
        if choose_output({argument.dest: ""}):
            word = "{output_dir}"
        found.command[2:2] = [argument.flag, word] if argument.flag else [word]
        if word == FILL_IN:
            found.unsure.append(
                f"The script needs {argument.flag or argument.dest}; write its value for {FILL_IN} in `command`."
            )


# -- its keys -----------------------------------------------------------------------------------------------------------
def _read_config(found: Found, project: Project) -> None:
    """Finds a configuration file to start with, and takes its values for defaults."""
    if found.config is None and found.needs_config:
        configs = example_configs(project, found.script, found.leaves)
        if configs:
            found.config = configs[0]
            also = f" The documents also train with {shown(configs[1:])}." if len(configs) > 1 else ""
            found.unsure.append(
                f"Defaults are those of {found.config}.{also} Another configuration: --init CONFIG.yaml"
            )
    if found.config is None or (found.style == "argparse"):
        return
    settings = read_settings(project, found.config)
    sections = {key.partition(".")[0] for key in found.leaves if "." in key}
    if empty := [key for key, value in settings.items() if value is None and key in sections]:
        found.unsure.append(
            f"{found.config} has empty sections, which YACS refuses; fill in {', '.join(empty)}, or leave out."
        )
    values = {key: number(value) for key, value in flat(settings).items()}
    if found.tree is not None:  # YACS reads texts as literals
        values = {key: parse_literal(value) if isinstance(value, str) else value for key, value in values.items()}
    known = found.style != "yacs" or found.tree is None or not found.leaves
    found.leaves |= {key: value for key, value in values.items() if known or key in found.leaves}


def _choose_keys(found: Found, places: list[Place], arguments: dict[str, Argument]) -> None:
    """Chooses the keys of the output folder, the seed, GPUs and the usual parameters."""
    found.aliases = choose_aliases(found.leaves)
    used = used_names(reached_modules(places)) if found.tree else set()
    if "base_lr" in found.aliases and found.aliases["base_lr"].key.rpartition(".")[2] in used:
        found.aliases = choose_aliases(found.leaves, used)  # what trains is among what was reached
    for alias, choice in found.aliases.items():
        if choice.others and alias in ("base_lr", "weight_decay", "max_epochs", "ims_per_batch"):
            found.unsure.append(f"{alias} is taken to be {choice.key}; there is also {', '.join(choice.others[:4])}.")
    if seed := choose_seed(found.leaves):
        found.seed = seed.key
    elif not found.is_program:
        found.unsure.append("No key of a seed was found: --train-best with several seeds needs the alias `seed`.")
    owners = keys_of_options(places, arguments, found.leaves) if found.tree else {}
    _choose_output(found, owners, arguments)
    _choose_gpus(found, places, arguments)
    rest = override_argument(arguments, merged_arguments(places))
    if found.style in ("yacs", "hydra", "mmengine") and rest is not None and rest.flag:
        found.overrides_option = rest.flag
    found.distributed = bool(environment_needed(places))
    if found.distributed:
        found.unsure.append(
            "The script reads LOCAL_RANK, so it is started by torchrun: --trainer torchrun:NAME, as in the commands below."
        )


def _choose_gpus(found: Found, places: list[Place], arguments: dict[str, Argument]) -> None:
    """Chooses the key that chooses GPUs: one that CUDA_VISIBLE_DEVICES is set from, a list of devices, their number."""
    settings = gpu_settings(places)
    for path in (path for _, paths in settings for path in paths):
        keys = [".".join(path[start:]) for start in range(1, len(path))]
        option = arguments.get(path[-1]) if found.style == "argparse" else None
        found.gpu_key = option.flag.lstrip("-") if option else next((key for key in keys if key in found.leaves), None)
        if found.gpu_key:
            found.gpu_form = _names_of_gpus(option.default if option else found.leaves[found.gpu_key], option)
            return
    if found.tree is not None or found.style == "file":
        for key, value in found.leaves.items():
            last = key.rpartition(".")[2].lower()
            if re.fullmatch(r"gpus|gpu_ids?|device_ids", last) and isinstance(value, list | tuple):
                found.gpu_key, found.gpu_form = key, None
            elif re.fullmatch(r"(num|n)_?gpus", last) and isinstance(value, int):
                found.gpu_key, found.gpu_form = key, "{gpu_count}"
    if settings:
        place = settings[0][0]
        told = f"{place.module.path.as_posix()}:{getattr(place.node, 'lineno', '?')} sets CUDA_VISIBLE_DEVICES itself"
        key = "of a key or option" if found.gpu_key is None else f"of {found.gpu_key}"
        found.unsure.append(
            f"{told}, so every trial may take the same GPUs. If its value is made {key}, write `gpu_key: {{key: "
            f"{found.gpu_key or 'KEY'}, form: '{{gpu_ids}}'}}` ('[{{gpu_ids}}]' for a list); else delete that line."
        )


def _names_of_gpus(default: Any, option: Argument | None) -> str | None:
    """Returns the form of a key that has the machine's names of GPUs; None where it is a text, for which they are usual."""
    several = isinstance(default, list | tuple) or (option is not None and option.is_rest)
    if several:
        return "[{gpu_ids}]"
    number = isinstance(default, int) or (option is not None and option.kind == "int")
    return "{gpu_ids}" if number else None


def _choose_output(found: Found, owners: dict[str, str], arguments: dict[str, Argument]) -> None:
    """Chooses how the trainer is given its output folder: a key, or an option that overwrites the key."""
    if found.output_key or "{output_dir}" in found.command or found.is_program:
        return
    choice = choose_output(found.leaves)
    option = arguments.get(owners.get(choice.key, "")) if choice else None
    if choice is None and (
        named := choose_output({a.flag.lstrip("-"): a.default for a in arguments.values() if a.flag})
    ):
        option = next(a for a in arguments.values() if a.flag.lstrip("-") == named.key)
    if option is not None and (choice is None or option.default not in (None, "", False)):
        found.command += [option.flag, "{output_dir}"]
        return
    if choice is None:
        found.unsure.append(
            "No key or option of the output folder was found: all trials write to the same place. Name it: "
            "`output_dir_key: KEY`, or {output_dir} in `command`."
        )
        return
    found.output_key = choice.key


# -- what the trainer prints and writes -------------------------------------------------------------------------------
def _find_rest(found: Found, project: Project, places: list[Place], logs: list[Path], written: Path | None) -> None:
    """Finds checkpoints, metrics and the objective, and whether a shipped profile fits."""
    modules = reached_modules(places)
    found.checkpoints = checkpoint_patterns(modules)
    if not found.checkpoints:  # what saves may be reached in ways that the source does not show
        files = [path for path in project.files if re.search(r"checkpoint|ckpt|trainer|engine", path.stem.lower())][:20]
        found.checkpoints = checkpoint_patterns(module for path in files if (module := project.module(path)))
    if not found.checkpoints and written is not None:
        found.checkpoints = written_models(written)
    printed = printed_lines(modules)
    fit = None
    if found.tree is not None:
        fit = fitting_profile(found.root, found.script, found.tree.schema, found.leaves, printed, logs)
    if fit is not None:
        found.extends, found.metrics = fit
        found.aliases |= {alias: Choice(key) for alias, key in found.extends.aliases.items()}
    elif logs:
        counts: dict[str, int] = {}
        early: set[str] = set()
        for log in logs:
            read = read_log(log)
            counts |= read.counts
            early |= read.early
        for name in [name for name in counts if name in early and is_setting(name, found.leaves)]:
            del counts[name]
        found.metrics = LogMetrics(counts, read.axis)
        if written is not None and choose_objective(counts) is None:
            found.files, names = written_metrics(written)
            if found.files:
                found.metrics = LogMetrics(dict.fromkeys(names, 1))
        if not counts and not found.files:
            found.unsure.append(
                f"No metric was found in {', '.join(map(str, logs))}: see `metrics` in docs/trainers.md."
            )
    else:
        in_source = [*logged_metrics(modules), *([] if found.is_program else printed_metrics(printed))]
        others = {*found.leaves, *_VAGUE}
        found.suggested = [name for name in dict.fromkeys(in_source) if name not in others]
    _choose_objective(found, bool(logs))


def _choose_objective(found: Found, seen: bool) -> None:
    """Chooses the metric to optimise."""
    names = list(found.metrics.counts) or found.suggested
    chosen = choose_objective(names)
    if found.extends is not None and (metric := found.extends.default_metric):
        found.objective = (metric.name, metric.goal)
        return
    if chosen is None:
        text = (
            "none has a usual name" if names else "name a log: --init LOGFILE --force, or --init --force --try-run 60"
        )
        found.unsure.append(f"The metric to optimise is not known ({text}); or fill in `metric` in the sweep file.")
        return
    found.objective = chosen[:2]
    if not seen and not found.is_program:
        found.unsure.append(
            f"The metric {chosen[0]} is a guess from what the source prints or logs. Name a log of the trainer "
            "(--init LOGFILE --force), or let it run for a minute (--init --force --try-run 60)."
        )
    elif seen and not chosen[2]:
        found.unsure.append(f"{chosen[0]} may be of the training data; a validation metric is a better objective.")


__all__ = ["FILL_IN", "UNKNOWN", "Found", "find_trainer"]
