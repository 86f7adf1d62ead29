"""Connections and requests of clients that send too much, too slowly or too many at once."""

from __future__ import annotations

import asyncio
import json
import socket
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import replace

import psycopg
import pytest

from app.db.log import events
from app.web.wire.connections import ConnectionLimits
from tests.support.client import BODY, SESSIONS
from tests.support.network.raw import Raw, raw, request
from tests.support.network.storm import hostile_clients, storm
from tests.support.postgres import Database
from tests.support.running_server import InProcessServer, running_server
from tests.support.server_process import StartServer

QUICK = ConnectionLimits(head_s=0.4, body_s=0.4, idle_s=0.4, linger_s=0.2, check_s=0.02)
"""Deadlines short enough to wait for."""
PATIENT = ConnectionLimits(young_s=0)
"""Every connection may make room for another at once."""
CHUNKED = ("Transfer-Encoding: chunked", "Content-Type: application/json")


def with_head_of(size: int) -> bytes:
    """Write a request with a header block of so many bytes."""
    empty = request("/healthz", "X: ")
    return request("/healthz", "X: " + "x" * (size - len(empty)))


def with_lines(count: int) -> bytes:
    return request("/healthz", *(f"x{n}: y" for n in range(count - 1)))


def with_url_of(size: int) -> bytes:
    return request("/healthz?" + "x" * (size - len("/healthz?")))


async def still_serves(server: InProcessServer) -> None:
    await server.data("GET", "/healthz")


@pytest.mark.parametrize(
    "largest", [with_head_of(65_536), with_lines(100), with_url_of(8_192)], ids=["bytes", "lines", "url"]
)
async def test_a_request_of_the_largest_size_is_answered(database: Database, largest: bytes) -> None:
    async with running_server(database, candles=0) as server, raw(server.served.url) as client:
        await client.send(largest)
        assert (await client.answer()).status == 200
        await client.send(request())
        assert (await client.answer()).status == 200


@pytest.mark.parametrize(
    ("too_large", "status"),
    [(with_head_of(65_537), 431), (with_lines(101), 431), (with_url_of(8_193), 414)],
    ids=["bytes", "lines", "url"],
)
async def test_a_larger_request_is_refused_and_its_connection_closed(
    database: Database, too_large: bytes, status: int
) -> None:
    async with running_server(database, candles=0) as server:
        async with raw(server.served.url) as client:
            await client.send(too_large)
            assert (await client.refused()).status == status
        async with raw(server.served.url) as client:
            await client.send(request())
            assert (await client.answer()).status == 200
            await client.send(too_large)
            assert (await client.refused()).status == status


