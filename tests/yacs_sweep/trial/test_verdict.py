"""Classifies ends of trials by exit status, request and output."""

from __future__ import annotations

import errno
import io
import math
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from yacs_sweep.trial.process import Exit, Stop
from yacs_sweep.trial.verdict import FullDisk, Verdict, classify, io_error, is_disk_full, oom_kills, which_disk


def judge(status: int | None, output: str = "", stop: Stop | None = None, **settings: Any) -> Verdict:
    known: dict[str, Any] = {"metric": "val/mAP", "metric_seen": True, "last_values": {"val/mAP": 1.0}}
    return classify(Exit(status, stop), output, **{**known, **settings})


OTHERS = (
    "torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 2.00 GiB. GPU 0 has a total capacity of 79.15 GiB "
    "of which 1.00 GiB is free. Process 4711 has {others} GiB memory in use. Including non-PyTorch memory, this "
    "process has {own} GiB memory in use."
)
SHM = "RuntimeError: DataLoader worker (pid 17) is killed by signal: Killed."
HOLDS = "Process {number} has {size} memory in use. "
IMPORT = "Traceback (most recent call last):\n  File …\nModuleNotFoundError: No module named 'timm'\n"


@pytest.mark.parametrize(
    ("status", "output", "cause", "words"),
    [
        (0, "", "finished", "finished"),
        (3, "Traceback …\nValueError: no such layer\n", "exit", "exit code 3: ValueError: no such layer"),
        (1, "quiet", "exit", "exit code 1"),
        (-1, "", "signal", "SIGHUP"),
        (-9, "", "signal", "SIGKILL"),
        (-11, "", "signal", "SIGSEGV"),
        (137, "", "signal", "SIGKILL"),
        (143, "", "signal", "SIGTERM"),  # told by a shell, or by a trainer that writes its checkpoint
        (1, "RuntimeError: CUDA out of memory. Tried to allocate 20.00 MiB\n", "cuda_oom", "CUDA out of memory"),
        (1, OTHERS.format(others="60.00", own="17.00"), "gpu_taken", "other processes hold 60.0 GiB"),
        (1, OTHERS.format(others="2.00", own="76.00"), "cuda_oom", "CUDA out of memory"),
        (1, "OSError: [Errno 28] No space left on device: 'x.pth'\n", "disk_full", "No space left on device"),
        (1, IMPORT, "import_error", "No module named 'timm'"),
        (1, "ERROR: diverged: loss is nan at epoch 3, iteration 7\n", "diverged", "loss is nan at epoch 3"),
        (-9, IMPORT, "signal", "SIGKILL"),
        (1, f"{HOLDS.format(number=7, size='60.00 GiB')}\n{IMPORT}", "import_error", "No module named 'timm'"),
        (3, IMPORT, "exit", "exit code 3"),  # an uncaught exception ends with 1
        (1, SHM, "exit", "exit code 1"),  # and nothing says that it was memory
    ],
)
def test_an_end_of_its_own(status: int, output: str, cause: str, words: str) -> None:
    verdict = judge(status, output)
    assert verdict.cause == cause
    assert verdict.state == ("finished" if status == 0 else "failed")
    assert words in verdict.reason


OWN = "Including non-PyTorch memory, this process has {size} memory in use.\n"


