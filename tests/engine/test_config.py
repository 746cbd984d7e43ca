from __future__ import annotations

from pathlib import Path

import pytest
from yacs.config import CfgNode

from configs.defaults import _C, ANY_LENGTH, BOUNDS, CHOICES
from engine.config import flatten, load_config
from utils.errors import ConfigError

ROOT = Path(__file__).parents[2]


@pytest.fixture
def plain(tmp_path: Path) -> str:
    path = tmp_path / "plain.yml"
    path.write_text("MODEL: {PRETRAIN_CHOICE: none}\n", encoding="utf-8")
    return str(path)


def problems(file: str, *overrides: str) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        load_config(file, overrides)
    return caught.value.problems


def test_overrides_win_over_the_file_and_the_file_over_defaults(tmp_path: Path) -> None:
    file = tmp_path / "x.yml"
    file.write_text("SOLVER: {BASE_LR: 1e-5, MAX_EPOCHS: 7}\n", encoding="utf-8")
    cfg = load_config(str(file), ["SOLVER.MAX_EPOCHS", "9", "DATASETS.NAMES", "synthetic"])
    assert (cfg.SOLVER.BASE_LR, cfg.SOLVER.MAX_EPOCHS, cfg.SOLVER.GAMMA) == (1e-5, 9, 0.1)
    assert cfg.DATASETS.NAMES == ("synthetic",)
    assert cfg.OUTPUT_DIR == "log/x"
    assert _C.SOLVER.MAX_EPOCHS == 120


@pytest.mark.parametrize(
    ("key", "text", "value"),
    [
        ("SOLVER.WEIGHT_DECAY", "0", 0.0),
        ("SOLVER.BASE_LR", "3e-4", 3e-4),
        ("SOLVER.STEPS", "[3,5]", (3, 5)),
        ("SOLVER.STEPS", "()", ()),
        ("INPUT.PIXEL_MEAN", "[0, 0.5, 1]", (0.0, 0.5, 1.0)),
        ("DATASETS.NAMES", "('market1501')", ("market1501",)),
        ("WANDB.NAME", "2024", "2024"),
        ("WANDB.ENABLE", "True", True),
        ("MODEL.DEVICE", "cuda:1", "cuda:1"),
        ("MODEL.NAME", "timm/vit_tiny_patch16_224", "timm/vit_tiny_patch16_224"),
    ],
)
def test_a_value_takes_the_type_of_its_default(plain: str, key: str, text: str, value: object) -> None:
    got = flatten(load_config(plain, [key, text]))[key]
    assert got == value
    assert type(got) is type(value)


def test_bare_on_and_no_in_yaml_are_words(tmp_path: Path) -> None:
    file = tmp_path / "x.yml"
    file.write_text("MODEL: {IF_LABELSMOOTH: off, NECK: no}\nTEST: {FEAT_NORM: yes}\n", encoding="utf-8")
    cfg = load_config(str(file))
    assert (cfg.MODEL.IF_LABELSMOOTH, cfg.MODEL.NECK, cfg.TEST.FEAT_NORM) == ("off", "no", "yes")


def test_all_mistakes_are_told_at_once(tmp_path: Path) -> None:
    file = tmp_path / "x.yml"
    file.write_text("SOLVER: {BASE_LRR: 1, MAX_EPOCHS: many}\nMODEL: {NAME: resnet5O}\n", encoding="utf-8")
    found = problems(str(file), "TEST.IMS_PER_BATCH", "0", "SOLVER.STEPS", "5")
    assert len(found) == 5
    assert found[0] == f"{file}: SOLVER.BASE_LRR: unknown key; did you mean SOLVER.BASE_LR?"
    assert found[1] == f"{file}: SOLVER.MAX_EPOCHS: 'many' does not fit; needs a whole number, as in 120"
    assert "did you mean resnet50?" in found[2]
    assert found[3] == "command line: TEST.IMS_PER_BATCH: 0 is out of range; needs a number at least 1"
    assert "[40,70]" in found[4]


