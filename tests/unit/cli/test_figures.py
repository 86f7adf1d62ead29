"""Numbers as people read them."""

from __future__ import annotations

from decimal import Decimal

import pytest

from app.cli.report import figures


@pytest.mark.parametrize(
    ("name", "value", "text"),
    [
        ("equity", Decimal("1234567.891"), "1,234,567.89"),
        ("net_profit", Decimal("-0.5"), "-0.50"),
        ("fees", Decimal("0.00001234567"), "0.00001235"),
        ("fees", Decimal(0), "0.00"),
        ("sharpe", Decimal("-0.0069"), "-0.01"),
        ("return_pct", Decimal("12.345"), "12.34 %"),
        ("trades", 12345, "12,345"),
        ("max_drawdown_ms", 90_000_000, "1 day, 1:00:00"),
        ("to_ms", 1_704_067_200_000, "2024-01-01 00:00:00Z"),
        ("sortino", None, "-"),
    ],
)
def test_a_figure_is_short(name: str, value: object, text: str) -> None:
    assert figures.figure(name, value) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("42261.02", "42,261.02"),
        ("0.0000012345678912", "0.0000012345679"),
        ("100", "100"),
        ("1234.56789012", "1,234.5679"),
    ],
)
def test_a_price_has_its_digits_up_to_eight(value: str, text: str) -> None:
    assert figures.number(Decimal(value)) == text
