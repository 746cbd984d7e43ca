"""Secrets stay where they are; what comes from a server other people can write to does no harm."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.sweeping import processes_with
from tests.wandb_server import model, operations, start_server
from tests.wandb_server.launching import end_of, grid, new_sweep, read_until, runs, started, steps, sweep
from yacs_sweep.search.wandb_heartbeat import Command


def files_with(folder: Path, secret: str) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file() and secret.encode() in path.read_bytes()]


def environments(text: str, words: str) -> list[bytes]:
    """Of processes whose command line has `words`, and whose command line or environment has `text`."""
    found = []
    for pid in processes_with(words):
        try:
            environment = Path(f"/proc/{pid}/environ").read_bytes()
            command = Path(f"/proc/{pid}/cmdline").read_bytes()
        except OSError:
            continue
        if text.encode() in environment + command:
            found.append(environment)
    return found


def test_the_api_key_is_nowhere(tmp_path: Path) -> None:
    definition = grid(parameters={"TOY.MODE": {"values": ["environment", "crash", "train"]}})
    words = new_sweep(tmp_path, definition, "TOY.SECONDS", "0.3")
    with start_server() as server, started(server, tmp_path, *words) as launcher:
        said = read_until(launcher, "Epoch[2]")
        children = environments(str(tmp_path), "train.py")
        assert len(environments(str(tmp_path), "guard.py") + environments(str(tmp_path), "preload.py")) >= 1
        children += environments(str(tmp_path), "guard.py") + environments(str(tmp_path), "preload.py")
        assert [child for child in children if server.key.encode() in child or b"WANDB_API_KEY" in child] == []
        code, out = end_of(launcher)
        assert code == 1
        assert "ENV WANDB_MODE=disabled" in said
        assert "ENV WANDB_API_KEY" not in said
        assert server.key not in said + out
        assert files_with(tmp_path, "toy crash")  # the search finds what is there
        assert files_with(tmp_path, server.key) == []
        assert server.record.contains(server.key) == []


def test_no_message_names_a_key_that_is_refused(tmp_path: Path) -> None:
    wrong = "f" * 40
    with start_server() as server:
        words = new_sweep(tmp_path, grid(0.0001), "--controller", "wandb")
        ran = sweep(server, tmp_path, *words, env={"WANDB_API_KEY": wrong})
        assert ran.code == 2, ran.out + ran.err
        assert "user is not logged in" in ran.err
        assert wrong not in ran.out + ran.err


def test_hostile_names_values_and_parameters(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the server's hand-outs say, changed on their way: one after the other."""
    pwned = tmp_path / "pwned"
    command = f"train; touch {pwned} $(touch {pwned}) `touch {pwned}`"
    changes: list[dict[str, Any]] = [
        {"TOY.MODE": command + "\x1b"},
        {"base_lr": f"0.1; touch {pwned}"},
        {"base_lr": {"\x1b[2J": "1"}},
        {"OUTPUT_DIR": "/tmp/elsewhere", "\x1b[2J": 1},
        {"base_lr": 0.0005},
    ]
    titles = ["../../../evil", "/etc/evil", "..", "-rf evil", "a\nb\x1b[2J" + "x" * 300]
    hand_out = model._command

    def hostile(kind: str, run: model.Run, agent: model.Agent) -> dict[str, Any]:
        place = len(agent.sweep.runs) - 1
        sent = hand_out(kind, run, agent)
        sent["args"].update({name: {"value": value} for name, value in changes[place].items()})
        run.attributes["displayName"] = titles[place]
        return sent

    monkeypatch.setattr(model, "_command", hostile)
    parameters = {"base_lr": {"values": [0.0001, 0.0002, 0.0003, 0.0004, 0.0005]}, "TOY.MODE": {"value": "train"}}
    definition = grid(parameters=parameters)
    with start_server() as server:
        ran = sweep(server, tmp_path, *new_sweep(tmp_path, definition, "--max-failures", "9"))
        assert ran.code == 1, ran.out + ran.err
        assert not pwned.exists()
        assert sorted(path.name for path in tmp_path.iterdir()) == ["home", "log", "y.yaml"]
        assert [path.name for path in (tmp_path / "log").iterdir()] == ["sweep"]
        trials = sorted(ran.summary["trials"], key=lambda trial: trial["number"])
        assert [trial["state"] for trial in trials] == ["finished", "failed", "failed", "failed", "finished"]
        for trial in trials:
            assert Path(trial["dir"]).parent == ran.dir
            assert Path(trial["dir"]).name == trial["name"]
        assert any(command in word for word in trials[0]["command"])  # one word
        for place in (1, 2):
            assert "cannot be used" in trials[place]["reason"]
        assert "parameters the sweep does not define: , OUTPUT_DIR" in trials[3]["reason"]
        assert "\x1b" not in ran.out + ran.err
        assert "elsewhere" not in " ".join(trials[3]["command"])
        assert [run.state for run in runs(server)] == ["finished", "failed", "failed", "failed", "finished"]
        assert [len(steps(run)) for run in runs(server)] == [8, 0, 0, 0, 8]


