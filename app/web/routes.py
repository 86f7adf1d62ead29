"""The table of routes: who may call what, with which input. Dispatcher and OpenAPI document use it."""

from __future__ import annotations

import json
from functools import partial
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
from app.web.page import PageCalls
from app.web.sim import answers, diff, examples, requests
from app.web.sim.log import LogCalls
from app.web.sim.sessions import SessionCalls
from app.web.sim.stats import StatsCalls

SESSIONS = "/api/sim/sessions"
SESSION = f"{SESSIONS}/{{id:uuid}}"
MARKET = "/api/market/sessions"
MARKET_SESSION = f"{MARKET}/{{id:uuid}}"
SSE = "text/event-stream"

_READ, _SHOWN = partial(RouteSpec, scope="read"), partial(RouteSpec, scope="share")
"""Routes for tokens that may only read, and for links that only show a session."""


class Handlers(NamedTuple):
    """The objects whose methods handle the calls."""

    sim: SessionCalls
    market: MarketCalls
    candles: CandleCalls
    imports: ImportCalls
    log: LogCalls
    stats: StatsCalls
    login: LoginCalls
    health: HealthCalls
    page: PageCalls


def route_table(handlers: Handlers, *, needs_token: bool = True) -> list[RouteSpec]:
    """Return every route of the server."""
    table = [
        *_session_routes(handlers.sim),
        *_log_routes(handlers.log, handlers.stats),
        *_market_routes(handlers.market),
        *_candle_routes(handlers.candles, handlers.imports),
        *_open_routes(handlers.login, handlers.health),
        *_page_routes(handlers.page),
    ]
    description = ""

    async def describe(call: Call) -> ASGIApp:
        """Describe every call, as OpenAPI 3.1."""
        return json_text_response(description)

    table.append(RouteSpec("GET", "/openapi.json", describe, media="application/json", open=True, name="describe"))
    description = json.dumps(openapi(table, needs_token=needs_token))
    return table


def _session_routes(sim: SessionCalls) -> list[RouteSpec]:
    one, listed = answers.SessionAnswer, answers.SessionsAnswer
    key, seen = (IDEMPOTENCY_KEY,), (IF_NONE_MATCH,)
    start, none, diff_answer = requests.StartRequest, models.EmptyRequest, diff.DiffAnswer
    table = [
        _READ("GET", SESSIONS, sim.page, requests.SessionsQuery, answer=listed, name="listSessions"),
        RouteSpec(
            "POST",
            SESSIONS,
            sim.create,
            body=requests.NewSession,
            answer=one,
            status=201,
            headers=key,
            refusals=(422,),
            example=examples.NEW_SESSION,
        ),
        RouteSpec("GET", SESSION, sim.get, answer=one, headers=seen, scope="share"),
        RouteSpec("PATCH", SESSION, sim.change, body=requests.SessionChanges, answer=one, example=examples.CHANGES),
        RouteSpec("DELETE", SESSION, sim.delete, answer=models.EmptyAnswer),
        RouteSpec("POST", f"{SESSION}/start", sim.start, body=start, answer=one, refusals=(422,)),
        RouteSpec("POST", f"{SESSION}/pause", sim.pause, body=none, answer=one),
        RouteSpec("POST", f"{SESSION}/resume", sim.resume, body=start, answer=one, refusals=(422,)),
        RouteSpec("POST", f"{SESSION}/stop", sim.stop, body=none, answer=one),
        RouteSpec(
            "POST",
            f"{SESSION}/control",
            sim.control,
            body=requests.ControlRequest,
            answer=one,
            headers=key,
            refusals=(422,),
            example=examples.CONTROL,
        ),
        RouteSpec(
            "POST",
            f"{SESSION}/fork",
            sim.fork,
            body=requests.ForkRequest,
            answer=one,
            status=201,
            refusals=(422,),
            example=examples.FORK,
        ),
        _READ("GET", f"{SESSION}/diff/{{other:uuid}}", sim.diff, answer=diff_answer, name="compareSessions"),
    ]
    named = [spec._replace(name=spec.name or f"{spec.handler.__name__}Session") for spec in table]
    changing = [spec._replace(refusals=(409, *spec.refusals)) if spec.method != "GET" else spec for spec in named]
    profiles = _READ("GET", "/api/sim/profiles", sim.profiles, answer=answers.ProfilesAnswer, name="listProfiles")
    return [*changing, profiles]


