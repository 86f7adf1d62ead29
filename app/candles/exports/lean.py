"""Candles as QuantConnect Lean keeps them: CSV in zips, a folder per kind of security, market and resolution.

Minutes have a zip per day with milliseconds since midnight, hours and days one zip with `yyyymmdd hh:mm`. Times are
those of the market's zone: New York for equities, whose prices are in ten-thousandths; UTC for the rest.
"""

from __future__ import annotations

import zipfile
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta, tzinfo
from decimal import Decimal
from pathlib import Path
from typing import NamedTuple
from zoneinfo import ZoneInfo

from app.candles.exports.new_file import new_file, require_absent
from app.domain.market.candle import Candle
from app.domain.number import format_decimal
from app.errors import BadInputError

RESOLUTIONS = {"1m": "minute", "1h": "hour", "1d": "daily"}
SECURITIES = ("crypto", "cryptofuture", "equity")

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_EQUITY_DECIMALS = 4


class LeanFiles(NamedTuple):
    """What was written: the folder of the files, how many there are, and candles in all."""

    folder: Path
    files: int
    candles: int


class LeanSeries(NamedTuple):
    """One series in Lean's folder `Data`: its kind of security, market, resolution and ticker, all in lower case."""

    security: str
    market: str
    resolution: str
    ticker: str

    @property
    def zone(self) -> tzinfo:
        """The zone its times are in."""
        return ZoneInfo("America/New_York") if self.security == "equity" and self.resolution != "daily" else UTC

    def path(self, day: str) -> Path:
        """Return the zip of a day, `yyyymmdd`, or the one of all days."""
        folder = Path(self.security, self.market, self.resolution)
        if self.resolution == "minute":
            return folder / self.ticker / f"{day}_trade.zip"
        return folder / f"{self.ticker}{'' if self.security == 'equity' else '_trade'}.zip"

    def member(self, day: str) -> str:
        """Return the name of the CSV file in a zip."""
        return f"{day}_{self.ticker}_minute_trade.csv" if self.resolution == "minute" else f"{self.ticker}.csv"

    def line(self, candle: Candle, local: datetime) -> str:
        """Return a candle's row; raises `BadInputError` for prices of equities that Lean cannot hold."""
        time = local.strftime("%Y%m%d %H:%M")
        if self.resolution == "minute":
            midnight = local.replace(hour=0, minute=0, second=0, microsecond=0, tzinfo=None)
            time = str((local.replace(tzinfo=None) - midnight) // timedelta(milliseconds=1))
        prices = (candle.open, candle.high, candle.low, candle.close)
        if self.security == "equity":
            prices = tuple(map(_in_ten_thousandths, prices))  # type: ignore[assignment]
        return ",".join([time, *map(format_decimal, (*prices, candle.volume))]) + "\n"


def lean_series(market: str, symbol: str, timeframe: str) -> LeanSeries:
    """Return the series named by `SECURITY/MARKET`, as in `crypto/binance`; raises `BadInputError` for others."""
    security, slash, name = market.lower().partition("/")
    if security not in SECURITIES or not slash or not name.replace("_", "").replace("-", "").isalnum():
        raise BadInputError(
            f"market: {market[:60]!r} is not one of {', '.join(SECURITIES)} and a name, as in crypto/binance"
        )
    if timeframe not in RESOLUTIONS:
        raise BadInputError(f"timeframe: Lean has candles of {', '.join(RESOLUTIONS)} only, not {timeframe}")
    return LeanSeries(security, name, RESOLUTIONS[timeframe], symbol.partition(":")[0].lower())


async def write_lean(
    candles: AsyncIterator[Candle], folder: Path, series: LeanSeries, *, overwrite: bool = False
) -> LeanFiles:
    """Write candles into Lean's folder `Data`, a day at a time.

    Raises `BadInputError` where a file is there already and may not be overwritten; those before it stay.
    """
    files = count = 0
    day, lines = "", list[str]()
    async for candle in candles:
        local = (_EPOCH + timedelta(milliseconds=candle.open_time_ms)).astimezone(series.zone)
        if local.fold:
            raise BadInputError(f"output: Lean cannot tell the two {local:%H:%M} of {local:%Y-%m-%d} apart")
        own_day = local.strftime("%Y%m%d") if series.resolution == "minute" else ""
        if lines and own_day != day:
            _write_zip(folder / series.path(day), series.member(day), lines, overwrite=overwrite)
            files, lines = files + 1, []
        day = own_day
        lines.append(series.line(candle, local))
        count += 1
    if lines:
        _write_zip(folder / series.path(day), series.member(day), lines, overwrite=overwrite)
        files += 1
    return LeanFiles((folder / series.path(day)).parent, files, count)


def _write_zip(path: Path, member: str, lines: list[str], *, overwrite: bool) -> None:
    require_absent(path, overwrite=overwrite)
    with new_file(path) as part, zipfile.ZipFile(part, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(zipfile.ZipInfo(member), "".join(lines), zipfile.ZIP_DEFLATED)


def _in_ten_thousandths(price: Decimal) -> Decimal:
    scaled = price.scaleb(_EQUITY_DECIMALS)
    if scaled != scaled.to_integral_value():
        raise BadInputError(f"output: Lean's equities have {_EQUITY_DECIMALS} decimals, the price {price} has more")
    return scaled
