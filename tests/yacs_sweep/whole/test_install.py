"""The launcher by itself: its wheel and source archive, installed without torch or a trainer, run from an empty folder."""

from __future__ import annotations

import importlib.util
import json
import math
import os
import re
import shutil
import subprocess
import sys
import tarfile
import venv
import zipfile
from email.parser import HeaderParser
from functools import partial
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from tests.sweeping import Ran, environment, write_sweep
from yacs_sweep.base.shipped import version

ROOT = Path(__file__).resolve().parents[3]
FOREIGN = ROOT / "tests" / "foreign_trainers"
UV = ROOT / ".venv" / "bin" / "uv"
PYTHONS = ("3.10", "3.11", "3.12", "3.13")
NEWER_ONLY = {("ax", "3.10")}  # extras whose packages have left a Python behind
SEARCH = {
    "method": "grid",
    "metric": {"name": "test_accuracy", "goal": "maximize"},
    "parameters": {"TRAIN.LR": {"values": [0.1, 0.01]}},
}
TRAINER = """\
import argparse, math

parser = argparse.ArgumentParser()
parser.add_argument("--lr", type=float, default=0.1)
parser.add_argument("--epochs", type=int, default=3)
args = parser.parse_args()
for epoch in range(1, args.epochs + 1):
    loss = (math.log10(args.lr) + 2) ** 2 + 1 / epoch
    print(f"epoch {epoch} loss {loss:.4f}", flush=True)
    print(f"val_accuracy: {1 / (1 + loss):.6f}", flush=True)
"""


def tracked() -> set[str]:
    """Names of the files that git tracks."""
    words = ["git", "-C", ROOT, "ls-files", "-z"]
    listed = subprocess.run(words, capture_output=True, text=True, check=False)
    if listed.returncode:
        pytest.skip("wants a git checkout")
    return set(filter(None, listed.stdout.split("\0")))


