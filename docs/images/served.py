"""Makes served.png: the live part of a running sweep's served page, in headless Chromium (Debian's chromium and chromedriver).

python docs/images/served.py [--width 1100] [--dark] [--output served.png]

The sweep is one of the tests' toy trainer, which prints what a training prints. The machine is called gpu1 in the picture.
"""

from __future__ import annotations

import argparse
import io
import socket
import sys
import tempfile
from pathlib import Path

from PIL import Image

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parents[1]))

from tests.browser import browser  # noqa: E402
from tests.launches import wait_for  # noqa: E402
from tests.sweeping import start, write_sweep  # noqa: E402
from tests.yacs_sweep.serve.serving import serving  # noqa: E402

SWEEP = {
    "name": "learning rate and margin",
    "method": "random",
    "metric": {"name": "val/mAP", "goal": "maximize"},
    "parameters": {
        "base_lr": {"distribution": "log_uniform_values", "min": 0.0001, "max": 0.003},
        "margin": {"min": 0.1, "max": 0.6},
    },
}
SETTINGS = ("TOY.SECONDS", "0.25", "SOLVER.MAX_EPOCHS", "12")
RENAME = """
const here = arguments[0], walk = document.createTreeWalker(document.getElementById("live"), NodeFilter.SHOW_TEXT);
while (walk.nextNode()) walk.currentNode.data = walk.currentNode.data.replaceAll(here, "gpu1");
const box = document.getElementById("live").getBoundingClientRect();
return [box.top + scrollY, box.bottom + scrollY];
"""
READY = "return document.querySelectorAll('#running tbody tr').length === 3 && !document.querySelector('.news[hidden]')"
ROWS = "return [...document.querySelectorAll('#running tbody tr')].every((row) => row.cells[3].textContent !== '–')"


def make_parser() -> argparse.ArgumentParser:
    """Makes the parser of the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--width", type=int, default=1100, help="of the window, in pixels")
    parser.add_argument("--dark", action="store_true", help="in dark colours")
    parser.add_argument("--output", default="served.png", help="the picture's name, in this folder")
    return parser


def main() -> int:
    """Runs a sweep, opens its page in a window, waits for a trial to end, and keeps the live part."""
    options = make_parser().parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        words = (
            "--sweep-config",
            write_sweep(folder, SWEEP),
            "--count",
            "24",
            "--workers",
            "3",
            "--seed",
            "1",
            *SETTINGS,
        )
        launch = start(folder, *words)
        try:
            wait_for(lambda: len(list(folder.glob("log/sweep/sweep/*/*/trial.json"))) > 6, 120)
            (sweep,) = folder.glob("log/sweep/sweep/*")
            with serving(folder, "--sweep_id", sweep.name) as server, browser(folder / "profile") as page:
                page.show(HERE / "report.png", width=options.width, dark=options.dark)
                page.driver.get(server.address)
                page.until(READY)
                page.run("document.querySelector('#live .control button').click()")  # an order, with its answer
                page.until("return document.querySelector('.control .told').textContent.includes('paused')")
                page.until("return document.querySelector('#live .headline .state.paused') !== null")
                page.until(ROWS)
                top, bottom = page.driver.execute_script(RENAME, socket.gethostname())
                page.screenshot(folder / "whole.png")
                whole = Image.open(io.BytesIO((folder / "whole.png").read_bytes())).convert("RGB")
        finally:
            launch.terminate()
            launch.communicate(timeout=60)
    part = whole.crop((0, int(top), whole.width, int(bottom)))
    part.quantize(200).save(HERE / options.output, optimize=True)  # flat colours: a quarter of the size
    print(HERE / options.output, part.size)
    return 0


if __name__ == "__main__":
    sys.exit(main())
