"""Every command of the documents runs: in a copy of the checkout, as it stands or in the variant named here.

A command that is new in a document is run as it stands, so one that cannot be is noticed; it then gets a variant, with its
reason. Variants that no document needs any more are noticed as well.
"""

from __future__ import annotations

import argparse
import ast
import re
import runpy
import shlex
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from tests.docs.checkout import TOY, Checkout
from tests.docs.documents import DOCUMENTS, ROOT, TRANSLATED, Command, commands, inline_commands
from yacs_sweep.records.folder import SweepPaths

OPTIONS: dict[str, Any] = runpy.run_path(str(ROOT / "tools" / "cli_reference.py"))
CARRIED = re.compile(r"(export|cd|source) ")  # what these do lasts for the rest of the document


@dataclass(frozen=True)
class Variant:
    """What is done with the commands in which `where` is found: `becomes` (of re.sub); without it, only parsed."""

    where: str
    reason: str
    becomes: str | None = None

    def found(self, command: str) -> bool:
        return re.search(self.where, command) is not None


VARIANTS = (  # in this order
    Variant(
        r"^\(cd examples/(lightning|huggingface) ",
        "wants these libraries; `make test-examples` installs them and runs it",
    ),
    Variant(r"^\(cd examples/.*k3v9x2ab", "wants the sweep of the command above it; tests/examples has it"),
    Variant(
        r"^(\(cd examples/.* yacs-sweep) (?=.*--sweep-config)",
        "tests/examples runs it, and looks at what it finds",
        r"\1 --dry-run ",
    ),
    Variant(r" …(?!.*--sweep-config)", "any sweep", " --config_file configs/smoke.yml --sweep-config sweep_test"),
    Variant(r" …(?=.*--sweep-config)", "any configuration", " --config_file configs/smoke.yml"),
    Variant(r"^make ", "would run this suite in itself, for hours", "make -n "),
    Variant(r"^docker ", "wants a daemon; tests/tools/test_container.py reads the Dockerfile"),
    Variant(r"^\./test_sweep\.sh$", "minutes; the slow test runs it as it stands", "./test_sweep.sh --dry-run"),
    Variant(
        r"^(python tools/sweep\.py .*configs/(?:baseline|\w+/\w+)\.yml.*)(?<!--dry-run)$",
        "the data set is not here, and training takes hours",
        r"\1 --dry-run",
    ),
    Variant(r"^python tools/(train|test)\.py .*best\.yml", "wants what real training left; the slow test has it"),
    Variant(
        r"^(python tools/sweep\.py .*)--config_file configs/smoke\.yml",
        "minutes; the slow test trains the real one",
        rf"\1{TOY}",
    ),
    Variant(r"INPUT\.RE_PROB: ", "the toy trainer sees no images", "TOY.NOISE: "),
    Variant(r"count: 24 ", "six tell as much", "count: 6 "),
    Variant(r"(--sweep-config sweeps/mine\.yaml)$", "ten trials; two tell as much", r"\1 --count 2"),
    Variant(r"notify-send", "wants a desktop", "echo"),
    Variant(r"(--notify (https:|'\$).*)$", "would be posted there", r"\1 --dry-run"),
    Variant(r"MAX_EPOCHS 240$", "more than the toy trainer needs", "MAX_EPOCHS 3"),
    Variant(r"val/mAP >= 80, min ms", "the toy trainer has its own metrics", "val/mAP > 1, min duration"),
    Variant(r"--compare .*p7c2m1qd", "wants a second sweep; tests/yacs_sweep/show/query/test_two.py has some"),
    Variant(r"--serve", "serves until Ctrl-C; tests/yacs_sweep/serve asks it"),
    Variant(r"--gpus|CUDA_VISIBLE_DEVICES=", "wants these GPUs; test_worker.py has some that are not real"),
    Variant(
        r"--(set-workers|set-gpus|stop-trial|add-points) ",
        "wants a launch that runs; tests/yacs_sweep/launch/control has one",
    ),
    Variant(r"postgresql://", "wants a server and its password; tests/yacs_sweep/whole/test_postgres.py runs one"),
    Variant(r"ENTITY/PROJECT/ID|team/project/", "wants a W&B login; tests/wandb_server is one, in the W&B tests"),
    Variant(
        r"^(python tools/train\.py --config_file configs/smoke\.yml)$",
        "a third of it is as good to the commands below",
        r"\1 SOLVER.MAX_EPOCHS 1",
    ),
    Variant(r"^python tools/export\.py .*smoke\.yml", "seconds; tests/tools/test_export.py exports"),
    Variant(
        r"^(python|torchrun \S+ \d+) tools/(train|test|extract|export|convert)\.py .*(baseline\.yml|configs/\w+/\w+\.yml)",
        "wants a data set; tests/tools trains and tests",
    ),
    Variant(
        r"[A-Z_.]+ my_(loss|head|solver)\.py:", "wants the file above it; tests/docs/test_own_parts.py trains with each"
    ),
    Variant(
        r"^pip (un)?install ",
        "would change the environment the tests run in; tests/yacs_sweep/whole/test_install.py installs",
    ),
)


