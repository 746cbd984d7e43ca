"""Knows what usual names stand for: learning rates, epochs, output folders, seeds, metrics."""

from __future__ import annotations

import re
from collections.abc import Container, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from ...spec.read_objectives import higher_is_better, lower_is_better
from .arguments import UNKNOWN

# Of an alias: the last parts of keys that it may stand for, the usual ones first, and the type of their values.
ALIASES: dict[str, tuple[str, type]] = {
    "base_lr": (r"base_?lr|base_learning_rate|lr|learning_rate|init(ial)?_lr|lr_?init|lr0|max_lr|blr", float),
    "weight_decay": (r"weight_decay|wd|l2_reg(ularization)?|weightdecay", float),
    "ims_per_batch": (
        r"ims_per_batch|batch_?size|train_?batch_?size|batch_?size_?per_?gpu|per_device_train_batch_size|samples_per_gpu|bs",
        int,
    ),
    "max_epochs": (r"max_?epochs?|n?_?epochs?|num_?(train_)?epochs?|total_?epochs?|end_?epoch|train_epochs", int),
    "max_iter": (r"max_?iters?|total_?iters?|num_?iters?|iterations|max_?steps|total_?steps|num_?steps", int),
    "warmup_iters": (r"warmup_?iters?|warmup_?steps|num_warmup_steps", int),
    "warmup_epochs": (r"warm_?up_?epochs?", int),
    "warmup_factor": (r"warmup_?factor|warmup_?ratio", float),
    "momentum": (r"momentum|sgd_momentum", float),
    "gamma": (r"gamma|lr_?gamma|lr_?decay|lr_?factor|decay_rate", float),
    "margin": (r"margin|triplet_margin", float),
    "dropout": (r"dropout|drop_?rate|dropout_rate|drop_path_rate", float),
    "label_smoothing": (r"label_?smooth(ing)?|smoothing", float),
}
_MAIN = ("base_lr", "weight_decay", "ims_per_batch", "max_epochs")  # count in any section
_SECTIONS = {"margin": r"tri|triplet|loss(es)?"}  # that are preferred for an alias
_OUTPUTS = (
    r"output_?dir|out_?dir|output_?(path|folder)?|outdir",
    r"save_?(dir|path|folder)|work_?dir|run_?dir|exp(eriment)?_?(dir|path)|results?_?(dir|path)?",
    r"log_?dir|log_?path|checkpoint_?dir|ckpt_?(dir|path)|default_root_dir|logs?",
)
_SEED = r"(rng|random|manual|torch|np|global)?_?seed"
_HOME = re.compile(
    r"solver|optim(izer)?|sgd|adamw?|train(ing|er)?|schedule[rs]?|model|loss|losses|data|dataloader|lr|hparams|params"
)
_AWAY = re.compile(r"test|val|eval|bn|norm|ema|head|roi|rpn|teacher|debug|demo|export|bias|center|inference|kd|swa|sam")
_METRIC = re.compile(  # by the last part of a name; the usual objectives first
    r"(?P<a>map|m_?ap|ap|pck|miou|iou|dice|auc|auroc|f1|f1_?score|bleu|rouge\w*|ndcg|psnr|ssim|bbox/ap)$"
    r"|(?P<b>(top_?1_?)?(acc(uracy)?)(@1|_?1|_top_?1)?|top_?1(_?acc(uracy)?)?|rank_?1|cmc_rank_1|r1|precision|recall|score|reward)$"
    r"|(?P<c>top_?1_?err(or)?|err(or)?(@1)?|error_rate|mae|rmse|mse|wer|cer|fid|perplexity|ppl)$"
    r"|(?P<d>(total_?)?loss)$"
)
_HELD_OUT = re.compile(r"val|valid(ation)?|test|eval|dev", re.IGNORECASE)
_USUAL = re.compile(
    r"loss|acc|m?ap\b|rank|top|err|f1|auc|iou|dice|bleu|rouge|psnr|ssim|mse|mae|ppl|lr$|score|recall|precision"
)


@dataclass(frozen=True)
class Choice:
    """Holds the key that was chosen for a purpose, and others that may be meant."""

    key: str
    others: tuple[str, ...] = ()


def choose_aliases(leaves: Mapping[str, Any], used: Container[str] | None = None) -> dict[str, Choice]:
    """Chooses the key of each usual parameter by name, type and section.

    Args:
        used: last parts of the keys that the trainer's code reads, where that is known: others do nothing.
    """
    found = {}
    for alias, (names, kind) in ALIASES.items():
        keys = [key for key in leaves if _fits(leaves[key], kind)]
        if used is not None:
            keys = [key for key in keys if key.rpartition(".")[2] in used]
        if choice := _best(keys, names, away=True, anywhere=alias in _MAIN, sections=_SECTIONS.get(alias, "")):
            found[alias] = choice
    return found


_IDLE = {  # of an alias: the keys that decide about it, and their values with which it does something or nothing
    "momentum": (
        r"(.*[._])?(optim(izer)?|opt|optimizer_name|optim(izer)?\.(name|type|_target_))",
        None,
        r"adam|amsgrad|lamb|lion|ada",
    ),
    "gamma": (r"(.*[._])?(lr_)?scheduler([._](name|type))?", None, r"cosine|poly|linear|onecycle|constant"),
    "margin": (
        r"(.*[._])?loss(es)?([._](name|type))?|.*loss_(name|type)|dataloader\.sampler",
        r"tri|margin|contrast|arc|cos|circle|hinge|rank",
        r"softmax|cross|ce\b",
    ),
}


