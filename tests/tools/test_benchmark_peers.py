"""Benchmarks ask other libraries' searches for points by lines of JSON."""

from __future__ import annotations

import importlib.util
import shlex
import sys
from pathlib import Path
from typing import Any

import pytest

PEERS = Path(__file__).parents[2] / "benchmarks" / "peers"
HEAD = f"import sys\nprint('a library greets')\nsys.path.insert(0, {str(PEERS)!r})\nfrom lines import evaluate, request, write\n"
ABOUT = {"parameters": {"x": {"min": 0, "max": 9}}, "trials": 3, "seed": 5}
SEARCH = """
asked = request()
print("a library prints")
value = asked["seed"]
for _ in range(asked["trials"]):
    value = evaluate({"x": value}, seed=1)
write({"point": {"x": value}})
"""


def _run(folder: Path, code: str, evaluate: Any) -> tuple[dict[str, Any], float]:
    spec = importlib.util.spec_from_file_location("run_peer_of_benchmarks", PEERS / "run.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    script = folder / "search.py"
    script.write_text(HEAD + code, encoding="utf-8")
    found: tuple[dict[str, Any], float] = module.run_peer(shlex.join([sys.executable, str(script)]), ABOUT, evaluate)
    return found


def test_each_point_is_given_its_value_and_the_last_line_comes_back(tmp_path: Path) -> None:
    points = []

    def evaluate(asked: dict[str, Any]) -> int:
        points.append((asked["point"]["x"], asked["seed"]))
        return int(asked["point"]["x"]) * 2

    last, seconds = _run(tmp_path, SEARCH, evaluate)
    assert points == [(5, 1), (10, 1), (20, 1)] and last == {"point": {"x": 40}} and seconds > 0


@pytest.mark.parametrize("code", ["request()\nevaluate({'x': 1})\n", "request()\nraise SystemExit(3)\n"])
def test_a_search_that_ends_early_is_an_error(tmp_path: Path, code: str) -> None:
    with pytest.raises(RuntimeError, match=r"after [01] trials"):
        _run(tmp_path, code, lambda asked: 0)
