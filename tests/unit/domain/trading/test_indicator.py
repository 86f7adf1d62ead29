"""Incremental indicators against their plain definitions."""

from __future__ import annotations

from decimal import Decimal
from fractions import Fraction

from hypothesis import given
from hypothesis import strategies as st

from app.domain.trading.indicator import Ema, Rsi, Sma, rolling_max, rolling_min

PRICES = st.lists(st.decimals("0.01", "99999", places=2), min_size=1, max_size=60)


@given(PRICES, st.integers(1, 20))
def test_the_simple_average_is_the_mean_of_the_last_n(values: list[Decimal], n: int) -> None:
    sma = Sma(n)
    for count, value in enumerate(values, 1):
        sma.add(value)
        assert sma.ready == (count >= n)
        assert not sma.ready or sma.value == sum(values[count - n : count]) / n


@given(PRICES, st.integers(1, 20))
def test_the_extremes_are_those_of_the_last_n(values: list[Decimal], n: int) -> None:
    highest, lowest = rolling_max(n), rolling_min(n)
    for count, value in enumerate(values, 1):
        highest.add(value)
        lowest.add(value)
        window = values[max(0, count - n) : count]
        assert (highest.value, lowest.value) == (max(window), min(window))
        assert highest.ready == lowest.ready == (count >= n)


def test_the_exponential_average_begins_with_the_first_value() -> None:
    ema = Ema(3)
    seen = []
    for value in (2, 4, 8):
        ema.add(Decimal(value))
        seen.append((ema.value, ema.ready))
    assert seen == [(2, False), (3, False), (Decimal("5.5"), True)]


def test_wilders_index_begins_with_plain_means() -> None:
    rsi = Rsi(2)
    seen = []
    for value in (10, 13, 12, 12, 15):
        rsi.add(Decimal(value))
        seen.append((rsi.ready, rsi.gain, rsi.loss))
    assert seen[2:] == [
        (True, Decimal("1.5"), Decimal("0.5")),
        (True, Decimal("0.75"), Decimal("0.25")),
        (True, Decimal("1.875"), Decimal("0.125")),
    ]
    assert not seen[1][0]
    assert rsi.value == Decimal("93.75")
    assert rsi.above(Decimal("93.7"))
    assert not rsi.above(Decimal("93.75"))
    assert rsi.below(Decimal("93.8"))


def test_an_index_without_any_change_is_neither_low_nor_high() -> None:
    rsi = Rsi(2)
    for _ in range(5):
        rsi.add(Decimal(7))
    assert rsi.ready
    assert rsi.value == 50
    assert not rsi.below(Decimal(100))
    assert not rsi.above(Decimal(0))


@given(st.lists(st.integers(-9, 9), min_size=2, max_size=60), st.integers(1, 30), st.integers(0, 20))
def test_the_index_is_compared_as_if_it_were_exact(steps: list[int], n: int, twentieth: int) -> None:
    level, value = Decimal(5 * twentieth), Decimal(1000)
    rsi, gain, loss = Rsi(n), Fraction(0), Fraction(0)
    rsi.add(value)
    for count, step in enumerate(steps, 1):
        value += step
        rsi.add(value)
        factor = Fraction(min(count, n) - 1, min(count, n))
        gain = gain * factor + Fraction(max(step, 0), min(count, n))
        loss = loss * factor + Fraction(max(-step, 0), min(count, n))
        difference = 100 * gain - 5 * twentieth * (gain + loss)
        assert not rsi.ready or (rsi.below(level), rsi.above(level)) == (difference < 0, difference > 0)


@given(st.integers(2, 30), st.integers(1, 99), st.integers(1, 400))
def test_an_index_exactly_at_its_bound_is_neither_below_nor_above(n: int, level: int, scale: int) -> None:
    rsi = Rsi(n)
    for value in (0, level * scale, level * scale - (100 - level) * scale, *[(2 * level - 100) * scale] * n):
        rsi.add(100 * Decimal(scale) + value)
    assert rsi.ready
    assert not rsi.below(Decimal(level))
    assert not rsi.above(Decimal(level))
