"""Logs of other projects' trainers, made from their format strings, with the rows that have to be found in them.

Formats: the projects' public sources (reid-strong-baseline, TransReID, CLIP-ReID, fast-reid, deep-person-reid,
maskrcnn-benchmark, detectron2, transformers, Swin-Transformer, pycls, SlowFast, HRNet for poses, mmengine).
"""

from __future__ import annotations

import json
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
        for place, name in enumerate(("coco_2017_val", "lvis_val")):
            lines.append(f"[01/01 12:00:01 d2.engine.defaults]: Evaluation results for {name} in csv format:")
            row: dict[str, Number] = {}
            for task, values in (("bbox", [37.9312 + place, 57.14, math.nan]), ("segm", [34.12, -1.0, math.inf])):
                lines += [f"{prefix2}copypaste: Task: {task}", f"{prefix2}copypaste: AP,AP50,AP75"]
                lines.append(f"{prefix2}copypaste: {','.join(f'{value:.4f}' for value in values)}")
                for column, value in zip(("AP", "AP50", "AP75"), values, strict=True):
                    row |= {f"val/{task}/{column}": value, f"val/{name}/{task}/{column}": value}
            rows.append({**row, "iter": 20 * epoch - 1})
        if epoch < epochs:
            train(epoch)
    return Log("\n".join(lines) + "\n", rows)


def swin(epochs: int, special: bool) -> Log:
    """Swin Transformer: epochs from zero, colours, a time left that may hold a comma; Test lines are of a part."""
    prefix = "\x1b[32m[2026-01-01 12:00:00 swin_tiny]\x1b[0m\x1b[33m(main.py 222)\x1b[0m: INFO "
    lines, rows = [], []
    for epoch in range(epochs):
        loss, norm, lr = numbers(epoch, special)
        said = {"loss": f"{loss:.4f}", "grad_norm": f"{norm:.4f}", "lr": f"{lr:.6f}"}
        lines.append(
            f"{prefix}Train: [{epoch}/{epochs}][10/1251]\teta 2 days, 3:04:05 lr {said['lr']}\t wd {0.05:.4f}\t"
            f"time {0.25:.4f} ({0.3:.4f})\tloss {said['loss']} ({said['grad_norm']})\tgrad_norm {said['grad_norm']} "
            f"({said['loss']})\tloss_scale {65536.0:.4f} ({65536.0:.4f})\tmem {5012.3:.0f}MB"
        )
        now = {**{name: of(text) for name, text in said.items()}, "wd": 0.05, "time": 0.25, "loss_scale": 65536.0}
        average = {"time_avg": 0.3, "loss_avg": of(said["grad_norm"]), "grad_norm_avg": of(said["loss"])}
        rows.append({**{f"train/{name}": value for name, value in {**now, **average}.items()}, "train/mem": 5012})
        rows[-1]["epoch"] = epoch
        lines.append(f"{prefix}EPOCH {epoch} training takes 0:05:00")
        lines.append(
            f"{prefix}Test: [0/98]\tTime {0.5:.3f} ({0.5:.3f})\tLoss {6.8:.4f} ({6.8:.4f})\tAcc@1 {1.5:.3f} ({1.5:.3f})\t"
            f"Acc@5 {4.5:.3f} ({4.5:.3f})\tMem {5012:.0f}MB"
        )
        lines += [f"{prefix} * Acc@1 {81.25:.3f} Acc@5 {95.5:.3f}"]
        lines += [f"{prefix}Accuracy of the network on the 50000 test images: {81.25:.1f}%"]
        lines += [f"{prefix}Max accuracy: {81.25:.2f}%"]
        rows += [{"val/acc1": 81.25, "val/acc5": 95.5, "epoch": epoch}, {"val/acc1_max": 81.25, "epoch": epoch}]
    return Log("\n".join(lines) + "\n", rows)


def json_stats(prefix: str, values: dict[str, object]) -> str:
    """A line of pycls or SlowFast: keys in the order of their characters."""
    return f"{prefix}json_stats: {json.dumps(values, sort_keys=True)}"


