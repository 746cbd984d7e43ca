"""`--init` on small trainers: what it finds, what it is unsure of, and that it writes nothing it should not."""

from __future__ import annotations

import ast
import re
import time
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.yacs_sweep.trainers.init.layouts import ARGPARSE, LAYOUTS, YACS_PACKAGE, Layout, write
from tests.yacs_sweep.trainers.init.new_layouts import NEW_LAYOUTS
from yacs_sweep.base.errors import ConfigError
from yacs_sweep.base.shipped import TRAINERS
from yacs_sweep.cli import main
from yacs_sweep.spec.read_sweep import sweep_from_dict
from yacs_sweep.trainers.init import run
from yacs_sweep.trainers.init.names import choose_aliases, choose_objective, choose_output, choose_seed, idle_aliases
from yacs_sweep.trainers.init.project import Module
from yacs_sweep.trainers.init.run import init
from yacs_sweep.trainers.init.shipped import _is_source
from yacs_sweep.trainers.init.source import checkpoint_patterns
from yacs_sweep.trainers.load import load_profile
from yacs_sweep.trainers.own_command import own_command_profile
from yacs_sweep.trainers.schemas.read import read_schema

SECONDS = 5.0
ALL = LAYOUTS | NEW_LAYOUTS


def ran(folder: Path, words: list[str], **options: Any) -> str:
    """What `--init` shows."""
    shown: list[str] = []
    assert init(words, root=folder, show=shown.append, **options) == 0
    return "\n".join(shown)


def files(folder: Path) -> tuple[Path, Path]:
    name = folder.name
    return folder / "configs" / "trainers" / f"{name}.yaml", folder / "sweeps" / f"{name}.yaml"


@pytest.fixture
def project(tmp_path: Path) -> Path:
    folder = tmp_path / "project"
    folder.mkdir()
    return folder


@pytest.mark.parametrize("layout", ALL.values(), ids=ALL.keys())
def test_a_trainer_of_a_usual_layout_needs_no_word(layout: Layout, project: Path) -> None:
    write(layout, project)
    begun = time.monotonic()
    shown = ran(project, ["train.log"] if layout.log else [])
    assert time.monotonic() - begun < SECONDS
    profile, sweep = files(project)
    data = yaml.safe_load(profile.read_text())
    for key, value in layout.profile.items():
        if isinstance(value, dict) and key == "aliases":
            assert value.items() <= data[key].items()
        else:
            assert data.get(key) == value, key
    for text in layout.unsure:
        assert text in shown
        assert text in " ".join(profile.read_text().replace("#", "").split())
    written = yaml.safe_load(sweep.read_text())
    assert set(written["parameters"]) == layout.parameters
    assert layout.parameters <= data["aliases"].keys()
    if layout.metric:
        assert (written["metric"]["name"], written["metric"]["goal"]) == layout.metric
    last = shown.splitlines()[-3:]
    assert [line.split()[-1] for line in last] == ["--check", "--dry-run", "1"]


@pytest.mark.parametrize("name", sorted(ALL))
def test_the_launcher_reads_what_is_written(name: str, project: Path) -> None:
    write(ALL[name], project)
    ran(project, [])
    profile, sweep = files(project)
    loaded = load_profile(str(profile), project_root=project)
    assert loaded.cwd == project
    schema = read_schema(loaded)
    assert schema is not None or name == "plain YAML"  # which has no tree
    assert schema is None or not [key for key in loaded.aliases.values() if schema.key_problem(key)]
    assert not sweep_from_dict(yaml.safe_load(sweep.read_text())).warnings


def test_an_alias_stands_for_a_key_that_the_code_reads(project: Path) -> None:
    write(YACS_PACKAGE, project)
    ran(project, [])
    aliases = yaml.safe_load(files(project)[0].read_text())["aliases"]
    assert "warmup_iters" not in aliases  # in the tree, and of no effect


