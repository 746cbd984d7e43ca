"""Starts the processes of a distributed training, with the environment torchrun gives them."""

from __future__ import annotations

import multiprocessing
import os
import socket
import sys
from collections.abc import Callable, Sequence
from typing import Any

import torch


def be_one_of_them(rank: int, size: int, port: int, work: Callable[..., int], arguments: Sequence[Any]) -> None:
    """The whole life of one process."""
    torch.set_num_threads(1)
    os.environ.update(
        RANK=str(rank), WORLD_SIZE=str(size), LOCAL_RANK=str(rank), LOCAL_WORLD_SIZE=str(size),
        MASTER_ADDR="127.0.0.1", MASTER_PORT=str(port),
    )  # fmt: skip
    sys.exit(work(*arguments))


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port


def in_all(size: int, work: Callable[..., int], *arguments: Any, limit: float = 120.0) -> list[int | None]:
    """Exit statuses of `size` processes; kills them after `limit` seconds, one after the other."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["engine.run", "torch.distributed"])
    port = free_port()
    processes = [
        context.Process(target=be_one_of_them, args=(rank, size, port, work, arguments)) for rank in range(size)
    ]
    for process in processes:
        process.start()
    try:
        for process in processes:
            process.join(limit)
        return [process.exitcode for process in processes]
    finally:
        for process in processes:
            process.kill()
            process.join()
