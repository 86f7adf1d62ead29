"""A server from its settings to its end: database, engine, HTTP."""

from __future__ import annotations

import asyncio
import resource
import signal
import socket
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from contextlib import AsyncExitStack, ExitStack, asynccontextmanager, contextmanager, suppress
from typing import Any

import uvicorn
import uvloop

from app.db.location import DatabaseLocation, installed_location
from app.db.pool import Database
from app.engine import garbage_collection
from app.engine.clock import Clock
from app.engine.session_service import SessionService
from app.engine.supervisor import Supervisor
from app.errors import BadInputError
from app.settings import Settings, default_runner
from app.web.app import create_app
from app.web.http.auth import require_safe_bind
from app.web.http.event_stream import Streams
from app.web.http.protocol import Protocol

_GRACE_S = 1
_OTHER_FILES = 1000
"""Open files a process may need besides its streams."""


class Served:
    """A server that answers at `url`."""

    def __init__(
        self, url: str, sim: SessionService, streams: Streams, ended: asyncio.Task[None], failed: asyncio.Future[None]
    ):
        self.url = url
        self.sim = sim
        self.streams = streams
        self._ended = ended
        self._failed = failed

    async def wait(self) -> None:
        """Wait for a fault the server cannot live with; raises it."""
        done, _ = await asyncio.wait((self._ended, self._failed), return_when=asyncio.FIRST_COMPLETED)
        for each in done:
            each.result()


class _Server(uvicorn.Server):
    """uvicorn, which leaves signals to us, says when it is there, and ends streams before it waits for them."""

    def __init__(self, config: uvicorn.Config, streams: Streams) -> None:
        super().__init__(config)
        self._streams = streams
        self.there = asyncio.Event()

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.there.set()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self._streams.close()
        await super().shutdown(sockets)


def serve(settings: Settings, on_ready: Callable[[str], None] = lambda _: None) -> None:
    """Serve until SIGINT or SIGTERM; calls `on_ready` with the address once it answers.

    Sessions of the process are paused at the end, or released. Raises `SimError` when it cannot begin, or what ended
    it: a process that stops by itself has failed.
    """
    until_interrupted(_serve(settings, on_ready))


def until_interrupted(work: Coroutine[Any, Any, None]) -> None:
    """Run what uses `serving` until it ends, or until SIGINT or SIGTERM ends it, which is no failure."""
    garbage_collection.tune_gc()
    with _signals(), suppress(KeyboardInterrupt), asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(work)


@asynccontextmanager
async def serving(settings: Settings) -> AsyncIterator[Served]:
    """Serve as long as the block lasts; `PORT` 0 takes a free port."""
    require_safe_bind(settings)
    async with AsyncExitStack() as stack:
        bound = stack.enter_context(_bound(settings))
        settings = _named(settings, bound.getsockname()[1])
        _let_open(settings.max_streams + _OTHER_FILES)
        clock = Clock()
        place = stack.enter_context(installed_location(settings))
        database = await stack.enter_async_context(_pool(place, settings, "zeon"))
        # Ticks and streams have connections of their own: a question that takes seconds holds up none of them.
        engine = await stack.enter_async_context(_pool(place, settings, "zeon engine"))
        supervisor = Supervisor(engine, settings, listen_url=place.listen_url, clock=clock)
        stack.push_async_callback(supervisor.close)
        await supervisor.open()
        sim, streams = SessionService(database, settings, clock, supervisor), Streams(settings.max_streams)
        server = _Server(_config(create_app(settings, sim, supervisor, streams, clock)), streams)
        ended = await stack.enter_async_context(_running(server, bound))
        yield Served(_url(settings), sim, streams, ended, supervisor.failed)


@asynccontextmanager
async def _pool(place: DatabaseLocation, settings: Settings, name: str) -> AsyncIterator[Database]:
    database = Database(place.url, size=settings.pool_size, application_name=name)
    await database.open()
    try:
        yield database
    finally:
        await database.close()


async def _serve(settings: Settings, on_ready: Callable[[str], None]) -> None:
    async with serving(settings) as served:
        on_ready(served.url)
        await served.wait()


@contextmanager
def _signals() -> Iterator[None]:
    """Let SIGTERM do what Ctrl-C does, also for a process that was started in the background without Ctrl-C."""
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGTERM, lambda *_: signal.raise_signal(signal.SIGINT))
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def _bound(settings: Settings) -> Iterator[socket.socket]:
    """Hold the port, taken before anything else is begun; raises `BadInputError` when it cannot be had."""
    with ExitStack() as stack:
        try:
            found = socket.getaddrinfo(settings.host, settings.port, type=socket.SOCK_STREAM, proto=socket.IPPROTO_TCP)
            family, kind, protocol, _, address = found[0]
            # With its protocol named, or asyncio would leave Nagle's algorithm on: 40 ms per answer.
            bound = stack.enter_context(socket.socket(family, kind, protocol))
            bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            bound.bind(address)
        except OSError as error:
            raise BadInputError(f"PORT: cannot listen on {settings.host}:{settings.port}: {error.strerror}.") from error
        yield bound


def _let_open(files: int) -> None:
    """Raise the limit on open files as far as the system allows, so that every stream finds its socket."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = files if hard == resource.RLIM_INFINITY else min(files, hard)
    if resource.RLIM_INFINITY != soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def _named(settings: Settings, port: int) -> Settings:
    """Return the settings with the port that was taken, after which a runner without a name is called."""
    changes: dict[str, object] = {"port": port}
    if "runner" not in settings.model_fields_set:
        changes["runner"] = default_runner(changes)
    return settings.model_copy(update=changes)


def _config(app: object) -> uvicorn.Config:
    return uvicorn.Config(
        app,  # type: ignore[arg-type]
        http=Protocol,
        ws="none",
        lifespan="off",
        log_config=None,
        log_level="warning",
        access_log=False,
        server_header=False,
        proxy_headers=False,
        timeout_graceful_shutdown=_GRACE_S,
    )


@asynccontextmanager
async def _running(server: _Server, bound: socket.socket) -> AsyncIterator[asyncio.Task[None]]:
    """Run uvicorn until the block ends."""
    task = asyncio.create_task(server.serve([bound]))
    there = asyncio.create_task(server.there.wait())
    try:
        await asyncio.wait((task, there), return_when=asyncio.FIRST_COMPLETED)
        yield task
    finally:
        there.cancel()
        server.should_exit = True
        await task


def _url(settings: Settings) -> str:
    host = f"[{settings.host}]" if ":" in settings.host else settings.host
    return f"http://{host}:{settings.port}"
