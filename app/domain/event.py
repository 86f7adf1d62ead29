"""Events of the log: one checked constructor per type; the one for candles is in `candle_event`.

An event carries its payload as JSON text. It is rendered once, with canonical numbers; nothing between the tick and
Postgres parses or renders it again.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from decimal import Decimal
from functools import lru_cache
from json.encoder import encode_basestring
from typing import Any, NamedTuple

from app.domain.number import format_decimal, number_text, parse_decimal, round_significant
from app.domain.record import new_record
from app.domain.trading.account import Fill, Trade
from app.domain.trading.order import Order
from app.errors import BadInputError

MARKET = ("candle", "gap")
"""The types of events that the market writes."""

TRADING = ("signal", "order", "fill", "trade", "funding", "interest", "equity", "log", "plot")
"""The types of events that a strategy and its broker write."""

STRATEGY_WRITES = frozenset({"signal", "order", "log", "plot"})
"""The types of events that come from what a strategy calls."""

SIMULATED = (*MARKET, *TRADING)
"""The types of events that the simulation itself writes; `sim_is_simulated` says the same in SQL."""

STEERING = ("status", "control", "note")
"""The types of events that record what users and servers did: two equal simulations may differ in them."""

TYPES = (*SIMULATED, *STEERING)
"""Every type an event may have."""

PAYLOAD_BYTES = 65_536
"""Maximum size of a payload as JSON text in UTF-8, in bytes."""


class Event(NamedTuple):
    """One row of the log, still without a seq: simulated time in ms, type, payload as JSON text."""

    ts: int
    type: str
    body: str

    @property
    def payload(self) -> dict[str, Any]:
        """Return the payload parsed, numbers as exact decimals."""
        parsed: dict[str, Any] = json.loads(self.body, parse_float=Decimal)
        return parsed


def equity(ts: int, body: str) -> Event:
    """Return the equity event of a tick, with the payload of an `EquityCurve`."""
    return new_record(Event, (ts, "equity", body))


def gap(ts: int, symbol: str, timeframe: str, from_ms: int, to_ms: int, missing: int) -> Event:
    """Return the event of a gap: slots `[from_ms, to_ms)` without candles, `missing` of them."""
    return Event(
        ts,
        "gap",
        f'{{"symbol":"{symbol}","timeframe":"{timeframe}","fromMs":{from_ms},"toMs":{to_ms},"missing":{missing}}}',
    )


def control(ts: int, action: str, args: Mapping[str, Any], by: str) -> Event:
    """Return the event of a control: an action of a user or server on the session's time."""
    return parse_event(ts, "control", {"action": action, "args": dict(args), "by": by})


def command(ts: int, action: str, args: Mapping[str, Any], by: str, number: int, cursor_ms: int | None) -> Event:
    """Return the event of a command: a control with its number in the session and the cursor it is applied at."""
    payload = {"action": action, "args": dict(args), "by": by, "command": number, "cursorMs": cursor_ms}
    return parse_event(ts, "control", payload)


def signal(ts: int, symbol: str, direction: str, reason: str, indicators: Mapping[str, Decimal | float]) -> Event:
    """Return the event of a strategy's signal; indicators are rounded to 10 significant digits."""
    rounded = [(name, round_significant(parse_decimal(value))) for name, value in indicators.items()]
    head = f'{{"symbol":{_render(symbol)},"direction":{_render(direction)},"reason":{_render(reason)}'
    shown = ",".join([f"{_key(name)}:{_number(value)}" for name, value in rounded])
    body = f'{head},"indicators":{{{shown}}}}}'
    return Event(ts, "signal", _require_storable(body))


def order(ts: int, value: Order, status: str, reason: str) -> Event:
    """Return the event of one change of an order; a size that is not fixed yet is `qty: null` with its `sizing`."""
    size = f'"qty":{_optional(value.qty)}'
    if value.qty is None and value.sizing is not None:
        size += f',"sizing":{{"{value.sizing.kind}":{format_decimal(value.sizing.amount)}}}'
    if value.limit is not None:
        size += f',"limitPrice":{format_decimal(value.limit)}'
    if value.stop is not None:
        size += f',"stopPrice":{format_decimal(value.stop)}'
    return Event(
        ts,
        "order",
        f'{{"orderId":{value.id},"symbol":"{value.symbol}","side":"{value.side}","type":"{value.type}",{size},'
        f'"status":"{status}","reason":{_render_text(reason)},"tag":{_render_text(value.tag)}}}',
    )


def _optional(value: Decimal | None) -> str:
    return "null" if value is None else format_decimal(value)