def test_a_hostile_description_of_a_sweep(tmp_path: Path) -> None:
    """Resuming it is ours: where results go, and that nothing is started on other people's word."""
    pwned, outside = tmp_path / "pwned", tmp_path / "outside"
    shape = {**grid(0.0001), "name": "evil\x1b[2J", "results_dir_base": str(outside), "project": "other"}
    starting = {**shape, "command": ["touch", str(pwned), "${envvar:WANDB_API_KEY}"]}
    with start_server() as server:
        plain, evil = (server.state.create_sweep(yaml.safe_dump(d), d, "tester", "p").name for d in (shape, starting))
        alone = {"trainer": None, "config": None}
        refused = sweep(server, tmp_path, "--sweep_id", f"tester/p/{evil}", **alone)
        assert refused.code == 2, refused.out + refused.err
        assert "where others can edit them (touch" in refused.err
        assert not pwned.exists()
        ran = sweep(server, tmp_path, "--sweep_id", f"tester/p/{plain}")
        assert ran.code == 0, ran.out + ran.err
        assert "(evil): grid" in ran.out and "[2J" not in ran.out
        assert "\x1b" not in ran.out + ran.err
        assert ran.summary["counts"] == {"finished": 1}
        # With consent it is started, but without the key.
        (tmp_path / "with").mkdir()
        words = ("--sweep_id", f"tester/p/{evil}", "--trainer", "(sweep file)")
        consented = sweep(server, tmp_path / "with", *words, **alone)
        assert consented.code == 1, consented.out + consented.err
        (trial,) = consented.summary["trials"]
        assert trial["command"][2:] == ["WANDB_API_KEY"]
        assert files_with(tmp_path, server.key) == []
        assert not outside.exists()


def test_a_sweep_id_that_cannot_be_one_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(model.random.Random, "choices", lambda *given, **named: "..")
    with start_server() as server:
        ran = sweep(server, tmp_path, *new_sweep(tmp_path, grid(0.0001)))
        assert ran.code == 2, ran.out + ran.err
        assert "a sweep id that cannot be used: '..'" in ran.err
        assert not (tmp_path / "log").exists()


@pytest.mark.parametrize("name", ["../../evil", ""])
def test_a_run_id_that_cannot_be_one_ends_the_sweep(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    hand_out = model._command
    monkeypatch.setattr(model, "_command", lambda *given: {**hand_out(*given), "run_id": name})
    with start_server() as server:
        ran = sweep(server, tmp_path, *new_sweep(tmp_path, grid(0.0001)))
        assert ran.code == 1, ran.out + ran.err
        assert "the W&B server gave a run id that cannot be used" in ran.out
        assert "Traceback" not in ran.out + ran.err
        assert ran.summary["trials"] == []


@pytest.mark.parametrize(
    ("text", "found"),
    [
        (None, []),
        ("[]", []),
        ('{"type": "run"}', []),
        ('[1, null, "run", []]', []),
        ('[{"type": "stop", "run_id": "a"}]', [Command("stop", "a")]),
        ('[{"type": "run", "run_id": 7, "args": [1]}]', [Command("run", "7")]),
        ('[{"type": "run", "run_id": "a", "args": {"b": {"value": 1}}}]', [Command("run", "a", {"b": {"value": 1}})]),
    ],
)
def test_commands_are_read_as_far_as_they_are_commands(text: str | None, found: list[Command]) -> None:
    assert Command.parse(text) == found


def test_an_answer_that_is_no_answer_is_an_outage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    answers = iter(["not JSON", json.dumps(["?"])])
    real = operations.OPERATIONS["Heartbeat"]

    def broken(state: Any, variables: Any) -> Any:
        said = next(answers, None)
        if said is None:
            return real(state, variables)
        return {"agentHeartbeat": {"agent": {"id": variables["id"]}, "commands": said}}

    monkeypatch.setitem(operations.OPERATIONS, "Heartbeat", broken)
    with start_server() as server:
        ran = sweep(server, tmp_path, *new_sweep(tmp_path, grid(0.0001)))
        assert ran.code == 0, ran.out + ran.err
        assert "W&B does not answer" in ran.out
        assert [run.state for run in runs(server)] == ["finished"]
