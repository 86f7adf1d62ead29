"""Streams of candle files, plain, gzip or zip: read as they come, capped in size and ratio, names never paths."""

from __future__ import annotations

import gzip
import io
import zipfile
import zlib
from collections.abc import Iterator
from typing import Any, Protocol, cast

from app.candles.rows import BrokenFileError

LARGEST_RATIO = 300
"""A packed file that grows to more than this many times its size (and `SMALL_BYTES`) is not read on."""
SMALL_BYTES = 64 * 2**20
LARGEST_BYTES = 32 * 2**30
MOST_MEMBERS = 10_000

_SUFFIXES = (".csv", ".txt", ".tsv", ".json")
_ERRORS = (EOFError, OSError, zlib.error, zipfile.BadZipFile, RuntimeError, NotImplementedError)


class Readable(Protocol):
    """Anything bytes can be read from, so that what comes before a break is not lost with it."""

    def read1(self, size: int, /) -> bytes:
        """Read at most `size` bytes at one go."""


def streams(file: io.BufferedReader) -> Iterator[tuple[str, io.BufferedReader]]:
    """Yield the name and bytes of each text in a file; a file that is no archive is one text without a name.

    Raises `BrokenFileError` when an archive cannot be opened; reading a stream raises it where its bytes are damaged.
    """
    start = file.read(4)
    size = file.seek(0, io.SEEK_END)
    file.seek(0)
    if start.startswith(b"PK"):
        yield from _members(file)
    elif start.startswith(b"\x1f\x8b"):
        with gzip.GzipFile(fileobj=file) as packed:
            yield "", _capped(packed, size)
    else:
        yield "", _capped(file, LARGEST_BYTES)


def _members(file: io.BufferedReader) -> Iterator[tuple[str, io.BufferedReader]]:
    try:
        with zipfile.ZipFile(file) as archive:
            members = [info for info in archive.infolist() if info.filename.lower().endswith(_SUFFIXES)]
            for info in sorted(members[:MOST_MEMBERS], key=lambda info: info.filename):
                with archive.open(info) as member:
                    yield (
                        info.filename.rpartition("/")[2],
                        _capped(cast("zipfile.ZipExtFile", member), info.compress_size),
                    )
    except _ERRORS as error:
        raise BrokenFileError(f"the archive cannot be read: {error}") from error


def _capped(stream: Readable, packed_bytes: int) -> io.BufferedReader:
    limit = min(max(packed_bytes * LARGEST_RATIO, SMALL_BYTES), LARGEST_BYTES)
    return io.BufferedReader(_Capped(stream, limit), 2**18)


class _Capped(io.RawIOBase):
    """A stream that says `BrokenFileError` where it cannot be unpacked and where it grows beyond its limit."""

    def __init__(self, stream: Readable, limit: int) -> None:
        super().__init__()
        self.stream = stream
        self.left = limit

    def readable(self) -> bool:
        """Say yes, as any stream that is only read."""
        return True

    def readinto(self, buffer: Any) -> int:
        """Read the next bytes; raises `BrokenFileError`."""
        try:
            data = self.stream.read1(len(buffer))
        except _ERRORS as error:
            raise BrokenFileError(str(error)) from error
        self.left -= len(data)
        if self.left < 0:
            raise BrokenFileError("the file unpacks to far more than candles would")
        buffer[: len(data)] = data
        return len(data)


def text(stream: io.BufferedReader | io.BytesIO) -> io.TextIOWrapper:
    """Decode a stream as UTF-8; bytes that are none become marks that no number contains."""
    return io.TextIOWrapper(stream, encoding="utf-8-sig", errors="replace", newline="")
