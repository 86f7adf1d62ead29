"""Run one session from its candles to its results, in this process, without a server."""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from itertools import count
from typing import Any, NamedTuple

import uvloop

from app.cli.report.session_page import read_page
from app.clock import Clock
from app.db.log import results, stats
from app.db.pool import Database
from app.db.setup.location import DatabaseLocation
from app.domain.session import RUNNING, Session
from app.engine.kept_figures import keep_figures
from app.engine.session_service import Action, SessionService
from app.engine.supervisor import Supervisor
from app.errors import MissingCandlesError
from app.settings import Settings
from app.strategy_hosts.local_strategy import LocalStrategy
from app.web.http.parsing import parse
from app.web.sim.requests import NewSession

TAG = "backtest"
"""The tag of the sessions, beside those the user gives."""
_LOOK_S = 0.2
_numbers = count(1)

Progress = Callable[[Session], None]


class BacktestOutcome(NamedTuple):
    """A session that has ended, its figures by their name in SQL, its page if one was wanted.

    `wrote_nothing` says whether its strategy gave no signal, order, plot or message.
    """

    session: Session
    figures: dict[str, Any]
    stats: stats.Stats
    page: str | None
    wrote_nothing: bool


def run_backtest(
    settings: Settings,
    location: DatabaseLocation,
    request: Mapping[str, Any],
    local: LocalStrategy | None = None,
    *,
    on_progress: Progress | None = None,
    with_page: bool = False,
    discard: bool = False,
) -> BacktestOutcome:
    """Create a session from a request as over HTTP, run it to its end, and return its results.

    `discard` deletes it then. Raises `BadInputError` for a wrong request, `MissingCandlesError`, and other `SimError`.
    """
    asked = {"replayMsPerCandle": 0, **request, "tags": [TAG, *request.get("tags", ())]}
    spec = parse(NewSession, asked).spec(settings)

    async def work() -> BacktestOutcome:
        async with _engine(settings, location, local) as (sim, supervisor):
            session, _ = await sim.create(settings.user, spec)
            try:
                session = await _run(sim, supervisor, session, on_progress)
            except MissingCandlesError:
                await sim.delete(settings.user, session.id)
                raise
            outcome = await _read(sim, session, with_page=with_page)
            if discard:
                await sim.delete(settings.user, session.id)
            return outcome

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(work())


@asynccontextmanager
async def _engine(
    settings: Settings, location: DatabaseLocation, local: LocalStrategy | None
) -> AsyncIterator[tuple[SessionService, Supervisor]]:
    """Run an engine beside the servers of the database; sessions that still run at its end are paused."""
    name = f"backtest:{socket.gethostname()}:{os.getpid()}:{next(_numbers)}"
    own = settings.model_copy(update={"runner": name, "on_orphan": "pause"})
    clock = Clock()
    database = Database(location.url, size=4, application_name="zeon backtest")
    await database.open()
    supervisor = Supervisor(database, own, listen_url=location.listen_url, clock=clock, own_sessions_only=True)
    supervisor.strategies.run_here(local)
    try:
        await supervisor.open()
        yield SessionService(database, own, clock, supervisor), supervisor
    finally:
        await supervisor.close()
        await database.close()


async def _run(sim: SessionService, supervisor: Supervisor, session: Session, on_progress: Progress | None) -> Session:
    user = session.user_id
    session = await sim.act(user, session.id, Action("start"))
    while session.status == RUNNING:
        await supervisor.wait_until_ended(session.id, _LOOK_S)
        session = await sim.get(user, session.id)
        if on_progress is not None:
            on_progress(session)
    return session


async def _read(sim: SessionService, session: Session, *, with_page: bool) -> BacktestOutcome:
    database = sim.database
    await keep_figures(database, session.id, session.last_seq)
    found = await database.run(stats.stats, session.id)
    silent = await database.run(results.wrote_nothing, [session.id])
    page = None
    if with_page:
        page = await database.run(read_page, session, found.figures)
    return BacktestOutcome(session, found.figures, found, page, silent)
