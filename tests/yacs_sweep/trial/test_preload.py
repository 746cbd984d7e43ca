"""Runs trials both ways, as forks of the preload server and by exec, and compares them."""

from __future__ import annotations

import json
import os
import re
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.trainers import await_marked
from tests.yacs_sweep.trial.preload_case import Case, interpreters, serving
from yacs_sweep.trial.inside import preload
from yacs_sweep.trial.process import GuardLost, Limits, run_child

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="preloading needs Linux")

WORLD = r"""
import sys
names = sorted(globals())
import gc, io, json, os, signal, threading, builtins, warnings
main = sys.modules["__main__"]
world = {
    "argv": sys.argv, "path": sys.path, "names": names, "file": globals().get("__file__"), "name": __name__,
    "package": __package__, "spec": __spec__ and __spec__.name, "doc": __doc__, "cached": globals().get("__cached__"),
    "loader": type(__loader__).__name__, "builtins": __builtins__ is builtins, "main": main.__dict__ is globals(),
    "code": sys._getframe().f_code.co_filename, "orig_argv": getattr(sys, "orig_argv", None),
    "executable": sys.executable, "prefix": sys.prefix, "flags": repr(sys.flags), "cwd": os.getcwd(),
    "environ": dict(os.environ), "child": json.loads(os.popen(
        "%s -c 'import json, os; print(json.dumps(dict(os.environ)))'" % sys.executable).read()),
    "session": os.getsid(0) == os.getpid() == os.getpgid(0), "umask": os.umask(0o77),
    "descriptors": sorted(os.listdir("/proc/self/fd")), "stdin": sys.stdin.read(),
    "streams": [[s.name, s.mode, s.encoding, s.errors, s.line_buffering, getattr(s, "write_through", None),
                 s.seekable(), s.isatty(), type(s.buffer).__name__] for s in (sys.stdin, sys.stdout, sys.stderr)],
    "same": [sys.stdout is sys.__stdout__, sys.stderr is sys.__stderr__, sys.excepthook is sys.__excepthook__],
    "signals": {n: repr(signal.getsignal(n)).split(" at ")[0] for n in signal.valid_signals()
                } if hasattr(signal, "valid_signals") else None,
    "mask": sorted(signal.pthread_sigmask(signal.SIG_BLOCK, [])), "wakeup": signal.set_wakeup_fd(-1),
    "gc": [gc.isenabled(), gc.get_threshold(), len(gc.garbage)],
    "threads": [t.name for t in threading.enumerate()], "tasks": len(os.listdir("/proc/self/task")),
    "nice": os.nice(0), "future": compile("x: int", "f", "exec").co_flags, "hidden": "_yacs_sweep_guard" in sys.modules,
    "filters": warnings.filters == warnings.filters[:], "annotations": globals().get("__annotations__"),
}
print(json.dumps(world, sort_keys=True, default=repr))
"""

ENDINGS = {
    "falls off the end": "print('done')",
    "exit": "import sys; print('x', end=''); sys.exit()",
    "exit status": "import sys; sys.exit(3)",
    "large exit status": "import sys; sys.exit(256 + 5)",
    "negative exit status": "import sys; sys.exit(-1)",
    "exit with a message": "import sys; sys.exit('no such data set')",
    "exception": "def f():\n    raise ValueError('no')\nf()",
    "chained exception": "try:\n    1 / 0\nexcept ZeroDivisionError as e:\n    raise KeyError('k') from e",
    "syntax error": "print('never')\ndef f(:\n",
    "keyboard interrupt": "raise KeyboardInterrupt",
    "SIGINT": "import os, signal, time; os.kill(os.getpid(), signal.SIGINT); time.sleep(5)",
    "SIGTERM": "import os, signal; os.kill(os.getpid(), signal.SIGTERM)",
    "SIGKILL": "import os, signal; os.kill(os.getpid(), signal.SIGKILL)",
    "SIGPIPE is ignored": "import os\nr, w = os.pipe()\nos.close(r)\nos.write(w, b'x')",
    "at once": "import os; print('lost?', flush=True); os._exit(7)",
    "exit handlers": "import atexit; atexit.register(print, 'first'); atexit.register(print, 'last'); print('body')",
    "exit handler that fails": "import atexit; atexit.register(lambda: 1 / 0)\nraise SystemExit(4)",
    "thread that outlives the script": (
        "import threading, time\nt = threading.Thread(target=lambda: (time.sleep(0.2), print('late')))\nt.start()"
    ),
    "its own hook": (
        "import sys\nsys.excepthook = lambda kind, error, trace: print(kind.__name__, trace.tb_lineno)\n1 / 0"
    ),
    "finaliser": "class A:\n    def __del__(self): print('gone')\na = A()",
    "recursion": "def f(): f()\ntry:\n    f()\nexcept RecursionError: print('deep')",
    "multiprocessing": (
        "import multiprocessing as m\ndef f(x): return x * x\n"
        "if __name__ == '__main__':\n"
        "    for kind in ('fork', 'spawn'):\n"
        "        with m.get_context(kind).Pool(2) as pool: print(pool.map(f, range(4)))"
    ),
    "file left open": "import sys\nf = open('left-%s' % sys.argv[1], 'w')\nf.write('written')\nclass K: pass\nK.f = f",
    "standard output closed": "import sys; sys.stdout.close(); sys.exit(2)",
    "standard output full": "import os, sys; os.dup2(os.open('/dev/full', 1), 1); sys.stdout.write('x' * 100)",
    "forked child that ends": (
        "import os, sys\npid = os.fork()\nif pid == 0: sys.exit(9)\nprint(os.WEXITSTATUS(os.waitpid(pid, 0)[1]))"
    ),
}


