"""Rows of any candle file, whose kind is told by its content."""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path

from app.candles import arrow_file, csv_file, dump, json_file, lean
from app.candles.rows import BrokenFileError, Item
from app.candles.unpack import streams


def rows(path: Path, file: io.BufferedReader) -> Iterator[Item]:
    """Yield the rows of an open file; raises `BrokenFileError` where reading fails, `BadInputError` without any."""
    dump.verify(path, file)
    start = file.read(8)
    file.seek(0)
    if start.startswith(arrow_file.MAGIC):
        yield from arrow_file.rows(file)
        return
    folders = path.resolve().parts[:-1]
    for name, stream in streams(file):
        try:
            yield from _rows(name, stream, folders)
        except BrokenFileError as broken:
            raise BrokenFileError(f"{name}: {broken.message}" if name else broken.message) from broken


def _rows(name: str, stream: io.BufferedReader, folders: tuple[str, ...]) -> Iterator[Item]:
    start = stream.peek(512).removeprefix(b"\xef\xbb\xbf").lstrip()
    if start.startswith((b"[", b"{")):
        return json_file.rows(stream)
    if lean.belongs(name, stream):
        return lean.rows(stream, name, folders)
    return csv_file.rows(stream)
