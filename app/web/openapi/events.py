"""The schemas of events, of their payloads, and of the messages of the streams."""

from __future__ import annotations

from functools import cache
from typing import Any, get_args

from pydantic import TypeAdapter

from app.web.openapi.schemas import TEMPLATE, reference, without_titles
from zeon.events import AnyEvent

_TIME = {"type": "integer", "description": "Simulated time, ms UTC; never decreases."}
_SERVER_TIME = {"type": "integer", "description": "The server's clock, ms UTC."}
_SESSION_ID = {"type": "string", "format": "uuid"}
_CURSOR = {"type": ["integer", "null"], "description": "Open time of the last slot done, ms UTC."}


@cache
def event_schemas() -> dict[str, Any]:
    """Return the schemas of every event type, its payload, and of the messages of both dialects."""
    payloads: dict[str, Any] = {}
    events = {}
    for member in get_args(AnyEvent):
        kind, payload = get_args(member)
        name = get_args(kind)[0]
        events[f"{name.capitalize()}Event"] = _event(name, _payload(name, payload, payloads))
    kinds = {name.removesuffix("Event").lower(): name for name in events}
    return {
        **payloads,
        **events,
        "Event": {**_one_of(kinds), "description": "A row of the log, by its type."},
        "Heartbeat": _control("heartbeat", "Comes at a fixed pace, by default every 15 s.", ts=_SERVER_TIME),
        "CaughtUp": _control(
            "caught_up",
            "Comes once per connection, when all events that existed at its start have been sent.",
            lastSeq={"type": "integer", "description": "The last seq of the log at the start."},
        ),
        "LogShorter": _control(
            "log_shorter",
            "Ends a stream whose log has become shorter than what was sent: an older copy of the database.",
            lastSeq={"type": "integer", "description": "The last seq of the log."},
        ),
        "StreamMessage": {
            **_one_of({**kinds, "heartbeat": "Heartbeat", "caught_up": "CaughtUp", "log_shorter": "LogShorter"}),
            "description": "A message of a stream. The last three are events of the name in `type`, without an id.",
        },
        **_market_messages(),
    }


def _payload(name: str, payload: Any, found: dict[str, Any]) -> dict[str, Any]:
    """Add the schema of a payload, and of what it consists of, to those found; returns a reference to it."""
    schema = TypeAdapter(payload).json_schema(ref_template=TEMPLATE)
    found |= {part: without_titles(each) for part, each in schema.pop("$defs", {}).items()}
    found[f"{name.capitalize()}Payload"] = without_titles(schema)
    return reference(f"{name.capitalize()}Payload")


def _event(name: str, payload: dict[str, Any]) -> dict[str, Any]:
    seq = {"type": "integer", "minimum": 1, "description": "Number of the event in its log: 1, 2, 3 … without gaps."}
    return _object(f"An event of type {name}.", seq=seq, ts=_TIME, type=_constant(name), payload=payload)


def _control(name: str, description: str, **more: Any) -> dict[str, Any]:
    return _object(description, type=_constant(name), sessionId=_SESSION_ID, **more)


def _market_messages() -> dict[str, Any]:
    statuses = {"type": "string", "enum": ["CREATED", "RUNNING", "STOPPED", "DONE"]}
    return {
        "MarketStatusMessage": _control(
            "session_status",
            "The status: first the present one, without an id, then each change.",
            status=statuses,
            cursorMs=_CURSOR,
        ),
        "MarketCandleMessage": _control(
            "candle",
            "A closed candle.",
            symbol={"type": "string"},
            timeframe={"type": "string"},
            candle=reference("CandleValues"),
        ),
        "MarketStreamMessage": {
            **_one_of(
                {
                    "session_status": "MarketStatusMessage",
                    "candle": "MarketCandleMessage",
                    "heartbeat": "Heartbeat",
                    "log_shorter": "LogShorter",
                }
            ),
            "description": "A message of a stream of the market dialect.",
        },
    }


def _object(description: str, **properties: Any) -> dict[str, Any]:
    return {"type": "object", "description": description, "required": list(properties), "properties": properties}


def _constant(text: str) -> dict[str, Any]:
    return {"type": "string", "const": text}


def _one_of(names: dict[str, str]) -> dict[str, Any]:
    return {
        "oneOf": [reference(name) for name in names.values()],
        "discriminator": {
            "propertyName": "type",
            "mapping": {kind: reference(name)["$ref"] for kind, name in names.items()},
        },
    }
