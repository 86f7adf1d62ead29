"""Where the web part is put together."""

from __future__ import annotations

from collections import Counter

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.types import ASGIApp

from app.engine.clock import Clock
from app.engine.sim import Sim
from app.engine.supervisor import Supervisor
from app.settings import Settings
from app.web.answers import exception_handlers
from app.web.auth import Identity, require_safe_bind
from app.web.candles import CandleCalls
from app.web.cors import with_cors
from app.web.edge import Edge
from app.web.health import HealthCalls
from app.web.log import LogCalls
from app.web.login import LoginCalls
from app.web.market import MarketCalls
from app.web.page import PageCalls
from app.web.routes import calls, routes
from app.web.sim import SessionCalls
from app.web.stats import StatsCalls
from app.web.stream import Streams


def create_app(settings: Settings, sim: Sim, supervisor: Supervisor, streams: Streams, clock: Clock) -> ASGIApp:
    """Return the application over an open engine; raises `BadInput` for settings that would let strangers in."""
    require_safe_bind(settings)
    answered: Counter[int] = Counter()
    identity = Identity(settings, sim.database, clock)
    log = LogCalls(sim, identity, supervisor.hub, streams, clock, settings)
    table = calls(
        SessionCalls(sim, identity, settings),
        MarketCalls(sim, identity, log, settings),
        CandleCalls(sim, identity, settings),
        log,
        StatsCalls(sim, identity, settings),
        LoginCalls(identity, settings),
        HealthCalls(sim.database, supervisor, streams, answered),
        PageCalls(),
    )
    app = Starlette(
        routes=routes(table),
        middleware=[Middleware(Edge, settings=settings, answered=answered)],
        exception_handlers=exception_handlers(),
    )
    app.router.redirect_slashes = False
    return with_cors(app, settings)
