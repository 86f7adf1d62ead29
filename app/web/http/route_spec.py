"""One entry of the table of calls."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import NamedTuple

from pydantic import BaseModel
from starlette.requests import Request
from starlette.types import ASGIApp

Endpoint = Callable[[Request], Awaitable[ASGIApp]]


class RouteSpec(NamedTuple):
    """One method of one path and the models of what goes in and comes out.

    `media` is set where the answer is no JSON, several with commas between; `bare` answers have no envelope;
    `open` calls need no user.
    """

    method: str
    path: str
    run: Endpoint
    query: type[BaseModel] | None = None
    body: type[BaseModel] | None = None
    answer: type[BaseModel] | None = None
    status: int = 200
    media: str | None = None
    open: bool = False
    bare: bool = False
