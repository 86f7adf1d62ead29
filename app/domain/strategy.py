"""The import path of `Strategy` that strategies used before `zeon`; new code imports from `zeon`."""

from app.domain.trading.strategy import Strategy

__all__ = ["Strategy"]
