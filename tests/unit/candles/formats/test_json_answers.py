"""Answers of exchanges and vendors in their documented form, invented numbers: each has the same two candles."""

import json
from contextlib import suppress
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from app.candles.imports.importer import FileReader
from app.candles.rows.quality import RowValidator
from app.candles.rows.read_options import read_options
from app.candles.rows.request import ReadRequest
from app.domain.market.timeframe import TIMEFRAMES
from app.errors import BadInputError

S = 1_704_067_200
MS = S * 1_000
ONE, TWO = ("10", "12", "9", "11", "5"), ("11", "14", "10.5", "13.25", "6")
ROWS = ((S, *ONE), (S + 60, *TWO))
ISO = ("2024-01-01T00:00:00Z", "2024-01-01T00:01:00Z")


def arrays(order: str, unit: int = 1_000, text: bool = True, *more: object) -> list[list[Any]]:
    """Spell the rows as arrays, `order` naming the columns by their letters."""
    rows = []
    for time, *values in ROWS:
        named = dict(zip("ohlcv", values, strict=True))
        cells = [time * unit if letter == "t" else named[letter] if text else float(named[letter]) for letter in order]
        rows.append([*cells, *more])
    return rows


def objects(*names: str, unit: int = 1_000, **more: object) -> list[dict[str, Any]]:
    """Spell the rows as objects, `names` naming time, open, high, low, close and volume."""
    return [dict(zip(names, (time * unit, *values), strict=True)) | more for time, *values in ROWS]


def dated(*names: str, **more: object) -> list[dict[str, Any]]:
    return [row | {names[0]: time} for row, time in zip(objects(*names, **more), ISO, strict=True)]


def columns(*names: str, unit: int = 1) -> dict[str, list[Any]]:
    columns = list(zip(*ROWS, strict=True))
    return {
        name: [value * unit for value in column] if name == names[0] else list(map(float, column))
        for name, column in zip(names, columns, strict=True)
    }


BINANCE = [[t * 1_000, o, h, low, c, v, t * 1_000 + 59_999, "50", 3, "1", "2", "0"] for t, o, h, low, c, v in ROWS]
POLONIEX = [
    [low, h, o, c, "50", v, "1", "2", 3, (t + 59) * 1_000, "10.1", "MINUTE_1", t * 1_000, t * 1_000 + 59_999]
    for t, o, h, low, c, v in ROWS
]
OANDA = [
    {
        "complete": True,
        "volume": int(v),
        "time": f"2024-01-01T00:0{n}:00.000000000Z",
        "mid": {"o": o, "h": h, "l": low, "c": c},
    }
    for n, (_, o, h, low, c, v) in enumerate(ROWS)
]
IG = [
    {
        "snapshotTimeUTC": f"2024-01-01T00:0{n}:00",
        "openPrice": {"bid": float(o), "ask": 99},
        "closePrice": {"bid": float(c), "ask": 99},
        "highPrice": {"bid": float(h), "ask": 99},
        "lowPrice": {"bid": float(low), "ask": 99},
        "lastTradedVolume": int(v),
    }
    for n, (_, o, h, low, c, v) in enumerate(ROWS)
]
YAHOO = columns("timestamp", "open", "high", "low", "close", "volume")
VANTAGE = {
    f"2024-01-01 00:0{n}:00": {"1. open": o, "2. high": h, "3. low": low, "4. close": c, "5. volume": v}
    for n, (_, o, h, low, c, v) in enumerate(ROWS)
}
BARS = objects("t", "o", "h", "l", "c", "v")

