"""Completion in real shells: what each offers for a line, and that it does not wait for the launcher."""

from __future__ import annotations

import contextlib
import os
import pty
import select
import shlex
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from functools import cache
from pathlib import Path

import pytest

from tests.sweeping import ROOT, environment
from yacs_sweep.base.completion.shells import SHELLS
from yacs_sweep.base.shipped import EXTRAS, install_command
from yacs_sweep.launch.options.table import make_parser

Offered = Callable[[str], set[str]]
FAST = 0.2  # seconds in which an answer to the tab key seems to be there at once


@cache
def script(shell: str, program: str = "sweep") -> str:
    """What `--print-completion` prints."""
    words = [sys.executable, str(ROOT / "tools" / f"{program}.py"), "--print-completion", shell]
    return subprocess.run(words, capture_output=True, text=True, check=True).stdout


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A folder with a sweep and a trial, a profile, a preset, a sweep elsewhere and one that another folder's note names."""
    folder, home = tmp_path / "a project", tmp_path / "home"
    places = {folder / "log/sweep": "here1234", folder / "other": "else5678", tmp_path / "far": "noted910"}
    for base, name in places.items():
        trial = base / "sweep" / name / f"trial-of-{name}"
        trial.mkdir(parents=True)
        (trial / "trial.json").touch()
        (trial.parent / "wandb").mkdir()
    notes = home / "state" / "yacs-sweep" / "sweeps"
    notes.mkdir(parents=True)
    (notes / "noted910").write_text(f"{tmp_path / 'far'}\n")
    (notes / "deleted0").write_text(f"{tmp_path / 'gone'}\n")
    for name in ("configs/trainers/mine.yaml", "sweeps/own_sweep.yaml"):
        (folder / name).parent.mkdir(parents=True)
        (folder / name).touch()
    (folder / "base.yml").touch()
    return folder


def env(project: Path) -> dict[str, str]:
    return environment(project.parent / "home", LC_ALL="C.UTF-8", TERM="dumb")


# -- one way to ask each shell ------------------------------------------------------------------------------------------
def ask_bash(project: Path, line: str, program: str) -> set[str]:
    words = shlex.split(line) + ([""] if line.endswith(" ") else [])
    asked = (
        f"{script('bash', program)}\nCOMP_WORDS=({shlex.join(words)}); COMP_CWORD={len(words) - 1}\n"
        f"_shtab_{program}_py; printf '%s\\n' \"${{COMPREPLY[@]}}\""
    )
    done = subprocess.run(
        ["bash", "-c", asked], cwd=project, env=env(project), capture_output=True, text=True, timeout=20
    )
    return set(filter(None, done.stdout.splitlines()))


def ask_fish(project: Path, line: str, program: str) -> set[str]:
    asked = f"{script('fish', program)}\ncomplete -C {shlex.quote(line)}"
    done = subprocess.run(
        ["fish", "-c", asked], cwd=project, env=env(project), capture_output=True, text=True, timeout=20
    )
    return {found.partition("\t")[0] for found in done.stdout.splitlines()}


# Writes what is offered into a file, since the screen of zsh is not to be read.
CAPTURE = """\
PS1=; fpath=(../functions $fpath); autoload -Uz compinit; compinit -u -D
compadd() {
    case " ${@[1,(i)(-|--)]}" in *\\ -[OAD]*) builtin compadd "$@"; return ;; esac
    local -a found; builtin compadd -A found "$@"; print -rl -- $found >> ../talk/offered; builtin compadd "$@"
}
: > ../talk/offered
ask() { zle complete-word; : > ../talk/done }
zle -N ask; bindkey '^X' ask; : > ../talk/ready
"""


def ask_zsh(project: Path, line: str, program: str) -> set[str]:
    """Types the line and a key into an interactive zsh: it completes nothing where there is no line editor."""
    functions, talk = project.parent / "functions", project.parent / "talk"
    for folder in (functions, talk):
        folder.mkdir(exist_ok=True)
    (functions / f"_{program}.py").write_text(script("zsh", program))
    (talk / "capture").write_text(CAPTURE)
    pid, terminal = pty.fork()
    if pid == 0:
        os.chdir(project)
        os.execvpe("zsh", ["zsh", "-f", "-i"], env(project))

    def until(name: str) -> None:
        end = time.monotonic() + 20
        while not (talk / name).exists():
            assert time.monotonic() < end, f"zsh has not come to: {name}"
            if select.select([terminal], [], [], 0.02)[0]:
                os.read(terminal, 4096)

    try:
        os.write(terminal, b"source ../talk/capture\n")
        until("ready")
        os.write(terminal, f"{line}\x18".encode())
        until("done")
        return set(filter(None, (talk / "offered").read_text().splitlines()))
    finally:
        with contextlib.suppress(OSError):
            os.close(terminal)
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, 9)
        os.waitpid(pid, 0)
        shutil.rmtree(talk)


