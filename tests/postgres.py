"""A PostgreSQL server of one's own: on loopback, on a free port, run by an ordinary user, gone afterwards."""

from __future__ import annotations

import functools
import os
import pwd
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

USER = "nobody"  # who runs the server when we are root, which it refuses
PASSWORD = "s3cret-of-the-tests"


@functools.cache
def programs() -> Path | None:
    """The folder of initdb and postgres; None when PostgreSQL is not installed."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: float(path.parts[-3]))
    if found:
        return found[-1].parent
    there = shutil.which("initdb")
    return Path(there).resolve().parent if there else None


class Postgres:
    """The server, which runs within a `with` block; `stop` and `start` are what an outage is made of."""

    def __init__(self, settings: Sequence[str] = ()) -> None:
        found = programs()
        assert found is not None
        self._bin, self._settings = found, settings
        self.home = Path(tempfile.mkdtemp(prefix="yacs-sweep-pg-"))
        self.process: subprocess.Popen[bytes] | None = None
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        account = pwd.getpwnam(USER)
        self._as = ["setpriv", f"--reuid={account.pw_uid}", f"--regid={account.pw_gid}", "--clear-groups"]
        if os.geteuid() != 0:
            self._as = []
        else:
            os.chown(self.home, account.pw_uid, account.pw_gid)
        secret = self.home / "password"
        secret.write_text(PASSWORD)
        secret.chmod(0o644)
        self._run(
            ["initdb", "-D", str(self.home / "data"), "-U", "sweeper", "--pwfile", str(secret), "-A", "scram-sha-256"]
        )

    def __enter__(self) -> Postgres:
        try:
            self.start()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _run(self, words: Sequence[str]) -> None:
        command = [*self._as, str(self._bin / words[0]), "--no-sync", *words[1:]]
        subprocess.run(command, cwd=self.home, check=True, capture_output=True, timeout=180)

    @property
    def url(self) -> str:
        return f"postgresql://sweeper:{PASSWORD}@127.0.0.1:{self.port}/postgres"

    def start(self) -> None:
        words = [str(self._bin / "postgres"), "-D", str(self.home / "data"), "-p", str(self.port), "-h", "127.0.0.1"]
        words += ["-k", str(self.home), *(word for setting in self._settings for word in ("-c", setting))]
        with (self.home / "log").open("ab") as log:
            self.process = subprocess.Popen([*self._as, *words], cwd=self.home, stdout=log, stderr=log)
        deadline = time.monotonic() + 120
        while not self._answers():
            assert self.process.poll() is None and time.monotonic() < deadline, (self.home / "log").read_text()
            time.sleep(0.05)

    def _answers(self) -> bool:
        command = [str(self._bin / "pg_isready"), "-q", "-h", "127.0.0.1", "-p", str(self.port)]
        return subprocess.run(command, check=False, timeout=180).returncode == 0

    def stop(self) -> None:
        """At once: sessions are ended (fast shutdown)."""
        if self.process is not None:
            self.process.send_signal(2)
            try:
                self.process.wait(20)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
            self.process = None

    def close(self) -> None:
        self.stop()
        shutil.rmtree(self.home, ignore_errors=True)