@pytest.mark.parametrize(
    ("others", "own", "held"),
    [
        (["1.00 TiB", "512.00 MiB", "524288.00 KiB"], "17.00 GiB", "1025.0 GiB"),
        (["2.50 GiB"], "1.00 GiB", "2.5 GiB"),
        (["1.00 GiB"] * 9, "1.00 GiB", "8.0 GiB"),  # only the last eight, in case the message came several times
        (["3.00 MiB"], "2048.00 KiB", "0.0 GiB"),
        (["1.00 MiB"], "2048.00 KiB", ""),
        (["1.00 GiB"], "1.00 GiB", ""),
        (["1023.00 GiB"], "1.00 TiB", ""),
        ([], "1.00 GiB", ""),
    ],
)
def test_other_processes_took_the_gpu_where_they_hold_more_than_the_trial(
    others: list[str], own: str, held: str
) -> None:
    text = "".join(HOLDS.format(number=number, size=size) for number, size in enumerate(others, 7))
    before = OWN.format(size="99.00 TiB")  # of another message; the last one counts
    verdict = judge(
        1, f"torch.OutOfMemoryError: CUDA out of memory. {before}CUDA out of memory. {text}{OWN.format(size=own)}"
    )
    if held:
        reason = f"CUDA out of memory: other processes hold {held} on the GPU"
        assert (verdict.cause, verdict.reason) == ("gpu_taken", reason)
    else:
        assert verdict.cause == "cuda_oom"


def test_memory_of_others_counts_where_the_own_is_not_said() -> None:
    assert (
        judge(1, f"RuntimeError: CUDA out of memory. {HOLDS.format(number=7, size='1.00 GiB')}\n").cause == "gpu_taken"
    )


TRACE = 'Traceback (most recent call last):\n  File "x.py", line 3, in <module>\n    open("train.csv")\n'
ABSENT = f"{TRACE}FileNotFoundError: train.csv\n"
AGAIN = "\nDuring handling of the above exception, another exception occurred:\n\n"


@pytest.mark.parametrize(
    "output",
    [
        f"OSError: [Errno 28] No space left on device (cache disabled, continuing)\n{ABSENT}",
        f"config: on_oom: CUDA out of memory -> skip\n{ABSENT}",
        f"{TRACE}ModuleNotFoundError: No module named 'apex'\ngoing on without apex\n{ABSENT}",
        f"{TRACE}ModuleNotFoundError: No module named 'apex'\n{AGAIN}{ABSENT}",
        f"{TRACE}OSError: [Errno 28] No space left on device\n{AGAIN}{ABSENT}",
        f"{ABSENT}Exception ignored in: <function Pool.__del__>\n{TRACE}OSError: No space left on device\n",
        f"{ABSENT}test_error 0.31\nval_error: 0.31\nerror: 0.31, acc 0.9\nATEXIT done\nexit\n",
    ],
)
def test_what_a_trainer_survived_is_not_why_it_failed(output: str) -> None:
    verdict = judge(1, output, full=lambda line: FullDisk.OTHER)
    assert (verdict.cause, verdict.reason) == ("exit", "exit code 1: FileNotFoundError: train.csv")


@pytest.mark.parametrize(
    ("output", "cause"),
    [
        (f"{TRACE}torch.OutOfMemoryError: CUDA out of memory.\n{AGAIN}{ABSENT}", "cuda_oom"),  # what came of it
        (f"[rank1]: {TRACE}torch.OutOfMemoryError: CUDA out of memory.\n[rank0]: {ABSENT}", "cuda_oom"),
        ("RuntimeError: unable to write to file </torch_123_0>: No space left on device (28)\n", "shared_memory"),
        ("OSError: [Errno 28] No space left on device: '/dev/shm/x'\n", "shared_memory"),
        ("OSError: [Errno 28] No space left on device: '/tmp/x'\n", "no_space"),
        ("loss: 0.4\nval_error: 0.31\n", "exit"),
    ],
)
def test_which_memory_or_disk_was_full(output: str, cause: str) -> None:
    assert judge(1, output, full=lambda line: FullDisk.OTHER).cause == cause


NO_SPACE = f"{TRACE}OSError: [Errno 28] No space left on device: '/r/abc/trial-0000/model.pth'\n"
OOM = f"{TRACE}torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 20.00 MiB\n"
FAULT = f"{TRACE}RuntimeError: CUDA error: uncorrectable ECC error encountered\nFor debugging, consider …\n"
CHILD = f"{TRACE}subprocess.CalledProcessError: Command '['python', 'x.py']' returned non-zero exit status 1.\n"
THREAD = f"Exception in thread Thread-1 (_pin_memory_loop):\n{TRACE}ConnectionResetError: [Errno 104] reset\n"
NCCL = f"{TRACE}torch.distributed.DistBackendError: NCCL error\nframe #1: x\n" + "frame #2: y\n" * 30


