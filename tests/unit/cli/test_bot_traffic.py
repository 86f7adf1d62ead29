"""What a bot has been given, from what goes through the relay of `zeon run`."""

from __future__ import annotations

import pytest

from app.cli.bots.traffic import Traffic

NOW = 1_704_067_260_000


@pytest.mark.parametrize(
    ("first", "later"),
    [
        ("/x/binance/k/api/v3/klines?symbol=BTCUSDT&interval=1m", "/x/binance/k/api/v3/ticker/price"),
        ("/x/binance/k/api/v3/depth?symbol=BTCUSDT", "/x/binance/k/api/v3/time"),
        ("/api/sim/sessions/1/events?fromSeq=1", "/api/sim/sessions/1/account"),
    ],
)
def test_an_answer_gives_the_present_candle_and_another_kind_does_not_give_the_next(first: str, later: str) -> None:
    traffic = Traffic(NOW)
    for method, status in (("POST", 200), ("GET", 400)):
        traffic.answered(method, first, status)
    assert not traffic.given
    traffic.answered("GET", first, 200)
    assert traffic.given
    traffic.present_ms += 60_000
    traffic.answered("GET", later, 200)
    assert not traffic.given


def test_a_price_gives_the_candle_only_to_a_bot_that_asks_for_no_candles() -> None:
    traffic = Traffic(NOW)
    traffic.answered("GET", "/api/v3/ticker/24hr", 200)
    assert traffic.given
    traffic.answered("GET", "/api/v3/klines", 200)
    traffic.present_ms += 60_000
    traffic.answered("GET", "/api/v3/ticker/24hr", 200)
    assert not traffic.given


@pytest.mark.parametrize(
    "message",
    [
        b'{"e":"kline","E":1704067260000,"s":"BTCUSDT","k":{}}',
        b'{"stream":"btcusdt@kline_1m","data":{"e": "kline", "E": 1704067260000}}',
        b'data: {"seq":2,"type":"candle","payload":{"candle": {"closeTimeMs": 1704067260000}}}',
    ],
)
def test_a_streamed_candle_is_noticed_wherever_the_bytes_are_cut(message: bytes) -> None:
    for cut in range(len(message)):
        traffic = Traffic(NOW)
        traffic.streamed(traffic.streamed(b"", message[:cut]), message[cut:])
        assert traffic.given
    traffic.present_ms += 1
    assert not traffic.given


def test_requests_are_recorded_without_the_bot_key() -> None:
    lines: list[str] = []
    traffic = Traffic(NOW, lines.append)
    traffic.answered("GET", "/x/binance/secret/api/v3/time", 200)
    assert lines == ["GET /x/binance/…/api/v3/time 200"]
