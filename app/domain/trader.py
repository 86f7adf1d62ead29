"""The import path of `Trader` that strategies used before `zeon`; new code imports from `zeon`."""

from app.domain.trading.strategy_runner import OpenOrder
from app.domain.trading.strategy_runner import StrategyRunner as Trader

__all__ = ["OpenOrder", "Trader"]
