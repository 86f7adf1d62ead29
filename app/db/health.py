"""The state of a database and of the servers on it."""

from __future__ import annotations

import asyncio
import time
from typing import NamedTuple
from uuid import uuid4

import psycopg

from app.db.listen import Listener
from app.db.pool import Connection, Database, connect_options
from app.db.setup.connection_settings import FIXED, LIMITS, MARK, NAMES, READ, differences

_RIGHTS = ("SELECT", "INSERT", "UPDATE", "DELETE", "TRUNCATE")


class RunnerInfo(NamedTuple):
    """A server process: its name, ms since its last sign of life, whether it counts as alive, its running sessions.

    `strategies` are those it knows; null if it has not stored them.
    """

    name: str
    silent_ms: int
    alive: bool
    running: int
    strategies: list[str] | None


async def count_by_status(connection: Connection) -> dict[str, int]:
    """Return how many sessions there are with each status, of all users."""
    cursor = await connection.execute("SELECT status, count(*) AS sessions FROM sim_sessions GROUP BY status")
    return {row["status"]: row["sessions"] async for row in cursor}


async def version(connection: Connection) -> int:
    """Return the server's version as a number, 180004 for 18.4."""
    return connection.info.server_version


async def skew_ms(connection: Connection) -> float:
    """Return by how many ms the database's clock is ahead of this process's, best of three."""
    samples = [await _measure_skew(connection) for _ in range(3)]
    return min(samples)[1]


async def lost_settings(url: str) -> list[str]:
    """Return the settings of this address that do not reach Postgres, because a pooler drops them.

    Connections of Postgres that the pooler keeps may have them from another client; a new one will not.
    """
    options = connect_options(url, "zeon doctor")
    options["options"] += f" -c {MARK}=sent"
    async with await psycopg.AsyncConnection.connect(url, **options) as connection:
        rows = await (await connection.execute(READ, [[*NAMES, MARK]])).fetchall()
    levels = {row["name"]: row["current_setting"] for row in rows}
    lost = set() if levels[MARK] == "sent" else {*LIMITS}
    return sorted(lost | differences(url, levels.items()).keys() & {*FIXED, *LIMITS})


async def event_rights(connection: Connection) -> set[str]:
    """Return the rights of the serving role on events."""
    cursor = await connection.execute(
        "SELECT p FROM unnest(%s::text[]) p WHERE has_table_privilege('sim_events', p)", (list(_RIGHTS),)
    )
    return {row["p"] for row in await cursor.fetchall()}


async def list_runners(connection: Connection) -> list[RunnerInfo]:
    """List the server processes the database knows of, by name."""
    cursor = await connection.execute(
        """
        SELECT r.name, (extract(epoch FROM clock_timestamp() - r.seen_at) * 1000)::bigint AS silent_ms,
               sim_runner_alive(r.seen_at, r.ttl) AS alive,
               (SELECT count(*) FROM sim_sessions s
                WHERE s.status = 'running' AND s.runner = r.name AND s.incarnation = r.incarnation) AS running,
               r.strategies
        FROM sim_runners r ORDER BY r.name
        """
    )
    return [RunnerInfo(**row) for row in await cursor.fetchall()]


async def orphans(connection: Connection) -> int:
    """Count the sessions marked running that no living process runs."""
    cursor = await connection.execute(
        """
        SELECT count(*) AS orphans FROM sim_sessions s
        WHERE s.status = 'running' AND NOT EXISTS (
          SELECT FROM sim_runners r
          WHERE r.name = s.runner AND r.incarnation = s.incarnation AND sim_runner_alive(r.seen_at, r.ttl))
        """
    )
    row = await cursor.fetchone()
    assert row is not None
    return int(row["orphans"])


async def round_trip_ms(database: Database, listen_url: str, *, patience_s: float = 5) -> float | None:
    """Return how long a notification takes from the pool to a listener, best of three; null when none comes in time."""
    arrived, hint = asyncio.Event(), f"doctor:{uuid4().hex}:1m"

    async def nothing() -> None:
        """Do nothing: no notification can have been missed."""

    listener = Listener(
        listen_url, on_notify=lambda _, payload: arrived.set() if payload == hint else None, on_connect=nothing
    )
    listening = asyncio.create_task(listener.run())
    try:
        async with asyncio.timeout(patience_s):
            await listener.connected.wait()
            return min([await _round_trip_ms(database, hint, arrived) for _ in range(3)])
    except TimeoutError:
        return None
    finally:
        listening.cancel()
        await asyncio.gather(listening, return_exceptions=True)


async def _round_trip_ms(database: Database, hint: str, arrived: asyncio.Event) -> float:
    arrived.clear()
    began = time.perf_counter()
    await database.run(_notify, hint)
    await arrived.wait()
    return (time.perf_counter() - began) * 1000


async def _notify(connection: Connection, payload: str) -> None:
    await connection.execute("SELECT sim_notify('market_candles', %s)", (payload,))


async def _measure_skew(connection: Connection) -> tuple[float, float]:
    """Return how long the query took, and the clock difference at its middle; both in ms."""
    before = time.time()
    cursor = await connection.execute("SELECT extract(epoch FROM clock_timestamp())::float8 AS now")
    row = await cursor.fetchone()
    after = time.time()
    assert row is not None
    return (after - before) * 1000, (row["now"] - (before + after) / 2) * 1000
