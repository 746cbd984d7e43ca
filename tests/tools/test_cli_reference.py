from __future__ import annotations

import argparse
import runpy
from pathlib import Path

ROOT = Path(__file__).parents[2]
TOOL = runpy.run_path(str(ROOT / "tools" / "cli_reference.py"))


def test_the_document_is_up_to_date() -> None:
    assert TOOL["main"](["--check"]) == 0


def test_every_tool_is_in_it_and_every_option_is_explained() -> None:
    parsers = TOOL["parsers"]()
    assert set(parsers) == {f"tools/{path.name}" for path in (ROOT / "tools").glob("*.py")}
    text = TOOL["reference"]()
    for path, parser in parsers.items():
        section = text.partition(f"## {path}\n")[2].partition("\n## ")[0]
        for action in parser._actions:
            if not isinstance(action, argparse._HelpAction):
                assert action.help, f"{path}: {action.dest}"
                assert all(f"`{name}`" in section for name in action.option_strings[:1])
    assert "| `--keep` | `best\\|top-N\\|all\\|none` |" in text


def test_a_check_says_what_to_do(tmp_path: Path, capsys) -> None:  # type: ignore[no-untyped-def]
    TOOL["main"].__globals__["DOCUMENT"] = tmp_path / "cli.md"
    assert TOOL["main"](["--check"]) == 1
    assert "run tools/cli_reference.py" in capsys.readouterr().err
    assert TOOL["main"]([]) == 0 and TOOL["main"](["--check"]) == 0
