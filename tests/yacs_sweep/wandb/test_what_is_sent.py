"""Everything that the real client sends for a sweep is in the table of docs/wandb-protocol.md, and nothing else is sent."""

from __future__ import annotations

import json
import re
import socket
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import yaml
from wandb import __version__ as VERSION

from tests.sweeping import ROOT
from tests.wandb_server import WandbServer, start_server
from tests.wandb_server.launching import grid, new_sweep, runs, sweep
from tests.wandb_server.model import Run

PARAMETERS = {"base_lr", "TOY.MODE"}
METRICS = {"train/loss", "train/acc", "train/lr", "epoch", "val/mAP", *(f"val/cmc_rank_{rank}" for rank in (1, 5, 10))}
# Of the operations that say something: the variables that have a value.
OPERATIONS = {
    "UpsertSweep": {"config", "description", "entityName", "projectName"},
    "CreateAgent": {"host", "sweep", "entityName", "projectName"},
    "Heartbeat": {"id", "runState"},
}
# Those that only ask, or move files whose names and contents are looked at as such.
ASKING = {
    "Viewer",
    "GetDefaultEntity",
    "GetSweep",
    "GetSweepState",
    "ServerFeaturesQuery",
    "RunResumeStatus",
    "RunState",
    "ArtifactType",
}
MOVING = {"CreateRunFiles", "upload", "file_stream", "UpsertBucket"} | {
    *("CreateArtifact", "CreateArtifactManifest", "UpdateArtifactManifest", "CreateArtifactFiles", "CommitArtifact"),
    *("ArtifactByID", "CompleteMultipartUploadArtifact"),
}
HEADERS = {"Host", "User-Agent", "Content-Type", "Content-Length", "Content-Encoding", "Accept-Encoding", "Accept"} | {
    "Use-Admin-Privileges"
}
EMPTY_HEADERS = {"X-Wandb-Username", "X-Wandb-User-Email"}


def documented() -> dict[str, set[str]]:
    """The names in the table, by row."""
    text = (ROOT / "docs" / "wandb-protocol.md").read_text()
    section = text.partition("## What is sent\n")[2].partition("\n## ")[0]
    rows = re.findall(r"^\| ([^|]+) \| (.+) \|$", section.partition("| of a run | names |")[2], re.MULTILINE)
    return {name.strip("` "): set(re.findall(r"`([^`]+)`", names)) for name, names in rows}


@dataclass
class Sent:
    """What reached the server."""

    server: WandbServer
    folder: Path
    key: str = ""
    runs: list[Run] = field(default_factory=list)

    def values(self, operation: str) -> set[str]:
        """Variables of an operation that had a value at some time."""
        bodies = [request.body for request in self.server.record.requests(operation)]
        return {name for body in bodies for name, value in body.items() if value not in (None, "null", "{}", "")}

    @property
    def fields(self) -> set[str]:
        return self.values("UpsertBucket") - {"config"}

    @property
    def config(self) -> set[str]:
        return {name for run in self.runs for name in json.loads(run.config)}

    @property
    def history(self) -> set[str]:
        return {name for run in self.runs for row in run.history() for name in row}

    @property
    def summary(self) -> set[str]:
        return {name for run in self.runs for name in json.loads(run.summary)}

    @property
    def files(self) -> set[str]:
        return {name for run in self.runs for name in run.uploads if not name.startswith("artifact/")}

    @property
    def artifact(self) -> set[str]:
        return {
            name.removeprefix("artifact/") for run in self.runs for name in run.uploads if name.startswith("artifact/")
        }


def is_trial(run: Run) -> bool:
    """Whether a run is a trial's, and not that of --log-model."""
    return not run.name.endswith("-best")