@pytest.fixture(scope="module", params=interpreters(), ids=lambda python: "/".join(Path(python).parts[-3:-2]))
def every(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Case]:
    with serving(tmp_path_factory.mktemp("preload"), "json", "decimal", python=request.param) as case:
        yield case


@pytest.fixture(scope="module")
def case(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Case]:
    with serving(tmp_path_factory.mktemp("preload"), "json", "decimal") as case:
        yield case


def test_world_is_that_of_an_executed_process(every: Case) -> None:
    case = every
    case.script("world.py", WORLD)
    case.script("sub/package/__init__.py", "")
    case.script("sub/package/module.py", WORLD)
    case.script("other/real.py", WORLD)
    if not (case.folder / "sub" / "linked.py").exists():
        (case.folder / "sub" / "linked.py").symlink_to("../other/real.py")
    for words in (
        ["world.py", "--a=b", "KEY", "ü"],
        ["./world.py"],
        ["sub/../world.py"],
        [str(case.folder / "world.py")],
        ["sub/linked.py", "x"],
        ["-m", "sub.package.module", "-v"],
    ):
        worlds = []
        for fork in (True, False):
            end, output = case.run(*words, fork=fork)
            assert end.status == 0, output
            worlds.append(json.loads(output))
        for world in worlds:
            del world["environ"]["YACS_SWEEP_GUARD"], world["child"]["YACS_SWEEP_GUARD"]
        assert worlds[0] == worlds[1], words
    assert case.said == []


def test_it_really_was_a_fork(every: Case) -> None:
    every.script("loaded.py", "import sys; print('decimal' in sys.modules, sys.argv)")
    assert every.run("loaded.py")[1].startswith("True")
    assert every.run("loaded.py", fork=False)[1].startswith("False")


@pytest.mark.parametrize("how", ENDINGS)
def test_ending_is_that_of_an_executed_process(every: Case, how: str) -> None:
    every.script("ending.py", ENDINGS[how])
    (forked, printed), (executed, expected) = (every.run("ending.py", "x", fork=fork) for fork in (True, False))
    assert forked.status == executed.status
    assert re.sub("0x[0-9a-f]+", "", printed) == re.sub("0x[0-9a-f]+", "", expected)
    assert (forked.leftovers, every.said) == (0, [])


def test_file_left_open_is_written_out(case: Case) -> None:
    case.script("ending.py", ENDINGS["file left open"])
    for fork in (True, False):
        case.run("ending.py", str(fork), fork=fork)
        assert (case.folder / f"left-{fork}").read_text() == "written"


def test_random_state_is_new_in_every_trial(tmp_path: Path) -> None:
    pytest.importorskip("numpy")
    script = "import random, numpy, uuid, multiprocessing as m\n" + (
        "print(random.random(), numpy.random.rand(), uuid.uuid4(), m.current_process().authkey)"
    )
    with serving(tmp_path, "random", "numpy", "multiprocessing") as case:
        case.script("draw.py", script)
        drawn = [case.run("draw.py")[1].split(maxsplit=3) for _ in range(3)]
        assert case.said == []  # OpenBLAS has threads of its own, which end before a fork
    for values in zip(*drawn, strict=True):
        assert len(set(values)) == 3


