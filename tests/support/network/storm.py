"""A server among thousands of hostile connections, as another client sees it."""

from __future__ import annotations

import asyncio
import json
import sys
import time
from asyncio.subprocess import Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import psutil

from tests.paths import ROOT
from tests.support.client import SESSIONS, Client, connect
from tests.support.postgres import Database, open_pool
from tests.support.running_engine import MINUTE, START_MS, store
from tests.support.server_process import StartServer

PACE_MS = 50
WORK_S = 0.005
"""Most work of the server for a hostile connection, without the frames of a stream that nobody reads."""
FRAME_S = 0.00003
"""Work for a frame of a stream: a client that never reads is like any other until its buffers are full."""
_PAUSE_S = 0.05


@dataclass
class Latencies:
    """Seconds that calls of each kind took, and the stream's events came late."""

    healthz: list[float] = field(default_factory=list)
    listed: list[float] = field(default_factory=list)
    stream: list[float] = field(default_factory=list)

    def p99_ms(self) -> dict[str, float]:
        return {name: 1000 * sorted(values)[int(len(values) * 0.99)] for name, values in vars(self).items()}


@dataclass(frozen=True)
class Weather:
    """What a client measured before and during the storm, and what the storm left behind."""

    calm: dict[str, float]
    storm: dict[str, float]
    calm_cpu_s: float
    storm_cpu_s: float
    grown_mb: float
    files_left: int
    hostile: dict[str, dict[str, int]]
    seconds: float
    """How long the storm took."""

    def is_fair(self) -> bool:
        """Whether each p99 was at most twice that of before, or 50 ms more."""
        return all(self.storm[name] <= max(2 * calm_ms, calm_ms + 50) for name, calm_ms in self.calm.items())

    def require_harmless(self, count: int) -> None:
        """Fail when something of the storm is left, or a hostile connection cost the server much work."""
        assert sum(self.hostile["opened"].values()) == count, self
        assert self.grown_mb < 100, self
        assert self.files_left <= 0, self
        frames = self.hostile["opened"]["never_reading"] * self.seconds / 2 * 1000 / PACE_MS
        assert self.storm_cpu_s - self.calm_cpu_s < count * WORK_S + frames * FRAME_S, self


async def storm(database: Database, start_server: StartServer, count: int, seconds: float) -> Weather:
    """Measure a server for some seconds without, and as long with hostile connections."""
    candles = int(3 * seconds * 1000 / PACE_MS) + 1000
    server = start_server(database, ZEON_BURST=1_000_000, ZEON_RATE=100_000)
    process = psutil.Process(server.pid)
    async with connect(server) as client:
        async with open_pool(database) as connections:
            await store(connections, count=candles)
        session = await client.create(endMs=START_MS + candles * MINUTE, replayMsPerCandle=PACE_MS)
        await client.data("POST", f"{SESSIONS}/{session['id']}/start")
        await _measure(client, session["id"], 1)
        began_s = _cpu_s(process)
        calm = await _measure(client, session["id"], seconds)
        calm_s = _cpu_s(process)
        files, memory = _files(process), process.memory_info().rss
        async with hostile_clients(server.url, session["id"], count, seconds) as hostile:
            stormy = await _measure(client, session["id"], seconds)
            storm_s = _cpu_s(process)
            grown = process.memory_info().rss - memory
            output, _ = await hostile.communicate()
        left = await _files_left(process, files)
    return Weather(
        calm=calm.p99_ms(),
        storm=stormy.p99_ms(),
        calm_cpu_s=calm_s - began_s,
        storm_cpu_s=storm_s - calm_s,
        grown_mb=grown / 1e6,
        files_left=left,
        hostile=json.loads(output),
        seconds=seconds,
    )


@asynccontextmanager
async def hostile_clients(url: str, session_id: str, count: int, seconds: float) -> AsyncIterator[Process]:
    """Run hostile clients in a process of their own."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.support.network.hostile", url, session_id, str(count), str(seconds)),
        cwd=ROOT,
        stdout=asyncio.subprocess.PIPE,
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


async def _measure(client: Client, session_id: str, seconds: float) -> Latencies:
    """Call again and again, and follow a session, for some seconds."""
    result, ends = Latencies(), time.monotonic() + seconds
    async with asyncio.TaskGroup() as group:
        group.create_task(_call(client, "/healthz", result.healthz, ends))
        group.create_task(_call(client, f"{SESSIONS}?limit=20", result.listed, ends))
        group.create_task(_follow(client, session_id, result.stream, ends))
    return result


async def _call(client: Client, path: str, took_s: list[float], ends: float) -> None:
    while time.monotonic() < ends:
        began = time.monotonic()
        await client.data("GET", path)
        took_s.append(time.monotonic() - began)
        await asyncio.sleep(_PAUSE_S)


async def _follow(client: Client, session_id: str, late_s: list[float], ends: float) -> None:
    """Note how much later than the session's pace each event came after the one before."""
    async with client.stream(session_id, "?tail=1") as stream:
        await stream.next()
        before = time.monotonic()
        while before < ends:
            await stream.until(lambda message: message["type"] == "candle")
            now = time.monotonic()
            late_s.append(max(0.0, now - before - PACE_MS / 1000))
            before = now


async def _files_left(process: psutil.Process, before: int) -> int:
    """Return how many files more than before are open, after a moment for connections that are closing."""
    for _ in range(150):
        if _files(process) <= before:
            break
        await asyncio.sleep(0.1)
    return _files(process) - before


def _files(process: psutil.Process) -> int:
    """Return how many files are open besides connections to Postgres, of which a pool opens more when it needs them."""
    return process.num_fds() - len(process.net_connections("unix"))


def _cpu_s(process: psutil.Process) -> float:
    times = process.cpu_times()
    return times.user + times.system