@pytest.mark.parametrize(
    ("output", "cause"),
    [
        (NO_SPACE + CHILD, "disk_full"),
        (f"{NO_SPACE}{CHILD}{AGAIN}{TRACE}RuntimeError: training failed\n", "disk_full"),
        (f"{TRACE}ModuleNotFoundError: No module named 'timm'\n{CHILD}", "import_error"),
        (FAULT + THREAD, "gpu_fault"),
        (FAULT + THREAD * 3 + CHILD, "gpu_fault"),
        (OOM + NCCL, "cuda_oom"),
        (NCCL + OOM, "cuda_oom"),
        (OOM + NCCL + ABSENT, "cuda_oom"),
        (f"Process SpawnProcess-1:\n{OOM}{TRACE}RuntimeError: a worker has failed\n", "cuda_oom"),
        (f"{OOM}[rank0]: {TRACE}torch.distributed.DistBackendError: NCCL error\n", "cuda_oom"),
    ],
)
def test_an_error_of_another_part_hides_no_cause(output: str, cause: str) -> None:
    assert judge(1, output, full=lambda line: FullDisk.RESULTS if "/abc/" in line else FullDisk.OTHER).cause == cause


@pytest.mark.parametrize(
    "output",
    [
        OOM + "step 3 loss 0.4\n" * 12 + ABSENT,  # logged, and survived
        f"{TRACE}ValueError: x\nOSError: No space left on device (cache disabled, continuing)\n{ABSENT}",
        f"{TRACE}OSError: [Errno 28] No space left on device: '/tmp/x'\n{ABSENT}",
        f"{ABSENT}{CHILD}",
        f"{ABSENT}{THREAD}",
    ],
)
def test_the_reason_is_the_last_error_of_the_program_itself(output: str) -> None:
    output = output.replace(OOM + "step", OOM + "step 2\n" * 12 + "step", 1) if output.startswith(OOM) else output
    verdict = judge(1, output, full=lambda line: FullDisk.UNKNOWN)
    assert (verdict.cause, verdict.reason) == ("exit", "exit code 1: FileNotFoundError: train.csv")


