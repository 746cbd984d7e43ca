"""The served page in a real browser, beside a sweep that really runs."""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.axe import faults
from tests.browser import Page, browser
from tests.launches import FakeLaunch, seeds_folder, sweep_folder, wait_for, write_seed
from tests.report_sweeps import HOSTILE
from tests.sweeping import start, write_sweep
from tests.yacs_sweep.serve.serving import Cable, serving
from yacs_sweep.records.folder import SweepPaths

RANDOM: dict[str, Any] = {
    "method": "random",
    "metric": {"name": "val/mAP", "goal": "maximize"},
    "parameters": {"base_lr": {"min": 0.0001, "max": 0.01}},
}


@pytest.fixture
def cable() -> Cable:
    return Cable()


@pytest.fixture
def chromium(tmp_path: Path, cable: Cable) -> Iterator[Page]:
    with browser(tmp_path / "profile", cable.flag) as found:
        yield found


def ended(process: subprocess.Popen[str]) -> int:
    process.communicate(timeout=60)
    return process.returncode


CLICK = (
    "[...document.querySelectorAll('#live button, dialog button')].find((b) => b.textContent.startsWith('{}')).click()"
)
SEEN = """
window.seen = {};
const take = report.live.take;
report.live.take = (changes, whole) => {
  for (const [name, rows] of Object.entries(whole ? {} : changes.rows || {})) {
    (seen[name] ||= []).push(...rows.map((row) => row.step));
  }
  take(changes, whole);
};
"""
BEGUN = (
    "[...document.querySelectorAll('#running tbody tr')].map((row) => row.dataset.trial)"
    ".find((name) => !report.store.details[name])"
)
# The answer to an order comes after the news that its trial has ended.
LATE_ANSWER = """
    const real = fetch;
    window.fetch = async (...given) => {
        const answer = await real(...given);
        if (given[1]?.method !== "POST") return answer;
        while (document.querySelector('#running [data-trial="VICTIM"]')) await new Promise((go) => setTimeout(go, 50));
        window.fetch = real;
        return answer;
    };
"""
POINTS = (
    "document.getElementById('add-points').value = '{}'; document.querySelector('.control form.points').requestSubmit()"
)
GPUS = "document.getElementById('set-gpus').value = '{}'; document.getElementById('set-gpus').closest('form').requestSubmit()"
ANSWER = "return document.querySelector('.control .told').textContent.includes('{}')"