@pytest.mark.parametrize(
    ("begin", "more", "status"),
    [
        (b"GET /", b"x", 414),
        (b"GET / HTTP/1.1\r\nX: ", b"x", 431),
        (b"GET / HTTP/1.1\r\nX", b"x", 431),
        (b"GET / HTTP/1.1\r\n", b"x: y\r\n", 431),
        (b"", b"\r\n", 431),
        (request(SESSIONS, *CHUNKED, method="POST") + b"1;", b"x", 413),
        (request(SESSIONS, *CHUNKED, method="POST") + b"0\r\n", b"x: y\r\n", 431),
        (request(SESSIONS, *CHUNKED, method="POST") + b"0\r\nx: ", b"y", 431),
    ],
    ids=["url", "value", "name", "lines", "empty lines", "chunk extension", "trailers", "trailer"],
)
async def test_what_has_no_end_is_refused_before_much_of_it_is_read(
    database: Database, begin: bytes, more: bytes, status: int
) -> None:
    """The client would send 200 MB; the server's system takes some before it closes the connection, not the server."""
    sent = 0
    async with (
        running_server(database, candles=0, limits=ConnectionLimits(linger_s=0.2)) as server,
        raw(server.served.url) as client,
    ):
        answer = asyncio.ensure_future(client.closed())
        with suppress(ConnectionError):
            await client.send(begin)
            while sent < 200_000_000:
                await client.send(more * (65_536 // len(more)))
                sent += 65_536
        await still_serves(server)
    assert sent < 20_000_000
    assert b"HTTP/1.1 %d " % status in await answer


async def test_a_body_over_its_limit_is_refused_while_it_comes(database: Database) -> None:
    body = b'{"name": "' + b"x" * 5_000_000 + b'"}'
    async with (
        running_server(database, candles=0) as server,
        raw(server.served.url) as client,
        client.sending(request(SESSIONS, method="POST", body=body), 100_000, 0),
    ):
        answer = await client.answer()
        assert (answer.status, answer.headers["connection"]) == (413, "close")
        assert await client.closed() == b""


async def test_a_small_body_that_nobody_reads_does_not_end_the_connection(database: Database) -> None:
    async with running_server(database, candles=0) as server, raw(server.served.url) as client:
        await client.send(request("/nowhere", method="POST", body=b"x" * 10_000))
        assert (await client.answer()).status == 404
        await client.send(request())
        assert (await client.answer()).status == 200


async def test_lines_behind_a_body_are_no_headers(database: Database) -> None:
    body = json.dumps(BODY).encode()
    async with running_server(database) as server, raw(server.served.url) as client:
        head = request(SESSIONS, *CHUNKED, method="POST")
        await client.send(head + b"%x\r\n%b\r\n0\r\nIdempotency-Key: not valid\r\n\r\n" % (len(body), body))
        assert (await client.answer()).status == 201


async def test_a_body_in_chunks_of_one_byte_arrives(database: Database) -> None:
    body = json.dumps(BODY).encode()
    async with running_server(database) as server, raw(server.served.url) as client:
        await client.send(request(SESSIONS, *CHUNKED, method="POST"))
        for byte in body:
            await client.send(b"1\r\n%c\r\n" % byte)
        await client.send(b"0\r\n\r\n" + request())
        assert (await client.answer()).status == 201
        assert (await client.answer()).status == 200


async def test_requests_sent_ahead_are_answered_one_after_the_other(database: Database) -> None:
    async with running_server(database, candles=0) as server, raw(server.served.url) as client:
        await client.send(request() + request("/nowhere") + request("/", method="POST", body=b"{}") + request())
        assert [(await client.answer()).status for _ in range(4)] == [200, 404, 405, 200]


async def test_a_client_that_sends_much_ahead_gets_an_answer_and_is_disconnected(database: Database) -> None:
    async with running_server(database, candles=0) as server, raw(server.served.url) as client:
        with suppress(ConnectionError):
            await client.send(request("/readyz") * 10_000)
        got = await client.closed()
        assert 1 <= got.count(b"HTTP/1.1 200") < 1_000
        await still_serves(server)


async def test_a_client_that_asks_for_another_protocol_gets_this_one(database: Database) -> None:
    async with running_server(database, candles=0) as server, raw(server.served.url) as client:
        await client.send(request("/healthz", "Connection: Upgrade", "Upgrade: h2c") + request())
        assert [(await client.answer()).status for _ in range(2)] == [200, 200]


async def test_what_is_no_http_is_refused(database: Database) -> None:
    async with running_server(database, candles=0) as server, raw(server.served.url) as client:
        await client.send(b"\x16\x03\x01 hello\r\n")
        assert (await client.refused()).status == 400


async def test_a_silent_connection_is_closed(database: Database) -> None:
    async with running_server(database, candles=0, limits=QUICK) as server, raw(server.served.url) as client:
        assert await client.closed() == b""


async def test_headers_that_do_not_arrive_in_time_are_refused(database: Database) -> None:
    async with running_server(database, candles=0, limits=QUICK) as server:
        async with raw(server.served.url) as client:
            await client.send(request()[:-2])
            assert (await client.refused()).status == 408
        head = b"GET / HTTP/1.1\r\n" + b"x: y\r\n" * 100
        async with raw(server.served.url) as client, client.sending(head, 1, 0.02):
            assert (await client.refused()).status == 408
        async with raw(server.served.url) as client:
            await client.send(request() + request()[:-2])
            assert (await client.answer()).status == 200
            assert (await client.refused()).status == 408


async def test_an_idle_connection_is_closed(database: Database) -> None:
    limits = ConnectionLimits(head_s=10, idle_s=0.4, check_s=0.02)
    async with running_server(database, candles=0, limits=limits) as server, raw(server.served.url) as client:
        await client.send(request())
        assert (await client.answer()).status == 200
        await client.send(request("/nowhere", method="POST", body=b"x" * 1000))
        assert (await client.answer()).status == 404
        assert await client.closed() == b""


async def test_a_body_that_does_not_arrive_in_time_is_refused(database: Database) -> None:
    head = request(SESSIONS, "Content-Length: 5000", "Content-Type: application/json", method="POST")
    async with running_server(database, candles=0, limits=QUICK) as server:
        async with raw(server.served.url) as client:
            await client.send(head)
            assert (await client.refused()).status == 408
        async with raw(server.served.url) as client:
            await client.send(head)
            async with client.sending(b"{" * 5000, 1, 0.02):
                assert (await client.refused()).status == 408
        async with raw(server.served.url) as client:
            await client.send(request(SESSIONS, *CHUNKED, method="POST") + b"5\r\n")
            assert (await client.refused()).status == 408


@pytest.mark.parametrize(("bytes_per_s", "status"), [(1_000_000, 408), (1_000, 201)], ids=["slower", "faster"])
async def test_a_body_may_take_longer_if_it_is_fast_enough(database: Database, bytes_per_s: int, status: int) -> None:
    limits = ConnectionLimits(body_s=0.2, body_bytes_per_s=bytes_per_s, check_s=0.02)
    body = json.dumps({**BODY, "config": {}}).encode().ljust(20_000)
    async with running_server(database, limits=limits) as server, raw(server.served.url) as client:
        await client.send(request(SESSIONS, f"Content-Length: {len(body)}", *CHUNKED[1:], method="POST"))
        async with client.sending(body, 1000, 0.05):
            assert (await client.answer()).status == status


async def test_a_client_that_does_not_read_its_answer_is_disconnected(database: Database) -> None:
    limits = ConnectionLimits(check_s=0.02)
    async with running_server(database, limits=limits, write_timeout_ms=500) as server:
        session = await server.create()

        async def append(connection: object) -> None:
            for _ in range(600):
                await events.append_event(connection, session["id"], "note", {"text": "x" * 50_000})  # type: ignore[arg-type]

        await server.served.sim.database.run(append)
        await server.client.aclose()
        await no_connections(server)
        reader = socket.create_connection(("127.0.0.1", int(server.served.url.rpartition(":")[2])))
        reader.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        path = f"{SESSIONS}/{session['id']}/events?limit=1000"
        reader.sendall(request(path) + request(path, "Connection: close"))
        await asyncio.sleep(0.3)
        assert len(server.served.connections) == 1
        await no_connections(server)
        reader.close()


async def no_connections(server: InProcessServer) -> None:
    await opened(server, 0)


@asynccontextmanager
async def connected(server: InProcessServer, count: int) -> AsyncIterator[list[Raw]]:
    """Open connections one after the other."""
    async with AsyncExitStack() as stack:
        clients = []
        for n in range(count):
            clients.append(await stack.enter_async_context(raw(server.served.url)))
            await opened(server, n + 1)
        yield clients


async def opened(server: InProcessServer, count: int) -> None:
    """Wait until so many connections are open."""
    deadline = time.monotonic() + 20
    while len(server.served.connections) != count:
        assert time.monotonic() < deadline, f"{len(server.served.connections)} connections instead of {count}"
        await asyncio.sleep(0.01)


async def test_of_one_address_the_connection_that_was_silent_longest_makes_room(database: Database) -> None:
    async with (
        running_server(database, candles=0, limits=PATIENT, address_connections=3) as server,
        connected(server, 3) as clients,
    ):
        first, second, third = clients
        await first.send(b"GET ")
        await asyncio.sleep(0.1)
        async with raw(server.served.url) as newcomer:
            assert await second.closed(5) == b""
            await newcomer.send(request())
            assert (await newcomer.answer()).status == 200
        for client, rest in ((first, request()[4:]), (third, request())):
            await client.send(rest)
            assert (await client.answer()).status == 200


async def test_connections_that_have_sent_a_request_do_not_count_for_their_address(database: Database) -> None:
    async with (
        running_server(database, candles=0, limits=PATIENT, address_connections=2) as server,
        AsyncExitStack() as stack,
    ):
        clients = [await stack.enter_async_context(raw(server.served.url)) for _ in range(2)]
        for _ in range(4):
            for client in clients:
                await client.send(request())
                assert (await client.answer()).status == 200
            clients.append(await stack.enter_async_context(raw(server.served.url)))
        assert len(server.served.connections) == 6


async def test_a_young_connection_makes_no_room(database: Database) -> None:
    limits = ConnectionLimits(young_s=60)
    async with (
        running_server(database, candles=0, limits=limits, address_connections=2) as server,
        connected(server, 5) as clients,
    ):
        for client in clients:
            await client.send(request())
            assert (await client.answer()).status == 200


async def test_at_the_cap_streams_stay_and_a_silent_connection_makes_room(database: Database) -> None:
    async with running_server(database, limits=PATIENT, max_connections=3) as server:
        session = await server.create()
        await server.client.aclose()
        await no_connections(server)
        async with connected(server, 3) as clients:
            for client in clients[:2]:
                await client.send(request(f"{SESSIONS}/{session['id']}/stream"))
                await client.reader.readuntil(b"caught_up")
            async with raw(server.served.url) as newcomer:
                assert await clients[2].closed(5) == b""
                await newcomer.send(request(SESSIONS))
                assert (await newcomer.answer()).status == 200
            assert len(server.served.streams) == 2


async def test_when_no_connection_can_be_closed_only_probes_are_answered(database: Database) -> None:
    limits = ConnectionLimits(over=10)
    async with running_server(database, limits=limits, max_connections=2) as server:
        session = await server.create()
        await server.client.aclose()
        await no_connections(server)
        async with connected(server, 2) as clients, AsyncExitStack() as stack:
            for client in clients:
                await client.send(request(f"{SESSIONS}/{session['id']}/stream"))
                await client.reader.readuntil(b"caught_up")
            for _ in range(50):
                await stack.enter_async_context(raw(server.served.url))
            for path, status in (("/healthz", 200), ("/readyz", 200), (SESSIONS, 503), ("/healthz", 200)):
                async with raw(server.served.url) as newcomer:
                    await newcomer.send(request(path))
                    assert (await newcomer.answer()).status == status
                    assert await newcomer.closed() == b""
            assert len(server.served.connections) <= 2 + limits.over
            assert len(server.served.streams) == 2


async def test_hostile_connections_cost_little_and_leave_nothing(database: Database, start_server: StartServer) -> None:
    """The small form of the test in `tests/chaos`, which looks at times too."""
    weather = await storm(database, start_server, count=300, seconds=4)
    weather.require_harmless(300)


async def test_among_hostile_connections_no_round_of_the_event_loop_is_long(database: Database) -> None:
    """What counts is the work of a round, not how long it takes: others may use the machine too."""
    rounds: list[float] = []

    async def watch() -> None:
        before = time.thread_time()
        while True:
            await asyncio.sleep(0.001)
            now = time.thread_time()
            rounds.append(now - before)
            before = now

    async with running_server(database, burst=1_000_000) as server:
        session = await server.create(replayMsPerCandle=50)
        async with hostile_clients(server.served.url, session["id"], 300, 4) as hostile:
            watching = asyncio.create_task(watch())
            output, _ = await hostile.communicate()
            watching.cancel()
    assert sum(json.loads(output)["opened"].values()) == 300
    assert sorted(rounds)[-3] < 0.05  # Two may have been collections of the test process's garbage.


async def test_a_trusted_proxys_connections_count_for_the_clients_it_names(database: Database) -> None:
    """Each sends a half body; what one client has too many of makes room, the other client's stay."""
    limits = replace(PATIENT, linger_s=0.2)
    async with running_server(
        database, candles=0, limits=limits, address_connections=2, trusted_proxies="127.0.0.1"
    ) as server:
        half = request(SESSIONS, "X-Forwarded-For: {}", "Content-Length: 9", method="POST").decode()
        async with AsyncExitStack() as stack:
            first, second, other, third = [await stack.enter_async_context(raw(server.served.url)) for _ in range(4)]
            for client, address in ((first, "1.1.1.1"), (second, "1.1.1.1"), (other, "2.2.2.2"), (third, "1.1.1.1")):
                await client.send(half.format(address).encode())
                await asyncio.sleep(0)
            assert await first.closed() == b""
            for client in (second, other, third):
                with pytest.raises(TimeoutError):
                    await client.closed(0.05)


async def test_postgres_stops_working_for_a_client_that_hung_up(database: Database) -> None:
    """The call waits for a lock, which it would do for a minute."""
    patient = replace(database, url=f"{database.url}&options=-clock_timeout%3D60s")
    async with running_server(patient, pool_size=2) as server:
        session, twin = await server.finished(), await server.finished()
        calls = ("events", f"diff/{twin['id']}", "stats", "equity", "export?what=events&format=csv", "orders")
        with psycopg.connect(database.owner_url) as other:
            other.execute("LOCK TABLE sim_events IN ACCESS EXCLUSIVE MODE")
            for call in calls:
                async with raw(server.served.url) as client:
                    await client.send(request(f"{SESSIONS}/{session['id']}/{call}"))
                    await waiting_queries(database, 1)
                await waiting_queries(database, 0)
            other.rollback()
        assert (await server.data("GET", f"{SESSIONS}/{session['id']}/events"))["lastSeq"] == session["lastSeq"]


async def waiting_queries(database: Database, count: int) -> None:
    """Wait until so many queries wait for a lock."""
    query = (
        "SELECT count(*) FROM pg_stat_activity"
        " WHERE datname = current_database() AND application_name = 'zeon' AND wait_event_type = 'Lock'"
    )
    deadline = time.monotonic() + 20
    while (waiting := (await asyncio.to_thread(database.query, query))[0][0]) != count:
        assert time.monotonic() < deadline, f"{waiting} queries wait"
