"""Which column of a table is which, by the names that exchanges, vendors, terminals and libraries give them."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from typing import NamedTuple

from app.candles.rows.read_options import Stamp
from app.candles.rows.zones import is_zone
from app.domain.market.symbol import SEPARATORS
from app.errors import BadInputError

TIMES = (
    *("candledatetimeutc", "candledatetimekst"),
    *("opentimems", "opentime", "timeopen", "timestampms", "timestamp", "timems", "mts", "ts", "timeperiodstart"),
    *("unixtimestamp", "unixtime", "unix", "epoch", "start", "starttime", "startat", "startedat", "begin", "tsevent"),
    *("datetimeutc", "datetime", "dateutc", "gmttime", "timeutc", "localtime", "time", "date"),
    *("t", "barstart", "bartime", "timestart", "timestarts", "bucket", "bucketstart", "period", "dt"),
    *("snapshottimeutc", "snapshottime", "tradedate", "tradingdate", "tradetime", "businessdate", "day", "id"),
    *("datum", "datumzeit", "datumuhrzeit", "zeit", "fecha", "fechahora", "data", "dataora", "datahora", "dataehora"),
    *("horodatage", "dateheure", "czas", "日期", "时间", "日時", "日付", "날짜", "일자", "дата", "время", "датаивремя"),
)
"""Names of the time, the surest first."""

CLOSE_TIMES = ("closetime", "closetimems", "timeclose", "endtime", "timeperiodend", "end", "timeend", "barend")
"""Names of the time at which a candle closes."""

CLOCKS = (
    "time",
    "timeofday",
    "hour",
    "uhrzeit",
    "zeit",
    "hora",
    "heure",
    "ora",
    "czas",
    "время",
    "时间",
    "時刻",
    "시간",
)
"""Names of the time of day beside a date."""

DAYS = (
    "date",
    "dtyyyymmdd",
    "dateyyyymmdd",
    "yyyymmdd",
    "day",
    "datum",
    "fecha",
    "data",
    "tradedate",
    "tradingdate",
    "дата",
    "日期",
    "日付",
    "날짜",
    "일자",
)

_PRICES = {
    "open": (
        *("open", "o", "openprice", "priceopen", "opening", "openingprice", "op", "midopen", "openmid", "mido"),
        *("bidopen", "openbid", "openpricebid", "bido", "openingpricebid", "eroffnung", "eroffnungskurs", "erster"),
        *("ouverture", "ouv", "apertura", "apert", "abertura", "otwarcie", "oppning", "openingskoers", "откр"),
        *("открытие", "ценаоткрытия", "开盘", "开盘价", "開盤", "開盤價", "始値", "시가", "acilis"),
    ),
    "high": (
        *("high", "h", "highprice", "max", "pricehigh", "hi", "highest", "highestprice", "midhigh", "highmid", "midh"),
        *("bidhigh", "highbid", "highpricebid", "bidh", "hoch", "tageshoch", "hochst", "plushaut", "haut", "maximo"),
        *("massimo", "maxima", "alta", "najwyzszy", "hogst", "hoogste", "макс", "максимум", "maxprice", "最高"),
        *("最高价", "最高價", "高値", "고가", "yuksek"),
    ),
    "low": (
        *("low", "l", "lowprice", "min", "pricelow", "lo", "lowest", "lowestprice", "midlow", "lowmid", "midl"),
        *("bidlow", "lowbid", "lowpricebid", "bidl", "tief", "tagestief", "tiefst", "plusbas", "bas", "minimo"),
        *("minima", "baixa", "najnizszy", "lagst", "laagste", "мин", "минимум", "minprice", "最低", "最低价"),
        *("最低價", "安値", "저가", "dusuk"),
    ),
    "close": (
        *("close", "c", "closeprice", "closelast", "last", "priceclose", "closing", "closingprice", "cl", "lastprice"),
        *("midclose", "closemid", "midc", "bidclose", "closebid", "closepricebid", "bidc", "tradeprice", "schluss"),
        *("schlusskurs", "letzter", "zuletzt", "dernier", "cloture", "clot", "cierre", "ultimo", "fechamento"),
        *("chiusura", "zamkniecie", "stangning", "slotkoers", "slot", "закрытие", "закр", "ценазакрытия", "收盘"),
        *("收盘价", "收盤", "收盤價", "終値", "종가", "kapanis", "simdi", "price", "цена", "prix", "adjclose"),
    ),
}
_VOLUMES = (
    *(
        "volume",
        "basevolume",
        "volumebase",
        "basetokenvolume",
        "volumefrom",
        "homenotional",
        "vol",
        "v",
        "volumetraded",
    ),
    *("candleacctradevolume", "basevol", "size", "amount", "qty", "quantity", "lasttradedvolume", "volumen", "umsatz"),
    *("volumi", "wolumen", "volym", "stuck", "объем", "обьем", "объём", "成交量", "出来高", "거래량", "hacim"),
    *("tickvol", "tickvolume", "totalticks", "ticks", "tickqty", "bidvolume"),
)
_TICKS = ("tickvol", "tickvolume", "totalticks", "ticks", "tickqty")
_QUOTE = (
    "quote",
    "turnover",
    "value",
    "currency",
    "notional",
    "usd volume",
    "taker",
    "buy",
    "sell",
    "number",
    "trades",
)
_SYMBOLS = ("symbol", "ticker", "instrument", "pair", "market", "sym", "secid", "isin", "contract", "s", "тикер")
_LETTERS = str.maketrans({"ł": "l", "ø": "o", "ß": "ss", "ı": "i", "đ": "d"})


_ZONE_WORDS = re.compile(r"(?:UTC|GMT)[+-][0-9:]{1,5}|[A-Za-z]+(?:/[A-Za-z_]+)?|[+-][0-9]{2}:?[0-9]{2}", re.IGNORECASE)


class HeaderColumns(NamedTuple):
    """Where the fields stand in a row; `day` is the column of a date beside a time of day.

    `volume`, `symbol` and `ticks` (the number of ticks, beside a volume) may be absent; `time` is where no name of the
    header says it. `stamp` is the end of a candle that the name of its time says, `price` the kind of its prices.
    """

    time: int | None
    open: int
    high: int
    low: int
    close: int
    volume: int | None
    day: int | None = None
    symbol: int | None = None
    ticks: int | None = None
    stamp: Stamp | None = None
    price: str | None = None


def header_columns(cells: Sequence[str], symbol: str | None = None) -> HeaderColumns | None:
    """Find the fields by their names; None when the row is no header, `BadInputError` when a price has no column.

    Of volumes named after a currency, the one that `symbol` begins with is taken.
    """
    names = _distinct([column_name(cell) for cell in cells], cells)
    prices = [_price(names, field, known) for field, known in _PRICES.items()]
    count = sum(at is not None for at in prices)
    if count < 3 and (count == 0 or any(cell[:1].isdecimal() for cell in cells)):
        return None
    for field, at in zip(_PRICES, prices, strict=True):
        if at is None:
            raise BadInputError(f"{field}: no column of the header has that name: {', '.join(names)[:200]}")
    opened, high, low, close = (at for at in prices if at is not None)
    taken = {opened, high, low, close}
    if len(taken) < 4:
        raise BadInputError(f"file: two prices in one column of the header: {', '.join(names)[:200]}")
    time, day, stamp = _time(names, taken)
    volume = _volume(cells, names, symbol, {*taken, time, day})
    price = "bid" if names[opened] in _PRICES["open"] and "bid" in names[opened] else None
    return HeaderColumns(
        time,
        opened,
        high,
        low,
        close,
        volume,
        day,
        symbol=_index(names, _SYMBOLS),
        ticks=_index(names, _TICKS),
        stamp="close" if "homenotional" in names and stamp is None else stamp,
        price=price,
    )


def column_name(cell: str) -> str:
    """Reduce a header to its letters: `Open time (UTC)` is `opentimeutc`, `1. open` is `open`."""
    letters = unicodedata.normalize("NFKD", cell.lower().translate(_LETTERS))
    composed = unicodedata.normalize("NFC", "".join(mark for mark in letters if not unicodedata.combining(mark)))
    name = "".join(letter for letter in composed if letter.isalnum()).lstrip("0123456789")
    return "opentime" if name.startswith("opentimeu") else name


def _distinct(names: list[str], cells: Sequence[str]) -> list[str]:
    """Blank the names of cells in capitals beside which the same stands in small letters, as `L` beside `l`."""
    small = {cell for cell in cells if cell == cell.lower()}
    return [
        "" if cell not in small and cell.lower() in small else name for name, cell in zip(names, cells, strict=True)
    ]


def zone_of_header(cell: str) -> str | None:
    """Return the zone that the name of a column of times says, as in `Time (EET)` and `Gmt time`."""
    for word in _ZONE_WORDS.findall(cell):
        name = word if "/" in word else word.upper()
        if len(name) > 2 and name not in ("TIME", "DATE") and is_zone(name):
            return str(name)
    return None


def _index(names: Sequence[str], known: Sequence[str]) -> int | None:
    return next((names.index(name) for name in known if name in names), None)


def _price(names: Sequence[str], field: str, known: Sequence[str]) -> int | None:
    """Find a price by its name, or by the one name that begins or ends with it, as in `AAPL.Open` and `Open (USD)`."""
    at = _index(names, known)
    if at is not None and names[at] not in ("price", "adjclose", "last"):
        return at
    like = [index for index, name in enumerate(names) if _is_like(name, field)]
    return like[0] if len(like) == 1 else at


def _is_like(name: str, field: str) -> bool:
    other = any(word in name for word in ("time", "adj", "int", "date", "ask", "prev", "vol"))
    return not other and (name.startswith(field) or name.endswith(field))


def _time(names: Sequence[str], taken: set[int]) -> tuple[int | None, int | None, Stamp | None]:
    """Find the time, the date beside it where it is only a time of day, and the end of the candle it names."""
    free = ["" if at in taken else name for at, name in enumerate(names)]
    clock = _index(free, CLOCKS)
    day = _index(free, DAYS)
    at = _index(free, TIMES)
    if day is not None and clock is not None and day != clock and (at in (day, clock) or free[clock] == "time"):
        sure = at if at is not None and at not in (day, clock) else None
        return (clock, day, None) if sure is None else (sure, None, _opens(free[sure]))
    if at is None:
        closes = _index(free, CLOSE_TIMES)
        return closes, None, None if closes is None else "close"
    return at, None, _opens(free[at])


def _opens(name: str) -> Stamp | None:
    return "open" if "open" in name or "start" in name or "begin" in name else None


def _volume(cells: Sequence[str], names: Sequence[str], symbol: str | None, taken: set[int | None]) -> int | None:
    """Choose the volume in the base currency."""
    named = [at for at, name in enumerate(names) if at not in taken and ("volume" in name or name in _VOLUMES)]
    if symbol is not None:
        for at in named:
            currency = _currency(cells[at])
            if currency and symbol.startswith(currency) and symbol != currency:
                return at
    if {"amount", "vol", "count"} <= set(names):  # HTX: the amount is of the base, the volume of the quote currency.
        return names.index("amount")
    free = ["" if at in taken else name for at, name in enumerate(names)]
    if "homenotional" in free:
        return free.index("homenotional")
    best = _index(free, _VOLUMES)
    if best is not None:
        return best
    likely = [at for at in named if not any(word in names[at] for word in _QUOTE)]
    return likely[0] if likely else (named[0] if named else None)


def _currency(cell: str) -> str:
    """Return the currency a volume is named after, as in `Volume BTC` or `volume_(btc)`; empty without one."""
    match = re.fullmatch(r"\W*vol(?:ume)?\.?[\s_(\[-]*([A-Za-z0-9]{2,10})\W*", cell.strip(), re.IGNORECASE)
    return match[1].upper().translate(SEPARATORS) if match else ""


def named_columns(names: Sequence[str]) -> HeaderColumns:
    """Place the columns that a user named one by one; `-` is passed over."""
    at = {name: index for index, name in enumerate(names) if name != "-"}
    day = at.get("date")
    time = at.get("time", day)
    assert time is not None
    return HeaderColumns(
        time,
        at["open"],
        at["high"],
        at["low"],
        at["close"],
        at.get("volume"),
        None if time == day else day,
        symbol=at.get("symbol"),
    )
