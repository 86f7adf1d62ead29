"""Dumps in the format of data.binance.vision: zips of CSV with a checksum file next to them, single or in a folder."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import BinaryIO
from unicodedata import normalize

from app.candles.formats.unpack import may_hold_candles
from app.domain.market.symbol import SEPARATORS
from app.domain.market.timeframe import TIMEFRAMES
from app.errors import BadInputError

_PIECE = 2**20
_NAMED = re.compile(
    r"(?<![0-9A-Za-z])([0-9]{1,2}) ?(m|min|minutes?|h|hours?|d|days?|w|weeks?)(?![0-9A-Za-z])", re.IGNORECASE
)
_TERMINAL = re.compile(r"(?<![A-Za-z])([MHDW])([0-9]{1,2})(?![0-9A-Za-z])")
_MINUTES = re.compile(r"(?<=[A-Za-z]{5})_?([0-9]{1,5})$")
_QUOTES = ("USDT", "USDC", "USD", "BUSD", "FDUSD", "BTC", "ETH", "EUR", "GBP", "JPY", "TRY", "BNB", "PERP")
_WORDS = {"minute": "1m", "minutely": "1m", "hourly": "1h", "hour": "1h", "daily": "1d", "weekly": "1w"}


def verify(path: Path, file: BinaryIO) -> None:
    """Compare a file with the SHA-256 in `<name>.CHECKSUM` next to it, if there is one; raises `BadInputError`."""
    checksum = path.with_name(f"{path.name}.CHECKSUM")
    if not checksum.is_file():
        return
    wanted = checksum.read_text(errors="replace").split()[:1]
    digest = hashlib.sha256()
    while piece := file.read(_PIECE):
        digest.update(piece)
    file.seek(0)
    if wanted != [digest.hexdigest()]:
        raise BadInputError(f"file: {path.name} differs from its checksum; download it again")


def files(path: Path, symbol: str, timeframe: str) -> list[Path]:
    """List the files at `path` with candles of a symbol and timeframe, by name.

    For a file it is the file itself. In a folder, the files whose names start with the symbol and contain the
    timeframe; in a folder named like the symbol, all files. Raises `BadInputError` if there is none.
    """
    if not path.is_dir():
        return [path]
    inside = {file.name: file for file in sorted(_listed(path)) if may_hold_candles(file.name) and not file.is_dir()}
    named = [name for name in inside if _names(name, symbol, timeframe)]
    named = named or [name for name in inside if _names(name, symbol, timeframe, read=_letters)]
    if not named and _letters(path.name) in (_letters(symbol), _letters(symbol.partition(":")[0])):
        named = list(inside)
    if not named:
        named = [name for name in inside if _may_be(name, symbol, timeframe)]
    if not named:
        raise BadInputError(f"symbol: there is no file named {symbol} and {timeframe}")
    return [inside[name] for name in named]


def _listed(path: Path) -> list[Path]:
    try:
        return list(path.iterdir())
    except OSError as error:
        raise BadInputError(f"file: {path} cannot be opened: {error.strerror}") from None


def members(names: Sequence[str], symbol: str | None, timeframe: str | None) -> list[str]:
    """Choose the members of an archive with candles of a symbol and timeframe, by name.

    A single member is chosen whatever its name; so are all members if their names differ only in digits and have no
    timeframe. Raises `BadInputError` with their names if none can be chosen.
    """
    if not names:
        raise BadInputError("file: there is no file of candles in the archive")
    if len(names) == 1 or symbol is None:
        return list(names)
    bases = {name: name.rpartition("/")[2] for name in names}
    chosen = [name for name in names if _names(bases[name], symbol, timeframe or "")]
    chosen = chosen or [name for name in names if _names(bases[name], symbol, timeframe or "", read=_letters)]
    chosen = chosen or [name for name in names if _may_be(bases[name], symbol, timeframe)]
    if not chosen and len({re.sub(r"[0-9\W_]", "", base.partition(".")[0]) for base in bases.values()}) == 1:
        chosen = [name for name in names if _named_timeframe(bases[name]) in (None, timeframe)]
    if not chosen:
        shown = ", ".join(list(bases.values())[:10]) + (" …" if len(bases) > 10 else "")
        raise BadInputError(
            f"symbol: no member of the archive is named {symbol} and {timeframe}: {shown}; --only names one"
        )
    return chosen


def _may_be(name: str, symbol: str, timeframe: str | None) -> bool:
    """Whether a file name starts with the symbol in any form, and has no other timeframe."""
    stem = name.partition(".")[0] if name.count(".") == 1 else name.rpartition(".")[0]
    if _normalized(stem) == symbol:
        return True
    words = re.split(r"[^0-9A-Za-z]+", _TERMINAL.sub("", _NAMED.sub("", _MINUTES.sub("", stem))))
    starts = {"".join(words[:count]).upper() for count in (1, 2, 3)} | {word.upper() for word in words if len(word) > 3}
    return symbol in starts and _named_timeframe(name) in (None, timeframe)


def _named_timeframe(name: str) -> str | None:
    """Return the timeframe in a file name such as `EURUSD_M15.csv`, `XBTUSD_60.csv` or `aapl-daily.csv`."""
    stem = name.partition(".")[0]
    if match := _NAMED.search(stem):
        return f"{int(match[1])}{match[2][0].lower()}"
    if match := _TERMINAL.search(stem):
        return f"{int(match[2])}{match[1].lower()}"
    if match := _MINUTES.search(stem):
        return next(
            (timeframe.name for timeframe in TIMEFRAMES.values() if timeframe.ms == int(match[1]) * 60_000), None
        )
    return next((_WORDS[word] for word in re.split(r"[^a-z]+", stem.lower()) if word in _WORDS), None)


def guess_series(name: str) -> tuple[str | None, str | None]:
    """Guess symbol and timeframe from the name of a file; None for a missing one."""
    stem = name.partition(".")[0]
    timeframe = _named_timeframe(name)
    if timeframe not in TIMEFRAMES:
        return None, None
    match = _NAMED.search(stem) or _TERMINAL.search(stem) or _MINUTES.search(stem)
    parts = re.split(r"[^0-9A-Za-z]+", stem[: match.start()] if match else stem)
    words = [word for word in parts if word and word.lower() not in _WORDS]
    at = len(words) - 1
    while at > 0 and words[at].upper() in _QUOTES:
        at -= 1
    symbol = "".join(words[max(at, 0) :]).upper()
    return (symbol or None), timeframe


def _names(name: str, symbol: str, timeframe: str, *, read: Callable[[str], str] | None = None) -> bool:
    """Whether a file name such as `BTC_USDT-1h.feather` or `BTCUSDT-1h-2024-01.zip` is of this symbol and timeframe.

    With `read=_letters` only letters and digits count: `BTC_USDT_USDT` names BTCUSDT:USDT, `BRK-B` names BRK.B.
    """
    read = read or _normalized
    if not timeframe:
        return False
    match = re.search(rf"(?<![0-9A-Za-z]){timeframe}(?![0-9A-Za-z])", name)
    return match is not None and read(name[: match.start()]) == read(symbol)


def _normalized(name: str) -> str:
    return name.upper().translate(SEPARATORS).strip(" .")


def _letters(name: str) -> str:
    return "".join(filter(str.isalnum, normalize("NFKC", name).upper()))
