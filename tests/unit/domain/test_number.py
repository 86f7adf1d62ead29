"""The one spelling of numbers."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

import numpy
import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.domain.number import DecimalFloat, format_decimal, parse_decimal, ratio, round_quotient, round_significant


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("1", "1"),
        ("1.500", "1.5"),
        ("100", "100"),
        ("1E+3", "1000"),
        ("1E-7", "0.0000001"),
        ("-0", "0"),
        ("-0.00", "0"),
        ("0E-12", "0"),
        ("0E+5", "0"),
        ("-1.10", "-1.1"),
        ("10.0", "10"),
    ],
)
def test_numbers_are_spelled_plainly(value: str, text: str) -> None:
    assert format_decimal(Decimal(value)) == text


@given(st.decimals(allow_nan=False, allow_infinity=False, min_value=-(10**30), max_value=10**30, places=20))
def test_the_spelling_is_lossless_json_and_canonical(value: Decimal) -> None:
    text = format_decimal(value)
    assert Decimal(text) == value
    assert Decimal(json.loads(text, parse_float=Decimal)) == value
    assert format_decimal(Decimal(text)) == text


def test_quotients_have_ten_decimals_half_to_even_and_indicators_ten_digits() -> None:
    assert round_quotient(Decimal("0.00000000005")) == 0
    assert round_quotient(Decimal("0.00000000015")) == Decimal("2E-10")
    assert ratio(Decimal(2), Decimal(3)) == Decimal("0.6666666667")
    assert round_significant(Decimal("123456.7890123")) == Decimal("123456.7890")


def test_floats_are_read_by_their_shortest_spelling() -> None:
    assert parse_decimal(0.1) == Decimal("0.1")
    for wrong in ("x", float("inf"), None):
        with pytest.raises(ValueError, match="number"):
            parse_decimal(wrong)


@pytest.mark.parametrize(
    ("value", "number"),
    [
        (numpy.float64("0.1"), "0.1"),
        (numpy.float32("0.1"), "0.1"),
        (numpy.int64(-7), "-7"),
        (numpy.array([42439.08333333333])[-1], "42439.08333333333"),
    ],
)
def test_scalars_of_numpy_are_numbers(value: Any, number: str) -> None:
    assert parse_decimal(value) == Decimal(number)


@pytest.mark.parametrize("value", [numpy.float64("nan"), numpy.array([1.0]), numpy.datetime64(1, "s"), 1j, None, [1]])
def test_what_is_no_number_is_refused(value: Any) -> None:
    with pytest.raises(ValueError, match=r"is not a (finite )?number"):
        parse_decimal(value)


def test_a_number_keeps_the_text_it_was_written_as() -> None:
    number = DecimalFloat("0.1234567890123456789")
    assert number == 0.12345678901234568
    assert parse_decimal(number) == Decimal("0.1234567890123456789")
    assert json.dumps([number]) == "[0.12345678901234568]"
    with pytest.raises(ValueError, match="could not convert"):
        DecimalFloat("1,5")
