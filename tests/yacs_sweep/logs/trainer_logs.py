"""Logs of other projects' trainers, made from their format strings, with the rows that have to be found in them.

Formats: the projects' public sources (reid-strong-baseline, TransReID, CLIP-ReID, fast-reid, deep-person-reid,
maskrcnn-benchmark, detectron2, transformers).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

Number = int | float
CHATTER = "step {} took 0.123 s, data 0.004 s, 128 samples"


@dataclass
class Log:
    """`text` as it is printed, and every row in it."""

    text: str
    rows: list[dict[str, Number]]


def of(text: str) -> float:
    """What a printed number says."""
    return float(text)


def numbers(epoch: int, special: bool) -> tuple[float, float, float]:
    """Loss, accuracy and learning rate; not finite, negative and whole ones among them."""
    choices = [(10.0123, 0.0173, 1.09e-05), (math.nan, math.inf, 1.0), (-0.5, -math.inf, 3.5e-4), (0.0, 1.0, 1e-12)]
    return choices[epoch % 4] if special else choices[0]


def baseline(logger: str, epochs: int, special: bool, iteration: str = "Iteration", per: str = "batch") -> Log:
    """reid-strong-baseline, TransReID and the second stage of CLIP-ReID; SOLIDER-REID in two words of its own."""
    prefix = f"2026-01-01 12:00:00,123 {logger} INFO: "
    lines, rows = [], []
    for epoch in range(1, epochs + 1):
        loss, acc, lr = numbers(epoch, special)
        said = f"{loss:.3f}", f"{acc:.3f}", f"{lr:.2e}"
        lines.append(
            "{}Epoch[{}] {}[{}/{}] Loss: {}, Acc: {}, Base Lr: {}".format(prefix, epoch, iteration, 20, 183, *said)
        )
        values = dict(zip(("train/loss", "train/acc", "train/lr"), map(of, said), strict=True))
        rows.append({**values, "epoch": epoch})
        lines.append(f"{prefix}Epoch {epoch} done. Time per {per}: {83.2:.3f}[s] Speed: {211.94:.1f}[samples/s]")
        rows.append({"train/time": 83.2, "train/speed": 211.9, "epoch": epoch})
        lines += [prefix + "-" * 10, f"{prefix}Validation Results - Epoch: {epoch}", f"{prefix}mAP: {0.0437:.1%}"]
        lines += [f"{prefix}CMC curve, Rank-{rank:<3}:{rank / 10:.1%}" for rank in (1, 5, 10)]
        cmc = {"val/cmc_rank_1": 10.0, "val/cmc_rank_5": 50.0, "val/cmc_rank_10": 100.0}
        rows.append({"val/mAP": 4.4, **cmc, "epoch": epoch})
    return Log("\n".join(lines) + "\n", rows)


def clip_reid(epochs: int, special: bool) -> Log:
    prefix = "2026-01-01 12:00:00,123 transreid.train INFO: "
    lines, rows = [], []
    for epoch in range(1, epochs + 1):
        loss, _, lr = numbers(epoch, special)
        said = f"{loss:.3f}", f"{lr:.2e}"
        lines.append("{}Epoch[{}] Iteration[{}/{}] Loss: {}, Base Lr: {}".format(prefix, epoch, 50, 201, *said))
        rows.append({"stage1/loss": of(said[0]), "stage1/lr": of(said[1]), "epoch": epoch})
    second = baseline("transreid.train", epochs, special)
    return Log("\n".join(lines) + "\n" + second.text, rows + second.rows)


def fast_reid(epochs: int, special: bool) -> Log:
    """An epoch prints its line at iteration 200; then it is evaluated, and only then it prints its last line.

    The last epoch is shorter: its only line comes after the evaluation.
    """
    prefix = "\x1b[32m[01/01 12:00:00 fastreid.utils.events]: \x1b[0m"
    lines: list[str] = []
    rows: list[dict[str, Number]] = []

    def train(epoch: int, iteration: int) -> None:
        loss, other, lr = numbers(epoch, special)
        said = [f"{loss:.4g}", f"{other:.4g}", f"{lr:.2e}"]
        lines.append(
            f"{prefix} eta: 1:12:33  epoch/iter: {epoch}/{iteration}  total_loss: {said[0]}  loss_cls: {said[1]}  "
            f"time: {0.2412:.4f}  data_time: {0.0012:.4f}  lr: {said[2]}  max_mem: {10240.2:.0f}M"
        )
        values = {"train/total_loss": of(said[0]), "train/loss_cls": of(said[1]), "train/lr": of(said[2])}
        times = {"train/time": 0.2412, "train/data_time": 0.0012, "train/max_mem": 10240}
        rows.append({"epoch": epoch, "iter": iteration, **values, **times})

    for epoch in range(epochs):
        if epoch < epochs - 1:
            train(epoch, epoch * 210 + 199)
        lines += [
            "[01/01 12:00:00 fastreid.evaluation.testing]: Evaluation results in csv format: ",
            "\x1b[36m| Dataset    | Rank-1   | Rank-5   | Rank-10   | mAP   | mINP   | metric   |",
            "|:-----------|:---------|:---------|:----------|:------|:-------|:---------|",
            "| Market1501 | 94.42    | 98.10    | 98.90     | 86.06 | nan    | 90.24    |\x1b[0m",
        ]
        table = {
            "cmc_rank_1": 94.42,
            "cmc_rank_5": 98.1,
            "cmc_rank_10": 98.9,
            "mAP": 86.06,
            "mINP": math.nan,
            "metric": 90.24,
        }
        named = {f"val/{place}{name}": value for place in ("", "Market1501/") for name, value in table.items()}
        rows.append({**named, "epoch": epoch})
        train(epoch, epoch * 210 + 209)
    return Log("\n".join(lines) + "\n", rows)


def torchreid(epochs: int, special: bool) -> Log:
    lines, rows = ["=> Start training"], []
    for epoch in range(1, epochs + 1):
        loss, acc, lr = numbers(epoch, special)
        said = f"{loss:.4f}", f"{acc:.4f}", f"{lr:.6f}"
        lines.append(
            f"epoch: [{epoch}/{epochs}][{20}/{183}]\ttime {0.25:.3f} ({0.3:.3f})\tdata {0.01:.3f} ({0.02:.3f})\t"
            f"eta 1:02:03\tloss_t {said[0]} ({said[1]})\tacc {said[1]} ({said[0]})\tlr {said[2]}"
        )
        now = {"time": 0.25, "data": 0.01, "loss_t": of(said[0]), "acc": of(said[1]), "lr": of(said[2])}
        average = {"time": 0.3, "data": 0.02, "loss_t": of(said[1]), "acc": of(said[0])}
        row = {f"train/{name}": value for name, value in now.items()}
        rows.append({**row, **{f"train/{name}_avg": value for name, value in average.items()}, "epoch": epoch})
        lines += ["##### Evaluating market1501 (source) #####", "Rank-1  : 1.0%", "** Results **", f"mAP: {0.441:.1%}"]
        lines += ["CMC curve", *(f"Rank-{rank:<3}: {rank / 20:.1%}" for rank in (1, 5, 10, 20))]
        cmc = {f"val/cmc_rank_{rank}": rank * 5.0 for rank in (1, 5, 10, 20)}
        rows.append({"val/mAP": 44.1, "val/market1501/mAP": 44.1, **cmc, "epoch": epoch})
    return Log("\n".join(lines) + "\n", rows)


def maskrcnn_benchmark(epochs: int, special: bool) -> Log:
    prefix = "2026-01-01 12:00:00,123 maskrcnn_benchmark.trainer INFO: "
    lines, rows = [], []
    for epoch in range(1, epochs + 1):
        loss, other, lr = numbers(epoch, special)
        iteration = 20 * epoch
        said = f"{loss:.4f}", f"{other:.4f}", f"{lr:.6f}"
        lines.append(
            f"{prefix}eta: 1 day, 2:03:04  iter: {iteration}  loss: {said[0]} ({said[1]})  loss_mask: {said[1]} ({said[0]})  "
            f"time: {0.5:.4f} ({0.6:.4f})  lr: {said[2]}  max mem: {5120.4:.0f}"
        )
        values = {"train/loss": of(said[0]), "train/loss_mask": of(said[1]), "train/time": 0.5, "train/lr": of(said[2])}
        average = {"train/loss_avg": of(said[1]), "train/loss_mask_avg": of(said[0]), "train/time_avg": 0.6}
        rows.append({**values, **average, "train/max_mem": 5120, "iter": iteration})
        lines += [
            f"{prefix}",
            "Task: bbox",
            "AP, AP50, APs",
            "0.3779, 0.5901, -1.0000",
            "Task: segm",
            "AP, AP50",
            "0.3412, nan",
        ]
        bbox = {"val/bbox/AP": 0.3779, "val/bbox/AP50": 0.5901, "val/bbox/APs": -1.0}
        rows.append({**bbox, "val/segm/AP": 0.3412, "val/segm/AP50": math.nan, "iter": iteration})
        lines.append(
            f"{prefix}[Validation]:   eta: 1 day, 2:03:04  iter: {iteration}  loss: {9.99:.4f} ({9.87:.4f})  "
            f"loss_mask: {0.5:.4f} ({0.6:.4f})  lr: {said[2]}  max mem: {5120.4:.0f}"
        )
        validation = {"loss": 9.99, "loss_mask": 0.5, "loss_avg": 9.87, "loss_mask_avg": 0.6}
        rows.append({**{f"val/{name}": value for name, value in validation.items()}, "iter": iteration})
    return Log("\n".join(lines) + "\n", rows)


def detectron2(epochs: int, special: bool) -> Log:
    """An iteration is evaluated before its line is printed, but the last one after it."""
    prefix = "[01/01 12:00:00 d2.utils.events]: "
    lines: list[str] = []
    rows: list[dict[str, Number]] = []

    def train(epoch: int) -> None:
        loss, other, lr = numbers(epoch, special)
        iteration = 20 * epoch - 1
        said = [f"{loss:.4g}", f"{other:.4g}", f"{lr:.5g}"]
        lines.append(
            f"{prefix} eta: 0:03:04  iter: {iteration}  total_loss: {said[0]}  loss_cls: {said[1]}  "
            f"time: {0.2412:.4f}  last_time: {0.25:.4f}  data_time: {0.0012:.4f}  last_data_time: {0.001:.4f}   "
            f"lr: {said[2]}  max_mem: {2048.4:.0f}M"
        )
        values = {"train/total_loss": of(said[0]), "train/loss_cls": of(said[1]), "train/lr": of(said[2])}
        times = {"time": 0.2412, "last_time": 0.25, "data_time": 0.0012, "last_data_time": 0.001, "max_mem": 2048}
        rows.append({**values, **{f"train/{name}": value for name, value in times.items()}, "iter": iteration})

    for epoch in range(1, epochs + 1):
        if epoch == epochs:
            train(epoch)
        prefix2 = "[01/01 12:00:01 d2.evaluation.testing]: "
        for task, value in (("bbox", "37.9312,57.1400,nan"), ("segm", "34.1200,-1.0000,inf")):
            lines += [f"{prefix2}copypaste: Task: {task}", f"{prefix2}copypaste: AP,AP50,AP75"]
            lines.append(f"{prefix2}copypaste: {value}")
        bbox = {"val/bbox/AP": 37.9312, "val/bbox/AP50": 57.14, "val/bbox/AP75": math.nan}
        segm = {"val/segm/AP": 34.12, "val/segm/AP50": -1.0, "val/segm/AP75": math.inf}
        rows.append({**bbox, **segm, "iter": 20 * epoch - 1})
        if epoch < epochs:
            train(epoch)
    return Log("\n".join(lines) + "\n", rows)


def huggingface(epochs: int, special: bool) -> Log:
    lines, rows = [], []
    for epoch in range(1, epochs + 1):
        loss, _, lr = numbers(epoch, special)
        lines.append(str({"loss": loss, "grad_norm": 1.5, "learning_rate": lr, "epoch": float(epoch)}))
        rows.append({"train/loss": loss, "train/grad_norm": 1.5, "train/learning_rate": lr, "epoch": float(epoch)})
        # Newer releases print numbers as texts, and a progress bar may stand in front.
        said = {"eval_loss": f"{loss:.4g}", "eval_rougeL": "41.2", "epoch": f"{epoch:.4g}"}
        lines.append(f" 50%|#####     | {epoch}/{epochs} [00:01<00:01, 1.00it/s]\r{said}")
        rows.append({"eval/loss": of(said["eval_loss"]), "eval/rougeL": 41.2, "epoch": epoch})
    return Log("\n".join(lines) + "\n", rows)


def generic(epochs: int, special: bool) -> Log:
    prefix = "2026-01-01 12:00:00,123 my.train INFO: "
    lines, rows = [], []
    for epoch in range(1, epochs + 1):
        loss, acc, lr = numbers(epoch, special)
        said = f"{loss:.3f}", f"{acc:.3f}", f"{lr:.2e}"
        lines.append("{}Epoch {}/{} loss={}, top1: {} lr: {} (1.5s)".format(prefix, epoch, epochs, *said))
        rows.append({"epoch": epoch, "loss": of(said[0]), "top1": of(said[1]), "lr": of(said[2])})
        lines += [f"{prefix}Test accuracy: 93.1%", f"{prefix}test/loss = 0.5"]
        rows.append({"test/accuracy": 93.1, "test/loss": 0.5, "epoch": epoch})
    return Log("\n".join(lines) + "\n", rows)


LOGS: dict[str, Callable[[int, bool], Log]] = {
    "reid_strong_baseline": lambda epochs, special: baseline("reid_baseline.train", epochs, special),
    "transreid": lambda epochs, special: baseline("transreid.train", epochs, special),
    "clip_reid": clip_reid,
    "fast_reid": fast_reid,
    "torchreid": torchreid,
    "maskrcnn_benchmark": maskrcnn_benchmark,
    "detectron2": detectron2,
    "huggingface": huggingface,
    "generic": generic,
    "hydra": generic,
    "argparse": generic,
}


def sample(profile: str, lines: int, every: int = 20) -> bytes:
    """A log of about `lines` lines of which one in `every` is of the trainer's metrics and the others are chatter."""
    metric = LOGS[profile](3, False).text.splitlines()
    out = []
    for number in range(lines):
        out.append(metric[number // every % len(metric)] if number % every == 0 else CHATTER.format(number))
    return ("\n".join(out) + "\n").encode()
