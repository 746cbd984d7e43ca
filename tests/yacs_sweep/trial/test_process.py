"""Runs one child by a real guard: every way it can end, and that none of its processes is left."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from typing import Any

import pytest

from tests.sweeping import ROOT, processes_with
from tests.trainers import await_marked
from yacs_sweep.trial.process import Exit, Guard, GuardLost, Limits, StartError, Stop, run_child

DEAF = "import signal, time; signal.signal(15, signal.SIG_IGN); print('deaf', flush=True); time.sleep(100)"


@pytest.fixture
def guard() -> Iterator[Guard]:
    with Guard() as guard:
        yield guard


def run(guard: Guard, code: str, limits: Limits | None = None, **settings: Any) -> tuple[Exit, bytes]:
    output: list[bytes] = []
    end = run_child(
        guard,
        [sys.executable, "-c", code],
        dict(os.environ),
        "/",
        limits=limits or Limits(grace=2.0),
        on_output=output.append,
        **settings,
    )
    return end, b"".join(output)


def run_deaf(guard: Guard, *stops: Stop) -> Exit:
    """Requests the ends one after the other of a child that ignores SIGTERM, once it does."""
    requests, ready = iter(stops), list[bytes]()
    return run_child(
        guard,
        [sys.executable, "-c", DEAF],
        dict(os.environ),
        "/",
        limits=Limits(),
        on_output=ready.append,
        poll=lambda: next(requests, None) if ready else None,
    )


def test_exit_code_and_output(guard: Guard) -> None:
    end, output = run(guard, "import sys; print('out'); print('err', file=sys.stderr); sys.exit(3)")
    assert end.status == 3
    assert end.stop is None
    assert sorted(output.split()) == [b"err", b"out"]


def test_children_that_end_at_once(guard: Guard) -> None:
    # Their end may be told in the same breath as their start.
    for _ in range(100):
        end = run_child(guard, ["true"], dict(os.environ), "/", limits=Limits(), on_output=lambda data: None)
        assert end.status == 0


def test_child_is_a_session_leader_without_stdin(guard: Guard) -> None:
    _, output = run(guard, "import os, sys; print(os.getsid(0) == os.getpid(), repr(sys.stdin.read()))")
    assert output == b"True ''\n"


def test_child_inherits_no_descriptor(guard: Guard) -> None:
    _, output = run(guard, "import os; print(sorted(map(int, os.listdir('/proc/self/fd'))))")
    assert output in (b"[0, 1, 2, 3]\n",)  # 3 is listdir's own


def test_command_that_does_not_exist(guard: Guard) -> None:
    for program in ("/no-such-program", "no-such-program"):
        with pytest.raises(StartError, match=rf"^cannot start {program}: No such file or directory$"):
            run_child(guard, [program], {}, "/", limits=Limits(), on_output=lambda data: None)
    with pytest.raises(StartError, match="'/no-such-folder'"):
        run_child(guard, [sys.executable], {}, "/no-such-folder", limits=Limits(), on_output=lambda data: None)
    assert run(guard, "pass")[0].status == 0


def test_timeout_ends_with_sigterm(guard: Guard) -> None:
    end, _ = run(guard, "import time; time.sleep(100)", Limits(timeout=0.3, grace=5))
    assert (end.status, end.stop and end.stop.cause) == (-signal.SIGTERM, "timeout")
    assert end.seconds < 5


def test_stall_counts_from_the_last_output(guard: Guard) -> None:
    code = "import time\nfor i in range(4): print(i, flush=True); time.sleep(0.2)\ntime.sleep(100)"
    end, output = run(guard, code, Limits(stall=0.5, grace=5))
    assert end.stop is not None and end.stop.cause == "stalled"
    assert output.split() == [b"0", b"1", b"2", b"3"]


def test_sigterm_is_ignored_until_sigkill(guard: Guard) -> None:
    end, _ = run(guard, DEAF, Limits(timeout=0.3, grace=0.5))
    assert end.status == -signal.SIGKILL
    assert 0.8 <= end.seconds < 20


def test_a_second_request_shortens_the_grace_period(guard: Guard) -> None:
    end = run_deaf(guard, Stop("interrupted", grace=30), Stop("interrupted", grace=0))
    assert end.status == -signal.SIGKILL
    assert end.seconds < 20


@pytest.mark.parametrize(("second", "counts"), [("stopped", "stopped"), ("interrupted", "paused")])
def test_a_stop_for_good_counts_more_than_a_pause(guard: Guard, second: str, counts: str) -> None:
    end = run_deaf(guard, Stop("paused", grace=30), Stop(second, grace=0))
    assert end.stop is not None and end.stop.cause == counts


def test_stopped_child_is_ended_too(guard: Guard) -> None:
    end, _ = run(guard, "import os; os.kill(os.getpid(), 19)", Limits(timeout=0.3, grace=5))
    assert end.status == -signal.SIGTERM
    assert end.seconds < 5


GRANDCHILD = """
import os, signal, sys, time
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        {deaf}
        os.execvp("sleep", ["sleep", "{seconds}"])
    os._exit(0)
