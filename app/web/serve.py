"""Run a server: open database, engine and HTTP, and close them in reverse order."""

from __future__ import annotations

import asyncio
import logging
import resource
import signal
import socket
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from contextlib import AsyncExitStack, ExitStack, asynccontextmanager, contextmanager, suppress
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

import uvicorn
import uvloop

from app.clock import Clock
from app.db.pool import Database
from app.db.setup.location import DatabaseLocation, installed_location
from app.engine import garbage_collection
from app.engine.session_service import SessionService
from app.engine.supervisor import Supervisor
from app.errors import BadInputError
from app.settings import Settings, default_runner
from app.web.app import create_app
from app.web.http.auth import require_safe_bind
from app.web.http.budgets import Budgets
from app.web.http.client_address import TrustedProxies
from app.web.http.event_stream import Streams
from app.web.unix_socket import unix_socket
from app.web.wire.connections import ConnectionLimits, Connections
from app.web.wire.protocol import Protocol
from app.web.workers.metrics import WorkerMetrics
from app.web.workers.place import SharedMemory, WorkerPlace

if TYPE_CHECKING:  # The libraries behind it are loaded only for ZEON_AUTH=jwt.
    from app.web.identity.jwt_tokens import JwtVerifier

_GRACE_S = 1
"""Seconds that open requests may continue when the server stops."""
_OTHER_CONNECTIONS = 1000
"""Connections besides streams that an unlimited process should have descriptors for."""
_RESERVED_FILES = 256
"""Descriptors for files, strategy processes and probes; those for Postgres come on top."""
_MANY_FILES = 1_000_000
"""The limit on open files to assume if the system has none."""

_MAX_MESSAGE = 65_536
"""Most bytes of a message on a WebSocket."""

_log = logging.getLogger(__name__)


class RunningServer:
    """A running server and its address."""

    def __init__(
        self,
        url: str,
        sim: SessionService,
        streams: Streams,
        budgets: Budgets,
        connections: Connections,
        supervisor: Supervisor,
        http: asyncio.Task[None],
    ):
        self.url = url
        self.sim = sim
        self.streams = streams
        self.budgets = budgets
        self.connections = connections
        self._supervisor = supervisor
        self._http = http

    def hand_over(self) -> None:
        """Let other servers continue the sessions when this one stops."""
        self._supervisor.hands_over = True

    async def wait(self) -> None:
        """Wait until the server ends by itself; raises the error that ended it."""
        done, _ = await asyncio.wait((self._http, self._supervisor.failed), return_when=asyncio.FIRST_COMPLETED)
        for future in done:
            future.result()


class _Server(uvicorn.Server):
    """uvicorn without its signal handlers; `started_up` is set after the start, `shutdown` first ends the streams."""

    def __init__(self, config: uvicorn.Config, streams: Streams) -> None:
        super().__init__(config)
        self._streams = streams
        self.started_up = asyncio.Event()

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.started_up.set()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self._streams.close()
        await super().shutdown(sockets)


def serve(settings: Settings, on_ready: Callable[[str], None] = lambda _: None) -> None:
    """Serve until SIGINT or SIGTERM; call `on_ready` with the address once the server answers.

    At the end the process's sessions are paused, or released for other processes. Raises `SimError` if the server
    cannot start, or the error that ended it.
    """
    until_interrupted(_serve(settings, on_ready))


def until_interrupted(work: Coroutine[Any, Any, None]) -> None:
    """Run a coroutine that uses `run_server` until it ends, or until SIGINT or SIGTERM, which is not an error."""
    garbage_collection.tune_gc()
    with (
        _sigterm_as_interrupt(),
        suppress(KeyboardInterrupt),
        asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner,
    ):
        runner.run(work)


