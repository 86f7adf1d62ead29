"""A real primary that dies, and its standby that is promoted, with sessions and streams on them."""

from __future__ import annotations

import asyncio

import pytest

from tests.support.client import SESSIONS, call, connect, follow
from tests.support.postgres import open_pool
from tests.support.replication import replicated
from tests.support.running_engine import MINUTE, START_MS, store
from tests.support.server_process import QUICK, StartServer, until
from tests.support.session_log import digest, read_log, row
from zeon import AsyncClient, LogShorterError

pytestmark = [pytest.mark.real, pytest.mark.timeout(300)]
CANDLES = 400
REQUEST = {"endMs": START_MS + CANDLES * MINUTE, "profileSlug": "sma_cross", "config": {"fast": 3, "slow": 8}}


async def test_with_a_synchronous_standby_a_failover_loses_nothing(start_server: StartServer) -> None:
    with replicated(synchronous=True) as (primary, standby):
        database = primary.new_database()
        here, either = standby.same_database(database), standby.either(database)
        async with open_pool(database) as side:
            await store(side, count=CANDLES)
        server = start_server(either, **QUICK)
        async with connect(server) as client:
            undisturbed = (await client.finished(**REQUEST))["id"]
            session_id = (await client.create(**REQUEST, replayMsPerCandle=10))["id"]
            await call(client, session_id, "start")
            following = asyncio.create_task(follow(client, session_id))
            await until(lambda: row(database, session_id, "last_seq") > 100)
            primary.kill()
            standby.promote_alone()
            await client.until(f"{SESSIONS}/{session_id}", "finished", timeout_s=60)
            seen = [event["seq"] for event in await following]
        assert seen == [event["seq"] for event in read_log(here, session_id)]
        assert digest(here, session_id) == digest(here, undisturbed)
        assert server.alive()


async def test_with_an_asynchronous_standby_a_client_is_told_that_its_log_is_shorter(start_server: StartServer) -> None:
    with replicated(synchronous=False) as (primary, standby):
        database = primary.new_database()
        here, either = standby.same_database(database), standby.either(database)
        async with open_pool(database) as side:
            await store(side, count=CANDLES)
        server = start_server(either, **QUICK)
        async with connect(server) as client, AsyncClient(server.url) as tailing:
            undisturbed = (await client.finished(**REQUEST))["id"]
            session_id = (await client.create(**REQUEST, replayMsPerCandle=20))["id"]
            await call(client, session_id, "start")
            seen: list[int] = []
            tail = asyncio.create_task(read(tailing, session_id, seen))
            await until(lambda: row(database, session_id, "last_seq") > 60)
            standby.cut_off()
            await until(lambda: row(here, session_id, "last_seq") > 0)
            had = row(here, session_id, "last_seq")
            await until(lambda: len(seen) > had + 30)
            primary.kill()
            standby.promote()
            last_seq = await tail
            assert had <= last_seq
            assert seen == list(range(1, len(seen) + 1))
            assert len(seen) > had
            await client.until(f"{SESSIONS}/{session_id}", "finished", timeout_s=60)
            after = [event["seq"] for event in await follow(client, session_id)]
        assert after == [event["seq"] for event in read_log(here, session_id)]
        assert digest(here, session_id) == digest(here, undisturbed)


async def read(client: AsyncClient, session_id: str, seen: list[int]) -> int:
    """Note what comes until the log is shorter, and return its last seq."""
    tail = client.tail(session_id)
    try:
        while True:
            seen.append((await anext(tail)).seq)
    except LogShorterError as error:
        return error.last_seq
