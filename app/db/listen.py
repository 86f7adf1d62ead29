"""The one LISTEN connection of a process. Notifications are hints: lost, doubled or late ones break nothing."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Any

import psycopg
from psycopg import sql

from app.db.pool import connect_options
from app.db.setup.connection_settings import repair
from app.errors import RunnerNameTakenError

CHANNELS = ("sim_events", "sim_control", "market_candles")

_log = logging.getLogger(__name__)


class Listener:
    """Hold the connection, pass every notification to `on_notify`, and reconnect after any error.

    `on_connect` runs after each (re)connect, because notifications sent before it were missed. With `name` the
    connection also holds the advisory lock of that runner name; `run` raises `RunnerNameTakenError` if another process
    holds the lock for longer than `patience_s`.
    """

    def __init__(
        self,
        url: str,
        *,
        on_notify: Callable[[str, str], None],
        on_connect: Callable[[], Awaitable[None]],
        name: str | None = None,
        patience_s: float = 15,
        idle_s: float = 5,
    ) -> None:
        self._url = url
        self._on_notify = on_notify
        self._on_connect = on_connect
        self._name = name
        self._patience_s = patience_s
        self._idle_s = idle_s
        self.connected = asyncio.Event()

    async def run(self) -> None:
        """Listen until cancelled; raises `RunnerNameTakenError`."""
        while True:
            try:
                await self._listen()
            except (psycopg.Error, OSError, TimeoutError) as error:
                _log.warning("listener lost its connection: %s", str(error).strip().partition("\n")[0])
            finally:
                self.connected.clear()
            await asyncio.sleep(0.2)

    async def _listen(self) -> None:
        options: dict[str, Any] = connect_options(self._url, "zeon listener")
        async with asyncio.timeout(10):
            opened = await psycopg.AsyncConnection.connect(self._url, **options)
        async with opened as connection:
            await repair(self._url, connection)
            if self._name is not None:
                await self._hold_name(connection, self._name)
            for channel in CHANNELS:
                await connection.execute(sql.SQL("LISTEN {}").format(sql.Identifier(channel)))
            await self._on_connect()
            self.connected.set()
            while True:
                async for notification in connection.notifies(timeout=self._idle_s):
                    self._on_notify(notification.channel, notification.payload)
                # A half-open socket is silent for hours; only a query shows it.
                async with asyncio.timeout(5):  # On CPython 3.11 `wait_for` can lose a cancellation.
                    await connection.execute("SELECT 1")

    async def _hold_name(self, connection: psycopg.AsyncConnection[Any], name: str) -> None:
        deadline = asyncio.get_running_loop().time() + self._patience_s
        while True:
            cursor = await connection.execute(
                "SELECT pg_try_advisory_lock(sim_lock_key('runner', %s)) AS held", (name,)
            )
            row = await cursor.fetchone()
            if row is not None and row["held"]:
                return
            if asyncio.get_running_loop().time() > deadline:
                raise RunnerNameTakenError(f"Another living process runs as {name!r}; set ZEON_RUNNER to another name.")
            await asyncio.sleep(0.25)
