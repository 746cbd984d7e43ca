"""The profiles that ship: where each comes from, its aliases, its words, and metrics in files."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.sweeping import sweep, write_sweep
from tests.yacs_sweep.logs.trainer_logs import FILES, LOGS
from yacs_sweep.base.errors import ConfigError
from yacs_sweep.logs.metric_files import Follower
from yacs_sweep.logs.sources import Row
from yacs_sweep.trainers.load import load_profile
from yacs_sweep.trainers.profile import TrainerProfile

ROOT = Path(__file__).resolve().parents[3]
TRAINERS = ROOT / "configs" / "trainers"
STYLES = ("argparse", "generic", "hydra", "torchrun")  # for a way of starting, not for a project
OURS = "reid"
PUBLIC = sorted(path.stem for path in TRAINERS.glob("*.yaml") if path.stem not in (*STYLES, OURS))


def shipped(name: str) -> TrainerProfile:
    return load_profile(name, project_root=ROOT)


@pytest.mark.parametrize("name", PUBLIC)
def test_the_head_names_source_version_and_date(name: str) -> None:
    head = re.match(r"(?:#.*\n)+", (TRAINERS / f"{name}.yaml").read_text(encoding="utf-8"))
    assert head is not None
    assert re.search(r"\b(?:[0-9a-f]{7}|\d+\.\d+(?:\.\d+)?) \((?:tried )?\d{4}-\d\d-\d\d", head[0]), head[0]


@pytest.mark.parametrize("name", [OURS, *PUBLIC])
def test_what_every_profile_of_a_trainer_says(name: str) -> None:
    profile = shipped(name)
    assert {"base_lr", "weight_decay", "ims_per_batch"} <= profile.aliases.keys()
    assert {"max_epochs", "max_iter"} & profile.aliases.keys()
    assert profile.default_metric is not None
    assert profile.checkpoints or name == "huggingface"  # whose checkpoints are folders
    told = {*profile.command, *profile.reserved}
    assert profile.output_dir_key or any("{output_dir}" in word for word in told)


def test_keys_that_a_trainer_does_not_have_are_no_aliases() -> None:  # F7
    assert "warmup_iters" not in shipped("transreid").aliases
    assert shipped("transreid").aliases["warmup_epochs"] == "SOLVER.WARMUP_EPOCHS"
    assert shipped("clip_reid").aliases["warmup_iters"] == "SOLVER.STAGE2.WARMUP_ITERS"
    assert "warmup_epochs" not in shipped("clip_reid_baseline").aliases
    with_seed = {name: seed for name in PUBLIC if (seed := shipped(name).aliases.get("seed"))}
    assert with_seed == {
        **dict.fromkeys(("transreid", "solider", "clip_reid", "clip_reid_baseline"), "SOLVER.SEED"),
        **dict.fromkeys(("pycls", "slowfast"), "RNG_SEED"),
        **dict.fromkeys(("swin", "detectron2"), "SEED"),
        **dict.fromkeys(("ultralytics", "huggingface"), "seed"),
        "torchreid": "train.seed",
        "mmengine": "randomness.seed",
        "lightning_cli": "seed_everything",
    }


def test_null_takes_an_inherited_alias_away(tmp_path: Path) -> None:
    (tmp_path / "base.yaml").write_text("command: [t]\naliases: {lr: A.LR, wd: A.WD}\nenv: {A: '1', B: '2'}\n")
    file = tmp_path / "mine.yaml"
    file.write_text("extends: base.yaml\naliases: {lr: null}\nenv: {A: null}\n")
    profile = load_profile(file, project_root=tmp_path)
    assert (profile.aliases, profile.env) == ({"wd": "A.WD"}, {"B": "2"})
    file.write_text("extends: base.yaml\naliases: {margin: null}\n")
    with pytest.raises(ConfigError, match=r"aliases\.margin: an alias names a key of the trainer"):
        load_profile(file, project_root=tmp_path)


WORDS = {
    "swin": "main.py --cfg c.yaml --output out --opts TRAIN.BASE_LR 0.1",
    "pycls": "tools/run_net.py --mode train --cfg c.yaml LOG_DEST stdout OPTIM.BASE_LR 0.1 OUT_DIR out",
    "slowfast": "tools/run_net.py --cfg c.yaml --opts OUTPUT_DIR out/output SOLVER.BASE_LR 0.1",
    "hrnet": "tools/train.py --cfg c.yaml LOG_DIR out/tensorboard TRAIN.LR 0.1 OUTPUT_DIR out",
    "solider": "train.py --config_file c.yaml SOLVER.BASE_LR 0.1 OUTPUT_DIR out",
    "clip_reid_baseline": "train.py --config_file c.yaml SOLVER.BASE_LR 0.1 OUTPUT_DIR out",
    "mmengine": "tools/train.py c.yaml --work-dir out --cfg-options optim_wrapper.optimizer.lr=0.1",
    "ultralytics": "-c from ultralytics.cfg import entrypoint; entrypoint() train optimizer=SGD project=out name=train "
    "exist_ok=True lr0=0.1",
    "lightning_cli": "main.py fit --config c.yaml --trainer.logger=lightning.pytorch.loggers.CSVLogger "
    "--trainer.logger.save_dir=out --trainer.default_root_dir=out --optimizer.lr=0.1",
}


@pytest.mark.parametrize("name", WORDS)
def test_the_words_of_a_trial(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    from yacs_sweep.trainers.overrides import Overrides

    monkeypatch.chdir(ROOT)
    profile = shipped(name)
    words = Overrides(profile).arguments({"base_lr": 0.1})
    line = profile.command_line(python="py", config_file="c.yaml", output_dir="out", overrides=words)
    assert " ".join(line[len(line) - 1 - line[::-1].index("py") + 1 :]) == WORDS[name]


def test_one_process_of_swin_has_what_torchrun_sets() -> None:
    line = shipped("swin").command_line(python="py", config_file="c.yaml", output_dir="out")
    assert line[:6] == ["py", "-m", "torch.distributed.run", "--standalone", "--nproc_per_node=1", "--no-python"]


def followed(name: str, folder: Path, file: str, text: str) -> list[Row]:
    """The rows that a profile finds in a file of the trainer's folder."""
    profile = shipped(name)
    follower = Follower(profile.files, folder, {"output_dir": str(folder), "trial_id": "t"}, profile.metrics.axis)
    path = folder / file
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return [row for _, row in follower.close()]


