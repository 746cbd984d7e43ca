"""The container's files name what is there: the Dockerfile, what it may copy, and the editor's description."""

from __future__ import annotations

import fnmatch
import json
import re
import subprocess
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
DOCKERFILE = (ROOT / "Dockerfile").read_text(encoding="utf-8")
STAGES = re.findall(r"^FROM (\S+) AS (\w+)$", DOCKERFILE, re.MULTILINE)
IGNORED = [line for line in (ROOT / ".dockerignore").read_text("utf-8").splitlines() if line and line[0] != "#"]


def sent(path: str) -> bool:
    """Tells whether a file is sent to the build: the last pattern that matches it, or a folder it is in, decides."""
    parents = [path, *(str(parent) for parent in Path(path).parents)]
    found = True
    for pattern in IGNORED:
        plain = pattern.lstrip("!")
        anywhere = plain.removeprefix("**/")
        if any(
            fnmatch.fnmatchcase(each, anywhere) or (anywhere != plain and each.endswith(f"/{anywhere}"))
            for each in parents
        ):
            found = pattern.startswith("!")
    return found


def test_what_runs_is_sent_and_nothing_private() -> None:
    for path in ("tools/sweep.py", "yacs_sweep/api.py", "data/datasets/persons/viper.py", "configs/smoke.yml"):
        assert (ROOT / path).exists() and sent(path), path
    for path in (".git/config", ".venv/bin/python", "log/a", "datasets/b.jpg", "wandb/c", ".env", "tests/browser.py"):
        assert not sent(path), path
    assert not sent("yacs_sweep/__pycache__/api.cpython-311.pyc")


def test_all_packages_of_the_trainer_and_the_launcher_are_sent() -> None:
    """Whatever a module imports from the checkout is in the image."""
    known = subprocess.run(
        ["git", "ls-files", "*.py"], cwd=ROOT, capture_output=True, check=True, text=True
    ).stdout.split()
    modules = [ROOT / name for name in known if sent(name)]
    assert len(modules) > 400
    inside = {path.relative_to(ROOT).parts[0] for path in modules}
    imported = {
        name
        for path in modules
        for name in re.findall(r"^ *(?:from|import) (\w+)[. ]", path.read_text(encoding="utf-8"), re.MULTILINE)
        if (ROOT / name).is_dir()
    }
    assert imported <= inside


def test_what_is_copied_exists_and_is_sent() -> None:
    copied = [
        word for line in re.findall(r"^COPY (?!--from)(.*)$", DOCKERFILE, re.MULTILINE) for word in line.split()[:-1]
    ]
    assert copied
    assert [name for name in copied if not (ROOT / name).exists() or (name != "." and not sent(name))] == []


def test_stages_follow_each_other_and_end_without_rights() -> None:
    made = {"debian:bookworm-slim"}
    for base, name in STAGES:
        assert base in made, base
        made.add(name)
    last = DOCKERFILE.rpartition("FROM ")[2]
    assert re.search(r"^USER [1-9]\d*$", last, re.MULTILINE)
    entry = json.loads(re.findall(r"^ENTRYPOINT (.*)$", last, re.MULTILINE)[0])
    assert entry[0] == "python" and (ROOT / entry[1]).exists()


def test_the_editor_builds_a_stage_that_is_there() -> None:
    folder = ROOT / ".devcontainer"
    description = json.loads((folder / "devcontainer.json").read_text(encoding="utf-8"))
    build = description["build"]
    assert (folder / build["dockerfile"]).resolve() == ROOT / "Dockerfile"
    assert (folder / build["context"]).resolve() == ROOT
    assert build["target"] in {name for _, name in STAGES}
    assert re.search(rf"^RUN useradd .*\b{description['remoteUser']}\b", DOCKERFILE, re.MULTILINE)
    command = description["postCreateCommand"].split()
    assert command[0] == "make"
    assert re.search(rf"^{command[1]}:", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)
