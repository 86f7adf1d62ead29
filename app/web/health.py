"""Health and metrics of the process, for monitoring."""

from __future__ import annotations

import asyncio

from prometheus_client.exposition import choose_encoder
from starlette.responses import Response

from app.db.pool import Connection, Database
from app.engine.supervisor import Supervisor
from app.errors import DatabaseAwayError, UnavailableError
from app.web.http.models import ReadyAnswer, StateAnswer
from app.web.http.responses import success
from app.web.http.route_spec import Call, RouteGroup, RouteSpec
from app.web.metrics import SessionCounts
from app.web.workers.metrics import WorkerMetrics
from app.web.workers.place import WorkerPlace

_TIMEOUT_S = 2


class HealthCalls(RouteGroup):
    """The calls of monitoring; they need no user."""

    def __init__(
        self,
        database: Database,
        supervisor: Supervisor,
        counts: SessionCounts,
        worker: WorkerPlace | None = None,
    ) -> None:
        self._database = database
        """A separate pool, so that probes work while other calls use all connections of their pool."""
        self._ping: asyncio.Future[None] | None = None
        self._supervisor = supervisor
        self._counts = counts
        self._workers = None if worker is None else WorkerMetrics(worker, supervisor.metrics.registry)

    def routes(self) -> list[RouteSpec]:
        """Return the routes of these calls."""
        routes = [
            RouteSpec("GET", "/healthz", self.healthz, "healthz", answer=StateAnswer),
            RouteSpec("GET", "/readyz", self.readyz, "readyz", answer=ReadyAnswer),
            RouteSpec("GET", "/metrics", self.metrics, "metrics", media="text/plain"),
        ]
        return [route._replace(open=True, budget="open") for route in routes]

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
        """Return all figures in the text format of Prometheus, or OpenMetrics if the client asks for it."""
        await self._counts.refresh()
        registry = self._supervisor.metrics.registry if self._workers is None else await self._workers.merged()
        encode, media_type = choose_encoder(call.request.headers.get("accept", ""))
        return Response(encode(registry), headers={"Content-Type": media_type})


async def _select(connection: Connection) -> None:
    await connection.execute("SELECT 1")


def _note_failure(ping: asyncio.Future[None]) -> None:
    """Retrieve the error of a ping whose callers may be gone."""
    if not ping.cancelled():
        ping.exception()
