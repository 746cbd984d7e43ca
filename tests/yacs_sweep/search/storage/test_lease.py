"""Tests which leases expire; the time is an argument, so no test sleeps."""

from __future__ import annotations

from yacs_sweep.search.storage.lease import LeaseWatch


def test_a_count_that_does_not_move_costs_the_lease() -> None:
    watch = LeaseWatch(confirm=15, gap=30)
    assert watch.expired(0, {"a": 7}) == {}
    assert watch.expired(14, {"a": 7}) == {}
    assert watch.expired(15, {"a": 7}) == {"a": 7}


def test_one_beat_is_enough_to_live() -> None:
    """Tests a clock that jumped: all agents look silent, though none is."""
    watch = LeaseWatch(confirm=15, gap=30)
    for beats in range(40):
        assert watch.expired(15 * beats, {"a": beats, "b": beats}) == {}


def test_who_was_stopped_itself_judges_anew() -> None:
    watch = LeaseWatch(confirm=15, gap=30)
    watch.expired(0, {"a": 7})
    assert watch.expired(1000, {"a": 7}) == {}  # we, or the database, were away
    assert watch.expired(1015, {"a": 7}) == {"a": 7}


def test_an_agent_that_was_heard_again_is_noted_anew() -> None:
    watch = LeaseWatch(confirm=15, gap=30)
    watch.expired(0, {"a": 7})
    watch.expired(10, {})
    assert watch.expired(20, {"a": 7}) == {}
