"""Responses: the envelope of data, and the format of every error."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Mapping
from hashlib import sha256
from typing import Any

from pydantic import BaseModel
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ExceptionHandler

from app.db.pool import ValueRefused
from app.errors import BadInputError, MethodNotAllowedError, NotFoundError, SimError, TooManyRequestsError
from app.web.http.budgets import Budgets
from app.web.http.client_address import request_sender
from app.web.http.refusals import Refusals, count_refusal

IF_NONE_MATCH = "If-None-Match"
_HEADERS = {"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"}
GENERIC_CODES = {
    400: "bad_input",
    401: "unauthorized",
    403: "foreign_origin",
    404: "not_found",
    405: "method_not_allowed",
    408: "request_timeout",
    409: "wrong_status",
    413: "too_large",
    414: "url_too_long",
    415: "wrong_content_type",
    429: "too_many_requests",
    431: "headers_too_large",
    500: "internal_error",
    503: "unavailable",
}
"""HTTP status -> the code of an error that has none of its own; docs/errors.md lists every code."""

_STATUS_HEADERS = {401: {"WWW-Authenticate": "Bearer"}, 503: {"Retry-After": "1"}}

_log = logging.getLogger(__name__)


def success(
    data: BaseModel | Mapping[str, Any], status: int = 200, headers: Mapping[str, str] | None = None
) -> Response:
    """Return data in the envelope."""
    text = data.model_dump_json(by_alias=True) if isinstance(data, BaseModel) else json.dumps(data)
    return success_text(text, status, headers)


def success_text(data: str, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """Return data in the envelope; `data` is JSON text already."""
    return _json(f'{{"success":true,"data":{data}}}', status, headers)


def json_response(data: BaseModel, status: int = 200) -> Response:
    """Return data without an envelope, as the market dialect does."""
    return _json(data.model_dump_json(by_alias=True), status, None)


def with_etag(request: Request, response: Response) -> Response:
    """Return a response with an ETag, or 304 without a body if the client has it already (`If-None-Match`).

    A browser may keep it, but asks each time.
    """
    etag = f'"{sha256(bytes(response.body)).hexdigest()[:32]}"'
    headers = {**_HEADERS, "Cache-Control": "private, no-cache", "ETag": etag}
    if _has(request.headers.get(IF_NONE_MATCH, ""), etag):
        return Response(status_code=304, headers=headers)
    response.headers.update(headers)
    return response


def _has(known: str, etag: str) -> bool:
    """Whether the header If-None-Match names an ETag; a proxy may have made it weak (`W/`)."""
    return known.strip() == "*" or etag in (part.strip().removeprefix("W/") for part in known.split(","))


def json_text_response(data: str) -> Response:
    """Return data without an envelope; `data` is JSON text already."""
    return _json(data, 200, None)


def failure(error: SimError, headers: Mapping[str, str] | None = None) -> Response:
    """Return the response of an error: its sentence, its code, and its details, if any."""
    status_headers = _STATUS_HEADERS.get(error.status, {})
    if isinstance(error, TooManyRequestsError):
        status_headers = {"Retry-After": f"{error.retry_after_s:.0f}"}
    optional = {"code": error.code or GENERIC_CODES.get(error.status), "details": error.details}
    body = {"error": error.message, **{name: value for name, value in optional.items() if value is not None}}
    return _json(json.dumps(body), error.status, {**status_headers, **(headers or {})})


def exception_handlers(
    budgets: Budgets, refusals: Refusals, not_found_page: Callable[[Request], Response | None]
) -> dict[Any, ExceptionHandler]:
    """Return Starlette's handlers of exceptions; all of them answer `{"error"}`, or a browser the page of a 404.

    A request without a route counts as one of a stranger.
    """

    def router_error(request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)
        budgets.charge_stranger(request_sender(request.scope).address)
        own = MethodNotAllowedError() if error.status_code == 405 else NotFoundError()
        page = not_found_page(request) if error.status_code == 404 else None
        if page is not None:
            return page
        return failure(own, error.headers)

    def sim_error(_: Request, error: Exception) -> Response:
        assert isinstance(error, SimError)
        count_refusal(refusals, error)
        return failure(error)

    return {
        SimError: sim_error,
        HTTPException: router_error,
        ValueRefused: _refused_value,
        Exception: _uncaught_error,
    }


def _json(text: str, status: int, headers: Mapping[str, str] | None) -> Response:
    return Response(text, status, {**_HEADERS, **(headers or {})}, media_type="application/json")


def _refused_value(_: Request, error: Exception) -> Response:
    _log.warning("Postgres refused a value: %s", str(error).partition("\n")[0])
    return failure(BadInputError("A value is out of the database's range."))


def _uncaught_error(_: Request, __: Exception) -> Response:
    """Return a sentence without details of the error; the server logs its traceback."""
    return failure(SimError("Something went wrong in the server; its log says what."))
