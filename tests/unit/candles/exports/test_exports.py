"""Whatever candles are exported, in every layout what is read again is equal."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import AsyncIterator, Sequence
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.candles.exports.freqtrade import DIGITS, write_freqtrade
from app.candles.exports.lean import lean_series, write_lean
from app.candles.formats.dump import files
from app.candles.imports.importer import FileReader
from app.candles.rows.quality import RowValidator
from app.candles.rows.read_options import UNSAID
from app.candles.rows.request import ReadRequest
from app.domain.market.candle import Candle
from app.domain.market.timeframe import TIMEFRAMES
from app.errors import BadInputError

START = 1_704_067_200_000  # 2024-01-01


@st.composite
def tables(draw: st.DrawFn, timeframe: str, decimals: int) -> list[Candle]:
    """Candles in any slots of some days, two of them neighbours, with prices and volumes of up to 15 digits."""
    step = TIMEFRAMES[timeframe].ms
    price = st.integers(1, 10**DIGITS - 1).map(lambda digits: Decimal(digits).scaleb(-decimals))
    size = st.integers(0, 10**DIGITS - 1).map(lambda digits: Decimal(digits).scaleb(-8))
    files = []
    slots = draw(st.sets(st.integers(0, 4_000), min_size=1, max_size=12))
    for slot in sorted(slots | {min(slots) + 1}):
        low, opened, closed, high = sorted(draw(st.lists(price, min_size=4, max_size=4)))
        first, last = (opened, closed) if draw(st.booleans()) else (closed, opened)
        open_ms = START + slot * step
        files.append(Candle("BTCUSDT", timeframe, open_ms, open_ms + step, first, high, low, last, draw(size)))
    return files


async def each(candles: Sequence[Candle]) -> AsyncIterator[Candle]:
    for candle in candles:
        yield candle


def read(path: Path, timeframe: str) -> list[tuple[int, ...]]:
    """Read the files of a folder, or one file, as an import does."""
    grid = TIMEFRAMES[timeframe]
    request = ReadRequest("BTCUSDT", grid, UNSAID)
    check = RowValidator("BTCUSDT", grid, now_ms=START + 10_000 * grid.ms)
    pieces = list(FileReader(files(path, "BTCUSDT", timeframe), check, request).columns())
    assert check.refused == 0
    return [
        (time, *map(Decimal, numbers))
        for piece in pieces
        for time, *numbers in zip(piece.times, *piece.numbers, strict=True)
    ]


def expected(candles: Sequence[Candle]) -> list[tuple[int, ...]]:
    return [(candle.open_time_ms, *candle[4:9]) for candle in candles]


@pytest.mark.parametrize("timeframe", ["1m", "15m", "1h", "1d", "1w"])
@settings(max_examples=20)
@given(data=st.data())
def test_freqtrade_s_files_come_back_equal(timeframe: str, data: st.DataObject) -> None:
    pytest.importorskip("pyarrow")
    candles = data.draw(tables(timeframe, 8))
    with tempfile.TemporaryDirectory() as folder:
        written = asyncio.run(write_freqtrade(each(candles), Path(folder), "BTC/USDT", timeframe))
        assert (written.candles, written.rounded) == (len(candles), 0)
        assert read(written.path, timeframe) == expected(candles)


@pytest.mark.parametrize(("market", "decimals"), [("crypto/binance", 8), ("cryptofuture/bybit", 8), ("equity/usa", 4)])
@pytest.mark.parametrize("timeframe", ["1m", "1h", "1d"])
@settings(max_examples=20)
@given(data=st.data())
def test_lean_s_files_come_back_equal(timeframe: str, market: str, decimals: int, data: st.DataObject) -> None:
    candles = data.draw(tables(timeframe, decimals))
    with tempfile.TemporaryDirectory() as folder:
        series = lean_series(market, "BTCUSDT", timeframe)
        written = asyncio.run(write_lean(each(candles), Path(folder), series))
        assert written.candles == len(candles)
        one_file = Path(folder) / series.path("")
        assert read(written.folder if timeframe == "1m" else one_file, timeframe) == expected(candles)


def test_an_hour_that_new_york_has_twice_is_not_written(tmp_path: Path) -> None:
    hours = [1_730_610_000_000, 1_730_613_600_000]  # 2024-11-03, 01:00 in summer time and 01:00 after it.
    candles = [Candle("SPY", "1h", time, time + 3_600_000, *[Decimal(1)] * 5) for time in hours]
    with pytest.raises(BadInputError, match=r"^output: Lean cannot tell the two 01:00 of 2024-11-03 apart$"):
        asyncio.run(write_lean(each(candles), tmp_path, lean_series("equity/usa", "SPY", "1h")))
    assert list(tmp_path.rglob("*.zip")) == []
