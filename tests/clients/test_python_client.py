"""`from zeon import Client, AsyncClient`: calls, events with their types, and tails that outlive their server."""

from __future__ import annotations

import asyncio
import json
import signal
import subprocess
import sys
from decimal import Decimal
from pathlib import Path
from typing import Any, NotRequired, get_args, get_origin, get_type_hints
from urllib.parse import parse_qs, urlsplit

import httpx2
import pytest
from typing_extensions import is_typeddict

import zeon as package
from tests.clients.following import DOCUMENTED, block, candles_only, last_seq, serve, trade_results
from tests.clients.relay import relay
from tests.clients.replay import Replay, replay
from tests.paths import ROOT
from tests.support.postgres import Database
from tests.support.running_engine import MINUTE, START_MS
from tests.support.running_server import running_server
from tests.support.server_process import StartServer, until
from zeon import AnyEvent, ApiError, AsyncClient, BrokenStreamError, Client, events_frame

FIELDS: dict[str, Any] = {
    "profile_slug": "sma_cross",
    "config": {"fast": 3, "slow": 8, "lines": True},
    "venue": "demo",
    "symbol": "BTCUSDT",
    "timeframe": "1m",
    "start_ms": START_MS,
    "end_ms": START_MS + 100 * MINUTE,
    "replay_ms_per_candle": 0,
}


def read_seqs(url: str, session_id: str, **options: Any) -> list[int]:
    with Client(url) as client:
        return [event.seq for event in client.tail(session_id, **options)]


async def read_seqs_async(url: str, session_id: str, **options: Any) -> list[int]:
    async with AsyncClient(url) as client:
        return [event.seq async for event in client.tail(session_id, **options)]


async def follow_through_kills(it: Replay, times: int, apart: int) -> None:
    """Let both clients follow a session whose server is killed so many times."""
    tails = [
        asyncio.create_task(asyncio.to_thread(read_seqs, it.url, it.session_id)),
        asyncio.create_task(read_seqs_async(it.url, it.session_id)),
    ]
    await it.start()
    await it.kill(times, apart)
    await it.finish()
    for seqs in await asyncio.gather(*tails):
        assert seqs == list(range(1, it.last_seq + 1))


async def test_a_tail_outlives_two_kills_of_its_server_and_misses_nothing(
    database: Database, start_server: StartServer
) -> None:
    async with replay(database, start_server) as it:
        await follow_through_kills(it, times=2, apart=100)


@pytest.mark.clients
@pytest.mark.timeout(600)
async def test_a_tail_outlives_twenty_kills_of_its_server(database: Database, start_server: StartServer) -> None:
    async with replay(database, start_server, candles=5000) as it:
        await follow_through_kills(it, times=20, apart=50)


def test_connections_cut_in_the_middle_of_events_lose_none(database: Database, start_server: StartServer) -> None:
    site = serve(database, start_server)
    session_id = candles_only(site, pause_ms=0, candles=300)
    site.post(f"/{session_id}/start")
    site.finished(session_id)
    cuts = [100, 350, 401, 700, 933, 2011, 5000, 5171, 9999, 20_003]
    with relay(site.server.port, cuts) as relayed:
        seen = read_seqs(relayed.url, session_id)
        assert relayed.cut == len(cuts)
    assert seen == list(range(1, last_seq(site, session_id) + 1))


def test_the_example_of_the_page_runs(database: Database, start_server: StartServer) -> None:
    site = serve(database, start_server)
    code = block("Python", "python").replace(DOCUMENTED, site.url)
    code = code.replace('"BTCUSDT"', '"BTCUSDT", venue="demo", replay_ms_per_candle=0')
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    results = trade_results(site)
    assert [float(line) for line in done.stdout.split()] == results
    assert results


async def test_a_tail_begun_while_the_server_is_away_waits_for_it(
    database: Database, start_server: StartServer, caplog: pytest.LogCaptureFixture
) -> None:
    async with replay(database, start_server, candles=20, pause_ms=0) as it:
        await it.start()
        it.server.kill()
        tail = asyncio.create_task(read_seqs_async(it.url, it.session_id))
        await until(lambda: "reconnecting" in caplog.text)
        await asyncio.to_thread(it.server.start)
        assert await tail == list(range(1, it.last_seq + 1))


async def test_a_tail_notices_silence_and_asks_again(
    database: Database, start_server: StartServer, caplog: pytest.LogCaptureFixture
) -> None:
    async with replay(database, start_server, candles=20, pause_ms=0, ZEON_HEARTBEAT_MS=100) as it:
        seqs: list[int] = []

        async def read() -> None:
            async with AsyncClient(it.url) as client:
                async for event in client.tail(it.session_id, silence_s=1):
                    seqs.append(event.seq)  # noqa: PERF401 - looked at meanwhile

        tail = asyncio.create_task(read())
        await it.client.data("POST", f"/api/sim/sessions/{it.session_id}/control", {"action": "step", "candles": 5})
        await until(lambda: len(seqs) >= 6)
        it.server.signal(signal.SIGSTOP)
        await until(lambda: "reconnecting" in caplog.text)
        it.server.signal(signal.SIGCONT)
        await it.start()
        await tail
        assert seqs == list(range(1, it.last_seq + 1))