def pycls(epochs: int, special: bool) -> Log:
    prefix = "[meters.py: 153]: "
    lines = [json_stats("[trainer.py: 111]: ", {"BN": {"EPS": 1e-05}, "OPTIM": {"BASE_LR": 0.1}, "_type": "cfg"})]
    rows: list[dict[str, Number]] = []
    for epoch in range(1, epochs + 1):
        loss, err, lr = numbers(epoch, special)
        at: dict[str, object] = {"epoch": f"{epoch}/{epochs}", "eta": "01,02:03:04"}
        train = {"loss": loss, "lr": lr, "mem": 5012, "time_avg": 0.25, "top1_err": err, "top5_err": 97.0}
        test = {"mem": 5012, "min_top1_err": 40.5, "min_top5_err": 20.0, "time_avg": 0.1, "time_epoch": 0.2}
        test |= {"top1_err": err, "top5_err": 21.0}
        lines += [
            json_stats(prefix, {**at, "iter": "2/4", "_type": "train_iter", "time_diff": 0.26, **train}),
            json_stats(prefix, {**at, "_type": "train_epoch", "time_epoch": 1.0, **train}),
            json_stats(prefix, {"epoch": at["epoch"], "iter": "1/2", "_type": "test_iter", "top1_err": 90.0, "mem": 1}),
            json_stats(prefix, {"epoch": at["epoch"], "_type": "test_epoch", **test}),
            json_stats(prefix, {"epoch": at["epoch"], "_type": "test_ema_epoch", **test}),
        ]
        for place, values in (
            ("train", {"time_diff": 0.26, **train}),
            ("train_epoch", {"time_epoch": 1.0, **train}),
            *(("val", test), ("val_ema", test)),
        ):
            rows.append({**{f"{place}/{name}": value for name, value in values.items()}, "epoch": epoch})
    return Log("\n".join(lines) + "\n", rows)


def slowfast(epochs: int, special: bool) -> Log:
    """SlowFast: Kinetics' lines, AVA's (epochs under another name, map), and the accuracy of the test."""
    prefix = "[01/01 12:00:00][INFO] logging.py:   99: "
    lines = [f"{prefix}{{'BN': {{'WEIGHT_DECAY': 0.0}}, 'RNG_SEED': 0}}"]
    rows: list[dict[str, Number]] = []
    memory = {"RAM": "52.10/503.77G", "gpu_mem": "10.21G"}
    for epoch in range(1, epochs + 1):
        loss, err, lr = numbers(epoch, special)
        train = {"dt": 0.5, "dt_data": 0.01, "grad_norm": 1.25, "loss": loss, "lr": lr, "top1_err": err}
        val = {"min_top1_err": 30.5, "time_diff": 0.3, "top1_err": err, "top5_err": 12.0}
        at: dict[str, object] = {"epoch": f"{epoch}/{epochs}"}
        lines += [
            json_stats(
                prefix, {**at, **train, "_type": "train_iter_", "iter": "10/99", "eta": "5:04:03", "gpu_mem": "1G"}
            ),
            json_stats(prefix, {**at, **train, **memory, "_type": "train_epoch", "eta": "1 day, 5:04:03"}),
            json_stats(prefix, {**at, "_type": "val_iter_", "iter": "1/9", "eta": "0:00:03", "top1_err": 97.5}),
            json_stats(prefix, {**at, **val, **memory, "_type": "val_epoch"}),
            json_stats(prefix, {**memory, "_type": "val_epoch", "cur_epoch": f"{epoch}", "map": 0.25, "mode": "val"}),
        ]
        for place, values in (("train", train), ("train_epoch", train), ("val", val), ("val", {"map": 0.25})):
            rows.append({**{f"{place}/{name}": value for name, value in values.items()}, "epoch": epoch})
    lines.append(json_stats(prefix, {**memory, "split": "test_final", "top1_acc": "75.43", "top5_acc": "92.10"}))
    rows.append({"test/top1_acc": 75.43, "test/top5_acc": 92.1, "epoch": epochs})
    return Log("\n".join(lines) + "\n", rows)


