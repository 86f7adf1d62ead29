"""The connection pool of a process, and the options of every connection."""

from __future__ import annotations

import asyncio
import json
import logging
import math
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from contextvars import ContextVar
from datetime import datetime
from functools import partial
from types import SimpleNamespace
from typing import Any, Concatenate, NamedTuple, ParamSpec, TypeVar

import psycopg
from psycopg.adapt import AdaptersMap
from psycopg.rows import DictRow, dict_row
from psycopg.types.json import set_json_loads
from psycopg_pool import AsyncConnectionPool, PoolClosed, PoolTimeout
from sqlalchemy.dialects.postgresql.psycopg import PGDialect_psycopg
from sqlalchemy.engine import Compiled
from sqlalchemy.sql import ClauseElement

from app.db.errors import connect_error, translate_errors
from app.db.setup.connection_settings import repair, startup_options
from app.domain.number import DecimalFloat
from app.errors import BusyError, SimError, UnavailableError

_log = logging.getLogger(__name__)

P = ParamSpec("P")
T = TypeVar("T")

Connection = psycopg.AsyncConnection[DictRow]

DataError = psycopg.DataError | psycopg.IntegrityError | psycopg.ProgrammingError | psycopg.NotSupportedError
"""Errors of Postgres about the data, as opposed to a lost connection."""

Rollback = psycopg.Rollback
"""Raise it inside `connection.transaction()` to undo the transaction; it does not leave the block."""

ValueRefused = psycopg.DataError
"""The data errors that a caller's value can cause: out of range, not text, no date."""

_RETRIED = (psycopg.errors.DeadlockDetected, psycopg.errors.SerializationFailure)
_NOT_PREPARED = (psycopg.errors.InvalidSqlStatementName, psycopg.errors.DuplicatePreparedStatement)
"""A pooler has passed a statement to another connection of Postgres than the one that prepared it."""
_BINDS = "exec_bind_message"
"""Where Postgres refuses values that another statement of the same name would take."""
_PREPARE_AFTER = 5
"""How often a connection executes a statement before it prepares it."""
_CHANGED_RESULT = "RevalidateCachedQuery"
"""Where Postgres refuses a prepared statement whose result has other columns since an update of the database."""
_UNFIT = (psycopg.errors.ReadOnlySqlTransaction, psycopg.errors.FeatureNotSupported)
"""After these a new connection may do better: to the primary, or without the statements prepared before."""
_DIALECT = PGDialect_psycopg()  # type: ignore[no-untyped-call]


_CANCEL_S = 5
"""How long cancelling a query may take."""
_cancels: ContextVar[bool] = ContextVar("cancels", default=False)
_OPEN_S = 15.0
"""How long opening the pool waits for a first connection, in seconds."""
_PROBE_S = 2
"""Seconds in which a database must answer an attempt to connect that tells whether it is away."""
_WAIT_S = 5
"""Seconds that a call waits for a connection, as long as for a lock; then the answer is 503 `busy`."""
_ADAPTERS = SimpleNamespace(adapters=AdaptersMap(psycopg.adapters), connection=None)
"""How values are read: numbers in JSON keep their text, which may have more digits than a float can hold."""
set_json_loads(partial(json.loads, parse_float=DecimalFloat), _ADAPTERS)


def connect_options(url: str, application_name: str) -> dict[str, Any]:
    """Return the options of every connection: its name, and its settings (see `connection_settings`)."""
    return {
        "application_name": application_name,
        "options": startup_options(url),
        "client_encoding": "UTF8",
        "connect_timeout": 5,
        "autocommit": True,
        "prepare_threshold": None,
        "context": _ADAPTERS,
        "row_factory": dict_row,
    }


@contextmanager
def cancelling_queries() -> Iterator[None]:
    """Let Postgres stop a query when its caller is cancelled in this block; otherwise it goes on to its end."""
    token = _cancels.set(True)
    try:
        yield
    finally:
        _cancels.reset(token)


class PoolUsage(NamedTuple):
    """The connections of a pool, those in use, and the calls that wait for one."""

    open: int
    used: int
    waiting: int


