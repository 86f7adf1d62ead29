"""A server whose pages are tested, and calls to it without the pages."""

from __future__ import annotations

import asyncio
import json
import time
import urllib.request
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from app.db.pool import Database as Pool
from tests.support.postgres import Database
from tests.support.running_engine import MINUTE, START_MS, store
from tests.support.server_process import ServerProcess

CANDLES = 2000
GAP = range(40, 53)
"""Which candles of ETHUSDT are missing."""
HOLES = range(5, 1500, 7)
"""Which candles of SCATTERED are missing: more gaps than one answer lists."""


@dataclass
class Site:
    """A server and its database."""

    server: ServerProcess
    database: Database
    token: str = ""
    root_path: str = ""

    @property
    def url(self) -> str:
        return self.server.url + self.root_path

    def create(self, **changes: Any) -> str:
        """Create a session and return its id."""
        body = {
            "profileSlug": "sma_cross",
            "config": {"fast": 5, "slow": 20, "lines": True},
            "venue": "demo",
            "symbols": ["BTCUSDT"],
            "timeframe": "1m",
            "startMs": START_MS,
            "endMs": START_MS + CANDLES * MINUTE,
            "replayMsPerCandle": 20,
            **changes,
        }
        return str(self.post("", body)["id"])

    def start(self, **changes: Any) -> str:
        """Create a session, start it and return the address of its page."""
        session_id = self.create(**changes)
        self.post(f"/{session_id}/start")
        return f"{self.url}/sessions/{session_id}"

    def finished(self, session_id: str) -> None:
        """Wait until a session is finished."""
        deadline = time.monotonic() + 30
        while self.call("GET", f"/{session_id}")["status"] != "finished":
            assert time.monotonic() < deadline
            time.sleep(0.02)

    def post(self, path: str, body: Any = None) -> Any:
        return self.call("POST", path, body or {})

    def call(self, method: str, path: str, body: Any = None) -> Any:
        url = f"{self.url}/api/sim/sessions{path}"
        data = None if body is None else json.dumps(body).encode()
        headers = {"Content-Type": "application/json", "Authorization": f"Bearer {self.token}"}
        request = urllib.request.Request(url, data, headers, method=method)
        with urllib.request.urlopen(request, timeout=10) as answer:
            return json.load(answer)["data"]

    def write(self, session_id: str, events: Sequence[tuple[str, dict[str, Any]]]) -> None:
        """Insert events into a session's log without the engine, one per minute of simulated time."""
        last = self.database.query("SELECT last_seq FROM sim_sessions WHERE id = %s", session_id)[0][0]
        for seq, (type_, payload) in enumerate(events, last + 1):
            row = (session_id, seq, START_MS + seq * MINUTE, type_, json.dumps(payload))
            self.database.query("INSERT INTO sim_events VALUES (%s, %s, %s, %s, %s) RETURNING seq", *row)
        count = last + len(events)
        self.database.query("UPDATE sim_sessions SET last_seq = %s WHERE id = %s RETURNING 1", count, session_id)


def store_candles(database: Database, count: int = CANDLES) -> None:
    """Store candles in another thread, because Playwright's event loop runs in this one."""

    async def work() -> None:
        pool = Pool(database.url, size=2)
        await pool.open()
        await store(pool, count=count)
        await store(pool, symbol="ETHUSDT", count=CANDLES, without=GAP.__contains__)
        await store(pool, symbol="SCATTERED", count=CANDLES, without=HOLES.__contains__)
        await pool.close()

    with ThreadPoolExecutor(1) as threads:
        threads.submit(asyncio.run, work()).result()
