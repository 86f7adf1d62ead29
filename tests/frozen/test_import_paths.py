"""The import paths that commit b53902f told authors of strategies to use; strategies of that time go on using them."""

from __future__ import annotations

from importlib import import_module

import pytest

PATHS = {
    "app.domain.candle": ("Candle", "Gap"),
    "app.domain.strategy": ("Strategy",),
    "app.domain.terms": ("Terms", "Sizing"),
    "app.domain.trader": ("Trader", "OpenOrder"),
    "app.domain.snapshot": ("keep", "put_back"),
}
DIP = """
from decimal import Decimal

from app.domain.candle import Candle
from app.domain.strategy import Strategy


class Dip(Strategy):
    percent: Decimal = Decimal(2)

    def on_start(self) -> None:
        self._before: Decimal | None = None

    def on_candle(self, candle: Candle) -> None:
        before, self._before = self._before, candle.close
        if before and not self.position.qty and candle.close < before * (1 - self.percent / 100):
            self.signal("LONG", "dip", close=candle.close)
            self.buy(stop_loss=candle.close * Decimal("0.98"), take_profit=before, reason="dip")

    def snapshot(self) -> dict[str, Decimal | None]:
        return {"before": self._before}

    def restore(self, kept: dict[str, Decimal | None]) -> None:
        self._before = kept["before"]


from app.domain.terms import Terms
from app.domain.trader import Trader

trader = Trader(Dip(percent=1), Terms(symbols=("BTCUSDT",), timeframe="1m"))
events = []
for minute, close in enumerate((100, 101, 98, 103)):
    price, start = Decimal(close), minute * 60_000
    candle = Candle("BTCUSDT", "1m", start, start + 60_000, price, price, price, price, Decimal(1))
    events += trader.on_slot([candle])
"""
"""As in the documentation of that commit."""


@pytest.mark.parametrize(("module", "name"), [(module, name) for module, names in PATHS.items() for name in names])
def test_an_old_path_gives_the_name(module: str, name: str) -> None:
    assert hasattr(import_module(module), name)


def test_an_old_path_and_zeon_give_the_same_classes() -> None:
    zeon = import_module("zeon")
    assert import_module("app.domain.candle").Candle is zeon.Candle
    assert import_module("app.domain.strategy").Strategy is zeon.Strategy


@pytest.mark.parametrize(("terms", "counts"), [('timeframe="1m", rules=1', (1, 2, 1)), ('timeframe="1m"', (1, 1, 0))])
def test_the_documented_way_to_test_a_strategy_works(terms: str, counts: tuple[int, int, int]) -> None:
    """Rule set 2 rejects its take-profit, which is below the price of the entry: nothing is sold."""
    names: dict[str, list[object]] = {}
    exec(compile(DIP.replace('timeframe="1m"', terms), "dip.py", "exec", dont_inherit=True), names)
    types = [event.type for event in names["events"]]
    assert (types.count("signal"), types.count("fill"), types.count("trade")) == counts
