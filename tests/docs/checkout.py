"""A copy of the checkout in which a document's commands run, with what they take for granted."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

from tests.docs.documents import ROOT, blocks
from tests.sweeping import environment

PLACEHOLDER = "k3v9x2ab"  # the sweep id that the documents write
TOY = "--trainer tests/toy_trainer/toy.yaml --config_file tests/toy_trainer/toy.yml --wandb-mode disabled"
_SWEEP = "{method: grid, metric: {name: val/mAP, goal: maximize}, parameters: {base_lr: [0.0001, 0.001]}}\n"
_SHELL = r"^(export|cd|source|\.) "  # commands that matter to those after them


@dataclass
class Checkout:
    """The files git knows (or would add) in `folder`; `before` are the commands whose effect on the shell stays."""

    folder: Path
    before: list[str] = field(default_factory=list)

    @classmethod
    def make(cls, folder: Path) -> Checkout:
        listed = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"]
        names = subprocess.run(listed, cwd=ROOT, capture_output=True, check=True, text=True).stdout.split("\0")
        for name in filter(None, names):
            if (ROOT / name).is_file():
                (folder / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(ROOT / name, folder / name)
        _environment(folder)
        (folder / "sweeps" / "my.yaml").write_text(_SWEEP)
        for name in ("a.yaml", "b.yaml", "c.yaml"):
            (folder / name).write_text(_SWEEP)
        return cls(folder)

    def project(self) -> None:
        """Makes the folder somebody's own project, with a trainer, as docs/trainers.md has it."""
        shutil.copytree(ROOT / "tests" / "toy_trainer", self.folder, dirs_exist_ok=True)
        (self.folder / "toy.yaml").unlink()  # the profile is what --init writes
        (self.folder / "cfg.yaml").write_text("SOLVER: {MAX_EPOCHS: 2}\n")
        (self.folder / "sweep.yaml").write_text(_SWEEP)
        (self.folder / "train.log").write_text(
            "Epoch[1] Iteration[1/9] Loss: 2.0, Acc: 0.1, Base Lr: 1e-3\nmAP: 4.4%\n"
        )

    def write_files(self, document: Path) -> None:
        """Writes the blocks of a document whose first line is the name of a file, as in `# sweeps/lr.yaml`."""
        for _, mark, body in blocks(document):
            name = re.match(r"# ([\w/]+\.(?:yaml|py))\n", body)
            if name and mark in ("yaml", "python"):
                (self.folder / name[1]).write_text(body, encoding="utf-8")

    def run(self, command: str, *, timeout: float = 120) -> subprocess.CompletedProcess[str]:
        """Runs it in bash; the id that documents write stands for the sweep that is here."""
        if PLACEHOLDER in command or "--status" in command:
            command = command.replace(PLACEHOLDER, self.sweep_id())
        home = self.folder / "home"
        home.mkdir(exist_ok=True)
        path = f"{self.folder / '.venv' / 'bin'}:{os.environ['PATH']}"
        return subprocess.run(
            ["bash", "-euo", "pipefail", "-c", "\n".join([*self.before, command])],
            cwd=self.folder,
            env=environment(home, PATH=path, OMP_NUM_THREADS="1"),
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
            stdin=subprocess.DEVNULL,
        )

    def sweep_id(self) -> str:
        """The newest sweep; where there is none yet, a small one of the toy trainer is run."""
        found = self._sweeps()
        if not found:
            done = self.run(f"python tools/sweep.py {TOY} --sweep-config a.yaml")
            assert done.returncode == 0, done.stderr
            found = self._sweeps()
        return max(found, key=lambda path: path.stat().st_mtime).parent.name

    def _sweeps(self) -> list[Path]:
        return [path for path in self.folder.glob("log/sweep/sweep/*/launch.json") if "-best" not in path.parent.name]


def _environment(folder: Path) -> None:
    """.venv, set up: the suite's own environment, with the stamps that tools/setup.sh would leave."""
    venv, own = folder / ".venv", Path(sys.prefix)
    (venv / "bin").mkdir(parents=True)
    for path in own.iterdir():
        if path.name != "bin" and not path.name.startswith(".installed-"):
            (venv / path.name).symlink_to(path)
    for path in (own / "bin").iterdir():
        if path.name not in ("yacs-sweep", "yacs-sweep-report"):
            (venv / "bin" / path.name).symlink_to(path)
    for name, module in (("yacs-sweep", "yacs_sweep.cli"), ("yacs-sweep-report", "yacs_sweep.serve.command")):
        script = venv / "bin" / name
        code = f"import sys; sys.path.insert(0, {str(folder)!r}); from {module} import main; sys.exit(main())"
        script.write_text(f"#!{venv / 'bin' / 'python'}\n{code}\n")
        script.chmod(0o755)
    for name in ("requirements.txt", "requirements-dev.txt"):
        shutil.copy2(folder / name, venv / f".installed-{name}")
