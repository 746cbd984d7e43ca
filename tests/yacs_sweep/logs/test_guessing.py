"""Without any pattern: the metrics of fourteen public trainers' logs, and nothing that is no metric."""

from __future__ import annotations

import pytest

from tests.yacs_sweep.logs.public_logs import LOGS, YACS
from yacs_sweep.logs.guessing import guessed_row
from yacs_sweep.logs.parser import LogParser
from yacs_sweep.logs.patterns import LogFormat
from yacs_sweep.logs.sources import Row

GENERIC = LogFormat((), generic=True)


def parse(text: str, cut: int = 1 << 16) -> list[Row]:
    parser = LogParser(GENERIC)
    data = text.encode()
    return [row for at in range(0, len(data), cut) for row in parser.feed_chunk(data[at : at + cut])] + parser.close()


def readable(rows: list[Row]) -> list[dict[str, str]]:
    """Rows in which nan equals nan."""
    return [{key: repr(float(value)) for key, value in sorted(row.items())} for row in rows]


@pytest.mark.parametrize("cut", [1 << 16, 997, 97])
@pytest.mark.parametrize("name", LOGS)
def test_logs_of_public_trainers(name: str, cut: int) -> None:
    log = LOGS[name]
    assert readable(parse(log.text, cut)) == readable(list(log.rows))
    found = {metric.rpartition("/")[2] for row in log.rows for metric in row}
    for missed in log.missed:
        assert missed in log.text and missed not in found


@pytest.mark.parametrize("name", LOGS)
def test_line_by_line_is_the_same(name: str) -> None:
    log = LOGS[name]
    parser = LogParser(GENERIC)
    rows = [row for line in log.text.encode().splitlines(keepends=True) for row in parser.feed(line)] + parser.close()
    assert readable(rows) == readable(list(log.rows))


