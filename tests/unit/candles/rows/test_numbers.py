"""Numbers as people, exchanges and spreadsheets write them."""

from decimal import Decimal

import hypothesis
import pytest
from hypothesis import strategies as st

from app.candles.rows.numbers import NotANumberError, UnknownDecimalError, decimal_separator, read_number


@pytest.mark.parametrize(
    ("text", "decimal", "number"),
    [
        *(("1.5", ".", "1.5"), ("1,5", ",", "1.5"), ("1,234.5", ".", "1234.5"), ("1.234,5", ",", "1234.5")),
        *(("$103.50", ".", "103.5"), ("€ 1.234.567", ",", "1234567"), ("1 234,5", ",", "1234.5")),
        *(("1'234.50", ".", "1234.5"), ("12,34,567.8", ".", "1234567.8"), ("1 234.5", ".", "1234.5")),
        *(
            ("128.35K", ".", "128350"),
            ("1,2 Mio", ",", "1200000"),
            ("3.4B", ".", "3400000000"),
            ("0.5m", ".", "500000"),
        ),
        *(
            ("1.2345e+09", ".", "1234500000"),
            ("0E-8", ".", "0"),
            (".5", ".", "0.5"),
            ("+3", ".", "3"),
            ("(1.5)", ".", "-1.5"),
        ),
        *(("−2.5", ".", "-2.5"), ("1,085", ".", "1085"), ("1,085", ",", "1.085"), ("100 USD", ".", "100")),
    ],
)
def test_every_common_form_of_a_number_is_exact(text: str, decimal: str, number: str) -> None:
    assert read_number(text, decimal) == Decimal(number)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "x",
        "1_000",
        "１２",
        "1.2.3",
        "1,2,3",
        "104\r100",
        "0x10",
        "1e",
        "--1",
        "nan",
        "inf",
        "12 34",
        "1.5%",
        "true",
        "٣",
    ],
)
def test_what_is_no_number_is_said_so(text: str) -> None:
    with pytest.raises(NotANumberError):
        read_number(text, ".")


def test_a_comma_that_may_part_thousands_or_decimals_is_not_guessed() -> None:
    with pytest.raises(UnknownDecimalError):
        read_number("1,085", None)


@pytest.mark.parametrize(
    ("cells", "separator"),
    [
        (["1,085", "1,0855"], ","),
        (["1,085", "12,085.5"], "."),
        (["1,085", "1,085,000"], "."),
        (["1.085.000", "2"], ","),
        (["100,5", "103"], ","),
        (["1,085", "2,100"], None),
        (["1", "2"], None),
        (["66,074.6", "128.35K"], "."),
    ],
)
def test_the_decimal_separator_is_found_where_a_number_proves_it(cells: list[str], separator: str | None) -> None:
    assert decimal_separator(cells) == separator


@hypothesis.given(st.decimals(min_value="0", max_value="1e12", places=6), st.sampled_from([".", ","]))
def test_a_number_comes_back_from_both_ways_to_write_it(number: Decimal, decimal: str) -> None:
    text = f"{number:,.6f}"
    if decimal == ",":
        text = text.translate(str.maketrans(",.", ".,"))
    assert read_number(text, decimal) == number
