"""The launcher by itself: installed without torch and without a trainer, run from any folder, for a trainer of any Python."""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import sys
import venv
import zipfile
from pathlib import Path

import pytest

from tests.sweeping import Ran, environment, write_sweep

ROOT = Path(__file__).resolve().parents[3]
FOREIGN = ROOT / "tests" / "foreign_trainers"
SEARCH = {
    "method": "grid",
    "metric": {"name": "test_accuracy", "goal": "maximize"},
    "parameters": {"TRAIN.LR": {"values": [0.1, 0.01]}},
}


def checkout(folder: Path) -> Path:
    """What of this checkout building needs, so that nothing is written into it."""
    copy = folder / "checkout"
    copy.mkdir()
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, copy)
    for name in ("yacs_sweep", "sweeps", "configs/trainers"):
        shutil.copytree(ROOT / name, copy / name, ignore=shutil.ignore_patterns("__pycache__"))
    return copy


def classifier(folder: Path, *words: str) -> list[str]:
    """Words that sweep the YACS classifier, which lies in `folder`."""
    repository = shutil.copytree(FOREIGN / "yacs_classifier", folder / "repository")
    search = write_sweep(folder, SEARCH)
    given = ["--trainer", repository / "trainer.yaml", "--config_file", repository / "experiment.yaml"]
    return [
        *map(str, given),
        "--sweep-config",
        str(search),
        "--wandb-mode",
        "disabled",
        "--controller",
        "local",
        *words,
    ]


def test_the_wheel_holds_the_launcher_its_profiles_and_presets_alone(tmp_path: Path) -> None:
    if importlib.util.find_spec("setuptools") is None or importlib.util.find_spec("pip") is None:
        pytest.skip("building a wheel needs pip and setuptools")
    words = [
        "-m",
        "pip",
        "wheel",
        "-q",
        "--no-deps",
        "--no-build-isolation",
        "-w",
        str(tmp_path),
        str(checkout(tmp_path)),
    ]
    subprocess.run([sys.executable, *words], check=True, timeout=120, capture_output=True)
    (wheel,) = tmp_path.glob("yacs_sweep-*.whl")
    site = tmp_path / "site"
    zipfile.ZipFile(wheel).extractall(site)
    assert {path.name for path in site.iterdir() if not path.name.endswith(".dist-info")} == {"yacs_sweep"}
    share = site / "yacs_sweep" / "share"
    profiles = {path.name for path in (ROOT / "configs" / "trainers").iterdir()}
    assert {path.name for path in (share / "trainers").iterdir()} == profiles
    assert {path.name for path in (share / "sweeps").iterdir()} == {
        path.name for path in (ROOT / "sweeps").glob("*.yaml")
    }
    (metadata,) = site.glob("*.dist-info/METADATA")
    lines = [line for line in metadata.read_text().splitlines() if line.startswith("Requires-Dist")]
    needs = [line.split(" ")[1] for line in lines if "extra ==" not in line]
    assert not any(name.startswith(("torch", "yacs")) for name in needs) and len(needs) >= 4

    # From there it runs, and finds what came with it; the trainer is elsewhere.
    start = "import sys; from yacs_sweep.cli import main; sys.exit(main())"
    env = environment(tmp_path, PYTHONPATH=str(site))
    settings = {"cwd": tmp_path, "env": env, "capture_output": True, "text": True, "timeout": 60}
    done = subprocess.run([sys.executable, "-c", start, *classifier(tmp_path)], **settings)  # type: ignore[call-overload]
    assert done.returncode == 0, done.stdout + done.stderr
    assert Ran(0, done.stdout, done.stderr, tmp_path).summary["best"]["params"] == {"TRAIN.LR": 0.01}
    words = ["--trainer", "fast_reid", "--sweep-config", "sweep_test", "--config_file", "y.yaml"]
    wrong = subprocess.run([sys.executable, "-c", start, *words], **settings)  # type: ignore[call-overload]
    assert wrong.returncode == 2
    assert f"trainer fast_reid: no file tools/train_net.py in {tmp_path}; --trainer NAME|FILE" in wrong.stderr


def old_python() -> str | None:
    versions = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv")) / "versions"
    found = sorted(versions.glob("3.7.*/bin/python"))
    return str(found[-1]) if found else shutil.which("python3.7")


@pytest.mark.slow
def test_installed_with_pip_and_a_trainer_on_python_3_7(tmp_path: Path) -> None:
    old = old_python()
    if old is None:
        pytest.skip("no Python 3.7 here")
    home = tmp_path / "launcher"
    venv.create(home, with_pip=True)
    subprocess.run([home / "bin" / "pip", "install", "-q", checkout(tmp_path)], check=True, timeout=250)
    subprocess.run([old, "-m", "venv", tmp_path / "trainer"], check=True, timeout=180)
    theirs = tmp_path / "trainer" / "bin"
    subprocess.run([theirs / "pip", "install", "-q", "yacs"], check=True, timeout=120)
    listed = subprocess.run([home / "bin" / "pip", "list"], capture_output=True, text=True, check=True).stdout.lower()
    assert "torch" not in listed and "\nyacs " not in listed
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
