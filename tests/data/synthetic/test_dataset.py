from __future__ import annotations

import contextlib
import signal
import subprocess
import sys
import time
from collections import defaultdict
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from data import DatasetError
from data.datasets.market1501 import read_market1501
from data.synthetic.dataset import DESCRIPTION, SyntheticSpec, folder_name, read_synthetic, write_synthetic

SMALL = SyntheticSpec(train_ids=3, test_ids=2, shots=2, distractors=7, junk=4)
# Imports, says so, waits for a line, writes the set: started together, several write together.
WRITER = """
import sys
from pathlib import Path
from data.synthetic.dataset import SyntheticSpec, write_synthetic
print("ready", flush=True)
sys.stdin.readline()
write_synthetic(Path(sys.argv[1]), SyntheticSpec(train_ids=int(sys.argv[2])))
"""


def contents(folder: Path) -> dict[str, bytes]:
    return {str(f.relative_to(folder)): f.read_bytes() for f in sorted(folder.rglob("*")) if f.is_file()}


def start_writer(folder: Path, train_ids: int) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", WRITER, str(folder), str(train_ids)]
    writer = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert writer.stdout and writer.stdout.readline() == "ready\n"
    return writer


def go(writer: subprocess.Popen[str]) -> None:
    assert writer.stdin
    writer.stdin.write("\n")
    writer.stdin.flush()


def test_counts_and_roles(tmp_path: Path) -> None:
    dataset = read_market1501("synthetic", write_synthetic(tmp_path / "set", SMALL))
    assert len(dataset.train) == 3 * 4 * 2 and dataset.num_train_pids == 3
    assert len(dataset.query) == 2 * 4
    assert len(dataset.gallery) == 2 * 4 * 2 + 7
    assert len(list((tmp_path / "set" / "bounding_box_test").glob("-1_*"))) == 4
    assert {s.camid for s in dataset.gallery if s.pid == 0} == set(range(6))
    with Image.open(dataset.train[0].path) as image:
        assert image.size == (32, 64) and image.mode == "RGB"


def test_every_query_has_a_match_in_another_camera(tmp_path: Path) -> None:
    dataset = read_market1501("synthetic", write_synthetic(tmp_path / "set", SMALL))
    for query in dataset.query:
        assert any(g.pid == query.pid and g.camid != query.camid for g in dataset.gallery)


def test_the_same_seed_gives_the_same_bytes_and_another_does_not(tmp_path: Path) -> None:
    first = contents(write_synthetic(tmp_path / "a", SMALL))
    assert first == contents(write_synthetic(tmp_path / "b", SMALL))
    other = contents(write_synthetic(tmp_path / "c", replace(SMALL, seed=1)))
    assert not set(first.values()) & set(other.values())


def test_more_identities_leave_the_others_as_they_were(tmp_path: Path) -> None:
    few = contents(write_synthetic(tmp_path / "few", SMALL))
    more = contents(write_synthetic(tmp_path / "more", replace(SMALL, train_ids=5)))
    train = [name for name in few if name.startswith("bounding_box_train")]
    assert train and all(few[name] == more[name] for name in train)


def test_cameras_differ_more_than_the_people_before_them(tmp_path: Path) -> None:
    """In mean colour, which is what an untrained network sees first: this makes the task one."""
    dataset = read_market1501("synthetic", write_synthetic(tmp_path / "set", SyntheticSpec()))
    colours: dict[int, dict[int, list[np.ndarray]]] = defaultdict(lambda: defaultdict(list))
    for sample in dataset.train:
        colours[sample.camid][sample.pid].append(np.asarray(Image.open(sample.path), float).mean((0, 1)))
    people = {camera: [np.mean(shots, axis=0) for shots in met.values()] for camera, met in colours.items()}
    within = np.mean([np.std(means, axis=0) for means in people.values()])
    between = np.std([np.mean(means, axis=0) for means in people.values()], axis=0).mean()
    assert between > 2 * within