def fill(ts: int, value: Fill) -> Event:
    """Return the event of one execution."""
    side = "BUY" if value.sign > 0 else "SELL"
    return Event(
        ts,
        "fill",
        f'{{"orderId":{value.order_id},"symbol":"{value.symbol}","side":"{side}",'
        f'"qty":{format_decimal(value.qty)},"price":{format_decimal(value.price)},"fee":{format_decimal(value.fee)},'
        f'"slippage":{format_decimal(value.slippage)},"policy":"{value.policy}"}}',
    )


def trade(ts: int, value: Trade) -> Event:
    """Return the event of one closed lot."""
    return Event(
        ts,
        "trade",
        f'{{"symbol":"{value.symbol}","side":"{value.side}","qty":{format_decimal(value.qty)},'
        f'"entryPrice":{format_decimal(value.entry_price)},"exitPrice":{format_decimal(value.exit_price)},'
        f'"entryTs":{value.entry_ts},"exitTs":{value.exit_ts},"grossPnl":{format_decimal(value.gross_pnl)},'
        f'"fees":{format_decimal(value.fees)},"netPnl":{format_decimal(value.net_pnl)},"holdBars":{value.hold_bars},'
        f'"reason":{_render_text(value.reason)}}}',
    )


def funding(ts: int, symbol: str, qty: Decimal, price: Decimal, times: int, amount: Decimal) -> Event:
    """Return the event of funding paid for a position, `times` at once; below 0 it was received."""
    return Event(
        ts,
        "funding",
        f'{{"symbol":"{symbol}","qty":{format_decimal(qty)},"price":{format_decimal(price)},"times":{times},'
        f'"amount":{format_decimal(amount)}}}',
    )


def interest(ts: int, cash: Decimal, short: Decimal, amount: Decimal) -> Event:
    """Return the event of a day's interest paid for borrowed cash and for the value of short positions."""
    return Event(
        ts,
        "interest",
        f'{{"borrowedCash":{format_decimal(cash)},"shortValue":{format_decimal(short)},'
        f'"amount":{format_decimal(amount)}}}',
    )


def log(ts: int, message: str) -> Event:
    """Return the event of a message of a strategy."""
    return parse_event(ts, "log", {"message": message})


def plot(ts: int, name: str, value: Decimal | float) -> Event:
    """Return the event of one point of a strategy's line, rounded to 10 significant digits."""
    body = f'{{"name":{render(name)},"value":{format_decimal(round_significant(parse_decimal(value)))}}}'
    return Event(ts, "plot", body)


def parse_event(ts: int, type_: str, payload: Mapping[str, Any]) -> Event:
    """Return an event with any payload; raises `BadInputError` if the log cannot store it."""
    return Event(ts, type_, render(payload))


def render(payload: Any) -> str:
    """Render a payload, or a part of one, as JSON text with canonical numbers.

    Raises `BadInputError` for what the log cannot store: numbers that are not finite, NUL characters, lone
    surrogates, more than `PAYLOAD_BYTES` bytes, or a value that is not JSON.
    """
    return _require_storable(_render(payload))


def _render_text(value: str | None) -> str:
    """Render a reason or a tag."""
    return _render_cached(value) if type(value) is str else render(value)


@lru_cache(maxsize=1024)
def _render_cached(value: str) -> str:
    """Render a text, cached: a few texts are in many events."""
    return render(value)


def _require_storable(text: str) -> str:
    """Return a text that the log can store as a payload; raises `BadInputError` for any other."""
    try:
        size = len(text) if text.isascii() else len(text.encode())
    except UnicodeEncodeError:
        raise BadInputError("payload: lone surrogates cannot be stored") from None
    if size > PAYLOAD_BYTES:
        raise BadInputError(f"payload: {size} bytes, at most {PAYLOAD_BYTES} are allowed")
    return text


def _render(value: Any) -> str:
    if isinstance(value, str):
        if "\0" in value:
            raise BadInputError("payload: NUL characters cannot be stored")
        return encode_basestring(value)
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return str(value)
    if isinstance(value, (float, Decimal)):
        return _number(Decimal(number_text(value)) if isinstance(value, float) else value)
    if isinstance(value, (dict, Mapping)):
        return "{" + ",".join([f"{_key(key)}:{_render(item)}" for key, item in value.items()]) + "}"
    if isinstance(value, (list, tuple)):
        return "[" + ",".join(map(_render, value)) + "]"
    raise BadInputError(f"payload: a {type(value).__name__} is not JSON")


def _key(key: Any) -> str:
    if not isinstance(key, str):
        raise BadInputError("payload: keys must be text")
    return _render(key)


def _number(value: Decimal) -> str:
    if not value.is_finite():
        raise BadInputError(f"payload: {value} is not a finite number")
    if value.adjusted() > 1000 or value.adjusted() < -1000:
        raise BadInputError("payload: a number is out of range")
    return format_decimal(value)