async def test_calls_of_the_async_client(database: Database, tmp_path: Path) -> None:
    async with running_server(database) as server, AsyncClient(server.served.url) as client:
        session = await client.create(**FIELDS, tags=["mine"])
        assert (session["status"], session["startMs"]) == ("created", START_MS)
        path = session["id"]
        assert (await client.step(path, 3))["status"] == "running"
        await server.until(f"/api/sim/sessions/{path}", "paused")
        await client.pace(path, replay_ms_per_candle=1000)
        assert (await client.resume(path))["status"] == "running"
        assert (await client.pause(path))["status"] == "paused"
        assert (await client.change(path, name="mine", replay_ms_per_candle=0))["name"] == "mine"
        await client.run_until(path, time_ms=START_MS + 20 * MINUTE)
        await server.until(f"/api/sim/sessions/{path}", "paused")
        fork = await client.fork(path, 5, replay_ms_per_candle=1000)
        await client.start(fork["id"])
        await client.jump(fork["id"], START_MS + 30 * MINUTE)
        assert (await client.stop(fork["id"]))["status"] == "stopped"
        await client.start(path)
        seqs = [event.seq async for event in client.tail(path)]
        assert [event.seq async for event in client.events(path, 3)] == seqs[2:]
        assert (await client.stats(path))["seq"] == seqs[-1]
        assert len((await client.equity(path, points=10))["points"]) <= 10
        assert "sma_cross" in [profile["slug"] for profile in (await client.profiles())["profiles"]]
        exported = await client.export(path, tmp_path / "log.ndjson")
        assert [json.loads(line)["seq"] for line in exported.read_text().splitlines()] == seqs
        await client.delete(fork["id"])
        assert [session["id"] for session in (await client.sessions(tag="mine"))["sessions"]] == [path]


async def test_calls_of_the_client(database: Database, tmp_path: Path) -> None:
    async with running_server(database) as server:
        await asyncio.to_thread(_call_everything, server.served.url, tmp_path)


def _call_everything(url: str, folder: Path) -> None:
    with Client(url, parse_float=Decimal) as client:
        session_id = client.create(**FIELDS)["id"]
        client.start(session_id)
        events = list(client.tail(session_id))
        assert list(client.events(session_id)) == events
        assert [event.seq for event in client.tail(session_id, types="trade")] == [
            event.seq for event in events if event.type == "trade"
        ]
        candle = next(event for event in events if event.type == "candle")
        assert all(isinstance(candle.payload["candle"][name], Decimal | int) for name in ("open", "volume"))
        assert client.export(session_id, folder / "t.csv", what="trades", as_="csv").read_text().startswith("seq,")
        assert [session["id"] for session in client.sessions(status="finished")["sessions"]] == [session_id]


async def test_what_waiting_does_not_mend_is_raised(database: Database) -> None:
    missing = "00000000-0000-0000-0000-000000000000"
    async with running_server(database) as server, AsyncClient(server.served.url) as client:
        session_id = (await client.create(**FIELDS))["id"]
        with pytest.raises(ApiError, match="There is no such session") as absent:
            await client.session(missing)
        assert absent.value.status == 404
        with pytest.raises(ApiError) as ahead:
            _ = [event async for event in client.tail(session_id, 50)]
        assert (ahead.value.status, ahead.value.code) == (400, "seq_ahead")
        with pytest.raises(ApiError, match="types"):
            _ = [event async for event in client.tail(session_id, types="candel")]
        with pytest.raises(ApiError) as what:
            await client.export(session_id, "nowhere", what="nothing")
        assert what.value.status == 400
        with pytest.raises(BrokenStreamError, match="does not answer with a stream"):
            _ = [event async for event in client.tail("../profiles?")]


async def test_a_token_is_sent_and_its_end_is_raised(database: Database) -> None:
    async with running_server(database, auth="token", heartbeat_ms=50) as server:
        token_id, secret = await server.token("anna")
        async with AsyncClient(server.served.url, secret) as client:
            session_id = (await client.create(**FIELDS))["id"]
            tail = client.tail(session_id)
            waiting = asyncio.ensure_future(anext(tail))
            await server.served.sim.database.run(_revoke, token_id)
            with pytest.raises(ApiError) as refused:
                await waiting
        assert refused.value.status == 401


