"""Runs launches on a Slurm cluster (`--engine slurm`), as the tasks of one array job."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
from collections.abc import Mapping, Sequence

from ...base.errors import ConfigError, SweepError
from ...records.folder import SweepPaths

OURS = ("array", "parsable", "wrap", "signal", "requeue", "no-requeue", "open-mode", "export", "chdir", "wait")
NOTICE = 60  # seconds, beyond the grace period, between the signal and the time limit: Slurm is a minute early or late
# Why a job cannot start that would be taken all the same: `--test-only` counts what is down now as not there.
LATER = re.compile(r"not available|inactive|drain|busy|down", re.IGNORECASE)
SCRIPT = """#!/bin/bash
# One agent of sweep {sweep}. USR1: the time limit is near, so the trial is to write its checkpoint and the task is put
# back into the queue. TERM: scancel.
requeue=
trap 'requeue=1; kill -TERM "$launcher" 2>/dev/null' USR1
trap 'kill -TERM "$launcher" 2>/dev/null' TERM INT
{command} &
launcher=$!
while :; do
    wait "$launcher"; status=$?
    kill -0 "$launcher" 2>/dev/null || break
done
if [ -n "$requeue" ] && [ "$status" = 130 ]; then
    echo "[sweep] time limit: task $SLURM_ARRAY_TASK_ID goes back into the queue"
    scontrol requeue "${{SLURM_ARRAY_JOB_ID}}_${{SLURM_ARRAY_TASK_ID}}"
    sleep 60
fi
exit "$status"
"""


class Slurm:
    """Implements `Engine` with Slurm's commands.

    Args:
        settings: long options of sbatch (partition, gres, time, account, …), and `notice`: how many seconds before the time
            limit the trial is ended.
        grace: seconds that a trial gets to end.
    """

    def __init__(self, settings: Mapping[str, str], grace: float) -> None:
        missing = [name for name in ("sbatch", "squeue", "scancel", "scontrol") if shutil.which(name) is None]
        if missing:
            raise ConfigError(f"--engine slurm: {', '.join(missing)}: not found; start it where Slurm's commands are")
        wanted = dict(settings)
        notice = wanted.pop("notice", "")
        taken = [key for key in wanted if key in OURS]
        if taken:
            raise ConfigError([f"--engine-option {key}: is set by the launcher" for key in taken])
        if notice and not notice.isdecimal():
            raise ConfigError(f"--engine-option notice={notice}: not a whole number of seconds")
        self._notice = int(notice) if notice else int(grace) + NOTICE
        self._settings = wanted
        self.job = ""

    def ask(self, agents: int) -> None:
        """Lets sbatch test the job without submitting it; one that has to wait for its nodes will do."""
        why = self._sbatch(["--test-only", *self._words(agents)], "#!/bin/bash\n", {})[1]
        if why and not LATER.search(why):
            raise ConfigError(f"--engine slurm: sbatch refused the job: {why}")

    def submit(self, commands: Sequence[Sequence[str]], environment: Mapping[str, str], paths: SweepPaths) -> str:
        """Submits the array job."""
        words = ["--parsable", *self._words(len(commands))]
        if "job-name" not in self._settings:
            words.append(f"--job-name=sweep-{paths.sweep_id}")
        if "output" not in self._settings:
            words.append(f"--output={paths.agents}/slurm-%A_%a.out")
        script = SCRIPT.format(sweep=paths.sweep_id, command=_command(commands))
        job, why = self._sbatch(words, script, environment)
        if why:
            raise SweepError(f"sbatch: {why}")
        self.job = job
        return f"Slurm job {self.job} ({len(commands)} tasks; scancel {self.job} ends it)"

    def _words(self, agents: int) -> list[str]:
        """Returns the options of sbatch for an array of so many tasks."""
        words = [f"--array=0-{agents - 1}", "--requeue", "--open-mode=append", f"--signal=B:USR1@{self._notice}"]
        words += [f"--chdir={os.getcwd()}", "--export=ALL"]
        return words + [f"--{key}={value}" if value else f"--{key}" for key, value in self._settings.items()]

    def _sbatch(self, words: Sequence[str], script: str, environment: Mapping[str, str]) -> tuple[str, str]:
        """Runs sbatch; returns the job's id and an empty text, or an empty text and why sbatch refuses."""
        try:
            done = subprocess.run(
                ["sbatch", *words],
                input=script,
                env={**os.environ, **environment},
                capture_output=True,
                text=True,
                timeout=120,
                check=False,
            )
        except subprocess.TimeoutExpired:
            return "", "no answer within 120 s"
        if done.returncode == 0:
            return done.stdout.strip().partition(";")[0], ""
        lines = [line for line in done.stderr.strip().splitlines() if not line.startswith("Try ")]
        return "", (lines or [f"exit status {done.returncode}"])[-1]

    def alive(self) -> int:
        """Counts the tasks that squeue lists."""
        done = subprocess.run(
            ["squeue", "--noheader", "--array", "--format=%T", f"--jobs={self.job}"],
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        if done.returncode != 0:
            if "Invalid job id" in done.stderr:  # it has ended so long ago that Slurm has forgotten it
                return 0
            raise SweepError(f"squeue: {done.stderr.strip()}")
        return len(done.stdout.split())

    def cancel(self) -> None:
        """Ends the job's tasks."""
        # --full: the batch shell too, which tells its launcher; Slurm kills what is left after its KillWait.
        subprocess.run(["scancel", "--full", self.job], capture_output=True, timeout=120, check=False)


def _command(commands: Sequence[Sequence[str]]) -> str:
    """Returns the shell command of a task, which picks its own launch by its number in the array."""
    first = shlex.join(commands[0])
    if all(command == commands[0] for command in commands):
        return first
    cases = "".join(f"    {place}) set -- {shlex.join(command)};;\n" for place, command in enumerate(commands))
    return f'case "$SLURM_ARRAY_TASK_ID" in\n{cases}esac\n"$@"'
