"""The table of calls: what the router and the OpenAPI document are both made from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from starlette.requests import Request
from starlette.routing import Route
from starlette.types import ASGIApp

from app.engine.export import MEDIA
from app.web import candle_models, comparison, market_models, models, replies
from app.web.answers import document
from app.web.call import Call, Endpoint
from app.web.candles import CandleCalls
from app.web.health import HealthCalls
from app.web.log import LogCalls
from app.web.login import LoginCalls
from app.web.market import MarketCalls
from app.web.models import Nothing
from app.web.openapi import openapi
from app.web.page import PageCalls
from app.web.sim import SessionCalls
from app.web.stats import StatsCalls

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
) -> list[Call]:
    """Return every call of the server."""
    one = replies.SessionAnswer
    table = [
        Call("GET", SESSIONS, sim.page, query=models.SessionsQuery, answer=replies.SessionsAnswer),
        Call("POST", SESSIONS, sim.create, body=models.NewSession, answer=one, status=201),
        Call("GET", SESSION, sim.get, answer=one),
        Call("PATCH", SESSION, sim.change, body=models.Changes, answer=one),
        Call("DELETE", SESSION, sim.delete, answer=replies.EmptyAnswer),
        Call("POST", f"{SESSION}/start", sim.start, body=models.Go, answer=one),
        Call("POST", f"{SESSION}/pause", sim.pause, body=Nothing, answer=one),
        Call("POST", f"{SESSION}/resume", sim.resume, body=models.Go, answer=one),
        Call("POST", f"{SESSION}/stop", sim.stop, body=Nothing, answer=one),
        Call("POST", f"{SESSION}/control", sim.control, body=models.Control, answer=one),
        Call("POST", f"{SESSION}/fork", sim.fork, body=models.Fork, answer=one, status=201),
        Call("GET", f"{SESSION}/diff/{{other:uuid}}", sim.diff, answer=comparison.DiffAnswer),
        Call("GET", f"{SESSION}/events", log.events, query=models.EventsQuery, answer=replies.EventsAnswer),
        Call("GET", f"{SESSION}/stream", log.stream, query=models.StreamQuery, media="text/event-stream"),
        Call("GET", f"{SESSION}/stats", stats.stats, answer=replies.StatsAnswer),
        Call("GET", f"{SESSION}/equity", stats.equity, query=models.EquityQuery, answer=replies.EquityAnswer),
        Call("GET", f"{SESSION}/export", stats.export, query=models.ExportQuery, media=", ".join(MEDIA.values())),
        Call("GET", "/api/sim/profiles", sim.profiles, answer=replies.ProfilesAnswer),
        *_market_calls(market),
        *_candle_calls(candles),
        Call("POST", "/login", login.login, body=models.Login, answer=replies.UserAnswer, open=True),
        Call("POST", "/logout", login.logout, body=Nothing, answer=replies.EmptyAnswer, open=True),
        Call("GET", "/healthz", health.healthz, answer=replies.StateAnswer, open=True),
        Call("GET", "/readyz", health.readyz, answer=replies.StateAnswer, open=True),
        Call("GET", "/metrics", health.metrics, media="text/plain", open=True),
        Call("GET", "/", page.index, media="text/html", open=True),
        Call("GET", "/sessions/{id:uuid}", page.session, media="text/html", open=True),
        Call("GET", "/static/{name:path}", page.file, media="text/plain", open=True),
    ]
    described = openapi(table)

    async def describe(_: Request) -> ASGIApp:
        """Describe every call."""
        return document(described)

    return [*table, Call("GET", "/openapi.json", describe, media="application/json", open=True)]


def _market_calls(market: MarketCalls) -> list[Call]:
    models, stands = market_models, market_models.MarketStatusAnswer
    listed, one, new = models.MarketSessionsAnswer, models.MarketSessionAnswer, models.NewMarketAnswer
    follow, ask = models.MarketStreamQuery, models.NewMarketSession
    return [
        Call("GET", MARKET, market.market_page, query=models.MarketSessionsQuery, answer=listed, bare=True),
        Call("POST", MARKET, market.create_market, body=ask, answer=new, status=201, bare=True),
        Call("GET", MARKET_SESSION, market.market_get, answer=one, bare=True),
        Call("POST", f"{MARKET_SESSION}/start", market.market_start, body=Nothing, answer=stands, bare=True),
        Call("POST", f"{MARKET_SESSION}/stop", market.market_stop, body=Nothing, answer=stands, bare=True),
        Call("GET", f"{MARKET_SESSION}/stream", market.market_stream, query=follow, media="text/event-stream"),
    ]


def _candle_calls(candles: CandleCalls) -> list[Call]:
    models = candle_models
    cached, covered = models.CandlesAnswer, models.CoverageAnswer
    return [
        Call("GET", "/api/market/candles", candles.candles, query=models.CandlesQuery, answer=cached, bare=True),
        Call("GET", "/api/market/coverage", candles.coverage, query=models.CoverageQuery, answer=covered, bare=True),
    ]


def routes(table: Sequence[Call]) -> list[Route]:
    """Return one route per path, so that a wrong method is told which ones are right."""
    paths: dict[str, dict[str, Endpoint]] = {}
    for call in table:
        paths.setdefault(call.path, {})[call.method] = call.run
    return [Route(path, _dispatch(methods), methods=list(methods)) for path, methods in paths.items()]


def _dispatch(methods: Mapping[str, Endpoint]) -> Endpoint:
    async def run(request: Request) -> ASGIApp:
        return await methods["GET" if request.method == "HEAD" else request.method](request)

    return run
