"""The table of routes: who may call what, with which input. Dispatcher and OpenAPI document use it."""

from __future__ import annotations

import json
from typing import NamedTuple

from starlette.types import ASGIApp

from app.engine.export import MEDIA
from app.web.health import HealthCalls
from app.web.http import models
from app.web.http.login import BODY_LIMIT, LoginCalls
from app.web.http.responses import IF_NONE_MATCH, json_text_response
from app.web.http.route_spec import IDEMPOTENCY_KEY, LAST_EVENT_ID, Call, RouteSpec
from app.web.market import candle_schemas, import_schemas, session_schemas
from app.web.market.candles import CandleCalls
from app.web.market.imports import ImportCalls
from app.web.market.sessions import MarketCalls
from app.web.openapi import openapi
from app.web.sim import answers, diff, order_schemas, requests, sharing
from app.web.sim.log import LogCalls
from app.web.sim.orders import OrderCalls
from app.web.sim.sessions import SessionCalls
from app.web.sim.sharing import ShareCalls
from app.web.sim.stats import StatsCalls
from app.web.website import WebsiteCalls

SESSIONS = "/api/sim/sessions"
SESSION = f"{SESSIONS}/{{id:uuid}}"
MARKET = "/api/market/sessions"
MARKET_SESSION = f"{MARKET}/{{id:uuid}}"
SSE = "text/event-stream"


class Handlers(NamedTuple):
    """The objects whose methods handle the calls."""

    sim: SessionCalls
    orders: OrderCalls
    share: ShareCalls
    market: MarketCalls
    candles: CandleCalls
    imports: ImportCalls
    log: LogCalls
    stats: StatsCalls
    login: LoginCalls
    health: HealthCalls
    website: WebsiteCalls


def route_table(handlers: Handlers, *, needs_token: bool = True) -> list[RouteSpec]:
    """Return every route of the server."""
    table = [
        *_session_routes(handlers.sim),
        *_order_routes(handlers.orders),
        *_share_routes(handlers.share),
        *_log_routes(handlers.log, handlers.stats),
        *_market_routes(handlers.market),
        *_candle_routes(handlers.candles, handlers.imports),
        *_open_routes(handlers.login, handlers.health, handlers.website),
    ]
    description = ""

    async def describe(call: Call) -> ASGIApp:
        """Describe every call, as OpenAPI 3.1."""
        return json_text_response(description)

    table.append(RouteSpec("GET", "/openapi.json", describe, media="application/json", open=True, budget="open"))
    description = json.dumps(openapi(table, needs_token=needs_token))
    return table


def _session_routes(sim: SessionCalls) -> list[RouteSpec]:
    one, listed = answers.SessionAnswer, answers.SessionsAnswer
    new, key = requests.NewSession, (IDEMPOTENCY_KEY,)
    return [
        RouteSpec("GET", SESSIONS, sim.page, query=requests.SessionsQuery, answer=listed, scope="read"),
        RouteSpec("POST", SESSIONS, sim.create, body=new, answer=one, status=201, headers=key),
        RouteSpec("GET", SESSION, sim.get, answer=one, scope="share", headers=(IF_NONE_MATCH,)),
        RouteSpec("PATCH", SESSION, sim.change, body=requests.SessionChanges, answer=one),
        RouteSpec("DELETE", SESSION, sim.delete, answer=models.EmptyAnswer),
        RouteSpec("POST", f"{SESSION}/start", sim.start, body=requests.StartRequest, answer=one),
        RouteSpec("POST", f"{SESSION}/pause", sim.pause, body=models.EmptyRequest, answer=one),
        RouteSpec("POST", f"{SESSION}/resume", sim.resume, body=requests.StartRequest, answer=one),
        RouteSpec("POST", f"{SESSION}/stop", sim.stop, body=models.EmptyRequest, answer=one),
        RouteSpec("POST", f"{SESSION}/control", sim.control, body=requests.ControlRequest, answer=one, headers=key),
        RouteSpec(
            "POST", f"{SESSION}/fork", sim.fork, body=requests.ForkRequest, answer=one, status=201, budget="heavy"
        ),
        RouteSpec(
            "GET", f"{SESSION}/diff/{{other:uuid}}", sim.diff, answer=diff.DiffAnswer, scope="read", budget="heavy"
        ),
        RouteSpec("GET", "/api/sim/profiles", sim.profiles, answer=answers.ProfilesAnswer, scope="read"),
    ]


def _order_routes(orders: OrderCalls) -> list[RouteSpec]:
    schemas, path, key = order_schemas, f"{SESSION}/orders", (IDEMPOTENCY_KEY,)
    one, listed, close = schemas.OrderAnswer, schemas.OrdersAnswer, schemas.CloseRequest
    cancelled, closed = schemas.CancelledAnswer, schemas.ClosedAnswer
    return [
        RouteSpec("GET", path, orders.orders, query=schemas.OrdersQuery, answer=listed, scope="share"),
        RouteSpec("POST", path, orders.place_order, body=schemas.NewOrder, answer=one, status=201, headers=key),
        RouteSpec("DELETE", path, orders.cancel_orders, answer=cancelled, headers=key),
        RouteSpec("GET", f"{path}/{{orderId:int}}", orders.order, answer=one, scope="share"),
        RouteSpec("DELETE", f"{path}/{{orderId:int}}", orders.cancel_order, answer=one, headers=key),
        RouteSpec("POST", f"{SESSION}/close", orders.close_position, body=close, answer=closed, headers=key),
        RouteSpec("GET", f"{SESSION}/account", orders.account, answer=schemas.AccountAnswer, scope="share"),
        RouteSpec("GET", f"{SESSION}/clock", orders.clock, answer=schemas.ClockAnswer, scope="share"),
    ]