def test_ranges_are_around_the_values_of_the_configuration(project: Path) -> None:
    write(YACS_PACKAGE, project)
    ran(project, ["configs/market.yml"])
    rate = yaml.safe_load(files(project)[1].read_text())["parameters"]["base_lr"]
    assert (rate["min"], rate["max"]) == (0.0002, 0.005)


def test_an_empty_section_of_the_configuration_is_told(project: Path) -> None:
    write(YACS_PACKAGE, project)
    (project / "configs" / "market.yml").write_text("SOLVER:\n  BASE_LR: 0.001\nMODEL:\n")
    assert "configs/market.yml has empty sections" in ran(project, ["configs/market.yml"])


def test_a_schema_that_runs_the_script_says_so(project: Path) -> None:
    write(ARGPARSE, project)
    ran(project, [])
    assert "runs the script up to parse_args()" in files(project)[0].read_text()


def test_a_dry_run_writes_nothing(project: Path) -> None:
    write(ARGPARSE, project)
    shown = ran(project, [], dry_run=True)
    assert "overrides: argparse" in shown and "parameters:" in shown
    assert sorted(path.name for path in project.iterdir()) == ["train.log", "train.py"]


def test_files_that_exist_are_replaced_by_force_alone(project: Path) -> None:
    write(ARGPARSE, project)
    profile, sweep = files(project)
    sweep.parent.mkdir()
    sweep.write_text("mine: 1\n")
    with pytest.raises(ConfigError, match=r"would replace sweeps/project\.yaml"):
        ran(project, [])
    assert sweep.read_text() == "mine: 1\n" and not profile.exists()
    ran(project, [], force=True)
    assert "parameters:" in sweep.read_text() and profile.exists()


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (["gone.py"], "--init gone.py: no such file"),
        (["configs"], "--init configs: is a folder"),
        (["train.py", "test.py"], "a profile is of one script"),
        (["/etc/hosts.py", "gone.yaml"], "no such file"),
        (["broken.py"], "cannot be read as Python 3"),
    ],
)
def test_a_wrong_word_is_told_before_anything_is_written(words: list[str], text: str, project: Path) -> None:
    write(YACS_PACKAGE, project)
    (project / "broken.py").write_text("print 'two'\n")
    with pytest.raises(ConfigError) as caught:
        ran(project, words)
    assert text in str(caught.value)
    assert not (project / "sweeps").exists()


def test_a_folder_without_a_trainer_is_told(project: Path) -> None:
    (project / "util.py").write_text("x = 1\n")
    with pytest.raises(ConfigError, match="no script that trains was found"):
        ran(project, [])


