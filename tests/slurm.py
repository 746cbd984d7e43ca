"""A Slurm cluster of one machine: slurmctld and slurmd without munge, with their files in a folder of their own."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import tempfile
import time
from pathlib import Path

PROGRAMS = ("slurmctld", "slurmd", "sbatch", "squeue", "scancel", "scontrol")

CONFIG = """
ClusterName=test
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={ctld}
SlurmdPort={slurmd}
SlurmUser=root
SlurmdUser=root
AuthType=auth/none
CredType=cred/none
CryptoType=crypto/none
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SchedulerType=sched/builtin
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
AccountingStorageType=accounting_storage/none
JobAcctGatherType=jobacct_gather/none
MpiDefault=none
ReturnToService=2
KillWait=10
MinJobAge=20
OverTimeLimit=0
InactiveLimit=0
JobRequeue=1
RequeueExit=
StateSaveLocation={home}/state
SlurmdSpoolDir={home}/spool
SlurmctldPidFile={home}/ctld.pid
SlurmdPidFile={home}/slurmd.pid
SlurmctldLogFile={home}/ctld.log
SlurmdLogFile={home}/slurmd.log
NodeName={host} NodeAddr=127.0.0.1 CPUs={cpus} State=UNKNOWN
PartitionName=work Nodes={host} Default=YES MaxTime=INFINITE State=UP
"""


def missing() -> list[str]:
    """Programs that are not installed."""
    return [name for name in PROGRAMS if shutil.which(name) is None and not Path("/usr/sbin", name).exists()]


def _free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
        return port


class Slurm:
    """The two daemons; commands find them by the variable in `environment`."""

    def __init__(self) -> None:
        self.home = Path(tempfile.mkdtemp(prefix="yacs-sweep-slurm-"))
        for name in ("state", "spool"):
            (self.home / name).mkdir()
        self.config = self.home / "slurm.conf"
        host = socket.gethostname().partition(".")[0]
        text = CONFIG.format(host=host, ctld=_free_port(), slurmd=_free_port(), home=self.home, cpus=os.cpu_count())
        self.config.write_text("\n".join(line for line in text.splitlines() if not line.startswith("RequeueExit")))
        self.environment = {"SLURM_CONF": str(self.config), "PATH": f"{os.environ['PATH']}:/usr/sbin"}
        self._daemons: list[subprocess.Popen[bytes]] = []

    def start(self) -> None:
        env = {**os.environ, **self.environment}
        for name in ("slurmctld", "slurmd"):
            with (self.home / f"{name}.out").open("wb") as out:
                words = [name, "-D", "-f", str(self.config)]
                self._daemons.append(subprocess.Popen(words, env=env, stdout=out, stderr=out, stdin=subprocess.DEVNULL))
        deadline = time.monotonic() + 120
        while "idle" not in self.run("sinfo", "-h", "-o", "%T"):
            assert time.monotonic() < deadline, self.logs()
            time.sleep(0.5)

    def run(self, *words: str) -> str:
        """What a command of Slurm prints."""
        env = {**os.environ, **self.environment}
        done = subprocess.run(words, env=env, capture_output=True, text=True, timeout=180, check=False)
        return done.stdout + done.stderr

    def logs(self) -> str:
        return "\n".join(path.read_text(errors="replace")[-3000:] for path in self.home.glob("*.log"))

    def close(self) -> None:
        for daemon in reversed(self._daemons):
            daemon.terminate()
        for daemon in self._daemons:
            try:
                daemon.wait(20)
            except subprocess.TimeoutExpired:
                daemon.kill()
                daemon.wait()
        shutil.rmtree(self.home, ignore_errors=True)
