"""What the set-up says before it downloads or installs: sizes, and how to do without. Programs that do it are stand-ins."""

from __future__ import annotations

import os
import pty
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
APT = """#!/bin/bash
echo "apt-get $*" >> "${0%/*}/calls"
case "$*" in
    *--assume-no*) echo "Need to get 12.3 MB of archives."; exit 1 ;;
esac
"""
UV = """#!/bin/bash
echo "uv $*" >> calls
case "$*" in
    *--dry-run*) printf 'Would install 2 packages\\n + numpy==2.0\\n + torch==2.9\\n' >&2; exit "${DRY_RUN:-0}" ;;
    *compile*)
        printf '[[packages]]\\nname = "%s"\\nwheels = [{ url = "x", size = %s, hashes = {} }, { url = "y", size = 7 }]\\n' \\
            numpy 20000000 torch 2980000000 there-already 5000000 > "${@: -1}" ;;
    *) cat "${@: -1}" > installed ;;
esac
"""


@pytest.fixture
def programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of stand-ins that is first on PATH; the user is root, outside of continuous integration."""
    folder = tmp_path / "bin"
    folder.mkdir()
    for name, text in (("apt-get", APT), ("id", "#!/bin/bash\necho 0\n")):
        (folder / name).write_text(text)
        (folder / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")
    for name in ("CI", "NO_SYSTEM", "SETUP_TORCH", "PYTHONDONTWRITEBYTECODE"):
        monkeypatch.delenv(name, raising=False)
    return folder


def debian(answer: str | None = None) -> str:
    """Asks for a program that is not there; with an answer, on a terminal."""
    command = [str(ROOT / "tools/debian.sh"), "no-such-program", "some-package"]
    if answer is None:
        done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=True, timeout=60)
        return done.stdout + done.stderr
    ours, theirs = pty.openpty()
    with subprocess.Popen(command, stdin=theirs, stdout=theirs, stderr=theirs) as process:
        os.close(theirs)
        os.write(ours, answer.encode())
        said = b""
        try:
            while part := os.read(ours, 4096):
                said += part
        except OSError:  # the end, on Linux
            pass
        assert process.wait(60) == 0
    os.close(ours)
    return said.decode()


def test_system_packages_are_named_with_their_size_before_they_are_installed(programs: Path) -> None:
    said = "installing system packages for tests: some-package (12.3 MB of archives); NO_SYSTEM=1 does without them\n"
    assert debian() == said
    assert (programs / "calls").read_text().splitlines() == [
        "apt-get update -qq",
        "apt-get install --no-install-recommends --assume-no some-package",
        "apt-get install -y -qq --no-install-recommends some-package",
    ]


def test_on_a_terminal_the_user_is_asked(programs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    installs = "apt-get install -y"
    assert "was not wanted; tests that need it are skipped" in debian("n\n")
    assert installs not in (programs / "calls").read_text()
    debian("y\n")
    assert installs in (programs / "calls").read_text()
    monkeypatch.setenv("CI", "true")
    assert "install them?" not in debian("")


def test_nothing_is_installed_where_nothing_is_to_be(programs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_SYSTEM", "1")
    assert debian() == (
        "note: no-such-program is missing and NO_SYSTEM is set; tests that need it are skipped"
        " (apt-get install some-package)\n"
    )
    monkeypatch.delenv("NO_SYSTEM")
    (programs / "id").write_text("#!/bin/bash\necho 1000\n")
    assert debian().startswith("note: no-such-program is missing and cannot be installed from here; tests")
    assert not (programs / "calls").exists()


@pytest.fixture
def project(programs: Path, tmp_path: Path) -> Path:
    """A checkout whose environment has a stand-in for uv."""
    folder = tmp_path / "project"
    (folder / "tools").mkdir(parents=True)
    (folder / ".venv" / "bin").mkdir(parents=True)
    shutil.copy2(ROOT / "tools" / "setup.sh", folder / "tools")
    (folder / "requirements.txt").write_text(
        "numpy==2.0\n    # via torch\nnvidia-cublas==1 ; sys_platform == 'linux'\nnvidia-ml-py==2\ntorch==2.9\ntriton==3\n"
    )
    (folder / ".venv" / "bin" / "python").symlink_to(shutil.which("true") or "/bin/true")
    (folder / ".venv" / "bin" / "uv").write_text(UV)
    (folder / ".venv" / "bin" / "uv").chmod(0o755)
    return folder


def set_up(project: Path, *words: str, **variables: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [project / "tools" / "setup.sh", *words],
        env={**os.environ, **variables},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


def test_uv_alone_brings_no_requirements(project: Path) -> None:
    done = set_up(project, "uv")
    assert (done.returncode, done.stdout) == (0, "")
    assert not (project / "calls").exists() and not list((project / ".venv").glob(".installed-*"))


def test_the_size_of_what_is_missing_is_said_first(project: Path) -> None:
    done = set_up(project)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == [
        "setup: 2 packages, 3000 MB to download, less what uv has kept from before; at 100 Mbit/s 5 min",
        "setup: torch with CUDA is 2980 MB of it; without a GPU: SETUP_TORCH=cpu",
        "setup: installing requirements.txt",
        "setup: ready",
    ]
    calls = (project / "calls").read_text()
    assert calls.rindex("compile") < calls.rindex("pip install --quiet")
    assert "--torch-backend" not in calls
    assert set_up(project).stdout == ""  # nothing to do, at once


def test_torch_for_the_cpu_leaves_out_what_cuda_needs_and_is_remembered(project: Path) -> None:
    assert set_up(project, SETUP_TORCH="cpu").returncode == 0
    installed = (project / "installed").read_text()
    assert {line.partition("==")[0] for line in installed.splitlines() if "==" in line and "#" not in line} == {
        "numpy",
        "nvidia-ml-py",
        "torch",
    }
    last = (project / "calls").read_text().splitlines()[-1]
    assert "--torch-backend cpu --reinstall-package torch --reinstall-package torchvision" in last
    assert set_up(project).stdout == set_up(project, SETUP_TORCH="cpu").stdout == ""
    assert set_up(project, SETUP_TORCH="registry").returncode == 0
    assert "triton" in (project / "installed").read_text()


def test_an_unknown_torch_is_refused_before_anything(project: Path) -> None:
    done = set_up(project, SETUP_TORCH="gpu")
    assert (done.returncode, done.stderr) == (2, "setup: SETUP_TORCH=gpu is neither cpu nor registry\n")
    assert not (project / "calls").exists()


def test_sizes_that_cannot_be_had_stop_nothing(project: Path) -> None:
    done = set_up(project, DRY_RUN="2")
    assert done.stdout.splitlines() == ["setup: installing requirements.txt", "setup: ready"]
