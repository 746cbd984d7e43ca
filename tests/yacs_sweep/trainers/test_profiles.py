"""The profiles that ship, on logs made from the trainers' format strings: every metric, value, axis and row."""

from __future__ import annotations

import json
import re
import time
from pathlib import Path

import pytest
import yaml

from tests.yacs_sweep.logs.trainer_logs import LOGS, Log, baseline, sample
from yacs_sweep.base.errors import ConfigError
from yacs_sweep.logs.metric_files import FORMATS
from yacs_sweep.logs.parser import LogParser
from yacs_sweep.logs.patterns import LogFormat
from yacs_sweep.logs.sources import Row
from yacs_sweep.trainers.load import load_profile
from yacs_sweep.trainers.read_entries import ENTRY_KEYS, FILE_KEYS, TABLE_KEYS
from yacs_sweep.trainers.read_profile import KEYS
from yacs_sweep.trainers.styles import STYLES

ROOT = Path(__file__).resolve().parents[3]
NAMES = sorted(path.stem for path in (ROOT / "configs" / "trainers").glob("*.yaml"))
ASKED = """reid reid_strong_baseline fast_reid transreid clip_reid torchreid maskrcnn_benchmark detectron2 hydra argparse
huggingface torchrun"""


def log_format(name: str) -> LogFormat:
    return load_profile(name, project_root=ROOT).metrics


def parse(name: str, log: bytes, cut: int) -> list[Row]:
    parser = LogParser(log_format(name))
    return [row for at in range(0, len(log), cut) for row in parser.feed_chunk(log[at : at + cut])] + parser.close()


def readable(rows: list[Row]) -> list[dict[str, str]]:
    """Rows in which nan equals nan."""
    return [{key: repr(float(value)) for key, value in sorted(row.items())} for row in rows]


def test_every_profile_asked_for_ships() -> None:
    assert set(ASKED.split()) <= set(NAMES)


@pytest.mark.parametrize("cut", [1 << 16, 97])
@pytest.mark.parametrize("name", LOGS)
def test_every_metric_of_every_line(name: str, cut: int) -> None:
    log: Log = LOGS[name](8, True)
    assert readable(parse(name, log.text.encode(), cut)) == readable(log.rows)


@pytest.mark.parametrize("name", LOGS)
def test_no_profile_takes_chatter_for_metrics(name: str) -> None:
    log = "".join(f"step {number} took 0.123 s, data 0.004 s, 128 samples, 12:00:00\n" for number in range(100))
    assert parse(name, log.encode(), 4096) == []


@pytest.mark.parametrize("name", LOGS)
def test_speed(name: str) -> None:
    lines = 40_000
    log = sample(name, lines)
    profile = log_format(name)
    best = 0.0
    for _ in range(3):
        parser = LogParser(profile)
        start = time.process_time()
        rows = sum(len(parser.feed_chunk(log[at : at + 65536])) for at in range(0, len(log), 65536))
        best = max(best, lines / (time.process_time() - start))
    assert rows
    assert best >= 200_000, f"{best:,.0f} lines/s"


