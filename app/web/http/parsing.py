"""What callers send: JSON bodies and query strings, checked before anything else sees them."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from decimal import Decimal
from hashlib import sha256
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails
from starlette.requests import Request

from app.domain.number import DecimalFloat
from app.errors import BadInputError, TooLargeError, WrongContentTypeError
from app.settings import Settings

Model = TypeVar("Model", bound=BaseModel)

_MAX_INT = 2**63 - 1
_NESTING = re.compile(r'"(?:[^"\\]|\\.)*+(?:"|\\?\Z)|[\[\]{}]', re.DOTALL)
_ROOTS = ("body", "query")
_CONSTANTS = ("NaN", "Infinity", "-Infinity")
_KEY = re.compile(r"[!-~]{1,200}")
_SENTENCES = {"missing": "is required", "extra_forbidden": "is not a known field"}


class BodyReader:
    """Reads request bodies within the limits of the settings."""

    def __init__(self, settings: Settings) -> None:
        self._max_body = settings.max_body
        self._max_depth = settings.max_depth

    async def json(self, request: Request) -> dict[str, Any]:
        """Return the object in the body, or `{}`; raises `TooLargeError`, `WrongContentTypeError`, `BadInputError`."""
        content = await self._content(request)
        if not content:
            return {}
        _require_json(request)
        value = self._parsed(_text(content))
        if not isinstance(value, dict):
            raise BadInputError("body: must be a JSON object")
        _require_storable(value, "body")
        return value

    async def _content(self, request: Request) -> bytes:
        """Collect the body, refusing it as soon as it is known to be too large."""
        announced = request.headers.get("content-length", "0")
        content = bytearray()
        if announced.isdecimal() and int(announced[:20]) > self._max_body:
            raise self._too_large()
        while True:
            message = await request.receive()
            if message["type"] == "http.disconnect":
                raise BadInputError("body: ended early")
            content += message.get("body", b"")
            if len(content) > self._max_body:
                raise self._too_large()
            if not message.get("more_body"):
                return bytes(content)

    def _too_large(self) -> TooLargeError:
        return TooLargeError(f"The body is larger than {self._max_body} bytes.")

    def _parsed(self, text: str) -> Any:
        self._require_shallow(text)
        try:
            return json.loads(text, parse_constant=DecimalFloat, parse_float=DecimalFloat, parse_int=_bounded)
        except json.JSONDecodeError as error:
            raise BadInputError(f"body: is not JSON: {error}") from None

    def _require_shallow(self, text: str) -> None:
        depth = 0
        for match in _NESTING.finditer(text):
            depth += {"[": 1, "{": 1, "]": -1, "}": -1}.get(match[0], 0)
            if depth > self._max_depth:
                raise BadInputError(f"body: is nested deeper than {self._max_depth} levels")


def query(request: Request) -> dict[str, str]:
    """Return the query string's parameters; raises `BadInputError` for one given twice."""
    pairs = request.query_params.multi_items()
    values = dict(pairs)
    if len(values) != len(pairs):
        twice = next(name for name, _ in pairs if sum(name == other for other, _ in pairs) > 1)
        raise BadInputError(f"{_shown(twice)}: is given twice")
    _require_storable(values, "query")
    return values


def parse(model: type[Model], values: Mapping[str, Any]) -> Model:
    """Build a model of what was sent; raises `BadInputError` that names the first wrong field as it was spelled."""
    try:
        return model.model_validate(values)
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False, include_input=False)[0]
    raise BadInputError(_sentence(first))


def idempotency_key(request: Request, body: Mapping[str, Any]) -> str | None:
    """Return the key of the `Idempotency-Key` header or the field `idempotencyKey`."""
    header, field = request.headers.get("idempotency-key"), body.get("idempotencyKey")
    if header is not None and not _KEY.fullmatch(header):
        raise BadInputError("Idempotency-Key: must be 1 to 200 visible ASCII characters")
    if header is not None and field is not None and header != field:
        raise BadInputError("idempotencyKey: differs from the header Idempotency-Key")
    return header if header is not None else field


def fingerprint(*parts: Any) -> str:
    """Return the hex SHA-256 of JSON values, whatever the order of their fields; every digit of a number counts."""
    return sha256(json.dumps([_whole(part) for part in parts], sort_keys=True).encode()).hexdigest()


def _whole(value: Any) -> Any:
    """Return a JSON value with numbers that no float can hold as what they were written."""
    if isinstance(value, dict):
        return {key: _whole(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_whole(item) for item in value]
    if isinstance(value, DecimalFloat) and Decimal(value.text) != Decimal(repr(value)):
        return {"written": value.text}
    return value


def _require_json(request: Request) -> None:
    kind, *parameters = (part.strip() for part in request.headers.get("content-type", "").lower().split(";"))
    if kind != "application/json" or any(part.replace('"', "") != "charset=utf-8" for part in parameters if part):
        raise WrongContentTypeError()


def _text(content: bytes) -> str:
    try:
        return content.decode()
    except UnicodeDecodeError:
        raise BadInputError("body: is not UTF-8") from None


class _TooLong(DecimalFloat):
    """A whole number of more than 64 bits."""


def _bounded(text: str) -> int | float:
    return _TooLong(text) if len(text) > 20 or abs(value := int(text)) > _MAX_INT else value


def _require_storable(value: Any, place: str) -> None:
    """Raise `BadInputError` for text and numbers that cannot be stored, naming where they stand."""
    if isinstance(value, DecimalFloat):
        if value.text in _CONSTANTS:
            raise BadInputError(f"{place}: {value.text} is not a JSON number")
        if isinstance(value, _TooLong) or not math.isfinite(value):
            raise BadInputError(f"{place}: the number {value.text[:40]} is out of range")
    elif isinstance(value, str):
        if "\0" in value:
            raise BadInputError(f"{place}: NUL characters cannot be stored")
        if any("\ud800" <= char <= "\udfff" for char in value):
            raise BadInputError(f"{place}: lone surrogates cannot be stored")
    elif isinstance(value, dict):
        for key, item in value.items():
            _require_storable(key, place)
            _require_storable(item, _shown(key) if place in _ROOTS else f"{place}.{_shown(key)}")
    elif isinstance(value, list):
        for item in value:
            _require_storable(item, place)


def _sentence(error: ErrorDetails) -> str:
    message = _SENTENCES.get(error["type"], error["msg"].removeprefix("Value error, "))
    place = ".".join(_shown(str(part)) for part in error["loc"])
    return f"{place}: {message}" if place else message


def _shown(name: str) -> str:
    return name if len(name) <= 60 else f"{name[:60]}…"
