"""The figures of a server that are read when Prometheus asks for them."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from importlib.metadata import version

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from app.db import health
from app.db.pool import Database
from app.engine.supervisor import Supervisor
from app.errors import SimError
from app.web.http.event_stream import Streams
from app.web.wire.connections import Connections

_COUNT_EVERY_S = 10.0
"""Sessions are counted at most this often: it is a query over all of them."""
_COUNT_S = 2.0


class SessionCounts:
    """The sessions of the whole database by status, counted again when the last count is old."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._counted_s = float("-inf")
        self.by_status: Mapping[str, int] = {}
        self.up = False

    async def refresh(self) -> None:
        """Count, unless that was done a moment ago; without an answer there are no counts."""
        now_s = time.monotonic()
        if self.up and now_s - self._counted_s < _COUNT_EVERY_S:
            return
        try:
            async with asyncio.timeout(_COUNT_S):
                self.by_status = await self._database.run(health.count_by_status)
            self._counted_s, self.up = now_s, True
        except (SimError, TimeoutError):
            self.by_status, self.up = {}, False


class ServerCollector(Collector):
    """The present figures of a server's parts; deploy/metrics.md explains each."""

    def __init__(
        self,
        supervisor: Supervisor,
        streams: Streams,
        connections: Connections,
        answered: Counter[int],
        counts: SessionCounts,
        pools: Mapping[str, Database],
    ) -> None:
        self._supervisor = supervisor
        self._streams = streams
        self._connections = connections
        self._answered = answered
        self._counts = counts
        self._pools = pools

    def collect(self) -> Iterator[Metric]:
        """Yield every figure."""
        yield from self._sessions()
        yield from self._clients()
        yield from self._queues()
        yield from self._database()
        yield from self._strategies()

    def _sessions(self) -> Iterator[Metric]:
        yield _gauge("zeon_sessions_running", "Sessions that run in this process.", self._supervisor.running)
        yield _by_label("zeon_sessions", "Sessions in the whole database.", "status", self._counts.by_status)
        info = GaugeMetricFamily("zeon_build_info", "Always 1; the version is a label.", labels=["version"])
        info.add_metric([version("zeon-sim")], 1)
        yield info

    def _clients(self) -> Iterator[Metric]:
        yield _gauge("zeon_streams_open", "Streams open in this process.", len(self._streams))
        yield _counter("zeon_streams", "Streams opened so far.", self._streams.opened)
        yield _counter("zeon_stream_bytes", "Bytes sent on streams.", self._streams.sent_bytes)
        yield _gauge("zeon_connections_open", "Connections open in this process.", len(self._connections))
        yield _counter(
            "zeon_connections_ended", "Connections ended to make room for others.", self._connections.ended_for_room
        )
        answered = {str(status): count for status, count in sorted(self._answered.items())}
        yield _counters("zeon_requests", "Requests answered.", "status", answered)
        yield _counters("zeon_refused", "Calls refused.", "reason", self._connections.refusals)

    def _queues(self) -> Iterator[Metric]:
        writer, pages = self._supervisor.writer, self._supervisor.hub.pages_waiting
        yield _gauge("zeon_append_queue", "Chunks that wait to be written.", writer.queued)
        yield _gauge("zeon_page_queue", "Pages that streams wait for.", pages)

    def _database(self) -> Iterator[Metric]:
        arrive = self._supervisor.listening and self._supervisor.notifications == "arrive"
        yield _gauge("zeon_listening", "1 while notifications arrive.", int(arrive))
        stuck = self._supervisor.write_problem is not None
        yield _gauge("zeon_writes_wait", "1 while sessions wait because Postgres takes no events.", int(stuck))
        yield _gauge("zeon_database_up", "1 if the database answered just now.", int(self._counts.up))
        usage = {name: pool.usage for name, pool in self._pools.items()}
        for part, text in (
            ("open", "Database connections of a pool."),
            ("used", "Database connections in use."),
            ("waiting", "Calls that wait for a database connection."),
        ):
            figures = {name: getattr(used, part) for name, used in usage.items()}
            yield _by_label(f"zeon_pool_{part}", text, "pool", figures)

    def _strategies(self) -> Iterator[Metric]:
        processes = self._supervisor.strategies.usage
        yield _gauge("zeon_strategy_processes", "Strategy processes alive.", processes.alive)
        yield _gauge("zeon_strategy_sessions", "Sessions that run in strategy processes.", processes.sessions)
        yield _gauge("zeon_strategy_memory_bytes", "Memory of all strategy processes.", processes.memory_bytes)
        yield _counter("zeon_strategy_processes_started", "Strategy processes started.", processes.started)
        yield _counter("zeon_strategy_processes_killed", "Strategy processes killed at a limit.", processes.killed)


def _gauge(name: str, text: str, value: float) -> Metric:
    return GaugeMetricFamily(name, text, value=value)


def _counter(name: str, text: str, value: float) -> Metric:
    return CounterMetricFamily(name, text, value=value)


def _by_label(name: str, text: str, label: str, values: Mapping[str, float]) -> Metric:
    family = GaugeMetricFamily(name, text, labels=[label])
    for key, value in values.items():
        family.add_metric([key], value)
    return family


def _counters(name: str, text: str, label: str, values: Mapping[str, float]) -> Metric:
    family = CounterMetricFamily(name, text, labels=[label])
    for key, value in values.items():
        family.add_metric([key], value)
    return family
