"""Where a request comes from: the id by which answer, audit trail and a proxy's log can be matched, and its address."""

from __future__ import annotations

import logging
import re
import secrets

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.db.audit import AuditOrigin
from app.logs import set_fields
from app.web.http.client_address import request_sender

HEADER = "X-Request-Id"
_BOT_KEY = re.compile(r"^(/x/[^/]+/)[^/]+")
_log = logging.getLogger(__name__)
_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")


class RequestIds:
    """ASGI middleware: each request gets an id, which its answer names. A proxy may have given it one already."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on."""
        given = Headers(scope=scope).get(HEADER, "")
        request_id = given if _ID.fullmatch(given) else secrets.token_hex(8)
        scope["state"]["request_id"] = request_id

        state = scope["state"]

        def fields() -> dict[str, object]:
            session_id = scope.get("path_params", {}).get("id")
            session = None if session_id is None else str(session_id)
            return {"requestId": request_id, "user": state.get("user"), "session": session}

        set_fields(fields)

        async def send_with_id(message: Message) -> None:
            if message["type"] in ("http.response.start", "websocket.http.response.start"):
                MutableHeaders(raw=message["headers"]).append(HEADER, request_id)
                _log.debug(
                    "%s %s %d", scope.get("method", "WS"), _BOT_KEY.sub(r"\1…", scope["path"]), message["status"]
                )
            await send(message)

        await self._app(scope, receive, send_with_id)


def audit_origin(request: Request) -> AuditOrigin:
    """Return where a request comes from, for the audit trail."""
    address = request_sender(request.scope).address or "unix socket"
    return AuditOrigin("http", address, request.scope["state"]["request_id"])
