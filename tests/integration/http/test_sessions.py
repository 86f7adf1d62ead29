"""The sim dialect: sessions created, listed, changed, moved and deleted over HTTP."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from typing import Any
from uuid import UUID

import pytest

from app.db import sessions
from app.db.pool import Connection
from app.domain.session import Session
from app.errors import SimError
from tests.support.client import BODY, SESSIONS
from tests.support.postgres import Database
from tests.support.running_engine import MINUTE, START_MS, store
from tests.support.running_server import InProcessServer, running_server

WRONG = [
    ({"symbol": "BTC USDT!"}, "symbol"),
    ({"symbols": ["ETHUSDT"]}, "symbol"),
    ({"symbol": None}, "symbol"),
    ({"symbol": None, "symbols": []}, "symbols"),
    ({"symbol": None, "symbols": ["BTCUSDT", "btc/usdt"]}, "symbols"),
    ({"symbol": None, "symbols": [f"S{n}" for n in range(51)]}, "symbols"),
    ({"symbol": None, "symbols": ["OK", 5]}, "symbols.1"),
    ({"timeframe": "7m"}, "timeframe"),
    ({"startMs": None}, "startMs"),
    ({"startMs": 1.5}, "startMs"),
    ({"startMs": "1"}, "startMs"),
    ({"startMs": True}, "startMs"),
    ({"startMs": -1}, "startMs"),
    ({"startMs": 2**62}, "startMs"),
    ({"endMs": START_MS}, "endMs"),
    ({"endMs": 8_640_000_000_000_000}, "endMs"),
    ({"replayMsPerCandle": -1}, "replayMsPerCandle"),
    ({"replayMsPerCandle": 2**62}, "replayMsPerCandle"),
    ({"speed": 1}, "speed"),
    ({"replayMsPerCandle": None, "speed": 0}, "speed"),
    ({"replayMsPerCandle": None, "speed": 201}, "speed"),
    ({"gapPolicy": "ignore"}, "gapPolicy"),
    ({"gapGraceMs": -1}, "gapGraceMs"),
    ({"lagMs": -1}, "lagMs"),
    ({"mode": "live"}, "mode"),
    ({"venue": "no such venue"}, "venue"),
    ({"tags": "a"}, "tags"),
    ({"tags": [""]}, "tags.0"),
    ({"name": "x" * 201}, "name"),
    ({"name": "a\0b"}, "name"),
    ({"config": []}, "config"),
    ({"config": {"a": "x" * 17_000}}, "config"),
    ({"config": {"a": {"b": "\0"}}}, "config.a.b"),
    ({"idempotencyKey": ""}, "idempotencyKey"),
    ({"start_ms": 1}, "start_ms"),
    ({"warmupCandles": -5}, "warmupCandles"),
    ({"initialCash": 0}, "initialCash"),
    ({"initialCash": "1"}, "initialCash"),
    ({"feeBps": 1, "makerFeeBps": 1}, "feeBps"),
    ({"takerFeeBps": -1}, "takerFeeBps"),
    ({"leverage": 0}, "leverage"),
    ({"fill": "now"}, "fill"),
    ({"sizing": {}}, "sizing"),
    ({"sizing": {"qty": 1, "cash": 1}}, "sizing"),
    ({"sizing": {"qty": 0}}, "sizing.qty"),
    ({"volumeShare": 2}, "volumeShare"),
    ({"record": "some"}, "record"),
    ({"exchange": "binance"}, "exchange"),
    ({"venue": None, "exchange": "no such venue"}, "exchange"),
    ({"config": {}, "configOverride": {}}, "configOverride"),
    ({"configOverride": []}, "configOverride"),
    ({"configOverride": {"a": "x" * 17_000}}, "config"),
    ({"profileSlug": "sma_cross", "config": {"fats": 3}}, "config.fats"),
    ({"profileSlug": "sma_cross", "config": {"fast": 0}}, "config.fast"),
]


async def test_a_profile_that_no_living_server_knows_is_named_with_the_servers(database: Database) -> None:
    async with running_server(database, venue="demo", runner="alone") as server:
        refused = await server.refused(422, "POST", SESSIONS, BODY | {"profileSlug": "sma_cros"})
        assert refused["code"] == "profile_unknown"
        assert refused["details"] == {"profiles": ["sma_cros"], "servers": ["alone"]}
        assert "did you mean sma_cross" in refused["error"]


async def test_a_created_session_is_answered_with_its_defaults(database: Database) -> None:
    async with running_server(database, venue="demo") as server:
        body = {"profileSlug": "none", "symbol": "btc/usdt", "timeframe": "15m", "startMs": START_MS}
        response = await server.call("POST", SESSIONS, body)
        session = response.json()["data"]
        assert response.status_code == 201
        assert response.headers["location"] == f"{SESSIONS}/{session['id']}"
        assert session == await server.data("GET", f"{SESSIONS}/{session['id']}")
    generated = {name: session.pop(name) for name in ("id", "streamUrl", "createdAt", "updatedAt")}
    assert generated["streamUrl"] == f"{SESSIONS}/{generated['id']}/stream"
    assert generated["createdAt"].endswith("Z")
    assert session == {
        "userId": "local",
        "kind": "sim",
        "name": None,
        "tags": [],
        "profileSlug": "none",
        "config": {},
        "venue": "demo",
        "symbol": "BTCUSDT",
        "symbols": ["BTCUSDT"],
        "timeframe": "15m",
        "extraTimeframes": [],
        "startMs": START_MS,
        "endMs": None,
        "lagMs": 900_000,
        "warmupCandles": 0,
        "initialCash": 10_000,
        "feeBps": 10,
        "makerFeeBps": 10,
        "takerFeeBps": 10,
        "slippageBps": 0,
        "leverage": 1,
        "fill": "next_open",
        "limitFill": "through",
        "sizing": {"equityPct": 100},
        "volumeShare": None,
        "record": "full",
        "rules": 2,
        "entryCandleProfit": "never",
        "fundingBps": 0,
        "borrowBpsPerDay": 0,
        "maintenanceMarginPct": None,
        "daysPerYear": 365,
        "strategyHash": None,
        "candlesHash": None,
        "digest": None,
        "parentId": None,
        "forkSeq": None,
        "replayMsPerCandle": 15_000,
        "speed": None,
        "gapPolicy": "skip",
        "gapGraceMs": 900_000,
        "mode": "replay",
        "status": "created",
        "cursorMs": None,
        "lastSeq": 0,
        "error": None,
        "errorDetails": None,
        "idempotencyKey": None,
        "progress": None,
    }


async def test_every_setting_of_a_request_is_stored(database: Database) -> None:
    settings = {
        "symbol": None,
        "symbols": ["eth-usdt", "BTC_USDT"],
        "replayMsPerCandle": None,
        "speed": 200,
        "gapPolicy": "fill",
        "gapGraceMs": 0,
        "lagMs": 0,
        "name": "täglich \U0001f40b",
        "tags": ["a", "b"],
        "profileSlug": "sma_cross",
        "config": {"fast": 3, "slow": 8},
        "warmupCandles": 7,
        "initialCash": 12_345.678,
        "makerFeeBps": 1.5,
        "takerFeeBps": 7,
        "slippageBps": 0.25,
        "leverage": None,
        "fill": "same_close",
        "limitFill": "touch",
        "sizing": {"qty": 0.1},
        "volumeShare": 0.5,
        "record": "trades",
    }
    async with running_server(database) as server:
        session = await server.create(**settings)
    assert {name: session[name] for name in settings} == {**settings, "symbols": ["ETHUSDT", "BTCUSDT"]}
    assert session["progress"] == {"done": 0, "total": 100, "pct": 0.0}
    assert session["gapPolicy"] == "fill"


async def test_a_wrong_field_is_refused_by_the_name_the_client_used(database: Database) -> None:
    async with running_server(database, candles=0) as server:
        for changes, field in WRONG:
            answer = await server.refused(400, "POST", SESSIONS, {**BODY, **changes})
            assert answer["error"].startswith(f"{field}: "), changes


async def test_a_missing_field_is_named(database: Database) -> None:
    async with running_server(database, candles=0) as server:
        for field in ("profileSlug", "timeframe", "startMs"):
            body = {name: value for name, value in BODY.items() if name != field}
            assert (await server.refused(400, "POST", SESSIONS, body))["error"] == f"{field}: is required"


async def test_the_same_key_and_body_make_one_session(database: Database) -> None:
    async with running_server(database, candles=0) as server:
        key = {"Idempotency-Key": "k-1"}
        first, *others = await asyncio.gather(*(server.call("POST", SESSIONS, BODY, headers=key) for _ in range(20)))
        statuses = sorted(response.status_code for response in (first, *others))
        assert statuses == [200] * 19 + [201]
        assert {response.json()["data"]["id"] for response in (first, *others)} == {first.json()["data"]["id"]}
        again = await server.data("POST", SESSIONS, {**BODY, "idempotencyKey": "k-1"})
        assert again["id"] == first.json()["data"]["id"]
        assert again["idempotencyKey"] == "k-1"
        refused = await server.refused(422, "POST", SESSIONS, {**BODY, "timeframe": "3m"}, headers=key)
        assert refused["code"] == "idempotency_key_reused"
        await server.refused(400, "POST", SESSIONS, {**BODY, "idempotencyKey": "k-2"}, headers=key)
        await server.refused(400, "POST", SESSIONS, BODY, headers={"Idempotency-Key": "x" * 201})


async def test_sessions_are_listed_newest_first_in_pages(database: Database) -> None:
    async with running_server(database, candles=0) as server:
        ids = [(await server.create(name=str(n), tags=["even"] if n % 2 == 0 else []))["id"] for n in range(7)]
        await server.data("POST", f"{SESSIONS}/{ids[3]}/stop")
        seen, cursor = [], ""
        while cursor is not None:
            page = await server.data("GET", f"{SESSIONS}?limit=3" + (f"&cursor={cursor}" if cursor else ""))
            seen += [session["id"] for session in page["sessions"]]
            cursor = page["nextCursor"]
        assert seen == ids[::-1]
        tagged = await server.data("GET", f"{SESSIONS}?tag=even")
        assert [session["id"] for session in tagged["sessions"]] == [ids[n] for n in (6, 4, 2, 0)]
        stopped = await server.data("GET", f"{SESSIONS}?status=stopped")
        assert [session["id"] for session in stopped["sessions"]] == [ids[3]]


async def test_a_list_refuses_wrong_parameters(database: Database) -> None:
    questions = [
        "limit=0",
        "limit=201",
        "limit=x",
        "status=done",
        "cursor=!!",
        "cursor=%C3%BC",
        "cursor=AAAA",
        "tag=%00",
        "what=1",
        "limit=1&limit=2",
    ]
    async with running_server(database, candles=0) as server:
        for query in questions:
            await server.refused(400, "GET", f"{SESSIONS}?{query}")


async def test_pace_name_and_tags_can_be_changed(database: Database) -> None:
    async with running_server(database) as server:
        session = await server.create(replayMsPerCandle=60_000)
        path = f"{SESSIONS}/{session['id']}"
        changed = await server.data("PATCH", path, {"speed": 10, "name": "n", "tags": ["t"]})
        assert (changed["speed"], changed["replayMsPerCandle"]) == (10, None)
        assert (changed["name"], changed["tags"]) == ("n", ["t"])
        assert (await server.data("PATCH", path, {"name": None}))["name"] is None
        await server.data("POST", f"{path}/start")
        assert (await server.data("PATCH", path, {"replayMsPerCandle": 0}))["replayMsPerCandle"] == 0
        await server.until(path, "finished")
        await server.refused(409, "PATCH", path, {"speed": 1})
        await server.data("PATCH", path, {"name": "still"})
        await server.refused(400, "PATCH", path, {"speed": 1, "replayMsPerCandle": 1})
        await server.refused(400, "PATCH", path, {"status": "paused"})
        await server.refused(400, "PATCH", path, {"tags": None})


async def test_start_pause_and_stop_answer_with_the_session_and_do_nothing_twice(database: Database) -> None:
    async with running_server(database) as server:
        path = f"{SESSIONS}/{(await server.create(replayMsPerCandle=60_000))['id']}"
        for call, status in [("start", "running"), ("pause", "paused"), ("resume", "running"), ("stop", "stopped")]:
            first = await server.data("POST", f"{path}/{call}")
            assert first["status"] == status
            again = await server.data("POST", f"{path}/{call}", {})
            assert again["status"] == status
            assert again["lastSeq"] - first["lastSeq"] in ((0, 1) if status == "running" else (0,))
        for call in ("start", "pause", "resume"):
            assert "stopped" in (await server.refused(409, "POST", f"{path}/{call}"))["error"]


@pytest.mark.parametrize(("call", "body"), [("resume", None), ("control", {"action": "resume"})])
async def test_resume_of_a_created_session_starts_it(
    database: Database, call: str, body: dict[str, str] | None
) -> None:
    async with running_server(database) as server:
        path = f"{SESSIONS}/{(await server.create())['id']}"
        assert (await server.data("POST", f"{path}/{call}", body))["status"] == "running"
        await server.until(path, "finished")
        events = (await server.data("GET", f"{path}/events?types=status"))["events"]
        assert [event["payload"]["reason"] for event in events] == ["started", "end of range"]


@pytest.mark.parametrize(("call", "body"), [("resume", None), ("control", {"action": "resume"})])
async def test_resume_of_a_created_session_brings_in_its_candles_first(
    database: Database, call: str, body: dict[str, str] | None
) -> None:
    async with running_server(database) as server:
        built = f"{SESSIONS}/{(await server.create(timeframe='5m'))['id']}"
        assert (await server.data("POST", f"{built}/{call}", body))["status"] == "running"
        assert (await server.until(built, "finished"))["cursorMs"] == START_MS + 95 * MINUTE
        path = f"{SESSIONS}/{(await server.create(endMs=START_MS + 103 * MINUTE))['id']}"
        answer = await server.refused(422, "POST", f"{path}/{call}", body)
        assert (answer["code"], answer["details"]["missing"]) == ("gaps", 3)
        assert (await server.data("GET", path))["status"] == "failed"


async def test_a_session_is_created_by_the_second_names_of_its_fields(database: Database) -> None:
    async with running_server(database) as server:
        body = {name: value for name, value in BODY.items() if name != "venue"} | {"profileSlug": "sma_cross"}
        config = {"fast": 3, "slow": 8}
        old = await server.data("POST", SESSIONS, body | {"exchange": "Demo", "configOverride": config}, status=201)
        new = await server.data("POST", SESSIONS, body | {"venue": "demo", "config": config}, status=201)
        for name in ("venue", "config"):
            assert old[name] == new[name]
        assert {"exchange", "configOverride"}.isdisjoint(old)
        both = await server.refused(400, "POST", SESSIONS, body | {"venue": "demo", "exchange": "demo"})
        assert both["error"] == "exchange: is a second name of venue; give one of them"
        null = body | {"venue": "demo", "exchange": None, "config": config, "configOverride": None}
        assert (await server.data("POST", SESSIONS, null, status=201))["config"] == new["config"]
        fields = (await server.call("GET", "/openapi.json")).json()["components"]["schemas"]["NewSession"]["properties"]
        assert [name for name, schema in fields.items() if schema.get("deprecated")] == ["configOverride", "exchange"]


async def test_control_actions_do_the_same_as_the_calls_of_their_own(database: Database) -> None:
    async with running_server(database) as server:
        path = f"{SESSIONS}/{(await server.create(replayMsPerCandle=60_000))['id']}"
        await server.refused(409, "POST", f"{path}/control", {"action": "pause"})
        await server.data("POST", f"{path}/start")
        paused = await server.data("POST", f"{path}/control", {"action": "pause"})
        assert paused["status"] == "paused"
        paced = await server.data("POST", f"{path}/control", {"action": "pace", "speed": 7})
        assert (paced["speed"], paced["replayMsPerCandle"]) == (7, None)
        assert (await server.data("POST", f"{path}/control", {"action": "resume"}))["status"] == "running"
        assert (await server.data("POST", f"{path}/control", {"action": "stop"}))["status"] == "stopped"
        for body in (
            {},
            {"action": "fly"},
            {"action": "pause", "speed": 1},
            {"action": "pace"},
            {"action": "pace", "speed": 1, "replayMsPerCandle": 1},
            {"action": "pace", "args": {"speed": 1}},
        ):
            await server.refused(400, "POST", f"{path}/control", body)


async def test_a_control_under_a_key_is_done_once(database: Database) -> None:
    async with running_server(database) as server:
        path = f"{SESSIONS}/{(await server.create(replayMsPerCandle=60_000))['id']}"
        key = {"Idempotency-Key": "faster"}
        body = {"action": "pace", "speed": 3}
        answers = await asyncio.gather(*(server.data("POST", f"{path}/control", body, headers=key) for _ in range(5)))
        assert all(answer == answers[0] for answer in answers)
        assert (await server.data("GET", path))["lastSeq"] == 1
        await server.refused(422, "POST", f"{path}/control", {"action": "pace", "speed": 4}, headers=key)


async def test_missing_candles_are_listed(database: Database) -> None:
    async with running_server(database, candles=0) as server:
        await store(server.served.sim.database, count=100, without=lambda n: n in (3, 4, 50))
        path = f"{SESSIONS}/{(await server.create())['id']}"
        answer = await server.refused(422, "POST", f"{path}/start")
        assert answer["code"] == "gaps"
        assert answer["details"]["missing"] == 3
        assert answer["details"]["gaps"][0] == {
            "symbol": "BTCUSDT",
            "timeframe": "1m",
            "fromMs": START_MS + 3 * MINUTE,
            "toMs": START_MS + 5 * MINUTE,
            "missing": 2,
        }
        failed = await server.data("GET", path)
        assert (failed["status"], failed["errorDetails"]) == ("failed", answer["details"])
        assert failed["error"] == answer["error"]


async def test_an_error_stays_until_the_session_runs_again(database: Database) -> None:
    async with running_server(database, candles=0) as server:
        path, other = [f"{SESSIONS}/{(await server.create())['id']}" for _ in range(2)]
        error = (await server.refused(422, "POST", f"{path}/start"))["error"]
        await server.refused(422, "POST", f"{other}/start")
        stopped = await server.data("POST", f"{path}/stop")
        assert (stopped["error"], stopped["errorDetails"]["missing"]) == (error, 100)
        last = (await server.data("GET", f"{path}/events?tail=1"))["events"][0]
        assert set(last["payload"]) == {"status", "reason", "cursorMs", "by"}
        await store(server.served.sim.database, count=100)
        started = await server.data("POST", f"{other}/start")
        assert (started["error"], started["errorDetails"]) == (None, None)


async def test_a_session_that_has_ended_answers_with_its_digest(database: Database) -> None:
    async with running_server(database, candles=100) as server:
        session = await server.create(endMs=START_MS + 200 * MINUTE)
        path = f"{SESSIONS}/{session['id']}"
        assert (await server.data("GET", path))["digest"] is None
        await server.refused(422, "POST", f"{path}/start")
        failed = (await server.data("GET", path))["digest"]
        await store(server.served.sim.database, count=200)
        started = await server.data("POST", f"{path}/start")
        assert started["digest"] is None
        await server.until(path, "finished")
        finished = await _digest(server, path)
        assert [(finished,)] == database.query("SELECT sim_log_digest(%s)", session["id"])
        assert failed != finished
        assert (await server.data("GET", SESSIONS))["sessions"][0]["digest"] == finished
        again = await server.finished(endMs=START_MS + 200 * MINUTE)
        assert await _digest(server, f"{SESSIONS}/{again['id']}") == finished


async def _digest(server: InProcessServer, path: str) -> str:
    """Ask for a session until its digest is there, which it is not where that takes too long to wait for."""
    deadline = time.monotonic() + 20
    while (digest := (await server.data("GET", path))["digest"]) is None:
        assert time.monotonic() < deadline
    return str(digest)


async def test_a_session_is_deleted_with_its_log_unless_it_runs(database: Database) -> None:
    async with running_server(database) as server:
        path = f"{SESSIONS}/{(await server.create(replayMsPerCandle=60_000))['id']}"
        await server.data("POST", f"{path}/start")
        await server.refused(409, "DELETE", path)
        await server.data("POST", f"{path}/pause")
        assert await server.data("DELETE", path) == {}
        for method, rest in (("GET", ""), ("DELETE", ""), ("GET", "/events"), ("GET", "/stream"), ("POST", "/start")):
            await server.refused(404, method, path + rest)
    assert database.query("SELECT count(*) FROM sim_events") == [(0,)]


async def test_events_are_read_in_pages(database: Database) -> None:
    async with running_server(database) as server:
        session = await server.finished()
        path = f"{SESSIONS}/{session['id']}/events"
        seen, following = [], 1
        while following <= session["lastSeq"]:
            page = await server.data("GET", f"{path}?fromSeq={following}&limit=40")
            assert page["lastSeq"] == 102
            assert page["events"][0]["seq"] == following
            seen += [event["seq"] for event in page["events"]]
            following = page["nextFromSeq"]
        assert seen == list(range(1, 103))
        assert await server.data("GET", f"{path}?fromSeq=103") == {"events": [], "lastSeq": 102, "nextFromSeq": 103}
        assert (await server.refused(400, "GET", f"{path}?fromSeq=104"))["code"] == "seq_ahead"
        statuses = await server.data("GET", f"{path}?types=status")
        assert [event["seq"] for event in statuses["events"]] == [1, 102]
        assert statuses["nextFromSeq"] == 103
        assert (await server.data("GET", f"{path}?types=status&limit=1"))["nextFromSeq"] == 2
        tail = await server.data("GET", f"{path}?tail=2&types=candle")
        assert [event["seq"] for event in tail["events"]] == [100, 101]
        assert (await server.data("GET", f"{path}?tail=0"))["events"] == []
        for query in ("limit=0", "limit=10001", "fromSeq=-1", "types=x", "tail=1&fromSeq=1", "limit=1.5"):
            await server.refused(400, "GET", f"{path}?{query}")


async def test_profiles_are_listed(database: Database) -> None:
    async with running_server(database, candles=0) as server:
        profiles = {profile["slug"]: profile for profile in (await server.data("GET", "/api/sim/profiles"))["profiles"]}
    assert {"none", "buy_and_hold", "sma_cross", "rsi_revert"} <= set(profiles)
    assert profiles["sma_cross"]["parameters"]["properties"]["fast"]["default"] == 20
    assert {value["source"] for value in profiles.values()} == {"built-in"}


async def test_a_running_process_that_loses_its_name_fails(database: Database) -> None:
    async with running_server(database, candles=0) as server:
        database.query("UPDATE sim_runners SET incarnation = incarnation + 1")
        with pytest.raises(SimError):
            await asyncio.wait_for(server.served.wait(), 5)


async def test_a_call_reads_its_session_once_and_a_start_again_after_its_preparation(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    reads: list[UUID] = []
    get, get_all = sessions.get, sessions.get_all

    async def counted_all(connection: Connection, wanted: Sequence[tuple[UUID, str]]) -> Any:
        reads.extend(session_id for session_id, _ in wanted)
        return await get_all(connection, wanted)

    async def counted(connection: Connection, session_id: UUID, user_id: str | None = None) -> Session:
        if user_id is not None:  # The session's runner reads it too.
            reads.append(session_id)
        return await get(connection, session_id, user_id)

    async with running_server(database) as server:
        session = f"{SESSIONS}/{(await server.create(replayMsPerCandle=60_000))['id']}"
        monkeypatch.setattr(sessions, "get", counted)
        monkeypatch.setattr(sessions, "get_all", counted_all)
        for method, path, body, expected in (
            ("POST", "/start", {}, 2),
            ("PATCH", "", {"replayMsPerCandle": 50_000}, 1),
            ("POST", "/control", {"action": "jump", "timeMs": START_MS + MINUTE}, 1),
            ("POST", "/pause", {}, 1),
            ("POST", "/fork", {"atSeq": 1}, 1),
            ("POST", "/stop", {}, 1),
        ):
            reads.clear()
            response = await server.call(method, f"{session}{path}", body)
            assert response.status_code in (200, 201), response.text
            assert len(reads) == expected, path or method