def test_the_page_follows_a_sweep_and_its_buttons_work(chromium: Page, cable: Cable, tmp_path: Path) -> None:
    """One browser and one sweep for everything that the page does."""
    hostile = sweep_folder(tmp_path / "log/sweep", "hostile1", name=HOSTILE)
    head = {
        "name": HOSTILE,
        "metric": {"name": HOSTILE},
        "counts": {},
        "best": {"name": "x", "value": 1.0},
        "trials": [],
    }
    hostile.summary.write_text(json.dumps(head))
    sweep_file = write_sweep(tmp_path, {"name": "slow", **RANDOM})
    long = ("TOY.SECONDS", "600")  # after its first row a trial writes none: the others are this test's
    launch = start(tmp_path, "--sweep-config", sweep_file, "--count", "30", "--workers", "2", *long)
    try:
        wait_for(lambda: len(list(tmp_path.glob("log/sweep/sweep/*/*/metrics.jsonl"))) > 0, 60)
        (folder,) = {path.parent.parent for path in tmp_path.glob("log/sweep/sweep/*/*/metrics.jsonl")}
        paths = SweepPaths(tmp_path / "log/sweep", folder.name)
        with serving(tmp_path, "--port", str(cable.server_port)) as server:
            # The index: both sweeps, one of them running; the token is not in the address any more.
            chromium.driver.get(server.address)
            assert chromium.run("return location.href") == server.home + "/"
            chromium.until("return document.querySelector('#sweeps .state.running') !== null")
            names = chromium.run(
                "return [...document.querySelectorAll('#sweeps tbody tr')].map((row) => row.dataset.id)"
            )
            assert set(names) == {paths.sweep_id, hostile.sweep_id}
            link = f"return document.querySelector('[data-id=\"{paths.sweep_id}\"] a').textContent"
            assert chromium.run(link) == f"{paths.sweep_id} slow"
            assert "<img src=x onerror=alert(2)>" in chromium.run("return document.body.textContent")
            assert chromium.messages() == []
            assert faults(chromium) == []

            # The sweep's page: a row is there soon after it was written (benchmarks/served_page.py: 0.2 s).
            chromium.run(f"document.querySelector('[data-id=\"{paths.sweep_id}\"] a').click()")
            chromium.until("return document.querySelector('#running tbody tr') !== null")
            name = chromium.run("return document.querySelector('#running tbody tr').dataset.trial")
            chromium.until("return document.querySelector('.connection.open') !== null")
            with paths.trial(name).metrics.open("a") as file:
                file.write('{"step": 999, "epoch": 77, "val/mAP": 12.5}\n')
            metric = f"document.querySelector('#running [data-trial=\"{name}\"]')?.cells[3].firstChild.textContent"
            chromium.until(f"return {metric} === '12.5'", 60)
            nav = "return [...document.querySelectorAll('nav a')].slice(0, 1).map((a) => a.hash + a.textContent)"
            assert chromium.run(nav) == ["#liveLive"]
            above = "return document.querySelector('.to-index').getBoundingClientRect().bottom"
            assert chromium.run(above) < 100

            # The table of the report has the trial, its new values, and loads anew when one has ended.
            value = f"report.store.value(report.store.row('{name}'), 'val/mAP')"
            chromium.until(f"return {value} === 12.5", 60)
            curve = f"report.store.curves['{name}']['val/mAP']"
            assert chromium.run(f"return [{curve}.x.at(-1), {curve}.y.at(-1)]") == [77, 12.5]

            assert faults(chromium) == []

            # A later row without the metric: the metric keeps its own epoch.
            with paths.trial(name).metrics.open("a") as file:
                file.write('{"step": 1000, "epoch": 78, "train/loss": 1.5}\n')
            cells = f"document.querySelector('#running [data-trial=\"{name}\"]').cells"
            chromium.until(f"return {cells}[3].textContent === '12.5 (epoch 77)'", 60)
            assert "running" in chromium.run("return document.querySelector('.tiles').textContent")

            # The connection breaks: rows that are written meanwhile come afterwards, each once (Last-Event-ID).
            chromium.run(SEEN)
            cable.pull_out()
            chromium.until("return document.querySelector('.connection.lost') !== null", 30)
            with paths.trial(name).metrics.open("a") as file:
                file.write('{"step": 1001, "val/mAP": 13.5}\n{"step": 1002, "val/mAP": 14.5}\n')
            time.sleep(1.5)  # the server has read these rows, and nobody listens
            cable.plug_in()
            chromium.until("return document.querySelector('.connection.open') !== null", 30)
            chromium.until(f"return {metric} === '14.5'", 60)
            assert chromium.run(f"return seen['{name}'].filter((step) => step > 1000)") == [1001, 1002]
            chromium.until(f"return {value} === 14.5", 60)
            chromium.messages()  # of the connection that broke

            # Pause, resume: the button says what it will do.
            chromium.run(CLICK.format("Pause"))
            chromium.until(ANSWER.format("paused"))
            chromium.until("return document.querySelector('#live .headline .state.paused') !== null")
            chromium.run(CLICK.format("Resume"))
            chromium.until("return document.querySelector('#live .headline .state.running') !== null")

            # What ends something asks first; Escape, or the first button, changes nothing.
            chromium.until("return document.querySelector('#running tbody tr') !== null")
            chromium.run("document.querySelector('#running tbody button').click()")
            assert chromium.run("return document.activeElement.textContent") == "Change nothing"
            chromium.run(CLICK.format("Change nothing"))
            chromium.until("return document.querySelector('dialog') === null")
            victim = chromium.run("return document.querySelector('#running tbody tr').dataset.trial")
            chromium.run(LATE_ANSWER.replace("VICTIM", victim))
            chromium.run("document.querySelector('#running tbody button').click()")
            chromium.run(CLICK.format("Stop the trial"))
            ended_there = f"report.store.field(report.store.row('{victim}'), 'state')"
            chromium.until(f"return !['running', null].includes({ended_there})", 60)
            record = paths.record(victim)
            assert record is not None and record.state == "stopped"
            told = "[...document.querySelectorAll('#live > .told')].map((each) => each.textContent).join()"
            chromium.until(f"return {told} === '{victim} has ended.'", 60)

            chromium.until(f"return report.store.field(report.store.row('{victim}'), 'state') === '{record.state}'", 60)
            chromium.run("document.getElementById('reload')?.click()")
            chromium.until("return document.querySelector('.news').hidden", 30)
            assert chromium.run("return document.querySelector('header h1').textContent") == "slow"
            assert chromium.run(f"return report.store.field(report.store.row('{victim}'), 'state')") == record.state

            # The number of workers, with the keyboard.
            chromium.run(
                "document.getElementById('set-workers').value = 3; document.querySelector('.control form').requestSubmit()"
            )
            chromium.until(ANSWER.format("3"))
            chromium.until("return document.querySelectorAll('#running tbody tr').length === 3", 30)

            # A trial that began after the page was made has a page of its own, whose output follows.
            chromium.until(f"return {BEGUN} !== undefined", 60)
            begun_since = chromium.run(f"return {BEGUN}")
            chromium.run(f"document.querySelector('#running [data-trial=\"{begun_since}\"] a').click()")
            chromium.until(f"return report.store.details['{begun_since}']?.command?.includes('train.py')", 60)
            with paths.trial(begun_since).stdout.open("a") as file:
                file.write("a line that was printed later\n")
            chromium.until("return document.querySelector('.tail')?.textContent.includes('printed later')", 30)
            chromium.run("report.store.set({ trial: null })")

            # Points to try next: a mistake is shown below them, and nothing is lost of what was typed.
            chromium.run("document.querySelector('.control details').open = true")
            chromium.run(POINTS.format("- {nosuch: 1}"))
            told = "document.getElementById('add-points-answer').textContent"
            chromium.until(f"return {told}.includes('nosuch: is not searched by this sweep')", 30)
            assert chromium.run("return document.getElementById('add-points').value") == "- {nosuch: 1}"
            assert faults(chromium) == []
            chromium.run(POINTS.format("- {base_lr: 0.005}"))
            chromium.until(f"return {told} !== '' && !{told}.startsWith('The order') && !{told}.startsWith('Not')", 30)
            chromium.run(GPUS.format("0,,1"))
            chromium.until(ANSWER.format("names no GPU between two commas"), 30)
            assert all("422" in message for message in chromium.messages())  # of the two orders that were refused

            # A phone: nothing hangs over the side; another page, hostile in its name.
            chromium._tell(
                "Emulation.setDeviceMetricsOverride", width=390, height=800, deviceScaleFactor=1, mobile=True
            )
            wide = "return document.documentElement.scrollWidth - document.documentElement.clientWidth"
            chromium.driver.refresh()
            chromium.until("return document.querySelector('#running tbody tr') !== null")
            assert chromium.run(wide) <= 0
            assert faults(chromium) == []
            chromium.driver.get(f"{server.home}/sweep/hostile1")
            chromium.until("return document.querySelector('.connection.open') !== null")
            assert chromium.run("return document.querySelectorAll('img, b > script').length") == 0
            assert chromium.run(wide) <= 0

            chromium.driver.get(f"{server.home}/")
            over = "const box = document.querySelector('.index .scroll'); return box.scrollWidth - box.clientWidth"
            assert chromium.run(over) <= 0

            # A sweep with repeats: a point has the mean of its seeds as soon as one has ended, without all data.
            seeds = seeds_folder(tmp_path / "log/sweep")
            with FakeLaunch(seeds):
                wait_for(lambda: server.ask("/sweep/repeats1/ready").status == 204, 30)
                chromium.driver.get(f"{server.home}/sweep/repeats1#trial=point-0001")
                chromium.until("return document.querySelector('.connection.open') !== null")
                chromium.run("window.fetch = () => new Promise(() => {})")
                point = "report.store.field(report.store.row('point-0001'), '{}')"
                assert chromium.run(f"return [{point.format('value')}, {point.format('rank')}]") == [2, None]
                last = seeds.record("early-fox-4")
                assert last is not None
                last.state, last.value = "finished", 4.0
                write_seed(seeds, last, [5.0, 4.0])
                chromium.until(f"return {point.format('value')} === 3", 60)
                assert chromium.run(f"return [{point.format('seeds')}, {point.format('rank')}]") == [2, 2]
                assert chromium.run("return report.store.field(report.store.row('point-0000'), 'rank')") == 1
                assert chromium.run("return report.store.curves['point-0001'].loss.y") == [7, 3]
                chromium.until(
                    "return document.querySelector('#view table').textContent.includes('early-fox-42finished4')"
                )

            # Cancel: the launch ends, and the page says so.
            chromium.driver.get(f"{server.home}/sweep/{paths.sweep_id}")
            chromium.until("return document.querySelector('.connection.open') !== null")
            chromium.run(CLICK.format("Cancel"))
            chromium.run(CLICK.format("Cancel the sweep"))
            assert ended(launch) == 130
            chromium.until("return document.querySelector('#live .headline .state.cancelled') !== null")
            chromium.until("return document.querySelector('.connection.over') !== null", 30)
            pause = "[...document.querySelectorAll('#live button')].find((b) => b.textContent === 'Pause')"
            assert chromium.run(f"return {pause}.disabled")
            assert chromium.run("return document.querySelector('.control .told').textContent") == ""
            assert chromium.messages() == []
    finally:
        launch.terminate()
        launch.communicate(timeout=60)
