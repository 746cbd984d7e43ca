"""The files that a forge reads: its workflows call targets that there are, and versions agree everywhere."""

from __future__ import annotations

import itertools
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.docs.documents import ROOT, links

WORKFLOWS = sorted((ROOT / ".github/workflows").glob("*.yml"))
PYTHONS = ["3.10", "3.11", "3.12", "3.13"]


def workflow(path: Path) -> dict[str, Any]:
    content: dict[str, Any] = yaml.safe_load(path.read_text(encoding="utf-8"))
    return content


def steps(path: Path) -> list[tuple[dict[str, Any], dict[str, Any]]]:
    """Returns each step with its job."""
    jobs = workflow(path)["jobs"].values()
    return [(job, step) for job in jobs for step in job["steps"]]


def commands(path: Path) -> list[str]:
    """Returns what the steps run, once for each value of the job's matrix."""
    found = []
    for job, step in steps(path):
        matrix: dict[str, list[str]] = job.get("strategy", {}).get("matrix", {})
        for values in itertools.product(*matrix.values()) if "run" in step else ():
            text = step["run"]
            for name, value in zip(matrix, values, strict=True):
                text = text.replace(f"${{{{ matrix.{name} }}}}", value)
            found.append(text)
    return list(dict.fromkeys(found))


RUNS = [(path.stem, command) for path in WORKFLOWS for command in commands(path)]


@pytest.mark.parametrize(("name", "command"), RUNS)
def test_a_step_runs_targets_of_the_makefile(name: str, command: str) -> None:
    words = command.split()
    assert words[0] == "make" and "$" not in command
    made = subprocess.run(["make", "-n", *words[1:]], cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)
    assert made.returncode == 0, made.stderr


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_actions_are_pinned_and_may_only_read(path: Path) -> None:
    actions = [step["uses"] for _, step in steps(path) if "uses" in step]
    assert (
        actions and [action for action in actions if not re.fullmatch(r"actions/[\w-]+@v\d+\.\d+\.\d+", action)] == []
    )
    assert workflow(path)["permissions"] == {"contents": "read"}
    assert all(job["timeout-minutes"] for job, _ in steps(path))


def test_tests_run_on_every_python_and_beside_the_oldest_and_newest_client() -> None:
    jobs = workflow(ROOT / ".github/workflows/check.yml")["jobs"]
    assert jobs["test"]["strategy"]["matrix"]["python"] == PYTHONS
    clients = re.search(r"^CLIENTS := (.*)$", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert clients is not None
    oldest, *_, newest = clients[1].split()
    assert jobs["clients"]["strategy"]["matrix"]["client"] == [oldest, newest]
    (setup,) = [step for step in jobs["wheel"]["steps"] if "setup-python" in step.get("uses", "")]
    assert setup["with"]["python-version"].split() == PYTHONS
    project = (ROOT / "pyproject.toml").read_text()
    assert f'requires-python = ">={PYTHONS[0]}"' in project and f'"wandb>={oldest}"' in project


def test_versions_agree() -> None:
    version = re.search(r'^version = "(.*)"$', (ROOT / "pyproject.toml").read_text(), re.MULTILINE)
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    newest = re.search(r"^## (\S+) – (\S+)$", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)
    assert version is not None and newest is not None
    assert citation["version"] == version[1] == newest[1]
    assert str(citation["date-released"]) == newest[2]
    holder = re.search(r"Copyright \(c\) \d+ (.*)", (ROOT / "LICENSE").read_text())
    assert holder is not None and [author["name"] for author in citation["authors"]] == [holder[1]]


@pytest.mark.parametrize("path", sorted((ROOT / ".github").rglob("*.yml")), ids=lambda path: path.name)
def test_forms_name_files_that_are_there(path: Path) -> None:
    named = re.findall(r"(?<![\w/])(?:docs/[\w/.-]+\.md|[A-Z]+\.md|tools/\w+\.py)", path.read_text(encoding="utf-8"))
    assert [name for name in named if not (ROOT / name).is_file()] == []


def test_a_bug_report_asks_for_version_check_and_trial() -> None:
    form = yaml.safe_load((ROOT / ".github/ISSUE_TEMPLATE/bug.yml").read_text())
    required = {part.get("id"): part.get("validations", {}).get("required", False) for part in form["body"]}
    assert required == {None: False, "what": True, "version": True, "check": True, "trial": False, "files": False}


def test_the_changelog_has_every_version_newest_first_and_links_to_documents() -> None:
    text = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    versions = [tuple(map(int, found.split("."))) for found in re.findall(r"^## (\S+) – ", text, re.MULTILINE)]
    assert versions == sorted(versions, reverse=True) and versions[-1] == (0, 1, 0)
    kinds = re.findall(r"^### (.*)$", text, re.MULTILINE)
    assert set(kinds) <= {"Added", "Changed", "Deprecated", "Removed", "Fixed", "Security"}
    assert sum(link.startswith("docs/") for link in links(ROOT / "CHANGELOG.md")) > 10
