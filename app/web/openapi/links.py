"""Links of the document: which calls take the id of the session that a call answers with."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from app.web.http.route_spec import RouteSpec

_SESSION_IDS = {
    "createSession": "$response.body#/data/id",
    "forkSession": "$response.body#/data/id",
    "createMarketSession": "$response.body#/sessionId",
}
"""The calls that create a session, and where their answer has its id."""


def links(spec: RouteSpec, table: Sequence[RouteSpec]) -> dict[str, Any]:
    """Return the links of a route's answer by name; none for a route that creates no session."""
    if spec.name not in _SESSION_IDS:
        return {}
    session_id = _SESSION_IDS[spec.name]
    sessions = spec.plain_path.partition("/{")[0]
    operations = {
        route.name: {
            "operationId": route.name,
            "parameters": {"id": session_id},
            "description": "A call on the new session.",
        }
        for route in table
        if route.path.startswith(f"{sessions}/") and [name for name, _ in route.parameters] == ["id"]
    }
    if spec.name == "createSession":
        operations["compareSessions"] = {
            "operationId": "compareSessions",
            "parameters": {"id": session_id, "other": session_id},
            "description": "Compare the new session with itself, or another one with it.",
        }
    return operations
