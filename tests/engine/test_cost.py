"""What a network costs: the counts against hand-written formulas, and training that is the same without the measurement."""

from __future__ import annotations

import random
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torchvision.models import resnet50

import engine
from engine import trainer as training
from engine.checkpoint import load_newest
from engine.config import load_config
from engine.cost import MOST, Cost, measure_time, measure_work
from modeling.model import ReIDModel, build_model
from tests.engine.test_trainer import assert_same, messages, results, train
from utils.errors import Stopped

CPU = torch.device("cpu")
SMALL = (32, 16)


def network(name: str = "resnet18", **settings: object) -> ReIDModel:
    words = [str(word) for key, value in settings.items() for word in (key.replace("_", ".", 1), value)]
    return build_model(load_config("configs/smoke.yml", ["MODEL.NAME", name, *words]), 10)


def resnet50_macs(height: int, width: int, last_stride: int) -> int:
    """MACs of ResNet-50's convolutions, from the table of He et al. (2016): kernel area, channels, places."""
    places = height // 2 * (width // 2)
    total = 7 * 7 * 3 * 64 * places  # conv1, then a pooling of stride 2
    places //= 4
    channels = 64
    for width_of_stage, depth, stride in ((64, 3, 1), (128, 4, 2), (256, 6, 2), (512, 3, last_stride)):
        for block in range(depth):
            after = places // stride**2 if block == 0 else places
            total += channels * width_of_stage * places  # 1x1, before the stride of the 3x3
            total += 9 * width_of_stage**2 * after
            total += width_of_stage * 4 * width_of_stage * after
            if block == 0:
                total += channels * 4 * width_of_stage * after  # shortcut
            places, channels = after, 4 * width_of_stage
    return total


@pytest.mark.parametrize(("last_stride", "billions"), [(1, 4.053), (2, 2.669)])
def test_macs_of_resnet50_are_those_of_the_papers_table(last_stride: int, billions: float) -> None:
    cost = measure_work(network("resnet50", MODEL_LAST_STRIDE=last_stride), (256, 128))
    assert cost.metrics["model/gmacs"] == resnet50_macs(256, 128, last_stride) / 1e9
    assert cost.metrics["model/gmacs"] == pytest.approx(billions, abs=5e-4)
    whole = resnet50()
    parameters = sum(p.numel() for p in whole.parameters()) - sum(p.numel() for p in whole.fc.parameters())
    assert cost.metrics["model/params_m"] == (parameters + 2 * 2048) / 1e6  # the neck's scale and shift
    assert cost.line == f"Model: 23.512 M parameters, {billions} GMACs for an image of 256x128"


