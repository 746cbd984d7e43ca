"""The stage of training before the epochs: its steps and schedule, and CLIP-ReID's prompts in a whole run."""

from __future__ import annotations

import math
import shutil
from itertools import chain
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from configs.defaults import _C
from data.loading import UNREADABLE
from engine.checkpoint import load_newest, read_checkpoint
from engine.config import load_config
from engine.distributed import ProcessGroup
from engine.preparation import PreparationLoop
from modeling.model import build_model
from modeling.preparation import Preparation
from tests.engine.processes import in_all
from tests.engine.test_trainer import assert_same, messages, results, signal_at, train
from tests.modeling.tiny_clip import NAME, clip_weights

CPU = torch.device("cpu")
CLIP = [
    "MODEL.NAME",
    NAME,
    "MODEL.HEAD",
    "clip_reid",
    "SOLVER.STAGE1.MAX_EPOCHS",
    "3",
    "SOLVER.STAGE1.IMS_PER_BATCH",
    "12",
]


class Means(Preparation):
    """Learns the mean feature; remembers what it has seen."""

    def __init__(self) -> None:
        super().__init__()
        self.mean = nn.Parameter(torch.tensor([1.0, -2.0]))
        self.register_buffer("fixed", torch.ones(1))
        self.seen: list[list[int]] = []

    def encode(self, model: Any, images: Tensor) -> Tensor:
        assert not model.training
        return images.flatten(1)[:, :2]

    def loss(self, features: Tensor, pids: Tensor) -> Tensor:
        self.seen.append(pids.tolist())
        return (features - self.mean).pow(2).sum(1).mean()

    def finish(self, model: Any) -> None:
        model.result = self.mean.detach().clone()


def loop_of(images: int, **stage1: object) -> tuple[PreparationLoop, Means]:
    cfg = _C.clone()
    cfg.SOLVER.STAGE1.update(IMS_PER_BATCH=4, MAX_EPOCHS=3, **stage1)
    stage = Means()
    loop = PreparationLoop(cfg, stage, CPU, ProcessGroup())
    generator = torch.Generator().manual_seed(0)
    batches = [
        (torch.randn(len(part), 3, 2, 2, generator=generator), part, None) for part in torch.arange(images).split(5)
    ]
    batches[0][1][2] = UNREADABLE
    model = nn.Linear(1, 1)
    features, pids = loop.compute_features(model, batches, lambda: None)  # type: ignore[arg-type]
    assert model.training
    loop.keep(features, pids, [images])
    return loop, stage


def test_an_epoch_shows_each_readable_image_once_in_an_order_of_its_own() -> None:
    loop, stage = loop_of(12)
    assert (loop.per_epoch, loop.total) == (3, 9)
    for number in range(9):
        loop.step(number)
    epochs = [list(chain.from_iterable(stage.seen[start : start + 3])) for start in (0, 3, 6)]
    assert [len(batch) for batch in stage.seen[:3]] == [4, 4, 3]
    assert all(sorted(epoch) == [0, 1, *range(3, 12)] for epoch in epochs)
    assert epochs[0] != epochs[1] != epochs[2]
    assert loop.place(7) == (3, 1)