def _share_routes(share: ShareCalls) -> list[RouteSpec]:
    new, one, listed, links = sharing.NewShare, sharing.NewShareAnswer, sharing.SharesAnswer, f"{SESSION}/share"
    return [
        RouteSpec("POST", links, share.share, body=new, answer=one, status=201),
        RouteSpec("GET", links, share.shares, answer=listed, scope="read"),
        RouteSpec("DELETE", f"{links}/{{keyId}}", share.unshare, answer=models.EmptyAnswer),
    ]


def _log_routes(log: LogCalls, stats: StatsCalls) -> list[RouteSpec]:
    follow, seen, files = requests.StreamQuery, (LAST_EVENT_ID,), ", ".join(MEDIA.values())
    shown = [
        RouteSpec("GET", f"{SESSION}/events", log.events, query=requests.EventsQuery, answer=answers.EventsAnswer),
        RouteSpec("GET", f"{SESSION}/stream", log.stream, query=follow, media=SSE, headers=seen, budget="stream"),
        RouteSpec(
            "GET",
            f"{SESSION}/stats",
            stats.stats,
            query=models.NoQuery,
            answer=answers.StatsAnswer,
            budget="heavy",
            is_kept=stats.has_stats,
        ),
        RouteSpec(
            "GET",
            f"{SESSION}/equity",
            stats.equity,
            query=requests.EquityQuery,
            answer=answers.EquityAnswer,
            budget="heavy",
            is_kept=stats.has_curve,
        ),
    ]
    export = RouteSpec("GET", f"{SESSION}/export", stats.export, query=requests.ExportQuery, media=files)
    return [
        *(spec._replace(scope="share") for spec in shown),
        export._replace(scope="read", budget="heavy"),
    ]


def _market_routes(market: MarketCalls) -> list[RouteSpec]:
    schemas, status = session_schemas, session_schemas.MarketStatusAnswer
    new, key, seen = schemas.NewMarketSession, (IDEMPOTENCY_KEY,), (LAST_EVENT_ID,)
    one, known = schemas.MarketSessionAnswer, (IF_NONE_MATCH,)
    follow = schemas.MarketStreamQuery
    table = [
        RouteSpec("GET", MARKET, market.market_page, schemas.MarketSessionsQuery, answer=schemas.MarketSessionsAnswer),
        RouteSpec(
            "POST", MARKET, market.create_market, body=new, answer=schemas.NewMarketAnswer, status=201, headers=key
        ),
        RouteSpec("GET", MARKET_SESSION, market.market_get, answer=one, headers=known),
        RouteSpec("POST", f"{MARKET_SESSION}/start", market.market_start, body=models.EmptyRequest, answer=status),
        RouteSpec("POST", f"{MARKET_SESSION}/stop", market.market_stop, body=models.EmptyRequest, answer=status),
        RouteSpec(
            "GET",
            f"{MARKET_SESSION}/stream",
            market.market_stream,
            query=follow,
            media=SSE,
            headers=seen,
            budget="stream",
        ),
    ]
    return [_reading(spec)._replace(kind="market", bare=True) for spec in table]


def _candle_routes(candles: CandleCalls, imports: ImportCalls) -> list[RouteSpec]:
    schemas, path = candle_schemas, "/api/market"
    table = [
        RouteSpec("GET", f"{path}/candles", candles.candles, schemas.CandlesQuery, answer=schemas.CandlesAnswer),
        RouteSpec("GET", f"{path}/coverage", candles.coverage, schemas.CoverageQuery, answer=schemas.CoverageAnswer),
        RouteSpec(
            "POST",
            f"{path}/import",
            imports.import_candles,
            import_schemas.ImportQuery,
            answer=import_schemas.ImportAnswer,
            takes_file=True,
        ),
    ]
    return [_reading(spec)._replace(bare=True) for spec in table]


def _open_routes(login: LoginCalls, health: HealthCalls, website: WebsiteCalls) -> list[RouteSpec]:
    user, state, empty = models.UserAnswer, models.StateAnswer, models.EmptyAnswer
    table = [
        RouteSpec("POST", "/login", login.login, body=models.LoginRequest, answer=user, body_limit=BODY_LIMIT),
        RouteSpec("POST", "/logout", login.logout, body=models.EmptyRequest, answer=empty, body_limit=BODY_LIMIT),
        RouteSpec("GET", "/healthz", health.healthz, answer=state),
        RouteSpec("GET", "/readyz", health.readyz, answer=models.ReadyAnswer),
        RouteSpec("GET", "/metrics", health.metrics, media="text/plain"),
        RouteSpec("GET", "/", website.index, media="text/html"),
        RouteSpec("GET", "/sessions/{id:uuid}", website.session, media="text/html"),
        RouteSpec("GET", "/docs", website.docs, media="text/html"),
        RouteSpec("GET", "/static/{name:path}", website.file, media="text/plain"),
    ]
    return [spec._replace(open=True, budget="open") for spec in table]


def _reading(spec: RouteSpec) -> RouteSpec:
    """Let tokens that may only read make the calls that only read."""
    return spec._replace(scope="read") if spec.method == "GET" else spec
