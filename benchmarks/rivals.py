"""The same data and rule in other engines, all of them in memory: SMA cross 20/50, one unit long on the way up."""

from __future__ import annotations

import warnings
from collections import deque
from collections.abc import Callable, Sequence
from decimal import Decimal
from typing import Any

from app.domain.market.candle import Candle

FAST, SLOW = 20, 50
CASH = 10_000_000
FEE = 0.001


def frame(candles: Sequence[Candle]) -> Any:
    """Return candles as pandas wants them."""
    import pandas as pd

    index = pd.to_datetime([candle.open_time_ms for candle in candles], unit="ms")
    return pd.DataFrame(
        [map(float, candle[4:9]) for candle in candles], index, ["Open", "High", "Low", "Close", "Volume"]
    )


def backtesting(candles: Sequence[Candle]) -> Callable[[], Any]:
    """Return the run of backtesting.py; the indicators are computed in it."""
    import pandas as pd
    from backtesting import Backtest, Strategy

    warnings.simplefilter("ignore")

    def mean(values: Sequence[float], n: int) -> Any:
        return pd.Series(values).rolling(n).mean()

    class Cross(Strategy):  # type: ignore[misc]
        def init(self) -> None:
            self.fast, self.slow = (self.I(mean, self.data.Close, n) for n in (FAST, SLOW))

        def next(self) -> None:
            if self.fast[-1] > self.slow[-1] and self.fast[-2] <= self.slow[-2]:
                self.buy(size=1)
            elif self.fast[-1] < self.slow[-1] and self.fast[-2] >= self.slow[-2]:
                self.position.close()

    return Backtest(frame(candles), Cross, cash=CASH, commission=FEE).run


def backtrader(candles: Sequence[Candle]) -> Callable[[], Any]:
    """Return the run of backtrader as it comes: indicators over the whole data first, then bar by bar."""
    import backtrader as bt

    data = frame(candles)

    class Cross(bt.Strategy):  # type: ignore[misc]
        def __init__(self) -> None:
            fast, slow = (bt.indicators.SMA(self.data.close, period=n) for n in (FAST, SLOW))
            self.cross = bt.indicators.CrossOver(fast, slow)

        def next(self) -> None:
            if self.cross[0] > 0:
                self.buy(size=1)
            elif self.cross[0] < 0 and self.position:
                self.close()

    def run() -> Any:
        cerebro = bt.Cerebro(stdstats=False)
        cerebro.adddata(bt.feeds.PandasData(dataname=data))
        cerebro.addstrategy(Cross)
        cerebro.broker.setcash(CASH)
        cerebro.broker.setcommission(commission=FEE)
        return cerebro.run()

    return run


def nautilus(candles: Sequence[Candle]) -> Callable[[], Any]:
    """Return the run of nautilus_trader; bars are made and sorted before it."""
    from nautilus_trader.backtest.engine import BacktestEngine, BacktestEngineConfig
    from nautilus_trader.config import LoggingConfig
    from nautilus_trader.indicators import SimpleMovingAverage
    from nautilus_trader.model.currencies import USDT
    from nautilus_trader.model.data import Bar, BarType
    from nautilus_trader.model.enums import AccountType, OmsType, OrderSide
    from nautilus_trader.model.identifiers import Venue
    from nautilus_trader.model.objects import Money, Price, Quantity
    from nautilus_trader.test_kit.providers import TestInstrumentProvider
    from nautilus_trader.trading.strategy import Strategy

    instrument = TestInstrumentProvider.btcusdt_binance()
    kind = BarType.from_str(f"{instrument.id}-1-MINUTE-LAST-EXTERNAL")

    class Cross(Strategy):  # type: ignore[misc]
        def on_start(self) -> None:
            self.fast, self.slow = SimpleMovingAverage(FAST), SimpleMovingAverage(SLOW)
            self.above: deque[float] = deque(maxlen=2)
            self.register_indicator_for_bars(kind, self.fast)
            self.register_indicator_for_bars(kind, self.slow)
            self.subscribe_bars(kind)

        def on_bar(self, bar: Any) -> None:
            if not self.slow.initialized:
                return
            self.above.append(self.fast.value - self.slow.value)
            before, now = self.above[0], self.above[-1]
            if now > 0 and before <= 0:
                self.trade(OrderSide.BUY)
            elif now < 0 <= before and self.portfolio.is_net_long(instrument.id):
                self.trade(OrderSide.SELL)

        def trade(self, side: Any) -> None:
            self.submit_order(self.order_factory.market(instrument.id, side, instrument.make_qty(1)))

    def bar(candle: Candle) -> Any:
        prices = [Price(value, instrument.price_precision) for value in candle[4:8]]
        volume = Quantity(candle.volume.quantize(Decimal("1E-6")), instrument.size_precision)
        return Bar(kind, *prices, volume, candle.close_time_ms * 10**6, candle.close_time_ms * 10**6)

    engine = BacktestEngine(BacktestEngineConfig(logging=LoggingConfig(bypass_logging=True)))
    engine.add_venue(Venue("BINANCE"), OmsType.NETTING, AccountType.CASH, [Money(CASH, USDT)])
    engine.add_instrument(instrument)
    engine.add_data([bar(candle) for candle in candles])
    engine.add_strategy(Cross())

    def run() -> Any:
        engine.reset()
        return engine.run()

    return run
