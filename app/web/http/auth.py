"""Authentication: the only user of a server without tokens, or the user of a token or of a login cookie."""

from __future__ import annotations

import hmac
from hashlib import sha256
from ipaddress import ip_address
from typing import NamedTuple
from uuid import UUID

from starlette.requests import Request

from app.clock import Clock
from app.db import tokens
from app.db.pool import Database
from app.db.tokens import Token
from app.errors import BadInputError, UnauthorizedError
from app.settings import Settings

COOKIE = "zeon"
COOKIE_SECONDS = 12 * 3600


class Caller(NamedTuple):
    """A user, the token, and when the login cookie expires (ms UTC); null if there is none."""

    user_id: str
    token_id: UUID | None = None
    until_ms: int | None = None


class Authenticator:
    """Finds the user of a request, with the method of `ZEON_AUTH`."""

    def __init__(self, settings: Settings, database: Database, clock: Clock) -> None:
        self._settings = settings
        self._database = database
        self._clock = clock

    async def caller(self, request: Request) -> Caller:
        """Return the caller of a request; raises `UnauthorizedError`."""
        if self._settings.auth == "none":
            return Caller(self._settings.user)
        scheme, _, value = request.headers.get("authorization", "").partition(" ")
        is_bearer = scheme.lower() == "bearer"
        caller = await (self._token_caller(value.strip()) if is_bearer else self._cookie_caller(request))
        if caller is None:
            raise UnauthorizedError()
        return caller

    async def is_still_valid(self, caller: Caller) -> bool:
        """Whether a caller's token and cookie are still valid."""
        if caller.token_id is None:
            return True
        expired = caller.until_ms is not None and caller.until_ms <= self._clock.now_ms()
        return not expired and await self._database.run(tokens.find_valid, token_id=caller.token_id) is not None

    async def login(self, secret: str) -> tuple[str, str]:
        """Return the user of a token and the value of a cookie for it; raises `UnauthorizedError`."""
        if self._settings.auth == "none":
            raise BadInputError("token: this server runs without tokens (ZEON_AUTH=none); no login is needed")
        token = await self._database.run(tokens.find_valid, token_hash=tokens.token_hash(secret))
        if token is None:
            raise UnauthorizedError("This token is not valid.")
        until_ms = self._clock.now_ms() + COOKIE_SECONDS * 1000
        return token.user_id, f"{token.id}.{until_ms}.{_signature(token, until_ms)}"

    async def _token_caller(self, secret: str) -> Caller | None:
        token = await self._database.run(tokens.find_valid, token_hash=tokens.token_hash(secret))
        return None if token is None else Caller(token.user_id, token.id)

    async def _cookie_caller(self, request: Request) -> Caller | None:
        """Return the caller of a cookie `token id.expiry.signature`; the signature is made with the token's hash."""
        try:
            id_text, end_text, signature = request.cookies.get(COOKIE, "").split(".")
            token_id, until_ms = UUID(id_text), int(end_text)
        except ValueError:
            return None
        if until_ms <= self._clock.now_ms():
            return None
        token = await self._database.run(tokens.find_valid, token_id=token_id)
        if token is None or not hmac.compare_digest(_signature(token, until_ms).encode(), signature.encode()):
            return None
        return Caller(token.user_id, token.id, until_ms)


def require_safe_bind(settings: Settings) -> None:
    """Raise `BadInputError` for a server without tokens that other machines could reach."""
    if settings.auth == "none" and not is_loopback(settings.host):
        raise BadInputError(
            f"HOST: {settings.host!r} is not a loopback address, so tokens are needed: set ZEON_AUTH=token"
        )


def is_loopback(host: str) -> bool:
    """Whether a host name or address means this machine."""
    if host.lower() == "localhost":
        return True
    try:
        return ip_address(host.removeprefix("[").removesuffix("]")).is_loopback
    except ValueError:
        return False


def _signature(token: Token, until_ms: int) -> str:
    return hmac.new(token.token_hash.encode(), f"{token.id}.{until_ms}".encode(), sha256).hexdigest()
