"""Health and metrics of the process, for monitoring."""

from __future__ import annotations

import asyncio
from collections import Counter

from starlette.responses import Response

from app.db.pool import Connection, Database
from app.engine.supervisor import Supervisor
from app.errors import DatabaseAwayError, UnavailableError
from app.web.http.connections import Connections
from app.web.http.event_stream import Streams
from app.web.http.models import ReadyAnswer, StateAnswer
from app.web.http.responses import success
from app.web.http.route_spec import Call

_TIMEOUT_S = 2


class HealthCalls:
    """The calls of monitoring; they need no user."""

    def __init__(
        self,
        database: Database,
        supervisor: Supervisor,
        streams: Streams,
        connections: Connections,
        answered: Counter[int],
    ) -> None:
        self._database = database
        """A separate pool, so that probes work while other calls use all connections of their pool."""
        self._ping: asyncio.Future[None] | None = None
        self._supervisor = supervisor
        self._streams = streams
        self._connections = connections
        self._answered = answered

    async def healthz(self, call: Call) -> Response:
        """Answer while the process runs."""
        return success(StateAnswer(status="ok"))

    async def readyz(self, call: Call) -> Response:
        """Answer 200 while the database answers and is listened to, otherwise 503; say whether notifications arrive."""
        try:
            async with asyncio.timeout(_TIMEOUT_S):
                await self._ping_database()
        except TimeoutError:
            raise DatabaseAwayError() from None
        if not self._supervisor.listening:
            raise UnavailableError("The server receives no notifications from the database right now; try again.")
        return success(self._ready())

    def _ready(self) -> ReadyAnswer:
        supervisor = self._supervisor
        return ReadyAnswer(
            status="ready", notifications=supervisor.notifications, write_problem=supervisor.write_problem
        )

    async def _ping_database(self) -> None:
        """Wait for an answer of the database; calls at the same time share one."""
        if self._ping is None or self._ping.done():
            self._ping = asyncio.ensure_future(self._database.run(_select))
            self._ping.add_done_callback(_note_failure)
        await asyncio.shield(self._ping)

    async def metrics(self, call: Call) -> Response:
        """Return counters in Prometheus' text format."""
        connections = self._connections
        arrive = self._supervisor.listening and self._supervisor.notifications == "arrive"
        lines = [
            *_metric("zeon_sessions_running", "gauge", "Sessions that run in this process.", self._supervisor.running),
            *_metric("zeon_streams_open", "gauge", "Streams open in this process.", len(self._streams)),
            *_metric("zeon_streams_total", "counter", "Streams opened so far.", self._streams.opened),
            *_metric("zeon_stream_bytes_total", "counter", "Bytes sent on streams.", self._streams.sent_bytes),
            *_metric("zeon_connections_open", "gauge", "Connections open in this process.", len(connections)),
            *_metric(
                "zeon_connections_ended_total",
                "counter",
                "Connections ended to make room for others.",
                connections.ended_for_room,
            ),
            *_metric("zeon_listening", "gauge", "1 while notifications arrive.", int(arrive)),
            *_metric(
                "zeon_writes_wait",
                "gauge",
                "1 while sessions of this process wait because the database does not take their events.",
                int(self._supervisor.write_problem is not None),
            ),
            *_head("zeon_requests_total", "counter", "Requests answered, by status."),
            *(f'zeon_requests_total{{status="{status}"}} {n}' for status, n in sorted(self._answered.items())),
        ]
        return Response("\n".join(lines) + "\n", media_type="text/plain; version=0.0.4")


async def _select(connection: Connection) -> None:
    await connection.execute("SELECT 1")


def _note_failure(ping: asyncio.Future[None]) -> None:
    """Retrieve the error of a ping whose callers may be gone."""
    if not ping.cancelled():
        ping.exception()


def _metric(name: str, kind: str, text: str, value: int) -> list[str]:
    return [*_head(name, kind, text), f"{name} {value}"]


def _head(name: str, kind: str, text: str) -> list[str]:
    return [f"# HELP {name} {text}", f"# TYPE {name} {kind}"]
