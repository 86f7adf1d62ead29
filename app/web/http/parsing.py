"""Parse and check JSON bodies and query strings."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Collection, Mapping
from decimal import Decimal
from functools import cache
from hashlib import sha256
from typing import Any, TypeVar, get_args, get_origin

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails
from starlette.requests import Request

from app.domain.number import DecimalFloat
from app.domain.setting import UnusableValueError
from app.errors import BadInputError, MalformedError, TooLargeError, WrongContentTypeError
from app.settings import Settings

Model = TypeVar("Model", bound=BaseModel)

_MAX_INT = 2**63 - 1
_STRINGS_AND_BRACKETS = re.compile(r'"(?:[^"\\]|\\.)*+(?:"|\\?\Z)|[\[\]{}]', re.DOTALL)
_ROOTS = ("body", "query")
_IGNORED = "_"
"""A parameter of a query with a random value, see `CacheBuster`."""
_CONSTANTS = ("NaN", "Infinity", "-Infinity")
_KEY = re.compile(r"[!-~]{1,200}")
_SENTENCES = {"missing": "is required", "extra_forbidden": "is not a known field"}


class BodyReader:
    """Reads request bodies within the limits of the settings."""

    def __init__(self, settings: Settings) -> None:
        self._max_body = settings.max_body
        self._max_depth = settings.max_depth

    async def json(self, request: Request, limit: int | None = None) -> dict[str, Any]:
        """Return the object in a body of at most `limit` bytes, or `{}`.

        Raises `TooLargeError`, `WrongContentTypeError` or `MalformedError`.
        """
        content = await read_body(request, self._max_body if limit is None else min(limit, self._max_body))
        if not content:
            return {}
        _require_json(request)
        value = self._parse_json(_decode(content))
        if not isinstance(value, dict):
            raise MalformedError("body: must be a JSON object")
        _require_storable(value, "body")
        return value

    def _parse_json(self, text: str) -> Any:
        self._require_shallow(text)
        try:
            return json.loads(text, parse_constant=DecimalFloat, parse_float=DecimalFloat, parse_int=_parse_int)
        except json.JSONDecodeError as error:
            raise MalformedError(f"body: is not JSON: {error}") from None

    def _require_shallow(self, text: str) -> None:
        depth = 0
        for match in _STRINGS_AND_BRACKETS.finditer(text):
            depth += {"[": 1, "{": 1, "]": -1, "}": -1}.get(match[0], 0)
            if depth > self._max_depth:
                raise MalformedError(f"body: is nested deeper than {self._max_depth} levels")


async def read_body(request: Request, limit: int) -> bytes:
    """Collect the body; raises `TooLargeError` as soon as it has, or declares, more than `limit` bytes."""
    too_large = TooLargeError(f"The body is larger than {limit} bytes.")
    announced = request.headers.get("content-length", "0")
    content = bytearray()
    if announced.isdecimal() and int(announced[:20]) > limit:
        raise too_large
    while True:
        message = await request.receive()
        if message["type"] == "http.disconnect":
            raise MalformedError("body: ended early")
        content += message.get("body", b"")
        if len(content) > limit:
            raise too_large
        if not message.get("more_body"):
            return bytes(content)


def query_values(request: Request, lists: Collection[str] = ()) -> dict[str, Any]:
    """Return the query string's parameters; raises `MalformedError` for a repeated one that is not in `lists`."""
    values: dict[str, Any] = {}
    for name, value in request.query_params.multi_items():
        if name in lists:
            values.setdefault(name, []).append(value)
        elif name in values:
            raise MalformedError(f"{_shorten(name)}: is given twice")
        else:
            values[name] = value
    _require_storable({name: value for name, value in values.items() if name != _IGNORED}, "query")
    return values


@cache
def list_fields(model: type[BaseModel]) -> frozenset[str]:
    """Return the names of a query's parameters that may be given several times."""
    fields = model.model_fields.values()
    return frozenset(field.alias or "" for field in fields if _is_list(field.annotation))


