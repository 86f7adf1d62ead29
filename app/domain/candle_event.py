"""The candle event: its encoder, and the decoders of its text in Postgres. Change them together."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from decimal import Decimal
from typing import Any

from app.domain.event import Event
from app.domain.market.candle import Candle
from app.domain.number import format_decimal
from app.domain.record import new_record

_NUMBER = r"(-?[0-9.]+)"
_LINES = re.compile(
    rf' candle \{{"candle":\{{"low":{_NUMBER},"high":{_NUMBER},"open":{_NUMBER},"close":{_NUMBER},"volume":{_NUMBER}'
    r',"openTimeMs":(-?\d+),"closeTimeMs":(-?\d+)\},"symbol":"([^"\\]+)",("synthetic":true,)?"timeframe":"(\w+)"\}$',
    re.MULTILINE,
)
"""Candle events in the lines of `sim_simulated_lines`. No text in a payload can match, since its quotes are escaped."""


def encode(ts: int, candle: Candle) -> Event:
    """Return the event of one closed candle.

    Its fields have the order of Postgres's jsonb, so that nearly all events read back equal recomputed ones as text.
    """
    symbol, timeframe, open_ms, close_ms, open_, high, low, close, volume, synthetic = candle
    numbers = f'"low":{low!s},"high":{high!s},"open":{open_!s},"close":{close!s},"volume":{volume!s}'
    if "0," in numbers or "E" in numbers or numbers[-1] == "0":  # One of them might not be canonical.
        numbers = (
            f'"low":{format_decimal(low)},"high":{format_decimal(high)},"open":{format_decimal(open_)},'
            f'"close":{format_decimal(close)},"volume":{format_decimal(volume)}'
        )
    flag = '"synthetic":true,' if synthetic else ""
    body = (
        f'{{"candle":{{{numbers},"openTimeMs":{open_ms},"closeTimeMs":{close_ms}}},'
        f'"symbol":"{symbol}",{flag}"timeframe":"{timeframe}"}}'
    )
    return new_record(Event, (ts, "candle", body))


def decode(body: str) -> Candle:
    """Return the candle of a payload, with exact decimals; raises an error for any other payload."""
    payload: dict[str, Any] = json.loads(body, parse_float=Decimal)
    fields = payload["candle"]
    open_, high, low, close, volume = (Decimal(fields[name]) for name in ("open", "high", "low", "close", "volume"))
    return Candle(
        payload["symbol"],
        payload["timeframe"],
        fields["openTimeMs"],
        fields["closeTimeMs"],
        open_,
        high,
        low,
        close,
        volume,
        synthetic=payload.get("synthetic", False),
    )


def decode_lines(text: str, lines: Sequence[str]) -> list[Candle]:
    """Return the candles among event lines (`ts type payload`), including longer and synthetic ones.

    `text` is all `lines` as one text. A candle that was changed by hand into something else is left out.
    """
    rows = _LINES.findall(text)
    if len(rows) != text.count(" candle {"):  # A strategy's text contains this, or a number has another format.
        return list(_decode_each(lines))
    return [
        new_record(
            Candle,
            (
                symbol,
                timeframe,
                int(open_ms),
                int(close_ms),
                Decimal(open_),
                Decimal(high),
                Decimal(low),
                Decimal(close),
                Decimal(volume),
                synthetic != "",
            ),
        )
        for low, high, open_, close, volume, open_ms, close_ms, symbol, synthetic, timeframe in rows
    ]


def _decode_each(lines: Iterable[str]) -> Iterator[Candle]:
    """Yield the candles among lines, one by one."""
    for line in lines:
        type_, _, body = line.partition(" ")[2].partition(" ")
        if type_ == "candle":
            with suppress(ValueError, ArithmeticError, LookupError, TypeError):
                yield decode(body)
