"""A random walk of control calls on a real server that nothing may come of; shared with the chaos runs."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import httpx2
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test

from tests.support.engine import MINUTE, START_MS, store
from tests.support.outside import QUICK, digest, log, opens, pool
from tests.support.process import Zeon
from tests.support.servers import Database
from tests.support.web import BODY, SESSIONS

MISSING = {5, 6, 70, 71, 400}
ASKED = {
    **BODY,
    "profileSlug": "sma_cross",
    "config": {"fast": 3, "slow": 8},
    "gapPolicy": "skip",
    "extraTimeframes": ["5m"],
    "warmupCandles": 10,
}
MOVES = {
    "created": {"running", "stopped"},
    "running": {"paused", "stopped", "finished"},
    "paused": {"running", "stopped"},
    "finished": set(),
}
"""From which status a walk may come to which."""


class Walk(RuleBasedStateMachine):
    """One session under any order of calls; `server`, `database` and `count` (of slots) are set from outside."""

    server: Zeon
    database: Database
    count: int

    @initialize()
    def create(self) -> None:
        self.http = httpx2.Client(base_url=self.server.url, timeout=30)
        end_ms = START_MS + self.count * MINUTE
        asked = {**ASKED, "endMs": end_ms, "replayMsPerCandle": 50}
        self.id = self.http.post(SESSIONS, json=asked).json()["data"]["id"]
        self.checked = 0

    def call(self, name: str, body: dict[str, Any] | None = None, **headers: str) -> int:
        """Make a call; what the status does not allow is 409, and nothing is a fault of the server."""
        answer = self.http.post(f"{SESSIONS}/{self.id}/{name}", json=body or {}, headers=headers)
        assert answer.status_code in (200, 409), answer.text
        return answer.status_code

    @rule(name=st.sampled_from(["start", "pause", "resume"]))
    def move(self, name: str) -> None:
        self.call(name)

    @rule(candles=st.integers(1, 5), again=st.booleans())
    def step(self, candles: int, again: bool) -> None:
        at = self.http.get(f"{SESSIONS}/{self.id}").json()["data"]["cursorMs"]
        body = {"action": "step", "candles": candles, "ifCursorMs": at}
        key = {"Idempotency-Key": f"{time.monotonic_ns()}"}
        if self.call("control", body, **key) == 200 and again:
            assert self.call("control", body, **key) == 200

    @rule(ahead=st.integers(-5, 10), action=st.sampled_from(["jump", "runUntil"]))
    def travel(self, ahead: int, action: str) -> None:
        at = self.http.get(f"{SESSIONS}/{self.id}").json()["data"]["cursorMs"] or START_MS
        self.call("control", {"action": action, "timeMs": at + ahead * MINUTE})

    @rule(type_=st.sampled_from(["signal", "gap", "trade", "equity"]))
    def run_until(self, type_: str) -> None:
        self.call("control", {"action": "runUntil", "eventType": type_})

    @rule(pace=st.sampled_from([{"replayMsPerCandle": 30}, {"replayMsPerCandle": 200}, {"speed": 200}]))
    def pace(self, pace: dict[str, int]) -> None:
        self.call("control", {"action": "pace", **pace})

    @rule(ms=st.integers(0, 40))
    def let_it_run(self, ms: int) -> None:
        time.sleep(ms / 1000)

    @invariant()
    def sound(self) -> None:
        if not hasattr(self, "id"):
            return
        self.checked += 1
        events = log(self.database, self.id)
        found = opens(events)
        assert found == [ms for ms in self.expected() if not found or ms <= found[-1]][: len(found)]
        statuses = ["created", *(e["payload"]["status"] for e in events if e["type"] == "status")]
        assert all(b in MOVES[a] for a, b in pairwise(statuses)), statuses

    def expected(self) -> list[int]:
        return [START_MS + n * MINUTE for n in range(self.count) if n not in MISSING]

    def teardown(self) -> None:
        if not hasattr(self, "id"):
            return
        self.call("pause")
        self.call("control", {"action": "pace", "replayMsPerCandle": 0})
        self.call("resume")
        self.call("start")
        path, deadline = f"{SESSIONS}/{self.id}", time.monotonic() + 60
        while (session := self.http.get(path).json()["data"])["status"] != "finished":
            assert time.monotonic() < deadline, session
            time.sleep(0.02)
        assert opens(log(self.database, self.id)) == self.expected()
        self.http.close()


def walked(database: Database, zeon: Callable[..., Zeon], steps: int) -> None:
    """Walk so many steps; the digest must be that of a session nobody touched."""
    count = max(200, 4 * steps)

    async def fill() -> None:
        async with pool(database) as side:
            await store(side, start_ms=START_MS - 20 * MINUTE, count=20)
            await store(side, count=count, without=MISSING.__contains__)

    asyncio.run(fill())
    walks: list[Walk] = []

    def walk() -> Walk:
        made = Walk()
        made.server, made.database, made.count = server, database, count
        walks.append(made)
        return made

    server = zeon(database, **QUICK)
    once = settings(
        max_examples=1,
        stateful_step_count=steps,
        deadline=None,
        database=None,
        suppress_health_check=list(HealthCheck),
    )
    run_state_machine_as_test(walk, settings=once)
    undisturbed = Walk()
    undisturbed.server, undisturbed.database, undisturbed.count = server, database, count
    undisturbed.create()
    undisturbed.teardown()
    assert sum(one.checked for one in walks) >= steps
    digests = {digest(database, one.id) for one in (*walks, undisturbed)}
    assert len(digests) == 1
