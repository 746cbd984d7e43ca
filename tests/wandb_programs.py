"""Runs the line `train with it` of W&B programs that give parameters values of their own, as most do."""

from __future__ import annotations

import subprocess
from pathlib import Path

from tests.sweeping import environment, sweep, write_sweep

# Each prints `wandb.config` once the program has said all it has to say.
PROGRAMS = {
    "init": "import wandb\nwandb.init(config={'lr': 0.1, 'epochs': 5})\n",
    "update": "import wandb\nwandb.init()\nwandb.config.update({'lr': 0.1, 'epochs': 5})\n",
    "attribute": "import wandb\nrun = wandb.init()\nwandb.config.lr = 0.1\nwandb.config['epochs'] = 5\n",
}
END = """print("GOT", sorted(dict(wandb.config).items()))
wandb.log({"val_loss": wandb.config.lr, "epoch": 1})
"""
GOT = "GOT [('epochs', 5), ('lr', 0.25)]"


def check_printed_line(folder: Path, program: str) -> None:
    """Sweeps one of `PROGRAMS` with this interpreter's client; runs the printed line in a shell."""
    (folder / "train.py").write_text(PROGRAMS[program] + END)
    search = {
        "program": "train.py",
        "command": ["${interpreter}", "${program}"],
        "method": "grid",
        "metric": {"name": "val_loss", "goal": "minimize"},
        "parameters": {"lr": {"values": [0.5, 0.25]}},
    }
    words = ("--sweep-config", write_sweep(folder, search), "--controller", "local", "--wandb-mode", "disabled")
    ran = sweep(folder, *words, trainer=None, config=None)
    assert ran.code == 0, ran.out + ran.err
    assert ran.summary["best"]["params"] == {"lr": 0.25}
    assert GOT in (ran.dir / ran.summary["best"]["name"] / "stdout.log").read_text()
    (line,) = [text.split("train with it: ")[1] for text in ran.out.splitlines() if "train with it: " in text]
    shell = ["bash", "-c", line]
    done = subprocess.run(
        shell, cwd=folder, env=environment(folder), capture_output=True, text=True, timeout=180, check=False
    )
    assert done.returncode == 0, line + done.stdout + done.stderr
    assert GOT in done.stdout.splitlines(), done.stdout