def variant_of(command: str) -> tuple[str | None, list[Variant]]:
    """What is run in its place (None: it is only parsed), and the variants that say so."""
    applied = []
    for variant in VARIANTS:
        if variant.found(command):
            applied.append(variant)
            if variant.becomes is None:
                return None, applied
            command = re.sub(variant.where, variant.becomes, command)
    return command, applied


# Translations have the commands of what they translate (test_documents.py), which are run once.
EVERY = [command for document in DOCUMENTS if document not in TRANSLATED for command in commands(document)]
INLINE = [command for document in DOCUMENTS for command in inline_commands(document)]


def place(command: Command) -> str:
    return command.place


@pytest.fixture(scope="module")
def checkouts(tmp_path_factory: pytest.TempPathFactory) -> Callable[[Path], Checkout]:
    """A copy of the checkout for each document, which its commands share in their order."""

    @cache
    def of(document: Path) -> Checkout:
        checkout = Checkout.make(tmp_path_factory.mktemp(document.stem))
        if document.name == "trainers.md":
            checkout.project()
        checkout.write_files(document)
        return checkout

    return of


@pytest.mark.parametrize("command", EVERY, ids=place)
def test_command_of_a_block(command: Command, checkouts: Callable[[Path], Checkout]) -> None:
    text, _ = variant_of(command.text)
    if text is None:
        parse(command.text)
        return
    checkout = checkouts(command.document)
    done = checkout.run(text)
    assert done.returncode == 0, f"{command.place}: {text}\n{done.stdout[-2000:]}\n{done.stderr[-2000:]}"
    if CARRIED.match(text):
        checkout.before.append(text)


@pytest.mark.parametrize("command", INLINE, ids=place)
def test_command_in_a_line(command: Command) -> None:
    parse(command.text)


def test_every_variant_is_needed() -> None:
    used = {variant for command in EVERY for variant in variant_of(command.text)[1]}
    unused = [variant.where for variant in VARIANTS if variant not in used]
    assert not unused


def test_what_parsing_refuses() -> None:
    for wrong in (
        "python tools/sweep.py --no-such-option",
        "python tools/nothing.py",
        "make nothing",
        "pip install 'yacs-sweep[nothing]'",
        "pip install '.[nothing]'",
        "python benchmarks/stop_latency.py --nothing",
        "python -m nothing.at.all",
        "wandb nothing",
        "if then",
    ):
        with pytest.raises(AssertionError):
            parse(wrong)