def launched(folder: Path, *words: str, **env: str) -> Iterator[Sent]:
    """What is sent of a sweep of two trials, one of which fails."""
    parameters = {"base_lr": {"value": 0.0001}, "TOY.MODE": {"values": ["train", "crash"]}}
    (folder / "a-file-of-mine.txt").write_text("what stands in a file of mine")
    (folder / "gitconfig").write_text("[user]\nname = What Stands In Git\nemail = what-stands-in@git.example\n")
    with start_server() as server:
        words = (*words, "TOY.CHECKPOINT", "64")
        env = {"MY_VARIABLE": "what stands in a variable", "GIT_CONFIG_GLOBAL": str(folder / "gitconfig"), **env}
        env["USER"] = env["LOGNAME"] = "what-stands-in-user"
        ran = sweep(server, folder, *new_sweep(folder, grid(parameters=parameters), *words), env=env)
        assert ran.code == 1 and ran.summary["counts"] == {"finished": 1, "failed": 1}, ran.out + ran.err
        yield Sent(server, folder, server.key, runs(server))


@pytest.fixture(scope="module")
def on_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sent]:
    """Of the W&B controller, with the best one's files. The client may report its errors if it wants to."""
    yield from launched(tmp_path_factory.mktemp("server"), "--log-model", WANDB_ERROR_REPORTING="")


@pytest.fixture(scope="module")
def at_home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sent]:
    """Of the local controller, whose runs are online."""
    yield from launched(tmp_path_factory.mktemp("home"), "--controller", "local", "--wandb-mode", "online")


def test_the_table_names_what_is_sent_and_no_more(on_server: Sent, at_home: Sent) -> None:
    table = documented()
    both = (on_server, at_home)
    constant = {"<python with no main file>"}
    assert set().union(*(sent.fields for sent in both)) == table["fields"] - constant
    assert {run.attributes["program"] for sent in both for run in sent.runs} == constant
    assert {run.attributes["host"] for sent in both for run in sent.runs} == {socket.gethostname()}
    assert set().union(*(sent.config for sent in both)) == PARAMETERS | table["config"]
    assert set().union(*(sent.history for sent in both)) == METRICS | table["history"]
    ours = {"sweep/state", "sweep/reason", "sweep/exit_code", "sweep/last_lines", "sweep/best", "sweep/last"}
    summary = set().union(*(sent.summary for sent in both))
    assert summary == METRICS | ours | {"sweep/best_trial"} | table["summary"] - {"sweep/…"}
    assert set().union(*(sent.files for sent in both)) == table["files"]
    overviews = [json.loads(run.uploads["wandb-metadata.json"]) for sent in both for run in sent.runs if is_trial(run)]
    assert {name for overview in overviews for name in overview} == {"host", "program", "args", "git"}
    assert {tuple(overview["git"]) for overview in overviews} == {("commit",)}
    assert table["wandb-metadata.json"] == {"host", "program", "args", "git.commit"}
    (artifact,) = on_server.server.state.artifacts.values()
    assert set(json.loads(artifact["metadata"])) == table["metadata of the artifact"]
    assert on_server.artifact == {"best.json", "best.yml", "metrics.jsonl", "model_2.pth", "model_1.pth"} | {
        "wandb_manifest.json"
    }
    assert at_home.artifact == set() and at_home.server.state.artifacts == {}


def test_what_the_client_says_of_itself_is_versions_and_numbers(on_server: Sent) -> None:
    for run in on_server.runs:
        about = json.loads(run.config)["_wandb"]["value"]
        assert set(about) == {"cli_version", "python_version", "t", "m"}
        assert all(re.fullmatch(r"[\w.-]+", text) for text in about["t"].values() if isinstance(text, str))
        assert all(isinstance(item, int) for value in about["t"].values() if isinstance(value, list) for item in value)
        assert {str(value) for item in about["m"] for value in item.values() if isinstance(value, str)} <= {
            *("epoch", "iteration", "*")
        }


