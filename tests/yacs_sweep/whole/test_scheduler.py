"""Sweeps whose points the user's own Optuna study chooses, run as a user does: what they try, say and leave."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import optuna
import pytest
import yaml

from tests.postgres import Postgres, programs
from tests.sweeping import ROOT, Ran, environment, sweep

SOURCE = """\
import optuna


def make_study(sweep):
    goal = sweep.config["metric"]["goal"]
    sampler = optuna.samplers.TPESampler(seed=1, n_startup_trials=3)
    return optuna.create_study(direction=goal, sampler=sampler, pruner=optuna.pruners.NopPruner())


def space(trial):
    batch = trial.suggest_categorical("batch", [8, 16])
    point = {"SOLVER.IMS_PER_BATCH": batch, "base_lr": trial.suggest_float("rate", 1e-3, 0.5, log=True)}
    if batch == 16:
        point["margin"] = trial.suggest_float("margin", 0.1, 0.5)
    return point
"""
TEXT = """\
method: custom
metric: {name: val/mAP, goal: maximize}
scheduler: {engine: optuna, source: search.py, optimizer: make_study, search_space: space}
count: 4
"""
QUIET = ("--wandb-mode", "disabled")


def start(folder: Path, *words: str, source: str = SOURCE, text: str = TEXT) -> Ran:
    (folder / "search.py").write_text(source)
    (folder / "s.yaml").write_text(text)
    return sweep(folder, "--sweep-config", folder / "s.yaml", *QUIET, *words)


def test_a_search_of_ones_own_is_run_and_resumed_from_the_copy(tmp_path: Path) -> None:
    ran = start(tmp_path, "--workers", "2")
    assert ran.code == 0, ran.err
    said = "scheduler: search.py runs in the launcher's interpreter: Optuna's TPESampler chooses the points"
    assert said in ran.err + ran.out
    rows = ran.summary["trials"]
    assert len(rows) == 4 and {row["state"] for row in rows} == {"finished"}
    assert len({str(row["params"]) for row in rows}) == 4  # two agents with one seed
    for row in rows:
        assert ("margin" in row["params"]) == (row["params"]["SOLVER.IMS_PER_BATCH"] == 16)
        command = " ".join(row["command"])
        assert ("SOLVER.MARGIN" in command) == ("margin" in row["params"])
    copy = ran.dir / "inputs" / "scheduler" / "search.py"
    assert copy.read_text() == SOURCE
    best = ran.summary["best"]
    solver = yaml.safe_load((ran.dir / "best.yml").read_text())["SOLVER"]
    assert solver["BASE_LR"] == best["params"]["base_lr"]
    assert solver["IMS_PER_BATCH"] == best["params"]["SOLVER.IMS_PER_BATCH"]

    trained = sweep(tmp_path, "--train-best", ran.dir.name, "--seeds", "1", "--dry-run", config=None, trainer=None)
    assert trained.code == 0 and "ignored" not in trained.out, trained.out + trained.err
    assert f"SOLVER.BASE_LR {best['params']['base_lr']!r}" in trained.out

    (tmp_path / "search.py").write_text("raise SystemExit(1)\n")
    again = sweep(tmp_path, "--sweep_id", ran.dir.name, "--count", "2", *QUIET)
    assert again.code == 0, again.err
    assert "search.py has changed since the sweep began; the sweep uses its copy" in again.err + again.out
    rows = ran.summary["trials"]
    assert len(rows) == 6 and len({str(row["params"]) for row in rows}) == 6


def test_a_module_that_the_file_imports_is_watched(tmp_path: Path) -> None:
    project, beside = tmp_path / "project", tmp_path / "beside"
    project.mkdir()
    beside.mkdir()
    (beside / "bounds.py").write_text("LOW = 1e-3\n")
    (beside / "search.py").write_text("from bounds import LOW\n" + SOURCE.replace("1e-3", "LOW"))
    (project / "s.yaml").write_text(TEXT.replace("search.py", "../beside/search.py").replace("count: 4", "count: 1"))
    ran = sweep(project, "--sweep-config", "s.yaml", *QUIET)
    assert ran.code == 0, ran.err
    (beside / "bounds.py").write_text("LOW = 0.2\n")
    again = sweep(project, "--sweep_id", ran.dir.name, "--count", "1", *QUIET)
    assert again.code == 0, again.err
    assert "../beside/bounds.py changed since the sweep began" in again.err + again.out
    assert [row.get("changed") for row in ran.summary["trials"]] == [[], ["../beside/bounds.py"]]


def test_a_failed_point_is_tried_again_and_a_lost_storage_is_restored(tmp_path: Path) -> None:
    source = SOURCE.replace('"rate"', '"base_lr"').replace('"batch"', '"SOLVER.IMS_PER_BATCH"')
    ran = start(tmp_path, "TOY.MODE", "crash", source=source, text=TEXT.replace("count: 4", "count: 2"))
    failed = ran.summary["trials"]
    assert {row["state"] for row in failed} == {"failed"}, ran.out
    (ran.dir / "storage.journal").unlink()
    again = sweep(tmp_path, "--sweep_id", ran.dir.name, f"--retry-failed={failed[0]['name']}", *QUIET)
    rows = {row["id"]: row for row in ran.summary["trials"]}
    retried = [row for row in rows.values() if row.get("retry_of")]
    assert [row["params"] for row in retried] == [failed[0]["params"]], again.err


def test_points_are_repeated(tmp_path: Path) -> None:
    text = TEXT.replace("count: 4", "count: 6\nrepeats: {n: 2, key: SOLVER.SEED}")
    ran = start(tmp_path, text=text)
    assert ran.code == 0, ran.err
    points = ran.summary["points"]
    assert [point["n"] for point in points] == [2, 2, 2]
    assert len({str(point["params"]) for point in points}) == 3


@pytest.mark.skipif(programs() is None, reason="PostgreSQL is not installed (`make postgres` installs it where it may)")
def test_a_search_of_ones_own_in_a_database(tmp_path: Path) -> None:
    """Two agents, and a second launch, which reads from the database what NSGA-II has kept with each point."""
    with Postgres(["fsync=off"]) as server:
        source = SOURCE.replace("TPESampler(seed=1, n_startup_trials=3)", "NSGAIISampler(seed=1, population_size=2)")
        text = TEXT.replace("count: 4", "count: 8\nrepeats: {n: 2, key: SOLVER.SEED}")
        ran = start(tmp_path, "--storage", server.url, "--workers", "2", source=source, text=text)
        assert ran.code == 0, ran.err
        points = ran.summary["points"]
        assert [point["n"] for point in points] == [2, 2, 2, 2]
        again = sweep(tmp_path, "--sweep_id", ran.dir.name, "--storage", server.url, "--count", "4", *QUIET)
        assert again.code == 0, again.err
        points = ran.summary["points"]
        assert [point["n"] for point in points] == [2] * 6
        study = optuna.load_study(
            study_name=ran.dir.name, storage=server.url.replace("postgresql", "postgresql+psycopg")
        )
        generations = [trial.system_attrs.get("NSGAIISampler:generation") for trial in study.get_trials()]
        kept = [number for number in generations if number is not None]
        assert len(kept) == 6 and kept == sorted(kept) and kept[-1] >= 1, generations


def test_a_study_of_several_objectives_leaves_a_front(tmp_path: Path) -> None:
    metrics = "metrics:\n  - {name: val/mAP, goal: maximize}\n  - {name: train/lr, goal: minimize}"
    text = TEXT.replace("metric: {name: val/mAP, goal: maximize}", metrics).replace("count: 4", "count: 6")
    source = SOURCE.replace(
        'goal = sweep.config["metric"]["goal"]', 'goals = [m["goal"] for m in sweep.config["metrics"]]'
    )
    source = source.replace("direction=goal", "directions=goals")
    source = source.replace("TPESampler(seed=1, n_startup_trials=3)", "NSGAIISampler(population_size=2)")
    ran = start(tmp_path, "--workers", "2", text=text, source=source)
    assert ran.code == 0, ran.err
    rows = ran.summary["trials"]
    assert len(rows) == 6 and all(set(row["values"]) == {"val/mAP", "train/lr"} for row in rows)
    assert ran.summary["pareto"]


def test_the_studys_pruner_ends_trials(tmp_path: Path) -> None:
    source = SOURCE.replace("NopPruner()", "ThresholdPruner(upper=0.1)")  # a metric that is above
    ran = start(tmp_path, "TOY.SECONDS", "0.2", source=source, text=TEXT.replace("count: 4", "count: 2"))
    assert ran.code == 0, ran.err
    rows = ran.summary["trials"]
    assert [row["state"] for row in rows] == ["stopped"] * 2
    value = rows[0]["value"]
    assert (
        rows[0]["reason"] == f"stopped early: ThresholdPruner: val/mAP {value:g}, the scheduler's pruner ends the trial"
    )


def test_mistakes_are_one_line_before_anything_is_created(tmp_path: Path) -> None:
    cases = {
        "search_space: spade": "scheduler search_space: spade: no such function in search.py; did you mean space?",
        "search_space: broken": "scheduler source search.py:19: KeyError: 'x'",
        "search_space: nothing": "scheduler search_space: search.py:22: returns null, not the parameters;",
        "search_space: unknown": "scheduler search_space: SOLVER.NO_SUCH_KEY",
        "search_space: two": "scheduler search_space: search.py:30: write it as two(trial), with one argument",
        "optimizer: space": "scheduler source search.py:11: AttributeError: 'SweepInfo' object has no attribute",
        "optimizer: minimized": "the study has ['minimize'], but the sweep's objectives are maximize val/mAP",
        "optimizer: nothing": "scheduler optimizer: search.py:22: returns NoneType, not an optuna.Study",
        "search_space: seeded": "scheduler search_space: SOLVER.SEED is set by `repeats`; leave it out there",
        "source: other.py": "scheduler source other.py: no such file in",
    }
    source = (
        SOURCE
        + """

