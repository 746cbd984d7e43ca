"""The terminal is shown what the trainer prints, and can never hold it up."""

from __future__ import annotations

import os
import time

from yacs_sweep.echo import CAPACITY, Echo


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


def test_a_prefix_stands_before_every_whole_line() -> None:
    reader, writer = os.pipe()
    echo = Echo(writer, "w1 | ")
    for piece in (b"one\ntw", b"o\nthr", b"ee"):
        echo.write(piece)
    echo.close()
    os.close(writer)
    assert read_to_end(reader) == b"w1 | one\nw1 | two\nw1 | three\n"


def test_a_stuck_terminal_costs_no_time_and_bounded_memory_and_says_what_is_missing() -> None:
    reader, writer = os.pipe()
    echo = Echo(writer)
    piece = b"x" * 1000 + b"\n"
    started = time.monotonic()
    for _ in range(10 * CAPACITY // len(piece)):
        echo.write(piece)
    assert time.monotonic() - started < 1.0
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
    assert time.monotonic() - started < 2.0
    os.close(writer)
