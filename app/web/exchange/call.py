"""A call of the exchange face after its key was checked, and what its handlers share."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Final

from app.domain.session import Session
from app.web.exchange.addresses import PREFIX
from app.web.exchange.params import Params
from app.web.http.auth import Caller
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


def face_route(method: str, path: str, handler: Handler) -> RouteSpec:
    """Return the route of a call; the method `WS` is a WebSocket."""
    return RouteSpec(method, f"{FACE_PATH}/{path}", handler, face=True)