def test_the_command_line_takes_it(
    project: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    write(ARGPARSE, project)
    monkeypatch.chdir(project)
    assert main(["--init", "train.py", "train.log", "--dry-run"]) == 0
    assert "metric: {name: val_loss, goal: minimize}" in capsys.readouterr().out
    assert main(["--init", "--count", "3"]) == 2
    assert "--count: --init starts no sweep" in capsys.readouterr().err
    assert main(["--init", "--dry-run", "--try-run", "5"]) == 2
    assert "--try-run, --dry-run: contradict each other" in capsys.readouterr().err
    assert main(["--force", "--dry-run"]) == 2
    assert "--force: needs --init" in capsys.readouterr().err
    assert not (project / "sweeps").exists()


@pytest.mark.parametrize(
    ("name", "text"),
    [("swin", "ships with the launcher"), ("list", "ships with"), ("a/b.yaml", "is no name of a new profile")],
)
def test_a_profile_is_given_a_name(name: str, text: str, project: Path) -> None:
    write(ARGPARSE, project)
    with pytest.raises(ConfigError, match=text):
        ran(project, [], name=name)
    ran(project, [], name="mine")
    assert (project / "configs" / "trainers" / "mine.yaml").is_file() and (project / "sweeps" / "mine.yaml").is_file()


def test_words_that_a_script_compares_itself_are_found(project: Path) -> None:
    script = """
        import sys
        from settings import cfg
        if __name__ == '__main__':
            words = sys.argv[1:]
            if words[0].startswith('--config_file='):
                cfg.merge_from_file(words[0][14:])
            cfg.merge_from_list(words[1:])
        """
    write(Layout({**YACS_PACKAGE.files, "train.py": script}, {}, frozenset()), project)
    ran(project, [])
    command = yaml.safe_load(files(project)[0].read_text())["command"]
    assert command == ["python", "train.py", "--config_file={config_file}"]


def test_no_code_of_the_project_runs(project: Path) -> None:
    write(ARGPARSE, project)
    script = project / "train.py"
    script.write_text("open('ran', 'w')\nraise SystemExit('ran')\n" + script.read_text())
    ran(project, [])
    assert not (project / "ran").exists()


# -- a run with the user's yes ---------------------------------------------------------------------------------------
RUNS = """
    import argparse, os, sys, time
    parser = argparse.ArgumentParser()
    parser.add_argument('--lr', type=float, default=0.1)
    parser.add_argument('--output-dir', default='out')
    args = parser.parse_args()
    os.makedirs(args.output_dir, exist_ok=True)
    open(os.path.join(args.output_dir, 'here'), 'w')
    for epoch in range(2):
        print('epoch:', epoch, *['valid_' + 'top5:', 0.5 + epoch], flush=True)
    if os.fork() == 0:
        open(os.path.join(args.output_dir, 'pid'), 'w').write(str(os.getpid()))
    time.sleep(600)
    """


def test_a_run_shows_the_metrics_that_the_source_does_not(project: Path) -> None:
    write(Layout({"train.py": RUNS}, {}, frozenset()), project)
    begun = time.monotonic()
    shown = ran(project, [], try_for=3)
    assert 3 < time.monotonic() - begun < 60
    assert "running for at most 3 s" in shown
    assert "valid_top5" in files(project)[0].read_text()
    output = project / "log" / "init"
    assert {"here", "stdout.log", "pid"} <= {path.name for path in output.iterdir()}
    left = int((output / "pid").read_text())
    deadline = time.monotonic() + 120
    while Path(f"/proc/{left}").exists() and "Z" not in Path(f"/proc/{left}/stat").read_text().split():
        assert time.monotonic() < deadline, "a process is left"
        time.sleep(0.05)


def test_a_run_that_fails_is_told_with_its_last_line(project: Path) -> None:
    write(
        Layout(
            {"train.py": "import argparse\nargparse.ArgumentParser().parse_args()\nraise SystemExit('no data')\n"},
            {},
            frozenset(),
        ),
        project,
    )
    shown = ran(project, [], try_for=20)
    assert "ends with: no data" in shown


# -- names ----------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("metrics", "chosen"),
    [
        (["Loss", "Acc", "Lr", "mAP", "Rank-1"], ("mAP", "maximize")),
        (["train_epoch/top1_err", "test_iter/top1_err", "test_epoch/top1_err", "test_epoch/min_top1_err"],
         ("test_epoch/top1_err", "minimize")),
        (["loss", "loss_avg", "test/Acc@1", "test/Acc@1_avg", "Acc@1", "max_accuracy"], ("Acc@1", "maximize")),
        (["train/loss", "val/loss"], ("val/loss", "minimize")),
        (["loss", "test/accuracy"], ("test/accuracy", "maximize")),
        (["loss", "train/loss", "test/loss"], ("test/loss", "minimize")),
        (["ppl", "loss", "val/loss", "val/ppl", "test/ppl"], ("val/ppl", "minimize")),
        (["lr", "time"], None),
    ],
)  # fmt: skip
def test_the_objective_is_a_result_of_data_that_was_not_trained_on(
    metrics: list[str], chosen: tuple[str, str] | None
) -> None:
    found = choose_objective(metrics)
    assert (found[:2] if found else None) == chosen


