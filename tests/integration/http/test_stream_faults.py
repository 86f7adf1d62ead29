"""Streams that lose something: the client, a client that reads, the server, the database, the token."""

from __future__ import annotations

import asyncio
import signal
import socket
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress

import psutil
import pytest

from app.db import tokens
from app.db.log import events
from app.db.pool import Connection
from tests.support.client import SESSIONS, call, connect
from tests.support.postgres import Database, PrivatePostgres
from tests.support.running_server import InProcessServer, running_server
from tests.support.server_process import ServerProcess, StartServer


def control(kind: str) -> Callable[[dict], bool]:
    return lambda message: message["type"] == kind


async def no_streams(server: InProcessServer) -> float:
    """Wait until no stream is open, for less than the time to the first heartbeat; returns how long that seconds."""
    began = time.monotonic()
    while len(server.served.streams):
        assert time.monotonic() - began < 10, "a stream is still open"
        await asyncio.sleep(0.01)
    return time.monotonic() - began


async def fastest(measure: Callable[[], Awaitable[float]], bound_s: float) -> float:
    """Return how long something takes, measured up to three times: the machine may be busy with something else."""
    seconds = await measure()
    for _ in range(2):
        if seconds >= bound_s:
            seconds = await measure()
    return seconds


async def open_raw(server: InProcessServer, session_id: str, *, buffer: int | None = None) -> socket.socket:
    """Ask for a stream on a bare socket that nobody reads."""
    host, port = server.served.url.removeprefix("http://").split(":")
    raw = socket.socket()
    if buffer is not None:
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, buffer)
    raw.connect((host, int(port)))
    raw.sendall(f"GET {SESSIONS}/{session_id}/stream HTTP/1.1\r\nHost: {host}:{port}\r\n\r\n".encode())
    deadline = time.monotonic() + 20
    while not len(server.served.streams):
        assert time.monotonic() < deadline, "the stream was not opened"
        await asyncio.sleep(0.01)
    return raw


async def open_stream(server: ServerProcess, session_id: str) -> socket.socket:
    """Open a stream of a server process and wait for its first bytes."""
    raw = socket.socket()
    raw.setblocking(False)
    loop = asyncio.get_running_loop()
    await loop.sock_connect(raw, ("127.0.0.1", server.port))
    await loop.sock_sendall(raw, f"GET {SESSIONS}/{session_id}/stream HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n".encode())
    got = b""
    async with asyncio.timeout(10):
        while b"retry: 1000" not in got:
            got += await loop.sock_recv(raw, 4096)
    return raw


async def fill(server: InProcessServer, session_id: str, count: int, size: int = 20_000) -> None:
    """Append notes of some size to a log."""

    async def append(connection: object) -> None:
        for _ in range(count):
            await events.append_event(connection, session_id, "note", {"text": "x" * size})  # type: ignore[arg-type]

    await server.served.sim.database.run(append)


async def test_a_client_that_vanishes_frees_everything(database: Database) -> None:
    async with running_server(database) as server:
        session = await server.create()

        async def freed_s() -> float:
            raw = await open_raw(server, session["id"])
            raw.close()
            return await no_streams(server)

        assert await fastest(freed_s, 1) < 1


async def test_a_client_that_vanishes_in_a_backlog_frees_everything(database: Database) -> None:
    async with running_server(database) as server:
        session = await server.create()
        await fill(server, session["id"], 300)

        async def freed_s() -> float:
            raw = await open_raw(server, session["id"], buffer=4096)
            await asyncio.sleep(0.2)
            raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
            raw.close()
            return await no_streams(server)

        assert await fastest(freed_s, 1) < 1


async def test_a_client_that_does_not_read_is_disconnected_and_delays_no_other(database: Database) -> None:
    async with running_server(database, write_timeout_ms=3000) as server:
        session = await server.create()
        await fill(server, session["id"], 600)
        raw = await open_raw(server, session["id"], buffer=4096)
        async with server.stream(session["id"]) as other:
            caught_up = await other.until(control("caught_up"))
            assert caught_up["lastSeq"] == other.ids[-1] == 600
        await no_streams(server)
        assert b'"seq":600' not in await asyncio.to_thread(read_to_end, raw)


async def test_a_slow_client_gets_everything_at_its_own_pace(database: Database) -> None:
    async with running_server(database) as server:
        session = await server.create()
        await fill(server, session["id"], 150)
        raw = await open_raw(server, session["id"], buffer=4096)
        raw.setblocking(False)
        got = b""
        async with asyncio.timeout(30):
            while b"caught_up" not in got[-300:]:
                got += await asyncio.get_running_loop().sock_recv(raw, 65536)
                await asyncio.sleep(0.002)
        raw.close()
        await no_streams(server)
    assert [n for n in range(1, 151) if f"id: {n}\n".encode() not in got] == []


@pytest.mark.alone
async def test_a_stopping_server_ends_open_streams_at_once(database: Database) -> None:
    async def ended_s() -> float:
        async with running_server(database) as server:
            session = await server.create()
            async with server.stream(session["id"]) as stream:
                await stream.until(control("caught_up"))
                server.served.streams.close()
                began = time.monotonic()
                await stream.rest()
                measure = time.monotonic() - began
            await server.refused(503, "GET", f"{SESSIONS}/{session['id']}/stream")
        return measure

    assert await fastest(ended_s, 0.5) < 0.5


