"""The refusals of the API: the statuses an operation may answer with, and the codes of each."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from app.errors import SimError
from app.web.http.middleware import PROBES
from app.web.http.responses import GENERIC_CODES
from app.web.http.route_spec import RouteSpec

_ALWAYS = (400, 408, 414, 431, 500, 503)
_RETRIED = (429, 503)
_RETRY_AFTER = {"description": "Seconds after which to try again.", "schema": {"type": "integer", "minimum": 1}}
_CHALLENGE = {"description": "`Bearer`.", "schema": {"type": "string"}}
_TEXTS = {
    400: "The input is not valid; the sentence names the field.",
    401: "The call needs a valid token.",
    403: "The page, the token or the link may not make this call.",
    404: "There is nothing here, or it is another user's.",
    408: "The request did not arrive in time.",
    409: "The state of the session does not allow this.",
    413: "The body is too large.",
    414: "The URL is too long.",
    415: "The body is not of this media type.",
    422: "The request is valid, but it cannot be done.",
    429: "Too many requests, streams or running sessions.",
    431: "The headers are too large.",
    500: "Something went wrong in the server.",
    503: "The database or the server cannot do this right now.",
}


def failure_schema() -> dict[str, Any]:
    """Return the schema of every refusal."""
    return {
        "type": "object",
        "description": "A refusal. docs/errors.md says what to do about each code.",
        "required": ["error", "code"],
        "properties": {
            "error": {"type": "string", "description": "What is wrong, where, and what to do, in a sentence."},
            "code": {"type": "string", "enum": sorted({code for codes in status_codes().values() for code in codes})},
            "details": {"description": "More about it, for some codes."},
        },
    }


def failure_responses() -> dict[str, Any]:
    """Return the responses of all refusals, by HTTP status."""
    return {str(status): _response(status) for status in _TEXTS}


def references(spec: RouteSpec) -> dict[str, Any]:
    """Return references to the refusals with which a route may answer."""
    return {str(status): {"$ref": f"#/components/responses/{status}"} for status in sorted(_statuses(spec))}


def _statuses(spec: RouteSpec) -> set[int]:
    statuses = {*_ALWAYS, *spec.refusals}
    if spec.path not in PROBES:
        statuses.add(429)
    if not spec.open:
        statuses.add(401)
    if "{" in spec.path:
        statuses.add(404)
    if spec.method != "GET" or not (spec.open or spec.scope == "share"):
        statuses.add(403)
    if spec.body is not None or spec.takes_file:
        statuses |= {413, 415}
    return statuses


def _response(status: int) -> dict[str, Any]:
    codes = status_codes()[status]
    response = {
        "description": f"{_TEXTS[status]} Codes: {', '.join(f'`{code}`' for code in codes)}.",
        "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Failure"}}},
    }
    headers = {"Retry-After": _RETRY_AFTER} if status in _RETRIED else {}
    headers |= {"WWW-Authenticate": _CHALLENGE} if status == 401 else {}
    return response | ({"headers": headers} if headers else {})


def status_codes() -> dict[int, list[str]]:
    """Return the codes of each HTTP status, the generic one first."""
    codes = {status: [GENERIC_CODES[status]] if status in GENERIC_CODES else [] for status in _TEXTS}
    codes[405] = [GENERIC_CODES[405]]
    for kind in _all_subclasses(SimError):
        for code in (kind.code, *kind.codes):
            if code is not None and code not in codes.setdefault(kind.status, []):
                codes[kind.status].append(code)
    return codes


def _all_subclasses(kind: type[SimError]) -> Iterator[type[SimError]]:
    for subclass in kind.__subclasses__():
        yield subclass
        yield from _all_subclasses(subclass)
