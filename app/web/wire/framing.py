"""Split the bytes of a connection into pieces for the HTTP parser, and check their limits before they are parsed.

The parser decides what a request means. This module only tracks where a line, a chunk and a message end, so that no
byte above a limit is parsed, and no byte of the next message before the last one is answered.
"""

from __future__ import annotations

from collections.abc import Iterable
from enum import Enum

from app.errors import HeadersTooLargeError, TooLargeError, UrlTooLongError

HEAD_BYTES = 65_536
"""Most bytes of a header block, from the first byte of the request line to the empty line."""
HEAD_LINES = 100
"""Most header lines of a request."""
URL_BYTES = 8_192

_CRLF = b"\r\n"
_BLANK = b"\r\n\r\n"
_FRAME_LINES = 2
"""The request line and the empty line."""
_REQUEST_LINE_BYTES = URL_BYTES + 64
"""Most bytes of an incomplete request line: the URL, and room for method and version."""
_SIZE_DIGITS = 16
_CHUNK_OVERHEAD = 8
"""Most bytes of chunk sizes and extensions per byte of body, plus 64 KB: chunks of one byte need 5."""


class _State(Enum):
    HEAD = "head"
    BODY = "body"
    CHUNK_SIZE = "chunk size"
    CHUNK = "chunk"
    TRAILERS = "trailers"


class MessageFraming:
    """The part of a message to which the next byte of a connection belongs.

    The owner calls `piece_size`, passes this many bytes to the parser, and then reports what the parser found:
    `begin_body` after the headers, `begin_head` after the message.
    """

    def __init__(self) -> None:
        self.begin_head()

    @property
    def in_head(self) -> bool:
        """Whether the headers of the current or next message are not complete."""
        return self._part is _State.HEAD

    @property
    def begun(self) -> bool:
        """Whether the parser has received bytes of the current message."""
        return self._head_bytes > 0 or not self.in_head

    @property
    def in_body(self) -> bool:
        """Whether the headers of the current message are complete, but not its body."""
        return not self.in_head

    @property
    def body_left(self) -> int | None:
        """How many bytes of the body are missing; null if that is unknown."""
        return self._left if self._part is _State.BODY else None

    def begin_head(self) -> None:
        """Expect a new message."""
        self._part = _State.HEAD
        self._left = 0
        self._head_bytes = 0
        self._lines = 0
        self._line_seen = False
        self._scanned = 0
        self._overhead = 0
        self._chunked_bytes = 0

    def begin_body(self, headers: Iterable[tuple[bytes, bytes]]) -> None:
        """Expect the body that the headers declare; the parser has checked them."""
        named = dict(headers)
        chunked = b"transfer-encoding" in named
        self._part = _State.CHUNK_SIZE if chunked else _State.BODY
        self._left = 0 if chunked else int(named.get(b"content-length", b"0"))
        self._head_bytes = self._lines = self._scanned = 0

    def piece_size(self, buffer: bytearray) -> int:
        """Return how many of the waiting bytes may be parsed now; 0 means that more must arrive first.

        Raises `HeadersTooLargeError`, `UrlTooLongError` or `TooLargeError` as soon as the bytes exceed a limit.
        """
        if self._part is _State.HEAD:
            return self._head(buffer)
        if self._part is _State.CHUNK_SIZE:
            return self._chunk_size(buffer)
        if self._part is _State.TRAILERS:
            return self._lines_size(buffer)
        size = min(self._left, len(buffer))
        self._left -= size
        if self._part is _State.CHUNK and not self._left:
            self._part = _State.CHUNK_SIZE
        return size

    def _head(self, buffer: bytearray) -> int:
        if not self._line_seen:
            self._require_short_url(buffer)
        size = self._lines_size(buffer)
        # Empty lines before a request are allowed, and counted.
        self._line_seen = self._line_seen or (size > 0 and not buffer.startswith(_CRLF))
        return size

    def _lines_size(self, buffer: bytearray) -> int:
        """Return the size of the complete lines at the start, up to an empty line."""
        start = max(0, self._scanned - len(_BLANK) + 1)
        if buffer.startswith(_CRLF):
            size = len(_CRLF)
        else:
            blank = buffer.find(_BLANK, start)
            size = blank + len(_BLANK) if blank >= 0 else 0
        complete = size > 0
        size = size or buffer.rfind(b"\n", start) + 1
        self._require_small_head(buffer, size, size if complete else len(buffer))
        self._head_bytes += size
        self._scanned = 0 if complete else len(buffer) - size
        return size

    def _require_small_head(self, buffer: bytearray, size: int, seen: int) -> None:
        self._lines += buffer.count(b"\n", 0, size)
        if self._head_bytes + seen > HEAD_BYTES or self._lines > HEAD_LINES + _FRAME_LINES:
            raise HeadersTooLargeError(
                f"The request's headers are larger than {HEAD_BYTES // 1024} KB or have more than {HEAD_LINES} lines."
            )

    def _require_short_url(self, buffer: bytearray) -> None:
        end = buffer.find(b"\n", self._scanned)
        if end < 0:
            too_long = len(buffer) > _REQUEST_LINE_BYTES
        else:
            too_long = end > URL_BYTES and any(len(word) > URL_BYTES for word in buffer[:end].split(b" "))
        if too_long:
            raise UrlTooLongError(f"The request's URL is longer than {URL_BYTES // 1024} KB.")

    def _chunk_size(self, buffer: bytearray) -> int:
        end = buffer.find(b"\n", self._scanned) + 1
        self._scanned = 0 if end else len(buffer)
        if self._overhead + (end or len(buffer)) > HEAD_BYTES + _CHUNK_OVERHEAD * self._chunked_bytes:
            raise TooLargeError("The body is sent in too many small chunks, or with too long chunk extensions.")
        if end:
            self._overhead += end + len(_CRLF)
            self._begin_chunk(_parse_size(bytes(buffer[:end])))
        return end

    def _begin_chunk(self, size: int) -> None:
        self._chunked_bytes += size
        self._left = size + len(_CRLF)
        self._part = _State.CHUNK if size else _State.TRAILERS


def _parse_size(line: bytes) -> int:
    """Return the size at the start of a chunk; 0 for an invalid one, which the parser refuses."""
    digits = line.partition(b";")[0].strip()
    try:
        return int(digits, 16) if len(digits) <= _SIZE_DIGITS else 0
    except ValueError:
        return 0
