"""What the processes of a distributed training agree on, and how they end when they cannot, without any training."""

from __future__ import annotations

import os
import signal
import threading
import time
from pathlib import Path

import pytest
import torch
import torch.distributed as dist

from data import ReIDDataset, Sample
from engine.agreement import require_same_dataset, require_same_settings
from engine.checkpoint import save_checkpoint
from engine.config import load_config
from engine.distributed import ProcessGroup, open_process_group
from engine.output_dir import OutputLock
from engine.run import _agree_on_state
from tests.engine.processes import in_all
from tests.engine.test_checkpoint import state
from utils.errors import ConfigError, Stopped
from utils.signals import PATIENCE, StopRequest

CPU = torch.device("cpu")


def told_by(group: ProcessGroup, problem: object) -> set[str]:
    """The lines of a ConfigError that every process must raise alike."""
    return set(group.all_gather_objects(str(problem)))


def agree(config: Path, folder: Path) -> int:
    """Checks one of three processes, of which the last has other settings, another folder and fewer images."""
    with open_process_group(CPU) as group:
        output = folder / str(group.rank)  # of that name on its own machine
        words = ["OUTPUT_DIR", str(output), "DATALOADER.NUM_WORKERS", str(group.rank)]
        cfg = load_config(str(config), words)
        require_same_settings(cfg, group)
        other = load_config(str(config), [*words, *(["SOLVER.SEED", "7"] if group.rank == 2 else [])])
        with pytest.raises(ConfigError) as caught:
            require_same_settings(other, group)
        expected = "process 2 has other settings than process 0 (SOLVER.SEED is 7, in process 0 0): start all"
        assert told_by(group, caught.value) == {f"{expected} with the same"}

        # Only the second process has a checkpoint: it counts for nothing. Then all get that of the first.
        if group.rank == 1:
            save_checkpoint(output, {**state(5), "config": cfg.dump()})
        with OutputLock(output) as lock:
            assert _agree_on_state(cfg, group, lock, []) is None
            if group.is_first:
                save_checkpoint(output, {**state(3, 1), "config": cfg.dump()})
            found = _agree_on_state(cfg, group, lock, [])
            assert found is not None and (found["progress"]["epoch"], found["progress"]["iteration"]) == (3, 1)
            assert torch.equal(found["model"]["weight"], torch.full((8,), 3.0))
            if group.is_first:
                save_checkpoint(output, {**state(4), "format": 1, "config": cfg.dump()})
            with pytest.raises(ConfigError) as caught:
                _agree_on_state(cfg, group, lock, [])
            (told,) = told_by(group, caught.value)
            assert "checkpoint_epoch_3.pth: its format is 1" in told

        images = [Sample(f"/of/{group.rank}/{number}.jpg", number % 4, 0) for number in range(8)]
        require_same_dataset(ReIDDataset("x", tuple(images), (), ()), group)
        for changed, difference in (
            (images[:-1], "7 training images of 4 identities, 0 queries, 0 gallery images, process 0 8 training"),
            ([*images[:-1], Sample("9.jpg", 3, 0)], "0 gallery images of other names; copy it completely"),
        ):
            with pytest.raises(ConfigError, match=difference) as caught:
                require_same_dataset(ReIDDataset("x", tuple(changed if group.rank == 2 else images), (), ()), group)
            assert len(told_by(group, caught.value)) == 1

        tensors = [torch.full((2, 2), float(group.rank)), torch.tensor(group.rank), torch.ones(3) * group.rank]
        group.broadcast_tensors(tensors)
        assert not any(tensor.any() for tensor in tensors)
    return 0


def test_processes_agree_on_settings_state_and_images(small_config: Path, tmp_path: Path) -> None:
    for rank in range(3):
        (tmp_path / str(rank)).mkdir()
    assert in_all(3, agree, small_config, tmp_path) == [0, 0, 0]


def signal_soon() -> None:
    threading.Timer(0.3, os.kill, (os.getpid(), signal.SIGTERM)).start()


def wait_for_nobody(where: str, pids: Path) -> int:
    """Gets SIGTERM in one of two processes, while the other does not come."""
    if os.environ["RANK"] == "1":
        while not pids.exists():
            time.sleep(0.05)
        if where != "rendezvous":
            dist.init_process_group("gloo")
        while Path(f"/proc/{pids.read_text()}").exists():  # until the other has ended
            time.sleep(0.05)
        os._exit(0)
    with StopRequest() as stop:
        pids.write_text(str(os.getpid()))
        if where == "rendezvous":
            signal_soon()
        try:
            with open_process_group(CPU, stop) as group:
                signal_soon()
                if where == "host":  # a wait that Python looks after
                    group.raise_on_all(None, stop.signum)
                else:  # a wait within a library
                    dist.all_reduce(torch.zeros(1))
        except Stopped as stopped:
            return 100 + stopped.signum
    return 0


@pytest.mark.parametrize("where", ["rendezvous", "host", "library"])
def test_sigterm_ends_a_process_that_waits_for_another(tmp_path: Path, where: str) -> None:
    started = time.monotonic()
    assert in_all(2, wait_for_nobody, where, tmp_path / "pid") == [143, 0]
    assert time.monotonic() - started < PATIENCE + 20  # seconds; the library's own limit is half an hour