def test_keys_of_other_sections_are_not_taken() -> None:
    leaves = {"BN.WEIGHT_DECAY": 0.0, "TEST.IMS_PER_BATCH": 8, "SOLVER.WEIGHT_DECAY": 0.1, "PREC_TIME.WARMUP_ITER": 3}
    assert {alias: choice.key for alias, choice in choose_aliases(leaves).items()} == {
        "weight_decay": "SOLVER.WEIGHT_DECAY"
    }


def test_the_output_folder_is_no_folder_of_data() -> None:
    choice = choose_output({"DATA.DIR": "x", "LOG_DIR": "log", "OUTPUT_DIR": "out", "MODEL.OUTPUT": 3})
    assert choice and choice.key == "OUTPUT_DIR"


def test_a_seed_is_a_number_or_none() -> None:
    choice = choose_seed({"DATA.SEED": "text", "RNG_SEED": None})
    assert choice and choice.key == "RNG_SEED"


# -- a file of settings and nothing else ------------------------------------------------------------------------------
SETTINGS = "seed: 1\nwork_dir: ./work\ndevice: '0'\noptim: {lr: 1e-3}\ntrainer: {max_epochs: 6}\n"
READS = {
    "a function of its own": "config = load(sys.argv[1])",
    "inline": "config = yaml.safe_load(open(sys.argv[1]))",
    "a variable": "path = sys.argv[1]\n    config = load(path)",
    "a default": "config = load(sys.argv[1] if len(sys.argv) > 1 else 'cfgs/base.yaml')",
    "a path": "from pathlib import Path\n    config = yaml.safe_load(Path(sys.argv[1]).read_text())",
    "a parser": "import argparse\n    p = argparse.ArgumentParser()\n    p.add_argument('experiment')\n"
    "    args = p.parse_args()\n    config = load(args.experiment)",
}


def reads_settings(project: Path, reading: str, more: str = "") -> None:
    """Writes a trainer that reads a file of settings."""
    code = f"""import os, sys, yaml

def load(path):
    with open(path) as file:
        return yaml.safe_load(file)

if __name__ == '__main__':
    {reading}
    os.environ['CUDA_VISIBLE_DEVICES'] = str(config['device'])
{more}"""
    write(Layout({"train.py": code, "cfgs/base.yaml": SETTINGS}, {}, frozenset()), project)


@pytest.mark.parametrize("reading", READS.values(), ids=READS.keys())
def test_a_trainer_that_reads_a_file_gets_one_for_each_trial(reading: str, project: Path) -> None:
    reads_settings(project, reading)
    ran(project, [])
    data = yaml.safe_load(files(project)[0].read_text())
    assert data["command"] == ["python", "train.py", "{config_file}"]
    assert (data["overrides"], data["output_dir_key"], data["gpu_key"]) == ("file", "work_dir", "device")
    assert "schema" not in data
    assert data["aliases"] == {"base_lr": "optim.lr", "max_epochs": "trainer.max_epochs", "seed": "seed"}
    assert yaml.safe_load(files(project)[1].read_text())["parameters"]["base_lr"]["max"] == 0.005


def test_words_beside_the_file_of_settings_are_in_their_places(project: Path) -> None:
    reads_settings(project, "mode = sys.argv[1]\n    config = load(sys.argv[2])\n    save_dir = sys.argv[3]")
    shown = ran(project, [])
    command = yaml.safe_load(files(project)[0].read_text())["command"]
    assert command == ["python", "train.py", "FILL_IN", "{config_file}", "{output_dir}"]
    assert "The script reads mode from sys.argv[1]; write it for FILL_IN" in shown


# -- the form of GPUs -------------------------------------------------------------------------------------------------
TREE = """
    from yacs.config import CfgNode as CN
    cfg = CN()
    cfg.GPUS = {default}
    cfg.LR = 0.1
    cfg.OUTPUT_DIR = 'out'
    """
