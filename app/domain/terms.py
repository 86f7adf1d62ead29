"""The import path of `Terms` that strategies used before `zeon`; new code imports from `zeon`."""

from app.domain.trading.settings import Sizing
from app.domain.trading.settings import TradingSettings as Terms

__all__ = ["Sizing", "Terms"]
