"""`zeon serve --workers`: processes that share port, limits and metrics, and are replaced without a gap in a log."""

from __future__ import annotations

import asyncio
import re
import signal
from contextlib import AsyncExitStack, suppress

import psutil

from tests.support.client import BODY, SESSIONS, Client, Stream, connect, follow, run_unpaced
from tests.support.postgres import Database, open_pool
from tests.support.running_engine import MINUTE, START_MS, store
from tests.support.server_process import QUICK, ServerProcess, StartServer, until

STREAMS = 16
CANDLES = 2000


def workers(server: ServerProcess) -> dict[int, psutil.Process]:
    """The worker processes by their number."""
    found = {}
    for child in psutil.Process(server.pid).children():
        with suppress(psutil.NoSuchProcess):
            arguments = child.cmdline()
            if "app.web.workers.worker" in arguments:
                found[int(arguments[3])] = child
    return found


def alive(database: Database) -> set[str]:
    """The runner names that have given a sign of life within a second."""
    rows = database.query("SELECT name FROM sim_runners WHERE seen_at > clock_timestamp() - interval '1 s'")
    return {name.rpartition("/")[2] for (name,) in rows}


def runner_of(database: Database, session_id: str) -> str | None:
    [(runner,)] = database.query("SELECT runner FROM sim_sessions WHERE id = %s AND status = 'running'", session_id)
    return runner and runner.rpartition("/")[2]


async def figure(client: Client, name: str) -> float:
    """A figure of the merged metrics."""
    text = (await client.call("GET", "/metrics")).text
    return float(re.search(rf"^{name} (\S+)$", text, re.MULTILINE)[1])


async def open_streams(stack: AsyncExitStack, server: ServerProcess, session_id: str) -> list[Stream]:
    """Open as many streams as a user may have, each on a connection of its own."""
    streams = []
    for _ in range(STREAMS):
        client = await stack.enter_async_context(connect(server))
        streams.append(await stack.enter_async_context(client.stream(session_id)))
        assert streams[-1].response.status_code == 200
    return streams


async def test_workers_share_a_port_and_are_replaced_without_a_gap_in_a_log(
    database: Database, start_server: StartServer
) -> None:
    async with open_pool(database) as pool:
        await store(pool, count=CANDLES)
    server = start_server(database, workers=2, ZEON_USER_STREAMS=STREAMS, **QUICK)
    await until(lambda: alive(database) == {"1", "2"})
    async with connect(server) as client:
        paced = {**BODY, "endMs": START_MS + CANDLES * MINUTE, "replayMsPerCandle": 20}
        session_id = (await client.data("POST", SESSIONS, paced, status=201))["id"]
        await client.data("POST", f"{SESSIONS}/{session_id}/start")

        # Streams are spread; limit and metrics count those of both workers.
        async with AsyncExitStack() as stack:
            await open_streams(stack, server, session_id)
            for worker in workers(server).values():
                assert sum(
                    each.status == "ESTABLISHED" and each.laddr.port == server.port for each in worker.net_connections()
                )
            await client.refused(429, "GET", f"{SESSIONS}/{session_id}/stream")
            assert await figure(client, "zeon_streams_open") == STREAMS
            assert await figure(client, "zeon_sessions_running") == 1

        # A worker that is killed comes back under its name.
        following = asyncio.ensure_future(follow(client, session_id))
        number = int(runner_of(database, session_id) or 0)
        killed = workers(server)[number]
        killed.kill()
        await until(lambda: workers(server).get(number, killed).pid != killed.pid)
        await until(lambda: alive(database) == {"1", "2"})
        await client.until(f"{SESSIONS}/{session_id}", "paused")  # As ZEON_ON_ORPHAN says.
        await client.data("POST", f"{SESSIONS}/{session_id}/resume")

        # A restart of one after the other pauses nothing.
        before = workers(server)
        server.signal(signal.SIGHUP)
        await until(lambda: not {p.pid for p in before.values()} & {p.pid for p in workers(server).values()}, 60)
        await until(lambda: alive(database) == {"1", "2"} and runner_of(database, session_id))
        await run_unpaced(client, session_id)
        log = await following
    assert [event["seq"] for event in log] == list(range(1, len(log) + 1))
    assert sum(event["type"] == "candle" for event in log) == CANDLES
    changes = [event["payload"]["reason"] for event in log if event["type"] == "status"]
    assert changes[:3] == ["started", "runner lost", "resumed"]
    assert set(changes[3:-1]) <= {"server stopped", "claimed"}
    assert changes[3:-1]

    # The workers end with their parent, however that ends.
    left = list(workers(server).values())
    psutil.Process(server.pid).kill()
    assert not psutil.wait_procs(left, timeout=10)[1]
