"""The process that runs a mutant's tests: what it answers, and that each run reads the module again."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

SERVER = Path(__file__).with_name("serve_tests.py")
Ask = Callable[[str], dict[str, Any]]


@pytest.fixture
def ask(tmp_path: Path) -> Iterator[Ask]:
    """Runs test_it.py against a module whose text is given."""
    (tmp_path / "test_it.py").write_text("from decides import double\n\ndef test_it():\n    assert double(2) == 4\n")
    with subprocess.Popen(
        [sys.executable, SERVER, "decimal"], cwd=tmp_path, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as server:
        assert server.stdin is not None and server.stdout is not None
        stdin, stdout = server.stdin, server.stdout

        def run(source: str) -> dict[str, Any]:
            (tmp_path / "decides.py").write_text(source)
            print(json.dumps({"tests": ["test_it.py"], "seconds": 2}), file=stdin, flush=True)
            answer: dict[str, Any] = json.loads(stdout.readline())
            return answer

        yield run
        stdin.close()


def test_each_run_reads_the_module_again(ask: Ask) -> None:
    good = ask("def double(n):\n    return n + n\n")
    assert good["status"] == 0 and "1 passed" in good["tail"]
    bad = ask("def double(n):\n    return n - n\n")
    assert bad["status"] == 1 and "1 failed" in bad["tail"]
    assert ask("def double(n):\n    return n * 2\n")["status"] == 0
    assert ask("raise ValueError\n")["status"] not in (0, None)


def test_a_module_that_never_ends_is_ended(ask: Ask) -> None:
    late = ask("def double(n):\n    while True:\n        n += 1\n")
    assert late["status"] is None and late["seconds"] >= 1.5
    assert ask("def double(n):\n    return 2 * n\n")["status"] == 0
