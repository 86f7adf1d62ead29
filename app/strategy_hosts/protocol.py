"""The messages between the server and its strategy processes: frames of text with candles or events.

Nothing from a strategy process is unpickled, evaluated or trusted: every event is checked.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from decimal import Decimal
from typing import Any, Final

from pydantic import TypeAdapter

from app.domain.event import PAYLOAD_BYTES, TRADING, Event
from app.domain.market.candle import Candle
from app.domain.trading.settings import BrokerConfig
from app.domain.trading.strategy_runner import SlotView

BROKER_CONFIG: Final = TypeAdapter(BrokerConfig)
FLUSH_S: Final = 0.1
"""How long computed slots may wait in the process before they are sent, in seconds."""
START_CANDLES: Final = 30
"""An import, and the first slot with `on_start`, may each take as long as this many candles."""
HEADER_BYTES: Final = 4
FRAME_BYTES: Final = 64 << 20
"""Maximum size of a frame from a strategy process, in bytes."""
SLOT_EVENTS: Final = 10_000
"""Maximum number of events of one slot."""
STRATEGY_EVENT_TYPES: Final = frozenset(TRADING)
"""The event types that a strategy process may send."""


class ProtocolError(Exception):
    """A strategy process sent an invalid message."""


def frame(text: str) -> bytes:
    """Return text as a frame: its length in bytes, then the text."""
    body = text.encode()
    return len(body).to_bytes(HEADER_BYTES, "big") + body


def decode_slots(value: list[list[Any]]) -> list[SlotView]:
    """Convert parsed JSON to slots; decimals are text there, so that they lose no digit."""
    return [SlotView(open_ms, [_candle(item) for item in candles], last, ts) for open_ms, candles, last, ts in value]


def _candle(value: list[Any]) -> Candle:
    symbol, timeframe, open_ms, close_ms, *numbers, synthetic = value
    open_, high, low, close, volume = map(Decimal, numbers)
    return Candle(symbol, timeframe, open_ms, close_ms, open_, high, low, close, volume, synthetic)


def encode_answer(header: dict[str, Any], slots: Sequence[Sequence[Event]] = ()) -> str:
    """Render an answer: a line of JSON, then per slot the number of its events and one line per event."""
    lines = [json.dumps(header)]
    for events in slots:
        lines.append(str(len(events)))
        lines += [f"{ts} {type_} {body}" for ts, type_, body in events]
    return "\n".join(lines)


def decode_answer(text: bytes) -> tuple[dict[str, Any], list[list[Event]]]:
    """Parse an answer: its header and the events of each slot; raises `ProtocolError`."""
    try:
        lines = iter(text.decode().split("\n"))
        header = json.loads(next(lines))
        slots = [[_event(next(lines)) for _ in range(int(count))] for count in lines]
    except (ValueError, RuntimeError, StopIteration, RecursionError):
        raise ProtocolError from None
    if not isinstance(header, dict):
        raise ProtocolError
    return header, slots


def _event(line: str) -> Event:
    ts, type_, body = line.split(" ", 2)
    if type_ not in STRATEGY_EVENT_TYPES or len(body) > PAYLOAD_BYTES or not isinstance(json.loads(body), dict):
        raise ProtocolError
    return Event(int(ts), type_, body)
