"""Clients as processes: what docs/clients.md tells to write, run while the server is killed and started again."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.browser.site import Site, store_candles
from tests.clients import npm
from tests.paths import ROOT
from tests.support.postgres import Database
from tests.support.running_engine import MINUTE, START_MS
from tests.support.server_process import QUICK, StartServer

PAGE = (ROOT / "docs" / "clients.md").read_text()
CANDLES = 1000
DOCUMENTED = "http://127.0.0.1:8000"
BEFORE = {
    "python": "import os\nurl = os.environ['URL']\ndef use(event):\n    print(event['seq'], flush=True)\n",
    "js": "const url = process.env.URL;\nconst use = (event) => console.log(event.seq);\n",
    "sh": 'url=$URL\nuse() { printf "%s\\n" "$1" | grep -o \'^{"seq":[0-9]*\' | cut -c 8-; }\n',
}
"""What the page says is the reader's: the address, and a function that uses an event."""


def block(heading: str, language: str) -> str:
    """Return the code under a heading of the page."""
    section = re.split(rf"^(?:#+ )?{re.escape(heading)}$", PAGE, flags=re.MULTILINE)[1]
    results = re.search(rf"^```{language}\n(.*?)^```$", section, re.MULTILINE | re.DOTALL)
    assert results is not None, heading
    return results[1]


@dataclass
class Script:
    """A program in a folder of its own that prints the seq of each event."""

    folder: Path
    url: str

    @contextmanager
    def start(self, language: str, code: str) -> Iterator[subprocess.Popen[str]]:
        """Run code of the page after what it leaves to the reader."""
        name = {"python": "follow.py", "js": "follow.mjs", "sh": "follow.sh"}[language]
        (self.folder / name).write_text(BEFORE[language] + code)
        command = {"python": lambda: sys.executable, "js": npm.node, "sh": lambda: "sh"}[language]()
        with self.run(command, name) as process:
            yield process

    @contextmanager
    def run(self, *command: str) -> Iterator[subprocess.Popen[str]]:
        """Run any command; what of it is left at the end of the block is killed."""
        env = {**os.environ, "URL": self.url, "PYTHONPATH": str(ROOT), "PYTHONWARNINGS": "ignore"}
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "start_new_session": True}
        with subprocess.Popen(command, cwd=self.folder, env=env, text=True, **pipes) as process:
            try:
                yield process
            finally:
                if process.poll() is None:
                    os.killpg(process.pid, signal.SIGKILL)


def seqs(process: subprocess.Popen[str], timeout_s: float = 120) -> list[int]:
    """Wait for a program to end by itself and return the seqs it printed."""
    out, err = process.communicate(timeout=timeout_s)
    assert process.returncode == 0, err
    return [int(line) for line in out.split()]


def candles_only(site: Site, pause_ms: int = 3, candles: int = CANDLES) -> str:
    """Create a session with an event per candle; gives its id."""
    end_ms = START_MS + candles * MINUTE
    return site.create(profileSlug="none", config={}, endMs=end_ms, replayMsPerCandle=pause_ms)


def last_seq(site: Site, session_id: str) -> int:
    return int(site.database.query("SELECT last_seq FROM sim_sessions WHERE id = %s", session_id)[0][0])


def trade_results(site: Site) -> list[float]:
    """Return the result of each trade of the newest session."""
    session_id = site.call("GET", "?limit=1")["sessions"][0]["id"]
    trades = site.call("GET", f"/{session_id}/events?types=trade&limit=10000")["events"]
    return [trade["payload"]["netPnl"] for trade in trades]


def until(fits: Callable[[], object], seconds: float = 60) -> None:
    """Poll until something holds."""
    deadline = time.monotonic() + seconds
    while not fits():
        assert time.monotonic() < deadline, "nothing came of it"
        time.sleep(0.01)


def kill_midway(site: Site, session_id: str, after: int = CANDLES // 3) -> None:
    """Kill the server by SIGKILL once the log is so long, and start it again; the session resumes by itself."""
    until(lambda: last_seq(site, session_id) >= after)
    site.server.kill()
    site.server.start()


def serve(database: Database, start_server: StartServer, **env: object) -> Site:
    """Start a server that takes sessions up again, with candles for them."""
    store_candles(database, CANDLES)
    return Site(start_server(database, **QUICK, ZEON_ON_ORPHAN="resume", **env), database)
