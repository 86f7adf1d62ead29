"""A call of the exchange face: who makes it (the bot key in the address says it, nothing else), and its parameters."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Final

from starlette.requests import HTTPConnection

from app.domain.session import Session
from app.engine.session_service import SessionService
from app.errors import NotFoundError, UnauthorizedError
from app.web.exchange.addresses import PREFIX
from app.web.exchange.params import Params
from app.web.http.auth import Authenticator, Caller
from app.web.http.budgets import Budgets
from app.web.http.client_address import request_sender
from app.web.http.route_spec import RouteSpec

KEY: Final = "botKey"
"""The parameter of the paths that holds the bot key."""
FACE_PATH: Final = f"{PREFIX}/{{{KEY}}}"


@dataclass(frozen=True, slots=True)
class FaceCall:
    """A call: the session of its key as it was before the call, who made the key, and the parameters."""

    session: Session
    caller: Caller
    params: Params


Handler = Callable[[FaceCall], Awaitable[Any]]
"""Returns what the answer is as JSON; raises `ExchangeError` or a `SimError`."""


def face_route(method: str, path: str, handler: Callable[..., Awaitable[Any]]) -> RouteSpec:
    """Return the route of a call; the method `WS` is a WebSocket."""
    return RouteSpec(method, f"{FACE_PATH}/{path}", handler, face=True)


class Access:
    """Finds the session of a key, and counts its calls for the budgets of the user who made it."""

    def __init__(self, authenticator: Authenticator, sim: SessionService, budgets: Budgets) -> None:
        self._authenticator = authenticator
        self._sim = sim
        self._budgets = budgets

    async def session(self, connection: HTTPConnection) -> tuple[Caller, Session]:
        """Return the caller and the session; raises `UnauthorizedError` or `TooManyRequestsError`."""
        address = request_sender(connection.scope).address
        self._budgets.require_few_strangers(address, connection)
        try:
            caller = await self._authenticator.bot_caller(connection.path_params[KEY])
            assert caller.session_id is not None
            session = await self._sim.get(caller.user_id, caller.session_id)
        except (UnauthorizedError, NotFoundError):
            self._budgets.charge_stranger(address)
            self._budgets.forget(connection)
            raise UnauthorizedError() from None
        connection.scope["state"]["user"] = caller.user_id
        self._budgets.remember(connection)
        self.count(caller)
        return caller, session

    def count(self, caller: Caller) -> None:
        """Count a request; raises `TooManyRequestsError`."""
        self._budgets.take_user(caller.budget_holder)

    async def refreshed(self, session: Session, caller: Caller) -> Session:
        """Return the session as it is now; raises `UnauthorizedError` if it was deleted."""
        try:
            return await self._sim.get(caller.user_id, session.id)
        except NotFoundError:
            raise UnauthorizedError() from None

    async def is_still_valid(self, caller: Caller) -> bool:
        """Whether the key of a caller is still valid."""
        return await self._authenticator.is_still_valid(caller)