def test_marker_is_the_agents_own(case: Case) -> None:
    case.script("marker.py", "print(open('/proc/self/environ').read().replace(chr(0), chr(10)))")
    token = case.guards.get().token
    assert f"YACS_SWEEP_GUARD={token}\n" in case.run("marker.py")[1]


def test_trials_do_not_see_each_other(case: Case) -> None:
    look = "import json, os; print(hasattr(json, 'mark'), 'MARK' in os.environ)"
    case.script("mark.py", f"{look}\njson.mark = os.environ['MARK'] = 'x'")
    assert [case.run("mark.py")[1] for _ in range(2)] == ["False False\n"] * 2


def test_own_modules_are_always_fresh(case: Case) -> None:
    case.script("fresh.py", "import helper_module; print(helper_module.VALUE)")
    for value in ("1", "22"):
        case.script("helper_module.py", f"VALUE = {value}")
        assert case.run("fresh.py")[1] == f"{value}\n"


def test_visible_gpus_take_effect(case: Case) -> None:
    case.script("gpus.py", "import os, sys; print(os.environ.get('CUDA_VISIBLE_DEVICES'), 'decimal' in sys.modules)")
    assert case.run("gpus.py", env={"CUDA_VISIBLE_DEVICES": "3"})[1] == "3 True\n"
    assert case.run("gpus.py")[1] == "None True\n"


FORCED = {
    "variable read at import": (["loaded.py"], {"OMP_NUM_THREADS": "17"}, "OMP_NUM_THREADS"),
    "interpreter option": (["-O", "loaded.py"], {}, "neither"),
    "code on the command line": (["-c", "import sys; print('decimal' in sys.modules)"], {}, "neither"),
    "script that hides a preloaded module": (["hiding/loaded.py"], {}, "hiding/decimal.py hides"),
    "package that hides a preloaded module": (["hiding_package/loaded.py"], {}, "hides the preloaded module json"),
}


@pytest.mark.parametrize("why", FORCED)
def test_what_a_fork_cannot_do_is_executed_with_one_line_why(tmp_path: Path, why: str) -> None:
    words, env, told = FORCED[why]
    with serving(tmp_path, "json", "decimal") as case:
        for folder in (".", "hiding", "hiding_package"):
            case.script(f"{folder}/loaded.py", "import sys; print('decimal' in sys.modules)")
        case.script("hiding/decimal.py", "")
        case.script("hiding_package/json/__init__.py", "")
        for _ in range(2):
            end, output = case.run(*words, env=env)
            assert (end.status, output) == (0, "False\n")
        (line,) = case.said
        assert told in line and line.endswith("the trial starts as a fresh process")
        assert case.run("loaded.py")[1] == "True\n"


def test_missing_script_is_the_interpreters_to_complain_about(case: Case) -> None:
    end, output = case.run("absent.py")
    assert end.status == 2 and "can't open file" in output


def test_environment_difference_names_what_counts() -> None:
    ours = {"A": "1", "CUDA_VISIBLE_DEVICES": "0", "MARK": "x"}
    assert preload.environment_difference(ours, {"A": "1", "CUDA_VISIBLE_DEVICES": "1", "MARK": "y"}, "MARK") is None
    text = preload.environment_difference(ours, {"MKL_NUM_THREADS": "1"}, "MARK")
    assert text is not None and "A and 1 more" in text


def test_trial_ends_with_its_guard_and_its_group(case: Case) -> None:
    case.script("wait.py", "import os, time; os.system('sleep 7411 & echo up'); time.sleep(7412)")
    pids: list[int] = []

    def seen(pid: int) -> None:
        pids.append(pid)

    guard = case.guards.get()
    output: list[bytes] = []
    with pytest.raises(GuardLost):
        run_child(
            guard,
            [case.python, "wait.py"],
            case.env,
            case.folder,
            limits=Limits(timeout=30.0),
            on_output=output.append,
            on_start=seen,
            poll=lambda: os.kill(guard.pid, signal.SIGKILL) if output else None,
        )
    case.guards.drop()
    assert await_marked(guard.token, 5.0)
    assert not os.path.exists(f"/proc/{pids[0]}/fd/0")
    case.script("loaded.py", "import sys; print('decimal' in sys.modules)")
    assert case.run("loaded.py")[1] == "True\n"  # by another guard of the same server
