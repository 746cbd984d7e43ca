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
    words = ("--sweep-config", write_sweep(tmp_path, grid), *QUIET, "--workers", "3")
    ran = sweep(tmp_path, *words, trainer=trainer, config=None)
    assert ran.code == 0, ran.out + ran.err
    assert [trial["value"] for trial in ran.summary["trials"]] == [1.234] * 3
    rows = ran.rows("trial-0000")
    assert [{name: value for name, value in row.items() if name != "step"} for row in rows] == [
        {"loss": 0.512},
        {"loss": 1.234},
    ]
    assert (ran.out + ran.err).count("is not a plain number") == 1
    assert "speed: '1.2k' is not a plain number, and is left out: 'speed=1.2k'" in ran.out + ran.err
    assert "'speed=1.2k'; only the first such value of a sweep is shown" in ran.out + ran.err


def test_a_metric_that_is_only_left_out_is_named_in_the_reason(tmp_path: Path) -> None:
    trainer = write_trainer(tmp_path, 'print(\'METRIC {"m": "1.2k"}\')')
    grid = {"method": "grid", "metric": {"name": "m"}, "parameters": {"seed": {"values": [1]}}}
    ran = sweep(tmp_path, "--sweep-config", write_sweep(tmp_path, grid), *QUIET, trainer=trainer, config=None)
    assert ran.code == 1
    (trial,) = ran.summary["trials"]
    assert trial["cause"] == "no_metric"
    assert "; m: '1.2k' is not a plain number, and is left out: 'METRIC {\"m\": \"1.2k\"}'" in trial["reason"]


TREE = """
from yacs.config import CfgNode as CN
_C = CN()
_C.LR = 0.2
_C.MARGIN = 0.3
_C.PRE = None
_C.OUT = ""
"""
YACS_TRAINER = """
import sys
from tree import _C
_C.merge_from_file(sys.argv[1])
_C.merge_from_list(sys.argv[2:])
print("got", repr((_C.MARGIN, _C.PRE)))
print('METRIC {"m": 1}')
"""


def yacs_project(folder: Path, config: str) -> tuple[Path, Path]:
    """A trainer that does what YACS does and no more, and its base configuration."""
    (folder / "tree.py").write_text(TREE)
    (folder / "t.py").write_text(YACS_TRAINER)
    (folder / "c.yml").write_text(config)
    profile = folder / "p.yaml"
    profile.write_text(
        'command: [python, t.py, "{config_file}"]\noverrides: yacs\noutput_dir_key: OUT\nschema: tree.py:_C\ncwd: .\n'
    )
    return profile, folder / "c.yml"


def test_none_and_tuples_reach_the_trainer_as_yacs_reads_them(tmp_path: Path) -> None:  # D5
    trainer, config = yacs_project(tmp_path, "LR: 0.1\n")
    text = (
        "method: grid\nmetric: {name: m, goal: maximize}\n"
        "parameters:\n  MARGIN: [0.3, None]\n  PRE: {values: [None, '(1, 2)', null]}\n"
    )
    words = ("--sweep-config", write_sweep(tmp_path, text), *QUIET)
    dry = sweep(tmp_path, *words, "--dry-run", trainer=trainer, config=config)
    assert dry.code == 0 and "0.3 | None" in dry.out and "None | (1, 2) | None" in dry.out, dry.out + dry.err
    ran = sweep(tmp_path, *words, trainer=trainer, config=config)
    assert ran.code == 0, ran.out + ran.err
    got = sorted(
        line for path in ran.dir.glob("*/stdout.log") for line in path.read_text().splitlines() if "got" in line
    )
    assert got == sorted(2 * ["got (0.3, None)", "got (None, None)"] + ["got (0.3, (1, 2))", "got (None, (1, 2))"])


def test_a_base_configuration_that_the_tree_refuses_is_told_before_the_first_trial(tmp_path: Path) -> None:
    trainer, config = yacs_project(tmp_path, "LR: 1\n")
    words = ("--custom_params", '{"MARGIN": [0.1]}', "--metric", "m", *QUIET, "--dry-run")
    ran = sweep(tmp_path, *words, trainer=trainer, config=config)
    assert ran.code == 2 and not (tmp_path / "log").exists()
    assert "c.yml:1:1: LR: 1 does not fit the trainer's schema; write 1.0" in ran.err
    assert "Type mismatch" in ran.err  # the tree's words
    config.write_text("LR: 1.0\n")
    assert sweep(tmp_path, *words, trainer=trainer, config=config).code == 0


def test_whole_bounds_reach_an_argparse_trainer_as_whole_numbers(tmp_path: Path) -> None:  # D13
    code = "print('METRIC {\"m\": %d}' % int(sys.argv[2].partition('=')[2]))"
    trainer = write_trainer(tmp_path, code)
    search = {
        "method": "random",
        "metric": {"name": "m", "goal": "maximize"},
        "parameters": {"batch_size": {"distribution": "q_log_uniform_values", "min": 32, "max": 128}},
    }
    words = ("--sweep-config", write_sweep(tmp_path, search), *QUIET, "--count", "3", "--seed", "1")
    ran = sweep(tmp_path, *words, trainer=trainer, config=None)
    assert ran.code == 0, ran.out + ran.err
    for trial in ran.summary["trials"]:
        size = trial["params"]["batch_size"]
        assert type(size) is int and trial["value"] == size and trial["command"][-1] == f"--batch_size={size}"
        assert f"batch_size={size}\n" in ran.out
