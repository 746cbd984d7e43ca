"""Tests that the terminal shows a trainer's output and never makes the trainer wait."""

from __future__ import annotations

import contextlib
import os
import select
import threading
import time
from concurrent.futures import ThreadPoolExecutor

from yacs_sweep.trial.echo import CAPACITY, LONGEST, Echo


def read_to_end(descriptor: int) -> bytes:
    with open(descriptor, "rb") as file:
        return file.read()


def test_bytes_pass_unchanged() -> None:
    reader, writer = os.pipe()
    echo = Echo(writer)
    data = [b"\x1b[31mred\x1b[0m 10%\r20%\r", b"\x00\xff\xfe half a li", b"ne\n"]
    for piece in data:
        echo.write(piece)
    echo.close()
    os.close(writer)
    assert read_to_end(reader) == b"".join(data)


def test_only_whole_lines_are_written_so_that_a_message_of_another_process_stands_between_them() -> None:
    reader, writer = os.pipe()
    os.set_blocking(reader, False)
    echo = Echo(writer)

    def written(count: int) -> bytes:
        data, until = b"", time.monotonic() + 60
        while len(data) < count and time.monotonic() < until:
            with contextlib.suppress(BlockingIOError):
                data += os.read(reader, 1 << 20)
        time.sleep(0.05)
        with contextlib.suppress(BlockingIOError):
            data += os.read(reader, 1 << 20)
        return data

    echo.write(b"one\nha")
    assert written(4) == b"one\n"
    echo.write(b"lf")
    assert written(0) == b""
    echo.write(b" two\n 10%\r 20%")
    assert written(14) == b"half two\n 10%\r"
    echo.begin()  # the trial has ended
    assert written(5) == b" 20%\n"
    echo.write(b"x" * (LONGEST + 1))
    assert written(LONGEST + 1) == b"x" * (LONGEST + 1)  # nothing is lost, however long its line
    echo.close()
    os.close(writer)
    os.close(reader)


def test_a_prefix_stands_before_every_whole_line() -> None:
    reader, writer = os.pipe()
    echo = Echo(writer)
    echo.begin("[t1] ")
    for piece in (b"one\ntw", b"o\nthr", b"ee"):
        echo.write(piece)
    echo.begin("[t2] ")
    echo.write(b"four\n")
    echo.close()
    os.close(writer)
    assert read_to_end(reader) == b"[t1] one\n[t1] two\n[t1] three\n[t2] four\n"


def test_several_writers_to_one_pipe_leave_each_others_lines_whole() -> None:
    reader, writer = os.pipe()
    echoes = [Echo(writer) for _ in range(4)]
    for number, echo in enumerate(echoes):
        echo.begin(f"[{number}] ")
        for _ in range(40):
            echo.write((f"{number}" * 99 + "\n").encode() * 50)
    with ThreadPoolExecutor(1) as pool:
        text = pool.submit(read_to_end, reader)
        for echo in echoes:
            echo.close(10.0)
        os.close(writer)
        lines = text.result(30).decode().splitlines()
    assert sorted(lines) == sorted(f"[{number}] " + f"{number}" * 99 for number in range(4) for _ in range(2000))


def test_a_stuck_terminal_costs_no_time_and_bounded_memory_and_says_what_is_missing() -> None:
    reader, writer = os.pipe()
    echo = Echo(writer)
    piece = b"x" * 1000 + b"\n"
    started = time.monotonic()
    for _ in range(10 * CAPACITY // len(piece)):
        echo.write(piece)
    assert time.monotonic() - started < 30
    read = b""
    while b"not shown here" not in read:
        read += os.read(reader, 1 << 16)
    assert len(read) < CAPACITY + (1 << 17)  # a pipe's buffer beside ours
    echo.close()
    os.close(writer)
    os.close(reader)


def test_a_terminal_that_is_gone_is_no_error() -> None:
    reader, writer = os.pipe()
    echo = Echo(writer)
    os.close(reader)
    for _ in range(100_000):
        echo.write(b"a terminal's line\n")
    started = time.monotonic()
    echo.close()
    assert time.monotonic() - started < 4
    os.close(writer)


def test_what_is_missing_is_said_at_the_end_too() -> None:
    reader, writer = os.pipe()
    echo = Echo(writer)
    for _ in range(2 * CAPACITY // 1001):
        echo.write(b"x" * 1000 + b"\n")
    closing = threading.Thread(target=echo.close, args=(20.0,))
    closing.start()  # while nobody has read anything
    read, deadline = b"", time.monotonic() + 120
    while b"not shown here" not in read and time.monotonic() < deadline:
        ready, _, _ = select.select([reader], [], [], 1.0)
        read += os.read(reader, 1 << 16) if ready else b""
    closing.join()
    os.close(writer)
    os.close(reader)
    assert b"not shown here: the terminal was too slow; they are in stdout.log]\n" in read
