"""Measures the report of a large sweep: seconds to write, size of the page, and time the browser is busy opening it.

    python benchmarks/report.py [--trials 1000] [--rows 200]

Targets: 10 s for 1,000 trials of 200 rows, 8 MB, and no task of the page's main thread that a reader would notice as a
freeze. Chromium's own Long Tasks API reports those of more than 50 ms, while the page is opened and scrolled to its end.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from tests.browser import browser  # noqa: E402
from tests.report_sweeps import write_sweep  # noqa: E402

WATCH = """
window.longTasks = [];
new PerformanceObserver((list) => { for (const task of list.getEntries()) longTasks.push(task.duration); })
  .observe({ type: "longtask", buffered: true });
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trials", type=int, default=1000)
    parser.add_argument("--rows", type=int, default=200)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        base = Path(folder)
        paths = write_sweep(base, "large123", arguments.trials, arguments.rows)
        command = [sys.executable, ROOT / "tools" / "report.py", "--sweep_id", "large123", "--results_dir", base]
        started = time.perf_counter()
        subprocess.run([*map(str, command)], check=True, capture_output=True)
        took = time.perf_counter() - started
        page = paths.dir / "report.html"
        print(
            f"report of {arguments.trials} trials of {arguments.rows} rows: {took:.2f} s, {page.stat().st_size / 1e6:.2f} MB"
        )
        with browser(base / "profile") as chromium:
            chromium.driver.execute_cdp_cmd("Page.addScriptToEvaluateOnNewDocument", {"source": WATCH})
            started = time.perf_counter()
            chromium.show(page)
            chromium.until("return document.querySelector('[data-plot=history]').dataset.drawn === 'yes'")
            first = time.perf_counter() - started
            height = chromium.run("return document.documentElement.scrollHeight")
            for top in range(0, height, 700):
                chromium.run(f"scrollTo(0, {top})")
                time.sleep(0.3)
            chromium.until("return report.done")
            tasks = sorted(chromium.run("return longTasks"), reverse=True)
            shown = ", ".join(f"{task:.0f}" for task in tasks[:6])
            print(
                f"first plot after {first:.2f} s; tasks over 50 ms: {len(tasks)}, the longest {shown} ms; all {sum(tasks):.0f} ms"
            )


if __name__ == "__main__":
    main()
