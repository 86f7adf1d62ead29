"""Refusals in the form of the exchange, `{"code", "msg"}`, with the codes that its clients act on."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Final

from starlette.responses import Response

from app.db.pool import ValueRefused
from app.errors import (
    BadInputError,
    ClientOrderIdUsedError,
    NotFoundError,
    NotOpenError,
    SimError,
    TooLargeError,
    TooManyRequestsError,
    UnauthorizedError,
    WrongStatusError,
)

_HEADERS: Final = {"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"}


class ExchangeError(Exception):
    """A refusal: a code of the exchange, its sentence, and the HTTP status."""

    def __init__(self, code: int, msg: str, status: int = 400, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(msg)
        self.code = code
        self.msg = msg
        self.status = status
        self.headers = dict(headers or {})

    def content(self) -> dict[str, object]:
        """Return the refusal as the exchange writes it."""
        return {"code": self.code, "msg": self.msg}

    def response(self) -> Response:
        """Return the HTTP response."""
        return json_answer(self.content(), self.status, self.headers)


def json_answer(content: object, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """Return a JSON response; numbers of money in it are text already."""
    text = json.dumps(content, separators=(",", ":"))
    return Response(text, status, {**_HEADERS, **(headers or {})}, media_type="application/json")


def missing(name: str) -> ExchangeError:
    """Return the refusal for a parameter that is required."""
    return ExchangeError(-1102, f"Mandatory parameter '{name}' was not sent, was empty/null, or malformed.")


def illegal(name: str) -> ExchangeError:
    """Return the refusal for a parameter that does not have the form it must have."""
    return ExchangeError(-1100, f"Illegal characters found in parameter '{name}'.")


def bad_symbol() -> ExchangeError:
    """Return the refusal for a symbol that the session does not have."""
    return ExchangeError(-1121, "Invalid symbol.")


def insufficient_balance() -> ExchangeError:
    """Return the refusal for an order beyond the free balance; clients compare the sentence."""
    return ExchangeError(-2010, "Account has insufficient balance for requested action.")


def unknown_order(*, cancelling: bool) -> ExchangeError:
    """Return the refusal for an order that is not there, or no longer open."""
    return ExchangeError(-2011, "Unknown order sent.") if cancelling else ExchangeError(-2013, "Order does not exist.")


def wrong_key() -> ExchangeError:
    """Return the refusal for a key that is unknown, revoked or over; it does not say which."""
    return ExchangeError(-2015, "Invalid API-key, IP, or permissions for action.", 401)


def unsupported(what: str) -> ExchangeError:
    """Return the refusal for a call that the face does not have."""
    return ExchangeError(-1020, f"This operation is not supported: {what}", 404)


def of_error(error: SimError | ValueRefused) -> ExchangeError:
    """Return a refusal of the server in the form of the exchange; its sentence is kept where clients ignore it."""
    if isinstance(error, ValueRefused):
        return ExchangeError(-1130, "Data sent for a parameter is not valid.")
    if isinstance(error, UnauthorizedError):
        return wrong_key()
    if isinstance(error, TooManyRequestsError):
        return ExchangeError(-1003, error.message, 429, {"Retry-After": f"{error.retry_after_s:.0f}"})
    for kind, code, status in _CODES:
        if isinstance(error, kind):
            return ExchangeError(code, error.message, status)
    if 400 <= error.status < 500:
        return ExchangeError(-1130 if error.status != 409 else -2010, error.message)
    return ExchangeError(-1001, error.message, 503, {"Retry-After": "1"})


_CODES: Final[tuple[tuple[type[SimError], int, int], ...]] = (
    (ClientOrderIdUsedError, -2010, 400),
    (NotOpenError, -2011, 400),
    (WrongStatusError, -2010, 400),
    (TooLargeError, -1130, 413),
    (BadInputError, -1130, 400),
    (NotFoundError, -2013, 400),
)