ANSWERS: dict[str, Any] = {
    "ccxt": arrays("tohlcv", 1_000, False),
    "binance": BINANCE,
    "mexc": [row[:8] for row in BINANCE],
    "bybit": {"retCode": 0, "result": {"symbol": "BTCUSDT", "list": arrays("tohlcv", 1_000, True, "50")[::-1]}},
    "okx": {"code": "0", "data": arrays("tohlcv", 1_000, True, "0", "0", "1")[::-1]},
    "bitget": {"code": "00000", "data": arrays("tohlcv", 1_000, True, "50", "50")},
    "kraken": {
        "error": [],
        "result": {"XXBTZUSD": [[t, o, h, low, c, "10.9", v, 3] for t, o, h, low, c, v in ROWS], "last": S + 60},
    },
    "kraken-futures": {"candles": objects("time", "open", "high", "low", "close", "volume"), "more_candles": False},
    "coinbase-exchange": arrays("tlhocv", 1, False)[::-1],
    "coinbase-advanced": {"candles": objects("start", "open", "high", "low", "close", "volume", unit=1)},
    "bitfinex": arrays("tochlv", 1_000, False)[::-1],
    "kucoin": {"code": "200000", "data": [[str(row[0]), *row[1:], "50"] for row in arrays("tochlv", 1)][::-1]},
    "htx": {
        "ch": "market.btcusdt.kline.1min",
        "status": "ok",
        "ts": MS,
        "data": objects("id", "open", "high", "low", "close", "amount", unit=1, vol=1100, count=3)[::-1],
    },
    "gate": [[str(t), "50.5", c, h, low, o, v, "true"] for t, o, h, low, c, v in ROWS],
    "gate-futures": objects("t", "o", "h", "l", "c", "v", unit=1, sum="55"),
    "bitstamp": {
        "data": {"ohlc": objects("timestamp", "open", "high", "low", "close", "volume", unit=1), "pair": "BTC/USD"}
    },
    "bitmex": [
        row | {"symbol": "XBTUSD", "volume": 1000, "trades": 3, "homeNotional": row["homeNotional"]}
        for row in [
            dict(
                zip(
                    ("timestamp", "open", "high", "low", "close", "homeNotional"),
                    (f"2024-01-01T00:0{n + 1}:00.000Z", *values),
                    strict=True,
                )
            )
            for n, (_, *values) in enumerate(ROWS)
        ]
    ],
    "deribit": {
        "jsonrpc": "2.0",
        "result": {
            "status": "ok",
            **columns("ticks", "open", "high", "low", "close", "volume", unit=1_000),
            "cost": [1, 2],
        },
    },
    "gemini": arrays("tohlcv", 1_000, False)[::-1],
    "crypto.com": {"code": 0, "result": {"interval": "1m", "data": objects("t", "o", "h", "l", "c", "v")}},
    "hyperliquid": objects("t", "o", "h", "l", "c", "v", T=MS + 59_999, s="BTC", i="1m", n=3),
    "dydx": {
        "candles": dated(
            "startedAt", "open", "high", "low", "close", "baseTokenVolume", usdVolume="50", trades=3, resolution="1MIN"
        )[::-1]
    },
    "upbit": [
        row | {"timestamp": MS + 59_123, "candle_acc_trade_price": 50.5, "unit": 1, "market": "KRW-BTC"}
        for row in [
            r | {"candle_date_time_utc": r["candle_date_time_utc"][:-1]}
            for r in dated(
                "candle_date_time_utc",
                "opening_price",
                "high_price",
                "low_price",
                "trade_price",
                "candle_acc_trade_volume",
            )
        ]
    ],
    "bithumb": {"status": "0000", "data": arrays("tochlv")},
    "whitebit": {"result": arrays("tochlv", 1, True, "50")},
    "poloniex-v3-with-columns": POLONIEX,
    "cryptocompare": {
        "Data": {
            "Aggregated": False,
            "Data": objects(
                "time", "open", "high", "low", "close", "volumefrom", unit=1, volumeto=50.5, conversionType="direct"
            ),
        }
    },
    "coinapi": dated(
        "time_period_start",
        "price_open",
        "price_high",
        "price_low",
        "price_close",
        "volume_traded",
        time_period_end="2024-01-01T00:09:00Z",
        trades_count=3,
    ),
    "ascendex": {
        "code": 0,
        "data": [
            {"m": "bar", "s": "BTC/USDT", "data": row | {"i": "1"}} for row in objects("ts", "o", "h", "l", "c", "v")
        ],
    },
    "polygon": {"ticker": "ACME", "results": [row | {"vw": 10.2, "n": 3} for row in BARS], "status": "OK"},
    "alpaca": {
        "bars": {"ACME": [row | {"n": 3, "vw": 10.2} for row in dated("t", "o", "h", "l", "c", "v")]},
        "next_page_token": None,
    },
    "yahoo-chart": {
        "chart": {
            "result": [
                {
                    "meta": {"symbol": "ACME"},
                    "timestamp": YAHOO["timestamp"],
                    "indicators": {
                        "quote": [{name: YAHOO[name] for name in ("open", "high", "low", "close", "volume")}]
                    },
                }
            ]
        }
    },
    "alpha-vantage": {"Meta Data": {"2. Symbol": "ACME"}, "Time Series (1min)": dict(reversed(VANTAGE.items()))},
    "twelve-data": {
        "meta": {"symbol": "ACME"},
        "values": [
            row | {"datetime": row["datetime"].rstrip("Z").replace("T", " ")}
            for row in dated("datetime", "open", "high", "low", "close", "volume")
        ][::-1],
        "status": "ok",
    },
    "finnhub": {"s": "ok", **columns("t", "o", "h", "l", "c", "v")},
    "tiingo": [
        row | {"adjClose": 5.5, "adjOpen": 5} for row in dated("date", "open", "high", "low", "close", "volume")
    ],
    "fmp": {
        "symbol": "ACME",
        "historical": [
            row | {"label": "January 01, 24", "change": 1}
            for row in dated("date", "open", "high", "low", "close", "volume")
        ],
    },
    "eodhd": objects("timestamp", "open", "high", "low", "close", "volume", unit=1, gmtoffset=0),
    "marketstack": {
        "data": [
            row | {"symbol": "ACME", "adj_close": None}
            for row in dated("date", "open", "high", "low", "close", "volume")
        ]
    },
    "schwab": {
        "symbol": "ACME",
        "empty": False,
        "candles": objects("datetime", "open", "high", "low", "close", "volume"),
    },
    "tradier": {
        "series": {
            "data": [
                row | {"time": "2024-01-01T00:00:00", "price": 10.5, "vwap": 10.6}
                for row in objects("timestamp", "open", "high", "low", "close", "volume", unit=1)
            ]
        }
    },
    "oanda": {"instrument": "EUR_USD", "granularity": "M1", "candles": OANDA},
    "ig": {"prices": IG, "instrumentType": "CURRENCIES"},
    "moex": {
        "candles": {
            "metadata": {"open": {"type": "double"}},
            "columns": ["open", "close", "high", "low", "value", "volume", "begin", "end"],
            "data": [
                [
                    float(o),
                    float(c),
                    float(h),
                    float(low),
                    50,
                    int(v),
                    f"2024-01-01 00:0{n}:00",
                    f"2024-01-01 00:0{n}:59",
                ]
                for n, (_, o, h, low, c, v) in enumerate(ROWS)
            ],
        }
    },
    "nasdaq-data-link": {
        "dataset": {
            "id": 1,
            "column_names": ["Date", "Open", "High", "Low", "Close", "Volume"],
            "data": [
                [ISO[n], float(o), float(h), float(low), float(c), float(v)]
                for n, (_, o, h, low, c, v) in enumerate(ROWS)
            ],
        }
    },
    "zerodha": {
        "status": "success",
        "data": {
            "candles": [
                ["2024-01-01T05:30:00+0530", 10, 12, 9, 11, 5],
                ["2024-01-01T05:31:00+0530", 11, 14, 10.5, 13.25, 6],
            ]
        },
    },
    "dhan": columns("timestamp", "open", "high", "low", "close", "volume"),
    "pandas-records": objects("date", "open", "high", "low", "close", "volume"),
    "pandas-split": {
        "columns": ["open", "high", "low", "close", "volume"],
        "index": [MS, MS + 60_000],
        "data": [list(map(float, ONE)), list(map(float, TWO))],
    },
    "pandas-columns": {
        name: {str(t * 1_000): float(row[at]) for t, *row in ROWS}
        for at, name in enumerate(("open", "high", "low", "close", "volume"))
    },
    "pandas-index": {
        str(t * 1_000): dict(zip(("open", "high", "low", "close", "volume"), row, strict=True)) for t, *row in ROWS
    },
    "table-of-names": [["time", "open", "high", "low", "close", "volume"], *arrays("tohlcv")],
}


