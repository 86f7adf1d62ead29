"""Servers behind poolers, a database with a standby, and clients, while everything is killed, restarted and suspended.

The size of the storm is a factor: 1 is 200 kills of servers, 50 restarts of Postgres, 20 cuts of what listens, 10
suspensions of servers past their TTL, 10 of Postgres, 10 kills of strategy processes, 10 suspensions of them, and 1,000
clients.
"""

from __future__ import annotations

import asyncio
import random
import re
import signal
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import httpx2
import psutil
import psycopg

from tests.support import pooler
from tests.support.client import SESSIONS, connect
from tests.support.postgres import Database, PrivatePostgres, open_pool
from tests.support.replication import Standby, replicated
from tests.support.running_engine import MINUTE, START_MS, store
from tests.support.server_process import ServerProcess, StartServer, until
from tests.support.session_log import digest, read_log, row

TTL_S = 3
CANDLES = 3000
ENV = {
    "ZEON_RENEW_MS": 300,
    "ZEON_RUNNER_TTL_MS": TTL_S * 1000,
    "ZEON_POLL_MS": 500,
    "ZEON_BURST": 1_000_000,
    "ZEON_ON_ORPHAN": "resume",
    "ZEON_STRATEGIES": "tests.support.resting_strategy:Resting",
    "ZEON_CANDLE_TIMEOUT_MS": 20_000,
}
REQUESTS: tuple[dict[str, Any], ...] = (
    {"profileSlug": "none"},
    {"profileSlug": "sma_cross", "config": {"fast": 3, "slow": 8}},
    {"profileSlug": "resting", "gapPolicy": "skip"},
    {"profileSlug": "none", "symbol": None, "symbols": ["BTCUSDT", "ETHUSDT"], "gapPolicy": "fill"},
)
_ID = re.compile(rb"^id: (\d+)$", re.MULTILINE)


@dataclass
class Storm:
    """The parts that are disturbed, and the sessions that go on."""

    primary: PrivatePostgres
    standby: Standby
    database: Database
    """The database wherever it can be written."""
    servers: list[ServerProcess]
    draw: random.Random
    sessions: list[str] = field(default_factory=list)
    disturbed: set[int] = field(default_factory=set)
    """The ports of the servers that are being killed or are suspended: two faults never meet at one server."""
    postgres: asyncio.Lock = field(default_factory=asyncio.Lock)
    """Held while Postgres is restarted or suspended."""

    def row(self, session_id: str, column: str) -> Any:
        return row(self.database, session_id, column)

    def cursors(self) -> list[Any]:
        """Return how far each session is, null while the database is away."""
        try:
            return [self.row(session_id, "cursor_ms") for session_id in self.sessions]
        except psycopg.OperationalError:
            return []

    @contextmanager
    def one_server(self) -> Iterator[ServerProcess]:
        """Choose a server that no other fault disturbs now."""
        server = self.draw.choice([server for server in self.servers if server.port not in self.disturbed])
        self.disturbed.add(server.port)
        try:
            yield server
        finally:
            self.disturbed.discard(server.port)

    async def kill_server(self) -> None:
        """Kill a server by SIGKILL, and start it again."""
        with self.one_server() as server:
            server.kill()
            await revive(server)

    async def restart_postgres(self) -> None:
        """Let Postgres crash, and start it again."""
        async with self.postgres:
            if self.draw.random() < 0.5:
                await asyncio.to_thread(self.primary.restart)
            else:
                await asyncio.to_thread(self.primary.kill)
                await asyncio.to_thread(self.primary.start)

    async def cut_listeners(self) -> None:
        """End the connections that listen."""
        query = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'zeon listener'"
        with psycopg.connect(self.primary.admin_url, autocommit=True) as admin:
            admin.execute(query)

    async def suspend_server(self) -> None:
        """Suspend a server for longer than its TTL."""
        with self.one_server() as server:
            server.signal(signal.SIGSTOP)
            await asyncio.sleep(TTL_S * 1.7)
            server.signal(signal.SIGCONT)

    async def suspend_postgres(self) -> None:
        """Suspend the process that accepts connections: those there are go on, new ones wait."""
        async with self.postgres:
            pid = int((self.primary.embedded.pgdata / "postmaster.pid").read_text().split("\n")[0])
            await suspend([psutil.Process(pid)], TTL_S)

    async def kill_children(self) -> None:
        """Kill the strategy processes of a server by SIGKILL."""
        with self.one_server() as server:
            for process in psutil.Process(server.pid).children(recursive=True):
                with suppress(psutil.NoSuchProcess):
                    process.kill()

    async def suspend_children(self) -> None:
        """Suspend the strategy processes of a server."""
        with self.one_server() as server:
            await suspend(psutil.Process(server.pid).children(recursive=True), TTL_S)

    async def moved_on(self) -> None:
        """Wait until every session has moved since now."""
        before = await until(self.cursors, timeout_s=60)
        goals = dict(zip(self.sessions, before, strict=True))

        def all_moved() -> bool:
            now = self.cursors()
            return bool(now) and all(a != goals[session_id] for session_id, a in zip(self.sessions, now, strict=True))

        await until(all_moved, timeout_s=120)


