"""Check Host and Origin of every request first. Count responses by status."""

from __future__ import annotations

import asyncio
from collections import Counter
from urllib.parse import SplitResult, urlsplit

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.errors import BadInputError, ForeignOriginError, SimError, UnavailableError
from app.settings import Settings
from app.web.http.auth import is_loopback
from app.web.http.refusals import WRONG_HOST, Refusals, count_refusal
from app.web.http.responses import failure

PROBES = ("/healthz", "/readyz", "/metrics")
"""Paths of monitoring, which no limit refuses."""
_SAFE = ("GET", "HEAD", "OPTIONS")
_STARTS = ("http.response.start", "websocket.http.response.start", "websocket.accept")
_PORTS = {"http": 80, "https": 443}


class HostAndOriginCheck:
    """ASGI middleware around the whole application."""

    def __init__(self, app: ASGIApp, settings: Settings, answered: Counter[int], refusals: Refusals) -> None:
        self._app = app
        self._hosts = {host.lower() for host in settings.allowed_hosts}
        self._origins = frozenset(settings.allowed_origins)
        self._answered = answered
        self._refusals = refusals

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, or answer with the error of a check."""

        started = False

        async def counted(message: Message) -> None:
            nonlocal started
            if message["type"] in _STARTS:
                started = True
                self._answered[message.get("status", 101)] += 1
            await send(message)

        try:
            self._check(scope)
        except SimError as error:
            if isinstance(error, BadInputError):
                self._refusals[WRONG_HOST] += 1
            count_refusal(self._refusals, error)
            await failure(error)(scope, receive, counted)
        else:
            try:
                await self._app(scope, receive, counted)
            except asyncio.CancelledError:  # The server stops and does not wait for this call any longer.
                if not started:
                    await failure(UnavailableError("The server is shutting down."))(scope, receive, counted)

    def _check(self, scope: Scope) -> None:
        if scope["path"] in PROBES:  # Probes call by address. Their answers are the same for everybody.
            return
        headers = Headers(scope=scope)
        host = self._require_host(headers)
        if scope.get("method") not in _SAFE:  # A WebSocket has no method, and pages of any origin can open one.
            self._require_allowed_origin(headers, host)

    def _require_host(self, headers: Headers) -> SplitResult:
        """Return the host of a request; raises `BadInputError` for an unknown name (DNS rebinding)."""
        hosts = headers.getlist("host")
        host = _split(f"//{hosts[0]}") if len(hosts) == 1 else None
        if host is None or host.hostname is None:
            raise BadInputError("Host: the header must name one host")
        if not (is_loopback(host.hostname) or host.hostname in self._hosts):
            raise BadInputError(f"Host: {host.hostname[:100]} is neither loopback nor in ZEON_ALLOWED_HOSTS")
        return host

    def _require_allowed_origin(self, headers: Headers, host: SplitResult) -> None:
        """Raise `ForeignOriginError` unless the origin is this server or in `ZEON_ALLOWED_ORIGINS`."""
        for text in headers.getlist("origin"):
            if text not in self._origins and not _is_own_origin(text, host):
                raise ForeignOriginError()


def _is_own_origin(text: str, host: SplitResult) -> bool:
    origin = _split(text)
    if origin is None or origin.scheme not in _PORTS:
        return False
    default = _PORTS[origin.scheme]
    return (origin.hostname, origin.port or default) == (host.hostname, host.port or default)


def _split(text: str) -> SplitResult | None:
    try:
        parts = urlsplit(text)
        _ = parts.port
    except ValueError:
        return None
    return parts if parts.username is None and parts.password is None else None
