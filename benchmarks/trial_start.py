"""Measures the seconds from a trial's start to the first line of its code after its imports: forked, and executed.

The trial imports the profile's `preload` modules and then prints the time; a second one is the trainer itself, up to
the moment its engine is imported. Forked and executed trials alternate.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from yacs_sweep.trainers.load import load_profile  # noqa: E402
from yacs_sweep.trial.preloader import Guards, Preloader  # noqa: E402
from yacs_sweep.trial.process import (  # noqa: E402
    Limits,
    child_environment,
    run_child,
)

TARGET = 100  # times faster than an executed trial
FIRST = "import time\n{imports}\nprint('FIRST', time.time(), flush=True)\n"
TRAINER = "import sys\nsys.path.insert(0, {root!r})\n" + FIRST.replace("{imports}", "import engine.trainer")


def measured(run: subprocess.CompletedProcess[bytes] | bytes, began: float) -> tuple[float, float]:
    """Measures the seconds to the first line, and from the first line to the end."""
    ended = time.time()
    output = run if isinstance(run, bytes) else run.stdout
    lines = [line.split() for line in output.splitlines() if line.startswith(b"FIRST")]
    assert len(lines) == 1, output.decode(errors="replace")
    first = float(lines[0][1])
    return first - began, ended - first


def through(guards: Guards, script: Path, env: dict[str, str], cwd: Path) -> tuple[float, float]:
    output: list[bytes] = []
    began = time.time()
    run_child(
        guards.get(), [sys.executable, str(script)], env, cwd,
        limits=Limits(), on_output=output.append, on_start=lambda pid: guards.started(),
    )  # fmt: skip
    return measured(b"".join(output), began)


def plain(script: Path, env: dict[str, str], cwd: Path) -> tuple[float, float]:
    """Measures the reference without the launcher."""
    began = time.time()
    return measured(
        subprocess.run([sys.executable, str(script)], env=env, cwd=cwd, capture_output=True, check=True), began
    )


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--trainer", default="reid")
    arguments.add_argument("--repeats", type=int, default=3)
    options = arguments.parse_args()
    profile = load_profile(options.trainer, project_root=ROOT)
    env = child_environment(profile.env, os.environ)
    with tempfile.TemporaryDirectory() as folder:
        cwd = Path(folder)
        imports = "\n".join(f"import {name}" for name in profile.preload)
        scripts = {"libraries": FIRST.format(imports=imports), "trainer": TRAINER.format(root=str(ROOT))}
        preloader = Preloader(
            sys.executable, profile.preload, cwd=cwd, env=env, log=cwd / "preload.log", say=print
        )  # fmt: skip
        forking, executing = Guards(preloader.requests, note=print), Guards()
        try:
            for name, text in scripts.items():
                script = cwd / f"{name}.py"
                script.write_text(text)
                through(forking, script, env, cwd)  # the first waits for the server
                ways = {
                    "forked": lambda script=script: through(forking, script, env, cwd),
                    "executed": lambda script=script: through(executing, script, env, cwd),
                    "subprocess.run": lambda script=script: plain(script, env, cwd),
                }
                times: dict[str, list[tuple[float, float]]] = {way: [] for way in ways}
                for _ in range(options.repeats):
                    for way, measure in ways.items():
                        times[way].append(measure())
                starts = {way: statistics.median(start for start, _ in pairs) for way, pairs in times.items()}
                for way, pairs in times.items():
                    end = statistics.median(end for _, end in pairs)
                    ratio = starts["executed"] / starts[way]
                    goal = f"(target: at least {TARGET} x)" if (name, way) == ("libraries", "forked") else ""
                    print(
                        f"{name:<10}{way:<16}start {starts[way]:7.3f} s  end {end:6.3f} s"
                        f"  {ratio:6.1f} x faster than executed  {goal}",
                        flush=True,
                    )
        finally:
            preloader.close()
            forking.close()
            executing.close()


if __name__ == "__main__":
    main()
