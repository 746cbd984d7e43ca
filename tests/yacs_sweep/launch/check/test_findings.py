"""The lines and the JSON of `--check`, and its exit status."""

from __future__ import annotations

import json

import pytest

from yacs_sweep.launch.check.findings import Findings


def example() -> Findings:
    findings = Findings()
    findings.ok("launcher", "Python 3.11.2")
    findings.warn(
        "data", "DATA.ROOT: there is no ../data in /home/alice/trainers/transreid", advice="correct the path, " * 4
    )
    return findings


def test_lines_fit_the_terminal_and_end_with_the_command() -> None:
    text = example().as_text(
        "yacs-sweep --trainer mine --config_file configs/a/long/name.yml --sweep-config s.yaml", 79
    )
    assert max(map(len, text.splitlines())) <= 79
    assert text.splitlines()[:3] == [
        "ok       launcher: Python 3.11.2",
        "warning  data: DATA.ROOT: there is no ../data in /home/alice/trainers/transreid",
        "         → correct the path, correct the path, correct the path, correct the",
    ]
    assert text.splitlines()[-3:-1] == [
        "ready, with 1 warning:",
        "  yacs-sweep --trainer mine --config_file configs/a/long/name.yml \\",
    ]


def test_a_problem_counts_and_the_command_is_not_named() -> None:
    findings = example()
    assert findings.exit_status == 0
    findings.problem("disk", "full", advice="free some")
    assert findings.exit_status == 2
    last = findings.as_text("yacs-sweep").splitlines()[-1]
    assert last == "1 problem and 1 warning: mend what the lines say, then check once more"


def test_json_says_the_same() -> None:
    findings = example()
    told = json.loads(findings.as_json("yacs-sweep"))
    assert (told["ready"], told["problems"], told["warnings"], told["command"]) == (True, 0, 1, "yacs-sweep")
    assert told["findings"][0] == {"level": "ok", "subject": "launcher", "text": "Python 3.11.2", "advice": ""}
    findings.problem("disk", "full")
    assert json.loads(findings.as_json("yacs-sweep"))["ready"] is False


@pytest.mark.parametrize(("line", "count"), [("x lacks yacs; pip", 1), ("trainer t: x lacks yacs; pip", 1), ("y", 2)])
def test_what_was_said_is_not_said_again(line: str, count: int) -> None:
    findings = Findings()
    findings.problem("program", "x lacks yacs", advice="pip")
    findings.add_problems("sweep", [line, line])
    assert len(findings.found) == count


@pytest.mark.parametrize(("line", "count"), [("A.ROOT: there is no x", 1), ("B.ROOT: there is no x", 2)])
def test_a_warning_that_was_given_is_not_given_again(line: str, count: int) -> None:
    findings = Findings()
    findings.ok("disk", "x")
    findings.warn("data", "A.ROOT: there is no x", advice="correct it")
    findings.add_warnings("sweep", [line])
    assert len(findings.found) == count + 1