def test_every_profile_of_a_trainer_has_a_log_or_a_file_to_be_tried_on() -> None:
    assert {OURS, *PUBLIC} <= LOGS.keys() | FILES.keys()


@pytest.mark.parametrize("name", FILES)
def test_every_metric_of_every_row_of_a_file(name: str, tmp_path: Path) -> None:
    file = FILES[name]
    assert followed(name, tmp_path, file.path, file.text) == file.rows


def test_results_of_ultralytics_classifiers(tmp_path: Path) -> None:
    classified = "epoch,time,train/loss,metrics/accuracy_top1\n1,2.5,0.5,0.875\n"
    (row,) = followed("ultralytics", tmp_path, "train/results.csv", classified)
    assert row == {"epoch": 1, "train/time": 2.5, "train/loss": 0.5, "val/accuracy_top1": 0.875}


def test_a_sweep_reads_the_csv_file_of_a_stand_in(tmp_path: Path) -> None:
    """A trainer with LightningCLI's words, which writes its metrics as Lightning's CSVLogger does."""
    (tmp_path / "main.py").write_text(
        "import sys\nfrom pathlib import Path\n"
        "assert sys.argv[1:4:2] == ['fit', sys.argv[3]] and sys.argv[2] == '--config', sys.argv\n"
        "words = dict(word[2:].split('=', 1) for word in sys.argv[4:])\n"
        "folder = Path(words['trainer.logger.save_dir']) / 'lightning_logs' / 'version_0'\n"
        "folder.mkdir(parents=True)\n"
        "lr = float(words['model.lr'])\n"
        "(folder / 'metrics.csv').write_text(f'epoch,step,train_loss,val_loss\\n0,4,9.5,\\n0,9,,{lr * 2}\\n')\n"
    )
    profile = tmp_path / "mine.yaml"
    profile.write_text("extends: lightning_cli\ncwd: .\naliases: {base_lr: model.lr}\n")
    (tmp_path / "c.yaml").write_text("{}\n")
    path = write_sweep(tmp_path, {"method": "grid", "parameters": {"base_lr": {"values": [0.5, 0.25]}}})
    options = ["--trainer", str(profile), "--config_file", str(tmp_path / "c.yaml"), "--sweep-config", str(path)]
    done = sweep(tmp_path, *options)
    assert done.code == 0, done.err
    found = done.summary
    assert found["metric"] == {"name": "val_loss", "goal": "minimize"}
    assert [trial["value"] for trial in found["trials"]] == [1.0, 0.5]
    assert found["best"]["params"] == {"base_lr": 0.25}


def test_aliases_have_the_usual_names() -> None:
    from yacs_sweep.launch.plan.checks import USUAL_ALIASES

    others = {alias for name in [OURS, *PUBLIC] for alias in shipped(name).aliases} - set(USUAL_ALIASES)
    assert others == {"warmup_steps"}  # transformers'
