"""The import path of `Candle` that strategies used before `zeon`; new code imports from `zeon`."""

from app.domain.market.candle import Candle, Gap

__all__ = ["Candle", "Gap"]
