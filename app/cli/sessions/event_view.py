"""How the command line prints events: as readable lines or as JSON."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

from app.cli import output
from app.db.log.events import Frames
from app.domain.visible import visible

_DATA = "data: "


def events(frames: Frames) -> Iterator[str]:
    """Yield the events of a page as JSON text, exactly as Postgres rendered them."""
    for text in frames.body.decode().split("\n"):
        if text.startswith(_DATA):
            yield text.removeprefix(_DATA)


def as_json(event: str) -> str:
    """Return an event for scripts: a line of JSON."""
    return event


def line(event: str) -> str:
    """Return an event for people: seq, simulated time, type and a short form of its payload."""
    read = json.loads(event, parse_float=str, parse_int=str)
    format_payload = _FORMATS.get(read["type"])
    what = format_payload(read["payload"]) if format_payload else _payload(event)
    return f"{read['seq']:>6}  {output.utc(int(read['ts']))}  {read['type']:<8}{visible(what)}"


def _payload(event: str) -> str:
    """Return the payload as Postgres rendered it, its numbers exact."""
    return event.partition('"payload":')[2].removesuffix("}")


def _candle(payload: dict[str, Any]) -> str:
    candle = payload["candle"]
    prices = "  ".join(f"{name} {candle[name]}" for name in ("open", "high", "low", "close", "volume"))
    return f"{payload['symbol']} {payload['timeframe']}  {prices}{'  synthetic' if payload.get('synthetic') else ''}"


def _status(payload: dict[str, Any]) -> str:
    return f"{payload['status']}: {payload.get('error', payload['reason'])}, by {payload['by']}"


def _gap(payload: dict[str, Any]) -> str:
    range_ = f"{output.utc(int(payload['fromMs']))} to {output.utc(int(payload['toMs']))}"
    return f"{payload['symbol']} {payload['timeframe']}  {range_}, {payload['missing']} missing"


_FORMATS: dict[str, Callable[[dict[str, Any]], str]] = {
    "candle": _candle,
    "status": _status,
    "gap": _gap,
}
