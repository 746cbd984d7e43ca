"""The engines that the conformance suite runs over, each with a cluster small enough for a test."""

from __future__ import annotations

import os
import subprocess
import sys
import types
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.slurm import Slurm as SlurmCluster
from tests.slurm import missing
from yacs_sweep.base.errors import ConfigError
from yacs_sweep.launch.engines import Engine
from yacs_sweep.launch.engines.ray import Ray
from yacs_sweep.launch.engines.slurm import Slurm
from yacs_sweep.records.folder import SweepPaths

GRACE = 5.0


class Local:
    """Runs launches as processes of this machine: the shortest engine that keeps the contract."""

    def __init__(self, settings: Mapping[str, str], grace: float) -> None:
        if settings:
            raise ConfigError([f"--engine-option {key}: the local engine has no options" for key in settings])
        self._grace = grace
        self._processes: list[subprocess.Popen[bytes]] = []

    def ask(self, agents: int) -> None:
        """Takes any number."""

    def submit(self, commands: Sequence[Sequence[str]], environment: Mapping[str, str], paths: SweepPaths) -> str:
        env = {**os.environ, **environment}
        self._processes = [subprocess.Popen(list(words), env=env) for words in commands]
        return f"{len(commands)} processes"

    def alive(self) -> int:
        return sum(process.poll() is None for process in self._processes)

    def cancel(self) -> None:
        for process in self._processes:
            process.terminate()


class Case:
    """An engine, and the cluster that it is tried on."""

    refused = "no-such-option"  # a setting that the engine does not take

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.folder, self.monkeypatch = folder, monkeypatch

    @contextmanager
    def cluster(self) -> Iterator[None]:
        """Runs the cluster."""
        yield

    def engine(self, settings: Mapping[str, str] | None = None) -> Engine:
        """Makes the engine, with settings of `--engine-option`."""
        raise NotImplementedError

    def uninstall(self) -> str:
        """Takes the engine's programs away; returns what the user is to be told of."""
        pytest.skip("needs nothing installed")

    def unplug(self) -> None:
        """Makes the cluster deaf."""
        pytest.skip("a cluster of its own")

    def public(self) -> str:
        """Returns all that others can see of the launches."""
        return ""


class LocalCase(Case):
    def engine(self, settings: Mapping[str, str] | None = None) -> Engine:
        return Local(settings or {}, GRACE)

    def unplug(self) -> None:
        pytest.skip("this machine answers")


# Stands for sbatch, squeue, scancel and scontrol, by the name it is called with: runs an array job on this machine.
SLURM = """#!{python}
import os, pathlib, re, signal, subprocess, sys
home = pathlib.Path({home!r})
name, words = pathlib.Path(sys.argv[0]).name, sys.argv[1:]
given = dict(word.lstrip("-").partition("=")[::2] for word in words)
def living():
    for path in (home / "tasks").iterdir():
        try:
            if pathlib.Path("/proc", path.read_text(), "stat").read_text().rpartition(")")[2].split()[0] != "Z":
                yield int(path.read_text())
        except OSError:
            pass
if (home / "deaf").exists():
    sys.exit(f"{{name}}: error: Unable to contact slurm controller (connect failure)")
if name == "sbatch":
    script = sys.stdin.read()
    if "test-only" in given:
        sys.exit()
    (home / "public").write_text(" ".join(words) + script)
    (home / "tasks").mkdir()
    (home / "job.sh").write_text(script)
    for task in range(1 + int(given["array"].partition("-")[2])):
        env = {{**os.environ, "SLURM_ARRAY_JOB_ID": "7", "SLURM_ARRAY_TASK_ID": str(task)}}
        null = subprocess.DEVNULL
        process = subprocess.Popen(
            ["bash", home / "job.sh"], env=env, cwd=given["chdir"], stdin=null, stdout=null, stderr=null,
            start_new_session=True)
        (home / "tasks" / str(task)).write_text(str(process.pid))
    print("7;test")
elif name == "squeue":
    for pid in living():
        print("RUNNING")
elif name == "scancel":
    assert words == ["--full", "7"]
    for pid in living():
        os.killpg(pid, signal.SIGTERM)
"""


