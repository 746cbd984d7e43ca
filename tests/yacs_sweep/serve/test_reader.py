"""What the server reads of a running sweep, and how browsers get it that come late, are slow, or were cut off."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.launches import FakeLaunch, seeds_folder, sweep_folder, write_seed
from yacs_sweep.base.values import to_json
from yacs_sweep.records.control.order_file import OrderFile
from yacs_sweep.records.control.orders import answer_to, new_order
from yacs_sweep.records.folder import SweepPaths, TrialRecord
from yacs_sweep.serve import hub as hubs
from yacs_sweep.serve import reader as readers
from yacs_sweep.serve.hub import Hub
from yacs_sweep.serve.overview import Overview, age
from yacs_sweep.serve.points import PointRows
from yacs_sweep.serve.reader import SweepReader, fit_rows
from yacs_sweep.show.report.data import read_local
from yacs_sweep.show.report.findings import Findings
from yacs_sweep.show.report.page.blob import blob


@pytest.fixture
def paths(tmp_path: Path) -> SweepPaths:
    return sweep_folder(tmp_path)


def log(paths: SweepPaths, name: str, *rows: Mapping[str, Any]) -> None:
    with paths.trial(name).metrics.open("a") as file:
        file.writelines(json.dumps(row) + "\n" for row in rows)


def test_the_last_values_of_a_running_trial_keep_their_own_epochs(paths: SweepPaths) -> None:
    one, two = {"step": 4, "epoch": 4, "mAP": 41.3}, {"step": 5, "epoch": 5, "loss": 0.5}
    log(paths, "calm-heron-2", {"step": 3, "epoch": 3, "mAP": 40.0, "loss": 0.6}, one, two)
    assert SweepReader(paths).whole()["rows"] == {"calm-heron-2": [one, two]}


def test_a_poll_returns_what_has_changed_since_the_last_one(paths: SweepPaths) -> None:
    log(paths, "calm-heron-2", {"step": 0, "epoch": 1, "loss": 0.5, "note": "text"})
    reader = SweepReader(paths)
    first = reader.poll()
    assert first is not None and first["state"]["counts"] == {"running": 1, "finished": 1}
    assert first["rows"] == {"calm-heron-2": [{"step": 0, "epoch": 1, "loss": 0.5}]}
    assert reader.poll() is None
    log(paths, "calm-heron-2", {"step": 1, "loss": 0.4}, {"step": 2, "loss": float("nan")})
    assert (
        to_json(reader.poll()) == '{"rows": {"calm-heron-2": [{"step": 1, "loss": 0.4}, {"step": 2, "loss": "NaN"}]}}'
    )
    with paths.trial("calm-heron-2").metrics.open("a") as file:
        file.write('{"step": 3, "loss":')  # half a line: its agent is writing
    assert reader.poll() is None
    # A trial begins, and another ends with its last row.
    begun = TrialRecord("new", "new-hawk-3", 3, {"lr": 0.02, "optimizer": "adam"})
    paths.trial(begun.name).dir.mkdir()
    begun.save(paths.trial(begun.name))
    ended = paths.record("calm-heron-2")
    assert ended is not None
    ended.state, ended.value, ended.ended = "finished", 0.25, "2026-11-30T10:00:00Z"
    ended.save(paths.trial(ended.name))
    with paths.trial("calm-heron-2").metrics.open("a") as file:
        file.write(" 0.25}\n")
    found = reader.poll()
    assert found is not None
    assert {(each["name"], each["state"]) for each in found["trials"]} == {
        ("calm-heron-2", "finished"),
        ("new-hawk-3", "running"),
    }
    assert found["rows"] == {"calm-heron-2": [{"step": 3, "loss": 0.25}]}
    assert found["state"]["best"]["name"] == "calm-heron-2"
    assert [each["name"] for each in reader.whole()["trials"]] == ["new-hawk-3"]


def test_points_that_have_changed_are_as_the_page_has_them(tmp_path: Path) -> None:
    paths = seeds_folder(tmp_path)
    reader = SweepReader(paths)
    reader.poll()
    assert reader.poll() is None
    ended = paths.record("early-fox-4")
    assert ended is not None
    ended.state, ended.value, ended.ended = "finished", 1.0, "2026-11-30T10:00:00Z"
    write_seed(paths, ended, [8.0, 3.0, 1.0])
    found = reader.poll()
    assert found is not None
    points, whole = found["points"], blob(Findings.of(read_local(paths)))
    assert points["trials"]["name"] == ["point-0001"]
    assert points["trials"]["value"] == [1.5] and points["trials"]["seeds"] == [2]
    assert points["ranks"] == {"point-0001": 1, "point-0000": 2}  # the other one was the best
    place = whole["trials"]["name"].index("point-0001")
    for name, values in whole["trials"].items():
        of = points["trials"].get(name)
        if isinstance(values, dict):
            assert {key: each[0] for key, each in of.items()} == {key: each[place] for key, each in values.items()}
        else:
            assert (None if of is None else of[0]) == values[place], name
    assert points["curves"] == {"point-0001": whole["curves"]["point-0001"]}
    assert reader.poll() is None


def test_points_are_made_again_with_a_fiftieth_of_the_time(tmp_path: Path) -> None:
    paths = seeds_folder(tmp_path)
    moment = [100.0]

    def now() -> float:
        moment[0] += 1.0  # what a poll seems to take
        return moment[0]

    rows = PointRows(paths, now=now)
    records = list(paths.records())
    rows.begin(records)
    first = rows.poll(records, ["brisk-otter-1"])
    assert first is not None and first["trials"]["name"] == ["point-0000"]
    assert rows.poll(records, ["dry-owl-3"]) is None
    moment[0] += 200
    late = rows.poll(records, [])
    assert late is not None and late["trials"]["name"] == ["point-0001"]


def test_orders_and_answers_are_told(paths: SweepPaths) -> None:
    reader = SweepReader(paths)
    reader.poll()
    order = new_order("pause")
    OrderFile(paths).append(order)
    found = reader.poll()
    assert found is not None and found["state"]["order"]["act"] == "pause"
    assert [(each["text"], each["answers"]) for each in found["orders"]] == [("pause", [])]
    OrderFile(paths).append(answer_to(order, "paused"))
    found = reader.poll()
    assert found is not None and found["orders"][0]["answers"][0]["text"] == "paused"


def test_a_sweep_is_over_when_nobody_has_worked_on_it_for_a_while(
    paths: SweepPaths, monkeypatch: pytest.MonkeyPatch
) -> None:
    moment = [1000.0]
    monkeypatch.setattr(readers.time, "monotonic", lambda: moment[0])
    reader = SweepReader(paths)
    with FakeLaunch(paths):
        reader.poll()
        moment[0] += 60
        reader.poll()
        assert not reader.over
    moment[0] += 5
    found = reader.poll()
    assert found is not None and found["state"]["running"] is False
    assert not reader.over
    moment[0] += readers.QUIET
    reader.poll()
    assert reader.over


def test_a_trial_of_many_polls_costs_a_look_at_its_size(paths: SweepPaths, monkeypatch: pytest.MonkeyPatch) -> None:
    reader = SweepReader(paths)
    reader.poll()
    opened: list[str] = []
    real = os.open
    monkeypatch.setattr(
        os, "open", lambda path, *rest, **more: (opened.append(str(path)), real(path, *rest, **more))[1]
    )
    for _ in range(3):
        assert reader.poll() is None
    assert opened == []


def test_rows_are_thinned_to_what_a_poll_may_send() -> None:
    rows = [{"step": step, "a": 1.5, **({"b": step} if step % 7 == 0 else {})} for step in range(5000)]
    found = fit_rows({f"trial-{number}": rows for number in range(30)})
    assert len(to_json(found)) <= readers.ROW_BYTES
    for each in found.values():
        assert 1 <= len(each) <= readers.ROWS
        assert each[-1]["step"] == 4999 and each[-1]["b"] == 4998
        assert [row["step"] for row in each] == sorted(row["step"] for row in each)
    assert fit_rows({"one": rows[:3]}) == {"one": rows[:3]}


class Made:
    """A source of numbered changes."""

    over = False

    def __init__(self) -> None:
        self.changes: list[dict[str, Any]] = []
        self.polls = 0

    def poll(self) -> dict[str, Any] | None:
        self.polls += 1
        return self.changes.pop(0) if self.changes else None

    def whole(self) -> dict[str, Any]:
        return {"whole": True}


def parsed(data: bytes) -> tuple[str, str, Any]:
    found = dict(line.partition(": ")[::2] for line in data.decode().splitlines() if line)
    return found.get("id", ""), found.get("event", ""), json.loads(found.get("data", "null"))


def test_browsers_share_one_reader_and_continue_where_they_were() -> None:
    async def main() -> None:
        source = Made()
        hub = Hub(source, 0.01)
        one, two = hub.listen(None), hub.listen(None)
        for stream in (one, two):
            assert (await anext(stream)).startswith(b"retry")
            assert parsed(await anext(stream))[1] == "whole"
        source.changes = [{"n": 1}, {"n": 2}]
        first = parsed(await anext(one))
        assert first[1:] == ("change", {"n": 1})
        assert parsed(await anext(one))[2] == {"n": 2}
        assert [parsed(await anext(two))[2] for _ in range(2)] == [{"n": 1}, {"n": 2}]
        await two.aclose()
        again = hub.listen(first[0])  # after a break
        assert [parsed(await anext(again))[1:] for _ in range(3)][1:] == [
            ("whole", {"whole": True}),
            ("change", {"n": 2}),
        ]
        for unknown in ("other-1", first[0].partition("-")[0] + "-99", "nonsense", "-"):
            stream = hub.listen(unknown)
            assert [parsed(data)[1] async for data in stream] == ["", "reload"]
        polls = source.polls
        await asyncio.sleep(0.2)
        assert source.polls - polls <= 25  # as often as for one browser
        hub.close()

    asyncio.run(main())


def test_a_slow_browser_is_cut_off_and_what_it_missed_is_kept_within_bounds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hubs, "WAITING", 4)
    monkeypatch.setattr(hubs, "KEPT", 2000)

    async def main() -> None:
        source = Made()
        hub = Hub(source, 0.0)
        stream = hub.listen(None)
        assert [parsed(await anext(stream))[1] for _ in range(2)] == ["", "whole"]
        source.changes = [{"n": number, "more": "x" * 100} for number in range(30)]
        await asyncio.sleep(2.5)
        assert not source.changes
        left = [data async for data in stream]
        assert len(left) <= 2
        assert sum(len(event) for _, event in hub._kept) <= 2000
        hub.close()

    asyncio.run(main())


def test_the_index_tells_what_has_changed(tmp_path: Path) -> None:
    one, two = sweep_folder(tmp_path, "aaaaaaa1"), sweep_folder(tmp_path, "aaaaaaa2")
    sweeps = [one, two]
    overview = Overview(lambda: sweeps)
    first = overview.poll()
    assert first is not None and [row["id"] for row in first["sweeps"]] == ["aaaaaaa1", "aaaaaaa2"]
    assert overview.poll() is None
    assert [age(0, now) for now in (30, 360, 9000, 4e5)] == ["now", "6 min ago", "2 h ago", "4 days ago"]
    with FakeLaunch(two):
        found = overview.poll()
        assert found is not None
        assert [(row["id"], row["state"]) for row in found["sweeps"]] == [("aaaaaaa2", "running")]
    sweeps.pop(0)
    found = overview.poll()
    assert found is not None and found["gone"] == ["aaaaaaa1"]
    assert [row["id"] for row in overview.whole()["sweeps"]] == ["aaaaaaa2"]
