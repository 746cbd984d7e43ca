"""Numbers as trainers print them, and what a sweep makes of them: from the log to the best trial and the exit status."""

from __future__ import annotations

from pathlib import Path

from tests.sweeping import sweep, write_sweep
from tests.trainers import write_trainer

QUIET = ("--controller", "local", "--wandb-mode", "disabled")
# What each trial of a grid prints last; all have printed 50 before.
LAST = ('{"m": 40}', '{"m": null}', '{"m": Infinity}', '{"m": "NaN"}', '{"m": "45.5"}', '{"m": "99ms"}', '{"other": 1}')
TRAINER = f"""
which = int(float(sys.argv[2].partition("=")[2]))
print('METRIC {{"epoch": 1, "m": 50}}')
print('METRIC ' + {LAST!r}[which])
"""


def test_only_what_can_be_compared_is_a_result(tmp_path: Path) -> None:  # D2, D3
    trainer = write_trainer(tmp_path, TRAINER)
    grid = {
        "method": "grid",
        "metric": {"name": "m", "goal": "maximize", "target": 60},
        "parameters": {"which": {"values": list(range(len(LAST)))}},
    }
    ran = sweep(tmp_path, "--sweep-config", write_sweep(tmp_path, grid), *QUIET, trainer=trainer, config=None)
    assert ran.code == 1, ran.out + ran.err
    ends = {trial["params"]["which"]: (trial["cause"], trial["value"]) for trial in ran.summary["trials"]}
    assert ends == {
        0: ("finished", 40),
        1: ("diverged", "NaN"),
        2: ("diverged", "Infinity"),
        3: ("diverged", "NaN"),
        4: ("finished", 45.5),
        5: ("finished", 50),
        6: ("finished", 50),
    }
    assert ran.summary["counts"] == {"finished": 4, "failed": 3}
    assert (ran.summary["best"]["value"], ran.summary["best"]["params"]) == (50, {"which": 5})
    assert "reached the target" not in ran.out
    assert "diverged: m is inf" in ran.out
    told = "m: '99ms' is not a plain number, and is left out: 'METRIC {\"m\": \"99ms\"}'"
    assert (ran.out + ran.err).count(told) == 1


def test_a_value_that_is_left_out_is_told_once_in_a_sweep(tmp_path: Path) -> None:  # D4
    code = "print('loss: 0,512'); print('loss: 1,234'); print('speed=1.2k'); print('speed=1.3k'); print('time: 3.5ms')"
    trainer = write_trainer(tmp_path, code)
    trainer.write_text(trainer.read_text().partition("metrics:")[0])  # so that the generic patterns count
    grid = {"method": "grid", "metric": {"name": "loss"}, "parameters": {"seed": {"values": [1, 2, 3]}}}
    ran = sweep(tmp_path, "--sweep-config", write_sweep(tmp_path, grid), *QUIET, trainer=trainer, config=None)
    assert ran.code == 0, ran.out + ran.err
    assert [trial["value"] for trial in ran.summary["trials"]] == [1.234] * 3
    rows = ran.rows("trial-0000")
    assert [{name: value for name, value in row.items() if name != "step"} for row in rows] == [
        {"loss": 0.512},
        {"loss": 1.234},
    ]
    assert (ran.out + ran.err).count("is not a plain number") == 1
    assert "speed: '1.2k' is not a plain number, and is left out: 'speed=1.2k'" in ran.out + ran.err
