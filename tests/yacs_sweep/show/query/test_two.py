"""`--compare`, `--diff` and `--logs`, and how a sweep and a trial are found by what a user types."""

from __future__ import annotations

import json
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from tests.yacs_sweep.show.query.made import SPEC, asked, made_sweep, made_trial
from yacs_sweep.base.errors import ConfigError
from yacs_sweep.records.alive import AgentLock
from yacs_sweep.records.folder import SweepPaths, TrialRecord
from yacs_sweep.records.metrics import readable_metrics
from yacs_sweep.show.query import logs
from yacs_sweep.show.query.compare import common_of, difference, seconds_run
from yacs_sweep.show.query.diff import measured
from yacs_sweep.show.query.sweeps import find_trial
from yacs_sweep.show.snapshot import read_snapshot

REPEATS = f"{SPEC}repeats: 3\n"


@pytest.fixture
def base(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    return tmp_path


def with_seeds(base: Path, sweep_id: str, values: list[float], first_seed: int = 1) -> SweepPaths:
    """A sweep with repeats of one point, a trial for each value."""
    paths = made_sweep(base, sweep_id, REPEATS)
    for place, value in enumerate(values):
        made_trial(paths, place, value, {"base_lr": 0.1}, point="point-0000", seed=first_seed + place)
    return paths


# -- two sweeps -------------------------------------------------------------------------------------------------------
def test_common_seeds_are_compared_in_pairs(base: Path) -> None:
    one, other = with_seeds(base, "one11111", [70.0, 80.0, 90.0]), with_seeds(base, "two22222", [71.0, 81.1, 90.9])
    found = difference([read_snapshot(one), read_snapshot(other)])
    assert found is not None and found.pairs == 3 and found.better == 1 and found.clear
    assert found.value == pytest.approx(1.0) and found.error == pytest.approx(0.1 / 3**0.5)
    assert found.chance == pytest.approx(0.00332, abs=1e-4)  # t = 17.3 with 2 degrees of freedom


def test_means_of_different_seeds_are_compared_by_their_spread(base: Path) -> None:
    one, other = with_seeds(base, "one11111", [70.0, 80.0, 90.0]), with_seeds(base, "two22222", [71.0, 81.0, 91.0], 9)
    found = difference([read_snapshot(one), read_snapshot(other)])
    assert found is not None and not found.pairs and not found.clear
    assert found.error == pytest.approx((2 * 100 / 3) ** 0.5)


def test_one_training_each_says_nothing_of_chance(base: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for sweep_id, value in (("one11111", 50.0), ("two22222", 40.0)):
        made_trial(made_sweep(base, sweep_id), 0, value, {"base_lr": 0.1})
    code, out, _ = asked(base, capsys, "--compare", "one11111", "two22222")
    assert code == 0
    assert "val/mAP 50  val/mAP 40" in out
    assert "uniform: 0.0001 to 0.1" in out and "0.1, 0.3" in out
    assert "one11111 is better in val/mAP by 10; whether that is chance is not known" in out
    _, out, _ = asked(base, capsys, "--compare", "one11111", "two22222", "--json")
    found = json.loads(out)
    assert found["difference"]["better"] == "one11111" and found["difference"]["clear"] is False
    assert [sweep["best"]["value"] for sweep in found["sweeps"]] == [50.0, 40.0]


def test_sweeps_of_different_metrics_are_not_put_in_order(base: Path, capsys: pytest.CaptureFixture[str]) -> None:
    made_trial(made_sweep(base, "one11111"), 0, 50.0, {"base_lr": 0.1})
    made_trial(made_sweep(base, "two22222", SPEC.replace("val/mAP", "loss")), 0, 40.0, {"base_lr": 0.1})
    _, out, _ = asked(base, capsys, "--compare", "one11111", "two22222")
    assert "the sweeps optimise different metrics, so neither is better" in out


def trained(base: Path, sweep_id: str, rows: list[tuple[float, float, float]], **fixed: Any) -> SweepPaths:
    """A sweep without repeats: base_lr, margin and value of each trial; `fixed` is given to all."""
    paths = made_sweep(base, sweep_id)
    for number, (lr, margin, value) in enumerate(rows):
        made_trial(paths, number, value, {"base_lr": lr, "SOLVER.MARGIN": margin, **fixed})
    return paths


def test_common_points_are_compared_in_pairs(base: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = [(0.1, 0.1, 70.0), (0.1, 0.3, 60.0), (0.2, 0.1, 50.0), (0.2, 0.3, 99.0)]
    other = [(0.2, 0.1, 51.0), (0.1, 0.3, 61.1), (0.1, 0.1, 70.9), (0.4, 0.3, 10.0)]
    one = trained(base, "one11111", rows, depth=50)  # what each sweep fixes may be what they differ in
    two = trained(base, "two22222", other, depth=101)
    made_trial(two, 9, 0.0, {"base_lr": 0.1, "SOLVER.MARGIN": 0.1, "depth": 101}, state="stopped")
    found = common_of([read_snapshot(one), read_snapshot(two)])
    assert found is not None and (found.pairs, found.better, found.noun, found.clear) == (3, 1, "common point", True)
    assert found.value == pytest.approx(1.0) and found.error == pytest.approx(0.1 / 3**0.5)
    _, out, _ = asked(base, capsys, "--compare", "one11111", "two22222")
    text = " ".join(out.split())
    assert "one11111 is better in val/mAP by 28.1; whether that is chance is not known" in text
    common = (
        "of what both have trained, two22222 is better in val/mAP by 1 ± 0.058 (standard error) over 3 common points"
    )
    assert f"{common}: more than chance (p = 0.0033)" in text
    _, out, _ = asked(base, capsys, "--compare", "one11111", "two22222", "--json")
    assert json.loads(out)["common"]["better"] == "two22222"


def test_of_several_common_points_each_counts_once(base: Path) -> None:
    paths = [made_sweep(base, sweep_id, REPEATS) for sweep_id in ("one11111", "two22222")]
    for place, each in enumerate(paths):
        for number in range(6):
            point, seed = divmod(number, 3)
            value = 10.0 * point + seed + place * (1.0 if point else 3.0)
            made_trial(each, number, value, {"base_lr": 0.1 + point}, point=f"point-000{1 - point}", seed=seed)
    found = common_of([read_snapshot(each) for each in paths])
    assert found is not None and (found.pairs, found.noun, found.value) == (2, "common point", 2.0)
    assert found.error == pytest.approx(1.0)


def test_what_says_no_more_than_the_best_is_not_said_twice(base: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with_seeds(base, "one11111", [70.0, 80.0, 90.0])
    with_seeds(base, "two22222", [71.0, 81.1, 90.9])
    _, out, _ = asked(base, capsys, "--compare", "one11111", "two22222")
    assert "over 3 common seeds" in " ".join(out.split()) and "of what both have trained" not in out


# -- two trials -------------------------------------------------------------------------------------------------------
def test_two_trials_differ_in_what_they_were_given_and_measured(base: Path, capsys: pytest.CaptureFixture[str]) -> None:
    paths = made_sweep(base)
    rows: list[dict[str, Any]] = [{"val/mAP": 20.0}, {"val/mAP": 45.0}, {"val/mAP": 40.0, "train/loss": 0.5}]
    for number, (lr, commit) in enumerate(((0.1, "a" * 40), (0.2, "b" * 40 + "+dirty"))):
        name = str(paths.trial(f"trial-{number:04d}").dir)
        command = ["python", "train.py", "SOLVER.BASE_LR", str(lr), "OUTPUT_DIR", name]
        changed = ["model.py"] if number else []
        made_trial(
            paths, number, 40.0, {"base_lr": lr, "SOLVER.MARGIN": 0.1}, rows[number:], command=command,
            git_commit=commit, changed=changed,
        )  # fmt: skip
    code, out, _ = asked(base, capsys, "--diff", "0", "trial-0001", "--sweep_id", "abc123", "--json")
    found = json.loads(out)
    assert code == 0
    assert found["params"] == {"base_lr": [0.1, 0.2]} and found["params_same"] == ["SOLVER.MARGIN"]
    assert set(found["given"]) == {"command"}
    assert found["given"]["command"][0][-1] == found["given"]["command"][1][-1] == "{dir}"
    assert found["code"] == {"commit": ["a" * 40, "b" * 40 + "+dirty"], "changed": [[], ["model.py"]]}
    assert found["metrics"]["val/mAP"] == [
        {"last": 40.0, "min": 20.0, "max": 45.0},
        {"last": 40.0, "min": 40.0, "max": 45.0},
    ]
    _, out, _ = asked(base, capsys, "--diff", "abc123/0", "abc123/1")
    lines = [line.split() for line in out.splitlines()]
    assert ["command", "SOLVER.BASE_LR", "0.1", "0.2"] in lines
    assert f"see it with: git diff {'a' * 40} {'b' * 40}" in out
    assert ["val/mAP", "min", "20", "40", "+20"] in lines and ["val/mAP", "last", "40", "40"] in lines


def test_rows_are_summarised_without_what_is_not_finite(base: Path) -> None:
    path = base / "metrics.jsonl"
    path.write_text(
        '{"step": 0, "a": 2.0, "b": "x"}\n{"step": 1, "a": "NaN"}\n{"step": 2, "a": 1.0}\n{"step": 3, "a": "NaN"}\n'
    )
    found = measured(readable_metrics(path))
    assert (found["a"]["min"], found["a"]["max"], str(found["a"]["last"])) == (1.0, 2.0, "nan")
    assert found["b"] == {"last": "x", "min": None, "max": None}


def test_a_sweep_took_the_time_in_which_trials_ran() -> None:
    def ran(number: int, start: int, end: int) -> TrialRecord:
        at = [f"2026-01-01T00:{minute:02d}:00.000Z" for minute in (start, end)]
        return TrialRecord(f"t{number}", f"t{number}", number, {}, "finished", started=at[0], ended=at[1])

    assert seconds_run([ran(0, 0, 4), ran(1, 1, 3), ran(2, 2, 5), ran(3, 50, 51)]) == 6 * 60  # no launch in between
    assert seconds_run([]) is None


# -- what a trial printed ---------------------------------------------------------------------------------------------
def test_the_log_of_a_trial_is_printed(base: Path, capsys: pytest.CaptureFixture[str]) -> None:
    paths = made_sweep(base)
    made_trial(paths, 0, 1.0, {})
    paths.trial("trial-0000").stdout.write_bytes(b"one\n 10%\r 50%\r100%\n\x1b[31mred\x1b[0m\n\xff\nlast")
    code, out, _ = asked(base, capsys, "--logs", "0", "--sweep_id", "abc123")
    assert code == 0
    assert out.splitlines() == ["one", "100%", "red", "\ufffd", "last"]
    code, _, err = asked(base, capsys, "--logs", "abc123/1")
    assert code == 2 and "--logs 1: no such trial" in err
    made_trial(paths, 1, 1.0, {})
    code, _, err = asked(base, capsys, "--logs", "abc123/1")
    assert code == 2 and "; it ran on here, where its folder may be" in err


def test_a_running_trial_is_followed_to_its_end(
    base: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(logs, "PERIOD", 0.02)
    paths, lock = made_sweep(base), AgentLock(base / "sweep" / "abc123" / "agents", 0, "x")
    record = made_trial(paths, 0, None, {}, state="running", agent=lock.name)
    log = paths.trial(record.name).stdout
    log.write_text("first\n")

    def train() -> None:
        time.sleep(0.1)
        with log.open("a") as file:
            file.write("second\nthird")
        time.sleep(0.1)
        record.state = "finished"
        record.save(paths.trial(record.name))

    trainer = threading.Thread(target=train)
    trainer.start()
    code, out, _ = asked(base, capsys, "--logs", "abc123/0", "--follow")
    trainer.join()
    lock.release()
    assert code == 0 and out.splitlines() == ["first", "second", "third"]
    record.state = "running"  # of an agent that has died: nothing more will come
    record.save(paths.trial(record.name))
    assert asked(base, capsys, "--logs", "abc123/0", "--follow")[0] == 0


# -- names ------------------------------------------------------------------------------------------------------------
def test_a_trial_is_found_by_name_number_beginning_or_end(base: Path) -> None:
    paths = made_sweep(base)
    for number, name in enumerate(("glad-sweep-1", "glad-moon-2", "sad-sun-12")):
        made_trial(paths, number, 1.0, {}, point=f"point-{number // 2:04d}")
        (paths.trial(f"trial-{number:04d}").dir).rename(paths.trial(name).dir)
        text = paths.trial(name).record.read_text()
        paths.trial(name).record.write_text(text.replace(f"trial-{number:04d}", name))
    records = read_snapshot(paths).records
    for given, expected in (("glad-moon-2", 1), ("t2", 2), ("0", 0), ("sad", 2), ("glad-s", 0), ("12", 2)):
        assert find_trial(records, given, f"--logs {given}", "COMMAND").number == expected
    for given, told in (
        ("glad", "--logs glad: may be several trials; name one: glad-sweep-1, glad-moon-2"),
        ("point-0000", "--logs point-0000: is a point; name one of its trials: glad-sweep-1, glad-moon-2"),
        ("glad-mon-2", "--logs glad-mon-2: no such trial; did you mean glad-moon-2?"),
        ("77", "--logs 77: no such trial; they are listed by: COMMAND"),
    ):
        with pytest.raises(ConfigError) as caught:
            find_trial(records, given, f"--logs {given}", "COMMAND")
        assert str(caught.value).startswith(told)


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--status", "--sweep_id", "abc12"], "--sweep_id abc12: no such sweep; did you mean abc123? (looked in"),
        (["--compare", "abc123", "abc12"], "--compare abc12: no such sweep; did you mean abc123?"),
        (["--compare", "abc123", "abc123"], "--compare abc123 abc123: is one sweep"),
        (["--compare", "abc123"], "--compare: needs 2 values"),
        (["--diff", "0", "1"], "--diff 0: of which sweep? write --sweep_id ID, or --diff ID/0"),
        (["--logs", "0", "--sweep_id", "abc123"], "--logs 0: the sweep has no trials yet"),
        (["--logs", "abc123"], "--logs abc123: is a sweep; name one of its trials: --logs abc123/NAME"),
        (
            ["--logs", "0", "--count", "3"],
            "--count: --logs starts nothing; leave out all but --sweep_id, --results_dir",
        ),
        (["--compare", "a", "b", "x"], "x: --compare starts nothing; leave out all but --results_dir and --json"),
        (["--status", "--follow"], "--follow: needs --logs"),
        (["--where", "a > 1"], "--where: needs --status"),
        (["--json"], "--json: needs --status, --compare, --diff or --check"),
    ],
)
def test_a_mistake_is_a_line_and_exit_status_2(
    base: Path, capsys: pytest.CaptureFixture[str], words: list[str], told: str
) -> None:
    made_sweep(base)
    code, out, err = asked(base, capsys, *words)
    assert code == 2 and not out
    assert told in err


def test_a_results_folder_that_is_not_there_is_a_mistake(base: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for words in (["--status"], ["--status", "--sweep_id", "x"], ["--compare", "a", "b"], ["--logs", "a/0"]):
        code, _, err = asked(base / "nowhere", capsys, *words)
        assert code == 2 and err == (
            f"error: --results_dir {base / 'nowhere'}: no such folder; write the one that holds sweep/ID\n"
        )


def test_a_named_results_folder_shows_its_own_sweeps_alone(base: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from yacs_sweep.records.known_sweeps import remember

    made_sweep(base / "one", "one11111")
    remember(made_sweep(base / "two", "two22222"))
    _, out, _ = asked(base / "one", capsys, "--status")
    assert "one11111" in out and "two22222" not in out
