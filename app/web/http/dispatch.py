"""Between the router and the handlers: check each request as its entry in the table of routes declares."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any
from uuid import UUID

from pydantic import BaseModel
from starlette.requests import Request
from starlette.routing import Route
from starlette.types import ASGIApp

from app.db.pool import cancelling_queries
from app.domain.session import Session
from app.engine.session_service import SessionService
from app.errors import ClientGoneError, InsufficientScopeError, NotFoundError, UnauthorizedError
from app.settings import Settings
from app.web.http.auth import SHARE, Authenticator, Caller
from app.web.http.budgets import Budgets, HeavyResponse
from app.web.http.client_address import request_sender
from app.web.http.event_stream import Streams
from app.web.http.middleware import PROBES
from app.web.http.parsing import BodyReader, list_fields, parse, query_values
from app.web.http.route_spec import Call, RouteSpec

_MAY_NOT = {
    "share": "This link only shows a session. Log in as a user to do this.",
    "read": "This token may only read. The call needs one with the scope trade.",
}


class Dispatcher:
    """Authenticates, reads query and body, finds the sessions of the path, and only then calls the handler."""

    def __init__(
        self, authenticator: Authenticator, sim: SessionService, budgets: Budgets, streams: Streams, settings: Settings
    ) -> None:
        self._authenticator = authenticator
        self._sim = sim
        self._budgets = budgets
        self._streams = streams
        self._reader = BodyReader(settings)

    def routes(self, table: Sequence[RouteSpec]) -> list[Route]:
        """Return one route per path, so that the router answers other methods with the allowed ones.

        The exchange face has its own.
        """
        paths: dict[str, dict[str, RouteSpec]] = {}
        for spec in table:
            if spec.face:
                continue
            paths.setdefault(spec.path, {})[spec.method] = spec
        return [Route(path, self._endpoint(specs), methods=list(specs)) for path, specs in paths.items()]

    def _endpoint(self, specs: Mapping[str, RouteSpec]) -> Callable[[Request], Awaitable[ASGIApp]]:
        async def endpoint(request: Request) -> ASGIApp:
            spec = specs["GET" if request.method == "HEAD" else request.method]
            try:
                return await self.respond(spec, request)
            except UnauthorizedError:
                self._budgets.charge_stranger(request_sender(request.scope).address)
                if not spec.open:
                    self._budgets.forget(request)
                raise

        return endpoint

    async def respond(self, spec: RouteSpec, request: Request) -> ASGIApp:
        """Return the response of a route; raises the `SimError` of a check or of the handler."""
        inputs: dict[str, Any] = {}
        sessions: list[Session] = []
        caller = await self._caller(spec, request)
        if spec.query is not None:
            inputs["query"] = parse(spec.query, _parameters(spec.query, request))
        json = {} if spec.body is None else await self._reader.json(request, spec.body_limit)
        if spec.body is not None:
            inputs["body"] = parse(spec.body, json)
        if caller is not None:
            sessions = await self._sessions(spec, request, caller)
        call = Call(request, caller, tuple(sessions), json)
        if spec.budget == "stream":
            self._streams.require_capacity(call.caller.budget_holder)
        if spec.budget == "heavy":
            return await _while_wanted(spec, request, self._heavy(spec, call, inputs))
        return await _while_wanted(spec, request, spec.handler(call, **inputs))

    async def _caller(self, spec: RouteSpec, request: Request) -> Caller | None:
        """Count the request and, unless the route is open, return its caller.

        Raises `TooManyRequestsError`, `UnauthorizedError`, or `InsufficientScopeError` if they may not make this call.
        """
        address = request_sender(request.scope).address
        if spec.open and spec.path not in PROBES:
            self._budgets.take_address(address)
        if not spec.open or spec.body is not None:
            self._budgets.require_few_strangers(address, request)
        if spec.open:
            return None
        caller = await self._authenticator.caller(request)
        request.scope["state"]["user"] = caller.user_id
        self._budgets.remember(request)
        self._budgets.take_user(caller.budget_holder)
        if not caller.may(spec.scope):
            raise InsufficientScopeError(_MAY_NOT[caller.scope])
        return caller

    async def _heavy(self, spec: RouteSpec, call: Call, inputs: Mapping[str, Any]) -> ASGIApp:
        """Call a heavy handler when it is the user's turn; the turn ends when the response is sent."""
        if spec.is_kept is not None and await spec.is_kept(call, **inputs):
            return await spec.handler(call, **inputs)
        turn = await self._budgets.heavy.turn(call.caller.budget_holder)
        try:
            response = await spec.handler(call, **inputs)
        except BaseException:
            turn.end()
            raise
        turn.computed()
        return HeavyResponse(response, turn)

    async def _sessions(self, spec: RouteSpec, request: Request, caller: Caller) -> list[Session]:
        """Return the caller's sessions that the path names; raises `NotFoundError` for any other."""
        ids = [value for value in request.path_params.values() if isinstance(value, UUID)]
        if caller.session_id is not None and ids != [caller.session_id]:
            raise NotFoundError("There is no such session.")
        sessions = [await self._sim.get(caller.user_id, session_id) for session_id in ids]
        if any(spec.kind not in (None, session.spec.kind) for session in sessions):
            raise NotFoundError(f"There is no such {spec.kind} session.")
        return sessions


def _parameters(model: type[BaseModel], request: Request) -> dict[str, Any]:
    """Return the parameters of a call, without the key of a share link."""
    values = query_values(request, list_fields(model))
    return {name: value for name, value in values.items() if name != SHARE}


async def _while_wanted(spec: RouteSpec, request: Request, response: Awaitable[ASGIApp]) -> ASGIApp:
    """Wait for a response; a call that changes nothing ends when its client hangs up."""
    return await (_while_connected(request, response) if spec.method == "GET" else response)


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
