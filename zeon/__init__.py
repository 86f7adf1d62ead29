"""The public names of ZEON sim: clients of a server, the events of a log, the base class of strategies, `backtest`.

Each name is loaded on first use, so that a strategy needs no HTTP library and a notebook no engine.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from app.domain.market.candle import Candle as Candle
    from app.domain.trading.account import Position as Position
    from app.domain.trading.settings import BrokerConfig as BrokerConfig
    from app.domain.trading.strategy import Strategy as Strategy
    from app.domain.trading.strategy_runner import OpenOrder as OpenOrder
    from app.domain.trading.strategy_runner import StrategyRunner as StrategyRunner
    from app.web.exchange.addresses import binance_connector_config as binance_connector_config
    from app.web.exchange.addresses import ccxt_config as ccxt_config
    from app.web.exchange.addresses import freqtrade_config as freqtrade_config
    from app.web.exchange.addresses import python_binance_config as python_binance_config
    from zeon.async_client import AsyncClient as AsyncClient
    from zeon.backtesting import Backtest as Backtest
    from zeon.backtesting import BacktestFailedError as BacktestFailedError
    from zeon.backtesting import backtest as backtest
    from zeon.client import Client as Client
    from zeon.events import *  # noqa: F403 - every public name of it
    from zeon.protocol import ApiError as ApiError
    from zeon.protocol import BrokenStreamError as BrokenStreamError
    from zeon.protocol import LogShorterError as LogShorterError

_MODULES = {
    "app.domain.trading.account": "Position",
    "app.domain.market.candle": "Candle",
    "app.domain.trading.strategy": "Strategy",
    "app.domain.trading.settings": "BrokerConfig",
    "app.domain.trading.strategy_runner": "OpenOrder StrategyRunner",
    "zeon.async_client": "AsyncClient",
    "zeon.backtesting": "Backtest BacktestFailedError backtest",
    "zeon.client": "Client",
    "zeon.events": "AnyEvent CandleEvent ControlEvent EquityEvent Event FillEvent GapEvent LogEvent NoteEvent"
    " OrderEvent PlotEvent SignalEvent StatusEvent TradeEvent events_frame",
    "app.web.exchange.addresses": "binance_connector_config ccxt_config freqtrade_config python_binance_config",
    "zeon.protocol": "ApiError BrokenStreamError LogShorterError",
}
_HOMES = {name: module for module, names in _MODULES.items() for name in names.split()}

__all__ = sorted(_HOMES)


def __getattr__(name: str) -> Any:
    """Import a name from its module on first use."""
    if name not in _HOMES:
        raise AttributeError(f"module 'zeon' has no attribute {name!r}")
    value = globals()[name] = getattr(import_module(_HOMES[name]), name)
    return value


def __dir__() -> list[str]:
    """List every public name, loaded or not."""
    return __all__