def test_a_complete_set_is_kept(tmp_path: Path) -> None:
    folder = write_synthetic(tmp_path / "set", SMALL)
    marker = folder / "query" / "mine.txt"
    marker.write_text("kept")
    assert write_synthetic(folder, SMALL) == folder
    assert marker.read_text() == "kept"


def test_an_empty_folder_is_filled(tmp_path: Path) -> None:
    assert (write_synthetic(tmp_path, SMALL) / DESCRIPTION).is_file()


@pytest.mark.parametrize("content", ["another set", "a file inside", "a file"])
def test_what_is_something_else_is_left_alone(tmp_path: Path, content: str) -> None:
    folder = tmp_path / "set"
    if content == "another set":
        write_synthetic(folder, replace(SMALL, seed=9))
    elif content == "a file inside":
        folder.mkdir()
        (folder / "thesis.tex").write_text("x")
    else:
        folder.write_text("x")
    before = contents(tmp_path)
    with pytest.raises(DatasetError) as caught:
        write_synthetic(folder, SMALL)
    assert str(folder) in str(caught.value) and "\n" not in str(caught.value)
    assert contents(tmp_path) == before


def test_values_out_of_range_are_all_named() -> None:
    with pytest.raises(DatasetError) as caught:
        SyntheticSpec(train_ids=0, cameras=3, cameras_per_id=4, width=1)
    text = str(caught.value)
    assert "train_ids" in text and "cameras_per_id must be at most cameras (3)" in text and "width" in text


def test_the_folder_name_tells_sets_apart() -> None:
    assert folder_name(SMALL) == folder_name(replace(SMALL))
    assert folder_name(SMALL) != folder_name(replace(SMALL, shots=3))


def test_the_reader_draws_what_is_missing_once(tmp_path: Path) -> None:
    first = read_synthetic(tmp_path / "new" / "root")
    (folder,) = (tmp_path / "new" / "root").iterdir()
    written = folder.stat().st_mtime_ns
    assert read_synthetic(tmp_path / "new" / "root") == first
    assert folder.stat().st_mtime_ns == written
    assert first.name == "synthetic" and first.num_train_pids == 32


def test_writers_started_together_all_succeed(tmp_path: Path) -> None:
    folder = tmp_path / "set"
    writers = [start_writer(folder, 8) for _ in range(3)]
    for writer in writers:
        go(writer)
    for writer in writers:
        writer.communicate(timeout=180)
    assert [writer.returncode for writer in writers] == [0, 0, 0]
    assert [path.name for path in tmp_path.iterdir()] == ["set"]
    assert contents(folder) == contents(write_synthetic(tmp_path / "alone", SyntheticSpec(train_ids=8)))


def test_a_killed_writer_leaves_nothing_that_looks_complete(tmp_path: Path) -> None:
    folder = tmp_path / "set"
    writer = start_writer(folder, 2000)  # far more than it will live to draw
    go(writer)
    deadline = time.monotonic() + 120
    while not list(tmp_path.glob(".set.*.part/bounding_box_train/*.jpg")):
        assert writer.poll() is None and time.monotonic() < deadline
        time.sleep(0.01)
    writer.send_signal(signal.SIGKILL)
    writer.communicate(timeout=180)
    assert not folder.exists()
    assert len(list(tmp_path.glob(".set.*.part"))) == 1
    dataset = read_market1501("synthetic", write_synthetic(folder, SMALL))
    assert dataset.num_train_pids == 3


def test_an_interrupted_writer_cleans_up(tmp_path: Path) -> None:
    writer = start_writer(tmp_path / "set", 2000)
    go(writer)
    deadline = time.monotonic() + 120
    while not list(tmp_path.glob(".set.*.part/bounding_box_train/*.jpg")):
        assert writer.poll() is None and time.monotonic() < deadline
        time.sleep(0.01)
    for _ in range(5):  # Python drops an interrupt that comes while it finalises an object: then once more
        writer.send_signal(signal.SIGINT)
        with contextlib.suppress(subprocess.TimeoutExpired):
            writer.wait(2)
            break
    writer.communicate(timeout=180)
    assert list(tmp_path.iterdir()) == []