async def suspend(processes: Sequence[psutil.Process], seconds: float) -> None:
    """Suspend processes for some time."""
    for process in processes:
        with suppress(psutil.NoSuchProcess):
            process.suspend()
    await asyncio.sleep(seconds)
    for process in processes:
        with suppress(psutil.NoSuchProcess):
            process.resume()


async def revive(server: ServerProcess) -> None:
    """Start a server, again and again while the database is away."""
    for _ in range(60):
        await asyncio.to_thread(partial(server.start, wait=False))
        try:
            await asyncio.to_thread(server.wait_ready, 30)
        except AssertionError:
            server.kill()
            await asyncio.sleep(0.5)
        else:
            return
    raise AssertionError(f"the server does not start:\n{server.output[-3000:]}")


async def client(storm: Storm, session_id: str, seed: int) -> int:
    """Follow a session to its end, reconnect at random by both ways, and return the last seq; each comes once."""
    draw, last = random.Random(seed), 0
    async with httpx2.AsyncClient(timeout=httpx2.Timeout(10, read=40)) as http:
        while True:
            url = f"{draw.choice(storm.servers).url}{SESSIONS}/{session_id}/stream"
            by_header = {"Last-Event-ID": str(last)} if draw.random() < 0.5 else {}
            query = {} if by_header else {"fromSeq": last + 1}
            try:
                async with http.stream("GET", url, headers=by_header, params=query) as response:
                    if response.status_code == 204:
                        return last
                    if response.status_code == 200:
                        last = await read(response, last, draw.uniform(0.5, 20))
            except ReadError as error:
                last = error.last
            except httpx2.TransportError:
                pass
            await asyncio.sleep(draw.uniform(0.05, 0.5))


class ReadError(Exception):
    """A connection broke after the seq `last`."""

    def __init__(self, last: int) -> None:
        self.last = last


async def read(response: httpx2.Response, last: int, seconds: float) -> int:
    """Read a stream for some time and return the last seq; each must follow the one before."""
    loop, rest = asyncio.get_running_loop(), b""
    until_s = loop.time() + seconds
    try:
        async for chunk in response.aiter_bytes():
            whole, _, rest = (rest + chunk).rpartition(b"\n\n")
            for number in map(int, _ID.findall(whole)):
                assert number == last + 1, f"event {number} follows event {last}"
                last = number
            if loop.time() > until_s:
                break
    except httpx2.TransportError:
        raise ReadError(last) from None
    return last


@contextmanager
def parts(start_server: StartServer) -> Iterator[tuple[Storm, Callable[[], None]]]:
    """Start everything; yields it, and a function that promotes the standby and turns the poolers to it."""
    with replicated(synchronous=True) as (primary, standby), ExitStack() as poolers:
        database = primary.new_database()
        either = standby.either(database)
        ports: dict[str, int] = {}
        if pooler.installed():
            for mode in ("session", "transaction"):
                ports[mode] = poolers.enter_context(pooler.pgbouncer(primary, mode))
        behind = [(pooler.pooled(database, port), {"ZEON_LISTEN_URL": either.url}) for port in ports.values()]
        behind = [(Database(at.name, at.url, either.owner_url, at.admin_url), env) for at, env in behind]
        places = [(either, {}), (either, {}), *behind]
        servers = [
            start_server(at, **ENV, **env, ZEON_RUNNER=f"server-{number}") for number, (at, env) in enumerate(places)
        ]

        def promote() -> None:
            primary.kill()
            poolers.close()
            for mode, port in ports.items():
                poolers.enter_context(pooler.pgbouncer(standby, mode, port=port, roles_of=primary))
            standby.promote_alone()

        yield Storm(primary, standby, either, servers, random.Random()), promote


