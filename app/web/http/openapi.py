"""The OpenAPI document, made from the table of calls and the models it names."""

from __future__ import annotations

import re
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from app.web.http.route_spec import RouteSpec

_REF = "#/components/schemas/{model}"
_FAILURE = {
    "type": "object",
    "required": ["error"],
    "properties": {"error": {"type": "string"}, "code": {"type": "string"}, "details": {}},
}
_KEY = {
    "name": "Idempotency-Key",
    "in": "header",
    "description": "The same key and body again do nothing twice.",
    "schema": {"type": "string", "maxLength": 200},
}
_LAST_EVENT_ID = {
    "name": "Last-Event-ID",
    "in": "header",
    "description": "The last seq seen; wins over fromSeq and tail.",
    "schema": {"type": "integer", "minimum": 0},
}
_HEADERS = {
    "create": [_KEY],
    "create_market": [_KEY],
    "control": [_KEY],
    "stream": [_LAST_EVENT_ID],
    "market_stream": [_LAST_EVENT_ID],
}
_BEHIND_THE_END = {"204": {"description": "Nothing more comes: the session has ended."}}


def openapi(table: Sequence[RouteSpec]) -> dict[str, Any]:
    """Describe every call of the table."""
    paths: dict[str, dict[str, Any]] = {}
    for call in table:
        paths.setdefault(_plain(call.path), {})[call.method.lower()] = _operation(call)
    return {
        "openapi": "3.1.0",
        "info": {"title": "ZEON sim", "version": _version()},
        "paths": paths,
        "components": {
            "schemas": {**_schemas(table), "Failure": _FAILURE},
            "securitySchemes": {
                "token": {"type": "http", "scheme": "bearer"},
                "cookie": {"type": "apiKey", "in": "cookie", "name": "zeon"},
            },
        },
    }


def _operation(call: RouteSpec) -> dict[str, Any]:
    operation: dict[str, Any] = {
        "operationId": call.run.__qualname__.rpartition(".")[2] if call.open else call.run.__name__,
        "summary": (call.run.__doc__ or "").partition("\n")[0],
        "parameters": [*_path_parameters(call), *_query_parameters(call), *_HEADERS.get(call.run.__name__, [])],
        "responses": _responses(call),
        "security": [{}] if call.open else [{"token": []}, {"cookie": []}, {}],
    }
    if call.body is not None:
        content = {"application/json": {"schema": _ref(call.body.__name__)}}
        operation["requestBody"] = {"required": bool(_required(call.body)), "content": content}
    return operation


def _responses(call: RouteSpec) -> dict[str, Any]:
    """Return every answer of a call: under a key used before create answers 200, behind its end a stream 204."""
    headers = _HEADERS.get(call.run.__name__, [])
    return {
        str(call.status): _answer(call),
        **({"200": _answer(call)} if _KEY in headers else {}),
        **(_BEHIND_THE_END if _LAST_EVENT_ID in headers else {}),
        "4XX": _content("A sentence says why.", _ref("Failure")),
        "503": _content("The database is away; try again.", _ref("Failure")),
    }


def _answer(call: RouteSpec) -> dict[str, Any]:
    if call.answer is None:
        return {
            "description": "As it says.",
            "content": {media: {} for media in (call.media or "text/plain").split(", ")},
        }
    if call.bare:
        return _content((call.answer.__doc__ or "").partition("\n")[0], _ref(call.answer.__name__))
    properties = {"success": {"const": True}, "data": _ref(call.answer.__name__)}
    envelope = {"type": "object", "required": ["success", "data"], "properties": properties}
    return _content((call.answer.__doc__ or "").partition("\n")[0], envelope)


def _content(description: str, schema: dict[str, Any]) -> dict[str, Any]:
    return {"description": description, "content": {"application/json": {"schema": schema}}}


def _path_parameters(call: RouteSpec) -> list[dict[str, Any]]:
    found = re.findall(r"{(\w+)(?::(\w+))?}", call.path)
    return [
        {
            "name": name,
            "in": "path",
            "required": True,
            "schema": {"type": "string", **({"format": kind} if kind else {})},
        }
        for name, kind in found
    ]


def _query_parameters(call: RouteSpec) -> list[dict[str, Any]]:
    if call.query is None:
        return []
    properties = call.query.model_json_schema(by_alias=True)["properties"]
    return [{"name": name, "in": "query", "schema": schema} for name, schema in properties.items()]


def _schemas(table: Sequence[RouteSpec]) -> dict[str, Any]:
    bodies = {call.body for call in table if call.body}
    answers = {call.answer for call in table if call.answer}
    modes: list[Any] = [*((body, "validation") for body in bodies), *((answer, "serialization") for answer in answers)]
    modes.sort(key=lambda pair: pair[0].__name__)
    definitions: dict[str, Any] = models_json_schema(modes, by_alias=True, ref_template=_REF)[1]["$defs"]
    return definitions


def _required(model: type[BaseModel]) -> bool:
    return any(field.is_required() for field in model.model_fields.values())


def _plain(path: str) -> str:
    return re.sub(r"{(\w+):\w+}", r"{\1}", path)


def _ref(name: str) -> dict[str, Any]:
    return {"$ref": _REF.format(model=name)}


def _version() -> str:
    try:
        return version("zeon-sim")
    except PackageNotFoundError:
        return "0"
