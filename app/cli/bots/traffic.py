"""What a bot has been given: which candle of the session it knows, and whether requests are under way."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable

from app.web.exchange.addresses import PREFIX

_CANDLE_CALLS = ("klines", "uiKlines", "events", "candles")
_PRICE_CALLS = ("24hr", "price", "bookTicker", "depth", "trades", "aggTrades", "avgPrice")
_STREAMED = re.compile(rb'"e":\s*"(\w+)",\s*"E":\s*(\d+)')
_SIM_CANDLE = re.compile(rb'"closeTimeMs":\s*(\d+)')
_KEY = re.compile(f"(?<={PREFIX}/)[^/]+")
_PRICE_EVENTS = (b"24hrTicker", b"24hrMiniTicker", b"trade", b"aggTrade", b"depthUpdate")
_KEPT = 100
"""Bytes of a stream that are looked at again with the next ones: the longest match."""


class Traffic:
    """What went through the relay. `present_ms` is the time of the session: the close of its last candle, in ms UTC.

    A bot that asks for candles has been given the present one when an answer with candles, or a streamed one of that
    time, went to it. For a bot that asks for prices only, a price counts.
    """

    def __init__(self, present_ms: int, record: Callable[[str], None] | None = None) -> None:
        self.present_ms = present_ms
        self._record = record
        self.under_way = 0
        self.streams = 0
        self.streams_candles = False
        """Whether a stream has brought a candle."""
        self.passing = asyncio.Event()
        """Cleared while a step is made: what streams bring meanwhile waits for the new time of the clock."""
        self.passing.set()
        self._candle_ms: int | None = None
        self._price_ms: int | None = None

    @property
    def given(self) -> bool:
        """Whether the bot has been given the present candle."""
        given_ms = self._price_ms if self._candle_ms is None else self._candle_ms
        return given_ms is not None and given_ms >= self.present_ms

    def answered(self, method: str, target: str, status: int, *, stream: bool = False) -> None:
        """Note an answer that the bot has got, or the beginning of a stream."""
        if self._record is not None:
            self._record(f"{method} {_KEY.sub('…', target)} {status}")
        call = target.partition("?")[0].rpartition("/")[2]
        if method == "GET" and status == 200 and not stream:
            self._give(call in _CANDLE_CALLS, call in _PRICE_CALLS, self.present_ms)

    def streamed(self, kept: bytes, new: bytes) -> bytes:
        """Note the bytes of a stream; return those to keep for the next call."""
        data = kept + new
        for name, time_ms in _STREAMED.findall(data):
            self._give(name == b"kline", name in _PRICE_EVENTS, int(time_ms))
            self.streams_candles |= name == b"kline"
        for time_ms in _SIM_CANDLE.findall(data):
            self._give(True, False, int(time_ms))
            self.streams_candles = True
        return data[-_KEPT:]

    def _give(self, candle: bool, price: bool, time_ms: int) -> None:
        if candle:
            self._candle_ms = max(self._candle_ms or 0, time_ms)
        if price:
            self._price_ms = max(self._price_ms or 0, time_ms)
