"""On a machine with an NVIDIA GPU: CUDA in trials that are forks of a preload server, and their memory as NVML tells it.

The server has torch imported and has never touched CUDA; every trial initialises it for itself.
"""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.yacs_sweep.trial.preload_case import Case, serving, until
from yacs_sweep.trial.gpu_memory import SLACK, Gpu, GpuMemoryWait, read_gpus
from yacs_sweep.trial.process import Exit, Limits, Stop, run_child

GPUS = read_gpus()
pytestmark = pytest.mark.skipif(not GPUS, reason="no CUDA device")

GIB = 1 << 30
FIRST = "import json, os, sys\nloaded = 'torch' in sys.modules\nimport torch\nbefore = torch.cuda.is_initialized()\n"
COMPUTE = f"""{FIRST}
square = torch.full((512, 512), 2.0, device="cuda")
total = float((square @ square).sum())
print(json.dumps([loaded, before, total, torch.cuda.is_initialized(), os.getpid()]))
"""
DEVICES = f"""{FIRST}
uuids = [str(torch.cuda.get_device_properties(number).uuid) for number in range(torch.cuda.device_count())]
print(json.dumps([loaded, before, torch.cuda.is_available(), uuids]))
"""
HOLD = f"""{FIRST}
import time
held = torch.ones({GIB}, dtype=torch.uint8, device="cuda")
torch.cuda.synchronize()
print("HELD", flush=True)
time.sleep(120)
"""
WORKERS = """
import sys
loaded = "torch" in sys.modules
import torch
from torch.utils.data import DataLoader, TensorDataset

if __name__ == "__main__":
    data = TensorDataset(torch.arange(256.0).reshape(64, 4))
    loader = DataLoader(data, batch_size=8, num_workers=2, pin_memory=True)
    model = torch.nn.Linear(4, 1).cuda()
    for (batch,) in loader:
        model(batch.cuda(non_blocking=True)).sum().backward()
    print(loaded, sum(float(batch.sum()) for (batch,) in loader))
"""


@pytest.fixture(scope="module")
def case(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Case]:
    with serving(tmp_path_factory.mktemp("case"), "torch") as case:
        yield case
        assert case.said == []  # no trial was executed instead, and nothing was refused


def answer(case: Case, text: str, **environment: str) -> Any:
    case.script("script.py", text)
    end, output = case.run("script.py", env=environment)
    assert end.status == 0, output
    return json.loads(output.splitlines()[-1])


def test_a_fork_initialises_cuda(case: Case) -> None:
    seen = [answer(case, COMPUTE) for _ in range(3)]
    assert [row[:4] for row in seen] == [[True, False, 512.0**3 * 4, True]] * 3
    assert len({row[4] for row in seen}) == 3


def test_each_fork_sees_the_devices_it_is_given(case: Case) -> None:
    first = GPUS[0]
    for _ in range(2):
        assert answer(case, DEVICES, CUDA_VISIBLE_DEVICES="") == [True, False, False, []]
        loaded, before, available, uuids = answer(case, DEVICES, CUDA_VISIBLE_DEVICES=first.uuid)
        assert (loaded, before, available) == (True, False, True)
        assert [uuid.removeprefix("GPU-") for uuid in uuids] == [first.uuid.removeprefix("GPU-")]
        assert len(answer(case, DEVICES, CUDA_VISIBLE_DEVICES="0")[3]) == 1


def test_data_loaders_workers_and_cuda_in_a_fork(case: Case) -> None:
    case.script("workers.py", WORKERS)
    end, output = case.run("workers.py")
    assert end.status == 0, output
    assert output.splitlines()[-1] == f"True {sum(range(256)):.1f}"


def used() -> int:
    return sum(gpu.used for gpu in read_gpus())


@pytest.mark.parametrize("grace", [0.0, 5.0])
def test_a_stopped_trial_gives_its_memory_back(case: Case, grace: float) -> None:
    case.script("hold.py", HOLD)
    gpu_memory = GpuMemoryWait((), 30.0)
    gpu_memory.record_baseline()
    before, peak, output = used(), 0, b""
    pids: set[int] = set()

    def on_output(data: bytes) -> None:
        nonlocal output, peak
        output += data
        if b"HELD" in output:
            peak = max(peak, used())

    end: Exit = run_child(
        case.guards.get(), [case.python, "hold.py"], case.env, case.folder,
        limits=Limits(timeout=100, grace=grace), on_output=on_output, on_start=pids.add,
        poll=lambda: Stop("stopped") if peak else None,
    )  # fmt: skip
    assert end.stop is not None and end.stop.cause == "stopped", output
    assert peak - before >= GIB, output
    assert gpu_memory.wait(pids) is None
    assert used() - before <= SLACK


@contextlib.contextmanager
def holder() -> Iterator[subprocess.Popen[bytes]]:
    with subprocess.Popen([sys.executable, "-c", HOLD], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        try:
            assert process.stdout.readline() == b"HELD\n"
            yield process
        finally:
            process.kill()


def test_wait_for_memory_that_is_held(tmp_path: Path) -> None:
    gpu_memory = GpuMemoryWait((), 1.0)
    gpu_memory.record_baseline()
    with holder() as process:
        began = time.monotonic()
        told = gpu_memory.wait({process.pid})
        assert told is not None and "still held after 1 s" in told and f"GPU {device_of(told).index}" in told
        assert time.monotonic() - began < 5.0
        patient = GpuMemoryWait((), 30.0)
        patient._before = gpu_memory._before
        threading.Timer(1.0, process.kill).start()
        began = time.monotonic()
        assert patient.wait({process.pid}) is None
        assert 0.9 < time.monotonic() - began < 20.0


def device_of(told: str) -> Gpu:
    return next(gpu for gpu in GPUS if f"GPU {gpu.index}" in told)


def test_memory_that_was_held_before_is_not_waited_for() -> None:
    with holder():
        gpu_memory = GpuMemoryWait((), 5.0)
        gpu_memory.record_baseline()
        began = time.monotonic()
        assert gpu_memory.wait(set()) is None
        assert time.monotonic() - began < 2.0


def test_imports_that_initialise_cuda_are_refused(tmp_path: Path) -> None:
    libraries = tmp_path / "libraries"
    libraries.mkdir()
    (libraries / "library.py").write_text("import torch\ntorch.cuda.init()\n")
    with serving(tmp_path, "library", PYTHONPATH=str(libraries)) as case:
        case.script("loaded.py", "import sys; print('torch' in sys.modules)")
        assert case.run("loaded.py")[1] == "False\n"
        assert until(lambda: bool(case.said))
        (line,) = case.said
        assert "the imports initialised CUDA" in line or "the imports started" in line
