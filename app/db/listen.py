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
from app.errors import RunnerNameTakenError, UnavailableError

CHANNELS = ("sim_events", "sim_control", "market_candles")

Connection = psycopg.AsyncConnection[Any]

_log = logging.getLogger(__name__)


class Listener:
    """Hold the connection, pass every notification to `on_notify`, and reconnect after any error.

    `on_connect` runs after each (re)connect, because notifications sent before it were missed. With `name` the
    connection also holds the advisory lock of that runner name. If another connection holds it, `may_have_name` says
    whether that is a leftover; `run` raises `RunnerNameTakenError` if it is none after `patience_s`. Behind a pooler
    the lock could stay in the pooler's connection, so it is not taken, and only `may_have_name` is asked.
    """

    def __init__(
        self,
        url: str,
        *,
        on_notify: Callable[[str, str], None],
        on_connect: Callable[[], Awaitable[None]],
        name: str | None = None,
        may_have_name: Callable[[], Awaitable[bool]] | None = None,
        patience_s: float = 15,
        idle_s: float = 5,
    ) -> None:
        self._url = url
        self._on_notify = on_notify
        self._on_connect = on_connect
        self._name = name
        self._may_have_name = may_have_name
        self._patience_s = patience_s
        self._idle_s = idle_s
        self.connected = asyncio.Event()
        self.connects = 0
        """How often it has connected."""
        self.shared = False
        """Whether a pooler has given this connection more than one connection of Postgres."""

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
            pid = await _backend_pid(connection)
            if self._name is not None:
                await self._have_name(self._name, connection if pid == connection.info.backend_pid else None)
            for channel in CHANNELS:
                await connection.execute(sql.SQL("LISTEN {}").format(sql.Identifier(channel)))
            await self._on_connect()
            self.connects += 1
            self.connected.set()
            while True:
                async for notification in connection.notifies(timeout=self._idle_s):
                    self._on_notify(notification.channel, notification.payload)
                # A half-open socket is silent for hours; only a query shows it.
                async with asyncio.timeout(5):  # On CPython 3.11 `wait_for` can lose a cancellation.
                    self.shared = await _backend_pid(connection) != pid

    async def _have_name(self, name: str, connection: Connection | None) -> None:
        """Wait until this process may use its name; with a `connection` of its own it locks the name, too."""
        deadline = asyncio.get_running_loop().time() + self._patience_s
        while True:
            if connection is not None and await _lock_name(connection, name):
                return
            late = asyncio.get_running_loop().time() > deadline
            if (late or connection is None or self.connects) and await self._is_leftover():
                if connection is not None:
                    _log.warning("a connection of a server that is gone holds the lock of the name %s; going on", name)
                return
            if late:
                raise RunnerNameTakenError(f"Another living process runs as {name!r}; set ZEON_RUNNER to another name.")
            await asyncio.sleep(0.25)

    async def _is_leftover(self) -> bool:
        """Whether no other process uses the name; raises `TimeoutError` if the database is too busy to answer."""
        try:
            return self._may_have_name is not None and await self._may_have_name()
        except UnavailableError as error:
            raise TimeoutError(error.message) from error


async def send_probe(connection: Connection, payload: str) -> bool:
    """Send a notification on `sim_control`; false if `zeon.notify` turns them off."""
    query = "SELECT sim_notify('sim_control', %s), current_setting('zeon.notify', true) = 'off' AS off"
    row = await (await connection.execute(query, (payload,))).fetchone()
    return row is not None and not row["off"]


async def _lock_name(connection: Connection, name: str) -> bool:
    cursor = await connection.execute("SELECT pg_try_advisory_lock(sim_lock_key('runner', %s)) AS held", (name,))
    row = await cursor.fetchone()
    return row is not None and bool(row["held"])


async def _backend_pid(connection: Connection) -> int:
    """Return the pid of the process of Postgres; a pooler invents the one of `connection.info`."""
    row = await (await connection.execute("SELECT pg_backend_pid() AS pid")).fetchone()
    assert row is not None
    return int(row["pid"])
