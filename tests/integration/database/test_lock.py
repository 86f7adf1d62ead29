"""The lock for what only one process at a time may do."""

from __future__ import annotations

import asyncio

import pytest

from app.db.lock import exclusive
from app.db.pool import Database
from app.errors import BusyError
from tests.support import postgres


async def test_a_lock_is_held_for_as_long_as_its_block_takes(database: postgres.Database) -> None:
    """The transaction that holds it is idle for longer than other transactions may be."""
    pool = Database(f"{database.url}&options=-cidle_in_transaction_session_timeout%3D100ms", size=2)
    await pool.open()
    async with exclusive(pool, "it"):
        await asyncio.sleep(0.3)
        with pytest.raises(BusyError):
            async with exclusive(pool, "it", patience_s=1):
                pass
    async with exclusive(pool, "it"):
        pass
    await pool.close()