@pytest.mark.parametrize(
    ("overrides", "expected"),
    [
        (["base_lr", "1"], "did you mean SOLVER.BASE_LR?"),
        (["SOLVER.BASE_LR"], "has no value"),
        (["SOLVER.BASE_LR=1"], "SOLVER.BASE_LR 1"),
        (["SOLVER.BASE_LR", "1", "--cfg", "x"], "options come before"),
        (["SOLVER", "1"], "is a section"),
        (["SOLVER.BASE_LR", "nan"], "needs a number"),
        (["SOLVER.MAX_EPOCHS", "2.5"], "needs a whole number"),
        (["SOLVER.MAX_EPOCHS", "True"], "needs a whole number"),
        (["SOLVER.STEPS", "[5,3]"], "not increasing"),
        (["INPUT.SIZE_TRAIN", "[64]"], "has 1 elements, needs 2"),
        (["INPUT.PROB", "1.5"], "from 0 to 1"),
        (["MODEL.DEVICE", "gpu"], "cuda:N"),
        (["MODEL.PRETRAIN_CHOICE", "self"], "needs a file"),
        (["MODEL.PRETRAIN_CHOICE", "self", "MODEL.PRETRAIN_PATH", "no.pth"], "no such file: no.pth"),
        (["SOLVER.IMS_PER_BATCH", "30"], "multiple of DATALOADER.NUM_INSTANCE"),
        (["DATASETS.NAMES", "market"], "market1501"),
        (["MODEL.NAME", "tim/vit"], ", timm/<name> or FILE.py:NAME"),
        (["MODEL.METRIC_LOSS_TYPE", "triplet_center"], "needs MODEL.IF_WITH_CENTER yes"),
        (
            ["DATALOADER.SAMPLER", "triplet", "MODEL.METRIC_LOSS_TYPE", "center", "MODEL.IF_WITH_CENTER", "yes"],
            "center alone cannot train",
        ),
        (["SOLVER.FREEZE_EPOCHS", "2", "DATALOADER.SAMPLER", "triplet"], "leaves nothing to train"),
        (
            ["SOLVER.FREEZE_ITERS", "9", "DATALOADER.SAMPLER", "triplet"],
            "SOLVER.FREEZE_ITERS: 9 leaves nothing to train",
        ),
        (["SOLVER.IMS_PER_BATCH", "1", "DATALOADER.SAMPLER", "softmax"], "one image, which MODEL.NECK bnneck cannot"),
    ],
)
def test_a_mistake_is_one_line_that_helps(plain: str, overrides: list[str], expected: str) -> None:
    (problem,) = problems(plain, *overrides)
    assert problem.startswith("command line: ")
    assert expected in problem
    assert "\n" not in problem


def test_a_contradiction_is_whose_words_brought_it_about(tmp_path: Path) -> None:
    file = tmp_path / "x.yml"
    file.write_text("MODEL: {PRETRAIN_CHOICE: none}\nSOLVER: {STEPS: [5, 3]}\n", encoding="utf-8")
    found = problems(str(file), "DATALOADER.NUM_INSTANCE", "5")
    assert [problem.split(": ")[:2] for problem in found] == [
        ["command line", "SOLVER.IMS_PER_BATCH"], [str(file), "SOLVER.STEPS"],
    ]  # fmt: skip


def test_what_an_alias_brings_may_be_overridden(tmp_path: Path) -> None:
    file = tmp_path / "x.yml"
    file.write_text(
        "MODEL: {PRETRAIN_CHOICE: none}\nDATASETS: {<<: {ROOT_DIR: x, MAX_UNREADABLE: 3}, MAX_UNREADABLE: 4}\n",
        encoding="utf-8",
    )
    cfg = load_config(str(file))
    assert (cfg.DATASETS.ROOT_DIR, cfg.DATASETS.MAX_UNREADABLE) == ("x", 4)


def test_a_run_that_goes_on_needs_no_starting_weights(plain: str, tmp_path: Path) -> None:
    words = ["MODEL.PRETRAIN_CHOICE", "self", "MODEL.PRETRAIN_PATH", "no.pth", "OUTPUT_DIR", str(tmp_path)]
    assert len(problems(plain, *words)) == 1
    (tmp_path / "checkpoint_epoch_1.pth").touch()
    assert load_config(plain, words).MODEL.PRETRAIN_PATH == "no.pth"


