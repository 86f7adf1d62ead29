"""uvicorn's HTTP protocol with limits: on the bytes of a request, on the time it takes, and on what waits for a client.

A connection handles one request at a time. What a client sends ahead waits here, or in its socket when it is more than
a little. Errors of HTTP itself are JSON too.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import httptools
from starlette.types import ASGIApp, Receive, Scope, Send
from uvicorn.config import Config
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from uvicorn.server import ServerState
from websockets.http11 import Request

from app.errors import BadInputError, MalformedError, RequestTimeoutError, SimError, UnavailableError
from app.web.http.client_address import TrustedProxies
from app.web.http.middleware import PROBES
from app.web.http.refusals import count_refusal
from app.web.http.responses import failure
from app.web.wire.connections import Connections, has_unread_bytes
from app.web.wire.framing import MessageFraming

_AHEAD_BYTES = 16_384
"""Most bytes that a client may send ahead of an answer. With more of them the connection ends after the answer."""
_DROPPED_BYTES = 65_536
"""Largest body that is read and dropped, so that the connection can go on after an early answer."""
_SOCKETS = b"/x/binance/"
"""Part of the paths of WebSockets, which may begin with `ZEON_ROOT_PATH`; elsewhere a request for one is answered as if
it did not ask for it."""
_LAST_WORDS_S = 0.5
"""Seconds in which the application may say goodbye when the server stops."""


class Protocol(HttpToolsProtocol):
    """One connection."""

    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
        *,
        connections: Connections,
        proxies: TrustedProxies,
    ) -> None:
        super().__init__(config, server_state, app_state, _loop)
        self._proxies = proxies
        self._connections = connections
        self.limits = self._limits = connections.limits
        self._framing = MessageFraming()
        self._buffer = bytearray()
        self._whole_request = False
        self._keep_alive = True
        self._dropping = False
        self._ended = self._lost = self._is_websocket = False
        self._body_since, self._body_bytes = 0.0, 0
        self._unsent: tuple[float, int] | None = None
        self._on_disconnect: Callable[[], None] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin a connection."""
        super().connection_made(transport)  # type: ignore[arg-type]
        self._descriptor: int = transport.get_extra_info("socket").fileno()
        self._response_transport = _ResponseTransport(self)
        self._peer = self.client[0] if self.client else ""
        self._is_proxy = self._proxies.trusts(self._peer)
        self.address: str | None = None if self._is_proxy else self._peer
        self.opened_at = self.silent_since = self.loop.time()
        self._head_since: float | None = self.opened_at
        if not self._connections.add(self):
            self._keep_alive = False
            self.app = _probes_only(self.app)

    def connection_lost(self, exc: Exception | None) -> None:
        """End a connection."""
        self._connections.discard(self)
        self._ended = self._lost = True
        self._buffer.clear()
        super().connection_lost(exc)
        if self._on_disconnect is not None:
            self._on_disconnect()

    def shutdown(self) -> None:
        """End the connection, after the answer that is under way."""
        self._keep_alive = False
        super().shutdown()

    def data_received(self, data: bytes) -> None:
        """Take what the client sent."""
        self.silent_since = self.loop.time()
        if self._ended or self._dropping:
            self.flow.pause_reading()
            return
        if self._head_since is None and not self._request_open():
            self._head_since = self.silent_since
        self._buffer += data
        self._read()

    def on_message_begin(self) -> None:
        """Begin a request. Its state has three functions for handlers and responses, and the client (`request_sender`).

        `abort` ends the connection and drops what waits to be written; `paused` says whether sending would wait for
        the client; `on_disconnect` takes a function to call when the client hangs up, or null.
        """
        super().on_message_begin()
        self._on_disconnect = None
        self.scope["state"]["on_disconnect"] = self._set_on_disconnect
        self.scope["state"]["paused"] = self._write_paused
        self.scope["state"]["abort"] = self.transport.abort

    def on_header(self, name: bytes, value: bytes) -> None:
        """Add a header to the request. One that comes after the body is dropped: it was not there to be checked."""
        if self._framing.in_head:
            super().on_header(name, value)

    def on_headers_complete(self) -> None:
        """Start the request."""
        self._framing.begin_body(self.headers)
        self._set_client()
        self._head_since = None
        self._body_since, self._body_bytes = self.loop.time(), 0
        self._is_websocket = self._asks_for_websocket()
        super().on_headers_complete()
        if self._is_websocket:
            return
        self.cycle.transport = self._response_transport  # type: ignore[assignment]
        self._keep_alive = self._keep_alive and self.cycle.keep_alive
        self.cycle.keep_alive = self._keep_alive and self._is_cheap_to_drop()

    def on_body(self, body: bytes) -> None:
        """Pass a part of the body on."""
        self._body_bytes += len(body)
        super().on_body(body)

    def on_message_complete(self) -> None:
        """End the request: the connection may go on after its answer."""
        self._framing.begin_head()
        if not self._is_websocket:
            self.cycle.keep_alive = self._keep_alive
        if self._is_proxy or not self._whole_request:
            self._whole_request = True
            self._connections.request_came(self)
        super().on_message_complete()

    def on_response_complete(self) -> None:
        """End the answer, and go on with what the client has sent ahead."""
        self.server_state.total_requests += 1
        self.silent_since = self.loop.time()
        self._connections.answer_ended(self)
        if self._ended or self.transport.is_closing():
            return
        self.flow.resume_reading()
        if self._buffer:
            self._head_since = self.silent_since
            self.loop.call_soon(self._read)

    def pause_writing(self) -> None:
        """Watch from now on how much the client takes."""
        super().pause_writing()
        self._unsent = (self.loop.time(), self.transport.get_write_buffer_size())

    def resume_writing(self) -> None:
        """Watch no longer."""
        super().resume_writing()
        self._unsent = None

    def send_400_response(self, msg: str) -> None:
        """Answer a request that is not HTTP."""
        self._refuse(BadInputError(msg))

    @property
    def answering(self) -> bool:
        """Whether an answer is under way; a WebSocket is one."""
        if self._is_websocket:
            return True
        return self._request_open() and (not self.cycle.more_body or self.cycle.response_started)

    def has_bytes(self) -> bool:
        """Whether bytes wait to be read from the client, or to be taken by it."""
        if self.transport.is_closing() or self.transport.get_write_buffer_size():
            return True
        return has_unread_bytes(self._descriptor)

    def end(self) -> None:
        """Close the connection without an answer; what the client has not taken is dropped."""
        self._ended = True
        if self.transport.get_write_buffer_size():
            self.transport.abort()
        else:
            self.transport.close()

    def end_after_answer(self) -> None:
        """Close the connection when the answer is sent.

        While the client still sends, only one direction is closed at first: closing both would make its system drop
        the answer.
        """
        self._ended = True
        if self._framing.in_body or self._dropping:
            self._linger()
        else:
            self.transport.close()

    def check(self, now: float) -> None:
        """End the connection if its client is too slow."""
        if self._unsent is not None or self.transport.is_closing():
            self._check_unsent(now)
        elif self._ended or self.answering:
            return
        elif self._framing.in_body:
            self._check_body(now)
        elif self._head_since is not None:
            self._check_head(now)
        elif now - self.silent_since > self._limits.idle_s:
            self.end()

    def _set_client(self) -> None:
        """Store the client of the request. A trusted proxy names another one with each request."""
        client = self._proxies.client(self._peer, self.headers)
        self.scope["state"]["client"] = client
        self.scope["scheme"] = client.scheme
        if self._is_proxy:
            self.scope["client"] = (client.address, 0)
            self.address = client.address
            self._connections.client_named(self, self.loop.time())

    def _check_head(self, now: float) -> None:
        assert self._head_since is not None
        if now - self._head_since <= self._limits.head_s:
            return
        if self._framing.begun or self._buffer:
            self._refuse(RequestTimeoutError("The request's headers did not arrive in time."))
        else:
            self.end()

    def _check_body(self, now: float) -> None:
        """Refuse a body that comes too slowly. Time in which nobody reads it here does not count."""
        elapsed = now - self._body_since
        if self.flow.read_paused:
            self._body_since, self._body_bytes = now, 0
        elif elapsed >= self._limits.body_s:
            if self._body_bytes < elapsed * self._limits.body_bytes_per_s:
                self._refuse(RequestTimeoutError("The request's body did not arrive in time."))
            self._body_since, self._body_bytes = now, 0

    def _check_unsent(self, now: float) -> None:
        """Drop what the client does not take."""
        size = self.transport.get_write_buffer_size()
        since, before = self._unsent or (now, size + self._limits.write_bytes)
        if now - since < self._limits.write_s:
            self._unsent = (since, before)
        elif before - size < self._limits.write_bytes:
            self.transport.abort()
        else:
            self._unsent = (now, size)

    def _read(self) -> None:
        """Give the parser what it may have: all of this request, and the next one once this one is answered."""
        try:
            while self._buffer and not self._ended and not self._must_wait():
                size = self._framing.piece_size(self._buffer)
                if not size:
                    return
                piece = bytes(self._buffer[:size])
                del self._buffer[:size]
                self._parse(piece)
        except SimError as error:
            self._refuse(error)
        if len(self._buffer) > _AHEAD_BYTES and self._must_wait():
            self._drop_ahead()

    def _parse(self, piece: bytes) -> None:
        try:
            self.parser.feed_data(piece)
        except httptools.HttpParserUpgrade:
            if self._is_websocket:
                self._hand_over()
            # Any other request is answered as if it did not ask for another protocol.
        except httptools.HttpParserError:
            raise MalformedError("The request is not valid HTTP.") from None

    def _should_upgrade(self) -> bool:
        return self._is_websocket

    def _asks_for_websocket(self) -> bool:
        """Whether the request asks for a WebSocket where there are any; there are none above the limit."""
        return (
            bool(self.parser.should_upgrade())
            and self._get_upgrade() == b"websocket"
            and _SOCKETS in self.url.partition(b"?")[0]
            and self.parser.get_method() == b"GET"
            and self._keep_alive
        )

    def _hand_over(self) -> None:
        """Hand the connection to a WebSocket. What a client sends before that is accepted is dropped."""
        self._buffer.clear()
        self.connections.discard(self)
        lines = [b"GET %s HTTP/1.1\r\n" % self.url, *(b"%s: %s\r\n" % header for header in self.headers), b"\r\n"]
        websocket = WebSocketProtocol(self)
        websocket.connection_made(self.transport)
        self.transport.set_protocol(websocket)
        websocket.data_received(b"".join(lines))

    def _drop_ahead(self) -> None:
        """Read nothing more, as the client has sent much ahead of the answer; after it the connection ends."""
        self._dropping = True
        self._keep_alive = self.cycle.keep_alive = False
        self._buffer.clear()
        self.flow.pause_reading()

    def _request_open(self) -> bool:
        return self.cycle is not None and not self.cycle.response_complete

    def _must_wait(self) -> bool:
        """Whether what comes next is another request, and this one is not answered yet."""
        return self._framing.in_head and self._request_open()

    def _is_cheap_to_drop(self) -> bool:
        """Whether the body could be read and dropped after an answer; a client may send none that waits to be asked."""
        left = self._framing.body_left
        return left is not None and left <= _DROPPED_BYTES and not self.expect_100_continue

    def _refuse(self, error: SimError) -> None:
        """Answer with an error in place of the application, and end the connection."""
        if self._ended:
            return
        if self._framing.in_body and (self.cycle.response_started or self.cycle.response_complete):
            self.end()
            return
        if self._request_open():
            self.cycle.disconnected = True
            self.cycle.message_event.set()
        self._ended = True
        self._buffer.clear()
        count_refusal(self._connections.refusals, error)
        self.transport.write(_response_bytes(error))
        self._linger()

    def _linger(self) -> None:
        """Send no more and read no more, and close soon."""
        if self.transport.is_closing():
            return
        self.transport.write_eof()
        self.flow.pause_reading()
        self.loop.call_later(self._limits.linger_s, self.transport.abort)

    def _set_on_disconnect(self, function: Callable[[], None] | None) -> None:
        self._on_disconnect = function
        if function is not None and self._lost:
            function()

    def _write_paused(self) -> bool:
        return self.flow.write_paused


