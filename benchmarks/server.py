"""A server process to be measured: started on a free port, asked over HTTP, watched, stopped."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlsplit
from urllib.request import Request, urlopen

import psutil

from app.settings import load
from app.web.serve import serve
from app.web.workers.parent import serve_workers
from benchmarks.environment import BenchDatabase

_WORKER = "app.web.workers.worker"
_LIMITS = {"ZEON_RATE": "100000", "ZEON_BURST": "100000", "ZEON_LOG_LEVEL": "warning"}


class Server:
    """The child as this process sees it."""

    def __init__(self, url: str, process: psutil.Process) -> None:
        parts = urlsplit(url)
        self.url = url
        self._process = process
        self.address = (parts.hostname or "", parts.port or 0)

    @property
    def cpu_s(self) -> list[float]:
        """Seconds of processor time that the process, or each of its workers, has used so far."""
        servers = [child for child in self._process.children() if _WORKER in child.cmdline()] or [self._process]
        return [sum(each.cpu_times()[:2]) for each in servers]

    @property
    def rss(self) -> int:
        """Bytes of memory the process has at this moment."""
        return int(self._process.memory_info().rss)

    def start_session(self, session_id: Any) -> None:
        """Start a session over HTTP."""
        with urlopen(Request(f"{self.url}/api/sim/sessions/{session_id}/start", method="POST"), timeout=30) as answer:
            assert answer.status == 200, answer.status


@contextmanager
def server(target: BenchDatabase, *, workers: int = 1) -> Iterator[Server]:
    """Serve a database in a process of its own, or in workers of one, as long as the block lasts."""
    env = {name: value for name, value in os.environ.items() if not name.startswith("ZEON_")}
    env |= {
        "DATABASE_URL": target.url,
        "ZEON_MIGRATE_URL": target.owner_url,
        "HOST": "127.0.0.1",
        "PORT": "0",
        **_LIMITS,
    }
    command = [sys.executable, "-m", "benchmarks.server", str(workers)]
    with subprocess.Popen(command, env=env, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield Server(process.stdout.readline().strip(), psutil.Process(process.pid))
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(30)


def _say(url: str) -> None:
    print(url, flush=True)


if __name__ == "__main__":
    if sys.argv[1:] in ([], ["1"]):
        serve(load(), on_ready=_say)
    else:
        serve_workers(load(), int(sys.argv[1]), on_ready=_say)
