"""Orders at random moments, Ctrl-Z and killed agents among them: `tests/chaos/control.py`, a short while for each storage."""

from __future__ import annotations

import pytest

from tests.chaos.control import torment
from tests.postgres import programs

ACTS, TRIALS = 24, 24


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("storage", ["embedded", "postgresql", "wandb"])
def test_orders_lose_nothing(storage: str) -> None:
    if storage == "postgresql" and programs() is None:
        pytest.skip("needs PostgreSQL")
    chaos = torment(ACTS, TRIALS, storage=storage, seed=11)
    assert not chaos.problems
    assert sum(chaos.acts.values()) >= ACTS and len(chaos.seen) >= TRIALS
