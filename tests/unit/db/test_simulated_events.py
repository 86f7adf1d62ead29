"""Whether a computed event equals the one in the log, whose payload Postgres has spelled its own way."""

from __future__ import annotations

from decimal import Decimal

import pytest

from app.db.simulated_events import EventChunk, event_lines, line_equals
from app.domain.event import Event, candle, log
from app.domain.market.candle import Candle


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


def made(open_ms: int, timeframe: str = "1m", volume: str = "0.5", *, synthetic: bool = False) -> Candle:
    return Candle(
        "BTCUSDT",
        timeframe,
        open_ms,
        open_ms + 60_000,
        Decimal("2.5"),
        Decimal(3),
        Decimal("-1.25"),
        Decimal(2),
        Decimal(volume),
        synthetic=synthetic,
    )


REAL = [made(0), made(60_000, "5m"), made(120_000, volume="0.0000000000001")]


@pytest.mark.parametrize(
    "others",
    [
        [],
        [made(180_000, synthetic=True)],
        [log(7, 'as text: 5 candle {"candle":{"low":1}}')],
        [log(7, "a candle {of another kind")],
        [made(180_000, synthetic=True), log(7, "a candle {of another kind")],
        [Event(7, "candle", '{"equity":1}'), made(180_000)],
        [Event(7, "candle", '{"candle":{"open":"abc"}}'), made(180_000)],
        [Event(7, "log candle {", "{}"), made(180_000)],
    ],
    ids=[
        "real",
        "synthetic",
        "a text like one",
        "a text that begins so",
        "synthetic and a text",
        "none",
        "no number",
        "a type",
    ],
)
def test_a_stretch_tells_its_candles_whatever_stands_beside_them(others: list[Candle | Event]) -> None:
    events = [each if isinstance(each, Event) else candle(5, each) for each in [*REAL, *others]]
    stretch = EventChunk(9, "\n".join(event_lines(events)))
    assert len(stretch.lines) == len(events)
    assert stretch.candles() == [*REAL, *(each for each in others if isinstance(each, Candle))]