def built_here() -> set[str]:
    """What a build leaves in the folder that it takes place in."""
    return {name for name in os.listdir(ROOT) if name in ("build", "dist") or name.endswith(".egg-info")}


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the two files that `make dist` builds."""
    if not UV.is_file() or not (ROOT / ".git").exists() or importlib.util.find_spec("setuptools") is None:
        pytest.skip("building wants a git checkout that is set up")
    folder = tmp_path_factory.mktemp("dist")
    before = built_here()
    # Isolated builds download setuptools; this environment's is the same to them.
    words = [str(ROOT / "tools" / "dist.sh"), str(folder), "--no-build-isolation", "--python", sys.executable]
    subprocess.run(words, check=True, timeout=120, capture_output=True)
    assert built_here() == before  # metadata in a checkout would look like an installed launcher
    names = {f"yacs_sweep-{version()}.tar.gz", f"yacs_sweep-{version()}-py3-none-any.whl"}
    assert set(os.listdir(folder)) == names
    return folder


@pytest.fixture(scope="module")
def wheel(built: Path) -> Path:
    (found,) = built.glob("*.whl")
    return found


@pytest.fixture(scope="module")
def archive(built: Path) -> Path:
    (found,) = built.glob("*.tar.gz")
    return found


# -- what is in them --------------------------------------------------------------------------------------------------
def test_the_wheel_holds_the_launcher_its_profiles_and_presets_alone(wheel: Path) -> None:
    files = {name for name in tracked() if name.startswith("yacs_sweep/")}
    assert any(name.endswith(".js") for name in files) and "yacs_sweep/py.typed" in files
    moved = (("configs/trainers/", "trainers"), ("sweeps/", "sweeps"))
    for folder, where in moved:
        files |= {f"yacs_sweep/share/{where}/{Path(name).name}" for name in tracked() if name.startswith(folder)}
    names = set(zipfile.ZipFile(wheel).namelist())
    assert {name for name in names if ".dist-info/" not in name} == files
    assert any(name.endswith(".dist-info/licenses/LICENSE") for name in names)


def test_the_archive_holds_what_git_tracks_but_for_the_settings_of_tools(archive: Path) -> None:
    with tarfile.open(archive) as opened:
        names = {name.partition("/")[2] for name in opened.getnames() if opened.getmember(name).isfile()}
    made = {"PKG-INFO", "setup.cfg"}  # by setuptools
    assert made <= names
    found = {name for name in names if not name.startswith("yacs_sweep.egg-info/")} - made
    # A new folder at the top needs a line in MANIFEST.in.
    assert found == {name for name in tracked() if not name.startswith(".")}


def metadata(wheel: Path) -> tuple[dict[str, list[Requirement]], set[str]]:
    """Requirements by extra ("": those of every installation), and the names of the extras."""
    with zipfile.ZipFile(wheel) as opened:
        (name,) = [name for name in opened.namelist() if name.endswith(".dist-info/METADATA")]
        headers = HeaderParser().parsestr(opened.read(name).decode())
    assert headers["Version"] == version() and headers["Requires-Python"] == ">=3.10"
    found: dict[str, list[Requirement]] = {}
    for text in headers.get_all("Requires-Dist", []):
        needed, _, marker = text.partition(";")
        extra = re.search(r"extra == ['\"](.*?)['\"]", marker)
        found.setdefault(extra[1] if extra else "", []).append(Requirement(needed))
    return found, set(headers.get_all("Provides-Extra", []))


def listed(name: str) -> dict[str, Requirement]:
    """Requirements of a file in the root by their name, without their reasons."""
    lines = [line.partition("#")[0].strip() for line in (ROOT / name).read_text(encoding="utf-8").splitlines()]
    found = [Requirement(line) for line in lines if line and not line.startswith("-")]
    return {requirement.name: requirement for requirement in found}


def test_what_the_package_declares_is_what_the_project_is_tested_with(wheel: Path) -> None:
    declared, extras = metadata(wheel)
    assert set(declared) == extras | {""}
    assert extras == {"gp", "postgres", "ray", "web", "tensorboard", "mlflow", "ax", "trainer", "completion"}
    core = {requirement.name: requirement for requirement in declared[""]}
    trainer = {requirement.name: requirement for requirement in declared["trainer"]}
    project = listed("requirements.in")
    # The project is the launcher and the trainer; the launcher allows older packages than are pinned here.
    assert set(project) == {*core, *trainer} and not set(core) & set(trainer)
    assert {name: project[name].specifier for name in trainer} == {n: r.specifier for n, r in trainer.items()}
    assert not {"torch", "torchvision", "yacs"} & set(core)
    assert {requirement.name for requirement in declared["gp"]} == {"scipy"} <= set(core)
    pins = listed("requirements-dev.txt")
    for requirement in (item for group in declared.values() for item in group):
        pin = pins.get(requirement.name)
        if pin is None:
            assert requirement.name in ("ray", "ax-platform"), f"{requirement}: nothing tests it"
            continue
        (pinned,) = pin.specifier
        assert requirement.specifier.contains(pinned.version, prereleases=True), f"{requirement}: {pin} is tested"


# -- installed --------------------------------------------------------------------------------------------------------
def interpreter(wanted: str) -> Path:
    """An interpreter of that version."""
    if sys.version_info[:2] == tuple(map(int, wanted.split("."))):
        return Path(sys.executable)
    versions = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv")) / "versions"
    found = sorted(versions.glob(f"{wanted}.*/bin/python"))
    if not found and (other := shutil.which(f"python{wanted}")):
        found = [Path(other)]
    if not found:
        pytest.skip(f"no Python {wanted} here")
    return found[-1]


def install(place: Path, python: Path, what: Path, *options: str) -> Path:
    """Installs a file into an empty environment; returns the folder of its commands."""
    run = partial(subprocess.run, check=True, timeout=300, capture_output=True)
    run([UV, "venv", "--quiet", "--python", python, place])
    run([UV, "pip", "install", "--quiet", "--python", place / "bin" / "python", *options, what])
    return place / "bin"


def sweep_from_nothing(bin_: Path, folder: Path) -> None:
    """Follows what `--init` suggests for a plain script, in a folder without anything else, to a report."""
    checked = subprocess.run([UV, "pip", "check", "--python", bin_ / "python"], capture_output=True, text=True)
    assert checked.returncode == 0, checked.stderr
    there = {path.name.lower() for path in bin_.parent.glob("lib/python*/site-packages/*")}
    assert not {"torch", "torchvision", "yacs", "tests"} & there and "yacs_sweep" in there

    project, home = folder / "project", folder / "home"
    project.mkdir()
    home.mkdir()
    (project / "train.py").write_text(TRAINER)
    env = {"PATH": f"{bin_}:/usr/bin:/bin", "HOME": str(home)}

    def run(command: str, status: int = 0) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            ["bash", "-c", command], cwd=project, env=env, capture_output=True, text=True, timeout=200, check=False
        )
        assert done.returncode == status, f"{command}\n{done.stdout}\n{done.stderr}"
        return done

    assert run("yacs-sweep --version").stdout.splitlines()[0] == f"yacs-sweep {version()}"
    assert run("yacs-sweep-report --version").stdout.splitlines()[0] == f"yacs-sweep {version()}"
    written = run("yacs-sweep --init train.py").stdout
    suggested = [line.strip() for line in written.partition("then try:")[2].splitlines() if line.strip()]
    assert [line.split()[0] for line in suggested] == ["yacs-sweep"] * 3 and "--count 1" in suggested[-1]
    for command in suggested:
        run(command)
    (summary,) = project.glob("log/sweep/sweep/*/summary.json")
    content = json.loads(summary.read_text())
    assert content["counts"]["finished"] == 1
    (rate,) = content["best"]["params"].values()
    assert content["best"]["value"] == pytest.approx(1 / (1 + (math.log10(rate) + 2) ** 2 + 1 / 3), abs=1e-6)
    run(f"yacs-sweep-report --sweep_id {summary.parent.name}")
    page = (summary.parent / "report.html").read_text(encoding="utf-8")
    assert summary.parent.name in page and "val_accuracy" in page and f"yacs-sweep {version()}" in page
    # Which launcher made it.
    assert json.loads((summary.parent / "environment.json").read_text())["packages"]["yacs-sweep"] == version()
    assert json.loads((summary.parent / "launch.json").read_text())["version"] == version()
    # Profiles and presets came with it; a trainer of theirs is elsewhere.
    (project / "y.yaml").touch()
    wrong = run("yacs-sweep --trainer fast_reid --sweep-config sweep_test --config_file y.yaml", status=2)
    assert f"trainer fast_reid: no file tools/train_net.py in {project}; --trainer NAME|FILE" in wrong.stderr
    assert "sweep_lr" in run("yacs-sweep --sweep-config sweep_lx --trainer generic", status=2).stderr


def test_the_wheel_sweeps_a_plain_script(wheel: Path, tmp_path: Path) -> None:
    # The pinned packages, which the suite's own environment was made from, need not be downloaded.
    pins = ("--constraint", str(ROOT / "requirements.txt"))
    sweep_from_nothing(install(tmp_path / "env", Path(sys.executable), wheel, *pins), tmp_path)


@pytest.mark.wheels
@pytest.mark.parametrize("what", ["wheel", "archive"])
@pytest.mark.parametrize("python", PYTHONS)
def test_with_the_newest_packages_on_each_python(
    python: str, what: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    file: Path = request.getfixturevalue(what)
    sweep_from_nothing(install(tmp_path / "env", interpreter(python), file), tmp_path)


@pytest.mark.wheels
@pytest.mark.parametrize("python", PYTHONS)
def test_every_extra_can_be_installed(python: str, wheel: Path, tmp_path: Path) -> None:
    """Resolved, each by itself, and not installed: with torch they are gigabytes."""
    bin_ = install(tmp_path / "env", interpreter(python), wheel)
    for extra in sorted(metadata(wheel)[1]):
        words = [
            UV,
            "pip",
            "install",
            "--dry-run",
            "--python",
            bin_ / "python",
            f"yacs-sweep[{extra}] @ {wheel.as_uri()}",
        ]
        done = subprocess.run(words, capture_output=True, text=True, timeout=200, check=False)
        assert (done.returncode == 0) == ((extra, python) not in NEWER_ONLY), f"{extra}: {done.stderr}"


# -- for a trainer of an older Python ---------------------------------------------------------------------------------
def classifier(folder: Path, *words: str) -> list[str]:
    """Words that sweep the YACS classifier, which lies in `folder`."""
    repository = shutil.copytree(FOREIGN / "yacs_classifier", folder / "repository")
    search = write_sweep(folder, SEARCH)
    given = ["--trainer", repository / "trainer.yaml", "--config_file", repository / "experiment.yaml"]
    given += ["--sweep-config", search, "--wandb-mode", "disabled", "--controller", "local"]
    return [*map(str, given), *words]


def old_python() -> str | None:
    versions = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv")) / "versions"
    found = sorted(versions.glob("3.7.*/bin/python"))
    return str(found[-1]) if found else shutil.which("python3.7")


@pytest.mark.slow
def test_installed_with_pip_and_a_trainer_on_python_3_7(wheel: Path, tmp_path: Path) -> None:
    old = old_python()
    if old is None:
        pytest.skip("no Python 3.7 here")
    home = tmp_path / "launcher"
    venv.create(home, with_pip=True)
    subprocess.run([home / "bin" / "pip", "install", "-q", wheel], check=True, timeout=250)
    subprocess.run([old, "-m", "venv", tmp_path / "trainer"], check=True, timeout=180)
    theirs = tmp_path / "trainer" / "bin"
    subprocess.run([theirs / "pip", "install", "-q", "yacs"], check=True, timeout=120)
    words = [str(home / "bin" / "yacs-sweep"), *classifier(tmp_path, "--python", str(theirs / "python"))]
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    done = subprocess.run(words, cwd=elsewhere, env=environment(tmp_path), capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr
    ran = Ran(0, done.stdout, done.stderr, elsewhere)
    assert ran.summary["best"]["params"] == {"TRAIN.LR": 0.01}
    assert ran.summary["trials"][0]["command"][0] == str(theirs / "python")
    helped = subprocess.run([words[0], "--help"], capture_output=True, text=True, check=True)
    assert helped.stdout.startswith("usage: yacs-sweep ")
