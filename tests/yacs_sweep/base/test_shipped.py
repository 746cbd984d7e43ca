"""Optional packages: what a message says to install is what pyproject.toml has for the extra."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from yacs_sweep.base.shipped import EXTRAS, install_command

ROOT = Path(__file__).resolve().parents[3]


@pytest.mark.parametrize("extra", EXTRAS)
def test_an_extra_is_what_the_package_declares(extra: str) -> None:
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    section = text.partition("[project.optional-dependencies]")[2].partition("\n[")[0]
    declared = re.search(rf"^{extra} = \[(.*?)\]  ", section, re.MULTILINE)
    assert declared is not None
    assert tuple(re.findall('"([^"]+)"', declared[1])) == EXTRAS[extra]


def test_the_command_can_be_pasted_into_a_shell() -> None:
    assert install_command("web") == "pip install 'starlette>=0.40' 'uvicorn>=0.30'"
    assert install_command("tensorboard") == "pip install tensorboard"


def test_no_message_names_an_index() -> None:
    for path in (ROOT / "yacs_sweep").rglob("*.py"):
        assert "yacs-sweep[" not in path.read_text(encoding="utf-8"), path