def broken(trial):
    return {"lr": {}["x"]}


def nothing(trial):
    trial.study if hasattr(trial, "study") else None


def unknown(trial):
    return {"SOLVER.NO_SUCH_KEY": trial.suggest_float("a", 0, 1)}


def two(trial, more):
    return {}


def seeded(trial):
    return {"base_lr": trial.suggest_float("a", 0, 1), "SOLVER.SEED": trial.suggest_int("s", 1, 5)}


def minimized(sweep):
    return optuna.create_study()
"""
    )
    for change, message in cases.items():
        key = change.partition(":")[0]
        old = {
            "search_space": "search_space: space",
            "optimizer": "optimizer: make_study",
            "source": "source: search.py",
        }
        text = TEXT.replace(old[key], change) + ("repeats: 2\n" if "seeded" in change else "")
        ran = start(tmp_path, "--dry-run", source=source, text=text)
        assert ran.code == 2, (change, ran.out)
        assert message in ran.err and "Traceback" not in ran.err, (change, ran.err)
        assert ran.sweeps == []
    broken = start(tmp_path, "--dry-run", source="def space(trial:\n    pass\n")
    assert broken.code == 2 and "scheduler source search.py:1: SyntaxError" in broken.err


def test_the_example_of_the_document_runs(tmp_path: Path) -> None:
    section = (ROOT / "docs" / "search-plugins.md").read_text(encoding="utf-8").partition("## An Optuna study\n")[2]
    text = section.partition("```yaml\n")[2].partition("```")[0]
    source = section.partition("```python\n")[2].partition("```")[0]
    ran = start(tmp_path, "--count", "3", text=text, source=source)
    assert ran.code == 0, ran.err
    assert [row["state"] for row in ran.summary["trials"]] == ["finished"] * 3
    assert {"base_lr", "SOLVER.IMS_PER_BATCH"} <= set(ran.summary["best"]["params"])


def test_a_dry_run_shows_the_first_points(tmp_path: Path) -> None:
    ran = start(tmp_path, "--dry-run")
    assert ran.code == 0, ran.err
    shown = [line for line in ran.out.splitlines() if "SOLVER.BASE_LR" in line]
    assert len(shown) == 4 and len(set(shown)) == 4
    assert "first trials (drawn without any result):" in ran.out
    assert not (tmp_path / "log").exists()


# -- Ax ---------------------------------------------------------------------------------------------------------------
AX_TEXT = """\
method: custom
metric: {name: val/mAP, goal: maximize}
scheduler: {engine: ax}
parameters:
  base_lr: {distribution: log_uniform_values, min: 0.001, max: 0.5}
  SOLVER.IMS_PER_BATCH: {values: [8, 16]}