class WebSocketProtocol(WebSocketsSansIOProtocol):
    """uvicorn's protocol; `door` is the HTTP protocol of the same connection, which watches that the client reads."""

    def __init__(self, door: Protocol) -> None:
        super().__init__(door.config, door.server_state, door.app_state)
        self._door = door
        self.ping_interval = door.limits.ping_s
        self.ping_timeout = door.limits.pong_s

    def connection_lost(self, exc: Exception | None) -> None:
        """End the connection."""
        super().connection_lost(exc)
        self._door.connection_lost(exc)

    def pause_writing(self) -> None:
        """Read nothing more until the client reads: even answers to its pings would need memory."""
        super().pause_writing()
        self._door.pause_writing()
        self.transport.pause_reading()

    def resume_writing(self) -> None:
        """Go on."""
        super().resume_writing()
        self._door.resume_writing()
        if not self.read_paused and not self.transport.is_closing():
            self.transport.resume_reading()

    def shutdown(self) -> None:
        """Let the application send its last message first."""
        if self.handshake_complete and not self.close_sent:
            self.loop.call_later(_LAST_WORDS_S, self._shut_down)
        else:
            super().shutdown()

    def _shut_down(self) -> None:
        if not self.transport.is_closing():
            super().shutdown()

    def handle_connect(self, event: Request) -> None:
        """Start the application, with the same state as a request has."""
        super().handle_connect(event)
        if self.response.status_code != 101:
            return
        client = self._door.scope["state"]["client"]
        self.scope["scheme"] = "wss" if client.scheme == "https" else "ws"
        self.scope["client"] = self._door.scope["client"]
        self.scope["state"]["client"] = client
        self.scope["state"]["abort"] = self.transport.abort

    def handle_parser_exception(self) -> None:
        """Close a connection whose bytes are no WebSocket."""
        if self.conn.close_sent is None:
            self.transport.close()
        else:
            super().handle_parser_exception()


class _ResponseTransport:
    """The transport as responses see it: they close a connection when the client can have read them."""

    def __init__(self, protocol: Protocol) -> None:
        self.write = protocol.transport.write
        self.is_closing = protocol.transport.is_closing
        self.close = protocol.end_after_answer


def _probes_only(app: Any) -> ASGIApp:
    """Return an application that answers probes only."""

    async def respond(scope: Scope, receive: Receive, send: Send) -> None:
        full = failure(UnavailableError("The server has no room for more connections; try again in a moment."))
        await (app if scope["path"] in PROBES else full)(scope, receive, send)

    return respond


def _response_bytes(error: SimError) -> bytes:
    response = failure(error, {"Connection": "close"})
    lines = [b"%s: %s\r\n" % header for header in response.raw_headers]
    return b"".join([STATUS_LINE[response.status_code], *lines, b"\r\n", bytes(response.body)])