@pytest.mark.parametrize(
    ("line", "metrics"),
    [
        (
            "Loss 0.23 (0.40)\tAcc@1 71.0 (70.0)",
            {"Loss": 0.23, "Loss_avg": 0.4, "Acc@1": 71.0, "Acc@1_avg": 70.0},
        ),  # F11
        ("loss: 1.5351 (1.5733) lr: 2e-2", {"loss": 1.5351, "loss_avg": 1.5733, "lr": 0.02}),
        ("iter: 20 (100) loss: 0.5 (0.4)", {"iter": 20, "loss": 0.5, "loss_avg": 0.4}),  # of a total
        ("[meters.py: 153]: loss: 0.5", {"loss": 0.5}),
        ("Epoch 3 loss tensor 3", {"epoch": 3}),
        ("loss 0.5", {"loss": 0.5}),
        ("loss: 0.5 (0.4)", {"loss": 0.5}),  # one alone may be the best, or a deviation
        ("top1 acc 55.00% top5 acc 81", {"acc": 55.0}),
        ("the top 5 of rank 0, map 3, error 404, acceleration 1.5, Loss 3 of 4", {}),
        ("Val: loss=0.4, val_acc=0.9, iter: 7", {"val/loss": 0.4, "val_acc": 0.9, "iter": 7}),  # F6
        ("[Validation]:   eta: 1 day, 0:01:02  iter: 20  loss: 9.99", {"iter": 20, "val/loss": 9.99}),
        ("Epoch(val) [2][10/10]  accuracy/top1: 75.8", {"epoch": 2, "val/accuracy/top1": 75.8}),
        ("Epoch(train)  [2][ 50/100]  lr: 1e-3  loss: 0.5", {"epoch": 2, "lr": 0.001, "loss": 0.5}),
        ("Train: loss=0.4", {"loss": 0.4}),
        ("loss: 0.5 (val): ok", {"loss": 0.5}),
        ("latest: 0.5", {"latest": 0.5}),
        ("Best accuracy: 0.9 accuracy: 0.5", {"best_accuracy": 0.9, "accuracy": 0.5}),
        ("Time per epoch: 12.5", {}),
        ("epoch 1 train loss 0.6, val loss 0.9", {"epoch": 1, "train/loss": 0.6, "val/loss": 0.9}),
        (
            "Train Loss 0.5 (0.4)\tTest Loss 0.6 (0.7)",
            {"train/Loss": 0.5, "train/Loss_avg": 0.4, "test/Loss": 0.6, "test/Loss_avg": 0.7},
        ),
        ("training loss 0.5 | validation accuracy 0.9", {"train/loss": 0.5, "val/accuracy": 0.9}),
        ("val total loss: 0.9, test mean loss 0.8", {"val/loss": 0.9, "test/loss": 0.8}),
        ("train Loss: 0.5 Acc: 0.7", {"train/Loss": 0.5, "Acc": 0.7}),
        ("val Loss: 0.6 Acc: 0.8 LR: 0.1 time: 3.5", {"val/Loss": 0.6, "val/Acc": 0.8, "LR": 0.1, "time": 3.5}),
        ("loss 0.5 acc 0.7 val loss 0.6 acc 0.8", {"loss": 0.5, "acc": 0.7, "val/loss": 0.6, "val/acc": 0.8}),
        ("val loss 0.6 loss 0.5 best acc 0.9", {"val/loss": 0.6, "loss": 0.5, "best_acc": 0.9}),
        ("val loss 0.6 train loss 0.5 acc 0.7", {"val/loss": 0.6, "train/loss": 0.5, "acc": 0.7}),
        ("Best val loss 0.4", {"best_val/loss": 0.4}),
        ("train_loss 0.5 val_loss: 0.9", {"train_loss": 0.5, "val_loss": 0.9}),
        ("epoch 1 train loss 0,600; val acc 82,50 %", {"epoch": 1, "train/loss": 0.6, "val/acc": 82.5}),
        ("Loss 0,5 (0,4) Acc 71,0 (70,5)", {"Loss": 0.5, "Loss_avg": 0.4, "Acc": 71.0, "Acc_avg": 70.5}),
        ("eta: 2 days, 1:02:03", {}),
        ('{"_type": "train_epoch", "epoch": "3/100", "loss": 1.5}', {"epoch": 3, "train_epoch/loss": 1.5}),  # F10
        ('{"split": "test_final", "top1_acc": "41.2"}', {"test_final/top1_acc": 41.2}),
        (
            '{"split": "dev", "epoch": 1, "step": 5, "global_step": 9, "wer": 7.5, "time": 0.01, "elapsed_s": 3.5}',
            {"epoch": 1, "step": 5, "global_step": 9, "dev/wer": 7.5, "time": 0.01, "elapsed_s": 3.5},
        ),
        ('{"phase": "train", "step_loss": 0.5, "time_warp": 2}', {"train/step_loss": 0.5, "train/time_warp": 2}),
        ("{'lr': 0.1, 'resume': None, 'amp': True}", {}),
        ("{'loss': 0.1, 'resume': None, 'amp': True}", {"loss": 0.1}),
        ("CfgNode({'A': CfgNode({'B': C(1, D(2))}), 'LR': 0.1}) loss: 0.5", {"loss": 0.5}),
        ("| area=all | maxDets=100 ] = 0.379 @[ IoU=0.50 | maxDets=100 ]", {}),
    ],
)
def test_lines(line: str, metrics: dict[str, float]) -> None:
    if "maxDets" in line:
        metrics = {"maxDets": 100} if line.startswith("|") else metrics
    assert guessed_row(line) == metrics


@pytest.mark.parametrize("cut", [1 << 16, 40, 7])
def test_a_printed_configuration_is_no_metric_and_what_stands_around_it_is(cut: int) -> None:
    log = f"epoch: 1\nloss: 0.5\n--\n{YACS}Epoch 2\nacc: 0.7\n"
    assert parse(log, cut) == [{"loss": 0.5, "epoch": 1}, {"acc": 0.7, "epoch": 2}]


def test_a_configuration_with_pauses_between_its_lines_is_no_metric() -> None:
    parser, rows = LogParser(GENERIC), list[Row]()
    for (
        line
    ) in "lr: 0.1\nmomentum: 0.9\nepochs: 3\nname: resnet\npretrained: True\nsizes: [1, 2]\nseed: 3\n".splitlines(True):
        rows += [*parser.feed_chunk(line.encode()), *parser.flush()]
    for epoch in (1, 2):
        rows += [*parser.feed_chunk(f"epoch {epoch} loss: {1 / epoch}\n".encode()), *parser.flush()]
    assert rows == [{"loss": 1.0, "epoch": 1}, {"loss": 0.5, "epoch": 2}]