def hrnet(epochs: int, special: bool) -> Log:
    """HRNet for poses: epochs from zero; a table of COCO's values, then one of MPII's."""
    lines = ["Namespace(cfg='c.yaml', opts=['TRAIN.LR', '0.1'])", "=> load 149813 samples"]
    rows: list[dict[str, Number]] = []
    coco = {"AP": 0.744, "Ap .5": 0.905, "AP .75": 0.819, "AP (M)": 0.708, "AP (L)": 0.81}
    coco |= {"AR": 0.798, "AR .5": 0.942, "AR .75": 0.865, "AR (M)": 0.757, "AR (L)": 0.858}
    named = ["AP", "AP50", "AP75", "AP_M", "AP_L", "AR", "AR50", "AR75", "AR_M", "AR_L"]
    mpii = {"Head": 97.101, "Mean": 90.33, "Mean@0.1": 37.7}
    for epoch in range(epochs):
        loss, acc, _ = numbers(epoch, special)
        said = f"{loss:.5f}", f"{acc:.3f}"
        lines.append(
            f"Epoch: [{epoch}][20/1170]\tTime {2.5:.3f}s ({2.5:.3f}s)\tSpeed {51.0:.1f} samples/s\t"
            f"Data {1.2:.3f}s ({1.2:.3f}s)\tLoss {said[0]} ({said[0]})\tAccuracy {said[1]} ({said[1]})"
        )
        values = {"loss": of(said[0]), "loss_avg": of(said[0]), "acc": of(said[1]), "acc_avg": of(said[1])}
        rows.append({**{f"train/{name}": value for name, value in values.items()}, "epoch": epoch})
        lines.append(
            f"Test: [0/199]\tTime {0.5:.3f} ({0.5:.3f})\tLoss {0.1:.4f} ({0.1:.4f})\tAccuracy {0.2:.3f} ({0.2:.3f})"
        )
        for table in (coco, mpii):
            lines += ["| Arch " + " ".join(f"| {name}" for name in table) + " |", "|---" * (len(table) + 1) + "|"]
            lines += ["| pose_hrnet " + " ".join(f"| {value:.3f}" for value in table.values()) + " |"]
        rows.append({**{f"val/{name}": v for name, v in zip(named, coco.values(), strict=True)}, "epoch": epoch})
        rows.append({**{f"val/{name}": value for name, value in mpii.items()}, "epoch": epoch})
        lines.append("=> saving checkpoint to output/coco")
    return Log("\n".join(lines) + "\n", rows)


def mmengine(epochs: int, special: bool) -> Log:
    """A trainer on mmengine: epochs counted from one; of the validation, the line of its last batch has the metrics."""
    prefix = "01/01 12:00:00 - mmengine - INFO - "
    lines, rows = [f"{prefix}Checkpoints will be saved to /data/out."], []
    for epoch in range(1, epochs + 1):
        loss, other, lr = numbers(epoch, special)
        said = f"{loss:.4f}", f"{other:.4f}", f"{lr:.4e}"
        lines.append(
            f"{prefix}Epoch(train)  [{epoch}][ 50/125]  base_lr: {said[2]} lr: {said[2]}  eta: 1 day, 2:03:04  time: {0.25:.4f}  "
            f"data_time: {0.01:.4f}  memory: 5012  grad_norm: {1.5:.4f}  loss: {said[0]}  decode.loss_ce: {said[1]}"
        )
        values = {"base_lr": of(said[2]), "lr": of(said[2]), "time": 0.25, "data_time": 0.01, "memory": 5012}
        values |= {"grad_norm": 1.5, "loss": of(said[0]), "decode.loss_ce": of(said[1])}
        rows.append({**{f"train/{name}": value for name, value in values.items()}, "epoch": epoch})
        lines.append(f"{prefix}Saving checkpoint at {epoch} epochs")
        lines.append(
            f"{prefix}Epoch(val)  [{epoch}][ 50/196]    eta: 0:00:10  time: {0.1:.4f}  data_time: {0.01:.4f}  memory: 800  "
        )
        lines.append(
            f"{prefix}Epoch(val) [{epoch}][196/196]    accuracy/top1: {76.5:.4f}  accuracy/top5: {93.25:.4f}  "
            f"data_time: {0.01:.4f}  time: {0.1:.4f}"
        )
        result = {"accuracy/top1": 76.5, "accuracy/top5": 93.25, "data_time": 0.01, "time": 0.1}
        rows.append({**{f"val/{name}": value for name, value in result.items()}, "epoch": epoch})
    return Log("\n".join(lines) + "\n", rows)