count: 4
"""
needs_ax = pytest.mark.skipif(
    importlib.util.find_spec("ax") is None, reason="Ax is not installed: pip install ax-platform"
)


def test_without_ax_one_line_says_what_to_install(tmp_path: Path) -> None:
    (tmp_path / "hidden" / "ax").mkdir(parents=True)
    (tmp_path / "hidden" / "ax" / "__init__.py").write_text("raise ModuleNotFoundError('No module', name='ax')\n")
    (tmp_path / "s.yaml").write_text(AX_TEXT)
    hidden = environment(tmp_path, PYTHONPATH=str(tmp_path / "hidden"))
    ran = sweep(tmp_path, "--sweep-config", tmp_path / "s.yaml", *QUIET, env=hidden)
    assert ran.code == 2
    assert "scheduler engine ax: Ax is not installed: pip install 'ax-platform>=1.3'" in ran.err
    assert "Traceback" not in ran.err and ran.sweeps == [] and not (tmp_path / "log").exists()


@needs_ax
def test_ax_chooses_points_and_a_sweep_is_resumed(tmp_path: Path) -> None:
    ran = start(tmp_path, "--workers", "2", text=AX_TEXT)
    assert ran.code == 0, ran.err
    assert "scheduler: Ax chooses the points (Center+Sobol+MBM:fast)" in ran.err + ran.out
    again = sweep(tmp_path, "--sweep_id", ran.dir.name, "--count", "3", *QUIET)
    assert again.code == 0, again.err
    rows = ran.summary["trials"]
    assert len(rows) == 7 and {row["state"] for row in rows} == {"finished"}
    assert len({str(row["params"]) for row in rows}) == 7
    assert all(row["params"]["SOLVER.IMS_PER_BATCH"] in (8, 16) for row in rows)


@needs_ax
def test_the_example_of_ax_in_the_document_runs_and_its_mistakes_are_one_line(tmp_path: Path) -> None:
    section = (ROOT / "docs" / "search-plugins.md").read_text(encoding="utf-8").partition("## Ax\n")[2]
    text = section.partition("```yaml\n")[2].partition("```")[0].replace("ax_search.py", "search.py")
    source = section.partition("```python\n")[2].partition("```")[0]
    ran = start(tmp_path, "--count", "2", text=text, source=source)
    assert ran.code == 0, ran.err
    assert [set(row["params"]) for row in ran.summary["trials"]] == [{"base_lr", "SOLVER.IMS_PER_BATCH"}] * 2
    cases = {
        'objective="-val/mAP"': "the client's objectives are minimize val/mAP, but the sweep's are maximize val/mAP;",
        'objective="val/mAP", outcome_constraints=["ms <= 3"]': "the client has a constraint on ms, which Ax is not",
        'objective="val/mAP"); return 3, (4': "returns int, not a Client of ax.api.client",
    }
    for change, message in cases.items():
        broken = source.replace('objective="val/mAP"', change)
        ran = start(tmp_path, "--dry-run", text=text, source=broken)
        assert ran.code == 2 and message in ran.err and "Traceback" not in ran.err, (change, ran.err)
