"""Orders that depend on nothing but a candle, so that a strategy and a second broker can be given the same ones."""

from __future__ import annotations

from decimal import Decimal
from random import Random
from typing import Any

from app.domain.market.candle import Candle
from app.domain.trading.strategy import Strategy
from tests.support.running_engine import START_MS

KINDS = ("market", "limit", "stop", "stop_limit", "trail", "trail_pct")


def actions_at(candle: Candle) -> list[tuple[str, Any]]:
    """Return what is done at the close of a candle: orders of every type, of explicit quantities, or a close."""
    chance = Random(f"{candle.symbol} {candle.open_time_ms}")
    return [_action(chance, candle) for _ in range(chance.choice([0, 0, 0, 1, 1, 2]))]


def _action(chance: Random, candle: Candle) -> tuple[str, Any]:
    if chance.random() < 0.1:
        return "close", {}

    def near() -> Decimal:
        return (candle.close * (1 + Decimal(chance.randint(-30, 30)) / 20_000)).quantize(Decimal("0.01"))

    kind = chance.choice(KINDS)
    request: dict[str, Any] = {"qty": Decimal(chance.randint(1, 400)) / 100, "good_for": chance.randint(1, 20)}
    if kind in ("limit", "stop_limit"):
        request["limit"] = near()
    if kind in ("stop", "stop_limit"):
        request["stop"] = near()
    if kind == "trail":
        request["trail"] = Decimal(chance.randint(1, 60))
    if kind == "trail_pct":
        request["trail_pct"] = Decimal(chance.randint(1, 10)) / 100
    for name in ("stop_loss", "take_profit"):
        if chance.random() < 0.4:
            request[name] = near()
    return chance.choice(["buy", "sell"]), request


class SeededOrders(Strategy):
    """Does what `actions_at` says of each candle of the session's own timeframe, and needs all others to be there."""

    def on_start(self) -> None:
        self.seen: dict[str, int] = {}

    def on_candle(self, candle: Candle) -> None:
        self.seen[candle.timeframe] = self.seen.get(candle.timeframe, 0) + 1
        if candle.timeframe != self.timeframe or candle.open_time_ms < START_MS:
            return
        for what, request in actions_at(candle):
            getattr(self, what)(candle.symbol, **request)
        if candle.symbol == self.symbols[-1]:
            for timeframe, count in self.seen.items():
                self.plot(f"seen {timeframe}", count)
