"""The whole document: its head, its paths and its components."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from app.web.http.route_spec import RouteSpec
from app.web.openapi.events import event_schemas
from app.web.openapi.operation import TAGS, operation
from app.web.openapi.refusals import failure_responses, failure_schema
from app.web.openapi.schemas import route_schemas

_DESCRIPTION = """\
Replays stored market candles as a live feed and keeps every event in Postgres. Times are milliseconds since the epoch,
UTC; their names end in `Ms`, and `ts` is one too. Numbers are exact decimals.

Answers under `/api/sim` are `{"success": true, "data": …}`; those under `/api/market` have no envelope. Every refusal
is `{"error", "code", "details"}`: a sentence, a code to act on, and for some codes more.

Follow a session with `GET /api/sim/sessions/{id}/stream` (server-sent events); `StreamMessage` describes its messages.
"""
_SECURITY = {
    "token": {"type": "http", "scheme": "bearer", "description": "A token of `zeon token create`, or a JWT."},
    "cookie": {"type": "apiKey", "in": "cookie", "name": "zeon", "description": "What `POST /login` sets."},
    "share": {"type": "apiKey", "in": "query", "name": "share", "description": "The key of a link to one session."},
}


def openapi(table: Sequence[RouteSpec], *, needs_token: bool = True, server: str = "/") -> dict[str, Any]:
    """Describe every route of the table that is part of the API; without `needs_token` everybody may call."""
    security: list[dict[str, Any]] = [{"token": []}, {"cookie": []}] if needs_token else [{}]
    paths: dict[str, dict[str, Any]] = {}
    for spec in table:
        if spec.name:  # Web pages and their files have none.
            paths.setdefault(spec.plain_path, {})[spec.method.lower()] = operation(spec, security, table)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "ZEON sim",
            "version": _version(),
            "description": _DESCRIPTION,
            "license": {"name": "MIT", "identifier": "MIT"},
        },
        "servers": [{"url": server, "description": "This server."}],
        "security": security,
        "tags": [{"name": name, "description": text} for name, text in TAGS.items()],
        "paths": paths,
        "components": {
            "schemas": {**route_schemas(table), **event_schemas(), "Failure": failure_schema()},
            "responses": failure_responses(),
            "securitySchemes": _SECURITY,
        },
    }


def _version() -> str:
    try:
        return version("zeon-sim")
    except PackageNotFoundError:
        return "0"
