"""`--notify-on`: when somebody is told while a sweep runs; a real server on loopback listens."""

from __future__ import annotations

import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from tests.sweeping import GRID, sweep, write_sweep
from tests.yacs_sweep.launch.notify.hook import Server, url
from yacs_sweep.launch.notify.content import describe_ending
from yacs_sweep.launch.notify.moments import GAP, WAITING, Ending, NewBest, Teller
from yacs_sweep.launch.options.read import contradictions, parse

OFFLINE = ("--wandb-mode", "disabled", "--controller", "local")


def test_the_first_value_is_no_news_and_later_ones_are_told_now_and_then() -> None:
    now = [0.0]
    watch = NewBest(None, lambda: now[0])
    assert not watch.after(None)
    assert not watch.after("a") and not watch.due  # a best of one
    assert not watch.after("a")
    assert watch.after("b") and not watch.due
    now[0] = 1.0
    assert not watch.after("c") and not watch.after("d") and watch.due
    now[0] = GAP - 1
    assert not watch.after("d")
    now[0] = GAP
    assert watch.after("d")  # the last of those in between, and once
    now[0] = 3 * GAP
    assert not watch.after("d")
    assert NewBest("x", lambda: 0.0).after("y")  # of a sweep that was resumed the best is known


def test_a_slow_server_holds_nothing_up_and_what_is_too_much_is_dropped(server: Server) -> None:
    server.pause = 0.3
    said: list[str] = []
    teller = Teller(url(server), said.append)
    began = time.monotonic()
    for _ in range(WAITING + 20):
        teller.tell(describe_ending([], 0, None))
    assert time.monotonic() - began < 0.25
    teller.close(0.1)
    assert time.monotonic() - began < 2.0 and not said
    assert len(server.bodies) <= WAITING + 1


def test_the_first_failure_and_the_end_are_told_with_the_table(tmp_path: Path, server: Server) -> None:
    spec = write_sweep(tmp_path, {**GRID, "name": "lr"})
    target = url(server).replace("http", "discord+http", 1)
    ran = sweep(
        tmp_path, "--sweep-config", spec, *OFFLINE, "--notify", target, "--notify-on", "end,first-failure",
        "TOY.MODE", "exit3",
    )  # fmt: skip
    assert ran.code == 1 and "warning" not in ran.out, ran.out + ran.err
    first, end = (body["content"] for _, _, body in server.bodies)
    assert first.startswith("first failure: ✗ trial-0000 failed after")
    assert "1 failed" in first  # told when it happened
    assert end.startswith("sweep ended, not every trial ended well. lr \\(") and "3 failed" in end


def test_a_new_best_is_told_and_the_end_only_where_that_is_asked_for(tmp_path: Path, server: Server) -> None:
    values = {**GRID, "name": "lr", "parameters": {"base_lr": {"values": [0.1, 0.01, 0.001]}}}  # each is better
    ran = sweep(
        tmp_path, "--sweep-config", write_sweep(tmp_path, values), *OFFLINE, "--seed", "1",
        "--notify", url(server), "--notify-on", "new-best",
    )  # fmt: skip
    assert ran.code == 0 and "warning" not in ran.out, ran.out + ran.err
    bodies = [body for _, _, body in server.bodies]
    assert [body["event"] for body in bodies] == ["new-best", "new-best"]  # the second one was held back to the end
    values_told = [body["trial"]["value"] for body in bodies]
    assert values_told == sorted(values_told) and values_told[-1] == ran.summary["best"]["value"]
    assert bodies[-1]["text"].startswith(f"new best: ✓ {ran.summary['best']['name']} finished")
    assert bodies[-1]["sweeps"][0]["table"].splitlines()[2].startswith(ran.summary["best"]["name"])
    assert all(body["exit_status"] is None for body in bodies)


def test_slack_is_sent_the_best_and_the_table_at_the_end(tmp_path: Path, server: Server) -> None:
    target = url(server).replace("http", "slack+http", 1)
    ran = sweep(tmp_path, "--sweep-config", write_sweep(tmp_path, GRID), *OFFLINE, "--notify", target)
    ((_, _, body),) = server.bodies
    assert "best val/mAP 80 (" in body["blocks"][0]["text"]["text"]
    rows = body["blocks"][1]["text"]["text"].splitlines()
    assert len(rows) == 2 + 2 + 3 and "finished" in rows[3]
    assert ran.code == 0


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--notify", "true", "--notify-on", "end,bset"], "--notify-on: bset is no event; write one or more of end,"),
        (["--notify", "true", "--notify-on", ","], "--notify-on: nothing is no event"),
        (["--notify-on", "new-best"], "--notify-on: needs --notify, which says whom to tell"),
    ],
)
def test_a_mistake_is_told_before_anything_is_created(
    words: list[str], told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    try:
        problems = contradictions(parse(words))
    except SystemExit as ended:
        assert ended.code == 2
        problems = [capsys.readouterr().err]
    assert len(problems) == 1 and told in problems[0]


def test_of_the_seeds_of_a_best_configuration_none_is_told_as_new_best() -> None:
    heard: list[Any] = []
    teller = Teller("true", heard.append)
    for sweep_id, events, listens in (
        ("abc", ["new-best"], True),
        ("abc-best", ["new-best"], True),
        ("abc", ["end"], False),
    ):
        results: Any = SimpleNamespace(
            paths=SimpleNamespace(sweep_id=sweep_id),
            summary=SimpleNamespace(best=lambda: None),
            listeners=[],
        )
        ending = Ending(events, teller)
        ending.sweeps = [results]
        assert bool(results.listeners) is listens
        assert set(ending._best) == ({"abc"} if (sweep_id, listens) == ("abc", True) else set())
