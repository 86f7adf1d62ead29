"""A call of the exchange face after its key was checked, and what its handlers share."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from app.domain.session import Session
from app.web.exchange.params import Params
from app.web.http.auth import Caller


@dataclass(frozen=True, slots=True)
class FaceCall:
    """A call: the session of its key as it was before the call, who made the key, and the parameters."""

    session: Session
    caller: Caller
    params: Params


Handler = Callable[[FaceCall], Awaitable[Any]]
"""Returns what the answer is as JSON; raises `ExchangeError` or a `SimError`."""