ASK = {"bash": ask_bash, "zsh": ask_zsh, "fish": ask_fish}


@pytest.fixture(params=SHELLS)
def offered(request: pytest.FixtureRequest, project: Path) -> Offered:
    """Returns what the shell offers for a line; the last word is the one that is completed."""
    pytest.importorskip("shtab")
    if shutil.which(request.param) is None:
        pytest.skip(f"no {request.param} here")

    def of(line: str) -> set[str]:
        program = line.partition(".py ")[0]
        return ASK[request.param](project, line, program)

    return of


# -- what is offered ------------------------------------------------------------------------------------------------
def test_options_and_choices(offered: Offered) -> None:
    assert offered("sweep.py --stat") == {"--status"}
    assert offered("sweep.py --sweep") == {"--sweep-config", "--sweep_id", "--sweep_name"}  # each in one spelling
    assert offered("sweep.py --method ") == {"grid", "random", "bayes", "custom"}
    assert "--dry-run" in offered("sweep.py --sweep-config a.yaml --d")
    assert offered("report.py --format m") == {"md"}


def test_sweeps_and_trials_of_the_results_folder(offered: Offered) -> None:
    assert offered("sweep.py --sweep_id ") == {"here1234", "noted910"}
    assert offered("report.py --sweep_id h") == {"here1234"}
    assert "else5678" in offered("sweep.py --results_dir other --sweep_id e")
    assert offered("sweep.py --sweep_id here1234 --logs ") == {"trial-of-here1234"}
    assert offered("sweep.py --sweep_id noted910 --logs ") == {"trial-of-noted910"}
    assert offered("sweep.py --logs t") == set()  # of which sweep?


def test_profiles_presets_and_files(offered: Offered) -> None:
    assert {"mine", "mmengine"} <= offered("sweep.py --trainer m")
    assert "own_sweep" in offered("sweep.py --sweep-config o") and "sweep_lr" in offered(
        "sweep.py --sweep-config sweep_l"
    )
    assert any("base.yml" in found for found in offered("sweep.py --config_file b"))
    found = {name.rstrip("/") for name in offered("sweep.py --results_dir o")}
    assert found == {"other"}


def test_an_answer_does_not_wait_for_the_launcher(project: Path) -> None:
    """One answer as the shell sees it, with hundreds of sweeps; generating the script is done once, at installation."""
    pytest.importorskip("shtab")
    for number in range(300):
        (project / "log/sweep/sweep" / f"sweep{number:04}").mkdir()
    asked = (
        f"{script('bash')}\nCOMP_WORDS=(sweep.py --sweep_id ''); COMP_CWORD=2\n"
        "for time in 1 2 3; do start=$EPOCHREALTIME; _shtab_sweep_py; end=$EPOCHREALTIME\n"
        'echo "$(( (${end/./} - ${start/./}) )) ${#COMPREPLY[@]}"; done'
    )
    done = subprocess.run(
        ["bash", "-c", asked], cwd=project, env=env(project), capture_output=True, text=True, check=True
    )
    rows = [tuple(map(int, row.split())) for row in done.stdout.splitlines()]
    assert {count for _, count in rows} == {302}
    assert min(micros for micros, _ in rows) / 1e6 < FAST


# -- printing it ------------------------------------------------------------------------------------------------------
def test_without_shtab_one_line_says_what_to_install(tmp_path: Path) -> None:
    (tmp_path / "shtab.py").write_text("raise ImportError('hidden')")
    words = [sys.executable, str(ROOT / "tools" / "sweep.py"), "--print-completion", "bash"]
    done = subprocess.run(words, capture_output=True, text=True, env=environment(tmp_path, PYTHONPATH=str(tmp_path)))
    line = f"error: --print-completion: shtab is not installed: {install_command('completion')}\n"
    assert (done.returncode, done.stdout, done.stderr) == (2, "", line)
    assert EXTRAS["completion"][0].startswith("shtab")


def test_options_whose_values_are_names_are_known() -> None:
    from yacs_sweep.base.completion import shells

    parser = make_parser()
    assert set(shells._TRIALS) <= {action.dest for action in parser._actions}
    assert {str(action.metavar) for action in parser._actions} >= set(shells._KINDS)
