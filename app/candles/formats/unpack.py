"""Streams of candle files, plain or packed: read as they come, capped in size and ratio, names never paths."""

from __future__ import annotations

import bz2
import gzip
import importlib
import io
import lzma
import struct
import zipfile
import zlib
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Protocol, cast

from app.candles.rows.row import BrokenFileError
from app.errors import BadInputError

LARGEST_RATIO = 300
"""A packed file that grows to more than this many times its size (and `SMALL_BYTES`) is not read on."""
SMALL_BYTES = 64 * 2**20
LARGEST_BYTES = 32 * 2**30
MOST_MEMBERS = 10_000

_DEEPEST = 3
_IGNORED = (".checksum", ".md", ".py", ".sha256", ".log", ".pdf", ".html", ".png", ".jpg", ".ipynb", ".doc", ".docx")
_BESIDE_CANDLES = ("readme", "license", "licence", "copying", "changelog", "terms", "disclaimer", "notice")
_ERRORS = (
    *(EOFError, OSError, zlib.error, lzma.LZMAError, zipfile.BadZipFile, struct.error, RuntimeError),
    *(NotImplementedError, ValueError, LookupError, OverflowError),
)


class Readable(Protocol):
    """Anything bytes can be read from, so that what comes before a break is not lost with it."""

    def read1(self, size: int, /) -> bytes:
        """Read at most `size` bytes at one go."""


Choose = Callable[[Sequence[str]], Sequence[str]]
"""Chooses the members of an archive to read, by their names."""


def streams(file: io.BufferedReader, choose: Choose = list) -> Iterator[tuple[str, io.BufferedReader]]:
    """Yield the name and bytes of each text in a file; a file that is no archive is one text without a name.

    Of an archive, `choose` picks the members. Raises `BrokenFileError` when an archive cannot be opened; reading a
    stream raises it where its bytes are damaged.
    """
    start = file.read(8)
    size = file.seek(0, io.SEEK_END)
    file.seek(0)
    if start.startswith((b"PK\x03\x04", b"PK\x05\x06")):
        yield from _members(file, choose)
    else:
        yield "", _unpacked(_capped(file, LARGEST_BYTES), size)


def _unpacked(stream: io.BufferedReader, size: int, depth: int = 0) -> io.BufferedReader:
    """Unpack a stream as often as it is packed, and cap what comes out."""
    start = stream.peek(8)[:8]
    if start.startswith(b"PK\x03\x04"):
        raise BadInputError("file: there is an archive inside of an archive; unpack it first")
    for magics, unpacked in _PACKERS:
        if start.startswith(magics):
            if depth == _DEEPEST:
                raise BadInputError(f"file: it is packed more than {_DEEPEST} times; unpack it first")
            return _unpacked(_capped(unpacked(stream), size), size, depth + 1)
    return stream


class _Zstandard:
    """A stream unpacked by pyarrow, which brings Zstandard along."""

    def __init__(self, stream: io.BufferedReader) -> None:
        try:
            pa = importlib.import_module("pyarrow")
        except ImportError:
            raise BadInputError("file: unpacking .zst needs pyarrow: pip install 'zeon-sim[data]'") from None
        self._stream = pa.CompressedInputStream(pa.PythonFile(stream, mode="r"), "zstd")

    def read1(self, size: int, /) -> bytes:
        """Read at most `size` bytes at one go."""
        return cast("bytes", self._stream.read(size))


_PACKERS: tuple[tuple[tuple[bytes, ...], Callable[[Any], Any]], ...] = (
    ((b"\x1f\x8b",), lambda stream: gzip.GzipFile(fileobj=stream)),
    ((b"BZh",), bz2.BZ2File),
    ((b"\xfd7zXZ\0", b"\x5d\0\0"), lzma.LZMAFile),
    ((b"\x28\xb5\x2f\xfd",), _Zstandard),
)


def _members(file: io.BufferedReader, choose: Choose) -> Iterator[tuple[str, io.BufferedReader]]:
    try:
        with zipfile.ZipFile(file) as archive:
            infos = {info.filename: info for info in archive.infolist()[:MOST_MEMBERS]}
            _refuse_workbook(infos)
            for name in choose(sorted(name for name in infos if may_hold_candles(name))):
                with archive.open(infos[name]) as member:
                    size = infos[name].compress_size
                    stream = _capped(cast("zipfile.ZipExtFile", member), size)
                    yield name.rpartition("/")[2], _or_failing(stream, size)
    except _ERRORS as error:
        raise BrokenFileError(f"the archive cannot be read: {error}") from error


def _or_failing(stream: io.BufferedReader, size: int) -> io.BufferedReader:
    """Unpack a stream; one that cannot be begun fails when it is read, so that the next member still has its turn."""
    try:
        return _unpacked(stream, size)
    except BadInputError as error:
        return io.BufferedReader(_Failing(error))


class _Failing(io.RawIOBase):
    """A stream that raises an error when it is read."""

    def __init__(self, error: BadInputError) -> None:
        super().__init__()
        self.error = error

    def readable(self) -> bool:
        """Say yes, as any stream that is only read."""
        return True

    def readinto(self, buffer: Any) -> int:
        """Raise the error."""
        raise self.error


def _refuse_workbook(names: Any) -> None:
    if "[Content_Types].xml" in names or any(name.startswith("xl/") for name in names):
        raise BadInputError("file: it is a workbook of a spreadsheet; save it as CSV")
    if "mimetype" in names and "content.xml" in names:
        raise BadInputError("file: it is an OpenDocument file; save it as CSV")


def may_hold_candles(name: str) -> bool:
    """Whether a member of an archive or a file of a folder is more than something beside the candles."""
    base = name.rpartition("/")[2].lower()
    if not base or base.startswith(".") or name.startswith("__MACOSX/") or "/__MACOSX/" in name:
        return False
    return not base.endswith(_IGNORED) and not base.startswith(_BESIDE_CANDLES)


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
            raise BrokenFileError(str(error) or "it cannot be unpacked") from error
        self.left -= len(data)
        if self.left < 0:
            raise BrokenFileError("the file unpacks to far more than candles would")
        buffer[: len(data)] = data
        return len(data)


def text(stream: io.BufferedReader | io.BytesIO) -> io.TextIOWrapper:
    """Decode a stream as UTF-8; bytes that are none become marks that no number contains."""
    return io.TextIOWrapper(stream, encoding="utf-8-sig", errors="replace", newline="")
