"""Payloads as they stand in the log."""

from __future__ import annotations

import json
from decimal import Decimal
from enum import Enum

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.domain import candle_event, event
from app.domain.event import render
from app.domain.market.candle import Candle
from app.errors import BadInputError

amounts = st.decimals(0, 10**7, places=8) | st.integers(0, 10**6).map(Decimal) | st.just(Decimal("1E+3"))


@given(st.lists(amounts, min_size=5, max_size=5), st.booleans())
def test_a_candle_is_canonical_however_its_numbers_are_spelled(values: list[Decimal], synthetic: bool) -> None:
    encoded = candle_event.encode(5, Candle("BTC", "1m", 0, 60_000, *values, synthetic))
    names = ("open", "high", "low", "close", "volume")
    wanted = {"openTimeMs": 0, "closeTimeMs": 60_000} | dict(zip(names, values, strict=True))
    assert encoded.payload == {"symbol": "BTC", "timeframe": "1m", "candle": wanted} | (
        {"synthetic": True} if synthetic else {}
    )
    assert render(encoded.payload) == encoded.body
    assert (encoded.ts, encoded.type) == (5, "candle")


def test_text_is_stored_as_it_is_and_escaped_as_json_asks() -> None:
    message = 'a "quoted" line\nwith \\ and é and \x01'
    assert json.loads(event.log(0, message).body) == {"message": message}


@pytest.mark.parametrize("message", ["\0", "\ud800", "x" * 70_000])
def test_text_the_log_does_not_take_is_refused(message: str) -> None:
    with pytest.raises(BadInputError):
        event.log(0, message)


def test_indicators_and_points_have_ten_significant_digits() -> None:
    signal = event.signal(0, "BTC", "LONG", "r", {"a": Decimal(2) / 3, "b": 1e-12, "c": 12345678901.5})
    assert signal.body.endswith('"indicators":{"a":0.6666666667,"b":0.000000000001,"c":12345678900}}')
    assert event.plot(0, "x", 0.1).body == '{"name":"x","value":0.1}'


@pytest.mark.parametrize("value", [float("nan"), float("inf"), Decimal("NaN")])
def test_numbers_that_are_not_finite_are_refused(value: float) -> None:
    with pytest.raises(ValueError, match="not a finite number"):
        event.plot(0, "x", value)


def test_a_signal_spells_the_members_of_a_text_enum_by_their_values() -> None:
    class Way(str, Enum):  # noqa: UP042 - a StrEnum formats as its value, this one does not
        UP = "LONG"

    assert event.signal(1, "BTC", Way.UP, "why", {}).payload["direction"] == "LONG"


@pytest.mark.parametrize(
    ("indicators", "reason", "error"),
    [
        ({"a": float("inf")}, "why", "inf is not a finite number"),
        ({"a": Decimal("1E+2000")}, "why", "a number is out of range"),
        ({"a\0": 1}, "why", "NUL characters"),
        ({"a": 1}, "\0", "NUL characters"),
        ({"a": 1}, "\ud800", "lone surrogates"),
        ({"a": 1}, "é" * 40_000, "80068 bytes, at most 65536"),
    ],
)
def test_a_signal_the_log_cannot_store_is_refused(indicators: dict, reason: str, error: str) -> None:
    with pytest.raises((ValueError, BadInputError), match=error):
        event.signal(1, "BTC", "LONG", reason, indicators)