@pytest.mark.parametrize("name", [*LOGS, "reid"])
@pytest.mark.parametrize(
    "piece", ["{'a': 1, ", "iter: 1  a: 1 (2) ", "| Dataset |", "epoch: [1/2][3/4]\ta 1 ", "copypaste: AP,"]
)
def test_a_line_of_ten_megabytes_does_not_stall(name: str, piece: str) -> None:
    log = (piece * (10_000_000 // len(piece)) + "\n").encode()
    start = time.process_time()
    parse(name, log, 1 << 18)
    assert time.process_time() - start < 3


def test_several_test_sets_are_rows_of_their_own() -> None:
    table = "| Datasets | mAP |\n|:--|:--|\n| Market1501 | 80.5 |\n| DukeMTMC | 70.5 |\nend | 5 |\n| late | 1 |\n"
    assert parse("fast_reid", table.encode(), 10) == [
        {"val/mAP": 80.5, "val/Market1501/mAP": 80.5},
        {"val/mAP": 70.5, "val/DukeMTMC/mAP": 70.5},
    ]


def test_several_test_sets_of_torchreid_have_names_of_their_own() -> None:
    lines = ["epoch: [3/60][20/404]\tloss 6.5 (6.6)"]
    for name, value in (("market1501", 44.1), ("dukemtmcreid", 33.2)):
        lines += [
            f"##### Evaluating {name} (target) #####",
            "** Results **",
            f"mAP: {value}%",
            "CMC curve",
            "Rank-1  : 61.0%",
        ]
    _, *rows = parse("torchreid", ("\n".join(lines) + "\n").encode(), 64)
    assert rows == [
        {"val/mAP": 44.1, "val/market1501/mAP": 44.1, "val/cmc_rank_1": 61.0, "epoch": 3},
        {"val/mAP": 33.2, "val/dukemtmcreid/mAP": 33.2, "val/cmc_rank_1": 61.0, "epoch": 3},
    ]


def test_validation_losses_are_no_training_losses() -> None:  # F6
    line = "[Validation]:   eta: 0:00:01  iter: 20  loss: 9.9900 (9.8700)  lr: 0.002500  max mem: 5120\n"
    assert parse("maskrcnn_benchmark", line.encode(), 99) == [{"val/loss": 9.99, "val/loss_avg": 9.87, "iter": 20}]


def test_solider_says_some_words_otherwise() -> None:  # F8
    log = baseline("transreid.train", 3, False, "Iter", "epoch")
    assert "Iter[20/183]" in log.text and "Time per epoch" in log.text
    assert readable(parse("transreid", log.text.encode(), 1 << 16)) == readable(log.rows)


def test_torchrun_starts_another_profile_several_times(tmp_path: Path) -> None:
    profile = load_profile("torchrun:fast_reid", project_root=ROOT)
    assert profile.metrics.entries == log_format("fast_reid").entries
    assert (profile.name, profile.preload) == ("torchrun:fast_reid", ())
    words = profile.command_line(python="py", config_file="c.yml", output_dir="o", gpu_ids="0,1,2")
    start = ["py", "-m", "torch.distributed.run", "--standalone", "--nproc_per_node=3", "--no-python"]
    assert words[: len(start) + 2] == [*start, "py", "tools/train_net.py"]
    assert load_profile(profile.reference, project_root=tmp_path).command == profile.command
    with pytest.raises(ConfigError, match="this profile wraps another one"):
        load_profile("torchrun", project_root=ROOT)


def test_a_number_of_processes_of_ones_own(tmp_path: Path) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text("extends: [torchrun, reid]\nprocesses: 4\n")
    words = load_profile(file, project_root=tmp_path).command_line(config_file="c.yml", gpu_ids="0")
    assert "--nproc_per_node=4" in words


@pytest.mark.parametrize(("name", "least"), [("trainers.md", 2), ("profile.md", 5)])
def test_the_examples_of_the_guide_are_profiles(name: str, least: int, tmp_path: Path) -> None:
    guide = (ROOT / "docs" / name).read_text(encoding="utf-8")
    blocks = re.findall(r"^```yaml\n(.*?)^```", guide, re.S | re.M)
    assert len(blocks) >= least
    pairs = None
    for number, block in enumerate(blocks):
        head = "" if block.startswith("command:") else "command: [t]\n"
        head += "metrics:\n" if block.startswith("  - ") else ""
        file = tmp_path / f"{number}.yaml"
        file.write_text(head + block)
        profile = load_profile(file, project_root=tmp_path)
        assert profile.metrics.entries or profile.metrics.generic or profile.metrics.wandb or profile.files
        pairs = profile if "pairs:" in block else pairs
    if pairs is None:
        return
    log = "iter: 19  loss: 1.5  lr: 0.01\nTask: bbox\nAP,AP50\n37.9,57.1\n| class | IoU |\n|--|--|\n| sky | 9 |\n"
    parser = LogParser(pairs.metrics)
    names = {name for row in parser.feed_chunk(log.encode()) + parser.close() for name in row}
    assert names == {"iter", "train/loss", "train/lr", "val/bbox/AP", "val/bbox/AP50", "val/sky/IoU"}


def test_the_json_schema_knows_what_the_reader_knows() -> None:
    schema = json.loads((ROOT / "configs" / "trainers" / "schema.json").read_text())
    assert set(schema["properties"]) == set(KEYS)
    entry, file = schema["$defs"]["entry"], schema["$defs"]["file"]
    assert set(entry["properties"]) == set(ENTRY_KEYS)
    assert set(entry["properties"]["table"]["oneOf"][1]["properties"]) == set(TABLE_KEYS)
    assert set(file["properties"]) == set(FILE_KEYS)
    assert tuple(file["properties"]["format"]["enum"]) == FORMATS
    assert tuple(schema["properties"]["overrides"]["enum"]) == STYLES


def test_profiles_fit_the_json_schema() -> None:
    jsonschema = pytest.importorskip("jsonschema")
    schema = json.loads((ROOT / "configs" / "trainers" / "schema.json").read_text())
    for name in NAMES:
        profile = yaml.safe_load((ROOT / "configs" / "trainers" / f"{name}.yaml").read_text())
        jsonschema.validate(profile, schema)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({"comand": ["x"]}, schema)
