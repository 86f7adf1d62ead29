import pytest

from app.cli.sessions import event_view
from app.db.log.events import Frames

CANDLE = (
    '{"seq":2,"ts":1704067200000,"type":"candle","payload":{"candle": {"low": 0.00000001, "high": 3, "open": 1.5,'
    ' "close": 2, "volume": 12345678901234567890.123, "openTimeMs": 1704067200000, "closeTimeMs": 1704067260000},'
    ' "symbol": "BTCUSDT", "timeframe": "1m"}}'
)


def event(type_: str, payload: str) -> str:
    return f'{{"seq":7,"ts":1704067200000,"type":"{type_}","payload":{payload}}}'


def test_events_are_taken_from_a_page_as_they_are():
    body = f"id: 2\ndata: {CANDLE}\n\nid: 3\ndata: {CANDLE}\n\n".encode()
    assert list(event_view.events(Frames(3, 2, body, "running", 3))) == [CANDLE, CANDLE]


def test_the_numbers_of_a_candle_are_exact():
    assert event_view.line(CANDLE) == (
        "     2  2024-01-01 00:00:00Z  candle  BTCUSDT 1m  open 1.5  high 3  low 0.00000001  close 2"
        "  volume 12345678901234567890.123"
    )


@pytest.mark.parametrize(
    ("type_", "payload", "what"),
    [
        ("status", '{"status":"paused","reason":"paused","by":"me"}', "status  paused: paused, by me"),
        ("status", '{"status":"failed","reason":"gaps","by":"me","error":"2 missing"}', "failed: 2 missing, by me"),
        (
            "gap",
            '{"symbol":"X","timeframe":"1m","fromMs":1704067200000,"toMs":1704067320000,"missing":2}',
            "X 1m  2024-01-01 00:00:00Z to 2024-01-01 00:02:00Z, 2 missing",
        ),
        ("note", '{"any": [1.10, {"b": null}]}', 'note    {"any": [1.10, {"b": null}]}'),
        ("control", '{"x": 1}', 'control {"x": 1}'),
    ],
)
def test_every_event_is_a_line(type_, payload, what):
    line = event_view.line(event(type_, payload))
    assert line.startswith("     7  2024-01-01 00:00:00Z  ")
    assert line.endswith(what)