@pytest.mark.alone
async def test_a_revoked_token_ends_its_streams_within_a_heartbeat(database: Database) -> None:
    async with running_server(database, auth="token", heartbeat_ms=200) as server:

        async def ended_s() -> float:
            token_id, secret = await server.token("anna")
            server.client.headers["Authorization"] = f"Bearer {secret}"
            session = await server.create()
            async with server.stream(session["id"]) as stream:
                await stream.until(control("heartbeat"))
                await server.served.sim.database.run(tokens.revoke, token_id)
                began = time.monotonic()
                await stream.rest()
                measure = time.monotonic() - began
            await server.refused(401, "GET", f"{SESSIONS}/{session['id']}/stream")
            return measure

        assert await fastest(ended_s, 1) < 1


async def test_slow_calls_of_clients_delay_neither_ticks_nor_streams(database: Database) -> None:
    async with running_server(database, pool_size=2) as server:
        session = await server.create(replayMsPerCandle=20)
        async with server.stream(session["id"]) as stream:
            await server.data("POST", f"{SESSIONS}/{session['id']}/start")
            await stream.until(control("candle"))
            slow = [asyncio.ensure_future(server.served.sim.database.run(_sleep)) for _ in range(2)]
            await asyncio.sleep(0.1)
            begun = time.monotonic()
            for _ in range(20):
                await stream.until(control("candle"))
            assert time.monotonic() - begun < 5
            assert not any(task.done() for task in slow)
        await asyncio.gather(*slow)


async def _sleep(connection: Connection) -> None:
    await connection.execute("SELECT pg_sleep(6)")


async def test_streams_outlive_a_restart_of_the_database(private_postgres: PrivatePostgres) -> None:
    database = private_postgres.new_database()
    async with running_server(database, heartbeat_ms=200) as server:
        session = await server.create(replayMsPerCandle=20)
        path = f"{SESSIONS}/{session['id']}"
        async with server.stream(session["id"]) as stream:
            await server.data("POST", f"{path}/start")
            await stream.until(control("candle"))
            await asyncio.to_thread(private_postgres.shut_down)
            for _ in range(3):
                await stream.until(control("heartbeat"), 10)
            await asyncio.to_thread(private_postgres.start)
            await stream.rest(30)
        assert stream.ids == list(range(1, 103))
    private_postgres.drop(database)


async def test_an_idle_stream_costs_less_than_50_kb(database: Database, start_server: StartServer) -> None:
    count = 300
    server = start_server(database, open_files=256)
    async with connect(server) as client:
        session_id = (await client.create())["id"]
        memory = psutil.Process(server.pid).memory_info
        for raw in [await open_stream(server, session_id) for _ in range(50)]:  # Warm up what is created once.
            raw.close()
        await asyncio.sleep(0.5)
        before = memory().rss
        open_ = [await open_stream(server, session_id) for _ in range(count)]
        await asyncio.sleep(0.5)
        bytes_per_stream = (memory().rss - before) / count
        for raw in open_:
            raw.close()
    print(f"{bytes_per_stream:.0f} bytes per stream")
    assert bytes_per_stream < 50_000


@pytest.mark.alone
async def test_sigterm_with_open_streams_ends_the_process_in_under_two_seconds(
    database: Database, start_server: StartServer
) -> None:
    assert await fastest(lambda: _took_to_end(database, start_server), 2) < 2


async def _took_to_end(database: Database, start_server: StartServer) -> float:
    """Return how many seconds a process with open streams takes to end after SIGTERM; check how it left its session."""
    server = start_server(database, open_files=256)
    async with connect(server) as client:
        session_id = (await client.create(endMs=None, gapPolicy="skip"))["id"]
        await call(client, session_id, "start")
        readers = [await open_stream(server, session_id) for _ in range(50)]
        long_id = (await client.create())["id"]
        database.query(
            "SELECT sim_append_event(%s, NULL, 'note', jsonb_build_object('text', repeat('x', 60000)))"
            " FROM generate_series(1, 300)",
            long_id,
        )
        stalled = [await open_stream(server, long_id) for _ in range(5)]
        began = time.monotonic()
        server.signal(signal.SIGTERM)
        for raw in readers:
            await asyncio.to_thread(read_to_end, raw)
        code = await asyncio.to_thread(server.wait)
        seconds = time.monotonic() - began
        for raw in stalled:
            raw.close()
    assert code == 0, server.output
    [(status, reason)] = database.query(
        "SELECT s.status, e.payload ->> 'reason' FROM sim_sessions s"
        " JOIN sim_events e ON e.session_id = s.id AND e.seq = s.last_seq WHERE s.id = %s",
        session_id,
    )
    assert (status, reason) == ("paused", "server stopped")
    return seconds


async def test_a_process_that_loses_its_runner_name_ends_with_a_failure(
    database: Database, start_server: StartServer
) -> None:
    server = start_server(database)
    database.query("UPDATE sim_runners SET incarnation = incarnation + 1")
    code = await asyncio.to_thread(server.wait)
    assert code == 1
    assert "Another process has taken the runner name" in server.output


def read_to_end(raw: socket.socket) -> bytes:
    """Read until the server closes or resets the connection; in a thread, as the server may share this one's loop."""
    raw.settimeout(5)
    content = b""
    with raw, suppress(ConnectionResetError):
        while data := raw.recv(65536):
            content += data
    return content