MAIN = """
    import argparse, os
    from config import cfg
    {imports}

    def main():
        parser = argparse.ArgumentParser()
        parser.add_argument('opts', nargs=argparse.REMAINDER)
        cfg.merge_from_list(parser.parse_args().opts)
        {statement}

    if __name__ == '__main__':
        main()
    """
OTHER = """
    import os
    def choose(gpus):
        text = ','.join(str(gpu) for gpu in gpus)
        os.environ['CUDA_VISIBLE_DEVICES'] = text
    """


@pytest.mark.parametrize(
    ("default", "statement", "form"),
    [
        ("(0,)", "os.environ['CUDA_VISIBLE_DEVICES'] = ','.join(str(g) for g in cfg.GPUS)", "[{gpu_ids}]"),
        ("[0]", "choose(cfg.GPUS)", "[{gpu_ids}]"),
        ("0", "os.environ.update(CUDA_VISIBLE_DEVICES=str(cfg.GPUS))", "{gpu_ids}"),
        ("0", "gpus = cfg.GPUS\n        os.putenv('CUDA_VISIBLE_DEVICES', f'{gpus}')", "{gpu_ids}"),
        ("'0'", "os.environ['CUDA_VISIBLE_DEVICES'] = cfg.GPUS", None),
        ("(0,)", "print(cfg.GPUS)", None),
    ],
)
def test_gpus_have_their_names_where_the_code_makes_them_visible(
    default: str, statement: str, form: str | None, project: Path
) -> None:
    main = MAIN.replace("{statement}", statement).replace("{imports}", "from gpus import choose")
    config = TREE.replace("{default}", default)
    write(Layout({"train.py": main, "config.py": config, "gpus.py": OTHER}, {}, frozenset()), project)
    ran(project, [])
    loaded = load_profile(str(files(project)[0]), project_root=project)
    assert loaded.gpu_key is not None
    assert (loaded.gpu_key.key, loaded.gpu_key.form) == ("GPUS", form)


def test_gpus_that_the_code_chooses_itself_are_to_be_checked(project: Path) -> None:
    main = MAIN.replace("{statement}", "os.environ['CUDA_VISIBLE_DEVICES'] = '0'").replace("{imports}", "")
    write(Layout({"train.py": main, "config.py": TREE.replace("{default}", "(0,)")}, {}, frozenset()), project)
    shown = ran(project, [])
    assert "train.py:9 sets CUDA_VISIBLE_DEVICES itself, so every trial may take the same GPUs" in shown
    assert "form: '{gpu_ids}'" in shown


# -- what a run shows beside its output --------------------------------------------------------------------------------
WRITES = """
    import argparse, os
    parser = argparse.ArgumentParser()
    parser.add_argument('--lr', type=float, default=0.1)
    parser.add_argument('--hidden', type=int, default=64)
    parser.add_argument('--output-dir', default='out')
    args = parser.parse_args()
    for name, value in vars(args).items():
        print(f'{name}: {value}')
    print('width: 7')
    os.makedirs(args.output_dir, exist_ok=True)
    def at(name):
        return os.path.join(args.output_dir, name)
    open(at('METRICS'), 'w').write('CONTENT')
    name = 'best' + '.ckpt'
    open(at(name), 'w').write('x')
    """


@pytest.mark.parametrize(
    ("name", "content", "form"),
    [
        ("metrics.csv", "epoch,loss,val_f1\\n0,1.5,0.5\\n", "csv"),
        ("rows.jsonl", '{"epoch": 0, "val_f1": 0.5}\\n{"epoch": 1, "val_f1": 0.6}\\n', "jsonl"),
    ],
)
def test_files_that_a_run_has_written_are_read_where_its_output_says_nothing(
    name: str, content: str, form: str, project: Path
) -> None:
    write(Layout({"train.py": WRITES.replace("METRICS", name).replace("CONTENT", content)}, {}, frozenset()), project)
    ran(project, [], try_for=20)
    data = yaml.safe_load(files(project)[0].read_text())
    (source,) = data["files"]
    assert source["path"] == f"{{output_dir}}/{name}"
    assert source.get("format", "jsonl") == form
    assert data["metric"] == {"name": "val_f1", "goal": "maximize"}
    assert data["checkpoints"] == ["*.ckpt"]
    load_profile(str(files(project)[0]), project_root=project)