@asynccontextmanager
async def run_server(
    settings: Settings, limits: ConnectionLimits | None = None, *, worker: WorkerPlace | None = None
) -> AsyncIterator[RunningServer]:
    """Run a server until the block ends; `PORT` 0 uses a free port. `limits` replaces the default time limits.

    A `worker` shares port, limits and metrics with others.
    """
    require_safe_bind(settings)
    async with AsyncExitStack() as stack:
        listening = stack.enter_context(bind(settings, shared=worker is not None))
        settings = _with_port(settings, listening)
        connections = Connections(_connection_limits(settings, limits or ConnectionLimits(), worker))
        clock = Clock()
        location = stack.enter_context(installed_location(settings))
        jwts = await stack.enter_async_context(_jwt_verifier(settings, clock))
        database = await stack.enter_async_context(_pool(location, "zeon", settings.pool_size))
        # Ticks and streams have their own connections, so that a call that takes seconds does not delay them.
        engine = await stack.enter_async_context(_pool(location, "zeon engine", settings.pool_size))
        probe = await stack.enter_async_context(_pool(location, "zeon probe", 1))
        supervisor = Supervisor(engine, settings, listen_url=location.listen_url, clock=clock)
        stack.push_async_callback(supervisor.close)
        await supervisor.open()
        sim = SessionService(database, settings, clock, supervisor)
        streams, budgets = _limits_of_users(settings, worker)
        app = create_app(settings, sim, supervisor, streams, budgets, clock, connections, probe, jwts, worker)
        server = _Server(_config(app, connections, TrustedProxies(settings.trusted_proxies)), streams)
        http = await stack.enter_async_context(_run_http(server, listening))
        if worker is not None:
            await stack.enter_async_context(WorkerMetrics(worker, supervisor.metrics.registry).serving())
        yield RunningServer(url_of(settings), sim, streams, budgets, connections, supervisor, http)


@asynccontextmanager
async def _jwt_verifier(settings: Settings, clock: Clock) -> AsyncIterator[JwtVerifier | None]:
    """Open what checks JWTs; null if `ZEON_AUTH` has no jwt."""
    if "proxy" in settings.auth and settings.socket is None and not settings.trusted_proxies:
        _log.warning("ZEON_AUTH=proxy: ZEON_TRUSTED_PROXIES names no proxy, so no user's header counts")
    if "jwt" not in settings.auth:
        yield None
        return
    from app.web.identity.jwt_tokens import jwt_verifier

    async with jwt_verifier(settings, clock) as verifier:
        yield verifier


@asynccontextmanager
async def _pool(location: DatabaseLocation, name: str, size: int) -> AsyncIterator[Database]:
    database = Database(location.url, size=size, application_name=name)
    await database.open()
    try:
        yield database
    finally:
        await database.close()


async def _serve(settings: Settings, on_ready: Callable[[str], None]) -> None:
    async with run_server(settings) as server:
        on_ready(server.url)
        await server.wait()


@contextmanager
def _sigterm_as_interrupt() -> Iterator[None]:
    """Make SIGTERM act like Ctrl-C; Ctrl-C also works in a process that the shell started with SIGINT ignored."""
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGTERM, lambda *_: signal.raise_signal(signal.SIGINT))
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def bind(settings: Settings, *, shared: bool = False) -> Iterator[socket.socket]:
    """Bind socket or port before anything else is started; raises `BadInputError` if that is not possible.

    With `shared` other processes of this user may bind it too; the kernel spreads connections among them.
    """
    with ExitStack() as stack:
        if settings.socket is not None and shared:
            raise BadInputError("ZEON_SOCKET: several workers share a port; set PORT instead, or use one process.")
        if settings.socket is not None:
            yield stack.enter_context(unix_socket(settings.socket))
            return
        try:
            addresses = socket.getaddrinfo(
                settings.host, settings.port, type=socket.SOCK_STREAM, proto=socket.IPPROTO_TCP
            )
            family, kind, protocol, _, address = addresses[0]
            # The protocol is given because asyncio leaves Nagle's algorithm on without it: 40 ms per answer.
            listening = stack.enter_context(socket.socket(family, kind, protocol))
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if shared:
                listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
            listening.bind(address)
        except OSError as error:
            raise BadInputError(f"PORT: cannot listen on {settings.host}:{settings.port}: {error.strerror}.") from error
        yield listening


