"""Login for browsers: a cookie, because their EventSource cannot send an Authorization header."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response

from app.web.http.auth import COOKIE, Authenticator, is_loopback
from app.web.http.models import EmptyAnswer, EmptyRequest, LoginRequest, UserAnswer
from app.web.http.responses import success
from app.web.http.route_spec import Call, RouteGroup, RouteSpec

BODY_LIMIT = 16 * 1024
"""Maximum body of login and logout, in bytes; anyone may call them."""

HINT = "zeon_login"
"""The cookie that tells the page's scripts what the login may do, `trade` or `read`."""


class LoginCalls(RouteGroup):
    """Exchange a token or JWT for a cookie, and delete the cookie."""

    def __init__(self, authenticator: Authenticator) -> None:
        self._authenticator = authenticator

    def routes(self) -> list[RouteSpec]:
        """Return the routes of these calls."""
        routes = [
            RouteSpec("POST", "/login", self.login, "login", None, LoginRequest, UserAnswer, refusals=(401,)),
            RouteSpec("POST", "/logout", self.logout, "logout", None, EmptyRequest, EmptyAnswer),
        ]
        return [route._replace(open=True, budget="open", body_limit=BODY_LIMIT) for route in routes]

    async def login(self, call: Call, body: LoginRequest) -> Response:
        """Exchange a token or JWT for a cookie, which ends with it, or after 12 hours."""
        login = await self._authenticator.login(call.request, body.token)
        answer = success(UserAnswer(user_id=login.user_id))
        return _with_cookie(call.request, answer, login.cookie, login.scope, login.seconds)

    async def logout(self, call: Call, body: EmptyRequest) -> Response:
        """End the login and delete its cookie; streams that were opened with it end within a heartbeat."""
        await self._authenticator.logout(call.request)
        return _with_cookie(call.request, success(EmptyAnswer()), "", "", 0)


def _with_cookie(request: Request, response: Response, value: str, hint: str, seconds: int) -> Response:
    """Set the cookie so that scripts and other sites never get it; except on loopback it needs HTTPS. Set the hint too.

    The scheme is https where a trusted proxy says so.
    """
    secure = request.url.scheme == "https" or not is_loopback(request.url.hostname or "")
    path = request.base_url.path
    response.set_cookie(COOKIE, value, seconds, path=path, httponly=True, samesite="strict", secure=secure)
    response.set_cookie(HINT, hint, seconds, path=path, samesite="strict", secure=secure)
    return response