def test_a_printed_configuration_is_no_metric(project: Path) -> None:
    log = "lr: 0.1\nhidden: 64\nwidth: 7\nepoch: 0 loss: 0.5 lr: 0.1\nepoch: 1 loss: 0.4 lr: 0.1\nval acc: 0.5\n"
    write(Layout({"train.py": WRITES}, {}, frozenset(), log=log), project)
    ran(project, ["train.log"])
    (names,) = [line for line in files(project)[0].read_text().splitlines() if "No patterns are needed" in line]
    assert names.endswith("(in its log): lr, loss, val/acc")


# -- the configuration to start with ------------------------------------------------------------------------------------
def test_the_configuration_that_the_documents_train_with_counts(project: Path) -> None:
    write(YACS_PACKAGE, project)
    (project / "configs" / "aaa.yml").write_text("_BASE_: market.yml\nSOLVER: {BASE_LR: 0.5}\n")
    (project / "configs" / "zzz.yml").write_text("_BASE_: market.yml\nSOLVER: {BASE_LR: 0.004}\n")
    script = load_script(project)
    (project / "README.md").write_text(
        f"python {script} --eval --config_file configs/aaa.yml\npython {script} \\\n --config_file configs/zzz.yml\n"
        f"python {script} --config_file configs/market.yml\n"
    )
    shown = ran(project, [])
    assert "Defaults are those of configs/zzz.yml. The documents also train with configs/market.yml." in shown
    assert yaml.safe_load(files(project)[1].read_text())["parameters"]["base_lr"]["max"] == 0.02


def load_script(project: Path) -> str:
    """The script of a project, as `--init` finds it."""
    shown = ran(project, [], dry_run=True)
    return shown.split("# Profile of ")[1].split(",")[0]


# -- parameters without effect ------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("leaves", "idle"),
    [
        ({"optim.name": "adamw", "momentum": 0.9}, {"momentum": "optim.name adamw"}),
        ({"SOLVER.OPTIMIZER_NAME": "SGD"}, {}),
        ({"train.optim": "amsgrad"}, {"momentum": "train.optim amsgrad"}),
        ({"loss.name": "softmax"}, {"margin": "loss.name softmax"}),
        ({"loss.name": "triplet"}, {}),
        ({"MODEL.LOSSES.NAME": ("CrossEntropyLoss", "TripletLoss")}, {}),
        ({"DATALOADER.SAMPLER": "softmax_triplet"}, {}),
        ({"TRAIN.LR_SCHEDULER.NAME": "cosine"}, {"gamma": "TRAIN.LR_SCHEDULER.NAME cosine"}),
    ],
)
def test_parameters_that_the_configuration_does_not_use(leaves: dict[str, Any], idle: dict[str, str]) -> None:
    assert idle_aliases(["momentum", "margin", "gamma", "base_lr"], leaves) == idle


def test_a_parameter_without_effect_is_not_searched(project: Path) -> None:
    defaults = {"lr": 0.1, "momentum": 0.9, "optimizer": "adam"}
    options = "".join(f"p.add_argument('--{name}', default={default!r})\n" for name, default in defaults.items())
    script = f"import argparse\np = argparse.ArgumentParser()\n{options}p.parse_args()\n"
    write(Layout({"train.py": script}, {}, frozenset()), project)
    ran(project, [])
    text = files(project)[1].read_text()
    assert set(yaml.safe_load(text)["parameters"]) == {"base_lr"}
    assert "# momentum: does nothing with optimizer adam" in text


