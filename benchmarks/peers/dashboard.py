"""Measures optuna-dashboard and the served report beside each other: how soon a page of the same trials is there.

    uv venv DASHBOARD && uv pip install --python DASHBOARD optuna-dashboard
    python benchmarks/peers/dashboard.py DASHBOARD/bin/optuna-dashboard [--trials 1000] [--rounds 5]

Both servers run and have made the page once. Each round opens both pages with an empty cache, one after the other, and notes when
the browser has painted first, and when the best trial's value stands on the page; then it filters the trials by state. What
counts are the ratios, as both run on the same machine at the same time.
"""

from __future__ import annotations

import argparse
import json
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent.parent
sys.path.insert(0, str(ROOT))

from tests.browser import Page, browser  # noqa: E402
from tests.report_sweeps import METRIC, write_sweep  # noqa: E402
from tests.yacs_sweep.serve.serving import serving  # noqa: E402
from yacs_sweep.base.values import finite_number  # noqa: E402
from yacs_sweep.records.folder import SweepPaths, TrialRecord  # noqa: E402
from yacs_sweep.records.metrics import readable_metrics  # noqa: E402

PAINT = "return performance.getEntriesByName('first-contentful-paint').map((entry) => entry.startTime)[0] ?? null"
WATCH = """
window.shownAt = null;
const timer = setInterval(() => {
  const found = document.evaluate(%s, document, null, XPathResult.BOOLEAN_TYPE, null).booleanValue;
  if (found) { window.shownAt = performance.now(); clearInterval(timer); }
}, 10);
"""
# Clicks, and waits until the text that counts the trials has changed and a frame was drawn.
FILTERED = """
const done = arguments[arguments.length - 1], count = () => %s, before = count(), began = performance.now();
%s;
(function look() {
  if (count() !== before) requestAnimationFrame(() => done(performance.now() - began)); else setTimeout(look, 1);
})();
"""
THEIR_COUNT = (
    "document.evaluate(\"//*[not(*) and contains(., ' Trials')]\", document, null, 9, null)"
    ".singleNodeValue?.textContent"
)
THEIR_FILTER = (
    "[...document.querySelectorAll('[role=menuitem]')].find((item) => item.textContent.includes('Complete')).click()"
)
OUR_FILTER = "report.store.set({ where: \"state == 'failed'\" })"
OUR_COUNT = "document.getElementById('where-shown').textContent"


def write_study(paths: SweepPaths, file: Path) -> None:
    """Writes the sweep's trials as an Optuna study, with the metric's values as intermediate ones."""
    import optuna
    from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    records = sorted(paths.records(), key=lambda record: record.number)
    spaces: dict[str, BaseDistribution] = {}
    for name in {name for record in records for name in record.params}:
        values = [record.params[name] for record in records if name in record.params]
        numbers = all(finite_number(value) for value in values)
        choices = sorted({json.dumps(value) for value in values})
        spaces[name] = FloatDistribution(min(values), max(values)) if numbers else CategoricalDistribution(choices)
    backend = optuna.storages.journal.JournalFileBackend(str(file))
    storage = optuna.storages.JournalStorage(backend)
    optuna.create_study(storage=storage, study_name="first")  # a study of number 0 has no page
    study = optuna.create_study(storage=storage, study_name=paths.sweep_id, direction="maximize")
    study.add_trials([_trial(paths, record, spaces) for record in records])


def _trial(paths: SweepPaths, record: TrialRecord, spaces: dict[str, Any]) -> Any:
    """Makes Optuna's trial of a record."""
    from optuna.distributions import CategoricalDistribution
    from optuna.trial import TrialState, create_trial

    rows = readable_metrics(paths.trial(record.name).metrics)
    ended = record.state == "finished" and finite_number(record.value)
    return create_trial(
        state=TrialState.COMPLETE if ended else TrialState.FAIL,
        value=record.value if ended else None,
        params={
            name: json.dumps(value) if isinstance(spaces[name], CategoricalDistribution) else value
            for name, value in record.params.items()
        },
        distributions={name: spaces[name] for name in record.params},
        intermediate_values={row["step"]: row[METRIC] for row in rows if METRIC in row},
    )


