"""A real server process under test: started, watched, stopped, killed."""

from __future__ import annotations

import asyncio
import os
import pwd
import signal
import socket
import subprocess
import sys
import time
import traceback
import urllib.error
import urllib.request
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.harness.forked_command import ForkedCommand, can_fork
from tests.paths import ROOT
from tests.support.postgres import Database

QUICK = {"ZEON_RENEW_MS": 200, "ZEON_RUNNER_TTL_MS": 6000, "ZEON_POLL_MS": 200, "ZEON_BURST": 100_000}
"""Settings of a server process that is quick to notice things."""


def free_port() -> int:
    """Return a port nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class ServerProcess:
    """`zeon serve` as a child process on a port of its own.

    `tree` is a copy of the program to serve instead of this one. With `open_files` the process begins with so few open
    files as many systems allow by default.
    """

    def __init__(
        self,
        database: Database,
        log: Path,
        *,
        port: int | None = None,
        workers: int = 1,
        tree: Path = ROOT,
        open_files: int | None = None,
        **env: object,
    ) -> None:
        self._command = ["serve"] if workers == 1 else ["serve", "--workers", str(workers)]
        self.database = database
        self.port = port or free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self._log, self._tree, self._open_files = log, tree, open_files
        self._env = {
            **{name: value for name, value in os.environ.items() if not name.startswith("ZEON_")},
            "DATABASE_URL": database.url,
            "ZEON_MIGRATE_URL": database.owner_url,
            "HOST": "127.0.0.1",
            "PORT": str(self.port),
            "PYTHONPATH": str(tree),
            **{name: str(value) for name, value in env.items()},
        }
        self._process: ForkedCommand | subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        assert self._process is not None, "not started"
        return self._process.pid

    @property
    def output(self) -> str:
        """Everything printed so far, over all starts."""
        return self._log.read_text(errors="replace") if self._log.exists() else ""

    def start(self, *, wait: bool = True) -> ServerProcess:
        """Start the process and wait until it is ready."""
        self._process = self._fork() if can_fork(self._env) and self._open_files is None else self._start_anew()
        if wait:
            self.wait_ready()
        return self

    def wait_ready(self, seconds: float = 20) -> None:
        """Poll /readyz until it answers 200; fails with the output when the process ends or stays silent."""
        deadline = time.monotonic() + seconds
        while not self._ready():
            assert self.alive(), f"the server ended:\n{self.output}"
            assert time.monotonic() < deadline, f"the server is not ready:\n{self.output}"
            time.sleep(0.02)

    def alive(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def signal(self, number: int) -> None:
        """Send a signal, SIGSTOP and SIGCONT among them."""
        os.kill(self.pid, number)

    def stop(self, seconds: float = 10) -> int:
        """End the process with SIGTERM; answers its exit code."""
        self.signal(signal.SIGTERM)
        return self.wait(seconds)

    def wait(self, seconds: float = 10) -> int:
        """Wait for the end of the process; answers its exit code."""
        assert self._process is not None, "not started"
        return self._process.wait(seconds)

    def kill(self) -> None:
        """Kill the process and its children with SIGKILL; harmless when it is dead."""
        if self._process is not None and self._process.poll() is None:
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait(10)

    def _fork(self) -> ForkedCommand:
        return ForkedCommand(self._command, env=self._env, folder=Path.cwd(), stdout=self._log, stderr=self._log)

    def _start_anew(self) -> subprocess.Popen[bytes]:
        with self._log.open("ab") as log:
            command = [sys.executable, "-m", "app.cli.main", *self._command]
            if self._open_files is not None:
                command = ["sh", "-c", f'ulimit -S -n {self._open_files}; exec "$0" "$@"', *command]
            return subprocess.Popen(
                command,
                env=self._env,
                cwd=self._tree,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def _ready(self) -> bool:
        try:
            with urllib.request.urlopen(f"{self.url}/readyz", timeout=2) as answer:
                return bool(answer.status == 200)
        except (urllib.error.URLError, OSError):
            return False


StartServer = Callable[..., ServerProcess]
"""The fixture `start_server`: a database, settings as `ZEON_…=value`."""


async def until(condition: Callable[[], Any], timeout_s: float = 20) -> Any:
    """Poll until something is found and return it."""
    deadline = time.monotonic() + timeout_s
    while not (value := await asyncio.to_thread(condition)):
        assert time.monotonic() < deadline, "nothing came of it"
        await asyncio.sleep(0.01)
    return value


def as_user(account: pwd.struct_passwd, work: Callable[[], None]) -> None:
    """Do something in a child process of another account, which needs none of this one's other threads."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # From Python 3.12 on, where there are other threads.
        child = os.fork()
    if child == 0:
        code = 1
        try:
            os.setgid(account.pw_gid)
            os.setuid(account.pw_uid)
            work()
            code = 0
        except BaseException:
            traceback.print_exc()
        os._exit(code)
    assert os.waitpid(child, 0)[1] == 0
