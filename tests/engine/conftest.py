from __future__ import annotations

from pathlib import Path

import pytest

from tests.engine.small_run import write_config


@pytest.fixture(scope="session")
def small_config(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_config(tmp_path_factory.mktemp("small"))
