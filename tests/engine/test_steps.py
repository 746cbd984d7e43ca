from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import nn

from engine.steps.optimizers import Accumulation, clip_gradients
from engine.steps.parallel import trains_every_parameter


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
