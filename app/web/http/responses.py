"""Answers: the envelope around data, and the one shape of every failure."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ExceptionHandler

from app.db.pool import ValueRefused
from app.errors import BadInputError, MethodNotAllowedError, NotFoundError, SimError

_HEADERS = {"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"}
_ADVICE = {401: {"WWW-Authenticate": "Bearer"}, 429: {"Retry-After": "1"}, 503: {"Retry-After": "1"}}

_log = logging.getLogger(__name__)


def success(
    data: BaseModel | Mapping[str, Any], status: int = 200, headers: Mapping[str, str] | None = None
) -> Response:
    """Answer with data in the envelope."""
    text = data.model_dump_json(by_alias=True) if isinstance(data, BaseModel) else json.dumps(data)
    return success_text(text, status, headers)


def success_text(data: str, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """Answer with data that is JSON text already."""
    return _json(f'{{"success":true,"data":{data}}}', status, headers)


def json_response(data: BaseModel, status: int = 200) -> Response:
    """Answer with data without an envelope, as the market dialect does."""
    return _json(data.model_dump_json(by_alias=True), status, None)


def plain_text(data: str) -> Response:
    """Answer with data without an envelope that is JSON text already."""
    return _json(data, 200, None)


def failure(error: SimError, headers: Mapping[str, str] | None = None) -> Response:
    """Answer with the sentence of an error."""
    optional = {"code": error.code, "details": error.details}
    body = {"error": error.message, **{name: value for name, value in optional.items() if value is not None}}
    return _json(json.dumps(body), error.status, {**_ADVICE.get(error.status, {}), **(headers or {})})


def document(value: Any) -> Response:
    """Answer with a JSON document of its own format, without the envelope."""
    return _json(json.dumps(value), 200, None)


def exception_handlers() -> dict[Any, ExceptionHandler]:
    """Return what Starlette does with each kind of exception, so that all of them end as `{"error"}`."""
    return {SimError: _known, HTTPException: _of_router, ValueRefused: _refused, Exception: _uncaught}


def _json(text: str, status: int, headers: Mapping[str, str] | None) -> Response:
    return Response(text, status, {**_HEADERS, **(headers or {})}, media_type="application/json")


def _known(request: Request, error: Exception) -> Response:
    """Answer with the error's sentence; a client that would go on sending without end is left."""
    assert isinstance(error, SimError)
    endless = error.status == 413 and "content-length" not in request.headers
    return failure(error, {"Connection": "close"} if endless else None)


def _of_router(_: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    known = MethodNotAllowedError() if error.status_code == 405 else NotFoundError()
    return failure(known, error.headers)


def _refused(_: Request, error: Exception) -> Response:
    _log.warning("Postgres refused a value: %s", str(error).partition("\n")[0])
    return failure(BadInputError("A value is one the database cannot hold."))


def _uncaught(_: Request, __: Exception) -> Response:
    """Answer without a word of what happened; the server logs the traceback."""
    return failure(SimError("Something went wrong in the server; its log says what."))
