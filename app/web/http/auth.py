"""Authentication: finds the user of a request by the methods of `ZEON_AUTH`, by a cookie, or by the key of a link."""

from __future__ import annotations

from datetime import UTC, datetime
from ipaddress import ip_address
from typing import TYPE_CHECKING, Literal, NamedTuple
from uuid import UUID

from starlette.requests import Request

from app.clock import Clock
from app.db import audit, logins, tokens
from app.db.pool import Connection, Database
from app.errors import BadInputError, UnauthorizedError
from app.settings import Settings
from app.web.http.client_address import request_sender
from app.web.http.request_id import audit_origin
from app.web.identity.user_id import is_user_id

if TYPE_CHECKING:  # The libraries behind it are loaded only for ZEON_AUTH=jwt.
    from app.web.identity.jwt_tokens import JwtVerifier

Scope = Literal["share", "read", "trade"]
"""What a caller may do, each one more than the one before: read one session, read, or everything."""
SCOPES: tuple[Scope, ...] = ("share", "read", "trade")

COOKIE = "zeon"
COOKIE_SECONDS = 12 * 3600
SHARE = "share"
"""The parameter of a URL with the key of a share link."""
_MAX_SECRET = 200
_REFUSED_PER_MINUTE = 20


class Caller(NamedTuple):
    """Who makes a call, what they may do, and what shows that they still may.

    `session_id` is the only session that the key of a share link is good for. `until_ms` is when token or login end, in
    ms UTC; null if they have no end.
    """

    user_id: str
    scope: Scope = "trade"
    session_id: UUID | None = None
    token_id: UUID | None = None
    login_hash: str | None = None
    until_ms: int | None = None

    @property
    def budget_holder(self) -> str:
        """Whose budgets a call counts for: the user's, or the link's own, so that its readers leave the user theirs."""
        return f"link {self.token_id}" if self.scope == "share" else self.user_id

    def may(self, scope: Scope) -> bool:
        """Whether the caller may make calls of a scope."""
        return SCOPES.index(self.scope) >= SCOPES.index(scope)


class LoginCookie(NamedTuple):
    """A user who has logged in, the value of the cookie, for how many seconds that is valid, and what it may do."""

    user_id: str
    cookie: str
    seconds: int
    scope: tokens.Scope


class RefusedLogins:
    """Which refused logins go into the audit trail: 20 a minute, so that nobody can fill it."""

    def __init__(self) -> None:
        self._minute = 0
        self._recorded = 0

    def may_record(self, now_ms: int) -> bool:
        """Whether one more may be recorded."""
        minute = now_ms // 60_000
        if minute != self._minute:
            self._minute, self._recorded = minute, 0
        self._recorded += 1
        return self._recorded <= _REFUSED_PER_MINUTE


