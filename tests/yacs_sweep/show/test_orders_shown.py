"""Orders in `--status` and in the report."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from tests.launches import FakeLaunch, sweep_folder
from yacs_sweep.base.values import utc_after, utc_now
from yacs_sweep.records.control.order_file import OrderFile
from yacs_sweep.records.control.orders import answer_to, new_order
from yacs_sweep.records.folder import SweepPaths, TrialRecord
from yacs_sweep.show.report.data import read_local
from yacs_sweep.show.report.findings import Findings
from yacs_sweep.show.report.page.figures import timeline
from yacs_sweep.show.report.page.html import page
from yacs_sweep.show.report.text import as_json, as_markdown
from yacs_sweep.show.status import show

ALICE = {"user": "alice", "host": "box"}


@pytest.fixture
def paths(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> SweepPaths:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    return sweep_folder(tmp_path / "log")


def status(paths: SweepPaths, capsys: pytest.CaptureFixture[str], sweep: str | None = "k3v9x2ab") -> str:
    show(sweep, str(paths.base), watch=False)
    return capsys.readouterr().out


def test_status_says_by_whom_a_sweep_is_paused(paths: SweepPaths, capsys: pytest.CaptureFixture[str]) -> None:
    log = OrderFile(paths)
    log.append(replace(new_order("pause"), at=utc_after(utc_now(), -725), **ALICE))
    with FakeLaunch(paths):
        show("k3v9x2ab", str(paths.base), watch=False, as_json=True)
        found = json.loads(capsys.readouterr().out)["order"]
        assert (found["act"], found["by"]) == ("pause", "alice@box")
        assert "paused  by alice@box 12 min ago; resume with: " in status(paths, capsys)
        assert status(paths, capsys, None).splitlines()[1].split()[0] == "paused"
    log.append(new_order("resume"))
    assert "alice@box" not in status(paths, capsys)
    assert status(paths, capsys, None).splitlines()[1].split()[0] == "open"


def test_status_says_by_whom_a_sweep_was_ended_until_a_trial_follows(
    paths: SweepPaths, capsys: pytest.CaptureFixture[str]
) -> None:
    OrderFile(paths).append(replace(new_order("cancel"), at=utc_after(utc_now(), -7200), **ALICE))
    assert "cancelled  by alice@box 2 h ago" in status(paths, capsys)
    record = TrialRecord("c", "c", 3, {"lr": 0.1}, "finished", started=utc_now())
    paths.trial("c").dir.mkdir()
    record.save(paths.trial("c"))
    assert "alice@box" not in status(paths, capsys)


def test_a_sweep_without_orders_is_shown_as_before(paths: SweepPaths) -> None:
    findings = Findings.of(read_local(paths))
    assert 'id="orders"' not in page(findings)
    assert "Orders" not in as_markdown(findings)
    assert "orders" not in json.loads(as_json(findings))


def test_the_report_lists_the_orders(paths: SweepPaths) -> None:
    log, order = OrderFile(paths), replace(new_order("pause"), at="2026-11-30T12:00:05+00:00", user="<b>", host="box")
    log.append(order)
    log.append(replace(answer_to(order, "paused | held"), host="box", pid=7))
    findings = Findings.of(read_local(paths))
    html = page(findings)
    assert "2026-11-30 12:00:05 UTC" in html
    assert "&lt;b&gt;@box" in html
    assert "<b>@box" not in html
    text = as_markdown(findings)
    assert "## Orders to the running sweep" in text
    assert "| pause | paused \\| held (box, process 7) |" in text
    (row,) = json.loads(as_json(findings))["orders"]
    assert row["order"]["act"] == "pause"
    assert row["answers"][0]["host"] == "box"


def test_the_timeline_marks_the_orders(paths: SweepPaths) -> None:
    record = TrialRecord(
        "c", "c", 3, {"lr": 0.1}, "finished", started="2026-11-30T12:00:00+00:00", ended="2026-11-30T12:30:00+00:00"
    )
    paths.trial("c").dir.mkdir()
    record.save(paths.trial("c"))
    OrderFile(paths).append(replace(new_order("pause"), at="2026-11-30T12:10:00+00:00", **ALICE))
    assert timeline(read_local(paths))["orders"] == [[600.0, "pause by alice@box"]]