def _is_list(annotation: Any) -> bool:
    return get_origin(annotation) is list or any(map(_is_list, get_args(annotation)))


def parse(model: type[Model], values: Mapping[str, Any]) -> Model:
    """Build a model from the values of a request; raises `MalformedError`, which names the first wrong field, or
    `BadInputError` for fields that contradict each other or a value that cannot be used.
    """
    try:
        return model.model_validate(values)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
    unusable = not first["loc"] or isinstance(first.get("ctx", {}).get("error"), UnusableValueError)
    raise (BadInputError if unusable else MalformedError)(_sentence(first))


def idempotency_key(request: Request, body: Mapping[str, Any]) -> str | None:
    """Return the key of the `Idempotency-Key` header or the field `idempotencyKey`."""
    header, field = request.headers.get("idempotency-key"), body.get("idempotencyKey")
    if header is not None and not _KEY.fullmatch(header):
        raise MalformedError("Idempotency-Key: must be 1 to 200 visible ASCII characters")
    if header is not None and field is not None and header != field:
        raise BadInputError("idempotencyKey: differs from the header Idempotency-Key")
    return header if header is not None else field


def fingerprint(*parts: Any) -> str:
    """Return the hex SHA-256 of JSON values. The order of fields does not matter; every digit of a number does."""
    return sha256(json.dumps([_with_all_digits(part) for part in parts], sort_keys=True).encode()).hexdigest()


def _with_all_digits(value: Any) -> Any:
    """Return a JSON value in which numbers that no float can hold are replaced by their text."""
    if isinstance(value, dict):
        return {key: _with_all_digits(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_with_all_digits(item) for item in value]
    if isinstance(value, DecimalFloat) and Decimal(value.text) != Decimal(repr(value)):
        return {"written": value.text}
    return value


def _require_json(request: Request) -> None:
    kind, *parameters = (part.strip() for part in request.headers.get("content-type", "").lower().split(";"))
    if kind != "application/json" or any(part.replace('"', "") != "charset=utf-8" for part in parameters if part):
        raise WrongContentTypeError()


def _decode(content: bytes) -> str:
    try:
        return content.decode()
    except UnicodeDecodeError:
        raise MalformedError("body: is not UTF-8") from None


class _TooLargeInt(DecimalFloat):
    """A whole number of more than 64 bits."""


def _parse_int(text: str) -> int | float:
    return _TooLargeInt(text) if len(text) > 20 or abs(value := int(text)) > _MAX_INT else value


def _require_storable(value: Any, path: str) -> None:
    """Raise `BadInputError` for text and numbers that cannot be stored; `path` is their location in the body."""
    if isinstance(value, DecimalFloat):
        if value.text in _CONSTANTS:
            raise MalformedError(f"{path}: {value.text} is not a JSON number")
        if isinstance(value, _TooLargeInt) or not math.isfinite(value):
            raise BadInputError(f"{path}: the number {value.text[:40]} is out of range")
    elif isinstance(value, str):
        if "\0" in value:
            raise BadInputError(f"{path}: NUL characters cannot be stored")
        if any("\ud800" <= char <= "\udfff" for char in value):
            raise BadInputError(f"{path}: lone surrogates cannot be stored")
    elif isinstance(value, dict):
        for key, item in value.items():
            _require_storable(key, path)
            _require_storable(item, _shorten(key) if path in _ROOTS else f"{path}.{_shorten(key)}")
    elif isinstance(value, list):
        for item in value:
            _require_storable(item, path)


def _sentence(error: ErrorDetails) -> str:
    message = _SENTENCES.get(error["type"], error["msg"].removeprefix("Value error, "))
    path = ".".join(_shorten(str(part)) for part in error["loc"])
    return f"{path}: {message}" if path else message


def _shorten(name: str) -> str:
    return name if len(name) <= 60 else f"{name[:60]}…"