async def storm(start_server: StartServer, size: float, seed: int) -> str:
    """Run the storm and require that logs and streams are as without it; returns what was done."""
    with parts(start_server) as (it, promote):
        it.draw.seed(seed)
        async with open_pool(it.database) as side:
            for symbol in ("BTCUSDT", "ETHUSDT"):
                await store(side, symbol=symbol, count=CANDLES, without=lambda number: number % 97 == 5)
        undisturbed = await sessions(it, REQUESTS, pace_ms=0)
        it.sessions = await sessions(it, REQUESTS * 2, pace_ms=round(300 + 1000 * size))
        count = max(8, round(1000 * size))
        clients = [
            asyncio.create_task(client(it, it.sessions[number % len(it.sessions)], seed + number))
            for number in range(count)
        ]
        try:
            done = await faults(it, size)
            await asyncio.to_thread(promote)
            await it.moved_on()
            for session_id in it.sessions:
                await until(partial(run_to_end, it, session_id), timeout_s=60)
            await until(partial(all_ended, it), timeout_s=300)
            last_seqs = await asyncio.wait_for(asyncio.gather(*clients), 300 + 1500 * size)
        finally:
            for tail in clients:
                tail.cancel()
            await asyncio.gather(*clients, return_exceptions=True)
        require_whole(it, undisturbed, last_seqs)
        return f"{done}, {count} clients, 1 promotion, seed {seed}"


def all_ended(it: Storm) -> bool:
    return {it.row(session_id, "status") for session_id in it.sessions} <= {"finished", "failed"}


async def sessions(it: Storm, requests: Sequence[dict[str, Any]], pace_ms: int) -> list[str]:
    """Create and start sessions at the servers in turn; those without a pace run to their end."""
    ids = []
    for number, request in enumerate(requests):
        body = {"gapPolicy": "skip", "endMs": START_MS + CANDLES * MINUTE, **request, "replayMsPerCandle": pace_ms}
        async with connect(it.servers[number % len(it.servers)]) as http:
            session_id = (await http.create(**body))["id"]
            await http.data("POST", f"{SESSIONS}/{session_id}/start")
            if pace_ms == 0:
                await http.until(f"{SESSIONS}/{session_id}", "finished", timeout_s=120)
        ids.append(session_id)
    return ids


async def faults(it: Storm, size: float) -> str:
    """Do all faults in random order, up to three at once; between them every session must move on."""
    counts = {
        it.kill_server: round(200 * size),
        it.restart_postgres: round(50 * size),
        it.cut_listeners: round(20 * size),
        it.suspend_server: round(10 * size),
        it.suspend_postgres: round(10 * size),
        it.kill_children: round(10 * size),
        it.suspend_children: round(10 * size),
    }
    planned = [fault for fault, count in counts.items() for _ in range(max(1, count))]
    it.draw.shuffle(planned)
    while planned:
        most = min(len(planned), len(it.servers) - 1, it.draw.choice((1, 1, 2, 3)))
        together = [planned.pop() for _ in range(most)]
        results = await asyncio.gather(*(fault() for fault in together), return_exceptions=True)
        for error in results:
            if isinstance(error, BaseException) and not isinstance(error, psycopg.OperationalError):
                raise error
        await it.moved_on()
    return ", ".join(f"{max(1, count)} × {fault.__name__}" for fault, count in counts.items())


def run_to_end(it: Storm, session_id: str) -> bool:
    """Let a session go on without a pace, whichever server it is in."""
    try:
        it.database.query("SELECT sim_pace(%s, 0, NULL, 'storm')", session_id)
    except psycopg.OperationalError:
        return False
    return True


def require_whole(it: Storm, undisturbed: Sequence[str], last_seqs: Sequence[int]) -> None:
    """Require equal digests, whole logs, clients that saw all of it, and no session without a runner."""
    digests = [digest(it.database, session_id) for session_id in undisturbed] * 2
    assert [(it.row(session_id, "status"), it.row(session_id, "error")) for session_id in it.sessions] == [
        ("finished", None)
    ] * 8
    assert [digest(it.database, session_id) for session_id in it.sessions] == digests
    lengths = [len(read_log(it.database, session_id)) for session_id in it.sessions]
    assert list(last_seqs) == [lengths[number % len(lengths)] for number in range(len(last_seqs))]
    assert it.database.query("SELECT count(*) FROM sim_sessions WHERE status = 'running'") == [(0,)]
    for server in it.servers:
        faults = [line for line in server.output.splitlines() if "Traceback" in line]
        assert not faults, "\n".join(faults)