def test_the_originals_files_and_commands_are_understood(tmp_path: Path) -> None:
    file = tmp_path / "x.yml"
    file.write_text(
        "MODEL: {PRETRAIN_PATH: '/home/somebody/resnet50.pth', IF_LABELSMOOTH: 'on'}\n"
        "DATASETS: {NAMES: ('market1501')}\n"
        "SOLVER: {CLUSTER_MARGIN: 0.3, RANGE_K: 2, RANGE_MARGIN: 0.3, RANGE_ALPHA: 0, RANGE_BETA: 1,"
        " RANGE_LOSS_WEIGHT: 1, STEPS: [40, 70]}\n",
        encoding="utf-8",
    )
    words = ["MODEL.DEVICE_ID", "('0')", "MODEL.PRETRAIN_CHOICE", "('self')", "TEST.WEIGHT", "('x.pth')"]
    notes: list[str] = []
    cfg = load_config(str(file), words, for_training=False, note=notes.append)
    assert (cfg.TEST.WEIGHT, cfg.DATASETS.NAMES, cfg.SOLVER.STEPS) == ("x.pth", ("market1501",), (40, 70))
    assert "DEVICE_ID" not in cfg.MODEL
    (note,) = notes
    assert all(f"SOLVER.RANGE_{name}" in note for name in ("K", "MARGIN", "ALPHA", "BETA", "LOSS_WEIGHT"))
    assert "SOLVER.CLUSTER_MARGIN" in note and note.endswith("MODEL.DEVICE_ID; MODEL.DEVICE chooses the device")
    assert problems(str(file), *words) == [
        f"{file}: MODEL.PRETRAIN_PATH: no such file: /home/somebody/resnet50.pth"
    ]  # only training reads it


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ("MODEL: {NAME: resnet18\n", ":2:1: not YAML"),
        ("SOLVER: {MAX_EPOCHS: 2}\nTEST: {}\nSOLVER: {BASE_LR: 0.01}\n", ":3: SOLVER is on line 1 already"),
        ("SOLVER: {MAX_EPOCHS: 2, BASE_LR: 1, MAX_EPOCHS: 3}\n", ":1: MAX_EPOCHS is on line 1 already"),
        ("- a\n", "holds list"),
        ("MODEL: resnet18\n", "MODEL: is a section"),
        ("SOLVER: {BASE_LR: null}\n", "needs a number"),
        ("OUTPUT_DIR: [a]\n", "is not a text"),
    ],
)
def test_a_file_that_is_wrong_is_one_line(tmp_path: Path, content: str, expected: str) -> None:
    file = tmp_path / "x.yml"
    file.write_text(content, encoding="utf-8")
    (problem,) = problems(str(file))
    assert problem.startswith(str(file))
    assert expected in problem
    assert "\n" not in problem


def write(path: Path, content: str) -> str:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content, encoding="utf-8")
    return str(path)


def test_a_file_changes_what_those_below_it_say(tmp_path: Path) -> None:
    write(tmp_path / "root.yml", "SOLVER: {BASE_LR: 1, MAX_EPOCHS: 1, STEPS: [1]}\nMODEL: {NAME: resnet18}\n")
    write(tmp_path / "sets" / "base.yml", "_BASE_: ../root.yml\nSOLVER: {MAX_EPOCHS: 2, STEPS: [2]}\n")
    file = write(tmp_path / "sets" / "x.yml", "SOLVER: {STEPS: [3]}\n_BASE_: base.yml\n")
    cfg = load_config(file, ["SOLVER.GAMMA", "0.5"])
    assert (cfg.SOLVER.BASE_LR, cfg.SOLVER.MAX_EPOCHS, cfg.SOLVER.STEPS, cfg.SOLVER.GAMMA) == (1, 2, (3,), 0.5)
    assert (cfg.MODEL.NAME, cfg.OUTPUT_DIR) == ("resnet18", "log/x")
    assert "_BASE_" not in cfg.dump()
    copy = write(tmp_path / "elsewhere" / "x.yml", cfg.dump())
    assert load_config(copy) == cfg


@pytest.mark.parametrize(
    ("file", "folder"),
    [("x.yml", "log/x"), ("configs/x.v2.yml", "log/x.v2"), ("configs/agw/x.yml", "log/agw/x"), ("agw/x.yml", "log/x")],
)
def test_recipes_of_the_same_name_have_folders_of_their_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, file: str, folder: str
) -> None:
    monkeypatch.chdir(tmp_path)
    cfg = load_config(write(Path(file), ""))
    assert Path(cfg.OUTPUT_DIR) == Path(folder)


def test_of_several_files_below_the_later_counts(tmp_path: Path) -> None:
    write(tmp_path / "root.yml", "SOLVER: {BASE_LR: 1, GAMMA: 1}\n")
    write(tmp_path / "a.yml", "_BASE_: root.yml\nSOLVER: {BASE_LR: 2, MAX_EPOCHS: 2}\n")
    write(tmp_path / "b.yml", "_BASE_: root.yml\nSOLVER: {MAX_EPOCHS: 3, GAMMA: 3}\n")
    cfg = load_config(write(tmp_path / "x.yml", "_BASE_: [a.yml, b.yml]\n"))
    # The second brings the root's value, too, as fvcore's reader does.
    assert (cfg.SOLVER.BASE_LR, cfg.SOLVER.MAX_EPOCHS, cfg.SOLVER.GAMMA) == (1, 3, 3)


