"""Candles as freqtrade keeps them: a Feather file per pair and timeframe, named after both.

Numbers are doubles there, which keep 15 significant digits; times are in ms, UTC.
"""

from __future__ import annotations

import importlib
from collections.abc import AsyncIterator, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any, NamedTuple

from app.candles.exports.new_file import new_file, require_absent
from app.domain.market.candle import Candle
from app.domain.market.symbol import separator_positions
from app.errors import BadInputError

QUOTES = (
    *("USDT", "USDC", "FDUSD", "TUSD", "BUSD", "USDP", "DAI", "USD", "EUR", "GBP", "JPY", "TRY", "BRL", "AUD", "CHF"),
    *("BTC", "ETH", "BNB", "XBT"),
)
"""Currencies a pair without a separator may be quoted in."""

DIGITS = 15
"""Significant digits that every double keeps."""

_NOT_IN_NAMES = str.maketrans(dict.fromkeys("/ .@$+:", "_"))
_COLUMNS = ("date", "open", "high", "low", "close", "volume")
_BATCH_ROWS = 100_000


class FreqtradeFile(NamedTuple):
    """What was written: candles in all, and numbers with more digits than a double keeps."""

    path: Path
    candles: int
    rounded: int


def pair_of(spelling: str) -> str:
    """Return how freqtrade calls a symbol, as in BTC/USDT or BTC/USDT:USDT.

    Base and quote are split at the separator, or at a known quote at the end. Raises `BadInputError` where
    neither helps.
    """
    head, colon, settle = spelling.upper().partition(":")
    positions = separator_positions(head)
    bare = "".join(char for char in head if char not in "/-_")
    if not positions:
        quotes = [quote for quote in QUOTES if bare.endswith(quote) and bare != quote]
        positions = (len(bare) - len(max(quotes, key=len)),) if quotes else ()
    if len(positions) != 1:
        raise BadInputError(f"pair: base and quote of {spelling} are not known; give --pair, as in --pair BTC/USDT")
    return f"{bare[: positions[0]]}/{bare[positions[0] :]}{colon}{settle}"


def file_name(pair: str, timeframe: str) -> Path:
    """Return where a pair's candles are in freqtrade's folder of an exchange; pairs that settle are futures."""
    name = f"{pair.translate(_NOT_IN_NAMES)}-{timeframe}"
    return Path("futures", f"{name}-futures.feather") if ":" in pair else Path(f"{name}.feather")


async def write_freqtrade(
    candles: AsyncIterator[Candle], folder: Path, pair: str, timeframe: str, *, overwrite: bool = False
) -> FreqtradeFile:
    """Write candles into freqtrade's folder of an exchange, as in `user_data/data/binance`.

    Raises `BadInputError` without pyarrow, or where the file is there already and may not be overwritten.
    """
    path = folder / file_name(pair, timeframe)
    require_absent(path, overwrite=overwrite)
    pa = _pyarrow("pyarrow")
    schema = pa.schema([("date", pa.timestamp("ms", "UTC")), *((name, pa.float64()) for name in _COLUMNS[1:])])
    count = rounded = 0
    with new_file(path) as part, _pyarrow("pyarrow.ipc").new_file(part, schema, options=_options(pa)) as writer:
        async for rows in _batches(candles):
            writer.write(pa.record_batch(_columns(rows), schema=schema))
            count += len(rows)
            rounded += sum(map(_is_rounded, (value for row in rows for value in row[4:9])))
    return FreqtradeFile(path, count, rounded)


async def _batches(candles: AsyncIterator[Candle]) -> AsyncIterator[list[Candle]]:
    rows: list[Candle] = []
    async for candle in candles:
        rows.append(candle)
        if len(rows) == _BATCH_ROWS:
            yield rows
            rows = []
    if rows:
        yield rows


def _columns(rows: Sequence[Candle]) -> list[list[int] | list[float]]:
    numbers = zip(*(row[4:9] for row in rows), strict=True)
    return [[row.open_time_ms for row in rows], *(list(map(float, column)) for column in numbers)]


def _is_rounded(value: Decimal) -> bool:
    return len(value.as_tuple().digits) > DIGITS and len(value.normalize().as_tuple().digits) > DIGITS


def _options(pa: Any) -> Any:
    return _pyarrow("pyarrow.ipc").IpcWriteOptions(compression=pa.Codec("lz4", compression_level=9))


def _pyarrow(name: str) -> Any:
    try:
        return importlib.import_module(name)
    except ImportError:
        raise BadInputError("layout: freqtrade's files need pyarrow: pip install 'zeon-sim[data]'") from None
