"""The table of routes: what each `RouteGroup` declares. Dispatcher and OpenAPI document use it."""

from __future__ import annotations

import json
from collections.abc import Iterable

from starlette.types import ASGIApp

from app.web.http.responses import json_text_response
from app.web.http.route_spec import Call, RouteGroup, RouteSpec
from app.web.openapi import openapi


def route_table(groups: Iterable[RouteGroup], *, needs_token: bool = True, root_path: str = "") -> list[RouteSpec]:
    """Return every route of the server."""
    table = [route._replace(tag=group.tag) for group in groups for route in group.routes()]
    description = ""

    async def describe(call: Call) -> ASGIApp:
        """Describe every call, as OpenAPI 3.1."""
        return json_text_response(description)

    describing = RouteSpec("GET", "/openapi.json", describe, "describe", media="application/json", tag=RouteGroup.tag)
    table.append(describing._replace(open=True, budget="open"))
    description = json.dumps(openapi(table, needs_token=needs_token, server=root_path or "/"))
    return table