def test_a_mistake_of_a_file_below_names_that_file_once(tmp_path: Path) -> None:
    base = write(tmp_path / "base.yml", "SOLVER: {BASE_LRR: 1}\n")
    write(tmp_path / "a.yml", "_BASE_: base.yml\n")
    write(tmp_path / "b.yml", "_BASE_: base.yml\n")
    (problem,) = problems(write(tmp_path / "x.yml", "_BASE_: [a.yml, b.yml]\n"))
    assert problem == f"{base}: SOLVER.BASE_LRR: unknown key; did you mean SOLVER.BASE_LR?"


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ({"x.yml": "_BASE_: no.yml\n"}, "{x.yml}: _BASE_: {no.yml}: no such config file; "),
        ({"x.yml": "_BASE_: far/no.yml\n"}, "{x.yml}: _BASE_: {far/no.yml}: no such folder: {far}"),
        ({"x.yml": "_BASE_: a.yml\n", "a.yml": "_BASE_: far/no.yml\n"}, "{a.yml}: _BASE_: {far/no.yml}: no such folder"),
        ({"x.yml": "_BASE_: 3\n"}, "{x.yml}: _BASE_: 3 is not the name of a file"),
        ({"x.yml": "_BASE_:\n"}, "{x.yml}: _BASE_: None is not the name of a file"),
        ({"x.yml": "_BASE_: a.yml\n", "a.yml": "- 1\n"}, "{x.yml}: _BASE_: {a.yml}: holds list"),
        ({"x.yml": "_BASE_: x.yml\n"}, "{x.yml}: _BASE_: the files are based on each other in a circle: {x.yml} -> {x.yml}"),
        (
            {"x.yml": "_BASE_: s/a.yml\n", "s/a.yml": "_BASE_: ../x.yml\n"},
            "{s/a.yml}: _BASE_: the files are based on each other in a circle: {x.yml} -> {s/a.yml} -> {x.yml}",
        ),
    ],
)  # fmt: skip
def test_a_file_below_that_is_wrong_is_one_line(tmp_path: Path, files: dict[str, str], expected: str) -> None:
    for name, content in files.items():
        write(tmp_path / name, content)
    (problem,) = problems(str(tmp_path / "x.yml"))
    assert problem.startswith(expected.replace("{", f"{tmp_path}/").replace("}", ""))
    assert "\n" not in problem


def test_only_files_have_files_below(plain: str) -> None:
    (problem,) = problems(plain, "_BASE_", "x.yml")
    assert problem.startswith("command line: _BASE_: unknown key")


def test_a_missing_file_names_those_there(plain: str) -> None:
    (problem,) = problems(str(Path(plain).parent / "plan.yml"))
    assert "no such config file" in problem
    assert "plain.yml" in problem


def test_an_empty_section_and_an_empty_file_are_the_defaults(tmp_path: Path) -> None:
    for content in ("", "SOLVER:\n"):
        file = tmp_path / "x.yml"
        file.write_text(content, encoding="utf-8")
        assert load_config(str(file)).SOLVER == _C.SOLVER


@pytest.mark.parametrize("file", sorted((ROOT / "configs").rglob("*.yml")), ids=lambda path: path.name)
def test_every_shipped_config_is_valid(file: Path) -> None:
    load_config(str(file))


def test_a_dumped_config_reads_back_the_same(plain: str, tmp_path: Path) -> None:
    cfg = load_config(plain, ["SOLVER.BASE_LR", "1e-5", "OUTPUT_DIR", "out"])
    copy = tmp_path / "copy.yml"
    copy.write_text(cfg.dump(), encoding="utf-8")
    assert load_config(str(copy)) == cfg


def test_tables_name_keys_that_exist_and_admit_the_defaults() -> None:
    defaults = flatten(_C)
    assert {*CHOICES, *BOUNDS, *ANY_LENGTH} <= defaults.keys()
    assert all(defaults[key] in allowed for key, allowed in CHOICES.items())


def test_every_key_is_explained_and_read() -> None:
    files = (ROOT / "configs/defaults.py", *sorted((ROOT / "configs/keys").glob("*.py")))
    defaults = "\n".join(path.read_text(encoding="utf-8") for path in files).splitlines()
    keys = flatten(_C).keys()
    explained = set()
    sources = "\n".join(
        path.read_text(encoding="utf-8")
        for room in ("data", "engine", "modeling", "utils")
        for path in (ROOT / room).rglob("*.py")
    )
    for number, line in enumerate(defaults):
        key = line.split(" ")[0].removeprefix("_C.")
        if key in keys:
            explained.add(key)
            assert defaults[number - 1].startswith("# "), f"{key} has no comment"
            leaf = key.rsplit(".", 1)[-1]
            assert f".{leaf}" in sources, f"nothing reads {key}"
    assert explained == keys


def test_the_result_is_frozen(plain: str) -> None:
    cfg = load_config(plain)
    assert isinstance(cfg, CfgNode)
    with pytest.raises(AttributeError):
        cfg.OUTPUT_DIR = "elsewhere"
