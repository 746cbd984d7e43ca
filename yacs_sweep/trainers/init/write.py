"""Writes what was found of a trainer as two files: its profile, and a sweep to start with."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from .arguments import UNKNOWN
from .find import Found

ORDER = (  # of parameters in a first sweep
    "base_lr",
    "weight_decay",
    "warmup_epochs",
    "warmup_iters",
    "dropout",
    "label_smoothing",
    "margin",
    "momentum",
    "gamma",
    "ims_per_batch",
)
PARAMETERS = 4
_NOT_SEARCHED = re.compile(  # numbers that are no parameters of the training
    r"seed|epoch|iter(s|ation)|max_?steps|worker|thread|gpu|device|port$|verbose|interval|every|freq|log|print|save|classes|eval|test"
)
_WIDTH = 100  # columns of a line with a comment


def profile_text(found: Found, name: str) -> str:
    """Writes the profile, with what is unsure at its end."""
    lines = [f"# Profile of {found.script.as_posix()}, written by --init: yacs-sweep --trainer {name}"]
    lines += _start_lines(found) + _key_lines(found) + _metric_lines(found)
    if found.unsure:
        lines += ["", "# Please check:"]
        for text in found.unsure:
            lines += _comment(text, "#  - ", "#    ")
    return "\n".join(part for line in lines for part in _fitting(line)) + "\n"


def _fitting(line: str) -> list[str]:
    """Puts the comment of a line that is too long above the line."""
    content, mark, comment = line.partition("   # ")
    if len(line) <= _WIDTH or not mark or not content.strip():
        return [line]
    indent = content[: len(content) - len(content.lstrip())]
    return [*_comment(comment, f"{indent}# ", f"{indent}# "), content]


def _start_lines(found: Found) -> list[str]:
    """Writes how the trainer is started."""
    base = found.extends
    lines = []
    if base is not None:
        lines.append(
            f"extends: {base.path.stem}   # ships with the launcher, and fits: command, keys and metrics are there"
        )
    elif found.base:
        lines.append(f"extends: {found.base}")
    lines.append("cwd: .   # the folder that holds configs/trainers/")
    if base is None:
        words = ", ".join(_word(word) for word in found.command)
        lines.append(f"command: [{words}]")
    if base is None and not found.base:
        meaning = {
            "yacs": "KEY VALUE … behind the command",
            "hydra": "key=value … behind the command",
            "argparse": "--key=value … behind the command",
            "mmengine": "key=value … behind --cfg-options",
            "lightning": "--key=value … behind the command",
            "file": "a configuration file for each trial, with its values merged in",
        }
        lines.append(f"overrides: {found.style}   # {meaning[found.style]}")
        if found.overrides_option:
            lines.append(f"overrides_option: {found.overrides_option}   # the word before them")
    if base is None and (schema := _schema(found)):
        runs = "; runs the script up to parse_args()" if schema == "argparse" else ""
        lines.append(f"schema: {schema}   # names and types are checked before anything starts{runs}")
    if found.import_root is not None:
        mode = "WANDB_MODE: disabled, " if base is None and not found.base else ""
        lines.append(f"env: {{{mode}PYTHONPATH: {found.import_root}}}   # where the script's imports are found")
    elif base is None and not found.base:
        lines.append("env: {WANDB_MODE: disabled}   # the launcher records the trial")
    return lines


def _schema(found: Found) -> str | None:
    """Writes where the trainer's keys are read from; None where that is not known."""
    if found.tree and found.style in ("yacs", "file"):
        return found.tree.schema
    if found.hydra is not None and found.leaves:
        return f"{{config_path: {found.hydra.path or 'null'}, config_name: {found.hydra.name}}}"
    return "argparse" if found.style == "argparse" and not found.base and found.leaves else None


