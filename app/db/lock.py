"""Locks for what only one process at a time may do in a database."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from app.db.pool import Connection, Database


@asynccontextmanager
async def exclusive(database: Database, name: str, *, patience_s: int = 60) -> AsyncIterator[None]:
    """Hold the lock of this name, so that other processes wait; it always ends with its connection.

    Raises `BusyError` if another process holds the lock for longer than `patience_s`.
    """
    locked, done = asyncio.Event(), asyncio.Event()

    async def hold(connection: Connection) -> None:
        async with connection.transaction():
            settings = (
                "set_config('lock_timeout', %s, true), set_config('idle_in_transaction_session_timeout', '0', true)"
            )
            await connection.execute(f"SELECT {settings}", (f"{patience_s}s",))
            await connection.execute("SELECT pg_advisory_xact_lock(sim_lock_key('exclusive', %s))", (name,))
            locked.set()
            await done.wait()

    holding = asyncio.create_task(database.run(hold))
    holding.add_done_callback(lambda _: locked.set())
    try:
        await locked.wait()
        if not holding.done():
            yield
    finally:
        done.set()
        await holding
