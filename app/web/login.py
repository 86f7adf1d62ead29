"""The cookie for browsers, whose EventSource sends no headers."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response

from app.settings import Settings
from app.web.http.auth import COOKIE, COOKIE_SECONDS, Authenticator, is_loopback
from app.web.http.parsing import BodyReader, parse
from app.web.http.responses import success
from app.web.sim.answers import EmptyAnswer, UserAnswer
from app.web.sim.requests import EmptyRequest, LoginRequest


class LoginCalls:
    """Exchange a token for a cookie, and give it back."""

    def __init__(self, identity: Authenticator, settings: Settings) -> None:
        self._identity = identity
        self._reader = BodyReader(settings)

    async def login(self, request: Request) -> Response:
        """Set the cookie."""
        body = parse(LoginRequest, await self._reader.json(request))
        user_id, value = await self._identity.login(body.token)
        return _with_cookie(request, success(UserAnswer(user_id=user_id)), value, COOKIE_SECONDS)

    async def logout(self, request: Request) -> Response:
        """Take the cookie back."""
        parse(EmptyRequest, await self._reader.json(request))
        return _with_cookie(request, success(EmptyAnswer()), "", 0)


def _with_cookie(request: Request, response: Response, value: str, seconds: int) -> Response:
    """Keep the cookie from scripts, from other sites and, beyond this machine, from plain HTTP."""
    secure = not is_loopback(request.url.hostname or "")
    response.set_cookie(COOKIE, value, max_age=seconds, httponly=True, samesite="strict", secure=secure)
    return response
