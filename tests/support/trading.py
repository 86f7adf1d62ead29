"""Small synthetic candles and a strategy that makes the calls a test gives it, bar by bar."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from typing import Any

from app.domain.event import Event
from app.domain.market.candle import Candle
from app.domain.trading.settings import BrokerConfig
from app.domain.trading.strategy import Strategy
from app.domain.trading.strategy_runner import SlotView, StrategyRunner

MINUTE = 60_000
Actions = Mapping[int, Callable[["Script"], Any]]


class Script(Strategy):
    """Makes the calls given for each bar, counted from 0."""

    def follow(self, actions: Actions) -> Script:
        self._actions, self._bar = actions, -1
        self.given: dict[int, Any] = {}
        return self

    def on_candle(self, candle: Candle) -> None:
        if candle.symbol == self.symbols[0] and candle.timeframe == self.timeframe:
            self._bar += 1
        if self._bar in self._actions and candle.symbol == self.symbols[-1]:
            self.given[self._bar] = self._actions[self._bar](self)


def bar(number: int, ohlc: str, *, symbol: str = "BTC", volume: str = "100", synthetic: bool = False) -> Candle:
    """Return the candle of minute `number`; `ohlc` is one price for all four, or four."""
    prices = [Decimal(text) for text in ohlc.split()]
    start = number * MINUTE
    return Candle(
        symbol,
        "1m",
        start,
        start + MINUTE,
        *(prices if len(prices) == 4 else prices * 4),
        Decimal(volume),
        synthetic,
    )


def bars(*ohlc: str) -> list[Candle]:
    """Return candles of consecutive minutes."""
    return [bar(number, text) for number, text in enumerate(ohlc)]


def broker_config(**changes: Any) -> BrokerConfig:
    """Return a config without fees for symbol BTC at 1m."""
    free: dict[str, Any] = {"maker_fee_bps": Decimal(0), "taker_fee_bps": Decimal(0), "symbols": ("BTC",)}
    return BrokerConfig(timeframe="1m", **(free | changes))


def finish(trader: StrategyRunner, ts: int) -> list[Event]:
    """Return what a trader makes of a range that ends without another candle, behind an event at `ts`."""
    return trader.answer(SlotView(ts, (), True, ts))


def play(slots: Sequence[Candle | Sequence[Candle]], actions: Actions, on: BrokerConfig | None = None) -> list[Event]:
    """Run a script over slots of one or several candles and return all events."""
    trader = StrategyRunner(Script().follow(actions), on or broker_config())
    events: list[Event] = []
    for slot in slots:
        events += trader.on_slot((slot,) if isinstance(slot, Candle) else slot)
    return events


def of(events: Sequence[Event], type_: str) -> list[dict[str, Any]]:
    """Return the payloads of one type."""
    return [event.payload for event in events if event.type == type_]


def fills(events: Sequence[Event]) -> list[tuple[str, str, str]]:
    """Return side, quantity and price of every fill, as text."""
    return [(fill["side"], str(fill["qty"]), str(fill["price"])) for fill in of(events, "fill")]


def changes(events: Sequence[Event], order_id: int) -> list[str]:
    """Return what an order went through: status and reason."""
    return [f"{order['status']}: {order['reason']}" for order in of(events, "order") if order["orderId"] == order_id]
