"""A file as the body of a request, streamed to a temporary folder."""

from __future__ import annotations

import asyncio
import re
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from starlette.requests import Request

from app.errors import MalformedError, TooLargeError, WrongContentTypeError

_PIECE = 2**20
_LONGEST_NAME = 120
_UNSAFE = re.compile(r"[/\\\x00-\x1f\x7f]")


@asynccontextmanager
async def received_file(request: Request, name: str, limit: int) -> AsyncIterator[Path]:
    """Yield the path of the body, at most `limit` bytes, under its name in a temporary folder.

    Raises `TooLargeError` as soon as possible, `WrongContentTypeError` for a form, `MalformedError` for an empty body.
    """
    _require_file(request)
    announced = request.headers.get("content-length", "0")
    if announced.isdecimal() and int(announced[:20]) > limit:
        raise _too_large(limit)
    with tempfile.TemporaryDirectory(prefix="zeon-import-") as folder:
        path = Path(folder, safe_name(name))
        await _save(request, path, limit)
        yield path


def safe_name(name: str) -> str:
    """Return the last part of a file's name, without characters that are special in a path or a terminal."""
    last = _UNSAFE.sub("_", re.split(r"[/\\]", name)[-1]).strip(" .")
    return last[-_LONGEST_NAME:] or "upload"


async def _save(request: Request, path: Path, limit: int) -> None:
    """Write the body to a file piece by piece, in a thread."""
    size, piece = 0, bytearray()
    with path.open("wb") as file:
        while True:
            message = await request.receive()
            if message["type"] == "http.disconnect":
                raise MalformedError("body: ended early")
            piece += message.get("body", b"")
            size += len(message.get("body", b""))
            if size > limit:
                raise _too_large(limit)
            more = message.get("more_body", False)
            if len(piece) >= _PIECE or not more:
                await asyncio.to_thread(file.write, bytes(piece))
                piece.clear()
            if not more:
                break
    if not size:
        raise MalformedError("body: is empty; send the file as the body, as in curl --data-binary @FILE")


def _require_file(request: Request) -> None:
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind == "multipart/form-data":
        raise WrongContentTypeError("The body must be the file itself, not a form: curl --data-binary @FILE.")


def _too_large(limit: int) -> TooLargeError:
    return TooLargeError(f"The file is larger than {limit} bytes; use zeon candles import, or raise ZEON_MAX_IMPORT.")