# -- files and imports --------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("code", "patterns"),
    [
        ("(args.out / 'last.pt').write_bytes(b'x')", ["*.pt"]),
        ("open(join(out, 'model.ckpt'), 'wb').write(b'x')", ["*.ckpt"]),
        ("best = out / 'best.pth'\ntorch.save(model, best)", ["*.pth"]),
        ("model.save_pretrained(out)", ["*.safetensors", "*.bin"]),
        ("open(join(out, 'model.ckpt'), 'rb').read()", []),
        ("rows = folder / 'rows.pkl'", []),
    ],
)
def test_checkpoints_are_found_however_they_are_written(code: str, patterns: list[str]) -> None:
    assert checkpoint_patterns([Module(Path("m.py"), ast.parse(code)).read()]) == patterns


@pytest.mark.parametrize(
    ("first", "folder", "env"),
    [
        ("", "", {"WANDB_MODE": "disabled", "PYTHONPATH": "."}),
        ("", "src/", {"WANDB_MODE": "disabled", "PYTHONPATH": "src"}),
        ("import sys\nsys.path.insert(0, '.')\n", "", {"WANDB_MODE": "disabled"}),
    ],
)
def test_a_package_that_is_not_beside_the_script_is_found(
    first: str, folder: str, env: dict[str, str], project: Path
) -> None:
    parses = "p = argparse.ArgumentParser()\np.add_argument('--lr', default=0.1)\np.parse_args()\n"
    script = f"{first}import argparse\nfrom birds import net\n{parses}"
    write(Layout({"tools/train.py": script, f"{folder}birds/__init__.py": "net = 1\n"}, {}, frozenset()), project)
    ran(project, [])
    assert yaml.safe_load(files(project)[0].read_text())["env"] == env


def test_lines_of_a_profile_are_short(project: Path) -> None:
    for name, layout in ALL.items():
        folder = project / re.sub(r"\W", "_", f"of_{name}".lower())
        folder.mkdir()
        write(layout, folder)
        ran(folder, [])
        long = [line for line in files(folder)[0].read_text().splitlines() if len(line) > 100 and "   # " in line]
        assert not long


def test_of_profiles_that_fit_the_one_of_this_repository_counts(tmp_path: Path) -> None:
    (tmp_path / "README.md").write_text("# SOLIDER on [Person Re-identification]\n\nSOLIDER-REID trains …\n")
    assert _is_source(TRAINERS / "solider.yaml", tmp_path)
    assert not _is_source(TRAINERS / "transreid.yaml", tmp_path)
    folder = tmp_path / "TransReID-main"
    folder.mkdir()
    assert _is_source(TRAINERS / "transreid.yaml", folder)