def read(tmp_path: Path, answer: object, **options: str) -> tuple[list[tuple[int, tuple[Decimal, ...]]], RowValidator]:
    path = tmp_path / "answer.json"
    path.write_text(answer if isinstance(answer, str) else json.dumps(answer))
    grid = TIMEFRAMES["1m"]
    request = ReadRequest("BTCUSDT", grid, read_options(**options))
    check = RowValidator("BTCUSDT", grid, request.now_ms)
    results = [
        (open_ms, tuple(map(Decimal, numbers)))
        for piece in FileReader([path], check, request).columns()
        if piece.times
        for open_ms, *numbers in zip(piece.times, *piece.numbers, strict=True)
    ]
    return sorted(results), check


BOTH = [(MS, tuple(map(Decimal, ONE))), (MS + 60_000, tuple(map(Decimal, TWO)))]


@pytest.mark.parametrize("name", [name for name in ANSWERS if not name.startswith("poloniex")])
def test_an_answer_is_read_whatever_its_form(tmp_path: Path, name: str) -> None:
    candles, check = read(tmp_path, ANSWERS[name])
    assert check.refusals == []
    assert candles == BOTH


def test_an_answer_whose_columns_cannot_be_told_is_read_when_they_are_named(tmp_path: Path) -> None:
    """Poloniex has the low first, and a time behind the prices."""
    with pytest.raises(BadInputError, match=r"^columns: .* --columns"):
        read(tmp_path, ANSWERS["poloniex-v3-with-columns"])
    named = "low,high,open,close,-,volume,-,-,-,-,-,-,time,-"
    assert read(tmp_path, ANSWERS["poloniex-v3-with-columns"], columns=named)[0] == BOTH