def test_no_space_that_is_there_again_is_a_full_disk_unless_a_path_says_another(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # `posix_fallocate` for a file that is too large, which the trainer then deletes.
    monkeypatch.setattr("yacs_sweep.trial.verdict.ROOM", 0)

    def where(line: str) -> FullDisk:
        return which_disk(line, tmp_path, tmp_path)

    for output in (f"{TRACE}OSError: [Errno 28] No space left on device\n", "OSError: No space left on device\n"):
        verdict = judge(1, output, full=where)
        assert verdict.cause == "disk_full"
        assert "no space left on a disk that is not named: OSError: " in verdict.reason
    gone_on = f"{TRACE}OSError: [Errno 28] No space left on device\n" + "step 2\n" * 12
    assert judge(1, gone_on, full=where).cause == "exit"
    assert judge(-11, f"{TRACE}OSError: [Errno 28] No space left on device\n", full=where).cause == "signal"
    lost = "OSError: [Errno 28] No space left on device: "
    for path in (f"'{tmp_path}/no/such/x.pth'", "'x.pth'", f"'/proc/x' -> '{tmp_path}/x'"):
        assert where(lost + path) is FullDisk.RESULTS
        assert judge(1, f"{TRACE}{lost}{path}\n", full=where).cause == "disk_full"
    for line in (f"{lost}'/proc/x'", "cp: error writing '/proc/x': No space left", "tee: /proc/x: No space left"):
        assert where(line) is FullDisk.OTHER
    verdict = judge(1, f"{TRACE}{lost}'/proc/x'\n", full=where)
    assert verdict.cause == "no_space" and "no space left on another disk" in verdict.reason
    for line in ("OSError: [Errno 28] No space left on device", "/proc/x/sh: 1: echo: No space left on device"):
        assert where(line) is FullDisk.UNKNOWN


@pytest.mark.parametrize(
    ("status", "output", "reason"),
    [
        (1, "epoch 3\nt.py: no folder data\n", "exit code 1: t.py: no folder data"),  # sys.exit("text")
        (1, "데이터 폴더가 없습니다 😀\n\n", "exit code 1: 데이터 폴더가 없습니다 😀"),
        (127, "sh: 1: nvidia-smi: not found\n}\n", "exit code 127: sh: 1: nvidia-smi: not found"),
        (2, "usage: t.py [-h] [--lr LR]\nt.py: error: unrecognized arguments: --x 3\n", "exit code 2: t.py: error: "),
        (1, "\nwandb: Run history:\nwandb: loss █▁\n", "exit code 1"),
        (1, f"{TRACE}x.NoSuchThing: a\n" + "wandb: loss █▁\n" * 20, "exit code 1: x.NoSuchThing: a"),
        (1, "ERROR: no cache\n" + "step\n" * 11 + "bye: no data\n", "exit code 1: bye: no data"),
        (1, f"t.py: no folder data\n{CHILD}", "exit code 1: t.py: no folder data"),  # accelerate launch
        (1, CHILD, "exit code 1: subprocess.CalledProcessError: Command '['python', 'x.py']' returned "),
        (3, "Epoch[1] Iteration[20/183] Loss: 10.012, Acc: 0.000, Base Lr: 1.09e-05\n", "exit code 3"),
        (3, 'METRIC {"epoch": 1, "val": 0.5}\n', "exit code 3"),
        (3, "mAP: 4.4%\nCMC curve, Rank-1  :11.9%\n", "exit code 3"),
        (3, " 45%|████▌     | 45/100 [00:10<00:12, 4.50it/s]\n", "exit code 3"),
        (
            -6,
            "terminate called after throwing an instance of 'c10::Error'\n  what():  CUDA error: bad assert\nframe #0: x\n",
            "ended by SIGABRT, not sent by the launcher: what():  CUDA error: bad assert",
        ),
        (
            1,
            "Could not override 'lr'.\nKey 'lr' is not in struct\n    full_key: lr\n    object_type=dict\n\n"
            "Set the environment variable HYDRA_FULL_ERROR=1 for a complete stack trace.\n",
            "exit code 1: Could not override 'lr'.",
        ),
        (-11, "Fatal Python error: Segmentation fault\n", "ended by SIGSEGV, not sent by the launcher: Fatal Python "),
        (-9, "reading images\n", "ended by SIGKILL, not sent by the launcher"),
    ],
)
def test_a_reason_holds_the_trainers_last_words(status: int, output: str, reason: str) -> None:
    found = judge(status, output).reason
    assert found.startswith(reason) if reason.endswith(" ") else found == reason


@pytest.mark.parametrize("line", ["a" * 65536, "a " * 32768, "a: " * 20000, "aError" * 10000, "1 [" * 20000])
def test_a_long_line_takes_no_time(line: str) -> None:
    started = time.process_time()
    assert judge(1, line).reason.startswith("exit code 1")
    assert time.process_time() - started < 2


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("RuntimeError: CUDA out of memory. Tried to allocate 2 MiB", "RuntimeError: CUDA out of memory. Tried to "),
        ("2026-01-01 reid ERROR: diverged: loss is nan at epoch 1", "diverged: loss is nan at epoch 1"),
        ("ImportError: no x", "import error: ImportError: no x"),
    ],
)
def test_a_reason_says_nothing_twice(line: str, reason: str) -> None:
    assert judge(1, f"{TRACE}{line}\n").reason.startswith(reason)


