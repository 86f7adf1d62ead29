"""One operation of the document: parameters, body and answers of a route."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from app.web.http.responses import IF_NONE_MATCH
from app.web.http.route_spec import EVENT_STREAM, IDEMPOTENCY_KEY, LAST_EVENT_ID, RouteSpec
from app.web.openapi.links import links
from app.web.openapi.refusals import references
from app.web.openapi.schemas import query_schema, reference, without_null, without_titles

_HEADERS: dict[str, dict[str, Any]] = {
    IDEMPOTENCY_KEY: {
        "description": "A repeated call with the same key and body does nothing and returns the first answer.",
        "schema": {"type": "string", "pattern": "^[!-~]{1,200}$"},
    },
    LAST_EVENT_ID: {
        "description": "The last seq seen, or empty; wins over lastEventId, fromSeq and tail.",
        "schema": {"type": "string", "pattern": "^[0-9]{0,18}$"},
    },
    IF_NONE_MATCH: {
        "description": "The ETag of an earlier answer: 304 without a body if nothing has changed.",
        "schema": {"type": "string"},
    },
}
_ANSWERS_OF_HEADERS = {
    IDEMPOTENCY_KEY: ("200", "The answer to the first call with this key."),
    LAST_EVENT_ID: ("204", "The session has ended: no more events follow."),
    IF_NONE_MATCH: ("304", "Nothing has changed since the answer with this ETag."),
}
"""Header that a call reads -> its additional answer."""
_PATH_SCHEMAS = {"uuid": {"type": "string", "format": "uuid"}, "int": {"type": "integer", "minimum": 0}}
TAGS = {
    "sessions": "Create, list, control, fork and compare sessions.",
    "orders": "Orders from outside, the account, and the clock.",
    "log": "The log of a session: events, stream, statistics, files.",
    "market": "The market dialect: candles and statuses only, and no envelope.",
    "candles": "The stored candles.",
    "server": "Login, health, and the description of the API.",
}
_FRAME = 'id: 9\ndata: {"seq":9,"ts":1704067260000,"type":"log","payload":{"message": "volatility is low"}}\n\n'
_MARKET_FRAME = 'data: {"type":"session_status","sessionId":"…","status":"RUNNING","cursorMs":1704067200000}\n\n'
_FILES = {
    "application/x-ndjson": {"type": "string", "description": "One JSON object per line, numbers exact."},
    "text/csv": {"type": "string", "description": "A line of names, then one line per row."},
    "application/vnd.apache.parquet": {"type": "string", "format": "binary", "description": "For pandas and DuckDB."},
}


def operation(spec: RouteSpec, security: Sequence[Mapping[str, Any]], table: Sequence[RouteSpec]) -> dict[str, Any]:
    """Describe a route of a table; `security` has the ways to authenticate that are valid for every call."""
    described: dict[str, Any] = {
        "operationId": spec.name,
        "summary": _first_line(spec.handler),
        "tags": [spec.tag],
        "parameters": [*_path_parameters(spec), *_query_parameters(spec), *_header_parameters(spec)],
        "responses": _responses(spec, table),
    }
    if spec.open:
        described["security"] = []
    elif spec.scope == "share" and {} not in security:
        described["security"] = [*security, {"share": []}]
    if spec.body is not None:
        content: dict[str, Any] = {"schema": reference(spec.body.__name__)}
        if (example := spec.example) is not None:
            content["example"] = example
        required = any(field.is_required() for field in spec.body.model_fields.values())
        described["requestBody"] = {"required": required, "content": {"application/json": content}}
    if spec.takes_file:
        file = {"schema": {"type": "string", "format": "binary", "minLength": 1}}
        described["requestBody"] = {"required": True, "content": {"application/octet-stream": file}}
    return described


def _responses(spec: RouteSpec, table: Sequence[RouteSpec]) -> dict[str, Any]:
    answer = _answer(spec)
    if made := links(spec, table):
        answer["links"] = made
    return {
        str(spec.status): answer,
        **dict(_answer_of_header(name, answer) for name in spec.headers),
        **references(spec),
    }


def _answer_of_header(name: str, answer: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    status, description = _ANSWERS_OF_HEADERS[name]
    return status, {**(answer if status == "200" else {}), "description": description}


def _answer(spec: RouteSpec) -> dict[str, Any]:
    if spec.answer is None:
        kinds = (spec.media or "text/plain").split(", ")
        return {"description": _first_line(spec.handler), "content": {kind: _medium(kind, spec) for kind in kinds}}
    schema = reference(spec.answer.__name__)
    if not spec.bare:
        properties = {"success": {"type": "boolean", "const": True}, "data": schema}
        schema = {"type": "object", "required": ["success", "data"], "properties": properties}
    answer: dict[str, Any] = {
        "description": _first_line(spec.answer),
        "content": {"application/json": {"schema": schema}},
    }
    if IF_NONE_MATCH in spec.headers:
        answer["headers"] = {"ETag": {"description": "Changes with the answer.", "schema": {"type": "string"}}}
    return answer


def _medium(kind: str, spec: RouteSpec) -> dict[str, Any]:
    if kind != EVENT_STREAM:
        return {"schema": _FILES.get(kind, {"type": "object"} if kind == "application/json" else {"type": "string"})}
    name = "MarketStreamMessage" if spec.kind == "market" else "StreamMessage"
    text = f"Server-sent events: the `data` of each is a `{name}` as JSON, the `id` of a stored event its seq."
    return {"schema": {"description": text}, "example": _FRAME if spec.kind is None else _MARKET_FRAME}


def _path_parameters(spec: RouteSpec) -> list[dict[str, Any]]:
    return [
        {
            "name": name,
            "in": "path",
            "required": True,
            "description": "The id of the session." if name == "id" else "",
            "schema": _PATH_SCHEMAS.get(kind, {"type": "string"}),
        }
        for name, kind in spec.parameters
    ]


def _query_parameters(spec: RouteSpec) -> list[dict[str, Any]]:
    if spec.query is None:
        return []
    schema = query_schema(spec.query)
    required = schema.get("required", [])
    return [_query_parameter(name, part, name in required, spec) for name, part in schema["properties"].items()]


def _query_parameter(name: str, schema: dict[str, Any], required: bool, spec: RouteSpec) -> dict[str, Any]:
    schema = without_titles(without_null(schema))
    parameter: dict[str, Any] = {"name": name, "in": "query"}
    if required:
        parameter["required"] = True
    if text := schema.pop("description", None):
        parameter["description"] = text
    if schema.get("type") == "array":
        parameter |= {"style": "form", "explode": False}
    if spec.body is None and name in (example := spec.example or {}):
        parameter["example"] = example[name]
    return {**parameter, "schema": schema}


def _header_parameters(spec: RouteSpec) -> list[dict[str, Any]]:
    return [{"name": name, "in": "header", **_HEADERS[name]} for name in spec.headers]


def _first_line(documented: Any) -> str:
    return (documented.__doc__ or "").partition("\n")[0]
