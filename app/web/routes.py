"""The table of calls: what the router and the OpenAPI document are both made from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from starlette.requests import Request
from starlette.routing import Route
from starlette.types import ASGIApp

from app.engine.export import MEDIA
from app.web.health import HealthCalls
from app.web.http.openapi import openapi
from app.web.http.responses import document
from app.web.http.route_spec import Endpoint, RouteSpec
from app.web.login import LoginCalls
from app.web.market import candle_schemas, session_schemas
from app.web.market.candles import CandleCalls
from app.web.market.sessions import MarketCalls
from app.web.page import PageCalls
from app.web.sim import answers, diff, requests
from app.web.sim.log import LogCalls
from app.web.sim.requests import EmptyRequest
from app.web.sim.sessions import SessionCalls
from app.web.sim.stats import StatsCalls

SESSIONS = "/api/sim/sessions"
SESSION = f"{SESSIONS}/{{id:uuid}}"
MARKET = "/api/market/sessions"
MARKET_SESSION = f"{MARKET}/{{id:uuid}}"


def calls(
    sim: SessionCalls,
    market: MarketCalls,
    candles: CandleCalls,
    log: LogCalls,
    stats: StatsCalls,
    login: LoginCalls,
    health: HealthCalls,
    page: PageCalls,
) -> list[RouteSpec]:
    """Return every call of the server."""
    one = answers.SessionAnswer
    table = [
        RouteSpec("GET", SESSIONS, sim.page, query=requests.SessionsQuery, answer=answers.SessionsAnswer),
        RouteSpec("POST", SESSIONS, sim.create, body=requests.NewSession, answer=one, status=201),
        RouteSpec("GET", SESSION, sim.get, answer=one),
        RouteSpec("PATCH", SESSION, sim.change, body=requests.SessionChanges, answer=one),
        RouteSpec("DELETE", SESSION, sim.delete, answer=answers.EmptyAnswer),
        RouteSpec("POST", f"{SESSION}/start", sim.start, body=requests.StartRequest, answer=one),
        RouteSpec("POST", f"{SESSION}/pause", sim.pause, body=EmptyRequest, answer=one),
        RouteSpec("POST", f"{SESSION}/resume", sim.resume, body=requests.StartRequest, answer=one),
        RouteSpec("POST", f"{SESSION}/stop", sim.stop, body=EmptyRequest, answer=one),
        RouteSpec("POST", f"{SESSION}/control", sim.control, body=requests.ControlRequest, answer=one),
        RouteSpec("POST", f"{SESSION}/fork", sim.fork, body=requests.ForkRequest, answer=one, status=201),
        RouteSpec("GET", f"{SESSION}/diff/{{other:uuid}}", sim.diff, answer=diff.DiffAnswer),
        RouteSpec("GET", f"{SESSION}/events", log.events, query=requests.EventsQuery, answer=answers.EventsAnswer),
        RouteSpec("GET", f"{SESSION}/stream", log.stream, query=requests.StreamQuery, media="text/event-stream"),
        RouteSpec("GET", f"{SESSION}/stats", stats.stats, answer=answers.StatsAnswer),
        RouteSpec("GET", f"{SESSION}/equity", stats.equity, query=requests.EquityQuery, answer=answers.EquityAnswer),
        RouteSpec(
            "GET", f"{SESSION}/export", stats.export, query=requests.ExportQuery, media=", ".join(MEDIA.values())
        ),
        RouteSpec("GET", "/api/sim/profiles", sim.profiles, answer=answers.ProfilesAnswer),
        *_market_calls(market),
        *_candle_calls(candles),
        RouteSpec("POST", "/login", login.login, body=requests.LoginRequest, answer=answers.UserAnswer, open=True),
        RouteSpec("POST", "/logout", login.logout, body=EmptyRequest, answer=answers.EmptyAnswer, open=True),
        RouteSpec("GET", "/healthz", health.healthz, answer=answers.StateAnswer, open=True),
        RouteSpec("GET", "/readyz", health.readyz, answer=answers.StateAnswer, open=True),
        RouteSpec("GET", "/metrics", health.metrics, media="text/plain", open=True),
        RouteSpec("GET", "/", page.index, media="text/html", open=True),
        RouteSpec("GET", "/sessions/{id:uuid}", page.session, media="text/html", open=True),
        RouteSpec("GET", "/static/{name:path}", page.file, media="text/plain", open=True),
    ]
    described = openapi(table)

    async def describe(_: Request) -> ASGIApp:
        """Describe every call."""
        return document(described)

    return [*table, RouteSpec("GET", "/openapi.json", describe, media="application/json", open=True)]


def _market_calls(market: MarketCalls) -> list[RouteSpec]:
    models, stands = session_schemas, session_schemas.MarketStatusAnswer
    listed, one, new = models.MarketSessionsAnswer, models.MarketSessionAnswer, models.NewMarketAnswer
    follow, ask = models.MarketStreamQuery, models.NewMarketSession
    return [
        RouteSpec("GET", MARKET, market.market_page, query=models.MarketSessionsQuery, answer=listed, bare=True),
        RouteSpec("POST", MARKET, market.create_market, body=ask, answer=new, status=201, bare=True),
        RouteSpec("GET", MARKET_SESSION, market.market_get, answer=one, bare=True),
        RouteSpec("POST", f"{MARKET_SESSION}/start", market.market_start, body=EmptyRequest, answer=stands, bare=True),
        RouteSpec("POST", f"{MARKET_SESSION}/stop", market.market_stop, body=EmptyRequest, answer=stands, bare=True),
        RouteSpec("GET", f"{MARKET_SESSION}/stream", market.market_stream, query=follow, media="text/event-stream"),
    ]


def _candle_calls(candles: CandleCalls) -> list[RouteSpec]:
    models = candle_schemas
    cached, covered = models.CandlesAnswer, models.CoverageAnswer
    return [
        RouteSpec("GET", "/api/market/candles", candles.candles, query=models.CandlesQuery, answer=cached, bare=True),
        RouteSpec(
            "GET", "/api/market/coverage", candles.coverage, query=models.CoverageQuery, answer=covered, bare=True
        ),
    ]


def routes(table: Sequence[RouteSpec]) -> list[Route]:
    """Return one route per path, so that a wrong method is told which ones are right."""
    paths: dict[str, dict[str, Endpoint]] = {}
    for call in table:
        paths.setdefault(call.path, {})[call.method] = call.run
    return [Route(path, _dispatch(methods), methods=list(methods)) for path, methods in paths.items()]


def _dispatch(methods: Mapping[str, Endpoint]) -> Endpoint:
    async def run(request: Request) -> ASGIApp:
        return await methods["GET" if request.method == "HEAD" else request.method](request)

    return run
