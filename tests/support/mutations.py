"""Candle files with damage: bytes flipped, cut and doubled, encodings and line ends changed, numbers grown."""

from __future__ import annotations

import gzip
import io
import json
import random
import zipfile
from collections.abc import Iterator, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any

from app.candles.imports.importer import FileReader
from app.candles.imports.inspection import inspect_file
from app.candles.rows.quality import RowValidator
from app.candles.rows.request import ReadRequest
from app.domain.market.timeframe import TIMEFRAMES
from app.errors import BadInputError

_PIECES = [
    *(
        b"1e999999999",
        b"1e-20000",
        b"9" * 5_000,
        b"-",
        b"nan",
        b"inf",
        b"0",
        b"1_0",
        "１".encode(),
        b"+99:99",
        b"24:00",
    ),
    *(b"\0", b"\r", b"\n", b'"', b"'", b",", b";", b"\t", b" ", b"[", b"]", b"{", b"}", b"T", b"Z", b"%"),
    *(b"\xff\xfe", b"\xef\xbb\xbf", b"\x1f\x8b", b"PK\x03\x04", b"BZh9", b"(\xb5/\xfd", b"PAR1", b"ARROW1"),
    *(b"0000-00-00", b"9999-12-31", b"0001-01-01 00:00:00+14:00", b"EST", b"CST", b"Etc/GMT+99"),
]
_ENCODINGS = ("utf-16", "utf-16-le", "utf-16-be", "utf-32", "cp1252", "utf-8-sig")
_WORDS = (
    "t",
    "o",
    "h",
    "l",
    "c",
    "v",
    "time",
    "open",
    "high",
    "low",
    "close",
    "volume",
    "data",
    "symbol",
    "columns",
    "index",
)
_VALUES = (None, True, 1704067200000, "1704067200", "x", 1.5, -1, "", 1e300, "2024-01-01", 0)
_LARGEST = Decimal(10**18)


def seeds() -> list[bytes]:
    """Return sound files of several kinds, made up."""
    minutes = [(1_704_067_200_000 + n * 60_000, 10 + n, 13 + n, 9 + n, 11 + n, 500 + n) for n in range(30)]
    header = "time,open,high,low,close,volume"
    plain = "\n".join([header, *(",".join(map(str, row)) for row in minutes)])
    dates = "\n".join(
        [header.replace(",", ";"), *(f"{day:02}.01.2024 00:00;1,5;2,5;0,5;1,75;1.234,5" for day in range(1, 28))]
    )
    offsets = "\n".join([header, *(f"2024-03-{day} 00:00:00+0{day > 30:d}:00,1,2,0.5,1.5,7" for day in range(20, 32))])
    several = "\n".join([f"symbol,{header}", *(f"A{n % 2},2024-01-{n:02},1,2,0.5,1.5,7" for n in range(1, 20))])
    objects = [dict(zip(("t", "o", "h", "l", "c", "v"), row, strict=True)) for row in minutes]
    columns = {name: [row[at] for row in minutes] for at, name in enumerate(("t", "o", "h", "l", "c", "v"))}
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("a.csv", plain)
        archive.writestr("b.csv", dates)
    texts = [
        plain,
        plain.partition("\n")[2],
        dates,
        offsets,
        several,
        json.dumps(minutes),
        json.dumps({"data": objects}),
    ]
    return [
        *(text.encode() for text in (*texts, json.dumps(columns))),
        gzip.compress(plain.encode()),
        packed.getvalue(),
    ]


def mutations(seed: int, files: Sequence[bytes]) -> Iterator[bytes]:
    """Yield damaged files without end, the same for a seed."""
    draw = random.Random(seed)
    while True:
        kind = draw.random()
        if kind < 0.85:
            data = draw.choice(files)
            for _ in range(draw.randrange(1, 6)):
                data = _damaged(data, draw)[:200_000]
            yield gzip.compress(data) if kind < 0.03 else data
        elif kind < 0.92:
            yield draw.randbytes(draw.randrange(1_000))
        else:
            yield json.dumps(_any_json(draw, 0)).encode()


def _damaged(data: bytes, draw: random.Random) -> bytes:
    at = draw.randrange(len(data) + 1)
    match draw.randrange(8):
        case 0:
            return data[:at] + draw.randbytes(1) + data[at + 1 :]
        case 1:
            return data[:at] + data[at + draw.randrange(40) :]
        case 2:
            return data[:at] + data[max(at - draw.randrange(200), 0) :]
        case 3:
            return data[:at] + draw.choice(_PIECES) + data[at:]
        case 4:
            return data[:at]
        case 5:
            return data.decode("utf-8", errors="replace").encode(draw.choice(_ENCODINGS), errors="replace")
        case 6:
            return data.replace(b"\n", draw.choice((b"\r", b"\r\n", b"\r\r\n", b"\n\n", b"")))
        case _:
            first, second = (
                draw.choice((b",", b".", b"0", b"1", b":", b"-")),
                draw.choice((b";", b"\t", b" ", b"", b"9" * 10, b"/")),
            )
            return data.replace(first, second)


def _any_json(draw: random.Random, depth: int) -> Any:
    kind = draw.random()
    if depth > 4 or kind < 0.3:
        return draw.choice(_VALUES)
    count = draw.randrange(8)
    if kind < 0.65:
        return [_any_json(draw, depth + 1) for _ in range(count)]
    return {draw.choice(_WORDS): _any_json(draw, depth + 1) for _ in range(count)}


def check_reading(path: Path, timeframe: str) -> int:
    """Read a file as an import would, and inspect it; return how many candles it gives.

    Any other end than candles that are sound, or one sentence, fails.
    """
    grid = TIMEFRAMES[timeframe]
    request = ReadRequest("BTCUSDT", grid)
    check = RowValidator("BTCUSDT", grid, request.now_ms)
    count = 0
    try:
        for piece in FileReader([path], check, request).columns():
            for time, *numbers in zip(piece.times, *piece.numbers, strict=True) if piece.times else ():
                opened, high, low, close, volume = map(Decimal, numbers)
                assert 0 < low <= min(opened, close) <= max(opened, close) <= high < _LARGEST, (time, numbers)
                assert 0 <= volume < _LARGEST
                assert time + grid.ms <= request.now_ms
                count += 1
        json.dumps(inspect_file(path).as_json())
    except BadInputError as error:
        _check_sentence(error.message)
    return count


def _check_sentence(text: str) -> None:
    assert 0 < len(text) < 2_000
