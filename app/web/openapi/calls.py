"""What the table of routes does not say about a call: its name, the refusals of its handler, and an example."""

from __future__ import annotations

import re
from typing import Any, Final, NamedTuple

from pydantic.alias_generators import to_camel

from app.web.http.route_spec import RouteSpec

_DAY_MS: Final = 86_400_000
_START_MS: Final = 1_704_067_200_000
"""2024-01-01, UTC."""


class Described(NamedTuple):
    """A call for the OpenAPI document.

    `name` is its operationId, the name of the function in generated clients. `refusals` are the HTTP statuses that the
    handler itself refuses with. `example` is the query or the body of a call that works; a test makes it.
    """

    name: str
    refusals: tuple[int, ...] = ()
    example: dict[str, Any] | None = None


_NEW_SESSION: Final = {
    "profileSlug": "sma_cross",
    "config": {"fast": 10, "slow": 30},
    "venue": "demo",
    "symbol": "BTCUSDT",
    "timeframe": "1m",
    "startMs": _START_MS,
    "endMs": _START_MS + _DAY_MS,
    "replayMsPerCandle": 100,
}
_NEW_MARKET_SESSION: Final = {
    "symbols": ["BTCUSDT"],
    "timeframe": "1m",
    "start": "2024-01-01T00:00:00Z",
    "end": "2024-01-02T00:00:00Z",
    "speed": 100,
    "venue": "demo",
}
_CHANGES: Final = {"name": "Crossing averages", "tags": ["example"], "speed": 60}
_FORK: Final = {"atSeq": 0, "config": {"fast": 5, "slow": 20}}
_ORDER: Final = {"side": "buy", "type": "limit", "qty": 0.01, "limitPrice": 41_000, "stopLoss": 40_000}
_EVENTS: Final = {"fromSeq": 1, "limit": 100, "types": ["candle", "trade"]}
_CANDLES: Final = {"symbol": "BTCUSDT", "timeframe": "1m", "venue": "demo", "limit": 10}

_CALLS: Final = {
    "GET /api/sim/sessions": Described("listSessions"),
    "POST /api/sim/sessions": Described("createSession", (409, 422), _NEW_SESSION),
    "GET /api/sim/sessions/{id}": Described("getSession"),
    "PATCH /api/sim/sessions/{id}": Described("changeSession", (409,), _CHANGES),
    "DELETE /api/sim/sessions/{id}": Described("deleteSession", (409,)),
    "POST /api/sim/sessions/{id}/start": Described("startSession", (409, 422)),
    "POST /api/sim/sessions/{id}/pause": Described("pauseSession", (409,)),
    "POST /api/sim/sessions/{id}/resume": Described("resumeSession", (409, 422)),
    "POST /api/sim/sessions/{id}/stop": Described("stopSession", (409,)),
    "POST /api/sim/sessions/{id}/control": Described("controlSession", (409, 422), {"action": "step", "candles": 10}),
    "POST /api/sim/sessions/{id}/fork": Described("forkSession", (409, 422), _FORK),
    "GET /api/sim/sessions/{id}/diff/{other}": Described("compareSessions", (409, 422)),
    "GET /api/sim/sessions/{id}/orders": Described("listOrders", example={"status": "open"}),
    "POST /api/sim/sessions/{id}/orders": Described("placeOrder", (409, 422), _ORDER),
    "DELETE /api/sim/sessions/{id}/orders": Described("cancelOrders", (409, 422)),
    "GET /api/sim/sessions/{id}/orders/{orderId}": Described("getOrder"),
    "DELETE /api/sim/sessions/{id}/orders/{orderId}": Described("cancelOrder", (409, 422)),
    "POST /api/sim/sessions/{id}/close": Described("closePosition", (409, 422), {"fill": "same_close"}),
    "GET /api/sim/sessions/{id}/account": Described("getAccount", (409,)),
    "GET /api/sim/sessions/{id}/clock": Described("getClock"),
    "POST /api/sim/sessions/{id}/share": Described("shareSession", example={"expiresIn": "7d"}),
    "GET /api/sim/sessions/{id}/share": Described("listShares"),
    "DELETE /api/sim/sessions/{id}/share/{keyId}": Described("deleteShare"),
    "POST /api/sim/sessions/{id}/bot-key": Described("createBotKey", example={"expiresIn": "30d"}),
    "GET /api/sim/sessions/{id}/bot-key": Described("listBotKeys"),
    "DELETE /api/sim/sessions/{id}/bot-key/{keyId}": Described("deleteBotKey"),
    "GET /api/sim/profiles": Described("listProfiles"),
    "GET /api/sim/sessions/{id}/events": Described("listEvents", example=_EVENTS),
    "GET /api/sim/sessions/{id}/stream": Described("streamEvents"),
    "GET /api/sim/sessions/{id}/stats": Described("getStats"),
    "GET /api/sim/sessions/{id}/equity": Described("getEquity"),
    "GET /api/sim/sessions/{id}/export": Described("exportLog", example={"what": "trades", "format": "csv"}),
    "GET /api/market/sessions": Described("listMarketSessions"),
    "POST /api/market/sessions": Described("createMarketSession", (422,), _NEW_MARKET_SESSION),
    "GET /api/market/sessions/{id}": Described("getMarketSession"),
    "POST /api/market/sessions/{id}/start": Described("startMarketSession", (409, 422)),
    "POST /api/market/sessions/{id}/stop": Described("stopMarketSession", (409,)),
    "GET /api/market/sessions/{id}/stream": Described("streamMarketSession"),
    "GET /api/market/candles": Described("listCandles", example=_CANDLES),
    "GET /api/market/coverage": Described("listCoverage"),
    "POST /api/market/import": Described("importCandles", (422,)),
    "POST /login": Described("login", (401,)),
    "POST /logout": Described("logout"),
    "GET /healthz": Described("healthz"),
    "GET /readyz": Described("readyz"),
    "GET /metrics": Described("metrics"),
    "GET /openapi.json": Described("describe"),
}
_PAGE: Final = "text/html"


def call(spec: RouteSpec) -> Described:
    """Return what is described about a route; one that is not listed has the name of its handler."""
    return _CALLS.get(f"{spec.method} {plain_path(spec)}") or Described(to_camel(spec.handler.__name__))


def plain_path(spec: RouteSpec) -> str:
    """Return the path as OpenAPI writes it, without the kinds of its parameters."""
    return re.sub(r"{(\w+):\w+}", r"{\1}", spec.path)


def is_part_of_the_api(spec: RouteSpec) -> bool:
    """Whether programs make this call; pages, their files and the exchange face are left out."""
    return not spec.face and spec.media != _PAGE and not spec.path.startswith("/static/")