def _limits_of_users(settings: Settings, worker: WorkerPlace | None) -> tuple[Streams, Budgets]:
    """Return what limits users; those of a worker count what they do in the others, too."""
    per_user = _streams_per_user(settings)
    if worker is None:
        return Streams(settings.max_streams, per_user), Budgets(settings)
    memory = SharedMemory(worker)
    return Streams(settings.max_streams, per_user, memory.stream_counts()), Budgets(settings, memory.new_buckets)


def _streams_per_user(settings: Settings) -> int:
    """Return how many streams a user may have open."""
    return settings.user_streams or (1000 if "none" in settings.auth else 100)


def _connection_limits(settings: Settings, limits: ConnectionLimits, worker: WorkerPlace | None) -> ConnectionLimits:
    """Return the limits with those of the settings; raise the limit on open files as needed."""
    reserve = _RESERVED_FILES + 2 * settings.pool_size
    most = settings.max_connections
    if most is not None and worker is not None:
        most = worker.share(most)
    wanted = most or settings.max_streams + _OTHER_CONNECTIONS
    files = _allow_open_files(wanted + reserve)
    possible = max(files - reserve, files // 2)
    if most is not None and most > possible:
        _log.warning("ZEON_MAX_CONNECTIONS: only %d connections are possible with %d open files", possible, files)
    return replace(
        limits,
        max_open=min(most or possible, possible),
        per_address=settings.address_connections,
        write_s=settings.write_timeout_ms / 1000,
    )


def _allow_open_files(count: int) -> int:
    """Raise the limit on open files to `count`, as far as the system allows; return the limit."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY:
        return _MANY_FILES
    new = count if hard == resource.RLIM_INFINITY else min(count, hard)
    if soft < new:
        resource.setrlimit(resource.RLIMIT_NOFILE, (new, hard))
    return max(soft, new)


def _with_port(settings: Settings, listening: socket.socket) -> Settings:
    """Return the settings with the bound port, and the default runner name for it."""
    changes = {} if settings.socket is not None else {"port": listening.getsockname()[1]}
    with_port = settings.model_copy(update=changes)
    return with_port.model_copy(update={"runner": runner_name(with_port)})


def runner_name(settings: Settings) -> str:
    """Return the name of this server: the one that is set, or the default one for its port or socket."""
    address = {"port": settings.port, "socket": settings.socket}
    return settings.runner if "runner" in settings.model_fields_set else default_runner(address)


def _config(app: object, connections: Connections, proxies: TrustedProxies) -> uvicorn.Config:
    return uvicorn.Config(
        app,  # type: ignore[arg-type]
        http=partial(Protocol, connections=connections, proxies=proxies),  # type: ignore[arg-type]
        ws="none",  # The protocol opens WebSockets itself, with the settings below.
        ws_max_size=_MAX_MESSAGE,
        ws_per_message_deflate=False,
        lifespan="off",
        log_config=None,
        log_level="warning",
        access_log=False,
        server_header=False,
        proxy_headers=False,
        timeout_graceful_shutdown=_GRACE_S,
    )


@asynccontextmanager
async def _run_http(server: _Server, listening: socket.socket) -> AsyncIterator[asyncio.Task[None]]:
    """Run uvicorn until the block ends."""
    task = asyncio.create_task(server.serve([listening]))
    started = asyncio.create_task(server.started_up.wait())
    try:
        await asyncio.wait((task, started), return_when=asyncio.FIRST_COMPLETED)
        yield task
    finally:
        started.cancel()
        server.should_exit = True
        await task


def url_of(settings: Settings) -> str:
    """Return the address of the server."""
    if settings.socket is not None:
        return f"unix:{settings.socket}"
    host = f"[{settings.host}]" if ":" in settings.host else settings.host
    return f"http://{host}:{settings.port}"
