"""What strategies import from ZEON sim."""

from app.domain.market.candle import Candle
from app.domain.trading.strategy import Strategy

__all__ = ["Candle", "Strategy"]