def reid(epochs: int, special: bool) -> Log:
    """This project's trainer: the strong baseline's lines, without the time of an epoch; and what the network costs."""
    log = baseline("reid_baseline.train", epochs, special)
    prefix = "2026-01-01 12:00:00,123 reid_baseline.train INFO: "
    work = f"{prefix}Model: {23.512:.3f} M parameters, {4.0533:.3f} GMACs for an image of 256x128\n"
    first = (
        f"{prefix}Epoch[3] Iteration[50/202] Loss: {5.1234:.3f}, Base Lr: {2.82e-4:.2e}\n"  # of MODEL.HEAD clip_reid
    )
    time = f"{prefix}Forward pass: {12.3456:.4g} ms per image (median of 25 passes, batch 8, float32, cpu)\n"
    results = f"{prefix}Validation Results"
    train, _, *rest = log.rows
    rows: list[dict[str, Number]] = [
        {"model/params_m": 23.512, "model/gmacs": 4.053},
        {"stage1/loss": 5.123, "stage1/lr": 2.82e-4, "stage1/epoch": 3},
        train,
        {"model/ms_per_image": 12.35, "epoch": 1},
    ]
    return Log(
        work + first + log.text.replace(results, time + results, 1),
        rows + [row for row in rest if "train/time" not in row],
    )


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


@dataclass
class MetricFile:
    """A file in the trainer's folder as it is written, and every row in it."""

    path: str
    text: str
    rows: list[dict[str, Number]]


FILES = {
    "ultralytics": MetricFile(
        "train/results.csv",
        "epoch,time,train/box_loss,metrics/precision(B),metrics/mAP50-95(B),metrics/mAP50(M),val/box_loss,lr/pg0\n"
        "1,0.225988,0.06116,0.5,0.25,0.75,0.00206,0.001\n2,1.02992,0.12049,0.625,0.375,0.5,inf,0.00101\n",
        [
            {"epoch": 1, "train/time": 0.225988, "train/box_loss": 0.06116, "val/precision": 0.5}
            | {"val/mAP50-95": 0.25, "val/mAP50_M": 0.75, "val/box_loss": 0.00206, "lr/pg0": 0.001},
            {"epoch": 2, "train/time": 1.02992, "train/box_loss": 0.12049, "val/precision": 0.625}
            | {"val/mAP50-95": 0.375, "val/mAP50_M": 0.5, "val/box_loss": math.inf, "lr/pg0": 0.00101},
        ],
    ),
    "lightning_cli": MetricFile(
        "lightning_logs/version_0/metrics.csv",
        "epoch,step,train_loss,val_acc,val_loss\n0,4,0.75,,\n0,19,,0.55,0.65\n1,24,0.5,,\n",
        [
            {"epoch": 0, "step": 4, "train_loss": 0.75},
            {"epoch": 0, "step": 19, "val_acc": 0.55, "val_loss": 0.65},
            {"epoch": 1, "step": 24, "train_loss": 0.5},
        ],
    ),
}
LOGS: dict[str, Callable[[int, bool], Log]] = {
    "reid_strong_baseline": lambda epochs, special: baseline("reid_baseline.train", epochs, special),
    "transreid": lambda epochs, special: baseline("transreid.train", epochs, special),
    "clip_reid": clip_reid,
    "fast_reid": fast_reid,
    "torchreid": torchreid,
    "maskrcnn_benchmark": maskrcnn_benchmark,
    "detectron2": detectron2,
    "reid": reid,
    "solider": lambda epochs, special: baseline("transreid.train", epochs, special, "Iter", "epoch"),
    "clip_reid_baseline": lambda epochs, special: baseline("transreid.train", epochs, special),
    "swin": swin,
    "pycls": pycls,
    "slowfast": slowfast,
    "hrnet": hrnet,
    "mmengine": mmengine,
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