def test_steps_are_adams_with_weight_decay_in_the_gradient() -> None:
    """Kingma and Ba, ICLR 2015, algorithm 1."""
    loop, stage = loop_of(12, WEIGHT_DECAY=0.1, BASE_LR=0.05)
    mean, first, second = [1.0, -2.0], [0.0, 0.0], [0.0, 0.0]
    by_pid = {pid: feature.tolist() for pid, feature in zip(loop._pids.tolist(), loop._features, strict=True)}
    for number in range(5):
        loop.step(number)
        rate, batch = loop.rate(number // 3 + 1), stage.seen[number]
        for axis in range(2):
            gradient = sum(2 * (mean[axis] - by_pid[pid][axis]) for pid in batch) / len(batch) + 0.1 * mean[axis]
            first[axis] = 0.9 * first[axis] + 0.1 * gradient
            second[axis] = 0.999 * second[axis] + 0.001 * gradient**2
            corrected = first[axis] / (1 - 0.9 ** (number + 1)), second[axis] / (1 - 0.999 ** (number + 1))
            mean[axis] -= rate * corrected[0] / (math.sqrt(corrected[1]) + 1e-8)
    assert stage.mean.tolist() == pytest.approx(mean, rel=1e-5)


def test_the_rate_is_clip_reids() -> None:
    """Its printed rates with 120 epochs: a rise from 1e-5 by a fifth each epoch, then a cosine of 120 epochs to 1e-6."""
    loop = PreparationLoop(_C.clone(), Means(), CPU, ProcessGroup())
    assert [loop.rate(epoch) for epoch in (1, 2, 4)] == pytest.approx([7.8e-5, 1.46e-4, 2.82e-4])
    assert loop.rate(60) == pytest.approx((3.5e-4 + 1e-6) / 2)
    assert loop.rate(40) == pytest.approx(1e-6 + 3.49e-4 * 0.75)
    assert loop.rate(120) == pytest.approx(1e-6)


def test_state_continues_exactly(tmp_path: Path) -> None:
    whole, _ = loop_of(12)
    broken, _ = loop_of(12)
    for number in range(9):
        whole.step(number)
        if number == 4:  # as a checkpoint holds it
            torch.save(broken.state(), tmp_path / "state.pth")
            broken, _ = loop_of(12)
            broken.stage.mean.data.zero_()
            broken.load(torch.load(tmp_path / "state.pth", weights_only=True), 4)
        broken.step(number)
    assert_same(whole.state(), broken.state(), "state")
    assert whole.mean_loss() == broken.mean_loss()


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("clip") / "ViT.pt"
    torch.save(clip_weights(), path)
    return path


@pytest.fixture(scope="module")
def settings(weights: Path) -> list[str]:
    return [*CLIP, "MODEL.PRETRAIN_CHOICE", "imagenet", "MODEL.PRETRAIN_PATH", str(weights), "SOLVER.EMA_DECAY", "0.5"]


@pytest.fixture(scope="module")
def whole_run(small_config: Path, settings: list[str], tmp_path_factory: pytest.TempPathFactory) -> Path:
    output = tmp_path_factory.mktemp("whole")
    assert train(small_config, output, *settings, "SOLVER.KEEP_BEST", "False") == 0
    return output


def test_lines_of_the_first_stage_are_clip_reids(whole_run: Path) -> None:
    lines = messages(whole_run)
    begin = lines.index("First stage: computing the features of 32 training images")
    first, second, *_more = (line for line in lines[begin + 1 :] if not line.startswith("Checkpoint"))
    assert first.startswith("Epoch[1] Iteration[2/3] Loss: ")
    assert first.endswith(", Base Lr: 7.80e-05")
    assert second.startswith("Epoch[2] Iteration[2/3] Loss: ")
    assert any(line.startswith("Losses: softmax ") and " image_to_text " in line for line in lines)


def test_the_first_stage_trains_the_sentences_alone(
    small_config: Path, settings: list[str], weights: Path, tmp_path: Path
) -> None:
    signal_at("First stage done")
    assert train(small_config, tmp_path, *settings) == 143
    state = load_newest(tmp_path, [])
    assert state is not None
    assert state[0].name == "checkpoint_epoch_0.pth"
    assert "preparation" not in state[1]
    cfg = load_config(str(small_config), settings)
    torch.manual_seed(cfg.SOLVER.SEED)
    untrained = build_model(cfg, 8)
    model = state[1]["model"]
    for name, value in clip_weights().items():
        own = f"base.{name.removeprefix('visual.')}"
        if name.startswith("visual.") and name != "visual.positional_embedding":
            assert torch.equal(model[own], value), name
    for name, value in untrained.state_dict().items():
        if not name.startswith(("base.", "classifier_text")):
            assert torch.equal(model[name], value), name
    assert (model["classifier_text.weight"].norm(dim=1) > 0).all()
    assert torch.equal(state[1]["ema"]["weights"]["classifier_text.weight"], model["classifier_text.weight"])
    earlier = read_checkpoint(tmp_path / "checkpoint_epoch_0_iteration_9.pth")
    stage = earlier["preparation"]["stage"]
    table = clip_weights()["token_embedding.weight"]
    assert torch.equal(stage["prompt_learner.token_suffix"][0, -1], table[49407])
    assert torch.equal(stage["text_encoder.ln_final.bias"], clip_weights()["ln_final.bias"])
    assert stage["prompt_learner.cls_ctx"].std() > 0.015  # drawn with 0.02


@pytest.mark.parametrize("stop_at", [r"Epoch[2] Iteration[2/3]", "Epoch[2] Iteration[2/4]"], ids=["first", "second"])
def test_a_run_stopped_in_either_stage_resumes_exactly(
    small_config: Path, settings: list[str], whole_run: Path, tmp_path: Path, stop_at: str
) -> None:
    signal_at(stop_at)
    assert train(small_config, tmp_path, *settings, "SOLVER.KEEP_BEST", "False") == 143
    # A resumed run needs no file of CLIP's weights.
    gone = [*settings[: settings.index("MODEL.PRETRAIN_PATH")], "SOLVER.EMA_DECAY", "0.5", "SOLVER.KEEP_BEST", "False"]
    assert train(small_config, tmp_path, *gone) == 0
    if "/3]" in stop_at:
        assert any("after step 5 of the first stage" in line for line in messages(tmp_path))
    ours, theirs = load_newest(tmp_path, []), load_newest(whole_run, [])
    assert ours is not None
    assert theirs is not None
    assert results(tmp_path) == results(whole_run)
    for part in ("model", "optimizer", "ema", "progress", "rng"):
        assert_same(ours[1][part], theirs[1][part], part)


def test_a_run_from_a_checkpoint_of_its_own_takes_its_sentences(
    small_config: Path, whole_run: Path, tmp_path: Path
) -> None:
    newest = load_newest(whole_run, [])
    assert newest is not None
    shutil.copy(newest[0], tmp_path / "weights.pth")
    start = ["MODEL.PRETRAIN_CHOICE", "self", "MODEL.PRETRAIN_PATH", str(tmp_path / "weights.pth")]
    assert train(small_config, tmp_path / "out", *CLIP, *start, "SOLVER.MAX_EPOCHS", "1") == 0
    assert not any("First stage" in line for line in messages(tmp_path / "out"))
    found = load_newest(tmp_path / "out", [])
    assert found is not None
    assert torch.equal(found[1]["model"]["classifier_text.weight"], newest[1]["model"]["classifier_text.weight"])


def one_of_two(config: Path, output: Path, settings: list[str]) -> int:
    return train(config, output, *settings)


@pytest.mark.slow
def test_two_processes_learn_the_sentences_that_one_learns(
    small_config: Path, settings: list[str], tmp_path: Path
) -> None:
    low = [*settings, "SOLVER.BASE_LR", "0.00001", "INPUT.RE_PROB", "0.0"]
    assert train(small_config, tmp_path / "one", *low) == 0
    assert in_all(2, one_of_two, small_config, tmp_path / "two", low) == [0, 0]
    one, two = load_newest(tmp_path / "one", []), load_newest(tmp_path / "two", [])
    assert one is not None
    assert two is not None
    torch.testing.assert_close(
        two[1]["model"]["classifier_text.weight"], one[1]["model"]["classifier_text.weight"], rtol=1e-4, atol=1e-5
    )
    for name, value in one[1]["model"].items():
        torch.testing.assert_close(two[1]["model"][name], value, rtol=1e-3, atol=1e-3)