def test_a_survived_lack_of_space_hides_no_fault_that_is_looked_for_after_it() -> None:
    output = "OSError: No space left on device (cache disabled)\nRuntimeError: No CUDA GPUs are available\n"
    assert judge(1, output, full=lambda line: FullDisk.UNKNOWN).cause == "gpu_fault"


@pytest.mark.parametrize(
    ("status", "cause"), [(1, "disk_full"), (127, "disk_full"), (128, "exit"), (130, "exit"), (None, "exit")]
)
def test_no_space_without_a_path_is_believed_of_a_program_that_ends_by_itself(status: int | None, cause: str) -> None:
    assert judge(status, "OSError: No space left on device\n", full=lambda line: FullDisk.UNKNOWN).cause == cause


def test_of_several_lines_the_last_is_the_reason() -> None:
    lines = "RuntimeError: CUDA out of memory. First\nRuntimeError: CUDA out of memory. Last\n"
    assert judge(1, lines).reason.endswith("Last")


def test_a_reason_has_400_characters_at_most() -> None:
    for line in (f"ValueError: {'x' * 500}", f"ImportError: {'x' * 500}"):
        reason = judge(1, f"{line}\n").reason
        assert len(reason) == 400 and line[:300] in reason
    assert len(io_error(OSError(5, "x" * 500)).reason) == 400
    assert len(judge(-11, f"Fatal Python error: {'x' * 500}\n").reason) == 400
    assert len(judge(1, f"ValueError: {'x' * 500}\n", last_values={"m": math.nan}).reason) == 400


def test_an_error_is_the_reason_up_to_ten_lines_before_the_end() -> None:
    assert judge(1, "ValueError: no layer\n" + "step\n" * 10).reason == "exit code 1: ValueError: no layer"
    assert judge(1, "ValueError: no layer\n" + "step\n" * 11).reason == "exit code 1: step"


def test_an_error_of_the_trials_files_names_the_file_where_there_is_one() -> None:
    begin = "the launcher could not read or write the trial's files: "
    verdict = io_error(OSError(28, "No space left on device", "/r/log\udcff.txt"))
    assert (verdict.state, verdict.cause) == ("failed", "io_error")
    assert verdict.reason == begin + "No space left on device: /r/log\\xff.txt"
    assert io_error(OSError(5, "Input/output error")).reason == begin + "Input/output error"
    assert io_error(OSError("odd")).reason == begin + "odd"


def test_a_metric_called_error_is_none() -> None:
    assert judge(3, "loss: 0.4\nval_error: 0.31\nerror: 0.31\n").reason == "exit code 3"
    assert judge(2, "error: 0.31\ntrain.py: error: no option --x\n").reason.endswith("train.py: error: no option --x")


def test_a_disk_with_room_is_told_from_a_full_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("yacs_sweep.trial.verdict.ROOM", 0)
    assert not is_disk_full(tmp_path)
    monkeypatch.setattr("yacs_sweep.trial.verdict.ROOM", 1 << 62)
    assert is_disk_full(tmp_path)
    assert not list(tmp_path.iterdir())


GIB = 1 << 30


