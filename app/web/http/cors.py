"""Cross-origin requests: pages of the origins in `ZEON_ALLOWED_ORIGINS` may call with credentials."""

from __future__ import annotations

from starlette.datastructures import Headers
from starlette.middleware.cors import CORSMiddleware
from starlette.types import ASGIApp, Receive, Scope, Send

from app.settings import Settings

EXPOSED = ("Content-Disposition", "ETag", "Location", "Retry-After", "WWW-Authenticate", "X-Request-Id")
"""Response headers that scripts of other origins may read, besides the always readable ones."""


def with_cors(app: ASGIApp, settings: Settings) -> ASGIApp:
    """Return the application with cross-origin headers on every answer, including errors."""
    return CrossOrigin(app, settings.allowed_origins) if settings.allowed_origins else app


class CrossOrigin:
    """Starlette's middleware, except for preflights of unknown origins, which are refused as without it."""

    def __init__(self, app: ASGIApp, origins: tuple[str, ...]) -> None:
        self._app = app
        self._origins = origins
        self._cors = CORSMiddleware(
            app,
            allow_origins=origins,
            allow_methods=["*"],
            allow_headers=["*"],
            allow_credentials=True,
            allow_private_network=True,
            expose_headers=EXPOSED,
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on."""
        if scope["type"] == "websocket":  # Its origin was checked already.
            await self._app(scope, receive, send)
            return
        foreign = scope["method"] == "OPTIONS" and Headers(scope=scope).get("origin") not in self._origins
        await (self._app if foreign else self._cors)(scope, receive, send)