def idle_aliases(aliases: Iterable[str], leaves: Mapping[str, Any]) -> dict[str, str]:
    """Tells which parameters do nothing with the configuration as it is: momentum with Adam, margin without triplets.

    Returns:
        For each of them the key and value because of which.
    """
    found = {}
    for alias in aliases:
        keys, works, idles = _IDLE.get(alias, ("", None, ""))
        texts = {key: str(leaves[key]).lower() for key in leaves if keys and re.fullmatch(keys, key, re.IGNORECASE)}
        why = [key for key, text in texts.items() if re.search(idles, text)]
        if why and not any(works and re.search(works, text) for text in texts.values()):
            found[alias] = f"{why[0]} {leaves[why[0]]}"
    return found


def is_setting(name: str, leaves: Iterable[str]) -> bool:
    """Tells whether a printed name is that of a key, an option or a usual parameter, rather than a metric's."""
    last = re.split(r"[./]", name)[-1].lower().replace("-", "_")
    known = {re.split(r"[./]", key)[-1].lower().replace("-", "_") for key in leaves}
    usual = any(re.fullmatch(names, last) for names, _ in ALIASES.values()) or bool(re.fullmatch(_SEED, last))
    return last in known or usual or not looks_usual(last)


def choose_output(leaves: Mapping[str, Any]) -> Choice | None:
    """Chooses the key that names the output folder."""
    keys = [key for key, value in leaves.items() if value is None or value is UNKNOWN or isinstance(value, str)]
    for names in _OUTPUTS:
        if choice := _best(keys, names):
            return choice
    return None


def choose_seed(leaves: Mapping[str, Any]) -> Choice | None:
    """Chooses the key of the seed."""
    keys = [key for key, value in leaves.items() if value is None or value is UNKNOWN or _fits(value, int)]
    return _best(keys, _SEED)


def _fits(value: Any, kind: type) -> bool:
    """Tells whether a default may be that of a parameter of the type."""
    if value is UNKNOWN:
        return True
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    return kind is float or isinstance(value, int) or value.is_integer()


def _best(
    keys: Iterable[str], names: str, *, away: bool = False, anywhere: bool = True, sections: str = ""
) -> Choice | None:
    """Returns the best of the keys with such a last part; of those that are alike the last one counts.

    Args:
        away: whether sections of other uses (TEST, BN, …) do not count.
        anywhere: whether sections of no usual name count.
        sections: names of sections that are preferred.
    """
    parts = _alternatives(names)
    ranked = []
    for place, key in enumerate(keys):
        *above, last = re.split(r"[./]", key.replace("-", "_"))
        rank = next((n for n, name in enumerate(parts) if re.fullmatch(name, last, re.IGNORECASE)), None)
        if rank is None:
            continue
        words = [word for part in above for word in re.split(r"[_\d]+", part.lower())]
        foreign = any(_AWAY.fullmatch(word) for word in words)
        home = not above or bool(_HOME.fullmatch(re.sub(r"\d+$", "", above[0].lower())))
        if (foreign and away and not home) or not (home or anywhere):
            continue
        liked = any(re.fullmatch(sections, part.lower()) for part in above)
        ranked.append(((foreign, not home, not liked, _section(above), rank, len(above), -place), key))
    if not ranked:
        return None
    ranked.sort()
    best = ranked[0]
    alike = [key for score, key in ranked[1:] if score[:3] == best[0][:3] and score[4:6] == best[0][4:6]]
    return Choice(best[1], tuple(alike))


def _section(above: list[str]) -> int:
    """Ranks the section of a key: that of the optimiser first."""
    if not above:
        return 0
    first = above[0].lower()
    return 0 if re.match(r"solver|optim|train", first) else 1 if re.match(r"data|model|loss", first) else 2


def _alternatives(names: str) -> list[str]:
    """Splits a pattern at the bars that stand in no brackets."""
    found, depth, start = [], 0, 0
    for place, letter in enumerate(names):
        depth += (letter == "(") - (letter == ")")
        if letter == "|" and not depth:
            found.append(names[start:place])
            start = place + 1
    return [*found, names[start:]]


def choose_objective(metrics: Iterable[str]) -> tuple[str, str, bool] | None:
    """Chooses the metric to optimise.

    Returns:
        Name, goal, and whether it is that of data that was not trained on; None where none is known by its name.
    """
    ranked = []
    names = list(metrics)
    for place, name in enumerate(names):
        last = re.sub(r"[\s-]+", "_", name.rsplit("/", 1)[-1].lower())
        match = _METRIC.search(last) if not re.search(r"_avg$|best|max_|min_", last) else None
        if match is None or (re.search(r"(^|/)train", name.lower()) and not match["d"]):
            continue
        kind = next(group for group in "abcd" if match[group])
        held_out = bool(_HELD_OUT.search(name)) or kind == "a" or last.startswith("rank")
        running = _is_running(name, names)
        # `Acc@1` beside a `test/Acc@1` of each batch is their mean; beside one that is a result it is of the training.
        ends = [other for other in names if other.endswith(f"/{name}") and _HELD_OUT.match(other)]
        summed_up = bool(ends) and not running and all(_is_running(other, names) for other in ends)
        ranked.append((not (held_out or summed_up), running, kind, len(name), place, name))
    if not ranked:
        return None
    other, _, kind, _, _, name = min(ranked)
    less = lower_is_better(name) or (kind in "cd" and not higher_is_better(name))
    return name, "minimize" if less else "maximize", not other


def _is_running(name: str, names: Iterable[str]) -> bool:
    """Tells whether a metric is of a batch, or of the end of all, by its name and those beside it."""
    return f"{name}_avg" in names or bool(re.search("iter|final", name.lower()))


def looks_usual(metric: str) -> bool:
    """Tells whether a metric's name is a usual one (loss, acc, mAP, …)."""
    return bool(_USUAL.search(metric.lower()))
