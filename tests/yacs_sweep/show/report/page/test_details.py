"""The details of trials that a page holds: what is read, what is left out first, and two sweeps on one page."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.report_sweeps import HOSTILE, in_memory, sweep_of_several, trial, write_sweep
from tests.yacs_sweep.show.query.made import SPEC, made_sweep, made_trial
from yacs_sweep.show.report.cli import main
from yacs_sweep.show.report.data import read_local
from yacs_sweep.show.report.findings import Findings
from yacs_sweep.show.report.page.details import LINES, TAIL, background, detail, details


@pytest.fixture
def base(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    return tmp_path


def test_the_tail_of_a_log_is_whole_lines_without_commands_to_a_terminal(base: Path) -> None:
    paths = made_sweep(base)
    made_trial(paths, 0, 1.0, {"base_lr": 0.1}, command=["python", "a b.py"], given={"env": {"A": "1"}})
    made_trial(paths, 1, 2.0, {"base_lr": 0.1})
    made_trial(paths, 2, 3.0, {"base_lr": 0.1}, last_lines=["\x1b[31mred"])
    log = paths.trial("trial-0000").stdout
    log.write_bytes(b"\x1b[1mbold\x1b[0m\n10 %\r100 %\nlast \xff\n")
    paths.trial("trial-0001").stdout.write_text("".join(f"{number:09d} {'x' * 90}\n" for number in range(400)))
    (log.parent / "model.pth").write_bytes(b"1234")
    sweep = read_local(paths)
    found = [detail(sweep, each.record) for each in sweep.trials]
    assert found[0]["log"] == ["bold", "100 %", "last �"] and not found[0]["cut"]
    assert (found[0]["command"], found[0]["env"]) == ("python 'a b.py'", {"A": "1"})
    assert found[0]["files"] == [("model.pth", 4)]
    assert found[1]["cut"] and len(found[1]["log"]) == LINES and found[1]["log"][-1].startswith("000000399 ")
    assert TAIL < 400 * 101  # so that the reading began within a line
    assert found[2]["log"] == ["red"] and found[2]["cut"]


def test_what_does_not_fit_loses_the_tails_of_the_least_interesting_first(base: Path) -> None:
    paths = write_sweep(base, "usual", 40, 20)
    for number in range(40):
        text = "".join(f"{number * 7919 * line % 10**9}\n" for line in range(60))
        paths.trial(f"trial-{number:04d}").stdout.write_text(text)
    findings = Findings.of(read_local(paths))
    best = findings.sweep.best
    assert best is not None
    everything = details(findings)
    assert len(everything) == 40 and all("log" in own for own in everything.values())
    some = details(findings, 6000)
    logs = [name for name, own in some.items() if "log" in own]
    assert len(some) == 40 and 0 < len(logs) < 40 and logs[0] == best.name
    few = details(findings, 400)
    assert 0 < len(few) < 40 and next(iter(few)) == best.name and not any("log" in own for own in few.values())
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("yacs_sweep.show.report.page.details.MOST", 3)
        assert [len(details(findings)), next(iter(details(findings)))] == [3, best.name]
    told = background(findings.whole, some)
    assert (told["with_details"], told["with_log"], told["total"]) == (40, len(logs), 40)


def test_a_seed_of_a_point_has_its_own_fields() -> None:
    findings = Findings.of(sweep_of_several(2, repeats=3, more=0, constraints=()))
    found = details(findings)
    assert set(found) == {f"trial-{number:04d}" for number in range(6)}
    assert found["trial-0004"]["own"]["point"] == "point-0001" and found["trial-0004"]["own"]["seed"] == 2


def test_earlier_and_later_tries_are_named() -> None:
    first = trial(0, {"a": 1}, None, state="failed")
    second = trial(1, {"a": 1}, 2.0, retry_of="t-0")
    found = details(Findings.of(in_memory([first, second])))
    assert found["trial-0000"]["later"] == "trial-0001" and found["trial-0001"]["earlier"] == "trial-0000"


def test_defaults_and_uncommitted_changes_are_of_the_sweep(base: Path) -> None:
    paths = made_sweep(base)
    paths.inputs.mkdir()
    (paths.inputs / "defaults.json").write_text('{"base_lr": 0.01}')
    (paths.inputs / "code.diff").write_text("+a\n-\x1b[31mb\n" + "+x\n" * 20_000)
    found = background(read_local(paths), {})
    assert found["defaults"] == {"base_lr": 0.01}
    assert found["diff"].startswith("+a\n-b\n") and found["diff_cut"]


# -- two sweeps -------------------------------------------------------------------------------------------------------
def test_two_sweeps_stand_on_one_page(base: Path, capsys: pytest.CaptureFixture[str]) -> None:
    fixed = SPEC.replace("{min: 0.0001, max: 0.1}", "{value: 0.01}")
    one, two = made_sweep(base, "one11111"), made_sweep(base, "two22222", fixed.replace("name: lr", "name: '<b>x'"))
    for number in range(3):
        rows = [{"val/mAP": 10.0 * number}, {"val/mAP": 50.0 + number}]
        made_trial(one, number, 50.0 + number, {"base_lr": 0.01 * (number + 1), "SOLVER.MARGIN": 0.1}, rows)
        made_trial(two, number, 40.0 + number, {"base_lr": 0.01, "SOLVER.MARGIN": [0.1, 0.3, 0.3][number]}, rows)
    options = ["--sweep_id", "one11111", "--results_dir", str(base)]
    assert main([*options, "--compare", "two22222"]) == 0
    path = Path(capsys.readouterr().out.strip())
    text = path.read_text(encoding="utf-8")
    assert path == one.dir / "report-two22222.html"
    assert "one11111 is better in val/mAP by 10; whether that is chance is not known" in text
    assert "Searched in one sweep and not in the other: base_lr." in text and "fixed 0.01" in text
    assert "<b>x" not in text and "&lt;b&gt;x" in text
    assert main([*options, "--compare", "two22222", "--format", "md"]) == 2
    assert "--compare, --format: contradict each other" in capsys.readouterr().err
    assert main([*options, "--compare", "one11111"]) == 2
    assert "--compare one11111 one11111: is one sweep" in capsys.readouterr().err
    assert main([*options, "--compare", "nothere1"]) == 2
    assert "--compare nothere1: no such sweep" in capsys.readouterr().err


def test_no_name_or_text_of_a_trial_is_markup() -> None:
    hostile = trial(0, {HOSTILE: HOSTILE}, 1.0, name=HOSTILE, command=["x", HOSTILE], changed=[HOSTILE])
    found = details(Findings.of(in_memory([hostile])))[HOSTILE]
    assert "\x1b" not in found["changed"][0]
