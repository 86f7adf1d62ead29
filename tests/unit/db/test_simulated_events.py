"""Whether a computed event equals the one in the log, whose payload Postgres has formatted differently."""

from __future__ import annotations

import pytest

from app.db.log.simulated_events import line_equals
from app.domain.event import Event


@pytest.mark.parametrize(
    ("type_", "logged", "computed"),
    [
        ("signal", '{"a": "x, y", "b": {"c": 1.5}}', '{"b":{"c":1.50},"a":"x, y"}'),
        ("candle", '{"candle": {"low": 1, "high": 2}}', '{"candle":{"low":1,"high":2}}'),
        ("candle", '{"candle": {"low": 1, "high": 2}}', '{"candle":{"high":2.0,"low":1}}'),
        ("log", '{"message": "\\u00e9"}', '{"message":"é"}'),
        ("plot", '{"value": 12345678901234567890.123456789}', '{"value":12345678901234567890.123456789}'),
    ],
)
def test_order_space_and_spelling_make_no_difference(type_: str, logged: str, computed: str) -> None:
    assert line_equals(f"5 {type_} {logged}", Event(5, type_, computed))


@pytest.mark.parametrize(
    ("type_", "logged", "computed"),
    [
        ("signal", '{"a": true}', '{"a":1}'),
        ("signal", '{"a": false}', '{"a":0}'),
        ("signal", '{"a": "1"}', '{"a":1}'),
        ("signal", '{"a": null}', "{}"),
        ("plot", '{"a": 1}', '{"a":"1"}'),
        ("plot", '{"a": 1}', '{"a":"\\u00001"}'),
        ("equity", '{"equity": 1.1}', '{"equity":1.10000000000000000001}'),
        ("log", '{"message": "a, b"}', '{"message":"a,b"}'),
        ("plot", '{"value": 12345678901234567890.123456789}', '{"value":12345678901234567890.123456788}'),
    ],
)
def test_what_differs_is_told_apart(type_: str, logged: str, computed: str) -> None:
    assert not line_equals(f"5 {type_} {logged}", Event(5, type_, computed))


def test_time_and_type_count() -> None:
    assert not line_equals("5 log {}", Event(6, "log", "{}"))
    assert not line_equals("5 log {}", Event(5, "plot", "{}"))
    assert not line_equals("5 log more {}", Event(5, "log", "{}"))
    assert not line_equals("5 log", Event(5, "log", "{}"))
