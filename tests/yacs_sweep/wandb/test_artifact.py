"""`--log-model` and `wandb sync`: the best model on the W&B server, at once or later."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from tests.sweeping import GRID, Ran, sweep, write_sweep
from tests.wandb_server import start_server
from tests.wandb_server.launching import environment
from tests.wandb_server.server import WandbServer

WORDS = ("--controller", "local", "--project", "p", "--entity", "tester", "--log-model")
TRAIN = ("SOLVER.MAX_EPOCHS", "1", "TOY.CHECKPOINT", "1000")


def holds_the_best(server: WandbServer, ran: Ran) -> None:
    """The artifact on the server is what is in best/."""
    (artifact,) = server.state.artifacts.values()
    assert (artifact["state"], artifact["type"], artifact["name"]) == ("COMMITTED", "model", f"{ran.dir.name}-best")
    metadata = json.loads(artifact["metadata"])
    assert (metadata["trial"], metadata["value"]) == ("trial-0001", ran.summary["best"]["value"])
    run = server.control.run(f"{ran.dir.name}-best")
    assert run.state == "finished" and json.loads(run.summary)["val/mAP"] == ran.summary["best"]["value"]
    files = {path.name: path.read_bytes() for path in (ran.dir / "best").iterdir()}
    sent = {name.removeprefix("artifact/"): data for name, data in run.uploads.items() if name.startswith("artifact/")}
    assert {name: sent[name] for name in files} == files
    assert set(json.loads(sent["wandb_manifest.json"])["contents"]) == set(files)


def test_the_best_model_is_logged_at_the_end_of_a_sweep(tmp_path: Path) -> None:
    with start_server() as server:
        words = ["--sweep-config", write_sweep(tmp_path, GRID), *WORDS, "--wandb-mode", "online", *TRAIN]
        ran = sweep(tmp_path, *words, env=environment(server, tmp_path))
        assert ran.code == 0, ran.out + ran.err
        assert f"logged to W&B: tester/p/{ran.dir.name}-best:v0" in ran.out
        holds_the_best(server, ran)


def test_offline_one_command_uploads_trials_and_model(tmp_path: Path) -> None:
    with start_server() as server:
        env = environment(server, tmp_path)
        ran = sweep(tmp_path, "--sweep-config", write_sweep(tmp_path, GRID), *WORDS, *TRAIN, env=env)
        assert ran.code == 0, ran.out + ran.err
        assert "saved for `wandb sync`" in ran.out and not server.state.runs
        folders = sorted(map(str, (ran.dir / "wandb").glob("offline-run-*")))
        assert len(folders) == 4
        command = [str(Path(sys.executable).with_name("wandb")), "sync", *folders]
        done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=120, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
        holds_the_best(server, ran)
        for number in range(3):
            run = server.control.run(f"{ran.dir.name}-{number}")
            assert (run.title, run.state, len(run.rows)) == (f"trial-{number:04d}", "finished", 4)


def test_a_model_that_cannot_be_logged_is_on_disk_still(tmp_path: Path) -> None:
    words = ["--sweep-config", write_sweep(tmp_path, GRID), *WORDS]
    refused = sweep(tmp_path, *words, "--wandb-mode", "disabled")
    assert refused.code == 2 and "--log-model: W&B is disabled for this sweep" in refused.err
    assert not (tmp_path / "log").exists()
    with start_server() as server:
        server.control.add_fault(kind="status", operation="CreateArtifact", status=400)
        ran = sweep(tmp_path, *words, "--wandb-mode", "online", *TRAIN, env=environment(server, tmp_path))
        assert ran.code == 0, ran.out + ran.err  # the trials ended well
        assert "warning: --log-model:" in ran.out and "is kept" in ran.out
        assert (ran.dir / "best" / "model_1.pth").is_file()
