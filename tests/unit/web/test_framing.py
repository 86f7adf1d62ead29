"""Pieces of a connection's bytes for the HTTP parser."""

from __future__ import annotations

from contextlib import suppress

import httptools
import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.errors import SimError
from app.web.wire.framing import MessageFraming

GET = b"GET /a HTTP/1.1\r\nHost: x\r\nAccept: */*\r\n\r\n"
BODY = b"hello\r\n\r\nyou"
MISLEADING = b"\r\n\r\n0\r\n\r\n\r\n"
POST = b"POST /b HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n%b" % (len(BODY), BODY)
CHUNKED = b"PUT /c HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n%x;note=1\r\n%b\r\n00%X\r\n%b\r\n0\r\nX: y\r\n\r\n" % (
    len(BODY),
    BODY,
    len(MISLEADING),
    MISLEADING,
)
EMPTY = b"POST /d HTTP/1.1\r\nContent-Length: 0\r\n\r\n"
UPGRADE = b"GET /e HTTP/1.1\r\nConnection: upgrade\r\nUpgrade: h2c\r\n\r\n"
MESSAGES = [GET, POST, CHUNKED, EMPTY, UPGRADE, b"\r\n\r\n" + GET]


class Parsing:
    """A parser that gets pieces as a connection gives them."""

    def __init__(self) -> None:
        self.framing = MessageFraming()
        self.parser = httptools.HttpRequestParser(self)
        self.buffer = bytearray()
        self.pieces: list[bytes] = []
        self.ended_in: list[int] = []
        self.bodies: list[bytes] = []

    def on_message_begin(self) -> None:
        self.headers: list[tuple[bytes, bytes]] = []
        self.bodies.append(b"")

    def on_header(self, name: bytes, value: bytes) -> None:
        self.headers.append((name.lower(), value))

    def on_headers_complete(self) -> None:
        self.framing.begin_body(self.headers)

    def on_body(self, body: bytes) -> None:
        self.bodies[-1] += body

    def on_message_complete(self) -> None:
        self.framing.begin_head()
        self.ended_in.append(len(self.pieces))

    def feed(self, data: bytes) -> None:
        self.buffer += data
        while self.buffer and (size := self.framing.piece_size(self.buffer)):
            self.pieces.append(bytes(self.buffer[:size]))
            del self.buffer[:size]
            with suppress(httptools.HttpParserUpgrade):
                self.parser.feed_data(self.pieces[-1])


@given(st.lists(st.sampled_from(MESSAGES), min_size=1, max_size=6), st.integers(1, 200))
def test_no_piece_goes_beyond_a_message_however_the_bytes_come(messages: list[bytes], size: int) -> None:
    sent, parsing = b"".join(messages), Parsing()
    for start in range(0, len(sent), size):
        parsing.feed(sent[start : start + size])
    assert b"".join(parsing.pieces) == sent
    assert len(parsing.ended_in) == len(messages)
    ends = [sum(map(len, parsing.pieces[:count])) for count in parsing.ended_in]
    assert ends == [sum(map(len, messages[: n + 1])) for n in range(len(messages))]


def test_bodies_arrive_whole() -> None:
    parsing = Parsing()
    parsing.feed(POST + CHUNKED + GET)
    assert parsing.bodies == [BODY, BODY + MISLEADING, b""]


def test_the_parser_gets_a_line_at_once_however_slowly_it_comes() -> None:
    """It copies what it has of a line for each piece, so that a long one in small pieces would cost its square."""
    parsing = Parsing()
    for byte in b"GET / HTTP/1.1\r\nX: " + b"x" * 60_000 + b"\r\n\r\n":
        parsing.feed(bytes([byte]))
    assert [len(piece) for piece in parsing.pieces] == [16, 60_005, 2]


@pytest.mark.parametrize(
    ("line", "count", "status"),
    [(b"x: y\r\n", 101, 431), (b"x: " + b"y" * 995 + b"\r\n", 66, 431)],
    ids=["lines", "bytes"],
)
def test_nothing_beyond_a_limit_is_parsed(line: bytes, count: int, status: int) -> None:
    parsing = Parsing()
    with pytest.raises(SimError) as refused:
        parsing.feed(b"GET / HTTP/1.1\r\n" + line * count + b"\r\n" + GET)
    assert refused.value.status == status
    assert parsing.pieces == []


@pytest.mark.parametrize("size", [1, 2, 1000], ids="chunks of {}".format)
def test_small_chunks_are_allowed_as_long_as_they_hold_something(size: int) -> None:
    parsing = Parsing()
    parsing.feed(b"PUT / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n")
    for _ in range(200_000 // size):
        parsing.feed(b"%x\r\n%b\r\n" % (size, b"x" * size))
    parsing.feed(b"0\r\n\r\n")
    assert len(parsing.bodies[0]) == 200_000


def test_small_chunks_with_long_extensions_are_refused() -> None:
    parsing = Parsing()
    parsing.feed(b"PUT / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n")
    with pytest.raises(SimError) as refused:
        parsing.feed((b"1;" + b"x" * 20 + b"\r\nx\r\n") * 10_000)
    assert refused.value.status == 413
