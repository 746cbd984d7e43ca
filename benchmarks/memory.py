"""Measures the unique set size (private pages in smaps_rollup) of several workers' idle trials: forked, and executed.

Every worker has its own guard, as in a sweep; of forked trials the server and the guards are counted too.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import threading
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from measuring import memory  # noqa: E402

from yacs_sweep.trainers.load import load_profile  # noqa: E402
from yacs_sweep.trial.preloader import Guards, Preloader  # noqa: E402
from yacs_sweep.trial.process import (  # noqa: E402
    Limits,
    Stop,
    child_environment,
    run_child,
)

TARGET = 80  # MB
Figures = list[tuple[float, float]]  # (unique, proportional) set size in MB of several processes


def hold(workers: list[Guards], script: Path, env: dict[str, str], cwd: Path) -> tuple[Figures, Figures]:
    """Starts a trial with every guard, one after the other, and measures trials and guards once all are idle."""
    pids: list[int] = []
    up: list[bytes] = []

    def work(guards: Guards) -> None:
        run_child(
            guards.get(), [sys.executable, str(script)], env, cwd, limits=Limits(grace=0), on_output=up.append,
            on_start=pids.append, poll=lambda: Stop("stopped") if over.is_set() else None,
        )  # fmt: skip

    over = threading.Event()
    threads = [threading.Thread(target=work, args=(guards,)) for guards in workers]
    try:
        for number, thread in enumerate(threads, start=1):
            thread.start()
            while b"".join(up).count(b"UP") < number:
                time.sleep(0.02)
        time.sleep(0.5)
        trials = [memory(pid) for pid in pids]
        guards = [memory(worker.get().pid) for worker in workers]
    finally:
        over.set()
        for thread in threads:
            thread.join()
    return trials, guards


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--trainer", default="reid")
    arguments.add_argument("--workers", type=int, default=4)
    options = arguments.parse_args()
    profile = load_profile(options.trainer, project_root=ROOT)
    env = child_environment(profile.env, os.environ)
    with tempfile.TemporaryDirectory() as folder:
        cwd = Path(folder)
        script = cwd / "idle.py"
        imports = "\n".join(f"import {name}" for name in profile.preload)
        script.write_text(f"{imports}\nprint('UP', flush=True)\nimport time\ntime.sleep(600)\n")
        preloader = Preloader(sys.executable, profile.preload, cwd=cwd, env=env, log=cwd / "preload.log", say=print)
        try:
            for way, requests in (("forked", preloader.requests), ("executed", None)):
                workers = [Guards(requests, note=print) for _ in range(options.workers)]
                trials, guards = hold(workers, script, env, cwd)
                for worker in workers:
                    worker.close()
                for what, figures in (("trials", trials), ("guards", guards)):
                    unique = "  ".join(f"{own:6.1f}" for own, _ in figures)
                    share = sum(share for _, share in figures)
                    goal = f"   (target: at most {TARGET} each)" if (way, what) == ("forked", "trials") else ""
                    print(f"{way:<9}{what}: unique MB {unique}   proportional MB {share:7.1f} in all{goal}", flush=True)
                if requests and preloader.process:
                    own, share = memory(preloader.process.pid)
                    print(f"{way:<9}server: unique MB {own:6.1f}   proportional MB {share:7.1f}")
        finally:
            preloader.close()


if __name__ == "__main__":
    main()
