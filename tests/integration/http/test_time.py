"""Time control and forks over HTTP: answers and errors."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from tests.integration.http.test_auth import bearer
from tests.support.client import BODY, SESSIONS
from tests.support.postgres import Database
from tests.support.running_engine import MINUTE, START_MS
from tests.support.running_server import InProcessServer, running_server
from tests.support.server_process import until
from tests.support.session_log import row

CROSS = {"profileSlug": "sma_cross", "config": {"fast": 3, "slow": 8}}


async def new(server: InProcessServer, **changes: Any) -> str:
    """Create a session and return the path of its calls."""
    return f"{SESSIONS}/{(await server.create(**changes))['id']}"


async def test_a_step_is_done_once_under_its_key_and_only_from_the_cursor_it_names(database: Database) -> None:
    async with running_server(database) as server:
        path, key = await new(server), {"Idempotency-Key": "k"}
        body = {"action": "step", "candles": 3, "ifCursorMs": None}
        answers = await asyncio.gather(*(server.data("POST", f"{path}/control", body, headers=key) for _ in range(4)))
        assert [answer["status"] for answer in answers] == ["running"] * 4
        at = (await server.until(path, "paused"))["cursorMs"]
        assert at == START_MS + 2 * MINUTE
        assert await server.data("POST", f"{path}/control", body, headers=key) == answers[0]
        assert (await server.data("GET", path))["cursorMs"] == at
        moved = await server.refused(
            409, "POST", f"{path}/control", {"action": "step", "candles": 1, "ifCursorMs": START_MS}
        )
        assert moved["code"] == "cursor_moved"
        further = {"action": "runUntil", "timeMs": START_MS + 10 * MINUTE, "ifCursorMs": at}
        assert (await server.data("POST", f"{path}/control", further))["status"] == "running"
        assert (await server.until(path, "paused"))["cursorMs"] == START_MS + 9 * MINUTE
        jump = {"action": "jump", "timeMs": START_MS + 50 * MINUTE}
        await server.data("POST", f"{path}/control", {"action": "pace", "replayMsPerCandle": 60_000})
        await server.data("POST", f"{path}/resume")
        await server.data("POST", f"{path}/control", jump)
        await until(lambda: row(database, path[-36:], "cursor_ms") == START_MS + 49 * MINUTE)
        await server.refused(409, "POST", f"{path}/control", {"action": "step", "candles": 1})


async def test_a_paused_session_jumps_without_its_pace_and_pauses_there(database: Database) -> None:
    async with running_server(database) as server:
        path = await new(server)
        jump = {"action": "jump", "timeMs": START_MS + 30 * MINUTE}
        await server.refused(409, "POST", f"{path}/control", jump)
        await server.data("POST", f"{path}/control", {"action": "pace", "replayMsPerCandle": 60_000})
        await server.data("POST", f"{path}/control", {"action": "step", "candles": 1, "wait": True})
        assert (await server.data("POST", f"{path}/control", jump))["status"] == "running"
        assert (await server.until(path, "paused"))["cursorMs"] == START_MS + 29 * MINUTE
        for time_ms in (jump["timeMs"], START_MS + 100 * MINUTE):
            refused = await server.refused(409, "POST", f"{path}/control", {**jump, "timeMs": time_ms})
            assert str(time_ms) in refused["error"]
        controls = (await server.data("GET", f"{path}/events?types=control"))["events"]
        assert [event["payload"]["action"] for event in controls] == ["pace", "step", "jump"]


async def test_revised_candles_can_be_accepted_by_control_as_by_resume(database: Database) -> None:
    async with running_server(database) as server:
        path = await new(server)
        await server.data("POST", f"{path}/control", {"action": "step", "candles": 10})
        await server.until(path, "paused")
        database.query("UPDATE market_candles SET volume = volume + 1 WHERE open_time_ms = %s", START_MS + 3 * MINUTE)
        refused = await server.refused(409, "POST", f"{path}/control", {"action": "resume"})
        assert refused["code"] == "candles_changed"
        await server.refused(400, "POST", f"{path}/control", {"action": "pause", "acceptRevised": True})
        await server.data("POST", f"{path}/control", {"action": "resume", "acceptRevised": True})
        await server.until(path, "finished")


async def test_a_step_that_begins_over_gaps_is_422_and_its_key_stays_free(database: Database) -> None:
    async with running_server(database) as server:
        path, key = await new(server, endMs=START_MS + 101 * MINUTE), {"Idempotency-Key": "k"}
        answer = await server.refused(422, "POST", f"{path}/control", {"action": "step", "candles": 1}, headers=key)
        assert (answer["code"], answer["details"]["missing"]) == ("gaps", 1)
        assert (await server.data("GET", path))["status"] == "failed"
        other = await new(server)
        again = await server.data("POST", f"{other}/control", {"action": "step", "candles": 2}, headers=key)
        assert again["status"] == "running"


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"action": "step"}, "candles"),
        ({"action": "step", "candles": 0}, "candles"),
        ({"action": "step", "candles": True}, "candles"),
        ({"action": "step", "candles": 1, "timeMs": 1}, "timeMs"),
        ({"action": "step", "candles": 1, "ifCursorMs": -1}, "ifCursorMs"),
        ({"action": "runUntil"}, "eventType"),
        ({"action": "runUntil", "timeMs": 1, "eventType": "gap"}, "eventType"),
        ({"action": "runUntil", "eventType": "nonsense"}, "eventType"),
        ({"action": "jump"}, "timeMs"),
        ({"action": "jump", "timeMs": "1"}, "timeMs"),
        ({"action": "pace"}, "replayMsPerCandle"),
        ({"action": "leap"}, "action"),
        ({"action": "jump", "timeMs": 1, "toMs": 2}, "toMs"),
    ],
)
async def test_a_wrong_control_names_its_field(database: Database, body: dict[str, Any], field: str) -> None:
    async with running_server(database, candles=0) as server:
        path = await new(server)
        assert field in (await server.refused(400, "POST", f"{path}/control", body))["error"]


async def test_a_fork_is_created_shown_compared_and_run(database: Database) -> None:
    async with running_server(database) as server:
        whole = await server.finished(**CROSS)
        path = f"{SESSIONS}/{whole['id']}"
        changes = {"config": {"fast": 2, "slow": 5}, "leverage": None, "makerFeeBps": 1, "name": "other"}
        response = await server.call("POST", f"{path}/fork", {"atSeq": 100, **changes})
        fork = response.json()["data"]
        assert (response.status_code, response.headers["Location"]) == (201, f"{SESSIONS}/{fork['id']}")
        same = ("venue", "symbols", "timeframe", "startMs", "endMs", "profileSlug", "replayMsPerCandle")
        assert {name: fork[name] for name in same} == {name: whole[name] for name in same}
        assert {name: fork[name] for name in changes} == changes
        assert (fork["parentId"], fork["status"], fork["takerFeeBps"]) == (whole["id"], "created", 10)
        assert fork["forkSeq"] >= 100
        there = await server.data("GET", f"{path}/diff/{fork['id']}")
        assert (there["same"], there["b"]["seq"]) == (False, None)
        await server.data("POST", f"{SESSIONS}/{fork['id']}/start")
        await server.until(f"{SESSIONS}/{fork['id']}", "finished")
        there = await server.data("GET", f"{path}/diff/{fork['id']}")
        assert there["b"]["seq"] > fork["forkSeq"]
        assert there["a"]["event"] != there["b"]["event"]
        assert there["settings"] == {
            "config.fast": {"a": 3, "b": 2},
            "config.slow": {"a": 8, "b": 5},
            "leverage": {"a": 1, "b": None},
            "makerFeeBps": {"a": 10, "b": 1},
        }
        stats = [await server.data("GET", f"{SESSIONS}/{session['id']}/stats") for session in (whole, fork)]
        for name in ("equity", "returnPct", "trades", "fees", "maxDrawdownPct", "sqn", "winRatePct"):
            assert [there["results"][name][side] for side in "ab"] == [stat[name] for stat in stats], name
        trades = there["results"]["trades"]
        assert trades["difference"] == trades["b"] - trades["a"] != 0
        same = await server.data("GET", f"{path}/diff/{whole['id']}")
        assert (same["same"], same["settings"], same["results"]["equity"]["difference"]) == (True, {}, 0)


async def test_a_wrong_fork_names_its_field(database: Database) -> None:
    async with running_server(database) as server:
        path = f"{SESSIONS}/{(await server.finished(**CROSS))['id']}"
        refused: list[tuple[dict[str, Any], str]] = [
            ({}, "atSeq"),
            ({"atSeq": -1}, "atSeq"),
            ({"atSeq": 10**6}, "atSeq"),
            ({"atSeq": 1, "symbol": "ETHUSDT"}, "symbol"),
            ({"atSeq": 1, "record": "trades"}, "record"),
            ({"atSeq": 1, "profileSlug": "nobody"}, "profileSlug"),
            ({"atSeq": 1, "config": {"fats": 1}}, "config.fats"),
            ({"atSeq": 1, "config": {"fast": "x" * 17_000}}, "config: 17011 bytes"),
            ({"atSeq": 1, "feeBps": -1}, "feeBps"),
            ({"atSeq": 1, "feeBps": 1, "makerFeeBps": 1}, "feeBps"),
            ({"atSeq": 1, "sizing": {"qty": 1, "cash": 1}}, "sizing"),
            ({"atSeq": 1, "speed": 1, "replayMsPerCandle": 1}, "speed"),
        ]
        for body, field in refused:
            status = 422 if field == "profileSlug" else 400
            assert (await server.refused(status, "POST", f"{path}/fork", body))["error"].startswith(field), body


async def test_nobody_forks_or_compares_the_sessions_of_others(database: Database) -> None:
    async with running_server(database, auth="token") as server:
        anna, berta = await bearer(server, "anna"), await bearer(server, "berta")
        hers = (await server.data("POST", SESSIONS, BODY, status=201, headers=anna))["id"]
        own = (await server.data("POST", SESSIONS, BODY, status=201, headers=berta))["id"]
        await server.refused(404, "POST", f"{SESSIONS}/{hers}/fork", {"atSeq": 0}, headers=berta)
        for a, b in ((hers, own), (own, hers)):
            await server.refused(404, "GET", f"{SESSIONS}/{a}/diff/{b}", headers=berta)
        assert (await server.data("POST", f"{SESSIONS}/{own}/fork", {"atSeq": 0}, status=201, headers=berta))[
            "forkSeq"
        ] == 0