class SlurmCase(Case):
    refused = "array"

    @contextmanager
    def cluster(self) -> Iterator[None]:
        self.home = self.folder / "slurm"
        self.home.mkdir()
        for name in ("sbatch", "squeue", "scancel", "scontrol"):
            program = self.home / name
            program.write_text(SLURM.format(python=sys.executable, home=str(self.home)))
            program.chmod(0o755)
        self.monkeypatch.setenv("PATH", f"{self.home}:{os.environ['PATH']}")
        yield

    def engine(self, settings: Mapping[str, str] | None = None) -> Engine:
        return Slurm(settings or {}, GRACE)

    def uninstall(self) -> str:
        self.monkeypatch.setenv("PATH", "/nowhere")
        return "sbatch"

    def unplug(self) -> None:
        (self.home / "deaf").touch()

    def public(self) -> str:
        return (self.home / "public").read_text()


class SlurmClusterCase(Case):
    """Slurm's own daemons, on a cluster of one machine."""

    refused = "array"

    @contextmanager
    def cluster(self) -> Iterator[None]:
        assert not missing(), "make test-slurm installs Slurm"
        slurm = SlurmCluster()
        try:
            slurm.start()
            for name, value in slurm.environment.items():
                self.monkeypatch.setenv(name, value)
            yield
        finally:
            slurm.close()

    def engine(self, settings: Mapping[str, str] | None = None) -> Engine:
        return Slurm({"partition": "work", "ntasks": "1", **(settings or {})}, GRACE)


class _Method:
    """An actor's method, called with `.remote(…)`."""

    def __init__(self, pool: ThreadPoolExecutor, call: Any) -> None:
        self._pool, self._call = pool, call

    def remote(self, *arguments: Any) -> Future[Any]:
        return self._pool.submit(self._call, *arguments)


class _Actors:
    """What `ray.remote` makes of a class: actors run in threads of this process."""

    def __init__(self, kind: type, pool: ThreadPoolExecutor) -> None:
        self._kind, self._pool = kind, pool

    def options(self, **_: Any) -> _Actors:
        return self

    def remote(self) -> Any:
        actor = self._kind()
        return types.SimpleNamespace(run=_Method(self._pool, actor.run), stop=_Method(self._pool, actor.stop))


class RayCase(Case):
    """The part of Ray's interface that the engine uses, in threads."""

    @contextmanager
    def cluster(self) -> Iterator[None]:
        self.deaf = False
        with ThreadPoolExecutor(16) as pool:
            ray: Any = types.ModuleType("ray")
            ray.init = self._init
            ray.remote = lambda kind: _Actors(kind, pool)
            ray.wait = self._wait
            ray.cloudpickle = types.SimpleNamespace(register_pickle_by_value=lambda module: None)
            self.monkeypatch.setitem(sys.modules, "ray", ray)
            yield

    def _init(self, **_: Any) -> None:
        if self.deaf:
            raise ConnectionError("could not find any running Ray instance\nmore of it")

    @staticmethod
    def _wait(refs: list[Future[Any]], *, num_returns: int, timeout: float) -> tuple[list[Any], list[Any]]:
        done, open_ = wait(refs, timeout)
        assert num_returns == len(refs)
        return list(done), list(open_)

    def engine(self, settings: Mapping[str, str] | None = None) -> Engine:
        return Ray(settings or {}, GRACE)

    def uninstall(self) -> str:
        self.monkeypatch.setitem(sys.modules, "ray", None)
        return "pip install 'ray>=2.40'"

    def unplug(self) -> None:
        self.deaf = True


class RayClusterCase(Case):
    """Ray itself, on a cluster of one node."""

    @contextmanager
    def cluster(self) -> Iterator[None]:
        import ray
        from ray.cluster_utils import Cluster

        made = Cluster(initialize_head=True, head_node_args={"num_cpus": 2})
        self.address = made.address
        try:
            yield
        finally:
            ray.shutdown()
            made.shutdown()

    def engine(self, settings: Mapping[str, str] | None = None) -> Engine:
        return Ray({"address": self.address, "num_cpus": "0.5", **(settings or {})}, GRACE)


CASES = [
    pytest.param(LocalCase, id="local"),
    pytest.param(SlurmCase, id="slurm"),
    pytest.param(RayCase, id="ray"),
    pytest.param(SlurmClusterCase, id="slurm-cluster", marks=pytest.mark.slurm),
    pytest.param(RayClusterCase, id="ray-cluster", marks=pytest.mark.ray),
]
