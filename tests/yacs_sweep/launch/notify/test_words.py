"""A command of `--notify` is given the message, which holds names, as text and never as code."""

from __future__ import annotations

import os
import shlex
import subprocess
from pathlib import Path

import pytest

from yacs_sweep.launch.notify.words import MESSAGE, VARIABLE, code_problem, plain

HARMLESS = [
    "notify-send {message}",
    "notify-send 'Sweep: {message}'",
    "notify-send python {message}",
    "notify-send watch {message}",
    "mail -s {message} me@example.org",
    "curl -d text={message} https://example.org",
    "python tell.py {message}",
    "python3.11 -u tell.py --text={message}",
    "/usr/bin/python tell.py 'two words' {message}",
    "sh tell.sh {message}",
    "sh tell.sh --text={message}",
    "sh -c 'echo \"$1\" >> f' _ {message}",
    "bash -o pipefail -c 'echo \"$0\" >> f' {message}",
    "env TEXT={message} sh -c 'echo \"$TEXT\" >> f'",
    "docker run image mail -s {message} me",
    "sh -c 'echo \"$SWEEP_MESSAGE\"'",
    "true",
]
REFUSED = {
    'sh -c "echo {message} >> f"': "sh",
    "/bin/bash -lc 'echo {message}'": "bash",
    "bash -c {message}": "bash",
    "bash -c -- {message}": "bash",
    "bash -euo pipefail -c 'echo {message}'": "bash",
    "bash -o pipefail -c -x 'echo {message}'": "bash",
    "sh {message}": "sh",
    "zsh -c 'echo {message}'": "zsh",
    "fish --command 'echo {message}'": "fish",
    "busybox sh -c 'echo {message}'": "busybox",
    "env A=1 sh -c 'echo {message}'": "sh",
    "sudo -u me bash -c 'echo {message}'": "bash",
    "nohup timeout 5s dash -c 'echo {message}'": "dash",
    "docker exec box sh -c 'echo {message}'": "sh",
    "find . -name x -exec sh -c 'echo {message}' ';'": "sh",
    "ssh host echo {message}": "ssh",
    "ssh host 'echo {message}'": "ssh",
    "sudo ssh -p 22 host echo {message}": "ssh",
    "su me -c 'echo {message}'": "su",
    "tmux display-message {message}": "tmux",
    "sbatch --wrap 'echo {message}'": "sbatch",
    "make TEXT={message}": "make",
    "python -c 'print(\"{message}\")'": "python",
    "python3.11 -Ic 'print(\"{message}\")'": "python3.11",
    "perl -e 'print q({message})'": "perl",
    "perl -eprint({message})": "perl",
    "node --eval 'console.log(\"{message}\")'": "node",
    "node --eval=f({message})": "node",
    "osascript -e 'display notification \"{message}\"'": "osascript",
    "awk 'BEGIN {print \"{message}\"}'": "awk",
    "powershell -Command 'echo {message}'": "powershell",
}


@pytest.mark.parametrize("target", HARMLESS)
def test_a_message_that_is_text_is_let_be(target: str) -> None:
    assert code_problem(shlex.split(target)) is None


@pytest.mark.parametrize("target", REFUSED)
def test_a_message_that_would_be_code_is_refused(target: str) -> None:
    problem = code_problem(shlex.split(target))
    assert problem is not None
    assert problem.startswith(f"--notify: {REFUSED[target]} would execute {{message}} as code; ")
    assert VARIABLE in problem


@pytest.mark.parametrize(
    "script",
    [
        "echo {message} >> f",
        'echo "{message}" >> f',
        "echo '{message}' >> f",
        'printf "%s\\n" "Sweep: {message}" >> f',
        "printf '%s\\n' 'Sweep: {message}' >> f",
        "echo \\'{message} >> f",
        "echo {message}{message} >> f",
    ],
)
@pytest.mark.parametrize("shell", ["sh -c", "bash -o pipefail -c"])
def test_the_line_that_is_offered_works(tmp_path: Path, shell: str, script: str) -> None:
    """With a hostile text it writes what the refused line would have written of a harmless one."""
    text = "x; touch INJ; # $(touch INJ) `touch INJ` ' \" \\ *"
    problem = code_problem(shlex.split(f"{shell} {shlex.quote(script)}"))
    assert problem is not None
    (offered,) = shlex.split(problem.partition("write --notify ")[2])
    assert code_problem(shlex.split(offered)) is None
    subprocess.run(shlex.split(offered), cwd=tmp_path, env={**os.environ, VARIABLE: text}, check=True, timeout=180)
    assert [path.name for path in tmp_path.iterdir()] == ["f"]
    harmless = [word.replace(MESSAGE, "TEXT") for word in shlex.split(f"{shell} {shlex.quote(script)}")]
    (tmp_path / "other").mkdir()
    subprocess.run(harmless, cwd=tmp_path / "other", check=True, timeout=180)
    expected = (tmp_path / "other" / "f").read_text().replace("TEXT", text)
    assert (tmp_path / "f").read_text() == expected


@pytest.mark.parametrize("way", ["{}", '"{}"', "'{}'"])
def test_plain_text_is_no_command_in_any_quotation(tmp_path: Path, way: str) -> None:
    """Also where no list of programs knows that a shell reads it."""
    text = "x; touch INJ; # $(touch INJ) `touch INJ` ${x:=y} ' touch INJ \" | touch INJ && touch INJ > INJ \\"
    command = ["sh", "-c", f"echo {way.format(plain(text))} > /dev/null"]
    subprocess.run(command, cwd=tmp_path, check=False, timeout=180, stderr=subprocess.DEVNULL)
    assert list(tmp_path.iterdir()) == []


def test_ordinary_names_stay_as_they_are() -> None:
    assert plain("lr (v1.5), 90% of #2: näïve_baseline-3 @ 0.1") == "lr (v1.5), 90% of #2: näïve_baseline-3 @ 0.1"
