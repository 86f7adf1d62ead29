"""Between the router and the handlers: check each request as its entry in the table of routes declares."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any
from uuid import UUID

from starlette.requests import Request
from starlette.routing import Route
from starlette.types import ASGIApp

from app.db.pool import cancelling_queries
from app.domain.session import Session
from app.engine.session_service import SessionService
from app.errors import ClientGoneError, InsufficientScopeError, NotFoundError
from app.settings import Settings
from app.web.http.auth import SHARE, Authenticator, Caller
from app.web.http.parsing import BodyReader, parse, query_values
from app.web.http.route_spec import Call, RouteSpec

_MAY_NOT = {
    "share": "This link only shows a session. Log in as a user to do this.",
    "read": "This token may only read. The call needs one with the scope trade.",
}


class Dispatcher:
    """Authenticates, reads query and body, finds the sessions of the path, and only then calls the handler."""

    def __init__(self, authenticator: Authenticator, sim: SessionService, settings: Settings) -> None:
        self._authenticator = authenticator
        self._sim = sim
        self._reader = BodyReader(settings)

    def routes(self, table: Sequence[RouteSpec]) -> list[Route]:
        """Return one route per path, so that the router answers other methods with the allowed ones."""
        paths: dict[str, dict[str, RouteSpec]] = {}
        for spec in table:
            paths.setdefault(spec.path, {})[spec.method] = spec
        return [Route(path, self._endpoint(specs), methods=list(specs)) for path, specs in paths.items()]

    def _endpoint(self, specs: Mapping[str, RouteSpec]) -> Callable[[Request], Awaitable[ASGIApp]]:
        async def endpoint(request: Request) -> ASGIApp:
            return await self.respond(specs["GET" if request.method == "HEAD" else request.method], request)

        return endpoint

    async def respond(self, spec: RouteSpec, request: Request) -> ASGIApp:
        """Return the response of a route; raises the `SimError` of a check or of the handler."""
        inputs: dict[str, Any] = {}
        sessions: list[Session] = []
        caller = None if spec.open else await self._permitted_caller(spec, request)
        if spec.query is not None:
            inputs["query"] = parse(spec.query, _parameters(request))
        json = {} if spec.body is None else await self._reader.json(request, spec.body_limit)
        if spec.body is not None:
            inputs["body"] = parse(spec.body, json)
        if caller is not None:
            sessions = await self._sessions(spec, request, caller)
        return await _answer(spec, Call(request, caller, tuple(sessions), json), inputs)

    async def _permitted_caller(self, spec: RouteSpec, request: Request) -> Caller:
        """Return the caller; raises `UnauthorizedError`, or `InsufficientScopeError` if they may not make this call."""
        caller = await self._authenticator.caller(request)
        if not caller.may(spec.scope):
            raise InsufficientScopeError(_MAY_NOT[caller.scope])
        return caller

    async def _sessions(self, spec: RouteSpec, request: Request, caller: Caller) -> list[Session]:
        """Return the caller's sessions that the path names; raises `NotFoundError` for any other."""
        ids = [value for value in request.path_params.values() if isinstance(value, UUID)]
        if caller.session_id is not None and ids != [caller.session_id]:
            raise NotFoundError("There is no such session.")
        sessions = [await self._sim.get(caller.user_id, session_id) for session_id in ids]
        if any(spec.kind not in (None, session.spec.kind) for session in sessions):
            raise NotFoundError(f"There is no such {spec.kind} session.")
        return sessions


def _parameters(request: Request) -> dict[str, str]:
    """Return the parameters of a call, without the key of a share link."""
    return {name: value for name, value in query_values(request).items() if name != SHARE}


async def _answer(spec: RouteSpec, call: Call, inputs: Mapping[str, Any]) -> ASGIApp:
    response = spec.handler(call, **inputs)
    return await (_while_connected(call.request, response) if spec.method == "GET" else response)


async def _while_connected(request: Request, response: Awaitable[ASGIApp]) -> ASGIApp:
    """Wait for a response as long as its client does; when that hangs up, Postgres stops what it does for the call.

    Only for calls that change nothing. Raises `ClientGoneError`.
    """
    on_disconnect = request.scope["state"]["on_disconnect"]
    try:
        async with asyncio.timeout(None) as waiting:
            on_disconnect(lambda: waiting.reschedule(0))
            with cancelling_queries():
                return await response
    except TimeoutError:
        if waiting.expired():
            raise ClientGoneError() from None
        raise
    finally:
        on_disconnect(None)