def _log_routes(log: LogCalls, stats: StatsCalls) -> list[RouteSpec]:
    page, follow, seen, files = examples.EVENTS, requests.StreamQuery, (LAST_EVENT_ID,), ", ".join(MEDIA.values())
    one, read, curve, file = examples.EXPORT, requests.EventsQuery, requests.EquityQuery, requests.ExportQuery
    figures, points, events = answers.StatsAnswer, answers.EquityAnswer, answers.EventsAnswer
    return [
        _SHOWN("GET", f"{SESSION}/events", log.events, read, answer=events, name="listEvents", example=page),
        _SHOWN("GET", f"{SESSION}/stream", log.stream, follow, media=SSE, headers=seen, name="streamEvents"),
        _SHOWN("GET", f"{SESSION}/stats", stats.stats, models.NoQuery, answer=figures, name="getStats"),
        _SHOWN("GET", f"{SESSION}/equity", stats.equity, curve, answer=points, name="getEquity"),
        _READ("GET", f"{SESSION}/export", stats.export, file, media=files, name="exportLog", example=one),
    ]


def _market_routes(market: MarketCalls) -> list[RouteSpec]:
    schemas, status = session_schemas, session_schemas.MarketStatusAnswer
    new, key, seen = schemas.NewMarketSession, (IDEMPOTENCY_KEY,), (LAST_EVENT_ID,)
    one, listed, none = schemas.MarketSessionAnswer, schemas.MarketSessionsAnswer, models.EmptyRequest
    follow, example = schemas.MarketStreamQuery, examples.NEW_MARKET_SESSION
    call = partial(RouteSpec, kind="market", bare=True)
    return [
        call(
            "GET",
            MARKET,
            market.market_page,
            schemas.MarketSessionsQuery,
            answer=listed,
            scope="read",
            name="listMarketSessions",
        ),
        call(
            "POST",
            MARKET,
            market.create_market,
            body=new,
            answer=schemas.NewMarketAnswer,
            status=201,
            headers=key,
            refusals=(422,),
            name="createMarketSession",
            example=example,
        ),
        call(
            "GET",
            MARKET_SESSION,
            market.market_get,
            answer=one,
            headers=(IF_NONE_MATCH,),
            scope="read",
            name="getMarketSession",
        ),
        call(
            "POST",
            f"{MARKET_SESSION}/start",
            market.market_start,
            body=none,
            answer=status,
            refusals=(409, 422),
            name="startMarketSession",
        ),
        call(
            "POST",
            f"{MARKET_SESSION}/stop",
            market.market_stop,
            body=none,
            answer=status,
            refusals=(409,),
            name="stopMarketSession",
        ),
        call(
            "GET",
            f"{MARKET_SESSION}/stream",
            market.market_stream,
            follow,
            media=SSE,
            headers=seen,
            scope="read",
            name="streamMarketSession",
        ),
    ]


def _candle_routes(candles: CandleCalls, imports: ImportCalls) -> list[RouteSpec]:
    schemas, path, answer = candle_schemas, "/api/market", import_schemas.ImportAnswer
    call = partial(RouteSpec, bare=True)
    return [
        call(
            "GET",
            f"{path}/candles",
            candles.candles,
            schemas.CandlesQuery,
            answer=schemas.CandlesAnswer,
            scope="read",
            name="listCandles",
            example=examples.CANDLES,
        ),
        call(
            "GET",
            f"{path}/coverage",
            candles.coverage,
            schemas.CoverageQuery,
            answer=schemas.CoverageAnswer,
            scope="read",
            name="listCoverage",
        ),
        call(
            "POST",
            f"{path}/import",
            imports.import_candles,
            import_schemas.ImportQuery,
            answer=answer,
            takes_file=True,
            refusals=(422,),
            name="importCandles",
        ),
    ]


def _open_routes(login: LoginCalls, health: HealthCalls) -> list[RouteSpec]:
    user, state, empty = models.UserAnswer, models.StateAnswer, models.EmptyAnswer
    enter, leave = models.LoginRequest, models.EmptyRequest
    call, probe = partial(RouteSpec, open=True), partial(RouteSpec, open=True, limited=False)
    return [
        call("POST", "/login", login.login, body=enter, answer=user, body_limit=BODY_LIMIT, refusals=(401,)),
        call("POST", "/logout", login.logout, body=leave, answer=empty, body_limit=BODY_LIMIT),
        probe("GET", "/healthz", health.healthz, answer=state),
        probe("GET", "/readyz", health.readyz, answer=models.ReadyAnswer),
        probe("GET", "/metrics", health.metrics, media="text/plain"),
    ]


def _page_routes(page: PageCalls) -> list[RouteSpec]:
    call = partial(RouteSpec, open=True, hidden=True)
    return [
        call("GET", "/", page.index, media="text/html"),
        call("GET", "/sessions/{id:uuid}", page.session, media="text/html"),
        call("GET", "/static/{name:path}", page.file, media="text/plain"),
    ]
