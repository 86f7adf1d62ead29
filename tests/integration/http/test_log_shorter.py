"""A stream whose log has lost events that it sent ends with the event `log_shorter`; no number is sent twice."""

from __future__ import annotations

import asyncio
import shutil
import subprocess
from typing import Any

import pytest

from tests.support.client import SESSIONS, Stream
from tests.support.postgres import Database, PrivatePostgres
from tests.support.running_engine import MINUTE, START_MS
from tests.support.running_server import InProcessServer, running_server
from tests.support.server_process import until
from tests.support.session_log import lose_events
from zeon import AsyncClient, Client, LogShorterError

MARKET = "/api/market/sessions"


async def tail_of(client: AsyncClient, session_id: str, read: asyncio.Semaphore) -> int:
    """Follow a log until it is shorter, and return its last seq."""

    async def follow() -> None:
        async for _ in client.tail(session_id):
            read.release()

    with pytest.raises(LogShorterError, match="shorter than what was sent") as raised:
        await follow()
    return raised.value.last_seq


def tail_in_thread(client: Client, session_id: str, read: list[int]) -> int:
    with pytest.raises(LogShorterError) as raised:
        read += (event.seq for event in client.tail(session_id))
    return raised.value.last_seq


async def test_every_stream_and_client_gets_the_sign_that_its_log_is_shorter(database: Database) -> None:
    async with running_server(database, poll_ms=50) as server:
        session = await server.create()
        last_seq = await steps(server, session, 10)
        read, seqs = asyncio.Semaphore(0), list[int]()
        async with (
            AsyncClient(server.served.url) as client,
            server.stream(session["id"]) as stream,
            server.stream(session["id"], "?types=status") as statuses,
        ):
            with Client(server.served.url) as plain:
                tails = [
                    asyncio.create_task(tail_of(client, session["id"], read)),
                    asyncio.create_task(asyncio.to_thread(tail_in_thread, plain, session["id"], seqs)),
                ]
                for reader in (stream, statuses):
                    await reader.until(lambda message: message.get("seq") == last_seq)
                for _ in range(last_seq):
                    await read.acquire()
                await until(lambda: len(seqs) == last_seq)
                lose_events(database, session["id"], 8)
                for reader in (stream, statuses):
                    await shorter(reader, session["id"], 8)
                assert await asyncio.gather(*tails) == [8, 8]
        assert stream.ids == list(range(1, last_seq + 1))


async def test_a_client_that_reconnects_behind_the_end_of_its_log_gets_the_sign(database: Database) -> None:
    async with running_server(database, poll_ms=60_000) as server, AsyncClient(server.served.url) as client:
        session = await server.create()
        last_seq = await steps(server, session, 10)
        read = asyncio.Semaphore(0)
        tail = asyncio.create_task(tail_of(client, session["id"], read))
        for _ in range(last_seq):
            await read.acquire()
        lose_events(database, session["id"], 8)
        for stream in list(server.served.streams._open):
            stream.cancel()
        assert await tail == 8


async def test_a_stream_of_the_market_dialect_gets_the_sign_too(database: Database) -> None:
    async with running_server(database, poll_ms=50) as server:
        body = {"symbols": ["BTCUSDT"], "timeframe": "1m", "start": START_MS, "end": START_MS + 99 * MINUTE}
        body |= {"speed": 100, "venue": "demo"}
        created = await server.call("POST", MARKET, body)
        assert created.status_code == 201, created.text
        session_id = created.json()["sessionId"]
        await server.call("POST", f"{MARKET}/{session_id}/start")
        async with server.client.stream("GET", f"{MARKET}/{session_id}/stream", timeout=30) as response:
            stream = Stream(response, response.aiter_lines())
            await stream.until(lambda message: message["type"] == "candle")
            await server.call("POST", f"{MARKET}/{session_id}/stop")
            lose_events(database, session_id, 1)
            await shorter(stream, session_id, 1)


async def shorter(stream: Stream, session_id: str, last_seq: int) -> None:
    """Require that the stream's last message says so, by name."""
    assert (await stream.rest())[-1] == {"type": "log_shorter", "sessionId": session_id, "lastSeq": last_seq}
    assert stream.named["log_shorter"] == 1


class Copy:
    """A copy of a stopped server's files, to be put back: what a standby had when it was promoted."""

    def __init__(self, postgres: PrivatePostgres) -> None:
        self._postgres = postgres
        self._files = postgres.embedded.pgdata
        self._copy = postgres.folder / "copy"

    def take(self) -> None:
        self._postgres.shut_down("fast")
        subprocess.run(["cp", "-a", self._files, self._copy], check=True)  # With its owner, who is not root.
        self._postgres.start()

    def put_back(self) -> None:
        self._postgres.shut_down()
        shutil.rmtree(self._files)
        self._copy.rename(self._files)
        self._postgres.start()


async def test_a_log_that_has_grown_again_is_distinguished_from_the_one_that_was_sent(
    private_postgres: PrivatePostgres,
) -> None:
    """The log that comes back is longer than what was sent, but has other events from some seq on."""
    database, copy = private_postgres.new_database(), Copy(private_postgres)
    async with running_server(database, poll_ms=50) as server:
        unchanged, lost = [await server.create() for _ in range(2)]
        begun, _ = [await steps(server, session, 5) for session in (unchanged, lost)]
        grow(database, lost["id"], 30)
        await asyncio.to_thread(copy.take)
        lose_events(database, lost["id"], begun)
        async with server.stream(unchanged["id"]) as same, server.stream(lost["id"]) as other:
            await same.until(lambda message: message.get("seq") == begun)
            sent = await steps(server, lost, 5)
            await other.until(lambda message: message.get("seq") == sent)
            await asyncio.to_thread(copy.put_back)
            await shorter(other, lost["id"], begun + 30)
            more = await steps(server, unchanged, 5)
            await same.until(lambda message: message.get("seq") == more)
        assert (same.ids, other.ids) == (list(range(1, more + 1)), list(range(1, sent + 1)))
    private_postgres.drop(database)


def grow(database: Database, session_id: str, count: int) -> None:
    database.query(
        "SELECT sim_append_event(%s, ts => NULL, type => 'note', payload => '{}') FROM generate_series(1, %s)",
        session_id,
        count,
    )


async def steps(server: InProcessServer, session: dict[str, Any], candles: int) -> int:
    """Make some ticks and return the log's last seq."""
    path = f"{SESSIONS}/{session['id']}"
    await server.data("POST", f"{path}/control", {"action": "step", "candles": candles})
    return int((await server.until(path, "paused"))["lastSeq"])
