"""tools/test.py and tools/extract.py."""

from __future__ import annotations

import csv
import json
import os
import re
import runpy
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from engine.config import load_config
from modeling.model import build_model
from tests.engine.small_run import write_config

Run = Callable[..., tuple[int, str, str]]
TOOLS = Path(__file__).parents[2] / "tools"


@pytest.fixture
def run(folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Runs a tool in `folder`, in this process: starting one anew takes seconds."""

    def run(tool: str, *words: str) -> tuple[int, str, str]:
        monkeypatch.chdir(folder)
        status = runpy.run_path(str(TOOLS / tool))["main"](["--cfg", "small.yml", *words])
        told = capsys.readouterr()
        return status, told.out, told.err

    return run


def untimed(done: tuple[int, str, str]) -> tuple[int, str, str]:
    """What a tool has returned and printed, without the time of a forward pass, which differs each time."""
    status, out, err = done
    return status, re.sub(r"[\d.]+ ms per image \(median of \d+", "", out), err


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Holds small.yml, its images and weights.pth, drawn at random."""
    place = tmp_path_factory.mktemp("testing")
    cfg = load_config(str(write_config(place)))
    torch.manual_seed(0)
    torch.save(build_model(cfg, 5).state_dict(), place / "weights.pth")
    return place


def test_results_lists_and_page(folder: Path, run: Run) -> None:
    status, out, err = run(
        "test.py", "--weights", "weights.pth", "--visualize", "2", "--out", "lists", "TEST.FLIP", "True"
    )
    assert (status, err) == (0, "test.py: Making the image cache: 15 images\n")
    cost, lines = out.splitlines()[:2], out.splitlines()[2:]
    assert re.fullmatch(r"Model: 11\.178 M parameters, 0\.031 GMACs for an image of 32x16", cost[0]), cost
    assert re.fullmatch(r"Forward pass: [\d.]+ ms per image \(median of \d+ passes, batch 4, float32, cpu\)", cost[1])
    assert lines[0] == (
        "market1501: 3 queries, 3 with a match, 12 gallery images; protocol cross_camera, mirrored features averaged"
    )
    patterns = [
        r"mAP: [\d.]+%",
        r"CMC curve, Rank-1  :[\d.]+%",
        r"CMC curve, Rank-5  :",
        r"CMC curve, Rank-10 :",
        r"mINP: [\d.]+%",
        r"Ranked lists: lists/market1501.png",
        r"Ranked lists: lists/market1501.html",
    ]
    assert len(lines) == 8 and all(re.match(p, line) for p, line in zip(patterns, lines[1:], strict=True))
    with Image.open(folder / "lists/market1501.png") as picture:
        assert picture.height > 2 * 128 and picture.width > 10 * 64
        colours = {colour for _, colour in picture.getcolors(10**6)}
    assert {(26, 150, 65), (215, 25, 28)} <= colours  # right and wrong
    text = (folder / "lists/market1501.html").read_text(encoding="utf-8")
    assert text.count('<td class="query">') == 2 and text.count("data:image/jpeg;base64,") == 2 * (1 + 10)
    assert lines[1] in text


def test_a_picture_holds_some_lists_and_the_page_all(folder: Path, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("engine.inference.PICTURE_LISTS", 2)
    status, out, _ = run("test.py", "--weights", "weights.pth", "--visualize", "3", "--out", "some")
    assert status == 0 and out.splitlines()[-2:] == [
        "Ranked lists: some/market1501.png (2 of 3; the page has all)", "Ranked lists: some/market1501.html"
    ]  # fmt: skip
    with Image.open(folder / "some/market1501.png") as picture:
        assert 2 * 128 < picture.height < 3 * 128
    assert (folder / "some/market1501.html").read_text(encoding="utf-8").count('<td class="query">') == 3


def test_every_set_is_tested(folder: Path, run: Run) -> None:
    (folder / "other").symlink_to(folder / "market1501")
    names = "market1501,market1501:other"
    status, out, _ = run("test.py", "--weights", "weights.pth", "DATASETS.TEST_NAMES", names)
    lines = out.splitlines()[2:]  # after what the network costs
    assert status == 0 and [line.split(" ")[0] for line in lines[::6]] == ["market1501:", "market1501:other:"]
    assert lines[1:6] == lines[7:]  # the same images


def test_the_gallery_of_vehicleid_is_drawn_ten_times(folder: Path, run: Run) -> None:
    images = sorted((folder / "market1501/bounding_box_test").iterdir())
    lists = folder / "VehicleID_V1.0/train_test_split"
    lists.mkdir(parents=True)
    (folder / "VehicleID_V1.0/image").mkdir()
    for number, image in enumerate(images):
        (folder / f"VehicleID_V1.0/image/{number:07d}.jpg").write_bytes(image.read_bytes())
    vehicles = {number: int(image.name[:4]) for number, image in enumerate(images)}
    (lists / "test_list_800.txt").write_text("".join(f"{number:07d} {pid}\n" for number, pid in vehicles.items()))
    words = [
        "--weights",
        "weights.pth",
        "--json",
        "drawn.json",
        "--csv",
        "drawn.csv",
        "--visualize",
        "1",
        "--out",
        "drawn",
    ]
    settings = ["DATASETS.TEST_NAMES", "vehicleid", "DATALOADER.CACHE", "False", "SOLVER.SEED", "1"]
    status, out, err = run("test.py", *words, *settings)
    people, count = len(set(vehicles.values())), len(vehicles)
    assert status == 0 and "VehicleID with the small test set of 800 vehicles" in err
    images_counted = f"{count} queries, {count} with a match, {people} gallery images"
    assert out.splitlines()[2] == f"vehicleid: {images_counted}; protocol random_gallery (mean of 10 draws)"
    (results,) = json.loads((folder / "drawn.json").read_text(encoding="ascii"))["sets"]
    assert [results[key] for key in ("queries", "gallery", "queries_unreadable")] == [count, people, 0]
    assert results["mAP"] == results["mINP"] >= results["cmc"]["1"] and results["curve"][people - 1] == 100
    with (folder / "drawn.csv").open(encoding="utf-8", newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert sorted(Path(row["query"]).stem for row in rows) == [f"{number:07d}" for number in vehicles]
    assert all(int(row["pid"]) == vehicles[int(Path(row["query"]).stem)] and row["camid"] == "" for row in rows)
    page = (folder / "drawn/vehicleid.html").read_text(encoding="utf-8")
    assert page.count("data:image/jpeg;base64,") == 1 + people
    again = run("test.py", "--weights", "weights.pth", *settings)
    assert untimed(again)[1].splitlines()[2:] == untimed((0, out, ""))[1].splitlines()[2 : 2 + 6]
    assert run("train.py", *settings, "SOLVER.MAX_EPOCHS", "1", "TEST.FLIP", "True", "OUTPUT_DIR", "vehicles")[0] == 0
    log = (folder / "vehicles/log.txt").read_text(encoding="utf-8")
    said = "Evaluation on vehicleid: protocol random_gallery (mean of 10 draws), mirrored features averaged\n"
    assert log.index(said) < log.index("Training resnet18 on ") < log.index("mAP: ")
    err = run("test.py", "--weights", "weights.pth", *settings, "TEST.PROTOCOL", "cross_camera")[2]
    assert "TEST.PROTOCOL cross_camera counts, where the set's own protocol is random_gallery" in err
    err = run("test.py", "--weights", "weights.pth", *settings, "TEST.PROTOCOL", "clothes_changing")[2]
    assert err.splitlines() == [
        "test.py: data set 'vehicleid': its clothes are not known, which TEST.PROTOCOL clothes_changing needs; choose auto"
    ]


def test_results_as_json_and_each_query_as_csv(folder: Path, run: Run) -> None:
    names = "market1501,market1501:=other"
    (folder / "=other").symlink_to(folder / "market1501")
    words = ["--weights", "weights.pth", "--json", "results/all.json", "--csv", "results/queries.csv"]
    status, out, err = run("test.py", *words, "DATASETS.TEST_NAMES", names, "DATALOADER.CACHE", "False")
    assert (status, err) == (0, "test.py: Made the folder results, which was not there\n")
    lines = out.splitlines()
    assert lines[-2:] == ["Results: results/all.json", "Results: results/queries.csv"]
    content = json.loads((folder / "results/all.json").read_text(encoding="ascii"))
    assert list(content) == ["weights", "model", "sets", "settings"] and content["weights"] == "weights.pth"
    assert content["settings"]["TEST.RE_RANKING"] == "no" and content["settings"]["INPUT.SIZE_TEST"] == [32, 16]
    assert content["model"]["params_m"] == pytest.approx(11.178, abs=5e-4)
    assert lines[1].startswith(f"Forward pass: {content['model']['ms_per_image']:.4g} ms")
    first, second = content["sets"]
    assert (first["name"], second["name"]) == ("market1501", "market1501:=other")
    assert [first[key] for key in ("queries", "queries_with_match", "gallery")] == [3, 3, 12]
    assert (first["queries_unreadable"], first["gallery_unreadable"]) == (0, 0)
    assert f"mAP: {first['mAP']:.1f}%" == lines[3] and f"mINP: {first['mINP']:.1f}%" == lines[7]
    assert f"CMC curve, Rank-1  :{first['cmc']['1']:.1f}%" == lines[4]
    assert len(first["curve"]) == 50 and first["curve"][4] == first["cmc"]["5"]
    with (folder / "results/queries.csv").open(encoding="utf-8", newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert [row["set"] for row in rows] == ["market1501"] * 3 + ["market1501:=other"] * 3
    assert [(row["pid"], row["camid"], row["note"]) for row in rows[:3]] == [
        (str(pid), "1", "") for pid in (11, 12, 13)
    ]
    assert Path(rows[0]["query"]).name == "0011_c1s1_000000_00.png"
    assert np.mean([float(row["AP"]) for row in rows[:3]]) == pytest.approx(first["mAP"], abs=1e-5)
    assert np.mean([float(row["INP"]) for row in rows[:3]]) == pytest.approx(first["mINP"], abs=1e-5)
    share = np.mean([int(row["rank"]) <= 1 for row in rows[:3]])
    assert 100 * share == pytest.approx(first["cmc"]["1"], abs=1e-5)


def test_a_query_that_cannot_be_read_or_has_no_match_has_a_note(folder: Path, tmp_path: Path, run: Run) -> None:
    for split in ("query", "bounding_box_test"):
        (tmp_path / "set" / split).mkdir(parents=True)
        for image in (folder / "market1501" / split).iterdir():
            (tmp_path / "set" / split / image.name).write_bytes(image.read_bytes())
    (tmp_path / "set/query/0012_c1s1_000000_00.png").write_bytes(b"no picture")
    for image in (tmp_path / "set/bounding_box_test").glob("0013_*"):
        image.unlink()
    words = ["--weights", "weights.pth", "--csv", str(tmp_path / "queries.csv"), "--json", str(tmp_path / "all.json")]
    settings = ["DATASETS.ROOT_DIR", str(tmp_path), "DATASETS.NAMES", "market1501:set", "DATALOADER.CACHE", "False"]
    status, out, _ = run("test.py", *words, *settings)
    counts = "3 queries, 1 with a match, 1 without a match, 1 that cannot be read, 8 gallery images;"
    assert status == 0 and f"market1501:set: {counts}" in out
    with (tmp_path / "queries.csv").open(encoding="utf-8", newline="") as stream:
        rows = [[row[key] for key in ("pid", "rank", "note")] for row in csv.DictReader(stream)]
    assert [row[0] for row in rows] == ["11", "12", "13"] and rows[0][1] and not rows[0][2]
    assert [row[1:] for row in rows[1:]] == [["", "unreadable"], ["", "no match"]]
    (one,) = json.loads((tmp_path / "all.json").read_text())["sets"]
    assert [one[key] for key in ("queries", "queries_with_match", "queries_unreadable")] == [3, 1, 1]


def test_the_newest_checkpoint_is_tested_where_no_weights_are_named(folder: Path, run: Run) -> None:
    status, _, err = run("test.py")
    assert status == 2 and "--weights" in err and "log/small" in err
    place = folder / "log/small"
    place.mkdir(parents=True)
    (place / "checkpoint_epoch_3.pth").write_bytes((folder / "weights.pth").read_bytes())
    by_checkpoint = untimed(run("test.py", "TEST.RE_RANKING", "yes"))
    assert by_checkpoint[0] == 0 and "re-ranked with k1=20, k2=6" in by_checkpoint[1]
    assert untimed(run("test.py", "TEST.RE_RANKING", "yes", "TEST.WEIGHT", "weights.pth")) == by_checkpoint


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["--weights", "nowhere.pth"], ["nowhere.pth"]),
        (["--weights", "weights.pth", "MODEL.NAME", "resnet34"], ["weights.pth", "does not fit"]),
        (["--weights", "weights.pth", "DATASETS.TEST_NAMES", "veri"], ["veri", "image_train"]),
        (["--weights", "weights.pth", "TEST.PROTOCOL", "market"], ["TEST.PROTOCOL", "cross_camera"]),
        (["--json", "x.txt", "--csv", "x.txt"], ["--json", "--csv", "x.txt", "give two files"]),
    ],
)
def test_a_mistake_is_one_line(run: Run, words: list[str], expected: list[str]) -> None:
    status, out, err = run("test.py", *words)
    assert (status, out) == (2, "")
    (line,) = err.splitlines()
    assert line.startswith("test.py: ") and all(word in line for word in expected)


def test_an_option_behind_the_words_is_told_by_every_tool(run: Run) -> None:
    for tool, words in (
        ("extract.py", ["--images", "photos", "--out", "features.npz"]),
        *(("test.py", ["--csv", "queries.csv"]), ("export.py", ["--output", "m.onnx"]), ("train.py", ["--cfg", "x"])),
    ):
        line = f"{tool}: command line: {words[0]}: options come before the KEY VALUE words\n"
        assert run(tool, "TEST.FLIP", "True", *words) == (2, "", line)


def test_features_of_a_folder(folder: Path, tmp_path: Path, run: Run) -> None:
    rng = np.random.default_rng(0)
    for name in ("b.png", "sub/a.jpg", "sub/c.webp", "sub/d.TIF"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        Image.fromarray(rng.integers(0, 256, (40, 20, 3), dtype=np.uint8)).save(tmp_path / name)
    (tmp_path / "sub/broken.jpg").write_bytes(b"no picture")
    (tmp_path / "notes.txt").write_text("x")
    words = ["--weights", "weights.pth", "--images", str(tmp_path), "--out", "features.npz"]
    status, out, err = run("extract.py", *words)
    assert (status, out) == (0, "features.npz: 4 features of length 512\n")
    ignored, line = err.splitlines()
    assert ignored == f"extract.py: data set '{tmp_path}': 1 file ignored: .txt 1"
    assert line.startswith(f"extract.py: Skipping: cannot read the image {tmp_path / 'sub/broken.jpg'}: ")
    with np.load(folder / "features.npz") as content:
        assert content["paths"].tolist() == ["b.png", "sub/a.jpg", "sub/c.webp", "sub/d.TIF"]
        first = content["features"]
    assert first.shape == (4, 512) and first.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(first, axis=1), 1, rtol=1e-5)
    assert run("extract.py", *words, "TEST.FEAT_NORM", "no", "TEST.FLIP", "True")[0] == 0
    with np.load(folder / "features.npz") as content:
        other = content["features"]
    cosine = np.sum(other * first, axis=1) / np.linalg.norm(other, axis=1)
    assert not np.allclose(other, first) and (cosine > 0.9).all()


ODD = [os.fsdecode(b"caf\xe9\xff"), "new\nline", "<b>\"q'"]


def test_file_names_of_any_bytes_are_read_listed_and_drawn(folder: Path, tmp_path: Path, run: Run) -> None:
    root, rng = tmp_path / os.fsdecode(b"root\xfe"), np.random.default_rng(0)
    names = [f"{split}/000{pid}_c{camera}{odd}.png" for split, camera in (("query", 1), ("bounding_box_test", 2))
             for pid, odd in enumerate(ODD, start=1)]  # fmt: skip
    for name in names:
        file = root / "market1501" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(rng.integers(0, 256, (40, 20, 3), dtype=np.uint8)).save(file)
    for odd in ODD:
        (root / f"market1501/bounding_box_test/0001_c3{odd}.png").write_bytes(b"no picture")
    status, out, err = run(
        "test.py", "--weights", "weights.pth", "--visualize", "3", "--out", str(root), "DATASETS.ROOT_DIR", str(root)
    )
    assert status == 0 and r"Ranked lists: " in out
    skipped = [line for line in err.splitlines() if line.startswith("test.py: Skipping: cannot read the image ")]
    assert len(skipped) == 3 == len(err.splitlines()) - 1  # and a line about the cache
    assert any(r"root\xfe/market1501/bounding_box_test/0001_c3caf\xe9\xff.png: " in line for line in skipped)
    assert any(r"0001_c3new\nline.png: " in line for line in skipped)
    page = (root / "market1501.html").read_text(encoding="utf-8")
    assert r"0001_c1caf\xe9\xff.png" in page and r"0002_c2new\nline.png" in page
    assert "0003_c1&lt;b&gt;&quot;q&#x27;.png" in page and '<b>"q' not in page
    with Image.open(root / "market1501.png") as picture:
        assert picture.height > 3 * 128

    images = root / "market1501"
    words = ["--weights", "weights.pth", "--images", str(images), "--out", str(root / "features.npz")]
    status, out, err = run("extract.py", *words)
    assert status == 0 and out.endswith(": 6 features of length 512\n") and len(err.splitlines()) == 3
    with np.load(root / "features.npz") as content:
        assert sorted(content["paths"].tolist()) == sorted(names)  # os.fsencode gives the bytes again


def test_nothing_to_extract_writes_nothing(tmp_path: Path, run: Run) -> None:
    for images in (tmp_path, tmp_path / "nowhere"):
        words = ["--weights", "weights.pth", "--images", str(images), "--out", str(tmp_path / "out.npz")]
        status, _, err = run("extract.py", *words)
        assert status == 2 and str(images) in err and len(err.splitlines()) == 1
    assert not (tmp_path / "out.npz").exists()


def test_images_of_which_none_can_be_read_write_nothing(tmp_path: Path, run: Run) -> None:
    for name in ("a.jpg", "b.png"):
        (tmp_path / name).write_bytes(b"no picture")
    words = ["--weights", "weights.pth", "--images", str(tmp_path), "--out", str(tmp_path / "out.npz")]
    status, out, err = run("extract.py", *words)
    assert (status, out) == (2, "") and not (tmp_path / "out.npz").exists()
    assert err.splitlines()[-1] == f"extract.py: none of the 2 images in {tmp_path} can be read"


def test_too_many_images_that_cannot_be_read_are_told(tmp_path: Path, run: Run) -> None:
    (tmp_path / "broken.jpg").write_bytes(b"no picture")
    words = ["--weights", "weights.pth", "--images", str(tmp_path), "--out", str(tmp_path / "features.npz")]
    status, out, err = run("extract.py", *words, "DATASETS.MAX_UNREADABLE", "0")
    assert (status, out) == (2, "") and "broken.jpg" in err and len(err.splitlines()) == 1
    assert err.endswith("; DATASETS.MAX_UNREADABLE allows none\n")


@pytest.mark.parametrize("tool", ["test.py", "test.py --json", "test.py --csv", "extract.py"])
def test_a_place_that_cannot_be_written_is_told_before_the_work(folder: Path, run: Run, tool: str) -> None:
    (folder / "file").write_text("")
    words = {
        "test.py": ["--visualize", "1", "--out", "file/lists"],
        "test.py --json": ["--json", "file/results.json"],
        "test.py --csv": ["--csv", "file/queries.csv"],
        "extract.py": ["--images", "market1501", "--out", "file/features.npz"],
    }[tool]
    tool = tool.split()[0]
    status, out, err = run(tool, "--weights", "nowhere.pth", *words)  # which would be told next
    assert (status, out) == (2, "")
    assert err.startswith(f"{tool}: cannot write file/") and err.endswith(": Not a directory\n")


def test_notes_and_settings_of_the_original(folder: Path, run: Run) -> None:
    (folder / "file").write_text("")
    words = ["--weights", "weights.pth", "MODEL.PRETRAIN_CHOICE", "self", "MODEL.DEVICE_ID", "0"]
    status, out, err = run("test.py", *words, "DATALOADER.CACHE_DIR", "file/cache")
    assert status == 0 and "mAP" in out
    told = err.splitlines()
    assert [line.split(" ")[:2] for line in told] == [["test.py:", "ignored,"], ["test.py:", "No"]]
    assert "MODEL.DEVICE_ID" in told[0] and told[1].startswith("test.py: No image cache: cannot write ")


TRAINED_WITH = [
    *("MODEL.LAST_STRIDE", "2", "INPUT.PIXEL_MEAN", "[0.1,0.2,0.3]", "TEST.NECK_FEAT", "before", "TEST.FLIP", "True"),
    *("INPUT.SIZE_TEST", "[64,32]"),
]


def test_the_settings_of_a_checkpoint_count_and_each_difference_is_told(folder: Path, run: Run) -> None:
    """The file says how else the network was trained: its weights are those of weights.pth, which says nothing."""
    more = ["SOLVER.BASE_LR", "0.5", "SOLVER.MAX_EPOCHS", "77", "DATASETS.TEST_NAMES", "veri", "MODEL.DEVICE", "cuda"]
    trained = load_config(str(folder / "small.yml"), [*TRAINED_WITH, *more])
    state = torch.load(folder / "weights.pth", weights_only=True)
    torch.save({"format": 2, "model": state, "ema": {}, "config": trained.dump()}, folder / "trained.pth")
    asked = untimed(run("test.py", "--weights", "weights.pth", *TRAINED_WITH))
    status, out, err = untimed(run("test.py", "--weights", "trained.pth"))
    assert (status, out) == asked[:2] and status == 0
    assert out != untimed(run("test.py", "--weights", "weights.pth"))[1]
    ending = " of the configuration; KEY VALUE words win"
    assert err.splitlines() == [
        f"test.py: MODEL.LAST_STRIDE: 2 of the checkpoint counts, not 1{ending}",
        f"test.py: INPUT.SIZE_TEST: (64, 32) of the checkpoint counts, not (32, 16){ending}",
        f"test.py: INPUT.PIXEL_MEAN: (0.1, 0.2, 0.3) of the checkpoint counts, not (0.485, 0.456, 0.406){ending}",
        f"test.py: TEST.NECK_FEAT: 'before' of the checkpoint counts, not 'after'{ending}",
        f"test.py: TEST.FLIP: True of the checkpoint counts, not False{ending}",
    ]
    status, out, err = run("test.py", "--weights", "trained.pth", "TEST.FLIP", "False")
    assert "mirrored" not in out and status == 0
    assert err.splitlines()[-1] == "test.py: TEST.FLIP: False of the command line counts, not True of the checkpoint"

    features = []
    for words in (
        ["--weights", "trained.pth"],
        ["--weights", "weights.pth", *TRAINED_WITH],
        ["--weights", "weights.pth"],
    ):
        at = words.index("weights.pth") + 1 if "weights.pth" in words else 2
        options = [*words[:at], "--images", "market1501/query", "--out", "f.npz", *words[at:]]
        assert run("extract.py", *options)[0] == 0
        with np.load(folder / "f.npz") as content:
            features.append(content["features"])
    np.testing.assert_array_equal(features[0], features[1])
    assert not np.allclose(features[0], features[2])


@pytest.mark.parametrize("tool", ["test.py", "extract.py"])
def test_sigterm_is_obeyed_at_once(run: Run, tool: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def load(*_words: object) -> None:
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(60)

    monkeypatch.setattr("engine.inference.load_model", load)
    words = ["--images", "market1501", "--out", "features.npz"] if tool == "extract.py" else []
    started = time.monotonic()
    assert run(tool, "--weights", "weights.pth", *words) == (143, "", "")
    assert time.monotonic() - started < 50


@pytest.mark.parametrize("tool", ["test.py", "extract.py"])
def test_ctrl_c_is_no_traceback(run: Run, tool: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(*words: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("engine.inference.load_model", interrupt)
    words = ["--images", "market1501", "--out", "features.npz"] if tool == "extract.py" else []
    assert run(tool, "--weights", "weights.pth", *words) == (130, "", "")


def test_a_mistake_in_the_settings_needs_no_torch(folder: Path) -> None:
    code = "import runpy, sys\nfor tool in ('test.py', 'extract.py'):\n"
    code += f"    main = runpy.run_path({str(TOOLS)!r} + '/' + tool)['main']\n"
    code += "    words = ['--images', 'x', '--out', 'y'] if tool == 'extract.py' else []\n"
    code += "    print(main(['--cfg', 'small.yml', *words, 'TEST.FLIPP', 'True']), 'torch' in sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=folder, capture_output=True, text=True, timeout=120, check=True
    )
    assert done.stdout == "2 False\n" * 2
    assert done.stderr.count("TEST.FLIPP") == 2
