"""The web hook that notifications are posted to."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.yacs_sweep.launch.notify.hook import Server, listening


@pytest.fixture
def server() -> Iterator[Server]:
    with listening() as found:
        yield found