def parse(text: str) -> None:
    """Sees to it that the program, script, target and options of a command exist."""
    done = subprocess.run(["bash", "-n", "-c", text], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    text = re.sub(r"^\(cd [\w/]+ && (.*)\)$", r"\1", text)
    words = [word for word in shlex.split(text) if word not in ("…", "...")]
    while words and re.match(r"\w+=", words[0]):
        words.pop(0)
    if words and words[0] == "export":
        return
    program = words[0]
    if program == "torchrun":  # its own options come before the script
        words = words[next(place for place, word in enumerate(words) if word.endswith(".py")) :]
        program = words[0]
    if program in ("python", "python3"):
        words.pop(0)
        if words[0] == "-m":
            _module(words[1:])
            return
        program = words[0]
    program = {
        "yacs-sweep": "tools/sweep.py",
        "sweep.py": "tools/sweep.py",
        "yacs-sweep-report": "tools/report.py",
    }.get(program, program)
    if program.startswith("/path/to/checkout/"):
        program = program.removeprefix("/path/to/checkout/")
    checks = {"make": _make, "pip": _pip, "wandb": _wandb, "docker": _docker}
    if program in checks:
        checks[program](words[1:])
    elif program == "optuna-dashboard":  # not among the requirements, which the text says
        path = Path(words[1])  # test_storage.py has Optuna's own class open such a file
        assert path == SweepPaths(path.parents[2], path.parent.name).journal
    else:
        _script(program, words[1:])


@cache
def parsers() -> dict[str, argparse.ArgumentParser]:
    found: dict[str, argparse.ArgumentParser] = OPTIONS["parsers"]()
    return found


def _script(program: str, words: list[str]) -> None:
    path = ROOT / program
    assert path.is_file(), f"{program}: no such script"
    if path.suffix != ".py":
        return
    if program in parsers():
        known = {name for action in parsers()[program]._actions for name in action.option_strings}
    else:
        source = ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        known = {node.value for node in source if isinstance(node, ast.Constant) and isinstance(node.value, str)}
    own = words[: words.index("--")] if "--" in words else words  # the rest is for the trainer
    unknown = [word for word in own if word.startswith("-") and word.partition("=")[0] not in known]
    assert not unknown, f"{program}: no such options: {unknown}"


def _module(words: list[str]) -> None:
    if words[0] == "pytest":
        missing = [word for word in words if word.startswith("tests/") and not (ROOT / word).exists()]
        assert not missing, f"pytest: there are no {missing}"
        return
    path = ROOT / words[0].replace(".", "/")
    assert path.with_suffix(".py").is_file() or (path / "__main__.py").is_file(), f"no module {words[0]}"


def _make(words: list[str]) -> None:
    text = (ROOT / "Makefile").read_text(encoding="utf-8")
    missing = [word for word in words if not re.search(rf"^{re.escape(word)}:", text, re.MULTILINE)]
    assert not missing, f"make: there are no targets {missing}"


def _pip(words: list[str]) -> None:
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")  # tomllib is not in Python 3.10
    table = text.partition("[project.optional-dependencies]")[2].partition("\n[")[0]
    for word in words[1:]:
        if found := re.fullmatch(r"(?:\.|\S+\.whl|yacs-sweep)\[(.*)\]", word):
            missing = set(found[1].split(",")) - set(re.findall(r"^(\w+) =", table, re.MULTILINE))
            assert not missing, f"pip: there are no extras {missing}"


def _docker(words: list[str]) -> None:
    text = (ROOT / "Dockerfile").read_text(encoding="utf-8")
    if words[0] == "build":
        given = [words[place + 1] for place, word in enumerate(words) if word == "--build-arg"]
        missing = [each for each in given if not re.search(rf"^ARG {each.partition('=')[0]}\b", text, re.MULTILINE)]
        assert not missing, f"docker: the Dockerfile has no {missing}"
    elif words[0] == "run" and "yacs-sweep" in words:
        before, _, after = " ".join(words).partition(" yacs-sweep")
        script = after.split() if "--entrypoint" in before else ["tools/sweep.py", *after.split()]
        _script(script[0], script[1:])


def _wandb(words: list[str]) -> None:
    from wandb.cli.cli import cli

    assert words[0] in cli.commands, f"wandb: no command {words[0]}"
    known = {name for option in cli.commands[words[0]].params for name in option.opts}
    unknown = [word for word in words[1:] if word.startswith("-") and word not in known]
    assert not unknown, f"wandb {words[0]}: no such options: {unknown}"


@pytest.mark.slow
@pytest.mark.timeout(3000)
@pytest.mark.parametrize("name", ["README.md", "docs/getting-started.md"])
def test_the_first_steps_as_they_stand(name: str, tmp_path: Path) -> None:
    checkout = Checkout.make(tmp_path)
    wanted = [command.text for command in commands(ROOT / name)]
    for text in wanted if name != "README.md" else wanted[:1]:
        if "baseline.yml" in text:  # its data set cannot be had here
            text = variant_of(text)[0] or ""
        done = checkout.run(text, timeout=2400)
        assert done.returncode == 0, f"{text}\n{done.stdout[-2000:]}\n{done.stderr[-2000:]}"
        if CARRIED.match(text):
            checkout.before.append(text)
