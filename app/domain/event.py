"""Events of the log: one constructor per type, each checked when made.

An event carries its payload as JSON text, rendered once with canonical numbers, so that nothing between the
tick and Postgres parses or renders it again.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from decimal import Decimal
from typing import Any, NamedTuple

from app.domain.candle import Candle
from app.domain.number import plain
from app.errors import BadInput

TYPES = (
    "status",
    "control",
    "candle",
    "gap",
    "signal",
    "order",
    "fill",
    "trade",
    "equity",
    "log",
    "plot",
    "note",
)
"""Every type an event may have."""

PAYLOAD_BYTES = 65_536
"""The most bytes a payload may have as JSON text in UTF-8."""


class Event(NamedTuple):
    """One row of the log before it has a seq: simulated time in ms, type, payload as JSON text."""

    ts: int
    type: str
    body: str

    @property
    def payload(self) -> dict[str, Any]:
        """Return the payload parsed, numbers as exact decimals."""
        parsed: dict[str, Any] = json.loads(self.body, parse_float=Decimal)
        return parsed


def candle(ts: int, value: Candle) -> Event:
    """Make the event of one closed candle."""
    tail = ',"synthetic":true}' if value.synthetic else "}"
    return Event(
        ts,
        "candle",
        f'{{"symbol":"{value.symbol}","timeframe":"{value.timeframe}","candle":{{'
        f'"openTimeMs":{value.open_time_ms},"closeTimeMs":{value.close_time_ms},'
        f'"open":{plain(value.open)},"high":{plain(value.high)},"low":{plain(value.low)},'
        f'"close":{plain(value.close)},"volume":{plain(value.volume)}}}{tail}',
    )


def gap(ts: int, symbol: str, timeframe: str, from_ms: int, to_ms: int, missing: int) -> Event:
    """Make the event that says which slots `[from_ms, to_ms)` had no candle, `missing` of them."""
    return Event(
        ts,
        "gap",
        f'{{"symbol":"{symbol}","timeframe":"{timeframe}","fromMs":{from_ms},"toMs":{to_ms},"missing":{missing}}}',
    )


def control(ts: int, action: str, args: Mapping[str, Any], by: str) -> Event:
    """Make the event of something done to the session's time rather than by the market."""
    return checked(ts, "control", {"action": action, "args": dict(args), "by": by})


def checked(ts: int, type_: str, payload: Mapping[str, Any]) -> Event:
    """Make an event from any payload; raises `BadInput` when it may not stand in the log."""
    return Event(ts, type_, render(payload))


def render(payload: Mapping[str, Any]) -> str:
    """Render a payload as JSON text with canonical numbers.

    Raises `BadInput` for what the log refuses: numbers that are not finite, NUL characters, lone surrogates,
    more than `PAYLOAD_BYTES` bytes, or a value that is not JSON.
    """
    text = _render(payload)
    try:
        size = len(text.encode())
    except UnicodeEncodeError:
        raise BadInput("payload: lone surrogates cannot be stored") from None
    if size > PAYLOAD_BYTES:
        raise BadInput(f"payload: {size} bytes, at most {PAYLOAD_BYTES} are allowed")
    return text


def _render(value: Any) -> str:
    if value is None or isinstance(value, bool):
        return json.dumps(value)
    if isinstance(value, str):
        if "\0" in value:
            raise BadInput("payload: NUL characters cannot be stored")
        return json.dumps(value, ensure_ascii=False)
    if isinstance(value, int):
        return str(value)
    if isinstance(value, float | Decimal):
        return _number(Decimal(repr(value)) if isinstance(value, float) else value)
    if isinstance(value, Mapping):
        return "{" + ",".join(f"{_key(key)}:{_render(item)}" for key, item in value.items()) + "}"
    if isinstance(value, list | tuple):
        return "[" + ",".join(map(_render, value)) + "]"
    raise BadInput(f"payload: a {type(value).__name__} is not JSON")


def _key(key: Any) -> str:
    if not isinstance(key, str):
        raise BadInput("payload: keys must be text")
    return _render(key)


def _number(value: Decimal) -> str:
    if not value.is_finite():
        raise BadInput(f"payload: {value} is not a finite number")
    if value.adjusted() > 1000 or value.adjusted() < -1000:
        raise BadInput("payload: a number is out of range")
    return plain(value)
