"""Reads a child's output while the caller waits for a slow disk: within bounds, and byte for byte."""

from __future__ import annotations

import os
import sys
import threading
import time
from pathlib import Path

from yacs_sweep.logs.parser import LogParser
from yacs_sweep.records.folder import TrialPaths
from yacs_sweep.trainers.load import load_profile
from yacs_sweep.trial.output import Output
from yacs_sweep.trial.output_pipe import PIPE_SIZE, OutputPipe
from yacs_sweep.trial.process import Guard, Limits, run_child

ROOT = Path(__file__).resolve().parents[3]
STALL = 3.0  # seconds
LINES = 400_000
TRAINER = f"""
import sys, time
began = time.perf_counter()
for number in range({LINES}):
    sys.stdout.write("step %d of a trainer that prints a good deal\\n" % number)
sys.stdout.write("mAP: 40.5%\\n")
sys.stdout.flush()
with open(sys.argv[1], "w") as file:
    file.write(str(time.perf_counter() - began))
"""


def lines() -> bytes:
    text = b"".join(b"step %d of a trainer that prints a good deal\n" % number for number in range(LINES))
    return text + b"mAP: 40.5%\n"


def test_a_disk_that_stalls_does_not_stall_the_trainer(tmp_path: Path) -> None:
    paths = TrialPaths(tmp_path)
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)  # a file whose writes really wait: for its reader, who sleeps
    copied = bytearray()

    def slow_disk() -> None:
        with pipe.open("rb") as file:
            time.sleep(STALL)
            while data := file.read(1 << 16):
                copied.extend(data)

    disk = threading.Thread(target=slow_disk)
    disk.start()
    rows: list[object] = []
    output = Output(paths, LogParser(load_profile("reid", project_root=ROOT).metrics), rows.append)
    descriptor = os.open(pipe, os.O_WRONLY)
    os.dup2(descriptor, output.log.descriptor)
    os.close(descriptor)
    told = tmp_path / "seconds"
    began = time.perf_counter()
    with Guard() as guard:
        end = run_child(
            guard,
            [sys.executable, "-c", TRAINER, str(told)],
            dict(os.environ),
            tmp_path,
            limits=Limits(stall=STALL / 3),  # nor is the trial taken for one that hangs
            on_output=output.write,
        )
    output.close()
    disk.join()
    assert end.status == 0 and end.stop is None
    assert time.perf_counter() - began > STALL  # the disk was slow
    assert float(told.read_text()) < STALL  # the trainer was not
    assert len(lines()) > 8 * PIPE_SIZE  # which a pipe alone does not hold
    assert copied == lines()
    assert rows == [{"val/mAP": 40.5}]


def write(descriptor: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view) :]
    os.close(descriptor)


def test_what_waits_is_bounded(tmp_path: Path) -> None:
    pipe, end = os.pipe()
    data = os.urandom(8 << 20)
    writer = threading.Thread(target=write, args=(end, data))
    capacity = 1 << 20
    with OutputPipe(pipe, capacity) as output:
        writer.start()
        writer.join(0.5)
        assert writer.is_alive()  # it waits: nobody takes
        assert output._waiting <= capacity + (1 << 18)
        assert output.seconds_quiet() == 0.0
        taken = bytearray()
        while piece := output.read():
            taken.extend(piece)
    writer.join()
    os.close(pipe)
    assert taken == data


def test_one_that_prints_too_fast_is_not_kept_in_memory() -> None:
    pipe, end = os.pipe()
    data = os.urandom(16 << 20)
    writer = threading.Thread(target=write, args=(end, data))
    taken, most = bytearray(), 0
    with OutputPipe(pipe) as output:
        writer.start()
        while piece := output.read():
            taken.extend(piece)
            most = max(most, output._waiting)
            time.sleep(0.01)  # what handling a piece takes
    writer.join()
    os.close(pipe)
    assert taken == data
    assert most < 2 * PIPE_SIZE


def test_a_pipe_that_somebody_holds_open_ends_with_finish() -> None:
    pipe, end = os.pipe()
    with OutputPipe(pipe) as output:
        os.write(end, b"last words")
        output.finish()
        assert output.read() == b"last words"
        assert output.read() == b""
    os.close(pipe)
    os.close(end)


def test_one_that_writes_for_ever_ends_with_finish() -> None:
    pipe, end = os.pipe()
    over = threading.Event()

    def chatter() -> None:
        while not over.is_set():
            os.write(end, b"x" * 4096)

    writer = threading.Thread(target=chatter)
    writer.start()
    try:
        with OutputPipe(pipe) as output:
            output.read()
            output.finish()
            rest = 0
            while piece := output.read():
                rest += len(piece)
    finally:
        over.set()
        os.set_blocking(end, False)
        while writer.is_alive():
            try:
                os.read(pipe, 1 << 20)
            except BlockingIOError:
                time.sleep(0.01)
        os.close(pipe)
        os.close(end)
