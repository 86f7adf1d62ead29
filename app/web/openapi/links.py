"""Links of the document: which calls take the id of the session that a call answers with."""

from __future__ import annotations

from typing import Any

from app.web.http.route_spec import RouteSpec
from app.web.openapi.calls import call

_OF_A_SESSION = (
    *("getSession", "changeSession", "deleteSession", "startSession", "pauseSession", "resumeSession", "stopSession"),
    *(
        "controlSession",
        "forkSession",
        "listEvents",
        "streamEvents",
        "getStats",
        "getEquity",
        "exportLog",
        "shareSession",
        "createBotKey",
    ),
    *("placeOrder", "listOrders", "cancelOrders", "closePosition", "getAccount", "getClock"),
)
_OF_A_MARKET_SESSION = ("getMarketSession", "startMarketSession", "stopMarketSession", "streamMarketSession")
_TARGETS = {
    "createSession": (_OF_A_SESSION, "$response.body#/data/id"),
    "forkSession": (_OF_A_SESSION, "$response.body#/data/id"),
    "createMarketSession": (_OF_A_MARKET_SESSION, "$response.body#/sessionId"),
}


def links(spec: RouteSpec) -> dict[str, Any]:
    """Return the links of a route's answer by name; none for a route that creates nothing."""
    targets, session_id = _TARGETS.get(call(spec).name, ((), ""))
    operations = {
        name: {"operationId": name, "parameters": {"id": session_id}, "description": "A call on the new session."}
        for name in targets
    }
    if call(spec).name == "createSession":
        operations["compareSessions"] = {
            "operationId": "compareSessions",
            "parameters": {"id": session_id, "other": session_id},
            "description": "Compare the new session with itself, or another one with it.",
        }
    return operations
