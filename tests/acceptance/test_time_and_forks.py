"""Control of time: forks at many places of a log, and one session with every time control while a client follows it."""

from __future__ import annotations

import asyncio
from itertools import pairwise
from typing import Any

import pytest

from app.domain.trading.settings import TradingSettings
from tests.support.client import SESSIONS, Stream
from tests.support.postgres import Database
from tests.support.running_engine import MINUTE, START_MS
from tests.support.running_server import running_server
from tests.support.scenarios.forks import forked_alike, forked_differently
from tests.support.session_log import open_times

CROSS = {"profileSlug": "sma_cross", "config": {"fast": 3, "slow": 8}}


async def test_forked_at_every_tenth_seq_the_log_up_to_fork_seq_is_the_parent_s_and_unchanged_so_is_the_end_digest(
    database: Database,
) -> None:
    await forked_alike(database, 10, {})


@pytest.mark.parametrize(
    "changes",
    [
        {"profile_slug": "none", "config": {}},
        {"trading": TradingSettings(record="trades")},
        {"symbols": ("BTCUSDT", "ETHUSDT"), "extra_timeframes": ("5m",), "gap_policy": "fill"},
    ],
    ids=["none", "trades", "longer"],
)
async def test_forks_of_other_kinds_of_sessions_end_alike_too(database: Database, changes: dict[str, Any]) -> None:
    await forked_alike(database, 40, changes)


async def test_forked_at_every_tenth_seq_with_changes_it_resumes_and_verifies(database: Database) -> None:
    await forked_differently(database, 10)


def status_or_control(message: dict[str, Any]) -> str | None:
    payload = message.get("payload", {})
    return {"status": payload.get("status"), "control": payload.get("action")}.get(message.get("type", ""))


async def test_a_session_is_slowed_stepped_jumped_ahead_and_forked_while_it_is_watched(database: Database) -> None:
    async with running_server(database, candles=400) as server:
        request = {**CROSS, "endMs": START_MS + 400 * MINUTE, "replayMsPerCandle": 5}
        path = f"{SESSIONS}/{(await server.create(**request))['id']}"

        async def control(**body: Any) -> dict[str, Any]:
            return await server.data("POST", f"{path}/control", body)

        async def watch(stream: Stream) -> list[dict[str, Any]]:
            await stream.rest(60)
            return stream.events

        async with server.stream(path.rpartition("/")[2]) as stream:
            watching = asyncio.create_task(watch(stream))
            await control(action="step", candles=3)
            assert (await server.until(path, "paused"))["cursorMs"] == START_MS + 2 * MINUTE
            await control(action="runUntil", timeMs=START_MS + 20 * MINUTE)
            at = await server.until(path, "paused")
            assert at["cursorMs"] == START_MS + 19 * MINUTE
            await control(action="pace", replayMsPerCandle=60_000)
            await server.data("POST", f"{path}/resume")
            await control(action="jump", timeMs=START_MS + 300 * MINUTE)
            fork = await server.data(
                "POST", f"{path}/fork", {"atSeq": at["lastSeq"], "replayMsPerCandle": 0}, status=201
            )
            await server.data("PATCH", path, {"replayMsPerCandle": 0})
            whole = await server.until(path, "finished")
            seen = await watching
        assert [event["seq"] for event in seen] == list(range(1, whole["lastSeq"] + 1))
        assert all(a["ts"] <= b["ts"] for a, b in pairwise(seen))
        assert open_times(seen) == [START_MS + n * MINUTE for n in range(400)]
        assert [word for word in map(status_or_control, seen) if word] == [
            "running", "step", "paused", "running", "runUntil", "paused", "pace", "running", "jump", "pace", "finished",
        ]  # fmt: skip
        await server.data("POST", f"{SESSIONS}/{fork['id']}/start")
        await server.until(f"{SESSIONS}/{fork['id']}", "finished")
        there = await server.data("GET", f"{path}/diff/{fork['id']}")
        assert (there["same"], there["results"]["equity"]["difference"]) == (True, 0)
        assert set(there["settings"]) <= {"replayMsPerCandle"}