def _key_lines(found: Found) -> list[str]:
    """Writes the keys that the trainer has for things the launcher sets."""
    base, lines = found.extends, []
    if base is None and found.output_key and not found.base:
        lines.append(f"output_dir_key: {found.output_key}   # each trial gets a folder of its own")
    if found.gpu_key and (base is None or base.gpu_key is None):
        form = f"{{key: {found.gpu_key}, form: '{found.gpu_form}'}}" if found.gpu_form else found.gpu_key
        lines.append(f"gpu_key: {form}   # set to the trial's GPUs where the launcher gives them out")
    aliases = {alias: choice.key for alias, choice in found.aliases.items()}
    aliases |= {"seed": found.seed} if found.seed else {}
    inherited = base.aliases if base is not None else {}
    own = {alias: key for alias, key in aliases.items() if alias not in inherited and key not in inherited.values()}
    if own:
        lines += [
            "aliases:   # names for sweep files and presets",
            *(f"  {alias}: {key}" for alias, key in own.items()),
        ]
    if found.checkpoints and (base is None or not base.checkpoints):
        lines.append(f"checkpoints: [{', '.join(map(_quoted, found.checkpoints))}]   # what `best/` and --keep hold")
    return lines


def _metric_lines(found: Found) -> list[str]:
    """Writes the objective, and which metrics are found without patterns."""
    lines = []
    if found.files:
        lines.append("files:   # that the trainer writes its metrics to")
        for path, kind in found.files:
            lines += [f"  - path: {_quoted(path)}", f"    format: {kind}"]
    if found.objective and not (found.extends is not None and found.extends.default_metric):
        lines.append(
            f"metric: {{name: {_quoted(found.objective[0])}, goal: {found.objective[1]}}}   # unless a sweep says another"
        )
    if found.metrics.axis not in (None, "epoch") and "epoch" not in found.metrics.counts and found.extends is None:
        lines.append(f"axis: {found.metrics.axis}   # the x-axis of the metrics")
    names = [name for name in found.metrics.counts if name != (found.metrics.axis or "epoch")] or found.suggested
    if names and found.extends is None:
        source = "in these files" if found.files else "in its log"
        source = source if found.metrics.counts else "as the source has them; no log was given"
        text = f"No patterns are needed for metrics with these names ({source}): {', '.join(names[:24])}"
        lines += [
            "",
            *_comment(text, "# ", "# "),
            *(
                ["# Other names: `yacs-sweep --test-patterns LOGFILE` suggests patterns for `metrics`."]
                * (not found.files)
            ),
        ]
    return lines


def written_by_init(path: str) -> bool:
    """Tells whether a sweep file begins as those that `sweep_text` writes."""
    try:
        return "written by --init" in Path(path).read_text("utf-8", errors="replace").partition("\n")[0]
    except OSError:
        return False


def sweep_text(found: Found, name: str) -> str:
    """Writes a sweep of three or four parameters with ranges around their defaults."""
    of = f"{found.script.as_posix()}" if found.is_program else f"the trainer profile {name}"
    lines = [
        f"# A first sweep for {of}, written by --init. Ranges are around the defaults",
        f"# of {'the trainer' if found.config is None else found.config}.",
        f"name: {name}",
        *([f"program: {found.script.as_posix()}"] if found.is_program else []),
        "method: random   # or bayes: learns from the trials before; or grid: lists instead of ranges",
    ]
    if found.objective:
        metric, goal = found.objective
        lines.append(f"metric: {{name: {_quoted(metric)}, goal: {goal}}}   # what is compared")
    else:
        lines.append("# metric: {name: val/acc, goal: maximize}   # fill in: bayes, and the best trial, need one")
    lines.append("count: 10   # trials")
    chosen = [alias for alias in ORDER if alias in found.aliases and alias not in found.idle][:PARAMETERS]
    own = _own_keys(found, chosen)
    if not chosen and not own:
        return (
            "\n".join([*lines, "parameters:   # no usual ones were found: write the trainer's keys", f"  {FILL_LR}"])
            + "\n"
        )
    if found.is_program:
        lines.append("parameters:   # what the script gives wandb.init")
    elif chosen:
        lines.append("parameters:   # aliases of the profile; any key of the trainer is a name, too")
    else:
        lines.append("parameters:   # the trainer's keys; none has a usual name")
    for alias in chosen:
        key = found.aliases[alias].key
        lines += _parameter(alias, key, found.leaves.get(key, UNKNOWN), key if found.is_program else alias)
    for key in own:
        lines += _parameter("", key, found.leaves[key], key)
    lines += [f"  # {alias}: does nothing with {why}" for alias, why in found.idle.items()]
    for alias in ("max_epochs", "max_iter"):
        if alias in found.aliases:
            default = found.leaves.get(found.aliases[alias].key)
            if isinstance(default, int) and default > 1:
                written = found.aliases[alias].key if found.is_program else alias
                lines.append(
                    f"  # {written}: {max(1, default // 10)}   # fixed: a tenth of {default}, for a quick first sweep"
                )
            break
    return "\n".join(lines) + "\n"