@pytest.mark.parametrize(
    ("free", "block", "files", "free_files", "full"),
    [
        (GIB // 4096, 4096, 1000, 1, False),
        (GIB // 4096 - 1, 4096, 1000, 1, True),
        (GIB // 4096, 4096, 1000, 0, True),
        (GIB // 4096, 4096, 0, 0, False),  # btrfs counts no files
    ],
)
def test_a_disk_is_full_with_less_than_a_gibibyte_or_without_a_free_inode(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    free: int,
    block: int,
    files: int,
    free_files: int,
    full: bool,
) -> None:
    disk = SimpleNamespace(f_bavail=free, f_frsize=block, f_files=files, f_favail=free_files)
    monkeypatch.setattr("os.statvfs", lambda folder: disk)
    assert is_disk_full(tmp_path) is full


class NoRoom(io.BytesIO):
    """A file that takes `room` bytes, then fails with an error number."""

    def __init__(self, room: int, error: int) -> None:
        super().__init__()
        self.room, self.error = room, error

    def write(self, data: Any) -> int:
        if len(data) > self.room:
            raise OSError(self.error, "x")
        return super().write(data)

    def fileno(self) -> int:
        return -1


@pytest.mark.parametrize(
    ("room", "error", "full"),
    [
        ((1 << 20) - 1, errno.ENOSPC, True),
        ((1 << 20) - 1, errno.EDQUOT, True),
        ((1 << 20) - 1, errno.EIO, False),
        (1 << 20, errno.ENOSPC, False),
    ],
)
def test_a_quota_shows_when_a_mebibyte_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, room: int, error: int, full: bool
) -> None:
    monkeypatch.setattr("yacs_sweep.trial.verdict.ROOM", 0)
    monkeypatch.setattr("tempfile.TemporaryFile", lambda dir: NoRoom(room, error))
    monkeypatch.setattr("os.fsync", lambda descriptor: None)
    assert is_disk_full(tmp_path) is full


@pytest.mark.parametrize("status", [0, -15, 143, -9])
@pytest.mark.parametrize(
    ("cause", "state"),
    [
        ("timeout", "failed"),
        ("stalled", "failed"),
        ("stopped", "stopped"),
        ("interrupted", "killed"),
        ("lost", "lost"),
    ],
)
def test_an_end_we_asked_for_is_told_whatever_the_exit_status(status: int, cause: str, state: str) -> None:
    # A trainer that takes SIGTERM well exits with 0 and has not finished all the same.
    verdict = judge(status, "CUDA out of memory", Stop(cause, "the detail"))
    assert (verdict.state, verdict.cause) == (state, cause)
    assert "the detail" in verdict.reason


@pytest.mark.parametrize(
    ("status", "reason"),
    [
        (None, "the detail"),
        (0, "the detail"),
        (143, "the detail"),
        (-9, "the detail, ended by SIGKILL"),
        (-1, "the detail, ended by SIGHUP"),
    ],
)
def test_a_timeout_says_which_signal_it_took(status: int | None, reason: str) -> None:
    assert judge(status, "", Stop("timeout", "the detail")).reason == reason


@pytest.mark.parametrize("cause", ["timeout", "stalled", "stopped", "interrupted", "lost"])
def test_a_trainer_that_came_to_its_end_all_the_same_has_finished(cause: str) -> None:
    verdict = judge(0, "", Stop(cause, "the detail"), unheeded=True)
    assert (verdict.state, verdict.reason) == ("finished", "finished in spite of a stop: the detail")
    assert judge(1, "", Stop(cause), unheeded=True).state != "finished"
    assert judge(0, "", Stop(cause), unheeded=True, metric_seen=False).state != "finished"


def test_a_trial_without_the_metric_has_failed_and_says_what_it_logged() -> None:
    verdict = judge(0, metric_seen=False, last_values={"train/loss": 1.0, "epoch": 2})
    assert (verdict.state, verdict.cause) == ("failed", "no_metric")
    assert "val/mAP" in verdict.reason and "epoch, train/loss" in verdict.reason
    assert judge(0, metric=None, metric_seen=False).state == "finished"


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_a_trial_whose_value_cannot_be_compared_has_diverged(value: float) -> None:
    verdict = judge(0, value=value)
    assert (verdict.state, verdict.cause, verdict.reason) == ("failed", "diverged", f"diverged: val/mAP is {value}")
    assert judge(0, value=value, metric=None).state == "finished"
    assert judge(0, value=1.0).state == judge(0, value=None).state == "finished"
    stopped = Stop("stopped", "worse than others")
    assert judge(0, "", stopped, unheeded=True, value=value).state == "stopped"
    assert judge(0, "", stopped, unheeded=True, value=1.0).state == "finished"


TORCHRUN = """[rank1]: Traceback (most recent call last):
[rank1]:   File "/x/train.py", line 6, in <module>
[rank1]: {error}
Traceback (most recent call last):
  File "<frozen runpy>", line 198, in _run_module_as_main
torch.distributed.elastic.multiprocessing.errors.ChildFailedError:
============================================================
train.py FAILED
------------------------------------------------------------
Failures:
[1]:
  rank      : 0 (local_rank: 0)
  exitcode  : -15 (pid: 18157)  (SIGTERM)
------------------------------------------------------------
Root Cause (first observed failure):
[0]:
  time      : 2026-11-26_07:14:54
  host      : localhost
  rank      : 1 (local_rank: 1)
  exitcode  : {status} (pid: 18159)
  error_file: <N/A>
============================================================
"""  # as torch 2.15 prints it


@pytest.mark.parametrize(
    ("error", "status", "cause", "words"),
    [
        ("ValueError: no such layer", 1, "exit", "exit code 1: ValueError: no such layer"),
        ("ModuleNotFoundError: No module named 'timm'", 1, "import_error", "No module named 'timm'"),
        ("", -9, "signal", "SIGKILL"),
    ],
)
def test_behind_torchrun_the_process_that_failed_first_counts(error: str, status: int, cause: str, words: str) -> None:
    verdict = judge(1, TORCHRUN.format(error=error, status=status))
    assert verdict.cause == cause and words in verdict.reason
    assert "ChildFailedError" not in verdict.reason


def test_behind_torchrun_the_last_line_is_the_trainers() -> None:
    log = (
        "E1129 22:47:34.113000 29580 torch/distributed/elastic/multiprocessing/api.py:1002] failed (exitcode: 1) "
        "local_rank: 0 (pid: 29676) of binary: /usr/bin/python\n"
    )
    _, _, end = TORCHRUN.format(error="", status=1).partition("[rank1]: \n")
    assert judge(1, f"starting\nt.py: no folder data\n{log}{end}").reason == "exit code 1: t.py: no folder data"


def test_divergence_is_seen_in_the_last_values_of_a_trial_that_failed() -> None:
    assert judge(1, last_values={"train/loss": float("nan")}).cause == "diverged"
    assert judge(0, last_values={"train/loss": float("nan")}).state == "finished"
    values = {"b": math.nan, "a": -math.inf, "c": 1.0, "d": "text"}
    assert judge(3, last_values=values).reason == "diverged: a is -inf, exit code 3"
    said = judge(1, f"{TRACE}ValueError: bad loss\n", last_values=values).reason
    assert said == "diverged: a is -inf, exit code 1: ValueError: bad loss"


def test_the_kernels_kill_for_memory_is_told_from_other_kills() -> None:
    assert judge(-9, oom_before=3, oom_after=4).cause == "oom"
    assert judge(137, oom_before=3, oom_after=4).cause == "oom"
    assert judge(1, SHM, oom_before=3, oom_after=4).cause == "oom"
    assert judge(-9, oom_before=3, oom_after=3).cause == "signal"
    assert judge(-9).cause == "signal"
    assert judge(-9, oom_before=0, oom_after=1).cause == judge(-9, oom_after=1).cause == "oom"
    assert judge(-9, oom_before=4, oom_after=3).cause == judge(-9, oom_before=0).cause == "signal"
    assert judge(1, "ValueError: x", oom_before=3, oom_after=4).cause == "exit"  # somebody else's


@pytest.mark.parametrize(
    ("line", "file", "content"),
    [
        ("0::/user.slice/sweep", "user.slice/sweep/memory.events", "low 0\nhigh 1\nmax 9\noom 4\noom_kill 7\n"),
        ("0::/user:1/sweep", "user:1/sweep/memory.events", "oom_kill 7\n"),
        ("0::/", "memory.events", "oom_kill 7\noom_group_kill 0\n"),
        ("4:memory:/docker/abc", "memory/docker/abc/memory.oom_control", "under_oom 0\noom_kill 7\n"),
        ("4:cpu,memory:/docker/abc", "memory/memory.oom_control", "oom_kill_disable 0\noom_kill 7\n"),  # namespaced
    ],
)
def test_the_cgroups_count_is_read(tmp_path: Path, line: str, file: str, content: str) -> None:
    place = tmp_path / "fs" / file
    place.parent.mkdir(parents=True)
    place.write_text(content)
    own = tmp_path / "cgroup"
    own.write_text(f"9:name=systemd:/\n{line}\n")
    assert oom_kills(own, tmp_path / "fs") == 7


def test_no_readable_cgroup_is_no_count(tmp_path: Path) -> None:
    assert oom_kills(tmp_path / "absent", tmp_path) is None
    own = tmp_path / "cgroup"
    own.write_text("0::/somewhere\nmalformed\n")
    assert oom_kills(own, tmp_path) is None


@pytest.mark.parametrize(
    ("cause", "asked", "on_oom", "retries"),
    [
        ("signal", 2, "skip", 2),
        ("signal", 0, "skip", 0),
        ("lost", 1, "skip", 1),
        ("gpu_taken", 1, "skip", 1),
        ("guard_lost", 0, "skip", 1),
        ("oom", 5, "skip", 0),
        ("oom", 0, "retry", 1),
        ("cuda_oom", 5, "skip", 0),
        ("cuda_oom", 5, "retry", 5),
        *[(cause, 5, "retry", 0) for cause in ("exit", "diverged", "import_error", "timeout", "stalled", "no_metric")],
        *[(cause, 5, "retry", 0) for cause in ("finished", "stopped", "interrupted", "disk_full", "start")],
    ],
)
def test_only_what_the_machine_did_is_tried_again(cause: str, asked: int, on_oom: str, retries: int) -> None:
    assert Verdict("failed", cause, "").retries(asked, on_oom) == retries


@pytest.mark.parametrize(
    "line",
    [
        "RuntimeError: No CUDA GPUs are available",
        "RuntimeError: CUDA error: no CUDA-capable device is detected",
        "torch.AcceleratorError: CUDA error: uncorrectable ECC error encountered",
        "RuntimeError: CUDA driver initialization failed, you might not have a CUDA gpu.",
        "RuntimeError: CUDA unknown error - this may be due to an incorrectly set up environment",
        "RuntimeError: CUDA error: all CUDA-capable devices are busy or unavailable",
        "[ 812.1] NVRM: Xid (PCI:0000:3b:00): 79, GPU has fallen off the bus.",
    ],
)
def test_errors_of_the_device_are_the_machines(line: str) -> None:
    verdict = judge(1, f"Traceback\n{line}\n")
    assert (verdict.state, verdict.cause, verdict.by_machine) == ("failed", "gpu_fault", True)
    assert line in verdict.reason


@pytest.mark.parametrize(
    "line",
    [
        "RuntimeError: CUDA error: device-side assert triggered",
        "RuntimeError: CUDA error: an illegal memory access was encountered",
        "RuntimeError: CUDA error: invalid device ordinal",
    ],
)
def test_errors_of_a_trainer_on_the_device_are_its_own(line: str) -> None:
    assert judge(1, f"Traceback\n{line}\n").cause == "exit"


def test_warnings_of_a_driver_are_no_reason() -> None:
    warning = (
        "UserWarning: CUDA initialization: CUDA unknown error - this may be due to an incorrectly set up environment"
    )
    assert judge(0, f"{warning}\n").cause == "finished"
    assert judge(1, f"{warning}\nValueError: lr\n").cause == "exit"
