"""Measures the report of a large sweep: seconds to write, size of the page, how soon it is there and answers.

    python benchmarks/report.py [--trials 1000] [--rows 200]

Targets: 1,000 trials of 200 rows are written in 10 s (10,000 in 20 s), as 8 MB; the first paint is there within 1 s; the table
is filtered, sorted and turned in 100 ms; no task of the page's main thread freezes it. Chromium's own Long Tasks API reports
those of more than 50 ms, while the page is opened and scrolled to its end. An act's time is from the order to the laid-out
table, in the page itself; the median of nine, and the shortest. Pictures below the window follow later, when they come into view.
"""

from __future__ import annotations

import argparse
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from tests.browser import Page, browser  # noqa: E402
from tests.report_sweeps import METRIC, write_sweep  # noqa: E402

WATCH = """
window.longTasks = [];
new PerformanceObserver((list) => { for (const task of list.getEntries()) longTasks.push(task.duration); })
  .observe({ type: "longtask", buffered: true });
"""

PAINT = "return performance.getEntriesByName('first-contentful-paint').map((entry) => entry.startTime)[0]"
ACTS = {  # changes of what is looked at; n differs each time, so that nothing is there already
    "filter": f"{{ where: `{METRIC} > ${{20 + n}} and base_lr < 1e-3` }}",
    "sort": "{ where: '', sort: [['margin', n % 2 ? '+' : '-']] }",
    "turn the page": "{ where: '', page: 2 + n }",
}
ACT = """
const times = [];
for (let n = 0; n < 9; n++) {{
  const began = performance.now();
  report.store.set({change});
  document.getElementById("table").getBoundingClientRect();  // lays the table out
  times.push(performance.now() - began);
}}
return times.sort((a, b) => a - b);
"""


def acts(chromium: Page) -> str:
    """Says how long the table's acts take: the median of nine, and the shortest."""
    told = []
    for name, change in ACTS.items():
        times = chromium.run(ACT.format(change=change))
        told.append(f"{name} {times[4]:.0f} ms (at least {times[0]:.0f})")
    return ", ".join(told)


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
        used = resource.getrusage(resource.RUSAGE_CHILDREN)
        page = paths.dir / "report.html"
        print(
            f"report of {arguments.trials} trials of {arguments.rows} rows: {took:.2f} s "
            f"({used.ru_utime + used.ru_stime:.2f} s of processors), {page.stat().st_size / 1e6:.2f} MB"
        )
        with browser(base / "profile") as chromium:
            chromium.driver.execute_cdp_cmd("Page.addScriptToEvaluateOnNewDocument", {"source": WATCH})
            started = time.perf_counter()
            chromium.show(page)
            chromium.until("return Boolean(window.report && document.getElementById('where'))")
            chromium.run("document.getElementById('history').scrollIntoView()")
            chromium.until("return document.querySelector('[data-plot=history]').dataset.drawn === 'yes'")
            first = time.perf_counter() - started
            print(f"first paint after {chromium.run(PAINT):.0f} ms; {acts(chromium)}")
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