time.sleep({wait})
"""


@pytest.mark.parametrize("deaf", ["pass", "signal.signal(15, signal.SIG_IGN)"])
def test_grandchild_in_another_session_is_ended_after_the_child(guard: Guard, deaf: str) -> None:
    end, _ = run(guard, GRANDCHILD.format(deaf=deaf, seconds=7301, wait=0.1))
    assert end.status == 0
    assert end.leftovers == 1
    assert not processes_with("sleep\x007301")


def test_grandchild_in_another_session_is_ended_with_the_child(guard: Guard) -> None:
    code = GRANDCHILD.format(deaf="signal.signal(15, signal.SIG_IGN)", seconds=7302, wait=1000)
    end, _ = run(guard, code, Limits(timeout=0.5, grace=0.3))
    assert end.stop is not None
    assert not processes_with("sleep\x007302")


def test_child_that_closes_its_output_but_lives_on(guard: Guard) -> None:
    end, _ = run(guard, "import os, time; os.close(1); os.close(2); time.sleep(0.7); os._exit(4)")
    assert end.status == 4
    assert end.seconds >= 0.7


def test_output_without_newline_arrives_in_bounded_pieces(guard: Guard) -> None:
    sizes: list[int] = []
    end = run_child(
        guard,
        [sys.executable, "-c", "import sys\nfor _ in range(50): sys.stdout.write('x' * 1000000)"],
        dict(os.environ),
        "/",
        limits=Limits(),
        on_output=lambda data: sizes.append(len(data)),
    )
    assert end.status == 0
    assert sum(sizes) == 50_000_000
    assert max(sizes) <= 1 << 18


def test_quiet_is_told_once_per_pause(guard: Guard) -> None:
    calls: list[float] = []
    code = "import time\nfor _ in range(2): print(1, flush=True); time.sleep(1.2)"
    run(guard, code, on_quiet=lambda: calls.append(time.monotonic()))
    assert len(calls) == 2


def test_an_exception_of_ours_does_not_leave_the_child_behind(guard: Guard) -> None:
    def fail(data: bytes) -> None:
        raise ValueError("no space")

    with pytest.raises(ValueError, match="no space"):
        run_child(
            guard,
            [sys.executable, "-c", "import time; print(1, flush=True); time.sleep(7303)"],
            dict(os.environ),
            "/",
            limits=Limits(),
            on_output=fail,
        )
    assert not processes_with("time.sleep(7303)")
    assert run(guard, "pass")[0].status == 0


def test_killed_guard_takes_the_trial_along() -> None:
    guard = Guard()
    code = GRANDCHILD.format(deaf="pass", seconds=7304, wait=1000)
    with pytest.raises(GuardLost):
        run(guard, code, poll=lambda: os.kill(guard.pid, signal.SIGKILL))
    assert not processes_with("sleep\x007304")
    assert await_marked(guard.token, 2.0)


AGENT = """
import os, sys
sys.path.insert(0, {root!r})
from yacs_sweep.trial.process import *
guard = Guard(token={token!r})
run_child(guard, [sys.executable, "-c", {code!r}], dict(os.environ), "/", limits=Limits(),
          on_output=lambda data: os.write(1, data))
"""


def test_killed_agent_takes_the_trial_along_within_five_seconds() -> None:
    token = f"test{os.getpid()}"
    code = (
        "import os, signal, time; signal.signal(15, signal.SIG_IGN)\n"
        + GRANDCHILD.format(deaf="signal.signal(15, signal.SIG_IGN)", seconds=7305, wait=0.2)
        + "print('up', flush=True); time.sleep(7306)"
    )
    script = AGENT.format(root=str(ROOT), token=token, code=code)
    agent = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE)
    assert agent.stdout is not None
    assert agent.stdout.readline() == b"up\n"
    agent.kill()
    agent.wait()
    assert await_marked(token, 5.0)
    assert not processes_with("sleep\x007305")