@pytest.mark.parametrize("name", ["on_server", "at_home"])
def test_no_request_says_anything_else(name: str, request: pytest.FixtureRequest) -> None:
    sent: Sent = request.getfixturevalue(name)
    requests = sent.server.record.requests()
    assert {item.operation for item in requests} <= OPERATIONS.keys() | ASKING | MOVING
    for operation, names in OPERATIONS.items():
        assert sent.values(operation) <= names
    streamed = {file for item in requests if item.operation == "file_stream" for file in item.body.get("files") or {}}
    assert streamed == {"wandb-history.jsonl", "wandb-summary.json"}
    headers = {(header, value) for item in requests for header, value in item.headers.items()}
    assert {header for header, value in headers if value} <= HEADERS
    assert {header for header, value in headers if not value} <= EMPTY_HEADERS
    assert {value for header, value in headers if header == "User-Agent"} <= {
        "wandb-core",
        f"W&B Public Client {VERSION}",
    }
    assert all(item.status == 200 for item in requests)


def test_neither_packages_nor_variables_nor_files_nor_paths_leave_the_machine(on_server: Sent, at_home: Sent) -> None:
    commit = subprocess.run(
        ["git", "rev-parse", "HEAD"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout.strip()
    for sent in (on_server, at_home):
        for secret in (
            "optuna",
            "requirements",
            "what stands in",
            "what-stands-in",
            "a-file-of-mine",
            "What Stands In",
        ):
            assert sent.server.record.contains(secret) == [], secret
        for secret in (sent.key, "/site-packages"):
            assert sent.server.record.contains(secret) == [], secret
        for run in sent.runs:  # what it prints, of a failed trial alone
            lines = json.loads(run.summary).get("sweep/last_lines", "")
            assert ("toy crash" in lines) == (run.state == "failed") and "INFO" not in lines
        assert sent.server.record.contains("reid_baseline.train INFO") == []
    for sent in (on_server, at_home):  # of a run's metadata, the command and the commit
        assert set(sent.server.record.contains(str(sent.folder))) == {"upload"}
        for run in sent.runs:
            places = {name for name, data in run.uploads.items() if str(sent.folder).encode() in data}
            assert {name for name in places if not name.startswith("artifact/")} <= {"wandb-metadata.json"}
    assert set(at_home.server.record.contains(commit)) == {"upload", "UpsertBucket"}
    # What --log-model uploads is asked for.
    assert set(on_server.server.record.contains(commit)) == {"upload", "UpsertBucket", "CreateArtifact"}


def test_the_packages_are_sent_where_they_are_asked_for(tmp_path: Path) -> None:
    with start_server() as server:
        words = new_sweep(tmp_path, grid(0.0001))
        ran = sweep(server, tmp_path, *words, env={"WANDB_X_SAVE_REQUIREMENTS": "true"})
        assert ran.code == 0, ran.out + ran.err
        (run,) = runs(server)
        assert b"optuna==" in run.uploads["requirements.txt"]


def test_an_offline_run_keeps_no_packages_for_a_later_upload(tmp_path: Path) -> None:
    with start_server() as server:
        words = new_sweep(tmp_path, grid(0.0001), "--controller", "local", "--wandb-mode", "offline")
        ran = sweep(server, tmp_path, *words)
        assert ran.code == 0, ran.out + ran.err
        kept = [path for path in ran.dir.glob("wandb/*/**/*") if path.is_file()]
        assert any(path.suffix == ".wandb" for path in kept)
        assert not [path for path in kept if path.name == "requirements.txt" or b"optuna==" in path.read_bytes()]
        assert server.record.requests() == []


def test_the_sweep_on_the_server_is_the_search_alone(on_server: Sent) -> None:
    (sent,) = on_server.server.record.requests("UpsertSweep")
    described: dict[str, Any] = yaml.safe_load(sent.body["config"])
    assert set(described) == {"description", "method", "metric", "name", "parameters", "program", "command"}
    assert described["program"] == "yacs-sweep"
    assert described["command"] == ["${env}", "${program}", "--agent-run", "--", "TOY.CHECKPOINT", "64"]
    assert re.fullmatch(r"launch [0-9a-f]{12}", described["description"])
    assert set(described["parameters"]) == PARAMETERS
