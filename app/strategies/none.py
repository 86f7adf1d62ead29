"""Profile `none`: candles only."""

from __future__ import annotations

from app.domain.trading.strategy import Strategy


class CandlesOnly(Strategy):
    """No strategy: the session replays candles only."""
