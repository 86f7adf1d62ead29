"""Dumps as data.binance.vision publishes them: zips of CSV with a checksum beside them, single or in a folder."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path
from typing import BinaryIO

from app.domain.market.symbol import SEPARATORS
from app.errors import BadInputError

_IGNORED = (".checksum", ".md", ".py", ".sha256", ".log")
_PIECE = 2**20


def verify(path: Path, file: BinaryIO) -> None:
    """Compare a file with the SHA-256 in `<name>.CHECKSUM` beside it, where there is one; raises `BadInputError`."""
    told = path.with_name(f"{path.name}.CHECKSUM")
    if not told.is_file():
        return
    wanted = told.read_text(errors="replace").split()[:1]
    found = hashlib.sha256()
    while piece := file.read(_PIECE):
        found.update(piece)
    file.seek(0)
    if wanted != [found.hexdigest()]:
        raise BadInputError(f"file: {path.name} differs from its checksum; download it again")


def files(path: Path, symbol: str, timeframe: str) -> list[Path]:
    """List the files at `path` with candles of a symbol and timeframe, by name.

    A file is itself. Of a folder, those are taken whose names begin with the symbol and name the timeframe; in a
    folder named like the symbol, all. Raises `BadInputError` when there is none.
    """
    if not path.is_dir():
        return [path]
    inside = [each for each in sorted(path.iterdir()) if each.is_file() and _may_hold_candles(each)]
    named = [each for each in inside if _names(each.name, symbol, timeframe)]
    if not named and _spelled(path.name) == symbol:
        named = inside
    if not named:
        raise BadInputError(f"symbol: there is no file named {symbol} and {timeframe}")
    return named


def _may_hold_candles(path: Path) -> bool:
    return not path.name.startswith(".") and not path.name.lower().endswith(_IGNORED)


def _names(name: str, symbol: str, timeframe: str) -> bool:
    """Whether a file name such as `BTC_USDT-1h.feather` or `BTCUSDT-1h-2024-01.zip` is of this symbol and timeframe."""
    found = re.search(rf"(?<![0-9A-Za-z]){timeframe}(?![0-9A-Za-z])", name)
    return found is not None and _spelled(name[: found.start()]) == symbol


def _spelled(name: str) -> str:
    return name.upper().translate(SEPARATORS).strip(" .")
