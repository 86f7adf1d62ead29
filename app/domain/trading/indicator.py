"""Incremental indicators in decimals, initialized as in the published reference; only logged values are rounded.

Each takes one value per candle in `add`; `ready` is true once it has a first value.
"""

from __future__ import annotations

from collections import deque
from decimal import Decimal

_ZERO = Decimal(0)
_HUNDRED = Decimal(100)
_NOISE = Decimal("1E-20")


def exceeds(first: Decimal, other: Decimal) -> bool:
    """Whether one positive value is greater than another by more than rounding errors.

    With 28 digits, divisions by n make equal values differ by a few units of the last digit. 1e-20 of a value is far
    more than that and far less than any price step.
    """
    return first - other > first * _NOISE


class Sma:
    """Simple moving average: the mean of the last `n` values, stored as their exact sum."""

    __slots__ = ("_values", "n", "ready", "total")

    def __init__(self, n: int) -> None:
        self.n = n
        self.total = _ZERO
        self.ready = False
        self._values: deque[Decimal] = deque(maxlen=n)

    def add(self, value: Decimal) -> None:
        """Take the next value."""
        values = self._values
        if self.ready:
            self.total += value - values[0]
            values.append(value)
        else:
            self.total += value
            values.append(value)
            self.ready = len(values) == self.n

    @property
    def value(self) -> Decimal:
        """The mean."""
        return self.total / self.n


class Ema:
    """Exponential moving average: factor 2 / (n + 1), starts with the first value, ready from the n-th."""

    __slots__ = ("_count", "_factor", "n", "ready", "value")

    def __init__(self, n: int) -> None:
        self.n = n
        self.value = _ZERO
        self.ready = False
        self._count = 0
        self._factor = Decimal(2) / (n + 1)

    def add(self, value: Decimal) -> None:
        """Take the next value."""
        self.value = self.value + self._factor * (value - self.value) if self._count else value
        self._count += 1
        self.ready = self._count >= self.n


class Rsi:
    """Wilder's relative strength index (New Concepts in Technical Trading Systems, 1978).

    The first averages are plain means of the first n gains and losses, then (old * (n - 1) + new) / n.
    Without any gain or loss the index has no value; it counts as neither low nor high.
    """

    __slots__ = ("_before", "_count", "gain", "loss", "n", "ready")

    def __init__(self, n: int) -> None:
        self.n = n
        self.gain = self.loss = _ZERO
        self.ready = False
        self._before = _ZERO
        self._count = 0

    def add(self, value: Decimal) -> None:
        """Take the next value."""
        change, self._before = value - self._before, value
        gain, loss = (change, _ZERO) if change > 0 else (_ZERO, -change)
        if self.ready:
            self.gain = (self.gain * (self.n - 1) + gain) / self.n
            self.loss = (self.loss * (self.n - 1) + loss) / self.n
        elif self._count:
            self.gain += gain
            self.loss += loss
            if self._count == self.n:
                self.gain, self.loss, self.ready = self.gain / self.n, self.loss / self.n, True
        self._count += 1

    def below(self, level: Decimal) -> bool:
        """Whether 100 * gain / (gain + loss) < level, computed without a division."""
        return exceeds(level * (self.gain + self.loss), _HUNDRED * self.gain)

    def above(self, level: Decimal) -> bool:
        """Whether 100 * gain / (gain + loss) > level, computed without a division."""
        return exceeds(_HUNDRED * self.gain, level * (self.gain + self.loss))

    @property
    def value(self) -> Decimal:
        """The index, 0 to 100; 50 without any gain or loss."""
        both = self.gain + self.loss
        return _HUNDRED * self.gain / both if both else _HUNDRED / 2


class RollingExtreme:
    """The highest or lowest of the last `n` values, see `rolling_max` and `rolling_min`; constant time per value."""

    __slots__ = ("_candidates", "_count", "_sign", "n", "ready")

    def __init__(self, n: int, sign: int) -> None:
        self.n = n
        self.ready = False
        self._sign = sign
        self._count = 0
        self._candidates: deque[tuple[int, Decimal]] = deque()

    def add(self, value: Decimal) -> None:
        """Take the next value."""
        candidates = self._candidates
        while candidates and (value - candidates[-1][1]) * self._sign >= 0:
            candidates.pop()
        candidates.append((self._count, value))
        if candidates[0][0] <= self._count - self.n:
            candidates.popleft()
        self._count += 1
        self.ready = self._count >= self.n

    @property
    def value(self) -> Decimal:
        """The highest or lowest value."""
        return self._candidates[0][1]


def rolling_max(n: int) -> RollingExtreme:
    """Return the indicator of the highest of the last `n` values."""
    return RollingExtreme(n, 1)


def rolling_min(n: int) -> RollingExtreme:
    """Return the indicator of the lowest of the last `n` values."""
    return RollingExtreme(n, -1)
