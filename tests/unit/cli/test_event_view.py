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
        (
            "trade",
            '{"qty": 0.2351103403, "fees": 19.993703401596298, "side": "LONG", "exitTs": 1704075060000,'
            ' "netPnl": -6.310281596136298, "reason": "SmaCross exit", "symbol": "BTCUSDT", "entryTs": 1704070680000,'
            ' "grossPnl": 13.6, "holdBars": 73, "exitPrice": 42548.93, "entryPrice": 42490.73}',
            "trade   long 0.23511 BTCUSDT from 42,490.73 to 42,548.93: -6.3103 after fees of 19.9937, held 1 h 13 min,"
            " SmaCross exit",
        ),
        (
            "fill",
            '{"fee": 9.990009989895419, "qty": 0.00001234567, "side": "BUY", "price": 42490.73, "symbol": "X",'
            ' "orderId": 1}',
            "bought 0.0000123457 X at 42,490.73, fee 9.99, order 1",
        ),
        (
            "order",
            '{"qty": null, "side": "SELL", "type": "stop", "stopPrice": 100, "reason": null, "status": "accepted",'
            ' "symbol": "X", "orderId": 2, "tag": null}',
            "order 2, sell X, stop, stop price 100, accepted",
        ),
        (
            "signal",
            '{"reason": "up", "symbol": "X", "direction": "LONG", "indicators": {"fast": 42444.9255}}',
            "long X: up (fast 42,444.93)",
        ),
        ("equity", '{"equity": 10000.5, "cash": 0, "drawdownPct": 1.23456}', "10,000.50, cash 0, drawdown 1.23 %"),
        ("note", '{"any": [1.10, {"b": null}]}', 'note    {"any": [1.10, {"b": null}]}'),
        ("control", '{"x": 1}', 'control {"x": 1}'),
    ],
)
def test_every_event_is_a_line(type_, payload, what):
    line = event_view.line(event(type_, payload))
    assert line.startswith("     7  2024-01-01 00:00:00Z  ")
    assert line.endswith(what)
