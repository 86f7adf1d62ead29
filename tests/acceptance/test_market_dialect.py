"""The market dialect: candles and statuses of the same core, in three kinds of messages and four words."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from jsonschema import Draft202012Validator

from tests.support.client import Stream, run_unpaced
from tests.support.postgres import Database
from tests.support.running_engine import MINUTE, START_MS, store
from tests.support.running_server import InProcessServer, running_server

MARKET = "/api/market/sessions"
SCHEMA = Draft202012Validator(
    json.loads((Path(__file__).parents[2] / "examples" / "market-stream.schema.json").read_text()),
    format_checker=Draft202012Validator.FORMAT_CHECKER,
)
SYMBOLS = ["BTCUSDT", "ETHUSDT", "SOLUSDT"]


async def create(server: InProcessServer, status: int = 201, **changes: Any) -> dict[str, Any]:
    body = {"symbols": SYMBOLS, "timeframe": "1m", "start": START_MS, "end": START_MS + 100 * MINUTE, "speed": 100}
    response = await server.call("POST", MARKET, body | {"venue": "demo"} | changes)
    assert response.status_code == status, response.text
    return response.json()


async def call(server: InProcessServer, method: str, path: str, status: int = 200) -> dict[str, Any]:
    response = await server.call(method, path)
    assert response.status_code == status, response.text
    return response.json()


@asynccontextmanager
async def market_stream(server: InProcessServer, session_id: str, **headers: str) -> AsyncIterator[Stream]:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    async with server.client.stream("GET", f"{MARKET}/{session_id}/stream", headers=named, timeout=30) as response:
        yield Stream(response, response.aiter_lines())


async def several(server: InProcessServer) -> None:
    for symbol in SYMBOLS[1:]:
        await store(server.served.sim.database, symbol=symbol)


async def test_every_message_of_a_whole_run_has_its_type_and_required_fields(database: Database) -> None:
    async with running_server(database, heartbeat_ms=50) as server:
        await several(server)
        session_id = (await create(server))["sessionId"]
        async with market_stream(server, session_id) as stream:
            assert (await stream.next())["status"] == "CREATED"
            await stream.until(lambda message: message["type"] == "heartbeat")
            assert await call(server, "POST", f"{MARKET}/{session_id}/start") == {"status": "RUNNING"}
            await stream.until(lambda message: message["type"] == "candle")
            await run_unpaced(server, session_id)
            await stream.rest()
    for message in stream.frames:
        SCHEMA.validate(message)
    assert {message["type"] for message in stream.frames} == {"session_status", "candle", "heartbeat"}
    assert set(stream.named) == {"message"}
    candles = [message for message in stream.frames if message["type"] == "candle"]
    assert [message["symbol"] for message in candles] == SYMBOLS * 100
    assert [m["status"] for m in stream.frames if m["type"] == "session_status"] == ["CREATED", "RUNNING", "DONE"]
    assert stream.ids == sorted(set(stream.ids))
    assert len(stream.ids) == 302


async def test_the_cursor_never_goes_back(database: Database) -> None:
    async with running_server(database) as server:
        await several(server)
        session_id = (await create(server))["sessionId"]
        assert (await call(server, "GET", f"{MARKET}/{session_id}"))["cursorMs"] is None
        seen: list[int] = []
        await call(server, "POST", f"{MARKET}/{session_id}/start")
        await run_unpaced(server, session_id)
        while (session := await call(server, "GET", f"{MARKET}/{session_id}"))["status"] != "DONE":
            seen.append(session["cursorMs"] or 0)
            for move in ("stop", "start"):
                await server.call("POST", f"{MARKET}/{session_id}/{move}")
        assert seen == sorted(seen)
        assert session["cursorMs"] == START_MS + 99 * MINUTE


async def test_a_stop_fixes_the_status_and_ends_the_emission(database: Database) -> None:
    async with running_server(database) as server:
        session_id = (await create(server, symbols=["BTCUSDT"]))["sessionId"]
        path = f"{MARKET}/{session_id}"
        assert await call(server, "POST", f"{path}/stop") == {"status": "CREATED"}
        for _ in range(2):
            assert await call(server, "POST", f"{path}/start") == {"status": "RUNNING"}
        async with market_stream(server, session_id) as stream:
            await stream.until(lambda message: message["type"] == "candle")
            assert await call(server, "POST", f"{path}/stop") == {"status": "STOPPED"}
            assert await call(server, "POST", f"{path}/stop") == {"status": "STOPPED"}
            await stream.until(lambda message: message.get("status") == "STOPPED")
            with pytest.raises(TimeoutError):
                await stream.next(timeout_s=1.5)
        assert (await call(server, "GET", path))["status"] == "STOPPED"


async def test_a_start_goes_on_from_the_cursor(database: Database) -> None:
    async with running_server(database) as server:
        session_id = (await create(server, symbols=["BTCUSDT"]))["sessionId"]
        path = f"{MARKET}/{session_id}"
        await call(server, "POST", f"{path}/start")
        async with market_stream(server, session_id) as stream:
            await stream.until(lambda message: message["type"] == "candle")
        await call(server, "POST", f"{path}/stop")
        await run_unpaced(server, session_id)
        assert await call(server, "POST", f"{path}/start") == {"status": "RUNNING"}
        async with market_stream(server, session_id, Last_Event_ID=str(stream.ids[-1])) as again:
            await again.rest()
        opens = [m["candle"]["openTimeMs"] for m in [*stream.frames, *again.frames] if m["type"] == "candle"]
        assert opens == [START_MS + n * MINUTE for n in range(100)]
        assert "id" not in again.frames[0]
        assert (await call(server, "GET", path))["status"] == "DONE"
        assert (await call(server, "POST", f"{path}/start", 409))["error"]
        async with market_stream(server, session_id, Last_Event_ID=str(again.ids[-1])) as over:
            assert over.response.status_code == 204
        behind = await server.call("GET", f"{path}/stream?lastEventId={again.ids[-1]}&fromSeq=1&_=1733000000000")
        assert behind.status_code == 204
        await server.served.sim.note("local", UUID(session_id), {"text": "not a message of this dialect"})
        async with market_stream(server, session_id, Last_Event_ID=str(again.ids[-1])) as over:
            assert over.response.status_code == 204


async def test_a_session_stopped_for_good_does_not_start_again(database: Database) -> None:
    async with running_server(database) as server:
        session_id = (await create(server))["sessionId"]
        await server.data("POST", f"/api/sim/sessions/{session_id}/stop")
        assert (await call(server, "GET", f"{MARKET}/{session_id}"))["status"] == "STOPPED"
        await call(server, "POST", f"{MARKET}/{session_id}/start", 409)


async def test_the_same_session_is_there_in_both_dialects_and_in_sql(database: Database) -> None:
    async with running_server(database) as server:
        session_id = (await create(server, start="2024-01-01T00:00:00Z", end="2024-01-01T01:40:00+00:00"))["sessionId"]
        other = await server.create()
        market = await call(server, "GET", f"{MARKET}/{session_id}")
        assert market == {
            "sessionId": session_id, "mode": "replay", "symbols": SYMBOLS, "timeframe": "1m", "start": START_MS,
            "end": START_MS + 100 * MINUTE, "speed": 100, "status": "CREATED", "cursorMs": None,
            "createdAt": market["createdAt"],
        }  # fmt: skip
        sim = await server.data("GET", f"/api/sim/sessions/{session_id}")
        assert (sim["kind"], sim["speed"], sim["replayMsPerCandle"]) == ("market", 100, None)
        listed = await call(server, "GET", MARKET)
        assert [session["sessionId"] for session in listed["sessions"]] == [session_id]
        await call(server, "GET", f"{MARKET}/{other['id']}", 404)
    row = database.query("SELECT id::text, symbols_json, speed, status, cursor_ms FROM market_sessions")
    assert row == [(session_id, SYMBOLS, 100, "CREATED", None)]


async def test_a_repeated_key_makes_one_session(database: Database) -> None:
    async with running_server(database) as server:
        body = {"symbols": ["BTCUSDT"], "timeframe": "1m", "start": START_MS, "speed": 5, "venue": "demo"}
        answers = await asyncio.gather(
            *(server.call("POST", MARKET, body, headers={"Idempotency-Key": "one"}) for _ in range(10))
        )
        assert sorted({answer.status_code for answer in answers}) == [200, 201]
        assert len({answer.json()["sessionId"] for answer in answers}) == 1


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"speed": 2}, "speed"),
        ({"speed": None}, "speed"),
        ({"speed": True}, "speed"),
        ({"speed": 1.5}, "speed"),
        ({"symbols": []}, "symbols"),
        ({"symbols": ["BTC/USDT", "btc-usdt"]}, "symbols"),
        ({"timeframe": "7m"}, "timeframe"),
        ({"start": "yesterday"}, "start"),
        ({"end": START_MS}, "end"),
        ({"replayMsPerCandle": 5}, "replayMsPerCandle"),
    ],
)
async def test_bad_input_names_the_field(database: Database, changes: dict[str, Any], field: str) -> None:
    async with running_server(database, candles=0) as server:
        answer = await create(server, 400, **changes)
        assert answer["error"].startswith(field)


async def test_gaps_are_listed_at_start(database: Database) -> None:
    async with running_server(database) as server:
        session_id = (await create(server))["sessionId"]
        answer = await call(server, "POST", f"{MARKET}/{session_id}/start", 422)
        assert answer["details"]["missing"] == 200
        assert (await call(server, "GET", f"{MARKET}/{session_id}"))["status"] == "STOPPED"


async def test_a_fork_that_trades_is_a_sim_session(database: Database) -> None:
    async with running_server(database) as server:
        session_id = (await create(server, symbols=["BTCUSDT"]))["sessionId"]
        await run_unpaced(server, session_id)
        await call(server, "POST", f"{MARKET}/{session_id}/start")
        path = f"/api/sim/sessions/{session_id}"
        await server.until(path, "finished")
        fork = await server.data("POST", f"{path}/fork", {"atSeq": 20}, status=201)
        trading = await server.data("POST", f"{path}/fork", {"atSeq": 20, "profileSlug": "sma_cross"}, status=201)
        assert (fork["kind"], trading["kind"]) == ("market", "sim")
        await call(server, "GET", f"{MARKET}/{trading['id']}", 404)
