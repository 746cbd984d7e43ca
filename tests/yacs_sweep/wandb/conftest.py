"""The loopback server of tests whose own process is W&B's client."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.wandb_server import WandbServer, start_server
from tests.wandb_server.launching import environment
from yacs_sweep.wandb.client import end_service


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[WandbServer]:
    """A server that this process is logged in to."""
    with start_server() as server:
        for name, value in environment(server, tmp_path).items():
            if os.environ.get(name) != value:
                monkeypatch.setenv(name, value)
        yield server
        end_service(1.0)  # of clients in this process: it knows this server
