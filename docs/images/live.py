"""Makes live.svg: runs a sweep on a terminal that exists in memory alone, and draws what is on it at some moment.

    .venv/bin/python docs/images/live.py [--seconds 200] [--size 94x15] [-- ARGUMENTS OF tools/sweep.py]

Nothing in the picture is made up: the sweep is a real one, by default of configs/smoke.yml on the images the project draws.
"""

from __future__ import annotations

import argparse
import contextlib
import fcntl
import io
import os
import pty
import re
import select
import signal
import struct
import subprocess
import sys
import tempfile
import termios
import time
from pathlib import Path

import pyte
from rich.console import Console
from rich.style import Style
from rich.text import Text

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
SWEEP = """\
name: smoke
method: random
metric: {name: val/mAP, goal: maximize}
parameters:
  base_lr: {min: 0.0001, max: 0.003, distribution: log_uniform_values}
  margin: {min: 0.1, max: 0.6}
early_terminate: {type: hyperband, min_iter: 3, eta: 2}
count: 12
"""
FONT = re.compile(r"\s*@font-face \{[^}]*\}")  # a picture asks no network for anything: the reader's monospace will do
BRIGHT = {"brightblack": "bright_black", "brown": "yellow", "default": None}


def read_for(seconds: float, words: list[str], cwd: Path, columns: int, rows: int) -> pyte.Screen:
    """Runs the command on a terminal for `seconds`, ends it, and returns the screen."""
    screen = pyte.Screen(columns, rows)
    stream = pyte.ByteStream(screen)
    master, slave = pty.openpty()
    fcntl.ioctl(master, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
    env = {key: value for key, value in os.environ.items() if key not in ("CI", "NO_COLOR", "COLORTERM")}
    env |= {"TERM": "xterm-256color", "XDG_STATE_HOME": str(cwd / "state")}
    with subprocess.Popen(
        words, cwd=cwd, env=env, stdin=slave, stdout=slave, stderr=slave, start_new_session=True
    ) as process:
        os.close(slave)
        deadline = time.monotonic() + seconds
        with contextlib.suppress(OSError):  # it has ended
            while (left := deadline - time.monotonic()) > 0:
                if select.select([master], [], [], left)[0]:
                    stream.feed(os.read(master, 1 << 16))
            process.send_signal(signal.SIGINT)
            while True:
                os.read(master, 1 << 16)
    os.close(master)
    return screen


def drawn(screen: pyte.Screen, title: str) -> str:
    """Draws the screen as SVG."""
    console = Console(record=True, width=screen.columns, file=io.StringIO(), force_terminal=True, color_system="256")
    last = max((row for row, line in enumerate(screen.display) if line.strip()), default=0)
    first = next((row for row, line in enumerate(screen.display) if line[:1].strip()), 0)  # no half of a message
    for row in range(first, last + 1):
        text = Text()
        for column in range(screen.columns):
            cell = screen.buffer[row][column]
            text.append(cell.data, Style(color=BRIGHT.get(cell.fg, cell.fg), bold=cell.bold))
        console.print(text, no_wrap=True, crop=True)
    return FONT.sub("", console.export_svg(title=title))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=200.0, help="from the start of the sweep to the picture")
    parser.add_argument("--size", default="94x15", help="columns and rows of the terminal")
    parser.add_argument("arguments", nargs="*", help="of tools/sweep.py, after --")
    options = parser.parse_args()
    columns, rows = map(int, options.size.split("x"))
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "sweep.yaml").write_text(SWEEP)
        arguments = options.arguments or [
            *("--config_file", str(ROOT / "configs" / "smoke.yml"), "--sweep-config", "sweep.yaml", "--workers", "3"),
            *("--controller", "local", "--wandb-mode", "disabled", "SOLVER.MAX_EPOCHS", "12"),
        ]
        for inside in ROOT.iterdir():  # the trainer is started from the project's root
            if inside.name not in ("log", "sweep.yaml"):
                (folder / inside.name).symlink_to(inside)
        screen = read_for(options.seconds, [sys.executable, "tools/sweep.py", *arguments], folder, columns, rows)
    path = HERE / "live.svg"
    path.write_text(drawn(screen, "tools/sweep.py"))
    print(f"{path}: {path.stat().st_size:,} bytes")
    print("\n".join(line.rstrip() for line in screen.display))


if __name__ == "__main__":
    main()