class Database:
    """The pool and its one method `run`, which is safe when callers are cancelled.

    On CPython 3.11 a task that is cancelled while it waits for a pooled connection, or returns one, can block the pool
    for ever. So only tasks that this object owns use the pool: a cancelled caller stops waiting for its task, and the
    task ends by itself.
    """

    def __init__(
        self, url: str, *, size: int, application_name: str = "zeon", wait_s: float = _WAIT_S, open_s: float = _OPEN_S
    ) -> None:
        self.url = url
        self._size = size
        self._open_s = open_s
        self._tasks: set[asyncio.Task[Any]] = set()
        self._at_work: dict[asyncio.Task[Any], Connection] = {}
        self._cancelling: dict[asyncio.Task[Any], asyncio.Future[None]] = {}
        self._lent = 0
        self._wait_s = wait_s
        self._last_lent_s = -math.inf
        self._refused: psycopg.Error | None = None
        self._probe: asyncio.Task[bool] | None = None
        self._server_started: datetime | None = None
        self._on_other_server: list[Callable[[], None]] = []
        self.prepares = True
        """Whether connections prepare statements; not any more once a pooler is noticed."""
        connection_class = _noting_refusals(self._note_refusal)
        self._connect = connection_class.connect
        self._pool: AsyncConnectionPool[Connection] = AsyncConnectionPool(
            url,
            min_size=min(2, size),
            max_size=size,
            timeout=wait_s,
            max_lifetime=3600,
            reconnect_timeout=60,
            kwargs=connect_options(url, application_name),
            connection_class=connection_class,
            configure=self._configure,
            open=False,
            name=application_name,
        )

    @property
    def usage(self) -> PoolUsage:
        """How much of the pool is in use at the moment."""
        figures = self._pool.get_stats()
        return PoolUsage(figures["pool_size"], self._lent, figures["requests_waiting"])

    async def open(self) -> None:
        """Open the pool; raises `DatabaseAwayError` if no connection succeeds.

        On any error the pool is closed: its workers treat a cancellation while they connect as one more failed
        attempt, so without `close` the event loop would wait for them for ever.
        """
        try:
            with self._translate_errors():
                await self._pool.open(wait=True, timeout=self._open_s)
        except BaseException:
            await self._pool.close(timeout=1)
            raise

    def on_other_server(self, call: Callable[[], None]) -> None:
        """Call a function when a connection leads to a server that was started anew, or to another one.

        It runs before the first query on that connection.
        """
        self._on_other_server.append(call)

    async def _configure(self, connection: Connection) -> None:
        """Repair a new connection's settings, and notice another server or a pooler.

        A pooler gives its clients process numbers of its own. Two of its clients would give different statements one
        name, and could each run the other's.
        """
        await repair(self.url, connection)
        query = "SELECT pg_postmaster_start_time() AS started, pg_backend_pid() AS pid"
        row = await (await connection.execute(query, prepare=False)).fetchone()
        assert row is not None
        if row["pid"] != connection.info.backend_pid:
            self._stop_preparing()
        before, self._server_started = self._server_started, row["started"]
        if before not in (None, row["started"]):
            for call in self._on_other_server:
                call()

    async def close(self) -> None:
        """Wait up to a second for running calls, then close every connection."""
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=1)
        await self._pool.close(timeout=1)

    async def run(
        self, work: Callable[Concatenate[Connection, P], Awaitable[T]], *args: P.args, **kwargs: P.kwargs
    ) -> T:
        """Run `work(connection, …)` on a pooled connection in autocommit; deadlocks are retried.

        Raises our error for the driver's (see `translate_errors`), or `UnavailableError`.
        """
        task = asyncio.ensure_future(self._run(work, *args, **kwargs))
        self._tasks.add(task)
        task.add_done_callback(self._done)
        try:
            return await asyncio.shield(task)
        except asyncio.CancelledError:
            if _cancels.get():
                self._cancel(task)
            raise

    def _cancel(self, task: asyncio.Task[Any]) -> None:
        """Let Postgres stop what a task has asked it."""
        if (connection := self._at_work.get(task)) and task not in self._cancelling:
            self._cancelling[task] = asyncio.ensure_future(connection.cancel_safe(timeout=_CANCEL_S))

    def _done(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        if not task.cancelled():
            task.exception()  # Retrieve it here too: the caller may have been cancelled.

    async def _run(
        self, work: Callable[Concatenate[Connection, P], Awaitable[T]], *args: P.args, **kwargs: P.kwargs
    ) -> T:
        with self._translate_errors():
            for _ in range(4):
                try:
                    async with self._connection() as connection, self._noted(connection):
                        return await work(connection, *args, **kwargs)
                except _RETRIED:
                    await asyncio.sleep(0.01)
                except _NOT_PREPARED:
                    self._stop_preparing()
                except psycopg.errors.ProtocolViolation as error:
                    if error.diag.source_function != _BINDS:
                        raise
                    self._stop_preparing()
                except psycopg.errors.FeatureNotSupported as error:
                    if error.diag.source_function != _CHANGED_RESULT:
                        raise
            async with self._connection() as connection, self._noted(connection):
                return await work(connection, *args, **kwargs)

    @asynccontextmanager
    async def _noted(self, connection: Connection) -> AsyncIterator[None]:
        """Note which connection a task uses. One whose query is being cancelled is kept until that is done.

        Otherwise the cancellation could meet the query of the next one who gets the connection.
        """
        task = asyncio.current_task()
        assert task is not None
        self._at_work[task] = connection
        try:
            yield
        except _UNFIT:
            await connection.close()
            raise
        finally:
            del self._at_work[task]
            if cancelling := self._cancelling.pop(task, None):
                await asyncio.wait([cancelling])
                cancelling.exception()

    @asynccontextmanager
    async def _connection(self) -> AsyncIterator[Connection]:
        """Yield a connection, but none that the server closed while it was idle, for example in a restart.

        The pool's own check would wait longer after each closed connection.
        """
        for _ in range(self._size):
            async with self._lend() as connection:
                if not _is_closed(connection):
                    yield connection
                    return
                await connection.close()
        async with self._lend() as connection:
            yield connection

    @asynccontextmanager
    async def _lend(self) -> AsyncIterator[Connection]:
        """Yield a connection of the pool and count those in use."""
        async with AsyncExitStack() as stack:
            try:
                connection = await stack.enter_async_context(self._pool.connection())
            except PoolTimeout as error:
                raise await self._no_connection() from error
            connection.prepare_threshold = _PREPARE_AFTER if self.prepares else None
            self._lent += 1
            try:
                yield connection
            finally:
                self._lent -= 1
                self._last_lent_s = time.monotonic()

    @contextmanager
    def _translate_errors(self) -> Iterator[None]:
        """Like `translate_errors`, and for the pool's own errors."""
        with translate_errors():
            try:
                yield
            except PoolTimeout as error:  # While the pool was opened.
                raise connect_error(self._refused) from error
            except PoolClosed as error:
                raise UnavailableError("The server is shutting down.") from error

    async def _no_connection(self) -> SimError:
        """Return the error of a call that has waited for a connection in vain.

        If connections were used meanwhile, there were too few. Otherwise one more attempt shows whether the database
        answers now: it may have come back while the pool was waiting, or this process may have been suspended.
        """
        used = self._lent or time.monotonic() - self._last_lent_s < self._wait_s
        if not (used and (self._lent or self._refused is None)):
            if self._probe is None:
                self._probe = asyncio.create_task(self._try_to_connect())
            if not await asyncio.shield(self._probe):
                return connect_error(self._refused)
        return BusyError("All connections to the database are in use; try again.")

    async def _try_to_connect(self) -> bool:
        """Whether the database accepts a connection and answers on it; callers share one attempt."""
        options = {**connect_options(self.url, "zeon probe"), "connect_timeout": _PROBE_S}
        try:
            async with asyncio.timeout(_PROBE_S), await self._connect(self.url, **options) as one:
                await one.execute("SELECT 1", prepare=False)
        except (psycopg.Error, TimeoutError):
            return False
        finally:
            self._probe = None
        return True

    def _note_refusal(self, error: psycopg.Error | None) -> None:
        """Note why the last attempt to connect failed; null if it succeeded."""
        self._refused = error

    def _stop_preparing(self) -> None:
        if self.prepares:
            self.prepares = False
            _log.warning(
                "A pooler between this server and Postgres may give each transaction another connection,"
                " so no statement is prepared. It is faster with a direct address."
            )


def _noting_refusals(note: Callable[[psycopg.Error | None], None]) -> type[Connection]:
    """Return a class of connections that reports why connecting failed; the pool itself only logs it."""

    class Noting(psycopg.AsyncConnection[DictRow]):
        @classmethod
        async def connect(cls, *args: Any, **kwargs: Any) -> Any:
            try:
                connection = await super().connect(*args, **kwargs)
            except psycopg.Error as error:
                note(error)
                raise
            note(None)
            return connection

    return Noting


def _is_closed(connection: Connection) -> bool:
    """Whether the server has closed an idle connection; the socket shows it without a query."""
    try:
        connection.pgconn.consume_input()  # Read what the server sent before it closed.
        connection.pgconn.consume_input()
    except psycopg.OperationalError:
        return True
    return False


class ConnectionPool:
    """Connections outside the pool, `size` at most, for work that waits for other hosts, such as fetching."""

    def __init__(self, url: str, *, size: int, application_name: str = "zeon fetch") -> None:
        self._url = url
        self._name = application_name
        self._free = asyncio.Semaphore(size)
        self._idle: list[Connection] = []

    @asynccontextmanager
    async def lend(self) -> AsyncIterator[Connection]:
        """Lend a connection in autocommit; after an error it is closed. Raises what `Database.run` raises."""
        async with self._free:
            with translate_errors():
                connection = self._idle.pop() if self._idle else await self._connect()
                try:
                    yield connection
                except BaseException:
                    await connection.close()
                    raise
            self._idle.append(connection)

    async def close(self) -> None:
        """Close the connections that are not lent."""
        while self._idle:
            await self._idle.pop().close()

    async def _connect(self) -> Connection:
        connection = await psycopg.AsyncConnection.connect(self._url, **connect_options(self._url, self._name))
        await repair(self._url, connection)
        return connection


async def execute(connection: Connection, statement: ClauseElement) -> psycopg.AsyncCursor[DictRow]:
    """Run a SQLAlchemy Core statement on a psycopg connection."""
    compiled = _compile(statement)
    return await connection.execute(str(compiled).encode(), compiled.params)


def _compile(statement: ClauseElement) -> Compiled:
    return statement.compile(dialect=_DIALECT, compile_kwargs={"render_postcompile": True})


class CompiledStatement:
    """A SQLAlchemy Core statement with `bindparam`s for frequent use: to compile it takes longer than to run it."""

    def __init__(self, statement: ClauseElement) -> None:
        compiled = _compile(statement)
        self._query = str(compiled).encode()
        self._values = compiled.params

    async def run(self, connection: Connection, **values: Any) -> psycopg.AsyncCursor[DictRow]:
        """Run it on a psycopg connection with the values of its parameters."""
        return await connection.execute(self._query, {**self._values, **values})