def test_results_below_one_another_without_a_counter_are_there_at_the_next_ones() -> None:
    parser, rows = LogParser(GENERIC), list[Row]()
    for value in (0.5, 0.4, 0.3):
        rows += [*parser.feed_chunk(f"loss: {value}\n".encode()), *parser.flush()]
    assert rows == [{"loss": 0.5}, {"loss": 0.4}, {"loss": 0.3}]


@pytest.mark.parametrize("cut", [1 << 16, 40, 7])
@pytest.mark.parametrize("counter", ["epoch {} ", "Epoch: {}, ", "[step {}] ", "Iteration [{}/3] "])
def test_lines_of_the_training_directly_below_a_printed_configuration_are_read(cut: int, counter: str) -> None:
    log = "lr: 0.1\nmomentum: 0.9\nepochs: 3\nname: resnet\npretrained: True\nsizes: [1, 2]\nstep: 20\n"
    log += "".join(f"{counter.format(e)}loss: {1 / e:.3f} acc: {e / 4:.2f}\n" for e in (1, 2, 3))
    found = parse(log, cut)
    assert [row["acc"] for row in found] == [0.25, 0.5, 0.75]
    assert not {"lr", "momentum", "epochs"} & set().union(*found)


@pytest.mark.parametrize(
    "results",
    [
        "Validation:\n  loss: 0.5\n  acc: 0.9\n  f1: 0.8\n  map: 0.7\n",
        "loss: 0.5\nacc: 0.9\ntime: 0:01:02\nmodel: saved/best.pt\nbest: True\nf1: 0.8\nmap: 0.7\n",
        "- loss: 0.5\n- acc: 0.9\n- f1: 0.8\n- map: 0.7\n",
    ],
)
def test_results_below_one_another_are_no_configuration(results: str) -> None:
    assert parse(results) == [{"loss": 0.5, "acc": 0.9, "f1": 0.8, "map": 0.7}]


def test_tables() -> None:
    text = "Evaluation results for segm:\n| AP | AP50 |\n|:--|:--|\n| 37.9 | 57.1 |\nno\n| AP | AP50 |\n| 1 | 2 |\n"
    assert parse(text) == [{"segm/AP": 37.9, "segm/AP50": 57.1}, {"AP": 1, "AP50": 2}]
    text = "| Datasets | mAP | # ids |\n|--|--|--|\n| Market1501 | 80.5 | 751 |\n| DukeMTMC | 70.5 | 702 |\n"
    assert parse(text) == [{"Market1501/mAP": 80.5}, {"DukeMTMC/mAP": 70.5}]
    assert parse("| subset | # ids |\n|--|--|\n| train | 751 |\n") == []
    assert parse("| class | AP | class | AP |\n|--|--|--|--|\n| a | 1 | b | 2 |\n") == []
    assert parse("Task: bbox\nAP, AP50\n0.37, nan\nloss: 1\n")[0].keys() == {"bbox/AP", "bbox/AP50"}


def test_lines_that_are_kept_back_keep_their_tables_back() -> None:
    parser = LogParser(GENERIC)
    parser.keep_back()
    assert parser.feed_chunk(b"| AP | AP50 |\n|--|--|\n| 1 | 2 |\nloss: 1\n") == []
    assert parser.kept_names() == {"AP", "AP50", "loss"}
    assert parser.release() == [{"AP": 1, "AP50": 2}, {"loss": 1}]


def test_validation_is_another_metric_on_lines_of_its_own() -> None:
    text = "epoch 1 train loss 0.6\nepoch 1 val loss 0.9\nepoch 2 train loss 0.5\nepoch 2 val loss 0.8\n"
    assert parse(text) == [
        {"train/loss": 0.6, "epoch": 1},
        {"val/loss": 0.9, "epoch": 1},
        {"train/loss": 0.5, "epoch": 2},
        {"val/loss": 0.8, "epoch": 2},
    ]
