"""Create the web application."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.types import ASGIApp

from app.clock import Clock
from app.db.pool import Database
from app.engine.session_service import SessionService
from app.engine.supervisor import Supervisor
from app.settings import Settings
from app.web.exchange.bot_keys import BotKeyCalls
from app.web.exchange.call import Access
from app.web.exchange.face import ExchangeFace
from app.web.exchange.instruments import Instruments
from app.web.exchange.market import MarketData
from app.web.exchange.orders import SpotOrders
from app.web.exchange.sockets import FaceSockets, SocketServices
from app.web.health import HealthCalls
from app.web.http.auth import Authenticator, require_safe_bind
from app.web.http.budgets import Budgets
from app.web.http.cors import with_cors
from app.web.http.dispatch import Dispatcher
from app.web.http.event_stream import Streams
from app.web.http.login import LoginCalls
from app.web.http.middleware import HostAndOriginCheck
from app.web.http.request_id import RequestIds
from app.web.http.responses import exception_handlers
from app.web.http.root_path import RootPath
from app.web.http.route_spec import RouteGroup
from app.web.market.candles import CandleCalls
from app.web.market.imports import ImportCalls
from app.web.market.sessions import MarketCalls
from app.web.metrics import ServerCollector, SessionCounts
from app.web.routes import route_table
from app.web.sim.log import LogCalls
from app.web.sim.orders import OrderCalls
from app.web.sim.sessions import SessionCalls
from app.web.sim.sharing import ShareCalls
from app.web.sim.stats import StatsCalls
from app.web.website import WebsiteCalls, not_found_page
from app.web.wire.connections import Connections
from app.web.workers.place import WorkerPlace

if TYPE_CHECKING:
    from app.web.identity.jwt_tokens import JwtVerifier


def create_app(
    settings: Settings,
    sim: SessionService,
    supervisor: Supervisor,
    streams: Streams,
    budgets: Budgets,
    clock: Clock,
    connections: Connections,
    probe: Database,
    jwts: JwtVerifier | None = None,
    worker: WorkerPlace | None = None,
) -> ASGIApp:
    """Return the application for an open engine; raises `BadInputError` for unsafe settings."""
    require_safe_bind(settings)
    answered: Counter[int] = Counter()
    refusals = connections.refusals
    counts = SessionCounts(probe)
    pools = {"requests": sim.database, "engine": supervisor.database, "probe": probe}
    collector = ServerCollector(supervisor, streams, connections, answered, counts, pools)
    supervisor.metrics.registry.register(collector)
    authenticator = Authenticator(settings, sim.database, clock, jwts)
    log = LogCalls(sim, authenticator, supervisor.hub, streams, clock, settings)
    instruments = Instruments(sim.database, settings.quotes)
    market_data, orders = MarketData(sim.database, instruments), SpotOrders(sim, instruments)
    access = Access(authenticator, sim, budgets)
    sockets = FaceSockets(SocketServices(sim, supervisor.hub, access, market_data, orders, streams, settings, refusals))
    groups: list[RouteGroup] = [
        SessionCalls(sim, settings),
        OrderCalls(sim),
        ShareCalls(sim),
        BotKeyCalls(sim),
        log,
        StatsCalls(sim, authenticator, settings),
        MarketCalls(sim, log, settings),
        CandleCalls(sim, settings),
        ImportCalls(sim, settings),
        LoginCalls(authenticator),
        HealthCalls(probe, supervisor, counts, worker),
        WebsiteCalls(settings.root_path),
        market_data,
        orders,
        sockets,
    ]
    table = route_table(groups, needs_token="none" not in settings.auth, root_path=settings.root_path)
    face = ExchangeFace([spec for spec in table if spec.face], access, clock, settings, refusals)
    dispatcher = Dispatcher(authenticator, sim, budgets, streams, settings)
    guard = Middleware(HostAndOriginCheck, settings=settings, answered=answered, refusals=refusals)
    app = Starlette(
        routes=[*dispatcher.routes(table), *face.routes(), *sockets.starlette_routes()],
        middleware=[Middleware(RequestIds), guard],
        exception_handlers=exception_handlers(budgets, refusals, not_found_page),
    )
    app.router.redirect_slashes = False
    open_to_others = with_cors(app, settings)
    return RootPath(open_to_others, settings.root_path) if settings.root_path else open_to_others
