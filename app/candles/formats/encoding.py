"""The encoding of a text, detected from its first bytes, and the kind of a file that is not text."""

from __future__ import annotations

import codecs
import io
from typing import Any

from app.candles.formats.columns import header_columns
from app.candles.formats.table import cut, find_delimiter
from app.candles.rows.request import ReadRequest
from app.errors import BadInputError

PEEKED = 2**16

_MARKS = (
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
_OTHERS = ("cp1252", "gb18030", "cp1251", "shift_jis", "cp949", "cp1250")
_CONTROLS = bytes(set(range(32)) - set(b"\t\n\r\f\x1a"))
_KINDS = (
    (b"\x89PNG", "a picture (PNG)"),
    (b"\xff\xd8\xff", "a picture (JPEG)"),
    (b"GIF8", "a picture (GIF)"),
    (b"%PDF", "a PDF document"),
    (b"\xd0\xcf\x11\xe0", "a workbook of old Excel; save it as CSV"),
    (b"7z\xbc\xaf\x27\x1c", "a 7z archive; unpack it first"),
    (b"Rar!", "a RAR archive; unpack it first"),
    (b"SQLite format 3", "an SQLite database; export its table as CSV"),
    (b"\x89HDF", "an HDF5 file; write it as Parquet or CSV"),
    (b"ORC", "an ORC file; write it as Parquet or CSV"),
    (b"\x80\x04", "a Python pickle; write it as Parquet or CSV"),
    (b"\x80\x05", "a Python pickle; write it as Parquet or CSV"),
    (b"\x7fELF", "a program"),
    (b"MZ", "a program"),
)


def kind_of_binary(start: bytes) -> str | None:
    """Say what a file is that is known to hold no text; None for any other."""
    if start[257:262] == b"ustar":
        return "a tar archive; unpack it first"
    return next((kind for magic, kind in _KINDS if start.startswith(magic)), None)


def as_utf8(stream: io.BufferedReader, request: ReadRequest) -> io.BufferedReader:
    """Return a stream of UTF-8 with line ends of `\\n`: the same one where it is that already.

    Raises `BadInputError` for what is no text, saying what it is.
    """
    start = stream.peek(PEEKED)[:PEEKED]
    if kind := kind_of_binary(start):
        raise BadInputError(f"file: it is {kind}, not a file of candles")
    name = _encoding(start)
    if name is None:
        raise BadInputError("file: it is not a text, and no other kind of file that holds candles")
    if name != "utf-8":
        request.note("encoding", f"its text was read as {name.upper()}")
    sample = start.decode(name, errors="replace")
    if sample.lstrip("\ufeff \t\r\n").lower().startswith(("<!doctype", "<html", "<?xml")):
        raise BadInputError("file: it is a web page or XML, not a file of candles; download the data itself")
    old_mac = "\r" in sample and "\n" not in sample
    if name == "utf-8" and not old_mac:
        return stream
    return io.BufferedReader(_Recoded(stream, name, old_mac=old_mac), PEEKED)


def _encoding(start: bytes) -> str | None:
    """Return the encoding of a text by its first bytes; None when it is none."""
    for mark, name in _MARKS:
        if start.startswith(mark):
            return name
    wide = _wide(start) if b"\0" in start else None
    if wide is not None:
        return wide
    if len(start) - len(start.translate(None, _CONTROLS)) > len(start) // 50:
        return None
    try:
        codecs.getincrementaldecoder("utf-8")().decode(start)
    except UnicodeDecodeError:
        return _other(start)
    return "utf-8"


def _wide(start: bytes) -> str | None:
    """Return which UTF-16 has its zeros where these bytes have them."""
    half = max(len(start) // 2, 1)
    even, odd = start[::2].count(0) / half, start[1::2].count(0) / half
    if odd > 0.7 and even < 0.1:
        return "utf-16-le"
    return "utf-16-be" if even > 0.7 and odd < 0.1 else None


def _other(start: bytes) -> str:
    """Return the encoding in which the names of a header are known, else that of Western Europe."""
    for name in _OTHERS:
        lines = start.decode(name, errors="replace").splitlines()[:20]
        if any(_is_header(cut(line, find_delimiter(lines))) for line in lines):
            return name
    return "cp1252"


def _is_header(cells: list[str]) -> bool:
    try:
        return len(cells) >= 5 and header_columns(cells) is not None
    except BadInputError:
        return False


class _Recoded(io.RawIOBase):
    """A text of any encoding as UTF-8; invalid bytes become replacement characters."""

    def __init__(self, stream: io.BufferedReader, name: str, *, old_mac: bool) -> None:
        super().__init__()
        self._stream = stream
        self._decoder = codecs.getincrementaldecoder(name)(errors="replace")
        self._old_mac = old_mac
        self._left = b""
        self._ended = False

    def readable(self) -> bool:
        """Say yes, as any stream that is only read."""
        return True

    def readinto(self, buffer: Any) -> int:
        """Read the next bytes."""
        while not self._left and not self._ended:
            data = self._stream.read1(PEEKED // 4)
            self._ended = not data
            text = self._decoder.decode(data, final=self._ended)
            self._left = (text.replace("\r", "\n") if self._old_mac else text).encode("utf-8", errors="replace")
        count = min(len(buffer), len(self._left))
        buffer[:count] = self._left[:count]
        self._left = self._left[count:]
        return count