def test_lines_of_objects_are_rows(tmp_path: Path) -> None:
    assert read(tmp_path, "\n".join(map(json.dumps, BARS)))[0] == BOTH


def test_a_candle_that_says_it_was_still_open_is_refused(tmp_path: Path) -> None:
    answer = {"candles": [OANDA[0], OANDA[1] | {"complete": False}]}
    candles, check = read(tmp_path, answer)
    assert candles == BOTH[:1]
    assert [reason for _, reason in check.refusals] == ["the candle was still open when it was saved"]


def test_names_that_differ_in_capitals_only_are_told_apart(tmp_path: Path) -> None:
    """A stream of Binance has the number of the last trade under L, and the low under l."""
    more = {"T": 1, "s": "BTCUSDT", "i": "1m", "f": 1, "L": 2, "V": "1", "Q": "1", "n": 1, "q": "1"}
    lines = [{"e": "kline", "k": more | row | {"x": True}} for row in BARS]
    assert read(tmp_path, "\n".join(map(json.dumps, lines)))[0] == BOTH
    lines[1]["k"]["x"] = False
    assert read(tmp_path, "\n".join(map(json.dumps, lines)))[0] == BOTH[:1]


def test_lists_of_several_instruments_are_not_mixed(tmp_path: Path) -> None:
    answer = {"bars": {"ACME": dated("t", "o", "h", "l", "c", "v"), "ZETA": dated("t", "o", "h", "l", "c", "v")[:1]}}
    with pytest.raises(BadInputError, match="it holds ACME and ZETA; choose one with --only"):
        read(tmp_path, answer)
    assert read(tmp_path, answer, only="ACME")[0] == BOTH
    assert read(tmp_path, answer, only="zeta")[0] == BOTH[:1]
    with pytest.raises(BadInputError, match=r"^only: 'NONE' is not in the file"):
        read(tmp_path, answer, only="NONE")


def test_objects_of_several_instruments_are_not_mixed(tmp_path: Path) -> None:
    answer = {
        "data": [dated("date", "open", "high", "low", "close", "volume", symbol=name)[0] for name in ("ACME", "ZETA")]
    }
    with pytest.raises(BadInputError, match="it holds ACME and ZETA"):
        read(tmp_path, answer)
    assert read(tmp_path, answer, only="ZETA")[0] == BOTH[:1]


@pytest.mark.parametrize(
    "text", ["[" * 100_000, '{"a":' * 50_000, "[1,2,3", "{}", "[]", "[[]]", '{"open": 1}', "[[1,2,3,4,5]]"]
)
def test_json_without_candles_is_one_sentence_or_no_rows(tmp_path: Path, text: str) -> None:
    with suppress(BadInputError):
        assert read(tmp_path, text)[0] == []