def test_what_is_shown_fits_a_narrow_terminal(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(YACS_PACKAGE, project)
    monkeypatch.setattr(run, "is_terminal", lambda: True)
    monkeypatch.setattr(run, "output_width", lambda: 79)
    monkeypatch.setattr(run, "COMMAND", ("yacs-sweep",))
    shown = ran(project, [])
    assert max(map(len, shown.splitlines())) <= 79
    assert shown.splitlines()[-1].endswith("--count 1")


WANDB = """
import wandb

defaults = dict(learning_rate=0.02, rank=8, decay=0.0, epochs=30, seed=1, log_every=10, name="mf")

def fit():
    run = wandb.init(project="films", config=defaults)
    for epoch in range(wandb.config.epochs):
        wandb.log({"epoch": epoch, "train_rmse": 1.0, "val_rmse": 2.0})

if __name__ == "__main__":
    fit()
"""


def test_a_script_for_wandb_is_named_by_its_sweep_file_alone(project: Path) -> None:
    (project / "train.py").write_text(WANDB)
    shown = ran(project, [])
    profile, sweep = files(project)
    assert not profile.exists() and "--trainer" not in shown and "please check" not in shown
    written = yaml.safe_load(sweep.read_text())
    assert written["program"] == "train.py"
    assert written["metric"] == {"name": "val_rmse", "goal": "minimize"}
    assert written["parameters"] == {
        "learning_rate": {"distribution": "log_uniform_values", "min": 0.004, "max": 0.1},
        "rank": [4, 8, 16],
    }
    assert own_command_profile(sweep_from_dict(written), project).name == "train.py"
    with pytest.raises(ConfigError, match=r"--try-run: what train\.py prints says nothing"):
        ran(project, [], force=True, try_for=1.0)


@pytest.mark.parametrize(
    "config",
    ["{'lr': 0.1, 'momentum': 0.9}", "dict(lr=0.1, momentum=0.9)", "settings", "{**other, 'lr': 0.1, 'momentum': 0.9}"],
)
def test_the_settings_of_a_script_for_wandb_are_read_as_they_stand(config: str, project: Path) -> None:
    (project / "train.py").write_text(
        "import wandb\nother = {}\n"
        "def main():\n"
        "    settings = {'lr': 0.1, 'momentum': 0.9}\n"
        f"    wandb.init(config={config})\n"
        "if __name__ == '__main__':\n"
        "    main()\n"
    )
    ran(project, [])
    assert set(yaml.safe_load(files(project)[1].read_text())["parameters"]) == {"lr", "momentum"}


def test_a_script_for_wandb_with_options_has_a_profile_and_the_metric_that_it_logs(project: Path) -> None:
    write(ARGPARSE, project)
    (script,) = project.glob("*.py")
    code = script.read_text()
    script.write_text(
        f"import wandb\n{code}\n    wandb.init(config=args)\n    wandb.log({{'dev_wer': 0.5, 'took': 1}})\n"
    )
    ran(project, [], force=True)
    profile, sweep = files(project)
    assert yaml.safe_load(profile.read_text())["overrides"] == "argparse"
    assert yaml.safe_load(sweep.read_text())["metric"] == {"name": "dev_wer", "goal": "minimize"}


def test_options_without_usual_names_are_searched_where_there_are_no_others(project: Path) -> None:
    (project / "train.py").write_text(
        "import argparse\n"
        "if __name__ == '__main__':\n"
        "    parser = argparse.ArgumentParser()\n"
        "    parser.add_argument('--stumps', type=int, default=50)\n"
        "    parser.add_argument('--shrinkage', type=float, default=0.1)\n"
        "    parser.add_argument('--part', type=float, default=1.0)\n"
        "    parser.add_argument('--offset', type=float, default=-1.0)\n"
        "    parser.add_argument('--workers', type=int, default=4)\n"
        "    parser.add_argument('--seed', type=int, default=1)\n"
        "    parser.add_argument('--name', default='x')\n"
        "    print(parser.parse_args())\n"
    )
    ran(project, [])
    profile, sweep = files(project)
    written = yaml.safe_load(sweep.read_text())
    assert written["parameters"] == {
        "stumps": [25, 50, 100],
        "shrinkage": {"min": 0.05, "max": 0.2},
        "part": {"min": 0.5, "max": 1.0},
    }
    loaded = load_profile(str(profile), project_root=project)
    schema = read_schema(loaded)
    assert schema is not None and written["parameters"].keys() <= schema.values.keys()


def test_values_that_are_printed_behind_their_names_are_found(project: Path) -> None:
    (project / "train.py").write_text(
        "import argparse\n"
        "if __name__ == '__main__':\n"
        "    args = argparse.ArgumentParser().parse_args()\n"
        "    for epoch in range(3):\n"
        "        loss = 1 / (epoch + 1)\n"
        "        print('Epoch', epoch, 'train loss:', loss)\n"
        "        print('test loss:', loss)\n"
    )
    ran(project, [])
    assert yaml.safe_load(files(project)[1].read_text())["metric"] == {"name": "test/loss", "goal": "minimize"}