def hooked_macs(model: nn.Module, images: Tensor) -> int:
    """MACs of one real pass, counted by hooks on the layers that multiply: an independent count."""
    counts: list[int] = []

    def count(module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        if isinstance(module, nn.Conv2d):
            kernel = module.kernel_size[0] * module.kernel_size[1]
            counts.append(output.numel() * module.in_channels // module.groups * kernel)
        elif isinstance(module, nn.Linear):
            counts.append(output.numel() * module.in_features)

    handles = [module.register_forward_hook(count) for module in model.modules()]
    with torch.inference_mode():
        model.eval()(images)
    for handle in handles:
        handle.remove()
    return sum(counts)


@pytest.mark.parametrize("name", ["resnet18", "resnet50_ibn_a", "se_resnext50", "mobilenet_v2"])
def test_macs_are_those_that_hooks_count_in_a_real_pass(name: str) -> None:
    model = network(name)
    assert measure_work(model, SMALL).metrics["model/gmacs"] * 1e9 == pytest.approx(
        hooked_macs(model, torch.zeros(1, 3, *SMALL)), abs=0.5
    )


def test_macs_of_a_transformer_have_those_of_attention() -> None:
    pytest.importorskip("timm")
    model = network("timm/vit_tiny_patch16_224", INPUT_SIZE_TRAIN=(32, 32), INPUT_SIZE_TEST=(32, 32))
    tokens, channels, blocks = 5, 192, 12  # 2 x 2 patches and the class token
    attention = blocks * 2 * tokens * tokens * channels  # each token's weights, and the weighted sums
    assert measure_work(model, (32, 32)).metrics["model/gmacs"] * 1e9 == pytest.approx(
        hooked_macs(model, torch.zeros(1, 3, 32, 32)) + attention, abs=0.5
    )


@pytest.mark.parametrize(
    "settings",
    [
        {"MODEL_PRECISION": "bf16"},
        {"MODEL_POOLING": "gem", "MODEL_ID_LOSS_TYPE": "cosface"},
        {"TEST_NECK_FEAT": "before"},
    ],
)
def test_macs_depend_on_the_backbone_alone(settings: dict[str, str]) -> None:
    plain, other = measure_work(network(), SMALL), measure_work(network("resnet18", **settings), SMALL)
    assert plain.metrics["model/gmacs"] == other.metrics["model/gmacs"] > 0


def everything_that_must_stay(model: ReIDModel) -> list[object]:
    flags = (
        torch.backends.cudnn.benchmark,
        torch.backends.cudnn.deterministic,
        torch.are_deterministic_algorithms_enabled(),
    )
    return [
        {name: tensor.clone() for name, tensor in model.state_dict().items()},
        [module.training for module in model.modules()],
        [parameter.requires_grad for parameter in model.parameters()],
        [parameter.device for parameter in model.parameters()],
        torch.get_rng_state(),
        random.getstate(),
        np.random.get_state()[1].tolist(),  # type: ignore[union-attr]
        *flags,
    ]


@pytest.mark.parametrize("measure", [lambda model: measure_work(model, SMALL), lambda model: time_of(model)])
def test_a_measurement_changes_nothing(measure: Callable[[ReIDModel], Cost]) -> None:
    model = network().train()
    model.base.eval()  # as in an epoch with a frozen backbone
    next(model.base.parameters()).requires_grad_(False)
    before = everything_that_must_stay(model)
    assert measure(model).metrics
    after = everything_that_must_stay(model)
    for place, (a, b) in enumerate(zip(before, after, strict=True)):
        assert_same(a, b, str(place))


def time_of(model: ReIDModel, **options: object) -> Cost:
    return measure_time(model, SMALL, **{"batch": 8, "device": CPU, **options})  # type: ignore[arg-type]


def test_time_is_the_median_pass_by_image(monkeypatch: pytest.MonkeyPatch) -> None:
    seconds = iter([9.0, 0.2, 0.1, 0.4])  # the first is not timed
    monkeypatch.setattr("engine.cost._timed_pass", lambda model, images: next(seconds))
    cost = time_of(network())
    assert cost.metrics == {"model/ms_per_image": pytest.approx(1e3 * 0.2 / 4)}
    assert cost.line == "Forward pass: 50 ms per image (median of 3 passes, batch 4, float32, cpu)"


def test_short_passes_are_repeated_and_a_small_batch_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    batches: list[int] = []

    def timed(model: nn.Module, images: Tensor) -> float:
        batches.append(len(images))
        return 0.001

    monkeypatch.setattr("engine.cost._timed_pass", timed)
    assert time_of(network(), batch=1).line == (
        f"Forward pass: 1 ms per image (median of {MOST} passes, batch 1, float32, cpu)"
    )
    assert batches == [1] * (MOST + 1)


def test_a_stop_ends_the_timing(monkeypatch: pytest.MonkeyPatch) -> None:
    def stop() -> None:
        raise Stopped(15)

    with pytest.raises(Stopped):
        time_of(network(), check_stop=stop)


def test_what_cannot_be_measured_is_told_and_ends_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    class Asks(nn.Module):
        def forward(self, images: Tensor) -> Tensor:
            return images.mean((2, 3)).repeat(1, 4)[:, : int(images.shape[1]) + int(images.sum().item() * 0)]

    model = network()
    millions = sum(p.numel() for p in model.bottleneck.parameters()) / 1e6  # type: ignore[union-attr]
    model.base = Asks()
    cost = measure_work(model, SMALL)
    assert cost.metrics == {"model/params_m": millions}
    assert re.match(r"Model: 0\.001 M parameters; MACs could not be counted: \S", cost.line), cost.line

    def fail(model: nn.Module, images: Tensor) -> float:
        raise torch.OutOfMemoryError("CUDA out of memory.\nmore")

    monkeypatch.setattr("engine.cost._timed_pass", fail)
    assert time_of(network()) == Cost("The time of a forward pass could not be measured: CUDA out of memory.")


@pytest.mark.slow
def test_training_is_the_same_bit_by_bit_without_the_measurements(
    small_config: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = ["SOLVER.EMA_DECAY", "0.9", "SOLVER.FREEZE_EPOCHS", "1", "SOLVER.LOG_PERIOD", "1"]
    losses: dict[str, list[float]] = {}
    means = training.RunningMeans.add

    def keep(self: training.RunningMeans, loss: Tensor, scores: Tensor, pids: Tensor) -> None:
        losses[place].append(float(loss))
        means(self, loss, scores, pids)

    monkeypatch.setattr(training.RunningMeans, "add", keep)
    for place in ("with", "without"):
        losses[place] = []
        if place == "without":
            monkeypatch.setattr(training, "measure_work", lambda *args, **options: Cost("-"))
            monkeypatch.setattr(training, "measure_time", lambda *args, **options: Cost("-"))
        assert train(small_config, tmp_path / place, *words) == 0
    assert len(losses["with"]) == 8 and losses["with"] == losses["without"]
    assert results(tmp_path / "with") == results(tmp_path / "without")
    ours, theirs = load_newest(tmp_path / "with", []), load_newest(tmp_path / "without", [])
    assert ours and theirs
    for part in ("model", "optimizer", "ema", "rng", "means"):
        assert_same(ours[1][part], theirs[1][part], part)


def test_a_run_prints_each_cost_once_the_time_before_its_first_results(small_config: Path, tmp_path: Path) -> None:
    assert train(small_config, tmp_path) == 0
    lines = messages(tmp_path)
    model = [place for place, line in enumerate(lines) if line.startswith("Model: 11.178 M parameters, 0.031 GMACs")]
    forward = [place for place, line in enumerate(lines) if re.match(r"Forward pass: [\d.]+ ms per image \(", line)]
    first = [place for place, line in enumerate(lines) if line.startswith("Epoch[1]")]
    assert len(model) == len(forward) == 1
    assert model[0] < first[0] < forward[0]
    assert lines[forward[0] + 1] == "Validation Results - Epoch: 1"


def test_the_recorder_has_the_costs(small_config: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rows: list[dict[str, float]] = []
    monkeypatch.setattr("utils.wandb_run.Recorder.log", lambda self, row: rows.append(dict(row)))
    cfg = load_config(str(small_config), ["SOLVER.MAX_EPOCHS", "1", "OUTPUT_DIR", str(tmp_path)])
    assert engine.train(cfg) == 0
    assert list(rows[0]) == ["model/params_m", "model/gmacs"]
    assert [list(row) for row in rows if "model/ms_per_image" in row] == [["model/ms_per_image"]]
