"""One entry of the table of routes: who may call, input, answer and description; and the call that a handler gets."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

from pydantic import BaseModel
from starlette.requests import Request
from starlette.types import ASGIApp

from app.domain.session import Session
from app.web.http.auth import Caller, Scope
from app.web.http.budgets import Budget

IDEMPOTENCY_KEY, LAST_EVENT_ID = "Idempotency-Key", "Last-Event-ID"
SESSIONS = "/api/sim/sessions"
SESSION = f"{SESSIONS}/{{id:uuid}}"
EVENT_STREAM = "text/event-stream"

Handler = Callable[..., Awaitable[ASGIApp]]
"""Takes a `Call` and, by name, the `query` and `body` that its route declares; returns the response."""


class RouteSpec(NamedTuple):
    """One method of one path. `Dispatcher` checks everything declared here before it calls the handler.

    `open` routes need no user. All others need a caller who may make calls of this `scope`, and each UUID of their path
    must be a session of the caller, of this `kind` if it is set. `budget` is what a call counts for; a heavy call needs
    no turn if `is_kept` says that its answer was computed before. `body_limit` is in bytes, null means `ZEON_MAX_BODY`.
    With `takes_file` the body is a file, which the handler reads itself. `headers` are those that the handler reads.
    With `face` it is a call of the exchange face: the bot key in the path says who calls, the handler takes a
    `FaceCall`, and the method `WS` is a WebSocket.

    For the OpenAPI document: `name` is the operationId, the name of the function in generated clients; only web pages
    and the exchange face have none. `media` is the type of an answer that is not JSON, or several separated by commas;
    `bare` answers have no envelope. `refusals` are the HTTP statuses that the handler itself refuses with. `example` is
    the query or the body of a call that works; a test makes it.
    """

    method: str
    path: str
    handler: Handler
    name: str = ""
    query: type[BaseModel] | None = None
    body: type[BaseModel] | None = None
    answer: type[BaseModel] | None = None
    status: int = 200
    media: str | None = None
    open: bool = False
    scope: Scope = "trade"
    bare: bool = False
    kind: Literal["market"] | None = None
    body_limit: int | None = None
    headers: tuple[str, ...] = ()
    takes_file: bool = False
    budget: Budget = "normal"
    is_kept: Callable[..., Awaitable[bool]] | None = None
    refusals: tuple[int, ...] = ()
    example: dict[str, Any] | None = None
    tag: str = ""
    face: bool = False

    @property
    def plain_path(self) -> str:
        """The path as OpenAPI writes it, without the kinds of its parameters."""
        return re.sub(r"{(\w+):\w+}", r"{\1}", self.path)

    @property
    def parameters(self) -> list[tuple[str, str]]:
        """The parameters of the path: name and kind, which may be empty."""
        return re.findall(r"{(\w+)(?::(\w+))?}", self.path)


class RouteGroup:
    """A class of handlers that declares their routes; `tag` is their group in the OpenAPI document."""

    tag = "server"

    def routes(self) -> list[RouteSpec]:
        """Return the routes of the handlers."""
        raise NotImplementedError


def for_readers(routes: list[RouteSpec]) -> list[RouteSpec]:
    """Let tokens that may only read make the calls that only read."""
    return [route._replace(scope="read") if route.method == "GET" else route for route in routes]


@dataclass(frozen=True, slots=True)
class Call:
    """A request that has passed the checks of its route.

    `user` is null on open routes. `sessions` are those that the path names, as they were before the call. `json` is
    the body as it was sent, `{}` without one.
    """

    request: Request
    user: Caller | None
    sessions: tuple[Session, ...]
    json: dict[str, Any]

    @property
    def caller(self) -> Caller:
        """The caller; handlers of open routes must not use it."""
        assert self.user is not None, "an open route has no caller"
        return self.user

    @property
    def user_id(self) -> str:
        """The caller's user id."""
        return self.caller.user_id

    @property
    def session(self) -> Session:
        """The first session in the path."""
        return self.sessions[0]
