"""Reading --record: names, addresses, passwords."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import pytest

from yacs_sweep.base.errors import ConfigError
from yacs_sweep.recorders.targets import Target, masked, read_targets, scrubbed, takes_files, targets_of

AS_GIVEN: dict[str, Any] = {"controller": "local", "engine": "local", "wandb_mode": None, "wandb_off": False}


def addresses(text: str, cwd: Path = Path("/project")) -> list[str | None]:
    return [target.uri for target in read_targets(text, cwd)]


def test_names_and_addresses() -> None:
    found = read_targets("wandb, tensorboard,mlflow=http://host:5000/a,b", Path("/project"))
    assert found == (Target("wandb"), Target("tensorboard"), Target("mlflow", "http://host:5000/a,b"))
    assert addresses("mlflow=sqlite:///runs.db,tensorboard") == ["sqlite:////project/runs.db", None]
    assert addresses("mlflow=sqlite:////data/runs.db") == ["sqlite:////data/runs.db"]
    assert addresses("mlflow=file:./runs") == ["file:///project/runs"]
    assert addresses("mlflow=file:///data/runs") == ["file:///data/runs"]
    assert addresses("mlflow=mlruns") == ["file:///project/mlruns"]
    assert addresses("mlflow=databricks") == ["databricks"]


def test_the_environment_names_the_server(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    with pytest.raises(ConfigError, match="needs the address of its server; write mlflow=http://HOST:5000 or"):
        read_targets("mlflow")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://host:1234")
    assert read_targets("mlflow") == (Target("mlflow", "http://host:1234"),)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("tensorbord", "'tensorbord' is no recorder; did you mean tensorboard?"),
        ("neptune", "'neptune' is no recorder; write wandb, tensorboard, mlflow or mlflow=URI, joined by commas"),
        ("wandb,wandb", "wandb stands there twice"),
        ("tensorboard=runs", "tensorboard takes no address"),
        ("mlflow=ftp://host", "MLflow has no addresses that begin with 'ftp'"),
        ("mlflow=http://", "http:// names no host"),
        ("mlflow=postgresql://u:***@h/db", r"the password of postgresql://u:\*\*\*@h/db is not kept with the sweep"),
    ],
)
def test_mistakes_are_one_line(text: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message) as raised:
        read_targets(text)
    assert len(raised.value.problems) == 1


def test_passwords_are_neither_kept_nor_shown() -> None:
    target = Target("mlflow", "http://alice:s%40cret@host:5000/x")
    assert target.text == "mlflow=http://alice:***@host:5000/x"
    assert target.place == "http://host:5000/x"
    assert scrubbed("401 for http://alice:s%40cret@host:5000/x, password\n's@cret'", target) == (
        "401 for http://alice:***@host:5000/x, password '***'"
    )
    assert masked("http://token@host") == "http://***@host"
    database = Target("mlflow", "postgresql://u@h/db?sslmode=require&password=s3cret")
    assert database.text == "mlflow=postgresql://u@h/db?sslmode=require&password=***"
    assert scrubbed("no password 's3cret' in sslmode require", database) == "no password '***' in sslmode require"
    assert read_targets("mlflow=postgresql://u@h/db", kept=True) == (Target("mlflow", "postgresql://u@h/db"),)
    assert masked("sqlite:////data/runs.db") == "sqlite:////data/runs.db"
    # MLflow's own variables may have the password of a server that a sweep has kept.
    assert read_targets(target.text, kept=True) == (Target("mlflow", "http://host:5000/x"),)


def test_what_contradicts_other_options() -> None:
    def problems(given: str | None, kept: tuple[str, ...] | None = None, **more: Any) -> str:
        try:
            targets_of(given, kept, **{**AS_GIVEN, **more})
        except ConfigError as error:
            return str(error)
        return ""

    assert targets_of(None, None, **AS_GIVEN) is None
    assert problems("tensorboard") == ""
    assert problems(None, ("tensorboard",), controller="wandb") == ""
    assert "the W&B controller needs its runs" in problems("tensorboard", controller="wandb")
    assert "contradict each other" in problems("tensorboard", wandb_mode="online")
    assert "contradict each other" in problems("wandb,tensorboard", wandb_mode="disabled")
    assert problems("wandb", wandb_mode="online") == problems("tensorboard", wandb_mode="disabled") == ""
    assert "WANDB_MODE=disabled is set" in problems("wandb", wandb_off=True)
    assert "does not reach the other machines" in problems("mlflow=http://u:p@h", engine="slurm")
    assert takes_files(["wandb", "mlflow=x"])
    assert not takes_files(["tensorboard"])


def test_a_missing_package_is_named_with_its_command(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ConfigError) as raised:
        targets_of("wandb,tensorboard,mlflow=x", None, **AS_GIVEN)
    assert raised.value.problems == [
        "--record tensorboard: needs the package tensorboard; install it with: pip install tensorboard",
        "--record mlflow: needs the package mlflow-skinny; install it with: pip install mlflow-skinny",
    ]