class Authenticator:
    """Finds the user of a request."""

    def __init__(self, settings: Settings, database: Database, clock: Clock, jwts: JwtVerifier | None = None) -> None:
        self._methods = settings.auth
        self._user = settings.user
        self._user_header = (settings.proxy_user_header or "").lower().encode()
        self._database = database
        self._clock = clock
        self._jwts = jwts
        self._refused_logins = RefusedLogins()

    async def caller(self, request: Request) -> Caller:
        """Return the caller of a request; raises `UnauthorizedError`.

        The key of a share link in the URL counts before the user's own login: who opens the link sees what it shows.
        """
        keys = request.query_params.getlist(SHARE)
        caller = await (self._share_caller(keys) if keys else self._user_caller(request))
        if caller is None:
            raise UnauthorizedError("This link is no longer valid." if keys else None)
        return caller

    async def bot_caller(self, key: str) -> Caller:
        """Return the caller of a bot key; where `ZEON_AUTH=none` the id of a session works too.

        Raises `UnauthorizedError`.
        """
        if "none" in self._methods and (session_id := _uuid(key)) is not None:
            return Caller(self._user, session_id=session_id)
        token = None
        if len(key) <= _MAX_SECRET and key.isascii():
            token = await self._database.run(tokens.find_valid, key, "bot")
        if token is None:
            raise UnauthorizedError()
        return _of_token(token, token.scope)

    async def is_still_valid(self, caller: Caller) -> bool:
        """Whether a caller's token, key or login is still valid."""
        if caller.until_ms is not None and caller.until_ms <= self._clock.now_ms():
            return False
        if caller.token_id is not None:
            return await self._database.run(tokens.is_valid, caller.token_id)
        if caller.login_hash is not None:
            return await self._database.run(logins.is_valid, caller.login_hash)
        return True

    async def login(self, request: Request, secret: str) -> LoginCookie:
        """Exchange a token or JWT for a login, which ends with it and after 12 hours at most.

        Raises `UnauthorizedError`, or `BadInputError` if this server has no login.
        """
        if not self._has_logins():
            raise BadInputError(f"token: this server runs with ZEON_AUTH={','.join(self._methods)}; no login is needed")
        caller = await self._login_caller(request, secret)
        now_ms = self._clock.now_ms()
        until_ms = min(now_ms + COOKIE_SECONDS * 1000, caller.until_ms or 2**62)
        scope: tokens.Scope = "trade" if caller.scope == "trade" else "read"
        value = await self._database.run(self._create_login, request, caller, scope, until_ms)
        return LoginCookie(caller.user_id, value, max(1, (until_ms - now_ms) // 1000), scope)

    async def _login_caller(self, request: Request, secret: str) -> Caller:
        try:
            if (caller := await self._bearer_caller(secret)) is not None:
                return caller
            raise UnauthorizedError("This token is not valid.")
        except UnauthorizedError:
            if self._refused_logins.may_record(self._clock.now_ms()):
                await self._database.run(audit.record, audit_origin(request), None, "login.refused")
            raise

    async def logout(self, request: Request) -> None:
        """Delete the login of the request's cookie, if there is one."""
        if value := request.cookies.get(COOKIE, ""):
            await self._database.run(self._delete_login, request, value)

    async def _user_caller(self, request: Request) -> Caller | None:
        if "none" in self._methods:
            return Caller(self._user)
        scheme, _, value = request.headers.get("authorization", "").partition(" ")
        if self._has_logins() and scheme.lower() == "bearer":
            return await self._bearer_caller(value.strip())
        if self._has_logins() and (caller := await self._cookie_caller(request)):
            return caller
        return self._proxy_caller(request) if "proxy" in self._methods else None

    async def _bearer_caller(self, secret: str) -> Caller | None:
        """Return the caller of a token or JWT; only a JWT has dots, two of them."""
        if secret.count(".") == 2:
            return await self._jwt_caller(secret)
        if "token" not in self._methods or len(secret) > _MAX_SECRET:
            return None
        token = await self._database.run(tokens.find_valid, secret, "token")
        return None if token is None else _of_token(token, token.scope)

    async def _jwt_caller(self, secret: str) -> Caller | None:
        if self._jwts is None:
            return None
        user = await self._jwts.user(secret)
        return Caller(user.user_id, until_ms=user.until_ms)

    async def _cookie_caller(self, request: Request) -> Caller | None:
        value = request.cookies.get(COOKIE, "")
        if not 0 < len(value) <= _MAX_SECRET:
            return None
        login = await self._database.run(logins.find_valid, value)
        if login is None:
            return None
        return Caller(login.user_id, login.scope, login_hash=login.login_hash, until_ms=_ms(login.expires_at))

    async def _share_caller(self, keys: list[str]) -> Caller | None:
        if len(keys) > 1:
            raise BadInputError(f"{SHARE}: is given twice")
        if len(keys[0]) > _MAX_SECRET:
            return None
        key = await self._database.run(tokens.find_valid, keys[0], "share")
        return None if key is None else _of_token(key, "share")

    def _proxy_caller(self, request: Request) -> Caller | None:
        """Return the user whom a trusted proxy names; a header of anybody else counts as none."""
        values = [value for name, value in request.headers.raw if name == self._user_header]
        if not values or not request_sender(request.scope).via_trusted_proxy:
            return None
        if len(values) > 1:
            raise UnauthorizedError(f"{self._user_header.decode()}: is given twice.")
        user_id = values[0].decode("utf-8", "replace")
        if not is_user_id(user_id) or "\ufffd" in user_id:
            raise UnauthorizedError(f"{self._user_header.decode()}: is not the id of a user.")
        return Caller(user_id)

    def _has_logins(self) -> bool:
        """Whether clients authenticate themselves, with a token or JWT that a browser can exchange for a cookie."""
        return "token" in self._methods or "jwt" in self._methods

    async def _create_login(
        self, connection: Connection, request: Request, caller: Caller, scope: tokens.Scope, until_ms: int
    ) -> str:
        end = datetime.fromtimestamp(until_ms / 1000, UTC)
        async with connection.transaction():
            value = await logins.create(connection, caller.user_id, scope, end, caller.token_id)
            details = {"with": "jwt"} if caller.token_id is None else {"with": "token", "tokenId": str(caller.token_id)}
            await audit.record(connection, audit_origin(request), caller.user_id, "login", details=details)
        return value

    async def _delete_login(self, connection: Connection, request: Request, value: str) -> None:
        async with connection.transaction():
            user_id = await logins.delete(connection, value)
            if user_id is not None:
                await audit.record(connection, audit_origin(request), user_id, "logout")


def require_safe_bind(settings: Settings) -> None:
    """Raise `BadInputError` for a server that other machines could reach without authentication."""
    if "none" in settings.auth and settings.socket is None and not is_loopback(settings.host):
        raise BadInputError(
            f"HOST: {settings.host!r} is not a loopback address, so users must log in: set ZEON_AUTH=token,"
            " jwt or proxy"
        )


def is_loopback(host: str) -> bool:
    """Whether a host name or address means this machine."""
    if host.lower() == "localhost":
        return True
    try:
        return ip_address(host.removeprefix("[").removesuffix("]")).is_loopback
    except ValueError:
        return False


def _uuid(text: str) -> UUID | None:
    try:
        return UUID(text)
    except ValueError:
        return None


def _of_token(token: tokens.Token, scope: Scope) -> Caller:
    until_ms = None if token.expires_at is None else _ms(token.expires_at)
    return Caller(token.user_id, scope, token.session_id, token.id, until_ms=until_ms)


def _ms(moment: datetime) -> int:
    return int(moment.timestamp() * 1000)