async def test_a_session_is_shared_and_read_with_the_link_only(database: Database) -> None:
    async with running_server(database, auth="token") as server:
        _, secret = await server.token("anna")
        async with AsyncClient(server.served.url, secret) as client:
            session_id = (await client.create(**FIELDS))["id"]
            link = await client.share(session_id, expires_in="1h", name="for Berta")
            assert [one["name"] for one in (await client.shares(session_id))["links"]] == ["for Berta"]
            await client.start(session_id)
            key = parse_qs(urlsplit(link["url"]).query)["share"][0]
            async with AsyncClient(server.served.url, share=key) as reader:
                seqs = [event.seq async for event in reader.tail(session_id)]
                assert seqs == [event.seq async for event in reader.events(session_id)]
                assert seqs[-1] == (await reader.session(session_id))["lastSeq"]
                with pytest.raises(ApiError, match="only shows a session"):
                    await reader.stop(session_id)
                await client.unshare(session_id, link["keyId"])
                with pytest.raises(ApiError, match="no longer valid"):
                    await reader.stats(session_id)


async def _revoke(connection: Any, token_id: Any) -> None:
    await connection.execute("UPDATE sim_tokens SET revoked_at = now() WHERE id = %s", (token_id,))


async def test_a_call_without_a_server_raises_what_httpx2_raises() -> None:
    async with AsyncClient("http://127.0.0.1:9") as client:
        with pytest.raises(httpx2.ConnectError):
            await client.profiles()


async def test_events_of_every_type_have_the_fields_their_class_says(database: Database) -> None:
    async with running_server(database) as server, AsyncClient(server.served.url) as client:
        session = await client.create(**FIELDS)
        database.query("SELECT sim_append_event(%s, NULL, 'note', '{\"text\": \"look\"}')", session["id"])
        await client.pace(session["id"], replay_ms_per_candle=0)
        await client.start(session["id"])
        events = [event async for event in client.tail(session["id"])]
    payloads = _payloads()
    for event in events:
        shape = payloads[event.type]
        if is_typeddict(shape):
            fields = get_type_hints(shape, include_extras=True)
            required = {name for name, kind in fields.items() if get_origin(kind) is not NotRequired}
            assert required <= set(event.payload) <= set(fields), event
    seen = {"status", "control", "candle", "signal", "order", "fill", "trade", "equity", "plot", "note"}
    assert {event.type for event in events} == seen
    assert set(payloads) - seen == {"gap", "log", "funding", "interest"}


def _payloads() -> dict[str, Any]:
    """Return the shape of each type's payload, as a type checker knows it."""
    members = [get_args(member) for member in get_args(AnyEvent)]
    return {get_args(kind)[0]: payload for kind, payload in members}


async def test_events_become_a_frame_of_pandas(database: Database) -> None:
    async with running_server(database) as server, AsyncClient(server.served.url) as client:
        session = await client.create(**FIELDS)
        await client.start(session["id"])
        events = [event async for event in client.tail(session["id"])]
        frame = events_frame(events)
        candles = events_frame([event async for event in client.events(session["id"], types="candle")])
    assert list(frame.index) == [event.seq for event in events]
    assert list(candles.columns)[:4] == ["ts", "at", "type", "symbol"]
    assert str(candles["at"].iloc[0]) == "2024-01-01 00:00:00+00:00"
    first = next(event for event in events if event.type == "candle")
    assert candles["close"].iloc[0] == first.payload["candle"]["close"]
    assert events_frame([]).empty


def test_a_strategy_is_imported_without_any_library_of_the_clients() -> None:
    hide = "import sys; sys.modules.update(dict.fromkeys(['httpx2', 'pandas']))"
    code = f"{hide}; from zeon import BrokerConfig, Candle, Strategy, StrategyRunner"
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True)


def test_every_public_name_is_there() -> None:
    for name in dir(package):
        assert getattr(package, name) is not None
    with pytest.raises(AttributeError, match="nothing"):
        _ = package.nothing


def test_a_type_checker_knows_what_events_hold(tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(
        "from zeon import Client, Strategy\n"
        "for event in Client().tail('x'):\n"
        "    if event.type == 'trade':\n"
        "        reveal_type(event.payload['netPnl'])\n"
        "    if event.type == 'candle':\n"
        "        event.payload['netPnl']\n"
        "reveal_type(Strategy().cash)\n"
    )
    command = [sys.executable, "-m", "mypy", "--strict", str(script), "--cache-dir", str(ROOT / ".mypy_cache")]
    output = subprocess.run(command, cwd=ROOT, capture_output=True, text=True).stdout
    assert 'note: Revealed type is "float"' in output
    assert 'note: Revealed type is "decimal.Decimal"' in output
    assert output.count("error:") == 1
    assert 'script.py:6: error: TypedDict "CandlePayload" has no key "netPnl"' in output
