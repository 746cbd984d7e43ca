from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import nn

from configs.defaults import _C
from engine.distributed import ProcessGroup
from engine.learner import Learner
from engine.steps.graphs import GraphedModel, obstacle_to_graphs
from engine.steps.optimizers import Accumulation, clip_gradients
from engine.steps.parallel import trains_every_parameter
from modeling.model import build_model


def test_a_step_is_due_after_its_batches_and_at_an_epochs_end() -> None:
    accumulation = Accumulation(3)
    assert [accumulation.add(last=False) for _ in range(3)] == [False, False, True]
    assert accumulation.end_step() == 1.0
    assert accumulation.add(last=False) is False
    assert accumulation.add(last=True) is True
    assert accumulation.end_step() == 1.5  # two gradients, each divided by three
    assert accumulation.batches == 0


def test_the_gradient_of_all_parameters_together_is_shortened() -> None:
    def gradients(limit: float) -> list[float]:
        parameters = [nn.Parameter(torch.zeros(1)) for _ in range(2)]
        for parameter, gradient in zip(parameters, (3.0, 4.0), strict=True):
            parameter.grad = torch.tensor([gradient])
        clip_gradients(parameters, limit)
        return [float(parameter.grad) for parameter in parameters if parameter.grad is not None]

    assert gradients(0.0) == gradients(5.5) == [3.0, 4.0]
    assert gradients(1.0) == pytest.approx([0.6, 0.8], rel=1e-5)


@pytest.mark.parametrize(("scores", "head", "backbone"), [(True, True, True), (False, True, True), (True, True, False)])
def test_parameters_without_a_gradient_are_looked_for_where_there_are_some(
    scores: bool, head: bool, backbone: bool
) -> None:
    base = SimpleNamespace() if backbone else SimpleNamespace(trains_every_parameter=False)
    model: Any = SimpleNamespace(base=base, trains_every_parameter=head)
    assert trains_every_parameter(model, scores) is (scores and head and backbone)


CPU = torch.device("cpu")


def learner(**settings: object) -> Learner:
    cfg = _C.clone()
    cfg.MODEL.update(NAME="resnet18", PRETRAIN_CHOICE="none", **settings)
    torch.manual_seed(0)
    return Learner(cfg, build_model(cfg, 2), CPU, ProcessGroup())


@pytest.mark.parametrize(
    ("device", "processes", "settings", "obstacle"),
    [
        ("cpu", 1, {}, "the device is cpu"),
        ("cuda", 2, {}, "2 processes train together"),
        ("cuda", 1, {"MODEL.COMPILE": True}, "MODEL.COMPILE is True"),
        ("cuda", 1, {"SOLVER.ACCUMULATE": 2}, "SOLVER.ACCUMULATE is 2"),
        ("cuda:1", 1, {}, ""),
    ],
)
def test_what_keeps_a_network_from_being_captured(
    device: str, processes: int, settings: dict[str, Any], obstacle: str
) -> None:
    cfg = _C.clone()
    cfg.merge_from_list([word for pair in settings.items() for word in pair])
    group: Any = SimpleNamespace(size=processes)
    assert obstacle_to_graphs(cfg, torch.device(device), group) == obstacle


def test_a_run_that_cannot_use_graphs_says_why_once_and_trains_as_usual() -> None:
    ours = learner(CUDA_GRAPHS=True)
    assert ours.notes == ["MODEL.CUDA_GRAPHS: not used, since the device is cpu"]
    assert learner().notes == []
    assert ours.sharded._wrapped is ours.model


def test_a_captured_network_trains_as_an_uncaptured_one(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """The capture is a stand-in: passes before it, as CUDA's has, and then only batches of its shape."""
    captured: list[tuple[int, ...]] = []
    replayed: list[tuple[int, ...]] = []

    def capture(adapter: nn.Module, samples: tuple[torch.Tensor, ...], allow_unused_input: bool) -> nn.Module:
        assert allow_unused_input and adapter.training
        captured.append(tuple(samples[0].shape))
        adapter(*samples), torch.rand(1)
        adapter.register_forward_pre_hook(lambda _, inputs: replayed.append(tuple(inputs[0].shape)))
        return adapter

    monkeypatch.setattr(torch.cuda, "make_graphed_callables", capture)
    plain, ours = learner(), learner()
    graphed = GraphedModel(ours.model)
    ours.sharded._wrapped = graphed
    sizes, losses = [4, 4, 6, 4], []
    for one in (plain, ours):
        torch.manual_seed(1)
        one.start_epoch(1)
        batches = [(torch.rand(size, 3, 32, 16), torch.arange(size) % 2) for size in sizes]
        losses.append([float(one.train_batch(*batch, rate=0.01, last=True)[0]) for batch in batches])
    assert losses[0] == losses[1]
    for name, value in plain.model.state_dict().items():
        assert torch.equal(ours.model.state_dict()[name], value), name
    assert captured == [(4, 3, 32, 16)]
    assert replayed == [(4, 3, 32, 16)] * 3

    def fail(*_: object, **__: object) -> None:
        raise RuntimeError("CUDA error: operation not permitted when stream is capturing\nmore")

    monkeypatch.setattr(torch.cuda, "make_graphed_callables", fail)
    caplog.set_level("INFO")
    ours.sharded._wrapped = GraphedModel(ours.model)
    for _ in range(2):
        ours.train_batch(torch.rand(4, 3, 32, 16), torch.arange(4) % 2, rate=0.01, last=True)
    assert [record.getMessage() for record in caplog.records] == [
        "MODEL.CUDA_GRAPHS: not used, since the network cannot be captured: CUDA error: operation not permitted when stream"
        " is capturing"
    ]


def test_a_frozen_backbone_is_not_captured(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "make_graphed_callables", lambda *_, **__: pytest.fail("captured"))
    ours = learner()
    graphed = GraphedModel(ours.model)
    for parameter in ours.model.base.parameters():
        parameter.requires_grad_(False)
    ours.model.train()
    assert len(graphed(torch.rand(4, 3, 32, 16))) == 1