@contextmanager
def dashboard(program: str, study: Path) -> Iterator[str]:
    """Runs optuna-dashboard; yields the address of the study's page, which has been made once."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    words = [program, str(study), "--port", str(port)]
    process = subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        home = f"http://127.0.0.1:{port}"
        for _ in range(600):
            with suppress(OSError):
                urllib.request.urlopen(f"{home}/api/studies/1?after=0").read()
                break
            time.sleep(0.1)
        yield f"{home}/dashboard/studies/1"
    finally:
        process.terminate()
        process.wait()


def opened(page: Page, address: str, sign: str) -> tuple[float, float]:
    """Opens a page with an empty cache; returns the milliseconds until the first paint, and until the sign is there."""
    page.driver.get("about:blank")
    page.driver.execute_cdp_cmd("Network.clearBrowserCache", {})
    script = page.driver.execute_cdp_cmd("Page.addScriptToEvaluateOnNewDocument", {"source": WATCH % json.dumps(sign)})
    page.driver.get(address)
    page.until("return window.shownAt !== null && window.shownAt !== undefined")
    page.driver.execute_cdp_cmd("Page.removeScriptToEvaluateOnNewDocument", script)
    paint: float = page.run(PAINT)
    return paint, max(paint, page.run("return window.shownAt"))  # what is there before the first paint is seen with it


def filtered(page: Page, count: str, act: str) -> float:
    """Filters the trials by state; returns the milliseconds until the page counts what is left."""
    page.driver.set_script_timeout(60)
    took: float = page.driver.execute_async_script(FILTERED % (count, act))
    return took


def main() -> None:
    """Prints the medians of both, and their ratios."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("program", help="optuna-dashboard, in an environment of its own")
    parser.add_argument("--trials", type=int, default=1000)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    ours: dict[str, list[float]] = {"first paint": [], "the best trial": [], "a filter": []}
    theirs: dict[str, list[float]] = {name: [] for name in ours}
    with tempfile.TemporaryDirectory() as folder:
        paths = write_sweep(Path(folder), "k3v9x2ab", options.trials, 200)
        write_study(paths, Path(folder) / "study.journal")
        with (
            dashboard(options.program, Path(folder) / "study.journal") as address,
            serving(Path(folder), "--sweep_id", paths.sweep_id, "--results_dir", folder) as server,
            browser(Path(folder) / "profile") as page,
        ):
            server.ask(f"/sweep/{paths.sweep_id}/ready")
            page.driver.get(server.address)
            for _ in range(options.rounds):
                for found, where, sign in (
                    (ours, f"{server.home}/sweep/{paths.sweep_id}", "//h2[contains(., 'Best configuration')]"),
                    (theirs, address, "//*[contains(text(), 'Best Trial')]"),
                ):
                    paint, shown = opened(page, where, sign)
                    found["first paint"].append(paint)
                    found["the best trial"].append(shown)
                    if found is ours:
                        page.until(f"return Boolean(document.getElementById('where-shown')) && {OUR_COUNT} !== ''")
                        found["a filter"].append(filtered(page, OUR_COUNT, OUR_FILTER))
                    else:
                        page.driver.get(f"{where}/trials")
                        page.until(f"return {THEIR_COUNT}?.startsWith('{options.trials} ')")
                        page.run("document.querySelector('[aria-label=Filter]').click()")
                        page.until("return document.querySelectorAll('[role=menuitem]').length > 0")
                        found["a filter"].append(filtered(page, THEIR_COUNT, THEIR_FILTER))
    for name in ours:
        one, other = statistics.median(ours[name]), statistics.median(theirs[name])
        print(
            f"{name:16} served report {one:7.0f} ms, optuna-dashboard {other:7.0f} ms: {other / one:.1f} times as long"
        )


if __name__ == "__main__":
    main()