FILL_LR = "lr: {distribution: log_uniform_values, min: 1.0e-5, max: 1.0e-1}"


def _own_keys(found: Found, chosen: Sequence[str]) -> list[str]:
    """Chooses numbers that have no usual name: of a script for W&B beside the usual ones, else where there are none."""
    if (chosen and not found.is_program) or found.tree is not None or found.base:
        return []
    usual = {choice.key for choice in found.aliases.values()} | {found.seed}
    numbers = [
        key
        for key, value in found.leaves.items()
        if isinstance(value, int | float) and not isinstance(value, bool) and value > 0
        if key not in usual and not _NOT_SEARCHED.search(key.lower())
    ]
    return numbers[: PARAMETERS - len(chosen)]


def _parameter(alias: str, key: str, default: Any, name: str) -> list[str]:
    """Writes a parameter with a range around the default; `alias` says what it is, `name` how the sweep file calls it."""
    known = isinstance(default, int | float) and not isinstance(default, bool)
    value = float(default) if known else math.nan
    said = f"# {key}; default {default:g}" if known else f"# {key}; its default is not known: check the range"
    if alias in ("base_lr", "weight_decay"):
        low, high = (value / 5, value * 5) if alias == "base_lr" else (value / 10, value * 10)
        if not known or value <= 0:
            low, high = (1e-5, 1e-2)
        lines = ["distribution: log_uniform_values   # spread evenly over the orders of magnitude"]
        return [
            f"  {name}:   {said}",
            *(f"    {text}" for text in (*lines, f"min: {_float(low)}", f"max: {_float(high)}")),
        ]
    if alias in ("warmup_epochs", "warmup_iters", "ims_per_batch") or (not alias and isinstance(default, int)):
        whole = int(value) if known else 0
        if alias in ("ims_per_batch", ""):
            values = sorted({max(1, whole // 2), whole, whole * 2}) if whole else [16, 32, 64]
        else:
            values = (
                sorted({0, whole, 2 * whole}) if whole else [0, 5, 10] if alias == "warmup_epochs" else [0, 500, 1000]
            )
        listed = ", ".join(_float(item) if isinstance(default, float) else str(item) for item in values)
        return [f"  {name}: [{listed}]   {said}"]
    ranges = {"momentum": (0.8, 0.99), "dropout": (0.0, 0.5), "label_smoothing": (0.0, 0.2)}
    low, high = ranges.get(
        alias, (value / 2, min(value * 2, 1.0) if value <= 1 else value * 2) if value > 0 else (0.1, 0.9)
    )
    return [f"  {name}: {{min: {_float(low)}, max: {_float(high)}}}   {said}"]


def _float(value: float) -> str:
    """Writes a number that YAML reads as a float."""
    text = f"{value:.6g}"
    if "e" in text and "." not in text:
        text = text.replace("e", ".0e")
    return text if "." in text else f"{text}.0"


def _word(word: str) -> str:
    """Writes a word of the command for a YAML list."""
    return word if re.fullmatch(r"-{0,2}[A-Za-z][\w./-]*", word) and word.lower() not in _YAML_WORDS else f'"{word}"'


_YAML_WORDS = ("yes", "no", "true", "false", "on", "off", "null", "y", "n")


def _quoted(text: str) -> str:
    """Writes a text for YAML."""
    plain = re.fullmatch(r"[A-Za-z][\w/.-]*", text) and text.lower() not in _YAML_WORDS
    return text if plain else "'" + text.replace("'", "''") + "'"


def _comment(text: str, first: str, other: str) -> list[str]:
    """Breaks a text into lines of a comment."""
    lines, line = [], first
    for word in text.split():
        if len(line) + len(word) > _WIDTH and line.strip("# -"):
            lines.append(line.rstrip())
            line = other
        line += f"{word} "
    return [*lines, line.rstrip()]
