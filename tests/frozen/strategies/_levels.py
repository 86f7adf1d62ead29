"""A module beside the strategies: its text is part of the hash of every strategy that imports it."""

from __future__ import annotations

from collections import deque
from decimal import Decimal


class Levels:
    """The highest high and the lowest low of the last `count` candles."""

    def __init__(self, count: int) -> None:
        self.highs: deque[Decimal] = deque(maxlen=count)
        self.lows: deque[Decimal] = deque(maxlen=count)

    def add(self, high: Decimal, low: Decimal) -> None:
        self.highs.append(high)
        self.lows.append(low)

    @property
    def full(self) -> bool:
        return len(self.highs) == self.highs.maxlen
