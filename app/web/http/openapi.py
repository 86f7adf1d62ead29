"""The OpenAPI document, generated from the table of routes and its models."""

from __future__ import annotations

import re
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from app.web.http.route_spec import IDEMPOTENCY_KEY, LAST_EVENT_ID, RouteSpec

_REF = "#/components/schemas/{model}"
_FAILURE = {
    "type": "object",
    "required": ["error"],
    "properties": {"error": {"type": "string"}, "code": {"type": "string"}, "details": {}},
}
_HEADERS: dict[str, dict[str, Any]] = {
    IDEMPOTENCY_KEY: {
        "description": "A repeated call with the same key and body does nothing and returns the first answer.",
        "schema": {"type": "string", "maxLength": 200},
    },
    LAST_EVENT_ID: {
        "description": "The last seq seen; wins over lastEventId, fromSeq and tail.",
        "schema": {"type": "integer", "minimum": 0},
    },
}
_PATH_TYPES: dict[str, dict[str, Any]] = {"": {"type": "string"}, "int": {"type": "integer"}}
"""Converter of a path parameter -> its schema; the others are formats of text."""
_ANSWERS_OF_HEADERS = {
    IDEMPOTENCY_KEY: ("200", "The answer to the first call with this key."),
    LAST_EVENT_ID: ("204", "The session has ended: no more events follow."),
}
"""Header that a call reads -> its additional answer."""


def openapi(table: Sequence[RouteSpec]) -> dict[str, Any]:
    """Describe every route of the table."""
    paths: dict[str, dict[str, Any]] = {}
    for spec in table:
        paths.setdefault(_plain(spec.path), {})[spec.method.lower()] = _operation(spec)
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


def _operation(spec: RouteSpec) -> dict[str, Any]:
    operation: dict[str, Any] = {
        "operationId": spec.handler.__name__,
        "summary": _first_line(spec.handler),
        "parameters": [*_path_parameters(spec), *_query_parameters(spec), *_header_parameters(spec)],
        "responses": _responses(spec),
        "security": [{}] if spec.open else [{"token": []}, {"cookie": []}, {}],
    }
    if spec.body is not None:
        content = {"application/json": {"schema": _ref(spec.body.__name__)}}
        operation["requestBody"] = {"required": _has_required_fields(spec.body), "content": content}
    if spec.takes_file:
        operation["requestBody"] = {"required": True, "content": {"application/octet-stream": {}}}
    return operation


def _responses(spec: RouteSpec) -> dict[str, Any]:
    answer = _answer(spec)
    return {
        **dict(_answer_of_header(name, answer) for name in spec.headers),
        str(spec.status): answer,
        "4XX": _content("The request was refused; `error` says why.", _ref("Failure")),
        "503": _content("The database is unreachable, busy or too slow (see `code`); try again.", _ref("Failure")),
    }


def _answer_of_header(name: str, answer: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    status, description = _ANSWERS_OF_HEADERS[name]
    return status, {"description": description, **({"content": answer["content"]} if status == "200" else {})}


def _answer(spec: RouteSpec) -> dict[str, Any]:
    if spec.answer is None:
        media = (spec.media or "text/plain").split(", ")
        return {"description": "The body, in the media type below.", "content": {kind: {} for kind in media}}
    if spec.bare:
        return _content(_first_line(spec.answer), _ref(spec.answer.__name__))
    properties = {"success": {"const": True}, "data": _ref(spec.answer.__name__)}
    envelope = {"type": "object", "required": ["success", "data"], "properties": properties}
    return _content(_first_line(spec.answer), envelope)


def _first_line(documented: Any) -> str:
    return (documented.__doc__ or "").partition("\n")[0]


def _content(description: str, schema: dict[str, Any]) -> dict[str, Any]:
    return {"description": description, "content": {"application/json": {"schema": schema}}}


def _path_parameters(spec: RouteSpec) -> list[dict[str, Any]]:
    return [
        {
            "name": name,
            "in": "path",
            "required": True,
            "schema": _PATH_TYPES.get(kind, {"type": "string", "format": kind}),
        }
        for name, kind in re.findall(r"{(\w+)(?::(\w+))?}", spec.path)
    ]


def _query_parameters(spec: RouteSpec) -> list[dict[str, Any]]:
    if spec.query is None:
        return []
    properties = spec.query.model_json_schema(by_alias=True)["properties"]
    return [{"name": name, "in": "query", "schema": schema} for name, schema in properties.items()]


def _header_parameters(spec: RouteSpec) -> list[dict[str, Any]]:
    return [{"name": name, "in": "header", **_HEADERS[name]} for name in spec.headers]


def _schemas(table: Sequence[RouteSpec]) -> dict[str, Any]:
    bodies = {spec.body for spec in table if spec.body}
    answers = {spec.answer for spec in table if spec.answer}
    modes: list[Any] = [*((body, "validation") for body in bodies), *((answer, "serialization") for answer in answers)]
    modes.sort(key=lambda pair: pair[0].__name__)
    definitions: dict[str, Any] = models_json_schema(modes, by_alias=True, ref_template=_REF)[1]["$defs"]
    return definitions


def _has_required_fields(model: type[BaseModel]) -> bool:
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
