"""A random walk of control calls on a real server that nothing may come of; shared with the chaos runs."""

from __future__ import annotations

import asyncio
import time
from itertools import pairwise
from typing import Any

import httpx2
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test

from tests.support.client import BODY, SESSIONS
from tests.support.postgres import Database, open_pool
from tests.support.running_engine import MINUTE, START_MS, store
from tests.support.server_process import QUICK, ServerProcess, StartServer
from tests.support.session_log import digest, open_times, read_log

MISSING = {5, 6, 70, 71, 400}
REQUEST = {
    **BODY,
    "profileSlug": "sma_cross",
    "config": {"fast": 3, "slow": 8},
    "gapPolicy": "skip",
    "extraTimeframes": ["5m"],
    "warmupCandles": 10,
}
TRANSITIONS = {
    "created": {"running", "stopped"},
    "running": {"paused", "stopped", "finished"},
    "paused": {"running", "stopped"},
    "finished": set(),
}
"""From which status a walk may come to which."""


ACTIONS = ("wait", "start", "pause", "resume", "pace", "step", "jump", "runUntil", "runUntil an event")
PACES = ({"replayMsPerCandle": 30}, {"replayMsPerCandle": 200}, {"speed": 200})
TYPES = ("signal", "gap", "trade", "equity")


class Walk(RuleBasedStateMachine):
    """One session under any order of calls; `server`, `database` and `count` (of slots) are set from outside."""

    server: ServerProcess
    database: Database
    count: int

    @initialize()
    def create(self) -> None:
        self.http = httpx2.Client(base_url=self.server.url, timeout=30)
        end_ms = START_MS + self.count * MINUTE
        request = {**REQUEST, "endMs": end_ms, "replayMsPerCandle": 50}
        self.id = self.http.post(SESSIONS, json=request).json()["data"]["id"]
        self.checked = 0
        self.called: set[tuple[str, str | None]] = set()

    def call(self, name: str, body: dict[str, Any] | None = None, **headers: str) -> int:
        """Make a call; what the status does not allow is 409, and nothing is a fault of the server."""
        self.called.add((name, (body or {}).get("action")))
        answer = self.http.post(f"{SESSIONS}/{self.id}/{name}", json=body or {}, headers=headers)
        assert answer.status_code in (200, 409), answer.text
        return answer.status_code

    @rule(action=st.sampled_from(ACTIONS), size=st.integers(0, 9))
    def act(self, action: str, size: int) -> None:
        """Do one thing; all are one rule, or Hypothesis would leave most of them out of a walk."""
        if action == "wait":
            time.sleep(size / 200)
        elif action in ("start", "pause", "resume"):
            self.call(action)
        elif action == "pace":
            self.call("control", {"action": action, **PACES[size % len(PACES)]})
        elif action == "runUntil an event":
            self.call("control", {"action": "runUntil", "eventType": TYPES[size % len(TYPES)]})
        elif action == "step":
            self.step(1 + size)
        else:
            self.call("control", {"action": action, "timeMs": (self.cursor_ms() or START_MS) + (size - 3) * MINUTE})

    def step(self, candles: int) -> None:
        """Step, and say it twice under one key."""
        body = {"action": "step", "candles": candles, "ifCursorMs": self.cursor_ms()}
        key = {"Idempotency-Key": f"{time.monotonic_ns()}"}
        if self.call("control", body, **key) == 200:
            assert self.call("control", body, **key) == 200

    def cursor_ms(self) -> int | None:
        cursor_ms: int | None = self.http.get(f"{SESSIONS}/{self.id}").json()["data"]["cursorMs"]
        return cursor_ms

    @invariant()
    def sound(self) -> None:
        if not hasattr(self, "id"):
            return
        self.checked += 1
        events = read_log(self.database, self.id)
        results = open_times(events)
        assert results == [ms for ms in self.expected() if not results or ms <= results[-1]][: len(results)]
        statuses = ["created", *(e["payload"]["status"] for e in events if e["type"] == "status")]
        assert all(b in TRANSITIONS[a] for a, b in pairwise(statuses)), statuses

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
        assert open_times(read_log(self.database, self.id)) == self.expected()
        self.http.close()


def make_random_calls(database: Database, start_server: StartServer, steps: int) -> None:
    """Walk so many steps, five times: the first walk is Hypothesis's simplest one, which only waits.

    The digests must be that of a session nobody touched.
    """
    count = max(200, 4 * steps)

    async def fill() -> None:
        async with open_pool(database) as side:
            await store(side, start_ms=START_MS - 20 * MINUTE, count=20)
            await store(side, count=count, without=MISSING.__contains__)

    asyncio.run(fill())
    walks: list[Walk] = []

    def walk() -> Walk:
        walk = Walk()
        walk.server, walk.database, walk.count = server, database, count
        walks.append(walk)
        return walk

    server = start_server(database, **QUICK)
    once = settings(
        max_examples=5,
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
    assert sum(walk.checked for walk in walks) >= steps
    assert len(set[Any]().union(*(walk.called for walk in walks))) >= 6
    digests = {digest(database, walk.id) for walk in (*walks, undisturbed)}
    assert len(digests) == 1
